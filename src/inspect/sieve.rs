//! A look over a text that passes most of it by.
//!
//! Takes rows of four letters that something may begin with; returns the places of a text where one of
//! them may stand, in one pass that takes every other place. Small and capital letters are alike. Says
//! too many places rather than too few. Pure.

/// What is looked for: the first and the last three letters of each row.
#[derive(Debug)]
pub(super) struct Sieve(Bits);

/// The first three letters of a row.
const PART: u32 = 0x00ff_ffff;

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
        const TOGETHER: usize = 16;
        let mut at = 0;
        while let Some(bytes) = text.get(at..at + TOGETHER + 4) {
            let parts = bytes.array_windows().step_by(2).enumerate();
            let found =
                parts.fold(0, |found, (n, row)| found | self.0.bit(folded(*row) & PART) << n);
            if found != 0 {
                // A row is at the even place of its part, or just before it.
                let begins = |n: usize| (found >> n.div_ceil(2)) & 1 != 0;
                let windows = bytes.array_windows().take(TOGETHER).enumerate();
                for (n, row) in windows.filter(|(n, _)| begins(*n)) {
                    if enough(at + n, folded(*row)) {
                        return true;
                    }
                }
            }
            at += TOGETHER;
        }
        let rest = text.get(at..).unwrap_or_default();
        (0..rest.len()).any(|n| {
            let mut row = [0; 4];
            row.iter_mut().zip(rest.iter().skip(n)).for_each(|(to, from)| *to = *from);
            enough(at + n, folded(row))
        })
    }
}

/// A bit for the hash of each of some letters.
#[derive(Debug)]
pub(super) struct Bits(Box<[u64; WORDS]>);

const WORDS: usize = 1 << 10;

impl FromIterator<u32> for Bits {
    fn from_iter<I: IntoIterator<Item = u32>>(all: I) -> Self {
        let mut bits = Box::new([0; WORDS]);
        for letters in all {
            let (word, bit) = place(letters);
            if let Some(word) = bits.get_mut(word) {
                *word |= 1 << bit;
            }
        }
        Self(bits)
    }
}

impl Bits {
    /// Other than zero for all letters that it was made of, and for some others.
    pub(super) fn bit(&self, letters: u32) -> u64 {
        let (word, bit) = place(letters);
        self.0.get(word).map_or(0, |word| (word >> bit) & 1)
    }
}

/// The word and the bit of some letters.
const fn place(letters: u32) -> (usize, u32) {
    let hash = letters.wrapping_mul(0x9e37_79b1) >> 16;
    ((hash >> 6) as usize & (WORDS - 1), hash & 63)
}
