//! What servers of tools said of their tools, since this process began.
//!
//! Takes answers to `tools/list`; makes the calls of those tools graver by what was said, never milder.
//! Bounded: of a server that says too much every tool may destroy; of too many servers the rest is not
//! heard, and their tools are what the catalog says.

use crate::inspect::annotations::OfServer;
use crate::message::Host;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

/// The most servers that are remembered.
const MOST: usize = 250;

/// What was said, by host.
#[derive(Debug, Default)]
pub struct Tools(RwLock<HashMap<Arc<str>, Arc<OfServer>>>);

impl Tools {
    /// Adds what a server said; the graver of what it ever said stands.
    pub(super) fn said(&self, host: &Arc<str>, said: OfServer) {
        if said.is_empty() {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(all) = known.get_mut(host) {
            Arc::make_mut(all).add(said);
        } else if known.len() < MOST {
            known.insert(host.clone(), Arc::new(said));
        } else {
            tracing::warn!(%host, "too many servers of tools; what this one says of its tools is not heard");
        }
    }

    /// What a server said.
    pub(super) fn of(&self, host: &Host) -> Option<Arc<OfServer>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(host.as_str()).cloned()
    }
}
