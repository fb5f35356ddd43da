//! What answers show of where an agent is going.
//!
//! Takes what was sent, and the status of its answer where one came; notes the stages that this shows. The
//! call is done by then, so its answer passes also where that could not be kept: what restrains the agent
//! holds in memory, and keeping it is tried again.

use super::{Caller, Proxy, Way};
use crate::catalog::Kind;
use crate::decide::{Permit, left};
use crate::forward::Coming;
use crate::policy::Policy;
use crate::record::Exchange;
use crate::trajectory::{Fact, Stage};
use http::StatusCode;
use std::sync::Arc;

/// A call whose answer is awaited.
pub(super) struct Showing {
    operation: Option<Arc<str>>,
    /// What its success would show.
    done: Vec<Fact>,
    /// Whether a secret that goes there leaves.
    leaves: bool,
    call: u64,
}

impl Showing {
    pub(super) fn of(permit: &Permit<Coming>, way: &Way) -> Self {
        let catalog = way.catalog.as_deref();
        let ruling = permit.ruling();
        Self {
            operation: ruling.operation().cloned(),
            done: ruling.done(permit.head().method(), catalog),
            leaves: catalog.is_none_or(|catalog| catalog.kind != Kind::Conversation),
            call: ruling.call(),
        }
    }
}

impl Proxy {
    /// Notes what an answer shows, or that none came.
    pub(super) async fn shown(
        self: &Arc<Self>,
        showing: Showing,
        status: Option<StatusCode>,
        caller: &Caller,
        policy: &Policy,
        exchange: &Exchange,
    ) {
        let Some(what) = showing.operation else { return };
        let fact = |stage| Fact { stage, what: what.clone() };
        let mut facts = match status {
            Some(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                vec![fact(Stage::AuthenticationFailure)]
            }
            Some(status) if status.is_success() => showing.done,
            _ => Vec::new(),
        };
        if showing.leaves && left(&exchange.seen().all()) {
            facts.push(fact(Stage::SecretLeak));
        }
        if facts.is_empty() {
            return;
        }
        let state = &caller.state;
        let changes = state.showed_all(&facts, showing.call, policy, self.clock.now());
        if !changes.is_empty() && Box::pin(self.remember(state, changes)).await.is_err() {
            tracing::error!(request_id = %exchange.request_id, "what an answer showed is not stored yet");
        }
    }
}
