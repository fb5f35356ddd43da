//! TCP -> (CONNECT) -> TLS -> HTTP/1.1 or HTTP/2.
use crate::Args;
use bytes::Bytes;
use http_body_util::{combinators::BoxBody, BodyExt, Full};
use hyper::{
    body::Incoming,
    client::conn::{http1, http2},
    header::{HeaderMap, HeaderName},
    Method, Request, Response,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::{
    pki_types::{pem::PemObject, CertificateDer, ServerName},
    ClientConfig, RootCertStore,
};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{client::TlsStream, TlsConnector};

pub type Err = Box<dyn std::error::Error + Send + Sync>;
pub type Body = BoxBody<Bytes, Infallible>;

#[derive(Clone)]
pub struct Target {
    /// the proxy, or the origin itself when `tunnel` is false
    pub dial: SocketAddr,
    pub tunnel: bool,
    pub port: u16,
    pub h2: bool,
    pub tls: Arc<ClientConfig>,
    pub timeout: Duration,
    pub form: Form,
}

/// What each request carries where it is not a plain GET or an upload.
#[derive(Clone)]
pub struct Form {
    method: Option<Method>,
    headers: HeaderMap,
    body: Option<Bytes>,
}

impl Form {
    /// `--method`, `--header` (as often as needed) and `--body-file`.
    pub fn of(args: &Args) -> Self {
        let mut headers = HeaderMap::new();
        for h in args.all("header") {
            let (k, v) = h.split_once(':').expect("--header 'NAME: VALUE'");
            let k: HeaderName = k.parse().expect("--header name");
            headers.insert(k, v.trim().parse().expect("--header value"));
        }
        Self {
            method: args.get("method").map(|m| m.parse().expect("--method")),
            headers,
            body: args
                .get("body-file")
                .map(|f| std::fs::read(f).unwrap_or_else(|e| panic!("{f}: {e}")).into()),
        }
    }
    /// Bytes of the body, for the throughput.
    pub fn len(&self) -> usize {
        self.body.as_ref().map_or(0, Bytes::len)
    }
}

pub enum Conn {
    H1(http1::SendRequest<Body>),
    H2(http2::SendRequest<Body>),
}

/// Same suite and key exchange for every peer: AES-128-GCM first, X25519 only. With `pq`, the
/// library's default (X25519MLKEM768 first).
pub fn provider(pq: bool) -> rustls::crypto::CryptoProvider {
    use rustls::crypto::aws_lc_rs as p;
    let mut c = p::default_provider();
    if !pq {
        c.kx_groups = vec![p::kx_group::X25519];
        c.cipher_suites = vec![
            p::cipher_suite::TLS13_AES_128_GCM_SHA256,
            p::cipher_suite::TLS13_AES_256_GCM_SHA384,
            p::cipher_suite::TLS13_CHACHA20_POLY1305_SHA256,
            p::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
            p::cipher_suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
            p::cipher_suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
            p::cipher_suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        ];
    }
    c
}

/// Full handshakes only: no session resumption, so that every new connection costs the same.
pub fn tls_config(ca_files: &str, h2: bool, pq: bool) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for f in ca_files.split(',') {
        for c in CertificateDer::pem_file_iter(f).unwrap_or_else(|e| panic!("{f}: {e}")) {
            roots.add(c.expect("pem")).expect("root");
        }
    }
    let mut c = ClientConfig::builder_with_provider(Arc::new(provider(pq)))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    c.resumption = rustls::client::Resumption::disabled();
    c.alpn_protocols = vec![if h2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
    Arc::new(c)
}

impl Target {
    pub async fn tls(&self, host: &str) -> Result<TlsStream<TcpStream>, Err> {
        let mut s = TcpStream::connect(self.dial).await?;
        s.set_nodelay(true)?;
        if self.tunnel {
            let p = self.port;
            s.write_all(
                format!("CONNECT {host}:{p} HTTP/1.1\r\nHost: {host}:{p}\r\n\r\n").as_bytes(),
            )
            .await?;
            let mut head = Vec::with_capacity(256);
            let mut buf = [0u8; 512];
            while !head.windows(4).any(|w| w == b"\r\n\r\n") {
                let n = s.read(&mut buf).await?;
                if n == 0 || head.len() > 16384 {
                    return Err("proxy closed during CONNECT".into());
                }
                head.extend_from_slice(&buf[..n]);
            }
            if head.get(9..12) != Some(b"200") {
                let l = String::from_utf8_lossy(&head);
                return Err(format!("CONNECT refused: {}", l.lines().next().unwrap_or("")).into());
            }
        }
        let name = ServerName::try_from(host.to_string())?;
        Ok(TlsConnector::from(self.tls.clone()).connect(name, s).await?)
    }

    pub async fn open(&self, host: &str) -> Result<Conn, Err> {
        tokio::time::timeout(self.timeout, self.open_inner(host))
            .await
            .map_err(|_| "timeout opening a connection")?
    }

    async fn open_inner(&self, host: &str) -> Result<Conn, Err> {
        let s = self.tls(host).await?;
        if self.h2 {
            if s.get_ref().1.alpn_protocol() != Some(b"h2") {
                return Err("no-h2: peer did not negotiate h2".into());
            }
            let (tx, c) = http2::Builder::new(TokioExecutor::new())
                .initial_stream_window_size(4 << 20)
                .initial_connection_window_size(16 << 20)
                .handshake(TokioIo::new(s))
                .await?;
            tokio::spawn(async move {
                let _ = c.await;
            });
            Ok(Conn::H2(tx))
        } else {
            let (tx, c) = http1::handshake(TokioIo::new(s)).await?;
            tokio::spawn(async move {
                let _ = c.await;
            });
            Ok(Conn::H1(tx))
        }
    }
}

impl Conn {
    pub async fn send(&mut self, r: Request<Body>) -> Result<Response<Incoming>, Err> {
        Ok(match self {
            Conn::H1(t) => {
                t.ready().await?;
                t.send_request(r).await?
            }
            Conn::H2(t) => {
                t.ready().await?;
                t.send_request(r).await?
            }
        })
    }
    pub fn closed(&self) -> bool {
        match self {
            Conn::H1(t) => t.is_closed(),
            Conn::H2(t) => t.is_closed(),
        }
    }
    pub fn share(&self) -> Option<Conn> {
        match self {
            Conn::H2(t) => Some(Conn::H2(t.clone())),
            _ => None,
        }
    }
}

pub fn request(t: &Target, host: &str, path: &str, body: Option<Body>) -> Request<Body> {
    let mut b = Request::builder().header("user-agent", "mitmbench");
    let authority = match t.port {
        443 => host.to_string(),
        p => format!("{host}:{p}"),
    };
    b = if t.h2 {
        b.uri(format!("https://{authority}{path}"))
    } else {
        b.uri(path).header("host", authority)
    };
    let body = body.or_else(|| Some(Full::new(t.form.body.clone()?).boxed()));
    let mut r = match body {
        Some(x) => {
            b.method("POST").header("content-type", "application/octet-stream").body(x).unwrap()
        }
        None => b.body(http_body_util::Empty::new().boxed()).unwrap(),
    };
    if let Some(m) = &t.form.method {
        *r.method_mut() = m.clone();
    }
    for (k, v) in &t.form.headers {
        r.headers_mut().insert(k, v.clone());
    }
    r
}
