//! Keyed fingerprints: how secrets are known without being kept.
//!
//! Takes secret bytes; returns HMAC-SHA-256 values that are compared in constant time, printed as
//! `hmac-sha256:KEYID:HEX`, and tell nothing without the key. Values themselves are never kept.
//! A [`Trace`] is what finds a known secret again inside a longer text.

use aws_lc_rs::{constant_time, digest, hmac};
use std::fmt;

/// The key of an installation, from its state folder or given for a fleet.
pub struct FingerprintKey {
    key: hmac::Key,
    id: String,
    /// What a window is multiplied with.
    multiplier: u64,
}

/// What a secret is known by.
#[derive(Clone, Copy)]
pub struct Fingerprint([u8; 32]);

/// What a secret is found again by inside a text, where nothing says where it begins.
///
/// A secret with white space in it is known by its longest unbroken part, and one longer than
/// [`Trace::LONGEST`] by its end, so that neither line ends nor the size of buffers hide it. The window
/// is a keyed hash of few bits: whoever has the key and the trace learns no more than these bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The hash of its last bytes, as [`FingerprintKey::window`] makes it.
    pub window: u32,
    /// How many bytes the fingerprint is of.
    pub length: u32,
    /// The fingerprint of these bytes: of a secret that is one unbroken part, its own.
    pub fingerprint: Fingerprint,
}

impl Trace {
    /// What is shorter is not looked for: it stands in texts by chance.
    pub const SHORTEST: usize = 12;
    /// The end of a longer one stands for it.
    pub const LONGEST: usize = 2048;
    /// How many bytes a window has.
    pub const WINDOW: usize = 8;
}

impl FingerprintKey {
    /// Makes the key from its bytes; its id is a digest of them, so that two keys are told apart.
    pub fn new(bytes: &[u8]) -> Self {
        let digest = digest::digest(&digest::SHA256, bytes);
        let id = hex(digest.as_ref().get(..4).unwrap_or_default());
        let mut made = Self { key: hmac::Key::new(hmac::HMAC_SHA256, bytes), id, multiplier: 0 };
        let multiplier = made.of_parts(&[b"window", b"multiplier"]);
        let folded = multiplier.0.iter().fold(0, |all, byte| (all << 8) ^ u64::from(*byte));
        // An even one would lose bits.
        made.multiplier = folded | 1;
        made
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

    /// What finds the secret again inside a text; none where it is too short to be looked for.
    pub fn trace(&self, secret: &[u8]) -> Option<Trace> {
        let parts = secret.split(u8::is_ascii_whitespace);
        let longest =
            parts.max_by_key(|part| part.len()).filter(|part| part.len() >= Trace::SHORTEST);
        let part = longest.unwrap_or(secret);
        let part = part.get(part.len().saturating_sub(Trace::LONGEST)..).unwrap_or(part);
        if part.len() < Trace::SHORTEST {
            return None;
        }
        Some(Trace {
            window: self.window(*part.last_chunk()?),
            length: u32::try_from(part.len()).ok()?,
            fingerprint: self.fingerprint(part),
        })
    }

    /// The keyed hash of a window: quick enough for every position of a text.
    #[inline]
    pub const fn window(&self, bytes: [u8; Trace::WINDOW]) -> u32 {
        // The high bits depend on all bytes, the low ones do not.
        (u64::from_le_bytes(bytes).wrapping_mul(self.multiplier) >> 32) as u32
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

    #[test]
    fn a_trace_is_of_the_longest_unbroken_part() {
        let key = FingerprintKey::new(b"one");
        let trace = |secret: &[u8]| key.trace(secret);
        assert_eq!(trace(b"elevenbytes"), None);
        let plain = trace(b"twelve-bytes").unwrap();
        assert_eq!((plain.length, plain.fingerprint), (12, key.fingerprint(b"twelve-bytes")));
        assert_eq!(trace(b"-- twelve-bytes\nend"), Some(plain));
        assert_eq!(trace(b"six of one and six").map(|one| one.length), Some(18));
        let long = [b'x'; Trace::LONGEST + 1];
        assert_eq!(trace(&long), trace(&long[1..]));
        assert_ne!(FingerprintKey::new(b"two").trace(b"twelve-bytes"), Some(plain));
    }
}
