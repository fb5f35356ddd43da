//! `holdgate policy check|explain|test|schema`.

use super::{Unusable, print};
use crate::decide::Ruling;
use crate::explain::{Explained, explain};
use crate::load::{self, Origin};
use crate::policy::{Agent, Policy, Problem, Report, Word};
use clap::Subcommand;
use serde_json::json;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(super) enum PolicyCommand {
    /// Shows every error of the policy with its place, and lints.
    Check,
    /// The verdict on one request, and why.
    Explain {
        /// Whose request it is; not needed where there is one agent.
        #[arg(long)]
        agent: Option<String>,
        /// A file with request line, headers, an empty line and the body, or `-` for stdin.
        file: PathBuf,
    },
    /// Runs the policy's `tests:`.
    Test,
    /// Prints the JSON Schema of the format.
    Schema,
}

pub(super) fn run(command: PolicyCommand, origin: &Origin, json: bool) -> anyhow::Result<ExitCode> {
    if matches!(command, PolicyCommand::Schema) {
        print(&format!("{:#}\n", crate::policy::schema()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut policy = match load::load(origin, false) {
        Err(load::Error::Policy(report)) if json && matches!(command, PolicyCommand::Check) => {
            print(&format!("{}\n", json!({ "ok": false, "errors": errors(&report) })))?;
            return Ok(ExitCode::from(2));
        }
        loaded => loaded?,
    };
    policy.with_stand_ins();
    match command {
        PolicyCommand::Check => check(&policy, origin, json),
        PolicyCommand::Test => test(&policy, json),
        PolicyCommand::Explain { agent, file } => {
            explain_file(&policy, agent.as_deref(), &file, json)
        }
        PolicyCommand::Schema => Ok(ExitCode::SUCCESS),
    }
}

/// Every problem with its place; text that is no YAML has one, told by its reader.
fn errors(report: &Report) -> Vec<serde_json::Value> {
    let placed = |problem: &Problem| {
        let place = problem.place;
        json!({ "line": place.line, "column": place.column, "message": problem.message })
    };
    match report.problems() {
        [] => vec![json!({ "message": report.to_string() })],
        problems => problems.iter().map(placed).collect(),
    }
}

fn check(policy: &Policy, origin: &Origin, json: bool) -> anyhow::Result<ExitCode> {
    let (text, name) = origin.read()?;
    if json {
        let lints = policy.lints.iter().map(|lint| {
            json!({ "line": lint.place.line, "column": lint.place.column, "message": lint.message })
        });
        let value = json!({ "ok": true, "digest": policy.digest, "lints": lints.collect::<Vec<_>>(), "sequences": sequences(policy) });
        print(&format!("{value}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    let lints = Report::new(&name, &text, "lint", policy.lints.clone()).to_string();
    if !lints.is_empty() {
        print(&format!("{lints}\n\n"))?;
    }
    for told in sequences(policy) {
        print(&format!("sequence {told}\n"))?;
    }
    print(&format!(
        "{name} is good: {} agents, {} resources, {} credentials, {} lints\n",
        policy.named_agents().count(),
        policy.resources.len(),
        policy.credentials.len(),
        policy.lints.len()
    ))?;
    Ok(ExitCode::SUCCESS)
}

/// The sequences of a policy, the built-in ones among them, and what each leads to.
fn sequences(policy: &Policy) -> Vec<String> {
    let orders = policy.sequences.orders.iter().map(|sequence| {
        let built_in = if sequence.built_in { ", built in" } else { "" };
        format!("{}: {}{built_in}", sequence.name, sequence.then.as_str())
    });
    let required = policy.sequences.requirements.iter().map(|requirement| {
        format!("{}: {}", requirement.name, if requirement.denies { "deny" } else { "hold" })
    });
    let off = policy.sequences.off.iter().map(|name| format!("{name}: switched off"));
    orders.chain(required).chain(off).collect()
}

fn test(policy: &Policy, json: bool) -> anyhow::Result<ExitCode> {
    let mut failed = 0;
    let mut results = Vec::new();
    for case in &policy.tests {
        let wrong = match policy.agent(&case.agent.value) {
            None => Some(format!("there is no agent `{}`", case.agent.value)),
            Some((_, agent)) => match explain(policy, agent, &case.request.value) {
                Err(error) => Some(error.to_string()),
                Ok(explained) => {
                    let reason = explained.reason();
                    let right = explained.word() == case.expect
                        && case.reason.as_deref().is_none_or(|wanted| Some(wanted) == reason);
                    (!right).then(|| {
                        format!(
                            "it is {} {}",
                            explained.word().as_str(),
                            reason.unwrap_or_default()
                        )
                    })
                }
            },
        };
        failed += usize::from(wrong.is_some());
        let place = policy.rule_name(case.request.place);
        if json {
            results.push(json!({ "name": case.name, "passed": wrong.is_none(), "place": place, "why": wrong }));
        } else {
            let line = match &wrong {
                None => format!("ok      {}\n", case.name),
                Some(why) => format!(
                    "FAILED  {} ({place}): expected {} {}, but {why}\n",
                    case.name,
                    case.expect.as_str(),
                    case.reason.as_deref().unwrap_or_default()
                ),
            };
            print(&line)?;
        }
    }
    let passed = policy.tests.len() - failed;
    if json {
        print(&format!("{}\n", json!({ "passed": passed, "failed": failed, "tests": results })))?;
    } else {
        print(&format!("{passed} passed, {failed} failed\n"))?;
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn explain_file(
    policy: &Policy,
    agent: Option<&str>,
    file: &PathBuf,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let agent: &Agent = match (agent, policy.named_agents().collect::<Vec<_>>().as_slice()) {
        (Some(name), _) => policy.agent(name).map(|(_, agent)| agent),
        (None, [only]) => Some(*only),
        (None, _) => None,
    }
    .ok_or_else(|| Unusable("name one of the policy's agents with --agent".to_owned()))?;
    let text = if file.as_os_str() == "-" {
        std::io::read_to_string(std::io::stdin().lock())?
    } else {
        std::fs::read_to_string(file)
            .map_err(|error| Unusable(format!("{}: {error}", file.display())))?
    };
    let explained = explain(policy, agent, &text).map_err(|error| Unusable(error.to_string()))?;
    let out = match &explained {
        Explained::Refused(refused) if json => {
            format!(
                "{}\n",
                json!({ "verdict": "deny", "reason": explained.reason(), "detail": refused.to_string() })
            )
        }
        Explained::Refused(refused) => {
            format!("deny {}: {refused}\n", explained.reason().unwrap_or_default())
        }
        Explained::Ruled(ruling) if json => format!("{}\n", as_json(ruling, policy)),
        Explained::Ruled(ruling) => as_text(ruling, policy)?,
    };
    print(&out)?;
    Ok(if explained.word() == Word::Allow { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The steps of sequences that a call is.
fn steps(ruling: &Ruling, policy: &Policy) -> Vec<String> {
    let facts = ruling.facts();
    let mut told = Vec::new();
    for sequence in &policy.sequences.orders {
        let steps = sequence.steps.len();
        for step in sequence.steps_of(&facts) {
            let then = sequence.then.as_str();
            told.push(format!("{}: step {} of {steps}, then: {then}", sequence.name, step + 1));
        }
    }
    told
}

fn as_json(ruling: &Ruling, policy: &Policy) -> serde_json::Value {
    let operations = ruling.operations.iter().map(|operation| {
        json!({
            "name": operation.name,
            "effect": operation.effect,
            "also": operation.also,
            "reversibility": operation.reversibility,
            "window": operation.window,
        })
    });
    let targets = ruling.targets.iter().map(|target| {
        json!({ "kind": target.kind, "id": target.id, "environment": target.environment, "resource": target.resource })
    });
    let findings = ruling.findings.iter().map(|finding| {
        json!({ "reason": finding.reason.as_str(), "slot": finding.slot, "technique": finding.reason.technique() })
    });
    json!({
        "verdict": ruling.word.as_str(),
        "reason": ruling.reason.map(crate::decide::Reason::as_str),
        "detail": ruling.detail,
        "rule": ruling.rule,
        "resource": ruling.resource,
        "environment": ruling.environment,
        "operations": operations.collect::<Vec<_>>(),
        "targets": targets.collect::<Vec<_>>(),
        "findings": findings.collect::<Vec<_>>(),
        "conditions": ruling.conditions,
        "surprise": ruling.surprise.as_ref().map(|unusual| json!({
            "profile": unusual.profile,
            "millibits": unusual.surprise.millibits(),
            "contributions": unusual.surprise.told(),
        })),
        "sequences": steps(ruling, policy),
    })
}

fn as_text(ruling: &Ruling, policy: &Policy) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    let reason = ruling.reason.map_or("", crate::decide::Reason::as_str);
    writeln!(out, "{} {reason}", ruling.word.as_str())?;
    if !ruling.detail.is_empty() {
        writeln!(out, "  {}", ruling.detail)?;
    }
    for (name, value) in [
        ("rule", &ruling.rule),
        ("resource", &ruling.resource.as_ref().map(ToString::to_string)),
        ("environment", &ruling.environment.as_ref().map(ToString::to_string)),
    ] {
        if let Some(value) = value {
            writeln!(out, "  {name:<12} {value}")?;
        }
    }
    for operation in ruling.operations.iter() {
        let effect = operation.effects();
        writeln!(
            out,
            "  {:<12} {} ({effect}, {})",
            "operation",
            operation.name,
            operation.reversibility.as_str()
        )?;
    }
    for target in &ruling.targets {
        let owner = target.resource.as_deref().unwrap_or("nobody");
        writeln!(out, "  {:<12} {} {} (owned by {owner})", "target", target.kind, target.id)?;
    }
    if let Some(unusual) = &ruling.surprise {
        let (surprise, profile) = (&unusual.surprise, &unusual.profile);
        writeln!(out, "  {:<12} {surprise} against the profile {profile}", "surprise")?;
    }
    for condition in &ruling.conditions {
        writeln!(out, "  {:<12} {condition}", "condition")?;
    }
    for finding in &ruling.findings {
        let slot = finding.slot.as_deref().unwrap_or_default();
        writeln!(out, "  {:<12} {} {slot}", "finding", finding.reason.as_str())?;
    }
    for step in steps(ruling, policy) {
        writeln!(out, "  {:<12} {step}", "sequence")?;
    }
    Ok(out)
}
