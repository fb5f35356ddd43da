//! Answers: whatever they are framed and coded in and however they are cut, their clients get the bytes
//! of their origins, and what they say is noted.

use super::wires::{EVENTS, JSON, RESULTS, WIRES, Wire, anthropic, call, coded, token};
use super::{ANTHROPIC, Scene};
use crate::support::client::{Client, Got, full, within};
use crate::support::mock::STAGING_VOLUME;
use crate::support::origin::{Accepted, Body, Identity, Origin};
use crate::support::until;
use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt as _;

/// An answer as the origin gives it.
struct Served {
    media: &'static str,
    coding: &'static str,
    bytes: Vec<u8>,
}

impl Served {
    /// In pieces that end at odd places.
    fn answer(&self) -> Response<Body> {
        let (mut rest, mut pieces) = (&self.bytes[..], Vec::new());
        // Thousands of little frames would be a flood.
        let odd = [1, 2, 3, 5, 7, 11, 13, 101].into_iter().cycle().take(2_000);
        for length in odd.chain(std::iter::repeat(9_973)) {
            let (piece, after) = rest.split_at(length.min(rest.len()));
            pieces.push(Ok::<_, Infallible>(Frame::data(Bytes::copy_from_slice(piece))));
            rest = after;
            if rest.is_empty() {
                break;
            }
        }
        let body = StreamBody::new(futures_util::stream::iter(pieces)).boxed();
        let mut response = Response::new(body);
        response.headers_mut().insert("content-type", self.media.parse().unwrap());
        if !self.coding.is_empty() {
            response.headers_mut().insert("content-encoding", self.coding.parse().unwrap());
        }
        response
    }
}

/// A scene whose origin gives each of these to a request that asks for its number.
async fn serving(all: Vec<Served>) -> (Scene, Arc<Vec<Served>>) {
    let all = Arc::new(all);
    let served = all.clone();
    let answer = move |request: Request<Incoming>| {
        let row = request.headers()["x-row"].to_str().unwrap().parse::<usize>().unwrap();
        let response = served[row].answer();
        async move { response }
    };
    (Scene::new(|edit| edit, answer).await, all)
}

async fn ask(client: &mut Client, wire: &Wire, row: usize, said: String) -> Got {
    let request = client.request("POST", wire.path).header("content-type", "application/json");
    let request = request.header("accept", "application/json, text/event-stream");
    let request = request.header("accept-encoding", "gzip, deflate, br, zstd");
    client.exchange(request.header("x-row", row).body(full(said)).unwrap()).await
}

const CODINGS: &[&str] = &["", "gzip", "deflate", "br", "zstd", "gzip, gzip"];

/// What is read of an answer while it passes.
fn is_read(coding: &str) -> bool {
    !["zstd", "gzip, gzip"].contains(&coding)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_dialect_passes_in_each_coding_and_is_heard() {
    let file = |row: usize| format!("/srv/{row:03}/.env");
    let rows: Vec<(&Wire, &str, bool)> = WIRES
        .iter()
        .flat_map(|wire| CODINGS.iter().map(move |coding| (wire, *coding)))
        .flat_map(|(wire, coding)| [false, true].map(|http2| (wire, coding, http2)))
        .collect();
    let served = rows.iter().enumerate().map(|(row, (wire, coding, _))| Served {
        media: wire.media,
        coding,
        bytes: coded(coding, &(wire.body)(&file(row))),
    });
    let (scene, served) = serving(served.collect()).await;
    for (row, (wire, coding, http2)) in rows.iter().enumerate() {
        let case = format!("{} {coding} {http2}", wire.name);
        let mut client = Client::open(scene.gate.running(), wire.host, *http2).await;
        let got = ask(&mut client, wire, row, "{}".to_owned()).await;
        assert_eq!(got.status, 200, "{case}: {got:?}");
        assert!(got.body == served[row].bytes, "{case}: {got:?}");
        assert_eq!(got.headers["content-type"], wire.media, "{case}");
    }
    let told = scene.told();
    for (row, (wire, coding, http2)) in rows.iter().enumerate() {
        let heard = told.has("credential_discovery", &format!("cat {}", file(row)));
        assert_eq!(heard, is_read(coding), "{} {coding} {http2}: {told:?}", wire.name);
    }
    let unread = rows.iter().filter(|(_, coding, _)| !is_read(coding)).count() as u64;
    assert_eq!((told.unread_for("content coding"), told.unread()), (unread, unread), "{told:?}");
    let line = format!("not read in its conversations, {unread} times: its content coding");
    assert!(scene.shown().contains(&line), "{}", scene.shown());
}

#[tokio::test(flavor = "multi_thread")]
async fn results_of_servers_of_tools_pass_and_are_heard() {
    let file = |row: usize| format!("/srv/{row:03}/domains.env");
    let rows: Vec<(&Wire, &str)> = RESULTS
        .iter()
        .flat_map(|wire| CODINGS.iter().map(move |coding| (wire, *coding)))
        .filter(|(_, coding)| is_read(coding))
        .collect();
    let served = rows.iter().enumerate().map(|(row, (wire, coding))| Served {
        media: wire.media,
        coding,
        bytes: coded(coding, &(wire.body)(&file(row))),
    });
    let (scene, served) = serving(served.collect()).await;
    for (row, (wire, coding)) in rows.iter().enumerate() {
        let case = format!("{} {coding}", wire.name);
        let mut client = Client::open(scene.gate.running(), wire.host, row % 2 == 0).await;
        let got = ask(&mut client, wire, row, call(&file(row))).await;
        assert_eq!(got.status, 200, "{case}: {got:?}");
        assert!(got.body == served[row].bytes, "{case}: {got:?}");
        let told = scene.told();
        assert!(told.has("credential_discovery", &file(row)), "{case}: {told:?}");
        assert!(told.has("secret_handed_out", "tools/call read_file"), "{case}: {told:?}");
        let before = scene.gate.mock.requests().len();
        let refused = scene.gate.delete_volume(&token(&file(row)), STAGING_VOLUME);
        assert_eq!(refused.reason(), "foreign_credential", "{case}: {refused:?}");
        assert_eq!(scene.gate.mock.requests().len(), before, "{case}: nothing is sent");
        let records = scene.gate.records();
        let denial = records.iter().rev().find(|record| record["verdict"] == "deny").unwrap();
        let seen = &denial["credentials"][0]["first_seen"];
        // A server of tools is a host, to which what it hands out belongs.
        let told = seen["answer_to"].as_str().unwrap();
        assert!(told.contains("read_file"), "{case}: {denial}");
        scene.gate.holdgate(&["sessions", "release", "staging-fixer"]);
    }
    assert_eq!(scene.told().unread(), 0);
}

/// What is broken passes as it is, and what of it was not read is counted once.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_broken_passes_and_is_counted() {
    let whole = |name: &str| {
        let wire = WIRES.iter().find(|wire| wire.name == name).unwrap();
        (wire, (wire.body)("/srv/broken/.env"))
    };
    let cut = |name: &str, coding: &'static str| {
        let (wire, body) = whole(name);
        let mut bytes = coded(coding, &body);
        bytes.truncate(bytes.len() / 2);
        (wire, coding, bytes)
    };
    let changed = |name: &str, from: &str, to: &[u8]| {
        let (wire, body) = whole(name);
        let at = body.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
        let bytes = [&body[..at], to, &body[at + from.len()..]].concat();
        (wire, "", bytes)
    };
    let (anthropic, body) = whole("Anthropic events");
    let long = [b"data: ", &*b"x".repeat(3 << 20), b"\n\n"].concat();
    let flood = b"data:\n\n".repeat(2 << 20);
    // What is said of each; none where nothing is missed.
    let rows = [
        (cut("Anthropic JSON", ""), Some("in the middle")),
        (cut("Gemini array", ""), Some("in the middle")),
        (cut("Converse frames", ""), Some("in the middle")),
        (cut("Anthropic events", "gzip"), Some("in the middle")),
        (cut("Anthropic events", "br"), Some("content coding")),
        (
            changed("Anthropic events", "\"partial_json\":", b"\"partial_json\""),
            Some("strict JSON"),
        ),
        (changed("Chat events", "\"function\",", b"\"\xff\","), Some("strict JSON")),
        (
            changed("Converse frames", "contentBlockStart", b"contentBlockStarx"),
            Some("event stream"),
        ),
        ((anthropic, "gzip", body.clone()), Some("content coding")),
        ((anthropic, "", long), Some("longer than is read")),
        // What grows out of proportion is not read to its end.
        ((anthropic, "gzip", coded("gzip", &flood)), Some("longer than is read")),
        ((anthropic, "", b": a comment\n\nevent: ping\n\n".to_vec()), None),
        ((anthropic, "", Vec::new()), None),
    ];
    let served = rows.iter().map(|((wire, coding, bytes), _)| Served {
        media: wire.media,
        coding,
        bytes: bytes.clone(),
    });
    let (scene, served) = serving(served.collect()).await;
    for (row, ((wire, ..), why)) in rows.iter().enumerate() {
        for http2 in [false, true] {
            let case = format!("{row} {} {why:?} {http2}", wire.name);
            let before = scene.told();
            let mut client = Client::open(scene.gate.running(), wire.host, http2).await;
            let got = ask(&mut client, wire, row, "{}".to_owned()).await;
            assert_eq!(got.status, 200, "{case}: {got:?}");
            assert!(got.body == served[row].bytes, "{case}");
            let told = scene.told();
            match why {
                Some(why) => {
                    assert!(told.unread_for(why) > before.unread_for(why), "{case}: {told:?}");
                }
                None => assert_eq!(told.unread(), before.unread(), "{case}: {told:?}"),
            }
        }
    }
}

/// What came of an answer that breaks off passes; the call in the middle of which it does was not read.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_passes_as_far_as_it_came() {
    let body = anthropic("/srv/cut/.env");
    let at = body.windows(12).rposition(|part| part == b"partial_json").unwrap();
    let part = body[..at].to_vec();
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: {EVENTS}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let said = [head.into_bytes(), part.clone()].concat();
    let handle = move |accepted: Accepted| {
        let said = said.clone();
        async move {
            let mut stream = tokio::io::BufReader::new(accepted.stream);
            crate::support::client::read_message(&mut stream).await;
            stream.write_all(&said).await.unwrap();
            stream.shutdown().await.unwrap();
        }
    };
    let origin = Origin::raw(Identity::http1(super::HOSTS), handle).await;
    let scene = Scene::before(origin, |edit| edit).await;
    for http2 in [false, true] {
        let before = scene.told().unread_for("in the middle");
        let mut client = Client::open(scene.gate.running(), ANTHROPIC, http2).await;
        let request = client.request("POST", "/v1/messages").header("content-type", JSON);
        let mut response = client.send(request.body(full("{}")).unwrap()).await.unwrap();
        let mut got = Vec::new();
        let broke = loop {
            match within("the rest", response.body_mut().frame()).await {
                Some(Ok(frame)) => got.extend(frame.into_data().unwrap()),
                Some(Err(_)) => break true,
                None => break false,
            }
        };
        // The reset of an HTTP/2 stream overtakes what was not sent yet.
        let is_as_sent = if http2 { part.starts_with(&got) } else { got == part };
        assert!(broke && is_as_sent, "{http2}: {broke} {}", got.len());
        until("the count", || (scene.told().unread_for("in the middle") > before).then_some(()));
    }
    assert!(!scene.told().has("credential_discovery", "/srv/cut/.env"));
}

/// The origin goes on only when the client has what came before, and what that said is noted by then.
#[tokio::test(flavor = "multi_thread")]
async fn an_event_does_not_wait_for_the_next() {
    for (coding, http2) in [("", false), ("", true), ("gzip", false), ("gzip", true)] {
        let (sender, receiver) = tokio::sync::mpsc::channel::<Bytes>(1);
        let receiver = Arc::new(Mutex::new(Some(receiver)));
        let answer = move |_: Request<Incoming>| {
            let receiver = receiver.lock().unwrap().take().unwrap();
            let frames = futures_util::stream::unfold(receiver, |mut receiver| async {
                Some((Ok::<_, Infallible>(Frame::data(receiver.recv().await?)), receiver))
            });
            let mut response = Response::new(StreamBody::new(frames).boxed());
            response.headers_mut().insert("content-type", EVENTS.parse().unwrap());
            if !coding.is_empty() {
                response.headers_mut().insert("content-encoding", coding.parse().unwrap());
            }
            async move { response }
        };
        let scene = Scene::new(|edit| edit, answer).await;
        let mut client = Client::open(scene.gate.running(), ANTHROPIC, http2).await;
        let request = client.request("POST", "/v1/messages").header("content-type", JSON);
        let mut response = client.send(request.body(full("{}")).unwrap()).await.unwrap();
        for event in ["/srv/1/.env", "/srv/2/.env"] {
            let bytes = Bytes::from(coded(coding, &anthropic(event)));
            sender.send(bytes.clone()).await.unwrap();
            let mut got = Vec::new();
            while got.len() < bytes.len() {
                let frame = within("the event", response.body_mut().frame()).await;
                got.extend(frame.unwrap().unwrap().into_data().unwrap());
            }
            assert!(got == bytes, "{coding} {http2}");
            let told = scene.told();
            assert!(told.has("credential_discovery", event), "{coding} {http2}: {told:?}");
        }
        drop(sender);
        let rest = within("the end", response.into_body().collect()).await.unwrap();
        assert!(rest.to_bytes().is_empty(), "{coding} {http2}");
    }
}
