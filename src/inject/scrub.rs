//! Takes a value out of what an upstream sends, wherever it stands and however it is written.
//!
//! Takes bytes piece by piece; returns them with the placeholder in the place of the value: plain, in
//! percent encoding, in escapes of JSON, in hexadecimal digits, in base64 at each of its three
//! alignments, in UTF-16; letters in either case. What is put in is as long as what it replaces, so
//! lengths stay true. Only what may be the beginning of the value is kept back until more is there.

use super::Injected;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{Bytes, BytesMut};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use std::sync::Arc;
use zeroize::Zeroizing;

/// What stands in a URL as it is (RFC 3986 section 2.3).
pub(super) const UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// One way to write the value, in small letters, and what takes its place.
struct Needle {
    find: Zeroizing<Vec<u8>>,
    put: Vec<u8>,
}

/// All ways to write one value.
pub(super) struct Scrub {
    needles: Vec<Needle>,
    /// Whether some needle begins with a pair of bytes, one bit a pair.
    begins: Box<[u64]>,
    longest: usize,
}

impl Scrub {
    pub(super) fn new(value: &str, placeholder: &str) -> Self {
        let mut scrub = Self { needles: Vec::new(), begins: vec![0; 1024].into(), longest: 0 };
        for (find, put) in spellings(value).into_iter().zip(spellings(placeholder)) {
            scrub.add(&find, &put);
        }
        for skipped in 0..3 {
            let (find, put) = (aligned(value, skipped), aligned(placeholder, skipped));
            scrub.add(find.as_bytes(), put.as_bytes());
            let url = |text: &str| text.replace('+', "-").replace('/', "_");
            scrub.add(url(&find).as_bytes(), url(&put).as_bytes());
        }
        scrub
    }

    fn add(&mut self, find: &[u8], put: &[u8]) {
        let find = Zeroizing::new(find.to_ascii_lowercase());
        if find.len() < 2 || self.needles.iter().any(|needle| *needle.find == *find) {
            return;
        }
        // As long as what it replaces: lengths that were told stay true.
        let put = put.iter().copied().chain(std::iter::repeat(b'x')).take(find.len()).collect();
        if let Some(pair) = find.first_chunk::<2>() {
            let bit = pair_of(*pair);
            if let Some(word) = self.begins.get_mut(bit / 64) {
                *word |= 1 << (bit % 64);
            }
        }
        self.longest = self.longest.max(find.len());
        self.needles.push(Needle { find, put });
    }

    /// The longest way in which the value stands at the beginning of a text.
    fn at(&self, text: &[u8]) -> Option<&Needle> {
        let begins = text.first_chunk::<2>().is_some_and(|pair| {
            let bit = pair_of(*pair);
            self.begins.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
        });
        if !begins {
            return None;
        }
        let stands = |needle: &&Needle| {
            text.get(..needle.find.len())
                .is_some_and(|text| text.eq_ignore_ascii_case(&needle.find))
        };
        self.needles.iter().filter(stands).max_by_key(|needle| needle.find.len())
    }

    /// Where in a text something begins that may be the value once more is there.
    fn begun(&self, text: &[u8]) -> usize {
        let from = text.len().saturating_sub(self.longest.saturating_sub(1));
        let may_be = |at: &usize| {
            let tail = text.get(*at..).unwrap_or_default();
            self.needles.iter().any(|needle| {
                needle.find.get(..tail.len()).is_some_and(|head| head.eq_ignore_ascii_case(tail))
            })
        };
        (from..text.len()).find(may_be).unwrap_or(text.len())
    }

    /// Takes the value out; none where it does not stand there.
    fn whole(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut clean: Option<Vec<u8>> = None;
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| rest.len() >= 2) {
            match self.at(rest) {
                Some(needle) => {
                    let clean = clean.get_or_insert_with(|| text.to_vec());
                    let end = at + needle.put.len();
                    if let Some(place) = clean.get_mut(at..end) {
                        place.copy_from_slice(&needle.put);
                    }
                    at = end;
                }
                None => at += 1,
            }
        }
        clean
    }
}

/// A pair of bytes as a number, letters in small.
fn pair_of([first, second]: [u8; 2]) -> usize {
    usize::from(first.to_ascii_lowercase()) << 8 | usize::from(second.to_ascii_lowercase())
}

/// The ways to write a text, always in the same order.
fn spellings(text: &str) -> Vec<Zeroizing<Vec<u8>>> {
    let bytes = text.as_bytes();
    let each = |mark: &str| -> Vec<u8> {
        bytes.iter().flat_map(|byte| format!("{mark}{byte:02x}").into_bytes()).collect()
    };
    let escaped = |also: char| {
        let mut out = String::with_capacity(text.len() * 2);
        for c in text.chars() {
            if matches!(c, '"' | '\\') || c == also {
                out.push('\\');
            }
            out.push(c);
        }
        out.into_bytes()
    };
    let wide = |first: bool| {
        let of = |byte: &u8| if first { [*byte, 0] } else { [0, *byte] };
        bytes.iter().flat_map(of).collect::<Vec<u8>>()
    };
    let all = [
        bytes.to_vec(),
        escaped('"'),
        escaped('/'),
        utf8_percent_encode(text, UNRESERVED).to_string().into_bytes(),
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string().into_bytes(),
        each("%"),
        each("\\u00"),
        each("\\x"),
        each(""),
        wide(true),
        wide(false),
    ];
    all.into_iter().map(Zeroizing::new).collect()
}

/// The part of a text's base64 that is the same whatever stands around it, where so many bytes of its
/// first group belong to what stands before.
fn aligned(text: &str, skipped: usize) -> Zeroizing<String> {
    let from = (3 - skipped) % 3;
    let inside = text.as_bytes().get(from..).unwrap_or_default();
    let whole = inside.len() / 3 * 3;
    Zeroizing::new(STANDARD_NO_PAD.encode(inside.get(..whole).unwrap_or_default()))
}

/// Takes one credential's value out of one answer.
#[derive(Debug)]
pub struct Scrubber {
    injected: Arc<Injected>,
    kept: BytesMut,
}

impl Scrubber {
    /// For one answer.
    pub fn new(injected: &Arc<Injected>) -> Self {
        Self { injected: injected.clone(), kept: BytesMut::new() }
    }

    /// What of the bytes so far may pass; `last` says that no more come.
    pub fn pass(&mut self, bytes: Bytes, last: bool) -> Bytes {
        let scrub = &self.injected.scrub;
        let bytes = if self.kept.is_empty() {
            bytes
        } else {
            self.kept.extend_from_slice(&bytes);
            self.kept.split().freeze()
        };
        let mut clean = scrub.whole(&bytes).map_or(bytes, Bytes::from);
        if !last {
            let begun = scrub.begun(&clean);
            self.kept.extend_from_slice(&clean.split_off(begun));
        }
        clean
    }

    /// How many bytes wait for what comes after them.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// A text that is there at once, without the value; none where it was not in it.
    pub fn text(&self, text: &[u8]) -> Option<Vec<u8>> {
        self.injected.scrub.whole(text)
    }
}
