//! JSON documents that come in pieces: one, several after each other, or the members of an array.
//!
//! Takes bytes cut anywhere; tells each object when its end is there. Only where objects begin and end is
//! looked at here; whether they are strict JSON is said by who reads them.

use super::{EVENT, Part, empty};
use crate::inspect::model::Unread;
use memchr::memchr2;

/// Documents of which one may be open.
#[derive(Default)]
pub(super) struct Documents {
    /// What is there of the document that is open.
    kept: Vec<u8>,
    is_long: bool,
    depth: usize,
    in_text: bool,
    /// The byte before begins an escape.
    is_escaped: bool,
    /// It was no JSON: nothing after it is read.
    is_broken: bool,
}

impl Documents {
    #[cfg(test)]
    pub(super) const fn held(&self) -> usize {
        self.kept.capacity()
    }

    pub(super) fn feed(&mut self, bytes: &[u8], take: &mut impl FnMut(Part<'_>)) {
        let mut from = 0;
        let mut at = 0;
        while let Some(byte) = bytes.get(at).copied().filter(|_| !self.is_broken) {
            if self.depth == 0 {
                match byte {
                    b'{' => (from, self.depth) = (at, 1),
                    // What parts documents, and a byte order mark.
                    b'[' | b']' | b',' | 0xef | 0xbb | 0xbf => {}
                    _ if byte.is_ascii_whitespace() => {}
                    _ => {
                        self.is_broken = true;
                        take(Part::Broken(Unread::Json));
                    }
                }
                at += 1;
            } else if self.in_text {
                at = self.text(bytes, at);
            } else {
                at += 1;
                match byte {
                    b'"' => self.in_text = true,
                    b'{' | b'[' => self.depth += 1,
                    b'}' | b']' => self.depth -= 1,
                    _ => {}
                }
                if self.depth == 0 {
                    self.tell(bytes.get(from..at).unwrap_or_default(), take);
                }
            }
        }
        if self.depth > 0 {
            self.keep(bytes.get(from..).unwrap_or_default());
        }
    }

    pub(super) fn end(self, take: &mut impl FnMut(Part<'_>)) {
        if self.depth > 0 {
            take(Part::Broken(Unread::Truncated));
        }
    }

    /// Goes on in a text; where that leads.
    fn text(&mut self, bytes: &[u8], at: usize) -> usize {
        if std::mem::take(&mut self.is_escaped) {
            return at + 1;
        }
        let Some(found) = bytes.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) else {
            return bytes.len();
        };
        match bytes.get(at + found) {
            Some(b'\\') => self.is_escaped = true,
            _ => self.in_text = false,
        }
        at + found + 1
    }

    fn keep(&mut self, bytes: &[u8]) {
        self.is_long |= self.kept.len().saturating_add(bytes.len()) > EVENT;
        if self.is_long {
            empty(&mut self.kept);
        } else {
            self.kept.extend_from_slice(bytes);
        }
    }

    /// Tells the document of which this is the end.
    fn tell(&mut self, end: &[u8], take: &mut impl FnMut(Part<'_>)) {
        if self.kept.is_empty() && !self.is_long && end.len() <= EVENT {
            take(Part::Document(end));
            return;
        }
        self.keep(end);
        let is_long = std::mem::take(&mut self.is_long);
        take(if is_long { Part::Long("") } else { Part::Document(&self.kept) });
        empty(&mut self.kept);
    }
}
