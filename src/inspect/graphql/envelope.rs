//! The bodies in which a GraphQL request comes: JSON, a bare document, a form, a multipart form.
//!
//! Takes a media type and a whole body; returns the request as if it had come as JSON. Refuses what
//! one server reads as one kind of body and another as another, and files that are put in the place
//! of anything but an empty variable.

use super::{KEYS, of_pairs};
use crate::inspect::multipart::{self, Field};
use crate::inspect::{Unreadable, overriding::FORM};
use crate::message::{Head, json, path};
use serde_json::{Map, Value};

/// What a body asks for, and whether it is all that the request means: files have a meaning too.
pub(in crate::inspect) fn of_body(head: &Head, bytes: &[u8]) -> Result<(Value, bool), Unreadable> {
    match head.media_type().as_deref() {
        Some("application/graphql") => {
            let text = std::str::from_utf8(bytes).map_err(|_error| Unreadable::Charset)?;
            Ok((Value::Object(Map::from_iter([("query".to_owned(), text.into())])), true))
        }
        Some("multipart/form-data") => {
            let kind = head.header("content-type").unwrap_or_default();
            let fields = multipart::fields(kind, bytes).map_err(Unreadable::Multipart)?;
            Ok((of_multipart(&fields)?, false))
        }
        Some(FORM) => Ok((of_form(bytes)?, true)),
        _ => Ok((json::parse(bytes).map_err(|_error| Unreadable::Json)?, true)),
    }
}

/// A form, or JSON that is labelled as one, as curl labels what it is not told the type of.
fn of_form(bytes: &[u8]) -> Result<Value, Unreadable> {
    let text = std::str::from_utf8(bytes).map_err(|_error| Unreadable::Charset)?;
    let pairs = path::pairs(text);
    if let Ok(value) = json::parse(bytes) {
        let has_parameters = pairs.map_or(true, |pairs| {
            pairs.iter().any(|(name, _)| {
                let name = name.split('[').next().unwrap_or(name).trim();
                KEYS.iter().chain(&["operations", "map"]).any(|key| key.eq_ignore_ascii_case(name))
            })
        });
        if has_parameters {
            let why = "read as the form it says it is, it is another";
            return Err(Unreadable::Graphql(why));
        }
        return Ok(value);
    }
    of_pairs(&pairs.map_err(|_error| Unreadable::Form)?)
}

/// A multipart form: `operations`, `map`, and the files that `map` puts in the place of variables.
fn of_multipart(fields: &[Field<'_>]) -> Result<Value, Unreadable> {
    let one = |name: &str| {
        let mut all = fields.iter().filter(|field| field.name == name);
        let first =
            all.next().ok_or(Unreadable::Graphql("it carries no `operations` and `map`"))?;
        match all.next() {
            Some(_) => Err(Unreadable::Graphql("a field stands there twice")),
            None => json::parse(first.data).map_err(|_error| Unreadable::Json),
        }
    };
    let (operations, map) = (one("operations")?, one("map")?);
    let Value::Object(map) = map else {
        return Err(Unreadable::Graphql("its `map` is no object"));
    };
    for field in fields {
        let known = ["operations", "map"].contains(&&*field.name) || map.contains_key(&field.name);
        if !known {
            return Err(Unreadable::Graphql("it has a field that its `map` does not name"));
        }
    }
    for (name, places) in &map {
        let Value::Array(places) = places else {
            return Err(Unreadable::Graphql("a file of its `map` has no list of places"));
        };
        if !fields.iter().any(|field| field.name == *name) {
            return Err(Unreadable::Graphql("a file of its `map` is missing"));
        }
        for place in places {
            if !place.as_str().is_some_and(|place| is_empty_variable(&operations, place)) {
                return Err(Unreadable::Graphql(
                    "a file takes the place of what is no empty variable",
                ));
            }
        }
    }
    Ok(operations)
}

/// Whether `variables.input.file`, or `0.variables.file` in a batch, is there and null.
fn is_empty_variable(operations: &Value, place: &str) -> bool {
    let mut at = Some(operations);
    let mut within = false;
    for name in place.split('.') {
        within |= name == "variables";
        at = at.and_then(|value| match value {
            Value::Object(map) => map.get(name),
            Value::Array(members) => name.parse::<usize>().ok().and_then(|at| members.get(at)),
            _ => None,
        });
    }
    within && at.is_some_and(Value::is_null)
}
