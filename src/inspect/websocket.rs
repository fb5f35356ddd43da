//! Messages of a WebSocket as requests.
//!
//! Takes a message, the head of the handshake that opened its socket, and what was presented on the
//! socket before; returns [`Inspected`], as for any request. What is said in a GraphQL subprotocol is
//! read as that; an unknown type, a binary message, or what is not strict JSON is [`Unreadable`]. On a
//! plain resource a message is one operation, and what it says is not read.

use super::credential::{self, Presented};
use super::operation::Operation;
use super::{Facts, Inspected, Meaning, Unreadable, executed, graphql, rest};
use crate::catalog::{Catalog, Dialect};
use crate::fingerprint::FingerprintKey;
use crate::message::{Body, Head, Message, json};
use bytes::Bytes;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The language of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// Nobody knows it.
    Plain,
    /// GraphQL, in a subprotocol.
    Graphql(Dialect),
}

/// What has been said on a socket so far that bears on what is said next.
#[derive(Debug)]
pub struct Conversation {
    language: Language,
    /// What the first message presented, once it was sent.
    presented: Option<Vec<Presented>>,
}

/// What a message is to its socket, beside what it asks for.
#[derive(Debug, Default)]
pub struct Envelope {
    id: Option<String>,
    presented: Option<Vec<Presented>>,
    is_bare: bool,
}

impl Envelope {
    /// The id under which an answer is awaited.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }
    /// Whether it keeps the socket going and says nothing else.
    pub const fn is_bare(&self) -> bool {
        self.is_bare
    }
}

/// Whether a request opens a WebSocket for nothing but GraphQL.
pub fn is_graphql_handshake(head: &Head, catalog: &Catalog) -> bool {
    let offered = head.subprotocols();
    head.is_upgrade()
        && catalog.is_graphql_path(head.path().as_str())
        && !offered.is_empty()
        && offered.iter().all(|name| catalog.dialect(name).is_some())
}

/// A handshake on a path that executes GraphQL documents: a read of the account.
pub(super) fn handshake(head: &Head, facts: &mut Facts) -> Result<(), Unreadable> {
    if graphql::has_parameters(head.query()) {
        return Err(Unreadable::Graphql("a handshake carries no document"));
    }
    facts.operations = Arc::from([Operation::of_socket("connect")]);
    Ok(())
}

impl Conversation {
    /// One that begins.
    pub const fn new(language: Language) -> Self {
        Self { language, presented: None }
    }

    /// Its language.
    pub const fn language(&self) -> Language {
        self.language
    }

    /// Reads the client's next message. The catalog is that of the host.
    pub fn read<B>(
        &self,
        head: Box<Head>,
        bytes: Bytes,
        is_text: bool,
        catalog: Option<&Catalog>,
        key: &FingerprintKey,
    ) -> (Inspected<B>, Envelope) {
        let mut facts = Facts {
            operations: Arc::default(),
            credentials: credential::presented(&head, key),
            leaks: Vec::new(),
            unreadable: None,
            overridden: None,
            of_another: false,
            asked: None,
            meaning: Meaning::default(),
            expected: None,
        };
        facts.credentials.extend(self.presented.iter().flatten().cloned());
        let mut envelope = Envelope::default();
        let read = match (self.language, catalog) {
            (Language::Graphql(_), Some(_)) if !is_text => {
                Err(Unreadable::Message("it is binary, and this subprotocol is text"))
            }
            (Language::Graphql(dialect), Some(catalog)) => {
                self.graphql(&bytes, dialect, catalog, key, &mut facts, &mut envelope)
            }
            (Language::Plain, None) => {
                facts.operations = Arc::from([rest::message(&head, is_text)]);
                Ok(())
            }
            _ => Err(Unreadable::Message("the host is described in another way by now")),
        };
        facts.unreadable = read.err();
        let message = Message::new(head, Body::Whole(bytes));
        (Inspected { message, facts: Box::new(facts) }, envelope)
    }

    /// Notes that a message was sent: what it presented counts for those that follow.
    pub fn sent(&mut self, envelope: Envelope) {
        if envelope.presented.is_some() {
            self.presented = envelope.presented;
        }
    }

    fn graphql(
        &self,
        bytes: &[u8],
        dialect: Dialect,
        catalog: &Catalog,
        key: &FingerprintKey,
        facts: &mut Facts,
        envelope: &mut Envelope,
    ) -> Result<(), Unreadable> {
        let Value::Object(map) = json::parse(bytes).map_err(|_error| Unreadable::Json)? else {
            return Err(Unreadable::Message("it is no object"));
        };
        let said = Said::of(&map, dialect)?;
        envelope.id = said.id.map(str::to_owned);
        let slot = format!("websocket {}", said.name);
        let presented = |value: Option<&Value>| {
            credential::within(value.unwrap_or(&Value::Null), &slot, key)
                .map_err(|_many| Unreadable::Message("it carries more than 50 credentials"))
        };
        match said.kind {
            Kind::Execute => {
                let payload = said.payload.ok_or(Unreadable::Message("it carries no payload"))?;
                facts.credentials.extend(presented(payload.get("extensions"))?);
                executed(payload, catalog, facts)?;
                let found = credential::of_arguments(&facts.operations, catalog, key)?;
                facts.credentials.extend(found);
                facts.meaning = Meaning::Graphql(payload.clone());
            }
            Kind::Begin => {
                if self.presented.is_some() {
                    return Err(Unreadable::Message("the connection has begun already"));
                }
                let found = presented(said.payload)?;
                facts.credentials.extend(found.iter().cloned());
                facts.operations = Arc::from([Operation::of_socket(said.name)]);
                envelope.presented = Some(found);
            }
            Kind::Keep => {
                facts.credentials.extend(presented(said.payload)?);
                facts.operations = Arc::from([Operation::of_socket(said.name)]);
                envelope.is_bare = said.payload.is_none();
            }
        }
        Ok(())
    }
}

/// What a type of message is for.
#[derive(Clone, Copy)]
enum Kind {
    /// It begins the connection, and may present credentials.
    Begin,
    /// It has a document executed.
    Execute,
    /// It keeps the socket going, or ends something.
    Keep,
}

/// The types a client may send: name, what it is for, whether it has an id.
type Types = [(&'static str, Kind, bool)];

const TRANSPORT: &Types = &[
    ("connection_init", Kind::Begin, false),
    ("ping", Kind::Keep, false),
    ("pong", Kind::Keep, false),
    ("subscribe", Kind::Execute, true),
    ("complete", Kind::Keep, true),
];

const LEGACY: &Types = &[
    ("connection_init", Kind::Begin, false),
    ("start", Kind::Execute, true),
    ("stop", Kind::Keep, true),
    ("connection_terminate", Kind::Keep, false),
];

/// A message taken apart.
struct Said<'m> {
    name: &'static str,
    kind: Kind,
    id: Option<&'m str>,
    payload: Option<&'m Value>,
}

impl<'m> Said<'m> {
    fn of(map: &'m Map<String, Value>, dialect: Dialect) -> Result<Self, Unreadable> {
        let types = match dialect {
            Dialect::Transport => TRANSPORT,
            Dialect::Legacy => LEGACY,
        };
        if map.keys().any(|key| !matches!(key.as_str(), "id" | "type" | "payload")) {
            return Err(Unreadable::Message("it has an unknown key"));
        }
        let name = map.get("type").and_then(Value::as_str);
        let Some((name, kind, has_id)) =
            types.iter().find(|(known, ..)| name == Some(*known)).copied()
        else {
            return Err(Unreadable::Message("its type is not one that clients send"));
        };
        let id = match map.get("id") {
            None => None,
            Some(Value::String(id)) if !id.is_empty() => Some(id.as_str()),
            Some(_) => return Err(Unreadable::Message("its id is no text")),
        };
        if id.is_some() != has_id {
            return Err(Unreadable::Message("it needs an id, or has none"));
        }
        let payload = match map.get("payload") {
            None | Some(Value::Null) => None,
            Some(payload @ Value::Object(_)) => Some(payload),
            Some(_) => return Err(Unreadable::Message("its payload is no object")),
        };
        Ok(Self { name, kind, id, payload })
    }
}

#[cfg(test)]
mod tests;
