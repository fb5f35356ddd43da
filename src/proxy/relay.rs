//! Bytes of a switched connection, both ways, until one side ends it or the proxy drains.
//!
//! Takes both upgraded connections; returns nothing: the record says how it ended and how much
//! passed, also where it broke.

use crate::record::Exchange;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

/// Relays until the end, and records it.
pub(super) async fn relay(
    client: OnUpgrade,
    upstream: OnUpgrade,
    exchange: Exchange,
    stop: CancellationToken,
) {
    let (sent, received) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let both = async {
        let (client, upstream) = tokio::try_join!(client, upstream)?;
        let stream = TokioIo::new(upstream);
        let mut upstream = Counted { stream, sent: sent.clone(), received: received.clone() };
        tokio::io::copy_bidirectional(&mut TokioIo::new(client), &mut upstream)
            .await
            .map_err(Box::<dyn std::error::Error + Send + Sync>::from)
    };
    let detail = tokio::select! {
        ended = both => match ended {
            Ok(_counts) => "the WebSocket ended".to_owned(),
            Err(error) => format!("the WebSocket broke: {error}"),
        },
        () = stop.cancelled() => "the WebSocket was closed by a drain".to_owned(),
    };
    exchange.switched(sent.load(Ordering::Relaxed), received.load(Ordering::Relaxed), &detail);
}

/// Counts what was written to a stream and read from it.
struct Counted<S> {
    stream: S,
    sent: Arc<AtomicU64>,
    received: Arc<AtomicU64>,
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
        self.received.fetch_add(read as u64, Ordering::Relaxed);
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
        self.sent.fetch_add(written as u64, Ordering::Relaxed);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
