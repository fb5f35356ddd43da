//! The YAML form of a catalog, and its compilation.
//!
//! Takes text, returns a [`Catalog`]; refuses unknown keys, duplicate operations and kinds that
//! are used but not declared.

use super::{
    Catalog, Dialect, Effect, Error, Graphql, Identifier, Kind, OperationSpec, Reveal,
    Reversibility,
};
use crate::policy::path::{Index, Template};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    service: String,
    title: String,
    kind: Kind,
    hosts: Vec<String>,
    slots: Vec<String>,
    kinds: BTreeSet<String>,
    #[serde(default)]
    graphql: Option<GraphqlFile>,
    #[serde(default)]
    rest: Vec<RestFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct GraphqlFile {
    paths: Vec<String>,
    #[serde(default)]
    websocket: Vec<Dialect>,
    #[serde(default)]
    mutations: BTreeMap<String, EntryFile>,
    #[serde(default)]
    queries: BTreeMap<String, EntryFile>,
    #[serde(default)]
    subscriptions: BTreeMap<String, EntryFile>,
    #[serde(default)]
    reveals: Vec<RevealFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryFile {
    effect: Effect,
    reversibility: Option<Reversibility>,
    window: Option<String>,
    #[serde(default)]
    decides: BTreeMap<String, String>,
    #[serde(default)]
    names: BTreeMap<String, String>,
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RestFile {
    operation: String,
    effect: Effect,
    reversibility: Option<Reversibility>,
    window: Option<String>,
    #[serde(default)]
    decides: BTreeMap<String, String>,
    #[serde(default)]
    names: BTreeMap<String, String>,
    note: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RevealFile {
    field: String,
    #[serde(rename = "type")]
    _type: Option<String>,
    when: Option<String>,
    below: Option<String>,
}

pub(super) fn parse(service: &str, text: &str) -> Result<Catalog, Error> {
    let file: File = serde_saphyr::from_str(text)
        .map_err(|error| Error::Form { service: service.to_owned(), message: error.to_string() })?;
    if file.service != service {
        let message = format!("it says `service: {}`", file.service);
        return Err(Error::Form { service: service.to_owned(), message });
    }
    let compile = Compile { service, kinds: &file.kinds };
    let graphql = file.graphql.map(|graphql| compile.graphql(graphql)).transpose()?;
    let mut rest = Index::default();
    for entry in file.rest {
        compile.rest(&mut rest, entry)?;
    }
    let slot = |slot: String| slot.strip_prefix("header ").unwrap_or(&slot).to_owned();
    Ok(Catalog {
        service: Arc::from(service),
        title: file.title,
        kind: file.kind,
        hosts: file.hosts,
        slots: file.slots.into_iter().map(slot).collect(),
        kinds: file.kinds,
        graphql,
        rest,
    })
}

struct Compile<'a> {
    service: &'a str,
    kinds: &'a BTreeSet<String>,
}

impl Compile<'_> {
    fn graphql(&self, file: GraphqlFile) -> Result<Graphql, Error> {
        let mut operations = HashMap::new();
        let groups = [
            ("mutation", file.mutations),
            ("query", file.queries),
            ("subscription", file.subscriptions),
        ];
        for (kind, entries) in groups {
            for (field, entry) in entries {
                let name = format!("{kind} {field}");
                let spec = self.operation(&name, entry)?;
                operations.insert(name, Arc::new(spec));
            }
        }
        let reveals = file.reveals.into_iter().map(|reveal| Reveal {
            field: reveal.field.into(),
            when: reveal.when.map(Into::into),
            below: reveal.below.map(Into::into),
        });
        Ok(Graphql {
            paths: file.paths,
            websocket: file.websocket,
            operations,
            reveals: reveals.collect(),
        })
    }

    fn rest(
        &self,
        index: &mut Index<(Option<http::Method>, Arc<OperationSpec>)>,
        file: RestFile,
    ) -> Result<(), Error> {
        let name = file.operation;
        let (method, template) = crate::policy::path::parse_rule(&name)
            .map_err(|error| self.error(&name, error.to_string()))?;
        let entry = EntryFile {
            effect: file.effect,
            reversibility: file.reversibility,
            window: file.window,
            decides: file.decides,
            names: file.names,
            note: file.note,
        };
        for parameter in entry.decides.keys().chain(entry.names.keys()) {
            if !Template::parameters(&template).any(|name| name == parameter) {
                return Err(self.error(&name, format!("its path has no parameter `{parameter}`")));
            }
        }
        let spec = Arc::new(self.operation(&name, entry)?);
        index.insert(&template, (method, spec));
        Ok(())
    }

    fn operation(&self, name: &str, entry: EntryFile) -> Result<OperationSpec, Error> {
        let reversibility = match (entry.effect, entry.reversibility) {
            (Effect::Unknown, _) => {
                return Err(
                    self.error(name, "an effect must be known; leave the operation out instead")
                );
            }
            (Effect::Destructive, None) => {
                return Err(self.error(name, "a destructive operation needs `reversibility:`"));
            }
            (_, Some(reversibility)) => reversibility,
            (_, None) => Reversibility::Reversible,
        };
        Ok(OperationSpec {
            name: Arc::from(name),
            effect: entry.effect,
            reversibility,
            window: entry.window,
            decides: self.identifiers(name, entry.decides)?,
            names: self.identifiers(name, entry.names)?,
            note: entry.note,
        })
    }

    fn identifiers(
        &self,
        name: &str,
        ids: BTreeMap<String, String>,
    ) -> Result<Vec<Identifier>, Error> {
        ids.into_iter()
            .map(|(path, kind)| {
                if !self.kinds.contains(&kind) {
                    return Err(
                        self.error(name, format!("`{kind}` is not among the catalog's `kinds`"))
                    );
                }
                let path = path.split('.').map(Into::into).collect();
                Ok(Identifier { path, kind: Arc::from(kind) })
            })
            .collect()
    }

    fn error(&self, operation: &str, message: impl Into<String>) -> Error {
        Error::Operation {
            service: self.service.to_owned(),
            operation: operation.to_owned(),
            message: message.into(),
        }
    }
}
