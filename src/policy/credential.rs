//! The credentials that were issued: known by their fingerprints, bound to their resources.
//!
//! Takes `credentials:` as written; returns them with the index of their fingerprints. Refuses one
//! value under two names, and what would hand a credential to whoever asks.

use super::compile::Compiler;
use super::file::{self, Named, Source};
use super::node::Problem;
use super::{Credential, Ix};
use crate::fingerprint::Fingerprint;
use std::collections::HashMap;
use std::sync::Arc;

impl Compiler<'_> {
    pub(super) fn credentials(
        &mut self,
        entries: &Named<file::Credential>,
        resources: &HashMap<String, Ix>,
    ) -> (Vec<Credential>, HashMap<Fingerprint, Ix>) {
        let mut issued = HashMap::new();
        let mut credentials = Vec::new();
        for (ix, (name, entry)) in entries.iter().enumerate() {
            let found = self.lookup(resources, &entry.resources, "resource");
            if entry.resources.is_empty() {
                self.problem(
                    name.place,
                    format!("`{}` is issued for no resource; name them", name.value),
                );
            }
            let place = entry.value.place;
            let fingerprint = match &entry.value.value {
                Source { fingerprint: Some(text), env: None, file: None } => {
                    let fingerprint = self.key.read(text);
                    if fingerprint.is_none() {
                        self.problem(place, "this is no fingerprint of this installation's key; make one with `holdgate credential fingerprint`");
                    }
                    fingerprint
                }
                source => self
                    .secret(source, place, &format!("credential `{}`", name.value))
                    .map(|value| self.key.fingerprint(&value)),
            };
            if entry.value.value.env.is_some()
                && let Some((_, issued)) = self.variables.last_mut()
            {
                *issued = Some(ix);
            }
            if let Some(fingerprint) = fingerprint
                && issued.insert(fingerprint, ix).is_some()
            {
                self.problem(
                    place,
                    "two credentials have the same value; issue it once, for all its resources",
                );
            }
            credentials.push(Credential {
                name: Arc::from(name.value.as_str()),
                resources: found,
                place: name.place,
            });
        }
        (credentials, issued)
    }

    pub(super) fn injections(
        &mut self,
        agents: &Named<file::Agent>,
        credentials: &Named<file::Credential>,
    ) {
        for (name, credential) in credentials.iter().filter(|(_, credential)| credential.inject) {
            for (agent_name, agent) in agents {
                let has = agent.credentials.iter().any(|held| held.value == name.value);
                if has && agent.token.is_none() {
                    self.problem(credential.value.place, format!("`{}` is injected for `{}`, which needs a `token`: without one, anybody on this machine would be given the credential", name.value, agent_name.value));
                }
            }
            self.problem(credential.value.place, format!("`{}`: `inject` is not available in this version; give the agent the credential itself", name.value));
        }
        for (name, credential) in credentials {
            if credential.derives {
                self.lints.push(Problem::new(name.place, format!("`{}`: `derives` has no effect in this version: what it is exchanged for is foreign", name.value)));
            }
        }
    }
}
