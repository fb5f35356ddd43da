//! `holdgate sessions`: the timeline of an agent, and what a person does to it.

use crate::support::mock::{
    Options, PRODUCTION_VOLUME, PROJECT, STAGING_ENVIRONMENT, STAGING_TOKEN, STAGING_VOLUME,
};
use crate::support::policy::Edit;
use crate::support::{FOREIGN, Gate};
use serde_json::{Value, json};

const AGENT: &str = "staging-fixer";

fn said(gate: &Gate, arguments: &[&str]) -> String {
    let output = gate.holdgate(&[&["sessions"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

async fn gate() -> Gate {
    let sequence = "  - name: told\n    within: 30m\n    \
                    steps: [foreign_credential, authentication_failure, irreversible]\n    \
                    then: notify\n";
    Gate::with(Options::default(), |policy| {
        Edit(policy)
            .replace("\nsequences:\n", &format!("\nsequences:\n{sequence}"))
            .replace("  wait: 20s\n", "  wait: 100ms\n")
            .0
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_shown_as_a_timeline() {
    let mut gate = gate().await;
    assert!(said(&gate, &["list"]).contains("staging-fixer, at large, 0 stages"));
    assert!(said(&gate, &["show", AGENT]).contains("it went through no stage"));
    assert_eq!(gate.delete_volume(FOREIGN, PRODUCTION_VOLUME).reason(), "foreign_credential");
    assert_eq!(gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME).verdict(), "hold");
    let shown = said(&gate, &["show", AGENT]);
    let at = |word: &str| shown.find(word).unwrap_or_else(|| panic!("{word}: {shown}"));
    assert!(at("foreign_credential") < at("irreversible"), "{shown}");
    assert!(shown.contains("mutation volumeDelete") && !shown.contains(FOREIGN), "{shown}");
    let told: Value = serde_json::from_str(&said(&gate, &["show", AGENT, "--json"])).unwrap();
    assert_eq!(told["stages"][0]["stage"], "foreign_credential", "{told}");
    let explained = said(&gate, &["explain", AGENT]);
    for line in [
        "told: 1 of 3 steps within 30 min, then: notify",
        "met   foreign_credential by",
        "next  authentication_failure",
    ] {
        assert!(explained.contains(line), "{line}: {explained}");
    }
    // A restart takes nothing back, nor does it forget that it was told to forget.
    gate.drain();
    gate.serve();
    assert!(said(&gate, &["explain", AGENT]).contains("told: 1 of 3 steps"));
    said(&gate, &["reset", AGENT]);
    for restarted in [false, true] {
        if restarted {
            gate.drain();
            gate.serve();
        }
        assert!(said(&gate, &["show", AGENT]).contains("it went through no stage"));
        assert!(said(&gate, &["explain", AGENT]).contains("told: 0 of 3 steps"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_stops_an_agent_and_lets_it_go_on() {
    let mut gate = gate().await;
    let held = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    assert_eq!(held.verdict(), "hold");
    said(&gate, &["quarantine", AGENT, "--reason", "it behaves oddly"]);
    let read = || gate.curl(&["https://docs.railway.com/x"]);
    assert_eq!(read().reason(), "quarantined");
    assert!(said(&gate, &["list"]).contains("in quarantine: it behaves oddly"));
    assert!(gate.waiting().is_empty(), "what it waited for is taken back");
    gate.kill();
    gate.serve();
    assert_eq!(gate.curl(&["https://docs.railway.com/x"]).reason(), "quarantined");
    // Forgetting where it went does not let it go on.
    said(&gate, &["reset", AGENT]);
    assert_eq!(gate.curl(&["https://docs.railway.com/x"]).reason(), "quarantined");
    said(&gate, &["release", AGENT]);
    assert_eq!(gate.curl(&["https://docs.railway.com/x"]).status, 200);
    let done: Vec<(String, String)> = gate
        .records()
        .iter()
        .filter(|record| record["kind"] == "session" && !record["approver"].is_null())
        .map(|record| {
            let text = |key: &str| record[key].as_str().unwrap().to_owned();
            (text("approver"), text("detail"))
        })
        .collect();
    let expected = ["put in quarantine: it behaves oddly", "its stages were forgotten", "released"];
    let told: Vec<&str> = done.iter().map(|(_, detail)| detail.as_str()).collect();
    assert_eq!(told, expected, "{done:?}");
    assert!(done.iter().all(|(approver, _)| approver == "alice"), "{done:?}");
    let nobody = gate.holdgate(&["sessions", "quarantine", "nobody"]);
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    assert!(gate.mock.deletions().is_empty());
}

/// What an answer shows is a stage once it has come.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_an_answer_hands_out_are_a_stage() {
    let gate = gate().await;
    let document = format!(
        "query {{ variables(projectId: \"{PROJECT}\", environmentId: \"{STAGING_ENVIRONMENT}\") }}"
    );
    let ask = || gate.graphql(STAGING_TOKEN, &json!({ "query": document }));
    let held = ask();
    assert_eq!((held.verdict(), held.reason()), ("hold".to_owned(), "credential_read".to_owned()));
    assert!(!said(&gate, &["show", AGENT]).contains("secret_handed_out"), "nothing came yet");
    gate.approve(held.json()["hold"]["id"].as_str().unwrap());
    assert_eq!(ask().status, 200);
    let shown = said(&gate, &["show", AGENT]);
    assert!(shown.contains("secret_handed_out") && shown.contains("query variables"), "{shown}");
}
