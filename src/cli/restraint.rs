//! `holdgate sessions restraint`: what an agent was allowed to do against what it did.
//!
//! Takes an agent of the policy, or a session of the log; reads the records and prints the report. It
//! needs no running process and no token, and changes nothing.

use super::kept::Kept;
use super::print;
use crate::audit;
use crate::hold::escaped;
use crate::load::{self, Origin};
use crate::restraint::{Counting, Report, Used};
use anyhow::bail;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Prints the report on an agent, or on one session of the log.
pub(super) fn run(
    whom: &str,
    log: Option<PathBuf>,
    origin: &Origin,
    as_json: bool,
) -> anyhow::Result<ExitCode> {
    let policy = load::load(origin, false)?;
    let log = Kept::named(log, &policy.state)?;
    let (whole, notes) = log.trusted();
    let mut counting = Counting::new(&policy, whom);
    if let Some(counting) = &mut counting {
        audit::each(&log.folder, whom, |record| counting.take(&record))?;
    } else {
        let mut strangers = 0_u64;
        audit::each(&log.folder, whom, |record| {
            let text = |key: &str| record.get(key).and_then(Value::as_str);
            let Some(agent) = text("agent").filter(|_| text("session") == Some(whom)) else {
                return;
            };
            if counting.is_none() {
                counting = Counting::new(&policy, agent);
            }
            match &mut counting {
                Some(counting) => counting.take(&record),
                None => strangers += 1,
            }
        })?;
        if strangers > 0 {
            bail!("the session `{}` is of an agent that the policy does not name", escaped(whom));
        }
    }
    let Some(counting) = counting else {
        bail!("neither the policy has an agent nor the log a session `{}`", escaped(whom));
    };
    let report = counting.report();
    let mut out = String::new();
    if as_json {
        let mut value = serde_json::to_value(&report)?;
        if let Some(map) = value.as_object_mut() {
            map.insert("verified".to_owned(), json!(whole));
            map.insert("notes".to_owned(), json!(notes));
        }
        writeln!(out, "{value}")?;
    } else {
        for note in &notes {
            writeln!(out, "note: {}", escaped(note))?;
        }
        told(&report, &mut out)?;
    }
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}

fn told(report: &Report, out: &mut String) -> std::fmt::Result {
    let requests = &report.requests;
    writeln!(
        out,
        "{}: {} requests passed ({} after an approval), {} waited for a person, {} were refused, in {} sessions",
        report.agent,
        requests.allowed,
        requests.approved,
        requests.held,
        requests.denied,
        report.sessions.len()
    )?;
    for (count, what) in [
        (requests.denied_unrecorded, "refusals beyond a rate have no record of their own"),
        (requests.unread, "records do not say what their requests did"),
        (
            requests.under_another_policy,
            "requests were judged by another policy; no rule is counted by them",
        ),
    ] {
        if count > 0 {
            writeln!(out, "note: {count} {what}")?;
        }
    }
    for resource in &report.resources {
        let environment =
            resource.environment.as_deref().map(|name| format!(" in {}", escaped(name)));
        writeln!(
            out,
            "\nresource {}{}: {} passed, {} waited, {} refused",
            resource.name,
            environment.unwrap_or_default(),
            resource.allowed,
            resource.held,
            resource.denied
        )?;
        rows("host", &resource.hosts, out)?;
        rows("", &resource.entries, out)?;
        for (operation, times) in &resource.operations {
            writeln!(out, "  {times:>7}  did {}", escaped(operation))?;
        }
    }
    writeln!(out)?;
    rows("credential", &report.credentials, out)?;
    counts("credential of others", &report.other_credentials, out)?;
    counts("refused or held:", &report.reasons, out)?;
    counts("undeclared host", &report.undeclared_hosts, out)?;
    if !report.suggestion.is_empty() {
        writeln!(out, "\n# A narrower policy, to be reviewed; nothing is applied.")?;
        report.suggestion.iter().try_for_each(|line| writeln!(out, "{}", shown(line)))?;
    }
    Ok(())
}

fn rows(what: &str, all: &[Used], out: &mut String) -> std::fmt::Result {
    for used in all {
        let times = if used.times == 0 { "never".to_owned() } else { used.times.to_string() };
        writeln!(out, "  {times:>7}  {}", format!("{what} {}", escaped(&used.what)).trim_start())?;
    }
    Ok(())
}

fn counts(what: &str, all: &BTreeMap<String, u64>, out: &mut String) -> std::fmt::Result {
    all.iter().try_for_each(|(name, times)| writeln!(out, "  {times:>7}  {what} {}", escaped(name)))
}

/// A line of the suggestion, which may be copied: whole, but without what moves or hides text.
fn shown(line: &str) -> String {
    let strange = |c: char| !matches!(c, ' '..='~');
    line.replace(strange, "?")
}
