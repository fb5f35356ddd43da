//! Who may ask, how much and how often.

use super::{bash, curl, gate, socket};
use crate::support::client::within;
use crate::support::mock::Options;
use crate::support::policy::Edit;
use crate::support::{Answer, Gate, Running, until};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

const SECRET: &str = "the-agent-proves-itself-with-this";

/// A gate whose agent has a secret.
async fn with_secret(folder: &Path) -> Gate {
    let file = folder.join("agent-token");
    std::fs::write(&file, SECRET).unwrap();
    let token = format!("    token: {{ file: \"{}\" }}\n", file.display());
    gate(|policy| {
        let profile = "    profile: coding-agent\n";
        policy.replace(profile, &format!("{token}{profile}"))
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_question_is_refused_and_says_so() {
    let gate = gate(|policy| policy).await;
    let mode = std::fs::metadata(socket(&gate)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let ls = bash("ls").to_string();
    let large =
        json!({ "tool": "Write", "input": { "content": "x".repeat(300 << 10) } }).to_string();
    let file = gate.folder.path().join("large.json");
    std::fs::write(&file, &large).unwrap();
    let large = format!("@{}", file.display());
    let rows: &[(&[&str], u16, &str)] = &[
        (&["-d", &ls], 200, ""),
        (&["-d", "{}"], 400, "malformed"),
        (&["-d", "{\"tool\": \"Bash\", \"input\": {}, \"input\": {}}"], 400, "malformed"),
        (&["-d", &ls, "-H", "Origin: https://evil.example.com"], 415, "malformed"),
        (&["-d", &ls, "-H", "Content-Type: text/plain"], 415, "malformed"),
        (&["-X", "GET"], 405, "malformed"),
        (&["--data-binary", &large], 413, "unreadable"),
        (&["--data-binary", &large, "-H", "Transfer-Encoding: chunked"], 413, "unreadable"),
        (&["-d", &ls, "-u", "somebody:else"], 401, "not_identified"),
        (&["-d", &ls, "-H", "Authorization: Bearer x"], 401, "not_identified"),
    ];
    for (arguments, status, reason) in rows {
        let answer = curl(&gate, arguments);
        assert_eq!(answer.status, *status, "{arguments:?}: {answer:?}");
        if *status != 200 {
            assert_eq!((&*answer.verdict(), &*answer.reason()), ("deny", *reason), "{answer:?}");
        }
    }
    assert_eq!(curl(&gate, &["-d", &ls]).status, 200, "it serves on");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_a_secret_proves_it() {
    let folder = tempfile::tempdir().unwrap();
    let gate = with_secret(folder.path()).await;
    let ls = bash("ls").to_string();
    let right = format!("staging-fixer:{SECRET}");
    for (user, status) in [(None, 401), (Some("staging-fixer:wrong"), 401), (Some(&*right), 200)] {
        let user: Vec<&str> = user.iter().flat_map(|user| ["-u", user]).collect();
        let answer = curl(&gate, &[&["-d", &ls], &*user].concat());
        assert_eq!(answer.status, status, "{user:?}: {answer:?}");
    }
    assert!(!gate.records().iter().any(|record| record.to_string().contains(SECRET)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_asks_so_often_and_no_more() {
    let gate = Gate::with(Options::default(), |policy| {
        Edit(policy).proxy("tool_calls: { per_minute: 3 }").0
    })
    .await;
    let ls = bash("ls").to_string();
    for _ in 0..3 {
        assert_eq!(curl(&gate, &["-d", &ls]).status, 200);
    }
    let answer = curl(&gate, &["-d", &ls]);
    assert_eq!(
        (answer.status, &*answer.verdict(), &*answer.reason()),
        (429, "deny", "over_limit"),
        "{answer:?}"
    );
}

/// One agent's waiting questions and connections that say nothing keep nobody else from asking.
#[tokio::test(flavor = "multi_thread")]
async fn who_waits_keeps_nobody_out() {
    let gate = gate(|policy| policy.replace("  wait: 100ms\n", "  wait: 60s\n")).await;
    let path = socket(&gate);
    let mut silent = Vec::new();
    for _ in 0..300 {
        silent.push(UnixStream::connect(&path).await.unwrap());
    }
    let body = bash("rm -rf ~").to_string();
    let length = body.len();
    let question = format!(
        "POST /v1/tool-calls HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let mut waiting = Vec::new();
    for _ in 0..32 {
        let mut client = UnixStream::connect(&path).await.unwrap();
        client.write_all(question.as_bytes()).await.unwrap();
        waiting.push(client);
    }
    // It has as many as it may, once all of them are read.
    let ls = bash("ls").to_string();
    until("a refusal", || {
        let answer = curl(&gate, &["-d", &ls]);
        let refused = (answer.status, &*answer.verdict(), &*answer.reason());
        (refused == (429, "deny", "over_limit")).then_some(())
    });
    // Those that wait are not sent away by those that say nothing.
    for _ in 0..300 {
        silent.push(UnixStream::connect(&path).await.unwrap());
    }
    gate.approve(&gate.wait_for_hold());
    let mut allowed = 0;
    for client in &mut waiting {
        let mut told = String::new();
        within("an answer", client.read_to_string(&mut told)).await.unwrap();
        assert!(told.starts_with("HTTP/1.1 200 "), "{told}");
        allowed += usize::from(told.contains("\"allow\""));
    }
    assert_eq!(allowed, 1);
    assert_eq!(curl(&gate, &["-d", &ls]).status, 200);
}

/// A client that never ends its question is answered, and keeps nobody else from asking.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_is_let_go() {
    let gate = gate(|policy| policy).await;
    let mut slow = UnixStream::connect(socket(&gate)).await.unwrap();
    let head = "POST /v1/tool-calls HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{";
    slow.write_all(head.as_bytes()).await.unwrap();
    let mut silent = UnixStream::connect(socket(&gate)).await.unwrap();
    assert_eq!(curl(&gate, &["-d", &bash("ls").to_string()]).status, 200);
    let mut told = String::new();
    within("an answer", slow.read_to_string(&mut told)).await.unwrap();
    assert!(told.starts_with("HTTP/1.1 408 ") && told.contains("unreadable"), "{told}");
    told.clear();
    within("an end", silent.read_to_string(&mut told)).await.unwrap();
}

/// Loopback asks for the same proof, and the proxy never dials it.
#[tokio::test(flavor = "multi_thread")]
async fn loopback_serves_too_and_no_other_address() {
    let gate = Gate::with(Options::default(), |policy| {
        Edit(policy).proxy("tool_calls: { listen: \"127.0.0.1:0\" }").0
    })
    .await;
    let at = gate.running().tool_calls.clone().unwrap();
    assert!(at.starts_with("http://127.0.0.1:"), "{at}");
    let ask = |url: &str| {
        let mut command = std::process::Command::new("curl");
        command.args([
            "-sS",
            "-i",
            "--max-time",
            "60",
            "--noproxy",
            "*",
            "-H",
            "Content-Type: application/json",
        ]);
        command.args(["-d", &bash("printenv").to_string(), url]);
        Answer::of(&command.output().unwrap())
    };
    let told = ask(&format!("{at}/v1/tool-calls"));
    assert_eq!((told.status, &*told.reason()), (200, "credential_read"), "{told:?}");
    assert_eq!(ask(&format!("{at}/v1/other")).status, 404);
    let rows = [
        ("{ listen: \"0.0.0.0:3130\" }", "neither `unix:PATH` nor an address of loopback"),
        ("{ listen: \"192.0.2.1:3130\" }", "neither `unix:PATH` nor an address of loopback"),
        ("{ listen: \"unix:\" }", "neither `unix:PATH` nor an address of loopback"),
        ("{ listen: tool-calls.sock }", "neither `unix:PATH` nor an address of loopback"),
        ("{ per_minute: 0 }", "zero would refuse everything"),
        ("{ often: 3 }", "unknown field"),
    ];
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    for (declared, problem) in rows {
        let changed = policy.replace("{ listen: \"127.0.0.1:0\" }", declared);
        assert_ne!(changed, policy);
        std::fs::write(gate.policy_path(), changed).unwrap();
        let output = gate.holdgate(&["policy", "check"]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned()
            + &String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(2), "{declared}: {said}");
        assert!(said.contains(problem), "{declared}: {said}");
    }
}

/// A file that is no socket stays, and so does a socket that somebody serves.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_from_its_place() {
    let mut gate = gate(|policy| policy).await;
    gate.kill();
    let path = socket(&gate);
    assert!(path.exists(), "a crash leaves the socket");
    gate.serve();
    assert_eq!(curl(&gate, &["-d", &bash("ls").to_string()]).status, 200);
    gate.drain();
    assert!(!path.exists(), "an end takes it away");
    std::fs::write(&path, "mine").unwrap();
    let said = Running::try_start(gate.folder.path(), &[]).err().unwrap();
    assert!(said.contains("no socket"), "{said}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    std::fs::remove_file(&path).unwrap();
    // Nor is a file taken that has the name which the socket has before its own.
    let beside = path.with_extension("new");
    std::fs::write(&beside, "mine").unwrap();
    assert!(Running::try_start(gate.folder.path(), &[]).is_err());
    assert_eq!(std::fs::read_to_string(&beside).unwrap(), "mine");
    std::fs::remove_file(&beside).unwrap();
    let _served = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let said = Running::try_start(gate.folder.path(), &[]).err().unwrap();
    assert!(said.contains("another process serves it"), "{said}");
}
