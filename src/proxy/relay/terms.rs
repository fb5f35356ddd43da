//! What a WebSocket was opened under.
//!
//! Takes the policy, the agent's token and its freedom at the time of the handshake; says when one of
//! them is no longer so, and with it the socket. Refuses to let a socket outlive what allowed it.

use super::ended::Ended;
use crate::decide::Reason;
use crate::policy::{Agent, Policy};
use crate::proxy::{Caller, Proxy, Snapshot};
use std::sync::Arc;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;

/// What a WebSocket was opened under.
pub(in crate::proxy) struct Terms {
    proxy: Arc<Proxy>,
    caller: Caller,
    digest: Arc<str>,
    longest: usize,
    replaced: CancellationToken,
    quarantine: CancellationToken,
}

impl Terms {
    /// The terms of a call that was judged by this policy.
    pub(in crate::proxy) fn new(proxy: &Arc<Proxy>, caller: &Caller, snapshot: &Snapshot) -> Self {
        Self {
            proxy: proxy.clone(),
            caller: caller.clone(),
            digest: snapshot.policy.digest.clone(),
            longest: snapshot.policy.limits.inspect_kib as usize * 1024,
            replaced: snapshot.upstream.replaced().clone(),
            quarantine: caller.state.quarantine(),
        }
    }

    /// The proxy.
    pub(super) const fn proxy(&self) -> &Arc<Proxy> {
        &self.proxy
    }

    /// Who opened the socket.
    pub(super) const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The longest message, in bytes.
    pub(super) const fn longest(&self) -> usize {
        self.longest
    }

    /// Waits until they no longer hold; how the socket ends then.
    pub(super) async fn over(&self) -> Ended {
        let mut replaced = self.replaced.clone();
        loop {
            tokio::select! {
                () = self.proxy.stop.cancelled() => {
                    return Ended::ours(CloseCode::Away, "", "the WebSocket was closed by a drain");
                }
                () = self.quarantine.cancelled() => {
                    let why = "the WebSocket was closed: the agent is in quarantine";
                    return Ended::ours(CloseCode::Policy, Reason::Quarantined.as_str(), why);
                }
                () = replaced.cancelled() => {}
            }
            let now = self.proxy.current.load();
            if let Err(ended) = self.agent(&now.policy) {
                return ended;
            }
            replaced = now.upstream.replaced().clone();
        }
    }

    /// The agent, if a policy is the one that it was judged by. The token may stand in a file of its
    /// own.
    pub(super) fn agent<'p>(&self, policy: &'p Policy) -> Result<&'p Agent, Ended> {
        const CHANGED: &str = "the WebSocket was closed: the policy or the agent's token changed";
        let agent = policy.agent(&self.caller.state.name).map(|(_, agent)| agent);
        let Some(agent) = agent.filter(|agent| agent.proof == self.caller.proof) else {
            let word = Reason::NotIdentified.as_str();
            return Err(Ended::ours(CloseCode::Policy, word, CHANGED));
        };
        if *policy.digest == *self.digest {
            return Ok(agent);
        }
        // It may be opened again, and is judged by the policy of now.
        Err(Ended::ours(CloseCode::Away, "the policy changed", CHANGED))
    }
}
