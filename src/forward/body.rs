//! Bodies on their way: requests out, responses back.
//!
//! Takes received bodies; returns them frame by frame, never buffering. Trailers of requests are
//! dropped, those of responses pass without what could change the head. A response body tells its
//! watcher of every byte and of its end.

use super::clean::{Clean, Fault};
use super::coming::{Broken, Coming, Progress};
use crate::audit::NotRecorded;
use crate::message::Body;
use bytes::Bytes;
use http::HeaderMap;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Sleep;

/// How long it is not told that a body broke off. Nobody flushes what they have when they are told, and
/// HTTP/2 drops it: head and pieces that came before have this time to leave.
const PARTING: Duration = Duration::from_millis(100);

/// The body of a request as it is sent.
#[derive(Debug)]
pub enum RequestBody {
    /// All of it; nothing once it is sent.
    Whole(Option<Bytes>),
    /// As it comes from the client.
    Stream(Coming),
}

impl RequestBody {
    /// From the message that was judged.
    pub(super) fn of(body: Body<Coming>) -> Self {
        match body {
            Body::Empty => Self::Whole(None),
            Body::Whole(bytes) => Self::Whole(Some(bytes).filter(|bytes| !bytes.is_empty())),
            Body::Stream(coming) => Self::Stream(coming),
            Body::Opened(first, coming) => Self::Stream(coming.with_first(first)),
        }
    }

    /// When it last got on, where it comes as the client sends it.
    pub(super) fn progress(&self) -> Option<Arc<Progress>> {
        match self {
            Self::Whole(_) => None,
            Self::Stream(coming) => Some(coming.progress()),
        }
    }

    /// Whether there is nothing to send, so that nothing is lost by sending it again.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Stream(coming) => coming.is_end_stream(),
        }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Whole(bytes) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Self::Stream(coming) => Pin::new(coming).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_none(),
            Self::Stream(coming) => coming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |b| b.len() as u64))
            }
            Self::Stream(coming) => coming.size_hint(),
        }
    }
}

/// Why the body of an answer broke off.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    /// The upstream's fault, or the network's.
    #[error(transparent)]
    Upstream(#[from] Fault),
    /// The answer cannot be recorded, so it is not finished.
    #[error(transparent)]
    NotRecorded(#[from] NotRecorded),
    /// What it was asked under no longer holds.
    #[error("{0}")]
    Revoked(&'static str),
}

/// What is told of a response body while it passes.
pub trait Watch: Send + Unpin {
    /// Bytes that pass; whether they are known to be the last.
    fn passed(&mut self, bytes: &Bytes, are_last: bool);
    /// Whether the end may be told: what has to happen before it has happened, or never will.
    fn poll_may_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NotRecorded>>;
    /// The body ended as its sender meant it to.
    fn ended(&mut self);
    /// The body was cut here; why.
    fn cut(&mut self, why: &'static str);
}

/// Where the body of a response comes from.
#[derive(Debug)]
pub enum Source {
    /// The upstream, as it sends it.
    Coming(Clean),
    /// Memory, where it was read whole before any of it passed; with the room that it takes.
    Whole(Option<Bytes>, Option<OwnedSemaphorePermit>),
}

impl HttpBody for Source {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        match self.get_mut() {
            Self::Coming(incoming) => Pin::new(incoming).poll_frame(cx),
            Self::Whole(bytes, _) => Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Coming(incoming) => incoming.is_end_stream(),
            Self::Whole(bytes, _) => bytes.is_none(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Coming(incoming) => incoming.size_hint(),
            Self::Whole(bytes, _) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
        }
    }
}

/// The body of an upstream's response, with its watcher.
#[derive(Debug)]
pub struct ResponseBody<W> {
    source: Source,
    watch: W,
    state: State,
    /// What was taken of it before its head was told, and what there was to know of its length by then.
    ahead: Option<Result<Frame<Bytes>, Cut>>,
    hint: Option<SizeHint>,
}

#[derive(Debug)]
enum State {
    Flowing,
    /// It broke off, and for how long that is not told.
    Broken(Option<Cut>, Pin<Box<Sleep>>),
    // A client that knows the length takes the last bytes for the end, so they wait with it.
    Last(Option<Frame<Bytes>>),
    Over,
}

impl<W: Watch> ResponseBody<W> {
    /// A body with its watcher. Where no body may follow the head (RFC 9110 section 6.4.1) none
    /// does, whatever the upstream sends: HTTP/2 frames would carry it on.
    pub fn new(source: Source, mut watch: W, may_follow: bool) -> Self {
        let mut state = State::Flowing;
        if !may_follow || source.is_end_stream() {
            watch.ended();
            state = State::Over;
        }
        Self { source, watch, state, ahead: None, hint: None }
    }

    /// Takes what is there of it already, before its head is told. An answer that is there as a whole
    /// waits here for what its end has to wait for: its head and its body then leave together.
    pub fn poll_begun(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NotRecorded>> {
        if matches!(self.state, State::Flowing) && self.hint.is_none() {
            self.hint = Some(self.source.size_hint());
            if let Poll::Ready(piece) = self.poll_flow(cx) {
                self.ahead = piece;
            }
        }
        match self.state {
            State::Last(_) => self.watch.poll_may_end(cx),
            State::Flowing | State::Broken(..) | State::Over => Poll::Ready(Ok(())),
        }
    }

    /// The next piece; none once what comes is the last.
    fn poll_flow(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let last = match ready!(Pin::new(&mut self.source).poll_frame(cx)) {
            Some(Ok(frame)) => match frame.into_data() {
                Ok(bytes) => {
                    let are_last = self.source.is_end_stream();
                    self.watch.passed(&bytes, are_last);
                    let frame = Frame::data(bytes);
                    if !are_last {
                        return Poll::Ready(Some(Ok(frame)));
                    }
                    Some(frame)
                }
                Err(frame) => frame.into_trailers().ok().map(filtered).map(Frame::trailers),
            },
            Some(Err(error)) => {
                if let Some(why) = error.why() {
                    self.watch.cut(why);
                }
                let parting = Box::pin(tokio::time::sleep(PARTING));
                self.state = State::Broken(Some(error.into()), parting);
                return self.poll_broken(cx);
            }
            None => None,
        };
        self.state = State::Last(last);
        Poll::Ready(None)
    }

    /// The error, once what came before it has had its time to leave.
    fn poll_broken(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let State::Broken(error, parting) = &mut self.state else { return Poll::Ready(None) };
        ready!(parting.as_mut().poll(cx));
        let error = error.take();
        self.state = State::Over;
        Poll::Ready(error.map(Err))
    }

    /// Ends it here: nothing more of it passes.
    pub fn cut(&mut self, why: &'static str) {
        self.watch.cut(why);
        (self.state, self.ahead) = (State::Over, None);
    }
}

impl<W: Watch> HttpBody for ResponseBody<W> {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let this = self.get_mut();
        this.hint = None;
        if let Some(piece) = this.ahead.take() {
            return Poll::Ready(Some(piece));
        }
        loop {
            match &mut this.state {
                State::Flowing => {
                    if let Some(piece) = ready!(this.poll_flow(cx)) {
                        return Poll::Ready(Some(piece));
                    }
                }
                State::Broken(..) => return this.poll_broken(cx),
                State::Last(frame) => {
                    if let Err(error) = ready!(this.watch.poll_may_end(cx)) {
                        this.state = State::Over;
                        return Poll::Ready(Some(Err(error.into())));
                    }
                    let frame = frame.take();
                    this.watch.ended();
                    this.state = State::Over;
                    return Poll::Ready(frame.map(Ok));
                }
                State::Over => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Over) && self.ahead.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        if let Some(hint) = self.hint {
            return hint;
        }
        match &self.state {
            State::Last(Some(frame)) => {
                SizeHint::with_exact(frame.data_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            _ => self.source.size_hint(),
        }
    }
}

/// Trailers that may follow a body: nothing that frames, routes or authorises (RFC 9110 6.5.1).
fn filtered(mut trailers: HeaderMap) -> HeaderMap {
    const REFUSED: &[&str] = &[
        "content-length",
        "transfer-encoding",
        "host",
        "connection",
        "trailer",
        "te",
        "upgrade",
        "authorization",
        "set-cookie",
        "cookie",
        "content-encoding",
        "content-type",
        "location",
        "content-range",
        "cache-control",
        "www-authenticate",
        "proxy-authenticate",
        "alt-svc",
    ];
    for name in REFUSED {
        trailers.remove(*name);
    }
    trailers
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Waker;

    /// What was told, and how often the end is still waited for.
    #[derive(Default)]
    struct Told {
        said: Vec<&'static str>,
        waits: usize,
        fails: bool,
    }

    impl Watch for Told {
        fn passed(&mut self, _bytes: &Bytes, are_last: bool) {
            self.said.push(if are_last { "last" } else { "piece" });
        }

        fn poll_may_end(&mut self, _cx: &mut Context<'_>) -> Poll<Result<(), NotRecorded>> {
            if self.fails {
                return Poll::Ready(Err(NotRecorded::Disk));
            }
            match self.waits.checked_sub(1) {
                Some(left) => self.waits = left,
                None => return Poll::Ready(Ok(())),
            }
            Poll::Pending
        }

        fn ended(&mut self) {
            self.said.push("ended");
        }

        fn cut(&mut self, _why: &'static str) {
            self.said.push("cut");
        }
    }

    fn body(told: Told) -> ResponseBody<Told> {
        ResponseBody::new(Source::Whole(Some(Bytes::from_static(b"all")), None), told, true)
    }

    #[test]
    fn an_answer_that_is_there_waits_for_its_end_with_its_head() {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut body = body(Told { waits: 1, ..Told::default() });
        let before = body.size_hint().exact();
        assert!(body.poll_begun(cx).is_pending());
        assert!(!body.is_end_stream() && body.size_hint().exact() == before);
        assert!(matches!(body.poll_begun(cx), Poll::Ready(Ok(()))));
        assert_eq!(body.watch.said, ["last"], "it has not passed");
        let Poll::Ready(Some(Ok(frame))) = Pin::new(&mut body).poll_frame(cx) else {
            panic!("it is there")
        };
        assert_eq!(frame.into_data().unwrap(), "all");
        assert_eq!(body.watch.said, ["last", "ended"]);
        assert!(body.is_end_stream());
        assert!(matches!(Pin::new(&mut body).poll_frame(cx), Poll::Ready(None)));
    }

    #[test]
    fn what_cannot_be_recorded_is_known_before_the_head() {
        let cx = &mut Context::from_waker(Waker::noop());
        let mut body = body(Told { fails: true, ..Told::default() });
        assert!(matches!(body.poll_begun(cx), Poll::Ready(Err(NotRecorded::Disk))));
        assert!(matches!(
            Pin::new(&mut body).poll_frame(cx),
            Poll::Ready(Some(Err(Cut::NotRecorded(NotRecorded::Disk))))
        ));
    }
}
