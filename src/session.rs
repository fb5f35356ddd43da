//! What the proxy remembers of each agent while it runs.
//!
//! Takes agents by name; returns their state: standing, trajectory, connections, session. What
//! bears on verdicts changes in one short critical section per agent, never across an await; plain
//! reads take a snapshot and no lock.

mod readings;

pub use readings::{Full, Readings};

use crate::baseline::{Baseline, Before, Tally};
use crate::catalog::Effect;
use crate::conversation::Heard;
use crate::decide::{Context, Grant, Reason, Ruling, Standing, Token, Verdict, decide};
use crate::fingerprint::Fingerprint;
use crate::forward::Pool;
use crate::inspect::Inspected;
use crate::inspect::credential::handed::Handed;
use crate::inventory::View;
use crate::policy::{Agent, Policy, Then, Word};
use crate::provenance::{Answer, Change, Sightings};
use crate::tool_calls::{Reported, Told};
use crate::trajectory::{Completed, Fact, Past, Stage, Trajectory, call_of};
use arc_swap::ArcSwap;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

/// A session ends after this long without a request.
const IDLE: Duration = Duration::from_mins(30);
/// Certificates for undeclared hosts, per second and agent.
const UNDECLARED_PER_SECOND: NonZeroU32 = NonZeroU32::new(20).unwrap();

/// How much of bodies that are read whole one agent may have in memory, in KiB.
const BODIES_KIB: usize = 64 << 10;

/// How much of answers that are read for what they teach one agent may have in memory, in KiB.
const LESSONS_KIB: usize = 16 << 10;

/// The most changes of one agent's sightings that wait for the store.
const MOST_UNKEPT: usize = 50_000;

/// How many of one agent's clients may be kept waiting.
const SEATS: usize = 256;

/// What the proxy remembers of one agent.
pub struct AgentState {
    /// Its name.
    pub name: Arc<str>,
    /// Its idle connections.
    pub pool: Arc<Pool>,
    /// Room for bodies that are read whole, in KiB: what one agent sends may not take all memory.
    pub bodies: Arc<Semaphore>,
    /// Places for clients that are kept waiting for a person; who finds none is handed the hold at once.
    pub seats: Arc<Semaphore>,
    /// Room for answers that are read for what they teach, in KiB; one that finds none teaches nothing.
    pub lessons: Arc<Semaphore>,
    /// Bounds the certificates minted for hosts that no resource declares.
    pub undeclared: DefaultDirectRateLimiter,
    standing: ArcSwap<Standing>,
    at_large: ArcSwap<CancellationToken>,
    critical: Mutex<Trajectory>,
    session: Mutex<Session>,
    /// How unusual its session is, where it has a baseline.
    tally: Mutex<Tally>,
    places: AtomicU32,
    /// What was heard of its conversations.
    heard: Mutex<Heard>,
    /// The bodies of its conversations that wait to be read.
    pub readings: Arc<Readings>,
    /// The change of the trajectory that is in the store.
    kept: AtomicU64,
    /// What the store has not heard of the sightings.
    unkept_sightings: Mutex<Vec<Change>>,
    /// The tool calls that were told of lately.
    tool_calls: Mutex<Reported>,
}

/// A place among the connections of one agent.
#[derive(Debug)]
pub struct Place(Arc<AgentState>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.places.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Session {
    id: Arc<str>,
    last: Instant,
}

impl AgentState {
    fn new(name: &str, standing: Standing, trajectory: Trajectory) -> Self {
        let at_large = CancellationToken::new();
        if standing.quarantined.is_some() {
            at_large.cancel();
        }
        Self {
            name: Arc::from(name),
            pool: Arc::new(Pool::default()),
            bodies: Arc::new(Semaphore::new(BODIES_KIB)),
            seats: Arc::new(Semaphore::new(SEATS)),
            lessons: Arc::new(Semaphore::new(LESSONS_KIB)),
            undeclared: RateLimiter::direct(Quota::per_second(UNDECLARED_PER_SECOND)),
            standing: ArcSwap::from_pointee(standing),
            at_large: ArcSwap::from_pointee(at_large),
            critical: Mutex::new(trajectory),
            tally: Mutex::default(),
            session: Mutex::new(Session { id: new_session(), last: Instant::now() }),
            places: AtomicU32::new(0),
            heard: Mutex::default(),
            readings: Arc::default(),
            kept: AtomicU64::new(0),
            unkept_sightings: Mutex::default(),
            tool_calls: Mutex::default(),
        }
    }

    /// Whether a tool call is told of for the first time, or is the one that was told of before: by its
    /// agent and in the conversation with its model, or again at once.
    pub fn is_new_call(&self, told: Told, at: Duration) -> bool {
        self.tool_calls.lock().unwrap_or_else(PoisonError::into_inner).is_new(told, at)
    }

    /// Forgets which tool calls were told of: what is done again is news again.
    pub fn forget_calls(&self) {
        self.tool_calls.lock().unwrap_or_else(PoisonError::into_inner).forget();
    }

    /// Takes a place among the agent's connections; none if it has as many as it may.
    pub fn place(self: &Arc<Self>, most: u32) -> Option<Place> {
        let more = |places: u32| (places < most).then_some(places + 1);
        let taken = self.places.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok().then(|| Place(self.clone()))
    }

    /// The standing of now.
    pub fn standing(&self) -> Arc<Standing> {
        self.standing.load_full()
    }

    /// Cancelled while the agent is in quarantine, and for what was open when it was put there.
    pub fn quarantine(&self) -> CancellationToken {
        CancellationToken::clone(&self.at_large.load())
    }

    /// Runs the critical section: nobody else changes standing or trajectory meanwhile.
    pub fn critically<T>(&self, section: impl FnOnce(&mut Standing, &mut Trajectory) -> T) -> T {
        let mut trajectory = self.critical.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.standing.load_full();
        let mut standing = Standing::clone(&before);
        let value = section(&mut standing, &mut trajectory);
        let quarantined = standing.quarantined.is_some();
        self.standing.store(Arc::new(standing));
        match (before.quarantined.is_some(), quarantined) {
            (false, true) => self.at_large.load().cancel(),
            (true, false) => self.at_large.store(Arc::default()),
            _ => {}
        }
        value
    }

    /// The stages of now. Whoever has more to do than to look does it without keeping others waiting.
    pub fn trajectory(&self) -> Trajectory {
        self.looked_at(Trajectory::clone)
    }

    /// Looks at the stages so far; nobody adds to them meanwhile.
    pub fn looked_at<T>(&self, look: impl FnOnce(&Trajectory) -> T) -> T {
        look(&self.critical.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The trajectory, if it changed since it was kept.
    pub fn unkept(&self) -> Option<Trajectory> {
        let kept = self.kept.load(Ordering::Relaxed);
        self.looked_at(|trajectory| (trajectory.changes() != kept).then(|| trajectory.clone()))
    }

    /// Notes that the trajectory is in the store.
    pub fn is_kept(&self, trajectory: &Trajectory) {
        self.kept.store(trajectory.changes(), Ordering::Relaxed);
    }

    /// What was heard of its conversations.
    pub fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The secrets that answers handed out to it.
    pub fn seen(&self) -> Arc<Sightings> {
        self.standing.load().seen.clone()
    }

    /// Notes what an answer handed out.
    pub fn saw(&self, handed: &[Handed], answer: &Arc<Answer>) {
        self.saw_all(&[(handed, answer)]);
    }

    /// The same of several answers at once: what is known is copied for each change.
    pub fn saw_all(&self, all: &[(&[Handed], &Arc<Answer>)]) {
        let seen = self.seen();
        if all.iter().flat_map(|(handed, _)| *handed).all(|one| seen.has(one)) {
            return;
        }
        drop(seen);
        self.critically(|standing, _trajectory| {
            let changes = Arc::make_mut(&mut standing.seen).note_all(all.iter().copied());
            // They reach the store in the order in which they were made.
            self.unkept_sightings().extend(changes);
        });
    }

    /// What the store has not heard of the sightings; it is taken for kept.
    pub fn take_unkept_sightings(&self) -> Vec<Change> {
        std::mem::take(&mut *self.unkept_sightings())
    }

    /// Changes of the sightings that could not be kept after all, to be tried again.
    pub fn put_back_sightings(&self, mut changes: Vec<Change>) {
        let mut later = self.unkept_sightings();
        changes.append(&mut later);
        // A store that takes nothing for long does not take all memory: what is known now is what counts.
        changes.drain(..changes.len().saturating_sub(MOST_UNKEPT));
        *later = changes;
    }

    fn unkept_sightings(&self) -> MutexGuard<'_, Vec<Change>> {
        self.unkept_sightings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session of the last request.
    pub fn session_so_far(&self) -> Arc<str> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).id.clone()
    }

    /// The session of now; a new one after a long silence.
    pub fn session(&self) -> Arc<str> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if now.duration_since(session.last) > IDLE {
            session.id = new_session();
        }
        session.last = now;
        session.id.clone()
    }
}

/// What judging left to be remembered, on disk before anything is sent.
#[derive(Debug, Default)]
pub struct Changes {
    /// Credentials pinned, by resource.
    pub pins: Vec<(Arc<str>, Fingerprint)>,
    /// Why the agent is in quarantine from now on.
    pub quarantined: Option<Arc<str>>,
    /// Whether its writes wait from now on.
    pub hold_writes: bool,
    /// Whether they waited before.
    pub held_writes: bool,
    /// The sequences that the request completed.
    pub completed: Vec<Completed>,
}

impl Changes {
    /// Whether there is nothing to remember or tell.
    pub const fn is_empty(&self) -> bool {
        self.pins.is_empty()
            && self.quarantined.is_none()
            && !self.hold_writes
            && self.completed.is_empty()
    }

    /// These, and what came after them.
    #[must_use]
    pub fn and(mut self, later: Self) -> Self {
        self.pins.extend(later.pins);
        self.quarantined = self.quarantined.or(later.quarantined);
        self.hold_writes |= later.hold_writes;
        self.held_writes |= later.held_writes;
        self.completed.extend(later.completed);
        self
    }

    /// Takes up what completed sequences lead to: the gravest of it.
    fn conclude(&mut self, completed: Vec<Completed>, standing: &mut Standing) {
        if standing.quarantined.is_some() {
            // It gets no further than it is.
            return;
        }
        self.completed = completed;
        self.held_writes = standing.hold_writes;
        let then = |wanted: Then| self.completed.iter().find(|completed| completed.then == wanted);
        if let Some(completed) = then(Then::Quarantine) {
            let why: Arc<str> = Arc::from(format!("completed the sequence `{}`", completed.name));
            standing.quarantined = Some(why.clone());
            self.quarantined = Some(why);
        } else if then(Then::HoldWrites).is_some() {
            standing.hold_writes = true;
            self.hold_writes = true;
        }
    }
}

impl AgentState {
    /// Judges a request and notes its stages, in one critical section; a plain read takes none.
    pub fn judge<B>(
        &self,
        request: Inspected<B>,
        policy: &Policy,
        agent: &Agent,
        grant: Option<&Grant>,
        inventory: View<'_>,
        at: Duration,
    ) -> (Verdict<B>, Changes) {
        let before = agent.baseline.is_some().then(|| self.before()).flatten();
        let before = before.as_ref();
        let (verdict, changes) = self.judged(request, policy, agent, grant, inventory, at, before);
        self.tell(verdict.ruling());
        (verdict, changes)
    }

    #[expect(clippy::too_many_arguments, reason = "all that a verdict depends on")]
    fn judged<B>(
        &self,
        request: Inspected<B>,
        policy: &Policy,
        agent: &Agent,
        grant: Option<&Grant>,
        inventory: View<'_>,
        at: Duration,
        before: Option<&Before>,
    ) -> (Verdict<B>, Changes) {
        let reads = request.facts().operations().iter().all(|o| o.effect == Effect::Read);
        if reads {
            let standing = self.standing();
            let judged = |past: Past<'_>| {
                let context =
                    Context { policy, agent, standing: &standing, inventory, grant, past, before };
                decide(request, &context)
            };
            let verdict = if policy.sequences.requirements.is_empty() {
                judged(Past::NOTHING)
            } else {
                judged(self.trajectory().until(at))
            };
            let ruling = verdict.ruling();
            if ruling.stages.is_empty() && ruling.pins.is_empty() {
                return (verdict, Changes::default());
            }
            return self.critically(|standing, trajectory| {
                note(verdict, policy, standing, trajectory, at)
            });
        }
        self.critically(|standing, trajectory| {
            let past = trajectory.until(at);
            let context = Context { policy, agent, standing, inventory, grant, before, past };
            let verdict = decide(request, &context);
            note(verdict, policy, standing, trajectory, at)
        })
    }

    /// The last request of the session that passed, where the agent has a baseline.
    fn before(&self) -> Option<Before> {
        let session = self.session_so_far();
        self.tally().before(&session).cloned()
    }

    /// How unusual the session has been, for reports.
    pub fn surprise(&self, baseline: &Baseline) -> serde_json::Value {
        let session = self.session_so_far();
        self.tally().report(&session, &baseline.profile, &baseline.model)
    }

    /// Counts a request that passes; this takes no part in the critical section, so that reads stay
    /// out of it.
    fn tell(&self, ruling: &Ruling) {
        if let (Word::Allow, Some(unusual)) = (ruling.word, &ruling.surprise) {
            let session = self.session_so_far();
            self.tally().note(&session, &unusual.surprise);
        }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what an answer, or a conversation, showed. It has come, so a sequence that it completes
    /// bears on what follows.
    pub fn showed(&self, stage: Stage, what: &Arc<str>, policy: &Policy, at: Duration) -> Changes {
        self.showed_all(&[Fact { stage, what: what.clone() }], call_of([&**what]), policy, at)
    }

    /// Notes all that the answer to one call showed, in its order.
    pub fn showed_all(&self, facts: &[Fact], call: u64, policy: &Policy, at: Duration) -> Changes {
        if facts.is_empty() {
            return Changes::default();
        }
        self.critically(|standing, trajectory| {
            let mut changes = Changes::default();
            changes.conclude(trajectory.note(facts, call, at, &policy.sequences), standing);
            changes
        })
    }

    /// Takes up tokens that were handed out; returns which are not kept any more.
    pub fn derive(&self, tokens: &[(Fingerprint, Token)], now: Duration) -> Vec<Fingerprint> {
        self.critically(|standing, _trajectory| {
            let mut kept = |(print, token): &(Fingerprint, Token)| {
                standing.derived.keep(*print, token.clone(), now)
            };
            tokens.iter().flat_map(&mut kept).collect()
        })
    }
}

fn note<B>(
    mut verdict: Verdict<B>,
    policy: &Policy,
    standing: &mut Standing,
    trajectory: &mut Trajectory,
    at: Duration,
) -> (Verdict<B>, Changes) {
    let mut changes = Changes::default();
    let ruling = verdict.ruling();
    if matches!(verdict, Verdict::Allow(_)) {
        for (resource, fingerprint) in &ruling.pins {
            let pinned = standing.pins.entry(resource.clone()).or_default();
            if pinned.contains(fingerprint) {
                continue;
            }
            // Credentials of one request are pinned together; those of another come too late.
            let ours = changes.pins.iter().any(|(name, _)| name == resource);
            if !pinned.is_empty() && !ours {
                let detail = "Another credential was pinned for this resource first; use the one you were given.";
                return (verdict.denied(Reason::ForeignCredential, detail), Changes::default());
            }
            pinned.push(*fingerprint);
            changes.pins.push((resource.clone(), *fingerprint));
        }
    }
    // A read is judged by a standing that may have changed since.
    let barred = standing.quarantined.is_some() && !ruling.spared;
    let (facts, call) = (ruling.facts(), ruling.call());
    changes.conclude(trajectory.note(&facts, call, at, &policy.sequences), standing);
    verdict.completes(&changes.completed);
    if barred && !matches!(verdict, Verdict::Deny(_)) {
        let detail = "The agent is in quarantine until an operator releases it; stop and report to the person you work for.";
        return (verdict.denied(Reason::Quarantined, detail), changes);
    }
    if changes.quarantined.is_some() {
        let detail = "This call completes a dangerous sequence, so the agent is in quarantine until an operator releases it; stop and report to the person you work for.";
        return (verdict.denied(Reason::Quarantined, detail), changes);
    }
    if changes.hold_writes {
        let detail = "This call completes a dangerous sequence; it is refused, and this agent's writes wait for a person from now on.";
        return (verdict.denied(Reason::Quarantined, detail), changes);
    }
    (verdict, changes)
}

impl std::fmt::Debug for AgentState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AgentState").field("name", &self.name).finish_non_exhaustive()
    }
}

fn new_session() -> Arc<str> {
    Arc::from(format!("s_{}", uuid::Uuid::now_v7().simple()))
}

/// The states of all agents. They outlive reloads of the policy.
#[derive(Debug, Default)]
pub struct Agents {
    known: RwLock<HashMap<Arc<str>, Arc<AgentState>>>,
}

impl Agents {
    /// With what the store remembers of them.
    pub fn new(
        mut standings: HashMap<String, Standing>,
        mut trajectories: HashMap<String, Trajectory>,
    ) -> Self {
        let names: BTreeSet<String> =
            standings.keys().chain(trajectories.keys()).cloned().collect();
        let known = names.into_iter().map(|name| {
            let standing = standings.remove(&name).unwrap_or_default();
            let trajectory = trajectories.remove(&name).unwrap_or_default();
            let state = Arc::new(AgentState::new(&name, standing, trajectory));
            (state.name.clone(), state)
        });
        Self { known: RwLock::new(known.collect()) }
    }

    /// The state of an agent; only ever asked for names that the policy has.
    pub fn get(&self, name: &str) -> Arc<AgentState> {
        if let Some(state) = self.known.read().unwrap_or_else(PoisonError::into_inner).get(name) {
            return state.clone();
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        let state = known.entry(Arc::from(name)).or_insert_with(|| {
            Arc::new(AgentState::new(name, Standing::default(), Trajectory::default()))
        });
        state.clone()
    }

    /// All agents seen so far.
    pub fn all(&self) -> Vec<Arc<AgentState>> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::{AssertUnwindSafe, catch_unwind};

    /// O-08: a failure in the middle of a judgement leaves what it found, and the next one goes on.
    #[test]
    fn a_panic_in_the_critical_section_opens_nothing() {
        let state = Arc::new(AgentState::new("a", Standing::default(), Trajectory::default()));
        state.critically(|standing, _| standing.quarantined = Some(Arc::from("why")));
        let failed = catch_unwind(AssertUnwindSafe(|| {
            state.critically(|standing, _| {
                standing.quarantined = None;
                panic!("in the middle");
            })
        }));
        assert!(failed.is_err());
        assert!(state.standing().quarantined.is_some());
        assert!(state.quarantine().is_cancelled());
        state.critically(|standing, _| standing.hold_writes = true);
        assert!(state.standing().hold_writes);
    }

    /// O-07: places come back.
    #[test]
    fn an_agent_has_so_many_places() {
        let state = Arc::new(AgentState::new("a", Standing::default(), Trajectory::default()));
        let (first, second) = (state.place(2), state.place(2));
        assert!(first.is_some() && second.is_some() && state.place(2).is_none());
        drop(first);
        assert!(state.place(2).is_some());
    }
}
