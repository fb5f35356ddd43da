//! The YAML form of a catalog, and its compilation.
//!
//! Takes text, returns a [`Catalog`]; refuses unknown keys, duplicate operations, kinds that are
//! used but not declared, and arguments that a path does not have.

use super::condition::{self, Pattern};
use super::hosts::HostPattern;
use super::learns::{Learns, LearnsFile};
use super::lookup::LookupFile;
use super::marks::{Mark, Marks};
use super::schema::Schema;
use super::{
    Catalog, Clause, Dialect, Effect, Envelope, Error, Example, Fold, Graphql, Identifier, Kind,
    NamedClause, OperationSpec, RestEntry, Reveal, Reversibility, Rule, TokenEndpoint,
};
use crate::policy::path::{Index, Template};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
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
    confined: BTreeSet<String>,
    #[serde(default)]
    folds: BTreeMap<String, Vec<Fold>>,
    #[serde(default)]
    of_any_kind: BTreeSet<String>,
    #[serde(default)]
    within: BTreeMap<String, String>,
    #[serde(default)]
    reaches: BTreeMap<String, String>,
    #[serde(default)]
    graphql: Option<GraphqlFile>,
    #[serde(default)]
    rest: Vec<With<RestFile, EntryFile>>,
    #[serde(default)]
    envelopes: Vec<Envelope>,
    #[serde(default)]
    endpoints: Vec<String>,
    #[serde(default)]
    git: GitFile,
    #[serde(default)]
    operations: BTreeMap<String, EntryFile>,
    #[serde(default)]
    rules: Vec<With<RuleFile, EntryFile>>,
    #[serde(default)]
    when: Vec<With<ClauseNamesFile, ClauseFile>>,
    #[serde(default)]
    tokens: Vec<TokenEndpoint>,
    #[serde(default)]
    marks: BTreeMap<Mark, Vec<String>>,
    #[serde(default)]
    examples: Vec<Example>,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct GitFile {
    hosts: Vec<String>,
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
    #[serde(default)]
    lookups: BTreeMap<String, LookupFile>,
    schema: Option<String>,
    learns: Option<LearnsFile>,
    #[serde(default)]
    data: Vec<String>,
}

/// What is said of one operation.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct EntryFile {
    effect: Effect,
    reversibility: Option<Reversibility>,
    window: Option<String>,
    #[serde(default)]
    decides: BTreeMap<String, String>,
    #[serde(default)]
    names: BTreeMap<String, String>,
    #[serde(default)]
    reaches: BTreeMap<String, String>,
    #[serde(default)]
    when: Vec<ClauseFile>,
    note: Option<String>,
    #[serde(default)]
    unchecked: bool,
}

/// Where a plain HTTP operation is.
#[derive(Clone, Deserialize)]
struct RestFile {
    operation: String,
    name: Option<String>,
    host: Option<String>,
    #[serde(default)]
    query: BTreeMap<String, String>,
}

/// Which operations a rule is about. Their names stand under `names`, so the ids that only name stand
/// under `mentions`.
#[derive(Deserialize)]
struct RuleFile {
    names: Vec<String>,
    #[serde(default)]
    mentions: BTreeMap<String, String>,
}

/// Which operations a clause is about.
#[derive(Deserialize)]
struct ClauseNamesFile {
    names: Vec<String>,
}

/// Keys of its own beside those of a form that refuses keys it does not know.
#[derive(Clone)]
struct With<Own, Form> {
    own: Own,
    form: Form,
}

/// The keys that are its own.
trait Keys {
    const KEYS: &'static [&'static str];
}

impl Keys for RestFile {
    const KEYS: &'static [&'static str] = &["operation", "name", "host", "query"];
}

impl Keys for RuleFile {
    const KEYS: &'static [&'static str] = &["names", "mentions"];
}

impl Keys for ClauseNamesFile {
    const KEYS: &'static [&'static str] = &["names"];
}

impl<'de, Own, Form> Deserialize<'de> for With<Own, Form>
where
    Own: Keys + DeserializeOwned,
    Form: DeserializeOwned,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut form = Map::deserialize(deserializer)?;
        let own: Map<_, _> = Own::KEYS.iter().filter_map(|key| form.remove_entry(*key)).collect();
        Ok(Self {
            own: serde_json::from_value(Value::Object(own)).map_err(D::Error::custom)?,
            form: serde_json::from_value(Value::Object(form)).map_err(D::Error::custom)?,
        })
    }
}

/// A condition, and what the call does where it is so.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClauseFile {
    argument: String,
    is: Option<condition::Scalar>,
    r#in: Option<Vec<condition::Scalar>>,
    like: Option<String>,
    present: Option<bool>,
    empty: Option<bool>,
    at_least: Option<f64>,
    at_most: Option<f64>,
    anywhere: Option<condition::Member>,
    #[serde(default)]
    not: bool,
    effect: Option<Effect>,
    reversibility: Option<Reversibility>,
    window: Option<String>,
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

pub(super) fn parse(text: &str) -> Result<Catalog, Error> {
    let file: File =
        serde_saphyr::from_str(text).map_err(|error| Error::Form { message: error.to_string() })?;
    let service = &*file.service;
    let compile =
        Compile { service, kinds: &file.kinds, reaches: &file.reaches, tokens: &file.tokens };
    let named = (file.confined.iter().map(|kind| ("confined", kind)))
        .chain(file.folds.keys().map(|kind| ("folds", kind)))
        .chain(file.of_any_kind.iter().map(|kind| ("of_any_kind", kind)))
        .chain(file.within.iter().flat_map(|(kind, of)| [("within", kind), ("within", of)]));
    for (key, kind) in named {
        if !file.kinds.contains(kind) {
            let message = format!("`{kind}` is not among the catalog's `kinds`");
            return Err(compile.error(key, message));
        }
    }
    let graphql = file.graphql.map(|graphql| compile.graphql(graphql)).transpose()?;
    let mut rest = Index::default();
    for entry in file.rest {
        compile.rest(&mut rest, entry)?;
    }
    let mut operations = HashMap::new();
    for (name, entry) in file.operations {
        let spec = compile.operation(&name, entry)?;
        operations.insert(name, Arc::new(spec));
    }
    let rules = file.rules.into_iter().map(|rule| compile.rule(rule)).collect::<Result<_, _>>()?;
    let when = file.when.into_iter().map(|clause| compile.named_clause(clause));
    let when = when.collect::<Result<_, _>>()?;
    let slot = |slot: String| slot.strip_prefix("header ").unwrap_or(&slot).to_owned();
    let host = |host: &String| {
        HostPattern::parse(host)
            .ok_or_else(|| compile.error(host, "it is no host, `*.host` or `**.host`"))
    };
    let hosts = file.hosts.iter().map(host).collect::<Result<_, _>>()?;
    let git_hosts = file.git.hosts.iter().map(host).collect::<Result<_, _>>()?;
    let mut endpoints = Index::default();
    for path in &file.endpoints {
        let template =
            Template::parse(path).map_err(|error| compile.error(path, error.to_string()))?;
        endpoints.insert(&template, ());
    }
    let mut catalog = Catalog {
        service: Arc::from(service),
        title: file.title,
        kind: file.kind,
        hosts,
        slots: file.slots.into_iter().map(slot).collect(),
        kinds: file.kinds,
        confined: file.confined,
        folds: file.folds,
        of_any_kind: file.of_any_kind,
        within: file.within,
        envelopes: file.envelopes,
        endpoints,
        git_hosts,
        graphql,
        rest,
        operations,
        rules,
        when,
        tokens: Vec::new(),
        marks: Marks::default(),
        examples: file.examples,
    };
    let error = |(name, message): (String, String)| Error::Operation {
        service: catalog.service.to_string(),
        operation: name,
        message,
    };
    let tokens = file.tokens.into_iter();
    let tokens = tokens
        .map(|one| one.compile(|name| catalog.may_be_named(name)).map(Arc::new).map_err(error));
    catalog.tokens = tokens.collect::<Result<_, _>>()?;
    catalog.marks = Marks::compile(file.marks, |name| catalog.may_be_named(name))
        .map_err(|name| error((name, "`marks:` names no operation of this catalog".to_owned())))?;
    Ok(catalog)
}

/// How many segments a name of several may have; a longer one fits no template.
const PARTS: usize = 16;

/// The name that stands for several segments of a path, as in `/v2/{name**}/tags/list`.
fn several(operation: &str) -> Option<&str> {
    let (before, _) = operation.split_once("**}")?;
    before.rsplit_once('{').map(|(_, name)| name)
}

impl With<RestFile, EntryFile> {
    /// The same with this many segments where the name of several stands.
    fn with_parts(&self, name: &str, parts: usize) -> Self {
        let parts: Vec<String> = (1..=parts).map(|part| format!("{{{name}_{part}}}")).collect();
        let parts = parts.join("/");
        let ids = |ids: &BTreeMap<String, String>| {
            let place = |place: &String| match place {
                place if place == name => parts.clone(),
                place => place.replace(&format!("{{{name}}}"), &parts),
            };
            ids.iter().map(|(at, kind)| (place(at), kind.clone())).collect()
        };
        let RestFile { operation, name: called, .. } = &self.own;
        Self {
            own: RestFile {
                operation: operation.replace(&format!("{{{name}**}}"), &parts),
                name: called.clone().or_else(|| Some(operation.clone())),
                ..self.own.clone()
            },
            form: EntryFile {
                decides: ids(&self.form.decides),
                names: ids(&self.form.names),
                reaches: ids(&self.form.reaches),
                ..self.form.clone()
            },
        }
    }
}

struct Compile<'a> {
    service: &'a str,
    kinds: &'a BTreeSet<String>,
    /// What every plain HTTP operation reaches.
    reaches: &'a BTreeMap<String, String>,
    /// Where tokens are handed out for what a body presents.
    tokens: &'a [TokenEndpoint],
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
        let lookups = file.lookups.into_iter().map(|(kind, lookup)| {
            let name = format!("lookups of {kind}");
            if let Some(unknown) =
                [&kind, &lookup.each].into_iter().find(|k| !self.kinds.contains(*k))
            {
                return Err(
                    self.error(&name, format!("`{unknown}` is not among the catalog's `kinds`"))
                );
            }
            let lookup = lookup.compile().map_err(|message| self.error(&name, message))?;
            Ok((kind, lookup))
        });
        let lookups = lookups.collect::<Result<_, _>>()?;
        let learns = file.learns.map(|learns| {
            let error =
                |(name, message)| Error::Learns { service: self.service.to_owned(), name, message };
            let schema = file.schema.as_deref().and_then(Schema::embedded);
            let why = "`schema:` names no schema that is known".to_owned();
            let schema = schema.ok_or_else(|| error(("schema".to_owned(), why)))?;
            Learns::compile(learns, schema, self.kinds).map(Arc::new).map_err(error)
        });
        Ok(Graphql {
            learns: learns.transpose()?,
            data: file.data,
            paths: file.paths,
            websocket: file.websocket,
            operations,
            reveals: reveals.collect(),
            lookups,
            documents: HashMap::new(),
        })
    }

    /// An entry, for each number of segments that its name of several may have.
    fn rest(
        &self,
        index: &mut Index<RestEntry>,
        file: With<RestFile, EntryFile>,
    ) -> Result<(), Error> {
        let Some(name) = several(&file.own.operation) else {
            return self.one_rest(index, file, false);
        };
        let name = name.to_owned();
        (1..=PARTS)
            .try_for_each(|parts| self.one_rest(index, file.with_parts(&name, parts), parts > 1))
    }

    fn one_rest(
        &self,
        index: &mut Index<RestEntry>,
        file: With<RestFile, EntryFile>,
        again: bool,
    ) -> Result<(), Error> {
        let With { own: file, form: mut entry } = file;
        for (place, kind) in self.reaches {
            // What an entry says of a place itself stands.
            if ![&entry.decides, &entry.names].iter().any(|ids| ids.contains_key(place)) {
                entry.reaches.entry(place.clone()).or_insert_with(|| kind.clone());
            }
        }
        let rule = file.operation;
        let name = file.name.unwrap_or_else(|| rule.clone());
        let (method, template) = crate::policy::path::parse_rule(&rule)
            .map_err(|error| self.error(&rule, error.to_string()))?;
        let host = file.host.map(|host| {
            HostPattern::parse(&host)
                .ok_or_else(|| self.error(&rule, format!("`{host}` is no host")))
        });
        let spec = self.operation(&name, entry)?;
        let places = || {
            let ids = spec.decides.iter().chain(&spec.reaches).chain(&spec.names);
            ids.flat_map(Identifier::places)
                .chain(spec.when.iter().map(|clause| &clause.condition.at))
        };
        for place in places() {
            let parameter = || Template::parameters(&template).any(|name| name == place.first());
            let elsewhere = ["query", "header", "body"].contains(&place.first());
            if !(if elsewhere { place.depth() > 1 } else { place.depth() == 1 && parameter() }) {
                let message = format!(
                    "its path has no parameter `{place}`; what stands elsewhere is `query.NAME`, `header.NAME` or `body.NAME`"
                );
                return Err(self.error(&rule, message));
            }
        }
        if let Some(name) =
            Template::parameters(&template).find(|name| ["query", "header", "body"].contains(name))
        {
            return Err(self.error(&rule, format!("a path parameter cannot be called `{name}`")));
        }
        let exchanges = self.tokens.iter().any(|endpoint| *endpoint.operation == *name);
        let reads_body = places().any(|place| place.first() == "body")
            || (exchanges && method != Some(http::Method::GET));
        let headers = places().filter(|place| place.first() == "header");
        let headers = headers.map(|place| Box::from(place.last())).collect();
        let query =
            file.query.into_iter().map(|(key, value)| (key, (value != "*").then_some(value)));
        let query = query.collect();
        let host = host.transpose()?;
        let spec = Arc::new(spec);
        index
            .insert(&template, RestEntry { method, host, query, reads_body, headers, spec, again });
        Ok(())
    }

    fn rule(&self, file: With<RuleFile, EntryFile>) -> Result<Rule, Error> {
        let With { own, form } = file;
        let name = own.names.join(", ");
        if own.names.is_empty() {
            return Err(self.error("rules", "a rule names the operations it is about"));
        }
        let entry = EntryFile { names: own.mentions, ..form };
        let spec = Arc::new(self.operation(&name, entry)?);
        Ok(Rule { names: own.names.iter().map(|name| Pattern::new(name)).collect(), spec })
    }

    fn named_clause(&self, file: With<ClauseNamesFile, ClauseFile>) -> Result<NamedClause, Error> {
        let names = file.own.names;
        let clause = self.clause(&names.join(", "), file.form)?;
        Ok(NamedClause { names: names.iter().map(|name| Pattern::new(name)).collect(), clause })
    }

    fn clause(&self, name: &str, file: ClauseFile) -> Result<Clause, Error> {
        let written = condition::Written {
            argument: file.argument,
            is: file.is,
            r#in: file.r#in,
            like: file.like,
            present: file.present,
            empty: file.empty,
            at_least: file.at_least,
            at_most: file.at_most,
            anywhere: file.anywhere,
            not: file.not,
            ..condition::Written::default()
        };
        let condition = written.place().and_then(|at| written.condition_at(at));
        let condition = condition.map_err(|error| self.error(name, format!("`when`: {error}")))?;
        if file.effect.is_none() && file.reversibility.is_none() {
            return Err(self.error(name, "`when`: say what changes: `effect` or `reversibility`"));
        }
        if file.effect == Some(Effect::Destructive) && file.reversibility.is_none() {
            return Err(self.error(name, "`when`: what destroys needs `reversibility:`"));
        }
        Ok(Clause {
            condition,
            effect: file.effect,
            reversibility: file.reversibility,
            window: file.window,
            note: file.note,
        })
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
        if (reversibility == Reversibility::Recoverable) != entry.window.is_some() {
            let message =
                "what is recoverable says for how long in `window:`, and nothing else does";
            return Err(self.error(name, message));
        }
        let when = entry.when.into_iter().map(|clause| self.clause(name, clause));
        Ok(OperationSpec {
            name: Arc::from(name),
            effect: entry.effect,
            reversibility,
            window: entry.window,
            decides: self.identifiers(name, entry.decides)?,
            names: self.identifiers(name, entry.names)?,
            reaches: self.identifiers(name, entry.reaches)?,
            when: when.collect::<Result<_, _>>()?,
            unchecked: entry.unchecked,
            note: entry.note,
        })
    }

    fn identifiers(
        &self,
        name: &str,
        ids: BTreeMap<String, String>,
    ) -> Result<Vec<Identifier>, Error> {
        ids.into_iter()
            .map(|(place, kind)| {
                if !self.kinds.contains(&kind) {
                    return Err(
                        self.error(name, format!("`{kind}` is not among the catalog's `kinds`"))
                    );
                }
                Identifier::parse(&place, Arc::from(kind))
                    .ok_or_else(|| self.error(name, format!("`{place}` is no place of an id")))
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
