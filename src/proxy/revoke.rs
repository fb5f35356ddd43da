//! An answer that takes long, and what ends it before its own end.
//!
//! Takes the body of an answer and what it was asked under; returns the body, which breaks off once
//! that no longer holds: the agent is in quarantine, or the policy no longer gives it the host, or
//! its token changed. Streams may last for hours, and judging a request once is not for ever.

use super::learn::Attentive;
use super::{Caller, Snapshot};
use crate::audit::NotRecorded;
use crate::forward::{Cut, ResponseBody};
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// No answer takes longer.
const LONGEST: Duration = Duration::from_hours(24);
/// So many pieces may pass before it is asked again, where none of them is waited for. No piece
/// passes once the terms have changed.
const PIECES: u32 = 64;

/// The body of an upstream's answer on its way to the client.
pub struct Revocable {
    body: ResponseBody<Attentive>,
    terms: Option<Terms>,
    over: Option<Pin<Box<dyn Future<Output = &'static str> + Send + Sync>>>,
    pieces: u32,
}

/// What a request was allowed under.
pub(super) struct Terms {
    caller: Arc<Caller>,
    snapshot: Arc<Snapshot>,
    /// Whether a quarantine lets it through.
    spared: bool,
}

impl Terms {
    /// Those of a call that was judged by this snapshot.
    pub(super) fn new(caller: &Arc<Caller>, snapshot: &Arc<Snapshot>, spared: bool) -> Self {
        Self { caller: caller.clone(), snapshot: snapshot.clone(), spared }
    }

    /// Whether nothing has changed, so that nobody has to be asked.
    fn stand(&self) -> bool {
        Arc::ptr_eq(&self.caller.proxy.current.load(), &self.snapshot)
            && (self.spared || self.caller.state.standing().quarantined.is_none())
    }

    /// Waits until they no longer hold; why.
    async fn over(self) -> &'static str {
        let Self { caller, snapshot, spared } = self;
        let quarantine = caller.state.quarantine();
        let mut replaced = snapshot.upstream.replaced().clone();
        // It is not the policy that keeps an old snapshot alive.
        drop(snapshot);
        let longest = tokio::time::sleep(LONGEST);
        tokio::pin!(longest);
        loop {
            tokio::select! {
                () = quarantine.cancelled(), if !spared => return "the answer was cut: the agent is in quarantine",
                () = &mut longest => return "the answer was cut: it took longer than a day",
                () = replaced.cancelled() => {}
            }
            let now = caller.proxy.current.load_full();
            let may = now.policy.agent(&caller.state.name).is_some_and(|(_, agent)| {
                agent.proof == caller.proof
                    && !now.policy.candidates(agent, &caller.target).is_empty()
            });
            if !may {
                return "the answer was cut: the policy no longer gives the agent this host";
            }
            replaced = now.upstream.replaced().clone();
        }
    }
}

impl Revocable {
    /// A body, and what may end it.
    pub(super) const fn new(body: ResponseBody<Attentive>, terms: Terms) -> Self {
        Self { body, terms: Some(terms), over: None, pieces: 0 }
    }

    /// Takes what is there of it already, as [`ResponseBody::poll_begun`] says.
    pub(super) fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NotRecorded>> {
        self.body.poll_begun(cx)
    }

    /// Why it may not go on, if it may not.
    fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<&'static str> {
        if let Some(terms) = self.terms.take() {
            self.over = Some(Box::pin(terms.over()));
        }
        self.over.as_mut().map_or(Poll::Pending, |over| over.as_mut().poll(cx))
    }
}

impl Body for Revocable {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        let frame = Pin::new(&mut this.body).poll_frame(cx);
        let ask = match &frame {
            // Most answers are waited for once, before their only piece.
            Poll::Pending => this.pieces > 0,
            Poll::Ready(_) => {
                this.pieces = this.pieces.wrapping_add(1);
                this.pieces.is_multiple_of(PIECES) || !this.terms.as_ref().is_none_or(Terms::stand)
            }
        };
        if ask && let Poll::Ready(why) = this.poll_over(cx) {
            this.body.cut(why);
            return Poll::Ready(Some(Err(Cut::Revoked(why))));
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl std::fmt::Debug for Revocable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Revocable").field("body", &self.body).finish_non_exhaustive()
    }
}
