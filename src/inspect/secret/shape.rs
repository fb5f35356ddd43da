//! Secrets by what they look like.
//!
//! Takes a text; returns where something stands in it that has the shape of a vendor's secrets. One
//! automaton finds what they begin with, in one pass over the text; each find is then checked in time
//! linear in its length: letters, length, what is around it, and the checksum where the vendor has one.

use super::checksum::{is_checked, is_example, is_filled, is_mixed};
use super::vendor::SHAPES;
use super::{Text, jwt};
use crate::inspect::sieve::{self, Bits, Sieve};
use aho_corasick::{AhoCorasick, AhoCorasickKind, BuildError, Input, Match, MatchKind};
use std::ops::Range;

/// A shape of secrets.
#[derive(Debug)]
pub(super) struct Shape {
    /// What evidence calls it.
    pub(super) word: &'static str,
    /// The service that it belongs to, where a catalog describes it.
    pub(super) service: Option<&'static str>,
    /// What it begins with, or what stands in it.
    pub(super) begins: &'static [&'static str],
    /// What it is, from there on.
    pub(super) form: Form,
}

/// What a secret consists of.
#[derive(Debug)]
pub(super) enum Form {
    /// Letters after what it begins with.
    Letters { letters: Letters, least: usize, most: usize, rule: Rule },
    /// A value of these letters that is assigned to what it begins with.
    Assigned { letters: Letters, length: usize },
    /// Azure's: a digit and three letters before the mark.
    Azure,
    /// `OpenAI`'s, with the mark in the middle.
    Openai,
    /// Terraform Cloud's: an id before the mark.
    Terraform,
    /// A signed token whose claims say that it is a service's.
    Jwt,
    /// A private key.
    Pem,
}

/// The letters of a secret.
#[derive(Clone, Copy, Debug)]
pub(super) enum Letters {
    /// Letters and digits.
    Alnum,
    /// These, `_` and `-`.
    Word,
    /// These and `.`.
    Dotted,
    /// Hexadecimal digits in lower case.
    Hex,
    /// Hexadecimal digits.
    Hexes,
    /// Capitals and the digits 2 to 7.
    Base32,
    /// Capitals and digits.
    Base36,
    /// Base64 with either alphabet and padding, and percent escapes of it.
    Base64,
}

/// What is asked of the letters besides their number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// The checksum at their end is right.
    Checksum,
    /// They are no example.
    Random,
    /// These too, and they are mixed as random ones are: for what begins with an everyday word.
    Mixed,
    /// They are the encoding of something that need not be random throughout.
    Coded,
    /// There are digits and no example: Slack's have numbers of teams in them.
    Slack,
}

impl Letters {
    const fn has(self, byte: u8) -> bool {
        match self {
            Self::Alnum => byte.is_ascii_alphanumeric(),
            Self::Word => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'),
            Self::Dotted => byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'),
            Self::Hex => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            Self::Hexes => byte.is_ascii_hexdigit(),
            Self::Base32 => matches!(byte, b'A'..=b'Z' | b'2'..=b'7'),
            Self::Base36 => matches!(byte, b'A'..=b'Z' | b'0'..=b'9'),
            Self::Base64 => {
                byte.is_ascii_alphanumeric()
                    || matches!(byte, b'_' | b'-' | b'+' | b'/' | b'=' | b'%')
            }
        }
    }
}

/// All shapes, behind one automaton.
#[derive(Debug)]
pub(super) struct Shapes {
    automaton: AhoCorasick,
    /// Where to look with it at all, but for the sign of [`SIGN`].
    sieve: Sieve,
    rows: Bits,
    /// The most that a pattern reaches beyond where it begins.
    longest: usize,
    /// The shape of each pattern.
    of: Vec<&'static Shape>,
}

impl Shapes {
    pub(super) fn new() -> Result<Self, BuildError> {
        let patterns =
            || SHAPES.iter().flat_map(|shape| shape.begins.iter().map(move |b| (b, shape)));
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::DFA))
            .match_kind(MatchKind::Standard)
            .build(patterns().map(|(begin, _)| begin))?;
        let longest = patterns().map(|(begin, _)| begin.len()).max().unwrap_or_default();
        let rows: Vec<u32> = patterns().flat_map(|(begin, _)| rows(begin.as_bytes())).collect();
        let of = patterns().map(|(_, shape)| shape).collect();
        let sieve = Sieve::new(&rows);
        Ok(Self { automaton, sieve, rows: rows.into_iter().collect(), longest, of })
    }

    /// What the automaton finds in a text, which is held against it only where the sieve says.
    fn found(&self, text: &[u8], mut tell: impl FnMut(Match)) {
        let mut pending: Option<(usize, usize)> = None;
        let held = |(from, to): (usize, usize), tell: &mut dyn FnMut(Match)| {
            let input = Input::new(text).span(from..to.min(text.len()));
            self.automaton.find_overlapping_iter(input).for_each(tell);
        };
        let mut signs = memchr::memchr_iter(SIGN, text).peekable();
        // What is near each other is looked at together, so that nothing is told twice.
        let mut near = |at: usize| {
            let (from, to) = (at.saturating_sub(1), at + self.longest);
            match &mut pending {
                Some((_, end)) if from <= *end => *end = to,
                Some(window) => held(std::mem::replace(window, (from, to)), &mut tell),
                none => *none = Some((from, to)),
            }
        };
        self.sieve.places(text, &mut |at, row| {
            if self.rows.bit(row) == 0 {
                return false;
            }
            while let Some(sign) = signs.next_if(|sign| *sign <= at) {
                near(sign);
            }
            near(at);
            false
        });
        signs.for_each(&mut near);
        if let Some(window) = pending {
            held(window, &mut tell);
        }
    }

    /// Where the automaton stops: what the whole scan is compared with.
    pub(super) fn hits(&self, text: &[u8]) -> usize {
        self.automaton.find_overlapping_iter(text).count()
    }

    /// Tells of each secret in the text, in the order of the shapes where they begin alike. Where more
    /// begin in one run of letters than ever do by chance, it is told that the rest is not looked at:
    /// each check may read the whole run.
    pub(super) fn find(
        &self,
        text: &Text<'_>,
        mut tell: impl FnMut(Option<&'static Shape>, Range<usize>),
    ) {
        let (mut end, mut left) = (0, 0);
        self.found(text.bytes, |hit| {
            let Some(shape) = self.of.get(hit.pattern().as_usize()) else { return };
            if hit.start() >= end {
                let rest = text.bytes.get(hit.start()..).unwrap_or_default();
                let length = rest.iter().take_while(|byte| in_run(**byte)).count();
                (end, left) = (hit.start() + length, CHECKS + length / BY_CHANCE);
            }
            if left == 0 {
                tell(None, hit.end().saturating_sub(CROWDED)..hit.end());
                return;
            }
            left -= 1;
            if let Some(range) = shape.form.check(text, hit.range()) {
                tell(Some(shape), range);
            }
        });
    }
}

/// What makes two letters a beginning, which are too few for a row: it is rare, and looked for by itself.
const SIGN: u8 = b'~';

/// The rows of a beginning: of three letters with all that a secret goes on with, and none of two with
/// the sign.
fn rows(begin: &[u8]) -> Vec<u32> {
    match *begin {
        [first, second, third] => {
            let next = (0..=u8::MAX).filter(|next| in_run(*next));
            next.map(|next| sieve::folded([first, second, third, next])).collect()
        }
        [first, second, third, fourth, ..] => vec![sieve::folded([first, second, third, fourth])],
        _ => Vec::new(),
    }
}

/// So many checks in one run of letters, and one more for each so many letters of it.
const CHECKS: usize = 16;
const BY_CHANCE: usize = 64;
/// What is told of a run that has more: its last letters.
const CROWDED: usize = 32;

/// What may stand in any secret.
const fn in_run(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(byte, b'_' | b'-' | b'.' | b'+' | b'/' | b'=' | b'%' | b'~')
}

impl Form {
    /// The secret around a hit.
    fn check(&self, text: &Text<'_>, hit: Range<usize>) -> Option<Range<usize>> {
        match *self {
            Self::Letters { letters, least, most, rule: Rule::Checksum } => {
                // The checksum says enough: what stands around it makes no difference.
                let end = hit.end + least.max(most);
                let body = text.bytes.get(hit.end..end)?;
                (body.iter().all(|byte| letters.has(*byte)) && is_checked(body))
                    .then_some(hit.start..end)
            }
            Self::Letters { letters, least, most, rule } => {
                text.begins(hit.start)?;
                let end = text.run(hit.end, letters, most)?;
                let body = text.bytes.get(hit.end..end)?;
                (body.len() >= least && rule.allows(body)).then_some(hit.start..end)
            }
            Self::Assigned { letters, length } => {
                let between =
                    |byte: &&u8| matches!(**byte, b' ' | b'"' | b'\'' | b'=' | b':' | b'>' | b'\\');
                let rest = text.bytes.get(hit.end..)?;
                let start = hit.end + rest.iter().take(8).take_while(between).count();
                let end = text.run(start, letters, length)?;
                let body = text.bytes.get(start..end)?;
                (start > hit.end && body.len() == length && Rule::Mixed.allows(body))
                    .then_some(start..end)
            }
            Self::Azure => {
                let start = hit.start.checked_sub(4)?;
                text.begins(start)?;
                let before = text.bytes.get(start..hit.start)?;
                let end = text.run(hit.end, Letters::Dotted, 34)?;
                let body = text.bytes.get(hit.end..end)?;
                let is_id = before.iter().all(|byte| Letters::Dotted.has(*byte))
                    && before.last().is_some_and(u8::is_ascii_digit);
                (is_id && body.len() >= 31 && Rule::Mixed.allows(body)).then_some(start..end)
            }
            Self::Openai => {
                let before = text.bytes.get(hit.start.saturating_sub(180)..hit.start)?;
                let length =
                    before.iter().rev().take_while(|byte| Letters::Word.has(**byte)).count();
                let token = before.get(before.len() - length..)?;
                let start = hit.start - (length - memchr::memmem::find(token, b"sk-")?);
                let end = text.run(hit.end, Letters::Word, 180)?;
                let body = text.bytes.get(hit.end..end)?;
                (body.len() >= 20 && Rule::Random.allows(body)).then_some(start..end)
            }
            Self::Terraform => {
                let start = hit.start.checked_sub(14)?;
                text.begins(start)?;
                let before = text.bytes.get(start..hit.start)?;
                let end = text.run(hit.end, Letters::Word, 80)?;
                let body = text.bytes.get(hit.end..end)?;
                let is_id = before.iter().all(u8::is_ascii_alphanumeric);
                (is_id && body.len() >= 60 && Rule::Random.allows(body)).then_some(start..end)
            }
            Self::Jwt => {
                text.begins(hit.start)?;
                let end = text.run(hit.start, Letters::Dotted, jwt::LONGEST)?;
                jwt::is_service(text.bytes.get(hit.start..end)?).then_some(hit.start..end)
            }
            Self::Pem => pem(text, &hit),
        }
    }
}

/// The first letters of a private key's body, which stand for all of it: they are the same however
/// its lines are broken.
fn pem(text: &Text<'_>, hit: &Range<usize>) -> Option<Range<usize>> {
    const FIRST: usize = 64;
    const HEADER: usize = 512;
    let before = text.bytes.get(hit.start.saturating_sub(48)..hit.start)?;
    memchr::memmem::rfind(before, b"-----BEGIN ")?;
    let rest = text.bytes.get(hit.end..)?;
    // Lines of a header may stand before it: what is taken is the first unbroken part long enough.
    let mut start = hit.end;
    for (at, byte) in rest.iter().enumerate().take(HEADER) {
        let at = hit.end + at;
        let is_body = byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/');
        let escaped = at > 0 && text.bytes.get(at - 1) == Some(&b'\\');
        if !is_body || escaped {
            start = at + 1;
        } else if at + 1 - start == FIRST {
            let body = text.bytes.get(start..=at)?;
            return Rule::Mixed.allows(body).then_some(start..at + 1);
        }
    }
    None
}

impl Rule {
    fn allows(self, body: &[u8]) -> bool {
        match self {
            Self::Checksum => is_checked(body),
            Self::Random => !is_example(body),
            Self::Mixed => !is_example(body) && is_mixed(body),
            Self::Coded => !is_filled(body),
            Self::Slack => body.iter().any(u8::is_ascii_digit) && !is_example(body),
        }
    }
}

impl Text<'_> {
    /// Whether a word begins here.
    fn begins(&self, at: usize) -> Option<()> {
        let begins = match at.checked_sub(1).and_then(|before| self.bytes.get(before)) {
            None => !self.is_continued,
            // After `\n` and the like, as strings of JSON have them.
            Some(b'n' | b't' | b'r' | b'b' | b'f') => {
                at.checked_sub(2).and_then(|before| self.bytes.get(before)) == Some(&b'\\')
            }
            Some(byte) => !byte.is_ascii_alphanumeric(),
        };
        begins.then_some(())
    }

    /// Where these letters end; none if there are more than that, or if more may follow.
    fn run(&self, start: usize, letters: Letters, most: usize) -> Option<usize> {
        let rest = self.bytes.get(start..)?;
        let length = rest.iter().take(most + 1).take_while(|byte| letters.has(**byte)).count();
        (length <= most && (length < rest.len() || !self.is_unfinished)).then_some(start + length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn beginnings() -> Vec<&'static str> {
        SHAPES.iter().flat_map(|shape| shape.begins.iter().copied()).collect()
    }

    #[test]
    fn each_beginning_has_a_row_or_the_sign() {
        for begin in beginnings() {
            let has_sign = begin.len() == 2 && begin.as_bytes().ends_with(&[SIGN]);
            assert_eq!(has_sign, rows(begin.as_bytes()).is_empty(), "{begin}");
        }
    }

    proptest! {
        #[test]
        fn the_sieve_leaves_out_nothing_that_the_automaton_finds(
            parts in prop::collection::vec(
                prop_oneof![
                    4 => "[ -~\\t\\n]{0,40}",
                    4 => prop::sample::select(beginnings()).prop_map(str::to_owned),
                    1 => prop::sample::select(beginnings()).prop_map(|begin| begin[..begin.len() - 1].to_owned()),
                ],
                0..24,
            ),
        ) {
            let shapes = Shapes::new().unwrap();
            let text = parts.concat();
            // A beginning of three letters that nothing follows is no secret's.
            let goes_on = |hit: &Match| {
                hit.len() > 3 || text.as_bytes().get(hit.end()).is_some_and(|next| in_run(*next))
            };
            let mut found = Vec::new();
            shapes.found(text.as_bytes(), |hit| found.push(hit));
            found.retain(goes_on);
            let all = shapes.automaton.find_overlapping_iter(&text).filter(goes_on);
            prop_assert_eq!(found, all.collect::<Vec<_>>());
        }
    }
}
