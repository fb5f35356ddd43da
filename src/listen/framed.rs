//! A client's HTTP/1.1 bytes, checked on their way to the parser that serves them.
//!
//! Takes a stream; returns it with a mark of where its bytes stop having one reading. A head that is
//! irregular still reaches the parser, so that it can be answered; no byte of a body beyond an
//! irregularity does.

use crate::message::Malformed;
use crate::message::framing::{Framing, Irregular};
use http::{HeaderMap, Request, header};
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// What was seen of a connection's framing.
#[derive(Clone, Debug, Default)]
pub(super) struct Seen(Arc<Connection>);

#[derive(Debug, Default)]
struct Connection {
    served: AtomicU64,
    /// How many heads were seen to be complete.
    heads: AtomicU64,
    irregular: OnceLock<Irregular>,
}

impl Seen {
    /// Puts what is known of a request's framing beside the request. Called once for each, in order.
    pub(super) fn mark<B>(&self, request: &mut Request<B>) {
        let head = self.0.served.fetch_add(1, Ordering::Relaxed) + 1;
        if head > self.0.heads.load(Ordering::Relaxed) {
            // Nobody looked at where it begins: it stands behind the request for another protocol.
            let why = Malformed::Framing("it follows a request to switch protocols");
            self.0.irregular.get_or_init(|| Irregular { head, at: 0, in_head: true, why });
        }
        let wire = Wire { seen: self.clone(), head };
        if is_chunked(request.headers()) || wire.irregular().is_some() {
            request.extensions_mut().insert(wire);
        }
    }
}

fn is_chunked(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
}

/// How one request came over the wire.
#[derive(Clone, Debug)]
pub struct Wire {
    seen: Seen,
    head: u64,
}

impl Wire {
    /// What is wrong with its framing, as far as it is here: of the head at once, of a chunked body
    /// once it has been read that far.
    pub fn irregular(&self) -> Option<&Malformed> {
        let irregular = self.seen.0.irregular.get()?;
        (irregular.head <= self.head).then_some(&irregular.why)
    }
}

/// A stream whose bytes are checked as they are read.
pub(super) struct Framed<S> {
    stream: S,
    framing: Framing,
    seen: Seen,
    ended: bool,
}

impl<S> Framed<S> {
    /// A stream, and where to note what is seen of it.
    pub(super) fn new(stream: S, seen: Seen) -> Self {
        Self { stream, framing: Framing::default(), seen, ended: false }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Framed<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        if this.ended {
            return Poll::Ready(Err(ErrorKind::InvalidData.into()));
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        let checked = this.framing.read(read);
        this.seen.0.heads.store(this.framing.heads(), Ordering::Relaxed);
        if let Err(irregular) = checked {
            if !irregular.in_head {
                buffer.set_filled(before + irregular.at);
                this.ended = true;
            }
            let nothing = buffer.filled().len() == before;
            // There is at most one: nothing is read after it.
            this.seen.0.irregular.get_or_init(|| irregular);
            if nothing {
                return Poll::Ready(Err(ErrorKind::InvalidData.into()));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Framed<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
