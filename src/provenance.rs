//! Where secrets were first seen: which answer handed each out, to which agent, when.
//!
//! Takes the fingerprints that answers hand out; returns the first sighting of a credential. Pure, in
//! bounded memory, which answers share fairly: what was asked for once and handed out one secret is known
//! until thousands of others have handed out one. The first sighting counts; a later one never replaces it.

use crate::fingerprint::{Fingerprint, Trace};
use crate::inspect::Presented;
use crate::inspect::credential::handed::Handed;
use crate::inspect::secret::{Known, Owner};
use crate::inventory;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The most secrets that are known of one agent.
pub const MOST: usize = 4_096;

/// An answer that handed out secrets: of a host, or of a tool of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The host that gave it; none where it is the result of a tool.
    pub host: Option<Arc<str>>,
    /// What was asked for, as in `GET raw.githubusercontent.com/acme/web/main/domains.env`, or what the
    /// tool was called with, as in `cat infra/domains.env`.
    pub asked: Arc<str>,
    /// The request that it answered, or that carried the result.
    pub request_id: Arc<str>,
    /// When, in milliseconds since 1970.
    pub at: i64,
}

impl Answer {
    /// With whom it shares room. An agent can write as many results of tools as it likes into its
    /// conversation, so all of those are one: they push out each other, never what a host handed out.
    fn source(&self) -> Arc<str> {
        if self.host.is_some() { self.asked.clone() } else { Arc::default() }
    }

    /// For people.
    pub fn told(&self) -> String {
        let of = if self.host.is_some() { "the answer to" } else { "the result of" };
        format!("{of} `{}`", self.asked)
    }
}

/// The first sighting of a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// The answer that handed it out.
    pub answer: Arc<Answer>,
    /// Its length in bytes.
    pub length: usize,
    /// Whether hardly anything but a secret looks like it.
    pub sure: bool,
    /// What it is found again by in what leaves, where it is sure.
    pub trace: Option<Trace>,
}

/// A sighting as it bears on a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The answer that handed the secret out.
    pub answer: Arc<Answer>,
    /// How long ago that was.
    pub ago: Duration,
}

impl Seen {
    /// For people.
    pub fn told(&self) -> String {
        let ago = inventory::told(self.ago);
        format!("first seen {ago} ago in {}", self.answer.told())
    }
}

/// A change of what is known.
#[derive(Clone, Debug)]
pub enum Change {
    /// A secret was seen for the first time.
    Saw(Fingerprint, Sighting),
    /// A secret is no longer known.
    Forgot(Fingerprint),
}

/// The secrets that were handed out to one agent.
#[derive(Clone, Debug, Default)]
pub struct Sightings {
    /// By what was asked for: anybody may write on a host where others do.
    known: BySource<Sighting>,
    /// Made when they are first asked for: whoever notes does not wait for them.
    traced: OnceLock<Traced>,
}

/// What the sure ones are found again by, and the answer that handed out each.
#[derive(Clone, Debug, Default)]
struct Traced {
    known: Arc<Known>,
    answers: Arc<[Arc<Answer>]>,
}

impl Sightings {
    /// Notes what an answer handed out; what that changed.
    pub fn note(&mut self, handed: &[Handed], answer: &Arc<Answer>) -> Vec<Change> {
        self.note_all([(handed, answer)])
    }

    /// The same of several, at the cost of one.
    pub fn note_all<'a>(
        &mut self,
        all: impl IntoIterator<Item = (&'a [Handed], &'a Arc<Answer>)>,
    ) -> Vec<Change> {
        let mut changes = Vec::new();
        let each =
            |(handed, answer): (&'a [Handed], _)| handed.iter().map(move |one| (one, answer));
        for (one, answer) in all.into_iter().flat_map(each) {
            let Handed { length, sure, trace, .. } = *one;
            if let Some(known) = self.known.get_mut(&one.print) {
                // The first sighting counts; what it could be taken for may show later.
                if sure && !known.sure {
                    (known.sure, known.trace) = (sure, trace);
                    changes.push(Change::Saw(one.print, known.clone()));
                }
                continue;
            }
            let sighting = Sighting { answer: answer.clone(), length, sure, trace };
            self.known.keep(&answer.source(), one.print, sighting.clone());
            changes.push(Change::Saw(one.print, sighting));
        }
        changes.extend(self.known.bounded(MOST).into_iter().map(Change::Forgot));
        let bears = |change: &Change| match change {
            Change::Saw(_, sighting) => sighting.trace.is_some(),
            Change::Forgot(_) => true,
        };
        if changes.iter().any(bears) {
            self.traced = OnceLock::new();
        }
        changes
    }

    /// With what was kept of an earlier run, the oldest first.
    pub fn again(kept: impl IntoIterator<Item = (Fingerprint, Sighting)>) -> Self {
        let mut sightings = Self::default();
        for (print, sighting) in kept {
            sightings.known.keep(&sighting.answer.source(), print, sighting);
        }
        sightings
    }

    /// What the sure ones are found again by in a text; whose each is, [`Self::handed_out_by`] says.
    pub fn traces(&self) -> &Arc<Known> {
        &self.traced.get_or_init(|| self.trace()).known
    }

    /// The answer that handed out the secret of a number among the traces.
    pub fn handed_out_by(&self, number: usize) -> Option<&Arc<Answer>> {
        self.traced.get_or_init(|| self.trace()).answers.get(number)
    }

    fn trace(&self) -> Traced {
        let sure = || self.all().filter_map(|(_, one)| Some((one.trace?, &one.answer)));
        let traces = sure().enumerate().map(|(n, (trace, _))| (trace, Owner::Seen(n)));
        let answers = sure().map(|(_, answer)| answer.clone()).collect();
        Traced { known: Arc::new(Known::new(traces)), answers }
    }

    /// Whether nothing of what is handed out is news.
    pub fn has(&self, handed: &Handed) -> bool {
        self.known.get(&handed.print).is_some_and(|known| known.sure || !handed.sure)
    }

    #[cfg(test)]
    fn contains(&self, print: &Fingerprint) -> bool {
        self.known.contains(print)
    }

    /// The first sighting of a credential in any of its readings; `now` is in milliseconds since 1970.
    pub fn first(&self, presented: &Presented, now: i64) -> Option<Seen> {
        if self.known.known.is_empty() {
            return None;
        }
        let found = presented.readings().iter().filter_map(|reading| self.known.get(reading));
        let answer = found.map(|sighting| &sighting.answer).min_by_key(|answer| answer.at)?.clone();
        let ago = u64::try_from(now.saturating_sub(answer.at)).unwrap_or_default();
        Some(Seen { answer, ago: Duration::from_millis(ago) })
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&Fingerprint, &Sighting)> {
        self.known.known.iter().map(|(print, (_, _, sighting))| (print, sighting))
    }
}

/// Fingerprints with what is known of each, and who handed it out: a host, or an answer.
#[derive(Clone, Debug)]
pub struct BySource<V> {
    /// By whom, as the how-manieth of all, and what.
    known: HashMap<Fingerprint, (Arc<str>, u64, V)>,
    count: u64,
}

impl<V> Default for BySource<V> {
    fn default() -> Self {
        Self { known: HashMap::new(), count: 0 }
    }
}

impl<V> BySource<V> {
    /// Whether one is among them.
    pub fn contains(&self, print: &Fingerprint) -> bool {
        self.known.contains_key(print)
    }

    /// What is known of one.
    pub fn get(&self, print: &Fingerprint) -> Option<&V> {
        self.known.get(print).map(|(_, _, value)| value)
    }

    fn get_mut(&mut self, print: &Fingerprint) -> Option<&mut V> {
        self.known.get_mut(print).map(|(_, _, value)| value)
    }

    /// Keeps one as the newest of its source.
    pub fn keep(&mut self, source: &Arc<str>, print: Fingerprint, value: V) {
        self.count += 1;
        self.known.insert(print, (source.clone(), self.count, value));
    }

    /// Forgets what is too much: the oldest of the source that has most, one after the other; of those
    /// that have as many, of the one that has been known longest.
    pub fn bounded(&mut self, most: usize) -> Vec<Fingerprint> {
        let excess = self.known.len().saturating_sub(most);
        if excess == 0 {
            return Vec::new();
        }
        let mut sources: HashMap<&str, Vec<(u64, Fingerprint)>> = HashMap::new();
        for (print, (source, count, _)) in &self.known {
            sources.entry(source).or_default().push((*count, *print));
        }
        let mut loudest = BinaryHeap::with_capacity(sources.len());
        for (source, all) in &mut sources {
            // The oldest is the last.
            all.sort_unstable_by_key(|(count, _)| Reverse(*count));
            loudest.push((all.len(), all.last().map(|(count, _)| Reverse(*count)), *source));
        }
        let mut dropped = Vec::with_capacity(excess);
        while dropped.len() < excess {
            let Some((_, _, source)) = loudest.pop() else { break };
            let Some(all) = sources.get_mut(source) else { break };
            let Some((_, oldest)) = all.pop() else { break };
            dropped.push(oldest);
            loudest.push((all.len(), all.last().map(|(count, _)| Reverse(*count)), source));
        }
        for print in &dropped {
            self.known.remove(print);
        }
        dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::FingerprintKey;
    use crate::inspect::credential::handed::in_body;
    use crate::inspect::credential::presented;
    use crate::inspect::secret::{Scanner, What};
    use crate::message::tests::head;

    fn answer(host: &str, at: i64) -> Arc<Answer> {
        let asked = Arc::from(format!("GET {host}/x"));
        Arc::new(Answer { host: Some(Arc::from(host)), asked, request_id: Arc::from("r_1"), at })
    }

    fn handed(print: Fingerprint) -> Handed {
        Handed { print, length: 36, sure: true, trace: None }
    }

    /// A piece ends in what may go on; the whole says that it is all.
    #[test]
    fn what_was_not_sure_becomes_so() {
        let key = FingerprintKey::new(b"key");
        let print = key.fingerprint(b"a-secret-of-some-length-4711");
        let unsure = Handed { sure: false, ..handed(print) };
        let sure = Handed { trace: key.trace(b"a-secret-of-some-length-4711"), ..handed(print) };
        let mut sightings = Sightings::default();
        let first = answer("first.test", 1);
        assert_eq!(sightings.note(&[unsure], &first).len(), 1);
        assert!(sightings.traces().is_empty() && sightings.has(&unsure) && !sightings.has(&sure));
        assert_eq!(sightings.note(&[sure], &answer("second.test", 2)).len(), 1);
        assert_eq!((sightings.traces().len(), sightings.has(&sure)), (1, true));
        assert_eq!(sightings.handed_out_by(0), Some(&first), "the first sighting counts");
        assert!(sightings.note(&[unsure, sure], &first).is_empty());
    }

    #[test]
    fn results_of_tools_push_out_each_other_and_no_answer_of_a_host() {
        let key = FingerprintKey::new(b"key");
        let mut sightings = Sightings::default();
        let print = |number: usize| key.fingerprint(number.to_string().as_bytes());
        sightings.note(&[handed(print(0))], &answer("a.test", 1));
        for number in 1..2 * MOST {
            let result = Answer {
                host: None,
                asked: Arc::from(format!("cat {number}")),
                request_id: Arc::from("r_2"),
                at: 2,
            };
            sightings.note(&[handed(print(number))], &Arc::new(result));
        }
        assert_eq!(sightings.all().count(), MOST);
        assert!(sightings.contains(&print(0)) && !sightings.contains(&print(1)));
        assert!(sightings.contains(&print(2 * MOST - 1)), "the newest stay");
    }

    #[test]
    fn the_first_sighting_counts_in_every_reading() {
        let key = FingerprintKey::new(b"key");
        let mut sightings = Sightings::default();
        let one = [handed(key.fingerprint(b"secret-0123456789"))];
        assert_eq!(sightings.note(&one, &answer("a.test", 1_000)).len(), 1);
        assert_eq!(sightings.note(&one, &answer("b.test", 2_000)).len(), 0);
        for value in
            ["secret-0123456789", "Bearer secret-0123456789", "Basic dTpzZWNyZXQtMDEyMzQ1Njc4OQ=="]
        {
            let head = head("GET", "https://c.test/", &[("authorization", value)]).unwrap();
            let seen = sightings.first(&presented(&head, &key)[0], 7_000).unwrap();
            assert_eq!(
                seen.told(),
                "first seen 6 s ago in the answer to `GET a.test/x`",
                "{value}"
            );
        }
        let head = head("GET", "https://c.test/", &[("authorization", "another")]).unwrap();
        assert_eq!(sightings.first(&presented(&head, &key)[0], 7_000), None);
    }

    #[test]
    fn the_sure_ones_are_found_in_what_leaves() {
        let key = Arc::new(FingerprintKey::new(b"key"));
        let secret = "0badc0de-0000-4000-8000-00000000dead";
        let body = format!("TOKEN={secret}\nPASSWORD=correct-horse-staple");
        let mut sightings = Sightings::default();
        let changes = sightings.note(&in_body(body.as_bytes(), false, &key), &answer("a.test", 1));
        let kept = changes.into_iter().filter_map(|change| match change {
            Change::Saw(print, sighting) => Some((print, sighting)),
            Change::Forgot(_) => None,
        });
        for sightings in [Sightings::again(kept), sightings] {
            let scanner = Scanner::new(key.clone()).unwrap().and(sightings.traces().clone());
            let found = |text: &str| match &scanner.sightings(text.as_bytes())[..] {
                [one] => match one.what {
                    What::Known(Owner::Seen(n)) => sightings.handed_out_by(n).cloned(),
                    _ => None,
                },
                _ => None,
            };
            assert_eq!(found(&format!("{{\"a\":\"x {secret}\"}}")), Some(answer("a.test", 1)));
            // What only may be one is not looked for.
            assert_eq!(found("correct-horse-staple"), None);
        }
    }

    #[test]
    fn a_loud_host_makes_no_others_secrets_unknown() {
        let key = FingerprintKey::new(b"key");
        let print = |number: usize| key.fingerprint(&number.to_be_bytes());
        let mut sightings = Sightings::default();
        sightings.note(&[handed(key.fingerprint(b"quiet"))], &answer("quiet.test", 1));
        let mut changes = 0;
        for answered in 0..20 {
            let many: Vec<Handed> = (0..512).map(|n| handed(print(answered * 512 + n))).collect();
            let changed = sightings.note(&many, &answer("loud.test", 2));
            changes += changed.iter().filter(|one| matches!(one, Change::Forgot(_))).count();
        }
        assert_eq!((sightings.all().count(), changes), (MOST, 20 * 512 + 1 - MOST));
        assert!(sightings.contains(&key.fingerprint(b"quiet")));
        assert!(sightings.contains(&print(20 * 512 - 1)) && !sightings.contains(&print(0)));
    }

    #[test]
    fn an_answer_with_one_secret_outlasts_louder_ones_of_its_host() {
        let key = FingerprintKey::new(b"key");
        let print = |number: usize| key.fingerprint(&number.to_be_bytes());
        let of = |path: usize| {
            let asked = Arc::from(format!("GET raw.test/{path}"));
            Arc::new(Answer { asked, ..(*answer("raw.test", 1)).clone() })
        };
        let quiet = key.fingerprint(b"quiet");
        let mut sightings = Sightings::default();
        sightings.note(&[handed(quiet)], &of(0));
        for path in 0..40 {
            let many: Vec<Handed> = (0..512).map(|n| handed(print(path * 512 + n))).collect();
            sightings.note(&many, &of(1 + path % 9));
            assert!(sightings.contains(&quiet), "{path}");
        }
        // The same again, as from a store.
        let kept: Vec<_> = sightings.all().map(|(print, one)| (*print, one.clone())).collect();
        let mut sightings = Sightings::again(kept);
        sightings.note(&[handed(print(1 << 20))], &of(1));
        assert!(sightings.contains(&quiet) && sightings.all().count() == MOST);
        // Where each has one, the first goes.
        let mut sightings = Sightings::default();
        sightings.note(&[handed(quiet)], &of(0));
        for path in 1..=MOST {
            assert!(sightings.contains(&quiet), "{path}");
            sightings.note(&[handed(print(path))], &of(path));
        }
        assert!(!sightings.contains(&quiet) && sightings.contains(&print(1)));
    }
}
