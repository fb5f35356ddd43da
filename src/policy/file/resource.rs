//! One of `resources:` as written: its hosts, its ids, its lists and rules.
//!
//! Takes what a person wrote; returns it typed, each value with its place. Refuses unknown keys.

use crate::catalog::condition::Written;
use crate::catalog::{Effect, Reversibility};
use crate::policy::node::Spanned;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One of `resources:`
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Resource {
    /// The catalog it is judged by.
    pub service: Option<Spanned<String>>,
    /// The environment people know it as.
    pub environment: Option<String>,
    /// Exact hosts, or `*.example.com` for one label; from the catalog where there is a service.
    pub hosts: Option<Vec<Spanned<String>>>,
    /// `443`, or `80/http` for plain HTTP.
    pub ports: Option<Vec<Spanned<Port>>>,
    /// The ids that belong to it, by kind.
    pub ids: BTreeMap<String, Vec<Spanned<String>>>,
    /// Effects and operations that pass.
    pub allow: Option<Vec<Spanned<Listed>>>,
    /// Effects and operations that wait for a person.
    pub hold: Option<Vec<Spanned<Listed>>>,
    /// Effects and operations that are refused.
    pub deny: Option<Vec<Spanned<Listed>>>,
    /// What happens to ids that nobody declared.
    pub unknown_targets: Option<UnknownTargets>,
    /// Which credentials it takes.
    pub credentials: Option<Spanned<Credentials>>,
    /// Whether issued credentials may go over plain HTTP.
    pub cleartext: bool,
    /// Whether `%2F` may stand in a path segment, as npm's scoped packages have it.
    pub encoded_slash: bool,
    /// What happens to serialised objects in its answers.
    pub serialized_objects: SerializedObjects,
    /// What is done about secrets in its requests that do not belong to it.
    pub leaks: Option<Leaks>,
    /// Whether it is documentation, of which a quarantine may let plain reads through.
    pub docs: bool,
    /// What passes, waits or is refused, by method and path.
    pub rules: Option<Vec<Spanned<Rule>>>,
}

/// One entry of `allow`, `hold` and `deny`: an effect, an operation, or a pattern of operations with
/// `*` for any characters; written out as `{ operation: …, when: … }` where it depends on more.
#[derive(Clone, Debug, JsonSchema)]
#[schemars(with = "serde_json::Value")]
pub struct Listed {
    /// The effect or operation.
    pub word: String,
    /// All that has to be so for the entry to speak.
    pub when: Vec<Written>,
}

/// A port, and whether it is plain HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, JsonSchema)]
#[schemars(with = "serde_json::Value")]
pub struct Port {
    /// The number.
    pub number: u16,
    /// Plain HTTP rather than TLS.
    pub cleartext: bool,
}

/// `unknown_targets:`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct UnknownTargets {
    /// Reads of ids that nobody owns.
    pub read: Word,
    /// Anything else on ids that nobody owns; `allow` is refused.
    pub other: Word,
}

impl Default for UnknownTargets {
    fn default() -> Self {
        Self { read: Word::Allow, other: Word::Hold }
    }
}

/// `serialized_objects:`, from the mildest on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SerializedObjects {
    /// They are recorded, and pass.
    #[default]
    Note,
    /// Those that hand out secrets are replaced by `null`.
    Strip,
    /// An answer with one that hands out secrets is withheld.
    Deny,
}

/// `allow`, `hold` or `deny`.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// It passes.
    Allow,
    /// It waits for a person.
    Hold,
    /// It is refused.
    Deny,
}

impl Word {
    /// The word of policies, records and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Allow => "allow",
            Self::Hold => "hold",
            Self::Deny => "deny",
        }
    }
}

/// `leaks:` of a resource. The order is that of strictness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Leaks {
    /// The request is refused; bodies are received whole for it, or refused.
    Deny,
    /// The same where a body is received anyway; one that streams is broken off when a secret is seen.
    Watch,
    /// It is noted in the record.
    Note,
}

/// `credentials:` of a resource.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "serde_json::Value")]
pub enum Credentials {
    /// Any credential is refused.
    None,
    /// One issued for it must be there.
    Required,
    /// Only these.
    List(Vec<String>),
    /// The first one is pinned for the agent.
    FirstSeen,
    /// Any at all.
    Any,
}

/// One rule: exactly one of `allow`, `hold`, `deny`.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Rule {
    /// `METHOD /path` that passes.
    pub allow: Option<String>,
    /// `METHOD /path` that waits.
    pub hold: Option<String>,
    /// `METHOD /path` that is refused.
    pub deny: Option<String>,
    /// Shown to the approver and in the denial.
    pub reason: Option<String>,
    /// What it does, where method and path do not say it rightly.
    pub effect: Option<Effect>,
    /// Whether that can be undone.
    pub reversibility: Option<Reversibility>,
    /// Whether a WebSocket may be opened; each of its messages is then judged by the same rules.
    pub websocket: bool,
    /// All that has to be so for the rule to speak.
    pub when: Vec<Written>,
}
