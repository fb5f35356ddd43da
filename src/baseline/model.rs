//! A profile as it is asked: how probable a step is.
//!
//! Takes a [`Profile`]; answers in a few look-ups, whatever its size. Smoothing is Witten and Bell's:
//! in a context that was seen `n` times with `t` different things, what was never seen there has the
//! share `t / (n + t)`. Contexts in which new things were common are surprised by little; effects, of
//! which there are seven, fall back on what was seen elsewhere.

use super::profile::Profile;
use super::step::{Act, Before, Step};
use super::surprise::{Feature, Part, Subject, Surprise, millibits};
use crate::catalog::Effect;
use std::collections::HashMap;
use std::sync::Arc;

/// How often one thing was seen among others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) count: u32,
    pub(super) of: u32,
}

/// Counts of one context.
#[derive(Debug)]
struct Counts<K> {
    each: HashMap<K, u32>,
    total: u32,
}

impl<K> Default for Counts<K> {
    fn default() -> Self {
        Self { each: HashMap::new(), total: 0 }
    }
}

impl<K: std::hash::Hash + Eq> Counts<K> {
    fn add(&mut self, key: K, count: u32) {
        let entry = self.each.entry(key).or_default();
        *entry = entry.saturating_add(count);
        self.total = self.total.saturating_add(count);
    }

    fn seen<Q: std::hash::Hash + Eq + ?Sized>(&self, key: &Q) -> Seen
    where
        K: std::borrow::Borrow<Q>,
    {
        Seen { count: self.each.get(key).copied().unwrap_or(0), of: self.total }
    }

    fn kinds(&self) -> f64 {
        f64::from(u32::try_from(self.each.len()).unwrap_or(u32::MAX))
    }

    /// The share of something of which nobody knows how many there are; all that was never seen
    /// shares one place.
    fn open(&self, seen: Seen) -> f64 {
        let all = f64::from(self.total) + self.kinds() + 1.0;
        if seen.count > 0 { f64::from(seen.count) / all } else { (self.kinds() + 1.0) / all }
    }

    /// The share of something whose share elsewhere is known.
    fn within(&self, seen: Seen, elsewhere: f64) -> f64 {
        if self.total == 0 {
            return elsewhere;
        }
        let all = f64::from(self.total) + self.kinds();
        (f64::from(seen.count) + self.kinds() * elsewhere) / all
    }
}

#[derive(Debug, Default)]
struct Host {
    effects: Counts<Effect>,
    kinds: HashMap<Effect, Counts<Box<str>>>,
}

/// What a profile says, ready to be asked.
#[derive(Debug, Default)]
pub struct Model {
    hosts: HashMap<Box<str>, Host>,
    /// How often each host was called.
    calls: Counts<Box<str>>,
    effects: Counts<Effect>,
    /// What followed, by host and effect of what came before.
    order: HashMap<Box<str>, HashMap<Effect, Next>>,
    start: Next,
    /// What each feature is on average for what was learned, in the order of [`Feature::ALL`].
    usual: [u32; Feature::ALL.len()],
}

/// What followed one kind of step: effects by host.
#[derive(Debug, Default)]
struct Next {
    each: HashMap<Box<str>, HashMap<Effect, u32>>,
    all: Counts<(Effect, Box<str>)>,
}

impl Next {
    fn add(&mut self, (effect, host): (Effect, &str), count: u32) {
        let entry = self.each.entry(host.into()).or_default().entry(effect).or_default();
        *entry = entry.saturating_add(count);
        self.all.add((effect, host.into()), count);
    }

    fn seen(&self, effect: Effect, host: &str) -> Seen {
        let count = self.each.get(host).and_then(|effects| effects.get(&effect));
        Seen { count: count.copied().unwrap_or(0), of: self.all.total }
    }
}

impl From<&Profile> for Model {
    fn from(profile: &Profile) -> Self {
        let mut model = Self::default();
        for (name, effects) in &profile.hosts {
            let host = model.hosts.entry(name.as_str().into()).or_default();
            for (effect, kinds) in effects {
                for (kind, count) in kinds {
                    host.effects.add(*effect, *count);
                    host.kinds.entry(*effect).or_default().add(kind.as_str().into(), *count);
                    model.effects.add(*effect, *count);
                    model.calls.add(name.as_str().into(), *count);
                }
            }
        }
        for (from, to, count) in profile.transitions() {
            let next = match from {
                None => &mut model.start,
                Some((effect, host)) => {
                    model.order.entry(host.into()).or_default().entry(effect).or_default()
                }
            };
            next.add(to, count);
        }
        model.usual = model.averages(profile);
        model
    }
}

/// A sum of parts, to be divided.
#[derive(Default)]
struct Average {
    sum: u64,
    parts: u64,
}

impl Average {
    fn add(&mut self, part: &Part, count: u32) {
        self.sum = self.sum.saturating_add(u64::from(part.millibits) * u64::from(count));
        self.parts = self.parts.saturating_add(count.into());
    }

    fn mean(&self) -> u32 {
        self.sum.checked_div(self.parts).and_then(|mean| u32::try_from(mean).ok()).unwrap_or(0)
    }
}

impl Model {
    /// How surprising a step is after another, or as the first of its session.
    pub fn surprise(&self, step: &Step, before: Option<&Before>) -> Surprise {
        let (part, host) = self.host(&step.host);
        let mut parts = vec![part];
        let acts = || step.acts().iter();
        let effects = acts().map(|act| self.effect(&step.host, act.effect).0);
        parts.extend(effects.max_by_key(|part| part.millibits));
        let kinds = acts().map(|act| self.kind(&step.host, act));
        parts.extend(kinds.max_by_key(|part| part.millibits));
        let after = step.as_before();
        let alone = host * self.effect(&step.host, after.effect).1;
        parts.extend(self.order(&after, before, alone));
        for part in &mut parts {
            for (feature, usual) in Feature::ALL.iter().zip(self.usual) {
                if *feature == part.subject.feature() {
                    part.usual = usual;
                }
            }
        }
        Surprise { parts, after }
    }

    /// What a request of the sessions that were learned is on average, in thousandths of a bit.
    pub fn usual(&self) -> u64 {
        self.usual.iter().map(|usual| u64::from(*usual)).sum()
    }

    /// What each feature is on average for what was learned.
    fn averages(&self, profile: &Profile) -> [u32; Feature::ALL.len()] {
        let mut averages: [Average; Feature::ALL.len()] = <_>::default();
        let [hosts, effects, operations, orders] = &mut averages;
        for (name, by_effect) in &profile.hosts {
            let host: Arc<str> = Arc::from(name.as_str());
            for (effect, kinds) in by_effect {
                for (kind, count) in kinds {
                    let act = Act { effect: *effect, kind: Arc::from(kind.as_str()) };
                    hosts.add(&self.host(&host).0, *count);
                    effects.add(&self.effect(&host, *effect).0, *count);
                    operations.add(&self.kind(&host, &act), *count);
                }
            }
        }
        for (from, (effect, host), count) in profile.transitions() {
            let step = |(effect, host): (Effect, &str)| Before { effect, host: Arc::from(host) };
            let next = step((effect, host));
            let alone = self.host(&next.host).1 * self.effect(&next.host, effect).1;
            let order = self.order(&next, from.map(step).as_ref(), alone);
            if let Some(part) = order {
                orders.add(&part, count);
            }
        }
        averages.map(|average| average.mean())
    }

    /// How surprising a call to a host is, and the host's share.
    fn host(&self, host: &Arc<str>) -> (Part, f64) {
        let seen = self.calls.seen(&**host);
        let share = self.calls.open(seen);
        (Part::new(Subject::Host { host: host.clone() }, millibits(share), seen), share)
    }

    /// How surprising an effect is at a host, and its share there.
    fn effect(&self, host: &Arc<str>, effect: Effect) -> (Part, f64) {
        let each = 1.0 / f64::from(u8::try_from(Effect::ALL.len()).unwrap_or(u8::MAX));
        let elsewhere = self.effects.within(self.effects.seen(&effect), each);
        let (seen, share) = match self.hosts.get(&**host) {
            None => (self.effects.seen(&effect), elsewhere),
            Some(known) => {
                let seen = known.effects.seen(&effect);
                (seen, known.effects.within(seen, elsewhere))
            }
        };
        let subject = Subject::Effect { effect, host: host.clone() };
        (Part::new(subject, millibits(share), seen), share)
    }

    fn kind(&self, host: &Arc<str>, act: &Act) -> Part {
        let subject = Subject::Operation { kind: act.kind.clone(), host: host.clone() };
        let kinds = self.hosts.get(&**host).and_then(|host| host.kinds.get(&act.effect));
        match kinds {
            // That the effect is new is told by the effect; nothing is known of its kinds.
            None => Part::new(subject, 0, Seen { count: 0, of: 0 }),
            Some(kinds) => {
                let seen = kinds.seen(&*act.kind);
                Part::new(subject, millibits(kinds.open(seen)), seen)
            }
        }
    }

    /// What its place after another step adds to how surprising a step is by itself: never less than
    /// nothing, for a step that is unusual stays so wherever it stands.
    fn order(&self, step: &Before, before: Option<&Before>, alone: f64) -> Option<Part> {
        let next = match before {
            None => &self.start,
            Some(before) => self.order.get(&*before.host)?.get(&before.effect)?,
        };
        let seen = next.seen(step.effect, &step.host);
        let share = next.all.within(seen, alone);
        let subject = Subject::Order {
            effect: step.effect,
            host: step.host.clone(),
            before: before.cloned(),
        };
        Some(Part::new(subject, millibits(share).saturating_sub(millibits(alone)), seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::baseline::profile::Learned;

    fn profile(sessions: &[&[(Effect, &str, &str)]]) -> Profile {
        let mut profile = Profile::new("p");
        for (number, steps) in sessions.iter().enumerate() {
            let steps: Vec<Step> = steps.iter().map(|step| one(*step)).collect();
            let learned =
                Learned { agent: "a".to_owned(), requests: 1, records: (1, 1), verified: true };
            profile.learn(&number.to_string(), learned, &steps).unwrap();
        }
        profile
    }

    fn one((effect, host, name): (Effect, &str, &str)) -> Step {
        Step::new(&Arc::from(host), [(effect, &Arc::from(name))]).unwrap()
    }

    fn usual() -> Model {
        let read = (Effect::Read, "api", "query project");
        let docs = (Effect::Read, "docs", "GET /x");
        let write = (Effect::Write, "api", "mutation deploy");
        let session = [read, docs, write, read, read, docs, write, read];
        Model::from(&profile(&[&session, &session, &session]))
    }

    fn total(model: &Model, step: (Effect, &str, &str)) -> u32 {
        model.surprise(&one(step), None).millibits()
    }

    #[test]
    fn what_was_never_seen_costs_more_than_what_was() {
        let model = usual();
        let read = total(&model, (Effect::Read, "api", "query project"));
        let cases = [
            (Effect::Read, "api", "query other"),
            (Effect::Write, "api", "mutation deploy"),
            (Effect::Read, "elsewhere", "GET /x"),
            (Effect::Destructive, "api", "mutation volumeDelete"),
        ];
        for case in cases {
            assert!(total(&model, case) > read, "{case:?}");
        }
        let destroyed = total(&model, (Effect::Destructive, "api", "mutation volumeDelete"));
        assert!(cases.iter().all(|case| total(&model, *case) <= destroyed));
        // Unusual everywhere is unusual at a host that is new as well.
        let new = total(&model, (Effect::Destructive, "elsewhere", "DELETE /x"));
        assert!(new > total(&model, (Effect::Read, "elsewhere", "GET /x")) + 4_000);
    }

    #[test]
    fn more_of_the_same_makes_the_rest_more_surprising() {
        let step = (Effect::Read, "api", "query project");
        let odd = (Effect::Destructive, "api", "mutation volumeDelete");
        let bits = [4, 40, 400].map(|times| {
            let session = vec![step; times];
            total(&Model::from(&profile(&[&session])), odd)
        });
        assert!(bits[0] < bits[1] && bits[1] < bits[2], "{bits:?}");
    }

    #[test]
    fn a_step_out_of_its_order_costs_more() {
        let model = usual();
        let [read, write] =
            [(Effect::Read, "docs", "GET /x"), (Effect::Write, "api", "mutation deploy")].map(one);
        let after = |before: &Step| model.surprise(&write, Some(&before.as_before())).millibits();
        assert!(after(&write) > after(&read), "{} {}", after(&write), after(&read));
        // A step that nobody knows before it says nothing of the order.
        let unknown = one((Effect::Execute, "far", "POST /run"));
        let alone = model.surprise(&write, Some(&unknown.as_before()));
        assert!(alone.parts.iter().all(|p| !matches!(p.subject, Subject::Order { .. })));
    }

    /// The shares of everything that may come, and of all that is new, are one.
    #[test]
    fn shares_add_up() {
        let model = usual();
        let close = |sum: f64| assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        let open = |counts: &Counts<Box<str>>| {
            let known = counts.each.keys().map(|key| counts.open(counts.seen(&**key)));
            known.sum::<f64>() + counts.open(Seen { count: 0, of: counts.total })
        };
        close(open(&model.calls));
        for host in ["api", "docs", "elsewhere"] {
            let host: Arc<str> = Arc::from(host);
            close(Effect::ALL.iter().map(|effect| model.effect(&host, *effect).1).sum());
        }
        for host in model.hosts.values() {
            host.kinds.values().for_each(|kinds| close(open(kinds)));
        }
    }

    #[test]
    fn an_empty_profile_knows_only_that_there_are_seven_effects() {
        let model = Model::from(&Profile::new("p"));
        let bits = total(&model, (Effect::Destructive, "x", "DELETE /x"));
        assert_eq!(bits, millibits(1.0 / 7.0));
    }
}
