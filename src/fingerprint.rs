//! Keyed fingerprints: how secrets are known without being kept.
//!
//! Takes secret bytes; returns HMAC-SHA-256 values that are compared in constant time, printed as
//! `hmac-sha256:KEYID:HEX`, and tell nothing without the key. Values themselves are never kept.

use aws_lc_rs::{constant_time, digest, hmac};
use std::fmt;

/// The key of an installation, from its state folder or given for a fleet.
pub struct FingerprintKey {
    key: hmac::Key,
    id: String,
}

/// What a secret is known by.
#[derive(Clone, Copy)]
pub struct Fingerprint([u8; 32]);

impl FingerprintKey {
    /// Makes the key from its bytes; its id is a digest of them, so that two keys are told apart.
    pub fn new(bytes: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, bytes);
        let id = hex(digest.as_ref().get(..4).unwrap_or_default());
        Self { key: hmac::Key::new(hmac::HMAC_SHA256, bytes), id }
    }

    /// The fingerprint of a secret.
    pub fn fingerprint(&self, secret: &[u8]) -> Fingerprint {
        self.of_parts(&[secret])
    }

    /// The fingerprint of several parts that stand for one thing, each bounded by its length.
    pub fn of_parts(&self, parts: &[&[u8]]) -> Fingerprint {
        let mut context = hmac::Context::with_key(&self.key);
        if let [single] = parts {
            context.update(single);
        } else {
            for part in parts {
                context.update(&(part.len() as u64).to_be_bytes());
                context.update(part);
            }
        }
        let mut bytes = [0; 32];
        for (to, from) in bytes.iter_mut().zip(context.sign().as_ref()) {
            *to = *from;
        }
        Fingerprint(bytes)
    }

    /// The printed form, which a policy may hold instead of the secret.
    pub fn print(&self, fingerprint: &Fingerprint) -> String {
        format!("hmac-sha256:{}:{}", self.id, hex(&fingerprint.0))
    }

    /// Reads the printed form; none if it is not one, or was made under another key.
    pub fn read(&self, text: &str) -> Option<Fingerprint> {
        let rest = text.trim().strip_prefix("hmac-sha256:")?;
        let (id, digits) = rest.split_once(':')?;
        if id != self.id {
            return None;
        }
        from_hex(digits).map(Fingerprint)
    }
}

impl fmt::Debug for FingerprintKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FingerprintKey({})", self.id)
    }
}

impl Fingerprint {
    /// Eight hexadecimal digits: enough to tell sightings apart, nothing to guess from.
    pub fn short(&self) -> String {
        hex(self.0.get(..4).unwrap_or_default())
    }

    /// The bytes, for the store.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// From the store.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl PartialEq for Fingerprint {
    fn eq(&self, other: &Self) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }
}

impl Eq for Fingerprint {}

impl std::hash::Hash for Fingerprint {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

/// SHA-256 of a token, as `token_hash` has it.
pub fn token_hash(token: &[u8]) -> [u8; 32] {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(digest::digest(&digest::SHA256, token).as_ref()) {
        *to = *from;
    }
    bytes
}

/// Whether two hashes are the same, in constant time.
pub fn same(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for digit in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(digit), 16).unwrap_or('0'));
        }
    }
    text
}

/// Thirty-two bytes from sixty-four hexadecimal digits.
pub fn from_hex(digits: &str) -> Option<[u8; 32]> {
    if digits.len() != 64 || !digits.is_ascii() {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.as_bytes().chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prints_and_reads_under_the_same_key_only() {
        let key = FingerprintKey::new(b"one");
        let print = key.print(&key.fingerprint(b"secret"));
        assert_eq!(key.read(&print), Some(key.fingerprint(b"secret")));
        assert_eq!(FingerprintKey::new(b"two").read(&print), None);
        assert!(!format!("{key:?} {:?}", key.fingerprint(b"secret")).contains("secret"));
        assert_ne!(key.of_parts(&[b"ab", b"c"]), key.of_parts(&[b"a", b"bc"]));
    }
}
