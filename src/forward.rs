//! Sending what was judged, and nothing else.
//!
//! Takes a [`Permit`](crate::decide::Permit), which only a verdict makes; returns the upstream's
//! response. Resolves once, refuses addresses that are not public, dials the address it checked,
//! verifies the certificate for the one host value, and sends nothing twice.

mod body;
mod clean;
mod coming;
mod dial;
mod heard;
mod leaving;
mod pool;
mod resolve;
mod send;

pub use body::{Cut, RequestBody, ResponseBody, Source, Watch};
pub use clean::{Clean, Fault};
pub use coming::{Broken, Coming};
pub use dial::{Reach, is_public};
pub use leaving::Leaving;
pub use pool::Pool;
pub use resolve::Names;
pub use send::{Lease, Sent, Upstream, strip_hop_by_hop};

use crate::decide::Reason;
use crate::inspect::Objection;

/// Why a request did not get an answer. Nobody's fault but the upstream's or the network's, save
/// where the policy leads a name to an address it does not list.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name does not resolve.
    #[error("the name does not resolve: {0}")]
    Resolve(String),
    /// The servers that names are to be asked of.
    #[error("the servers of `proxy.dns` cannot be used: {0}")]
    Servers(String),
    /// Every address of the name is private or special.
    #[error(
        "the name leads to {0}, which is not a public address; an operator can list it under `proxy.allow_private`"
    )]
    PrivateAddress(std::net::IpAddr),
    /// The name leads back to Holdgate.
    #[error("the name leads to Holdgate itself")]
    OwnListener,
    /// No address accepts a connection.
    #[error("no connection: {0}")]
    Connect(std::io::Error),
    /// The certificate does not verify, or TLS fails.
    #[error("the upstream's TLS does not verify: {0}")]
    Unverified(std::io::Error),
    /// The upstream speaks no HTTP, or broke off before an answer.
    #[error("the upstream broke off: {0}")]
    Upstream(#[from] hyper::Error),
    /// The body says what it may not, which was seen while it was sent; it was not sent to its end.
    #[error("the body was broken off: {0}")]
    Objection(Objection),
    /// The upstream did not answer in time.
    #[error("the upstream did not answer within {0:?}")]
    Slow(std::time::Duration),
    /// The answer is in a coding although it was asked for without: what it says cannot be looked for.
    #[error("the upstream sent its answer in a coding that it was asked not to use")]
    Coded,
    /// The answer is a part of one that was asked for as a whole: what it says cannot be looked for.
    #[error("the upstream sent a part of an answer that it was asked for as a whole")]
    Part,
    /// The head of the answer says a value that the agent never sees, in a form that is not replaced.
    #[error("the head of the answer says a credential that the agent never sees")]
    Said,
    /// The request cannot be put in the upstream's form.
    #[error("the request cannot be sent: {0}")]
    Form(#[from] http::Error),
}

impl Error {
    /// The reason that is told.
    pub const fn reason(&self) -> Reason {
        match self {
            Self::PrivateAddress(_) | Self::OwnListener => Reason::PrivateAddress,
            Self::Unverified(_) => Reason::UpstreamUnverified,
            Self::Objection(Objection::Override(_)) => Reason::Malformed,
            Self::Objection(Objection::Leak(_)) => Reason::SecretLeak,
            Self::Objection(Objection::Quarantined(_)) => Reason::Quarantined,
            Self::Objection(Objection::Unreadable(_)) => Reason::Unreadable,
            _ => Reason::UpstreamUnreachable,
        }
    }

    /// How much of the body had been sent when it was broken off for what was seen, if it was.
    pub const fn broken_off_after(&self) -> Option<u64> {
        match self {
            Self::Objection(Objection::Leak(sent) | Objection::Quarantined(sent)) => Some(*sent),
            _ => None,
        }
    }

    /// What the client is told: no address, nothing of the inside.
    pub const fn told(&self) -> &'static str {
        match self {
            Self::Resolve(_) | Self::Servers(_) => "the upstream's name does not resolve",
            Self::PrivateAddress(_) | Self::OwnListener => {
                "the upstream's name leads to an address that is not public"
            }
            Self::Connect(_) => "the upstream cannot be connected to",
            Self::Unverified(_) => {
                "the upstream's certificate does not verify, so nothing was sent"
            }
            Self::Upstream(_) => {
                "the upstream broke off before it answered; whether it acted is not known"
            }
            Self::Objection(Objection::Override(_)) => {
                "the body overrides the method; send the method that is meant"
            }
            Self::Objection(Objection::Leak(_)) => {
                "a secret that does not belong to this host stands in the body, which was broken off; take it out, and report where it came from"
            }
            Self::Objection(Objection::Quarantined(_)) => {
                "the session was stopped while the body was on its way, so it was broken off; wait for the operator"
            }
            Self::Objection(Objection::Unreadable(_)) => {
                "the body is not one that can be looked through for a method"
            }
            Self::Slow(_) => "the upstream did not answer in time; whether it acted is not known",
            Self::Coded => {
                "the upstream's answer is compressed although it was asked not to, so it cannot be looked through for credentials; the call was made"
            }
            Self::Part => {
                "the upstream's answer is a part although the whole was asked for, so it cannot be looked through for credentials; the call was made"
            }
            Self::Said => {
                "the upstream's answer says a credential that is not the agent's to see; the call was made"
            }
            Self::Form(_) => "the request cannot be put in the upstream's form",
        }
    }
}
