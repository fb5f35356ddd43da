//! Secrets in a text, wherever in it they stand: those that are known, and those of a known shape.
//!
//! Takes bytes, whole or in pieces; returns [`Sighting`]s: what it is, where, in which encodings, its
//! length and its fingerprint, and no byte of it. Encodings are undone in at most three rounds. Pure.
//! Not found are secrets under twelve bytes, and what an encoding that is not listed here hides.

mod checksum;
mod decode;
mod jwt;
mod known;
mod shape;
mod stream;
#[cfg(test)]
mod tests;
mod vendor;

pub use known::{Known, Owner};
pub use stream::Stream;

use crate::fingerprint::{FingerprintKey, Trace};
use shape::{Shape, Shapes};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Rounds of decoding.
const ROUNDS: usize = 3;
/// So many sightings of one text say enough.
const SIGHTINGS: usize = 64;

/// Why no scanner could be made.
#[derive(Debug, thiserror::Error)]
#[error("the shapes of secrets cannot be looked for ({0}); this is a fault of the program")]
pub struct Error(#[from] aho_corasick::BuildError);

/// What looks for secrets. Made once; its copies share what it consists of.
#[derive(Clone, Debug)]
pub struct Scanner {
    key: Arc<FingerprintKey>,
    shapes: Option<Arc<Shapes>>,
    known: SmallVec<[Arc<Known>; 2]>,
}

/// A secret that stands in a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// What it is.
    pub what: What,
    /// Where it stands in the text: of an encoded one, where the encoding begins or after that.
    pub at: usize,
    /// In which encodings, the outermost first.
    pub encodings: Encodings,
    /// What it is found again by, with its length and its fingerprint.
    pub trace: Trace,
}

/// What a secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// A known one.
    Known(Owner),
    /// More of them than are looked at: what else stands there is not known.
    Crowded,
    /// One of a vendor's shape.
    Shape {
        /// What evidence calls it.
        word: &'static str,
        /// The service that it belongs to, where a catalog describes it.
        service: Option<&'static str>,
    },
}

/// An encoding that was undone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// Base64, with either alphabet.
    Base64,
    /// Hexadecimal digits.
    Hex,
    /// Percent escapes of URLs and forms.
    Percent,
    /// Backslash escapes of JSON and of programming languages.
    Escapes,
    /// UTF-16 with ASCII letters.
    Utf16,
}

/// The encodings around a secret, the outermost first; shown as `percent+base64`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Encodings(SmallVec<[Encoding; ROUNDS]>);

impl Encoding {
    /// Its word in evidence.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Base64 => "base64",
            Self::Hex => "hex",
            Self::Percent => "percent",
            Self::Escapes => "escapes",
            Self::Utf16 => "utf-16",
        }
    }
}

impl Encodings {
    /// Whether it stands there as it is.
    pub fn is_plain(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Encodings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, encoding) in self.0.iter().enumerate() {
            if place > 0 {
                f.write_str("+")?;
            }
            f.write_str(encoding.as_str())?;
        }
        Ok(())
    }
}

/// A text that is looked through, and how it stands in the whole.
#[derive(Clone, Debug)]
struct Text<'a> {
    bytes: &'a [u8],
    at: usize,
    encodings: Encodings,
    /// Whether something stood before it that is not here, and whether something may follow.
    is_continued: bool,
    is_unfinished: bool,
}

/// What secrets of vendors begin with, and what some have in them.
pub fn beginnings() -> impl Iterator<Item = &'static str> {
    vendor::SHAPES.iter().flat_map(|shape| shape.begins).copied()
}

/// Tells of each text that is encoded in this one, as far as one round of decoding goes.
pub fn encoded(bytes: &[u8], tell: &mut impl FnMut(&[u8])) {
    let encodings = Encodings::default();
    let text = Text { bytes, at: 0, encodings, is_continued: false, is_unfinished: false };
    decode::each(&text, &mut |decoded| tell(decoded.bytes));
}

impl Scanner {
    /// Looks for shapes only.
    pub fn new(key: Arc<FingerprintKey>) -> Result<Self, Error> {
        Ok(Self { key, shapes: Some(Arc::new(Shapes::new()?)), known: SmallVec::new() })
    }

    /// Looks for no shape: for what is known and added only.
    pub fn for_known(key: Arc<FingerprintKey>) -> Self {
        Self { key, shapes: None, known: SmallVec::new() }
    }

    /// Looks for these known secrets as well. Of a secret in two sets the first set says whose it is.
    #[must_use]
    pub fn and(&self, known: Arc<Known>) -> Self {
        let mut all = self.clone();
        if !known.is_empty() {
            all.known.push(known);
        }
        all
    }

    /// The same as [`Self::and`], but not copied where there is none to add, as for most requests.
    pub fn with(&self, known: &Arc<Known>) -> Cow<'_, Self> {
        if known.is_empty() { Cow::Borrowed(self) } else { Cow::Owned(self.and(known.clone())) }
    }

    /// The secrets in a text that is here as a whole: each once, the known ones first.
    pub fn sightings(&self, text: &[u8]) -> Vec<Sighting> {
        self.scan(text, 0, false)
    }

    /// How often something stands in a text that secrets begin with: what a scan costs at least.
    pub fn hits(&self, text: &[u8]) -> usize {
        self.shapes.as_ref().map_or(0, |shapes| shapes.hits(text))
    }

    fn scan(&self, bytes: &[u8], at: usize, is_unfinished: bool) -> Vec<Sighting> {
        let encodings = Encodings::default();
        let text = Text { bytes, at, encodings, is_continued: at > 0, is_unfinished };
        let mut found = Vec::new();
        self.look(&text, &mut found);
        found
    }

    /// Looks through a text and through what is encoded in it. Each round is one level deeper.
    fn look(&self, text: &Text<'_>, found: &mut Vec<Sighting>) {
        for known in &self.known {
            known.find(&self.key, text.bytes, |end, trace, owner| {
                let start = end.saturating_sub(usize::try_from(trace.length).unwrap_or(end));
                note(text, start, What::Known(owner), *trace, found);
            });
        }
        if let Some(shapes) = &self.shapes {
            shapes.find(text, |shape, range| {
                let secret = text.bytes.get(range.clone()).unwrap_or_default();
                if let Some(trace) = self.key.trace(secret) {
                    let what = shape.map_or(What::Crowded, What::from);
                    note(text, range.start, what, trace, found);
                }
            });
        }
        if text.encodings.0.len() == ROUNDS {
            return;
        }
        decode::each(text, &mut |decoded| {
            if found.len() >= SIGHTINGS {
                return;
            }
            let mut encodings = text.encodings.clone();
            encodings.0.push(decoded.encoding);
            let inner = Text {
                bytes: decoded.bytes,
                at: decoded.at,
                encodings,
                is_continued: decoded.is_continued,
                is_unfinished: decoded.is_unfinished,
            };
            self.look(&inner, found);
        });
    }
}

impl From<&'static Shape> for What {
    fn from(shape: &'static Shape) -> Self {
        Self::Shape { word: shape.word, service: shape.service }
    }
}

fn note(text: &Text<'_>, start: usize, what: What, trace: Trace, found: &mut Vec<Sighting>) {
    if let Some(same) = found.iter_mut().find(|same| same.trace.fingerprint == trace.fingerprint) {
        // A shape that says whose it is says more than one that many have.
        if matches!(same.what, What::Shape { service: None, .. })
            && same.encodings == text.encodings
        {
            same.what = what;
        }
    } else if found.len() < SIGHTINGS {
        // Within a decoded text nothing says where a byte of it stood.
        let at = if text.encodings.is_plain() { text.at + start } else { text.at };
        let what = if found.len() + 1 == SIGHTINGS { What::Crowded } else { what };
        found.push(Sighting { what, at, encodings: text.encodings.clone(), trace });
    }
}
