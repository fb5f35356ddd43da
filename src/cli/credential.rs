//! `holdgate credential fingerprint|placeholder`: what stands for a secret in a policy, and in an agent.

use super::{Unusable, loaded, print};
use crate::load::Origin;
use crate::policy::Policy;
use clap::Subcommand;
use std::io::Read as _;
use std::process::ExitCode;
use zeroize::Zeroizing;

#[derive(Debug, Subcommand)]
pub(super) enum CredentialCommand {
    /// Reads a secret on stdin, prints the fingerprint a policy may hold instead.
    Fingerprint,
    /// Prints what the agent holds for a credential whose value the proxy puts in.
    Placeholder {
        /// Its name in the policy.
        name: String,
    },
}

pub(super) fn run(
    command: &CredentialCommand,
    origin: &Origin,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let policy = loaded(origin)?;
    let (word, text) = match command {
        CredentialCommand::Fingerprint => ("fingerprint", fingerprint(&policy)?),
        CredentialCommand::Placeholder { name } => ("placeholder", placeholder(&policy, name)?),
    };
    print(&if json {
        format!("{}\n", serde_json::json!({ word: text }))
    } else {
        format!("{text}\n")
    })?;
    Ok(ExitCode::SUCCESS)
}

fn placeholder(policy: &Policy, name: &str) -> anyhow::Result<String> {
    let credential = policy.credentials.iter().find(|credential| *credential.name == *name);
    let credential =
        credential.ok_or_else(|| Unusable(format!("the policy has no credential `{name}`")))?;
    let injected = credential.injected.as_ref().ok_or_else(|| {
        let why = "it has no `inject: true`, or its value is not set here";
        Unusable(format!("`{name}` has no placeholder: {why}"))
    })?;
    Ok(injected.placeholder().to_owned())
}

fn fingerprint(policy: &Policy) -> anyhow::Result<String> {
    let mut secret = Zeroizing::new(Vec::new());
    std::io::stdin().lock().take(64 << 10).read_to_end(&mut secret)?;
    while secret.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        secret.pop();
    }
    if secret.is_empty() {
        return Err(Unusable("give the secret on stdin".to_owned()).into());
    }
    Ok(policy.fingerprints.print(&policy.fingerprints.fingerprint(&secret)))
}
