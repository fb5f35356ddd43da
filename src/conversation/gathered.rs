//! What is said in one request, or in one piece of an answer, gathered to be taken up at once.
//!
//! Takes calls, and results in which secrets stand, as they are read; says which calls are to be judged,
//! what each result answers, and which of it is history: told before somebody listened. Pure, and bounded:
//! of one body so many calls are kept, and so many are judged, the newest; the rest is counted.

#[cfg(test)]
mod tests;

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
/// Of so many ids it is known which call has each: an answer may never end.
const MOST_IDS: usize = 16_384;

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
    /// How it stands there, where it is known by that as well.
    met: Option<u64>,
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
    /// By which hashes calls are known for which there was no room: they are news where they come again.
    pub left_out: Vec<u64>,
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
    /// Whether more turns of it follow in another part.
    goes_on: bool,
    /// How many more calls are judged, and how long they may be.
    left: (usize, usize),
    unread: BTreeMap<Unread, u64>,
    left_out: Vec<u64>,
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
            goes_on: false,
            left: (MOST_JUDGED, LONGEST),
            unread: BTreeMap::new(),
            left_out: Vec::new(),
        }
    }

    fn id(&self, id: &str) -> u64 {
        hash(&self.hasher, (self.scope, id))
    }

    /// The hash by which a call or a result is known as it stands in a request; none where nothing is sent
    /// twice: what an answer says is said now, however often it was said before.
    pub fn met(&mut self, met: &Met<'_>) -> Option<u64> {
        if self.dialect == Dialect::Mcp || self.way == Way::Answer {
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
    pub fn met_before(&mut self, met: &Met<'_>, key: u64) {
        self.place += 1;
        self.is_known |= met.what == What::Call || is_identity(met.id);
        if met.what == What::Call {
            self.met = None;
            self.last.insert(self.id(met.id), key);
        }
    }

    /// This is a part of a request that goes on with more turns.
    #[must_use]
    pub const fn going_on(mut self, goes_on: bool) -> Self {
        self.goes_on = goes_on;
        self
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
            _ if has_identity => heard.is_new(key),
            Way::Answer => {
                heard.owe(key);
                true
            }
            // It was not met before in this place, but its answer may have told of it.
            Way::Request => !heard.is_owed(key),
        };
        let met = self.met.take();
        if let Some(met) = met {
            heard.stands_as(met, key);
        }
        let id = self.id(&call.id);
        if !call.id.is_empty() && (self.last.len() < MOST_IDS || self.last.contains_key(&id)) {
            self.last.insert(id, key);
        }
        if !is_new {
            self.is_known = true;
            return;
        }
        self.length += length;
        let (place, answered) = (self.place, None);
        self.calls.push_back(Called { call, place, key, met, id, length, answered });
        while self.calls.len() > MOST_KEPT || (self.length > LONGEST && self.calls.len() > 1) {
            let Some(oldest) = self.calls.pop_front() else { break };
            self.length -= oldest.length;
            // What stands first in a request may be history, which is not to be news later.
            if self.way == Way::Answer {
                self.left_out.push(oldest.key);
            }
            self.missed(Unread::Crowded);
        }
    }

    /// The call that a result answers, by how it stands before it and by its id, where that is an identity.
    pub fn answered_by(&self, result: &ToolResult) -> (Option<u64>, Option<u64>) {
        let id = self.id(&result.call);
        (self.last.get(&id).copied(), is_identity(&result.call).then_some(id))
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
        let (call, id) = self.answered_by(result);
        let (tool, place) = (result.tool.clone(), self.place);
        self.found.push_back(Found { handed, tool, place, call, id, is_news: true });
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
            self.way == Way::Request && !self.is_known && (self.goes_on || self.spoke > place)
        };
        let mut unread = std::mem::take(&mut self.unread);
        let mut crowded = 0;
        let mut calls: Vec<(Called, bool)> = Vec::with_capacity(self.calls.len());
        for call in self.calls.drain(..).rev() {
            let is_old = call.answered.is_some_and(is_old);
            // What runs at the provider is asked for only where somebody may have to be told of it.
            let is_wanted = !is_old && (self.way == Way::Answer || call.call.by != By::Provider);
            let is_judged = is_wanted && spend(&mut self.left, call.length);
            if is_wanted && !is_judged {
                crowded += 1;
                self.left_out.extend(call.met.into_iter().chain([call.key]));
            }
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
        Taken { calls, found, unread, left_out: std::mem::take(&mut self.left_out) }
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
