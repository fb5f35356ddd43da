//! What in a catalog loads but is unwise.
//!
//! Takes a catalog; returns one sentence for each thing its author should look at again. What is
//! wrong for certain is no lint but a load error, and an example that does not hold is told by itself.

use super::{Catalog, Effect, Identifier, Kind, OperationSpec};
use std::collections::BTreeSet;

/// Every lint of a catalog.
pub fn all(catalog: &Catalog) -> Vec<String> {
    let mut lints = Vec::new();
    let specs: Vec<&OperationSpec> = catalog
        .entries()
        .chain(catalog.rules.iter().map(|rule| &rule.spec))
        .map(AsRef::as_ref)
        .collect();
    let used: BTreeSet<&str> = specs
        .iter()
        .flat_map(|spec| spec.decides.iter().chain(&spec.reaches).chain(&spec.names))
        .map(|identifier: &Identifier| &*identifier.kind)
        .collect();
    for kind in catalog.kinds.iter().filter(|kind| !used.contains(kind.as_str())) {
        lints.push(format!("no operation has an id of kind `{kind}`"));
    }
    if catalog.examples.is_empty() {
        lints.push("it has no examples, so nothing shows that it is right".to_owned());
    }
    for effect in Effect::ALL {
        let has = specs.iter().any(|spec| spec.effect == effect);
        let shown = catalog.examples.iter().any(|example| example.effect == Some(effect));
        if has && !shown && !catalog.examples.is_empty() {
            lints.push(format!("no example shows an operation of effect `{}`", effect.as_str()));
        }
    }
    let anywhere = |spec: &&&OperationSpec| {
        catalog.kind == Kind::Api && spec.effect == Effect::Destructive && spec.decides.is_empty()
    };
    let account = specs.iter().filter(anywhere).count();
    if account > 0 {
        lints.push(format!("{account} destructive operations have no id that decides, so each acts on the whole account"));
    }
    let unchecked = specs.iter().filter(|spec| spec.unchecked).count();
    if unchecked > 0 {
        lints.push(format!(
            "{unchecked} operations are marked `unchecked`: no public schema or SDK says them"
        ));
    }
    lints
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nothing_shows_is_told() {
        let text = "
service: x
title: X
kind: api
hosts: [x.test]
slots: []
kinds: [a, b]
rest:
  - { operation: 'DELETE /a', effect: destructive, reversibility: irreversible }
  - { operation: 'GET /a/{a}', effect: read, decides: { a: a }, unchecked: true }
examples:
  - { request: 'GET https://x.test/a/7', operations: ['GET /a/{a}'], effect: read, targets: { a: ['7'] } }
";
        let lints = all(&Catalog::parse(text).unwrap()).join("\n");
        for word in ["kind `b`", "effect `destructive`", "whole account", "1 operations are marked"]
        {
            assert!(lints.contains(word), "{word}: {lints}");
        }
        assert!(!lints.contains("kind `a`") && !lints.contains("effect `read`"), "{lints}");
    }
}
