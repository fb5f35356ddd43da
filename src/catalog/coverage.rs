//! How much of a service's schema its catalog has.
//!
//! Takes a catalog with a `schema:`; returns for each type of operation what is there, what is missing
//! and what the schema does not have, and the arguments that look like ids and are not said to be any.

use super::schema::{Schema, Shape, Type};
use super::{Catalog, Identifier, OperationSpec};
use std::collections::BTreeSet;

/// The operations of one type.
#[derive(Debug, serde::Serialize)]
pub struct Coverage {
    /// `mutation`, `query` or `subscription`.
    pub kind: &'static str,
    /// How many the schema has.
    pub schema: usize,
    /// How many of those the catalog has.
    pub catalog: usize,
    /// Those that the catalog does not have.
    pub missing: Vec<String>,
    /// Those that the schema does not have.
    pub unknown: Vec<String>,
    /// How many arguments of operations look like ids.
    pub ids: usize,
    /// Those that no entry says to be one, as `mutation volumeDelete: volumeId`.
    pub unnamed: Vec<String>,
}

impl Coverage {
    /// How much of the schema the catalog has, in percent, rounded down.
    pub fn percent(&self) -> usize {
        (self.catalog * 100).checked_div(self.schema).unwrap_or(100)
    }
}

/// How much of its schema a catalog has; none where it names no schema.
pub fn of(catalog: &Catalog) -> Option<Vec<Coverage>> {
    let graphql = catalog.graphql.as_ref()?;
    let schema = graphql.learns.as_ref()?.schema;
    let kinds = [("mutation", "Mutation"), ("query", "Query"), ("subscription", "Subscription")];
    let coverage = |(kind, root)| {
        let root = schema.of(root);
        let fields = root.map_or(&[][..], Type::fields);
        let (mut missing, mut unnamed, mut ids) = (Vec::new(), Vec::new(), 0);
        for field in fields {
            let name = format!("{kind} {}", field.name);
            let Some(spec) = graphql.operations.get(&name) else {
                missing.push(name);
                continue;
            };
            let said = places(spec);
            for place in id_places(field, schema) {
                ids += 1;
                if !said.contains(&place) {
                    unnamed.push(format!("{name}: {place}"));
                }
            }
        }
        let prefix = format!("{kind} ");
        let has = |name: &str| fields.iter().any(|field| field.name == name);
        let unknown = graphql
            .operations
            .keys()
            .filter(|name| name.strip_prefix(&prefix).is_some_and(|name| !has(name)));
        let mut unknown: Vec<String> = unknown.cloned().collect();
        unknown.sort();
        let (schema, catalog) = (fields.len(), fields.len() - missing.len());
        Coverage { kind, schema, catalog, missing, unknown, ids, unnamed }
    };
    Some(kinds.into_iter().map(coverage).collect())
}

/// Where an entry says that ids stand.
fn places(spec: &OperationSpec) -> BTreeSet<String> {
    let ids = spec.decides.iter().chain(&spec.reaches).chain(&spec.names);
    ids.flat_map(Identifier::places).map(ToString::to_string).collect()
}

/// The arguments of a root field that look like ids, one level into input objects.
fn id_places(field: &super::schema::Field, schema: &Schema) -> Vec<String> {
    let mut places = Vec::new();
    for argument in &field.arguments {
        let named = argument.type_.trim_matches(['[', ']', '!']);
        match schema.of(named).filter(|type_| type_.shape == Shape::Input) {
            Some(input) => {
                let inner = input.fields().iter().filter(|field| is_id(field.name, field.named()));
                places.extend(inner.map(|field| format!("{}.{}", argument.name, field.name)));
            }
            None if is_id(argument.name, named) => places.push(argument.name.to_owned()),
            None => {}
        }
    }
    places
}

fn is_id(name: &str, type_: &str) -> bool {
    let named = name == "id" || name == "ids" || name.ends_with("Id") || name.ends_with("Ids");
    named && matches!(type_, "ID" | "String")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn railway_has_all_of_its_schema() {
        let coverage = of(&Catalog::embedded("railway").unwrap()).unwrap();
        let counts: Vec<(usize, usize)> =
            coverage.iter().map(|one| (one.catalog, one.schema)).collect();
        assert_eq!(counts, [(233, 233), (158, 158), (13, 13)]);
        for one in &coverage {
            assert!(one.missing.is_empty() && one.unknown.is_empty(), "{one:?}");
            assert_eq!(one.percent(), 100);
        }
        assert!(of(&Catalog::embedded("npm").unwrap()).is_none());
    }

    #[test]
    fn an_id_that_no_entry_names_is_told() {
        let mutations = &of(&Catalog::embedded("railway").unwrap()).unwrap()[0];
        assert!(mutations.ids > 200, "{}", mutations.ids);
        // Telemetry names its own sessions and installs, which are no things.
        let telemetry = |told: &String| told.contains("EventTrack: input.");
        assert!(mutations.unnamed.iter().all(telemetry), "{:?}", mutations.unnamed);
        assert_eq!(mutations.unnamed.len(), 9);
    }
}
