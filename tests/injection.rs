//! Values that the agent never sees: put in for their placeholder, and kept out of every answer.

use crate::support::Gate;
use crate::support::client::{Client, Got, empty, full, within};
use crate::support::mock::{Options, PROJECT, STAGING_TOKEN};
use crate::support::origin::{Accepted, Body, Identity, Origin, text};
use crate::support::policy::Edit;
use crate::support::socket::{SWITCHED, Socket};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{HeaderMap, Request, Response};
use serde_json::json;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};

/// The host that the value is for, and one that it is not for.
const HERE: &str = "here.example";
const ELSEWHERE: &str = "elsewhere.example";
/// One that takes any credential.
const ANY: &str = "any.example";
/// Slashes, quotes and a percent sign are written in more than one way.
const VALUE: &str = "ghp_Zk9+Qx/2mN\"7vB%4cL8wRtY1uI0oPaSdFgHj";
const AGENT_TOKEN: &str = "the-fixers-own-token";

/// What the origin saw of a request: its line and its headers.
type Seen = Arc<Mutex<Vec<String>>>;

fn heads(request: &Request<Incoming>) -> String {
    let headers = request.headers().iter();
    let lines = headers
        .map(|(name, value)| format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
    format!("{} {}\n{}", request.method(), request.uri(), lines.collect::<String>())
}

/// An origin that keeps what it saw, and reflects it in every way that it is asked for.
async fn reflecting() -> (Origin, Seen) {
    let seen = Seen::default();
    let kept = seen.clone();
    let identity = Identity::named(&[HERE, ELSEWHERE, ANY]);
    let origin = Origin::http(identity, move |request| {
        kept.lock().unwrap().push(heads(&request));
        async move { reflection(&request) }
    });
    (origin.await, seen)
}

/// Each byte in hexadecimal digits behind a mark.
fn each(text: &str, mark: &str) -> String {
    let digits = text.bytes().flat_map(|byte| format!("{mark}{byte:02x}").into_bytes());
    String::from_utf8(digits.collect()).unwrap()
}

fn reflection(request: &Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let hex = |text: &str| each(text, "").to_uppercase();
    let percent = |text: &str| each(text, "%");
    match path.as_str() {
        "/plain" => text(VALUE),
        "/json" => text(json!({ "token": VALUE, "n": 1 }).to_string()),
        "/base64" => text(STANDARD.encode(format!("user:{VALUE}"))),
        "/base64/one" => text(STANDARD_NO_PAD.encode(format!("x{VALUE}y"))),
        "/base64/url" => text(URL_SAFE.encode(format!("ab{VALUE}"))),
        "/hex" => text(hex(VALUE)),
        "/percent" => text(percent(VALUE)),
        "/upper" => text(VALUE.to_uppercase()),
        "/bytes" => {
            let frames = VALUE.bytes().map(|byte| Ok(Frame::data(Bytes::copy_from_slice(&[byte]))));
            let frames = futures_util::stream::iter(frames.collect::<Vec<_>>());
            Response::new(BodyExt::boxed(StreamBody::new(frames)))
        }
        "/trailers" => {
            let mut trailers = HeaderMap::new();
            trailers.insert("x-said", VALUE.parse().unwrap());
            let frames = [
                Ok(Frame::data(Bytes::from(&VALUE[..20]))),
                Ok(Frame::data(Bytes::from(&VALUE[20..]))),
                Ok(Frame::trailers(trailers)),
            ];
            Response::new(BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames))))
        }
        "/redirect" => {
            let mut answer = text("");
            *answer.status_mut() = hyper::StatusCode::FOUND;
            let place = format!("https://{ELSEWHERE}/?token={}", percent(VALUE));
            answer.headers_mut().insert("location", place.parse().unwrap());
            answer.headers_mut().insert("www-authenticate", VALUE.parse().unwrap());
            answer
        }
        "/error" => {
            let mut answer = text(format!("no such token: {VALUE}"));
            *answer.status_mut() = hyper::StatusCode::UNAUTHORIZED;
            answer
        }
        "/coded" => {
            let mut answer = text("whatever");
            answer.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
            answer
        }
        "/coded/transfer" => {
            let mut answer = text("whatever");
            answer.headers_mut().insert("transfer-encoding", "gzip, chunked".parse().unwrap());
            answer
        }
        "/part" => {
            let mut answer = text("whatever");
            *answer.status_mut() = hyper::StatusCode::PARTIAL_CONTENT;
            answer
        }
        "/twice/head" => {
            let mut answer = text("whatever");
            let twice = STANDARD.encode(STANDARD.encode(VALUE));
            answer.headers_mut().insert("x-said", twice.parse().unwrap());
            answer
        }
        "/twice" => {
            let before = "before ".repeat(20_000);
            text(before + &STANDARD.encode(STANDARD.encode(VALUE)) + " and after")
        }
        _ => text("here"),
    }
}

/// A proxy that puts the value in on one host and not on the other, for an agent with a token.
async fn gate(origin: &Origin) -> Gate {
    let mut gate = Gate::with(Options::default(), |policy| with_value(policy, origin)).await;
    gate.process.as_mut().unwrap().user = Some(format!("staging-fixer:{AGENT_TOKEN}"));
    gate
}

fn with_value(policy: String, origin: &Origin) -> String {
    let folder = origin.roots().parent().unwrap().to_owned();
    let (value, token) = (folder.join("value"), folder.join("agent-token"));
    std::fs::write(&value, VALUE).unwrap();
    std::fs::write(&token, AGENT_TOKEN).unwrap();
    let mut edit = Edit(policy)
        .replace(
            "    credentials: [railway-staging-token]\n",
            &format!(
                "    credentials: [railway-staging-token, held]\n    token: {{ file: {} }}\n",
                token.display()
            ),
        )
        .replace(
            "\ncredentials:\n",
            &format!(
                "\ncredentials:\n  held:\n    value: {{ file: {} }}\n    resources: [here]\n    inject: true\n",
                value.display()
            ),
        )
        .root(&origin.roots());
    for (name, host, takes) in
        [("here", HERE, ""), ("elsewhere", ELSEWHERE, ""), ("any", ANY, "\ncredentials: any")]
    {
        let rules = "[ { allow: \"* /**\" }, { allow: OPTIONS /**, effect: read }, { allow: GET /socket, websocket: true } ]";
        let lines = format!("hosts: [{host}]\nrules: {rules}{takes}");
        edit = edit.resolve(&format!("{host}:443"), origin.address).resource(name, &lines);
    }
    edit.0
}

fn placeholder(gate: &Gate, name: &str) -> String {
    let output = gate.holdgate(&["credential", "placeholder", name]);
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

async fn get(client: &mut Client, path: &str, headers: &[(&str, &str)]) -> Got {
    let mut request = client.request("GET", path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.exchange(request.body(empty()).unwrap()).await
}

/// That no answer, whole or in part, says the value in any way that it is written.
fn is_clean(got: &Got) {
    let mut said = format!("{:?} {:?}", got.headers, got.trailers).into_bytes();
    said.extend_from_slice(&got.body);
    let said = String::from_utf8_lossy(&said).to_lowercase();
    let inside = &VALUE[5..VALUE.len() - 2];
    let mut ways = vec![inside.to_lowercase(), each(inside, ""), each(inside, "%")];
    for before in 0..3 {
        let shifted = format!("{}{VALUE}", "x".repeat(before));
        let encoded = STANDARD_NO_PAD.encode(shifted);
        ways.push(encoded[8..encoded.len() - 4].to_lowercase());
    }
    for way in ways {
        assert!(!said.contains(&way), "{said}");
    }
}

/// K-21, K-25: the upstream has the real value, the agent never.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_put_in_for_its_resource_and_kept_out_of_answers() {
    let (origin, seen) = reflecting().await;
    let gate = gate(&origin).await;
    let held = placeholder(&gate, "held");
    assert_eq!(held.len(), VALUE.len());
    assert!(held.starts_with("ghp_"), "{held}");
    let rows = [
        ("/", "authorization", format!("Bearer {held}"), format!("authorization: Bearer {VALUE}")),
        (
            "/",
            "authorization",
            format!("Basic {}", STANDARD.encode(format!("x-access-token:{held}"))),
            format!("authorization: Basic {}", STANDARD.encode(format!("x-access-token:{VALUE}"))),
        ),
        ("/", "x-api-key", held.clone(), format!("x-api-key: {VALUE}")),
    ];
    for http2 in [false, true] {
        let mut client = Client::open(gate.running(), HERE, http2).await;
        for (path, name, given, wanted) in &rows {
            let got = get(&mut client, path, &[(name, given)]).await;
            assert_eq!((got.status.as_u16(), &got.body[..]), (200, &b"here"[..]), "{got:?}");
            let saw = seen.lock().unwrap().pop().unwrap();
            assert!(saw.contains(wanted) && !saw.contains(&held), "{wanted}: {saw}");
        }
        let got = get(&mut client, &format!("/?a=1&token={held}&b=2"), &[]).await;
        assert_eq!(got.status, 200, "{got:?}");
        let saw = seen.lock().unwrap().pop().unwrap();
        assert!(saw.contains("a=1&token=ghp_Zk9%2BQx%2F2mN%227vB%254cL8w"), "{saw}");
        for path in [
            "/plain",
            "/json",
            "/base64",
            "/base64/one",
            "/base64/url",
            "/hex",
            "/percent",
            "/upper",
            "/bytes",
            "/trailers",
            "/redirect",
            "/error",
        ] {
            // With the placeholder and without: what an answer says does not depend on who asked.
            for headers in [&[("authorization", held.as_str()), ("range", "bytes=0-10")][..], &[]] {
                let got = get(&mut client, path, headers).await;
                is_clean(&got);
                assert!(
                    got.status.as_u16() != 403 && got.status.as_u16() != 502,
                    "{path}: {got:?}"
                );
                let saw = seen.lock().unwrap().pop().unwrap();
                assert!(saw.contains("accept-encoding: identity"), "{saw}");
                assert!(
                    !saw.contains("range: bytes"),
                    "a part of a value could not be told: {saw}"
                );
            }
        }
        assert_eq!(get(&mut client, "/plain", &[]).await.body, held);
        let refused = if http2 {
            &["/coded", "/part", "/twice/head"][..]
        } else {
            &["/coded", "/part", "/twice/head", "/coded/transfer"]
        };
        for path in refused {
            let headers = [("x-ms-range", "bytes=0-10")];
            let mut client = Client::open(gate.running(), HERE, http2).await;
            let got = get(&mut client, path, &headers).await;
            let told = (got.status.as_u16(), &*got.reason());
            assert_eq!(told, (502, "upstream_unreachable"), "{path}: {got:?}");
            let saw = seen.lock().unwrap().pop().unwrap();
            assert!(!saw.contains("x-ms-range"), "{saw}");
        }
        // What only the second look sees is broken off: the agent never has the end, and the record says so.
        let mut client = Client::open(gate.running(), HERE, http2).await;
        let request = client.request("GET", "/twice").body(empty()).unwrap();
        let is_whole = match client.send(request).await {
            Ok(response) => within("its end", response.into_body().collect()).await.is_ok(),
            Err(_) => false,
        };
        assert!(!is_whole, "an answer with the value came to its end");
        seen.lock().unwrap().clear();
    }
    let records = gate.records();
    let broken =
        records.iter().filter(|one| one.to_string().contains("so it was broken off")).count();
    assert_eq!(broken, 2, "{records:?}");
}

/// K-21: a placeholder is worth nothing anywhere else, and the value itself is nobody's.
#[tokio::test(flavor = "multi_thread")]
async fn a_placeholder_elsewhere_is_a_finding() {
    let (origin, seen) = reflecting().await;
    let gate = gate(&origin).await;
    let held = placeholder(&gate, "held");
    let bearer = format!("Bearer {held}");
    let cookie = format!("a={held}");
    let referer = format!("https://user:{held}@{HERE}/");
    let two = format!("Bearer x {held}");
    let value = format!("Bearer {VALUE}");
    let rows: [(&str, &str, &str, &str); 7] = [
        (ANY, "authorization", &bearer, "credential_out_of_scope"),
        (ELSEWHERE, "authorization", &bearer, "credential_out_of_scope"),
        (HERE, "cookie", &cookie, "credential_out_of_scope"),
        (HERE, "referer", &referer, "credential_out_of_scope"),
        (HERE, "authorization", &two, "foreign_credential"),
        (HERE, "authorization", &value, "foreign_credential"),
        (ELSEWHERE, "authorization", &value, "foreign_credential"),
    ];
    for (host, name, given, reason) in rows {
        let mut client = Client::http1(gate.running(), host).await;
        let got = get(&mut client, "/", &[(name, given)]).await;
        assert_eq!(
            (got.status.as_u16(), &*got.reason()),
            (403, reason),
            "{name}: {given}: {got:?}"
        );
        assert_eq!(
            got.json()["findings"][0]["slot"],
            format!("header {name}").replace("header cookie", "cookie")
        );
    }
    // A name of the agent's choosing is no place for a value, whatever form it has.
    let mut client = Client::http1(gate.running(), HERE).await;
    for (path, header, slot) in [
        (format!("/?title={held}"), "x-note", "query title"),
        (format!("/?access_token={held}&text={held}"), "x-note", "query text"),
        (format!("/?callback={held}&url=https://elsewhere.example/"), "x-note", "query callback"),
        ("/".to_owned(), "x-note", "header x-note"),
        ("/".to_owned(), "origin", "header origin"),
        ("/".to_owned(), "referer", "header referer"),
    ] {
        let value = if slot.starts_with("header") { &*held } else { "nothing" };
        let got = get(&mut client, &path, &[(header, value)]).await;
        let told = (got.status.as_u16(), &*got.reason());
        assert_eq!(told, (403, "credential_out_of_scope"), "{path}: {got:?}");
        assert_eq!(got.json()["findings"][0]["slot"], slot);
    }
    assert_eq!(origin.bytes_received(), 0);
    // What reflects a request is sent the placeholder only.
    let mut client = Client::http1(gate.running(), HERE).await;
    let options = client.request("OPTIONS", "/").header("authorization", &bearer);
    let got = client.exchange(options.body(full("")).unwrap()).await;
    assert_eq!(got.status, 200, "{got:?}");
    assert!(seen.lock().unwrap()[0].contains(&format!("authorization: {bearer}")));
    for saw in seen.lock().unwrap().iter() {
        assert!(!saw.contains(VALUE) && !saw.contains("Zk9"), "{saw}");
    }
    let log = gate.running().log() + &format!("{:?}", gate.records());
    assert!(!log.contains(VALUE) && !log.contains(&held), "{log}");
}

/// The placeholder of a Railway token: calls, and the head of a handshake.
#[tokio::test(flavor = "multi_thread")]
async fn a_placeholder_goes_the_way_of_its_credential() {
    let (origin, _) = reflecting().await;
    let mut gate = Gate::with(Options::default(), |policy| {
        let policy = Edit(with_value(policy, &origin)).replace(
            "    resources: [railway-staging]\n",
            "    resources: [railway-staging]\n    inject: true\n",
        );
        policy.0
    })
    .await;
    gate.process.as_mut().unwrap().user = Some(format!("staging-fixer:{AGENT_TOKEN}"));
    let held = placeholder(&gate, "railway-staging-token");
    assert!(uuid_like(&held) && held != STAGING_TOKEN, "{held}");
    let query = json!({ "query": format!("query {{ project(id: \"{PROJECT}\") {{ name }} }}") });
    let answer = gate.graphql(&held, &query);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(answer.json()["data"]["project"]["name"].is_string(), "the mock knows it: {answer:?}");
    assert_eq!(gate.graphql(STAGING_TOKEN, &query).reason(), "foreign_credential");
    // In the parameters of a connection no value is put in.
    let mut socket = Socket::railway(&gate, "graphql-transport-ws", None).await;
    let init = json!({ "type": "connection_init", "payload": { "authorization": held } });
    socket.send(Message::text(init.to_string())).await;
    let (code, reason) = socket.closed().await;
    assert_eq!((code, &*reason), (1008, "credential_out_of_scope"));
    // In the head of the handshake it is.
    let mut socket = Socket::railway(&gate, "graphql-transport-ws", Some(&held)).await;
    let init = json!({ "type": "connection_init" });
    socket.send(Message::text(init.to_string())).await;
    let acknowledged = socket.next().await;
    assert!(acknowledged.to_text().unwrap().contains("connection_ack"), "{acknowledged}");
}

fn uuid_like(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.chars().all(|c| c == '-' || c.is_ascii_hexdigit())
}

/// What an upstream says on a socket, its last word among it.
async fn saying(accepted: Accepted) {
    let mut stream = BufReader::new(accepted.stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = stream.read_u8().await else { return };
        head.push(byte);
    }
    stream.write_all(format!("{SWITCHED}\r\n").as_bytes()).await.unwrap();
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    let binary = [&[0, 255][..], VALUE.as_bytes()].concat();
    let last = CloseFrame { code: CloseCode::Normal, reason: VALUE.into() };
    for message in [
        Message::text(format!("said {VALUE}")),
        Message::text(STANDARD.encode(format!("x{VALUE}"))),
        Message::binary(binary),
        Message::Close(Some(last)),
    ] {
        if socket.send(message).await.is_err() {
            return;
        }
    }
    // Until the other side has gone.
    while let Some(Ok(_)) = socket.next().await {}
}

/// K-25: on a WebSocket too.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_is_kept_out_of_messages() {
    let origin = Origin::raw(Identity::http1(&[HERE, ELSEWHERE]), saying).await;
    let gate = gate(&origin).await;
    let held = placeholder(&gate, "held");
    let mut socket = Socket::open(&gate, HERE, "/socket", &[]).await;
    assert_eq!(socket.next().await, Message::text(format!("said {held}")));
    let coded = socket.next().await.into_text().unwrap();
    assert!(!coded.contains(&STANDARD.encode(&VALUE[2..])[..32]), "{coded}");
    assert_eq!(socket.next().await.into_data()[2..], *held.as_bytes());
    assert_eq!(socket.closed().await, (1000, held));
}
