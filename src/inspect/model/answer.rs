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
use super::{Dialect, EVENT, Unread, gemini, items, lenient, mcp, messages};
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
    says: Says,
    reading: Reading,
}

/// What its media type says that it is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Nothing,
    Json,
    Events,
}

/// How the parts of an answer are told apart.
enum Framing {
    /// Its media type does not say for certain, and it has not begun.
    Unsaid,
    Events(Sse),
    Frames(Frames),
    Documents(Documents),
    /// It begins otherwise than its media type says: clients read what they asked for.
    Either(Sse, Documents),
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
        let says = match media_type {
            "text/event-stream" => Says::Events,
            media_type if json::is_media(media_type) => Says::Json,
            _ => Says::Nothing,
        };
        Self { framing, says, reading }
    }

    /// Reads on.
    pub fn feed(&mut self, mut bytes: &[u8], listener: &mut impl Listener) {
        if let Framing::Unsaid = self.framing {
            bytes = bytes.trim_ascii_start();
            let Some(first) = bytes.first() else { return };
            // What is no field of an event is passed over, so an event may come after what is like JSON.
            self.framing = match (first, self.says) {
                (b'{' | b'[', Says::Json | Says::Nothing) => {
                    Framing::Documents(Documents::default())
                }
                (b'{' | b'[', Says::Events) | (_, Says::Json) => {
                    Framing::Either(Sse::default(), Documents::default())
                }
                (_, Says::Events | Says::Nothing) => Framing::Events(Sse::default()),
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
            Framing::Either(events, documents) => {
                events.feed(bytes, &mut take);
                documents.feed(bytes, &mut take);
            }
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
            Framing::Either(events, documents) => {
                events.end(&mut take);
                documents.end(&mut take);
            }
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
        match part {
            Part::Broken(why) => telling.unread(*why),
            Part::Long(name) if self.dialect == Dialect::Responses && items::repeats(name) => {}
            Part::Long(_) => telling.unread(Unread::Long),
            Part::Document(data) => {
                self.leniently(data, Unread::Json, telling, |this, text, telling| {
                    this.document(text, telling)
                });
            }
            Part::Event { data, is_whole: true, .. }
                if self.open.is_idle() && !sift::may_matter(self.dialect, data) => {}
            Part::Event { name, data, is_whole } => {
                let why = if *is_whole { Unread::Json } else { Unread::Truncated };
                self.leniently(data, why, telling, |this, text, telling| {
                    this.event(name, text, telling)
                });
            }
        }
    }

    /// Reads a part; where it is not strict JSON, for what lenient parsers take it for.
    fn leniently<L: Listener>(
        &mut self,
        data: &[u8],
        why: Unread,
        telling: &mut Telling<'_, L>,
        read: impl Fn(&mut Self, &str, &mut Telling<'_, L>) -> Result<(), Unread>,
    ) {
        let changes = self.open.changes();
        let mut telling = telling.part();
        if let Ok(text) = std::str::from_utf8(data)
            && read(self, text, &mut telling).is_ok()
        {
            return;
        }
        telling.again(why);
        // What has changed what is open would change it twice, and of what is cut short nobody reads the rest.
        if changes == self.open.changes()
            && why != Unread::Truncated
            && let Some(mended) = lenient::mended(&String::from_utf8_lossy(data))
        {
            read(self, &mended, &mut telling).unwrap_or_default();
        }
    }

    fn document<L: Listener>(
        &self,
        text: &str,
        telling: &mut Telling<'_, L>,
    ) -> Result<(), Unread> {
        let read = match self.dialect {
            Dialect::Anthropic | Dialect::Chat | Dialect::Converse | Dialect::Invoke => {
                messages::document(text, telling)
            }
            Dialect::Batches => messages::of_batch(text, telling),
            Dialect::Threads => messages::run(text, telling),
            Dialect::Responses | Dialect::Interactions => items::document(text, telling),
            Dialect::Gemini => gemini::document(text, telling),
            Dialect::Mcp => mcp::document(text, telling),
        };
        read.map_err(|_not_of_the_form| Unread::Json)
    }

    fn event<L: Listener>(
        &mut self,
        name: &str,
        text: &str,
        telling: &mut Telling<'_, L>,
    ) -> Result<(), Unread> {
        let open = &mut self.open;
        let read = match self.dialect {
            Dialect::Anthropic => stream::anthropic(text, open, telling),
            Dialect::Chat => stream::chat(text, open, telling),
            Dialect::Converse => stream::converse(name, text, open, telling),
            Dialect::Invoke => return self.invoked(name, text, telling),
            Dialect::Batches => messages::of_batch(text, telling),
            Dialect::Threads if text == "[DONE]" => Ok(()),
            Dialect::Threads => messages::run(text, telling),
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
                    Framing::Either(events, documents) => events.held() + documents.held(),
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
