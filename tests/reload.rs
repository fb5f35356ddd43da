//! Reloading the policy: when it bites, what keeps the old one, and where its paths lead.

use crate::support::client::Client;
use crate::support::mock::{Mock, Options, PolicyOptions};
use crate::support::policy::Edit;
use crate::support::{Answer, Gate, Running, holdgate, sha256, until, write_policy};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

const DOCS: &str = "hosts: [docs.railway.com]\n    rules:\n      - allow: GET /**\n";

fn narrowed(policy: &str) -> String {
    let narrow = DOCS.replace("GET /**", "GET /guides/**");
    Edit(policy.to_owned()).replace(DOCS, &narrow).0
}

fn policies(gate: &Gate) -> Vec<Value> {
    gate.records().into_iter().filter(|record| record["kind"] == "policy").collect()
}

/// Reloads the policy; its record.
fn reload(gate: &Gate) -> Value {
    gate.reload();
    policies(gate).pop().unwrap()
}

/// R-05, I7.
#[tokio::test(flavor = "multi_thread")]
async fn a_narrowed_policy_bites_on_the_next_request_of_a_live_connection() {
    let gate = Gate::start().await;
    let wide = std::fs::read_to_string(gate.policy_path()).unwrap();
    let narrow = narrowed(&wide);
    let mut clients = Vec::new();
    for http2 in [false, true] {
        let mut client = Client::open(gate.running(), "docs.railway.com", http2).await;
        assert_eq!(client.get("/x").await.status, 200);
        clients.push(client);
    }
    // Without being told, the process does not look.
    write_policy(gate.folder.path(), &narrow);
    assert_eq!(clients[0].get("/x").await.status, 200);
    reload(&gate);
    let before = gate.mock.requests().len();
    for client in &mut clients {
        let got = client.get("/x").await;
        assert_eq!((got.status.as_u16(), &*got.reason()), (403, "scope_violation"), "{got:?}");
    }
    assert_eq!(gate.mock.requests().len(), before);
    for client in &mut clients {
        assert_eq!(client.get("/guides/x").await.status, 200);
    }
    // And back again.
    write_policy(gate.folder.path(), &wide);
    reload(&gate);
    for client in &mut clients {
        assert_eq!(client.get("/x").await.status, 200);
    }
    // A resource that is taken away takes its host along, on connections that are open.
    let gone = Edit(wide).replace(", docs, model]", ", model]").0;
    write_policy(gate.folder.path(), &gone);
    reload(&gate);
    let before = gate.mock.requests().len();
    for client in &mut clients {
        let got = client.get("/x").await;
        assert_eq!((got.status.as_u16(), &*got.reason()), (403, "out_of_scope"), "{got:?}");
    }
    // So does an agent that the policy no longer names.
    let renamed = Edit(gone).replace("  staging-fixer:\n", "  other-fixer:\n").0;
    write_policy(gate.folder.path(), &renamed);
    reload(&gate);
    for client in &mut clients {
        let got = client.get("/x").await;
        assert_eq!((got.status.as_u16(), &*got.reason()), (407, "not_identified"), "{got:?}");
    }
    assert_eq!(gate.mock.requests().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_token_ends_what_the_old_one_opened() {
    let gate = Gate::start().await;
    let mut clients = Vec::new();
    for http2 in [false, true] {
        let mut client = Client::open(gate.running(), "docs.railway.com", http2).await;
        assert_eq!(client.get("/x").await.status, 200);
        clients.push(client);
    }
    std::fs::write(gate.folder.path().join("token"), "agents-own-token\n").unwrap();
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let token = "    token: { file: token }\n    profile: coding-agent\n";
    let changed = Edit(policy).replace("    profile: coding-agent\n", token).0;
    write_policy(gate.folder.path(), &changed);
    gate.reload();
    let before = gate.mock.requests().len();
    for client in &mut clients {
        let got = client.get("/x").await;
        assert_eq!((got.status.as_u16(), &*got.reason()), (407, "not_identified"), "{got:?}");
    }
    assert_eq!(gate.mock.requests().len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_load_is_a_record_with_both_digests() {
    let gate = Gate::start().await;
    let wide = std::fs::read_to_string(gate.policy_path()).unwrap();
    let narrow = narrowed(&wide);
    write_policy(gate.folder.path(), &narrow);
    let record = reload(&gate);
    let (old, new) = (sha256(wide.as_bytes()), sha256(narrow.as_bytes()));
    let loads = policies(&gate);
    assert_eq!(loads.len(), 2, "{loads:?}");
    assert_eq!(
        (&loads[0]["policy_digest"], &loads[0]["policy_digest_before"]),
        (&old.clone().into(), &Value::Null)
    );
    assert_eq!(
        (&record["policy_digest"], &record["policy_digest_before"]),
        (&new.clone().into(), &old.into())
    );
    // A request says by which it was judged.
    let answer = gate.curl(&["https://docs.railway.com/x"]);
    let id = answer.json()["request_id"].clone();
    let judged = gate.records().into_iter().find(|record| record["request_id"] == id).unwrap();
    assert_eq!(judged["policy_digest"], new);
    // A refused reload is a record too, and the digest stays.
    write_policy(gate.folder.path(), "version: 1\n");
    gate.running().signal("HUP");
    std::fs::write(gate.folder.path().join("good.yaml"), &narrow).unwrap();
    let refused = until("the refusal", || {
        let tail = ["--policy", "good.yaml", "audit", "tail", "-n", "1", "--json"];
        let last: Value = serde_json::from_slice(&gate.holdgate(&tail).stdout).unwrap();
        Some(last).filter(|last| last["detail"] == "a reload was refused")
    });
    assert_eq!(refused["policy_digest"], new, "{refused}");
    let verified = gate.holdgate(&["--policy", "good.yaml", "audit", "verify"]);
    assert!(verified.status.success(), "{verified:?}");
}

///
#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_does_not_load_keeps_the_old_one_and_says_so() {
    let gate = Gate::start().await;
    let good = std::fs::read_to_string(gate.policy_path()).unwrap();
    let mut client = Client::http1(gate.running(), "docs.railway.com").await;
    assert_eq!(client.get("/x").await.status, 200);
    std::fs::write(gate.folder.path().join("good.yaml"), &good).unwrap();
    let records = || {
        let arguments = ["--policy", "good.yaml", "audit", "tail", "-n", "1000", "--json"];
        let output = gate.holdgate(&arguments);
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().filter(|line| line.contains("a reload was refused")).count()
    };
    let mode = |mode: u32| {
        use std::os::unix::fs::PermissionsExt as _;
        let permissions = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(gate.policy_path(), permissions).unwrap();
    };
    let roots =
        Edit(good.clone()).replace("  upstream_roots: [", "  upstream_roots: [none.pem, ").0;
    let narrow = narrowed(&good);
    let cases: [(&str, &str, u32); 6] = [
        ("version: 1\nagents: [\n", "policy.yaml:2:9", 0o644),
        (&good.replace("- allow: GET /**", "- allow: FETCH"), "policy.yaml:", 0o644),
        (
            &good.replace("[railway-staging, ", "[nowhere, "),
            "there is no resource `nowhere`",
            0o644,
        ),
        (&roots, "none.pem", 0o644),
        ("", "policy.yaml:1:1", 0o644),
        // It says less, but whoever wrote it may not be the operator.
        (&narrow, "may be written by others", 0o666),
    ];
    for (number, (text, wanted, bits)) in cases.into_iter().enumerate() {
        std::fs::write(gate.policy_path(), text).unwrap();
        mode(bits);
        let log = gate.running().log().len();
        gate.running().signal("HUP");
        until(wanted, || (records() == number + 1).then_some(()));
        until(wanted, || {
            let said = gate.running().log().split_off(log);
            let told = said.contains("the policy was NOT reloaded") && said.contains(wanted);
            told.then_some(())
        });
        assert_eq!(client.get("/x").await.status, 200, "{wanted}");
    }
    std::fs::remove_file(gate.policy_path()).unwrap();
    gate.running().signal("HUP");
    until("a missing file", || (records() == 7).then_some(()));
    assert_eq!(client.get("/x").await.status, 200);
    // The next good one is taken.
    write_policy(gate.folder.path(), &narrow);
    reload(&gate);
    assert_eq!(client.get("/x").await.reason(), "scope_violation");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_watch_every_changed_file_is_loaded() {
    let mut gate = Gate::start().await;
    gate.kill();
    gate.process = Some(Running::start(gate.folder.path(), &["--watch"]));
    let wide = std::fs::read_to_string(gate.policy_path()).unwrap();
    let narrow = narrowed(&wide);
    let get = |gate: &Gate| gate.curl(&["https://docs.railway.com/x"]).status;
    assert_eq!(get(&gate), 200);
    // As editors and orchestrators write: beside it, then renamed over it.
    let fresh = gate.folder.path().join("policy.yaml.new");
    std::fs::write(&fresh, &narrow).unwrap();
    std::fs::rename(&fresh, gate.policy_path()).unwrap();
    until("the renamed policy", || (get(&gate) == 403).then_some(()));
    // Again, because a watch on the file itself would be on the old one now.
    std::fs::write(&fresh, &wide).unwrap();
    std::fs::rename(&fresh, gate.policy_path()).unwrap();
    until("the second renamed policy", || (get(&gate) == 200).then_some(()));
    // In place.
    write_policy(gate.folder.path(), &narrow);
    until("the policy written in place", || (get(&gate) == 403).then_some(()));
    // By a link that moves, as mounted configuration does.
    let (one, two) = (gate.folder.path().join("one.yaml"), gate.folder.path().join("two.yaml"));
    std::fs::write(&one, &narrow).unwrap();
    std::fs::write(&two, &wide).unwrap();
    let link = gate.folder.path().join("policy.link");
    std::os::unix::fs::symlink(&two, &link).unwrap();
    std::fs::rename(&link, gate.policy_path()).unwrap();
    until("the linked policy", || (get(&gate) == 200).then_some(()));
    // A broken one changes nothing.
    std::fs::write(&fresh, "version: 1\n").unwrap();
    std::fs::rename(&fresh, gate.policy_path()).unwrap();
    until("the report", || gate.running().log().contains("NOT reloaded").then_some(()));
    assert_eq!(get(&gate), 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn relative_paths_are_relative_to_the_policy_file() {
    let folder = tempfile::tempdir().unwrap();
    let mock = Mock::start(Options::default()).await.unwrap();
    let settings = folder.path().join("deep/settings");
    std::fs::create_dir_all(&settings).unwrap();
    let text = mock.policy(&PolicyOptions::new(&settings)).unwrap();
    // The mock writes absolute paths; what is left of them is relative.
    let prefix = format!("{}/", settings.to_str().unwrap());
    assert_eq!(text.matches(&prefix).count(), 4, "{text}");
    write_policy(&settings, &text.replace(&prefix, ""));
    let elsewhere = folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    for policy in ["../deep/settings/policy.yaml", settings.join("policy.yaml").to_str().unwrap()] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdgate"));
        command.current_dir(&elsewhere).args(["serve", "--policy", policy]);
        let process = Running::of(command).unwrap();
        assert!(process.ca.is_absolute(), "{:?}", process.ca);
        assert_eq!(
            process.ca.canonicalize().unwrap(),
            settings.canonicalize().unwrap().join("certs/ca.pem")
        );
        let answer = through(&process, "https://docs.railway.com/x");
        assert_eq!(answer.status, 200, "{answer:?}");
        let shown = holdgate(&elsewhere, &["--policy", policy, "audit", "verify"]);
        assert!(shown.status.success(), "{shown:?}");
    }
    for made in ["certs/ca.key", "state/audit", "state/fingerprint.key"] {
        assert!(settings.join(made).exists(), "{made}");
    }
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 0);
}

fn through(process: &Running, url: &str) -> Answer {
    let ca = process.ca.to_str().unwrap();
    let proxy = format!("http://{}", process.proxy);
    let arguments =
        ["-sS", "-i", "--suppress-connect-headers", "--cacert", ca, "--proxy", &proxy, url];
    Answer::of(&Command::new("curl").args(arguments).output().unwrap())
}

/// N-06, R-10.
#[tokio::test(flavor = "multi_thread")]
async fn the_policy_may_come_from_the_environment() {
    let gate = Gate::start().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let shown = Command::new(env!("CARGO_BIN_EXE_holdgate"))
        .current_dir(elsewhere.path())
        .args(["policy", "check"])
        .env("HOLDGATE_POLICY", gate.policy_path())
        .output()
        .unwrap();
    assert!(shown.status.success(), "{shown:?}");
    assert!(Path::new(&gate.policy_path()).exists());
    assert_eq!(std::fs::read_dir(elsewhere.path()).unwrap().count(), 0, "nothing is made there");
}
