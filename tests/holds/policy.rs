//! The policy of now decides when an approval is redeemed, and quarantine outlasts a restart.

use super::{answered, deleting, hold_of, shown, soon};
use crate::support::mock::{Options, PRODUCTION_VOLUME, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::origin::{Identity, Origin, text};
use crate::support::policy::Edit;
use crate::support::{FOREIGN, Gate, write_policy};

const HELD: &str = "    hold: [destructive, credential, access, execute, unknown]\n";

/// Changes the policy of a running proxy, and waits until it is in force.
fn reload(gate: &Gate, change: impl FnOnce(Edit) -> Edit) {
    let policy = Edit(std::fs::read_to_string(gate.policy_path()).unwrap());
    write_policy(gate.folder.path(), &change(policy).0);
    gate.reload();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_narrowed_policy_takes_the_hold_back() {
    let gate = Gate::start().await;
    let call = deleting(&gate);
    let id = gate.wait_for_hold();
    reload(&gate, |policy| policy.replace(HELD, "    deny: [destructive]\n"));
    gate.approve(&id);
    let told = answered(call);
    assert_eq!((told.status, &*told.verdict()), (403, "deny"), "{told:?}");
    assert_eq!(told.reason(), "scope_violation", "{told:?}");
    assert_eq!(hold_of(&told), (id.clone(), "withdrawn".to_owned()), "{told:?}");
    assert_eq!(shown(&gate, &id)["state"], "withdrawn");
    assert_eq!(gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME).verdict(), "deny");
    assert_eq!(gate.mock.bytes_received(), 0);
    assert!(gate.mock.volume_exists(STAGING_VOLUME));
}

/// M-03, R-05.
#[tokio::test(flavor = "multi_thread")]
async fn an_approval_does_not_outlive_a_policy_that_asks_for_more() {
    let gate = soon(|policy| policy).await;
    let (id, _) = hold_of(&gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME));
    gate.approve(&id);
    reload(&gate, super::two_approvers);
    let told = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    assert_eq!(told.status, 403, "{told:?}");
    assert_eq!(shown(&gate, &id)["state"], "withdrawn");
    let (next, state) = hold_of(&gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME));
    assert!(next != id && state == "waiting", "{next} {state}");
    assert_eq!(shown(&gate, &next)["needed"], 2);
    assert_eq!(gate.mock.bytes_received(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quarantine_stays_until_a_person_lifts_it() {
    let sequence = "  - name: foreign then irreversible\n    within: 30m\n    \
                    steps: [[foreign_credential, credential_out_of_scope], irreversible]\n    \
                    then: quarantine\n";
    let mut gate =
        soon(|policy| policy.replace("\nsequences:\n", &format!("\nsequences:\n{sequence}"))).await;
    let before = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    let (id, _) = hold_of(&before);
    gate.approve(&id);
    assert_eq!(gate.delete_volume(FOREIGN, PRODUCTION_VOLUME).reason(), "foreign_credential");
    // What completes the sequence, an approved call even, does not pass; neither does a read.
    let last = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    assert_eq!((last.status, last.verdict().as_str()), (403, "deny"), "{last:?}");
    let read = gate.curl(&["https://docs.railway.com/x"]);
    assert_eq!((read.status, &*read.reason()), (403, "quarantined"), "{read:?}");
    gate.kill();
    gate.serve();
    assert_eq!(gate.curl(&["https://docs.railway.com/x"]).reason(), "quarantined");
    assert_eq!(gate.mock.bytes_received(), 0);
    let agent = gate.records().last().unwrap()["agent"].as_str().unwrap().to_owned();
    let released = gate.holdgate(&["approvals", "release", &agent]);
    assert!(released.status.success(), "{released:?}");
    assert_eq!(gate.curl(&["https://docs.railway.com/x"]).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_completed_sequence_is_a_record_also_where_nothing_else_happens() {
    let sequence = "  - name: told\n    within: 30m\n    \
                    steps: [foreign_credential, irreversible]\n    then: notify\n";
    let gate =
        soon(|policy| policy.replace("\nsequences:\n", &format!("\nsequences:\n{sequence}"))).await;
    assert_eq!(gate.delete_volume(FOREIGN, PRODUCTION_VOLUME).reason(), "foreign_credential");
    assert_eq!(gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME).verdict(), "hold");
    let records = gate.records();
    let told: Vec<_> = records.iter().filter(|record| record["kind"] == "session").collect();
    assert!(
        told.iter().any(|record| {
            let detail = record["detail"].as_str().unwrap_or_default();
            detail.starts_with("completed the sequence `told`; then: notify; foreign_credential by")
        }),
        "{told:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_approval_of_one_who_may_no_longer_approve_does_not_count() {
    let gate = soon(|policy| policy).await;
    let (id, _) = hold_of(&gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME));
    gate.approve(&id);
    reload(&gate, |policy| policy.replace("    alice: {", "    carol: {"));
    let told = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    assert_eq!(told.status, 403, "{told:?}");
    assert_eq!(hold_of(&told), (id, "withdrawn".to_owned()), "{told:?}");
    assert_eq!(gate.mock.bytes_received(), 0);
    assert!(gate.mock.volume_exists(STAGING_VOLUME));
}

/// The incident's order: a refusal by the service, another's credential, then what cannot be undone.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_authentication_is_the_first_step_of_a_sequence() {
    let sequence = "  - name: the incident\n    within: 30m\n    \
                    steps: [authentication_failure, foreign_credential, irreversible]\n    \
                    then: quarantine\n";
    let origin = Origin::http(Identity::named(&["service.example"]), |request| async move {
        let mut answer = text("no");
        if request.uri().path() == "/private" {
            *answer.status_mut() = hyper::StatusCode::UNAUTHORIZED;
        }
        answer
    })
    .await;
    for (path, status) in [("private", 401), ("public", 200)] {
        let gate = Gate::with(Options::default(), |policy| {
            Edit(policy)
                .replace("\nsequences:\n", &format!("\nsequences:\n{sequence}"))
                .root(&origin.roots())
                .resolve("service.example:443", origin.address)
                .resource("service", "hosts: [service.example]\nrules: [ { allow: GET /** } ]")
                .0
        })
        .await;
        let get = |path: &str| gate.curl(&[&format!("https://service.example/{path}")]);
        assert_eq!(get(path).status, status, "the answer passes");
        assert_eq!(gate.delete_volume(FOREIGN, PRODUCTION_VOLUME).reason(), "foreign_credential");
        let read = get("public");
        assert_eq!(read.status, if status == 401 { 403 } else { 200 }, "{path}: {read:?}");
        assert!(read.status == 200 || read.reason() == "quarantined", "{path}: {read:?}");
        assert_eq!(gate.mock.bytes_received(), 0);
    }
}
