//! What the candidates say: which resources judge an operation, and by which of their words.
//!
//! Takes the candidates of a request; adds their opinions, those on its credentials among them.
//! Each id is judged by every resource that owns it; an id that nobody owns by what
//! `unknown_targets` says; a call without ids by every candidate.

use super::credentials::{credentials, missing};
use super::opinion::Opinions;
use super::owners::{self, Owner};
use super::plain::judge_plain;
use super::{Reason, Target};
use crate::catalog::{Catalog, Effect, Kind, Reversibility};
use crate::inspect::websocket::is_graphql_handshake;
use crate::inspect::{Identity, Inspected, Operation};
use crate::message::Head;
use crate::policy::{Call, Entry, Environments, Ix, Judge, Lists, Place, Resource, Word};
use std::sync::Arc;

pub(super) type Candidate<'a> = (Ix, &'a Resource);

/// Adds every opinion of the candidates; returns whether a WebSocket is let through.
pub(super) fn judge<'a, B>(
    request: &Inspected<B>,
    candidates: &[Candidate<'a>],
    opinions: &mut Opinions<'a>,
) -> bool {
    let head = request.message().head();
    let facts = request.facts();
    let mut websocket = false;
    for operation in facts.operations().iter().flat_map(Operation::by_effect) {
        let exchanged;
        let operation = if operation.effect == Effect::Credential && opinions.exchanges() {
            // Nothing changes that anybody owns, and what comes back may do no more.
            exchanged = Operation { effect: Effect::Read, ..operation.into_owned() };
            &exchanged
        } else {
            &*operation
        };
        let catalogued = candidates.first().and_then(|(_, resource)| resource.catalog());
        let (judges, all_needed) = match catalogued {
            Some(catalog) => judge_catalogued(operation, head, catalog, candidates, opinions),
            None => judge_plain(operation, request.message(), candidates, opinions, &mut websocket),
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

/// Whether an operation is named by method and path. Names of other envelopes may have a slash too.
fn is_path(name: &str) -> bool {
    let plain = |method: &str| method.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-');
    name.split_once(' ').is_some_and(|(method, path)| plain(method) && path.starts_with('/'))
}

/// Judges an operation of a catalog; returns its judges, and whether a credential must be issued
/// for all of them.
fn judge_catalogued<'a>(
    operation: &Operation,
    head: &Head,
    catalog: &Arc<Catalog>,
    candidates: &[Candidate<'a>],
    opinions: &mut Opinions<'a>,
) -> (Vec<Candidate<'a>>, bool) {
    if !operation.known && is_path(&operation.name) {
        // A path that the catalog does not have; nobody can say what it does.
        opinions.deny(Reason::UnknownOperation, None);
        return (candidates.to_vec(), false);
    }
    let mut judges: Vec<Candidate<'a>> = Vec::new();
    let mut unknown = false;
    let mut owned = false;
    let mut held: Vec<Ix> = Vec::new();
    let mut holders: Vec<Owner> = Vec::new();
    for identity in &operation.decides {
        let owners = owners::of(identity, head, catalog, opinions.context);
        if owners.is_empty() {
            if let Some(kind) = &identity.kind {
                unknown = true;
                holders.extend(owners::of_what_holds(identity, head, catalog, opinions.context));
                opinions.target(Target {
                    kind: kind.to_string(),
                    id: shown(&identity.value),
                    environment: None,
                    resource: None,
                    learned: None,
                });
            }
            continue;
        }
        unknown |= operation.effect == Effect::Read && owners::only_looked_up(&owners);
        if owners::too_little(&owners, operation.effect) {
            held.extend(owners.iter().map(|owner| owner.resource));
        }
        for owner in owners {
            // What nobody knows the effect of is confined by what is declared only.
            owned |= owner.learned.is_none();
            opinions.target(owner.target(shown(&identity.value), opinions.context));
            match candidates.iter().find(|(candidate, _)| *candidate == owner.resource) {
                Some(judge) => push(&mut judges, *judge),
                None => opinions.deny(Reason::ScopeViolation, None),
            }
        }
    }
    let read = operation.effect == Effect::Read;
    // An operation nobody knows acts on the declared ids it names; without one, on everything. A
    // conversation with a model acts on nothing that has an owner, nor does talk with a server of
    // tools before one is called.
    let account = if operation.known { operation.account } else { !owned };
    let everywhere = if account { candidates } else { &judges };
    let known = everywhere.iter().map(|(_, resource)| resource.environment.as_deref()).collect();
    opinions.acts_in(Environments { known, unknown: unknown || !held.is_empty() });
    for (_, resource) in &judges {
        by_lists(operation, head, resource, false, opinions);
    }
    for (_, resource) in judges.iter().filter(|(ix, _)| held.contains(ix)) {
        // That a thing is where it was seen is not enough for this.
        let reason = match operation.effect {
            Effect::Write => Reason::UnknownTarget,
            effect => held_reason(effect),
        };
        opinions.word(Word::Hold, reason, Some(resource), Some(resource.place), None);
    }
    let talks = match catalog.kind {
        Kind::Conversation => true,
        Kind::Mcp => !operation.name.starts_with("tools/call "),
        Kind::Api => false,
    };
    if account && operation.known && talks {
        for candidate in candidates {
            push(&mut judges, *candidate);
            by_lists(operation, head, candidate.1, false, opinions);
        }
        return (judges, !read);
    }
    judged_too(holders, operation, head, candidates, &mut judges, opinions);
    // A name that cannot be read may be of somebody else's thing.
    let unread = |name: &Identity| {
        is_unread(name) && name.kind.as_ref().is_some_and(|k| catalog.confined.contains(&**k))
    };
    unknown |= operation.names.iter().any(unread);
    let wanting = Wanting { account, unknown };
    named_owners(operation, wanting, head, catalog, candidates, &mut judges, opinions);
    if account && read {
        account_read(operation, head, candidates, opinions);
    } else if account {
        for (_, resource) in candidates {
            by_lists(operation, head, resource, true, opinions);
        }
    }
    if unknown {
        unknown_target(operation, head, candidates, opinions);
    }
    if read && operation.decides.iter().any(is_unread) {
        // An id that could not be read is no unknown one: it may be anybody's.
        for (_, resource) in candidates {
            by_lists(operation, head, resource, false, opinions);
        }
        opinions.word(Word::Hold, Reason::UnknownTarget, None, None, None);
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

/// Whether an id stands there that could not be read.
fn is_unread(identity: &Identity) -> bool {
    identity.kind.is_some() && identity.value.is_empty()
}

/// What a call lacks among the ids that decide.
#[derive(Clone, Copy)]
struct Wanting {
    /// One that it leaves out.
    account: bool,
    /// One that nobody owns.
    unknown: bool,
}

/// Where a deciding id is left out, an id that only names has an owner all the same; where nobody owns
/// one, if it is declared. Elsewhere only if its kind is confined too, and none of those who declare it
/// judges already: a thing of theirs is named in a call on somebody else's.
fn named_owners<'a>(
    operation: &Operation,
    wanting: Wanting,
    head: &Head,
    catalog: &Arc<Catalog>,
    candidates: &[Candidate<'a>],
    judges: &mut Vec<Candidate<'a>>,
    opinions: &mut Opinions<'a>,
) {
    for identity in &operation.names {
        let Some(kind) = &identity.kind else { continue };
        let owners = owners::of(identity, head, catalog, opinions.context);
        let declared = owners.iter().all(|owner| owner.learned.is_none());
        let judged = |owner: &Owner| judges.iter().any(|(ix, _)| *ix == owner.resource);
        let elsewhere = catalog.confined.contains(&**kind) && !owners.iter().any(judged);
        if !(wanting.account || declared && (wanting.unknown || elsewhere)) {
            continue;
        }
        judged_too(owners, operation, head, candidates, judges, opinions);
    }
}

/// Has owners judge that do not yet.
fn judged_too<'a>(
    owners: Vec<Owner>,
    operation: &Operation,
    head: &Head,
    candidates: &[Candidate<'a>],
    judges: &mut Vec<Candidate<'a>>,
    opinions: &mut Opinions<'a>,
) {
    for owner in owners {
        let ix = owner.resource;
        match candidates.iter().find(|(candidate, _)| *candidate == ix) {
            Some(judge) if judges.iter().all(|(known, _)| *known != ix) => {
                judges.push(*judge);
                by_lists(operation, head, judge.1, false, opinions);
            }
            Some(_) => {}
            None => opinions.deny(Reason::ScopeViolation, None),
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
    const LONGEST: usize = 128;
    if id.len() <= LONGEST && id.bytes().all(|byte| byte.is_ascii_graphic()) {
        return id.to_owned();
    }
    id.chars().filter(|c| !c.is_control()).take(LONGEST).collect()
}

/// What the lists of one resource say: names before effects, deny before hold before allow.
fn by_lists<'a>(
    operation: &Operation,
    head: &Head,
    resource: &'a Resource,
    account: bool,
    opinions: &mut Opinions<'a>,
) {
    let Judge::Catalog(_, lists) = &resource.judge else { return };
    let (word, place, named) = word_of(operation, head, lists, opinions);
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
fn word_of(
    operation: &Operation,
    head: &Head,
    lists: &Lists,
    opinions: &Opinions<'_>,
) -> (Word, Option<Place>, bool) {
    let name = &*operation.name;
    let effect = operation.effect;
    let irreversible =
        operation.reversibility == Reversibility::Irreversible && effect != Effect::Unknown;
    let environments = opinions.environments();
    let call = Call { head, arguments: &operation.arguments, environments };
    let first = |word: Word, mut entries: &mut dyn Iterator<Item = &Entry>| {
        let applies = |entry: &&Entry| opinions.applies(&entry.when, word, call, entry.place);
        Iterator::find(&mut entries, applies).map(|entry| Some(entry.place))
    };
    let (deny, hold, allow) = (&lists.deny, &lists.hold, &lists.allow);
    let mut named = deny.outright(name).chain(deny.fitting(name));
    if let Some(place) = first(Word::Deny, &mut named) {
        return (Word::Deny, place, true);
    }
    if let Some(place) = first(Word::Deny, &mut deny.with(effect)) {
        return (Word::Deny, place, false);
    }
    if let Some(place) = first(Word::Hold, &mut hold.outright(name).chain(hold.fitting(name))) {
        return (Word::Hold, place, true);
    }
    // Of what is unknown only a tool can be named, because nobody but its server knows it.
    if !irreversible
        && (effect != Effect::Unknown || name.starts_with("tools/call "))
        && let Some(place) = first(Word::Allow, &mut allow.outright(name))
    {
        return (Word::Allow, place, true);
    }
    if let Some(place) = first(Word::Hold, &mut hold.with(effect)) {
        return (Word::Hold, place, false);
    }
    // A pattern names nothing outright: it says no more than an effect does.
    if let Some(place) = first(Word::Allow, &mut allow.fitting(name).chain(allow.with(effect))) {
        // What cannot be undone waits for a person, whatever class it is allowed with.
        let word = if irreversible || effect == Effect::Unknown { Word::Hold } else { Word::Allow };
        return (word, place, false);
    }
    match effect {
        Effect::Unknown => (Word::Hold, None, false),
        _ => (Word::Deny, None, false),
    }
}

pub(super) const fn held_reason(effect: Effect) -> Reason {
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
    head: &Head,
    candidates: &[Candidate<'a>],
    opinions: &mut Opinions<'a>,
) {
    let words: Vec<_> = candidates
        .iter()
        .filter_map(|(_, resource)| match &resource.judge {
            Judge::Catalog(_, lists) => {
                Some((*resource, word_of(operation, head, lists, opinions)))
            }
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
    head: &Head,
    candidates: &[Candidate<'a>],
    opinions: &mut Opinions<'a>,
) {
    let read = operation.effect == Effect::Read;
    if read {
        account_read(operation, head, candidates, opinions);
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
        if let (Word::Deny, place, true) = word_of(operation, head, lists, opinions) {
            opinions.deny(Reason::ScopeViolation, Some((resource, place)));
        }
    }
    let reason = held_reason(operation.effect);
    if reason != Reason::ApprovalRequired {
        opinions.word(Word::Hold, reason, None, None, None);
    }
}
