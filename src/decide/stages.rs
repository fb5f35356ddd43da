//! What a request, and the answer to it, show of where an agent is going.
//!
//! Takes a ruling; returns stages. Those of a request are noted whatever its verdict, in the order
//! findings, effects, names; those of an answer are what has happened, so only success shows them.

use super::{Context, Finding, Reason, Ruling, Used};
use crate::catalog::{Catalog, Effect, Kind, Mark, Reversibility};
use crate::inspect::Operation;
use crate::message::Head;
use crate::trajectory::{Fact, Stage, call_of};
use http::Method;
use std::sync::Arc;

/// The catalog of a request's host, where the agent's resources there have one.
fn catalog<'a>(context: &Context<'a>, head: &Head) -> Option<&'a Catalog> {
    let candidates = context.policy.candidates(context.agent, head.target());
    candidates.first().and_then(|(_, resource)| resource.catalog()).map(Arc::as_ref)
}

/// The stages of a request. What is refused for nothing but what is missing before it violates no scope.
pub(super) fn asked(ruling: &Ruling, context: &Context<'_>, head: &Head) -> Vec<Stage> {
    let mut stages = Vec::new();
    for finding in &ruling.findings {
        let stage = match finding.reason {
            Reason::ForeignCredential => Stage::ForeignCredential,
            Reason::CredentialOutOfScope => Stage::CredentialOutOfScope,
            Reason::OutOfScope => Stage::OutOfScope,
            Reason::ScopeViolation if ruling.lacking.is_empty() => Stage::ScopeViolation,
            Reason::SecretLeak if leaves(context, head) => Stage::SecretLeak,
            _ => continue,
        };
        if !stages.contains(&stage) {
            stages.push(stage);
        }
    }
    if stages.contains(&Stage::ForeignCredential)
        && ruling.credentials.iter().any(|used| is_found(used, head))
    {
        stages.push(Stage::FoundCredential);
    }
    stages.extend(of_effects(&ruling.operations, context, head));
    if context.policy.sequences.named(&ruling.operations).next().is_some() {
        stages.push(Stage::Called);
    }
    stages
}

/// Whether a credential was handed out elsewhere: what a host hands out to be shown to it again is its own.
fn is_found(used: &Used, head: &Head) -> bool {
    let is_elsewhere = |host: &Option<Arc<str>>| {
        host.as_ref().is_none_or(|host| **host != *head.target().host().as_str())
    };
    used.seen.as_ref().is_some_and(|seen| is_elsewhere(&seen.answer.host))
}

/// Whether a secret that goes there leaves. What an agent reads its model reads.
fn leaves(context: &Context<'_>, head: &Head) -> bool {
    catalog(context, head).is_none_or(|catalog| catalog.kind != Kind::Conversation)
}

/// The stages that operations show by what they do.
pub(super) fn of_effects(
    operations: &[Operation],
    context: &Context<'_>,
    head: &Head,
) -> Vec<Stage> {
    let is_final = |operation: &&Operation| {
        operation.known
            && operation.reversibility == Reversibility::Irreversible
            && operation.effect != Effect::Unknown
    };
    let destroys = |operation: &Operation| operation.has(Effect::Destructive);
    let mut stages = Vec::new();
    if operations.iter().any(destroys) {
        stages.push(Stage::Destructive);
    }
    if operations.iter().any(|operation| is_final(&operation)) {
        stages.push(Stage::Irreversible);
    }
    let mut gone = operations.iter().filter(is_final).filter(|one| destroys(one)).peekable();
    if gone.peek().is_some() {
        let catalog = catalog(context, head);
        if gone.any(|operation| !is_marked(operation, Mark::BackupRemoved, catalog)) {
            stages.push(Stage::Deletion);
        }
    }
    if operations.iter().any(|operation| operation.has(Effect::Execute)) {
        stages.push(Stage::Execution);
    }
    stages
}

impl Ruling {
    /// What the trajectory notes of the request.
    pub fn facts(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        for stage in &self.stages {
            if *stage == Stage::Called {
                let called = self.named.iter().cloned();
                facts.extend(called.map(|what| Fact { stage: Stage::Called, what }));
            } else {
                facts.push(Fact { stage: *stage, what: self.what() });
            }
        }
        facts
    }

    /// What the trajectory notes once the request is answered with success.
    pub fn done(&self, method: &Method, catalog: Option<&Catalog>) -> Vec<Fact> {
        let mut facts = Vec::new();
        let mut add = |stage: Stage, what: &Arc<str>| {
            facts.push(Fact { stage, what: what.clone() });
        };
        let reads = matches!(*method, Method::GET | Method::HEAD);
        // What is handed out in exchange for what was issued may do no more than that.
        let exchanged = self.deriving.is_some();
        for operation in self.operations.iter() {
            let name = &operation.name;
            if operation.has(Effect::Credential) {
                add(Stage::SecretHandedOut, name);
                let by_form = !reads
                    && !["query ", "subscription "].iter().any(|kind| name.starts_with(kind));
                let minted = match catalog.filter(|catalog| catalog.says(Mark::CredentialMinted)) {
                    Some(catalog) => catalog.is_marked(Mark::CredentialMinted, name),
                    None => by_form,
                };
                if minted && !exchanged {
                    add(Stage::CredentialMinted, name);
                }
            }
            if operation.has(Effect::Access) {
                add(Stage::AccessChange, name);
            }
            for (mark, stage) in BACKUPS {
                if is_marked(operation, *mark, catalog) {
                    add(*stage, name);
                }
            }
        }
        for name in &self.named {
            add(Stage::Done, name);
        }
        facts
    }

    /// What tells this call from others of the same operation.
    pub fn call(&self) -> u64 {
        let operations = self.operations.iter().map(|operation| &*operation.name);
        let targets = self.targets.iter().flat_map(|target| [&*target.kind, &*target.id]);
        call_of(operations.chain(targets))
    }

    fn what(&self) -> Arc<str> {
        self.operation().cloned().unwrap_or_else(|| Arc::from("a request"))
    }
}

/// Whether a catalog marks an operation. What can be undone removes nothing.
fn is_marked(operation: &Operation, mark: Mark, catalog: Option<&Catalog>) -> bool {
    let removes = || operation.reversibility == Reversibility::Irreversible;
    catalog.is_some_and(|catalog| catalog.is_marked(mark, &operation.name))
        && (mark != Mark::BackupRemoved || removes())
}

const BACKUPS: &[(Mark, Stage)] = &[
    (Mark::BackupSeen, Stage::BackupSeen),
    (Mark::BackupMade, Stage::BackupMade),
    (Mark::BackupRestored, Stage::BackupRestored),
    (Mark::BackupRemoved, Stage::BackupRemoved),
];

/// Whether findings of a body that streamed show that a secret left.
pub fn left(findings: &[Finding]) -> bool {
    findings.iter().any(|finding| finding.reason == Reason::SecretLeak)
}
