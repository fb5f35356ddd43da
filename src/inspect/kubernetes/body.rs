//! What the body of a request to the Kubernetes API changes that a verdict depends on.
//!
//! Takes a body and what its path names; returns the arguments that stand for it: replicas,
//! finalizers, the type of a secret, the namespace that is made, and the fields beside. What is not
//! JSON is unread, which stands for the worst of them.

use super::{Named, fields, is_own};
use crate::inspect::Unreadable;
use crate::message::{Head, json};
use serde_json::{Map, Value};

/// A body.
#[derive(Debug)]
pub(super) enum Carried {
    /// None.
    Empty,
    /// JSON, whatever it is for.
    Json(Value),
    /// Protobuf, YAML or another form.
    Unread,
}

impl Carried {
    /// Reads a body in the form that its type says, which is the one the API server decodes it by.
    pub(super) fn read(head: &Head, bytes: &[u8]) -> Result<Self, Unreadable> {
        const JSON: &[&str] = &[
            "application/json",
            "application/json-patch+json",
            "application/merge-patch+json",
            "application/strategic-merge-patch+json",
        ];
        // Clients write JSON there, which is YAML too.
        const YAML: &[&str] = &["application/apply-patch+yaml", "application/yaml"];
        if bytes.is_empty() {
            return Ok(Self::Empty);
        }
        if head.is_coded() {
            return Err(Unreadable::Coded);
        }
        if !head.is_utf8() {
            return Err(Unreadable::Charset);
        }
        let says = head.headers().contains_key(http::header::CONTENT_TYPE);
        let kind = head.media_type();
        match (says, kind.as_deref()) {
            (false, _) => json::parse(bytes).map(Self::Json).map_err(|_json| Unreadable::Json),
            (true, Some(kind)) if JSON.contains(&kind) => {
                json::parse(bytes).map(Self::Json).map_err(|_json| Unreadable::Json)
            }
            (true, Some(kind)) if YAML.contains(&kind) => {
                Ok(json::parse(bytes).map_or(Self::Unread, Self::Json))
            }
            _ => Ok(Self::Unread),
        }
    }

    pub(super) const fn is_none(&self) -> bool {
        matches!(self, Self::Empty)
    }

    /// Whether it is the options of a deletion that asks for a dry run and nothing else.
    pub(super) fn asks_for_dry_run(&self) -> bool {
        let Self::Json(Value::Object(options)) = self else { return false };
        let kind = options.get("kind").is_none_or(|kind| kind == "DeleteOptions");
        let all = options.get("dryRun").and_then(Value::as_array);
        kind && all
            .is_some_and(|stages| matches!(&stages[..], [Value::String(all)] if all == "All"))
    }
}

/// An argument that stands for a part of a body.
#[derive(Debug)]
pub(super) enum Part {
    /// It is this.
    Read(Value),
    /// It is there, or may be, and nobody can say what it is.
    Unread,
}

/// What a body touches.
#[derive(Debug, Default)]
pub(super) struct Touched {
    /// The namespace that is made.
    pub(super) namespace: Option<String>,
    /// What else a verdict may depend on.
    pub(super) arguments: Map<String, Value>,
    /// The same, where it could not be read.
    pub(super) unread: Vec<&'static str>,
}

impl Touched {
    pub(super) fn by(named: &Named<'_>, carried: &Carried, head: &Head) -> Self {
        let mut touched = Self::default();
        for (key, part) in fields::touched(named, carried) {
            touched.put(key, Some(part));
        }
        match (&*named.verb, named.group, named.resource, named.subresource) {
            ("create", "", "namespaces", None) => {
                touched.namespace = text(carried, "/metadata/name").map(str::to_owned);
            }
            ("create", "", "secrets", None) => {
                touched.put("type", part(carried, "/type"));
            }
            ("update" | "patch", ..) => {
                touched.put("replicas", replicas(named, carried));
                touched.put("finalizers", finalizers(named, carried));
                let kind = head.media_type().unwrap_or_default();
                if kind.starts_with("application/apply-patch") {
                    touched.put("apply", Some(Part::Read(Value::from(true))));
                }
            }
            _ => {}
        }
        touched
    }

    fn put(&mut self, key: &'static str, part: Option<Part>) {
        match part {
            None => {}
            Some(Part::Read(value)) => drop(self.arguments.insert(key.to_owned(), value)),
            Some(Part::Unread) => self.unread.push(key),
        }
    }
}

fn text<'c>(carried: &'c Carried, pointer: &str) -> Option<&'c str> {
    let Carried::Json(value) = carried else { return None };
    value.pointer(pointer)?.as_str()
}

fn part(carried: &Carried, pointer: &str) -> Option<Part> {
    match carried {
        Carried::Empty => None,
        Carried::Json(value) => value.pointer(pointer).cloned().map(Part::Read),
        Carried::Unread => Some(Part::Unread),
    }
}

/// How many replicas are left, where the call may change that.
fn replicas(named: &Named<'_>, carried: &Carried) -> Option<Part> {
    const REPLICATED: &[&str] =
        &["deployments", "replicasets", "replicationcontrollers", "statefulsets"];
    let scale = named.subresource == Some("scale");
    let counts = scale
        || (named.subresource.is_none()
            && (REPLICATED.contains(&named.resource) || !is_own(named.group)));
    if !counts {
        return None;
    }
    let left = match carried {
        Carried::Empty => return None,
        Carried::Unread => return Some(Part::Unread),
        Carried::Json(Value::Array(steps)) => match patched_replicas(steps)? {
            Part::Read(value) => value,
            Part::Unread => return Some(Part::Unread),
        },
        Carried::Json(body) => {
            let spec = body.get("spec");
            let directed = has_directive(Some(body)) || has_directive(spec);
            match spec.and_then(|spec| spec.get("replicas")) {
                _ if scale && directed => return Some(Part::Unread),
                // A scale without a number is a scale to none; workloads have one replica then.
                Some(Value::Null) if scale => Value::from(0),
                None if scale && (named.verb == "update" || spec == Some(&Value::Null)) => {
                    Value::from(0)
                }
                Some(Value::Null) | None => return None,
                Some(value) => value.clone(),
            }
        }
    };
    // However zero is written.
    Some(Part::Read(if left.as_f64() == Some(0.0) { Value::from(0) } else { left }))
}

/// Whether a strategic merge patch says how it is to be merged.
pub(super) fn has_directive(value: Option<&Value>) -> bool {
    let map = value.and_then(Value::as_object);
    map.is_some_and(|map| map.keys().any(|key| matches!(&**key, "$patch" | "$retainKeys")))
}

/// A JSON patch's path as servers walk it, who take whatever stands before its first slash for
/// nothing.
pub(super) fn pointer(path: &str) -> &str {
    path.find('/').and_then(|slash| path.get(slash..)).unwrap_or("")
}

/// The number that the steps of a JSON patch leave (RFC 6902).
fn patched_replicas(steps: &[Value]) -> Option<Part> {
    let mut left = None;
    for step in steps {
        let at = |key: &str| step.get(key).and_then(Value::as_str);
        let (what, path, from) = (at("op"), at("path").map(pointer), at("from").map(pointer));
        let near = |place: &str| matches!(place, "" | "/spec" | "/spec/replicas");
        if what == Some("test") || !(path.is_none_or(near) || from.is_some_and(near)) {
            continue;
        }
        left = Some(match (what, path, step.get("value")) {
            (Some("add" | "replace"), Some("/spec/replicas"), Some(value)) => {
                Part::Read(value.clone())
            }
            _ => return Some(Part::Unread),
        });
    }
    left
}

/// Whether the call may take away what keeps a deletion from going through.
fn finalizers(named: &Named<'_>, carried: &Carried) -> Option<Part> {
    let touches = match carried {
        Carried::Empty => false,
        // Of all that is replaced, what is being deleted is what waits for its finalizers.
        Carried::Json(body) if named.verb == "update" => {
            body.pointer("/metadata/deletionTimestamp").is_some_and(|time| !time.is_null())
        }
        Carried::Unread if named.verb == "update" => false,
        Carried::Unread => return Some(Part::Unread),
        Carried::Json(Value::Array(steps)) => steps.iter().any(|step| {
            let at = |key: &str| step.get(key).and_then(Value::as_str);
            let near = |place: &str| {
                matches!(place, "" | "/metadata") || place.starts_with("/metadata/finalizers")
            };
            let from = at("from").map(pointer).is_some_and(near);
            at("op") != Some("test") && (from || at("path").map(pointer).is_none_or(near))
        }),
        Carried::Json(body) => {
            let metadata = body.get("metadata");
            let named = metadata.is_some_and(|metadata| {
                // Strategic merge patches name what they order or delete in a key of its own.
                let names = |key: &String| key.contains("finalizers");
                metadata.as_object().is_none_or(|map| map.keys().any(names))
            });
            named || has_directive(Some(body)) || has_directive(metadata)
        }
    };
    touches.then(|| Part::Read(Value::from(true)))
}
