//! From the file as written to the policy as used.
//!
//! Takes text, the secrets it names and the fingerprint key; returns a [`Policy`] or a [`Report`]
//! of every problem. Refuses names that lead nowhere, hosts that are both catalogued and plain,
//! empty lists that could be read as "all", and rules that can never match.

use super::file::{self, Credentials, File, Named, Port, Source, Word};
use super::node::{Node, Place, Problem, Spanned};
use super::{
    Agent, Approvals, Credential, Ix, Judge, Lists, Names, Network, Policy, Proof, Report, Resource, Root,
    Rule, Rules, Sequence, Webhook, lint, path,
};
use crate::catalog::{Catalog, Effect};
use crate::fingerprint::{self, Fingerprint, FingerprintKey};
use crate::message::Host;
use crate::trajectory::Stage;
use aws_lc_rs::digest;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Where the values of `env:` and `file:` come from; reading them is not the compiler's business.
pub trait Secrets {
    /// The value of an environment variable, if it is set and not empty.
    fn variable(&self, name: &str) -> Option<Zeroizing<Vec<u8>>>;
    /// The content of a file without its final newline; the error says what to do.
    fn file(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, String>;
}

/// Compiles a policy. Relative paths in it are relative to `base`.
pub fn compile(
    text: &str,
    file_name: &str,
    base: &Path,
    secrets: &dyn Secrets,
    key: &Arc<FingerprintKey>,
) -> Result<Policy, Report> {
    let root = Node::parse(text).map_err(|message| Report::unreadable(file_name, &message))?;
    let mut problems = Vec::new();
    let file = File::read(&root, &mut problems);
    let mut compiler = Compiler { base, secrets, key, problems, lints: Vec::new() };
    let policy = compiler.policy(file, file_name, text);
    if compiler.problems.is_empty() {
        Ok(policy)
    } else {
        Err(Report::new(file_name, text, "error", compiler.problems))
    }
}

/// The state folder that a policy names, as far as its text can be read at all.
pub fn state_folder(text: &str, base: &Path) -> std::path::PathBuf {
    let file = Node::parse(text).map(|root| File::read(&root, &mut Vec::new())).unwrap_or_default();
    base.join(file.state.as_ref().map_or(".holdgate", |state| &state.value))
}

struct Compiler<'a> {
    base: &'a Path,
    secrets: &'a dyn Secrets,
    key: &'a Arc<FingerprintKey>,
    problems: Vec<Problem>,
    lints: Vec<Problem>,
}

impl Compiler<'_> {
    fn policy(&mut self, file: File, file_name: &str, text: &str) -> Policy {
        let resource_names = self.names(&file.resources, "resource");
        let credential_names = self.names(&file.credentials, "credential");
        let (credentials, issued) = self.credentials(&file.credentials, &resource_names);
        let resources = self.resources(&file.resources, &credential_names, &credentials);
        let owners = owners(&file.resources, &resources);
        let agents = self.agents(&file, &resource_names, &credential_names, &resources);
        let digest = digest::digest(&digest::SHA256, text.as_bytes());
        let mut policy = Policy {
            file_name: Arc::from(file_name),
            digest: Arc::from(fingerprint::hex(digest.as_ref())),
            network: self.network(&file.proxy, file.approvals.listen),
            ca_dir: self.base.join(&file.ca.dir),
            state: self.base.join(file.state.as_ref().map_or(".holdgate", |state| &state.value)),
            approvals: self.approvals(&file.approvals),
            holds: file.holds,
            audit: file.audit,
            limits: file.limits,
            agents,
            credentials,
            resources,
            sequences: self.sequences(&file.sequences),
            tests: file.tests,
            lints: Vec::new(),
            fingerprints: self.key.clone(),
            issued,
            owners,
        };
        self.bounds(&policy);
        self.injections(&file.agents, &file.credentials);
        if self.problems.is_empty() {
            policy.lints = lint::all(&policy, &file.agents, std::mem::take(&mut self.lints));
        }
        policy
    }

    fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem::new(place, message));
    }

    fn names<T>(&mut self, entries: &Named<T>, what: &str) -> HashMap<String, Ix> {
        for (name, _) in entries {
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if name.value.is_empty() || name.value.len() > 64 || !name.value.chars().all(good) {
                self.problem(name.place, format!("a {what}'s name has letters, digits, `-`, `_` and `.`"));
            }
        }
        entries.iter().enumerate().map(|(ix, (name, _))| (name.value.clone(), ix)).collect()
    }

    fn lookup(&mut self, names: &HashMap<String, Ix>, wanted: &[Spanned<String>], what: &str) -> Vec<Ix> {
        let mut found = Vec::new();
        for name in wanted {
            match names.get(&name.value) {
                Some(ix) => found.push(*ix),
                None => self.problem(name.place, format!("there is no {what} `{}`", name.value)),
            }
        }
        found
    }

    fn secret(&mut self, source: &Source, place: Place, what: &str) -> Option<Zeroizing<Vec<u8>>> {
        match (&source.env, &source.file, &source.fingerprint) {
            (Some(name), None, None) => {
                let value = self.secrets.variable(name);
                if value.is_none() {
                    let message = format!("{what}: the environment variable `{name}` is not set; it matches nothing");
                    self.lints.push(Problem::new(place, message));
                }
                value
            }
            (None, Some(file), None) => match self.secrets.file(&self.base.join(file)) {
                Ok(value) => Some(value),
                Err(message) => {
                    self.problem(place, format!("{what}: {message}"));
                    None
                }
            },
            _ => {
                self.problem(place, format!("{what}: write one of `env:` and `file:`"));
                None
            }
        }
    }

    fn credentials(
        &mut self,
        entries: &Named<file::Credential>,
        resources: &HashMap<String, Ix>,
    ) -> (Vec<Credential>, HashMap<Fingerprint, Ix>) {
        let mut issued = HashMap::new();
        let mut credentials = Vec::new();
        for (ix, (name, entry)) in entries.iter().enumerate() {
            let found = self.lookup(resources, &entry.resources, "resource");
            if entry.resources.is_empty() {
                self.problem(name.place, format!("`{}` is issued for no resource; name them", name.value));
            }
            let place = entry.value.place;
            let fingerprint = match &entry.value.value {
                Source { fingerprint: Some(text), env: None, file: None } => {
                    let fingerprint = self.key.read(text);
                    if fingerprint.is_none() {
                        self.problem(place, "this is no fingerprint of this installation's key; make one with `holdgate credential fingerprint`");
                    }
                    fingerprint
                }
                source => self
                    .secret(source, place, &format!("credential `{}`", name.value))
                    .map(|value| self.key.fingerprint(&value)),
            };
            if let Some(fingerprint) = fingerprint
                && issued.insert(fingerprint, ix).is_some()
            {
                self.problem(place, "two credentials have the same value; issue it once, for all its resources");
            }
            credentials.push(Credential {
                name: Arc::from(name.value.as_str()),
                resources: found,
                place: name.place,
            });
        }
        (credentials, issued)
    }

    fn resources(
        &mut self,
        entries: &Named<file::Resource>,
        credential_names: &HashMap<String, Ix>,
        credentials: &[Credential],
    ) -> Vec<Resource> {
        let mut catalogs: HashMap<String, Arc<Catalog>> = HashMap::new();
        let mut resources = Vec::new();
        for (ix, (name, entry)) in entries.iter().enumerate() {
            let catalog = entry.service.as_ref().and_then(|service| {
                if let Some(catalog) = catalogs.get(&service.value) {
                    return Some(catalog.clone());
                }
                match Catalog::embedded(&service.value) {
                    Ok(catalog) => {
                        let catalog = Arc::new(catalog);
                        catalogs.insert(service.value.clone(), catalog.clone());
                        Some(catalog)
                    }
                    Err(error) => {
                        self.problem(service.place, error.to_string());
                        None
                    }
                }
            });
            if entry.service.is_some() && catalog.is_none() {
                continue;
            }
            let judge = self.judge(name, entry, catalog);
            if let Some(unknown) = entry.unknown_targets.filter(|unknown| unknown.other == Word::Allow) {
                self.problem(
                    name.place,
                    format!("`unknown_targets.other: {:?}` would let an id that nobody owns be written; write hold or deny", unknown.other),
                );
            }
            let mode = entry.credentials.as_ref();
            let covered_by = self.covering(ix, mode, credential_names, credentials);
            resources.push(Resource {
                name: Arc::from(name.value.as_str()),
                environment: entry.environment.as_deref().map(Arc::from),
                place: name.place,
                ports: self.ports(name.place, entry),
                judge,
                unknown_targets: entry.unknown_targets.unwrap_or_default(),
                credentials: mode.map_or_else(|| Credentials::List(Vec::new()), |mode| mode.value.clone()),
                covered_by,
                cleartext: entry.cleartext,
                encoded_slash: entry.encoded_slash,
            });
        }
        resources
    }

    /// The issued credentials that may be used on a resource.
    fn covering(
        &mut self,
        resource: Ix,
        mode: Option<&Spanned<Credentials>>,
        names: &HashMap<String, Ix>,
        credentials: &[Credential],
    ) -> Vec<Ix> {
        let covers = |ix: &Ix| credentials.get(*ix).is_some_and(|c| c.resources.contains(&resource));
        let all = || (0..credentials.len()).filter(|ix| covers(ix)).collect();
        match mode.map(|mode| (&mode.value, mode.place)) {
            Some((Credentials::None, _)) => Vec::new(),
            Some((Credentials::List(list), place)) => {
                if list.is_empty() {
                    self.problem(place, "an empty list says nothing; write `credentials: none`");
                }
                let wanted: Vec<Spanned<String>> =
                    list.iter().map(|name| Spanned { value: name.clone(), place }).collect();
                let found = self.lookup(names, &wanted, "credential");
                if found.iter().any(|ix| !covers(ix)) {
                    self.problem(place, "a credential listed here does not have this resource among its own `resources`");
                }
                found
            }
            _ => all(),
        }
    }

    fn judge(&mut self, name: &Spanned<String>, entry: &file::Resource, catalog: Option<Arc<Catalog>>) -> Judge {
        let Some(catalog) = catalog else {
            let misplaced = [("allow", entry.allow.is_some()), ("hold", entry.hold.is_some()), ("deny", entry.deny.is_some()),
                ("ids", !entry.ids.is_empty()), ("unknown_targets", entry.unknown_targets.is_some())];
            for (key, _) in misplaced.iter().filter(|(_, present)| *present) {
                self.problem(name.place, format!("`{key}` needs a `service`; a plain resource has `rules`"));
            }
            return Judge::Plain(self.rules(name, entry));
        };
        for (key, present) in [("rules", entry.rules.is_some()), ("hosts", entry.hosts.is_some())] {
            if present {
                self.problem(name.place, format!("`{key}` does not go with `service`; the catalog says it"));
            }
        }
        for (kind, ids) in &entry.ids {
            let place = ids.first().map_or(name.place, |id| id.place);
            if !catalog.kinds.contains(kind) {
                let known: Vec<&str> = catalog.kinds.iter().map(String::as_str).collect();
                self.problem(place, format!("`{kind}` is no kind of id of {}; its kinds are {}", catalog.title, known.join(", ")));
            }
            if ids.is_empty() {
                self.problem(place, format!("`ids.{kind}` is empty; leave it out"));
            }
        }
        let lists = Lists {
            allow: self.list(entry.allow.as_deref(), "allow", name.place, &catalog),
            hold: self.list(entry.hold.as_deref(), "hold", name.place, &catalog),
            deny: self.list(entry.deny.as_deref(), "deny", name.place, &catalog),
        };
        Judge::Catalog(catalog, lists)
    }

    fn list(&mut self, words: Option<&[Spanned<String>]>, key: &str, place: Place, catalog: &Catalog) -> Names {
        let mut names = Names::default();
        if words.is_some_and(<[_]>::is_empty) {
            self.problem(place, format!("`{key}: []` says nothing; leave it out"));
        }
        for word in words.unwrap_or_default() {
            if let Some(effect) = Effect::parse(&word.value) {
                names.effects.insert(effect, word.place);
                continue;
            }
            let graphql = catalog.graphql.as_ref().is_some_and(|graphql| graphql.operations.contains_key(&word.value));
            let rest = catalog.rest.iter().any(|(_, (_, spec))| *spec.name == *word.value);
            if !graphql && !rest {
                self.problem(word.place, format!("`{}` is neither an effect nor an operation of {}", word.value, catalog.title));
            }
            names.operations.insert(word.value.clone(), word.place);
        }
        names
    }

    fn rules(&mut self, name: &Spanned<String>, entry: &file::Resource) -> Rules {
        let mut rules = Rules { restricting: path::Index::folding_case(), allowing: path::Index::default() };
        if entry.rules.as_ref().is_none_or(Vec::is_empty) {
            self.problem(name.place, format!("`{}` has no `rules`, so nothing would ever pass; write them", name.value));
        }
        if entry.hosts.as_ref().is_none_or(Vec::is_empty) {
            self.problem(name.place, format!("`{}` has no `hosts`", name.value));
        }
        for spanned in entry.rules.iter().flatten() {
            let rule = &spanned.value;
            let written = [(Word::Allow, &rule.allow), (Word::Hold, &rule.hold), (Word::Deny, &rule.deny)];
            let mut written = written.into_iter().filter_map(|(word, text)| Some((word, text.as_ref()?)));
            let (Some((word, text)), None) = (written.next(), written.next()) else {
                self.problem(spanned.place, "a rule has exactly one of `allow`, `hold` and `deny`");
                continue;
            };
            match path::parse_rule(text) {
                Ok((method, template)) => {
                    let index = if word == Word::Allow { &mut rules.allowing } else { &mut rules.restricting };
                    index.insert(&template, Rule {
                        word,
                        method,
                        reason: rule.reason.clone(),
                        effect: rule.effect,
                        reversibility: rule.reversibility,
                        websocket: rule.websocket,
                        place: spanned.place,
                    });
                }
                Err(error) => self.problem(spanned.place, error.to_string()),
            }
        }
        rules
    }

    fn ports(&mut self, place: Place, entry: &file::Resource) -> Vec<Port> {
        let Some(ports) = &entry.ports else { return vec![Port { number: 443, cleartext: false }] };
        if ports.is_empty() {
            self.problem(place, "`ports: []` says nothing; leave it out for 443");
        }
        for port in ports.iter().filter(|port| port.value.cleartext) {
            if entry.service.is_some() {
                self.problem(port.place, "a catalogued service is not spoken to in clear text");
            }
        }
        ports.iter().map(|port| port.value).collect()
    }

    fn agents(
        &mut self,
        file: &File,
        resource_names: &HashMap<String, Ix>,
        credential_names: &HashMap<String, Ix>,
        resources: &[Resource],
    ) -> Vec<Agent> {
        if file.agents.is_empty() {
            self.problem(Place::default(), "no agent is named under `agents:`, so nobody could use the proxy");
        }
        let hosts = self.hosts(&file.resources);
        let mut agents = Vec::new();
        for (name, entry) in &file.agents {
            let proof = match &entry.token {
                Some(source) => self
                    .secret(source, name.place, &format!("agent `{}`", name.value))
                    .map_or(Proof::Unset, |token| Proof::Token(fingerprint::token_hash(&token))),
                None => {
                    if file.agents.len() > 1 || !file.proxy.listen.ip().is_loopback() {
                        self.problem(name.place, format!("`{}` needs a `token`: it is not the only agent of a loopback listener", name.value));
                    }
                    Proof::OnlyAgent
                }
            };
            if entry.resources.is_empty() {
                self.problem(name.place, format!("`{}` has no resources, so every call would be refused", name.value));
            }
            let mut agent = Agent {
                name: Arc::from(name.value.as_str()),
                proof,
                credentials: self.lookup(credential_names, &entry.credentials, "credential"),
                exact: HashMap::new(),
                wildcard: HashMap::new(),
            };
            for ix in self.lookup(resource_names, &entry.resources, "resource") {
                let catalogued = resources.get(ix).and_then(Resource::catalog);
                for host in catalogued.into_iter().flat_map(|catalog| &catalog.hosts) {
                    agent.exact.entry(host.clone()).or_default().push(ix);
                }
                for (host, wildcard) in hosts.get(ix).into_iter().flatten() {
                    let map = if *wildcard { &mut agent.wildcard } else { &mut agent.exact };
                    map.entry(host.clone()).or_default().push(ix);
                }
            }
            agents.push(agent);
        }
        self.both_kinds(&file.resources, &hosts, resources);
        agents
    }

    /// The hosts of each plain resource, and whether each is a wildcard's parent.
    fn hosts(&mut self, entries: &Named<file::Resource>) -> Vec<Vec<(String, bool)>> {
        let mut all = Vec::new();
        for (_, entry) in entries {
            let mut hosts = Vec::new();
            for host in entry.hosts.iter().flatten() {
                let (text, wildcard) = match host.value.strip_prefix("*.") {
                    Some(parent) => (parent, true),
                    None => (host.value.as_str(), false),
                };
                match Host::parse(text) {
                    Ok(parsed) if wildcard && !parsed.as_str().contains('.') => {
                        self.lints.push(Problem::new(host.place, format!("`{}` covers a whole top-level domain", host.value)));
                        hosts.push((parsed.as_str().to_owned(), true));
                    }
                    Ok(parsed) if !wildcard && (parsed.as_str() == "localhost" || parsed.as_str().ends_with(".localhost")) => {
                        self.problem(host.place, "localhost is never reached through the proxy; clients reach it directly by NO_PROXY");
                    }
                    Ok(parsed) => hosts.push((parsed.as_str().to_owned(), wildcard)),
                    Err(error) => self.problem(host.place, format!("`{}`: {error}; write exact hosts, or `*.example.com` for one label", host.value)),
                }
            }
            all.push(hosts);
        }
        all
    }

    fn both_kinds(&mut self, entries: &Named<file::Resource>, hosts: &[Vec<(String, bool)>], resources: &[Resource]) {
        let catalogued: HashSet<&str> = resources
            .iter()
            .filter_map(Resource::catalog)
            .flat_map(|catalog| catalog.hosts.iter().map(String::as_str))
            .collect();
        for ((name, _), hosts) in entries.iter().zip(hosts) {
            for (host, wildcard) in hosts {
                let clash = catalogued.iter().any(|known| {
                    if *wildcard { known.split_once('.').is_some_and(|(_, parent)| parent == host) } else { known == host }
                });
                if clash {
                    self.problem(name.place, format!("`{}` declares `{host}` plainly, but a catalog in this policy describes it; use one of the two", name.value));
                }
            }
        }
    }

    fn network(&mut self, proxy: &file::Proxy, approvals: SocketAddr) -> Network {
        let own = [proxy.listen, approvals];
        let mut resolve = HashMap::new();
        for (name, address) in &proxy.resolve {
            let parsed = name.rsplit_once(':').and_then(|(host, port)| {
                Some((Host::parse(host).ok()?, port.parse::<u16>().ok().filter(|port| *port > 0)?))
            });
            match parsed {
                Some(_) if own.contains(address) && address.port() != 0 => {
                    self.problem(Place::default(), format!("`proxy.resolve`: `{address}` is the proxy's own listener"));
                }
                Some(key) => drop(resolve.insert(key, *address)),
                None => self.problem(Place::default(), format!("`proxy.resolve`: `{name}` is not `host:port`")),
            }
            if address.ip().is_loopback() {
                self.lints.push(Problem::new(Place::default(), format!("`proxy.resolve` leads `{name}` to this machine")));
            }
        }
        let mut allow_private = Vec::new();
        for text in &proxy.allow_private {
            match text.value.parse::<ipnet::IpNet>() {
                Ok(network) if network.prefix_len() == 0 => {
                    self.problem(text.place, "this lists every address; name the networks that are meant");
                }
                Ok(network) => {
                    if network.addr().is_loopback() {
                        self.lints.push(Problem::new(text.place, "loopback may be dialled: whatever listens on this machine can be reached, but for Holdgate itself"));
                    }
                    allow_private.push(network);
                }
                Err(_) => self.problem(text.place, format!("`{}` is not a network such as 10.0.0.0/8", text.value)),
            }
        }
        if proxy.upstream_roots.is_empty() {
            self.problem(Place::default(), "`proxy.upstream_roots` is empty, so no upstream could be verified");
        }
        let roots = proxy.upstream_roots.iter().map(|root| match root.value.as_str() {
            "system" => Root::System,
            "bundled" => Root::Bundled,
            file => Root::File(self.base.join(file)),
        });
        Network { listen: proxy.listen, resolve, allow_private, roots: roots.collect() }
    }

    fn approvals(&mut self, approvals: &file::Approvals) -> Approvals {
        let mut approvers = BTreeMap::new();
        for (name, approver) in &approvals.approvers {
            let hash = approver.token_hash.value.strip_prefix("sha256:").and_then(fingerprint::from_hex);
            match hash {
                Some(hash) => drop(approvers.insert(name.clone(), hash)),
                None => self.problem(approver.token_hash.place, "a token hash is `sha256:` and 64 hexadecimal digits; `holdgate approvals token NAME` prints one"),
            }
        }
        let mut hashes: Vec<&[u8; 32]> = approvers.values().collect();
        hashes.sort();
        if hashes.windows(2).any(|pair| matches!(pair, [left, right] if left == right)) {
            self.problem(Place::default(), "two approvers have the same token; they would count as two people");
        }
        let webhook = approvals.webhook.as_ref().and_then(|webhook| {
            let place = webhook.url.place;
            let url = webhook.url.value.parse::<http::Uri>().ok()?;
            let loopback = url.host().is_some_and(|host| {
                host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
            });
            if url.scheme_str() != Some("https") && !(url.scheme_str() == Some("http") && loopback) {
                self.problem(place, "a webhook is `https://…`, or `http://` on loopback");
                return None;
            }
            let secret = self.secret(&webhook.secret, place, "webhook");
            Some(Webhook { url, secret })
        });
        Approvals { listen: approvals.listen, approvers, webhook }
    }

    fn sequences(&mut self, entries: &[file::Sequence]) -> Vec<Sequence> {
        let mut sequences = Vec::new();
        for entry in entries {
            let mut steps = Vec::new();
            for step in &entry.steps {
                let mut stages = Vec::new();
                for word in &step.value.0 {
                    match Stage::parse(word) {
                        Some(stage) => stages.push(stage),
                        None => self.problem(step.place, format!("`{word}` is no stage; stages are {}", Stage::words().join(", "))),
                    }
                }
                if stages.is_empty() {
                    self.problem(step.place, "a step names one stage or several");
                }
                steps.push(stages);
            }
            sequences.push(Sequence {
                name: Arc::from(entry.name.as_str()),
                within: entry.within,
                steps,
                then: entry.then,
            });
        }
        sequences
    }

    fn injections(&mut self, agents: &Named<file::Agent>, credentials: &Named<file::Credential>) {
        for (name, credential) in credentials.iter().filter(|(_, credential)| credential.inject) {
            for (agent_name, agent) in agents {
                let has = agent.credentials.iter().any(|held| held.value == name.value);
                if has && agent.token.is_none() {
                    self.problem(credential.value.place, format!("`{}` is injected for `{}`, which needs a `token`: without one, anybody on this machine would be given the credential", name.value, agent_name.value));
                }
            }
            self.problem(credential.value.place, format!("`{}`: `inject` is not available in this version; give the agent the credential itself", name.value));
        }
        for (name, credential) in credentials {
            if credential.derives {
                self.lints.push(Problem::new(name.place, format!("`{}`: `derives` has no effect in this version: what it is exchanged for is foreign", name.value)));
            }
        }
    }

    fn bounds(&mut self, policy: &Policy) {
        if policy.holds.approvals == 0 || policy.holds.irreversible.approvals == 0 {
            self.problem(Place::default(), "`holds`: at least one approval is needed");
        }
        let listen = policy.network.listen;
        if listen == policy.approvals.listen && listen.port() != 0 {
            self.problem(Place::default(), "`approvals.listen` must differ from `proxy.listen`");
        }
        if policy.limits.inspect_kib == 0 || policy.limits.connections == 0 {
            self.problem(Place::default(), "`limits`: a limit of zero would refuse everything");
        }
    }
}

type Owners = HashMap<(Arc<str>, String), HashMap<String, Vec<Ix>>>;

fn owners(entries: &Named<file::Resource>, resources: &[Resource]) -> Owners {
    let mut owners = Owners::new();
    for (ix, ((_, entry), resource)) in entries.iter().zip(resources).enumerate() {
        let Some(catalog) = resource.catalog() else { continue };
        for (kind, ids) in &entry.ids {
            let by_id = owners.entry((catalog.service.clone(), kind.clone())).or_default();
            for id in ids {
                by_id.entry(id.value.clone()).or_default().push(ix);
            }
        }
    }
    owners
}

