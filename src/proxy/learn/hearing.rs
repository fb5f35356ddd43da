//! An answer of a model that is read while it passes.
//!
//! Takes its pieces; hands them, decoded, to who listens to the conversation, before the client has them.
//! Keeps nothing of it but what decoders need; a coding that cannot be undone piece by piece is not read.

use super::{Ambiguous, media, single};
use crate::inspect::model::{Answer, Unread};
use crate::proxy::conversation::Ear;
use brotli_decompressor::DecompressorWriter;
use flate2::write::{MultiGzDecoder, ZlibDecoder};
use http::{Response, header};
use std::io::{self, Write};

/// More than this is not decoded of one answer. What is not coded is read to its end.
const LONGEST: u64 = 512 << 20;
/// What a decoder of brotli puts by before it hands on.
const BROTLI: usize = 4 << 10;

/// An answer that is listened to.
pub(super) struct Hearing {
    decoding: Decoding,
}

enum Decoding {
    Plain(Sink),
    Gzip(MultiGzDecoder<Sink>),
    Deflate(ZlibDecoder<Sink>),
    Brotli(Box<DecompressorWriter<Sink>>),
    /// It broke, and no more of it is read.
    Over,
}

/// Where decoded bytes go.
struct Sink {
    answer: Option<Answer>,
    ear: Ear,
    /// How much was decoded.
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
        let sink = Sink { answer, ear, total: 0 };
        let coding = match single(headers, &header::CONTENT_ENCODING) {
            Ok(coding) => coding.map(|coding| coding.trim().to_ascii_lowercase()),
            Err(Ambiguous) => Some(String::new()),
        };
        let decoding = match coding.as_deref() {
            None | Some("identity") => Decoding::Plain(sink),
            Some("gzip" | "x-gzip") => Decoding::Gzip(MultiGzDecoder::new(sink)),
            Some("deflate") => Decoding::Deflate(ZlibDecoder::new(sink)),
            Some("br") => Decoding::Brotli(Box::new(DecompressorWriter::new(sink, BROTLI))),
            Some(_) => {
                sink.ear.missed(Unread::Coded);
                return None;
            }
        };
        Some(Box::new(Self { decoding }))
    }

    /// Reads what passes.
    pub(super) fn pass(&mut self, bytes: &[u8]) {
        let read = match &mut self.decoding {
            Decoding::Plain(sink) => {
                sink.feed(bytes);
                Ok(())
            }
            Decoding::Gzip(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
            Decoding::Deflate(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
            Decoding::Brotli(decoder) => decoder.write_all(bytes).and_then(|()| decoder.flush()),
            Decoding::Over => Ok(()),
        };
        if let Err(error) = read {
            let is_long = error.kind() == io::ErrorKind::FileTooLarge;
            if let Some(sink) = self.sink() {
                sink.ear.missed(if is_long { Unread::Long } else { Unread::Coded });
            }
            self.decoding = Decoding::Over;
        }
    }

    /// No more of it comes.
    pub(super) fn end(mut self) {
        let closed = match &mut self.decoding {
            Decoding::Brotli(decoder) => decoder.close(),
            _ => Ok(()),
        };
        if let Some(sink) = self.sink() {
            if closed.is_err() {
                sink.ear.missed(Unread::Coded);
            }
            if let Some(answer) = sink.answer.take() {
                answer.end(&mut sink.ear);
            }
        }
    }

    fn sink(&mut self) -> Option<&mut Sink> {
        match &mut self.decoding {
            Decoding::Plain(sink) => Some(sink),
            Decoding::Gzip(decoder) => Some(decoder.get_mut()),
            Decoding::Deflate(decoder) => Some(decoder.get_mut()),
            Decoding::Brotli(decoder) => Some(decoder.get_mut()),
            Decoding::Over => None,
        }
    }
}

impl Sink {
    fn feed(&mut self, bytes: &[u8]) {
        if let Some(answer) = &mut self.answer {
            answer.feed(bytes, &mut self.ear);
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.total = self.total.saturating_add(bytes.len() as u64);
        if self.total > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.feed(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
