//! What passes over a WebSocket, and what it takes.
//!
//! Takes streams; returns them with their bytes counted: towards the upstream for the record and for
//! silence, from the client for the room that an unfinished message takes of its agent's. Refuses a
//! message for which there is no room, or that comes in far more frames than it needs.

use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a WebSocket may be silent both ways. Those that are meant to stay open send pings far
/// more often.
pub(super) const SILENCE: Duration = Duration::from_mins(10);

/// What has passed, and when it last did.
pub(super) struct Traffic {
    begun: Instant,
    pub(super) sent: AtomicU64,
    pub(super) received: AtomicU64,
    /// Milliseconds after the beginning.
    last: AtomicU64,
}

impl Traffic {
    pub(super) fn new() -> Self {
        let none = AtomicU64::default;
        Self { begun: Instant::now(), sent: none(), received: none(), last: none() }
    }

    fn note(&self, counter: &AtomicU64, bytes: usize, after: Duration) {
        if bytes > 0 {
            counter.fetch_add(bytes as u64, Ordering::Relaxed);
            let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
            self.last.fetch_max(after, Ordering::Relaxed);
        }
    }

    /// How long the silence may still last, so long after the beginning.
    fn left(&self, after: Duration) -> Duration {
        let last = Duration::from_millis(self.last.load(Ordering::Relaxed));
        SILENCE.saturating_sub(after.saturating_sub(last))
    }

    /// Waits until nothing has passed for too long.
    pub(super) async fn silence(&self) {
        loop {
            let left = self.left(self.begun.elapsed());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left).await;
        }
    }
}

/// What every socket may take without asking.
const FREE: u64 = 64 << 10;
/// How much is asked for at a time, in KiB.
const STEP: u64 = 64;
/// A masked control frame but for its payload.
const CONTROL: u64 = 6;

/// The room that a client's unfinished message takes.
pub(super) struct Room {
    bodies: Arc<Semaphore>,
    most: u64,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    bytes: u64,
    room: Option<OwnedSemaphorePermit>,
}

impl Room {
    /// Out of the agent's room, for messages of so many bytes.
    pub(super) fn new(bodies: Arc<Semaphore>, message: usize) -> Self {
        // Frames have heads; twice the message is enough for any that means well.
        let most = (message as u64).saturating_mul(2).saturating_add(FREE);
        Self { bodies, most, taken: Mutex::default() }
    }

    /// A message is complete; what it took is given back with the value.
    pub(super) fn take(&self) -> Option<OwnedSemaphorePermit> {
        std::mem::take(&mut *self.taken.lock().unwrap_or_else(PoisonError::into_inner)).room
    }

    /// A control frame of so many bytes was none of a message.
    pub(super) fn without(&self, payload: usize) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.bytes = taken.bytes.saturating_sub(payload as u64 + CONTROL);
    }

    fn grow(&self, bytes: usize) -> io::Result<()> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.bytes = taken.bytes.saturating_add(bytes as u64);
        if taken.bytes > self.most {
            *taken = Taken::default();
            let why = "the message comes in too many frames";
            return Err(io::Error::new(ErrorKind::FileTooLarge, why));
        }
        let wanted = taken.bytes.saturating_sub(FREE).div_ceil(STEP << 10) * STEP;
        let has = taken.room.as_ref().map_or(0, |room| room.num_permits() as u64);
        let Ok(missing @ 1..) = u32::try_from(wanted.saturating_sub(has)) else { return Ok(()) };
        let Ok(more) = self.bodies.clone().try_acquire_many_owned(missing) else {
            *taken = Taken::default();
            let why = "too much of this agent is on its way";
            return Err(io::Error::new(ErrorKind::QuotaExceeded, why));
        };
        match &mut taken.room {
            Some(room) => room.merge(more),
            none => *none = Some(more),
        }
        Ok(())
    }
}

/// Counts what is read from a stream, and written to it.
pub(super) trait Meter {
    fn read(&self, bytes: usize) -> io::Result<()>;
    fn written(&self, bytes: usize);
}

impl Meter for Traffic {
    fn read(&self, bytes: usize) -> io::Result<()> {
        self.note(&self.received, bytes, self.begun.elapsed());
        Ok(())
    }
    fn written(&self, bytes: usize) {
        self.note(&self.sent, bytes, self.begun.elapsed());
    }
}

impl Meter for Room {
    fn read(&self, bytes: usize) -> io::Result<()> {
        self.grow(bytes)
    }
    fn written(&self, _bytes: usize) {}
}

/// A stream with a meter.
pub(super) struct Counted<S, M> {
    pub(super) stream: S,
    pub(super) meter: Arc<M>,
}

impl<S: AsyncRead + Unpin, M: Meter> AsyncRead for Counted<S, M> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buffer))?;
        Poll::Ready(self.meter.read(buffer.filled().len().saturating_sub(before)))
    }
}

impl<S: AsyncWrite + Unpin, M: Meter> AsyncWrite for Counted<S, M> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.meter.written(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_counts_from_the_last_byte_either_way() {
        let traffic = Traffic::new();
        let (second, long) = (Duration::from_secs(1), SILENCE * 2);
        assert_eq!(traffic.left(second), SILENCE.abs_diff(second));
        assert_eq!(traffic.left(SILENCE), Duration::ZERO);
        for (counter, at) in [(&traffic.sent, long), (&traffic.received, long * 2)] {
            traffic.note(counter, 1, at);
            // An empty read is no byte.
            traffic.note(counter, 0, at + second);
            assert_eq!(traffic.left(at), SILENCE);
            assert_eq!(traffic.left(at + SILENCE), Duration::ZERO);
        }
    }

    #[test]
    fn an_unfinished_message_takes_room_until_it_is_over() {
        const MESSAGE: usize = 1 << 20;
        let bodies = Arc::new(Semaphore::new(1024));
        let room = Room::new(bodies.clone(), MESSAGE);
        room.read(64 << 10).unwrap();
        assert_eq!(bodies.available_permits(), 1024);
        room.read(1).unwrap();
        room.read(100).unwrap();
        assert_eq!(bodies.available_permits(), 1024 - 64);
        // What a control frame took is none of the message's.
        room.without(95);
        room.read(64 << 10).unwrap();
        assert_eq!(bodies.available_permits(), 1024 - 64);
        let taken = room.take();
        assert_eq!(bodies.available_permits(), 1024 - 64);
        drop(taken);
        assert_eq!(bodies.available_permits(), 1024);
        // Another socket has taken it all.
        let all = bodies.clone().try_acquire_many_owned(1024).unwrap();
        room.read(64 << 10).unwrap();
        assert_eq!(room.read(1).unwrap_err().kind(), ErrorKind::QuotaExceeded);
        drop(all);
        // Frames that carry nothing are no message either.
        let room = Room::new(bodies.clone(), 64 << 10);
        let ended = (0..100).find_map(|_| room.read(8 << 10).err()).unwrap();
        assert_eq!(ended.kind(), ErrorKind::FileTooLarge);
        assert_eq!(bodies.available_permits(), 1024);
    }
}
