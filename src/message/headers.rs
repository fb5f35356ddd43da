//! Headers: what goes no further, what must be there once, what must not be there.
//!
//! Takes the headers of a request; returns those that are sent, with `Host` made anew. Strips
//! hop-by-hop fields, those that `Connection` names, and forwarding fields; refuses duplicates of
//! fields that have one value, and method overrides.

use super::framing::is_token;
use super::path::overrides_method;
use super::{Malformed, Target};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::borrow::Cow;

/// Hop-by-hop fields (RFC 9110 section 7.6.1), proxy credentials, framing, which is made anew, and
/// what would change the frames of a WebSocket.
const STRIPPED: &[HeaderName] = &[
    header::CONNECTION,
    header::PROXY_AUTHORIZATION,
    header::PROXY_AUTHENTICATE,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    header::CONTENT_LENGTH,
    header::EXPECT,
    header::SEC_WEBSOCKET_EXTENSIONS,
];

/// Fields that have one value; a second one has two readings.
const SINGLE: &[HeaderName] = &[
    header::AUTHORIZATION,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::CONTENT_RANGE,
    header::ORIGIN,
    header::RANGE,
    header::REFERER,
    header::USER_AGENT,
];

/// What a server could read as another client, host, scheme or path; sorted.
const FORWARDING: &[&str] = &[
    "base-url",
    "cf-connecting-ip",
    "client-ip",
    "cluster-client-ip",
    "fastly-client-ip",
    "forwarded",
    "forwarded-for",
    "front-end-https",
    "http2-settings",
    "keep-alive",
    "proxy-connection",
    "proxy-host",
    "proxy-url",
    "real-ip",
    "request-uri",
    "true-client-ip",
    "via",
    "x-accel-redirect",
    "x-azure-clientip",
    "x-backend-host",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-envoy-external-address",
    "x-envoy-original-path",
    "x-host",
    "x-http-destinationurl",
    "x-http-host-override",
    "x-http-path-override",
    "x-original-host",
    "x-original-path",
    "x-original-remote-addr",
    "x-original-uri",
    "x-original-url",
    "x-originating-ip",
    "x-override-url",
    "x-proxy-host",
    "x-proxy-url",
    "x-real-ip",
    "x-remote-addr",
    "x-remote-ip",
    "x-rewrite-uri",
    "x-rewrite-url",
    "x-scheme",
    "x-sendfile",
    "x-upstream-https-proxy",
    "x-url-scheme",
];

/// A name of a header as servers compare it that hand headers on as variables: `X_Env` and `X.Env` may
/// be `x-env` to them.
pub fn as_variable(name: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.chars().all(is_plain) {
        return Cow::Borrowed(name);
    }
    let fold = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    Cow::Owned(name.chars().map(fold).collect())
}

/// Whether a field forwards; servers that hand names on as variables take `_` for `-`.
fn is_forwarding(name: &str) -> bool {
    let known = |name: &str| {
        name.starts_with("x-forwarded-")
            || name == "x-forwarded"
            || FORWARDING.binary_search(&name).is_ok()
    };
    if name.contains('_') { known(&name.replace('_', "-")) } else { known(name) }
}

fn is_override(name: &str) -> bool {
    // Most names are told apart without a copy.
    (name.contains("method") || name.contains("verb"))
        && (matches!(name, "method" | "x-method") || overrides_method(name))
}

/// Makes the headers that are sent; also says whether a WebSocket upgrade is asked for.
pub(super) fn canonical(
    mut headers: HeaderMap,
    target: &Target,
) -> Result<(HeaderMap, bool), Malformed> {
    trim(&mut headers);
    let gone = check(&headers)?;
    let upgrade = upgrade(&headers)?;
    let trailers = takes_trailers(&headers);
    if let Some(expected) = headers.get(header::EXPECT)
        && !expected.as_bytes().eq_ignore_ascii_case(b"100-continue")
    {
        return Err(Malformed::Header("expect".to_owned(), "only 100-continue is known"));
    }
    for name in nominated(&headers)? {
        headers.remove(name);
    }
    for name in gone {
        headers.remove(name);
    }
    let written = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if !written.is_some_and(|host| target.is_written(host)) {
        let host = HeaderValue::from_str(&target.authority())
            .map_err(|_invalid| Malformed::Authority(super::authority::Error::Character))?;
        headers.insert(header::HOST, host);
    }
    if trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    join_cookies(&mut headers)?;
    Ok((headers, upgrade))
}

/// HTTP/2 lets the spaces around a value pass that HTTP/1.1 drops (RFC 9110 section 5.5).
fn trim(headers: &mut HeaderMap) {
    for value in headers.values_mut() {
        let trimmed = value.as_bytes().trim_ascii();
        if trimmed.len() != value.len()
            && let Ok(mut trimmed) = HeaderValue::from_bytes(trimmed)
        {
            trimmed.set_sensitive(value.is_sensitive());
            *value = trimmed;
        }
    }
}

/// The fields that `Connection` names, which end at this hop.
fn nominated(headers: &HeaderMap) -> Result<Vec<HeaderName>, Malformed> {
    let names: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .collect();
    // Nominating a field must not be a way to take it out of the judged request.
    let kept = [header::HOST, header::AUTHORIZATION, header::COOKIE, header::CONTENT_TYPE];
    if names.iter().any(|name| kept.contains(name)) {
        return Err(Malformed::Header("connection".to_owned(), "it names an end-to-end field"));
    }
    Ok(names)
}

/// Refuses what has two readings; returns the fields that go no further.
fn check(headers: &HeaderMap) -> Result<Vec<HeaderName>, Malformed> {
    let mut gone = Vec::new();
    for name in headers.keys() {
        let text = name.as_str();
        // HTTP/2 readers let a quote pass in a name, which no name of HTTP/1.1 has.
        if !text.bytes().all(is_token) {
            return Err(Malformed::Header(text.to_owned(), "its name is not a token"));
        }
        if is_override(text) {
            return Err(Malformed::Override("a header"));
        }
        if matches!(
            text,
            "transfer_encoding" | "content_length" | "content_encoding" | "content_type"
        ) {
            return Err(Malformed::Header(text.to_owned(), "it imitates what frames the body"));
        }
        if *name == header::TRANSFER_ENCODING && !is_chunked(headers) {
            return Err(Malformed::Framing("its transfer coding is not just `chunked`"));
        }
        if STRIPPED.contains(name) || is_forwarding(text) {
            gone.push(name.clone());
        }
    }
    // A map with as many values as names has nothing twice.
    if headers.len() != headers.keys_len() {
        for name in SINGLE {
            let mut values = headers.get_all(name).iter();
            if values.next().is_some() && values.next().is_some() {
                return Err(Malformed::Header(name.to_string(), "it stands there twice"));
            }
        }
    }
    Ok(gone)
}

/// Whether the one transfer coding is `chunked` (RFC 9112 section 6.1).
fn is_chunked(headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    codings.next().is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"chunked"))
        && codings.next().is_none()
}

fn upgrade(headers: &HeaderMap) -> Result<bool, Malformed> {
    let mut upgrades = headers.get_all(header::UPGRADE).iter();
    let Some(value) = upgrades.next() else { return Ok(false) };
    let websocket =
        value.as_bytes().eq_ignore_ascii_case(b"websocket") && upgrades.next().is_none();
    if !websocket {
        return Err(Malformed::Header("upgrade".to_owned(), "only websocket is known"));
    }
    Ok(true)
}

/// Whether the client takes trailers, so that the upstream may be asked for them (RFC 9110 10.1.4).
fn takes_trailers(headers: &HeaderMap) -> bool {
    headers.get_all(header::TE).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"trailers"))
    })
}

/// HTTP/2 may split a cookie into crumbs (RFC 9113 section 8.2.3); they are one value.
fn join_cookies(headers: &mut HeaderMap) -> Result<(), Malformed> {
    let crumbs: Vec<&HeaderValue> = headers.get_all(header::COOKIE).iter().collect();
    if crumbs.len() < 2 {
        return Ok(());
    }
    // An empty one would leave a space at an end, which not every reader takes for part of the value.
    let crumbs = crumbs.iter().map(|value| value.as_bytes()).filter(|crumb| !crumb.is_empty());
    let joined = crumbs.collect::<Vec<_>>().join(&b"; "[..]);
    let value = HeaderValue::from_bytes(&joined)
        .map_err(|_invalid| Malformed::Header("cookie".to_owned(), "it cannot be joined"))?;
    headers.insert(header::COOKIE, value);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forwarding_fields_are_known_in_every_spelling() {
        assert!(FORWARDING.is_sorted());
        for name in ["x-forwarded-host", "x_forwarded_for", "x-original_url", "via", "x_real_ip"] {
            assert!(is_forwarding(name), "{name}");
        }
        for name in ["x-forward", "x-request-id", "urls", "traceparent"] {
            assert!(!is_forwarding(name), "{name}");
        }
    }
}
