//! The four cases that must never go wrong, and the call as it was published.

use crate::support::mock::{Options, PRODUCTION_VOLUME, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::{FOREIGN, Gate, delete_volume, until};
use serde_json::json;

const UNDECLARED: &str = "dddddddd-0000-4000-8000-00000000ffff";

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_token_and_an_issued_one_do_not_reach_production() {
    let gate = Gate::start().await;
    let cases = [
        (
            FOREIGN,
            PRODUCTION_VOLUME,
            "foreign_credential",
            vec!["foreign_credential", "scope_violation"],
        ),
        (FOREIGN, STAGING_VOLUME, "foreign_credential", vec!["foreign_credential"]),
        (
            STAGING_TOKEN,
            PRODUCTION_VOLUME,
            "credential_out_of_scope",
            vec!["credential_out_of_scope", "scope_violation"],
        ),
    ];
    for (token, volume, reason, findings) in cases {
        let answer = gate.delete_volume(token, volume);
        assert_eq!(answer.status, 403, "{answer:?}");
        let body = answer.json();
        assert_eq!(body["reason"], reason);
        assert_eq!(body["verdict"], "deny");
        assert_eq!(body["data"], serde_json::Value::Null);
        assert_eq!(body["errors"][0]["extensions"]["code"], "DENIED");
        assert!(body["operation"] == "mutation volumeDelete" && body["target"]["volume"] == volume);
        let found: Vec<&str> = body["findings"]
            .as_array()
            .unwrap()
            .iter()
            .map(|f| f["reason"].as_str().unwrap())
            .collect();
        for finding in findings {
            assert!(found.contains(&finding), "{found:?}");
        }
        assert!(!answer.body.contains(token), "a secret stands in the answer");
        assert!(!answer.body.to_ascii_lowercase().contains("not authorized"));
        assert!(answer.head.contains(&format!("details=\"{reason}\"")), "{}", answer.head);
        assert!(answer.head.contains("cache-control: no-store"));
    }
    assert_eq!(gate.mock.bytes_received(), 0, "denied calls reached the mock");
    assert!(gate.mock.volume_exists(PRODUCTION_VOLUME) && gate.mock.volume_exists(STAGING_VOLUME));
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_credential_covers_production_the_scope_is_the_reason() {
    let gate = Gate::with(Options::default(), |policy| {
        policy.replace(
            "resources: [railway-staging]\n",
            "resources: [railway-staging, railway-production]\n",
        )
    })
    .await;
    let answer = gate.delete_volume(STAGING_TOKEN, PRODUCTION_VOLUME);
    assert_eq!(answer.reason(), "scope_violation", "{answer:?}");
    assert_eq!(answer.json()["environment"], "production");
    assert!(answer.json()["rule"].as_str().unwrap().starts_with("policy.yaml:"));
    assert_eq!(gate.mock.bytes_received(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_in_staging_is_held_approved_and_done_once() {
    let gate = Gate::start().await;
    let waiting = std::thread::scope(|scope| {
        let call = scope.spawn(|| gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME));
        let id = gate.wait_for_hold();
        assert_eq!(gate.mock.bytes_received(), 0, "a held call reached the mock");
        let shown = gate.holdgate(&["approvals", "show", &id]);
        let card = String::from_utf8(shown.stdout).unwrap();
        for word in [
            "mutation volumeDelete",
            "irreversible",
            STAGING_VOLUME,
            "staging",
            "railway-staging-token",
        ] {
            assert!(card.contains(word), "{word} is not on the card:\n{card}");
        }
        gate.approve(&id);
        (call.join().unwrap(), id)
    });
    let (answer, id) = waiting;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.json()["data"]["volumeDelete"], true);
    assert_eq!(gate.mock.deletions(), [STAGING_VOLUME]);
    let over = gate.holdgate(&["approvals", "approve", &id]);
    assert_eq!(over.status.code(), Some(1), "an answer to what is over is refused");
    let line = until("a line for the hold", || {
        let log = gate.running().log();
        log.lines().find(|line| line.contains(&id)).map(str::to_owned)
    });
    assert!(line.contains("volumeDelete"), "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_that_nobody_declared_is_never_allowed() {
    let gate =
        Gate::with(Options::default(), |policy| policy.replace("wait: 20s", "wait: 1s")).await;
    let answer = gate.delete_volume(STAGING_TOKEN, UNDECLARED);
    assert_eq!(answer.status, 403);
    let body = answer.json();
    assert_eq!(
        (body["reason"].as_str(), body["verdict"].as_str()),
        (Some("unknown_target"), Some("hold"))
    );
    assert_eq!(body["hold"]["state"], "waiting");
    assert!(answer.head.contains("retry-after:"));
    assert_eq!(body["errors"][0]["extensions"]["code"], "HELD");
    assert_eq!(gate.mock.bytes_received(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn everyday_work_passes() {
    let gate = Gate::start().await;
    let redeploy = json!({
        "query": "mutation R($e: String!) { serviceInstanceRedeploy(environmentId: $e, serviceId: \"cccccccc-0000-4000-8000-000000000001\") }",
        "variables": { "e": "bbbbbbbb-0000-4000-8000-000000000001" },
    });
    let answer = gate.graphql(STAGING_TOKEN, &redeploy);
    assert_eq!(
        (answer.status, &answer.json()["data"]["serviceInstanceRedeploy"]),
        (200, &json!(true)),
        "{answer:?}"
    );
    assert_eq!(gate.mock.requests().len(), 1);
    let seen = &gate.mock.requests()[0];
    assert_eq!(seen.host, "backboard.railway.com");
    assert_eq!(seen.body, redeploy.to_string().as_bytes(), "the body is forwarded byte for byte");
    assert_eq!(gate.curl(&["https://docs.railway.com/x"]).status, 200);
    assert_eq!(
        gate.curl(&["-X", "POST", "https://docs.railway.com/x"]).reason(),
        "scope_violation"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_body_that_is_not_read_is_refused() {
    let gate = Gate::start().await;
    let authorization = format!("Authorization: Bearer {STAGING_TOKEN}");
    let doubled = r#"{"query":"{ me { id } }","query":"mutation { x }"}"#;
    let unread = [
        (vec!["-d", doubled], "unreadable"),
        (vec!["-d", "{\"query\":\"mutation { volumeDelete(\"}"], "unreadable"),
        (vec!["-d", "not json"], "unreadable"),
        (vec!["-H", "Content-Encoding: gzip", "-d", "{\"query\":\"{ me { id } }\"}"], "unreadable"),
        (
            vec!["-H", "X-HTTP-Method-Override: GET", "-d", "{\"query\":\"{ me { id } }\"}"],
            "malformed",
        ),
    ];
    for (arguments, reason) in unread {
        let mut all = vec!["https://backboard.railway.com/graphql/v2", "-H", &authorization];
        all.extend(arguments);
        let answer = gate.curl(&all);
        assert_eq!(answer.reason(), reason, "{answer:?}");
    }
    assert_eq!(gate.mock.bytes_received(), 0);
    let batch =
        json!([{ "query": "{ projectToken { projectId } }" }, delete_volume(PRODUCTION_VOLUME)]);
    assert_eq!(gate.graphql(STAGING_TOKEN, &batch).reason(), "credential_out_of_scope");
    assert_eq!(gate.mock.bytes_received(), 0);
}
