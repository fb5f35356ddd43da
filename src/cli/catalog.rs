//! `holdgate catalog`: what is known of services.
//!
//! Takes a service or the file of a catalog; prints its operations, what is wrong with it, or how much
//! of the service's schema it has. Exit code 1 where an example does not hold or an operation is missing.

use super::{Unusable, print};
use crate::catalog::{
    Catalog, Effect, Identifier, OperationSpec, Reversibility, coverage, known, lint,
};
use crate::explain::example;
use clap::Subcommand;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

/// What is asked of catalogs.
#[derive(Debug, Subcommand)]
pub(super) enum CatalogCommand {
    /// Every catalog that comes with Holdgate.
    List,
    /// The operations of a service, or one of them.
    Show {
        /// A service such as `railway`, or the file of a catalog.
        service: String,
        /// One operation, by its name.
        operation: Option<String>,
    },
    /// How much of a service's schema its catalog has.
    Coverage {
        /// A service whose schema comes with Holdgate.
        #[arg(default_value = "railway")]
        service: String,
    },
    /// Checks catalogs, and that their examples hold.
    Lint {
        /// Services, or files of catalogs; none: all that come with Holdgate.
        services: Vec<String>,
    },
}

/// Runs the command.
pub(super) fn run(command: CatalogCommand, json: bool) -> anyhow::Result<ExitCode> {
    match command {
        CatalogCommand::List => list(json),
        CatalogCommand::Show { service, operation } => {
            show(&find(&service)?, operation.as_deref(), json)
        }
        CatalogCommand::Coverage { service } => coverage_of(&find(&service)?, json),
        CatalogCommand::Lint { services } => lint_all(&services, json),
    }
}

/// The catalog of a service, or that of a file.
fn find(service: &str) -> anyhow::Result<Catalog> {
    let catalog = if Path::new(service).extension().is_some() {
        let text = std::fs::read_to_string(service)
            .map_err(|error| Unusable(format!("{service}: {error}")))?;
        Catalog::parse(&text).map_err(|error| Unusable(format!("{service}: {error}")))?
    } else {
        Catalog::embedded(service).map_err(|error| Unusable(error.to_string()))?
    };
    Ok(catalog)
}

fn list(json: bool) -> anyhow::Result<ExitCode> {
    let mut out = String::new();
    let mut all = Vec::new();
    for service in known() {
        let catalog = Catalog::embedded(service)?;
        let entries = catalog.entries().count();
        let unchecked = catalog.entries().filter(|spec| spec.unchecked).count();
        let hosts: Vec<String> = catalog.hosts.iter().map(ToString::to_string).collect();
        all.push(json!({
            "service": service, "title": catalog.title, "hosts": hosts, "operations": entries,
            "unchecked": unchecked, "rules": catalog.rules.len(), "examples": catalog.examples.len(),
        }));
        let where_ = match hosts.as_slice() {
            [] => "hosts as the policy declares".to_owned(),
            [one] => one.clone(),
            [first, rest @ ..] => format!("{first} and {} more", rest.len()),
        };
        writeln!(out, "{service:<16} {entries:>5} operations  {where_}")?;
    }
    print(&if json { format!("{}\n", Value::Array(all)) } else { out })?;
    Ok(ExitCode::SUCCESS)
}

fn show(catalog: &Catalog, operation: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let mut specs: Vec<&OperationSpec> = catalog.entries().map(AsRef::as_ref).collect();
    if let Some(name) = operation {
        specs.retain(|spec| *spec.name == *name);
        if specs.is_empty() {
            let by_rule = catalog.operation(name).map(AsRef::as_ref);
            specs = vec![by_rule.ok_or_else(|| {
                Unusable(format!("`{name}` is no operation of {}", catalog.title))
            })?];
        }
    }
    specs.sort_by(|one, other| one.name.cmp(&other.name));
    if json {
        let all: Vec<Value> = specs.iter().map(|spec| as_json(spec)).collect();
        print(&format!("{}\n", Value::Array(all)))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut out = String::new();
    if operation.is_none() {
        writeln!(out, "{} ({})", catalog.title, catalog.service)?;
        for host in &catalog.hosts {
            writeln!(out, "  {:<14} {host}", "host")?;
        }
        for kind in &catalog.kinds {
            writeln!(out, "  {:<14} {kind}", "id")?;
        }
        for (effect, count) in counts(&specs) {
            writeln!(out, "  {:<14} {count}", effect.as_str())?;
        }
        for rule in &catalog.rules {
            let effect = rule.spec.effect.as_str();
            writeln!(out, "  {:<14} {} ({effect})", "rule", rule.spec.name)?;
        }
    }
    for spec in specs {
        as_text(spec, operation.is_some(), &mut out)?;
    }
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}

fn counts(specs: &[&OperationSpec]) -> BTreeMap<Effect, usize> {
    let mut counts = BTreeMap::new();
    for spec in specs {
        *counts.entry(spec.effect).or_default() += 1;
    }
    counts
}

fn ids(identifiers: &[Identifier]) -> Vec<String> {
    identifiers.iter().map(|id| format!("{} at {}", id.kind, id.source)).collect()
}

fn as_json(spec: &OperationSpec) -> Value {
    let when = spec.when.iter().map(|clause| {
        json!({
            "condition": clause.condition.to_string(), "effect": clause.effect,
            "reversibility": clause.reversibility, "window": clause.window, "note": clause.note,
        })
    });
    json!({
        "name": spec.name, "effect": spec.effect, "reversibility": spec.reversibility,
        "window": spec.window, "decides": ids(&spec.decides), "reaches": ids(&spec.reaches), "names": ids(&spec.names),
        "when": when.collect::<Vec<_>>(), "note": spec.note, "unchecked": spec.unchecked,
    })
}

fn as_text(spec: &OperationSpec, whole: bool, out: &mut String) -> std::fmt::Result {
    let undo = match (spec.reversibility, &spec.window) {
        (Reversibility::Recoverable, Some(window)) => format!(", recoverable for {window}"),
        (Reversibility::Reversible, _) => String::new(),
        (other, _) => format!(", {}", other.as_str()),
    };
    writeln!(out, "{} ({}{undo})", spec.name, spec.effect.as_str())?;
    if !whole {
        return Ok(());
    }
    let told = [("decides", &spec.decides), ("reaches", &spec.reaches), ("names", &spec.names)];
    for (what, told) in told.map(|(what, identifiers)| (what, ids(identifiers))) {
        for told in told {
            writeln!(out, "  {what:<10} {told}")?;
        }
    }
    for clause in &spec.when {
        let effect = clause.effect.map_or("", Effect::as_str);
        let undo = clause.reversibility.map_or("", Reversibility::as_str);
        writeln!(out, "  {:<10} {}: {effect} {undo}", "when", clause.condition)?;
    }
    if let Some(note) = &spec.note {
        writeln!(out, "  {:<10} {note}", "note")?;
    }
    if spec.unchecked {
        writeln!(out, "  {:<10} no public schema or SDK says it", "unchecked")?;
    }
    Ok(())
}

fn lint_all(services: &[String], json: bool) -> anyhow::Result<ExitCode> {
    let all: Vec<String> = known().into_iter().map(str::to_owned).collect();
    let services = if services.is_empty() { all.as_slice() } else { services };
    let (mut out, mut told, mut wrong) = (String::new(), Vec::new(), 0);
    for service in services {
        let catalog = find(service)?;
        let broken = example::broken(&catalog);
        wrong += broken.len();
        let lints = lint::all(&catalog);
        for example in &broken {
            writeln!(
                out,
                "{service}: example `{}` does not hold: {}",
                example.request, example.why
            )?;
        }
        for lint in &lints {
            writeln!(out, "{service}: {lint}")?;
        }
        let holding = catalog.examples.len() - broken.len();
        writeln!(
            out,
            "{service}: {holding} examples hold, {} do not, {} lints",
            broken.len(),
            lints.len()
        )?;
        let broken = broken.iter().map(|one| json!({ "request": one.request, "why": one.why }));
        told.push(json!({
            "service": service, "broken": broken.collect::<Vec<_>>(), "lints": lints,
        }));
    }
    print(&if json { format!("{}\n", Value::Array(told)) } else { out })?;
    Ok(if wrong == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn coverage_of(catalog: &Catalog, json: bool) -> anyhow::Result<ExitCode> {
    let coverage = coverage::of(catalog)
        .ok_or_else(|| Unusable(format!("no schema of {} comes with Holdgate", catalog.title)))?;
    let mut out = String::new();
    for one in &coverage {
        let (has, of, percent) = (one.catalog, one.schema, one.percent());
        writeln!(out, "{:<13} {has} of {of} ({percent} percent)", one.kind)?;
        let named = one.ids - one.unnamed.len();
        writeln!(out, "  {named} of {} arguments that look like ids are said to be", one.ids)?;
        for missing in &one.missing {
            writeln!(out, "  missing: {missing}")?;
        }
        for unknown in &one.unknown {
            writeln!(out, "  not in the schema: {unknown}")?;
        }
        for unnamed in &one.unnamed {
            writeln!(out, "  no id: {unnamed}")?;
        }
    }
    print(&if json { format!("{}\n", serde_json::to_string(&coverage)?) } else { out })?;
    let whole = coverage.iter().all(|one| one.missing.is_empty() && one.unknown.is_empty());
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
