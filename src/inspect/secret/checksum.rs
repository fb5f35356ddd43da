//! What tells a real secret from one that only looks like it.
//!
//! Takes bytes in a vendor's shape; returns whether the checksum is right, whether they are an example
//! out of documentation, and whether they are as mixed as something made at random. Pure.

/// Whether the last six are the CRC-32 of what is before them in base 62: GitHub's and npm's way.
pub(super) fn is_checked(body: &[u8]) -> bool {
    let Some((random, given)) = body.split_last_chunk::<6>() else { return false };
    let mut rest = crc32(random);
    let mut made = [b'0'; 6];
    for place in made.iter_mut().rev() {
        let digit = u8::try_from(rest % 62).unwrap_or_default();
        *place = match digit {
            0..10 => b'0' + digit,
            10..36 => b'A' + digit - 10,
            _ => b'a' + digit - 36,
        };
        rest /= 62;
    }
    made == *given
}

/// CRC-32 as in IEEE 802.3.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 }
        })
    })
}

/// Words that stand in examples, and in nothing that was made at random.
const WORDS: [&[u8]; 12] = [
    b"example",
    b"placeholder",
    b"redacted",
    b"changeme",
    b"your_",
    b"your-",
    b"yourt",
    b"dummy",
    b"insert",
    b"replace",
    b"<token",
    b"sample",
];

/// Whether this says that it is an example.
fn is_worded(body: &[u8]) -> bool {
    let lower = body.to_ascii_lowercase();
    WORDS.iter().any(|word| memchr::memmem::find(&lower, word).is_some())
}

/// Whether this is a placeholder for the encoding of something, which may repeat itself.
pub(super) fn is_filled(body: &[u8]) -> bool {
    is_worded(body) || distinct(body) < 16
}

/// Whether this is an example: it says so, or nobody would draw it at random.
pub(super) fn is_example(body: &[u8]) -> bool {
    if is_worded(body) {
        return true;
    }
    let pairs = || body.iter().zip(body.iter().skip(1));
    let mut repeated = 0;
    for (left, right) in pairs() {
        repeated = if left == right { repeated + 1 } else { 0 };
        if repeated >= 5 {
            return true;
        }
    }
    let stepping = pairs().filter(|(left, right)| left.checked_add(1) == Some(**right)).count();
    stepping * 5 >= body.len() * 2 || distinct(body) < body.len().min(20) * 2 / 5
}

fn distinct(body: &[u8]) -> usize {
    let mut seen = [false; 256];
    for byte in body {
        if let Some(seen) = seen.get_mut(usize::from(*byte)) {
            *seen = true;
        }
    }
    seen.iter().filter(|seen| **seen).count()
}

/// Whether the letters are as mixed as in what was drawn at random: what has no other mark is only
/// then taken for a secret.
pub(super) fn is_mixed(body: &[u8]) -> bool {
    let digits = body.iter().filter(|byte| byte.is_ascii_digit()).count();
    let lower = body.iter().filter(|byte| byte.is_ascii_lowercase()).count();
    let upper = body.iter().filter(|byte| byte.is_ascii_uppercase()).count();
    if body.iter().all(u8::is_ascii_hexdigit) && (lower == 0 || upper == 0) {
        return body.len() >= 32 && digits > 0 && lower + upper > 0 && entropy(body) >= 3.0;
    }
    let breaks = body.iter().filter(|byte| !byte.is_ascii_alphanumeric()).count();
    digits > 0 && lower > 0 && upper > 0 && breaks * 8 <= body.len() && entropy(body) >= 3.8
}

/// Bits to a byte (Shannon), of so few bytes.
#[expect(clippy::cast_precision_loss, reason = "a token has few bytes")]
fn entropy(body: &[u8]) -> f64 {
    let mut counts = [0_usize; 256];
    for byte in body {
        if let Some(count) = counts.get_mut(usize::from(*byte)) {
            *count += 1;
        }
    }
    let all = body.len().max(1) as f64;
    let of = |count: &usize| {
        let share = *count as f64 / all;
        if *count == 0 { 0.0 } else { -share * share.log2() }
    };
    counts.iter().map(of).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_example_of_a_checksum_is_right() {
        assert!(is_checked(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"));
        assert!(!is_checked(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq18"));
        assert!(!is_checked(b"aQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"));
        assert!(!is_checked(b"0mLq1"));
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn examples_are_told_from_what_is_random() {
        for example in [
            "IOSFODNN7EXAMPLE",
            "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
            "1234567890abcdef1234567890abcdef",
            "abcdefghijklmnopqrstuvwxyz0123456789",
            "0000000000000000000000000000000000",
            "your_token_here_0f1e2d3c4b5a69788796",
            "abababababababababababababab",
        ] {
            assert!(is_example(example.as_bytes()), "{example}");
        }
        for random in ["zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17", "9f86d081884c7d659a2feaa0c55ad015"] {
            assert!(!is_example(random.as_bytes()), "{random}");
        }
        assert!(is_mixed(b"zQWBuTSOoRi4A9spHcVY5ncnsDkxkJ0mLq17"));
        assert!(is_mixed(b"9f86d081884c7d659a2feaa0c55ad015"));
        for word in ["the-quick-brown-fox-jumps-over-the-lazy-dog-2", "ALL_CAPITALS_WITH_A_1"] {
            assert!(!is_mixed(word.as_bytes()), "{word}");
        }
    }
}
