//! What a message of a socket is read as.

use super::*;
use crate::catalog::Effect;
use crate::message::tests::head;
use serde_json::json;

const ID: &str = "dddddddd-0000-4000-8000-000000000002";
const TOKEN: &str = "00000000-0000-4000-8000-00000000dead";

fn handshake(protocols: &str) -> Box<Head> {
    let headers = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-protocol", protocols),
    ];
    Box::new(head("GET", "https://backboard.railway.com/graphql/v2", &headers).unwrap())
}

fn read(conversation: &Conversation, text: &str, is_text: bool) -> (Inspected<()>, Envelope) {
    let catalog = Catalog::embedded("railway").unwrap();
    let key = FingerprintKey::new(b"key");
    let bytes = Bytes::from(text.to_owned());
    conversation.read(handshake("graphql-ws"), bytes, is_text, Some(&catalog), &key)
}

const BOTH: [(Dialect, &str); 2] = [(Dialect::Transport, "subscribe"), (Dialect::Legacy, "start")];

#[test]
fn a_document_is_read_whatever_the_subprotocol() {
    for (dialect, kind) in BOTH {
        let conversation = Conversation::new(Language::Graphql(dialect));
        let query = format!("mutation {{ volumeDelete(volumeId: \"{ID}\") }}");
        let said = |id: &str| {
            let message = json!({"id": id, "type": kind, "payload": {"query": query}});
            read(&conversation, &message.to_string(), true)
        };
        let (inspected, envelope) = said("1");
        let facts = inspected.facts();
        assert_eq!(facts.unreadable(), None);
        assert_eq!(&*facts.operations()[0].name, "mutation volumeDelete");
        assert_eq!(facts.operations()[0].decides[0].value, ID);
        assert_eq!(envelope.id(), Some("1"));
        assert_eq!(facts.meaning(), said("2").0.facts().meaning(), "an id is no meaning");
    }
}

#[test]
fn what_is_no_message_of_the_subprotocol_is_unreadable() {
    let query = json!({"query": "{ me { email } }"});
    for (dialect, kind) in BOTH {
        let conversation = Conversation::new(Language::Graphql(dialect));
        let good = json!({"id": "1", "type": kind, "payload": query}).to_string();
        assert_eq!(read(&conversation, &good, true).0.facts().unreadable(), None);
        assert!(read(&conversation, &good, false).0.facts().unreadable().is_some(), "binary");
        let other = if dialect == Dialect::Transport { "start" } else { "subscribe" };
        let texts = [
            json!({"id": "1", "type": other, "payload": query}),
            json!({"id": "1", "type": "mutate", "payload": query}),
            json!({"id": "1", "payload": query}),
            json!({"id": 1, "type": kind, "payload": query}),
            json!({"id": "", "type": kind, "payload": query}),
            json!({"type": kind, "payload": query}),
            json!({"id": "1", "type": kind}),
            json!({"id": "1", "type": kind, "payload": [query]}),
            json!({"id": "1", "type": kind, "payload": "{ me { email } }"}),
            json!({"id": "1", "type": kind, "payload": query, "Payload": query}),
            json!({"id": "1", "type": kind, "payload": query, "query": "{ a }"}),
            json!({"id": "1", "type": kind, "payload": {"query": "{ a }", "other": 1}}),
            json!({"id": "1", "type": kind, "payload": {"query": "{ a"}}),
            json!({"id": "1", "type": "connection_init"}),
            json!({"type": "connection_init", "payload": "Bearer x"}),
            json!([{"id": "1", "type": kind, "payload": query}]),
            json!("ping"),
        ];
        let mut texts: Vec<String> = texts.iter().map(Value::to_string).collect();
        texts.push(String::new());
        texts.push(format!("{good} {good}"));
        texts.push(good.replace("\"type\"", "\"type\":\"complete\",\"type\""));
        texts.push(good.replace("\"query\"", "\"query\":\"{ a }\",\"query\""));
        for text in texts {
            let (inspected, _) = read(&conversation, &text, true);
            assert!(inspected.facts().unreadable().is_some(), "{dialect:?} {text}");
        }
    }
}

#[test]
fn what_begins_a_connection_is_presented_by_all_that_follows() {
    for (dialect, kind) in BOTH {
        let mut conversation = Conversation::new(Language::Graphql(dialect));
        let init = json!({"type": "connection_init", "payload": {"headers": {"Authorization": format!("Bearer {TOKEN}")}}});
        let (inspected, envelope) = read(&conversation, &init.to_string(), true);
        let slot = "websocket connection_init headers authorization";
        assert_eq!(inspected.facts().credentials()[0].slot, slot);
        let operation = &inspected.facts().operations()[0];
        assert_eq!(
            (&*operation.name, operation.effect),
            ("websocket connection_init", Effect::Read)
        );
        let asks = json!({"id": "1", "type": kind, "payload": {"query": "{ me { email } }"}});
        let slots = |conversation: &Conversation| -> Vec<String> {
            let (inspected, _) = read(conversation, &asks.to_string(), true);
            inspected.facts().credentials().iter().map(|one| one.slot.clone()).collect()
        };
        // What was never sent counts for nothing.
        assert!(slots(&conversation).is_empty());
        conversation.sent(envelope);
        assert_eq!(slots(&conversation), [slot]);
        let (again, _) = read(&conversation, &init.to_string(), true);
        assert!(again.facts().unreadable().is_some(), "a second beginning");
        // In the place of headers each message presents for itself.
        let own = json!({"id": "1", "type": kind, "payload": {"query": "{ a }", "extensions": {"authorization": {"Authorization": TOKEN}}}});
        assert_eq!(read(&conversation, &own.to_string(), true).0.facts().credentials().len(), 2);
    }
}

#[test]
fn what_keeps_a_socket_going_is_bare_if_it_says_nothing() {
    let conversation = Conversation::new(Language::Graphql(Dialect::Transport));
    for (text, bare, credentials) in [
        (json!({"type": "ping"}), true, 0),
        (json!({"type": "pong", "payload": null}), true, 0),
        (json!({"id": "1", "type": "complete"}), true, 0),
        (json!({"type": "ping", "payload": {}}), false, 0),
        (json!({"type": "ping", "payload": {"token": TOKEN}}), false, 1),
    ] {
        let (inspected, envelope) = read(&conversation, &text.to_string(), true);
        assert_eq!(inspected.facts().unreadable(), None, "{text}");
        assert_eq!(envelope.is_bare(), bare, "{text}");
        assert_eq!(inspected.facts().credentials().len(), credentials, "{text}");
    }
}

#[test]
fn a_plain_message_is_a_write_that_nobody_reads() {
    let conversation = Conversation::new(Language::Plain);
    let key = FingerprintKey::new(b"key");
    let headers = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    for (path, is_text, name, effect) in [
        ("/s", true, "message GET /s", Effect::Write),
        ("/s", false, "binary message GET /s", Effect::Write),
        ("/delete", true, "message GET /delete", Effect::Destructive),
    ] {
        let head = head("GET", &format!("https://a.test{path}"), &headers).unwrap();
        let (inspected, _): (Inspected<()>, _) =
            conversation.read(Box::new(head), Bytes::from_static(b"{"), is_text, None, &key);
        let operation = &inspected.facts().operations()[0];
        assert_eq!((&*operation.name, operation.effect), (name, effect));
    }
}

#[test]
fn a_handshake_for_anything_but_graphql_is_none() {
    let catalog = Catalog::embedded("railway").unwrap();
    for (protocols, good) in [
        ("graphql-transport-ws", true),
        ("graphql-ws, graphql-transport-ws", true),
        ("graphql-transport-ws, chat", false),
        ("GraphQL-transport-ws", false),
        ("chat", false),
    ] {
        assert_eq!(is_graphql_handshake(&handshake(protocols), &catalog), good, "{protocols}");
    }
}
