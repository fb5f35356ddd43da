//! A look over a text that passes most of it by.
//!
//! Takes rows of four letters that something may begin with; returns the places of a text where one of
//! them may stand, in one pass that takes every other place. Small and capital letters are alike. Says
//! too many places rather than too few. Pure.

use std::fmt;
use std::ops::Range;

/// What is looked for: the first and the last three letters of each row.
#[derive(Debug)]
pub(super) struct Sieve(Bits);

/// The first three letters of a row.
const PART: u32 = 0x00ff_ffff;
/// What makes letters small.
const SMALL: u64 = 0x2020_2020_2020_2020;

/// The first three of some letters.
#[expect(clippy::cast_possible_truncation, reason = "only three letters are meant")]
const fn part(letters: u64) -> u32 {
    letters as u32 & PART
}

/// Four letters as one number, small and capital ones alike.
pub(super) const fn folded(row: [u8; 4]) -> u32 {
    u32::from_le_bytes(row) | 0x2020_2020
}

impl Sieve {
    /// For these rows, which are [`folded`].
    pub(super) fn new(rows: &[u32]) -> Self {
        Self(rows.iter().flat_map(|row| [row & PART, row >> 8]).collect())
    }

    /// Calls with each place where a row may stand and the letters there, until that says that it is
    /// enough. What is behind the text counts as spaces. Whichever place a row begins at, three of its
    /// letters begin at an even one: only those are looked at first.
    pub(super) fn places(&self, text: &[u8], enough: &mut impl FnMut(usize, u32) -> bool) -> bool {
        /// How many places are looked at before what was found there is.
        const TOGETHER: usize = 24;
        let mut at = 0;
        while let Some(bytes) = text.get(at..at + TOGETHER + 2) {
            let eights = bytes.array_windows::<8>().step_by(6);
            let found = eights.fold(0, |found, eight| {
                let letters = u64::from_le_bytes(*eight) | SMALL;
                found
                    | self.0.bit(part(letters))
                    | self.0.bit(part(letters >> 16))
                    | self.0.bit(part(letters >> 32))
            });
            // A row is at the even place of its part, or just before it.
            if found != 0 && self.rows(text, at.saturating_sub(1)..at + TOGETHER - 1, enough) {
                return true;
            }
            at += TOGETHER;
        }
        self.rows(text, at.saturating_sub(1)..text.len(), enough)
    }

    /// The rows that may stand in these places.
    fn rows(
        &self,
        text: &[u8],
        places: Range<usize>,
        enough: &mut impl FnMut(usize, u32) -> bool,
    ) -> bool {
        places.into_iter().any(|place| {
            let mut row = [b' '; 4];
            let letters = text.get(place..).unwrap_or_default();
            row.iter_mut().zip(letters).for_each(|(to, from)| *to = *from);
            let row = folded(row);
            let part = if place % 2 == 0 { row & PART } else { row >> 8 };
            self.0.bit(part) != 0 && enough(place, row)
        })
    }
}

/// A mark for the hash of each of some letters.
pub(super) struct Bits(Box<[u8; 1 << BITS]>);

const BITS: u32 = 15;

impl FromIterator<u32> for Bits {
    #[expect(clippy::large_stack_arrays, reason = "it is made once")]
    fn from_iter<I: IntoIterator<Item = u32>>(all: I) -> Self {
        let mut bits = Box::new([0; 1 << BITS]);
        for letters in all {
            if let Some(mark) = bits.get_mut(place(letters)) {
                *mark = 1;
            }
        }
        Self(bits)
    }
}

impl Bits {
    /// One for all letters that it was made of, and for some others.
    pub(super) fn bit(&self, letters: u32) -> u8 {
        self.0.get(place(letters)).copied().unwrap_or_default()
    }
}

impl fmt::Debug for Bits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bits").finish_non_exhaustive()
    }
}

const fn place(letters: u32) -> usize {
    (letters.wrapping_mul(0x9e37_79b1) >> (u32::BITS - BITS)) as usize
}
