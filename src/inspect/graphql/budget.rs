//! How much a GraphQL request may make of itself.
//!
//! A few bytes of it can mean very much: fragments are spread often, variables are put in again and again.
//! Whatever grows that way is counted, and beyond a limit the request is [`Unreadable`].

use super::{DEPTH, Unreadable};
use serde_json::Value;
use std::cell::Cell;

const FIELDS: usize = 10_000;
const CALLS: usize = 500;
/// What all values may come to, each counted where it is put in.
const BYTES: usize = 8 << 20;

/// What one request, or one batch of them, may make of itself.
#[derive(Default)]
pub(super) struct Budget {
    calls: Cell<usize>,
    fields: Cell<usize>,
    bytes: Cell<usize>,
    depth: Cell<usize>,
}

/// One level of what goes into each other, until it is left.
pub(super) struct Level<'b>(&'b Cell<usize>);

impl Drop for Level<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

impl Budget {
    /// Goes one level deeper: each takes stack, whatever it is made of.
    pub(super) fn level(&self) -> Result<Level<'_>, Unreadable> {
        let depth = self.depth.get() + 1;
        if depth > DEPTH {
            return Err(Unreadable::Graphql("more than 100 levels"));
        }
        self.depth.set(depth);
        Ok(Level(&self.depth))
    }

    /// One root field more.
    pub(super) fn call(&self) -> Result<(), Unreadable> {
        spend(&self.calls, 1, CALLS, "more than 500 root fields")
    }

    /// One field more.
    pub(super) fn field(&self) -> Result<(), Unreadable> {
        spend(&self.fields, 1, FIELDS, "more than 10,000 fields")
    }

    /// For the value of a variable, each time it is put in.
    pub(super) fn value(&self, value: &Value) -> Result<(), Unreadable> {
        const WHY: &str = "its variables come to more than 8 MiB where they are used";
        spend(&self.bytes, 32, BYTES, WHY)?;
        match value {
            Value::String(text) => spend(&self.bytes, text.len(), BYTES, WHY),
            Value::Array(members) => members.iter().try_for_each(|member| self.value(member)),
            Value::Object(map) => map.iter().try_for_each(|(key, value)| {
                spend(&self.bytes, key.len(), BYTES, WHY)?;
                self.value(value)
            }),
            _ => Ok(()),
        }
    }
}

fn spend(
    spent: &Cell<usize>,
    cost: usize,
    most: usize,
    why: &'static str,
) -> Result<(), Unreadable> {
    spent.set(spent.get().saturating_add(cost));
    if spent.get() > most { Err(Unreadable::Graphql(why)) } else { Ok(()) }
}
