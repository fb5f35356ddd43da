//! Dangerous orders of calls: what completes them, what happens then, and what everyday work does not do.

mod built_in;
mod consequences;
mod required;
mod restart;

use crate::support::mock::Options;
use crate::support::policy::Edit;
use crate::support::{Answer, Gate};
use serde_json::{Value, json};

const AGENT: &str = "staging-fixer";

/// The mock's policy with sequences of its own, changed, whose holds are handed back soon.
async fn gate(sequences: &str, change: impl FnOnce(Edit) -> Edit) -> Gate {
    Gate::with(Options::default(), |policy| {
        let policy = Edit(policy).replace("  wait: 20s\n", "  wait: 100ms\n");
        change(policy.replace("\nsequences:\n", &format!("\nsequences:\n{sequences}"))).0
    })
    .await
}

fn call(gate: &Gate, token: &str, document: &str) -> Answer {
    gate.graphql(token, &json!({ "query": document }))
}

/// Has a held call approved, and sends it again.
fn approved(gate: &Gate, token: &str, document: &str) -> Answer {
    let held = call(gate, token, document);
    assert_eq!(held.verdict(), "hold", "{held:?}");
    gate.approve(held.json()["hold"]["id"].as_str().unwrap());
    let told = call(gate, token, document);
    assert_eq!(told.status, 200, "{told:?}");
    told
}

fn sessions(gate: &Gate, arguments: &[&str]) -> String {
    let output = gate.holdgate(&[&["sessions"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What the record says of completed sequences.
fn completed(gate: &Gate) -> Vec<String> {
    let of_session = |record: &Value| {
        let detail = record["detail"].as_str().filter(|_| record["kind"] == "session")?;
        detail.starts_with("completed").then(|| detail.to_owned())
    };
    gate.records().iter().filter_map(of_session).collect()
}
