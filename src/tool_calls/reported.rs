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
/// For so long an id is known from where it was told first: a person may have been waited for.
const ELSEWHERE: Duration = Duration::from_mins(10);

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
    all: VecDeque<Known>,
}

#[derive(Clone, Debug)]
struct Known {
    told: Told,
    at: Duration,
    /// Whether the other has told of it as well: one id is one call.
    is_met: bool,
}

impl Reported {
    /// Whether it is news, at a time. It is none afterwards.
    pub fn is_new(&mut self, told: Told, at: Duration) -> bool {
        let since = |known: &Known| at.saturating_sub(known.at);
        let has_its_id = |known: &Known| {
            told.id.is_some() && known.told.id == told.id && since(known) < ELSEWHERE
        };
        let is_retried = |known: &Known| {
            known.told.what == told.what && (since(known) < RETRY || has_its_id(known))
        };
        let is_elsewhere =
            |known: &Known| known.told.by != told.by && !known.is_met && has_its_id(known);
        // The same call under its id first: a retry would not spend that.
        if let Some(known) = self.all.iter_mut().find(|known| is_elsewhere(known)) {
            known.is_met = true;
            return false;
        }
        if self.all.iter().any(is_retried) {
            return false;
        }
        if self.all.len() == MOST {
            self.all.pop_front();
        }
        self.all.push_back(Known { told, at, is_met: false });
        true
    }

    /// Forgets all of it.
    pub fn forget(&mut self) {
        self.all.clear();
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
            (told(Agent, Some(2), 10), 59, false, "a retry under a new id"),
            (told(Agent, None, 10), 61, true, "the same a minute later"),
            (told(Agent, Some(1), 12), 62, true, "another call under a spent id"),
            (told(Conversation, Some(1), 11), 62, false, "the same id by the model"),
            (told(Conversation, Some(9), 13), 63, true, "a call that only the model told of"),
            (told(Agent, Some(9), 14), 64, false, "and the agent after it"),
            (told(Conversation, None, 15), 65, true, "no id is not the same as no id"),
            (told(Agent, None, 16), 66, true, "from either side"),
            (told(Agent, Some(3), 17), 70, true, "an id that the agent told of"),
            (told(Conversation, Some(3), 18), 669, false, "is the model's a while later"),
            (told(Conversation, Some(3), 19), 669, true, "once"),
            (told(Agent, Some(5), 22), 690, true, "a call that a person is asked about"),
            (told(Agent, Some(5), 22), 1289, false, "is asked for again"),
            (told(Agent, Some(4), 20), 700, true, "an id that is used again"),
            (told(Conversation, Some(4), 21), 1300, true, "hours later is another call"),
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
        reported.forget();
        assert!(reported.is_new(Told { by: Teller::Agent, id: None, what: 9_999 }, Duration::ZERO));
    }
}
