//! One document in one request: its variables, its validity, its fields.
//!
//! Takes a document and the values sent with it; returns fields with fragments and variables put
//! in. Refuses, before anything is executed, what does not fit the schema.

use super::document::{Conditions, Document, Field, Literal, Operation, Selection};
use super::schema::{Input, Schema};
use serde_json::{Map, Value};

const MOST_FIELDS: usize = 20_000;
const DEEPEST: usize = 64;

/// The document, its variables, and how much of it was visited.
#[derive(Debug)]
pub struct Scope<'d> {
    document: &'d Document,
    variables: Map<String, Value>,
    fields: usize,
}

impl<'d> Scope<'d> {
    /// The document of a request, nothing visited yet.
    pub fn new(document: &'d Document) -> Self {
        Self { document, variables: Map::new(), fields: 0 }
    }

    /// Puts the variables in and validates the operation as a whole.
    pub fn prepare(
        &mut self,
        root: &str,
        operation: &'d Operation,
        given: Option<&Value>,
    ) -> Result<(), String> {
        for variable in &operation.variables {
            let name = &variable.name;
            let value = match (given.and_then(|given| given.get(name)), &variable.default) {
                (Some(value), _) => Some(value.clone()),
                (None, Some(default)) => self.value(default),
                (None, None) => None,
            };
            if variable.type_text.ends_with('!') && value.as_ref().is_none_or(Value::is_null) {
                let type_text = &variable.type_text;
                return Err(format!(
                    "Variable \"${name}\" of required type \"{type_text}\" was not provided."
                ));
            }
            if let Some(value) = value {
                self.variables.insert(name.clone(), value);
            }
        }
        let declared: Vec<&str> =
            operation.variables.iter().map(|variable| variable.name.as_str()).collect();
        self.validate(root, &[operation.selections.as_slice()], &declared, DEEPEST)
    }

    fn validate(
        &mut self,
        type_name: &str,
        sets: &[&'d [Selection]],
        declared: &[&str],
        depth: usize,
    ) -> Result<(), String> {
        // A fragment that reaches itself through a field ends here.
        let deeper = depth.checked_sub(1).ok_or("The document is too deep.")?;
        let schema = Schema::shared();
        for (_, fields) in self.collect(type_name, sets, Purpose::Validate)? {
            let [first, others @ ..] = fields.as_slice() else { continue };
            let Field { key, name, .. } = first;
            if others.iter().any(|it| it.name != *name || it.arguments != first.arguments) {
                return Err(format!("Fields \"{key}\" conflict: use different aliases."));
            }
            if name == "__typename" {
                continue;
            }
            let field = schema.object(type_name).and_then(|object| object.fields.get(name));
            let field = field
                .ok_or_else(|| format!("Cannot query field \"{name}\" on type \"{type_name}\"."))?;
            self.check_arguments(name, &first.arguments, &field.arguments, declared)?;
            let sets: Vec<_> = fields.iter().map(|field| field.selections.as_slice()).collect();
            let asks = sets.iter().any(|set| !set.is_empty());
            let base = &field.base;
            match (schema.object(base).is_some(), asks) {
                (true, true) => self.validate(base, &sets, declared, deeper)?,
                (false, false) => {}
                (true, false) => {
                    return Err(format!(
                        "Field \"{name}\" of type \"{base}\" must have a selection of subfields."
                    ));
                }
                (false, true) => {
                    return Err(format!(
                        "Field \"{name}\" must not have a selection since type \"{base}\" has no subfields."
                    ));
                }
            }
        }
        Ok(())
    }

    fn check_arguments(
        &self,
        field: &str,
        given: &[(String, Literal)],
        known: &[Input],
        declared: &[&str],
    ) -> Result<(), String> {
        for (name, literal) in given {
            let Some(input) = known.iter().find(|input| input.name == *name) else {
                return Err(format!("Unknown argument \"{name}\" on field \"{field}\"."));
            };
            if let Some(unknown) = undeclared(literal, declared) {
                return Err(format!("Variable \"${unknown}\" is not defined."));
            }
            if let Some(value) = self.value(literal) {
                check_input(field, input, &value)?;
            }
        }
        for input in known.iter().filter(|input| input.required) {
            let literal = given.iter().find(|(name, _)| *name == input.name);
            let value = literal.and_then(|(_, literal)| self.value(literal));
            if value.is_none_or(|value| value.is_null()) {
                let (name, base) = (&input.name, &input.base);
                return Err(format!(
                    "Field \"{field}\" argument \"{name}\" of type \"{base}!\" is required, but it was not provided."
                ));
            }
        }
        Ok(())
    }

    /// The fields asked of an object, by response key, fragments put in.
    pub fn collect(
        &mut self,
        type_name: &str,
        sets: &[&'d [Selection]],
        purpose: Purpose,
    ) -> Result<Vec<(&'d str, Vec<&'d Field>)>, String> {
        let mut collected: Vec<(&str, Vec<&Field>)> = Vec::new();
        let mut rest: Vec<&Selection> =
            sets.iter().rev().flat_map(|set| set.iter().rev()).collect();
        let mut spread: Vec<&str> = Vec::new();
        while let Some(selection) = rest.pop() {
            self.fields += 1;
            if self.fields > MOST_FIELDS {
                return Err("The document asks for too much.".to_owned());
            }
            let (on, inner) = match selection {
                Selection::Field(field) => {
                    if purpose == Purpose::Validate || self.included(&field.conditions) {
                        match collected.iter_mut().find(|(key, _)| *key == field.key) {
                            Some((_, fields)) => fields.push(field),
                            None => collected.push((&field.key, vec![field])),
                        }
                    }
                    continue;
                }
                Selection::Inline(on, inner, conditions) => {
                    if purpose == Purpose::Execute && !self.included(conditions) {
                        continue;
                    }
                    (on.as_deref(), inner)
                }
                Selection::Spread(name, conditions) => {
                    let fragment = self.document.fragments.get(name);
                    let fragment =
                        fragment.ok_or_else(|| format!("Unknown fragment \"{name}\"."))?;
                    if purpose == Purpose::Execute && !self.included(conditions)
                        || spread.contains(&name.as_str())
                    {
                        continue;
                    }
                    spread.push(name);
                    (Some(fragment.on.as_str()), &fragment.selections)
                }
            };
            let schema = Schema::shared();
            match on {
                Some(on) if !schema.knows(on) => return Err(format!("Unknown type \"{on}\".")),
                Some(on) if !schema.applies(on, type_name) => {
                    return Err(format!(
                        "A fragment on \"{on}\" can never apply to \"{type_name}\"."
                    ));
                }
                _ => rest.extend(inner.iter().rev()),
            }
        }
        Ok(collected)
    }

    fn included(&self, conditions: &Conditions) -> bool {
        conditions.iter().all(|(wanted, literal)| {
            self.value(literal).and_then(|value| value.as_bool()) == Some(*wanted)
        })
    }

    /// A literal with its variables put in; nothing for a variable without a value.
    pub fn value(&self, literal: &Literal) -> Option<Value> {
        Some(match literal {
            Literal::Variable(name) => self.variables.get(name)?.clone(),
            Literal::Scalar(value) => value.clone(),
            Literal::List(items) => {
                items.iter().map(|item| self.value(item).unwrap_or_default()).collect()
            }
            Literal::Object(members) => Value::Object(
                members
                    .iter()
                    .filter_map(|(name, literal)| Some((name.clone(), self.value(literal)?)))
                    .collect(),
            ),
        })
    }
}

/// Why fields are collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// All that could be asked for, whatever the conditions say.
    Validate,
    /// What is asked for.
    Execute,
}

fn undeclared<'l>(literal: &'l Literal, declared: &[&str]) -> Option<&'l str> {
    match literal {
        Literal::Variable(name) => (!declared.contains(&name.as_str())).then_some(name),
        Literal::Scalar(_) => None,
        Literal::List(items) => items.iter().find_map(|item| undeclared(item, declared)),
        Literal::Object(members) => {
            members.iter().find_map(|(_, member)| undeclared(member, declared))
        }
    }
}

fn check_input(field: &str, input: &Input, value: &Value) -> Result<(), String> {
    let Input { name, base, .. } = input;
    if let Some(members) = Schema::shared().input(base) {
        let Value::Object(given) = value else {
            return Err(format!("Argument \"{name}\" of \"{field}\" must be an object."));
        };
        if let Some(unknown) = given.keys().find(|key| members.iter().all(|it| it.name != **key)) {
            return Err(format!("Field \"{unknown}\" is not defined by type \"{base}\"."));
        }
        for member in members {
            match given.get(&member.name) {
                Some(value) if !value.is_null() => check_input(field, member, value)?,
                _ if member.required => {
                    let member = &member.name;
                    return Err(format!(
                        "Field \"{base}.{member}\" of required type was not provided."
                    ));
                }
                _ => {}
            }
        }
        return Ok(());
    }
    let fits = match base.as_str() {
        "String" | "ID" => value.is_string(),
        "Boolean" => value.is_boolean(),
        "Int" => value.is_i64(),
        _ => true,
    };
    if fits || value.is_null() {
        Ok(())
    } else {
        Err(format!("{base} cannot represent the value of \"{name}\" on \"{field}\"."))
    }
}
