//! Calls that wait for a person.
//!
//! Takes what a held call is about; returns the hold to wait on, and its grant once enough people
//! have approved. Identical calls share one hold; of all who redeem it one succeeds. Every answer is
//! recorded before it takes effect. Nothing on the agent's side can cancel or approve.

mod card;
mod state;
mod tool;

pub use card::{Card, CardCredential, CardOperation, CardTarget, escaped};
pub use state::{Happening, State, Times};
pub use tool::CardTool;

use crate::audit::{Entry, Kind, Log, NotRecorded, Text};
use crate::decide::{Grant, Terms};
use crate::store::{Opened, Store, StoredApproval, StoredHold};
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// A held call that asks for a person.
#[derive(Debug)]
pub struct Ask {
    /// What makes a retry the same call.
    pub digest: [u8; 32],
    /// Whose call it is.
    pub agent: Arc<str>,
    /// In which session.
    pub session: String,
    /// By which request.
    pub request_id: String,
    /// What the approver reads.
    pub card: Card,
    /// What a grant will cover.
    pub terms: Terms,
    /// How many people must agree.
    pub needed: usize,
    /// How long it can be approved.
    pub expire: Duration,
    /// How long an approval can be used.
    pub redeem: Duration,
    /// How many of the agent's calls may wait at a time.
    pub most_waiting: u32,
}

/// A hold as people and programs see it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct View {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub state: State,
    /// Whose call it is.
    pub agent: String,
    /// In which session.
    pub session: String,
    /// By which request it was made.
    pub request_id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// From then on nobody can approve it.
    pub expires_at: Timestamp,
    /// From then on an approval cannot be used.
    pub redeem_until: Option<Timestamp>,
    /// How many people must agree.
    pub needed: i64,
    /// Who has answered.
    pub approvals: Vec<Answered>,
    /// What the approver reads.
    pub card: Card,
}

/// A person's answer.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Answered {
    /// Who.
    pub approver: String,
    /// `approve` or `deny`.
    pub decision: String,
    /// Why, in the person's words.
    pub reason: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What a person says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It may be sent once.
    Approve,
    /// It may not.
    Deny,
}

/// What subscribers are told.
#[derive(Clone, Debug)]
pub enum Event {
    /// A call began to wait.
    Opened(Arc<View>),
    /// A hold changed.
    Changed(Arc<View>),
}

/// Why a call cannot wait.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The agent has too many that wait.
    #[error("{most} calls of the agent wait already")]
    OverLimit {
        /// How many may.
        most: u32,
    },
    /// It could not be kept or recorded.
    #[error(transparent)]
    Kept(#[from] Error),
}

/// Why something cannot be done with a hold; ours or the machine's fault.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store.
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    /// What was kept cannot be read.
    #[error("a hold cannot be read: {0}")]
    Form(#[from] serde_json::Error),
    /// The audit log.
    #[error(transparent)]
    NotRecorded(#[from] NotRecorded),
}

/// Why an answer is not taken.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// There is no such hold.
    #[error("there is no hold `{0}`")]
    NotFound(String),
    /// It is over.
    #[error("the hold is {}; nothing can change it any more", .0.as_str())]
    Over(State),
    /// The same person has answered already.
    #[error("you have answered already; another person has to")]
    AlreadyAnswered,
    /// It could not be kept or recorded.
    #[error(transparent)]
    Kept(#[from] Error),
}

/// The calls that wait. Clones are the same.
#[derive(Clone, Debug)]
pub struct Holds {
    store: Store,
    log: Log,
    events: broadcast::Sender<Event>,
    // The wall clock may be set back, which must not let a hold live longer.
    opened: Arc<Mutex<HashMap<String, Instant>>>,
}

impl Holds {
    /// Over a store and an audit log.
    pub fn new(store: Store, log: Log) -> Self {
        Self { store, log, events: broadcast::channel(1024).0, opened: Arc::default() }
    }

    /// Hears of what happens to holds from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// The hold of a call: the one that lives, one that was denied and has not expired, or a new one.
    pub async fn open(&self, ask: Ask) -> Result<View, OpenError> {
        let now = now();
        let hold = StoredHold {
            id: new_id(),
            agent: ask.agent.to_string(),
            digest: ask.digest,
            state: State::Waiting,
            session: ask.session,
            request_id: ask.request_id,
            created: now,
            times: Times {
                expires: now.saturating_add(milliseconds(ask.expire)),
                redeem_until: None,
            },
            redeem_for: milliseconds(ask.redeem),
            needed: i64::try_from(ask.needed).unwrap_or(i64::MAX).max(1),
            terms: serde_json::to_string(&ask.terms).map_err(Error::from)?,
            card: serde_json::to_string(&ask.card).map_err(Error::from)?,
            approvals: Vec::new(),
        };
        match self.store.open_hold(hold, ask.most_waiting).await.map_err(Error::from)? {
            Opened::OverLimit => Err(OpenError::OverLimit { most: ask.most_waiting }),
            Opened::Found(hold) => Ok(view(hold)?),
            Opened::New(hold) => {
                self.opened().insert(hold.id.clone(), Instant::now());
                let view = view(hold)?;
                if let Err(error) = self.record(Kind::Hold, &view, None, None).await {
                    // What is not in the record asks nobody.
                    self.store
                        .change_hold(&view.id, Happening::Withdraw, self::now())
                        .await
                        .map_err(Error::from)?;
                    return Err(Error::from(error).into());
                }
                self.tell(Event::Opened(Arc::new(view.clone())));
                Ok(view)
            }
        }
    }

    /// Waits until a hold is no longer waiting, for so long at the most, or until told to stop.
    pub async fn wait(
        &self,
        id: &str,
        longest: Duration,
        stop: &CancellationToken,
    ) -> Result<Option<View>, Error> {
        let mut events = self.subscribe();
        let deadline = tokio::time::Instant::now() + longest;
        loop {
            let Some(view) = self.show(id).await? else { return Ok(None) };
            if view.state != State::Waiting {
                return Ok(Some(view));
            }
            let until_expiry = milliseconds_until(view.expires_at);
            let next = deadline.min(tokio::time::Instant::now() + until_expiry);
            tokio::select! {
                () = heard_of(&mut events, id) => {}
                () = tokio::time::sleep_until(next) => {
                    if tokio::time::Instant::now() >= deadline {
                        return self.show(id).await;
                    }
                }
                () = stop.cancelled() => return Ok(Some(view)),
            }
        }
    }

    /// What an approval left, if the hold is approved.
    /// Only the approvals of people count who may approve now.
    pub async fn grant(
        &self,
        id: &str,
        may_approve: impl Fn(&str) -> bool,
    ) -> Result<Option<Grant>, Error> {
        let Some(hold) = self.look(id).await? else { return Ok(None) };
        if hold.state != State::Approved {
            return Ok(None);
        }
        let counts = |answer: &&StoredApproval| {
            answer.decision == "approve" && may_approve(&answer.approver)
        };
        let approvers = hold.approvals.iter().filter(counts).count();
        Ok(Some(Grant { hold: hold.id, terms: serde_json::from_str(&hold.terms)?, approvers }))
    }

    /// Redeems an approval: of all who try, one gets true, and it is on disk when it does.
    pub async fn redeem(&self, id: &str) -> Result<bool, Error> {
        let Some((hold, changed)) = self.store.change_hold(id, Happening::Redeem, now()).await?
        else {
            return Ok(false);
        };
        let redeemed = changed && hold.state == State::Redeemed;
        if changed {
            self.tell(Event::Changed(Arc::new(view(hold)?)));
        }
        Ok(redeemed)
    }

    /// Takes a hold back.
    pub async fn withdraw(&self, id: &str) -> Result<(), Error> {
        if let Some((hold, true)) = self.store.change_hold(id, Happening::Withdraw, now()).await? {
            let view = view(hold)?;
            self.record(
                Kind::Hold,
                &view,
                None,
                Some("withdrawn: the policy of now does not allow it"),
            )
            .await?;
            self.tell(Event::Changed(Arc::new(view)));
        }
        Ok(())
    }

    /// Takes a person's answer, once it is recorded.
    pub async fn answer(
        &self,
        id: &str,
        approver: &str,
        decision: Decision,
        reason: Option<String>,
    ) -> Result<View, AnswerError> {
        let before = self.show(id).await?.ok_or_else(|| AnswerError::NotFound(id.to_owned()))?;
        if before.state != State::Waiting {
            return Err(AnswerError::Over(before.state));
        }
        if before.approvals.iter().any(|answer| answer.approver == approver) {
            return Err(AnswerError::AlreadyAnswered);
        }
        let reason = reason.map(|text| text.chars().take(500).collect::<String>());
        let word = match decision {
            Decision::Approve => "approve",
            Decision::Deny => "deny",
        };
        let detail =
            reason.as_ref().map_or_else(|| word.to_owned(), |reason| format!("{word}: {reason}"));
        self.record(Kind::Approval, &before, Some(approver), Some(&detail))
            .await
            .map_err(Error::from)?;
        let answer = StoredApproval {
            approver: approver.to_owned(),
            decision: word.to_owned(),
            reason,
            at: now(),
        };
        let answered = self.store.answer_hold(id, &answer).await.map_err(Error::from)?;
        let (hold, added) = answered.ok_or_else(|| AnswerError::NotFound(id.to_owned()))?;
        if !added {
            return Err(if hold.state == State::Waiting {
                AnswerError::AlreadyAnswered
            } else {
                AnswerError::Over(hold.state)
            });
        }
        let view = view(hold)?;
        self.tell(Event::Changed(Arc::new(view.clone())));
        Ok(view)
    }

    /// A hold as it stands.
    pub async fn show(&self, id: &str) -> Result<Option<View>, Error> {
        self.look(id).await?.map(view).transpose()
    }

    /// The holds that wait, or the newest of all.
    pub async fn list(&self, all: bool) -> Result<Vec<View>, Error> {
        self.store.holds(all, now()).await?.into_iter().map(view).collect()
    }

    async fn look(&self, id: &str) -> Result<Option<StoredHold>, Error> {
        let Some(hold) = self.store.hold(id, now()).await? else { return Ok(None) };
        let since = self.opened().get(id).map(Instant::elapsed);
        let life = hold.times.expires.saturating_sub(hold.created);
        if hold.state == State::Waiting && since.is_some_and(|since| milliseconds(since) >= life) {
            return Ok(self.store.hold(id, hold.times.expires).await?);
        }
        if !hold.state.is_live() {
            self.opened().remove(id);
        }
        Ok(Some(hold))
    }

    fn opened(&self) -> std::sync::MutexGuard<'_, HashMap<String, Instant>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, event: Event) {
        // Nobody listens: then nobody waits either.
        if self.events.send(event).is_err() {
            tracing::trace!("a hold changed and nobody listens");
        }
    }

    async fn record(
        &self,
        kind: Kind,
        view: &View,
        approver: Option<&str>,
        detail: Option<&str>,
    ) -> Result<(), NotRecorded> {
        let mut entry = Entry::new(kind, Timestamp::now());
        entry.hold = Some(Text::from(view.id.clone()));
        entry.agent = Some(Text::from(view.agent.clone()));
        entry.session = Some(Text::from(view.session.clone()));
        entry.request_id = Some(Text::from(view.request_id.clone()));
        entry.approver = approver.map(|name| Text::from(name.to_owned()));
        entry.reason = Some(Text::from(view.card.reason.clone()));
        entry.operations =
            view.card.operations.iter().map(|o| Text::from(o.name.clone())).collect();
        entry.detail = detail.map(|detail| Text::from(detail.to_owned()));
        self.log.commit(entry).await.map(drop)
    }
}

impl View {
    /// Whether it cannot change any more.
    pub const fn is_over(&self) -> bool {
        !self.state.is_live()
    }
}

async fn heard_of(events: &mut broadcast::Receiver<Event>, id: &str) {
    loop {
        match events.recv().await {
            Ok(Event::Changed(view)) if view.id == id => return,
            Ok(_) => {}
            // What was missed may have been this hold's.
            Err(broadcast::error::RecvError::Lagged(_)) => return,
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }
}

fn view(hold: StoredHold) -> Result<View, Error> {
    let time = |at: i64| Timestamp::from_millisecond(at).unwrap_or(Timestamp::MAX);
    let answered = |answer: StoredApproval| Answered {
        approver: answer.approver,
        decision: answer.decision,
        reason: answer.reason,
        at: time(answer.at),
    };
    Ok(View {
        state: hold.state,
        agent: hold.agent,
        session: hold.session,
        request_id: hold.request_id,
        created_at: time(hold.created),
        expires_at: time(hold.times.expires),
        redeem_until: hold.times.redeem_until.map(time),
        needed: hold.needed,
        approvals: hold.approvals.into_iter().map(answered).collect(),
        card: serde_json::from_str(&hold.card)?,
        id: hold.id,
    })
}

/// Sixty-four random bits: nobody guesses one, and a person can type it.
fn new_id() -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    let (head, tail) = random.split_at_checked(12).unwrap_or((&random, ""));
    // The version and variant digits of the UUID are not random.
    format!("h_{head}{}", tail.get(5..9).unwrap_or_default())
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

fn milliseconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn milliseconds_until(time: Timestamp) -> Duration {
    let left = time.as_millisecond().saturating_sub(now()).max(1);
    Duration::from_millis(left.cast_unsigned())
}

#[cfg(test)]
mod tests;
