//! Which facts later ones may need to complete a sequence.
//!
//! Takes a sequence and the facts of an agent, oldest first; returns places among them. Whatever comes
//! later completes the sequence with these facts alone if it does with all of them: for every number of
//! first steps, and for whatever calls the later steps are met by, what met those first steps and began
//! last is among them.

use super::matching::{Search, has};
use super::{Noted, Stage};
use crate::policy::{Sequence, Sign};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

/// The places that are needed.
pub(super) fn needed(
    sequence: &Sequence,
    noted: &VecDeque<Noted>,
    now: Duration,
) -> BTreeSet<usize> {
    let first = sequence.first(noted, now);
    let mut needed = BTreeSet::new();
    for met in 1..sequence.steps.len() {
        let (steps, later) = sequence.steps.split_at(met);
        // A later call may repeat one that is met by now, and meets nothing then: for each there is a
        // way around it. What no later step asks for is in nobody's way.
        let mut ways: BTreeSet<Vec<usize>> = BTreeSet::new();
        let mut open = vec![Vec::new()];
        while let Some(around) = open.pop() {
            let Some(chain) = latest(steps, noted, first, &around) else { continue };
            for place in chain {
                needed.insert(place);
                let Some(fact) = noted.get(place) else { continue };
                if around.len() < later.len() && fits(fact, later) {
                    let mut further = around.clone();
                    further.push(place);
                    further.sort_unstable();
                    if ways.insert(further.clone()) {
                        open.push(further);
                    }
                }
            }
        }
    }
    needed
}

fn fits(fact: &Noted, steps: &[Vec<Sign>]) -> bool {
    steps.iter().any(|signs| fact.is(signs, Stage::Called))
}

/// What meets these steps, not earlier than the first place and around some calls, and began last.
fn latest(
    steps: &[Vec<Sign>],
    noted: &VecDeque<Noted>,
    first: usize,
    around: &[usize],
) -> Option<Vec<usize>> {
    let (opening, rest) = steps.split_first()?;
    let usable = || {
        let all = noted.iter().enumerate().skip(first);
        all.filter(|(_, fact)| !has(around, noted, fact))
    };
    // Where it could begin if a call could meet several steps: not later than that.
    let mut starts: Vec<Option<usize>> = vec![None; steps.len()];
    for (place, fact) in usable() {
        // The last step first, so that one fact meets one step.
        for (step, signs) in steps.iter().enumerate().rev() {
            if fact.is(signs, Stage::Called) {
                let start = match step.checked_sub(1) {
                    None => Some(place),
                    Some(before) => starts.get(before).copied().flatten(),
                };
                if let Some(known) = starts.get_mut(step) {
                    *known = start.max(*known);
                }
            }
        }
    }
    let last = starts.pop().flatten()?;
    let mut begins: Vec<usize> = usable()
        .take_while(|(place, _)| *place <= last)
        .filter(|(_, fact)| fact.is(opening, Stage::Called))
        .map(|(place, _)| place)
        .collect();
    while let Some(start) = begins.pop() {
        let mut met = around.to_vec();
        met.push(start);
        let mut search = Search::new(rest, noted, start + 1);
        if search.meets(noted.len(), rest.len(), &mut met) {
            return Some(met.split_off(around.len()));
        }
    }
    None
}
