//! Secrets in a JSON document, at any depth.
//!
//! Takes the bytes of an answer; notes the texts whose names say a secret, and where the call hands out
//! secrets every text that could be one. Reads documents in texts and files in base64 as well.

use super::{Found, has_form, names_one, says_about, text};
use crate::message::json;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

/// How deep documents are read that stand as texts in others.
const NESTED: usize = 3;
/// The longest file that is read in base64.
const LONGEST_FILE: usize = 1 << 20;

/// Notes what a document holds; whether it is one.
pub(super) fn document(bytes: &[u8], reveals: bool, found: &mut Found<'_>) -> bool {
    if !matches!(bytes.trim_ascii_start().first(), Some(b'{' | b'[' | b'"')) {
        return false;
    }
    let Ok(value) = json::parse(bytes) else { return false };
    let place = Place { name: "", named: None, nested: 0, reveals };
    walk(&value, place, found);
    true
}

/// Where a value stands.
#[derive(Clone, Copy)]
struct Place<'n> {
    name: &'n str,
    /// Whether a name above says a secret, and whether strongly.
    named: Option<bool>,
    nested: usize,
    reveals: bool,
}

fn walk(value: &Value, place: Place<'_>, found: &mut Found<'_>) {
    if found.is_full() {
        return;
    }
    match value {
        Value::String(text) => leaf(text, place, found),
        Value::Array(members) => members.iter().for_each(|member| walk(member, place, found)),
        Value::Object(map) => {
            file(map, found);
            // A list of variables has the name in one member and the value in another.
            let said = ["name", "key", "variable"].iter().find_map(|of| map.get(*of)?.as_str());
            let beside = said.and_then(names_one);
            for (name, value) in map {
                let own =
                    if name == "value" { names_one(name).or(beside) } else { names_one(name) };
                // Not all that stands below such a name is one: `{"token":{"value":…,"expiresAt":…}}`.
                let above = place.named.map(|strongly| strongly && !says_about(name));
                walk(value, Place { name, named: own.or(above), ..place }, found);
            }
        }
        _ => {}
    }
}

fn leaf(text: &str, place: Place<'_>, found: &mut Found<'_>) {
    let bytes = text.as_bytes();
    if let Some(strongly) = place.named {
        found.named(super::behind_scheme(bytes), strongly);
    } else if has_form(bytes) {
        let value = super::behind_scheme(bytes);
        found.note(value, super::is_sure(value, false));
    } else if place.reveals && could_be_one(text) {
        found.named(bytes, !says_about(place.name));
    }
    if place.nested < NESTED && json::may_hold(text) && text.len() > 2 {
        let within = Place { nested: place.nested + 1, ..place };
        if let Ok(value) = json::parse(bytes)
            && !value.is_string()
        {
            return walk(&value, within, found);
        }
    }
    if text.contains(['=', ':', '\n']) {
        text::lines(bytes, found);
    }
}

/// A file as services of repositories hand it out.
fn file(map: &Map<String, Value>, found: &mut Found<'_>) {
    let is_coded = map.get("encoding").and_then(Value::as_str) == Some("base64");
    let Some(content) = map.get("content").and_then(Value::as_str).filter(|_| is_coded) else {
        return;
    };
    if content.len() > LONGEST_FILE {
        return;
    }
    let joined: Vec<u8> = content.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    if let Ok(plain) = STANDARD.decode(joined) {
        text::lines(&plain, found);
    }
}

/// Whether a text of an answer that hands out secrets could be one: no address, no time, no word.
fn could_be_one(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphabetic() || matches!(byte, b' ' | b'_' | b'-' | b'.');
    let is_time = || {
        let digits = text.bytes().filter(u8::is_ascii_digit).count();
        digits >= 8 && text.bytes().all(|b| b.is_ascii_digit() || b"TZ+-:. ".contains(&b))
    };
    let is_address = text.contains("://") && !text.contains('@');
    !is_address && !is_time() && !text.bytes().all(word)
}
