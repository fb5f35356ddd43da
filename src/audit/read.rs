//! Reads records for people: the last ones, one request's, and new ones as they come.
//!
//! Takes the folder, returns records as JSON values; proves nothing (that is `verify`). A line that
//! is no JSON is returned as a string, so that an operator sees it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufReader, Read as _, Seek as _, SeekFrom};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use super::files::{LINE_LIMIT, Line, LogFile, last_lines, list, read_line};

/// How often [`Follow::next`] looks.
pub const FOLLOW_INTERVAL: Duration = Duration::from_millis(200);

/// Records that one answer carries at most.
const ANSWER_LIMIT: usize = 10_000;

/// The last `count` records, oldest first; at most 10,000.
///
/// # Errors
/// When the folder or a file cannot be read.
pub fn tail(folder: &Path, count: usize) -> io::Result<Vec<Value>> {
    let count = count.min(ANSWER_LIMIT);
    let mut records = VecDeque::new();
    let (files, _strange) = list(folder)?;
    for file in files.iter().rev() {
        let missing = count.saturating_sub(records.len());
        if missing == 0 {
            break;
        }
        let (lines, _torn) = last_lines(&file.path, missing)?;
        for line in lines.iter().rev() {
            records.push_front(parse(line));
        }
    }
    Ok(records.into())
}

/// What to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// One record.
    Seq(u64),
    /// All records of one request.
    Request(String),
}

/// The records that a query names, oldest first; at most 10,000.
///
/// # Errors
/// When the folder or a file cannot be read.
pub fn find(folder: &Path, query: &Query) -> io::Result<Vec<Value>> {
    let (mut files, _strange) = list(folder)?;
    if let Query::Seq(seq) = query {
        let after = files.partition_point(|file| file.first <= *seq);
        files.truncate(after);
        files.drain(..after.saturating_sub(1));
    }
    let mut found = Vec::new();
    walk(
        &files,
        |line| may_match(query, line),
        |record| {
            let matches = match query {
                Query::Seq(seq) => record.get("seq").and_then(Value::as_u64) == Some(*seq),
                Query::Request(id) => {
                    record.get("request_id").and_then(Value::as_str) == Some(id.as_str())
                }
            };
            if matches {
                found.push(record);
            }
            if found.len() >= ANSWER_LIMIT || (matches && matches!(query, Query::Seq(_))) {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    )?;
    Ok(found)
}

/// Hands over every record with a text in it, oldest first.
///
/// # Errors
/// When the folder or a file cannot be read.
pub fn each(folder: &Path, containing: &str, mut take: impl FnMut(Value)) -> io::Result<()> {
    let (files, _strange) = list(folder)?;
    let finder = memchr::memmem::Finder::new(containing.as_bytes());
    walk(
        &files,
        |line| finder.find(line).is_some(),
        |record| {
            take(record);
            ControlFlow::Continue(())
        },
    )
}

/// Parses the lines that may matter, until there is enough.
fn walk(
    files: &[LogFile],
    wanted: impl Fn(&[u8]) -> bool,
    mut take: impl FnMut(Value) -> ControlFlow<()>,
) -> io::Result<()> {
    let mut line = Vec::new();
    for file in files {
        let mut reader = BufReader::with_capacity(1 << 16, File::open(&file.path)?);
        while let Line::Whole = read_line(&mut reader, &mut line)? {
            if wanted(&line) && take(parse(&line)).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Saves parsing the lines that cannot match. An id with escapes in it is compared parsed.
fn may_match(query: &Query, line: &[u8]) -> bool {
    let Ok(line) = std::str::from_utf8(line) else {
        return true;
    };
    match query {
        Query::Seq(seq) => line.contains(&format!("\"seq\":{seq},")),
        Query::Request(id) => id.contains(['"', '\\']) || line.contains(id.as_str()),
    }
}

/// Reads records as they are written, across rotations.
#[derive(Debug)]
pub struct Follow {
    folder: PathBuf,
    last: u64,
    file: Option<LogFile>,
    offset: u64,
}

impl Follow {
    /// Follows a log from the record after `seq`.
    pub fn after(folder: impl Into<PathBuf>, seq: u64) -> Self {
        Self { folder: folder.into(), last: seq, file: None, offset: 0 }
    }

    /// Waits for new records, looking every 200 ms.
    ///
    /// # Errors
    /// When the folder or a file cannot be read.
    pub async fn next(&mut self) -> io::Result<Vec<Value>> {
        loop {
            let records = self.poll()?;
            if !records.is_empty() {
                return Ok(records);
            }
            tokio::time::sleep(FOLLOW_INTERVAL).await;
        }
    }

    /// The records since the last look; perhaps none, and not all at once after a long pause.
    ///
    /// # Errors
    /// When the folder or a file cannot be read.
    pub fn poll(&mut self) -> io::Result<Vec<Value>> {
        loop {
            if self.file.is_none() && !self.choose()? {
                return Ok(Vec::new());
            }
            let Some(file) = self.file.clone() else {
                return Ok(Vec::new());
            };
            // Listed before reading: what this file gets is complete once a newer one is there.
            let newer = list(&self.folder)?.0.iter().any(|other| other.first > file.first);
            let records = match self.read(&file) {
                Ok(records) => records,
                Err(error) if error.kind() == io::ErrorKind::NotFound && newer => Vec::new(),
                Err(error) => return Err(error),
            };
            if !records.is_empty() || !newer {
                return Ok(records);
            }
            self.file = self.newer_than(file.first)?;
            self.offset = 0;
        }
    }

    /// Picks the file where the next record is, or will be.
    fn choose(&mut self) -> io::Result<bool> {
        let (mut files, _strange) = list(&self.folder)?;
        let after = files.partition_point(|file| file.first <= self.last + 1);
        let index = after.saturating_sub(1);
        self.offset = 0;
        self.file = (index < files.len()).then(|| files.swap_remove(index));
        Ok(self.file.is_some())
    }

    fn newer_than(&self, first: u64) -> io::Result<Option<LogFile>> {
        Ok(list(&self.folder)?.0.into_iter().find(|file| file.first > first))
    }

    fn read(&mut self, file: &LogFile) -> io::Result<Vec<Value>> {
        let mut open = File::open(&file.path)?;
        if open.metadata()?.len() < self.offset {
            // The writer cut records back that it could not sync.
            self.offset = 0;
        }
        open.seek(SeekFrom::Start(self.offset))?;
        let mut bytes = Vec::new();
        open.take(LINE_LIMIT).read_to_end(&mut bytes)?;
        let mut records = Vec::new();
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let Some(line) = line.strip_suffix(b"\n") else {
                break;
            };
            self.offset += line.len() as u64 + 1;
            let record = parse(line);
            match record.get("seq").and_then(Value::as_u64) {
                Some(seq) if seq <= self.last => continue,
                Some(seq) => self.last = seq,
                None => {}
            }
            records.push(record);
        }
        Ok(records)
    }
}

fn parse(line: &[u8]) -> Value {
    serde_json::from_slice(line)
        .unwrap_or_else(|_error| Value::String(String::from_utf8_lossy(line).into_owned()))
}
