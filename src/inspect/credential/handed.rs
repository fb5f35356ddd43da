//! Secrets that an answer hands out.
//!
//! Takes the head or the body of an answer; returns the fingerprints of what may be a secret in it.
//! Generous, as nothing is refused for being noted: values whose names say a secret, forms of vendors,
//! private keys, users of addresses, and where a catalog says that a call hands out secrets every text
//! that could be one. Bounded in number and length; no value is kept. Nothing is noted of what stands
//! for a secret in documentation.

mod leaves;
mod text;

use super::Presented;
use super::form::{has_form, vendor};
use super::reading::{behind_scheme, decoded, users};
use super::slot::{HEADERS, is_parameter, is_secret_name, is_slot};
use crate::fingerprint::{Fingerprint, FingerprintKey, Trace};
use http::HeaderMap;
use http::header::{self, HeaderName};
use regex::bytes::Regex;
use std::collections::HashMap;
use std::sync::LazyLock;

/// The most that are noted of one answer.
const MOST: usize = 512;
/// What is shorter is found by trying.
const SHORTEST: usize = 8;
/// What is longer is no credential of anybody.
const LONGEST: usize = 4_096;

/// A secret that was handed out, as it is known from then on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Handed {
    /// Its fingerprint.
    pub print: Fingerprint,
    /// Its length in bytes.
    pub length: usize,
    /// Whether hardly anything else looks like this: a form, or a random text under a name that says it.
    pub sure: bool,
    /// What it is found again by in what leaves, where it is sure.
    pub trace: Option<Trace>,
}

/// What may be a secret in the body of an answer; `reveals` is whether the call hands out secrets, as
/// its catalog says.
pub fn in_body(body: &[u8], reveals: bool, key: &FingerprintKey) -> Vec<Handed> {
    if !reveals && !may_hold(body) {
        return Vec::new();
    }
    let mut found = Found::new(key);
    if !leaves::document(body, reveals, &mut found) {
        text::lines(body, &mut found);
    }
    found.all
}

/// What may be a secret in the head of an answer. Cookies are their host's own and not among them.
pub fn in_head(headers: &HeaderMap, key: &FingerprintKey) -> Vec<Handed> {
    let mut found = Found::new(key);
    for (name, value) in headers {
        let value = value.as_bytes();
        if name == header::LOCATION {
            if let Ok(address) = str::from_utf8(value) {
                text::address(address, &mut found);
            }
        } else if !is_everyday(name) && is_slot(name.as_str()) {
            found.named(behind_scheme(value), is_secret_name(name.as_str()));
        }
    }
    found.all
}

/// Headers of most answers, and those that ask for a credential rather than hand one out.
fn is_everyday(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "cache-control"
            | "content-encoding"
            | "content-length"
            | "content-type"
            | "date"
            | "etag"
            | "last-modified"
            | "proxy-authenticate"
            | "server"
            | "set-cookie"
            | "vary"
            | "www-authenticate"
    )
}

/// What every answer has that could hold a secret: a name that says one, a form, a key, a user.
const HINTS: &str = r#"(?i-u)token|secret|passw|pwd|authori|api[-_. ]?key|access[-_. ]?key|credential|bearer|jwt|private key|(?:auth|key|pat|session|sessionid|sig|signature|basic)["']?[ \t]*[:=]|://[^/"' \t\r\n]*@|gh[pousr]_|gl[a-z]{2,4}-|a[ksbc][ic]a[a-z2-7]{12}|aiza|ya29|sk[-_]|rk_|xox|xapp|npm_|pypi-|do[opr]_v1|f[mo][12][ar]?_|bot[0-9]{8}|machine[ \t]|"base64""#;

static HINT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(HINTS).ok());

fn may_hold(body: &[u8]) -> bool {
    HINT.as_ref().is_none_or(|hint| hint.is_match(body))
}

/// What was found so far.
struct Found<'k> {
    key: &'k FingerprintKey,
    all: Vec<Handed>,
    known: HashMap<Fingerprint, usize>,
}

impl<'k> Found<'k> {
    fn new(key: &'k FingerprintKey) -> Self {
        Self { key, all: Vec::new(), known: HashMap::new() }
    }

    /// Whether no more is noted.
    const fn is_full(&self) -> bool {
        self.all.len() >= MOST
    }

    /// Notes a value.
    fn note(&mut self, value: &[u8], sure: bool) {
        let value = value.trim_ascii();
        if !(SHORTEST..=LONGEST).contains(&value.len()) || self.is_full() || stands_for_one(value) {
            return;
        }
        let print = self.key.fingerprint(value);
        let trace = if sure { self.key.trace(value) } else { None };
        if let Some(one) = self.known.get(&print).and_then(|at| self.all.get_mut(*at)) {
            one.sure |= sure;
            one.trace = one.trace.or(trace);
            return;
        }
        self.known.insert(print, self.all.len());
        self.all.push(Handed { print, length: value.len(), sure, trace });
    }

    /// Notes a value whose name says a secret; `strongly` is whether hardly anything else has such a
    /// name. What it says in base64 is noted as well: cluster secrets are written so.
    fn named(&mut self, value: &[u8], strongly: bool) {
        let value = value.trim_ascii();
        self.note(value, is_sure(value, strongly));
        if value.len() > LONGEST {
            return;
        }
        let printable = |byte: &u8| matches!(byte, b' '..=b'~');
        if let Some(plain) = decoded(value).filter(|plain| plain.iter().all(printable)) {
            self.note(&plain, is_sure(&plain, strongly));
        }
    }

    /// Notes the secrets of the users of addresses in a text.
    fn users(&mut self, text: &[u8]) {
        let mut presented: Vec<Presented> = Vec::new();
        users("", text, self.key, &mut presented);
        for one in presented {
            let Some(print) = one.fingerprint() else { continue };
            if (SHORTEST..=LONGEST).contains(&one.length)
                && !self.is_full()
                && !self.known.contains_key(&print)
            {
                self.known.insert(print, self.all.len());
                self.all.push(Handed { print, length: one.length, sure: false, trace: None });
            }
        }
    }
}

/// Whether hardly anything else looks like this.
fn is_sure(value: &[u8], named: bool) -> bool {
    has_form(value) || (named && is_random(value))
}

/// Whether a value looks as if it had been drawn: long, with digits among its letters.
fn is_random(value: &[u8]) -> bool {
    const LONG: usize = 16;
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    value.len() >= LONG
        && digits >= 3
        && value.iter().any(u8::is_ascii_alphabetic)
        && value.iter().all(u8::is_ascii_graphic)
        && !value.windows(3).any(|three| three == b"://")
}

/// Whether a value stands for a secret and is none, as in documentation, or is no text at all.
fn stands_for_one(value: &[u8]) -> bool {
    const OPENINGS: &[&[u8]] =
        &[b"<", b"${", b"$(", b"{{", b"%(", b"$env", b"process.env", b"os.", b"env."];
    const WORDS: &[&str] =
        &["your", "example", "changeme", "change_me", "placeholder", "redacted", "xxxx", "****"];
    let mut kinds = [false; 256];
    for byte in value {
        if let Some(kind) = kinds.get_mut(usize::from(*byte)) {
            *kind = true;
        }
    }
    let few = kinds.iter().filter(|kind| **kind).count() < 4;
    let text = String::from_utf8_lossy(value).to_ascii_lowercase();
    few || OPENINGS.iter().any(|opening| text.as_bytes().starts_with(opening))
        || WORDS.iter().any(|word| text.contains(word))
        || text.parse::<f64>().is_ok()
}

/// Whether a name says that a secret follows, and whether strongly so.
fn names_one(name: &str) -> Option<bool> {
    let lower = name.trim().to_ascii_lowercase();
    (is_parameter(&lower) || HEADERS.contains(&&*lower)).then(|| is_secret_name(&lower))
}

#[cfg(test)]
mod tests;
