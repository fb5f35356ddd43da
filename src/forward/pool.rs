//! Idle connections of one agent, by target.
//!
//! Takes connections back once they can carry another request; hands out those that can do so at
//! once. Refuses more than a bounded number, for a target and in all, those idle for too long, and
//! those of another generation than the newest: an agent never gets another's connection, nor one
//! from before a reload.

use super::RequestBody;
use crate::message::Target;
use hyper::client::conn::{http1, http2};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::time::Sleep;

/// Idle connections to one target.
const MOST_IDLE: usize = 64;
/// Idle connections to all targets; a shared one counts once.
const MOST_IDLE_IN_ALL: usize = 256;
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
    /// Whether a byte has come since the request went out.
    pub(super) heard: Arc<AtomicBool>,
}

#[derive(Debug, Default)]
struct Idle {
    /// The longest idle first.
    http1: Vec<(Http1, SocketAddr, Instant)>,
    http2: Option<(http2::SendRequest<RequestBody>, SocketAddr, Instant)>,
}

impl Idle {
    fn len(&self) -> usize {
        self.http1.len() + usize::from(self.http2.is_some())
    }

    fn oldest(&self) -> Option<Instant> {
        let http1 = self.http1.first().map(|(_, _, since)| *since);
        let http2 = self.http2.as_ref().map(|(_, _, used)| *used);
        http1.into_iter().chain(http2).min()
    }

    /// Closes what has been idle since then, or longer.
    fn close(&mut self, then: Instant) {
        self.http1.retain(|(_, _, since)| *since > then);
        self.http2 = self.http2.take().filter(|(_, _, used)| *used > then);
    }
}

#[derive(Debug, Default)]
struct Shelf {
    newest: u64,
    idle: HashMap<Key, Idle>,
}

impl Shelf {
    /// Learns of a generation; the connections of those before it close.
    fn renew(&mut self, generation: u64) {
        if generation > self.newest {
            self.newest = generation;
            self.idle.retain(|key, _| key.generation == generation);
        }
    }

    /// Closes the longest idle until there is room for one more.
    fn make_room(&mut self) {
        if self.idle.len() >= MOST_IDLE_IN_ALL {
            self.idle.retain(|_, idle| idle.len() > 0);
        }
        while self.idle.values().map(Idle::len).sum::<usize>() >= MOST_IDLE_IN_ALL {
            let ages = self.idle.iter_mut().filter_map(|(_, idle)| Some((idle.oldest()?, idle)));
            let Some((then, idle)) = ages.min_by_key(|(then, _)| *then) else { return };
            idle.close(then);
        }
    }
}

/// Idle connections of one agent.
#[derive(Debug, Default)]
pub struct Pool {
    shelf: Mutex<Shelf>,
}

impl Pool {
    /// A connection that takes a request at once, if there is one. A shared one stays in the pool.
    pub(super) fn take(&self, key: &Key) -> Option<(Connection, SocketAddr)> {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        let idle = shelf.idle.get_mut(key)?;
        if let Some((sender, address, used)) = &mut idle.http2 {
            if sender.is_ready() {
                *used = Instant::now();
                return Some((Connection::Http2(sender.clone()), *address));
            }
            idle.http2 = None;
        }
        while let Some((one, address, since)) = idle.http1.pop() {
            if one.sender.is_ready() && since.elapsed() < IDLE_FOR {
                return Some((Connection::Http1(one), address));
            }
        }
        None
    }

    /// Puts a connection back, or shares it. One that is not ready closes.
    pub(super) fn put(&self, key: &Key, connection: Connection, address: SocketAddr) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.renew(key.generation);
        if key.generation != shelf.newest {
            return;
        }
        let now = Instant::now();
        if let Connection::Http2(sender) = &connection
            && let Some((shared, _, used)) =
                shelf.idle.get_mut(key).and_then(|idle| idle.http2.as_mut())
            && (shared.is_ready() || !sender.is_ready())
        {
            // One is enough.
            *used = now;
            return;
        }
        shelf.make_room();
        if !shelf.idle.contains_key(key) {
            shelf.idle.insert(key.clone(), Idle::default());
        }
        let Some(idle) = shelf.idle.get_mut(key) else { return };
        match connection {
            Connection::Http1(one) if idle.http1.len() < MOST_IDLE && one.sender.is_ready() => {
                idle.http1.push((one, address, now));
            }
            Connection::Http2(sender) if sender.is_ready() => {
                idle.http2 = Some((sender, address, now));
            }
            Connection::Http1(_) | Connection::Http2(_) => {}
        }
    }

    /// Closes what has been idle for too long, or is of a generation before this one.
    pub fn sweep(&self, generation: u64) {
        let mut shelf = self.shelf.lock().unwrap_or_else(PoisonError::into_inner);
        shelf.renew(generation);
        shelf.idle.retain(|_, idle| {
            idle.http1
                .retain(|(one, _, since)| one.sender.is_ready() && since.elapsed() < IDLE_FOR);
            idle.http2 =
                idle.http2.take().filter(|(s, _, used)| s.is_ready() && used.elapsed() < IDLE_FOR);
            idle.len() > 0
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncReadExt as _, DuplexStream};

    fn key(host: &str, generation: u64) -> Key {
        let uri = format!("http://{host}/").parse().unwrap();
        Key { target: Target::of_absolute(&uri).unwrap(), http2: false, generation }
    }

    fn address() -> SocketAddr {
        "192.0.2.1:80".parse().unwrap()
    }

    /// A connection that is ready, and its far end.
    async fn connection() -> (Connection, DuplexStream) {
        let (near, far) = tokio::io::duplex(1 << 10);
        let (mut sender, connection) = http1::handshake(TokioIo::new(near)).await.unwrap();
        tokio_util::task::TaskTracker::new().spawn(connection);
        sender.ready().await.unwrap();
        let patience = Box::pin(tokio::time::sleep(Duration::ZERO));
        (Connection::Http1(Http1 { sender, patience, heard: Arc::default() }), far)
    }

    async fn closed(mut far: DuplexStream) -> bool {
        let ended = tokio::time::timeout(Duration::from_secs(30), far.read(&mut [0; 1])).await;
        ended.unwrap().unwrap() == 0
    }

    #[tokio::test]
    async fn only_the_newest_generation_is_kept() {
        let pool = Pool::default();
        let (first, first_end) = connection().await;
        pool.put(&key("a.example", 1), first, address());
        // A request under the next policy may come before the sweep of the reload.
        let (second, second_end) = connection().await;
        pool.put(&key("a.example", 2), second, address());
        assert!(closed(first_end).await);
        let (late, late_end) = connection().await;
        pool.put(&key("a.example", 1), late, address());
        assert!(closed(late_end).await);
        // A sweep that is behind takes nothing from the newest.
        pool.sweep(1);
        assert!(pool.take(&key("a.example", 1)).is_none());
        assert!(pool.take(&key("a.example", 2)).is_some());
        assert!(closed(second_end).await);
        // A drain keeps nothing.
        pool.sweep(u64::MAX);
        let (last, last_end) = connection().await;
        pool.put(&key("a.example", 2), last, address());
        assert!(closed(last_end).await);
    }

    #[tokio::test]
    async fn an_agent_with_many_hosts_keeps_the_latest() {
        let pool = Pool::default();
        let mut ends = std::collections::VecDeque::new();
        for number in 0..=MOST_IDLE_IN_ALL {
            let (one, end) = connection().await;
            pool.put(&key(&format!("h{number}.example"), 1), one, address());
            ends.push_back(end);
        }
        assert!(closed(ends.pop_front().unwrap()).await);
        assert!(pool.take(&key("h0.example", 1)).is_none());
        assert!(pool.take(&key("h1.example", 1)).is_some());
        // What was taken leaves no name behind for long.
        for number in 0..4 * MOST_IDLE_IN_ALL {
            let key = key(&format!("n{number}.example"), 1);
            let (one, _end) = connection().await;
            pool.put(&key, one, address());
            assert!(pool.take(&key).is_some());
        }
        let shelf = pool.shelf.lock().unwrap();
        assert!(shelf.idle.len() <= MOST_IDLE_IN_ALL + 1, "{}", shelf.idle.len());
    }

    #[tokio::test]
    async fn one_that_is_busy_is_neither_kept_nor_handed_out() {
        let pool = Pool::default();
        let (mut busy, end) = connection().await;
        if let Connection::Http1(one) = &mut busy {
            drop(one.sender.send_request(http::Request::new(RequestBody::Whole(None))));
        }
        pool.put(&key("a.example", 1), busy, address());
        assert!(pool.take(&key("a.example", 1)).is_none());
        drop(end);
    }
}
