//! Secrets on their way to a host that they do not belong to.
//!
//! Takes what was seen of secrets in a request and its candidates; adds an opinion on each. A secret
//! belongs to the resources it is issued for; one of a vendor's shape to that vendor's service; one that
//! an answer handed out to the host of that answer, and others of its service. What is done about one
//! that does not belong says `leaks` of the resource, the strictest where there are more.

use super::opinion::Opinions;
use super::scope::Candidate;
use super::{Finding, Reason, Target};
use crate::fingerprint::{Fingerprint, FingerprintKey};
use crate::inspect::secret::{Owner, What};
use crate::inspect::{Leak, Operation, shown_path};
use crate::message::{Head, Host};
use crate::policy::file::Leaks;
use crate::policy::{Policy, Resource};
use std::sync::Arc;

/// What is done about a secret that does not belong; the strictest of the candidates. `deny` where
/// there are none.
pub fn leaks_word<'a>(candidates: impl IntoIterator<Item = &'a Resource>) -> Leaks {
    candidates.into_iter().map(|resource| resource.leaks).min().unwrap_or(Leaks::Deny)
}

/// Whether a secret belongs to one of these.
pub fn belongs<'a>(
    leak: &Leak,
    host: &Host,
    policy: &Policy,
    candidates: impl IntoIterator<Item = &'a Resource>,
) -> bool {
    let answerer = leak.answer.as_ref().and_then(|answer| answer.host.as_deref());
    if answerer == Some(host.as_str()) {
        return true;
    }
    candidates.into_iter().any(|resource| match leak.sighting.what {
        What::Known(Owner::Issued(ix)) => {
            // The agent has a placeholder for its slot, and no business with the value.
            let put_in = policy.credentials.get(ix).is_some_and(|issued| issued.injected.is_some());
            resource.covered_by.contains(&ix) && !put_in
        }
        What::Known(Owner::Seen(_)) => answerer.is_some_and(|answerer| {
            let service = resource.catalog().is_some();
            service && resource.hosts.iter().any(|pattern| pattern.fits(answerer))
        }),
        What::Crowded => false,
        What::Shape { service, .. } => service.is_some_and(|service| {
            resource.catalog().is_some_and(|catalog| &*catalog.service == service)
        }),
    })
}

/// The evidence of a secret that does not belong: what it is, its length, its short fingerprint, and
/// how it is encoded.
pub fn leak_finding(leak: &Leak, policy: &Policy) -> Finding {
    let Leak { slot, sighting, answer, .. } = leak;
    let name = match sighting.what {
        What::Known(Owner::Issued(ix)) => policy
            .credentials
            .get(ix)
            .map_or_else(|| "issued".to_owned(), |credential| credential.name.to_string()),
        What::Known(Owner::Seen(_)) => match answer {
            Some(answer) => match &answer.host {
                Some(host) => format!("handed out by {host}"),
                None => format!("first seen in {}", answer.told()),
            },
            None => "seen before".to_owned(),
        },
        What::Crowded => "more secrets than are looked at, one of them".to_owned(),
        What::Shape { word, .. } => word.to_owned(),
    };
    let trace = &sighting.trace;
    let mut evidence = format!("{name}, {} bytes, {}", trace.length, trace.fingerprint.short());
    if !sighting.encodings.is_plain() {
        evidence = format!("{evidence}, in {}", sighting.encodings);
    }
    Finding { reason: Reason::SecretLeak, slot: Some(slot.clone()), evidence: Some(evidence) }
}

/// Adds an opinion on each secret that does not belong.
pub(super) fn leaks<'a>(
    found: &[Leak],
    head: &Head,
    candidates: &[Candidate<'a>],
    opinions: &mut Opinions<'a>,
) {
    let resources = || candidates.iter().map(|(_, resource)| *resource);
    let notes = leaks_word(resources()) == Leaks::Note;
    let host = head.target().host();
    let policy = opinions.context.policy;
    let mut told: Vec<&Fingerprint> = Vec::new();
    let found = found.iter().filter(|leak| !leak.is_presented);
    for leak in found.filter(|leak| !belongs(leak, host, policy, resources())) {
        // Each once, in the first place where it stands.
        let print = &leak.sighting.trace.fingerprint;
        if told.contains(&print) {
            continue;
        }
        told.push(print);
        let finding = leak_finding(leak, policy);
        if notes {
            opinions.note(finding);
        } else {
            opinions.finding(finding);
        }
    }
}

/// The operations with the path left out of their names, where a secret stands in it.
pub(super) fn shown(operations: Arc<[Operation]>, found: &[Leak], head: &Head) -> Arc<[Operation]> {
    if !found.iter().any(|leak| leak.slot == Leak::PATH) {
        return operations;
    }
    let path = head.path().as_str();
    let written = shown_path(path);
    let shown = |operation: &Operation| {
        let name = operation.name.replace(path, "/[secret]").replace(&*written, "/[secret]");
        Operation { name: Arc::from(name), ..operation.clone() }
    };
    operations.iter().map(shown).collect()
}

/// Leaves out of targets the ids that are secrets.
pub(super) fn without_secrets(targets: &mut [Target], found: &[Leak], key: &FingerprintKey) {
    if found.is_empty() {
        return;
    }
    for target in targets {
        let print = key.fingerprint(target.id.as_bytes());
        if found.iter().any(|leak| leak.sighting.trace.fingerprint == print) {
            "[secret]".clone_into(&mut target.id);
        }
    }
}
