//! Content codings: bounded, and the same bytes whatever the limit is.

use bytes::Bytes;
use holdgate::message::coding::decode;

const CODINGS: &[&str] = &[
    "gzip",
    "deflate",
    "br",
    "zstd",
    "deflate, gzip",
    "gzip, gzip",
    "br, zstd",
    "identity, x-gzip",
];
const LIMIT: usize = 1 << 20;

/// The first byte chooses the codings, the rest is the body.
pub fn coding(data: &[u8]) {
    let Some((choice, body)) = data.split_first() else { return };
    let codings = CODINGS[usize::from(*choice) % CODINGS.len()];
    let body = Bytes::copy_from_slice(body);
    let Ok(read) = decode(codings, &body, LIMIT) else { return };
    assert!(read.len() <= LIMIT);
    assert!(read.len() <= (64 << 10).max(body.len() * 200), "it grew out of proportion");
    assert_eq!(decode(codings, &body, LIMIT * 2).as_ref(), Ok(&read), "the limit changes it");
    if let Some((inner, outer)) = codings.split_once(", ") {
        // One after the other, the last that was applied first.
        let between = decode(outer, &body, LIMIT).expect("the outer coding is read");
        if read.len() <= (64 << 10).max(between.len() * 200) {
            assert_eq!(decode(inner, &between, LIMIT).as_ref(), Ok(&read));
        }
    } else {
        assert_eq!(decode(codings, &body, read.len()).as_ref(), Ok(&read), "it fits exactly");
        if let Some(less) = read.len().checked_sub(1) {
            assert!(decode(codings, &body, less).is_err(), "the limit does not limit");
        }
    }
}
