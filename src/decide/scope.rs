//! What the candidates say: which resources judge an operation, and by which of their words.
//!
//! Takes the candidates of a request; adds their opinions, those on its credentials among them.
//! Each id is judged by every resource that owns it; an id that nobody owns by what
//! `unknown_targets` says; a call without ids by every candidate.

use super::opinion::Opinions;
use super::{Context, Reason, Target};
use crate::catalog::{Catalog, Effect, Kind, Reversibility};
use crate::inspect::rest::{is_destructive_parameter, is_destructive_word};
use crate::inspect::websocket::is_graphql_handshake;
use crate::inspect::{Inspected, Operation, Presented};
use crate::message::Head;
use crate::policy::file::Credentials;
use crate::policy::path::{Segment, Template, bare_path};
use crate::policy::{Ix, Judge, Lists, Place, Resource, Rule, Rules, Word};
use http::Method;
use std::borrow::Cow;
use std::sync::Arc;

type Candidate<'a> = (Ix, &'a Resource);

/// Adds every opinion of the candidates; returns whether a WebSocket is let through.
pub(super) fn judge<'a, B>(
    request: &Inspected<B>,
    candidates: &[Candidate<'a>],
    opinions: &mut Opinions<'a>,
) -> bool {
    let head = request.message().head();
    let facts = request.facts();
    let mut websocket = false;
    for operation in facts.operations().iter() {
        let catalogued = candidates.first().and_then(|(_, resource)| resource.catalog());
        let (judges, all_needed) = match catalogued {
            Some(catalog) => judge_catalogued(operation, catalog, candidates, opinions),
            None => judge_plain(operation, head, candidates, opinions, &mut websocket),
        };
        let effect = opinions.effect().unwrap_or(operation.effect);
        if opinions.standing().hold_writes && effect != Effect::Read {
            let detail = "a sequence of this agent's calls was dangerous, so all its writes wait for a person";
            opinions.word(
                Word::Hold,
                Reason::ApprovalRequired,
                None,
                None,
                Some(detail.to_owned()),
            );
        }
        credentials(facts.credentials(), &judges, all_needed, head, opinions);
        missing(facts.credentials(), &judges, opinions);
    }
    if head.is_upgrade() && !websocket {
        let catalogued = candidates.first().and_then(|(_, resource)| resource.catalog());
        websocket = catalogued.is_some_and(|catalog| is_graphql_handshake(head, catalog));
    }
    if head.is_upgrade() && !websocket {
        opinions.deny_because(
            Reason::ScopeViolation,
            "nothing lets a WebSocket with these subprotocols through here".to_owned(),
        );
    }
    websocket && head.is_upgrade()
}

// ----- catalogued resources -----

/// Judges an operation of a catalog; returns its judges, and whether a credential must be issued
/// for all of them.
fn judge_catalogued<'a>(
    operation: &Operation,
    catalog: &Arc<Catalog>,
    candidates: &[Candidate<'a>],
    opinions: &mut Opinions<'a>,
) -> (Vec<Candidate<'a>>, bool) {
    if !operation.known && operation.name.contains('/') {
        // A path that the catalog does not have; nobody can say what it does.
        opinions.deny(Reason::UnknownOperation, None);
        return (candidates.to_vec(), false);
    }
    let mut judges: Vec<Candidate<'a>> = Vec::new();
    let mut unknown = false;
    let mut owned = false;
    for identity in &operation.decides {
        let owners: Vec<(String, Ix)> = match &identity.kind {
            Some(kind) => opinions
                .context
                .policy
                .owners(&catalog.service, kind, &identity.value)
                .iter()
                .map(|ix| (kind.to_string(), *ix))
                .collect(),
            None => opinions
                .context
                .policy
                .owners_of_any_kind(&catalog.service, &identity.value)
                .into_iter()
                .flat_map(|(kind, owners)| owners.iter().map(move |ix| (kind.to_owned(), *ix)))
                .collect(),
        };
        if owners.is_empty() {
            if let Some(kind) = &identity.kind {
                unknown = true;
                opinions.target(Target {
                    kind: kind.to_string(),
                    id: shown(&identity.value),
                    environment: None,
                    resource: None,
                });
            }
            continue;
        }
        for (kind, ix) in owners {
            owned = true;
            let resource = opinions.context.policy.resources.get(ix);
            opinions.target(Target {
                kind,
                id: shown(&identity.value),
                environment: resource.and_then(|resource| resource.environment.clone()),
                resource: resource.map(|resource| resource.name.clone()),
            });
            match candidates.iter().find(|(candidate, _)| *candidate == ix) {
                Some(judge) => push(&mut judges, *judge),
                None => opinions.deny(Reason::ScopeViolation, None),
            }
        }
    }
    let read = operation.effect == Effect::Read;
    for (_, resource) in &judges {
        by_lists(operation, resource, false, opinions);
    }
    // An operation nobody knows acts on the declared ids it names; without one, on everything. A
    // conversation with a model acts on nothing that has an owner.
    let account = if operation.known { operation.account } else { !owned };
    if account && operation.known && catalog.kind == Kind::Conversation {
        for candidate in candidates {
            push(&mut judges, *candidate);
            by_lists(operation, candidate.1, false, opinions);
        }
        return (judges, !read);
    }
    if account {
        named_owners(operation, catalog, candidates, &mut judges, opinions);
    }
    if account && read {
        account_read(operation, candidates, opinions);
    } else if account {
        for (_, resource) in candidates {
            by_lists(operation, resource, true, opinions);
        }
    }
    if unknown {
        unknown_target(operation, candidates, opinions);
    }
    if account {
        // A read that names something declared is read there; all else is of everybody.
        if judges.is_empty() || !read {
            for candidate in candidates {
                push(&mut judges, *candidate);
            }
        }
        return (judges, !read);
    }
    if unknown {
        // Whose the id is cannot be said, so the credential has to fit one of the candidates, and
        // every judge that is known.
        let all = !read && !judges.is_empty();
        if judges.is_empty() {
            judges = candidates.to_vec();
        }
        return (judges, all);
    }
    (judges, !read)
}

/// Where a deciding id is left out, an id that only names has an owner all the same.
fn named_owners<'a>(
    operation: &Operation,
    catalog: &Arc<Catalog>,
    candidates: &[Candidate<'a>],
    judges: &mut Vec<Candidate<'a>>,
    opinions: &mut Opinions<'a>,
) {
    for identity in &operation.names {
        let Some(kind) = &identity.kind else { continue };
        for ix in opinions.context.policy.owners(&catalog.service, kind, &identity.value) {
            match candidates.iter().find(|(candidate, _)| candidate == ix) {
                Some(judge) if judges.iter().all(|(known, _)| known != ix) => {
                    judges.push(*judge);
                    by_lists(operation, judge.1, false, opinions);
                }
                Some(_) => {}
                None => opinions.deny(Reason::ScopeViolation, None),
            }
        }
    }
}

fn push<'a>(judges: &mut Vec<Candidate<'a>>, candidate: Candidate<'a>) {
    if judges.iter().all(|(ix, _)| *ix != candidate.0) {
        judges.push(candidate);
    }
}

/// An id as it may be shown: it is the agent's text.
fn shown(id: &str) -> String {
    id.chars().filter(|c| !c.is_control()).take(128).collect()
}

/// What the lists of one resource say: names before effects, deny before hold before allow.
fn by_lists<'a>(
    operation: &Operation,
    resource: &'a Resource,
    account: bool,
    opinions: &mut Opinions<'a>,
) {
    let Judge::Catalog(_, lists) = &resource.judge else { return };
    let (word, place, named) = word_of(operation, lists);
    let effect = operation.effect;
    match word {
        Word::Deny => {
            let reason = if effect == Effect::Unknown {
                Reason::UnknownOperation
            } else {
                Reason::ScopeViolation
            };
            opinions.deny(reason, Some((resource, place)));
        }
        Word::Hold => opinions.word(Word::Hold, held_reason(effect), Some(resource), place, None),
        Word::Allow => opinions.allow(resource, place),
    }
    if account && word != Word::Deny && !(named && word == Word::Allow) {
        opinions.word(Word::Hold, Reason::AccountWide, Some(resource), place, None);
    }
}

/// The word of a resource's lists, its place, and whether the operation is named outright.
fn word_of(operation: &Operation, lists: &Lists) -> (Word, Option<Place>, bool) {
    let name = &*operation.name;
    let irreversible = operation.reversibility == Reversibility::Irreversible
        && operation.effect != Effect::Unknown;
    if let Some(place) = lists.deny.operations.get(name) {
        return (Word::Deny, Some(*place), true);
    }
    if let Some(place) = lists.deny.effects.get(&operation.effect) {
        return (Word::Deny, Some(*place), false);
    }
    if let Some(place) = lists.hold.operations.get(name) {
        return (Word::Hold, Some(*place), true);
    }
    if let Some(place) = lists.allow.operations.get(name)
        && !irreversible
        && operation.effect != Effect::Unknown
    {
        return (Word::Allow, Some(*place), true);
    }
    if let Some(place) = lists.hold.effects.get(&operation.effect) {
        return (Word::Hold, Some(*place), false);
    }
    if let Some(place) = lists.allow.effects.get(&operation.effect) {
        // What cannot be undone waits for a person, whatever class it is allowed with.
        let word = if irreversible || operation.effect == Effect::Unknown {
            Word::Hold
        } else {
            Word::Allow
        };
        return (word, Some(*place), false);
    }
    match operation.effect {
        Effect::Unknown => (Word::Hold, None, false),
        _ => (Word::Deny, None, false),
    }
}

const fn held_reason(effect: Effect) -> Reason {
    match effect {
        Effect::Unknown => Reason::UnknownOperation,
        Effect::Execute => Reason::Execution,
        Effect::Access => Reason::AccessChange,
        Effect::Credential => Reason::CredentialRead,
        Effect::Destructive => Reason::Destructive,
        Effect::Read | Effect::Write => Reason::ApprovalRequired,
    }
}

/// A read without ids passes if some candidate allows reads and none names it otherwise.
fn account_read<'a>(
    operation: &Operation,
    candidates: &[Candidate<'a>],
    opinions: &mut Opinions<'a>,
) {
    let words: Vec<_> = candidates
        .iter()
        .filter_map(|(_, resource)| match &resource.judge {
            Judge::Catalog(_, lists) => Some((*resource, word_of(operation, lists))),
            Judge::Plain(_) => None,
        })
        .collect();
    let strictest_named =
        words.iter().filter(|(_, (_, _, named))| *named).max_by_key(|(_, (word, ..))| *word);
    let mildest = words.iter().min_by_key(|(_, (word, ..))| *word);
    let Some((resource, (word, place, _))) = strictest_named.or(mildest) else { return };
    let reason =
        if *word == Word::Deny { Reason::ScopeViolation } else { held_reason(operation.effect) };
    opinions.word(*word, reason, Some(resource), *place, None);
}

/// A target that nobody owns: read as `unknown_targets` says, anything else held or denied.
fn unknown_target<'a>(
    operation: &Operation,
    candidates: &[Candidate<'a>],
    opinions: &mut Opinions<'a>,
) {
    let read = operation.effect == Effect::Read;
    if read {
        account_read(operation, candidates, opinions);
    }
    let word = |resource: &Resource| {
        if read {
            resource.unknown_targets.read
        } else {
            resource.unknown_targets.other.max(Word::Hold)
        }
    };
    if let Some((_, strictest)) = candidates.iter().max_by_key(|(_, resource)| word(resource)) {
        opinions.word(
            word(strictest),
            Reason::UnknownTarget,
            Some(strictest),
            Some(strictest.place),
            None,
        );
    }
    if read {
        return;
    }
    for (_, resource) in candidates {
        let Judge::Catalog(_, lists) = &resource.judge else { continue };
        if let (Word::Deny, place, true) = word_of(operation, lists) {
            opinions.deny(Reason::ScopeViolation, Some((resource, place)));
        }
    }
    let reason = held_reason(operation.effect);
    if reason != Reason::ApprovalRequired {
        opinions.word(Word::Hold, reason, None, None, None);
    }
}

// ----- plain resources -----

fn judge_plain<'a>(
    operation: &Operation,
    head: &Head,
    candidates: &[Candidate<'a>],
    opinions: &mut Opinions<'a>,
    websocket: &mut bool,
) -> (Vec<Candidate<'a>>, bool) {
    let segments = head.path().segments();
    let path: Vec<&str> = segments.iter().map(Cow::as_ref).collect();
    let mut judges = Vec::new();
    let mut effective: Option<Does> = None;
    for candidate in candidates {
        let Judge::Plain(rules) = &candidate.1.judge else { continue };
        if let Some(does) =
            by_rules(operation, head, &path, rules, candidate.1, opinions, websocket)
        {
            effective = effective.max(Some(does));
            judges.push(*candidate);
        }
    }
    if let Some(does) = effective {
        opinions.does(operation, does);
    }
    if judges.is_empty() {
        let by = candidates.first().map(|(_, resource)| (*resource, Some(resource.place)));
        opinions.deny(Reason::ScopeViolation, by);
        return (candidates.to_vec(), false);
    }
    (judges, effective.is_some_and(|(effect, _)| effect != Effect::Read))
}

/// What a call does, the graver first.
pub(super) type Does = (Effect, Reversibility);

/// What a call does by a rule, which may say it itself.
fn by_rule(rule: &Rule, operation: &Operation) -> Does {
    let effect = rule.effect.unwrap_or(operation.effect);
    let usual = match effect {
        _ if effect == operation.effect => operation.reversibility,
        Effect::Destructive | Effect::Unknown => Reversibility::Irreversible,
        _ => Reversibility::Reversible,
    };
    (effect, rule.reversibility.unwrap_or(usual))
}

/// What the rules of one resource say; none if it abstains.
fn by_rules<'a>(
    operation: &Operation,
    head: &Head,
    path: &[&str],
    rules: &'a Rules,
    resource: &'a Resource,
    opinions: &mut Opinions<'a>,
    websocket: &mut bool,
) -> Option<Does> {
    let method = head.method();
    let fits = |rule: &Rule| match &rule.method {
        None => true,
        Some(wanted) => wanted == method || (*wanted == Method::GET && *method == Method::HEAD),
    };
    let mut does = None;
    // A trailing slash or dot is another spelling to many servers; it is no way past these.
    let mut restricting = rules.restricting.matches(&bare_path(path));
    if path.iter().any(|segment| segment.contains('/')) {
        // An encoded slash is one to many servers: both readings count.
        let split: Vec<&str> = path.iter().flat_map(|segment| segment.split('/')).collect();
        restricting.extend(rules.restricting.matches(&bare_path(&split)));
    }
    for (_, rule) in restricting.into_iter().filter(|(_, rule)| fits(rule)) {
        let of_rule = by_rule(rule, operation);
        does = does.max(Some(of_rule));
        if rule.word == Word::Deny {
            opinions.deny(Reason::ScopeViolation, Some((resource, Some(rule.place))));
        } else {
            let reason = held_reason(of_rule.0);
            opinions.word(Word::Hold, reason, Some(resource), Some(rule.place), None);
        }
    }
    let allowing: Vec<&(Template, Rule)> =
        rules.allowing.matches(path).into_iter().filter(|(_, rule)| fits(rule)).collect();
    *websocket |= allowing.iter().any(|(_, rule)| rule.websocket);
    let outright: Vec<&Rule> = allowing
        .iter()
        .filter(|(template, rule)| is_outright(template, rule, operation, head, path))
        .map(|(_, rule)| rule)
        .collect();
    if let Some(first) = outright.first() {
        opinions.allow(resource, Some(first.place));
        // Of several that allow it, the one that says the graver is believed.
        return does.max(outright.iter().map(|rule| by_rule(rule, operation)).max());
    }
    let Some((_, rule)) = allowing.first() else { return does };
    // What destroys, or does nobody knows what, is not meant by a wildcard.
    opinions.word(
        Word::Hold,
        held_reason(operation.effect),
        Some(resource),
        Some(rule.place),
        None,
    );
    does.max(Some((operation.effect, operation.reversibility)))
}

/// Whether an allowing rule means this very call, rather than covering it by a wildcard.
fn is_outright(
    template: &Template,
    rule: &Rule,
    operation: &Operation,
    head: &Head,
    path: &[&str],
) -> bool {
    if rule.effect.is_some() {
        return true;
    }
    match operation.effect {
        Effect::Destructive => {}
        Effect::Unknown => return rule.method.is_some(),
        _ => return true,
    }
    if template.has_wildcard() || (*head.method() == Method::DELETE && rule.method.is_none()) {
        return false;
    }
    let query =
        head.query().pairs().iter().any(|(name, value)| is_destructive_parameter(name, value));
    let words_written = path.iter().zip(template.segments()).all(|(segment, written)| {
        !is_destructive_word(segment) || matches!(written, Segment::Literal(_))
    });
    words_written && !query
}

// ----- credentials -----

/// Whether a credential fits a resource.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fit {
    Fits,
    Pin,
    OutOfScope,
    Foreign,
}

fn fit(presented: &Presented, resource: &Resource, head: &Head, context: &Context<'_>) -> Fit {
    let issued = presented
        .readings()
        .iter()
        .find_map(|reading| context.policy.issued(reading))
        .filter(|(ix, _)| context.agent.credentials.contains(ix));
    if head.target().is_cleartext() && !resource.cleartext {
        return if issued.is_some() { Fit::OutOfScope } else { Fit::Foreign };
    }
    if let Some((ix, _)) = issued {
        let covered = resource.covered_by.contains(&ix);
        let open = matches!(resource.credentials, Credentials::Any);
        return if covered || open { Fit::Fits } else { Fit::OutOfScope };
    }
    match resource.credentials {
        Credentials::Any => Fit::Fits,
        Credentials::FirstSeen => {
            let pinned = context.standing.pins.get(&resource.name).map_or(&[][..], Vec::as_slice);
            if pinned.is_empty() {
                Fit::Pin
            } else if presented.readings().iter().any(|reading| pinned.contains(reading)) {
                Fit::Fits
            } else {
                Fit::Foreign
            }
        }
        _ => Fit::Foreign,
    }
}

/// A host's own cookie, handed out to this agent, is the host's and no credential of anybody else.
fn is_own_cookie(presented: &Presented, context: &Context<'_>) -> bool {
    presented.is_cookie
        && presented.readings().iter().any(|reading| context.standing.cookies.contains(reading))
}

/// For a read a credential must fit one of the judges, for anything else all of them.
fn credentials<'a>(
    presented: &[Presented],
    judges: &[Candidate<'a>],
    all_needed: bool,
    head: &Head,
    opinions: &mut Opinions<'a>,
) {
    let context = opinions.context;
    for credential in presented.iter().filter(|credential| !is_own_cookie(credential, context)) {
        let fits: Vec<(Fit, &Resource)> = judges
            .iter()
            .map(|(_, resource)| (fit(credential, resource, head, context), *resource))
            .collect();
        let good = |fit: Fit| matches!(fit, Fit::Fits | Fit::Pin);
        let passes = if all_needed {
            fits.iter().all(|(fit, _)| good(*fit))
        } else {
            fits.iter().any(|(fit, _)| good(*fit)) || fits.is_empty()
        };
        if passes {
            for (_, resource) in fits.iter().filter(|(fit, _)| *fit == Fit::Pin) {
                if let Some(fingerprint) = credential.fingerprint() {
                    opinions.pin(resource, fingerprint);
                }
            }
        } else {
            let foreign = fits.iter().any(|(fit, _)| *fit == Fit::Foreign);
            let reason =
                if foreign { Reason::ForeignCredential } else { Reason::CredentialOutOfScope };
            opinions.credential(reason, credential);
        }
    }
}

fn missing<'a>(presented: &[Presented], judges: &[Candidate<'a>], opinions: &mut Opinions<'a>) {
    let carries = presented.iter().any(|credential| !credential.is_cookie);
    for (_, resource) in judges {
        if resource.credentials == Credentials::Required && !carries {
            opinions.deny(Reason::MissingCredential, Some((resource, Some(resource.place))));
        }
    }
}

/// What a request carries that is refused whatever it asks for: it fits one of the resources, or none.
pub(super) fn credentials_alone<'a>(
    presented: &[Presented],
    candidates: &[Candidate<'a>],
    head: &Head,
    opinions: &mut Opinions<'a>,
) {
    credentials(presented, candidates, false, head, opinions);
}

/// On a host that no resource declares, a credential is told apart for the record.
pub(super) fn without_candidates(
    context: &Context<'_>,
    presented: &Presented,
    opinions: &mut Opinions<'_>,
) {
    let issued = presented.readings().iter().find_map(|reading| context.policy.issued(reading));
    let mine = issued.is_some_and(|(ix, _)| context.agent.credentials.contains(&ix));
    let reason = if mine { Reason::CredentialOutOfScope } else { Reason::ForeignCredential };
    opinions.credential(reason, presented);
}
