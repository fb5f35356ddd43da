//! Sockets of plain resources: each message is one call, and a socket ends with what allowed it.

use super::{ended, records};
use crate::support::mock::{Options, PRODUCTION_VOLUME};
use crate::support::origin::{Identity, Origin};
use crate::support::policy::Edit;
use crate::support::socket::{Socket, echo};
use crate::support::{FOREIGN, Gate, write_policy};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

const HOST: &str = "origin.example";
const SOCKET: &str = "- { allow: GET /socket, websocket: true }\n- { allow: GET /read, websocket: true, effect: read }\n- { hold: GET /held }\n- { allow: GET /held, websocket: true }";

async fn open(gate: &Gate, path: &str) -> Socket {
    Socket::open(gate, HOST, path, &[]).await
}

/// That a message comes back as it was sent.
async fn echoes(socket: &mut Socket, message: Message) {
    socket.send(message.clone()).await;
    assert_eq!(socket.next().await, message);
}

// G-20: what is said is not read, and every message is judged and recorded.
#[tokio::test(flavor = "multi_thread")]
async fn each_message_is_one_call() {
    let origin = Origin::raw(Identity::named(&[HOST]), echo).await;
    let gate = Gate::with(Options::default(), |policy| origin.declared(policy, HOST, SOCKET)).await;
    let mut socket = open(&gate, "/socket").await;
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    echoes(&mut socket, Message::text("_method=DELETE")).await;
    echoes(&mut socket, Message::binary(bytes)).await;
    echoes(&mut socket, Message::text("")).await;
    let mut read = open(&gate, "/read").await;
    echoes(&mut read, Message::text("hi")).await;
    assert_eq!(records(&gate, "message GET /socket").len(), 2);
    assert_eq!(records(&gate, "message GET /read").len(), 1);
    let record = &records(&gate, "binary message GET /socket")[0];
    let opened = &records(&gate, "GET /socket")[0];
    let says = format!("a message of the WebSocket {}", opened["request_id"].as_str().unwrap());
    assert_eq!((&record["verdict"], &record["detail"]), (&json!("allow"), &json!(says)));
    assert_ne!(record["request_id"], opened["request_id"]);
    assert_eq!(record["session"], opened["session"]);
    drop((socket, read));
}

// M-18: a held message ends the socket, for there is no way to say so on it.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_message_is_sent_once_it_is_approved() {
    let origin = Origin::raw(Identity::named(&[HOST]), echo).await;
    let gate = Gate::with(Options::default(), |policy| {
        let sequence = "  - name: foreign then irreversible\n    within: 30m\n    \
                        steps: [foreign_credential, irreversible]\n    then: hold_writes\n";
        let policy = origin.declared(policy, HOST, SOCKET);
        Edit(policy).replace("\nsequences:\n", &format!("\nsequences:\n{sequence}")).0
    })
    .await;
    let mut socket = open(&gate, "/socket").await;
    let mut read = open(&gate, "/read").await;
    echoes(&mut socket, Message::text("hi")).await;
    // From here on the agent's writes are held, on sockets that are open already too.
    let denied = gate.delete_volume(FOREIGN, PRODUCTION_VOLUME);
    assert_eq!(denied.reason(), "foreign_credential", "{denied:?}");
    socket.send(Message::text("hi")).await;
    let (code, reason) = socket.closed().await;
    let (word, id) = reason.split_once(' ').unwrap();
    assert_eq!((code, word), (1008, "approval_required"), "{reason}");
    assert_eq!(gate.waiting()[0]["id"], id);
    gate.approve(id);
    let mut socket = open(&gate, "/socket").await;
    echoes(&mut socket, Message::text("hi")).await;
    // Another is another, and bytes are no text.
    socket.send(Message::binary(&b"hi"[..])).await;
    let (_, again) = socket.closed().await;
    assert!(again.starts_with("approval_required h_") && !again.ends_with(id), "{again}");
    echoes(&mut read, Message::text("a read is none")).await;
}

// R-05, I7
#[tokio::test(flavor = "multi_thread")]
async fn a_socket_ends_with_what_allowed_it() {
    let origin = Origin::raw(Identity::named(&[HOST]), echo).await;
    let mut gate = Gate::with(Options::default(), |policy| {
        let sequence = "  - name: foreign then irreversible\n    within: 30m\n    \
                        steps: [foreign_credential, irreversible]\n    then: quarantine\n";
        let policy = origin.declared(policy, HOST, SOCKET);
        Edit(policy).replace("\nsequences:\n", &format!("\nsequences:\n{sequence}")).0
    })
    .await;
    let mut socket = open(&gate, "/socket").await;
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let narrow =
        Edit(policy).replace("{ allow: GET /socket, websocket: true }", "deny: GET /socket");
    write_policy(gate.folder.path(), &narrow.0);
    gate.reload();
    assert_eq!(socket.closed().await, (1001, "the policy changed".to_owned()));
    let mut socket = open(&gate, "/read").await;
    let denied = gate.delete_volume(FOREIGN, PRODUCTION_VOLUME);
    assert_eq!(denied.reason(), "foreign_credential", "{denied:?}");
    assert_eq!(socket.closed().await, (1008, "quarantined".to_owned()));
    ended(&gate, "in quarantine");
    let agent = gate.records().pop().unwrap()["agent"].clone();
    let released = gate.holdgate(&["approvals", "release", agent.as_str().unwrap()]);
    assert!(released.status.success(), "{released:?}");
    let mut socket = open(&gate, "/read").await;
    echoes(&mut socket, Message::text("hi")).await;
    gate.running().signal("TERM");
    assert_eq!(socket.closed().await.0, 1001);
    gate.process.as_mut().unwrap().ended();
}
