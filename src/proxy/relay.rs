//! Bytes of a switched connection, both ways, until one side ends it or it may not go on.
//!
//! Takes both upgraded connections and the terms they were switched under; returns nothing: the
//! record says how it ended and how much passed, also where it broke. Nothing of a WebSocket is
//! judged once it is open, so it ends with what let it open: the policy, the agent's token, its
//! freedom; and where nothing passes for long, or the proxy drains.

use super::{Caller, Proxy, Snapshot};
use crate::policy::Policy;
use crate::record::Exchange;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// How long a WebSocket may be silent both ways. Those that are meant to stay open send pings far
/// more often.
const SILENCE: Duration = Duration::from_mins(10);

/// What a WebSocket was opened under.
pub(super) struct Terms {
    proxy: Arc<Proxy>,
    caller: Caller,
    digest: Arc<str>,
    replaced: CancellationToken,
    quarantine: CancellationToken,
}

impl Terms {
    /// The terms of a call that was judged by this policy.
    pub(super) fn new(proxy: &Arc<Proxy>, caller: &Caller, snapshot: &Snapshot) -> Self {
        Self {
            proxy: proxy.clone(),
            caller: caller.clone(),
            digest: snapshot.policy.digest.clone(),
            replaced: snapshot.upstream.replaced().clone(),
            quarantine: caller.state.quarantine(),
        }
    }

    /// Waits until they no longer hold; why.
    async fn over(&mut self) -> &'static str {
        loop {
            tokio::select! {
                () = self.proxy.stop.cancelled() => return "the WebSocket was closed by a drain",
                () = self.quarantine.cancelled() => {
                    return "the WebSocket was closed: the agent is in quarantine";
                }
                () = self.replaced.cancelled() => {}
            }
            let now = self.proxy.current.load();
            if !self.hold_under(&now.policy) {
                return "the WebSocket was closed: the policy or the agent's token changed";
            }
            self.replaced = now.upstream.replaced().clone();
        }
    }

    /// Whether a policy is the one it was judged by. The token may stand in a file of its own.
    fn hold_under(&self, policy: &Policy) -> bool {
        let agent = policy.agent(&self.caller.state.name);
        *policy.digest == *self.digest
            && agent.is_some_and(|(_, agent)| agent.proof == self.caller.proof)
    }
}

/// Relays until the end, and records it.
pub(super) async fn relay(
    client: OnUpgrade,
    upstream: OnUpgrade,
    exchange: Exchange,
    mut terms: Terms,
) {
    let traffic = Arc::new(Traffic::new());
    let both = async {
        let (client, upstream) = tokio::try_join!(client, upstream)?;
        let mut upstream = Counted { stream: TokioIo::new(upstream), traffic: traffic.clone() };
        tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut upstream)
            .await
            .map_err(Box::<dyn std::error::Error + Send + Sync>::from)
    };
    let detail = tokio::select! {
        ended = both => match ended {
            Ok(_counts) => "the WebSocket ended".to_owned(),
            Err(error) => format!("the WebSocket broke: {error}"),
        },
        why = terms.over() => why.to_owned(),
        () = traffic.silence() => {
            format!("the WebSocket was closed: nothing passed for {} s", SILENCE.as_secs())
        }
    };
    let (sent, received) = (&traffic.sent, &traffic.received);
    exchange.switched(sent.load(Ordering::Relaxed), received.load(Ordering::Relaxed), &detail);
}

/// What has passed, and when it last did.
struct Traffic {
    begun: Instant,
    sent: AtomicU64,
    received: AtomicU64,
    /// Milliseconds after the beginning.
    last: AtomicU64,
}

impl Traffic {
    fn new() -> Self {
        let none = AtomicU64::default;
        Self { begun: Instant::now(), sent: none(), received: none(), last: none() }
    }

    fn note(&self, counter: &AtomicU64, bytes: usize, after: Duration) {
        if bytes > 0 {
            counter.fetch_add(bytes as u64, Ordering::Relaxed);
            let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            self.last.fetch_max(after, Ordering::Relaxed);
        }
    }

    /// How long the silence may still last, so long after the beginning.
    fn left(&self, after: Duration) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        SILENCE.saturating_sub(after.saturating_sub(last))
    }

    /// Waits until nothing has passed for too long.
    async fn silence(&self) {
        loop {
            let left = self.left(self.begun.elapsed());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}

/// Counts what was written to a stream and read from it.
struct Counted<S> {
    stream: S,
    traffic: Arc<Traffic>,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().len().saturating_sub(before);
        let traffic = &self.traffic;
        traffic.note(&traffic.received, read, traffic.begun.elapsed());
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        let traffic = &self.traffic;
        traffic.note(&traffic.sent, written, traffic.begun.elapsed());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_the_last_byte_either_way() {
        let traffic = Traffic::new();
        let (second, long) = (Duration::from_secs(1), SILENCE * 2);
        assert_eq!(traffic.left(second), SILENCE.abs_diff(second));
        assert_eq!(traffic.left(SILENCE), Duration::ZERO);
        for (counter, at) in [(&traffic.sent, long), (&traffic.received, long * 2)] {
            traffic.note(counter, 1, at);
            // An empty read is no byte.
            traffic.note(counter, 0, at + second);
            assert_eq!(traffic.left(at), SILENCE);
            assert_eq!(traffic.left(at + SILENCE), Duration::ZERO);
        }
    }
}
