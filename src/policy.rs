//! The operator's law: read once, compiled once, then immutable.
//!
//! Takes the text of `policy.yaml`; returns a [`Policy`] whose look-ups do not grow with the number
//! of rules, or every problem of the file with its place. A request pins one policy for its life.

mod baseline;
mod compile;
mod credential;
pub mod file;
mod form;
mod lint;
mod lookups;
mod node;
pub mod path;
mod report;
mod resource;
mod schema;
mod sequence;
mod tool_calls;
mod when;

pub use compile::{Secrets, compile, state_folder};
pub use file::{
    Case, Holds, Limits, Port, Quarantine, SerializedObjects, Source, Then, UnknownTargets, Word,
};
pub use node::{Place, Problem};
pub use report::Report;
pub use schema::schema;
pub use sequence::{Requirement, Sequence, Sequences, Sign, told};
pub use tool_calls::{Listen, ToolCalls};
pub use when::{Call, Environments, When};

use crate::baseline::Baseline;
use crate::catalog::condition::Pattern;
use crate::catalog::{Catalog, Effect, HostPattern, Reversibility};
use crate::fingerprint::{Fingerprint, FingerprintKey};
use crate::inject::Injected;
use crate::inspect::secret::{Known, Owner, Scanner};
use crate::message::{Host, Target};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

/// The index of a resource, credential or agent within one policy.
pub type Ix = usize;

/// A compiled policy.
#[derive(Debug)]
pub struct Policy {
    /// The name shown in rules, as in `policy.yaml:61`.
    pub file_name: Arc<str>,
    /// SHA-256 of the text, in hexadecimal digits.
    pub digest: Arc<str>,
    /// Where the proxy listens and whom it may reach.
    pub network: Network,
    /// The folder of the certificate authority.
    pub ca_dir: PathBuf,
    /// The hosts that the authority is constrained to, a wildcard's parent among them; any host
    /// where it is not constrained.
    pub ca_hosts: Option<Vec<String>>,
    /// The state folder.
    pub state: PathBuf,
    /// The approvers' side.
    pub approvals: Approvals,
    /// How long holds live.
    pub holds: Holds,
    /// What is kept of the audit log.
    pub audit: file::Audit,
    /// Bounds on what one client may take.
    pub limits: Limits,
    /// Who may use the proxy.
    pub agents: Vec<Agent>,
    /// The credentials that were issued.
    pub credentials: Vec<Credential>,
    /// The declared scope.
    pub resources: Vec<Resource>,
    /// Dangerous orders of stages, and what is required before what.
    pub sequences: Sequences,
    /// What a quarantine refuses.
    pub quarantine: Quarantine,
    /// Cases for `holdgate policy test`.
    pub tests: Vec<Case>,
    /// By service, how the proxy itself may look things up.
    pub lookups: HashMap<String, Lookups>,
    /// What is allowed but unwise.
    pub lints: Vec<Problem>,
    /// The key of fingerprints.
    pub fingerprints: Arc<FingerprintKey>,
    /// What looks for secrets, the issued ones among them.
    pub scanner: Scanner,
    issued: HashMap<Fingerprint, Ix>,
    owners: resource::Owners,
    /// Declared ids as they are written, by service and kind.
    declared: HashMap<(Arc<str>, String), BTreeSet<Arc<str>>>,
    /// The headers that its conditions ask for, lower case; what they say belongs to what is approved.
    pub heeded: Arc<[Box<str>]>,
    variables: Vec<(String, Option<Ix>)>,
}

/// Where the proxy listens and whom it may reach.
#[derive(Debug)]
pub struct Network {
    /// The proxy's own listener.
    pub listen: SocketAddr,
    /// Where a name leads when DNS must not say.
    pub resolve: HashMap<(Host, u16), SocketAddr>,
    /// The servers that names are asked of; the system's resolver where there are none.
    pub dns: Vec<SocketAddr>,
    /// Private networks that may be dialled.
    pub allow_private: Vec<ipnet::IpNet>,
    /// What upstream certificates are verified against.
    pub roots: Vec<Root>,
    /// Where agents ask about a tool call before it runs.
    pub tool_calls: Option<ToolCalls>,
}

/// A source of trust anchors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    /// The system's.
    System,
    /// Those compiled in.
    Bundled,
    /// A PEM file.
    File(PathBuf),
}

/// How the proxy itself may ask a service what an id is.
#[derive(Debug)]
pub struct Lookups {
    /// The value of its credential.
    pub credential: zeroize::Zeroizing<Vec<u8>>,
    /// How many questions the calls of one agent may lead to in an hour.
    pub per_hour: u32,
}

/// The agent that looks things up: the proxy itself. Nobody can be it from outside.
pub const BUILT_IN: &str = "holdgate";

/// The approvers' side.
#[derive(Debug)]
pub struct Approvals {
    /// The approvers' listener.
    pub listen: SocketAddr,
    /// Token hashes by name.
    pub approvers: BTreeMap<String, [u8; 32]>,
    /// Told of each hold.
    pub webhook: Option<Webhook>,
}

/// Where holds are announced.
pub struct Webhook {
    /// An absolute address.
    pub url: http::Uri,
    /// The key its requests are signed with; nothing is sent while it is not set.
    pub secret: Option<zeroize::Zeroizing<Vec<u8>>>,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Webhook").field("url", &self.url).finish_non_exhaustive()
    }
}

/// How an agent proves itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// It is the only agent of a loopback listener.
    OnlyAgent,
    /// The SHA-256 of its token.
    Token([u8; 32]),
    /// Its token is not set; nobody can be this agent.
    Unset,
}

/// One agent.
#[derive(Debug)]
pub struct Agent {
    /// Its name.
    pub name: Arc<str>,
    /// How it proves itself.
    pub proof: Proof,
    /// The credentials issued to it.
    pub credentials: Vec<Ix>,
    /// What its sessions are compared with, once that was learned.
    pub baseline: Option<Baseline>,
    exact: HashMap<String, Vec<Ix>>,
    wildcard: HashMap<String, Vec<Ix>>,
    below: HashMap<String, Vec<Ix>>,
}

/// One issued credential.
#[derive(Debug)]
pub struct Credential {
    /// Its name.
    pub name: Arc<str>,
    /// The only resources it may be used on.
    pub resources: Vec<Ix>,
    /// Its value, where the agent holds a placeholder and the proxy puts it in.
    pub injected: Option<Arc<Injected>>,
    /// Whether tokens that are handed out in exchange for it count as it.
    pub derives: bool,
    /// Where it stands in the policy.
    pub place: Place,
}

/// One resource.
#[derive(Debug)]
pub struct Resource {
    /// Its name.
    pub name: Arc<str>,
    /// The environment people know it as.
    pub environment: Option<Arc<str>>,
    /// Where it stands in the policy.
    pub place: Place,
    /// The hosts it covers.
    pub hosts: Vec<HostPattern>,
    /// The ports it covers.
    pub ports: Vec<Port>,
    /// How it judges.
    pub judge: Judge,
    /// What happens to ids that nobody declared.
    pub unknown_targets: UnknownTargets,
    /// Which credentials it takes.
    pub credentials: file::Credentials,
    /// The issued credentials that cover it.
    pub covered_by: Vec<Ix>,
    /// Whether issued credentials may go over plain HTTP.
    pub cleartext: bool,
    /// Whether `%2F` may stand in a path segment.
    pub encoded_slash: bool,
    /// What happens to serialised objects in its answers.
    pub serialized_objects: SerializedObjects,
    /// Whether a condition asks for something in a body.
    pub reads_body: bool,
    /// What is done about secrets that do not belong to it.
    pub leaks: file::Leaks,
    /// Whether it is documentation, which a quarantine may let through.
    pub docs: bool,
}

/// How a resource judges.
#[derive(Debug)]
pub enum Judge {
    /// By the operations of a catalog.
    Catalog(Arc<Catalog>, Box<Lists>),
    /// By method and path.
    Plain(Rules),
}

/// The `allow`, `hold` and `deny` lists of a catalogued resource.
#[derive(Debug, Default)]
pub struct Lists {
    /// What passes.
    pub allow: Names,
    /// What waits.
    pub hold: Names,
    /// What is refused.
    pub deny: Names,
}

/// Effects and operations of one list.
#[derive(Debug, Default)]
pub struct Names {
    /// By effect.
    pub effects: HashMap<Effect, Vec<Entry>>,
    /// By operation.
    pub operations: HashMap<String, Vec<Entry>>,
    /// By a pattern of operations.
    pub patterns: Vec<(Pattern, Entry)>,
}

/// One entry of a list.
#[derive(Debug)]
pub struct Entry {
    /// Where it stands.
    pub place: Place,
    /// All that has to be so for it to speak.
    pub when: When,
}

impl Names {
    /// The entries that name an operation outright.
    pub fn outright(&self, operation: &str) -> impl Iterator<Item = &Entry> {
        self.operations.get(operation).into_iter().flatten()
    }

    /// The entries whose pattern an operation fits.
    pub fn fitting<'a>(&'a self, operation: &'a str) -> impl Iterator<Item = &'a Entry> {
        self.patterns.iter().filter(|(p, _)| p.fits(operation)).map(|(_, entry)| entry)
    }

    /// The entries of an effect.
    pub fn with(&self, effect: Effect) -> impl Iterator<Item = &Entry> {
        self.effects.get(&effect).into_iter().flatten()
    }

    /// Every entry.
    pub fn all(&self) -> impl Iterator<Item = &Entry> {
        let effects = self.effects.values().flatten();
        let patterns = self.patterns.iter().map(|(_, entry)| entry);
        effects.chain(self.operations.values().flatten()).chain(patterns)
    }
}

/// The rules of a plain resource. Those that restrict are matched without case and without a
/// trailing slash, so that another spelling is no way around them; those that allow exactly.
#[derive(Debug)]
pub struct Rules {
    /// `hold` and `deny` rules.
    pub restricting: path::Index<Rule>,
    /// `allow` rules.
    pub allowing: path::Index<Rule>,
}

/// One rule of a plain resource.
#[derive(Debug)]
pub struct Rule {
    /// What it says.
    pub word: Word,
    /// The method, or any.
    pub method: Option<http::Method>,
    /// Shown to the approver and in the denial.
    pub reason: Option<String>,
    /// What the operator says it does.
    pub effect: Option<Effect>,
    /// Whether the operator says it can be undone.
    pub reversibility: Option<Reversibility>,
    /// Whether a WebSocket upgrade may follow.
    pub websocket: bool,
    /// All that has to be so for it to speak.
    pub when: When,
    /// Where it stands.
    pub place: Place,
}

impl Policy {
    /// The agent of a name.
    pub fn agent(&self, name: &str) -> Option<(Ix, &Agent)> {
        self.agents.iter().enumerate().find(|(_, agent)| *agent.name == *name)
    }

    /// The agents that the policy names.
    pub fn named_agents(&self) -> impl Iterator<Item = &Agent> {
        self.agents.iter().filter(|agent| &*agent.name != BUILT_IN)
    }

    /// The one agent that needs no token, if there is one.
    pub fn only_agent(&self) -> Option<&Agent> {
        self.agents.iter().find(|agent| matches!(agent.proof, Proof::OnlyAgent))
    }

    /// The agent's resources that cover a target. Where catalogs meet, the one that says the host most
    /// exactly describes it, and only its resources judge.
    pub fn candidates(&self, agent: &Agent, target: &Target) -> Vec<(Ix, &Resource)> {
        let wanted = Port { number: target.port(), cleartext: target.is_cleartext() };
        let mut candidates: Vec<_> = agent
            .covering(target.host())
            .filter_map(|ix| Some((ix, self.resources.get(ix)?)))
            .filter(|(_, resource)| resource.ports.contains(&wanted))
            .collect();
        let service = |resource: &Resource| resource.catalog().map(|c| c.service.clone());
        if let Some(first) = candidates.first().map(|(_, resource)| service(resource))
            && candidates.len() > 1
        {
            candidates.retain(|(_, resource)| service(resource) == first);
        }
        candidates
    }

    /// Whether the agent has any resource on a host, whatever the port.
    pub fn declares(&self, agent: &Agent, host: &Host) -> bool {
        agent.covering(host).next().is_some()
    }

    /// The issued credential of a fingerprint.
    pub fn issued(&self, fingerprint: &Fingerprint) -> Option<(Ix, &Credential)> {
        let ix = *self.issued.get(fingerprint)?;
        Some((ix, self.credentials.get(ix)?))
    }

    /// Whether a fingerprint is that of a credential that was issued to an agent.
    pub fn is_issued_to(&self, agent: &Agent, print: &Fingerprint) -> bool {
        self.issued(print).is_some_and(|(ix, _)| agent.credentials.contains(&ix))
    }

    /// The credentials whose values the proxy puts in for an agent on some of these resources; no answer
    /// of theirs says one.
    pub fn injected<'p>(
        &'p self,
        agent: &'p Agent,
        resources: &'p [(Ix, &Resource)],
    ) -> impl Iterator<Item = &'p Arc<Injected>> {
        let issued = agent.credentials.iter().filter_map(|ix| self.credentials.get(*ix));
        issued
            .filter(|one| resources.iter().any(|(ix, _)| one.resources.contains(ix)))
            .filter_map(|one| one.injected.as_ref())
    }

    /// The placeholders that an agent holds, by the environment variables whose values they stand for.
    pub fn placeholders<'p>(
        &'p self,
        agent: &'p Agent,
    ) -> impl Iterator<Item = (&'p str, &'p str)> {
        self.variables.iter().filter_map(|(name, credential)| {
            let ix = credential.filter(|ix| agent.credentials.contains(ix))?;
            let injected = self.credentials.get(ix)?.injected.as_ref()?;
            Some((name.as_str(), injected.placeholder()))
        })
    }

    /// Whether what a credential is exchanged for counts as it: it says so, or is one of a resource that
    /// takes what it sees first.
    pub fn derives(&self, credential: Ix) -> bool {
        self.credentials.get(credential).is_some_and(|credential| {
            let mut resources =
                credential.resources.iter().filter_map(|ix| self.resources.get(*ix));
            credential.derives
                || resources.any(|one| one.credentials == file::Credentials::FirstSeen)
        })
    }

    /// The environment variables with secrets that are not an agent's: all that the policy names but
    /// those of its own credentials.
    pub fn not_for(&self, agent: &Agent) -> Vec<&str> {
        let own = |credential: &Option<Ix>| {
            credential.is_some_and(|credential| agent.credentials.contains(&credential))
        };
        let named = |(name, _): &&(String, Option<Ix>)| {
            !self.variables.iter().any(|(other, credential)| other == name && own(credential))
        };
        self.variables.iter().filter(named).map(|(name, _)| name.as_str()).collect()
    }

    /// The resources that declare an id of a kind for a service.
    pub fn owners(&self, service: &Arc<str>, kind: &str, id: &str) -> &[Ix] {
        let of_kind = self.owners.get(service).and_then(|of_service| of_service.get(kind));
        of_kind.map_or(&[], |ids| ids.owners(id))
    }

    /// The ids of a kind that are declared for a service, each once.
    pub fn ids(&self, service: &Arc<str>, kind: &str) -> Vec<&str> {
        let declared = self.declared.get(&(service.clone(), kind.to_owned()));
        declared.into_iter().flatten().map(AsRef::as_ref).collect()
    }

    /// The resources that declare an id of whatever kind for a service.
    pub fn owners_of_any_kind(&self, service: &Arc<str>, id: &str) -> Vec<(&str, &[Ix])> {
        let of_service = self.owners.get(service).into_iter().flatten();
        let owners = of_service.map(|(kind, ids)| (kind.as_str(), ids.owners(id)));
        owners.filter(|(_, owners)| !owners.is_empty()).collect()
    }

    /// Lets a stand-in text pass for each issued credential, for requests that are only explained:
    /// `${credential:NAME}` becomes the stand-in.
    pub fn with_stand_ins(&mut self) {
        for (ix, credential) in self.credentials.iter().enumerate() {
            let stand_in = Self::stand_in(&credential.name);
            self.issued.insert(self.fingerprints.fingerprint(stand_in.as_bytes()), ix);
        }
        let stand_ins = self.credentials.iter().enumerate().filter_map(|(ix, credential)| {
            let trace = self.fingerprints.trace(Self::stand_in(&credential.name).as_bytes())?;
            Some((trace, Owner::Issued(ix)))
        });
        self.scanner = self.scanner.and(Arc::new(Known::new(stand_ins)));
        // Nothing is sent, so no value is put in anywhere.
        self.credentials.iter_mut().for_each(|credential| credential.injected = None);
    }

    /// The text that stands for a credential where its value is not needed.
    pub fn stand_in(name: &str) -> String {
        format!("stand-in-for-{name}")
    }

    /// Gives an agent a token of this run, and the listeners free ports on loopback.
    pub fn for_one_run(&mut self, agent: &str, token_hash: [u8; 32], state: PathBuf) -> bool {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        self.network.listen = any;
        self.approvals.listen = any;
        self.network.tool_calls =
            Some(ToolCalls::for_one_run(&state, self.network.tool_calls.take()));
        self.state = state;
        let mut found = false;
        for entry in &mut self.agents {
            let is = *entry.name == *agent;
            entry.proof = if is { Proof::Token(token_hash) } else { Proof::Unset };
            found |= is;
        }
        found
    }

    /// Whether a person may approve. Who answers on the terminal of `run` or `serve` stands in no policy.
    pub fn may_approve(&self, name: &str) -> bool {
        name == "terminal" || self.approvals.approvers.contains_key(name)
    }

    /// A place as it stands in denials and records.
    pub fn rule_name(&self, place: Place) -> String {
        format!("{}:{}", self.file_name, place.line)
    }
}

impl Agent {
    /// Adds a resource.
    fn cover(&mut self, ix: Ix, resources: &[Resource]) {
        for host in resources.get(ix).into_iter().flat_map(|resource| &resource.hosts) {
            let map = match host {
                HostPattern::Exact(_) => &mut self.exact,
                HostPattern::Label(_) => &mut self.wildcard,
                HostPattern::Below(_) => &mut self.below,
            };
            map.entry(host.host().to_owned()).or_default().push(ix);
        }
    }

    /// Its resources, some of them more than once.
    pub fn resources(&self) -> impl Iterator<Item = Ix> {
        let maps = [&self.exact, &self.wildcard, &self.below];
        maps.into_iter().flat_map(HashMap::values).flatten().copied()
    }

    /// The resources on a host, those first that say it most exactly.
    fn covering<'a>(&'a self, host: &'a Host) -> impl Iterator<Item = Ix> + 'a {
        let exact = self.exact.get(host.as_str());
        let wildcard = host.parent().and_then(|parent| self.wildcard.get(parent));
        let parents = std::iter::successors(host.parent(), |parent| {
            parent.split_once('.').map(|(_, parent)| parent)
        });
        let parents = parents.take_while(|_| !self.below.is_empty());
        let below = parents.filter_map(|parent| self.below.get(parent));
        exact.into_iter().chain(wildcard).chain(below).flatten().copied()
    }
}

impl Resource {
    /// The catalog it is judged by.
    pub const fn catalog(&self) -> Option<&Arc<Catalog>> {
        match &self.judge {
            Judge::Catalog(catalog, _) => Some(catalog),
            Judge::Plain(_) => None,
        }
    }

    /// Whether some host is of both.
    pub fn meets(&self, other: &Self) -> bool {
        self.hosts.iter().any(|host| other.hosts.iter().any(|its| host.meets(its)))
    }
}

/// An id in the one form it is compared in: servers read a UUID in either case, with braces and
/// without dashes (RFC 9562 section 4). What else makes no difference a catalog says by kind.
pub(crate) fn folded(id: &str) -> std::borrow::Cow<'_, str> {
    let bare = id.trim();
    let bare = bare.strip_prefix("urn:uuid:").unwrap_or(bare);
    let bare = bare.trim_start_matches('{').trim_end_matches('}');
    let digits: String = bare.chars().filter(|c| *c != '-').collect();
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return id.into();
    }
    digits.to_ascii_lowercase().into()
}
