//! Which facts meet the steps of a sequence.
//!
//! Takes a sequence and the facts of an agent, oldest first; returns places among them. Facts meet steps
//! in their order, with gaps, within the time, and a call that is repeated meets no second step by the
//! same stage. A policy bounds the number of steps, which bounds the search.

use super::{Noted, Stage};
use crate::policy::{Requirement, Sequence, Sign};
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

impl Noted {
    /// Whether it is what a step asks for. `operation` is what notes an operation by its name.
    pub(super) fn is(&self, signs: &[Sign], operation: Stage) -> bool {
        signs.iter().any(|sign| sign.fits(self.stage, &self.what, operation))
    }

    /// Whether it is noted for the same call again.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        (self.stage, self.call) == (other.stage, other.call) && self.what == other.what
    }
}

impl Sequence {
    /// The place before which everything is too old for it.
    pub(super) fn first(&self, noted: &VecDeque<Noted>, now: Duration) -> usize {
        noted.iter().take_while(|fact| now.saturating_sub(fact.at) > self.within).count()
    }
}

/// A fact meets no second step by being repeated.
pub(super) fn has(chain: &[usize], noted: &VecDeque<Noted>, fact: &Noted) -> bool {
    repeated(chain, noted, fact).is_some()
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
    let last = sequence.steps.last()?;
    if !noted.iter().skip(from).any(|fact| fact.is(last, Stage::Called)) {
        return None;
    }
    let mut search = Search::new(&sequence.steps, noted, sequence.first(noted, now));
    let mut met = Vec::new();
    search.back(from, noted.len(), sequence.steps.len(), &mut met).is_ok().then(|| {
        met.reverse();
        met
    })
}

/// The facts by which it fails to meet steps: with them met before, it fails whatever else is.
type Blame = Vec<usize>;

/// So many ways to fail at one place are remembered.
const MOST_BLAMES: usize = 8;

pub(super) struct Search<'a> {
    steps: &'a [Vec<Sign>],
    noted: &'a VecDeque<Noted>,
    /// What is older is too old.
    first: usize,
    /// How so many first steps could not be met before a place, so that it is not tried again.
    failed: HashMap<(usize, usize), Vec<Blame>>,
}

impl<'a> Search<'a> {
    pub(super) fn new(steps: &'a [Vec<Sign>], noted: &'a VecDeque<Noted>, first: usize) -> Self {
        Self { steps, noted, first, failed: HashMap::new() }
    }

    /// Whether the first so many steps are met before a place, by calls that are not among those met.
    /// What met them is added, the last first.
    pub(super) fn meets(&mut self, until: usize, steps: usize, met: &mut Vec<usize>) -> bool {
        self.back(0, until, steps, met).is_ok()
    }

    /// Meets the last of so many steps between two places, and those before it before that: the latest
    /// fact that does. Another one is tried only where this one would be needed for an earlier step,
    /// and no more of them than there are earlier steps.
    fn back(
        &mut self,
        from: usize,
        until: usize,
        steps: usize,
        met: &mut Vec<usize>,
    ) -> Result<(), Blame> {
        let Some((signs, earlier)) = self.steps.get(..steps).and_then(<[Vec<Sign>]>::split_last)
        else {
            return if steps == 0 { Ok(()) } else { Err(Blame::new()) };
        };
        let known = self.failed.get(&(until, steps)).into_iter().flatten();
        let holds = |blame: &&Blame| blame.iter().all(|place| met.contains(place));
        if let Some(blame) = known.into_iter().find(holds) {
            return Err(blame.clone());
        }
        let (mut tried, mut blame): (Vec<usize>, Blame) = (Vec::new(), Blame::new());
        let noted = self.noted;
        let between = noted.iter().enumerate().take(until).skip(from.max(self.first)).rev();
        for (place, fact) in between.filter(|(_, fact)| fact.is(signs, Stage::Called)) {
            if let Some(other) = repeated(met, noted, fact) {
                blame.push(other);
                continue;
            }
            if has(&tried, noted, fact) {
                continue;
            }
            met.push(place);
            let Err(why) = self.back(0, place, earlier.len(), met) else { return Ok(()) };
            met.pop();
            blame.extend(why.into_iter().filter(|other| *other != place));
            tried.push(place);
            let wanted = earlier.iter().any(|signs| fact.is(signs, Stage::Called));
            if !wanted || tried.len() >= steps {
                break;
            }
        }
        blame.sort_unstable();
        blame.dedup();
        let failed = self.failed.entry((until, steps)).or_default();
        // What begins later is tried in another time than the rest.
        if from == 0 && failed.len() < MOST_BLAMES {
            failed.push(blame.clone());
        }
        Err(blame)
    }
}

/// The fact of a chain that another one repeats.
fn repeated(chain: &[usize], noted: &VecDeque<Noted>, fact: &Noted) -> Option<usize> {
    let mut places = chain.iter().copied();
    places.find(|place| noted.get(*place).is_some_and(|other| other.repeats(fact)))
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
