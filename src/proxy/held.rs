//! A call that waits for a person.
//!
//! Takes a held request; returns the upstream's answer once it is approved, or the hold to come back
//! with. After an approval the request is judged again, with the grant, by the policy of now; from
//! the redemption on it runs in a task of its own to its end, whatever the client does.

use super::{AnswerBody, Caller, Proxy, Snapshot, Way, intake};
use crate::audit::{Entry, Kind, Text};
use crate::decide::{Denied, Held, Permit, Reason, Ruling, Verdict};
use crate::forward::Coming;
use crate::hold::{Ask, Card, OpenError, State, View};
use crate::inspect::{Inspected, Unreadable};
use crate::message::Body;
use crate::record::Exchange;
use crate::respond::{Manner, Refusal};
use crate::session::{AgentState, Changes};
use http::Response;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::OwnedSemaphorePermit;

impl Proxy {
    /// Waits for a person, and then sends or refuses.
    pub(super) async fn held(
        self: &Arc<Self>,
        held: Held<Coming>,
        caller: &Arc<Caller>,
        snapshot: &Arc<Snapshot>,
        exchange: &Arc<Exchange>,
        way: Way,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let policy = &snapshot.policy;
        let manner = way.manner;
        let (request, ruling) = held.into_request();
        // Nobody can approve what has not arrived: a body that streamed is gathered now.
        let (request, _room) = match whole(request, caller, snapshot, manner).await {
            Ok(request) => request,
            Err(refusal) => {
                exchange.refused(None, &refusal.ruling, policy, None).await;
                return Err(refusal);
            }
        };
        let held = Held::again(request, ruling);
        let held = Box::pin(self.looked_up(held, caller, snapshot, exchange, manner)).await?;
        let view = match self.open(&held, caller, snapshot, exchange).await {
            Ok(view) => view,
            Err(ruling) => {
                exchange
                    .refused(Some(held.request().message().head()), &ruling, policy, None)
                    .await;
                return Err(manner.refusal(ruling));
            }
        };
        let head = held.request().message().head();
        if view.state != State::Approved {
            exchange.refused(Some(head), held.ruling(), policy, Some(&view.id)).await;
        }
        let before = view.state;
        let seat = caller.state.seats.try_acquire();
        let longest = if seat.is_ok() { policy.holds.wait } else { Duration::ZERO };
        let view = match self.holds.wait(&view.id, longest, &self.stop).await {
            Ok(Some(now)) => now,
            Ok(None) => view,
            Err(error) => {
                tracing::error!(%error, "a hold could not be read");
                view
            }
        };
        if view.state != State::Approved {
            let (request, ruling) = held.into_request();
            let mut refusal = manner.refusal(ruling);
            if view.state != State::Waiting {
                refusal.ruling.word = crate::policy::Word::Deny;
            }
            if view.state != before {
                let head = Some(request.message().head());
                exchange.refused(head, &refusal.ruling, policy, Some(&view.id)).await;
            }
            refusal.hold = Some(Box::new(view));
            return Err(refusal);
        }
        self.redeem(held, view, caller, exchange, way).await
    }

    /// The hold of a held call.
    pub(super) async fn open(
        &self,
        held: &Held<Coming>,
        caller: &Arc<Caller>,
        snapshot: &Snapshot,
        exchange: &Exchange,
    ) -> Result<View, Ruling> {
        let policy = &snapshot.policy;
        let Some(digest) = held.digest(&caller.state.name, &policy.fingerprints) else {
            return Err(Ruling::unreadable(Unreadable::Truncated, policy));
        };
        let ask = Ask {
            digest,
            agent: caller.state.name.clone(),
            session: caller.state.session().to_string(),
            request_id: exchange.request_id.to_string(),
            card: self.told(Card::of(held), caller, policy),
            terms: held.ruling().terms.clone(),
            needed: held.ruling().approvals_needed,
            expire: policy.holds.expire,
            redeem: policy.holds.redeem,
            most_waiting: policy.holds.most_waiting,
        };
        self.opened(ask).await
    }

    /// The hold of what waits for a person.
    pub(crate) async fn opened(&self, ask: Ask) -> Result<View, Ruling> {
        let holds = self.holds.clone();
        // It is kept, recorded and told also when the client does not wait for that.
        let opening = self.tasks.spawn(async move { holds.open(ask).await });
        let opened = opening.await.map_err(|error| {
            tracing::error!(%error, "a hold was lost in a failure of its task");
            Ruling::denial(Reason::NotRecorded, NOT_KEPT)
        })?;
        opened.map_err(|error| match error {
            OpenError::OverLimit { .. } => Ruling::denial(
                Reason::OverLimit,
                "Too many calls of this agent wait for a person already; stop, and report what is waiting.",
            ),
            OpenError::Kept(error) => {
                tracing::error!(%error, "a hold could not be made");
                Ruling::denial(Reason::NotRecorded, NOT_KEPT)
            }
        })
    }

    /// Redeems the grant of an approved call and sends it.
    async fn redeem(
        self: &Arc<Self>,
        held: Held<Coming>,
        view: View,
        caller: &Arc<Caller>,
        exchange: &Arc<Exchange>,
        way: Way,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let manner = way.manner;
        let Granted { permit, snapshot, ruling } =
            self.granted(held, &view, caller, exchange, manner).await?;
        let proxy = self.clone();
        let (caller, refused, id) = (caller.clone(), exchange, view.id.clone());
        let exchange = exchange.clone();
        let sending = self.tasks.spawn(async move {
            proxy.redeem_and_send(permit, &id, &caller, &snapshot, &exchange, way).await
        });
        match sending.await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(Some(refusal))) => Err(*refusal),
            Ok(Err(None)) => {
                refused.refused(None, &ruling, &self.current.load().policy, Some(&view.id)).await;
                Err(self.unavailable(manner, ruling, view).await)
            }
            Err(error) => {
                tracing::error!(%error, "a redeemed call ended in a failure of its task");
                Err(manner.refusal(Ruling::denial(
                    Reason::NotRecorded,
                    "The call failed inside the proxy; whether it was sent is in its record.",
                )))
            }
        }
    }

    /// Judges an approved call again by the policy of now, with its grant. Nothing is redeemed yet.
    pub(super) async fn granted(
        self: &Arc<Self>,
        held: Held<Coming>,
        view: &View,
        caller: &Arc<Caller>,
        exchange: &Exchange,
        manner: Manner,
    ) -> Result<Granted, Refusal> {
        let snapshot = self.current.load_full();
        let policy = &snapshot.policy;
        let (request, ruling) = held.into_request();
        let grant = match self.holds.grant(&view.id, |name| policy.may_approve(name)).await {
            Ok(Some(grant)) => grant,
            Ok(None) => {
                exchange.refused(None, &ruling, policy, Some(&view.id)).await;
                return Err(self.unavailable(manner, ruling, view.clone()).await);
            }
            Err(error) => {
                tracing::error!(%error, "a grant could not be read");
                return Err(self.unavailable(manner, ruling, view.clone()).await);
            }
        };
        let agent = match super::still(policy, caller) {
            Ok(agent) => agent,
            Err(refusal) => {
                exchange.refused(None, &refusal.ruling, policy, Some(&view.id)).await;
                return Err(refusal);
            }
        };
        let (verdict, changes) = self.judge(&caller.state, request, policy, agent, Some(&grant));
        self.remember(&caller.state, changes).await?;
        let ruling = match verdict {
            Verdict::Allow(permit) => return Ok(Granted { permit, snapshot, ruling }),
            Verdict::Deny(denied) => {
                self.withdraw(&view.id).await;
                exchange.refused(Some(&denied.head), &denied.ruling, policy, Some(&view.id)).await;
                denied.ruling
            }
            Verdict::Hold(held) => {
                // The policy asks for more than was approved: the old grant is of no use.
                self.withdraw(&view.id).await;
                let head = held.request().message().head();
                exchange.refused(Some(head), held.ruling(), policy, Some(&view.id)).await;
                held.into_request().1
            }
        };
        Err(self.unavailable(manner, ruling, view.clone()).await)
    }

    /// The refusal of a call whose grant cannot be used, with its hold as it stands now.
    pub(super) async fn unavailable(
        &self,
        manner: Manner,
        ruling: Box<Ruling>,
        view: View,
    ) -> Refusal {
        let mut refusal = manner.refusal(ruling);
        refusal.hold = Some(Box::new(self.current_view(view).await));
        refusal
    }

    /// Redeems first, so that of all who hold the grant one sends. None if another one did.
    async fn redeem_and_send(
        self: &Arc<Self>,
        permit: Permit<Coming>,
        id: &str,
        caller: &Arc<Caller>,
        snapshot: &Arc<Snapshot>,
        exchange: &Arc<Exchange>,
        way: Way,
    ) -> Result<Response<AnswerBody>, Option<Box<Refusal>>> {
        match self.holds.redeem(id).await {
            Ok(true) => {}
            Ok(false) => return Err(None),
            Err(error) => {
                tracing::error!(%error, "a grant could not be redeemed");
                return Err(None);
            }
        }
        self.send(permit, caller, snapshot, exchange, Some(id), way)
            .await
            .map_err(|refusal| Some(Box::new(refusal)))
    }

    pub(crate) async fn withdraw(&self, id: &str) {
        if let Err(error) = self.holds.withdraw(id).await {
            tracing::error!(%error, hold = id, "a hold could not be withdrawn");
        }
    }

    /// Takes back what a quarantined agent was waiting for, or could still redeem.
    async fn withdraw_all(&self, agent: &str) {
        match self.holds.list(true).await {
            Ok(holds) => {
                for hold in holds.iter().filter(|hold| hold.agent == agent && !hold.is_over()) {
                    self.withdraw(&hold.id).await;
                }
            }
            Err(error) => tracing::error!(%agent, %error, "holds could not be withdrawn"),
        }
    }

    async fn current_view(&self, view: View) -> View {
        self.holds.show(&view.id).await.ok().flatten().unwrap_or(view)
    }

    /// Puts on disk what judging left to be remembered, before anything is sent.
    /// It goes on when the client does not.
    pub(crate) async fn remember(
        self: &Arc<Self>,
        state: &Arc<AgentState>,
        changes: Changes,
    ) -> Result<(), Refusal> {
        let (proxy, state) = (self.clone(), state.clone());
        let mut changes = changes;
        let told = &self.telling.told;
        changes.completed =
            told.news(&state.name, &changes.completed, changes.held_writes, self.clock.now());
        let kept = self.tasks.spawn(async move {
            let kept = proxy.keep(&state.name, &changes).await;
            crate::notify::completed(&proxy, &state.name, &changes.completed);
            if kept.is_err() {
                // What is not on disk must not be taken for it.
                state.critically(|standing, _trajectory| {
                    for (resource, fingerprint) in &changes.pins {
                        if let Some(pins) = standing.pins.get_mut(resource) {
                            pins.retain(|pin| pin != fingerprint);
                        }
                    }
                });
                proxy.restrain_later(&state.name, &changes);
            }
            kept
        });
        kept.await.unwrap_or_else(|error| {
            tracing::error!(%error, "what a verdict depends on was lost in a failure of its task");
            Err(unkept())
        })
    }

    /// Has what was noted beside a call kept, for which nobody waits: what restrains the agent holds in
    /// memory by now, and keeping it is tried again.
    pub(super) fn remember_later(
        self: &Arc<Self>,
        state: &Arc<AgentState>,
        changes: Changes,
        request_id: &Arc<str>,
    ) {
        if changes.is_empty() {
            return;
        }
        let (proxy, state, request_id) = (self.clone(), state.clone(), request_id.clone());
        let keeping = async move {
            if proxy.remember(&state, changes).await.is_err() {
                tracing::error!(%request_id, "what a call showed is not stored yet");
            }
        };
        // A body may be dropped when its runtime is gone.
        if let Ok(handle) = Handle::try_current() {
            self.tasks.spawn_on(keeping, &handle);
        }
    }

    /// Tries on to store a restraint, which holds in memory meanwhile.
    fn restrain_later(self: &Arc<Self>, agent: &Arc<str>, changes: &Changes) {
        if changes.quarantined.is_none() && !changes.hold_writes {
            return;
        }
        let (proxy, agent) = (self.clone(), agent.clone());
        let (quarantined, hold_writes) = (changes.quarantined.clone(), changes.hold_writes);
        self.tasks.spawn(async move {
            loop {
                tokio::select! {
                    () = proxy.stop.cancelled() => {
                        tracing::error!(%agent, "a restraint is not stored and ends with this process");
                        return;
                    }
                    () = tokio::time::sleep(RESTRAIN_AGAIN) => {}
                }
                let stored = proxy.store.restrain(&agent, quarantined.as_deref(), hold_writes).await;
                match stored {
                    Ok(()) => return,
                    Err(error) => tracing::error!(%agent, %error, "a restraint is not stored yet"),
                }
            }
        });
    }

    async fn keep(&self, agent: &Arc<str>, changes: &Changes) -> Result<(), Refusal> {
        for completed in &changes.completed {
            let mut entry = Entry::new(Kind::Session, Timestamp::now());
            entry.agent = Some(Text::from(agent));
            entry.detail = Some(Text::from(completed.told()));
            self.log.commit(entry).await.map_err(|error| {
                tracing::error!(%agent, %error, "a completed sequence could not be recorded");
                unkept()
            })?;
        }
        let kept = async {
            for (resource, fingerprint) in &changes.pins {
                self.store.add_pin(agent, resource, fingerprint).await?;
            }
            if changes.quarantined.is_some() || changes.hold_writes {
                self.store
                    .restrain(agent, changes.quarantined.as_deref(), changes.hold_writes)
                    .await?;
            }
            if changes.quarantined.is_some() {
                self.withdraw_all(agent).await;
            }
            Ok::<(), crate::store::Error>(())
        };
        kept.await.map_err(|error| {
            tracing::error!(%agent, %error, "what a verdict depends on could not be kept");
            unkept()
        })
    }

    /// Records what a person does to the session of an agent.
    async fn done(&self, agent: &str, by: &str, what: &str) -> Result<(), crate::hold::Error> {
        let mut entry = Entry::new(Kind::Session, Timestamp::now());
        entry.agent = Some(Text::from(agent.to_owned()));
        entry.approver = Some(Text::from(by.to_owned()));
        entry.detail = Some(Text::from(what.to_owned()));
        self.log.commit(entry).await?;
        Ok(())
    }

    /// Refuses everything from an agent until it is released. It holds from now on, also where it could
    /// not be kept or recorded, which is an error.
    pub async fn quarantine(
        &self,
        agent: &str,
        by: &str,
        reason: &str,
    ) -> Result<(), crate::hold::Error> {
        let name: Arc<str> = Arc::from(agent);
        self.agents.get(agent).critically(|standing, _trajectory| {
            standing.quarantined.get_or_insert_with(|| Arc::from(reason));
        });
        self.withdraw_all(&name).await;
        self.store.restrain(agent, Some(reason), false).await?;
        self.done(agent, by, &format!("put in quarantine: {reason}")).await
    }

    /// Keeps the trajectories and sightings that changed. What cannot be kept is tried again with the next.
    pub async fn keep_trajectories(&self) {
        for state in self.agents.all() {
            let changes = state.take_unkept_sightings();
            if !changes.is_empty()
                && let Err(error) = self.store.keep_sightings(&state.name, &changes).await
            {
                tracing::warn!(agent = %state.name, %error, "what it was handed could not be kept");
                state.put_back_sightings(changes);
            }
            let Some(trajectory) = state.unkept() else { continue };
            match self.store.keep_trajectory(&state.name, &trajectory).await {
                Ok(()) => state.is_kept(&trajectory),
                Err(error) => {
                    tracing::warn!(agent = %state.name, %error, "where it went could not be kept");
                }
            }
        }
    }

    /// Forgets the stages of an agent, once that is recorded; how many.
    pub async fn reset(&self, agent: &str, by: &str) -> Result<usize, crate::hold::Error> {
        self.done(agent, by, "its stages were forgotten").await?;
        let state = self.agents.get(agent);
        state.forget_calls();
        Ok(state.critically(|_standing, trajectory| trajectory.forget()))
    }

    /// Lifts quarantine and held writes from an agent, once that is recorded.
    pub async fn release(&self, agent: &str, by: &str) -> Result<bool, crate::hold::Error> {
        self.done(agent, by, "released").await?;
        let released = self.store.release(agent).await?;
        let state = self.agents.get(agent);
        state.forget_calls();
        state.critically(|standing, trajectory| {
            standing.quarantined = None;
            standing.hold_writes = false;
            trajectory.forget();
        });
        Ok(released)
    }

    /// Records a denial.
    pub(super) async fn refuse(
        &self,
        denied: Denied,
        snapshot: &Snapshot,
        exchange: &Exchange,
        manner: Manner,
        failed: Option<Unreadable>,
    ) -> Refusal {
        exchange.refused(Some(&denied.head), &denied.ruling, &snapshot.policy, None).await;
        let mut refusal = manner.refusal(denied.ruling);
        let oversize = failed == Some(Unreadable::Oversize)
            && refusal.ruling.reason == Some(Reason::Unreadable);
        refusal.status = oversize.then_some(413);
        refusal.unread = failed.is_some();
        refusal
    }
}

/// An approved call that may be sent, once its grant is redeemed.
pub(super) struct Granted {
    /// The right to send it.
    pub(super) permit: Permit<Coming>,
    /// The policy that it was judged by.
    pub(super) snapshot: Arc<Snapshot>,
    /// Why it was held.
    pub(super) ruling: Box<Ruling>,
}

const NOT_KEPT: &str =
    "The call has to wait for a person, and the hold could not be kept; try again later.";

const RESTRAIN_AGAIN: Duration = Duration::from_secs(5);

fn unkept() -> Refusal {
    Refusal::because(
        Reason::NotRecorded,
        "The call could not be recorded, so it was not sent; try again later.",
    )
}

/// A request with its body, and the room that it takes.
async fn whole(
    request: Inspected<Coming>,
    caller: &Arc<Caller>,
    snapshot: &Snapshot,
    manner: Manner,
) -> Result<(Inspected<Coming>, Option<OwnedSemaphorePermit>), Refusal> {
    let (request, streaming) = request.take_stream();
    let Some(coming) = streaming else { return Ok((request, None)) };
    let policy = &snapshot.policy;
    let room = intake::room(&coming, &policy.limits, &caller.state.bodies).await?;
    let bytes = intake::whole(coming, &policy.limits).await.map_err(|objection| {
        let refusal = intake::objected(objection);
        Refusal { status: refusal.status, unread: true, ..manner.refusal(refusal.ruling) }
    })?;
    Ok((request.with_body(Body::Whole(bytes)), Some(room)))
}
