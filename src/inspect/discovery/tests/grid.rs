//! Shapes of calls in the dialects of conversations: each is heard, and judged as what it is.

use super::super::of_call;
use crate::inspect::model::{Dialect, Said, read_request};
use serde_json::{Value, json};

/// A request in which a tool is called, in each dialect.
fn requests(tool: &str, input: &str) -> Vec<(Dialect, String)> {
    let text = Value::from(input);
    let tool = Value::from(tool);
    vec![
        (
            Dialect::Anthropic,
            format!(
                r#"{{"messages":[{{"content":[{{"type":"tool_use","id":"a","name":{tool},"input":{input}}}]}}]}}"#
            ),
        ),
        (
            Dialect::Batches,
            format!(
                r#"{{"requests":[{{"params":{{"messages":[{{"content":[{{"type":"tool_use","id":"a","name":{tool},"input":{input}}}]}}]}}}}]}}"#
            ),
        ),
        (
            Dialect::Chat,
            format!(
                r#"{{"messages":[{{"tool_calls":[{{"id":"a","function":{{"name":{tool},"arguments":{text}}}}}]}}]}}"#
            ),
        ),
        (
            Dialect::Responses,
            format!(
                r#"{{"input":[{{"type":"function_call","call_id":"a","name":{tool},"arguments":{text}}}]}}"#
            ),
        ),
        (
            Dialect::Interactions,
            format!(
                r#"{{"input":[{{"type":"function_call","id":"a","name":{tool},"arguments":{input}}}]}}"#
            ),
        ),
        (
            Dialect::Converse,
            format!(
                r#"{{"messages":[{{"content":[{{"toolUse":{{"toolUseId":"a","name":{tool},"input":{input}}}}}]}}]}}"#
            ),
        ),
        (
            Dialect::Gemini,
            format!(
                r#"{{"contents":[{{"parts":[{{"functionCall":{{"id":"a","name":{tool},"args":{input}}}}}]}}]}}"#
            ),
        ),
        (
            Dialect::Mcp,
            format!(
                r#"{{"id":1,"method":"tools/call","params":{{"name":{tool},"arguments":{input}}}}}"#
            ),
        ),
    ]
}

fn discoveries(dialect: Dialect, body: &str) -> Vec<String> {
    let mut found = Vec::new();
    read_request(dialect, body.as_bytes(), &mut |said| {
        if let Said::Call(call) = said {
            found.extend(of_call(&call.tool, &call.input).discovery.map(|one| one.what));
        }
    });
    found
}

#[test]
fn every_shape_is_judged_in_every_dialect() {
    let shapes: Vec<(&str, String)> = vec![
        ("Bash", json!({"command": "cat infra/x.env"}).to_string()),
        ("Bash", "{\"command\":\"cd infra\ncat x.env\"}".to_owned()),
        ("Bash", r#"{"command":"cat x.env","command":"ls"}"#.to_owned()),
        ("Bash", r#"{"command":"ls","command":"cat x.env"}"#.to_owned()),
        ("Bash", r#"{"command":"cat x.env # \ud800"}"#.to_owned()),
        ("Bash", r#""{\"command\":\"cat x.env\"}""#.to_owned()),
        ("Bash", json!({"args": {"command": "cat x.env"}}).to_string()),
        ("Bash", json!({"command": "cat", "args": ["x.env"]}).to_string()),
        ("Bash", json!({"command": "cat x.env", "note": "x".repeat(300 << 10)}).to_string()),
        (
            "multi_tool_use.parallel",
            json!({"tool_uses": [{"recipient_name": "functions.bash", "parameters": {"command": "cat x.env"}}]}).to_string(),
        ),
        ("Batch", json!({"invocations": [{"tool_name": "Read", "input": {"file_path": "x.env"}}]}).to_string()),
        ("read_files", json!({"filePaths": ["a.md", "x.env"]}).to_string()),
        ("tmux_send_keys", json!({"keys": "cat x.env\n"}).to_string()),
    ];
    let fine = json!({"command": "cargo test", "description": "run the tests"}).to_string();
    for (tool, input) in &shapes {
        for (dialect, body) in requests(tool, input) {
            let found = discoveries(dialect, &body);
            assert_eq!(found.len(), 1, "{dialect:?} {tool} {input:.100}: {found:?}");
        }
    }
    for (dialect, body) in requests("Bash", &fine) {
        assert_eq!(discoveries(dialect, &body), [""; 0], "{dialect:?}");
    }
}

/// What stands behind the input, or is missing of it, only where that is a text.
#[test]
fn texts_that_are_nearly_json_are_judged() {
    for input in [
        r#"{"command":"cat x.env"}}"#,
        r#"{"command":"cat x.env"} x"#,
        r#"{"command":"cat x.env""#,
        "cat x.env",
    ] {
        let text = Value::from(input);
        for (dialect, body) in [
            (
                Dialect::Chat,
                format!(
                    r#"{{"messages":[{{"tool_calls":[{{"id":"a","function":{{"name":"bash","arguments":{text}}}}}]}}]}}"#
                ),
            ),
            (
                Dialect::Responses,
                format!(
                    r#"{{"input":[{{"type":"function_call","call_id":"a","name":"bash","arguments":{text}}}]}}"#
                ),
            ),
        ] {
            assert_eq!(discoveries(dialect, &body).len(), 1, "{dialect:?} {input}");
        }
    }
}
