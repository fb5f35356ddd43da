//! I1 for paths and queries: what is judged is what is sent, and every decoder reads it alike.

use holdgate::message::{Path, Query};
use http::Uri;

/// Reads the bytes as path and query of a request line.
pub fn path(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (path, query) = text.split_once('?').map_or((text, None), |(p, q)| (p, Some(q)));
    if let Ok(read) = Path::read(path) {
        check_path(&read);
        assert_eq!(read.as_str(), reference(path), "RFC 3986 says otherwise of {path:?}");
    }
    if let Ok(read) = Query::read(query) {
        check_query(&read);
        assert_eq!(read.as_str(), query.unwrap_or_default());
    }
    let Ok(uri) = text.parse::<Uri>() else { return };
    let (Ok(path), Ok(query)) = (Path::read(uri.path()), Query::read(uri.query())) else { return };
    let sent = match query.as_str() {
        "" => path.as_str().to_owned(),
        query => format!("{}?{query}", path.as_str()),
    };
    let again: Uri = sent.parse().expect("what is sent is a request target");
    assert!(again.authority().is_none(), "{sent:?} names a host");
    assert_eq!((again.path(), again.query().unwrap_or_default()), (path.as_str(), query.as_str()));
}

/// The one spelling.
pub(super) fn check_path(path: &Path) {
    let text = path.as_str();
    let again = Path::read(text).expect("what is canonical is accepted");
    assert_eq!(again.as_str(), text, "another value the second time");
    // A step back may leave an encoded slash out; it was written all the same.
    assert!(path.has_encoded_slash() || !again.has_encoded_slash());
    let segments: Vec<&str> = text.strip_prefix('/').expect("it is absolute").split('/').collect();
    let (_last, inner) = segments.split_last().expect("there is one");
    assert!(inner.iter().all(|segment| !segment.is_empty()), "{text:?} has an empty segment");
    assert_eq!(path.segments().len(), segments.len());
    for segment in segments {
        let decoded = decode(segment);
        assert!(decoded != "." && decoded != "..", "{text:?} has a dot segment");
        assert!(!decoded.chars().any(|c| c < ' ' || "\u{7f}\\;".contains(c)), "{text:?}");
        assert!(!has_escape(&decoded), "{text:?} is encoded twice");
        assert_eq!(decoded.contains('/'), segment.contains("%2F"));
        assert!(!decoded.contains('/') || path.has_encoded_slash());
    }
    assert!(text.bytes().all(|byte| byte.is_ascii_graphic() && !b"\"#<>?[]^`{|}".contains(&byte)));
}

pub(super) fn check_query(query: &Query) {
    let text = query.as_str();
    assert_eq!(Query::read(Some(text)).as_ref(), Ok(query), "another value the second time");
    let parts: Vec<&str> = text.split('&').filter(|part| !part.is_empty()).collect();
    assert_eq!(parts.len(), query.pairs().len());
    for (part, (name, value)) in parts.iter().zip(query.pairs()) {
        let (raw, rest) = part.split_once('=').unwrap_or((part, ""));
        assert_eq!(
            (decode(&raw.replace('+', " ")), decode(&rest.replace('+', " "))),
            (name.clone(), value.clone())
        );
    }
}

/// RFC 3986, sections 6.2.2 and 5.2.4, word for word.
fn reference(raw: &str) -> String {
    let mut input = String::new();
    let mut rest = raw;
    while let Some(first) = rest.chars().next() {
        let escape = rest.get(1..3).filter(|_| first == '%');
        if let Some(byte) = escape.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                input.push(char::from(byte));
            } else {
                input.push_str(&format!("%{byte:02X}"));
            }
            rest = &rest[3..];
        } else {
            input.push(first);
            rest = &rest[first.len_utf8()..];
        }
    }
    let mut output = String::new();
    while !input.is_empty() {
        if input.starts_with("/./") || input == "/." {
            input.replace_range(..input.len().min(3), "/");
        } else if input.starts_with("/../") || input == "/.." {
            input.replace_range(..input.len().min(4), "/");
            output.truncate(output.rfind('/').unwrap_or(0));
        } else {
            let end = input.match_indices('/').map(|(at, _)| at).find(|at| *at > 0);
            output.extend(input.drain(..end.unwrap_or(input.len())));
        }
    }
    output
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escape = behind.get(..2).filter(|_| *first == b'%').and_then(|digits| {
            let digits = std::str::from_utf8(digits).ok()?;
            digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(digits)
        });
        if let Some(digits) = escape {
            bytes.push(u8::from_str_radix(digits, 16).expect("they are digits"));
            rest = &behind[2..];
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).expect("what is accepted is UTF-8 once it is decoded")
}

fn has_escape(text: &str) -> bool {
    text.match_indices('%').any(|(at, _)| {
        let digits = text.as_bytes().get(at + 1..at + 3);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    })
}
