//! Long answers: what the process takes in memory does not grow with them.

use super::wires::EVENTS;
use super::{ANTHROPIC, PLAIN, Scene};
use crate::support::Running;
use crate::support::client::{Client, full, within};
use crate::support::origin::Body;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use std::convert::Infallible;
use std::io::Write as _;
use std::num::Wrapping;
use std::sync::Arc;
use tokio::sync::Notify;

/// How long an answer is, decoded, and how much more the process may take for it.
const LENGTH: usize = 50 << 20;
const MOST_KIB: usize = 16 << 10;
/// An event.
const EVENT: usize = 64 << 10;

/// An event whose words do not compress well.
fn event(number: usize) -> Vec<u8> {
    let mut bytes = br#"data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":""#.to_vec();
    let mut state = Wrapping(number as u64 + 1);
    while bytes.len() < EVENT {
        state = state * Wrapping(6_364_136_223_846_793_005) + Wrapping(1_442_695_040_888_963_407);
        bytes.extend_from_slice(format!("{:016x}", state.0).as_bytes());
    }
    bytes.extend_from_slice(b"\"}}\n\n");
    bytes
}

fn answer(coding: &str) -> Response<Body> {
    let is_coded = !coding.is_empty();
    let encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let pieces = (0..LENGTH / EVENT).scan(encoder, move |encoder, number| {
        let event = event(number);
        if !is_coded {
            return Some(event);
        }
        encoder.write_all(&event).unwrap();
        encoder.flush().unwrap();
        Some(std::mem::take(encoder.get_mut()))
    });
    let frames = pieces.map(|piece| Ok::<_, Infallible>(Frame::data(Bytes::from(piece))));
    let mut response = Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed());
    response.headers_mut().insert("content-type", EVENTS.parse().unwrap());
    if is_coded {
        response.headers_mut().insert("content-encoding", coding.parse().unwrap());
    }
    response
}

/// The most that the process ever had in memory, in KiB.
fn most(running: &Running) -> usize {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A call whose input never ends is the worst that an answer can bring.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_takes_no_more_memory_than_a_short_one() {
    let scene = Scene::new(
        |edit| edit,
        |request: Request<Incoming>| async move {
            answer(request.headers()["x-coding"].to_str().unwrap())
        },
    )
    .await;
    // What streams take anyway is taken by one that nobody reads.
    for (host, coding, http2) in [
        (PLAIN, "", false),
        (PLAIN, "", true),
        (ANTHROPIC, "", false),
        (ANTHROPIC, "", true),
        (ANTHROPIC, "gzip", false),
    ] {
        let before = most(scene.gate.running());
        let mut client = Client::open(scene.gate.running(), host, http2).await;
        let request = client.request("POST", "/v1/messages").header("x-coding", coding);
        let mut response = client.send(request.body(full("{}")).unwrap()).await.unwrap();
        assert_eq!(response.status(), 200);
        let mut length = 0;
        while let Some(frame) = within("the rest", response.body_mut().frame()).await {
            length += frame.unwrap().into_data().unwrap().len();
        }
        let least = if coding.is_empty() { LENGTH } else { LENGTH / 3 };
        assert!(length >= least, "{coding}: {length}");
        let more = most(scene.gate.running()) - before;
        assert!(host == PLAIN || more < MOST_KIB, "{coding} {http2}: {more} KiB");
    }
    assert!(scene.told().unread_for("no tool call that has begun") > 0, "it was read");
}

/// What a coding takes to be undone is the agent's to have, and so are only so many of the largest.
#[tokio::test(flavor = "multi_thread")]
async fn decoders_share_what_the_agent_may_have_in_memory() {
    const WINDOWS: usize = 3;
    let over = Arc::new(Notify::new());
    let ends = over.clone();
    let answer = move |_: Request<Incoming>| {
        let ends = ends.clone();
        async move {
            // The first byte of brotli: a window of 16 MiB.
            let first = futures_util::stream::iter([Ok(Frame::data(Bytes::from_static(b"\x0f")))]);
            let rest = futures_util::stream::once(async move {
                ends.notified().await;
                Ok::<_, Infallible>(Frame::data(Bytes::from_static(b"\x0f")))
            });
            let frames = futures_util::StreamExt::chain(first, rest);
            let mut response = Response::new(StreamBody::new(frames).boxed());
            response.headers_mut().insert("content-type", EVENTS.parse().unwrap());
            response.headers_mut().insert("content-encoding", "br".parse().unwrap());
            response
        }
    };
    let scene = Scene::new(|edit| edit, answer).await;
    let mut open = Vec::new();
    for number in 0..WINDOWS + 2 {
        let mut client = Client::http1(scene.gate.running(), ANTHROPIC).await;
        let request = client.request("POST", "/v1/messages");
        let mut response = client.send(request.body(full("{}")).unwrap()).await.unwrap();
        let first = within("the first byte", response.body_mut().frame()).await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "\x0f", "it passes, whoever reads it");
        open.push((client, response));
        let expected = (number + 1).saturating_sub(WINDOWS) as u64;
        assert_eq!(scene.told().unread_for("no room"), expected, "{number}");
    }
    over.notify_waiters();
}
