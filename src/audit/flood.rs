//! Refusals without end: recorded one by one up to a rate, counted beyond it.
//!
//! Takes the agent of a refusal; returns whether it gets a record of its own, with how many before it
//! did not. What was allowed, held or approved always has its record: a flood of refusals must not
//! push those out of what is kept.

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};

const PER_SECOND: NonZeroU32 = NonZeroU32::new(20).unwrap();
const AT_ONCE: NonZeroU32 = NonZeroU32::new(1_000).unwrap();

/// The refusals of each agent, and of those that are none.
#[derive(Default)]
pub(super) struct Flood {
    // Names come from the policy, so there are only so many.
    agents: Mutex<HashMap<Option<Arc<str>>, Share>>,
}

struct Share {
    rate: DefaultDirectRateLimiter,
    left_out: u64,
}

impl Flood {
    /// How many refusals were left out before this one; nothing if it is left out too.
    pub(super) fn admit(&self, agent: Option<&Arc<str>>) -> Option<u64> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let share = agents.entry(agent.cloned()).or_insert_with(|| Share {
            rate: RateLimiter::direct(Quota::per_second(PER_SECOND).allow_burst(AT_ONCE)),
            left_out: 0,
        });
        if share.rate.check().is_ok() {
            return Some(std::mem::take(&mut share.left_out));
        }
        share.left_out = share.left_out.saturating_add(1);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_is_counted_for_each_agent() {
        let flood = Flood::default();
        let (loud, quiet) = (Arc::from("loud"), Arc::from("quiet"));
        let admitted = (0..5_000).filter_map(|_| flood.admit(Some(&loud))).count();
        assert!((1_000..5_000).contains(&admitted), "{admitted}");
        assert_eq!(flood.admit(Some(&quiet)), Some(0));
        assert_eq!(flood.admit(None), Some(0));
    }
}
