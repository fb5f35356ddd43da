//! Services as data: what an API's hosts, operations, effects and ids are.
//!
//! Takes the YAML files under `catalog/` (embedded in the binary) and those of a policy; returns
//! [`Catalog`] values with their operations indexed by name and by path. Refuses unknown keys,
//! unknown effects and destructive operations that do not say whether they can be undone.

mod arguments;
pub mod condition;
pub mod coverage;
mod example;
mod file;
mod fold;
mod hosts;
mod learns;
pub mod lint;
pub mod lookup;
mod marks;
mod operation;
pub mod schema;
mod tokens;

pub use arguments::{Arguments, At, Found};
pub use example::Example;
pub use fold::{Fold, folded};
pub use hosts::HostPattern;
pub use learns::{Learns, Named, Teaching};
pub use marks::Mark;
pub use operation::{Clause, Effect, Identifier, OperationSpec, Reveal, Reversibility};
pub use tokens::TokenEndpoint;

use crate::policy::path::Index;
use condition::Pattern;
use lookup::Lookup;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// What kind of traffic a service's hosts carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An API whose calls act on resources.
    Api,
    /// A model provider: the conversation of an agent with its model.
    Conversation,
    /// A server of tools, whose names only it knows.
    Mcp,
}

/// A form in which calls are carried, besides GraphQL documents and plain paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Envelope {
    /// The protocols of AWS.
    Aws,
    /// Git's smart HTTP.
    Git,
    /// The API of Kubernetes.
    Kubernetes,
    /// JSON-RPC, as the Model Context Protocol has it.
    Mcp,
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
    /// The hosts of the service; none where each policy declares its own.
    pub hosts: Vec<HostPattern>,
    /// The header names in which the service takes a credential, lower case.
    pub slots: Vec<String>,
    /// The kinds of ids that operations act on, and that a policy may declare.
    pub kinds: BTreeSet<String>,
    /// Those of which each thing is in one environment.
    pub confined: BTreeSet<String>,
    /// What makes no difference between two ids, by kind.
    pub folds: BTreeMap<String, Vec<Fold>>,
    /// The kinds whose ids may stand for a thing of any other kind.
    pub of_any_kind: BTreeSet<String>,
    /// By kind, the kind of the thing that an id of several parts lies in: what stands before its
    /// first slash.
    pub within: BTreeMap<String, String>,
    /// Its GraphQL API, if it has one.
    pub graphql: Option<Graphql>,
    /// Its plain HTTP operations by path template.
    pub rest: Index<RestEntry>,
    /// The forms in which other calls are carried.
    pub envelopes: Vec<Envelope>,
    /// The paths that take JSON-RPC; none: those that are known by their names.
    pub endpoints: Index<()>,
    /// The only hosts that speak Git's smart HTTP, if not all: elsewhere a path that looks like it is
    /// another thing.
    pub git_hosts: Vec<HostPattern>,
    /// Operations of those by name, as in `ec2:TerminateInstances`.
    pub operations: HashMap<String, Arc<OperationSpec>>,
    /// What is said of names that stand in no entry; the first that fits.
    pub rules: Vec<Rule>,
    /// What depends on arguments, for every operation whose name fits.
    pub when: Vec<NamedClause>,
    /// Where a credential is exchanged for a token.
    pub tokens: Vec<Arc<TokenEndpoint>>,
    /// What a success of operations shows.
    marks: marks::Marks,
    /// Requests with what they are; they are tests of the catalog.
    pub examples: Vec<Example>,
}

/// A plain HTTP operation.
#[derive(Debug)]
pub struct RestEntry {
    /// Its method, or any.
    pub method: Option<http::Method>,
    /// The only hosts where it stands, if not all.
    pub host: Option<HostPattern>,
    /// Query keys that have to stand there, each with its value or any.
    pub query: Vec<(String, Option<String>)>,
    /// Whether something in the body bears on it.
    pub reads_body: bool,
    /// The headers that bear on it, lower case.
    pub headers: Vec<Box<str>>,
    /// What it does.
    pub spec: Arc<OperationSpec>,
    /// Whether it is the entry before it, for more segments of a path.
    pub again: bool,
}

/// What is said of operations by their names.
#[derive(Debug)]
pub struct Rule {
    /// The names it is about.
    pub names: Vec<Pattern>,
    /// What they do.
    pub spec: Arc<OperationSpec>,
}

/// What depends on arguments, for operations by their names.
#[derive(Debug)]
pub struct NamedClause {
    /// The names it is about.
    pub names: Vec<Pattern>,
    /// The condition, and what then changes.
    pub clause: Clause,
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
    /// How things of a kind are looked up before a person is asked.
    pub lookups: HashMap<String, Lookup>,
    /// Documents that the policy says are registered with the service, by the SHA-256 of their text.
    pub documents: HashMap<String, String>,
    /// What its answers teach of what belongs to what.
    pub learns: Option<Arc<Learns>>,
    /// Arguments that carry values, and that would else be taken for credentials by their names.
    pub data: Vec<String>,
}

/// Why a catalog did not load; the fault is the catalog author's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No embedded catalog has that name.
    #[error("no catalog for service `{0}`; known are: {known}", known = known().join(", "))]
    Unknown(String),
    /// The file is not YAML of the catalog's form.
    #[error("the catalog does not load: {message}")]
    Form {
        /// What the reader found, with its place.
        message: String,
    },
    /// What its answers should teach cannot be learned from them.
    #[error("catalog `{service}`, `learns:` of `{name}`: {message}")]
    Learns {
        /// The catalog's name.
        service: String,
        /// The type or field.
        name: String,
        /// What is wrong.
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
    ("aws", include_str!("../catalog/aws.yaml")),
    ("bedrock", include_str!("../catalog/bedrock.yaml")),
    ("cloudflare", include_str!("../catalog/cloudflare.yaml")),
    ("crates-io", include_str!("../catalog/crates-io.yaml")),
    ("docker-hub", include_str!("../catalog/docker-hub.yaml")),
    ("fly", include_str!("../catalog/fly.yaml")),
    ("github", include_str!("../catalog/github.yaml")),
    ("google", include_str!("../catalog/google.yaml")),
    ("heroku", include_str!("../catalog/heroku.yaml")),
    ("kubernetes", include_str!("../catalog/kubernetes.yaml")),
    ("mcp", include_str!("../catalog/mcp.yaml")),
    ("npm", include_str!("../catalog/npm.yaml")),
    ("oci", include_str!("../catalog/oci.yaml")),
    ("openai", include_str!("../catalog/openai.yaml")),
    ("openrouter", include_str!("../catalog/openrouter.yaml")),
    ("pypi", include_str!("../catalog/pypi.yaml")),
    ("railway", include_str!("../catalog/railway.yaml")),
    ("rubygems", include_str!("../catalog/rubygems.yaml")),
    ("vercel", include_str!("../catalog/vercel.yaml")),
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
        Self::parse(text)
    }

    /// Parses a catalog from YAML.
    pub fn parse(text: &str) -> Result<Self, Error> {
        file::parse(text)
    }

    /// Whether a path executes GraphQL documents; a trailing slash makes no difference.
    pub fn is_graphql_path(&self, path: &str) -> bool {
        let path = if path.len() > 1 { path.trim_end_matches('/') } else { path };
        self.graphql.as_ref().is_some_and(|graphql| graphql.paths.iter().any(|p| p == path))
    }

    /// What the catalog says of an operation by its name: an entry, or else the first rule that fits.
    pub fn operation(&self, name: &str) -> Option<&Arc<OperationSpec>> {
        let graphql = self.graphql.as_ref().and_then(|graphql| graphql.operations.get(name));
        graphql.or_else(|| self.operations.get(name)).or_else(|| {
            let fits = |rule: &&Rule| rule.names.iter().any(|pattern| pattern.fits(name));
            self.rules.iter().find(fits).map(|rule| &rule.spec)
        })
    }

    /// Whether an operation has a mark.
    pub fn is_marked(&self, mark: Mark, name: &str) -> bool {
        self.marks.has(mark, name)
    }

    /// Whether it says which operations have a mark.
    pub fn says(&self, mark: Mark) -> bool {
        self.marks.says(mark)
    }

    /// Whether a policy may name an operation: one that the catalog has, by whatever name, or a tool
    /// whose name only its server knows.
    pub fn may_be_named(&self, name: &str) -> bool {
        self.operation(name).is_some()
            || self.rest.iter().any(|(_, entry)| *entry.spec.name == *name)
            || (self.kind == Kind::Mcp && name.starts_with("tools/call "))
    }

    /// Every operation that stands in an entry of its own.
    pub fn entries(&self) -> impl Iterator<Item = &Arc<OperationSpec>> {
        let graphql = self.graphql.iter().flat_map(|graphql| graphql.operations.values());
        let rest = self.rest.iter().filter(|(_, entry)| !entry.again);
        let rest = rest.map(|(_, entry)| &entry.spec);
        graphql.chain(self.operations.values()).chain(rest)
    }

    /// Has a document read where its hash stands in its place; says whether the service has GraphQL.
    pub fn register(&mut self, document: String) -> bool {
        let Some(graphql) = &mut self.graphql else { return false };
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, document.as_bytes());
        graphql.documents.insert(crate::fingerprint::hex(digest.as_ref()), document);
        true
    }

    /// What an operation on a host hands out, where it exchanges a credential for a token.
    pub fn token_endpoint(&self, operation: &str, host: &str) -> Option<&Arc<TokenEndpoint>> {
        self.tokens.iter().find(|endpoint| endpoint.is(operation, host))
    }

    /// Whether the policy says the hosts, because each has its own.
    pub fn has_declared_hosts(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Whether requests may be in an envelope.
    pub fn has(&self, envelope: Envelope) -> bool {
        self.envelopes.contains(&envelope)
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
            assert!(!catalog.title.is_empty());
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
        let error = Catalog::parse(text).unwrap_err().to_string();
        assert!(error.contains("reversibility"), "{error}");
    }

    #[test]
    fn what_is_said_of_a_kind_is_said_of_one_that_there_is() {
        let head = "service: x\ntitle: X\nkind: api\nhosts: [x.test]\nslots: []\nkinds: [a]\n";
        for (key, wrong) in [
            ("folds: { a: [case] }", "folds: { b: [case] }"),
            ("folds: { a: [case] }", "folds: { a: [letters] }"),
            ("of_any_kind: [a]", "of_any_kind: [b]"),
            ("within: { a: a }", "within: { a: b }"),
            ("within: { a: a }", "within: { b: a }"),
            ("confined: [a]", "confined: [b]"),
        ] {
            Catalog::parse(&format!("{head}{key}\n")).unwrap();
            Catalog::parse(&format!("{head}{wrong}\n")).unwrap_err();
        }
    }

    #[test]
    fn a_name_of_several_segments_is_one_entry_and_one_id() {
        let text = "service: x\ntitle: X\nkind: api\nhosts: [x.test]\nslots: []\nkinds: [a]\nrest:\n  - { operation: 'GET /v2/{name**}/tags', effect: read, decides: { name: a } }\n";
        let catalog = Catalog::parse(text).unwrap();
        let names: Vec<&str> = catalog.entries().map(|spec| &*spec.name).collect();
        assert_eq!(names, ["GET /v2/{name**}/tags"]);
        assert!(catalog.may_be_named("GET /v2/{name**}/tags"));
        for (parts, known) in [(1, true), (16, true), (17, false)] {
            let path: Vec<&str> =
                ["v2"].into_iter().chain(vec!["p"; parts]).chain(["tags"]).collect();
            assert_eq!(catalog.rest.matches(&path).len(), usize::from(known), "{parts}");
        }
    }
}
