//! What an answer will be made of, by the selection set of the request.
//!
//! Takes the operation that a server executes and the catalog's schema; returns [`Selected`]: for each
//! key of the answer the schema's field that it is the value of, or that this is not certain. An alias
//! is not certain, nor is a field that the schema does not have, a key that two selections fill
//! differently, anything below a type that may be several, or what an unknown directive may change.

use super::{Call, Reader};
use crate::catalog::Learns;
use crate::catalog::schema::{Field, Schema, Shape, Type};
use apollo_parser::cst::{self, CstNode};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// The keys of an object of an answer.
#[derive(Debug)]
pub struct Selected {
    /// The object's type.
    pub type_: &'static Type,
    keys: HashMap<String, Key>,
    /// The id that the query was given, where it answers with the object of that id.
    pub given: Option<String>,
}

/// What the value of a key is.
#[derive(Debug)]
enum Key {
    /// That of the field of this name, asked for with these arguments.
    Of { arguments: String, field: &'static Field, below: Option<Selected> },
    /// Nobody can say.
    Uncertain,
}

/// What the answer to a request is read along.
#[derive(Debug)]
pub struct Expected {
    /// What the catalog says of the service's answers.
    pub learns: Arc<Learns>,
    /// The executed operation of each request of a batch, where its answer may teach anything.
    pub requests: Vec<Option<Selected>>,
    /// Whether they came as an array, and so will the answers.
    pub is_batch: bool,
}

/// Beyond these an answer teaches nothing.
const KEYS: usize = 2_000;
const LEVELS: usize = 50;

impl Selected {
    fn new(type_: &'static Type) -> Self {
        Self { type_, keys: HashMap::new(), given: None }
    }

    /// The fields whose keys are certain, with what is selected below each.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, Option<&Self>)> {
        self.keys.values().filter_map(|key| match key {
            Key::Of { field, below, .. } => Some((field.name, below.as_ref())),
            Key::Uncertain => None,
        })
    }

    /// What is selected below a field, if its key is certain.
    pub fn field(&self, name: &str) -> Option<Option<&Self>> {
        match self.keys.get(name)? {
            Key::Of { below, .. } => Some(below.as_ref()),
            Key::Uncertain => None,
        }
    }

    /// Whether a path of fields is selected, each under its own name.
    fn has(&self, path: &[&str]) -> bool {
        match path {
            [] => false,
            [last] => self.field(last).is_some() || (*last == "id" && self.given.is_some()),
            [first, rest @ ..] => self.field(first).flatten().is_some_and(|below| below.has(rest)),
        }
    }

    /// Whether an answer of this form may teach anything.
    fn teaches(&self, learns: &Learns) -> bool {
        let by_rule = learns.rules(self.type_.name).iter().any(|rule| {
            rule.ids.iter().any(|id| self.has(&id.path))
                && rule.owners.iter().any(|owner| self.has(&owner.path))
        });
        by_rule || self.fields().any(|(_, below)| below.is_some_and(|it| it.teaches(learns)))
    }
}

/// What the answer to an operation is made of; none where it teaches nothing.
pub(super) fn of(
    reader: &Reader<'_>,
    operation: &cst::OperationDefinition,
    roots: &[Call],
    learns: &Learns,
) -> Option<Selected> {
    let kind = roots.first()?.kind;
    let root = match kind {
        "query" => "Query",
        "mutation" => "Mutation",
        // Its answers come one after the other.
        _ => return None,
    };
    if !is_plain(operation.directives().as_ref()) {
        return None;
    }
    let root = learns.schema.of(root)?;
    // Most writes answer with a word, which needs no tracing.
    let is_object = |call: &Call| {
        let field = root.field(&call.field);
        field.is_some_and(|field| learns.schema.of(field.named()).is_some())
    };
    if !roots.iter().any(is_object) {
        return None;
    }
    let mut selected = Selected::new(root);
    let mut trace = Trace { reader, schema: learns.schema, keys: 0 };
    trace.set(operation.selection_set().as_ref(), true, &mut selected, &mut Vec::new(), 0)?;
    if kind == "query" {
        for (name, key) in &mut selected.keys {
            if let Key::Of { below: Some(below), .. } = key {
                below.given = given(name, roots, learns);
            }
        }
    }
    selected.teaches(learns).then_some(selected)
}

/// The id of the object that a query answers with. Where the field stands there more than once, under
/// whatever alias, all have to be for the same.
fn given(field: &str, roots: &[Call], learns: &Learns) -> Option<String> {
    let argument = learns.given(field)?;
    let mut ids = roots
        .iter()
        .filter(|call| call.field == field)
        .map(|call| call.arguments.get(argument).and_then(Value::as_str));
    let first = ids.next()??;
    ids.all(|id| id == Some(first)).then(|| first.to_owned())
}

struct Trace<'a> {
    reader: &'a Reader<'a>,
    schema: &'static Schema,
    keys: usize,
}

impl Trace<'_> {
    /// Adds what a selection set selects; `certain` where it is one of the very type. None: too much.
    fn set(
        &mut self,
        set: Option<&cst::SelectionSet>,
        certain: bool,
        into: &mut Selected,
        within: &mut Vec<String>,
        level: usize,
    ) -> Option<()> {
        if level > LEVELS {
            return None;
        }
        for selection in set.into_iter().flat_map(cst::SelectionSet::selections) {
            self.keys += 1;
            if self.keys > KEYS {
                return None;
            }
            match selection {
                cst::Selection::Field(field) => self.field(&field, certain, into, level)?,
                cst::Selection::InlineFragment(fragment) => {
                    let certain = certain
                        && is_plain(fragment.directives().as_ref())
                        && applies(fragment.type_condition(), into.type_);
                    let set = fragment.selection_set();
                    self.set(set.as_ref(), certain, into, within, level + 1)?;
                }
                cst::Selection::FragmentSpread(spread) => {
                    let name = spread.fragment_name()?.name()?.text().to_string();
                    if within.contains(&name) {
                        return None;
                    }
                    let fragment = self.reader.fragments.get(&name)?;
                    let condition = fragment.type_condition();
                    let certain = certain
                        && is_plain(spread.directives().as_ref())
                        && is_plain(fragment.directives().as_ref())
                        && condition.is_some()
                        && applies(condition, into.type_);
                    within.push(name);
                    let set = fragment.selection_set();
                    self.set(set.as_ref(), certain, into, within, level + 1)?;
                    within.pop();
                }
            }
        }
        Some(())
    }

    fn field(
        &mut self,
        field: &cst::Field,
        certain: bool,
        into: &mut Selected,
        level: usize,
    ) -> Option<()> {
        let name = field.name()?.text().to_string();
        let alias = field.alias().and_then(|alias| alias.name());
        let alias = alias.map(|alias| alias.text().to_string()).filter(|alias| *alias != name);
        let known = into
            .type_
            .field(&name)
            .filter(|_| certain && alias.is_none() && is_plain(field.directives().as_ref()));
        let Some(known) = known else {
            into.keys.insert(alias.unwrap_or(name), Key::Uncertain);
            return Some(());
        };
        let arguments = field.arguments().map(|them| them.source_string()).unwrap_or_default();
        let below = self.schema.of(known.named());
        let below = below.filter(|type_| type_.shape == Shape::Object);
        let key = into.keys.entry(name).or_insert_with(|| Key::Of {
            arguments: arguments.clone(),
            field: known,
            below: below.map(Selected::new),
        });
        let same = matches!(key, Key::Of { arguments: before, .. } if *before == arguments);
        if !same {
            *key = Key::Uncertain;
        }
        if let Key::Of { below: Some(below), .. } = key {
            // Fragments within begin anew: the reader has refused those that contain themselves.
            self.set(field.selection_set().as_ref(), true, below, &mut Vec::new(), level + 1)?;
        }
        Some(())
    }
}

/// Whether every value of the type is one that a fragment is for.
fn applies(condition: Option<cst::TypeCondition>, type_: &Type) -> bool {
    condition.is_none_or(|condition| {
        let name = condition.named_type().and_then(|named| named.name());
        name.is_some_and(|name| type_.is(&name.text()))
    })
}

/// Whether there is no directive but those that leave something out.
fn is_plain(directives: Option<&cst::Directives>) -> bool {
    directives.into_iter().flat_map(cst::Directives::directives).all(|directive| {
        let name = directive.name();
        name.is_some_and(|name| matches!(&*name.text(), "skip" | "include"))
    })
}
