//! Changes to the mock's policy, as text: what a person would write into it.

use std::net::SocketAddr;
use std::path::Path;

/// Where the resources of the mock's agent begin.
const AGENTS_RESOURCES: &str = "    profile: coding-agent\n    resources: [";

/// The text of a policy, to be changed and written.
pub struct Edit(pub String);

impl Edit {
    /// Replaces something that must stand there once.
    pub fn replace(self, from: &str, to: &str) -> Self {
        assert_eq!(self.0.matches(from).count(), 1, "`{from}` in\n{}", self.0);
        Self(self.0.replace(from, to))
    }

    /// Leads `host:port` to an address.
    pub fn resolve(self, name: &str, address: SocketAddr) -> Self {
        self.replace("  resolve:\n", &format!("  resolve:\n    \"{name}\": \"{address}\"\n"))
    }

    /// Asks names of one server only.
    pub fn dns(self, server: SocketAddr) -> Self {
        self.proxy(&format!("dns: [\"{server}\"]"))
    }

    /// Adds a line to `proxy:`.
    pub fn proxy(self, line: &str) -> Self {
        self.replace("  resolve:\n", &format!("  {line}\n  resolve:\n"))
    }

    /// Trusts upstreams under one more authority.
    pub fn root(self, path: &Path) -> Self {
        let path = path.to_str().unwrap();
        self.replace("  upstream_roots: [", &format!("  upstream_roots: [\"{path}\", "))
    }

    /// Declares a resource and gives it to the mock's agent.
    pub fn resource(self, name: &str, lines: &str) -> Self {
        let indented: String = lines.lines().flat_map(|line| ["    ", line, "\n"]).collect();
        self.replace("\nresources:\n", &format!("\nresources:\n  {name}:\n{indented}\n"))
            .replace(AGENTS_RESOURCES, &format!("{AGENTS_RESOURCES}{name}, "))
    }

    /// Adds a section.
    pub fn section(self, lines: &str) -> Self {
        Self(format!("{}\n{lines}\n", self.0))
    }
}
