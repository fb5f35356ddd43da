//! A narrower policy, as lines for a person to review.
//!
//! Takes what is declared and how it was used; returns the lines that would change, each with why. It
//! names only what is declared already, and only takes away: nothing is applied, and what was not needed
//! so far may be needed tomorrow.

use super::declared::{Declared, Entry, Named, One};
use super::{Report, ResourceUse, Used, scalar};
use crate::policy::{BUILT_IN, Judge, Policy, Word};

/// A class of operations of which no more than so many were used is better named by them.
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
            let narrower = of_resource(one, used, report);
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
    let resources =
        report.resources.iter().map(|used| (used.name.as_str(), is_used(used))).collect::<Vec<_>>();
    let credentials = report
        .credentials
        .iter()
        .map(|used| (used.what.as_str(), used.times > 0))
        .collect::<Vec<_>>();
    let lines: Vec<String> = [("resources", resources), ("credentials", credentials)]
        .into_iter()
        .filter_map(|(key, all)| list(key, &all, "never used"))
        .collect();
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

fn of_resource(one: &One<'_>, used: &ResourceUse, report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    match &one.resource.judge {
        // The hosts of a service are its catalog's.
        Judge::Catalog(..) => lines.extend(allow(one, used)),
        Judge::Plain(_) => {
            let hosts: Vec<_> =
                used.hosts.iter().map(|host| (host.what.as_str(), host.times > 0)).collect();
            lines.extend(list("hosts", &hosts, "never called"));
            if report.requests.under_another_policy == 0 {
                let unused = one
                    .entries
                    .iter()
                    .zip(&used.entries)
                    .filter(|(entry, used)| entry.word == Word::Allow && used.times == 0);
                lines.extend(
                    unused.map(|(entry, _)| format!("    # a rule never used: {}", entry.told())),
                );
            }
        }
    }
    lines
}

/// The `allow` list without what was not used; a class of which few operations were used is named by
/// them.
fn allow(one: &One<'_>, used: &ResourceUse) -> Option<String> {
    let mut kept: Vec<String> = Vec::new();
    let mut why: Vec<String> = Vec::new();
    let pairs = one.entries.iter().zip(&used.entries);
    for (entry, times) in pairs.filter(|(entry, _)| entry.word == Word::Allow) {
        if entry.conditional {
            // What it depends on stands in no record.
            return None;
        }
        match class(entry, times, used) {
            Class::Unused => why.push(format!("never used: {}", scalar(&entry.name()))),
            Class::Kept => kept.push(scalar(&entry.name())),
            Class::Few(names) => {
                why.push(format!("{} by name", entry.name()));
                kept.extend(names);
            }
        }
    }
    kept.dedup();
    match (kept.is_empty(), why.is_empty()) {
        (_, true) => None,
        (true, false) => Some(format!("    # allow: {}", why.join("; "))),
        (false, false) => Some(format!("    allow: [{}]  # {}", kept.join(", "), why.join("; "))),
    }
}

enum Class {
    Unused,
    Kept,
    /// These operations of it were used.
    Few(Vec<String>),
}

fn class(entry: &Entry<'_>, times: &Used, used: &ResourceUse) -> Class {
    if times.times == 0 {
        return Class::Unused;
    }
    let Named::Effect(effect) = entry.names else { return Class::Kept };
    // Which things are read differs from day to day, and reading changes nothing.
    if effect == crate::catalog::Effect::Read {
        return Class::Kept;
    }
    let prefix = format!("{} ", effect.as_str());
    let names = used.operations.keys().filter_map(|name| name.strip_prefix(&prefix));
    let names: Vec<String> = names.map(scalar).collect();
    if (1..=FEW).contains(&names.len()) { Class::Few(names) } else { Class::Kept }
}

/// Who else has the resource, for its lines are theirs as well.
fn shared(policy: &Policy, one: &One<'_>, report: &Report) -> String {
    let others: Vec<&str> = policy
        .agents
        .iter()
        .filter(|agent| *agent.name != *report.agent && &*agent.name != BUILT_IN)
        .filter(|agent| {
            let mut resources = agent.resources().filter_map(|ix| policy.resources.get(ix));
            resources.any(|resource| resource.name == one.resource.name)
        })
        .map(|agent| &*agent.name)
        .collect();
    if others.is_empty() { String::new() } else { format!("  # also of {}", others.join(", ")) }
}
