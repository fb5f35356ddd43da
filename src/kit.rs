//! The client kit: what makes a client use the proxy and trust its authority.
//!
//! Takes the proxy's address and the authority; returns environment variables, and writes a bundle of
//! the system's roots with the authority's certificate. The variables are advisory: a client that
//! ignores them goes around the proxy.

pub mod environment;

use crate::tls::authority::{Authority, Error};
use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

/// What clients are told.
#[derive(Clone, Debug)]
pub struct Kit {
    /// The proxy's address.
    pub listen: SocketAddr,
    /// The agent's name and token, where it needs one.
    pub user: Option<(String, String)>,
    /// The bundle of roots.
    pub bundle: PathBuf,
    /// The authority's certificate alone.
    pub ca: PathBuf,
    /// Where the agent asks about its tool calls, and by which name; nowhere where that is off.
    pub tool_calls: Option<(String, String)>,
}

/// Hosts that are reached directly, so that servers under development work.
const NO_PROXY: &str = "localhost,127.0.0.1,::1";

/// The variable that says where an agent asks about its tool calls.
pub const TOOL_CALLS: &str = "HOLDGATE_TOOL_CALLS";
/// The variable with the agent's name.
pub const AGENT: &str = "HOLDGATE_AGENT";
/// The variable with the agent's secret.
pub const AGENT_TOKEN: &str = "HOLDGATE_AGENT_TOKEN";

/// Variables that name a bundle which replaces the client's own roots.
const BUNDLES: &[&str] = &[
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "PIP_CERT",
    "DENO_CERT",
    "AWS_CA_BUNDLE",
    "NPM_CONFIG_CAFILE",
    "HTTPLIB2_CA_CERTS",
    "BUNDLE_SSL_CA_CERT",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE",
    "NIX_SSL_CERT_FILE",
];

impl Kit {
    /// The proxy's address as clients take it.
    pub fn proxy_url(&self) -> String {
        let mut listen = self.listen;
        if listen.ip().is_unspecified() {
            listen.set_ip([127, 0, 0, 1].into());
        }
        match &self.user {
            Some((name, token)) => format!("http://{name}:{token}@{listen}"),
            None => format!("http://{listen}"),
        }
    }

    /// The variables in a fixed order.
    pub fn variables(&self) -> Vec<(&'static str, String)> {
        let proxy = self.proxy_url();
        let mut all = Vec::new();
        for name in
            ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
        {
            all.push((name, proxy.clone()));
        }
        for name in ["NO_PROXY", "no_proxy"] {
            all.push((name, NO_PROXY.to_owned()));
        }
        for name in BUNDLES {
            all.push((name, self.bundle.display().to_string()));
        }
        // Node adds to its roots; since version 24 it takes the proxy variables when asked to.
        all.push(("NODE_EXTRA_CA_CERTS", self.ca.display().to_string()));
        all.push(("NODE_USE_ENV_PROXY", "1".to_owned()));
        if let Some((address, agent)) = &self.tool_calls {
            all.push((TOOL_CALLS, address.clone()));
            all.push((AGENT, agent.clone()));
        }
        all
    }
}

/// Whether a host is this machine, which clients reach without the proxy, however it is written:
/// `LOCALHOST`, `127.1`, `0.0.0.0`, `[::1]`.
pub fn is_direct(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']).trim_end_matches('.').to_ascii_lowercase();
    let is_here = |address: IpAddr| {
        let address = address.to_canonical();
        address.is_loopback() || address.is_unspecified()
    };
    NO_PROXY.split(',').any(|direct| direct == host)
        || host
            .parse::<IpAddr>()
            .ok()
            .or_else(|| numbered(&host).map(IpAddr::V4))
            .is_some_and(is_here)
}

/// An address of up to four numbers, of which the last stands for all that is left, as clients read it.
fn numbered(host: &str) -> Option<Ipv4Addr> {
    let number = |part: &str| {
        let (digits, radix) = match (part.strip_prefix("0x"), part.strip_prefix('0')) {
            (Some(digits), _) => (digits, 16),
            (None, Some(digits)) if !digits.is_empty() => (digits, 8),
            _ => (part, 10),
        };
        u32::from_str_radix(digits, radix).ok().filter(|_| !digits.starts_with('+'))
    };
    let numbers: Vec<u32> = host.split('.').map(number).collect::<Option<_>>()?;
    let (last, first) = numbers.split_last()?;
    let is_valid = first.len() < 4 && first.iter().all(|one| *one < 256);
    let room = u64::from(u32::MAX) >> (8 * first.len().min(4));
    if !is_valid || u64::from(*last) > room {
        return None;
    }
    let high = first.iter().zip([24, 16, 8]).map(|(one, places)| one << places).sum::<u32>();
    Some(Ipv4Addr::from(high | last))
}

/// Writes the system's roots with the authority's certificate into a folder.
pub fn write_bundle(folder: &Path, authority: &Authority) -> Result<PathBuf, Error> {
    let path = std::path::absolute(folder.join("bundle.pem"))
        .unwrap_or_else(|_relative| folder.join("bundle.pem"));
    let io = |source| Error::Io { path: path.clone(), source };
    let mut text = String::new();
    for certificate in rustls_native_certs::load_native_certs().certs {
        text.push_str(&pem(&certificate));
    }
    text.push_str(authority.pem());
    if fs::read_to_string(&path).is_ok_and(|old| old == text) {
        return Ok(path);
    }
    // Clients may be reading the old one, and another `run` may be writing its own.
    let fresh = path.with_extension(format!("pem.{}", uuid::Uuid::new_v4().simple()));
    fs::write(&fresh, text).map_err(io)?;
    fs::rename(&fresh, &path).map_err(io)?;
    Ok(path)
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(der);
    let mut text = "-----BEGIN CERTIFICATE-----\n".to_owned();
    for line in encoded.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text.push_str("-----END CERTIFICATE-----\n");
    text
}

#[cfg(test)]
mod tests {
    use super::is_direct;

    #[test]
    fn this_machine_is_known_however_it_is_written() {
        for host in [
            "localhost",
            "LOCALHOST",
            "localhost.",
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "127.9.8.7",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "0.0.0.0",
            "0",
            "::1",
            "[::1]",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(is_direct(host), "{host}");
        }
        for host in [
            "",
            ".",
            "localhost.example",
            "127.0.0.1.example",
            "128.1",
            "1.2.3.4",
            "127.0.0.0.1",
            "127.16777216",
            "10.0.0.1",
            "[fe80::1]",
            "api.example.com",
            "+127.1",
            "4294967296",
            "1",
            "0x",
        ] {
            assert!(!is_direct(host), "{host}");
        }
    }
}
