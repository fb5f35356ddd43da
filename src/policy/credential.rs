//! The credentials that were issued: known by their fingerprints, bound to their resources.
//!
//! Takes `credentials:` as written; returns them with the index of their fingerprints. Refuses one
//! value under two names, and what would hand a credential to whoever asks.

use super::compile::Compiler;
use super::file::{self, Named, Source};
use super::node::{Place, Spanned};
use super::{Credential, Ix, Policy};
use crate::catalog::Envelope;
use crate::fingerprint::Fingerprint;
use crate::inject::Injected;
use crate::inspect::secret::Owner;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

impl Compiler<'_> {
    pub(super) fn credentials(
        &mut self,
        entries: &Named<file::Credential>,
        resources: &HashMap<String, Ix>,
    ) -> (Vec<Credential>, HashMap<Fingerprint, Ix>) {
        let (mut issued, mut values) = (HashMap::new(), HashSet::new());
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
            let mut injected = None;
            let fingerprint = match &entry.value.value {
                Source { fingerprint: Some(text), env: None, file: None } => {
                    let fingerprint = self.key.read(text);
                    if fingerprint.is_none() {
                        self.problem(place, "this is no fingerprint of this installation's key; make one with `holdgate credential fingerprint`");
                    }
                    fingerprint
                }
                source => {
                    let value = self.secret(source, place, &format!("credential `{}`", name.value));
                    if let Some(value) = value.as_ref().filter(|_| entry.inject) {
                        injected = self.injected(name, value, place);
                    }
                    let held = injected.as_ref().map(|held| held.placeholder().as_bytes());
                    let secrets =
                        value.as_ref().map(|value| value.as_slice()).into_iter().chain(held);
                    let traces = secrets.filter_map(|secret| self.key.trace(secret));
                    self.traces.extend(traces.map(|trace| (trace, Owner::Issued(ix))));
                    value.map(|value| self.key.fingerprint(&value))
                }
            };
            if entry.value.value.env.is_some()
                && let Some((_, issued)) = self.variables.last_mut()
            {
                *issued = Some(ix);
            }
            if let Some(fingerprint) = fingerprint {
                if !values.insert(fingerprint) {
                    self.problem(
                        place,
                        "two credentials have the same value; issue it once, for all its resources",
                    );
                }
                // What the agent holds is the placeholder; who sends the value itself was not given it.
                let held = injected.as_ref().map(|injected| injected.placeholder().as_bytes());
                issued.insert(held.map_or(fingerprint, |held| self.key.fingerprint(held)), ix);
            }
            credentials.push(Credential {
                name: Arc::from(name.value.as_str()),
                resources: found,
                injected,
                derives: entry.derives,
                place: name.place,
            });
        }
        (credentials, issued)
    }

    /// A value that the proxy puts in.
    fn injected(
        &mut self,
        name: &Spanned<String>,
        value: &[u8],
        place: Place,
    ) -> Option<Arc<Injected>> {
        match Injected::new(Arc::from(name.value.as_str()), value, self.key) {
            Ok(injected) => Some(Arc::new(injected)),
            Err(unfit) => {
                self.problem(place, format!("`{}`: {unfit}", name.value));
                None
            }
        }
    }

    pub(super) fn injections(
        &mut self,
        agents: &Named<file::Agent>,
        credentials: &Named<file::Credential>,
        policy: &Policy,
    ) {
        for (name, credential) in credentials.iter().filter(|(_, credential)| credential.inject) {
            for (agent_name, agent) in agents {
                let has = agent.credentials.iter().any(|held| held.value == name.value);
                if has && agent.token.is_none() {
                    self.problem(credential.value.place, format!("`{}` is injected for `{}`, which needs a `token`: without one, anybody on this machine would be given the credential", name.value, agent_name.value));
                }
            }
            let issued = policy.credentials.iter().find(|issued| *issued.name == *name.value);
            let resources = issued.into_iter().flat_map(|issued| &issued.resources);
            let mut catalogs = resources.filter_map(|ix| policy.resources.get(*ix)?.catalog());
            if catalogs.any(|catalog| catalog.has(Envelope::Aws)) {
                self.problem(credential.value.place, format!("`{}`: the agent itself signs its calls of AWS, so there is no place to put a value in", name.value));
            }
            if credential.value.value.fingerprint.is_some() {
                self.problem(
                    credential.value.place,
                    format!(
                        "`{}`: a value that is put in has to be known; write `env:` or `file:`",
                        name.value
                    ),
                );
            }
        }
    }
}
