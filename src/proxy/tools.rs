//! What servers of tools said of their tools, since this process began.
//!
//! Takes answers to `tools/list`; makes the calls of those tools graver by what was said, never milder.
//! Bounded: of too many servers the rest is not heard, and their tools are what the catalog says.

use crate::inspect::annotations::Hints;
use crate::message::Host;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

/// The most servers that are remembered.
const MOST: usize = 1_000;

/// Hints by tool.
type OfServer = BTreeMap<String, Hints>;

/// Hints by host and tool.
#[derive(Debug, Default)]
pub struct Tools(RwLock<HashMap<Arc<str>, Arc<OfServer>>>);

impl Tools {
    /// Adds what a server said; the graver of what it ever said stands.
    pub(super) fn said(&self, host: &Arc<str>, hints: OfServer) {
        if hints.is_empty() {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MOST && !known.contains_key(host) {
            tracing::warn!(%host, "too many servers of tools; what this one says of its tools is not heard");
            return;
        }
        let mut all = known.get(host).map_or_else(OfServer::new, |all| OfServer::clone(all));
        for (tool, hint) in hints {
            let before = all.get(&tool).copied().unwrap_or_default();
            all.insert(tool, before.or(hint));
        }
        known.insert(host.clone(), Arc::new(all));
    }

    /// What a server said.
    pub(super) fn of(&self, host: &Host) -> Option<Arc<OfServer>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(host.as_str()).cloned()
    }
}
