//! GraphQL over a WebSocket, in `graphql-transport-ws` and in the older `graphql-ws`.
//!
//! Takes a handshake; answers it, keeps every message that arrives, and executes documents as over
//! POST. Refuses other subprotocols and paths, and, as such servers do, whoever asks before the
//! connection has begun.

use super::graphql;
use super::server::{Body, Seen, Server, message, token};
use super::state::{Authority, REVOKED_TOKEN};
use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::header::{
    CONNECTION, HOST, HeaderMap, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY,
    SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const SUBPROTOCOLS: [&str; 2] = ["graphql-transport-ws", "graphql-ws"];

/// Answers a handshake, and serves the socket in a task.
pub fn open(
    server: &Arc<Server>,
    mut request: Request<Incoming>,
    tasks: &TaskTracker,
    stop: CancellationToken,
) -> Response<Body> {
    let headers = request.headers();
    server.keep(seen(&request));
    if request.uri().path() != "/graphql/v2" {
        return message(StatusCode::NOT_FOUND, "There is nothing but /graphql/v2.");
    }
    let offered = text(headers, SEC_WEBSOCKET_PROTOCOL.as_str());
    let Some(chosen) = offered.split(',').map(str::trim).find(|name| SUBPROTOCOLS.contains(name))
    else {
        return message(StatusCode::BAD_REQUEST, "No subprotocol that is spoken here.");
    };
    let token = token(headers).map(str::to_owned);
    if token.as_deref() == Some(REVOKED_TOKEN) {
        return message(StatusCode::UNAUTHORIZED, "The token does not match any credential.");
    }
    let mut answer = Response::new(Empty::<Bytes>::new().boxed());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let accept = accept(text(headers, SEC_WEBSOCKET_KEY.as_str()));
    for (name, value) in [
        (CONNECTION, "Upgrade"),
        (UPGRADE, "websocket"),
        (SEC_WEBSOCKET_ACCEPT, &accept),
        (SEC_WEBSOCKET_PROTOCOL, chosen),
    ] {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().insert(name, value);
        }
    }
    let socket = Socket {
        server: Arc::clone(server),
        legacy: chosen == "graphql-ws",
        authority: token.as_deref().and_then(Authority::of),
        begun: false,
    };
    let upgraded = hyper::upgrade::on(&mut request);
    tasks.spawn(stop.run_until_cancelled_owned(async move {
        // A client that breaks off is part of what is tested.
        if let Ok(upgraded) = upgraded.await {
            drop(socket.serve(upgraded).await);
        }
    }));
    answer
}

fn seen(request: &Request<Incoming>) -> Seen {
    let headers = request.headers();
    Seen {
        method: request.method().to_string(),
        host: text(headers, HOST.as_str()).split(':').next().unwrap_or_default().to_owned(),
        path: request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned(),
        headers: headers
            .iter()
            .map(|(name, value)| {
                (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
            })
            .collect(),
        body: Bytes::new(),
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> &'h str {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

/// The answer to a key (RFC 6455 section 4.2.2).
fn accept(key: &str) -> String {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(key.as_bytes());
    context.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    STANDARD.encode(context.finish())
}

struct Socket {
    server: Arc<Server>,
    legacy: bool,
    authority: Option<Authority>,
    begun: bool,
}

impl Socket {
    async fn serve(mut self, upgraded: Upgraded) -> Result<(), Error> {
        let io = TokioIo::new(upgraded);
        let mut stream = WebSocketStream::from_raw_socket(io, Role::Server, None).await;
        while let Some(message) = stream.next().await {
            let text = match message? {
                Message::Text(text) => text.to_string(),
                Message::Binary(bytes) => format!("{} binary bytes", bytes.len()),
                Message::Ping(bytes) => {
                    self.server.keep_message(format!("a ping of {} bytes", bytes.len()));
                    continue;
                }
                Message::Close(close) => {
                    self.server.keep_message(format!("a close: {close:?}"));
                    continue;
                }
                _ => continue,
            };
            self.server.keep_message(text.clone());
            match self.answer(&text) {
                Ok(answers) => {
                    for answer in answers {
                        stream.send(Message::text(answer.to_string())).await?;
                    }
                }
                Err((code, reason)) => {
                    let close = CloseFrame { code: code.into(), reason: reason.into() };
                    stream.send(Message::Close(Some(close))).await?;
                }
            }
        }
        Ok(())
    }

    /// What is said to a message, or the code to close with.
    fn answer(&mut self, text: &str) -> Result<Vec<Value>, (u16, &'static str)> {
        let said: Value = serde_json::from_str(text).map_err(|_invalid| (4400, "Bad request"))?;
        let (id, payload) = (said.get("id"), said.get("payload"));
        match (said.get("type").and_then(Value::as_str).unwrap_or_default(), self.legacy) {
            ("connection_init", _) if self.begun => Err((4429, "Too many requests")),
            ("connection_init", _) => {
                self.begun = true;
                let given = payload.and_then(|payload| {
                    payload
                        .get("Authorization")
                        .or_else(|| payload.pointer("/headers/Authorization"))
                });
                let given = given.and_then(Value::as_str).and_then(|it| it.strip_prefix("Bearer "));
                self.authority = given.and_then(Authority::of).or(self.authority);
                Ok(vec![json!({"type": "connection_ack"})])
            }
            ("ping", false) => Ok(vec![json!({"type": "pong"})]),
            ("pong" | "complete", false) | ("stop" | "connection_terminate", true) => Ok(vec![]),
            ("subscribe", false) | ("start", true) if !self.begun => Err((4401, "Unauthorized")),
            ("subscribe", false) | ("start", true) => {
                let none = Value::Null;
                let (status, answer) = self.server.with_state(|state| {
                    graphql::execute(state, self.authority, payload.unwrap_or(&none))
                });
                if status != 200 {
                    let errors = answer.get("errors");
                    return Ok(vec![json!({"id": id, "type": "error", "payload": errors})]);
                }
                let kind = if self.legacy { "data" } else { "next" };
                Ok(vec![
                    json!({"id": id, "type": kind, "payload": answer}),
                    json!({"id": id, "type": "complete"}),
                ])
            }
            _ => Err((4400, "Bad request")),
        }
    }
}
