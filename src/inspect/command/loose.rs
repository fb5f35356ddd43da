//! Words of a text that does not parse.
//!
//! Takes such a text; notes what it may run, line by line: a line that parses by itself as it parses,
//! another split where commands end, with its quotes taken off. Some of it may not be commands at all.

use super::bounds;
use super::tree::At;
use super::{Reader, Simple, Word};

/// Lines and bytes that are looked at.
const LINES: usize = 1_000;
const LONGEST: usize = 64 << 10;

impl Reader {
    pub(super) fn loosely(&mut self, text: &str, nested: usize) {
        let mut left = LONGEST;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()).take(LINES) {
            let Some(less) = left.checked_sub(line.len()) else { return };
            left = less;
            match bounds::parse(line) {
                Some(parsed) => {
                    let at = At::start(&parsed.bodies, nested);
                    parsed.nodes.iter().for_each(|node| self.walk(node, at));
                }
                None => line.split([';', '|', '&', '(', ')', '`', '{', '}']).for_each(|part| {
                    let plain = |word: &str| Word {
                        text: word.chars().filter(|c| !matches!(c, '\'' | '"' | '\\')).collect(),
                        is_known: false,
                        is_wild: word.contains(['*', '?', '[']),
                        names: Vec::new(),
                    };
                    let words: Vec<Word> = part.split_whitespace().map(plain).collect();
                    if !words.is_empty() {
                        let place = self.pipeline();
                        self.run(Simple { words, place, ..Simple::default() }, nested);
                    }
                }),
            }
        }
    }
}
