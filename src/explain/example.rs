//! Whether the examples of a catalog hold.
//!
//! Takes a catalog; returns what each example that does not hold says and what is found instead, by
//! the same functions that judge. Its own tests are the examples of every embedded catalog.

use super::{Error, inspected, written};
use crate::catalog::{Catalog, Effect, Example, Reversibility};
use crate::fingerprint::FingerprintKey;
use std::collections::BTreeMap;

/// Bodies of examples are read up to this size, in bytes.
const LIMIT: usize = 1 << 20;

/// An example that does not hold.
#[derive(Debug, PartialEq, Eq)]
pub struct Broken {
    /// Its first line.
    pub request: String,
    /// What is found, and what was said.
    pub why: String,
}

/// The examples of a catalog that do not hold.
pub fn broken(catalog: &Catalog) -> Vec<Broken> {
    let broken = |example: &Example| {
        let request = example.request.lines().next().unwrap_or_default().to_owned();
        check(example, catalog).err().map(|why| Broken { request, why })
    };
    catalog.examples.iter().filter_map(broken).collect()
}

/// What an example says, in the form it is compared in.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    operations: Vec<String>,
    effect: Option<Effect>,
    reversibility: Reversibility,
    targets: BTreeMap<String, Vec<String>>,
    account: bool,
    unreadable: bool,
}

fn check(example: &Example, catalog: &Catalog) -> Result<(), String> {
    let unwritten = |error: Error| error.to_string();
    let (head, body) = match written(&example.request).map_err(unwritten)? {
        Ok(written) => written,
        Err(refused) if example.unreadable => {
            drop(refused);
            return Ok(());
        }
        Err(refused) => return Err(format!("it is refused: {refused}")),
    };
    let host = head.target().host().as_str();
    if !catalog.has_declared_hosts() && !catalog.hosts.iter().any(|pattern| pattern.fits(host)) {
        return Err(format!("`{host}` is not among the catalog's hosts"));
    }
    let key = FingerprintKey::new(b"examples");
    let inspected = inspected(head, body, Some(catalog), false, &key, LIMIT);
    let facts = inspected.facts();
    let operations = facts.operations();
    let mut found = Said {
        operations: operations.iter().map(|operation| operation.name.to_string()).collect(),
        effect: operations.iter().map(|one| one.effect).max_by_key(|effect| effect.severity()),
        reversibility: Reversibility::Reversible,
        targets: BTreeMap::new(),
        account: operations.iter().any(|one| one.account),
        unreadable: facts.unreadable().is_some() || facts.overridden().is_some(),
    };
    if found.unreadable {
        found.operations.clear();
    }
    for operation in operations.iter() {
        found.reversibility = found.reversibility.max(operation.reversibility);
        for identity in &operation.decides {
            let kind = identity.kind.as_deref().unwrap_or("any");
            found.targets.entry(kind.to_owned()).or_default().push(identity.value.clone());
        }
    }
    let said = Said {
        operations: example.operations.clone(),
        effect: example.effect,
        reversibility: example.reversibility.unwrap_or(Reversibility::Reversible),
        targets: example.targets.clone(),
        account: example.account,
        unreadable: example.unreadable,
    };
    let same = if said.unreadable { found.unreadable } else { found == said };
    if same {
        return Ok(());
    }
    let why = facts.unreadable().map_or_else(String::new, |why| format!(" ({why})"));
    Err(format!("it says {said:?}; found is {found:?}{why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::known;

    #[test]
    fn the_examples_of_every_catalog_hold() {
        let mut all = Vec::new();
        for service in known() {
            let catalog = Catalog::embedded(service).unwrap();
            for broken in broken(&catalog) {
                all.push(format!("{service}: {}\n    {}", broken.request, broken.why));
            }
        }
        assert!(all.is_empty(), "{}", all.join("\n"));
    }

    #[test]
    fn an_example_that_does_not_hold_is_told() {
        let text = "
service: x
title: X
kind: api
hosts: [x.test]
slots: []
kinds: [a]
rest:
  - operation: 'POST /a/{a}'
    effect: write
    decides: { a: a }
    when: [{ argument: body.force, is: true, effect: destructive, reversibility: irreversible }]
examples:
  - request: \"POST https://x.test/a/7\\nContent-Type: application/json\\n\\n{\\\"force\\\": false}\"
    operations: ['POST /a/{a}']
    effect: write
    targets: { a: ['7'] }
  - request: \"POST https://x.test/a/7\\nContent-Type: application/json\\n\\n{\\\"force\\\": true}\"
    operations: ['POST /a/{a}']
    effect: write
    targets: { a: ['7'] }
  - request: 'POST https://other.test/a/7'
    operations: ['POST /a/{a}']
    effect: write
    targets: { a: ['7'] }
";
        let catalog = Catalog::parse(text).unwrap();
        let broken = broken(&catalog);
        let [forced, elsewhere] = &broken[..] else { panic!("{broken:?}") };
        assert!(forced.why.contains("Destructive"), "{}", forced.why);
        assert!(elsewhere.why.contains("other.test"), "{}", elsewhere.why);
    }
}
