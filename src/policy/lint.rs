//! What a policy allows but its author may not have meant.
//!
//! Takes a compiled policy; returns lints, each with its place. Never refuses.

use super::file::{self, Credentials, Named};
use super::node::{Place, Problem};
use super::{Judge, Policy, Proof, Resource, Sign, Word};
use crate::catalog::{Catalog, Effect, Kind, Reversibility};
use crate::trajectory::Stage;

/// All lints of a policy, with those that were found while it was compiled.
pub(super) fn all(
    policy: &Policy,
    agents: &Named<file::Agent>,
    found: Vec<Problem>,
) -> Vec<Problem> {
    let mut lints = found;
    for resource in &policy.resources {
        lint_resource(policy, resource, &mut lints);
    }
    for (ix, resource) in policy.resources.iter().enumerate() {
        let used = policy.agents.iter().any(|agent| {
            agent.exact.values().chain(agent.wildcard.values()).any(|list| list.contains(&ix))
        });
        if !used {
            lints.push(Problem::new(
                resource.place,
                format!("no agent has the resource `{}`", resource.name),
            ));
        }
    }
    for (ix, credential) in policy.credentials.iter().enumerate() {
        if !policy.agents.iter().any(|agent| agent.credentials.contains(&ix)) {
            lints.push(Problem::new(
                credential.place,
                format!("the credential `{}` is issued to no agent", credential.name),
            ));
        }
    }
    for credential in policy.credentials.iter().filter(|credential| credential.derives) {
        let resources = credential.resources.iter().filter_map(|ix| policy.resources.get(*ix));
        let mut catalogs = resources.filter_map(Resource::catalog);
        if !catalogs.any(|catalog| !catalog.tokens.is_empty()) {
            lints.push(Problem::new(
                credential.place,
                format!("`{}`: `derives` has no effect: no catalog of its resources says where it is exchanged for a token", credential.name),
            ));
        }
    }
    for (agent, (name, _)) in policy.agents.iter().zip(agents) {
        if matches!(agent.proof, Proof::OnlyAgent) {
            lints.push(Problem::new(name.place, format!("`{}` has no token: every program on this machine that finds the listener is this agent", agent.name)));
        }
    }
    lint_sequences(policy, lints.as_mut());
    if policy.approvals.approvers.is_empty() {
        lints.push(Problem::new(Place::default(), "no approver is named: `serve` makes one token at each start, and only a terminal shows it"));
    }
    lints
}

/// What is said in the conversation with a model is seen where a resource declares one.
fn lint_sequences(policy: &Policy, lints: &mut Vec<Problem>) {
    let talks = |resource: &Resource| {
        resource.catalog().is_some_and(|catalog| catalog.kind == Kind::Conversation)
    };
    let heard = policy.resources.iter().any(talks);
    let of_talk = |sign: &Sign| *sign == Sign::Stage(Stage::CredentialDiscovery);
    for sequence in policy.sequences.orders.iter().filter(|sequence| !sequence.built_in) {
        if !heard && sequence.steps.iter().any(|step| step.iter().all(of_talk)) {
            lints.push(Problem::new(Place::default(), format!("the sequence `{}` has a step that is seen in the conversation with a model only, and no resource declares a model provider", sequence.name)));
        }
    }
    for name in &policy.sequences.off {
        lints.push(Problem::new(
            Place::default(),
            format!("the built-in sequence `{name}` is switched off"),
        ));
    }
}

fn lint_resource(policy: &Policy, resource: &Resource, lints: &mut Vec<Problem>) {
    let name = &resource.name;
    match resource.credentials {
        Credentials::Any => lints.push(Problem::new(
            resource.place,
            format!("`{name}` takes any credential, so a stolen one passes there unseen"),
        )),
        Credentials::FirstSeen => lints.push(Problem::new(
            resource.place,
            format!("`{name}` pins the first credential it sees: whoever is first decides"),
        )),
        _ => {}
    }
    match &resource.judge {
        Judge::Catalog(catalog, lists) => {
            let named = lists.allow.operations.iter();
            for (operation, entry) in
                named.flat_map(|(name, all)| all.iter().map(move |e| (name, e)))
            {
                let place = &entry.place;
                if is_irreversible(catalog, operation) {
                    lints.push(Problem::new(*place, format!("`{operation}` cannot be undone, so naming it here does not let it pass; it is judged by its effect")));
                } else {
                    lints.push(Problem::new(
                        *place,
                        format!("`{operation}` passes whatever its effect"),
                    ));
                }
            }
            for entry in lists.allow.with(Effect::Destructive) {
                lints.push(Problem::new(
                    entry.place,
                    "destructive calls that cannot be undone are held all the same",
                ));
            }
            let takes_issued = !matches!(
                resource.credentials,
                Credentials::Any | Credentials::FirstSeen | Credentials::None
            );
            if takes_issued && resource.covered_by.is_empty() && !lists.allow.effects.is_empty() {
                lints.push(Problem::new(resource.place, format!("`{name}` allows calls, but no credential is issued for it: only calls without one pass")));
            }
        }
        Judge::Plain(rules) => {
            for (_, rule) in rules.allowing.iter().filter(|(_, rule)| rule.websocket) {
                lints.push(Problem::new(
                    rule.place,
                    "what the messages of a WebSocket say is not read; each is judged as one call",
                ));
            }
            for (template, rule) in rules.restricting.iter().chain(rules.allowing.iter()) {
                let stated = rule.effect == Some(Effect::Read) && rule.word == Word::Allow;
                if stated && rule.method.as_ref().is_none_or(|method| *method != http::Method::GET)
                {
                    lints.push(Problem::new(
                        rule.place,
                        format!(
                            "`{}` is stated to be a read; nothing checks that",
                            template.as_str()
                        ),
                    ));
                }
            }
        }
    }
    if policy.resources.iter().any(|other| !std::ptr::eq(other, resource) && other.name == *name) {
        lints.push(Problem::new(resource.place, format!("`{name}` is declared twice")));
    }
}

fn is_irreversible(catalog: &Catalog, operation: &str) -> bool {
    let rest = || catalog.entries().find(|spec| *spec.name == *operation);
    let spec = catalog.operation(operation).or_else(rest);
    spec.is_some_and(|spec| spec.reversibility == Reversibility::Irreversible)
}
