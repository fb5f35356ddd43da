//! Who may answer, and from where.
//!
//! Takes the headers of a request; returns the approver's name, or an answer that says no. Tokens are
//! compared by hash in constant time with every approver of the policy of now; failures are limited.

use super::Admin;
use crate::fingerprint::{same, token_hash};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use serde_json::json;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;

const FAILURES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(30).unwrap();

/// What guards the listener.
#[derive(Debug)]
pub(super) struct Guard {
    listen: SocketAddr,
    extra: Option<(String, [u8; 32])>,
    failures: DefaultDirectRateLimiter,
}

/// Who asks, once that is known.
#[derive(Clone, Debug)]
pub(super) struct Approver(pub(super) String);

impl Guard {
    pub(super) fn new(listen: SocketAddr, extra: Option<(String, [u8; 32])>) -> Self {
        let failures = RateLimiter::direct(Quota::per_minute(FAILURES_PER_MINUTE));
        Self { listen, extra, failures }
    }
}

/// Refuses what a page of another site could make a browser send, and names that were rebound.
pub(super) async fn same_site(
    State(admin): State<Admin>,
    request: Request,
    next: Next,
) -> Response {
    let headers = request.headers();
    if headers.contains_key(header::ORIGIN) || !host_is_ours(headers, admin.guard.listen) {
        return refuse(StatusCode::FORBIDDEN, "requests of other sites are refused");
    }
    let mut response = next.run(request).await;
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(header::CACHE_CONTROL, no_store);
    response
}

fn host_is_ours(headers: &HeaderMap, listen: SocketAddr) -> bool {
    let Some(host) = headers.get(header::HOST).and_then(|host| host.to_str().ok()) else {
        return false;
    };
    if host == listen.to_string() {
        return true;
    }
    let name = host.rsplit_once(':').map_or(host, |(name, port)| {
        if port.bytes().all(|byte| byte.is_ascii_digit()) { name } else { host }
    });
    name == "localhost" || name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

/// Lets approvers through, by their token.
pub(super) async fn approver(
    State(admin): State<Admin>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(name) = admin.approver_of(request.headers()) else {
        if admin.guard.failures.check().is_err() {
            return refuse(StatusCode::TOO_MANY_REQUESTS, "too many wrong tokens; wait a minute");
        }
        return refuse(
            StatusCode::UNAUTHORIZED,
            "send the token of an approver as `Authorization: Bearer`",
        );
    };
    request.extensions_mut().insert(Approver(name));
    next.run(request).await
}

impl Admin {
    fn approver_of(&self, headers: &HeaderMap) -> Option<String> {
        let token = headers.get(header::AUTHORIZATION)?.as_bytes().strip_prefix(b"Bearer ")?;
        let hash = token_hash(token.trim_ascii());
        let snapshot = self.proxy.current.load();
        let named =
            snapshot.policy.approvals.approvers.iter().map(|(name, known)| (name.as_str(), known));
        let extra = self.guard.extra.iter().map(|(name, known)| (name.as_str(), known));
        // Every hash is compared, so that the time says nothing about which one it was.
        named
            .chain(extra)
            .filter(|(_, known)| same(&hash, *known))
            .map(|(name, _)| name.to_owned())
            .next_back()
    }
}

/// An answer that says no.
pub(super) fn refuse(status: StatusCode, detail: &str) -> Response {
    let body = Json(json!({ "type": "about:blank", "status": status.as_u16(), "detail": detail }));
    (status, body).into_response()
}
