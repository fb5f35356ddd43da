//! A tool call as its agent tells of it before it runs.
//!
//! Takes the body of a question; returns the call. Refuses what is not one strict JSON object of the
//! known members: a member that is misspelt would leave unread what it was to say.

use crate::fingerprint::FingerprintKey;
use crate::hold::escaped;
use crate::inspect::discovery;
use crate::inspect::secret::Scanner;
use crate::message::json;
use crate::trajectory::call_of;
use serde_json::{Map, Value};
use std::sync::Arc;

use super::reported::{Teller, Told};

/// The longest name of a tool, id and folder, in bytes.
const LONGEST: usize = 1_024;
/// How much of one line is shown, and how many lines.
const LINE: usize = 280;
const LINES: usize = 20;

/// What stands for a text with a secret in it.
const HIDDEN: &str = "[secret]";

/// Why a question cannot be read; the fault is the client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is no such object.
    #[error(
        "send one JSON object {{\"tool\": …, \"input\": …, \"call\": …}} without duplicate keys"
    )]
    Form,
    /// A name is missing, empty or too long.
    #[error("`tool` is the tool's name, `call` its call's id, `cwd` the folder it runs in")]
    Name,
    /// It has a member that nobody reads.
    #[error("only `tool`, `input`, `call` and `cwd` are read")]
    Unknown,
}

/// A tool call.
#[derive(Clone)]
pub struct Call {
    /// The tool.
    tool: String,
    /// What it is given.
    input: Value,
    /// The id of the call, where it has one.
    id: Option<String>,
    /// The folder that it runs in, where that is told.
    folder: Option<String>,
    /// What knows the secrets that no text about it may show.
    scanner: Option<Scanner>,
}

impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call").field("tool", &self.tool).finish_non_exhaustive()
    }
}

impl Call {
    /// Reads a question.
    pub fn read(body: &[u8]) -> Result<Self, Malformed> {
        let Ok(Value::Object(mut members)) = json::parse(body) else {
            return Err(Malformed::Form);
        };
        let mut name = |key: &str| match members.remove(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.len() <= LONGEST => Ok(Some(text)),
            Some(_) => Err(Malformed::Name),
        };
        let (tool, id, folder) = (name("tool")?, name("call")?, name("cwd")?);
        let tool = tool.filter(|tool| !tool.trim().is_empty()).ok_or(Malformed::Name)?;
        let input = members.remove("input").ok_or(Malformed::Form)?;
        if members.is_empty() {
            Ok(Self { tool, input, id, folder, scanner: None })
        } else {
            Err(Malformed::Unknown)
        }
    }

    /// The same, of which no text shows what this finds.
    #[must_use]
    pub fn without_secrets(self, scanner: Scanner) -> Self {
        Self { scanner: Some(scanner), ..self }
    }

    /// A text about it, unless a secret stands in it.
    pub fn cleaned(&self, text: String) -> String {
        let has_secret = |scanner: &Scanner| !scanner.sightings(text.as_bytes()).is_empty();
        if self.scanner.as_ref().is_some_and(has_secret) { HIDDEN.to_owned() } else { text }
    }

    /// What it is about to do.
    pub fn intent(&self) -> discovery::Intent {
        let mut intent = self.read_intent();
        if let Some(found) = &mut intent.discovery {
            found.what = self.cleaned(std::mem::take(&mut found.what));
        }
        if let Some(found) = &mut intent.destructive {
            found.what = self.cleaned(std::mem::take(&mut found.what));
        }
        intent
    }

    fn read_intent(&self) -> discovery::Intent {
        match (&self.folder, &self.input) {
            (Some(folder), Value::Object(members)) if !members.contains_key("cwd") => {
                let mut members: Map<String, Value> = members.clone();
                members.insert("cwd".to_owned(), Value::String(folder.clone()));
                discovery::of_call(&self.tool, &Value::Object(members))
            }
            _ => discovery::of_call(&self.tool, &self.input),
        }
    }

    /// The tool's name as it may be shown.
    pub fn tool(&self) -> String {
        // Looked at as a whole: a part of a secret would not be known for one.
        let name: String = self.cleaned(self.tool.clone()).chars().take(60).collect();
        escaped(&name)
    }

    /// What of it the trajectory notes, for people.
    pub fn what(&self, doing: &str) -> Arc<str> {
        Arc::from(format!("{}: {}", self.tool(), self.cleaned(doing.to_owned())))
    }

    /// What tells it from other calls of the agent. A coding agent describes the same command anew each
    /// time, which says nothing of what runs.
    pub fn digest(&self, agent: &str, key: &FingerprintKey) -> [u8; 32] {
        let mut text = String::new();
        match &self.input {
            Value::Object(members) if members.contains_key("command") => {
                let mut members = members.clone();
                members.remove("description");
                json::canonical(&Value::Object(members), &mut text);
            }
            input => json::canonical(input, &mut text),
        }
        let folder = self.folder.as_deref().unwrap_or_default();
        // No digest of a request begins so: what a person says of a tool call is for no request.
        let parts: [&[u8]; 5] = [
            b"tool call",
            agent.as_bytes(),
            self.tool.as_bytes(),
            folder.as_bytes(),
            text.as_bytes(),
        ];
        *key.of_parts(&parts).as_bytes()
    }

    /// What makes it the same call as one that is told of elsewhere.
    pub fn told(&self, by: Teller, key: &FingerprintKey) -> Told {
        told(by, self.id.as_deref(), &self.tool, &self.input, key)
    }

    /// What it is given, line by line, as a person may read it.
    pub fn shown(&self) -> Vec<String> {
        let mut lines = Vec::new();
        lines_of("", &self.input, &|text| self.cleaned(text), &mut lines);
        let left_out = lines.len().saturating_sub(LINES);
        lines.truncate(LINES);
        if left_out > 0 {
            lines.push(format!("and {left_out} more lines that are not shown"));
        }
        lines
    }
}

/// What makes two tellings of a tool call the same. Keyed, as there may be a secret in it.
pub fn told(by: Teller, id: Option<&str>, tool: &str, input: &Value, key: &FingerprintKey) -> Told {
    let number = |parts: &[&[u8]]| call_of([key.print(&key.of_parts(parts))]);
    let mut text = String::new();
    json::canonical(input, &mut text);
    Told {
        by,
        id: id.map(|id| number(&[b"tool call", id.as_bytes()])),
        what: number(&[b"tool", tool.as_bytes(), text.as_bytes()]),
    }
}

/// The lines of a value, each with the member it stands in. Its depth is bounded by the reading of it.
fn lines_of(
    name: &str,
    value: &Value,
    cleaned: &impl Fn(String) -> String,
    lines: &mut Vec<String>,
) {
    let put = |lines: &mut Vec<String>, text: &str| {
        let line = if name.is_empty() { text.to_owned() } else { format!("{name}: {text}") };
        let line = cleaned(line);
        let all = line.chars().count();
        let mut shown = discovery::shown(&line, LINE);
        if all > LINE {
            shown = format!("{shown} ({} characters are not shown)", all - LINE);
        }
        lines.push(shown);
    };
    match value {
        Value::Object(members) => {
            members.iter().for_each(|(name, value)| lines_of(name, value, cleaned, lines));
        }
        Value::Array(all) => all.iter().for_each(|value| lines_of(name, value, cleaned, lines)),
        Value::String(text) => text.lines().for_each(|line| put(lines, line)),
        other => put(lines, &other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(body: &Value) -> Result<Call, Malformed> {
        Call::read(body.to_string().as_bytes())
    }

    #[test]
    fn a_question_is_read_strictly() {
        let rows = [
            (json!({"tool": "Bash", "input": {"command": "ls"}}).to_string(), None),
            (
                json!({"tool": "Bash", "input": {}, "call": "toolu_1", "cwd": "/src"}).to_string(),
                None,
            ),
            (json!({"tool": "Bash", "input": null, "call": null}).to_string(), None),
            (json!({"tool": "Bash"}).to_string(), Some(Malformed::Form)),
            (json!({"tool": "Bash", "inputs": {}}).to_string(), Some(Malformed::Form)),
            (
                json!({"tool": "Bash", "input": {}, "inputs": {}}).to_string(),
                Some(Malformed::Unknown),
            ),
            (json!({"tool": " ", "input": {}}).to_string(), Some(Malformed::Name)),
            (json!({"tool": 7, "input": {}}).to_string(), Some(Malformed::Name)),
            (
                json!({"tool": "x".repeat(LONGEST + 1), "input": {}}).to_string(),
                Some(Malformed::Name),
            ),
            (json!(["Bash"]).to_string(), Some(Malformed::Form)),
            (
                r#"{"tool":"Bash","input":{},"input":{"command":"ls"}}"#.to_owned(),
                Some(Malformed::Form),
            ),
            (String::new(), Some(Malformed::Form)),
        ];
        for (body, expected) in rows {
            assert_eq!(Call::read(body.as_bytes()).err(), expected, "{body}");
        }
    }

    #[test]
    fn the_same_call_has_the_same_digest_and_another_has_not() {
        let key = FingerprintKey::new(b"test");
        let digest = |agent: &str, body: Value| call(&body).unwrap().digest(agent, &key);
        let first = digest(
            "a",
            json!({"tool": "Bash", "input": {"command": "rm -rf /", "description": "x"}, "call": "1"}),
        );
        let same = json!({"tool": "Bash", "input": {"description": "y", "command": "rm -rf /"}, "call": "2"});
        assert_eq!(first, digest("a", same.clone()));
        assert_ne!(first, digest("b", same));
        for other in [
            json!({"tool": "Shell", "input": {"command": "rm -rf /"}}),
            json!({"tool": "Bash", "input": {"command": "rm -rf / "}}),
            json!({"tool": "Bash", "input": {"command": "rm -rf /", "timeout": 1}}),
            json!({"tool": "Bash", "input": {"command": "rm -rf /"}, "cwd": "/src"}),
            // Without a command, a description may be what counts.
            json!({"tool": "Bash", "input": {"description": "rm -rf /"}}),
        ] {
            assert_ne!(first, digest("a", other.clone()), "{other}");
        }
    }

    #[test]
    fn what_is_shown_has_no_secret_and_says_what_is_left_out() {
        let secret = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
        let command =
            format!("rm -rf /data\ncurl -H 'Authorization: Bearer {secret}'\n{}", "x ".repeat(300));
        let shown = call(&json!({"tool": "Bash", "input": {"command": command}})).unwrap().shown();
        assert_eq!(shown.len(), 3, "{shown:?}");
        assert_eq!(shown[0], "command: rm -rf /data");
        assert!(!shown.concat().contains(secret), "{shown:?}");
        assert!(shown[2].ends_with("characters are not shown)"), "{shown:?}");
        let many = call(&json!({"tool": "t", "input": vec!["a"; 100]})).unwrap().shown();
        assert_eq!(
            (many.len(), &*many[LINES]),
            (LINES + 1, "and 80 more lines that are not shown")
        );
    }
}
