//! What goes back to the client, and what is learned of it on the way.
//!
//! Takes upstream responses; returns answers. Notes the cookies a host hands out, so that they are
//! the host's own when they come back. Switches protocols only after a validated 101.

use super::relay::{Terms, relay};
use super::revoke::Revocable;
use super::{Caller, Proxy, Snapshot};
use crate::decide::{Reason, Ruling};
use crate::forward::Cut;
use crate::inspect::credential::cookie_fingerprint;
use crate::policy::Policy;
use crate::record::Exchange;
use crate::respond::{Manner, Refusal};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::upgrade::OnUpgrade;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

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

const MOST_COOKIES: usize = 2_000;

impl Proxy {
    /// Notes the cookies that a response hands out.
    pub(super) fn learn(self: &Arc<Self>, caller: &Caller, policy: &Policy, headers: &HeaderMap) {
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
            if standing.cookies.len() + fingerprints.len() > MOST_COOKIES {
                standing.cookies.clear();
            }
            standing.cookies.extend(fingerprints.iter().copied());
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
        mut response: Response<Incoming>,
        client: Option<(OnUpgrade, String)>,
        exchange: &Exchange,
        manner: Manner,
        caller: &Caller,
        snapshot: &Snapshot,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let refused = || {
            exchange.failed(502, "the upstream switched protocols in a way nobody asked for");
            manner.refusal(Ruling::denial(
                Reason::UpstreamUnreachable,
                "The upstream switched protocols in a way nobody asked for.",
            ))
        };
        let Some((client, key)) = client else { return Err(refused()) };
        let headers = response.headers();
        let is = |name, wanted: &str| {
            headers.get(name).is_some_and(|value: &HeaderValue| {
                value.as_bytes().eq_ignore_ascii_case(wanted.as_bytes())
            })
        };
        let accepted = headers
            .get(header::SEC_WEBSOCKET_ACCEPT)
            .is_some_and(|value| value.as_bytes() == accept_of(&key).as_bytes());
        if !is(header::UPGRADE, "websocket")
            || !accepted
            || headers.contains_key(header::SEC_WEBSOCKET_EXTENSIONS)
        {
            return Err(refused());
        }
        let mut answer = Response::new(AnswerBody::empty());
        *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        for name in [header::SEC_WEBSOCKET_ACCEPT, header::SEC_WEBSOCKET_PROTOCOL] {
            if let Some(value) = headers.get(&name) {
                answer.headers_mut().insert(name, value.clone());
            }
        }
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        let upstream = hyper::upgrade::on(&mut response);
        let terms = Terms::new(self, caller, snapshot);
        self.tasks.spawn(relay(client, upstream, exchange.clone(), terms));
        Ok(answer)
    }
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
