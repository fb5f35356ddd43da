//! What is told of a call or a result, from its parts as they stand in JSON.
//!
//! Takes the parts and who listens; says [`Said`] with ids, names and inputs within their limits, or why
//! not. Who listens is asked first whether it knows them already, so that nothing is decoded in vain.

use super::walk::{Each, Of, Raw, is, text, walk};
use super::{By, INPUT, NAME, Said, ToolCall, ToolResult, Unread, lenient};
use crate::message::json;
use serde::Deserialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Who listens to what is said.
pub trait Listener {
    /// Hears what is said.
    fn hear(&mut self, said: Said);
    /// Whether this was heard before, and is not to be said again. An id alone says little: whoever
    /// writes the conversation chooses it.
    fn knows(&mut self, _met: &Met<'_>) -> bool {
        false
    }
    /// A turn of the model begins: what was said before it was said earlier.
    fn spoke(&mut self) {}
}

impl<F: FnMut(Said)> Listener for F {
    fn hear(&mut self, said: Said) {
        self(said);
    }
}

/// What is met in a conversation, before it is read.
#[derive(Clone, Copy)]
pub struct Met<'a> {
    /// Whether it is a call or a result.
    pub what: What,
    /// The id of the call.
    pub id: &'a str,
    /// The tool that is called; nothing of a result.
    pub tool: &'a str,
    /// Who runs it.
    pub by: By,
    /// The input or the result as it stands in JSON.
    pub raw: &'a str,
}

/// A call or a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum What {
    /// A call.
    Call,
    /// A result.
    Result,
}

/// Tells whoever listens.
pub(super) struct Telling<'l, L> {
    listener: &'l mut L,
    /// How much was told.
    told: usize,
    /// How much of it was told before, and is not told again.
    before: usize,
}

/// The input of a call as it was read.
pub(super) struct Input {
    /// What it may be, the likeliest last: lenient parsers differ where it is not strict JSON.
    values: Vec<Value>,
    /// Why it is not surely that.
    unread: Option<Unread>,
}

/// How the input of a call stands in a document.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// As JSON; in a string, as JSON of which that is the text.
    Json,
    /// As free text.
    Free,
}

impl<'l, L: Listener> Telling<'l, L> {
    pub(super) const fn new(listener: &'l mut L) -> Self {
        Self { listener, told: 0, before: 0 }
    }

    /// Tells of one part, of which it is counted what was told.
    pub(super) const fn part(&mut self) -> Telling<'_, L> {
        Telling { listener: &mut *self.listener, told: 0, before: 0 }
    }

    /// The same is read again from its beginning, because it broke off. What was told up to there is not
    /// told again.
    pub(super) fn again(&mut self, why: Unread) {
        self.listener.hear(Said::Unread { why });
        (self.before, self.told) = (self.told, 0);
    }

    /// Whether what comes next was told before.
    const fn was_told(&mut self) -> bool {
        self.told += 1;
        self.told <= self.before
    }

    pub(super) fn unread(&mut self, why: Unread) {
        if !self.was_told() {
            self.listener.hear(Said::Unread { why });
        }
    }

    pub(super) fn spoke(&mut self) {
        if !self.was_told() {
            self.listener.spoke();
        }
    }

    /// Tells a call whose parts stand together.
    pub(super) fn call(&mut self, id: Raw<'_>, tool: &str, input: Raw<'_>, form: Form, by: By) {
        self.call_with(&id_of(id), tool, input, form, by);
    }

    /// The same with an id that does not stand there.
    pub(super) fn call_with(&mut self, id: &str, tool: &str, input: Raw<'_>, form: Form, by: By) {
        let raw = input.map_or("", serde_json::value::RawValue::get);
        let met = Met { what: What::Call, id: cut(id), tool, by, raw };
        if self.was_told() || self.listener.knows(&met) {
            return;
        }
        let input = match text(input) {
            Some(text) => Input::of(&text, form),
            None => Input::of(raw, Form::Json),
        };
        self.hear(id, tool, input, by);
    }

    /// Tells a call that was put together.
    pub(super) fn tell(&mut self, id: &str, tool: &str, input: Input, by: By) {
        if !self.was_told() {
            self.hear(id, tool, input, by);
        }
    }

    fn hear(&mut self, id: &str, tool: &str, input: Input, by: By) {
        let why = if tool.is_empty() { Some(Unread::Json) } else { input.unread };
        if let Some(why) = why {
            self.listener.hear(Said::Unread { why });
        }
        for input in input.values.into_iter().filter(|_| !tool.is_empty()) {
            let (id, tool) = (cut(id).to_owned(), cut(tool).to_owned());
            self.listener.hear(Said::Call(ToolCall { id, tool, input, by }));
        }
    }

    /// Tells a result.
    pub(super) fn result(&mut self, call: Raw<'_>, tool: Raw<'_>, content: Raw<'_>, by: By) {
        self.result_of(&id_of(call), tool, content, by);
    }

    /// The same of a call whose id does not stand there.
    pub(super) fn result_of(&mut self, call: &str, tool: Raw<'_>, content: Raw<'_>, by: By) {
        let raw = content.map_or("", serde_json::value::RawValue::get);
        let met = Met { what: What::Result, id: cut(call), tool: "", by, raw };
        if self.was_told() || self.listener.knows(&met) {
            return;
        }
        let tool = text(tool).map(|tool| cut(&tool).to_owned());
        match text_of(content) {
            Some(text) => {
                let (call, text) = (cut(call).to_owned(), text.into_owned());
                self.listener.hear(Said::Result(ToolResult { call, tool, text, by }));
            }
            None => self.listener.hear(Said::Unread { why: Unread::Json }),
        }
    }
}

impl Input {
    /// The input that stands in a text.
    pub(super) fn of(text: &str, form: Form) -> Self {
        let (text, is_long) = match text.get(..cut_at(text, INPUT)) {
            Some(beginning) if beginning.len() < text.len() => (beginning, true),
            _ => (text, false),
        };
        let long = is_long.then_some(Unread::LongInput);
        if form == Form::Free {
            return Self { values: vec![Value::from(text)], unread: long };
        }
        if text.is_empty() {
            return Self { values: vec![Value::Object(Map::new())], unread: None };
        }
        if let Ok(value) = json::parse(text.as_bytes()) {
            return Self { values: lenient::unwrapped(value), unread: long };
        }
        let mut values: Vec<Value> =
            lenient::readings(text).into_iter().rev().flat_map(lenient::unwrapped).collect();
        // What is no JSON at all some tools take as it stands.
        if values.is_empty() && !json::may_hold(text) {
            values.push(Value::from(text));
        }
        Self { values, unread: long.or(Some(Unread::Input)) }
    }

    /// One that is not there.
    pub(super) const fn missing(why: Unread) -> Self {
        Self { values: Vec::new(), unread: Some(why) }
    }

    /// Whether it surely is what it was read as.
    pub(super) const fn is_read(&self) -> bool {
        self.unread.is_none()
    }
}

/// The beginning of an id or a name that is too long.
pub(super) fn cut(text: &str) -> &str {
    text.get(..cut_at(text, NAME)).unwrap_or(text)
}

/// Where a text is cut that is to have so many bytes at most.
const fn cut_at(text: &str, most: usize) -> usize {
    if text.len() <= most { text.len() } else { text.floor_char_boundary(most) }
}

/// The name of a tool; empty where there is none.
pub(super) fn name(part: Raw<'_>) -> Cow<'_, str> {
    text(part).unwrap_or_default()
}

/// An id: what is no text there is taken as it stands, as the numbers of JSON-RPC.
pub(super) fn id_of(part: Raw<'_>) -> Cow<'_, str> {
    let as_it_stands = || part.map_or("", serde_json::value::RawValue::get).into();
    text(part).unwrap_or_else(as_it_stands)
}

/// The number of a place. Some write it as a fraction or a text; what is none is a place of its own.
pub(super) fn place_of(part: Raw<'_>) -> Option<u64> {
    const ODD: u64 = u64::MAX - 1;
    part.map(|_there| {
        let written = id_of(part);
        let whole = match written.split_once('.') {
            Some((whole, fraction)) if fraction.bytes().all(|digit| digit == b'0') => whole,
            _ => &written,
        };
        whole.parse().unwrap_or(ODD)
    })
}

/// A part of a result.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    text: Raw<'a>,
    #[serde(borrow)]
    image: Raw<'a>,
}

/// The text of a result: a text, or parts with one each, or as it stands. None where it cannot be read.
fn text_of(content: Raw<'_>) -> Option<Cow<'_, str>> {
    let Some(raw) = content else { return Some(Cow::Borrowed("")) };
    match raw.get().as_bytes().first() {
        Some(b'"') => return text(content),
        Some(b'[') => {}
        _ => return Some(Cow::Borrowed(raw.get())),
    }
    let mut all = String::new();
    let take = |part: &serde_json::value::RawValue| {
        let shown = match part.get().as_bytes().first() {
            Some(b'{') => shown(part)?,
            _ => id_of(Some(part)),
        };
        // A model reads on where a name ends one part and its value begins the next.
        let goes_on = all.is_empty() || all.trim_end().ends_with(['=', ':']);
        if !goes_on && !shown.is_empty() {
            all.push('\n');
        }
        all.push_str(&shown);
        Ok(())
    };
    walk(raw.get(), &mut Each(Of::new(take))).ok().map(|()| Cow::Owned(all))
}

/// What a part of a result says.
fn shown(part: &serde_json::value::RawValue) -> serde_json::Result<Cow<'_, str>> {
    let Part { kind, text: said, image } = serde_json::from_str(part.get())?;
    let is_image = image.is_some()
        || ["image", "input_image", "image_url", "audio"].iter().any(|word| is(kind, word));
    Ok(match text(said) {
        Some(text) => text,
        None if is_image => Cow::Borrowed(""),
        None => Cow::Borrowed(part.get()),
    })
}
