//! Services as data: what an API's hosts, operations, effects and ids are.
//!
//! Takes the YAML files under `catalog/` (embedded in the binary); returns [`Catalog`] values with
//! their operations indexed by name and by path. Refuses unknown keys, unknown effects and
//! destructive operations that do not say whether they can be undone.

mod file;
mod operation;

pub use operation::{Effect, Identifier, OperationSpec, Reveal, Reversibility};

use crate::policy::path::Index;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// What kind of traffic a service's hosts carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An API whose calls act on resources.
    Api,
    /// A model provider: the conversation of an agent with its model.
    Conversation,
}

/// One service: its hosts, credential slots and operations.
#[derive(Debug)]
pub struct Catalog {
    /// The name a policy uses in `service:`.
    pub service: Arc<str>,
    /// The name people use.
    pub title: String,
    /// Whether calls act on resources or are a conversation.
    pub kind: Kind,
    /// The exact hosts of the service, lower case.
    pub hosts: Vec<String>,
    /// The header names in which the service takes a credential, lower case.
    pub slots: Vec<String>,
    /// The kinds of ids that operations act on, and that a policy may declare.
    pub kinds: BTreeSet<String>,
    /// Its GraphQL API, if it has one.
    pub graphql: Option<Graphql>,
    /// Its plain HTTP operations by path template.
    pub rest: Index<(Option<http::Method>, Arc<OperationSpec>)>,
}

/// A way to execute GraphQL documents over a WebSocket, by the name of its subprotocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
pub enum Dialect {
    /// That of the `graphql-ws` library: `subscribe` and `complete`.
    #[serde(rename = "graphql-transport-ws")]
    Transport,
    /// The older one of `subscriptions-transport-ws`: `start` and `stop`.
    #[serde(rename = "graphql-ws")]
    Legacy,
}

impl Dialect {
    /// The name in a handshake.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Transport => "graphql-transport-ws",
            Self::Legacy => "graphql-ws",
        }
    }
}

/// The GraphQL API of a service.
#[derive(Debug)]
pub struct Graphql {
    /// The exact paths that execute GraphQL documents.
    pub paths: Vec<String>,
    /// The subprotocols in which they are executed over a WebSocket; none: over HTTP only.
    pub websocket: Vec<Dialect>,
    /// Root fields by operation type and name, as in `mutation volumeDelete`.
    pub operations: HashMap<String, Arc<OperationSpec>>,
    /// Nested fields that reveal secrets.
    pub reveals: Vec<Reveal>,
}

/// Why a catalog did not load; the fault is the catalog author's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No embedded catalog has that name.
    #[error("no catalog for service `{0}`; known are: {known}", known = known().join(", "))]
    Unknown(String),
    /// The file is not YAML of the catalog's form.
    #[error("catalog `{service}` does not load: {message}")]
    Form {
        /// The catalog's name.
        service: String,
        /// What the reader found, with its place.
        message: String,
    },
    /// An operation contradicts itself.
    #[error("catalog `{service}`, operation `{operation}`: {message}")]
    Operation {
        /// The catalog's name.
        service: String,
        /// The operation.
        operation: String,
        /// What is wrong, and what to write instead.
        message: String,
    },
}

const EMBEDDED: &[(&str, &str)] = &[
    ("anthropic", include_str!("../catalog/anthropic.yaml")),
    ("railway", include_str!("../catalog/railway.yaml")),
];

/// The names of the embedded catalogs.
pub fn known() -> Vec<&'static str> {
    EMBEDDED.iter().map(|(name, _)| *name).collect()
}

impl Catalog {
    /// Loads the embedded catalog of a service.
    pub fn embedded(service: &str) -> Result<Self, Error> {
        let (_, text) = EMBEDDED
            .iter()
            .find(|(name, _)| *name == service)
            .ok_or_else(|| Error::Unknown(service.to_owned()))?;
        Self::parse(service, text)
    }

    /// Parses a catalog from YAML.
    pub fn parse(service: &str, text: &str) -> Result<Self, Error> {
        file::parse(service, text)
    }

    /// Whether a path executes GraphQL documents; a trailing slash makes no difference.
    pub fn is_graphql_path(&self, path: &str) -> bool {
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        self.graphql.as_ref().is_some_and(|graphql| graphql.paths.iter().any(|p| p == path))
    }

    /// The subprotocol of a name, if GraphQL documents are executed in it.
    pub fn dialect(&self, name: &str) -> Option<Dialect> {
        let spoken = self.graphql.as_ref().map_or(&[][..], |graphql| &graphql.websocket);
        spoken.iter().find(|dialect| dialect.as_str() == name).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embedded_catalogs_load() {
        for service in known() {
            let catalog = Catalog::embedded(service).unwrap();
            assert_eq!(&*catalog.service, service);
            assert!(!catalog.hosts.is_empty());
        }
    }

    #[test]
    fn railway_has_every_mutation_of_its_schema() {
        let catalog = Catalog::embedded("railway").unwrap();
        let graphql = catalog.graphql.as_ref().unwrap();
        let count =
            |prefix: &str| graphql.operations.keys().filter(|k| k.starts_with(prefix)).count();
        assert_eq!(count("mutation "), 233);
        assert_eq!(count("query "), 158);
        assert_eq!(count("subscription "), 13);
        let delete = &graphql.operations["mutation volumeDelete"];
        assert_eq!(delete.effect, Effect::Destructive);
        assert_eq!(delete.reversibility, Reversibility::Irreversible);
    }

    #[test]
    fn a_destructive_operation_must_say_whether_it_can_be_undone() {
        let text = "service: x\ntitle: X\nkind: api\nhosts: [x.test]\nslots: []\nkinds: []\nrest:\n  - { operation: 'DELETE /a', effect: destructive }\n";
        let error = Catalog::parse("x", text).unwrap_err().to_string();
        assert!(error.contains("reversibility"), "{error}");
    }
}
