//! The rows: a spelling, and what becomes of it.

use super::wire::{bodies, chunks, framing};

/// Bytes of a request, and where they are sent.
pub(super) enum Ask {
    /// To the proxy's own port.
    Front(Vec<u8>),
    /// Inside an intercepted connection to the host of the test.
    Inside(Vec<u8>),
}

pub(super) enum Then {
    /// The connection ends without an answer, and nothing is sent.
    Ended,
    /// With this reason, and nothing is sent.
    Refused(&'static str),
    /// The request line, fields that are there with a value or are not there, and the body.
    Sent {
        line: String,
        has: Vec<(&'static str, Option<&'static str>)>,
        body: Option<&'static str>,
    },
}

pub(super) struct Row {
    /// Cases of the evasion table.
    pub(super) ids: &'static str,
    /// For people.
    pub(super) spelling: String,
    pub(super) ask: Ask,
    pub(super) then: Then,
}

pub(super) struct Area {
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) rows: Vec<Row>,
}

pub(super) const MALFORMED: Then = Then::Refused("malformed");

pub(super) fn sent(line: &str) -> Then {
    Then::Sent { line: line.to_owned(), has: Vec::new(), body: None }
}

pub(super) fn code(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|c| {
            if c.is_control() || !c.is_ascii() {
                c.escape_default().to_string()
            } else {
                c.to_string()
            }
        })
        .collect();
    format!("`{text}`")
}

/// A CONNECT to an authority, with a `Host` of its own or else the same.
fn connect(ids: &'static str, authority: &str, host: Option<&str>, then: Then) -> Row {
    let bytes =
        format!("CONNECT {authority} HTTP/1.1\r\nHost: {}\r\n\r\n", host.unwrap_or(authority));
    let spelling = match host {
        Some(host) => {
            let (connect, host) = (format!("CONNECT {authority}"), format!("Host: {host}"));
            format!("{} with {}", code(&connect), code(&host))
        }
        None => code(&format!("CONNECT {authority}")),
    };
    Row { ids, spelling, ask: Ask::Front(bytes.into_bytes()), then }
}

/// A request of these lines inside a connection to the host.
pub(super) fn lines(
    ids: &'static str,
    spelling: &str,
    lines: &[&str],
    body: &[u8],
    then: Then,
) -> Row {
    let mut bytes = lines.join("\r\n").into_bytes();
    bytes.extend_from_slice(b"\r\n\r\n");
    bytes.extend_from_slice(body);
    Row { ids, spelling: spelling.to_owned(), ask: Ask::Inside(bytes), then }
}

fn target(ids: &'static str, target: &str, then: Then) -> Row {
    lines(
        ids,
        &code(&format!("GET {target}")),
        &[&format!("GET {target} HTTP/1.1"), "Host: up.example"],
        b"",
        then,
    )
}

fn method(ids: &'static str, method: &str, then: Then) -> Row {
    lines(
        ids,
        &code(&format!("{method} /x")),
        &[&format!("{method} /x HTTP/1.1"), "Host: up.example", "Content-Length: 0"],
        b"",
        then,
    )
}

/// A GET with one more field.
fn field(ids: &'static str, line: &str, has: &[(&'static str, Option<&'static str>)]) -> Row {
    let then = Then::Sent { line: "GET /x".to_owned(), has: has.to_vec(), body: None };
    lines(ids, &code(line), &["GET /x HTTP/1.1", "Host: up.example", line], b"", then)
}

fn bad_field(ids: &'static str, line: &str) -> Row {
    lines(ids, &code(line), &["GET /x HTTP/1.1", "Host: up.example", line], b"", MALFORMED)
}

fn host(ids: &'static str, value: &str, then: Then) -> Row {
    lines(
        ids,
        &code(&format!("Host: {value}")),
        &["GET /x HTTP/1.1", &format!("Host: {value}")],
        b"",
        then,
    )
}

pub(super) fn areas() -> Vec<Area> {
    vec![
        authority(),
        host_field(),
        path(),
        query(),
        methods(),
        fields(),
        framing(),
        chunks(),
        bodies(),
    ]
}

fn authority() -> Area {
    const OUT: Then = Then::Refused("out_of_scope");
    let mut rows = vec![
        connect("B-02", "evil.example%00.up.example:443", None, MALFORMED),
        connect("B-02", "exa%6dple.com:443", None, MALFORMED),
        connect("B-02", "up%2eexample:443", None, MALFORMED),
        connect("B-02", "up.example%2f.evil.example:443", None, MALFORMED),
        connect("B-03", "[up.example]:443", None, MALFORMED),
        connect("B-03", "[[up.example]]:443", None, MALFORMED),
        connect("B-05", "up.example@evil.example:443", None, MALFORMED),
        connect("B-05", "user:password@up.example:443", None, MALFORMED),
        connect("B-12", "140.82.114.4:443", None, OUT),
        connect("B-12", "[2606:4700::1111]:443", None, OUT),
        connect("B-14", "up.example:443", Some("up.example:443\r\nContent-Length: 4"), MALFORMED),
        connect(
            "B-14",
            "up.example:443",
            Some("up.example:443\r\nTransfer-Encoding: chunked"),
            MALFORMED,
        ),
        connect("B-15", "up.example:443", Some("evil.example:443"), Then::Refused("host_mismatch")),
        connect("B-15", "up.example:443", Some("up.example:8443"), Then::Refused("host_mismatch")),
        connect("B-23", "\u{430}llowed.example:443", None, MALFORMED),
        connect("B-24", "up\u{3002}example:443", None, MALFORMED),
        connect("B-24", "\u{24d4}xample.com:443", None, MALFORMED),
        connect("B-24", "up.ex\u{ad}ample:443", None, MALFORMED),
        connect("B-26", "localhost:443", None, OUT),
        connect("B-26", "localhost.:443", None, OUT),
        connect("B-26", "foo.localhost:443", None, OUT),
        connect("B-26", "metadata.google.internal:443", None, OUT),
        connect("B-26", "host.docker.internal:443", None, OUT),
        connect("B-26", "ip6-localhost:443", None, OUT),
        connect("B-11", "up.example:0", None, MALFORMED),
        connect("B-11", "up.example:65536", None, MALFORMED),
        connect("B-11", "up.example:4 43", None, MALFORMED),
        connect("B-11", "up.example:", None, MALFORMED),
        connect("B-11", "up.example", None, MALFORMED),
        connect("B-02", "up_.-.example:443", None, MALFORMED),
        connect("B-02", "up..example:443", None, MALFORMED),
    ];
    let front = |ids, line: &str| Row {
        ids,
        spelling: code(line),
        ask: Ask::Front(format!("{line}\r\nHost: up.example\r\n\r\n").into_bytes()),
        then: MALFORMED,
    };
    rows.extend([
        front("F-09", "GET ftp://up.example/x HTTP/1.1"),
        front("F-09", "GET ws://up.example/x HTTP/1.1"),
        front("F-09", "GET file:///etc/passwd HTTP/1.1"),
        front("F-08", "GET https://up.example/x HTTP/1.1"),
        front("N-03", "GET /metrics HTTP/1.1"),
        front("B-18, A-13", "\u{5}\u{1}\0"),
        Row {
            ids: "G-11",
            spelling: "the preface of HTTP/2".to_owned(),
            ask: Ask::Front(
                b"PRI * HTTP/2.0

SM

"
                .to_vec(),
            ),
            then: Then::Ended,
        },
    ]);
    Area {
        title: "Authority of a CONNECT",
        about: "A host is a name of letters, digits and hyphens whose last label is no number. Its letters are made small and a dot at its end is left out.",
        rows,
    }
}

fn host_field() -> Area {
    let mismatch = || Then::Refused("host_mismatch");
    let absolute = |ids, line: &str, then| {
        lines(ids, &code(line), &[&format!("{line} HTTP/1.1"), "Host: up.example"], b"", then)
    };
    Area {
        title: "Host inside a connection",
        about: "The request names the host that its connection was opened for, once.",
        rows: vec![
            host(
                "B-06, F-12",
                "UP.Example",
                Then::Sent {
                    line: "GET /x".into(),
                    has: vec![("host", Some("up.example"))],
                    body: None,
                },
            ),
            host(
                "F-12",
                "up.example.",
                Then::Sent {
                    line: "GET /x".into(),
                    has: vec![("host", Some("up.example"))],
                    body: None,
                },
            ),
            host(
                "F-06",
                "up.example:443",
                Then::Sent {
                    line: "GET /x".into(),
                    has: vec![("host", Some("up.example"))],
                    body: None,
                },
            ),
            host("D-02", "evil.example", mismatch()),
            host("F-06", "up.example:8443", mismatch()),
            host("F-03", "up.example@evil.example", MALFORMED),
            host("F-03", "up.example/b#c", MALFORMED),
            host("F-03", "", MALFORMED),
            host("F-03", "up.example evil", MALFORMED),
            host("F-03", "up.example\tevil", MALFORMED),
            host("F-03", "up.example:99999", MALFORMED),
            host("F-03", "[up.example]", MALFORMED),
            host("F-02", "up.example, evil.example", MALFORMED),
            lines(
                "F-02",
                "`Host` twice, different",
                &["GET /x HTTP/1.1", "Host: up.example", "Host: evil.example"],
                b"",
                MALFORMED,
            ),
            lines(
                "F-02",
                "`Host` twice, the same",
                &["GET /x HTTP/1.1", "Host: up.example", "Host: up.example"],
                b"",
                MALFORMED,
            ),
            lines("F-02", "no `Host`", &["GET /x HTTP/1.1"], b"", MALFORMED),
            absolute("F-05", "GET https://up.example/x", sent("GET /x")),
            absolute("F-05", "GET https://evil.example/x", mismatch()),
            absolute("F-05", "GET http://up.example/x", MALFORMED),
            absolute("F-09", "GET ftp://up.example/x", MALFORMED),
            absolute("F-11", "GET /http://evil.example/", MALFORMED),
            absolute("F-11", "GET //evil.example/x", MALFORMED),
            absolute("B-17, B-21", "CONNECT evil.example:22", MALFORMED),
            absolute("G-05", "GET *", MALFORMED),
        ],
    }
}

fn path() -> Area {
    let denied = || Then::Refused("scope_violation");
    let mut rows = vec![
        target("H-01", "/public/../x", sent("GET /x")),
        target("H-01", "/public/../admin/x", denied()),
        target("H-01", "/a/./b/%2e/c", sent("GET /a/b/c")),
        target("H-01", "/a/b/%2E%2e/c", sent("GET /a/c")),
        target("H-13", "/%61dmin/x", denied()),
        target("H-13", "/%78?%78=%7e", sent("GET /x?%78=%7e")),
        target("H-13", "/%e2%82%ac", sent("GET /%E2%82%AC")),
        target("H-12", "/admin/", denied()),
        target("H-12", "/admin/.", denied()),
        target("H-12", "/admin/x/..", denied()),
        target("H-12", "/admin./x", denied()),
        target("H-12", "/admin%20/x", denied()),
        target("H-12", "/admin?", denied()),
        target("H-12", "/ADMIN/x", denied()),
        target("H-12", "/admin%3f/x", denied()),
        target("H-15", "/a/admin/x", sent("GET /a/admin/x")),
        target("H-24", "/a/%2e%2e/%2e%2e/x", MALFORMED),
    ];
    for (ids, path) in [
        ("H-03, H-25", "/public/..%2fadmin"),
        ("H-03", "/public%2f..%2fadmin"),
        ("H-03", "/a%2fb"),
        ("H-03", "/a/..%5cadmin"),
        ("H-03", "/a%5cb"),
        ("H-04", "/a\\..\\admin"),
        ("H-04", "/a\\admin"),
        ("H-06", "/admin;x=y/"),
        ("H-06", "/user/..;foo=bar/admin"),
        ("H-06", "/;/admin"),
        ("H-06", "/a/..;/b"),
        ("H-06", "/a%3bb"),
        ("H-07", "/%252e%252e%252fadmin"),
        ("H-07", "/%2561dmin"),
        ("H-07", "/%25%32%65"),
        ("H-09", "/%c0%ae%c0%ae/"),
        ("H-09", "/%e0%80%af"),
        ("H-09", "/%u002e"),
        ("H-09", "/caf\u{e9}"),
        ("H-09", "/%ff"),
        ("H-10", "/%00"),
        ("H-10", "/a%0d%0ab"),
        ("H-10", "/a%09b"),
        ("H-10", "/a%7fb"),
        ("H-12", "/admin::$DATA%"),
        ("F-11", "/a//b"),
        ("E-26", "/a%"),
        ("E-26", "/a%zz"),
        ("G-05", "/a#b"),
        ("H-24", "/.."),
        ("H-24", "/a/../../b"),
    ] {
        rows.push(target(ids, path, MALFORMED));
    }
    let long = format!("/{}", "a".repeat(9_000));
    rows.push(lines(
        "E-26",
        "a path of 9,000 bytes",
        &[&format!("GET {long} HTTP/1.1"), "Host: up.example"],
        b"",
        MALFORMED,
    ));
    Area {
        title: "Path",
        about: "Dot segments are resolved, unreserved bytes decoded, escapes written with capitals (RFC 3986 section 6.2.2). A rule forbids `/admin/**` here.",
        rows,
    }
}

fn query() -> Area {
    let mut rows = vec![
        target("H-16", "/x?id=1&id=2&a[]=3&=4&b+c=%26", sent("GET /x?id=1&id=2&a[]=3&=4&b+c=%26")),
        target("H-18", "/x?method=card", sent("GET /x?method=card")),
        target("H-16", "/x?a=%ff", MALFORMED),
    ];
    for name in [
        "_method",
        "_METHOD",
        "%5fmethod",
        "_method[]",
        "x-method-override",
        "x-http-method-override",
        "X-HTTP-Method",
        "httpMethod",
        "x-tunneled-method",
        "$method",
        "a=1;_method",
    ] {
        rows.push(target("H-18", &format!("/x?{name}=DELETE"), MALFORMED));
    }
    let many = format!("/x?{}", "a&".repeat(1_001));
    rows.push(lines(
        "H-16",
        "1,001 parameters",
        &[&format!("GET {many} HTTP/1.1"), "Host: up.example"],
        b"",
        MALFORMED,
    ));
    Area {
        title: "Query",
        about: "A query is sent as it was written. A parameter that frameworks read as the method that is really meant is refused.",
        rows,
    }
}

fn methods() -> Area {
    let denied = || Then::Refused("scope_violation");
    let mut rows = vec![
        method("H-22", "OPTIONS", sent("OPTIONS /x")),
        method("H-22", "TRACE", MALFORMED),
        method("G-06", "delete", MALFORMED),
        method("G-06", "G!T", MALFORMED),
        method("G-06", "Get", MALFORMED),
        method("E-26", &"A".repeat(40), MALFORMED),
    ];
    for name in [
        "PROPFIND",
        "MKCOL",
        "MOVE",
        "COPY",
        "LOCK",
        "REPORT",
        "MERGE",
        "PURGE",
        "LINK",
        "QUERY",
        "DELETE",
        "FROBNICATE",
    ] {
        rows.push(method("H-21", name, denied()));
    }
    Area {
        title: "Method",
        about: "Methods are capitals, and only those that a rule allows.",
        rows,
    }
}

fn fields() -> Area {
    let mut rows = vec![
        field("E-17", "X-Name: caf\u{e9}", &[("x-name", Some("caf\u{e9}"))]),
        field("G-08", "X-Name:  a  ", &[("x-name", Some("a"))]),
        field("E-22", "Expect: 100-continue", &[("expect", None)]),
        field("G-27", "TE: trailers, deflate", &[("te", Some("trailers"))]),
        field("E-29", "Connection: keep-alive, close", &[("connection", None)]),
        field("S-8", "Connection: x-gone\r\nX-Gone: 1", &[("x-gone", None), ("connection", None)]),
        field("E-14", "Trailer: Authorization", &[("trailer", None)]),
        field("K-10", "Proxy-Authorization: Basic eDp5", &[("proxy-authorization", None)]),
    ];
    for name in [
        "X-Forwarded-For",
        "X-Forwarded-Host",
        "X_Forwarded_Host",
        "Forwarded",
        "Via",
        "X-Original-URL",
        "X-Rewrite-URL",
        "X-Envoy-Original-Path",
        "CF-Connecting-IP",
        "X-Real-IP",
        "X-Upstream-Https-Proxy",
    ] {
        let gone: &'static str = Box::leak(name.to_ascii_lowercase().into_boxed_str());
        rows.push(field("A-16", &format!("{name}: evil.example"), &[(gone, None)]));
    }
    for line in [
        "X-HTTP-Method-Override: DELETE",
        "X-HTTP-Method: DELETE",
        "X-Method-Override: DELETE",
        "x_http_method_override: DELETE",
        "X-Tunneled-Method: DELETE",
    ] {
        rows.push(bad_field("H-18", line));
    }
    for (ids, line) in [
        ("E-22", "Expect: y 100-continue"),
        ("E-22", "Expect: 200-ok"),
        (
            "G-11",
            "Upgrade: h2c\r\nConnection: upgrade, http2-settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__",
        ),
        ("E-23", "Upgrade: x"),
        ("G-11", "Upgrade: websocket, h2c"),
        ("K-04", "Authorization: Bearer a\r\nAuthorization: Bearer b"),
        ("I-02", "Content-Type: application/json\r\nContent-Type: text/plain"),
        ("S-8", "Connection: authorization"),
        ("S-8", "Connection: host"),
        ("S-2", "Transfer_Encoding: chunked"),
        ("S-2", "Content_Length: 4"),
        ("E-16", "X-Name : a"),
        ("E-16", " X-Name: a"),
        ("E-16", "X-Name: a\r\n folded"),
        ("E-16", ": a"),
        ("E-16", "X-Name: a\0b"),
        ("E-16", "X-Name: a\rb"),
        ("E-16", "X-Name: a\u{1}b"),
        ("E-16", "X(Name): a"),
    ] {
        rows.push(bad_field(ids, line));
    }
    let many = (0..101).map(|n| format!("X-{n}: a")).collect::<Vec<_>>().join("\r\n");
    rows.push(lines(
        "E-26",
        "101 fields",
        &["GET /x HTTP/1.1", "Host: up.example", &many],
        b"",
        MALFORMED,
    ));
    let long = format!("X-Name: {}", "a".repeat(1 << 20));
    rows.push(lines(
        "E-26",
        "a field of 1 MiB",
        &["GET /x HTTP/1.1", "Host: up.example", &long],
        b"",
        MALFORMED,
    ));
    Area {
        title: "Fields",
        about: "Fields of one hop, fields that name another client or host, and framing end here; `Host` is written anew.",
        rows,
    }
}
