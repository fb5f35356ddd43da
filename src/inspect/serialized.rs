//! Serialised objects in what is retrieved: what an agent's framework would revive.
//!
//! Takes the bytes of an answer; returns the places of objects in the shape of `LangChain`'s
//! serialisation (`lc`, `type` and `id`), in any order of members, at any depth, in documents, lines,
//! events and plain text, and in JSON that is escaped inside texts several times over. What would take
//! too much work, or is escaped more often than is read, is [`TooMuch`], never "none". Stripping
//! replaces an object by `null`, which is the same at every level of escapes.

mod scan;
mod unescape;

use memchr::memchr;
use memchr::memmem::{self, Finder};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

/// How often a text is unescaped.
const LEVELS: usize = 5;
/// How many bytes are looked at for each one there is, all levels together: an everyday document takes
/// a few.
const WORK: usize = 32;
/// And how many in any case.
const LEAST_WORK: usize = 64 << 10;
/// The most objects that are told apart.
const MOST: usize = 10_000;

/// What an object is revived as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// Something that could not be serialised; reviving it fails.
    NotImplemented,
    /// An instance of a class that the text names.
    Constructor,
    /// A secret of the process that revives it, by its name in the environment.
    Secret,
}

impl Shape {
    /// The word in `type`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotImplemented => "not_implemented",
            Self::Constructor => "constructor",
            Self::Secret => "secret",
        }
    }

    fn parse(word: &[u8]) -> Option<Self> {
        let all = [Self::NotImplemented, Self::Constructor, Self::Secret];
        all.into_iter().find(|shape| shape.as_str().as_bytes() == word)
    }
}

/// One object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// What it is revived as.
    pub shape: Shape,
    /// Where it stands, from brace to brace.
    pub place: Range<usize>,
}

/// What cannot be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooMuch {
    /// It takes more work than is done, or is nested or escaped more often than is read.
    #[error("it is nested or escaped more often than is read")]
    Work,
    /// It is written in units of more than one byte.
    #[error("it is written in units of more than one byte, which are not read")]
    Wide,
    /// What is left would be no JSON any more, though the whole was.
    #[error("it is not JSON any more once the objects are taken out")]
    Broken,
}

/// The objects in a text, in their order.
pub fn objects(text: &[u8]) -> Result<Vec<Object>, TooMuch> {
    if is_wide(text) {
        return Err(TooMuch::Wide);
    }
    if !may_hold(text) {
        return Ok(Vec::new());
    }
    let mut found = BTreeMap::new();
    let mut work = text.len().saturating_mul(WORK).saturating_add(LEAST_WORK);
    let mut level = unescape::Text::whole(text)?;
    for _ in 0..LEVELS {
        scan::objects(&level, &mut work, &mut found)?;
        match level.unescaped() {
            Some(next) => level = next,
            None => return Ok(found.into_values().collect()),
        }
    }
    scan::objects(&level, &mut work, &mut found)?;
    // A name that is escaped still is read by whoever unescapes once more.
    if memmem::find(level.bytes(), b"lc\\").is_some()
        || memmem::find(level.bytes(), b"u006").is_some()
    {
        return Err(TooMuch::Work);
    }
    Ok(found.into_values().collect())
}

/// The text with `null` for each object of a shape; every other byte as it was.
pub fn stripped(text: &[u8], objects: &[Object], shape: Shape) -> Result<Vec<u8>, TooMuch> {
    let mut left = Vec::with_capacity(text.len());
    let mut from = 0;
    for object in objects.iter().filter(|object| object.shape == shape) {
        // One that stands in another goes with it.
        let Some(before) = text.get(from..object.place.start) else { continue };
        left.extend_from_slice(before);
        left.extend_from_slice(b"null");
        from = object.place.end;
    }
    left.extend_from_slice(text.get(from..).unwrap_or_default());
    let is_json = |bytes: &[u8]| serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
    if from > 0 && is_json(text) && !is_json(&left) {
        return Err(TooMuch::Broken);
    }
    Ok(left)
}

/// Whether a text is in UTF-16 or UTF-32, which parsers know by its first bytes (RFC 4627 section 3),
/// and may hold the name.
fn is_wide(text: &[u8]) -> bool {
    let first = text.get(..4).unwrap_or(text);
    let marked = first.starts_with(b"\xff\xfe") || first.starts_with(b"\xfe\xff");
    (marked || first.contains(&0))
        && [&b"l\0c"[..], b"l\0\0\0c", b"\\\0"]
            .iter()
            .any(|hint| memmem::find(text, hint).is_some())
}

/// Whether the name `lc` may stand in a text, in quotation marks or escaped.
fn may_hold(text: &[u8]) -> bool {
    static PLAIN: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"lc\""));
    // Most answers have no escapes at all, and are searched for one thing.
    PLAIN.find(text).is_some()
        || (memchr(b'\\', text).is_some()
            && [&b"lc\\"[..], b"u006"].iter().any(|hint| memmem::find(text, hint).is_some()))
}

#[cfg(test)]
mod tests;
