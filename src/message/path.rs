//! Paths and queries in one spelling.
//!
//! Takes what stood in the request line; returns a [`Path`] of decoded segments and a [`Query`] of
//! decoded pairs, with the exact text that is sent. Rewrites what RFC 3986 section 6.2.2 calls
//! equivalent; refuses what decoders disagree about: encoded slashes and backslashes, empty
//! segments, matrix parameters, control bytes, double encoding, bytes that are not UTF-8.

use super::Malformed;
use std::borrow::Cow;

/// Whether a segment with an encoded slash in it is more than names beside each other.
fn hides_a_step(segment: &str) -> bool {
    segment.contains("%2F") && segment.split("%2F").any(|part| matches!(part, "" | "." | ".."))
}

/// A canonical absolute path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    text: String,
    encoded_slash: bool,
}

impl Path {
    /// Reads the path of a request.
    pub fn read(raw: &str) -> Result<Self, Malformed> {
        const LONGEST: usize = 8 * 1024;
        let rest =
            raw.strip_prefix('/').ok_or(Malformed::Path("it does not begin with a slash"))?;
        if raw.len() > LONGEST {
            return Err(Malformed::Path("it is longer than 8 KiB"));
        }
        let mut encoded_slash = false;
        let mut segments: Vec<Cow<'_, str>> = Vec::new();
        let mut parts = rest.split('/').peekable();
        while let Some(part) = parts.next() {
            let last = parts.peek().is_none();
            let segment = segment(part, &mut encoded_slash)?;
            match &*segment {
                "" if !last => return Err(Malformed::Path("it has an empty segment")),
                "." | ".." => {
                    if segment == ".." && segments.pop().is_none() {
                        return Err(Malformed::Path("it leaves the root"));
                    }
                    if last {
                        segments.push(Cow::Borrowed(""));
                    }
                }
                inner if encoded_slash && hides_a_step(inner) => {
                    return Err(Malformed::Path("an encoded slash hides a step in it"));
                }
                _ => segments.push(segment),
            }
        }
        let text = format!("/{}", segments.join("/"));
        Ok(Self { text, encoded_slash })
    }

    /// The text that is sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a segment holds `%2F`, which only a resource that says so takes.
    pub const fn has_encoded_slash(&self) -> bool {
        self.encoded_slash
    }

    /// The decoded segments. A trailing slash is a last, empty segment.
    pub fn segments(&self) -> Vec<Cow<'_, str>> {
        let rest = self.text.strip_prefix('/').unwrap_or(&self.text);
        rest.split('/')
            .map(|part| percent_encoding::percent_decode_str(part).decode_utf8_lossy())
            .collect()
    }
}

/// Decodes unreserved bytes, keeps the rest percent-encoded in upper case.
fn segment<'a>(part: &'a str, encoded_slash: &mut bool) -> Result<Cow<'a, str>, Malformed> {
    let plain = |byte: u8| {
        byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.'
                    | b'_'
                    | b'~'
                    | b'!'
                    | b'$'
                    | b'&'
                    | b'\''
                    | b'('
                    | b')'
                    | b'*'
                    | b'+'
                    | b','
                    | b'='
                    | b':'
                    | b'@'
            )
    };
    if part.bytes().all(plain) {
        return Ok(Cow::Borrowed(part));
    }
    let mut text = String::with_capacity(part.len());
    let mut decoded = Vec::with_capacity(part.len());
    let mut bytes = part.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            if byte == b';' {
                return Err(Malformed::Path("it has a matrix parameter"));
            }
            if byte == b'\\' {
                return Err(Malformed::Path("it has a backslash"));
            }
            if !plain(byte) {
                return Err(Malformed::Path("it has a byte that must be percent-encoded"));
            }
            text.push(char::from(byte));
            decoded.push(byte);
            continue;
        }
        let value = hexadecimal(bytes.next())
            .zip(hexadecimal(bytes.next()))
            .map(|(high, low)| high << 4 | low)
            .ok_or(Malformed::Path("it has a broken percent escape"))?;
        match value {
            b'\\' => return Err(Malformed::Path("it has an encoded backslash")),
            b';' => return Err(Malformed::Path("it has a matrix parameter")),
            0..=0x1f | 0x7f => return Err(Malformed::Path("it has an encoded control byte")),
            b'/' => *encoded_slash = true,
            _ => {}
        }
        decoded.push(value);
        if value.is_ascii_alphanumeric() || matches!(value, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(value));
        } else {
            text.push('%');
            for digit in [value >> 4, value & 15] {
                text.push(
                    char::from_digit(u32::from(digit), 16).unwrap_or('0').to_ascii_uppercase(),
                );
            }
        }
    }
    let decoded =
        std::str::from_utf8(&decoded).map_err(|_utf8| Malformed::Path("it is not UTF-8"))?;
    if has_escape(decoded) {
        return Err(Malformed::Path("it is encoded twice"));
    }
    Ok(Cow::Owned(text))
}

fn has_escape(text: &str) -> bool {
    text.as_bytes().windows(3).any(|window| match window {
        [b'%', high, low] => high.is_ascii_hexdigit() && low.is_ascii_hexdigit(),
        _ => false,
    })
}

fn hexadecimal(byte: Option<u8>) -> Option<u8> {
    char::from(byte?).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// A query: its text, and its decoded pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    text: String,
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Reads the query of a request.
    pub fn read(raw: Option<&str>) -> Result<Self, Malformed> {
        const MOST: usize = 1_000;
        let Some(raw) = raw.filter(|raw| !raw.is_empty()) else { return Ok(Self::default()) };
        if raw.len() > 16 * 1024 {
            return Err(Malformed::Query("it is longer than 16 KiB"));
        }
        let pairs = pairs(raw).map_err(Malformed::Query)?;
        if pairs.len() > MOST {
            return Err(Malformed::Query("it has more than 1,000 parameters"));
        }
        Ok(Self { text: raw.to_owned(), pairs })
    }

    /// The text that is sent.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Names and values, decoded, in order.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// The parameter that overrides the method, if there is one.
    pub fn method_override(&self) -> Option<&'static str> {
        // Some servers end a pair at a semicolon too.
        let behind = self.text.split(['&', ';']).skip(1).filter(|_| self.text.contains(';'));
        let mut behind = behind.filter_map(|pair| pairs(pair).ok()).flatten();
        let overrides = |name: &str| overrides_method(name);
        (self.pairs.iter().any(|(name, _)| overrides(name))
            || behind.any(|(name, _)| overrides(&name)))
        .then_some("a query parameter")
    }
}

/// Reads `application/x-www-form-urlencoded` text into decoded pairs.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, &'static str> {
    let decode = |part: &str| -> Result<String, &'static str> {
        let spaced = part.replace('+', " ");
        let bytes: Vec<u8> = percent_encoding::percent_decode_str(&spaced).collect();
        String::from_utf8(bytes).map_err(|_utf8| "it is not UTF-8")
    };
    text.split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Ok((decode(name)?, decode(value)?))
        })
        .collect()
}

/// Whether frameworks read a parameter of this name as the method that is really meant. Some trim it,
/// cut it at a bracket, and take a dot, a space, a dash and an underline for the same.
pub fn overrides_method(name: &str) -> bool {
    const NAMES: &[&str] = &[
        "method",
        "$method",
        "httpmethod",
        "httpmethodoverride",
        "httpverb",
        "methodoverride",
        "methodoverrideby",
        "originalhttpmethod",
        "originalmethod",
        "overridemethod",
        "requestmethod",
        "restmethod",
        "restmethodoverride",
        "rewritemethod",
        "tunneledmethod",
    ];
    let name = name.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    let name = name.split(['[', '\0']).next().unwrap_or(name);
    let marked = name.starts_with(['_', '.', '$', ' ']);
    let kept = |c: &char| !matches!(c, '-' | '_' | '.' | ' ');
    let word: String = name.chars().filter(kept).flat_map(char::to_lowercase).collect();
    let word = word.strip_prefix('x').filter(|_| !marked).unwrap_or(&word);
    // A parameter that is called just `method` is everyday; with a mark in front it is not.
    NAMES.contains(&word) && (word != "method" || marked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// H-24.
        #[test]
        fn canonical_paths_are_stable_and_without_dot_segments(raw in "/[a-z./%0-9A-F~-]{0,40}") {
            if let Ok(path) = Path::read(&raw) {
                let again = Path::read(path.as_str()).unwrap();
                prop_assert_eq!(again.as_str(), path.as_str());
                prop_assert!(path.segments().iter().all(|s| s != "." && s != ".."));
            }
        }
    }

    /// H-18.
    #[test]
    fn overrides_are_known_in_every_spelling() {
        for name in [
            "_method",
            "_METHOD",
            " _method",
            "_method[]",
            ".method",
            "%20_method",
            "$method",
            "X-HTTP-Method-Override",
            "X-HTTPMethod-Override",
            "X-HTTP-MethodOverride",
            "X-Method-Override",
            "X-REST-Method-Override",
            "X-Rest-Method",
            "X-HTTP-Verb",
            "X-Request-Method",
            "X-Original-Method",
            "X-Original-HTTP-Method",
            "X-Rewrite-Method",
            "x-tunneled-method",
            "httpMethod",
            "http_method_override",
        ] {
            let name = name.replace("%20", " ");
            assert!(overrides_method(&name), "{name}");
        }
        for name in ["method", "payment_method", "x", "methods", "shipping-method", "x-method-id"] {
            assert!(!overrides_method(name), "{name}");
        }
    }

    /// H-01, H-03, H-13.
    #[test]
    fn spellings() {
        let same = [
            ("/a/../b", "/b"),
            ("/%61dmin", "/admin"),
            ("/a/.", "/a/"),
            ("/a/b/..", "/a/"),
            ("/%2e%2E/x", ""),
            ("/a%2fb", "/a%2Fb"),
            ("/", "/"),
            ("/ä", ""),
            ("/a%20b", "/a%20b"),
            ("/a|b", ""),
            ("/a%7cb", "/a%7Cb"),
            ("/%c3%a4", "/%C3%A4"),
            ("/a%", ""),
            ("/a%zz", ""),
        ];
        for (raw, expected) in same {
            let text = Path::read(raw).map(|path| path.as_str().to_owned()).unwrap_or_default();
            assert_eq!(text, expected, "{raw}");
        }
    }
}
