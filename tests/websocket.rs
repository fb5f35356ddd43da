//! Open sockets: each message is judged as a request is, and nothing else passes.

mod frames;
mod graphql;
mod handshake;
mod holds;
mod plain;

use crate::support::mock::{API_SERVICE, STAGING_ENVIRONMENT};
use crate::support::{Gate, until};
use serde_json::{Value, json};

const BOTH: [(&str, &str); 2] = [("graphql-transport-ws", "subscribe"), ("graphql-ws", "start")];

/// The mutation of everyday work.
fn redeploy() -> Value {
    json!({
        "query": "mutation R($e: String!, $s: String!) { serviceInstanceRedeploy(environmentId: $e, serviceId: $s) }",
        "variables": {"e": STAGING_ENVIRONMENT, "s": API_SERVICE},
    })
}

/// Waits for the record of a socket that ended in some way.
fn ended(gate: &Gate, how: &str) {
    let is = |record: &Value| {
        record["status"] == 101 && record["detail"].as_str().is_some_and(|it| it.contains(how))
    };
    until(how, || gate.records().iter().any(is).then_some(()));
}

/// The messages that reached the mock, without those that begin a connection or end it.
fn arrived(gate: &Gate) -> Vec<Value> {
    let messages = gate.mock.messages();
    let is_frame = |text: &&String| text.contains("connection_init") || text.starts_with("a close");
    let rest = messages.iter().filter(|text| !is_frame(text));
    rest.map(|message| serde_json::from_str(message).unwrap_or_else(|_| json!(message))).collect()
}

/// The records of requests with an operation.
fn records(gate: &Gate, operation: &str) -> Vec<Value> {
    let of = |record: &Value| {
        record["kind"] == "request"
            && record["operations"].as_array().is_some_and(|all| all.contains(&json!(operation)))
    };
    gate.records().into_iter().filter(of).collect()
}
