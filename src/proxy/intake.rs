//! From a received request to a message.
//!
//! Takes what hyper parsed; returns the canonical head, and the body whole where a rule needs it.
//! A body that is too large, too slow or cut short is a fact for the verdict, not an error.

use crate::catalog::Catalog;
use crate::decide::Reason;
use crate::inspect::{self, Unreadable};
use crate::listen::Wire;
use crate::message::{Body, Head, Message, Refused, Target};
use crate::policy::{Ix, Limits, Resource};
use crate::respond::Refusal;
use bytes::{Bytes, BytesMut};
use http::Request;
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Incoming};
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
pub(super) fn head(
    mut request: Request<Incoming>,
    target: &Target,
) -> Result<Begun, Refusal> {
    let upgrades = request.headers().contains_key(http::header::UPGRADE);
    let upgrade = upgrades.then(|| hyper::upgrade::on(&mut request));
    let (mut parts, body) = request.into_parts();
    let wire: Option<Wire> = parts.extensions.remove();
    let head = match wire.as_ref().and_then(Wire::irregular) {
        Some(why) => Err(why.clone().into()),
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
pub(super) type Gathered = (Message<Incoming>, Option<Unreadable>, Option<OwnedSemaphorePermit>);

/// Reads the body whole where a rule needs it.
pub(super) async fn gather(
    head: Box<Head>,
    body: Incoming,
    wire: Option<&Wire>,
    catalog: Option<&Catalog>,
    candidates: &[(Ix, &Resource)],
    limits: &Limits,
    bodies: &Arc<Semaphore>,
) -> Result<Gathered, Refusal> {
    if body.is_end_stream() {
        return Ok((Message::new(head, Body::Empty), None, None));
    }
    if candidates.is_empty() || !inspect::needs_body(&head, catalog) {
        return Ok((Message::new(head, Body::Stream(body)), None, None));
    }
    let room = Box::pin(room(&body, limits, bodies)).await?;
    Ok(match Box::pin(whole(body, limits)).await {
        Ok(bytes) => (Message::new(head, Body::Whole(bytes)), None, Some(room)),
        Err(unreadable) => {
            if let Some(why) = wire.and_then(Wire::irregular) {
                let mut refusal = formless(&why.clone().into());
                refusal.unread = true;
                return Err(refusal);
            }
            (Message::new(head, Body::Empty), Some(unreadable), None)
        }
    })
}

/// Waits until the agent has room for a body.
pub(super) async fn room(
    body: &Incoming,
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
pub(super) async fn whole(body: Incoming, limits: &Limits) -> Result<Bytes, Unreadable> {
    let most = limits.inspect_kib as usize * 1024;
    // What it says of its own length is enough to refuse it, and never enough to trust it.
    if body.size_hint().lower() > most as u64 {
        return Err(Unreadable::Oversize);
    }
    tokio::time::timeout(limits.body, collect(body, most))
        .await
        .unwrap_or(Err(Unreadable::Truncated))
}

async fn collect(mut body: Incoming, most: usize) -> Result<Bytes, Unreadable> {
    let mut first = Bytes::new();
    let mut rest = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_broken| Unreadable::Truncated)?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + rest.len() + data.len() > most {
            return Err(Unreadable::Oversize);
        }
        // Most bodies come in one piece, which is then not copied.
        if first.is_empty() {
            first = data;
        } else {
            rest.extend_from_slice(&data);
        }
    }
    if rest.is_empty() {
        return Ok(first);
    }
    let mut all = BytesMut::with_capacity(first.len() + rest.len());
    all.extend_from_slice(&first);
    all.extend_from_slice(&rest);
    Ok(all.freeze())
}
