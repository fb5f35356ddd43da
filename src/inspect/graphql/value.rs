//! The arguments of a field, with variables and defaults put in.
//!
//! Takes nodes of a parsed document; returns JSON. Most of a document is values, so they are read from
//! the bare nodes of its tree, which have no parents and cost nothing to go through. Refuses a variable
//! that is not defined, and a name that stands twice.

use super::budget::Budget;
use super::{SYNTAX, Unreadable};
use apollo_parser::cst::{self, CstNode as _};
use apollo_parser::{SyntaxKind, SyntaxNode};
use rowan::GreenNodeData;
use serde_json::{Map, Value};
use std::collections::HashMap;

/// The variables of an operation.
pub(super) struct Scope<'a> {
    /// What the request gives.
    pub(super) given: &'a Map<String, Value>,
    pub(super) budget: &'a Budget,
    /// Those that are defined, with their defaults.
    pub(super) defaults: HashMap<String, Option<cst::Value>>,
}

// The kinds of nodes, as the tree numbers them.
const ARGUMENT: u16 = SyntaxKind::ARGUMENT as u16;
const BOOLEAN: u16 = SyntaxKind::BOOLEAN_VALUE as u16;
const ENUM: u16 = SyntaxKind::ENUM_VALUE as u16;
const FLOAT: u16 = SyntaxKind::FLOAT_VALUE as u16;
const INT: u16 = SyntaxKind::INT_VALUE as u16;
const LIST: u16 = SyntaxKind::LIST_VALUE as u16;
const NAME: u16 = SyntaxKind::NAME as u16;
const NULL: u16 = SyntaxKind::NULL_VALUE as u16;
const OBJECT: u16 = SyntaxKind::OBJECT_VALUE as u16;
const OBJECT_FIELD: u16 = SyntaxKind::OBJECT_FIELD as u16;
const STRING: u16 = SyntaxKind::STRING_VALUE as u16;
const VARIABLE: u16 = SyntaxKind::VARIABLE as u16;

impl Scope<'_> {
    /// The arguments of a field.
    pub(super) fn arguments(&self, field: &cst::Field) -> Result<Map<String, Value>, Unreadable> {
        let mut map = Map::new();
        let Some(arguments) = field.arguments() else { return Ok(map) };
        for argument in nodes(&arguments.syntax().green()).filter(|node| is(node, ARGUMENT)) {
            let (name, value) = named_value(argument)?;
            let value = self.value(value)?;
            let doubled = map.contains_key(name);
            if let Some(value) = value {
                // A fragment may be spread often, with its literals.
                self.budget.value(&value)?;
                map.insert(name.to_owned(), value);
            }
            if doubled {
                return Err(Unreadable::Graphql("an argument stands there twice"));
            }
        }
        Ok(map)
    }

    /// A value with its variables put in; none if a variable was neither given nor has a default. The
    /// parser bounds how deep values go.
    fn value(&self, value: &GreenNodeData) -> Result<Option<Value>, Unreadable> {
        Ok(Some(match value.kind().0 {
            VARIABLE => return self.variable(name(value)?),
            STRING => Value::String(text(value)?),
            INT | FLOAT => {
                let text = token(value)?;
                serde_json::from_str(text).unwrap_or_else(|_error| Value::from(text))
            }
            BOOLEAN => Value::Bool(token(value)? == "true"),
            NULL => Value::Null,
            ENUM => Value::from(name(value)?),
            LIST => {
                let members = nodes(value).map(|member| self.value(member));
                let members: Result<Vec<_>, _> = members.collect();
                Value::Array(members?.into_iter().map(Option::unwrap_or_default).collect())
            }
            OBJECT => {
                let mut map = Map::new();
                for field in nodes(value).filter(|node| is(node, OBJECT_FIELD)) {
                    let (name, value) = named_value(field)?;
                    let value = self.value(value)?;
                    if map.insert(name.to_owned(), value.unwrap_or_default()).is_some() {
                        return Err(Unreadable::Graphql("an input field stands there twice"));
                    }
                }
                Value::Object(map)
            }
            _ => return Err(SYNTAX),
        }))
    }

    fn variable(&self, name: &str) -> Result<Option<Value>, Unreadable> {
        let Some(default) = self.defaults.get(name) else {
            return Err(Unreadable::Graphql("a variable is not defined"));
        };
        let value = match (self.given.get(name), default) {
            (Some(given), _) => {
                self.budget.value(given)?;
                return Ok(Some(given.clone()));
            }
            (None, Some(default)) => self.value(&default.syntax().green())?,
            (None, None) => return Ok(None),
        };
        // A small document may use a default often.
        value.iter().try_for_each(|value| self.budget.value(value))?;
        Ok(value)
    }
}

fn is(node: &GreenNodeData, kind: u16) -> bool {
    node.kind().0 == kind
}

/// The nodes right below one.
fn nodes(node: &GreenNodeData) -> impl Iterator<Item = &GreenNodeData> {
    node.children().filter_map(rowan::NodeOrToken::into_node)
}

/// The text of the first token right below a node.
fn token(node: &GreenNodeData) -> Result<&str, Unreadable> {
    let first = node.children().next().and_then(rowan::NodeOrToken::into_token);
    Ok(first.ok_or(SYNTAX)?.text())
}

/// The name below a node.
fn name(node: &GreenNodeData) -> Result<&str, Unreadable> {
    token(nodes(node).find(|node| is(node, NAME)).ok_or(SYNTAX)?)
}

/// The name and the value of an argument, or of a field of an object.
fn named_value(node: &GreenNodeData) -> Result<(&str, &GreenNodeData), Unreadable> {
    let value = nodes(node).find(|node| !is(node, NAME)).ok_or(SYNTAX)?;
    Ok((name(node)?, value))
}

/// What a string says. What escapes nothing is not gone through letter by letter.
fn text(node: &GreenNodeData) -> Result<String, Unreadable> {
    let inside = token(node)?.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inside {
        Some(text) if memchr::memchr2(b'"', b'\\', text.as_bytes()).is_none() => {
            Ok(text.to_owned())
        }
        _ => {
            let alone = SyntaxNode::new_root(node.to_owned());
            cst::StringValue::cast(alone).map(|value| String::from(&value)).ok_or(SYNTAX)
        }
    }
}
