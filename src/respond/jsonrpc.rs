//! Refusals of JSON-RPC calls, as answers under their ids.
//!
//! Takes a refusal and what was asked; returns one answer for each request: a result that says it is
//! an error where a tool was called, because models read those, and an error object elsewhere.
//! Of what the agent wrote nothing comes back but the ids.

use super::{Refusal, detail, problem};
use crate::decide::Reason;
use crate::inspect::jsonrpc::Asked;
use serde_json::{Map, Value, json};

/// The code of a refusal; from -32000 to -32019 they are an implementation's own.
const REFUSED: i32 = -32010;

/// Where in `_meta` programs find what people read in the text.
const META: &str = "holdgate/refusal";

/// The answer to a refused call or batch.
pub(super) fn answer(refusal: &Refusal, asked: &Asked, reason: Reason, request_id: &str) -> Value {
    let text = text(refusal, asked, reason);
    let told = told(refusal, reason, request_id);
    let answers = asked.requests.iter().map(|(id, is_tool)| {
        if *is_tool {
            let mut result = json!({
                "content": [{ "type": "text", "text": text }],
                "isError": true,
                "_meta": { META: told },
            });
            if let (true, Some(result)) = (asked.typed, result.as_object_mut()) {
                result.insert("resultType".to_owned(), json!("complete"));
            }
            json!({ "jsonrpc": "2.0", "id": id, "result": result })
        } else {
            let error = json!({ "code": REFUSED, "message": text, "data": told });
            json!({ "jsonrpc": "2.0", "id": id, "error": error })
        }
    });
    let mut answers: Vec<Value> = answers.collect();
    match answers.pop() {
        Some(one) if !asked.batch => one,
        last => {
            answers.extend(last);
            Value::Array(answers)
        }
    }
}

/// One sentence a model can act on. The name of a tool is the agent's own text.
fn text(refusal: &Refusal, asked: &Asked, reason: Reason) -> String {
    let mut said = detail(refusal);
    if let Some(operation) = refusal.ruling.operation() {
        let call = if asked.batch { "a call of the batch" } else { "the call" };
        said = said.replace(&format!("`{operation}`"), call);
    }
    let (first, rest) = said.split_at(said.chars().next().map_or(0, char::len_utf8));
    let first = first.to_uppercase();
    let all = if asked.batch { " Nothing of the batch was sent." } else { "" };
    format!("holdgate: {first}{rest}{all} ({})", reason.as_str())
}

/// What programs read: the problem, without what the agent wrote.
fn told(refusal: &Refusal, reason: Reason, request_id: &str) -> Value {
    let mut told = problem(refusal, reason, reason.status(), request_id);
    let Some(map) = told.as_object_mut() else { return told };
    for key in ["detail", "operation", "target"] {
        map.shift_remove(key);
    }
    if let Some(Value::Array(findings)) = map.get_mut("findings") {
        for finding in findings.iter_mut().filter_map(Value::as_object_mut) {
            bare(finding);
        }
    }
    told
}

/// A slot may have a name of the agent's making.
fn bare(finding: &mut Map<String, Value>) {
    finding.retain(|key, _| matches!(key.as_str(), "reason" | "severity" | "technique"));
}

/// Whether a refusal for a reason is told in the protocol: not where it is in doubt what was asked.
pub(super) const fn is_told(reason: Reason) -> bool {
    !matches!(
        reason,
        Reason::Malformed | Reason::HostMismatch | Reason::NotIdentified | Reason::Unreadable
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::Ruling;
    use http::StatusCode;
    use http_body_util::BodyExt as _;

    fn refused(requests: Vec<(Value, bool)>, batch: bool, typed: bool) -> Refusal {
        let detail = "A person has to approve it.";
        let mut refusal = Refusal::because(Reason::UnknownOperation, detail);
        refusal.asked = Some(Box::new(Asked { requests, batch, typed }));
        refusal
    }

    fn body(refusal: &Refusal) -> (StatusCode, http::HeaderMap, Value) {
        let response = crate::respond::refuse(refusal, "r-1");
        let (head, body) = response.into_parts();
        let body = futures_util::FutureExt::now_or_never(body.collect()).unwrap().unwrap();
        (head.status, head.headers, serde_json::from_slice(&body.to_bytes()).unwrap())
    }

    #[test]
    fn a_tool_gets_a_result_and_another_request_an_error() {
        let (status, headers, told) = body(&refused(vec![(json!(7), true)], false, false));
        assert_eq!(status, 200);
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(headers["cache-control"], "no-store");
        assert!(headers["proxy-status"].to_str().unwrap().contains("unknown_operation"));
        assert_eq!((&told["jsonrpc"], &told["id"]), (&json!("2.0"), &json!(7)));
        assert_eq!(told["result"]["isError"], true);
        assert_eq!(told["result"]["content"].as_array().unwrap().len(), 1);
        assert_eq!(told["result"].get("resultType"), None);
        assert_eq!(told["result"]["_meta"][META]["reason"], "unknown_operation");
        let (_, _, told) = body(&refused(vec![(json!("a"), true)], false, true));
        assert_eq!(told["result"]["resultType"], "complete", "clients of today require it");
        let (status, _, told) = body(&refused(vec![(json!("a"), false)], false, false));
        assert_eq!(status, 200);
        assert_eq!(told["id"], "a");
        assert_eq!(told["error"]["code"], REFUSED);
        assert_eq!(told["error"]["data"]["verdict"], "deny");
        assert_eq!(told.get("result"), None);
    }

    #[test]
    fn each_request_of_a_batch_is_answered() {
        let requests = vec![(json!(1), true), (json!("1"), false)];
        let (_, _, told) = body(&refused(requests, true, false));
        assert_eq!(told[0]["id"], 1);
        assert!(told[0]["result"]["isError"] == true && told[1]["error"]["code"] == REFUSED);
        assert_eq!(told[1]["id"], "1");
        let (_, _, told) = body(&refused(vec![(json!(1), false)], true, false));
        assert_eq!(told.as_array().unwrap().len(), 1, "a batch of one is a batch");
    }

    #[test]
    fn what_is_in_doubt_is_told_in_plain_http() {
        let mut refusal = refused(vec![(json!(1), true)], false, false);
        *refusal.ruling = Ruling::denial(Reason::Malformed, "It has two readings.");
        let (status, headers, _) = body(&refusal);
        assert_eq!(status, 400);
        assert_eq!(headers["content-type"], "application/problem+json");
    }
}
