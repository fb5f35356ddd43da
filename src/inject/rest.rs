//! What of an answer still says a value, however it is encoded: the second look, after the scrubber.
//!
//! Takes what is to pass, piece by piece; says whether a value stands in it. Base64, hexadecimal,
//! percent and backslash escapes and UTF-16 are undone, one in the other up to three deep. The end of
//! what passed is looked at again with what follows, so that a cut hides nothing.

use super::Injected;
use crate::fingerprint::{FingerprintKey, Trace};
use crate::inspect::secret::{Known, Owner, Scanner};
use std::fmt;
use std::sync::Arc;
use zeroize::Zeroizing;

/// So much of what passed is looked at again, at least and at most.
const LEAST: usize = 1 << 10;
const MOST: usize = 8 << 10;
/// Letters that a byte is written with where two encodings are around it.
const LETTERS: usize = 8;

/// A value as it is looked for.
#[derive(Clone, Debug)]
pub(super) struct Sought {
    key: Arc<FingerprintKey>,
    known: Arc<Known>,
    length: usize,
}

impl Sought {
    /// The value only: its placeholder is the agent's.
    pub(super) fn new(value: &str, key: &FingerprintKey) -> Self {
        let key = Arc::new(FingerprintKey::new(key.of_parts(&[b"injected", b"sought"]).as_bytes()));
        let trace = key.trace(value.as_bytes()).map(|trace| (trace, Owner::Issued(0)));
        Self { known: Arc::new(Known::new(trace)), key, length: value.len().min(Trace::LONGEST) }
    }
}

/// The second look at one answer.
pub struct Rest {
    scanner: Scanner,
    overlap: usize,
    passed: Zeroizing<Vec<u8>>,
}

impl Rest {
    /// For an answer that may say none of these; nothing where there are none.
    pub fn of(kept_back: &[Arc<Injected>]) -> Option<Self> {
        let first = kept_back.first()?;
        let scanner = Scanner::for_known(first.sought.key.clone());
        let scanner = kept_back
            .iter()
            .fold(scanner, |scanner, injected| scanner.and(injected.sought.known.clone()));
        let longest = kept_back.iter().map(|injected| injected.sought.length).max();
        let overlap = (longest.unwrap_or_default() * LETTERS).clamp(LEAST, MOST);
        Some(Self { scanner, overlap, passed: Zeroizing::new(Vec::new()) })
    }

    /// Whether a text that is there at once says a value.
    pub fn says(&self, text: &[u8]) -> bool {
        !self.scanner.sightings(text).is_empty()
    }

    /// Whether what comes next says a value, together with what came before it.
    pub fn goes_on(&mut self, piece: &[u8]) -> bool {
        self.passed.extend_from_slice(piece);
        let says = self.says(&self.passed);
        let beyond = self.passed.len().saturating_sub(self.overlap);
        self.passed.drain(..beyond);
        says
    }
}

impl fmt::Debug for Rest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rest").finish_non_exhaustive()
    }
}
