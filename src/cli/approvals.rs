//! `holdgate approvals list|show|approve|deny|watch|token`.
//!
//! An approver's view, over the approvals listener of `serve` and of every `run` of the policy. The
//! token comes from the environment or a prompt, never from the state folder.

use super::{Unusable, print, runtime};
use crate::fingerprint::{hex, token_hash};
use crate::hold::{Card, escaped};
use crate::load::{self, Origin};
use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use clap::{Args, Subcommand};
use http::{Method, Request, Response, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;
use tokio::net::TcpStream;
use zeroize::Zeroizing;

#[derive(Debug, Args)]
pub(super) struct Approvals {
    #[command(subcommand)]
    command: ApprovalsCommand,
    /// Another listener than the policy's.
    #[arg(long, global = true, value_name = "ADDRESS")]
    address: Option<SocketAddr>,
}

#[derive(Debug, Subcommand)]
enum ApprovalsCommand {
    /// The calls that wait.
    List {
        /// Those that are over as well.
        #[arg(long)]
        all: bool,
    },
    /// One of them, with all that is known.
    Show { id: String },
    /// Lets one identical call through.
    Approve {
        id: String,
        /// Why; it is recorded.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Refuses it.
    Deny {
        id: String,
        /// Why; it is recorded.
        #[arg(long)]
        reason: Option<String>,
    },
    /// Shows each call as it begins to wait.
    Watch,
    /// Makes a token for an approver; only its hash stands in the policy.
    Token { name: String },
    /// Lifts quarantine and held writes from an agent.
    Release { agent: String },
}

const PATIENCE: Duration = Duration::from_secs(10);

/// A client with the approver's token, and where the approvals' listeners are: the one that is named, or
/// those of the policy.
pub(super) fn reached(
    address: Option<SocketAddr>,
    origin: &Origin,
) -> anyhow::Result<(Client, Vec<SocketAddr>)> {
    let addresses = match address {
        Some(address) => vec![address],
        None => listeners(origin)?,
    };
    Ok((Client::new(approver_token()?), addresses))
}

pub(super) fn run(command: Approvals, origin: &Origin, json: bool) -> anyhow::Result<ExitCode> {
    if let ApprovalsCommand::Token { name } = &command.command {
        return token(name, json);
    }
    let (client, addresses) = reached(command.address, origin)?;
    runtime()?.block_on(async {
        match command.command {
            ApprovalsCommand::List { all } => list(&client, &addresses, all, json).await,
            ApprovalsCommand::Show { id } => {
                let (_, view) = client.find(&addresses, &id).await?;
                print(&shown(&view, json)?)?;
                Ok(ExitCode::SUCCESS)
            }
            ApprovalsCommand::Approve { id, reason } => {
                answer(&client, &addresses, &id, "approve", reason, json).await
            }
            ApprovalsCommand::Deny { id, reason } => {
                answer(&client, &addresses, &id, "deny", reason, json).await
            }
            ApprovalsCommand::Watch => watch(&client, &addresses, json).await,
            ApprovalsCommand::Release { agent } => release(&client, &addresses, &agent, json).await,
            ApprovalsCommand::Token { .. } => Ok(ExitCode::SUCCESS),
        }
    })
}

fn token(name: &str, json: bool) -> anyhow::Result<ExitCode> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_unspecified| anyhow!("no randomness"))?;
    let token = Zeroizing::new(hex(&bytes));
    let hash = format!("sha256:{}", hex(&token_hash(token.as_bytes())));
    let text = if json {
        format!("{}\n", json!({ "name": name, "token": *token, "token_hash": hash }))
    } else {
        format!(
            "{}\n\nKeep it; it is not shown again. Give the policy its hash:\n\napprovals:\n  approvers:\n    {name}: {{ token_hash: \"{hash}\" }}\n",
            *token
        )
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The listener of the policy's `serve`, and those of its `run`s that live.
pub(super) fn listeners(origin: &Origin) -> anyhow::Result<Vec<SocketAddr>> {
    let policy = load::load(origin, false)?;
    let mut addresses = Vec::new();
    // The policy's own word comes first: a file in the state folder could lead the token elsewhere.
    if policy.approvals.listen.port() != 0 {
        addresses.push(policy.approvals.listen);
    } else if let Ok(text) = std::fs::read_to_string(policy.state.join("approvals.address"))
        && is_locked(&policy.state)
    {
        addresses.extend(text.trim().parse::<SocketAddr>());
    }
    for entry in std::fs::read_dir(policy.state.join("run")).into_iter().flatten().flatten() {
        let folder = entry.path();
        if let Ok(text) = std::fs::read_to_string(folder.join("approvals.address"))
            && is_locked(&folder)
        {
            addresses.extend(text.trim().parse::<SocketAddr>());
        }
    }
    if addresses.is_empty() {
        bail!(Unusable(
            "no Holdgate of this policy is running; start `holdgate serve`, or give --address"
                .to_owned()
        ));
    }
    Ok(addresses)
}

/// Whether a process uses a state folder: one that crashed leaves its address, and somebody else
/// may listen there by now, who must not be sent a token.
fn is_locked(folder: &Path) -> bool {
    let lock = std::fs::File::open(folder.join("lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
}

pub(super) fn approver_token() -> anyhow::Result<Zeroizing<String>> {
    if let Ok(token) = std::env::var("HOLDGATE_APPROVER_TOKEN")
        && !token.is_empty()
    {
        return Ok(Zeroizing::new(token));
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        bail!(Unusable("set HOLDGATE_APPROVER_TOKEN to an approver's token".to_owned()));
    }
    eprint!("Approver's token: ");
    std::io::stderr().flush()?;
    let before = rustix::termios::tcgetattr(&stdin)?;
    let mut silent = before.clone();
    silent.local_modes.remove(rustix::termios::LocalModes::ECHO);
    rustix::termios::tcsetattr(&stdin, rustix::termios::OptionalActions::Flush, &silent)?;
    let mut token = Zeroizing::new(String::new());
    let read = stdin.lock().read_line(&mut token);
    rustix::termios::tcsetattr(&stdin, rustix::termios::OptionalActions::Flush, &before)?;
    eprintln!();
    read?;
    Ok(Zeroizing::new(token.trim().to_owned()))
}

async fn list(
    client: &Client,
    addresses: &[SocketAddr],
    all: bool,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let path = if all { "/v1/holds?state=all" } else { "/v1/holds" };
    let mut holds = Vec::new();
    let mut failed = None;
    for address in addresses {
        match client.json(*address, Method::GET, path, None).await {
            Ok((200, Value::Array(found))) => holds.extend(found),
            Ok((status, body)) => failed = Some(refusal(status, &body)),
            Err(error) => failed = Some(error),
        }
    }
    if holds.is_empty()
        && let Some(error) = failed
    {
        return Err(error);
    }
    if json {
        print(&format!("{}\n", Value::Array(holds)))?;
    } else if holds.is_empty() {
        print("nothing waits\n")?;
    } else {
        for view in &holds {
            let card: Card = serde_json::from_value(view.get("card").cloned().unwrap_or_default())?;
            print(&format!(
                "{}  {:<9} {:<14} {}\n",
                text(view, "id"),
                text(view, "state"),
                escaped(text(view, "agent")),
                card.line()
            ))?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn answer(
    client: &Client,
    addresses: &[SocketAddr],
    id: &str,
    decision: &str,
    reason: Option<String>,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let (address, _) = client.find(addresses, id).await?;
    let body = json!({ "reason": reason });
    let path = format!("/v1/holds/{id}/{decision}");
    let (status, view) = client.json(address, Method::POST, &path, Some(body)).await?;
    if status != 200 {
        return Err(refusal(status, &view));
    }
    let state = text(&view, "state");
    let out = if json {
        format!("{view}\n")
    } else if state == "waiting" {
        let needed = view.get("needed").and_then(Value::as_i64).unwrap_or(1);
        format!("{id}: your answer is recorded; {needed} people have to approve\n")
    } else {
        format!("{id} is {state}\n")
    };
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}

async fn release(
    client: &Client,
    addresses: &[SocketAddr],
    agent: &str,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let mut released = false;
    for address in addresses {
        let path = format!("/v1/agents/{agent}/release");
        let (status, body) = client.json(*address, Method::POST, &path, Some(json!({}))).await?;
        if status != 200 {
            return Err(refusal(status, &body));
        }
        released |= body.get("released").and_then(Value::as_bool).unwrap_or(false);
    }
    let out = if json {
        format!("{}\n", json!({ "agent": agent, "released": released }))
    } else if released {
        format!("{agent} is released\n")
    } else {
        format!("{agent} was not restrained\n")
    };
    print(&out)?;
    Ok(ExitCode::SUCCESS)
}

async fn watch(client: &Client, addresses: &[SocketAddr], json: bool) -> anyhow::Result<ExitCode> {
    // Each listener is watched from its newest event on; what waits already comes first.
    list(client, addresses, false, json).await?;
    let [address] = addresses else {
        bail!(Unusable("several Holdgates run; name one with --address".to_owned()));
    };
    let mut response = client.send(*address, Method::GET, "/v1/events", None).await?;
    if response.status() != 200 {
        return Err(refusal(response.status().as_u16(), &Value::Null));
    }
    let mut buffer = Vec::new();
    while let Some(frame) = response.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        buffer.extend_from_slice(&data);
        anyhow::ensure!(buffer.len() < 1 << 20, "an event is too large");
        while let Some(end) = buffer.windows(2).position(|pair| pair == b"\n\n") {
            let event: Vec<u8> = buffer.drain(..end + 2).collect();
            let event = String::from_utf8_lossy(&event);
            if let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) {
                print(&shown(&serde_json::from_str(data)?, json)?)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn shown(view: &Value, json: bool) -> anyhow::Result<String> {
    if json {
        return Ok(format!("{view}\n"));
    }
    let card: Card = serde_json::from_value(view.get("card").cloned().unwrap_or_default())?;
    Ok(format!(
        "{} {} for {}, until {}\n{}\n",
        text(view, "id"),
        text(view, "state"),
        escaped(text(view, "agent")),
        text(view, "expires_at"),
        card.text()
    ))
}

pub(super) fn text<'v>(value: &'v Value, key: &str) -> &'v str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

pub(super) fn refusal(status: u16, body: &Value) -> anyhow::Error {
    match text(body, "detail") {
        "" => anyhow!("the approvals listener answered {status}"),
        detail => anyhow!("{detail} ({status})"),
    }
}

/// A way to the approvals listener.
pub(super) struct Client {
    token: Zeroizing<String>,
}

impl Client {
    pub(super) const fn new(token: Zeroizing<String>) -> Self {
        Self { token }
    }

    /// The listener that has a hold, and the hold.
    async fn find(
        &self,
        addresses: &[SocketAddr],
        id: &str,
    ) -> anyhow::Result<(SocketAddr, Value)> {
        if !id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            bail!(Unusable(format!("`{}` is no id of a hold", escaped(id))));
        }
        let mut failed = None;
        for address in addresses {
            match self.json(*address, Method::GET, &format!("/v1/holds/{id}"), None).await {
                Ok((200, view)) => return Ok((*address, view)),
                Ok((status, body)) => failed = Some(refusal(status, &body)),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or_else(|| anyhow!("there is no hold `{id}`")))
    }

    pub(super) async fn json(
        &self,
        address: SocketAddr,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<(u16, Value)> {
        let asking = async {
            let response = self.send(address, method, path, body).await?;
            let status = response.status().as_u16();
            let body = Limited::new(response.into_body(), 64 << 20).collect().await;
            let bytes = body.map_err(|error| anyhow!(error))?.to_bytes();
            anyhow::Ok((status, serde_json::from_slice(&bytes).unwrap_or(Value::Null)))
        };
        tokio::time::timeout(PATIENCE, asking)
            .await
            .with_context(|| format!("{address} does not answer"))?
    }

    async fn send(
        &self,
        address: SocketAddr,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> anyhow::Result<Response<Incoming>> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("{address}: is Holdgate running?"))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // The connection ends with the command; its task has nothing to be drained for.
        tokio_util::task::TaskTracker::new().spawn(connection);
        let mut authorization =
            header::HeaderValue::from_str(&format!("Bearer {}", *self.token))
                .map_err(|_invalid| Unusable("the approver's token cannot be sent".to_owned()))?;
        authorization.set_sensitive(true);
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, address.to_string())
            .header(header::AUTHORIZATION, authorization)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::new(body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()))))?;
        Ok(sender.send_request(request).await?)
    }
}
