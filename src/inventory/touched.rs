//! Which ids writes have touched lately, and in which order.
//!
//! An answer that was asked for before a write was over may show what was before it: what it says of
//! the ids of that write teaches nothing. Pure and bounded: where an old touch has to go, every answer
//! that was asked for before it teaches nothing at all.

use crate::policy::folded;
use std::collections::HashMap;

/// The touches that are remembered.
#[derive(Debug, Default)]
pub(super) struct Touched {
    count: u64,
    /// Answers asked for before this teach nothing.
    floor: u64,
    ids: HashMap<Box<str>, u64>,
}

impl Touched {
    /// More are not remembered one by one.
    const MOST: usize = 10_000;

    /// The moment of now, for an answer that is asked for.
    pub(super) const fn now(&self) -> u64 {
        self.count
    }

    /// Notes that a write touches ids.
    pub(super) fn touch<'i>(&mut self, ids: impl Iterator<Item = &'i str>) {
        self.count += 1;
        for id in ids {
            self.ids.insert(folded(id).into(), self.count);
        }
        if self.ids.len() > Self::MOST {
            let mut all: Vec<u64> = self.ids.values().copied().collect();
            let middle = all.len() / 2;
            let (_, half, _) = all.select_nth_unstable(middle);
            self.floor = self.floor.max(*half);
            self.ids.retain(|_, touched| *touched > self.floor);
        }
    }

    /// Whether what was asked for at a moment may say how an id is now.
    pub(super) fn tells(&self, asked: u64, id: &str) -> bool {
        asked >= self.floor && self.ids.get(&*folded(id)).is_none_or(|touched| *touched <= asked)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_answer_says_nothing_of_what_was_touched_since() {
        let mut touched = Touched::default();
        let before = touched.now();
        touched.touch(["DDDDDDDD-0000-4000-8000-000000000001", "other"].into_iter());
        let after = touched.now();
        let volume = "dddddddd-0000-4000-8000-000000000001";
        assert!(!touched.tells(before, volume) && !touched.tells(before, "other"));
        assert!(touched.tells(before, "untouched") && touched.tells(after, volume));
    }

    #[test]
    fn what_is_no_longer_remembered_makes_older_answers_say_nothing() {
        let mut touched = Touched::default();
        touched.touch(["first"].into_iter());
        let asked = touched.now();
        for at in 0..=Touched::MOST {
            touched.touch([format!("id {at}")].iter().map(String::as_str));
        }
        assert!(touched.ids.len() <= Touched::MOST);
        assert!(!touched.tells(asked, "untouched"));
        assert!(touched.tells(touched.now(), "first"));
        assert!(!touched.tells(touched.now() - 1, &format!("id {}", Touched::MOST)));
    }
}
