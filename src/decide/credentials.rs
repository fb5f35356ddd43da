//! Whose the credentials of a request are: whether each is issued, and for what judges it.
//!
//! Takes the credentials found in a request and its judges; adds the opinions on them. Only how a
//! credential was issued counts, never what it looks like.

use super::opinion::Opinions;
use super::scope::Candidate;
use super::{Context, Reason, derived};
use crate::inspect::{Presented, credential};
use crate::message::Head;
use crate::policy::file::Credentials;
use crate::policy::{Ix, Resource};
use http::Method;
use std::sync::Arc;

/// Whether a credential fits a resource, the best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fit {
    Fits,
    Pin,
    OutOfScope,
    Foreign,
}

fn fit(presented: &Presented, resource: &Resource, head: &Head, context: &Context<'_>) -> Fit {
    let known = presented.readings().iter().filter_map(|reading| context.policy.issued(reading));
    let issued = known.clone().find(|(ix, _)| context.agent.credentials.contains(ix));
    if issued.is_none() && known.clone().next().is_some() {
        // It is another agent's, which no resource takes for whoever comes with it.
        return Fit::Foreign;
    }
    let token = derived::of(presented, context).filter(|_| issued.is_none());
    if head.target().is_cleartext() && !resource.cleartext {
        let known = issued.is_some() || token.is_some();
        return if known { Fit::OutOfScope } else { Fit::Foreign };
    }
    if let Some((ix, _)) = issued {
        return issued_fits(ix, resource, context);
    }
    if let Some(token) = token {
        return derived::fit(token, resource, context);
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

/// Whether an issued credential fits a resource.
pub(super) fn issued_fits(ix: Ix, resource: &Resource, context: &Context<'_>) -> Fit {
    let covered = resource.covered_by.contains(&ix);
    let injected = context.policy.credentials.get(ix).is_some_and(|one| one.injected.is_some());
    // What takes anything is still no place to put a value in that is for another.
    let open = matches!(resource.credentials, Credentials::Any) && !injected;
    if covered || open { Fit::Fits } else { Fit::OutOfScope }
}

/// A host's own cookie, handed out to this agent, is the host's and no credential of anybody else.
pub(super) fn is_own_cookie(presented: &Presented, context: &Context<'_>) -> bool {
    presented.is_cookie
        && presented.readings().iter().any(|reading| context.standing.cookies.contains(reading))
}

/// Has the value put in, where the agent holds a placeholder of the credential; whether it stands in a
/// place for that. What reflects a request is sent none (RFC 9110 sections 9.3.7 and 9.3.8).
fn inject(presented: &Presented, head: &Head, opinions: &mut Opinions<'_>) -> bool {
    let policy = opinions.context.policy;
    let issued = presented.readings().iter().find_map(|reading| policy.issued(reading));
    let Some(injected) = issued.and_then(|(_, credential)| credential.injected.as_ref()) else {
        return true;
    };
    if matches!(*head.method(), Method::OPTIONS | Method::TRACE) {
        return true;
    }
    if !credential::is_named(&presented.slot) {
        // Whatever has the form of a credential is presented; a place of the agent's choosing gets none.
        return false;
    }
    let candidates = policy.candidates(opinions.context.agent, head.target());
    let bound = policy.injected(opinions.context.agent, &candidates);
    let injection = bound
        .filter(|bound| Arc::ptr_eq(bound, injected))
        .find_map(|bound| bound.injection(&presented.slot, head.headers(), head.query().as_str()));
    let stands = injection.is_some();
    if let Some(injection) = injection {
        opinions.inject(injection);
    }
    stands
}

/// For a read a credential must fit one of the judges, for anything else all of them.
pub(super) fn credentials<'a>(
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
            if !inject(credential, head, opinions) {
                let detail = "a placeholder stands where no value is put in; send it in a header or a query parameter that is one for credentials by its name, alone in it";
                opinions.misplaced(credential, detail);
                continue;
            }
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

pub(super) fn missing<'a>(
    presented: &[Presented],
    judges: &[Candidate<'a>],
    opinions: &mut Opinions<'a>,
) {
    let of_nobody = |credential: &Presented| {
        derived::of(credential, opinions.context).is_some_and(derived::is_of_nobody)
    };
    let carries = presented.iter().any(|one| !one.is_cookie && !of_nobody(one));
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
    let mine = match issued {
        Some((ix, _)) => context.agent.credentials.contains(&ix),
        None => derived::of(presented, context).is_some_and(|token| !derived::is_of_nobody(token)),
    };
    let reason = if mine { Reason::CredentialOutOfScope } else { Reason::ForeignCredential };
    opinions.credential(reason, presented);
}
