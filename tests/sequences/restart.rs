//! What an agent went through outlives the process, also where another version wrote it.

use super::{AGENT, completed, gate, sessions};
use crate::support::mock::{PRODUCTION_VOLUME, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::{FOREIGN, Gate, until};
use sqlx::{Connection as _, SqliteConnection};
use std::time::{SystemTime, UNIX_EPOCH};

/// Puts rows in place of what is kept of the agent.
async fn kept(gate: &Gate, stages: &str) {
    let file = std::fs::read_dir(gate.folder.path().join("state")).unwrap();
    let mut files = file.map(|entry| entry.unwrap().path());
    let file = files.find(|path| path.extension().is_some_and(|it| it == "sqlite")).unwrap();
    let mut store = SqliteConnection::connect(&format!("sqlite:{}", file.display())).await.unwrap();
    let text = format!(
        "INSERT OR REPLACE INTO trajectories (agent, stages, at) VALUES ('{AGENT}', '{stages}', 1)"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(text)).execute(&mut store).await.unwrap();
    store.close().await.unwrap();
}

/// The incident from its second step on: the first was noted by a process before.
#[tokio::test(flavor = "multi_thread")]
async fn a_discovery_before_a_restart_counts_after_it() {
    for (minutes, discovery, quarantined) in [
        (1, r#""credential_discovery""#, true),
        (40, r#""credential_discovery""#, false),
        (1, r#""a_stage_of_another_version""#, false),
    ] {
        let mut gate = gate("", |policy| policy).await;
        gate.drain();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        let at = now - minutes * 60_000;
        kept(&gate, &format!(r#"[{{"stage":{discovery},"at":{at},"what":"grep -r TOKEN ."}}]"#))
            .await;
        gate.serve();
        if !quarantined && minutes == 1 {
            let log = || gate.running().log();
            until("a line about it", || log().contains("a stage is not known").then_some(()));
        }
        assert_eq!(gate.delete_volume(FOREIGN, PRODUCTION_VOLUME).reason(), "foreign_credential");
        let read = gate.curl(&["https://docs.railway.com/x"]);
        let status = if quarantined { 403 } else { 200 };
        assert_eq!(read.status, status, "{discovery} {minutes}: {read:?}");
        let told = completed(&gate);
        assert_eq!(told.len(), if quarantined { 2 } else { 0 }, "{told:?}");
        if quarantined {
            let report = "credential_discovery by `grep -r TOKEN .`";
            assert!(told.iter().all(|told| told.contains(report)), "{told:?}");
        }
        assert!(
            gate.mock.deletions().is_empty() && (!quarantined || gate.mock.bytes_received() == 0)
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sequence_goes_on_where_a_crash_broke_it_off() {
    let sequence = "  - name: told\n    within: 30m\n    \
                    steps: [foreign_credential, deletion]\n    then: hold_writes\n";
    let mut gate = gate(sequence, |policy| policy).await;
    let read = gate.graphql(FOREIGN, &serde_json::json!({ "query": "query { me { email } }" }));
    assert_eq!(read.reason(), "foreign_credential");
    gate.drain();
    gate.serve();
    let told = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    assert_eq!((told.verdict(), told.reason()), ("deny".into(), "destructive".into()), "{told:?}");
    gate.kill();
    gate.serve();
    assert!(sessions(&gate, &["list"]).contains("its writes wait"));
    sessions(&gate, &["release", AGENT]);
    assert_eq!(gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME).verdict(), "hold");
}
