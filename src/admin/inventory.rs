//! The inventory, as people ask for it: what belongs to what, and how that is known.
//!
//! Takes parsed requests; answers in JSON. Forgetting is recorded with who asked for it.

use super::Admin;
use super::api::{broken, is_json};
use super::auth::{Approver, refuse};
use crate::inventory::keeper::now;
use crate::inventory::{EXPIRES, Fact, Owner, View};
use crate::policy::Policy;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Extension, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct About {
    id: String,
}

/// Every learned fact, the newest first.
pub(super) async fn list(State(admin): State<Admin>) -> Response {
    let snapshot = admin.proxy.current.load();
    let inventory = admin.proxy.inventory.current();
    let view = inventory.at(now());
    let facts = inventory.all(view.now());
    let shown: Vec<_> = facts
        .iter()
        .map(|fact| shown(fact, &owners(fact, &snapshot.policy, view), &snapshot.policy, view))
        .collect();
    Json(shown).into_response()
}

/// All that is known of one id.
pub(super) async fn why(State(admin): State<Admin>, Query(about): Query<About>) -> Response {
    let snapshot = admin.proxy.current.load();
    let policy = &snapshot.policy;
    let inventory = admin.proxy.inventory.current();
    let view = inventory.at(now());
    let facts = inventory.about(&about.id, view.now());
    let learned: Vec<_> =
        facts.iter().map(|fact| shown(fact, &owners(fact, policy, view), policy, view)).collect();
    Json(json!({ "id": about.id, "declared": declared(policy, &about.id), "learned": learned }))
        .into_response()
}

/// Forgets what was learned of an id.
pub(super) async fn forget(
    State(admin): State<Admin>,
    Extension(approver): Extension<Approver>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if !is_json(&headers) {
        return refuse(StatusCode::UNSUPPORTED_MEDIA_TYPE, "send `Content-Type: application/json`");
    }
    let Ok(About { id }) = serde_json::from_slice(&body) else {
        return refuse(StatusCode::BAD_REQUEST, "send {\"id\": \"…\"}");
    };
    match admin.proxy.forget(&id, &approver.0).await {
        Ok(forgotten) => Json(json!({ "id": id, "forgotten": forgotten })).into_response(),
        Err(error) => broken(&error),
    }
}

/// The owners that a fact leads to; none where its id is declared, or nothing declared is reached.
fn owners(fact: &Arc<Fact>, policy: &Policy, view: View<'_>) -> Vec<Owner> {
    let taught = &fact.taught;
    view.owners(policy, &fact.service, Some(&taught.kind), &taught.id)
}

fn shown(fact: &Fact, owners: &[Owner], policy: &Policy, view: View<'_>) -> Value {
    let (taught, lesson) = (&fact.taught, &fact.lesson);
    let resources = owners.iter().filter_map(|owner| policy.resources.get(owner.resource));
    let judged_by: Vec<_> = resources
        .map(|resource| json!({ "resource": resource.name, "environment": resource.environment }))
        .collect();
    let expires = lesson.at.saturating_add(i64::try_from(EXPIRES.as_millis()).unwrap_or(i64::MAX));
    json!({
        "service": fact.service,
        "kind": taught.kind,
        "id": taught.id,
        "owner_kind": taught.owner_kind,
        "owner": taught.owner,
        "shared": taught.shared,
        "judged_by": judged_by,
        "agent": lesson.agent,
        "request_id": lesson.request_id,
        "operation": lesson.operation,
        "host": lesson.host,
        "learned_at": time(lesson.at),
        "expires_at": time(expires),
        "age_seconds": fact.age(view.now()).as_secs(),
    })
}

/// The resources that declare an id, whatever its kind and service.
fn declared(policy: &Policy, id: &str) -> Vec<Value> {
    let catalogs = policy.resources.iter().filter_map(|resource| resource.catalog());
    let services: BTreeSet<&Arc<str>> = catalogs.map(|catalog| &catalog.service).collect();
    let mut found = Vec::new();
    for service in services {
        for (kind, owners) in policy.owners_of_any_kind(service, id) {
            for resource in owners.iter().filter_map(|ix| policy.resources.get(*ix)) {
                found.push(json!({
                    "service": service,
                    "kind": kind,
                    "resource": resource.name,
                    "environment": resource.environment,
                    "rule": policy.rule_name(resource.place),
                }));
            }
        }
    }
    found
}

fn time(milliseconds: i64) -> Option<String> {
    Timestamp::from_millisecond(milliseconds).ok().map(|time| time.to_string())
}
