//! `holdgate credential fingerprint`.

use super::{Unusable, loaded, print};
use crate::load::Origin;
use clap::Subcommand;
use std::io::Read as _;
use std::process::ExitCode;
use zeroize::Zeroizing;

#[derive(Debug, Subcommand)]
pub(super) enum CredentialCommand {
    /// Reads a secret on stdin, prints the fingerprint a policy may hold instead.
    Fingerprint,
}

pub(super) fn run(
    command: &CredentialCommand,
    origin: &Origin,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let CredentialCommand::Fingerprint = command;
    let policy = loaded(origin)?;
    let mut secret = Zeroizing::new(Vec::new());
    std::io::stdin().lock().take(64 << 10).read_to_end(&mut secret)?;
    while secret.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        secret.pop();
    }
    if secret.is_empty() {
        return Err(Unusable("give the secret on stdin".to_owned()).into());
    }
    let text = policy.fingerprints.print(&policy.fingerprints.fingerprint(&secret));
    print(&if json {
        format!("{}\n", serde_json::json!({ "fingerprint": text }))
    } else {
        format!("{text}\n")
    })?;
    Ok(ExitCode::SUCCESS)
}
