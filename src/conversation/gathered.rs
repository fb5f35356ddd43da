//! What is said in one request, or in one piece of an answer, gathered to be taken up at once.
//!
//! Takes calls, and results in which secrets stand, as they are read; says which calls are to be judged,
//! what each result answers, and which of it is history: told before somebody listened. Pure, and bounded:
//! of one body so many calls are kept, and so many are judged, the newest; the rest is counted.

use super::{Heard, hash, is_identity};
use crate::inspect::credential::handed::Handed;
use crate::inspect::model::{By, Dialect, Met, ToolCall, ToolResult, Unread, What};
use std::collections::hash_map::RandomState;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// So many new calls of one body are kept until it is read, and so long their inputs may be.
const MOST_KEPT: usize = 512;
/// So many of them are judged, for a judgement takes time.
const MOST_JUDGED: usize = 64;
/// What the inputs of those that are kept, and of those that are judged, may come to, in bytes.
const LONGEST: usize = 256 << 10;
/// So many results with secrets of one body are taken up, and so many of them are stages.
const MOST_FOUND: usize = 1_024;
const MOST_NOTED: usize = 64;

/// Which way it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the agent, with all turns before.
    Request,
    /// To the agent: this is news as such.
    Answer,
}

/// A call that is news.
#[derive(Debug)]
pub struct Called {
    /// What it is called with.
    pub call: ToolCall,
    /// Its place in the body.
    pub place: usize,
    /// The hash by which it is known.
    pub key: u64,
    /// The hash of its id.
    id: u64,
    /// The length of its input.
    length: usize,
    /// Where its result stands.
    answered: Option<usize>,
}

impl Called {
    /// The hash of its id, where that is an identity.
    pub fn identity(&self) -> Option<u64> {
        is_identity(&self.call.id).then_some(self.id)
    }
}

/// A call whose hash is made.
#[derive(Debug)]
pub struct Weighed {
    call: ToolCall,
    key: u64,
    length: usize,
}

/// A result in which secrets stand.
#[derive(Debug)]
pub struct Found {
    /// The secrets.
    pub handed: Vec<Handed>,
    /// The tool, where that is said.
    pub tool: Option<String>,
    /// Its place in the body.
    pub place: usize,
    /// The hash of the call before it that it answers.
    pub call: Option<u64>,
    /// The hash of the id of that, where it is an identity.
    pub id: Option<u64>,
    /// Whether it is of now.
    pub is_news: bool,
}

/// What was gathered, in order.
#[derive(Debug)]
pub struct Taken {
    /// Calls that are news, and whether each is to be judged.
    pub calls: Vec<(Called, bool)>,
    /// Results in which secrets stand.
    pub found: Vec<Found>,
    /// How often something was not read.
    pub unread: BTreeMap<Unread, u64>,
}

/// What is gathered of one body.
#[derive(Debug)]
pub struct Gathered {
    hasher: RandomState,
    /// The host and the form of the conversation: ids of others say nothing here.
    scope: u64,
    dialect: Dialect,
    way: Way,
    /// Calls that are news, and how long their inputs are in all.
    calls: VecDeque<Called>,
    length: usize,
    found: VecDeque<Found>,
    /// How often what looks the same was met.
    times: HashMap<u64, u32>,
    /// The last call of each id.
    last: HashMap<u64, u64>,
    /// How the call stands that is read next.
    met: Option<u64>,
    /// How much was met, and where the model spoke last.
    place: usize,
    spoke: usize,
    /// Whether this conversation was listened to before.
    is_known: bool,
    /// How many more calls are judged, and how long they may be.
    left: (usize, usize),
    unread: BTreeMap<Unread, u64>,
}

impl Gathered {
    /// Nothing yet, of a conversation with a host.
    pub fn new(hasher: RandomState, host: &str, dialect: Dialect, way: Way) -> Self {
        Self {
            scope: hash(&hasher, (host, dialect)),
            hasher,
            dialect,
            way,
            calls: VecDeque::new(),
            length: 0,
            found: VecDeque::new(),
            times: HashMap::new(),
            last: HashMap::new(),
            met: None,
            place: 0,
            spoke: 0,
            is_known: false,
            left: (MOST_JUDGED, LONGEST),
            unread: BTreeMap::new(),
        }
    }

    fn id(&self, id: &str) -> u64 {
        hash(&self.hasher, (self.scope, id))
    }

    /// The hash by which a call or a result is known as it stands in a request; none where nothing is sent
    /// twice.
    pub fn met(&mut self, met: &Met<'_>) -> Option<u64> {
        if self.dialect == Dialect::Mcp {
            return None;
        }
        let Met { what, id, tool, by, raw } = met;
        let mut key = hash(&self.hasher, (self.scope, what, id, tool, by, raw));
        if !is_identity(id) {
            // What has no id of its own is told by how often it stands there.
            let times = self.times.entry(key).or_default();
            *times += 1;
            key = hash(&self.hasher, (key, *times));
        }
        self.met = (*what == What::Call).then_some(key);
        Some(key)
    }

    /// This was met before.
    pub fn is_known(&mut self, met: &Met<'_>, key: u64) {
        self.place += 1;
        self.is_known |= met.what == What::Call || is_identity(met.id);
        if met.what == What::Call {
            self.met = None;
            self.last.insert(self.id(met.id), key);
        }
    }

    /// The model begins to speak.
    pub const fn spoke(&mut self) {
        self.place += 1;
        self.spoke = self.place;
    }

    /// Makes the hash of a call, which takes as long as its input is.
    pub fn weighed(&self, call: ToolCall) -> Weighed {
        let input = call.input.to_string();
        let id = Some(&*call.id).filter(|id| is_identity(id));
        let key = hash(&self.hasher, (self.scope, What::Call, id, &call.tool, call.by, &input));
        Weighed { call, key, length: input.len() }
    }

    /// Takes up a call, if it is news.
    pub fn call(&mut self, weighed: Weighed, heard: &mut Heard) {
        let Weighed { call, key, length } = weighed;
        self.place += 1;
        if self.dialect == Dialect::Gemini {
            self.spoke = self.place;
        }
        let has_identity = is_identity(&call.id);
        let is_new = match self.way {
            // Nothing of these is sent again: each is an act of its own.
            _ if self.dialect == Dialect::Mcp => true,
            Way::Answer if has_identity => heard.is_new(key),
            Way::Answer => {
                heard.owe(key);
                true
            }
            Way::Request if has_identity => heard.is_new(key),
            // It was not met before in this place, but its answer may have told of it.
            Way::Request => !heard.is_owed(key),
        };
        if let Some(met) = self.met.take() {
            heard.stands_as(met, key);
        }
        let id = self.id(&call.id);
        if !call.id.is_empty() {
            self.last.insert(id, key);
        }
        if !is_new {
            self.is_known = true;
            return;
        }
        self.length += length;
        self.calls.push_back(Called { place: self.place, key, id, length, answered: None, call });
        while self.calls.len() > MOST_KEPT || (self.length > LONGEST && self.calls.len() > 1) {
            self.length -= self.calls.pop_front().map_or(0, |call| call.length);
            self.missed(Unread::Crowded);
        }
    }

    /// Takes up a result, and the secrets that stand in it.
    pub fn result(&mut self, result: &ToolResult, handed: Vec<Handed>) {
        self.place += 1;
        let id = self.id(&result.call);
        let of_it = self.calls.iter_mut().rev().find(|call| call.id == id);
        if let Some(call) = of_it {
            call.answered.get_or_insert(self.place);
        }
        if handed.is_empty() {
            return;
        }
        self.found.push_back(Found {
            handed,
            tool: result.tool.clone(),
            place: self.place,
            call: self.last.get(&id).copied(),
            id: is_identity(&result.call).then_some(id),
            is_news: true,
        });
        if self.found.len() > MOST_FOUND {
            self.found.pop_front();
            self.missed(Unread::Crowded);
        }
    }

    /// Something could not be read.
    pub fn missed(&mut self, why: Unread) {
        *self.unread.entry(why).or_default() += 1;
    }

    /// Whether nothing is to be taken up.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty() && self.found.is_empty() && self.unread.is_empty()
    }

    /// Hands over what was gathered so far.
    pub fn taken(&mut self) -> Taken {
        let is_old = |place: usize| {
            // The rest of a conversation that nobody listened to yet was told before.
            self.way == Way::Request && !self.is_known && self.spoke > place
        };
        let mut unread = std::mem::take(&mut self.unread);
        let mut crowded = 0;
        let mut calls: Vec<(Called, bool)> = Vec::with_capacity(self.calls.len());
        for call in self.calls.drain(..).rev() {
            let is_old = call.answered.is_some_and(is_old);
            // What runs at the provider is asked for only where somebody may have to be told of it.
            let is_wanted = !is_old && (self.way == Way::Answer || call.call.by != By::Provider);
            let is_judged = is_wanted && spend(&mut self.left, call.length);
            crowded += u64::from(is_wanted && !is_judged);
            calls.push((call, is_judged));
        }
        calls.reverse();
        let mut found: Vec<Found> = self.found.drain(..).collect();
        let mut news = 0;
        for one in found.iter_mut().rev() {
            one.is_news = !is_old(one.place) && news < MOST_NOTED;
            news += usize::from(one.is_news);
        }
        if crowded > 0 {
            *unread.entry(Unread::Crowded).or_default() += crowded;
        }
        self.length = 0;
        Taken { calls, found, unread }
    }

    /// Whether one more call may be read for what people are shown of it.
    pub fn may_show(&mut self, call: &Called) -> bool {
        spend(&mut self.left, call.length)
    }
}

/// Takes a call of this length out of what is left; the first may be as long as it is.
fn spend((calls, bytes): &mut (usize, usize), length: usize) -> bool {
    let fits = *calls > 0 && (length <= *bytes || *calls == MOST_JUDGED);
    if fits {
        *calls -= 1;
        *bytes = bytes.saturating_sub(length);
    }
    fits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fingerprint::FingerprintKey;
    use serde_json::json;

    /// A part of a conversation.
    #[derive(Clone, Copy)]
    enum Part<'a> {
        Call(&'a str, &'a str),
        /// A call that the provider runs.
        Provided(&'a str, &'a str),
        /// The result of a call; whether a secret stands in it.
        Result(&'a str, bool),
        Spoke,
    }
    use Part::{Call, Provided, Result, Spoke};

    fn gathered(heard: &Heard, way: Way) -> Gathered {
        Gathered::new(heard.hasher(), "model.test", Dialect::Anthropic, way)
    }

    /// Hears a body as the readers tell it.
    fn hears(heard: &mut Heard, body: &mut Gathered, parts: &[Part<'_>]) {
        let secret = Handed {
            print: FingerprintKey::new(b"key").fingerprint(b"secret"),
            length: 36,
            sure: true,
            trace: None,
        };
        for part in parts {
            let (what, id, raw) = match part {
                Call(id, command) | Provided(id, command) => (What::Call, *id, *command),
                Result(id, _) => (What::Result, *id, "result"),
                Spoke => {
                    body.spoke();
                    continue;
                }
            };
            let by = if matches!(part, Provided(..)) { By::Provider } else { By::Agent };
            let met = Met { what, id, tool: "Bash", by, raw };
            if body.way == Way::Request
                && let Some(key) = body.met(&met)
                && !heard.is_new(key)
            {
                body.is_known(&met, key);
                continue;
            }
            match part {
                Call(id, command) | Provided(id, command) => {
                    let input = json!({ "command": command });
                    let (id, tool) = ((*id).to_owned(), "Bash".to_owned());
                    let call = ToolCall { id, tool, input, by };
                    let weighed = body.weighed(call);
                    body.call(weighed, heard);
                }
                Result(id, is_secret) => {
                    let call = (*id).to_owned();
                    let result =
                        ToolResult { call, tool: None, text: String::new(), by: By::Agent };
                    body.result(&result, is_secret.then_some(secret).into_iter().collect());
                }
                Spoke => {}
            }
        }
    }

    /// The commands that are judged, and whether each result with a secret is news.
    fn taken(heard: &mut Heard, way: Way, parts: &[Part<'_>]) -> (Vec<String>, Vec<bool>) {
        let mut body = gathered(heard, way);
        hears(heard, &mut body, parts);
        let Taken { calls, found, .. } = body.taken();
        let judged = calls.into_iter().filter(|(_, is_judged)| *is_judged);
        let command =
            |(called, _): (Called, bool)| called.call.input["command"].as_str().unwrap().to_owned();
        (judged.map(command).collect(), found.iter().map(|found| found.is_news).collect())
    }

    #[test]
    fn what_was_told_before_anybody_listened_is_history() {
        const OLD: &[Part<'_>] = &[
            Spoke,
            Call("toolu_aaaa", "cat .env"),
            Result("toolu_aaaa", true),
            Spoke,
            Call("toolu_bbbb", "ls"),
            Result("toolu_bbbb", true),
        ];
        // A process that begins in the middle: the last call is of now, what came before is not.
        let mut heard = Heard::default();
        let (judged, news) = taken(&mut heard, Way::Request, OLD);
        assert_eq!((judged, news), (vec!["ls".to_owned()], vec![false, true]));
        // From then on nothing is history, wherever it stands.
        let hidden = [
            Spoke,
            Call("toolu_aaaa", "cat .env"),
            Result("toolu_aaaa", true),
            Spoke,
            Call("toolu_cccc", "cat .netrc"),
            Result("toolu_cccc", true),
            Spoke,
        ];
        let (judged, news) = taken(&mut heard, Way::Request, &hidden);
        assert_eq!((judged, news), (vec!["cat .netrc".to_owned()], vec![true]));
        // A conversation whose answers are not heard is followed by its requests.
        let mut heard = Heard::default();
        for end in [3, 6] {
            let (judged, _) = taken(&mut heard, Way::Request, &OLD[..end]);
            assert_eq!(judged.len(), 1, "{end}");
        }
        // Nothing of an answer is history.
        let mut heard = Heard::default();
        assert_eq!(taken(&mut heard, Way::Answer, OLD).0.len(), 2);
        assert_eq!(taken(&mut heard, Way::Answer, OLD).0.len(), 0, "the same answer again");
        assert_eq!(taken(&mut heard, Way::Request, OLD).0.len(), 0, "and with the next request");
    }

    #[test]
    fn a_number_that_is_used_again_is_another_call() {
        let mut heard = Heard::default();
        let call = || Call("call_0", "cat .env");
        assert_eq!(taken(&mut heard, Way::Answer, &[call()]).0.len(), 1);
        let turn = || [Spoke, call(), Result("call_0", true)];
        assert_eq!(taken(&mut heard, Way::Request, &turn()).0.len(), 0, "it was in the answer");
        assert_eq!(taken(&mut heard, Way::Answer, &[call()]).0.len(), 1, "again, later");
        let both: Vec<_> = turn().into_iter().chain(turn()).collect();
        assert_eq!(taken(&mut heard, Way::Request, &both).0.len(), 0);
        // Where answers are not heard, the second is met as a second.
        let mut heard = Heard::default();
        assert_eq!(taken(&mut heard, Way::Request, &turn()).0.len(), 1);
        assert_eq!(taken(&mut heard, Way::Request, &turn()).0.len(), 0);
        assert_eq!(taken(&mut heard, Way::Request, &both).0.len(), 1);
        // At another host it is another conversation.
        let mut other = Gathered::new(heard.hasher(), "b.test", Dialect::Chat, Way::Request);
        hears(&mut heard, &mut other, &turn());
        assert_eq!(other.taken().calls.len(), 1);
    }

    #[test]
    fn what_the_provider_ran_hides_nothing_that_the_agent_runs() {
        let mut heard = Heard::default();
        let parts = [Provided("toolu_aaaa", "cat .env"), Call("toolu_aaaa", "cat .env")];
        assert_eq!(taken(&mut heard, Way::Request, &parts).0.len(), 1);
    }

    #[test]
    fn a_server_of_tools_is_called_anew_each_time() {
        let mut heard = Heard::default();
        for _ in 0..2 {
            let mut body = Gathered::new(heard.hasher(), "mcp.test", Dialect::Mcp, Way::Request);
            hears(&mut heard, &mut body, &[Call("1", "cat .env")]);
            assert_eq!(body.taken().calls.len(), 1);
        }
    }

    #[test]
    fn a_result_is_of_the_call_before_it() {
        let mut heard = Heard::default();
        let mut body = gathered(&heard, Way::Request);
        let parts = [
            Call("call_0", "ls"),
            Result("call_0", true),
            Call("call_0", "cat .env"),
            Result("call_0", true),
            Result("call_9", true),
        ];
        hears(&mut heard, &mut body, &parts);
        let Taken { calls, found, .. } = body.taken();
        let keys: Vec<_> = calls.iter().map(|(called, _)| Some(called.key)).collect();
        let of: Vec<_> = found.iter().map(|found| found.call).collect();
        assert_eq!(of, [keys[0], keys[1], None]);
        assert!(found.iter().all(|found| found.id.is_none()), "a number is no identity");
    }

    /// However many calls stand in a body, and however long they are, so much is judged: the newest.
    #[test]
    fn what_one_body_costs_is_bounded() {
        let ids: Vec<String> = (0..4_000).map(|n| format!("toolu_{n:08}")).collect();
        for length in [1, 1_000, 100_000] {
            let mut heard = Heard::default();
            let mut body = gathered(&heard, Way::Request);
            let command = "x".repeat(length);
            let many = ids.len().min((8 << 20) / length);
            for id in &ids[..many] {
                hears(&mut heard, &mut body, &[Call(id, &command)]);
            }
            let Taken { calls, unread, .. } = body.taken();
            assert!(calls.len() <= MOST_KEPT, "{length}: {}", calls.len());
            let judged: Vec<_> = calls.iter().filter(|(_, is_judged)| *is_judged).collect();
            let bytes: usize = judged.iter().map(|(called, _)| called.length).sum();
            assert!(judged.len() <= MOST_JUDGED && bytes <= LONGEST, "{length}: {bytes}");
            let last = judged.last().map(|(called, _)| &*called.call.id);
            assert_eq!(last, Some(&*ids[many - 1]), "{length}: the newest");
            assert_eq!(unread[&Unread::Crowded], (many - judged.len()) as u64, "{length}");
        }
        // One that is longer than all may be is judged where it is alone.
        let mut heard = Heard::default();
        let long = "x".repeat(LONGEST + 1);
        assert_eq!(taken(&mut heard, Way::Answer, &[Call("toolu_aaaa", &long)]).0.len(), 1);
    }

    #[test]
    fn so_many_results_are_noted() {
        let ids: Vec<String> = (0..MOST_FOUND + 10).map(|n| format!("toolu_{n:08}")).collect();
        let parts: Vec<_> = ids.iter().map(|id| Result(id, true)).collect();
        let mut heard = Heard::default();
        let (_, news) = taken(&mut heard, Way::Request, &parts);
        assert_eq!(news.len(), MOST_FOUND);
        assert_eq!(news.iter().filter(|is_news| **is_news).count(), MOST_NOTED);
        assert!(news.ends_with(&[true]), "the newest");
    }
}
