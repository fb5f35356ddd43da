//! A narrower policy, as lines for a person to review.
//!
//! Takes what is declared and how it was used; returns the lines that would change, each with why. It
//! only takes away what lets something pass. What also restrains stays: a resource judges all calls on
//! its hosts, and a class of operations is not named by them, for a name goes before what holds it.

use super::declared::{Declared, Named, One};
use super::{Report, ResourceUse, scalar};
use crate::policy::{BUILT_IN, Judge, Policy, Word};

/// No more operations of a class than these are told by name.
const FEW: usize = 8;

/// The lines; none where all that is declared was used.
pub(super) fn lines(policy: &Policy, declared: &Declared<'_>, report: &Report) -> Vec<String> {
    if report.requests.allowed + report.requests.held == 0 {
        return Vec::new();
    }
    let mut lines = of_agent(declared, report);
    let mut resources = Vec::new();
    for (one, used) in declared.resources.iter().zip(&report.resources) {
        if is_used(used) {
            let narrower = of_resource(policy, one, used, report);
            if !narrower.is_empty() {
                resources.push(format!("  {}:{}", scalar(&used.name), shared(policy, one, report)));
                resources.extend(narrower);
            }
        }
    }
    if !resources.is_empty() {
        lines.push("resources:".to_owned());
        lines.extend(resources);
    }
    lines
}

/// Whether anything of a resource passed or waited. What it only refused is no use of it.
const fn is_used(used: &ResourceUse) -> bool {
    used.allowed + used.held > 0
}

fn of_agent(declared: &Declared<'_>, report: &Report) -> Vec<String> {
    let pairs = || declared.resources.iter().zip(&report.resources);
    // A resource that is not used restrains those that are, where it has a host in common with them.
    let restrains = |one: &One<'_>| {
        pairs().any(|(other, used)| is_used(used) && one.resource.meets(other.resource))
    };
    let kept: Vec<(&str, bool)> =
        pairs().map(|(one, used)| (used.name.as_str(), is_used(used) || restrains(one))).collect();
    let credentials: Vec<(&str, bool)> =
        report.credentials.iter().map(|used| (used.what.as_str(), used.times > 0)).collect();
    let mut lines: Vec<String> = list("resources", &kept, "never used").into_iter().collect();
    let unused = pairs().filter(|(one, used)| !is_used(used) && restrains(one));
    let unused: Vec<String> = unused.map(|(_, used)| scalar(&used.name)).collect();
    if !unused.is_empty() {
        lines.push(format!(
            "    # never used, but they judge calls on hosts of those that were: {}",
            unused.join(", ")
        ));
    }
    lines.extend(list("credentials", &credentials, "never used"));
    if lines.is_empty() {
        return lines;
    }
    let head = ["agents:".to_owned(), format!("  {}:", scalar(&declared.agent.name))];
    head.into_iter().chain(lines).collect()
}

/// A list without what was not used, if there is any; a list is never left empty.
fn list(key: &str, all: &[(&str, bool)], why: &str) -> Option<String> {
    let (used, unused): (Vec<_>, Vec<_>) = all.iter().partition(|(_, used)| *used);
    let names = |part: Vec<&(&str, bool)>| {
        part.into_iter().map(|(name, _)| scalar(name)).collect::<Vec<_>>().join(", ")
    };
    match (used.is_empty(), unused.is_empty()) {
        (_, true) => None,
        (true, false) => Some(format!("    # {key}: {why}: {}", names(unused))),
        (false, false) => Some(format!("    {key}: [{}]  # {why}: {}", names(used), names(unused))),
    }
}

fn of_resource(policy: &Policy, one: &One<'_>, used: &ResourceUse, report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    match &one.resource.judge {
        // The hosts of a service are its catalog's.
        Judge::Catalog(..) => lines.extend(allow(one, used)),
        Judge::Plain(_) => {
            let others = || policy.resources.iter().filter(|other| other.name != one.resource.name);
            let hosts = one.resource.hosts.iter().zip(&used.hosts);
            let hosts: Vec<(&str, bool)> = hosts
                .map(|(host, used)| {
                    let restrains = || {
                        let mut hosts = others().flat_map(|other| &other.hosts);
                        hosts.any(|other| other.meets(host))
                    };
                    (used.what.as_str(), used.times > 0 || restrains())
                })
                .collect();
            lines.extend(list("hosts", &hosts, "never called"));
            if report.requests.under_another_policy == 0 {
                let entries = one.entries.iter().zip(&used.entries);
                let unused = entries
                    .filter(|(entry, used)| entry.word == Word::Allow && used.times == 0)
                    .map(|(entry, _)| format!("    # a rule never used: {}", entry.told()));
                lines.extend(unused);
            }
        }
    }
    lines
}

/// The `allow` list without what was not used.
fn allow(one: &One<'_>, used: &ResourceUse) -> Option<String> {
    let pairs = one.entries.iter().zip(&used.entries);
    let allowing: Vec<_> = pairs.filter(|(entry, _)| entry.word == Word::Allow).collect();
    // What a condition depends on stands in no record, and the list would have to be written anew.
    if allowing.iter().any(|(entry, _)| entry.conditional) {
        return None;
    }
    let names: Vec<(String, bool)> =
        allowing.iter().map(|(entry, used)| (entry.name(), used.times > 0)).collect();
    let names: Vec<(&str, bool)> =
        names.iter().map(|(name, used)| (name.as_str(), *used)).collect();
    let mut line = list("allow", &names, "never used")?;
    // What a class was used for is for a person to weigh, and to name if no hold is lifted by that.
    let classes = allowing.iter().filter_map(|(entry, times)| match entry.names {
        Named::Effect(effect) if effect != crate::catalog::Effect::Read && times.times > 0 => {
            let done = used.operations.keys().filter_map(|name| {
                name.strip_prefix(effect.as_str())?.strip_prefix(' ').map(scalar)
            });
            let done: Vec<String> = done.collect();
            let what = if done.len() > FEW {
                format!("{} operations", done.len())
            } else {
                done.join(" and ")
            };
            Some(format!("{} was {what}", effect.as_str()))
        }
        _ => None,
    });
    for class in classes {
        line.push_str("; ");
        line.push_str(&class);
    }
    Some(line)
}

/// Who else has the resource, for its lines are theirs as well.
fn shared(policy: &Policy, one: &One<'_>, report: &Report) -> String {
    let has = |agent: &&crate::policy::Agent| {
        let mut resources = agent.resources().filter_map(|ix| policy.resources.get(ix));
        resources.any(|resource| resource.name == one.resource.name)
    };
    let others = policy.agents.iter().filter(has).map(|agent| &*agent.name);
    let others: Vec<&str> =
        others.filter(|name| *name != report.agent && *name != BUILT_IN).collect();
    if others.is_empty() { String::new() } else { format!("  # also of {}", others.join(", ")) }
}
