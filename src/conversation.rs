//! What was heard of an agent's conversations with models and servers of tools.
//!
//! Takes calls and results as they are read; says whether each is news, what a result answers, and what
//! could not be read. Pure, in bounded memory: what was heard longest ago goes first. Keeps no input and
//! no result, only their hashes and what people are shown of a call.

use crate::inspect::model::{Met, ToolCall, Unread, What};
use std::collections::hash_map::{Entry, RandomState};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

/// So many calls and results are known: conversations send all of them again with every turn.
const MOST_KNOWN: usize = 32_768;
/// Of so many calls it is known what people are shown of them.
const MOST_CALLS: usize = 2_048;

/// What was heard so far.
#[derive(Debug, Default)]
pub struct Heard {
    hasher: RandomState,
    known: HashSet<u64>,
    order: VecDeque<u64>,
    /// What people are shown of each call, by its id.
    calls: HashMap<u64, Arc<str>>,
    ids: VecDeque<u64>,
    unread: BTreeMap<Unread, u64>,
}

impl Heard {
    /// Whether this was met before as it stands there, so that it need not be read again.
    pub fn knows(&mut self, met: &Met<'_>) -> bool {
        let Met { what, id, raw } = met;
        !self.is_new((what, id, raw))
    }

    /// Whether a call is news: the same one comes with the answer, and again with what is sent next.
    pub fn is_news(&mut self, call: &ToolCall) -> bool {
        self.is_new((What::Call, &call.id, &call.tool, call.input.to_string()))
    }

    fn is_new(&mut self, what: impl Hash) -> bool {
        let hash = self.hasher.hash_one(what);
        let is_new = self.known.insert(hash);
        if is_new {
            self.order.push_back(hash);
            if self.order.len() > MOST_KNOWN
                && let Some(oldest) = self.order.pop_front()
            {
                self.known.remove(&oldest);
            }
        }
        is_new
    }

    /// Keeps what people are shown of a call. The first telling stands: the model's comes before its agent's.
    pub fn called(&mut self, id: &str, shown: Arc<str>) {
        if id.is_empty() {
            return;
        }
        let id = self.hasher.hash_one(id);
        if let Entry::Vacant(place) = self.calls.entry(id) {
            place.insert(shown);
            self.ids.push_back(id);
            if self.ids.len() > MOST_CALLS
                && let Some(oldest) = self.ids.pop_front()
            {
                self.calls.remove(&oldest);
            }
        }
    }

    /// What people are shown of the call that a result answers.
    pub fn call(&self, id: &str) -> Option<Arc<str>> {
        self.calls.get(&self.hasher.hash_one(id)).cloned()
    }

    /// Counts a part that could not be read.
    pub fn missed(&mut self, why: Unread) {
        *self.unread.entry(why).or_default() += 1;
    }

    /// What could not be read, and how often.
    pub fn unread(&self) -> impl Iterator<Item = (Unread, u64)> {
        self.unread.iter().map(|(why, count)| (*why, *count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::model::By;
    use serde_json::json;

    fn call(id: &str, command: &str) -> ToolCall {
        let input = json!({ "command": command });
        ToolCall { id: id.to_owned(), tool: "Bash".to_owned(), input, by: By::Agent }
    }

    #[test]
    fn each_is_news_once_and_an_id_alone_says_nothing() {
        let mut heard = Heard::default();
        assert!(heard.is_news(&call("1", "ls")));
        assert!(!heard.is_news(&call("1", "ls")));
        assert!(heard.is_news(&call("1", "cat .env")), "the agent chooses ids");
        let met = |raw| Met { what: What::Result, id: "1", raw };
        assert!(!heard.knows(&met("\"a\"")) && heard.knows(&met("\"a\"")));
        assert!(!heard.knows(&met("\"b\"")));
        heard.called("1", Arc::from("ls"));
        heard.called("1", Arc::from("cat .env"));
        assert_eq!(heard.call("1").as_deref(), Some("ls"), "the first telling stands");
        heard.called("", Arc::from("ls"));
        assert_eq!(heard.call(""), None, "no id is nobody's");
        assert_eq!(heard.call("2"), None);
        heard.missed(Unread::Input);
        heard.missed(Unread::Input);
        assert_eq!(heard.unread().collect::<Vec<_>>(), [(Unread::Input, 2)]);
    }

    #[test]
    fn its_memory_is_bounded() {
        let mut heard = Heard::default();
        for number in 0..MOST_KNOWN + 100 {
            let id = number.to_string();
            assert!(heard.is_new(&id));
            heard.called(&id, Arc::from("ls"));
        }
        assert_eq!((heard.known.len(), heard.calls.len()), (MOST_KNOWN, MOST_CALLS));
        assert_eq!((heard.order.len(), heard.ids.len()), (MOST_KNOWN, MOST_CALLS));
        assert!(heard.is_new("0"), "what was heard longest ago is forgotten first");
    }
}
