//! What answers teach: which environment an id belongs to, through the proxy, in the store, and for the
//! people who ask.

use crate::support::mock::{
    Options, PRODUCTION_ENVIRONMENT, PRODUCTION_VOLUME, PROJECT, STAGING_DEPLOYMENT,
    STAGING_ENVIRONMENT, STAGING_TOKEN, STAGING_VOLUME,
};
use crate::support::origin::{Body, Identity, Origin};
use crate::support::policy::Edit;
use crate::support::{Answer, Gate};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::io::Write as _;

const NEVER_LISTED: &str = "dddddddd-0000-4000-8000-00000000ffff";
const GRAPHQL: &str = "https://backboard.railway.com/graphql/v2";

/// A policy that declares the two environments and nothing else.
fn environments_only(policy: String) -> Edit {
    Edit(policy)
        .replace("  wait: 20s\n", "  wait: 100ms\n")
        .replace(&format!("      volume: [{STAGING_VOLUME}]\n"), "")
        .replace(&format!("      volume: [{PRODUCTION_VOLUME}]\n"), "")
}

async fn gate() -> Gate {
    Gate::with(Options::default(), |policy| environments_only(policy).0).await
}

fn asked(gate: &Gate, document: &str) -> Answer {
    gate.graphql(STAGING_TOKEN, &json!({ "query": document }))
}

/// What the agent does to find its way: it lists the project with its volumes.
fn list(gate: &Gate, node: &str) -> Answer {
    let document = format!(
        "{{ project(id: \"{PROJECT}\") {{ id name volumes {{ edges {{ node {{ {node} }} }} }} }} }}"
    );
    let answer = asked(gate, &document);
    assert_eq!((answer.status, answer.json()["errors"].is_null()), (200, true), "{answer:?}");
    answer
}

const VOLUMES: &str = "id name volumeInstances { edges { node { environmentId } } }";

/// The verdict on a deletion, with its reason.
fn deletion(gate: &Gate, volume: &str) -> (String, String) {
    let answer = gate.delete_volume(STAGING_TOKEN, volume);
    (answer.verdict(), answer.reason())
}

fn is(verdict: &str, reason: &str) -> (String, String) {
    (verdict.to_owned(), reason.to_owned())
}

fn unknown() -> (String, String) {
    is("hold", "unknown_target")
}

fn denied() -> (String, String) {
    is("deny", "credential_out_of_scope")
}

/// What was learned, as `kind id in owner`.
fn learned(gate: &Gate) -> Vec<String> {
    let output = gate.holdgate(&["inventory", "list", "--json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let facts: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |fact: &Value, key: &str| fact[key].as_str().unwrap().to_owned();
    facts
        .iter()
        .map(|fact| {
            format!("{} {} in {}", text(fact, "kind"), text(fact, "id"), text(fact, "owner"))
        })
        .collect()
}

/// No deletion has left: not one byte of one.
fn nothing_was_deleted(gate: &Gate) {
    assert!(gate.mock.deletions().is_empty());
    let sent = gate.mock.requests();
    let deletes = |body: &[u8]| String::from_utf8_lossy(body).contains("volumeDelete");
    assert!(!sent.iter().any(|seen| deletes(&seen.body)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listing_tells_production_from_staging() {
    let gate = gate().await;
    // Nobody can say what these are, so each waits for a person.
    for volume in [STAGING_VOLUME, PRODUCTION_VOLUME, NEVER_LISTED] {
        assert_eq!(deletion(&gate, volume), unknown(), "{volume}");
    }
    let answer = list(&gate, VOLUMES);
    // What the client got is what the upstream said.
    let volumes = answer.json()["data"]["project"]["volumes"]["edges"].as_array().unwrap().len();
    assert_eq!(volumes, 2);
    assert_eq!(deletion(&gate, PRODUCTION_VOLUME), denied());
    assert_eq!(deletion(&gate, STAGING_VOLUME), is("hold", "destructive"));
    assert_eq!(deletion(&gate, NEVER_LISTED), unknown());
    nothing_was_deleted(&gate);
    let told = gate.delete_volume(STAGING_TOKEN, PRODUCTION_VOLUME).json();
    assert_eq!(told["target"]["volume"], PRODUCTION_VOLUME, "{told}");
    // The record of the denial names the one whose answer said so.
    let records = gate.records();
    let listing = records.iter().find(|record| record["operations"][0] == "query project");
    let denial = records.iter().rev().find(|record| record["verdict"] == "deny").unwrap();
    let target = &denial["targets"][0];
    assert_eq!(target["environment"], "production", "{denial}");
    assert_eq!(target["learned"], listing.unwrap()["request_id"], "{denial}");
    // The person reads how it is known.
    let hold = gate.waiting().into_iter().find(|hold| {
        let targets = hold["card"]["targets"].to_string();
        targets.contains(STAGING_VOLUME) && targets.contains("learned ")
    });
    let hold = hold.expect("the card of the held deletion");
    let told = hold["card"]["targets"][0]["learned"].as_str().unwrap();
    assert!(told.contains(" ago from `query project` (r_"), "{told}");
    assert!(told.ends_with("; it may belong elsewhere as well"), "{told}");
    let shown = gate.holdgate(&["approvals", "show", hold["id"].as_str().unwrap()]);
    assert!(String::from_utf8_lossy(&shown.stdout).contains("learned "), "{shown:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_environment_says_what_is_in_it() {
    let gate = gate().await;
    let document = "query E($id: String!) { environment(id: $id) { \
        volumeInstances { edges { node { volume { id name } } } } \
        serviceInstances { edges { node { ...S } } } } } \
        fragment S on ServiceInstance { environmentId latestDeployment { id } }";
    let request = json!({ "query": document, "variables": { "id": STAGING_ENVIRONMENT } });
    let restart = format!("mutation {{ deploymentRestart(id: \"{STAGING_DEPLOYMENT}\") }}");
    assert_eq!(asked(&gate, &restart).reason(), "unknown_target");
    let answer = gate.graphql(STAGING_TOKEN, &request);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(deletion(&gate, STAGING_VOLUME), is("hold", "destructive"));
    // It was not asked for what is in production.
    assert_eq!(deletion(&gate, PRODUCTION_VOLUME), unknown());
    // An everyday write on what is wholly in staging passes without a person.
    let answer = asked(&gate, &restart);
    assert_eq!((answer.status, &answer.json()["data"]["deploymentRestart"]), (200, &true.into()));
    // A volume may be in several environments: renaming it needs to know of all.
    let rename = format!(
        "mutation {{ volumeUpdate(volumeId: \"{STAGING_VOLUME}\", input: {{ name: \"x\" }}) {{ id }} }}"
    );
    assert_eq!(asked(&gate, &rename).reason(), "unknown_target");
    nothing_was_deleted(&gate);
}

/// A project says where a volume is, but not in which of its environments.
#[tokio::test(flavor = "multi_thread")]
async fn what_only_a_project_shows_is_nobodys_for_certain() {
    let gate = Gate::with(Options::default(), |policy| {
        let environment = format!("      environment: [{STAGING_ENVIRONMENT}]\n");
        let project = format!("{environment}      project: [{PROJECT}]\n");
        environments_only(policy).replace(&environment, &project).0
    })
    .await;
    let rename = |volume: &str| {
        format!(
            "mutation {{ volumeUpdate(volumeId: \"{volume}\", input: {{ name: \"x\" }}) {{ id }} }}"
        )
    };
    list(&gate, "id name");
    assert_eq!(learned(&gate).len(), 2, "both volumes of the project");
    for volume in [STAGING_VOLUME, PRODUCTION_VOLUME] {
        assert_eq!(asked(&gate, &rename(volume)).reason(), "unknown_target", "{volume}");
        assert_eq!(deletion(&gate, volume).0, "hold");
    }
    for hold in gate.waiting() {
        let told = hold["card"]["targets"][0]["learned"].as_str().unwrap();
        assert!(told.ends_with("; it may belong elsewhere as well"), "{hold}");
    }
    // The listing of an environment says it of both.
    list(&gate, VOLUMES);
    assert_eq!(asked(&gate, &rename(PRODUCTION_VOLUME)).verdict(), "deny");
    assert_eq!(deletion(&gate, PRODUCTION_VOLUME).0, "deny");
    nothing_was_deleted(&gate);
}

/// A volume of staging is *named* after the one of production: nothing the agent can choose teaches.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_not_taken_for_an_id() {
    let gate = gate().await;
    gate.mock.name_volume(STAGING_VOLUME, PRODUCTION_VOLUME);
    let owner = "volumeInstances { edges { node { environmentId } } }";
    for node in [
        format!("id: name {owner}"),
        format!("id: name ...V {owner}"),
        format!("... on Volume {{ id: name }} {owner}"),
        "volumeInstances { edges { node { environmentId volume { id: name } } } }".to_owned(),
        "volumeInstances { edges { node { environmentId volumeId: mountPath } } }".to_owned(),
        format!("volumeId: name {owner}"),
    ] {
        let fragment =
            if node.contains("...V") { " fragment V on Volume { id: name }" } else { "" };
        let document = format!(
            "{{ project(id: \"{PROJECT}\") {{ volumes {{ edges {{ node {{ {node} }} }} }} }} }}{fragment}"
        );
        let answer = asked(&gate, &document);
        assert_eq!(answer.status, 200, "{answer:?}");
        let sneaked = answer.body.contains(PRODUCTION_VOLUME) || node.contains("mountPath");
        assert!(sneaked, "the attack does not even get its answer: {answer:?}");
        let volumes = learned(&gate);
        assert!(!volumes.iter().any(|fact| fact.starts_with("volume ")), "{node}: {volumes:?}");
        assert_eq!(deletion(&gate, PRODUCTION_VOLUME), unknown(), "{node}");
    }
    // The honest question has its honest answer, whatever things are called.
    list(&gate, VOLUMES);
    assert_eq!(deletion(&gate, PRODUCTION_VOLUME), denied());
    assert_eq!(deletion(&gate, STAGING_VOLUME), is("hold", "destructive"));
    nothing_was_deleted(&gate);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_learned_survives_a_restart_and_is_forgotten_on_request() {
    let mut gate = gate().await;
    list(&gate, VOLUMES);
    let before = learned(&gate);
    assert!(before.contains(&format!("volume {PRODUCTION_VOLUME} in {PRODUCTION_ENVIRONMENT}")));
    let mut running = gate.process.take().unwrap();
    running.signal("TERM");
    assert!(running.ended().success());
    gate.serve();
    assert_eq!(learned(&gate), before);
    assert_eq!(deletion(&gate, PRODUCTION_VOLUME), denied());
    // Why, for people and for programs.
    let why = |arguments: &[&str]| {
        let output = gate.holdgate(&[&["inventory", "why"], arguments].concat());
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = why(&[PRODUCTION_VOLUME]);
    assert_eq!(code, Some(0), "{text}");
    for part in [
        &format!("belongs to environment {PRODUCTION_ENVIRONMENT}, perhaps to others"),
        "railway-production in production",
        "from `query project` of staging-fixer (r_",
        "backboard.railway.com",
    ] {
        assert!(text.contains(part), "{part}\n{text}");
    }
    let (_, text) = why(&[&PRODUCTION_VOLUME.to_uppercase(), "--json"]);
    let told: Value = serde_json::from_str(&text).unwrap();
    let fact = &told["learned"][0];
    assert_eq!((&fact["agent"], &fact["declared"]), (&json!("staging-fixer"), &Value::Null));
    let request_id = fact["request_id"].as_str().unwrap().to_owned();
    assert!(gate.records().iter().any(|record| record["request_id"] == *request_id));
    let (code, text) = why(&[STAGING_ENVIRONMENT]);
    assert_eq!(code, Some(0));
    assert!(text.contains("is declared by railway-staging in staging (policy.yaml:"), "{text}");
    assert_eq!(why(&[NEVER_LISTED]), (Some(1), format!("nothing is known of {NEVER_LISTED}\n")));
    // Forgotten, it is unknown again, and who asked for that is on record.
    let forget = || gate.holdgate(&["inventory", "forget", PRODUCTION_VOLUME]);
    let output = forget();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("forgot what was learned of {PRODUCTION_VOLUME}\n")
    );
    assert_eq!(
        String::from_utf8_lossy(&forget().stdout),
        format!("nothing was learned of {PRODUCTION_VOLUME}\n")
    );
    assert_eq!(deletion(&gate, PRODUCTION_VOLUME), unknown());
    assert_eq!(deletion(&gate, STAGING_VOLUME), is("hold", "destructive"));
    let detail = format!("forgot what was learned of `{PRODUCTION_VOLUME}`");
    let told = |record: &&Value| record["detail"] == *detail;
    let records = gate.records();
    assert_eq!(records.iter().find(told).unwrap()["approver"], "alice");
    gate.kill();
    gate.serve();
    assert_eq!(deletion(&gate, PRODUCTION_VOLUME), unknown());
    // Nobody without a token is told anything.
    let url = format!("http://{}/v1/inventory", gate.running().approvals);
    let refused = std::process::Command::new("curl")
        .args(["-s", "-o", "/dev/null", "-w", "%{http_code}", &url])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&refused.stdout), "401");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_makes_what_is_known_of_its_ids_unknown() {
    let gate = gate().await;
    list(&gate, VOLUMES);
    assert_eq!(deletion(&gate, STAGING_VOLUME), is("hold", "destructive"));
    // What is held or refused touches nothing.
    assert_eq!(deletion(&gate, PRODUCTION_VOLUME), denied());
    let of = |volume: &str| learned(&gate).iter().filter(|fact| fact.contains(volume)).count();
    assert!(of(STAGING_VOLUME) > 0 && of(PRODUCTION_VOLUME) > 0);
    let id = gate.wait_for_hold();
    gate.approve(&id);
    let answer = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(gate.mock.deletions(), [STAGING_VOLUME]);
    assert_eq!(of(STAGING_VOLUME), 0);
    assert!(of(PRODUCTION_VOLUME) > 0);
    assert_eq!(deletion(&gate, STAGING_VOLUME), unknown());
}

/// An answer to the listing of an environment's volume instances.
fn instances(id: &str, padding: usize) -> String {
    let node = json!({ "node": { "id": id } });
    let data = json!({ "environment": { "volumeInstances": { "edges": [node] } } });
    json!({ "extensions": { "x": "x".repeat(padding) }, "data": data }).to_string()
}

/// Answers as the request's header says, about an id of the same name.
async fn answer(request: Request<Incoming>) -> Response<Body> {
    let manner = request.headers()["x-answer"].to_str().unwrap().to_owned();
    let padding = if manner == "long" { 1 << 20 } else { 0 };
    let text = instances(&manner, padding);
    let mut response = Response::builder().header(
        "content-type",
        match &*manner {
            "text" => "text/plain",
            "charset" => "application/json; charset=latin1",
            "graphql" => "application/graphql-response+json",
            _ => "application/json",
        },
    );
    let gzip = |text: &str| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text.as_bytes()).unwrap();
        encoder.finish().unwrap()
    };
    let body = match &*manner {
        "gzip" => gzip(&text),
        "bomb" => gzip(&instances(&manner, 8 << 20)),
        "broken" => gzip(&text)[..20].to_vec(),
        "two" => format!("{text}{text}").into_bytes(),
        _ => text.into_bytes(),
    };
    if ["gzip", "bomb", "broken", "coded"].contains(&&*manner) {
        response =
            response.header("content-encoding", if manner == "coded" { "x" } else { "gzip" });
    }
    if manner == "created" {
        response = response.status(201);
    }
    if manner == "pieces" {
        let pieces: Vec<_> = body.chunks(7).map(Bytes::copy_from_slice).collect();
        let frames = pieces.into_iter().map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
        return response.body(StreamBody::new(futures_util::stream::iter(frames)).boxed()).unwrap();
    }
    response.body(Full::new(Bytes::from(body)).boxed()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_read_as_it_passes_and_never_changed() {
    let origin = Origin::http(Identity::named(&["backboard.railway.com"]), answer).await;
    let gate = Gate::with(Options::default(), |policy| {
        let line = policy.lines().find(|line| line.contains("backboard.railway.com:443"));
        let line = format!("{}\n", line.unwrap());
        let ours = format!("    \"backboard.railway.com:443\": \"{}\"\n", origin.address);
        environments_only(policy).replace(&line, &ours).root(&origin.roots()).0
    })
    .await;
    let document = format!(
        "{{ environment(id: \"{STAGING_ENVIRONMENT}\") {{ volumeInstances {{ edges {{ node {{ id }} }} }} }} }}"
    );
    let body = json!({ "query": document }).to_string();
    let authorization = format!("Authorization: Bearer {STAGING_TOKEN}");
    for (manner, teaches) in [
        ("plain", true),
        ("graphql", true),
        ("gzip", true),
        ("pieces", true),
        ("long", false),
        ("bomb", false),
        ("broken", false),
        ("coded", false),
        ("two", false),
        ("created", false),
        ("text", false),
        ("charset", false),
    ] {
        for version in ["--http1.1", "--http2"] {
            let header = format!("x-answer: {manner}");
            let out = gate.folder.path().join("answer");
            let arguments = [GRAPHQL, version, "-H", &authorization, "-H", &header, "-d", &body];
            let output =
                gate.curl_command(&arguments).args(["-o", out.to_str().unwrap()]).output().unwrap();
            assert!(output.status.success(), "{manner}: {output:?}");
            let got = std::fs::read(&out).unwrap();
            match manner {
                "plain" | "graphql" | "pieces" | "created" | "text" | "charset" | "coded" => {
                    assert!(got.ends_with(instances(manner, 0).as_bytes()), "{manner}");
                }
                "long" => assert!(got.ends_with(instances(manner, 1 << 20).as_bytes())),
                _ => assert!(!got.is_empty()),
            }
        }
        let fact = format!("volume_instance {manner} in {STAGING_ENVIRONMENT}");
        assert_eq!(learned(&gate).contains(&fact), teaches, "{manner}");
    }
    // A deletion of what was learned is judged where it was seen to be.
    let delete =
        "mutation { volumeInstancePITRRestore(volumeInstanceId: \"ID\", targetTime: \"x\") }";
    for (id, reason) in [("plain", "destructive"), ("long", "unknown_target")] {
        let answer = asked(&gate, &delete.replace("ID", id));
        assert_eq!((answer.verdict(), answer.reason()), is("hold", reason), "{answer:?}");
    }
    assert_eq!(learned(&gate).len(), 4);
}
