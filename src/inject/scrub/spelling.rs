//! One letter, in the ways in which a text may write it.
//!
//! Takes the rest of a text; tells what its beginning may stand for: itself, or an escape of URLs, of
//! JSON and programming languages, of HTML and XML, of quoted-printable or CSV; escapes of escapes
//! among them, to a bound. Says as well whether more of the text could make a letter of it.

use smallvec::SmallVec;

/// So often one escape may stand around another of its kind.
const DEPTH: usize = 3;
/// The longest entity with all that is around it.
const ENTITY: usize = 24;
/// More backslashes in a row are none of an escape.
const BACKSLASHES: usize = 15;

/// The names of HTML and XML for what is neither letter nor digit.
const NAMES: &[(&[u8], u8)] = &[
    (b"amp;", b'&'),
    (b"quot;", b'"'),
    (b"apos;", b'\''),
    (b"lt;", b'<'),
    (b"gt;", b'>'),
    (b"sol;", b'/'),
    (b"plus;", b'+'),
    (b"equals;", b'='),
];

/// A letter, and the bytes that it is written with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Letter {
    pub(super) byte: u8,
    pub(super) length: usize,
    /// Whether it ends in the two hexadecimal digits of the byte.
    pub(super) has_digits: bool,
}

impl Letter {
    /// A byte as it is.
    pub(super) const fn plain(byte: u8) -> Self {
        Self { byte, length: 1, has_digits: false }
    }
}

/// The letters that a text may begin with.
pub(super) type Letters = SmallVec<[Letter; 6]>;

/// Whether a byte begins what may stand for another.
pub(super) const fn is_mark(byte: u8) -> bool {
    matches!(byte, b'%' | b'\\' | b'&' | b'=')
}

/// What a text may begin with, and whether more of it could make that another letter.
pub(super) fn letters(text: &[u8]) -> (Letters, bool) {
    let mut found = Letters::new();
    let Some(first) = text.first() else { return (found, true) };
    found.push(Letter::plain(*first));
    let cut = match first {
        b'%' => percent(text, &mut found),
        b'=' => {
            digits(text, 1, &mut found);
            text.len() < 3
        }
        b'\\' => backslash(text, &mut found),
        b'&' => entity(text, &mut found),
        b'"' | b'\'' if text.get(1) == Some(first) => {
            found.push(Letter { byte: *first, length: 2, has_digits: false });
            false
        }
        _ => false,
    };
    (found, cut)
}

/// Two hexadecimal digits at a place.
fn digits(text: &[u8], at: usize, found: &mut Letters) {
    if let Some(byte) = text.get(at..at + 2).and_then(|pair| number(pair, 16)) {
        found.push(Letter { byte, length: at + 2, has_digits: true });
    }
}

/// The byte that a number of these digits is.
fn number(digits: &[u8], radix: u32) -> Option<u8> {
    if digits.is_empty() {
        return None;
    }
    let all = digits.iter().try_fold(0_u32, |all, digit| {
        all.checked_mul(radix)?.checked_add(char::from(*digit).to_digit(radix)?)
    });
    u8::try_from(all?).ok()
}

fn percent(text: &[u8], found: &mut Letters) -> bool {
    let mut at = 1;
    for _ in 0..=DEPTH {
        digits(text, at, found);
        if !text.get(at..).is_some_and(|rest| rest.starts_with(b"25")) {
            break;
        }
        at += 2;
    }
    text.len() < at + 2
}

fn backslash(text: &[u8], found: &mut Letters) -> bool {
    let count = text.iter().take(BACKSLASHES + 1).take_while(|byte| **byte == b'\\').count();
    for length in [2, 4, 8].into_iter().filter(|length| *length <= count) {
        found.push(Letter { byte: b'\\', length, has_digits: false });
    }
    let rest = text.get(count..).unwrap_or_default();
    match rest {
        [] => true,
        _ if count > BACKSLASHES => false,
        [b'u', b'{', inside @ ..] => {
            let end = inside.iter().take(7).position(|byte| *byte == b'}');
            let digits = end.and_then(|end| inside.get(..end));
            if let Some(byte) = digits.and_then(|digits| number(digits, 16)) {
                let length = count + 3 + digits.map_or(0, <[u8]>::len);
                found.push(Letter { byte, length, has_digits: false });
            }
            end.is_none() && inside.len() < 7
        }
        [b'u', ..] => {
            if rest.get(1..3) == Some(b"00") {
                digits(text, count + 3, found);
            }
            rest.len() < 5
        }
        [b'x', ..] => {
            digits(text, count + 1, found);
            rest.len() < 3
        }
        [b'0'..=b'3', ..] => {
            if let Some(byte) = rest.get(..3).and_then(|digits| number(digits, 8)) {
                found.push(Letter { byte, length: count + 3, has_digits: false });
            }
            rest.len() < 3
        }
        [other, ..] => {
            if other.is_ascii_punctuation() {
                found.push(Letter { byte: *other, length: count + 1, has_digits: false });
            }
            false
        }
    }
}

fn entity(text: &[u8], found: &mut Letters) -> bool {
    let mut at = 1;
    for _ in 0..=DEPTH {
        let rest = text.get(at..).unwrap_or_default();
        let named = NAMES.iter().find(|(name, _)| rest.starts_with(name));
        let numbered = || {
            let digits = rest.strip_prefix(b"#")?;
            let end = digits.iter().take(8).position(|byte| *byte == b';')?;
            let digits = digits.get(..end)?;
            let byte = match digits {
                [b'x' | b'X', digits @ ..] => number(digits, 16)?,
                digits => number(digits, 10)?,
            };
            Some((byte, end + 2))
        };
        let read = named.map(|(name, byte)| (*byte, name.len())).or_else(numbered);
        if let Some((byte, length)) = read {
            found.push(Letter { byte, length: at + length, has_digits: false });
        }
        if !rest.starts_with(b"amp;") {
            break;
        }
        at += 4;
    }
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'&' | b'#' | b';');
    text.len() < ENTITY && text.iter().all(is_part)
}

/// How long what is between two letters of a folded value is: a line end and what the next line is
/// indented by; as escapes of JSON too.
///
/// Says as well whether more of the text could make one of it.
pub(super) fn fold(text: &[u8]) -> (usize, bool) {
    const ENDS: &[&[u8]] =
        &[b"\r\n", b"\n", b"=\r\n", b"=\n", b"\\r\\n", b"\\n", b"\\\\r\\\\n", b"\\\\n"];
    let Some(end) = ENDS.iter().find(|end| text.starts_with(end)) else {
        return (0, ENDS.iter().any(|end| end.starts_with(text)));
    };
    let rest = text.get(end.len()..).unwrap_or_default();
    let indent = rest.iter().take(16).take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    (end.len() + indent, false)
}

/// The length of a mark between two digits, as in `67:68` and `67 68`.
pub(super) fn mark_between(text: &[u8]) -> usize {
    usize::from(matches!(text.first(), Some(b':' | b' ' | b'-')))
}
