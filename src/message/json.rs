//! Strict JSON (RFC 8259): one document, UTF-8, no duplicate keys at any depth.
//!
//! Takes bytes; returns a value, or says why two parsers could read it two ways. The bytes
//! themselves are what is forwarded, so numbers and spacing stay as they were.

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};
use std::fmt;

/// Whether a media type, in small letters, is one of JSON (RFC 6839 section 3.1).
pub fn is_media(media: &str) -> bool {
    media == "application/json" || media.ends_with("+json")
}

/// Why a document cannot be read; what it says contains nothing of the document.
#[derive(Debug, thiserror::Error)]
#[error("the body is not one strict JSON document (line {line}, column {column})")]
pub struct Error {
    line: usize,
    column: usize,
}

/// Reads one document.
pub fn parse(bytes: &[u8]) -> Result<Value, Error> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let place = |error: &serde_json::Error| Error { line: error.line(), column: error.column() };
    let value = Strict.deserialize(&mut reader).map_err(|error| place(&error))?;
    reader.end().map_err(|error| place(&error))?;
    Ok(value)
}

struct Strict;

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value without duplicate keys")
    }
    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Value::from(value))
    }
    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = access.next_element_seed(Self)? {
            members.push(member);
        }
        Ok(Value::Array(members))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = access.next_key::<String>()? {
            let value = access.next_value_seed(Self)?;
            if map.insert(key, value).is_some() {
                return Err(de::Error::custom("duplicate key"));
            }
        }
        Ok(Value::Object(map))
    }
}

/// Whether a number may stand for several: it was read as a floating point number.
pub fn has_inexact_number(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(members) => members.iter().any(has_inexact_number),
        Value::Object(map) => map.values().any(has_inexact_number),
        _ => false,
    }
}

/// Whether some parser takes one name for the other: those that tell no case of letters apart, as
/// Go's, which folds the long s and the sign of Kelvin as well.
pub fn is_alike(one: &str, other: &str) -> bool {
    if one.is_ascii() && other.is_ascii() {
        return one.eq_ignore_ascii_case(other);
    }
    folded(one) == folded(other)
}

/// Whether a text may be a JSON document that holds others. Parsers skip what stands before it: white
/// space, a byte order mark, and the zeros of other encodings.
pub fn may_hold(text: &str) -> bool {
    let skipped = |c: char| c.is_whitespace() || c.is_control() || c == '\u{feff}';
    text.trim_start_matches(skipped).starts_with(['{', '[', '"'])
}

/// A name as such a parser compares it.
pub fn folded(name: &str) -> String {
    name.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase).collect()
}

/// Writes a value with its keys sorted, so that spacing and order make no difference.
pub fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort();
            out.push('{');
            for key in keys {
                out.push_str(&Value::String(key.clone()).to_string());
                out.push(':');
                canonical(map.get(key).unwrap_or(&Value::Null), out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(members) => {
            out.push('[');
            for member in members {
                canonical(member, out);
                out.push(',');
            }
            out.push(']');
        }
        scalar => out.push_str(&scalar.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_alike_whatever_the_case_of_their_letters() {
        for (one, other, alike) in [
            ("name", "name", true),
            ("name", "NaMe", true),
            ("arguments", "argument\u{17f}", true),
            ("key", "\u{212a}EY", true),
            ("größe", "GRÖSSE", true),
            ("name", "names", false),
            ("env", "en\u{1d5b}", false),
            ("a_b", "a-b", false),
        ] {
            assert_eq!(is_alike(one, other), alike, "{one} {other}");
        }
    }

    /// I-08, I-09, I-11, I-12.
    #[test]
    fn supersets_and_doubles_are_refused() {
        let refused: &[&[u8]] = &[
            b"{\"a\":1,\"a\":2}",
            b"{\"x\":{\"a\":1,\"\\u0061\":2}}",
            b"{} {}",
            b"{}x",
            b"{a:1}",
            b"[1,]",
            b"// c\n{}",
            b"NaN",
            b"01",
            b"\xef\xbb\xbf{}",
            b"\"\\ud800\"",
            b"\"\xff\"",
            b"",
            b"{\"a\":1e400}",
        ];
        for bytes in refused {
            assert!(parse(bytes).is_err(), "{}", String::from_utf8_lossy(bytes));
        }
        let deep = "[".repeat(100_000);
        assert!(parse(deep.as_bytes()).is_err());
        assert_eq!(parse(b" {\"a\":[1,null]} ").unwrap()["a"][0], 1);
    }
}
