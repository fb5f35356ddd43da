//! Idle connections of one agent, by target.
//!
//! Takes connections back when their answer has been read; hands them out once they are seen to be
//! alive. Refuses more than a bounded number, and those idle for too long. An agent never gets
//! another's connection, nor one from before a reload.

use super::RequestBody;
use crate::message::Target;
use hyper::client::conn::{http1, http2};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

const MOST_IDLE: usize = 64;
const IDLE_FOR: Duration = Duration::from_secs(55);

/// What a connection may be used for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) target: Target,
    pub(super) http2: bool,
    pub(super) generation: u64,
}

/// A connection to an upstream.
#[derive(Debug)]
pub(super) enum Connection {
    Http1(Http1),
    Http2(http2::SendRequest<RequestBody>),
}

/// A connection for one exchange at a time.
#[derive(Debug)]
pub(super) struct Http1 {
    pub(super) sender: http1::SendRequest<RequestBody>,
    /// The deadline of its exchanges: moving one on costs far less than making one for each.
    pub(super) patience: Pin<Box<Sleep>>,
}

#[derive(Debug, Default)]
struct Idle {
    http1: Vec<(Http1, SocketAddr, Instant)>,
    http2: Option<(http2::SendRequest<RequestBody>, SocketAddr, Instant)>,
}

/// Idle connections of one agent.
#[derive(Debug, Default)]
pub struct Pool {
    idle: Mutex<HashMap<Key, Idle>>,
}

impl Pool {
    /// A live connection, if there is one. A shared one stays in the pool.
    pub(super) fn take(&self, key: &Key) -> Option<(Connection, SocketAddr)> {
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = all.get_mut(key)?;
        if let Some((sender, address, used)) = &mut idle.http2 {
            if !sender.is_closed() {
                *used = Instant::now();
                return Some((Connection::Http2(sender.clone()), *address));
            }
            idle.http2 = None;
        }
        while let Some((one, address, since)) = idle.http1.pop() {
            if !one.sender.is_closed() && since.elapsed() < IDLE_FOR {
                return Some((Connection::Http1(one), address));
            }
        }
        None
    }

    /// Puts a connection back, or shares it.
    pub(super) fn put(&self, key: &Key, connection: Connection, address: SocketAddr) {
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if !all.contains_key(key) {
            all.insert(key.clone(), Idle::default());
        }
        let Some(idle) = all.get_mut(key) else { return };
        match connection {
            Connection::Http1(one) if idle.http1.len() < MOST_IDLE && !one.sender.is_closed() => {
                idle.http1.push((one, address, now));
            }
            Connection::Http1(_) => {}
            Connection::Http2(sender) => idle.http2 = Some((sender, address, now)),
        }
    }

    /// Closes what has been idle for too long, or belongs to another generation.
    pub fn sweep(&self, generation: u64) {
        let mut all = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|key, idle| {
            idle.http1
                .retain(|(one, _, since)| !one.sender.is_closed() && since.elapsed() < IDLE_FOR);
            if idle
                .http2
                .as_ref()
                .is_some_and(|(s, _, used)| s.is_closed() || used.elapsed() > IDLE_FOR)
            {
                idle.http2 = None;
            }
            key.generation == generation && (!idle.http1.is_empty() || idle.http2.is_some())
        });
    }
}
