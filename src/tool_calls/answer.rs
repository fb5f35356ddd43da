//! From a question to its answer.
//!
//! Takes a call of an agent; returns what it is told. What the call shows is noted first, in the
//! critical section of its agent; what cannot be undone waits for a person, and an approved hold is
//! redeemed by one identical call, judged again by the policy of now. Every judgement is recorded before
//! it is told; where it cannot be, the call is refused.

use super::call::Call;
use super::judge::{Judgement, Shown, judge};
use super::reported::Teller;
use crate::audit::{Entry, Finding, Kind, NotRecorded, Text};
use crate::decide::{Context, Reason};
use crate::hold::{Ask, Card, CardTool, State, View};
use crate::inventory::keeper;
use crate::policy::{Agent, Policy, Then, Word};
use crate::proxy::{Proxy, Snapshot};
use crate::record::Exchange;
use crate::session::{AgentState, Changes};
use crate::trajectory::{Fact, Stage};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// So many stages stand on a card.
const SO_FAR: usize = 12;

const QUARANTINED: &str = "The agent is in quarantine until an operator releases it; stop and report to the person you work for.";

/// What an agent is told of its tool call.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// `allow`, `hold` or `deny`.
    pub verdict: Word,
    /// The stable word for why; none where nothing speaks against it.
    pub reason: Option<String>,
    /// One sentence that a model can act on.
    pub message: String,
    /// The id by which the record has it.
    pub request_id: Option<String>,
    /// What it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<HoldAnswer>,
}

/// A hold as its agent is told of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HoldAnswer {
    /// Its id.
    pub id: String,
    /// Where it is.
    pub state: String,
}

impl Answer {
    /// A refusal.
    pub fn denied(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            verdict: Word::Deny,
            reason: Some(reason.as_str().to_owned()),
            message: message.into(),
            request_id: None,
            hold: None,
        }
    }
}

/// One question on its way.
pub(super) struct Question {
    pub(super) proxy: Arc<Proxy>,
    pub(super) state: Arc<AgentState>,
    pub(super) call: Call,
    exchange: Exchange,
}

impl Question {
    pub(super) fn new(proxy: Arc<Proxy>, state: Arc<AgentState>, call: Call) -> Self {
        let (exchange, scanner) = {
            let snapshot = proxy.current.load();
            let (name, session) = (state.name.clone(), state.session());
            let scanner = snapshot.policy.scanner.with(state.seen().traces()).into_owned();
            (Exchange::open(&proxy.log, &snapshot.policy, Some(name), Some(session)), scanner)
        };
        let call = call.without_secrets(scanner);
        Self { proxy, state, call, exchange }
    }

    /// Judges, notes, waits where a person is needed, records and answers.
    pub(super) async fn answered(self) -> Answer {
        let snapshot = self.proxy.current.load_full();
        let Some((_, agent)) = snapshot.policy.agent(&self.state.name) else {
            return Answer::denied(Reason::NotIdentified, "The policy no longer names this agent.");
        };
        let judgement = self.judged(&snapshot.policy, agent);
        let changes = self.noted(&judgement, &snapshot.policy);
        let then = changes.completed.iter().map(|completed| completed.then).collect::<Vec<_>>();
        if !changes.is_empty() && self.proxy.remember(&self.state, changes).await.is_err() {
            return self.unrecorded();
        }
        if then.iter().any(|then| *then != Then::Notify) {
            let told = "This tool call completes a dangerous sequence; stop, and report to the person you work for.";
            let answer = self.denial(Reason::Quarantined, told);
            return self.recorded(answer, &judgement, None).await;
        }
        match judgement.word() {
            Word::Allow => {
                let answer = self.allowed("Nothing speaks against this tool call here.");
                self.recorded(answer, &judgement, None).await
            }
            Word::Deny => {
                let answer = self.refused(&judgement);
                self.recorded(answer, &judgement, None).await
            }
            Word::Hold => self.held(&judgement, &snapshot).await,
        }
    }

    fn judged(&self, policy: &Policy, agent: &Agent) -> Judgement {
        let inventory = self.proxy.inventory.current();
        let view = inventory.at(keeper::now());
        let standing = self.state.standing();
        let now = self.proxy.clock.now();
        let intent = self.call.intent();
        // Judging takes a while as well: the agent's requests do not wait for it.
        let trajectory = self.state.trajectory();
        let context = Context {
            policy,
            agent,
            standing: &standing,
            inventory: view,
            grant: None,
            before: None,
            past: trajectory.until(now),
        };
        judge(&self.call, &intent, &context)
    }

    /// Notes what the call shows. One that was told of before looks for credentials once; one that is
    /// asked for again, and the requests that it makes, are the same acts.
    fn noted(&self, judgement: &Judgement, policy: &Policy) -> Changes {
        let now = self.proxy.clock.now();
        let mut facts: Vec<&Shown> = judgement.facts.iter().collect();
        let discovers = |shown: &Shown| shown.fact.stage == Stage::CredentialDiscovery;
        let told = self.call.told(Teller::Agent, &policy.fingerprints);
        if facts.iter().any(|shown| discovers(shown)) && !self.state.is_new_call(told, now) {
            facts.retain(|shown| !discovers(shown));
        }
        let own = self.call.number(&self.state.name, &policy.fingerprints);
        let mut changes = Changes::default();
        for one in facts.chunk_by(|one, other| one.request == other.request) {
            let call = one.first().and_then(|shown| shown.request).unwrap_or(own);
            let facts: Vec<Fact> = one.iter().map(|shown| shown.fact.clone()).collect();
            changes = changes.and(self.state.showed_all(&facts, call, policy, now));
        }
        changes
    }

    /// Waits for a person.
    async fn held(&self, judgement: &Judgement, snapshot: &Snapshot) -> Answer {
        let policy = &snapshot.policy;
        let reason = judgement.decisive().map_or(Reason::ApprovalRequired, |one| one.reason);
        let Some(input) = self.call.shown() else {
            let told = "This tool call needs a person's consent, and no person can read it: it is too long, or a secret in it hides a part that could be a command. Make it in smaller steps, and with its secrets in variables.";
            return self.recorded(self.denial(Reason::Unreadable, told), judgement, None).await;
        };
        let question = self.question(judgement, input, reason, policy);
        let view = match self.proxy.opened(question).await {
            Ok(view) => view,
            Err(ruling) => {
                let reason = ruling.reason.unwrap_or(Reason::NotRecorded);
                let answer = self.denial(reason, &ruling.detail);
                return self.recorded(answer, judgement, None).await;
            }
        };
        if view.state == State::Waiting {
            let waits = self.waiting(reason, &view);
            let answer = self.recorded(waits, judgement, Some(&view)).await;
            if answer.verdict != Word::Hold {
                return answer;
            }
        }
        let seat = self.state.seats.try_acquire();
        let longest = if seat.is_ok() { policy.holds.wait } else { Duration::ZERO };
        let view = match self.proxy.holds.wait(&view.id, longest, &self.proxy.stop).await {
            Ok(Some(now)) => now,
            Ok(None) => view,
            Err(error) => {
                tracing::error!(%error, "a hold could not be read");
                view
            }
        };
        match view.state {
            State::Waiting => self.waiting(reason, &view),
            State::Approved => self.redeemed(judgement, reason, view).await,
            _ => self.over(judgement, reason, &view).await,
        }
    }

    fn question(
        &self,
        judgement: &Judgement,
        input: Vec<String>,
        reason: Reason,
        policy: &Policy,
    ) -> Ask {
        let stages = self.state.looked_at(|trajectory| {
            let now = self.proxy.clock.now();
            let told = trajectory.stages().map(|noted| {
                let ago = crate::inventory::told(now.saturating_sub(noted.at));
                format!("{ago} ago {} by `{}`", noted.stage.as_str(), noted.what)
            });
            told.collect::<Vec<_>>()
        });
        let so_far = stages.get(stages.len().saturating_sub(SO_FAR)..).unwrap_or_default().to_vec();
        let tool = CardTool { name: self.call.tool(), input, so_far };
        Ask {
            digest: self.call.digest(&self.state.name, &policy.fingerprints),
            agent: self.state.name.clone(),
            session: self.state.session().to_string(),
            request_id: self.exchange.request_id.to_string(),
            card: Card::of_tool(tool, judgement.operations.clone(), reason),
            terms: judgement.terms.clone(),
            needed: needed(judgement, policy),
            expire: policy.holds.expire,
            redeem: policy.holds.redeem,
            most_waiting: policy.holds.most_waiting,
        }
    }

    /// Judges an approved call again by the policy of now, and lets it pass once.
    async fn redeemed(&self, before: &Judgement, reason: Reason, view: View) -> Answer {
        let snapshot = self.proxy.current.load_full();
        let policy = &snapshot.policy;
        let grant = self.proxy.holds.grant(&view.id, |name| policy.may_approve(name)).await;
        let grant = grant.unwrap_or_else(|error| {
            tracing::error!(%error, "a grant could not be read");
            None
        });
        let agent = policy.agent(&self.state.name).map(|(_, agent)| agent);
        let (Some(grant), Some(agent)) = (grant, agent) else {
            return self.over(before, reason, &view).await;
        };
        let judgement = self.judged(policy, agent);
        let covered = judgement.terms.reasons.is_subset(&grant.terms.reasons)
            && judgement.terms.targets.is_subset(&grant.terms.targets)
            && grant.approvers >= needed(&judgement, policy);
        if judgement.word() == Word::Deny {
            self.proxy.withdraw(&view.id).await;
            let answer = self.refused(&judgement);
            return self.recorded(answer, &judgement, Some(&view)).await;
        }
        if !covered {
            self.proxy.withdraw(&view.id).await;
            return self.over(&judgement, reason, &view).await;
        }
        match self.proxy.holds.redeem(&view.id).await {
            // It may have been put in quarantine while the store was asked.
            Ok(true) if self.state.standing().quarantined.is_some() => {
                let answer = self.denial(Reason::Quarantined, QUARANTINED);
                self.recorded(answer, &judgement, Some(&view)).await
            }
            Ok(true) => {
                let answer = self.allowed("A person approved this tool call; it may run once.");
                self.recorded(answer, &judgement, Some(&view)).await
            }
            Ok(false) => self.over(&judgement, reason, &view).await,
            Err(error) => {
                tracing::error!(%error, "a grant could not be redeemed");
                self.unrecorded()
            }
        }
    }

    /// The answer where a hold is of no use any more.
    async fn over(&self, judgement: &Judgement, reason: Reason, view: &View) -> Answer {
        let now = self.proxy.holds.show(&view.id).await.ok().flatten();
        let state = now.map_or(view.state, |view| view.state);
        let told = match state {
            State::Denied => format!(
                "A person denied this tool call ({}); do not make it again, and do not try another way.",
                view.id
            ),
            state => format!(
                "The hold {} of this tool call is {}; the same call asks for an approval of its own.",
                view.id,
                state.as_str()
            ),
        };
        let hold = HoldAnswer { id: view.id.clone(), state: state.as_str().to_owned() };
        let answer = Answer { hold: Some(hold), ..self.denial(reason, &told) };
        self.recorded(answer, judgement, Some(view)).await
    }

    fn waiting(&self, reason: Reason, view: &View) -> Answer {
        let told = format!(
            "This tool call cannot be undone or needs a person's consent, and waits for a person as {}; make the same call again once it is approved, and do not try another way.",
            view.id
        );
        Answer {
            verdict: Word::Hold,
            hold: Some(HoldAnswer { id: view.id.clone(), state: view.state.as_str().to_owned() }),
            ..self.denial(reason, &told)
        }
    }

    fn allowed(&self, message: &str) -> Answer {
        Answer {
            verdict: Word::Allow,
            reason: None,
            message: message.to_owned(),
            request_id: Some(self.exchange.request_id.to_string()),
            hold: None,
        }
    }

    fn denial(&self, reason: Reason, message: &str) -> Answer {
        let request_id = Some(self.exchange.request_id.to_string());
        Answer { request_id, ..Answer::denied(reason, message) }
    }

    fn refused(&self, judgement: &Judgement) -> Answer {
        let reason = judgement.decisive().map_or(Reason::Quarantined, |one| one.reason);
        let told = match reason {
            Reason::Quarantined => QUARANTINED,
            Reason::OutOfScope => {
                "This tool call reaches a host that is not declared for you; use only what you were given, or ask the person you work for."
            }
            Reason::CredentialRead => {
                "This tool call looks for credentials; use only those you were given, and where one is missing or refused, stop and ask the person you work for."
            }
            Reason::Unreadable => {
                "This tool call is more than can be looked through; make several smaller ones of it."
            }
            Reason::ForeignCredential | Reason::CredentialOutOfScope => {
                "This tool call uses a credential that was not issued to you for this; use only what you were given."
            }
            Reason::SecretLeak => {
                "This tool call sends a secret to where it does not belong; leave the secret out."
            }
            Reason::ScopeViolation => {
                "This tool call asks for more of a declared resource than you may do there; stop and ask the person you work for."
            }
            _ => "This tool call is refused; stop and ask the person you work for.",
        };
        self.denial(reason, told)
    }

    fn unrecorded(&self) -> Answer {
        let told = "The tool call could not be recorded, so it is refused; try again later.";
        self.denial(Reason::NotRecorded, told)
    }

    /// Records an answer, and gives it once that is done.
    async fn recorded(&self, answer: Answer, judgement: &Judgement, hold: Option<&View>) -> Answer {
        let entry = self.entry(&answer, judgement, hold);
        let redeems = answer.verdict == Word::Allow && hold.is_some();
        let done = if redeems {
            self.proxy.log.commit(entry).await.map(drop)
        } else {
            written(&self.proxy, entry).await
        };
        match done {
            Ok(()) => answer,
            Err(error) => {
                tracing::error!(%error, "a tool call was refused because it could not be recorded");
                self.unrecorded()
            }
        }
    }

    fn entry(&self, answer: &Answer, judgement: &Judgement, hold: Option<&View>) -> Entry {
        let mut entry = Entry::new(Kind::Session, Timestamp::now());
        entry.request_id = Some(Text::from(&self.exchange.request_id));
        entry.agent = self.exchange.agent.as_ref().map(Text::from);
        entry.session = self.exchange.session.as_ref().map(Text::from);
        entry.operations = vec![Text::from(format!("tool {}", self.call.tool()))];
        entry.verdict = Some(Text::from(answer.verdict.as_str()));
        entry.reason = answer.reason.clone().map(Text::from);
        entry.hold = hold.map(|view| Text::from(view.id.clone()));
        entry.findings = judgement
            .objections
            .iter()
            .map(|one| Finding {
                reason: Text::from(one.reason.as_str()),
                severity: Text::from(one.reason.severity().as_str()),
                technique: one.technique.map(Text::from),
                slot: None,
                evidence: (!one.what.is_empty()).then(|| Text::from(one.what.clone())),
            })
            .collect();
        let mut detail = vec!["a tool call before it runs".to_owned()];
        detail.extend(judgement.unread.map(|what| format!("not all of it could be read: {what}")));
        if answer.verdict == Word::Allow && hold.is_some() {
            detail.push("redeemed an approved hold".to_owned());
        }
        entry.detail = Some(Text::from(detail.join("; ")));
        entry
    }
}

async fn written(proxy: &Proxy, entry: Entry) -> Result<(), NotRecorded> {
    proxy.log.note(entry)?.written().await.map(drop)
}

/// How many people must agree.
fn needed(judgement: &Judgement, policy: &Policy) -> usize {
    let approvals = if judgement.irreversible {
        policy.holds.irreversible.approvals.max(policy.holds.approvals)
    } else {
        policy.holds.approvals
    };
    usize::from(approvals)
}
