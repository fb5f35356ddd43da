//! One operation of a request: what it does, and the ids it carries.
//!
//! Takes a call with its arguments and what the catalog says of it; returns [`Operation`]. An
//! operation the catalog does not have is `unknown`, and every string in it may be an id.

use super::graphql::Call;
use crate::catalog::condition::Pattern;
use crate::catalog::{
    Arguments, Catalog, Clause, Effect, Identifier, OperationSpec, Reversibility,
};
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
    /// What it is called with, for conditions; never shown.
    pub arguments: Arguments,
}

impl Operation {
    /// A call by its name in a catalog; unknown where the catalog does not have it.
    pub(super) fn named(name: Arc<str>, arguments: Arguments, catalog: &Catalog) -> Self {
        match catalog.operation(&name) {
            Some(spec) => Self::known(name, spec, arguments, catalog),
            None => Self::unknown(name, arguments),
        }
    }

    /// One that a catalog has.
    pub(super) fn known(
        name: Arc<str>,
        spec: &OperationSpec,
        arguments: Arguments,
        catalog: &Catalog,
    ) -> Self {
        let mut decides = Vec::new();
        let mut account = spec.decides.is_empty();
        for identifier in &spec.decides {
            let found = identifier.find(&arguments);
            account |= found.is_empty();
            decides.extend(identities(identifier, found));
        }
        for identifier in &spec.reaches {
            decides.extend(identities(identifier, identifier.find(&arguments)));
        }
        let names = spec.names.iter();
        let names =
            names.flat_map(|identifier| identities(identifier, identifier.find(&arguments)));
        let mut operation = Self {
            effect: spec.effect,
            reversibility: spec.reversibility,
            window: spec.window.clone(),
            decides,
            names: names.collect(),
            account,
            known: true,
            note: spec.note.clone(),
            name,
            arguments,
        };
        operation.depend(spec, catalog);
        operation
    }

    /// What depends on arguments. The gravest of the clauses that make it graver stands over all that
    /// make it milder.
    fn depend(&mut self, spec: &OperationSpec, catalog: &Catalog) {
        let by_name = catalog.when.iter().filter(|clause| fits(&clause.names, &self.name));
        let clauses = spec.when.iter().chain(by_name.map(|clause| &clause.clause));
        let base = (spec.effect, spec.reversibility);
        let applying = clauses.filter(|clause| clause.applies(&self.arguments, base.0, base.1));
        let (graver, milder): (Vec<&Clause>, Vec<&Clause>) =
            applying.partition(|clause| clause.is_graver_than(base.0, base.1));
        let standing = match graver.iter().max_by_key(|clause| clause.gravity(base.0, base.1)) {
            Some(gravest) => Some(*gravest),
            None => milder.first().copied(),
        };
        let Some(clause) = standing else { return };
        self.effect = clause.effect.unwrap_or(self.effect);
        self.reversibility = match (clause.reversibility, clause.effect) {
            (Some(reversibility), _) => reversibility,
            // What only reads leaves nothing to undo.
            (None, Some(Effect::Read)) => Reversibility::Reversible,
            (None, _) => self.reversibility,
        };
        if clause.window.is_some() || self.reversibility != Reversibility::Recoverable {
            self.window = clause.window.clone();
        }
        if clause.note.is_some() {
            self.note = clause.note.clone();
        }
    }

    /// One that no catalog has; every text in it may be an id.
    pub(super) fn unknown(name: Arc<str>, arguments: Arguments) -> Self {
        let mut strings = Vec::new();
        for value in arguments.values().values() {
            collect_strings(value, &mut strings);
        }
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
            arguments,
        }
    }

    /// One that reads and has no ids, whatever a catalog says.
    pub(super) fn reading(name: Arc<str>) -> Self {
        Self {
            effect: Effect::Read,
            reversibility: Reversibility::Reversible,
            known: true,
            ..Self::unknown(name, Arguments::default())
        }
    }

    /// One that says something of a WebSocket and acts on nothing: a read of the account.
    pub(super) fn of_socket(what: &str) -> Self {
        Self::reading(Arc::from(format!("websocket {what}")))
    }
}

fn fits(names: &[Pattern], name: &str) -> bool {
    names.iter().any(|pattern| pattern.fits(name))
}

fn identities(identifier: &Identifier, values: Vec<String>) -> impl Iterator<Item = Identity> {
    values.into_iter().map(|value| Identity { kind: Some(identifier.kind.clone()), value })
}

/// The operation of a GraphQL root field.
pub(super) fn of_call(call: Call, catalog: &Catalog) -> Operation {
    let revealed = reveals(&call, catalog);
    let name: Arc<str> = Arc::from(format!("{} {}", call.kind, call.field));
    // Introspection says what the schema is, and acts on nothing.
    let introspects = matches!(call.field.as_str(), "__schema" | "__type" | "__typename");
    let mut operation = if introspects {
        Operation::reading(name)
    } else {
        Operation::named(name, Arguments::new(call.arguments), catalog)
    };
    if revealed && matches!(operation.effect, Effect::Read | Effect::Write) {
        operation.effect = Effect::Credential;
        operation.note = Some("a nested field reveals secrets".to_owned());
    }
    operation
}

/// Whether a nested field of a call reveals secrets.
fn reveals(call: &Call, catalog: &Catalog) -> bool {
    let reveals = catalog.graphql.iter().flat_map(|graphql| &graphql.reveals);
    reveals.into_iter().any(|reveal| {
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
    })
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
