//! What operations mean for where an agent is going.
//!
//! Takes the names under `marks:` of a catalog; says of an operation whether it is among them. Refuses
//! names that no operation of the catalog has.

use super::condition::Pattern;
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};

/// What a success of an operation shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// It makes a credential. Where a catalog says nothing of it, every credential operation that is no
    /// read by its form does.
    CredentialMinted,
    /// It lists backups.
    BackupSeen,
    /// It makes a backup.
    BackupMade,
    /// It puts a backup back.
    BackupRestored,
    /// It removes backups, or turns off making them, where a call of it cannot be undone.
    BackupRemoved,
}

/// The marks of a catalog.
#[derive(Debug, Default)]
pub(super) struct Marks(BTreeMap<Mark, (HashSet<Box<str>>, Vec<Pattern>)>);

impl Marks {
    /// From the names as written; an exact one that is unknown comes back.
    pub(super) fn compile(
        written: BTreeMap<Mark, Vec<String>>,
        is_known: impl Fn(&str) -> bool,
    ) -> Result<Self, String> {
        let mut marks = Self::default();
        for (mark, names) in written {
            let (exact, patterns) = marks.0.entry(mark).or_default();
            for name in names {
                let pattern = Pattern::new(&name);
                if !pattern.is_exact() {
                    patterns.push(pattern);
                } else if is_known(&name) {
                    exact.insert(name.into());
                } else {
                    return Err(name);
                }
            }
        }
        Ok(marks)
    }

    /// Whether anything is said of a mark.
    pub(super) fn says(&self, mark: Mark) -> bool {
        self.0.contains_key(&mark)
    }

    /// Whether an operation has a mark.
    pub(super) fn has(&self, mark: Mark, name: &str) -> bool {
        self.0.get(&mark).is_some_and(|(exact, patterns)| {
            exact.contains(name) || patterns.iter().any(|pattern| pattern.fits(name))
        })
    }
}
