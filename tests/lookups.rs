//! What the proxy asks a service itself, before it asks a person.

use crate::support::mock::{
    ACCOUNT_TOKEN, Options, PRODUCTION_VOLUME, STAGING_TOKEN, STAGING_VOLUME, Seen,
};
use crate::support::policy::Edit;
use crate::support::{Gate, holdgate, write_policy};
use serde_json::{Value, json};

const NOBODYS: &str = "dddddddd-0000-4000-8000-00000000ffff";

/// A policy that declares the environments only, and lets the proxy look volumes up.
fn looking_up(policy: String, lookups: &str) -> String {
    Edit(policy)
        .replace("  wait: 20s\n", "  wait: 100ms\n")
        .replace(&format!("      volume: [{STAGING_VOLUME}]\n"), "")
        .replace(&format!("      volume: [{PRODUCTION_VOLUME}]\n"), "")
        .replace(
            "\ncredentials:\n",
            "\ncredentials:\n  railway-reader:\n    service: railway\n    value: { file: reader.token }\n    resources: [railway-staging, railway-production]\n",
        )
        .section(lookups)
        .0
}

const LOOKUPS: &str = "lookups:\n  railway: { credential: railway-reader }";

async fn gate(lookups: &str) -> Gate {
    let folder = |gate: &Gate| gate.folder.path().join("reader.token");
    let mut gate = Gate::with(Options::default(), |policy| policy).await;
    gate.kill();
    std::fs::write(folder(&gate), ACCOUNT_TOKEN).unwrap();
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    write_policy(gate.folder.path(), &looking_up(policy, lookups));
    gate.serve();
    gate
}

/// What the mock was asked with a token.
fn asked_with(gate: &Gate, token: &str) -> Vec<String> {
    let with = |seen: &&Seen| seen.headers.iter().any(|(_, value)| value.contains(token));
    let requests = gate.mock.requests();
    requests
        .iter()
        .filter(with)
        .map(|seen| String::from_utf8_lossy(&seen.body).into_owned())
        .collect()
}

fn update(gate: &Gate, volume: &str) -> (String, String) {
    let document = format!(
        "mutation {{ volumeUpdate(volumeId: \"{volume}\", input: {{name: \"x\"}}) {{ id }} }}"
    );
    let answer = gate.graphql(STAGING_TOKEN, &json!({ "query": document }));
    (answer.verdict(), answer.reason())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_reads_what_a_volume_is_and_production_is_refused() {
    let gate = gate(LOOKUPS).await;
    let answer = gate.delete_volume(STAGING_TOKEN, PRODUCTION_VOLUME);
    assert_eq!(
        (answer.verdict().as_str(), answer.reason().as_str()),
        ("deny", "credential_out_of_scope"),
        "{answer:?}"
    );
    let answer = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    assert_eq!(
        (answer.verdict().as_str(), answer.reason().as_str()),
        ("hold", "destructive"),
        "{answer:?}"
    );
    let id = answer.json()["hold"]["id"].as_str().unwrap().to_owned();
    let card = String::from_utf8(gate.holdgate(&["approvals", "show", &id]).stdout).unwrap();
    for word in ["in staging", "the service says:", "environment staging", "backups", "volume "] {
        assert!(card.contains(word), "{word}: {card}");
    }
    assert!(!card.contains(ACCOUNT_TOKEN), "{card}");
    // It asked along the line, as an agent of its own, and every question is a record.
    let questions = asked_with(&gate, ACCOUNT_TOKEN);
    assert!(
        !questions.is_empty() && questions.iter().all(|body| body.contains("query Holdgate")),
        "{questions:?}"
    );
    let records = gate.records();
    let own: Vec<&Value> = records
        .iter()
        .filter(|record| record["agent"] == "holdgate" && record["kind"] == "request")
        .collect();
    assert_eq!(own.len(), questions.len());
    assert!(
        own.iter().all(|record| record["verdict"] == "allow"
            && record["credentials"][0]["name"] == "railway-reader"),
        "{own:?}"
    );
    assert!(!format!("{records:?}").contains(ACCOUNT_TOKEN));
    assert!(gate.mock.deletions().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_up_lets_nothing_pass_and_is_not_repeated() {
    let gate = gate(LOOKUPS).await;
    let unknown = ("hold".to_owned(), "unknown_target".to_owned());
    // A write in staging would pass if the volume were declared there.
    assert_eq!(update(&gate, STAGING_VOLUME), unknown);
    let questions = asked_with(&gate, ACCOUNT_TOKEN).len();
    assert!(questions > 0);
    // Nor does it pass now that it is known: it was the proxy that asked.
    assert_eq!(update(&gate, STAGING_VOLUME), unknown);
    assert_eq!(update(&gate, NOBODYS), unknown);
    let after = asked_with(&gate, ACCOUNT_TOKEN).len();
    assert_eq!(update(&gate, NOBODYS), unknown);
    assert_eq!(asked_with(&gate, ACCOUNT_TOKEN).len(), after, "an answer serves for a while");
    let waiting = gate.waiting();
    let nobodys = waiting.iter().find(|hold| hold["card"].to_string().contains(NOBODYS)).unwrap();
    let told = &nobodys["card"]["targets"][0]["told"];
    assert_eq!(told, "the service was asked, and shows no such thing");
    let updates = gate.mock.requests();
    assert!(
        !updates.iter().any(|seen| String::from_utf8_lossy(&seen.body).contains("volumeUpdate"))
    );
    // The agent cannot be the proxy, nor use its credential.
    let answer = gate.graphql(ACCOUNT_TOKEN, &json!({"query": "{ me { email } }"}));
    assert_eq!(answer.reason(), "foreign_credential", "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_agents_calls_lead_to_is_bounded() {
    let gate = gate("lookups:\n  railway: { credential: railway-reader, per_hour: 1 }").await;
    for number in 0..4 {
        let volume = format!("dddddddd-0000-4000-8000-0000000000f{number}");
        assert_eq!(update(&gate, &volume).1, "unknown_target");
    }
    assert_eq!(asked_with(&gate, ACCOUNT_TOKEN).len(), 1);
    // Whoever decides reads that nobody asked, which is not that nobody knows.
    for hold in gate.waiting() {
        let told = &hold["card"]["targets"][0]["told"];
        assert_eq!(told, "what this is could not be looked up", "{hold}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_can_be_asked_is_declared() {
    let gate = gate(LOOKUPS).await;
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let cases = [
        (("credential: railway-reader", "credential: railway-staging-token"), "issued to an agent"),
        (("credential: railway-reader", "credential: nobodys"), "nobodys"),
        (("lookups:\n  railway:", "lookups:\n  anthropic:"), "how to look something up"),
        (
            ("\nagents:\n", "\nagents:\n  holdgate: { resources: [docs], token: { env: NONE } }\n"),
            "the proxy itself",
        ),
    ];
    for ((from, to), why) in cases {
        let other = tempfile::tempdir().unwrap();
        std::fs::write(other.path().join("reader.token"), ACCOUNT_TOKEN).unwrap();
        for file in std::fs::read_dir(gate.folder.path()).unwrap() {
            let file = file.unwrap();
            if file.path().is_file() {
                std::fs::copy(file.path(), other.path().join(file.file_name())).unwrap();
            }
        }
        write_policy(other.path(), &Edit(policy.clone()).replace(from, to).0);
        let output = holdgate(other.path(), &["policy", "check"]);
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(why), "{why}: {told}");
    }
    let lints = String::from_utf8(gate.holdgate(&["policy", "check"]).stdout).unwrap();
    assert!(lints.contains("as powerful as any"), "{lints}");
}
