//! An audit log as commands read it: where it is, and whether it is whole.
//!
//! Takes a state folder, or the folder of a log; returns its records and what speaks against trusting
//! them. Refuses folders without a log.

use super::{Unusable, runtime};
use crate::audit::{self, Broken, PublicKey, Summary};
use crate::store::Store;
use std::path::{Path, PathBuf};

/// A log, and the state folder that proves it.
pub(super) struct Kept {
    /// The folder of the records.
    pub(super) folder: PathBuf,
    state: PathBuf,
}

impl Kept {
    /// The log of a state folder.
    pub(super) fn of_state(state: &Path) -> anyhow::Result<Self> {
        let folder = state.join("audit");
        if !folder.exists() {
            return Err(Unusable(format!("there is no audit log in {}", folder.display())).into());
        }
        Ok(Self { folder, state: state.to_owned() })
    }

    /// The log that is named, or else that of the state folder. Its key stands beside its folder.
    pub(super) fn named(log: Option<PathBuf>, state: &Path) -> anyhow::Result<Self> {
        match log {
            None => Self::of_state(state),
            Some(folder) if folder.is_dir() => {
                let state = folder.parent().map(Path::to_owned).unwrap_or_default();
                Ok(Self { folder, state })
            }
            Some(folder) => {
                Err(Unusable(format!("{} is no folder of a log", folder.display())).into())
            }
        }
    }

    /// Checks the chain to the end that the store knows.
    pub(super) fn verified(&self) -> anyhow::Result<Result<Summary, Broken>> {
        let key = PublicKey::read(&self.state.join("audit.pub"))?;
        let head = runtime()?.block_on(async {
            anyhow::Ok(Store::read_only(&self.state).await?.audit_head().await?)
        })?;
        Ok(audit::verify(&self.folder, &key, head))
    }

    /// Whether the chain is whole, and all that an operator should know of it.
    pub(super) fn trusted(&self) -> (bool, Vec<String>) {
        match self.verified() {
            Ok(Ok(summary)) => {
                let mut notes: Vec<String> = summary
                    .notices
                    .iter()
                    .map(|notice| {
                        format!("the log says at record {}: {}", notice.seq, notice.detail)
                    })
                    .collect();
                if summary.first > 1 {
                    let first = summary.first;
                    notes.push(format!(
                        "the log begins at record {first}; what was before it is not kept and does not count"
                    ));
                }
                (true, notes)
            }
            Ok(Err(broken)) => (false, vec![format!("the log is broken: {broken}")]),
            Err(error) => (false, vec![format!("the log cannot be verified: {error:#}")]),
        }
    }
}
