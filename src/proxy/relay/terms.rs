//! What a WebSocket was opened under.
//!
//! Takes the policy, the agent's token and its freedom at the time of the handshake; says when one of
//! them is no longer so, and with it the socket. Refuses to let a socket outlive what allowed it.

use super::ended::Ended;
use crate::decide::Reason;
use crate::inject::Scrubber;
use crate::policy::{Agent, Policy};
use crate::proxy::{Caller, Proxy, Snapshot};
use std::sync::Arc;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;

/// What a WebSocket was opened under.
pub(in crate::proxy) struct Terms {
    proxy: Arc<Proxy>,
    caller: Arc<Caller>,
    digest: Arc<str>,
    longest: usize,
    kept_back: Vec<Scrubber>,
    replaced: CancellationToken,
    quarantine: CancellationToken,
}

impl Terms {
    /// The terms of a call that was judged by this policy.
    pub(in crate::proxy) fn new(
        proxy: &Arc<Proxy>,
        caller: &Arc<Caller>,
        snapshot: &Snapshot,
    ) -> Self {
        let policy = &snapshot.policy;
        let kept_back = policy.agent(&caller.state.name).map_or_else(Vec::new, |(_, agent)| {
            let candidates = policy.candidates(agent, &caller.target);
            policy.injected(agent, &candidates).map(Scrubber::new).collect()
        });
        Self {
            kept_back,
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
    pub(super) const fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// The longest message, in bytes.
    pub(super) const fn longest(&self) -> usize {
        self.longest
    }

    /// A text of the upstream without the values that the agent never sees; none where it has none.
    pub(super) fn cleaned(&self, text: &[u8]) -> Option<Vec<u8>> {
        let mut clean: Option<Vec<u8>> = None;
        for scrubber in &self.kept_back {
            clean = scrubber.text(clean.as_deref().unwrap_or(text)).or(clean);
        }
        clean
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
