//! `holdgate run -- CMD`: a proxy for one command.
//!
//! Pins the policy, mints a session and a secret for the agent, sets the client kit in the child's
//! environment, keeps from it what is the operator's and what looks like a secret that was not issued, asks on its own terminal, and exits with the
//! child's status. Variables alone are advisory, and it says so.

use super::{Unusable, runtime};
use crate::fingerprint::{hex, token_hash};
use crate::hold::{Decision, Event, Holds, View};
use crate::kit::environment::Environment;
use crate::kit::{self, Kit};
use crate::load::{self, Origin};
use crate::policy::Policy;
use crate::startup;
use crate::telemetry;
use clap::Args;
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

#[derive(Debug, Args)]
pub(super) struct Run {
    /// Who the command is; not needed where the policy has one agent.
    #[arg(long)]
    agent: Option<String>,
    /// A variable that the command keeps although it looks like a secret.
    #[arg(long, value_name = "NAME")]
    keep: Vec<String>,
    /// The command with its arguments.
    #[arg(last = true, required = true)]
    command: Vec<String>,
}

pub(super) fn run(command: &Run, origin: &Origin) -> anyhow::Result<ExitCode> {
    telemetry::log_to_stderr_from("warn", false);
    origin.check_writers()?;
    let mut policy = load::load(origin, true)?;
    let name = match (&command.agent, policy.named_agents().collect::<Vec<_>>().as_slice()) {
        (Some(name), _) => name.clone(),
        (None, [only]) => only.name.to_string(),
        (None, _) => {
            return Err(Unusable("name one of the policy's agents with --agent".to_owned()).into());
        }
    };
    let mut bytes = [0; 24];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_unspecified| anyhow::anyhow!("no randomness"))?;
    let token = zeroize::Zeroizing::new(hex(&bytes));
    let id = uuid::Uuid::now_v7().simple().to_string();
    let state = policy.state.join("run").join(&id);
    // A variable that is no text says nothing that could be looked at, and is kept as it is.
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let environment = policy.agent(&name).map_or_else(Environment::default, |(_, agent)| {
        Environment::new(variables, &policy, agent, &command.keep)
    });
    if !policy.for_one_run(&name, token_hash(token.as_bytes()), state) {
        return Err(Unusable(format!("the policy has no agent `{name}`")).into());
    }
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        let mut started = startup::start(policy).await?;
        let (listen, _) = started.addresses;
        started.serve(None);
        let proxy = started.proxy.clone();
        let authority = proxy.leaves.authority();
        let bundle = kit::write_bundle(&proxy.current.load().policy.ca_dir, authority)?;
        let ca = std::path::absolute(authority.path())?;
        let user = Some((name.clone(), token.to_string()));
        let tool_calls = started.tool_calls.clone().map(|at| (at, name.clone()));
        let kit = Kit { listen, user, bundle, ca, tool_calls };
        eprintln!("holdgate: `{name}` goes through {listen} under policy {}", short(&proxy.current.load().policy));
        eprintln!("holdgate: this is advisory: a program that ignores the variables goes around the proxy, and one of the same user can reach this process");
        if !environment.stripped.is_empty() {
            let names = environment.stripped.join(", ");
            eprintln!("holdgate: kept from the command, as they look like secrets that were not issued to it: {names} (`--keep NAME` passes one on)");
        }
        let over = CancellationToken::new();
        if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
            proxy.tasks.spawn(ask(proxy.holds.clone(), over.clone()));
        } else {
            eprintln!("holdgate: there is no terminal to ask on; held calls are approved with `holdgate approvals`");
        }
        let status = child(&command.command, &kit, &environment).await;
        over.cancel();
        started.drain().await;
        status
    });
    // A question that nobody answered leaves a read of the terminal that cannot be ended.
    runtime.shutdown_background();
    ended
}

fn short(policy: &Policy) -> String {
    policy.digest.chars().take(12).collect()
}

async fn child(
    command: &[String],
    kit: &Kit,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let (program, arguments) =
        command.split_first().ok_or_else(|| Unusable("name a command after `--`".to_owned()))?;
    let mut child = Command::new(program);
    child.args(arguments);
    for name in environment.withheld.iter().chain(&environment.stripped) {
        child.env_remove(name);
    }
    child.envs(environment.placeholders.iter().map(|(name, placeholder)| (name, placeholder)));
    child.envs(kit.variables());
    child.envs(kit.user.iter().map(|(_, token)| (kit::AGENT_TOKEN, token)));
    // Before the child is there, so that no signal leaves it without its proxy.
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut child = child.spawn().map_err(|error| Unusable(format!("{program}: {error}")))?;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            // The terminal sends both to the child too; it decides what they mean.
            _ = interrupt.recv() => {}
            _ = hangup.recv() => {}
            _ = terminate.recv() => {
                if let Some(pid) = child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())) {
                    rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
                }
            }
        }
    };
    let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or(0));
    Ok(ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Asks on the terminal, one hold at a time.
async fn ask(holds: Holds, over: CancellationToken) {
    let mut events = holds.subscribe();
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        let event = tokio::select! {
            () = over.cancelled() => return,
            event = events.recv() => event,
        };
        match event {
            Ok(Event::Opened(view)) => {
                if let Err(error) = ask_one(&holds, &view, &mut lines, &over).await {
                    eprintln!("holdgate: the answer was not taken: {error}");
                }
            }
            Ok(_) => {}
            Err(tokio::sync::broadcast::error::RecvError::Lagged(missed)) => {
                eprintln!(
                    "holdgate: {missed} calls were not asked about here; see `holdgate approvals list`"
                );
            }
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Longer than any hold lives.
const LONGEST_QUESTION: Duration = Duration::from_hours(24 * 7);

async fn ask_one(
    holds: &Holds,
    view: &Arc<View>,
    lines: &mut tokio::io::Lines<BufReader<tokio::io::Stdin>>,
    over: &CancellationToken,
) -> anyhow::Result<()> {
    // What was typed before the question was meant for something else.
    rustix::termios::tcflush(std::io::stdin(), rustix::termios::QueueSelector::IFlush)?;
    eprint!(
        "\n{}\nApprove {}? Type `yes` to approve, anything else to deny: ",
        view.card.text(),
        view.id
    );
    std::io::stderr().flush()?;
    let line = tokio::select! {
        // Answered elsewhere, expired, or the run is over: the next question must not wait behind it.
        ended = holds.wait(&view.id, LONGEST_QUESTION, over) => {
            if let Some(ended) = ended?.filter(View::is_over) {
                eprintln!("\nholdgate: {} is {}", ended.id, ended.state.as_str());
            }
            return Ok(());
        }
        line = lines.next_line() => line?,
    };
    let decision = match line.as_deref().map(str::trim) {
        Some("yes") => Decision::Approve,
        _ => Decision::Deny,
    };
    let view = holds.answer(&view.id, "terminal", decision, None).await?;
    eprintln!("holdgate: {} is {}", view.id, view.state.as_str());
    Ok(())
}
