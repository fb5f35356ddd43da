//! The way from any task to the log: a bounded queue, the one pen, a doorbell, and tickets.
//!
//! Takes entries without a lock, and without a system call while the writer thread is awake. Whoever
//! waits for a plain entry takes the pen if it lies there, and writes all that waits in one call; who
//! finds it taken is served by its holder. What has to be synced is left to the thread, and so is
//! what nobody waits for. So a read costs no wake-up and no switch between threads.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize, Ordering, fence};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use std::task::{Context, Poll};
use std::thread::{self, Thread};
use std::time::Duration;

use futures_util::task::AtomicWaker;

use super::NotRecorded;
use super::record::Entry;
use super::writer::Writer;

/// What became of an entry.
const WAITING: u8 = 0;
const WRITTEN: u8 = 1;
const SYNCED: u8 = 2;
const FAILED: u8 = 3;

/// So many entries of its own an exchange has waiting at most.
const OWN: usize = 2;

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

/// The promise of a record.
#[must_use = "a record that nobody waits for may never be written"]
pub struct Ticket {
    pending: Arc<Pending>,
    queue: Arc<Queue>,
    /// Whether others were let go first.
    gave_way: bool,
}

impl Ticket {
    /// Waits until the record is written (not synced), and gives its `seq`. Costs one atomic load
    /// when it already is.
    ///
    /// # Errors
    /// When the disk refused, the log is closed, or the deadline went by.
    pub async fn written(&mut self) -> Result<u64, NotRecorded> {
        self.queue.help();
        if let Some(outcome) = self.pending.outcome(WRITTEN) {
            return outcome;
        }
        self.pending.reach(WRITTEN, self.queue.deadline).await
    }

    /// The same for a caller that polls. It has no deadline: the writer answers, or its end does. While
    /// others have entries that wait, it lets them go on once before it writes: one write serves all.
    pub fn poll_written(&mut self, context: &mut Context<'_>) -> Poll<Result<u64, NotRecorded>> {
        if let Some(outcome) = self.pending.outcome(WRITTEN) {
            return Poll::Ready(outcome);
        }
        if !self.gave_way && self.queue.waiting() > OWN {
            self.gave_way = true;
            self.pending.waker.register(context.waker());
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.queue.help();
        if let Some(outcome) = self.pending.outcome(WRITTEN) {
            return Poll::Ready(outcome);
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
    /// Whoever holds it writes; none before the thread has begun and after its end.
    pen: Mutex<Option<Writer>>,
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
            pen: Mutex::new(None),
            bell: Bell {
                state: AtomicU8::new(AWAKE),
                stirred: AtomicBool::new(false),
                urgent: AtomicBool::new(false),
                thread: OnceLock::new(),
            },
        };
        (queue, receiver)
    }

    /// Gives the pen to the log, or takes it away for good.
    pub(super) fn lay_pen(&self, writer: Option<Writer>) {
        *self.pen.lock().unwrap_or_else(PoisonError::into_inner) = writer;
    }

    /// Waits for the pen and uses it. None once the log is over, or after a panic over it.
    pub(super) fn with_pen<T>(&self, work: impl FnOnce(&mut Writer) -> T) -> Option<T> {
        self.pen.lock().ok()?.as_mut().map(work)
    }

    /// Whether something came while the pen was held, for which its holder has to look again.
    pub(super) fn has_more(&self) -> bool {
        // Pairs with the fence in `help`: either we see the entry, or its owner sees the pen free.
        fence(Ordering::SeqCst);
        self.waiting() > 0
    }

    /// Writes what waits, if nobody else is about to.
    fn help(&self) {
        loop {
            fence(Ordering::SeqCst);
            // Whoever has it looks again after laying it down; after a panic the thread ends the log.
            let Ok(mut pen) = self.pen.try_lock() else { return };
            let Some(writer) = pen.as_mut() else { return };
            let done = writer.write_plain(self);
            drop(pen);
            if !done {
                self.bell.call();
                return;
            }
            if !self.has_more() {
                return;
            }
        }
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
        if durable {
            self.bell.call();
        } else {
            self.bell.stir();
        }
        Ok(Ticket { pending, queue: Arc::clone(self), gave_way: false })
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
        self.bell.call();
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

/// Wakes the writer thread, with a system call only when it really sleeps.
pub(super) struct Bell {
    state: AtomicU8,
    /// A plain entry came: the thread has to see to it within its nap.
    stirred: AtomicBool,
    /// The thread has to see to something now.
    urgent: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Bell {
    /// The calling thread is the writer.
    pub(super) fn belongs_here(&self) {
        self.thread.get_or_init(thread::current);
    }

    /// Something has to be done now.
    fn call(&self) {
        self.urgent.store(true, Ordering::Release);
        self.ring(NAPPING);
    }

    /// Something is to be seen to soon.
    fn stir(&self) {
        if !self.stirred.load(Ordering::Relaxed) {
            self.stirred.store(true, Ordering::Relaxed);
        }
        self.ring(ASLEEP);
    }

    /// Wakes a writer whose sleep is at least as deep as `depth`.
    fn ring(&self, depth: u8) {
        // Pairs with the fence in `rest`: either the writer sees the flag, or we see it asleep.
        fence(Ordering::SeqCst);
        if self.state.load(Ordering::Relaxed) >= depth
            && self.state.swap(AWAKE, Ordering::AcqRel) != AWAKE
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }

    /// Whether anything was said since the last time; what comes from now on is for the next.
    pub(super) fn answer(&self) -> bool {
        let urgent = self.urgent.swap(false, Ordering::AcqRel);
        self.stirred.swap(false, Ordering::AcqRel) || urgent
    }

    /// Sleeps until rung or `limit` is over. A nap is not disturbed by plain entries.
    pub(super) fn rest(&self, nap: bool, limit: Option<Duration>) {
        self.state.store(if nap { NAPPING } else { ASLEEP }, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let called =
            self.urgent.load(Ordering::Relaxed) || (!nap && self.stirred.load(Ordering::Relaxed));
        if !called {
            match limit {
                Some(limit) => thread::park_timeout(limit),
                None => thread::park(),
            }
        }
        self.state.store(AWAKE, Ordering::Release);
    }
}
