//! Dangerous orders of stages, and what has to come before what.
//!
//! Takes the entries of `sequences:` with the catalogs of the policy; returns [`Sequences`], the built-in
//! ones among them. Refuses words that are neither a stage nor an operation of any catalog.

use super::compile::Compiler;
use super::file::{self, Step, Then};
use super::node::{Place, Spanned};
use super::{Resource, path};
use crate::catalog::condition::Pattern;
use crate::inspect::Operation;
use crate::trajectory::{Fact, Stage, built_in};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// The most steps of one, and the most of them: each costs memory and time of every agent.
const MOST_STEPS: usize = 8;
const MOST: usize = 64;

/// What meets a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sign {
    /// A stage.
    Stage(Stage),
    /// An operation by its name.
    Operation(Pattern),
}

impl Sign {
    /// Whether a stage of this operation is it. `operation` is what notes an operation by its name.
    pub fn fits(&self, stage: Stage, what: &str, operation: Stage) -> bool {
        match self {
            Self::Stage(wanted) => stage == *wanted,
            Self::Operation(pattern) => stage == operation && pattern.fits(what),
        }
    }
}

impl std::fmt::Display for Sign {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stage(stage) => f.write_str(stage.as_str()),
            Self::Operation(pattern) => write!(f, "`{pattern}`"),
        }
    }
}

/// Signs as people read them.
pub fn told(signs: &[Sign]) -> String {
    signs.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

/// A dangerous order of stages.
#[derive(Clone, Debug)]
pub struct Sequence {
    /// Its name.
    pub name: Arc<str>,
    /// The time in which all its steps fall.
    pub within: Duration,
    /// What meets each step, in order.
    pub steps: Vec<Vec<Sign>>,
    /// What happens when the last step is met.
    pub then: Then,
    /// Whether every policy has it.
    pub built_in: bool,
}

/// What has to have happened before a call.
#[derive(Clone, Debug)]
pub struct Requirement {
    /// Its name.
    pub name: Arc<str>,
    /// For so long it counts.
    pub within: Duration,
    /// What is enough.
    pub requires: Vec<Sign>,
    /// What it is about.
    pub before: Vec<Sign>,
    /// Whether a call without is refused; else it waits for a person.
    pub denies: bool,
}

/// All of a policy.
#[derive(Clone, Debug, Default)]
pub struct Sequences {
    /// The dangerous orders: the policy's own, then the built-in ones.
    pub orders: Vec<Sequence>,
    /// What is required before what.
    pub requirements: Vec<Requirement>,
    /// The built-in ones that are switched off.
    pub off: Vec<Arc<str>>,
    /// The operations that any of them names.
    named: Vec<Pattern>,
}

impl Sequences {
    /// From its parts.
    pub fn new(orders: Vec<Sequence>, requirements: Vec<Requirement>, off: Vec<Arc<str>>) -> Self {
        let of_steps = orders.iter().flat_map(|one| one.steps.iter().flatten());
        let required = requirements.iter().flat_map(|one| &one.requires);
        let named = of_steps.chain(required).filter_map(|sign| match sign {
            Sign::Operation(pattern) => Some(pattern.clone()),
            Sign::Stage(_) => None,
        });
        let named = named.collect();
        Self { orders, requirements, off, named }
    }

    /// Those of these operations that any sequence names.
    pub fn named<'o>(&self, operations: &'o [Operation]) -> impl Iterator<Item = &'o Arc<str>> {
        let is_named = |name: &&Arc<str>| self.named.iter().any(|pattern| pattern.fits(name));
        operations.iter().map(|operation| &operation.name).filter(is_named)
    }
}

impl Sequence {
    /// The steps that facts of one request are by themselves.
    pub fn steps_of(&self, facts: &[Fact]) -> Vec<usize> {
        let is = |fact: &Fact, sign: &Sign| sign.fits(fact.stage, &fact.what, Stage::Called);
        let met = |signs: &Vec<Sign>| facts.iter().any(|fact| signs.iter().any(|it| is(fact, it)));
        let steps = self.steps.iter().enumerate().filter(|(_, signs)| met(signs));
        steps.map(|(step, _)| step).collect()
    }
}

impl Requirement {
    /// Whether it is about one of these operations, which show these stages.
    pub fn is_about(&self, operations: &[Operation], stages: &[Stage]) -> bool {
        self.before.iter().any(|sign| match sign {
            Sign::Stage(stage) => stages.contains(stage),
            Sign::Operation(pattern) => operations.iter().any(|one| pattern.fits(&one.name)),
        })
    }

    /// What it says, for people.
    pub fn told(&self) -> String {
        let within = crate::inventory::told(self.within);
        let (requires, before) = (told(&self.requires), told(&self.before));
        format!("`{}` requires {requires} in the last {within} before {before}", self.name)
    }
}

impl Compiler<'_> {
    pub(super) fn sequences(
        &mut self,
        entries: &[file::Sequence],
        resources: &[Resource],
    ) -> Sequences {
        let mut all = Sequences::default();
        let mut built_in = built_in();
        let mut names = BTreeSet::new();
        for entry in entries {
            let place = entry.name.place;
            if !names.insert(&*entry.name.value) {
                self.problem(place, format!("two sequences are called `{}`", entry.name.value));
            }
            let known = built_in.iter().position(|one| *one.name == *entry.name.value);
            if entry.steps.is_empty() && entry.requires.is_none() && entry.before.is_none() {
                let Some(known) = known.and_then(|known| built_in.get_mut(known)) else {
                    let names: Vec<&str> = built_in.iter().map(|one| &*one.name).collect();
                    let message = format!(
                        "a sequence says `steps:`, or `requires:` and `before:`; only the built-in ones have theirs: {}",
                        names.join(", ")
                    );
                    self.problem(place, message);
                    continue;
                };
                known.then = entry.then;
                known.within = entry.within.unwrap_or(known.within);
                self.fits(
                    place,
                    entry.then,
                    &[Then::Nothing, Then::Notify, Then::HoldWrites, Then::Quarantine],
                );
                continue;
            }
            if let Some(known) = known {
                built_in.remove(known);
            }
            let name: Arc<str> = Arc::from(entry.name.value.as_str());
            let Some(within) = entry.within else {
                self.problem(place, format!("`{name}`: say the time in `within:`, such as 30m"));
                continue;
            };
            if let (Some(requires), Some(before)) = (&entry.requires, &entry.before) {
                if !entry.steps.is_empty() {
                    let message = format!("`{name}`: `steps:` and `requires:` are two sequences");
                    self.problem(place, message);
                }
                self.fits(place, entry.then, &[Then::Hold, Then::Deny]);
                let signs = self.signs(before, resources);
                let asked = |sign: &Sign| !matches!(sign, Sign::Stage(it) if !it.is_of_effect());
                if !signs.iter().all(asked) {
                    self.problem(before.place, "`before:` names operations, or destructive, irreversible, deletion, execution");
                }
                all.requirements.push(Requirement {
                    name,
                    within,
                    requires: self.signs(requires, resources),
                    before: signs,
                    denies: entry.then == Then::Deny,
                });
                continue;
            }
            if entry.requires.is_some() || entry.before.is_some() {
                let message = format!("`{name}`: `requires:` and `before:` need each other");
                self.problem(place, message);
            }
            if entry.steps.len() > MOST_STEPS {
                self.problem(place, format!("`{name}` has more than {MOST_STEPS} steps"));
            }
            self.fits(place, entry.then, &[Then::Notify, Then::HoldWrites, Then::Quarantine]);
            let steps = entry.steps.iter().map(|step| self.signs(step, resources)).collect();
            all.orders.push(Sequence { name, within, steps, then: entry.then, built_in: false });
        }
        if all.orders.len() + all.requirements.len() > MOST {
            self.problem(Place::default(), format!("there are more than {MOST} sequences"));
        }
        let (off, on): (Vec<_>, Vec<_>) =
            built_in.into_iter().partition(|one| one.then == Then::Nothing);
        all.off = off.into_iter().map(|one| one.name).collect();
        all.orders.extend(on);
        Sequences::new(all.orders, all.requirements, all.off)
    }

    fn fits(&mut self, place: Place, then: Then, may_be: &[Then]) {
        if !may_be.contains(&then) {
            let words: Vec<&str> = may_be.iter().map(|then| then.as_str()).collect();
            let message = format!("`then: {}`: write {} here", then.as_str(), words.join(", "));
            self.problem(place, message);
        }
    }

    fn signs(&mut self, step: &Spanned<Step>, resources: &[Resource]) -> Vec<Sign> {
        if step.value.0.is_empty() {
            self.problem(step.place, "a step names one stage or operation, or several");
        }
        let mut signs = Vec::new();
        for word in &step.value.0 {
            let stage = Stage::parse(word).filter(|stage| stage.is_named());
            match stage.map(Sign::Stage).or_else(|| operation(word, resources)) {
                Some(sign) => signs.push(sign),
                None => self.problem(
                    step.place,
                    format!(
                        "`{word}` is no stage, and no operation of the policy's services; stages are {}",
                        Stage::words().join(", ")
                    ),
                ),
            }
        }
        signs
    }
}

/// An operation as a step names it: one that a catalog has, or a method and a path, in which `*` and
/// `{name}` stand for anything.
fn operation(word: &str, resources: &[Resource]) -> Option<Sign> {
    let pattern = Pattern::new(&unnamed(word));
    let mut catalogs = resources.iter().filter_map(Resource::catalog);
    let known = catalogs.any(|catalog| {
        catalog.may_be_named(word) || catalog.entries().any(|spec| pattern.fits(&spec.name))
    });
    let is_path = path::parse_rule(word).is_ok();
    (known || is_path).then_some(Sign::Operation(pattern))
}

/// The text with `*` for each `{name}`.
fn unnamed(word: &str) -> String {
    let mut out = String::new();
    let mut rest = word;
    while let Some((before, (_, after))) =
        rest.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?)))
    {
        out.push_str(before);
        out.push('*');
        rest = after;
    }
    out.push_str(rest);
    out
}
