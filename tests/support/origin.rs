//! An upstream of the test's own, on loopback: it does what the test says, and counts.

use super::mock::certificates::Certificates;
pub use super::mock::server::Body;
use super::mock::wire::Counted;
use super::policy::Edit;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::ServerConfig;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// What a connection to the origin reads and writes.
pub trait Bytestream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Bytestream for T {}

/// A connection as a handler gets it.
pub struct Accepted {
    /// Its number, from zero.
    pub number: usize,
    /// Whether TLS agreed on HTTP/2.
    pub http2: bool,
    /// Its bytes, decrypted.
    pub stream: Box<dyn Bytestream>,
}

/// How the origin shows itself.
pub struct Identity {
    config: Option<Arc<ServerConfig>>,
    pem: String,
}

impl Identity {
    /// No TLS at all.
    pub const fn plain() -> Self {
        Self { config: None, pem: String::new() }
    }

    /// A leaf for these names under an authority of its own; HTTP/2 and HTTP/1.1.
    pub fn named(names: &[&str]) -> Self {
        let made = Certificates::make(names).unwrap();
        Self { config: Some(made.server), pem: made.ca_pem }
    }

    /// The same without HTTP/2.
    pub fn http1(names: &[&str]) -> Self {
        let Self { config, pem } = Self::named(names);
        let mut config = ServerConfig::clone(&config.unwrap());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Self { config: Some(Arc::new(config)), pem }
    }

    /// A certificate that is made by the test, with its key and what to trust it by.
    pub fn of(certificate: &rcgen::Certificate, key: &rcgen::KeyPair, pem: String) -> Self {
        Self::chain(vec![certificate.der().clone()], key, pem)
    }

    /// The same with those that signed it, and no check of whether any of it fits.
    pub fn chain(
        chain: Vec<rustls::pki_types::CertificateDer<'static>>,
        key: &rcgen::KeyPair,
        pem: String,
    ) -> Self {
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let key = provider.key_provider.load_private_key(key.into()).unwrap();
        let certified = rustls::sign::CertifiedKey::new(chain, key);
        let resolver = rustls::sign::SingleCertAndKey::from(certified);
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        Self { config: Some(Arc::new(config)), pem }
    }

    /// A configuration that is made by the test.
    pub fn configured(config: ServerConfig, pem: String) -> Self {
        Self { config: Some(Arc::new(config)), pem }
    }
}

#[derive(Default)]
struct Counts {
    connections: AtomicUsize,
    handshaken: AtomicUsize,
    bytes: Arc<AtomicU64>,
}

/// A running origin; it ends when it is dropped.
pub struct Origin {
    pub address: SocketAddr,
    counts: Arc<Counts>,
    folder: tempfile::TempDir,
    _stop: DropGuard,
}

impl Origin {
    /// Answers each request.
    pub async fn http<F, A>(identity: Identity, answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::raw(identity, move |accepted| {
            let answer = answer.clone();
            serve(accepted, answer)
        })
        .await
    }

    /// Does with each connection what the test says.
    pub async fn raw<F, A>(identity: Identity, handle: F) -> Self
    where
        F: Fn(Accepted) -> A + Send + Sync + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), &identity.pem).unwrap();
        let counts = Arc::new(Counts::default());
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (kept, accepting, handle) = (counts.clone(), tasks.clone(), Arc::new(handle));
        let (config, token) = (identity.config, stop.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                let number = kept.connections.fetch_add(1, Ordering::SeqCst);
                let stream = Counted::new(stream, kept.bytes.clone());
                let (config, handle, kept) = (config.clone(), handle.clone(), kept.clone());
                accepting.spawn(token.clone().run_until_cancelled_owned(async move {
                    let accepted = match config {
                        None => Accepted { number, http2: false, stream: Box::new(stream) },
                        Some(config) => {
                            let Ok(tls) = TlsAcceptor::from(config).accept(stream).await else {
                                return;
                            };
                            let http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
                            Accepted { number, http2, stream: Box::new(tls) }
                        }
                    };
                    kept.handshaken.fetch_add(1, Ordering::SeqCst);
                    handle(accepted).await;
                }));
            }
        }));
        Self { address, counts, folder, _stop: stop.drop_guard() }
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.counts.connections.load(Ordering::SeqCst)
    }

    /// How many finished their handshake, so that a request could have come.
    pub fn handshaken(&self) -> usize {
        self.counts.handshaken.load(Ordering::SeqCst)
    }

    /// How many bytes arrived, TLS included.
    pub fn bytes_received(&self) -> u64 {
        self.counts.bytes.load(Ordering::SeqCst)
    }

    /// What it is verified by.
    pub fn roots(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A policy that declares this origin under a host, with rules such as `- allow: GET /**`.
    pub fn declared(&self, policy: String, host: &str, rules: &str) -> String {
        let rules: String = rules.lines().flat_map(|rule| ["  ", rule.trim(), "\n"]).collect();
        Edit(policy)
            .resolve(&format!("{host}:443"), self.address)
            .root(&self.roots())
            .resource(host, &format!("hosts: [{host}]\nrules:\n{rules}"))
            .0
    }
}

/// Serves HTTP on an accepted connection, upgrades included.
pub async fn serve<F, A>(accepted: Accepted, answer: F)
where
    F: Fn(Request<Incoming>) -> A + Send + Sync + 'static,
    A: Future<Output = Response<Body>> + Send + 'static,
{
    let answer = Arc::new(answer);
    let service = service_fn(move |request| {
        let answer = answer.clone();
        async move { Ok::<_, Infallible>(answer(request).await) }
    });
    let stream = TokioIo::new(accepted.stream);
    let ended = if accepted.http2 {
        hyper::server::conn::http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .serve_connection(stream, service)
            .await
    } else {
        hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(stream, service)
            .with_upgrades()
            .await
    };
    // A connection that breaks is part of what is tested.
    drop(ended);
}

/// A short answer.
pub fn text(body: impl Into<Bytes>) -> Response<Body> {
    Response::new(Full::new(body.into()).boxed())
}
