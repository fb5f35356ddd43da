//! One operation of a request: what it does, and the ids it carries.
//!
//! Takes a call with its arguments and what the catalog says of it; returns [`Operation`]. An
//! operation the catalog does not have is `unknown`, and every string in it may be an id.

use super::graphql::{Call, Nested};
use crate::catalog::condition::Pattern;
use crate::catalog::{
    Arguments, Catalog, Clause, Effect, Identifier, Learns, OperationSpec, Reveal, Reversibility,
};
use serde_json::Value;
use std::borrow::Cow;
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
    /// What it does; the gravest of its effects.
    pub effect: Effect,
    /// What it does besides. Each effect is judged, for none stands for another.
    pub also: Vec<Effect>,
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
            also: Vec::new(),
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

    /// What depends on arguments: all that makes it graver, or else the first that makes it milder.
    fn depend(&mut self, spec: &OperationSpec, catalog: &Catalog) {
        let by_name = catalog.when.iter().filter(|clause| fits(&clause.names, &self.name));
        let clauses = spec.when.iter().chain(by_name.map(|clause| &clause.clause));
        let base = (spec.effect, spec.reversibility);
        let applying = clauses.filter(|clause| clause.applies(&self.arguments, base.0, base.1));
        let (mut graver, milder): (Vec<&Clause>, Vec<&Clause>) =
            applying.partition(|clause| clause.is_graver_than(base.0, base.1));
        graver.sort_by_key(|clause| clause.gravity(base.0, base.1));
        for clause in &graver {
            self.does(clause.effect.unwrap_or(base.0));
            self.reversibility = self.reversibility.max(clause.reversibility.unwrap_or(base.1));
        }
        let Some(telling) = graver.last().or_else(|| milder.first()).copied() else { return };
        if graver.is_empty() {
            self.effect = telling.effect.unwrap_or(self.effect);
            self.reversibility = match (telling.reversibility, telling.effect) {
                (Some(reversibility), _) => reversibility,
                // What only reads leaves nothing to undo.
                (None, Some(Effect::Read)) => Reversibility::Reversible,
                (None, _) => self.reversibility,
            };
        }
        if telling.window.is_some() || self.reversibility != Reversibility::Recoverable {
            self.window = telling.window.clone();
        }
        if telling.note.is_some() {
            self.note = telling.note.clone();
        }
    }

    /// Adds an effect; the gravest stands first.
    pub(super) fn does(&mut self, effect: Effect) {
        if effect == self.effect || self.also.contains(&effect) {
            return;
        }
        let before = self.effect;
        let milder = if effect.severity() >= before.severity() {
            self.effect = effect;
            before
        } else {
            effect
        };
        // That it reads as well says nothing.
        if milder != Effect::Read {
            self.also.push(milder);
        }
    }

    /// Whether it has an effect.
    pub fn has(&self, effect: Effect) -> bool {
        self.effect == effect || self.also.contains(&effect)
    }

    /// Its effects as they are told, the gravest first: `destructive, credential`.
    pub fn effects(&self) -> String {
        let also = self.also.iter().map(|effect| effect.as_str());
        std::iter::once(self.effect.as_str()).chain(also).collect::<Vec<_>>().join(", ")
    }

    /// The same call for each of its effects by itself.
    pub fn by_effect(&self) -> impl Iterator<Item = Cow<'_, Self>> {
        let other = |effect: &Effect| {
            Cow::Owned(Self { effect: *effect, also: Vec::new(), ..self.clone() })
        };
        std::iter::once(Cow::Borrowed(self)).chain(self.also.iter().map(other))
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
            also: Vec::new(),
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
    let elsewhere = revealed.contains(&Where::Elsewhere);
    let name: Arc<str> = Arc::from(format!("{} {}", call.kind, call.field));
    // Introspection says what the schema is, and acts on nothing.
    let introspects = matches!(call.field.as_str(), "__schema" | "__type" | "__typename");
    let mut operation = if introspects {
        Operation::reading(name)
    } else {
        Operation::named(name, Arguments::new(call.arguments), catalog)
    };
    if !revealed.is_empty() {
        if matches!(operation.effect, Effect::Read | Effect::Write) {
            operation.note = Some("a nested field reveals secrets".to_owned());
        }
        operation.does(Effect::Credential);
        // Below a thing that owns others the secrets may be those of any of them.
        operation.account |= elsewhere;
    }
    operation
}

/// Whose secrets a nested field reveals.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Where {
    /// Those of the thing that the call is about.
    Here,
    /// Those of another thing that the selection leads to.
    Elsewhere,
}

/// The secrets that nested fields of a call reveal.
fn reveals(call: &Call, catalog: &Catalog) -> Vec<Where> {
    let Some(graphql) = &catalog.graphql else { return Vec::new() };
    let is = |reveal: &Reveal, nested: &Nested| {
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
    };
    let revealing =
        call.nested.iter().filter(|nested| graphql.reveals.iter().any(|reveal| is(reveal, nested)));
    let learns = graphql.learns.as_deref();
    let elsewhere = |nested: &&Nested| match learns {
        Some(learns) => leads_elsewhere(call, nested, learns),
        // Without a schema only a field of the thing itself is known to be of it.
        None => !nested.ancestors.is_empty(),
    };
    revealing
        .map(|nested| if elsewhere(&nested) { Where::Elsewhere } else { Where::Here })
        .collect()
}

/// Whether the way from a call's own thing to a nested field leads over one that owns others.
fn leads_elsewhere(call: &Call, nested: &Nested, learns: &Learns) -> bool {
    let root = match call.kind {
        "query" => "Query",
        "mutation" => "Mutation",
        _ => "Subscription",
    };
    let root = learns.schema.of(root).and_then(|root| root.field(&call.field));
    let Some(mut at) = root.and_then(|field| learns.schema.of(field.named())) else { return true };
    for name in &nested.ancestors {
        // What the schema cannot say leads anywhere.
        let Some(field) = at.field(name) else { return true };
        let Some(next) = learns.schema.of(field.named()) else { return true };
        if learns.owns(next.name) {
            return true;
        }
        at = next;
    }
    false
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
