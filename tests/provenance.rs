//! Where a secret was first seen: handed out by one answer and used elsewhere, it is refused, and the
//! record says which answer, when. People read the same.

use crate::support::client::{Client, empty};
use crate::support::mock::{Options, STAGING_ENVIRONMENT, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::origin::{Body, Identity, Origin, text};
use crate::support::policy::Edit;
use crate::support::{Answer, Gate, until};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use holdgate::store::Store;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::{Request, Response};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::convert::Infallible;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Where files lie that anybody may read.
const RAW: &str = "raw.example";
const RAILWAY: &str = "backboard.railway.com";

/// A token that is nobody's but of one row.
fn token(row: usize) -> String {
    format!("0badc0de-0000-4000-8000-{row:012x}")
}

fn file(row: usize) -> String {
    format!("# domains\nHOST=api.example\nexport RAILWAY_TOKEN=\"{}\"\nPORT=443\n", token(row))
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn with(kind: &str, coding: Option<&str>, body: impl Into<Bytes>) -> Response<Body> {
    let mut response = text(body);
    response.headers_mut().insert("content-type", kind.parse().unwrap());
    if let Some(coding) = coding {
        response.headers_mut().insert("content-encoding", coding.parse().unwrap());
    }
    response
}

/// A body in pieces of one length.
fn in_pieces(body: &[u8], length: usize) -> Response<Body> {
    let pieces: Vec<_> = body.chunks(length).map(Bytes::copy_from_slice).collect();
    let frames = pieces.into_iter().map(|piece| Ok::<_, Infallible>(Frame::data(piece)));
    Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed())
}

/// The answers in which a token is handed out, each under the path of its number.
const ROWS: usize = 9;

fn answer(row: usize) -> Response<Body> {
    let json = json!({ "items": [{ "env": { "RAILWAY_TOKEN": token(row) } }] }).to_string();
    match row {
        0 => with("text/plain; charset=utf-8", None, file(row)),
        1 => with("text/plain", Some("gzip"), gzipped(file(row).as_bytes())),
        2 => in_pieces(file(row).as_bytes(), 7),
        3 => with("application/json", None, json),
        4 => with("application/json", Some("gzip"), gzipped(json.as_bytes())),
        5 => in_pieces(json.as_bytes(), 11),
        // More than is kept, with the token where what is kept ends.
        6 => {
            let before = "a line of no interest\n".repeat((1 << 20) / 22);
            in_pieces(format!("{before}{}{before}", file(row)).as_bytes(), 60_000)
        }
        7 => {
            let mut response = text("see the head");
            response.headers_mut().insert("x-subject-token", token(row).parse().unwrap());
            response
        }
        _ => with("application/octet-stream", None, file(row)),
    }
}

async fn raw() -> Origin {
    let answer = |request: Request<Incoming>| async move {
        let row = request.uri().path().rsplit('/').next().unwrap().parse();
        row.map_or_else(|_| text(file(0)), answer)
    };
    Origin::http(Identity::named(&[RAW]), answer).await
}

async fn gate(raw: &Origin) -> Gate {
    Gate::with(Options::default(), |policy| {
        let policy = raw.declared(policy, RAW, "- allow: GET /**");
        Edit(policy)
            .replace("  wait: 20s\n", "  wait: 100ms\n")
            // What was handed out is used more than once here, and that is a theft.
            .replace("\nsequences:\n", OFF)
            .0
    })
    .await
}

const OFF: &str = "
sequences:
  - { name: found-credential, then: nothing }
";

fn read(gate: &Gate, path: &str) -> Answer {
    let answer = gate.curl(&[&format!("https://{RAW}{path}"), "--compressed"]);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer
}

/// The newest denial.
fn denial(gate: &Gate) -> Value {
    gate.records().into_iter().rev().find(|record| record["verdict"] == "deny").unwrap()
}

/// K-30.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_an_answer_handed_out_is_refused_with_that_answer() {
    let raw = raw().await;
    let mut gate = gate(&raw).await;
    for row in 0..ROWS {
        let path = format!("/acme/web/{row}");
        let before = Timestamp::now();
        let got = read(&gate, &format!("{path}?ref=not-told"));
        // No byte is changed.
        assert!(row == 7 || got.body.contains(&token(row)), "{row}: {got:?}");
        let sent = gate.mock.requests().len();
        let refused = gate.delete_volume(&token(row), STAGING_VOLUME);
        assert_eq!(refused.reason(), "foreign_credential", "{row}: {refused:?}");
        assert_eq!(gate.mock.requests().len(), sent, "nothing was sent");
        assert!(!refused.body.contains(RAW), "the agent is not told: {refused:?}");
        let records = gate.records();
        let denial = records.iter().rev().find(|record| record["verdict"] == "deny").unwrap();
        let seen = &denial["credentials"][0]["first_seen"];
        assert_eq!(seen["answer_to"], format!("GET {RAW}{path}"), "{row}: {denial}");
        let reading = records.iter().find(|record| record["path"] == path).unwrap();
        assert_eq!(seen["request_id"], reading["request_id"], "{row}: {denial}");
        let at: Timestamp = seen["at"].as_str().unwrap().parse().unwrap();
        // Kept in milliseconds.
        assert!(at.as_millisecond() >= before.as_millisecond() && at <= Timestamp::now(), "{seen}");
        assert!(seen["seconds_ago"].is_u64(), "{seen}");
    }
    let told = gate.holdgate(&["audit", "tail"]);
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    assert!(told.contains(&format!(" ago in the answer to `GET {RAW}/acme/web/8`")), "{told}");
    // The first answer stays the first, whoever hands it out again, and whatever is started again.
    read(&gate, "/acme/other");
    for restarted in [false, true] {
        if restarted {
            gate.drain();
            gate.serve();
        }
        assert_eq!(gate.delete_volume(&token(0), STAGING_VOLUME).reason(), "foreign_credential");
        let seen = &denial(&gate)["credentials"][0]["first_seen"];
        assert_eq!(seen["answer_to"], format!("GET {RAW}/acme/web/0"), "{seen}");
    }
    // One that nobody handed out has no such place.
    assert_eq!(gate.delete_volume(&token(99), STAGING_VOLUME).reason(), "foreign_credential");
    assert!(denial(&gate)["credentials"][0]["first_seen"].is_null());
    let written = gate.running().log() + &format!("{:?}", gate.records());
    for row in 0..ROWS {
        assert!(!written.contains(&token(row)), "no value is written");
    }
}

/// What an answer showed is a step of the session, whatever its call was called.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_token_is_a_stage() {
    let raw = raw().await;
    let gate = gate(&raw).await;
    let stages = || {
        let output = gate.holdgate(&["sessions", "show", "staging-fixer", "--json"]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        told["stages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["stage"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(stages(), Vec::<Value>::new());
    read(&gate, "/acme/web/0");
    assert_eq!(stages(), ["secret_handed_out"]);
}

/// A client that goes away before the end has read what came until then.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_early_is_not_forgotten() {
    let never = |_: Request<Incoming>| async {
        let first = Ok::<_, Infallible>(Frame::data(Bytes::from(file(0))));
        let frames = futures_util::StreamExt::chain(
            futures_util::stream::iter([first]),
            futures_util::stream::pending(),
        );
        Response::new(StreamBody::new(frames).boxed())
    };
    let raw = Origin::http(Identity::named(&[RAW]), never).await;
    let gate = gate(&raw).await;
    for http2 in [false, true] {
        let mut client = Client::open(gate.running(), RAW, http2).await;
        let request = client.request("GET", "/domains.env").body(empty()).unwrap();
        let mut response = client.send(request).await.unwrap();
        let frame = response.body_mut().frame().await.unwrap().unwrap();
        assert!(frame.data_ref().is_some_and(|bytes| !bytes.is_empty()));
        drop(response);
        client.cut().await;
        // The proxy hears of that when it hears of it.
        until("the sighting", || {
            assert_eq!(
                gate.delete_volume(&token(0), STAGING_VOLUME).reason(),
                "foreign_credential"
            );
            let seen = denial(&gate)["credentials"][0]["first_seen"]["answer_to"].clone();
            (seen == format!("GET {RAW}/domains.env")).then_some(())
        });
    }
}

/// A token that an API mints, in an answer that has no name for it.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_was_minted_is_known_by_its_operation() {
    let minted = token(1);
    let body = json!({ "data": { "made": minted } }).to_string();
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    let railway = Origin::http(Identity::named(&[RAILWAY]), move |_| {
        counted.fetch_add(1, Ordering::SeqCst);
        let body = body.clone();
        async move { with("application/json", None, body) }
    })
    .await;
    let gate = Gate::with(Options::default(), |policy| {
        let line =
            policy.lines().find(|line| line.contains(&format!("\"{RAILWAY}:443\""))).unwrap();
        let (line, led) =
            (line.to_owned(), format!("    \"{RAILWAY}:443\": \"{}\"", railway.address));
        Edit(policy)
            .replace(&line, &led)
            .root(&railway.roots())
            .replace(
                "    allow: [read, write, mutation",
                "    allow: [read, write, credential, mutation",
            )
            .replace(
                "hold: [destructive, credential, access, execute, unknown]",
                "hold: [destructive, access, execute, unknown]",
            )
            .0
    })
    .await;
    let document = format!(
        "mutation {{ made: projectTokenCreate(input: {{ environmentId: \"{STAGING_ENVIRONMENT}\", projectId: \"p\", name: \"x\" }}) }}"
    );
    let answer = gate.graphql(STAGING_TOKEN, &json!({ "query": document }));
    assert_eq!(answer.json()["data"]["made"], token(1), "{answer:?}");
    assert_eq!(gate.delete_volume(&token(1), STAGING_VOLUME).reason(), "foreign_credential");
    assert_eq!(calls.load(Ordering::SeqCst), 1, "nothing was sent but the minting");
    let seen = &denial(&gate)["credentials"][0]["first_seen"];
    let told = format!("mutation projectTokenCreate (POST {RAILWAY}/graphql/v2)");
    assert_eq!(seen["answer_to"], told, "{seen}");
}

/// The person who answers reads whose the credential is.
#[tokio::test(flavor = "multi_thread")]
async fn a_card_says_where_each_credential_comes_from() {
    let raw = raw().await;
    let gate = Gate::with(Options::default(), |policy| {
        let policy = raw.declared(policy, RAW, "- allow: GET /**\n- hold: POST /**");
        Edit(policy)
            .replace("  wait: 20s\n", "  wait: 100ms\n")
            .replace(
                &format!("hosts: [{RAW}]\n"),
                &format!("hosts: [{RAW}]\n    credentials: any\n"),
            )
            .0
    })
    .await;
    assert_eq!(gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME).verdict(), "hold");
    read(&gate, "/acme/web/0");
    let authorization = format!("Authorization: Bearer {}", token(0));
    let held = gate.curl(&[&format!("https://{RAW}/x"), "-d", "a=b", "-H", &authorization]);
    assert_eq!(held.verdict(), "hold", "{held:?}");
    let holds = gate.waiting();
    let shown: Vec<String> = holds
        .iter()
        .map(|hold| {
            let output = gate.holdgate(&["approvals", "show", hold["id"].as_str().unwrap()]);
            String::from_utf8(output.stdout).unwrap()
        })
        .collect();
    let issued = |text: &String| text.contains("issued as `railway-staging-token`");
    let seen = |text: &String| {
        text.contains("first seen ")
            && text.contains(&format!(" ago in the answer to `GET {RAW}/acme/web/0` (r_"))
    };
    assert_eq!(
        (holds.len(), shown.iter().filter(|text| issued(text)).count()),
        (2, 1),
        "{shown:?}"
    );
    assert_eq!(shown.iter().filter(|text| seen(text)).count(), 1, "{shown:?}");
    let provenance = |hold: &Value| hold["card"]["credentials"][0]["provenance"].clone();
    assert!(holds.iter().any(|hold| provenance(hold) == "issued as `railway-staging-token`"));
}

/// What is too long to be kept is looked at piece by piece, and nothing falls between two of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_answer_is_looked_at_without_a_gap() {
    /// So many lines, one behind the other, around the place where the first piece ends.
    const LINES: usize = 446;
    // How far before the first MiB the lines begin, and how long the pieces are that the origin sends:
    // the proxy gets them as they come together.
    const ROWS: &[(&str, usize, usize)] = &[
        ("/0", 20 << 10, 1_000),
        ("/1", 20 << 10, 60_000),
        ("/2", 2 << 10, 1_000),
        ("/3", 2 << 10, 60_000),
    ];
    let answer = |path: &str| {
        let row = ROWS.iter().position(|(known, ..)| *known == path).unwrap();
        let (_, before, piece) = ROWS[row];
        let mut body = "a line of no interest\n".repeat(((1 << 20) - before) / 22);
        for line in 0..LINES {
            writeln!(body, "RAILWAY_TOKEN={}", token(row * LINES + line)).unwrap();
        }
        body += &"a line of no interest\n".repeat(10_000);
        in_pieces(body.as_bytes(), piece)
    };
    let raw = Origin::http(Identity::named(&[RAW]), move |request| async move {
        answer(request.uri().path())
    })
    .await;
    let mut gate = gate(&raw).await;
    for (row, (path, ..)) in ROWS.iter().enumerate() {
        let known = (row + 1) * LINES;
        read(&gate, path);
        gate.drain();
        let store = Store::read_only(&gate.folder.path().join("state")).await.unwrap();
        let seen = store.standing().await.unwrap().remove("staging-fixer").unwrap().seen;
        drop(store);
        // A piece may end within one, which is then known as well as its beginning.
        let whole = seen.all().filter(|(_, one)| one.length == token(0).len() && one.sure);
        assert_eq!(whole.count(), known, "{path}");
        gate.serve();
    }
}

/// What a client has read of an answer is known before it could be used, though the rest is never read.
#[tokio::test(flavor = "multi_thread")]
async fn what_has_been_read_of_an_open_answer_is_known() {
    // The status, the kind and the coding of an answer, and how many bytes go between two pieces of it.
    const ROWS: &[(u16, &str, Option<&str>, Option<usize>)] = &[
        (200, "text/plain", None, None),
        (200, "text/plain", None, Some(30)),
        (200, "application/vnd.github.raw", None, None),
        (200, "multipart/mixed; boundary=a", None, None),
        (200, "text/event-stream", None, None),
        (200, "text/plain", Some("gzip"), None),
        (404, "text/html", None, None),
        (500, "application/problem+json", None, None),
    ];
    let answer = |request: Request<Incoming>| async move {
        let row: usize = request.uri().path().trim_start_matches('/').parse().unwrap();
        let (status, kind, coding, cut) = ROWS[row];
        let mut bytes = file(row).into_bytes();
        if coding.is_some() {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(&bytes).unwrap();
            // What was written can be read, and the end is not there.
            encoder.flush().unwrap();
            bytes = std::mem::take(encoder.get_mut());
        }
        let pieces: Vec<_> =
            bytes.chunks(cut.unwrap_or(bytes.len())).map(Bytes::copy_from_slice).collect();
        let frames = futures_util::StreamExt::chain(
            futures_util::stream::iter(
                pieces.into_iter().map(|piece| Ok::<_, Infallible>(Frame::data(piece))),
            ),
            futures_util::stream::pending(),
        );
        let mut response = Response::new(StreamBody::new(frames).boxed());
        *response.status_mut() = status.try_into().unwrap();
        response.headers_mut().insert("content-type", kind.parse().unwrap());
        if let Some(coding) = coding {
            response.headers_mut().insert("content-encoding", coding.parse().unwrap());
        }
        response
    };
    let raw = Origin::http(Identity::named(&[RAW]), answer).await;
    let gate = gate(&raw).await;
    for (row, (status, kind, coding, _)) in ROWS.iter().enumerate() {
        let mut client = Client::open(gate.running(), RAW, row % 2 == 1).await;
        let path = format!("/{row}");
        let mut request = client.request("GET", &path).body(empty()).unwrap();
        request.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
        let mut response = client.send(request).await.unwrap();
        assert_eq!(response.status().as_u16(), *status, "{row}");
        assert_eq!(response.headers().contains_key("content-encoding"), coding.is_some(), "{row}");
        let mut read = Vec::new();
        let has_token = |read: &[u8]| match coding {
            Some(_) => read.len() >= 60,
            None => String::from_utf8_lossy(read).contains(&token(row)),
        };
        while !has_token(&read) {
            read.extend(response.body_mut().frame().await.unwrap().unwrap().into_data().unwrap());
        }
        // It is open still.
        let sent = gate.mock.requests().len();
        let refused = gate.delete_volume(&token(row), STAGING_VOLUME);
        assert_eq!(refused.reason(), "foreign_credential", "{kind} {refused:?}");
        assert_eq!(gate.mock.requests().len(), sent, "nothing was sent");
        let seen = &denial(&gate)["credentials"][0]["first_seen"];
        assert_eq!(seen["answer_to"], format!("GET {RAW}{path}"), "{status} {kind} {coding:?}");
        drop(response);
    }
}
