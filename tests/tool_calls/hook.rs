//! `holdgate hook`: an event of a coding agent on stdin, its answer on stdout.

use super::{bash, gate, socket};
use crate::support::Gate;
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn event(command: &str) -> Value {
    json!({
        "session_id": "s", "transcript_path": "/tmp/t.jsonl", "cwd": "/src", "permission_mode": "default",
        "hook_event_name": "PreToolUse", "tool_name": "Bash",
        "tool_input": { "command": command, "description": "x" }, "tool_use_id": "toolu_1",
    })
}

fn hook(folder: &Path, address: Option<&str>, arguments: &[&str], stdin: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdgate"));
    command.current_dir(folder).arg("hook").args(arguments);
    command.env_remove("HOLDGATE_AGENT").env_remove("HOLDGATE_AGENT_TOKEN");
    match address {
        Some(address) => command.env("HOLDGATE_TOOL_CALLS", address),
        None => command.env_remove("HOLDGATE_TOOL_CALLS"),
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have ended without reading.
    drop(child.stdin.take().unwrap().write_all(stdin.as_bytes()));
    child.wait_with_output().unwrap()
}

/// Why it says no, or nothing where it says nothing.
fn denial(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    if output.stdout.is_empty() {
        return String::new();
    }
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told = &told["hookSpecificOutput"];
    assert_eq!(
        (&told["hookEventName"], &told["permissionDecision"]),
        (&json!("PreToolUse"), &json!("deny"))
    );
    told["permissionDecisionReason"].as_str().unwrap().to_owned()
}

fn asked(gate: &Gate, command: &str) -> String {
    let address = format!("unix:{}", socket(gate).display());
    denial(&hook(gate.folder.path(), Some(&address), &[], &event(command).to_string()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coding_agent_is_told_what_not_to_run_and_nothing_else() {
    let gate = gate(|policy| policy).await;
    // No word of Holdgate's would stand in for the agent's own rules.
    assert_eq!(asked(&gate, "cargo test"), "");
    assert!(asked(&gate, "cat .env").contains("(credential_read)"));
    let held = asked(&gate, "rm -rf ~");
    let waiting = gate.waiting();
    let id = waiting[0]["id"].as_str().unwrap();
    assert!(held.contains(id) && held.contains("once it is approved"), "{held}");
    gate.approve(id);
    assert_eq!(asked(&gate, "rm -rf ~"), "");
    assert_ne!(asked(&gate, "rm -rf ~"), "");
    // The folder that the agent is in is the folder its paths are in.
    let mut in_folder = event("cat credentials");
    in_folder["cwd"] = json!("/home/dev/.aws");
    let address = format!("unix:{}", socket(&gate).display());
    let output = hook(gate.folder.path(), Some(&address), &[], &in_folder.to_string());
    assert!(denial(&output).contains("credential_read"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_answers_nothing_runs_unless_it_is_told_to() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = format!("unix:{}", folder.path().join("nobody.sock").display());
    let event = event("ls").to_string();
    for address in [None, Some(&*nobody), Some("http://192.0.2.1:1"), Some("nonsense")] {
        let closed = denial(&hook(folder.path(), address, &[], &event));
        assert!(closed.contains("does not answer"), "{address:?}: {closed}");
        let open = hook(folder.path(), address, &["--open"], &event);
        assert_eq!(denial(&open), "", "{address:?}");
        assert!(String::from_utf8_lossy(&open.stderr).contains("--open"), "{open:?}");
    }
    // One that never answers is as good as none.
    let silent = std::os::unix::net::UnixListener::bind(folder.path().join("silent.sock")).unwrap();
    let address = format!("unix:{}", folder.path().join("silent.sock").display());
    let told = denial(&hook(folder.path(), Some(&address), &["--timeout", "1"], &event));
    assert!(told.contains("within 1s"), "{told}");
    drop(silent);
}

/// Exit code 2 is the one that keeps a tool from running where there is no answer to read.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_event_blocks() {
    let gate = gate(|policy| policy).await;
    let address = format!("unix:{}", socket(&gate).display());
    let other = json!({ "hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_input": {} });
    for stdin in ["", "{", "{}", &*bash("ls").to_string(), &*other.to_string()] {
        let output = hook(gate.folder.path(), Some(&address), &["--open"], stdin);
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(2), 0),
            "{stdin}: {output:?}"
        );
    }
    let event = event("ls").to_string();
    for arguments in [&["--no-such-option"][..], &["--open", "--agent", "without-its-token"]] {
        let output = hook(gate.folder.path(), Some(&address), arguments, &event);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{output:?}");
    }
    // What cannot be told is no reason to run either.
    let question = gate.folder.path().join("event.json");
    std::fs::write(&question, super::hook::event("cat .env").to_string()).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdgate"));
    command.args(["hook", "--socket", &address]).stdin(std::fs::File::open(question).unwrap());
    command.env_remove("HOLDGATE_AGENT").env_remove("HOLDGATE_AGENT_TOKEN");
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = command.stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(2), "nobody reads its stdout");
}

/// A command under `holdgate run` knows where to ask and how to prove who it is, wherever its state is.
#[tokio::test(flavor = "multi_thread")]
async fn a_command_under_run_asks_by_itself() {
    let mut gate = gate(|policy| policy).await;
    gate.kill();
    let file = gate.folder.path().join("event.json");
    std::fs::write(&file, event("cat .env").to_string()).unwrap();
    let script = format!(
        "echo \"$HOLDGATE_TOOL_CALLS\" >&2; '{}' hook < '{}'; \
         HOLDGATE_AGENT_TOKEN=wrong '{}' hook < '{}'",
        env!("CARGO_BIN_EXE_holdgate"),
        file.display(),
        env!("CARGO_BIN_EXE_holdgate"),
        file.display(),
    );
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let state = format!("{}/state", gate.folder.path().display());
    for (longer, kind) in
        [(String::new(), "unix:/"), (format!("/{}", "x".repeat(120)), "http://127.0.0.1:")]
    {
        std::fs::write(gate.policy_path(), policy.replace(&state, &format!("{state}{longer}")))
            .unwrap();
        let output = gate.holdgate(&["run", "--", "sh", "-c", &script]);
        let (said, noted) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        assert!(output.status.success(), "{noted}");
        assert!(noted.lines().any(|line| line.starts_with(kind)), "{kind}: {noted}");
        let told: Vec<Value> =
            said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let reasons: Vec<&str> = told
            .iter()
            .map(|told| told["hookSpecificOutput"]["permissionDecisionReason"].as_str().unwrap())
            .collect();
        assert_eq!(reasons.len(), 2, "{said}");
        assert!(
            reasons[0].contains("credential_read") && reasons[1].contains("not_identified"),
            "{said}"
        );
    }
}
