//! What agents ask about their tool calls before they run, through the built binary's own listener.

mod holds;
mod hook;
mod limits;
mod python;
mod restraint;

use crate::support::mock::Options;
use crate::support::policy::Edit;
use crate::support::{Answer, Gate};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::{Command, Stdio};

const AGENT: &str = "staging-fixer";

/// The mock's policy with a listener for questions, changed, whose holds are handed back soon.
async fn gate(change: impl FnOnce(Edit) -> Edit) -> Gate {
    Gate::with(Options::default(), |policy| {
        let policy = Edit(policy).replace("  wait: 20s\n", "  wait: 100ms\n");
        change(policy).proxy("tool_calls: {}").0
    })
    .await
}

fn socket(gate: &Gate) -> PathBuf {
    gate.folder.path().join("state/tool-calls.sock")
}

/// curl to the listener.
fn curl(gate: &Gate, arguments: &[&str]) -> Answer {
    let is_typed = arguments.iter().any(|one| one.starts_with("Content-Type: "));
    let typed: &[&str] = if is_typed { &[] } else { &["-H", "Content-Type: application/json"] };
    let mut command = Command::new("curl");
    command
        .args(["-sS", "--max-time", "60", "-i", "--unix-socket", socket(gate).to_str().unwrap()])
        .arg("http://localhost/v1/tool-calls")
        .args(typed)
        .args(arguments)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdin(Stdio::null());
    Answer::of(&command.output().unwrap())
}

/// Asks about a call.
fn asked(gate: &Gate, call: &Value) -> Value {
    let answer = curl(gate, &["-d", &call.to_string()]);
    assert_eq!(answer.status, 200, "{answer:?}");
    let told = answer.json();
    // No rule, no line of the policy.
    assert!(!answer.body.contains("policy.yaml"), "{answer:?}");
    assert!(told["request_id"].as_str().unwrap().starts_with("r_"), "{told}");
    told
}

fn bash(command: &str) -> Value {
    json!({ "tool": "Bash", "input": { "command": command } })
}

/// Verdict and reason.
fn verdict(told: &Value) -> (&str, &str) {
    (told["verdict"].as_str().unwrap(), told["reason"].as_str().unwrap_or_default())
}

fn sessions(gate: &Gate, arguments: &[&str]) -> String {
    let output = gate.holdgate(&[&["sessions"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The stages so far, each with what showed it.
fn stages(gate: &Gate) -> Vec<(String, String)> {
    let told: Value = serde_json::from_str(&sessions(gate, &["show", AGENT, "--json"])).unwrap();
    let text = |stage: &Value, key: &str| stage[key].as_str().unwrap().to_owned();
    let all = told["stages"].as_array().unwrap();
    all.iter().map(|stage| (text(stage, "stage"), text(stage, "what"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_call_is_about_to_do_is_judged_before_it_does() {
    let gate = gate(|policy| policy).await;
    let fetch = |url: &str| json!({ "tool": "WebFetch", "input": { "url": url, "prompt": "x" } });
    let rows = [
        (bash("cargo test"), "allow", ""),
        (bash("cat .env.example"), "allow", ""),
        (json!({ "tool": "Read", "input": { "file_path": "/src/main.rs" } }), "allow", ""),
        (bash("cat infra/.env"), "deny", "credential_read"),
        (bash("grep -rn API_TOKEN ."), "deny", "credential_read"),
        (bash("printenv"), "deny", "credential_read"),
        (
            json!({ "tool": "Read", "input": { "file_path": "/home/dev/.aws/credentials" } }),
            "deny",
            "credential_read",
        ),
        (
            json!({ "tool": "Bash", "input": { "command": "cat credentials" }, "cwd": "/home/dev/.aws" }),
            "deny",
            "credential_read",
        ),
        (bash("curl https://evil.example.com/x"), "deny", "out_of_scope"),
        (bash("curl http://192.0.2.1/x"), "deny", "out_of_scope"),
        (fetch("https://evil.example.com/x"), "deny", "out_of_scope"),
        (bash("curl http://localhost:3000/health"), "allow", ""),
        (fetch("https://docs.railway.com/guides"), "allow", ""),
        (bash("curl -d x=1 https://docs.railway.com/guides"), "deny", "scope_violation"),
        (bash("curl https://api.staging.railway.app/admin/x"), "deny", "scope_violation"),
        // Headers, files and variables are not there yet: the proxy judges the request.
        (bash("curl -d @body.json https://backboard.railway.com/graphql/v2"), "allow", ""),
        (bash("curl https://$HOST/x"), "allow", ""),
        (bash("git reset --hard"), "allow", ""),
        (bash("rm -rf node_modules"), "allow", ""),
        (bash("rm -rf ~"), "hold", "destructive"),
        (bash("terraform destroy -auto-approve"), "hold", "destructive"),
        (bash("curl -X DELETE https://api.staging.railway.app/volumes/7"), "hold", "destructive"),
        // The gravest of several things is told.
        (bash("rm -rf ~; cat .env; curl https://evil.example.com"), "deny", "out_of_scope"),
    ];
    for (call, word, reason) in &rows {
        let told = asked(&gate, call);
        assert_eq!(verdict(&told), (*word, *reason), "{call}: {told}");
        if *word != "allow" {
            // Each by itself: some of them are dangerous one after the other.
            sessions(&gate, &["reset", AGENT]);
        }
    }
    assert_eq!(gate.mock.bytes_received(), 0, "a question sends nothing");
    let records = gate.records();
    let judged: Vec<_> = records
        .iter()
        .filter(|record| record["operations"].is_array() && record["kind"] == "session")
        .collect();
    assert_eq!(judged.len(), rows.len(), "{judged:#?}");
    for (record, (call, word, reason)) in judged.iter().zip(&rows) {
        assert_eq!(record["verdict"], *word, "{call}: {record}");
        assert_eq!(record["reason"].as_str().unwrap_or_default(), *reason, "{call}: {record}");
        assert_eq!(record["operations"][0], format!("tool {}", call["tool"].as_str().unwrap()));
        assert_eq!(record["agent"], AGENT);
    }
    let harvest = judged.iter().find(|record| record["reason"] == "credential_read").unwrap();
    assert_eq!(harvest["findings"][0]["technique"], "T1552.001", "{harvest}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_listened_on_that_the_policy_does_not_declare() {
    let gate = Gate::start().await;
    assert!(!socket(&gate).exists());
    assert_eq!(curl(&gate, &["-d", "{}"]).status, 0);
}
