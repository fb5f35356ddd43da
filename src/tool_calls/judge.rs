//! What is to be said of a tool call before it runs.
//!
//! Takes a call and the context that requests are judged in; returns a [`Judgement`]. Pure. The calls
//! over HTTP in it are decided as the requests that they would be; what a command does beside them is
//! judged by what it is about to do. What could not be read is noted and left to the proxy, which is the
//! boundary: an allow here lets nothing through there.

use super::call::Call;
use crate::catalog::Reversibility;
use crate::decide::{Context, Reason, Ruling, Terms, Verdict, decide};
use crate::explain;
use crate::hold::CardOperation;
use crate::inspect::command::Unread;
use crate::inspect::discovery::{ACTS, Destructive, Discovery, HttpCall, Intent};
use crate::kit;
use crate::policy::Word;
use crate::trajectory::{Fact, Stage};
use http::Uri;
use std::net::IpAddr;
use std::sync::Arc;

/// What speaks against a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The verdict that it asks for.
    pub word: Word,
    /// Why.
    pub reason: Reason,
    /// The technique, where it is one.
    pub technique: Option<&'static str>,
    /// What of the call, for people: short, and without secrets.
    pub what: String,
}

/// What a call shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// The stage and what of it.
    pub fact: Fact,
    /// The number of the request that it is shown by, which shows it again when it comes; none where it
    /// is the call's own.
    pub request: Option<u64>,
}

/// What is to be said of a tool call.
#[derive(Debug, Default)]
pub struct Judgement {
    /// All that speaks against it.
    pub objections: Vec<Objection>,
    /// What the trajectory notes.
    pub facts: Vec<Shown>,
    /// What requests that are allowed would show.
    allowed: Vec<Shown>,
    /// What a hold of it is about.
    pub operations: Vec<CardOperation>,
    /// What a grant covers: words that no request's terms have.
    pub terms: Terms,
    /// Whether it cannot be undone.
    pub irreversible: bool,
    /// What of it could not be read.
    pub unread: Option<&'static str>,
}

impl Judgement {
    /// The objection that decides: the strictest, and of those the first in the order of reasons.
    pub fn decisive(&self) -> Option<&Objection> {
        self.objections.iter().min_by_key(|one| (one.word != Word::Deny, one.reason))
    }

    /// The verdict.
    pub fn word(&self) -> Word {
        self.decisive().map_or(Word::Allow, |one| one.word)
    }

    fn object(&mut self, word: Word, reason: Reason, what: &str) {
        if word == Word::Hold {
            self.terms.reasons.insert(format!("tool call {}", reason.as_str()));
        }
        let technique = reason.technique();
        self.objections.push(Objection { word, reason, technique, what: what.to_owned() });
    }

    /// Notes a stage. What a command destroys by a request is one deletion, and the request's.
    fn note(&mut self, stage: Stage, what: &Arc<str>) {
        if self.facts.iter().any(|shown| shown.fact.stage == stage) {
            return;
        }
        let by_request = self.allowed.iter().find(|shown| shown.fact.stage == stage);
        let own = || Shown { fact: Fact { stage, what: what.clone() }, request: None };
        self.facts.push(by_request.cloned().unwrap_or_else(own));
    }
}

/// Judges a call by what it is about to do.
pub fn judge(call: &Call, intent: &Intent, context: &Context<'_>) -> Judgement {
    let mut judgement =
        Judgement { unread: intent.unread.map(Unread::as_str), ..Judgement::default() };
    if context.standing.quarantined.is_some() {
        judgement.object(Word::Deny, Reason::Quarantined, "");
    }
    if intent.unread == Some(Unread::TooMuch) {
        // What is not looked at may be anything.
        judgement.object(Word::Deny, Reason::Unreadable, "");
    }
    if let Some(Discovery { technique, what }) = &intent.discovery {
        judgement.note(Stage::CredentialDiscovery, &call.what(what));
        judgement.objections.push(Objection {
            word: Word::Deny,
            reason: Reason::CredentialRead,
            technique: Some(technique.as_str()),
            what: what.clone(),
        });
    }
    for made in &intent.calls {
        over_http(made, call, context, &mut judgement);
    }
    if let Some(Destructive { reversibility, what }) = &intent.destructive {
        judgement.note(Stage::Destructive, &call.what(what));
        if *reversibility == Reversibility::Irreversible {
            judgement.note(Stage::Irreversible, &call.what(what));
            judgement.object(Word::Hold, Reason::Destructive, what);
            judgement.irreversible = true;
            let destroys = intent.irreversible.iter().map(|what| CardOperation {
                name: what.clone(),
                effect: "destructive".to_owned(),
                reversibility: reversibility.as_str().to_owned(),
                window: None,
                note: None,
            });
            judgement.operations.splice(0..0, destroys);
            if intent.irreversible.len() == ACTS
                && let Some(last) = judgement.operations.get_mut(ACTS - 1)
            {
                last.note =
                    Some("and perhaps more that cannot be undone: see its lines".to_owned());
            }
        }
    }
    judgement
}

/// Judges a call over HTTP as the request that it would be.
fn over_http(made: &HttpCall, call: &Call, context: &Context<'_>, judgement: &mut Judgement) {
    // What has no scheme curl and its like take for plain HTTP.
    let address =
        if made.url.contains("://") { made.url.clone() } else { format!("http://{}", made.url) };
    let Ok(uri) = address.parse::<Uri>() else {
        judgement.unread = judgement.unread.or(Some("address"));
        return;
    };
    let host = uri.host().unwrap_or_default();
    if !matches!(uri.scheme_str(), Some("http" | "https")) || kit::is_direct(host) {
        return;
    }
    let what = call.cleaned(format!("{} {host}", made.method));
    if host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok() {
        // No resource is declared by an address.
        judgement.note(Stage::OutOfScope, &call.what(&what));
        judgement.object(Word::Deny, Reason::OutOfScope, &what);
        return;
    }
    let parts = (&*made.method, &uri, made.body.as_deref());
    let seen = &context.standing.seen;
    let Some(inspected) = explain::of_command(context.policy, context.agent, parts, seen) else {
        judgement.unread = judgement.unread.or(Some("address"));
        return;
    };
    let verdict = decide(inspected, context);
    let ruling = verdict.ruling();
    // It is the same act when the request comes. An operation that a sequence names is called by its
    // request alone.
    let shown = ruling.facts().into_iter().filter(|fact| fact.stage != Stage::Called).map(|fact| {
        let what = Arc::from(call.cleaned(fact.what.to_string()));
        Shown { fact: Fact { what, ..fact }, request: Some(ruling.call()) }
    });
    if matches!(verdict, Verdict::Allow(_)) {
        judgement.allowed.extend(shown);
        return;
    }
    let Some(reason) = ruling.reason else { return };
    if is_of_what_is_not_there(reason) {
        judgement.unread = judgement.unread.or(Some("request"));
        return;
    }
    for shown in shown {
        // A request that is made twice is made again, and that is no other.
        if !judgement.facts.contains(&shown) {
            judgement.facts.push(shown);
        }
    }
    judgement.object(ruling.word, reason, &what);
    if ruling.word == Word::Hold {
        held(ruling, &what, judgement);
    }
}

/// Whether a refusal is for what stands in the command in another form than in its request: headers, a
/// body in a file, a variable.
const fn is_of_what_is_not_there(reason: Reason) -> bool {
    matches!(reason, Reason::Unreadable | Reason::Malformed | Reason::MissingCredential)
}

/// Adds what a held request is about.
fn held(ruling: &Ruling, what: &str, judgement: &mut Judgement) {
    for reason in &ruling.terms.reasons {
        judgement.terms.reasons.insert(format!("tool call {reason}"));
    }
    judgement.terms.targets.extend(ruling.terms.targets.iter().cloned());
    for operation in ruling.operations.iter() {
        judgement.irreversible |= operation.reversibility == Reversibility::Irreversible;
        judgement.operations.push(CardOperation {
            name: format!("{what}: {}", operation.name),
            effect: operation.effects(),
            reversibility: operation.reversibility.as_str().to_owned(),
            window: operation.window.clone(),
            note: operation.note.clone(),
        });
    }
}
