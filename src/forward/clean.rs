//! Values that the agent never sees: put in as a request leaves, taken out of what comes back.
//!
//! Takes what a verdict allowed to be put in, and the credentials that no answer may say; changes the
//! outgoing head, the head of the answer and its body as it streams. Refuses an answer in a coding,
//! in which nothing can be looked for. An answer to a host of such a credential is asked for uncoded
//! and whole: a part of a value could not be told.

use super::Error;
use crate::inject::{Injected, Injection, Scrubber};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderValue};
use http::response::Parts;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::ext::ReasonPhrase;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use zeroize::Zeroizing;

/// Headers that ask for a part, a difference or a coding (RFC 9110 section 14.2, RFC 3229, gRPC).
const PARTIAL: &[&str] = &["range", "if-range", "a-im", "grpc-accept-encoding"];

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
        let (mut head, incoming) = response.into_parts();
        if !self.kept_back.is_empty() {
            self.head(&mut head)?;
        }
        let scrubbers = self.kept_back.iter().map(Scrubber::new).collect();
        Ok(http::Response::from_parts(head, Clean { incoming, scrubbers, trailers: None }))
    }

    fn head(&self, head: &mut Parts) -> Result<(), Error> {
        let mut codings = head.headers.get_all(header::CONTENT_ENCODING).iter();
        if codings.any(|coding| !coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity")) {
            return Err(Error::Coded);
        }
        head.extensions.remove::<ReasonPhrase>();
        for injected in &self.kept_back {
            clean(&Scrubber::new(injected), &mut head.headers);
        }
        Ok(())
    }
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

/// The body of an answer without the values.
#[derive(Debug)]
pub struct Clean {
    incoming: Incoming,
    scrubbers: Vec<Scrubber>,
    /// What came after bytes that were still kept.
    trailers: Option<HeaderMap>,
}

impl Clean {
    fn pass(&mut self, mut bytes: Bytes, last: bool) -> Bytes {
        for scrubber in &mut self.scrubbers {
            bytes = scrubber.pass(bytes, last);
        }
        bytes
    }

    fn kept(&self) -> usize {
        self.scrubbers.iter().map(Scrubber::kept).sum()
    }
}

impl Body for Clean {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        loop {
            if let Some(trailers) = this.trailers.take() {
                return Poll::Ready(Some(Ok(Frame::trailers(trailers))));
            }
            let frame = match ready!(Pin::new(&mut this.incoming).poll_frame(cx)) {
                Some(Ok(frame)) => frame,
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None if this.kept() == 0 => return Poll::Ready(None),
                None => return Poll::Ready(Some(Ok(Frame::data(this.pass(Bytes::new(), true))))),
            };
            if this.scrubbers.is_empty() {
                return Poll::Ready(Some(Ok(frame)));
            }
            match frame.into_data() {
                Ok(bytes) => {
                    let last = this.incoming.is_end_stream();
                    let bytes = this.pass(bytes, last);
                    if !bytes.is_empty() {
                        return Poll::Ready(Some(Ok(Frame::data(bytes))));
                    }
                }
                Err(frame) => {
                    let mut trailers = frame.into_trailers().unwrap_or_default();
                    for scrubber in &this.scrubbers {
                        clean(scrubber, &mut trailers);
                    }
                    this.trailers = Some(trailers);
                    if this.kept() > 0 {
                        return Poll::Ready(Some(Ok(Frame::data(this.pass(Bytes::new(), true)))));
                    }
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream() && self.kept() == 0 && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let (incoming, kept) = (self.incoming.size_hint(), self.kept() as u64);
        let mut hint = SizeHint::new();
        if let Some(upper) = incoming.upper() {
            hint.set_upper(upper.saturating_add(kept));
        }
        hint.set_lower(incoming.lower().saturating_add(kept));
        hint
    }
}
