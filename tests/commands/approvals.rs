//! `holdgate approvals`: what approvers see and answer, and how others are turned away.

use super::{json_of, printed, said};
use crate::support::mock::{Options, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::policy::Edit;
use crate::support::{APPROVER_TOKEN, Gate, sha256, until, write_policy};
use serde_json::json;
use std::collections::BTreeSet;
use std::process::{Command, Output, Stdio};

/// A command of an approver, with a token or none.
fn approver(gate: &Gate, token: Option<&str>, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdgate"));
    command.current_dir(gate.folder.path()).arg("approvals").args(arguments);
    command.env_remove("HOLDGATE_POLICY").env_remove("HOLDGATE_APPROVER_TOKEN");
    if let Some(token) = token {
        command.env("HOLDGATE_APPROVER_TOKEN", token);
    }
    command.stdin(Stdio::null()).output().unwrap()
}

/// A gate whose held clients get their hold at once.
async fn impatient() -> Gate {
    Gate::with(Options::default(), |policy| {
        Edit(policy).replace("  wait: 20s\n", "  wait: 100ms\n").0
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn approvers_see_and_answer_holds_from_the_command_line() {
    let gate = impatient().await;
    let approver = |arguments: &[&str]| approver(&gate, Some(APPROVER_TOKEN), arguments);
    assert_eq!(printed(approver(&["list"])), "nothing waits\n");
    assert_eq!(json_of(&approver(&["list", "--json"])), json!([]));
    let held = |volume: &str| {
        let answer = gate.delete_volume(STAGING_TOKEN, volume);
        answer.json()["hold"]["id"].as_str().unwrap_or_else(|| panic!("{answer:?}")).to_owned()
    };
    let (one, two) = (held(STAGING_VOLUME), held("dddddddd-0000-4000-8000-00000000ffff"));
    let text = printed(approver(&["list"]));
    assert_eq!(text.lines().count(), 2, "{text}");
    let line = text.lines().find(|line| line.starts_with(&one)).unwrap();
    for wanted in [
        " waiting ",
        " staging-fixer ",
        "`mutation volumeDelete`",
        "in staging (destructive, irreversible)",
    ] {
        assert!(line.contains(wanted), "{wanted}: {line}");
    }
    let listed = json_of(&approver(&["list", "--json"]));
    let shown = json_of(&approver(&["show", &one, "--json"]));
    assert_eq!(listed.as_array().unwrap().len(), 2);
    assert!(listed.as_array().unwrap().contains(&shown), "{listed} {shown}");
    assert_eq!((&shown["id"], &shown["state"]), (&json!(one), &json!("waiting")));
    let text = printed(approver(&["show", &one]));
    assert!(text.starts_with(&format!("{one} waiting for staging-fixer, until 20")), "{text}");
    assert!(!text.contains(STAGING_TOKEN) && !shown.to_string().contains(STAGING_TOKEN));
    assert_eq!(
        printed(approver(&["approve", &one, "--reason", "agreed"])),
        format!("{one} is approved\n")
    );
    let denied = json_of(&approver(&["deny", &two, "--json", "--reason", "no"]));
    assert_eq!((&denied["id"], &denied["state"]), (&json!(two), &json!("denied")));
    // What is over is not answered again, and is listed on demand only.
    for (id, decision) in [(&one, "deny"), (&two, "approve"), (&two, "deny")] {
        let output = approver(&[decision, id]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty() && said(&output).contains("(409)"), "{output:?}");
    }
    assert_eq!(printed(approver(&["list"])), "nothing waits\n");
    let all = json_of(&approver(&["list", "--all", "--json"]));
    let states: BTreeSet<&str> =
        all.as_array().unwrap().iter().map(|hold| hold["state"].as_str().unwrap()).collect();
    assert_eq!(states, BTreeSet::from(["approved", "denied"]));
    assert_eq!(gate.mock.bytes_received(), 0);
    assert_eq!(gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME).status, 200, "it is redeemed");
    assert_eq!(gate.mock.deletions(), [STAGING_VOLUME]);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_approver_is_told_so_and_changes_nothing() {
    let mut gate = impatient().await;
    let id = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME).json()["hold"]["id"].clone();
    let id = id.as_str().unwrap().to_owned();
    for arguments in [&["list"][..], &["show", &id], &["approve", &id], &["deny", &id, "--json"]] {
        for (token, code, wanted) in [
            (None, 2, "HOLDGATE_APPROVER_TOKEN"),
            (Some(""), 2, "HOLDGATE_APPROVER_TOKEN"),
            (Some("guessed"), 1, "(401)"),
            (Some(STAGING_TOKEN), 1, "(401)"),
            (Some("two\nlines"), 2, "cannot be sent"),
        ] {
            let output = approver(&gate, token, arguments);
            assert_eq!(output.status.code(), Some(code), "{arguments:?} {token:?} {output:?}");
            assert!(output.stdout.is_empty() && said(&output).contains(wanted), "{output:?}");
        }
    }
    for (id, code) in [("h_0000000000000000", 1), ("../agents", 2), ("h 1", 2)] {
        let output = approver(&gate, Some(APPROVER_TOKEN), &["approve", id]);
        assert_eq!(output.status.code(), Some(code), "{id} {output:?}");
    }
    assert_eq!(gate.waiting().len(), 1);
    // Bound but not listening: nobody answers there.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let down = socket.local_addr().unwrap().to_string();
    gate.kill();
    for arguments in [&["list"][..], &["list", "--json"], &["show", &id], &["approve", &id]] {
        let arguments = [arguments, &["--address", &down]].concat();
        let output = approver(&gate, Some(APPROVER_TOKEN), &arguments);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(said(&output).contains("is Holdgate running?"), "{output:?}");
        assert!(output.stdout.is_empty() && !said(&output).contains(APPROVER_TOKEN), "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fresh_token_is_an_approvers_once_its_hash_stands_in_the_policy() {
    let gate = Gate::start().await;
    let made = json_of(&approver(&gate, None, &["token", "bob", "--json"]));
    let (token, hash) = (made["token"].as_str().unwrap(), made["token_hash"].as_str().unwrap());
    assert_eq!(
        (&made["name"], hash),
        (&json!("bob"), &*format!("sha256:{}", sha256(token.as_bytes())))
    );
    assert!(token.len() >= 43);
    let text = printed(approver(&gate, None, &["token", "bob"]));
    assert!(!text.contains(token), "each is fresh");
    let (fresh, lines) = text.split_once('\n').unwrap();
    let line = format!("    bob: {{ token_hash: \"sha256:{}\" }}\n", sha256(fresh.as_bytes()));
    assert!(lines.ends_with(&format!("\napprovals:\n  approvers:\n{line}")), "{text}");
    assert_eq!(approver(&gate, Some(fresh), &["list"]).status.code(), Some(1));
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let changed = Edit(policy).replace("  approvers:\n", &format!("  approvers:\n{line}")).0;
    write_policy(gate.folder.path(), &changed);
    gate.reload();
    assert_eq!(printed(approver(&gate, Some(fresh), &["list"])), "nothing waits\n");
    assert_eq!(approver(&gate, Some(token), &["list"]).status.code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_the_agent_is_printed_raw() {
    let gate = impatient().await;
    let evil = "x\u{1b}[2J\u{1b}]0;approved\u{7}\r\n\u{202e}\u{2066}\u{200b}y";
    let body = json!({
        "query": "mutation Harmless($id: String!) { volumeDelete(volumeId: $id) }",
        "variables": { "id": evil },
    });
    let id = gate.graphql(STAGING_TOKEN, &body).json()["hold"]["id"].clone();
    let id = id.as_str().unwrap();
    let log = until("the log's line", || Some(gate.running().log()).filter(|log| log.contains(id)));
    let line = log.lines().find(|line| line.contains(id)).unwrap().to_owned();
    let shown = printed(gate.holdgate(&["approvals", "show", id]));
    let listed = printed(gate.holdgate(&["approvals", "list"]));
    for text in [shown, listed, line] {
        assert!(text.contains("volumeDelete") && text.contains("\\u{202e}"), "{text:?}");
        let hidden = |c: char| !(c.is_ascii_graphic() || c == ' ' || c == '\n');
        assert!(!text.contains(hidden), "{text:?}");
    }
}
