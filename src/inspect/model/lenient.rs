//! What lenient parsers take for JSON, written down as strict JSON.
//!
//! Takes a text that strict parsers refuse; returns one that they read: control characters in strings are
//! escaped, halves of surrogates replaced, of members that stand there twice one is chosen, commas and
//! brackets are put where they miss, and what stands behind the value is left out. Only for what is looked
//! at, never for what is sent. Refuses what is no JSON at all, and what is nested too deeply.

use crate::message::json;
use memchr::memchr2;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::Range;

/// As deep as strict parsers go.
const DEPTH: usize = 127;
/// So many values of a member that stands there several times are read, the last ones.
const VALUES: usize = 8;
/// A text in a text in a text.
const NESTED: usize = 3;

/// A text that strict parsers read: of members that stand there twice the last is chosen, as nearly all
/// lenient parsers do.
pub(super) fn mended(text: &str) -> Option<String> {
    choosing(text, 0).map(|(mended, _)| mended)
}

/// The text that a string of JSON says, with the quotes around it.
pub(super) fn unquoted(raw: &str) -> Option<String> {
    let mut mending = Mending::of(raw, 0);
    matches!(mending.next(), Some('"')).then(|| mending.text('"'))
}

/// All values that a text may be read as, the likeliest first; none where it is no JSON.
pub(super) fn readings(text: &str) -> Vec<Value> {
    let mut all = Vec::new();
    let mut last = 0;
    while let Some((mended, most)) = choosing(text, last) {
        if let Ok(value) = json::parse(mended.as_bytes())
            && !all.contains(&value)
        {
            all.push(value);
        }
        last += 1;
        if last >= most.min(VALUES) {
            break;
        }
    }
    all
}

/// What a value says that is the text of another, the likeliest last.
pub(super) fn unwrapped(value: Value) -> Vec<Value> {
    let mut all = vec![value];
    for _ in 0..NESTED {
        let Some(Value::String(text)) = all.first() else { break };
        if !text.trim_start().starts_with(['{', '[', '"']) {
            break;
        }
        let inner = json::parse(text.as_bytes())
            .map_or_else(|_| readings(text).into_iter().rev().collect(), |one| vec![one]);
        if inner.is_empty() {
            break;
        }
        all = inner;
    }
    all
}

/// The text with one value for each member: the last but so many, or the first; and how often the one
/// that stands there most often does.
fn choosing(text: &str, last: usize) -> Option<(String, usize)> {
    let mut mending = Mending::of(text, last);
    mending.all()?;
    Some((mending.out, mending.most))
}

struct Mending<'t> {
    rest: &'t str,
    last: usize,
    out: String,
    open: Vec<Open>,
    most: usize,
}

/// An array or an object that is open.
enum Open {
    Array { is_empty: bool },
    Object(Object),
}

#[derive(Default)]
struct Object {
    /// Where its members begin in what is written.
    from: usize,
    /// Where each member stands there, by its name.
    members: BTreeMap<String, Vec<Range<usize>>>,
    /// The member whose value comes next.
    name: Option<(String, usize)>,
}

impl<'t> Mending<'t> {
    fn of(text: &'t str, last: usize) -> Self {
        Self { rest: text, last, out: String::new(), open: Vec::new(), most: 1 }
    }

    fn next(&mut self) -> Option<char> {
        let mut rest = self.rest.chars();
        let next = rest.next();
        self.rest = rest.as_str();
        next
    }

    fn all(&mut self) -> Option<()> {
        let skipped = |c: char| c.is_whitespace() || matches!(c, ',' | ':' | '\u{feff}' | '\0');
        loop {
            self.rest = self.rest.trim_start_matches(skipped);
            let before = self.rest;
            match self.next() {
                None => break,
                Some(c @ ('{' | '[')) => {
                    if self.open.len() >= DEPTH {
                        return None;
                    }
                    self.begin();
                    self.out.push(c);
                    let from = self.out.len();
                    self.open.push(match c {
                        '{' => Open::Object(Object { from, ..Object::default() }),
                        _ => Open::Array { is_empty: true },
                    });
                }
                Some(c @ ('}' | ']')) => {
                    // What closes nothing that is open is passed over.
                    if matches!(
                        (self.open.last(), c),
                        (Some(Open::Object(_)), '}') | (Some(Open::Array { .. }), ']')
                    ) {
                        self.close();
                    }
                }
                Some(quote @ ('"' | '\'')) => {
                    let text = self.text(quote);
                    self.word(text, false);
                }
                Some(_) => {
                    let ends = |c: char| c.is_whitespace() || ",:{}[]\"'".contains(c);
                    let (word, rest) = before.split_at(before.find(ends).unwrap_or(before.len()));
                    self.rest = rest;
                    let is_value = json::parse(word.as_bytes()).is_ok();
                    if self.open.is_empty() && !is_value {
                        return None;
                    }
                    self.word(word.to_owned(), is_value);
                }
            }
            if self.open.is_empty() && !self.out.is_empty() {
                break;
            }
        }
        while !self.open.is_empty() {
            self.close();
        }
        (!self.out.is_empty()).then_some(())
    }

    /// A text, or a number or the like: the name of a member, or a value.
    fn word(&mut self, word: String, is_value: bool) {
        let written = if is_value { word.clone() } else { Value::from(&*word).to_string() };
        if let Some(Open::Object(object)) = self.open.last_mut()
            && object.name.is_none()
        {
            self.name(word);
            return;
        }
        self.begin();
        self.out.push_str(&written);
        self.end();
    }

    fn name(&mut self, name: String) {
        if let Some(Open::Object(object)) = self.open.last_mut() {
            if !object.members.is_empty() {
                self.out.push(',');
            }
            let from = self.out.len();
            self.out.push_str(&Value::from(&*name).to_string());
            self.out.push(':');
            object.name = Some((name, from));
        }
    }

    /// A value begins.
    fn begin(&mut self) {
        match self.open.last_mut() {
            Some(Open::Array { is_empty: is_empty @ true }) => *is_empty = false,
            Some(Open::Array { .. }) => self.out.push(','),
            Some(Open::Object(Object { name: None, .. })) => self.name(String::new()),
            _ => {}
        }
    }

    /// A value is there.
    fn end(&mut self) {
        if let Some(Open::Object(object)) = self.open.last_mut()
            && let Some((name, from)) = object.name.take()
        {
            let values = object.members.entry(name).or_default();
            values.push(from..self.out.len());
            self.most = self.most.max(values.len());
        }
    }

    /// Closes what was opened last.
    fn close(&mut self) {
        if let Some(Open::Object(Object { name: Some(_), .. })) = self.open.last() {
            self.out.push_str("null");
            self.end();
        }
        match self.open.pop() {
            Some(Open::Array { .. }) => self.out.push(']'),
            Some(Open::Object(object)) => {
                if object.members.values().any(|values| values.len() > 1) {
                    self.choose(&object);
                }
                self.out.push('}');
            }
            None => {}
        }
        self.end();
    }

    /// Writes an object again with one value for each member.
    fn choose(&mut self, object: &Object) {
        let chosen = object.members.values().filter_map(|values| {
            let at = values.len().saturating_sub(1 + self.last);
            self.out.get(values.get(at)?.clone())
        });
        let again = chosen.collect::<Vec<_>>().join(",");
        self.out.truncate(object.from);
        self.out.push_str(&again);
    }

    /// What a string says whose quote was there, up to the same.
    fn text(&mut self, quote: char) -> String {
        let mut text = String::new();
        let byte = if quote == '"' { b'"' } else { b'\'' };
        while let Some(found) = memchr2(byte, b'\\', self.rest.as_bytes()) {
            let (said, rest) = self.rest.split_at(found);
            text.push_str(said);
            self.rest = rest;
            if self.next() == Some(quote) {
                return text;
            }
            self.escape(&mut text);
        }
        text.push_str(std::mem::take(&mut self.rest));
        text
    }

    fn escape(&mut self, text: &mut String) {
        match self.next() {
            Some('n') => text.push('\n'),
            Some('r') => text.push('\r'),
            Some('t') => text.push('\t'),
            Some('b') => text.push('\u{8}'),
            Some('f') => text.push('\u{c}'),
            Some('u') => {
                let Some(unit) = self.unit() else {
                    text.push_str("\\u");
                    return;
                };
                let before = self.rest;
                let pair = match self.rest.strip_prefix("\\u") {
                    Some(rest) if (0xd800..0xdc00).contains(&unit) => {
                        self.rest = rest;
                        self.unit().and_then(|low| {
                            char::decode_utf16([unit, low]).next().and_then(Result::ok)
                        })
                    }
                    _ => None,
                };
                if pair.is_none() {
                    self.rest = before;
                }
                let lone =
                    || char::from_u32(u32::from(unit)).unwrap_or(char::REPLACEMENT_CHARACTER);
                text.push(pair.unwrap_or_else(lone));
            }
            Some(c @ ('"' | '\'' | '\\' | '/')) => text.push(c),
            Some(c) => text.extend(['\\', c]),
            None => {}
        }
    }

    fn unit(&mut self) -> Option<u16> {
        let (digits, rest) = self.rest.split_at_checked(4)?;
        let unit = digits.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(digits)?;
        self.rest = rest;
        u16::from_str_radix(unit, 16).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_lenient_parsers_take_is_written_as_strict_json() {
        for (text, expected) in [
            ("{\"a\":\"x\ny\"}", r#"{"a":"x\ny"}"#),
            (r#"{"a":1}}"#, r#"{"a":1}"#),
            (r#"{"a":1} and more {"b":2}"#, r#"{"a":1}"#),
            (r#"{"a":1,"a":2}"#, r#"{"a":2}"#),
            (
                r#"{"a":1,"b":[{"c":1,"\u0063":{"d":1,"d":2}}],"a":3}"#,
                r#"{"a":3,"b":[{"c":{"d":2}}]}"#,
            ),
            (
                r#"{"a":"\ud800 \ud83d\ude00 \ud83d\u0041"}"#,
                "{\"a\":\"\u{fffd} \u{1f600} \u{fffd}A\"}",
            ),
            ("\u{feff}{\"a\":[1,2,],}", r#"{"a":[1,2]}"#),
            (r#"{"a":{"b":"c"#, r#"{"a":{"b":"c"}}"#),
            (r#"{"a":"#, r#"{"a":null}"#),
            (
                r#"{a:'it"s', b: True, c: 1e400, d: 0x1}"#,
                r#"{"a":"it\"s","b":"True","c":"1e400","d":"0x1"}"#,
            ),
            (r#"{"a" 1 "b" 2}"#, r#"{"a":1,"b":2}"#),
            (r#"{"a":[1}"#, r#"{"a":[1]}"#),
            (r#"{{"a":1}}"#, r#"{"":{"a":1}}"#),
            (r#""a\x\"""#, r#""a\\x\"""#),
            ("7", "7"),
        ] {
            assert_eq!(mended(text).as_deref(), Some(expected), "{text}");
        }
        let deep = "[".repeat(200);
        for text in ["", "cat .env", "}", &deep] {
            assert_eq!(mended(text), None, "{text}");
        }
    }

    #[test]
    fn each_value_of_a_member_is_read() {
        let shown = |text: &str| readings(text).iter().map(Value::to_string).collect::<Vec<_>>();
        assert_eq!(shown(r#"{"a":1,"a":2}"#), [r#"{"a":2}"#, r#"{"a":1}"#]);
        assert_eq!(
            shown(r#"{"a":1,"b":1,"a":2,"a":3,"b":2}"#),
            [r#"{"a":3,"b":2}"#, r#"{"a":2,"b":1}"#, r#"{"a":1,"b":1}"#]
        );
        let many: Vec<String> = (0..100).map(|number| format!("\"a\":{number}")).collect();
        assert_eq!(shown(&format!("{{{}}}", many.join(","))).len(), VALUES);
        let of = |text: &str| {
            unwrapped(Value::from(text)).iter().map(Value::to_string).collect::<Vec<_>>()
        };
        assert_eq!(of(r#"{"a":1}"#), [r#"{"a":1}"#]);
        assert_eq!(of(r#""{\"a\":1,\"a\":2}""#), [r#"{"a":1}"#, r#"{"a":2}"#]);
        assert_eq!(of("ls {a}"), [r#""ls {a}""#]);
    }

    proptest! {
        #[test]
        fn what_is_mended_is_strict(text in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\\", "\\u", "d83d", "'", "a", "\"a\"", "\"a\":", "1", "\n", "é", " ",
        ]), 0..40)) {
            let text = text.concat();
            if let Some(mended) = mended(&text) {
                prop_assert!(json::parse(mended.as_bytes()).is_ok(), "{text} became {mended}");
            }
        }

        #[test]
        fn what_is_strict_stays_what_it_is(numbers in prop::collection::btree_map("[a-z\"\\\\\n]{0,3}", any::<i32>(), 0..6)) {
            let value = serde_json::to_value(&numbers).unwrap();
            prop_assert_eq!(readings(&value.to_string()), vec![value]);
        }
    }
}
