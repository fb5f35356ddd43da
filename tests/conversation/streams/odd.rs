//! What lenient clients and providers take: it passes as it is, and the call in it is heard.

use super::wires::{EVENTS, JSON, anthropic};
use super::{ANTHROPIC, PLAIN, Scene};
use crate::support::client::{Client, full};
use crate::support::origin::text;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::DeflateEncoder;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::json;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_heard_is_not_asked_for() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let notes = asked.clone();
    let answer = move |request: Request<Incoming>| {
        let codings = request.headers().get_all("accept-encoding").iter();
        let codings: Vec<String> = codings.map(|one| one.to_str().unwrap().to_owned()).collect();
        notes.lock().unwrap().push(codings.join("|"));
        async { text("{}") }
    };
    let scene = Scene::new(|edit| edit, answer).await;
    let sig = "AWS4-HMAC-SHA256 Credential=a, SignedHeaders=accept-encoding;host, Signature=b";
    for (host, path, asks, signed, expected) in [
        (ANTHROPIC, "/v1/messages", "gzip, deflate, br, zstd", "", "gzip, deflate, br"),
        (ANTHROPIC, "/v1/messages", "zstd;q=1.0, GZIP;q=0.5, *;q=0", "", "GZIP;q=0.5, *;q=0"),
        (ANTHROPIC, "/v1/messages", "zstd", "", "identity"),
        (ANTHROPIC, "/v1/messages", "*", "", "identity"),
        (ANTHROPIC, "/v1/messages", "gzip , br", "", "gzip , br"),
        (ANTHROPIC, "/v1/messages", "", "", ""),
        (ANTHROPIC, "/v1/messages", "gzip, zstd", sig, "gzip, zstd"),
        (PLAIN, "/v1/messages", "gzip, zstd", "", "gzip, zstd"),
    ] {
        let mut client = Client::open(scene.gate.running(), host, false).await;
        let mut request = client.request("POST", path).header("content-type", JSON);
        if !asks.is_empty() {
            request = request.header("accept-encoding", asks);
        }
        if !signed.is_empty() {
            request = request.header("signature-input", signed);
        }
        let got = client.exchange(request.body(full("{}")).unwrap()).await;
        assert_eq!(got.status, 200, "{asks}: {got:?}");
        assert_eq!(asked.lock().unwrap().pop().as_deref(), Some(expected), "{host} {asks}");
    }
}

fn deflated(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_answers_pass_and_are_heard() {
    const CODINGS: &[(&str, &str)] = &[
        ("deflate", EVENTS),
        ("identity, identity", EVENTS),
        ("Identity", EVENTS),
        ("", "application/json"),
    ];
    let bytes = |row: usize| {
        let plain = anthropic(&format!("/srv/odd{row}/.env"));
        if CODINGS[row].0 == "deflate" { deflated(&plain) } else { plain }
    };
    let answer = move |request: Request<Incoming>| {
        let row = request.headers()["x-row"].to_str().unwrap().parse::<usize>().unwrap();
        let mut response = Response::new(Full::new(Bytes::from(bytes(row))).boxed());
        let (coding, media) = CODINGS[row];
        response.headers_mut().insert("content-type", media.parse().unwrap());
        if !coding.is_empty() {
            response.headers_mut().insert("content-encoding", coding.parse().unwrap());
        }
        async move { response }
    };
    let scene = Scene::new(|edit| edit, answer).await;
    for (row, (coding, _)) in CODINGS.iter().enumerate() {
        let mut client = Client::open(scene.gate.running(), ANTHROPIC, false).await;
        let request = client.request("POST", "/v1/messages").header("content-type", JSON);
        let request = request.header("x-row", row).body(full("{}")).unwrap();
        let got = client.exchange(request).await;
        assert!(got.status == 200 && got.body == bytes(row), "{coding}: {got:?}");
        let told = scene.told();
        assert!(
            told.has("credential_discovery", &format!("/srv/odd{row}/.env")),
            "{coding}: {told:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_requests_pass_and_are_heard() {
    let scene = Scene::new(
        |edit| edit.section("limits: { inspect_kib: 64 }"),
        |request: Request<Incoming>| async {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            text(body.len().to_string())
        },
    )
    .await;
    let call = |row: usize| {
        format!(
            r#"{{"role":"assistant","content":[{{"type":"tool_use","id":"toolu_odd{row}","name":"bash","input":{{"command":"cat /srv/odd{row}/.env"}}}}]}}"#
        )
    };
    let image = "iVBORw0KGgo".repeat(20_000);
    let turns: Vec<String> = (0..300)
        .map(|_| json!({"role": "user", "content": "a line of prose ".repeat(30)}).to_string())
        .collect();
    let bodies = [
        format!(r#"{{"messages":[{{"role":"user","role":"user"}},{}]}}"#, call(0)),
        format!("\u{feff}{{\"messages\":[{}]}}", call(1)),
        format!(
            r#"{{"messages":[{{"role":"user","content":[{{"type":"image","source":{{"type":"base64","data":"{image}"}}}}]}},{}]}}"#,
            call(2)
        ),
        // Longer than what is kept of a request: before it, in its middle and behind it.
        format!(r#"{{"messages":[{},{}]}}"#, call(3), turns.join(",")),
        format!(r#"{{"messages":[{},{},{}]}}"#, turns.join(","), call(4), turns.join(",")),
        format!(r#"{{"messages":[{},{}]}}"#, turns.join(","), call(5)),
    ];
    for (row, body) in bodies.iter().enumerate() {
        let mut client = Client::open(scene.gate.running(), ANTHROPIC, false).await;
        let request = client.request("POST", "/v1/messages").header("content-type", JSON);
        let got = client.exchange(request.body(full(body.clone())).unwrap()).await;
        assert!(
            got.status == 200 && got.body == body.len().to_string().as_bytes(),
            "{row}: {got:?}"
        );
        let told = scene.told();
        assert!(
            told.has("credential_discovery", &format!("/srv/odd{row}/.env")),
            "{row}: {told:?}"
        );
        assert_eq!(told.unread(), row.min(1) as u64 + 1, "{row}: {told:?}");
    }
}
