//! The YAML form of `sequences:` and `quarantine:`.

use super::super::node::Spanned;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use std::time::Duration;

/// One of `sequences:`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sequence {
    /// Its name in findings; that of a built-in one changes what it leads to.
    pub name: Spanned<String>,
    /// The time in which all its steps fall.
    #[serde(default, deserialize_with = "some_duration")]
    #[schemars(with = "Option<String>")]
    pub within: Option<Duration>,
    /// Stages or operations in order, each one or one of several.
    #[serde(default)]
    pub steps: Vec<Spanned<Step>>,
    /// In place of `steps`: what has to have happened, one of these.
    pub requires: Option<Spanned<Step>>,
    /// Before which operations, or operations of which stage.
    pub before: Option<Spanned<Step>>,
    /// What happens when the last step is met, or where what is required is missing.
    pub then: Then,
}

fn some_duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    super::super::form::duration(deserializer).map(Some)
}

/// One step of a sequence.
#[derive(Clone, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "serde_json::Value")]
pub struct Step(pub Vec<String>);

/// `then:`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Then {
    /// A built-in sequence that is switched off.
    Nothing,
    /// It is logged and recorded, and people are told.
    Notify,
    /// Everything but reads is held from now on.
    HoldWrites,
    /// The agent is refused until an operator releases it.
    Quarantine,
    /// Without what is required, the call waits for a person.
    Hold,
    /// Without what is required, the call is refused.
    Deny,
}

impl Then {
    /// The word of the policy.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Notify => "notify",
            Self::HoldWrites => "hold_writes",
            Self::Quarantine => "quarantine",
            Self::Hold => "hold",
            Self::Deny => "deny",
        }
    }
}

/// `quarantine:`, what it refuses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Quarantine {
    /// Every request.
    #[default]
    Everything,
    /// Every request but plain reads of resources that say `docs: true`.
    EverythingButDocs,
}
