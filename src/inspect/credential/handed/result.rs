//! Secrets in what a tool printed.
//!
//! Takes the text of a result; returns the fingerprints of what may be a secret in it, also where colours
//! stand between a name and its value, and in what is encoded in it, as by `base64 .env`. Keeps no value.

use super::{Found, Handed, in_body, is_random};
use crate::fingerprint::FingerprintKey;
use crate::inspect::secret::encoded;
use memchr::memchr;
use std::borrow::Cow;

/// What is told of in all of one result.
const MOST: usize = 512;
/// What is encoded in a text is looked at up to so many bytes.
const ENCODED: usize = 1 << 20;

/// What may be a secret in a result.
pub fn in_result(text: &str, key: &FingerprintKey) -> Vec<Handed> {
    let plain = without_colours(text);
    let mut all = in_body(plain.as_bytes(), false, key);
    let mut left = ENCODED;
    encoded(plain.as_bytes(), &mut |inner| {
        let Some(less) = left.checked_sub(inner.len()) else { return };
        left = less;
        for one in in_body(inner, false, key) {
            if all.len() < MOST && !all.iter().any(|known| known.print == one.print) {
                all.push(one);
            }
        }
    });
    all
}

/// A result that is nothing but a value that looks as if it had been drawn: what was looked for, where a
/// call looked for it.
pub fn whole_result(text: &str, key: &FingerprintKey) -> Option<Handed> {
    let plain = without_colours(text);
    let value = plain.trim().trim_matches(['"', '\'']).as_bytes();
    // A digest, as of a commit, is what many commands print.
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let is_digest = matches!(value.len(), 32 | 40 | 64) && value.iter().all(is_digit);
    if !is_random(value) || is_digest {
        return None;
    }
    let mut found = Found::new(key);
    found.named(value, true);
    found.all.first().copied()
}

/// A text without the sequences that colour it on a terminal (ECMA-48 section 5.4).
fn without_colours(text: &str) -> Cow<'_, str> {
    const ESCAPE: u8 = 0x1b;
    let Some(mut at) = memchr(ESCAPE, text.as_bytes()) else { return Cow::Borrowed(text) };
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    loop {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        let from = from.get(1..).unwrap_or_default();
        rest = match from.strip_prefix('[') {
            Some(sequence) => {
                let end = sequence.bytes().position(|byte| !matches!(byte, b' '..=b'?'));
                // What ends it is of it, if it is a letter or the like.
                match end.and_then(|end| sequence.split_at_checked(end)) {
                    Some((_, end)) if end.starts_with(|c: char| matches!(c, '@'..='~')) => {
                        end.get(1..).unwrap_or_default()
                    }
                    Some((_, end)) => end,
                    None => "",
                }
            }
            None => from,
        };
        match memchr(ESCAPE, rest.as_bytes()) {
            Some(next) => at = next,
            None => break,
        }
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    const TOKEN: &str = "6f7e1a52-9d0b-4c3e-8a41-2b7c9d5e0f13";

    fn key() -> FingerprintKey {
        FingerprintKey::new(b"key")
    }

    fn finds(text: &str) -> bool {
        let key = key();
        let print = key.fingerprint(TOKEN.as_bytes());
        in_result(text, &key).iter().any(|one| one.print == print && one.sure)
    }

    #[test]
    fn a_token_is_found_however_it_is_printed() {
        let file = format!("# domains\nRAILWAY_TOKEN={TOKEN}\nPORT=80\n");
        let encoded = STANDARD.encode(&file);
        let folded: Vec<&str> =
            encoded.as_bytes().chunks(76).map(|line| str::from_utf8(line).unwrap()).collect();
        let hex = file.bytes().fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
        for text in [
            file,
            format!(
                "\x1b[35minfra/x.env\x1b[0m:\x1b[31mRAILWAY_TOKEN\x1b[0m=\x1b[1;32m{TOKEN}\x1b[m"
            ),
            format!("\x1b[01;31m\x1b[KRAILWAY_TOKEN\x1b[m\x1b[K={TOKEN}"),
            encoded.clone(),
            folded.join("\n"),
            hex,
            format!("{{\"content\":\"{encoded}\"}}"),
        ] {
            assert!(finds(&text), "{text}");
        }
        for text in
            ["RAILWAY_TOKEN=", "\x1b[", "\x1b", "\x1b[31", &STANDARD.encode("x".repeat(400))]
        {
            assert_eq!(in_result(text, &key()), [], "{text}");
        }
    }

    #[test]
    fn colours_are_taken_out_and_nothing_else() {
        for (text, expected) in [
            ("a", "a"),
            ("\x1b[31ma\x1b[0m", "a"),
            ("a\x1b[38;5;1mé\x1b[K.", "aé."),
            ("a\x1b]b", "a]b"),
            ("a\x1b[1é", "aé"),
            ("a\x1b[12", "a"),
        ] {
            assert_eq!(without_colours(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_value_alone_is_one() {
        let key = key();
        for text in [
            TOKEN.to_owned(),
            format!("{TOKEN}\n"),
            format!("\x1b[31m{TOKEN}\x1b[0m"),
            format!("\"{TOKEN}\""),
        ] {
            let found = whole_result(&text, &key).map(|one| (one.print, one.sure));
            assert_eq!(found, Some((key.fingerprint(TOKEN.as_bytes()), true)), "{text}");
        }
        for text in [
            "",
            "ok",
            "README.md",
            "3 files",
            "2026-01-01T00:00:00Z",
            "/srv/a1b2c3/d4e5f6/g7",
            "3b18e512dba79e4c8300dd08aeb37f8e728b8dad",
            &format!("a {TOKEN}"),
        ] {
            assert_eq!(whole_result(text, &key), None, "{text}");
        }
    }
}
