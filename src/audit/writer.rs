//! Who has the pen: appends what waits to the journal, and keeps its times.
//!
//! Takes what waits in the queue, all at once, and answers every entry. One write and at most one
//! sync serve all entries of a batch; more gather while they run. While the disk refuses, every
//! entry is refused and the thread keeps trying.

use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use super::journal::{Journal, Unsynced};
use super::queue::{Queue, Queued};

/// Entries written at once.
const BATCH: usize = 1024;

/// How long a plain entry may stay unwritten when nobody waits for it.
const NAP: Duration = Duration::from_millis(10);

/// How long a plain entry may stay unsynced, and how often the position is told outside.
const SYNC_WITHIN: Duration = Duration::from_millis(100);

/// The longest time between two checkpoints if anything was written.
const CHECKPOINT_WITHIN: Duration = Duration::from_mins(1);

/// How long an idle writer waits before it tries again after an error.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) struct Writer {
    journal: Journal,
    receiver: Receiver<Queued>,
    batch: Vec<Queued>,
    sync_due: Option<Instant>,
    checkpoint_due: Option<Instant>,
    head_told: Option<Instant>,
    head_due: Option<Instant>,
    trouble: Option<Trouble>,
}

/// The disk refuses.
struct Trouble {
    cause: String,
    refused: u64,
    retry_due: Instant,
}

/// The end of the thread, also by a panic: what cannot be recorded must be refused.
struct End {
    queue: Arc<Queue>,
    /// Closed by its drop, which is how the handles see the end.
    _running: watch::Sender<()>,
}

impl Drop for End {
    fn drop(&mut self) {
        self.queue.set_healthy(false);
        self.queue.close();
        // Its drop answers what still waits.
        self.queue.lay_pen(None);
    }
}

/// The writer thread: syncs, signs, and writes what nobody waits for.
pub(super) fn run(queue: Arc<Queue>, running: watch::Sender<()>) {
    let end = End { queue, _running: running };
    let queue = &*end.queue;
    queue.bell.belongs_here();
    queue.with_pen(Writer::note_synced);
    loop {
        let stirred = queue.bell.answer();
        // No pen is left after a panic over it.
        let Some((busy, sync)) = queue.with_pen(|writer| writer.turn(queue)) else { break };
        if let Some(mut unsynced) = sync {
            // Who waits for a plain entry writes meanwhile.
            let outcome = unsynced.sync();
            queue.with_pen(|writer| writer.synced(&unsynced, &outcome, queue));
        }
        if queue.has_more() {
            continue;
        }
        if !busy && queue.closing() {
            queue.with_pen(Writer::finish);
            break;
        }
        let nap = busy || stirred;
        let due = queue.with_pen(|writer| writer.due()).flatten();
        let due = due.map(|due| due.saturating_duration_since(Instant::now()));
        let limit = if nap { Some(due.map_or(NAP, |due| due.min(NAP))) } else { due };
        queue.bell.rest(nap, limit);
    }
}

impl Writer {
    pub(super) fn new(journal: Journal, receiver: Receiver<Queued>) -> Self {
        Self {
            journal,
            receiver,
            batch: Vec::with_capacity(BATCH),
            sync_due: None,
            checkpoint_due: None,
            head_told: None,
            head_due: None,
            trouble: None,
        }
    }

    /// One turn of the thread: whether there was anything to write, and what it has to sync.
    fn turn(&mut self, queue: &Queue) -> (bool, Option<Unsynced>) {
        self.gather(queue);
        let busy = !self.batch.is_empty();
        self.journal.look_at_age();
        if busy {
            self.write(queue);
        }
        (busy, self.keep_times(queue))
    }

    /// After a sync that was due.
    fn synced(&mut self, unsynced: &Unsynced, outcome: &std::io::Result<()>, queue: &Queue) {
        self.journal.note_synced(unsynced, outcome);
        match outcome {
            Ok(()) => self.note_synced(),
            Err(error) => self.fail(error, queue),
        }
        self.note_written();
    }

    /// Writes what waits if no part of it has to be synced, for a task that must not wait for a
    /// disk. False leaves it to the thread.
    pub(super) fn write_plain(&mut self, queue: &Queue) -> bool {
        self.gather(queue);
        if self.batch.is_empty() {
            return true;
        }
        let durable = self.batch.iter().any(|queued| queued.pending().durable);
        if durable || self.trouble.is_some() || self.journal.next_syncs() {
            return false;
        }
        self.write(queue);
        true
    }

    fn gather(&mut self, queue: &Queue) {
        let before = self.batch.len();
        let room = BATCH.saturating_sub(before);
        self.batch.extend(self.receiver.try_iter().take(room));
        queue.taken(self.batch.len() - before);
    }

    fn write(&mut self, queue: &Queue) {
        self.batch.retain(|queued| !queued.pending().abandoned());
        if self.batch.is_empty() {
            return;
        }
        if self.trouble.is_some() && !self.recover(queue) {
            self.refuse();
            return;
        }
        let durable = self.batch.iter().any(|queued| queued.pending().durable);
        let entries = self.batch.iter().map(|queued| &queued.pending().entry);
        match self.journal.append(entries, durable) {
            Ok(before) => {
                let synced = !self.journal.needs_sync();
                for (queued, seq) in self.batch.drain(..).zip(before.seq + 1..) {
                    queued.settle(seq, synced);
                }
                if synced {
                    self.note_synced();
                }
                self.note_written();
            }
            Err(error) => {
                self.fail(&error, queue);
                self.refuse();
            }
        }
    }

    /// Tells and signs what is due, and gives what is to be synced.
    fn keep_times(&mut self, queue: &Queue) -> Option<Unsynced> {
        let now = Instant::now();
        let due = |time: Option<Instant>| time.is_some_and(|time| time <= now);
        if self.trouble.as_ref().is_some_and(|trouble| trouble.retry_due <= now) {
            self.recover(queue);
        }
        if self.trouble.is_some() {
            return None;
        }
        if due(self.checkpoint_due) {
            self.checkpoint_due = None;
            match self.journal.checkpoint(None) {
                Ok(()) => self.note_synced(),
                Err(error) => self.fail(&error, queue),
            }
        } else if due(self.sync_due) {
            self.sync_due = None;
            match self.journal.unsynced() {
                Ok(unsynced) => return Some(unsynced),
                Err(error) => self.fail(&error, queue),
            }
        } else if due(self.head_due) {
            self.tell_head();
        }
        None
    }

    fn note_written(&mut self) {
        if self.journal.needs_sync() {
            self.sync_due.get_or_insert_with(|| Instant::now() + SYNC_WITHIN);
        }
        if self.journal.needs_checkpoint() {
            self.checkpoint_due.get_or_insert_with(|| Instant::now() + CHECKPOINT_WITHIN);
        } else {
            self.checkpoint_due = None;
        }
    }

    fn note_synced(&mut self) {
        self.sync_due = None;
        let next = self.head_told.map(|told| told + SYNC_WITHIN);
        match next.filter(|next| *next > Instant::now()) {
            Some(next) => self.head_due = Some(next),
            None => self.tell_head(),
        }
    }

    fn tell_head(&mut self) {
        self.head_due = None;
        self.head_told = Some(Instant::now());
        let position = self.journal.synced_position();
        if let Some(sink) = &self.journal.head_sink {
            sink(position.seq, position.hash);
        }
    }

    fn fail(&mut self, error: &std::io::Error, queue: &Queue) {
        let retry_due = Instant::now() + RETRY_AFTER;
        if let Some(trouble) = &mut self.trouble {
            trouble.retry_due = retry_due;
            return;
        }
        tracing::error!(%error, "audit: not writable, everything is refused until it is");
        queue.set_healthy(false);
        self.trouble = Some(Trouble { cause: error.to_string(), refused: 0, retry_due });
    }

    /// Tries whether the disk takes records again; the first says what happened.
    fn recover(&mut self, queue: &Queue) -> bool {
        let Some(trouble) = &self.trouble else {
            return true;
        };
        let detail =
            format!("recovered: {} entries were refused ({})", trouble.refused, trouble.cause);
        match self.journal.go_on(&detail) {
            Ok(()) => {
                tracing::warn!("audit: {detail}");
                self.trouble = None;
                queue.set_healthy(true);
                self.note_synced();
                true
            }
            Err(error) => {
                self.fail(&error, queue);
                false
            }
        }
    }

    /// Their drop answers them.
    fn refuse(&mut self) {
        if let Some(trouble) = &mut self.trouble {
            trouble.refused += self.batch.len() as u64;
        }
        self.batch.clear();
    }

    /// When the thread is needed next, whatever comes meanwhile.
    fn due(&self) -> Option<Instant> {
        match &self.trouble {
            Some(trouble) => Some(trouble.retry_due),
            None => [self.sync_due, self.checkpoint_due, self.head_due].into_iter().flatten().min(),
        }
    }

    fn finish(&mut self) {
        let outcome = if self.journal.needs_checkpoint() || self.trouble.is_some() {
            self.journal.checkpoint(None)
        } else {
            self.journal.sync()
        };
        match outcome {
            Ok(()) => self.tell_head(),
            Err(error) => tracing::error!(%error, "audit: closed without a checkpoint"),
        }
    }
}
