//! Secrets that an answer hands out.
//!
//! Takes the head or the body of an answer; returns the fingerprints of what may be a secret in it.
//! Generous, as nothing is refused for being noted: values whose names say a secret, forms of vendors,
//! private keys, users of addresses, and where a catalog says that a call hands out secrets every text
//! that could be one. Bounded in number and length; no value is kept. Nothing is noted of what stands
//! for a secret in documentation.

mod hints;
mod leaves;
mod result;
mod text;

pub(super) use hints::may_hold;
pub use result::{in_result, whole_result};

use super::Presented;
use super::form::has_form;
use super::reading::{behind_scheme, decoded, users};
use super::slot::{HEADERS, is_parameter, is_secret_name, is_slot};
use crate::fingerprint::{Fingerprint, FingerprintKey, Trace};
use http::HeaderMap;
use http::header::{self, HeaderName};
use std::collections::HashMap;

/// The most that are noted of one answer.
const MOST: usize = 512;
/// What is shorter is found by trying.
const SHORTEST: usize = 8;
/// What is longer is no credential of anybody.
const LONGEST: usize = 4_096;

/// How many bytes are looked at again as a part of another value, for each that there is.
const AGAIN: usize = 4;
/// And how many in any case.
const LEAST_AGAIN: usize = 64 << 10;

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
    found.spare += body.len().saturating_mul(AGAIN);
    if !leaves::document(body, reveals, &mut found) {
        text::lines(body, &mut found);
    }
    found.all
}

/// What may be a secret in a piece of a body, by what it says itself. What its end may have cut is
/// noted as it stands there, and never as sure: the whole of it may come with the next piece.
pub fn in_piece(piece: &[u8], key: &FingerprintKey) -> Vec<Handed> {
    let mut found = Found::new(key);
    if may_hold(piece) {
        found.spare += piece.len().saturating_mul(AGAIN);
        let ends =
            |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'' | b',' | b'<');
        let cut = piece.iter().rposition(ends).map_or(0, |at| at + 1);
        text::lines(piece.get(..cut).unwrap_or_default(), &mut found);
        if cut < piece.len() {
            found.is_cut = true;
            let from = piece.len().saturating_sub(LONGEST);
            text::lines(piece.get(from..).unwrap_or_default(), &mut found);
        }
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

/// What was found so far.
struct Found<'k> {
    key: &'k FingerprintKey,
    all: Vec<Handed>,
    known: HashMap<Fingerprint, usize>,
    /// How many bytes may be looked at again.
    spare: usize,
    /// Whether what is noted from now on may be a part of something.
    is_cut: bool,
    /// How many bytes were.
    #[cfg(test)]
    looked: usize,
}

impl<'k> Found<'k> {
    fn new(key: &'k FingerprintKey) -> Self {
        Self {
            key,
            all: Vec::new(),
            known: HashMap::new(),
            spare: LEAST_AGAIN,
            is_cut: false,
            #[cfg(test)]
            looked: 0,
        }
    }

    /// Whether no more is noted.
    const fn is_full(&self) -> bool {
        self.all.len() >= MOST
    }

    /// Whether a value may be looked at that is a part of one that was: in `a=b=c=…` each sign begins one.
    const fn may_look(&mut self, length: usize) -> bool {
        /// What the shortest takes.
        const LEAST: usize = 32;
        match self.spare.checked_sub(length + LEAST) {
            Some(left) => {
                self.spare = left;
                true
            }
            None => false,
        }
    }

    /// Notes a value.
    fn note(&mut self, value: &[u8], sure: bool) {
        let value = value.trim_ascii();
        if !(SHORTEST..=LONGEST).contains(&value.len()) || self.is_full() || stands_for_one(value) {
            return;
        }
        let sure = sure && !self.is_cut;
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
        // Before anything looks at it: a value may begin at every sign of a long line.
        if !(SHORTEST..=LONGEST).contains(&value.len()) {
            return;
        }
        #[cfg(test)]
        {
            self.looked += value.len();
        }
        self.note(value, is_sure(value, strongly));
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

/// Whether hardly anything else looks like this. Keys of sandboxes stand in documentation.
fn is_sure(value: &[u8], named: bool) -> bool {
    let is_trial = value.starts_with(b"sk_test_") || value.starts_with(b"rk_test_");
    (has_form(value) && !is_trial) || (named && !is_trial && is_random(value))
}

/// Whether a value looks as if it had been drawn: long, with digits among its letters.
fn is_random(value: &[u8]) -> bool {
    const LONG: usize = 16;
    let digits = value.iter().filter(|byte| byte.is_ascii_digit()).count();
    value.len() >= LONG
        && digits >= 3
        && value.iter().any(u8::is_ascii_alphabetic)
        && value.iter().all(u8::is_ascii_graphic)
        && !is_everyday_value(value, digits)
}

/// Whether a value is a time, a digest that says so, an address, a name of a cloud, or a path.
fn is_everyday_value(value: &[u8], digits: usize) -> bool {
    const DIGESTS: &[&[u8]] = &[b"sha1", b"sha224", b"sha256", b"sha384", b"sha512", b"md5"];
    let is_time =
        || digits >= 8 && value.iter().all(|b| b.is_ascii_digit() || b"TZ+-:.".contains(b));
    let is_digest = || {
        DIGESTS.iter().any(|name| {
            let behind = value.get(..name.len()).filter(|first| first.eq_ignore_ascii_case(name));
            behind.is_some() && matches!(value.get(name.len()), Some(b'-' | b':' | b'='))
        })
    };
    // Base64 has slashes as well, but hardly ever without a capital letter.
    let is_path = || {
        let is_plain = !value.iter().any(u8::is_ascii_uppercase);
        [&b"./"[..], b"../", b"~/"].iter().any(|root| value.starts_with(root))
            || (value.contains(&b'/') && is_plain)
    };
    let is_address = || {
        [&b"arn:"[..], b"urn:"].iter().any(|scheme| value.starts_with(scheme))
            || memchr::memmem::find(value, b"://").is_some()
    };
    is_time() || is_digest() || is_path() || is_address()
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
    let trimmed = name.trim();
    let lower = trimmed.to_ascii_lowercase();
    (is_parameter(&lower) || HEADERS.contains(&&*lower))
        .then(|| is_secret_name(&lower) && !says_about(trimmed))
}

/// Whether a name says something about a thing rather than the thing, as in `token_id` and `secretName`.
fn says_about(name: &str) -> bool {
    const ENDS: &[&str] = &[
        "accessor",
        "algorithm",
        "arn",
        "at",
        "checksum",
        "count",
        "created",
        "date",
        "description",
        "digest",
        "endpoint",
        "expiration",
        "expires",
        "expiry",
        "file",
        "fingerprint",
        "format",
        "hash",
        "host",
        "id",
        "identifier",
        "ids",
        "in",
        "integrity",
        "issuer",
        "kind",
        "label",
        "name",
        "names",
        "path",
        "ref",
        "scope",
        "scopes",
        "sha",
        "sha256",
        "status",
        "time",
        "timestamp",
        "title",
        "ttl",
        "type",
        "updated",
        "uri",
        "url",
        "version",
    ];
    const WRITTEN_TOGETHER: &[&str] = &["tokenid", "secretid", "keyid", "secretname", "tokenname"];
    let bytes = name.as_bytes();
    let separator = |byte: &u8| matches!(byte, b'-' | b'_' | b'.' | b' ' | b'[' | b'/');
    let bytes = bytes.strip_suffix(b"]").unwrap_or(bytes);
    // A word begins behind a separator, or with a capital letter behind a small one.
    let starts = |two: &[u8]| matches!(two, [before, first] if separator(before) || (before.is_ascii_lowercase() && first.is_ascii_uppercase()));
    let start = bytes.windows(2).rposition(starts).map_or(0, |at| at + 1);
    let last = bytes.get(start..).unwrap_or_default();
    let is = |known: &&str| last.eq_ignore_ascii_case(known.as_bytes());
    ENDS.iter().any(is) || WRITTEN_TOGETHER.iter().any(is)
}

#[cfg(test)]
mod tests;
