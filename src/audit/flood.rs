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
    agents: Mutex<HashMap<Whose, Share>>,
}

/// An agent, and whether its refusals are grave.
type Whose = (Option<Arc<str>>, bool);

struct Share {
    rate: DefaultDirectRateLimiter,
    left_out: u64,
}

impl Flood {
    /// How many refusals were left out before this one; nothing if it is left out too. Those that are
    /// grave have a share of their own, so that cheap ones cannot hide them.
    pub(super) fn admit(&self, agent: Option<&Arc<str>>, grave: bool) -> Option<u64> {
        let mut agents = self.agents.lock().unwrap_or_else(PoisonError::into_inner);
        let share = agents.entry((agent.cloned(), grave)).or_insert_with(|| Share {
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
        let admitted = (0..5_000).filter_map(|_| flood.admit(Some(&loud), false)).count();
        assert!((1_000..5_000).contains(&admitted), "{admitted}");
        assert_eq!(flood.admit(Some(&quiet), false), Some(0));
        assert_eq!(flood.admit(Some(&loud), true), Some(0));
        assert_eq!(flood.admit(None, false), Some(0));
    }
}
