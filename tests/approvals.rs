//! The approvers' listener: who may answer, how people hear of a hold, and that an agent cannot.

use crate::support::client::{Plain, read_message, say};
use crate::support::mock::{Options, PRODUCTION_VOLUME, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::policy::Edit;
use crate::support::{APPROVER_TOKEN, FOREIGN, Gate, sha256, until};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// A gate with a hold that waits, and its id.
async fn waiting() -> (Gate, String) {
    let gate = Gate::with(Options::default(), |policy| {
        Edit(policy).replace("  wait: 20s\n", "  wait: 100ms\n").0
    })
    .await;
    let id = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME).json()["hold"]["id"].clone();
    (gate, id.as_str().unwrap().to_owned())
}

/// A request to a listener, with the headers that are said and a Host.
async fn ask(address: SocketAddr, line: &str, headers: &[&str], body: &str) -> Plain {
    let own = format!("Host: {address}");
    let named = headers.iter().any(|header| header.starts_with("Host:"));
    let host = if named { None } else { Some(&*own) };
    let fields: Vec<&str> = headers.iter().copied().chain(host).collect();
    let (fields, length) = (fields.join("\r\n"), body.len());
    let head = format!("{line} HTTP/1.1\r\n{fields}\r\nContent-Length: {length}\r\n\r\n");
    say(address, &format!("{head}{body}")).await
}

/// M-06, M-08, N-09.
#[tokio::test(flavor = "multi_thread")]
async fn only_approvers_answer() {
    let (gate, id) = waiting().await;
    let approvals = gate.running().approvals;
    let right = format!("Authorization: Bearer {APPROVER_TOKEN}");
    let agent = format!("Authorization: Bearer {STAGING_TOKEN}");
    let hash = format!("Authorization: Bearer sha256:{}", sha256(APPROVER_TOKEN.as_bytes()));
    let json = "Content-Type: application/json";
    let approve = format!("POST /v1/holds/{id}/approve");
    let approve = &*approve;
    let get = format!("GET /v1/holds/{id}/approve");
    let cookie = format!("Cookie: token={APPROVER_TOKEN}");
    let query = format!("POST /v1/holds/{id}/approve?token={APPROVER_TOKEN}");
    let rebound = format!("Host: evil.example:{}", approvals.port());
    let cases: &[(&str, &[&str], &str, u16)] = &[
        ("GET /v1/holds", &[], "", 401),
        ("GET /v1/events", &[], "", 401),
        ("GET /v1/agents", &[], "", 401),
        (approve, &[json], "", 401),
        (approve, &[json, &agent], "", 401),
        (approve, &[json, &hash], "", 401),
        (approve, &[json, "Authorization: Bearer "], "", 401),
        (approve, &[json, "Authorization: Basic YWxpY2U6"], "", 401),
        (approve, &[json, &cookie], "", 401),
        (&query, &[json], "", 401),
        (&get, &[&right], "", 405),
        (approve, &[&right], "", 415),
        (approve, &[&right, "Content-Type: text/plain"], "{}", 415),
        (approve, &[&right, "Content-Type: application/x-www-form-urlencoded"], "", 415),
        (approve, &[&right, json], "{\"reason\": 1}", 400),
        (approve, &[&right, json], "{\"approver\": \"bob\"}", 400),
        (approve, &[&right, json, "Origin: https://evil.example"], "", 403),
        (approve, &[&right, json, "Origin: null"], "", 403),
        (approve, &[&right, json, &rebound], "", 403),
        ("POST /v1/holds/h_none/approve", &[&right, json], "", 404),
        ("GET /v1/holds?state=some", &[&right], "", 400),
        ("GET /healthz", &[], "", 200),
        ("GET /readyz", &[], "", 200),
        ("GET /metrics", &[], "", 200),
        ("GET /metrics", &[&rebound], "", 403),
    ];
    for (line, headers, body, status) in cases {
        let answer = ask(approvals, line, headers, body).await;
        assert_eq!(answer.status, *status, "{line} {headers:?}: {answer:?}");
        assert!(answer.head.contains("cache-control: no-store") || *status == 403, "{answer:?}");
    }
    let long = format!("{{\"reason\": \"{}\"}}", "x".repeat(20 << 10));
    assert_eq!(ask(approvals, approve, &[&right, json], &long).await.status, 413);
    let still = ask(approvals, &format!("GET /v1/holds/{id}"), &[&right], "").await;
    let still: Value = serde_json::from_str(&still.body).unwrap();
    assert_eq!(still["state"], "waiting", "{still}");
    let done = ask(approvals, approve, &[&right, json], "{\"reason\": \"agreed\"}").await;
    let done: Value = serde_json::from_str(&done.body).unwrap();
    assert_eq!(
        (&done["state"], &done["approvals"][0]["approver"]),
        (&"approved".into(), &"alice".into())
    );
    assert_eq!(ask(approvals, approve, &[&right, json], "").await.status, 409);
    let metrics = ask(approvals, "GET /metrics", &[], "").await.body;
    assert!(metrics.lines().any(|line| line.contains("hold") && line.ends_with(" 1")), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_are_slowed_down_and_the_right_one_is_not() {
    let (gate, _) = waiting().await;
    let approvals = gate.running().approvals;
    let mut refused = 0;
    for guess in 0..60 {
        let guess = format!("Authorization: Bearer guess-{guess}");
        refused += usize::from(ask(approvals, "GET /v1/holds", &[&guess], "").await.status == 429);
    }
    assert!(refused >= 20, "{refused}");
    assert_eq!(gate.waiting().len(), 1, "an approver is not shut out by another's guesses");
}

/// C-23, M-05, N-03.
#[tokio::test(flavor = "multi_thread")]
async fn the_agents_side_has_no_way_to_it() {
    let (gate, id) = waiting().await;
    let (proxy, approvals) = (gate.running().proxy, gate.running().approvals);
    let port = approvals.port();
    let right = format!("Authorization: Bearer {APPROVER_TOKEN}");
    // Plain HTTP by absolute form, with the right token even.
    for host in [
        format!("127.0.0.1:{port}"),
        format!("localhost:{port}"),
        format!("[::1]:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("127.1:{port}"),
        format!("2130706433:{port}"),
        format!("0x7f.0.0.1:{port}"),
        format!("0.0.0.0:{port}"),
    ] {
        let line = format!("POST http://{host}/v1/holds/{id}/approve");
        let answer = ask(
            proxy,
            &line,
            &[&format!("Host: {host}"), &right, "Content-Type: application/json"],
            "",
        )
        .await;
        assert!([400, 403].contains(&answer.status), "{host}: {answer:?}");
        assert!(answer.head.contains("proxy-status: holdgate"), "{host}: {answer:?}");
    }
    // Neither the proxy's own port nor a tunnel leads there.
    for path in ["/v1/holds", "/metrics", "/healthz"] {
        let answer = ask(proxy, &format!("GET {path}"), &[&right], "").await;
        assert!(answer.status >= 400, "{path}: {answer:?}");
    }
    for host in ["127.0.0.1", "localhost", "[::1]"] {
        let answer = ask(proxy, &format!("CONNECT {host}:{port}"), &[], "").await;
        assert!([400, 403].contains(&answer.status), "{host}: {answer:?}");
    }
    assert_eq!(gate.waiting().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_declared_host_led_to_the_approvers_is_refused() {
    let gate = Gate::start().await;
    let approvals = gate.running().approvals;
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let changed = Edit(policy)
        .resolve("inside.example:80", approvals)
        .resource("inside", "hosts: [inside.example]\nports: [80/http]\nrules:\n  - allow: GET /**\n  - allow: POST /**")
        .0;
    crate::support::write_policy(gate.folder.path(), &changed);
    gate.reload();
    let answer = ask(
        gate.running().proxy,
        "GET http://inside.example/healthz",
        &["Host: inside.example"],
        "",
    )
    .await;
    assert_eq!((answer.status, &*answer.reason()), (502, "private_address"), "{answer:?}");
}

/// A webhook's receiver: answers 500 to the first request and 200 to what follows.
async fn receiver() -> (SocketAddr, Arc<Mutex<Vec<(String, String)>>>, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let mut serving = JoinSet::new();
    serving.spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let mut stream = BufReader::new(stream);
            let request = read_message(&mut stream).await;
            let first = kept.lock().unwrap().is_empty();
            kept.lock().unwrap().push(request);
            let status = if first { "500 Sorry" } else { "200 OK" };
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (address, seen, serving)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_hears_of_each_hold_once_it_listens() {
    const SECRET: &str = "shared-with-the-receiver";
    let (address, seen, serving) = receiver().await;
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("webhook-secret");
    std::fs::write(&secret, SECRET).unwrap();
    let gate = Gate::with(Options::default(), |policy| {
        let webhook = format!(
            "\napprovals:\n  webhook: {{ url: \"http://{address}/hook?team=a\", secret: {{ file: \"{}\" }} }}\n",
            secret.display()
        );
        let sequence = "\nsequences:\n  - name: told\n    within: 30m\n    \
                        steps: [foreign_credential, irreversible]\n    then: notify\n";
        Edit(policy)
            .replace("\napprovals:\n", &webhook)
            .replace("\nsequences:\n", sequence)
            .replace("  wait: 20s\n", "  wait: 100ms\n")
            .0
    })
    .await;
    let answer = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME).json();
    let id = answer["hold"]["id"].as_str().unwrap();
    until("two deliveries", || (seen.lock().unwrap().len() == 2).then_some(()));
    for (head, body) in seen.lock().unwrap().iter() {
        assert!(head.starts_with("post /hook?team=a "), "{head}");
        let header =
            |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap().to_owned();
        assert_eq!(header("holdgate-delivery: "), id);
        let signed = format!("{}.{}", header("holdgate-timestamp: "), body);
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, SECRET.as_bytes());
        let expected = aws_lc_rs::hmac::sign(&key, signed.as_bytes());
        let expected = format!("v1={}", holdgate::fingerprint::hex(expected.as_ref()));
        assert_eq!(header("holdgate-signature: "), expected);
        assert!(!body.contains(STAGING_TOKEN), "{body}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["id"], &body["state"]), (&id.into(), &"waiting".into()));
    }
    // The retry of a call that waits is not one more hold.
    gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    let lines = gate.running().log().matches(&format!("held {id}: ")).count();
    assert_eq!((seen.lock().unwrap().len(), lines), (2, 1));
    // A sequence that is complete is told of as well.
    assert_eq!(gate.delete_volume(FOREIGN, PRODUCTION_VOLUME).reason(), "foreign_credential");
    until("a third delivery", || (seen.lock().unwrap().len() == 3).then_some(()));
    let (head, body) = seen.lock().unwrap()[2].clone();
    let told: Value = serde_json::from_str(&body).unwrap();
    assert!(
        head.contains(&format!("holdgate-delivery: {}", told["id"].as_str().unwrap())),
        "{head}"
    );
    assert_eq!((&told["sequence"], &told["then"]), (&"told".into(), &"notify".into()));
    assert_eq!(told["agent"], "staging-fixer");
    let stages: Vec<&str> =
        told["met"].as_array().unwrap().iter().map(|one| one["stage"].as_str().unwrap()).collect();
    assert_eq!(stages, ["foreign_credential", "irreversible"]);
    assert!(!body.contains(FOREIGN), "{body}");
    drop(serving);
}
