//! Which thing belongs to which: declared in the policy first, learned from answers second, else
//! unknown.
//!
//! Takes what answers taught, with the time from outside; returns the resources that own an id. Pure,
//! but for [`keeper`], which holds the one inventory of a process and keeps it in the store. A fact
//! expires after a day; what one agent may fill is bounded; a declared id is never contradicted, and
//! an owner counts only where it leads to a declared one.

pub mod keeper;
mod touched;

use crate::inspect::answer::Taught;
use crate::policy::{BUILT_IN, Ix, Policy, folded};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// How long a fact counts.
pub const EXPIRES: Duration = Duration::from_hours(24);
/// A fact that is seen again within this time stays as it was learned first.
const FRESH: Duration = Duration::from_hours(1);
/// The most facts of all agents.
const MOST: usize = 20_000;
/// The most facts of one agent.
const MOST_OF_ONE: usize = 10_000;
/// The longest chain of learned owners from an id to a declared one.
const LONGEST_CHAIN: usize = 4;
/// The most facts that are looked at for one id.
const MOST_LOOKED_AT: usize = 64;

/// Where and when something was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lesson {
    /// The request whose answer said it.
    pub request_id: Arc<str>,
    /// What that asked for, as in `query project`.
    pub operation: Arc<str>,
    /// The host that answered.
    pub host: Arc<str>,
    /// The agent that asked.
    pub agent: Arc<str>,
    /// When, in milliseconds since 1970.
    pub at: i64,
}

/// One thing belongs to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// The service whose things they are.
    pub service: Arc<str>,
    /// What belongs to what.
    pub taught: Taught,
    /// Where it was learned.
    pub lesson: Arc<Lesson>,
}

/// A time span as people read it.
pub fn told(span: Duration) -> String {
    match span.as_secs() {
        seconds @ 0..=119 => format!("{seconds} s"),
        seconds @ 120..=7_199 => format!("{} min", seconds / 60),
        seconds => format!("{} h", seconds / 3_600),
    }
}

impl Fact {
    fn says_the_same(&self, other: &Self) -> bool {
        self.service == other.service
            // What an agent listed itself counts for more.
            && self.is_looked_up() == other.is_looked_up()
            && self.taught.kind == other.taught.kind
            && self.taught.owner_kind == other.taught.owner_kind
            && self.taught.shared == other.taught.shared
            && folded(&self.taught.id) == folded(&other.taught.id)
            && folded(&self.taught.owner) == folded(&other.taught.owner)
    }

    /// Whether the proxy itself asked.
    fn is_looked_up(&self) -> bool {
        *self.lesson.agent == *BUILT_IN
    }

    /// How long ago it was learned.
    pub fn age(&self, now: i64) -> Duration {
        // A clock that was set back makes nothing last longer.
        Duration::from_millis(now.saturating_sub(self.lesson.at).unsigned_abs())
    }

    fn counts(&self, now: i64) -> bool {
        self.age(now) < EXPIRES
    }
}

/// Everything that was learned.
#[derive(Clone, Debug, Default)]
pub struct Inventory {
    /// By the thing's id, in the one form ids are compared in.
    facts: HashMap<Box<str>, Vec<Arc<Fact>>>,
}

/// A resource that owns an id by what was learned.
#[derive(Clone, Debug)]
pub struct Owner {
    /// The resource.
    pub resource: Ix,
    /// The kind of the id.
    pub kind: Arc<str>,
    /// What says so of the id itself.
    pub fact: Arc<Fact>,
    /// What speaks against relying on that.
    pub doubt: Doubt,
}

/// What speaks against relying on what was learned, on any link of the way to a declared owner.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Doubt {
    /// The thing may belong to others as well.
    pub shared: bool,
    /// The proxy itself asked, and no agent.
    pub looked_up: bool,
}

impl Doubt {
    const fn or(self, other: Self) -> Self {
        Self { shared: self.shared || other.shared, looked_up: self.looked_up || other.looked_up }
    }
}

/// An inventory at a moment: what a request is judged by.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    inventory: Option<&'a Inventory>,
    now: i64,
}

impl View<'_> {
    /// One in which nothing was learned.
    pub const NOTHING: View<'static> = View { inventory: None, now: 0 };

    /// Its moment, in milliseconds since 1970.
    pub const fn now(&self) -> i64 {
        self.now
    }

    /// The resources that own an id by what was learned; of any kind where none is said. Nothing of an
    /// id that the policy declares.
    pub fn owners(
        &self,
        policy: &Policy,
        service: &Arc<str>,
        kind: Option<&str>,
        id: &str,
    ) -> Vec<Owner> {
        let mut owners = Vec::new();
        let Some(inventory) = self.inventory else { return owners };
        let mut seen = 0;
        for fact in inventory.of(service, kind, id, self.now) {
            let kind = &fact.taught.kind;
            if !policy.owners(service, kind, id).is_empty() {
                continue;
            }
            let way = Way { inventory, policy, service, now: self.now };
            let Some(found) = way.follow(fact, LONGEST_CHAIN, &mut seen) else {
                // Too much for certainty: as if nothing had been learned.
                return Vec::new();
            };
            for (resource, doubt) in found {
                let same = |owner: &Owner| owner.resource == resource && owner.kind == *kind;
                let learned = Owner { resource, kind: kind.clone(), fact: fact.clone(), doubt };
                match owners.iter_mut().find(|owner| same(owner)) {
                    // One way without a doubt is enough.
                    Some(owner) if doubt == Doubt::default() => *owner = learned,
                    Some(_) => {}
                    None => owners.push(learned),
                }
            }
        }
        owners
    }
}

/// From a learned owner on.
struct Way<'a> {
    inventory: &'a Inventory,
    policy: &'a Policy,
    service: &'a Arc<str>,
    now: i64,
}

impl Way<'_> {
    /// The declared owners that a fact leads to, with what speaks against each; none where there are
    /// too many facts to follow.
    fn follow(&self, fact: &Fact, links: usize, seen: &mut usize) -> Option<Vec<(Ix, Doubt)>> {
        *seen += 1;
        if *seen > MOST_LOOKED_AT {
            return None;
        }
        let Taught { owner_kind, owner, shared, .. } = &fact.taught;
        let doubt = Doubt { shared: *shared, looked_up: fact.is_looked_up() };
        let declared = self.policy.owners(self.service, owner_kind, owner);
        if !declared.is_empty() {
            return Some(declared.iter().map(|ix| (*ix, doubt)).collect());
        }
        let mut found = Vec::new();
        if links > 1 {
            for next in self.inventory.of(self.service, Some(owner_kind), owner, self.now) {
                let of_next = self.follow(next, links - 1, seen)?;
                found.extend(of_next.into_iter().map(|(ix, further)| (ix, further.or(doubt))));
            }
        }
        Some(found)
    }
}

impl Inventory {
    /// The inventory at a moment, in milliseconds since 1970.
    pub const fn at(&self, now: i64) -> View<'_> {
        View { inventory: Some(self), now }
    }

    /// The facts of an id that count.
    fn of<'a>(
        &'a self,
        service: &'a str,
        kind: Option<&'a str>,
        id: &str,
        now: i64,
    ) -> impl Iterator<Item = &'a Arc<Fact>> {
        let facts = self.facts.get(&*folded(id)).map_or(&[][..], Vec::as_slice);
        facts.iter().filter(move |fact| {
            *fact.service == *service
                && kind.is_none_or(|kind| *fact.taught.kind == *kind)
                && fact.counts(now)
        })
    }

    /// All facts about an id that count, of whatever service.
    pub fn about(&self, id: &str, now: i64) -> Vec<Arc<Fact>> {
        let facts = self.facts.get(&*folded(id)).into_iter().flatten();
        facts.filter(|fact| fact.counts(now)).cloned().collect()
    }

    /// All facts that count, the newest first.
    pub fn all(&self, now: i64) -> Vec<Arc<Fact>> {
        let facts = self.facts.values().flatten().filter(|fact| fact.counts(now));
        let mut facts: Vec<_> = facts.cloned().collect();
        facts.sort_by(|one, other| {
            let key =
                |fact: &Arc<Fact>| (std::cmp::Reverse(fact.lesson.at), fact.taught.id.clone());
            key(one).cmp(&key(other))
        });
        facts
    }

    /// Whether all of this was learned not long ago.
    fn is_fresh(&self, facts: &[Fact], now: i64) -> bool {
        facts.iter().all(|fact| {
            let known = self.facts.get(&*folded(&fact.taught.id)).into_iter().flatten();
            known.into_iter().any(|known| known.says_the_same(fact) && known.age(now) < FRESH)
        })
    }

    /// Adds facts; what is known is known anew. Returns what was dropped to make room, the expired
    /// first, then the oldest of the agent that taught most.
    pub fn learn(&mut self, facts: Vec<Fact>, now: i64) -> Vec<Arc<Fact>> {
        for fact in facts {
            let known = self.facts.entry(folded(&fact.taught.id).into()).or_default();
            known.retain(|known| !known.says_the_same(&fact));
            known.push(Arc::new(fact));
        }
        let expired = self.retain(|fact| fact.counts(now));
        let over = self.over();
        let mut dropped = self.retain(|fact| !over.contains(&std::ptr::from_ref(fact)));
        dropped.extend(expired);
        dropped
    }

    /// Forgets an id, of whatever kind where none is said.
    pub fn forget(
        &mut self,
        service: Option<&str>,
        kind: Option<&str>,
        id: &str,
    ) -> Vec<Arc<Fact>> {
        let Some(facts) = self.facts.get_mut(&*folded(id)) else { return Vec::new() };
        let is_meant = |fact: &Fact| {
            service.is_none_or(|service| *fact.service == *service)
                && kind.is_none_or(|kind| *fact.taught.kind == *kind)
        };
        let (forgotten, kept) = facts.drain(..).partition(|fact| is_meant(fact));
        *facts = kept;
        if facts.is_empty() {
            self.facts.remove(&*folded(id));
        }
        forgotten
    }

    fn retain(&mut self, keep: impl Fn(&Fact) -> bool) -> Vec<Arc<Fact>> {
        let mut dropped = Vec::new();
        self.facts.retain(|_, facts| {
            facts.retain(|fact| {
                let kept = keep(fact);
                if !kept {
                    dropped.push(fact.clone());
                }
                kept
            });
            !facts.is_empty()
        });
        dropped
    }

    /// What there is no room for.
    fn over(&self) -> HashSet<*const Fact> {
        if self.facts.values().map(Vec::len).sum::<usize>() <= MOST_OF_ONE {
            return HashSet::new();
        }
        let mut by_agent: BTreeMap<&str, Vec<&Arc<Fact>>> = BTreeMap::new();
        for fact in self.facts.values().flatten() {
            by_agent.entry(&fact.lesson.agent).or_default().push(fact);
        }
        let mut all: usize = by_agent.values().map(Vec::len).sum();
        let mut over = HashSet::new();
        // The oldest last, so that it is the first to go.
        for facts in by_agent.values_mut() {
            facts.sort_by_key(|fact| std::cmp::Reverse(fact.lesson.at));
        }
        while let Some(loudest) = by_agent.values_mut().max_by_key(|facts| facts.len())
            && (all > MOST || loudest.len() > MOST_OF_ONE)
            && let Some(oldest) = loudest.pop()
        {
            over.insert(Arc::as_ptr(oldest));
            all -= 1;
        }
        over
    }
}

#[cfg(test)]
mod tests;
