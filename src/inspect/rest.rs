//! Plain HTTP calls as operations.
//!
//! Takes the head of a request; returns the operation that its method and path mean, by a catalog
//! or by the plain rules: method first, then words that destroy wherever they stand.

use super::credential::shown_path;
use super::operation::Operation;
use crate::catalog::{Catalog, Effect, OperationSpec, Reversibility};
use crate::message::Head;
use crate::policy::path::bare;
use crate::policy::path::{Segment, Template};
use http::Method;
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
    let unknown = Operation::unknown(name(head), Vec::new());
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

/// The operation of a call to a catalogued host outside its GraphQL paths.
pub(super) fn catalogued(head: &Head, catalog: &Catalog) -> Operation {
    let segments = head.path().segments();
    let path: Vec<&str> = segments.iter().map(Cow::as_ref).collect();
    let method = if *head.method() == Method::HEAD { &Method::GET } else { head.method() };
    let matching = catalog.rest.matches(&path);
    let best = matching
        .into_iter()
        .filter(|(_, (wanted, _))| wanted.as_ref().is_none_or(|wanted| wanted == method))
        .max_by_key(|(template, (_, spec))| (literals(template), spec.effect));
    let Some((template, (_, spec))) = best else {
        return Operation::unknown(name(head), Vec::new());
    };
    let spec: &OperationSpec = spec;
    Operation::known(spec.name.clone(), spec, |identifier| {
        let parameter = identifier.path.first()?;
        Some(vec![template.capture(parameter, &path)?.to_owned()])
    })
}

fn literals(template: &Template) -> usize {
    template.segments().iter().filter(|segment| matches!(segment, Segment::Literal(_))).count()
}

fn name(head: &Head) -> Arc<str> {
    Arc::from(format!("{} {}", head.method(), shown_path(head.path().as_str())))
}
