//! Answers as they pass.
//!
//! Takes the pieces of an answer, decoded and cut anywhere; tells what is complete. Whatever the length of
//! the answer, what is kept of it is bounded: one event, and the inputs of the calls that are open.

pub(super) mod assembly;
mod documents;
mod frames;
mod sift;
mod sse;

use super::messages::stream;
use super::telling::{Listener, Telling};
use super::{Dialect, EVENT, Unread, gemini, items, mcp, messages};
use crate::message::json;
use assembly::Assembly;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use documents::Documents;
use frames::Frames;
use serde::Deserialize;
use sse::Sse;
use std::borrow::Cow;

/// An answer that is being read.
pub struct Answer {
    framing: Framing,
    says_json: bool,
    reading: Reading,
}

/// How the parts of an answer are told apart.
enum Framing {
    /// Its media type does not say for certain, and it has not begun.
    Unsaid,
    Events(Sse),
    Frames(Frames),
    Documents(Documents),
}

/// A part of an answer.
enum Part<'a> {
    /// An event of a stream: its name, what it says, and whether its end was there.
    Event { name: &'a str, data: &'a [u8], is_whole: bool },
    /// A document of its own, or a member of an array of them.
    Document(&'a [u8]),
    /// One that is too long, by its name.
    Long(&'a str),
    /// What is no such part.
    Broken(Unread),
}

/// What is kept of a buffer for the next part.
const KEPT: usize = 64 << 10;

/// Empties a buffer, and gives back what it took for one long part.
fn empty(buffer: &mut Vec<u8>) {
    buffer.clear();
    buffer.shrink_to(KEPT);
}

impl Answer {
    /// Begins to read the answer to a request of this dialect. The media type is that of the answer, in
    /// small letters and without parameters; where it says nothing, the beginning does.
    pub fn new(dialect: Dialect, media_type: &str) -> Self {
        let framing = match media_type {
            "application/vnd.amazon.eventstream" => Framing::Frames(Frames::default()),
            _ => Framing::Unsaid,
        };
        let reading = Reading { dialect, open: Assembly::default() };
        Self { framing, says_json: json::is_media(media_type), reading }
    }

    /// Reads on.
    pub fn feed(&mut self, mut bytes: &[u8], listener: &mut impl Listener) {
        if let Framing::Unsaid = self.framing {
            bytes = bytes.trim_ascii_start();
            let Some(first) = bytes.first() else { return };
            // Clients read what they asked for, whatever it is called. No event begins like JSON.
            let is_json = self.says_json || matches!(first, b'{' | b'[');
            self.framing = if is_json {
                Framing::Documents(Documents::default())
            } else {
                Framing::Events(Sse::default())
            };
        }
        let mut telling = Telling::new(listener);
        let reading = &mut self.reading;
        let mut take = |part: Part<'_>| reading.part(&part, &mut telling);
        match &mut self.framing {
            Framing::Unsaid => {}
            Framing::Events(events) => events.feed(bytes, &mut take),
            Framing::Frames(frames) => frames.feed(bytes, &mut take),
            Framing::Documents(documents) => documents.feed(bytes, &mut take),
        }
    }

    /// No more comes: of its own, or because it was cut.
    pub fn end(mut self, listener: &mut impl Listener) {
        let mut telling = Telling::new(listener);
        let reading = &mut self.reading;
        let mut take = |part: Part<'_>| reading.part(&part, &mut telling);
        match self.framing {
            Framing::Unsaid => {}
            Framing::Events(events) => events.end(&mut take),
            Framing::Frames(frames) => frames.end(&mut take),
            Framing::Documents(documents) => documents.end(&mut take),
        }
        self.reading.open.cut(&mut telling);
    }
}

struct Reading {
    dialect: Dialect,
    open: Assembly,
}

/// An event of Bedrock's invocations.
#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow)]
    bytes: Option<Cow<'a, str>>,
}

impl Reading {
    fn part<L: Listener>(&mut self, part: &Part<'_>, telling: &mut Telling<'_, L>) {
        let read = match part {
            Part::Broken(why) => Err(*why),
            Part::Long(name) if self.dialect == Dialect::Responses && items::repeats(name) => {
                Ok(())
            }
            Part::Long(_) => Err(Unread::Long),
            Part::Document(data) => self.document(data, telling),
            Part::Event { data, is_whole: true, .. }
                if self.open.is_idle() && !sift::may_matter(self.dialect, data) =>
            {
                Ok(())
            }
            Part::Event { name, data, is_whole: true } => self.event(name, data, telling),
            Part::Event { name, data, is_whole: false } => {
                self.event(name, data, telling).map_err(|_cut| Unread::Truncated)
            }
        };
        if let Err(why) = read {
            telling.unread(why);
        }
    }

    fn document<L: Listener>(
        &mut self,
        data: &[u8],
        telling: &mut Telling<'_, L>,
    ) -> Result<(), Unread> {
        let text = std::str::from_utf8(data).map_err(|_not_text| Unread::Json)?;
        let read = match self.dialect {
            Dialect::Anthropic | Dialect::Chat | Dialect::Converse | Dialect::Invoke => {
                messages::document(text, telling)
            }
            Dialect::Responses | Dialect::Interactions => items::document(text, telling),
            Dialect::Gemini => gemini::document(text, telling),
            Dialect::Mcp => mcp::document(text, telling),
        };
        read.map_err(|_not_of_the_form| Unread::Json)
    }

    fn event<L: Listener>(
        &mut self,
        name: &str,
        data: &[u8],
        telling: &mut Telling<'_, L>,
    ) -> Result<(), Unread> {
        let text = std::str::from_utf8(data).map_err(|_not_text| Unread::Json)?;
        let open = &mut self.open;
        let read = match self.dialect {
            Dialect::Anthropic => stream::anthropic(text, open, telling),
            Dialect::Chat => stream::chat(text, open, telling),
            Dialect::Converse => stream::converse(name, text, open, telling),
            Dialect::Invoke => return self.invoked(name, text, telling),
            Dialect::Responses | Dialect::Interactions => items::event(text, open, telling),
            Dialect::Gemini => gemini::document(text, telling),
            // The older transport says where to post in an event of another name.
            Dialect::Mcp if name == "endpoint" => Ok(()),
            Dialect::Mcp => mcp::document(text, telling),
        };
        read.map_err(|_not_of_the_form| Unread::Json)
    }

    /// An event of an invocation holds that of the model.
    fn invoked<L: Listener>(
        &mut self,
        name: &str,
        text: &str,
        telling: &mut Telling<'_, L>,
    ) -> Result<(), Unread> {
        if name != "chunk" {
            return Ok(());
        }
        let Chunk { bytes } = serde_json::from_str(text).map_err(|_not_json| Unread::Json)?;
        let Some(bytes) = bytes else { return Ok(()) };
        let inner = STANDARD.decode(&*bytes).map_err(|_not_base64| Unread::Json)?;
        let inner = std::str::from_utf8(&inner).map_err(|_not_text| Unread::Json)?;
        stream::native(inner, &mut self.open, telling).map_err(|_not_of_the_form| Unread::Json)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Answer {
        fn held(&self) -> usize {
            self.reading.open.held()
                + match &self.framing {
                    Framing::Unsaid => 0,
                    Framing::Events(events) => events.held(),
                    Framing::Frames(frames) => frames.held(),
                    Framing::Documents(documents) => documents.held(),
                }
        }
    }

    #[test]
    fn what_is_kept_does_not_grow_with_the_answer() {
        const PIECE: &str = concat!(
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
        );
        let open = |index: usize| {
            format!(
                "data: {{\"choices\":[{{\"delta\":{{\"tool_calls\":[{{\"index\":{index},\"id\":\"{index}\",\"function\":{{\"name\":\"x\",\"arguments\":\"{PIECE}\"}}}}]}}}}]}}\n\n"
            )
        };
        let cases: [(&str, &str, Vec<String>); 5] = [
            // A line, an event and a document without an end, a frame of any length, and calls that go on.
            ("text/event-stream", "data: ", vec![PIECE.to_owned()]),
            ("text/event-stream", "", vec![format!("data: {PIECE}\n")]),
            ("application/json", "{\"choices\":\"", vec![PIECE.to_owned()]),
            ("application/vnd.amazon.eventstream", "\0\x0f\0\0\0\0\0\0", vec![PIECE.to_owned()]),
            ("text/event-stream", "", (0..100).map(open).collect()),
        ];
        for (media_type, begin, parts) in cases {
            let mut answer = Answer::new(Dialect::Chat, media_type);
            let mut listener = |_: super::super::Said| {};
            answer.feed(begin.as_bytes(), &mut listener);
            if begin.starts_with('\0') {
                let mut sum = flate2::Crc::new();
                sum.update(begin.as_bytes());
                answer.feed(&sum.sum().to_be_bytes(), &mut listener);
            }
            let (mut fed, mut most) = (0, 0);
            for part in parts.iter().cycle() {
                answer.feed(part.as_bytes(), &mut listener);
                (fed, most) = (fed + part.len(), most.max(answer.held()));
                if fed > 8 << 20 {
                    break;
                }
            }
            assert!(most > EVENT / 4, "{begin}: it kept {most}, nothing was tried");
            assert!(most <= 4 * EVENT, "{begin}: it kept {most}");
        }
    }
}
