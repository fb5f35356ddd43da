//! `holdgate serve`.

use super::{print, runtime};
use crate::fingerprint::{hex, token_hash};
use crate::load::{self, Origin};
use crate::startup::{self, Started};
use crate::telemetry;
use clap::Args;
use notify::Watcher as _;
use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;

#[derive(Debug, Args)]
pub(super) struct Serve {
    /// Reloads the policy when its file changes; without it, on SIGHUP only.
    #[arg(long)]
    watch: bool,
}

pub(super) fn run(command: &Serve, origin: &Origin, json: bool) -> anyhow::Result<ExitCode> {
    telemetry::log_to_stderr(json);
    origin.check_writers()?;
    let policy = load::load(origin, true)?;
    for lint in &policy.lints {
        tracing::warn!(place = %policy.rule_name(lint.place), "{}", lint.message);
    }
    runtime()?.block_on(async {
        let mut started = startup::start(policy).await?;
        let proxy = started.proxy.clone();
        let extra = one_time_token(&started)?;
        if let Err(error) = crate::tls::warm_up(&proxy.leaves).await {
            tracing::debug!(%error, "the warm-up handshake failed");
        }
        let mut signals = Signals::new()?;
        let _watcher = if command.watch { Some(watch(origin, &signals)?) } else { None };
        let (at, approvals) = started.addresses;
        let ca = std::path::absolute(proxy.leaves.authority().path())?;
        let tool_calls = started.tool_calls.as_ref().map(|at| format!("tool_calls={at} "));
        let tool_calls = tool_calls.unwrap_or_default();
        print(&format!(
            "ready proxy={at} approvals={approvals} {tool_calls}ca={}\n",
            ca.display()
        ))?;
        tracing::info!("to send a program through it: eval \"$(holdgate env)\"");
        started.serve(extra);
        while let Asked::Reload = signals.next().await {
            startup::reload(&proxy, origin).await;
        }
        tracing::info!("draining: requests end, held calls are handed back");
        started.drain().await;
        Ok(ExitCode::SUCCESS)
    })
}

/// Where nobody is named who could approve, a token that only the terminal shows.
fn one_time_token(started: &Started) -> anyhow::Result<Option<(String, [u8; 32])>> {
    let snapshot = started.proxy.current.load();
    if !snapshot.policy.approvals.approvers.is_empty() {
        return Ok(None);
    }
    if !std::io::stderr().is_terminal() {
        tracing::warn!(
            "no approver is named in the policy and there is no terminal to show a token on: held calls cannot be approved"
        );
        return Ok(None);
    }
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_unspecified| anyhow::anyhow!("no randomness"))?;
    let token = zeroize::Zeroizing::new(hex(&bytes));
    eprintln!(
        "holdgate: no approver is named; this token approves until the proxy ends:\n  HOLDGATE_APPROVER_TOKEN={}",
        *token
    );
    Ok(Some(("terminal".to_owned(), token_hash(token.as_bytes()))))
}

enum Asked {
    Reload,
    Stop,
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    changed: Arc<Notify>,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            changed: Arc::default(),
        })
    }

    async fn next(&mut self) -> Asked {
        tokio::select! {
            _ = self.hangup.recv() => Asked::Reload,
            () = still(&self.changed) => Asked::Reload,
            _ = self.terminate.recv() => Asked::Stop,
            _ = self.interrupt.recv() => Asked::Stop,
        }
    }
}

/// How long a file is left alone before it counts as written: a part of a policy is often a policy.
const STILL: Duration = Duration::from_millis(300);

/// Waits until something has changed and nothing has since.
async fn still(changed: &Notify) {
    changed.notified().await;
    while tokio::time::timeout(STILL, changed.notified()).await.is_ok() {}
}

/// Watches the folder of the policy: editors and orchestrators replace files by renaming.
fn watch(origin: &Origin, signals: &Signals) -> anyhow::Result<notify::RecommendedWatcher> {
    let Origin::File(path) = origin else {
        return Err(super::Unusable("--watch needs a policy file".to_owned()).into());
    };
    let changed = signals.changed.clone();
    let name = path.file_name().map(ToOwned::to_owned);
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        let touches = |event: &notify::Event| {
            event.paths.iter().any(|path| path.file_name() == name.as_deref())
        };
        if event.is_ok_and(|event| !event.kind.is_access() && touches(&event)) {
            changed.notify_one();
        }
    })?;
    let folder = std::path::absolute(path)?;
    let folder = folder.parent().unwrap_or(&folder);
    watcher.watch(folder, notify::RecursiveMode::NonRecursive)?;
    Ok(watcher)
}
