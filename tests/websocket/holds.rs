//! Held messages: handed back at once, redeemed by the same message, sent once.

use super::{BOTH, arrived, records, redeploy};
use crate::support::mock::{STAGING_TOKEN, STAGING_VOLUME};
use crate::support::socket::Socket;
use crate::support::{Gate, delete_volume};
use serde_json::{Value, json};

/// The hold of an answer.
fn hold_of(answer: &Value) -> (String, String) {
    let told = answer["payload"].pointer("/0/extensions");
    let told = told.or_else(|| answer["payload"].get("extensions")).expect("a refusal");
    let field = |name: &str| told["hold"][name].as_str().unwrap_or_default().to_owned();
    (field("id"), field("state"))
}

/// Asks for the deletion of the staging volume under an id; what is answered.
async fn delete(socket: &mut Socket, kind: &str, id: &str) -> Value {
    let payload = delete_volume(STAGING_VOLUME);
    socket.say(&json!({"id": id, "type": kind, "payload": payload})).await;
    let answer = socket.hear().await;
    assert_eq!(answer["id"], id, "{answer}");
    // An answer is followed by its end, but for an error of the newer subprotocol, which is one.
    if answer["type"] != "error" || kind == "start" {
        assert_eq!(socket.hear().await["type"], "complete");
    }
    answer
}

// M-02, M-18, Q-01, G-24
#[tokio::test(flavor = "multi_thread")]
async fn an_approved_message_is_sent_once() {
    for (protocol, kind) in BOTH {
        let gate = Gate::start().await;
        let mut socket = Socket::railway(&gate, protocol, Some(STAGING_TOKEN)).await;
        socket.begin(&json!({})).await;
        let (id, state) = hold_of(&delete(&mut socket, kind, "1").await);
        assert_eq!(state, "waiting");
        // It keeps nobody waiting, and asks nobody twice.
        socket.say(&json!({"id": "2", "type": kind, "payload": redeploy()})).await;
        assert_eq!(socket.hear().await["payload"]["data"]["serviceInstanceRedeploy"], true);
        assert_eq!(socket.hear().await["type"], "complete");
        assert_eq!(hold_of(&delete(&mut socket, kind, "3").await), (id.clone(), state));
        assert_eq!(gate.waiting().len(), 1);
        assert!(gate.mock.deletions().is_empty());
        gate.approve(&id);
        // The same message under another id, over another socket.
        let mut other = Socket::railway(&gate, protocol, Some(STAGING_TOKEN)).await;
        other.begin(&json!({})).await;
        let answer = delete(&mut other, kind, "another").await;
        assert_eq!(answer["payload"]["data"]["volumeDelete"], true, "{answer}");
        assert_eq!(gate.mock.deletions(), [STAGING_VOLUME]);
        // Its approval is used up.
        let (next, state) = hold_of(&delete(&mut socket, kind, "4").await);
        assert_ne!(next, id);
        assert_eq!(state, "waiting");
        assert_eq!(gate.mock.deletions(), [STAGING_VOLUME]);
        let of =
            |message: &&Value| message["payload"]["query"].to_string().contains("volumeDelete");
        assert_eq!(arrived(&gate).iter().filter(of).count(), 1);
        let sent = records(&gate, "mutation volumeDelete");
        let sent: Vec<_> = sent.iter().filter(|record| record["verdict"] == "allow").collect();
        assert_eq!(sent.len(), 1);
        assert_eq!(sent[0]["hold"], id.as_str());
        assert!(sent[0]["detail"].as_str().unwrap().contains("redeemed"), "{}", sent[0]);
    }
}

// M-02: of all who redeem it one sends.
#[tokio::test(flavor = "multi_thread")]
async fn of_many_sockets_one_redeems() {
    let gate = Gate::start().await;
    let mut sockets = Vec::new();
    for _ in 0..8 {
        let mut socket = Socket::railway(&gate, "graphql-transport-ws", Some(STAGING_TOKEN)).await;
        socket.begin(&json!({})).await;
        sockets.push(socket);
    }
    let (id, _) = hold_of(&delete(&mut sockets[0], "subscribe", "1").await);
    gate.approve(&id);
    let all = sockets.iter_mut().map(|socket| delete(socket, "subscribe", "2"));
    let answers = futures_util::future::join_all(all).await;
    let done = answers.iter().filter(|answer| answer["type"] == "next").count();
    assert_eq!(done, 1, "{answers:?}");
    assert_eq!(gate.mock.deletions(), [STAGING_VOLUME]);
}

// M-17
#[tokio::test(flavor = "multi_thread")]
async fn a_denied_message_stays_denied() {
    let gate = Gate::start().await;
    let mut socket = Socket::railway(&gate, "graphql-transport-ws", Some(STAGING_TOKEN)).await;
    socket.begin(&json!({})).await;
    let (id, _) = hold_of(&delete(&mut socket, "subscribe", "1").await);
    let denied = gate.holdgate(&["approvals", "deny", &id]);
    assert!(denied.status.success(), "{denied:?}");
    let answer = delete(&mut socket, "subscribe", "2").await;
    assert_eq!(hold_of(&answer), (id, "denied".to_owned()));
    assert_eq!(answer["payload"][0]["extensions"]["code"], "DENIED", "{answer}");
    assert!(arrived(&gate).is_empty());
}
