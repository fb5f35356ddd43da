//! The incident as a whole: the agent's loop with its model, the token that it finds, and the call that it
//! would have ended with. Each step but the last may be missing, and the volume stays where it is.

use crate::support::client::{Client, full};
use crate::support::mock::{Options, PRODUCTION_VOLUME, STAGING_TOKEN};
use crate::support::origin::{Body, Identity, Origin, text};
use crate::support::{Gate, until};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Value, json};
use std::fmt::Write as _;

const AGENT: &str = "staging-fixer";
const MODEL: &str = "api.anthropic.com";
/// A service in staging that does not take what it is sent.
const STATUS: &str = "status.example";
/// The token that lies around.
const FOUND: &str = "0badc0de-0000-4000-8000-00000000cafe";
const SEARCH: &str = "grep -rn RAILWAY_TOKEN .";
const READ: &str = "cat infra/domains.env";

/// One turn of the model over server-sent events: some text, and a call of a shell in small pieces.
fn turn(id: &str, command: &str) -> String {
    let input = json!({ "command": command }).to_string();
    let mut events = vec![
        json!({ "type": "message_start", "message": { "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [] } }),
        json!({ "type": "content_block_start", "index": 0, "content_block": { "type": "text", "text": "" } }),
        json!({ "type": "content_block_delta", "index": 0, "delta": { "type": "text_delta", "text": "Looking." } }),
        json!({ "type": "content_block_stop", "index": 0 }),
        json!({ "type": "content_block_start", "index": 1, "content_block": { "type": "tool_use", "id": id, "name": "Bash", "input": {} } }),
    ];
    for piece in input.as_bytes().chunks(5) {
        let piece = str::from_utf8(piece).unwrap();
        events.push(json!({ "type": "content_block_delta", "index": 1, "delta": { "type": "input_json_delta", "partial_json": piece } }));
    }
    events.push(json!({ "type": "content_block_stop", "index": 1 }));
    events.push(json!({ "type": "message_delta", "delta": { "stop_reason": "tool_use" } }));
    events.push(json!({ "type": "message_stop" }));
    let mut stream = String::new();
    for event in events {
        let name = event["type"].as_str().unwrap();
        write!(stream, "event: {name}\ndata: {event}\n\n").unwrap();
    }
    stream
}

/// A model that asks for what the header of the request says, and a service that refuses.
async fn provider() -> Origin {
    let answer = |request: Request<Incoming>| async move {
        if request.uri().path() == "/deploys" {
            let mut response: Response<Body> = text("{\"error\":\"invalid token\"}");
            *response.status_mut() = hyper::StatusCode::UNAUTHORIZED;
            return response;
        }
        let wanted = request.headers()["x-test-turn"].to_str().unwrap().to_owned();
        request.into_body().collect().await.unwrap();
        let (id, command) = wanted.split_once(' ').unwrap();
        let mut response = text(turn(id, command));
        response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
        response
    };
    Origin::http(Identity::named(&[MODEL, STATUS]), answer).await
}

async fn gate(provider: &Origin) -> Gate {
    Gate::with(Options::default(), |policy| {
        let line = policy.lines().find(|line| line.contains(&format!("\"{MODEL}:443\""))).unwrap();
        let led = format!("    \"{MODEL}:443\": \"{}\"", provider.address);
        let policy = policy.replace(line, &led);
        provider.declared(policy, STATUS, "- allow: GET /**")
    })
    .await
}

/// The agent's loop: a conversation that grows by a call and its result with every turn.
struct Loop<'g> {
    gate: &'g Gate,
    client: Client,
    messages: Vec<Value>,
}

impl<'g> Loop<'g> {
    async fn begin(gate: &'g Gate) -> Self {
        let client = Client::open(gate.running(), MODEL, true).await;
        Self { gate, client, messages: vec![json!({ "role": "user", "content": "fix staging" })] }
    }

    /// Sends the conversation so far; the model asks for a command, and this is its result.
    async fn turn(&mut self, id: &str, command: &str, result: &str) {
        let body =
            json!({ "model": "m", "max_tokens": 9, "stream": true, "messages": self.messages });
        let request = self
            .client
            .request("POST", "/v1/messages")
            .header("x-api-key", "sk-ant-the-key-of-the-agent")
            .header("content-type", "application/json")
            .header("x-test-turn", format!("{id} {command}"))
            .body(full(body.to_string()))
            .unwrap();
        let got = self.client.exchange(request).await;
        assert_eq!(got.status, 200, "{got:?}");
        assert_eq!(got.body, turn(id, command).as_bytes(), "no byte is changed");
        self.messages.push(json!({ "role": "assistant", "content": [
            { "type": "tool_use", "id": id, "name": "Bash", "input": { "command": command } },
        ] }));
        self.messages.push(json!({ "role": "user", "content": [
            { "type": "tool_result", "tool_use_id": id, "content": result },
        ] }));
    }

    /// Tells the model the last result.
    async fn tell(&mut self) {
        self.turn("toolu_last", "true", "").await;
    }

    fn shown(&self) -> String {
        let output = self.gate.holdgate(&["sessions", "show", AGENT]);
        String::from_utf8(output.stdout).unwrap()
    }
}

/// The steps of the incident before its last, each of which may be missing.
const STEPS: &[&str] = &["failure", "search", "read", "tell"];

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_chain_is_seen_and_ends_before_its_last_step() {
    for missing in [None].into_iter().chain(STEPS.iter().copied().map(Some)) {
        let provider = provider().await;
        let gate = gate(&provider).await;
        let is_there = |step| missing != Some(step);
        let mut agent = Loop::begin(&gate).await;
        agent.turn("toolu_1", "railway status", "Unauthorized").await;
        if is_there("failure") {
            let mut service = Client::http1(gate.running(), STATUS).await;
            assert_eq!(service.get("/deploys").await.status, 401);
        }
        if is_there("search") {
            agent.turn("toolu_2", SEARCH, "infra/domains.env:3:RAILWAY_TOKEN=…").await;
        }
        if is_there("read") {
            let file = format!("HOST=api.example\nRAILWAY_TOKEN={FOUND}\n");
            agent.turn("toolu_3", READ, &file).await;
        }
        if is_there("tell") {
            agent.tell().await;
        }
        let sent = gate.mock.requests().len();
        let denied = gate.delete_volume(FOUND, PRODUCTION_VOLUME);
        assert_eq!(denied.reason(), "foreign_credential", "{missing:?}: {denied:?}");
        assert_eq!(gate.mock.requests().len(), sent, "{missing:?}: nothing was sent");
        assert!(gate.mock.volume_exists(PRODUCTION_VOLUME));

        // What it looked for is seen by either of two steps, so one may be missing.
        let found = is_there("search") || is_there("read");
        let stops = gate.curl(&["https://docs.railway.com/x"]);
        let (status, reason) = if found { (403, "quarantined") } else { (200, "") };
        assert_eq!(stops.status, status, "{missing:?}: {stops:?}");
        assert!(!found || stops.reason() == reason, "{missing:?}: {stops:?}");

        let shown = agent.shown();
        let at = |word: &str| shown.find(word);
        let mut before = 0;
        for (step, words) in [
            ("failure", "authentication_failure"),
            ("search", "grep -rn RAILWAY_TOKEN . (T1552"),
            ("read", "cat infra/domains.env (T1552.001)"),
            ("tell", "the result of `cat infra/domains.env`"),
        ] {
            let expected = is_there(step) && (step != "tell" || is_there("read"));
            assert_eq!(at(words).is_some(), expected, "{missing:?} {words}: {shown}");
            if let Some(at) = at(words) {
                assert!(before < at, "{missing:?} {words}: {shown}");
                before = at;
            }
        }
        assert!(shown.contains("irreversible") && !shown.contains(FOUND), "{shown}");

        let records = gate.records();
        let denial =
            records.iter().rev().find(|one| one["reason"] == "foreign_credential").unwrap();
        let used = &denial["credentials"][0];
        assert!(used["fingerprint"].as_str().unwrap().starts_with("hmac-sha256:"), "{used}");
        if is_there("read") && is_there("tell") {
            assert_eq!(used["first_seen"]["result_of"], READ, "{denial}");
            assert_eq!(used["first_seen"].get("answer_to"), Some(&Value::Null), "{used}");
            assert!(used["first_seen"]["seconds_ago"].is_u64(), "{used}");
            let carried = &used["first_seen"]["request_id"];
            assert!(
                records.iter().any(|one| one["request_id"] == *carried && one["host"] == MODEL)
            );
            let told = gate.holdgate(&["audit", "tail"]);
            let told = String::from_utf8_lossy(&told.stdout).into_owned();
            assert!(told.contains("ago in the result of `cat infra/domains.env`"), "{told}");
        } else {
            assert!(used["first_seen"].is_null(), "{missing:?}: {used}");
        }
        // The report says what completed, and when each step was.
        let completed = |one: &Value| {
            let detail = one["detail"].as_str().unwrap_or_default();
            one["kind"] == "session" && detail.starts_with("completed the sequence `pocketos`")
        };
        if found {
            let record = until("the report", || gate.records().into_iter().find(|r| completed(r)));
            let detail = record["detail"].as_str().unwrap();
            assert!(detail.contains("credential_discovery by `") && detail.contains(" s before"));
        } else {
            assert!(!gate.records().iter().any(completed), "{missing:?}");
            let output = gate.holdgate(&["sessions", "show", AGENT]);
            let shown = String::from_utf8(output.stdout).unwrap();
            assert!(shown.contains("not seen: credential_discovery"), "{shown}");
        }
        for record in gate.records() {
            assert!(!record.to_string().contains(FOUND), "{record}");
        }
    }
}

/// A search that nothing recognises: what it found, and what was done with it, is a sequence by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_no_search_was_seen_for_ends_the_session_all_the_same() {
    for (used, completes) in [(FOUND, true), (STAGING_TOKEN, false)] {
        let provider = provider().await;
        let gate = gate(&provider).await;
        let mut agent = Loop::begin(&gate).await;
        agent.turn("toolu_1", "just domains", &format!("RAILWAY_TOKEN={FOUND}\n")).await;
        agent.tell().await;
        let sent = gate.mock.requests().len();
        let told = gate.delete_volume(used, PRODUCTION_VOLUME);
        assert_eq!(told.status, 403, "{told:?}");
        assert_eq!(gate.mock.requests().len(), sent, "nothing was sent");
        let shown = agent.shown();
        assert!(shown.contains("secret_handed_out") && shown.contains("irreversible"), "{shown}");
        assert!(shown.contains("not seen: credential_discovery"), "{shown}");
        let stops = gate.curl(&["https://docs.railway.com/x"]);
        assert_eq!(stops.status, if completes { 403 } else { 200 }, "{stops:?}");
        let records = gate.records();
        let completed: Vec<&str> = records
            .iter()
            .filter(|one| one["kind"] == "session")
            .filter_map(|one| one["detail"].as_str())
            .collect();
        if completes {
            assert_eq!(told.reason(), "foreign_credential", "{told:?}");
            assert_eq!((completed.len(), &*stops.reason()), (1, "quarantined"), "{completed:?}");
            let told = "completed the sequence `found-credential`; then: quarantine; found_credential by `";
            assert!(completed[0].starts_with(told), "{completed:?}");
        } else {
            // The agent's own token, on what is not its own: refused, and no theft.
            assert_eq!(told.reason(), "credential_out_of_scope", "{told:?}");
            assert!(completed.is_empty(), "{completed:?}");
        }
    }
}

/// A value that stands alone has no name; it is known for one where the call looked for credentials.
#[tokio::test(flavor = "multi_thread")]
async fn a_value_alone_is_known_where_it_was_looked_for() {
    for (command, known) in [("grep RAILWAY_TOKEN .env | cut -d= -f2", true), ("uuidgen", false)] {
        let provider = provider().await;
        let gate = gate(&provider).await;
        let mut agent = Loop::begin(&gate).await;
        agent.turn("toolu_1", command, &format!("{FOUND}\n")).await;
        agent.tell().await;
        let denied = gate.delete_volume(FOUND, PRODUCTION_VOLUME);
        assert_eq!(denied.reason(), "foreign_credential", "{command}: {denied:?}");
        let records = gate.records();
        let denial = records.iter().find(|one| one["reason"] == "foreign_credential").unwrap();
        let first = &denial["credentials"][0]["first_seen"];
        assert_eq!(first["result_of"].is_string(), known, "{command}: {denial}");
    }
}
