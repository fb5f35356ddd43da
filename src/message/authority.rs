//! Hosts and ports: one canonical value for policy, resolution, dialling, SNI, certificate and Host.
//!
//! Takes the authority of a CONNECT, of an absolute form, of `:authority` or `Host`; returns
//! [`Target`]. Refuses everything that is not a strict letter-digit-hyphen name with an optional
//! port: no userinfo, no percent signs, no brackets, no addresses in any spelling.

use super::{Malformed, Refused};
use http::{HeaderMap, Uri};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

/// A canonical host name: lower case ASCII labels, no trailing dot, last label not a number.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Host(Arc<str>);

/// Why an authority is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("there is no host")]
    Missing,
    /// It is an address, in some spelling.
    #[error("write a host name, not an address")]
    Address,
    /// A byte that no host name has.
    #[error("a host name has only letters, digits, hyphens and dots")]
    Character,
    /// A label is empty, too long, or begins or ends with a hyphen.
    #[error("a label of the host name is empty, too long or begins or ends with a hyphen")]
    Label,
    /// The port is not a number from 1 to 65535, or is missing where it must be there.
    #[error("the port is missing or not a number")]
    Port,
    /// There is more than one authority, or they differ in form.
    #[error("there is more than one host")]
    Several,
    /// The scheme is neither `http` nor `https`, or not the one of the connection.
    #[error("the scheme is not the connection's")]
    Scheme,
}

impl Host {
    /// Reads a host name.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let text = text.strip_suffix('.').unwrap_or(text);
        if text.is_empty() {
            return Err(Error::Missing);
        }
        if text.starts_with('[') || text.contains(':') {
            return Err(Error::Address);
        }
        if text.len() > 253 {
            return Err(Error::Label);
        }
        if !text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_'))
        {
            return Err(Error::Character);
        }
        let bad = |label: &str| {
            label.is_empty() || label.len() > 63 || label.starts_with('-') || label.ends_with('-')
        };
        if text.split('.').any(bad) {
            return Err(Error::Label);
        }
        // A name whose last label is a number is an address to inet_aton and to WHATWG URLs.
        let last = text.rsplit('.').next().unwrap_or(text).to_ascii_lowercase();
        let hexadecimal =
            last.strip_prefix("0x").is_some_and(|rest| rest.bytes().all(|b| b.is_ascii_hexdigit()));
        if hexadecimal || last.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Error::Address);
        }
        Ok(Self(Arc::from(text.to_ascii_lowercase())))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name, shared.
    pub const fn shared(&self) -> &Arc<str> {
        &self.0
    }

    /// The part after the first label, if there is one.
    pub fn parent(&self) -> Option<&str> {
        self.0.split_once('.').map(|(_, parent)| parent)
    }

    /// Whether the name can only mean this machine or its surroundings.
    pub fn is_reserved(&self) -> bool {
        const SUFFIXES: &[&str] =
            &["localhost", "internal", "local", "localdomain", "home.arpa", "onion", "invalid"];
        !self.0.contains('.')
            || SUFFIXES.iter().any(|suffix| {
                self.0
                    .strip_suffix(suffix)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a request goes: host, port, and whether in clear text.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    host: Host,
    port: u16,
    cleartext: bool,
}

impl Target {
    /// A target of its parts.
    pub const fn new(host: Host, port: u16, cleartext: bool) -> Self {
        Self { host, port, cleartext }
    }

    /// Reads the authority-form of a CONNECT: host and port, both there (RFC 9110 section 9.3.6).
    pub fn of_connect(uri: &Uri, headers: &HeaderMap) -> Result<Self, Refused> {
        let authority = uri.authority().ok_or(Malformed::Authority(Error::Missing))?.as_str();
        let (host, port) = split(authority).map_err(Malformed::Authority)?;
        let port = port.ok_or(Malformed::Authority(Error::Port))?;
        let target = Self::new(host, port, false);
        check_host_header(headers, &target)?;
        Ok(target)
    }

    /// Reads the authority of an absolute-form request in clear text.
    pub fn of_absolute(uri: &Uri) -> Result<Self, Malformed> {
        if uri.scheme_str() != Some("http") {
            return Err(Error::Scheme.into());
        }
        let authority = uri.authority().ok_or(Error::Missing)?.as_str();
        let (host, port) = split(authority)?;
        Ok(Self::new(host, port.unwrap_or(80), true))
    }

    /// The host.
    pub const fn host(&self) -> &Host {
        &self.host
    }
    /// The port.
    pub const fn port(&self) -> u16 {
        self.port
    }
    /// Whether plain HTTP is spoken with it.
    pub const fn is_cleartext(&self) -> bool {
        self.cleartext
    }
    /// The value of `Host` and `:authority`: the port only where it is not the scheme's own.
    pub fn authority(&self) -> String {
        let default = if self.cleartext { 80 } else { 443 };
        if self.port == default {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    fn is_same(&self, host: &Host, port: Option<u16>) -> bool {
        let default = if self.cleartext { 80 } else { 443 };
        *host == self.host && port.unwrap_or(default) == self.port
    }

    /// Whether an authority is this target's, in its one canonical spelling.
    pub(super) fn is_written(&self, authority: &str) -> bool {
        let default = if self.cleartext { 80 } else { 443 };
        self.port == default && authority == &*self.host.0
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

fn split(authority: &str) -> Result<(Host, Option<u16>), Error> {
    if authority.contains('@') {
        return Err(Error::Character);
    }
    if let Some(rest) = authority.strip_prefix('[') {
        // A name in brackets is no name, and a zone is no part of a literal (RFC 3986 section 3.2.2).
        let literal = rest.split_once(']').and_then(|(literal, _)| literal.parse::<IpAddr>().ok());
        return Err(if literal.is_some() { Error::Address } else { Error::Character });
    }
    let (host, port) = match authority.split_once(':') {
        Some((host, port)) => {
            if port.is_empty() || port.len() > 5 || !port.bytes().all(|byte| byte.is_ascii_digit())
            {
                return Err(if port.contains(':') { Error::Address } else { Error::Port });
            }
            match port.parse() {
                Ok(0) | Err(_) => return Err(Error::Port),
                Ok(port) => (host, Some(port)),
            }
        }
        None => (authority, None),
    };
    Ok((Host::parse(host)?, port))
}

/// Checks that every authority a request names is the target's.
pub(super) fn check_same(uri: &Uri, headers: &HeaderMap, target: &Target) -> Result<(), Refused> {
    if let Some(scheme) = uri.scheme_str() {
        let expected = if target.cleartext { "http" } else { "https" };
        if scheme != expected {
            return Err(Malformed::Authority(Error::Scheme).into());
        }
    }
    let mut named = false;
    if let Some(authority) = uri.authority() {
        check_one(authority.as_str(), target)?;
        named = true;
    }
    named |= check_host_header(headers, target)?;
    if named { Ok(()) } else { Err(Malformed::Authority(Error::Missing).into()) }
}

fn check_host_header(headers: &HeaderMap, target: &Target) -> Result<bool, Refused> {
    let mut hosts = headers.get_all(http::header::HOST).iter();
    let Some(host) = hosts.next() else { return Ok(false) };
    if hosts.next().is_some() {
        return Err(Malformed::Authority(Error::Several).into());
    }
    let text = std::str::from_utf8(host.as_bytes()).unwrap_or("\u{fffd}");
    check_one(text, target)?;
    Ok(true)
}

fn check_one(authority: &str, target: &Target) -> Result<(), Refused> {
    if target.is_written(authority) {
        return Ok(());
    }
    let (host, port) = split(authority).map_err(Malformed::Authority)?;
    if target.is_same(&host, port) { Ok(()) } else { Err(Refused::HostMismatch(host.to_string())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// B-02, B-03, B-05, B-06, B-23, B-24.
    #[test]
    fn only_strict_names_are_hosts() {
        let refused = [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "0",
            "[::1]",
            "[allowed.com]",
            "exa%6dple.com",
            "a b",
            "a@b",
            "",
            ".",
            "a..b",
            "-a.b",
            "a-.b",
            "ällowed.com",
            "a\u{3002}b",
            "a.0x10",
            "127.0.0.1.",
            "a/b",
            "a:b:c",
        ];
        for text in refused {
            assert!(Host::parse(text).is_err(), "{text}");
        }
        assert_eq!(Host::parse("EvIl.CoM.").unwrap().as_str(), "evil.com");
        assert!(Host::parse("localhost").unwrap().is_reserved());
        assert!(Host::parse("metadata.google.internal").unwrap().is_reserved());
        assert!(!Host::parse("internal.example.com").unwrap().is_reserved());
    }

    /// B-11, B-15.
    #[test]
    fn connect_needs_host_and_port_that_agree() {
        let cases = [
            ("a.test:443", None, true),
            ("a.test:443", Some("a.test:443"), true),
            ("a.test:443", Some("a.test"), true),
            ("a.test:443", Some("b.test:443"), false),
            ("a.test:8443", Some("a.test"), false),
            ("a.test", None, false),
            ("u@a.test:443", None, false),
            ("[::1]:443", None, false),
            ("10.0.0.1:443", None, false),
            ("a.test:0", None, false),
        ];
        for (authority, host, accepted) in cases {
            let uri: Uri = authority.parse().unwrap();
            let mut headers = HeaderMap::new();
            if let Some(host) = host {
                headers.insert("host", host.parse().unwrap());
            }
            assert_eq!(
                Target::of_connect(&uri, &headers).is_ok(),
                accepted,
                "{authority} {host:?}"
            );
        }
    }
}
