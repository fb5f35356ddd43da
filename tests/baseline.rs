//! What is usual of an agent: learned from sessions in the log, compared with what it does next, and
//! what it was allowed against what it did.

use crate::support::mock::{
    API_SERVICE, Options, PRODUCTION_VOLUME, STAGING_ENVIRONMENT, STAGING_TOKEN, STAGING_VOLUME,
};
use crate::support::policy::Edit;
use crate::support::{Answer, FOREIGN, Gate, Running, write_policy};
use serde_json::{Value, json};

const AGENT: &str = "staging-fixer";
const PROFILE: &str = "    profile: coding-agent\n";
const API: &str = "https://api.staging.railway.app/deployments";

async fn gate() -> Gate {
    Gate::with(Options::default(), |policy| {
        Edit(policy).replace("  wait: 20s\n", "  wait: 100ms\n").0
    })
    .await
}

fn said(gate: &Gate, arguments: &[&str]) -> String {
    let output = gate.holdgate(arguments);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn json_of(gate: &Gate, arguments: &[&str]) -> Value {
    serde_json::from_str(&said(gate, &[arguments, &["--json"]].concat())).unwrap()
}

fn redeploy(gate: &Gate) -> Answer {
    let document = format!(
        "mutation {{ serviceInstanceRedeploy(environmentId: \"{STAGING_ENVIRONMENT}\", serviceId: \"{API_SERVICE}\") }}"
    );
    gate.graphql(STAGING_TOKEN, &json!({ "query": document }))
}

fn environment(gate: &Gate) -> Answer {
    let document = format!("query {{ environment(id: \"{STAGING_ENVIRONMENT}\") {{ id name }} }}");
    gate.graphql(STAGING_TOKEN, &json!({ "query": document }))
}

fn page(gate: &Gate, path: &str) -> Answer {
    gate.curl(&[&format!("https://docs.railway.com/{path}")])
}

/// How many requests of a usual session pass.
const USUAL: u64 = 24;

/// Reading about something, looking at it, deploying it, and looking how it does.
fn work(gate: &Gate, session: u32) {
    for round in 0..4 {
        for answer in [
            page(gate, &format!("guides/{session}/{round}")),
            page(gate, "reference/volumes"),
            page(gate, &format!("changelog?page={round}")),
            environment(gate),
            redeploy(gate),
            gate.curl(&[API]),
        ] {
            assert_eq!(answer.status, 200, "{answer:?}");
        }
    }
}

/// The session of now.
fn session(gate: &Gate) -> String {
    let told = json_of(gate, &["sessions", "show", AGENT]);
    told["session"].as_str().unwrap().to_owned()
}

/// Ends the session by a restart.
fn next_session(gate: &mut Gate) {
    gate.drain();
    gate.serve();
}

fn post(gate: &Gate) -> Answer {
    gate.curl(&[API, "-H", "Content-Type: application/json", "-d", "{\"service\":\"api\"}"])
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_usual_passes_and_what_is_not_waits_with_its_reasons() {
    let mut gate = gate().await;
    let mut learned = Vec::new();
    for number in 0..2 {
        work(&gate, number);
        learned.push(session(&gate));
        next_session(&mut gate);
    }
    let [first, second] = learned.as_slice() else { panic!("two sessions") };
    // Refusals and what waits are never learned.
    assert_eq!(gate.delete_volume(FOREIGN, PRODUCTION_VOLUME).reason(), "foreign_credential");
    assert_eq!(gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME).verdict(), "hold");
    let refused = session(&gate);
    next_session(&mut gate);
    let learn = ["baseline", "learn", "--profile", "coding-agent"];
    let nobody = gate.holdgate(&[&learn[..], &["--session", "s_nobody"]].concat());
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
    assert!(said(&gate, &["baseline", "show"]).contains("nothing was learned"));
    let sessions = ["--session", first, "--session", second, "--session", &refused];
    let told = json_of(&gate, &[&learn[..], &sessions].concat());
    assert_eq!((&told["verified"], &told["notes"]), (&json!(true), &json!([])), "{told}");
    let rows: Vec<_> = told["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| ["requests", "held", "denied", "unread"].map(|key| row[key].as_u64().unwrap()))
        .collect();
    assert_eq!(rows, [[USUAL, 0, 0, 0], [USUAL, 0, 0, 0], [0, 1, 1, 0]], "{told}");
    // Again is not twice.
    let again = said(&gate, &[&learn[..], &["--session", first]].concat());
    assert!(again.contains("it was learned before and counts once"), "{again}");
    let profile = json_of(&gate, &["baseline", "show", "--profile", "coding-agent"]);
    let hosts = &profile["hosts"];
    assert_eq!(hosts["docs.railway.com"], json!({ "read": { "GET /**": 24 } }), "{profile}");
    let railway = json!({
        "read": { "query environment": 8 },
        "write": { "mutation serviceInstanceRedeploy": 8 },
    });
    assert_eq!(hosts["backboard.railway.com"], railway, "{profile}");
    assert_eq!(profile["order"]["start"], json!({ "read docs.railway.com": 2 }));
    let text =
        std::fs::read_to_string(gate.folder.path().join("state/baselines/coding-agent.json"));
    assert!(!text.unwrap().contains(STAGING_TOKEN));

    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let raised = Edit(policy).replace(PROFILE, &format!("{PROFILE}    raise_at: 8\n")).0;
    write_policy(gate.folder.path(), &raised);
    gate.reload();
    work(&gate, 3);
    assert!(gate.waiting().iter().all(|hold| hold["card"]["reason"] != "approval_required"));
    let surprise = &json_of(&gate, &["sessions", "show", AGENT])["surprise"];
    assert_eq!(
        (&surprise["profile"], &surprise["requests"]),
        (&json!("coding-agent"), &json!(USUAL))
    );
    let most = surprise["bits"]["most"].as_f64().unwrap();
    assert!(most < 7.0, "{surprise}");
    // The log says the same as the running process.
    let usual = session(&gate);
    let score = ["baseline", "score", "--profile", "coding-agent", "--session"];
    let scored = json_of(&gate, &[&score[..], &[&usual]].concat());
    for key in ["requests", "bits", "features", "contributions"] {
        assert_eq!(scored[key], surprise[key], "{key}");
    }

    let before = gate.mock.requests().len();
    let held = post(&gate);
    assert_eq!((&*held.verdict(), &*held.reason()), ("hold", "approval_required"), "{held:?}");
    assert!(held.json()["detail"].as_str().unwrap().contains("is unusual"), "{held:?}");
    let line = 1 + raised.lines().position(|line| line.contains("raise_at")).unwrap();
    assert_eq!(held.json()["rule"], format!("policy.yaml:{line}"));
    assert_eq!(gate.mock.requests().len(), before, "nothing has left");
    let id = held.json()["hold"]["id"].as_str().unwrap().to_owned();
    let card = json_of(&gate, &["approvals", "show", &id])["card"]["unusual"].clone();
    let lines: Vec<&str> = card.as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(lines[0].ends_with(" bits against the profile coding-agent"), "{lines:?}");
    assert!(
        lines[1].starts_with("1 write call to api.staging.railway.app, never seen, "),
        "{lines:?}"
    );
    assert_eq!(lines.len(), 4, "{lines:?}");
    let shown = said(&gate, &["approvals", "show", &id]);
    assert!(shown.contains("unusual") && lines.iter().all(|line| shown.contains(line)), "{shown}");
    let record = gate.records().into_iter().rev().find(|record| record["hold"] == id.as_str());
    let record = record.unwrap();
    assert_eq!(record["findings"][0]["evidence"], lines[0], "{record}");
    // What waits did not happen, so it does not count.
    assert_eq!(json_of(&gate, &["sessions", "show", AGENT])["surprise"]["requests"], USUAL);
    gate.approve(&id);
    assert_eq!(post(&gate).status, 201);
    assert_eq!(gate.mock.requests().len(), before + 1);
    let shown = said(&gate, &["sessions", "show", AGENT]);
    assert!(shown.contains("  most by    1 write call to api.staging.railway.app"), "{shown}");
    // Approved once is not usual.
    assert_eq!(post(&gate).verdict(), "hold");
}

/// A law that needs a profile is no law without it.
#[tokio::test(flavor = "multi_thread")]
async fn a_profile_that_is_relied_on_and_missing_is_a_load_error() {
    let mut gate = gate().await;
    assert_eq!(page(&gate, "w").status, 200);
    let session = session(&gate);
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let raised = Edit(policy.clone()).replace(PROFILE, &format!("{PROFILE}    raise_at: 9\n")).0;
    write_policy(gate.folder.path(), &raised);
    let refused = || gate.running().log().matches("the policy was NOT reloaded").count();
    gate.running().signal("HUP");
    crate::support::until("a refused reload", || (refused() == 1).then_some(()));
    assert!(gate.running().log().contains("nothing was learned for the profile `coding-agent`"));
    assert_eq!(page(&gate, "x").status, 200, "the old law stands");
    assert_eq!(gate.holdgate(&["policy", "check"]).status.code(), Some(2));
    // What makes the profile needs no law that waits for it.
    gate.drain();
    let stopped = Running::try_start(gate.folder.path(), &[]);
    assert!(stopped.is_err_and(|said| said.contains("holdgate baseline learn")));
    said(&gate, &["baseline", "learn", "--profile", "coding-agent", "--session", &session]);
    gate.serve();
    assert_eq!(page(&gate, "y").status, 200);
    let path = gate.folder.path().join("state/baselines/coding-agent.json");
    let kept = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, kept.replace("\"version\": 1", "\"version\": 9")).unwrap();
    gate.drain();
    let stopped = Running::try_start(gate.folder.path(), &[]);
    assert!(stopped.is_err_and(|said| said.contains("it is of version 9")));
    // Without `raise_at` nothing waits for it, but what is there has to be readable.
    write_policy(gate.folder.path(), &policy);
    assert!(Running::try_start(gate.folder.path(), &[]).is_err());
    said(&gate, &["baseline", "forget", "--profile", "coding-agent"]);
    gate.serve();
    assert_eq!(page(&gate, "z").status, 200);
}

/// A log that somebody has changed teaches nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_broken_log_is_said_and_not_learned_from() {
    let mut gate = gate().await;
    assert_eq!(page(&gate, "x").status, 200);
    let session = session(&gate);
    gate.drain();
    let folder = gate.folder.path().join("state/audit");
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let file = files.filter(|path| path.extension().is_some_and(|it| it == "jsonl")).min().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    let changed = text.replacen("\"GET /x\"", "\"GET /y\"", 1);
    assert_ne!(changed, text);
    std::fs::write(&file, changed).unwrap();
    let learn = ["baseline", "learn", "--profile", "p", "--session", &session];
    let output = gate.holdgate(&learn);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("the log is broken") && told.contains("hash"), "{told}");
    assert!(!gate.folder.path().join("state/baselines/p.json").exists());
    let told = json_of(&gate, &[&learn[..], &["--unverified"]].concat());
    assert_eq!(told["verified"], false, "{told}");
    let shown = said(&gate, &["baseline", "show", "--profile", "p"]);
    assert!(shown.contains("from a log that was not whole"), "{shown}");
    let report = said(&gate, &["sessions", "restraint", AGENT]);
    assert!(report.contains("note: the log is broken"), "{report}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_says_what_was_declared_and_what_was_used() {
    let mut gate = gate().await;
    for number in 0..3 {
        assert_eq!(page(&gate, &number.to_string()).status, 200);
    }
    for _ in 0..2 {
        assert_eq!(environment(&gate).status, 200);
        assert_eq!(redeploy(&gate).status, 200);
    }
    let first = session(&gate);
    next_session(&mut gate);
    assert_eq!(gate.curl(&["https://example.com/"]).reason(), "out_of_scope");
    assert_eq!(page(&gate, "4").status, 200);
    assert_eq!(gate.delete_volume(FOREIGN, PRODUCTION_VOLUME).reason(), "foreign_credential");
    let held = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    assert_eq!(held.verdict(), "hold");
    gate.approve(held.json()["hold"]["id"].as_str().unwrap());
    assert_eq!(gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME).status, 200);
    let second = session(&gate);
    let report = json_of(&gate, &["sessions", "restraint", AGENT]);
    let requests = json!({
        "allowed": 9, "approved": 1, "held": 1, "denied": 2,
        "denied_unrecorded": 0, "unread": 0, "under_another_policy": 0,
    });
    assert_eq!(report["requests"], requests, "{report}");
    assert_eq!(report["sessions"].as_array().unwrap().len(), 2);
    let resource = |name: &str| {
        let all = report["resources"].as_array().unwrap();
        all.iter().find(|resource| resource["name"] == name).unwrap().clone()
    };
    let times = |resource: &Value, list: &str, what: &str| {
        let all = resource[list].as_array().unwrap();
        let used = all.iter().find(|used| used["what"].as_str().unwrap().starts_with(what));
        used.unwrap_or_else(|| panic!("{what}: {all:?}"))["times"].as_u64().unwrap()
    };
    let staging = resource("railway-staging");
    let counted = ["allowed", "held"].map(|key| staging[key].as_u64().unwrap());
    assert_eq!(counted, [5, 1], "{staging}");
    for (what, expected) in [
        ("allow read", 2),
        ("allow write", 2),
        ("allow mutation deploymentRestart", 0),
        ("hold destructive", 1),
        ("hold credential", 0),
    ] {
        assert_eq!(times(&staging, "entries", what), expected, "{what}: {staging}");
    }
    assert_eq!(times(&staging, "hosts", "backboard.railway.com"), 5, "{staging}");
    assert_eq!(staging["operations"]["destructive mutation volumeDelete"], 1, "{staging}");
    let docs = resource("docs");
    assert_eq!((times(&docs, "entries", "allow GET /**"), times(&docs, "hosts", "docs")), (4, 4));
    assert_eq!(resource("railway-production")["allowed"], 0);
    assert_eq!(report["credentials"], json!([{ "what": "railway-staging-token", "times": 5 }]));
    assert_eq!(report["other_credentials"], json!({ "foreign": 1 }));
    assert_eq!(
        report["reasons"],
        json!({ "destructive": 1, "foreign_credential": 1, "out_of_scope": 1 })
    );
    assert_eq!(report["undeclared_hosts"], json!({ "example.com": 1 }));
    let lines = [
        "agents:",
        "  staging-fixer:",
        "    resources: [railway-staging, railway-production, docs]  # never used: staging-api, model",
        "    # never used, but they judge calls on hosts of those that were: railway-production",
        "resources:",
        "  railway-staging:",
        "    allow: [read, write]  # never used: mutation deploymentRestart; write was mutation serviceInstanceRedeploy",
    ];
    assert_eq!(report["suggestion"], json!(lines));
    // The sessions are its parts.
    let of = |id: &str| json_of(&gate, &["sessions", "restraint", id])["requests"].clone();
    assert_eq!((&of(&first)["allowed"], &of(&first)["denied"]), (&json!(7), &json!(0)));
    assert_eq!((&of(&second)["allowed"], &of(&second)["denied"]), (&json!(2), &json!(2)));
    let text = said(&gate, &["sessions", "restraint", AGENT]);
    for line in [
        "9 requests passed (1 after an approval), 1 waited for a person, 2 were refused, in 2 sessions",
        "resource railway-staging in staging: 5 passed, 1 waited, 0 refused",
        "    never  allow mutation deploymentRestart",
        "        1  undeclared host example.com",
        "# A narrower policy, to be reviewed; nothing is applied.",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    assert!(!text.contains(FOREIGN) && !text.contains(STAGING_TOKEN));
    // The narrower policy loads, and what was used passes under it.
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let narrower = Edit(policy)
        .replace(
            "    resources: [railway-staging, railway-production, staging-api, docs, model]",
            lines[2],
        )
        .replace("    allow: [read, write, mutation deploymentRestart]", lines[6])
        .0;
    write_policy(gate.folder.path(), &narrower);
    gate.reload();
    assert_eq!((page(&gate, "5").status, environment(&gate).status), (200, 200));
    assert_eq!(redeploy(&gate).status, 200);
    let requests = &json_of(&gate, &["sessions", "restraint", AGENT])["requests"];
    assert_eq!((&requests["allowed"], &requests["under_another_policy"]), (&json!(12), &json!(12)));
    let nobody = gate.holdgate(&["sessions", "restraint", "nobody"]);
    assert_eq!(nobody.status.code(), Some(1), "{nobody:?}");
}
