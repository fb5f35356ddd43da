//! The way from any task to the writer thread: a bounded queue, a doorbell, and tickets.
//!
//! Takes entries without a lock and without a system call while the writer is awake. A plain entry
//! wakes a writer that sleeps for good, never one that naps; only somebody who waits cuts a nap
//! short. So a loaded proxy pays for wake-ups per batch, not per record.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, OnceLock, mpsc};
use std::task::{Context, Poll};
use std::thread::{self, Thread};
use std::time::Duration;

use futures_util::task::AtomicWaker;

use super::NotRecorded;
use super::record::Entry;

/// What became of an entry.
const WAITING: u8 = 0;
const WRITTEN: u8 = 1;
const SYNCED: u8 = 2;
const FAILED: u8 = 3;

/// What the writer does.
const AWAKE: u8 = 0;
const NAPPING: u8 = 1;
const ASLEEP: u8 = 2;

/// An entry on its way, shared by the writer and who waits for it.
pub(super) struct Pending {
    pub(super) entry: Entry,
    pub(super) durable: bool,
    seq: AtomicU64,
    state: AtomicU8,
    waker: AtomicWaker,
}

impl Pending {
    /// Whether the one who waited has given up.
    pub(super) fn abandoned(&self) -> bool {
        self.state.load(Ordering::Acquire) == FAILED
    }

    fn settle(&self, state: u8) {
        self.state.store(state, Ordering::Release);
        self.waker.wake();
    }

    /// `None` while the entry is not as far as `goal`.
    fn outcome(&self, goal: u8) -> Option<Result<u64, NotRecorded>> {
        match self.state.load(Ordering::Acquire) {
            FAILED => Some(Err(NotRecorded::Disk)),
            state if state >= goal => Some(Ok(self.seq.load(Ordering::Relaxed))),
            _ => None,
        }
    }

    async fn reach(&self, goal: u8, deadline: Duration) -> Result<u64, NotRecorded> {
        let wait = std::future::poll_fn(|context| {
            self.waker.register(context.waker());
            self.outcome(goal).map_or(Poll::Pending, Poll::Ready)
        });
        match tokio::time::timeout(deadline, wait).await {
            Ok(outcome) => outcome,
            Err(_elapsed) => {
                // The writer leaves out what it has not taken up yet.
                self.state.store(FAILED, Ordering::Release);
                Err(NotRecorded::Late)
            }
        }
    }
}

/// The writer's end of an entry. Dropped unanswered, it answers that there is no record.
pub(super) struct Queued(Arc<Pending>);

impl Queued {
    pub(super) fn pending(&self) -> &Pending {
        &self.0
    }

    pub(super) fn settle(self, seq: u64, synced: bool) {
        self.0.seq.store(seq, Ordering::Relaxed);
        self.0.settle(if synced { SYNCED } else { WRITTEN });
    }
}

impl Drop for Queued {
    fn drop(&mut self) {
        if self.0.state.load(Ordering::Acquire) == WAITING {
            self.0.settle(FAILED);
        }
    }
}

/// With so few entries waiting, a nap is cut short for one who waits for its end.
const QUIET: usize = 3;

/// The promise of a record.
#[must_use = "a record that nobody waits for may never be written"]
pub struct Ticket {
    pending: Arc<Pending>,
    queue: Arc<Queue>,
}

impl Ticket {
    /// Waits until the record is written (not synced), and gives its `seq`. Costs one atomic load
    /// when it already is.
    ///
    /// # Errors
    /// When the disk refused, the log is closed, or the deadline went by.
    pub async fn written(&mut self) -> Result<u64, NotRecorded> {
        if let Some(outcome) = self.pending.outcome(WRITTEN) {
            return outcome;
        }
        self.queue.bell.ring(NAPPING);
        self.pending.reach(WRITTEN, self.queue.deadline).await
    }

    /// The same for a caller that polls. It has no deadline: the writer answers, or its end does.
    pub fn poll_written(&self, context: &mut Context<'_>) -> Poll<Result<u64, NotRecorded>> {
        if let Some(outcome) = self.pending.outcome(WRITTEN) {
            return Poll::Ready(outcome);
        }
        // Under load the nap is over soon, and one write then serves many.
        if self.queue.waiting() <= QUIET {
            self.queue.bell.ring(NAPPING);
        }
        self.pending.waker.register(context.waker());
        self.pending.outcome(WRITTEN).map_or(Poll::Pending, Poll::Ready)
    }

    /// Waits until the record of a durable entry is on disk.
    pub(super) async fn synced(&mut self) -> Result<u64, NotRecorded> {
        self.pending.reach(SYNCED, self.queue.deadline).await
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.pending.state.load(Ordering::Relaxed);
        formatter.debug_struct("Ticket").field("state", &state).finish_non_exhaustive()
    }
}

/// The handles' end.
pub(super) struct Queue {
    sender: mpsc::Sender<Queued>,
    waiting: AtomicUsize,
    limit: usize,
    deadline: Duration,
    closing: AtomicBool,
    healthy: AtomicBool,
    pub(super) bell: Bell,
}

impl Queue {
    pub(super) fn new(limit: usize, deadline: Duration) -> (Self, mpsc::Receiver<Queued>) {
        let (sender, receiver) = mpsc::channel();
        let queue = Self {
            sender,
            waiting: AtomicUsize::new(0),
            limit,
            deadline,
            closing: AtomicBool::new(false),
            healthy: AtomicBool::new(true),
            bell: Bell { state: AtomicU8::new(AWAKE), thread: OnceLock::new() },
        };
        (queue, receiver)
    }

    pub(super) fn push(
        self: &Arc<Self>,
        entry: Entry,
        durable: bool,
    ) -> Result<Ticket, NotRecorded> {
        if self.closing() {
            return Err(NotRecorded::Closed);
        }
        if self.waiting.fetch_add(1, Ordering::Relaxed) >= self.limit {
            self.taken(1);
            return Err(NotRecorded::Full);
        }
        let pending = Arc::new(Pending {
            entry,
            durable,
            seq: AtomicU64::new(0),
            state: AtomicU8::new(WAITING),
            waker: AtomicWaker::new(),
        });
        if self.sender.send(Queued(Arc::clone(&pending))).is_err() {
            self.taken(1);
            return Err(NotRecorded::Closed);
        }
        self.bell.ring(if durable { NAPPING } else { ASLEEP });
        Ok(Ticket { pending, queue: Arc::clone(self) })
    }

    /// The writer took this many out.
    pub(super) fn taken(&self, count: usize) {
        self.waiting.fetch_sub(count, Ordering::Relaxed);
    }

    pub(super) fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.bell.ring(NAPPING);
    }

    pub(super) fn closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    pub(super) fn healthy(&self) -> bool {
        self.healthy.load(Ordering::Relaxed) && !self.closing()
    }

    pub(super) fn set_healthy(&self, healthy: bool) {
        self.healthy.store(healthy, Ordering::Relaxed);
    }
}

/// Wakes the writer, with a system call only when it really sleeps.
pub(super) struct Bell {
    state: AtomicU8,
    thread: OnceLock<Thread>,
}

impl Bell {
    /// The calling thread is the writer.
    pub(super) fn belongs_here(&self) {
        self.thread.get_or_init(thread::current);
    }

    /// Wakes a writer whose sleep is at least as deep as `depth`.
    fn ring(&self, depth: u8) {
        // Pairs with the fence in `rest`: either the writer sees the entry, or we see it asleep.
        fence(Ordering::SeqCst);
        if self.state.load(Ordering::Relaxed) >= depth
            && self.state.swap(AWAKE, Ordering::AcqRel) != AWAKE
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Sleeps until rung or `limit` is over, unless `work` has something to do after all.
    /// A nap is not disturbed by plain entries.
    pub(super) fn rest(&self, nap: bool, limit: Option<Duration>, mut work: impl FnMut() -> bool) {
        self.state.store(if nap { NAPPING } else { ASLEEP }, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if !work() {
            match limit {
                Some(limit) => thread::park_timeout(limit),
                None => thread::park(),
            }
        }
        self.state.store(AWAKE, Ordering::Release);
    }
}
