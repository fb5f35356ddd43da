//! The policy file as written: one type a section, nothing resolved yet.
//!
//! Takes the tree of [`super::node`]; returns [`File`]. Refuses unknown keys and wrong forms; what a
//! value means, and whether it fits the rest, is for [`super::compile`].

mod resource;
mod sequence;

use super::form::duration;
pub use super::form::parse_duration;
use super::node::{Node, Problem, Spanned};
pub use resource::{
    Credentials, Leaks, Listed, Port, Resource, Rule, SerializedObjects, UnknownTargets, Word,
};
use schemars::JsonSchema;
pub use sequence::{Quarantine, Sequence, Step, Then};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// Entries in the order written, each with the place of its name.
pub type Named<T> = Vec<(Spanned<String>, T)>;

/// A whole policy file.
#[derive(Debug, Default)]
pub struct File {
    /// Where the proxy listens and whom it may reach.
    pub proxy: Proxy,
    /// Where its certificate authority is.
    pub ca: Ca,
    /// The state folder.
    pub state: Option<Spanned<String>>,
    /// The approvers' side.
    pub approvals: Approvals,
    /// How long holds live.
    pub holds: Holds,
    /// What is kept of the audit log.
    pub audit: Audit,
    /// Bounds on what one client may take.
    pub limits: Limits,
    /// Who may use the proxy.
    pub agents: Named<Agent>,
    /// The credentials that were issued.
    pub credentials: Named<Credential>,
    /// The declared scope.
    pub resources: Named<Resource>,
    /// Catalogs of the policy's own, as paths of files.
    pub catalogs: Vec<Spanned<String>>,
    /// GraphQL documents that a service has registered, as paths of files by service.
    pub documents: BTreeMap<String, Vec<Spanned<String>>>,
    /// By service, the credential with which an unknown id is looked up before a person is asked.
    pub lookups: Named<Lookup>,
    /// Dangerous orders of stages.
    pub sequences: Vec<Sequence>,
    /// What a quarantine refuses.
    pub quarantine: Quarantine,
    /// Cases for `holdgate policy test`.
    pub tests: Vec<Case>,
    /// The names of agents, credentials and resources that are there but could not be read.
    pub unread: Vec<String>,
}

const SECTIONS: &str = "`version`, `proxy`, `ca`, `state`, `approvals`, `holds`, `audit`, `limits`, `agents`, `credentials`, `resources`, `catalogs`, `documents`, `lookups`, `sequences`, `quarantine`, `tests`";

/// `proxy:`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Proxy {
    /// Address and port.
    pub listen: SocketAddr,
    /// Where a name leads when DNS must not say: `host:port` to `address:port`.
    pub resolve: BTreeMap<String, SocketAddr>,
    /// The only servers that names are asked of, as `address:port`; the system's resolver where
    /// there are none.
    pub dns: Vec<Spanned<String>>,
    /// Private networks that may be dialled, as CIDR.
    pub allow_private: Vec<Spanned<String>>,
    /// `system`, `bundled`, or PEM files.
    pub upstream_roots: Vec<Spanned<String>>,
    /// Where agents ask about a tool call before it runs; nowhere if left out.
    pub tool_calls: Option<ToolCalls>,
}

impl Default for Proxy {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 3128)),
            resolve: BTreeMap::new(),
            dns: Vec::new(),
            allow_private: Vec::new(),
            upstream_roots: vec![Spanned { value: "system".to_owned(), place: <_>::default() }],
            tool_calls: None,
        }
    }
}

/// `proxy.tool_calls:`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ToolCalls {
    /// `unix:PATH`, or address and port on loopback; a socket in the state folder if left out.
    pub listen: Option<Spanned<String>>,
    /// How many calls one agent may ask about in a minute.
    pub per_minute: u32,
}

impl Default for ToolCalls {
    fn default() -> Self {
        Self { listen: None, per_minute: 600 }
    }
}

/// `ca:`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Ca {
    /// The folder with `ca.pem` and `ca.key`.
    pub dir: String,
    /// Whether it may sign for the hosts of this policy only.
    pub constrain: bool,
}

impl Default for Ca {
    fn default() -> Self {
        Self { dir: "certs".to_owned(), constrain: false }
    }
}

/// `approvals:`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Approvals {
    /// Address and port of the approvers' listener.
    pub listen: SocketAddr,
    /// Who may answer, by name.
    pub approvers: BTreeMap<String, Approver>,
    /// Told of each hold.
    pub webhook: Option<Webhook>,
}

impl Default for Approvals {
    fn default() -> Self {
        let listen = SocketAddr::from(([127, 0, 0, 1], 3129));
        Self { listen, approvers: BTreeMap::new(), webhook: None }
    }
}

/// One approver.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approver {
    /// `sha256:` and the hex SHA-256 of the token.
    pub token_hash: Spanned<String>,
}

/// `approvals.webhook:`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// An `https://` address, or `http://` on loopback.
    pub url: Spanned<String>,
    /// The key its requests are signed with.
    pub secret: Source,
}

/// Where a secret comes from: exactly one of the three.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Source {
    /// An environment variable.
    pub env: Option<String>,
    /// A file whose content, without the final newline, is the secret.
    pub file: Option<String>,
    /// What `holdgate credential fingerprint` printed.
    pub fingerprint: Option<String>,
}

/// `holds:`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Holds {
    /// How long a client is kept waiting.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub wait: Duration,
    /// Then nobody can approve it any more.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub expire: Duration,
    /// How long a grant waits for its retry.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub redeem: Duration,
    /// How many different approvers must agree.
    pub approvals: u8,
    /// Stricter for what cannot be undone.
    pub irreversible: Irreversible,
    /// How many calls of one agent may wait at a time.
    pub most_waiting: u32,
}

impl Default for Holds {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(45),
            expire: Duration::from_mins(15),
            redeem: Duration::from_mins(10),
            approvals: 1,
            irreversible: Irreversible { approvals: 1 },
            most_waiting: 32,
        }
    }
}

/// `holds.irreversible:`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Irreversible {
    /// How many different approvers must agree.
    pub approvals: u8,
}

/// `audit:`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Audit {
    /// A new file begins after this many mebibytes.
    pub rotate_mib: u32,
    /// How many files are kept.
    pub keep_files: u32,
}

impl Default for Audit {
    fn default() -> Self {
        Self { rotate_mib: 64, keep_files: 30 }
    }
}

/// `limits:`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// The largest body that is read for inspection, in KiB; a larger one is `unreadable`.
    pub inspect_kib: u32,
    /// Connections from clients at a time.
    pub connections: u32,
    /// Connections from clients of one agent at a time.
    pub agent_connections: u32,
    /// How long a client may take for the head of a request; in HTTP/1.1 the idle time before it
    /// counts.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub head: Duration,
    /// How long an HTTP/2 connection may have no request.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub idle: Duration,
    /// How long a body that is inspected may take to arrive.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub body: Duration,
    /// How long a client may take or send nothing in the middle of an answer or a body.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub stall: Duration,
    /// How long connecting to an upstream may take, TLS included.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub connect: Duration,
    /// How long an upstream may take to begin its answer.
    #[serde(deserialize_with = "duration")]
    #[schemars(with = "String")]
    pub answer: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            inspect_kib: 1024,
            connections: 10_000,
            agent_connections: 2_000,
            head: Duration::from_mins(1),
            idle: Duration::from_mins(10),
            body: Duration::from_secs(30),
            stall: Duration::from_mins(10),
            connect: Duration::from_secs(10),
            answer: Duration::from_mins(10),
        }
    }
}

/// One of `agents:`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Agent {
    /// What it proves itself with; may be left out by the only agent of a loopback listener.
    pub token: Option<Source>,
    /// What kind of work it does: the profile that `holdgate baseline learn` makes.
    pub profile: Option<Spanned<String>>,
    /// A request that is at least so surprising to the profile, in bits, waits for a person.
    pub raise_at: Option<Spanned<Bits>>,
    /// The resources it may use.
    pub resources: Vec<Spanned<String>>,
    /// The credentials issued to it.
    #[serde(default)]
    pub credentials: Vec<Spanned<String>>,
}

/// A number of bits, kept in thousandths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, JsonSchema)]
#[schemars(with = "f64", extend("minimum" = 1, "maximum" = 64))]
pub struct Bits(pub u32);

/// One of `credentials:`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// The service that issued it.
    pub service: Option<Spanned<String>>,
    /// Where its value comes from.
    pub value: Spanned<Source>,
    /// The only resources it may be used on.
    pub resources: Vec<Spanned<String>>,
    /// Whether the agent holds a placeholder and the proxy puts the value in.
    #[serde(default)]
    pub inject: bool,
    /// Whether what its token endpoint hands out in exchange is issued too.
    #[serde(default)]
    pub derives: bool,
}

/// One of `lookups:`
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Lookup {
    /// The credential that the proxy itself uses. It is as powerful as any.
    pub credential: Spanned<String>,
    /// How many questions the calls of one agent may lead to in an hour.
    #[serde(default = "per_hour")]
    pub per_hour: u32,
}

const fn per_hour() -> u32 {
    60
}

/// One of `tests:`
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What it shows.
    pub name: String,
    /// Who sends it.
    pub agent: Spanned<String>,
    /// Request line, header lines, an empty line, the body.
    pub request: Spanned<String>,
    /// The verdict.
    pub expect: Word,
    /// The reason, where it is not allowed.
    pub reason: Option<String>,
}

impl File {
    /// Reads the sections of a document, noting every problem.
    pub fn read(root: &Node, problems: &mut Vec<Problem>) -> Self {
        let mut file = Self::default();
        let entries = match root.entries("a policy") {
            Ok(entries) => entries,
            Err(problem) => {
                problems.push(problem);
                return file;
            }
        };
        let mut version = false;
        let unread = &mut file.unread;
        for (key, node) in entries {
            match key.value.as_str() {
                "version" => {
                    version = true;
                    if node.read::<u8>(problems).is_some_and(|number| number != 1) {
                        problems
                            .push(Problem::new(node.place(), "this Holdgate reads `version: 1`"));
                    }
                }
                "proxy" => section(node, &mut file.proxy, problems),
                "ca" => section(node, &mut file.ca, problems),
                "state" => file.state = state(node, problems),
                "approvals" => section(node, &mut file.approvals, problems),
                "holds" => section(node, &mut file.holds, problems),
                "audit" => section(node, &mut file.audit, problems),
                "limits" => section(node, &mut file.limits, problems),
                "agents" => file.agents = named(node, "`agents`", unread, problems),
                "credentials" => file.credentials = named(node, "`credentials`", unread, problems),
                "resources" => file.resources = named(node, "`resources`", unread, problems),
                "catalogs" => file.catalogs = listed(node, "`catalogs`", problems),
                "documents" => section(node, &mut file.documents, problems),
                "lookups" => file.lookups = named(node, "`lookups`", unread, problems),
                "sequences" => file.sequences = listed(node, "`sequences`", problems),
                "quarantine" => section(node, &mut file.quarantine, problems),
                "tests" => file.tests = listed(node, "`tests`", problems),
                other => {
                    let message = format!("unknown section `{other}`, expected one of {SECTIONS}");
                    problems.push(Problem::new(key.place, message));
                }
            }
        }
        if !version {
            problems.push(Problem::new(root.place(), "a policy begins with `version: 1`"));
        }
        file
    }
}

fn section<T: serde::de::DeserializeOwned>(node: &Node, into: &mut T, problems: &mut Vec<Problem>) {
    if let Some(value) = node.read(problems) {
        *into = value;
    }
}

fn state(node: &Node, problems: &mut Vec<Problem>) -> Option<Spanned<String>> {
    if node.entries("").is_ok() {
        let message = "only a folder (SQLite) is supported here; write its path";
        problems.push(Problem::new(node.place(), message));
        return None;
    }
    node.read(problems)
}

fn named<T: serde::de::DeserializeOwned>(
    node: &Node,
    what: &str,
    unread: &mut Vec<String>,
    problems: &mut Vec<Problem>,
) -> Named<T> {
    match node.entries(what) {
        Ok(entries) => {
            let mut read = Vec::with_capacity(entries.len());
            for (name, node) in entries {
                match node.read(problems) {
                    Some(value) => read.push((name.clone(), value)),
                    None => unread.push(name.value.clone()),
                }
            }
            read
        }
        Err(problem) => {
            problems.push(problem);
            Vec::new()
        }
    }
}

fn listed<T: serde::de::DeserializeOwned>(
    node: &Node,
    what: &str,
    problems: &mut Vec<Problem>,
) -> Vec<T> {
    match node.members(what) {
        Ok(members) => members.iter().filter_map(|node| node.read(problems)).collect(),
        Err(problem) => {
            problems.push(problem);
            Vec::new()
        }
    }
}
