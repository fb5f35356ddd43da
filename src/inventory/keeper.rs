//! The one inventory of a process, kept in the store.
//!
//! Takes what answers teach and which ids writes touch; hands out snapshots. What counts is what stands
//! in memory; the store follows in the same order, and holds what a restart begins with. A touched id is
//! forgotten before the write is sent, on disk as well.

use super::touched::Touched;
use super::{Fact, Inventory, Lesson, folded};
use crate::inspect::Identity;
use crate::inspect::answer::Taught;
use crate::store::{Error, Store};
use arc_swap::{ArcSwap, Guard};
use jiff::Timestamp;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The inventory and what keeps it.
#[derive(Debug)]
pub struct Keeper {
    current: ArcSwap<Inventory>,
    state: Mutex<State>,
    /// How many touches there were: reads ask for it, and must not wait for those who learn.
    moment: AtomicU64,
    /// Held while the store is written, so that changes reach it in their order.
    writing: tokio::sync::Mutex<()>,
    store: Store,
}

#[derive(Debug, Default)]
struct State {
    touched: Touched,
    changes: Changes,
}

/// What the store has not heard of.
#[derive(Debug)]
enum Changes {
    /// These, one after the other.
    Some(Vec<Change>),
    /// It is to be written anew.
    All,
}

/// A change of the inventory.
#[derive(Clone, Debug)]
pub enum Change {
    /// A fact was learned, or learned again.
    Learned(Arc<Fact>),
    /// A fact is gone.
    Forgot(Arc<Fact>),
}

impl Default for Changes {
    fn default() -> Self {
        Self::Some(Vec::new())
    }
}

/// More unwritten changes than these are not listed one by one.
const MOST_CHANGES: usize = 50_000;

/// The time of now, in milliseconds since 1970.
pub fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

impl Keeper {
    /// With what the store has kept.
    pub async fn open(store: Store) -> Result<Self, Error> {
        let mut inventory = Inventory::default();
        let dropped = inventory.learn(store.facts().await?, now());
        let keeper = Self {
            current: ArcSwap::from_pointee(inventory),
            state: Mutex::default(),
            moment: AtomicU64::default(),
            writing: tokio::sync::Mutex::default(),
            store,
        };
        keeper.state().changes.add(dropped.into_iter().map(Change::Forgot));
        keeper.write().await?;
        Ok(keeper)
    }

    /// The inventory of now.
    pub fn current(&self) -> Guard<Arc<Inventory>> {
        self.current.load()
    }

    /// The moment at which an answer is asked for, in the order of touches.
    pub fn moment(&self) -> u64 {
        self.moment.load(Ordering::SeqCst)
    }

    /// Learns what an answer said that was asked for at a moment; whether the store has to hear of it.
    pub fn learn(
        &self,
        service: &Arc<str>,
        taught: Vec<Taught>,
        lesson: &Arc<Lesson>,
        asked: u64,
    ) -> bool {
        let of = |taught| Fact { service: service.clone(), taught, lesson: lesson.clone() };
        let facts: Vec<Fact> = taught.into_iter().map(of).collect();
        // Most of what passes was learned a moment ago.
        if self.current.load().is_fresh(&facts, lesson.at) {
            return false;
        }
        let mut state = self.state();
        let mut facts = facts;
        facts.retain(|fact| state.touched.tells(asked, &fact.taught.id));
        let current = self.current.load();
        facts.retain(|fact| !current.is_fresh(std::slice::from_ref(fact), lesson.at));
        if facts.is_empty() {
            return false;
        }
        let mut inventory = Inventory::clone(&current);
        let learned: Vec<_> = facts.iter().cloned().map(Arc::new).map(Change::Learned).collect();
        let dropped = inventory.learn(facts, lesson.at);
        self.current.store(Arc::new(inventory));
        state.changes.add(learned);
        state.changes.add(dropped.into_iter().map(Change::Forgot));
        true
    }

    /// Forgets ids that a write touches; whether the store has to hear of it.
    pub fn touch(&self, service: &str, ids: &[Identity]) -> bool {
        let mut state = self.state();
        self.note(&mut state, ids.iter().map(|id| id.value.as_str()));
        let current = self.current.load();
        if !ids.iter().any(|id| current.facts.contains_key(&*folded(&id.value))) {
            return false;
        }
        let mut inventory = Inventory::clone(&current);
        let mut forgotten = Vec::new();
        for id in ids {
            forgotten.extend(inventory.forget(Some(service), id.kind.as_deref(), &id.value));
        }
        self.changed(&mut state, inventory, forgotten) > 0
    }

    /// Forgets all about an id, as a person asks for; how many facts that were.
    pub fn forget(&self, id: &str) -> usize {
        let mut state = self.state();
        self.note(&mut state, std::iter::once(id));
        let mut inventory = Inventory::clone(&self.current.load());
        let forgotten = inventory.forget(None, None, id);
        self.changed(&mut state, inventory, forgotten)
    }

    fn note<'i>(&self, state: &mut State, ids: impl Iterator<Item = &'i str>) {
        state.touched.touch(ids);
        self.moment.store(state.touched.now(), Ordering::SeqCst);
    }

    fn changed(&self, state: &mut State, inventory: Inventory, forgotten: Vec<Arc<Fact>>) -> usize {
        let count = forgotten.len();
        if count > 0 {
            self.current.store(Arc::new(inventory));
            state.changes.add(forgotten.into_iter().map(Change::Forgot));
        }
        count
    }

    /// Brings the store up to date.
    pub async fn write(&self) -> Result<(), Error> {
        let _turn = self.writing.lock().await;
        let (changes, inventory) = {
            let mut state = self.state();
            (std::mem::take(&mut state.changes), self.current.load_full())
        };
        let written = match changes {
            Changes::Some(changes) if changes.is_empty() => Ok(()),
            Changes::Some(changes) => self.store.change_facts(&changes).await,
            Changes::All => self.store.set_facts(&inventory.all(now())).await,
        };
        if written.is_err() {
            // The next one writes it whole.
            self.state().changes = Changes::All;
        }
        written
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Changes {
    fn add(&mut self, more: impl IntoIterator<Item = Change>) {
        if let Self::Some(changes) = self {
            changes.extend(more);
            if changes.len() > MOST_CHANGES {
                *self = Self::All;
            }
        }
    }
}

#[cfg(test)]
mod tests;
