//! Tool calls that were told of, so that one call is one fact.
//!
//! Takes what is told of a call and by whom; says whether it is news. An agent asks about a call before
//! it runs, and the conversation with its model shows the same call; a retry at once is the same call
//! too. An agent cannot spend an id that a later call of its model will have: only what was noted counts.

use std::collections::VecDeque;
use std::time::Duration;

/// So many are remembered of one agent.
const MOST: usize = 256;
/// For so long the same call again is a retry.
const RETRY: Duration = Duration::from_mins(1);

/// Who tells of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Teller {
    /// The agent, before it runs.
    Agent,
    /// The conversation with its model.
    Conversation,
}

/// What is told of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// By whom.
    pub by: Teller,
    /// Its id, as a keyed number, where it has one.
    pub id: Option<u64>,
    /// The tool and its input, as a keyed number.
    pub what: u64,
}

/// The calls of one agent that were told of lately.
#[derive(Clone, Debug, Default)]
pub struct Reported {
    all: VecDeque<(Told, Duration)>,
}

impl Reported {
    /// Whether it is news, at a time. It is none afterwards.
    pub fn is_new(&mut self, told: Told, at: Duration) -> bool {
        let is_same = |(known, since): &(Told, Duration)| {
            let retried = known.what == told.what && at.saturating_sub(*since) < RETRY;
            let elsewhere = known.by != told.by && known.id.is_some() && known.id == told.id;
            retried || elsewhere
        };
        if self.all.iter().any(is_same) {
            return false;
        }
        if self.all.len() == MOST {
            self.all.pop_front();
        }
        self.all.push_back((told, at));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_one_fact_whoever_tells_of_it() {
        use Teller::{Agent, Conversation};
        let told = |by, id, what| Told { by, id, what };
        let rows = [
            (told(Agent, Some(1), 10), 0, true, "the first"),
            (told(Conversation, Some(1), 11), 600, false, "the same id by the model"),
            (told(Agent, Some(2), 10), 59, false, "a retry under a new id"),
            (told(Agent, None, 10), 61, true, "the same a minute later"),
            (told(Agent, Some(1), 12), 62, true, "another call under a spent id"),
            (told(Conversation, Some(9), 13), 63, true, "a call that only the model told of"),
            (told(Agent, Some(9), 14), 64, false, "and the agent after it"),
            (told(Conversation, None, 15), 65, true, "no id is not the same as no id"),
            (told(Agent, None, 16), 66, true, "from either side"),
        ];
        let mut reported = Reported::default();
        for (told, seconds, new, name) in rows {
            assert_eq!(reported.is_new(told, Duration::from_secs(seconds)), new, "{name}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut reported = Reported::default();
        for what in 0..10_000 {
            assert!(reported.is_new(Told { by: Teller::Agent, id: None, what }, Duration::ZERO));
        }
        assert_eq!(reported.all.len(), MOST);
    }
}
