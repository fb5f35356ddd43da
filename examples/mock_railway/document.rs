//! A GraphQL document as the executor wants it: operations and fragments, with owned values.
//!
//! Takes the text of a `query`; returns a [`Document`]. Refuses what the parser finds fault with,
//! more than 10,000 tokens or 64 levels, and definitions that are not executable.

use apollo_parser::Parser;
use apollo_parser::cst::{self, CstNode};
use serde_json::Value;
use std::collections::HashMap;

const MOST_TOKENS: usize = 10_000;
const DEEPEST: usize = 64;

/// What a document holds.
#[derive(Debug, Default)]
pub struct Document {
    /// In the order written.
    pub operations: Vec<Operation>,
    /// By name.
    pub fragments: HashMap<String, Fragment>,
}

/// What an operation does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It reads.
    Query,
    /// It changes.
    Mutation,
    /// It listens, which the mock cannot answer.
    Subscription,
}

/// One operation.
#[derive(Debug)]
pub struct Operation {
    /// What it does.
    pub kind: Kind,
    /// What the client calls it.
    pub name: Option<String>,
    /// Its variables.
    pub variables: Vec<Variable>,
    /// What it asks for.
    pub selections: Vec<Selection>,
}

/// A declared variable.
#[derive(Debug)]
pub struct Variable {
    /// Without the dollar sign.
    pub name: String,
    /// The type as written.
    pub type_text: String,
    /// What it is where the client sends none.
    pub default: Option<Literal>,
}

/// A named fragment.
#[derive(Debug)]
pub struct Fragment {
    /// The type it is on.
    pub on: String,
    /// What it asks for.
    pub selections: Vec<Selection>,
}

/// One line of a selection set.
#[derive(Debug)]
pub enum Selection {
    /// A field.
    Field(Field),
    /// `... Name`
    Spread(String, Conditions),
    /// `... on Type { }`
    Inline(Option<String>, Vec<Self>, Conditions),
}

/// A field as asked for.
#[derive(Debug)]
pub struct Field {
    /// The alias, or the name.
    pub key: String,
    /// The field's own name.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<(String, Literal)>,
    /// What is asked of its value.
    pub selections: Vec<Selection>,
    /// `@include` and `@skip`.
    pub conditions: Conditions,
}

/// `@include(if:)` as `true`, `@skip(if:)` as `false`, each with its condition.
pub type Conditions = Vec<(bool, Literal)>;

/// A value as written, variables not yet put in.
#[derive(Clone, Debug, PartialEq)]
pub enum Literal {
    /// `$name`
    Variable(String),
    /// A scalar or an enum value.
    Scalar(Value),
    /// `[…]`
    List(Vec<Self>),
    /// `{…}`
    Object(Vec<(String, Self)>),
}

/// Reads a document, or says in words what is wrong with it.
pub fn parse(text: &str) -> Result<Document, String> {
    let tree = Parser::new(text).token_limit(MOST_TOKENS).recursion_limit(DEEPEST).parse();
    if let Some(error) = tree.errors().next() {
        return Err(format!("Syntax Error: {}", error.message()));
    }
    let mut document = Document::default();
    for definition in tree.document().definitions() {
        match definition {
            cst::Definition::OperationDefinition(it) => {
                document.operations.push(operation(&it)?);
            }
            cst::Definition::FragmentDefinition(it) => {
                let name = it.fragment_name().and_then(|name| name.name());
                let on = it.type_condition().and_then(|on| on.named_type()?.name());
                let fragment =
                    Fragment { on: text_of(on)?, selections: selections(it.selection_set())? };
                if document.fragments.insert(text_of(name)?, fragment).is_some() {
                    return Err("There can be only one fragment of a name.".to_owned());
                }
            }
            other => return Err(format!("The {} definition is not executable.", other.kind())),
        }
    }
    Ok(document)
}

fn operation(it: &cst::OperationDefinition) -> Result<Operation, String> {
    let kind = match it.operation_type() {
        Some(word) if word.mutation_token().is_some() => Kind::Mutation,
        Some(word) if word.subscription_token().is_some() => Kind::Subscription,
        _ => Kind::Query,
    };
    let mut variables = Vec::new();
    for variable in
        it.variable_definitions().iter().flat_map(cst::VariableDefinitions::variable_definitions)
    {
        let default = variable.default_value().and_then(|default| default.value());
        variables.push(Variable {
            name: text_of(variable.variable().and_then(|variable| variable.name()))?,
            type_text: variable.ty().ok_or_else(incomplete)?.source_string().trim().to_owned(),
            default: default.map(literal).transpose()?,
        });
    }
    Ok(Operation {
        kind,
        name: it.name().map(|name| name.text().to_string()),
        variables,
        selections: selections(it.selection_set())?,
    })
}

fn selections(set: Option<cst::SelectionSet>) -> Result<Vec<Selection>, String> {
    let Some(set) = set else { return Ok(Vec::new()) };
    set.selections().map(selection).collect()
}

fn selection(it: cst::Selection) -> Result<Selection, String> {
    Ok(match it {
        cst::Selection::Field(field) => {
            let name = text_of(field.name())?;
            let alias = field.alias().and_then(|alias| alias.name());
            Selection::Field(Field {
                key: alias.map_or_else(|| name.clone(), |alias| alias.text().to_string()),
                name,
                arguments: arguments(field.arguments().as_ref())?,
                selections: selections(field.selection_set())?,
                conditions: conditions(field.directives().as_ref())?,
            })
        }
        cst::Selection::FragmentSpread(spread) => Selection::Spread(
            text_of(spread.fragment_name().and_then(|name| name.name()))?,
            conditions(spread.directives().as_ref())?,
        ),
        cst::Selection::InlineFragment(inline) => Selection::Inline(
            inline
                .type_condition()
                .map(|on| text_of(on.named_type().and_then(|named| named.name())))
                .transpose()?,
            selections(inline.selection_set())?,
            conditions(inline.directives().as_ref())?,
        ),
    })
}

fn arguments(it: Option<&cst::Arguments>) -> Result<Vec<(String, Literal)>, String> {
    let mut arguments: Vec<(String, Literal)> = Vec::new();
    for argument in it.into_iter().flat_map(cst::Arguments::arguments) {
        let name = text_of(argument.name())?;
        if arguments.iter().any(|(known, _)| *known == name) {
            return Err(format!("There can be only one argument named \"{name}\"."));
        }
        arguments.push((name, literal(argument.value().ok_or_else(incomplete)?)?));
    }
    Ok(arguments)
}

fn conditions(it: Option<&cst::Directives>) -> Result<Conditions, String> {
    let mut conditions = Vec::new();
    for directive in it.into_iter().flat_map(cst::Directives::directives) {
        let name = text_of(directive.name())?;
        let wanted = match name.as_str() {
            "include" => true,
            "skip" => false,
            _ => return Err(format!("Unknown directive \"@{name}\".")),
        };
        let condition =
            arguments(directive.arguments().as_ref())?.into_iter().find(|(name, _)| name == "if");
        let (_, condition) =
            condition.ok_or_else(|| format!("Directive \"@{name}\" needs its argument \"if\"."))?;
        conditions.push((wanted, condition));
    }
    Ok(conditions)
}

fn literal(value: cst::Value) -> Result<Literal, String> {
    Ok(match value {
        cst::Value::Variable(variable) => Literal::Variable(text_of(variable.name())?),
        cst::Value::StringValue(string) => Literal::Scalar(Value::String(String::from(string))),
        cst::Value::BooleanValue(boolean) => {
            Literal::Scalar(Value::Bool(boolean.true_token().is_some()))
        }
        cst::Value::NullValue(_) => Literal::Scalar(Value::Null),
        cst::Value::EnumValue(word) => Literal::Scalar(Value::String(text_of(word.name())?)),
        cst::Value::IntValue(number) => Literal::Scalar(parse_number(&number.source_string())?),
        cst::Value::FloatValue(number) => Literal::Scalar(parse_number(&number.source_string())?),
        cst::Value::ListValue(list) => {
            Literal::List(list.values().map(literal).collect::<Result<_, _>>()?)
        }
        cst::Value::ObjectValue(object) => {
            let member = |field: cst::ObjectField| {
                let value = field.value().ok_or_else(incomplete)?;
                Ok::<_, String>((text_of(field.name())?, literal(value)?))
            };
            Literal::Object(object.object_fields().map(member).collect::<Result<_, _>>()?)
        }
    })
}

fn parse_number(text: &str) -> Result<Value, String> {
    let text = text.trim();
    serde_json::from_str(text).map_err(|error| format!("The number {text} cannot be read: {error}"))
}

fn text_of(name: Option<cst::Name>) -> Result<String, String> {
    name.map(|name| name.text().to_string()).ok_or_else(incomplete)
}

fn incomplete() -> String {
    "Syntax Error: a part of the document is missing.".to_owned()
}
