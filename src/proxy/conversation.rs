//! What is said between an agent and its model, or a server of tools.
//!
//! Takes bodies of requests and answers as they pass; notes calls of tools that look for credentials as
//! stages, and secrets in the results of tools among the agent's sightings, with the call that each answers.
//! Changes and delays nothing, and keeps no input and no result. What cannot be read is counted and told.

use super::{Caller, Proxy};
use crate::catalog::Catalog;
use crate::fingerprint::FingerprintKey;
use crate::inspect::credential::handed::in_body;
use crate::inspect::discovery;
use crate::inspect::model::{
    By, Dialect, Listener, Met, Said, ToolCall, ToolResult, Unread, dialect, read_request,
};
use crate::inventory::keeper;
use crate::message::{Head, coding};
use crate::policy::Policy;
use crate::provenance::Answer;
use crate::record::Exchange;
use crate::tool_calls::{Teller, told};
use crate::trajectory::Stage;
use bytes::Bytes;
use serde_json::Value;
use std::sync::Arc;
use tokio::sync::OwnedSemaphorePermit;

/// Who listens to one exchange of a conversation.
#[derive(Clone)]
pub(super) struct Ear {
    proxy: Arc<Proxy>,
    caller: Arc<Caller>,
    key: Arc<FingerprintKey>,
    request_id: Arc<str>,
    dialect: Dialect,
    /// The codings of the request.
    codings: Option<Arc<str>>,
    /// The longest request that is read, in bytes.
    longest: usize,
}

impl Proxy {
    /// Who listens to a request and its answer, where they are part of a conversation.
    pub(super) fn ear(
        self: &Arc<Self>,
        head: &Head,
        catalog: Option<&Catalog>,
        caller: &Arc<Caller>,
        policy: &Policy,
        exchange: &Exchange,
    ) -> Option<Ear> {
        let dialect = dialect(catalog?.kind, head.method(), head.path().as_str())?;
        Some(Ear {
            proxy: self.clone(),
            caller: caller.clone(),
            key: policy.fingerprints.clone(),
            request_id: exchange.request_id.clone(),
            dialect,
            codings: head.header("content-encoding").map(Arc::from),
            longest: policy.limits.inspect_kib as usize * 1024,
        })
    }
}

impl Ear {
    /// The form of the conversation.
    pub(super) const fn dialect(&self) -> Dialect {
        self.dialect
    }

    /// Reads a request that is there as a whole, decoded.
    pub(super) fn read(&mut self, body: &[u8]) {
        read_request(self.dialect, body, self);
    }

    /// Reads a request along as it leaves.
    pub(super) fn along(self) -> impl FnMut(Option<&[u8]>) + Send + Sync + 'static {
        let mut along = Along { ear: self, kept: Vec::new(), room: None, is_over: false };
        move |piece| along.pass(piece)
    }

    /// Counts a part that could not be read.
    pub(super) fn missed(&self, why: Unread) {
        self.caller.state.heard().missed(why);
        tracing::debug!(request_id = %self.request_id, %why, "a part of a conversation is not read");
    }

    fn called(&self, call: &ToolCall) {
        if !self.caller.state.heard().is_news(call) {
            return;
        }
        let (intent, shown) = discovery::read(&call.tool, &call.input);
        let shown = self.without_secrets(shown);
        self.caller.state.heard().called(&call.id, shown);
        // What the provider runs is not on the agent's machine.
        if call.by == By::Provider {
            return;
        }
        let Some(found) = intent.discovery else { return };
        let id = Some(&*call.id).filter(|id| !id.is_empty());
        let told = told(Teller::Conversation, id, &call.tool, &call.input, &self.key);
        // The agent may have asked about it before.
        if self.caller.state.is_new_call(told, self.proxy.clock.now()) {
            let what = self.without_secrets(found.what);
            let what = Arc::from(format!("{what} ({})", found.technique.as_str()));
            self.note(Stage::CredentialDiscovery, &what);
        }
    }

    fn answered(&self, result: &ToolResult) {
        // What a server answers is looked at as the answer of a host.
        if result.by == By::Server {
            return;
        }
        let mut handed = in_body(result.text.as_bytes(), false, &self.key);
        if handed.is_empty() {
            return;
        }
        let now = self.proxy.current.load_full();
        let Some((_, agent)) = now.policy.agent(&self.caller.state.name) else { return };
        handed.retain(|one| !now.policy.is_issued_to(agent, &one.print));
        if handed.is_empty() {
            return;
        }
        let call = self.caller.state.heard().call(&result.call);
        let asked = call.unwrap_or_else(|| match &result.tool {
            Some(tool) => self.without_secrets(discovery::read(tool, &Value::Null).1),
            None => Arc::from("a tool whose call was not seen"),
        });
        let answer = Arc::new(Answer {
            host: None,
            asked,
            request_id: self.request_id.clone(),
            at: keeper::now(),
        });
        self.caller.state.saw(&handed, &answer);
        if handed.iter().any(|one| one.sure) {
            self.note(Stage::SecretHandedOut, &Arc::from(answer.told()));
        }
    }

    /// What people are shown, unless a secret that is known stands in it: what only looks like one is left
    /// out by then.
    fn without_secrets(&self, shown: String) -> Arc<str> {
        let now = self.proxy.current.load_full();
        let seen = self.caller.state.seen();
        let found = now.policy.scanner.with(seen.traces()).sightings(shown.as_bytes());
        Arc::from(if found.is_empty() { shown } else { "a call with a secret in it".to_owned() })
    }

    fn note(&self, stage: Stage, what: &Arc<str>) {
        let now = self.proxy.current.load_full();
        let state = &self.caller.state;
        let changes = state.showed(stage, what, &now.policy, self.proxy.clock.now());
        self.proxy.remember_later(state, changes, &self.request_id);
    }
}

impl Listener for Ear {
    fn hear(&mut self, said: Said) {
        match said {
            Said::Call(call) => self.called(&call),
            Said::Result(result) => self.answered(&result),
            Said::Unread { why } => self.missed(why),
        }
    }

    fn knows(&mut self, met: &Met<'_>) -> bool {
        self.caller.state.heard().knows(met)
    }
}

/// A request that is read along.
struct Along {
    ear: Ear,
    kept: Vec<u8>,
    /// The room that it takes of what the agent may have in memory.
    room: Option<OwnedSemaphorePermit>,
    is_over: bool,
}

impl Along {
    /// Takes the next piece, or the end.
    fn pass(&mut self, piece: Option<&[u8]>) {
        if self.is_over {
            return;
        }
        let Some(piece) = piece else {
            self.is_over = true;
            self.end();
            return;
        };
        if self.kept.len() + piece.len() > self.ear.longest || !self.has_room(piece.len()) {
            self.is_over = true;
            (self.kept, self.room) = (Vec::new(), None);
            self.ear.missed(Unread::Long);
            return;
        }
        self.kept.extend_from_slice(piece);
    }

    /// Whether there is room for so many bytes more.
    fn has_room(&mut self, more: usize) -> bool {
        let held = self.room.as_ref().map_or(0, |room| room.num_permits() << 10);
        let needed = self.kept.len() + more;
        if needed <= held {
            return true;
        }
        let Ok(missing) = u32::try_from((needed - held).div_ceil(1 << 10)) else { return false };
        let bodies = self.ear.caller.state.bodies.clone();
        let Ok(room) = bodies.try_acquire_many_owned(missing) else { return false };
        match &mut self.room {
            Some(held) => held.merge(room),
            none => *none = Some(room),
        }
        true
    }

    fn end(&mut self) {
        let kept = Bytes::from(std::mem::take(&mut self.kept));
        let body = match &self.ear.codings {
            None => Ok(kept),
            Some(codings) => coding::decode(codings, &kept, self.ear.longest),
        };
        match body {
            Ok(body) => self.ear.read(&body),
            Err(coding::Error::TooLarge) => self.ear.missed(Unread::Long),
            Err(_coding) => self.ear.missed(Unread::Coded),
        }
        self.room = None;
    }
}

impl Drop for Along {
    fn drop(&mut self) {
        // What broke off has left as far as it came, and was not read.
        if !self.is_over && !self.kept.is_empty() {
            self.ear.missed(Unread::Truncated);
        }
    }
}
