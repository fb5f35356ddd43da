//! Executes GraphQL requests: validates the whole document, then answers field by field.
//!
//! Takes the JSON of a request and whose it is; returns the status and the JSON of the answer.
//! Nothing of a document is executed when any part of it is invalid, and a mutation that fails ends
//! the rest.

use super::document::{Document, Field, Kind, Operation, Selection, parse};
use super::resolve::{Arguments, Node, Resolved, Resolver};
use super::schema::Schema;
use super::scope::{Purpose, Scope};
use super::state::{Authority, State};
use serde_json::{Map, Value, json};

/// Executes one request, `{"query", "variables", "operationName"}`.
pub fn execute(state: &mut State, authority: Option<Authority>, request: &Value) -> (u16, Value) {
    let Some(text) = request.get("query").and_then(Value::as_str) else {
        return refuse("BAD_REQUEST", "POST body missing, invalid Content-Type, or no query.");
    };
    let document = match parse(text) {
        Ok(document) => document,
        Err(message) => return refuse("GRAPHQL_PARSE_FAILED", &message),
    };
    let operation = match choose(&document, request.get("operationName").and_then(Value::as_str)) {
        Ok(operation) => operation,
        Err(message) => return refuse("OPERATION_RESOLUTION_FAILURE", &message),
    };
    let Some(authority) = authority else {
        let error = json!({"message": "Not Authorized", "extensions": {"code": "UNAUTHENTICATED"}});
        return (200, json!({"errors": [error], "data": null}));
    };
    let root = match operation.kind {
        Kind::Query => "Query",
        Kind::Mutation => "Mutation",
        Kind::Subscription => {
            return refuse("BAD_REQUEST", "Subscriptions are not served over POST.");
        }
    };
    let mut scope = Scope::new(&document);
    if let Err(message) = scope.prepare(root, operation, request.get("variables")) {
        return refuse("GRAPHQL_VALIDATION_FAILED", &message);
    }
    let mut execution = Execution { scope, resolver: Resolver { state, authority }, path: vec![] };
    match execution.object(root, &Node::Root, &[operation.selections.as_slice()]) {
        Ok(data) => (200, json!({"data": data})),
        Err(message) => {
            let path = execution.path;
            let extensions = json!({"code": "INTERNAL_SERVER_ERROR"});
            let error = json!({"message": message, "path": path, "extensions": extensions});
            (200, json!({"errors": [error], "data": null}))
        }
    }
}

fn refuse(code: &str, message: &str) -> (u16, Value) {
    (400, json!({"errors": [{"message": message, "extensions": {"code": code}}]}))
}

fn choose<'d>(document: &'d Document, name: Option<&str>) -> Result<&'d Operation, String> {
    let mut operations = document.operations.iter();
    match (name, document.operations.as_slice()) {
        (Some(name), _) => operations
            .find(|operation| operation.name.as_deref() == Some(name))
            .ok_or_else(|| format!("Unknown operation named \"{name}\".")),
        (None, [only]) => Ok(only),
        (None, _) => Err("Must provide operation name if query contains several.".to_owned()),
    }
}

struct Execution<'d, 's> {
    scope: Scope<'d>,
    resolver: Resolver<'s>,
    path: Vec<Value>,
}

impl<'d> Execution<'d, '_> {
    fn object(
        &mut self,
        type_name: &str,
        node: &Node,
        sets: &[&'d [Selection]],
    ) -> Result<Value, String> {
        let mut answer = Map::new();
        for (key, fields) in self.scope.collect(type_name, sets, Purpose::Execute)? {
            let Some(first) = fields.first() else { continue };
            if first.name == "__typename" {
                answer.insert(key.to_owned(), Value::from(type_name));
                continue;
            }
            let sets: Vec<_> = fields.iter().map(|field| field.selections.as_slice()).collect();
            self.path.push(Value::from(key));
            let value = self.field(type_name, node, first, &sets)?;
            self.path.pop();
            answer.insert(key.to_owned(), value);
        }
        Ok(Value::Object(answer))
    }

    fn field(
        &mut self,
        type_name: &str,
        node: &Node,
        field: &Field,
        sets: &[&'d [Selection]],
    ) -> Result<Value, String> {
        let object = Schema::shared().object(type_name);
        let definition = object.and_then(|object| object.fields.get(&field.name));
        let base = definition.map_or("", |definition| definition.base.as_str());
        let arguments = field.arguments.iter();
        let arguments = arguments
            .filter_map(|(name, literal)| Some((name.clone(), self.scope.value(literal)?)))
            .collect();
        let arguments = Arguments(arguments);
        let resolved = if type_name == "Mutation" {
            self.resolver.mutate(&field.name, &arguments)?
        } else {
            self.resolver.read(node, &field.name, &arguments)?
        };
        match resolved {
            Resolved::Leaf(Value::Null) if definition.is_some_and(|it| it.required) => Err(
                format!("Cannot return null for non-nullable field {type_name}.{}.", field.name),
            ),
            Resolved::Leaf(value) => Ok(value),
            Resolved::One(node) => self.object(base, &node, sets),
            Resolved::Many(nodes) => {
                let mut items = Vec::with_capacity(nodes.len());
                for (index, node) in nodes.iter().enumerate() {
                    self.path.push(Value::from(index));
                    items.push(self.object(base, node, sets)?);
                    self.path.pop();
                }
                Ok(Value::Array(items))
            }
        }
    }
}
