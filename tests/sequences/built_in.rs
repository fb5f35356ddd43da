//! The sequences that every policy has.

use super::{AGENT, approved, call, completed, gate, sessions};
use crate::support::mock::{
    PRODUCTION_VOLUME, PROJECT, STAGING_ENVIRONMENT, STAGING_TOKEN, STAGING_VOLUME,
    STAGING_VOLUME_INSTANCE,
};
use crate::support::{FOREIGN, Gate};
use serde_json::json;

fn read_variables() -> String {
    format!(
        "query {{ variables(projectId: \"{PROJECT}\", environmentId: \"{STAGING_ENVIRONMENT}\") }}"
    )
}

/// Makes a backup, and removes it again with a person's yes.
fn remove_a_backup(gate: &Gate) {
    let make = format!(
        "mutation {{ volumeInstanceBackupCreate(volumeInstanceId: \"{STAGING_VOLUME_INSTANCE}\") {{ __typename }} }}"
    );
    approved(gate, STAGING_TOKEN, &make);
    let list = format!(
        "query {{ volumeInstanceBackupList(volumeInstanceId: \"{STAGING_VOLUME_INSTANCE}\") {{ id }} }}"
    );
    let listed = call(gate, STAGING_TOKEN, &list);
    let id = listed.json()["data"]["volumeInstanceBackupList"][0]["id"].clone();
    let remove = format!(
        "mutation {{ volumeInstanceBackupDelete(volumeInstanceId: \"{STAGING_VOLUME_INSTANCE}\", volumeInstanceBackupId: {id}) {{ __typename }} }}"
    );
    approved(gate, STAGING_TOKEN, &remove);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_after_its_backups_went_is_refused_and_writes_wait() {
    for switched_off in [false, true] {
        let off = "  - { name: backup-removal, then: nothing }\n";
        let gate = gate(if switched_off { off } else { "" }, |policy| policy).await;
        remove_a_backup(&gate);
        let shown = sessions(&gate, &["show", AGENT]);
        for stage in ["backup_made", "backup_seen", "backup_removed"] {
            assert!(shown.contains(stage), "{stage}: {shown}");
        }
        assert!(!sessions(&gate, &["list"]).contains("writes wait"), "removing alone is no crime");
        let told = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
        let verdict = if switched_off { "hold" } else { "deny" };
        assert_eq!((told.verdict(), told.reason()), (verdict.to_owned(), "destructive".to_owned()));
        assert_eq!(completed(&gate).is_empty(), switched_off);
        assert!(gate.mock.volume_exists(STAGING_VOLUME));
        // From now on what else it writes waits as well, and what it reads does not.
        let restart = format!(
            "mutation {{ deploymentRestart(id: \"{}\") }}",
            crate::support::mock::STAGING_DEPLOYMENT
        );
        let write = call(&gate, STAGING_TOKEN, &restart);
        let read = gate.curl(&["https://docs.railway.com/x"]);
        assert_eq!(read.status, 200, "{read:?}");
        if switched_off {
            assert_ne!(write.reason(), "approval_required", "{write:?}");
        } else {
            assert_eq!(write.verdict(), "hold", "{write:?}");
            assert!(sessions(&gate, &["list"]).contains("its writes wait"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_were_handed_out_do_not_leave_twice() {
    let gate = gate("", |policy| policy).await;
    let leak =
        || gate.curl(&["https://docs.railway.com/x", "-H", &format!("X-Note: {STAGING_TOKEN}")]);
    // A leak by itself is refused, and that is all.
    assert_eq!(leak().verdict(), "deny");
    assert_eq!(gate.curl(&["https://docs.railway.com/y"]).status, 200);
    approved(&gate, STAGING_TOKEN, &read_variables());
    assert_eq!(gate.curl(&["https://docs.railway.com/y"]).status, 200);
    let told =
        gate.curl(&["https://docs.railway.com/x", "-H", &format!("X-Note: a{STAGING_TOKEN}")]);
    assert_eq!(told.verdict(), "deny", "{told:?}");
    let shown = sessions(&gate, &["show", AGENT]);
    assert!(shown.contains("secret_leak") && !shown.contains(STAGING_TOKEN), "{shown}");
    assert_eq!(gate.curl(&["https://docs.railway.com/y"]).status, 200, "reading goes on");
    assert!(sessions(&gate, &["list"]).contains("its writes wait"));
    assert!(
        completed(&gate)[0].contains("`leaked-secret`; then: hold_writes"),
        "{:?}",
        completed(&gate)
    );
}

/// Where access is changed every day, people are told what came after it, and nothing is stopped.
#[tokio::test(flavor = "multi_thread")]
async fn what_follows_on_widened_access_is_told() {
    let gate = gate("", |policy| {
        policy.replace(
            "      - allow: POST /deployments\n",
            "      - allow: POST /deployments\n        effect: access\n",
        )
    })
    .await;
    let violation =
        || gate.curl(&["https://docs.railway.com/x", "-X", "POST", "-d", "{}"]).reason();
    assert_eq!(violation(), "scope_violation");
    assert!(completed(&gate).is_empty());
    let widen = ["https://api.staging.railway.app/deployments", "-X", "POST", "-d", "{}"];
    assert_eq!(gate.curl(&widen).status, 201);
    assert_eq!(violation(), "scope_violation");
    assert!(completed(&gate)[0].contains("`widened-access`; then: notify; access_change by"));
    assert_eq!(gate.curl(&widen).status, 201, "nothing is stopped");
    assert!(sessions(&gate, &["list"]).contains("at large"));
    let explained = sessions(&gate, &["explain", AGENT]);
    assert!(explained.contains("widened-access: 2 of 2 steps within 30 min"), "{explained}");
    let shown = sessions(&gate, &["show", AGENT]);
    assert!(
        shown.contains("[widened-access 1/2]") && shown.contains("[widened-access 2/2]"),
        "{shown}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_minted_credential_is_not_used_for_another() {
    let gate = gate("", |policy| {
        policy.replace(
            "      - allow: POST /deployments\n",
            "      - allow: POST /deployments\n        effect: credential\n",
        )
    })
    .await;
    assert_eq!(gate.delete_volume(FOREIGN, PRODUCTION_VOLUME).reason(), "foreign_credential");
    assert!(completed(&gate).is_empty(), "{:?}", completed(&gate));
    let mint = ["https://api.staging.railway.app/deployments", "-X", "POST", "-d", "{}"];
    assert_eq!(gate.curl(&mint).status, 201);
    let read = gate.graphql(FOREIGN, &json!({ "query": "query { me { email } }" }));
    assert_eq!((read.verdict(), read.reason()), ("deny".into(), "foreign_credential".into()));
    assert!(
        completed(&gate).iter().any(|told| told.contains("`minted-credential`; then: hold_writes")),
        "{:?}",
        completed(&gate)
    );
    assert!(sessions(&gate, &["list"]).contains("its writes wait"));
}
