//! The four cases that must never go wrong, and the call as it was published.

use crate::support::client::{Client, full};
use crate::support::mock::{Options, PRODUCTION_VOLUME, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::socket::Socket;
use crate::support::{FOREIGN, Gate, delete_volume, until};
use serde_json::json;

const UNDECLARED: &str = "dddddddd-0000-4000-8000-00000000ffff";

/// K-01.
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

/// I-03, I-09.
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

/// I-02, J-04, J-13.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_with_two_readings_is_refused() {
    let gate = Gate::start().await;
    let authorization = format!("Authorization: Bearer {STAGING_TOKEN}");
    let hidden = format!("mutation{{volumeDelete(volumeId:%22{PRODUCTION_VOLUME}%22)}}");
    let polyglot = |key: &str| {
        format!("{{\"query\":\"{{__typename}}\",\"variables\":{{\"x\":\"&{key}={hidden}&y=\"}}}}")
    };
    let read = r#"{"query":"{__typename}"}"#.to_owned();
    let form = "Content-Type: application/x-www-form-urlencoded";
    let cases = [
        (form, polyglot("query")),
        (form, polyglot("%71uery")),
        (form, polyglot("Query")),
        (form, polyglot("query[]")),
        (form, polyglot("operations")),
        ("Content-Type: application/json; charset=utf-7", read.clone()),
        ("Content-Type: application/json; charset=\"UTF-16\"", read.clone()),
        ("Content-Type: application/json; x=1;CHARSET=latin1", read.clone()),
        ("Content-Encoding: br", read),
    ];
    let url = "https://backboard.railway.com/graphql/v2";
    for (header, body) in cases {
        let answer = gate.curl(&[url, "-H", &authorization, "-H", header, "--data-raw", &body]);
        assert_eq!(answer.reason(), "unreadable", "{header} {body}: {answer:?}");
    }
    let deletion = delete_volume(PRODUCTION_VOLUME).to_string();
    for (method, http2) in [("GET", false), ("HEAD", false), ("GET", true), ("HEAD", true)] {
        let mut client = Client::open(gate.running(), "backboard.railway.com", http2).await;
        let request = client
            .request(method, "/graphql/v2?query=%7B__typename%7D")
            .header("authorization", format!("Bearer {STAGING_TOKEN}"))
            .body(full(deletion.clone()))
            .unwrap();
        let got = client.exchange(request).await;
        assert_eq!(got.status, 403, "{method} http2={http2}: {got:?}");
        assert_eq!(got.body.is_empty(), method == "HEAD", "{method} http2={http2}: {got:?}");
    }
    assert_eq!(gate.mock.bytes_received(), 0);
    // The published call's label alone is no second reading, and an ampersand in it neither.
    let body = json!({ "query": "{ projectToken { environmentId } } # a & b" }).to_string();
    let answer = gate.curl(&[url, "-H", &authorization, "-H", form, "--data-raw", &body]);
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_is_the_same_in_every_spelling() {
    let gate = Gate::start().await;
    let plain = PRODUCTION_VOLUME.replace('-', "");
    for id in [
        PRODUCTION_VOLUME.to_uppercase(),
        plain.clone(),
        plain.to_uppercase(),
        format!("{{{PRODUCTION_VOLUME}}}"),
        format!("urn:uuid:{PRODUCTION_VOLUME}"),
        format!(" {PRODUCTION_VOLUME} "),
    ] {
        let answer = gate.delete_volume(STAGING_TOKEN, &id);
        assert_eq!(answer.reason(), "credential_out_of_scope", "{id}: {answer:?}");
    }
    // Behind a thousand others it is not overlooked.
    let mut ids: Vec<String> = (0..1500).map(|number| format!("harmless-{number}")).collect();
    ids.push(PRODUCTION_VOLUME.to_owned());
    let many = json!({
        "query": "mutation M($ids: [String!]!) { somethingNew(ids: $ids) }",
        "variables": { "ids": ids },
    });
    let answer = gate.graphql(STAGING_TOKEN, &many);
    assert_eq!(answer.verdict(), "deny", "{answer:?}");
    assert_eq!(gate.mock.bytes_received(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issued_credential_covers_no_other_in_its_slot() {
    let gate = Gate::start().await;
    let url = "https://backboard.railway.com/graphql/v2";
    let body = json!({ "query": "{ me { email } }" }).to_string();
    let both = format!("{FOREIGN}:{STAGING_TOKEN}");
    let cases: Vec<Vec<String>> = vec![
        vec!["-u".into(), both],
        vec!["-H".into(), format!("Authorization: {FOREIGN} {STAGING_TOKEN}")],
        vec!["-H".into(), format!("Project-Access-Token: {FOREIGN} {STAGING_TOKEN}")],
        vec![
            "-H".into(),
            format!("Authorization: Token token=\"{STAGING_TOKEN}\", key=\"{FOREIGN}\""),
        ],
        vec![
            "-H".into(),
            format!("Authorization: Bearer {STAGING_TOKEN}"),
            "-H".into(),
            format!("X-Auth: {FOREIGN}"),
        ],
    ];
    for case in cases {
        let mut arguments: Vec<&str> = case.iter().map(String::as_str).collect();
        arguments.extend([url, "-H", "Content-Type: application/json", "-d", &body]);
        let answer = gate.curl(&arguments);
        assert_eq!(answer.reason(), "foreign_credential", "{case:?}: {answer:?}");
    }
    assert_eq!(gate.mock.bytes_received(), 0);
}

/// J-01, J-07, J-09: the incident in six disguises, on a volume of staging, of production, and of nobody.
#[tokio::test(flavor = "multi_thread")]
async fn the_incident_has_one_verdict_in_whatever_disguise() {
    let gate =
        Gate::with(Options::default(), |policy| policy.replace("wait: 20s", "wait: 1s")).await;
    let disguises = |volume: &str| {
        [
            delete_volume(volume),
            json!({"query": "mutation D($id: String!) { volumeDelete(volumeId: $id) }", "variables": {"id": volume}}),
            json!({"query": format!("mutation {{ harmless: volumeDelete(volumeId: \"{volume}\") }}")}),
            json!({"query": format!("mutation {{ ...F }} fragment F on Mutation {{ volumeDelete(volumeId: \"{volume}\") }}")}),
            json!([{"query": "{ me { email } }"}, delete_volume(volume)]),
        ]
    };
    let expected = [
        (STAGING_VOLUME, "hold", "destructive"),
        (PRODUCTION_VOLUME, "deny", "credential_out_of_scope"),
        (UNDECLARED, "hold", "unknown_target"),
    ];
    for (volume, verdict, reason) in expected {
        for body in disguises(volume) {
            let told = gate.graphql_file(STAGING_TOKEN, &body).json();
            assert_eq!(
                (&told["verdict"], &told["reason"]),
                (&json!(verdict), &json!(reason)),
                "{body}"
            );
            assert_eq!(told["operation"], "mutation volumeDelete", "{body}");
        }
        let mut socket = Socket::railway(&gate, "graphql-transport-ws", Some(STAGING_TOKEN)).await;
        socket.begin(&json!({})).await;
        let subscribe = json!({"type": "subscribe", "id": "1", "payload": delete_volume(volume)});
        socket.say(&subscribe).await;
        let told = &socket.hear().await["payload"][0]["extensions"];
        assert_eq!((&told["verdict"], &told["reason"]), (&json!(verdict), &json!(reason)));
        assert_eq!(told["operation"], "mutation volumeDelete");
    }
    assert!(gate.mock.deletions().is_empty());
    assert!(gate.mock.volume_exists(PRODUCTION_VOLUME) && gate.mock.volume_exists(STAGING_VOLUME));
    let subscribed = |text: &String| text.contains("volumeDelete");
    assert!(!gate.mock.messages().iter().any(subscribed), "{:?}", gate.mock.messages());
}
