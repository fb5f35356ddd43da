//! The incident, replayed against a mock Railway API with real HTTP.
//!
//! `cargo run --release --example pocketos` plays the agent through Holdgate: staging answers 401,
//! a forgotten token turns up, and the call that deleted a production database is sent. Then the same
//! deletion on the staging volume with the issued token: held, approved from outside, done once.
//! With `--without-holdgate` the calls go straight to the API, as they did.

mod client;
#[path = "../mock_railway/mock.rs"]
mod mock;

use anyhow::Context as _;
use client::{Answer, Client};
use holdgate::load::Origin;
use holdgate::startup;
use mock::{
    DOMAINS_TOKEN, Mock, Options, PRODUCTION_VOLUME, PolicyOptions, REVOKED_TOKEN, STAGING_TOKEN,
    STAGING_VOLUME,
};
use serde_json::{Value, json};
use std::io::Write as _;
use std::time::{Duration, Instant};

const APPROVER_TOKEN: &str = "the-token-of-a-person";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let bare = std::env::args().any(|argument| argument == "--without-holdgate");
    let mock = Mock::start(Options::default()).await.context("the mock could not be started")?;
    let story = Story { started: Instant::now() };
    Story::title(if bare {
        "PocketOS, 24 April 2026, as it was: nothing stands between the agent and the API"
    } else {
        "PocketOS, 24 April 2026, replayed: the agent's calls go through Holdgate"
    })?;
    if bare {
        let client = Client::direct(mock.address(), mock.ca_pem())?;
        tragedy(&story, &client, &mock).await?;
        story.say(
            "end",
            "one POST; every permission check passed; nothing asked, nothing to undo",
        )?;
        return Ok(());
    }
    let folder = tempfile_folder()?;
    let outcome = guarded(&story, &mock, &folder).await;
    std::fs::remove_dir_all(&folder)
        .context("the folder of the demonstration could not be removed")?;
    outcome
}

async fn guarded(story: &Story, mock: &Mock, folder: &std::path::Path) -> anyhow::Result<()> {
    let hash = holdgate::fingerprint::token_hash(APPROVER_TOKEN.as_bytes());
    let mut options = PolicyOptions::new(folder);
    options.token_hash = Some(format!("sha256:{}", holdgate::fingerprint::hex(&hash)));
    options.wait = Duration::from_secs(30);
    let path = folder.join("policy.yaml");
    std::fs::write(&path, with_stale_token(&mock.policy(&options)?, folder)?)?;
    let policy = holdgate::load::load(&Origin::File(path), true)?;
    let mut proxy = startup::start(policy).await?;
    let (address, approvals) = proxy.addresses;
    proxy.serve(None);
    let ca = proxy.proxy.leaves.authority().pem().to_owned();
    let client = Client::through(address, &ca)?;
    story.say("holdgate", &format!("listens on {address}; approvals on {approvals}"))?;
    Story::part("The agent is asked to fix a deployment in staging")?;
    tragedy(story, &client, mock).await?;
    anyhow::ensure!(mock.volume_exists(PRODUCTION_VOLUME), "the production volume is gone");
    Story::part("The same deletion, on the staging volume, with the token that was issued")?;
    permitted(story, &client, mock, approvals).await?;
    proxy.drain().await;
    Ok(())
}

/// What the agent did, call by call.
async fn tragedy(story: &Story, client: &Client, mock: &Mock) -> anyhow::Result<()> {
    story.say("agent", "redeploys the staging service with the token of its task")?;
    let redeploy = json!({ "query": format!(
        "mutation {{ serviceInstanceRedeploy(environmentId: \"{}\", serviceId: \"{}\") }}",
        mock::STAGING_ENVIRONMENT, mock::API_SERVICE
    ) });
    let answer = client.graphql("backboard.railway.com", REVOKED_TOKEN, &redeploy).await?;
    story.answer(&answer)?;
    story.say(
        "agent",
        "\"the credential does not match; let me see whether there is another one\"",
    )?;
    story.say("agent", "$ grep -ri railway --include='*.env' .")?;
    story.say(
        "files",
        &format!(
            "infra/domains.env: RAILWAY_TOKEN={}…   made for custom domains, good for everything",
            DOMAINS_TOKEN.get(..8).unwrap_or_default()
        ),
    )?;
    story.say("agent", "\"I will delete the broken volume, so that it is made anew\"")?;
    story.say(
        "agent",
        "$ curl -X POST https://backboard.railway.app/graphql/v2 -H 'Authorization: Bearer …' \\",
    )?;
    story.say(
        "",
        &format!(
            "       -d '{{\"query\":\"mutation {{ volumeDelete(volumeId: \\\"{}…\\\") }}\"}}'",
            PRODUCTION_VOLUME.get(..8).unwrap_or_default()
        ),
    )?;
    let delete = delete(PRODUCTION_VOLUME);
    let before = mock.bytes_received();
    let answer = client.graphql("backboard.railway.app", DOMAINS_TOKEN, &delete).await?;
    story.answer(&answer)?;
    story.say(
        "railway",
        &format!(
            "production volume: {}, {} backups; bytes of that call that reached the API: {}",
            alive(mock, PRODUCTION_VOLUME),
            mock.backups(PRODUCTION_VOLUME),
            mock.bytes_received() - before
        ),
    )
}

async fn permitted(
    story: &Story,
    client: &Client,
    mock: &Mock,
    approvals: std::net::SocketAddr,
) -> anyhow::Result<()> {
    story.say("agent", "$ curl … volumeDelete(staging volume), with the issued token")?;
    let body = delete(STAGING_VOLUME);
    let sending = client.graphql("backboard.railway.com", STAGING_TOKEN, &body);
    let approving = async {
        let hold = client::first_hold(approvals, APPROVER_TOKEN).await?;
        let id = hold.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
        story.say("holdgate", &format!("held as {id}: nothing has left; the client waits"))?;
        story.say("alice", &format!("$ holdgate approvals approve {id}"))?;
        client::approve(approvals, APPROVER_TOKEN, &id).await?;
        anyhow::Ok(())
    };
    let (answer, approved) = tokio::join!(sending, approving);
    approved?;
    story.answer(&answer?)?;
    story.say(
        "railway",
        &format!(
            "staging volume: {}; deletions so far: {}",
            alive(mock, STAGING_VOLUME),
            mock.deletions().len()
        ),
    )?;
    anyhow::ensure!(mock.deletions() == [STAGING_VOLUME], "exactly one deletion was expected");
    Ok(())
}

/// The task's own token has been revoked meanwhile, which is where the story begins.
fn with_stale_token(policy: &str, folder: &std::path::Path) -> anyhow::Result<String> {
    let file = folder.join("stale-token");
    holdgate::load::write_private(&file, REVOKED_TOKEN.as_bytes())?;
    let stale = format!(
        "credentials:\n  railway-stale-token:\n    service: railway\n    value: {{ file: {} }}\n    resources: [railway-staging]\n",
        Value::from(file.display().to_string())
    );
    Ok(policy.replacen("\ncredentials:\n", &format!("\n{stale}"), 1).replacen(
        "credentials: [railway-staging-token]",
        "credentials: [railway-staging-token, railway-stale-token]",
        1,
    ))
}

fn delete(volume: &str) -> Value {
    json!({ "query": format!("mutation {{ volumeDelete(volumeId: \"{volume}\") }}") })
}

fn alive(mock: &Mock, volume: &str) -> &'static str {
    if mock.volume_exists(volume) { "there" } else { "GONE" }
}

fn tempfile_folder() -> anyhow::Result<std::path::PathBuf> {
    let folder = std::env::temp_dir().join(format!("holdgate-pocketos-{}", std::process::id()));
    holdgate::load::private_folder(&folder)?;
    Ok(folder)
}

/// Prints the timeline.
struct Story {
    started: Instant,
}

impl Story {
    fn title(text: &str) -> anyhow::Result<()> {
        writeln!(std::io::stdout(), "\n{text}\n{}\n", "─".repeat(text.chars().count()))?;
        Ok(())
    }

    fn part(text: &str) -> anyhow::Result<()> {
        writeln!(std::io::stdout(), "\n  {text}\n")?;
        Ok(())
    }

    fn say(&self, who: &str, what: &str) -> anyhow::Result<()> {
        let seconds = self.started.elapsed().as_secs_f64();
        writeln!(std::io::stdout(), "  {seconds:>6.2} s  {who:<9} {what}")?;
        Ok(())
    }

    fn answer(&self, answer: &Answer) -> anyhow::Result<()> {
        let by = if answer.by_holdgate { "holdgate" } else { "railway" };
        let text = match answer.body.pointer("/reason").and_then(Value::as_str) {
            Some(reason) => {
                let detail =
                    answer.body.pointer("/detail").and_then(Value::as_str).unwrap_or_default();
                format!("{} {reason}: {detail}", answer.status)
            }
            None => format!("{} {}", answer.status, answer.body),
        };
        for (line, chunk) in wrap(&text, 92).into_iter().enumerate() {
            self.say(if line == 0 { by } else { "" }, &chunk)?;
        }
        Ok(())
    }
}

fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = vec![String::new()];
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.is_empty() || line.len() + word.len() < width => {
                if !line.is_empty() {
                    line.push(' ');
                }
                line.push_str(word);
            }
            _ => lines.push(format!("  {word}")),
        }
    }
    lines
}
