//! Secrets in text: assignments of every notation, addresses with users, forms, private keys.
//!
//! Takes a text, line by line; notes what may be a secret. Knows no language: `NAME=value`,
//! `name: value`, `"name": "value"` and what lies between are read alike.

use super::super::form::UUID;
use super::{Found, has_form, names_one, vendor};
use memchr::{memchr2_iter, memmem};

/// How much of what stands before a sign may be a name.
const LONGEST_NAME: usize = 128;
/// A line longer than this is read in pieces of it, which overlap.
const LONGEST_LINE: usize = 64 << 10;
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
    for at in memchr2_iter(b'=', b':', line) {
        let (before, from) = line.split_at(at);
        let Some(name) = name_before(before) else { continue };
        if let Some(strongly) = names_one(name) {
            values(from, strongly, found);
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
            found.note(word, vendor(word).is_some_and(|form| form != UUID));
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

/// The readings of what follows a sign.
fn values(from: &[u8], strongly: bool, found: &mut Found<'_>) {
    let sign = |byte: &u8| matches!(byte, b'=' | b':' | b'>' | b' ' | b'\t' | b'\\');
    let Some(start) = from.iter().position(|byte| !sign(byte)) else { return };
    let Some((first, behind)) = from.get(start..).and_then(<[u8]>::split_first) else { return };
    if matches!(first, b'"' | b'\'' | b'`') {
        let end = behind.iter().position(|byte| byte == first).unwrap_or(behind.len());
        let value = behind.get(..end).unwrap_or(behind);
        let value = value.strip_suffix(b"\\").unwrap_or(value);
        found.named(super::behind_scheme(value), strongly);
        return;
    }
    let rest = super::behind_scheme(from.get(start..).unwrap_or_default());
    let word = rest.split(|byte| matches!(byte, b' ' | b'\t')).next().unwrap_or(rest);
    // A call is no value, and what it returns is not told.
    if word.contains(&b'(') {
        return;
    }
    let ends = |byte: &u8| {
        matches!(byte, b'"' | b'\'' | b'`' | b',' | b';' | b'&' | b'<' | b')' | b'}' | b']' | b'\\')
    };
    let short = word.split(ends).next().unwrap_or(word);
    found.named(short, strongly);
    if short.len() != word.len() {
        // The same signs may stand in a secret.
        found.named(word, false);
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
