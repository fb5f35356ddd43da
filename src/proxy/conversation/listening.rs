//! What is heard of one body, and what it leads to.
//!
//! Takes what the readers of conversations say; gathers it, and takes it up at once when the body, or the
//! piece of an answer, is over: secrets in results become sightings in one step, and stages are noted in
//! the order of the body. A tool call is read by the grammar of the shell only where it is judged, or
//! where people have to be shown it.

use super::Ear;
use crate::conversation::{Called, Found, Gathered, Label, Taken, Way, is_identity};
use crate::inspect::credential::handed::{Handed, in_result, whole_result};
use crate::inspect::discovery::{self, Discovery};
use crate::inspect::model::{By, Listener, Met, Said, ToolResult};
use crate::inspect::secret::{Known, Owner, Scanner};
use crate::inventory::keeper;
use crate::provenance::Answer;
use crate::tool_calls::{Teller, told};
use crate::trajectory::Stage;
use serde_json::Value;
use std::sync::Arc;

/// What listens to one body.
pub(in crate::proxy) struct Listening {
    pub(in crate::proxy) ear: Ear,
    gathered: Gathered,
    way: Way,
}

/// A stage that the body shows, and where in it.
type Shown = (usize, Stage, Arc<str>);

impl Listening {
    pub(in crate::proxy) fn new(ear: Ear, way: Way) -> Self {
        let hasher = ear.caller.state.heard().hasher();
        let host = ear.caller.target.host().as_str();
        let gathered = Gathered::new(hasher, host, ear.dialect, way);
        Self { ear, gathered, way }
    }

    /// The same of a part of a request, on which more turns may follow.
    pub(in crate::proxy) fn going_on(self, goes_on: bool) -> Self {
        Self { gathered: self.gathered.going_on(goes_on), ..self }
    }

    /// Takes up what was said so far.
    pub(in crate::proxy) fn settle(&mut self) {
        if self.gathered.is_empty() {
            return;
        }
        let Taken { calls, found, unread, left_out } = self.gathered.taken();
        for (why, times) in unread {
            self.ear.missed_times(why, times);
        }
        if !left_out.is_empty() {
            let mut heard = self.ear.caller.state.heard();
            for hash in left_out {
                heard.forget(hash);
            }
        }
        if calls.is_empty() && found.is_empty() {
            return;
        }
        let cleaning = self.cleaning(&found);
        let judged = calls.iter().filter(|(_, is_judged)| *is_judged);
        let mut shown: Vec<Shown> =
            judged.filter_map(|(called, _)| self.called(called, &cleaning)).collect();
        let answers: Vec<_> =
            found.iter().map(|found| self.answer(found, &calls, &cleaning)).collect();
        let handed = found.iter().map(|found| &*found.handed);
        let all: Vec<_> = handed.zip(&answers).collect();
        self.ear.caller.state.saw_all(&all);
        for (found, answer) in found.iter().zip(&answers) {
            if found.is_news && found.handed.iter().any(|one| one.sure) {
                shown.push((found.place, Stage::SecretHandedOut, Arc::from(answer.told())));
            }
        }
        shown.sort_by_key(|(place, ..)| *place);
        for (_, stage, what) in &shown {
            self.ear.note(*stage, what);
        }
    }

    /// What knows the secrets that nobody is shown: those that are known, and those of this body.
    fn cleaning(&self, found: &[Found]) -> Scanner {
        let now = self.ear.proxy.current.load_full();
        let seen = self.ear.caller.state.seen();
        let traces = found.iter().flat_map(|found| &found.handed).filter_map(|one| one.trace);
        let owned = traces.enumerate().map(|(number, trace)| (trace, Owner::Seen(number)));
        now.policy.scanner.and(seen.traces().clone()).and(Arc::new(Known::new(owned)))
    }

    /// Judges a call, and keeps what people are shown of it; the stage that it is.
    fn called(&self, called: &Called, cleaning: &Scanner) -> Option<Shown> {
        let (state, call) = (&self.ear.caller.state, &called.call);
        let (intent, shown) = discovery::read(&call.tool, &call.input);
        let label = Label { shown: cleaned(cleaning, shown), seeks: intent.discovery.is_some() };
        match self.way {
            Way::Answer => state.heard().told_by_model(called.key, called.identity(), &label),
            Way::Request => state.heard().told_by_agent(called.key, &label),
        }
        // What the provider runs is not on the agent's machine.
        let Discovery { technique, what } = intent.discovery.filter(|_| call.by != By::Provider)?;
        // A number in a conversation may be any call's.
        let id = Some(&*call.id).filter(|id| is_identity(id));
        let told = told(Teller::Conversation, id, &call.tool, &call.input, &self.ear.key);
        // The agent may have asked about it before.
        if !state.is_new_call(told, self.ear.proxy.clock.now()) {
            return None;
        }
        let what = format!("{} ({})", cleaned(cleaning, what), technique.as_str());
        Some((called.place, Stage::CredentialDiscovery, Arc::from(what)))
    }

    /// The answer that a result is.
    fn answer(
        &mut self,
        found: &Found,
        calls: &[(Called, bool)],
        cleaning: &Scanner,
    ) -> Arc<Answer> {
        let state = &self.ear.caller.state;
        let known = state.heard().label(found.call, found.id).map(|label| label.shown.clone());
        let asked = known.or_else(|| {
            let (called, _) = calls.iter().find(|(called, _)| Some(called.key) == found.call)?;
            if !self.gathered.may_show(called) {
                return None;
            }
            let call = &called.call;
            let (intent, shown) = discovery::read(&call.tool, &call.input);
            let label =
                Label { shown: cleaned(cleaning, shown), seeks: intent.discovery.is_some() };
            state.heard().told_by_agent(called.key, &label);
            Some(label.shown)
        });
        let of_tool = |tool: &String| cleaned(cleaning, discovery::read(tool, &Value::Null).1);
        let asked = asked
            .or_else(|| found.tool.as_ref().map(of_tool))
            .unwrap_or_else(|| Arc::from("a tool whose call was not seen"));
        let request_id = self.ear.request_id.clone();
        Arc::new(Answer { host: None, asked, request_id, at: keeper::now() })
    }

    /// The secrets in a result that were not issued to the agent.
    fn handed(&self, result: &ToolResult) -> Vec<Handed> {
        // What a server answers is looked at as the answer of a host.
        if result.by == By::Server {
            return Vec::new();
        }
        let mut handed = in_result(&result.text, &self.ear.key);
        if handed.is_empty() {
            let (call, id) = self.gathered.answered_by(result);
            let heard = self.ear.caller.state.heard();
            if !heard.label(call, id).is_some_and(|label| label.seeks) {
                return handed;
            }
            drop(heard);
            // A value alone is what was looked for.
            handed.extend(whole_result(&result.text, &self.ear.key));
        }
        let now = self.ear.proxy.current.load_full();
        let Some((_, agent)) = now.policy.agent(&self.ear.caller.state.name) else {
            return Vec::new();
        };
        handed.retain(|one| !now.policy.is_issued_to(agent, &one.print));
        handed
    }
}

/// What people are shown, unless a secret that is known stands in it: what only looks like one is left
/// out by then.
fn cleaned(cleaning: &Scanner, shown: String) -> Arc<str> {
    let is_clean = cleaning.sightings(shown.as_bytes()).is_empty();
    Arc::from(if is_clean { shown } else { "a call with a secret in it".to_owned() })
}

impl Listener for Listening {
    fn hear(&mut self, said: Said) {
        match said {
            Said::Call(call) => {
                let weighed = self.gathered.weighed(call);
                self.gathered.call(weighed, &mut self.ear.caller.state.heard());
            }
            Said::Result(result) => {
                let handed = self.handed(&result);
                self.gathered.result(&result, handed);
            }
            Said::Unread { why } => self.gathered.missed(why),
        }
    }

    fn knows(&mut self, met: &Met<'_>) -> bool {
        let Some(key) = self.gathered.met(met) else { return false };
        let is_known = !self.ear.caller.state.heard().is_new(key);
        if is_known {
            self.gathered.met_before(met, key);
        }
        is_known
    }

    fn spoke(&mut self) {
        self.gathered.spoke();
    }
}
