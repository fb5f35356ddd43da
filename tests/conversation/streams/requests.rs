//! Requests: the origin gets the bytes of the client, and what stands in them is noted.

use super::wires::{JSON, coded};
use super::{ANTHROPIC, Scene};
use crate::support::client::{Client, full, streamed, within};
use crate::support::origin::text;
use crate::support::until;
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::{Frame, Incoming};
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::sync::Notify;

/// What is read of a request, in KiB.
const LIMIT: usize = 64;

/// A conversation with a call in it, and so much prose behind that.
fn conversation(file: &str, prose: usize) -> Vec<u8> {
    let input = json!({"command": format!("cat {file}")});
    let call = json!({"type": "tool_use", "id": file, "name": "bash", "input": input});
    let messages = json!([
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": "a line of no interest ".repeat(prose / 22)},
    ]);
    json!({"model": "m", "messages": messages}).to_string().into_bytes()
}

/// What arrived: the content coding and the body.
type Arrived = Arc<Mutex<Vec<(String, Bytes)>>>;

async fn scene() -> (Scene, Arrived) {
    let arrived = Arrived::default();
    let hears = arrived.clone();
    let answer = move |request: Request<Incoming>| {
        let hears = hears.clone();
        async move {
            let (head, body) = request.into_parts();
            let coding = head.headers.get("content-encoding");
            let coding = coding.map_or("", |coding| coding.to_str().unwrap()).to_owned();
            if let Ok(body) = body.collect().await {
                hears.lock().unwrap().push((coding, body.to_bytes()));
            }
            text("{}")
        }
    };
    let limits = format!("limits: {{ inspect_kib: {LIMIT} }}");
    (Scene::new(|edit| edit.section(&limits), answer).await, arrived)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conversation_arrives_as_it_was_sent() {
    const SHORT: usize = 2_000;
    // What is longer is read beside what else passes.
    const LONGER: usize = 40_000;
    const LONG: usize = 100_000;
    // Whether it says its length, its coding, its prose, and why it is not read.
    let rows: &[(bool, &str, usize, Option<&str>)] = &[
        (true, "", SHORT, None),
        (false, "", SHORT, None),
        (true, "gzip", SHORT, None),
        (false, "gzip", SHORT, None),
        (true, "deflate", SHORT, None),
        (true, "br", SHORT, None),
        (false, "zstd", SHORT, None),
        (true, "", LONGER, None),
        (false, "", LONGER, None),
        (false, "gzip", LONGER, None),
        // A turn is too long: the others are read, where they can be told apart as they pass.
        (true, "", LONG, Some("longer")),
        (false, "", LONG, Some("longer")),
        (false, "gzip", LONG, Some("longer")),
    ];
    let (scene, arrived) = scene().await;
    for (row, (says_length, coding, prose, why)) in rows.iter().enumerate() {
        for http2 in [false, true] {
            let case = format!("{row} {coding} {prose} {http2}");
            let file = format!("/srv/{row}/{http2}/.env");
            let plain = conversation(&file, *prose);
            let sent = coded(coding, &plain);
            let before = scene.told().unread();
            let mut client = Client::open(scene.gate.running(), ANTHROPIC, http2).await;
            let mut request = client.request("POST", "/v1/messages").header("content-type", JSON);
            if !coding.is_empty() {
                request = request.header("content-encoding", *coding);
            }
            let got = if *says_length {
                client.exchange(request.body(full(sent.clone())).unwrap()).await
            } else {
                let (sender, body) = streamed();
                let pieces: Vec<_> = sent.chunks(997).map(Bytes::copy_from_slice).collect();
                let sending = async {
                    for piece in pieces {
                        sender.send(Frame::data(piece)).await.unwrap();
                    }
                    drop(sender);
                };
                tokio::join!(client.exchange(request.body(body).unwrap()), sending).0
            };
            assert_eq!(got.status, 200, "{case}: {got:?}");
            let (as_coded, body) = arrived.lock().unwrap().pop().unwrap();
            // What is judged as a whole is decoded, and sent on as it was judged.
            let expected = if as_coded == *coding { &sent } else { &plain };
            assert!(as_coded == *coding || as_coded.is_empty(), "{case}: {as_coded}");
            assert!(body == *expected, "{case}: {} of {}", body.len(), expected.len());
            let told = scene.told();
            let heard = told.has("credential_discovery", &format!("cat {file}"));
            assert_eq!(heard, why.is_none() || coding.is_empty(), "{case}: {told:?}");
            assert_eq!(told.unread() - before, u64::from(why.is_some()), "{case}: {told:?}");
            assert!(why.is_none_or(|why| told.unread_for(why) > 0), "{case}: {told:?}");
        }
    }
}

/// A request that its client breaks off has left as far as it came, unread.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_breaks_off_is_counted() {
    let began = Arc::new(Notify::new());
    let begins = began.clone();
    let answer = move |request: Request<Incoming>| {
        let begins = begins.clone();
        async move {
            let mut body = request.into_body();
            assert!(body.frame().await.unwrap().is_ok());
            begins.notify_one();
            assert!(body.frame().await.is_none_or(|frame| frame.is_err()), "its end never comes");
            text("{}")
        }
    };
    let scene = Scene::new(|edit| edit, answer).await;
    let mut client = Client::http1(scene.gate.running(), ANTHROPIC).await;
    let (sender, body) = streamed();
    let piece = Bytes::from(conversation("/srv/left/.env", 2_000));
    sender.send(Frame::data(piece)).await.unwrap();
    let request = client.request("POST", "/v1/messages").body(body).unwrap();
    {
        let mut sent = std::pin::pin!(client.send(request));
        tokio::select! {
            answered = &mut sent => panic!("{answered:?}"),
            () = within("the beginning", began.notified()) => {}
        }
        assert_eq!(scene.told().unread(), 0);
    }
    client.cut().await;
    until("the count", || (scene.told().unread_for("in the middle") == 1).then_some(()));
    assert!(!scene.told().has("credential_discovery", "/srv/left/.env"));
}
