//! Accepting connections, within limits, until the proxy drains.
//!
//! Takes a listener; serves each connection in a tracked task. Bounded connections, a deadline on
//! every head, and an accept loop that survives running out of descriptors.

mod framed;
mod frames;
mod http2;
mod idle;
mod linger;
mod stalling;

pub use framed::Wire;

use crate::decide::{Reason, Ruling};
use crate::proxy::{Caller, Proxy};
use crate::record::Exchange;
use crate::tunnel;
use framed::{Framed, Seen};
use http::{Response, header};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use linger::{Lingering, Unread};
use prometheus_client::metrics::gauge::Gauge;
use stalling::Stalling;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

const HEADERS: usize = 100;
const HEAD_BYTES: usize = 64 << 10;

/// Accepts clients until the proxy drains.
pub async fn listen(proxy: Arc<Proxy>, listener: TcpListener) {
    let limits = proxy.current.load().policy.limits.connections as usize;
    let slots = Arc::new(Semaphore::new(limits));
    loop {
        let accepted = tokio::select! {
            () = proxy.stop.cancelled() => return,
            accepted = accept(&listener, &slots) => accepted,
        };
        if let Some((stream, slot)) = accepted {
            let proxy = proxy.clone();
            let slot = Arc::new(Slot::new(slot, proxy.metrics.connections.clone()));
            proxy.clone().tasks.spawn(async move { client(&proxy, stream, &slot).await });
        }
    }
}

/// A client's place among those that may be connected, until all that its connection became is over:
/// a tunnel and a WebSocket too.
#[derive(Debug)]
pub struct Slot {
    _permit: OwnedSemaphorePermit,
    connections: Gauge,
}

impl Slot {
    fn new(permit: OwnedSemaphorePermit, connections: Gauge) -> Self {
        connections.inc();
        Self { _permit: permit, connections }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.connections.dec();
    }
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> Option<(TcpStream, OwnedSemaphorePermit)> {
    let slot = slots.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _peer)) => match stream.set_nodelay(true) {
            Ok(()) => Some((stream, slot)),
            Err(_gone_already) => None,
        },
        Err(error) => {
            // Out of descriptors: those in use come back; accepting faster does not help.
            tracing::warn!(%error, "a connection could not be accepted");
            tokio::time::sleep(Duration::from_millis(50)).await;
            None
        }
    }
}

async fn client(proxy: &Arc<Proxy>, stream: TcpStream, slot: &Arc<Slot>) {
    let (head, stall) = {
        let now = proxy.current.load();
        (now.policy.limits.head, now.policy.limits.stall)
    };
    let stream = Stalling::new(stream, stall);
    let (unread, seen) = (Unread::default(), Seen::default());
    let service = service_fn(|mut request| {
        seen.mark(&mut request);
        let (proxy, unread, slot) = (proxy.clone(), unread.clone(), slot.clone());
        async move { Ok::<_, Infallible>(noted(tunnel::front(proxy, slot, request).await, &unread)) }
    });
    let io = TokioIo::new(Lingering::new(Framed::new(stream, seen.clone()), unread.clone()));
    let connection = http1_builder(head).serve_connection(io, service).with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = proxy.stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        ended_by(proxy, None, &error).await;
    }
}

/// Records a head that the parser answered by itself: it became no request, and nothing left.
async fn ended_by(proxy: &Proxy, caller: Option<&Caller>, error: &hyper::Error) {
    tracing::debug!(%error, "a client connection ended");
    if !error.is_parse() {
        return;
    }
    let ruling = Ruling::denial(Reason::Malformed, format!("No request could be read: {error}."));
    let snapshot = proxy.current.load_full();
    let (agent, session) =
        caller.map(|caller| (caller.state.name.clone(), caller.state.session())).unzip();
    let exchange = Exchange::open(&proxy.log, &snapshot.policy, agent, session);
    exchange.refused(None, &ruling, &snapshot.policy, None).await;
    proxy.metrics.refused(&ruling);
}

pub(crate) fn http1_builder(head: Duration) -> http1::Builder {
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(head)
        .max_headers(HEADERS)
        .max_header_size(HEAD_BYTES)
        .half_close(false);
    builder
}

/// An answer, once it is noted whether its request was left unread: only such answers close.
fn noted<B>(answer: Response<B>, unread: &Unread) -> Response<B> {
    if answer.headers().get(header::CONNECTION).is_some_and(|value| value == "close") {
        unread.note();
    }
    answer
}

/// Serves the requests inside an intercepted connection.
pub struct Serving {
    /// The proxy.
    pub proxy: Arc<Proxy>,
    /// Who calls, and for which one host.
    pub caller: Arc<Caller>,
    /// How long its parts may take.
    pub patience: Patience,
}

/// How long a connection waits for its client.
pub struct Patience {
    /// For a head.
    pub head: Duration,
    /// For a request, where that is not the same.
    pub idle: Duration,
    /// For something of an answer to be taken.
    pub stall: Duration,
}

impl Serving {
    /// Until the client goes, or the proxy drains.
    pub async fn intercepted<S>(self, stream: S, is_http2: bool)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        if is_http2 {
            if let Err(error) = self.http2(stream).await {
                tracing::debug!(%error, "a client connection ended");
            }
            return;
        }
        let Self { proxy, caller, patience } = self;
        let (unread, seen) = (Unread::default(), Seen::default());
        let service = service_fn(|mut request| {
            seen.mark(&mut request);
            let (proxy, caller, unread) = (proxy.clone(), caller.clone(), unread.clone());
            // Boxed once, because it is moved more than once on its way into a task.
            let answer = Box::pin(proxy.answer(caller, request));
            async move { Ok::<_, Infallible>(noted(answer.await, &unread)) }
        });
        let framed = Framed::new(stream, seen.clone());
        let io = TokioIo::new(Lingering::new(framed, unread.clone()));
        let builder = http1_builder(patience.head);
        let connection = builder.serve_connection(io, service).with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => ended,
            () = proxy.stop.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = ended {
            ended_by(&proxy, Some(&caller), &error).await;
        }
    }
}
