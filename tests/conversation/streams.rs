//! Conversations pass as they are: not a byte is changed or waits for its reader, whose memory does not
//! grow with them. What is said in them is noted, and what cannot be read is counted and told.

mod answers;
mod bounds;
mod odd;
mod requests;
mod wires;

use crate::support::Gate;
use crate::support::mock::Options;
use crate::support::origin::{Body, Identity, Origin};
use crate::support::policy::Edit;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::Value;

pub(super) const ANTHROPIC: &str = "api.anthropic.com";
const OPENAI: &str = "api.openai.com";
const GOOGLE: &str = "generativelanguage.googleapis.com";
const BEDROCK: &str = "bedrock-runtime.us-east-1.amazonaws.com";
const TOOLS: &str = "mcp.example";
/// A host of which nothing is a conversation.
const PLAIN: &str = "plain.example";
const HOSTS: &[&str] = &[ANTHROPIC, OPENAI, GOOGLE, BEDROCK, TOOLS, PLAIN];

/// Models and servers of tools in one, and the gate before them.
pub(super) struct Scene {
    pub(super) gate: Gate,
    _origin: Origin,
}

impl Scene {
    pub(super) async fn new<F, A>(change: impl FnOnce(Edit) -> Edit, answer: F) -> Self
    where
        F: Fn(Request<Incoming>) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Response<Body>> + Send + 'static,
    {
        Self::before(Origin::http(Identity::named(HOSTS), answer).await, change).await
    }

    async fn before(origin: Origin, change: impl FnOnce(Edit) -> Edit) -> Self {
        let gate = Gate::with(Options::default(), |policy| {
            let of_mock = format!("    \"{ANTHROPIC}:443\"");
            let lines = policy.lines().filter(|line| !line.starts_with(&of_mock));
            let policy = lines.flat_map(|line| [line, "\n"]).collect();
            let edit = Edit(policy)
                .root(&origin.roots())
                .resource("openai", "service: openai\nallow: [read, write]")
                .resource("google", "service: google\nallow: [read, write]")
                .resource("bedrock", "service: bedrock\nallow: [read, write]")
                .resource("plain", &format!("hosts: [{PLAIN}]\nrules:\n  - allow: POST /**"))
                .resource(
                    "tools",
                    &format!(
                        "service: mcp\nhosts: [{TOOLS}]\nenvironment: staging\n\
                         allow: [read, tools/call read_file]"
                    ),
                );
            let resolved = HOSTS
                .iter()
                .fold(edit, |edit, host| edit.resolve(&format!("{host}:443"), origin.address));
            change(resolved).0
        })
        .await;
        Self { gate, _origin: origin }
    }

    /// What people are told of the agent.
    pub(super) fn told(&self) -> Told {
        let output = self.gate.holdgate(&["sessions", "show", "staging-fixer", "--json"]);
        Told(serde_json::from_slice(&output.stdout).unwrap())
    }

    /// The same as text.
    fn shown(&self) -> String {
        let output = self.gate.holdgate(&["sessions", "show", "staging-fixer"]);
        String::from_utf8(output.stdout).unwrap()
    }
}

/// What is told of the agent.
#[derive(Debug)]
pub(super) struct Told(pub(super) Value);

impl Told {
    /// Whether a stage was noted for something in which these words stand.
    fn has(&self, stage: &str, words: &str) -> bool {
        self.0["stages"]
            .as_array()
            .unwrap()
            .iter()
            .any(|noted| noted["stage"] == stage && noted["what"].as_str().unwrap().contains(words))
    }

    /// How often something was not read.
    fn unread(&self) -> u64 {
        let all = self.0["unread"].as_array().unwrap();
        all.iter().map(|part| part["times"].as_u64().unwrap()).sum()
    }

    /// How often something was not read for this reason.
    pub(super) fn unread_for(&self, why: &str) -> u64 {
        let all = self.0["unread"].as_array().unwrap();
        let of_it = all.iter().find(|part| part["why"].as_str().unwrap().contains(why));
        of_it.map_or(0, |part| part["times"].as_u64().unwrap())
    }
}
