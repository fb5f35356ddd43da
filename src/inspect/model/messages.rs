//! Turns of a conversation in the forms of Anthropic, of Chat Completions and of Bedrock's Converse.
//!
//! Takes requests, whole answers and single blocks; tells the calls and results in them. The three forms
//! do not contradict each other, so each message is read for all of them: what a host behind a path of
//! one form speaks besides is not missed.

pub(super) mod stream;

use super::By;
use super::telling::{Form, Listener, Telling, name};
use super::walk::{Each, Of, Raw, Walk, Within, is, object, text, walk};
use serde::Deserialize;
use serde_json::Result;
use serde_json::value::RawValue;

/// A turn.
#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    role: Raw<'a>,
    #[serde(borrow)]
    content: Raw<'a>,
    #[serde(borrow)]
    tool_calls: Raw<'a>,
    #[serde(borrow)]
    tool_call_id: Raw<'a>,
    #[serde(borrow)]
    function_call: Raw<'a>,
    #[serde(borrow)]
    name: Raw<'a>,
}

/// A part of a turn: Anthropic's have a type, those of Converse a member that says what they are.
#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    name: Raw<'a>,
    #[serde(borrow)]
    input: Raw<'a>,
    #[serde(borrow)]
    tool_use_id: Raw<'a>,
    #[serde(borrow)]
    content: Raw<'a>,
    #[serde(borrow, rename = "toolUse")]
    tool_use: Raw<'a>,
    #[serde(borrow, rename = "toolResult")]
    tool_result: Raw<'a>,
}

/// A call or a result of Converse.
#[derive(Deserialize)]
struct Tool<'a> {
    #[serde(borrow, rename = "toolUseId")]
    id: Raw<'a>,
    #[serde(borrow)]
    name: Raw<'a>,
    #[serde(borrow)]
    input: Raw<'a>,
    #[serde(borrow)]
    content: Raw<'a>,
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
}

/// A call of Chat Completions; in a stream, a piece of one.
#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    index: Raw<'a>,
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    function: Raw<'a>,
    #[serde(borrow)]
    custom: Raw<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    #[serde(borrow)]
    name: Raw<'a>,
    #[serde(borrow)]
    arguments: Raw<'a>,
}

#[derive(Deserialize)]
struct Custom<'a> {
    #[serde(borrow)]
    name: Raw<'a>,
    #[serde(borrow)]
    input: Raw<'a>,
}

/// Reads the body of a request.
pub(super) fn request<L: Listener>(body: &str, telling: &mut Telling<'_, L>) -> Result<()> {
    walk(body, &mut turns(telling))
}

/// The turns of a conversation. What is no object is none.
fn turns<'de, L: Listener>(telling: &mut Telling<'_, L>) -> impl Walk<'de> {
    Within(&["messages"], Each(Each(Of::new(|turn| message(&turn, telling)))))
}

/// Reads the body of a request that holds many.
pub(super) fn batch<L: Listener>(body: &str, telling: &mut Telling<'_, L>) -> Result<()> {
    walk(body, &mut Within(&["requests"], Each(Each(Within(&["params"], turns(telling))))))
}

/// What a tool has answered in a run of a thread.
#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    tool_call_id: Raw<'a>,
    #[serde(borrow)]
    output: Raw<'a>,
}

/// Reads the body of a request that hands in what tools have answered in a run of a thread.
pub(super) fn outputs<L: Listener>(body: &str, telling: &mut Telling<'_, L>) -> Result<()> {
    let output = Of::new(|Output { tool_call_id, output }| {
        telling.result(tool_call_id, None, output, By::Agent);
        Ok(())
    });
    walk(body, &mut Within(&["tool_outputs"], Each(Each(output))))
}

/// Reads a run of a thread, or an event that holds one.
pub(super) fn run<L: Listener>(body: &str, telling: &mut Telling<'_, L>) -> Result<()> {
    let calls = Within(&["tool_calls"], calls(telling));
    let asked = Within(&["submit_tool_outputs"], calls);
    walk(body, &mut Within(&["required_action"], asked))
}

/// Calls of Chat Completions.
fn calls<'de, L: Listener>(telling: &mut Telling<'_, L>) -> impl Walk<'de> {
    Each(Each(Of::new(|call: Call<'_>| {
        let (tool, input, form) = call.parts()?;
        telling.call(call.id, &name(tool), input, form, By::Agent);
        Ok(())
    })))
}

/// Reads the results of many requests, one document each.
pub(super) fn of_batch<L: Listener>(body: &str, telling: &mut Telling<'_, L>) -> Result<()> {
    let turn = Within(&["message"], Of::new(|turn| message(&turn, telling)));
    walk(body, &mut Within(&["result"], turn))
}

/// Reads an answer that is one document.
pub(super) fn document<L: Listener>(body: &str, telling: &mut Telling<'_, L>) -> Result<()> {
    // Anthropic's is a turn itself.
    walk(body, &mut Of::new(|turn| message(&turn, telling)))?;
    let of_choice = Within(&["message"], Of::new(|turn| message(&turn, telling)));
    walk(body, &mut Within(&["choices"], Each(of_choice)))?;
    let of_output = Within(&["message"], Of::new(|turn| message(&turn, telling)));
    walk(body, &mut Within(&["output"], of_output))
}

fn message<L: Listener>(turn: &Message<'_>, telling: &mut Telling<'_, L>) -> Result<()> {
    if is(turn.role, "assistant") {
        telling.spoke();
    }
    if is(turn.role, "tool") {
        telling.result(turn.tool_call_id, turn.name, turn.content, By::Agent);
        // In the other forms no turn is a tool's.
        return Ok(());
    }
    if is(turn.role, "function") {
        telling.result(turn.name, turn.name, turn.content, By::Agent);
        return Ok(());
    }
    blocks(turn.content, telling)?;
    read(turn.tool_calls, &mut calls(telling))?;
    let call = Of::new(|Function { name: tool, arguments }| {
        telling.call(tool, &name(tool), arguments, Form::Json, By::Agent);
        Ok(())
    });
    read(turn.function_call, &mut Each(Each(call)))
}

impl<'a> Call<'a> {
    /// The name, the input, and how that is written.
    fn parts(&self) -> Result<(Raw<'a>, Raw<'a>, Form)> {
        if let Some(function) = object::<Function<'_>>(self.function)? {
            return Ok((function.name, function.arguments, Form::Json));
        }
        let custom = object::<Custom<'_>>(self.custom)?;
        let free = |custom: Custom<'a>| (custom.name, custom.input, Form::Free);
        Ok(custom.map_or((None, None, Form::Json), free))
    }
}

fn blocks<L: Listener>(content: Raw<'_>, telling: &mut Telling<'_, L>) -> Result<()> {
    match content.map(RawValue::get) {
        Some(text) if !text.starts_with('"') => {
            walk(text, &mut Each(Each(Of::new(|part| block(&part, telling)))))
        }
        _ => Ok(()),
    }
}

fn block<L: Listener>(part: &Block<'_>, telling: &mut Telling<'_, L>) -> Result<()> {
    let kind = text(part.kind).unwrap_or_default();
    if let Some(by) = called(&kind) {
        telling.call(part.id, &name(part.name), part.input, Form::Json, by);
    } else if kind == "tool_result" {
        telling.result(part.tool_use_id, None, part.content, By::Agent);
    } else if kind.ends_with("_tool_result") {
        telling.result(part.tool_use_id, None, part.content, By::Provider);
    }
    let call = Of::new(|tool: Tool<'_>| {
        telling.call(tool.id, &name(tool.name), tool.input, Form::Json, tool.by());
        Ok(())
    });
    read(part.tool_use, &mut Each(Each(call)))?;
    let result = Of::new(|tool: Tool<'_>| {
        telling.result(tool.id, None, tool.content, tool.by());
        Ok(())
    });
    read(part.tool_result, &mut Each(Each(result)))
}

/// Who runs a call of this kind, if it is one.
fn called(kind: &str) -> Option<By> {
    match kind {
        "tool_use" => Some(By::Agent),
        "server_tool_use" | "mcp_tool_use" => Some(By::Provider),
        _ => None,
    }
}

impl Tool<'_> {
    fn by(&self) -> By {
        if self.kind.is_some() { By::Provider } else { By::Agent }
    }
}

/// Reads a part, if it is there.
fn read<'a>(part: Raw<'a>, reader: &mut impl Walk<'a>) -> Result<()> {
    part.map_or(Ok(()), |part| walk(part.get(), reader))
}
