//! Secrets in a request, wherever they stand.
//!
//! Takes an inspected request, a [`Scanner`] and what answers handed out; adds a [`Leak`] for each secret
//! in its path, query, headers and body. Whether it belongs where it goes is not said here; what a slot
//! presents as a credential is judged as that. A body that streams is not looked at here.

use super::secret::{Owner, Scanner, Sighting, What};
use super::{Facts, Inspected, Operation, shown_path};
use crate::fingerprint::Fingerprint;
use crate::message::{Body, Head};
use crate::provenance::{Answer, Sightings};
use smallvec::SmallVec;
use std::sync::Arc;

/// A secret somewhere in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// Where it stands, as in `query q`.
    pub slot: String,
    /// What was seen.
    pub sighting: Sighting,
    /// The answer that handed it out, where it is known by that.
    pub answer: Option<Arc<Answer>>,
    /// Whether a slot presents it as a credential as well: it is judged as that, and shown nowhere.
    pub is_presented: bool,
}

impl Leak {
    /// The slot of a body.
    pub const BODY: &str = "body";
    /// The slot of a path.
    pub const PATH: &str = "path";

    /// A sighting in a slot, by what answers had handed out when it was searched for.
    pub fn new(slot: &str, sighting: Sighting, seen: &Sightings) -> Self {
        let answer = match sighting.what {
            What::Known(Owner::Seen(number)) => seen.handed_out_by(number).cloned(),
            _ => None,
        };
        Self { slot: slot.to_owned(), sighting, answer, is_presented: false }
    }
}

impl<B> Inspected<B> {
    /// The same with the secrets in it.
    #[must_use]
    pub fn searched(mut self, scanner: &Scanner, seen: &Sightings) -> Self {
        let search = Search { scanner: &scanner.with(seen.traces()), seen };
        search.head(self.message.head(), &mut self.facts);
        search.body(self.message.body(), &mut self.facts);
        search.names(self.message.head(), &mut self.facts);
        self
    }

    /// The same with the secrets in its body only: for what comes under a head that was searched.
    #[must_use]
    pub fn searched_body(mut self, scanner: &Scanner, seen: &Sightings) -> Self {
        let search = Search { scanner: &scanner.with(seen.traces()), seen };
        search.body(self.message.body(), &mut self.facts);
        search.names(self.message.head(), &mut self.facts);
        self
    }
}

/// What is searched for.
struct Search<'a> {
    scanner: &'a Scanner,
    seen: &'a Sightings,
}

impl Search<'_> {
    fn head(&self, head: &Head, facts: &mut Facts) {
        let (path, query) = (head.path().as_str().as_bytes(), head.query().as_str());
        let fields =
            || head.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        let mut all: SmallVec<[u8; 1 << 10]> = SmallVec::new();
        for part in [path, b"\n", query.as_bytes(), b"\n"] {
            all.extend_from_slice(part);
        }
        let address = all.len();
        for (name, value) in fields() {
            for part in [name.as_bytes(), b": ", value, b"\n"] {
                all.extend_from_slice(part);
            }
        }
        // Once over all of it, as most requests carry no secret, or only in its slot.
        let within = self.scanner.sightings(&all);
        if within.is_empty() {
            return;
        }
        let address = all.get(..address).unwrap_or_default();
        if !self.scanner.sightings(address).is_empty() {
            self.note(Leak::PATH, self.scanner.sightings(path), facts);
            for pair in query.split('&') {
                let (name, _) = pair.split_once('=').unwrap_or((pair, ""));
                self.field("query", name, pair.as_bytes(), facts);
            }
        }
        let is_all = within.iter().any(|sighting| !is_presented(sighting, facts));
        // What an agent says of itself is shown to people, so it is looked at in any case.
        for (name, value) in fields().filter(|(name, _)| is_all || *name == "user-agent") {
            self.field("header", name, value, facts);
        }
    }

    /// Looks through a field.
    fn field(&self, kind: &str, name: &str, text: &[u8], facts: &mut Facts) {
        // What the name says is not to be shown, where that is the secret.
        let in_name = self.scanner.sightings(name.as_bytes());
        if in_name.is_empty() {
            let slot = format!("{kind} {}", name.to_ascii_lowercase());
            self.note(&slot, self.scanner.sightings(text), facts);
        } else {
            let slot = format!("{kind} name");
            self.note(&slot, in_name, facts);
            self.note(&slot, self.scanner.sightings(text), facts);
        }
    }

    fn body<B>(&self, body: &Body<B>, facts: &mut Facts) {
        if let Body::Whole(bytes) = body {
            self.note(Leak::BODY, self.scanner.sightings(bytes), facts);
        }
    }

    /// Takes secrets out of the names of operations that the sender chooses, which are recorded and shown.
    fn names(&self, head: &Head, facts: &mut Facts) {
        if facts.leaks.iter().all(|leak| leak.slot == Leak::PATH) {
            return;
        }
        let is_clean = |text: &str| self.scanner.sightings(text.as_bytes()).is_empty();
        // What is named by its path is shown as that is.
        let has_path = facts.leaks.iter().any(|leak| leak.slot == Leak::PATH);
        let method = format!("{} ", head.method());
        let path = shown_path(head.path().as_str());
        let is_path = |name: &str| has_path && name.strip_suffix(&*path) == Some(&*method);
        let stays = |one: &Operation| is_clean(&one.name) || is_path(&one.name);
        if facts.operations.iter().all(stays) {
            return;
        }
        let shown = |one: &Operation| {
            if stays(one) {
                return one.clone();
            }
            let kind = one.name.split(' ').next().filter(|kind| is_clean(kind)).unwrap_or_default();
            let name = Arc::from(format!("{kind} [secret]").trim());
            Operation { name, ..one.clone() }
        };
        facts.operations = facts.operations.iter().map(shown).collect();
    }

    fn note(&self, slot: &str, sightings: Vec<Sighting>, facts: &mut Facts) {
        for sighting in sightings {
            let is_presented = is_presented(&sighting, facts);
            facts.leaks.push(Leak { is_presented, ..Leak::new(slot, sighting, self.seen) });
        }
    }
}

/// Whether a secret is what a slot presents as a credential, which is judged as one.
fn is_presented(sighting: &Sighting, facts: &Facts) -> bool {
    let is_it = |reading: &Fingerprint| *reading == sighting.trace.fingerprint;
    sighting.what != What::Crowded
        && facts.credentials.iter().any(|presented| presented.readings().iter().any(is_it))
}
