//! One operation of a request: what it does, and the ids it carries.
//!
//! Takes a GraphQL call or a matched path with what the catalog says of it; returns [`Operation`].
//! An operation the catalog does not have is `unknown`, and every string in it may be an id.

use super::graphql::Call;
use crate::catalog::{Catalog, Effect, Identifier, OperationSpec, Reversibility};
use serde_json::Value;
use std::sync::Arc;

/// An id in a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Its kind; none if the catalog does not say.
    pub kind: Option<Arc<str>>,
    /// The id.
    pub value: String,
}

/// One operation.
#[derive(Clone, Debug)]
pub struct Operation {
    /// In the API's own terms, as in `mutation volumeDelete` or `DELETE /volumes/7`.
    pub name: Arc<str>,
    /// What it does.
    pub effect: Effect,
    /// Whether that can be undone.
    pub reversibility: Reversibility,
    /// For how long it can be got back, where it is recoverable.
    pub window: Option<String>,
    /// The ids that decide which environment it acts on.
    pub decides: Vec<Identity>,
    /// The ids of things inside that.
    pub names: Vec<Identity>,
    /// Whether it acts on everything: it has no deciding id, or one was left out.
    pub account: bool,
    /// Whether the catalog has it; on a plain resource always.
    pub known: bool,
    /// What an approver should know.
    pub note: Option<String>,
}

impl Operation {
    /// One that a catalog has, with the ids that a look-up of argument paths finds.
    pub(super) fn known(
        name: Arc<str>,
        spec: &OperationSpec,
        find: impl Fn(&Identifier) -> Option<Vec<String>>,
    ) -> Self {
        let mut decides = Vec::new();
        let mut account = spec.decides.is_empty();
        for identifier in &spec.decides {
            match find(identifier) {
                Some(values) if !values.is_empty() => {
                    decides.extend(identities(identifier, values));
                }
                _ => account = true,
            }
        }
        let names = spec
            .names
            .iter()
            .flat_map(|identifier| identities(identifier, find(identifier).unwrap_or_default()));
        Self {
            name,
            effect: spec.effect,
            reversibility: spec.reversibility,
            window: spec.window.clone(),
            decides,
            names: names.collect(),
            account,
            known: true,
            note: spec.note.clone(),
        }
    }

    /// One that no catalog has.
    pub(super) fn unknown(name: Arc<str>, strings: Vec<String>) -> Self {
        Self {
            name,
            effect: Effect::Unknown,
            reversibility: Reversibility::Irreversible,
            window: None,
            decides: strings.into_iter().map(|value| Identity { kind: None, value }).collect(),
            names: Vec::new(),
            account: true,
            known: false,
            note: None,
        }
    }

    /// One that says something of a WebSocket and acts on nothing: a read of the account.
    pub(super) fn of_socket(what: &str) -> Self {
        Self {
            effect: Effect::Read,
            reversibility: Reversibility::Reversible,
            known: true,
            ..Self::unknown(Arc::from(format!("websocket {what}")), Vec::new())
        }
    }
}

fn identities(identifier: &Identifier, values: Vec<String>) -> impl Iterator<Item = Identity> {
    values.into_iter().map(|value| Identity { kind: Some(identifier.kind.clone()), value })
}

/// The operation of a GraphQL root field.
pub(super) fn of_call(call: &Call, catalog: &Catalog) -> Operation {
    let reveals = catalog.graphql.iter().flat_map(|graphql| &graphql.reveals);
    let revealed = reveals.into_iter().any(|reveal| {
        call.nested.iter().any(|nested| {
            *nested.field == *reveal.field
                && reveal.below.as_ref().is_none_or(|below| {
                    nested.ancestors.iter().any(|ancestor| **ancestor == **below)
                        || call.field == **below
                })
                && reveal.when.as_ref().is_none_or(|argument| {
                    // Anything but a plain false may be true.
                    !matches!(
                        nested.arguments.get(&**argument),
                        None | Some(Value::Bool(false) | Value::Null)
                    )
                })
        })
    });
    let name: Arc<str> = Arc::from(format!("{} {}", call.kind, call.field));
    let spec = catalog.graphql.as_ref().and_then(|graphql| graphql.operations.get(&*name));
    let mut operation = match spec {
        Some(spec) => Operation::known(name, spec, |identifier| argument(call, identifier)),
        // Introspection says what the schema is, and acts on nothing.
        None if matches!(call.field.as_str(), "__schema" | "__type" | "__typename") => Operation {
            effect: Effect::Read,
            reversibility: Reversibility::Reversible,
            known: true,
            ..Operation::unknown(name, Vec::new())
        },
        None => {
            let mut strings = Vec::new();
            for value in call.arguments.values() {
                collect_strings(value, &mut strings);
            }
            Operation::unknown(name, strings)
        }
    };
    if revealed && matches!(operation.effect, Effect::Read | Effect::Write) {
        operation.effect = Effect::Credential;
        operation.note = Some("a nested field reveals secrets".to_owned());
    }
    operation
}

/// The ids at an argument path; none if nothing stands there.
fn argument(call: &Call, identifier: &Identifier) -> Option<Vec<String>> {
    let (first, rest) = identifier.path.split_first()?;
    let mut found = Vec::new();
    walk(call.arguments.get(&**first)?, rest, &mut found);
    (!found.is_empty()).then_some(found)
}

fn walk(value: &Value, path: &[Box<str>], found: &mut Vec<String>) {
    match (value, path.split_first()) {
        (Value::Array(members), _) => members.iter().for_each(|member| walk(member, path, found)),
        (Value::Object(map), Some((key, rest))) => {
            if let Some(value) = map.get(&**key) {
                walk(value, rest, found);
            }
        }
        (Value::String(text), None) => found.push(text.clone()),
        (Value::Number(number), None) => found.push(number.to_string()),
        // An object or boolean where an id belongs is an id that nobody owns.
        (Value::Object(_) | Value::Bool(_), None)
        | (Value::String(_) | Value::Number(_) | Value::Bool(_), Some(_)) => {
            found.push(String::new());
        }
        (Value::Null, _) => {}
    }
}

fn collect_strings(value: &Value, strings: &mut Vec<String>) {
    // One more than a request may name, so that no id hides behind the others.
    const MOST: usize = super::IDENTITIES + 1;
    match value {
        _ if strings.len() >= MOST => {}
        Value::String(text) => strings.push(text.clone()),
        Value::Array(members) => members.iter().for_each(|member| collect_strings(member, strings)),
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            strings.push(key.clone());
            collect_strings(value, strings);
        }),
        _ => {}
    }
}
