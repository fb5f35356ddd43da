//! Checks a log folder: every byte, the order, the gaps, the signatures, and its end.
//!
//! Takes the folder, the public key, and the position that the store outside knows as synced.
//! Returns a summary, or the first record that is not as it was written. Records after the last
//! checkpoint are proven only by the position outside.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::chain::{Checked, GENESIS, check};
use super::files::{Line, LogFile, list, read_line};
use super::key::PublicKey;

/// A log that is being written may show half a line for a moment, or lose an old file.
const ATTEMPTS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(20);

/// A whole log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// How many files.
    pub files: usize,
    /// The first record kept, 0 in an empty log.
    pub first: u64,
    /// The last record, 0 in an empty log.
    pub last: u64,
    /// The hash of the last record.
    pub hash: [u8; 32],
    /// How many checkpoints with a good signature.
    pub checkpoints: u64,
    /// Records after the last of them.
    pub unsigned: u64,
    /// What the log says about itself: torn lines, refusals, missing records.
    pub notices: Vec<Notice>,
}

/// A remark in a signed checkpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// The checkpoint.
    pub seq: u64,
    /// What it says.
    pub detail: String,
}

/// The first thing that is wrong.
#[derive(Debug, thiserror::Error)]
pub struct Broken {
    /// In which file, or the folder.
    pub file: PathBuf,
    /// In which line, from 1; 0 where it is none.
    pub line: u64,
    /// Which record, as it says or as expected there.
    pub seq: Option<u64>,
    /// What is wrong.
    pub why: Why,
}

impl fmt::Display for Broken {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.file.display())?;
        if self.line > 0 {
            write!(formatter, ":{}", self.line)?;
        }
        if let Some(seq) = self.seq {
            write!(formatter, ": record {seq}")?;
        }
        write!(formatter, ": {}", self.why)
    }
}

/// What can be wrong with a log.
#[derive(Debug, thiserror::Error)]
pub enum Why {
    /// The system does not give it.
    #[error("cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// Another file among the log's.
    #[error("does not belong here")]
    Strange,
    /// Nothing in it.
    #[error("has no records")]
    Empty,
    /// No newline at the end.
    #[error("the last line is torn")]
    Torn,
    /// Longer than any record.
    #[error("the line is longer than any record")]
    TooLong,
    /// Not an object.
    #[error("is not a JSON object")]
    NotJson,
    /// Bytes changed, though perhaps not the meaning.
    #[error("is not canonical JSON")]
    NotCanonical,
    /// A field that each record has.
    #[error("has no valid `{0}`")]
    Field(&'static str),
    /// Changed.
    #[error("its hash does not fit its content")]
    Hash,
    /// Deleted, swapped or doubled.
    #[error("expected record {expected} here")]
    Order {
        /// What should stand there.
        expected: u64,
    },
    /// The record before is another one.
    #[error("its `prev` is not the hash of the record before")]
    Prev,
    /// The name of the file says otherwise.
    #[error("the file's name says that it begins with record {expected}")]
    Name {
        /// What the name says.
        expected: u64,
    },
    /// Not signed with this key.
    #[error("its signature is not by this log's key")]
    Signature,
    /// Deleted, and no checkpoint says so.
    #[error("the records before it are gone, and no signed checkpoint says so")]
    Start,
    /// The tail was cut.
    #[error("the log ends before record {seq}, which was synced")]
    Short {
        /// What the store outside knows.
        seq: u64,
    },
    /// The tail was replaced.
    #[error("is not the record that was synced")]
    Head,
}

/// Checks a log, also one that is being written. `head` is the position that was stored outside.
///
/// # Errors
/// The first record that is wrong, and why.
pub fn verify(
    folder: &Path,
    key: &PublicKey,
    head: Option<(u64, [u8; 32])>,
) -> Result<Summary, Broken> {
    let mut attempt = 1;
    loop {
        let result = Walk::new(key, head).folder(folder);
        let moving = match &result {
            Err(Broken { why: Why::Torn | Why::Empty, .. }) => true,
            Err(Broken { why: Why::Unreadable(error), .. }) => {
                error.kind() == io::ErrorKind::NotFound
            }
            _ => false,
        };
        if !moving || attempt == ATTEMPTS {
            return result;
        }
        attempt += 1;
        thread::sleep(PAUSE);
    }
}

/// One way through the log.
struct Walk<'a> {
    key: &'a PublicKey,
    head: Option<(u64, [u8; 32])>,
    summary: Summary,
    /// The `prev` of each file's first record.
    starts: BTreeMap<u64, [u8; 32]>,
    /// The latest signed word on which record is the first that must be there.
    kept: Option<(u64, [u8; 32])>,
}

impl<'a> Walk<'a> {
    const fn new(key: &'a PublicKey, head: Option<(u64, [u8; 32])>) -> Self {
        Self {
            key,
            head,
            summary: Summary {
                files: 0,
                first: 0,
                last: 0,
                hash: GENESIS,
                checkpoints: 0,
                unsigned: 0,
                notices: Vec::new(),
            },
            starts: BTreeMap::new(),
            kept: None,
        }
    }

    fn folder(mut self, folder: &Path) -> Result<Summary, Broken> {
        let at = |file: &Path, why| Broken { file: file.to_owned(), line: 0, seq: None, why };
        let (files, strange) = list(folder).map_err(|error| at(folder, error.into()))?;
        if let Some(path) = strange.first() {
            return Err(at(path, Why::Strange));
        }
        for file in &files {
            self.file(file)?;
        }
        self.summary.files = files.len();
        if let Some(file) = files.first() {
            self.check_start(file)?;
        }
        match self.head {
            Some((seq, _)) if seq > self.summary.last => {
                let file = files.last().map_or(folder, |file| &file.path);
                Err(Broken { seq: Some(seq), ..at(file, Why::Short { seq }) })
            }
            _ => Ok(self.summary),
        }
    }

    fn file(&mut self, file: &LogFile) -> Result<(), Broken> {
        let mut number = 0;
        let broken = |line, seq, why| Broken { file: file.path.clone(), line, seq, why };
        let open = File::open(&file.path).map_err(|error| broken(0, None, error.into()))?;
        let mut reader = BufReader::with_capacity(1 << 16, open);
        let mut line = Vec::new();
        loop {
            number += 1;
            let next = (self.summary.last > 0).then_some(self.summary.last + 1);
            let read = read_line(&mut reader, &mut line)
                .map_err(|error| broken(number, next, error.into()))?;
            let why = match read {
                Line::Whole => {
                    let checked = check(&line, self.key)
                        .map_err(|(seq, why)| broken(number, seq.or(next), why))?;
                    let seq = checked.seq;
                    if number == 1 {
                        self.begin(file, &checked).map_err(|why| broken(number, Some(seq), why))?;
                    }
                    self.record(checked).map_err(|why| broken(number, Some(seq), why))?;
                    continue;
                }
                Line::End if number == 1 => Why::Empty,
                Line::End => return Ok(()),
                Line::Torn => Why::Torn,
                Line::TooLong => Why::TooLong,
            };
            return Err(broken(number, next, why));
        }
    }

    fn begin(&mut self, file: &LogFile, checked: &Checked) -> Result<(), Why> {
        if self.summary.last == 0 {
            // The first file may begin anywhere, if a later checkpoint says so.
            self.summary.first = checked.seq;
            self.summary.last = checked.seq.saturating_sub(1);
            self.summary.hash = checked.prev;
        } else if checked.seq == self.summary.last + 1 && checked.seq != file.first {
            return Err(Why::Name { expected: file.first });
        }
        if self.starts.is_empty() && checked.seq != file.first {
            return Err(Why::Name { expected: file.first });
        }
        self.starts.insert(checked.seq, checked.prev);
        Ok(())
    }

    fn record(&mut self, checked: Checked) -> Result<(), Why> {
        let expected = self.summary.last + 1;
        if checked.seq != expected {
            return Err(Why::Order { expected });
        }
        if checked.prev != self.summary.hash {
            return Err(Why::Prev);
        }
        if self.head.is_some_and(|(seq, hash)| seq == checked.seq && hash != checked.hash) {
            return Err(Why::Head);
        }
        self.summary.last = checked.seq;
        self.summary.hash = checked.hash;
        self.summary.unsigned += 1;
        if let Some(checkpoint) = checked.checkpoint {
            self.summary.unsigned = 0;
            self.summary.checkpoints += 1;
            self.kept = Some((checkpoint.first, checkpoint.first_prev));
            if let Some(detail) = checkpoint.detail {
                self.summary.notices.push(Notice { seq: checked.seq, detail });
            }
        }
        Ok(())
    }

    /// A log begins with record 1, or where a signed checkpoint says; files that it has declared
    /// as not kept may still be there.
    fn check_start(&self, file: &LogFile) -> Result<(), Broken> {
        let first = self.summary.first;
        let whole = match self.kept {
            _ if first == 1 => self.starts.get(&1) == Some(&GENESIS),
            Some((kept, prev)) => first <= kept && self.starts.get(&kept) == Some(&prev),
            None => false,
        };
        if whole {
            return Ok(());
        }
        Err(Broken { file: file.path.clone(), line: 1, seq: Some(first), why: Why::Start })
    }
}
