//! What a completed sequence leads to, and what it does not touch.

use super::{AGENT, call, completed, gate, sessions};
use crate::support::mock::{PRODUCTION_VOLUME, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::{Answer, FOREIGN, delete_volume};

const FOREIGN_THEN_DELETION: &str =
    "  - name: told\n    within: 30m\n    steps: [foreign_credential, deletion]\n    then: ";

/// The call that completes it keeps the verdict it had, and people are told.
#[tokio::test(flavor = "multi_thread")]
async fn notify_tells_and_leaves_the_call_as_it_was() {
    let gate = gate(&format!("{FOREIGN_THEN_DELETION}notify\n"), |policy| policy).await;
    let read = call(&gate, FOREIGN, "query { me { email } }");
    assert_eq!(read.reason(), "foreign_credential");
    let held = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    assert_eq!((held.verdict(), held.reason()), ("hold".into(), "destructive".into()));
    let told = completed(&gate);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("`told`; then: notify; foreign_credential by `query me`"), "{told:?}");
    let id = held.json()["hold"]["id"].as_str().unwrap().to_owned();
    let card = gate.holdgate(&["approvals", "show", &id]);
    let card = String::from_utf8(card.stdout).unwrap();
    assert!(card.contains("it completes `told`"), "{card}");
    gate.approve(&id);
    assert_eq!(gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME).status, 200);
    assert_eq!(completed(&gate).len(), 1, "the same call counts once");
    let of_call = gate.records().into_iter().find(|record| {
        record["detail"].as_str().is_some_and(|detail| detail == "completed the sequence `told`")
    });
    assert!(of_call.is_some_and(|record| record["verdict"] == "hold"));
}

/// Of many that complete it at once none passes: whoever is first restrains the others.
#[tokio::test(flavor = "multi_thread")]
async fn of_parallel_calls_none_slips_under() {
    let sequence = "  - name: twice\n    within: 30m\n    \
                    steps: [foreign_credential, mutation deploymentRestart]\n    then: quarantine\n";
    let gate = gate(sequence, |policy| policy).await;
    assert_eq!(gate.delete_volume(FOREIGN, PRODUCTION_VOLUME).reason(), "foreign_credential");
    let restart = format!(
        r#"{{"query":"mutation {{ deploymentRestart(id: \"{}\") }}"}}"#,
        crate::support::mock::STAGING_DEPLOYMENT
    );
    let calls: Vec<_> = (0..16)
        .map(|_| {
            gate.curl_command(&[
                "https://backboard.railway.com/graphql/v2",
                "-H",
                "Content-Type: application/json",
                "-H",
                &format!("Authorization: Bearer {STAGING_TOKEN}"),
                "-d",
                &restart,
            ])
            .spawn()
            .unwrap()
        })
        .collect();
    for call in calls {
        let told = Answer::of(&call.wait_with_output().unwrap());
        assert_eq!((told.status, told.verdict()), (403, "deny".into()), "{told:?}");
    }
    assert_eq!(completed(&gate).len(), 1, "{:?}", completed(&gate));
    assert_eq!(gate.mock.bytes_received(), 0);
}

/// What a quarantine lets through is what the policy says: plain reads of documentation at most.
#[tokio::test(flavor = "multi_thread")]
async fn a_quarantine_lets_through_what_the_policy_says() {
    let sequence = format!("{FOREIGN_THEN_DELETION}quarantine\n");
    for docs in [false, true] {
        let gate = gate(&sequence, |policy| {
            if !docs {
                return policy;
            }
            policy
                .replace("  docs:\n", "  docs:\n    docs: true\n")
                .section("quarantine: everything_but_docs")
        })
        .await;
        assert_eq!(gate.delete_volume(FOREIGN, PRODUCTION_VOLUME).reason(), "foreign_credential");
        assert!(
            sessions(&gate, &["list"]).contains("in quarantine: completed the sequence `told`")
        );
        let page = gate.curl(&["https://docs.railway.com/guides"]);
        assert_eq!(page.status, if docs { 200 } else { 403 }, "{page:?}");
        assert_eq!(page.body.contains("</html>"), docs, "it comes whole: {page:?}");
        let get = |arguments: &[&str]| gate.curl(arguments).reason();
        for arguments in [
            &["https://docs.railway.com/guides?q=x"][..],
            &["https://docs.railway.com/guides", "-X", "GET", "-d", "x"],
            &["https://docs.railway.com/guides", "-X", "POST", "-d", "x"],
            &["https://docs.railway.com/guides", "-H", &format!("X-Note: {STAGING_TOKEN}")],
            &["https://docs.railway.com/guides", "-H", &format!("Authorization: Bearer {FOREIGN}")],
            &["https://api.staging.railway.app/deployments"],
        ] {
            assert_eq!(get(arguments), "quarantined", "{arguments:?}");
        }
        let read = call(&gate, STAGING_TOKEN, "query { me { email } }");
        assert_eq!(read.reason(), "quarantined");
        sessions(&gate, &["release", AGENT]);
        let deletion = gate.graphql(STAGING_TOKEN, &delete_volume(STAGING_VOLUME));
        assert_eq!(deletion.verdict(), "hold", "{deletion:?}");
    }
}
