//! From the file as written to the policy as used.
//!
//! Takes text, the secrets it names and the fingerprint key; returns a [`Policy`] or a [`Report`]
//! of every problem. Refuses names that lead nowhere, hosts that are both catalogued and plain,
//! empty lists that could be read as "all", and rules that can never match.

use super::file::{self, File, Named, Source};
use super::node::{Node, Place, Problem, Spanned};
use super::{
    Agent, Approvals, Ix, Network, Policy, Proof, Report, Resource, Root, Webhook, lint, resource,
};
use crate::catalog::Catalog;
use crate::fingerprint::{self, FingerprintKey, Trace};
use crate::inspect::secret::{Known, Owner, Scanner};
use crate::message::Host;
use aws_lc_rs::digest;
use std::collections::{BTreeMap, BTreeSet, HashMap};
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
    /// The text of a file that is part of the law; the error says what to do.
    fn law(&self, path: &Path) -> Result<String, String>;
    /// The text of a learned profile, which is part of the law as well; none if there is no such file.
    fn profile(&self, _path: &Path) -> Result<Option<String>, String> {
        Ok(None)
    }
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
    let unread = file.unread.clone();
    let scanner = Scanner::new(key.clone())
        .map_err(|error| Report::unreadable(file_name, &error.to_string()))?;
    let mut compiler = Compiler {
        base,
        secrets,
        key,
        unread,
        variables: Vec::new(),
        traces: Vec::new(),
        heeded: BTreeSet::new(),
        environments: BTreeSet::new(),
        problems,
        lints: Vec::new(),
    };
    let policy = compiler.policy(file, file_name, text, &scanner);
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

pub(super) struct Compiler<'a> {
    pub(super) base: &'a Path,
    pub(super) secrets: &'a dyn Secrets,
    pub(super) key: &'a Arc<FingerprintKey>,
    /// Names whose entries have problems of their own; that they are missing is no news.
    unread: Vec<String>,
    /// The environment variables that are named, with the credential whose value it is.
    pub(super) variables: Vec<(String, Option<Ix>)>,
    /// What the issued secrets are found again by.
    pub(super) traces: Vec<(Trace, Owner)>,
    /// The headers that conditions ask for.
    pub(super) heeded: BTreeSet<Box<str>>,
    /// The environments that resources name.
    pub(super) environments: BTreeSet<String>,
    problems: Vec<Problem>,
    pub(super) lints: Vec<Problem>,
}

impl Compiler<'_> {
    fn policy(&mut self, file: File, file_name: &str, text: &str, scanner: &Scanner) -> Policy {
        let named = file.resources.iter().filter_map(|(_, entry)| entry.environment.clone());
        self.environments = named.collect();
        let resource_names = self.names(&file.resources, "resource");
        let credential_names = self.names(&file.credentials, "credential");
        let (credentials, issued) = self.credentials(&file.credentials, &resource_names);
        let (catalogs, texts) = self.catalogs(&file);
        let resources = self.resources(&file.resources, &catalogs, &credential_names, &credentials);
        let owners = resource::owners(&file.resources, &resources);
        let declared = resource::declared(&file.resources, &resources);
        let mut agents = self.agents(&file, &resource_names, &credential_names, &resources);
        let state = self.base.join(file.state.as_ref().map_or(".holdgate", |state| &state.value));
        let profiles = self.baselines(&file, &state, &mut agents);
        let lookups = self.lookups(&file, &credential_names, &credentials, &resources, &mut agents);
        let law = std::iter::once(text).chain(texts.iter().chain(&profiles).map(String::as_str));
        let law: Vec<&str> = law.collect();
        let digest = digest::digest(&digest::SHA256, law.join("\0").as_bytes());
        let sequences = self.sequences(&file.sequences, &resources);
        let mut policy = Policy {
            file_name: Arc::from(file_name),
            digest: Arc::from(fingerprint::hex(digest.as_ref())),
            network: self.network(&file),
            ca_dir: self.base.join(&file.ca.dir),
            ca_hosts: file.ca.constrain.then(|| all_hosts(&resources)),
            state,
            approvals: self.approvals(&file.approvals),
            holds: file.holds,
            audit: file.audit,
            limits: file.limits,
            agents,
            credentials,
            resources,
            sequences,
            quarantine: file.quarantine,
            tests: file.tests,
            lookups,
            lints: Vec::new(),
            fingerprints: self.key.clone(),
            scanner: scanner.and(Arc::new(Known::new(std::mem::take(&mut self.traces)))),
            issued,
            declared,
            owners,
            heeded: std::mem::take(&mut self.heeded).into_iter().collect(),
            variables: std::mem::take(&mut self.variables),
        };
        self.bounds(&policy);
        self.injections(&file.agents, &file.credentials, &policy);
        if self.problems.is_empty() {
            policy.lints = lint::all(&policy, &file.agents, std::mem::take(&mut self.lints));
        }
        policy
    }

    /// The catalogs that the resources are judged by, and the texts of those that are the policy's own.
    fn catalogs(&mut self, file: &File) -> (HashMap<String, Arc<Catalog>>, Vec<String>) {
        let (mut catalogs, mut texts) = (HashMap::new(), Vec::new());
        for path in &file.catalogs {
            let Some(text) = self.law(path) else { continue };
            match Catalog::parse(&text) {
                Ok(catalog) => {
                    let service = catalog.service.to_string();
                    if crate::catalog::known().contains(&service.as_str()) {
                        let message = format!(
                            "`{}` takes the place of the catalog of `{service}` that comes with Holdgate",
                            path.value
                        );
                        self.lints.push(Problem::new(path.place, message));
                    }
                    if catalogs.insert(service.clone(), catalog).is_some() {
                        let message = format!("two catalogs describe `{service}`");
                        self.problem(path.place, message);
                    }
                }
                Err(error) => self.problem(path.place, format!("`{}`: {error}", path.value)),
            }
            texts.push(text);
        }
        for service in file.resources.iter().filter_map(|(_, entry)| entry.service.as_ref()) {
            if catalogs.contains_key(&service.value) {
                continue;
            }
            match Catalog::embedded(&service.value) {
                Ok(catalog) => drop(catalogs.insert(service.value.clone(), catalog)),
                Err(error) => self.problem(service.place, error.to_string()),
            }
        }
        for (service, paths) in &file.documents {
            for path in paths {
                let Some(text) = self.law(path) else { continue };
                let catalog = catalogs.get_mut(service);
                if !catalog.is_some_and(|catalog| catalog.register(text.clone())) {
                    let message =
                        format!("no resource is of a service `{service}` that takes GraphQL");
                    self.problem(path.place, message);
                }
                texts.push(text);
            }
        }
        let shared = |(service, catalog)| (service, Arc::new(catalog));
        (catalogs.into_iter().map(shared).collect(), texts)
    }

    /// The text of a file that is part of the law.
    fn law(&mut self, path: &Spanned<String>) -> Option<String> {
        let text = self.secrets.law(&self.base.join(&path.value));
        text.map_err(|error| self.problem(path.place, error)).ok()
    }

    pub(super) fn problem(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem::new(place, message));
    }

    fn names<T>(&mut self, entries: &Named<T>, what: &str) -> HashMap<String, Ix> {
        for (name, _) in entries {
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if name.value.is_empty() || name.value.len() > 64 || !name.value.chars().all(good) {
                self.problem(
                    name.place,
                    format!("a {what}'s name has letters, digits, `-`, `_` and `.`"),
                );
            }
        }
        entries.iter().enumerate().map(|(ix, (name, _))| (name.value.clone(), ix)).collect()
    }

    pub(super) fn lookup(
        &mut self,
        names: &HashMap<String, Ix>,
        wanted: &[Spanned<String>],
        what: &str,
    ) -> Vec<Ix> {
        let mut found = Vec::new();
        for name in wanted {
            match names.get(&name.value) {
                Some(ix) => found.push(*ix),
                None if self.unread.contains(&name.value) => {}
                None => self.problem(name.place, format!("there is no {what} `{}`", name.value)),
            }
        }
        found
    }

    pub(super) fn secret(
        &mut self,
        source: &Source,
        place: Place,
        what: &str,
    ) -> Option<Zeroizing<Vec<u8>>> {
        match (&source.env, &source.file, &source.fingerprint) {
            (Some(name), None, None) => {
                let value = self.secrets.variable(name);
                self.variables.push((name.clone(), None));
                if value.is_none() {
                    let message = format!(
                        "{what}: the environment variable `{name}` is not set; it matches nothing"
                    );
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

    fn agents(
        &mut self,
        file: &File,
        resource_names: &HashMap<String, Ix>,
        credential_names: &HashMap<String, Ix>,
        resources: &[Resource],
    ) -> Vec<Agent> {
        if file.agents.is_empty() && self.unread.is_empty() {
            self.problem(
                Place::default(),
                "no agent is named under `agents:`, so nobody could use the proxy",
            );
        }
        let mut agents = Vec::new();
        for (name, entry) in &file.agents {
            let proof = if let Some(source) = &entry.token {
                self.secret(source, name.place, &format!("agent `{}`", name.value))
                    .map_or(Proof::Unset, |token| Proof::Token(fingerprint::token_hash(&token)))
            } else {
                if file.agents.len() > 1 || !file.proxy.listen.ip().is_loopback() {
                    let message = format!(
                        "`{}` needs a `token`: it is not the only agent of a loopback listener",
                        name.value
                    );
                    self.problem(name.place, message);
                }
                Proof::OnlyAgent
            };
            if entry.resources.is_empty() {
                self.problem(
                    name.place,
                    format!("`{}` has no resources, so every call would be refused", name.value),
                );
            }
            let mut agent = Agent::new(&name.value, proof);
            agent.credentials = self.lookup(credential_names, &entry.credentials, "credential");
            for ix in self.lookup(resource_names, &entry.resources, "resource") {
                agent.cover(ix, resources);
            }
            agents.push(agent);
        }
        self.both_kinds(resources);
        agents
    }

    fn network(&mut self, file: &File) -> Network {
        let (proxy, approvals) = (&file.proxy, file.approvals.listen);
        let own = [proxy.listen, approvals];
        let mut resolve = HashMap::new();
        for (name, address) in &proxy.resolve {
            let parsed = name.rsplit_once(':').and_then(|(host, port)| {
                Some((Host::parse(host).ok()?, port.parse::<u16>().ok().filter(|port| *port > 0)?))
            });
            match parsed {
                Some(_) if own.contains(address) && address.port() != 0 => {
                    self.problem(
                        Place::default(),
                        format!("`proxy.resolve`: `{address}` is the proxy's own listener"),
                    );
                }
                Some(key) => drop(resolve.insert(key, *address)),
                None => self.problem(
                    Place::default(),
                    format!("`proxy.resolve`: `{name}` is not `host:port`"),
                ),
            }
            if address.ip().is_loopback() {
                self.lints.push(Problem::new(
                    Place::default(),
                    format!("`proxy.resolve` leads `{name}` to this machine"),
                ));
            }
        }
        let mut allow_private = Vec::new();
        for text in &proxy.allow_private {
            // The standard library reads no octal numbers, and none that could be taken for one.
            let strict = text.value.split('/').next().is_some_and(|a| a.parse::<IpAddr>().is_ok());
            match text.value.parse::<ipnet::IpNet>().ok().filter(|_| strict) {
                Some(network) if network.prefix_len() == 0 => {
                    self.problem(
                        text.place,
                        "this lists every address; name the networks that are meant",
                    );
                }
                Some(network) => {
                    if network.addr().is_loopback() {
                        self.lints.push(Problem::new(text.place, "loopback may be dialled: whatever listens on this machine can be reached, but for Holdgate itself"));
                    }
                    allow_private.push(network);
                }
                None => self.problem(
                    text.place,
                    format!("`{}` is not a network such as 10.0.0.0/8", text.value),
                ),
            }
        }
        if proxy.upstream_roots.is_empty() {
            self.problem(
                Place::default(),
                "`proxy.upstream_roots` is empty, so no upstream could be verified",
            );
        }
        let roots = proxy.upstream_roots.iter().map(|root| match root.value.as_str() {
            "system" => Root::System,
            "bundled" => Root::Bundled,
            file => Root::File(self.base.join(file)),
        });
        let dns = proxy.dns.iter().filter_map(|server| self.server(server, own)).collect();
        let roots = roots.collect();
        let tool_calls = self.tool_calls(file);
        Network { listen: proxy.listen, resolve, dns, allow_private, roots, tool_calls }
    }

    /// A server that names are asked of.
    fn server(&mut self, text: &Spanned<String>, own: [SocketAddr; 2]) -> Option<SocketAddr> {
        let message = match text.value.parse::<SocketAddr>() {
            Ok(address) if own.contains(&address) && address.port() != 0 => {
                format!("`{address}` is the proxy's own listener")
            }
            Ok(address) if is_askable(address) => return Some(address),
            Ok(address) => format!("no server of names can be asked at `{address}`"),
            Err(_) => format!(
                "`{}` is not an address and port such as 10.0.0.53:53 or [fd00::53]:53",
                text.value
            ),
        };
        self.problem(text.place, message);
        None
    }

    fn approvals(&mut self, approvals: &file::Approvals) -> Approvals {
        let mut approvers = BTreeMap::new();
        for (name, approver) in &approvals.approvers {
            let hash =
                approver.token_hash.value.strip_prefix("sha256:").and_then(fingerprint::from_hex);
            match hash {
                Some(hash) => drop(approvers.insert(name.clone(), hash)),
                None => self.problem(approver.token_hash.place, "a token hash is `sha256:` and 64 hexadecimal digits; `holdgate approvals token NAME` prints one"),
            }
        }
        let mut hashes: Vec<&[u8; 32]> = approvers.values().collect();
        hashes.sort();
        if hashes.windows(2).any(|pair| matches!(pair, [left, right] if left == right)) {
            self.problem(
                Place::default(),
                "two approvers have the same token; they would count as two people",
            );
        }
        let webhook = approvals.webhook.as_ref().and_then(|webhook| {
            let place = webhook.url.place;
            let url = webhook.url.value.parse::<http::Uri>().ok()?;
            let loopback = url.host().is_some_and(|host| {
                host == "localhost"
                    || host
                        .trim_matches(['[', ']'])
                        .parse::<IpAddr>()
                        .is_ok_and(|ip| ip.is_loopback())
            });
            if url.scheme_str() != Some("https") && !(url.scheme_str() == Some("http") && loopback)
            {
                self.problem(place, "a webhook is `https://…`, or `http://` on loopback");
                return None;
            }
            let secret = self.secret(&webhook.secret, place, "webhook");
            Some(Webhook { url, secret })
        });
        Approvals { listen: approvals.listen, approvers, webhook }
    }

    fn bounds(&mut self, policy: &Policy) {
        if policy.holds.approvals == 0 || policy.holds.irreversible.approvals == 0 {
            self.problem(Place::default(), "`holds`: at least one approval is needed");
        }
        let listen = policy.network.listen;
        if listen == policy.approvals.listen && listen.port() != 0 {
            self.problem(Place::default(), "`approvals.listen` must differ from `proxy.listen`");
        }
        let limits = &policy.limits;
        if [limits.inspect_kib, limits.connections, limits.agent_connections].contains(&0)
            || limits.idle.min(limits.stall).is_zero()
        {
            self.problem(Place::default(), "`limits`: a limit of zero would refuse everything");
        }
    }
}

/// Every host that the resources declare, a wildcard by its parent.
fn all_hosts(resources: &[Resource]) -> Vec<String> {
    let hosts = resources.iter().flat_map(|resource| &resource.hosts);
    let hosts = hosts.map(|pattern| pattern.host().to_owned());
    hosts.collect::<BTreeSet<String>>().into_iter().collect()
}

/// Whether an address and port name one machine. A scope is one machine's word, and is not kept.
fn is_askable(address: SocketAddr) -> bool {
    let ip = address.ip().to_canonical();
    let everybody = matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
    let scoped = matches!(address, SocketAddr::V6(address) if address.scope_id() != 0);
    address.port() != 0 && !ip.is_unspecified() && !ip.is_multicast() && !everybody && !scoped
}
