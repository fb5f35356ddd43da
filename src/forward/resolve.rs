//! Names to addresses: once for each connection, and every address looked at.
//!
//! Takes a target; returns the addresses that may be dialled. What the policy's `resolve` says is
//! taken as it stands, but for Holdgate's own listeners. Other names are asked of the policy's `dns`
//! servers, or of the system where it has none. Refuses answers with more addresses than a host has.

use super::Error;
use super::dial::Reach;
use crate::message::{Host, Target};
use crate::policy::{Limits, Network};
use hickory_resolver::config::{
    ConnectionConfig, LookupIpStrategy, NameServerConfig, ResolveHosts, ResolverConfig,
    ResolverOpts,
};
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::proto::rr::Name;
use hickory_resolver::{Resolver, TokioResolver};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::timeout;

/// More than a host has: who answers with so many wants to keep somebody busy.
const MOST_ADDRESSES: usize = 64;

/// How names become addresses under one policy.
#[derive(Debug)]
pub struct Names {
    /// The servers that are asked; without any, the system is.
    servers: Option<TokioResolver>,
}

impl Names {
    /// A way to addresses as the policy has it.
    pub fn new(network: &Network, limits: &Limits) -> Result<Self, Error> {
        if network.dns.is_empty() {
            return Ok(Self { servers: None });
        }
        let config = ResolverConfig::from_name_servers(network.dns.iter().map(server).collect());
        // What the resolver runs in the background belongs to it, and ends with it.
        let servers = Resolver::builder_with_config(config, TokioRuntimeProvider::default())
            .with_options(options(limits.connect))
            .build()
            .map_err(|error| Error::Servers(error.to_string()))?;
        Ok(Self { servers: Some(servers) })
    }

    /// The addresses of a target that may be dialled; none is a refusal with its cause.
    pub(super) async fn resolve(
        &self,
        target: &Target,
        network: &Network,
        reach: &Reach,
        within: Duration,
    ) -> Result<Vec<SocketAddr>, Error> {
        if let Some(address) = network.resolve.get(&(target.host().clone(), target.port())) {
            return if reach.is_own(*address) {
                Err(Error::OwnListener)
            } else {
                Ok(vec![*address])
            };
        }
        let looked_up = timeout(within, self.look_up(target));
        let found = looked_up
            .await
            .map_err(|_elapsed| Error::Resolve(format!("no answer within {within:?}")))??;
        if found.len() > MOST_ADDRESSES {
            return Err(Error::Resolve(format!("it has more than {MOST_ADDRESSES} addresses")));
        }
        reach.filter(&found, &network.allow_private)
    }

    /// The addresses of a name, and at most one more than a host may have.
    async fn look_up(&self, target: &Target) -> Result<Vec<SocketAddr>, Error> {
        let (host, port) = (target.host(), target.port());
        let most = MOST_ADDRESSES + 1;
        let Some(servers) = &self.servers else {
            let found = tokio::net::lookup_host((host.as_str(), port)).await;
            let found = found.map_err(|error| Error::Resolve(error.to_string()))?;
            return Ok(found.take(most).collect());
        };
        let found = servers.lookup_ip(absolute(host)?).await.map_err(|error| failed(&error))?;
        Ok(found.iter().take(most).map(|ip: IpAddr| SocketAddr::new(ip, port)).collect())
    }
}

fn server(address: &SocketAddr) -> NameServerConfig {
    let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
        connection.port = address.port();
        connection
    });
    NameServerConfig::new(address.ip(), true, connections.into())
}

fn options(connect: Duration) -> ResolverOpts {
    let mut options = ResolverOpts::default();
    options.use_hosts_file = ResolveHosts::Never;
    options.ip_strategy = LookupIpStrategy::Ipv4AndIpv6;
    // An answer is for the connection it was asked for; nobody else is led by it.
    options.cache_size = 0;
    // Of two tries, both over, enough is left to dial what the other family answered.
    options.timeout = connect / 4;
    options.attempts = 1;
    options
}

/// The name as it stands, so that no search domain is put behind it.
fn absolute(host: &Host) -> Result<Name, Error> {
    let mut name = Name::from_ascii(host.as_str())
        .map_err(|error| Error::Resolve(format!("it is no name of the DNS: {error}")))?;
    name.set_fqdn(true);
    Ok(name)
}

fn failed(error: &NetError) -> Error {
    Error::Resolve(match error {
        error if error.is_nx_domain() => "there is no such name".to_owned(),
        error if error.is_no_records_found() => "it has no address".to_owned(),
        NetError::Timeout => "the servers of `proxy.dns` do not answer".to_owned(),
        error => error.to_string(),
    })
}
