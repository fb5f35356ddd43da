//! The declared scope: resources, their rules and lists, their hosts and ids.
//!
//! Takes `resources:` as written; returns what judges. Refuses keys that do not go together, rules
//! that can never match, empty lists, and hosts that are both catalogued and plain.

use super::compile::Compiler;
use super::file::{self, Credentials, Leaks, Listed, Named, Port, Word};
use super::node::{Place, Problem, Spanned};
use super::{Credential, Entry, Ix, Judge, Lists, Names, Resource, Rule, Rules, When, path};
use crate::catalog::condition::{Pattern, Written};
use crate::catalog::{Catalog, Effect, Fold, HostPattern, Kind, folded};
use crate::message::Host;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

impl Judge {
    /// Whether a condition asks for something in a body.
    fn reads_body(&self) -> bool {
        match self {
            Self::Catalog(_, lists) => {
                let entries = lists.allow.all().chain(lists.hold.all()).chain(lists.deny.all());
                entries.into_iter().any(|entry| entry.when.reads_body())
            }
            Self::Plain(rules) => {
                let mut all = rules.restricting.iter().chain(rules.allowing.iter());
                all.any(|(_, rule)| rule.when.reads_body())
            }
        }
    }
}

impl Compiler<'_> {
    pub(super) fn resources(
        &mut self,
        entries: &Named<file::Resource>,
        catalogs: &HashMap<String, Arc<Catalog>>,
        credential_names: &HashMap<String, Ix>,
        credentials: &[Credential],
    ) -> Vec<Resource> {
        let mut resources = Vec::new();
        for (ix, (name, entry)) in entries.iter().enumerate() {
            let service = entry.service.as_ref();
            let catalog = service.and_then(|service| catalogs.get(&service.value)).cloned();
            if entry.service.is_some() && catalog.is_none() {
                continue;
            }
            let hosts = self.hosts(name, entry, catalog.as_deref());
            let judge = self.judge(name, entry, catalog);
            let reads_body = judge.reads_body();
            if entry.docs && matches!(judge, Judge::Catalog(..)) {
                self.problem(
                    name.place,
                    "`docs: true` is for plain resources: a call of a service is more than reading",
                );
            }
            if let Some(unknown) =
                entry.unknown_targets.filter(|unknown| unknown.other == Word::Allow)
            {
                self.problem(
                    name.place,
                    format!("`unknown_targets.other: {:?}` would let an id that nobody owns be written; write hold or deny", unknown.other),
                );
            }
            let talks = matches!(&judge, Judge::Catalog(c, _) if c.kind == Kind::Conversation);
            let leaks = if talks { Leaks::Note } else { Leaks::Watch };
            let mode = entry.credentials.as_ref();
            let covered_by = self.covering(ix, mode, credential_names, credentials);
            resources.push(Resource {
                name: Arc::from(name.value.as_str()),
                environment: entry.environment.as_deref().map(Arc::from),
                place: name.place,
                hosts,
                ports: self.ports(name.place, entry),
                judge,
                unknown_targets: entry.unknown_targets.unwrap_or_default(),
                credentials: mode
                    .map_or_else(|| Credentials::List(Vec::new()), |mode| mode.value.clone()),
                covered_by,
                cleartext: entry.cleartext,
                encoded_slash: entry.encoded_slash,
                serialized_objects: entry.serialized_objects,
                leaks: entry.leaks.unwrap_or(leaks),
                reads_body,
                docs: entry.docs,
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
        if entry.rules.is_some() {
            let message =
                "`rules` does not go with `service`; the catalog says what its operations are";
            self.problem(name.place, message);
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
        Judge::Catalog(catalog, Box::new(lists))
    }

    fn list(
        &mut self,
        entries: Option<&[Spanned<Listed>]>,
        key: &str,
        place: Place,
        catalog: &Catalog,
    ) -> Names {
        let mut names = Names::default();
        if entries.is_some_and(<[_]>::is_empty) {
            self.problem(place, format!("`{key}: []` says nothing; leave it out"));
        }
        for Spanned { value: listed, place } in entries.unwrap_or_default() {
            let word = &listed.word;
            let Some(when) = self.when(&listed.when, *place) else { continue };
            let entry = Entry { place: *place, when };
            let pattern = Pattern::new(word);
            if let Some(effect) = Effect::parse(word) {
                names.effects.entry(effect).or_default().push(entry);
            } else if !pattern.is_exact() {
                // Rules of a catalog are about names that stand in no entry.
                if catalog.rules.is_empty() && !catalog.entries().any(|s| pattern.fits(&s.name)) {
                    let message = format!("no operation of {} fits `{word}`", catalog.title);
                    self.problem(*place, message);
                }
                names.patterns.push((pattern, entry));
            } else {
                if !catalog.may_be_named(word) {
                    let title = &catalog.title;
                    let message =
                        format!("`{word}` is neither an effect nor an operation of {title}");
                    self.problem(*place, message);
                }
                names.operations.entry(word.clone()).or_default().push(entry);
            }
        }
        names
    }

    fn when(&mut self, written: &[Written], place: Place) -> Option<When> {
        let when = When::compile(written)
            .map_err(|error| self.problem(place, format!("`when`: {error}")))
            .ok()?;
        self.heeded.extend(when.headers().map(Box::from));
        let words = written.iter().filter_map(|one| one.environment.as_ref());
        for word in words.flat_map(crate::catalog::condition::Words::all) {
            if !self.environments.contains(word) {
                self.problem(place, format!("`when`: no resource has the environment `{word}`"));
            }
        }
        Some(when)
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
            let Some(when) = self.when(&rule.when, spanned.place) else { continue };
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
                            when,
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

    /// The hosts of a resource: its own, or those of its catalog.
    fn hosts(
        &mut self,
        name: &Spanned<String>,
        entry: &file::Resource,
        catalog: Option<&Catalog>,
    ) -> Vec<HostPattern> {
        if let Some(catalog) = catalog.filter(|catalog| !catalog.has_declared_hosts()) {
            if entry.hosts.is_some() {
                let message = "`hosts` does not go with this `service`; the catalog says it";
                self.problem(name.place, message);
            }
            return catalog.hosts.clone();
        }
        if entry.hosts.as_ref().is_none_or(Vec::is_empty) {
            self.problem(name.place, format!("`{}` has no `hosts`", name.value));
        }
        let mut hosts = Vec::new();
        for host in entry.hosts.iter().flatten() {
            let (text, wildcard) = match host.value.strip_prefix("*.") {
                Some(parent) => (parent, true),
                None => (host.value.as_str(), false),
            };
            match Host::parse(text) {
                Ok(parsed)
                    if !wildcard
                        && (parsed.as_str() == "localhost"
                            || parsed.as_str().ends_with(".localhost")) =>
                {
                    self.problem(host.place, "localhost is never reached through the proxy; clients reach it directly by NO_PROXY");
                }
                Ok(parsed) => {
                    if wildcard && !parsed.as_str().contains('.') {
                        self.lints.push(Problem::new(
                            host.place,
                            format!("`{}` covers a whole top-level domain", host.value),
                        ));
                    }
                    let host = Box::from(parsed.as_str());
                    hosts.push(if wildcard {
                        HostPattern::Label(host)
                    } else {
                        HostPattern::Exact(host)
                    });
                }
                Err(error) => self.problem(
                    host.place,
                    format!(
                        "`{}`: {error}; write exact hosts, or `*.example.com` for one label",
                        host.value
                    ),
                ),
            }
        }
        hosts
    }

    /// Refuses a host that is both catalogued and plain, and one that two catalogs describe.
    pub(super) fn both_kinds(&mut self, resources: &[Resource]) {
        let service = |resource: &Resource| resource.catalog().map(|c| c.service.clone());
        for resource in resources {
            let own = service(resource);
            for pattern in &resource.hosts {
                let clash = resources.iter().find(|other| {
                    let theirs = service(other);
                    let same = |host: &HostPattern| match (&own, &theirs) {
                        (None, Some(_)) => host.meets(pattern),
                        // Of two catalogs the one that says a host more exactly describes it.
                        (Some(own), Some(theirs)) => own < theirs && host == pattern,
                        (_, None) => false,
                    };
                    other.hosts.iter().any(same)
                });
                let Some(other) = clash else { continue };
                let name = &resource.name;
                let message = if own.is_none() {
                    format!(
                        "`{name}` declares `{pattern}` plainly, but a catalog in this policy describes it; use one of the two"
                    )
                } else {
                    format!(
                        "`{pattern}` is described by the catalogs of both `{name}` and `{}`; use one of the two",
                        other.name
                    )
                };
                self.problem(resource.place, message);
            }
        }
    }
}

pub(super) type Owners = HashMap<Arc<str>, HashMap<String, Ids>>;

/// The declared ids of a kind, and who declares them.
#[derive(Debug, Default)]
pub(super) struct Ids {
    folds: Vec<Fold>,
    /// In the one form they are compared in.
    by_id: HashMap<String, Vec<Ix>>,
}

impl Ids {
    /// Who declares an id.
    pub(super) fn owners(&self, id: &str) -> &[Ix] {
        self.by_id.get(&*folded(id, &self.folds)).map_or(&[], Vec::as_slice)
    }
}

pub(super) fn owners(entries: &Named<file::Resource>, resources: &[Resource]) -> Owners {
    let mut owners = Owners::new();
    for (ix, ((_, entry), resource)) in entries.iter().zip(resources).enumerate() {
        let Some(catalog) = resource.catalog() else { continue };
        for (kind, ids) in &entry.ids {
            let of_service = owners.entry(catalog.service.clone()).or_default();
            let of_kind = of_service.entry(kind.clone()).or_default();
            of_kind.folds = catalog.folds.get(kind).cloned().unwrap_or_default();
            for id in ids {
                let id = folded(&id.value, &of_kind.folds).into_owned();
                of_kind.by_id.entry(id).or_default().push(ix);
            }
        }
    }
    owners
}

pub(super) type Declared = HashMap<(Arc<str>, String), BTreeSet<Arc<str>>>;

/// The declared ids as they are written.
pub(super) fn declared(entries: &Named<file::Resource>, resources: &[Resource]) -> Declared {
    let mut declared = Declared::new();
    for ((_, entry), resource) in entries.iter().zip(resources) {
        let Some(catalog) = resource.catalog() else { continue };
        for (kind, ids) in &entry.ids {
            let all = declared.entry((catalog.service.clone(), kind.clone())).or_default();
            all.extend(ids.iter().map(|id| Arc::from(id.value.as_str())));
        }
    }
    declared
}
