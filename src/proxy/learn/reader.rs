//! An answer that is read while it passes.
//!
//! Takes its pieces; hands each to who looks for evidence before the client has it, and the whole to
//! whom it teaches when its end is there. Keeps up to a limit, and what comes in one piece without
//! copying it. A longer answer is looked at piece by piece, and teaches nothing.

use super::{Ambiguous, Asked, EVENTS, Of, is, media, single};
use crate::decide::Finding;
use crate::message::coding;
use crate::proxy::Caller;
use crate::proxy::evidence::Sought;
use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use http::{Response, header};
use std::io::{self, Write};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;

/// A longer answer teaches nothing, as it comes or decoded.
const LONGEST: usize = 1 << 20;
/// Room is taken in pieces of so many KiB.
const PIECE_KIB: u32 = 64;
/// A long answer, and a stream of events that teaches nothing, are looked at in pieces of this as they
/// go on: nobody waits long for one.
const PIECE: usize = 64 << 10;
/// What the pieces share of an answer that is looked at piece by piece.
const SHARED: usize = 8 << 10;
/// The most that what passes is looked at together with of what passed before, and the least.
const BEFORE: usize = 4 << 10;
const LEAST_BEFORE: usize = 512;
/// A coded answer is not decoded further than this while it passes.
const LONGEST_UNPACKED: usize = 8 << 20;
/// And not at all where so much of it decodes to more than is looked at at a time.
const PACKED_PIECE: usize = 4 << 10;

/// An answer that is read while it passes.
pub(super) struct Reader {
    /// Who learns of it.
    asked: Option<Asked>,
    /// Who looks for evidence in it.
    sought: Option<Box<Sought>>,
    caller: Arc<Caller>,
    /// Its media type, in small letters, where somebody learns by it.
    kind: String,
    is_stream: bool,
    in_pieces: bool,
    codings: Option<String>,
    /// What is decoded of it while it passes; none where it is not, or no more.
    unpacking: Option<Box<Unpacking>>,
    kept: Kept,
    room: Option<OwnedSemaphorePermit>,
}

/// What is kept of an answer.
#[derive(Default)]
struct Kept {
    /// All of it, while that is one piece.
    one: Bytes,
    joined: Vec<u8>,
}

impl Kept {
    fn bytes(&self) -> &[u8] {
        if self.joined.is_empty() { &self.one } else { &self.joined }
    }

    fn keep(&mut self, bytes: &Bytes) {
        if self.bytes().is_empty() {
            self.one = bytes.clone();
        } else {
            if self.joined.is_empty() {
                self.joined = self.one.to_vec();
                self.one = Bytes::new();
            }
            self.joined.extend_from_slice(bytes);
        }
    }

    fn into_bytes(self) -> Bytes {
        if self.joined.is_empty() { self.one } else { Bytes::from(self.joined) }
    }
}

impl From<Vec<u8>> for Kept {
    fn from(joined: Vec<u8>) -> Self {
        Self { one: Bytes::new(), joined }
    }
}

impl Reader {
    /// A reader of an answer that has begun, if anybody wants to know of it.
    pub(super) fn new<B>(
        asked: Option<Asked>,
        sought: Option<Box<Sought>>,
        caller: &Arc<Caller>,
        response: &Response<B>,
    ) -> Option<Box<Self>> {
        let asked = asked.filter(|asked| asked.may_learn_of(response));
        let sought = sought.and_then(|sought| sought.answered(response));
        if asked.is_none() && sought.is_none() {
            return None;
        }
        let headers = response.headers();
        let by_kind = asked.as_ref().is_some_and(|asked| matches!(asked.of, Of::Tokens { .. }));
        let kind = if by_kind { media(headers) } else { String::new() };
        let codings = match single(headers, &header::CONTENT_ENCODING) {
            Ok(codings) => codings.map(str::to_owned),
            Err(Ambiguous) => return None,
        };
        let is_stream = is(headers, &[EVENTS]);
        let in_pieces = is_stream && asked.is_none() && codings.is_none();
        let unpacking = codings.as_deref().and_then(Unpacking::of).map(Box::new);
        let (caller, kept, room) = (caller.clone(), Kept::default(), None);
        Some(Box::new(Self {
            asked,
            sought,
            caller,
            kind,
            is_stream,
            in_pieces,
            codings,
            unpacking,
            kept,
            room,
        }))
    }

    /// Keeps bytes that pass; whether it goes on with them.
    pub(super) fn keep(&mut self, bytes: &Bytes, are_last: bool) -> bool {
        let before = self.kept.bytes().len();
        let needed = before.saturating_add(bytes.len());
        let most = if self.in_pieces { PIECE } else { LONGEST };
        let is_one = are_last && before == 0;
        if needed > most || !(is_one || self.has_room(needed)) {
            return self.look_at_piece(bytes);
        }
        self.kept.keep(bytes);
        if is_one {
            return true;
        }
        if self.codings.is_some() {
            self.unpack(bytes);
        } else if let Some(sought) = self.sought.as_mut().filter(|_| !are_last) {
            let shared = (4 * bytes.len()).clamp(LEAST_BEFORE, BEFORE);
            let kept = self.kept.bytes();
            sought.pass(kept.get(before.saturating_sub(shared)..).unwrap_or(kept));
        }
        true
    }

    /// Whether there is room for so many bytes.
    fn has_room(&mut self, needed: usize) -> bool {
        let held = self.room.as_ref().map_or(0, |room| room.num_permits() << 10);
        let missing =
            u32::try_from(needed.saturating_sub(held).div_ceil(1 << 10)).unwrap_or(u32::MAX);
        if missing == 0 {
            return true;
        }
        let piece = missing.next_multiple_of(PIECE_KIB);
        let lessons: Arc<Semaphore> = self.caller.state.lessons.clone();
        let Ok(more) = lessons.try_acquire_many_owned(piece) else { return false };
        match &mut self.room {
            Some(room) => room.merge(more),
            room @ None => *room = Some(more),
        }
        true
    }

    /// Looks at what there is of an answer that is too long to be kept, and goes on with its end; whether
    /// that can be done. Nothing is learned of such an answer.
    fn look_at_piece(&mut self, bytes: &Bytes) -> bool {
        (self.asked, self.in_pieces) = (None, true);
        if self.codings.is_some() {
            self.kept = Kept::default();
            self.unpack(bytes);
            return self.unpacking.is_some();
        }
        let Some(sought) = self.sought.as_mut() else { return false };
        // What two pieces share is looked at with both.
        let mut both = Vec::from(std::mem::take(&mut self.kept).into_bytes());
        both.extend_from_slice(bytes.get(..SHARED).unwrap_or(bytes));
        sought.read(&both);
        if bytes.len() > SHARED {
            sought.read(bytes);
        }
        let from = if bytes.len() > SHARED { bytes.as_ref() } else { &both };
        self.kept =
            from.get(from.len().saturating_sub(SHARED)..).unwrap_or_default().to_vec().into();
        true
    }

    /// Looks at what a piece of a coded answer says.
    fn unpack(&mut self, bytes: &[u8]) {
        let (Some(unpacking), Some(sought)) = (&mut self.unpacking, &mut self.sought) else {
            self.unpacking = None;
            return;
        };
        for bytes in bytes.chunks(PACKED_PIECE) {
            let is_good = unpacking.next(bytes).is_ok();
            sought.pass(unpacking.bytes());
            if !is_good {
                self.unpacking = None;
                return;
            }
        }
    }

    /// No more of it comes than is there; what is found in it, and what its end has to wait for.
    pub(super) fn end(mut self, is_whole: bool) -> (Vec<Finding>, Option<JoinHandle<()>>) {
        let body = std::mem::take(&mut self.kept).into_bytes();
        let decoded = match &self.codings {
            None => Ok(body.clone()),
            Some(codings) => coding::decode(codings, &body, LONGEST),
        };
        let Ok(decoded) = decoded else {
            // What came in one piece was not unpacked yet.
            if self.unpacking.as_ref().is_some_and(|unpacking| !unpacking.has_begun()) {
                self.unpack(&body);
            }
            return (self.sought.map(|sought| sought.into_findings()).unwrap_or_default(), None);
        };
        let keeping = (self.asked.filter(|_| is_whole))
            .and_then(|asked| asked.learn(&decoded, &self.kind, self.is_stream));
        let Some(mut sought) = self.sought else { return (Vec::new(), keeping) };
        sought.read(&decoded);
        (sought.into_findings(), keeping)
    }
}

/// A coded answer as far as it is decoded: one that is in gzip alone.
struct Unpacking {
    decoder: MultiGzDecoder<Unpacked>,
}

/// What was decoded last, with some of what stood before it.
#[derive(Default)]
struct Unpacked {
    bytes: Vec<u8>,
    total: usize,
}

impl Unpacking {
    fn of(codings: &str) -> Option<Self> {
        let codings = codings.trim();
        let is_read = ["gzip", "x-gzip"].iter().any(|known| codings.eq_ignore_ascii_case(known));
        is_read.then(|| Self { decoder: MultiGzDecoder::new(Unpacked::default()) })
    }

    /// Decodes a piece, to be had from [`Self::bytes`] as far as that goes.
    fn next(&mut self, coded: &[u8]) -> io::Result<()> {
        let bytes = &mut self.decoder.get_mut().bytes;
        bytes.drain(..bytes.len().saturating_sub(BEFORE));
        self.decoder.write_all(coded)?;
        self.decoder.flush()
    }

    fn bytes(&self) -> &[u8] {
        &self.decoder.get_ref().bytes
    }

    fn has_begun(&self) -> bool {
        self.decoder.get_ref().total > 0
    }
}

impl Write for Unpacked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.total = self.total.saturating_add(bytes.len());
        let needed = self.bytes.len().saturating_add(bytes.len());
        if self.total > LONGEST_UNPACKED || needed > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    fn gzipped(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn what_there_is_of_a_coded_answer_is_decoded() {
        // Letters that do not compress well, so that what comes first is told first.
        let text: Vec<u8> = (0..20_000_u32)
            .flat_map(|n| format!("{:x}", n.wrapping_mul(0x9e37_79b1)).into_bytes())
            .collect();
        let coded = [gzipped(&text), gzipped(b"and another member")].concat();
        for length in [1, 100, 5_000, coded.len()] {
            let mut unpacking = Unpacking::of(" GZIP").unwrap();
            let (mut read, mut first) = (Vec::new(), None);
            for (number, piece) in coded.chunks(length).enumerate() {
                let before = unpacking.bytes().len().min(BEFORE);
                unpacking.next(piece).unwrap();
                read.extend_from_slice(&unpacking.bytes()[before..]);
                if !read.is_empty() {
                    first.get_or_insert(number * length);
                }
            }
            assert_eq!(read, [&text[..], b"and another member"].concat(), "{length}");
            assert!(first.unwrap() < coded.len() / 2, "{length}");
        }
        assert!(Unpacking::of("br").is_none() && Unpacking::of("gzip, gzip").is_none());
    }

    #[test]
    fn a_coded_answer_that_grows_too_much_is_left() {
        let coded = gzipped(&vec![b'a'; 64 << 20]);
        let mut unpacking = Unpacking::of("gzip").unwrap();
        let good =
            coded.chunks(PACKED_PIECE).take_while(|piece| unpacking.next(piece).is_ok()).count();
        assert!(good < coded.len() / PACKED_PIECE, "{good}");
        assert!(unpacking.bytes().len() <= LONGEST);
        assert!(unpacking.decoder.get_ref().total <= LONGEST_UNPACKED + (64 << 10));
    }

    #[test]
    fn one_piece_is_kept_without_a_copy() {
        let (one, two) = (Bytes::from_static(b"one"), Bytes::from_static(b"two"));
        let mut kept = Kept::default();
        kept.keep(&one);
        assert_eq!(kept.bytes().as_ptr(), one.as_ptr());
        kept.keep(&two);
        assert_eq!(kept.into_bytes(), "onetwo");
    }
}
