//! The body of a request that is still on its way.
//!
//! Takes what has arrived of a body, the rest of it, and what it is looked through with; returns its
//! bytes as they come. Breaks off at the first objection, so that no upstream gets such a body to its
//! end. Trailers are dropped: they would be a second head that nobody judged.

use super::Leaving;
use crate::inspect::{Objection, Watch};
use bytes::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use std::fmt;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// A body on its way; boxed, so that a request is small to move, most of which have none.
#[derive(Debug)]
pub struct Coming(Box<Inner>);

#[derive(Debug)]
struct Inner {
    /// What has arrived, and has been looked through already.
    first: Option<Bytes>,
    rest: Incoming,
    watch: Option<Box<Watch>>,
    leaving: Option<Leaving>,
    /// Whether its sender may still send.
    may_go_on: Option<MayGoOn>,
    /// How much of it has been handed on.
    passed: u64,
    /// How long nothing may come.
    stall: Duration,
    until: Option<Pin<Box<Sleep>>>,
    progress: Arc<Progress>,
}

/// Asked before each piece, and before the end.
struct MayGoOn(Box<dyn Fn() -> bool + Send + Sync>);

impl fmt::Debug for MayGoOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MayGoOn").finish_non_exhaustive()
    }
}

/// When a body last got on.
#[derive(Debug)]
pub(super) struct Progress {
    begun: Instant,
    /// Milliseconds after the beginning.
    last: AtomicU64,
    /// What it was broken off for.
    objection: OnceLock<Objection>,
}

impl Progress {
    fn new() -> Self {
        Self { begun: Instant::now(), last: AtomicU64::new(0), objection: OnceLock::new() }
    }

    fn note(&self) {
        let after = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.last.store(after, Ordering::Relaxed);
    }

    /// What it was broken off for, if it was.
    pub(super) fn objection(&self) -> Option<Objection> {
        self.objection.get().copied()
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

impl Inner {
    /// Looks at the last of it, if that is what these bytes are, or at its end.
    fn looked(&mut self, bytes: Option<&Bytes>) -> Result<(), Objection> {
        // A length that was told may end the request with these bytes.
        let ends = bytes.is_none() || self.rest.is_end_stream();
        if let Some(watch) = &mut self.watch {
            bytes.map_or(Ok(()), |bytes| watch.read(bytes))?;
            if ends {
                watch.end()?;
            }
        }
        if self.may_go_on.as_ref().is_some_and(|MayGoOn(asked)| !asked()) {
            return Err(Objection::Quarantined(self.passed));
        }
        if let Some(leaving) = &mut self.leaving {
            let passes = bytes.is_none_or(|bytes| leaving.passes(bytes));
            if !passes || (ends && !leaving.may_end()) {
                return Err(Objection::Leak(self.passed));
            }
        }
        Ok(())
    }
}

impl Coming {
    /// A body of which nothing has been read.
    pub fn new(rest: Incoming, stall: Duration) -> Self {
        let progress = Arc::new(Progress::new());
        Self(Box::new(Inner {
            first: None,
            rest,
            watch: None,
            leaving: None,
            may_go_on: None,
            passed: 0,
            stall,
            until: None,
            progress,
        }))
    }

    /// Breaks off once its sender may send no more.
    #[must_use]
    pub fn ended_by(mut self, may_go_on: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.0.may_go_on = Some(MayGoOn(Box::new(may_go_on)));
        self
    }

    /// Looks through what is still to come of it.
    #[must_use]
    pub fn watched(mut self, watch: Option<Box<Watch>>) -> Self {
        self.0.watch = watch;
        self
    }

    /// Looks for secrets in what is still to come of it.
    #[must_use]
    pub fn searched(mut self, leaving: Leaving) -> Self {
        self.0.leaving = Some(leaving);
        self
    }

    /// When it last got on, also while it is sent.
    pub(super) fn progress(&self) -> Arc<Progress> {
        self.0.progress.clone()
    }

    /// Puts back what has been read of it.
    #[must_use]
    pub fn with_first(mut self, first: Bytes) -> Self {
        self.0.first = Some(first).filter(|first| !first.is_empty());
        self
    }
}

impl Body for Coming {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = &mut *self.get_mut().0;
        if let Some(first) = this.first.take() {
            this.progress.note();
            this.passed += first.len() as u64;
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
        let looked = this.looked(frame.as_ref());
        this.passed += frame.as_ref().map_or(0, |bytes| bytes.len() as u64);
        Poll::Ready(match (looked, frame) {
            (Err(objection), _) => {
                // An upstream connection of HTTP/2 tells only that the stream was reset.
                let objection = *this.progress.objection.get_or_init(|| objection);
                Some(Err(objection.into()))
            }
            (Ok(()), frame) => frame.map(|bytes| Ok(Frame::data(bytes))),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.first.is_none() && self.0.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let first = self.0.first.as_ref().map_or(0, |bytes| bytes.len() as u64);
        let rest = self.0.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower().saturating_add(first));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(first));
        }
        hint
    }
}
