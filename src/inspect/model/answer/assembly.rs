//! Calls whose input comes in pieces.
//!
//! Takes the beginnings, pieces and ends of calls by their places; tells each call when it is complete.
//! Refuses what is too long of an input, more calls than are followed, and pieces without a beginning.

use crate::inspect::model::telling::{Form, Input, Listener, Telling, cut};
use crate::inspect::model::walk::{Raw, text};
use crate::inspect::model::{By, INPUT, INPUTS, OPEN, Unread};
use serde_json::value::RawValue;

/// Where a call stands in its answer.
pub(in crate::inspect::model) type Place = (u64, u64);

/// The calls of an answer that are open.
#[derive(Default)]
pub(in crate::inspect::model) struct Assembly {
    open: Vec<Open>,
    /// Items whose complete form is still to come.
    expected: Vec<Place>,
    /// Some came.
    got: bool,
    /// What was said of this answer, and is not said again.
    is_crowded: bool,
    has_strayed: bool,
    /// How often it was changed.
    changes: u64,
}

struct Open {
    at: Place,
    id: String,
    tool: String,
    by: By,
    form: Form,
    /// The input that stood at its beginning, if one did.
    first: Option<Box<str>>,
    input: String,
    unread: Option<Unread>,
}

/// A call that begins.
pub(in crate::inspect::model) struct Begun<'a> {
    pub(in crate::inspect::model) id: &'a str,
    pub(in crate::inspect::model) tool: &'a str,
    pub(in crate::inspect::model) by: By,
    pub(in crate::inspect::model) form: Form,
    /// The input as JSON, where it stands there already.
    pub(in crate::inspect::model) first: Option<&'a str>,
}

impl Assembly {
    /// A call begins.
    pub(in crate::inspect::model) fn begin<L: Listener>(
        &mut self,
        at: Place,
        begun: &Begun<'_>,
        telling: &mut Telling<'_, L>,
    ) {
        self.changes += 1;
        let before = self.open.iter().position(|open| open.at == at);
        if let Some(open) = before.map(|before| self.open.remove(before)) {
            open.fail(Unread::Truncated, telling);
        }
        if self.open.len() >= OPEN {
            if !std::mem::replace(&mut self.is_crowded, true) {
                telling.unread(Unread::Crowded);
            }
            return;
        }
        let Begun { id, tool, by, form, first } = *begun;
        let room = INPUTS.saturating_sub(self.kept()).min(INPUT);
        let too_long = first.is_some_and(|first| first.len() > room);
        let unread = too_long.then_some(Unread::LongInput);
        let (id, tool) = (cut(id).to_owned(), cut(tool).to_owned());
        let first = first.filter(|_| unread.is_none()).map(Box::from);
        self.open.push(Open { at, id, tool, by, form, first, input: String::new(), unread });
    }

    /// Whether what is said at a place is of the call that is open there: by its id, or where none is
    /// said by its name. A call that has no name yet takes it.
    pub(in crate::inspect::model) fn goes_on(&mut self, at: Place, id: &str, tool: &str) -> bool {
        self.changes += 1;
        let Some(open) = self.open.iter_mut().find(|open| open.at == at) else { return false };
        let (id, tool) = (cut(id), cut(tool));
        if open.tool.is_empty() {
            tool.clone_into(&mut open.tool);
        }
        if id.is_empty() { tool.is_empty() || open.tool == tool } else { open.id == id }
    }

    /// A piece of the input of a call, as a text.
    pub(in crate::inspect::model) fn piece<L: Listener>(
        &mut self,
        at: Place,
        piece: Raw<'_>,
        telling: &mut Telling<'_, L>,
    ) {
        let Some(raw) = piece else { return };
        self.changes += 1;
        let kept = self.kept();
        let Some(open) = self.open.iter_mut().find(|open| open.at == at) else {
            if !self.is_crowded && !std::mem::replace(&mut self.has_strayed, true) {
                telling.unread(Unread::Stray);
            }
            return;
        };
        if open.unread.is_some() {
            return;
        }
        // Some hosts send the whole as JSON.
        let piece = text(piece).unwrap_or_else(|| raw.get().into());
        let room = INPUTS.saturating_sub(kept).min(INPUT.saturating_sub(open.input.len()));
        if piece.len() > room {
            (open.unread, open.input) = (Some(Unread::LongInput), String::new());
        } else {
            open.input.push_str(&piece);
        }
    }

    /// The call at a place is complete.
    pub(in crate::inspect::model) fn end<L: Listener>(
        &mut self,
        at: Place,
        telling: &mut Telling<'_, L>,
    ) {
        if let Some(found) = self.open.iter().position(|open| open.at == at) {
            self.changes += 1;
            self.open.remove(found).tell(telling);
        }
    }

    /// The calls of a choice are complete.
    pub(in crate::inspect::model) fn end_within<L: Listener>(
        &mut self,
        choice: u64,
        telling: &mut Telling<'_, L>,
    ) {
        for open in self.open.extract_if(.., |open| open.at.0 == choice) {
            self.changes += 1;
            open.tell(telling);
        }
    }

    /// All calls are complete.
    pub(in crate::inspect::model) fn end_all<L: Listener>(&mut self, telling: &mut Telling<'_, L>) {
        for open in self.open.drain(..) {
            self.changes += 1;
            open.tell(telling);
        }
    }

    /// The answer is at its end, as it says: a call that lacks its own and can be read is complete.
    pub(in crate::inspect::model) fn finish<L: Listener>(&mut self, telling: &mut Telling<'_, L>) {
        for open in self.open.extract_if(.., |open| open.is_read()) {
            self.changes += 1;
            open.tell(telling);
        }
        self.cut(telling);
    }

    /// No more comes: what is open is not complete.
    pub(in crate::inspect::model) fn cut<L: Listener>(&mut self, telling: &mut Telling<'_, L>) {
        for open in self.open.drain(..) {
            self.changes += 1;
            open.fail(Unread::Truncated, telling);
        }
        for _missing in self.expected.drain(..) {
            self.changes += 1;
            telling.unread(Unread::Truncated);
        }
    }

    /// An item has begun, whose complete form comes later; whether that is a call.
    pub(in crate::inspect::model) fn expect<L: Listener>(
        &mut self,
        at: Place,
        is_call: bool,
        telling: &mut Telling<'_, L>,
    ) {
        if !is_call || self.expected.contains(&at) {
            return;
        }
        self.changes += 1;
        if self.expected.len() < OPEN {
            self.expected.push(at);
        } else if !std::mem::replace(&mut self.is_crowded, true) {
            telling.unread(Unread::Crowded);
        }
    }

    /// An item is there in its complete form.
    pub(in crate::inspect::model) fn got(&mut self, at: Place) {
        self.got = true;
        self.expected.retain(|expected| *expected != at);
    }

    /// Whether items were there in their complete form.
    pub(in crate::inspect::model) const fn has_got(&self) -> bool {
        self.got
    }

    /// How often calls began, went on or ended so far.
    pub(in crate::inspect::model) const fn changes(&self) -> u64 {
        self.changes
    }

    /// Whether nothing goes on.
    pub(in crate::inspect::model) const fn is_idle(&self) -> bool {
        self.open.is_empty()
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.kept() + self.open.iter().map(|open| open.input.capacity()).sum::<usize>()
    }

    fn kept(&self) -> usize {
        let kept = |open: &Open| open.input.len() + open.first.as_ref().map_or(0, |raw| raw.len());
        self.open.iter().map(kept).sum()
    }
}

impl Open {
    fn read(&self) -> Input {
        let first = self.first.as_deref().filter(|_| self.input.is_empty());
        match (self.unread, first) {
            (Some(why), _) => Input::missing(why),
            (None, Some(first)) => {
                // It stood there as JSON, or as the text of it.
                let raw: Option<&RawValue> = serde_json::from_str(first).ok();
                Input::of(&text(raw).unwrap_or_else(|| first.into()), Form::Json)
            }
            (None, None) => Input::of(&self.input, self.form),
        }
    }

    /// Whether its input is there, as far as can be seen.
    fn is_read(&self) -> bool {
        let has_input = self.first.is_some() || !self.input.is_empty();
        has_input && self.read().is_read()
    }

    fn tell<L: Listener>(self, telling: &mut Telling<'_, L>) {
        telling.tell(&self.id, &self.tool, self.read(), self.by);
    }

    fn fail<L: Listener>(self, why: Unread, telling: &mut Telling<'_, L>) {
        telling.unread(self.unread.unwrap_or(why));
    }
}
