//! The states of a hold and what leads from one to another.
//!
//! Takes a state, an event and the time; returns the next state, or that nothing changes. Pure.
//! `waiting -> approved | denied | expired | withdrawn`, `approved -> redeemed | lapsed | withdrawn`;
//! terminal states never change.

/// Where a hold is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody has answered yet, or not enough people.
    Waiting,
    /// One identical call may be sent.
    Approved,
    /// It may not.
    Denied,
    /// Nobody answered in time.
    Expired,
    /// A narrowed policy or a quarantine took it back.
    Withdrawn,
    /// The call has been sent.
    Redeemed,
    /// The approval was not used in time.
    Lapsed,
}

/// What happens to a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Enough people have approved.
    Approve,
    /// A person has denied.
    Deny,
    /// The policy of now does not allow it any more.
    Withdraw,
    /// Somebody is about to send the call.
    Redeem,
    /// The clock was looked at.
    Look,
}

/// The times of a hold, in milliseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// From then on nobody can approve it.
    pub expires: i64,
    /// From then on an approval cannot be used; set by the approval.
    pub redeem_until: Option<i64>,
}

const WORDS: &[(State, &str)] = &[
    (State::Waiting, "waiting"),
    (State::Approved, "approved"),
    (State::Denied, "denied"),
    (State::Expired, "expired"),
    (State::Withdrawn, "withdrawn"),
    (State::Redeemed, "redeemed"),
    (State::Lapsed, "lapsed"),
];

impl State {
    /// The word of the API, the store and denials.
    pub fn as_str(self) -> &'static str {
        WORDS.iter().find(|(state, _)| *state == self).map_or("", |(_, word)| word)
    }

    /// The state a word names.
    pub fn parse(word: &str) -> Option<Self> {
        WORDS.iter().find(|(_, known)| *known == word).map(|(state, _)| *state)
    }

    /// Whether it can still change.
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Waiting | Self::Approved)
    }

    /// The state after something happened at a time. Time comes first: what is over by the clock
    /// is over whatever else happens.
    #[must_use]
    pub fn after(self, happening: Happening, times: Times, now: i64) -> Self {
        let over = match self {
            Self::Waiting => now >= times.expires,
            Self::Approved => times.redeem_until.is_none_or(|until| now >= until),
            _ => return self,
        };
        match (self, happening) {
            (Self::Waiting, _) if over => Self::Expired,
            (Self::Approved, _) if over => Self::Lapsed,
            (_, Happening::Withdraw) => Self::Withdrawn,
            (Self::Waiting, Happening::Approve) => Self::Approved,
            (Self::Waiting, Happening::Deny) => Self::Denied,
            (Self::Approved, Happening::Redeem) => Self::Redeemed,
            (unchanged, _) => unchanged,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn happening() -> impl Strategy<Value = Happening> {
        prop_oneof![
            Just(Happening::Approve),
            Just(Happening::Deny),
            Just(Happening::Withdraw),
            Just(Happening::Redeem),
            Just(Happening::Look),
        ]
    }

    proptest! {
        /// M-17.
        #[test]
        fn terminal_states_stay_and_at_most_one_redeems(events in prop::collection::vec((happening(), 0i64..200), 0..40)) {
            let times = Times { expires: 100, redeem_until: Some(150) };
            let mut state = State::Waiting;
            let (mut redeemed, mut approved) = (0, false);
            for (happening, now) in events {
                let next = state.after(happening, times, now);
                if !state.is_live() {
                    prop_assert_eq!(next, state);
                }
                if next == State::Approved && state != next {
                    prop_assert!(happening == Happening::Approve && now < 100);
                    approved = true;
                }
                if next == State::Redeemed && state != next {
                    prop_assert!(approved && now < 150);
                    redeemed += 1;
                }
                state = next;
            }
            prop_assert!(redeemed <= 1);
        }
    }

    #[test]
    fn words_are_read_back() {
        for (state, word) in WORDS {
            assert_eq!(State::parse(word), Some(*state));
            assert_eq!(state.as_str(), *word);
        }
    }
}
