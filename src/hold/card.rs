//! The card: what a person reads before answering.
//!
//! Takes a held request; returns what is known of it from parsed facts, in the proxy's words. What
//! the agent says of itself is marked so. Every string is shown escaped, so that no text can hide,
//! reorder or imitate another.

use super::tool::CardTool;
use crate::decide::{Held, Learned, Reason, Ruling};
use crate::inspect::{Leak, shown_path, shown_query};
use crate::message::{Body, Head};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;

/// One operation on a card.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CardOperation {
    /// In the API's own terms.
    pub name: String,
    /// What it does; where it does several things, the gravest first.
    pub effect: String,
    /// Whether that can be undone.
    pub reversibility: String,
    /// For how long it can be got back.
    pub window: Option<String>,
    /// What an approver should know.
    pub note: Option<String>,
}

/// One target on a card.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CardTarget {
    /// The kind of id.
    pub kind: String,
    /// The id.
    pub id: String,
    /// The environment it belongs to; none if nobody owns it.
    pub environment: Option<String>,
    /// The resource that owns it.
    pub resource: Option<String>,
    /// Where and when it was learned that it does; none if it is declared.
    #[serde(default)]
    pub learned: Option<String>,
    /// What the service says of it, or that it was not asked. Its names are text that agents may have
    /// chosen.
    #[serde(default)]
    pub told: Option<String>,
}

/// One credential on a card.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CardCredential {
    /// Where it stands.
    pub slot: String,
    /// Its issued name, or `foreign`.
    pub name: String,
    /// Length and short fingerprint.
    pub evidence: String,
    /// Where it comes from: the name it is issued by, or the answer that handed it out first.
    #[serde(default)]
    pub provenance: Option<String>,
}

/// What a person reads before answering.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Card {
    /// What would happen, the gravest first.
    pub operations: Vec<CardOperation>,
    /// To which things.
    pub targets: Vec<CardTarget>,
    /// Why it is held.
    pub reason: String,
    /// All that speaks against it.
    pub findings: Vec<String>,
    /// The dangerous sequences that it completes, and what is required before it and did not happen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sequences: Vec<String>,
    /// The rule that holds it.
    pub rule: Option<String>,
    /// The resource that holds it.
    pub resource: Option<String>,
    /// Its environment.
    pub environment: Option<String>,
    /// The method.
    pub method: String,
    /// Host and port.
    pub host: String,
    /// The path, without the query, which may carry anything.
    pub path: String,
    /// The size of the body.
    pub body_bytes: u64,
    /// The credentials it carries.
    pub credentials: Vec<CardCredential>,
    /// What makes it unusual for the agent's profile, where that is why it waits.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unusual: Vec<String>,
    /// What the agent says of itself; nothing checks it.
    pub said_by_agent: Option<String>,
    /// The tool call that waits, where it is none of a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<CardTool>,
}

const MOST_ROWS: usize = 20;

/// Path and query, but for what is secret of them.
fn shown(head: &Head, ruling: &Ruling) -> String {
    let path = if ruling.hides(Leak::PATH) {
        "/[secret]".into()
    } else {
        shown_path(head.path().as_str())
    };
    let query =
        if ruling.hides("query") { "?[secret]".to_owned() } else { shown_query(head.query()) };
    let mut shown = path.into_owned();
    shown.push_str(&query);
    shown
}

impl Card {
    /// The card of a held request.
    pub fn of<B>(held: &Held<B>) -> Self {
        let ruling = held.ruling();
        let message = held.request().message();
        let head = message.head();
        let mut operations: Vec<_> = ruling.operations.iter().collect();
        operations.sort_by_key(|operation| {
            std::cmp::Reverse((operation.reversibility, operation.effect))
        });
        let body_bytes = match message.body() {
            Body::Whole(bytes) => bytes.len() as u64,
            _ => 0,
        };
        Self {
            operations: operations
                .into_iter()
                .map(|operation| CardOperation {
                    name: operation.name.to_string(),
                    effect: operation.effects(),
                    reversibility: operation.reversibility.as_str().to_owned(),
                    window: operation.window.clone(),
                    note: operation.note.clone(),
                })
                .collect(),
            targets: ruling
                .targets
                .iter()
                .map(|target| CardTarget {
                    kind: target.kind.clone(),
                    id: target.id.clone(),
                    environment: target.environment.as_ref().map(ToString::to_string),
                    resource: target.resource.as_ref().map(ToString::to_string),
                    learned: target.learned.as_ref().map(learned),
                    told: None,
                })
                .collect(),
            reason: ruling.reason.map_or("", Reason::as_str).to_owned(),
            findings: ruling
                .findings
                .iter()
                .map(|finding| finding.reason.as_str().to_owned())
                .collect(),
            sequences: sequences(ruling),
            rule: ruling.rule.clone(),
            resource: ruling.resource.as_ref().map(ToString::to_string),
            environment: ruling.environment.as_ref().map(ToString::to_string),
            method: head.method().to_string(),
            host: head.target().to_string(),
            path: shown(head, ruling),
            body_bytes,
            credentials: ruling
                .credentials
                .iter()
                .map(|used| CardCredential {
                    slot: used.presented.slot.clone(),
                    name: used.name.as_deref().unwrap_or("foreign").to_owned(),
                    evidence: used.presented.evidence(),
                    provenance: used.provenance(),
                })
                .collect(),
            unusual: unusual(ruling),
            said_by_agent: head
                .header("user-agent")
                .filter(|_| !ruling.hides("header user-agent"))
                .map(|text| text.chars().take(200).collect()),
            tool: None,
        }
    }

    /// The card of a tool call.
    pub fn of_tool(tool: CardTool, operations: Vec<CardOperation>, reason: Reason) -> Self {
        Self {
            operations,
            targets: Vec::new(),
            reason: reason.as_str().to_owned(),
            findings: vec![reason.as_str().to_owned()],
            unusual: Vec::new(),
            sequences: Vec::new(),
            rule: None,
            resource: None,
            environment: None,
            method: "tool call".to_owned(),
            host: String::new(),
            path: String::new(),
            body_bytes: 0,
            credentials: Vec::new(),
            said_by_agent: None,
            tool: Some(tool),
        }
    }

    /// The card in one line.
    pub fn line(&self) -> String {
        let operation = self.operations.first().map_or("", |operation| &operation.name);
        let target = self.targets.first().map_or_else(String::new, |target| {
            let place = target.environment.as_deref().unwrap_or("an unknown environment");
            format!(" on {} {} in {}", escaped(&target.kind), escaped(&target.id), escaped(place))
        });
        let undone = self.operations.first().map_or("", |operation| &operation.reversibility);
        format!("`{}`{target} ({}, {undone})", escaped(operation), escaped(&self.reason))
    }

    /// The card as text for a terminal.
    pub fn text(&self) -> String {
        let mut out = String::new();
        let mut row = |name: &str, value: &str| {
            // Writing to a String does not fail.
            if writeln!(out, "  {name:<12} {value}").is_err() {
                out.clear();
            }
        };
        for operation in self.operations.iter().take(MOST_ROWS) {
            let window =
                operation.window.as_ref().map_or_else(String::new, |w| format!(", for {w}"));
            row(
                "operation",
                &format!(
                    "{} ({}, {}{window})",
                    escaped(&operation.name),
                    operation.effect,
                    operation.reversibility
                ),
            );
            if let Some(note) = &operation.note {
                row("", &escaped(note));
            }
        }
        if self.operations.len() > MOST_ROWS {
            row(
                "",
                &format!(
                    "and {} more operations that are not shown",
                    self.operations.len() - MOST_ROWS
                ),
            );
        }
        for target in self.targets.iter().take(MOST_ROWS) {
            let place = target.environment.as_deref().unwrap_or("UNKNOWN environment");
            row(
                "target",
                &format!("{} {} in {}", escaped(&target.kind), escaped(&target.id), escaped(place)),
            );
            if let Some(learned) = &target.learned {
                row("", &escaped(learned));
            }
            if let Some(told) = &target.told {
                row("", &escaped(told));
            }
        }
        if self.targets.len() > MOST_ROWS {
            row(
                "",
                &format!("and {} more targets that are not shown", self.targets.len() - MOST_ROWS),
            );
        }
        row("held", &format!("{} {}", self.reason, self.rule.as_deref().unwrap_or_default()));
        for (at, line) in self.unusual.iter().take(MOST_ROWS).enumerate() {
            row(if at == 0 { "unusual" } else { "" }, &escaped(line));
        }
        for sequence in &self.sequences {
            row("sequence", &escaped(sequence));
        }
        for credential in &self.credentials {
            row(
                "credential",
                &format!("{} in {}", escaped(&credential.name), escaped(&credential.slot)),
            );
            if let Some(provenance) = &credential.provenance {
                row("", &escaped(provenance));
            }
        }
        match &self.tool {
            Some(tool) => tool.rows().iter().for_each(|(name, value)| row(name, value)),
            None => row(
                "request",
                &format!(
                    "{} {}{} with {} bytes",
                    self.method,
                    self.host,
                    escaped(&self.path),
                    self.body_bytes
                ),
            ),
        }
        if let Some(said) = &self.said_by_agent {
            row("agent says", &format!("{} (nothing checks this)", escaped(said)));
        }
        out
    }
}

/// What makes a call unusual, the most first.
fn unusual(ruling: &Ruling) -> Vec<String> {
    let Some(unusual) = ruling.surprise.as_ref().filter(|unusual| unusual.raised) else {
        return Vec::new();
    };
    let sum = format!("{} against the profile {}", unusual.surprise, unusual.profile);
    std::iter::once(sum).chain(unusual.surprise.told()).collect()
}

/// What the sequences of the policy say of it.
fn sequences(ruling: &Ruling) -> Vec<String> {
    let completes = ruling.completed.iter().map(|name| format!("it completes `{name}`"));
    completes.chain(ruling.lacking.iter().cloned()).collect()
}

/// How it came to be known whose a target is.
fn learned(learned: &Learned) -> String {
    let ago = crate::inventory::told(learned.ago);
    let others = if learned.shared { "; it may belong elsewhere as well" } else { "" };
    format!("learned {ago} ago from `{}` ({}){others}", learned.operation, learned.request_id)
}

/// Text as it may be shown: printable ASCII as it is, everything else as an escape, long text cut.
pub fn escaped(text: &str) -> String {
    const LONGEST: usize = 300;
    let mut out = String::with_capacity(text.len());
    for (count, c) in text.chars().enumerate() {
        if count == LONGEST {
            let hidden = text.chars().count() - LONGEST;
            out.push_str("… ");
            out.push_str(&hidden.to_string());
            out.push_str(" characters are not shown");
            break;
        }
        match c {
            ' '..='~' => out.push(c),
            other => out.extend(other.escape_unicode()),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escaped;

    /// M-09, M-11, M-12.
    #[test]
    fn nothing_hides_or_moves_text() {
        for text in ["a\u{202e}b", "a\u{200b}b", "a\x1b[2Jb", "а", "a\nb", "e\u{301}", "\u{e0041}"]
        {
            assert!(escaped(text).is_ascii(), "{text:?}");
            assert!(!escaped(text).chars().any(char::is_control), "{text:?}");
        }
        assert!(escaped(&"x".repeat(1_000)).ends_with("700 characters are not shown"));
    }
}
