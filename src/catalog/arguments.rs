//! The arguments of one call, as JSON, and where in them something stands.
//!
//! Takes what an envelope carries; returns the values at a place. What could not be read is unknown
//! there, which is neither a value nor nothing. A `Debug` of arguments shows none of them.

use crate::message::json;
use serde_json::{Map, Value};
use std::sync::Arc;

/// The arguments of one call.
#[derive(Clone, Default)]
pub struct Arguments {
    values: Arc<Map<String, Value>>,
    /// Places at which something stands that could not be read; the one without names is all.
    unknown: Arc<[At]>,
}

/// A place in arguments: member names, outermost first. Lists on the way are walked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct At(Vec<Box<str>>);

/// What stands at a place.
#[derive(Debug, Default)]
pub struct Found<'a> {
    /// The values there.
    pub values: Vec<&'a Value>,
    /// Whether there may be more, or something else: it could not be read for certain.
    pub unknown: bool,
    /// Whether somewhere below the place something may stand that could not be read.
    pub unknown_below: bool,
}

impl Arguments {
    /// Arguments that were read whole.
    pub fn new(values: Map<String, Value>) -> Self {
        Self { values: Arc::new(values), unknown: Arc::from([]) }
    }

    /// Arguments of which nothing could be read.
    pub fn unknown() -> Self {
        Self::new(Map::new()).without_all([At(Vec::new())])
    }

    /// The same, with a member that is there and could not be read.
    #[must_use]
    pub fn without(self, member: &str) -> Self {
        self.without_all([At::single(member)])
    }

    /// The same, with places at which something may stand that could not be read.
    #[must_use]
    pub fn without_all(self, places: impl IntoIterator<Item = At>) -> Self {
        let unknown = self.unknown.iter().cloned().chain(places).collect();
        Self { unknown, ..self }
    }

    /// All that was read.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// What stands at a place.
    pub fn at(&self, place: &At) -> Found<'_> {
        let mut found = Found::default();
        let Some((first, rest)) = place.0.split_first() else { return found };
        found.unknown = self.unknown.iter().any(|hidden| hidden.hides(place));
        found.unknown_below = self.unknown.iter().any(|hidden| place.hides(hidden));
        if let Some(value) = member(&self.values, first, &mut found) {
            walk(value, rest, &mut found);
        }
        found
    }
}

static NOTHING: Value = Value::Null;

/// Follows a place. The depth is that of the place, which a catalog or a policy wrote.
fn walk<'a>(value: &'a Value, path: &[Box<str>], found: &mut Found<'a>) {
    match (value, path.split_first()) {
        (Value::Array(members), _) => members.iter().for_each(|member| match member {
            // Nothing takes a list of lists, so nobody can say how it is taken.
            Value::Array(_) => found.unknown = true,
            member => {
                let before = found.values.len();
                walk(member, path, found);
                if found.values.len() == before {
                    // One that has nothing there does not hide behind the others.
                    found.values.push(&NOTHING);
                }
            }
        }),
        (Value::Object(map), Some((key, rest))) => {
            // Forms write lists as objects with numbers for keys, and some servers read them so.
            let is_number = |key: &str| key.bytes().all(|byte| byte.is_ascii_digit());
            found.unknown |= !is_number(key) && map.keys().any(|key| is_number(key));
            if let Some(value) = member(map, key, found) {
                walk(value, rest, found);
            }
        }
        (Value::Null, Some(_)) => {}
        (value, None) => found.values.push(value),
        // A scalar where an object belongs: the same.
        (_, Some(_)) => found.unknown = true,
    }
}

/// A member by its name. Some servers read names in any case of letters, so that another spelling may
/// be the one that counts.
fn member<'a>(map: &'a Map<String, Value>, name: &str, found: &mut Found<'_>) -> Option<&'a Value> {
    found.unknown |= map.keys().any(|key| key != name && json::is_alike(key, name));
    map.get(name)
}

impl At {
    /// Reads `input.environmentId`.
    pub fn parse(text: &str) -> Option<Self> {
        let names: Vec<Box<str>> = text.split('.').map(Box::from).collect();
        names.iter().all(|name| !name.is_empty()).then_some(Self(names))
    }

    /// One member, whatever its name.
    pub fn single(name: &str) -> Self {
        Self(vec![name.into()])
    }

    /// A member of one of the arguments, whatever its name.
    pub fn below(argument: &str, name: &str) -> Self {
        Self(vec![argument.into(), name.into()])
    }

    /// Whether what stands here may stand at a place too.
    fn hides(&self, place: &Self) -> bool {
        self.0.len() <= place.0.len()
            && self.0.iter().zip(&place.0).all(|(one, other)| json::is_alike(one, other))
    }

    /// The outermost member.
    pub fn first(&self) -> &str {
        self.0.first().map_or("", |name| name)
    }

    /// The innermost member.
    pub fn last(&self) -> &str {
        self.0.last().map_or("", |name| name)
    }

    /// How many members lead there.
    pub fn depth(&self) -> usize {
        self.0.len()
    }
}

impl std::fmt::Display for At {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

impl std::fmt::Debug for Arguments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arguments").field("members", &self.values.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lists_are_walked_and_odd_values_are_unknown() {
        let json = json!({"input": [{"id": "a"}, {"id": ["b", null]}, {}, "c", [["d"]]]});
        let Value::Object(map) = json else { panic!() };
        let arguments = Arguments::new(map);
        let found = arguments.at(&At::parse("input.id").unwrap());
        let nothing = json!(null);
        assert_eq!(found.values, [&json!("a"), &json!("b"), &nothing, &nothing, &nothing]);
        assert!(found.unknown);
        assert!(arguments.at(&At::parse("other").unwrap()).values.is_empty());
        assert_eq!(format!("{arguments:?}"), "Arguments { members: 1, .. }");
    }

    #[test]
    fn a_name_in_other_letters_may_be_the_same() {
        let at = |json: Value, place: &str| {
            let Value::Object(map) = json else { panic!() };
            let arguments = Arguments::new(map);
            let found = arguments.at(&At::parse(place).unwrap());
            (found.values.len(), found.unknown)
        };
        assert_eq!(at(json!({"a": {"b": 1}}), "a.b"), (1, false));
        assert_eq!(at(json!({"A": {"b": 1}}), "a.b"), (0, true));
        assert_eq!(at(json!({"a": {"B": 1, "b": 2}}), "a.b"), (1, true));
        assert_eq!(at(json!({"a": {"bb": 1}}), "a.b"), (0, false));
        assert_eq!(at(json!({"deploy\u{17f}": 1}), "deploys"), (0, true));
    }

    #[test]
    fn what_could_not_be_read_is_unknown() {
        let body = Arguments::default().without("body");
        assert!(body.at(&At::parse("body.a").unwrap()).unknown);
        assert!(!body.at(&At::parse("query.a").unwrap()).unknown);
        assert!(Arguments::unknown().at(&At::parse("query.a").unwrap()).unknown);
    }

    #[test]
    fn a_place_has_no_empty_name() {
        for text in ["", ".a", "a.", "a..b"] {
            assert_eq!(At::parse(text), None, "{text}");
        }
    }
}
