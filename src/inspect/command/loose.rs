//! A text piece by piece, where it does not parse as a whole or is too much for the parser.
//!
//! Takes such a text; notes what it runs, as far as that can be told: as few lines as parse together are
//! read as the shell would, which runs them before it looks at what follows; a line that does not parse
//! is split where commands end, with its quotes taken off, and the text is not all read then. Some of
//! what is noted may not be commands at all.

use super::bounds::{self, Refused};
use super::{Reader, Simple, Unread, Word};

/// Lines that are looked at.
const LINES: usize = 1_000;
/// Lines that are tried together.
const TOGETHER: [usize; 5] = [0, 1, 3, 7, 15];
/// What is looked at of a line that does not parse.
const LONGEST: usize = 4 << 10;

impl Reader {
    /// Reads a text by its lines.
    pub(super) fn by_pieces(&mut self, text: &str, nested: usize) {
        let mut lines: Vec<&str> = text.split_inclusive('\n').take(LINES + 1).collect();
        if lines.len() > LINES {
            self.unread(Unread::TooMuch);
            lines.truncate(LINES);
        }
        let mut left = lines.as_slice();
        while let Some((line, rest)) = left.split_first() {
            let plain = line.trim();
            if plain.is_empty() || plain.starts_with('#') {
                left = rest;
            } else if let Some(taken) = self.together(left, nested) {
                left = left.get(taken..).unwrap_or_default();
            } else {
                self.unread(Unread::Unparsed);
                self.by_words(plain, nested);
                left = rest;
            }
        }
    }

    /// Reads the fewest lines that parse together, and says how many these are.
    fn together(&mut self, lines: &[&str], nested: usize) -> Option<usize> {
        let first = bounds::lines_of(lines);
        for more in TOGETHER {
            let piece = lines.get(..first + more)?.concat();
            // The next line belongs to it.
            if piece.ends_with("\\\n") || piece.contains("<<") && bounds::is_open(&piece) {
                continue;
            }
            match bounds::parse(&piece, &mut self.steps) {
                Ok(parsed) => {
                    self.walk_all(&parsed, nested);
                    return Some(first + more);
                }
                Err(Refused::Wrong) => {}
                Err(Refused::Costly) => return None,
            }
        }
        None
    }

    fn by_words(&mut self, line: &str, nested: usize) {
        let end = (0..=LONGEST.min(line.len())).rev().find(|end| line.is_char_boundary(*end));
        if line.len() > LONGEST {
            self.unread(Unread::TooMuch);
        }
        let line = line.get(..end.unwrap_or_default()).unwrap_or_default();
        // It is passed letter by letter, without more.
        if !self.spend(line.len() / 8) {
            return;
        }
        for part in line.split([';', '|', '&', '(', ')', '`', '{', '}']) {
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
        }
    }
}
