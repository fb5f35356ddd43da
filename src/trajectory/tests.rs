//! What completes a sequence, what is kept, and that both are what a naive reading says.

use super::*;
use crate::policy::Sign;
use proptest::prelude::*;
use proptest::sample::select;

fn sequence(steps: &[&[Stage]]) -> Sequence {
    let step = |step: &&[Stage]| step.iter().copied().map(Sign::Stage).collect();
    Sequence {
        name: Arc::from("s"),
        within: Duration::from_mins(1),
        steps: steps.iter().map(step).collect(),
        then: Then::Quarantine,
        built_in: false,
    }
}

fn only(sequence: Sequence) -> Sequences {
    Sequences::new(vec![sequence], Vec::new(), Vec::new())
}

fn facts(stages: &[Stage], what: &str) -> Vec<Fact> {
    stages.iter().map(|stage| Fact { stage: *stage, what: Arc::from(what) }).collect()
}

fn note(
    trajectory: &mut Trajectory,
    at: u64,
    stages: &[Stage],
    what: &str,
    sequences: &Sequences,
) -> usize {
    let at = Duration::from_secs(at);
    trajectory.note(&facts(stages, what), call_of([what]), at, sequences).len()
}

#[test]
fn steps_match_in_order_with_gaps_and_in_time() {
    use Stage::{
        AuthenticationFailure as Failure, Destructive, ForeignCredential as Foreign, Irreversible,
    };
    let sequences = only(sequence(&[&[Failure], &[Foreign], &[Irreversible]]));
    type Step = (u64, &'static [Stage]);
    let cases: &[(&[Step], bool)] = &[
        (&[(0, &[Failure]), (1, &[Destructive]), (2, &[Foreign, Destructive, Irreversible])], true),
        (&[(0, &[Foreign]), (1, &[Failure]), (2, &[Irreversible])], false),
        (&[(0, &[Failure]), (90, &[Foreign, Irreversible])], false),
        (&[(0, &[Failure]), (50, &[Failure]), (90, &[Foreign, Irreversible])], true),
        (&[(0, &[Failure]), (1, &[Foreign])], false),
        // The first step again, in the middle, takes nothing back.
        (&[(0, &[Failure]), (1, &[Foreign]), (2, &[Failure]), (3, &[Irreversible])], true),
    ];
    for (steps, expected) in cases {
        let mut trajectory = Trajectory::default();
        let mut completed = 0;
        for (at, stages) in *steps {
            completed = note(&mut trajectory, *at, stages, &format!("{at}"), &sequences);
        }
        assert_eq!(completed == 1, *expected, "{steps:?}");
    }
}

/// What was kept by one build is known by the next.
#[test]
fn the_number_of_a_call_never_changes() {
    let rows: &[(&[&str], u64)] = &[
        (&["mutation volumeDelete", "volume", "v"], 2_229_528_064_780_164),
        (&["mutation volumeDelete", "volumev"], 2_599_409_669_602_170),
        (&[], 4_005_573_543_169_985),
    ];
    for (parts, number) in rows {
        assert_eq!(call_of(*parts), *number, "{parts:?}");
    }
}

#[test]
fn a_call_that_is_repeated_counts_once() {
    use Stage::{Deletion, OutOfScope};
    let sequences = only(sequence(&[&[Deletion], &[Deletion], &[Deletion]]));
    let mut trajectory = Trajectory::default();
    let mut delete = |at, what| note(&mut trajectory, at, &[Deletion], what, &sequences);
    assert_eq!(delete(1, "a"), 0);
    assert_eq!(delete(2, "a"), 0);
    assert_eq!(delete(3, "b"), 0);
    assert_eq!(delete(4, "a"), 0);
    assert_eq!(delete(5, "b"), 0);
    assert_eq!(delete(6, "c"), 1);
    // One that is repeated at once happened when it was repeated: it does not age out of the time.
    let sequences = only(sequence(&[&[OutOfScope], &[Deletion]]));
    let mut trajectory = Trajectory::default();
    for at in [0, 50, 100] {
        assert_eq!(note(&mut trajectory, at, &[OutOfScope], "x", &sequences), 0);
    }
    assert_eq!(trajectory.stages().count(), 1);
    assert_eq!(note(&mut trajectory, 150, &[Deletion], "y", &sequences), 1);
}

#[test]
fn operations_are_steps_by_their_names() {
    let mut sequences = only(sequence(&[&[], &[Stage::Irreversible]]));
    let pattern = crate::catalog::condition::Pattern::new("mutation *Restart");
    sequences.orders[0].steps[0] = vec![Sign::Operation(pattern)];
    for (called, expected) in [
        ("mutation deploymentRestart", 1),
        ("mutation deploymentRemove", 0),
        ("query deploymentRestart", 0),
    ] {
        let mut trajectory = Trajectory::default();
        assert_eq!(note(&mut trajectory, 1, &[Stage::Called], called, &sequences), 0);
        assert_eq!(note(&mut trajectory, 2, &[Stage::Irreversible], "x", &sequences), expected);
    }
}

#[test]
fn what_is_required_counts_only_once_it_is_done_and_for_so_long() {
    let sign = |text| Sign::Operation(crate::catalog::condition::Pattern::new(text));
    let requirement = Requirement {
        name: Arc::from("look first"),
        within: Duration::from_secs(10),
        requires: vec![Sign::Stage(Stage::BackupSeen), sign("mutation make")],
        before: vec![sign("mutation volumeDelete")],
        denies: false,
    };
    let sequences = Sequences::new(Vec::new(), vec![requirement.clone()], Vec::new());
    let has = |trajectory: &Trajectory, at, longer| {
        let past = trajectory.until(Duration::from_secs(at));
        past.has(&requirement, Duration::from_secs(longer))
    };
    for (stage, what, expected) in [
        (Stage::BackupSeen, "query list", true),
        (Stage::Done, "mutation make", true),
        (Stage::Called, "mutation make", false),
        (Stage::Done, "mutation other", false),
    ] {
        let mut trajectory = Trajectory::default();
        note(&mut trajectory, 100, &[stage], what, &sequences);
        assert_eq!(has(&trajectory, 110, 0), expected, "{stage:?} {what}");
        assert!(!has(&trajectory, 111, 0), "it lapses");
        assert_eq!(has(&trajectory, 120, 10), expected, "a call that waited");
        for number in 0..2_000 {
            note(
                &mut trajectory,
                101,
                &[Stage::OutOfScope, stage],
                &format!("{number}"),
                &sequences,
            );
        }
        assert!(trajectory.stages().count() < 2 * MOST);
    }
    assert!(!Past::NOTHING.has(&requirement, Duration::ZERO));
}

#[test]
fn what_is_missing_before_a_later_step_is_told() {
    use Stage::{CredentialDiscovery as Discovery, ForeignCredential as Foreign, Irreversible};
    let sequence = sequence(&[&[Discovery], &[Foreign], &[Irreversible]]);
    let cases: &[(&[Stage], usize, &[usize])] = &[
        (&[], 0, &[]),
        (&[Discovery], 1, &[]),
        (&[Foreign], 0, &[0]),
        (&[Irreversible], 0, &[0, 1]),
        (&[Foreign, Irreversible], 0, &[0]),
        (&[Discovery, Irreversible], 1, &[1]),
        (&[Discovery, Foreign], 2, &[]),
    ];
    for (stages, met, unseen) in cases {
        let mut trajectory = Trajectory::default();
        note(&mut trajectory, 1, stages, "x", &Sequences::default());
        let progress = trajectory.progress(&sequence, Duration::from_secs(2));
        assert_eq!((progress.met.len(), &*progress.unseen), (*met, *unseen), "{stages:?}");
    }
}

#[test]
fn built_in_sequences_are_complete_at_their_last_step_only() {
    let sequences = Sequences::new(built_in(), Vec::new(), Vec::new());
    assert_eq!(sequences.orders.len(), 7);
    for sequence in &sequences.orders {
        assert!(sequence.steps.len() > 1, "{}", sequence.name);
        // Every way through it, with the one step missing in turn.
        for missing in 0..=sequence.steps.len() {
            let mut trajectory = Trajectory::default();
            let mut completed = Vec::new();
            for (at, step) in sequence.steps.iter().enumerate() {
                let Some(Sign::Stage(stage)) = step.first() else { panic!("{step:?}") };
                if at == missing {
                    continue;
                }
                let at = Duration::from_secs(at as u64);
                let facts = facts(&[*stage], &format!("{at:?}"));
                assert_eq!(completed, [], "{}", sequence.name);
                completed = trajectory.note(&facts, 7, at, &sequences);
                completed.retain(|completed| completed.name == sequence.name);
            }
            let whole = missing == sequence.steps.len();
            assert_eq!(completed.len() == 1, whole, "{} without {missing}", sequence.name);
        }
    }
}

/// A fact of few stages and few calls, so that they meet and repeat.
fn fact() -> impl Strategy<Value = (Stage, u8, u64)> {
    (select(&STAGES[..]), 0..3_u8, 0..40_u64)
}

const STAGES: [Stage; 4] =
    [Stage::OutOfScope, Stage::ForeignCredential, Stage::ScopeViolation, Stage::Irreversible];

/// Whether steps are met by facts at growing places, the last of all facts among them, in the time, by
/// calls that do not repeat each other: by trying everything.
fn naive(steps: &[Vec<Sign>], facts: &[Noted], within: Duration) -> bool {
    let Some(last) = facts.last() else { return false };
    let meets = |fact: &Noted, step: &Vec<Sign>| step.contains(&Sign::Stage(fact.stage));
    let mut partial: Vec<Vec<usize>> = vec![Vec::new()];
    for step in steps {
        let mut next = Vec::new();
        for chain in &partial {
            let from = chain.last().map_or(0, |last| last + 1);
            for (place, fact) in facts.iter().enumerate().skip(from) {
                let fresh = chain.iter().all(|other| !facts[*other].repeats(fact));
                if meets(fact, step) && fresh && last.at.saturating_sub(fact.at) <= within {
                    next.push([&**chain, &[place]].concat());
                }
            }
        }
        partial = next;
    }
    partial.iter().any(|chain| chain.last() == Some(&(facts.len() - 1)))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Any steps, also such as share stages, against all ways to meet them.
    #[test]
    fn matching_is_what_a_naive_reading_says(
        steps in prop::collection::vec(prop::collection::vec(select(&STAGES[..]), 1..3), 1..5),
        happened in prop::collection::vec(fact(), 1..12),
    ) {
        let steps: Vec<&[Stage]> = steps.iter().map(Vec::as_slice).collect();
        let sequences = only(sequence(&steps));
        let order = &sequences.orders[0];
        let mut trajectory = Trajectory::default();
        let mut at = 0;
        for (stage, call, later) in happened {
            at += later;
            let changed = trajectory.stages().last().is_none_or(|last| {
                (last.stage, last.call) != (stage, u64::from(call))
            });
            let now = Duration::from_secs(at);
            let completed =
                trajectory.note(&facts(&[stage], "x"), u64::from(call), now, &sequences);
            let all: Vec<Noted> = trajectory.stages().cloned().collect();
            let expected = changed && naive(&order.steps, &all, order.within);
            prop_assert_eq!(completed.len() == 1, expected, "{:?} of {:?}", steps, all);
            for completed in &completed {
                prop_assert_eq!(completed.met.len(), steps.len());
                for (noted, step) in completed.met.iter().zip(&order.steps) {
                    prop_assert!(step.contains(&Sign::Stage(noted.stage)));
                }
            }
        }
    }

}

/// What a trajectory would be that forgot nothing.
#[derive(Default)]
struct Everything(VecDeque<Noted>);

impl Everything {
    fn note(&mut self, noted: Noted, sequence: &Sequence) -> bool {
        if let Some(last) = self.0.back_mut()
            && last.repeats(&noted)
        {
            last.at = noted.at;
            return false;
        }
        let (from, now) = (self.0.len(), noted.at);
        self.0.push_back(noted);
        matching::complete(sequence, &self.0, from, now).is_some()
    }
}

fn both(
    trajectory: &mut Trajectory,
    all: &mut Everything,
    noted: &Noted,
    sequences: &Sequences,
) -> (bool, bool) {
    let facts = [Fact { stage: noted.stage, what: noted.what.clone() }];
    let told = trajectory.note(&facts, noted.call, noted.at, sequences).len() == 1;
    (told, all.note(noted.clone(), &sequences.orders[0]))
}

/// A fact that two steps ask for is not forgotten for one that serves as well only until its call is
/// repeated.
#[test]
fn a_flood_takes_no_way_to_complete_a_sequence() {
    use Stage::{
        ForeignCredential as A, Irreversible as C, OutOfScope as Noise, ScopeViolation as B,
    };
    /// The steps, what happens before the flood, what it is of, and what comes after it.
    type Case<'a> = (&'a [&'a [Stage]], &'a [(Stage, &'a str)], Stage, (Stage, &'a str));
    let cases: &[Case<'_>] = &[
        (&[&[A, C], &[A, B], &[C]], &[(A, "a"), (C, "c"), (B, "b")], A, (C, "c")),
        (&[&[A, C], &[A, B], &[C]], &[(A, "a"), (C, "c"), (B, "b")], B, (C, "c")),
        (&[&[C], &[B], &[C]], &[(C, "x"), (C, "y"), (B, "b")], Noise, (C, "y")),
        (&[&[C], &[B], &[C]], &[(C, "x"), (C, "y"), (B, "b")], B, (C, "y")),
        (&[&[B], &[B], &[C], &[B]], &[(B, "x"), (B, "y"), (B, "z"), (C, "c")], C, (B, "z")),
    ];
    for (steps, before, noise, last) in cases {
        let sequences = only(Sequence { within: Duration::from_hours(9), ..sequence(steps) });
        let (mut trajectory, mut all) = (Trajectory::default(), Everything::default());
        let mut at = 0;
        let mut go = |stage, what: &str| {
            at += 1;
            let at = Duration::from_secs(at);
            let noted = Noted { stage, at, what: Arc::from(what), call: 1 };
            both(&mut trajectory, &mut all, &noted, &sequences)
        };
        for (stage, what) in *before {
            go(*stage, what);
        }
        for number in 0..900 {
            let (told, expected) = go(*noise, &format!("noise {number}"));
            assert_eq!(told, expected, "{steps:?} {number}");
            // Something else now and then, or the same at once would be one.
            go(Noise, if number % 2 == 0 { "even" } else { "odd" });
        }
        let (told, expected) = go(last.0, last.1);
        assert!(expected, "{steps:?} {last:?}");
        assert!(told, "{steps:?} {before:?} {noise:?} {last:?}");
    }
}

/// One fact fewer than there are steps: what cannot be met is not tried in every order, of which there are
/// more than anybody waits for.
#[test]
fn a_search_that_fails_ends() {
    let steps: Vec<&[Stage]> = vec![&[Stage::Deletion]; 20];
    let sequences = only(sequence(&steps));
    let mut trajectory = Trajectory::default();
    for at in 1..=20 {
        let told = note(&mut trajectory, at, &[Stage::Deletion], &format!("{at}"), &sequences);
        assert_eq!(told, usize::from(at == 20));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// However much noise of whatever stages comes between, and in whatever order: a sequence of steps
    /// that share no stage is complete when it would be if nothing were ever forgotten.
    #[test]
    fn noise_washes_no_step_away_and_memory_is_bounded(
        order in Just(STAGES.to_vec()).prop_shuffle(),
        bursts in prop::collection::vec((select(&STAGES[..3]), 1..400_u64), 1..12),
    ) {
        let steps: Vec<&[Stage]> = order.iter().map(std::slice::from_ref).collect();
        let sequences = only(Sequence { within: Duration::from_hours(9), ..sequence(&steps) });
        let mut trajectory = Trajectory::default();
        // All that was ever seen: how many steps are met is where the next one stands.
        let mut met = 0;
        let mut number = 0;
        let bursts = bursts.into_iter().chain([(Stage::Irreversible, 1)]);
        for (stage, times) in bursts {
            for _ in 0..times {
                number += 1;
                let complete = order[met.min(3)] == stage && met == 3;
                if met < 4 && order[met] == stage {
                    met += 1;
                }
                let what = format!("{number}");
                let told = note(&mut trajectory, number, &[stage], &what, &sequences) == 1;
                if complete {
                    prop_assert!(told, "at {} by {:?}", number, stage);
                } else if told {
                    prop_assert!(met == 4 && order[3] == stage);
                }
                prop_assert!(trajectory.stages().count() <= MOST + 16);
            }
        }
    }

    /// The same where steps share stages and calls repeat: what completes a sequence completes it,
    /// whatever was forgotten in between.
    #[test]
    fn nothing_that_is_forgotten_was_needed(
        steps in prop::collection::vec(prop::collection::vec(select(&STAGES[..]), 1..4), 2..6),
        bursts in prop::collection::vec((select(&STAGES[..]), 0..5_u8, 20..80_u64), 4..14),
    ) {
        let steps: Vec<&[Stage]> = steps.iter().map(Vec::as_slice).collect();
        let sequences = only(Sequence { within: Duration::from_secs(400), ..sequence(&steps) });
        let (mut trajectory, mut all) = (Trajectory::default(), Everything::default());
        let mut number = 0;
        for (stage, call, times) in bursts {
            for time in 0..times {
                number += 1;
                // Calls that come again, and between them noise of the same stage or of none of them.
                let (stage, what) = match time % 3 {
                    0 => (stage, format!("{call}")),
                    1 if call < 3 => (stage, format!("noise {number}")),
                    _ => (Stage::AccessChange, format!("{number}")),
                };
                let at = Duration::from_secs(number);
                let noted = Noted { stage, at, what: Arc::from(what), call: 1 };
                let (told, expected) = both(&mut trajectory, &mut all, &noted, &sequences);
                prop_assert_eq!(told, expected, "{:?} at {} by {:?}", steps, number, noted);
                prop_assert!(trajectory.stages().count() <= MOST + 128);
            }
        }
    }
}
