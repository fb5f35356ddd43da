//! Secrets in a text: found the same however the text is cut.

use holdgate::fingerprint::FingerprintKey;
use holdgate::inspect::secret::{Known, Owner, Scanner, Sighting, Stream};
use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

/// A secret that is known, for the fuzzer to come upon.
const KNOWN: &[u8] = b"known-secret-of-32-bytes-in-all.";
/// As much of a text as a stream keeps; what is longer may be cut by it.
const KEPT: usize = 8 << 10;

fn scanner() -> &'static Scanner {
    static SCANNER: OnceLock<Scanner> = OnceLock::new();
    SCANNER.get_or_init(|| {
        let key = Arc::new(FingerprintKey::new(b"fuzz"));
        let known = key.trace(KNOWN).map(|trace| (trace, Owner::Issued(0)));
        Scanner::new(key).expect("a scanner").and(Arc::new(Known::new(known)))
    })
}

/// Scans the bytes whole, and in pieces whose length the first byte says.
pub fn secret(data: &[u8]) {
    let Some((cut, text)) = data.split_first() else { return };
    let text = &text[..text.len().min(KEPT)];
    let whole = told(&scanner().sightings(text));
    let mut stream = Stream::new(scanner().clone());
    let pieces = text.chunks(usize::from(*cut) * 8 + 1);
    let mut found: Vec<Sighting> = pieces.flat_map(|piece| stream.feed(piece)).collect();
    found.extend(stream.end());
    assert!(found.len() <= 256, "what is told is bounded");
    if whole.len() < 64 {
        let parts = told(&found);
        assert!(whole.is_subset(&parts), "a cut hides a secret");
    }
    let plainly = text.windows(KNOWN.len()).any(|window| window == KNOWN);
    assert!(!plainly || whole.len() >= 64 || whole.iter().any(|one| one.contains("Issued")));
}

/// What was seen, without where and in which encoding it was seen first.
fn told(found: &[Sighting]) -> BTreeSet<String> {
    let secret = |one: &Sighting| {
        let what = format!("{:?}", one.what);
        let kind = if what.contains("Known") { "Issued" } else { "shape" };
        format!("{kind} {}", holdgate::fingerprint::hex(one.trace.fingerprint.as_bytes()))
    };
    found.iter().map(secret).collect()
}
