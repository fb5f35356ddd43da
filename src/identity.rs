//! Who is calling.
//!
//! Takes the `Proxy-Authorization` of a connection's first request; returns the agent. Never from a
//! claim that an agent could make for another: a name counts only with its token, compared by hash
//! in constant time.

use crate::fingerprint::{same, token_hash};
use crate::policy::{Agent, Policy, Proof};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::PROXY_AUTHORIZATION;
use http::{HeaderMap, HeaderName};

/// Nobody that the policy names proved to be calling; the fault is the client's.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotIdentified(&'static str);

/// The agent that calls, by `Basic agent:token` (RFC 7617), or the only one of a loopback listener.
pub fn identify<'p>(headers: &HeaderMap, policy: &'p Policy) -> Result<&'p Agent, NotIdentified> {
    identify_by(&PROXY_AUTHORIZATION, headers, policy)
}

/// The same by another header.
pub fn identify_by<'p>(
    header: &HeaderName,
    headers: &HeaderMap,
    policy: &'p Policy,
) -> Result<&'p Agent, NotIdentified> {
    let mut values = headers.get_all(header).iter();
    let Some(value) = values.next() else {
        return policy.only_agent().ok_or(NotIdentified(
            "set the proxy as http://AGENT:TOKEN@host:port, with the agent's name and token",
        ));
    };
    if values.next().is_some() {
        return Err(NotIdentified("there are two Proxy-Authorization headers"));
    }
    let (name, token) = basic(value.as_bytes())
        .ok_or(NotIdentified("Proxy-Authorization is not Basic with a name and a token"))?;
    let agent = policy.agent(&name).map(|(_, agent)| agent);
    let wrong = NotIdentified("the agent's name or token is not right");
    match agent.map(|agent| (agent, &agent.proof)) {
        Some((agent, Proof::Token(hash))) if same(hash, &token_hash(&token)) => Ok(agent),
        // It needs no token, so none it brings can be wrong; another's name is.
        Some((agent, Proof::OnlyAgent)) => Ok(agent),
        _ => Err(wrong),
    }
}

fn basic(value: &[u8]) -> Option<(String, zeroize::Zeroizing<Vec<u8>>)> {
    let (scheme, encoded) = value.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let decoded = zeroize::Zeroizing::new(STANDARD.decode(encoded.trim_ascii()).ok()?);
    let colon = decoded.iter().position(|byte| *byte == b':')?;
    let (name, token) = decoded.split_at(colon);
    let name = std::str::from_utf8(name).ok()?.to_owned();
    Some((name, zeroize::Zeroizing::new(token.get(1..)?.to_vec())))
}
