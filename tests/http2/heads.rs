//! Heads and bodies that are no request (RFC 9113 section 8), and those that two programs could read
//! two ways.

use super::Expect::{Malformed, Refused, Stream};
use super::{DOCS, QUERY, RAILWAY, Row, refuse, row, waiting};
use crate::support::Gate;
use crate::support::frames::*;

const PROTOCOL: &[u32] = &[PROTOCOL_ERROR];
const MALFORMED: super::Expect = Refused(400, "malformed");
const MISMATCH: super::Expect = Refused(421, "host_mismatch");

type Fields<'a> = &'a [(&'a str, &'a str)];

/// A head without a body.
fn whole(id: &'static str, block: Vec<u8>, expect: super::Expect) -> Row {
    row(id, DOCS, Frame::headers(1, WHOLE, block).bytes(), expect)
}

/// A head of just these fields.
fn fields(id: &'static str, fields: Fields<'_>, expect: super::Expect) -> Row {
    whole(id, block(fields), expect)
}

/// A read with further fields.
fn with(id: &'static str, fields: Fields<'_>, expect: super::Expect) -> Row {
    whole(id, head("GET", DOCS, "/x", fields), expect)
}

/// A read with a literal field that is no field.
fn literally(id: &'static str, name: &[u8], value: &[u8]) -> Row {
    let block = [head("GET", DOCS, "/x", &[]), literal(0, name, value)].concat();
    whole(id, block, Malformed(1))
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_that_are_no_request_are_refused() {
    const METHOD: (&str, &str) = (":method", "GET");
    const SCHEME: (&str, &str) = (":scheme", "https");
    const AUTHORITY: (&str, &str) = (":authority", DOCS);
    const PATH: (&str, &str) = (":path", "/x");
    let no = Malformed(1);
    refuse(vec![
        // E-16, E-31: names and values that would be lines of their own in HTTP/1.1.
        literally("8.2.1 an upper-case name", b"X-Test", b"1"),
        literally("8.2.1 a space in a name", b"x test", b"1"),
        literally("8.2.1 a space after a name", b"x-test ", b"1"),
        literally("8.2.1 a tab in a name", b"x-test\t", b"1"),
        literally("8.2.1 a colon in a name", b"x-test:1\r\nx-more", b"1"),
        literally("8.2.1 a line in a name", b"x-test\r\nauthorization", b"1"),
        literally("8.2.1 a NUL in a name", b"x\0test", b"1"),
        literally("8.2.1 a byte beyond ASCII in a name", b"x-t\xe9st", b"1"),
        literally("8.2.1 an empty name", b"", b"1"),
        literally("8.2.1 a line in a value", b"x-test", b"1\r\nauthorization: Bearer x"),
        literally("8.2.1 a bare CR in a value", b"x-test", b"1\rx"),
        literally("8.2.1 a bare LF in a value", b"x-test", b"1\nx"),
        literally("8.2.1 a NUL in a value", b"x-test", b"1\0"),
        with("8.2.2 connection", &[("connection", "x-test"), ("x-test", "1")], no),
        with("8.2.2 keep-alive", &[("keep-alive", "timeout=5")], no),
        with("8.2.2 proxy-connection", &[("proxy-connection", "keep-alive")], no),
        with("8.2.2 transfer-encoding", &[("transfer-encoding", "chunked")], no),
        // G-11: an upgrade to h2c, or to anything.
        with("8.2.2 upgrade", &[("upgrade", "h2c"), ("http2-settings", "AAMAAABkAAQAAP__")], no),
        with("8.2.2 upgrade to a WebSocket", &[("upgrade", "websocket")], no),
        with("8.2.2 te: trailers, deflate", &[("te", "trailers, deflate")], no),
        with("8.2.2 te: chunked", &[("te", "chunked")], no),
        with("8.3 an unknown pseudo-header", &[(":test", "1")], no),
        fields("8.3 one before all", &[(":x", "1"), METHOD, SCHEME, AUTHORITY, PATH], no),
        fields(
            "8.3 a pseudo-header of responses",
            &[METHOD, SCHEME, AUTHORITY, PATH, (":status", "200")],
            no,
        ),
        fields(
            "8.3 a pseudo-header after a field",
            &[METHOD, SCHEME, AUTHORITY, ("x-test", "1"), PATH],
            no,
        ),
        fields("8.3.1 no method", &[SCHEME, AUTHORITY, PATH], no),
        fields("8.3.1 no scheme", &[METHOD, AUTHORITY, PATH], no),
        fields("8.3.1 no path", &[METHOD, SCHEME, AUTHORITY], no),
        fields("8.3.1 an empty path", &[METHOD, SCHEME, AUTHORITY, (":path", "")], no),
        fields("8.3 a method twice", &[METHOD, METHOD, SCHEME, AUTHORITY, PATH], no),
        fields("8.3 a scheme twice", &[METHOD, SCHEME, SCHEME, AUTHORITY, PATH], no),
        fields("8.3 an authority twice", &[METHOD, SCHEME, AUTHORITY, AUTHORITY, PATH], no),
        fields("8.3 a path twice", &[METHOD, SCHEME, AUTHORITY, PATH, PATH], no),
        // B-17, B-21: a tunnel within the tunnel.
        fields(
            "8.5 CONNECT",
            &[(":method", "CONNECT"), (":authority", "evil.example:22")],
            MALFORMED,
        ),
        fields(
            "8.5 CONNECT to the host",
            &[(":method", "CONNECT"), (":authority", DOCS)],
            MALFORMED,
        ),
        fields("8.5 CONNECT without a host", &[(":method", "CONNECT")], no),
        fields("8.5 CONNECT with a path", &[(":method", "CONNECT"), SCHEME, AUTHORITY, PATH], no),
        fields(
            "RFC 8441 4: extended CONNECT, which is not offered",
            &[(":method", "CONNECT"), (":protocol", "websocket"), SCHEME, AUTHORITY, PATH],
            no,
        ),
        fields(
            "RFC 8441 4: a protocol on another method",
            &[METHOD, (":protocol", "websocket"), SCHEME, AUTHORITY, PATH],
            no,
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_not_what_their_head_says_are_refused() {
    let length = QUERY.len().to_string();
    let body = |id, fields: Fields<'_>, pieces: &[&str]| {
        let mut frames = vec![Frame::headers(1, END_HEADERS, waiting(fields))];
        for (count, piece) in pieces.iter().enumerate() {
            let last = if count + 1 == pieces.len() { END_STREAM } else { 0 };
            frames.push(Frame::data(1, last, *piece));
        }
        row(id, RAILWAY, bytes(&frames), Stream(PROTOCOL))
    };
    let whole = |id, fields: Fields<'_>| {
        row(id, RAILWAY, Frame::headers(1, WHOLE, waiting(fields)).bytes(), Stream(PROTOCOL))
    };
    let trailers = |id, flags, block: Vec<u8>| {
        let frames = [
            Frame::headers(1, END_HEADERS, waiting(&[])),
            Frame::data(1, 0, QUERY),
            Frame::headers(1, flags, block),
        ];
        row(id, RAILWAY, bytes(&frames), Stream(PROTOCOL))
    };
    let said = ("content-length", &*length);
    refuse(vec![
        // E-07, E-08, S-7: one length, a number, and the body's.
        body("8.1.1 less than content-length", &[("content-length", "99")], &[QUERY]),
        body("8.1.1 more than content-length", &[("content-length", "1")], &[QUERY]),
        body("8.1.1 more than content-length, in pieces", &[said], &[QUERY, " "]),
        body("8.1.1 less than content-length, in pieces", &[said], &[&QUERY[..5], &QUERY[5..9]]),
        body("8.1.1 an end without the rest", &[said], &[&QUERY[..5], ""]),
        whole("8.1.1 a length without a body", &[said]),
        body("8.1.1 two lengths", &[said, ("content-length", "99")], &[QUERY]),
        body("8.1.1 a length with a sign", &[("content-length", &format!("+{length}"))], &[QUERY]),
        body("8.1.1 a hexadecimal length", &[("content-length", "0x1c")], &[QUERY]),
        body(
            "8.1.1 a list of lengths",
            &[("content-length", &format!("{length}, {length}"))],
            &[QUERY],
        ),
        body("8.1.1 a length below zero", &[("content-length", "-1")], &[QUERY]),
        body("8.1.1 an empty length", &[("content-length", "")], &[QUERY]),
        body("8.1.1 a length of 30 digits", &[("content-length", &"9".repeat(30))], &[QUERY]),
        trailers("8.1 trailers that do not end the stream", END_HEADERS, block(&[("x-sum", "1")])),
        trailers("8.2.1 an upper-case name in trailers", WHOLE, block(&[("X-Sum", "1")])),
        trailers("8.2.2 a connection field in trailers", WHOLE, block(&[("upgrade", "h2c")])),
        trailers("8.3 an unknown pseudo-header in trailers", WHOLE, block(&[(":test", "1")])),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_with_a_second_reading_are_refused() {
    let read = |authority: &str, path: &str| head("GET", authority, path, &[]);
    let bare = |fields: Fields<'_>| {
        let pseudo = [(":method", "GET"), (":scheme", "https"), (":path", "/x")];
        block(&[&pseudo, fields].concat())
    };
    let scheme = |scheme: &str| {
        block(&[(":method", "GET"), (":scheme", scheme), (":authority", DOCS), (":path", "/x")])
    };
    let mut rows = vec![
        whole("G-02 no authority and no host", bare(&[]), MALFORMED),
        whole(
            "G-02 no authority and two hosts",
            bare(&[("host", DOCS), ("host", DOCS)]),
            MALFORMED,
        ),
        whole("G-02 no authority and another host", bare(&[("host", "evil.example")]), MISMATCH),
        whole("G-02 no authority and an empty host", bare(&[("host", "")]), MALFORMED),
        // D-02, F-02, S-7
        with("F-02 authority and two hosts", &[("host", DOCS), ("host", DOCS)], MALFORMED),
        with("F-02 authority and another host", &[("host", "evil.example")], MISMATCH),
        with("F-03 a host with a user", &[("host", "docs.railway.com@evil.example")], MALFORMED),
        with("F-02 a list of hosts", &[("host", "docs.railway.com, evil.example")], MALFORMED),
        with("F-03 a host with spaces", &[("host", " docs.railway.com ")], MALFORMED),
        with("F-06 a host with another port", &[("host", "docs.railway.com:8443")], MISMATCH),
        whole("D-02 another authority", read("evil.example", "/x"), MISMATCH),
        whole("D-02 another declared host", read(RAILWAY, "/x"), MISMATCH),
        whole("G-03 a user", read("docs.railway.com@evil.example", "/x"), MALFORMED),
        whole("G-03 a user of the right host", read("evil@docs.railway.com", "/x"), MALFORMED),
        whole("G-03 brackets", read("[docs.railway.com]", "/x"), Malformed(1)),
        whole("G-03 a list", read("docs.railway.com,evil.example", "/x"), MALFORMED),
        whole("G-03 another port", read("docs.railway.com:444", "/x"), MISMATCH),
        whole("G-03 no number for a port", read("docs.railway.com:", "/x"), Malformed(1)),
        whole("G-03 a port beyond all", read("docs.railway.com:65979", "/x"), Malformed(1)),
        whole("G-03 a percent sign", read("docs%2erailway.com", "/x"), Malformed(1)),
        whole("C-01 an address", read("127.0.0.1", "/x"), Malformed(1)),
        whole("S-7 http within TLS", scheme("http"), MALFORMED),
        whole("S-7 ftp within TLS", scheme("ftp"), MALFORMED),
        whole("G-05 an empty segment", read(DOCS, "//evil.example/x"), MALFORMED),
        whole("G-05 a backslash", read(DOCS, "/a\\b"), MALFORMED),
        whole("G-05 raw UTF-8", read(DOCS, "/\u{e4}"), MALFORMED),
        whole("G-05 an asterisk", read(DOCS, "*"), MALFORMED),
        whole("G-05 no slash", read(DOCS, "x"), Malformed(1)),
        whole("G-05 a URL", read(DOCS, "https://evil.example/x"), Malformed(1)),
        whole("G-05 a space", read(DOCS, "/a b"), Malformed(1)),
        whole(
            "E-31 a request line in a path",
            read(DOCS, "/x HTTP/1.1\r\nHost: evil.example"),
            Malformed(1),
        ),
        whole("E-31 a line in a path", read(DOCS, "/x\r\n"), Malformed(1)),
        whole("G-05 a NUL", read(DOCS, "/\0"), Malformed(1)),
        whole("G-05 a matrix parameter", read(DOCS, "/a;b"), MALFORMED),
        whole("G-05 encoded twice", read(DOCS, "/%252e%252e/x"), MALFORMED),
        with(
            "G-09 authorization twice",
            &[("authorization", "a"), ("authorization", "b")],
            MALFORMED,
        ),
        with(
            "G-09 content-type twice",
            &[("content-type", "a/a"), ("content-type", "b/b")],
            MALFORMED,
        ),
        with("H-18 an override", &[("x-http-method-override", "DELETE")], MALFORMED),
        with("G-08 an override between spaces", &[("x-http-method", " DELETE ")], MALFORMED),
        with("E-22 an expectation", &[("expect", "200-ok")], MALFORMED),
    ];
    // G-06: in their own spelling, and no others.
    for (id, method) in [
        ("G-06 a small method", "delete"),
        ("G-06 a method of mixed case", "Get"),
        ("G-06 a method with a mark", "G!T"),
        ("G-06 TRACE", "TRACE"),
    ] {
        rows.push(whole(id, head(method, DOCS, "/x", &[]), MALFORMED));
    }
    for (id, method) in [("G-06 a method with a space", "GET /"), ("G-06 an empty method", "")] {
        rows.push(whole(id, head(method, DOCS, "/x", &[]), Malformed(1)));
    }
    // A method that nobody knows is judged, and no rule allows it.
    let unknown = head("PURGE", DOCS, "/x", &[]);
    rows.push(Row {
        before: Frame::headers(1, WHOLE, unknown).bytes(),
        ..row(
            "G-06 a method of no rule, and none on the same stream",
            DOCS,
            Frame::headers(1, WHOLE, head("GET", DOCS, "/x", &[])).bytes(),
            Stream(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        )
    });
    refuse(rows).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tunnel_that_says_it_has_a_body_ends_everything() {
    // B-14, B-17: the library gives up the connection, without a word.
    let gate = Gate::start().await;
    let mut frames = Frames::open(gate.running(), DOCS).await;
    let connect =
        [(":method", "CONNECT"), (":authority", "docs.railway.com:443"), ("content-length", "5")];
    frames
        .send(&[
            Frame::headers(1, END_HEADERS, block(&connect)),
            Frame::data(1, END_STREAM, *b"hello"),
            Frame::headers(3, WHOLE, head("GET", DOCS, "/x", &[])),
        ])
        .await;
    let ended = frames.closed().await;
    assert!(!matches!(ended, Ended::Answer(..)), "{ended:?}");
    assert_eq!(gate.mock.bytes_received(), 0);
}
