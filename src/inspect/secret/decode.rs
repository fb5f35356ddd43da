//! Texts within texts: what stands in base64, hexadecimal, escapes and UTF-16.
//!
//! Takes a text; tells of every text that is encoded in it, whichever letters are around it. One round
//! of decoding: whoever asks bounds the rounds. The work is linear in the length of the text, and what
//! decodes to no text (images, hashes) costs little more than being passed over.

use super::{Encoding, Text};
use std::borrow::Cow;

/// A shorter text is not told: no secret is shorter.
const SHORTEST: usize = 12;
/// Runs of base64 that could hold that.
const BASE64: usize = 16;
/// Runs of hexadecimal digits that could hold that.
const HEX: usize = 24;
/// Escapes that are further apart are decoded each with what is around it.
const AROUND: usize = 4096;

/// A decoded text, and where it stood.
pub(super) struct Decoded<'a> {
    pub(super) encoding: Encoding,
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
    /// Whether it goes on before what was seen, and after.
    pub(super) is_continued: bool,
    pub(super) is_unfinished: bool,
}

/// Tells of each text that is encoded in this one.
pub(super) fn each(text: &Text<'_>, tell: &mut impl FnMut(&Decoded<'_>)) {
    runs(text, tell);
    escapes(text, b'%', Encoding::Percent, tell);
    escapes(text, b'\\', Encoding::Escapes, tell);
    wide(text, tell);
}

/// What a letter of base64 stands for, in either alphabet; 64 for every other byte.
#[expect(clippy::indexing_slicing, reason = "it is computed when this is compiled")]
const SEXTETS: [u8; 256] = {
    let mut table = [64; 256];
    let mut byte = 0;
    while byte < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "it is below 256")]
        let letter = byte as u8;
        table[byte] = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => 64,
        };
        byte += 1;
    }
    table
};

/// What a letter may be: the first, second or third of four that are three bytes of text, of which
/// none has its highest bit; a hexadecimal digit, and the first of the two of such a byte.
#[expect(clippy::indexing_slicing, reason = "it is computed when this is compiled")]
const MAY_BE: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let sextet = SEXTETS[byte];
        #[expect(clippy::cast_possible_truncation, reason = "it is below 256")]
        let letter = byte as u8;
        if sextet < 64 {
            table[byte] = matches!(sextet, 0 | 2 | 3 | 8..=31) as u8
                | ((sextet & 8 == 0) as u8) << 1
                | ((sextet & 2 == 0) as u8) << 2
                | (letter.is_ascii_hexdigit() as u8) << 3
                | (matches!(letter, b'0' | b'2'..=b'7') as u8) << 4;
        }
        byte += 1;
    }
    table
};

fn may_be(byte: u8) -> u32 {
    MAY_BE.get(usize::from(byte)).copied().map_or(0, u32::from)
}

/// Whether base64 of a text, and hexadecimal digits of one, could stand in these letters. Twelve bytes
/// of text have three fours in a row, wherever they begin, and twelve pairs of digits.
fn could_hold(letters: &[u8]) -> (bool, bool) {
    const DIGITS: u32 = (1 << HEX) - 1;
    const HIGH: u32 = DIGITS & 0x5555_5555;
    // Each has a bit for each letter so far, the last one lowest.
    let (mut first, mut second, mut fours) = (0_u32, 0_u32, 0_u32);
    let (mut digits, mut high) = (0_u32, 0_u32);
    let (mut base64, mut hex) = (0_u32, false);
    for byte in letters {
        let may_be = may_be(*byte);
        fours = fours << 1 | first >> 1 & second & may_be >> 2 & 1;
        base64 |= fours & fours >> 4 & fours >> 8;
        first = first << 1 | may_be & 1;
        second = may_be >> 1 & 1;
        digits = digits << 1 | may_be >> 3 & 1;
        // The first digit of a pair is behind the second.
        hex |= digits & DIGITS == DIGITS && high & HIGH == HIGH;
        high = high << 1 | may_be >> 4 & 1;
    }
    (base64 != 0, hex)
}

fn sextet(byte: u8) -> u8 {
    SEXTETS.get(usize::from(byte)).copied().unwrap_or(64)
}

/// The runs of base64, which those of hexadecimal digits are as well.
fn runs(text: &Text<'_>, tell: &mut impl FnMut(&Decoded<'_>)) {
    let bytes = text.bytes;
    let mut start = 0;
    // Where one letter in sixteen is none, the others need not be looked at.
    while let Some(window) = bytes.get(start..start + BASE64) {
        if let Some(other) = window.iter().rposition(|byte| sextet(*byte) == 64) {
            start += other + 1;
            continue;
        }
        let (letters, end) = unfolded(bytes, start);
        let run = Text {
            bytes: &letters,
            at: text.at + start,
            is_continued: text.is_continued && start == 0,
            is_unfinished: text.is_unfinished && end == bytes.len(),
            ..text.clone()
        };
        let (has_base64, has_hex) = could_hold(&letters);
        if has_base64 {
            base64(&run, tell);
        }
        if has_hex {
            hex(&run, tell);
        }
        start = end + 1;
    }
}

/// The letters from a place on, with those of the lines that follow where they are folded, as mail and
/// `base64` fold them; and where they end.
fn unfolded(bytes: &[u8], start: usize) -> (Cow<'_, [u8]>, usize) {
    // No line of a fold is shorter, but the last.
    const LINE: usize = 60;
    let line = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        let length = rest.iter().take_while(|byte| sextet(**byte) != 64).count();
        rest.get(..length).unwrap_or_default()
    };
    let mut last = line(start);
    let mut letters = Cow::Borrowed(last);
    let mut end = start + last.len();
    while last.len() >= LINE {
        let rest = bytes.get(end..).unwrap_or_default();
        let folds = [&b"\n"[..], b"\r\n", b"\\n", b"\\r\\n"];
        let Some(fold) = folds.into_iter().find(|fold| rest.starts_with(fold)) else { break };
        last = line(end + fold.len());
        letters.to_mut().extend_from_slice(last);
        end += fold.len() + last.len();
    }
    (letters, end)
}

/// What stands in a run of base64, wherever in it the encoding begins.
fn base64(run: &Text<'_>, tell: &mut impl FnMut(&Decoded<'_>)) {
    let mut counts = [0_u32; 4];
    let mut from = [None; 4];
    for (at, four) in run.bytes.array_windows::<4>().enumerate() {
        let (Some(count), Some(begin)) = (counts.get_mut(at & 3), from.get_mut(at & 3)) else {
            continue;
        };
        let [first, second, third, _] = *four;
        if may_be(first) & may_be(second) >> 1 & may_be(third) >> 2 & 1 == 1 {
            *count += 1;
            // As `could_hold` says.
            if *count == 3 {
                *begin = Some(at - 8);
            }
        } else {
            if let Some(begin) = begin.take() {
                quartets(run, begin, at, tell);
            }
            *count = 0;
        }
    }
    for begin in from.into_iter().flatten() {
        quartets(run, begin, run.bytes.len(), tell);
    }
}

/// The text in these letters; that around them belongs to it in part.
fn quartets(run: &Text<'_>, from: usize, to: usize, tell: &mut impl FnMut(&Decoded<'_>)) {
    let begin = if from >= 4 { from - 4 } else { from };
    let end = (to + 4).min(run.bytes.len());
    let letters = run.bytes.get(begin..end).unwrap_or_default();
    let mut decoded = Vec::with_capacity(letters.len());
    for four in letters.chunks(4) {
        let value =
            four.iter().fold(0_u32, |value, byte| value << 6 | u32::from(sextet(*byte) & 63));
        match four.len() {
            4 => decoded.extend([value >> 16, value >> 8, value].map(low)),
            3 => decoded.extend([value >> 10, value >> 2].map(low)),
            2 => decoded.push(low(value >> 4)),
            _ => {}
        }
    }
    let place = Place {
        encoding: Encoding::Base64,
        at: run.at + begin,
        is_continued: run.is_continued && begin < 4,
        is_unfinished: run.is_unfinished && end == run.bytes.len(),
    };
    pieces(&place, &decoded, tell);
}

const fn low(value: u32) -> u8 {
    value.to_le_bytes()[0]
}

/// What stands in the hexadecimal digits of a run, at either of both halves.
fn hex(run: &Text<'_>, tell: &mut impl FnMut(&Decoded<'_>)) {
    let mut start = 0;
    for part in run.bytes.split_inclusive(|byte| !byte.is_ascii_hexdigit()) {
        let digits = match part.split_last() {
            Some((last, digits)) if !last.is_ascii_hexdigit() => digits,
            _ => part,
        };
        if digits.len() >= HEX {
            for half in 0..2 {
                let rest = digits.get(half..).unwrap_or_default();
                let (pairs, _) = rest.as_chunks::<2>();
                let decoded: Vec<u8> =
                    pairs.iter().map(|[high, low]| digit(*high) << 4 | digit(*low)).collect();
                let place = Place {
                    encoding: Encoding::Hex,
                    at: run.at + start + half,
                    is_continued: run.is_continued && start == 0,
                    is_unfinished: run.is_unfinished && start + part.len() == run.bytes.len(),
                };
                pieces(&place, &decoded, tell);
            }
        }
        start += part.len();
    }
}

fn digit(byte: u8) -> u8 {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok()).unwrap_or_default()
}

/// What is taken for text.
const fn is_text(byte: u8) -> bool {
    matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r')
}

/// Where decoded bytes stood.
struct Place {
    encoding: Encoding,
    at: usize,
    is_continued: bool,
    is_unfinished: bool,
}

/// Tells of the texts in decoded bytes. In UTF-16 every other byte is zero.
fn pieces(place: &Place, decoded: &[u8], tell: &mut impl FnMut(&Decoded<'_>)) {
    let mut piece = Vec::new();
    let mut zero = false;
    let mut begins_there = true;
    let mut told = |piece: &mut Vec<u8>, begins_there: bool, ends_there: bool| {
        if piece.len() >= SHORTEST {
            tell(&Decoded {
                encoding: place.encoding,
                bytes: piece,
                at: place.at,
                is_continued: place.is_continued && begins_there,
                is_unfinished: place.is_unfinished && ends_there,
            });
        }
        piece.clear();
    };
    for byte in decoded {
        match byte {
            byte if is_text(*byte) => {
                piece.push(*byte);
                zero = false;
            }
            0 if !zero => zero = true,
            _ => {
                told(&mut piece, begins_there, false);
                begins_there = false;
                zero = *byte == 0;
            }
        }
    }
    told(&mut piece, begins_there, true);
}

/// Where escapes stand in the text, decoded together with what is around them.
fn escapes(text: &Text<'_>, mark: u8, encoding: Encoding, tell: &mut impl FnMut(&Decoded<'_>)) {
    let mut cluster: Option<(usize, usize)> = None;
    let mut next = 0;
    let mut close = |(first, last): (usize, usize)| {
        let (begin, end) = around(text.bytes, first, last);
        let bytes = unescaped(text.bytes.get(begin..end).unwrap_or_default(), mark);
        tell(&Decoded {
            encoding,
            bytes: &bytes,
            at: text.at + begin,
            is_continued: text.is_continued && begin == 0,
            is_unfinished: text.is_unfinished && end == text.bytes.len(),
        });
    };
    for at in memchr::memchr_iter(mark, text.bytes) {
        let Some((_, length)) = escape(text.bytes.get(at..).unwrap_or_default(), mark) else {
            continue;
        };
        // The second backslash of two begins nothing.
        if at < next {
            continue;
        }
        next = at + length;
        if !hides(text.bytes.get(at + 1), mark) {
            continue;
        }
        cluster = match cluster.take() {
            Some((first, last)) if at - last <= AROUND => Some((first, at)),
            Some(done) => {
                close(done);
                Some((at, at))
            }
            None => Some((at, at)),
        };
    }
    if let Some(done) = cluster {
        close(done);
    }
}

/// Whether an escape can stand within a secret. Those of line ends cannot: they stand around it.
const fn hides(second: Option<&u8>, mark: u8) -> bool {
    mark == b'%' || !matches!(second, Some(b'n' | b'r' | b't' | b'b' | b'f'))
}

/// The words in which the first and the last escape stand.
fn around(bytes: &[u8], first: usize, last: usize) -> (usize, usize) {
    let before = bytes.get(first.saturating_sub(AROUND)..first).unwrap_or_default();
    let after = bytes.get(last..bytes.len().min(last + AROUND)).unwrap_or_default();
    let word = before.iter().rev().take_while(|byte| !byte.is_ascii_whitespace()).count();
    let rest = after.iter().take_while(|byte| !byte.is_ascii_whitespace()).count();
    (first - word, last + rest)
}

fn unescaped(bytes: &[u8], mark: u8) -> Vec<u8> {
    let mut made = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(mark, rest) {
        let (plain, from) = rest.split_at(at);
        made.extend_from_slice(plain);
        let (byte, length) = escape(from, mark).unwrap_or((mark, 1));
        made.push(byte);
        rest = from.get(length..).unwrap_or_default();
    }
    made.extend_from_slice(rest);
    made
}

/// The byte that an escape stands for, and its length. What is no ASCII is in no shape: any byte does.
fn escape(from: &[u8], mark: u8) -> Option<(u8, usize)> {
    let hex = |digits: &[u8]| {
        digits
            .iter()
            .all(u8::is_ascii_hexdigit)
            .then(|| digits.iter().fold(0_u32, |value, byte| value << 4 | u32::from(digit(*byte))))
    };
    let byte = |value: u32| u8::try_from(value).unwrap_or(b'\x7f');
    let (_, rest) = from.split_first()?;
    if mark == b'%' {
        return Some((byte(hex(rest.get(..2)?)?), 3));
    }
    Some(match rest.first()? {
        b'u' => (byte(hex(rest.get(1..5)?)?), 6),
        b'x' => (byte(hex(rest.get(1..3)?)?), 4),
        b'n' => (b'\n', 2),
        b'r' => (b'\r', 2),
        b't' => (b'\t', 2),
        b'b' => (8, 2),
        b'f' => (12, 2),
        other => (*other, 2),
    })
}

/// UTF-16 that stands in the text as it is.
fn wide(text: &Text<'_>, tell: &mut impl FnMut(&Decoded<'_>)) {
    let is_text = |byte: Option<&u8>| byte.is_some_and(|byte| is_text(*byte));
    let mut done = 0;
    for zero in memchr::memchr_iter(0, text.bytes) {
        if zero < done {
            continue;
        }
        // What is before the first zero is a letter, if the low byte comes first.
        let begin = match zero.checked_sub(1) {
            Some(before) if is_text(text.bytes.get(before)) => before,
            _ => zero,
        };
        let mut at = zero;
        while text.bytes.get(at) == Some(&0) && is_text(text.bytes.get(at + 1)) {
            at += 2;
        }
        let end = (at + 1).min(text.bytes.len());
        if end - begin >= 2 * SHORTEST - 1 {
            let stretch = text.bytes.get(begin..end).unwrap_or_default();
            let place = Place {
                encoding: Encoding::Utf16,
                at: text.at + begin,
                is_continued: text.is_continued && begin < 2,
                is_unfinished: text.is_unfinished && end + 1 >= text.bytes.len(),
            };
            pieces(&place, stretch, tell);
        }
        done = end;
    }
}
