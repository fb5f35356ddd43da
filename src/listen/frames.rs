//! HTTP/2 frames of a client's connection, watched as they pass.
//!
//! Takes a stream; returns it with a deadline on its preface and on every head, and with a note of
//! what was refused beneath: the library answers a frame or a head that is none by itself, and the
//! record has to know. Refuses bytes that do not begin as HTTP/2 does. Nothing is kept or changed.

use super::linger::Unread;
use crate::decide::Reason;
use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Notify;
use tokio::time::Sleep;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const HEAD: usize = 9;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PUSH_PROMISE: u8 = 5;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;

/// What was refused on a connection, until it is recorded.
#[derive(Clone, Debug, Default)]
pub(super) struct Refusals(Arc<Noted>);

#[derive(Debug, Default)]
struct Noted {
    bits: AtomicU8,
    told: Notify,
}

impl Refusals {
    const MALFORMED: u8 = 1;
    const OVER_LIMIT: u8 = 2;

    fn note(&self, bit: u8) {
        self.0.bits.fetch_or(bit, Ordering::Relaxed);
        self.0.told.notify_one();
    }

    /// Notes an error that is told to the client (RFC 9113 section 7), if the fault is the client's.
    fn told(&self, code: u32) {
        match code {
            1 | 3..=6 | 9 => self.note(Self::MALFORMED),
            7 | 11 => self.note(Self::OVER_LIMIT),
            _ => {}
        }
    }

    /// What was refused since this was last asked.
    pub(super) fn take(&self) -> Option<Reason> {
        let bits = self.0.bits.swap(0, Ordering::Relaxed);
        match bits {
            0 => None,
            Self::OVER_LIMIT => Some(Reason::OverLimit),
            _ => Some(Reason::Malformed),
        }
    }

    /// Waits for the next one. Many at a time are one.
    pub(super) async fn next(&self) -> Reason {
        loop {
            if let Some(reason) = self.take() {
                return reason;
            }
            self.0.told.notified().await;
        }
    }
}

/// A frame that has passed: its kind, its flags, and how its payload begins.
struct Frame {
    kind: u8,
    flags: u8,
    begins: [u8; 8],
}

impl Frame {
    /// The error code of a `RST_STREAM` or `GOAWAY`.
    fn code(&self) -> Option<u32> {
        let code = match self.kind {
            RST_STREAM => self.begins.first_chunk(),
            GOAWAY => self.begins.last_chunk(),
            _ => None,
        };
        code.copied().map(u32::from_be_bytes)
    }
}

/// Finds frames in bytes that come in pieces.
#[derive(Default)]
struct Scan {
    head: [u8; HEAD],
    has: usize,
    left: usize,
    begins: [u8; 8],
    kept: usize,
}

impl Scan {
    /// Reads on, and tells of each frame that ends.
    fn read(&mut self, mut bytes: &[u8], mut ended: impl FnMut(&Frame)) {
        while !bytes.is_empty() {
            if self.has < HEAD {
                bytes = fill(&mut self.head, &mut self.has, bytes);
                if self.has < HEAD {
                    return;
                }
                let [a, b, c, ..] = self.head;
                self.left = u32::from_be_bytes([0, a, b, c]) as usize;
            }
            let (payload, rest) = bytes.split_at(self.left.min(bytes.len()));
            fill(&mut self.begins, &mut self.kept, payload);
            self.left -= payload.len();
            bytes = rest;
            if self.left == 0 {
                let [_, _, _, kind, flags, ..] = self.head;
                ended(&Frame { kind, flags, begins: self.begins });
                *self = Self::default();
            }
        }
    }

    /// Whether a frame has begun that is no DATA, which takes the time it takes.
    const fn is_amid(&self) -> bool {
        let [_, _, _, kind, ..] = self.head;
        self.has > 0 && !(self.has == HEAD && kind == DATA)
    }
}

/// Fills a buffer from bytes; returns the rest of them.
fn fill<'b>(buffer: &mut [u8], has: &mut usize, bytes: &'b [u8]) -> &'b [u8] {
    let (now, rest) = bytes.split_at(bytes.len().min(buffer.len() - *has));
    for (slot, byte) in buffer.iter_mut().skip(*has).zip(now) {
        *slot = *byte;
    }
    *has += now.len();
    rest
}

/// How far the client's side has come.
#[derive(Default)]
struct Incoming {
    preface: usize,
    begun: bool,
    in_block: bool,
    scan: Scan,
}

impl Incoming {
    /// Reads on; whether something was finished. Nothing if these are not the bytes of a client.
    fn read(&mut self, bytes: &[u8]) -> Option<bool> {
        let expected = PREFACE.get(self.preface..).unwrap_or_default();
        let (preface, frames) = bytes.split_at(expected.len().min(bytes.len()));
        if !expected.starts_with(preface) {
            return None;
        }
        self.preface += preface.len();
        let (begun, in_block) = (&mut self.begun, &mut self.in_block);
        let (mut finished, mut right) = (false, true);
        self.scan.read(frames, |frame| {
            // The first one is SETTINGS (RFC 9113 section 3.4), which the library lets pass.
            right &= *begun || (frame.kind == SETTINGS && frame.flags & ACK == 0);
            *begun = true;
            if matches!(frame.kind, HEADERS | PUSH_PROMISE | CONTINUATION) {
                *in_block = frame.flags & END_HEADERS == 0;
            }
            finished |= !*in_block;
        });
        right.then_some(finished)
    }

    /// Whether the client owes the rest of a preface, a head or a short frame.
    const fn is_amid(&self) -> bool {
        !self.begun || self.in_block || self.scan.is_amid()
    }
}

/// A stream of frames.
pub(super) struct Frames<S> {
    stream: S,
    patience: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
    incoming: Incoming,
    outgoing: Scan,
    refusals: Refusals,
    unread: Unread,
}

impl<S> Frames<S> {
    /// A stream, how long a head may take, and where to note what is refused.
    pub(super) fn new(stream: S, patience: Duration, refusals: Refusals, unread: Unread) -> Self {
        let (incoming, outgoing) = (Incoming::default(), Scan::default());
        Self { stream, patience, deadline: None, incoming, outgoing, refusals, unread }
    }

    fn wrote(&mut self, bytes: &[u8]) {
        let (refusals, unread) = (&self.refusals, &self.unread);
        self.outgoing.read(bytes, |frame| {
            let Some(code) = frame.code().filter(|code| *code != 0) else { return };
            refusals.told(code);
            if frame.kind == GOAWAY {
                // What is still on its way must not keep the client from reading this.
                unread.note();
            }
        });
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Frames<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        if Pin::new(&mut this.stream).poll_read(cx, buffer)?.is_pending() {
            if !this.incoming.is_amid() {
                return Poll::Pending;
            }
            let patience = this.patience;
            let deadline =
                this.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
            ready!(deadline.as_mut().poll(cx));
            return Poll::Ready(Err(ErrorKind::TimedOut.into()));
        }
        let read = buffer.filled().get(before..).unwrap_or_default();
        let Some(finished) = this.incoming.read(read) else {
            this.refusals.note(Refusals::MALFORMED);
            return Poll::Ready(Err(ErrorKind::InvalidData.into()));
        };
        if finished || !this.incoming.is_amid() {
            this.deadline = None;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Frames<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes))?;
        self.wrote(bytes.get(..written).unwrap_or_default());
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write_vectored(cx, slices))?;
        let mut left = written;
        for slice in slices {
            let bytes = slice.get(..left.min(slice.len())).unwrap_or_default();
            left -= bytes.len();
            self.wrote(bytes);
        }
        Poll::Ready(Ok(written))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn frames_are_found_however_they_are_cut() {
        let bytes = [
            frame(SETTINGS, 0, &[]),
            frame(DATA, 0, &[7; 30]),
            frame(RST_STREAM, 0, &8_u32.to_be_bytes()),
            frame(GOAWAY, 0, &[0, 0, 0, 5, 0, 0, 0, 11, b'c', b'a', b'l', b'm']),
            frame(HEADERS, END_HEADERS, &[1; 3]),
        ]
        .concat();
        for size in 1..=bytes.len() {
            let (mut scan, mut found) = (Scan::default(), Vec::new());
            for piece in bytes.chunks(size) {
                scan.read(piece, |frame| found.push((frame.kind, frame.flags, frame.code())));
            }
            let expected = [
                (SETTINGS, 0, None),
                (DATA, 0, None),
                (RST_STREAM, 0, Some(8)),
                (GOAWAY, 0, Some(11)),
                (HEADERS, END_HEADERS, None),
            ];
            assert_eq!(found, expected, "in pieces of {size}");
            assert!(!scan.is_amid());
        }
    }

    #[test]
    fn only_what_is_owed_has_a_deadline() {
        let mut incoming = Incoming::default();
        let greeting = [PREFACE, &frame(SETTINGS, 0, &[])].concat();
        assert!(incoming.is_amid());
        assert_eq!(incoming.read(&greeting[..30]), Some(false));
        assert!(incoming.is_amid());
        assert_eq!(incoming.read(&greeting[30..]), Some(true));
        assert!(!incoming.is_amid());
        let steps: [(&[u8], bool, bool); 7] = [
            // A head in pieces, and the frames of it.
            (&frame(HEADERS, 0, &[1; 9]), false, true),
            (&frame(CONTINUATION, 0, &[1]), false, true),
            (&frame(CONTINUATION, END_HEADERS, &[1]), true, false),
            // A body takes the time it takes, once it is known to be one.
            (&[0, 0, 9], false, true),
            (&[DATA, 0, 0, 0, 0, 1, 7], false, false),
            (&[7; 8], true, false),
            (&[], false, false),
        ];
        for (bytes, finished, amid) in steps {
            assert_eq!(incoming.read(bytes), Some(finished), "{bytes:?}");
            assert_eq!(incoming.is_amid(), amid, "{bytes:?}");
        }
    }

    #[test]
    fn bytes_that_begin_otherwise_are_not_a_clients() {
        for wrong in [
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            b"PRI * HTTP/2.0\r\n\r\nXM\r\n\r\n".to_vec(),
            [PREFACE, &frame(HEADERS, END_HEADERS, &[1])].concat(),
            [PREFACE, &frame(SETTINGS, ACK, &[])].concat(),
        ] {
            assert_eq!(Incoming::default().read(&wrong), None);
            let mut incoming = Incoming::default();
            assert!(wrong.chunks(1).any(|byte| incoming.read(byte).is_none()));
        }
    }
}
