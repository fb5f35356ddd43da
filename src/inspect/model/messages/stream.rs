//! Answers that stream, in the forms of Anthropic, of Chat Completions and of Bedrock's Converse.
//!
//! Takes one event at a time with the calls that are open; tells what it completes.

use super::super::By;
use super::super::answer::assembly::{Assembly, Begun};
use super::super::telling::{Form, Listener, Telling, id_of, name, place_of};
use super::super::walk::{Each, Of, Raw, Within, object, text, walk};
use super::{Block, Call, Function, Tool, called};
use serde::Deserialize;
use serde_json::Result;
use serde_json::value::RawValue;

/// The place of a call of the older form, which has one only.
const ALONE: u64 = u64::MAX;

/// An event of Anthropic's.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    index: Raw<'a>,
    #[serde(borrow)]
    content_block: Raw<'a>,
    #[serde(borrow)]
    delta: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    partial_json: Raw<'a>,
}

/// Reads an event of Anthropic's.
pub(in super::super) fn anthropic<L: Listener>(
    event: &str,
    open: &mut Assembly,
    telling: &mut Telling<'_, L>,
) -> Result<()> {
    let event: Event<'_> = serde_json::from_str(event)?;
    let at = (0, place_of(event.index).unwrap_or_default());
    match &*text(event.kind).unwrap_or_default() {
        "message_start" => {
            open.cut(telling);
            super::read(event.message, &mut Each(Of::new(|turn| super::message(&turn, telling))))?;
        }
        "content_block_start" => {
            let Some(block) = object::<Block<'_>>(event.content_block)? else { return Ok(()) };
            if let Some(by) = called(&text(block.kind).unwrap_or_default()) {
                let (id, tool) = (id_of(block.id), name(block.name));
                // It begins empty, and the pieces come after it.
                let first = block.input.map(RawValue::get).filter(|raw| *raw != "{}");
                let begun = Begun { id: &id, tool: &tool, by, form: Form::Json, first };
                open.begin(at, &begun, telling);
            } else {
                super::block(&block, telling)?;
            }
        }
        "content_block_delta" => {
            if let Some(Delta { partial_json }) = object(event.delta)? {
                open.piece(at, partial_json, telling);
            }
        }
        "content_block_stop" => open.end(at, telling),
        "message_stop" => open.finish(telling),
        _ => {}
    }
    Ok(())
}

/// A choice of Chat Completions.
#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    index: Raw<'a>,
    #[serde(borrow)]
    delta: Raw<'a>,
    #[serde(borrow)]
    message: Raw<'a>,
    #[serde(borrow)]
    finish_reason: Raw<'a>,
}

#[derive(Deserialize)]
struct Turn<'a> {
    #[serde(borrow)]
    tool_calls: Raw<'a>,
    #[serde(borrow)]
    function_call: Raw<'a>,
}

/// Reads an event of Chat Completions.
pub(in super::super) fn chat<L: Listener>(
    event: &str,
    open: &mut Assembly,
    telling: &mut Telling<'_, L>,
) -> Result<()> {
    if event == "[DONE]" {
        open.end_all(telling);
        return Ok(());
    }
    let choice = Of::new(|choice: Choice<'_>| {
        let number = place_of(choice.index).unwrap_or_default();
        super::read(choice.message, &mut Each(Of::new(|turn| super::message(&turn, telling))))?;
        if let Some(turn) = object::<Turn<'_>>(choice.delta)? {
            let mut place = 0;
            let piece = Of::new(|call: Call<'_>| {
                let at = (number, place_of(call.index).unwrap_or(place));
                place += 1;
                of_chat(at, call.id, call.parts()?, open, telling);
                Ok(())
            });
            super::read(turn.tool_calls, &mut Each(Each(piece)))?;
            if let Some(Function { name, arguments }) = object(turn.function_call)? {
                let parts = (name, arguments, Form::Json);
                of_chat((number, ALONE), name, parts, open, telling);
            }
        }
        if choice.finish_reason.is_some() {
            open.end_within(number, telling);
        }
        Ok(())
    });
    walk(event, &mut Within(&["choices"], Each(Each(choice))))
}

/// A piece of a call of Chat Completions. The first names it, or a later one; some hosts number all calls
/// alike, and some repeat id and name.
fn of_chat<L: Listener>(
    at: (u64, u64),
    id: Raw<'_>,
    (tool, input, form): (Raw<'_>, Raw<'_>, Form),
    open: &mut Assembly,
    telling: &mut Telling<'_, L>,
) {
    let (id, tool) = (id_of(id), name(tool));
    let begins = !id.is_empty() || !tool.is_empty();
    if begins && !open.goes_on(at, &id, &tool) {
        open.end(at, telling);
        let begun = Begun { id: &id, tool: &tool, by: By::Agent, form, first: None };
        open.begin(at, &begun, telling);
    }
    open.piece(at, input, telling);
}

/// What an event of Converse says of a block.
#[derive(Deserialize)]
struct OfBlock<'a> {
    #[serde(borrow, rename = "contentBlockIndex")]
    index: Raw<'a>,
    #[serde(borrow)]
    start: Raw<'a>,
    #[serde(borrow)]
    delta: Raw<'a>,
}

/// Reads an event of Converse by its name.
pub(in super::super) fn converse<L: Listener>(
    kind: &str,
    event: &str,
    open: &mut Assembly,
    telling: &mut Telling<'_, L>,
) -> Result<()> {
    match kind {
        "messageStart" => {
            open.cut(telling);
            return Ok(());
        }
        "messageStop" => {
            open.finish(telling);
            return Ok(());
        }
        "contentBlockStart" | "contentBlockDelta" | "contentBlockStop" => {}
        _ => return Ok(()),
    }
    let OfBlock { index, start, delta } = serde_json::from_str(event)?;
    let at = (0, place_of(index).unwrap_or_default());
    if kind == "contentBlockStop" {
        open.end(at, telling);
    }
    let begin = Of::new(|tool: Tool<'_>| {
        let (id, called) = (id_of(tool.id), name(tool.name));
        let begun = Begun { id: &id, tool: &called, by: tool.by(), form: Form::Json, first: None };
        open.begin(at, &begun, telling);
        Ok(())
    });
    super::read(start, &mut Within(&["toolUse"], Each(Each(begin))))?;
    let piece = Of::new(|tool: Tool<'_>| {
        open.piece(at, tool.input, telling);
        Ok(())
    });
    super::read(delta, &mut Within(&["toolUse"], Each(Each(piece))))
}

/// The members of an event of Bedrock's invocations, by whose model it is.
#[derive(Deserialize)]
struct Native<'a> {
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    choices: Raw<'a>,
    #[serde(borrow, rename = "contentBlockStart")]
    start: Raw<'a>,
    #[serde(borrow, rename = "contentBlockDelta")]
    delta: Raw<'a>,
    #[serde(borrow, rename = "contentBlockStop")]
    stop: Raw<'a>,
}

/// Reads an event in the form of the model that is invoked.
pub(in super::super) fn native<L: Listener>(
    event: &str,
    open: &mut Assembly,
    telling: &mut Telling<'_, L>,
) -> Result<()> {
    let Native { kind, choices, start, delta, stop } = serde_json::from_str(event)?;
    if kind.is_some() {
        anthropic(event, open, telling)?;
    }
    if choices.is_some() {
        chat(event, open, telling)?;
    }
    for (kind, part) in
        [("contentBlockStart", start), ("contentBlockDelta", delta), ("contentBlockStop", stop)]
    {
        if let Some(part) = part {
            converse(kind, part.get(), open, telling)?;
        }
    }
    Ok(())
}
