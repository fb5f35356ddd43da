//! GraphQL requests read as what servers execute.
//!
//! Takes the JSON of a request, or its query parameters; returns every root field of every
//! operation, through fragments and directives, with variables and defaults put in. Any doubt is
//! [`Unreadable`]: a document that does not parse, limits, cycles, definitions of types, unknown
//! keys, names that are missing or there twice.

mod budget;
mod envelope;
mod expected;
mod meaning;
mod value;

pub(super) use envelope::of_body;
pub use expected::{Expected, Selected};
pub use meaning::meaning;

use super::Unreadable;
use crate::catalog::Learns;
use crate::fingerprint::hex;
use crate::message::{Query, path};
use apollo_parser::Parser;
use apollo_parser::cst;
use aws_lc_rs::digest;
use budget::Budget;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::Arc;
use value::Scope;

const TOKENS: usize = 20_000;
const DEPTH: usize = 100;
const BATCH: usize = 50;

/// One root field.
#[derive(Debug)]
pub struct Call {
    /// `query`, `mutation` or `subscription`.
    pub kind: &'static str,
    /// The field's name, never its alias.
    pub field: String,
    /// Its arguments by name.
    pub arguments: Map<String, Value>,
    /// Every field below it.
    pub nested: Vec<Nested>,
}

/// A field below a root field.
#[derive(Debug)]
pub struct Nested {
    /// Its name.
    pub field: String,
    /// The names of the fields above it, below the root field.
    pub ancestors: Vec<std::rc::Rc<str>>,
    /// Its arguments by name.
    pub arguments: Map<String, Value>,
}

/// What a request asks for.
#[derive(Debug)]
pub struct Document {
    /// Every root field of every operation.
    pub calls: Vec<Call>,
    /// What its answer is read along, where that teaches anything.
    pub expected: Option<Expected>,
}

const KEYS: &[&str] = &["query", "variables", "operationName", "extensions"];

/// Parameters by which servers know a document that was registered with them before.
const REGISTERED: &[&str] =
    &["doc_id", "documentId", "hash", "id", "queryId", "query_id", "sha256Hash"];

/// Whether parameters of a GraphQL request stand in the query.
pub fn has_parameters(query: &Query) -> bool {
    let known =
        |name: &str| KEYS.iter().chain(REGISTERED).any(|key| key.eq_ignore_ascii_case(name));
    // As frameworks read names: trimmed, cut at a bracket, and behind a semicolon too.
    let bare = |name: &str| known(name.split('[').next().unwrap_or(name).trim());
    let behind = query.as_str().split(';').skip(1).filter_map(|rest| path::pairs(rest).ok());
    query.pairs().iter().any(|(name, _)| bare(name))
        || behind.flatten().any(|(name, _)| bare(&name))
}

/// Whether the hash of an automatic persisted query, if there is one, is that of the document
/// itself. Another one might be executed in its place.
fn is_what_is_registered(text: &str, extensions: Option<&Value>) -> bool {
    let persisted = extensions.and_then(|extensions| extensions.get("persistedQuery"));
    persisted.is_none_or(|persisted| {
        let own = digest::digest(&digest::SHA256, text.as_bytes());
        let is_own = |said: &str| said.eq_ignore_ascii_case(&hex(own.as_ref()));
        match persisted {
            Value::Object(map) => {
                map.get("sha256Hash").is_none_or(|said| said.as_str().is_some_and(is_own))
            }
            other => other.is_null(),
        }
    })
}

/// Documents that are registered with a server, by their hash in lower case.
pub type Documents = HashMap<String, String>;

/// The hash by which a request names a document that it does not carry.
fn registered(extensions: Option<&Value>) -> Result<String, Unreadable> {
    let persisted = extensions.and_then(|extensions| extensions.get("persistedQuery"));
    let hash = persisted.and_then(|persisted| persisted.get("sha256Hash")).and_then(Value::as_str);
    hash.filter(|hash| hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit()))
        .map(str::to_ascii_lowercase)
        .ok_or(Unreadable::Graphql("it carries no document"))
}

/// A call of a document that nobody here has read: what it does is not known, and whatever it is
/// given may be an id.
fn unregistered(
    hash: &str,
    request: &Map<String, Value>,
    budget: &Budget,
    document: &mut Document,
) -> Result<(), Unreadable> {
    let arguments = match request.get("variables") {
        None | Some(Value::Null) => Map::new(),
        Some(variables @ Value::Object(map)) => {
            budget.value(variables)?;
            map.clone()
        }
        Some(_) => return Err(Unreadable::Graphql("its variables are no object")),
    };
    budget.call()?;
    let field = format!("document {hash}");
    if let Some(expected) = &mut document.expected {
        // Nobody here knows what is asked for.
        expected.requests.push(None);
    }
    document.calls.push(Call { kind: "registered", field, arguments, nested: Vec::new() });
    Ok(())
}

/// The request of a GET, as if it had been posted.
pub fn of_query(query: &Query) -> Result<Value, Unreadable> {
    of_pairs(query.pairs())
}

fn of_pairs(pairs: &[(String, String)]) -> Result<Value, Unreadable> {
    let mut map = Map::new();
    for (name, value) in pairs {
        let value = match name.as_str() {
            "query" | "operationName" => Value::String(value.clone()),
            "variables" | "extensions" => {
                crate::message::json::parse(value.as_bytes()).map_err(|_error| Unreadable::Json)?
            }
            _ => return Err(Unreadable::Graphql("it has an unknown parameter")),
        };
        if map.insert(name.clone(), value).is_some() {
            return Err(Unreadable::Graphql("a parameter stands there twice"));
        }
    }
    Ok(Value::Object(map))
}

/// Reads a request, or a batch of them.
pub fn read(request: &Value, known: &Documents) -> Result<Document, Unreadable> {
    read_to_learn(request, known, None)
}

/// The same, with what the answer may teach by a catalog.
pub fn read_to_learn(
    request: &Value,
    known: &Documents,
    learns: Option<&Arc<Learns>>,
) -> Result<Document, Unreadable> {
    let mut document = Document {
        calls: Vec::new(),
        expected: learns.map(|learns| Expected {
            learns: learns.clone(),
            requests: Vec::new(),
            is_batch: request.is_array(),
        }),
    };
    let budget = Budget::default();
    match request {
        Value::Object(map) => single(map, known, &budget, &mut document)?,
        Value::Array(batch) if !batch.is_empty() && batch.len() <= BATCH => {
            for member in batch {
                let Value::Object(map) = member else {
                    return Err(Unreadable::Graphql("a member of the batch is no request"));
                };
                single(map, known, &budget, &mut document)?;
            }
        }
        _ => return Err(Unreadable::Graphql("it is neither a request nor a batch of up to 50")),
    }
    let teaches = |expected: &Expected| expected.requests.iter().any(Option::is_some);
    document.expected = document.expected.filter(teaches);
    Ok(document)
}

fn single(
    request: &Map<String, Value>,
    known: &Documents,
    budget: &Budget,
    document: &mut Document,
) -> Result<(), Unreadable> {
    if request.keys().any(|key| !KEYS.contains(&key.as_str())) {
        return Err(Unreadable::Graphql("it has an unknown key"));
    }
    let registered = match request.get("query") {
        None | Some(Value::Null) => Some(registered(request.get("extensions"))?),
        Some(_) => None,
    };
    let text = match (&registered, request.get("query")) {
        (None, Some(Value::String(text))) => text,
        (Some(hash), _) => match known.get(hash) {
            Some(text) => text,
            None => return unregistered(hash, request, budget, document),
        },
        _ => return Err(Unreadable::Graphql("it carries no document")),
    };
    if request
        .get("extensions")
        .is_some_and(|value| !matches!(value, Value::Null | Value::Object(_)))
    {
        return Err(Unreadable::Graphql("its extensions are no object"));
    }
    if !is_what_is_registered(text, request.get("extensions")) {
        return Err(Unreadable::Graphql("it names a persisted document that is not its own"));
    }
    let empty = Map::new();
    let variables = match request.get("variables") {
        None | Some(Value::Null) => &empty,
        Some(Value::Object(map)) => map,
        Some(_) => return Err(Unreadable::Graphql("its variables are no object")),
    };
    let name = match request.get("operationName") {
        None | Some(Value::Null) => None,
        Some(Value::String(name)) => Some(name.as_str()),
        Some(_) => return Err(Unreadable::Graphql("its operation name is no text")),
    };
    calls(text, variables, name, budget, document)?;
    meaning::check_strings(text)
}

fn calls(
    text: &str,
    variables: &Map<String, Value>,
    name: Option<&str>,
    budget: &Budget,
    document: &mut Document,
) -> Result<(), Unreadable> {
    let tree = Parser::new(text).recursion_limit(DEPTH).token_limit(TOKENS).parse();
    if tree.errors().next().is_some() {
        return Err(Unreadable::Graphql("syntax, or more than 20,000 tokens or 100 levels"));
    }
    let mut reader = Reader { fragments: HashMap::new(), budget };
    let mut operations = Vec::new();
    for definition in tree.document().definitions() {
        match definition {
            cst::Definition::OperationDefinition(operation) => operations.push(operation),
            cst::Definition::FragmentDefinition(fragment) => {
                let name = fragment.fragment_name().and_then(|name| name.name());
                let name = name.ok_or(SYNTAX)?.text().into();
                if reader.fragments.insert(name, fragment).is_some() {
                    return Err(Unreadable::Graphql("two fragments have the same name"));
                }
            }
            _ => return Err(Unreadable::Graphql("it defines types")),
        }
    }
    if operations.is_empty() {
        return Err(Unreadable::Graphql("it has no operation"));
    }
    let names: Vec<Option<String>> = operations
        .iter()
        .map(|operation| operation.name().map(|name| name.text().into()))
        .collect();
    if names
        .iter()
        .enumerate()
        .any(|(at, name)| names.iter().skip(at + 1).any(|other| other == name))
    {
        return Err(Unreadable::Graphql("two operations have the same name, or none"));
    }
    let chosen = name.is_none_or(|name| names.iter().any(|known| known.as_deref() == Some(name)));
    if !chosen || (name.is_none() && operations.len() > 1) {
        return Err(Unreadable::Graphql("its operation name is not one of its operations"));
    }
    for (operation, known) in operations.iter().zip(&names) {
        let first = document.calls.len();
        reader.operation(operation, variables, &mut document.calls)?;
        // A server executes the one that is named, or the only one.
        if let Some(expected) =
            document.expected.as_mut().filter(|_| name.is_none() || name == known.as_deref())
        {
            let calls = document.calls.get(first..).unwrap_or_default();
            expected.requests.push(expected::of(&reader, operation, calls, &expected.learns));
        }
    }
    Ok(())
}

const SYNTAX: Unreadable = Unreadable::Graphql("syntax");

struct Reader<'a> {
    fragments: HashMap<String, cst::FragmentDefinition>,
    budget: &'a Budget,
}

impl Reader<'_> {
    fn operation(
        &mut self,
        operation: &cst::OperationDefinition,
        given: &Map<String, Value>,
        calls: &mut Vec<Call>,
    ) -> Result<(), Unreadable> {
        let kind = match operation.operation_type() {
            Some(kind) if kind.mutation_token().is_some() => "mutation",
            Some(kind) if kind.subscription_token().is_some() => "subscription",
            _ => "query",
        };
        let mut defaults = HashMap::new();
        let definitions = operation.variable_definitions();
        for definition in
            definitions.iter().flat_map(cst::VariableDefinitions::variable_definitions)
        {
            let name = definition.variable().and_then(|v| v.name()).ok_or(SYNTAX)?.text().into();
            let default = definition.default_value().and_then(|default| default.value());
            if defaults.insert(name, default).is_some() {
                return Err(Unreadable::Graphql("a variable is defined twice"));
            }
        }
        let scope = Scope { given, budget: self.budget, defaults };
        let mut roots = Vec::new();
        self.flatten(operation.selection_set().as_ref(), &mut Vec::new(), &mut roots)?;
        for field in roots {
            self.budget.call()?;
            let mut call = Call {
                kind,
                field: name_of(&field)?,
                arguments: scope.arguments(&field)?,
                nested: Vec::new(),
            };
            self.nested(&field, &scope, &mut Vec::new(), &mut call.nested)?;
            calls.push(call);
        }
        Ok(())
    }

    /// The fields of a selection set, those of its fragments among them. Directives are taken as
    /// if the field were executed: whether it is depends on values only the server has.
    fn flatten(
        &mut self,
        set: Option<&cst::SelectionSet>,
        within: &mut Vec<String>,
        fields: &mut Vec<cst::Field>,
    ) -> Result<(), Unreadable> {
        // Fragments, inline ones and fields go into each other: all that recurs counts as one depth.
        let _level = self.budget.level()?;
        for selection in set.into_iter().flat_map(cst::SelectionSet::selections) {
            self.budget.field()?;
            match selection {
                cst::Selection::Field(field) => fields.push(field),
                cst::Selection::InlineFragment(fragment) => {
                    self.flatten(fragment.selection_set().as_ref(), within, fields)?;
                }
                cst::Selection::FragmentSpread(spread) => {
                    let name = spread.fragment_name().and_then(|name| name.name()).ok_or(SYNTAX)?;
                    let name = String::from(name.text());
                    if within.contains(&name) {
                        return Err(Unreadable::Graphql("a fragment contains itself"));
                    }
                    let fragment = self.fragments.get(&name).cloned();
                    let fragment = fragment.ok_or(Unreadable::Graphql("a fragment is missing"))?;
                    within.push(name);
                    self.flatten(fragment.selection_set().as_ref(), within, fields)?;
                    within.pop();
                }
            }
        }
        Ok(())
    }

    fn nested(
        &mut self,
        field: &cst::Field,
        scope: &Scope<'_>,
        ancestors: &mut Vec<std::rc::Rc<str>>,
        nested: &mut Vec<Nested>,
    ) -> Result<(), Unreadable> {
        let _level = self.budget.level()?;
        let mut fields = Vec::new();
        self.flatten(field.selection_set().as_ref(), &mut Vec::new(), &mut fields)?;
        for field in fields {
            let name = name_of(&field)?;
            let arguments = scope.arguments(&field)?;
            nested.push(Nested { field: name.clone(), ancestors: ancestors.clone(), arguments });
            if field.selection_set().is_some() {
                ancestors.push(name.into());
                self.nested(&field, scope, ancestors, nested)?;
                ancestors.pop();
            }
        }
        Ok(())
    }
}

fn name_of(field: &cst::Field) -> Result<String, Unreadable> {
    field.name().map(|name| name.text().into()).ok_or(SYNTAX)
}

#[cfg(test)]
mod tests;
