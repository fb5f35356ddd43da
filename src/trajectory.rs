//! Where a session is going: the stages it went through, and the orders of them that are dangerous.
//!
//! Takes the stages of one request with the time; returns which declared sequences it completes.
//! Pure, in bounded memory. Order is the proxy's clock, identical retries count once.

use crate::policy::{Sequence, Then};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// A typed step of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stage {
    /// A declared resource answered 401 or 403.
    AuthenticationFailure,
    /// A tool call of the model looked for credentials.
    CredentialDiscovery,
    /// A response handed out a secret.
    SecretHandedOut,
    /// A credential that was never issued was used.
    ForeignCredential,
    /// An issued credential was used elsewhere.
    CredentialOutOfScope,
    /// A host that no resource declares was called.
    OutOfScope,
    /// A declared resource was used beyond what it allows.
    ScopeViolation,
    /// Something destructive was asked for.
    Destructive,
    /// Something that cannot be undone was asked for.
    Irreversible,
}

const STAGES: &[(Stage, &str)] = &[
    (Stage::AuthenticationFailure, "authentication_failure"),
    (Stage::CredentialDiscovery, "credential_discovery"),
    (Stage::SecretHandedOut, "secret_handed_out"),
    (Stage::ForeignCredential, "foreign_credential"),
    (Stage::CredentialOutOfScope, "credential_out_of_scope"),
    (Stage::OutOfScope, "out_of_scope"),
    (Stage::ScopeViolation, "scope_violation"),
    (Stage::Destructive, "destructive"),
    (Stage::Irreversible, "irreversible"),
];

impl Stage {
    /// The word of the policy and of records.
    pub fn as_str(self) -> &'static str {
        STAGES.iter().find(|(stage, _)| *stage == self).map_or("", |(_, word)| word)
    }
    /// The stage a policy word names.
    pub fn parse(word: &str) -> Option<Self> {
        STAGES.iter().find(|(_, known)| *known == word).map(|(stage, _)| *stage)
    }
    /// Every word.
    pub fn words() -> Vec<&'static str> {
        STAGES.iter().map(|(_, word)| *word).collect()
    }
}

/// A stage with when it was noted and what it was noted for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Noted {
    /// The stage.
    pub stage: Stage,
    /// Since 1970, by the proxy's clock.
    pub at: Duration,
    /// The request's operation, for people.
    pub what: Arc<str>,
}

/// The stages of one agent, oldest first.
#[derive(Clone, Debug, Default)]
pub struct Trajectory {
    noted: VecDeque<Noted>,
    /// How often it changed, so that whoever keeps it sees that it did.
    changes: u64,
}

impl FromIterator<Noted> for Trajectory {
    fn from_iter<I: IntoIterator<Item = Noted>>(noted: I) -> Self {
        let mut trajectory = Self { noted: noted.into_iter().collect(), changes: 0 };
        while trajectory.noted.len() > MOST {
            trajectory.forget_one();
        }
        trajectory
    }
}

/// A declared sequence whose last step was met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// Its name.
    pub name: Arc<str>,
    /// What the policy says happens.
    pub then: Then,
}

const MOST: usize = 256;

impl Trajectory {
    /// Notes the stages of one request, in their order, and says which sequences that completes.
    pub fn note(
        &mut self,
        stages: &[Stage],
        what: &Arc<str>,
        at: Duration,
        sequences: &[Sequence],
    ) -> Vec<Completed> {
        let retry = stages.iter().all(|stage| {
            self.noted.iter().rev().take(stages.len()).any(|n| n.stage == *stage && n.what == *what)
        });
        if stages.is_empty() || retry {
            return Vec::new();
        }
        self.changes += 1;
        for stage in stages {
            if self.noted.len() == MOST {
                self.forget_one();
            }
            self.noted.push_back(Noted { stage: *stage, at, what: what.clone() });
        }
        sequences
            .iter()
            .filter(|sequence| self.completes(sequence, stages, at))
            .map(|sequence| Completed { name: sequence.name.clone(), then: sequence.then })
            .collect()
    }

    /// Makes room: of the stage that was noted most, the oldest but one goes. Noise pushes out noise,
    /// never the one thing that a sequence began with.
    fn forget_one(&mut self) {
        let count = |stage| self.noted.iter().filter(|noted| noted.stage == stage).count();
        let most = STAGES.iter().map(|(stage, _)| *stage).max_by_key(|stage| count(*stage));
        let mut of_it = self.noted.iter().enumerate().filter(|(_, n)| Some(n.stage) == most);
        let oldest = of_it.next();
        if let Some((at, _)) = of_it.next().or(oldest) {
            self.noted.remove(at);
        }
    }

    /// Forgets all of it; how many stages that were.
    pub fn forget(&mut self) -> usize {
        self.changes += 1;
        std::mem::take(&mut self.noted).len()
    }

    /// How often it changed.
    pub const fn changes(&self) -> u64 {
        self.changes
    }

    /// The stages so far, oldest first.
    pub fn stages(&self) -> impl Iterator<Item = &Noted> {
        self.noted.iter()
    }

    /// What met the steps of a sequence so far, in order, with gaps, within the time.
    pub fn progress(&self, sequence: &Sequence, at: Duration) -> Vec<&Noted> {
        let mut steps = sequence.steps.iter();
        let mut wanted = steps.next();
        let recent = self.noted.iter().filter(|n| at.saturating_sub(n.at) <= sequence.within);
        let meets = |noted: &&Noted| {
            let met = wanted.is_some_and(|step| step.contains(&noted.stage));
            if met {
                wanted = steps.next();
            }
            met
        };
        recent.filter(meets).collect()
    }

    /// Whether the last step is among the stages just noted, and all steps are met.
    fn completes(&self, sequence: &Sequence, now: &[Stage], at: Duration) -> bool {
        let Some(last) = sequence.steps.last() else { return false };
        now.iter().any(|stage| last.contains(stage))
            && self.progress(sequence, at).len() == sequence.steps.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sequence(steps: &[&[Stage]]) -> Sequence {
        Sequence {
            name: Arc::from("s"),
            within: Duration::from_mins(1),
            steps: steps.iter().map(|step| step.to_vec()).collect(),
            then: Then::Quarantine,
        }
    }

    #[test]
    fn noise_does_not_wash_a_step_away() {
        let sequences = [sequence(&[&[Stage::ForeignCredential], &[Stage::Irreversible]])];
        let mut trajectory = Trajectory::default();
        let mut note = |stages: &[Stage], what: String| {
            trajectory.note(stages, &Arc::from(what), Duration::from_secs(1), &sequences).len()
        };
        assert_eq!(note(&[Stage::ForeignCredential], "a".to_owned()), 0);
        for number in 0..2_000 {
            let stage = if number % 3 == 0 { Stage::ScopeViolation } else { Stage::OutOfScope };
            assert_eq!(note(&[stage], format!("GET /{number}")), 0);
        }
        assert_eq!(note(&[Stage::Irreversible], "b".to_owned()), 1);
    }

    #[test]
    fn steps_match_in_order_with_gaps_and_in_time() {
        use Stage::{
            AuthenticationFailure as Failure, Destructive, ForeignCredential as Foreign,
            Irreversible,
        };
        let sequences = [sequence(&[&[Failure], &[Foreign], &[Irreversible]])];
        type Step = (u64, &'static [Stage]);
        let cases: &[(&[Step], bool)] = &[
            (
                &[(0, &[Failure]), (1, &[Destructive]), (2, &[Foreign, Destructive, Irreversible])],
                true,
            ),
            (&[(0, &[Foreign]), (1, &[Failure]), (2, &[Irreversible])], false),
            (&[(0, &[Failure]), (90, &[Foreign, Irreversible])], false),
            (&[(0, &[Failure]), (1, &[Foreign])], false),
        ];
        for (steps, expected) in cases {
            let mut trajectory = Trajectory::default();
            let mut completed = Vec::new();
            for (at, stages) in *steps {
                let what = Arc::from(format!("{at}"));
                completed = trajectory.note(stages, &what, Duration::from_secs(*at), &sequences);
            }
            assert_eq!(!completed.is_empty(), *expected, "{steps:?}");
        }
    }

    #[test]
    fn memory_is_bounded_and_retries_count_once() {
        let mut trajectory = Trajectory::default();
        for n in 0..1_000 {
            let what = Arc::from(format!("{}", n / 2));
            trajectory.note(&[Stage::Destructive], &what, Duration::from_secs(n), &[]);
        }
        assert_eq!(trajectory.stages().count(), MOST);
    }
}
