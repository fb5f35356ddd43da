//! Records of the audit log as steps.
//!
//! Takes records in their order; returns what the requests of one session asked for. Only what passed
//! counts as a step: what was refused or is waiting is counted apart, so that it is never learned as
//! normal. A record that does not say what it did is counted as unread, never guessed.

use super::step::Step;
use crate::catalog::Effect;
use serde_json::Value;
use std::sync::Arc;

/// The most requests of one session that are looked at.
const MOST_STEPS: usize = 1_000_000;

/// What one record says that a request asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Asked {
    /// It passed.
    Passed(Step),
    /// It waits, or was handed its hold.
    Held,
    /// It was refused.
    Denied,
    /// It does not say.
    Unread,
}

impl Asked {
    /// What a record is of; none if it is of no request.
    pub fn of(record: &Value) -> Option<Self> {
        let text = |key: &str| record.get(key).and_then(Value::as_str);
        (text("kind") == Some("request")).then(|| match text("verdict") {
            Some("allow") => step(record).map_or(Self::Unread, Self::Passed),
            Some("hold") => Self::Held,
            Some("deny") => Self::Denied,
            _ => Self::Unread,
        })
    }
}

fn step(record: &Value) -> Option<Step> {
    let host: Arc<str> = Arc::from(record.get("host")?.as_str()?);
    let named: Vec<(Effect, Arc<str>)> =
        operations(record)?.into_iter().map(|(effect, name)| (effect, Arc::from(name))).collect();
    Step::new(&host, named.iter().map(|(effect, name)| (*effect, name)))
}

/// The operations of a record with their effects; none where it does not say both.
pub fn operations(record: &Value) -> Option<Vec<(Effect, &str)>> {
    let list = |key: &str| record.get(key).and_then(Value::as_array);
    let (operations, effects) = (list("operations")?, list("effects")?);
    if operations.len() != effects.len() {
        return None;
    }
    let both = operations.iter().zip(effects);
    both.map(|(name, effect)| Some((Effect::parse(effect.as_str()?)?, name.as_str()?))).collect()
}

/// What was read of one session.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Whose it is.
    pub agent: Option<String>,
    /// What passed, in its order.
    pub steps: Vec<Step>,
    /// Records of requests that wait or were handed their hold.
    pub held: u32,
    /// Requests that were refused.
    pub denied: u32,
    /// Requests of which the record does not say what they did.
    pub unread: u32,
    /// Its first and last record.
    pub records: Option<(u64, u64)>,
}

impl Reading {
    /// Takes the next record of the log, if it is of the session.
    pub fn take(&mut self, record: &Value, session: &str) {
        let text = |key: &str| record.get(key).and_then(Value::as_str);
        if text("session") != Some(session) {
            return;
        }
        if let Some(seq) = record.get("seq").and_then(Value::as_u64) {
            self.records = Some((self.records.map_or(seq, |(first, _)| first), seq));
        }
        if self.agent.is_none() {
            self.agent = text("agent").map(str::to_owned);
        }
        let count = match Asked::of(record) {
            None => return,
            Some(Asked::Passed(step)) if self.steps.len() < MOST_STEPS => {
                return self.steps.push(step);
            }
            Some(Asked::Held) => &mut self.held,
            Some(Asked::Denied) => &mut self.denied,
            Some(Asked::Passed(_) | Asked::Unread) => &mut self.unread,
        };
        *count = count.saturating_add(1);
    }
}
