//! Conversations with models: what is said does not depend on how an answer is cut, and is bounded; a
//! request is read as another reader finds its calls.

use holdgate::inspect::model::{Answer, By, Dialect, Said, ToolCall, Unread, read_request};
use holdgate::message::json;
use serde_json::Value;
use serde_json::value::RawValue;

const MEDIA: [&str; 4] =
    ["text/event-stream", "application/vnd.amazon.eventstream", "application/json", ""];

/// Reads the bytes as an answer, whole and in pieces, and as a request. The first byte says in which
/// dialect and of what media type, the second how long the pieces are.
pub fn model(data: &[u8]) {
    let [choice, length, body @ ..] = data else { return };
    let choice = usize::from(*choice);
    let dialect = Dialect::ALL[choice % Dialect::ALL.len()];
    let media = MEDIA[choice / Dialect::ALL.len() % MEDIA.len()];
    let whole = answer(dialect, media, [body]);
    let pieces = answer(dialect, media, body.chunks(usize::from(*length) + 1));
    assert_eq!(whole, pieces, "a cut changes what is said");
    assert_eq!(told(&whole), told(&pieces), "a cut changes what is said");
    bounded(&whole, body);

    let mut said = Vec::new();
    read_request(dialect, body, &mut |one| said.push(one));
    bounded(&said, body);
    let unread = |one: &Said| matches!(one, Said::Unread { .. });
    if dialect == Dialect::Anthropic
        && let Ok(request) = json::parse(body)
        && !said.iter().any(unread)
    {
        let found: Vec<_> = said.iter().filter_map(call).map(|one| &*one.tool).collect();
        assert_eq!(found, calls(&request), "another reader finds other calls");
    }
    if serde_json::from_slice::<&RawValue>(body).is_err() {
        assert!(said.iter().any(unread), "what is not JSON is not read in silence");
    }
}

fn answer<'a>(
    dialect: Dialect,
    media: &str,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<Said> {
    let mut said = Vec::new();
    let mut listener = |one| said.push(one);
    let mut answer = Answer::new(dialect, media);
    for piece in pieces {
        answer.feed(piece, &mut listener);
    }
    answer.end(&mut listener);
    said
}

/// What is not compared by `==` alone: the texts.
fn told(said: &[Said]) -> Vec<String> {
    said.iter()
        .map(|one| match one {
            Said::Call(call) => call.input.to_string(),
            Said::Result(result) => result.text.clone(),
            Said::Unread { why } => why.to_string(),
        })
        .collect()
}

/// What is said is not more than what was there.
fn bounded(said: &[Said], body: &[u8]) {
    let length: usize = said
        .iter()
        .map(|one| match one {
            Said::Call(ToolCall { id, tool, .. }) => id.len().min(512) + tool.len().min(512),
            Said::Result(result) => result.text.len(),
            Said::Unread { why: Unread::Crowded | Unread::Stray } => 0,
            Said::Unread { .. } => 1,
        })
        .sum();
    // The name of a call without an id is part of the one that it is given.
    assert!(length <= body.len() * 4 + 64, "{length} bytes are told of {}", body.len());
}

fn call(said: &Said) -> Option<&ToolCall> {
    match said {
        Said::Call(call) if call.by == By::Agent => Some(call),
        _ => None,
    }
}

/// The tools that the turns of a request call, as they stand in its value.
fn calls(request: &Value) -> Vec<&str> {
    let mut found = Vec::new();
    for turn in members(&request["messages"]) {
        if turn["role"] == "tool" || turn["role"] == "function" {
            continue;
        }
        for block in members(&turn["content"]) {
            if block["type"] == "tool_use" {
                found.push(&block["name"]);
            }
            for tool in members(&block["toolUse"]).filter(|tool| tool["type"].is_null()) {
                found.push(&tool["name"]);
            }
        }
        for call in members(&turn["tool_calls"]) {
            let [function, custom] = [&call["function"], &call["custom"]];
            found.push(if function.is_null() { &custom["name"] } else { &function["name"] });
        }
        for call in members(&turn["function_call"]) {
            found.push(&call["name"]);
        }
    }
    found.into_iter().filter_map(Value::as_str).collect()
}

/// The members of an array, or an object by itself.
fn members(value: &Value) -> impl Iterator<Item = &Value> {
    let all = match value {
        Value::Array(members) => members.as_slice(),
        Value::Object(_) => std::slice::from_ref(value),
        _ => &[],
    };
    all.iter()
}
