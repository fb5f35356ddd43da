//! From a received request to a message.
//!
//! Takes what hyper parsed; returns the canonical head, and the body whole where a rule needs it.
//! A body that is too large, too slow or cut short is a fact for the verdict, not an error.

use crate::catalog::Catalog;
use crate::decide::Reason;
use crate::forward::{Broken, Coming, Leaving};
use crate::inspect::git::Opening;
use crate::inspect::{self, Need, Objection, Unreadable};
use crate::listen::Wire;
use crate::message::{Body, Head, Malformed, Message, Refused, Target};
use crate::policy::file::Leaks;
use crate::policy::{Ix, Limits, Resource};
use crate::respond::Refusal;
use crate::session::AgentState;
use bytes::{Bytes, BytesMut};
use http::{Request, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Incoming};
use hyper::upgrade::OnUpgrade;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A request whose head is canonical.
pub(super) struct Begun {
    pub(super) head: Box<Head>,
    pub(super) body: Incoming,
    pub(super) upgrade: Option<OnUpgrade>,
    /// How it came, where more may turn out of that.
    pub(super) wire: Option<Wire>,
}

/// Makes the head canonical, or says why that cannot be.
pub(super) fn head(mut request: Request<Incoming>, target: &Target) -> Result<Begun, Refusal> {
    let upgrades = request.headers().contains_key(http::header::UPGRADE);
    let upgrade = upgrades.then(|| hyper::upgrade::on(&mut request));
    let (mut parts, body) = request.into_parts();
    let wire: Option<Wire> = parts.extensions.remove();
    // Only HTTP/1.1 has the handshake of a WebSocket, and it has no body.
    let no_handshake = upgrades && (parts.version != Version::HTTP_11 || !body.is_end_stream());
    let head = match wire.as_ref().and_then(Wire::irregular) {
        Some(why) => Err(why.clone().into()),
        None if no_handshake => {
            let why = "a handshake is of HTTP/1.1 and without a body";
            Err(Malformed::Header("upgrade".to_owned(), why).into())
        }
        None => Head::read(parts.method, &parts.uri, parts.headers, target.clone()),
    };
    match head {
        Ok(head) => Ok(Begun { head: Box::new(head), body, upgrade, wire }),
        Err(refused) => {
            let mut refusal = formless(&refused);
            refusal.unread = wire.is_some() || !body.is_end_stream();
            Err(refusal)
        }
    }
}

/// The refusal of what is no canonical request.
fn formless(refused: &Refused) -> Refusal {
    let reason = match refused {
        Refused::HostMismatch(_) => Reason::HostMismatch,
        Refused::Malformed(_) => Reason::Malformed,
    };
    Refusal::because(reason, format!("The request is refused: {refused}."))
}

/// A message, why its body was not read, and the room that it takes.
pub(super) type Gathered = (Message<Coming>, Option<Unreadable>, Option<OwnedSemaphorePermit>);

/// Reads the body as far as a rule needs it.
pub(super) async fn gather(
    begun: Begun,
    catalog: Option<&Catalog>,
    candidates: &[(Ix, &Resource)],
    limits: &Limits,
    state: &Arc<AgentState>,
    leaving: impl FnOnce() -> Leaving,
) -> Result<Gathered, Refusal> {
    let bodies = &state.bodies;
    let Begun { head, body, wire, .. } = begun;
    if body.is_end_stream() {
        return Ok((Message::new(head, Body::Empty), None, None));
    }
    let asked = candidates.iter().any(|(_, resource)| resource.reads_body);
    let need = if candidates.is_empty() {
        Ok(Need::Nothing)
    } else {
        inspect::need(&head, catalog, asked)
    };
    // Where a secret may not leave at all, a body is judged before anything of it does.
    let refuses = candidates.iter().any(|(_, resource)| resource.leaks == Leaks::Deny);
    let need = match need {
        Ok(Need::Nothing | Need::Look(_) | Need::Opening(_)) if refuses => Ok(Need::Whole),
        need => need,
    };
    let agent = state.clone();
    let may_go_on = move || agent.standing().quarantined.is_none();
    let mut coming = Coming::new(body, limits.stall).ended_by(may_go_on);
    let (watch, must_fit) = match need {
        Ok(Need::Nothing) if candidates.is_empty() => {
            return Ok((Message::new(head, Body::Stream(coming)), None, None));
        }
        Ok(Need::Nothing) => {
            let body = Body::Stream(coming.searched(leaving()));
            return Ok((Message::new(head, body), None, None));
        }
        Ok(Need::Look(watch)) => (Some(watch), head.is_coded()),
        Ok(Need::Whole) => (None, true),
        Ok(Need::Opening(opening)) => {
            let room = Box::pin(room(&coming, limits, bodies)).await?;
            return match Box::pin(open(coming, opening, limits)).await {
                Ok(Body::Opened(first, rest)) => {
                    // The rest is compressed piece by piece: nothing would be seen in it.
                    if !begun_with(leaving(), &first)?.may_end() {
                        return Err(objected(Objection::Leak(0)));
                    }
                    Ok((Message::new(head, Body::Opened(first, rest)), None, Some(room)))
                }
                Ok(body) => Ok((Message::new(head, body), None, Some(room))),
                Err(objection) => unfit(head, objection, wire.as_ref()),
            };
        }
        Err(unreadable) => return Ok((Message::new(head, Body::Empty), Some(unreadable), None)),
    };
    let most = limits.inspect_kib as usize * 1024;
    let hint = coming.size_hint();
    let fits = hint.exact().is_some_and(|bytes| bytes <= most as u64);
    if !must_fit && !fits && (hint.lower() > most as u64 || head.media_type().is_none()) {
        let body = Body::Stream(coming.watched(watch).searched(leaving()));
        return Ok((Message::new(head, body), None, None));
    }
    let room = Box::pin(room(&coming, limits, bodies)).await?;
    let read = Box::pin(up_to(&mut coming, most, limits)).await;
    Ok(match read {
        Ok(Read::All(bytes)) => {
            let (message, error) = Message::received(head, bytes, most);
            (message, error.map(Unreadable::from), Some(room))
        }
        Ok(Read::Part(_)) if must_fit => {
            (Message::new(head, Body::Empty), Some(Unreadable::Oversize), None)
        }
        Ok(Read::Part(first)) => {
            let mut watch = watch;
            if let Some(objection) = watch.as_mut().and_then(|watch| watch.read(&first).err()) {
                return Err(objected(objection));
            }
            let leaving = begun_with(leaving(), &first)?;
            let body = Body::Stream(coming.watched(watch).searched(leaving).with_first(first));
            (Message::new(head, body), None, Some(room))
        }
        Err(objection) => return unfit(head, objection, wire.as_ref()),
    })
}

/// The search of a body that begins with these bytes, unless they may not leave themselves.
fn begun_with(mut leaving: Leaving, first: &[u8]) -> Result<Leaving, Refusal> {
    if leaving.passes(first) { Ok(leaving) } else { Err(objected(Objection::Leak(0))) }
}

/// A message whose body was not read, or its refusal.
fn unfit(head: Box<Head>, objection: Objection, wire: Option<&Wire>) -> Result<Gathered, Refusal> {
    if let Some(why) = wire.and_then(Wire::irregular) {
        let mut refusal = formless(&why.clone().into());
        refusal.unread = true;
        return Err(refusal);
    }
    let Objection::Unreadable(unreadable) = objection else {
        return Err(objected(objection));
    };
    Ok((Message::new(head, Body::Empty), Some(unreadable), None))
}

/// The refusal of a body that was looked through.
pub(super) fn objected(objection: Objection) -> Refusal {
    let reason = match objection {
        Objection::Override(_) => Reason::Malformed,
        Objection::Leak(_) => Reason::SecretLeak,
        Objection::Quarantined(_) => Reason::Quarantined,
        Objection::Unreadable(_) => Reason::Unreadable,
    };
    let mut refusal = Refusal::because(reason, format!("The request is refused: {objection}."));
    refusal.status = (objection == Unreadable::Oversize.into()).then_some(413);
    refusal.unread = true;
    refusal
}

/// Waits until the agent has room for a body.
pub(super) async fn room<B: HttpBody>(
    body: &B,
    limits: &Limits,
    bodies: &Arc<Semaphore>,
) -> Result<OwnedSemaphorePermit, Refusal> {
    let most = u64::from(limits.inspect_kib);
    let said = body.size_hint().exact().map_or(most, |bytes| bytes.div_ceil(1024).min(most));
    let kib = u32::try_from(said).unwrap_or(limits.inspect_kib).max(1);
    let waited = tokio::time::timeout(limits.body, bodies.clone().acquire_many_owned(kib)).await;
    if let Ok(Ok(room)) = waited {
        return Ok(room);
    }
    let mut refusal = Refusal::because(
        Reason::OverLimit,
        "Too many bodies of this agent are on their way; wait for their answers first.",
    );
    refusal.unread = true;
    Err(refusal)
}

/// Reads a body whole, within the inspection limit and in bounded time.
pub(super) async fn whole(mut body: Coming, limits: &Limits) -> Result<Bytes, Objection> {
    let most = limits.inspect_kib as usize * 1024;
    match up_to(&mut body, most, limits).await? {
        Read::All(bytes) => Ok(bytes),
        Read::Part(_) => Err(Unreadable::Oversize.into()),
    }
}

/// Reads a body whose beginning is judged: whole if it fits, else no more than the inspection limit,
/// in bounded time. A client that has sent all of it understands a refusal best.
async fn open(
    mut body: Coming,
    mut opening: Opening,
    limits: &Limits,
) -> Result<Body<Coming>, Objection> {
    let most = limits.inspect_kib as usize * 1024;
    let until = tokio::time::Instant::now() + limits.body;
    let mut first = BytesMut::new();
    let mut complete = false;
    let missing = loop {
        let Ok(frame) = tokio::time::timeout_at(until, body.frame()).await else {
            break Unreadable::Truncated;
        };
        let Some(frame) = frame else { return Ok(Body::Whole(first.freeze())) };
        let Ok(data) = frame.map_err(|broken| unreadable(&broken))?.into_data() else { continue };
        first.extend_from_slice(&data);
        complete = complete || opening.is_complete(&first);
        if first.len() > most {
            break Unreadable::Oversize;
        }
    };
    if complete { Ok(Body::Opened(first.freeze(), body)) } else { Err(missing.into()) }
}

/// Why a body that broke off cannot be read.
fn unreadable(broken: &Broken) -> Objection {
    match broken {
        Broken::Client(_) | Broken::Stalled(_) => Unreadable::Truncated.into(),
        Broken::Objection(objection) => *objection,
    }
}

/// What was read of a body.
pub(super) enum Read {
    All(Bytes),
    /// More than the limit, and more is to come.
    Part(Bytes),
}

async fn up_to(body: &mut Coming, most: usize, limits: &Limits) -> Result<Read, Objection> {
    // What it says of its own length is enough to refuse it, and never enough to trust it.
    if body.size_hint().lower() > most as u64 {
        return Ok(Read::Part(Bytes::new()));
    }
    match tokio::time::timeout(limits.body, collect(body, most)).await {
        Ok(read) => read.map_err(|broken| unreadable(&broken)),
        Err(_elapsed) => Err(Unreadable::Truncated.into()),
    }
}

/// Reads a body up to a limit.
pub(super) async fn collect<B>(body: &mut B, most: usize) -> Result<Read, B::Error>
where
    B: HttpBody<Data = Bytes> + Unpin,
{
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    let mut all = true;
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        // Most bodies come in one piece, which is then not copied.
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
        if first.len() + rest.len() > most {
            all = false;
            break;
        }
    }
    let bytes = if rest.is_empty() {
        first
    } else {
        let mut joined = BytesMut::with_capacity(first.len() + rest.len());
        joined.extend_from_slice(&first);
        joined.extend_from_slice(&rest);
        joined.freeze()
    };
    Ok(if all { Read::All(bytes) } else { Read::Part(bytes) })
}
