//! Asking a service what an id is, before a person is asked.
//!
//! Takes a call that is held for ids that nobody declared; asks the service what they are, with the proxy's
//! own credential and along the same line as any call, and judges again by what was learned. That may
//! end in a refusal, and never lets a call pass that would have waited. What one agent's calls may lead
//! to is bounded, and an answer serves for a while.

use super::{AnswerBody, Caller, Proxy, Snapshot, Way};
use crate::catalog::lookup::{self, Lookup};
use crate::catalog::{Arguments, Catalog};
use crate::decide::{Context, Held, Reason, Ruling, Target as Thing, Verdict};
use crate::forward::Coming;
use crate::hold::Card;
use crate::inspect::{self, Inspected};
use crate::inventory::keeper;
use crate::message::{Body, Head, Message, Target};
use crate::policy::{BUILT_IN, Policy, Proof, folded};
use crate::record::Exchange;
use crate::respond::{Manner, Refusal};
use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Response, StatusCode, Uri};
use http_body_util::{BodyExt as _, Limited};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The longest that a held call waits for what can be found out.
const PATIENCE: Duration = Duration::from_secs(10);
/// The most ids of one call that are looked up.
const MOST_IDS: usize = 3;
/// The most owners that are asked for one id.
const MOST_OWNERS: usize = 10;
/// A longer answer says nothing, in bytes.
const LONGEST: usize = 1 << 20;
/// How long an answer serves.
const SERVES: Duration = Duration::from_mins(10);
/// How long one serves that not all was asked for.
const PARTLY_SERVES: Duration = Duration::from_mins(1);
/// The most answers that are kept.
const MOST_KEPT: usize = 1_000;
const HOUR: Duration = Duration::from_hours(1);

/// What was asked, by whose calls, and what was told.
#[derive(Debug, Default)]
pub struct Lookups(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// By service, kind and id.
    told: HashMap<(Arc<str>, String, String), Told>,
    /// By agent: since when, and how many questions.
    asked: HashMap<Arc<str>, (Instant, u32)>,
}

/// What was told of a thing, and when.
#[derive(Clone, Debug)]
struct Told {
    at: Instant,
    text: Option<String>,
    /// Whether all was asked that there is to ask.
    whole: bool,
}

impl Told {
    /// Whether asking again is too early.
    fn serves(&self) -> bool {
        self.whole || self.at.elapsed() < PARTLY_SERVES
    }

    /// What a person reads of it.
    fn text(self) -> String {
        match (self.text, self.whole) {
            (Some(text), true) => format!("the service says: {text}"),
            (Some(text), false) => {
                format!("the service says: {text}; not all of it could be looked up")
            }
            (None, true) => "the service was asked, and shows no such thing".to_owned(),
            (None, false) => NOT_ASKED.to_owned(),
        }
    }
}

/// What a person reads of a thing that nobody asked for.
const NOT_ASKED: &str = "what this is could not be looked up";

impl Lookups {
    /// What was told of an id a while ago at most; none where it was not asked.
    fn told(&self, service: &Arc<str>, kind: &str, id: &str) -> Option<Told> {
        let key = (service.clone(), kind.to_owned(), folded(id).into_owned());
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.told.get(&key).filter(|told| told.at.elapsed() < SERVES).cloned()
    }

    fn keep(&self, service: &Arc<str>, kind: &str, id: &str, told: Told) {
        let key = (service.clone(), kind.to_owned(), folded(id).into_owned());
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.told.len() >= MOST_KEPT {
            kept.told.retain(|_, told| told.at.elapsed() < SERVES);
        }
        if kept.told.len() < MOST_KEPT {
            kept.told.insert(key, told);
        }
    }

    /// Takes one of the questions that an agent's calls may lead to in an hour.
    fn take(&self, agent: &Arc<str>, per_hour: u32) -> bool {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, count) = kept.asked.entry(agent.clone()).or_insert_with(|| (Instant::now(), 0));
        if since.elapsed() >= HOUR {
            (*since, *count) = (Instant::now(), 0);
        }
        let free = *count < per_hour;
        *count += u32::from(free);
        free
    }
}

impl Proxy {
    /// A held call by what the service says of its unknown ids.
    pub(super) async fn looked_up(
        self: &Arc<Self>,
        held: Held<Coming>,
        caller: &Arc<Caller>,
        snapshot: &Arc<Snapshot>,
        exchange: &Exchange,
        manner: Manner,
    ) -> Result<Held<Coming>, Refusal> {
        let policy = &snapshot.policy;
        if policy.lookups.is_empty() {
            return Ok(held);
        }
        // What is declared has a name already; of the rest a person reads what the service says.
        let Some(service) = Self::catalog(policy, &caller.state.name, &caller.target)
            .map(|catalog| catalog.service.clone())
            .filter(|service| policy.lookups.contains_key(&**service))
        else {
            return Ok(held);
        };
        let undeclared = |thing: &&Thing| thing.resource.is_none() || thing.learned.is_some();
        let untold = |thing: &&Thing| {
            !self.lookups.told(&service, &thing.kind, &thing.id).is_some_and(|told| told.serves())
        };
        let things = held.ruling().targets.iter().filter(undeclared).filter(untold);
        let things: Vec<Thing> = things.take(MOST_IDS).cloned().collect();
        // It goes on to its end, also when the client does not wait for it.
        let (proxy, asking) = (self.clone(), caller.clone());
        let (pinned, of) = (snapshot.clone(), service.clone());
        let looking = self.tasks.spawn(async move {
            for thing in things {
                proxy.look_up(&of, &thing, &asking, &pinned).await;
            }
        });
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "looking something up failed"),
            Err(_elapsed) => tracing::warn!(%service, "looking something up took too long"),
        }
        let Some((_, agent)) = policy.agent(&caller.state.name) else { return Ok(held) };
        let (held, refused) = {
            let inventory = self.inventory.current();
            let standing = caller.state.standing();
            let view = inventory.at(keeper::now());
            let at = self.clock.now();
            caller.state.looked_at(|trajectory| {
                let past = trajectory.until(at);
                let context = Context {
                    policy,
                    agent,
                    standing: &standing,
                    inventory: view,
                    grant: None,
                    past,
                    before: None,
                };
                held.by_what_is_known(&context)
            })
        };
        if !refused {
            return Ok(held);
        }
        let (request, ruling) = held.into_request();
        let (verdict, changes) = self.judge(&caller.state, request, policy, agent, None);
        if !changes.is_empty() {
            self.remember(&caller.state, changes).await?;
        }
        match verdict {
            Verdict::Deny(denied) => {
                Err(self.refuse(denied, snapshot, exchange, manner, None).await)
            }
            // What was learned a moment ago has been forgotten; it waits as it would have.
            Verdict::Hold(held) => Ok(held),
            Verdict::Allow(_) => {
                exchange.refused(None, &ruling, policy, None).await;
                Err(manner.refusal(ruling))
            }
        }
    }

    /// A card with what services said of its targets.
    pub(super) fn told(&self, mut card: Card, caller: &Arc<Caller>, policy: &Policy) -> Card {
        let catalog = Self::catalog(policy, &caller.state.name, &caller.target);
        let Some(catalog) = catalog.filter(|it| policy.lookups.contains_key(&*it.service)) else {
            return card;
        };
        let asks = |kind: &str| {
            catalog.graphql.as_ref().is_some_and(|graphql| graphql.lookups.contains_key(kind))
        };
        for target in card.targets.iter_mut().filter(|target| asks(&target.kind)) {
            let told = self.lookups.told(&catalog.service, &target.kind, &target.id);
            let undeclared = target.resource.is_none() || target.learned.is_some();
            target.told = match told {
                Some(told) => Some(told.text()),
                None => undeclared.then(|| NOT_ASKED.to_owned()),
            };
        }
        card
    }

    /// Asks what one thing is; what the answers teach, the inventory learns as they pass.
    async fn look_up(
        self: &Arc<Self>,
        service: &Arc<str>,
        thing: &Thing,
        caller: &Arc<Caller>,
        snapshot: &Arc<Snapshot>,
    ) {
        let policy = &snapshot.policy;
        let catalog = Self::catalog(policy, BUILT_IN, &caller.target);
        let graphql = catalog.and_then(|catalog| catalog.graphql.as_ref());
        let lookup = graphql.and_then(|graphql| graphql.lookups.get(&thing.kind));
        let (Some(catalog), Some(lookup)) = (catalog, lookup) else { return };
        if self.lookups.told(service, &thing.kind, &thing.id).is_some_and(|told| told.serves()) {
            return;
        }
        let mut told = Vec::new();
        let owners = policy.ids(service, &lookup.each);
        // What nobody was asked for is not what nobody knows.
        let mut whole = owners.len() <= MOST_OWNERS;
        for owner in owners.into_iter().take(MOST_OWNERS) {
            let body = lookup::body(&lookup.document, &lookup.variable, owner);
            let Some(data) = self.ask(body, catalog, caller, snapshot).await else {
                whole = false;
                continue;
            };
            let found = self.things(&data, &thing.id, lookup, catalog, caller, snapshot).await;
            whole &= found.iter().all(|(_, whole)| *whole);
            told.extend(found.into_iter().map(|(text, _)| text));
        }
        let text = (!told.is_empty()).then(|| told.join("; "));
        let told = Told { at: Instant::now(), text, whole };
        self.lookups.keep(service, &thing.kind, &thing.id, told);
    }

    /// What an answer tells of a thing, and whether that is all there is to ask.
    async fn things(
        self: &Arc<Self>,
        data: &Arguments,
        id: &str,
        lookup: &Lookup,
        catalog: &Catalog,
        caller: &Arc<Caller>,
        snapshot: &Arc<Snapshot>,
    ) -> Vec<(String, bool)> {
        let mut all = Vec::new();
        for found in lookup.found(data, id) {
            let mut told = lookup.told(found);
            let mut whole = true;
            if let Some(then) = &lookup.then
                && let Some(value) = then.value(found)
            {
                let body = lookup::body(&then.document, &then.variable, &value);
                match self.ask(body, catalog, caller, snapshot).await {
                    Some(more) => told.extend(then.counted(more.values())),
                    None => whole = false,
                }
            }
            all.push((told.join(", "), whole));
        }
        all
    }

    /// Sends one question along the line, as the built-in agent; the data of its answer.
    async fn ask(
        self: &Arc<Self>,
        body: String,
        catalog: &Catalog,
        caller: &Arc<Caller>,
        snapshot: &Arc<Snapshot>,
    ) -> Option<Arguments> {
        let policy = &snapshot.policy;
        let lookups = policy.lookups.get(&*catalog.service)?;
        if !self.lookups.take(&caller.state.name, lookups.per_hour) {
            tracing::warn!(agent = %caller.state.name, "no more look-ups for this agent's calls in this hour");
            return None;
        }
        let (_, agent) = policy.agent(BUILT_IN)?;
        let state = self.agents.get(BUILT_IN);
        let place = Arc::new(state.place(policy.limits.agent_connections)?);
        let own = Arc::new(Caller {
            proxy: self.clone(),
            state,
            target: caller.target.clone(),
            proof: Proof::Unset,
            slot: caller.slot.clone(),
            place,
        });
        let exchange = Arc::new(Exchange::open(
            &self.log,
            policy,
            Some(own.state.name.clone()),
            Some(own.state.session()),
        ));
        let request = question(body, catalog, &own.target, &lookups.credential, policy)?;
        let manner = Manner::of(request.message().head(), Some(catalog));
        let (verdict, changes) = self.judge(&own.state, request, policy, agent, None);
        if !changes.is_empty() && self.remember(&own.state, changes).await.is_err() {
            return None;
        }
        let answer = match verdict {
            Verdict::Allow(permit) => {
                let candidates = policy.candidates(agent, &own.target);
                let way = Way::new(false, manner, None, &candidates);
                self.send(permit, &own, snapshot, &exchange, None, way).await
            }
            Verdict::Hold(held) => {
                let head = held.request().message().head();
                let detail = "The proxy itself waits for nobody.";
                let ruling = Ruling::denial(Reason::ScopeViolation, detail);
                exchange.refused(Some(head), &ruling, policy, None).await;
                return None;
            }
            Verdict::Deny(denied) => {
                Err(self.refuse(denied, snapshot, &exchange, manner, None).await)
            }
        };
        match answer {
            Ok(answer) => data(answer).await,
            Err(refusal) => {
                tracing::warn!(detail = %refusal.ruling.detail, "a look-up was refused");
                None
            }
        }
    }
}

/// A question as it is judged and sent.
fn question(
    body: String,
    catalog: &Catalog,
    target: &Target,
    credential: &[u8],
    policy: &Policy,
) -> Option<Inspected<Coming>> {
    let path = catalog.graphql.as_ref()?.paths.first()?;
    let uri: Uri = path.parse().ok()?;
    let slot = catalog.slots.first().map_or("authorization", String::as_str);
    let value = if slot.eq_ignore_ascii_case("authorization") {
        [b"Bearer ", credential].concat()
    } else {
        credential.to_vec()
    };
    let mut value = HeaderValue::from_bytes(&value).ok()?;
    value.set_sensitive(true);
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, HeaderValue::from_str(&target.authority()).ok()?);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::USER_AGENT, HeaderValue::from_static("holdgate"));
    headers.insert(HeaderName::from_bytes(slot.as_bytes()).ok()?, value);
    let head = Head::read(Method::POST, &uri, headers, target.clone()).ok()?;
    let message = Message::new(head, Body::Whole(Bytes::from(body)));
    Some(inspect::request(message, Some(catalog), &policy.fingerprints, None))
}

/// The data of an answer, if it is one.
async fn data(answer: Response<AnswerBody>) -> Option<Arguments> {
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LONGEST).collect();
    let bytes = tokio::time::timeout(PATIENCE, body).await.ok()?.ok()?.to_bytes();
    if status != StatusCode::OK {
        return None;
    }
    let Value::Object(mut answer) = crate::message::json::parse(&bytes).ok()? else { return None };
    match answer.remove("data") {
        Some(Value::Object(data)) => Some(Arguments::new(data)),
        _ => None,
    }
}
