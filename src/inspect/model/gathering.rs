//! The body of a request that may be longer than what is kept of it.
//!
//! Takes its bytes cut anywhere; hands over documents to read: the body itself where it fits, else its
//! turns, so many at a time as fit, in documents of the same form. Of a text that is nothing but base64,
//! as an image is, only the beginning is kept. A turn that is too long is passed over, which is said.

use memchr::memchr2;
use std::mem;

/// So much is kept of a text that is nothing but base64.
const ENCODED: usize = 4 << 10;
/// The longest name of a member that is known.
const NAME: usize = 64;

/// A body that comes in pieces.
pub struct Gathering {
    /// How much is kept.
    most: usize,
    kept: Vec<u8>,
    /// Where it stands, once it is longer than what is kept.
    place: Option<Box<Place>>,
    /// Something is passed over until the next turn.
    is_passing: bool,
    has_passed: bool,
}

/// Where in a document its bytes stand.
#[derive(Default)]
struct Place {
    /// What was opened and is not closed.
    depth: usize,
    in_text: bool,
    is_escaped: bool,
    /// How much of a text there was, while all of it could be base64.
    encoded: Option<usize>,
    /// The last text beside what holds the turns: their name, once they begin.
    name: Vec<u8>,
    /// What leads to the turns that are read now.
    lead: Vec<u8>,
    /// Where in what is kept the last turn ended, and what led to it.
    ended: Option<(usize, Vec<u8>)>,
}

impl Gathering {
    /// One of which so many bytes are kept.
    pub const fn new(most: usize) -> Self {
        Self { most, kept: Vec::new(), place: None, is_passing: false, has_passed: false }
    }

    /// What is kept.
    pub const fn kept(&mut self) -> &mut Vec<u8> {
        &mut self.kept
    }

    /// Takes the next piece; hands over what has to be read before more fits.
    pub fn push(&mut self, piece: &[u8], read: &mut impl FnMut(Vec<u8>)) {
        if let Some(mut place) = self.place.take() {
            self.take(&mut place, piece, read);
            self.place = Some(place);
        } else if self.kept.len() + piece.len() <= self.most {
            self.kept.extend_from_slice(piece);
        } else {
            // Of bodies that fit nothing but the length is looked at.
            let mut place = Box::<Place>::default();
            let kept = mem::take(&mut self.kept);
            self.take(&mut place, &kept, read);
            self.take(&mut place, piece, read);
            self.place = Some(place);
        }
    }

    /// No more comes: the rest, and whether nothing was passed over.
    pub fn end(self) -> (Vec<u8>, bool) {
        (self.kept, !self.has_passed)
    }

    fn take(&mut self, place: &mut Place, mut bytes: &[u8], read: &mut impl FnMut(Vec<u8>)) {
        while let Some(first) = bytes.first().copied() {
            let length = if place.in_text { place.text(bytes) } else { 1 };
            let (part, rest) = bytes.split_at(length.min(bytes.len()));
            bytes = rest;
            if place.in_text {
                if place.is_shown(part) {
                    self.keep(place, part, read);
                }
                continue;
            }
            let before = place.depth;
            let turns_begin = place.sign(first);
            if turns_begin && self.is_passing {
                self.begin(place);
            } else {
                self.keep(place, part, read);
            }
            if first == b'}' && before == 3 {
                if self.is_passing {
                    self.begin(place);
                }
                place.ended = Some((self.kept.len(), place.lead.clone()));
            }
        }
    }

    /// Turns are read from here on.
    fn begin(&mut self, place: &Place) {
        self.is_passing = false;
        self.kept.clone_from(&place.lead);
    }

    fn keep(&mut self, place: &mut Place, part: &[u8], read: &mut impl FnMut(Vec<u8>)) {
        // Nothing parts the first turn from what leads to it.
        let parts = |byte: &u8| *byte == b',' || byte.is_ascii_whitespace();
        let is_first = !place.in_text && part.iter().all(parts) && self.kept == place.lead;
        if self.is_passing || is_first {
            return;
        }
        if self.kept.len() + part.len() > self.most
            && let Some((at, lead)) = place.ended.take()
        {
            let rest = self.kept.split_off(at);
            let mut document = mem::replace(&mut self.kept, lead);
            document.extend_from_slice(b"]}");
            read(document);
            let from = rest.iter().position(|byte| !parts(byte)).unwrap_or(rest.len());
            self.kept.extend_from_slice(rest.get(from..).unwrap_or_default());
        }
        if self.kept.len() + part.len() > self.most {
            (self.is_passing, self.has_passed) = (true, true);
            self.kept = Vec::new();
        } else {
            self.kept.extend_from_slice(part);
        }
    }
}

impl Place {
    /// Takes a byte outside of texts; whether turns begin behind it.
    fn sign(&mut self, byte: u8) -> bool {
        match byte {
            b'"' => {
                (self.in_text, self.encoded) = (true, Some(0));
                if self.depth == 1 {
                    self.name.clear();
                }
            }
            b'{' | b'[' => {
                self.depth += 1;
                if self.depth == 2 && byte == b'[' {
                    self.lead = [b"{\"", &*self.name, b"\":["].concat();
                    return true;
                }
            }
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            _ => {}
        }
        false
    }

    /// How far a text goes on, with the quote at its end.
    fn text(&self, bytes: &[u8]) -> usize {
        if self.is_escaped {
            return 1;
        }
        // What ends it, or an escape, is a part of its own.
        match memchr2(b'"', b'\\', bytes) {
            Some(0) => 1,
            Some(length) => length,
            None => bytes.len(),
        }
    }

    /// Takes a part of a text; whether it is kept.
    fn is_shown(&mut self, part: &[u8]) -> bool {
        if self.depth == 1 && self.name.len() + part.len() <= NAME && part != b"\"" {
            self.name.extend_from_slice(part);
        }
        if mem::take(&mut self.is_escaped) {
            self.encoded = None;
            return true;
        }
        match part {
            b"\"" => {
                self.in_text = false;
                return true;
            }
            b"\\" => self.is_escaped = true,
            _ => {}
        }
        let Some(before) = self.encoded else { return true };
        let could_be = |byte: &u8| {
            byte.is_ascii_alphanumeric()
                || matches!(byte, b'+' | b'/' | b'=' | b'-' | b'_' | b':' | b';' | b',')
        };
        self.encoded = part.iter().all(could_be).then_some(before + part.len());
        self.encoded.is_none() || before < ENCODED
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inspect::model::{Dialect, Said, read_request};
    use proptest::prelude::*;

    /// What is read of a body of which so much is kept, in pieces of a length; and whether it was all.
    fn read(body: &str, most: usize, pieces: usize) -> (Vec<String>, bool) {
        let mut gathering = Gathering::new(most);
        let mut documents = Vec::new();
        for piece in body.as_bytes().chunks(pieces) {
            gathering.push(piece, &mut |document| documents.push(document));
            assert!(gathering.kept().len() <= most);
        }
        let (rest, is_all) = gathering.end();
        documents.push(rest);
        let mut all = Vec::new();
        for document in documents {
            read_request(Dialect::Anthropic, &document, &mut |said| {
                all.push(match said {
                    Said::Call(call) => format!("call {}", call.id),
                    Said::Result(result) => format!("result {}", result.call),
                    Said::Unread { why } => format!("{why:?}"),
                });
            });
        }
        (all, is_all)
    }

    fn turn(number: usize, text: &str) -> String {
        format!(
            r#"{{"role":"assistant","content":[{{"type":"text","text":"{text}"}},{{"type":"tool_use","id":"t{number}","name":"x","input":{{"a":[{{}}]}}}}]}}"#
        )
    }

    fn calls(numbers: impl IntoIterator<Item = usize>) -> Vec<String> {
        numbers.into_iter().map(|number| format!("call t{number}")).collect()
    }

    #[test]
    fn all_turns_of_a_long_body_are_read() {
        let prose = "one \\\" { [ word ".repeat(20);
        let turns: Vec<String> = (0..50).map(|number| turn(number, &prose)).collect();
        let tools = r#""tools":[{"name":"x","schema":{"a":[{}]}},{"name":"y"}]"#;
        for body in [
            format!(r#"{{"model":"m",{tools},"messages":[{}],"stream":true}}"#, turns.join(" , ")),
            format!(
                r#"{{"messages":[{}],{tools},"system":[{{"text":"{prose}"}}]}}"#,
                turns.join(",")
            ),
        ] {
            for (most, pieces) in
                [(usize::MAX, 999), (2_000, 1), (2_000, 7), (2_000, 5_000), (1_000, 64)]
            {
                let expected = (calls(0..50), true);
                assert_eq!(read(&body, most, pieces), expected, "{most} {pieces}");
            }
        }
    }

    #[test]
    fn images_are_left_out_and_long_turns_are_passed_over() {
        let image = "iVBORw0KGgo+/".repeat(2_000);
        let body =
            format!(r#"{{"messages":[{},{},{}]}}"#, turn(0, "x"), turn(1, &image), turn(2, "y"));
        assert_eq!(read(&body, 8_000, 100), (calls(0..3), true));
        let prose = "some words ".repeat(2_000);
        let body =
            format!(r#"{{"messages":[{},{},{}]}}"#, turn(0, "x"), turn(1, &prose), turn(2, "y"));
        assert_eq!(read(&body, 8_000, 100), (calls([0, 2]), false));
        let body = format!(r#"{{"system":"{prose}","messages":[{}]}}"#, turn(0, "x"));
        assert_eq!(read(&body, 8_000, 100), (calls([0]), false));
    }

    proptest! {
        #[test]
        fn whatever_comes_the_memory_is_bounded(parts in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", "\"", "\\", ",", ":", "messages", "\"messages\":[", "{\"a\":\"b\"}", "é", "aGk=",
        ]), 0..300), pieces in 1_usize..20) {
            read(&parts.concat(), 2 * NAME, pieces);
        }
    }
}
