//! The two ways in: CONNECT and absolute-form requests.
//!
//! Takes a request on the proxy's own port; returns a refusal, an answer, or an open tunnel whose
//! TLS ends here. Refuses everything else: the port serves nothing of its own. Bytes in a tunnel
//! that are not TLS end the connection.

use crate::decide::{Reason, Ruling};
use crate::identity::identify;
use crate::listen::{Patience, Serving, Slot, Wire};
use crate::message::{Malformed, Refused, Target, authority};
use crate::policy::{Agent, Policy};
use crate::proxy::{AnswerBody, Caller, Proxy};
use crate::record::Exchange;
use crate::respond::{self, Refusal};
use crate::session::{AgentState, Place};
use crate::tls::accept;
use http::{Method, Request, Response, header};
use hyper::body::Incoming;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use std::sync::Arc;
use std::time::Duration;

/// How long a client may take for its TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Answers a request on the proxy's own port.
pub async fn front(
    proxy: Arc<Proxy>,
    slot: Arc<Slot>,
    request: Request<Incoming>,
) -> Response<AnswerBody> {
    let snapshot = proxy.current.load_full();
    let policy = &snapshot.policy;
    let agent = match identify(request.headers(), policy) {
        Ok(agent) => agent,
        Err(error) => {
            let mut refusal = Refusal::because(
                Reason::NotIdentified,
                format!("The agent is not identified: {error}."),
            );
            refusal.unread = switches(&request);
            return refused(&proxy, policy, None, None, &refusal).await;
        }
    };
    if let Some(why) = request.extensions().get::<Wire>().and_then(Wire::irregular) {
        let mut refusal =
            Refusal::because(Reason::Malformed, format!("The request is refused: {why}."));
        refusal.unread = true;
        return refused(&proxy, policy, Some(agent), None, &refusal).await;
    }
    if request.method() == Method::CONNECT {
        return match connect(&proxy, policy, agent, slot, &request) {
            Ok(caller) => {
                open(&proxy, caller, request);
                Response::new(AnswerBody::empty())
            }
            Err(mut refusal) => {
                // What follows a CONNECT may be meant for the tunnel; it is not read as requests.
                refusal.unread = true;
                let target = Target::of_connect(request.uri(), request.headers()).ok();
                refused(&proxy, policy, Some(agent), target.as_ref(), &refusal).await
            }
        };
    }
    let target = match Target::of_absolute(request.uri()) {
        Ok(target) => target,
        Err(error) => {
            let detail = format!(
                "This port is a proxy: send CONNECT, or http:// in absolute form ({error})."
            );
            let mut refusal = Refusal::because(reason(&error.into()), detail);
            refusal.unread = true;
            return refused(&proxy, policy, Some(agent), None, &refusal).await;
        }
    };
    let state = proxy.agents.get(&agent.name);
    match place(&state, policy) {
        Ok(place) => {
            let caller = Arc::new(Caller {
                proxy: proxy.clone(),
                state,
                target,
                proof: agent.proof,
                slot,
                place,
            });
            proxy.answer(caller, request).await
        }
        Err(refusal) => refused(&proxy, policy, Some(agent), None, &refusal).await,
    }
}

/// The caller of a CONNECT, if a tunnel may be opened at all. What may pass through it is judged
/// request by request.
fn connect(
    proxy: &Arc<Proxy>,
    policy: &Policy,
    agent: &Agent,
    slot: Arc<Slot>,
    request: &Request<Incoming>,
) -> Result<Arc<Caller>, Refusal> {
    let headers = request.headers();
    if headers.contains_key(header::CONTENT_LENGTH)
        || headers.contains_key(header::TRANSFER_ENCODING)
    {
        return Err(Refusal::because(Reason::Malformed, "A CONNECT has no body."));
    }
    let target = Target::of_connect(request.uri(), headers).map_err(|refused| {
        Refusal::because(reason(&refused), format!("The CONNECT is refused: {refused}."))
    })?;
    let state = proxy.agents.get(&agent.name);
    if !policy.declares(agent, target.host()) {
        if target.host().is_reserved() {
            let detail = "This name leads to a machine of its own and no resource declares it.";
            return Err(Refusal::because(Reason::OutOfScope, detail));
        }
        if policy.ca_hosts.is_some() {
            let detail = "No resource declares this host, and Holdgate's certificates cover declared hosts only.";
            return Err(Refusal::because(Reason::OutOfScope, detail));
        }
        if state.undeclared.check().is_err() {
            let detail = "Too many hosts that no resource declares; stop trying others and ask the operator.";
            return Err(Refusal::because(Reason::OverLimit, detail));
        }
    }
    let place = place(&state, policy)?;
    Ok(Arc::new(Caller { proxy: proxy.clone(), state, target, proof: agent.proof, slot, place }))
}

/// A place among the agent's connections, so that one agent leaves others theirs.
fn place(state: &Arc<AgentState>, policy: &Policy) -> Result<Arc<Place>, Refusal> {
    let place = state.place(policy.limits.agent_connections).ok_or_else(|| {
        let detail = "This agent has too many connections open; close some, or wait.";
        Refusal::because(Reason::OverLimit, detail)
    })?;
    Ok(Arc::new(place))
}

/// Why what names no target is refused, the same for both ways in.
const fn reason(refused: &Refused) -> Reason {
    match refused {
        Refused::HostMismatch(_) => Reason::HostMismatch,
        // An address is a host that no resource can declare.
        Refused::Malformed(Malformed::Authority(authority::Error::Address)) => Reason::OutOfScope,
        Refused::Malformed(_) => Reason::Malformed,
    }
}

/// Whether what follows is meant for another protocol: where that is refused, the connection closes,
/// and nothing behind is read as requests.
pub(crate) fn switches<B>(request: &Request<B>) -> bool {
    request.method() == Method::CONNECT || request.headers().contains_key(header::UPGRADE)
}

async fn refused(
    proxy: &Arc<Proxy>,
    policy: &Policy,
    agent: Option<&Agent>,
    tunnel: Option<&Target>,
    refusal: &Refusal,
) -> Response<AnswerBody> {
    let name = agent.map(|agent| agent.name.clone());
    let exchange = Exchange::open(&proxy.log, policy, name, None);
    exchange.turned_away(tunnel, &refusal.ruling, policy).await;
    proxy.metrics.refused(&refusal.ruling);
    respond::refuse(refusal, &exchange.request_id).map(AnswerBody::Refusal)
}

/// Opens the tunnel once the client has its 200.
fn open(proxy: &Arc<Proxy>, caller: Arc<Caller>, mut request: Request<Incoming>) {
    let upgrade = hyper::upgrade::on(&mut request);
    let proxy = proxy.clone();
    proxy.clone().tasks.spawn(async move {
        match upgrade.await {
            Ok(upgraded) => intercept(proxy, caller, upgraded).await,
            Err(error) => tracing::debug!(%error, "a tunnel did not open"),
        }
    });
}

async fn intercept(proxy: Arc<Proxy>, caller: Arc<Caller>, upgraded: Upgraded) {
    let snapshot = proxy.current.load_full();
    let declared = snapshot
        .policy
        .agent(&caller.state.name)
        .is_some_and(|(_, agent)| snapshot.policy.declares(agent, caller.target.host()));
    let host = caller.target.host().clone();
    let config = || proxy.leaves.get(&host, declared);
    match accept::accept(TokioIo::new(upgraded), &host, HANDSHAKE, config).await {
        Ok(stream) => {
            let http2 = accept::is_http2(&stream);
            let limits = &snapshot.policy.limits;
            let patience = Patience { head: limits.head, idle: limits.idle, stall: limits.stall };
            drop(snapshot);
            Serving { proxy, caller, patience }.intercepted(stream, http2).await;
        }
        Err(error) => {
            let reason = match error {
                accept::Error::HostMismatch => Reason::HostMismatch,
                _ => Reason::Malformed,
            };
            let ruling = Ruling::denial(reason, format!("The tunnel to {host} ended: {error}."));
            let exchange =
                Exchange::open(&proxy.log, &snapshot.policy, Some(caller.state.name.clone()), None);
            tracing::info!(agent = %caller.state.name, %host, %error, "a tunnel ended before its first request");
            exchange.turned_away(Some(&caller.target), &ruling, &snapshot.policy).await;
        }
    }
}
