//! The headers that mirror a JSON-RPC message, so that what stands between can route by them.
//!
//! Takes the headers of a request and the message in its body; says where they contradict each other.
//! A header that names another call than the body is an override of it: whoever routes by the header
//! and whoever executes the body would see two calls. Absent headers contradict nothing.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue};
use serde_json::{Map, Value};

/// What the headers are compared with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mirrored<'a> {
    /// The method; none in an answer of the client.
    pub(super) method: Option<&'a str>,
    /// Its parameters, where they have names.
    pub(super) params: Option<&'a Map<String, Value>>,
}

/// The body's own word for the version of the protocol.
pub(super) const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";

/// The one version of MCP that has both batches and a header for the version.
const BATCHING: &str = "2025-03-26";

/// The members of `params` that `Mcp-Name` mirrors.
const NAMES: &[&str] = &["name", "uri", "taskId"];

/// The member that `Mcp-Name` mirrors in the calls that have one.
fn named(method: &str) -> Option<&'static str> {
    Some(match method {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        "tasks/get" | "tasks/update" | "tasks/cancel" => "taskId",
        _ => return None,
    })
}

/// Where the headers contradict the messages of the body.
pub(super) fn contradiction(
    headers: &HeaderMap,
    messages: &[Mirrored<'_>],
    batch: bool,
) -> Option<&'static str> {
    let mut seen: Vec<String> = Vec::new();
    for (name, value) in headers {
        // Servers that hand names on as variables take `_` for `-`.
        let name = name.as_str().replace('_', "-");
        if !name.starts_with("mcp-") {
            continue;
        }
        let wrong = match (name.as_str(), messages) {
            ("mcp-protocol-version", _) if batch => {
                (value != BATCHING).then_some("Mcp-Protocol-Version stands before a batch")
            }
            ("mcp-protocol-version", [one]) => version(value, one),
            ("mcp-method", [one]) if !batch => {
                let same = one.method.is_some_and(|method| value == method);
                (!same).then_some("Mcp-Method names another method than the body")
            }
            ("mcp-name", [one]) if !batch => {
                (!is_named(value, one)).then_some("Mcp-Name names another thing than the body")
            }
            ("mcp-method" | "mcp-name", _) => Some("Mcp-Method or Mcp-Name stands before a batch"),
            (parameter, _) if parameter.starts_with("mcp-param-") => {
                let stands = !batch && messages.iter().any(|one| is_argument(value, one));
                (!stands).then_some("Mcp-Param names a value that no argument of the body has")
            }
            // A session or a vendor's own word says nothing of the call.
            _ => None,
        };
        if wrong.is_some() {
            return wrong;
        }
        if seen.contains(&name) {
            return Some("a header that mirrors the body stands twice");
        }
        seen.push(name);
    }
    None
}

/// The version in the header must be that in the body, if the body says one.
fn version(value: &HeaderValue, message: &Mirrored<'_>) -> Option<&'static str> {
    let said = message.params?.get("_meta")?.get(VERSION_KEY)?;
    let same = said.as_str().is_some_and(|said| value == said);
    (!same).then_some("Mcp-Protocol-Version is another than the body's")
}

fn is_named(value: &HeaderValue, message: &Mirrored<'_>) -> bool {
    let (Some(method), Some(params), Some(name)) = (message.method, message.params, decoded(value))
    else {
        return false;
    };
    let is = |member: &str| params.get(member).and_then(Value::as_str) == Some(&name);
    match named(method) {
        Some(member) => is(member),
        None => NAMES.iter().any(|member| is(member)),
    }
}

/// Whether some argument has the value; which one is meant only the tool's schema says.
fn is_argument(value: &HeaderValue, message: &Mirrored<'_>) -> bool {
    let Some(value) = decoded(value) else { return false };
    let arguments = message.params.and_then(|params| params.get("arguments"));
    arguments.is_some_and(|arguments| has_scalar(arguments, &value))
}

fn has_scalar(value: &Value, wanted: &str) -> bool {
    match value {
        // The depth of what was parsed is bounded.
        Value::Array(members) => members.iter().any(|member| has_scalar(member, wanted)),
        Value::Object(map) => map.values().any(|member| has_scalar(member, wanted)),
        Value::String(text) => text == wanted,
        Value::Bool(is) => wanted == if *is { "true" } else { "false" },
        Value::Number(number) => {
            number.to_string() == wanted
                || number.as_f64().is_some_and(|number| wanted.parse() == Ok(number))
        }
        Value::Null => false,
    }
}

/// A value as it was before it was made fit for a header: `=?base64?…?=` stands for what is not
/// plain ASCII. None where that does not decode in exactly one way.
fn decoded(value: &HeaderValue) -> Option<String> {
    let text = value.to_str().ok()?;
    let coded = text.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?="));
    match coded {
        Some(coded) => String::from_utf8(STANDARD.decode(coded).ok()?).ok(),
        None => Some(text.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderName;

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn headers_mirror_one_call() {
        let params = serde_json::json!({
            "name": "größe",
            "arguments": { "region": "eu", "count": 42, "dry": true, "deep": [{ "x": "y" }] },
            "_meta": { VERSION_KEY: "2026-07-28" },
        });
        let message = Mirrored { method: Some("tools/call"), params: params.as_object() };
        let plain = [
            ("Mcp-Method", "tools/call"),
            ("Mcp-Name", "=?base64?Z3LDtsOfZQ==?="),
            ("MCP-Protocol-Version", "2026-07-28"),
            ("Mcp-Param-Region", "eu"),
            ("Mcp-Param-Count", "42"),
            ("Mcp-Param-Count2", "42.0"),
            ("Mcp-Param-Dry", "true"),
            ("Mcp-Param-X", "y"),
            ("Mcp-Session-Id", "s"),
        ];
        assert_eq!(contradiction(&headers(&plain), &[message], false), None);
        assert_eq!(contradiction(&HeaderMap::new(), &[message], false), None);
        let wrong: &[&[(&str, &str)]] = &[
            &[("Mcp-Method", "tools/list")],
            &[("Mcp-Method", "Tools/Call")],
            &[("mcp_method", "tools/list")],
            &[("Mcp-Method", "tools/call"), ("Mcp-Method", "tools/call")],
            &[("Mcp-Method", "tools/call"), ("mcp_method", "tools/call")],
            &[("Mcp-Name", "other")],
            &[("Mcp-Name", "=?base64?b3RoZXI=?=")],
            // Not the one way to write it: no padding, and bits that are left over.
            &[("Mcp-Name", "=?base64?Z3LDtsOfZQ?=")],
            &[("Mcp-Name", "=?base64?Z3LDtsOfZR==?=")],
            &[("MCP-Protocol-Version", "2025-11-25")],
            &[("Mcp-Param-Region", "us")],
        ];
        for pairs in wrong {
            assert!(contradiction(&headers(pairs), &[message], false).is_some(), "{pairs:?}");
        }
    }

    #[test]
    fn headers_of_a_batch_and_of_an_answer_mirror_nothing() {
        let one = Mirrored { method: Some("ping"), params: None };
        let answer = Mirrored { method: None, params: None };
        let is_wrong = |pairs: &[(&str, &str)], messages: &[Mirrored<'_>], batch| {
            contradiction(&headers(pairs), messages, batch).is_some()
        };
        assert!(is_wrong(&[("Mcp-Method", "ping")], &[one], true));
        assert!(is_wrong(&[("Mcp-Name", "x")], &[one, one], true));
        assert!(is_wrong(&[("MCP-Protocol-Version", "2026-07-28")], &[one], true));
        assert!(!is_wrong(&[("MCP-Protocol-Version", "2025-03-26")], &[one], true));
        assert!(!is_wrong(&[("MCP-Protocol-Version", "2025-11-25")], &[one], false));
        assert!(is_wrong(&[("Mcp-Method", "ping")], &[answer], false));
        assert!(is_wrong(&[("Mcp-Name", "x")], &[one], false));
        assert!(is_wrong(&[("Mcp-Param-A", "x")], &[one], false));
    }
}
