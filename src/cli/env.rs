//! `holdgate env`: the client kit as shell text.

use super::{Unusable, loaded, print};
use crate::kit::{self, Kit};
use crate::load::Origin;
use crate::policy::{Listen, Policy, Proof};
use crate::tls::authority::Authority;
use clap::{Args, ValueEnum};
use std::fmt::Write as _;
use std::process::ExitCode;

#[derive(Debug, Args)]
pub(super) struct Env {
    /// Whose environment it is; not needed where there is one agent.
    #[arg(long)]
    agent: Option<String>,
    /// The form.
    #[arg(long, value_enum, default_value_t = Shell::Sh)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Sh,
    Fish,
    Json,
}

pub(super) fn run(command: &Env, origin: &Origin) -> anyhow::Result<ExitCode> {
    let policy = loaded(origin)?;
    let agent = match (&command.agent, policy.named_agents().collect::<Vec<_>>().as_slice()) {
        (Some(name), _) => policy.agent(name).map(|(_, agent)| agent),
        (None, [only]) => Some(*only),
        (None, _) => None,
    }
    .ok_or_else(|| Unusable("name one of the policy's agents with --agent".to_owned()))?;
    if policy.network.listen.port() == 0 {
        let text = "`proxy.listen` has port 0, so the port is known only from the ready line of `serve`; give it one";
        return Err(Unusable(text.to_owned()).into());
    }
    let authority = Authority::open(&policy.ca_dir, policy.ca_hosts.as_deref())?;
    let bundle = kit::write_bundle(&policy.ca_dir, &authority)?;
    // The token itself is the agent's; only its hash is known here.
    let user = match agent.proof {
        Proof::OnlyAgent => None,
        _ => Some((agent.name.to_string(), "${HOLDGATE_AGENT_TOKEN}".to_owned())),
    };
    let kit = Kit {
        listen: policy.network.listen,
        user,
        bundle,
        ca: std::path::absolute(authority.path())?,
        tool_calls: tool_calls(&policy)?.map(|at| (at, agent.name.to_string())),
    };
    let placeholders =
        policy.placeholders(agent).map(|(name, placeholder)| (name, placeholder.to_owned()));
    let variables: Vec<(&str, String)> = kit.variables().into_iter().chain(placeholders).collect();
    let text = match command.shell {
        Shell::Json => {
            let map: serde_json::Map<String, serde_json::Value> = variables
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value.into()))
                .collect();
            format!("{:#}\n", serde_json::Value::Object(map))
        }
        shell => {
            let mut text = String::new();
            for (name, value) in variables {
                match shell {
                    Shell::Fish => writeln!(text, "set -gx {name} {}", quoted(&value, fish))?,
                    _ => writeln!(text, "export {name}={}", quoted(&value, sh))?,
                }
            }
            text
        }
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Where questions about tool calls are asked, where that is known before `serve` says it.
fn tool_calls(policy: &Policy) -> anyhow::Result<Option<String>> {
    let listen = policy.network.tool_calls.as_ref().map(|declared| &declared.listen);
    Ok(match listen {
        Some(Listen::Unix(path)) => Some(Listen::Unix(std::path::absolute(path)?).to_string()),
        Some(at @ Listen::Loopback(address)) if address.port() != 0 => Some(at.to_string()),
        _ => None,
    })
}

/// Quoted so that a shell takes it as it is, but for the token it is to put in.
fn quoted(value: &str, escape: fn(&str) -> String) -> String {
    let (open, rest) = match value.split_once("${HOLDGATE_AGENT_TOKEN}") {
        Some((before, after)) => (format!("'{}'\"$HOLDGATE_AGENT_TOKEN\"", escape(before)), after),
        None => (String::new(), value),
    };
    format!("{open}'{}'", escape(rest))
}

fn sh(text: &str) -> String {
    text.replace('\'', "'\\''")
}

/// Between fish's single quotes a backslash escapes itself and the quote.
fn fish(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\'', "\\'")
}
