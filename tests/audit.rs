//! The audit log of the built binary: what it says, when it says it, and that nothing else stands in it.

mod secrets;
mod tamper;

use crate::support::client::{Client, full, read};
use crate::support::mock::{Options, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::origin::{Identity, Origin, text};
use crate::support::policy::Edit;
use crate::support::{FOREIGN, Gate, holdgate, until};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::task::JoinSet;

const DEPLOYMENTS: &str = "https://api.staging.railway.app/deployments";
const DOCS: &str = "https://docs.railway.com/";
const GRAPHQL: &str = "https://backboard.railway.com/graphql/v2";

/// Where the log of a gate is.
fn folder(gate: &Gate) -> PathBuf {
    gate.folder.path().join("state/audit")
}

/// The files of the log, oldest first.
fn files(folder: &Path) -> Vec<PathBuf> {
    let items = std::fs::read_dir(folder).unwrap().map(|item| item.unwrap().path());
    let mut files: Vec<_> = items.collect();
    files.sort();
    files
}

/// All bytes of the log as they stand there now.
fn bytes(folder: &Path) -> String {
    files(folder).iter().map(|file| std::fs::read_to_string(file).unwrap()).collect()
}

/// Ends the proxy as an operator does.
fn stop(gate: &mut Gate) {
    let mut process = gate.process.take().unwrap();
    process.signal("TERM");
    assert_eq!(process.ended().code(), Some(0), "{}", process.log());
}

/// `audit verify --json`, which has to say that the log is whole.
fn whole(folder: &Path) -> Value {
    let output = holdgate(folder, &["audit", "verify", "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(output.status.success() && said["whole"] == true, "{output:?}");
    said
}

/// A read, a foreign credential, a deletion that is approved and done, and a body nobody can read.
fn mixed(gate: &Gate) -> String {
    assert_eq!(gate.curl(&[DOCS]).status, 200);
    assert_eq!(gate.delete_volume(FOREIGN, STAGING_VOLUME).reason(), "foreign_credential");
    let hold = std::thread::scope(|scope| {
        let call = scope.spawn(|| gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME));
        let hold = gate.wait_for_hold();
        gate.approve(&hold);
        assert_eq!(call.join().unwrap().status, 200);
        hold
    });
    let authorization = format!("Authorization: Bearer {STAGING_TOKEN}");
    let answer = gate.curl(&[GRAPHQL, "-H", &authorization, "-d", "not json"]);
    assert_eq!(answer.reason(), "unreadable", "{answer:?}");
    hold
}

/// The records of a kind that belong to the request of another record.
fn following<'a>(records: &'a [Value], of: &Value, kind: &str) -> Vec<&'a Value> {
    let id = &of["request_id"];
    assert!(id.is_string(), "{of}");
    records.iter().filter(|it| it["kind"] == kind && it["request_id"] == *id).collect()
}

fn request(records: &[Value], matches: impl Fn(&Value) -> bool) -> &Value {
    let mut found = records.iter().filter(|record| record["kind"] == "request" && matches(record));
    let first = found.next().unwrap_or_else(|| panic!("not among {records:#?}"));
    assert!(found.next().is_none(), "more than one: {records:#?}");
    first
}

/// Fills the log with refusals, whose records are as large as records of long paths are.
async fn fill(gate: &Gate, count: usize) {
    let client = Client::http2(gate.running(), "docs.railway.com").await;
    let path = format!("/{}", "x".repeat(3_000));
    for _ in 0..count.div_ceil(20) {
        let mut calls = JoinSet::new();
        for _ in 0..20 {
            let (mut stream, path) = (client.stream(), path.clone());
            calls.spawn(async move { stream.post(&path, "").await.reason() });
        }
        assert!(calls.join_all().await.iter().all(|reason| reason == "scope_violation"));
    }
}

// ----- what it says -----

///
#[tokio::test(flavor = "multi_thread")]
async fn each_kind_of_record_has_its_fields() {
    let gate = Gate::start().await;
    let hold = mixed(&gate);
    let records = until("all records", || {
        let records = gate.records();
        let outcomes = records.iter().filter(|record| record["kind"] == "outcome").count();
        (outcomes == 2).then_some(records)
    });
    let mut prev = "0".repeat(64);
    for (record, seq) in records.iter().zip(1_u64..) {
        assert_eq!((&record["seq"], &record["prev"]), (&json!(seq), &json!(prev)), "{record}");
        record["hash"].as_str().unwrap().clone_into(&mut prev);
        assert!(prev.len() == 64 && prev.bytes().all(|byte| byte.is_ascii_hexdigit()));
        assert!(record["time"].as_str().unwrap().parse::<jiff::Timestamp>().is_ok(), "{record}");
    }
    assert_eq!(
        (&records[0]["kind"], &records[1]["kind"]),
        (&json!("checkpoint"), &json!("policy"))
    );
    let digest = &records[1]["policy_digest"];
    assert!(digest.as_str().unwrap().len() >= 32, "{digest}");

    let requests = records.iter().filter(|record| record["kind"] == "request");
    for record in requests.clone() {
        assert_eq!((&record["agent"], &record["policy_digest"]), (&json!("staging-fixer"), digest));
        assert!(record["session"].is_string() && record["method"].is_string(), "{record}");
    }
    // What is held is recorded as that, and again when it is sent.
    assert_eq!(requests.count(), 5, "{records:#?}");

    let docs = request(&records, |record| record["host"] == "docs.railway.com");
    assert_eq!((&docs["method"], &docs["path"]), (&json!("GET"), &json!("/")));
    assert_eq!((&docs["verdict"], &docs["reason"]), (&json!("allow"), &Value::Null));
    let foreign = request(&records, |record| record["reason"] == "foreign_credential");
    assert_eq!((&foreign["verdict"], &foreign["path"]), (&json!("deny"), &json!("/graphql/v2")));
    assert_eq!(foreign["operations"], json!(["mutation volumeDelete"]));
    let target = json!({
        "environment": "staging", "id": STAGING_VOLUME, "kind": "volume", "resource": "railway-staging",
    });
    assert_eq!(foreign["targets"], json!([target]));
    let slot = |record: &Value| {
        let credential = &record["credentials"][0];
        assert!(credential["fingerprint"].as_str().unwrap().len() >= 16, "{record}");
        (credential["slot"].clone(), credential["name"].clone())
    };
    assert_eq!(slot(foreign), (json!("header authorization"), json!("foreign")));
    let finding = &foreign["findings"][0];
    assert_eq!(
        (&finding["reason"], &finding["severity"]),
        (&foreign["reason"], &json!("critical"))
    );
    assert!(finding["technique"].as_str().unwrap().starts_with('T'), "{finding}");
    assert!(finding["evidence"].as_str().unwrap().starts_with("36 bytes, "), "{finding}");
    assert_eq!(following(&records, foreign, "outcome"), [&Value::Null; 0]);
    let unreadable = request(&records, |record| record["reason"] == "unreadable");
    assert_eq!((&unreadable["verdict"], &unreadable["host"]), (&json!("deny"), &foreign["host"]));
    assert_eq!(following(&records, unreadable, "outcome"), [&Value::Null; 0]);

    let redeemed = request(&records, |record| record["detail"] == "redeemed an approved hold");
    assert_eq!((&redeemed["verdict"], &redeemed["hold"]), (&json!("allow"), &json!(hold)));
    assert_eq!(slot(redeemed).1, "railway-staging-token");
    assert_eq!(redeemed["targets"], json!([target]));
    let held = request(&records, |record| record["verdict"] == "hold");
    for field in ["request_id", "hold", "operations", "targets", "credentials"] {
        assert_eq!(held[field], redeemed[field], "{field}");
    }
    let opened = following(&records, redeemed, "hold");
    assert!(!opened.is_empty());
    for record in opened {
        assert_eq!((&record["hold"], &record["reason"]), (&json!(hold), &json!("destructive")));
    }
    let approvals = following(&records, redeemed, "approval");
    let [approval] = approvals[..] else { panic!("{approvals:#?}") };
    assert_eq!((&approval["approver"], &approval["hold"]), (&json!("alice"), &json!(hold)));
    let order = [held, approval, redeemed].map(|record| record["seq"].as_u64().unwrap());
    assert!(order.is_sorted(), "held, approved, done: {order:?}");
    for (asked, bytes) in [(docs, 1), (redeemed, 20)] {
        let outcomes = following(&records, asked, "outcome");
        let [outcome] = outcomes[..] else { panic!("{outcomes:#?}") };
        assert_eq!(outcome["status"], 200);
        assert_eq!(outcome["address"], gate.mock.address().to_string());
        assert!(outcome["bytes"].as_u64().unwrap() >= bytes, "{outcome}");
        assert!(outcome["milliseconds"].is_u64(), "{outcome}");
    }
    assert_eq!(whole(gate.folder.path())["last"], records.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn tail_and_show_find_records() {
    let mut gate = Gate::start().await;
    let hold = mixed(&gate);
    stop(&mut gate);
    let run = |arguments: &[&str]| {
        let output = gate.holdgate(arguments);
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let records = gate.records();
    let values = |text: &str| -> Vec<Value> {
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let (code, text) = run(&["audit", "tail", "-n", "3", "--json"]);
    assert_eq!((code, &values(&text)[..]), (0, &records[records.len() - 3..]));
    let (_, text) = run(&["audit", "tail", "-n", "3"]);
    assert_eq!(text.lines().count(), 3, "{text}");
    let (_, text) = run(&["audit", "tail"]);
    for words in ["volumeDelete", "foreign_credential", "staging-fixer", "docs.railway.com/"] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let redeemed = request(&records, |record| record["detail"] == "redeemed an approved hold");
    assert_eq!(redeemed["hold"], hold);
    let id = redeemed["request_id"].as_str().unwrap();
    let (code, text) = run(&["audit", "show", id, "--json"]);
    let expected: Vec<_> =
        records.iter().filter(|record| record["request_id"] == id).cloned().collect();
    assert_eq!((code, values(&text)), (0, expected));
    let (code, text) = run(&["audit", "show", "2"]);
    assert_eq!((code, serde_json::from_str::<Value>(&text).unwrap()), (0, records[1].clone()));
    for nothing in ["r_nowhere", "999999"] {
        assert_eq!(run(&["audit", "show", nothing]), (1, String::new()));
    }
}

// ----- when it says it -----

///
#[tokio::test(flavor = "multi_thread")]
async fn the_intent_is_on_disk_when_a_write_arrives() {
    let place = Arc::new(OnceLock::<PathBuf>::new());
    let log = place.clone();
    let origin = Origin::http(Identity::named(&["origin.example"]), move |request| {
        let log = log.clone();
        async move {
            let path = format!("\"path\":\"{}\"", request.uri().path());
            let recorded = bytes(log.get().unwrap()).contains(&path);
            text(if recorded { "recorded" } else { "not recorded" })
        }
    })
    .await;
    let rules = "- allow: POST /**";
    let gate =
        Gate::with(Options::default(), |policy| origin.declared(policy, "origin.example", rules))
            .await;
    place.set(folder(&gate)).unwrap();
    let mut client = Client::http1(gate.running(), "origin.example").await;
    for number in 0..20 {
        assert_eq!(client.post(&format!("/write/{number}"), "x").await.body, "recorded");
    }
    let client = Client::http2(gate.running(), "origin.example").await;
    let mut calls = JoinSet::new();
    for number in 20..60 {
        let mut stream = client.stream();
        calls.spawn(async move { stream.post(&format!("/write/{number}"), "x").await.body });
    }
    assert!(calls.join_all().await.iter().all(|body| body == "recorded"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_leaves_the_intent_without_an_outcome() {
    let options = Options { delay: Some(Duration::from_mins(5)), ..Options::default() };
    let mut gate = Gate::with(options, |policy| policy).await;
    let mut client = Client::http1(gate.running(), "api.staging.railway.app").await;
    let asked = client.request("POST", "/deployments").body(full("{}")).unwrap();
    let mut call = JoinSet::new();
    call.spawn(async move { client.send(asked).await.is_err() });
    until("the request at the mock", || (gate.mock.requests().len() == 1).then_some(()));
    gate.kill();
    assert!(call.join_all().await[0], "nothing answers for a process that is gone");
    // The crash came in the middle of a line.
    let torn = "{\"agent\":\"staging-fixer\",\"by";
    let last = files(&folder(&gate)).pop().unwrap();
    let text = std::fs::read_to_string(&last).unwrap() + torn;
    std::fs::write(&last, text).unwrap();
    assert_eq!(gate.holdgate(&["audit", "verify"]).status.code(), Some(1), "torn is not whole");

    gate.serve();
    let records = gate.records();
    let intent = request(&records, |record| record["path"] == "/deployments");
    assert_eq!((&intent["verdict"], &intent["method"]), (&json!("allow"), &json!("POST")));
    assert_eq!(following(&records, intent, "outcome"), [&Value::Null; 0]);
    let notices = whole(gate.folder.path())["notices"].clone();
    let named = format!("cut {} bytes of a torn line", torn.len());
    let said = notices[0]["detail"].as_str().unwrap();
    assert!(notices.as_array().unwrap().len() == 1 && said.contains(&named), "{notices}");
    assert!(!bytes(&folder(&gate)).contains(torn));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_is_recorded_even_if_the_process_dies_at_once() {
    let mut gate = Gate::start().await;
    for round in 0..4 {
        let path = format!("/read/{round}");
        let http2 = round % 2 == 1;
        let mut client = Client::open(gate.running(), "docs.railway.com", http2).await;
        let asked = client.request("GET", &path).body(full("")).unwrap();
        let answer = read(client.send(asked).await.unwrap()).await;
        gate.kill();
        assert_eq!(answer.status, 200);
        gate.serve();
        let records = gate.records();
        let asked = request(&records, |record| record["path"] == path.as_str());
        let outcomes = following(&records, asked, "outcome");
        let [outcome] = outcomes[..] else { panic!("{records:#?}") };
        assert_eq!(outcome["bytes"], answer.body.len());
    }
    whole(gate.folder.path());
}

// ----- no disk, no traffic -----

/// What a probe of the approvals listener is told.
fn ready(address: SocketAddr) -> u16 {
    let url = format!("http://{address}/readyz");
    let mut command = std::process::Command::new("curl");
    command.args(["-sS", "--max-time", "30", "-o", "/dev/null", "-w", "%{http_code}", &url]);
    let output = command.env_remove("http_proxy").output().unwrap();
    String::from_utf8(output.stdout).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_leaves_and_nobody_approves_while_the_log_is_gone() {
    let gate = Gate::start().await;
    let approvals = gate.running().approvals;
    assert_eq!((gate.curl(&["-d", "{}", DEPLOYMENTS]).status, ready(approvals)), (201, 200));
    let (log, away) = (folder(&gate), gate.folder.path().join("away"));
    std::thread::scope(|scope| {
        let held = scope.spawn(|| gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME));
        let hold = gate.wait_for_hold();
        let before = gate.mock.requests().len();
        std::fs::rename(&log, &away).unwrap();
        // An empty folder in its place is no better.
        std::fs::create_dir(&log).unwrap();
        for _ in 0..3 {
            let answer = gate.curl(&["-d", "{}", DEPLOYMENTS]);
            assert_eq!((answer.status, &*answer.reason()), (403, "not_recorded"), "{answer:?}");
            let answer = gate.curl(&[DOCS]);
            assert_eq!((answer.status, &*answer.reason()), (403, "not_recorded"), "{answer:?}");
        }
        assert_eq!(ready(approvals), 503);
        let approve = gate.holdgate(&["approvals", "approve", &hold, "--reason", "test"]);
        assert_eq!(approve.status.code(), Some(1), "{approve:?}");
        // Nor does a file of the same name stand in for the records.
        let name = files(&away)[0].file_name().unwrap().to_owned();
        std::fs::write(log.join(&name), "").unwrap();
        let answer = gate.curl(&["-d", "{}", DEPLOYMENTS]);
        assert_eq!(&*answer.reason(), "not_recorded", "{answer:?}");
        assert_eq!(gate.mock.requests().len(), before, "something left without a record");
        assert_eq!(std::fs::read(log.join(&name)).unwrap(), b"");

        std::fs::remove_dir_all(&log).unwrap();
        std::fs::rename(&away, &log).unwrap();
        until("traffic", || (gate.curl(&["-d", "{}", DEPLOYMENTS]).status == 201).then_some(()));
        assert_eq!(ready(approvals), 200);
        gate.approve(&hold);
        assert_eq!(held.join().unwrap().status, 200);
    });
    assert_eq!(gate.mock.deletions(), [STAGING_VOLUME]);
    let said = whole(gate.folder.path());
    assert!(said["notices"][0]["detail"].as_str().unwrap().starts_with("recovered: "), "{said}");
}

// ----- how much it keeps -----

#[tokio::test(flavor = "multi_thread")]
async fn a_full_file_is_followed_by_another_and_old_ones_go() {
    let mut gate = Gate::with(Options::default(), |policy| {
        Edit(policy).section("audit: { rotate_mib: 1, keep_files: 3 }").0
    })
    .await;
    let count = || files(&folder(&gate)).len();
    assert_eq!(count(), 1);
    fill(&gate, 300).await;
    assert_eq!((count(), &whole(gate.folder.path())["first"]), (2, &json!(1)));
    fill(&gate, 700).await;
    assert_eq!(count(), 3, "old files go");
    for file in files(&folder(&gate)) {
        assert!(std::fs::metadata(&file).unwrap().len() < 2 << 20, "{file:?}");
    }
    stop(&mut gate);
    let said = whole(gate.folder.path());
    let (first, last) = (said["first"].as_u64().unwrap(), said["last"].as_u64().unwrap());
    assert!(first > 1 && last > 1_000 && said["files"] == 3, "{said}");
    let text = gate.holdgate(&["audit", "verify"]).stdout;
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains(&format!("records {first} to {last} in 3 files")), "{text}");
    tamper::between_files(&gate).await;
    // The chain goes on where it ended.
    gate.serve();
    assert_eq!(gate.curl(&[DOCS]).status, 200);
    assert!(whole(gate.folder.path())["last"].as_u64().unwrap() > last);
}
