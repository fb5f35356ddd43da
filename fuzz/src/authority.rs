//! I2: a host has one value, and whatever is accepted as one names the same place to everybody.

use holdgate::message::{Head, Host, Target};
use http::{HeaderMap, HeaderValue, Method, Uri};
use std::net::IpAddr;

/// Reads the bytes as a host, as the target of a CONNECT, as an absolute form and as `Host`.
pub fn authority(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        if let Ok(host) = Host::parse(text) {
            check_host(&host, text);
        }
        if let Ok(uri) = text.parse::<Uri>() {
            connect(&uri);
        }
        if let Ok(uri) = format!("http://{text}/").parse::<Uri>() {
            absolute(&uri);
        }
    }
    if let Ok(value) = HeaderValue::from_bytes(data) {
        host_header(&value);
    }
}

/// Nothing but a name, in the one spelling that is resolved, dialled, verified and sent.
pub(super) fn check_host(host: &Host, written: &str) {
    let name = host.as_str();
    assert_eq!(Host::parse(name).as_ref(), Ok(host), "another value the second time");
    assert!(written.strip_suffix('.').unwrap_or(written).eq_ignore_ascii_case(name));
    let ldh =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_".contains(&byte);
    assert!((1..=253).contains(&name.len()));
    for label in name.split('.') {
        assert!((1..=63).contains(&label.len()) && label.bytes().all(ldh), "{name}");
        assert!(!label.starts_with('-') && !label.ends_with('-'), "{name}");
    }
    // What any reader of addresses would take for one: inet_aton and WHATWG URLs look at the last.
    let last = name.rsplit('.').next().unwrap_or(name);
    assert!(name.parse::<IpAddr>().is_err() && last.parse::<u128>().is_err(), "{name}");
    let hexadecimal = last.strip_prefix("0x").is_some_and(|digits| {
        digits.is_empty() || digits.bytes().all(|digit| digit.is_ascii_hexdigit())
    });
    assert!(!hexadecimal, "{name}");
}

fn connect(uri: &Uri) {
    let Ok(target) = Target::of_connect(uri, &HeaderMap::new()) else { return };
    let written = uri.authority().expect("it has one").as_str();
    let (host, port) = written.rsplit_once(':').expect("a CONNECT names its port");
    check_host(target.host(), host);
    assert_eq!(port.parse::<u16>().ok(), Some(target.port()));
    assert_ne!(target.port(), 0);
    let again: Uri = target.to_string().parse().expect("what is canonical is an authority");
    assert_eq!(Target::of_connect(&again, &HeaderMap::new()).ok().as_ref(), Some(&target));
    let mut headers = HeaderMap::new();
    headers.insert("host", target.authority().parse().expect("it is a header value"));
    assert_eq!(Target::of_connect(uri, &headers).ok(), Some(target));
}

fn absolute(uri: &Uri) {
    let Ok(target) = Target::of_absolute(uri) else { return };
    assert!(target.is_cleartext());
    let written = uri.authority().expect("it has one").as_str();
    let (host, port) = written.split_once(':').unwrap_or((written, "80"));
    check_host(target.host(), host);
    assert_eq!(port.parse::<u16>().ok(), Some(target.port()));
    let again: Uri = format!("http://{}/", target.authority()).parse().expect("it is canonical");
    assert_eq!(Target::of_absolute(&again).ok(), Some(target));
}

/// In a tunnel to `a.test` only that host can be named, and it is sent in its one spelling.
fn host_header(value: &HeaderValue) {
    let target = Target::new(Host::parse("a.test").expect("it is a name"), 443, false);
    let mut headers = HeaderMap::new();
    headers.insert("host", value.clone());
    let Ok(head) = Head::read(Method::GET, &Uri::from_static("/"), headers, target) else { return };
    let written = value.to_str().expect("only text is a host").to_ascii_lowercase();
    let (host, port) = written.split_once(':').unwrap_or((&written, "443"));
    assert_eq!(host.strip_suffix('.').unwrap_or(host), "a.test");
    assert_eq!(port.parse::<u16>(), Ok(443));
    assert_eq!(head.header("host"), Some("a.test"));
}
