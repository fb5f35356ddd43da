//! Secrets in a request, outside the slots that are made for credentials.
//!
//! Takes an inspected request and a [`Scanner`]; adds a [`Leak`] for each secret in its path, query,
//! headers and body. Whether it belongs where it goes is not said here. What a slot presents as a
//! credential is judged as one and is no leak as well. A body that streams is not looked at here.

use super::secret::{Scanner, Sighting};
use super::{Facts, Inspected};
use crate::fingerprint::Fingerprint;
use crate::message::{Body, Head};

/// A secret somewhere in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leak {
    /// Where it stands, as in `query q`.
    pub slot: String,
    /// What was seen.
    pub sighting: Sighting,
}

impl Leak {
    /// The slot of a body.
    pub const BODY: &str = "body";
    /// The slot of a path.
    pub const PATH: &str = "path";
}

impl<B> Inspected<B> {
    /// The same with the secrets in it.
    #[must_use]
    pub fn searched(mut self, scanner: &Scanner) -> Self {
        in_head(self.message.head(), scanner, &mut self.facts);
        self.searched_body(scanner)
    }

    /// The same with the secrets in its body only: for what comes under a head that was searched.
    #[must_use]
    pub fn searched_body(mut self, scanner: &Scanner) -> Self {
        if let Body::Whole(bytes) = self.message.body() {
            note(Leak::BODY, scanner.sightings(bytes), &mut self.facts);
        }
        self
    }
}

fn in_head(head: &Head, scanner: &Scanner, facts: &mut Facts) {
    let (path, query) = (head.path().as_str().as_bytes(), head.query().as_str());
    let fields = || head.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let mut all = [path, b"\n", query.as_bytes()].concat();
    for (name, value) in fields() {
        for part in [b"\n", name.as_bytes(), b": ", value] {
            all.extend_from_slice(part);
        }
    }
    // Once over all of it, as most requests carry none.
    if scanner.sightings(&all).is_empty() {
        return;
    }
    note(Leak::PATH, scanner.sightings(path), facts);
    for pair in query.split('&') {
        let (name, _) = pair.split_once('=').unwrap_or((pair, ""));
        in_field("query", name, pair.as_bytes(), scanner, facts);
    }
    for (name, value) in fields() {
        in_field("header", name, value, scanner, facts);
    }
}

/// Looks through a field, unless it is a slot of a credential.
fn in_field(kind: &str, name: &str, text: &[u8], scanner: &Scanner, facts: &mut Facts) {
    let slot = format!("{kind} {}", name.to_ascii_lowercase());
    let is_slot =
        |other: &str| other == slot || slot == "header cookie" && other.starts_with("cookie");
    if !facts.credentials.iter().any(|presented| is_slot(&presented.slot)) {
        // What the name says is not to be shown, where that is the secret.
        note(&format!("{kind} name"), scanner.sightings(name.as_bytes()), facts);
        note(&slot, scanner.sightings(text), facts);
    }
}

/// Adds what is not there yet, in whatever slot.
fn note(slot: &str, sightings: Vec<Sighting>, facts: &mut Facts) {
    for sighting in sightings {
        let is_it = |other: &Fingerprint| *other == sighting.trace.fingerprint;
        let is_presented =
            facts.credentials.iter().any(|presented| presented.readings().iter().any(is_it));
        let is_told = facts.leaks.iter().any(|leak| is_it(&leak.sighting.trace.fingerprint));
        if !is_presented && !is_told {
            facts.leaks.push(Leak { slot: slot.to_owned(), sighting });
        }
    }
}
