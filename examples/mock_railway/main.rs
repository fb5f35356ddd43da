//! A mock Railway API to try Holdgate against: it holds a project, and it really deletes its
//! volumes.
//!
//! `cargo run --example mock_railway -- --folder DIR` writes `DIR/mock-ca.pem`, `DIR/staging-token`
//! and `DIR/policy.yaml`, prints where it listens and each request it gets, and ends on Ctrl-C.

#[path = "mock.rs"]
pub mod mock;

use anyhow::Context as _;
use clap::Parser;
use mock::{Mock, Options, PolicyOptions, Seen};
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// Serves a mock Railway API on loopback.
#[derive(Debug, Parser)]
struct Arguments {
    /// Where its CA, the agent's token and a policy are written.
    #[arg(long)]
    folder: PathBuf,
    /// Where to listen, on loopback.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Who may approve: what `holdgate approvals token` prints as `token_hash`.
    #[arg(long)]
    token_hash: Option<String>,
    /// Keep every answer back for so many milliseconds.
    #[arg(long)]
    delay: Option<u64>,
    /// End each connection after reading a request, without answering.
    #[arg(long)]
    close_after_head: bool,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let options = Options {
        listen: arguments.listen,
        delay: arguments.delay.map(Duration::from_millis),
        close_after_head: arguments.close_after_head,
        on_request: Some(print),
    };
    let mock = Mock::start(options).await.context("the mock could not be started")?;
    let policy_options = PolicyOptions {
        token_hash: arguments.token_hash,
        ..PolicyOptions::new(arguments.folder.clone())
    };
    let policy = mock.policy(&policy_options).context("the folder could not be written")?;
    let file = arguments.folder.join("policy.yaml");
    std::fs::write(&file, policy)
        .with_context(|| format!("{} cannot be written", file.display()))?;
    say(&format!(
        "listening on {}; now run: holdgate serve --policy {}",
        mock.address(),
        file.display()
    ));
    tokio::signal::ctrl_c().await.context("Ctrl-C cannot be waited for")?;
    let requests = mock.requests().len();
    let deletions = mock.deletions().len();
    mock.stop().await;
    say(&format!("ended after {requests} requests and {deletions} deleted volumes"));
    Ok(())
}

fn print(seen: &Seen) {
    let body = String::from_utf8_lossy(&seen.body);
    let body: String =
        body.chars().take(400).map(|c| if c.is_control() { ' ' } else { c }).collect();
    say(format!("{} https://{}{} {body}", seen.method, seen.host, seen.path).trim_end());
}

fn say(line: &str) {
    // Nobody reads any more: the mock serves on.
    drop(writeln!(std::io::stdout().lock(), "{line}"));
}
