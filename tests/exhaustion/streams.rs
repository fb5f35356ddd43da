//! Answers without end, and heads without end.

use super::replace_policy;
use crate::support::Gate;
use crate::support::client::{Client, empty, streamed, within};
use crate::support::mock::Options;
use crate::support::origin::{Accepted, Identity, Origin};
use crate::support::policy::Edit;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Response;
use hyper::body::Frame;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Mutex;

pub(super) async fn ends_with_its_scope() {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let senders = kept.clone();
    let origin = Origin::http(Identity::named(&["sse.example"]), move |_request| {
        let senders = senders.clone();
        async move {
            let (sender, body) = streamed();
            sender.send(Frame::data(Bytes::from("data: 1\n\n"))).await.unwrap();
            senders.lock().await.push(sender);
            Response::new(body)
        }
    })
    .await;
    let gate = Gate::with(Options::default(), |policy| {
        origin.declared(policy, "sse.example", "- allow: GET /**")
    })
    .await;
    let mut streams = Vec::new();
    for http2 in [false, true] {
        let mut client = Client::open(gate.running(), "sse.example", http2).await;
        let request = client.request("GET", "/events").body(empty()).unwrap();
        let mut body = client.send(request).await.unwrap().into_body();
        let first = within("an event", body.frame()).await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "data: 1\n\n");
        streams.push((client, body));
    }
    // A policy that says the same in another text leaves them alone.
    replace_policy(&gate, |policy| format!("{policy}\n# changed\n"));
    for sender in kept.lock().await.iter() {
        sender.send(Frame::data(Bytes::from("data: 2\n\n"))).await.unwrap();
    }
    for (_, body) in &mut streams {
        let next = within("an event", body.frame()).await.unwrap().unwrap();
        assert_eq!(next.into_data().unwrap(), "data: 2\n\n");
    }
    replace_policy(&gate, |policy| policy.replace("resources: [sse.example, ", "resources: ["));
    for (_, body) in &mut streams {
        assert!(within("the end", body.frame()).await.unwrap().is_err());
    }
    let cut = "the answer was cut: the policy no longer gives the agent this host";
    let told = || gate.records().iter().filter(|record| record["detail"] == cut).count();
    crate::support::until("the records of their ends", || (told() == 2).then_some(()));
}

/// L-09, E-25, E-26: heads without end, and hints without end, from an upstream.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_never_comes_to_its_answer_is_given_up() {
    let origin = Origin::raw(Identity::http1(&["up.example"]), |accepted: Accepted| async move {
        let mut stream = accepted.stream;
        let mut head = vec![0; 4096];
        let read = stream.read(&mut head).await.unwrap();
        let head = String::from_utf8_lossy(&head[..read]).into_owned();
        let piece: &[u8] = if head.starts_with("GET /hints ") {
            b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"
        } else if head.starts_with("GET /head ") {
            stream.write_all(b"HTTP/1.1 200 OK\r\nX-Long: ").await.unwrap();
            b"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        } else {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await.unwrap();
            b"X-Many: a\r\n"
        };
        // Until the proxy has had enough.
        while stream.write_all(&piece.repeat(100)).await.is_ok() {}
    })
    .await;
    let gate = Gate::with(Options::default(), |policy| {
        let policy = origin.declared(policy, "up.example", "- allow: GET /**");
        Edit(policy).section("limits: { answer: 2s }").0
    })
    .await;
    for path in ["/hints", "/head", "/fields"] {
        let mut client = Client::http1(gate.running(), "up.example").await;
        let got = client.get(path).await;
        assert_eq!((got.status.as_u16(), &*got.reason()), (502, "upstream_unreachable"), "{path}");
    }
}
