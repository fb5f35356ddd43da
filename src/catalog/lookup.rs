//! How a service is asked what an id is, before a person is asked.
//!
//! Takes the `lookups:` of a catalog; returns [`Lookup`]: a document that lists the things of one
//! declared owner, and where in the answer they stand. Refuses a document that is no single query.

use super::arguments::{Arguments, At};
use crate::policy::folded;
use apollo_parser::{Parser, cst};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LookupFile {
    pub(super) each: String,
    document: String,
    variable: String,
    list: String,
    id: String,
    tells: BTreeMap<String, String>,
    then: Option<ThenFile>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ThenFile {
    document: String,
    variable: String,
    from: String,
    counts: BTreeMap<String, String>,
}

/// How the things of one kind are looked up.
#[derive(Debug)]
pub struct Lookup {
    /// The kind of the declared ids that the document is asked with, one after the other.
    pub each: Arc<str>,
    /// The query.
    pub document: Box<str>,
    /// The variable that the declared id is given as.
    pub variable: Box<str>,
    /// Where the things stand in the answer's data.
    pub list: At,
    /// Where in a thing its id stands.
    pub id: At,
    /// What of a thing a person is told.
    pub tells: Vec<(Box<str>, At)>,
    /// What is asked about the thing once it is found.
    pub then: Option<Then>,
}

/// A second question, about the thing that was found.
#[derive(Debug)]
pub struct Then {
    /// The query.
    pub document: Box<str>,
    /// The variable that is given.
    pub variable: Box<str>,
    /// Where in the thing its value stands.
    pub from: At,
    /// Lists in the answer's data whose lengths a person is told.
    pub counts: Vec<(Box<str>, At)>,
}

/// Longer texts of a service are cut before a person sees them.
const LONGEST_TOLD: usize = 100;

impl LookupFile {
    pub(super) fn compile(self) -> Result<Lookup, String> {
        let then = self.then.map(|then| {
            is_query(&then.document)?;
            Ok::<_, String>(Then {
                document: then.document.into(),
                variable: then.variable.into(),
                from: place(&then.from)?,
                counts: places(then.counts)?,
            })
        });
        is_query(&self.document)?;
        Ok(Lookup {
            each: Arc::from(self.each),
            document: self.document.into(),
            variable: self.variable.into(),
            list: place(&self.list)?,
            id: place(&self.id)?,
            tells: places(self.tells)?,
            then: then.transpose()?,
        })
    }
}

fn place(text: &str) -> Result<At, String> {
    At::parse(text).ok_or_else(|| format!("`{text}` is no place in an answer"))
}

fn places(texts: BTreeMap<String, String>) -> Result<Vec<(Box<str>, At)>, String> {
    texts.into_iter().map(|(name, text)| Ok((name.into(), place(&text)?))).collect()
}

/// Whether a document is one query: nothing else is ever sent of its own accord.
fn is_query(document: &str) -> Result<(), String> {
    let tree = Parser::new(document).parse();
    if let Some(error) = tree.errors().next() {
        return Err(format!("a document does not parse: {}", error.message()));
    }
    let definitions: Vec<cst::Definition> = tree.document().definitions().collect();
    let is_query = |operation: &cst::OperationDefinition| {
        operation.operation_type().is_none_or(|kind| kind.query_token().is_some())
    };
    match definitions.as_slice() {
        [cst::Definition::OperationDefinition(operation)] if is_query(operation) => Ok(()),
        _ => Err("a document is one query and nothing else".to_owned()),
    }
}

impl Lookup {
    /// The things with an id in an answer, each as it stands there.
    pub fn found<'a>(&self, data: &'a Arguments, id: &str) -> Vec<&'a Map<String, Value>> {
        let things = data.at(&self.list).values.into_iter().filter_map(Value::as_object);
        let is = |thing: &&Map<String, Value>| {
            let own = Arguments::new((*thing).clone());
            let found = own.at(&self.id);
            matches!(found.values.as_slice(), [Value::String(own)] if folded(own) == folded(id))
        };
        things.filter(is).collect()
    }

    /// What of a thing a person is told. It is the service's text, which agents may have written.
    pub fn told(&self, thing: &Map<String, Value>) -> Vec<String> {
        let own = Arguments::new(thing.clone());
        let told = self.tells.iter().filter_map(|(name, at)| {
            let text = match own.at(at).values.first()? {
                Value::String(text) => text.chars().take(LONGEST_TOLD).collect(),
                value @ (Value::Number(_) | Value::Bool(_)) => value.to_string(),
                _ => return None,
            };
            Some(format!("{name} {text}"))
        });
        told.collect()
    }
}

impl Then {
    /// The body that asks about a thing; none where what it needs is not there.
    pub fn value(&self, thing: &Map<String, Value>) -> Option<String> {
        let own = Arguments::new(thing.clone());
        own.at(&self.from).values.first()?.as_str().map(str::to_owned)
    }

    /// How much there is of what is counted.
    pub fn counted(&self, data: &Map<String, Value>) -> Vec<String> {
        let own = Arguments::new(data.clone());
        let counts = self.counts.iter().map(|(name, at)| {
            format!("{} {name}", own.at(at).values.iter().filter(|value| !value.is_null()).count())
        });
        counts.collect()
    }
}

/// The body of a question.
pub fn body(document: &str, variable: &str, value: &str) -> String {
    let variables = Map::from_iter([(variable.to_owned(), Value::from(value))]);
    serde_json::json!({ "query": document, "variables": variables }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lookup(document: &str) -> Result<Lookup, String> {
        let file = json!({
            "each": "environment", "document": document, "variable": "id",
            "list": "environment.volumes", "id": "volume.id", "tells": {"name": "volume.name"},
            "then": {"document": "{ backups }", "variable": "id", "from": "id", "counts": {"backups": "backups"}},
        });
        serde_json::from_value::<LookupFile>(file).unwrap().compile()
    }

    #[test]
    fn what_is_asked_is_one_query() {
        assert!(lookup("query A($id: ID!) { a }").is_ok());
        for document in
            ["mutation { a }", "{ a } { b }", "{ a", "", "type A { b: C }", "subscription { a }"]
        {
            assert!(lookup(document).is_err(), "{document}");
        }
    }

    #[test]
    fn a_thing_is_found_by_its_id_and_told() {
        let lookup = lookup("{ a }").unwrap();
        let long = "n".repeat(300);
        let answer = json!({"environment": {"volumes": [
            {"id": "i1", "volume": {"id": "dddddddd-0000-4000-8000-000000000001", "name": long}},
            {"id": "i2", "volume": {"id": "dddddddd-0000-4000-8000-000000000002", "name": "pg"}},
            {"id": "i3", "volume": {"id": 7}},
        ]}});
        let data = Arguments::new(answer.as_object().unwrap().clone());
        let found = lookup.found(&data, "DDDDDDDD-0000-4000-8000-000000000002");
        assert_eq!(found.len(), 1);
        assert_eq!(lookup.told(found[0]), ["name pg"]);
        let then = lookup.then.as_ref().unwrap();
        assert_eq!(then.value(found[0]).as_deref(), Some("i2"));
        let counted = json!({"backups": [{}, {}, null]});
        assert_eq!(then.counted(counted.as_object().unwrap()), ["2 backups"]);
        let cut = lookup.found(&data, "dddddddd-0000-4000-8000-000000000001");
        assert_eq!(lookup.told(cut[0])[0].len(), "name ".len() + LONGEST_TOLD);
        assert!(lookup.found(&data, "7").is_empty());
    }
}
