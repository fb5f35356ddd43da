//! A text that comes in pieces, scanned as it comes.
//!
//! Takes the pieces; returns each secret once, however it was cut. The end of what was seen is kept and
//! scanned again with what follows; a secret longer than that, in the form in which it stands there, is
//! not found across pieces. The memory is bounded, and the work for small pieces as well.

use super::{Scanner, Sighting, What};
use crate::fingerprint::Fingerprint;
use std::collections::HashSet;
use zeroize::Zeroizing;

/// As much of what was seen is kept: four letters for each byte of the longest secret.
const KEPT: usize = 8 << 10;
/// So many secrets are told of one text; whoever lets more of them pass is told no more.
const TOLD: usize = 4_096;
/// Less than this is put by until more comes.
const LEAST: usize = 1 << 10;

/// The scan of one text that comes in pieces.
#[derive(Debug)]
pub struct Stream {
    scanner: Scanner,
    /// What is scanned again, and after it what has not been scanned.
    kept: Zeroizing<Vec<u8>>,
    fresh: usize,
    /// How much of the text is gone from it.
    gone: usize,
    told: HashSet<Fingerprint>,
}

impl Stream {
    /// Nothing has come yet.
    pub fn new(scanner: Scanner) -> Self {
        Self { scanner, kept: Zeroizing::new(Vec::new()), fresh: 0, gone: 0, told: HashSet::new() }
    }

    /// What comes next. What is found may have begun in earlier pieces.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Sighting> {
        self.kept.extend_from_slice(bytes);
        self.fresh += bytes.len();
        if self.fresh < LEAST { Vec::new() } else { self.scan(false) }
    }

    /// The text has come to its end.
    pub fn end(&mut self) -> Vec<Sighting> {
        self.scan(true)
    }

    fn scan(&mut self, is_end: bool) -> Vec<Sighting> {
        let mut found = self.scanner.scan(&self.kept, self.gone, !is_end);
        found.retain(|sighting| {
            let is_new = self.told.len() < TOLD && self.told.insert(sighting.trace.fingerprint);
            is_new || sighting.what == What::Crowded
        });
        let beyond = self.kept.len().saturating_sub(KEPT);
        self.kept.drain(..beyond);
        self.gone += beyond;
        self.fresh = 0;
        found
    }
}
