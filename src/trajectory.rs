//! Where a session is going: the stages it went through, and the orders of them that are dangerous.
//!
//! Takes the stages of one request or answer with the time; returns which declared sequences it completes.
//! Pure, in bounded memory: what goes to make room is never needed by a sequence that has begun.
//! Order is the proxy's clock, identical retries count once.

mod built_in;
mod matching;
mod needed;
mod stage;

pub use built_in::built_in;
pub use stage::Stage;

use crate::policy::{Requirement, Sequence, Sequences, Then};
use aws_lc_rs::digest;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// A stage, and what shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The stage.
    pub stage: Stage,
    /// The operation, for people.
    pub what: Arc<str>,
}

/// A stage with when it was noted and what it was noted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// The stage.
    pub stage: Stage,
    /// Since 1970, by the proxy's clock.
    pub at: Duration,
    /// The request's operation, for people.
    pub what: Arc<str>,
    /// What tells one call from another, where their operations are the same.
    pub call: u64,
}

/// The stages of one agent, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Trajectory {
    noted: VecDeque<Noted>,
    /// How often it changed, so that whoever keeps it sees that it did.
    changes: u64,
}

impl FromIterator<Noted> for Trajectory {
    fn from_iter<I: IntoIterator<Item = Noted>>(noted: I) -> Self {
        let mut noted: VecDeque<Noted> = noted.into_iter().collect();
        // More than any policy can need: somebody else wrote this.
        noted.drain(..noted.len().saturating_sub(MOST_KEPT));
        Self { noted, changes: 0 }
    }
}

/// A declared sequence whose last step was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Its name.
    pub name: Arc<str>,
    /// What the policy says happens.
    pub then: Then,
    /// The time of the sequence.
    pub within: Duration,
    /// What met its steps.
    pub met: Vec<Noted>,
    /// How often it was completed before and nobody was told.
    pub untold: u64,
}

impl Completed {
    /// What happened and what follows, and then each step with its operation and the seconds between.
    pub fn told(&self) -> String {
        let told = format!("completed the sequence `{}`; then: {}", self.name, self.then.as_str());
        let last = self.met.last().map(|noted| noted.at).unwrap_or_default();
        let step = |noted: &Noted| {
            let ago = last.saturating_sub(noted.at).as_secs();
            format!("{} by `{}` {ago} s before", noted.stage.as_str(), noted.what)
        };
        let steps = self.met.iter().map(step);
        let untold = (self.untold > 0).then(|| format!("{} more before it", self.untold));
        std::iter::once(told).chain(steps).chain(untold).collect::<Vec<_>>().join("; ")
    }
}

/// How far a sequence has come.
#[derive(Debug)]
pub struct Progress<'a> {
    /// What met its first steps, in order.
    pub met: Vec<&'a Noted>,
    /// The steps before the last one that was seen at all which nothing met.
    pub unseen: Vec<usize>,
}

/// What an agent went through before, as a verdict needs it.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    trajectory: Option<&'a Trajectory>,
    at: Duration,
}

impl Past<'_> {
    /// Of an agent of whom nothing is remembered.
    pub const NOTHING: Self = Self { trajectory: None, at: Duration::ZERO };

    /// Whether what a requirement asks for was there, by so much longer ago than it says.
    pub fn has(&self, requirement: &Requirement, longer: Duration) -> bool {
        let at = self.at.saturating_sub(longer);
        self.trajectory.is_some_and(|trajectory| {
            matching::latest(requirement, &trajectory.noted, at).is_some()
        })
    }
}

/// So many are kept besides those that sequences need, and so many go at a time.
const MOST: usize = 256;
const AT_A_TIME: usize = 32;
/// The most that are taken from a store.
const MOST_KEPT: usize = 8_192;

/// What tells one call from another: nothing secret may be among its parts. It is kept, so that it is
/// the same for every Holdgate.
pub fn call_of<T: AsRef<[u8]>>(parts: impl IntoIterator<Item = T>) -> u64 {
    let mut digest = digest::Context::new(&digest::SHA256);
    for part in parts {
        let part = part.as_ref();
        digest.update(&(part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let digest = digest.finish();
    let number = digest.as_ref().first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    // Kept as JSON, of which not every reader has whole numbers of 64 bits.
    number >> 12
}

impl Trajectory {
    /// Notes the facts of one request or answer, in their order, and says which sequences that completes.
    pub fn note(
        &mut self,
        facts: &[Fact],
        call: u64,
        at: Duration,
        sequences: &Sequences,
    ) -> Vec<Completed> {
        if facts.is_empty() {
            return Vec::new();
        }
        self.changes += 1;
        let new: Vec<Noted> = facts
            .iter()
            .map(|Fact { stage, what }| Noted { stage: *stage, at, what: what.clone(), call })
            .collect();
        let before = self.noted.len().checked_sub(new.len());
        if let Some(before) = before
            && self.noted.iter().skip(before).zip(&new).all(|(old, new)| old.repeats(new))
        {
            // The same again at once: it happened now, but it happened once.
            self.noted.iter_mut().skip(before).for_each(|noted| noted.at = at);
            return Vec::new();
        }
        self.make_room(at, sequences);
        let from = self.noted.len();
        self.noted.extend(new);
        let complete = |sequence: &Sequence| {
            let met = matching::complete(sequence, &self.noted, from, at)?;
            Some(Completed {
                name: sequence.name.clone(),
                then: sequence.then,
                within: sequence.within,
                untold: 0,
                met: met.into_iter().filter_map(|place| self.noted.get(place).cloned()).collect(),
            })
        };
        sequences.orders.iter().filter_map(complete).collect()
    }

    /// Makes room. What a sequence has met so far stays, and so does what is required of later calls. Of
    /// the rest, of the stage that was noted most, the oldest but one goes.
    fn make_room(&mut self, at: Duration, sequences: &Sequences) {
        if self.noted.len() < MOST {
            return;
        }
        let mut needed: BTreeSet<usize> = BTreeSet::new();
        for sequence in &sequences.orders {
            needed.extend(needed::needed(sequence, &self.noted, at));
        }
        let required = sequences.requirements.iter();
        needed.extend(required.filter_map(|one| matching::latest(one, &self.noted, at)));
        if self.noted.len() - needed.len() < MOST {
            return;
        }
        let mut free: BTreeMap<Stage, VecDeque<usize>> = BTreeMap::new();
        for (place, noted) in self.noted.iter().enumerate() {
            if !needed.contains(&place) {
                free.entry(noted.stage).or_default().push_back(place);
            }
        }
        let mut gone: BTreeSet<usize> = BTreeSet::new();
        for _ in 0..AT_A_TIME {
            let most = free.values_mut().max_by_key(|places| places.len());
            let Some(places) = most else { break };
            gone.extend(places.remove(1).or_else(|| places.pop_front()));
        }
        let mut place = 0;
        self.noted.retain(|_| {
            place += 1;
            !gone.contains(&(place - 1))
        });
    }

    /// Forgets all of it; how many stages that were.
    pub fn forget(&mut self) -> usize {
        self.changes += 1;
        std::mem::take(&mut self.noted).len()
    }

    /// How often it changed.
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// The stages so far, oldest first.
    pub fn stages(&self) -> impl Iterator<Item = &Noted> {
        self.noted.iter()
    }

    /// What a verdict of now needs of it.
    pub const fn until(&self, at: Duration) -> Past<'_> {
        Past { trajectory: Some(self), at }
    }

    /// What met the steps of a sequence so far, in order, with gaps, within the time.
    pub fn progress(&self, sequence: &Sequence, at: Duration) -> Progress<'_> {
        let chains = matching::chains(sequence, &self.noted, at);
        let furthest = chains.iter().rev().find(|chain| !chain.is_empty());
        let met: Vec<&Noted> =
            furthest.into_iter().flatten().filter_map(|place| self.noted.get(*place)).collect();
        let mut unseen = matching::unseen(sequence, &self.noted, at);
        unseen.retain(|step| *step >= met.len());
        Progress { met, unseen }
    }
}

#[cfg(test)]
mod tests;
