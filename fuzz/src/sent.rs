//! I1: an accepted request leaves as exactly one request, with the judged method, path, host,
//! headers and body, whoever reads it.

use super::memory::{Arrived, Peer, Served, settle};
use super::{authority, chunked, path};
use bytes::Bytes;
use holdgate::message::{Head, Target};
use http::header::{self, HeaderName};
use http::{HeaderMap, Request, Uri};
use hyper::body::{Body, Frame, SizeHint};
use hyper::client::conn::http1;
use std::convert::Infallible;
use std::future::{Future as _, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

/// Fields that end at a hop, and those that the proxy makes itself.
const NEVER: &[&str] = &[
    "connection",
    "content-length",
    "expect",
    "forwarded",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
];

/// Checks what a served request becomes, if it is accepted for a target at all.
pub(super) fn check(served: Served, target: &Target) {
    let Served { parts, body } = served;
    let Ok(head) = Head::read(parts.method, &parts.uri, parts.headers, target.clone()) else {
        return;
    };
    check_head(&head);
    let Arrived::Whole(body) = body else { return };
    for streamed in [false, true] {
        check_bytes(&head, &body, &serialise(&head, &body, streamed));
    }
}

/// The canonical value: nothing of a hop, one host, and the same value the second time.
fn check_head(head: &Head) {
    authority::check_host(head.target().host(), head.target().host().as_str());
    path::check_path(head.path());
    path::check_query(head.query());
    for name in head.headers().keys().map(HeaderName::as_str) {
        assert!(!NEVER.contains(&name) && !name.starts_with("x-forwarded-"), "{name} is sent");
    }
    assert!(head.headers().get_all(header::TE).iter().all(|value| value == "trailers"));
    let hosts: Vec<_> = head.headers().get_all(header::HOST).iter().collect();
    assert_eq!(hosts, [&*head.target().authority()]);
    let uri: Uri = head.path_and_query().parse().expect("what is sent is a request target");
    let again =
        Head::read(head.method().clone(), &uri, head.headers().clone(), head.target().clone());
    let again = again.expect("what was accepted is accepted again");
    assert_eq!((again.path().as_str(), again.query()), (head.path().as_str(), head.query()));
    assert_eq!(again.headers(), head.headers());
}

/// The bytes on an upstream connection.
fn serialise(head: &Head, body: &Bytes, streamed: bool) -> Vec<u8> {
    let body = Outgoing { rest: Some(body.clone()).filter(|body| !body.is_empty()), streamed };
    let mut request = Request::new(body);
    *request.method_mut() = head.method().clone();
    *request.uri_mut() = head.path_and_query().parse().expect("it is a request target");
    *request.headers_mut() = head.headers().clone();
    if request.body().size_hint().exact().is_none() {
        // hyper takes a GET or HEAD whose length it does not know for one without a body.
        let coding = "chunked".parse().expect("it is a value");
        request.headers_mut().insert(header::TRANSFER_ENCODING, coding);
    }
    if head.headers().contains_key(header::TE) {
        request.headers_mut().insert(header::CONNECTION, "te".parse().expect("it is a value"));
    }
    let peer = Peer::sending(b"", 0);
    let written = peer.received();
    let handshake = settle(http1::Builder::new().handshake(peer)).expect("it is there at once");
    let (mut sender, mut connection) = handshake.expect("nothing was read yet");
    let mut answer = pin!(sender.send_request(request));
    settle(poll_fn(|cx| {
        assert!(Pin::new(&mut connection).poll(cx).is_pending(), "the connection ended");
        assert!(answer.as_mut().poll(cx).is_pending(), "it was not sent");
        Poll::<()>::Pending
    }));
    std::mem::take(&mut *written.lock().expect("nobody panicked"))
}

/// Exactly one request, the judged one, in the eyes of another parser.
fn check_bytes(head: &Head, body: &[u8], bytes: &[u8]) {
    let mut space = vec![httparse::EMPTY_HEADER; head.headers().len() + 4];
    let mut read = httparse::Request::new(&mut space);
    let Ok(httparse::Status::Complete(end)) = read.parse(bytes) else {
        panic!("it is no request: {}", bytes.escape_ascii())
    };
    assert_eq!(read.method, Some(head.method().as_str()));
    assert_eq!(read.path, Some(&*head.path_and_query()));
    assert_eq!(read.version, Some(1));
    let mut fields: Vec<(String, &[u8])> =
        read.headers.iter().map(|field| (field.name.to_ascii_lowercase(), field.value)).collect();
    let behind = &bytes[end..];
    let lengths: Vec<&[u8]> = taken(&mut fields, "content-length");
    let codings: Vec<&[u8]> = taken(&mut fields, "transfer-encoding");
    match (&*lengths, &*codings) {
        ([], []) => {
            assert!(body.is_empty() && behind.is_empty(), "bytes behind a bodiless request")
        }
        ([length], []) => {
            assert_eq!(*length, body.len().to_string().as_bytes());
            assert_eq!(behind, body);
        }
        ([], [b"chunked"]) => {
            assert_eq!(chunked::read(behind), Some((body.to_vec(), behind.len())));
        }
        _ => panic!("it is framed twice: {}", bytes.escape_ascii()),
    }
    let connection = taken(&mut fields, "connection");
    assert!(connection.iter().all(|value| *value == b"te"));
    fields.sort_unstable();
    assert_eq!(fields, sorted(head.headers()));
}

fn taken<'a>(fields: &mut Vec<(String, &'a [u8])>, name: &str) -> Vec<&'a [u8]> {
    let values = fields.iter().filter(|field| field.0 == name).map(|field| field.1).collect();
    fields.retain(|field| field.0 != name);
    values
}

fn sorted(headers: &HeaderMap) -> Vec<(String, &[u8])> {
    let mut fields: Vec<_> =
        headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes())).collect();
    fields.sort_unstable();
    fields
}

/// A body that says its length, or not.
struct Outgoing {
    rest: Option<Bytes>,
    streamed: bool,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.rest.take().map(|bytes| Ok(Frame::data(bytes))))
    }
    fn is_end_stream(&self) -> bool {
        self.rest.is_none() && !self.streamed
    }
    fn size_hint(&self) -> SizeHint {
        if self.streamed {
            return SizeHint::default();
        }
        SizeHint::with_exact(self.rest.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
