//! The Python client's own tests, against the binary.

use super::{gate, socket};
use crate::support::APPROVER_TOKEN;
use std::path::Path;
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_is_told_what_the_listener_says() {
    let gate = gate(|policy| policy).await;
    let client = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/python");
    let output = Command::new("python3")
        .current_dir(&client)
        .args(["-B", "-m", "unittest", "discover", "-s", "tests", "-t", "."])
        .env("HOLDGATE_TOOL_CALLS", format!("unix:{}", socket(&gate).display()))
        .env("HOLDGATE_BINARY", env!("CARGO_BIN_EXE_holdgate"))
        .env("HOLDGATE_POLICY", gate.policy_path())
        .env("HOLDGATE_APPROVER_TOKEN", APPROVER_TOKEN)
        .env_remove("HOLDGATE_AGENT")
        .env_remove("HOLDGATE_AGENT_TOKEN")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    // A folder in which nothing is found is no success.
    assert!(said.contains("Ran 9 tests") && said.trim_end().ends_with("OK"), "{said}");
}
