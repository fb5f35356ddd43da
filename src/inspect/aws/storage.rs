//! S3: operations by method, bucket and key in host or path, sub-resources and headers.
//!
//! Takes an endpoint and a request, with the body where objects are deleted; returns the operation
//! and its arguments. A query key that the operation does not have makes it unknown, never its base
//! operation, and so does a presigned header that changes it.

use super::Call;
use super::endpoint::Endpoint;
use super::objects;
use super::query::is_signature;
use super::table::Route;
use crate::inspect::Unreadable;
use crate::message::Head;
use http::Method;
use serde_json::{Map, Value};

/// Headers that make another operation of a request.
const SELECTING: &[&str] = &["x-amz-copy-source", "x-amz-rename-source"];

/// What the paths of S3 Control begin with, which shares a host with S3; no bucket of anybody's.
const CONTROL: &str = "v20180820";

/// Whether what a request means stands in its body.
pub(super) fn needs_body(head: &Head) -> bool {
    *head.method() == Method::POST && head.query().pairs().iter().any(|(key, _)| key == "delete")
}

/// Reads a request.
pub(super) fn read(
    endpoint: &Endpoint<'_>,
    head: &Head,
    body: &[u8],
) -> Result<Option<Call>, Unreadable> {
    let pairs = head.query().pairs();
    let mut seen = std::collections::HashSet::new();
    if !pairs.iter().all(|(key, _)| seen.insert(key.to_ascii_lowercase())) {
        return Err(Unreadable::Aws("a query parameter stands in it twice"));
    }
    let segments = head.path().segments();
    let mut segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let bucket = match endpoint.bucket {
        Some(bucket) => bucket,
        None if segments.is_empty() => "",
        None => segments.remove(0),
    };
    if bucket == CONTROL {
        return Ok(None);
    }
    let key = segments.join("/");
    let shape = match (bucket, key.as_str()) {
        ("", "") => "",
        ("", _) => return Ok(None),
        (_, "") => "{Bucket}",
        _ => "{Bucket}/{Key+}",
    };
    let routes = endpoint.service.routes.iter();
    let mut fitting: Vec<&Route> =
        routes.filter(|route| route.path() == shape && fits(route, head, pairs)).collect();
    let most = fitting.iter().map(|route| route.selects().count()).max();
    fitting.retain(|route| Some(route.selects().count()) == most);
    let &[route] = fitting.as_slice() else { return Ok(None) };
    if pairs.iter().any(|(key, value)| key == "x-id" && value != route.name) {
        return Err(Unreadable::Aws("its `x-id` names another operation than it is"));
    }
    let mut arguments = super::headers(head)?;
    for (key, value) in pairs.iter().filter(|(key, _)| !is_signature(key)) {
        arguments.insert(key.clone(), Value::from(value.as_str()));
    }
    if !bucket.is_empty() {
        arguments.insert("Bucket".to_owned(), Value::from(bucket));
    }
    if !key.is_empty() {
        arguments.insert("Key".to_owned(), Value::from(key));
    }
    if route.name == "DeleteObjects" {
        arguments.insert("Objects".to_owned(), objects::read(body)?);
    }
    source(&mut arguments)?;
    Ok(Some(Call::new(endpoint.service, route.name, arguments)))
}

/// Whether a route is the one that a request means, by method, sub-resources and headers.
fn fits(route: &Route, head: &Head, pairs: &[(String, String)]) -> bool {
    let selected = route.selects().all(|(key, value)| {
        pairs.iter().any(|(name, given)| name == key && value.is_none_or(|one| one == given))
    });
    let known = pairs.iter().all(|(key, _)| {
        key == "x-id"
            || is_signature(key)
            || is_harmless(key)
            || route.allows(key)
            || route.selects().any(|(own, _)| own == key)
    });
    let headers = SELECTING
        .iter()
        .all(|name| head.headers().contains_key(*name) == route.headers().any(|own| own == *name));
    route.is_for(head.method()) && selected && known && headers
}

/// A header in a presigned query that says nothing of what is done to which object.
fn is_harmless(key: &str) -> bool {
    const STARTS: &[&str] = &["x-amz-checksum-", "x-amz-meta-", "x-amz-server-side-encryption"];
    let key = key.to_ascii_lowercase();
    STARTS.iter().any(|start| key.starts_with(start))
        || matches!(
            key.as_str(),
            "x-amz-sdk-checksum-algorithm" | "x-amz-storage-class" | "x-amz-user-agent"
        )
}

/// The bucket that a copy is of.
fn source(arguments: &mut Map<String, Value>) -> Result<(), Unreadable> {
    let Some(Value::String(source)) = arguments.get("x-amz-copy-source") else { return Ok(()) };
    let source = percent_encoding::percent_decode_str(source)
        .decode_utf8()
        .map_err(|_utf8| Unreadable::Aws("the source of a copy is not UTF-8"))?;
    let bucket = if source.starts_with("arn:") {
        source.into_owned()
    } else {
        let source = source.strip_prefix('/').unwrap_or(&source);
        let (bucket, _) = source
            .split_once('/')
            .filter(|(bucket, key)| !bucket.is_empty() && !key.is_empty())
            .ok_or(Unreadable::Aws("the source of a copy is no bucket and key"))?;
        bucket.to_owned()
    };
    arguments.insert("CopySource".to_owned(), Value::String(bucket));
    Ok(())
}
