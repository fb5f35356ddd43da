//! The audit log: append-only JSON Lines, hash-chained, signed at checkpoints.
//!
//! Takes [`Entry`] values from any task and gives back a promise: [`Log::note`] that the record will
//! be written, [`Log::commit`] that it is on disk. One pen owns the files and the chain: a thread has
//! it for syncs, and whoever waits for a plain record may take it to write.
//! Refuses ([`NotRecorded`]) when the queue is full, the disk does not take the record, or the wait
//! was too long; the caller then refuses the traffic: no disk, no traffic.
//! [`verify`] checks a folder against the public key; [`tail`], [`find`] and [`Follow`] read it.

mod chain;
#[cfg(test)]
mod disk_tests;
mod files;
mod flood;
mod journal;
mod key;
mod queue;
mod read;
mod record;
#[cfg(test)]
mod tamper_tests;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

pub use chain::{GENESIS, hex, unhex};
pub use key::PublicKey;
pub use queue::Ticket;
pub use read::{FOLLOW_INTERVAL, Follow, Query, each, find, tail};
pub use record::{CredentialUse, Entry, Finding, FirstSeen, Kind, Target, Text};
pub use verify::{Broken, Notice, Summary, Why, verify};

use files::{Disk, Store};
use journal::Journal;
use queue::Queue;

/// How long [`Log::close`] waits for the writer to finish.
const CLOSE_DEADLINE: Duration = Duration::from_secs(10);

/// Where the last synced position goes outside the log, so that a cut tail shows.
///
/// The writer thread calls it with `seq` and `hash`, at most every 100 ms and at close.
/// It must not block for long and must not panic: a panic ends the log.
pub type HeadSink = Box<dyn Fn(u64, [u8; 32]) + Send>;

/// What is kept when a file is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retain {
    /// This many files, the one being written among them; at least one.
    Files(usize),
    /// Files that were last written within this time.
    For(Duration),
    /// Every file.
    Everything,
}

/// How a log is kept.
pub struct Options {
    /// The Ed25519 signing key, made at the first start; its public half is beside it as `.pub`.
    pub key: PathBuf,
    /// A file that has reached this size is followed by a new one.
    pub rotate_bytes: u64,
    /// A file that is this old is followed by a new one.
    pub rotate_after: Duration,
    /// Which files stay.
    pub retain: Retain,
    /// Entries that may wait for the writer; one more is refused.
    pub queue: usize,
    /// How long a caller waits for its record before it is told that there is none.
    pub deadline: Duration,
    /// The position that the store outside knows as synced, if it knows one. A log that ends
    /// before it, or that has another record there, says so in its next checkpoint.
    pub head: Option<(u64, [u8; 32])>,
    /// Where new synced positions go.
    pub head_sink: Option<HeadSink>,
}

impl Options {
    /// The defaults: 64 MiB, one day, 30 files, 65,536 waiting entries, 5 s.
    pub fn new(key: impl Into<PathBuf>) -> Self {
        Self {
            key: key.into(),
            rotate_bytes: 64 << 20,
            rotate_after: Duration::from_hours(24),
            retain: Retain::Files(30),
            queue: 65_536,
            deadline: Duration::from_secs(5),
            head: None,
            head_sink: None,
        }
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Options")
            .field("key", &self.key)
            .field("rotate_bytes", &self.rotate_bytes)
            .field("rotate_after", &self.rotate_after)
            .field("retain", &self.retain)
            .field("queue", &self.queue)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

/// A handle to the log. Clones share the one writer.
#[derive(Clone)]
pub struct Log {
    shared: Arc<Shared>,
}

/// What the handles share. Its drop tells the writer to finish.
struct Shared {
    flood: flood::Flood,
    queue: Arc<Queue>,
    ended: watch::Receiver<()>,
}

impl Log {
    /// Takes over the folder, cuts a torn last line, continues the chain and starts the writer.
    ///
    /// The folder is made or set to mode 0700 and locked; a torn line that was cut is recorded.
    /// The first record of this run, a signed checkpoint, is on disk when this returns.
    ///
    /// # Errors
    /// When the folder or key cannot be used, is open to others, is in use by another log, or when
    /// the log there does not end in a whole record.
    pub fn open(folder: &Path, options: Options) -> Result<Self, Error> {
        Self::open_on(folder, options, Box::new(Disk))
    }

    fn open_on(folder: &Path, options: Options, store: Box<dyn Store>) -> Result<Self, Error> {
        let (limit, deadline) = (options.queue, options.deadline);
        let journal = Journal::open(folder, options, store)?;
        let (queue, receiver) = Queue::new(limit, deadline);
        let queue = Arc::new(queue);
        let (running, ended) = watch::channel(());
        queue.lay_pen(Some(writer::Writer::new(journal, receiver)));
        let writing = Arc::clone(&queue);
        std::thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || writer::run(writing, running))
            .map_err(|source| Error::Thread { source })?;
        Ok(Self { shared: Arc::new(Shared { flood: flood::Flood::default(), queue, ended }) })
    }

    /// Whether one more refusal of an agent gets a record of its own: how many before it did not.
    pub fn admits_refusal(&self, agent: Option<&Arc<str>>, grave: bool) -> Option<u64> {
        self.shared.flood.admit(agent, grave)
    }

    /// Hands over an entry that need not be on disk before its effect: a plain read.
    ///
    /// The ticket's [`Ticket::written`] says when the record survives a crash of the process;
    /// it survives a crash of the machine within 100 ms.
    ///
    /// # Errors
    /// At once, when the queue is full or the log is closed.
    pub fn note(&self, entry: Entry) -> Result<Ticket, NotRecorded> {
        self.shared.queue.push(entry, false)
    }

    /// Hands over an entry and waits until it is on disk. Gives its `seq`.
    ///
    /// Dropping the future does not take the entry back.
    ///
    /// # Errors
    /// When the queue is full, the disk refused, the log is closed, or the deadline went by. The entry must
    /// then count as not recorded.
    pub async fn commit(&self, entry: Entry) -> Result<u64, NotRecorded> {
        self.shared.queue.push(entry, true)?.synced().await
    }

    /// Refuses new entries, writes those that wait, a signed checkpoint, and ends the writer.
    ///
    /// # Errors
    /// When the writer did not end within 10 s.
    pub async fn close(&self) -> Result<(), NotRecorded> {
        self.shared.queue.close();
        let mut ended = self.shared.ended.clone();
        // The writer never sends: the only change is that its end is gone.
        let wait = async { while ended.changed().await.is_ok() {} };
        tokio::time::timeout(CLOSE_DEADLINE, wait).await.map_err(|_elapsed| NotRecorded::Late)
    }

    /// Whether the last attempt to write or sync succeeded and the log is open.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.shared.queue.healthy()
    }

    /// How many entries wait for the writer now.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.shared.queue.waiting()
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Log")
            .field("healthy", &self.healthy())
            .field("waiting", &self.waiting())
            .finish()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.queue.close();
    }
}

/// Why there is no record. Always ours or the operator's fault, never the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotRecorded {
    /// Too many entries wait.
    #[error("the audit queue is full: the disk is slower than the traffic")]
    Full,
    /// The disk did not take the record.
    #[error("the audit log cannot be written: make room or repair its disk (see the service log)")]
    Disk,
    /// The wait was too long.
    #[error("the audit log did not answer in time")]
    Late,
    /// The log is closed.
    #[error("the audit log is closed")]
    Closed,
}

/// Why a log could not be opened. The operator's to mend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder or a file in it could not be used.
    #[error("the audit log at {path} cannot be used: {source}")]
    Folder {
        /// The folder or file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Another log has it.
    #[error("the audit folder {path} is in use by another process: one process per state folder")]
    Busy {
        /// The folder.
        path: PathBuf,
    },
    /// Others can read the signing key.
    #[error("the audit key {path} has mode {mode:o}: others may have it; chmod 600, or replace it")]
    KeyExposed {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is a log, but no key.
    #[error(
        "the audit key {path} is missing but there are audit files: restore it, or move the files away"
    )]
    KeyMissing {
        /// The key file.
        path: PathBuf,
    },
    /// The key cannot be read or made.
    #[error("the audit key {path} cannot be used: {why}")]
    KeyUnusable {
        /// The key file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The log does not end in a record that this key's chain can be continued from.
    #[error("the audit log cannot be continued; keep it and move it away. {0}")]
    Broken(#[from] Broken),
    /// No thread.
    #[error("the audit writer cannot be started: {source}")]
    Thread {
        /// What the system said.
        source: std::io::Error,
    },
}
