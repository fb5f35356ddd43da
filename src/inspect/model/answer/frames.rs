//! Frames of `application/vnd.amazon.eventstream`.
//!
//! Takes bytes cut anywhere; tells each event when its frame is there and both its checksums hold. Nothing
//! is read after a frame that is broken: where the next one begins is not known.

use super::{EVENT, Part, empty};
use crate::inspect::model::Unread;

/// What stands before the headers: two lengths and their checksum.
const PRELUDE: usize = 12;
/// The checksum of all that stands before it.
const TRAILER: usize = 4;

/// A stream of frames.
#[derive(Default)]
pub(super) struct Frames {
    /// What is there of a frame.
    kept: Vec<u8>,
    /// The length of the frame, once that is there.
    length: Option<usize>,
    /// So much of a frame that is too long is passed over.
    passing: usize,
    is_broken: bool,
}

/// The headers of a frame that matter.
#[derive(Default)]
struct Headers<'a> {
    message_type: &'a str,
    event_type: &'a str,
}

impl Frames {
    #[cfg(test)]
    pub(super) const fn held(&self) -> usize {
        self.kept.capacity()
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8], take: &mut impl FnMut(Part<'_>)) {
        while !bytes.is_empty() && !self.is_broken {
            if self.passing > 0 {
                let passed = self.passing.min(bytes.len());
                self.passing -= passed;
                bytes = bytes.get(passed..).unwrap_or_default();
                continue;
            }
            let needed = self.length.unwrap_or(PRELUDE).saturating_sub(self.kept.len());
            let (piece, rest) = bytes.split_at(needed.min(bytes.len()));
            self.kept.extend_from_slice(piece);
            bytes = rest;
            if piece.len() == needed && self.step(take).is_none() {
                self.is_broken = true;
                self.kept = Vec::new();
                take(Part::Broken(Unread::Frame));
            }
        }
    }

    pub(super) fn end(self, take: &mut impl FnMut(Part<'_>)) {
        if !self.kept.is_empty() || self.passing > 0 {
            take(Part::Broken(Unread::Truncated));
        }
    }

    /// Goes on with a prelude or a frame that is there; none where it is broken.
    fn step(&mut self, take: &mut impl FnMut(Part<'_>)) -> Option<()> {
        let headers = usize::try_from(number(self.kept.get(4..8)?)?).ok()?;
        if self.length.is_none() {
            let length = usize::try_from(number(self.kept.get(..4)?)?).ok()?;
            if checksum(self.kept.get(..8)?) != number(self.kept.get(8..PRELUDE)?)?
                || length.checked_sub(PRELUDE + TRAILER)? < headers
            {
                return None;
            }
            if length > EVENT {
                self.passing = length - PRELUDE;
                self.kept.clear();
                take(Part::Long(""));
            } else {
                self.length = Some(length);
            }
            return Some(());
        }
        let (frame, sum) = self.kept.split_last_chunk::<TRAILER>()?;
        if checksum(frame) != number(sum)? {
            return None;
        }
        let (headers, payload) = frame.get(PRELUDE..)?.split_at_checked(headers)?;
        let headers = Headers::read(headers)?;
        // What is no event is an exception, which says nothing of the conversation.
        if headers.message_type == "event" {
            take(Part::Event { name: headers.event_type, data: payload, is_whole: true });
        }
        empty(&mut self.kept);
        self.length = None;
        Some(())
    }
}

impl<'a> Headers<'a> {
    fn read(mut bytes: &'a [u8]) -> Option<Self> {
        let mut headers = Self::default();
        while let Some((length, rest)) = bytes.split_first() {
            let (name, rest) = rest.split_at_checked(usize::from(*length))?;
            let (kind, rest) = rest.split_first()?;
            let (length, rest) = match kind {
                0 | 1 => (0, rest),
                2 => (1, rest),
                3 => (2, rest),
                4 => (4, rest),
                5 | 8 => (8, rest),
                6 | 7 => {
                    let (length, rest) = rest.split_first_chunk::<2>()?;
                    (usize::from(u16::from_be_bytes(*length)), rest)
                }
                9 => (16, rest),
                _ => return None,
            };
            let (value, rest) = rest.split_at_checked(length)?;
            let slot = match name {
                b":message-type" => Some(&mut headers.message_type),
                b":event-type" => Some(&mut headers.event_type),
                _ => None,
            };
            if let Some(slot) = slot.filter(|_| *kind == 7) {
                *slot = std::str::from_utf8(value).ok()?;
            }
            bytes = rest;
        }
        Some(headers)
    }
}

fn number(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_be_bytes)
}

/// CRC-32 as gzip has it.
fn checksum(bytes: &[u8]) -> u32 {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum()
}
