//! The pure stages alone: reading a head, inspecting a body, deciding.
//!
//! `decide/rules` shows that the cost of a verdict does not grow with the number of rules and hosts;
//! `whole` what a GraphQL write costs from head to verdict, beside the parser alone on its document;
//! `evidence` what looking at an answer costs; `model` what reading a conversation costs, beside the
//! least that it could: walking its bytes once.

#![allow(clippy::expect_used, reason = "a benchmark that cannot go on stops")]

use bytes::Bytes;
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use holdgate::decide::{Context, Standing, decide};
use holdgate::fingerprint::FingerprintKey;
use holdgate::inspect::credential::handed::in_body;
use holdgate::inspect::model::{Answer, Dialect, Listener, Met, Said, read_request};
use holdgate::inspect::secret::{Known, Owner, Scanner};
use holdgate::inspect::serialized::objects;
use holdgate::inspect::{self, Inspected};
use holdgate::inventory::View;
use holdgate::message::{Body, Head, Message, Target};
use holdgate::policy::{Policy, Secrets, compile};
use holdgate::provenance::Sightings;
use holdgate::trajectory::Past;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Uri};
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The same as the program's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const TOKEN: &str = "11111111-0000-4000-8000-000000000001";
const GRAPHQL: &[u8] = include_bytes!("../bench/requests/redeploy.json");

/// A mutation of 1 KiB with its values in it.
const DOCUMENT: &str = include_str!("redeploy.graphql");

const POLICY: &str = "version: 1
agents:
  bench: { resources: [RESOURCES], credentials: [token] }
credentials:
  token: { service: railway, value: { env: TOKEN }, resources: [railway] }
resources:
  railway:
    service: railway
    environment: bench
    ids: { environment: [bbbbbbbb-0000-4000-8000-000000000001] }
    allow: [read, write]
    hold: [destructive, credential, access, execute, unknown]
";

struct Fixed;

impl Secrets for Fixed {
    fn variable(&self, _name: &str) -> Option<Zeroizing<Vec<u8>>> {
        Some(Zeroizing::new(TOKEN.as_bytes().to_vec()))
    }

    fn file(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
        Err(format!("{} is not there", path.display()))
    }

    fn law(&self, path: &Path) -> Result<String, String> {
        Err(format!("{}: there are no files here", path.display()))
    }
}

/// The policy with so many plain resources of ten rules each.
fn policy(count: usize) -> Policy {
    let mut names = String::from("railway");
    let mut text = String::new();
    for number in 0..count {
        write!(names, ", plain-{number}").expect("a string grows");
        write!(text, "  plain-{number}:\n    hosts: [host-{number}.test]\n    rules:\n")
            .expect("a string grows");
        for rule in 0..10 {
            writeln!(text, "      - allow: GET /section-{rule}/{{id}}/**").expect("a string grows");
        }
    }
    let text = POLICY.replace("RESOURCES", &names) + &text;
    let key = Arc::new(FingerprintKey::new(b"bench"));
    compile(&text, "policy.yaml", Path::new(""), &Fixed, &key).expect("the policy is good")
}

fn target(host: &str) -> Target {
    let uri: Uri = format!("{host}:443").parse().expect("an authority");
    Target::of_connect(&uri, &HeaderMap::new()).expect("a target")
}

fn headers(host: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static(host));
    headers.insert(USER_AGENT, HeaderValue::from_static("curl/8.14.1"));
    headers.insert(ACCEPT, HeaderValue::from_static("*/*"));
    headers
}

fn read(target: &Target, method: &Method, uri: &Uri, headers: HeaderMap) -> Head {
    Head::read(method.clone(), uri, headers, target.clone()).expect("a good head")
}

fn plain() -> (Target, Uri, HeaderMap) {
    let uri = Uri::from_static("/section-7/4711/pages/index?tab=all&page=2");
    (target("host-0.test"), uri, headers("host-0.test"))
}

fn graphql() -> (Target, Uri, HeaderMap) {
    let mut all = headers("backboard.railway.com");
    let token = HeaderValue::from_str(&format!("Bearer {TOKEN}")).expect("a header value");
    all.insert(AUTHORIZATION, token);
    all.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    (target("backboard.railway.com"), Uri::from_static("/graphql/v2"), all)
}

fn inspected(
    policy: &Policy,
    method: &Method,
    (target, uri, headers): (Target, Uri, HeaderMap),
    body: Body<()>,
) -> Inspected<()> {
    let (_, agent) = policy.agent("bench").expect("the agent");
    let candidates = policy.candidates(agent, &target);
    let catalog = candidates.first().and_then(|(_, resource)| resource.catalog());
    let message = Message::new(read(&target, method, &uri, headers), body);
    let catalog = catalog.map(AsRef::as_ref);
    inspect::request(message, catalog, &policy.fingerprints, None)
        .searched(&policy.scanner, &Sightings::default())
}

fn get(policy: &Policy) -> Inspected<()> {
    inspected(policy, &Method::GET, plain(), Body::Empty)
}

fn write(policy: &Policy, body: Bytes) -> Inspected<()> {
    inspected(policy, &Method::POST, graphql(), Body::Whole(body))
}

fn post(policy: &Policy) -> Inspected<()> {
    write(policy, Bytes::from_static(GRAPHQL))
}

/// What a verdict is given besides the request.
fn among<'a>(policy: &'a Policy, standing: &'a Standing) -> Context<'a> {
    let (_, agent) = policy.agent("bench").expect("the agent");
    Context {
        policy,
        agent,
        standing,
        inventory: View::NOTHING,
        grant: None,
        before: None,
        past: Past::NOTHING,
    }
}

fn message(criterion: &mut Criterion) {
    let (target, uri, headers) = plain();
    criterion.bench_function("message/head", |bencher| {
        bencher.iter_batched(
            || headers.clone(),
            |headers| read(black_box(&target), &Method::GET, &uri, headers),
            BatchSize::SmallInput,
        );
    });
}

fn inspection(criterion: &mut Criterion) {
    let policy = policy(1);
    let mut group = criterion.benchmark_group("inspect");
    group.bench_function("get", |bencher| bencher.iter(|| get(black_box(&policy))));
    group.throughput(Throughput::Bytes(GRAPHQL.len() as u64));
    group.bench_function("graphql_1k", |bencher| bencher.iter(|| post(black_box(&policy))));
    group.finish();
}

fn decision(criterion: &mut Criterion) {
    let standing = Standing::default();
    let mut group = criterion.benchmark_group("decide");
    let one = policy(1);
    let context = among(&one, &standing);
    group.bench_function("graphql_1k", |bencher| {
        bencher.iter_batched(
            || post(&one),
            |request| decide(request, black_box(&context)),
            BatchSize::SmallInput,
        );
    });
    for count in [1, 10, 100, 1_000] {
        let policy = policy(count);
        let context = among(&policy, &standing);
        group.bench_function(BenchmarkId::new("rules", count * 10), |bencher| {
            bencher.iter_batched(
                || get(&policy),
                |request| decide(request, black_box(&context)),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

/// A GraphQL write whose document has 1 KiB, from its head to its verdict, and what of that is the
/// parser's; the same for one whose weight is in its variables; and any request among many rules.
fn whole(criterion: &mut Criterion) {
    let one = policy(1);
    let standing = Standing::default();
    let mut group = criterion.benchmark_group("whole");
    let body: serde_json::Value = serde_json::from_slice(GRAPHQL).expect("the body is JSON");
    let variables = body.get("variables").expect("the body has variables");
    let short = body.get("query").and_then(serde_json::Value::as_str);
    let long = serde_json::json!({ "query": DOCUMENT, "variables": variables }).to_string();
    let documents = [
        ("document_1k", DOCUMENT, Bytes::from(long)),
        ("variables_1k", short.expect("the body has a document"), Bytes::from_static(GRAPHQL)),
    ];
    for (name, document, body) in documents {
        let context = among(&one, &standing);
        group.bench_function(name, |bencher| {
            bencher.iter(|| decide(write(black_box(&one), body.clone()), &context));
        });
        group.bench_function(BenchmarkId::new("parser_alone", name), |bencher| {
            bencher.iter(|| apollo_parser::Parser::new(black_box(document)).parse());
        });
    }
    for count in [1, 1_000] {
        let policy = policy(count);
        let context = among(&policy, &standing);
        group.bench_function(BenchmarkId::new("rules", count * 10), |bencher| {
            bencher.iter(|| decide(get(black_box(&policy)), &context));
        });
    }
    group.finish();
}

/// Such JSON as APIs answer with: ids, names, times, hashes, and an escape now and then.
fn clean_json(length: usize) -> String {
    let mut text = String::from("[");
    for number in 0_u64.. {
        let id = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        write!(
            text,
            "{{\"id\":\"{:08x}-0000-4000-8000-{:012x}\",\"name\":\"service-{number}\",\"sha\":\"{id:016x}{id:016x}\",\"createdAt\":\"2026-11-21T08:00:00Z\",\"description\":\"The worker that sends letters\\nonce a day, for {number} of them\",\"isActive\":true,\"replicas\":{}}},",
            id >> 32,
            id & 0xffff_ffff_ffff,
            number % 7
        )
        .expect("a string grows");
        if text.len() >= length {
            break;
        }
    }
    text.truncate(length);
    text
}

/// The search for secrets, beside what it is at least: one pass of its automaton. Known secrets are
/// UUIDs, as many as are named.
fn secrets(criterion: &mut Criterion) {
    let key = Arc::new(FingerprintKey::new(b"bench"));
    let shapes = Scanner::new(key.clone()).expect("a scanner");
    let text = clean_json(64 << 10);
    let mut group = criterion.benchmark_group("secrets");
    group.throughput(Throughput::Bytes(text.len() as u64));
    group.bench_function("prefilter_64k", |bencher| {
        bencher.iter(|| shapes.hits(black_box(text.as_bytes())));
    });
    for count in [10, 10_000] {
        let known = (0..count).filter_map(|number: usize| {
            let secret = format!("{:08x}-1111-4111-8111-{:012x}", number * 7919, number * 104_729);
            Some((key.trace(secret.as_bytes())?, Owner::Issued(number)))
        });
        let scanner = shapes.and(Arc::new(Known::new(known)));
        assert!(scanner.sightings(text.as_bytes()).is_empty(), "it is clean");
        group.bench_function(BenchmarkId::new("scan_64k/known", count), |bencher| {
            bencher.iter(|| scanner.sightings(black_box(text.as_bytes())));
        });
    }
    let image = format!("{{\"image\":\"{}\"}}", base64(64 << 10));
    group.bench_function("scan_64k/base64", |bencher| {
        bencher.iter(|| shapes.sightings(black_box(image.as_bytes())));
    });
    group.finish();
}

/// Base64 of what decodes to no text, as of an image.
fn base64(length: usize) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut state = 1_u64;
    let letters = std::iter::repeat_with(|| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        LETTERS.get((state >> 58) as usize).map_or('A', |letter| char::from(*letter))
    });
    letters.take(length).collect()
}

/// What it costs to look at an answer of 1 KiB for the secrets and the serialised objects in it: one that
/// holds none, and one that is read for the word in it.
fn evidence(criterion: &mut Criterion) {
    let key = FingerprintKey::new(b"bench");
    let mut group = criterion.benchmark_group("evidence");
    for (name, word) in [("clean_1k", "deployment"), ("named_1k", "deployment_token")] {
        let row = format!("{{\"id\":\"7c1e5a02\",\"kind\":\"{word}\",\"{word}\":\"2026-01-01\"}}");
        let rows: Vec<&str> = std::iter::repeat_n(&*row, 1_024 / row.len()).collect();
        let body = format!("[{}]", rows.join(","));
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::new("secrets", name), |bencher| {
            bencher.iter(|| in_body(black_box(body.as_bytes()), false, &key));
        });
        group.bench_function(BenchmarkId::new("objects", name), |bencher| {
            bencher.iter(|| objects(black_box(body.as_bytes())));
        });
    }
    group.finish();
}

/// A streamed answer as a model writes it: words, and a call of a tool now and then, in pieces.
fn streamed(length: usize) -> String {
    let mut text = String::new();
    let event = |text: &mut String, kind: &str, rest: &str| {
        write!(text, "event: {kind}\ndata: {{\"type\":\"{kind}\",{rest}}}\n\n")
            .expect("a string grows");
    };
    for index in 0.. {
        event(
            &mut text,
            "content_block_start",
            &format!("\"index\":{index},\"content_block\":{{\"type\":\"text\",\"text\":\"\"}}"),
        );
        for _ in 0..50 {
            let delta = "\"delta\":{\"type\":\"text_delta\",\"text\":\" the worker of the queue\"}";
            event(&mut text, "content_block_delta", &format!("\"index\":{index},{delta}"));
        }
        event(&mut text, "content_block_stop", &format!("\"index\":{index}"));
        let begin = "\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"bash\",\"input\":{}}";
        event(&mut text, "content_block_start", &format!("\"index\":{index},{begin}"));
        for piece in ["{\\\"command\\\":", " \\\"cargo test", " --locked\\\"}"] {
            let delta = format!(
                "\"index\":{index},\"delta\":{{\"type\":\"input_json_delta\",\"partial_json\":\"{piece}\"}}"
            );
            event(&mut text, "content_block_delta", &delta);
        }
        event(&mut text, "content_block_stop", &format!("\"index\":{index}"));
        if text.len() >= length {
            break;
        }
    }
    text
}

/// A request with so many turns behind it, each with a call and a result of 4 KiB.
fn conversation(turns: usize) -> String {
    let result = "2026-11-21T08:00:00Z INFO worker: sent a letter\\n".repeat(85);
    let turns: Vec<String> = (0..turns)
        .map(|turn| {
            format!(
                "{{\"role\":\"assistant\",\"content\":[{{\"type\":\"text\",\"text\":\"Looking.\"}},{{\"type\":\"tool_use\",\"id\":\"t{turn}\",\"name\":\"bash\",\"input\":{{\"command\":\"tail log\"}}}}]}},{{\"role\":\"user\",\"content\":[{{\"type\":\"tool_result\",\"tool_use_id\":\"t{turn}\",\"content\":\"{result}\"}}]}}"
            )
        })
        .collect();
    format!("{{\"model\":\"m\",\"messages\":[{}]}}", turns.join(","))
}

/// Hears nothing twice: it knows all that was said before, as whoever listens to a conversation does.
struct KnowsAll;

impl Listener for KnowsAll {
    fn hear(&mut self, said: Said) {
        black_box(said);
    }
    fn knows(&mut self, _met: &Met<'_>) -> bool {
        true
    }
}

/// What reading a conversation costs, beside one pass over its bytes.
fn model(criterion: &mut Criterion) {
    const PIECE: usize = 1_400;
    let mut group = criterion.benchmark_group("model");
    let answer = streamed(256 << 10);
    group.throughput(Throughput::Bytes(answer.len() as u64));
    group.bench_function("answer_256k/walked", |bencher| {
        bencher.iter(|| black_box(answer.as_bytes()).iter().fold(0_u8, |all, byte| all ^ byte));
    });
    group.bench_function("answer_256k/read", |bencher| {
        bencher.iter(|| {
            let mut answered = Answer::new(Dialect::Anthropic, "text/event-stream");
            let mut listener = |said: Said| drop(black_box(said));
            for piece in black_box(answer.as_bytes()).chunks(PIECE) {
                answered.feed(piece, &mut listener);
            }
            answered.end(&mut listener);
        });
    });
    let request = conversation(128);
    group.throughput(Throughput::Bytes(request.len() as u64));
    group.bench_function("request_128_turns/first", |bencher| {
        let mut listener = |said: Said| drop(black_box(said));
        bencher.iter(|| {
            read_request(Dialect::Anthropic, black_box(request.as_bytes()), &mut listener);
        });
    });
    group.bench_function("request_128_turns/known", |bencher| {
        bencher.iter(|| {
            read_request(Dialect::Anthropic, black_box(request.as_bytes()), &mut KnowsAll);
        });
    });
    group.finish();
}

criterion_group!(stages, message, inspection, decision, whole, secrets, evidence, model);
criterion_main!(stages);
