//! Server-sent events, as browsers read them.
//!
//! Takes bytes cut anywhere; tells each event when its end is there. Lines end with CR, LF or both; a byte
//! order mark before the first is none of it. An event that is too long is told as that, and passed over.

use super::{EVENT, Part, empty};
use memchr::memchr2;

/// The longest name of an event that matters.
const NAME: usize = 64;

/// A stream of events.
#[derive(Default)]
pub(super) struct Sse {
    /// What is there of a line.
    line: Vec<u8>,
    is_line_long: bool,
    /// What is there of an event.
    data: Vec<u8>,
    has_data: bool,
    is_long: bool,
    name: String,
    /// The last byte was a CR: a LF after it ends nothing.
    after_cr: bool,
    has_begun: bool,
}

impl Sse {
    #[cfg(test)]
    pub(super) const fn held(&self) -> usize {
        self.line.capacity() + self.data.capacity()
    }

    pub(super) fn feed(&mut self, mut bytes: &[u8], take: &mut impl FnMut(Part<'_>)) {
        while let Some(first) = bytes.first() {
            if std::mem::take(&mut self.after_cr) && *first == b'\n' {
                bytes = bytes.get(1..).unwrap_or_default();
                continue;
            }
            let Some(end) = memchr2(b'\n', b'\r', bytes) else {
                self.keep(bytes);
                return;
            };
            let (line, rest) = bytes.split_at(end);
            self.after_cr = rest.first() == Some(&b'\r');
            bytes = rest.get(1..).unwrap_or_default();
            if self.line.is_empty() {
                self.line(line, line.len() > EVENT, take);
            } else {
                self.keep(line);
                self.kept(take);
            }
        }
    }

    pub(super) fn end(mut self, take: &mut impl FnMut(Part<'_>)) {
        if !self.line.is_empty() {
            self.kept(take);
        }
        self.tell(false, take);
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = EVENT.saturating_sub(self.line.len());
        self.is_line_long |= bytes.len() > room;
        self.line.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
    }

    /// Reads the line that was kept.
    fn kept(&mut self, take: &mut impl FnMut(Part<'_>)) {
        let mut line = std::mem::take(&mut self.line);
        let is_long = std::mem::take(&mut self.is_line_long);
        self.line(&line, is_long, take);
        empty(&mut line);
        self.line = line;
    }

    fn line(&mut self, line: &[u8], is_long: bool, take: &mut impl FnMut(Part<'_>)) {
        let line = match line.strip_prefix(b"\xef\xbb\xbf") {
            Some(rest) if !self.has_begun => rest,
            _ => line,
        };
        self.has_begun = true;
        if line.is_empty() {
            self.tell(true, take);
            return;
        }
        let colon = memchr::memchr(b':', line.get(..NAME).unwrap_or(line));
        let (field, value) = match colon.and_then(|at| line.split_at_checked(at)) {
            Some((field, value)) => (field, value.get(1..).unwrap_or_default()),
            None => (line, &b""[..]),
        };
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match field {
            b"data" => self.data(value, is_long),
            b"event" => {
                let name = value.get(..NAME).unwrap_or(value);
                self.name.clear();
                self.name.push_str(std::str::from_utf8(name).unwrap_or_default());
            }
            _ => {}
        }
    }

    fn data(&mut self, value: &[u8], is_long: bool) {
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.is_long |= is_long || self.data.len().saturating_add(value.len()) > EVENT;
        if !self.is_long {
            self.data.extend_from_slice(value);
        }
    }

    /// Tells the event that is there, if one is.
    fn tell(&mut self, is_whole: bool, take: &mut impl FnMut(Part<'_>)) {
        let is_long = std::mem::take(&mut self.is_long);
        // An event that says nothing keeps a connection open.
        if std::mem::take(&mut self.has_data) && (is_long || !self.data.is_empty()) {
            let name = &*self.name;
            let event = Part::Event { name, data: &self.data, is_whole };
            take(if is_long { Part::Long(name) } else { event });
        }
        empty(&mut self.data);
        self.name.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_says_nothing_is_none() {
        let mut told = Vec::new();
        let mut take = |part: Part<'_>| {
            if let Part::Event { data, .. } = part {
                told.push(String::from_utf8(data.to_vec()).unwrap());
            }
        };
        let mut events = Sse::default();
        events.feed(b"data:\n\ndata: x\n\ndata\n\n: ping\n\ndata:\ndata:y\n\ndata:\n", &mut take);
        events.end(&mut take);
        assert_eq!(told, ["x", "\ny"]);
    }
}
