//! Where agents are going, as people ask for it, and what stops them.
//!
//! Takes parsed requests; answers in JSON with the stages of an agent, oldest first, how far each sequence of
//! the policy has come, and what of its conversations was not read. What changes something is recorded with
//! who asked for it.

use super::Admin;
use super::api::{broken, is_json};
use super::auth::{Approver, refuse};
use crate::inspect::model::Unread;
use crate::policy::{Policy, Sequence, Sign};
use crate::session::AgentState;
use crate::trajectory::{Noted, Progress, Trajectory};
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;

/// The longest reason that is kept, in characters.
const LONGEST: usize = 300;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    reason: String,
}

/// Each agent with its session.
pub(super) async fn list(State(admin): State<Admin>) -> Response {
    let snapshot = admin.proxy.current.load();
    let now = admin.proxy.clock.now();
    let all: Vec<_> = snapshot
        .policy
        .agents
        .iter()
        .map(|agent| {
            let state = admin.proxy.agents.get(&agent.name);
            let mut told = standing(&state);
            state.looked_at(|trajectory| {
                let last = trajectory.stages().last();
                if let Some(map) = told.as_object_mut() {
                    map.insert("stages".to_owned(), trajectory.stages().count().into());
                    map.insert("last".to_owned(), last.map(|noted| stage(noted, now)).into());
                }
            });
            told
        })
        .collect();
    Json(all).into_response()
}

/// One agent: its stages, how far each sequence has come, and what was not read.
pub(super) async fn show(State(admin): State<Admin>, Path(name): Path<String>) -> Response {
    let snapshot = admin.proxy.current.load();
    let Some((_, agent)) = snapshot.policy.agent(&name) else { return nobody() };
    let baseline = agent.baseline.as_ref();
    let now = admin.proxy.clock.now();
    let state = admin.proxy.agents.get(&name);
    let mut told = standing(&state);
    let unread: Vec<_> = state.heard().unread().map(unread).collect();
    state.looked_at(|trajectory| {
        if let Some(map) = told.as_object_mut() {
            let advanced = advanced(trajectory, &snapshot.policy, now);
            let stages: Vec<_> = trajectory
                .stages()
                .map(|noted| {
                    let mut told = stage(noted, now);
                    let of_it = advanced.iter().filter(|(met, _)| std::ptr::eq(*met, noted));
                    let of_it: Vec<_> = of_it.map(|(_, told)| told.clone()).collect();
                    if let Some(map) = told.as_object_mut() {
                        map.insert("advanced".to_owned(), of_it.into());
                    }
                    told
                })
                .collect();
            map.insert("stages".to_owned(), stages.into());
            let requirements = requirements(trajectory, &snapshot.policy, now);
            map.insert("requirements".to_owned(), requirements);
            map.insert("sequences".to_owned(), sequences(trajectory, &snapshot.policy, now));
            map.insert("unread".to_owned(), unread.into());
        }
    });
    if let (Some(map), Some(baseline)) = (told.as_object_mut(), baseline) {
        map.insert("surprise".to_owned(), state.surprise(baseline));
    }
    Json(told).into_response()
}

/// Puts an agent in quarantine until somebody releases it.
pub(super) async fn quarantine(
    State(admin): State<Admin>,
    Extension(approver): Extension<Approver>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refused) = refused(&admin, &name, &headers) {
        return refused;
    }
    let Ok(Why { reason }) = serde_json::from_slice(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "send {\"reason\": \"…\"}");
    };
    let reason: String = reason.chars().filter(|c| !c.is_control()).take(LONGEST).collect();
    match admin.proxy.quarantine(&name, &approver.0, &reason).await {
        Ok(()) => Json(json!({ "agent": name, "quarantined": reason })).into_response(),
        Err(error) => broken(&error),
    }
}

/// Forgets the stages of an agent; what restrains it stays.
pub(super) async fn reset(
    State(admin): State<Admin>,
    Extension(approver): Extension<Approver>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Some(refused) = refused(&admin, &name, &headers) {
        return refused;
    }
    match admin.proxy.reset(&name, &approver.0).await {
        Ok(forgotten) => Json(json!({ "agent": name, "forgotten": forgotten })).into_response(),
        Err(error) => broken(&error),
    }
}

fn nobody() -> Response {
    refuse(StatusCode::NOT_FOUND, "the policy has no such agent")
}

/// Why nothing is changed about an agent, if something speaks against the request.
pub(super) fn refused(admin: &Admin, name: &str, headers: &HeaderMap) -> Option<Response> {
    if !is_json(headers) {
        let told = "send `Content-Type: application/json`";
        return Some(refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, told));
    }
    admin.proxy.current.load().policy.agent(name).is_none().then(nobody)
}

fn standing(state: &AgentState) -> Value {
    let standing = state.standing();
    json!({
        "agent": state.name,
        "session": state.session_so_far(),
        "quarantined": standing.quarantined,
        "hold_writes": standing.hold_writes,
    })
}

fn stage(noted: &Noted, now: Duration) -> Value {
    json!({
        "stage": noted.stage.as_str(),
        "what": noted.what,
        "seconds_ago": now.saturating_sub(noted.at).as_secs(),
    })
}

/// What could not be read of conversations, and how often since the process began.
fn unread((why, times): (Unread, u64)) -> Value {
    json!({ "why": why.to_string(), "times": times })
}

/// Which stages brought which sequences how far.
fn advanced<'t>(
    trajectory: &'t Trajectory,
    policy: &Policy,
    now: Duration,
) -> Vec<(&'t Noted, Value)> {
    let of_one = |sequence: &Sequence| {
        let met = trajectory.progress(sequence, now).met;
        let told = |(step, noted): (usize, &'t Noted)| {
            let (name, steps) = (&sequence.name, sequence.steps.len());
            (noted, json!({ "sequence": name, "step": step + 1, "steps": steps }))
        };
        met.into_iter().enumerate().map(told).collect::<Vec<_>>()
    };
    policy.sequences.orders.iter().flat_map(of_one).collect()
}

/// What is required before what, and whether it has happened.
fn requirements(trajectory: &Trajectory, policy: &Policy, now: Duration) -> Value {
    let past = trajectory.until(now);
    let told = policy.sequences.requirements.iter().map(|requirement| {
        let met = past.has(requirement, Duration::ZERO);
        json!({ "name": requirement.name, "told": requirement.told(), "met": met })
    });
    told.collect()
}

/// How far each sequence has come: the steps that are met, with what met them, and the next one.
fn sequences(trajectory: &Trajectory, policy: &Policy, now: Duration) -> Value {
    let told = policy.sequences.orders.iter().map(|sequence| {
        let Progress { met, unseen } = trajectory.progress(sequence, now);
        let next = sequence.steps.get(met.len());
        let words =
            |step: &Vec<Sign>| -> Vec<String> { step.iter().map(ToString::to_string).collect() };
        let unseen = unseen.into_iter().filter_map(|step| sequence.steps.get(step));
        json!({
            "name": sequence.name,
            "within_seconds": sequence.within.as_secs(),
            "then": sequence.then.as_str(),
            "steps": sequence.steps.len(),
            "met": met.into_iter().map(|noted| stage(noted, now)).collect::<Vec<_>>(),
            "next": next.map(words),
            "unseen": unseen.map(words).collect::<Vec<_>>(),
            "built_in": sequence.built_in,
        })
    });
    told.collect()
}
