//! The log's files: their names, how they are opened, and what stands at their ends.
//!
//! Takes paths, returns lines and open files; refuses lines over a limit. [`Store`] and [`Medium`]
//! are what the journal needs of a disk, so that a test can hand it one that fails.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, BufRead, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use super::Error;

/// No record is longer: all its strings and lists are capped.
pub(super) const LINE_LIMIT: u64 = 16 << 20;

/// How much is read at a time when looking for lines from the end.
const BLOCK: u64 = 64 << 10;

/// One file of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LogFile {
    pub(super) first: u64,
    pub(super) path: PathBuf,
}

impl LogFile {
    pub(super) fn new(folder: &Path, first: u64) -> Self {
        Self { first, path: folder.join(format!("audit-{first:012}.jsonl")) }
    }
}

/// The log's files in order, and any other `.jsonl` that has no business there.
pub(super) fn list(folder: &Path) -> io::Result<(Vec<LogFile>, Vec<PathBuf>)> {
    let mut files = Vec::new();
    let mut strange = Vec::new();
    for item in fs::read_dir(folder)? {
        let path = item?.path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        let first = path
            .file_stem()
            .and_then(|stem| stem.to_str()?.strip_prefix("audit-")?.parse().ok())
            .map(|first| LogFile::new(folder, first))
            .filter(|file| file.path == path);
        match first {
            Some(file) => files.push(file),
            None => strange.push(path),
        }
    }
    files.sort_unstable_by_key(|file| file.first);
    strange.sort_unstable();
    Ok((files, strange))
}

/// Makes the folder or narrows it to mode 0700, and locks it while the returned handle lives.
pub(super) fn take_folder(folder: &Path) -> Result<File, Error> {
    let failed = |source| Error::Folder { path: folder.to_owned(), source };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    fs::set_permissions(folder, Permissions::from_mode(0o700)).map_err(failed)?;
    let handle = File::open(folder).map_err(failed)?;
    match flock(&handle, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(handle),
        Err(Errno::WOULDBLOCK) => Err(Error::Busy { path: folder.to_owned() }),
        Err(errno) => Err(failed(errno.into())),
    }
}

/// What reading one line gave.
pub(super) enum Line {
    /// A whole line, without its newline.
    Whole,
    /// Bytes without a newline at the end of the file.
    Torn,
    /// More than any record has.
    TooLong,
    End,
}

pub(super) fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    reader.take(LINE_LIMIT).read_until(b'\n', line)?;
    Ok(match line.last() {
        None => Line::End,
        Some(b'\n') => {
            line.pop();
            Line::Whole
        }
        Some(_) if line.len() as u64 == LINE_LIMIT => Line::TooLong,
        Some(_) => Line::Torn,
    })
}

/// The last `count` whole lines of a file, and how many bytes stand after the last newline.
pub(super) fn last_lines(path: &Path, count: usize) -> io::Result<(Vec<Vec<u8>>, u64)> {
    let mut file = File::open(path)?;
    let mut start = file.metadata()?.len();
    let limit = LINE_LIMIT.saturating_mul(count.saturating_add(1) as u64);
    let mut bytes = Vec::new();
    let mut newlines = 0;
    // One newline more than lines are wanted shows where the first of them begins.
    while start > 0 && newlines <= count {
        let length = start.min(BLOCK.max(bytes.len() as u64));
        start -= length;
        if bytes.len() as u64 > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a line is too long"));
        }
        file.seek(SeekFrom::Start(start))?;
        let mut block = Vec::new();
        (&mut file).take(length).read_to_end(&mut block)?;
        newlines += block.split(|byte| *byte == b'\n').count() - 1;
        block.append(&mut bytes);
        bytes = block;
    }
    let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let torn = lines.pop().map_or(0, |rest| rest.len() as u64);
    if start > 0 && !lines.is_empty() {
        lines.remove(0);
    }
    let skip = lines.len().saturating_sub(count);
    Ok((lines.into_iter().skip(skip).map(<[u8]>::to_vec).collect(), torn))
}

/// Where the journal's files live.
pub(super) trait Store: Send {
    /// Makes a new, empty file, in place of one that was left unfinished.
    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>>;
    /// Opens a file that must be there.
    fn open(&self, path: &Path) -> io::Result<Box<dyn Medium>>;
}

/// One open file, written only at its end.
pub(super) trait Medium: Send {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    /// The same file once more, to be synced while this one is written.
    fn again(&self) -> io::Result<Box<dyn Medium>>;
    /// Cuts the file back to a length.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

/// The real one.
pub(super) struct Disk;

impl Store for Disk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        file.set_len(0)?;
        Ok(Box::new(DiskFile { file, path: path.to_owned() }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn Medium>> {
        let file = OpenOptions::new().append(true).open(path)?;
        Ok(Box::new(DiskFile { file, path: path.to_owned() }))
    }
}

/// An open file, and where it has to be.
struct DiskFile {
    file: File,
    path: PathBuf,
}

impl Medium for DiskFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        // A file that was removed or moved takes bytes gladly, and the log has none of them; what
        // is not synced is kept until it is, and written again.
        let (here, there) = (self.file.metadata()?, fs::metadata(&self.path)?);
        if (here.dev(), here.ino()) != (there.dev(), there.ino()) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the file was moved away"));
        }
        self.file.sync_data()
    }

    fn again(&self) -> io::Result<Box<dyn Medium>> {
        Ok(Box::new(Self { file: self.file.try_clone()?, path: self.path.clone() }))
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        // Setting a length also lengthens: zeros would stand where records were.
        if self.file.metadata()?.len() < length {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "records were cut off the file",
            ));
        }
        self.file.set_len(length)
    }
}
