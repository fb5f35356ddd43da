//! Connections in memory, driven by hand until nothing moves any more: no runtime, no clock.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Method, Request, Response, StatusCode, request};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use std::cell::RefCell;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

/// A peer that has sent all it will ever send, and waits.
#[derive(Clone)]
pub(super) struct Peer {
    sent: Bytes,
    piece: usize,
    received: Arc<Mutex<Vec<u8>>>,
}

impl Peer {
    /// One whose bytes arrive in pieces of a length.
    pub(super) fn sending(bytes: &[u8], piece: usize) -> Self {
        Self { sent: Bytes::copy_from_slice(bytes), piece, received: Arc::default() }
    }

    /// What was written to it, in a place that outlives it.
    pub(super) fn received(&self) -> Arc<Mutex<Vec<u8>>> {
        self.received.clone()
    }
}

impl Read for Peer {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        mut buffer: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        let length = self.piece.min(self.sent.len()).min(buffer.remaining());
        if length == 0 {
            return Poll::Pending;
        }
        buffer.put_slice(&self.sent.split_to(length));
        Poll::Ready(Ok(()))
    }
}

impl Write for Peer {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.received.lock().expect("nobody panicked").extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

/// Polls until it is ready, or nobody would wake it any more.
pub(super) fn settle<F: Future>(future: F) -> Option<F::Output> {
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(woken.clone());
    let mut future = pin!(future);
    while woken.0.swap(false, Ordering::SeqCst) {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
    }
    None
}

/// How far the body of a served request came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    Part,
    Broken,
    Whole(Bytes),
}

/// A request as the server hands it out.
#[derive(Debug)]
pub(super) struct Served {
    pub(super) parts: request::Parts,
    pub(super) body: Arrived,
}

type All = Rc<RefCell<Vec<Served>>>;

async fn serve(all: All, request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let switches =
        request.method() == Method::CONNECT || request.headers().contains_key(header::UPGRADE);
    let (parts, body) = request.into_parts();
    let number = all.borrow().len();
    all.borrow_mut().push(Served { parts, body: Arrived::Part });
    let body = body.collect().await;
    all.borrow_mut()[number].body = match body {
        Ok(body) => Arrived::Whole(body.to_bytes()),
        Err(_broken) => Arrived::Broken,
    };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = StatusCode::FORBIDDEN;
    if switches {
        // As the proxy does, where what follows may be meant for another protocol.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response)
}

/// The requests that hyper serves of an HTTP/1.1 connection, under the limits of the proxy.
pub(super) fn http1(bytes: &[u8], piece: usize) -> Vec<Served> {
    let all = All::default();
    let served = all.clone();
    let service = service_fn(move |request| serve(served.clone(), request));
    let connection = http1::Builder::new()
        .max_headers(100)
        .max_header_size(64 << 10)
        .half_close(false)
        .serve_connection(Peer::sending(bytes, piece), service);
    // A connection that ends with an error has served what it has served.
    drop(settle(connection.with_upgrades()));
    all.take()
}

/// The same of an HTTP/2 connection.
pub(super) fn http2(bytes: &[u8]) -> Vec<Served> {
    let all = All::default();
    let served = all.clone();
    let service = service_fn(move |request| serve(served.clone(), request));
    let tasks = Tasks::default();
    let mut connection = http2::Builder::new(tasks.clone())
        .max_concurrent_streams(256)
        .max_header_list_size(64 << 10)
        .max_pending_accept_reset_streams(20)
        .max_local_error_reset_streams(64)
        .serve_connection(Peer::sending(bytes, usize::MAX), service);
    drop(settle(poll_fn(|cx| {
        let ended = Pin::new(&mut connection).poll(cx);
        tasks.poll(cx);
        ended
    })));
    all.take()
}

/// The streams of a connection.
#[derive(Clone, Default)]
struct Tasks(Rc<RefCell<Vec<Task>>>);

type Task = Pin<Box<dyn Future<Output = ()>>>;

impl Tasks {
    fn poll(&self, cx: &mut Context<'_>) {
        let mut running = self.0.take();
        running.retain_mut(|task| task.as_mut().poll(cx).is_pending());
        self.0.borrow_mut().append(&mut running);
    }
}

impl<F: Future<Output = ()> + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, future: F) {
        self.0.borrow_mut().push(Box::pin(future));
    }
}
