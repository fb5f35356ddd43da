//! The chain on disk: appends records, syncs, rotates, signs checkpoints, mends after a failure.
//!
//! Takes batches of entries from the one writer and returns when they are written, or synced. After
//! an error nothing of the batch counts: the file is cut back to what was synced, what was written
//! since is written again (a failed sync may have dropped it), and only then new records follow.

use std::fs::{self, File};
use std::io::{self, BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use jiff::Timestamp;

use super::chain::{CheckedCheckpoint, GENESIS, check, hex, seal, seal_checkpoint};
use super::files::{LogFile, Medium, Store, last_lines, list, take_folder};
use super::key::{PublicKey, SigningKey};
use super::record::{Checkpoint, Entry, Parts};
use super::verify::{Broken, Why};
use super::{Error, Options, Retain};

/// Records between two signed checkpoints, at most.
const CHECKPOINT_RECORDS: u64 = 10_000;

/// Unsynced bytes kept for mending, at most; more forces a sync.
const UNSYNCED_LIMIT: usize = 8 << 20;

/// The chain and its open file.
pub(super) struct Journal {
    folder: PathBuf,
    /// Locks the folder while it lives, and syncs it.
    directory: File,
    key: SigningKey,
    rotate_bytes: u64,
    rotate_after: Duration,
    retain: Retain,
    store: Box<dyn Store>,
    file: Box<dyn Medium>,
    path: PathBuf,
    begun: Timestamp,
    /// Whether it is too old, when that was last looked at.
    aged: bool,
    /// How much of the file is synced; `unsynced` follows it.
    synced: u64,
    unsynced: Vec<u8>,
    /// How often `unsynced` began anew.
    syncs: u64,
    position: Position,
    /// A position that is known to be synced.
    kept: Position,
    first: u64,
    first_prev: [u8; 32],
    /// False after an error, until mended.
    sound: bool,
    /// A file that could not be begun, and must go before the chain continues elsewhere.
    leftover: Option<PathBuf>,
    lines: Vec<u8>,
    parts: Parts,
    pub(super) head_sink: Option<super::HeadSink>,
}

/// What was written and not synced at a moment.
pub(super) struct Unsynced {
    file: Box<dyn Medium>,
    syncs: u64,
    length: usize,
    position: Position,
}

impl Unsynced {
    /// Syncs it, while the journal may be written by others.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.file.sync()
    }
}

/// Where the chain stands.
#[derive(Clone, Copy)]
pub(super) struct Position {
    pub(super) seq: u64,
    pub(super) hash: [u8; 32],
    since_checkpoint: u64,
}

/// What was found in the folder at the start.
struct Found {
    file: LogFile,
    length: u64,
    begun: Timestamp,
    position: Position,
    first: u64,
    first_prev: [u8; 32],
}

impl Journal {
    pub(super) fn open(
        folder: &Path,
        options: Options,
        store: Box<dyn Store>,
    ) -> Result<Self, Error> {
        let failed = |source| Error::Folder { path: folder.to_owned(), source };
        let directory = take_folder(folder)?;
        let (files, _strange) = list(folder).map_err(failed)?;
        let key = SigningKey::open(&options.key, files.is_empty())?;
        let (found, mut remarks) = find_end(files, key.public())?;
        let fresh = found.is_none();
        let found = found.unwrap_or_else(|| Found {
            file: LogFile::new(folder, 1),
            length: 0,
            begun: Timestamp::now(),
            position: Position { seq: 0, hash: GENESIS, since_checkpoint: 0 },
            first: 1,
            first_prev: GENESIS,
        });
        remarks.extend(compare_head(options.head, &found, folder));
        let path = found.file.path;
        let file = if fresh { store.create(&path) } else { store.open(&path) }
            .map_err(|source| Error::Folder { path: path.clone(), source })?;
        let mut journal = Self {
            folder: folder.to_owned(),
            directory,
            key,
            rotate_bytes: options.rotate_bytes,
            rotate_after: options.rotate_after,
            retain: options.retain,
            store,
            file,
            path,
            begun: found.begun,
            aged: false,
            synced: found.length,
            unsynced: Vec::new(),
            syncs: 0,
            position: found.position,
            kept: found.position,
            first: found.first,
            first_prev: found.first_prev,
            // Cuts the torn line, and syncs what an earlier process may have left unsynced.
            sound: false,
            leftover: None,
            lines: Vec::new(),
            parts: Parts::default(),
            head_sink: options.head_sink,
        };
        let detail = (!remarks.is_empty()).then(|| remarks.join("; "));
        journal.checkpoint(detail.as_deref()).map_err(failed)?;
        journal.directory.sync_all().map_err(failed)?;
        journal.remove_old();
        Ok(journal)
    }

    /// The newest position that is known to be synced.
    pub(super) const fn synced_position(&mut self) -> Position {
        if self.unsynced.is_empty() {
            self.kept = self.position;
        }
        self.kept
    }

    pub(super) const fn needs_checkpoint(&self) -> bool {
        self.position.since_checkpoint > 0
    }

    pub(super) const fn needs_sync(&self) -> bool {
        !self.unsynced.is_empty()
    }

    /// Whether the next plain append has to wait for the disk.
    pub(super) fn next_syncs(&self) -> bool {
        !self.sound || self.unsynced.len() > UNSYNCED_LIMIT || self.rotation_due()
    }

    /// Appends entries as one write, and syncs if `durable`. On an error none of them counts.
    /// Their numbers follow the position before in order.
    pub(super) fn append<'a>(
        &mut self,
        entries: impl Iterator<Item = &'a Entry>,
        durable: bool,
    ) -> io::Result<Position> {
        self.mend()?;
        self.rotate_if_due()?;
        let start = self.position;
        let mut now = start;
        self.lines.clear();
        for entry in entries {
            now.seq += 1;
            entry.write(now.seq, &now.hash, &mut self.parts);
            now.hash = seal(&self.parts, &mut self.lines);
            now.since_checkpoint += 1;
        }
        if now.since_checkpoint >= CHECKPOINT_RECORDS {
            now = self.push_checkpoint(now, None)?;
        }
        self.put(now, durable || self.unsynced.len() > UNSYNCED_LIMIT)?;
        Ok(start)
    }

    /// Writes and syncs a checkpoint.
    pub(super) fn checkpoint(&mut self, detail: Option<&str>) -> io::Result<()> {
        self.mend()?;
        self.lines.clear();
        let now = self.push_checkpoint(self.position, detail)?;
        self.put(now, true)
    }

    /// The first checkpoint after trouble, once all works that an append needs.
    pub(super) fn go_on(&mut self, detail: &str) -> io::Result<()> {
        self.mend()?;
        self.rotate_if_due()?;
        self.checkpoint(Some(detail))
    }

    /// Syncs what is written.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        self.mend()?;
        self.sync_sound()
    }

    /// What is to be synced, for who does so without holding the journal.
    pub(super) fn unsynced(&self) -> io::Result<Unsynced> {
        let file = self.file.again()?;
        let (syncs, length, position) = (self.syncs, self.unsynced.len(), self.position);
        Ok(Unsynced { file, syncs, length, position })
    }

    /// Takes note of a sync that happened outside.
    pub(super) fn note_synced(&mut self, done: &Unsynced, outcome: &io::Result<()>) {
        if done.syncs != self.syncs {
            // It has been synced or written again since.
            return;
        }
        if outcome.is_err() {
            self.sound = false;
            return;
        }
        self.synced += done.length as u64;
        self.unsynced.drain(..done.length.min(self.unsynced.len()));
        self.syncs += 1;
        self.kept = done.position;
    }

    fn sync_sound(&mut self) -> io::Result<()> {
        if let Err(error) = self.file.sync() {
            self.sound = false;
            return Err(error);
        }
        self.synced += self.unsynced.len() as u64;
        self.unsynced.clear();
        self.syncs += 1;
        Ok(())
    }

    fn push_checkpoint(&mut self, now: Position, detail: Option<&str>) -> io::Result<Position> {
        let checkpoint = Checkpoint {
            time: Timestamp::now(),
            detail,
            first: self.first,
            first_prev: self.first_prev,
        };
        let seq = now.seq + 1;
        let (key, parts, lines) = (&self.key, &mut self.parts, &mut self.lines);
        let hash = seal_checkpoint(&checkpoint, seq, &now.hash, key, parts, lines)?;
        Ok(Position { seq, hash, since_checkpoint: 0 })
    }

    /// Writes `lines`; moves to `now` only if they, and their sync where one is due, succeeded.
    fn put(&mut self, now: Position, sync: bool) -> io::Result<()> {
        let before = self.unsynced.len();
        if let Err(error) = self.file.write(&self.lines) {
            self.sound = false;
            return Err(error);
        }
        self.unsynced.extend_from_slice(&self.lines);
        if sync && let Err(error) = self.sync_sound() {
            self.unsynced.truncate(before);
            return Err(error);
        }
        self.position = now;
        Ok(())
    }

    /// After an error: opens the file again and puts back exactly what counts.
    fn mend(&mut self) -> io::Result<()> {
        if self.sound {
            return Ok(());
        }
        if let Some(path) = &self.leftover {
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => self.leftover = None,
            }
        }
        self.file = self.store.open(&self.path)?;
        self.file.cut(self.synced)?;
        if !self.unsynced.is_empty() {
            self.file.write(&self.unsynced)?;
        }
        self.sync_sound()?;
        self.sound = true;
        Ok(())
    }

    fn rotation_due(&self) -> bool {
        self.aged || self.synced + self.unsynced.len() as u64 >= self.rotate_bytes
    }

    /// Sees whether the file is old enough to be followed by another. The clock costs too much to be
    /// asked for every record.
    pub(super) fn look_at_age(&mut self) {
        let age = SystemTime::from(Timestamp::now())
            .duration_since(SystemTime::from(self.begun))
            .unwrap_or_default();
        self.aged = age >= self.rotate_after;
    }

    fn rotate_if_due(&mut self) -> io::Result<()> {
        if !self.rotation_due() {
            return Ok(());
        }
        self.sync_sound()?;
        let next = LogFile::new(&self.folder, self.position.seq + 1);
        let (first, first_prev) = (self.first, self.first_prev);
        (self.first, self.first_prev) = self.first_kept(next.first)?;
        if let Err(error) = self.begin(&next.path) {
            (self.first, self.first_prev) = (first, first_prev);
            self.leftover = Some(next.path);
            self.sound = false;
            return Err(error);
        }
        self.remove_old();
        Ok(())
    }

    /// Opens a new file with a signed checkpoint as its first record.
    fn begin(&mut self, path: &Path) -> io::Result<()> {
        self.lines.clear();
        let now = self.push_checkpoint(self.position, None)?;
        let mut file = self.store.create(path)?;
        file.write(&self.lines)?;
        file.sync()?;
        self.directory.sync_all()?;
        self.file = file;
        path.clone_into(&mut self.path);
        self.begun = Timestamp::now();
        self.aged = false;
        self.synced = self.lines.len() as u64;
        self.unsynced.clear();
        self.syncs += 1;
        self.position = now;
        Ok(())
    }

    /// Which record is the first to keep once a file begins with `next`, and the hash before it.
    fn first_kept(&self, next: u64) -> io::Result<(u64, [u8; 32])> {
        let (mut files, _strange) = list(&self.folder)?;
        files.retain(|file| file.first >= self.first && file.first < next);
        let outlived = match self.retain {
            Retain::Everything => 0,
            Retain::Files(count) => (files.len() + 1).saturating_sub(count.max(1)),
            Retain::For(time) => {
                let now = SystemTime::now();
                let mut outlived = 0;
                for file in &files {
                    let age = now.duration_since(fs::metadata(&file.path)?.modified()?);
                    if age.unwrap_or_default() <= time {
                        break;
                    }
                    outlived += 1;
                }
                outlived
            }
        };
        if outlived == 0 {
            return Ok((self.first, self.first_prev));
        }
        let Some(file) = files.get(outlived) else {
            return Ok((next, self.position.hash));
        };
        let line = first_line(&file.path)?;
        match check(&line, self.key.public()) {
            Ok(checked) => Ok((file.first, checked.prev)),
            Err((_seq, why)) => Err(io::Error::new(io::ErrorKind::InvalidData, why.to_string())),
        }
    }

    /// Removes the files that a signed checkpoint has declared as not kept, oldest first.
    fn remove_old(&self) {
        let old = match list(&self.folder) {
            Ok((files, _strange)) => files.into_iter().filter(|file| file.first < self.first),
            Err(error) => {
                tracing::warn!(%error, "audit: old files cannot be listed");
                return;
            }
        };
        for file in old {
            if let Err(error) = fs::remove_file(&file.path) {
                // The next rotation or start tries again; a gap must not form meanwhile.
                tracing::warn!(%error, path = %file.path.display(), "audit: an old file stays");
                return;
            }
        }
    }
}

/// Looks for the last whole record. Gives it, and remarks on what was cut or dropped.
fn find_end(
    mut files: Vec<LogFile>,
    key: &PublicKey,
) -> Result<(Option<Found>, Vec<String>), Error> {
    let mut remarks = Vec::new();
    while let Some(file) = files.pop() {
        let failed = |source| Error::Folder { path: file.path.clone(), source };
        let (mut lines, torn) = last_lines(&file.path, 1).map_err(failed)?;
        if torn > 0 {
            let name = file.path.file_name().unwrap_or_default().display();
            remarks.push(format!("cut {torn} bytes of a torn line from {name}"));
        }
        let Some(last) = lines.pop() else {
            // The process ended while it began this file.
            fs::remove_file(&file.path).map_err(failed)?;
            continue;
        };
        let length = fs::metadata(&file.path).map_err(failed)?.len() - torn;
        let broken = |line, (seq, why): (Option<u64>, Why)| Broken {
            file: file.path.clone(),
            line,
            seq,
            why,
        };
        let opening = first_line(&file.path).map_err(failed)?;
        let start = check(&opening, key).map_err(|failure| broken(1, failure))?;
        let end = check(&last, key).map_err(|failure| broken(0, failure))?;
        let Some(CheckedCheckpoint { first, first_prev, .. }) = start.checkpoint else {
            return Err(broken(1, (Some(start.seq), Why::Signature)).into());
        };
        let position = Position {
            seq: end.seq,
            hash: end.hash,
            since_checkpoint: u64::from(end.checkpoint.is_none()),
        };
        let begun = begun(&opening);
        return Ok((Some(Found { file, length, begun, position, first, first_prev }), remarks));
    }
    Ok((None, remarks))
}

/// When a file was begun: the time of its first record.
fn begun(opening: &[u8]) -> Timestamp {
    serde_json::from_slice::<serde_json::Value>(opening)
        .ok()
        .and_then(|record| record.get("time")?.as_str()?.parse().ok())
        .unwrap_or_else(Timestamp::now)
}

fn first_line(path: &Path) -> io::Result<Vec<u8>> {
    let mut line = Vec::new();
    let mut reader = io::Read::take(BufReader::new(File::open(path)?), super::files::LINE_LIMIT);
    reader.read_until(b'\n', &mut line)?;
    line.pop();
    Ok(line)
}

/// What an operator must know when the log does not reach what was synced before.
fn compare_head(head: Option<(u64, [u8; 32])>, found: &Found, folder: &Path) -> Option<String> {
    let (seq, hash) = head?;
    let Position { seq: last, hash: last_hash, .. } = found.position;
    let remark = if last < seq {
        format!("records are missing: {seq} was synced before, the log ends at {last}")
    } else if last == seq && last_hash != hash {
        format!("record {seq} is not the one that was synced before ({})", hex(&hash))
    } else {
        return None;
    };
    tracing::error!(folder = %folder.display(), "audit: {remark}");
    Some(remark)
}
