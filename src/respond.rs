//! Refusals as answers, in the client's own protocol.
//!
//! Takes a ruling; returns a response: problem+json (RFC 9457) with `Proxy-Status` (RFC 9209),
//! GraphQL-shaped where the request was GraphQL, text for git. Never a success but for JSON-RPC,
//! never cacheable, nothing secret and nothing of the inside in it.

mod jsonrpc;

use crate::catalog::{Catalog, Dialect};
use crate::decide::{Reason, Ruling};
use crate::hold::{State, View};
use crate::inspect::{Asked, Protocol};
use crate::message::Head;
use crate::policy::Word;
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Body as _;
use serde_json::{Map, Value, json};

/// A refusal and what its answer depends on.
#[derive(Debug)]
pub struct Refusal {
    /// Why.
    pub ruling: Box<Ruling>,
    /// The hold it belongs to.
    pub hold: Option<Box<View>>,
    /// The protocol the client expects.
    pub protocol: Protocol,
    /// Whether the client takes `application/graphql-response+json`.
    pub graphql_media_type: bool,
    /// Whether the request's body has not been read, so that the connection cannot go on.
    pub unread: bool,
    /// A status of its own, where the reason's does not say enough.
    pub status: Option<u16>,
    /// The JSON-RPC requests that wait for an answer.
    pub asked: Option<Box<Asked>>,
}

impl Refusal {
    /// A plain refusal.
    pub fn new(ruling: Box<Ruling>) -> Self {
        Self {
            ruling,
            hold: None,
            protocol: Protocol::Http,
            graphql_media_type: false,
            unread: false,
            status: None,
            asked: None,
        }
    }

    /// The same, told to those who asked.
    #[must_use]
    pub fn to(self, asked: Option<Box<Asked>>) -> Self {
        Self { asked, ..self }
    }

    /// A refusal for one reason, before there was a request to judge.
    pub fn because(reason: Reason, detail: impl Into<String>) -> Self {
        Self::new(Box::new(Ruling::denial(reason, detail)))
    }
}

/// How a client wants to be told.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    protocol: Protocol,
    graphql_media_type: bool,
}

impl Manner {
    /// From the head of its request.
    pub fn of(head: &Head, catalog: Option<&Catalog>) -> Self {
        Self {
            protocol: crate::inspect::protocol(head, catalog),
            graphql_media_type: takes_graphql_media_type(head.headers()),
        }
    }

    /// A refusal in this manner.
    pub fn refusal(self, ruling: impl Into<Box<Ruling>>) -> Refusal {
        Refusal {
            protocol: self.protocol,
            graphql_media_type: self.graphql_media_type,
            ..Refusal::new(ruling.into())
        }
    }
}

/// Whether a client says that it takes GraphQL's own media type.
fn takes_graphql_media_type(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|value| {
        value.to_str().is_ok_and(|text| text.contains("application/graphql-response+json"))
    })
}

/// How long a client waits before it asks again for a held call, in seconds.
const RETRY_AFTER: u32 = 5;

/// The answer to a refused request.
pub fn refuse(refusal: &Refusal, request_id: &str) -> Response<Full<Bytes>> {
    let ruling = &refusal.ruling;
    let reason = ruling.reason.unwrap_or(Reason::ScopeViolation);
    let status = refusal.status.unwrap_or_else(|| reason.status());
    let waits = refusal.hold.as_ref().is_some_and(|hold| !hold.is_over());
    // Clients of JSON-RPC read nothing but a success.
    let asked = refusal.asked.as_ref().filter(|_| jsonrpc::is_told(reason));
    let status = if asked.is_some() { 200 } else { status };
    let (media, body) = match refusal.protocol {
        _ if let Some(asked) = asked => {
            ("application/json", jsonrpc::answer(refusal, asked, reason, request_id).to_string())
        }
        Protocol::Git => ("text/plain; charset=utf-8", text(refusal, reason)),
        Protocol::Http => {
            ("application/problem+json", problem(refusal, reason, status, request_id).to_string())
        }
        Protocol::Graphql => {
            let media = if refusal.graphql_media_type {
                "application/graphql-response+json"
            } else {
                "application/json"
            };
            (media, graphql(refusal, reason, status, request_id).to_string())
        }
    };
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    let details =
        format!("holdgate; error={}; details=\"{}\"", proxy_error(reason), reason.as_str());
    if let Ok(value) = HeaderValue::from_str(&details) {
        headers.insert("proxy-status", value);
    }
    if waits {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
    }
    if reason == Reason::NotIdentified {
        headers.insert(
            header::PROXY_AUTHENTICATE,
            HeaderValue::from_static("Basic realm=\"holdgate\""),
        );
    }
    if refusal.unread {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Answers a HEAD (RFC 9110 section 9.3.2): the length is told and the body is not sent, which on
/// HTTP/2 nobody else sees to.
pub fn leave_body_out(response: &mut Response<Full<Bytes>>) {
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = Full::default();
}

/// The error type of RFC 9209 section 2.3.
const fn proxy_error(reason: Reason) -> &'static str {
    match reason {
        Reason::PrivateAddress => "destination_ip_prohibited",
        Reason::UpstreamUnverified => "tls_certificate_error",
        Reason::UpstreamUnreachable => "destination_unavailable",
        Reason::NotRecorded => "proxy_internal_error",
        _ => "http_request_denied",
    }
}

fn detail(refusal: &Refusal) -> String {
    let detail = &refusal.ruling.detail;
    match &refusal.hold {
        Some(hold) if !hold.is_over() => format!(
            "{detail} It is held as {}; send the same request again once it is approved, and do not try another way.",
            hold.id
        ),
        Some(hold) => format!("{detail} The hold {} is {}.", hold.id, hold.state.as_str()),
        None => detail.clone(),
    }
}

fn problem(refusal: &Refusal, reason: Reason, status: u16, request_id: &str) -> Value {
    let ruling = &refusal.ruling;
    let mut map = Map::new();
    let mut put = |key: &str, value: Value| drop(map.insert(key.to_owned(), value));
    put("type", json!(format!("urn:holdgate:{}", reason.as_str())));
    put("title", json!(reason.title()));
    put("status", json!(status));
    put("detail", json!(detail(refusal)));
    put("verdict", json!(if ruling.word == Word::Hold { "hold" } else { "deny" }));
    put("reason", json!(reason.as_str()));
    put("request_id", json!(request_id));
    if let Some(operation) = ruling.operation() {
        put("operation", json!(operation));
    }
    if !ruling.targets.is_empty() {
        let targets = ruling.targets.iter().map(|t| (t.kind.clone(), json!(t.id)));
        put("target", Value::Object(targets.collect()));
    }
    if let Some(environment) = &ruling.environment {
        put("environment", json!(environment));
    }
    if let Some(resource) = &ruling.resource {
        put("resource", json!(resource));
    }
    if let Some(rule) = &ruling.rule {
        put("rule", json!(rule));
    }
    let findings: Vec<Value> = ruling.findings.iter().map(finding).collect();
    put("findings", Value::Array(findings));
    if let Some(hold) = &refusal.hold {
        put(
            "hold",
            json!({
                "id": hold.id,
                "state": hold.state.as_str(),
                "expires_at": hold.expires_at,
                "retry": match hold.state {
                    State::Waiting | State::Approved => "send the same request again once approved",
                    State::Denied => "do not send it again",
                    _ => "the same request asks for an approval of its own",
                },
            }),
        );
    }
    Value::Object(map)
}

fn finding(finding: &crate::decide::Finding) -> Value {
    let mut map = Map::new();
    map.insert("reason".to_owned(), json!(finding.reason.as_str()));
    map.insert("severity".to_owned(), json!(finding.reason.severity().as_str()));
    let optional = [
        ("technique", finding.reason.technique().map(str::to_owned)),
        ("slot", finding.slot.clone()),
        ("evidence", finding.evidence.clone()),
    ];
    for (key, value) in optional {
        if let Some(value) = value {
            map.insert(key.to_owned(), json!(value));
        }
    }
    Value::Object(map)
}

/// What GraphQL clients read in an error.
fn extensions(refusal: &Refusal, reason: Reason, request_id: &str) -> Map<String, Value> {
    let held = refusal.ruling.word == Word::Hold;
    let mut extensions = Map::new();
    extensions.insert("code".to_owned(), json!(if held { "HELD" } else { "DENIED" }));
    extensions.insert("reason".to_owned(), json!(reason.as_str()));
    extensions.insert("requestId".to_owned(), json!(request_id));
    if let Some(hold) = &refusal.hold {
        extensions
            .insert("hold".to_owned(), json!({ "id": hold.id, "state": hold.state.as_str() }));
    }
    extensions
}

/// The same object, with what GraphQL clients read in it.
fn graphql(refusal: &Refusal, reason: Reason, status: u16, request_id: &str) -> Value {
    let mut value = problem(refusal, reason, status, request_id);
    let extensions = extensions(refusal, reason, request_id);
    if let Some(map) = value.as_object_mut() {
        map.insert("data".to_owned(), Value::Null);
        let error = json!({ "message": detail(refusal), "extensions": extensions });
        map.insert("errors".to_owned(), Value::Array(vec![error]));
    }
    value
}

/// The answer to a refused message of a GraphQL subprotocol, under its id.
pub fn messages(refusal: &Refusal, request_id: &str, dialect: Dialect, id: &str) -> Vec<String> {
    let reason = refusal.ruling.reason.unwrap_or(Reason::ScopeViolation);
    let mut told = extensions(refusal, reason, request_id);
    if let Value::Object(problem) = problem(refusal, reason, reason.status(), request_id) {
        for (key, value) in problem {
            // The hold among them says more than the extension does.
            told.insert(key, value);
        }
    }
    let error = json!({ "message": detail(refusal), "extensions": told });
    match dialect {
        Dialect::Transport => {
            vec![json!({ "id": id, "type": "error", "payload": [error] }).to_string()]
        }
        Dialect::Legacy => vec![
            json!({ "type": "error", "id": id, "payload": error }).to_string(),
            json!({ "type": "complete", "id": id }).to_string(),
        ],
    }
}

fn text(refusal: &Refusal, reason: Reason) -> String {
    format!("holdgate: {} ({})\n", detail(refusal), reason.as_str())
}
