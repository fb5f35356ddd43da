//! HTTP/2 inside an intercepted connection.
//!
//! Takes a stream whose TLS agreed on it; each of its requests is answered in a task of its own.
//! Ends with the client, a drain, a preface or head that does not come, or nothing to do for long.
//! What the library refuses by itself is recorded all the same.

use super::frames::{Frames, Refusals};
use super::idle::Requests;
use super::linger::{Lingering, Unread};
use super::{HEAD_BYTES, Serving};
use crate::decide::{Reason, Ruling};
use crate::proxy::{Caller, Proxy};
use crate::record::Exchange;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::task::TaskTracker;

const STREAMS: u32 = 256;
/// How long a client may take to say goodbye.
const PARTING: Duration = Duration::from_secs(5);

impl Serving {
    pub(super) async fn http2<S>(self, stream: S) -> hyper::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { proxy, caller, patience } = self;
        let (requests, refusals, unread) =
            (Requests::new(), Refusals::default(), Unread::default());
        let service = service_fn(|request| {
            let open = requests.begin();
            // Boxed once, because it is moved more than once on its way into a task.
            let answer = Box::pin(proxy.clone().answer(caller.clone(), request));
            async move { Ok::<_, Infallible>(answer.await.map(|body| open.until_taken(body))) }
        });
        let stream = Lingering::new(stream, unread.clone());
        let io = TokioIo::new(Frames::new(stream, patience.head, refusals.clone(), unread));
        // Those of this connection alone: the others' are counted by other cores.
        let streams = TaskTracker::new();
        let connection = builder(&streams).serve_connection(io, service);
        let ended = {
            let mut connection = std::pin::pin!(connection);
            let (mut stopping, mut parting) = (false, false);
            loop {
                tokio::select! {
                    ended = connection.as_mut() => break ended,
                    reason = refusals.next() => refused(&proxy, &caller, reason).await,
                    () = proxy.stop.cancelled(), if !stopping => {
                        stopping = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    () = requests.idle(patience.idle, patience.stall), if !stopping && !parting => {
                        parting = true;
                        connection.as_mut().graceful_shutdown();
                    }
                    () = parted(&requests), if parting => break Ok(()),
                }
            }
        };
        if let Some(reason) = refusals.take() {
            refused(&proxy, &caller, reason).await;
        }
        // They know of its end, which has dropped it.
        streams.close();
        streams.wait().await;
        ended
    }
}

/// Waits for a client that was told to go, and for the requests that were on their way to it.
async fn parted(requests: &Requests) {
    tokio::time::sleep(PARTING).await;
    requests.idle(PARTING, PARTING).await;
}

/// Records what became no request.
async fn refused(proxy: &Proxy, caller: &Caller, reason: Reason) {
    let detail = match reason {
        Reason::OverLimit => "More streams, resets or headers than a connection may have.",
        _ => "No request could be read: it is not HTTP/2 as RFC 9113 has it.",
    };
    let ruling = Ruling::denial(reason, detail);
    let snapshot = proxy.current.load_full();
    let (agent, session) = (caller.state.name.clone(), caller.state.session());
    let exchange = Exchange::open(&proxy.log, &snapshot.policy, Some(agent), Some(session));
    exchange.refused(None, &ruling, &snapshot.policy, None).await;
    proxy.metrics.refused(&ruling);
}

/// Streams of a connection, each in a task of its own that its connection waits for.
#[derive(Clone)]
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

fn builder(tasks: &TaskTracker) -> http2::Builder<Tracked> {
    let mut builder = http2::Builder::new(Tracked(tasks.clone()));
    let header_list = u32::try_from(HEAD_BYTES).unwrap_or(u32::MAX);
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(header_list)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(64)
        .max_send_buf_size(256 << 10)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    builder
}
