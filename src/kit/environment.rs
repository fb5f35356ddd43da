//! What of its parent's environment a command may have.
//!
//! Takes the variables, the policy and the agent; returns those that are withheld, and the placeholders
//! that stand for the agent's credentials. A variable that looks like a secret is withheld unless it
//! was issued to the agent, or is for a service whose credentials the agent brings itself.

use crate::inject::Scrubber;
use crate::inspect::credential::{looks_secret, service_of};
use crate::policy::file::Credentials;
use crate::policy::{Agent, Policy};

/// Variables of approvers and operators, which no agent may see.
const WITHHELD: &[&str] = &[
    "HOLDGATE_APPROVER_TOKEN",
    "HOLDGATE_WEBHOOK_SECRET",
    "HOLDGATE_DATABASE_URL",
    "HOLDGATE_POLICY",
];

/// What is done with the parent's variables.
#[derive(Debug, Default)]
pub struct Environment {
    /// Names that are the operator's own.
    pub withheld: Vec<String>,
    /// Names of what looks like a secret and was not issued.
    pub stripped: Vec<String>,
    /// Names with the placeholders that they are set to.
    pub placeholders: Vec<(String, String)>,
}

impl Environment {
    /// For one agent. `keep` has the names that the operator passes on whatever they look like.
    pub fn new(
        variables: impl Iterator<Item = (String, String)>,
        policy: &Policy,
        agent: &Agent,
        keep: &[String],
    ) -> Self {
        let withheld = WITHHELD.iter().copied().chain(policy.not_for(agent));
        let withheld: Vec<String> = withheld.map(str::to_owned).collect();
        let placeholders: Vec<(String, String)> = policy
            .placeholders(agent)
            .map(|(name, placeholder)| (name.to_owned(), placeholder.to_owned()))
            .collect();
        let stays = |name: &str, value: &str| {
            keep.iter().any(|kept| kept == name)
                || withheld.iter().any(|other| other == name)
                || placeholders.iter().any(|(other, _)| other == name)
                || !(looks_secret(name, value) || has_value(value, policy, agent))
                || is_issued(value, policy, agent)
                || is_brought(name, value, policy, agent)
        };
        let stripped = variables.filter(|(name, value)| !stays(name, value));
        let stripped = stripped.map(|(name, _)| name).collect();
        Self { withheld, stripped, placeholders }
    }
}

/// Whether a value has one in it that the agent holds a placeholder of, however it is written.
fn has_value(value: &str, policy: &Policy, agent: &Agent) -> bool {
    let issued = agent.credentials.iter().filter_map(|ix| policy.credentials.get(*ix));
    let mut injected = issued.filter_map(|credential| credential.injected.as_ref());
    injected.any(|injected| Scrubber::new(injected).text(value.as_bytes()).is_some())
}

/// Whether a value is one that was issued to the agent.
fn is_issued(value: &str, policy: &Policy, agent: &Agent) -> bool {
    let fingerprint = policy.fingerprints.fingerprint(value.trim().as_bytes());
    policy.issued(&fingerprint).is_some_and(|(ix, _)| agent.credentials.contains(&ix))
}

/// Whether it is for a service where the agent's own first credential is the one it keeps.
fn is_brought(name: &str, value: &str, policy: &Policy, agent: &Agent) -> bool {
    let vendor = service_of(value);
    agent.resources().filter_map(|ix| policy.resources.get(ix)).any(|resource| {
        let brings = matches!(resource.credentials, Credentials::FirstSeen | Credentials::Any);
        let service = resource.catalog().map(|catalog| &*catalog.service);
        brings
            && service.is_some_and(|service| {
                let named = name.get(..service.len()).is_some_and(|head| {
                    head.eq_ignore_ascii_case(service)
                        && name.get(service.len()..).is_some_and(|rest| rest.starts_with('_'))
                });
                named || vendor.as_deref() == Some(service)
            })
    })
}
