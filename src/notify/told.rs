//! Which completed sequences people are told of one by one.
//!
//! Takes what an agent completed; returns what is told, with how many like it were not told before it. An
//! agent may complete a sequence that stops nothing again and again: within the time of the sequence
//! that is told once and counted beyond it, so that no agent talks people deaf.

use crate::policy::Then;
use crate::trajectory::Completed;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// An agent, and a sequence.
type Which = (Arc<str>, Arc<str>);

/// What people were told of.
#[derive(Debug, Default)]
pub struct Told {
    // Names of agents and sequences come from the policy, so there are only so many.
    last: Mutex<HashMap<Which, Last>>,
}

#[derive(Clone, Copy, Debug)]
struct Last {
    at: Duration,
    untold: u64,
}

impl Told {
    /// What is news of what an agent completed; `restrained` says that what it leads to was there before.
    pub fn news(
        &self,
        agent: &Arc<str>,
        completed: &[Completed],
        restrained: bool,
        now: Duration,
    ) -> Vec<Completed> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let mut news = |completed: &Completed| {
            let repeats = match completed.then {
                Then::HoldWrites => restrained,
                Then::Quarantine => false,
                _ => true,
            };
            // One that restrains the agent anew is told each time.
            let which = (agent.clone(), completed.name.clone());
            let before = last
                .get_mut(&which)
                .filter(|before| repeats && now.saturating_sub(before.at) < completed.within);
            if let Some(before) = before {
                before.untold = before.untold.saturating_add(1);
                return None;
            }
            let before = last.insert(which, Last { at: now, untold: 0 });
            let untold = before.map_or(0, |before| before.untold);
            Some(Completed { untold, ..completed.clone() })
        };
        completed.iter().filter_map(&mut news).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_told_once_in_its_time_and_counted() {
        let told = Told::default();
        let completed = |name: &str, then| Completed {
            name: Arc::from(name),
            then,
            within: Duration::from_mins(1),
            met: Vec::new(),
            untold: 0,
        };
        let ask = |agent: &str, name: &str, then, restrained, at| {
            let all = [completed(name, then)];
            let news = told.news(&Arc::from(agent), &all, restrained, Duration::from_secs(at));
            news.first().map(|one| one.untold)
        };
        use Then::{HoldWrites, Notify, Quarantine};
        let rows = [
            ("a", "s", Notify, false, 0, Some(0), "the first"),
            ("a", "s", Notify, false, 1, None, "again"),
            ("b", "s", Notify, false, 1, Some(0), "another agent"),
            ("a", "t", Notify, false, 1, Some(0), "another sequence"),
            ("a", "s", Notify, false, 59, None, "again, before its time is over"),
            ("a", "s", Notify, false, 60, Some(2), "after its time"),
            ("a", "s", Notify, false, 61, None, "and again"),
            ("a", "w", HoldWrites, false, 0, Some(0), "writes wait"),
            ("a", "w", HoldWrites, true, 1, None, "they do already"),
            ("a", "w", HoldWrites, false, 2, Some(1), "they do again after a release"),
            ("a", "q", Quarantine, false, 0, Some(0), "a quarantine"),
            ("a", "q", Quarantine, false, 1, Some(0), "and each after it"),
        ];
        for (agent, name, then, restrained, at, expected, why) in rows {
            assert_eq!(ask(agent, name, then, restrained, at), expected, "{why}");
        }
    }
}
