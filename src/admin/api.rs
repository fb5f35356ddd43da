//! What approvers and monitoring ask.
//!
//! Takes parsed requests; answers in JSON. Decisions are taken as JSON only, which no form of a
//! foreign page can send.

use super::Admin;
use super::auth::{Approver, refuse};
use super::sessions::refused;
use crate::hold::{AnswerError, Decision, Event};
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::{Json, debug_handler};
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;

const HEARTBEAT: Duration = Duration::from_secs(15);

#[derive(Debug, Deserialize)]
pub(super) struct Listing {
    state: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    reason: Option<String>,
}

pub(super) async fn health() -> &'static str {
    "ok\n"
}

/// Ready while the audit log takes records: without it no traffic passes.
pub(super) async fn ready(State(admin): State<Admin>) -> Response {
    if admin.proxy.log.healthy() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the audit log does not take records\n").into_response()
    }
}

pub(super) async fn metrics(State(admin): State<Admin>) -> Response {
    let text = admin.proxy.metrics.render();
    ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0")], text).into_response()
}

pub(super) async fn list(State(admin): State<Admin>, Query(listing): Query<Listing>) -> Response {
    let all = match listing.state.as_deref() {
        None | Some("waiting") => false,
        Some("all") => true,
        Some(_) => return refuse(StatusCode::BAD_REQUEST, "`state` is `waiting` or `all`"),
    };
    match admin.proxy.holds.list(all).await {
        Ok(holds) => Json(holds).into_response(),
        Err(error) => broken(&error),
    }
}

pub(super) async fn show(State(admin): State<Admin>, Path(id): Path<String>) -> Response {
    match admin.proxy.holds.show(&id).await {
        Ok(Some(view)) => Json(view).into_response(),
        Ok(None) => refuse(StatusCode::NOT_FOUND, "there is no such hold"),
        Err(error) => broken(&error),
    }
}

#[debug_handler]
pub(super) async fn approve(
    State(admin): State<Admin>,
    Extension(approver): Extension<Approver>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&admin, &approver, &id, Decision::Approve, &headers, &body).await
}

#[debug_handler]
pub(super) async fn deny(
    State(admin): State<Admin>,
    Extension(approver): Extension<Approver>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    answer(&admin, &approver, &id, Decision::Deny, &headers, &body).await
}

async fn answer(
    admin: &Admin,
    approver: &Approver,
    id: &str,
    decision: Decision,
    headers: &HeaderMap,
    body: &Bytes,
) -> Response {
    if !is_json(headers) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send `Content-Type: application/json`");
    }
    let answer: Answer = if body.is_empty() {
        Answer::default()
    } else {
        match serde_json::from_slice(body) {
            Ok(answer) => answer,
            Err(_form) => {
                return refuse(StatusCode::BAD_REQUEST, "send {\"reason\": \"…\"} or nothing");
            }
        }
    };
    match admin.proxy.holds.answer(id, &approver.0, decision, answer.reason).await {
        Ok(view) => Json(view).into_response(),
        Err(error @ AnswerError::NotFound(_)) => refuse(StatusCode::NOT_FOUND, &error.to_string()),
        Err(error @ (AnswerError::Over(_) | AnswerError::AlreadyAnswered)) => {
            refuse(StatusCode::CONFLICT, &error.to_string())
        }
        Err(AnswerError::Kept(error)) => broken(&error),
    }
}

/// Server-sent events: each hold as it opens and changes.
pub(super) async fn events(State(admin): State<Admin>) -> Response {
    let state = (admin.proxy.holds.subscribe(), admin.proxy.stop.clone());
    let lines = stream::unfold(state, |(mut events, stop)| async move {
        let text = tokio::select! {
            () = stop.cancelled() => return None,
            () = tokio::time::sleep(HEARTBEAT) => ": nothing new\n\n".to_owned(),
            event = events.recv() => match event {
                Ok(Event::Opened(view)) => line("opened", &view),
                Ok(Event::Changed(view)) => line("changed", &view),
                Err(RecvError::Lagged(missed)) => format!(": {missed} events were missed; list the holds\n\n"),
                Err(RecvError::Closed) => return None,
            },
        };
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(text)), (events, stop)))
    });
    let body = Body::from_stream(lines);
    ([(header::CONTENT_TYPE, "text/event-stream")], body).into_response()
}

fn line(event: &str, view: &crate::hold::View) -> String {
    match serde_json::to_string(view) {
        Ok(data) => format!("event: {event}\ndata: {data}\n\n"),
        Err(error) => format!(": a hold could not be written: {error}\n\n"),
    }
}

/// Each agent with what is remembered of it.
pub(super) async fn agents(State(admin): State<Admin>) -> Response {
    let snapshot = admin.proxy.current.load();
    let agents: Vec<_> = snapshot
        .policy
        .agents
        .iter()
        .map(|agent| {
            let standing = admin.proxy.agents.get(&agent.name).standing();
            json!({
                "name": agent.name,
                "quarantined": standing.quarantined,
                "hold_writes": standing.hold_writes,
                "pins": standing.pins.keys().collect::<Vec<_>>(),
            })
        })
        .collect();
    Json(agents).into_response()
}

/// Lifts quarantine and held writes; only an operator does.
pub(super) async fn release(
    State(admin): State<Admin>,
    Extension(approver): Extension<Approver>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = refused(&admin, &name, &headers) {
        return refused;
    }
    match admin.proxy.release(&name, &approver.0).await {
        Ok(released) => Json(json!({ "agent": name, "released": released })).into_response(),
        Err(error) => broken(&error),
    }
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        let media = value.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
        media.trim_ascii().eq_ignore_ascii_case(b"application/json")
    })
}

pub(super) fn broken(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "an approver could not be answered");
    refuse(
        StatusCode::SERVICE_UNAVAILABLE,
        "it could not be kept or recorded, so nothing has changed; see the log",
    )
}
