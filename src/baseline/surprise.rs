//! How unusual a request is, and what made it so.
//!
//! Takes shares of a [`super::Model`]; returns bits, in thousandths: one bit for each halving of how
//! often such a thing is to be expected. What made them is told in words from names that were parsed.

use super::model::Seen;
use super::step::Before;
use crate::catalog::Effect;
use std::fmt;
use std::sync::Arc;

/// What a part of a surprise is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Feature {
    /// Which host is called.
    Host,
    /// What is done there.
    Effect,
    /// By which kind of operation.
    Operation,
    /// After what.
    Order,
}

impl Feature {
    /// Every feature.
    pub const ALL: [Self; 4] = [Self::Host, Self::Effect, Self::Operation, Self::Order];

    /// The word of reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Host => "host",
            Self::Effect => "effect",
            Self::Operation => "operation",
            Self::Order => "order",
        }
    }
}

/// What exactly is surprising.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A call to a host.
    Host {
        /// The host.
        host: Arc<str>,
    },
    /// A call with an effect at a host.
    Effect {
        /// What it does.
        effect: Effect,
        /// The host.
        host: Arc<str>,
    },
    /// A call of a kind at a host.
    Operation {
        /// The kind of operation.
        kind: Arc<str>,
        /// The host.
        host: Arc<str>,
    },
    /// A call after another.
    Order {
        /// What it does.
        effect: Effect,
        /// The host.
        host: Arc<str>,
        /// What came before it; nothing before the first of a session.
        before: Option<Before>,
    },
}

impl Subject {
    /// The feature it is of.
    pub const fn feature(&self) -> Feature {
        match self {
            Self::Host { .. } => Feature::Host,
            Self::Effect { .. } => Feature::Effect,
            Self::Operation { .. } => Feature::Operation,
            Self::Order { .. } => Feature::Order,
        }
    }
}

/// One part of a surprise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// What it is about.
    pub subject: Subject,
    /// Thousandths of a bit.
    pub millibits: u32,
    /// What such parts are on average for the sessions that were learned.
    pub usual: u32,
    /// How often the profile has it.
    pub seen: u32,
    /// Among how many.
    pub of: u32,
}

impl Part {
    pub(super) const fn new(subject: Subject, millibits: u32, seen: Seen) -> Self {
        Self { subject, millibits, usual: 0, seen: seen.count, of: seen.of }
    }

    /// What it has beyond the usual: what is told first. What is common but many adds up to much
    /// and says little.
    pub const fn beyond(&self) -> u32 {
        self.millibits.saturating_sub(self.usual)
    }

    /// In words, for so many calls: `3 calls to api.github.com, never seen, 9.1 bits each`.
    pub fn told(&self, calls: u32) -> String {
        let call = if calls == 1 { "call" } else { "calls" };
        let what = match &self.subject {
            Subject::Host { host } => format!("{calls} {call} to {host}"),
            Subject::Effect { effect, host } => {
                format!("{calls} {} {call} to {host}", effect.as_str())
            }
            Subject::Operation { kind, host } => format!("{calls} {call} of `{kind}` at {host}"),
            Subject::Order { effect, host, before } => {
                let before = before.as_ref().map_or_else(
                    || "at the beginning".to_owned(),
                    |before| format!("after a {} call to {}", before.effect.as_str(), before.host),
                );
                format!("{calls} {} {call} to {host} {before}", effect.as_str())
            }
        };
        let seen = match (self.seen, self.of) {
            (0, _) => "never seen".to_owned(),
            (seen, of) => format!("seen in {seen} of {of}"),
        };
        let each = if calls == 1 { "" } else { " each" };
        format!("{what}, {seen}, {} bits{each}", bits(self.millibits.into()))
    }
}

/// How unusual a request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Surprise {
    /// What it is made of, at most one part a feature.
    pub parts: Vec<Part>,
    /// What the request is to the next one.
    pub(super) after: Before,
}

impl Surprise {
    /// All parts together, in thousandths of a bit.
    pub fn millibits(&self) -> u32 {
        self.parts.iter().fold(0, |sum, part| sum.saturating_add(part.millibits))
    }

    /// The same without what came before it: what is as unusual whenever it comes.
    pub fn millibits_whenever(&self) -> u32 {
        let parts = self.parts.iter().filter(|part| part.subject.feature() != Feature::Order);
        parts.fold(0, |sum, part| sum.saturating_add(part.millibits))
    }

    /// The biggest parts, in words.
    pub fn told(&self) -> Vec<String> {
        let mut parts: Vec<&Part> = self.parts.iter().filter(|part| part.beyond() > 0).collect();
        parts.sort_by_key(|part| std::cmp::Reverse(part.beyond()));
        parts.into_iter().take(super::tally::TOLD).map(|part| part.told(1)).collect()
    }
}

impl fmt::Display for Surprise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bits", bits(self.millibits().into()))
    }
}

/// Thousandths of a bit as bits with one place.
pub fn bits(millibits: u64) -> String {
    let tenths = (millibits + 50) / 100;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// The bits of a share, in thousandths.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the value is between 0 and 64,000"
)]
pub(super) fn millibits(share: f64) -> u32 {
    let bits = -share.clamp(f64::MIN_POSITIVE, 1.0).log2();
    (bits.clamp(0.0, 64.0) * 1_000.0).round() as u32
}
