//! When a connection has been idle for too long.
//!
//! Takes the requests of an HTTP/2 connection as they come; says when there has been none for so
//! long, or only such whose client takes nothing of its answer. A request that waits for its
//! upstream, or for a person, is not idle.

use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

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
    fn left(&self, idle: Duration, stall: Duration, after: Duration) -> Duration {
        let open = self.open.load(Ordering::Relaxed);
        let longest = if open == 0 { idle } else { stall };
        if open > self.untaken.load(Ordering::Relaxed) {
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

    /// Waits until there has been none for `idle`, or none that gets on for `stall`.
    pub(super) async fn idle(&self, idle: Duration, stall: Duration) {
        loop {
            let left = self.0.left(idle, stall, self.0.begun.elapsed());
            if left.is_zero() {
                return;
            }
            // The other bound may be the shorter one, and begin meanwhile.
            tokio::time::sleep(left.min(idle).min(stall)).await;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_open_until_its_answer_is_taken() {
        let requests = Requests::new();
        let (idle, stall) = (Duration::from_mins(1), Duration::from_mins(5));
        let late = Duration::from_hours(1);
        let left = |after| requests.0.left(idle, stall, after);
        assert_eq!((left(Duration::ZERO), left(late)), (idle, Duration::ZERO));
        let mut first = requests.begin();
        let second = requests.begin();
        assert_eq!(left(late), stall);
        first.set_untaken(true);
        assert_eq!(left(late), stall);
        drop(second);
        // One is left, and its client takes nothing.
        let last = Duration::from_millis(requests.0.last.load(Ordering::Relaxed));
        assert_eq!((left(last), left(late)), (stall, Duration::ZERO));
        first.set_untaken(false);
        assert_eq!(left(late), stall);
        first.set_untaken(true);
        drop(first);
        assert_eq!(left(late), Duration::ZERO);
        assert_eq!(requests.0.open.load(Ordering::Relaxed), 0);
        assert_eq!(requests.0.untaken.load(Ordering::Relaxed), 0);
    }
}
