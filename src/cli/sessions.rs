//! `holdgate sessions`: where agents are going, and what stops them.
//!
//! Takes the name of an agent; asks the listeners of the approvers, with an approver's token. Prints
//! the stages as a timeline, the oldest first.

mod timeline;

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
use std::path::PathBuf;
use std::process::ExitCode;
use timeline::{explain, list, show};

#[derive(Debug, Args)]
pub(super) struct Sessions {
    #[command(subcommand)]
    command: SessionsCommand,
    /// Another listener than the policy's.
    #[arg(long, global = true, value_name = "ADDRESS")]
    address: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum SessionsCommand {
    /// Every agent, with what restrains it and the last stage it went through.
    List,
    /// The stages that an agent went through, as a timeline.
    Show { agent: String },
    /// How far an agent has come in each sequence of the policy, and what would be its next step.
    Explain { agent: String },
    /// Forgets the stages of an agent; what restrains it stays.
    Reset { agent: String },
    /// Refuses everything an agent asks for until it is released.
    Quarantine {
        agent: String,
        /// Why, for the record.
        #[arg(long, default_value = "put there by an operator")]
        reason: String,
    },
    /// Lifts quarantine and held writes from an agent, and forgets its stages.
    Release { agent: String },
    /// What an agent, or one session of the audit log, was allowed to do against what it did.
    Restraint {
        /// An agent of the policy, or the id of a session.
        whom: String,
        /// The folder of another log than that of the policy's state.
        #[arg(long, value_name = "FOLDER")]
        log: Option<PathBuf>,
    },
}

pub(super) fn run(command: Sessions, origin: &Origin, json: bool) -> anyhow::Result<ExitCode> {
    if let SessionsCommand::Restraint { whom, log } = command.command {
        return super::restraint::run(&whom, log, origin, json);
    }
    let (client, addresses) = reached(command.address, origin)?;
    let at = |agent: &str, what: &str| {
        format!("/v1/sessions/{}{what}", utf8_percent_encode(agent, NON_ALPHANUMERIC))
    };
    runtime()?.block_on(async {
        let everywhere = Everywhere { client: &client, addresses: &addresses, json };
        match command.command {
            SessionsCommand::List => everywhere.get("/v1/sessions", list).await,
            SessionsCommand::Show { agent } => everywhere.get(&at(&agent, ""), show).await,
            SessionsCommand::Explain { agent } => everywhere.get(&at(&agent, ""), explain).await,
            SessionsCommand::Reset { agent } => {
                everywhere.post(&at(&agent, "/reset"), json!({}), "its stages are forgotten").await
            }
            SessionsCommand::Quarantine { agent, reason } => {
                let body = json!({ "reason": reason });
                everywhere.post(&at(&agent, "/quarantine"), body, "it is in quarantine").await
            }
            SessionsCommand::Release { agent } => {
                let agent = utf8_percent_encode(&agent, NON_ALPHANUMERIC);
                let path = format!("/v1/agents/{agent}/release");
                everywhere.post(&path, json!({}), "it is released").await
            }
            SessionsCommand::Restraint { .. } => Ok(ExitCode::SUCCESS),
        }
    })
}

/// The listeners of one state folder.
struct Everywhere<'a> {
    client: &'a Client,
    addresses: &'a [SocketAddr],
    json: bool,
}

impl Everywhere<'_> {
    async fn asked(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Vec<Value>> {
        let mut answers = Vec::new();
        for address in self.addresses {
            match self.client.json(*address, method.clone(), path, body.clone()).await? {
                (200, answer) => answers.push(answer),
                (status, body) => return Err(refusal(status, &body)),
            }
        }
        Ok(answers)
    }

    async fn get(
        &self,
        path: &str,
        tell: fn(&Value, &mut String) -> std::fmt::Result,
    ) -> anyhow::Result<ExitCode> {
        let mut out = String::new();
        for answer in self.asked(Method::GET, path, None).await? {
            if self.json {
                writeln!(out, "{answer}")?;
            } else {
                tell(&answer, &mut out)?;
            }
        }
        print(&out)?;
        Ok(ExitCode::SUCCESS)
    }

    async fn post(&self, path: &str, body: Value, done: &str) -> anyhow::Result<ExitCode> {
        let mut out = String::new();
        for answer in self.asked(Method::POST, path, Some(body)).await? {
            if self.json {
                writeln!(out, "{answer}")?;
            } else {
                writeln!(out, "{}: {done}", escaped(text(&answer, "agent")))?;
            }
        }
        print(&out)?;
        Ok(ExitCode::SUCCESS)
    }
}
