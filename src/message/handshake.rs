//! The handshake of a WebSocket (RFC 6455 section 4.2.1).
//!
//! Takes method and headers of a request that asks for an upgrade; says what keeps it from being a
//! handshake. Refuses what some server could take for one and another not: a second version, key or
//! spelling of them, and subprotocols that are no list of different names.

use super::Malformed;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderMap, HeaderName};
use http::{HeaderValue, Method};

/// More subprotocols than any client speaks.
const MOST: usize = 20;

/// Checks the parts of a handshake that a head has.
pub(super) fn check(method: &Method, headers: &HeaderMap) -> Result<(), Malformed> {
    let wrong = |name: &HeaderName, why| Err(Malformed::Header(name.to_string(), why));
    if *method != Method::GET {
        return Err(Malformed::Method("a handshake is a GET"));
    }
    if !has_word(headers, &header::CONNECTION, "upgrade") {
        return wrong(&header::CONNECTION, "it does not name the upgrade");
    }
    let parts = ["sec-websocket-key", "sec-websocket-version", "sec-websocket-protocol", "upgrade"];
    let named = |part: &&&str| has_word(headers, &header::CONNECTION, part);
    if parts.iter().filter(named).count() > 1 {
        return wrong(&header::CONNECTION, "it names a part of the handshake");
    }
    let name = header::SEC_WEBSOCKET_VERSION;
    if single(headers, &name).is_none_or(|value| value.as_bytes() != b"13") {
        return wrong(&name, "version 13 is the only one");
    }
    let name = header::SEC_WEBSOCKET_KEY;
    let key = single(headers, &name).and_then(|value| STANDARD.decode(value).ok());
    if key.is_none_or(|key| key.len() != 16) {
        return wrong(&name, "it is not 16 bytes in base64");
    }
    let name = header::SEC_WEBSOCKET_PROTOCOL;
    let values = headers.get_all(&name).iter().count();
    let texts = headers.get_all(&name).iter().filter(|value| value.to_str().is_ok()).count();
    let offered = subprotocols(headers);
    let twice = offered
        .iter()
        .enumerate()
        .any(|(at, one)| offered.iter().skip(at + 1).any(|other| other.eq_ignore_ascii_case(one)));
    if values != texts
        || twice
        || (values > 0 && offered.is_empty())
        || offered.len() > MOST
        || !offered.iter().all(|name| is_token(name))
    {
        return wrong(&name, "it is not a list of different names");
    }
    Ok(())
}

/// The subprotocols on offer.
pub(super) fn subprotocols(headers: &HeaderMap) -> Vec<&str> {
    headers
        .get_all(header::SEC_WEBSOCKET_PROTOCOL)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .collect()
}

fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    values.next().filter(|_| values.next().is_none())
}

fn has_word(headers: &HeaderMap, name: &HeaderName, word: &str) -> bool {
    headers.get_all(name).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|part| part.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
    })
}

/// A token (RFC 9110 section 5.6.2).
fn is_token(text: &str) -> bool {
    let is_mark = |byte| b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || is_mark(byte))
}

#[cfg(test)]
mod tests {
    use crate::message::tests::head;

    const GOOD: &[(&str, &str)] = &[
        ("connection", "keep-alive, Upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-extensions", "permessage-deflate"),
        ("sec-websocket-protocol", "graphql-transport-ws, graphql-ws"),
    ];

    #[test]
    fn a_handshake_is_one_or_is_refused() {
        let good = head("GET", "https://a.test/s", GOOD).unwrap();
        assert!(good.is_upgrade());
        assert_eq!(good.subprotocols(), ["graphql-transport-ws", "graphql-ws"]);
        assert!(good.header("sec-websocket-extensions").is_none(), "G-23: extensions end here");
        assert!(head("POST", "https://a.test/s", GOOD).is_err());
        let changed = |name: &str, value: Option<&str>| {
            let kept = GOOD.iter().filter(|(known, _)| *known != name).copied();
            let headers: Vec<_> = kept.chain(value.map(|value| (name, value))).collect();
            head("GET", "https://a.test/s", &headers)
        };
        for (name, value) in [
            ("connection", None),
            ("connection", Some("keep-alive")),
            ("upgrade", Some("websocket, h2c")),
            ("sec-websocket-version", None),
            ("sec-websocket-version", Some("8")),
            ("sec-websocket-version", Some("13, 8")),
            ("sec-websocket-key", None),
            ("sec-websocket-key", Some("")),
            ("sec-websocket-key", Some("dGhlIHNhbXBsZSBub25j")),
            ("sec-websocket-key", Some("not base64 at all!!!!!!")),
            ("sec-websocket-protocol", Some("")),
            ("sec-websocket-protocol", Some("a, a")),
            ("sec-websocket-protocol", Some("a,,b")),
            ("sec-websocket-protocol", Some("a b")),
        ] {
            assert!(changed(name, value).is_err(), "{name}: {value:?}");
        }
        for (name, value) in [
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("upgrade", "websocket"),
        ] {
            let twice: Vec<_> = GOOD.iter().copied().chain([(name, value)]).collect();
            assert!(head("GET", "https://a.test/s", &twice).is_err(), "{name} twice");
        }
        assert!(!changed("upgrade", None).unwrap().is_upgrade());
    }
}
