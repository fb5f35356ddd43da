//! Tables of tool calls: what they are about to do, and what everyday work does not do.

mod benign;
mod calls;
mod destroying;
mod evasions;
mod grid;
mod seeking;
mod tools;

use super::{Intent, of_call};
use serde_json::json;

/// What a command in a shell is about to do.
fn shell(command: &str) -> Intent {
    of_call("Bash", &json!({"command": command}))
}

/// Commands with the number of the technique by which they look for credentials, empty for none; with
/// what each tests.
fn assert_techniques(rows: &[(&str, &str, &str)]) {
    let wrong: Vec<String> = rows
        .iter()
        .filter_map(|(tests, command, expected)| {
            let found = shell(command).discovery;
            let found = found.as_ref().map_or("", |found| found.technique.as_str());
            (found != *expected).then(|| format!("{tests}: {command}: {found:?}, not {expected:?}"))
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
