//! Which facts meet the steps of a sequence.
//!
//! Takes a sequence and the facts of an agent, oldest first; returns places among them. Facts meet steps
//! in their order, with gaps, within the time, and a call that is repeated meets no second step by the
//! same stage. A policy bounds the number of steps, which bounds the search.

use super::{Noted, Stage};
use crate::policy::{Requirement, Sequence, Sign};
use std::collections::VecDeque;
use std::time::Duration;

impl Noted {
    /// Whether it is what a step asks for. `operation` is what notes an operation by its name.
    fn is(&self, signs: &[Sign], operation: Stage) -> bool {
        signs.iter().any(|sign| sign.fits(self.stage, &self.what, operation))
    }

    /// Whether it is noted for the same call again.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        (self.stage, self.call) == (other.stage, other.call) && self.what == other.what
    }
}

/// A fact meets no second step by being repeated.
fn has(chain: &[usize], noted: &VecDeque<Noted>, fact: &Noted) -> bool {
    chain.iter().filter_map(|place| noted.get(*place)).any(|other| other.repeats(fact))
}

/// For each number of steps, what met the first so many, the one that began last; nothing where
/// nothing did.
pub(super) fn chains(
    sequence: &Sequence,
    noted: &VecDeque<Noted>,
    now: Duration,
) -> Vec<Vec<usize>> {
    let mut chains: Vec<Vec<usize>> = vec![Vec::new(); sequence.steps.len()];
    let recent = |noted: &Noted| now.saturating_sub(noted.at) <= sequence.within;
    let began = |chain: &[usize]| Some(noted.get(*chain.first()?)?.at);
    for (place, fact) in noted.iter().enumerate().filter(|(_, fact)| recent(fact)) {
        // The last step first, so that one fact meets one step.
        for (step, signs) in sequence.steps.iter().enumerate().rev() {
            if !fact.is(signs, Stage::Called) {
                continue;
            }
            let before: &[usize] = match step.checked_sub(1) {
                None => &[],
                Some(before) => match chains.get(before) {
                    Some(chain) if !chain.is_empty() && !has(chain, noted, fact) => chain,
                    _ => continue,
                },
            };
            let chain = [before, &[place]].concat();
            if let Some(known) = chains.get_mut(step)
                && (known.is_empty() || began(known) < began(&chain))
            {
                *known = chain;
            }
        }
    }
    chains
}

/// What met all steps, the last of it noted from a place on.
pub(super) fn complete(
    sequence: &Sequence,
    noted: &VecDeque<Noted>,
    from: usize,
    now: Duration,
) -> Option<Vec<usize>> {
    let mut met = Vec::new();
    let recent = noted.iter().take_while(|fact| now.saturating_sub(fact.at) > sequence.within);
    let search = Search { steps: &sequence.steps, noted, first: recent.count() };
    search.back(from, noted.len(), sequence.steps.len(), &mut met).then(|| {
        met.reverse();
        met
    })
}

struct Search<'a> {
    steps: &'a [Vec<Sign>],
    noted: &'a VecDeque<Noted>,
    /// What is older is too old.
    first: usize,
}

impl Search<'_> {
    /// Meets the last of so many steps between two places, and those before it before that: the latest
    /// fact that does. Another one is tried only where this one would be needed for an earlier step,
    /// and no more of them than there are earlier steps.
    fn back(&self, from: usize, until: usize, steps: usize, met: &mut Vec<usize>) -> bool {
        let Some((signs, earlier)) = self.steps.get(..steps).and_then(<[Vec<Sign>]>::split_last)
        else {
            return steps == 0;
        };
        let mut tried: Vec<usize> = Vec::new();
        let from = from.max(self.first);
        let between = self.noted.iter().enumerate().take(until).skip(from).rev();
        for (place, fact) in between.filter(|(_, fact)| fact.is(signs, Stage::Called)) {
            if has(met, self.noted, fact) || has(&tried, self.noted, fact) {
                continue;
            }
            met.push(place);
            if self.back(0, place, earlier.len(), met) {
                return true;
            }
            met.pop();
            tried.push(place);
            let wanted = earlier.iter().any(|signs| fact.is(signs, Stage::Called));
            if !wanted || tried.len() >= steps {
                return false;
            }
        }
        false
    }
}

/// The latest of what a requirement asks for.
pub(super) fn latest(
    requirement: &Requirement,
    noted: &VecDeque<Noted>,
    now: Duration,
) -> Option<usize> {
    let latest = noted.iter().rposition(|fact| fact.is(&requirement.requires, Stage::Done))?;
    let at = noted.get(latest)?.at;
    (now.saturating_sub(at) <= requirement.within).then_some(latest)
}

/// The steps that nothing meets by itself, before the last one that something does.
pub(super) fn unseen(sequence: &Sequence, noted: &VecDeque<Noted>, now: Duration) -> Vec<usize> {
    let recent = |fact: &&Noted| now.saturating_sub(fact.at) <= sequence.within;
    let seen =
        |signs: &Vec<Sign>| noted.iter().filter(recent).any(|fact| fact.is(signs, Stage::Called));
    let seen: Vec<bool> = sequence.steps.iter().map(seen).collect();
    let last = seen.iter().rposition(|seen| *seen).unwrap_or(0);
    let before = seen.iter().take(last).enumerate();
    before.filter(|(_, seen)| !**seen).map(|(step, _)| step).collect()
}
