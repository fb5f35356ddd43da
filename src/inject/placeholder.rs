//! What stands for a value: as long, with the mark of its vendor, of the same kind of characters.
//!
//! Takes a value, its name in the policy and the key of the installation; returns a text that clients
//! take for a credential. The same name has the same placeholder after a restart; nobody makes one
//! without the key, and nothing of the value is in it but its length, mark and kind of characters.

use crate::fingerprint::{Fingerprint, FingerprintKey};
use crate::inspect::secret::beginnings;

/// How keys of sandboxes begin, which are no secrets by their shape, and what clients compare longer
/// beginnings of than a shape has.
const MORE: &[&str] = &[
    "pk_test_",
    "rk_test_",
    "sb_publishable_",
    "sk-ant-admin01-",
    "sk-ant-api03-",
    "sk-ant-oat01-",
    "sk_test_",
];

/// How credentials of vendors begin.
fn marks() -> impl Iterator<Item = &'static str> {
    MORE.iter().copied().chain(beginnings())
}

const HEX: &[u8] = b"0123456789abcdef";
const DIGITS: &[u8] = b"0123456789";
const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// The placeholder of a value.
pub(super) fn of(value: &str, name: &str, key: &FingerprintKey) -> String {
    let mut random = Random { key, name, drawn: 0, left: Vec::new() };
    if is_uuid(value) {
        return uuid(&mut random);
    }
    let lengths = marks().filter(|mark| value.starts_with(mark)).map(str::len);
    let (mark, rest) = value.split_at(lengths.max().unwrap_or_default());
    let mut text = mark.to_owned();
    // The parts of a token keep their bounds, as clients look for them.
    for (number, part) in rest.split('.').enumerate() {
        if number > 0 {
            text.push('.');
        }
        let (begin, part) = match part.strip_prefix("eyJ") {
            Some(part) => ("eyJ", part),
            None => ("", part),
        };
        text.push_str(begin);
        let among = |known: &[u8]| part.bytes().all(|byte| known.contains(&byte));
        let letters = if among(DIGITS) {
            DIGITS
        } else if among(HEX) {
            HEX
        } else {
            LETTERS
        };
        text.extend(part.bytes().map(|_| random.among(letters)));
    }
    text
}

fn is_uuid(value: &str) -> bool {
    value.len() == 36 && uuid::Uuid::try_parse(value).is_ok()
}

/// A random UUID by its form (RFC 9562 section 5.4).
fn uuid(random: &mut Random<'_>) -> String {
    const FORM: &str = "xxxxxxxx-xxxx-4xxx-8xxx-xxxxxxxxxxxx";
    FORM.chars().map(|c| if c == 'x' { random.among(HEX) } else { c }).collect()
}

/// Characters drawn from the key and a name.
struct Random<'a> {
    key: &'a FingerprintKey,
    name: &'a str,
    drawn: u64,
    left: Vec<u8>,
}

impl Random<'_> {
    fn byte(&mut self) -> u8 {
        loop {
            if let Some(byte) = self.left.pop() {
                return byte;
            }
            let number = self.drawn.to_be_bytes();
            self.drawn += 1;
            let block: Fingerprint =
                self.key.of_parts(&[b"placeholder", self.name.as_bytes(), &number]);
            self.left.extend_from_slice(block.as_bytes());
        }
    }

    /// One of some letters, each as likely as the others.
    fn among(&mut self, letters: &[u8]) -> char {
        let most = 256 - 256 % letters.len();
        loop {
            let byte = usize::from(self.byte());
            if byte < most
                && let Some(letter) = letters.get(byte % letters.len())
            {
                return char::from(*letter);
            }
        }
    }
}
