//! The line of a message: inspected, judged, recorded, sent.
//!
//! Takes a client's message, whole; sends the bytes of its permit to the upstream and nothing else. A
//! refused one is answered under its id where the subprotocol has such an answer; else it ends the
//! socket. A held one is handed back at once, so that it keeps no other waiting; the same message again,
//! on this socket or another, redeems the approval.

use super::Socket;
use super::ended::Ended;
use crate::audit::NotRecorded;
use crate::decide::{Held, Permit, Reason, Ruling, Verdict};
use crate::forward::Coming;
use crate::hold::State;
use crate::inspect::websocket::Conversation;
use crate::inspect::websocket::{Envelope, Language};
use crate::message::Body;
use crate::policy::{Policy, Word};
use crate::proxy::Proxy;
use crate::proxy::held::Granted;
use crate::record::Exchange;
use crate::respond::{self, Manner, Refusal};
use bytes::Bytes;
use std::sync::{MutexGuard, PoisonError};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

/// Why a message goes no further.
enum Stop {
    /// It is refused.
    Refused(Box<Refusal>),
    /// The socket ends.
    Ended(Ended),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(Box::new(refusal))
    }
}

/// A message on its way.
struct Said<'m> {
    exchange: &'m Exchange,
    envelope: Envelope,
    manner: Manner,
    is_text: bool,
}

impl Socket {
    /// From the client's message to the upstream, or to why not; how the socket ends, if it does.
    pub(super) async fn judge(&self, bytes: Bytes, is_text: bool) -> Option<Ended> {
        let proxy = self.terms.proxy();
        let snapshot = proxy.current.load_full();
        let policy = &snapshot.policy;
        let agent = match self.terms.agent(policy) {
            Ok(agent) => agent,
            Err(ended) => return Some(ended),
        };
        let caller = self.terms.caller();
        let exchange = self.exchange.message(policy, caller.state.session());
        let catalog = Proxy::catalog(policy, &caller.state.name, &caller.target);
        let manner = Manner::of(&self.head, catalog);
        let (inspected, envelope) = self.conversation().read(
            self.head.clone(),
            bytes,
            is_text,
            catalog,
            &policy.fingerprints,
        );
        let inspected = inspected.searched_body(&policy.scanner, &caller.state.seen());
        let said = Said { exchange: &exchange, envelope, manner, is_text };
        let (verdict, changes) = proxy.judge(&caller.state, inspected, policy, agent, None);
        let passed = async {
            if !changes.is_empty() {
                proxy.remember(&caller.state, changes).await?;
            }
            match verdict {
                Verdict::Allow(permit) => self.pass(permit, policy, &said, None).await,
                Verdict::Hold(held) => self.held(held, &snapshot, &said).await,
                Verdict::Deny(denied) => {
                    let refusal = proxy.refuse(denied, &snapshot, &exchange, manner, None).await;
                    Err(refusal.into())
                }
            }
        };
        match passed.await {
            Ok(()) => {
                self.conversation().sent(said.envelope);
                None
            }
            Err(Stop::Ended(ended)) => Some(ended),
            Err(Stop::Refused(refusal)) => self.refused(&refusal, &said).await,
        }
    }

    fn conversation(&self) -> MutexGuard<'_, Conversation> {
        self.conversation.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records and sends a permitted message.
    async fn pass(
        &self,
        permit: Permit<Coming>,
        policy: &Policy,
        said: &Said<'_>,
        hold: Option<&str>,
    ) -> Result<(), Stop> {
        // What only keeps a socket going, many times an hour, would hide the rest of the log.
        if !(said.envelope.is_bare() && permit.is_plain_read()) {
            self.record(&permit, policy, said, hold).await.map_err(|error| {
                tracing::error!(%error, "a message was refused because it could not be recorded");
                said.manner.refusal(Ruling::denial(
                    Reason::NotRecorded,
                    "The message could not be recorded, so it was not sent; try again later.",
                ))
            })?;
            self.terms.proxy().metrics.allowed(permit.ruling());
        }
        // What comes back is not read, so the second time is when it was sent.
        let caller = self.terms.caller();
        let catalog = Proxy::catalog(policy, &caller.state.name, &caller.target);
        let touching = self.terms.proxy().touching(permit.ruling(), catalog).await;
        let (message, _ruling) = permit.into_message();
        let (_head, body) = message.into_parts();
        let bytes = match body {
            Body::Whole(bytes) => bytes,
            Body::Empty | Body::Stream(_) | Body::Opened(..) => Bytes::new(),
        };
        let message = if said.is_text {
            // It came as text, so it is.
            let text = Utf8Bytes::try_from(bytes)
                .map_err(|error| Stop::Ended(Ended::client_fault(&error.into())))?;
            Message::Text(text)
        } else {
            Message::Binary(bytes)
        };
        let sent = self.upstream.send(message).await;
        drop(touching);
        sent.map_err(|error| Stop::Ended(Ended::upstream_fault(&error)))
    }

    async fn record(
        &self,
        permit: &Permit<Coming>,
        policy: &Policy,
        said: &Said<'_>,
        hold: Option<&str>,
    ) -> Result<(), NotRecorded> {
        let intent = said.exchange.permitted(permit.head(), permit.ruling(), policy, hold).await?;
        match intent {
            // No answer ends that could wait for the record of a read, so the read does.
            Some(mut ticket) => ticket.written().await.map(drop),
            None => Ok(()),
        }
    }

    /// Hands a held message back, or redeems what was approved.
    async fn held(
        &self,
        held: Held<Coming>,
        snapshot: &crate::proxy::Snapshot,
        said: &Said<'_>,
    ) -> Result<(), Stop> {
        let (proxy, caller) = (self.terms.proxy(), self.terms.caller());
        let (policy, exchange, manner) = (&snapshot.policy, said.exchange, said.manner);
        let view = match proxy.open(&held, caller, snapshot, exchange).await {
            Ok(view) => view,
            Err(ruling) => {
                exchange.refused(Some(&self.head), &ruling, policy, None).await;
                return Err(manner.refusal(ruling).into());
            }
        };
        if view.state != State::Approved {
            let (_request, mut ruling) = held.into_request();
            if view.state != State::Waiting {
                ruling.word = Word::Deny;
            }
            exchange.refused(Some(&self.head), &ruling, policy, Some(&view.id)).await;
            let mut refusal = manner.refusal(ruling);
            refusal.hold = Some(Box::new(view));
            return Err(refusal.into());
        }
        let Granted { permit, snapshot, ruling } =
            proxy.granted(held, &view, caller, exchange, manner).await?;
        match proxy.holds.redeem(&view.id).await {
            Ok(true) => self.pass(permit, &snapshot.policy, said, Some(&view.id)).await,
            Ok(false) => Err(proxy.unavailable(manner, ruling, view).await.into()),
            Err(error) => {
                tracing::error!(%error, "a grant could not be redeemed");
                Err(proxy.unavailable(manner, ruling, view).await.into())
            }
        }
    }

    /// Tells the client; where the subprotocol has no way to, the socket ends.
    async fn refused(&self, refusal: &Refusal, said: &Said<'_>) -> Option<Ended> {
        self.terms.proxy().metrics.refused(&refusal.ruling);
        let language = self.conversation().language();
        if let (Language::Graphql(dialect), Some(id)) = (language, said.envelope.id()) {
            let request_id = &said.exchange.request_id;
            for text in respond::messages(refusal, request_id, dialect, id) {
                if let Err(error) = self.client.send(Message::text(text)).await {
                    return Some(Ended::client_fault(&error));
                }
            }
            return None;
        }
        let word = refusal.ruling.reason.unwrap_or(Reason::ScopeViolation).as_str();
        let told = match &refusal.hold {
            Some(hold) => format!("{word} {}", hold.id),
            None => word.to_owned(),
        };
        let why = format!("the WebSocket was closed: a message was refused ({word})");
        Some(Ended::ours(CloseCode::Policy, &told, why))
    }
}
