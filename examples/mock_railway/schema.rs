//! Which fields there are: the part of the schema that the mock answers, read from
//! `schema.graphql`.
//!
//! Takes nothing; returns a [`Schema`]. Types that are not objects or inputs in it are leaves.

use apollo_parser::Parser;
use apollo_parser::cst::{self, CstNode};
use std::collections::HashMap;
use std::sync::LazyLock;

static SCHEMA: LazyLock<Schema> = LazyLock::new(|| Schema::read(include_str!("schema.graphql")));

/// The types, by name.
#[derive(Debug, Default)]
pub struct Schema {
    objects: HashMap<String, ObjectType>,
    inputs: HashMap<String, Vec<Input>>,
}

/// An object type.
#[derive(Debug, Default)]
pub struct ObjectType {
    /// The names a fragment may be on, besides its own.
    pub interfaces: Vec<String>,
    /// Its fields, by name.
    pub fields: HashMap<String, FieldType>,
}

/// A field of an object type.
#[derive(Debug)]
pub struct FieldType {
    /// The type, without list and `!`.
    pub base: String,
    /// Whether it may not be null.
    pub required: bool,
    /// What it takes.
    pub arguments: Vec<Input>,
}

/// An argument, or a member of an input object.
#[derive(Debug)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// The type, without list and `!`.
    pub base: String,
    /// Whether it must be given.
    pub required: bool,
}

impl Schema {
    /// The one schema.
    pub fn shared() -> &'static Self {
        &SCHEMA
    }

    /// An object type, or nothing for a leaf.
    pub fn object(&self, name: &str) -> Option<&ObjectType> {
        self.objects.get(name)
    }

    /// The members of an input object, or nothing for a scalar.
    pub fn input(&self, name: &str) -> Option<&[Input]> {
        self.inputs.get(name).map(Vec::as_slice)
    }

    /// Whether a fragment may be on this type.
    pub fn knows(&self, name: &str) -> bool {
        name == "Node" || self.objects.contains_key(name)
    }

    /// Whether a fragment on `condition` applies to a value of the object type `name`.
    pub fn applies(&self, condition: &str, name: &str) -> bool {
        condition == name
            || self
                .object(name)
                .is_some_and(|object| object.interfaces.iter().any(|it| it == condition))
    }

    fn read(text: &str) -> Self {
        let mut schema = Self::default();
        for definition in Parser::new(text).parse().document().definitions() {
            let name = definition.name().map(|name| name.text().to_string()).unwrap_or_default();
            match definition {
                cst::Definition::ObjectTypeDefinition(it) => {
                    let interfaces = it.implements_interfaces();
                    let interfaces =
                        interfaces.iter().flat_map(cst::ImplementsInterfaces::named_types);
                    let fields = it.fields_definition();
                    let fields = fields.iter().flat_map(cst::FieldsDefinition::field_definitions);
                    let object = ObjectType {
                        interfaces: interfaces.map(|it| it.source_string().trim().into()).collect(),
                        fields: fields.map(|field| field_type(&field)).collect(),
                    };
                    schema.objects.insert(name, object);
                }
                cst::Definition::InputObjectTypeDefinition(it) => {
                    let members = it.input_fields_definition();
                    let members = members
                        .iter()
                        .flat_map(cst::InputFieldsDefinition::input_value_definitions);
                    schema.inputs.insert(name, members.map(|member| input(&member)).collect());
                }
                _ => {}
            }
        }
        schema
    }
}

fn field_type(field: &cst::FieldDefinition) -> (String, FieldType) {
    let (base, required) = read_type(field.ty());
    let arguments = field.arguments_definition();
    let arguments = arguments.iter().flat_map(cst::ArgumentsDefinition::input_value_definitions);
    let arguments = arguments.map(|argument| input(&argument)).collect();
    (name_of(field.name()), FieldType { base, required, arguments })
}

fn input(value: &cst::InputValueDefinition) -> Input {
    let (base, required) = read_type(value.ty());
    Input { name: name_of(value.name()), base, required }
}

fn read_type(written: Option<cst::Type>) -> (String, bool) {
    let text = written.map(|written| written.source_string()).unwrap_or_default();
    let text = text.trim();
    (text.trim_matches(['[', ']', '!']).to_owned(), text.ends_with('!'))
}

fn name_of(name: Option<cst::Name>) -> String {
    name.map(|name| name.text().to_string()).unwrap_or_default()
}
