//! Opinions and how they become one ruling.
//!
//! Takes what each resource, credential and target says of a request; returns a [`Ruling`]: the
//! strictest word stands, and the first reason in the order of [`Reason`] among those that carry it.

use super::plain::Does;
use super::{
    Context, Deriving, Finding, Reason, Ruling, Standing, Target, Terms, Used, derived, leaks,
    stages,
};
use crate::catalog::condition::{Side, Truth};
use crate::catalog::{Effect, Reversibility};
use crate::fingerprint::Fingerprint;
use crate::inject::Injection;
use crate::inspect::{Facts, Operation, Presented, Unreadable};
use crate::message::Head;
use crate::policy::{Call, Environments, Place, Resource, When, Word};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

struct Opinion<'a> {
    word: Word,
    reason: Option<Reason>,
    resource: Option<&'a Resource>,
    place: Option<Place>,
    detail: Option<String>,
    finding: Option<Finding>,
}

/// The opinions on one request so far.
pub(super) struct Opinions<'a> {
    pub(super) context: &'a Context<'a>,
    all: Vec<Opinion<'a>>,
    /// What was seen and speaks neither for nor against it.
    noted: Vec<Finding>,
    targets: Vec<Target>,
    pins: Vec<(Arc<str>, Fingerprint)>,
    injections: Vec<Injection>,
    /// For whom the answer hands out tokens.
    deriving: Option<Deriving>,
    /// A plain call as the rules have it, which may say themselves what it does.
    plain: Option<Operation>,
    /// What conditions were asked, and whether each is so.
    asked: RefCell<Vec<(Place, String)>>,
    /// Where the operation that is judged acts.
    environments: Environments<'a>,
    /// What has to have happened before, and did not.
    lacking: Vec<String>,
}

impl<'a> Opinions<'a> {
    pub(super) const fn new(context: &'a Context<'a>) -> Self {
        Self {
            context,
            all: Vec::new(),
            noted: Vec::new(),
            targets: Vec::new(),
            pins: Vec::new(),
            injections: Vec::new(),
            deriving: None,
            plain: None,
            asked: RefCell::new(Vec::new()),
            environments: Environments { known: Vec::new(), unknown: false },
            lacking: Vec::new(),
        }
    }

    /// Where the operation that is judged from now on acts, as far as conditions ask for it.
    pub(super) fn acts_in(&mut self, environments: Environments<'a>) {
        self.environments = environments;
    }

    /// For whom the answer hands out tokens, if for anybody.
    pub(super) fn derives(&mut self, deriving: Option<Deriving>) {
        self.deriving = deriving;
    }

    /// Whether credentials that derive are exchanged for tokens that may do no more: nothing is minted.
    pub(super) fn exchanges(&self) -> bool {
        self.deriving.as_ref().is_some_and(Deriving::is_exchange)
    }

    /// Where the operation that is judged acts.
    pub(super) const fn environments(&self) -> &Environments<'a> {
        &self.environments
    }

    pub(super) const fn standing(&self) -> &'a Standing {
        self.context.standing
    }

    /// Whether an entry with conditions speaks, which is told where a verdict is explained.
    pub(super) fn applies(&self, when: &When, word: Word, call: Call<'_>, place: Place) -> bool {
        if when.is_empty() {
            return true;
        }
        let side = if word == Word::Allow { Side::Permit } else { Side::Restrict };
        let truth = match when.holds(call, side) {
            Truth::Yes => "so",
            Truth::No => "not so",
            Truth::Unknown => "unknown",
        };
        let told = (place, format!("{when}: {truth}"));
        let mut asked = self.asked.borrow_mut();
        if !asked.contains(&told) {
            asked.push(told);
        }
        when.applies(word, call)
    }

    pub(super) fn is_denied(&self) -> bool {
        self.all.iter().any(|opinion| opinion.word == Word::Deny)
    }

    pub(super) fn allow(&mut self, resource: &'a Resource, place: Option<Place>) {
        self.add(Word::Allow, None, Some(resource), place, None);
    }

    pub(super) fn deny(&mut self, reason: Reason, by: Option<(&'a Resource, Option<Place>)>) {
        let (resource, place) =
            by.map_or((None, None), |(resource, place)| (Some(resource), place));
        self.add(Word::Deny, Some(reason), resource, place, None);
    }

    pub(super) fn deny_because(&mut self, reason: Reason, detail: String) {
        self.add(Word::Deny, Some(reason), None, None, Some(detail));
    }

    pub(super) fn word(
        &mut self,
        word: Word,
        reason: Reason,
        resource: Option<&'a Resource>,
        place: Option<Place>,
        detail: Option<String>,
    ) {
        match (word, resource) {
            (Word::Allow, Some(resource)) => self.allow(resource, place),
            (Word::Allow, None) => {}
            _ => self.add(word, Some(reason), resource, place, detail),
        }
    }

    pub(super) fn unreadable(&mut self, unreadable: Unreadable) {
        let detail = match unreadable {
            Unreadable::Oversize => {
                format!("{unreadable} ({} KiB)", self.context.policy.limits.inspect_kib)
            }
            other => other.to_string(),
        };
        self.deny_because(Reason::Unreadable, detail);
    }

    pub(super) fn credential(&mut self, reason: Reason, presented: &Presented) {
        self.presented(reason, presented, None);
    }

    /// A placeholder where no value is put in.
    pub(super) fn misplaced(&mut self, presented: &Presented, detail: &str) {
        self.presented(Reason::CredentialOutOfScope, presented, Some(detail.to_owned()));
    }

    fn presented(&mut self, reason: Reason, presented: &Presented, detail: Option<String>) {
        let finding = Finding {
            reason,
            slot: Some(presented.slot.clone()),
            evidence: Some(presented.evidence()),
        };
        self.found(finding, detail);
    }

    /// Something was seen that no verdict depends on.
    pub(super) fn note(&mut self, finding: Finding) {
        self.noted.push(finding);
    }

    /// Refuses the request for what was seen.
    pub(super) fn finding(&mut self, finding: Finding) {
        self.found(finding, None);
    }

    fn found(&mut self, finding: Finding, detail: Option<String>) {
        self.all.push(Opinion {
            word: Word::Deny,
            reason: Some(finding.reason),
            resource: None,
            place: None,
            detail,
            finding: Some(finding),
        });
    }

    pub(super) fn target(&mut self, target: Target) {
        if !self.targets.contains(&target) {
            self.targets.push(target);
        }
    }

    /// What the rules say of a plain call.
    pub(super) fn does(&mut self, operation: &Operation, (effect, reversibility): Does) {
        if (effect, reversibility) != (operation.effect, operation.reversibility) {
            self.plain = Some(Operation { effect, reversibility, ..operation.clone() });
        }
    }

    /// The effect of a plain call by the rules.
    pub(super) fn effect(&self) -> Option<Effect> {
        self.plain.as_ref().map(|operation| operation.effect)
    }

    pub(super) fn pin(&mut self, resource: &Resource, fingerprint: Fingerprint) {
        self.pins.push((resource.name.clone(), fingerprint));
    }

    /// A value is put in where the credential stands, once the call is allowed.
    pub(super) fn inject(&mut self, injection: Injection) {
        self.injections.push(injection);
    }

    /// What the policy requires before such a call. Of one that is refused anyway nothing is required.
    pub(super) fn required(&mut self, facts: &Facts, head: &Head) {
        let context = self.context;
        if context.policy.sequences.requirements.is_empty() || self.is_denied() {
            return;
        }
        let of_rules = self.plain.clone();
        let operations = of_rules.as_slice();
        let operations = if operations.is_empty() { facts.operations() } else { operations };
        let shown = stages::of_effects(operations, context, head);
        // What was there when a call began to wait is there for its redemption.
        let holds = &context.policy.holds;
        let waited = context.grant.map_or(Duration::ZERO, |_| holds.expire + holds.redeem);
        for requirement in &context.policy.sequences.requirements {
            if !requirement.is_about(operations, &shown) || context.past.has(requirement, waited) {
                continue;
            }
            let told = requirement.told();
            if requirement.denies {
                self.deny_because(Reason::ScopeViolation, told.clone());
            } else {
                self.word(Word::Hold, Reason::ApprovalRequired, None, None, Some(told.clone()));
            }
            self.lacking.push(told);
        }
    }

    fn add(
        &mut self,
        word: Word,
        reason: Option<Reason>,
        resource: Option<&'a Resource>,
        place: Option<Place>,
        detail: Option<String>,
    ) {
        let finding = reason.map(Finding::new);
        self.all.push(Opinion { word, reason, resource, place, detail, finding });
    }

    pub(super) fn into_ruling(mut self, facts: &Facts, head: &Head) -> Box<Ruling> {
        let context = self.context;
        let policy = context.policy;
        let word = self.all.iter().map(|opinion| opinion.word).max().unwrap_or(Word::Deny);
        // Nobody having spoken for a request is not a yes.
        let silent = self.all.is_empty();
        let decisive = self
            .all
            .iter()
            .filter(|opinion| opinion.word == word)
            .min_by_key(|opinion| opinion.reason);
        let reason =
            if silent { Some(Reason::ScopeViolation) } else { decisive.and_then(|o| o.reason) };
        let resource = decisive.and_then(|opinion| opinion.resource);
        let mut findings: Vec<Finding> = Vec::new();
        let of_opinions = self.all.iter().filter_map(|opinion| opinion.finding.as_ref());
        for finding in of_opinions.chain(&self.noted) {
            if !findings.contains(finding) {
                findings.push(finding.clone());
            }
        }
        findings.sort_by_key(|finding| finding.reason);
        leaks::without_secrets(&mut self.targets, facts.leaks(), &policy.fingerprints);
        let terms = self.terms();
        let operations: Arc<[Operation]> = match self.plain {
            Some(operation) => Arc::from([operation]),
            None => facts.operations().clone(),
        };
        let operations = leaks::shown(operations, facts.leaks(), head);
        let irreversible = operations
            .iter()
            .any(|operation| operation.reversibility == Reversibility::Irreversible);
        let needed = if irreversible {
            policy.holds.irreversible.approvals.max(policy.holds.approvals)
        } else {
            policy.holds.approvals
        };
        let asked = self.asked.into_inner().into_iter();
        let asked = asked.map(|(place, told)| format!("{} {told}", policy.rule_name(place)));
        let mut ruling = Box::new(Ruling {
            word,
            reason,
            detail: String::new(),
            rule: decisive.and_then(|opinion| opinion.place).map(|place| policy.rule_name(place)),
            resource: resource.map(|resource| resource.name.clone()),
            environment: resource.and_then(|resource| resource.environment.clone()),
            findings,
            operations,
            targets: Vec::new(),
            credentials: Vec::new(),
            standing_for: Vec::new(),
            deriving: self.deriving.map(Box::new),
            stages: Vec::new(),
            surprise: None,
            named: Vec::new(),
            completed: Vec::new(),
            lacking: self.lacking,
            spared: false,
            conditions: asked.collect(),
            secret: facts.leaks().iter().map(|leak| leak.slot.clone()).collect(),
            heeded: policy.heeded.clone(),
            pins: if word == Word::Deny { Vec::new() } else { self.pins },
            injections: if word == Word::Deny { Vec::new() } else { self.injections },
            kept_back: Vec::new(),
            terms,
            approvals_needed: usize::from(needed),
        });
        let given = decisive.and_then(|opinion| opinion.detail.clone());
        ruling.targets = self.targets;
        if word != Word::Allow {
            ruling.detail = detail(&ruling, given, head);
            for told in &ruling.lacking {
                if !ruling.detail.contains(told.as_str()) {
                    ruling.detail = format!("{} Besides, {told}.", ruling.detail);
                }
            }
        }
        for presented in facts.credentials() {
            if let (Some(token), Some(print)) =
                (derived::of(presented, context), presented.fingerprint())
            {
                ruling.standing_for.push((print, token.stands_for()));
            }
            ruling.credentials.push(used(presented, context));
        }
        ruling.stages = stages::asked(&ruling, context, head);
        let named = policy.sequences.named(&ruling.operations).cloned();
        ruling.named = named.collect();
        ruling
    }

    fn terms(&self) -> Terms {
        let held = self.all.iter().filter(|opinion| opinion.word == Word::Hold);
        let reasons = held.filter_map(|opinion| {
            let resource = opinion.resource.map_or("-", |resource| &resource.name);
            Some(format!("{} by {resource}", opinion.reason?.as_str()))
        });
        let targets = self.targets.iter().map(|target| {
            let environment = target.environment.as_deref().unwrap_or("unknown");
            format!("{} {} in {environment}", target.kind, target.id)
        });
        Terms { reasons: reasons.collect::<BTreeSet<_>>(), targets: targets.collect() }
    }
}

/// A credential, and where it comes from.
fn used(presented: &Presented, context: &Context<'_>) -> Used {
    let readings = || presented.readings().iter();
    let issued = readings().find_map(|reading| context.policy.issued(reading));
    let is_mine = issued.is_some_and(|(ix, _)| context.agent.credentials.contains(&ix));
    let seen = if is_mine {
        None
    } else {
        context.standing.seen.first(presented, context.inventory.now())
    };
    let token = derived::of(presented, context).map(derived::name);
    let name = issued.map(|(_, credential)| credential.name.clone()).or(token);
    Used { presented: presented.clone(), name, seen }
}

/// One sentence a model can act on; fixed words, and names from the policy and the catalog only.
fn detail(ruling: &Ruling, given: Option<String>, head: &Head) -> String {
    if let Some(given) = given {
        return format!("The request is refused: {given}.");
    }
    let operation = ruling
        .operation()
        .map_or_else(|| format!("{} {}", head.method(), head.target().host()), ToString::to_string);
    let place = ruling.environment.as_ref().map_or_else(String::new, |name| format!(" in {name}"));
    let Some(reason) = ruling.reason else { return String::new() };
    let held = ruling.word == Word::Hold;
    match reason {
        Reason::Quarantined => "This agent is in quarantine until an operator releases it; stop and report to the person you work for.".to_owned(),
        Reason::OutOfScope => format!("No declared resource covers {}:{}; do not look for another way, ask the operator to declare it if the task needs it.", head.target().host(), head.target().port()),
        Reason::ForeignCredential => format!("`{operation}` carries a credential that was not issued to this agent; use only the credentials you were given and do not look for others."),
        Reason::CredentialOutOfScope => format!("The credential sent with `{operation}` is not issued for what the call touches{place}; do not try another one, ask the operator."),
        Reason::SecretLeak => format!("The request carries a secret that does not belong to {}; take it out, do not encode or split it, and report where it came from.", head.target().host()),
        Reason::ScopeViolation => format!("`{operation}` is beyond what is declared for this agent{place}; ask the operator if the task needs it."),
        Reason::UnknownOperation if held => format!("`{operation}` is not known to the catalog, so a person has to approve it."),
        Reason::UnknownOperation => format!("`{operation}` is not known to the catalog and is refused."),
        Reason::UnknownTarget if held => format!("`{operation}` names an id that no declared resource owns, so a person has to approve it; verify which environment it belongs to."),
        Reason::UnknownTarget => format!("`{operation}` names an id that no declared resource owns; verify which environment it belongs to."),
        Reason::MissingCredential => format!("`{operation}` needs a credential issued to this agent and carries none."),
        Reason::AccountWide => format!("`{operation}` acts on the whole account, so a person has to approve it."),
        Reason::Execution => format!("`{operation}` runs code{place}, so a person has to approve it."),
        Reason::AccessChange => format!("`{operation}` changes who may do what{place}, so a person has to approve it."),
        Reason::CredentialRead => format!("`{operation}` reveals or mints secrets{place}, so a person has to approve it."),
        Reason::Destructive => format!("`{operation}` destroys something{place}, so a person has to approve it."),
        Reason::ApprovalRequired => format!("`{operation}`{place} needs the approval of a person."),
        other => other.title().to_owned(),
    }
}
