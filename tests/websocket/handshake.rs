//! Handshakes: what is none is refused, and what was not switched is no tunnel.

use super::arrived;
use crate::support::Gate;
use crate::support::client::within;
use crate::support::mock::{Options, STAGING_TOKEN};
use crate::support::origin::{Accepted, Identity, Origin};
use crate::support::policy::Edit;
use crate::support::socket::{RAILWAY, SWITCHED, ask, frame, handshake, read_head};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};

const HOST: &str = "origin.example";
const RULES: &str = "- allow: GET /plain\n- { allow: GET /socket, websocket: true }";

// G-20, G-23, E-23
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_handshake_is_malformed() {
    let origin = Origin::raw(Identity::named(&[HOST]), |_accepted: Accepted| async {}).await;
    let gate = Gate::with(Options::default(), |policy| origin.declared(policy, HOST, RULES)).await;
    let good = handshake(HOST, "/socket", &[]);
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    let cases = [
        ("another method", good.replace("GET ", "POST ")),
        ("HTTP/1.0", good.replace("HTTP/1.1", "HTTP/1.0")),
        ("no version", good.replace(version, "")),
        ("another version", good.replace(": 13", ": 8")),
        ("two versions", good.replace(version, &version.repeat(2))),
        ("no key", good.replace(key, "")),
        ("two keys", good.replace(key, &key.repeat(2))),
        ("a short key", good.replace("dGhlIHNhbXBsZSBub25jZQ==", "dGhlIHNhbXBsZQ==")),
        ("a key that is none", good.replace("dGhlIHNhbXBsZSBub25jZQ==", "secret")),
        ("no upgrade in Connection", good.replace("Connection: Upgrade", "Connection: keep-alive")),
        (
            "the key ends at this hop",
            good.replace("Connection: Upgrade", "Connection: Upgrade, Sec-WebSocket-Key"),
        ),
        ("two upgrades", good.replace("Upgrade: websocket", "Upgrade: websocket, h2c")),
        ("a body", good.replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello")),
        (
            "a chunked body",
            good.replace(
                "\r\n\r\n",
                "\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            ),
        ),
        (
            "subprotocols twice",
            good.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol: a, a\r\n\r\n"),
        ),
        ("no subprotocols", good.replace("\r\n\r\n", "\r\nSec-WebSocket-Protocol:\r\n\r\n")),
    ];
    for (what, bytes) in cases {
        let (_, answer) = ask(gate.running(), HOST, bytes.as_bytes()).await;
        assert_eq!((answer.status, &*answer.reason()), (400, "malformed"), "{what}: {answer:?}");
    }
    assert_eq!(origin.bytes_received(), 0);
}

// G-20, G-24: on a catalogued host a WebSocket is for GraphQL or it is not opened.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_graphql_is_opened_where_a_catalog_says_so() {
    let gate = Gate::start().await;
    let token = format!("Authorization: Bearer {STAGING_TOKEN}");
    let spoken = "Sec-WebSocket-Protocol: graphql-transport-ws";
    for (what, path, headers, reason) in [
        ("no subprotocol", "/graphql/v2", vec![&*token], "scope_violation"),
        ("another", "/graphql/v2", vec![&token, "Sec-WebSocket-Protocol: chat"], "scope_violation"),
        (
            "one of two",
            "/graphql/v2",
            vec![&token, spoken, "Sec-WebSocket-Protocol: chat"],
            "scope_violation",
        ),
        ("another path", "/ws/exec", vec![&token, spoken], "scope_violation"),
        ("a document", "/graphql/v2?query=%7Bme%7Bid%7D%7D", vec![&token, spoken], "unreadable"),
    ] {
        let bytes = handshake(RAILWAY, path, &headers);
        let (_, answer) = ask(gate.running(), RAILWAY, bytes.as_bytes()).await;
        assert_eq!((answer.status, &*answer.reason()), (403, reason), "{what}: {answer:?}");
    }
    // K-09: a key that stands as a subprotocol.
    let bytes = handshake(
        "docs.railway.com",
        "/x",
        &["Sec-WebSocket-Protocol: chat, base64url.bearer.authorization.k8s.io.Zm9yZWlnbg"],
    );
    let (_, answer) = ask(gate.running(), "docs.railway.com", bytes.as_bytes()).await;
    assert_eq!(answer.reason(), "foreign_credential", "{answer:?}");
    assert_eq!(gate.mock.bytes_received(), 0);
    assert!(arrived(&gate).is_empty());
}

/// What an upstream received, request by request, and bytes that were none.
type Heard = Arc<Mutex<Vec<String>>>;

/// An upstream that answers every request with the same.
async fn answering(answer: String, names: &[&str]) -> (Origin, Heard) {
    let heard = Heard::default();
    let kept = heard.clone();
    let origin = Origin::raw(Identity::named(names), move |accepted: Accepted| {
        let (kept, answer) = (kept.clone(), answer.clone());
        async move {
            let mut stream = BufReader::new(accepted.stream);
            while let Some(head) = read_head(&mut stream).await {
                kept.lock().unwrap().push(head.lines().next().unwrap().to_owned());
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await;
    (origin, heard)
}

// G-21: an upstream that does not switch leaves no tunnel behind.
#[tokio::test(flavor = "multi_thread")]
async fn what_did_not_switch_is_no_tunnel() {
    for (status, line) in [(200, "200 OK"), (426, "426 Upgrade Required"), (101, "")] {
        let answer = match status {
            // Right but for its key.
            101 => format!("{}\r\n", SWITCHED.replace("s3pP", "AAAA")),
            _ => format!("HTTP/1.1 {line}\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n"),
        };
        let (origin, heard) = answering(answer, &[HOST]).await;
        let gate =
            Gate::with(Options::default(), |policy| origin.declared(policy, HOST, RULES)).await;
        let bytes = handshake(HOST, "/socket", &[]);
        let (mut wire, answer) = ask(gate.running(), HOST, bytes.as_bytes()).await;
        let expected = if status == 101 { 502 } else { status };
        assert_eq!(answer.status, expected, "{answer:?}");
        assert!(answer.head.contains("\r\nconnection: close"), "{answer:?}");
        // The client goes on as if there were a tunnel; nothing reads it, not as requests either.
        let bytes = format!("GET /plain HTTP/1.1\r\nHost: {HOST}\r\n\r\n");
        drop(wire.write_all(bytes.as_bytes()).await);
        let mut rest = Vec::new();
        drop(within("the end", wire.read_to_end(&mut rest)).await);
        assert_eq!(rest, b"", "{status}");
        assert_eq!(*heard.lock().unwrap(), ["GET /socket HTTP/1.1"]);
    }
}

// G-21, G-23, E-25: a 101 that is not the answer to what was asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_101_is_not_switched_to() {
    let chosen = |name: &str| format!("{SWITCHED}Sec-WebSocket-Protocol: {name}\r\n\r\n");
    let railway = "Sec-WebSocket-Protocol: graphql-transport-ws";
    for (what, host, offered, answer) in [
        (
            "an extension",
            HOST,
            None,
            format!("{SWITCHED}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"),
        ),
        ("a subprotocol that nobody offered", HOST, None, chosen("chat")),
        ("another than was offered", HOST, Some("Sec-WebSocket-Protocol: a, b"), chosen("c")),
        ("two of those that were", HOST, Some("Sec-WebSocket-Protocol: a, b"), chosen("a, b")),
        ("another key", HOST, None, format!("{}\r\n", SWITCHED.replace("s3pP", "AAAA"))),
        (
            "no key",
            HOST,
            None,
            format!("{}\r\n", SWITCHED.replace("Sec-WebSocket-Accept", "X-Accept")),
        ),
        (
            "no Connection",
            HOST,
            None,
            format!("{}\r\n", SWITCHED.replace("Connection: Upgrade", "Connection: close")),
        ),
        (
            "another protocol",
            HOST,
            None,
            format!("{}\r\n", SWITCHED.replace("Upgrade: websocket", "Upgrade: h2c")),
        ),
        ("no subprotocol where one is needed", RAILWAY, Some(railway), format!("{SWITCHED}\r\n")),
    ] {
        let (origin, heard) = answering(answer, &[HOST, RAILWAY]).await;
        let gate = Gate::with(Options::default(), |policy| {
            if host == HOST {
                return origin.declared(policy, HOST, RULES);
            }
            let from = policy.lines().find(|line| line.contains("backboard.railway.com:443"));
            let from = from.unwrap().to_owned();
            let to = format!("    \"{RAILWAY}:443\": \"{}\"", origin.address);
            Edit(policy).replace(&from, &to).root(&origin.roots()).0
        })
        .await;
        let path = if host == HOST { "/socket" } else { "/graphql/v2" };
        let headers: Vec<&str> = offered.into_iter().collect();
        let bytes =
            [handshake(host, path, &headers).into_bytes(), frame(0x81, b"too early")].concat();
        let (_, answer) = ask(gate.running(), host, &bytes).await;
        assert_eq!(
            (answer.status, &*answer.reason()),
            (502, "upstream_unreachable"),
            "{what}: {answer:?}"
        );
        assert_eq!(heard.lock().unwrap().len(), 1, "{what}");
    }
}
