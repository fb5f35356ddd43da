//! What the log does when the disk is full, broken, slow or gone: on a store that does so on demand.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::files::{Disk, Medium, Store};
use super::tests::{Place, entry};
use super::*;

/// A disk whose writes or syncs can be made to fail, and that counts.
#[derive(Clone, Default)]
struct Rigged {
    full: Arc<AtomicBool>,
    broken: Arc<AtomicBool>,
    syncs: Arc<AtomicUsize>,
    /// While shut, a sync does not end.
    gate: Arc<Gate>,
}

#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    changed: Condvar,
}

impl Gate {
    fn set(&self, shut: bool) {
        *self.shut.lock().unwrap() = shut;
        self.changed.notify_all();
    }

    fn pass(&self) {
        drop(self.changed.wait_while(self.shut.lock().unwrap(), |shut| *shut).unwrap());
    }
}

struct RiggedFile(Rigged, Box<dyn Medium>);

impl Store for Rigged {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(RiggedFile(self.clone(), Disk.create(path)?)))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(RiggedFile(self.clone(), Disk.open(path)?)))
    }
}

impl Medium for RiggedFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.0.full.load(Ordering::SeqCst) {
            // As a full disk does: some of it, then no more.
            self.1.write(&bytes[..bytes.len() / 2])?;
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.1.write(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.0.gate.pass();
        if self.0.broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is broken"));
        }
        self.0.syncs.fetch_add(1, Ordering::SeqCst);
        self.1.sync()
    }

    fn again(&self) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(Self(self.0.clone(), self.1.again()?)))
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.1.cut(length)
    }
}

#[tokio::test]
async fn no_disk_no_record_until_there_is_room_again() {
    for rotate_bytes in [1, 1 << 20] {
        for which in ["full", "broken"] {
            let (place, rigged) = (Place::new(), Rigged::default());
            let options = Options { rotate_bytes, ..place.options() };
            let log = Log::open_on(&place.folder(), options, Box::new(rigged.clone())).unwrap();
            log.commit(entry("before")).await.unwrap();
            let mut early = log.note(entry("early")).unwrap();
            early.written().await.unwrap();
            let fault = if which == "full" { &rigged.full } else { &rigged.broken };
            fault.store(true, Ordering::SeqCst);
            for _ in 0..3 {
                assert_eq!(log.commit(entry("lost")).await, Err(NotRecorded::Disk));
                assert!(!log.healthy());
            }
            let mut lost = log.note(entry("lost")).unwrap();
            assert_eq!(lost.written().await, Err(NotRecorded::Disk));
            fault.store(false, Ordering::SeqCst);
            log.commit(entry("after")).await.unwrap();
            assert!(log.healthy());
            log.close().await.unwrap();
            let summary = place.verify().unwrap();
            assert_eq!(summary.notices.len(), 1);
            assert!(summary.notices[0].detail.starts_with("recovered: 4 entries"));
            let count =
                |id: &str| find(&place.folder(), &Query::Request(id.to_owned())).unwrap().len();
            assert_eq!((count("before"), count("early"), count("after")), (1, 1, 1));
            assert_eq!(count("lost"), 0, "{which}, rotating at {rotate_bytes}");
        }
    }
}

#[tokio::test]
async fn a_removed_file_takes_no_more_records() {
    let place = Place::new();
    let log = place.open();
    log.commit(entry("a")).await.unwrap();
    fs::remove_dir_all(place.folder()).unwrap();
    assert_eq!(log.commit(entry("b")).await, Err(NotRecorded::Disk));
    assert!(!log.healthy());
    log.close().await.unwrap();
}

#[tokio::test]
async fn one_sync_serves_all_that_wait() {
    let (place, rigged) = (Place::new(), Rigged::default());
    let store = Box::new(rigged.clone());
    let log = Log::open_on(&place.folder(), place.options(), store).unwrap();
    let before = rigged.syncs.load(Ordering::SeqCst);
    rigged.gate.set(true);
    let commits: Vec<_> = (0..100)
        .map(|number| {
            let log = log.clone();
            Box::pin(async move { log.commit(entry(&number.to_string())).await })
        })
        .collect();
    let mut all = Box::pin(futures_util::future::join_all(commits));
    // Each is handed over when first polled; the writer is held in its first sync.
    assert!(futures_util::poll!(&mut all).is_pending());
    rigged.gate.set(false);
    assert!(all.await.iter().all(Result::is_ok));
    let syncs = rigged.syncs.load(Ordering::SeqCst) - before;
    assert!(syncs <= 4, "{syncs} syncs for 100 commits");
    log.close().await.unwrap();
}

#[tokio::test]
async fn a_full_queue_refuses_at_once() {
    let (place, rigged) = (Place::new(), Rigged::default());
    let options = Options { queue: 4, ..place.options() };
    let log = Log::open_on(&place.folder(), options, Box::new(rigged.clone())).unwrap();
    rigged.gate.set(true);
    let mut first = Box::pin(log.commit(entry("first")));
    assert!(futures_util::poll!(&mut first).is_pending());
    let mut tickets = Vec::new();
    let refused = loop {
        match log.note(entry("more")) {
            Ok(ticket) => tickets.push(ticket),
            Err(refused) => break refused,
        }
    };
    assert_eq!(refused, NotRecorded::Full);
    rigged.gate.set(false);
    first.await.unwrap();
    for ticket in &mut tickets {
        ticket.written().await.unwrap();
    }
    log.commit(entry("last")).await.unwrap();
    log.close().await.unwrap();
}

/// O-10.
#[tokio::test]
async fn a_wait_ends_and_its_entry_is_left_out() {
    let (place, rigged) = (Place::new(), Rigged::default());
    let options = Options { deadline: Duration::from_millis(10), ..place.options() };
    let log = Log::open_on(&place.folder(), options, Box::new(rigged.clone())).unwrap();
    rigged.gate.set(true);
    let mut first = Box::pin(log.commit(entry("first")));
    assert!(futures_util::poll!(&mut first).is_pending());
    while log.waiting() > 0 {
        std::thread::yield_now();
    }
    assert_eq!(log.commit(entry("late")).await, Err(NotRecorded::Late));
    rigged.gate.set(false);
    drop(first);
    log.close().await.unwrap();
    assert_eq!(find(&place.folder(), &Query::Request("late".to_owned())).unwrap().len(), 0);
}
