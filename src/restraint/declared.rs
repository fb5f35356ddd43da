//! What a policy lets one agent do, as things that can be counted.
//!
//! Takes the policy and the agent; returns its resources with the entries of their lists and rules, and
//! counts a request for those that spoke. The entry that names an operation outright goes before a
//! pattern, and a pattern before an effect, as in judging.

use super::{Asked, ResourceUse, Used};
use crate::catalog::Effect;
use crate::catalog::condition::Pattern;
use crate::policy::{Agent, Judge, Names, Policy, Resource, Rules, Word};
use std::collections::BTreeSet;

/// What an agent may do.
#[derive(Debug)]
pub(super) struct Declared<'p> {
    pub(super) agent: &'p Agent,
    pub(super) resources: Vec<One<'p>>,
    credentials: Vec<&'p str>,
}

/// A resource with what its lists and rules name.
#[derive(Debug)]
pub(super) struct One<'p> {
    pub(super) resource: &'p Resource,
    pub(super) entries: Vec<Entry<'p>>,
}

/// One entry of a list, or one rule.
#[derive(Debug)]
pub(super) struct Entry<'p> {
    pub(super) word: Word,
    pub(super) names: Named<'p>,
    /// Whether it depends on more than its name.
    pub(super) conditional: bool,
}

/// What an entry names.
#[derive(Debug)]
pub(super) enum Named<'p> {
    Effect(Effect),
    Operation(&'p str),
    Pattern(&'p Pattern),
    /// Method and path, and its place as records have it.
    Rule(String, String),
}

impl Entry<'_> {
    /// As people read it: `allow mutation deploymentRestart`.
    pub(super) fn told(&self) -> String {
        let word = self.word.as_str();
        match &self.names {
            Named::Rule(rule, place) => format!("{word} {rule} ({place})"),
            _ => format!("{word} {}", self.name()),
        }
    }

    /// What it names, as in its list.
    pub(super) fn name(&self) -> String {
        match &self.names {
            Named::Effect(effect) => effect.as_str().to_owned(),
            Named::Operation(name) => (*name).to_owned(),
            Named::Pattern(pattern) => pattern.to_string(),
            Named::Rule(rule, _) => rule.clone(),
        }
    }
}

impl<'p> Declared<'p> {
    pub(super) fn of(policy: &'p Policy, agent: &'p Agent) -> Self {
        let indices: BTreeSet<_> = agent.resources().collect();
        let resources = indices.into_iter().filter_map(|ix| policy.resources.get(ix));
        let resources = resources.map(|resource| One {
            resource,
            entries: match &resource.judge {
                Judge::Catalog(_, lists) => {
                    let listed = [
                        (Word::Allow, &lists.allow),
                        (Word::Hold, &lists.hold),
                        (Word::Deny, &lists.deny),
                    ];
                    listed.into_iter().flat_map(|(word, names)| entries(word, names)).collect()
                }
                Judge::Plain(rules) => of_rules(rules, policy),
            },
        });
        let credentials = agent.credentials.iter().filter_map(|ix| policy.credentials.get(*ix));
        Self {
            agent,
            resources: resources.collect(),
            credentials: credentials.map(|credential| &*credential.name).collect(),
        }
    }

    /// Its resources, of which nothing was used so far.
    pub(super) fn resources(&self) -> Vec<ResourceUse> {
        let never = |what: String| Used { what, times: 0 };
        let unused = |one: &One<'_>| ResourceUse {
            name: one.resource.name.to_string(),
            environment: one.resource.environment.as_ref().map(ToString::to_string),
            allowed: 0,
            held: 0,
            denied: 0,
            hosts: one.resource.hosts.iter().map(|host| never(host.to_string())).collect(),
            entries: one.entries.iter().map(|entry| never(entry.told())).collect(),
            operations: std::collections::BTreeMap::new(),
        };
        self.resources.iter().map(unused).collect()
    }

    /// Its credentials, of which none was used so far.
    pub(super) fn credentials(&self) -> Vec<Used> {
        let names = self.credentials.iter();
        names.map(|name| Used { what: (*name).to_owned(), times: 0 }).collect()
    }

    /// Counts a request for a resource; `rule` is the rule that decided, where this policy judged it.
    pub(super) fn used(&self, resource: &mut ResourceUse, asked: &Asked<'_>, rule: Option<&str>) {
        let of_it = self.resources.iter().find(|one| *one.resource.name == *resource.name);
        let Some(one) = of_it else { return };
        match asked.word {
            Word::Allow => resource.allowed += 1,
            Word::Hold => resource.held += 1,
            Word::Deny => resource.denied += 1,
        }
        let operations = asked.operations.as_deref().unwrap_or_default();
        if asked.word == Word::Allow {
            for (pattern, used) in one.resource.hosts.iter().zip(&mut resource.hosts) {
                used.times += u64::from(asked.host.is_some_and(|host| pattern.fits(host)));
            }
            for (effect, name) in operations {
                super::one_more(&mut resource.operations, &format!("{} {name}", effect.as_str()));
            }
            // What a person approved met the entry that held it, which was counted then.
            if asked.redeems {
                return;
            }
        }
        for (entry, used) in one.entries.iter().zip(&mut resource.entries) {
            if entry.word != asked.word {
                continue;
            }
            used.times += if let Named::Rule(_, place) = &entry.names {
                u64::from(rule == Some(place.as_str()))
            } else {
                let spoke = |(effect, name): &&(Effect, &str)| {
                    one.speaking(asked.word, *effect, name).any(|it| std::ptr::eq(it, entry))
                };
                operations.iter().filter(spoke).map(|_| 1).sum()
            };
        }
    }
}

impl One<'_> {
    /// The entries that speak for an operation with a word: the most exact of them.
    fn speaking(&self, word: Word, effect: Effect, name: &str) -> impl Iterator<Item = &Entry<'_>> {
        let exactness = move |entry: &Entry<'_>| match &entry.names {
            Named::Operation(known) => (*known == name).then_some(3),
            Named::Pattern(pattern) => pattern.fits(name).then_some(2),
            Named::Effect(known) => (*known == effect).then_some(1),
            Named::Rule(..) => None,
        };
        let fitting = move || {
            let of_word = self.entries.iter().filter(move |entry| entry.word == word);
            of_word.filter_map(move |entry| Some((exactness(entry)?, entry)))
        };
        let most = fitting().map(|(exact, _)| exact).max();
        fitting().filter(move |(exact, _)| Some(*exact) == most).map(|(_, entry)| entry)
    }
}

/// The entries of one list: effects in their order, then names, then patterns.
fn entries(word: Word, names: &Names) -> Vec<Entry<'_>> {
    let conditional = |entries: &[crate::policy::Entry]| {
        !entries.is_empty() && entries.iter().all(|entry| !entry.when.is_empty())
    };
    let effects = Effect::ALL.iter().filter_map(|effect| {
        let entries = names.effects.get(effect)?;
        let conditional = conditional(entries);
        Some(Entry { word, names: Named::Effect(*effect), conditional })
    });
    let mut operations: Vec<_> = names.operations.iter().collect();
    operations.sort_by_key(|(name, _)| *name);
    let operations = operations.into_iter().map(|(name, entries)| Entry {
        word,
        names: Named::Operation(name),
        conditional: conditional(entries),
    });
    let patterns = names.patterns.iter().map(|(pattern, entry)| Entry {
        word,
        names: Named::Pattern(pattern),
        conditional: !entry.when.is_empty(),
    });
    effects.chain(operations).chain(patterns).collect()
}

fn of_rules<'p>(rules: &Rules, policy: &Policy) -> Vec<Entry<'p>> {
    let mut all: Vec<_> = rules.restricting.iter().chain(rules.allowing.iter()).collect();
    all.sort_by_key(|(_, rule)| rule.place);
    let entry = |(template, rule): &(crate::policy::path::Template, crate::policy::Rule)| {
        let method = rule.method.as_ref().map_or("*", http::Method::as_str);
        Entry {
            word: rule.word,
            names: Named::Rule(
                format!("{method} {}", template.as_str()),
                policy.rule_name(rule.place),
            ),
            conditional: !rule.when.is_empty(),
        }
    };
    all.into_iter().map(entry).collect()
}
