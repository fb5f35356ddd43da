//! Secrets on their way to a host that they do not belong to, through the proxy: in every place of a
//! request, in every encoding; in bodies that are received whole, and in those that stream.

use crate::support::client::{Client, Got, empty, full, streamed};
use crate::support::mock::{Options, STAGING_TOKEN};
use crate::support::origin::{Identity, Origin, text};
use crate::support::policy::Edit;
use crate::support::socket::{Socket, echo};
use crate::support::{Gate, until};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use serde_json::Value;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio_tungstenite::tungstenite::Message;

/// Hosts by what they do about secrets: refuse, watch (as it is left out), note, and where the agent's
/// credential is issued for.
const REFUSES: &str = "refuses.example";
const WATCHES: &str = "watches.example";
const NOTES: &str = "notes.example";
const OWN: &str = "own.example";
const MODEL: &str = "api.anthropic.com";

/// A vendor's token: the one whose checksum the vendor has published.
fn token() -> String {
    ["ghp", "_zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"].concat()
}

/// An upstream that counts the bodies that came to their end.
async fn origin() -> (Origin, Arc<AtomicUsize>) {
    let complete = Arc::new(AtomicUsize::new(0));
    let counted = complete.clone();
    let names = [REFUSES, WATCHES, NOTES, OWN, MODEL];
    let origin = Origin::http(Identity::named(&names), move |request| {
        let counted = counted.clone();
        async move {
            if request.into_body().collect().await.is_ok() {
                counted.fetch_add(1, Ordering::SeqCst);
            }
            text("here")
        }
    });
    (origin.await, complete)
}

async fn gate(origin: &Origin, more: &str) -> Gate {
    Gate::with(Options::default(), |policy| {
        let mut edit = Edit(policy)
            .replace(
                "    resources: [railway-staging]\n",
                "    resources: [railway-staging, own]\n",
            )
            .root(&origin.roots())
            .section("limits: { inspect_kib: 64 }");
        let rules = "rules: [ { allow: \"* /**\" } ]";
        for (name, host, leaks) in [
            ("refuses", REFUSES, "leaks: deny\n"),
            ("watches", WATCHES, ""),
            ("notes", NOTES, "leaks: note\n"),
            ("own", OWN, "leaks: deny\n"),
        ] {
            let lines = format!("hosts: [{host}]\n{leaks}{rules}");
            edit = edit.resolve(&format!("{host}:443"), origin.address).resource(name, &lines);
        }
        edit.0 + more
    })
    .await
}

fn each(secret: &str, write: impl Fn(u8) -> String) -> String {
    secret.bytes().map(write).collect::<Vec<_>>().concat()
}

/// A secret in the encodings that stand in any place of a request, each named.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let hex = each(secret, |byte| format!("{byte:02x}"));
    vec![
        ("", secret.to_owned()),
        ("base64", URL_SAFE_NO_PAD.encode(secret)),
        ("base64", URL_SAFE_NO_PAD.encode(format!("it is {secret}."))),
        ("hex", hex.clone()),
        ("base64+hex", URL_SAFE_NO_PAD.encode(hex)),
    ]
}

async fn post(client: &mut Client, kind: &str, body: impl Into<Bytes>) -> Got {
    let request = client.request("POST", "/x").header("content-type", kind);
    client.exchange(request.body(full(body)).unwrap()).await
}

/// That a refusal names the slot, the credential and the encoding, and shows nothing of the secret.
fn assert_refused(got: &Got, slot: &str, encoding: &str, secret: &str, what: &str) {
    assert_eq!(
        (got.status.as_u16(), got.reason().as_str()),
        (403, "secret_leak"),
        "{what}: {got:?}"
    );
    let told = got.json();
    let finding = &told["findings"][0];
    assert_eq!(finding["slot"], slot, "{what}: {told}");
    let evidence = finding["evidence"].as_str().unwrap();
    assert!(evidence.starts_with("railway-staging-token, 36 bytes, "), "{what}: {evidence}");
    let end = evidence.split_once(", in ").map_or("", |(_, encoding)| encoding);
    assert_eq!(end, encoding, "{what}: {evidence}");
    for (_, form) in forms(secret) {
        assert!(!told.to_string().contains(&form), "{what}: {told}");
    }
}

/// K-16, K-19.
#[tokio::test(flavor = "multi_thread")]
async fn a_known_secret_leaves_in_no_place_and_no_encoding() {
    let (origin, _) = origin().await;
    let gate = gate(&origin, "").await;
    let (idle, secret) = (origin.bytes_received(), STAGING_TOKEN);
    for (host, http2) in [(REFUSES, false), (WATCHES, false), (WATCHES, true)] {
        for (encoding, form) in forms(secret) {
            let what = format!("{host} {encoding} {http2}");
            let mut client = Client::open(gate.running(), host, http2).await;
            let path = format!("/notes/{form}/x");
            assert_refused(&client.get(&path).await, "path", encoding, secret, &what);
            let query = format!("/?a=1&q={form}");
            assert_refused(&client.get(&query).await, "query q", encoding, secret, &what);
            let request = client.request("GET", "/").header("x-note", &form).body(empty()).unwrap();
            let got = client.exchange(request).await;
            assert_refused(&got, "header x-note", encoding, secret, &what);
        }
        let mut client = Client::open(gate.running(), host, http2).await;
        let name = format!("x-{secret}");
        let request = client.request("GET", "/").header(name, "1").body(empty()).unwrap();
        assert_refused(&client.exchange(request).await, "header name", "", secret, host);
        let query = format!("/?q={}", each(secret, |byte| format!("%{byte:02X}")));
        assert_refused(&client.get(&query).await, "query q", "percent", secret, host);
    }
    assert_eq!(origin.bytes_received(), idle, "nothing of it left");
    let written = gate.running().log() + &format!("{:?}", gate.records());
    for (_, form) in forms(secret) {
        assert!(!written.contains(&form), "it is written nowhere, however it is encoded: {form}");
    }
}

/// K-12, K-16.
#[tokio::test(flavor = "multi_thread")]
async fn a_known_secret_leaves_in_no_body() {
    let (origin, complete) = origin().await;
    let gate = gate(&origin, "").await;
    let secret = STAGING_TOKEN;
    let escaped = each(secret, |byte| format!("\\u{byte:04x}"));
    let json = |text: &str| format!("{{\"a\":[{{\"b\":\"x {text}\"}}]}}");
    let part = format!(
        "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"{secret}\"\r\n\r\nx\r\n--b--\r\n"
    );
    let percent = each(secret, |byte| format!("%{byte:02x}"));
    let bodies = [
        ("application/json", "", json(secret)),
        ("application/json", "", format!("{{\"{secret}\":1}}")),
        ("application/json", "escapes", json(&escaped)),
        ("application/json", "base64", json(&STANDARD.encode(secret))),
        ("application/x-www-form-urlencoded", "", format!("a=b&c={secret}")),
        ("application/x-www-form-urlencoded", "percent", format!("a=b&c={percent}")),
        ("multipart/form-data; boundary=b", "", part),
        ("text/plain", "", format!("it is {secret}")),
        (
            "application/octet-stream",
            "utf-16",
            each(secret, |byte| format!("{}\0", char::from(byte))),
        ),
    ];
    for (kind, encoding, body) in &bodies {
        let idle = origin.bytes_received();
        let mut client = Client::http1(gate.running(), REFUSES).await;
        let got = post(&mut client, kind, body.clone()).await;
        assert_refused(&got, "body", encoding, secret, kind);
        let mut zip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        zip.write_all(body.as_bytes()).unwrap();
        let mut client = Client::http1(gate.running(), REFUSES).await;
        let request = client.request("POST", "/x").header("content-type", *kind);
        let request = request.header("content-encoding", "gzip");
        let got = client.exchange(request.body(full(zip.finish().unwrap())).unwrap()).await;
        assert_refused(&got, "body", encoding, secret, &format!("gzip {kind}"));
        assert_eq!(origin.bytes_received(), idle, "{kind}: nothing of it left");
        let mut client = Client::http1(gate.running(), WATCHES).await;
        let got = post(&mut client, kind, body.clone()).await;
        assert_refused(&got, "body", encoding, secret, &format!("watched {kind}"));
        // Where it belongs, it passes.
        let before = complete.load(Ordering::SeqCst);
        let mut client = Client::http1(gate.running(), OWN).await;
        assert_eq!(post(&mut client, kind, body.clone()).await.status, 200, "{kind}");
        assert_eq!(complete.load(Ordering::SeqCst), before + 1, "{kind}");
    }
    let mut client = Client::http1(gate.running(), REFUSES).await;
    let got = post(&mut client, "text/plain", vec![b'a'; 65 << 10]).await;
    assert_eq!((got.status.as_u16(), got.reason().as_str()), (413, "unreadable"), "{got:?}");
}

/// K-15: a secret that nobody knows yet is told by its shape.
#[tokio::test(flavor = "multi_thread")]
async fn a_vendors_token_is_told_by_its_shape() {
    let (origin, _) = origin().await;
    let gate = gate(&origin, "").await;
    let idle = origin.bytes_received();
    let mut client = Client::http1(gate.running(), REFUSES).await;
    let got = post(&mut client, "application/json", format!("{{\"a\":\"{}\"}}", token())).await;
    assert_eq!(got.reason(), "secret_leak", "{got:?}");
    let evidence = got.json()["findings"][0]["evidence"].as_str().unwrap().to_owned();
    assert!(evidence.starts_with("github-token, 40 bytes, "), "{evidence}");
    assert_eq!(origin.bytes_received(), idle);
    // In the slot of a credential it is one, and told once.
    let request = client.request("GET", "/").header("authorization", format!("Bearer {}", token()));
    let got = client.exchange(request.body(empty()).unwrap()).await;
    assert_eq!(got.reason(), "foreign_credential", "{got:?}");
    assert_eq!(got.json()["findings"].as_array().unwrap().len(), 1, "{got:?}");
    assert!(!format!("{:?}", gate.records()).contains(&token()));
}

/// Each message of a WebSocket is searched like a body.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_of_a_websocket_takes_no_secret_along() {
    let origin = Origin::raw(Identity::named(&[WATCHES]), echo).await;
    let rules = "- { allow: GET /socket, websocket: true }";
    let gate =
        Gate::with(Options::default(), |policy| origin.declared(policy, WATCHES, rules)).await;
    for (encoding, form) in forms(STAGING_TOKEN) {
        let mut socket = Socket::open(&gate, WATCHES, "/socket", &[]).await;
        socket.send(Message::text("hi")).await;
        assert_eq!(socket.next().await, Message::text("hi"));
        socket.send(Message::text(format!("{{\"say\":\"{form}\"}}"))).await;
        assert_eq!(socket.closed().await, (1008, "secret_leak".to_owned()), "{encoding}");
    }
    let written = format!("{:?}", gate.records());
    assert!(forms(STAGING_TOKEN).iter().all(|(_, form)| !written.contains(form)));
}

/// The outcome that tells of a secret.
fn outcome(gate: &Gate) -> Value {
    until("the outcome", || {
        let tells =
            |record: &Value| record["kind"] == "outcome" && record["findings"][0].is_object();
        gate.records().into_iter().find(tells)
    })
}

/// K-18.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_with_a_secret_never_comes_to_its_end() {
    for (http2, form) in [
        (false, STAGING_TOKEN.to_owned()),
        (true, STAGING_TOKEN.to_owned()),
        (false, STANDARD.encode(format!("x{STAGING_TOKEN}"))),
    ] {
        let (origin, complete) = origin().await;
        let gate = gate(&origin, "").await;
        let idle = origin.bytes_received();
        let mut client = Client::open(gate.running(), WATCHES, http2).await;
        let (sender, body) = streamed();
        let request = client.request("POST", "/x").header("content-type", "text/plain");
        let request = request.body(body).unwrap();
        // The secret is cut in the middle, and what is before it has arrived by then.
        let (left, right) = form.split_at(form.len() / 2);
        let pieces =
            ["a ".repeat(40_000), format!("b {left}"), format!("{right} c"), "d ".repeat(2_000)];
        let mut calls = tokio::task::JoinSet::new();
        calls.spawn(async move { client.exchange(request).await });
        for (number, piece) in pieces.into_iter().enumerate() {
            // Who broke it off takes no more.
            drop(sender.send(Frame::data(Bytes::from(piece))).await);
            if number == 0 {
                let arrived = || (origin.bytes_received() > idle + 80_000).then_some(());
                tokio::task::block_in_place(|| until("the first piece", arrived));
            }
        }
        drop(sender);
        let sent = calls.join_next().await.unwrap().unwrap();
        assert_eq!(
            (sent.status.as_u16(), sent.reason().as_str()),
            (403, "secret_leak"),
            "{sent:?}"
        );
        let findings = sent.json()["findings"].clone();
        assert_eq!(findings[0]["slot"], "body", "{findings}");
        assert!(findings[0]["evidence"].as_str().unwrap().starts_with("railway-staging-token"));
        let record = outcome(&gate);
        assert_eq!(record["reason"], "secret_leak", "{record}");
        let bytes = record["bytes"].as_u64().unwrap();
        assert!((80_000..90_000).contains(&bytes), "{record}");
        assert_eq!(complete.load(Ordering::SeqCst), 0, "the upstream never had all of it");
    }
}

/// The model is where an agent's context goes, so a secret there is noted unless the policy refuses it.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_model_is_told_is_noted() {
    let said = format!(
        "{{\"model\":\"claude-mock\",\"max_tokens\":1,\"messages\":[{{\"role\":\"user\",\"content\":\"{STAGING_TOKEN}\"}}]}}"
    );
    let gate = Gate::start().await;
    let mut client = Client::http1(gate.running(), MODEL).await;
    let ask = |client: &Client| {
        let request =
            client.request("POST", "/v1/messages").header("x-api-key", "a-key-of-the-model");
        request.header("content-type", "application/json").body(full(said.clone())).unwrap()
    };
    let request = ask(&client);
    let got = client.exchange(request).await;
    assert_eq!(got.status, 200, "{got:?}");
    let tells = |record: &Value| {
        record["findings"].as_array().is_some_and(|all| {
            all.iter()
                .any(|finding| finding["reason"] == "secret_leak" && finding["slot"] == "body")
        })
    };
    until("the note", || gate.records().iter().any(tells).then_some(()));
    assert!(!format!("{:?}", gate.records()).contains(STAGING_TOKEN));
    let gate = Gate::with(Options::default(), |policy| {
        Edit(policy)
            .replace("    service: anthropic\n", "    service: anthropic\n    leaks: deny\n")
            .0
    })
    .await;
    let mut client = Client::http1(gate.running(), MODEL).await;
    let request = ask(&client);
    let got = client.exchange(request).await;
    assert_eq!((got.status.as_u16(), got.reason().as_str()), (403, "secret_leak"), "{got:?}");
    // And where a resource says so, it is noted in every place.
    let (origin, complete) = origin().await;
    let gate = self::gate(&origin, "").await;
    let mut client = Client::http1(gate.running(), NOTES).await;
    assert_eq!(client.get(&format!("/?q={STAGING_TOKEN}")).await.status, 200);
    assert_eq!(post(&mut client, "text/plain", STAGING_TOKEN).await.status, 200);
    assert_eq!(
        post(&mut client, "application/json", format!("[\"{STAGING_TOKEN}\"]")).await.status,
        200
    );
    assert_eq!(complete.load(Ordering::SeqCst), 3);
    let noted =
        || gate.records().iter().filter(|record| record["findings"][0].is_object()).count() == 3;
    until("three notes", || noted().then_some(()));
}

/// What is everyday and looks like a secret from afar.
#[tokio::test(flavor = "multi_thread")]
async fn everyday_bodies_pass() {
    let (origin, complete) = origin().await;
    let gate = gate(&origin, "").await;
    let image: Vec<u8> =
        (0..20_000_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13).to_le_bytes()[0]).collect();
    let bodies = [
        ("git ids", "3f786850e387550fdab836ed7e6dc881de23001b 89e6c98d92887913cadf06b2adb97f26cde4849b".to_owned()),
        ("UUIDs", "{\"id\":\"7c1e5a02-9b3d-4f60-8a17-2d4c6e8f0b13\"}".to_owned()),
        ("integrity", "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg==".to_owned()),
        ("an image", format!("data:image/png;base64,{}", STANDARD.encode(&image))),
        ("documentation", "AKIAIOSFODNN7EXAMPLE wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY sk-ant-api03-... ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx".to_owned()),
        (".env.example", "OPENAI_API_KEY=sk-your-key-here\nGITHUB_TOKEN=\nSTRIPE=sk_test_replace_me\n".to_owned()),
        ("a wrong checksum", format!("{}x", token().trim_end_matches('7'))),
        ("a certificate", format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(&image[..600]))),
    ];
    for (name, body) in &bodies {
        for host in [REFUSES, WATCHES] {
            for http2 in [false, true] {
                let mut client = Client::open(gate.running(), host, http2).await;
                let got = post(&mut client, "text/plain", body.clone()).await;
                assert_eq!(got.status, 200, "{name} at {host}: {got:?}");
            }
        }
    }
    assert_eq!(complete.load(Ordering::SeqCst), bodies.len() * 4);
    let noted = gate.records().iter().any(|record| record["findings"][0].is_object());
    assert!(!noted, "and nothing is noted");
}

/// What an answer handed out goes back to where it came from, and nowhere else.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_was_handed_out_belongs_to_its_host() {
    const HANDED: &str = "7c1e5a02-9b3d-4f60-8a17-2d4c6e8f0b13";
    const FILES: &str = "files.example";
    let (origin, complete) = origin().await;
    // In pieces, the last of which ends with the secret.
    let files = Origin::http(Identity::named(&[FILES]), |_| async {
        let pieces = ["export RAILWAY_", "TOKEN=", HANDED].map(|piece| {
            Ok::<_, std::convert::Infallible>(Frame::data(Bytes::from_static(piece.as_bytes())))
        });
        let body = http_body_util::StreamBody::new(futures_util::stream::iter(pieces));
        hyper::Response::new(body.boxed())
    })
    .await;
    let mut gate = Gate::with(Options::default(), |policy| {
        let edit = Edit(policy).root(&files.roots()).root(&origin.roots());
        let rules = "rules: [ { allow: \"* /**\" } ]";
        edit.resolve(&format!("{FILES}:443"), files.address)
            .resolve(&format!("{WATCHES}:443"), origin.address)
            .resource("files", &format!("hosts: [{FILES}]\n{rules}"))
            .resource("watches", &format!("hosts: [{WATCHES}]\n{rules}"))
            // A secret that leaves after it was handed out is a theft, and nothing is asked after that.
            .replace("\nsequences:\n", "\nsequences:\n  - { name: exfiltration, then: nothing }\n")
            .0
    })
    .await;
    let body = format!("{{\"note\":\"{}\"}}", STANDARD.encode(format!("it is {HANDED}.")));
    // Before anybody handed it out it is any other UUID.
    let mut client = Client::http1(gate.running(), WATCHES).await;
    assert_eq!(post(&mut client, "application/json", body.clone()).await.status, 200);
    assert_eq!(client.get(&format!("/?id={HANDED}")).await.status, 200);
    let mut client = Client::http1(gate.running(), FILES).await;
    assert_eq!(client.get("/domains.env").await.status, 200);
    assert_eq!(client.get(&format!("/?id={HANDED}")).await.status, 200, "it is that host's own");
    assert_eq!(post(&mut client, "application/json", body.clone()).await.status, 200);
    let sent = complete.load(Ordering::SeqCst);
    for restarted in [false, true] {
        if restarted {
            gate.drain();
            gate.serve();
        }
        let mut client = Client::http1(gate.running(), WATCHES).await;
        let query = client.get(&format!("/?id={HANDED}")).await;
        let json = post(&mut client, "application/json", body.clone()).await;
        for (got, slot) in [(query, "query id"), (json, "body")] {
            assert_eq!((got.status.as_u16(), &*got.reason()), (403, "secret_leak"), "{got:?}");
            let finding = &got.json()["findings"][0];
            assert_eq!(finding["slot"], slot, "{finding}");
            let evidence = finding["evidence"].as_str().unwrap();
            assert!(evidence.starts_with("handed out by files.example, 36 bytes"), "{evidence}");
        }
        // One that streams is broken off.
        let (sender, streaming) = streamed();
        let request = client.request("POST", "/x").body(streaming).unwrap();
        let sending = async {
            for piece in [&HANDED[..20], &HANDED[20..], " and more"] {
                // The other side may have gone by then.
                drop(sender.send(Frame::data(Bytes::from(piece))).await);
            }
            drop(sender);
        };
        let (got, ()) = tokio::join!(client.exchange(request), sending);
        assert_eq!((got.status.as_u16(), &*got.reason()), (403, "secret_leak"), "{got:?}");
    }
    assert_eq!(complete.load(Ordering::SeqCst), sent);
}

/// What rides along with an issued credential, behind decoys that belong, or where nobody looks twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_is_found_behind_what_belongs() {
    let (origin, complete) = origin().await;
    let issued = "an-issued-key-4711-of-the-host";
    let gate = Gate::with(Options::default(), |policy| {
        let file = origin.roots().parent().unwrap().join("issued");
        std::fs::write(&file, issued).unwrap();
        let credential = format!(
            "\ncredentials:\n  own-key:\n    value: {{ file: {} }}\n    resources: [refuses]\n",
            file.display()
        );
        let rules = "rules: [ { allow: \"* /**\" } ]";
        Edit(policy)
            .replace("\ncredentials:\n", &credential)
            .replace("[railway-staging-token]", "[railway-staging-token, own-key]")
            .root(&origin.roots())
            .resolve(&format!("{REFUSES}:443"), origin.address)
            .resource("refuses", &format!("hosts: [{REFUSES}]\nleaks: deny\n{rules}"))
            .0
    })
    .await;
    let mut client = Client::http1(gate.running(), REFUSES).await;
    let request = client.request("GET", "/").header("authorization", format!("Bearer {issued}"));
    assert_eq!(client.exchange(request.body(empty()).unwrap()).await.status, 200);
    let sent = complete.load(Ordering::SeqCst);
    let header = |name: &'static str, value: String| (name, value, "/".to_owned());
    let rows = [
        header("referer", format!("https://{issued}@h/?x={STAGING_TOKEN}")),
        header("x-foo", format!("https://:{issued}@h/ {STAGING_TOKEN} and more")),
        ("x-foo", "none".to_owned(), format!("/?u=https://:{issued}@h/&u={STAGING_TOKEN}")),
        ("x-foo", "none".to_owned(), format!("/?u=https://:{issued}@h/{STAGING_TOKEN}")),
        header(
            "authorization",
            format!(
                "AWS4-HMAC-SHA256 Credential={issued}/{STAGING_TOKEN}/us-east-1, SignedHeaders=host, Signature={}",
                "ab".repeat(32)
            ),
        ),
    ];
    for (name, value, path) in rows {
        let mut client = Client::http1(gate.running(), REFUSES).await;
        let request = client.request("GET", &path).header(name, &value);
        let got = client.exchange(request.body(empty()).unwrap()).await;
        assert_eq!((got.status.as_u16(), &*got.reason()), (403, "secret_leak"), "{value}: {got:?}");
    }
    // So many secrets that belong that nothing behind them would be looked at.
    let own = (0..80).map(|n| format!("{issued} ghp_{n} ")).collect::<Vec<_>>().concat();
    let decoys: Vec<String> = (0..80)
        .map(|n| ["sk_live", &format!("_{:024}", 91_827_364_500_u64 * (n + 7))].concat())
        .collect();
    let body = format!("{own} {} {}", decoys.join(" "), STANDARD.encode(STAGING_TOKEN));
    let got = post(&mut Client::http1(gate.running(), REFUSES).await, "text/plain", body).await;
    assert_eq!((got.status.as_u16(), &*got.reason()), (403, "secret_leak"), "{got:?}");
    assert_eq!(complete.load(Ordering::SeqCst), sent);
    // What belongs passes, and is shown nowhere.
    let mut client = Client::http1(gate.running(), REFUSES).await;
    let request = client.request("GET", &format!("/keys/{issued}?key={issued}"));
    let request = request.header("user-agent", format!("agent/{issued}"));
    let got = client.exchange(request.body(empty()).unwrap()).await;
    assert_eq!(got.status, 200, "{got:?}");
    let records = format!("{:?}", gate.records());
    assert!(!records.contains(issued) && records.contains("/[secret]"), "{records}");
}
