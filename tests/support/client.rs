//! A client by hand: CONNECT, TLS and HTTP one by one, for what real clients do not do.

use super::origin::Body;
use super::{PATIENCE, Running};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// Waits no longer than a test waits.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let waited = tokio::time::timeout(PATIENCE, future).await;
    waited.unwrap_or_else(|_| panic!("{what}: not within {PATIENCE:?}"))
}

/// The head and the body of an answer in plain HTTP/1.1.
#[derive(Debug)]
pub struct Plain {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Plain {
    /// The `reason` of a refusal.
    pub fn reason(&self) -> String {
        let value: serde_json::Value = serde_json::from_str(&self.body).unwrap_or_default();
        value["reason"].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends bytes to the proxy's port and reads one answer.
pub async fn say(proxy: SocketAddr, bytes: &str) -> Plain {
    within("an answer", async {
        let mut stream = TcpStream::connect(proxy).await.unwrap();
        stream.write_all(bytes.as_bytes()).await.unwrap();
        read_answer(&mut BufReader::new(stream)).await
    })
    .await
}

/// Reads one answer with a `Content-Length`, or none.
pub async fn read_answer<S: tokio::io::AsyncRead + Unpin>(stream: &mut BufReader<S>) -> Plain {
    let (head, body) = read_message(stream).await;
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Plain { status, head, body }
}

/// Reads the head, in small letters, and the body of a request or an answer.
pub async fn read_message<S: tokio::io::AsyncRead + Unpin>(
    stream: &mut BufReader<S>,
) -> (String, String) {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        let read = stream.read_line(&mut head).await.unwrap();
        assert!(read > 0, "the connection ended in the head: {head:?}");
    }
    let head = head.to_ascii_lowercase();
    let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name));
    let length = field("content-length: ").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.unwrap();
    (head, String::from_utf8(body).unwrap())
}

/// A tunnel that the proxy opened.
pub async fn connect(proxy: SocketAddr, authority: &str) -> TcpStream {
    connect_as(None, proxy, authority).await
}

/// The same as the agent that a token proves.
async fn connect_as(user: Option<&str>, proxy: SocketAddr, authority: &str) -> TcpStream {
    let proof = user.map_or_else(String::new, |user| {
        format!("Proxy-Authorization: Basic {}\r\n", STANDARD.encode(user))
    });
    within("a tunnel", async {
        let mut stream = TcpStream::connect(proxy).await.unwrap();
        let head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{proof}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
        stream
    })
    .await
}

/// Trust in the proxy's authority and nothing else.
pub fn trust(ca: &Path, alpn: &[&str]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// TLS through a tunnel to `authority`, asking for `name`.
pub async fn tls(
    running: &Running,
    authority: &str,
    name: &str,
    config: Arc<ClientConfig>,
) -> io::Result<TlsStream<TcpStream>> {
    let stream = connect_as(running.user.as_deref(), running.proxy, authority).await;
    let name = ServerName::try_from(name.to_owned()).unwrap();
    within("a handshake", TlsConnector::from(config).connect(name, stream)).await
}

enum Sender {
    Http1(http1::SendRequest<Body>),
    Http2(http2::SendRequest<Body>),
}

/// A connection through the proxy to one host; it closes when it is dropped.
pub struct Client {
    host: String,
    sender: Sender,
    tasks: JoinSet<()>,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub struct Got {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

impl Got {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub fn reason(&self) -> String {
        self.json()["reason"].as_str().unwrap_or_default().to_owned()
    }
}

impl Client {
    /// Opens a connection that speaks HTTP/1.1.
    pub async fn http1(running: &Running, host: &str) -> Self {
        let stream = Self::handshaken(running, host, "http/1.1").await;
        let (sender, connection) = http1::handshake(stream).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(connection.with_upgrades().await) });
        Self { host: host.to_owned(), sender: Sender::Http1(sender), tasks }
    }

    /// Opens a connection that speaks HTTP/2.
    pub async fn http2(running: &Running, host: &str) -> Self {
        let stream = Self::handshaken(running, host, "h2").await;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { drop(connection.await) });
        Self { host: host.to_owned(), sender: Sender::Http2(sender), tasks }
    }

    async fn handshaken(
        running: &Running,
        host: &str,
        alpn: &str,
    ) -> TokioIo<TlsStream<TcpStream>> {
        let authority = format!("{host}:443");
        let stream = tls(running, &authority, host, trust(&running.ca, &[alpn])).await;
        TokioIo::new(stream.unwrap())
    }

    /// Either.
    pub async fn open(running: &Running, host: &str, http2: bool) -> Self {
        if http2 { Self::http2(running, host).await } else { Self::http1(running, host).await }
    }

    /// Another sender of the same HTTP/2 connection.
    pub fn stream(&self) -> Self {
        let Sender::Http2(sender) = &self.sender else { panic!("HTTP/1.1 has no streams") };
        let sender = Sender::Http2(sender.clone());
        Self { host: self.host.clone(), sender, tasks: JoinSet::new() }
    }

    /// A request in the form of the connection's protocol.
    pub fn request(&self, method: &str, path: &str) -> http::request::Builder {
        let builder = Request::builder().method(method);
        match self.sender {
            Sender::Http1(_) => builder.uri(path).header("host", &self.host),
            Sender::Http2(_) => builder.uri(format!("https://{}{path}", self.host)),
        }
    }

    /// Sends a request; the answer's body has not been read.
    pub async fn send(&mut self, request: Request<Body>) -> hyper::Result<Response<Incoming>> {
        within("an answer", async {
            match &mut self.sender {
                Sender::Http1(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
                Sender::Http2(sender) => {
                    sender.ready().await?;
                    sender.send_request(request).await
                }
            }
        })
        .await
    }

    /// Sends a request and reads its answer.
    pub async fn exchange(&mut self, request: Request<Body>) -> Got {
        read(self.send(request).await.unwrap()).await
    }

    /// A plain read.
    pub async fn get(&mut self, path: &str) -> Got {
        let request = self.request("GET", path).body(empty()).unwrap();
        self.exchange(request).await
    }

    /// A write of a few bytes.
    pub async fn post(&mut self, path: &str, body: &str) -> Got {
        let request = self.request("POST", path).body(full(body.to_owned())).unwrap();
        self.exchange(request).await
    }

    /// Ends the connection at once.
    pub async fn cut(mut self) {
        self.tasks.shutdown().await;
    }
}

/// Reads an answer to its end.
pub async fn read(response: Response<Incoming>) -> Got {
    let (head, body) = response.into_parts();
    let collected = within("the answer's end", body.collect()).await.unwrap();
    let trailers = collected.trailers().cloned().unwrap_or_default();
    let body = collected.to_bytes();
    Got { status: head.status, headers: head.headers, body, trailers }
}

/// No body.
pub fn empty() -> Body {
    Empty::new().boxed()
}

/// A body that is there at once.
pub fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).boxed()
}

/// A body that is sent as the test goes on; it ends when the sender is dropped.
pub fn streamed() -> (mpsc::Sender<Frame<Bytes>>, Body) {
    let (sender, receiver) = mpsc::channel(1);
    let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
        Some((Ok(receiver.recv().await?), receiver))
    });
    (sender, StreamBody::new(frames).boxed())
}
