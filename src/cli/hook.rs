//! `holdgate hook`: the answer to a coding agent that asks before it runs a tool.
//!
//! Takes a `PreToolUse` event of Claude Code on stdin; asks the listener of tool calls; says `deny` on
//! stdout where that says deny or hold, and nothing where it allows, so that the agent's own rules stay
//! in force. Where nobody answers it denies, unless it is told to be open.

use super::{Unusable, runtime};
use crate::kit;
use crate::policy::Word;
use crate::tool_calls::{Address, AskError, LARGEST, ask};
use anyhow::Context as _;
use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};
use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::time::Duration;
use tokio::io::AsyncReadExt as _;

#[derive(Debug, Args)]
pub(super) struct Hook {
    /// The listener of tool calls: `unix:PATH` or `http://127.0.0.1:PORT`.
    #[arg(long, env = kit::TOOL_CALLS, value_name = "ADDRESS")]
    socket: Option<String>,
    /// Who asks; the secret is taken from `HOLDGATE_AGENT_TOKEN`.
    #[arg(long, env = kit::AGENT, value_name = "NAME")]
    agent: Option<String>,
    /// Lets the tool run where the listener cannot be reached.
    #[arg(long)]
    open: bool,
    /// How long to wait for an answer, in seconds; less than the agent waits for its hook.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
}

/// How long the event may take to arrive.
const EVENT: Duration = Duration::from_secs(10);
/// The largest event: what is asked, and what the agent says around it.
const LARGEST_EVENT: u64 = 4 << 20;

/// Coding agents run the tool after any exit code but 2, which is that of what is unusable.
pub(super) fn run(command: &Hook) -> anyhow::Result<ExitCode> {
    // A failure of our own is no consent either.
    match std::panic::catch_unwind(AssertUnwindSafe(|| told(command))) {
        Ok(told) => told.map_err(|error| Unusable(format!("{error:#}")).into()),
        Err(_panic) => {
            Err(Unusable("the hook failed; this is a fault of the program".to_owned()).into())
        }
    }
}

fn told(command: &Hook) -> anyhow::Result<ExitCode> {
    let runtime = runtime()?;
    let answered = runtime.block_on(answered(command));
    // A read of stdin that never ended is no reason to wait.
    runtime.shutdown_background();
    if let Some(reason) = answered? {
        let answer = json!({ "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "permissionDecision": "deny",
            "permissionDecisionReason": reason,
        }});
        // A reader that has gone away has not heard the denial.
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}").and_then(|()| out.flush()).context("stdout")?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Why the tool may not run; none where Holdgate has nothing against it.
async fn answered(command: &Hook) -> anyhow::Result<Option<String>> {
    let question = match tokio::time::timeout(EVENT, event()).await {
        Ok(event) => question(&event?)?,
        Err(_elapsed) => return Err(Unusable("no event arrived on stdin".to_owned()).into()),
    };
    if question.len() > LARGEST {
        let told = format!(
            "The tool call is larger than {} KiB, so it is not judged and not run.",
            LARGEST >> 10
        );
        return Ok(Some(told));
    }
    let token = std::env::var(kit::AGENT_TOKEN).ok().map(zeroize::Zeroizing::new);
    let proof = match (&command.agent, &token) {
        (Some(agent), Some(token)) => Some((agent.as_str(), token.as_str())),
        (None, None) => None,
        _ => {
            return Err(
                Unusable("set both the agent's name and its token, or neither".to_owned()).into()
            );
        }
    };
    let asked = match command.socket.as_deref().map(str::parse::<Address>) {
        None => Err(AskError::Address),
        Some(Err(error)) => Err(error),
        Some(Ok(address)) => {
            ask(&address, proof, question, Duration::from_secs(command.timeout)).await
        }
    };
    match asked {
        Ok(answer) if answer.verdict == Word::Allow => Ok(None),
        Ok(answer) => {
            let reason = answer.reason.unwrap_or_default();
            Ok(Some(format!("Holdgate: {} ({reason})", answer.message)))
        }
        Err(error) if command.open => {
            eprintln!("holdgate: {error}; the tool is let through, as --open says");
            Ok(None)
        }
        Err(error) => Ok(Some(format!(
            "Holdgate does not answer, so the tool call is refused: {error}. Stop and tell the person you work for."
        ))),
    }
}

async fn event() -> anyhow::Result<Value> {
    let mut bytes = Vec::new();
    tokio::io::stdin().take(LARGEST_EVENT + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > LARGEST_EVENT {
        return Err(Unusable("the event on stdin is too large".to_owned()).into());
    }
    serde_json::from_slice(&bytes)
        .map_err(|_form| Unusable("there is no JSON on stdin".to_owned()).into())
}

/// The question that an event is.
fn question(event: &Value) -> anyhow::Result<Bytes> {
    let member = |name: &str| event.get(name).cloned();
    if member("hook_event_name").is_some_and(|name| name != "PreToolUse") {
        let told = "this hook is for `PreToolUse`; register it for that event alone";
        return Err(Unusable(told.to_owned()).into());
    }
    let (Some(tool), Some(input)) = (member("tool_name"), member("tool_input")) else {
        let told = "the event on stdin has no `tool_name` and `tool_input`";
        return Err(Unusable(told.to_owned()).into());
    };
    let mut question = json!({ "tool": tool, "input": input });
    if let Some(members) = question.as_object_mut() {
        members.extend(member("tool_use_id").map(|id| ("call".to_owned(), id)));
        members.extend(member("cwd").map(|folder| ("cwd".to_owned(), folder)));
    }
    Ok(Bytes::from(question.to_string()))
}
