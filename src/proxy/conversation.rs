//! What is said between an agent and its model, or a server of tools.
//!
//! Takes bodies of requests and answers as they pass; notes calls of tools that look for credentials as
//! stages, and secrets in the results of tools among the agent's sightings, with the call that each answers.
//! Changes nothing, and keeps no input and no result. What cannot be read is counted and told.
//!
//! The order is that of the wire. An answer is read in the moment in which it passes, before the agent has
//! the piece: a call is a stage before it can run. The bodies of an agent's requests are read one after
//! the other in the order in which their ends leave, beside the workers that all connections share; the
//! answer to a request passes when that request is read, so that the agent's next turn finds it known.

mod along;
mod listening;

pub(super) use listening::Listening;

use super::{Caller, Proxy};
use crate::catalog::Catalog;
use crate::conversation::Way;
use crate::fingerprint::FingerprintKey;
use crate::inspect::model::{Dialect, Unread, dialect, read_request};
use crate::message::Head;
use crate::policy::Policy;
use crate::record::Exchange;
use crate::session::Full;
use crate::trajectory::Stage;
use along::Along;
use bytes::Bytes;
use std::sync::Arc;

/// A body that is no longer takes less time to read than to hand over.
const SHORT: usize = 16 << 10;

/// Who listens to one exchange of a conversation.
#[derive(Clone)]
pub(super) struct Ear {
    proxy: Arc<Proxy>,
    caller: Arc<Caller>,
    key: Arc<FingerprintKey>,
    request_id: Arc<str>,
    dialect: Dialect,
    /// The codings of the request.
    codings: Option<Arc<str>>,
    /// The longest request that is read, in bytes.
    longest: usize,
}

impl Proxy {
    /// Who listens to a request and its answer, where they are part of a conversation.
    pub(super) fn ear(
        self: &Arc<Self>,
        head: &Head,
        catalog: Option<&Catalog>,
        caller: &Arc<Caller>,
        policy: &Policy,
        exchange: &Exchange,
    ) -> Option<Ear> {
        let dialect = dialect(catalog?.kind, head.method(), head.path().as_str())?;
        Some(Ear {
            proxy: self.clone(),
            caller: caller.clone(),
            key: policy.fingerprints.clone(),
            request_id: exchange.request_id.clone(),
            dialect,
            codings: head.header("content-encoding").map(Arc::from),
            longest: policy.limits.inspect_kib as usize * 1024,
        })
    }
}

impl Ear {
    /// The room that the agent has for what is read.
    pub(super) const fn caller(&self) -> &Arc<Caller> {
        &self.caller
    }

    /// Who listens to the answer.
    pub(super) fn listening(self) -> Listening {
        Listening::new(self, Way::Answer)
    }

    /// The form of the conversation.
    pub(super) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Reads a request that is there as a whole, decoded, before it is sent.
    pub(super) async fn read(&self, body: &Bytes) {
        if self.is_read_at_once(body) {
            self.read_now(body);
            return;
        }
        let (ear, body) = (self.clone(), body.clone());
        self.put(move || ear.read_now(&body));
        self.caught_up().await;
    }

    /// Waits until what left is read.
    pub(super) async fn caught_up(&self) {
        let readings = &self.caller.state.readings;
        if !readings.is_idle() {
            readings.caught_up().await;
        }
    }

    /// Reads a request along as it leaves.
    pub(super) fn along(self) -> impl FnMut(Option<&[u8]>) + Send + Sync + 'static {
        let mut along = Along::new(self);
        move |piece| along.pass(piece)
    }

    /// Whether a body is short, and nothing waits before it.
    fn is_read_at_once(&self, body: &[u8]) -> bool {
        body.len() <= SHORT && self.caller.state.readings.is_idle()
    }

    /// Has something read behind what the agent sent before.
    fn put(&self, work: impl FnOnce() + Send + 'static) {
        if let Err(Full) = self.caller.state.readings.put(work, &self.proxy.tasks) {
            self.missed(Unread::NoRoom);
        }
    }

    fn read_now(&self, body: &[u8]) {
        self.read_part(body, false);
    }

    /// Reads a body, or a part of one that goes on with more turns.
    fn read_part(&self, body: &[u8], goes_on: bool) {
        let mut listening = Listening::new(self.clone(), Way::Request).going_on(goes_on);
        read_request(self.dialect, body, &mut listening);
        listening.settle();
    }

    /// Counts a part that could not be read.
    pub(super) fn missed(&self, why: Unread) {
        self.missed_times(why, 1);
    }

    fn missed_times(&self, why: Unread, times: u64) {
        self.caller.state.heard().missed(why, times);
        tracing::debug!(request_id = %self.request_id, %why, times, "not read of a conversation");
    }

    fn note(&self, stage: Stage, what: &Arc<str>) {
        let now = self.proxy.current.load_full();
        let state = &self.caller.state;
        let changes = state.showed(stage, what, &now.policy, self.proxy.clock.now());
        self.proxy.remember_later(state, changes, &self.request_id);
    }
}
