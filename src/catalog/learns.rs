//! Which fields of an answer say what belongs to what.
//!
//! Takes the `learns:` of a catalog and the service's schema; returns [`Learns`]. Refuses a path that
//! the schema does not have, one through a type that may be several, and one that ends in anything but
//! an id: a name is text that somebody chose.

use super::schema::{Schema, Shape, Type};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LearnsFile {
    #[serde(default)]
    given: BTreeMap<String, String>,
    types: BTreeMap<String, Vec<RuleFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    ids: BTreeMap<String, String>,
    owners: BTreeMap<String, String>,
    #[serde(default)]
    shared: bool,
}

/// What answers of a service teach.
#[derive(Debug)]
pub struct Learns {
    /// What every key of an answer is traced in.
    pub schema: &'static Schema,
    rules: HashMap<&'static str, Vec<Teaching>>,
    given: HashMap<Box<str>, Box<str>>,
}

/// What an object of one type says: each of the ids belongs to each of the owners.
#[derive(Debug)]
pub struct Teaching {
    /// Things.
    pub ids: Vec<Named>,
    /// What they belong to.
    pub owners: Vec<Named>,
    /// Whether such a thing may belong to several, so that an answer may show only some of them.
    pub shared: bool,
}

/// A field below an object, and the kind of thing it names.
#[derive(Debug)]
pub struct Named {
    /// Field by field.
    pub path: Vec<&'static str>,
    /// One of the catalog's `kinds`.
    pub kind: Arc<str>,
}

impl Learns {
    /// What objects of a type say.
    pub fn rules(&self, type_: &str) -> &[Teaching] {
        self.rules.get(type_).map_or(&[], Vec::as_slice)
    }

    /// Whether things of a type own others.
    pub fn owns(&self, type_: &str) -> bool {
        self.rules(type_).iter().any(|rule| rule.owners.iter().any(|owner| owner.path == ["id"]))
    }

    /// The argument of a root field of queries that is the `id` of the object it answers with.
    pub fn given(&self, field: &str) -> Option<&str> {
        self.given.get(field).map(AsRef::as_ref)
    }

    /// From its form. An error says where and why.
    pub(super) fn compile(
        file: LearnsFile,
        schema: &'static Schema,
        kinds: &BTreeSet<String>,
    ) -> Result<Self, (String, String)> {
        let mut rules = HashMap::new();
        for (name, entries) in file.types {
            let error = |why: String| (name.clone(), why);
            let type_ = schema.of(&name).filter(|type_| type_.shape == Shape::Object);
            let type_ = type_.ok_or_else(|| error("it is no object type of the schema".into()))?;
            let mut compiled = Vec::new();
            for entry in entries {
                let named = |(path, kind): (String, String)| {
                    if !kinds.contains(&kind) {
                        let why = format!("`{kind}` is not among the catalog's `kinds`");
                        return Err(error(why));
                    }
                    let path = trace(schema, type_, &path).map_err(error)?;
                    Ok(Named { path, kind: Arc::from(kind) })
                };
                let ids = entry.ids.into_iter().map(named).collect::<Result<Vec<_>, _>>()?;
                let owners = entry.owners.into_iter().map(named).collect::<Result<Vec<_>, _>>()?;
                let first = |named: &Named| named.path.first().copied();
                if ids.is_empty() || owners.is_empty() {
                    return Err(error("a rule needs `ids` and `owners`".to_owned()));
                }
                if ids.iter().any(|id| {
                    id.path.len() > 1 && owners.iter().any(|owner| first(owner) == first(id))
                }) {
                    let why = "an id and its owner stand below the same field; write the rule for that field's type";
                    return Err(error(why.to_owned()));
                }
                compiled.push(Teaching { ids, owners, shared: entry.shared });
            }
            rules.insert(type_.name, compiled);
        }
        let mut given: HashMap<Box<str>, Box<str>> = HashMap::new();
        for (field, argument) in file.given {
            let found = schema.of("Query").and_then(|query| query.field(&field));
            let fits = found.is_some_and(|found| {
                found.is_single()
                    && schema.of(found.named()).is_some_and(|of| of.field("id").is_some())
                    && found.arguments.iter().any(|known| known.name == argument)
            });
            if !fits {
                let why =
                    format!("the query has no argument `{argument}` that is the id of one object");
                return Err((field, why));
            }
            given.insert(field.into(), argument.into());
        }
        Ok(Self { schema, rules, given })
    }
}

/// A dotted path through the schema, down to an id.
fn trace(
    schema: &'static Schema,
    from: &'static Type,
    path: &str,
) -> Result<Vec<&'static str>, String> {
    let mut traced = Vec::new();
    let mut at = Some(from);
    let mut leaf = None;
    for name in path.split('.') {
        let type_ = at.filter(|type_| type_.shape == Shape::Object);
        let type_ = type_.ok_or_else(|| format!("`{path}`: `{name}` is not below one object"))?;
        let field = type_.field(name);
        let field = field.ok_or_else(|| format!("`{path}`: `{}` has no `{name}`", type_.name))?;
        traced.push(field.name);
        at = schema.of(field.named());
        leaf = Some(field);
    }
    // Some ids are declared as text, under a name that says what they are.
    let is_id = leaf.is_some_and(|field| {
        field.named() == "ID" || (field.named() == "String" && field.name.ends_with("Id"))
    });
    if is_id { Ok(traced) } else { Err(format!("`{path}` is no id")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(text: &str) -> Result<Learns, (String, String)> {
        let kinds = ["volume", "environment"].map(str::to_owned).into();
        let file: LearnsFile = serde_saphyr::from_str(text).unwrap();
        Learns::compile(file, Schema::embedded("railway").unwrap(), &kinds)
    }

    #[test]
    fn only_ids_that_the_schema_has_can_be_learned() {
        let rule = |ids: &str, owners: &str| {
            format!("types: {{ Volume: [{{ ids: {{ {ids} }}, owners: {{ {owners} }} }}] }}")
        };
        let owner = "volumeInstances.edges.node.environmentId: environment";
        assert!(compiled(&rule("id: volume", owner)).is_ok());
        for (ids, owners, why) in [
            ("name: volume", owner, "is no id"),
            ("createdAt: volume", owner, "is no id"),
            ("volumeInstances: volume", owner, "is no id"),
            ("nothing: volume", owner, "has no `nothing`"),
            ("id.id: volume", owner, "is not below one object"),
            ("id: thing", owner, "`kinds`"),
            ("", owner, "needs `ids`"),
            ("volumeInstances.edges.node.volumeId: volume", owner, "below the same field"),
        ] {
            let (_, told) = compiled(&rule(ids, owners)).unwrap_err();
            assert!(told.contains(why), "{ids}: {told}");
        }
        for given in ["volumes: id", "environment: name", "me: id", "projectsByIds: ids"] {
            assert!(compiled(&format!("given: {{ {given} }}\ntypes: {{}}")).is_err(), "{given}");
        }
        assert!(compiled("given: { environment: id }\ntypes: {}").is_ok());
        assert!(compiled("types: { Node: [] }").is_err(), "an interface may be several");
    }
}
