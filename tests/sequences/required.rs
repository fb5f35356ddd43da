//! What has to have happened before a call.

use super::{call, completed, gate};
use crate::support::mock::{STAGING_TOKEN, STAGING_VOLUME, STAGING_VOLUME_INSTANCE};
use crate::support::{FOREIGN, Gate};

fn look_first(then: &str) -> String {
    format!(
        "  - name: look-first\n    within: 10m\n    requires: [backup_seen, backup_made]\n    \
         before: mutation volumeDelete\n    then: {then}\n"
    )
}

fn list(gate: &Gate, token: &str) -> u16 {
    let list = format!(
        "query {{ volumeInstanceBackupList(volumeInstanceId: \"{STAGING_VOLUME_INSTANCE}\") {{ id }} }}"
    );
    call(gate, token, &list).status
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_needs_a_look_at_the_backups_first() {
    let gate = gate(&look_first("deny"), |policy| policy).await;
    let delete = || gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    let told = delete();
    assert_eq!((told.verdict(), told.reason()), ("deny".into(), "scope_violation".into()));
    let detail = told.json()["detail"].as_str().unwrap().to_owned();
    assert!(
        detail
            .contains("`look-first` requires backup_seen or backup_made in the last 10 min before"),
        "{detail}"
    );
    assert_eq!(gate.mock.bytes_received(), 0);
    // A look that was refused has seen nothing.
    assert_eq!(list(&gate, FOREIGN), 403);
    assert_eq!(delete().verdict(), "deny");
    assert_eq!(list(&gate, STAGING_TOKEN), 200);
    let held = delete();
    assert_eq!((held.verdict(), held.reason()), ("hold".into(), "destructive".into()), "{held:?}");
    gate.approve(held.json()["hold"]["id"].as_str().unwrap());
    assert_eq!(delete().status, 200);
    // What is missing is no step of anything dangerous.
    assert!(completed(&gate).is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_it_a_call_waits_and_the_card_says_why() {
    let sequence = "  - name: look-first\n    within: 10m\n    requires: GET /deployments\n    \
                    before: [POST /deployments]\n    then: hold\n";
    let gate = gate(sequence, |policy| policy).await;
    let deploy =
        || gate.curl(&["https://api.staging.railway.app/deployments", "-X", "POST", "-d", "{}"]);
    let held = deploy();
    assert_eq!((held.verdict(), held.reason()), ("hold".into(), "approval_required".into()));
    let id = held.json()["hold"]["id"].as_str().unwrap().to_owned();
    let card = String::from_utf8(gate.holdgate(&["approvals", "show", &id]).stdout).unwrap();
    assert!(card.contains("`look-first` requires `GET /deployments`"), "{card}");
    // A person's yes stands for it, once.
    gate.approve(&id);
    assert!(deploy().status < 400);
    assert_eq!(deploy().verdict(), "hold");
    assert_eq!(gate.curl(&["https://api.staging.railway.app/deployments"]).status, 200);
    assert!(deploy().status < 400);
}
