//! GraphQL over a WebSocket: the same verdicts as over HTTP, message by message.

use super::{BOTH, arrived, records, redeploy};
use crate::support::client::{Client, full};
use crate::support::mock::{Options, PRODUCTION_VOLUME, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::socket::{RAILWAY, Socket, ask, frame, handshake, text};
use crate::support::{FOREIGN, Gate, delete_volume};
use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

const UNDECLARED: &str = "dddddddd-0000-4000-8000-00000000ffff";

/// The deletion of a volume in every spelling that servers execute.
fn disguises(volume: &str) -> [Value; 6] {
    [
        delete_volume(volume),
        json!({"query": "mutation D($id: String!) { volumeDelete(volumeId: $id) }", "variables": {"id": volume}}),
        json!({"query": format!("mutation D($id: String = \"{volume}\") {{ volumeDelete(volumeId: $id) }}")}),
        json!({"query": format!("mutation {{ me: volumeDelete(volumeId: \"{volume}\") @skip(if: false) }}")}),
        json!({"query": format!("mutation {{ ...F }} fragment F on Mutation {{ ... on Mutation {{ volumeDelete(volumeId: \"\"\"{volume}\"\"\") }} }}")}),
        json!({"query": format!("query A {{ me {{ email }} }} mutation B {{ volumeDelete(volumeId: \"\\u0064{}\") }}", &volume[1..]), "operationName": "A"}),
    ]
}

// G-24, J-01, J-03, J-09, J-10, J-15
#[tokio::test(flavor = "multi_thread")]
async fn every_disguise_has_the_verdict_that_it_has_over_http() {
    let gate =
        Gate::with(Options::default(), |policy| policy.replace("wait: 20s", "wait: 1s")).await;
    let expected = [
        (STAGING_VOLUME, "hold", "destructive"),
        (PRODUCTION_VOLUME, "deny", "credential_out_of_scope"),
        (UNDECLARED, "hold", "unknown_target"),
    ];
    let client = Client::http2(gate.running(), RAILWAY).await;
    for (volume, verdict, reason) in expected {
        let calls = disguises(volume).map(|body| {
            let mut stream = client.stream();
            async move {
                let request = stream
                    .request("POST", "/graphql/v2")
                    .header("authorization", format!("Bearer {STAGING_TOKEN}"))
                    .body(full(body.to_string()))
                    .unwrap();
                stream.exchange(request).await.json()
            }
        });
        for told in join_all(calls).await {
            assert_eq!((&told["verdict"], &told["reason"]), (&json!(verdict), &json!(reason)));
        }
        for (protocol, kind) in BOTH {
            let mut socket = Socket::railway(&gate, protocol, Some(STAGING_TOKEN)).await;
            socket.begin(&json!({})).await;
            for (number, payload) in disguises(volume).into_iter().enumerate() {
                let id = number.to_string();
                socket.say(&json!({"id": id, "type": kind, "payload": payload})).await;
                let answer = socket.hear().await;
                assert_eq!((&answer["type"], &answer["id"]), (&json!("error"), &json!(id)));
                let error = match protocol {
                    "graphql-ws" => {
                        let complete = json!({"type": "complete", "id": id});
                        assert_eq!(socket.hear().await, complete);
                        &answer["payload"]
                    }
                    _ => &answer["payload"][0],
                };
                let told = &error["extensions"];
                assert_eq!(told["verdict"], verdict, "{protocol} {payload} {answer}");
                assert_eq!(told["reason"], reason, "{protocol} {payload} {answer}");
                let code = if verdict == "hold" { "HELD" } else { "DENIED" };
                assert_eq!(told["code"], code, "{answer}");
                assert_eq!(told["hold"].is_null(), verdict == "deny", "{answer}");
                assert_eq!(told["operation"], "mutation volumeDelete", "{answer}");
                let said = error["message"].as_str().unwrap();
                assert!(said.contains("volumeDelete"), "{answer}");
                assert!(!answer.to_string().contains(STAGING_TOKEN), "{answer}");
            }
            // The socket is still of use.
            socket.say(&json!({"id": "r", "type": kind, "payload": redeploy()})).await;
            let answer = socket.hear().await;
            assert_eq!(answer["payload"]["data"]["serviceInstanceRedeploy"], true, "{answer}");
        }
    }
    // Only everyday work has arrived, and each refusal is a record of its own.
    let queries: Vec<Value> =
        arrived(&gate).iter().map(|message| message["payload"]["query"].clone()).collect();
    assert_eq!(queries, vec![redeploy()["query"].clone(); 6]);
    assert!(gate.mock.deletions().is_empty());
    let refused = records(&gate, "mutation volumeDelete");
    assert_eq!(refused.len(), 3 * 6 * 3, "over HTTP once, over each subprotocol once");
    let mut ids: Vec<&str> = refused.iter().map(|it| it["request_id"].as_str().unwrap()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), refused.len());
    let sessions: Vec<&Value> = refused.iter().map(|record| &record["session"]).collect();
    assert!(sessions.iter().all(|session| *session == sessions[0] && session.is_string()));
}

// G-24, K-01, K-12: what a client presents instead of headers is presented all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_in_connection_init_is_a_credential() {
    let foreign = [
        json!({"Authorization": format!("Bearer {FOREIGN}")}),
        json!({"headers": {"authorization": FOREIGN}}),
        json!({"apiKey": FOREIGN}),
        json!({"context": {"token": [FOREIGN]}}),
    ];
    for (protocol, kind) in BOTH {
        let gate = Gate::start().await;
        for payload in &foreign {
            let mut socket = Socket::railway(&gate, protocol, None).await;
            // Nobody waits for the answer to what begins a connection.
            socket.say(&json!({"type": "connection_init", "payload": payload})).await;
            assert_eq!(socket.closed().await, (1008, "foreign_credential".to_owned()), "{payload}");
        }
        // A second one beside an issued one in the handshake is no better.
        let mut socket = Socket::railway(&gate, protocol, Some(STAGING_TOKEN)).await;
        socket.say(&json!({"type": "connection_init", "payload": foreign[0]})).await;
        assert_eq!(socket.closed().await.1, "foreign_credential");
        let begun = |text: &String| text.contains("connection_init");
        assert!(!gate.mock.messages().iter().any(begun), "{:?}", gate.mock.messages());
        // The issued one counts for all that follows.
        let mut socket = Socket::railway(&gate, protocol, None).await;
        socket.begin(&json!({"Authorization": format!("Bearer {STAGING_TOKEN}")})).await;
        socket.say(&json!({"id": "1", "type": kind, "payload": redeploy()})).await;
        assert_eq!(socket.hear().await["payload"]["data"]["serviceInstanceRedeploy"], true);
        assert_eq!(socket.hear().await, json!({"id": "1", "type": "complete"}));
        let production = delete_volume(PRODUCTION_VOLUME);
        socket.say(&json!({"id": "2", "type": kind, "payload": production})).await;
        let answer = socket.hear().await.to_string();
        assert!(answer.contains("credential_out_of_scope"), "{answer}");
        let own = json!({"extensions": {"authorization": {"Authorization": FOREIGN}}, "query": "{ me { email } }"});
        if kind == "start" {
            socket.hear().await;
        }
        socket.say(&json!({"id": "3", "type": kind, "payload": own})).await;
        let answer = socket.hear().await.to_string();
        assert!(answer.contains("foreign_credential"), "{answer}");
        assert_eq!(arrived(&gate).len(), 1, "{:?}", arrived(&gate));
        let record = &records(&gate, "mutation serviceInstanceRedeploy")[0];
        let credential = &record["credentials"][0];
        assert_eq!(credential["slot"], "websocket connection_init authorization");
        assert_eq!(credential["name"], "railway-staging-token");
        let refused = records(&gate, "websocket connection_init");
        assert!(refused.iter().any(|record| record["reason"] == "foreign_credential"));
        let all = gate.records().iter().map(Value::to_string).collect::<String>();
        assert!(!all.contains(FOREIGN) && !all.contains(STAGING_TOKEN));
    }
}

// K-01: the handshake's own credential.
#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_token_opens_no_socket() {
    let gate = Gate::start().await;
    for (protocol, _) in BOTH {
        let protocol = format!("Sec-WebSocket-Protocol: {protocol}");
        let token = format!("Authorization: Bearer {FOREIGN}");
        let bytes = handshake(RAILWAY, "/graphql/v2", &[&protocol, &token]);
        let (_, answer) = ask(gate.running(), RAILWAY, bytes.as_bytes()).await;
        assert_eq!((answer.status, &*answer.reason()), (403, "foreign_credential"), "{answer:?}");
    }
    assert_eq!(gate.mock.bytes_received(), 0);
}

// G-24, I-09, J-24: what is no message of the subprotocol ends the socket; a document that cannot be
// read is answered under its id.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_read_is_not_sent() {
    let gate = Gate::start().await;
    for (protocol, kind) in BOTH {
        let me = json!({"query": "{ me { email } }"});
        let good = json!({"id": "1", "type": kind, "payload": me}).to_string();
        let doubled = good.replace("\"query\"", "\"query\":\"mutation { a }\",\"query\"");
        let cases = [
            ("no JSON", Message::text("volumeDelete")),
            ("two documents", Message::text(format!("{good}{good}"))),
            ("a key twice", Message::text(doubled)),
            ("a batch", Message::text(format!("[{good}]"))),
            ("an unknown type", Message::text(good.replace(kind, "execute"))),
            ("an unknown key", Message::text(good.replace("\"id\"", "\"a\":1,\"id\""))),
            ("no id", Message::text(good.replace("\"id\":\"1\",", ""))),
            ("binary", Message::binary(good.clone())),
        ];
        for (what, message) in cases {
            let mut socket = Socket::railway(&gate, protocol, Some(STAGING_TOKEN)).await;
            socket.begin(&json!({})).await;
            socket.send(message).await;
            let (code, reason) = socket.closed().await;
            assert_eq!((code, &*reason), (1008, "unreadable"), "{protocol}: {what}");
        }
        let mut socket = Socket::railway(&gate, protocol, Some(STAGING_TOKEN)).await;
        socket.begin(&json!({})).await;
        for query in ["{ me {", "{ a } { b }", "type A { b: C }", ""] {
            socket.say(&json!({"id": "1", "type": kind, "payload": {"query": query}})).await;
            let answer = socket.hear().await;
            let told = answer["payload"].pointer("/0/extensions");
            let told = told.or_else(|| answer["payload"].get("extensions")).unwrap();
            assert_eq!(told["reason"], "unreadable", "{query}: {answer}");
            if kind == "start" {
                assert_eq!(socket.hear().await["type"], "complete");
            }
        }
    }
    assert!(arrived(&gate).is_empty(), "{:?}", arrived(&gate));
}

// E-20, E-23, I7: what is sent at once is judged one by one, also what did not wait for the 101.
#[tokio::test(flavor = "multi_thread")]
async fn of_messages_sent_at_once_each_is_judged() {
    let gate = Gate::start().await;
    let protocol = "Sec-WebSocket-Protocol: graphql-transport-ws";
    let token = format!("Authorization: Bearer {STAGING_TOKEN}");
    let said = |id: &str, payload: &Value| {
        text(&json!({"id": id, "type": "subscribe", "payload": payload}))
    };
    let mut bytes = handshake(RAILWAY, "/graphql/v2", &[protocol, &token]).into_bytes();
    bytes.extend(text(&json!({"type": "connection_init"})));
    bytes.extend(said("denied", &delete_volume(PRODUCTION_VOLUME)));
    bytes.extend(said("allowed", &redeploy()));
    let mut socket = Socket::with(&gate, RAILWAY, &bytes).await;
    let mut answers = Vec::new();
    while answers.len() < 4 {
        answers.push(socket.hear().await);
    }
    let of = |id: &str| -> Vec<&Value> {
        answers.iter().filter(|it| it["id"] == id).map(|it| &it["type"]).collect()
    };
    assert_eq!(of("denied"), [&json!("error")], "{answers:?}");
    assert_eq!(of("allowed"), [&json!("next"), &json!("complete")], "{answers:?}");
    assert_eq!(arrived(&gate).len(), 1);
    // The head, and nothing of what came with it.
    assert_eq!(gate.mock.requests().len(), 1);
    assert!(gate.mock.requests()[0].body.is_empty());
    assert!(gate.mock.deletions().is_empty());
}

// G-23, K-18: a mutation in pieces is one message.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_in_pieces_is_judged_whole() {
    let gate = Gate::start().await;
    let mut socket = Socket::railway(&gate, "graphql-transport-ws", Some(STAGING_TOKEN)).await;
    socket.begin(&json!({})).await;
    for (payload, kind) in [(delete_volume(PRODUCTION_VOLUME), "error"), (redeploy(), "next")] {
        let said = json!({"id": "1", "type": "subscribe", "payload": payload}).to_string();
        let pieces: Vec<&[u8]> = said.as_bytes().chunks(7).collect();
        for (at, piece) in pieces.iter().enumerate() {
            let opcode = u8::from(at == 0);
            let last = if at + 1 == pieces.len() { 0x80 } else { 0 };
            socket.raw(&frame(opcode | last, piece)).await;
            // Control frames may stand between the pieces (RFC 6455 section 5.4).
            socket.raw(&frame(0x89, b"beat")).await;
        }
        loop {
            match socket.next().await {
                Message::Pong(payload) => assert_eq!(&payload[..], b"beat"),
                Message::Text(text) => {
                    let answer: Value = serde_json::from_str(&text).unwrap();
                    assert_eq!(answer["type"], kind, "{answer}");
                    break;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    let whole = arrived(&gate);
    let whole: Vec<_> = whole.iter().filter(|message| message.is_object()).collect();
    assert_eq!(whole.len(), 1, "{whole:?}");
    assert_eq!(whole[0]["payload"], redeploy());
    assert!(gate.mock.deletions().is_empty());
}

// G-24: what keeps a connection going passes; it fills no log, and carries no credential past the judge.
#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_a_connection_going_passes() {
    let gate = Gate::start().await;
    let mut socket = Socket::railway(&gate, "graphql-transport-ws", Some(STAGING_TOKEN)).await;
    socket.begin(&json!({})).await;
    socket.say(&json!({"type": "ping"})).await;
    assert_eq!(socket.hear().await, json!({"type": "pong"}));
    socket.say(&json!({"type": "pong"})).await;
    socket.say(&json!({"id": "7", "type": "complete"})).await;
    socket.say(&json!({"type": "ping", "payload": {"lap": 1}})).await;
    assert_eq!(socket.hear().await, json!({"type": "pong"}));
    assert_eq!(arrived(&gate).len(), 4);
    assert_eq!(records(&gate, "websocket ping").len(), 1, "the one that says something");
    for operation in ["websocket pong", "websocket complete"] {
        assert!(records(&gate, operation).is_empty());
    }
    assert_eq!(records(&gate, "websocket connect").len(), 1);
    assert_eq!(records(&gate, "websocket connection_init").len(), 1);
    socket.say(&json!({"type": "ping", "payload": {"token": FOREIGN}})).await;
    assert_eq!(socket.closed().await, (1008, "foreign_credential".to_owned()));
    assert_eq!(arrived(&gate).len(), 4);
}
