//! The command line: one file a subcommand.
//!
//! Takes arguments; returns an exit code: 0 done, 1 failed or refused, 2 unusable arguments or
//! policy. What a program might read goes to stdout, all else to stderr.

mod approvals;
mod audit;
mod baseline;
mod ca;
mod catalog;
mod credential;
mod env;
mod hook;
mod inventory;
mod kept;
mod policy;
mod restraint;
mod run;
mod serve;
mod sessions;

use crate::load::{self, Origin};
use crate::policy::Policy;
use clap::{Parser, Subcommand};
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

/// Holdgate: an egress proxy that judges what an AI agent calls, and holds what cannot be undone.
#[derive(Debug, Parser)]
#[command(name = "holdgate", version, about)]
pub struct Arguments {
    /// The policy; without one `policy.yaml` of this folder, else the embedded one.
    #[arg(long, global = true, env = "HOLDGATE_POLICY", value_name = "FILE")]
    policy: Option<PathBuf>,
    /// Answers as JSON, where a program might read them.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts the proxy and the approvals listener.
    Serve(serve::Serve),
    /// Starts a proxy for one command and runs it.
    Run(run::Run),
    /// Lists, shows, answers and watches the calls that wait.
    Approvals(approvals::Approvals),
    /// Shows what was learned of which id belongs where, and forgets it.
    Inventory(inventory::Inventory),
    /// Shows where agents are going, and stops them.
    Sessions(sessions::Sessions),
    /// Learns what is usual, and says how unusual a session is.
    #[command(subcommand)]
    Baseline(baseline::BaselineCommand),
    /// Prints the variables that make a client use the proxy and trust it.
    Env(env::Env),
    /// Answers a coding agent that asks before it runs a tool.
    Hook(hook::Hook),
    /// Checks, explains and tests the policy.
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Reads and verifies the audit log.
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// Shows the interception authority.
    #[command(subcommand)]
    Ca(ca::CaCommand),
    /// Shows and checks what is known of services.
    #[command(subcommand)]
    Catalog(catalog::CatalogCommand),
    /// Makes fingerprints of credentials.
    #[command(subcommand)]
    Credential(credential::CredentialCommand),
}

/// The arguments or the policy cannot be used, which has an exit code of its own.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unusable(String);

/// Runs a command.
pub fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let origin = Origin::find(arguments.policy);
    let json = arguments.json;
    match arguments.command {
        Command::Serve(command) => serve::run(&command, &origin, json),
        Command::Run(command) => run::run(&command, &origin),
        Command::Approvals(command) => approvals::run(command, &origin, json),
        Command::Inventory(command) => inventory::run(command, &origin, json),
        Command::Sessions(command) => sessions::run(command, &origin, json),
        Command::Baseline(command) => baseline::run(command, &origin, json),
        Command::Env(command) => env::run(&command, &origin),
        Command::Hook(command) => hook::run(&command),
        Command::Policy(command) => policy::run(command, &origin, json),
        Command::Audit(command) => audit::run(command, &origin, json),
        Command::Ca(command) => ca::run(&command, &origin, json),
        Command::Catalog(command) => catalog::run(command, json),
        Command::Credential(command) => credential::run(&command, &origin, json),
    }
}

/// The exit code of an error: 2 where arguments or policy are at fault.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    let unusable = error.is::<Unusable>()
        || matches!(
            error.downcast_ref::<load::Error>(),
            Some(load::Error::Policy(_) | load::Error::Read { .. } | load::Error::Writable(_))
        );
    ExitCode::from(if unusable { 2 } else { 1 })
}

/// An error with its causes, each once: most messages tell their cause themselves.
pub fn told(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text.push_str(": ");
            text.push_str(&cause);
        }
    }
    text
}

/// Loads the policy, making its keys if they are not there.
fn loaded(origin: &Origin) -> Result<Policy, load::Error> {
    load::load(origin, true)
}

/// Prints to stdout; a reader that has gone away is no error.
fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => Ok(result?),
    }
}

/// A runtime for commands that talk.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}
