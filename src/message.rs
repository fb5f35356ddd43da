//! The canonical request: one value that is judged and that is sent.
//!
//! Takes the parts of a received request and the target it came in for; returns a [`Message`] whose
//! fields nobody outside can change. Refuses ([`Malformed`]) every spelling that two programs could
//! read two ways, rather than choosing one.

pub mod authority;
pub mod coding;
pub mod framing;
mod handshake;
pub mod headers;
pub mod json;
pub mod path;

pub use authority::{Host, Target};
pub use path::{Path, Query};

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};

/// Why a request is refused before it is judged; the fault is the client's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// The authority is not one host and port.
    #[error("the authority is not acceptable: {0}")]
    Authority(#[from] authority::Error),
    /// The path has a second reading.
    #[error("the path is not acceptable: {0}")]
    Path(&'static str),
    /// The query has a second reading.
    #[error("the query is not acceptable: {0}")]
    Query(&'static str),
    /// A header has a second reading.
    #[error("the header `{0}` is not acceptable: {1}")]
    Header(String, &'static str),
    /// The method is not one that this proxy forwards.
    #[error("the method is not one that is forwarded: {0}")]
    Method(&'static str),
    /// The bytes are not cut into requests alike by every parser.
    #[error("its framing is not acceptable: {0}")]
    Framing(&'static str),
    /// Something overrides the method.
    #[error("the method is overridden ({0}); send the method that is meant")]
    Override(&'static str),
}

/// Why a request is refused: its form, or that it names another host than its tunnel.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Its form.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// It names another host or port than the tunnel it came through.
    #[error("the request names `{0}`, which is not the host this connection was opened for")]
    HostMismatch(String),
}

/// Everything of a request but its body.
#[derive(Clone, Debug)]
pub struct Head {
    method: Method,
    target: Target,
    path: Path,
    query: Query,
    headers: HeaderMap,
    upgrade: bool,
}

/// The body of a request.
#[derive(Debug)]
pub enum Body<B> {
    /// There is none.
    Empty,
    /// All of it has been received.
    Whole(Bytes),
    /// No rule needs it; it is passed on as it comes.
    Stream(B),
    /// Its beginning is all that a rule needs; the rest is passed on behind it as it comes.
    Opened(Bytes, B),
}

/// One canonical request; it owns what is sent.
#[derive(Debug)]
pub struct Message<B> {
    // Boxed, because a message moves from stage to stage.
    head: Box<Head>,
    body: Body<B>,
}

impl Head {
    /// Reads the parts of a request that came in for a target.
    ///
    /// The request's own authority (`:authority`, absolute form, `Host`) must be the target's.
    /// Hop-by-hop and forwarding headers are gone afterwards (RFC 9110 section 7.6.1), `Host` is
    /// the one canonical value.
    pub fn read(
        method: Method,
        uri: &Uri,
        headers: HeaderMap,
        target: Target,
    ) -> Result<Self, Refused> {
        check_method(&method)?;
        authority::check_same(uri, &headers, &target)?;
        let path = Path::read(uri.path())?;
        let query = Query::read(uri.query())?;
        if headers.contains_key(http::header::UPGRADE) {
            handshake::check(&method, &headers)?;
        }
        let (headers, upgrade) = headers::canonical(headers, &target)?;
        if let Some(name) = query.method_override() {
            return Err(Malformed::Override(name).into());
        }
        Ok(Self { method, target, path, query, headers, upgrade })
    }

    /// The method.
    pub const fn method(&self) -> &Method {
        &self.method
    }
    /// The one host and port.
    pub const fn target(&self) -> &Target {
        &self.target
    }
    /// The canonical path.
    pub const fn path(&self) -> &Path {
        &self.path
    }
    /// The query.
    pub const fn query(&self) -> &Query {
        &self.query
    }
    /// The headers that are sent.
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }
    /// Whether it asks for a WebSocket.
    pub const fn is_upgrade(&self) -> bool {
        self.upgrade
    }
    /// The subprotocols that a handshake offers for a WebSocket.
    pub fn subprotocols(&self) -> Vec<&str> {
        handshake::subprotocols(&self.headers)
    }
    /// The value of a header, if it is there once and is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }
    /// The media type without parameters, lower case; none where it is there twice, or is more than
    /// one, which servers cut in different places.
    pub fn media_type(&self) -> Option<String> {
        let mut values = self.headers.get_all(http::header::CONTENT_TYPE).iter();
        let value = values.next()?.to_str().ok().filter(|_| values.next().is_none())?;
        let mut quoted = false;
        for byte in value.bytes() {
            quoted ^= byte == b'"';
            if byte == b',' && !quoted {
                return None;
            }
        }
        let kind = value.split(';').next().unwrap_or(value).trim();
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/+-.!#$&^_*'`|~%".contains(&byte);
        kind.bytes().all(plain).then(|| kind.to_ascii_lowercase())
    }
    /// Whether the body's charset is UTF-8 or a part of it, or left open.
    pub fn is_utf8(&self) -> bool {
        let Some(value) = self.header("content-type") else { return true };
        value.split(';').skip(1).all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let value = value.trim().trim_matches('"');
            !name.trim().eq_ignore_ascii_case("charset")
                || ["utf-8", "utf8", "us-ascii"].iter().any(|c| value.eq_ignore_ascii_case(c))
        })
    }
    /// Path and query as they are sent.
    pub fn path_and_query(&self) -> String {
        match self.query.as_str() {
            "" => self.path.as_str().to_owned(),
            query => format!("{}?{query}", self.path.as_str()),
        }
    }
    /// Asks for no coding of the answer but these. What is covered by a signature stays as it is.
    pub(crate) fn narrow_codings(&mut self, known: &[&str]) {
        const NAME: http::HeaderName = http::header::ACCEPT_ENCODING;
        let signed =
            |name: &str| self.header(name).is_some_and(|value| value.contains(NAME.as_str()));
        if signed("authorization") || signed("signature-input") {
            return;
        }
        let values = self.headers.get_all(NAME).iter();
        let Some(all) = values.map(|value| value.to_str().ok()).collect::<Option<Vec<_>>>() else {
            self.headers.insert(NAME, http::HeaderValue::from_static("identity"));
            return;
        };
        let asked: Vec<&str> =
            all.iter().flat_map(|value| value.split(',')).map(str::trim).collect();
        let is_known = |asked: &&str| {
            let (name, weight) = asked.split_once(';').unwrap_or((asked, ""));
            let is_refused = weight.split_once('=').is_some_and(|(_, weight)| {
                weight.trim().parse::<f32>().is_ok_and(|weight| weight == 0.0)
            });
            is_refused || known.iter().any(|known| known.eq_ignore_ascii_case(name.trim()))
        };
        let narrowed: Vec<&str> = asked.iter().copied().filter(is_known).collect();
        if narrowed.len() < asked.len() {
            let value =
                if narrowed.is_empty() { "identity".to_owned() } else { narrowed.join(", ") };
            if let Ok(value) = http::HeaderValue::try_from(value) {
                self.headers.insert(NAME, value);
            }
        }
    }
    /// Takes the headers out, for the one time they are sent.
    pub(crate) fn take_headers(&mut self) -> HeaderMap {
        std::mem::take(&mut self.headers)
    }
    /// Whether a field is computed over the body as it was received (RFC 9530, RFC 9421, AWS
    /// Signature Version 4 and their like).
    fn covers_body(&self) -> bool {
        const FIELDS: &[&str] = &[
            "content-digest",
            "content-md5",
            "digest",
            "repr-digest",
            "signature",
            "signature-input",
            "x-amz-content-sha256",
            "x-goog-hash",
            "x-ms-content-sha256",
        ];
        FIELDS.iter().any(|name| self.headers.contains_key(*name))
            || self.header("authorization").is_some_and(|value| value.starts_with("AWS4-"))
    }
    /// Whether the body's coding keeps it from being read.
    pub fn is_coded(&self) -> bool {
        self.headers.get_all(http::header::CONTENT_ENCODING).iter().any(|value| {
            !value.to_str().is_ok_and(|text| text.trim().eq_ignore_ascii_case("identity"))
        })
    }
}

impl<B> Message<B> {
    /// Puts head and body together.
    pub fn new(head: impl Into<Box<Head>>, body: Body<B>) -> Self {
        Self { head: head.into(), body }
    }
    /// Puts a head and a body together that has arrived whole. A coded body is decoded, up to `most`
    /// bytes, and from then on is what is judged and what is sent; where it cannot be, the message
    /// has no body.
    pub fn received(
        head: impl Into<Box<Head>>,
        body: Bytes,
        most: usize,
    ) -> (Self, Option<coding::Error>) {
        let mut head = head.into();
        if !head.is_coded() {
            head.headers.remove(http::header::CONTENT_ENCODING);
            return (Self { head, body: Body::Whole(body) }, None);
        }
        let decoded = match head.header("content-encoding") {
            _ if head.covers_body() => Err(coding::Error::Covered),
            Some(codings) => coding::decode(codings, &body, most),
            None => Err(coding::Error::Unknown),
        };
        match decoded {
            Ok(body) => {
                head.headers.remove(http::header::CONTENT_ENCODING);
                (Self { head, body: Body::Whole(body) }, None)
            }
            Err(error) => (Self { head, body: Body::Empty }, Some(error)),
        }
    }
    /// Everything but the body.
    pub fn head(&self) -> &Head {
        &self.head
    }
    /// The body.
    pub const fn body(&self) -> &Body<B> {
        &self.body
    }
    /// The received bytes, if all are here.
    pub fn whole(&self) -> Option<&Bytes> {
        match &self.body {
            Body::Whole(bytes) => Some(bytes),
            _ => None,
        }
    }
    /// The received bytes from the beginning on, as far as they are here.
    pub fn opening(&self) -> &[u8] {
        match &self.body {
            Body::Whole(bytes) | Body::Opened(bytes, _) => bytes,
            Body::Empty | Body::Stream(_) => &[],
        }
    }
    /// Takes the message apart, for sending.
    pub(crate) fn into_parts(self) -> (Box<Head>, Body<B>) {
        (self.head, self.body)
    }
}

fn check_method(method: &Method) -> Result<(), Malformed> {
    match method.as_str() {
        "CONNECT" => Err(Malformed::Method("CONNECT inside a tunnel")),
        "TRACE" => Err(Malformed::Method("TRACE reflects credentials")),
        name if name.len() > 32 => Err(Malformed::Method("its name is too long")),
        name if name.bytes().all(|b| b.is_ascii_uppercase() || b == b'-') => Ok(()),
        _ => Err(Malformed::Method("methods are upper case")),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn head(method: &str, url: &str, headers: &[(&str, &str)]) -> Result<Head, Refused> {
        let uri: Uri = url.parse().unwrap();
        let target = Target::new(
            Host::parse(uri.host().unwrap()).unwrap(),
            uri.port_u16().unwrap_or(443),
            false,
        );
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(
                http::HeaderName::from_bytes(name.as_bytes()).unwrap(),
                value.parse().unwrap(),
            );
        }
        let origin: Uri = uri.path_and_query().unwrap().as_str().parse().unwrap();
        map.entry("host").or_insert(uri.authority().unwrap().as_str().parse().unwrap());
        Head::read(method.parse().unwrap(), &origin, map, target)
    }

    #[test]
    fn what_has_two_readings_is_refused() {
        type Case = (&'static str, &'static str, &'static [(&'static str, &'static str)]);
        let cases: &[Case] = &[
            ("TRACE", "https://a.test/", &[]),
            ("CONNECT", "https://a.test/", &[]),
            ("delete", "https://a.test/", &[]),
            ("GET", "https://a.test/x", &[("x-http-method-override", "DELETE")]),
            ("POST", "https://a.test/x", &[("X-Http-Method", "DELETE")]),
            ("GET", "https://a.test/x?_method=DELETE", &[]),
            ("GET", "https://a.test/x?%5fmethod=DELETE", &[]),
            ("GET", "https://a.test/x?X-HTTP-Method-Override=DELETE", &[]),
            ("GET", "https://a.test/a%2e%2e/%00", &[]),
            ("GET", "https://a.test/a;b/c", &[]),
            ("GET", "https://a.test/a%5cb", &[]),
            ("GET", "https://a.test/%252e%252e/x", &[]),
            ("GET", "https://a.test/%c0%ae/x", &[]),
            ("GET", "https://a.test//x", &[]),
            ("GET", "https://a.test/", &[("host", "b.test")]),
            ("GET", "https://a.test/", &[("host", "a.test"), ("host", "a.test")]),
            ("GET", "https://a.test/", &[("host", "x@a.test")]),
            ("GET", "https://a.test/", &[("host", "a.test:8443")]),
            ("POST", "https://a.test/", &[("content-type", "text/a"), ("content-type", "text/b")]),
        ];
        for (method, url, headers) in cases {
            assert!(head(method, url, headers).is_err(), "{method} {url} {headers:?}");
        }
    }

    #[test]
    fn what_has_one_reading_becomes_canonical() {
        let head = head(
            "GET",
            "https://a.test/x/../%61dmin/./y?b=1&a=%20",
            &[
                ("connection", "x-gone"),
                ("x-gone", "1"),
                ("x-forwarded-for", "1.2.3.4"),
                ("te", "x"),
            ],
        )
        .unwrap();
        assert_eq!(head.path().as_str(), "/admin/y");
        assert_eq!(head.path_and_query(), "/admin/y?b=1&a=%20");
        let names: Vec<&str> = head.headers().keys().map(http::HeaderName::as_str).collect();
        assert_eq!(names, ["host"]);
    }

    #[test]
    fn names_are_tokens_whatever_the_protocol_lets_pass() {
        // E-31: what HTTP/2 takes for a name is not one of HTTP/1.1.
        let name = http::HeaderName::from_lowercase(b"a\"b").unwrap();
        let mut headers = HeaderMap::new();
        headers.insert("host", "a.test".parse().unwrap());
        headers.insert(name, "1".parse().unwrap());
        let target = Target::new(Host::parse("a.test").unwrap(), 443, false);
        assert!(Head::read(Method::GET, &Uri::from_static("/"), headers, target).is_err());
    }

    #[test]
    fn crumbs_of_a_cookie_are_one_value() {
        // G-08, G-09
        for (crumbs, joined) in [
            (["a=1", "b=2", "c=3"], "a=1; b=2; c=3"),
            (["a=1", "", "c=3"], "a=1; c=3"),
            (["a=1", "", ""], "a=1"),
            ([" a=1 ", "b=2", " "], "a=1; b=2"),
        ] {
            let crumbs = crumbs.map(|crumb| ("cookie", crumb));
            assert_eq!(
                head("GET", "https://a.test/", &crumbs).unwrap().headers()["cookie"],
                joined
            );
        }
    }
}
