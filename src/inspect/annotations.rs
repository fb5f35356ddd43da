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

/// What is read of one answer, in bytes; what is remembered of a server, in tools and bytes of a name.
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
    /// A call of such a tool by what its server says. What destroys does so besides whatever else it
    /// does, and whoever allowed the tool by its name did not know.
    pub(super) fn raised(self, operation: &Operation) -> Operation {
        let mut raised = operation.clone();
        if self.destroys && !raised.has(Effect::Destructive) {
            raised.does(Effect::Destructive);
            raised.reversibility = Reversibility::Irreversible;
        } else if self.changes {
            raised.does(Effect::Write);
        }
        raised
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

/// What a server ever said of its tools; the graver of it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OfServer {
    hints: BTreeMap<String, Hints>,
    /// It said more than is remembered.
    more: bool,
}

impl OfServer {
    /// Of one tool. Of a server that says more than is remembered, any tool may be one that destroys.
    pub fn of(&self, tool: &str) -> Option<Hints> {
        let unheard = Hints { destroys: true, changes: true };
        self.hints.get(tool).copied().or_else(|| self.more.then_some(unheard))
    }

    /// Whether nothing was said.
    pub fn is_empty(&self) -> bool {
        self.hints.is_empty() && !self.more
    }

    /// Adds what it said besides.
    pub fn add(&mut self, said: Self) {
        self.more |= said.more;
        for (tool, hints) in said.hints {
            self.put(&tool, hints);
        }
    }

    fn put(&mut self, tool: &str, hints: Hints) {
        if let Some(known) = self.hints.get_mut(tool) {
            *known = known.or(hints);
        } else if self.hints.len() < TOOLS && tool.len() <= NAME {
            self.hints.insert(tool.to_owned(), hints);
        } else {
            self.more = true;
        }
    }
}

/// The hints of the tools in an answer to `tools/list`, by name; tools without any are left out.
pub fn of_answer(media_type: &str, body: &[u8]) -> OfServer {
    let mut found = OfServer::default();
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
fn collect(bytes: &[u8], found: &mut OfServer) {
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
        if hints != Hints::default() {
            found.put(name, hints);
        }
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
    use crate::catalog::Arguments;
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
        let names: Vec<&str> = json.hints.keys().map(String::as_str).collect();
        assert_eq!(names, ["liar", "volume_delete", "volume_rename"]);
        assert_eq!(json.of("volume_rename"), Some(Hints { destroys: false, changes: true }));
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
        for effect in Effect::ALL {
            let plain = Operation::unknown("tools/call x".into(), Arguments::default());
            let reversibility = Reversibility::Reversible;
            let call = Operation { effect, reversibility, ..plain };
            let same = Hints::default().raised(&call);
            assert_eq!((same.effects(), same.reversibility), (call.effects(), reversibility));
            let raised = destroys.raised(&call);
            assert!(raised.has(Effect::Destructive));
            let was = call.has(Effect::Destructive);
            assert_eq!(raised.reversibility == Reversibility::Irreversible, !was, "{effect:?}");
            // What it was before is judged as well.
            assert!(raised.has(effect) || effect == Effect::Read);
            let changed = changes.raised(&call);
            assert!(changed.has(Effect::Write) && (changed.has(effect) || effect == Effect::Read));
        }
    }

    #[test]
    fn a_server_that_says_too_much_has_only_tools_that_destroy() {
        let page = |from: usize| {
            let tools: Vec<Value> = (from..from + 500)
                .map(|at| json!({"name": format!("t{at}"), "annotations": {"readOnlyHint": false}}))
                .collect();
            let body = json!({"result": {"tools": tools}}).to_string();
            of_answer("application/json", body.as_bytes())
        };
        let mut server = OfServer::default();
        (0..4).for_each(|at| server.add(page(at * 500)));
        assert_eq!((server.hints.len(), server.of("other")), (TOOLS, None));
        server.add(page(0));
        assert_eq!(server.of("other"), None, "it said nothing new");
        server.add(page(2_000));
        assert_eq!(server.hints.len(), TOOLS);
        assert!(server.of("other").unwrap().destroys);
        assert!(!server.of("t7").unwrap().destroys);
    }

    #[test]
    fn a_tool_that_is_listed_twice_has_the_graver_hints() {
        let twice = json!({"result": {"tools": [
            {"name": "x", "annotations": {"destructiveHint": true}},
            {"name": "x", "annotations": {"readOnlyHint": false}},
        ]}});
        let found = of_answer("application/json", twice.to_string().as_bytes());
        assert!(found.of("x").unwrap().destroys);
    }
}
