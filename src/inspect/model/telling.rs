//! What is told of a call or a result, from its parts as they stand in JSON.
//!
//! Takes the parts and who listens; says [`Said`] with ids, names and inputs within their limits, or why
//! not. Who listens is asked first whether it knows them already, so that nothing is decoded in vain.

use super::walk::{Each, Of, Raw, is, text, walk};
use super::{By, INPUT, NAME, Said, ToolCall, ToolResult, Unread};
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
        Self { listener }
    }

    pub(super) fn unread(&mut self, why: Unread) {
        self.listener.hear(Said::Unread { why });
    }

    pub(super) fn spoke(&mut self) {
        self.listener.spoke();
    }

    /// Tells a call whose parts stand together.
    pub(super) fn call(&mut self, id: Raw<'_>, tool: &str, input: Raw<'_>, form: Form, by: By) {
        self.call_with(&id_of(id), tool, input, form, by);
    }

    /// The same with an id that does not stand there.
    pub(super) fn call_with(&mut self, id: &str, tool: &str, input: Raw<'_>, form: Form, by: By) {
        let raw = input.map_or("", serde_json::value::RawValue::get);
        if self.listener.knows(&Met { what: What::Call, id, tool, by, raw }) {
            return;
        }
        let read = match text(input) {
            _ if raw.len() > INPUT => Err(Unread::LongInput),
            Some(text) => of_text(&text, form),
            None if raw.is_empty() => Ok(Value::Object(Map::new())),
            None => json::parse(raw.as_bytes()).map_err(|_not_json| Unread::Input),
        };
        self.tell(id, tool, read, by);
    }

    /// Tells a call that was put together.
    pub(super) fn tell(&mut self, id: &str, tool: &str, read: Result<Value, Unread>, by: By) {
        match read {
            _ if id.len() > NAME || tool.len() > NAME => self.unread(Unread::LongName),
            _ if tool.is_empty() => self.unread(Unread::Json),
            Err(why) => self.unread(why),
            Ok(input) => {
                let (id, tool) = (id.to_owned(), tool.to_owned());
                self.listener.hear(Said::Call(ToolCall { id, tool, input, by }));
            }
        }
    }

    /// Tells a result.
    pub(super) fn result(&mut self, call: Raw<'_>, tool: Raw<'_>, content: Raw<'_>, by: By) {
        self.result_of(&id_of(call), tool, content, by);
    }

    /// The same of a call whose id does not stand there.
    pub(super) fn result_of(&mut self, call: &str, tool: Raw<'_>, content: Raw<'_>, by: By) {
        let raw = content.map_or("", serde_json::value::RawValue::get);
        if self.listener.knows(&Met { what: What::Result, id: call, tool: "", by, raw }) {
            return;
        }
        let tool = text(tool).map(Cow::into_owned);
        if call.len() > NAME || tool.as_ref().is_some_and(|tool| tool.len() > NAME) {
            self.unread(Unread::LongName);
            return;
        }
        match text_of(content) {
            Some(text) => {
                let (call, text) = (call.to_owned(), text.into_owned());
                self.listener.hear(Said::Result(ToolResult { call, tool, text, by }));
            }
            None => self.unread(Unread::Json),
        }
    }
}

/// The input of a call that is written as a text.
pub(super) fn of_text(text: &str, form: Form) -> Result<Value, Unread> {
    match form {
        _ if text.len() > INPUT => Err(Unread::LongInput),
        Form::Free => Ok(Value::String(text.to_owned())),
        Form::Json if text.is_empty() => Ok(Value::Object(Map::new())),
        Form::Json => json::parse(text.as_bytes()).map_err(|_not_json| Unread::Input),
    }
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
        if !all.is_empty() && !shown.is_empty() {
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
