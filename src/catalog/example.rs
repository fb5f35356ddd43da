//! Examples that a catalog carries: a request, and what it is.
//!
//! Takes the request as text, in the form of a policy's `tests:`; says which operations, effect,
//! reversibility and targets the catalog has to find in it. They run as tests of the catalog and by
//! `holdgate catalog lint`.

use super::{Effect, Reversibility};
use std::collections::BTreeMap;

/// A request and what it is.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// Request line, header lines, an empty line, the body.
    pub request: String,
    /// The names of its operations in order.
    #[serde(default)]
    pub operations: Vec<String>,
    /// The gravest effect of them.
    pub effect: Option<Effect>,
    /// The gravest reversibility of them; left out: `reversible`.
    pub reversibility: Option<Reversibility>,
    /// The deciding ids by kind.
    #[serde(default)]
    pub targets: BTreeMap<String, Vec<String>>,
    /// Whether one of them acts on everything.
    #[serde(default)]
    pub account: bool,
    /// Whether the request cannot be read, in place of all else.
    #[serde(default)]
    pub unreadable: bool,
}
