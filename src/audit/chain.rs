//! The hash chain: what a record's `hash` covers, and what makes one line acceptable.
//!
//! Takes a record in two halves and appends it, sealed, to a buffer; takes a line back and returns
//! what it proves, or the reason why it proves nothing.

use aws_lc_rs::digest::{Context, SHA256};
use serde_json::{Map, Value};

use super::key::{PublicKey, SigningKey};
use super::record::{Checkpoint, Parts};
use super::verify::Why;

/// What stands in `prev` of the first record.
pub const GENESIS: [u8; 32] = [0; 32];

/// What a checkpoint's signature covers begins with this, so that it means nothing elsewhere.
const SIGNATURE_CONTEXT: &[u8] = b"holdgate audit checkpoint\n";

/// The lowercase hex of some bytes.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    let mut out = Vec::with_capacity(bytes.len() * 2);
    push_hex(&mut out, bytes);
    out.into_iter().map(char::from).collect()
}

/// A hash from its lowercase hex.
#[must_use]
pub fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut hash = [0; 32];
    decode_hex(text, &mut hash)?;
    Some(hash)
}

/// Fills `out` from exactly as much lowercase hex.
pub(super) fn decode_hex(text: &str, out: &mut [u8]) -> Option<()> {
    if text.len() != out.len() * 2 {
        return None;
    }
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        for digit in pair {
            let nibble = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            *byte = *byte << 4 | nibble;
        }
    }
    Some(())
}

pub(super) fn push_hex(out: &mut Vec<u8>, bytes: &[u8]) {
    const fn digit(nibble: u8) -> u8 {
        if nibble < 10 { b'0' + nibble } else { b'a' + nibble - 10 }
    }
    for bytes in bytes.chunks(32) {
        let mut digits = [0; 64];
        for ([high, low], byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
            (*high, *low) = (digit(byte >> 4), digit(byte & 15));
        }
        out.extend_from_slice(digits.get(..2 * bytes.len()).unwrap_or_default());
    }
}

pub(super) fn sha256<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Appends the record with its hash as one line. Gives the hash.
pub(super) fn seal(parts: &Parts, out: &mut Vec<u8>) -> [u8; 32] {
    // `{` alone means that no key stands before `hash`.
    let comma: &[u8] = if parts.before.len() > 1 { b"," } else { b"" };
    let hash = sha256([parts.before.as_slice(), comma, parts.after.as_slice()]);
    out.extend_from_slice(&parts.before);
    out.extend_from_slice(comma);
    out.extend_from_slice(b"\"hash\":\"");
    push_hex(out, &hash);
    out.extend_from_slice(b"\",");
    out.extend_from_slice(&parts.after);
    out.push(b'\n');
    hash
}

/// Signs and appends a checkpoint. Gives its hash.
pub(super) fn seal_checkpoint(
    checkpoint: &Checkpoint<'_>,
    seq: u64,
    prev: &[u8; 32],
    key: &SigningKey,
    parts: &mut Parts,
    out: &mut Vec<u8>,
) -> Result<[u8; 32], std::io::Error> {
    checkpoint.write(seq, prev, None, parts);
    let message = [SIGNATURE_CONTEXT, &parts.before, b",", &parts.after].concat();
    let signature = key.sign(&message)?;
    checkpoint.write(seq, prev, Some(&hex(&signature)), parts);
    Ok(seal(parts, out))
}

/// What one line proves.
pub(super) struct Checked {
    pub(super) seq: u64,
    pub(super) prev: [u8; 32],
    pub(super) hash: [u8; 32],
    pub(super) checkpoint: Option<CheckedCheckpoint>,
}

/// What a checkpoint with a good signature says.
pub(super) struct CheckedCheckpoint {
    pub(super) first: u64,
    pub(super) first_prev: [u8; 32],
    pub(super) detail: Option<String>,
}

/// Checks a line, without its newline, for all that it can prove alone.
/// On failure gives the `seq` it claims, if it can be read.
pub(super) fn check(line: &[u8], key: &PublicKey) -> Result<Checked, (Option<u64>, Why)> {
    let Ok(Value::Object(mut record)) = serde_json::from_slice::<Value>(line) else {
        return Err((None, Why::NotJson));
    };
    let claimed = record.get("seq").and_then(Value::as_u64);
    let fail = |why| (claimed, why);
    if canonical(&record).map_err(fail)? != line {
        return Err(fail(Why::NotCanonical));
    }
    let seq = claimed.ok_or_else(|| fail(Why::Field("seq")))?;
    let prev = hash_field(&record, "prev").map_err(fail)?;
    let stated = hash_field(&record, "hash").map_err(fail)?;
    record.shift_remove("hash");
    let hash = sha256([canonical(&record).map_err(fail)?.as_slice()]);
    if hash != stated {
        return Err(fail(Why::Hash));
    }
    let kind =
        record.get("kind").and_then(Value::as_str).ok_or_else(|| fail(Why::Field("kind")))?;
    let checkpoint = match kind {
        "checkpoint" => Some(check_signed(record, key).map_err(fail)?),
        _ => None,
    };
    Ok(Checked { seq, prev, hash, checkpoint })
}

fn check_signed(mut record: Map<String, Value>, key: &PublicKey) -> Result<CheckedCheckpoint, Why> {
    let Some(Value::String(signature)) = record.shift_remove("signature") else {
        return Err(Why::Signature);
    };
    let mut bytes = [0; 64];
    decode_hex(&signature, &mut bytes).ok_or(Why::Signature)?;
    let message = [SIGNATURE_CONTEXT, &canonical(&record)?].concat();
    if !key.verifies(&message, &bytes) {
        return Err(Why::Signature);
    }
    Ok(CheckedCheckpoint {
        first: record.get("first").and_then(Value::as_u64).ok_or(Why::Field("first"))?,
        first_prev: hash_field(&record, "first_prev")?,
        detail: record.get("detail").and_then(Value::as_str).map(str::to_owned),
    })
}

fn hash_field(record: &Map<String, Value>, field: &'static str) -> Result<[u8; 32], Why> {
    record.get(field).and_then(Value::as_str).and_then(unhex).ok_or(Why::Field(field))
}

fn canonical(record: &Map<String, Value>) -> Result<Vec<u8>, Why> {
    serde_json_canonicalizer::to_vec(record).map_err(|_error| Why::NotCanonical)
}
