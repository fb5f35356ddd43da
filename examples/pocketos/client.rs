//! The agent's HTTP client, and the approver's: plain hyper over sockets.
//!
//! Takes addresses and bodies; returns answers. Trusts one authority and nothing else.

use anyhow::Context as _;
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_mins(1);

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The HTTP status.
    pub(crate) status: u16,
    /// The body as JSON, or as a string.
    pub(crate) body: Value,
    /// Whether Holdgate answered rather than the API.
    pub(crate) by_holdgate: bool,
}

/// An HTTPS client, through a proxy or not.
#[derive(Debug)]
pub(crate) struct Client {
    address: SocketAddr,
    proxy: bool,
    tls: Arc<ClientConfig>,
}

impl Client {
    /// Every host is at one address.
    pub(crate) fn direct(address: SocketAddr, ca: &str) -> anyhow::Result<Self> {
        Ok(Self { address, proxy: false, tls: config(ca)? })
    }

    /// Every host is reached through a proxy.
    pub(crate) fn through(address: SocketAddr, ca: &str) -> anyhow::Result<Self> {
        Ok(Self { address, proxy: true, tls: config(ca)? })
    }

    /// Posts a GraphQL request as the published call does: JSON labelled as a form.
    pub(crate) async fn graphql(
        &self,
        host: &str,
        token: &str,
        body: &Value,
    ) -> anyhow::Result<Answer> {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/graphql/v2")
            .header("host", host)
            .header("authorization", format!("Bearer {token}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Full::new(Bytes::from(body.to_string())))?;
        timeout(PATIENCE, self.send(host, request)).await.context("no answer in time")?
    }

    async fn send(&self, host: &str, request: Request<Full<Bytes>>) -> anyhow::Result<Answer> {
        let mut stream = TcpStream::connect(self.address).await?;
        if self.proxy {
            stream
                .write_all(
                    format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n").as_bytes(),
                )
                .await?;
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await?);
                anyhow::ensure!(head.len() < 4096, "the proxy's answer has no end");
            }
            anyhow::ensure!(head.starts_with(b"HTTP/1.1 200"), "the proxy refused the tunnel");
        }
        let name = ServerName::try_from(host.to_owned())?;
        let stream =
            tokio_rustls::TlsConnector::from(self.tls.clone()).connect(name, stream).await?;
        exchange(stream, request).await
    }
}

fn config(ca: &str) -> anyhow::Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.as_bytes())?)?;
    let config = ClientConfig::builder_with_provider(holdgate::tls::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> anyhow::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let answering = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let by_holdgate = response.headers().contains_key("proxy-status");
        let body = Limited::new(response.into_body(), 1 << 20).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!(error))?.to_bytes();
        let body = serde_json::from_slice(&body)
            .unwrap_or_else(|_text| Value::String(String::from_utf8_lossy(&body).into_owned()));
        anyhow::Ok(Answer { status, body, by_holdgate })
    };
    tokio::select! {
        answer = answering => answer,
        ended = connection => {
            ended?;
            anyhow::bail!("the connection ended before the answer")
        }
    }
}

/// Asks the approvers' listener.
async fn approver(
    address: SocketAddr,
    token: &str,
    method: Method,
    path: &str,
) -> anyhow::Result<Value> {
    let stream = TcpStream::connect(address).await?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address.to_string())
        .header("authorization", format!("Bearer {token}"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from_static(
            b"{\"reason\":\"seen on the demonstration's card\"}",
        )))?;
    let answer =
        timeout(PATIENCE, exchange(stream, request)).await.context("no answer in time")??;
    anyhow::ensure!(answer.status == 200, "the approvals listener answered {answer:?}");
    Ok(answer.body)
}

/// The first hold that waits, as soon as there is one.
pub(crate) async fn first_hold(address: SocketAddr, token: &str) -> anyhow::Result<Value> {
    let looking = async {
        loop {
            let list = approver(address, token, Method::GET, "/v1/holds?state=waiting").await?;
            let holds = list.as_array().or_else(|| list.get("holds").and_then(Value::as_array));
            if let Some(hold) = holds.and_then(|holds| holds.first()) {
                return anyhow::Ok(hold.clone());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(PATIENCE, looking).await.context("nothing was held")?
}

/// Approves a hold.
pub(crate) async fn approve(address: SocketAddr, token: &str, id: &str) -> anyhow::Result<()> {
    approver(address, token, Method::POST, &format!("/v1/holds/{id}/approve")).await.map(drop)
}
