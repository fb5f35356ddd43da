//! Telling people that a call waits, or that a dangerous sequence is complete: what nobody hears of is
//! useless.
//!
//! Takes the events of holds and completed sequences; writes one line each to stderr, and posts one
//! signed request each to the policy's webhook. Bounded tries in bounded time, no redirects, nothing secret. It goes to
//! the policy's address only, not through the proxy's own line.

mod told;

pub use told::Told;

use crate::fingerprint::hex;
use crate::hold::{Event, View, escaped};
use crate::policy::Webhook;
use crate::proxy::Proxy;
use crate::tls::roots;
use crate::trajectory::Completed;
use aws_lc_rs::hmac;
use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::Full;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use rustls_pki_types::ServerName;
use serde_json::json;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::sync::broadcast::error::RecvError;

const TRIES: u32 = 5;
const TRY: Duration = Duration::from_secs(5);
/// So many posts about holds, and about sequences, may be on their way at a time.
const HOLDS: usize = 64;
const SEQUENCES: usize = 16;

/// What is on its way to the webhook, and what people were told of.
#[derive(Debug)]
pub struct Telling {
    holds: Arc<Semaphore>,
    /// Its own room: sequences must not push out the holds that wait for an answer.
    sequences: Arc<Semaphore>,
    /// The sequences that people were told of.
    pub told: Told,
}

impl Default for Telling {
    fn default() -> Self {
        Self {
            holds: Arc::new(Semaphore::new(HOLDS)),
            sequences: Arc::new(Semaphore::new(SEQUENCES)),
            told: Told::default(),
        }
    }
}

/// Why a webhook was not told.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("its address cannot be used")]
    Address,
    #[error(transparent)]
    Roots(#[from] roots::Error),
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error(transparent)]
    Http(#[from] hyper::Error),
    #[error(transparent)]
    Form(#[from] http::Error),
    #[error("it answered {0}")]
    Status(StatusCode),
    #[error("it did not answer within {TRY:?}")]
    Slow,
}

/// Tells of holds until the proxy drains; first of those that a process before this one left, which
/// may have ended before it told anybody.
pub async fn tell(proxy: Arc<Proxy>) {
    let mut events = proxy.holds.subscribe();
    match proxy.holds.list(false).await {
        Ok(left) => {
            for view in left {
                opened(&proxy, &view);
            }
        }
        Err(error) => tracing::error!(%error, "the holds that wait could not be read"),
    }
    loop {
        let event = tokio::select! {
            () = proxy.stop.cancelled() => return,
            event = events.recv() => event,
        };
        match event {
            Ok(Event::Opened(view)) => opened(&proxy, &view),
            Ok(Event::Changed(view)) => tracing::info!("{} is {}", view.id, view.state.as_str()),
            Err(RecvError::Lagged(missed)) => {
                tracing::warn!(missed, "holds opened faster than they could be told of; list them");
            }
            Err(RecvError::Closed) => return,
        }
    }
}

fn opened(proxy: &Arc<Proxy>, view: &View) {
    tracing::warn!("{}", line(view));
    match serde_json::to_vec(view) {
        Ok(body) => {
            let delivery = Delivery { id: view.id.clone(), body: Bytes::from(body) };
            post(proxy, &proxy.telling.holds, delivery);
        }
        Err(error) => tracing::error!(hold = %view.id, %error, "a hold could not be written down"),
    }
}

/// Tells of sequences that an agent has completed.
pub fn completed(proxy: &Arc<Proxy>, agent: &str, all: &[Completed]) {
    for completed in all {
        tracing::warn!("{}: {}", escaped(agent), escaped(&completed.told()));
        let last = completed.met.last().map(|noted| noted.at).unwrap_or_default();
        let met = completed.met.iter().map(|noted| {
            json!({
                "stage": noted.stage.as_str(),
                "what": noted.what,
                "seconds_before": last.saturating_sub(noted.at).as_secs(),
            })
        });
        let id = format!("q_{}", uuid::Uuid::now_v7().simple());
        let told = json!({
            "id": id,
            "sequence": completed.name,
            "agent": agent,
            "then": completed.then.as_str(),
            "met": met.collect::<Vec<_>>(),
            "untold": completed.untold,
        });
        post(proxy, &proxy.telling.sequences, Delivery { id, body: Bytes::from(told.to_string()) });
    }
}

/// What is posted, once.
struct Delivery {
    id: String,
    body: Bytes,
}

/// The line of a hold, with nothing in it that could move or hide text.
pub fn line(view: &View) -> String {
    format!(
        "held {}: {} wants {}; answer with `holdgate approvals approve {}` or `deny`",
        view.id,
        escaped(&view.agent),
        view.card.line(),
        view.id
    )
}

fn post(proxy: &Arc<Proxy>, room: &Arc<Semaphore>, delivery: Delivery) {
    let snapshot = proxy.current.load_full();
    if snapshot.policy.approvals.webhook.as_ref().is_none_or(|webhook| webhook.secret.is_none()) {
        return;
    }
    let Ok(slot) = room.clone().try_acquire_owned() else {
        tracing::warn!(id = %delivery.id, "too many webhooks are on the way; this one is not sent");
        return;
    };
    let stop = proxy.stop.clone();
    proxy.tasks.spawn(async move {
        if let Some(webhook) = &snapshot.policy.approvals.webhook {
            let roots = &snapshot.policy.network.roots;
            tokio::select! {
                () = deliver(webhook, roots, &delivery) => {}
                () = stop.cancelled() => {
                    tracing::warn!(id = %delivery.id, "a webhook was cut by the drain");
                }
            }
        }
        drop(slot);
    });
}

async fn deliver(webhook: &Webhook, roots: &[crate::policy::Root], delivery: &Delivery) {
    for attempt in 0..TRIES {
        let sent = tokio::time::timeout(TRY, send(webhook, roots, delivery)).await;
        match sent.unwrap_or(Err(Error::Slow)) {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(id = %delivery.id, attempt, %error, "the webhook was not told");
            }
        }
        if attempt + 1 < TRIES {
            tokio::time::sleep(Duration::from_millis(500 << attempt)).await;
        }
    }
    tracing::error!(id = %delivery.id, "the webhook could not be told; what it was about stands all the same");
}

async fn send(
    webhook: &Webhook,
    roots: &[crate::policy::Root],
    delivery: &Delivery,
) -> Result<(), Error> {
    let body = &delivery.body;
    let seconds = Timestamp::now().as_second().to_string();
    let secret = webhook.secret.as_ref().ok_or(Error::Address)?;
    let signature = sign(secret, &seconds, body);
    let host = webhook.url.host().ok_or(Error::Address)?;
    let https = webhook.url.scheme_str() == Some("https");
    let port = webhook.url.port_u16().unwrap_or(if https { 443 } else { 80 });
    let path = webhook.url.path_and_query().map_or("/", |path| path.as_str());
    let authority = webhook.url.authority().ok_or(Error::Address)?;
    let request = Request::post(path)
        .header(header::HOST, authority.as_str())
        .header(header::CONTENT_TYPE, "application/json")
        .header("holdgate-timestamp", &seconds)
        .header("holdgate-signature", format!("v1={signature}"))
        .header("holdgate-delivery", &delivery.id)
        .body(Full::new(body.clone()))?;
    let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
    let status = if https {
        let mut config = rustls::ClientConfig::clone(&*roots::client_config(roots)?);
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        let name = ServerName::try_from(host.to_owned()).map_err(|_name| Error::Address)?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        exchange(connector.connect(name, stream).await?, request).await?
    } else {
        exchange(stream, request).await?
    };
    if status.is_success() { Ok(()) } else { Err(Error::Status(status)) }
}

/// HMAC-SHA-256 over `timestamp.body`, in hexadecimal digits.
fn sign(secret: &[u8], seconds: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
    let mut context = hmac::Context::with_key(&key);
    context.update(seconds.as_bytes());
    context.update(b".");
    context.update(body);
    hex(context.sign().as_ref())
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<StatusCode, Error>
where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        response = sender.send_request(request) => Ok(response?.status()),
        ended = connection.as_mut() => {
            ended?;
            Err(Error::Io(std::io::ErrorKind::UnexpectedEof.into()))
        }
    }
}

#[cfg(test)]
mod tests {
    /// M-14.
    #[test]
    fn signatures_cover_time_and_body() {
        let base = super::sign(b"secret", "1", b"body");
        assert_eq!(base.len(), 64);
        for (secret, seconds, body) in
            [("other", "1", "body"), ("secret", "2", "body"), ("secret", "1", "bodx")]
        {
            assert_ne!(super::sign(secret.as_bytes(), seconds, body.as_bytes()), base);
        }
    }
}
