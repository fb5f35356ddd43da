//! A request that is read along as it leaves.
//!
//! Takes its pieces; keeps them within what the agent may have in memory, and has them read when its end
//! leaves, or when no more fit. What is too long, or finds no room, is counted.

use super::Ear;
use crate::inspect::model::{Gathering, Unread};
use crate::message::coding;
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;

/// A request that is read along.
pub(super) struct Along {
    ear: Ear,
    gathering: Gathering,
    /// The room that it takes of what the agent may have in memory.
    room: Option<OwnedSemaphorePermit>,
    is_over: bool,
}

impl Along {
    pub(super) const fn new(ear: Ear) -> Self {
        let gathering = Gathering::new(ear.longest);
        Self { ear, gathering, room: None, is_over: false }
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
        let length = self.gathering.kept().len() + piece.len();
        let why = match length {
            // What is coded cannot be cut.
            _ if length > self.ear.longest && self.ear.codings.is_some() => Some(Unread::Long),
            _ if !self.has_room(length.min(self.ear.longest)) => Some(Unread::NoRoom),
            _ => None,
        };
        if let Some(why) = why {
            self.is_over = true;
            (self.gathering, self.room) = (Gathering::new(0), None);
            self.ear.missed(why);
            return;
        }
        let mut full = Vec::new();
        self.gathering.push(piece, &mut |document| full.push(document));
        for document in full {
            let (ear, room) = (self.ear.clone(), self.room.take());
            self.ear.put(move || {
                ear.read_part(&document, true);
                drop(room);
            });
        }
    }

    /// Whether there is room for so many bytes, with what is put by for more.
    fn has_room(&mut self, length: usize) -> bool {
        let kept = self.gathering.kept();
        let capacity = if length <= kept.capacity() {
            kept.capacity()
        } else {
            length.max(2 * kept.capacity()).min(self.ear.longest)
        };
        let has_room = self.take_room(capacity);
        if has_room {
            let kept = self.gathering.kept();
            kept.reserve_exact(capacity.saturating_sub(kept.len()));
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
        let gathering = std::mem::replace(&mut self.gathering, Gathering::new(0));
        let (kept, is_all) = gathering.end();
        if !is_all {
            self.ear.missed(Unread::Long);
        }
        let kept = Bytes::from(kept);
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
        if !self.is_over && !self.gathering.kept().is_empty() {
            self.ear.missed(Unread::Truncated);
        }
    }
}
