//! JSON-RPC messages of the Model Context Protocol.
//!
//! Takes requests and answers; tells the calls of tools, the resources that are read, and their results.
//! The id of a call is that of its message, as it stands there.

use super::telling::{Form, Listener, Telling, name};
use super::walk::{Each, Of, Raw, object, text, walk};
use super::{By, Unread};
use serde::Deserialize;
use serde_json::Result;
use serde_json::value::RawValue;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    method: Raw<'a>,
    #[serde(borrow)]
    params: Raw<'a>,
    #[serde(borrow)]
    result: Raw<'a>,
    #[serde(borrow)]
    error: Raw<'a>,
}

#[derive(Deserialize)]
struct Params<'a> {
    #[serde(borrow)]
    name: Raw<'a>,
    #[serde(borrow)]
    arguments: Raw<'a>,
}

#[derive(Deserialize)]
struct Answered<'a> {
    #[serde(borrow)]
    content: Raw<'a>,
    #[serde(borrow)]
    contents: Raw<'a>,
    #[serde(borrow, rename = "structuredContent")]
    structured: Raw<'a>,
}

/// Reads what a client sends.
pub(super) fn request<L: Listener>(body: &str, telling: &mut Telling<'_, L>) -> Result<()> {
    let message = Of::new(|message: Message<'_>| {
        let method = text(message.method).unwrap_or_default();
        match (&*method, message.params) {
            ("tools/call", Some(params)) => match object(Some(params))? {
                Some(Params { name: tool, arguments }) => {
                    telling.call(message.id, &name(tool), arguments, Form::Json, By::Server);
                }
                None => telling.unread(Unread::Json),
            },
            ("resources/read", params) => {
                telling.call(message.id, &method, params, Form::Json, By::Server);
            }
            _ => {}
        }
        Ok(())
    });
    walk(body, &mut Each(Each(message)))
}

/// Reads what a server sends: an answer, an event of one, or one of what it sends by itself.
pub(super) fn document<L: Listener>(body: &str, telling: &mut Telling<'_, L>) -> Result<()> {
    let message = Of::new(|message: Message<'_>| {
        let Some(result) = message.result else {
            if message.error.is_some() {
                telling.result(message.id, None, message.error, By::Server);
            }
            return Ok(());
        };
        if !result.get().starts_with('{') {
            return Ok(());
        }
        let said: Answered<'_> = serde_json::from_str(result.get())?;
        // What is structured stands in the content as well, or should.
        let parts: [Option<&RawValue>; 3] = [said.content, said.contents, said.structured];
        for part in parts.into_iter().flatten() {
            telling.result(message.id, None, Some(part), By::Server);
        }
        Ok(())
    });
    walk(body, &mut Each(Each(message)))
}
