//! Serving the questions of agents.
//!
//! Takes connections; answers one `POST /v1/tool-calls` on each, in JSON. Bounded connections, a deadline
//! on every head and body, a limit on every body and on how often and how much one agent asks; every
//! answer that is no verdict says `deny`, so that a client that reads nothing else is refused.

use super::answer::{Answer, Question};
use super::call::Call;
use super::listener::{Listener, Stream};
use super::lobby::{Lobby, Stranger};
use super::{LARGEST, PATH};
use crate::decide::Reason;
use crate::identity::identify_by;
use crate::listen::http1_builder;
use crate::message::json;
use crate::proxy::Proxy;
use crate::session::AgentState;
use bytes::Bytes;
use governor::{DefaultDirectRateLimiter, DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

const HEAD: Duration = Duration::from_secs(10);
const BODY: Duration = Duration::from_secs(10);
/// How much of a body that is too large is read, so that its client hears why.
const DISCARDED: usize = 4 << 20;
const FAILURES_PER_MINUTE: NonZeroU32 = NonZeroU32::new(60).unwrap();

/// What serves questions.
#[derive(Debug)]
pub struct Server {
    proxy: Arc<Proxy>,
    asked: DefaultKeyedRateLimiter<Arc<str>>,
    failures: DefaultDirectRateLimiter,
    lobby: Arc<Lobby>,
}

impl Server {
    /// For a proxy, with so many questions of one agent in a minute.
    pub fn new(proxy: Arc<Proxy>, per_minute: NonZeroU32) -> Self {
        Self {
            proxy,
            asked: RateLimiter::keyed(Quota::per_minute(per_minute)),
            failures: RateLimiter::direct(Quota::per_minute(FAILURES_PER_MINUTE)),
            lobby: Arc::default(),
        }
    }

    /// Serves until the proxy drains.
    pub async fn serve(self: Arc<Self>, listener: Listener) {
        let stop = &self.proxy.stop;
        loop {
            let accepted = tokio::select! {
                () = stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok(stream) => {
                    let stranger = Arc::new(self.lobby.enter());
                    self.proxy.tasks.spawn(self.clone().connection(stream, stranger));
                }
                Err(error) => {
                    tracing::warn!(%error, "a question about a tool call could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn connection(self: Arc<Self>, stream: Box<dyn Stream>, stranger: Arc<Stranger>) {
        let stop = self.proxy.stop.clone();
        let displaced = stranger.displaced.clone();
        let service = service_fn(move |request| {
            let (server, stranger) = (self.clone(), stranger.clone());
            async move { Ok::<_, Infallible>(server.response(request, &stranger).await) }
        });
        let connection = http1_builder(HEAD).serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = displaced.cancelled() => return,
            () = stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            tracing::debug!(%error, "a connection about tool calls ended");
        }
    }

    async fn response(
        &self,
        request: Request<Incoming>,
        stranger: &Stranger,
    ) -> Response<Full<Bytes>> {
        let (status, answer) = match self.answer(request, stranger).await {
            Ok(answer) => (StatusCode::OK, answer),
            Err(refusal) => *refusal,
        };
        let body = serde_json::to_vec(&answer).unwrap_or_else(|error| {
            tracing::error!(%error, "an answer could not be written");
            br#"{"verdict":"deny","reason":"not_recorded","message":"The answer could not be written."}"#
                .to_vec()
        });
        let mut response = Response::new(Full::new(Bytes::from(body)));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Who has its answer has no place any more, and a question takes a new one.
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        if status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Basic realm=\"holdgate\"");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        stranger: &Stranger,
    ) -> Result<Answer, Box<(StatusCode, Answer)>> {
        if request.uri().path() != PATH {
            let told = format!("There is nothing here but `POST {PATH}`.");
            return Err(refusal(StatusCode::NOT_FOUND, Reason::Malformed, &told));
        }
        if request.method() != Method::POST {
            let told = format!("Send `POST {PATH}`.");
            return Err(refusal(StatusCode::METHOD_NOT_ALLOWED, Reason::Malformed, &told));
        }
        let (parts, body) = request.into_parts();
        if parts.headers.contains_key(header::ORIGIN) || !is_json(&parts.headers) {
            let told =
                "Send `Content-Type: application/json`, and nothing from a page of a browser.";
            return Err(refusal(StatusCode::UNSUPPORTED_MEDIA_TYPE, Reason::Malformed, told));
        }
        let state = self.agent(&parts.headers)?;
        if self.asked.check_key(&state.name).is_err() {
            let told = "Too many questions about tool calls; wait, and ask again.";
            return Err(refusal(StatusCode::TOO_MANY_REQUESTS, Reason::OverLimit, told));
        }
        let most = self.proxy.current.load().policy.limits.agent_connections;
        let (Some(_place), Some(_question)) = (state.place(most), self.lobby.question(&state.name))
        else {
            let told = "Too many calls of this agent at a time; wait for an answer, and ask again.";
            return Err(refusal(StatusCode::TOO_MANY_REQUESTS, Reason::OverLimit, told));
        };
        stranger.leave();
        let body = tokio::time::timeout(BODY, whole(body)).await.map_err(|_elapsed| {
            let told = "The question did not arrive in time.";
            refusal(StatusCode::REQUEST_TIMEOUT, Reason::Unreadable, told)
        })??;
        let call = Call::read(&body).map_err(|error| {
            refusal(
                StatusCode::BAD_REQUEST,
                Reason::Malformed,
                &format!("The question is not read: {error}."),
            )
        })?;
        Ok(Question::new(self.proxy.clone(), state, call).answered().await)
    }

    /// Who asks.
    fn agent(&self, headers: &HeaderMap) -> Result<Arc<AgentState>, Box<(StatusCode, Answer)>> {
        let snapshot = self.proxy.current.load();
        match identify_by(&header::AUTHORIZATION, headers, &snapshot.policy) {
            Ok(agent) => Ok(self.proxy.agents.get(&agent.name)),
            Err(_) if self.failures.check().is_err() => {
                let told = "Too many wrong secrets; wait a minute.";
                Err(refusal(StatusCode::TOO_MANY_REQUESTS, Reason::OverLimit, told))
            }
            Err(_) => {
                let told = "Send the agent's name and secret as `Authorization: Basic`.";
                Err(refusal(StatusCode::UNAUTHORIZED, Reason::NotIdentified, told))
            }
        }
    }
}

fn refusal(status: StatusCode, reason: Reason, told: &str) -> Box<(StatusCode, Answer)> {
    Box::new((status, Answer::denied(reason, told)))
}

/// A form of a foreign page cannot say so.
fn is_json(headers: &HeaderMap) -> bool {
    let media = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let media = media.and_then(|media| media.split(';').next()).unwrap_or_default();
    json::is_media(&media.trim().to_ascii_lowercase())
}

/// A whole body within its limit.
async fn whole(mut body: Incoming) -> Result<Bytes, Box<(StatusCode, Answer)>> {
    let too_large = || {
        let told = format!("The question is larger than {} KiB.", LARGEST >> 10);
        refusal(StatusCode::PAYLOAD_TOO_LARGE, Reason::Unreadable, &told)
    };
    if body.size_hint().lower() > DISCARDED as u64 {
        return Err(too_large());
    }
    let (mut bytes, mut discarded) = (Vec::new(), 0_usize);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_cut_short| {
            refusal(StatusCode::BAD_REQUEST, Reason::Unreadable, "The question was cut short.")
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if discarded == 0 && bytes.len() + data.len() <= LARGEST {
            bytes.extend_from_slice(&data);
            continue;
        }
        bytes = Vec::new();
        discarded = discarded.saturating_add(data.len());
        if discarded > DISCARDED {
            break;
        }
    }
    if discarded > 0 { Err(too_large()) } else { Ok(Bytes::from(bytes)) }
}
