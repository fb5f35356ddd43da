//! The GraphQL schema of a service, as far as names and types go.
//!
//! Takes the embedded text files under `catalog/`; returns [`Schema`] values, each read once, when it
//! is first asked for. A type that has no entry is a leaf.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The types of a schema.
#[derive(Debug, Default)]
pub struct Schema {
    types: HashMap<&'static str, Type>,
}

/// What kind of type it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An object.
    Object,
    /// An input object.
    Input,
    /// An interface.
    Interface,
    /// A union.
    Union,
}

/// One type with its fields.
#[derive(Debug)]
pub struct Type {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub shape: Shape,
    /// The interfaces of an object; the objects of an interface or a union.
    pub related: Vec<&'static str>,
    /// Its fields, sorted by name.
    fields: Vec<Field>,
}

/// One field.
#[derive(Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its type as written, as in `[Volume!]!`.
    pub type_: &'static str,
    /// Its arguments; only those of root fields are known.
    pub arguments: Vec<Argument>,
}

/// One argument of a root field.
#[derive(Debug)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// Its type as written.
    pub type_: &'static str,
    /// Whether it has a default.
    pub has_default: bool,
}

static RAILWAY: LazyLock<Option<Schema>> =
    LazyLock::new(|| Schema::read(include_str!("../../catalog/railway.schema")));

impl Schema {
    /// The embedded schema of a name.
    pub fn embedded(name: &str) -> Option<&'static Self> {
        match name {
            "railway" => RAILWAY.as_ref(),
            _ => None,
        }
    }

    /// A type; none for a leaf.
    pub fn of(&self, name: &str) -> Option<&Type> {
        self.types.get(name)
    }

    /// Every type, in no order.
    pub fn types(&self) -> impl Iterator<Item = &Type> {
        self.types.values()
    }

    /// Reads a file; none where a line has another form.
    fn read(text: &'static str) -> Option<Self> {
        let mut schema = Self::default();
        let mut current: Option<Type> = None;
        for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if let Some(field) = line.strip_prefix("  ") {
                current.as_mut()?.fields.push(Field::read(field)?);
                continue;
            }
            schema.add(current.take());
            let (head, related) = line.split_once(" : ").unwrap_or((line, ""));
            let (shape, name) = head.split_once(' ')?;
            let shape = match shape {
                "type" => Shape::Object,
                "input" => Shape::Input,
                "interface" => Shape::Interface,
                "union" => Shape::Union,
                _ => return None,
            };
            let related = related.split_whitespace().collect();
            current = Some(Type { name, shape, related, fields: Vec::new() });
        }
        schema.add(current);
        Some(schema)
    }

    fn add(&mut self, type_: Option<Type>) {
        if let Some(mut type_) = type_ {
            type_.fields.sort_by_key(|field| field.name);
            self.types.insert(type_.name, type_);
        }
    }
}

impl Type {
    /// The field of a name.
    pub fn field(&self, name: &str) -> Option<&Field> {
        let at = self.fields.binary_search_by_key(&name, |field| field.name).ok()?;
        self.fields.get(at)
    }

    /// Its fields, sorted by name.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Whether every value of this type is one of the named type too.
    pub fn is(&self, name: &str) -> bool {
        self.name == name || (self.shape == Shape::Object && self.related.contains(&name))
    }
}

impl Field {
    fn read(text: &'static str) -> Option<Self> {
        let Some((name, rest)) = text.split_once('(') else {
            let (name, type_) = text.split_once(' ')?;
            return Some(Self { name, type_, arguments: Vec::new() });
        };
        let (arguments, type_) = rest.split_once(") ")?;
        let argument = |text: &'static str| {
            let (name, type_) = text.split_once(':')?;
            let bare = type_.strip_suffix('=');
            Some(Argument { name, type_: bare.unwrap_or(type_), has_default: bare.is_some() })
        };
        let arguments = arguments.split(' ').map(argument).collect::<Option<_>>()?;
        Some(Self { name, type_, arguments })
    }

    /// The name of its type, without lists and `!`.
    pub fn named(&self) -> &'static str {
        self.type_.trim_matches(['[', ']', '!'])
    }

    /// Whether it has one value, not a list of them.
    pub fn is_single(&self) -> bool {
        !self.type_.starts_with('[')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_of_railway_is_read_whole() {
        let schema = Schema::embedded("railway").unwrap();
        let count = |name| schema.of(name).unwrap().fields().len();
        assert_eq!((count("Mutation"), count("Query"), count("Subscription")), (233, 158, 13));
        let environment = schema.of("Query").unwrap().field("environment").unwrap();
        assert_eq!(environment.named(), "Environment");
        let names: Vec<_> = environment.arguments.iter().map(|it| (it.name, it.type_)).collect();
        assert_eq!(names, [("id", "String!"), ("projectId", "String")]);
        let volume = schema.of("Volume").unwrap();
        assert!(volume.is("Volume") && volume.is("Node") && !volume.is("Project"));
        assert_eq!(volume.field("id").unwrap().type_, "ID!");
        assert!(volume.field("nothing").is_none() && schema.of("DateTime").is_none());
        assert!(!schema.of("Node").unwrap().is("Volume"));
        assert!(!schema.of("Query").unwrap().field("agentBootstraps").unwrap().is_single());
        // Nothing is referred to that the file lost on the way.
        for type_ in schema.types() {
            for related in &type_.related {
                assert!(schema.of(related).is_some(), "{}: {related}", type_.name);
            }
        }
    }

    #[test]
    fn a_line_of_another_form_is_no_schema() {
        for text in ["  id ID!", "enum A", "type A\n  id", "type A\n  a(b) C", "scalar"] {
            assert!(Schema::read(text).is_none(), "{text}");
        }
    }
}
