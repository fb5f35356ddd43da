//! How the proxy itself may ask services what an id is.
//!
//! Takes `lookups:` as written; returns the credentials by service, and adds the built-in agent that
//! uses them. Refuses a service that cannot be asked, and a credential that is another agent's.

use super::compile::Compiler;
use super::file::{self, File, Source};
use super::node::Problem;
use super::{Agent, BUILT_IN, Credential, Ix, Lookups, Proof, Resource};
use std::collections::HashMap;
use std::sync::Arc;

impl Compiler<'_> {
    pub(super) fn lookups(
        &mut self,
        file: &File,
        names: &HashMap<String, Ix>,
        credentials: &[Credential],
        resources: &[Resource],
        agents: &mut Vec<Agent>,
    ) -> HashMap<String, Lookups> {
        if let Some((name, _)) = file.agents.iter().find(|(name, _)| name.value == BUILT_IN) {
            let message =
                format!("`{BUILT_IN}` is the proxy itself; call the agent something else");
            self.problem(name.place, message);
        }
        let mut lookups = HashMap::new();
        let mut own = Agent::new(BUILT_IN, Proof::Unset);
        for (service, entry) in &file.lookups {
            let place = entry.credential.place;
            let of_service = |resource: &&Resource| {
                resource.catalog().is_some_and(|catalog| *catalog.service == *service.value)
            };
            let asked = resources.iter().find(of_service).and_then(Resource::catalog);
            let answers = asked.and_then(|catalog| catalog.graphql.as_ref());
            if answers.is_none_or(|graphql| graphql.lookups.is_empty()) {
                let message = format!(
                    "no resource is of a service `{}` whose catalog says how to look something up",
                    service.value
                );
                self.problem(service.place, message);
                continue;
            }
            let Some(ix) =
                self.lookup(names, std::slice::from_ref(&entry.credential), "credential").pop()
            else {
                continue;
            };
            if written(file, entry).is_some_and(|credential| credential.inject) {
                let message = "looking up needs the credential itself, not a placeholder for it";
                self.problem(place, message);
            }
            if agents.iter().any(|agent| agent.credentials.contains(&ix)) {
                let message = format!(
                    "`{}` is issued to an agent; the proxy needs one of its own",
                    entry.credential.value
                );
                self.problem(place, message);
            }
            match written(file, entry).map(|credential| &credential.value.value) {
                Some(Source { fingerprint: Some(_), .. }) | None => {
                    self.problem(
                        place,
                        "looking up needs the credential itself, not its fingerprint",
                    );
                }
                Some(source) => {
                    let value = match (&source.env, &source.file) {
                        (Some(name), _) => self.secrets.variable(name),
                        (None, Some(file)) => self.secrets.file(&self.base.join(file)).ok(),
                        (None, None) => None,
                    };
                    // One that is not set has its lint already; nothing is looked up then.
                    let found =
                        value.map(|credential| Lookups { credential, per_hour: entry.per_hour });
                    lookups.extend(found.map(|found| (service.value.clone(), found)));
                }
            }
            self.lints.push(Problem::new(
                place,
                format!("`{}` is used by the proxy itself: it is as powerful as any; issue one that only reads", entry.credential.value),
            ));
            own.credentials.push(ix);
            for ix in credentials.get(ix).into_iter().flat_map(|credential| &credential.resources) {
                own.cover(*ix, resources);
            }
        }
        if !own.credentials.is_empty() {
            agents.push(own);
        }
        lookups
    }
}

/// The credential that a service is asked with, as it is written.
fn written<'f>(file: &'f File, entry: &file::Lookup) -> Option<&'f file::Credential> {
    let of_name = file.credentials.iter().find(|(name, _)| name.value == entry.credential.value);
    of_name.map(|(_, credential)| credential)
}

impl Agent {
    /// One without resources.
    pub(super) fn new(name: &str, proof: Proof) -> Self {
        Self {
            name: Arc::from(name),
            proof,
            credentials: Vec::new(),
            baseline: None,
            exact: HashMap::new(),
            wildcard: HashMap::new(),
            below: HashMap::new(),
        }
    }
}
