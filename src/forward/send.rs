//! One exchange with an upstream.
//!
//! Takes a permit and the agent's pool; returns the response with the lease of its connection.
//! Nothing is sent twice: a request that a dead connection gave back unsent goes out on another,
//! and so does a bodiless GET or HEAD whose reused connection died before any response byte. An
//! upstream that lives and refuses, or answers badly, has had its request.

use super::clean::{Clean, Guard};
use super::dial::Reach;
use super::heard::Heard;
use super::pool::{Connection, Http1, Key, Pool};
use super::resolve::Names;
use super::{Coming, Error, RequestBody};
use crate::decide::{Permit, Ruling};
use crate::message::{Head, Target};
use crate::policy::{Limits, Network};
use http::header::{self, HeaderValue};
use http::{HeaderMap, Method, Request, Response, Uri, Version};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::{TrySendError, http1, http2};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::ClientConfig;
use rustls_pki_types::ServerName;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a connection may go on sending once its answer is over, and still be used again.
const SETTLING: Duration = Duration::from_secs(5);

/// How upstreams are reached under one policy.
#[derive(Debug)]
pub struct Upstream {
    both: Arc<ClientConfig>,
    http1: Arc<ClientConfig>,
    reach: Reach,
    names: Names,
    generation: u64,
    tasks: TaskTracker,
    replaced: CancellationToken,
}

/// An upstream's answer.
#[derive(Debug)]
pub struct Sent {
    /// The response; its body has not been read.
    pub response: Response<Clean>,
    /// The address that was dialled.
    pub address: SocketAddr,
    /// How often the request was sent: once, or twice where that is safe.
    pub attempts: u8,
    /// What gives the connection back once the body has been read.
    pub lease: Lease,
    /// Why it was allowed.
    pub ruling: Box<Ruling>,
}

/// A connection that is in use; dropping it closes the connection.
#[derive(Debug)]
pub struct Lease {
    pool: Arc<Pool>,
    key: Key,
    connection: Option<Connection>,
    address: SocketAddr,
    tasks: TaskTracker,
}

impl Lease {
    /// Gives the connection back for the agent's next request, once it can carry one: an upstream
    /// may answer before it has all of the request.
    pub fn give_back(&mut self) {
        match self.connection.take() {
            Some(Connection::Http1(mut one)) if !one.sender.is_ready() => {
                let (pool, key, address) = (self.pool.clone(), self.key.clone(), self.address);
                self.tasks.spawn(async move {
                    if matches!(timeout(SETTLING, one.sender.ready()).await, Ok(Ok(()))) {
                        pool.put(&key, Connection::Http1(one), address);
                    }
                });
            }
            Some(connection) => self.pool.put(&self.key, connection, self.address),
            None => {}
        }
    }
}

/// Tasks of connections, tracked so that a drain waits for them.
#[derive(Clone, Debug)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

impl Upstream {
    /// How upstreams are reached: what they are verified against, what is never dialled, and how
    /// their names become addresses.
    pub fn new(
        config: &Arc<ClientConfig>,
        reach: Reach,
        names: Names,
        generation: u64,
        tasks: TaskTracker,
    ) -> Self {
        let mut http1 = ClientConfig::clone(config);
        http1.alpn_protocols = vec![b"http/1.1".to_vec()];
        let replaced = CancellationToken::new();
        let (both, http1) = (config.clone(), Arc::new(http1));
        Self { both, http1, reach, names, generation, tasks, replaced }
    }

    /// The policy generation it belongs to.
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Cancelled once another takes its place: what was opened under it asks again.
    pub const fn replaced(&self) -> &CancellationToken {
        &self.replaced
    }

    /// Sends a permitted request. `http2` is whether the client speaks it.
    pub async fn send(
        &self,
        permit: Permit<Coming>,
        http2: bool,
        pool: &Arc<Pool>,
        network: &Network,
        limits: &Limits,
    ) -> Result<Sent, Error> {
        let websocket = permit.allows_websocket();
        let (message, mut ruling) = permit.into_message();
        let (injections, kept_back) =
            (std::mem::take(&mut ruling.injections), std::mem::take(&mut ruling.kept_back));
        let guard = Guard::new(injections, kept_back);
        let (head, body) = message.into_parts();
        let body = RequestBody::of(body);
        let progress = body.progress();
        let target = head.target().clone();
        let key = Key { target, http2: http2 && !websocket, generation: self.generation };
        let safe = matches!(*head.method(), Method::GET | Method::HEAD) && body.is_empty();
        let mut outgoing = Outgoing { head, body: Some(body), guard, websocket };
        let mut attempts = 1;
        loop {
            let (mut connection, address, reused) =
                self.connection(&key, pool, network, limits).await?;
            let again = safe && reused;
            // A reused connection may give the request back, whose form is that of its protocol.
            let request = outgoing.request(&connection, reused)?;
            match exchange(&mut connection, request, limits.answer).await {
                None => return Err(Error::Slow(limits.answer)),
                Some(Ok(response)) => {
                    let reusable = !websocket && is_reusable(&response);
                    let connection = Some(connection).filter(|_| reusable);
                    let (pool, tasks) = (pool.clone(), self.tasks.clone());
                    let lease = Lease { pool, key, connection, address, tasks };
                    let response = outgoing.guard.incoming(response)?;
                    return Ok(Sent { response, address, attempts, lease, ruling });
                }
                Some(Err(mut failed)) => match failed.take_message() {
                    // Given back unsent by a connection that had died; it has never left.
                    Some(unsent) if reused => outgoing.body = Some(unsent.into_body()),
                    _ if again && attempts == 1 && died(&connection, failed.error()) => {
                        attempts = 2;
                        outgoing.body = Some(RequestBody::Whole(None));
                    }
                    _ => {
                        let objection = progress.and_then(|progress| progress.objection());
                        return Err(
                            objection.map_or_else(|| failed.into_error().into(), Error::Objection)
                        );
                    }
                },
            }
        }
    }

    async fn connection(
        &self,
        key: &Key,
        pool: &Pool,
        network: &Network,
        limits: &Limits,
    ) -> Result<(Connection, SocketAddr, bool), Error> {
        if let Some((connection, address)) = pool.take(key) {
            return Ok((connection, address, true));
        }
        let dialled =
            timeout(limits.connect, Box::pin(self.dial(key, network, limits.connect))).await;
        let (connection, address) = dialled.map_err(|_elapsed| {
            Error::Connect(std::io::Error::new(ErrorKind::TimedOut, "connecting took too long"))
        })??;
        if let Connection::Http2(sender) = &connection {
            pool.put(key, Connection::Http2(sender.clone()), address);
        }
        Ok((connection, address, false))
    }

    async fn dial(
        &self,
        key: &Key,
        network: &Network,
        within: Duration,
    ) -> Result<(Connection, SocketAddr), Error> {
        let addresses = self.names.resolve(&key.target, network, &self.reach, within).await?;
        let (stream, address) = connect(&addresses, within).await?;
        if key.target.is_cleartext() {
            return Ok((self.http1(stream).await?, address));
        }
        let host = key.target.host().as_str().to_owned();
        let name = ServerName::try_from(host).map_err(|error| Error::Resolve(error.to_string()))?;
        let config = if key.http2 { &self.both } else { &self.http1 };
        let stream =
            TlsConnector::from(config.clone()).connect(name, stream).await.map_err(tls_error)?;
        let connection = if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            self.http2(stream).await?
        } else {
            self.http1(stream).await?
        };
        Ok((connection, address))
    }

    async fn http1<S>(&self, stream: S) -> Result<Connection, Error>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let (stream, heard) = Heard::new(stream);
        let (sender, connection) = http1::Builder::new().handshake(TokioIo::new(stream)).await?;
        self.tasks.spawn(async move {
            // The exchange that used the connection has had its error already.
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "an upstream connection ended");
            }
        });
        let patience = Box::pin(tokio::time::sleep(Duration::ZERO));
        Ok(Connection::Http1(Http1 { sender, patience, heard }))
    }

    async fn http2<S>(&self, stream: S) -> Result<Connection, Error>
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let mut builder = http2::Builder::new(Tracked(self.tasks.clone()));
        builder
            .timer(TokioTimer::new())
            .initial_stream_window_size(1 << 20)
            .initial_connection_window_size(4 << 20)
            .max_header_list_size(64 << 10)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20));
        let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
        self.tasks.spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "an upstream connection ended");
            }
        });
        Ok(Connection::Http2(sender))
    }
}

async fn connect(
    addresses: &[SocketAddr],
    within: Duration,
) -> Result<(TcpStream, SocketAddr), Error> {
    let mut last = std::io::Error::from(ErrorKind::AddrNotAvailable);
    // One address that swallows everything must not take the time of the others.
    let share = within / u32::try_from(addresses.len()).unwrap_or(u32::MAX).max(1);
    for address in addresses {
        match timeout(share, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                stream.set_nodelay(true).map_err(Error::Connect)?;
                return Ok((stream, *address));
            }
            Ok(Err(error)) => last = error,
            Err(_elapsed) => last = std::io::Error::from(ErrorKind::TimedOut),
        }
    }
    Err(Error::Connect(last))
}

/// A failed handshake is the certificate's fault unless the connection broke.
fn tls_error(error: std::io::Error) -> Error {
    let is_tls =
        error.get_ref().is_some_and(<dyn std::error::Error + Send + Sync>::is::<rustls::Error>);
    if is_tls { Error::Unverified(error) } else { Error::Connect(error) }
}

/// Sends a request and waits for the head of its answer; none if that takes too long. While a body
/// gets on, however long it is, nobody waits for the upstream.
async fn exchange(
    connection: &mut Connection,
    request: Request<RequestBody>,
    within: Duration,
) -> Option<Result<Response<Incoming>, TrySendError<Request<RequestBody>>>> {
    let progress = request.body().progress();
    // How long may be waited still, once so much has been.
    let left = || {
        let rests = progress.as_ref().map_or(within, |progress| progress.rests());
        Some(within.saturating_sub(rests)).filter(|left| !left.is_zero())
    };
    match connection {
        Connection::Http1(Http1 { sender, patience, heard }) => {
            heard.store(false, Ordering::Relaxed);
            patience.as_mut().reset(tokio::time::Instant::now() + within);
            let mut answer = std::pin::pin!(sender.try_send_request(request));
            loop {
                tokio::select! {
                    biased;
                    answer = answer.as_mut() => return Some(answer),
                    () = patience.as_mut() => {
                        patience.as_mut().reset(tokio::time::Instant::now() + left()?);
                    }
                }
            }
        }
        Connection::Http2(sender) => {
            let mut answer = std::pin::pin!(sender.try_send_request(request));
            let mut wait = within;
            loop {
                match timeout(wait, answer.as_mut()).await {
                    Ok(answer) => return Some(answer),
                    Err(_elapsed) => wait = left()?,
                }
            }
        }
    }
}

/// Whether a connection ended before any byte of an answer. A stream that was reset on a connection
/// that lives has not, nor has an answer that cannot be read.
fn died(connection: &Connection, error: &hyper::Error) -> bool {
    if let Connection::Http1(one) = connection
        && one.heard.load(Ordering::Relaxed)
    {
        return false;
    }
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref());
    let ended = cause.is_some_and(|cause: &std::io::Error| {
        matches!(
            cause.kind(),
            ErrorKind::UnexpectedEof
                | ErrorKind::ConnectionReset
                | ErrorKind::ConnectionAborted
                | ErrorKind::BrokenPipe
                | ErrorKind::NotConnected
        )
    });
    ended || error.is_canceled() || error.is_closed() || error.is_incomplete_message()
}

fn is_reusable(response: &Response<Incoming>) -> bool {
    let close = response.headers().get_all(header::CONNECTION).iter().any(|value| {
        value
            .as_bytes()
            .split(|byte| *byte == b',')
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"close"))
    });
    !close
        && response.status() != http::StatusCode::SWITCHING_PROTOCOLS
        && response.version() != Version::HTTP_10
}

struct Outgoing {
    head: Box<Head>,
    body: Option<RequestBody>,
    guard: Guard,
    websocket: bool,
}

impl Outgoing {
    /// The judged value in the form of the upstream's protocol.
    fn request(
        &mut self,
        connection: &Connection,
        keep: bool,
    ) -> Result<Request<RequestBody>, Error> {
        let body = self.body.take().unwrap_or(RequestBody::Whole(None));
        let mut request = Request::new(body);
        *request.method_mut() = self.head.method().clone();
        let mut headers = if keep { self.head.headers().clone() } else { self.head.take_headers() };
        let path = self.guard.outgoing(self.head.path_and_query(), &mut headers);
        match connection {
            Connection::Http1(_) => {
                let expected =
                    matches!(*self.head.method(), Method::POST | Method::PUT | Method::PATCH);
                if expected && request.body().size_hint().exact() == Some(0) {
                    // Servers insist on it where a body is expected (RFC 9110 section 8.6).
                    headers.insert(header::CONTENT_LENGTH, HeaderValue::from_static("0"));
                }
                *request.uri_mut() = path.parse::<Uri>().map_err(http::Error::from)?;
                if self.websocket {
                    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
                    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
                } else if headers.contains_key(header::TE) {
                    headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
                }
                if request.body().size_hint().exact().is_none() {
                    // hyper would send a GET or HEAD whose length it does not know without its body.
                    let chunked = HeaderValue::from_static("chunked");
                    headers.insert(header::TRANSFER_ENCODING, chunked);
                }
            }
            Connection::Http2(_) => {
                *request.uri_mut() = absolute(self.head.target(), &path)?;
                *request.version_mut() = Version::HTTP_2;
                headers.remove(header::HOST);
            }
        }
        *request.headers_mut() = headers;
        Ok(request)
    }
}

fn absolute(target: &Target, path: &str) -> Result<Uri, Error> {
    let scheme = if target.is_cleartext() { "http" } else { "https" };
    Ok(Uri::builder().scheme(scheme).authority(target.authority()).path_and_query(path).build()?)
}

/// Fields of a response that end at this hop, and Alt-Svc, which would lead around the proxy.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let nominated: Vec<String> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(|name| name.trim().to_ascii_lowercase()))
        .filter(|name| !name.is_empty() && name != "close" && name != "keep-alive")
        .collect();
    for name in nominated {
        headers.remove(name.as_str());
    }
    for name in [
        "connection",
        "keep-alive",
        "proxy-connection",
        "transfer-encoding",
        "upgrade",
        "te",
        "alt-svc",
        "proxy-authenticate",
        "proxy-status",
    ] {
        headers.remove(name);
    }
}
