//! The declared scope: resources, their rules and lists, their hosts and ids.
//!
//! Takes `resources:` as written; returns what judges. Refuses keys that do not go together, rules
//! that can never match, empty lists, and hosts that are both catalogued and plain.

use super::compile::Compiler;
use super::file::{self, Credentials, Named, Port, Word};
use super::node::{Place, Problem, Spanned};
use super::{Credential, Ix, Judge, Lists, Names, Resource, Rule, Rules, path};
use crate::catalog::{Catalog, Effect};
use crate::message::Host;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

impl Compiler<'_> {
    pub(super) fn resources(
        &mut self,
        entries: &Named<file::Resource>,
        credential_names: &HashMap<String, Ix>,
        credentials: &[Credential],
    ) -> Vec<Resource> {
        let mut catalogs: HashMap<String, Arc<Catalog>> = HashMap::new();
        let mut resources = Vec::new();
        for (ix, (name, entry)) in entries.iter().enumerate() {
            let catalog = entry.service.as_ref().and_then(|service| {
                if let Some(catalog) = catalogs.get(&service.value) {
                    return Some(catalog.clone());
                }
                match Catalog::embedded(&service.value) {
                    Ok(catalog) => {
                        let catalog = Arc::new(catalog);
                        catalogs.insert(service.value.clone(), catalog.clone());
                        Some(catalog)
                    }
                    Err(error) => {
                        self.problem(service.place, error.to_string());
                        None
                    }
                }
            });
            if entry.service.is_some() && catalog.is_none() {
                continue;
            }
            let judge = self.judge(name, entry, catalog);
            if let Some(unknown) =
                entry.unknown_targets.filter(|unknown| unknown.other == Word::Allow)
            {
                self.problem(
                    name.place,
                    format!("`unknown_targets.other: {:?}` would let an id that nobody owns be written; write hold or deny", unknown.other),
                );
            }
            let mode = entry.credentials.as_ref();
            let covered_by = self.covering(ix, mode, credential_names, credentials);
            resources.push(Resource {
                name: Arc::from(name.value.as_str()),
                environment: entry.environment.as_deref().map(Arc::from),
                place: name.place,
                ports: self.ports(name.place, entry),
                judge,
                unknown_targets: entry.unknown_targets.unwrap_or_default(),
                credentials: mode
                    .map_or_else(|| Credentials::List(Vec::new()), |mode| mode.value.clone()),
                covered_by,
                cleartext: entry.cleartext,
                encoded_slash: entry.encoded_slash,
            });
        }
        resources
    }

    /// The issued credentials that may be used on a resource.
    fn covering(
        &mut self,
        resource: Ix,
        mode: Option<&Spanned<Credentials>>,
        names: &HashMap<String, Ix>,
        credentials: &[Credential],
    ) -> Vec<Ix> {
        let covers =
            |ix: &Ix| credentials.get(*ix).is_some_and(|c| c.resources.contains(&resource));
        let all = || (0..credentials.len()).filter(|ix| covers(ix)).collect();
        match mode.map(|mode| (&mode.value, mode.place)) {
            Some((Credentials::None, _)) => Vec::new(),
            Some((Credentials::List(list), place)) => {
                if list.is_empty() {
                    self.problem(place, "an empty list says nothing; write `credentials: none`");
                }
                let wanted: Vec<Spanned<String>> =
                    list.iter().map(|name| Spanned { value: name.clone(), place }).collect();
                let found = self.lookup(names, &wanted, "credential");
                if found.iter().any(|ix| !covers(ix)) {
                    self.problem(place, "a credential listed here does not have this resource among its own `resources`");
                }
                found
            }
            _ => all(),
        }
    }

    fn judge(
        &mut self,
        name: &Spanned<String>,
        entry: &file::Resource,
        catalog: Option<Arc<Catalog>>,
    ) -> Judge {
        let Some(catalog) = catalog else {
            let misplaced = [
                ("allow", entry.allow.is_some()),
                ("hold", entry.hold.is_some()),
                ("deny", entry.deny.is_some()),
                ("ids", !entry.ids.is_empty()),
                ("unknown_targets", entry.unknown_targets.is_some()),
            ];
            for (key, _) in misplaced.iter().filter(|(_, present)| *present) {
                self.problem(
                    name.place,
                    format!("`{key}` needs a `service`; a plain resource has `rules`"),
                );
            }
            return Judge::Plain(self.rules(name, entry));
        };
        for (key, present) in [("rules", entry.rules.is_some()), ("hosts", entry.hosts.is_some())] {
            if present {
                self.problem(
                    name.place,
                    format!("`{key}` does not go with `service`; the catalog says it"),
                );
            }
        }
        for (kind, ids) in &entry.ids {
            let place = ids.first().map_or(name.place, |id| id.place);
            if !catalog.kinds.contains(kind) {
                let known: Vec<&str> = catalog.kinds.iter().map(String::as_str).collect();
                self.problem(
                    place,
                    format!(
                        "`{kind}` is no kind of id of {}; its kinds are {}",
                        catalog.title,
                        known.join(", ")
                    ),
                );
            }
            if ids.is_empty() {
                self.problem(place, format!("`ids.{kind}` is empty; leave it out"));
            }
        }
        let lists = Lists {
            allow: self.list(entry.allow.as_deref(), "allow", name.place, &catalog),
            hold: self.list(entry.hold.as_deref(), "hold", name.place, &catalog),
            deny: self.list(entry.deny.as_deref(), "deny", name.place, &catalog),
        };
        Judge::Catalog(catalog, lists)
    }

    fn list(
        &mut self,
        words: Option<&[Spanned<String>]>,
        key: &str,
        place: Place,
        catalog: &Catalog,
    ) -> Names {
        let mut names = Names::default();
        if words.is_some_and(<[_]>::is_empty) {
            self.problem(place, format!("`{key}: []` says nothing; leave it out"));
        }
        for word in words.unwrap_or_default() {
            if let Some(effect) = Effect::parse(&word.value) {
                names.effects.insert(effect, word.place);
                continue;
            }
            let graphql = catalog
                .graphql
                .as_ref()
                .is_some_and(|graphql| graphql.operations.contains_key(&word.value));
            let rest = catalog.rest.iter().any(|(_, (_, spec))| *spec.name == *word.value);
            if !graphql && !rest {
                self.problem(
                    word.place,
                    format!(
                        "`{}` is neither an effect nor an operation of {}",
                        word.value, catalog.title
                    ),
                );
            }
            names.operations.insert(word.value.clone(), word.place);
        }
        names
    }

    fn rules(&mut self, name: &Spanned<String>, entry: &file::Resource) -> Rules {
        let mut rules =
            Rules { restricting: path::Index::folding_case(), allowing: path::Index::default() };
        if entry.rules.as_ref().is_none_or(Vec::is_empty) {
            self.problem(
                name.place,
                format!("`{}` has no `rules`, so nothing would ever pass; write them", name.value),
            );
        }
        if entry.hosts.as_ref().is_none_or(Vec::is_empty) {
            self.problem(name.place, format!("`{}` has no `hosts`", name.value));
        }
        for spanned in entry.rules.iter().flatten() {
            let rule = &spanned.value;
            let written =
                [(Word::Allow, &rule.allow), (Word::Hold, &rule.hold), (Word::Deny, &rule.deny)];
            let mut written =
                written.into_iter().filter_map(|(word, text)| Some((word, text.as_ref()?)));
            let (Some((word, text)), None) = (written.next(), written.next()) else {
                self.problem(spanned.place, "a rule has exactly one of `allow`, `hold` and `deny`");
                continue;
            };
            match path::parse_rule(text) {
                Ok((method, template)) => {
                    let index = if word == Word::Allow {
                        &mut rules.allowing
                    } else {
                        &mut rules.restricting
                    };
                    index.insert(
                        &template,
                        Rule {
                            word,
                            method,
                            reason: rule.reason.clone(),
                            effect: rule.effect,
                            reversibility: rule.reversibility,
                            websocket: rule.websocket,
                            place: spanned.place,
                        },
                    );
                }
                Err(error) => self.problem(spanned.place, error.to_string()),
            }
        }
        rules
    }

    fn ports(&mut self, place: Place, entry: &file::Resource) -> Vec<Port> {
        let Some(ports) = &entry.ports else { return vec![Port { number: 443, cleartext: false }] };
        if ports.is_empty() {
            self.problem(place, "`ports: []` says nothing; leave it out for 443");
        }
        for port in ports.iter().filter(|port| port.value.cleartext) {
            if entry.service.is_some() {
                self.problem(port.place, "a catalogued service is not spoken to in clear text");
            }
        }
        ports.iter().map(|port| port.value).collect()
    }

    /// The hosts of each plain resource, and whether each is a wildcard's parent.
    pub(super) fn hosts(&mut self, entries: &Named<file::Resource>) -> Vec<Vec<(String, bool)>> {
        let mut all = Vec::new();
        for (_, entry) in entries {
            let mut hosts = Vec::new();
            for host in entry.hosts.iter().flatten() {
                let (text, wildcard) = match host.value.strip_prefix("*.") {
                    Some(parent) => (parent, true),
                    None => (host.value.as_str(), false),
                };
                match Host::parse(text) {
                    Ok(parsed) if wildcard && !parsed.as_str().contains('.') => {
                        self.lints.push(Problem::new(
                            host.place,
                            format!("`{}` covers a whole top-level domain", host.value),
                        ));
                        hosts.push((parsed.as_str().to_owned(), true));
                    }
                    Ok(parsed)
                        if !wildcard
                            && (parsed.as_str() == "localhost"
                                || parsed.as_str().ends_with(".localhost")) =>
                    {
                        self.problem(host.place, "localhost is never reached through the proxy; clients reach it directly by NO_PROXY");
                    }
                    Ok(parsed) => hosts.push((parsed.as_str().to_owned(), wildcard)),
                    Err(error) => self.problem(
                        host.place,
                        format!(
                            "`{}`: {error}; write exact hosts, or `*.example.com` for one label",
                            host.value
                        ),
                    ),
                }
            }
            all.push(hosts);
        }
        all
    }

    pub(super) fn both_kinds(
        &mut self,
        entries: &Named<file::Resource>,
        hosts: &[Vec<(String, bool)>],
        resources: &[Resource],
    ) {
        let catalogued: HashSet<&str> = resources
            .iter()
            .filter_map(Resource::catalog)
            .flat_map(|catalog| catalog.hosts.iter().map(String::as_str))
            .collect();
        for ((name, _), hosts) in entries.iter().zip(hosts) {
            for (host, wildcard) in hosts {
                let clash = catalogued.iter().any(|known| {
                    if *wildcard {
                        known.split_once('.').is_some_and(|(_, parent)| parent == host)
                    } else {
                        known == host
                    }
                });
                if clash {
                    self.problem(name.place, format!("`{}` declares `{host}` plainly, but a catalog in this policy describes it; use one of the two", name.value));
                }
            }
        }
    }
}

pub(super) type Owners = HashMap<(Arc<str>, String), HashMap<String, Vec<Ix>>>;

pub(super) fn owners(entries: &Named<file::Resource>, resources: &[Resource]) -> Owners {
    let mut owners = Owners::new();
    for (ix, ((_, entry), resource)) in entries.iter().zip(resources).enumerate() {
        let Some(catalog) = resource.catalog() else { continue };
        for (kind, ids) in &entry.ids {
            let by_id = owners.entry((catalog.service.clone(), kind.clone())).or_default();
            for id in ids {
                by_id.entry(super::folded(&id.value).into_owned()).or_default().push(ix);
            }
        }
    }
    owners
}
