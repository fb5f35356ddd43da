//! A profile as it is kept: counts, sorted, for people to read and compare.
//!
//! Takes steps of sessions; returns counts of what was asked of which host and of what followed what.
//! Learning adds, and a session counts once. Refuses what is beyond its bounds, whether learned or read.

use super::step::{Before, Step};
use crate::catalog::Effect;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of the form.
const VERSION: u32 = 1;
/// The largest file that is read, in bytes.
const MOST_BYTES: usize = 4 << 20;
/// The most sessions, hosts, kinds of operations of all hosts, and transitions.
const MOST_SESSIONS: usize = 1_000;
const MOST_HOSTS: usize = 1_000;
const MOST_KINDS: usize = 10_000;
const MOST_TRANSITIONS: usize = 10_000;
/// What stands before the first step of a session.
const START: &str = "start";

/// What was learned of one session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Learned {
    /// Whose session it was.
    pub agent: String,
    /// How many of its requests count.
    pub requests: u32,
    /// The first and the last record of it.
    pub records: (u64, u64),
    /// Whether the chain of the log that it was read from was verified.
    pub verified: bool,
}

/// By effect, how often each kind of operation was asked for.
type Kinds = BTreeMap<Effect, BTreeMap<String, u32>>;

/// The counts of one kind of work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    version: u32,
    /// Its name.
    pub profile: String,
    /// The sessions it was learned from.
    pub sessions: BTreeMap<String, Learned>,
    /// What was asked of each host.
    pub hosts: BTreeMap<String, Kinds>,
    /// What followed what: effect and host of one request, effect and host of the next.
    pub order: BTreeMap<String, BTreeMap<String, u32>>,
}

/// Why a profile is not one, or cannot grow; the fault is the operator's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not in its form.
    #[error("it is no profile: {0}; forget it and learn it again")]
    Form(String),
    /// It is of another version.
    #[error("it is of version {0}, this Holdgate reads {VERSION}; forget it and learn it again")]
    Version(u32),
    /// It is another one's.
    #[error("it is the profile `{0}` under another name")]
    Name(String),
    /// It has too much.
    #[error("it has more than {most} {what}; learn from sessions of one kind of work only")]
    Bound {
        /// Of what.
        what: &'static str,
        /// How many there may be.
        most: usize,
    },
}

/// What learning a session did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Added {
    /// It counts from now on.
    Learned,
    /// It counted already.
    Known,
}

/// Whether a name is fit for a profile, which is also a file's.
pub fn name_is_good(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    (1..=64).contains(&name.len()) && !name.starts_with('.') && name.chars().all(good)
}

impl Profile {
    /// An empty one.
    pub fn new(name: &str) -> Self {
        Self {
            version: VERSION,
            profile: name.to_owned(),
            sessions: BTreeMap::new(),
            hosts: BTreeMap::new(),
            order: BTreeMap::new(),
        }
    }

    /// Reads one that is kept.
    pub fn parse(text: &str, name: &str) -> Result<Self, Error> {
        if text.len() > MOST_BYTES {
            return Err(Error::Bound { what: "bytes", most: MOST_BYTES });
        }
        let form = |error: serde_json::Error| Error::Form(error.to_string());
        let profile: Self = serde_json::from_str(text).map_err(form)?;
        if profile.version != VERSION {
            return Err(Error::Version(profile.version));
        }
        if profile.profile != name {
            return Err(Error::Name(profile.profile));
        }
        profile.bounded()?;
        let ends =
            profile.order.iter().flat_map(|(from, to)| std::iter::once(from).chain(to.keys()));
        if let Some(end) = ends.filter(|end| *end != START).find(|end| parsed(end).is_none()) {
            return Err(Error::Form(format!("`{end}` is no effect and host")));
        }
        Ok(profile)
    }

    /// The text that is kept.
    pub fn text(&self) -> Result<String, Error> {
        let text = serde_json::to_string_pretty(self);
        text.map(|text| text + "\n").map_err(|error| Error::Form(error.to_string()))
    }

    /// Counts the steps of a session, in their order.
    pub fn learn(&mut self, id: &str, session: Learned, steps: &[Step]) -> Result<Added, Error> {
        if self.sessions.contains_key(id) {
            return Ok(Added::Known);
        }
        // What is over a bound leaves everything as it was.
        let mut grown = self.clone();
        grown.sessions.insert(id.to_owned(), session);
        let mut before = START.to_owned();
        for step in steps {
            let host = grown.hosts.entry(step.host.to_string()).or_default();
            for act in step.acts() {
                let kinds = host.entry(act.effect).or_default();
                count(kinds.entry(act.kind.to_string()).or_default());
            }
            let now = told(&step.as_before());
            count(grown.order.entry(before).or_default().entry(now.clone()).or_default());
            before = now;
        }
        grown.bounded()?;
        *self = grown;
        Ok(Added::Learned)
    }

    /// How often what followed what, by the step before; nothing before the first.
    pub(super) fn transitions(
        &self,
    ) -> impl Iterator<Item = (Option<(Effect, &str)>, (Effect, &str), u32)> {
        self.order.iter().flat_map(|(from, all)| {
            all.iter().filter_map(|(to, count)| Some((parsed(from), parsed(to)?, *count)))
        })
    }

    fn bounded(&self) -> Result<(), Error> {
        let kinds = self.hosts.values().flat_map(BTreeMap::values).map(BTreeMap::len).sum();
        let transitions = self.order.values().map(BTreeMap::len).sum();
        let bounds: [(&'static str, usize, usize); 4] = [
            ("sessions", self.sessions.len(), MOST_SESSIONS),
            ("hosts", self.hosts.len(), MOST_HOSTS),
            ("kinds of operations", kinds, MOST_KINDS),
            ("transitions", transitions, MOST_TRANSITIONS),
        ];
        match bounds.into_iter().find(|(_, has, most)| has > most) {
            Some((what, _, most)) => Err(Error::Bound { what, most }),
            None => Ok(()),
        }
    }
}

fn count(number: &mut u32) {
    *number = number.saturating_add(1);
}

fn told(step: &Before) -> String {
    format!("{} {}", step.effect.as_str(), step.host)
}

fn parsed(text: &str) -> Option<(Effect, &str)> {
    let (effect, host) = text.split_once(' ')?;
    Some((Effect::parse(effect)?, host))
}
