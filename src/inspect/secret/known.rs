//! The secrets that are known: issued, or seen before.
//!
//! Takes their [`Trace`]s with whose they are; finds them in a text at a cost that does not grow with
//! their number. Every position of the text is hashed and looked up in a small filter; few pass it, and
//! what does is compared by fingerprint. No secret is kept.

use crate::fingerprint::{FingerprintKey, Trace};
use smallvec::SmallVec;
use std::collections::HashMap;

/// Whose a known secret is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Owner {
    /// The issued credential of this number in the policy.
    Issued(usize),
    /// The one of this number among those seen before.
    Seen(usize),
}

/// A set of known secrets.
#[derive(Debug, Default)]
pub struct Known {
    /// Two bits of one word for each window.
    filter: Vec<u64>,
    traces: HashMap<u32, SmallVec<[(Trace, Owner); 1]>>,
}

impl Known {
    /// The set of these. A secret that several have is the first one's.
    pub fn new(traces: impl IntoIterator<Item = (Trace, Owner)>) -> Self {
        let mut known = Self::default();
        for (trace, owner) in traces {
            let same = known.traces.entry(trace.window).or_default();
            if !same.iter().any(|(other, _)| *other == trace) {
                same.push((trace, owner));
            }
        }
        if !known.traces.is_empty() {
            // Half a word for each: few windows that nobody has pass, and 10,000 fit near the core.
            let words = (known.traces.len() / 2).next_power_of_two().clamp(1 << 10, 1 << 20);
            known.filter = vec![0; words];
            for window in known.traces.keys() {
                let (word, [first, second]) = place(*window, words);
                if let Some(word) = known.filter.get_mut(word) {
                    *word |= 1 << first | 1 << second;
                }
            }
        }
        known
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.traces.is_empty()
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.traces.values().map(SmallVec::len).sum()
    }

    /// Tells of each that stands in the text where it ends.
    pub(super) fn find(
        &self,
        key: &FingerprintKey,
        text: &[u8],
        mut tell: impl FnMut(usize, &Trace, Owner),
    ) {
        let words = self.filter.len();
        if words == 0 {
            return;
        }
        for (at, window) in text.array_windows::<{ Trace::WINDOW }>().enumerate() {
            let window = key.window(*window);
            let (word, [first, second]) = place(window, words);
            let word = self.filter.get(word).copied().unwrap_or_default();
            if word >> first & word >> second & 1 == 1 {
                self.compare(key, text, at + Trace::WINDOW, window, &mut tell);
            }
        }
    }

    #[cold]
    fn compare(
        &self,
        key: &FingerprintKey,
        text: &[u8],
        end: usize,
        window: u32,
        tell: &mut impl FnMut(usize, &Trace, Owner),
    ) {
        // Secrets of one window and length are compared with one fingerprint.
        let mut made = None;
        for (trace, owner) in self.traces.get(&window).into_iter().flatten() {
            let Ok(length) = usize::try_from(trace.length) else { continue };
            let Some(bytes) = end.checked_sub(length).and_then(|start| text.get(start..end)) else {
                continue;
            };
            let fingerprint = match made {
                Some((of, fingerprint)) if of == length => fingerprint,
                _ => key.fingerprint(bytes),
            };
            made = Some((length, fingerprint));
            if fingerprint == trace.fingerprint {
                tell(end, trace, *owner);
            }
        }
    }
}

/// Which bits of which word a window has.
const fn place(window: u32, words: usize) -> (usize, [u32; 2]) {
    (window as usize >> 12 & words.wrapping_sub(1), [window & 63, window >> 6 & 63])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_wherever_it_stands_and_nothing_else() {
        let key = FingerprintKey::new(b"a key");
        let secret = |number: usize| format!("secret-{number:05}-{:x}", number * 7919 % 65_521);
        let all = 0..10_000;
        let traces = all.clone().filter_map(|number| {
            Some((key.trace(secret(number).as_bytes())?, Owner::Seen(number)))
        });
        let known = Known::new(traces);
        assert_eq!(known.len(), 10_000);
        for number in all.step_by(97) {
            let text = format!("{{\"a\":\"xx{}yy\"}}", secret(number));
            let mut told = Vec::new();
            known.find(&key, text.as_bytes(), |end, _, owner| told.push((end, owner)));
            assert_eq!(told, [(text.len() - 4, Owner::Seen(number))], "{text}");
        }
        let mut told = 0;
        known.find(&key, secret(10_001).as_bytes(), |_, _, _| told += 1);
        known.find(&FingerprintKey::new(b"b"), secret(1).as_bytes(), |_, _, _| told += 1);
        assert_eq!(told, 0);
    }
}
