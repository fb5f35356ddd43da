//! Requests to the Kubernetes API as operations.
//!
//! Takes head and body of a request whose path names a resource (`/api/VERSION/…`,
//! `/apis/GROUP/VERSION/…`); returns its calls in the terms of Kubernetes' own authorization, as in
//! `delete pods`, `deletecollection apps/deployments`, `create pods/exec`. Refuses a path that servers
//! may cut in other places. A body that is not JSON is an argument that is not known, never a milder
//! call; a dry run counts where the server is bound to honour it.

mod body;
mod fields;

use super::{Need, Operation, Unreadable};
use crate::catalog::{Arguments, Catalog, Envelope};
use crate::message::Head;
use crate::message::headers::as_variable;
use body::{Carried, Touched};
use http::Method;
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::sync::Arc;

/// A call by its name, with its arguments.
#[derive(Debug, Default, PartialEq, Eq)]
struct Call {
    /// As in `delete apps/deployments`.
    name: String,
    /// `verb`, `group`, `version`, `resource`, `subresource`, `namespace`, `name`, and what the body
    /// and the query say.
    arguments: Map<String, Value>,
    /// Those of them that are there and could not be read.
    unread: Vec<&'static str>,
}

/// What a path names, as the API server's own request info has it.
#[derive(Debug, Default)]
struct Named<'p> {
    verb: Cow<'static, str>,
    group: &'p str,
    version: &'p str,
    namespace: Option<&'p str>,
    resource: &'p str,
    name: Option<&'p str>,
    subresource: Option<&'p str>,
}

/// Whether a request is one that names a resource; discovery, health and versions are plain paths.
pub(super) fn takes(head: &Head, catalog: &Catalog) -> bool {
    catalog.has(Envelope::Kubernetes) && names_a_resource(head)
}

fn names_a_resource(head: &Head) -> bool {
    let segments = head.path().segments();
    let parts = parts(&segments);
    let steps = match parts.first() {
        Some(&"api") => 3,
        Some(&"apis") => 4,
        _ => return false,
    };
    // A slash that is encoded may be one more.
    parts.len() >= steps || parts.iter().any(|part| part.contains('/'))
}

/// What of the body is needed before a verdict.
pub(super) fn need(head: &Head) -> Need {
    match *head.method() {
        Method::GET | Method::HEAD => Need::Nothing,
        _ => Need::Whole,
    }
}

/// The calls of a request, or why they cannot be read.
pub(super) fn read(
    head: &Head,
    bytes: &[u8],
    catalog: &Catalog,
) -> Result<Vec<Operation>, Unreadable> {
    let operation = |call: Call| {
        let whom = call.arguments.get("as").and_then(Value::as_str).map(str::to_owned);
        let read = Arguments::new(call.arguments);
        let arguments = call.unread.into_iter().fold(read, Arguments::without);
        let mut operation = Operation::named(Arc::from(call.name), arguments, catalog);
        if let Some(whom) = whom {
            // Whoever approves it is to see as whom.
            let note = operation.note.take().unwrap_or_default();
            operation.note = Some(format!("{note}: {whom}"));
        }
        operation
    };
    Ok(calls(head, bytes)?.into_iter().map(operation).collect())
}

fn calls(head: &Head, bytes: &[u8]) -> Result<Vec<Call>, Unreadable> {
    let segments = head.path().segments();
    let named = named(head, &parts(&segments))?;
    let carried = Carried::read(head, bytes)?;
    let dry_run = is_dry_run(&named, head, &carried);
    let touched = Touched::by(&named, &carried, head);
    let mut arguments = Map::new();
    let mut put = |key: &str, value: Option<&str>| {
        if let Some(value) = value {
            arguments.insert(key.to_owned(), Value::from(value));
        }
    };
    put("verb", Some(&named.verb));
    put("group", Some(named.group));
    put("version", Some(named.version));
    put("resource", Some(named.resource));
    put("subresource", named.subresource);
    put("namespace", named.namespace.or(touched.namespace.as_deref()));
    put("name", named.name);
    arguments.insert("dry_run".to_owned(), Value::from(dry_run));
    let mut unread = Vec::new();
    if !dry_run {
        arguments.extend(touched.arguments);
        unread.extend(touched.unread);
    }
    match carried {
        Carried::Empty => {}
        Carried::Json(body) => drop(arguments.insert("body".to_owned(), body)),
        Carried::Unread => unread.push("body"),
    }
    let mut calls = vec![Call { name: named.call(), arguments, unread }];
    calls.extend(impersonation(head));
    Ok(calls)
}

/// The path without the trailing slash that servers take off.
fn parts<'p>(segments: &'p [Cow<'_, str>]) -> Vec<&'p str> {
    let mut parts: Vec<&str> = segments.iter().map(Cow::as_ref).collect();
    if parts.last().is_some_and(|last| last.is_empty()) {
        parts.pop();
    }
    parts
}

/// Subresources that open a line into a container, whatever the method.
const LINES: &[&str] = &["attach", "exec", "portforward"];

/// Subresources that Kubernetes has; on resources of others only `scale` and `status` mean the same.
const SUBRESOURCES: &[&str] = &[
    "approval",
    "binding",
    "ephemeralcontainers",
    "eviction",
    "finalize",
    "log",
    "resize",
    "scale",
    "status",
    "token",
];

fn named<'p>(head: &Head, parts: &[&'p str]) -> Result<Named<'p>, Unreadable> {
    const ELSEWHERE: Unreadable = Unreadable::Path("it names no resource of the Kubernetes API");
    let (group, rest) = match parts {
        ["api", rest @ ..] => ("", rest),
        ["apis", group, rest @ ..] => (*group, rest),
        _ => return Err(ELSEWHERE),
    };
    let (version, rest) = rest.split_first().ok_or(ELSEWHERE)?;
    let (special, mut rest) = match rest {
        [special @ ("watch" | "proxy"), rest @ ..] => (Some(*special), rest),
        rest => (None, rest),
    };
    // A namespace is a resource itself, and a step to those in it.
    let mut namespace = None;
    if let ["namespaces", name, behind @ ..] = rest {
        namespace = Some(*name);
        if behind.first().is_some_and(|part| !matches!(*part, "status" | "finalize")) {
            rest = behind;
        }
    }
    let (resource, name, subresource, deeper) = match rest {
        [] => return Err(ELSEWHERE),
        [resource] => (*resource, None, None, &[][..]),
        [resource, name] => (*resource, Some(*name), None, &[][..]),
        [resource, name, subresource, deeper @ ..] => {
            (*resource, Some(*name), Some(*subresource), deeper)
        }
    };
    let proxied = special == Some("proxy") || subresource == Some("proxy");
    let cut_alike = [Some(group), Some(*version), namespace, Some(resource), name]
        .into_iter()
        .flatten()
        .chain(subresource.filter(|_| !proxied))
        .all(|part| !part.contains('/'));
    if !cut_alike {
        return Err(Unreadable::Path("a slash is encoded in it, which servers read as one"));
    }
    let subresource = subresource.filter(|_| !proxied);
    let is_label = |part: &str| is_word(part) && !part.contains('.');
    if !(group.is_empty() || is_word(group))
        || ![Some(*version), Some(resource), subresource].into_iter().flatten().all(is_label)
    {
        return Err(ELSEWHERE);
    }
    if !deeper.is_empty() && !proxied {
        return Err(Unreadable::Path("it goes on behind a subresource"));
    }
    let verb = if proxied {
        Cow::Borrowed("proxy")
    } else if group.is_empty() && subresource.is_some_and(|line| LINES.contains(&line)) {
        // A GET that is upgraded does what a POST does.
        Cow::Borrowed("create")
    } else if subresource.is_some_and(|part| !means_the_same(group, part)) {
        // A GET may open a console there.
        Cow::Borrowed("connect")
    } else if special.is_some() {
        if !matches!(*head.method(), Method::GET | Method::HEAD) {
            return Err(Unreadable::Path("what watches is a GET"));
        }
        Cow::Borrowed("watch")
    } else {
        verb(head, name.is_some())
    };
    Ok(Named { verb, group, version, namespace, resource, name, subresource })
}

/// Whether a subresource is one whose verbs mean what they say.
fn means_the_same(group: &str, subresource: &str) -> bool {
    matches!(subresource, "scale" | "status")
        || (is_own(group) && SUBRESOURCES.contains(&subresource))
}

/// The verb of a method, as `kubectl auth can-i` has it.
fn verb(head: &Head, one: bool) -> Cow<'static, str> {
    Cow::Borrowed(match *head.method() {
        Method::GET | Method::HEAD if one => "get",
        Method::GET | Method::HEAD => {
            let watch = head.query().pairs().iter().find(|(name, _)| name == "watch");
            match watch {
                None => "list",
                Some((_, value)) if matches!(&*value.to_ascii_lowercase(), "false" | "0") => "list",
                Some(_) => "watch",
            }
        }
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE if one => "delete",
        Method::DELETE => "deletecollection",
        // In capitals, it is none of the verbs.
        ref other => return Cow::Owned(other.as_str().to_owned()),
    })
}

/// What groups, versions, resources and subresources are made of.
fn is_word(word: &str) -> bool {
    let plain = |byte: u8| {
        byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
    };
    !word.is_empty() && word.bytes().all(plain)
}

/// Kubernetes' own groups whose name has no dot in it.
const UNDOTTED: &[&str] = &["", "apps", "autoscaling", "batch", "extensions", "policy"];

/// Whether a group is served by Kubernetes itself. Others have servers of their own, or may have.
fn is_own(group: &str) -> bool {
    UNDOTTED.contains(&group) || group.ends_with(".k8s.io")
}

impl Named<'_> {
    fn call(&self) -> String {
        let mut name = format!("{} ", self.verb);
        if !self.group.is_empty() {
            name.push_str(self.group);
            // No group may be taken for a resource of the core, as `pods/exec` would be.
            if !self.group.contains('.') && !UNDOTTED.contains(&self.group) {
                name.push('.');
            }
            name.push('/');
        }
        name.push_str(self.resource);
        if let Some(subresource) = self.subresource {
            name.push('/');
            name.push_str(subresource);
        }
        name
    }
}

/// Whether the server is asked for a dry run, where it is bound to honour that.
fn is_dry_run(named: &Named<'_>, head: &Head, carried: &Carried) -> bool {
    const HONOURING: &[&str] =
        &["approval", "ephemeralcontainers", "eviction", "finalize", "resize", "scale", "status"];
    // What it would answer with may be a secret all the same.
    let reveals = named.resource == "secrets" && named.verb != "create";
    if reveals
        || !is_own(named.group)
        || named.subresource.is_some_and(|subresource| !HONOURING.contains(&subresource))
    {
        return false;
    }
    // Servers end a pair at a semicolon, or drop it.
    let mut asked = head.query().pairs().iter().filter(|(name, _)| name == "dryRun");
    let by_query = matches!((asked.next(), asked.next()), (Some((_, value)), None) if value == "All")
        && !head.query().as_str().contains(';');
    match &*named.verb {
        "create" | "update" | "patch" => by_query,
        // A body of options takes the place of those in the query.
        "delete" if carried.is_none() => by_query,
        "delete" | "deletecollection" => carried.asks_for_dry_run(),
        _ => false,
    }
}

/// Acting as somebody else is a call of its own, in the terms of Kubernetes' authorization. So is
/// saying who calls as a proxy in front of the server does, which some servers take from anybody.
fn impersonation(head: &Head) -> Option<Call> {
    let whom = head.headers().iter().filter_map(|(name, value)| {
        let name = as_variable(name.as_str());
        let what = ["impersonate-", "x-remote-"].iter().find_map(|as_| name.strip_prefix(as_))?;
        Some(format!("{what} {}", String::from_utf8_lossy(value.as_bytes())))
    });
    let whom: Vec<String> = whom.collect();
    let told = whom.join(", ");
    let arguments = [("verb", "impersonate"), ("group", ""), ("resource", "users"), ("as", &told)];
    (!whom.is_empty()).then(|| Call {
        name: "impersonate users".to_owned(),
        arguments: arguments
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.into()))
            .collect(),
        unread: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
