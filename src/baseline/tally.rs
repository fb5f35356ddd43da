//! How unusual a session has been so far, in bounded memory.
//!
//! Takes the surprise of each request as it passes; returns sums by feature and what added most. Of
//! different things that add beyond the usual, so many are kept: a new one takes the place of the
//! smallest that it exceeds.

use super::model::Model;
use super::step::Before;
use super::surprise::{Feature, Part, Surprise, bits};
use serde_json::{Value, json};
use std::sync::Arc;

/// How many contributions are told.
pub(super) const TOLD: usize = 3;
/// How many are kept.
const KEPT: usize = 64;

#[derive(Clone, Debug)]
struct Contribution {
    part: Part,
    calls: u32,
}

impl Contribution {
    fn total(&self) -> u64 {
        u64::from(self.part.beyond()) * u64::from(self.calls)
    }
}

/// The sums of one session.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    session: Option<Arc<str>>,
    requests: u32,
    /// Thousandths of a bit, in the order of [`Feature::ALL`].
    sums: [u64; Feature::ALL.len()],
    most: u32,
    contributions: Vec<Contribution>,
    before: Option<Before>,
}

impl Tally {
    /// What the last request of a session was; none before its first.
    pub fn before(&self, session: &Arc<str>) -> Option<&Before> {
        self.before.as_ref().filter(|_| self.session.as_ref() == Some(session))
    }

    /// Adds a request that passed; a new session begins anew.
    pub fn note(&mut self, session: &Arc<str>, surprise: &Surprise) {
        if self.session.as_ref() != Some(session) {
            *self = Self { session: Some(session.clone()), ..Self::default() };
        }
        self.requests = self.requests.saturating_add(1);
        self.most = self.most.max(surprise.millibits());
        self.before = Some(surprise.after.clone());
        for part in &surprise.parts {
            for (feature, sum) in Feature::ALL.iter().zip(&mut self.sums) {
                if *feature == part.subject.feature() {
                    *sum = sum.saturating_add(part.millibits.into());
                }
            }
            if part.beyond() > 0 {
                self.contribute(part);
            }
        }
    }

    fn contribute(&mut self, part: &Part) {
        let known = self.contributions.iter_mut().find(|known| known.part.subject == part.subject);
        if let Some(known) = known {
            known.calls = known.calls.saturating_add(1);
            return;
        }
        let new = Contribution { part: part.clone(), calls: 1 };
        if self.contributions.len() < KEPT {
            self.contributions.push(new);
            return;
        }
        let smallest = self.contributions.iter_mut().min_by_key(|known| known.total());
        if let Some(smallest) = smallest.filter(|known| known.total() < new.total()) {
            *smallest = new;
        }
    }

    /// How many requests counted.
    pub const fn requests(&self) -> u32 {
        self.requests
    }

    /// What added most, in words, the most first.
    pub fn told(&self) -> Vec<String> {
        let mut all: Vec<&Contribution> = self.contributions.iter().collect();
        all.sort_by_key(|one| std::cmp::Reverse(one.total()));
        all.into_iter().take(TOLD).map(|one| one.part.told(one.calls)).collect()
    }

    /// For reports; nothing of another session than the one of now.
    pub fn report(&self, session: &Arc<str>, profile: &str, model: &Model) -> Value {
        let empty = Self::default();
        let tally = if self.session.as_ref() == Some(session) { self } else { &empty };
        let sum = tally.sums.iter().fold(0_u64, |sum, one| sum.saturating_add(*one));
        let requests = u64::from(tally.requests);
        let mean = sum.checked_div(requests).unwrap_or(0);
        let features: serde_json::Map<String, Value> = Feature::ALL
            .iter()
            .zip(tally.sums)
            .map(|(feature, sum)| {
                let mean = sum.checked_div(requests).unwrap_or(0);
                (feature.as_str().to_owned(), json!({ "total": number(sum), "mean": number(mean) }))
            })
            .collect();
        json!({
            "profile": profile,
            "requests": requests,
            "bits": {
                "total": number(sum),
                "mean": number(mean),
                "most": number(tally.most.into()),
                "usual_mean": number(model.usual()),
            },
            "features": features,
            "contributions": tally.told(),
        })
    }
}

/// Thousandths of a bit as a number of bits with one place.
fn number(millibits: u64) -> Value {
    bits(millibits).parse::<f64>().map_or(Value::Null, Value::from)
}
