//! Asking about a tool call, from the agent's side.
//!
//! Takes where the listener is, who asks and the question; returns the answer. One request on one
//! connection, bounded in time and size; what is no answer is an error, never an allow.

use super::PATH;
use super::answer::Answer;
use super::listener::Stream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;
use tokio::net::{TcpStream, UnixStream};

/// The largest answer, in bytes.
const LARGEST: usize = 64 << 10;

/// Where questions are asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket of the file system.
    Unix(PathBuf),
    /// An address of loopback.
    Loopback(SocketAddr),
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if let Some(path) =
            text.strip_prefix("unix:").or_else(|| text.starts_with('/').then_some(text))
        {
            return Ok(Self::Unix(PathBuf::from(path)));
        }
        // Elsewhere it would be told in clear text.
        let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        match address.parse::<SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Ok(Self::Loopback(address)),
            _ => Err(Error::Address),
        }
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No listener is called so; the caller's fault.
    #[error("name the listener of tool calls as `unix:PATH` or `http://127.0.0.1:PORT`")]
    Address,
    /// Nobody listens, or the connection broke.
    #[error("the listener of tool calls cannot be reached: {0}")]
    Reach(#[from] std::io::Error),
    /// What it says is not HTTP.
    #[error("the listener of tool calls did not answer: {0}")]
    Http(#[from] hyper::Error),
    /// The request cannot be written.
    #[error("the question cannot be written: {0}")]
    Form(#[from] http::Error),
    /// What it says is no answer.
    #[error("what listens there gave no answer about a tool call")]
    Answer,
    /// It took too long.
    #[error("the listener of tool calls did not answer within {0:?}")]
    Slow(Duration),
}

/// Asks, and waits for the answer so long at the most. `proof` is the agent's name and secret.
pub async fn ask(
    address: &Address,
    proof: Option<(&str, &str)>,
    question: Bytes,
    patience: Duration,
) -> Result<Answer, Error> {
    tokio::time::timeout(patience, asked(address, proof, question))
        .await
        .map_err(|_elapsed| Error::Slow(patience))?
}

async fn asked(
    address: &Address,
    proof: Option<(&str, &str)>,
    question: Bytes,
) -> Result<Answer, Error> {
    let stream: Box<dyn Stream> = match address {
        Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
        Address::Loopback(address) => Box::new(TcpStream::connect(address).await?),
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut request = Request::post(PATH)
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json");
    if let Some((name, secret)) = proof {
        let proof = zeroize::Zeroizing::new(STANDARD.encode(format!("{name}:{secret}")));
        request = request.header(header::AUTHORIZATION, format!("Basic {}", *proof));
    }
    let request = request.body(Full::new(question))?;
    let answer = async {
        let body = sender.send_request(request).await?.into_body();
        let body = Limited::new(body, LARGEST).collect().await.map_err(|_cut| Error::Answer)?;
        serde_json::from_slice(&body.to_bytes()).map_err(|_form| Error::Answer)
    };
    let mut answer = std::pin::pin!(answer);
    tokio::select! {
        biased;
        answer = answer.as_mut() => answer,
        // The connection ends before or after its answer is there.
        ended = connection => { ended?; answer.await }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked() {
        let unix = |path: &str| Some(Address::Unix(PathBuf::from(path)));
        let loopback = |text: &str| Some(Address::Loopback(text.parse().unwrap()));
        let rows = [
            ("unix:/run/h.sock", unix("/run/h.sock")),
            ("unix:h.sock", unix("h.sock")),
            ("/run/h.sock", unix("/run/h.sock")),
            ("http://127.0.0.1:3130", loopback("127.0.0.1:3130")),
            ("http://127.0.0.1:3130/", loopback("127.0.0.1:3130")),
            ("127.0.0.1:3130", loopback("127.0.0.1:3130")),
            ("http://[::1]:3130", loopback("[::1]:3130")),
            ("https://127.0.0.1:3130", None),
            ("http://192.0.2.1:3130", None),
            ("http://localhost:3130", None),
            ("h.sock", None),
            ("", None),
        ];
        for (text, expected) in rows {
            assert_eq!(text.parse::<Address>().ok(), expected, "{text}");
        }
    }
}
