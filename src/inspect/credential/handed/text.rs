//! Secrets in text: assignments of every notation, addresses with users, forms, private keys.
//!
//! Takes a text, line by line; notes what may be a secret. Knows no language: `NAME=value`,
//! `name: value`, `"name": "value"` and what lies between are read alike.

use super::{Found, has_form, names_one};
use memchr::{memchr, memchr2, memchr2_iter, memmem};

/// How much of what stands before a sign may be a name.
const LONGEST_NAME: usize = 128;
/// A line longer than this is read in pieces of it, which overlap.
const LONGEST_LINE: usize = 64 << 10;
/// The longest authentication scheme.
const LONGEST_SCHEME: usize = 16;
/// What the pieces of a line share.
const SHARED: usize = 4 << 10;

/// All lines of a text, and the keys that span some.
pub(super) fn lines(text: &[u8], found: &mut Found<'_>) {
    for whole in text.split(|byte| matches!(byte, b'\n' | b'\r')) {
        let mut rest = whole;
        loop {
            if found.is_full() {
                return;
            }
            let piece = rest.get(..LONGEST_LINE).unwrap_or(rest);
            line(piece, found);
            match rest.get(LONGEST_LINE - SHARED..) {
                Some(next) if rest.len() > LONGEST_LINE => rest = next,
                _ => break,
            }
        }
    }
    keys(text, found);
}

/// An address that somebody is sent to: its parameters, also behind the fragment's sign, and its user.
pub(super) fn address(address: &str, found: &mut Found<'_>) {
    found.users(address.as_bytes());
    for pair in address.split(['?', '#', '&', ';']).skip(1) {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let value = percent_encoding::percent_decode_str(value).collect::<Vec<u8>>();
        if let Some(strongly) = names_one(name) {
            found.named(&value, strongly);
        }
    }
}

fn line(line: &[u8], found: &mut Found<'_>) {
    let mut reading = Reading { line, read_to: 0, space: 0, end: 0 };
    for at in memchr2_iter(b'=', b':', line) {
        if found.is_full() {
            return;
        }
        let before = line.get(..at).unwrap_or_default();
        let Some(name) = name_before(before) else { continue };
        if let Some(strongly) = names_one(name) {
            reading.values(at, strongly && !is_of_an_arn(before), found);
        }
    }
    let mut words = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|word| !word.is_empty());
    while let Some(word) = words.next() {
        if memmem::find(word, b"://").is_some() {
            for part in word.split(|byte| matches!(byte, b'"' | b'\'' | b'`' | b'<' | b'>' | b','))
            {
                found.users(part);
            }
        }
        // A .netrc has no sign between name and value.
        if word == b"password"
            && let Some(value) = words.clone().next()
        {
            found.named(value, true);
        }
    }
    for word in line.split(|byte| !is_of_form(*byte)) {
        let digits = word.iter().filter(|byte| byte.is_ascii_digit()).count();
        if word.len() >= super::super::form::SHORTEST && digits >= 3 && has_form(word) {
            found.note(word, super::is_sure(word, false));
        }
    }
}

const fn is_of_form(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// The name that stands before a sign, whatever closes it.
fn name_before(before: &[u8]) -> Option<&str> {
    let closing =
        |byte: &u8| matches!(byte, b' ' | b'\t' | b'"' | b'\'' | b'`' | b']' | b'?' | b'\\');
    let end = before.iter().rposition(|byte| !closing(byte))? + 1;
    let before = before.get(..end)?;
    let of_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let start = before.iter().rposition(|byte| !of_name(byte)).map_or(0, |at| at + 1);
    let name = before.get(start.max(end.saturating_sub(LONGEST_NAME))..)?;
    str::from_utf8(name).ok().filter(|name| !name.is_empty())
}

/// Whether a sign stands within the resource name of a secret at AWS: `arn:aws:secretsmanager:…:secret:app`
/// says which one it is, and nothing of what it says.
fn is_of_an_arn(before: &[u8]) -> bool {
    let from = before.len().saturating_sub(LONGEST_NAME);
    let near = before.get(from..).unwrap_or_default();
    let word = near.rsplit(|byte| !is_of_form(*byte) && *byte != b':').next().unwrap_or_default();
    let is_part = word.ends_with(b":secretsmanager") || word.ends_with(b":secret");
    is_part
        && memmem::find(word, b"arn:aws")
            .and_then(|at| word.get(at..))
            .is_some_and(|arn| memmem::find(arn, b":secretsmanager").is_some())
}

/// A line whose values are read. Where a value ends is looked for once, however many begin before it.
struct Reading<'l> {
    line: &'l [u8],
    /// How far values were read.
    read_to: usize,
    /// The first space behind the last place that was asked for, and the first sign that ends a value.
    space: usize,
    end: usize,
}

impl Reading<'_> {
    /// The readings of what follows a sign.
    fn values(&mut self, sign: usize, strongly: bool, found: &mut Found<'_>) {
        let signs = |byte: &u8| matches!(byte, b'=' | b':' | b'>' | b' ' | b'\t' | b'\\');
        let from = self.line.get(sign..).unwrap_or_default();
        let Some(start) = from.iter().position(|byte| !signs(byte)) else { return };
        let Some((first, behind)) = from.get(start..).and_then(<[u8]>::split_first) else { return };
        let mut start = sign + start;
        if matches!(first, b'"' | b'\'' | b'`') {
            let length = memchr(*first, behind).unwrap_or(behind.len());
            return self.note(start + 1, start + 1 + length, strongly, found);
        }
        let mut space = self.space_behind(start);
        if space - start <= LONGEST_SCHEME && space < self.line.len() {
            let whole = self.line.get(start..).unwrap_or_default();
            if super::behind_scheme(whole).len() < whole.len() {
                let spaces = |byte: &&u8| matches!(byte, b' ' | b'\t');
                start = space + self.line.iter().skip(space).take_while(spaces).count();
                space = self.space_behind(start);
            }
        }
        let end = self.end_behind(start).min(space);
        if end < space && space - start <= super::LONGEST {
            // A call is no value, and what it returns is not told.
            let word = self.line.get(start..space).unwrap_or_default();
            if memchr(b'(', word).is_some() {
                return;
            }
            self.note(start, end, strongly, found);
            // The same signs may stand in a secret.
            return self.note(start, space, false, found);
        }
        self.note(start, end, strongly, found);
    }

    /// Notes a value at a place of the line; one within what was read already costs of what is spare.
    fn note(&mut self, from: usize, to: usize, strongly: bool, found: &mut Found<'_>) {
        if to - from > super::LONGEST {
            return;
        }
        let again = self.read_to.min(to).saturating_sub(from);
        if again > 0 && !found.may_look(again) {
            return;
        }
        self.read_to = self.read_to.max(to);
        let value = self.line.get(from..to).unwrap_or_default();
        let value = value.strip_suffix(b"\\").unwrap_or(value);
        found.named(super::behind_scheme(value), strongly);
    }

    fn space_behind(&mut self, from: usize) -> usize {
        if self.space < from || self.space == 0 {
            let rest = self.line.get(from..).unwrap_or_default();
            self.space = memchr2(b' ', b'\t', rest).map_or(self.line.len(), |at| from + at);
        }
        self.space
    }

    fn end_behind(&mut self, from: usize) -> usize {
        let ends = |byte: &u8| {
            let quotes = matches!(byte, b'"' | b'\'' | b'`' | b'\\');
            quotes || matches!(byte, b',' | b';' | b'&' | b'<' | b')' | b'}' | b']' | b'(')
        };
        if self.end < from || self.end == 0 {
            let rest = self.line.get(from..).unwrap_or_default();
            self.end = rest.iter().position(ends).map_or(self.line.len(), |at| from + at);
        }
        self.end
    }
}

/// Private keys, as they stand between their lines.
fn keys(text: &[u8], found: &mut Found<'_>) {
    const BEGINS: &[u8] = b"-----BEGIN ";
    const ENDS: &[u8] = b"-----END ";
    let mut rest = text;
    while let Some(at) = memmem::find(rest, BEGINS) {
        let block = rest.get(at..).unwrap_or_default();
        let whole = memmem::find(block, ENDS).and_then(|end| {
            let behind = block.get(end + ENDS.len()..)?;
            let close = memmem::find(behind, b"-----")?;
            block.get(..end + ENDS.len() + close + 5)
        });
        let Some(whole) = whole else { return };
        let head = whole.split(|byte| *byte == b'\n').next().unwrap_or_default();
        if memmem::find(head, b"PRIVATE KEY").is_some() {
            found.note(whole, true);
        }
        rest = rest.get(at + whole.len()..).unwrap_or_default();
    }
}
