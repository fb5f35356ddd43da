//! Takes a value out of what an upstream sends, wherever it stands and however it is written.
//!
//! Takes bytes piece by piece; returns them with the placeholder in the place of the value: plain, in
//! hexadecimal digits, in base64 at each of its three alignments, in UTF-16; each letter in either case
//! and in any escape, over the ends of lines. What is put in is as long as what it replaces, so lengths
//! stay true. Only what may be the beginning of the value is kept back until more is there.

mod spelling;

use super::Injected;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use bytes::{Bytes, BytesMut};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC};
use smallvec::{SmallVec, smallvec};
use spelling::{Letter, is_mark, letters};
use std::sync::Arc;
use zeroize::Zeroizing;

/// What stands in a URL as it is (RFC 3986 section 2.3).
pub(super) const UNRESERVED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// So many bytes a letter is written with at most, with what is between it and the next.
const LETTER: usize = 64;

/// What may stand between two letters of a needle, and whether its letters may be escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    /// Letters, each in any way that it is written, over lines.
    Letters,
    /// Hexadecimal digits, with marks between them.
    Digits,
    /// Bytes as they are.
    Bytes,
}

/// One way to write the value, in small letters, and what takes its place.
struct Needle {
    find: Zeroizing<Vec<u8>>,
    put: Vec<u8>,
    form: Form,
}

/// A letter of a needle that was found in a text.
#[derive(Clone, Copy)]
struct Step {
    /// Of the steps to the letter before, the one that this goes on from.
    from: usize,
    /// Where what is between the two letters ends, and where the letter does.
    start: usize,
    end: usize,
    has_digits: bool,
}

/// The steps to one letter.
type Steps = SmallVec<[Step; 4]>;

/// Whether a needle stands at the beginning of a text.
enum Found {
    No,
    /// It may, once more is there.
    Begun,
    /// It ends here.
    Whole(usize),
}

impl Needle {
    /// Whether it stands at the beginning of a text; what leads there is told letter by letter.
    fn stands(&self, text: &[u8], mut tell: impl FnMut(&Steps)) -> Found {
        let mut steps: Steps = smallvec![Step { from: 0, start: 0, end: 0, has_digits: false }];
        let mut begun = false;
        for (number, wanted) in self.find.iter().enumerate() {
            let mut next = Steps::new();
            for (from, step) in steps.iter().enumerate() {
                let rest = text.get(step.end..).unwrap_or_default();
                let (between, cut) = match self.form {
                    Form::Letters | Form::Digits if number > 0 => spelling::fold(rest),
                    _ => (0, false),
                };
                let between = match self.form {
                    Form::Digits if number > 0 => between.max(spelling::mark_between(rest)),
                    _ => between,
                };
                begun |= cut;
                for start in std::iter::once(step.end)
                    .chain(Some(step.end + between).filter(|_| between > 0))
                {
                    let rest = text.get(start..).unwrap_or_default();
                    let (letters, cut) = match rest.first() {
                        Some(first) if self.form != Form::Letters => {
                            (smallvec![Letter::plain(*first)], false)
                        }
                        _ => letters(rest),
                    };
                    begun |= cut;
                    for letter in letters {
                        let end = start + letter.length;
                        if letter.byte.eq_ignore_ascii_case(wanted)
                            && next.iter().all(|other: &Step| other.end != end)
                        {
                            next.push(Step { from, start, end, has_digits: letter.has_digits });
                        }
                    }
                }
            }
            if next.is_empty() {
                return if begun { Found::Begun } else { Found::No };
            }
            tell(&next);
            steps = next;
        }
        steps.iter().map(|step| step.end).max().map_or(Found::No, Found::Whole)
    }

    /// What takes its place where it stands: each letter written as the one before it was, what is
    /// between letters as it was, and in the end as long.
    fn replaced(&self, text: &[u8], end: usize) -> Vec<u8> {
        let mut all: Vec<Steps> = Vec::with_capacity(self.find.len());
        self.stands(text, |steps| all.push(steps.clone()));
        let mut path = Vec::with_capacity(all.len());
        let mut at = all.last().and_then(|last| last.iter().position(|step| step.end == end));
        for steps in all.iter().rev() {
            let Some(step) = at.and_then(|at| steps.get(at)) else { break };
            path.push(*step);
            at = Some(step.from);
        }
        let mut made = Vec::with_capacity(end);
        let mut done = 0;
        for (step, put) in path.iter().rev().zip(&self.put) {
            made.extend_from_slice(text.get(done..step.start).unwrap_or_default());
            if step.has_digits {
                let mark = text.get(step.start..step.end.saturating_sub(2)).unwrap_or_default();
                made.extend_from_slice(mark);
                made.extend_from_slice(format!("{put:02x}").as_bytes());
            } else {
                made.push(*put);
            }
            done = step.end;
        }
        made.resize(end, b'x');
        made
    }
}

/// All ways to write one value.
pub(super) struct Scrub {
    needles: Vec<Needle>,
    /// Whether some needle begins with a byte, and with a pair of bytes; one bit each.
    firsts: Box<[u64]>,
    begins: Box<[u64]>,
    longest: usize,
}

fn set(bits: &mut [u64], bit: usize) {
    if let Some(word) = bits.get_mut(bit / 64) {
        *word |= 1 << (bit % 64);
    }
}

fn is_set(bits: &[u64], bit: usize) -> bool {
    bits.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
}

impl Scrub {
    pub(super) fn new(value: &str, placeholder: &str) -> Self {
        let mut scrub = Self {
            needles: Vec::new(),
            firsts: vec![0; 4].into(),
            begins: vec![0; 1024].into(),
            longest: 0,
        };
        scrub.add(value.as_bytes(), placeholder.as_bytes(), Form::Letters);
        scrub.add(&hexadecimal(value), &hexadecimal(placeholder), Form::Digits);
        for first in [true, false] {
            scrub.add(&wide(value, first), &wide(placeholder, first), Form::Bytes);
        }
        for skipped in 0..3 {
            let (find, put) = (aligned(value, skipped), aligned(placeholder, skipped));
            scrub.add(find.as_bytes(), put.as_bytes(), Form::Letters);
            let url = |text: &str| Zeroizing::new(text.replace('+', "-").replace('/', "_"));
            scrub.add(url(&find).as_bytes(), url(&put).as_bytes(), Form::Letters);
        }
        scrub
    }

    fn add(&mut self, find: &[u8], put: &[u8], form: Form) {
        let find = Zeroizing::new(find.to_ascii_lowercase());
        if find.len() < 2 || self.needles.iter().any(|needle| *needle.find == *find) {
            return;
        }
        // As many letters as what it replaces: lengths that were told stay true.
        let put = put.iter().copied().chain(std::iter::repeat(b'x')).take(find.len()).collect();
        if let Some(pair) = find.first_chunk::<2>() {
            set(&mut self.firsts, usize::from(pair[0]));
            set(&mut self.begins, pair_of(*pair));
        }
        self.longest = self.longest.max(find.len().saturating_mul(LETTER));
        self.needles.push(Needle { find, put, form });
    }

    /// Whether the value could stand at the beginning of a text: what most of a text is passed over by.
    fn may_stand(&self, text: &[u8]) -> bool {
        let Some(pair) = text.first_chunk::<2>() else { return true };
        let [first, second] = *pair;
        if is_mark(first) {
            let (found, cut) = letters(text);
            let may_be = |byte: u8| is_set(&self.firsts, usize::from(byte.to_ascii_lowercase()));
            return cut || found.iter().any(|letter| may_be(letter.byte));
        }
        if is_mark(second)
            || matches!(second, b'\r' | b'\n' | b' ' | b':' | b'-')
            || first == second
        {
            return is_set(&self.firsts, usize::from(first.to_ascii_lowercase()));
        }
        is_set(&self.begins, pair_of(*pair))
    }

    /// The longest way in which the value stands at the beginning of a text, and where it ends.
    fn at(&self, text: &[u8]) -> Option<(&Needle, usize)> {
        if !self.may_stand(text) {
            return None;
        }
        let ends = self.needles.iter().filter_map(|needle| match needle.stands(text, |_| ()) {
            Found::Whole(end) => Some((needle, end)),
            _ => None,
        });
        ends.max_by_key(|(_, end)| *end)
    }

    /// Where in a text something begins that may be the value once more is there.
    fn begun(&self, text: &[u8]) -> usize {
        let from = text.len().saturating_sub(self.longest);
        let may_be = |at: &usize| {
            let tail = text.get(*at..).unwrap_or_default();
            let begins = |needle: &Needle| matches!(needle.stands(tail, |_| ()), Found::Begun);
            self.may_stand(tail) && self.needles.iter().any(begins)
        };
        (from..text.len()).find(may_be).unwrap_or(text.len())
    }

    /// Takes the value out; none where it does not stand there.
    fn whole(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut clean: Option<Vec<u8>> = None;
        let mut at = 0;
        while let Some(rest) = text.get(at..).filter(|rest| rest.len() >= 2) {
            match self.at(rest) {
                Some((needle, end)) => {
                    let clean = clean.get_or_insert_with(|| text.to_vec());
                    if let Some(place) = clean.get_mut(at..at + end) {
                        place.copy_from_slice(&needle.replaced(rest, end));
                    }
                    at += end;
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

fn hexadecimal(text: &str) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(crate::fingerprint::hex(text.as_bytes()).into_bytes())
}

/// UTF-16, with the byte that is not zero first or second.
fn wide(text: &str, first: bool) -> Zeroizing<Vec<u8>> {
    let of = |byte: u8| if first { [byte, 0] } else { [0, byte] };
    Zeroizing::new(text.bytes().flat_map(of).collect())
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
