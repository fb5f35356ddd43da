//! The rows on framing and bodies.

use super::rows::{Area, MALFORMED, Row, Then, code, lines, sent};
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use std::io::Write as _;

/// A POST whose framing these lines say, with the bytes that follow.
fn framed(ids: &'static str, spelling: &str, head: &str, body: &str, then: Then) -> Row {
    lines(ids, spelling, &["POST /x HTTP/1.1", "Host: up.example", head], body.as_bytes(), then)
}

/// A chunked POST.
fn chunked(ids: &'static str, body: &str, then: Then) -> Row {
    framed(ids, &code(body), "Transfer-Encoding: chunked", body, then)
}

/// A POST with a body of a type, in a coding.
fn post(
    ids: &'static str,
    spelling: &str,
    kind: &str,
    coding: &str,
    body: &[u8],
    then: Then,
) -> Row {
    let mut head = vec![
        "POST /x HTTP/1.1".to_owned(),
        "Host: up.example".to_owned(),
        format!("Content-Length: {}", body.len()),
    ];
    head.extend((!kind.is_empty()).then(|| format!("Content-Type: {kind}")));
    head.extend((!coding.is_empty()).then(|| coding.to_owned()));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    lines(ids, spelling, &head, body, then)
}

pub(super) fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zlib(text: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn framing() -> Area {
    let head = |ids, head: &str| framed(ids, &code(head), head, "body", MALFORMED);
    let mut rows = vec![
        framed("E-07", "`Content-Length: 4`", "Content-Length: 4", "body", body_of("body")),
        framed(
            "E-04",
            "`Transfer-Encoding: CHUNKED`",
            "Transfer-Encoding: CHUNKED",
            "4\r\nbody\r\n0\r\n\r\n",
            body_of("body"),
        ),
        lines(
            "E-19",
            "`POST` with `Content-Length: 0`",
            &["POST /x HTTP/1.1", "Host: up.example", "Content-Length: 0"],
            b"",
            Then::Sent {
                line: "POST /x".into(),
                has: vec![("content-length", Some("0"))],
                body: Some(""),
            },
        ),
        lines(
            "E-19",
            "`GET` with `Content-Length: 4`",
            &["GET /x HTTP/1.1", "Host: up.example", "Content-Length: 4"],
            b"body",
            Then::Sent {
                line: "GET /x".into(),
                has: vec![("content-length", Some("4"))],
                body: Some("body"),
            },
        ),
        lines(
            "S-5",
            "an empty line before the request line",
            &["\r\nGET /x HTTP/1.1", "Host: up.example"],
            b"",
            sent("GET /x"),
        ),
        lines(
            "S-5",
            "two empty lines before the request line",
            &["\r\n\r\nGET /x HTTP/1.1", "Host: up.example"],
            b"",
            MALFORMED,
        ),
        lines(
            "S-5",
            "lines that end with a bare line feed",
            &["GET /x HTTP/1.1\nHost: up.example"],
            b"",
            MALFORMED,
        ),
        lines(
            "E-16",
            "a request line with two spaces",
            &["GET  /x HTTP/1.1", "Host: up.example"],
            b"",
            MALFORMED,
        ),
        lines(
            "E-16",
            "a request line with a tab",
            &["GET\t/x HTTP/1.1", "Host: up.example"],
            b"",
            MALFORMED,
        ),
        lines("E-16", "`HTTP/0.9`", &["GET /x HTTP/0.9", "Host: up.example"], b"", MALFORMED),
        lines("E-16", "`HTTP/1.2`", &["GET /x HTTP/1.2", "Host: up.example"], b"", MALFORMED),
        lines(
            "D-06",
            "the preface of HTTP/2 where HTTP/1.1 was agreed on",
            &["PRI * HTTP/2.0\r\n\r\nSM"],
            b"",
            Then::Ended,
        ),
        lines(
            "E-05",
            "`Transfer-Encoding` on HTTP/1.0",
            &["POST /x HTTP/1.0", "Host: up.example", "Transfer-Encoding: chunked"],
            b"0\r\n\r\n",
            MALFORMED,
        ),
    ];
    for value in [
        "Content-Length: 4\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 4",
    ] {
        rows.push(head("E-01", value));
    }
    for value in [
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: gzip, chunked",
    ] {
        rows.push(head("E-02", value));
    }
    for value in ["Transfer-Encoding: , chunked", "Transfer-Encoding: chunked,"] {
        rows.push(head("E-04", value));
    }
    for value in ["identity", "xchunked", "chunked;a=b", "\u{b}chunked", "chunked\0", "\"chunked\""]
    {
        rows.push(head("E-05", &format!("Transfer-Encoding: {value}")));
    }
    for value in [
        "Content-Length: 4, 4",
        "Content-Length: 4\r\nContent-Length: 4",
        "Content-Length: 4\r\nContent-Length: 5",
    ] {
        rows.push(head("E-07", value));
    }
    for value in [
        "+4",
        "-4",
        "0x4",
        "4 0",
        "",
        "4;",
        "0004",
        "18446744073709551616",
        "999999999999999999999999999999",
    ] {
        rows.push(head("E-08", &format!("Content-Length: {value}")));
    }
    Area {
        title: "Framing",
        about: "A body has one length or is chunked. How it is framed towards the upstream is made anew.",
        rows,
    }
}

fn body_of(body: &'static str) -> Then {
    Then::Sent { line: "POST /x".to_owned(), has: vec![("expect", None)], body: Some(body) }
}

pub(super) fn chunks() -> Area {
    let mut rows = vec![
        chunked("E-11", "4;a=b;c=\"d\"\r\nbody\r\n0\r\n\r\n", body_of("body")),
        chunked(
            "E-14",
            "4\r\nbody\r\n0\r\nAuthorization: Bearer x\r\nHost: evil.example\r\n\r\n",
            Then::Sent {
                line: "POST /x".to_owned(),
                has: vec![("authorization", None), ("host", Some("up.example")), ("trailer", None)],
                body: Some("body"),
            },
        ),
        chunked("E-10", "00004\r\nbody\r\n0\r\n\r\n", body_of("body")),
    ];
    for size in ["0x4", "+4", " 4", "4 ", "4_0", "10000000000000004", "-4", ""] {
        rows.push(labelled("E-10", &format!("{size}\r\nbody\r\n0\r\n\r\n")));
    }
    for extension in [";", ";a=", ";\0", ";a=\"b\r\nc\"", ";a\nb", "; a=b"] {
        rows.push(labelled("E-11", &format!("4{extension}\r\nbody\r\n0\r\n\r\n")));
    }
    for body in [
        "4\r\nbodyXX0\r\n\r\n",
        "4\nbody\n0\n\n",
        "4\r\nbody\n0\r\n\r\n",
        "4\r\nbody\r\n0\r\nX y\r\n\r\n",
    ] {
        rows.push(labelled("E-13", body));
    }
    Area {
        title: "Chunks",
        about: "Chunk sizes, extensions and trailers in the grammar of RFC 9112 section 7.1. Extensions and trailers go no further.",
        rows,
    }
}

/// A chunked body that has to be read before anything leaves.
fn labelled(ids: &'static str, body: &str) -> Row {
    let head = "Content-Type: application/json\r\nTransfer-Encoding: chunked";
    framed(ids, &code(body), head, body, MALFORMED)
}

pub(super) fn bodies() -> Area {
    const UNREADABLE: Then = Then::Refused("unreadable");
    const JSON: &str = "application/json";
    const FORM: &str = "application/x-www-form-urlencoded";
    const PART: &str = "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b--\r\n";
    const MULTIPART: &str = "multipart/form-data; boundary=b";
    let decoded = || Then::Sent {
        line: "POST /x".to_owned(),
        has: vec![("content-encoding", None)],
        body: Some("{\"a\":1}"),
    };
    let text = b"{\"a\":1}";
    let mut rows = vec![
        post("I-03", "gzip", JSON, "Content-Encoding: gzip", &gzip(text), decoded()),
        post("I-03", "x-gzip", JSON, "Content-Encoding: X-Gzip", &gzip(text), decoded()),
        post("I-03", "deflate", JSON, "Content-Encoding: deflate", &zlib(text), decoded()),
        post(
            "I-03",
            "deflate, then gzip",
            JSON,
            "Content-Encoding: deflate, gzip",
            &gzip(&zlib(text)),
            decoded(),
        ),
        post(
            "I-06",
            "gzip of two members",
            JSON,
            "Content-Encoding: gzip",
            &[gzip(b"{\"a\""), gzip(b":1}")].concat(),
            decoded(),
        ),
        post(
            "I-06",
            "gzip with bytes behind its end",
            JSON,
            "Content-Encoding: gzip",
            &[gzip(text), b"x".to_vec()].concat(),
            UNREADABLE,
        ),
        post("I-03", "gzip that is none", JSON, "Content-Encoding: gzip", text, UNREADABLE),
        post("I-03", "`compress`", JSON, "Content-Encoding: compress", text, UNREADABLE),
        post(
            "I-05",
            "three codings",
            JSON,
            "Content-Encoding: gzip, gzip, gzip",
            &gzip(&gzip(&gzip(text))),
            UNREADABLE,
        ),
        post(
            "I-05",
            "a gzip bomb",
            JSON,
            "Content-Encoding: gzip",
            &gzip(&vec![b' '; 4 << 20]),
            Then::Refused("unreadable"),
        ),
        post(
            "I-23",
            "gzip under a digest",
            JSON,
            "Content-Encoding: gzip\r\nContent-Digest: sha-256=:AA==:",
            &gzip(text),
            UNREADABLE,
        ),
        post(
            "I-03",
            "gzip twice in two fields",
            JSON,
            "Content-Encoding: gzip\r\nContent-Encoding: gzip",
            &gzip(&gzip(text)),
            MALFORMED,
        ),
        post("I-08", "JSON in UTF-16", "application/json; charset=utf-16", "", b"{}", UNREADABLE),
        post("I-08", "JSON behind a byte order mark", JSON, "", b"\xef\xbb\xbf{}", UNREADABLE),
        post("I-11", "JSON with comments", JSON, "", b"{/*\"*/\"_method\":1}", UNREADABLE),
        post("H-18", "`_method` in JSON", JSON, "", b"{\"_method\":\"DELETE\"}", MALFORMED),
        post(
            "H-18",
            "`_method` in JSON, escaped",
            JSON,
            "",
            b"{\"\\u005fmethod\":\"DELETE\"}",
            MALFORMED,
        ),
        post(
            "H-18",
            "`_method` in JSON, under gzip",
            JSON,
            "Content-Encoding: gzip",
            &gzip(b"{\"_method\":\"DELETE\"}"),
            MALFORMED,
        ),
        post("H-18, I-14", "`_method` in a form", FORM, "", b"a=1&%5fmethod=DELETE", MALFORMED),
        post("H-18, I-02", "`_method` in a body of no type", "", "", b"_method=DELETE", MALFORMED),
        post("I-14", "a form with `_charset_`", FORM, "", b"_charset_=utf-16&a=1", UNREADABLE),
        post(
            "I-14",
            "a form in another charset",
            "application/x-www-form-urlencoded; charset=ibm037",
            "",
            b"a=1",
            UNREADABLE,
        ),
        post(
            "I-02, H-18",
            "two types in one field",
            "application/x-www-form-urlencoded, text/plain",
            "",
            b"_method=DELETE",
            UNREADABLE,
        ),
        post(
            "I-02, H-18",
            "`_method` in a body of an empty type",
            " ",
            "",
            b"_method=DELETE",
            MALFORMED,
        ),
        post("I-02", "a type that is not text", "app\u{e9}", "", b"a=1", UNREADABLE),
        post(
            "I-02, H-18",
            "two types in one field",
            "application/x-www-form-urlencoded, text/plain",
            "",
            b"_method=DELETE",
            UNREADABLE,
        ),
        post(
            "I-02, H-18",
            "`_method` in a body of an empty type",
            " ",
            "",
            b"_method=DELETE",
            MALFORMED,
        ),
        post(
            "I-15",
            "a multipart form",
            MULTIPART,
            "",
            PART.as_bytes(),
            Then::Sent { line: "POST /x".into(), has: vec![], body: Some(PART) },
        ),
        post(
            "I-15, H-18",
            "`_method` in a multipart form",
            MULTIPART,
            "",
            PART.replace("\"a\"", "\"_method\"").as_bytes(),
            MALFORMED,
        ),
    ];
    for (spelling, kind, body) in [
        ("two boundaries", "multipart/form-data; boundary=b; boundary=c", PART.to_owned()),
        ("`boundary*`", "multipart/form-data; boundary*=utf-8''b", PART.to_owned()),
        (
            "a boundary that ends with a space",
            "multipart/form-data; boundary=\"b \"",
            PART.to_owned(),
        ),
        ("text before the first part", MULTIPART, format!("x\r\n{PART}")),
        ("text behind the last part", MULTIPART, format!("{PART}x")),
        ("line ends without a return", MULTIPART, PART.replace("\r\n", "\n")),
        ("no last boundary", MULTIPART, PART.replace("--b--\r\n", "")),
        ("two names", MULTIPART, PART.replace("name=\"a\"", "name=\"a\"; name=\"_method\"")),
        ("`name*`", MULTIPART, PART.replace("name=\"a\"", "name=\"a\"; name*=utf-8''_method")),
        (
            "two Content-Dispositions",
            MULTIPART,
            PART.replacen(
                "\r\n\r\n",
                "\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\n",
                1,
            ),
        ),
        (
            "a part in base64",
            MULTIPART,
            PART.replacen("\r\n\r\n", "\r\nContent-Transfer-Encoding: base64\r\n\r\n", 1),
        ),
        (
            "a part with parts",
            MULTIPART,
            PART.replacen("\r\n\r\n", "\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n", 1),
        ),
    ] {
        rows.push(post(
            "I-15",
            &format!("a multipart form with {spelling}"),
            kind,
            "",
            body.as_bytes(),
            UNREADABLE,
        ));
    }
    Area {
        title: "Bodies",
        about: "On a resource without a catalog a body is looked through for a method of its own. A coded one is decoded first, and sent decoded.",
        rows,
    }
}
