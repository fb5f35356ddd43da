//! The hosts an agent talks to besides Railway's GraphQL: a small REST API, pages, and a model.
//!
//! Takes method, path and body; returns the answer. What is not listed here is 404 or 405.

use super::server::{Body, full, json_answer, message};
use super::state::{PRODUCTION_ENVIRONMENT, REVOKED_TOKEN, STAGING_DEPLOYMENT, State};
use bytes::Bytes;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Response, StatusCode};
use serde_json::{Value, json};
use std::convert::Infallible;

/// `api.staging.railway.app`: deployments, and volumes to delete. It takes any token but the revoked.
pub fn staging(
    state: &mut State,
    method: &Method,
    path: &str,
    token: Option<&str>,
    body: &[u8],
) -> Response<Body> {
    if token == Some(REVOKED_TOKEN) {
        return message(StatusCode::UNAUTHORIZED, "The token does not match any credential.");
    }
    let deployment = json!({"id": STAGING_DEPLOYMENT, "service": "api", "status": "SUCCESS"});
    match (method.as_str(), path) {
        ("GET", "/deployments") => {
            json_answer(StatusCode::OK, &json!({"deployments": [deployment]}))
        }
        ("POST", "/deployments") => {
            let asked = serde_json::from_slice::<Value>(body).unwrap_or_default();
            let id = uuid::Uuid::new_v4().to_string();
            let made = json!({"id": id, "status": "QUEUED", "request": asked});
            json_answer(StatusCode::CREATED, &made)
        }
        ("DELETE", path) => match path.strip_prefix("/volumes/") {
            Some(id) if !id.is_empty() && !id.contains('/') => {
                if state.volume(id).is_some_and(|it| it.environment == PRODUCTION_ENVIRONMENT) {
                    return message(StatusCode::NOT_FOUND, "There is no such volume in staging.");
                }
                // As many such APIs do, it says the same of a volume that was never there.
                state.delete_volume(id);
                full(StatusCode::NO_CONTENT, "application/json", Bytes::new())
            }
            _ => message(StatusCode::NOT_FOUND, "There is nothing here."),
        },
        _ => message(StatusCode::NOT_FOUND, "There is nothing here."),
    }
}

/// `docs.railway.com`: a page for every path.
pub fn docs(method: &Method, path: &str) -> Response<Body> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return message(StatusCode::METHOD_NOT_ALLOWED, "Pages can be read only.");
    }
    let path = path.replace('&', "&amp;").replace('<', "&lt;");
    let page = format!(
        "<!doctype html><html><head><title>Railway Docs</title></head><body><h1>{path}</h1>\
         <p>Deleting a volume deletes its backups.</p></body></html>\n"
    );
    full(StatusCode::OK, "text/html; charset=utf-8", page)
}

/// `raw.githubusercontent.com`: a text file for every path.
pub fn raw(method: &Method, path: &str) -> Response<Body> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        return message(StatusCode::METHOD_NOT_ALLOWED, "Files can be read only.");
    }
    full(StatusCode::OK, "text/plain; charset=utf-8", format!("# {path}\n\nA file of text.\n"))
}

/// `api.anthropic.com`: one short message, as a stream of events where the request asks for one.
pub fn model(method: &Method, path: &str, body: &[u8]) -> Response<Body> {
    if (method, path) != (&Method::POST, "/v1/messages") {
        return message(StatusCode::NOT_FOUND, "There is nothing but POST /v1/messages.");
    }
    let Ok(request) = serde_json::from_slice::<Value>(body) else {
        return message(StatusCode::BAD_REQUEST, "The body is not JSON.");
    };
    let words = ["I will look at ", "the staging deployment."];
    let name = request.get("model").and_then(Value::as_str).unwrap_or("claude-mock");
    let answer = |content: Value, stop_reason: Option<&str>| {
        json!({
            "id": "msg_mock", "type": "message", "role": "assistant", "model": name,
            "content": content, "stop_reason": stop_reason, "stop_sequence": null,
            "usage": {"input_tokens": 10, "output_tokens": 8},
        })
    };
    if request.get("stream") != Some(&Value::Bool(true)) {
        let content = json!([{"type": "text", "text": words.concat()}]);
        return json_answer(StatusCode::OK, &answer(content, Some("end_turn")));
    }
    let mut events = vec![
        json!({"type": "message_start", "message": answer(json!([]), None)}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "ping"}),
    ];
    for word in words {
        let delta = json!({"type": "text_delta", "text": word});
        events.push(json!({"type": "content_block_delta", "index": 0, "delta": delta}));
    }
    let end = json!({"stop_reason": "end_turn", "stop_sequence": null});
    events.extend([
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "message_delta", "delta": end, "usage": {"output_tokens": 8}}),
        json!({"type": "message_stop"}),
    ]);
    let frames = events.into_iter().map(|event| {
        let name = event.get("type").and_then(Value::as_str).unwrap_or_default();
        let text = format!("event: {name}\ndata: {event}\n\n");
        Ok::<_, Infallible>(Frame::data(Bytes::from(text)))
    });
    let frames = frames.collect::<Vec<_>>();
    let mut response = Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}
