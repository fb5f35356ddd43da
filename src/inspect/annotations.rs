//! What an MCP server says of its tools, in its answer to `tools/list`.
//!
//! Takes such an answer, JSON or an event stream; returns the hints of each tool. A server may say
//! what it likes of its own tools, so a hint makes an effect graver and never milder. What does not
//! parse says nothing.

use super::Operation;
use crate::catalog::{Effect, Reversibility};
use crate::message::json;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// What is read of one answer, in bytes, tools and bytes of a name.
const ANSWER: usize = 4 << 20;
const TOOLS: usize = 2_000;
const NAME: usize = 256;

/// What a server says of one tool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// It says that the tool destroys.
    pub destroys: bool,
    /// It says that the tool changes something.
    pub changes: bool,
}

impl Hints {
    /// The effect of a tool, raised by what its server says; never lowered.
    #[must_use]
    pub fn raise(self, effect: Effect) -> Effect {
        match effect {
            Effect::Read | Effect::Write if self.destroys => Effect::Destructive,
            Effect::Read if self.changes => Effect::Write,
            other => other,
        }
    }

    /// A call of such a tool by what its server says.
    pub(super) fn raised(self, operation: &Operation) -> Operation {
        let effect = self.raise(operation.effect);
        let reversibility = if effect == Effect::Destructive && effect != operation.effect {
            Reversibility::Irreversible
        } else {
            operation.reversibility
        };
        Operation { effect, reversibility, ..operation.clone() }
    }

    fn of(annotations: &Map<String, Value>) -> Self {
        let says = |name: &str, what: bool| annotations.get(name) == Some(&Value::Bool(what));
        let destroys = says("destructiveHint", true);
        Self { destroys, changes: destroys || says("readOnlyHint", false) }
    }

    /// The graver of two, where a tool is listed twice.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self { destroys: self.destroys || other.destroys, changes: self.changes || other.changes }
    }
}

/// The hints of the tools in an answer to `tools/list`, by name; tools without any are left out.
pub fn of_answer(media_type: &str, body: &[u8]) -> BTreeMap<String, Hints> {
    let mut found = BTreeMap::new();
    if body.len() > ANSWER {
        return found;
    }
    if media_type == "text/event-stream" {
        for data in events(body) {
            collect(data.as_bytes(), &mut found);
        }
    } else {
        collect(body, &mut found);
    }
    found
}

/// The tools of one message, or of each message of a batch.
fn collect(bytes: &[u8], found: &mut BTreeMap<String, Hints>) {
    let Ok(value) = json::parse(bytes) else { return };
    let messages = match &value {
        Value::Array(members) => members.as_slice(),
        one => std::slice::from_ref(one),
    };
    let listed = messages.iter().filter_map(|one| one.get("result")?.get("tools")?.as_array());
    for tool in listed.flatten() {
        let Some(name) = tool.get("name").and_then(Value::as_str) else { continue };
        let Some(annotations) = tool.get("annotations").and_then(Value::as_object) else {
            continue;
        };
        let hints = Hints::of(annotations);
        let room = found.len() < TOOLS || found.contains_key(name);
        if hints == Hints::default() || name.len() > NAME || !room {
            continue;
        }
        let known = found.entry(name.to_owned()).or_default();
        *known = known.or(hints);
    }
}

/// The data of each whole event of a stream; lines end with CR, LF or both.
fn events(body: &[u8]) -> Vec<String> {
    let Ok(text) = std::str::from_utf8(body) else { return Vec::new() };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut events = Vec::new();
    let mut data: Option<String> = None;
    for line in text.split(['\n', '\r']) {
        if line.is_empty() {
            events.extend(data.take());
            continue;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        if field != "data" {
            continue;
        }
        let value = value.strip_prefix(' ').unwrap_or(value);
        match &mut data {
            Some(data) => {
                data.push('\n');
                data.push_str(value);
            }
            None => data = Some(value.to_owned()),
        }
    }
    events
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn answer() -> Value {
        json!({"jsonrpc": "2.0", "id": 1, "result": {"tools": [
            {"name": "volume_delete", "annotations": {"destructiveHint": true}},
            {"name": "volume_rename", "annotations": {"readOnlyHint": false, "destructiveHint": false}},
            {"name": "list", "annotations": {"readOnlyHint": true}},
            {"name": "liar", "annotations": {"readOnlyHint": true, "destructiveHint": true}},
            {"name": "odd", "annotations": {"destructiveHint": "true"}},
            {"name": "plain"},
        ]}})
    }

    #[test]
    fn hints_are_read_from_json_and_from_events() {
        let body = answer().to_string();
        let json = of_answer("application/json", body.as_bytes());
        let names: Vec<&str> = json.keys().map(String::as_str).collect();
        assert_eq!(names, ["liar", "volume_delete", "volume_rename"]);
        assert_eq!(json["volume_rename"], Hints { destroys: false, changes: true });
        let split = serde_json::to_string_pretty(&answer()).unwrap().replace('\n', "\r\ndata: ");
        for end in ["\n", "\r\n", "\r"] {
            let stream =
                format!(": hello{end}id: 1{end}{end}event: message{end}data: {split}{end}{end}");
            assert_eq!(of_answer("text/event-stream", stream.as_bytes()), json, "{end:?}");
        }
        let cut = format!("data: {body}");
        assert!(of_answer("text/event-stream", cut.as_bytes()).is_empty(), "an event has an end");
        assert!(of_answer("application/json", b"{").is_empty());
    }

    #[test]
    fn hints_raise_an_effect_and_never_lower_it() {
        let destroys = Hints { destroys: true, changes: true };
        let changes = Hints { destroys: false, changes: true };
        assert_eq!(destroys.raise(Effect::Read), Effect::Destructive);
        assert_eq!(destroys.raise(Effect::Write), Effect::Destructive);
        assert_eq!(changes.raise(Effect::Read), Effect::Write);
        for effect in Effect::ALL {
            assert_eq!(Hints::default().raise(effect), effect);
            if !matches!(effect, Effect::Read | Effect::Write) {
                assert_eq!(destroys.raise(effect), effect);
            }
        }
    }

    #[test]
    fn a_tool_that_is_listed_twice_has_the_graver_hints() {
        let twice = json!({"result": {"tools": [
            {"name": "x", "annotations": {"destructiveHint": true}},
            {"name": "x", "annotations": {"readOnlyHint": false}},
        ]}});
        let found = of_answer("application/json", twice.to_string().as_bytes());
        assert!(found["x"].destroys);
    }
}
