//! Parts of a JSON document, one after the other, without the rest.
//!
//! Takes a text and what is looked for in it; hands out each part as it stands there, borrowed. Refuses
//! what is not JSON, and a member that stands there twice under one name. How deep it goes is said by who asks; what
//! nobody asks for is passed over without recursion.

use super::lenient;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

/// A part of a document as it stands there.
pub(super) type Raw<'a> = Option<&'a RawValue>;

/// What is done with a value.
pub(super) trait Walk<'de> {
    /// Reads it.
    fn walk<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error>;
}

/// Reads a document.
pub(super) fn walk<'de>(text: &'de str, walk: &mut impl Walk<'de>) -> serde_json::Result<()> {
    let mut reader = serde_json::Deserializer::from_str(text);
    walk.walk(&mut reader)?;
    reader.end()
}

/// Hands out the value.
pub(super) struct Of<T, F>(F, PhantomData<T>);

impl<T, F: FnMut(T) -> serde_json::Result<()>> Of<T, F> {
    pub(super) const fn new(take: F) -> Self {
        Self(take, PhantomData)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T) -> serde_json::Result<()>> Walk<'de> for Of<T, F> {
    fn walk<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
        (self.0)(T::deserialize(from)?).map_err(de::Error::custom)
    }
}

/// Goes through the members of an array; a lone object is one by itself, anything else none.
pub(super) struct Each<W>(pub(super) W);

impl<'de, W: Walk<'de>> Walk<'de> for Each<W> {
    fn walk<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(Members(&mut self.0))
    }
}

/// Goes to a member of an object by one of its names; anything else has none.
pub(super) struct Within<W>(pub(super) &'static [&'static str], pub(super) W);

impl<'de, W: Walk<'de>> Walk<'de> for Within<W> {
    fn walk<D: Deserializer<'de>>(&mut self, from: D) -> Result<(), D::Error> {
        from.deserialize_any(Member(self.0, &mut self.1))
    }
}

struct Seed<'w, W>(&'w mut W);

impl<'de, W: Walk<'de>> DeserializeSeed<'de> for Seed<'_, W> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        self.0.walk(from)
    }
}

/// What is neither an array nor an object holds nothing.
macro_rules! nothing_else {
    () => {
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("JSON")
        }
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }
        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }
        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }
        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }
        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }
        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            Ok(())
        }
    };
}

struct Members<'w, W>(&'w mut W);

impl<'de, W: Walk<'de>> Visitor<'de> for Members<'_, W> {
    type Value = ();
    nothing_else!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while access.next_element_seed(Seed(&mut *self.0))?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, access: A) -> Result<(), A::Error> {
        self.0.walk(MapAccessDeserializer::new(access))
    }
}

struct Member<'w, W>(&'static [&'static str], &'w mut W);

impl<'de, W: Walk<'de>> Visitor<'de> for Member<'_, W> {
    type Value = ();
    nothing_else!();

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        while access.next_element::<de::IgnoredAny>()?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let mut found: Option<usize> = None;
        while let Some(name) = access.next_key_seed(Named(self.0))? {
            if name.is_none() {
                access.next_value::<de::IgnoredAny>()?;
                continue;
            }
            // Under another name it is another member, of which some read the one and some the other.
            if name == found {
                return Err(de::Error::custom("a member stands there twice"));
            }
            found = name;
            access.next_value_seed(Seed(&mut *self.1))?;
        }
        Ok(())
    }
}

/// Which of these a key is.
struct Named(&'static [&'static str]);

impl<'de> DeserializeSeed<'de> for Named {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Option<usize>, D::Error> {
        from.deserialize_str(self)
    }
}

impl Visitor<'_> for Named {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E>(self, key: &str) -> Result<Option<usize>, E> {
        Ok(self.0.iter().position(|name| *name == key))
    }
}

/// A part that is an object, if it is one.
pub(super) fn object<'a, T: Deserialize<'a>>(part: Raw<'a>) -> serde_json::Result<Option<T>> {
    let text = part.map(RawValue::get).filter(|text| text.starts_with('{'));
    text.map(serde_json::from_str).transpose()
}

/// The text that a part is, if it is one; halves of surrogates are replaced.
pub(super) fn text(part: Raw<'_>) -> Option<Cow<'_, str>> {
    let raw = part?.get();
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(raw).ok().or_else(|| lenient::unquoted(raw)).map(Cow::Owned)
}

/// Whether a part is this text.
pub(super) fn is(part: Raw<'_>, word: &str) -> bool {
    text(part).is_some_and(|text| text == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(document: &str) -> serde_json::Result<Vec<String>> {
        let mut found = Vec::new();
        let take = |part: &RawValue| {
            found.push(part.get().to_owned());
            Ok(())
        };
        walk(document, &mut Within(&["a", "A"], Each(Within(&["b"], Of::new(take)))))?;
        Ok(found)
    }

    #[test]
    fn parts_are_found_where_they_stand() {
        let cases: &[(&str, &[&str])] = &[
            (
                r#"{"x":[1,{}],"a":[{"b":1},{"c":2},{"b":{"b":3}},4,"b",null]}"#,
                &["1", r#"{"b":3}"#],
            ),
            (r#"{"A":{"b":[]}}"#, &["[]"]),
            (r#"{"a":{"b":1},"A":{"b":2}}"#, &["1", "2"]),
            (r#"{"\u0061":[{"\u0062":"x"}]}"#, &["\"x\""]),
            (r#"{"a":"text"}"#, &[]),
            (r#"[{"a":[{"b":1}]}]"#, &[]),
            ("7", &[]),
        ];
        for (document, expected) in cases {
            assert_eq!(parts(document).unwrap(), *expected, "{document}");
        }
        let refused =
            [r#"{"a":[],"a":[]}"#, r#"{"a":[{"b":1,"b":2}]}"#, r#"{"a":[]"#, r#"{"a":[]} x"#, ""];
        for document in refused {
            assert!(parts(document).is_err(), "{document}");
        }
        let (deep, end) = ("[".repeat(100_000), "]".repeat(100_000));
        assert!(parts(&format!("{{\"x\":{deep}{end}}}")).unwrap().is_empty());
        assert!(parts(&deep).is_err());
    }

    #[test]
    fn a_text_is_read_with_its_escapes() {
        for (raw, expected) in [
            (r#""plain""#, Some("plain")),
            (r#""a\n\u0062""#, Some("a\nb")),
            (r#""\ud800""#, Some("\u{fffd}")),
            ("7", None),
        ] {
            let raw: &RawValue = serde_json::from_str(raw).unwrap();
            assert_eq!(text(Some(raw)).as_deref(), expected);
        }
        assert_eq!(text(None), None);
    }
}
