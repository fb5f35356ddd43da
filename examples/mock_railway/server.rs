//! Accepts connections, reads requests, keeps what it saw, and leads each to what answers it.
//!
//! Takes a bound listener; runs until it is stopped. Refuses bodies over 4 MiB, clients that are
//! slow for half a minute, and hosts it has no certificate for.

use super::state::{Authority, REVOKED_TOKEN, State};
use super::wire::Counted;
use super::{HOSTS, graphql, neighbours, socket};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, UPGRADE};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ServerConfig;
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const MOST_CONNECTIONS: usize = 4096;
const MOST_SEEN: usize = 1024;
const MOST_BODY: usize = 4 << 20;
const MOST_BODY_KEPT: usize = 64 << 10;
const PATIENCE: Duration = Duration::from_secs(30);

/// The body of an answer.
pub type Body = BoxBody<Bytes, Infallible>;

/// How the mock behaves.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen, on loopback.
    pub listen: SocketAddr,
    /// How long each answer is kept back, after the request was executed.
    pub delay: Option<Duration>,
    /// Whether each connection ends once a request was read: nothing is executed, nothing answered.
    pub close_after_head: bool,
    /// Called with each request.
    pub on_request: Option<fn(&Seen)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            delay: None,
            close_after_head: false,
            on_request: None,
        }
    }
}

/// A request that arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The method.
    pub method: String,
    /// The host, without a port.
    pub host: String,
    /// The path, with the query.
    pub path: String,
    /// The headers, names in small letters; what is not text is shown as the replacement character.
    pub headers: Vec<(String, String)>,
    /// The body, its first 64 KiB.
    pub body: Bytes,
}

impl Seen {
    /// The first header of a name, given in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What all connections share.
#[derive(Debug)]
pub struct Server {
    options: Options,
    state: Mutex<State>,
    seen: Mutex<VecDeque<Seen>>,
    messages: Mutex<VecDeque<String>>,
    received: Arc<AtomicU64>,
    connections: AtomicU64,
}

impl Server {
    /// A server with the seeded state.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            state: Mutex::new(State::seeded()),
            seen: Mutex::default(),
            messages: Mutex::default(),
            received: Arc::default(),
            connections: AtomicU64::new(0),
        }
    }

    /// How many bytes arrived.
    pub fn bytes_received(&self) -> u64 {
        self.received.load(Ordering::SeqCst)
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::SeqCst)
    }

    /// The requests that arrived, oldest first.
    pub fn requests(&self) -> Vec<Seen> {
        lock(&self.seen).iter().cloned().collect()
    }

    /// The messages that arrived over a WebSocket, oldest first.
    pub fn messages(&self) -> Vec<String> {
        lock(&self.messages).iter().cloned().collect()
    }

    /// Keeps a message.
    pub fn keep_message(&self, message: String) {
        let mut all = lock(&self.messages);
        if all.len() >= MOST_SEEN {
            all.pop_front();
        }
        all.push_back(message);
    }

    /// Looks at the state, or changes it.
    pub fn with_state<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut lock(&self.state))
    }

    /// Keeps a request.
    pub fn keep(&self, seen: Seen) {
        if let Some(on_request) = self.options.on_request {
            on_request(&seen);
        }
        let mut all = lock(&self.seen);
        if all.len() >= MOST_SEEN {
            all.pop_front();
        }
        all.push_back(seen);
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        close: &CancellationToken,
    ) -> Response<Body> {
        let (head, body) = request.into_parts();
        let authority = head.uri.authority().map(|authority| authority.host().to_owned());
        let named = head.headers.get(HOST).and_then(|host| host.to_str().ok());
        let host = authority.or_else(|| Some(named?.split(':').next()?.to_owned()));
        let host = host.unwrap_or_default().to_ascii_lowercase();
        let body = match timeout(PATIENCE, Limited::new(body, MOST_BODY).collect()).await {
            Ok(Ok(body)) => body.to_bytes(),
            Ok(Err(_)) => {
                return message(StatusCode::PAYLOAD_TOO_LARGE, "The body is not readable.");
            }
            Err(_) => return message(StatusCode::REQUEST_TIMEOUT, "The body did not arrive."),
        };
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let headers = head.headers.iter().map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        });
        self.keep(Seen {
            method: head.method.to_string(),
            host: host.clone(),
            path: path.to_owned(),
            headers: headers.collect(),
            body: body.slice(..body.len().min(MOST_BODY_KEPT)),
        });
        if self.options.close_after_head {
            close.cancel();
            // The connection ends under this request; it is never answered.
            return std::future::pending().await;
        }
        let mut answer = self.route(&head.method, &host, head.uri.path(), &head.headers, &body);
        if head.method == Method::HEAD {
            // On HTTP/2 nobody else leaves the body out.
            if let Some(length) = answer.body().size_hint().exact() {
                answer.headers_mut().insert(CONTENT_LENGTH, length.into());
            }
            *answer.body_mut() = Empty::new().boxed();
        }
        if let Some(delay) = self.options.delay {
            tokio::time::sleep(delay).await;
        }
        answer
    }

    fn route(
        &self,
        method: &Method,
        host: &str,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Response<Body> {
        match host {
            "backboard.railway.com" | "backboard.railway.app" => {
                self.graphql(method, path, headers, body)
            }
            "api.staging.railway.app" => {
                let token = token(headers);
                self.with_state(|state| neighbours::staging(state, method, path, token, body))
            }
            "docs.railway.com" => neighbours::docs(method, path),
            "api.anthropic.com" => neighbours::model(method, path, body),
            "raw.githubusercontent.com" => neighbours::raw(method, path),
            _ => {
                let hosts = HOSTS.join(", ");
                message(
                    StatusCode::MISDIRECTED_REQUEST,
                    &format!("`{host}` is not served here, only {hosts}."),
                )
            }
        }
    }

    fn graphql(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Response<Body> {
        if path != "/graphql/v2" {
            return message(StatusCode::NOT_FOUND, "There is nothing but /graphql/v2.");
        }
        if method != Method::POST {
            return message(StatusCode::METHOD_NOT_ALLOWED, "GraphQL is served over POST only.");
        }
        let token = token(headers);
        if token == Some(REVOKED_TOKEN) {
            return message(StatusCode::UNAUTHORIZED, "The token does not match any credential.");
        }
        // The media type is not looked at: clients that label their JSON a form are served too.
        let Ok(request) = serde_json::from_slice::<Value>(body) else {
            return message(StatusCode::BAD_REQUEST, "The body is not JSON.");
        };
        let authority = token.and_then(Authority::of);
        let mut state = lock(&self.state);
        let (status, answer) = match &request {
            Value::Array(batch) => {
                let mut execute = |request| graphql::execute(&mut state, authority, request).1;
                (200, batch.iter().map(&mut execute).collect())
            }
            single => graphql::execute(&mut state, authority, single),
        };
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        json_answer(status, &answer)
    }
}

/// Accepts until it is stopped.
pub async fn accept(
    server: Arc<Server>,
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    tasks: TaskTracker,
    stop: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let accepting = async {
        while let Ok(place) = Arc::clone(&places).acquire_owned().await {
            let Ok((stream, _)) = listener.accept().await else {
                // Out of file descriptors, most likely: others must end before one more can begin.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            server.connections.fetch_add(1, Ordering::SeqCst);
            let connection = stop.child_token();
            let serving = serve(
                Arc::clone(&server),
                stream,
                Arc::clone(&tls),
                tasks.clone(),
                connection.clone(),
            );
            tasks.spawn(async move {
                connection.run_until_cancelled(serving).await;
                drop(place);
            });
        }
    };
    stop.run_until_cancelled(accepting).await;
}

async fn serve(
    server: Arc<Server>,
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    tasks: TaskTracker,
    connection: CancellationToken,
) {
    // A client that ends early is no failure of the mock: what arrived of it was counted.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let stream = Counted::new(stream, Arc::clone(&server.received));
    let Ok(Ok(stream)) = timeout(PATIENCE, TlsAcceptor::from(tls).accept(stream)).await else {
        return;
    };
    let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
    let stop = connection.clone();
    let sockets = tasks.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (server, connection) = (Arc::clone(&server), connection.clone());
        let sockets = sockets.clone();
        async move {
            Ok::<_, Infallible>(if request.headers().contains_key(UPGRADE) {
                socket::open(&server, request, &sockets, connection)
            } else {
                server.answer(request, &connection).await
            })
        }
    });
    let stream = TokioIo::new(stream);
    let outcome = if http2 {
        hyper::server::conn::http2::Builder::new(Streams { tasks, stop })
            .timer(TokioTimer::new())
            .keep_alive_interval(PATIENCE)
            .keep_alive_timeout(PATIENCE)
            .serve_connection(stream, service)
            .await
    } else {
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .serve_connection(stream, service)
            .with_upgrades()
            .await
    };
    // Broken connections are part of what is tested; the requests that did arrive were kept.
    drop(outcome);
}

/// Runs the streams of an HTTP/2 connection as tracked tasks that end with it.
#[derive(Clone)]
struct Streams {
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl<F: Future<Output = ()> + Send + 'static> hyper::rt::Executor<F> for Streams {
    fn execute(&self, future: F) {
        let stop = self.stop.clone();
        self.tasks.spawn(async move { stop.run_until_cancelled(future).await });
    }
}

/// The token of a request.
pub fn token(headers: &HeaderMap) -> Option<&str> {
    let project = headers.get("project-access-token").and_then(|value| value.to_str().ok());
    project.or_else(|| {
        let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An answer that is complete at once.
pub fn full(status: StatusCode, media_type: &str, text: impl Into<Bytes>) -> Response<Body> {
    let mut response = Response::new(Full::new(text.into()).boxed());
    *response.status_mut() = status;
    if let Ok(value) = media_type.parse() {
        response.headers_mut().insert(CONTENT_TYPE, value);
    }
    response
}

/// A JSON answer.
pub fn json_answer(status: StatusCode, value: &Value) -> Response<Body> {
    full(status, "application/json; charset=utf-8", value.to_string())
}

/// An error in GraphQL's form, which plain clients can read as well.
pub fn message(status: StatusCode, text: &str) -> Response<Body> {
    json_answer(status, &json!({"errors": [{"message": text}]}))
}
