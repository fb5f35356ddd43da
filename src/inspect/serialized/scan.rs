//! Objects of JSON in a text, whatever stands around them.
//!
//! Takes a text; finds the objects that read as JSON from a brace on, with those inside them. A brace
//! that begins none is passed over, and the next one tried. Work is counted, and comes to an end.

use super::unescape::Text;
use super::{MOST, Object, Shape, TooMuch};
use memchr::memchr;
use std::collections::BTreeMap;

/// Parsers that revive objects go no deeper.
const DEEPEST: usize = 1_000;
/// No name or word that matters is longer, escaped.
const LONGEST_WORD: usize = 128;

/// Finds the objects of a text, by where they begin in the original.
pub(super) fn objects(
    text: &Text<'_>,
    work: &mut usize,
    found: &mut BTreeMap<usize, Object>,
) -> Result<(), TooMuch> {
    let mut at = 0;
    while let Some(brace) = text.bytes().get(at..).and_then(|rest| memchr(b'{', rest)) {
        let mut attempt = Attempt { text, at: at + brace, open: Vec::new(), work, found };
        at = if attempt.read()? { attempt.at } else { at + brace + 1 };
    }
    Ok(())
}

/// What is open: an array, or an object and what is known of it.
enum Open {
    Array,
    Object { from: usize, members: Members, member: Member },
}

/// The members that make an object one of those that are looked for.
#[derive(Clone, Copy, Default)]
struct Members {
    lc: bool,
    shape: Option<Shape>,
    id: bool,
}

/// The member whose value comes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Member {
    Lc,
    Type,
    Id,
    Other,
}

/// A value, as far as it matters.
enum Value<'t> {
    Null,
    /// A number, or what some languages take for the number one.
    Number,
    Text(&'t [u8]),
    Other,
}

/// What may come next.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Expect {
    Value,
    /// A value, or the end of an array that has just begun.
    First,
    /// A name; or the end of an object that has just begun.
    Name {
        or_end: bool,
    },
    /// A comma, or the end.
    Next,
}

struct Attempt<'a, 't> {
    text: &'a Text<'t>,
    at: usize,
    open: Vec<Open>,
    work: &'a mut usize,
    found: &'a mut BTreeMap<usize, Object>,
}

impl<'a> Attempt<'a, '_> {
    /// Reads one value from where it stands; whether there is one.
    fn read(&mut self) -> Result<bool, TooMuch> {
        let mut expect = Expect::Value;
        loop {
            self.skip(|byte| byte.is_ascii_whitespace())?;
            let Some(byte) = self.text.bytes().get(self.at).copied() else { return Ok(false) };
            let next = match (expect, byte) {
                (Expect::Value | Expect::First, _) if byte != b']' => self.value(byte)?,
                (Expect::First | Expect::Next, b']') => self.close(b']')?,
                (Expect::Name { .. }, b'"') => self.name()?,
                (Expect::Name { or_end: true } | Expect::Next, b'}') => self.close(b'}')?,
                (Expect::Next, b',') => {
                    self.at += 1;
                    self.open.last().map(|open| match open {
                        Open::Array => Expect::Value,
                        Open::Object { .. } => Expect::Name { or_end: false },
                    })
                }
                _ => None,
            };
            match next {
                Some(_) if self.open.is_empty() => return Ok(true),
                Some(next) => expect = next,
                None => return Ok(false),
            }
        }
    }

    /// Reads a value, or the beginning of one that holds others.
    fn value(&mut self, byte: u8) -> Result<Option<Expect>, TooMuch> {
        let value = match byte {
            b'{' | b'[' => {
                if self.open.len() == DEEPEST {
                    return Err(TooMuch::Work);
                }
                let from = self.at;
                self.at += 1;
                if byte == b'[' {
                    self.open.push(Open::Array);
                    return Ok(Some(Expect::First));
                }
                let (members, member) = (Members::default(), Member::Other);
                self.open.push(Open::Object { from, members, member });
                return Ok(Some(Expect::Name { or_end: true }));
            }
            b'"' => match self.string()? {
                Some(text) => Value::Text(text),
                None => return Ok(None),
            },
            _ => match self.word()? {
                b"null" => Value::Null,
                b"false" | b"NaN" | b"Infinity" | b"-Infinity" => Value::Other,
                b"true" | [b'0'..=b'9' | b'-', ..] => Value::Number,
                _ => return Ok(None),
            },
        };
        self.is(&value);
        Ok(Some(Expect::Next))
    }

    /// Notes the value of the member that it belongs to.
    fn is(&mut self, value: &Value<'_>) {
        let Some(Open::Object { members, member, .. }) = self.open.last_mut() else { return };
        match (*member, value) {
            (Member::Lc, Value::Number) => members.lc = true,
            (Member::Type, Value::Text(word)) => {
                // Of members with one name, some take the first and some the last.
                let shape = plain(word).and_then(|word| Shape::parse(&word));
                members.shape = members.shape.max(shape);
            }
            (Member::Id, Value::Text(_) | Value::Number | Value::Other) => members.id = true,
            _ => {}
        }
    }

    fn name(&mut self) -> Result<Option<Expect>, TooMuch> {
        let Some(name) = self.string()? else { return Ok(None) };
        self.skip(|byte| byte.is_ascii_whitespace())?;
        if self.text.bytes().get(self.at) != Some(&b':') {
            return Ok(None);
        }
        self.at += 1;
        let named = match plain(name).as_deref() {
            Some(b"lc") => Member::Lc,
            Some(b"type") => Member::Type,
            Some(b"id") => Member::Id,
            _ => Member::Other,
        };
        if let Some(Open::Object { member, .. }) = self.open.last_mut() {
            *member = named;
        }
        Ok(Some(Expect::Value))
    }

    fn close(&mut self, byte: u8) -> Result<Option<Expect>, TooMuch> {
        self.at += 1;
        match (self.open.pop(), byte) {
            (Some(Open::Array), b']') => {}
            (Some(Open::Object { from, members, .. }), b'}') => {
                if let Members { lc: true, shape: Some(shape), id: true } = members {
                    let place = self.text.place(from)..self.text.place(self.at);
                    if self.found.len() == MOST {
                        return Err(TooMuch::Work);
                    }
                    self.found.entry(place.start).or_insert(Object { shape, place });
                }
            }
            _ => return Ok(None),
        }
        self.is(&Value::Other);
        Ok(Some(Expect::Next))
    }

    /// Reads a text; what stands between its quotation marks.
    fn string(&mut self) -> Result<Option<&'a [u8]>, TooMuch> {
        let from = self.at + 1;
        let mut at = from;
        loop {
            let rest = self.text.bytes().get(at..).unwrap_or_default();
            let Some(sign) = memchr::memchr2(b'"', b'\\', rest) else {
                self.spend(rest.len())?;
                return Ok(None);
            };
            self.spend(sign + 1)?;
            if rest.get(sign) == Some(&b'"') {
                self.at = at + sign + 1;
                return Ok(self.text.bytes().get(from..at + sign));
            }
            at += sign + 2;
        }
    }

    /// Reads a number or a word.
    fn word(&mut self) -> Result<&'a [u8], TooMuch> {
        let from = self.at;
        self.skip(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'+' | b'.'))?;
        Ok(self.text.bytes().get(from..self.at).unwrap_or_default())
    }

    fn skip(&mut self, of: impl Fn(u8) -> bool) -> Result<(), TooMuch> {
        let rest = self.text.bytes().get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|byte| !of(*byte)).unwrap_or(rest.len());
        self.at += length;
        self.spend(length + 1)
    }

    fn spend(&mut self, work: usize) -> Result<(), TooMuch> {
        *self.work = self.work.checked_sub(work).ok_or(TooMuch::Work)?;
        Ok(())
    }
}

/// A name or a word without its escapes; none if it is too long to be one that matters.
fn plain(text: &[u8]) -> Option<Vec<u8>> {
    if text.len() > LONGEST_WORD {
        return None;
    }
    let whole = Text::whole(text).ok()?;
    Some(whole.unescaped().map_or_else(|| text.to_vec(), |text| text.bytes().to_vec()))
}
