//! Tokens that were handed out in exchange for credentials, and whom each stands for.
//!
//! Takes a request to an endpoint that hands out tokens, with what is remembered; returns for whom its
//! answer hands them out: only for credentials that derive, or for nobody where anybody gets one. A
//! token never stands where one of those it was handed out for does not, and never for longer.

use super::Context;
use super::credentials::{Fit, is_own_cookie, issued_fits};
use crate::catalog::TokenEndpoint;
use crate::fingerprint::{Fingerprint, FingerprintKey};
use crate::inspect::exchanged::{HandedOut, Life};
use crate::inspect::{Facts, Presented};
use crate::message::Head;
use crate::policy::file::Credentials;
use crate::policy::{Ix, Resource};
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

/// Of whom a token is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parent {
    /// Of a credential that was issued, by its name and by its value of then.
    Issued {
        /// Its name.
        name: Arc<str>,
        /// Its value.
        value: Fingerprint,
    },
    /// Of one that is pinned for a resource.
    Pinned {
        /// The resource.
        resource: Arc<str>,
        /// Its value.
        value: Fingerprint,
    },
    /// Minted: it may do something else than what was presented for it, so that it is one of its own
    /// beside that, and so is what comes of it.
    Minted {
        /// By which operation.
        operation: Arc<str>,
        /// Its own value.
        value: Fingerprint,
    },
    /// Of nobody: anybody is handed one by this host.
    Nobody {
        /// The host.
        host: Arc<str>,
    },
}

impl Parent {
    /// The value that was presented, or minted.
    pub const fn value(&self) -> Option<Fingerprint> {
        match self {
            Self::Issued { value, .. }
            | Self::Pinned { value, .. }
            | Self::Minted { value, .. } => Some(*value),
            Self::Nobody { .. } => None,
        }
    }
}

/// A token that was handed out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// All that was presented for it.
    pub parents: Arc<[Parent]>,
    /// When it ends, since 1970; none: with its parents.
    pub until: Option<Duration>,
    /// When it was handed out, since 1970.
    pub at: Duration,
}

impl Token {
    /// All that it stands for, in one order; nothing where anybody is handed one.
    pub fn stands_for(&self) -> Vec<Fingerprint> {
        let mut values: Vec<Fingerprint> = self.parents.iter().filter_map(Parent::value).collect();
        values.sort_by_key(|value| *value.as_bytes());
        values.dedup();
        values
    }
}

/// How long a token lasts whose answer does not say so.
const UNSAID: Duration = Duration::from_hours(1);

/// The tokens that were handed out to one agent.
#[derive(Clone, Debug, Default)]
pub struct Derived(Arc<HashMap<Fingerprint, Token>>);

impl Derived {
    /// The most that are kept.
    pub const MOST: usize = 1_000;

    /// A token, if it is not over.
    pub fn get(&self, print: &Fingerprint, now: Duration) -> Option<&Token> {
        self.0.get(print).filter(|token| token.until.is_none_or(|until| now < until))
    }

    /// Keeps a token; tells which are not kept any more: those that are over, and where there are too
    /// many, the oldest, those of nobody first.
    pub fn keep(&mut self, print: Fingerprint, token: Token, now: Duration) -> Vec<Fingerprint> {
        let known = Arc::make_mut(&mut self.0);
        known.insert(print, token);
        let over = |token: &Token| token.until.is_some_and(|until| until <= now);
        let mut gone: Vec<Fingerprint> =
            known.iter().filter(|(_, token)| over(token)).map(|(print, _)| *print).collect();
        if known.len().saturating_sub(gone.len()) > Self::MOST {
            let others = known.iter().filter(|(other, token)| **other != print && !over(token));
            let oldest = others.min_by_key(|(_, token)| {
                let of_nobody = token.parents.iter().any(|parent| parent.value().is_none());
                (!of_nobody, token.at)
            });
            gone.extend(oldest.map(|(print, _)| *print));
        }
        for print in &gone {
            known.remove(print);
        }
        gone
    }
}

impl FromIterator<(Fingerprint, Token)> for Derived {
    fn from_iter<I: IntoIterator<Item = (Fingerprint, Token)>>(tokens: I) -> Self {
        Self(Arc::new(tokens.into_iter().collect()))
    }
}

/// For whom the answer to an allowed request hands out tokens.
#[derive(Clone, Debug)]
pub struct Deriving {
    /// What the endpoint hands out.
    pub endpoint: Arc<TokenEndpoint>,
    pub(super) parents: Arc<[Parent]>,
    pub(super) until: Option<Duration>,
}

impl Deriving {
    /// Whether what is exchanged is known, and what comes back may do no more.
    pub(super) fn is_exchange(&self) -> bool {
        !self.endpoint.mints && self.parents.iter().all(|parent| parent.value().is_some())
    }

    /// What an answer handed out, as it is known from now on.
    pub fn tokens(
        &self,
        handed_out: &HandedOut,
        key: &FingerprintKey,
        now: Duration,
    ) -> Vec<(Fingerprint, Token)> {
        let ends = match handed_out.life {
            Life::Unsaid => now.saturating_add(UNSAID),
            Life::Seconds(seconds) => now.saturating_add(Duration::from_secs(seconds)),
            Life::Until(until) => until,
        };
        let of_value = |(lasts, value): &(bool, zeroize::Zeroizing<String>)| {
            // What renews a token outlives it.
            let until = match (self.until, *lasts) {
                (until, true) if self.is_of_somebody() => until,
                (until, _) => Some(until.map_or(ends, |until| until.min(ends))),
            };
            let value = key.fingerprint(value.as_bytes());
            let operation = || Arc::from(&*self.endpoint.operation);
            let minted =
                self.endpoint.mints.then(|| Parent::Minted { operation: operation(), value });
            let parents = self.parents.iter().cloned().chain(minted).collect();
            (value, Token { parents, until, at: now })
        };
        handed_out.values.iter().map(of_value).collect()
    }

    fn is_of_somebody(&self) -> bool {
        self.parents.iter().all(|parent| parent.value().is_some())
    }
}

/// For whom the answer to a request hands out tokens; none where it hands out none that are known.
pub(super) fn deriving(
    facts: &Facts,
    head: &Head,
    candidates: &[(Ix, &Resource)],
    context: &Context<'_>,
) -> Option<Deriving> {
    let catalog = candidates.first().and_then(|(_, resource)| resource.catalog())?;
    let [operation] = &**facts.operations() else { return None };
    let host = head.target().host();
    let endpoint = catalog.token_endpoint(&operation.name, host.as_str())?;
    if facts.asks_of_another() || head.target().is_cleartext() {
        return None;
    }
    let mut parents: Vec<Parent> = Vec::new();
    let mut until: Option<Duration> = None;
    for presented in facts.credentials().iter().filter(|one| !is_own_cookie(one, context)) {
        let (of, ends) = parents_of(presented, candidates, context)?;
        parents.extend(of.into_iter().filter(|parent| parent.value().is_some()));
        until = match (until, ends) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    parents.dedup();
    if parents.is_empty() {
        if !endpoint.anonymous {
            return None;
        }
        parents.push(Parent::Nobody { host: host.shared().clone() });
    }
    Some(Deriving { endpoint: endpoint.clone(), parents: Arc::from(parents), until })
}

/// Of whom what is handed out for a credential is, and until when; none if it does not derive.
fn parents_of(
    presented: &Presented,
    candidates: &[(Ix, &Resource)],
    context: &Context<'_>,
) -> Option<(Vec<Parent>, Option<Duration>)> {
    for reading in presented.readings() {
        if let Some((ix, credential)) = context.policy.issued(reading) {
            let mine = context.agent.credentials.contains(&ix) && context.policy.derives(ix);
            let parent = Parent::Issued { name: credential.name.clone(), value: *reading };
            return mine.then(|| (vec![parent], None));
        }
    }
    if let Some(token) = of(presented, context) {
        return Some((token.parents.to_vec(), token.until));
    }
    let value = presented.fingerprint()?;
    let pinning = candidates.iter().find_map(|(_, resource)| {
        let pins = context.standing.pins.get(&resource.name);
        let known = pins.and_then(|pins| pins.iter().find(|p| presented.readings().contains(p)));
        let value = match (known, pins.is_none_or(Vec::is_empty)) {
            (Some(known), _) => *known,
            // It is pinned by this request, if it passes.
            (None, true) => value,
            (None, false) => return None,
        };
        let is = resource.credentials == Credentials::FirstSeen;
        is.then(|| Parent::Pinned { resource: resource.name.clone(), value })
    });
    pinning.map(|parent| (vec![parent], None))
}

/// The token that a credential is, if it is one that was handed out and is not over.
pub(super) fn of<'c>(presented: &Presented, context: &Context<'c>) -> Option<&'c Token> {
    let derived = &context.standing.derived;
    let now = u64::try_from(context.inventory.now()).map_or(Duration::ZERO, Duration::from_millis);
    presented.readings().iter().find_map(|reading| derived.get(reading, now))
}

/// Whether a token fits a resource: where each of its parents does.
pub(super) fn fit(token: &Token, resource: &Resource, context: &Context<'_>) -> Fit {
    // That it was minted says nothing of where it may be used.
    let of = token.parents.iter().filter(|parent| !matches!(parent, Parent::Minted { .. }));
    let each = of.map(|parent| match parent {
        _ if resource.credentials == Credentials::Any && parent.value().is_none() => Fit::Fits,
        Parent::Issued { name, value } => match context.policy.issued(value) {
            Some((ix, credential))
                if credential.name == *name
                    && context.agent.credentials.contains(&ix)
                    && context.policy.derives(ix) =>
            {
                issued_fits(ix, resource, context)
            }
            _ => Fit::Foreign,
        },
        Parent::Pinned { resource: of, value } => {
            let is = resource.name == *of && resource.credentials == Credentials::FirstSeen;
            let pins = context.standing.pins.get(of);
            let pinned = is && pins.is_some_and(|pins| pins.contains(value));
            let open = resource.credentials == Credentials::Any;
            if pinned || open { Fit::Fits } else { Fit::Foreign }
        }
        Parent::Nobody { host } => {
            let covers = resource.hosts.iter().any(|pattern| pattern.fits(host));
            let takes = resource.credentials != Credentials::None;
            if covers && takes { Fit::Fits } else { Fit::Foreign }
        }
        Parent::Minted { .. } => Fit::Foreign,
    });
    each.max().unwrap_or(Fit::Foreign)
}

/// How a token is told: of whom it is.
pub(super) fn name(token: &Token) -> Arc<str> {
    let of: Vec<String> = token
        .parents
        .iter()
        .filter_map(|parent| match parent {
            Parent::Issued { name, .. } => Some(format!("{name} (derived)")),
            Parent::Pinned { resource, .. } => Some(format!("pinned for {resource} (derived)")),
            Parent::Nobody { host } => Some(format!("anonymous of {host}")),
            Parent::Minted { .. } => None,
        })
        .collect();
    Arc::from(of.join(" and "))
}

/// Whether a token is nobody's, so that it says no more than none.
pub(super) fn is_of_nobody(token: &Token) -> bool {
    token.parents.iter().any(|parent| parent.value().is_none())
}
