//! Plain HTTP calls as operations.
//!
//! Takes the head of a request; returns the operation that its method and path mean, by a catalog
//! or by the plain rules: method first, then words that destroy wherever they stand.

use super::Unreadable;
use super::credential::shown_path;
use super::operation::Operation;
use crate::catalog::{Arguments, At, Catalog, Effect, RestEntry, Reversibility};
use crate::message::headers::as_variable;
use crate::message::{Body, Head, Message, json, path};
use crate::policy::path::{Segment, Template, bare, bare_path};
use http::Method;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// Words that destroy, as a path segment or as the value of a query parameter.
pub const DESTRUCTIVE_WORDS: &[&str] =
    &["delete", "destroy", "purge", "drop", "terminate", "truncate", "wipe", "reset"];

/// Whether a word destroys.
pub fn is_destructive_word(word: &str) -> bool {
    // An encoded slash is one to many servers, and a colon stands before what is done to a thing.
    word.split(['/', ':'])
        .map(bare)
        .any(|word| DESTRUCTIVE_WORDS.iter().any(|known| known.eq_ignore_ascii_case(word)))
}

/// Whether a query parameter destroys.
pub fn is_destructive_parameter(name: &str, value: &str) -> bool {
    is_destructive_word(value)
        || (value.is_empty() && is_destructive_word(name))
        || (name.eq_ignore_ascii_case("force") && value.eq_ignore_ascii_case("true"))
}

/// The operation of a call to a plain resource.
pub(super) fn plain(head: &Head) -> Operation {
    let batch = carries_calls(head);
    let destroys = batch
        || *head.method() == Method::DELETE
        || head.path().segments().iter().any(|segment| is_destructive_word(segment))
        || head.query().pairs().iter().any(|(name, value)| is_destructive_parameter(name, value));
    let (effect, reversibility) = if destroys {
        (Effect::Destructive, Reversibility::Irreversible)
    } else {
        match *head.method() {
            Method::GET | Method::HEAD => (Effect::Read, Reversibility::Reversible),
            Method::POST | Method::PUT | Method::PATCH => {
                (Effect::Write, Reversibility::Reversible)
            }
            _ => (Effect::Unknown, Reversibility::Irreversible),
        }
    };
    let note = batch.then(|| "it carries calls of its own, which are not read".to_owned());
    let unknown = Operation::unknown(name(head), Arguments::default());
    Operation { effect, reversibility, known: true, note, ..unknown }
}

/// What is called a batch, is asked by every `npm install` and `git lfs fetch`, and carries no calls.
const READS: &[&[&str]] =
    &[&["security", "advisories", "bulk"], &["info", "lfs", "objects", "batch"]];

/// Whether a call carries others in its body, as batch endpoints take them. They are not read, so
/// any of them may destroy.
fn carries_calls(head: &Head) -> bool {
    const ENDS: &[&str] = &["$batch", "_bulk", "batch", "bulk"];
    if matches!(*head.method(), Method::GET | Method::HEAD) {
        return false;
    }
    let segments = head.path().segments();
    let ends = |tail: &&[&str]| {
        segments.len() >= tail.len()
            && segments.iter().rev().zip(tail.iter().rev()).all(|(s, t)| s == t)
    };
    if READS.iter().any(ends) {
        return false;
    }
    let last = segments.iter().map(|segment| bare(segment)).rfind(|segment| !segment.is_empty());
    let word = last.map(|segment| segment.rsplit([':', '/']).next().unwrap_or(segment));
    word.is_some_and(|word| ENDS.iter().any(|end| end.eq_ignore_ascii_case(word)))
        || head
            .media_type()
            .is_some_and(|kind| kind == "multipart/mixed" || kind == "application/http")
}

/// The operation of a message on a WebSocket of a plain resource. What it does is not known by its
/// handshake, so it writes unless a rule says otherwise.
pub(super) fn message(head: &Head, is_text: bool) -> Operation {
    let call = plain(head);
    let effect = if call.effect == Effect::Read { Effect::Write } else { call.effect };
    let kind = if is_text { "message" } else { "binary message" };
    Operation { name: Arc::from(format!("{kind} {}", call.name)), effect, ..call }
}

/// The operation of a call to a catalogued host outside its other envelopes. `body` is what was read
/// of the body where the entry needs it.
pub(super) fn catalogued(head: &Head, body: Option<Value>, catalog: &Catalog) -> Operation {
    let segments = head.path().segments();
    let path: Vec<&str> = segments.iter().map(Cow::as_ref).collect();
    let Some(Match { template, entry, path }) = entry(head, path, catalog) else {
        return Operation::unknown(name(head), Arguments::default());
    };
    let arguments = arguments(head, template, entry, &path, body);
    Operation::known(entry.spec.name.clone(), &entry.spec, arguments, catalog)
}

/// Whether a call has an entry.
pub(super) fn has_entry(head: &Head, catalog: &Catalog) -> bool {
    let segments = head.path().segments();
    let path: Vec<&str> = segments.iter().map(Cow::as_ref).collect();
    entry(head, path, catalog).is_some()
}

/// Whether the entry of a call needs its body.
pub(super) fn reads_body(head: &Head, catalog: &Catalog) -> bool {
    let segments = head.path().segments();
    let path: Vec<&str> = segments.iter().map(Cow::as_ref).collect();
    entry(head, path, catalog).is_some_and(|found| found.entry.reads_body)
}

/// An entry, and the path that its template matched.
struct Match<'c, 'p> {
    template: &'c Template,
    entry: &'c RestEntry,
    path: Vec<&'p str>,
}

/// The entry of a call: the one that says most of it, the gravest of those that say as much. Where its
/// path is another's in a spelling that many servers take for the same, the graver of the two stands:
/// `/secrets/` is no way past what is said of `/secrets` under a wildcard.
fn entry<'c, 'p>(head: &Head, path: Vec<&'p str>, catalog: &'c Catalog) -> Option<Match<'c, 'p>> {
    let exact = most_telling(head, catalog.rest.matches(&path), false)?;
    // An encoded slash is one to many servers.
    let split: Vec<&str> = path.iter().flat_map(|segment| segment.split('/')).collect();
    let bare = bare_path(&split);
    let loose = most_telling(head, catalog.rest.matches_loosely(&bare), true)
        .filter(|(_, loose)| gravity(loose) > gravity(exact.1));
    let ((template, entry), path) = match loose {
        Some(loose) => (loose, bare),
        None => (exact, path),
    };
    Some(Match { template, entry, path })
}

fn gravity(entry: &RestEntry) -> (u8, Reversibility) {
    (entry.spec.effect.severity(), entry.spec.reversibility)
}

/// Of the entries whose templates match, the one that fits the rest of the call and says most of it.
fn most_telling<'c>(
    head: &Head,
    matching: Vec<&'c (Template, RestEntry)>,
    loosely: bool,
) -> Option<(&'c Template, &'c RestEntry)> {
    let method = if *head.method() == Method::HEAD { &Method::GET } else { head.method() };
    let host = head.target().host().as_str();
    let pairs = head.query().pairs();
    let same = |one: &str, other: &str| {
        one == other || (loosely && one.trim().eq_ignore_ascii_case(other))
    };
    let stands = |(key, value): &(String, Option<String>)| {
        let is = |name: &str, given: &str| {
            same(name, key) && value.as_ref().is_none_or(|value| same(given, value))
        };
        pairs.iter().any(|(name, given)| is(name, given))
            || (loosely && other_names(pairs).any(|name| same(&name, key)))
    };
    let fits = |entry: &RestEntry| {
        entry.method.as_ref().is_none_or(|wanted| wanted == method)
            && entry.host.as_ref().is_none_or(|wanted| wanted.fits(host))
            && entry.query.iter().all(stands)
    };
    let fitting = matching.into_iter().filter(|(_, entry)| fits(entry));
    let best = fitting.max_by_key(|(template, entry)| {
        let spec = &entry.spec;
        (literals(template), entry.query.len(), spec.effect, spec.reversibility)
    });
    best.map(|(template, entry)| (template, entry))
}

/// What a call is called with: parameters of its path by name, then `query`, `header` and `body`.
fn arguments(
    head: &Head,
    template: &Template,
    entry: &RestEntry,
    path: &[&str],
    body: Option<Value>,
) -> Arguments {
    let mut values = Map::new();
    for name in template.parameters() {
        if let Some(value) = template.capture(name, path) {
            values.insert(name.to_owned(), Value::from(value));
        }
    }
    if !head.query().pairs().is_empty() {
        values.insert("query".to_owned(), Value::Object(fields(head.query().pairs())));
    }
    let headers = entry.headers.iter().filter_map(|name| {
        let values = header(head, name);
        (!values.is_empty()).then(|| (name.to_string(), Value::Array(values)))
    });
    let headers: Map<String, Value> = headers.collect();
    if !headers.is_empty() {
        values.insert("header".to_owned(), Value::Object(headers));
    }
    with_body(values, body, head)
}

/// The values of a header. Where another may be the same to a server, nobody can say which counts.
pub fn header(head: &Head, name: &str) -> Vec<Value> {
    let values = head.headers().get_all(name).iter();
    let said = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into());
    let variable = as_variable(name);
    let others = head
        .headers()
        .keys()
        .filter(|other| other.as_str() != name && as_variable(other.as_str()) == variable);
    // A list of lists is what no place can be read from.
    said.chain(others.map(|_| Value::Array(Vec::new()))).collect()
}

/// What a call to a plain resource is called with, for the conditions of a rule.
pub fn arguments_of_plain<B>(
    message: &Message<B>,
    template: &Template,
    path: &[&str],
) -> Arguments {
    let head = message.head();
    let names = template.parameters().filter_map(|name| {
        let value = template.capture(name, path)?;
        Some((name.to_owned(), Value::from(value)))
    });
    let values: Map<String, Value> = names.collect();
    let body = match message.body() {
        Body::Empty => None,
        Body::Whole(_) if head.is_coded() => Some(Value::Null),
        Body::Whole(bytes) => body(head, bytes).unwrap_or(Some(Value::Null)),
        Body::Stream(_) | Body::Opened(..) => Some(Value::Null),
    };
    with_body(values, body, head)
}

/// Arguments with what was read of a body; `null` is one that could not be. Some frameworks merge the
/// query into the body, so that what stands in both, or could, is not known.
fn with_body(mut values: Map<String, Value>, body: Option<Value>, head: &Head) -> Arguments {
    let is_unread = body.as_ref().is_some_and(Value::is_null);
    if let Some(body) = body.filter(|body| !body.is_null()) {
        values.insert("body".to_owned(), body);
    }
    let arguments = Arguments::new(values);
    let pairs = head.query().pairs();
    if is_unread {
        return arguments.without("body");
    }
    if pairs.is_empty() || matches!(*head.method(), Method::GET | Method::HEAD) {
        return arguments;
    }
    let names = pairs.iter().map(|(name, _)| name.clone()).chain(other_names(pairs));
    arguments.without_all(names.map(|name| At::below("body", &name)))
}

/// What a body says, where an entry needs it: none where there is none, `null` where it is in a form
/// that is not read.
pub(super) fn body(head: &Head, bytes: &[u8]) -> Result<Option<Value>, Unreadable> {
    if bytes.is_empty() {
        return Ok(None);
    }
    if !head.is_utf8() {
        return Err(Unreadable::Charset);
    }
    let kind = head.media_type().unwrap_or_default();
    if json::is_media(&kind) {
        return json::parse(bytes).map(Some).map_err(|_error| Unreadable::Json);
    }
    if kind == super::overriding::FORM {
        let text = std::str::from_utf8(bytes).map_err(|_error| Unreadable::Charset)?;
        let pairs = path::pairs(text).map_err(|_error| Unreadable::Form)?;
        if !pairs.iter().all(|(name, _)| is_plain(name)) {
            // curl labels JSON as a form, and many servers read it all the same, whatever it is in.
            return Ok(Some(Value::Null));
        }
        return Ok(Some(Value::Object(fields(&pairs))));
    }
    Ok(Some(Value::Null))
}

/// Names with their values, those that stand there several times as a list. Frameworks read `name[]`,
/// `name[key]` and a name among spaces as that name too: there is something then, and nobody can say
/// what.
pub fn fields(pairs: &[(String, String)]) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, value) in pairs {
        put(&mut fields, name, Value::from(value.as_str()));
    }
    for name in other_names(pairs) {
        // A list of lists is what no place can be read from.
        put(&mut fields, &name, Value::Array(Vec::new()));
    }
    fields
}

/// Whether a name of a form is one to everybody, and nothing of another notation.
fn is_plain(name: &str) -> bool {
    !json::may_hold(name) && name.chars().all(|c| c.is_alphanumeric() || "_-.:@$/[] ".contains(c))
}

/// The names as which some framework reads pairs too: cut at a bracket or a zero, trimmed, with
/// underscores for what PHP takes for none of a name, behind a semicolon.
fn other_names(pairs: &[(String, String)]) -> impl Iterator<Item = String> {
    pairs.iter().flat_map(|(name, value)| {
        let whole = name.split('\0').next().unwrap_or(name);
        let whole = whole.trim_matches(|c: char| c.is_whitespace() || c.is_control());
        let bare = whole.split('[').next().unwrap_or(whole).trim();
        let scored = |text: &str| text.replace(['.', ' ', '['], "_");
        let first = bare.split('.').next().unwrap_or(bare);
        let mut others = vec![bare.to_owned(), scored(bare), scored(whole), first.to_owned()];
        others.dedup();
        let bare = others.into_iter().filter(move |other| other != name);
        let pieces = name.split(';').filter(|_| name.contains(';'));
        let behind = pieces.chain(value.split(';').skip(1)).flat_map(move |pair| {
            let name = pair.split(['=', '[', '\0']).next().unwrap_or(pair).trim();
            [name.to_owned(), scored(name)]
        });
        bare.chain(behind)
    })
}

fn put(fields: &mut Map<String, Value>, name: &str, value: Value) {
    match fields.get_mut(name) {
        None if value.is_array() => drop(fields.insert(name.to_owned(), Value::Array(vec![value]))),
        None => drop(fields.insert(name.to_owned(), value)),
        Some(Value::Array(values)) => values.push(value),
        Some(first) => *first = Value::Array(vec![first.take(), value]),
    }
}

fn literals(template: &Template) -> usize {
    template
        .segments()
        .iter()
        .filter(|segment| matches!(segment, Segment::Literal(_) | Segment::Verb(..)))
        .count()
}

fn name(head: &Head) -> Arc<str> {
    let path = shown_path(head.path().as_str());
    Arc::from([head.method().as_str(), " ", &*path].concat())
}
