//! Who may ask, how much and how often.

use super::{bash, curl, gate, socket};
use crate::support::Gate;
use crate::support::client::within;
use crate::support::mock::Options;
use crate::support::policy::Edit;
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
