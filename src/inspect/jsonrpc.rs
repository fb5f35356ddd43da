//! JSON-RPC 2.0, and MCP over it: one message or a batch, in the body of a POST.
//!
//! Takes the head and the whole body of a request; returns its calls by name, with their arguments,
//! what they mean, and what an answer to them needs. `tools/call` is named with its tool. Refuses
//! members that JSON-RPC does not have, names that people could misread, and headers that say
//! another call than the body.

use super::mirrored::{self, Mirrored, VERSION_KEY};
use super::{Need, Unreadable, rest};
use crate::catalog::{Catalog, Envelope};
use crate::message::{Head, json};
use http::{Method, header};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

/// The stream of what a server sends by itself, and the way back into one that broke off.
pub(super) const STREAM: &str = "GET stream";
/// The end of a session.
pub(super) const END: &str = "DELETE session";
/// The client's answer to a request of the server.
pub(super) const ANSWER: &str = "client response";

/// More messages than that in one batch are no everyday work.
const MESSAGES: usize = 100;
/// The longest name of a method or tool, in bytes.
const NAME: usize = 256;
/// The longest id that is given back, in bytes.
const ID: usize = 256;

/// What of a call's `_meta` is its own and changes from one try to the next.
const OF_ONE_TRY: &[&str] = &[
    "progressToken",
    "traceparent",
    "tracestate",
    "claudecode/toolUseId",
    VERSION_KEY,
    "io.modelcontextprotocol/clientInfo",
    "io.modelcontextprotocol/clientCapabilities",
    "io.modelcontextprotocol/logLevel",
];

/// Why the calls of a body cannot be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// They cannot be read.
    Unreadable(Unreadable),
    /// A header says another call than the body.
    Contradiction(&'static str),
}

impl From<Unreadable> for Error {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

/// One call.
#[derive(Debug, PartialEq)]
pub(super) struct Call {
    /// In the protocol's own terms, as in `tools/list` or `tools/call volume_delete`.
    pub(super) name: Arc<str>,
    /// Its arguments; those of the tool, where a tool is called.
    pub(super) arguments: Map<String, Value>,
}

/// What was read.
#[derive(Debug)]
pub(super) struct Read {
    /// The calls, in the order they stand in the body.
    pub(super) calls: Vec<Call>,
    /// What they mean together, whatever their ids; none where two readings of a number differ.
    pub(super) meaning: Option<String>,
    /// What an answer needs; none where nobody waits for one.
    pub(super) asked: Option<Asked>,
}

/// What an answer to JSON-RPC requests must carry.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The id of each request, a string or a number, and whether it calls a tool.
    pub requests: Vec<(Value, bool)>,
    /// Whether they came as a batch.
    pub batch: bool,
    /// Whether results say that they are complete, as those of MCP do from 2026-07-28 on.
    pub typed: bool,
}

/// What a request to a host that speaks JSON-RPC is, by its head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Messages, in the body.
    Messages,
    /// The server's event stream.
    Stream,
    /// The end of a session.
    End,
}

/// What a request is, where it is in this envelope: what has a path of its own in the catalog, as the
/// calls of OAuth have, is not.
pub(super) fn takes(head: &Head, catalog: &Catalog) -> Option<Shape> {
    let spoken =
        catalog.has(Envelope::Mcp) && is_endpoint(head, catalog) && !rest::has_entry(head, catalog);
    spoken.then(|| Shape::of(head)).flatten()
}

/// Whether a path takes JSON-RPC. Behind any other may stand a program that does not read the body,
/// and does what the path says.
fn is_endpoint(head: &Head, catalog: &Catalog) -> bool {
    let segments = head.path().segments();
    if catalog.endpoints.iter().next().is_some() {
        let path: Vec<&str> = segments.iter().map(Cow::as_ref).collect();
        return !catalog.endpoints.matches(&path).is_empty();
    }
    if segments.iter().any(|segment| rest::is_destructive_word(segment)) {
        return false;
    }
    let mut path: Vec<&str> = segments.iter().map(Cow::as_ref).collect();
    if path.last().is_some_and(|last| last.is_empty()) {
        path.pop();
    }
    let query = head.query().pairs();
    let posted = *head.method() == Method::POST;
    let Some((last, before)) = path.split_last() else { return query.is_empty() };
    // Behind any other word, the last one may be the name of a thing.
    let stands = |words: &[&str]| {
        before.len() <= PREFIX && before.iter().all(|part| is_version(part) || words.contains(part))
    };
    match *last {
        "mcp" | "rpc" | "jsonrpc" | "json-rpc" => query.is_empty() && stands(&["api"]),
        // The older transport reads on one path, and is written to on another, in its session.
        "sse" => {
            let written = posted && is_in_session(query);
            let read = query.is_empty() && *head.method() != Method::DELETE;
            (written || read) && stands(&["api", "mcp"])
        }
        "message" | "messages" => {
            posted
                && is_in_session(query)
                && before.last().is_none_or(|part| !is_version(part))
                && stands(&["api", "mcp", "sse"])
        }
        _ => false,
    }
}

/// More segments than that do not stand before the one that says what a path is.
const PREFIX: usize = 2;

/// Whether a segment is a version of an API, as in `v1`.
fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|digits| {
        (1..=2).contains(&digits.len()) && digits.bytes().all(|d| d.is_ascii_digit())
    })
}

/// Whether a query is the session of the older transport, and nothing else.
fn is_in_session(query: &[(String, String)]) -> bool {
    let [(name, value)] = query else { return false };
    let slot = format!("query {}", name.to_ascii_lowercase());
    is_session(&slot) && !value.is_empty() && !rest::is_destructive_parameter(name, value)
}

/// Whether a slot carries the session that the server handed out. Servers must not take it for proof
/// of who calls, so it is no credential.
pub(super) fn is_session(slot: &str) -> bool {
    matches!(slot, "header mcp-session-id" | "query sessionid" | "query session_id")
}

impl Shape {
    fn of(head: &Head) -> Option<Self> {
        if head.is_upgrade() || has_call(head) {
            return None;
        }
        match *head.method() {
            Method::POST => {
                // A form is read by other programs than those that read JSON.
                let form = head.media_type().is_some_and(|media| {
                    media == "application/x-www-form-urlencoded" || media.starts_with("multipart/")
                });
                (!form).then_some(Self::Messages)
            }
            Method::GET => takes_events(head).then_some(Self::Stream),
            Method::DELETE => {
                let ends = head.headers().contains_key("mcp-session-id");
                (ends && head.query().pairs().is_empty()).then_some(Self::End)
            }
            _ => None,
        }
    }

    /// What of the body is needed.
    pub(super) const fn need(self) -> Need {
        match self {
            Self::Messages => Need::Whole,
            Self::Stream | Self::End => Need::Nothing,
        }
    }

    /// The name of what has no body.
    pub(super) const fn name(self) -> Option<&'static str> {
        match self {
            Self::Messages => None,
            Self::Stream => Some(STREAM),
            Self::End => Some(END),
        }
    }
}

fn takes_events(head: &Head) -> bool {
    head.headers().get_all(header::ACCEPT).iter().any(|value| {
        value.to_str().is_ok_and(|text| text.to_ascii_lowercase().contains("text/event-stream"))
    })
}

/// Whether a call may stand in the query, from which some servers take one.
fn has_call(head: &Head) -> bool {
    let parts = ["jsonrpc", "method", "params"];
    let query = head.query().pairs();
    query.iter().any(|(name, _)| parts.iter().any(|part| name.eq_ignore_ascii_case(part)))
}

/// Reads the body of a POST.
pub(super) fn read(head: &Head, body: &[u8]) -> Result<Read, Error> {
    if head.headers().contains_key(header::CONTENT_TYPE) && head.media_type().is_none() {
        return Err(Unreadable::Form.into());
    }
    if head.is_coded() {
        return Err(Unreadable::Coded.into());
    }
    if !head.is_utf8() {
        return Err(Unreadable::Charset.into());
    }
    let value = json::parse(body).map_err(|_error| Unreadable::Json)?;
    let (messages, batch) = match &value {
        Value::Array(members) if members.is_empty() => return refused("the batch is empty"),
        Value::Array(members) if members.len() > MESSAGES => {
            return refused("the batch has more than 100 messages");
        }
        Value::Array(members) => (members.as_slice(), true),
        one => (std::slice::from_ref(one), false),
    };
    let messages = messages.iter().map(Message::read).collect::<Result<Vec<_>, _>>()?;
    let mut ids = HashSet::new();
    let mut requests = Vec::new();
    for (id, tool) in messages.iter().filter_map(Message::request) {
        if !ids.insert(id.to_string()) {
            return refused("two messages of the batch have one id");
        }
        requests.push((id.clone(), tool));
    }
    let mirrored: Vec<Mirrored<'_>> = messages.iter().map(Message::mirrored).collect();
    if let Some(contradiction) = mirrored::contradiction(head.headers(), &mirrored, batch) {
        return Err(Error::Contradiction(contradiction));
    }
    let typed = mirrored.iter().filter_map(|message| message.params?.get("_meta"));
    let typed = typed.into_iter().any(|meta| meta.get(VERSION_KEY).is_some());
    Ok(Read {
        meaning: meaning(&messages, &value),
        calls: messages.iter().map(Message::call).collect(),
        asked: (!requests.is_empty()).then_some(Asked { requests, batch, typed }),
    })
}

fn refused<T, E: From<Unreadable>>(why: &'static str) -> Result<T, E> {
    Err(Unreadable::Jsonrpc(why).into())
}

/// One message.
enum Message<'a> {
    /// A request, or without an id a notification.
    Call {
        id: Option<&'a Value>,
        method: &'a str,
        tool: Option<&'a str>,
        params: Option<&'a Value>,
    },
    /// An answer to a request of the server.
    Answer { id: &'a Value, outcome: (&'static str, &'a Value) },
}

impl<'a> Message<'a> {
    fn read(value: &'a Value) -> Result<Self, Unreadable> {
        let Value::Object(map) = value else { return refused("a message is no object") };
        if map.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return refused("`jsonrpc` is not \"2.0\"");
        }
        let known = ["jsonrpc", "id", "method", "params", "result", "error"];
        if map.keys().any(|key| !known.contains(&key.as_str())) {
            return refused("a message has a member that JSON-RPC does not have");
        }
        let id = map.get("id");
        if id.is_some_and(|id| !is_id(id)) {
            return refused("an id is neither a whole number nor a string of up to 256 bytes");
        }
        match (map.get("method"), map.get("result"), map.get("error")) {
            (Some(Value::String(method)), None, None) => {
                Self::call_of(id, method, map.get("params"))
            }
            (None, Some(result), None) if !map.contains_key("params") => {
                let Some(id) = id else { return refused("an answer has no id") };
                Ok(Self::Answer { id, outcome: ("result", result) })
            }
            (None, None, Some(error)) if !map.contains_key("params") => {
                let Some(id) = id else { return refused("an answer has no id") };
                Ok(Self::Answer { id, outcome: ("error", error) })
            }
            _ => refused("a message is neither a request nor an answer"),
        }
    }

    fn call_of(
        id: Option<&'a Value>,
        method: &'a str,
        params: Option<&'a Value>,
    ) -> Result<Self, Unreadable> {
        // A space stands only between a method and its tool.
        if !is_name(method) || method.contains(' ') {
            return refused("a method has a name that cannot be shown");
        }
        if params.is_some_and(|params| !(params.is_object() || params.is_array())) {
            return refused("`params` is neither an object nor an array");
        }
        if params.and_then(Value::as_object).is_some_and(|params| has_alike(method, params)) {
            return refused("a member of `params` differs from another name only in its letters");
        }
        let mut tool = None;
        if method == "tools/call" {
            let Some(Value::Object(params)) = params else {
                return refused("a tool is called without parameters by name");
            };
            let Some(Value::String(name)) = params.get("name") else {
                return refused("a tool is called without its name");
            };
            if !is_name(name) {
                return refused("a tool has a name that cannot be shown");
            }
            if !matches!(params.get("arguments"), None | Some(Value::Null | Value::Object(_))) {
                return refused("the arguments of a tool are no object");
            }
            tool = Some(name.as_str());
        }
        Ok(Self::Call { id, method, tool, params })
    }

    /// The id of a request, and whether it calls a tool.
    const fn request(&self) -> Option<(&'a Value, bool)> {
        match self {
            Self::Call { id: Some(id), tool, .. } => Some((id, tool.is_some())),
            _ => None,
        }
    }

    fn mirrored(&self) -> Mirrored<'a> {
        match self {
            Self::Call { method, params, .. } => {
                Mirrored { method: Some(method), params: params.and_then(Value::as_object) }
            }
            Self::Answer { .. } => Mirrored { method: None, params: None },
        }
    }

    fn call(&self) -> Call {
        match self {
            Self::Call { method, tool: Some(tool), params, .. } => {
                let arguments = params.and_then(|params| params.get("arguments"));
                Call { name: Arc::from(format!("{method} {tool}")), arguments: named(arguments) }
            }
            Self::Call { method, params, .. } => {
                Call { name: Arc::from(*method), arguments: named(*params) }
            }
            Self::Answer { outcome: (kind, value), .. } => {
                let arguments = Map::from_iter([((*kind).to_owned(), (*value).clone())]);
                Call { name: Arc::from(ANSWER), arguments }
            }
        }
    }
}

/// Whether a member may be taken for another, as parsers do that tell no case of letters apart, and let
/// the last one count.
fn has_alike(method: &str, params: &Map<String, Value>) -> bool {
    let known: &[&str] = match method {
        "tools/call" => &["name", "arguments", "task"],
        "prompts/get" => &["name", "arguments"],
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => &["uri"],
        "tasks/get" | "tasks/result" | "tasks/update" | "tasks/cancel" => &["taskId"],
        _ => &[],
    };
    let known = known.iter().chain(&["_meta"]).copied();
    let is_other =
        |name: &str| known.clone().any(|known| known != name && json::is_alike(known, name));
    let mut seen = HashSet::new();
    let mut folded = params.keys().map(|name| json::folded(name));
    params.keys().any(|name| is_other(name)) || folded.any(|name| !seen.insert(name))
}

/// Arguments by name. Those that have none stand under one of their own.
fn named(value: Option<&Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(map)) => map.clone(),
        Some(Value::Null) | None => Map::new(),
        Some(listed) => Map::from_iter([("params".to_owned(), listed.clone())]),
    }
}

/// Whether an id can be given back as it came.
fn is_id(id: &Value) -> bool {
    match id {
        Value::Number(number) => number.is_i64() || number.is_u64(),
        Value::String(text) => text.len() <= ID,
        _ => false,
    }
}

/// Whether people read a name as programs do: it is not long, and nothing in it is unseen.
fn is_name(name: &str) -> bool {
    let unseen = |c: char| {
        c.is_control()
            || (c.is_whitespace() && c != ' ')
            || matches!(c,
                '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
    };
    !name.is_empty() && name.len() <= NAME && name.trim() == name && !name.chars().any(unseen)
}

/// Method and parameters of every message, without what belongs to one try only.
fn meaning(messages: &[Message<'_>], body: &Value) -> Option<String> {
    if json::has_inexact_number(body) {
        return None;
    }
    let said = messages.iter().map(|message| match message {
        Message::Call { id, method, params, .. } => {
            let mut params = params.cloned().unwrap_or(Value::Null);
            settle(&mut params);
            // Whether an answer is waited for belongs to the call, its id does not.
            serde_json::json!([method, id.is_some(), params])
        }
        Message::Answer { id, outcome: (kind, value) } => serde_json::json!([kind, id, value]),
    });
    let mut out = String::from("jsonrpc ");
    json::canonical(&Value::Array(said.collect()), &mut out);
    Some(out)
}

/// Takes out what differs from one try of a call to the next.
fn settle(params: &mut Value) {
    let Value::Object(params) = params else { return };
    let Some(Value::Object(meta)) = params.get_mut("_meta") else { return };
    meta.retain(|key, _| !OF_ONE_TRY.contains(&key.as_str()));
    if meta.is_empty() {
        params.shift_remove("_meta");
    }
}

#[cfg(test)]
mod tests;
