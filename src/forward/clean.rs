//! Values that the agent never sees: put in as a request leaves, taken out of what comes back.
//!
//! Takes what a verdict allowed to be put in, and the credentials that no answer may say; changes the
//! outgoing head, the head of the answer and its body as it streams. Refuses an answer in a coding
//! or in part, in which nothing can be looked for, though it was asked for uncoded and whole. What
//! still says a value in the end, in whatever encoding, is broken off before that passes.

use super::Error;
use crate::inject::{Injected, Injection, Rest, Scrubber};
use bytes::Bytes;
use http::StatusCode;
use http::header::{self, HeaderMap, HeaderValue};
use http::response::Parts;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::ext::ReasonPhrase;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use zeroize::Zeroizing;

/// Headers that ask for a part, a difference or a coding (RFC 9110 section 14.2, RFC 3229, gRPC, Azure).
const PARTIAL: &[&str] = &["range", "x-ms-range", "if-range", "a-im", "grpc-accept-encoding"];

/// What is put in a request and kept out of its answer.
#[derive(Debug, Default)]
pub(super) struct Guard {
    injections: Vec<Injection>,
    kept_back: Vec<Arc<Injected>>,
}

impl Guard {
    pub(super) const fn new(injections: Vec<Injection>, kept_back: Vec<Arc<Injected>>) -> Self {
        Self { injections, kept_back }
    }

    /// The path with its query and the headers as they are sent.
    pub(super) fn outgoing(&self, path: String, headers: &mut HeaderMap) -> Zeroizing<String> {
        let mut path = Zeroizing::new(path);
        if self.kept_back.is_empty() {
            return path;
        }
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        for name in PARTIAL {
            headers.remove(*name);
        }
        for injection in &self.injections {
            injection.put_in(headers, &mut path);
        }
        path
    }

    /// The answer without the values.
    pub(super) fn incoming(
        &self,
        response: http::Response<Incoming>,
    ) -> Result<http::Response<Clean>, Error> {
        let Some(rest) = Rest::of(&self.kept_back) else {
            return Ok(response.map(|incoming| Clean { incoming, scrubbing: None }));
        };
        let (mut head, incoming) = response.into_parts();
        let scrubbers: Vec<Scrubber> = self.kept_back.iter().map(Scrubber::new).collect();
        cleaned(&mut head, &scrubbers, &rest)?;
        let scrubbing = Scrubbing { scrubbers, rest, trailers: None, is_over: false };
        Ok(http::Response::from_parts(
            head,
            Clean { incoming, scrubbing: Some(Box::new(scrubbing)) },
        ))
    }
}

/// Takes the values out of the head of an answer. Refuses one whose body could not be looked through.
fn cleaned(head: &mut Parts, scrubbers: &[Scrubber], rest: &Rest) -> Result<(), Error> {
    let other_than = |name: header::HeaderName, fine: &[u8]| {
        head.headers.get_all(name).iter().any(|coding| {
            let mut words = coding.as_bytes().split(|byte| *byte == b',');
            words.any(|word| !word.trim_ascii().eq_ignore_ascii_case(fine))
        })
    };
    if other_than(header::CONTENT_ENCODING, b"identity")
        || other_than(header::TRANSFER_ENCODING, b"chunked")
    {
        return Err(Error::Coded);
    }
    if head.status == StatusCode::PARTIAL_CONTENT {
        return Err(Error::Part);
    }
    head.extensions.remove::<ReasonPhrase>();
    for scrubber in scrubbers {
        clean(scrubber, &mut head.headers);
    }
    if says(rest, &head.headers) { Err(Error::Said) } else { Ok(()) }
}

/// Takes a value out of fields, their names among them.
fn clean(scrubber: &Scrubber, headers: &mut HeaderMap) {
    for value in headers.values_mut() {
        if let Some(text) = scrubber.text(value.as_bytes()) {
            // What is put in is text; a value that is none after all says nothing.
            *value = HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""));
        }
    }
    let named = headers.keys().filter(|name| scrubber.text(name.as_str().as_bytes()).is_some());
    for name in named.cloned().collect::<Vec<_>>() {
        headers.remove(name);
    }
}

/// Whether fields still say a value.
fn says(rest: &Rest, headers: &HeaderMap) -> bool {
    headers
        .iter()
        .any(|(name, value)| rest.says(value.as_bytes()) || rest.says(name.as_str().as_bytes()))
}

/// Why a body does not go on.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// The upstream's fault, or the network's.
    #[error(transparent)]
    Upstream(#[from] hyper::Error),
    /// It says a value that the agent never sees.
    #[error("the answer says a credential that the agent never sees, so it was broken off")]
    Said,
}

impl Fault {
    /// What is recorded, where it is not the upstream that broke off.
    pub(super) const fn why(&self) -> Option<&'static str> {
        match self {
            Self::Upstream(_) => None,
            Self::Said => Some("the answer says a value that is put in, so it was broken off"),
        }
    }
}

/// The body of an answer without the values.
#[derive(Debug)]
pub struct Clean {
    incoming: Incoming,
    /// Boxed, as most answers may say anything.
    scrubbing: Option<Box<Scrubbing>>,
}

/// What takes the values out of one body.
#[derive(Debug)]
struct Scrubbing {
    scrubbers: Vec<Scrubber>,
    rest: Rest,
    is_over: bool,
    /// What came after bytes that were still kept.
    trailers: Option<HeaderMap>,
}

impl Scrubbing {
    fn pass(&mut self, mut bytes: Bytes, last: bool) -> Bytes {
        for scrubber in &mut self.scrubbers {
            bytes = scrubber.pass(bytes, last);
        }
        bytes
    }

    /// What passes, once nothing of it says a value together with what has passed.
    fn frame(&mut self, bytes: Bytes) -> Result<Frame<Bytes>, Fault> {
        if self.rest.goes_on(&bytes) {
            return Err(self.over());
        }
        Ok(Frame::data(bytes))
    }

    const fn over(&mut self) -> Fault {
        self.is_over = true;
        Fault::Said
    }

    fn kept(&self) -> usize {
        self.scrubbers.iter().map(Scrubber::kept).sum()
    }

    /// The next of a body without the values.
    fn poll(
        &mut self,
        incoming: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        loop {
            if self.is_over {
                return Poll::Ready(None);
            }
            if let Some(trailers) = self.trailers.take() {
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            let frame = match ready!(Pin::new(&mut *incoming).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None if self.kept() == 0 => return Poll::Ready(None),
                None => {
                    let bytes = self.pass(Bytes::new(), true);
                    return Poll::Ready(Some(self.frame(bytes)));
                }
            };
            match frame.into_data() {
                Ok(bytes) => {
                    let last = incoming.is_end_stream();
                    let bytes = self.pass(bytes, last);
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(self.frame(bytes)));
                    }
                }
                Err(frame) => {
                    let mut trailers = frame.into_trailers().unwrap_or_default();
                    for scrubber in &self.scrubbers {
                        clean(scrubber, &mut trailers);
                    }
                    if says(&self.rest, &trailers) {
                        return Poll::Ready(Some(Err(self.over())));
                    }
                    self.trailers = Some(trailers);
                    if self.kept() > 0 {
                        let bytes = self.pass(Bytes::new(), true);
                        return Poll::Ready(Some(self.frame(bytes)));
                    }
                }
            }
        }
    }
}

impl Body for Clean {
    type Data = Bytes;
    type Error = Fault;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Fault>>> {
        let Self { incoming, scrubbing } = self.get_mut();
        match scrubbing {
            None => Pin::new(incoming).poll_frame(cx).map_err(Fault::from),
            Some(scrubbing) => scrubbing.poll(incoming, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        let is_all = |one: &Scrubbing| one.kept() == 0 && one.trailers.is_none();
        self.incoming.is_end_stream() && self.scrubbing.as_deref().is_none_or(is_all)
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = self.incoming.size_hint();
        if let Some(scrubbing) = &self.scrubbing {
            let kept = scrubbing.kept() as u64;
            if let Some(upper) = hint.upper() {
                hint.set_upper(upper.saturating_add(kept));
            }
            hint.set_lower(hint.lower().saturating_add(kept));
        }
        hint
    }
}
