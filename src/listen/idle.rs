//! When a connection has been idle for too long.
//!
//! Takes the requests of an HTTP/2 connection as they come; says when none has been open for so
//! long, or none whose client takes its answer. Takes a stream; returns it with a deadline on a
//! client that takes none of the bytes that are sent to it.

use hyper::body::{Body, Frame, SizeHint};
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// The requests of a connection.
#[derive(Clone)]
pub(super) struct Requests(Arc<Counts>);

struct Counts {
    begun: Instant,
    open: AtomicUsize,
    /// Those whose last bytes of an answer have not been taken yet.
    untaken: AtomicUsize,
    /// Milliseconds after the beginning.
    last: AtomicU64,
}

impl Counts {
    fn note(&self) {
        let after = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.fetch_max(after, Ordering::Relaxed);
    }

    /// How long it may still go on, so long after the beginning.
    fn left(&self, longest: Duration, after: Duration) -> Duration {
        if self.open.load(Ordering::Relaxed) > self.untaken.load(Ordering::Relaxed) {
            return longest;
        }
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        longest.saturating_sub(after.saturating_sub(last))
    }
}

impl Requests {
    /// None yet.
    pub(super) fn new() -> Self {
        let (open, untaken, last) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicU64::new(0));
        Self(Arc::new(Counts { begun: Instant::now(), open, untaken, last }))
    }

    /// A request has begun.
    pub(super) fn begin(&self) -> Open {
        self.0.open.fetch_add(1, Ordering::Relaxed);
        Open { counts: self.0.clone(), untaken: false }
    }

    /// Waits until there has been none for so long.
    pub(super) async fn idle(&self, longest: Duration) {
        loop {
            let left = self.0.left(longest, self.0.begun.elapsed());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}

/// A request that is open.
pub(super) struct Open {
    counts: Arc<Counts>,
    untaken: bool,
}

impl Open {
    /// The request is open until all of its answer has been taken.
    pub(super) const fn until_taken<B>(self, body: B) -> Taken<B> {
        Taken { body, open: self }
    }

    fn set_untaken(&mut self, untaken: bool) {
        if self.untaken == untaken {
            return;
        }
        self.untaken = untaken;
        if untaken {
            self.counts.untaken.fetch_add(1, Ordering::Relaxed);
            self.counts.note();
        } else {
            self.counts.untaken.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.counts.note();
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
        self.set_untaken(false);
    }
}

/// Why an answer broke off. The upstream's own error code is not passed on: what it means there is
/// not what it would mean here.
#[derive(Debug, thiserror::Error)]
#[error("the answer broke off: {0}")]
pub(super) struct BrokenOff(String);

/// The body of an answer.
pub(super) struct Taken<B> {
    body: B,
    open: Open,
}

impl<B: Body + Unpin> Body for Taken<B>
where
    B::Error: std::fmt::Display,
{
    type Data = B::Data;
    type Error = BrokenOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, BrokenOff>>> {
        // Who asks for more has taken what was there.
        self.open.set_untaken(false);
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        self.open.set_untaken(frame.is_some());
        Poll::Ready(frame.map(|frame| frame.map_err(|error| BrokenOff(error.to_string()))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream whose far end has to take what is written, if only a byte in so long.
pub(super) struct Taking<S> {
    stream: S,
    patience: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Taking<S> {
    /// A stream, and how long nothing may be taken.
    pub(super) const fn new(stream: S, patience: Duration) -> Self {
        Self { stream, patience, deadline: None }
    }

    fn within(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if written.is_ready() {
            self.deadline = None;
            return written;
        }
        let patience = self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Taking<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Taking<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.within(cx, written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.within(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_open_until_its_answer_is_taken() {
        let requests = Requests::new();
        let (longest, late) = (Duration::from_mins(1), Duration::from_hours(1));
        assert_eq!(requests.0.left(longest, late), Duration::ZERO);
        let mut first = requests.begin();
        let second = requests.begin();
        assert_eq!(requests.0.left(longest, late), longest);
        first.set_untaken(true);
        assert_eq!(requests.0.left(longest, late), longest);
        drop(second);
        // One is left, and its client takes nothing.
        assert_eq!(requests.0.left(longest, late), Duration::ZERO);
        first.set_untaken(false);
        assert_eq!(requests.0.left(longest, late), longest);
        first.set_untaken(true);
        drop(first);
        assert_eq!(requests.0.left(longest, late), Duration::ZERO);
        assert_eq!(requests.0.open.load(Ordering::Relaxed), 0);
        assert_eq!(requests.0.untaken.load(Ordering::Relaxed), 0);
    }
}
