//! What is done about secrets in bodies that stream, and who reads them along.
//!
//! Takes the law that a request pinned, its candidates, and who sends it; returns what looks at its body as it leaves.
//! What does not belong where it goes is noted in the record; unless the resources only note it, the
//! body is broken off.

use super::conversation::Ear;
use super::{Caller, Snapshot};
use crate::decide::{belongs, leak_finding, leaks_word};
use crate::forward::Leaving;
use crate::inspect::Leak;
use crate::inspect::secret::Stream;
use crate::policy::file::Leaks;
use crate::policy::{Ix, Resource};
use crate::record::Seen;
use std::sync::Arc;

/// What looks at the body of a request to these candidates.
pub(super) fn leaving(
    snapshot: &Arc<Snapshot>,
    candidates: &[(Ix, &Resource)],
    caller: &Caller,
    seen: &Seen,
    ear: Option<Ear>,
) -> Leaving {
    let notes = leaks_word(candidates.iter().map(|(_, resource)| *resource)) == Leaks::Note;
    let ixs: Vec<Ix> = candidates.iter().map(|(ix, _)| *ix).collect();
    let (handed, target) = (caller.state.seen(), caller.target.clone());
    let stream = Stream::new(snapshot.policy.scanner.and(handed.traces().clone()));
    let (snapshot, seen) = (snapshot.clone(), seen.clone());
    let leaving = Leaving::new(stream, move |sighting| {
        let policy = &snapshot.policy;
        let leak = Leak::new(Leak::BODY, sighting.clone(), &handed);
        let resources = ixs.iter().filter_map(|ix| policy.resources.get(*ix));
        if belongs(&leak, target.host(), policy, resources) {
            return true;
        }
        seen.note(leak_finding(&leak, policy));
        notes
    });
    match ear {
        Some(ear) => leaving.with(ear.along()),
        None => leaving,
    }
}
