//! Tokens that an answer hands out in exchange for credentials.
//!
//! Takes the answer of an endpoint that the catalog names, whole; has the agent's standing and the store
//! know the tokens by their fingerprints, before the end of the answer is told.

use super::Proxy;
use crate::decide::Deriving;
use crate::fingerprint::FingerprintKey;
use crate::inspect::exchanged;
use crate::inventory::keeper;
use crate::session::AgentState;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

impl Proxy {
    /// Takes up what an answer hands out; the task that stores it.
    pub(super) fn derive(
        self: &Arc<Self>,
        state: &Arc<AgentState>,
        deriving: &Deriving,
        key: &FingerprintKey,
        kind: &str,
        body: &[u8],
    ) -> Option<JoinHandle<()>> {
        let handed_out = exchanged::read(kind, body, &deriving.endpoint)?;
        let now = u64::try_from(keeper::now()).map_or(Duration::ZERO, Duration::from_millis);
        let tokens = deriving.tokens(&handed_out, key, now);
        let gone = state.derive(&tokens, now);
        let (proxy, agent) = (self.clone(), state.name.clone());
        let storing = async move {
            // In memory they hold all the same; a token that is forgotten is foreign, which is safe.
            if let Err(error) = proxy.store.keep_derived(&agent, &tokens, &gone).await {
                tracing::warn!(%agent, %error, "tokens that were handed out are foreign after this run");
            }
        };
        // A body may be polled for the last time when its runtime is gone.
        Handle::try_current().ok().map(|handle| self.tasks.spawn_on(storing, &handle))
    }
}
