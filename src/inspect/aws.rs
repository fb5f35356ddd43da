//! Calls of Amazon Web Services, in every protocol that its endpoints speak.
//!
//! Takes the head of a request and, where it decides, the whole body; returns the one operation that
//! it is, as in `ec2:TerminateInstances`, with its arguments as JSON. Host and signature must name
//! the same service and region. Refuses what two protocols of one endpoint would read differently;
//! what is no operation of a known endpoint is unknown.

mod endpoint;
mod ids;
mod objects;
mod query;
mod statement;
mod storage;
mod table;
#[cfg(test)]
mod tests;

use super::overriding::FORM;
use super::{Need, Operation, Unreadable};
use crate::catalog::{Arguments, Catalog, Envelope};
use crate::message::{Head, json};
use endpoint::{Endpoint, Scope};
use http::Method;
use serde_json::{Map, Value};
use std::sync::Arc;
use table::{Rest, Service};

/// One call.
#[derive(Debug)]
struct Call {
    /// Service and operation, as in `s3:DeleteObjects`.
    name: String,
    arguments: Arguments,
    /// Whether the service has it as it was called; else nobody can say what it does.
    known: bool,
}

impl Call {
    fn new(service: &Service, operation: &str, mut arguments: Map<String, Value>) -> Self {
        ids::settle(service.name, &mut arguments);
        let name = format!("{}:{operation}", service.name);
        Self { name, arguments: Arguments::new(arguments), known: true }
    }
    /// One whose arguments stand in a form that is not read.
    fn unread(service: &Service, operation: &str, known: bool) -> Self {
        let name = format!("{}:{operation}", service.name);
        Self { name, arguments: Arguments::unknown(), known }
    }
}

/// Whether requests to a catalog's hosts are calls of Amazon Web Services.
pub(super) fn takes(catalog: &Catalog) -> bool {
    catalog.has(Envelope::Aws)
}

/// What of the body is needed before a verdict; none where nothing in it says what the call is.
pub(super) fn need(head: &Head) -> Option<Need> {
    needs_body(head).then_some(Need::Whole)
}

/// The operations of a request; none where it is no call of an endpoint that is known.
pub(super) fn read(
    head: &Head,
    body: &[u8],
    catalog: &Catalog,
) -> Result<Vec<Operation>, Unreadable> {
    // What is not needed before a verdict may be cut off or still on the way.
    let body = if needs_body(head) { body } else { b"" };
    if !body.is_empty() && head.is_coded() {
        return Err(Unreadable::Coded);
    }
    let operation = |call: Call| {
        let name = Arc::from(call.name);
        if call.known {
            Operation::named(name, call.arguments, catalog)
        } else {
            Operation::unknown(name, call.arguments)
        }
    };
    Ok(calls(head, body)?.into_iter().map(operation).collect())
}

const TARGET: &str = "x-amz-target";
const SMITHY: &str = "smithy-protocol";

/// Whether the body is needed before a verdict.
fn needs_body(head: &Head) -> bool {
    let Some(endpoint) = Endpoint::of(head.target().host().as_str()) else { return false };
    let service = endpoint.service;
    if service.is_s3() {
        return storage::needs_body(head);
    }
    if service.speaks_query() || service.speaks_json() {
        return true;
    }
    let reads = matches!(*head.method(), Method::GET | Method::HEAD);
    service.rest() == Some(Rest::Json)
        && !reads
        && table::routed(service, head)
            .is_ok_and(|routes| routes.iter().any(|(route, _)| !route.leaves_body()))
}

/// Reads a request: one call, or several where the path may mean any of them; none where it is no
/// call of an endpoint that is known.
fn calls(head: &Head, body: &[u8]) -> Result<Vec<Call>, Unreadable> {
    let scope = Scope::of(head)?;
    let Some(endpoint) = Endpoint::of(head.target().host().as_str()) else {
        return Ok(Vec::new());
    };
    if let Some(scope) = scope {
        scope.check(&endpoint)?;
    }
    if !body.is_empty() && is_framed(head) {
        return Err(Unreadable::Coded);
    }
    let service = endpoint.service;
    if service.is_s3() {
        return Ok(storage::read(&endpoint, head, body)?.into_iter().collect());
    }
    let target = target(head)?;
    if head.headers().contains_key(SMITHY) {
        return smithy(service, head, target.is_some());
    }
    if let Some(target) = target {
        return targeted(service, head, target, body).map(|call| vec![call]);
    }
    let at_root = head.path().as_str() == "/";
    if service.speaks_query() && (at_root || service.name == "sqs") {
        let call = by_query(service, head, body)?;
        if call.is_some() || service.rest().is_none() {
            return Ok(call.into_iter().collect());
        }
    }
    match service.rest() {
        Some(rest) => by_path(service, rest, head, body),
        None => Ok(Vec::new()),
    }
}

/// Whether the body is cut into signed chunks, which are no part of what it says.
fn is_framed(head: &Head) -> bool {
    let sums = head.headers().get_all("x-amz-content-sha256").iter();
    let mut framed = sums.map(|value| value.as_bytes().starts_with(b"STREAMING-"));
    framed.any(|framed| framed) || head.headers().contains_key("x-amz-decoded-content-length")
}

/// What `X-Amz-Target` says.
fn target(head: &Head) -> Result<Option<&str>, Unreadable> {
    if head.query().pairs().iter().any(|(name, _)| name.eq_ignore_ascii_case(TARGET)) {
        return Err(Unreadable::Aws("X-Amz-Target stands in its query"));
    }
    let mut values = head.headers().get_all(TARGET).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match value.to_str() {
        Ok(value) if values.next().is_none() => Ok(Some(value)),
        _ => Err(Unreadable::Aws("X-Amz-Target is not one name")),
    }
}

/// CBOR by path: its name can be read, its arguments are not.
fn smithy(service: &Service, head: &Head, target: bool) -> Result<Vec<Call>, Unreadable> {
    const BROKEN: Unreadable = Unreadable::Aws("its smithy-protocol fits neither path nor host");
    let segments = head.path().segments();
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    match segments.as_slice() {
        ["service", prefix, "operation", operation]
            if service.has_target(prefix)
                && is_name(operation)
                && !target
                && head.query().pairs().is_empty()
                && *head.method() == Method::POST =>
        {
            Ok(vec![Call::unread(service, operation, true)])
        }
        _ => Err(BROKEN),
    }
}

/// JSON by `X-Amz-Target`.
fn targeted(service: &Service, head: &Head, target: &str, body: &[u8]) -> Result<Call, Unreadable> {
    const TYPES: &[&str] =
        &["application/x-amz-json-1.0", "application/x-amz-json-1.1", "application/json"];
    let json = head.media_type().is_some_and(|kind| TYPES.contains(&kind.as_str()));
    let plain = head.query().pairs().iter().all(|(name, _)| query::is_signature(name));
    if !service.speaks_json() || *head.method() != Method::POST || head.path().as_str() != "/" {
        return Err(Unreadable::Aws("X-Amz-Target does not fit its method, path and host"));
    }
    if !json || !plain || !head.is_utf8() {
        return Err(Unreadable::Aws("it is more than JSON by X-Amz-Target"));
    }
    let (prefix, operation) = target
        .rsplit_once('.')
        .filter(|(prefix, operation)| prefix.split('.').all(is_name) && is_name(operation))
        .ok_or(Unreadable::Aws("X-Amz-Target is not the name of an operation"))?;
    let arguments = object(body)?.ok_or(Unreadable::Json)?;
    if service.has_target(prefix) {
        Ok(Call::new(service, operation, arguments))
    } else {
        Ok(Call::unread(service, operation, false))
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// A JSON object, or nothing, which is an empty one; none where it is another kind of value.
fn object(body: &[u8]) -> Result<Option<Map<String, Value>>, Unreadable> {
    if body.is_empty() {
        return Ok(Some(Map::new()));
    }
    match json::parse(body).map_err(|_error| Unreadable::Json)? {
        Value::Object(map) => {
            let mut seen = std::collections::HashSet::new();
            if map.keys().all(|name| seen.insert(name.to_ascii_lowercase())) {
                Ok(Some(map))
            } else {
                Err(Unreadable::Aws("two of its arguments differ only in case"))
            }
        }
        _ => Ok(None),
    }
}

/// The query protocol; none where nothing says `Action`.
fn by_query(service: &Service, head: &Head, body: &[u8]) -> Result<Option<Call>, Unreadable> {
    let pairs = head.query().pairs();
    let in_query = pairs.iter().any(|(name, _)| !query::is_signature(name));
    let form;
    let parameters = match *head.method() {
        Method::GET | Method::HEAD if !body.is_empty() => return Err(Unreadable::Form),
        Method::GET | Method::HEAD => pairs,
        Method::POST if body.is_empty() => pairs,
        Method::POST if in_query => {
            return Err(Unreadable::Aws("its parameters stand in the query and in the body"));
        }
        Method::POST if head.media_type().as_deref() == Some(FORM) && head.is_utf8() => {
            let text = str::from_utf8(body).map_err(|_utf8| Unreadable::Form)?;
            // Some servers end a pair at a semicolon, or at a line.
            if text.contains([';', '\r', '\n']) {
                return Err(Unreadable::Form);
            }
            form = crate::message::path::pairs(text).map_err(|_utf8| Unreadable::Form)?;
            &form
        }
        Method::POST => return Err(Unreadable::Form),
        _ => return Ok(None),
    };
    if !parameters.iter().any(|(name, _)| query::is_action(name)) {
        return Ok(None);
    }
    let (action, mut arguments) = query::read(parameters)?;
    if service.name == "sqs" && head.path().as_str() != "/" {
        // The queue is the path.
        if arguments.contains_key("QueueUrl") {
            return Err(Unreadable::Aws("its queue stands in the path and in a parameter"));
        }
        arguments.insert("QueueUrl".to_owned(), Value::from(head.path().as_str()));
    }
    Ok(Some(Call::new(service, &action, arguments)))
}

/// REST by method and path.
fn by_path(
    service: &Service,
    rest: Rest,
    head: &Head,
    body: &[u8],
) -> Result<Vec<Call>, Unreadable> {
    let routes = table::routed(service, head)?;
    let mut calls = Vec::new();
    for (route, labels) in routes {
        let mut arguments = match rest {
            Rest::Json if !route.leaves_body() => object(body)?.unwrap_or_default(),
            _ => Map::new(),
        };
        for (name, value) in head.query().pairs().iter().filter(|(n, _)| !query::is_signature(n)) {
            beside(&mut arguments, name, value);
        }
        for (name, value) in headers(head)? {
            if let Value::String(value) = value {
                beside(&mut arguments, &name, &value);
            }
        }
        for (name, value) in labels {
            beside(&mut arguments, name, &value);
        }
        calls.push(Call::new(service, route.name, arguments));
    }
    Ok(calls)
}

/// Adds an argument; where one of that name stands already, either may be meant, so both are there.
fn beside(arguments: &mut Map<String, Value>, name: &str, value: &str) {
    match arguments.get_mut(name) {
        None => {
            arguments.insert(name.to_owned(), Value::from(value));
        }
        Some(Value::Array(values)) => values.push(Value::from(value)),
        Some(first) => *first = Value::Array(vec![first.take(), Value::from(value)]),
    }
}

/// The headers that are arguments, by their names in lower case.
fn headers(head: &Head) -> Result<Map<String, Value>, Unreadable> {
    const NONE: &[&str] =
        &["x-amz-content-sha256", "x-amz-date", "x-amz-security-token", "x-amz-user-agent"];
    let mut found = Map::new();
    for name in head.headers().keys().map(http::HeaderName::as_str) {
        if !name.starts_with("x-amz-") || NONE.contains(&name) {
            continue;
        }
        let mut values = head.headers().get_all(name).iter();
        match (values.next().map(|value| str::from_utf8(value.as_bytes())), values.next()) {
            (Some(Ok(value)), None) => {
                found.insert(name.to_owned(), Value::from(value));
            }
            _ => return Err(Unreadable::Aws("a header of it stands there twice or is not text")),
        }
    }
    Ok(found)
}
