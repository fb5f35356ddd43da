//! What is handed out in exchange for a credential, through the proxy: it stands for that credential, on
//! its resources, and for nothing else.

use crate::support::Gate;
use crate::support::client::{Client, Got, full};
use crate::support::mock::{Options, STAGING_TOKEN};
use crate::support::origin::{Body, Identity, Origin, text};
use crate::support::policy::Edit;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::json;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

const ACME: &str = "api.acme.example";
const ELSEWHERE: &str = "elsewhere.example";
const FORM: &str = "application/x-www-form-urlencoded";
const FOREIGN: &str = "0badc0de-0000-4000-8000-00000000dead";

const CATALOG: &str = "
service: acme
title: Acme
kind: api
hosts: [api.acme.example]
slots: [header authorization]
kinds: []
rest:
  - { operation: GET /things, effect: read }
  - { operation: 'DELETE /things/{id}', effect: destructive, reversibility: irreversible }
  - { operation: POST /tokens, effect: credential }
  - { operation: POST /oauth/token, effect: credential }
  - { operation: GET /anybody, effect: read }
tokens:
  - { operation: POST /oauth/token, hands_out: [access_token, refresh_token], life: expires_in }
  - { operation: GET /anybody, hands_out: [token], anonymous: true }
";

/// An upstream that hands out a new pair of tokens with each answer, numbered from zero, and other things
/// for whoever asks.
async fn acme() -> Origin {
    let count = Arc::new(AtomicUsize::new(0));
    let names = [ACME, ELSEWHERE, "auth.docker.io", "registry-1.docker.io"];
    Origin::http(Identity::named(&names), move |request| answer(request, count.clone())).await
}

async fn answer(request: Request<Incoming>, count: Arc<AtomicUsize>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let zipped = body.windows(4).any(|part| part == b"gzip");
    let number = || count.fetch_add(1, Ordering::SeqCst);
    let told = match &*path {
        "/oauth/token" => {
            let number = number();
            json!({ "access_token": access(number), "refresh_token": renewing(number), "expires_in": 600 })
        }
        "/tokens" | "/anybody" | "/token" => json!({ "token": access(number()) }),
        _ => return text("done"),
    };
    let mut bytes = told.to_string().into_bytes();
    let mut answer = Response::builder().header("content-type", "application/json");
    if zipped {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(&bytes).unwrap();
        bytes = encoder.finish().unwrap();
        answer = answer.header("content-encoding", "gzip");
    }
    answer.body(full(bytes)).unwrap()
}

fn access(number: usize) -> String {
    format!("acme-access-{number:08}-aaaaaaaaaaaa")
}

fn renewing(number: usize) -> String {
    format!("acme-refresh-{number:08}-rrrrrrrrrrrr")
}

/// A proxy with the catalog above; `issued` is what the credential says beside its resources.
async fn gate(origin: &Origin, issued: &str, resource: &str) -> (Gate, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("acme.yaml");
    std::fs::write(&catalog, CATALOG).unwrap();
    let gate = Gate::with(Options::default(), |policy| {
        let mut edit = Edit(policy)
            .replace(
                "    resources: [railway-staging]\n",
                &format!("    resources: [railway-staging, acme]\n{issued}"),
            )
            .replace("  wait: 20s\n", "  wait: 100ms\n")
            .root(&origin.roots())
            .section(&format!("catalogs: [\"{}\"]", catalog.display()));
        for host in [ACME, ELSEWHERE, "auth.docker.io", "registry-1.docker.io"] {
            edit = edit.resolve(&format!("{host}:443"), origin.address);
        }
        edit.resource("acme", &format!("service: acme\n{resource}"))
            .resource("hub", "service: docker-hub\nallow: [read]")
            .resource(
                "elsewhere",
                &format!("hosts: [{ELSEWHERE}]\nrules: [ {{ allow: GET /** }} ]"),
            )
            // Foreign credentials after one that was handed out are a sequence, and nothing more is asked then.
            .replace("\nsequences:\n", OFF)
            .0
    })
    .await;
    (gate, folder)
}

const OFF: &str = "
sequences:
  - { name: minted-credential, then: nothing }
  - { name: found-credential, then: nothing }
";
const DERIVES: &str = "    derives: true\n";
const READS: &str = "allow: [read, POST /tokens]\nhold: [destructive, credential]";
const NAMED: &str = "allow: [read, POST /oauth/token]";

async fn get(gate: &Gate, host: &str, path: &str, token: &str) -> Got {
    let mut client = Client::http1(gate.running(), host).await;
    let request = client.request("GET", path).header("authorization", format!("Bearer {token}"));
    client.exchange(request.body(full("")).unwrap()).await
}

async fn renew(gate: &Gate, http2: bool, body: &str) -> Got {
    let mut client = Client::open(gate.running(), ACME, http2).await;
    let request = client.request("POST", "/oauth/token").header("content-type", FORM);
    client.exchange(request.body(full(body.to_owned())).unwrap()).await
}

fn refresh(token: &str) -> String {
    format!("grant_type=refresh_token&refresh_token={token}")
}

fn is_refused(got: &Got, reason: &str) {
    assert_eq!((got.status.as_u16(), &*got.reason()), (403, reason), "{got:?}");
}

/// What the credential of the policy reaches, a token in its place does; all else is refused unsent.
async fn stands_for_it(gate: &Gate, origin: &Origin, token: &str) {
    let got = get(gate, ACME, "/things", token).await;
    assert_eq!((got.status.as_u16(), &got.body[..]), (200, &b"done"[..]), "{token}: {got:?}");
    let before = origin.bytes_received();
    is_refused(&get(gate, ELSEWHERE, "/things", token).await, "credential_out_of_scope");
    is_refused(
        &get(gate, "registry-1.docker.io", "/v2/library/a/tags/list", token).await,
        "credential_out_of_scope",
    );
    assert_eq!(origin.bytes_received(), before, "{token}: what is refused does not leave");
}

/// K-24.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_stands_for_the_credential_that_it_was_exchanged_for() {
    let origin = acme().await;
    let (mut gate, _folder) = gate(&origin, DERIVES, READS).await;
    is_refused(&get(&gate, ACME, "/things", &access(0)).await, "foreign_credential");
    let rows = [
        (false, refresh(STAGING_TOKEN)),
        (true, refresh(&renewing(0))),
        (false, format!("{}&scope=gzip", refresh(&renewing(1)))),
    ];
    for (number, (http2, body)) in rows.iter().enumerate() {
        let got = renew(&gate, *http2, body).await;
        assert_eq!(got.status, 200, "{got:?}");
        stands_for_it(&gate, &origin, &access(number)).await;
    }
    let records = gate.records();
    let named = records
        .iter()
        .any(|record| record["credentials"][0]["name"] == "railway-staging-token (derived)");
    assert!(named, "{records:?}");
    let log = gate.running().log() + &format!("{records:?}");
    assert!(!log.contains(&access(0)) && !log.contains(&renewing(0)), "no value is written");
    // A crash takes nothing of it away, for the end of the answer waited for the disk.
    gate.kill();
    gate.serve();
    stands_for_it(&gate, &origin, &access(2)).await;
    // What is minted is nobody's, though the call was allowed.
    let mut client = Client::http1(gate.running(), ACME).await;
    let minting = client.request("POST", "/tokens");
    let minting = minting.header("authorization", format!("Bearer {}", access(2)));
    let got = client.exchange(minting.body(full("{}")).unwrap()).await;
    assert_eq!(got.json()["token"], access(3), "{got:?}");
    is_refused(&get(&gate, ACME, "/things", &access(3)).await, "foreign_credential");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_derives_a_token_is_foreign_and_so_it_is_once_that_is_taken_back() {
    let origin = acme().await;
    let (gate, _folder) = gate(&origin, DERIVES, NAMED).await;
    assert_eq!(renew(&gate, false, &refresh(STAGING_TOKEN)).await.status, 200);
    stands_for_it(&gate, &origin, &access(0)).await;
    let with = std::fs::read_to_string(gate.policy_path()).unwrap();
    std::fs::write(gate.policy_path(), with.replace(DERIVES, "")).unwrap();
    gate.reload();
    is_refused(&get(&gate, ACME, "/things", &access(0)).await, "foreign_credential");
    assert_eq!(renew(&gate, false, &refresh(STAGING_TOKEN)).await.status, 200);
    is_refused(&get(&gate, ACME, "/things", &access(1)).await, "foreign_credential");
}

/// Whoever consented is another than the client, and so is whom the token is of.
#[tokio::test(flavor = "multi_thread")]
async fn what_somebodys_consent_is_exchanged_for_is_foreign() {
    let origin = acme().await;
    let (gate, _folder) = gate(&origin, DERIVES, NAMED).await;
    let code = format!("grant_type=authorization_code&code=abc&client_secret={STAGING_TOKEN}");
    let twice = format!("{}&code=abc", refresh(STAGING_TOKEN));
    let beside = |more: &str| format!("{}&{more}", refresh(STAGING_TOKEN));
    let hidden = beside(&format!("refresh_token[a]={FOREIGN}"));
    let rows = [code, twice, hidden, beside("code[]=abc"), beside("otp=1"), beside("password=<a>")];
    for (number, body) in rows.iter().enumerate() {
        assert_eq!(renew(&gate, false, body).await.status, 200);
        is_refused(&get(&gate, ACME, "/things", &access(number)).await, "foreign_credential");
    }
    let before = origin.bytes_received();
    is_refused(&renew(&gate, false, &refresh(FOREIGN)).await, "foreign_credential");
    let both = format!("{}&client_secret={FOREIGN}", refresh(STAGING_TOKEN));
    is_refused(&renew(&gate, false, &both).await, "foreign_credential");
    assert_eq!(origin.bytes_received(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_anonymous_token_says_no_more_than_none() {
    let origin = acme().await;
    let (gate, _folder) = gate(&origin, "", READS).await;
    let registry = "registry-1.docker.io";
    let list = "/v2/library/alpine/tags/list";
    is_refused(&get(&gate, registry, list, &access(0)).await, "foreign_credential");
    let mut client = Client::http1(gate.running(), "auth.docker.io").await;
    let got = client.get("/token?service=registry.docker.io&scope=repository:library/alpine:pull");
    assert_eq!(got.await.json()["token"], access(0));
    assert_eq!(get(&gate, registry, list, &access(0)).await.status, 200);
    let before = origin.bytes_received();
    for (host, path) in [(ACME, "/things"), (ELSEWHERE, "/x")] {
        is_refused(&get(&gate, host, path, &access(0)).await, "foreign_credential");
    }
    // With a credential it is no longer anybody's.
    let mut client = Client::http1(gate.running(), "auth.docker.io").await;
    let asking =
        client.request("GET", "/token").header("authorization", format!("Bearer {FOREIGN}"));
    is_refused(&client.exchange(asking.body(full("")).unwrap()).await, "foreign_credential");
    assert_eq!(origin.bytes_received(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pinned_derives_and_both_outlive_a_restart() {
    let origin = acme().await;
    let (mut gate, _folder) = gate(&origin, "", &format!("credentials: first_seen\n{READS}")).await;
    assert_eq!(renew(&gate, false, &refresh("first-refresh-token")).await.status, 200);
    for restarted in [false, true] {
        if restarted {
            gate.kill();
            gate.serve();
        }
        assert_eq!(get(&gate, ACME, "/things", &access(0)).await.status, 200);
        let before = origin.bytes_received();
        is_refused(&get(&gate, ACME, "/things", FOREIGN).await, "foreign_credential");
        is_refused(&get(&gate, ELSEWHERE, "/things", &access(0)).await, "foreign_credential");
        assert_eq!(origin.bytes_received(), before);
    }
}

/// A token that was renewed while a person thought about the call is the same credential.
#[tokio::test(flavor = "multi_thread")]
async fn a_retry_with_a_renewed_token_redeems_the_approval() {
    let origin = acme().await;
    let (gate, _folder) = gate(&origin, DERIVES, READS).await;
    let delete = async |token: String| {
        let mut client = Client::http1(gate.running(), ACME).await;
        let request = client.request("DELETE", "/things/7");
        let request = request.header("authorization", format!("Bearer {token}"));
        client.exchange(request.body(full("")).unwrap()).await
    };
    assert_eq!(renew(&gate, false, &refresh(STAGING_TOKEN)).await.status, 200);
    assert_eq!(renew(&gate, false, &refresh(&renewing(0))).await.status, 200);
    assert_eq!(delete(access(0)).await.json()["verdict"], "hold");
    gate.approve(&gate.wait_for_hold());
    is_refused(&delete(FOREIGN.to_owned()).await, "foreign_credential");
    let got = delete(access(1)).await;
    assert_eq!((got.status.as_u16(), &got.body[..]), (200, &b"done"[..]), "{got:?}");
    assert_eq!(delete(access(1)).await.json()["verdict"], "hold", "once");
}
