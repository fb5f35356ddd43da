//! Tools of agents, by name and by the members of their input.

use super::super::of_call;
use serde_json::{Value, json};

#[test]
fn tools_are_known_by_name_and_by_their_input() {
    let rows: Vec<(&str, Value, &str)> = vec![
        ("Read", json!({"file_path": "/work/app/.env"}), "T1552.001"),
        ("Read", json!({"file_path": "/work/app/.env.example"}), ""),
        ("read_file", json!({"path": "infra/domains.env"}), "T1552.001"),
        ("read_file", json!({"target_file": "src/token.rs"}), ""),
        (
            "mcp__filesystem__read_text_file",
            json!({"path": "/home/dev/.aws/credentials"}),
            "T1552.001",
        ),
        (
            "mcp__filesystem__read_multiple_files",
            json!({"paths": ["a.md", "/root/.netrc"]}),
            "T1552.001",
        ),
        ("read_many_files", json!({"include": ["*.md"], "paths": ["docs"]}), ""),
        ("str_replace_based_edit_tool", json!({"command": "view", "path": ".env"}), "T1552.001"),
        (
            "str_replace_based_edit_tool",
            json!({"command": "create", "path": ".env", "file_text": "A=b"}),
            "",
        ),
        ("Write", json!({"file_path": ".env", "content": "PORT=1"}), ""),
        ("Edit", json!({"file_path": ".env", "old_string": "a", "new_string": "b"}), ""),
        ("resources/read", json!({"uri": "file:///home/dev/.ssh/id_rsa"}), "T1552.004"),
        ("Glob", json!({"pattern": "**/.env*"}), "T1552.001"),
        ("Glob", json!({"pattern": "**/*.pem"}), "T1552.004"),
        ("Glob", json!({"pattern": "src/**/*.ts"}), ""),
        ("Grep", json!({"pattern": "RAILWAY_TOKEN"}), "T1552.001"),
        ("Grep", json!({"pattern": "token|secret|password", "-i": true}), "T1552.001"),
        ("Grep", json!({"pattern": "token", "path": "src/parser"}), ""),
        ("Grep", json!({"pattern": "railway", "-i": true}), ""),
        ("Grep", json!({"pattern": "railway", "-i": true, "output_mode": "content"}), "T1552.001"),
        ("Grep", json!({"pattern": ".", "path": "infra", "output_mode": "content"}), "T1552.001"),
        ("Read", json!({"file_path": "/work/app/infra/domains.env.bak"}), "T1552.001"),
        ("Grep", json!({"pattern": "API_KEY", "glob": "*.rs"}), ""),
        ("Grep", json!({"pattern": "fn main", "type": "rust"}), ""),
        ("Grep", json!({"pattern": ".", "path": ".env"}), "T1552.001"),
        ("grep_search", json!({"query": "sk-ant-", "include_pattern": "*.yaml"}), "T1552.001"),
        ("web_search", json!({"query": "railway api token password"}), ""),
        ("WebFetch", json!({"url": "https://docs.rs/serde", "prompt": "read"}), ""),
        ("fetch", json!({"url": "http://169.254.169.254/latest/meta-data/"}), "T1552.005"),
        ("fetch", json!({"url": "file:///proc/self/environ"}), "T1552"),
        ("shell", json!({"command": ["bash", "-lc", "cat .env"]}), "T1552.001"),
        ("shell", json!({"command": ["cat", ".env"], "workdir": "/app"}), "T1552.001"),
        (
            "shell",
            json!({"command": ["cat", "credentials"], "workdir": "/home/dev/.aws"}),
            "T1552.001",
        ),
        ("local_shell", json!({"action": {"type": "exec", "command": ["printenv"]}}), "T1552"),
        ("shell_call", json!({"action": {"commands": ["ls", "cat .env"]}}), "T1552.001"),
        ("run_terminal_cmd", json!({"command": "cat .env", "is_background": false}), "T1552.001"),
        ("execute_command", json!({"cmd": "printenv"}), "T1552"),
        ("bash", json!("cat .env"), "T1552.001"),
        ("python", json!("print(open('.env').read())"), "T1552.001"),
        (
            "code_interpreter",
            json!({"code": "import os\nprint(os.environ['RAILWAY_TOKEN'])"}),
            "T1552",
        ),
        ("code_interpreter", json!({"code": "import numpy as np\nprint(np.zeros((3, 3)))"}), ""),
        ("whatever", json!({"command": "cat .env"}), "T1552.001"),
        ("whatever", json!({"script": "env"}), "T1552"),
        ("whatever", json!({"path": "/root/.netrc"}), "T1552.001"),
        ("whatever", json!({"text": "cat .env"}), ""),
        ("TodoWrite", json!({"todos": [{"content": "cat .env"}]}), ""),
        ("Task", json!({"prompt": "read .env", "description": "x"}), ""),
        (
            "multi_tool_use.parallel",
            json!({"tool_uses": [
                {"recipient_name": "functions.ls", "parameters": {}},
                {"recipient_name": "functions.bash", "parameters": {"command": "cat .env"}},
            ]}),
            "T1552.001",
        ),
        (
            "Batch",
            json!({"description": "x", "invocations": [
                {"tool_name": "Read", "input": {"file_path": "infra/domains.env"}},
            ]}),
            "T1552.001",
        ),
        (
            "batch",
            json!({"tool_calls": [{"tool": "read", "parameters": {"filePath": "/app/.env"}}]}),
            "T1552.001",
        ),
        (
            "use_mcp_tool",
            json!({"server_name": "s", "tool_name": "bash", "arguments": "{\"command\":\"env\"}"}),
            "T1552",
        ),
        (
            "anything",
            json!({"calls": [{"id": "1", "function": {"name": "bash", "arguments": "{\"command\":\"env\"}"}}]}),
            "T1552",
        ),
        ("Bash", json!({"args": {"command": "cat .env"}}), "T1552.001"),
        ("whatever", json!({"input": {"params": {"command": "cat .env"}}}), "T1552.001"),
        ("whatever", json!({"arguments": "{\"command\":\"cat .env\"}"}), "T1552.001"),
        ("run", json!({"command": "cat", "args": ["infra/x.env"]}), "T1552.001"),
        ("spawn", json!({"program": "cat", "args": ["-n", "x.env"]}), "T1552.001"),
        ("spawn", json!({"executable": "bash", "arguments": ["-c", "cat x.env"]}), "T1552.001"),
        ("spawn", json!({"command": "cat", "args": ["README.md"]}), ""),
        ("whatever", json!({"cmdline": "cat x.env"}), "T1552.001"),
        ("read_files", json!({"files": [{"name": "a.md"}, {"name": "x.env"}]}), "T1552.001"),
        ("read_files", json!({"filePaths": ["x.env"]}), "T1552.001"),
        ("tmux_send_keys", json!({"session": "a", "keys": "cat x.env\n"}), "T1552.001"),
        ("editor_open", json!({"path": "x.env"}), "T1552.001"),
        ("computer", json!({"action": "type", "text": "cat x.env\n"}), "T1552.001"),
        ("computer", json!({"action": "screenshot"}), ""),
        ("Bash", json!({"what_to_run": "cat x.env", "description": "x"}), "T1552.001"),
        ("Bash", json!({"description": "env", "session_name": "env"}), ""),
        ("Bash", json!({"command": "ls", "description": "printenv"}), ""),
        ("shell", json!({"commands": many("cat x.env")}), "T1552.001"),
        ("shell", json!({"commands": many("ls")}), ""),
        ("TodoWrite", json!({"todos": [{"name": "env", "content": "env"}]}), ""),
        ("Bash", json!(null), ""),
        ("Bash", json!({"command": 7}), ""),
    ];
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(tool, input, expected)| {
            let found = of_call(tool, input).discovery;
            let found = found.as_ref().map_or("", |found| found.technique.as_str());
            (found != *expected).then(|| format!("{tool} {input}: {found:?}, not {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn tools_that_call_and_tools_that_query() {
    let intent =
        of_call("http_request", &json!({"url": "https://a.example/v/1", "method": "delete"}));
    assert_eq!(
        intent.calls.first().map(|call| (&*call.method, &*call.url)),
        Some(("DELETE", "https://a.example/v/1"))
    );
    assert_eq!(
        intent.destructive.map(|one| one.what).as_deref(),
        Some("DELETE https://a.example/v/1")
    );
    let intent = of_call("mcp__postgres__query", &json!({"sql": "DROP TABLE users"}));
    assert!(intent.destructive.is_some());
    let intent = of_call("mcp__postgres__query", &json!({"sql": "SELECT 1"}));
    assert!(intent.destructive.is_none());
}

/// More commands than are read each by itself, and one behind them.
fn many(last: &str) -> Vec<String> {
    let plain = (0..300).map(|number| format!("echo {number}"));
    plain.chain([last.to_owned()]).collect()
}

#[test]
fn calls_in_calls_are_bounded_and_what_is_left_is_told() {
    let use_of = |number| json!({"name": "bash", "input": {"command": format!("echo {number}")}});
    let uses: Vec<Value> = (0..200).map(use_of).collect();
    assert!(of_call("Batch", &json!({ "invocations": uses })).unread.is_none());
    let uses: Vec<Value> = (0..2_000).map(use_of).collect();
    assert!(of_call("Batch", &json!({ "invocations": uses })).unread.is_some());
    let mut deep = json!({"command": "cat .env"});
    for _ in 0..3 {
        deep = json!({ "args": deep });
    }
    assert!(of_call("Bash", &deep).discovery.is_some());
    for _ in 0..50 {
        deep = json!({ "args": deep });
    }
    assert!(of_call("Bash", &deep).unread.is_some());
}
