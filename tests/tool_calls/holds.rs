//! Calls that cannot be undone: they wait for a person, run once, and let no request pass.

use super::{asked, bash, curl, gate, stages, verdict};
use crate::support::mock::{STAGING_TOKEN, STAGING_VOLUME};
use crate::support::{Gate, until};
use serde_json::{Value, json};

const WIPE: &str = "rm -rf ~";

fn held(gate: &Gate, call: &Value) -> String {
    let told = asked(gate, call);
    assert_eq!(verdict(&told), ("hold", "destructive"), "{told}");
    let id = told["hold"]["id"].as_str().unwrap().to_owned();
    assert!(told["message"].as_str().unwrap().contains(&id), "{told}");
    id
}

fn shown(gate: &Gate, id: &str, json: &[&str]) -> String {
    let output = gate.holdgate(&[&["approvals", "show", id], json].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approved_call_runs_once() {
    let gate = gate(|policy| policy).await;
    asked(&gate, &bash("printenv"));
    let id = held(&gate, &bash(WIPE));
    // The same call, whatever it is called this time, waits on the same hold; another has its own.
    let again = json!({ "tool": "Bash", "input": { "command": WIPE, "description": "tidy up" }, "call": "toolu_2" });
    assert_eq!(held(&gate, &again), id);
    assert_ne!(held(&gate, &bash("rm -rf ~ # other")), id);
    let card = shown(&gate, &id, &[]);
    for part in [
        "tool call",
        "Bash",
        "command: rm -rf ~",
        "irreversible",
        "credential_discovery by `Bash: printenv`",
    ] {
        assert!(card.contains(part), "{part}: {card}");
    }
    gate.approve(&id);
    let told = asked(&gate, &again);
    assert_eq!(verdict(&told), ("allow", ""), "{told}");
    // It is spent.
    assert_ne!(held(&gate, &again), id);
    let redeemed = gate
        .records()
        .into_iter()
        .filter(|record| record["verdict"] == "allow" && record["hold"] == *id);
    assert_eq!(redeemed.count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_waits_is_answered_once_a_person_has() {
    for (word, verdict) in [("approve", "allow"), ("deny", "deny")] {
        let gate = gate(|policy| policy.replace("  wait: 100ms\n", "  wait: 20s\n")).await;
        let told = std::thread::scope(|scope| {
            let waits = scope.spawn(|| asked(&gate, &bash(WIPE)));
            let id = gate.wait_for_hold();
            let output = gate.holdgate(&["approvals", word, &id]);
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            waits.join().unwrap()
        });
        assert_eq!(told["verdict"], verdict, "{told}");
        if word == "deny" {
            // It stays denied for as long as it could have been approved.
            let again = asked(&gate, &bash(WIPE));
            assert_eq!(
                (&again["verdict"], &again["hold"]["state"]),
                (&json!("deny"), &json!("denied")),
                "{again}"
            );
        }
    }
}

/// What a person said of a command is not said of the request that it makes, and the other way round.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_approved_here_no_request_can_redeem() {
    let gate = gate(|policy| policy).await;
    let query = format!("mutation {{ volumeDelete(volumeId: \"{STAGING_VOLUME}\") }}");
    let body = json!({ "query": query }).to_string();
    let call = json!({ "tool": "http", "input": { "method": "POST", "url": "https://backboard.railway.com/graphql/v2", "body": body } });
    let id = held(&gate, &call);
    gate.approve(&id);
    let sent = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    assert_eq!((sent.status, &*sent.verdict()), (403, "hold"), "{sent:?}");
    let own = sent.json()["hold"]["id"].as_str().unwrap().to_owned();
    assert_ne!(own, id);
    assert_eq!((gate.mock.bytes_received(), gate.mock.deletions().len()), (0, 0));
    // The tool may run, and its request waits for an answer of its own.
    assert_eq!(verdict(&asked(&gate, &call)), ("allow", ""));
    let sent = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    assert_eq!((&*sent.verdict(), &sent.json()["hold"]["id"]), ("hold", &json!(own)), "{sent:?}");
    // An approval of the request is none of the tool's next call either.
    gate.approve(&own);
    assert_ne!(held(&gate, &call), own);
    assert_eq!(gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME).status, 200);
    assert_eq!(gate.mock.deletions(), [STAGING_VOLUME]);
}

/// While its agent waits, and once it comes back.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_is_judged_by_the_policy_of_now() {
    for wait in ["20s", "100ms"] {
        let gate =
            gate(|policy| policy.replace("  wait: 100ms\n", &format!("  wait: {wait}\n"))).await;
        let call = bash("curl -X DELETE https://api.staging.railway.app/volumes/7");
        let narrowed = || {
            let id = gate.wait_for_hold();
            let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
            assert_eq!(policy.matches("staging-api, ").count(), 1);
            std::fs::write(gate.policy_path(), policy.replace("staging-api, ", "")).unwrap();
            gate.reload();
            gate.approve(&id);
            id
        };
        let (told, id) = if wait == "20s" {
            std::thread::scope(|scope| {
                let waits = scope.spawn(|| asked(&gate, &call));
                let id = narrowed();
                (waits.join().unwrap(), id)
            })
        } else {
            held(&gate, &call);
            let id = narrowed();
            (asked(&gate, &call), id)
        };
        assert_eq!(verdict(&told), ("deny", "out_of_scope"), "{wait}: {told}");
        let state: Value = serde_json::from_str(&shown(&gate, &id, &["--json"])).unwrap();
        assert_ne!(state["state"], "redeemed", "{state}");
    }
}

/// It hangs up while a person thinks: the hold stands, and the retry redeems it.
#[tokio::test(flavor = "multi_thread")]
async fn a_hold_outlives_who_asked_and_the_process() {
    let mut gate = gate(|policy| policy.replace("  wait: 100ms\n", "  wait: 20s\n")).await;
    let told = curl(&gate, &["-d", &bash(WIPE).to_string(), "--max-time", "1"]);
    assert_eq!(told.status, 0, "{told:?}");
    let id = gate.wait_for_hold();
    gate.kill();
    gate.serve();
    gate.approve(&id);
    assert_eq!(verdict(&asked(&gate, &bash(WIPE))), ("allow", ""));
    until("the stages are kept", || {
        stages(&gate)
            .iter()
            .any(|(stage, what)| stage == "irreversible" && what == "Bash: rm -rf ~")
            .then_some(())
    });
}

/// A sequence of two acts that cannot be undone.
const TWICE: &str = "
sequences:
  - { name: twice, within: 30m, steps: [irreversible, irreversible], then: quarantine }
";

/// Asking again is no second act, however it is described, and neither is the request that was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn one_act_is_one_step_of_a_sequence() {
    let query = format!("mutation {{ volumeDelete(volumeId: \"{STAGING_VOLUME}\") }}");
    let body = json!({ "query": query }).to_string();
    let delete = json!({ "tool": "http", "input": { "method": "POST", "url": "https://backboard.railway.com/graphql/v2", "body": body } });
    let described =
        |why: &str| json!({ "tool": "Bash", "input": { "command": WIPE, "description": why } });
    for (call, again) in [(described("tidy up"), described("make room")), (delete.clone(), delete)]
    {
        let gate = gate(|policy| policy.replace("\nsequences:\n", TWICE)).await;
        let id = held(&gate, &call);
        for _ in 0..3 {
            assert_eq!(held(&gate, &again), id, "{again}");
        }
        if call["tool"] == "http" {
            let sent = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
            assert_eq!(sent.verdict(), "hold", "{sent:?}");
        }
        // Another act is the second.
        let told = asked(&gate, &bash("rm -rf /srv"));
        assert_eq!(verdict(&told), ("deny", "quarantined"), "{call}: {told}");
    }
}

/// A person is shown all that they answer for, and the gravest of it first.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_person_cannot_read_is_not_put_before_them() {
    let gate = gate(|policy| policy).await;
    let mut lines = vec!["terraform destroy -target=null_resource.scratch".to_owned()];
    lines.extend((0..30).map(|number| format!("echo step {number}")));
    lines.push(format!("echo {}; rm -rf /", "x".repeat(400)));
    let id = held(&gate, &bash(&lines.join("\n")));
    let card = shown(&gate, &id, &[]);
    let operations: Vec<&str> =
        card.lines().filter(|line| line.trim_start().starts_with("operation ")).collect();
    assert_eq!(operations.len(), 2, "{card}");
    assert!(operations.iter().any(|line| line.contains("rm -rf / (")), "{card}");
    assert!(card.contains("; rm -rf /") && card.contains("echo step 29"), "{card}");
    assert!(!card.contains("not shown"), "{card}");
    lines.extend((0..100).map(|number| format!("echo step {number}")));
    let hidden = "mysql --password x;rm${IFS}-rf${IFS}/; rm -rf /";
    for command in [&*lines.join("\n"), hidden] {
        let told = asked(&gate, &bash(command));
        assert_eq!(verdict(&told), ("deny", "unreadable"), "{told}");
        assert!(told["message"].as_str().unwrap().contains("smaller steps"), "{told}");
    }
    assert_eq!(gate.waiting().len(), 1);
    // What needs nobody's consent may be as long as it likes.
    assert_eq!(verdict(&asked(&gate, &bash(&"echo x\n".repeat(300)))), ("allow", ""));
}
