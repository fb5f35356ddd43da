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
/// How much stands on one line that people read, and how many of them they read.
const LINE: usize = 200;
const LINES: usize = 100;

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
        for what in &mut intent.irreversible {
            *what = self.cleaned(std::mem::take(what));
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

    /// What tells it from other calls of the agent.
    pub fn digest(&self, agent: &str, key: &FingerprintKey) -> [u8; 32] {
        let folder = self.folder.as_deref().unwrap_or_default();
        let text = meaning(&self.input);
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

    /// The same as the number of a call in the trajectory, so that asking again is no other call.
    pub fn number(&self, agent: &str, key: &FingerprintKey) -> u64 {
        call_of([self.digest(agent, key)])
    }

    /// What makes it the same call as one that is told of elsewhere.
    pub fn told(&self, by: Teller, key: &FingerprintKey) -> Told {
        told(by, self.id.as_deref(), &self.tool, &self.input, key)
    }

    /// What it is given, line by line, as a person may read it; nothing where that is more than a
    /// person reads, or where what is left out of it as a secret could be a command.
    pub fn shown(&self) -> Option<Vec<String>> {
        let mut lines = Vec::new();
        let is_known = |text: &str| {
            self.scanner.as_ref().is_some_and(|one| !one.sightings(text.as_bytes()).is_empty())
        };
        lines_of("", &self.input, &is_known, &mut lines).then_some(lines)
    }
}

/// The input by what it means. A coding agent describes the same command anew each time, which says
/// nothing of what runs.
fn meaning(input: &Value) -> String {
    let mut text = String::new();
    match input {
        Value::Object(members) if members.contains_key("command") => {
            let mut members = members.clone();
            members.remove("description");
            json::canonical(&Value::Object(members), &mut text);
        }
        input => json::canonical(input, &mut text),
    }
    text
}

/// What makes two tellings of a tool call the same. Keyed, as there may be a secret in it.
pub fn told(by: Teller, id: Option<&str>, tool: &str, input: &Value, key: &FingerprintKey) -> Told {
    let number = |parts: &[&[u8]]| call_of([key.of_parts(parts).as_bytes()]);
    Told {
        by,
        id: id.map(|id| number(&[b"tool call", id.as_bytes()])),
        what: number(&[b"tool", tool.as_bytes(), meaning(input).as_bytes()]),
    }
}

/// The lines of a value, each with the member it stands in; whether all of it is in them. Its depth is
/// bounded by the reading of it.
fn lines_of(
    name: &str,
    value: &Value,
    is_known: &impl Fn(&str) -> bool,
    lines: &mut Vec<String>,
) -> bool {
    let put = |lines: &mut Vec<String>, text: &str| {
        let line = if name.is_empty() { text.to_owned() } else { format!("{name}: {text}") };
        let shown = discovery::whole(&line, is_known);
        let letters: Vec<char> = shown.text.chars().collect();
        if shown.hides || lines.len() + letters.len().div_ceil(LINE) > LINES {
            return false;
        }
        lines.extend(letters.chunks(LINE).map(|part| part.iter().collect::<String>()));
        true
    };
    match value {
        Value::Object(members) => {
            members.iter().all(|(name, value)| lines_of(name, value, is_known, lines))
        }
        Value::Array(all) => all.iter().all(|value| lines_of(name, value, is_known, lines)),
        Value::String(text) => {
            text.lines().filter(|line| !line.trim().is_empty()).all(|line| put(lines, line))
        }
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
        let number = |body: &Value| call(body).unwrap().number("a", &key);
        let same = json!({"tool": "Bash", "input": {"description": "y", "command": "rm -rf /"}, "call": "2"});
        assert_eq!(first, digest("a", same.clone()));
        let told = |body: &Value| call(body).unwrap().told(Teller::Agent, &key).what;
        let again = json!({"tool": "Bash", "input": {"description": "z", "command": "rm -rf /"}});
        assert_eq!((number(&same), told(&same)), (number(&again), told(&again)));
        assert_ne!(first, digest("b", same.clone()));
        for other in [
            json!({"tool": "Shell", "input": {"command": "rm -rf /"}}),
            json!({"tool": "Bash", "input": {"command": "rm -rf / "}}),
            json!({"tool": "Bash", "input": {"command": "rm -rf /", "timeout": 1}}),
            json!({"tool": "Bash", "input": {"command": "rm -rf /"}, "cwd": "/src"}),
            // Without a command, a description may be what counts.
            json!({"tool": "Bash", "input": {"description": "rm -rf /"}}),
        ] {
            assert_ne!(first, digest("a", other.clone()), "{other}");
            assert_ne!(number(&same), number(&other), "{other}");
        }
    }

    #[test]
    fn what_is_shown_has_no_secret_and_all_the_rest() {
        let secret = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
        let command =
            format!("rm -rf /data\ncurl -H 'Authorization: Bearer {secret}'\n{}", "x ".repeat(300));
        let shown =
            |input: Value| call(&json!({ "tool": "Bash", "input": input })).unwrap().shown();
        let lines = shown(json!({ "command": command })).unwrap();
        assert_eq!(lines[0], "command: rm -rf /data");
        assert!(!lines.concat().contains(secret), "{lines:?}");
        assert_eq!(lines.concat().matches("x ").count(), 299, "{lines:?}");
        assert!(lines.iter().all(|line| line.len() <= LINE), "{lines:?}");
        // No line is left out without saying so.
        assert_eq!(shown(json!(vec!["a"; LINES])).unwrap().len(), LINES);
        assert_eq!(shown(json!(vec!["a"; LINES + 1])), None);
        assert_eq!(
            shown(json!({ "command": format!("{}; rm -rf /", "x".repeat(LINE * LINES)) })),
            None
        );
        // A secret may not stand for a command.
        let command = "curl --token x;rm${IFS}-rf${IFS}/ https://a.example/x";
        assert_eq!(shown(json!({ "command": command })), None);
    }
}
