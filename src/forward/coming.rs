//! The body of a request that is still on its way.
//!
//! Takes what has arrived of a body, the rest of it, and what it is looked through with; returns its
//! bytes as they come. Breaks off at the first objection, so that no upstream gets such a body to its
//! end. Trailers are dropped: they would be a second head that nobody judged.

use crate::inspect::{Objection, Watch};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// A body on its way.
#[derive(Debug)]
pub struct Coming {
    /// What has arrived, and has been looked through already.
    first: Option<Bytes>,
    rest: Incoming,
    watch: Option<Box<Watch>>,
    /// How long nothing may come.
    stall: Duration,
    until: Option<Pin<Box<Sleep>>>,
    progress: Arc<Progress>,
}

/// When a body last got on.
#[derive(Debug)]
pub(super) struct Progress {
    begun: Instant,
    /// Milliseconds after the beginning.
    last: AtomicU64,
}

impl Progress {
    fn new() -> Self {
        Self { begun: Instant::now(), last: AtomicU64::new(0) }
    }

    fn note(&self) {
        let after = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(after, Ordering::Relaxed);
    }

    /// How long it has not got on.
    pub(super) fn rests(&self) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        self.begun.elapsed().saturating_sub(last)
    }
}

/// Why a body broke off.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The client's fault, or the network's.
    #[error(transparent)]
    Client(#[from] hyper::Error),
    /// Nothing has come for too long; the client's fault, or the network's.
    #[error("the client sent nothing for {0:?}")]
    Stalled(Duration),
    /// It says what it may not.
    #[error(transparent)]
    Objection(#[from] Objection),
}

impl Coming {
    /// A body of which nothing has been read.
    pub fn new(rest: Incoming, stall: Duration) -> Self {
        let progress = Arc::new(Progress::new());
        Self { first: None, rest, watch: None, stall, until: None, progress }
    }

    /// Looks through what is still to come of it.
    #[must_use]
    pub fn watched(self, watch: Option<Box<Watch>>) -> Self {
        Self { watch, ..self }
    }

    /// When it last got on, also while it is sent.
    pub(super) fn progress(&self) -> Arc<Progress> {
        self.progress.clone()
    }

    /// Puts back what has been read of it.
    #[must_use]
    pub fn with_first(self, first: Bytes) -> Self {
        Self { first: Some(first).filter(|first| !first.is_empty()), ..self }
    }
}

impl Body for Coming {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            this.progress.note();
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let frame = match Pin::new(&mut this.rest).poll_frame(cx) {
            Poll::Ready(Some(frame)) => frame?.into_data().ok(),
            Poll::Ready(None) => None,
            Poll::Pending => {
                let stall = this.stall;
                let until = this.until.get_or_insert_with(|| Box::pin(tokio::time::sleep(stall)));
                return until.as_mut().poll(cx).map(|()| Some(Err(Broken::Stalled(stall))));
            }
        };
        this.until = None;
        this.progress.note();
        let Some(watch) = &mut this.watch else {
            return Poll::Ready(frame.map(|bytes| Ok(Frame::data(bytes))));
        };
        Poll::Ready(match frame {
            Some(bytes) => {
                let looked = watch.read(&bytes);
                // A length that was told may end the request with these bytes.
                let looked = if this.rest.is_end_stream() {
                    looked.and_then(|()| watch.end())
                } else {
                    looked
                };
                Some(looked.map(|()| Frame::data(bytes)).map_err(Broken::from))
            }
            None => watch.end().err().map(|objection| Err(objection.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.first.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint
    }
}
