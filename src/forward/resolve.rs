//! Names to addresses: once for each connection, and every address looked at.
//!
//! Takes a target; returns the addresses that may be dialled. What the policy's `resolve` says is
//! taken as it stands, but for Holdgate's own listeners.

use super::Error;
use super::dial::Reach;
use crate::message::Target;
use crate::policy::Network;
use std::net::SocketAddr;
use std::time::Duration;

/// The addresses of a target that may be dialled; none is a refusal with its cause.
pub(super) async fn resolve(
    target: &Target,
    network: &Network,
    reach: &Reach,
    within: Duration,
) -> Result<Vec<SocketAddr>, Error> {
    if let Some(address) = network.resolve.get(&(target.host().clone(), target.port())) {
        return if reach.is_own(*address) { Err(Error::OwnListener) } else { Ok(vec![*address]) };
    }
    let name = target.host().as_str();
    let looked_up = tokio::time::timeout(within, tokio::net::lookup_host((name, target.port())));
    let found: Vec<SocketAddr> = match looked_up.await {
        Ok(Ok(addresses)) => addresses.take(32).collect(),
        Ok(Err(error)) => return Err(Error::Resolve(error.to_string())),
        Err(_elapsed) => return Err(Error::Resolve(format!("no answer within {within:?}"))),
    };
    reach.filter(&found, &network.allow_private)
}
