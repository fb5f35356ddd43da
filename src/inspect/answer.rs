//! What an answer teaches: which ids belong to which.
//!
//! Takes the body of an answer and what the request that was judged makes expect; returns
//! [`Taught`] facts. Pure. A body that is not strict JSON, or not of the expected form, teaches
//! nothing; a value that is not an id, or stands under a key that is not certain, does not either.

use super::graphql::{Expected, Selected};
use crate::catalog::{Learns, Named};
use crate::message::json;
use crate::policy::folded;
use serde_json::{Map, Value};
use std::collections::HashSet;
use std::sync::Arc;

/// One id belongs to another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Taught {
    /// The kind of the thing.
    pub kind: Arc<str>,
    /// Its id.
    pub id: String,
    /// The kind of its owner.
    pub owner_kind: Arc<str>,
    /// Its owner's id.
    pub owner: String,
    /// Whether it may belong to others as well.
    pub shared: bool,
}

/// One answer teaches no more than this.
const MOST: usize = 5_000;
/// No id is longer.
const LONGEST: usize = 128;

/// Reads an answer.
pub fn taught(body: &[u8], expected: &Expected) -> Vec<Taught> {
    let Ok(body) = json::parse(body) else { return Vec::new() };
    let answers: &[Value] = match &body {
        Value::Array(answers) if expected.is_batch => answers,
        Value::Object(_) if !expected.is_batch => std::slice::from_ref(&body),
        _ => return Vec::new(),
    };
    if answers.len() != expected.requests.len() {
        return Vec::new();
    }
    let mut lesson = Lesson { learns: &expected.learns, known: HashSet::new(), taught: Vec::new() };
    for (answer, selected) in answers.iter().zip(&expected.requests) {
        // Errors beside data leave null what they are about; the rest is as true as without them.
        if let (Some(selected), Some(data)) = (selected, answer.get("data")) {
            lesson.read(selected, data, None);
        }
    }
    lesson.taught
}

struct Lesson<'a> {
    learns: &'a Learns,
    known: HashSet<Taught>,
    taught: Vec<Taught>,
}

impl Lesson<'_> {
    /// Reads a value along what is selected of it. How deep it goes is bound by the selection, and
    /// by the reader of JSON.
    fn read(&mut self, selected: &Selected, value: &Value, given: Option<&str>) {
        match value {
            Value::Array(members) => {
                for member in members {
                    self.read(selected, member, None);
                }
            }
            Value::Object(map) => {
                if !contradicts(selected, map, given) {
                    self.object(selected, map, given);
                }
                for (name, below) in selected.fields() {
                    if let (Some(below), Some(value)) = (below, map.get(name)) {
                        self.read(below, value, below.given.as_deref());
                    }
                }
            }
            _ => {}
        }
    }

    fn object(&mut self, selected: &Selected, map: &Map<String, Value>, given: Option<&str>) {
        let learns = self.learns;
        for rule in learns.rules(selected.type_.name) {
            let all = |named: &[Named]| {
                let mut found = Vec::new();
                for named in named {
                    let mut values = Vec::new();
                    collect(selected, map, &named.path, given, &mut values);
                    found.extend(values.into_iter().map(|id| (named.kind.clone(), id)));
                }
                found
            };
            let (ids, owners) = (all(&rule.ids), all(&rule.owners));
            for (kind, id) in &ids {
                for (owner_kind, owner) in &owners {
                    if self.taught.len() >= MOST {
                        return;
                    }
                    let taught = Taught {
                        kind: kind.clone(),
                        id: (*id).to_owned(),
                        owner_kind: owner_kind.clone(),
                        owner: (*owner).to_owned(),
                        shared: rule.shared,
                    };
                    if self.known.insert(taught.clone()) {
                        self.taught.push(taught);
                    }
                }
            }
        }
    }
}

/// Whether an object that was asked for by its id says that it has another.
fn contradicts(selected: &Selected, map: &Map<String, Value>, given: Option<&str>) -> bool {
    let Some(given) = given else { return false };
    let said = selected.field("id").and_then(|_| map.get("id"));
    said.is_some_and(|said| said.as_str().is_none_or(|said| folded(said) != folded(given)))
}

/// The ids at a path of fields, each under its own name.
fn collect<'v>(
    selected: &Selected,
    map: &'v Map<String, Value>,
    path: &[&str],
    given: Option<&'v str>,
    found: &mut Vec<&'v str>,
) {
    let Some((first, rest)) = path.split_first() else { return };
    let Some(below) = selected.field(first) else {
        let given = given.filter(|id| rest.is_empty() && *first == "id" && is_id(id));
        found.extend(given);
        return;
    };
    let Some(value) = map.get(*first) else { return };
    if rest.is_empty() {
        found.extend(value.as_str().filter(|text| is_id(text)));
    } else if let Some(below) = below {
        objects(value, &mut |map| collect(below, map, rest, None, found));
    }
}

/// Each object of a value: itself, or the members of a list.
fn objects<'v>(value: &'v Value, each: &mut dyn FnMut(&'v Map<String, Value>)) {
    match value {
        Value::Object(map) => each(map),
        Value::Array(members) => members.iter().for_each(|member| objects(member, each)),
        _ => {}
    }
}

/// Whether a text has the form of an id: short, and nothing that could be mistaken for another.
fn is_id(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic())
}

#[cfg(test)]
mod tests;
