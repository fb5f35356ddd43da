//! The verdict on a request. One function, for every way in.
//!
//! Takes an [`Inspected`] request and the [`Context`] it is judged in; returns a [`Verdict`]. Pure:
//! the same facts under the same policy have the same verdict. Only this module makes a
//! [`Permit`], without which nothing is forwarded. Deny beats hold beats allow, and what could not
//! be established is never an allow.

mod credentials;
mod derived;
mod digest;
mod finding;
mod leaks;
mod opinion;
mod owners;
mod plain;
mod reason;
mod scope;
mod stages;
mod unusual;

pub use derived::{Derived, Deriving, Parent, Token};
pub use finding::{Finding, Severity};
pub use leaks::{belongs, leak_finding, leaks_word};
pub use owners::Learned;
pub use reason::Reason;
pub use unusual::Unusual;

use crate::baseline::Before;
pub use stages::left;

use crate::catalog::Effect;
use crate::fingerprint::Fingerprint;
use crate::inject::{Injected, Injection};
use crate::inspect::graphql::Expected;
use crate::inspect::{Facts, Inspected, Operation, Presented, Protocol};
use crate::inventory::View;
use crate::message::{Head, Message};
use crate::policy::{Agent, Ix, Policy, Quarantine, Resource, Word};
use crate::provenance::{BySource, Seen, Sightings};
use crate::trajectory::{Completed, Past, Stage};
use opinion::Opinions;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What the proxy remembers of an agent that bears on a verdict.
#[derive(Clone, Debug, Default)]
pub struct Standing {
    /// Why it is in quarantine, if it is.
    pub quarantined: Option<Arc<str>>,
    /// Whether everything but reads waits for a person.
    pub hold_writes: bool,
    /// The credentials pinned for it, by resource.
    pub pins: HashMap<Arc<str>, Vec<Fingerprint>>,
    /// The cookies that hosts handed out to it.
    pub cookies: Cookies,
    /// The secrets that answers handed out to it.
    pub seen: Arc<Sightings>,
    /// The tokens that were handed out to it in exchange for credentials.
    pub derived: Derived,
}

/// Cookies that were handed out, the newest of each host.
#[derive(Clone, Debug, Default)]
pub struct Cookies {
    known: BySource<()>,
}

impl Cookies {
    /// The most that are kept of all hosts.
    const MOST: usize = 2_000;

    /// Whether a cookie is one of them.
    pub fn contains(&self, cookie: &Fingerprint) -> bool {
        self.known.contains(cookie)
    }

    /// Keeps a cookie of a host.
    pub fn keep(&mut self, host: &Arc<str>, cookie: Fingerprint) {
        self.known.keep(host, cookie, ());
        self.known.bounded(Self::MOST);
    }
}

/// What an approval left for one retry.
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// The hold it came from.
    pub hold: String,
    /// What stood on the approved card.
    pub terms: Terms,
    /// How many different people approved.
    pub approvers: usize,
}

/// What a hold is about, as it stands on the card: a grant covers exactly this.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Terms {
    /// Each held reason with the resource that held it.
    pub reasons: BTreeSet<String>,
    /// Each target with its environment.
    pub targets: BTreeSet<String>,
}

/// What a request is judged in.
#[derive(Debug)]
pub struct Context<'a> {
    /// The policy of now.
    pub policy: &'a Policy,
    /// Who asks.
    pub agent: &'a Agent,
    /// What is remembered of the agent.
    pub standing: &'a Standing,
    /// What was learned of what belongs to what, as it is now.
    pub inventory: View<'a>,
    /// What an approval left, if the request redeems one.
    pub grant: Option<&'a Grant>,
    /// The last request of the session that passed, where the agent has a baseline.
    pub before: Option<&'a Before>,
    /// What the agent went through before.
    pub past: Past<'a>,
}

/// What a target is, once its owner has been looked up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The kind of id.
    pub kind: String,
    /// The id.
    pub id: String,
    /// The environment of the resource that owns it, if one does.
    pub environment: Option<Arc<str>>,
    /// That resource.
    pub resource: Option<Arc<str>>,
    /// Where it was learned that it does; none if it is declared, or nobody owns it.
    pub learned: Option<Learned>,
}

/// A credential of a request, and where it comes from.
#[derive(Clone, Debug)]
pub struct Used {
    /// The credential in its slot.
    pub presented: Presented,
    /// The name it is issued by, if it is.
    pub name: Option<Arc<str>>,
    /// The answer that handed it out first, where it is not issued to the agent.
    pub seen: Option<Seen>,
}

impl Used {
    /// Where it comes from, for people; none where nobody knows.
    pub fn provenance(&self) -> Option<String> {
        match (&self.seen, &self.name) {
            (Some(seen), _) => Some(format!("{} ({})", seen.told(), seen.answer.request_id)),
            (None, Some(name)) => Some(format!("issued as `{name}`")),
            (None, None) => None,
        }
    }
}

/// Everything about a verdict that is told, shown or recorded.
#[derive(Debug)]
pub struct Ruling {
    /// The verdict.
    pub word: Word,
    /// The reason that is told, where it is not allowed.
    pub reason: Option<Reason>,
    /// One sentence on why, for the client.
    pub detail: String,
    /// The rule that decided, as `policy.yaml:61`.
    pub rule: Option<String>,
    /// The resource that decided.
    pub resource: Option<Arc<str>>,
    /// Its environment.
    pub environment: Option<Arc<str>>,
    /// All that speaks against it.
    pub findings: Vec<Finding>,
    /// The operations.
    pub operations: Arc<[Operation]>,
    /// The targets with their owners.
    pub targets: Vec<Target>,
    /// The credentials.
    pub credentials: Vec<Used>,
    /// For each credential that is a token in the place of others, all that it stands for; nothing where
    /// anybody is handed one.
    pub standing_for: Vec<(Fingerprint, Vec<Fingerprint>)>,
    /// For whom its answer hands out tokens.
    pub deriving: Option<Box<Deriving>>,
    /// The conditions that were asked, each with its place and whether it is so.
    pub conditions: Vec<String>,
    /// The headers that conditions of the policy ask for, lower case.
    pub heeded: Arc<[Box<str>]>,
    /// The places of the request in which secrets stand: they are shown nowhere.
    pub secret: Vec<String>,
    /// What the trajectory notes.
    pub stages: Vec<Stage>,
    /// How unusual it is, where the agent has a baseline.
    pub surprise: Option<Box<Unusual>>,
    /// The operations that a sequence names.
    pub named: Vec<Arc<str>>,
    /// The dangerous sequences that it completed.
    pub completed: Vec<Arc<str>>,
    /// What the policy requires before it that has not happened.
    pub lacking: Vec<String>,
    /// Whether a quarantine lets it through.
    pub spared: bool,
    /// Credentials to pin, by resource, once the request is allowed.
    pub pins: Vec<(Arc<str>, Fingerprint)>,
    /// The values to put in for placeholders, once it is sent.
    pub injections: Vec<Injection>,
    /// The credentials whose values no answer to it may say.
    pub kept_back: Vec<Arc<Injected>>,
    /// What a hold would be about.
    pub terms: Terms,
    /// How many people must agree to it.
    pub approvals_needed: usize,
}

/// The outcome of judging a request.
#[derive(Debug)]
pub enum Verdict<B> {
    /// It may be sent.
    Allow(Permit<B>),
    /// It waits for a person.
    Hold(Held<B>),
    /// It is refused.
    Deny(Denied),
}

/// A refused request; its body is gone.
#[derive(Debug)]
pub struct Denied {
    /// What was asked.
    pub head: Box<Head>,
    /// Why it is refused.
    pub ruling: Box<Ruling>,
}

impl<B> Verdict<B> {
    /// Everything about it that is told, shown or recorded.
    pub fn ruling(&self) -> &Ruling {
        match self {
            Self::Allow(permit) => &permit.ruling,
            Self::Hold(held) => &held.ruling,
            Self::Deny(denied) => &denied.ruling,
        }
    }

    /// Notes which sequences it completed.
    pub fn completes(&mut self, completed: &[Completed]) {
        let ruling = match self {
            Self::Allow(permit) => &mut permit.ruling,
            Self::Hold(held) => &mut held.ruling,
            Self::Deny(denied) => &mut denied.ruling,
        };
        ruling.completed = completed.iter().map(|completed| completed.name.clone()).collect();
    }

    /// The same request, refused after all, with its own reason or else the given one.
    #[must_use]
    pub fn denied(self, reason: Reason, detail: &str) -> Self {
        let (head, mut ruling) = match self {
            Self::Allow(permit) => (permit.message.into_parts().0, permit.ruling),
            Self::Hold(held) => (held.request.into_parts().0.into_parts().0, held.ruling),
            Self::Deny(denied) => (denied.head, denied.ruling),
        };
        ruling.word = Word::Deny;
        ruling.reason.get_or_insert(reason);
        ruling.findings.push(Finding::new(reason));
        if !ruling.detail.is_empty() {
            ruling.detail.push(' ');
        }
        ruling.detail.push_str(detail);
        ruling.pins.clear();
        Self::Deny(Denied { head, ruling })
    }
}

/// The right to send one request, which it owns. Only an allowing verdict makes one.
#[derive(Debug)]
pub struct Permit<B> {
    message: Message<B>,
    websocket: bool,
    expected: Option<Arc<Expected>>,
    ruling: Box<Ruling>,
}

/// A request that waits, with all that is needed to judge it again.
#[derive(Debug)]
pub struct Held<B> {
    request: Inspected<B>,
    ruling: Box<Ruling>,
}

impl<B> Permit<B> {
    /// Where it goes.
    pub fn head(&self) -> &Head {
        self.message.head()
    }
    /// Its body, where it was received whole.
    pub const fn whole_body(&self) -> Option<&bytes::Bytes> {
        match self.message.body() {
            crate::message::Body::Whole(body) => Some(body),
            _ => None,
        }
    }
    /// Whether a WebSocket upgrade may follow.
    pub const fn allows_websocket(&self) -> bool {
        self.websocket
    }
    /// What its answer is read along, where that may teach anything.
    pub const fn expected(&self) -> Option<&Arc<Expected>> {
        self.expected.as_ref()
    }
    /// Why it is allowed.
    pub const fn ruling(&self) -> &Ruling {
        &self.ruling
    }
    /// Whether the call is a plain read, which is recorded without waiting for the disk.
    pub fn is_plain_read(&self) -> bool {
        self.ruling.is_plain_read()
    }
    pub(crate) fn into_message(self) -> (Message<B>, Box<Ruling>) {
        (self.message, self.ruling)
    }
}

impl<B> Held<B> {
    /// The request.
    pub const fn request(&self) -> &Inspected<B> {
        &self.request
    }
    /// Why it is held.
    pub const fn ruling(&self) -> &Ruling {
        &self.ruling
    }
    /// The same request with its body received meanwhile, held for the same reasons.
    pub(crate) const fn again(request: Inspected<B>, ruling: Box<Ruling>) -> Self {
        Self { request, ruling }
    }
    /// The same request by what has become known of its targets meanwhile: never less strict than before.
    /// Whether it is to be refused now is for [`decide`] to say.
    #[must_use]
    pub fn by_what_is_known(self, context: &Context<'_>) -> (Self, bool) {
        let Self { request, ruling: before } = self;
        let (now, _websocket) = ruling(&request, context);
        match now.word {
            Word::Deny => (Self { request, ruling: before }, true),
            Word::Hold => (Self { request, ruling: now }, false),
            Word::Allow => {
                let ruling = Ruling { targets: now.targets, ..*before };
                (Self { request, ruling: Box::new(ruling) }, false)
            }
        }
    }
    /// Back to the request, to judge it again.
    pub fn into_request(self) -> (Inspected<B>, Box<Ruling>) {
        (self.request, self.ruling)
    }
}

impl Ruling {
    /// Whether every operation reads and nothing is noted.
    pub fn is_plain_read(&self) -> bool {
        self.word == Word::Allow
            && self.stages.is_empty()
            && self.pins.is_empty()
            && self.operations.iter().all(|operation| operation.effect == Effect::Read)
    }

    /// The name of the operation that matters most, for people.
    pub fn operation(&self) -> Option<&Arc<str>> {
        self.operations
            .iter()
            .max_by_key(|operation| (operation.reversibility, operation.effect))
            .map(|operation| &operation.name)
    }

    /// Whether a secret stands in a place of the request, by the beginning of its name: `path`, `query`.
    pub fn hides(&self, place: &str) -> bool {
        self.secret.iter().any(|slot| slot.starts_with(place))
    }

    /// A denial because a body could not be read.
    pub fn unreadable(unreadable: crate::inspect::Unreadable, policy: &Policy) -> Self {
        let limit = policy.limits.inspect_kib;
        Self::denial(
            Reason::Unreadable,
            format!("The request is refused: {unreadable} (the limit is {limit} KiB)."),
        )
    }

    /// What was seen while the body was received or sent, in the place of what only says why.
    pub(crate) fn saw(&mut self, seen: Vec<Finding>) {
        self.findings.retain(|finding| !seen.iter().any(|other| other.reason == finding.reason));
        self.findings.extend(seen);
    }

    /// A denial that was made before there was a request to judge.
    pub fn denial(reason: Reason, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        Self {
            word: Word::Deny,
            reason: Some(reason),
            findings: vec![Finding::new(reason)],
            detail,
            rule: None,
            resource: None,
            environment: None,
            operations: Arc::default(),
            targets: Vec::new(),
            credentials: Vec::new(),
            standing_for: Vec::new(),
            deriving: None,
            conditions: Vec::new(),
            secret: Vec::new(),
            heeded: Arc::default(),
            stages: Vec::new(),
            surprise: None,
            named: Vec::new(),
            completed: Vec::new(),
            lacking: Vec::new(),
            spared: false,
            pins: Vec::new(),
            injections: Vec::new(),
            kept_back: Vec::new(),
            terms: Terms::default(),
            approvals_needed: 0,
        }
    }
}

/// Judges a request.
pub fn decide<B>(request: Inspected<B>, context: &Context<'_>) -> Verdict<B> {
    let (ruling, websocket) = ruling(&request, context);
    match ruling.word {
        Word::Allow => {
            let (message, facts) = request.into_parts();
            let expected = facts.expected().cloned();
            Verdict::Allow(Permit { message, websocket, expected, ruling })
        }
        Word::Hold => Verdict::Hold(Held { request, ruling }),
        Word::Deny => {
            let (message, _facts) = request.into_parts();
            let head = message.into_parts().0;
            Verdict::Deny(Denied { head, ruling })
        }
    }
}

/// What there is to say of a request, and whether a WebSocket may follow.
fn ruling<B>(request: &Inspected<B>, context: &Context<'_>) -> (Box<Ruling>, bool) {
    let head = request.message().head();
    let candidates = context.policy.candidates(context.agent, head.target());
    let mut opinions = Opinions::new(context);
    let mut websocket = false;
    standing(request, &candidates, &mut opinions);
    leaks::leaks(request.facts().leaks(), head, &candidates, &mut opinions);
    if candidates.is_empty() {
        opinions.deny(Reason::OutOfScope, None);
        for presented in request.facts().credentials() {
            credentials::without_candidates(context, presented, &mut opinions);
        }
    } else if opinions.is_denied() {
        // What it carries is told apart all the same: a foreign credential is the graver reason.
        credentials::credentials_alone(
            request.facts().credentials(),
            &candidates,
            head,
            &mut opinions,
        );
    } else {
        let deriving = derived::deriving(request.facts(), head, &candidates, context);
        opinions.derives(deriving);
        websocket = scope::judge(request, &candidates, &mut opinions);
    }
    opinions.required(request.facts(), head);
    let spared = is_spared(request, &candidates, context.policy);
    let mut ruling = opinions.into_ruling(request.facts(), head);
    unusual::compare(&mut ruling, head, context);
    ruling.spared = spared && ruling.word == Word::Allow;
    ruling.kept_back = context.policy.injected(context.agent, &candidates).cloned().collect();
    if ruling.word == Word::Hold && context.grant.is_some_and(|grant| ruling.is_covered_by(grant)) {
        ruling.word = Word::Allow;
    }
    (ruling, websocket)
}

/// What bars a request whatever it asks for.
fn standing<B>(
    request: &Inspected<B>,
    candidates: &[(Ix, &Resource)],
    opinions: &mut Opinions<'_>,
) {
    let head = request.message().head();
    let facts: &Facts = request.facts();
    if let Some(place) = facts.overridden() {
        opinions.deny_because(
            Reason::Malformed,
            format!("the method is overridden ({place}); send the method that is meant"),
        );
    }
    if head.path().has_encoded_slash()
        && !candidates.iter().all(|(_, resource)| resource.encoded_slash)
    {
        opinions.deny_because(
            Reason::Malformed,
            "the path has an encoded slash, which this resource does not take".to_owned(),
        );
    }
    if opinions.standing().quarantined.is_some()
        && !is_spared(request, candidates, opinions.context.policy)
    {
        opinions.deny(Reason::Quarantined, None);
    }
    if let Some(unreadable) = facts.unreadable() {
        opinions.unreadable(unreadable);
    }
}

/// Whether a quarantine lets a request through, if all else does: a plain read of documentation, which
/// carries nothing.
fn is_spared<B>(request: &Inspected<B>, candidates: &[(Ix, &Resource)], policy: &Policy) -> bool {
    let (head, facts) = (request.message().head(), request.facts());
    policy.quarantine == Quarantine::EverythingButDocs
        && !candidates.is_empty()
        && candidates.iter().all(|(_, resource)| resource.docs)
        && matches!(*head.method(), http::Method::GET | http::Method::HEAD)
        && head.query().as_str().is_empty()
        && !head.is_upgrade()
        && matches!(request.message().body(), crate::message::Body::Empty)
        && facts.credentials().is_empty()
        && facts.leaks().is_empty()
        && facts.unreadable().is_none()
        && facts.operations().iter().all(|operation| operation.effect == Effect::Read)
}

impl Ruling {
    fn is_covered_by(&self, grant: &Grant) -> bool {
        self.terms.reasons.is_subset(&grant.terms.reasons)
            && self.terms.targets.is_subset(&grant.terms.targets)
            && grant.approvers >= self.approvals_needed
    }
}

/// The protocol in which a refusal of a request is told.
pub fn protocol_of(head: &Head, policy: &Policy, agent: &Agent) -> Protocol {
    let candidates = policy.candidates(agent, head.target());
    let catalog = candidates.first().and_then(|(_, resource)| resource.catalog());
    crate::inspect::protocol(head, catalog.map(Arc::as_ref))
}

#[cfg(test)]
mod tests;
