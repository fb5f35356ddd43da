//! A request that is read along as it leaves.
//!
//! Takes its pieces; keeps them within what the agent may have in memory, and has them read when its end
//! leaves. What is too long, or finds no room, is counted.

use super::Ear;
use crate::inspect::model::Unread;
use crate::message::coding;
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

/// A request that is read along.
pub(super) struct Along {
    ear: Ear,
    kept: Vec<u8>,
    /// The room that it takes of what the agent may have in memory.
    room: Option<OwnedSemaphorePermit>,
    is_over: bool,
}

impl Along {
    pub(super) const fn new(ear: Ear) -> Self {
        Self { ear, kept: Vec::new(), room: None, is_over: false }
    }

    /// Takes the next piece, or the end.
    pub(super) fn pass(&mut self, piece: Option<&[u8]>) {
        if self.is_over {
            return;
        }
        let Some(piece) = piece else {
            self.is_over = true;
            self.end();
            return;
        };
        let length = self.kept.len() + piece.len();
        let why = match length {
            _ if length > self.ear.longest => Some(Unread::Long),
            _ if !self.has_room(length) => Some(Unread::NoRoom),
            _ => None,
        };
        if let Some(why) = why {
            self.is_over = true;
            (self.kept, self.room) = (Vec::new(), None);
            self.ear.missed(why);
            return;
        }
        self.kept.extend_from_slice(piece);
    }

    /// Whether there is room for so many bytes, with what is put by for more.
    fn has_room(&mut self, length: usize) -> bool {
        if length <= self.kept.capacity() {
            return true;
        }
        let capacity = length.max(2 * self.kept.capacity()).min(self.ear.longest);
        let has_room = self.take_room(capacity);
        if has_room {
            self.kept.reserve_exact(capacity - self.kept.len());
        }
        has_room
    }

    /// Takes room until there is so much.
    fn take_room(&mut self, bytes: usize) -> bool {
        let held = self.room.as_ref().map_or(0, |room| room.num_permits() << 10);
        if bytes <= held {
            return true;
        }
        let Ok(missing) = u32::try_from((bytes - held).div_ceil(1 << 10)) else { return false };
        let bodies = self.ear.caller.state.bodies.clone();
        let Ok(room) = bodies.try_acquire_many_owned(missing) else { return false };
        match &mut self.room {
            Some(held) => held.merge(room),
            none => *none = Some(room),
        }
        true
    }

    fn end(&mut self) {
        let kept = Bytes::from(std::mem::take(&mut self.kept));
        let ear = self.ear.clone();
        if ear.codings.is_none() && ear.is_read_at_once(&kept) {
            self.room = None;
            ear.read_now(&kept);
            return;
        }
        if ear.codings.is_some() && !self.take_room(kept.len() + ear.longest) {
            ear.missed(Unread::NoRoom);
            return;
        }
        let room = self.room.take();
        let work = move || {
            let body = match &ear.codings {
                None => Ok(kept),
                Some(codings) => coding::decode(codings, &kept, ear.longest),
            };
            match body {
                Ok(body) => ear.read_now(&body),
                Err(coding::Error::TooLarge) => ear.missed(Unread::Long),
                Err(_coding) => ear.missed(Unread::Coded),
            }
            drop(room);
        };
        self.ear.put(work);
    }
}

impl Drop for Along {
    fn drop(&mut self) {
        // What broke off has left as far as it came, and was not read.
        if !self.is_over && !self.kept.is_empty() {
            self.ear.missed(Unread::Truncated);
        }
    }
}
