//! `holdgate inventory list|why|forget`.
//!
//! What is known of which id belongs to which environment, over the approvals listener: what counts
//! stands in the running process.

use super::approvals::{Client, reached, refusal, text};
use super::{print, runtime};
use crate::hold::escaped;
use crate::load::Origin;
use clap::{Args, Subcommand};
use http::Method;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct Inventory {
    #[command(subcommand)]
    command: InventoryCommand,
    /// Another listener than the policy's.
    #[arg(long, global = true, value_name = "ADDRESS")]
    address: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum InventoryCommand {
    /// What was learned from answers, the newest first.
    List,
    /// All that is known of one id, and how it is known: exit 1 if nothing is.
    Why { id: String },
    /// Forgets what was learned of an id, until an answer says it again.
    Forget { id: String },
}

pub(super) fn run(command: Inventory, origin: &Origin, json: bool) -> anyhow::Result<ExitCode> {
    let (client, addresses) = reached(command.address, origin)?;
    runtime()?.block_on(async {
        match command.command {
            InventoryCommand::List => list(&client, &addresses, json).await,
            InventoryCommand::Why { id } => why(&client, &addresses, &id, json).await,
            InventoryCommand::Forget { id } => forget(&client, &addresses, &id, json).await,
        }
    })
}

async fn asked(
    client: &Client,
    address: SocketAddr,
    method: Method,
    path: &str,
    body: Option<Value>,
) -> anyhow::Result<Value> {
    match client.json(address, method, path, body).await? {
        (200, answer) => Ok(answer),
        (status, body) => Err(refusal(status, &body)),
    }
}

async fn list(client: &Client, addresses: &[SocketAddr], json: bool) -> anyhow::Result<ExitCode> {
    let mut facts = Vec::new();
    for address in addresses {
        if let Value::Array(found) =
            asked(client, *address, Method::GET, "/v1/inventory", None).await?
        {
            facts.extend(found);
        }
    }
    let mut out = String::new();
    if json {
        writeln!(out, "{}", Value::Array(facts))?;
    } else if facts.is_empty() {
        out.push_str("nothing was learned\n");
    } else {
        for fact in &facts {
            writeln!(out, "{} {}, {}", thing(fact), belongs(fact), learned(fact))?;
        }
    }
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}

async fn why(
    client: &Client,
    addresses: &[SocketAddr],
    id: &str,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let path = format!("/v1/inventory/about?id={}", utf8_percent_encode(id, NON_ALPHANUMERIC));
    let (mut declared, mut facts) = (Vec::new(), Vec::new());
    for address in addresses {
        let answer = asked(client, *address, Method::GET, &path, None).await?;
        let rows = |key: &str| answer.get(key).and_then(Value::as_array).cloned();
        // All of them have the same policy.
        declared = rows("declared").unwrap_or_default();
        facts.extend(rows("learned").unwrap_or_default());
    }
    let known = !declared.is_empty() || !facts.is_empty();
    let mut out = String::new();
    if json {
        writeln!(out, "{}", json!({ "id": id, "declared": declared, "learned": facts }))?;
    } else if !known {
        writeln!(out, "nothing is known of {}", escaped(id))?;
    } else {
        for owner in &declared {
            writeln!(
                out,
                "{} {} is declared by {} in {} ({})",
                escaped(text(owner, "kind")),
                escaped(id),
                escaped(text(owner, "resource")),
                escaped(environment(owner)),
                text(owner, "rule"),
            )?;
        }
        for fact in &facts {
            writeln!(out, "{} {}", thing(fact), belongs(fact))?;
            writeln!(out, "  learned   {}", learned(fact))?;
            writeln!(out, "  from      {}", escaped(text(fact, "host")))?;
            writeln!(out, "  until     {}", text(fact, "expires_at"))?;
            if !declared.is_empty() {
                writeln!(out, "  does not count, as the id is declared")?;
            }
        }
    }
    print(&out)?;
    Ok(if known { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn forget(
    client: &Client,
    addresses: &[SocketAddr],
    id: &str,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let mut forgotten = 0;
    for address in addresses {
        let body = Some(json!({ "id": id }));
        let answer = asked(client, *address, Method::POST, "/v1/inventory/forget", body).await?;
        forgotten += answer.get("forgotten").and_then(Value::as_u64).unwrap_or(0);
    }
    let out = match forgotten {
        _ if json => format!("{}\n", json!({ "id": id, "forgotten": forgotten })),
        0 => format!("nothing was learned of {}\n", escaped(id)),
        _ => format!("forgot what was learned of {}\n", escaped(id)),
    };
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}

fn thing(fact: &Value) -> String {
    format!("{} {}", escaped(text(fact, "kind")), escaped(text(fact, "id")))
}

fn environment(value: &Value) -> &str {
    value.get("environment").and_then(Value::as_str).unwrap_or("no environment")
}

/// Where a thing belongs by a fact, and who judges it by all that is known.
fn belongs(fact: &Value) -> String {
    let judges = fact.get("judged_by").and_then(Value::as_array);
    let judges: Vec<String> = judges
        .into_iter()
        .flatten()
        .map(|judge| {
            format!("{} in {}", escaped(text(judge, "resource")), escaped(environment(judge)))
        })
        .collect();
    let judges =
        if judges.is_empty() { "judged by nobody".to_owned() } else { judges.join(" and ") };
    let others = fact.get("shared").and_then(Value::as_bool).unwrap_or_default();
    let others = if others { ", perhaps to others" } else { "" };
    let (kind, owner) = (escaped(text(fact, "owner_kind")), escaped(text(fact, "owner")));
    format!("belongs to {kind} {owner}{others} ({judges})")
}

fn learned(fact: &Value) -> String {
    let age = fact.get("age_seconds").and_then(Value::as_u64).unwrap_or_default();
    format!(
        "{} ago from `{}` of {} ({})",
        crate::inventory::told(Duration::from_secs(age)),
        escaped(text(fact, "operation")),
        escaped(text(fact, "agent")),
        text(fact, "request_id"),
    )
}
