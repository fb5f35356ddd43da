//! Calls that wait for a person: handed back, approved, denied, redeemed once, whoever races.

mod crash;
mod policy;

use crate::support::client::{Client, full};
use crate::support::mock::{Options, PRODUCTION_VOLUME, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::policy::Edit;
use crate::support::{APPROVER_TOKEN, Answer, Gate, delete_volume, sha256, until};
use serde_json::{Value, json};
use std::process::Child;
use tokio::task::JoinSet;

const BOB_TOKEN: &str = "bob-approves-with-that";
const GRAPHQL: &str = "https://backboard.railway.com/graphql/v2";
const UNDECLARED: &str = "dddddddd-0000-4000-8000-00000000ffff";

/// A gate that hands a held call back soon.
async fn soon(change: impl FnOnce(Edit) -> Edit) -> Gate {
    Gate::with(Options::default(), |policy| {
        change(Edit(policy).replace("  wait: 20s\n", "  wait: 100ms\n")).0
    })
    .await
}

/// Two people, and both have to agree to what cannot be undone.
fn two_approvers(policy: Edit) -> Edit {
    let bob = format!(
        "approvers:\n    bob: {{ token_hash: \"sha256:{}\" }}\n",
        sha256(BOB_TOKEN.as_bytes())
    );
    policy
        .replace("approvers:\n", &bob)
        .replace("\nholds:\n", "\nholds:\n  irreversible: { approvals: 2 }\n")
}

/// A deletion on its way.
fn deleting(gate: &Gate) -> Child {
    let body = delete_volume(STAGING_VOLUME).to_string();
    let authorization = format!("Authorization: Bearer {STAGING_TOKEN}");
    gate.curl_command(&[GRAPHQL, "-H", &authorization, "-d", &body]).spawn().unwrap()
}

fn answered(child: Child) -> Answer {
    Answer::of(&child.wait_with_output().unwrap())
}

/// `holdgate approvals WORD ID` as a person.
fn answer(gate: &Gate, token: &str, word: &str, id: &str) -> std::process::Output {
    std::process::Command::new(env!("CARGO_BIN_EXE_holdgate"))
        .current_dir(gate.folder.path())
        .args(["approvals", word, id, "--json"])
        .env("HOLDGATE_APPROVER_TOKEN", token)
        .env_remove("HOLDGATE_POLICY")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap()
}

/// A hold as approvers see it.
fn shown(gate: &Gate, id: &str) -> Value {
    let output = gate.holdgate(&["approvals", "show", id, "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn hold_of(answer: &Answer) -> (String, String) {
    let hold = &answer.json()["hold"];
    let text = |key: &str| hold[key].as_str().unwrap_or_default().to_owned();
    (text("id"), text("state"))
}

/// M-02.
#[tokio::test(flavor = "multi_thread")]
async fn of_twenty_identical_calls_one_is_sent() {
    let gate = Gate::start().await;
    let calls: Vec<Child> = (0..20).map(|_| deleting(&gate)).collect();
    let id = gate.wait_for_hold();
    // All wait on the same hold before it is approved.
    until("twenty that wait", || {
        let held = gate.records().iter().filter(|r| r["verdict"] == "hold").count();
        (held == 20).then_some(())
    });
    assert_eq!((gate.waiting().len(), gate.mock.bytes_received()), (1, 0));
    gate.approve(&id);
    let answers: Vec<Answer> = calls.into_iter().map(answered).collect();
    let (sent, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|a| a.status == 200);
    assert_eq!((sent.len(), refused.len()), (1, 19), "{answers:?}");
    assert_eq!(sent[0].json()["data"]["volumeDelete"], true);
    for answer in refused {
        assert_eq!(answer.status, 403, "{answer:?}");
        assert_eq!(hold_of(answer), (id.clone(), "redeemed".to_owned()), "{answer:?}");
    }
    assert_eq!(gate.mock.deletions(), [STAGING_VOLUME]);
    assert_eq!(gate.mock.requests().len(), 1);
    // The approval is spent: the same call asks again.
    let again = deleting(&gate);
    assert_ne!(gate.wait_for_hold(), id);
    drop(gate);
    drop(answered(again));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_is_handed_back_and_redeemed_by_the_same_call() {
    let gate = soon(|policy| policy).await;
    let first = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    assert_eq!((first.status, &*first.verdict()), (403, "hold"), "{first:?}");
    assert!(first.head.contains("retry-after: "), "{first:?}");
    let (id, state) = hold_of(&first);
    assert_eq!(state, "waiting");
    assert!(first.json()["detail"].as_str().unwrap().contains(&id), "{first:?}");
    // Until then nothing else that it says makes a difference to what it is.
    let query = format!("mutation {{ volumeDelete(volumeId: \"{STAGING_VOLUME}\") }}");
    let same = [
        format!("{{\"query\":\"{}\"}}", query.replace('"', "\\\"")),
        format!("{{ \"variables\" : null ,\n \"query\" : \"{}\" }}", query.replace('"', "\\\"")),
        format!("{{\"query\":\"{}\"}}", query.replace('"', "\\u0022")),
    ];
    let authorization = format!("Authorization: Bearer {STAGING_TOKEN}");
    for (number, body) in same.iter().enumerate() {
        let agent = format!("agent/{number}");
        let trace = format!("traceparent: 00-{number:032}-0000000000000001-01");
        let retry = gate.curl(&[
            GRAPHQL,
            "-A",
            &agent,
            "-H",
            &trace,
            "-H",
            &authorization,
            "-H",
            &format!("Idempotency-Key: {number}"),
            "-d",
            body,
        ]);
        assert_eq!(hold_of(&retry), (id.clone(), "waiting".to_owned()), "{body}: {retry:?}");
    }
    // What it means is another matter.
    let others = [
        (STAGING_TOKEN, delete_volume(UNDECLARED)),
        (
            STAGING_TOKEN,
            json!({ "query": format!("mutation {{ volumeDelete(volumeId: \"{STAGING_VOLUME}\") __typename }}") }),
        ),
        (
            STAGING_TOKEN,
            json!({ "query": query, "extensions": { "persistedQuery": { "version": 1 } } }),
        ),
    ];
    let mut ids = vec![id.clone()];
    for (token, body) in others {
        let other = gate.graphql(token, &body);
        assert_eq!(other.verdict(), "hold", "{body}: {other:?}");
        ids.push(hold_of(&other).0);
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "{ids:?}");
    assert_eq!(gate.mock.bytes_received(), 0);
    gate.approve(&id);
    let done = gate.curl(&[GRAPHQL, "-H", &authorization, "-d", &same[1]]);
    assert_eq!((done.status, &done.json()["data"]["volumeDelete"]), (200, &json!(true)));
    assert_eq!(gate.mock.deletions(), [STAGING_VOLUME]);
    // What was sent is what was said, byte for byte.
    assert_eq!(gate.mock.requests()[0].body, same[1].as_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plain_call_is_the_same_by_what_its_json_means() {
    let gate = soon(|policy| policy).await;
    let url = "https://api.staging.railway.app/volumes/7";
    let hold = |kind: &str, body: &str| {
        let kind = format!("Content-Type: {kind}");
        let answer = gate.curl(&["-X", "DELETE", url, "-H", &kind, "-d", body]);
        assert_eq!(answer.verdict(), "hold", "{kind} {body}: {answer:?}");
        hold_of(&answer).0
    };
    let first = hold("application/json", r#"{"force":true,"ids":[1,2]}"#);
    assert_eq!(hold("application/json", r#"{ "ids": [1, 2], "force": true }"#), first);
    let others = [
        ("application/json", r#"{"force":true,"ids":[2,1]}"#),
        ("application/json", r#"{"force":"true","ids":[1,2]}"#),
        // Two spellings of a number may be two numbers to the server.
        ("application/json", r#"{"force":true,"ids":[1.0,2]}"#),
        ("text/plain", r#"{"force":true,"ids":[1,2]}"#),
        ("text/plain", r#"{ "force":true,"ids":[1,2]}"#),
    ];
    let mut ids: Vec<String> = others.map(|(kind, body)| hold(kind, body)).to_vec();
    ids.push(first);
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 6, "{ids:?}");
    assert_eq!(gate.mock.bytes_received(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_call_and_its_retries_are_told_so() {
    let gate = Gate::start().await;
    let call = deleting(&gate);
    let id = gate.wait_for_hold();
    assert!(answer(&gate, APPROVER_TOKEN, "deny", &id).status.success());
    let told = answered(call);
    assert_eq!((told.status, hold_of(&told)), (403, (id.clone(), "denied".to_owned())));
    assert_eq!((&*told.verdict(), &*told.reason()), ("deny", "destructive"), "{told:?}");
    assert!(!told.head.contains("retry-after"), "{told:?}");
    // Nobody is asked again.
    for _ in 0..3 {
        let retry = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
        assert_eq!(hold_of(&retry), (id.clone(), "denied".to_owned()), "{retry:?}");
    }
    assert!(gate.waiting().is_empty());
    let late = answer(&gate, APPROVER_TOKEN, "approve", &id);
    assert_eq!(late.status.code(), Some(1), "{late:?}");
    assert_eq!(gate.mock.bytes_received(), 0);
    assert!(gate.mock.volume_exists(STAGING_VOLUME));
}

/// M-20, M-21.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_answers_expires() {
    let gate = soon(|policy| policy.replace("\nholds:\n", "\nholds:\n  expire: 2s\n")).await;
    let (id, _) = hold_of(&gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME));
    until("the hold expires", || (shown(&gate, &id)["state"] == "expired").then_some(()));
    assert_eq!(answer(&gate, APPROVER_TOKEN, "approve", &id).status.code(), Some(1));
    let (next, state) = hold_of(&gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME));
    assert_ne!((&*next, &*state), (&*id, "expired"), "a retry asks anew");
    assert_eq!(gate.mock.bytes_received(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_that_nobody_uses_lapses() {
    let gate = soon(|policy| policy.replace("\nholds:\n", "\nholds:\n  redeem: 1s\n")).await;
    let (id, _) = hold_of(&gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME));
    gate.approve(&id);
    until("the approval lapses", || (shown(&gate, &id)["state"] == "lapsed").then_some(()));
    let retry = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    assert_eq!((retry.status, hold_of(&retry).1.as_str()), (403, "waiting"), "{retry:?}");
    assert_ne!(hold_of(&retry).0, id);
    assert_eq!(gate.mock.bytes_received(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_are_two_people() {
    let gate = soon(two_approvers).await;
    let (id, _) = hold_of(&gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME));
    assert_eq!(shown(&gate, &id)["needed"], 2);
    assert!(answer(&gate, APPROVER_TOKEN, "approve", &id).status.success());
    assert_eq!(answer(&gate, APPROVER_TOKEN, "approve", &id).status.code(), Some(1));
    let retry = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    assert_eq!(hold_of(&retry), (id.clone(), "waiting".to_owned()));
    assert_eq!(gate.mock.bytes_received(), 0, "one of two is not enough");
    assert!(answer(&gate, BOB_TOKEN, "approve", &id).status.success());
    assert_eq!(gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME).status, 200);
    assert_eq!(gate.mock.deletions(), [STAGING_VOLUME]);
    let approvers: Vec<String> = gate
        .records()
        .iter()
        .filter(|record| record["kind"] == "approval")
        .map(|record| record["approver"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(approvers, ["alice", "bob"]);
}

/// M-17.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_who_disagree_at_once_one_is_heard() {
    let gate =
        soon(|policy| two_approvers(policy).replace("  irreversible: { approvals: 2 }\n", ""))
            .await;
    let mut sent = 0;
    for _ in 0..6 {
        let (id, state) = hold_of(&gate.graphql(STAGING_TOKEN, &delete_volume(UNDECLARED)));
        if state == "denied" {
            break;
        }
        let (approved, denied) = std::thread::scope(|scope| {
            let approve = scope.spawn(|| answer(&gate, APPROVER_TOKEN, "approve", &id));
            let deny = scope.spawn(|| answer(&gate, BOB_TOKEN, "deny", &id));
            (approve.join().unwrap().status.success(), deny.join().unwrap().status.success())
        });
        assert!(approved ^ denied, "{approved} {denied}");
        let state = shown(&gate, &id)["state"].clone();
        assert_eq!(state, if approved { "approved" } else { "denied" });
        if approved {
            let done = gate.graphql(STAGING_TOKEN, &delete_volume(UNDECLARED));
            assert!(done.json().get("hold").is_none(), "{done:?}");
            sent += 1;
        }
        assert_eq!(gate.mock.requests().len(), sent);
    }
}

/// M-15.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_may_not_ask_without_end() {
    let gate = soon(|policy| policy.replace("\nholds:\n", "\nholds:\n  most_waiting: 3\n")).await;
    for number in 0..3 {
        let volume = format!("dddddddd-0000-4000-8000-0000000000f{number}");
        assert_eq!(gate.delete_volume(STAGING_TOKEN, &volume).verdict(), "hold");
    }
    let over = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    assert_eq!((over.status, &*over.reason()), (429, "over_limit"), "{over:?}");
    assert_eq!(gate.waiting().len(), 3);
    // One that waits already is not one more.
    let known = gate.delete_volume(STAGING_TOKEN, "dddddddd-0000-4000-8000-0000000000f0");
    assert_eq!(known.verdict(), "hold", "{known:?}");
    assert_eq!(gate.mock.bytes_received(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_http2_stream_waits_alone_and_an_http1_connection_waits_in_line() {
    let gate = Gate::start().await;
    let host = "backboard.railway.com";
    let request = |client: &Client, body: &Value| {
        client
            .request("POST", "/graphql/v2")
            .header("authorization", format!("Bearer {STAGING_TOKEN}"))
            .header("content-type", "application/json")
            .body(full(body.to_string()))
            .unwrap()
    };
    let read = json!({ "query": "{ projectToken { environmentId } }" });
    let mut client = Client::http2(gate.running(), host).await;
    let mut other = client.stream();
    let deletion = request(&client, &delete_volume(STAGING_VOLUME));
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { (client.exchange(deletion).await, client) });
    let id = gate.wait_for_hold();
    let passed = other.exchange(request(&other, &read)).await;
    assert_eq!(passed.status, 200, "{passed:?}");
    assert!(waiting.try_join_next().is_none());
    assert!(answer(&gate, APPROVER_TOKEN, "deny", &id).status.success());
    let (denied, _client) = waiting.join_next().await.unwrap().unwrap();
    assert_eq!((denied.status.as_u16(), &*denied.reason()), (403, "destructive"));
    // Over HTTP/1.1 what follows on the connection is answered after it.
    let mut old = Client::http1(gate.running(), host).await;
    let deletion = request(&old, &delete_volume(UNDECLARED));
    let following = request(&old, &read);
    let mut waiting = JoinSet::new();
    waiting.spawn(async move {
        let denied = old.exchange(deletion).await;
        (denied, old.exchange(following).await)
    });
    let id = gate.wait_for_hold();
    assert!(answer(&gate, APPROVER_TOKEN, "deny", &id).status.success());
    let (denied, passed) = waiting.join_next().await.unwrap().unwrap();
    assert_eq!((denied.status.as_u16(), passed.status.as_u16()), (403, 200));
    assert!(gate.mock.deletions().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_hands_the_hold_to_who_waits() {
    let mut gate = Gate::start().await;
    let call = deleting(&gate);
    let id = gate.wait_for_hold();
    gate.running().signal("TERM");
    let told = answered(call);
    assert_eq!((told.status, hold_of(&told)), (403, (id.clone(), "waiting".to_owned())));
    assert_eq!(gate.process.as_mut().unwrap().ended().code(), Some(0));
    gate.serve();
    // The restart changes nothing for the person or for the call.
    assert_eq!(gate.wait_for_hold(), id);
    until("who starts hears of what waits", || gate.running().log().contains(&id).then_some(()));
    gate.approve(&id);
    assert_eq!(gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME).status, 200);
    assert_eq!(gate.mock.deletions(), [STAGING_VOLUME]);
    assert!(gate.mock.volume_exists(PRODUCTION_VOLUME));
}
