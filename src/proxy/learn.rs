//! What is learned of an answer on its way to the client, and forgotten because of a write.
//!
//! Takes permits and the answers to them; hands what they teach to the inventory, and all that passes
//! to who looks for evidence in it. An answer is read as it passes, up to a limit, and learned when all
//! of it is there, before its end is told: the client's next call finds it known. No byte waits for it
//! and none is changed. Only a 200 in JSON from a host that proved who it is teaches anything.

mod hearing;
mod reader;
mod tokens;

use super::conversation::Ear;
use super::evidence::Sought;
use super::{Caller, Proxy};
use crate::audit::{Entry, Kind, NotRecorded, Text};
use crate::catalog::{self, Catalog, Effect};
use crate::decide::{Deriving, Permit, Ruling};
use crate::fingerprint::FingerprintKey;
use crate::forward::{Coming, Watch};
use crate::inspect::graphql::Expected;
use crate::inspect::{Identity, annotations, answer, exchanged};
use crate::inventory::{Lesson, keeper};
use crate::policy::Policy;
use crate::record::{Exchange, Outcome};
use bytes::Bytes;
pub(super) use hearing::HEARD;
use hearing::Hearing;
use http::header::{self, HeaderMap, HeaderName};
use http::{Response, StatusCode};
use jiff::Timestamp;
use reader::Reader;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;

/// An answer that is awaited, and may teach something.
pub(super) struct Asked {
    proxy: Arc<Proxy>,
    caller: Arc<Caller>,
    of: Of,
}

/// What an answer may teach.
enum Of {
    /// What belongs to what.
    Things {
        expected: Arc<Expected>,
        service: Arc<str>,
        operation: Arc<str>,
        request_id: Arc<str>,
        /// The moment it was asked for, among writes.
        moment: u64,
    },
    /// What a server says of its tools.
    Tools,
    /// What is handed out in exchange for what was presented.
    Tokens { deriving: Box<Deriving>, key: Arc<FingerprintKey> },
}

/// Ids that a write touches: what is known of them is forgotten before it is sent, and again when it is
/// over, as somebody may have looked meanwhile.
pub(super) struct Touching {
    proxy: Arc<Proxy>,
    service: Arc<str>,
    ids: Vec<Identity>,
}

/// What watches an answer: its record, and what it teaches.
pub(super) struct Attentive {
    outcome: Outcome,
    reader: Option<Box<Reader>>,
    /// Who listens to it, where it is part of a conversation.
    hearing: Option<Box<Hearing>>,
    /// What its end waits for.
    keeping: Option<JoinHandle<()>>,
    _touching: Option<Touching>,
}

impl Proxy {
    /// What the answer to a permit is to be read along.
    pub(super) fn asked(
        self: &Arc<Self>,
        permit: &Permit<Coming>,
        caller: &Arc<Caller>,
        catalog: Option<&Catalog>,
        policy: &Policy,
        exchange: &Exchange,
    ) -> Option<Asked> {
        let catalog = catalog?;
        let lists = || permit.ruling().operations.iter().any(|one| &*one.name == LIST);
        let deriving = permit.ruling().deriving.clone();
        let tokens = |deriving| Of::Tokens { deriving, key: policy.fingerprints.clone() };
        let of = match permit.expected() {
            _ if caller.target.is_cleartext() => return None,
            _ if deriving.is_some() => deriving.map(tokens)?,
            None if catalog.kind == catalog::Kind::Mcp && lists() => Of::Tools,
            // Where the policy says what the hosts are, two of them may call different things the same.
            Some(expected) if !catalog.has_declared_hosts() => Of::Things {
                expected: expected.clone(),
                service: catalog.service.clone(),
                operation: permit.ruling().operation()?.clone(),
                request_id: exchange.request_id.clone(),
                moment: self.inventory.moment(),
            },
            _ => return None,
        };
        Some(Asked { proxy: self.clone(), caller: caller.clone(), of })
    }

    /// Forgets what a write touches, before it is sent.
    pub(super) async fn touching(
        self: &Arc<Self>,
        ruling: &Ruling,
        catalog: Option<&Catalog>,
    ) -> Option<Touching> {
        let writes = || ruling.operations.iter().filter(|one| one.effect != Effect::Read);
        writes().next()?;
        let catalog = catalog?;
        let ids = writes().flat_map(|one| one.decides.iter().chain(&one.names)).cloned().collect();
        let touching = Touching { proxy: self.clone(), service: catalog.service.clone(), ids };
        if self.inventory.touch(&touching.service, &touching.ids)
            && let Err(error) = Box::pin(self.inventory.write()).await
        {
            tracing::warn!(%error, "what was forgotten may come back with the next start");
        }
        Some(touching)
    }

    /// Forgets what was learned of an id, once it is recorded who asked for that; how many facts.
    pub async fn forget(&self, id: &str, by: &str) -> Result<usize, NotRecorded> {
        let mut entry = Entry::new(Kind::Session, Timestamp::now());
        entry.approver = Some(Text::from(by.to_owned()));
        let shown: String = id.chars().filter(|c| !c.is_control()).take(128).collect();
        entry.detail = Some(Text::from(format!("forgot what was learned of `{shown}`")));
        self.log.commit(entry).await?;
        let forgotten = self.inventory.forget(id);
        if let Err(error) = self.inventory.write().await {
            tracing::warn!(%error, "what was forgotten may come back with the next start");
        }
        Ok(forgotten)
    }

    /// Has the store follow the inventory.
    fn write_inventory(self: &Arc<Self>) {
        let proxy = self.clone();
        let writing = async move {
            if let Err(error) = proxy.inventory.write().await {
                tracing::warn!(%error, "what was learned could not be kept beyond this run");
            }
        };
        // A body may be dropped when its runtime is gone; the next change is kept with this one.
        if let Ok(handle) = Handle::try_current() {
            self.tasks.spawn_on(writing, &handle);
        }
    }
}

impl Drop for Touching {
    fn drop(&mut self) {
        if self.proxy.inventory.touch(&self.service, &self.ids) {
            self.proxy.write_inventory();
        }
    }
}

impl Asked {
    /// The answer has begun; whether it may teach anything.
    fn may_learn_of<B>(&self, response: &Response<B>) -> bool {
        let headers = response.headers();
        let is_stream = matches!(self.of, Of::Tools) && is(headers, &[EVENTS]);
        match self.of {
            Of::Tokens { .. } => response.status().is_success() && is(headers, exchanged::KINDS),
            _ => response.status() == StatusCode::OK && (is_stream || is(headers, JSON)),
        }
    }

    /// All of it is there; what has to be done before its end is told, if anything has.
    fn learn(self, body: &[u8], kind: &str, is_stream: bool) -> Option<JoinHandle<()>> {
        let Self { proxy, caller, of } = self;
        let (state, host) = (&caller.state, caller.target.host().shared());
        let (expected, service, operation, request_id, moment) = match of {
            Of::Tokens { deriving, key } => {
                return proxy.derive(state, &deriving, &key, kind, body);
            }
            Of::Tools => {
                let kind = if is_stream { EVENTS } else { "application/json" };
                proxy.tools.said(host, annotations::of_answer(kind, body));
                return None;
            }
            Of::Things { expected, service, operation, request_id, moment } => {
                (expected, service, operation, request_id, moment)
            }
        };
        let taught = answer::taught(body, &expected);
        if taught.is_empty() {
            return None;
        }
        let agent = state.name.clone();
        let lesson = Arc::new(Lesson {
            request_id,
            operation,
            host: host.clone(),
            agent,
            at: keeper::now(),
        });
        if proxy.inventory.learn(&service, taught, &lesson, moment) {
            proxy.write_inventory();
        }
        None
    }
}

impl Attentive {
    /// Watches an answer that has begun.
    pub(super) fn new<B>(
        outcome: Outcome,
        (asked, sought, ear): (Option<Asked>, Option<Box<Sought>>, Option<Ear>),
        touching: Option<Touching>,
        caller: &Arc<Caller>,
        response: &Response<B>,
    ) -> Self {
        let reader = Reader::new(asked, sought, caller, response);
        let hearing = ear.and_then(|ear| Hearing::new(ear, response));
        Self { outcome, reader, hearing, keeping: None, _touching: touching }
    }
}

impl Watch for Attentive {
    fn passed(&mut self, bytes: &Bytes, are_last: bool) {
        if let Some(hearing) = &mut self.hearing {
            hearing.pass(bytes);
        }
        if self.reader.as_mut().is_some_and(|reader| !reader.keep(bytes, are_last)) {
            self.reader = None;
        }
        self.outcome.passed(bytes, are_last);
    }

    fn poll_may_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NotRecorded>> {
        if let Some(hearing) = self.hearing.take() {
            hearing.end();
        }
        if let Some(reader) = self.reader.take() {
            let (found, keeping) = reader.end(true);
            self.outcome.found(found);
            self.keeping = keeping;
        }
        if let Some(keeping) = &mut self.keeping {
            if let Err(error) = ready!(Pin::new(keeping).poll(cx)) {
                tracing::error!(%error, "tokens that were handed out were lost in a failure of their task");
            }
            self.keeping = None;
        }
        self.outcome.poll_may_end(cx)
    }

    fn ended(&mut self) {
        self.outcome.ended();
    }

    fn cut(&mut self, why: &'static str) {
        self.part();
        self.outcome.cut(why);
    }
}

impl Attentive {
    /// Some of the answer has passed, and no more will: what that handed out is known to the client.
    fn part(&mut self) {
        if let Some(hearing) = self.hearing.take() {
            hearing.end();
        }
        if let Some(reader) = self.reader.take() {
            self.outcome.found(reader.end(false).0);
        }
    }
}

impl Drop for Attentive {
    fn drop(&mut self) {
        self.part();
    }
}

impl std::fmt::Debug for Attentive {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Attentive").field("outcome", &self.outcome).finish_non_exhaustive()
    }
}

/// A header stands there more than once, or is no text.
pub(super) struct Ambiguous;

/// The value of a header that stands there once at most.
pub(super) fn single<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
) -> Result<Option<&'h str>, Ambiguous> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match (value.to_str(), values.next()) {
        (Ok(value), None) => Ok(Some(value)),
        _ => Err(Ambiguous),
    }
}

const JSON: &[&str] = &["application/json", "application/graphql-response+json"];
/// A stream of events.
pub(super) const EVENTS: &str = "text/event-stream";

/// What a client of a server of tools asks first.
const LIST: &str = "tools/list";

/// The media type that an answer says, in small letters.
fn media(headers: &HeaderMap) -> String {
    let kind = single(headers, &header::CONTENT_TYPE).ok().flatten().unwrap_or_default();
    kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Whether an answer says that it is of one of these kinds, in UTF-8.
fn is(headers: &HeaderMap, kinds: &[&str]) -> bool {
    let Ok(Some(kind)) = single(headers, &header::CONTENT_TYPE) else { return false };
    let mut parts = kind.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default();
    kinds.iter().any(|known| media.eq_ignore_ascii_case(known))
        && parts.all(|parameter| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            !name.trim().eq_ignore_ascii_case("charset")
                || value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_in_utf8_is_read() {
        for (values, read) in [
            (&["application/json"][..], true),
            (&["Application/JSON; charset=UTF-8"], true),
            (&["application/graphql-response+json; charset=\"utf-8\""], true),
            (&["application/json; charset=utf-16"], false),
            (&["application/json, text/html"], false),
            (&["application/json", "application/json"], false),
            (&["multipart/mixed; boundary=a"], false),
            (&["text/event-stream"], false),
            (&["text/plain"], false),
            (&[], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::CONTENT_TYPE, value.parse().unwrap());
            }
            assert_eq!(is(&headers, JSON), read, "{values:?}");
        }
    }
}
