//! What goes back to the client, and what is learned of it on the way.
//!
//! Takes upstream responses; returns answers. Notes the cookies a host hands out, so that they are
//! the host's own when they come back. Switches protocols only after a validated 101.

use super::conversation::Ear;
use super::learn::Attentive;
use super::relay::{Opened, Terms, relay};
use super::revoke::{self, Revocable};
use super::showing::Showing;
use super::{Caller, Proxy, Snapshot, Way, evidence, learn, serialized};
use crate::audit::{NotRecorded, Ticket};
use crate::catalog::Catalog;
use crate::decide::{Reason, Ruling};
use crate::forward::{self, Clean, Cut, ResponseBody, strip_hop_by_hop};
use crate::inspect::credential::cookie_fingerprint;
use crate::inspect::websocket::Language;
use crate::message::Head;
use crate::policy::{Policy, SerializedObjects};
use crate::record::Exchange;
use crate::respond::{Manner, Refusal};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Frame, SizeHint};
use hyper::upgrade::OnUpgrade;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::timeout;

/// An answer is not held back for its record longer than this; it is refused then.
const RECORDED_WITHIN: Duration = Duration::from_secs(5);

/// The body of an answer.
#[derive(Debug)]
pub enum AnswerBody {
    /// A refusal.
    Refusal(Full<Bytes>),
    /// What the upstream sends.
    Upstream(Box<Revocable>),
}

impl AnswerBody {
    /// Nothing.
    pub fn empty() -> Self {
        Self::Refusal(Full::default())
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        match self.get_mut() {
            Self::Refusal(body) => Pin::new(body).poll_frame(cx).map_err(|never| match never {}),
            Self::Upstream(body) => Pin::new(&mut **body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Refusal(body) => body.is_end_stream(),
            Self::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Refusal(body) => body.size_hint(),
            Self::Upstream(body) => body.size_hint(),
        }
    }
}

/// What waits for the answer to a call.
pub(super) struct Awaited {
    pub(super) touching: Option<learn::Touching>,
    pub(super) lesson: Option<learn::Asked>,
    pub(super) sought: Option<Box<evidence::Sought>>,
    /// Who listens to it, where it is part of a conversation.
    pub(super) ear: Option<Ear>,
    /// The handshake, where a WebSocket may follow.
    pub(super) asked: Option<Box<Head>>,
    /// What it shows of where the agent is going.
    pub(super) showing: Showing,
    /// Whether a quarantine lets the call through.
    pub(super) spared: bool,
    /// Whether no body may follow the head.
    pub(super) head_only: bool,
    pub(super) intent: Option<Ticket>,
}

impl Proxy {
    /// Hands on the answer to a permitted request, and what it shows.
    pub(super) async fn answered(
        self: &Arc<Self>,
        sent: forward::Sent,
        awaited: Awaited,
        caller: &Arc<Caller>,
        snapshot: &Arc<Snapshot>,
        exchange: &Arc<Exchange>,
        way: Way,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let (policy, manner, serialized) = (&snapshot.policy, way.manner, way.serialized);
        let Awaited { touching, lesson, sought, ear, asked, showing, spared, head_only, intent } =
            awaited;
        let mut response = sent.response;
        self.learn(caller, policy, response.headers());
        let status = response.status();
        self.shown(showing, Some(status), caller, policy, exchange).await;
        if status == StatusCode::SWITCHING_PROTOCOLS {
            return self.switch(
                response,
                way.upgrade.zip(asked),
                exchange,
                manner,
                caller,
                snapshot,
            );
        }
        let may_follow =
            !(head_only || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED));
        strip_hop_by_hop(response.headers_mut());
        let (address, attempts) = (sent.address, sent.attempts);
        let mut outcome =
            exchange.clone().answered(status.as_u16(), address, attempts, intent, sent.lease);
        let wanted = if may_follow { serialized } else { SerializedObjects::Note };
        let cleared = serialized::cleared(response, wanted, caller, policy);
        let response = match cleared.await {
            Ok((response, found)) => {
                outcome.found(found);
                response
            }
            Err(withheld) => {
                let refusal = manner.refusal(withheld.ruling());
                Box::pin(outcome.withheld(withheld.finding, withheld.why)).await;
                return Err(refusal);
            }
        };
        let is_head = !may_follow || response.body().is_end_stream();
        if is_head {
            // The head is the whole answer, so its record comes before it.
            let recorded = Box::pin(outcome.recorded()).await;
            recorded.map_err(|error| withheld(error, manner))?;
        }
        let watch = Attentive::new(outcome, (lesson, sought, ear), touching, caller, &response);
        let (head, body) = response.into_parts();
        let body = ResponseBody::new(body, watch, may_follow);
        let terms = revoke::Terms::new(caller, snapshot, spared);
        let mut body = Box::new(Revocable::new(body, terms));
        if !is_head {
            // And so it does where the body is there with the head.
            begun(&mut body).await.map_err(|error| withheld(error, manner))?;
        }
        Ok(Response::from_parts(head, AnswerBody::Upstream(body)))
    }

    /// Notes the cookies that a response hands out.
    pub(super) fn learn(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        policy: &Policy,
        headers: &HeaderMap,
    ) {
        if !headers.contains_key(header::SET_COOKIE) {
            return;
        }
        let host = caller.target.host().as_str();
        let fingerprints: Vec<_> = headers
            .get_all(header::SET_COOKIE)
            .iter()
            .take(50)
            .filter_map(|value| {
                let pair = value.as_bytes().split(|byte| *byte == b';').next()?.trim_ascii();
                let split = pair.iter().position(|byte| *byte == b'=')?;
                let (name, value) = pair.split_at(split);
                let value = value.strip_prefix(b"=").unwrap_or(value);
                Some(cookie_fingerprint(
                    &policy.fingerprints,
                    host,
                    name.trim_ascii(),
                    value.trim_ascii(),
                ))
            })
            .collect();
        let known = caller.state.standing();
        if fingerprints.iter().all(|fingerprint| known.cookies.contains(fingerprint)) {
            return;
        }
        caller.state.critically(|standing, _trajectory| {
            for fingerprint in &fingerprints {
                standing.cookies.keep(caller.target.host().shared(), *fingerprint);
            }
        });
        let proxy = self.clone();
        let agent = caller.state.name.clone();
        self.tasks.spawn(async move {
            if let Err(error) = proxy.store.add_cookies(&agent, &fingerprints).await {
                tracing::warn!(%agent, %error, "cookies could not be remembered beyond this run");
            }
        });
    }

    /// Switches to the protocol of a validated 101 (RFC 6455 section 4.1), or refuses it.
    pub(super) fn switch(
        self: &Arc<Self>,
        mut response: Response<Clean>,
        asked: Option<(OnUpgrade, Box<Head>)>,
        exchange: &Exchange,
        manner: Manner,
        caller: &Arc<Caller>,
        snapshot: &Snapshot,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let catalog = Self::catalog(&snapshot.policy, &caller.state.name, &caller.target);
        let switched = asked.and_then(|(client, head)| {
            let language = switched_to(response.headers(), &head, catalog)?;
            Some((client, head, language))
        });
        let Some((client, head, language)) = switched else {
            exchange.failed(502, "the upstream switched protocols in a way nobody asked for");
            return Err(manner.refusal(Ruling::denial(
                Reason::UpstreamUnreachable,
                "The upstream switched protocols in a way nobody asked for.",
            )));
        };
        let mut answer = Response::new(AnswerBody::empty());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        for name in [header::SEC_WEBSOCKET_ACCEPT, header::SEC_WEBSOCKET_PROTOCOL] {
            if let Some(value) = response.headers().get(&name) {
                answer.headers_mut().insert(name, value.clone());
            }
        }
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        let upstream = hyper::upgrade::on(&mut response);
        let terms = Terms::new(self, caller, snapshot);
        let opened = Opened { head, language, exchange: exchange.clone(), client, upstream };
        self.tasks.spawn(relay(opened, terms));
        Ok(answer)
    }
}

/// Waits for the record of an answer that is there as a whole, but not for a disk that stands still.
async fn begun(body: &mut Revocable) -> Result<(), NotRecorded> {
    let mut times = 0;
    let soon = poll_fn(|cx| match body.poll_begun(cx) {
        Poll::Ready(begun) => Poll::Ready(Some(begun)),
        // The first time it gives way to others; a timer is only for what takes longer.
        Poll::Pending if times == 0 => {
            times += 1;
            Poll::Pending
        }
        Poll::Pending => Poll::Ready(None),
    });
    if let Some(begun) = soon.await {
        return begun;
    }
    let begun = timeout(RECORDED_WITHIN, poll_fn(|cx| body.poll_begun(cx))).await;
    begun.unwrap_or(Err(NotRecorded::Late))
}

/// The refusal of a call whose answer cannot be recorded.
fn withheld(error: NotRecorded, manner: Manner) -> Refusal {
    tracing::error!(%error, "an answer was withheld because its record was not written");
    manner.refusal(Ruling::denial(Reason::NotRecorded, "The call could not be recorded."))
}

/// The refusal of a call that got no answer, once that is recorded.
pub(super) fn not_answered(error: &forward::Error, exchange: &Exchange, manner: Manner) -> Refusal {
    tracing::warn!(request_id = %exchange.request_id, %error, "no answer from the upstream");
    let (reason, detail) = (error.reason(), error.to_string());
    match error.broken_off_after() {
        Some(sent) => exchange.broken_off(reason.status(), reason, sent, &detail),
        None => exchange.failed(reason.status(), &detail),
    }
    let mut refusal = manner.refusal(Ruling::denial(reason, error.told()));
    refusal.ruling.saw(exchange.seen().all());
    refusal.status = Some(502).filter(|_| !matches!(error, forward::Error::Objection(_)));
    refusal.unread = refusal.status.is_none();
    refusal
}

/// The language of a WebSocket that an upstream opens as it was asked to; none if it was not asked to
/// open this one.
fn switched_to(headers: &HeaderMap, asked: &Head, catalog: Option<&Catalog>) -> Option<Language> {
    let single = |name| {
        let mut values = headers.get_all(name).iter();
        values.next().filter(|_| values.next().is_none())
    };
    let names_upgrade = headers.get_all(header::CONNECTION).iter().any(|value| {
        let mut words = value.as_bytes().split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        words.any(|word| word.eq_ignore_ascii_case(b"upgrade"))
    });
    let upgrade = single(header::UPGRADE)?.as_bytes();
    let accepted = single(header::SEC_WEBSOCKET_ACCEPT)?.as_bytes();
    let right = names_upgrade
        && upgrade.eq_ignore_ascii_case(b"websocket")
        && accepted == accept_of(asked.header("sec-websocket-key")?).as_bytes()
        && !headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS);
    let chosen = if headers.contains_key(header::SEC_WEBSOCKET_PROTOCOL) {
        let name = single(header::SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
        Some(asked.subprotocols().into_iter().find(|offered| *offered == name)?)
    } else {
        None
    };
    let language = match catalog {
        None => Language::Plain,
        Some(catalog) => Language::Graphql(catalog.dialect(chosen?)?),
    };
    right.then_some(language)
}

/// The answer to a WebSocket key (RFC 6455 section 4.2.2).
fn accept_of(key: &str) -> String {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key.as_bytes());
    context.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(context.finish())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_key_of_the_rfc_is_answered_as_there() {
        assert_eq!(super::accept_of("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }
}
