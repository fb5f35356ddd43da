//! What was heard of an agent's conversations with models and servers of tools.
//!
//! Takes calls and results as they are read; says whether each is news, what a result answers, and what
//! could not be read. Pure, in bounded memory: what was met longest ago goes first, and what an agent
//! tells pushes out nothing that its models told. Keeps no input and no result, only their hashes and
//! what people are shown of a call.

mod gathered;

pub use gathered::{Called, Found, Gathered, Taken, Way};

use crate::inspect::model::Unread;
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

/// So many calls and results are known: conversations send all of them again with every turn.
const MOST_KNOWN: usize = 32_768;
/// Of so many calls it is known what people are shown of them.
const MOST_CALLS: usize = 2_048;
/// So many calls without an id of their own may still come back with the next turn.
const MOST_OWED: usize = 256;
/// An id of so few digits behind letters is a number in its conversation, and no identity.
const DIGITS: usize = 4;

/// Whether an id says which call it is: an empty one does not, nor one that is counted up from the start
/// in each conversation, as those of JSON-RPC, `call_0` or `run#1`.
pub fn is_identity(id: &str) -> bool {
    let digits = id.trim_start_matches(|c: char| !c.is_ascii_digit());
    !id.is_empty()
        && (digits.is_empty()
            || digits.len() > DIGITS
            || digits.contains(|c: char| !c.is_ascii_digit()))
}

/// What was heard so far.
#[derive(Debug, Default)]
pub struct Heard {
    hasher: RandomState,
    /// What was met lately, and what was met before that.
    known: HashSet<u64>,
    before: HashSet<u64>,
    /// What people are shown of calls that models told of: of each, and of the last one of each id.
    by_model: Labels<Label>,
    by_id: Labels<Label>,
    /// The same of calls that only the agent told of.
    by_agent: Labels<Label>,
    /// Which call it is that stands so in a request.
    aliases: Labels<u64>,
    /// Calls without an id of their own that a model told of, and that come back with the next turn.
    owed: VecDeque<u64>,
    unread: BTreeMap<Unread, u64>,
}

/// What a call is known as.
#[derive(Clone, Debug)]
pub struct Label {
    /// What people are shown of it.
    pub shown: Arc<str>,
    /// Whether it looks for credentials: what comes of it may be one, without a name.
    pub seeks: bool,
}

/// What is known by a hash, the newest of it.
#[derive(Debug)]
struct Labels<V> {
    all: HashMap<u64, V>,
    order: VecDeque<u64>,
}

impl<V> Default for Labels<V> {
    fn default() -> Self {
        Self { all: HashMap::new(), order: VecDeque::new() }
    }
}

impl<V> Labels<V> {
    fn keep(&mut self, key: u64, value: V) {
        if self.all.insert(key, value).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > MOST_CALLS
            && let Some(oldest) = self.order.pop_front()
        {
            self.all.remove(&oldest);
        }
    }

    fn get(&self, key: u64) -> Option<&V> {
        self.all.get(&key)
    }
}

impl Heard {
    /// What makes its hashes; whoever has much to hash does so before it is locked.
    pub fn hasher(&self) -> RandomState {
        self.hasher.clone()
    }

    /// Whether this is met for the first time; it is known from then on, for as long as it is met again.
    pub fn is_new(&mut self, hash: u64) -> bool {
        if !self.known.insert(hash) {
            return false;
        }
        let is_new = !self.before.remove(&hash);
        if self.known.len() >= MOST_KNOWN / 2 {
            self.before = std::mem::take(&mut self.known);
        }
        is_new
    }

    /// This was not judged after all: it is news where it comes again.
    pub fn forget(&mut self, hash: u64) {
        self.known.remove(&hash);
        self.before.remove(&hash);
        self.owed.retain(|owed| *owed != hash);
    }

    /// Notes a call without an id of its own that a model told of: its agent sends it again.
    fn owe(&mut self, call: u64) {
        if self.owed.len() == MOST_OWED {
            self.owed.pop_front();
        }
        self.owed.push_back(call);
    }

    /// Whether a call without an id of its own is one that a model told of.
    fn is_owed(&mut self, call: u64) -> bool {
        let at = self.owed.iter().position(|owed| *owed == call);
        at.and_then(|at| self.owed.remove(at)).is_some()
    }

    /// Keeps what a call is that a model told of, and which id it has, where that is one.
    pub fn told_by_model(&mut self, call: u64, id: Option<u64>, label: &Label) {
        self.by_model.keep(call, label.clone());
        if let Some(id) = id {
            self.by_id.keep(id, label.clone());
        }
    }

    /// Keeps what a call is that nobody but the agent told of.
    pub fn told_by_agent(&mut self, call: u64, label: &Label) {
        self.by_agent.keep(call, label.clone());
    }

    /// Notes which call it is that stands so in a request.
    pub fn stands_as(&mut self, met: u64, call: u64) {
        self.aliases.keep(met, call);
    }

    /// What a call is: as a model told it, or else the last one of its id, where that is an identity, or
    /// else as the agent tells it.
    pub fn label(&self, call: Option<u64>, id: Option<u64>) -> Option<&Label> {
        let call = call.map(|call| *self.aliases.get(call).unwrap_or(&call));
        let by_model = call.and_then(|call| self.by_model.get(call));
        let by_id = || id.and_then(|id| self.by_id.get(id));
        let by_agent = || call.and_then(|call| self.by_agent.get(call));
        by_model.or_else(by_id).or_else(by_agent)
    }

    /// Counts parts that could not be read.
    pub fn missed(&mut self, why: Unread, times: u64) {
        *self.unread.entry(why).or_default() += times;
    }

    /// What could not be read, and how often.
    pub fn unread(&self) -> impl Iterator<Item = (Unread, u64)> {
        self.unread.iter().map(|(why, count)| (*why, *count))
    }
}

/// A hash of something in a conversation.
fn hash(hasher: &RandomState, what: impl Hash) -> u64 {
    hasher.hash_one(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_up_in_each_conversation_is_no_identity() {
        for id in ["", "1", "42", "call_0", "run_shell_command#1", "toolu_7"] {
            assert!(!is_identity(id), "{id}");
        }
        for id in ["toolu_01A09q90qw90lq917835lq9", "call_abc", "chatcmpl-tool-12345", "x1b"] {
            assert!(is_identity(id), "{id}");
        }
    }

    /// What the agent tells never stands in the place of what its model told, however much it tells.
    #[test]
    fn the_model_is_asked_first_what_a_call_was() {
        let label = |text: &str| Label { shown: Arc::from(text), seeks: text.starts_with("cat") };
        let shown =
            |heard: &Heard, call, id| heard.label(call, id).map(|label| label.shown.to_string());
        let mut heard = Heard::default();
        heard.told_by_model(1, Some(10), &label("cat .env"));
        heard.told_by_agent(2, &label("cat README.md"));
        assert_eq!(shown(&heard, Some(2), None).as_deref(), Some("cat README.md"));
        assert_eq!(shown(&heard, Some(2), Some(10)).as_deref(), Some("cat .env"));
        heard.stands_as(3, 1);
        for call in 100..100 + 2 * MOST_CALLS as u64 {
            heard.told_by_agent(call, &label("ls"));
        }
        assert_eq!(shown(&heard, Some(1), None).as_deref(), Some("cat .env"));
        assert_eq!(shown(&heard, Some(3), None).as_deref(), Some("cat .env"), "as it stands there");
        assert_eq!(shown(&heard, Some(2), None), None, "what was told longest ago goes first");
        assert_eq!(shown(&heard, None, None), None);
        // Where an id is used again, the last call of it.
        heard.told_by_model(4, Some(10), &label("ls infra"));
        assert_eq!(shown(&heard, None, Some(10)).as_deref(), Some("ls infra"));
        assert_eq!(shown(&heard, Some(1), Some(10)).as_deref(), Some("cat .env"));
        assert!(heard.label(Some(1), None).is_some_and(|label| label.seeks));
        assert!(heard.label(Some(4), None).is_some_and(|label| !label.seeks));
    }

    #[test]
    fn its_memory_is_bounded() {
        let mut heard = Heard::default();
        const AGAIN: u64 = u64::MAX;
        assert!(heard.is_new(AGAIN));
        for number in 0..4 * MOST_KNOWN as u64 {
            assert!(heard.is_new(number));
            assert!(
                !heard.is_new(AGAIN),
                "{number}: what is sent again with every turn stays known"
            );
            assert!(heard.known.len() + heard.before.len() <= MOST_KNOWN);
            heard.owe(number);
            heard.told_by_model(
                number,
                Some(number),
                &Label { shown: Arc::from("ls"), seeks: false },
            );
        }
        assert_eq!((heard.by_model.all.len(), heard.by_id.order.len()), (MOST_CALLS, MOST_CALLS));
        assert_eq!(heard.owed.len(), MOST_OWED);
        assert!(heard.is_new(0), "what was met longest ago is forgotten first");
        heard.missed(Unread::Input, 2);
        heard.missed(Unread::Input, 1);
        assert_eq!(heard.unread().collect::<Vec<_>>(), [(Unread::Input, 3)]);
    }
}
