//! The line: the way of every request, whatever way it came in.
//!
//! Takes a caller and a request; returns the upstream's answer or a refusal. Each stage takes what
//! the stage before returned, so that skipping one does not compile: a message is inspected, what
//! was inspected is judged, only a permit is sent.

mod answer;
mod conversation;
mod evidence;
mod held;
mod intake;
mod learn;
mod leaving;
mod lookup;
mod relay;
mod revoke;
mod serialized;
mod showing;
mod tools;

pub use answer::AnswerBody;
pub use lookup::Lookups;
pub use tools::Tools;

use crate::audit::Log;
use crate::catalog::{Catalog, Kind};
use crate::decide::{Grant, Permit, Reason, Ruling, Verdict};
use crate::forward::{Coming, Upstream};
use crate::hold::Holds;
use crate::inspect;
use crate::inventory::keeper::{self, Keeper};
use crate::listen::Slot;
use crate::message::{Body, Target};
use crate::notify::Telling;
use crate::policy::{Agent, Ix, Policy, Proof, Resource, SerializedObjects};
use crate::record::Exchange;
use crate::respond::{self, Refusal};
use crate::session::{AgentState, Agents, Changes, Place};
use crate::store::Store;
use crate::telemetry::Metrics;
use crate::tls::leaf::Leaves;
use answer::{Awaited, not_answered};
use arc_swap::ArcSwap;
use evidence::Sought;
use http::header::{self, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use showing::Showing;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// A policy with the way to its upstreams; a request pins one for its life.
#[derive(Debug)]
pub struct Snapshot {
    /// The law.
    pub policy: Policy,
    /// The way out.
    pub upstream: Upstream,
}

/// The proxy's own clock: the time of day at its start, and from there on one that nobody sets back.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    began: Duration,
    since: Instant,
}

impl Clock {
    /// Begins now.
    pub fn start() -> Self {
        let began = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { began, since: Instant::now() }
    }

    /// The time since 1970.
    pub fn now(&self) -> Duration {
        self.began + self.since.elapsed()
    }
}

/// The proxy.
#[derive(Debug)]
pub struct Proxy {
    /// The law of now.
    pub current: ArcSwap<Snapshot>,
    /// What is remembered of each agent.
    pub agents: Agents,
    /// The calls that wait.
    pub holds: Holds,
    /// What was learned of what belongs to what.
    pub inventory: Keeper,
    /// What servers of tools said of them.
    pub tools: Tools,
    /// What services were asked by the proxy itself.
    pub lookups: Lookups,
    /// The audit log.
    pub log: Log,
    /// What outlives the process.
    pub store: Store,
    /// Certificates for the agent's side.
    pub leaves: Leaves,
    /// Counters for operators.
    pub metrics: Metrics,
    /// Every task, so that a drain waits for it.
    pub tasks: TaskTracker,
    /// Cancelled when the proxy drains.
    pub stop: CancellationToken,
    /// What people are being told.
    pub telling: Telling,
    /// The clock of trajectories.
    pub clock: Clock,
    /// The addresses of its own listeners, which it never dials.
    pub own: Vec<SocketAddr>,
}

const CLOSE: HeaderValue = HeaderValue::from_static("close");
const ANOTHER_TOKEN: &str = "The agent's token has changed since this connection was opened; connect again with the new one.";

/// Who calls, and for which one host.
#[derive(Clone, Debug)]
pub struct Caller {
    /// What it calls through.
    pub proxy: Arc<Proxy>,
    /// What is remembered of the agent.
    pub state: Arc<AgentState>,
    /// The host and port its connection was opened for.
    pub target: Target,
    /// How it proved to be the agent.
    pub proof: Proof,
    /// Its place among the connections.
    pub slot: Arc<Slot>,
    /// Its place among those of its agent.
    pub place: Arc<Place>,
}

impl Proxy {
    /// Answers one request.
    pub async fn answer(
        self: Arc<Self>,
        caller: Arc<Caller>,
        request: Request<Incoming>,
    ) -> Response<AnswerBody> {
        let snapshot = self.current.load_full();
        let state = &caller.state;
        let exchange = Arc::new(Exchange::open(
            &self.log,
            &snapshot.policy,
            Some(state.name.clone()),
            Some(state.session()),
        ));
        let http1 = request.version() < Version::HTTP_2;
        let head_only = request.method() == http::Method::HEAD;
        let switching = crate::tunnel::switches(&request);
        match self.exchange(&caller, &snapshot, &exchange, request).await {
            Ok(mut response) => {
                if switching && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                    // What follows may be meant for the other protocol; it is not read as requests.
                    response.headers_mut().insert(header::CONNECTION, CLOSE);
                }
                response
            }
            Err(mut refusal) => {
                // Only HTTP/1.1 has a connection to close behind an unread body.
                refusal.unread = http1 && (refusal.unread || switching);
                self.metrics.refused(&refusal.ruling);
                let mut refused = respond::refuse(&refusal, &exchange.request_id);
                if head_only {
                    respond::leave_body_out(&mut refused);
                }
                refused.map(AnswerBody::Refusal)
            }
        }
    }

    async fn exchange(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        snapshot: &Arc<Snapshot>,
        exchange: &Arc<Exchange>,
        request: Request<Incoming>,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let policy = &snapshot.policy;
        let agent = match still(policy, caller) {
            Ok(agent) => agent,
            Err(mut refusal) => {
                Box::pin(exchange.refused(None, &refusal.ruling, policy, None)).await;
                refusal.unread = !request.body().is_end_stream();
                return Err(refusal);
            }
        };
        let candidates = policy.candidates(agent, &caller.target);
        let http2 = request.version() == Version::HTTP_2;
        let read = self.read(caller, snapshot, exchange, &candidates, request).await;
        // The room is taken until the call is answered or handed back.
        let Read { inspected, upgrade, manner, failed, opened, streams, room: _room } = read?;
        let asked = inspected.facts().asked().cloned().map(Box::new);
        let (verdict, changes) = self.judge(&caller.state, inspected, policy, agent, None);
        if !changes.is_empty() {
            let remembered = Box::pin(self.remember(&caller.state, changes)).await;
            remembered.map_err(|refusal| refusal.to(asked.clone()))?;
        }
        let answered = match verdict {
            Verdict::Allow(permit) => {
                let way = Way::new(http2, manner, upgrade, &candidates);
                let sent = self.send(permit, caller, snapshot, exchange, None, way).await;
                sent.map_err(|refusal| Refusal { unread: refusal.unread | streams, ..refusal })
            }
            Verdict::Hold(held) => {
                let way = Way::new(http2, manner, upgrade, &candidates);
                // What is rare is boxed, so that the common way stays small.
                let sent = Box::pin(self.held(held, caller, snapshot, exchange, way)).await;
                // A body that only its beginning was needed of has not been read by then.
                sent.map_err(|refusal| Refusal { unread: refusal.unread | opened, ..refusal })
            }
            Verdict::Deny(denied) => {
                let refusal =
                    Box::pin(self.refuse(denied, snapshot, exchange, manner, failed)).await;
                Err(Refusal { unread: refusal.unread | streams, ..refusal })
            }
        };
        answered.map_err(|refusal| refusal.to(asked))
    }

    /// Reads a request as far as a rule needs it, and says what it is.
    async fn read(
        self: &Arc<Self>,
        caller: &Arc<Caller>,
        snapshot: &Arc<Snapshot>,
        exchange: &Exchange,
        candidates: &[(Ix, &Resource)],
        request: Request<Incoming>,
    ) -> Result<Read, Refusal> {
        let policy = &snapshot.policy;
        let catalog = of_host(candidates).map(Arc::as_ref);
        let mut begun = match intake::head(request, &caller.target) {
            Ok(begun) => begun,
            Err(refusal) => {
                Box::pin(exchange.refused(None, &refusal.ruling, policy, None)).await;
                return Err(refusal);
            }
        };
        let upgrade = begun.upgrade.take();
        let (limits, state) = (&policy.limits, &caller.state);
        let ear = self.ear(&begun.head, catalog, caller, policy, exchange);
        if ear.is_some() {
            // What could not be heard is not asked for.
            begun.head.narrow_codings(learn::HEARD);
        }
        let leaving =
            || leaving::leaving(snapshot, candidates, caller, exchange.seen(), ear.clone());
        let gathered = intake::gather(begun, catalog, candidates, limits, state, leaving).await;
        let (message, failed, room) = match gathered {
            Ok(gathered) => gathered,
            Err(mut refusal) => {
                refusal.ruling.saw(exchange.seen().all());
                Box::pin(exchange.refused(None, &refusal.ruling, policy, None)).await;
                return Err(refusal);
            }
        };
        let opened = matches!(message.body(), Body::Opened(..));
        let streams = opened || matches!(message.body(), Body::Stream(_));
        let manner = respond::Manner::of(message.head(), catalog);
        let inspected = inspect::request(message, catalog, &policy.fingerprints, failed);
        let inspected = inspected.searched(&policy.scanner, &caller.state.seen());
        let has_tools = catalog.is_some_and(|catalog| catalog.kind == Kind::Mcp);
        let said = has_tools.then(|| self.tools.of(caller.target.host())).flatten();
        let inspected = match said {
            Some(said) => inspected.raised(&said),
            None => inspected,
        };
        Ok(Read { inspected, upgrade, manner, failed, opened, streams, room })
    }

    /// Records and sends a permitted request.
    async fn send(
        self: &Arc<Self>,
        permit: Permit<Coming>,
        caller: &Arc<Caller>,
        snapshot: &Arc<Snapshot>,
        exchange: &Arc<Exchange>,
        hold: Option<&str>,
        way: Way,
    ) -> Result<Response<AnswerBody>, Refusal> {
        let policy = &snapshot.policy;
        let manner = way.manner;
        let intent = exchange.permitted(permit.head(), permit.ruling(), policy, hold).await;
        let intent = intent.map_err(|error| {
            tracing::error!(%error, "a call was refused because it could not be recorded");
            manner.refusal(Ruling::denial(
                Reason::NotRecorded,
                "The call could not be recorded, so it was not sent; try again later.",
            ))
        })?;
        self.metrics.allowed(permit.ruling());
        let catalog = way.catalog.as_deref();
        let ear = self.ear(permit.head(), catalog, caller, policy, exchange);
        // What streams is heard as it leaves.
        if let (Some(ear), Some(body)) = (&ear, permit.whole_body()) {
            Box::pin(ear.read(body)).await;
        }
        let notes_objects = way.serialized == SerializedObjects::Note;
        let awaited = Awaited {
            touching: self.touching(permit.ruling(), catalog).await,
            lesson: self.asked(&permit, caller, catalog, policy, exchange),
            ear,
            sought: Sought::of(&permit, caller, catalog, policy, exchange, notes_objects),
            asked: permit.allows_websocket().then(|| Box::new(permit.head().clone())),
            showing: Showing::of(&permit, &way),
            spared: permit.ruling().spared,
            head_only: permit.head().method() == http::Method::HEAD,
            intent,
        };
        let awaiting = exchange.awaiting();
        let sent = snapshot
            .upstream
            .send(permit, way.http2, &caller.state.pool, &policy.network, &policy.limits)
            .await;
        awaiting.over();
        if let Some(ear) = &awaited.ear {
            Box::pin(ear.caught_up()).await;
        }
        match sent {
            Ok(sent) => self.answered(sent, awaited, caller, snapshot, exchange, way).await,
            Err(error) => {
                self.shown(awaited.showing, None, caller, policy, exchange).await;
                Err(not_answered(&error, exchange, manner))
            }
        }
    }

    /// Judges a request by what is known now.
    fn judge<B>(
        &self,
        state: &AgentState,
        request: inspect::Inspected<B>,
        policy: &Policy,
        agent: &Agent,
        grant: Option<&Grant>,
    ) -> (Verdict<B>, Changes) {
        let inventory = self.inventory.current();
        let view = inventory.at(keeper::now());
        state.judge(request, policy, agent, grant, view, self.clock.now())
    }

    /// The catalog of the host, where the agent's resources there have one.
    pub fn catalog<'p>(policy: &'p Policy, agent: &str, target: &Target) -> Option<&'p Catalog> {
        let (_, agent) = policy.agent(agent)?;
        of_host(&policy.candidates(agent, target)).map(Arc::as_ref)
    }
}

/// The catalog of a host, where these resources there have one.
fn of_host<'p>(candidates: &[(Ix, &'p Resource)]) -> Option<&'p Arc<Catalog>> {
    candidates.first().and_then(|(_, resource)| resource.catalog())
}

/// The agent of a connection, if it still is who it was when the connection was opened.
fn still<'p>(policy: &'p Policy, caller: &Arc<Caller>) -> Result<&'p Agent, Refusal> {
    let Some((_, agent)) = policy.agent(&caller.state.name) else {
        let detail = "The policy no longer names this agent.";
        return Err(Refusal::because(Reason::NotIdentified, detail));
    };
    if agent.proof == caller.proof {
        Ok(agent)
    } else {
        Err(Refusal::because(Reason::NotIdentified, ANOTHER_TOKEN))
    }
}

/// A request that was read.
struct Read {
    inspected: inspect::Inspected<Coming>,
    upgrade: Option<hyper::upgrade::OnUpgrade>,
    manner: respond::Manner,
    /// Why its body was not read.
    failed: Option<inspect::Unreadable>,
    /// Whether only what its body begins with was read, and whether any of it is still to come.
    opened: bool,
    streams: bool,
    /// The room that its body takes.
    room: Option<OwnedSemaphorePermit>,
}

/// How the client speaks, and what may follow.
struct Way {
    http2: bool,
    manner: respond::Manner,
    upgrade: Option<hyper::upgrade::OnUpgrade>,
    /// The catalog of the host, where its resources have one.
    catalog: Option<Arc<Catalog>>,
    /// What they say of serialised objects, the strictest.
    serialized: SerializedObjects,
}

impl Way {
    fn new(
        http2: bool,
        manner: respond::Manner,
        upgrade: Option<hyper::upgrade::OnUpgrade>,
        candidates: &[(Ix, &Resource)],
    ) -> Self {
        let catalog = of_host(candidates).cloned();
        let said = candidates.iter().map(|(_, resource)| resource.serialized_objects);
        let serialized = said.max().unwrap_or_default();
        Self { http2, manner, upgrade, catalog, serialized }
    }
}
