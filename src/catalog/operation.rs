//! What a catalog says of one operation.
//!
//! Plain values: effect, reversibility, which arguments carry ids, and what depends on arguments.
//! Shared by catalogs, by inspection and by the policy's own rules.

use super::arguments::{Arguments, At};
use super::condition::{Condition, Side, Truth};
use serde_json::Value;
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

/// Where an operation carries an id, and the kind of thing it names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identifier {
    /// Where it stands.
    pub source: Source,
    /// The kind of id, one of the catalog's `kinds`.
    pub kind: Arc<str>,
}

/// Where an id stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// At one place; each value there is one.
    At(At),
    /// Made of several: texts and places in turn, as in `{owner}/{repo}`.
    Joined(Vec<Piece>),
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(at) => write!(f, "{at}"),
            Self::Joined(pieces) => pieces.iter().try_for_each(|piece| match piece {
                Piece::Text(text) => f.write_str(text),
                Piece::At(at) => write!(f, "{{{at}}}"),
            }),
        }
    }
}

/// A piece of an id that is made of several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// This text.
    Text(Box<str>),
    /// What stands there.
    At(At),
}

/// What changes where an argument is so.
#[derive(Clone, Debug)]
pub struct Clause {
    /// What is asked.
    pub condition: Condition,
    /// What the call then does.
    pub effect: Option<Effect>,
    /// Whether that can then be undone.
    pub reversibility: Option<Reversibility>,
    /// For how long it can then be got back.
    pub window: Option<String>,
    /// What an approver should know then.
    pub note: Option<String>,
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
    /// Ids that decide as well where they stand, and may be left out: what else the call reaches.
    pub reaches: Vec<Identifier>,
    /// Ids of things inside what decides.
    pub names: Vec<Identifier>,
    /// What depends on arguments.
    pub when: Vec<Clause>,
    /// Whether no public schema or SDK says what stands here.
    pub unchecked: bool,
    /// What an approver should know.
    pub note: Option<String>,
}

impl Effect {
    /// How grave it is, for what only one of several can stand for.
    pub const fn severity(self) -> u8 {
        match self {
            Self::Read => 0,
            Self::Write => 1,
            Self::Execute | Self::Access | Self::Credential => 2,
            Self::Destructive => 3,
            Self::Unknown => 4,
        }
    }
}

impl Clause {
    /// Whether it makes a call graver that does this.
    pub fn is_graver_than(&self, effect: Effect, reversibility: Reversibility) -> bool {
        // What opens, reveals or runs something does so besides: it takes nothing from the rest.
        let adds = |then: Effect| then.severity() >= Effect::Execute.severity();
        self.effect.is_some_and(|then| {
            then != effect && (adds(then) || then.severity() > effect.severity())
        }) || self.reversibility.is_some_and(|then| then > reversibility)
    }

    /// How grave it makes a call that does this.
    pub fn gravity(&self, effect: Effect, reversibility: Reversibility) -> (u8, Reversibility) {
        (self.effect.unwrap_or(effect).severity(), self.reversibility.unwrap_or(reversibility))
    }

    /// Whether it applies: a clause that makes graver unless it is established that it does not, one
    /// that makes milder only where it is established that it does.
    pub fn applies(
        &self,
        arguments: &Arguments,
        effect: Effect,
        reversibility: Reversibility,
    ) -> bool {
        if self.is_graver_than(effect, reversibility) {
            self.condition.holds(arguments, Side::Restrict) != Truth::No
        } else {
            self.condition.holds(arguments, Side::Permit) == Truth::Yes
        }
    }
}

impl Identifier {
    /// Reads `input.environmentId` or `{owner}/{repo}`.
    pub fn parse(text: &str, kind: Arc<str>) -> Option<Self> {
        if !text.contains('{') {
            return Some(Self { source: Source::At(At::parse(text)?), kind });
        }
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let (place, after) = after.split_once('}')?;
            if !before.is_empty() {
                pieces.push(Piece::Text(before.into()));
            }
            pieces.push(Piece::At(At::parse(place)?));
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.into()));
        }
        Some(Self { source: Source::Joined(pieces), kind })
    }

    /// The places it is read from.
    pub fn places(&self) -> impl Iterator<Item = &At> {
        let (one, several) = match &self.source {
            Source::At(at) => (Some(at), &[][..]),
            Source::Joined(pieces) => (None, pieces.as_slice()),
        };
        one.into_iter().chain(several.iter().filter_map(|piece| match piece {
            Piece::At(at) => Some(at),
            Piece::Text(_) => None,
        }))
    }

    /// The ids that stand there. One that is no id, or cannot be read, is the empty id, which nobody
    /// owns.
    pub fn find(&self, arguments: &Arguments) -> Vec<String> {
        match &self.source {
            Source::At(at) => ids_at(at, arguments),
            Source::Joined(pieces) => {
                let mut id = String::new();
                for piece in pieces {
                    match piece {
                        Piece::Text(text) => id.push_str(text),
                        Piece::At(at) => match ids_at(at, arguments).as_slice() {
                            [] => return Vec::new(),
                            // A part that holds a slash could make two ids the same.
                            [part] if !part.is_empty() && !part.contains('/') => id.push_str(part),
                            _ => return vec![String::new()],
                        },
                    }
                }
                vec![id]
            }
        }
    }
}

fn ids_at(at: &At, arguments: &Arguments) -> Vec<String> {
    let found = arguments.at(at);
    let some = found.values.iter().any(|value| !value.is_null());
    // Of several, one without an id may be any.
    let counts = |value: &&Value| some || !value.is_null();
    let ids = found.values.into_iter().filter(counts).map(|value| match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        _ => String::new(),
    });
    ids.chain(found.unknown.then(String::new)).collect()
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
