//! An answer of a model that is read while it passes.
//!
//! Takes its pieces; hands them, decoded, to who listens to the conversation, before the client has them.
//! Keeps nothing of it but what decoders need, within what the agent may have in memory; what cannot be
//! undone piece by piece, grows out of proportion or finds no room is not read, and counted.

use super::{Ambiguous, media, single};
use crate::inspect::model::{Answer, Unread};
use crate::proxy::conversation::{Ear, Listening};
use brotli_decompressor::DecompressorWriter;
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::{Response, header};
use std::io::{self, Write};
use tokio::sync::OwnedSemaphorePermit;

/// More than this is not decoded of one answer. What is not coded is read to its end.
const LONGEST: u64 = 512 << 20;
/// How many times its size an answer may grow to, once it is larger than what every answer may be: what
/// is coded decides how long it takes to read.
const RATIO: u64 = 100;
const ALWAYS: u64 = 1 << 20;
/// What a decoder of brotli puts by before it hands on, and what it takes besides its window, in KiB.
const BROTLI: usize = 4 << 10;
const TABLES_KIB: u32 = 256;

/// The codings that are undone as an answer passes.
pub(in crate::proxy) const HEARD: &[&str] = &["gzip", "x-gzip", "deflate", "br", "identity"];

/// An answer that is listened to.
pub(super) struct Hearing {
    decoding: Decoding,
}

enum Decoding {
    Plain(Sink),
    Gzip(MultiGzDecoder<Sink>),
    Deflate(ZlibDecoder<Sink>),
    /// The same without its frame, as some servers write it.
    Raw(DeflateDecoder<Sink>),
    /// Deflate of which nothing has come: its first byte says whether it has a frame.
    Unframed(Sink),
    /// Brotli, of which nothing has come: it begins with how much memory it takes.
    Unopened(Sink),
    Brotli(Box<DecompressorWriter<Sink>>, OwnedSemaphorePermit),
    /// It broke, and no more of it is read.
    Over,
}

/// Where decoded bytes go.
struct Sink {
    answer: Option<Answer>,
    listening: Listening,
    /// How much has come, and how much was decoded of that.
    coded: u64,
    total: u64,
}

impl Hearing {
    /// Who listens to an answer that has begun; nobody where it is refused, or says nothing.
    pub(super) fn new<B>(ear: Ear, response: &Response<B>) -> Option<Box<Self>> {
        if !response.status().is_success() {
            return None;
        }
        let headers = response.headers();
        let answer = Some(Answer::new(ear.dialect(), &media(headers)));
        let sink = Sink { answer, listening: ear.listening(), coded: 0, total: 0 };
        let coding = match single(headers, &header::CONTENT_ENCODING) {
            Ok(coding) => coding.map(coded),
            Err(Ambiguous) => Some(String::new()),
        };
        let decoding = match coding.as_deref() {
            None | Some("identity") => Decoding::Plain(sink),
            Some("gzip" | "x-gzip") => Decoding::Gzip(MultiGzDecoder::new(sink)),
            Some("deflate") => Decoding::Unframed(sink),
            Some("br") => Decoding::Unopened(sink),
            Some(_) => {
                sink.listening.ear.missed(Unread::Coded);
                return None;
            }
        };
        Some(Box::new(Self { decoding }))
    }

    /// Reads what passes.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first() {
            self.begin(*first);
        }
        if let Some(sink) = self.sink() {
            sink.coded = sink.coded.saturating_add(bytes.len() as u64);
        }
        let read = match &mut self.decoding {
            Decoding::Plain(sink) => {
                sink.feed(bytes);
                Ok(())
            }
            Decoding::Gzip(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
            Decoding::Deflate(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
            Decoding::Brotli(decoder, _room) => {
                decoder.write_all(bytes).and_then(|()| decoder.flush())
            }
            Decoding::Raw(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
            Decoding::Unframed(_) | Decoding::Unopened(_) | Decoding::Over => Ok(()),
        };
        if let Some(sink) = self.sink() {
            sink.listening.settle();
        }
        if let Err(error) = read {
            let is_long = error.kind() == io::ErrorKind::FileTooLarge;
            self.give_up(if is_long { Unread::Long } else { Unread::Coded });
        }
    }

    /// Begins with what its first byte says.
    fn begin(&mut self, first: u8) {
        match &self.decoding {
            Decoding::Unopened(_) => self.open(first),
            Decoding::Unframed(_) => {
                let decoding = std::mem::replace(&mut self.decoding, Decoding::Over);
                let Decoding::Unframed(sink) = decoding else { return };
                self.decoding = if has_frame(first) {
                    Decoding::Deflate(ZlibDecoder::new(sink))
                } else {
                    Decoding::Raw(DeflateDecoder::new(sink))
                };
            }
            _ => {}
        }
    }

    /// Begins with brotli, if there is room for its window.
    fn open(&mut self, first: u8) {
        let Some(window) = window(first) else { return self.give_up(Unread::Coded) };
        let Decoding::Unopened(sink) = std::mem::replace(&mut self.decoding, Decoding::Over) else {
            return;
        };
        let bodies = sink.listening.ear.caller().state.bodies.clone();
        let needed = (1 << window.saturating_sub(10)) + TABLES_KIB;
        match bodies.try_acquire_many_owned(needed) {
            Ok(room) => {
                let decoder = Box::new(DecompressorWriter::new(sink, BROTLI));
                self.decoding = Decoding::Brotli(decoder, room);
            }
            Err(_none) => sink.listening.ear.missed(Unread::NoRoom),
        }
    }

    /// Reads no more of it.
    fn give_up(&mut self, why: Unread) {
        if let Some(sink) = self.sink() {
            sink.listening.ear.missed(why);
        }
        self.decoding = Decoding::Over;
    }

    /// No more of it comes.
    pub(super) fn end(mut self) {
        let closed = match &mut self.decoding {
            Decoding::Brotli(decoder, _room) => decoder.close(),
            _ => Ok(()),
        };
        if let Some(sink) = self.sink() {
            if closed.is_err() {
                sink.listening.ear.missed(Unread::Coded);
            }
            if let Some(answer) = sink.answer.take() {
                answer.end(&mut sink.listening);
            }
            sink.listening.settle();
        }
    }

    fn sink(&mut self) -> Option<&mut Sink> {
        match &mut self.decoding {
            Decoding::Plain(sink) | Decoding::Unframed(sink) | Decoding::Unopened(sink) => {
                Some(sink)
            }
            Decoding::Raw(decoder) => Some(decoder.get_mut()),
            Decoding::Gzip(decoder) => Some(decoder.get_mut()),
            Decoding::Deflate(decoder) => Some(decoder.get_mut()),
            Decoding::Brotli(decoder, _room) => Some(decoder.get_mut()),
            Decoding::Over => None,
        }
    }
}

impl Sink {
    fn feed(&mut self, bytes: &[u8]) {
        if let Some(answer) = &mut self.answer {
            answer.feed(bytes, &mut self.listening);
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.total = self.total.saturating_add(bytes.len() as u64);
        if self.total > most(self.coded) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.feed(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// How much is decoded of an answer of which so much has come.
fn most(coded: u64) -> u64 {
    coded.saturating_mul(RATIO).clamp(ALWAYS, LONGEST)
}

/// The coding that a header names, without those that change nothing.
fn coded(header: &str) -> String {
    let named = header.split(',').map(|coding| coding.trim().to_ascii_lowercase());
    let codings: Vec<String> = named.filter(|coding| coding != "identity").collect();
    if codings.is_empty() { "identity".to_owned() } else { codings.join(",") }
}

/// Whether deflate has its frame (RFC 1950 section 2.2), by its first byte: no block begins like that.
const fn has_frame(first: u8) -> bool {
    first & 0x0f == 8 && first >> 4 <= 7
}

/// The window of brotli by the first byte, as a power of two (RFC 7932 section 9.1); none where it is a
/// larger one than there may be.
const fn window(first: u8) -> Option<u32> {
    match (first & 1, (first >> 1) & 7, (first >> 4) & 7) {
        (0, ..) => Some(16),
        (_, 0, 0) => Some(17),
        (_, 0, 1) => None,
        (_, 0, more) => Some(8 + more as u32),
        (_, more, _) => Some(17 + more as u32),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brotli_says_first_how_much_memory_it_takes() {
        for (first, expected) in [
            (0b0000_0000, Some(16)),
            (0b0000_0001, Some(17)),
            (0b0000_0011, Some(18)),
            (0b0000_1011, Some(22)),
            (0b0000_1111, Some(24)),
            (0b0010_0001, Some(10)),
            (0b0111_0001, Some(15)),
            (0b0001_0001, None),
        ] {
            assert_eq!(window(first), expected, "{first:#b}");
        }
    }

    #[test]
    fn the_coding_is_known_by_its_name_and_its_first_byte() {
        for (header, expected) in [
            ("GZIP", "gzip"),
            ("identity, identity", "identity"),
            ("identity, br", "br"),
            ("gzip, gzip", "gzip,gzip"),
            ("", ""),
        ] {
            assert_eq!(coded(header), expected, "{header}");
        }
        let text = b"data: {}\n\n".repeat(50);
        for level in 0..10 {
            let level = flate2::Compression::new(level);
            let mut framed = flate2::write::ZlibEncoder::new(Vec::new(), level);
            let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), level);
            framed.write_all(&text).unwrap();
            raw.write_all(&text).unwrap();
            assert!(has_frame(framed.finish().unwrap()[0]));
            assert!(!has_frame(raw.finish().unwrap()[0]));
        }
    }

    #[test]
    fn what_is_decoded_is_bounded_by_what_came() {
        // What compresses to nothing, ordinary text, and what is long.
        for (coded, expected) in [(0, ALWAYS), (683 << 10, (683 * 100) << 10), (1 << 30, LONGEST)] {
            assert_eq!(most(coded), expected, "{coded}");
        }
    }
}
