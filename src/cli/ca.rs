//! `holdgate ca show|export`.

use super::{loaded, print};
use crate::load::Origin;
use crate::tls::authority::Authority;
use clap::Subcommand;
use std::process::ExitCode;

#[derive(Debug, Subcommand)]
pub(super) enum CaCommand {
    /// Prints fingerprint, validity, and the hosts that it may sign for.
    Show,
    /// Prints the certificate as PEM. The key is never exported.
    Export,
}

pub(super) fn run(command: &CaCommand, origin: &Origin, json: bool) -> anyhow::Result<ExitCode> {
    let policy = loaded(origin)?;
    let authority = Authority::open(&policy.ca_dir, policy.ca_hosts.as_deref())?;
    let text = match command {
        CaCommand::Export => authority.pem().to_owned(),
        CaCommand::Show if json => {
            let value = serde_json::json!({
                "path": authority.path(),
                "sha256": authority.fingerprint(),
                "valid": authority.validity(),
                "constrained_to": authority.permitted(),
            });
            format!("{value}\n")
        }
        CaCommand::Show => format!(
            "{}\nsha256 {}\nvalid  {}\nhosts  {}\n",
            authority.path().display(),
            authority.fingerprint(),
            authority.validity(),
            authority.permitted().map_or_else(|| "any".to_owned(), |hosts| hosts.join(" "))
        ),
    };
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
