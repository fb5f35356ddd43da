//! What a catalog says of one operation.
//!
//! Plain values: effect, reversibility, and which arguments carry ids. Shared by catalogs, by
//! inspection and by the policy's own rules.

use std::sync::Arc;

/// What a call does, in the strictness order of none: each is judged by its own list.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    serde::Deserialize,
    serde::Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// Changes nothing.
    Read,
    /// Changes something that can be changed back.
    Write,
    /// Removes or overwrites something.
    Destructive,
    /// Reveals or mints secrets.
    Credential,
    /// Changes who may do what, or revokes it.
    Access,
    /// Runs code elsewhere.
    Execute,
    /// Nobody has said what it does.
    Unknown,
}

impl Effect {
    /// Every effect.
    pub const ALL: [Self; 7] = [
        Self::Read,
        Self::Write,
        Self::Destructive,
        Self::Credential,
        Self::Access,
        Self::Execute,
        Self::Unknown,
    ];

    /// The word of the policy, logs and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Destructive => "destructive",
            Self::Credential => "credential",
            Self::Access => "access",
            Self::Execute => "execute",
            Self::Unknown => "unknown",
        }
    }

    /// The effect a policy word names.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "read" => Self::Read,
            "write" => Self::Write,
            "destructive" => Self::Destructive,
            "credential" => Self::Credential,
            "access" => Self::Access,
            "execute" => Self::Execute,
            "unknown" => Self::Unknown,
            _ => return None,
        })
    }
}

/// Whether what a call does can be undone by the one who called.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    serde::Deserialize,
    serde::Serialize,
    schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Reversibility {
    /// The same API undoes it.
    Reversible,
    /// It can be got back for a while.
    Recoverable,
    /// It is gone.
    Irreversible,
}

impl Reversibility {
    /// The word of the policy, logs and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Reversible => "reversible",
            Self::Recoverable => "recoverable",
            Self::Irreversible => "irreversible",
        }
    }
}

/// Where an operation carries an id: an argument path, and the kind of thing it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// The argument's path, outermost first; for a path template one element, the parameter.
    pub path: Vec<Box<str>>,
    /// The kind of id, one of the catalog's `kinds`.
    pub kind: Arc<str>,
}

/// What a catalog says of one operation.
#[derive(Debug)]
pub struct OperationSpec {
    /// The operation in the API's own terms, as in `mutation volumeDelete`.
    pub name: Arc<str>,
    /// What it does.
    pub effect: Effect,
    /// Whether that can be undone.
    pub reversibility: Reversibility,
    /// For how long it can be got back, where it is recoverable.
    pub window: Option<String>,
    /// Ids that decide which environment the call acts on; one left out means all of its kind.
    pub decides: Vec<Identifier>,
    /// Ids of things inside what decides.
    pub names: Vec<Identifier>,
    /// What an approver should know.
    pub note: Option<String>,
}

/// A nested GraphQL field that reveals secrets wherever it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reveal {
    /// The field's name.
    pub field: Box<str>,
    /// Only if this boolean argument is, or may be, true.
    pub when: Option<Box<str>>,
    /// Only somewhere below a field of this name.
    pub below: Option<Box<str>>,
}
