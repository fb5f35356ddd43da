//! Waits that end: for a preface, for a head, for a request, for a client that takes its answer.

use super::{DOCS, RAILWAY, waiting};
use crate::support::client::{Client, empty, read, tls, trust, within};
use crate::support::frames::*;
use crate::support::mock::{Options, STAGING_VOLUME};
use crate::support::origin::{Accepted, Body, Identity, Origin};
use crate::support::policy::Edit;
use crate::support::{Gate, delete_volume, until};
use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::Response;
use hyper::body::Frame as BodyFrame;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::mpsc;

async fn gate(limits: &str) -> Gate {
    Gate::with(Options::default(), |policy| Edit(policy).section(limits).0).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_does_not_come_is_not_waited_for() {
    // O-01, E-26
    let gate = gate("limits: { head: 300ms }").await;
    let get = head("GET", DOCS, "/x", &[]);
    let settings = Frame::settings(&[]).bytes();
    let greeting = [PREFACE, &settings].concat();
    let greeted = |bytes: &[u8]| [&greeting, bytes].concat();
    let headers = Frame::headers(1, WHOLE, get.clone()).bytes();
    let half = Frame::headers(1, END_STREAM, get.clone()).bytes();
    for (id, bytes) in [
        ("nothing", Vec::new()),
        ("half a preface", PREFACE[..10].to_vec()),
        ("a preface alone", PREFACE.to_vec()),
        ("half of SETTINGS", [PREFACE, &settings[..5]].concat()),
        ("HEADERS without an end", greeted(&half)),
        ("half of HEADERS", greeted(&headers[..headers.len() / 2])),
        ("half of a frame's head", greeted(&headers[..4])),
        ("HEADERS and CONTINUATION without an end", {
            greeted(&[half, Frame::continuation(1, 0, []).bytes()].concat())
        }),
        ("half of a PING", greeted(&Frame::ping(0, [0; 8]).bytes()[..12])),
        // A request that was answered before changes nothing.
        ("half of the second HEADERS", {
            let second = Frame::headers(3, WHOLE, head("POST", DOCS, "/x", &[])).bytes();
            let first = Frame::headers(1, WHOLE, head("POST", DOCS, "/x", &[])).bytes();
            greeted(&[&first, &second[..20]].concat())
        }),
    ] {
        println!("{id}");
        let mut frames = Frames::silent(gate.running(), DOCS).await;
        frames.mute();
        frames.write(&bytes).await;
        assert_eq!(frames.closed().await, Ended::Closed, "{id}");
    }
    // By the byte is not in time either.
    let mut frames = Frames::silent(gate.running(), DOCS).await;
    let slow = Frame::headers(1, WHOLE, [get, literal(0, "x", "a".repeat(16_000))].concat());
    frames.write(&greeting).await;
    within("the end of a slow head", async {
        for byte in slow.bytes() {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if !frames.write(&[byte]).await {
                return;
            }
        }
        panic!("all of a head was taken in however long");
    })
    .await;
    assert_eq!(gate.mock.bytes_received(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_without_a_request_is_closed() {
    // O-02
    let gate = gate("limits: { idle: 300ms }").await;
    let get = || Frame::headers(1, WHOLE, head("GET", DOCS, "/x", &[]));
    for (id, frame) in [("none", None), ("one", Some(get()))] {
        for mute in [false, true] {
            println!("{id} mute={mute}");
            let mut frames = Frames::open(gate.running(), DOCS).await;
            if mute {
                // It does not even say goodbye.
                frames.mute();
            }
            if let Some(frame) = &frame {
                frames.send(std::slice::from_ref(frame)).await;
                let answer = frames.answer(1).await;
                assert!(matches!(answer, Ended::Answer(200, _)), "{answer:?}");
            }
            assert_eq!(frames.closed().await, Ended::Connection(NO_ERROR), "{id} mute={mute}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_nothing_is_not_waited_for() {
    // O-01: the answer has begun, and no window is ever opened for its body.
    let gate = gate("limits: { stall: 300ms }").await;
    let mut frames = Frames::silent(gate.running(), DOCS).await;
    frames.greet(&[(INITIAL_WINDOW_SIZE, 0)]).await;
    frames.send(&[Frame::headers(1, WHOLE, head("GET", DOCS, "/x", &[]))]).await;
    let mut kinds = Vec::new();
    while let Some(frame) = frames.next().await {
        kinds.push(frame.kind);
    }
    assert!(kinds.contains(&HEADERS) && !kinds.contains(&DATA), "{kinds:?}");
    assert_eq!(gate.mock.requests().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_reads_nothing_is_not_waited_for() {
    // O-01: the windows are wide, and the socket is full.
    let origin = Origin::http(Identity::named(&["endless.example"]), |_request| async {
        let chunk = Bytes::from(vec![7; 64 << 10]);
        let frames = std::iter::repeat_with(move || Ok(BodyFrame::data(chunk.clone())));
        Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed())
    })
    .await;
    let gate = Gate::with(Options::default(), |policy| {
        let policy = origin.declared(policy, "endless.example", "- allow: GET /**");
        Edit(policy).section("limits: { stall: 300ms }").0
    })
    .await;
    let host = "endless.example";
    let config = trust(&gate.running().ca, &["h2"]);
    let mut stream = tls(gate.running(), &format!("{host}:443"), host, config).await.unwrap();
    let settings = Frame::settings(&[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]).bytes();
    let window = Frame::window_update(0, 0x7fff_ffff - 65535).bytes();
    let get = Frame::headers(1, WHOLE, head("GET", host, "/", &[])).bytes();
    stream.write_all(&[PREFACE, &settings, &window, &get].concat()).await.unwrap();
    let mut begun = [0; 9];
    within("an answer", stream.read_exact(&mut begun)).await.unwrap();
    // Its record says that it broke off.
    until("an outcome", || gate.records().iter().any(|r| r["kind"] == "outcome").then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_the_other_side_is_not_idle() {
    // G-26: a stream of events that is silent for long, and a call that waits for a person.
    let senders = Arc::new(Mutex::new(Vec::new()));
    let kept = senders.clone();
    let origin = Origin::http(Identity::named(&["events.example"]), move |_request| {
        let (sender, mut receiver) = mpsc::channel::<&'static str>(1);
        kept.lock().unwrap().push(sender);
        async move {
            let frames = futures_util::stream::poll_fn(move |cx| {
                receiver.poll_recv(cx).map(|event| {
                    event.map(|event| Ok(BodyFrame::data(Bytes::from_static(event.as_bytes()))))
                })
            });
            let body: Body = StreamBody::new(frames).boxed();
            let mut response = Response::new(body);
            response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
            response
        }
    })
    .await;
    let gate = Gate::with(Options::default(), |policy| {
        let policy = origin.declared(policy, "events.example", "- allow: GET /**");
        Edit(policy).section("limits: { idle: 300ms, head: 300ms, stall: 300ms }").0
    })
    .await;
    let mut events = Vec::new();
    for http2 in [false, true] {
        let mut client = Client::open(gate.running(), "events.example", http2).await;
        let request = client.request("GET", "/").body(empty()).unwrap();
        let mut response = client.send(request).await.unwrap();
        let sender = senders.lock().unwrap().pop().unwrap();
        sender.send("data: first\n\n").await.unwrap();
        let first = within("an event", response.frame()).await.unwrap().unwrap();
        assert_eq!(first.into_data().unwrap(), "data: first\n\n");
        events.push((client, sender, response));
    }
    let mut held = Frames::open(gate.running(), RAILWAY).await;
    let body = delete_volume(STAGING_VOLUME).to_string();
    held.send(&[Frame::headers(1, END_HEADERS, waiting(&[])), Frame::data(1, END_STREAM, body)])
        .await;
    let id = gate.wait_for_hold();
    // Another connection comes and is closed for its silence; twice, so that these had their time.
    for _ in 0..2 {
        let mut frames = Frames::open(gate.running(), DOCS).await;
        assert_eq!(frames.closed().await, Ended::Connection(NO_ERROR));
    }
    gate.approve(&id);
    let answer = held.answer(1).await;
    assert!(matches!(answer, Ended::Answer(200, _)), "{answer:?}");
    for (_client, sender, response) in events {
        sender.send("data: second\n\n").await.unwrap();
        drop(sender);
        assert_eq!(read(response).await.body, "data: second\n\n");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_takes_the_time_it_takes() {
    // A long pause within a frame of DATA is no slow head.
    let origin =
        Origin::raw(Identity::http1(&["upload.example"]), |mut accepted: Accepted| async move {
            let mut received = Vec::new();
            while !received.ends_with(b"end") {
                let mut buffer = [0; 1024];
                let read = accepted.stream.read(&mut buffer).await.unwrap();
                assert!(read > 0, "broken off");
                received.extend_from_slice(&buffer[..read]);
            }
            accepted
                .stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                .await
                .unwrap();
            std::future::pending::<()>().await;
        })
        .await;
    let gate = Gate::with(Options::default(), |policy| {
        let policy = origin.declared(policy, "upload.example", "- allow: POST /**");
        Edit(policy).section("limits: { idle: 300ms, head: 300ms }").0
    })
    .await;
    let mut frames = Frames::open(gate.running(), "upload.example").await;
    let fields = [("content-length", "6"), ("content-type", "application/octet-stream")];
    let head = head("POST", "upload.example", "/", &fields);
    let data = Frame::data(1, END_STREAM, *b"theend").bytes();
    frames.write(&[&Frame::headers(1, END_HEADERS, head).bytes(), &data[..12]].concat()).await;
    for _ in 0..2 {
        let mut frames = Frames::open(gate.running(), DOCS).await;
        assert_eq!(frames.closed().await, Ended::Connection(NO_ERROR));
    }
    frames.write(&data[12..]).await;
    assert_eq!(frames.answer(1).await, Ended::Answer(200, Vec::new()));
}
