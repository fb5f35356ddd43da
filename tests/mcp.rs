//! Servers of tools that speak MCP: which calls pass, which wait, and what their clients are told.

use crate::support::Gate;
use crate::support::client::{Client, Got, empty, full};
use crate::support::mock::{Options, STAGING_TOKEN};
use crate::support::origin::{Body, Identity, Origin, text};
use crate::support::policy::Edit;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

const HOST: &str = "mcp.example";
const VERSION: &str = "io.modelcontextprotocol/protocolVersion";
const RESOURCE: &str = "service: mcp
hosts: [mcp.example]
environment: staging
credentials: none
allow: [read, tools/call list_volumes, client response]
hold: [write, destructive, credential, access, execute, unknown]
deny: [tools/call volume_purge]";

/// A server, and the gate before it.
struct Server {
    gate: Gate,
    origin: Origin,
    /// What arrived: method and path, and the body.
    heard: Arc<Mutex<Vec<(String, String)>>>,
}

impl Server {
    async fn start() -> Self {
        Self::with(RESOURCE, |edit| edit).await
    }

    async fn with(resource: &str, change: impl FnOnce(Edit) -> Edit) -> Self {
        let heard = Arc::new(Mutex::new(Vec::new()));
        let hears = heard.clone();
        let origin = Origin::http(Identity::named(&[HOST]), move |request| {
            let hears = hears.clone();
            async move { answer(request, &hears).await }
        })
        .await;
        let gate = Gate::with(Options::default(), |policy| {
            let edit = Edit(policy)
                .replace("wait: 20s", "wait: 1s")
                .resolve(&format!("{HOST}:443"), origin.address)
                .root(&origin.roots())
                .resource("tools", resource);
            change(edit).0
        })
        .await;
        Self { gate, origin, heard }
    }

    async fn client(&self) -> Client {
        Client::http1(self.gate.running(), HOST).await
    }

    /// Sends a body as a client of the session era does, with more headers.
    async fn post(&self, body: &str, headers: &[(&str, &str)]) -> Got {
        let mut client = self.client().await;
        let mut request = client
            .request("POST", "/mcp")
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        client.exchange(request.body(full(body.to_owned())).unwrap()).await
    }

    fn bodies(&self) -> Vec<String> {
        self.heard.lock().unwrap().iter().map(|(_, body)| body.clone()).collect()
    }
}

/// Answers as a server of tools does, as far as the tests look.
async fn answer(
    request: Request<Incoming>,
    heard: &Mutex<Vec<(String, String)>>,
) -> Response<Body> {
    let line = format!("{} {}", request.method(), request.uri());
    let read = request.method() == "GET";
    let body = request.into_body().collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    heard.lock().unwrap().push((line, body.clone()));
    let said: Value = serde_json::from_str(&body).unwrap_or_default();
    let mut response = if read {
        text("event: message\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n")
    } else if let Some(page) = said["params"]["cursor"].as_str() {
        return tools(&said["id"], page);
    } else if said.get("id").is_some() {
        text(json!({"jsonrpc": "2.0", "id": said["id"], "result": {"done": true}}).to_string())
    } else {
        let mut accepted = text("");
        *accepted.status_mut() = hyper::StatusCode::ACCEPTED;
        accepted
    };
    let kind = if read { "text/event-stream" } else { "application/json" };
    response.headers_mut().insert("content-type", kind.parse().unwrap());
    response
}

/// A page of tools, with what their server says of them.
fn tools(id: &Value, page: &str) -> Response<Body> {
    let destroys = json!({"destructiveHint": true, "readOnlyHint": true});
    let harmless = json!({"destructiveHint": false, "readOnlyHint": true});
    let of = |name: &str, annotations: &Value| json!({"name": name, "annotations": annotations});
    let listed = match page {
        "json" => json!([
            of("rename", &destroys),
            of("named", &destroys),
            of("wipe", &harmless),
            {"name": "retag"},
        ]),
        "events" => json!([of("retag", &destroys), of("mystery", &harmless)]),
        _ => json!([of("rename", &harmless), of("retag", &harmless)]),
    };
    let message = json!({"jsonrpc": "2.0", "id": id, "result": {"tools": listed}});
    let (kind, body) = match page {
        "events" => {
            let lines = serde_json::to_string_pretty(&message).unwrap().replace('\n', "\ndata: ");
            let before =
                "id: 1\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/message\"}\n\n";
            ("text/event-stream", format!("{before}event: message\ndata: {lines}\n\n"))
        }
        _ => ("application/json", message.to_string()),
    };
    let mut response = text(body);
    response.headers_mut().insert("content-type", kind.parse().unwrap());
    response
}

/// A body, what stands in its head, and the status it gets.
struct Step<'a>(&'a str, &'a [(&'a str, &'a str)], u16);

fn call(id: &Value, tool: &str, arguments: &Value, meta: &Value) -> String {
    let params = json!({"name": tool, "arguments": arguments, "_meta": meta});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_everyday_session_passes() {
    let server = Server::start().await;
    // A session may be a token of the server's own making; it proves nothing, and is no credential.
    let session = ("mcp-session-id", "eyJhbGciOiJIUzI1NiJ9.eyJzIjoxfQ.c2lnbmF0dXJlc2lnbmF0dXJl");
    let version = ("mcp-protocol-version", "2025-11-25");
    let listed =
        call(&json!(2), "list_volumes", &json!({"project": "p"}), &json!({"progressToken": 2}));
    let stateless = call(&json!(3), "list_volumes", &json!({}), &json!({VERSION: "2026-07-28"}));
    let mirrors = [
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", "=?base64?bGlzdF92b2x1bWVz?="),
    ];
    let initialize = json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "c", "version": "1"},
    }})
    .to_string();
    let steps: &[Step<'_>] = &[
        Step(&initialize, &[], 200),
        Step(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, &[session, version], 202),
        Step(r#"{"method":"tools/list","jsonrpc":"2.0", "id":1}"#, &[session, version], 200),
        Step(&listed, &[session, version], 200),
        Step(
            r#"{"jsonrpc":"2.0","id":"q1","result":{"action":"accept"}}"#,
            &[session, version],
            200,
        ),
        Step(&stateless, &mirrors, 200),
    ];
    for Step(body, headers, status) in steps {
        let got = server.post(body, headers).await;
        assert_eq!(got.status, *status, "{body}\n{got:?}");
    }
    let sent: Vec<String> = steps.iter().map(|Step(body, ..)| (*body).to_owned()).collect();
    assert_eq!(server.bodies(), sent, "what is judged is sent byte for byte");
    let mut client = server.client().await;
    let request = client.request("GET", "/mcp").header("accept", "text/event-stream");
    let request = request.header(session.0, session.1).header("last-event-id", "e1");
    let got = client.exchange(request.body(empty()).unwrap()).await;
    assert_eq!(
        (got.status.as_u16(), &got.headers["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    // The older transport names the session in its query.
    let path = "/messages?sessionId=9f0c2b1e-5d0e-4a43-9d5b-0a4f6f0f7a11";
    let request = client.request("POST", path).header("content-type", "application/json");
    let body = full(r#"{"jsonrpc":"2.0","id":9,"method":"ping"}"#);
    let got = client.exchange(request.body(body).unwrap()).await;
    assert_eq!(got.json()["id"], 9, "{got:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_tool_waits_and_its_retry_redeems_under_another_id() {
    let server = Server::start().await;
    let delete = |id: Value, volume: &str, meta: Value| {
        call(&id, "volume_delete", &json!({"volumeId": volume}), &meta)
    };
    let got = server.post(&delete(json!(7), "v-1", json!({"progressToken": "p1"})), &[]).await;
    assert_eq!(got.status, 200);
    assert_eq!(got.headers["content-type"], "application/json");
    assert_eq!(got.headers["cache-control"], "no-store");
    assert!(got.headers.contains_key("retry-after"), "{got:?}");
    assert!(got.headers.contains_key("proxy-status"), "{got:?}");
    let told = got.json();
    assert_eq!((&told["jsonrpc"], &told["id"]), (&json!("2.0"), &json!(7)));
    assert_eq!(told["result"]["isError"], true);
    let refusal = &told["result"]["_meta"]["holdgate/refusal"];
    assert_eq!(
        (&refusal["verdict"], &refusal["reason"]),
        (&json!("hold"), &json!("unknown_operation"))
    );
    let id = refusal["hold"]["id"].as_str().unwrap();
    let text = told["result"]["content"][0]["text"].as_str().unwrap();
    assert!(text.contains(id) && text.contains("held"), "{text}");
    assert!(text.contains("send the same request again"), "{text}");
    let whole = String::from_utf8_lossy(&got.body);
    assert!(!whole.contains("volume_delete") && !whole.contains("v-1"), "{whole}");
    assert_eq!(server.origin.bytes_received(), 0, "a held call reached the server");

    let shown = server.gate.holdgate(&["approvals", "show", id]);
    let card = String::from_utf8(shown.stdout).unwrap();
    assert!(card.contains("tools/call volume_delete"), "{card}");
    server.gate.approve(id);
    let other = server.post(&delete(json!(8), "v-2", json!({})), &[]).await.json();
    assert_eq!(other["result"]["isError"], true, "other arguments are another call");
    assert_ne!(other["result"]["_meta"]["holdgate/refusal"]["hold"]["id"], id);
    assert_eq!(server.origin.bytes_received(), 0);
    let again = delete(json!("eight"), "v-1", json!({"progressToken": "p2"}));
    let got = server.post(&again, &[]).await;
    assert_eq!(got.json()["result"]["done"], true, "{got:?}");
    assert_eq!(server.bodies(), [again], "the retry is what is sent");
    let spent = server.post(&delete(json!(9), "v-1", json!({})), &[]).await.json();
    assert_ne!(spent["result"]["_meta"]["holdgate/refusal"]["hold"]["id"], id);
    assert_eq!(server.bodies().len(), 1, "an approval is used once");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_the_stateless_era_is_told_in_its_own_terms() {
    let server = Server::start().await;
    let meta = json!({VERSION: "2026-07-28"});
    let got = server.post(&call(&json!("a"), "volume_purge", &json!({}), &meta), &[]).await;
    let told = got.json();
    assert_eq!((got.status.as_u16(), &told["id"]), (200, &json!("a")));
    assert_eq!(told["result"]["resultType"], "complete");
    assert_eq!(told["result"]["_meta"]["holdgate/refusal"]["verdict"], "deny");
    assert!(!got.headers.contains_key("retry-after"), "a denial is not to be tried again");
    assert_eq!(server.origin.bytes_received(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_with_one_forbidden_call_is_refused_whole() {
    let server = Server::start().await;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let note = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1}}"#;
    let purge = call(&json!("2"), "volume_purge", &json!({}), &json!({}));
    let got = server.post(&format!("[{list},{note},{purge}]"), &[]).await;
    assert_eq!(got.status, 200, "{got:?}");
    let told = got.json();
    assert_eq!(told.as_array().unwrap().len(), 2, "a notification has no answer: {told}");
    assert_eq!(told[0]["id"], 1);
    assert_eq!(told[0]["error"]["data"]["reason"], "unknown_operation");
    assert_eq!((&told[1]["id"], &told[1]["result"]["isError"]), (&json!("2"), &json!(true)));
    assert_eq!(server.origin.bytes_received(), 0, "a part of the batch was sent");
    // The same batch without it passes.
    let got = server.post(&format!("[{list},{note}]"), &[]).await;
    assert_eq!(got.status, 202, "{got:?}");
    assert_eq!(server.bodies().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_certain_call_is_refused_in_plain_http() {
    let server = Server::start().await;
    let listed =
        call(&json!(1), "list_volumes", &json!({"region": "eu"}), &json!({VERSION: "2026-07-28"}));
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let batch = format!("[{list}]");
    let note = r#"{"jsonrpc":"2.0","method":"vendor/reset"}"#;
    let cases: &[(Step<'_>, &str)] = &[
        (Step(&listed, &[("mcp-name", "volume_purge")], 400), "malformed"),
        (Step(&listed, &[("mcp-method", "tools/list")], 400), "malformed"),
        (
            Step(&listed, &[("mcp-method", "tools/call"), ("mcp-method", "tools/call")], 400),
            "malformed",
        ),
        (Step(&listed, &[("mcp-protocol-version", "2025-11-25")], 400), "malformed"),
        (Step(&listed, &[("mcp-param-region", "us")], 400), "malformed"),
        (Step(&batch, &[("mcp-method", "tools/list")], 400), "malformed"),
        (
            Step(r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"tools/list"}"#, &[], 403),
            "unreadable",
        ),
        (Step(r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","x":1}"#, &[], 403), "unreadable"),
        (Step(r#"{"jsonrpc":"1.0","id":1,"method":"tools/list"}"#, &[], 403), "unreadable"),
        (
            Step(r#"{"jsonrpc":"2.0","id":1,"method":"tools/call list_volumes"}"#, &[], 403),
            "unreadable",
        ),
        (
            Step(
                r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"list_volumes","Name":"volume_purge"}}"#,
                &[],
                403,
            ),
            "unreadable",
        ),
        (Step("", &[], 403), "unreadable"),
        // Nobody waits for an answer to a notification, so it is held in plain HTTP.
        (Step(note, &[], 403), "unknown_operation"),
    ];
    for (Step(body, headers, status), reason) in cases {
        let got = server.post(body, headers).await;
        assert_eq!(
            (got.status.as_u16(), got.reason().as_str()),
            (*status, *reason),
            "{body} {headers:?}"
        );
        assert_eq!(got.headers["content-type"], "application/problem+json");
    }
    for (method, path) in [
        ("GET", "/mcp"),
        ("GET", "/mcp?method=volume_purge"),
        ("GET", "/api/tools/volume_purge/invoke?volume=7"),
        ("DELETE", "/volumes/7"),
        ("DELETE", "/mcp/volumes/7"),
        ("DELETE", "/messages/7"),
    ] {
        let mut client = server.client().await;
        let mut request = client.request(method, path);
        if path.contains('?') {
            request = request.header("accept", "text/event-stream");
        }
        if method == "DELETE" {
            request = request.header("mcp-session-id", "s-1");
        }
        let got = client.exchange(request.body(empty()).unwrap()).await;
        assert_eq!(got.reason(), "unknown_operation", "{method} {path}: {got:?}");
    }
    assert_eq!(server.origin.bytes_received(), 0, "something of it was sent");
    let got =
        server.post(&listed, &[("mcp-param-region", "eu"), ("mcp-name", "list_volumes")]).await;
    assert_eq!(got.status, 200, "{got:?}");
}

/// A service that speaks JSON-RPC and nothing of MCP.
#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_of_ones_own_says_what_methods_do_and_to_what() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("ledger.yaml");
    let lines = "service: ledger
title: Ledger
kind: api
hosts: []
slots: [header authorization]
kinds: [account]
envelopes: [mcp]
operations:
  balance: { effect: read, decides: { account: account } }
  transfer: { effect: write, decides: { account: account } }
  close: { effect: destructive, reversibility: irreversible, decides: { account: account } }
";
    std::fs::write(&catalog, lines).unwrap();
    let resource = "service: ledger
hosts: [mcp.example]
environment: staging
credentials: none
ids: { account: [a-1] }
allow: [read, write]
hold: [destructive, unknown]";
    let declared = format!("catalogs: [\"{}\"]", catalog.display());
    let server = Server::with(resource, |edit| edit.section(&declared)).await;
    let said = |method: &str, params: Value| {
        json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string()
    };
    let cases = [
        ("close", json!({"account": "a-1"}), "destructive"),
        ("transfer", json!({"account": "a-2"}), "unknown_target"),
        ("transfer", json!(["a-1", 5]), "account_wide"),
        ("Transfer", json!({"account": "a-1"}), "unknown_operation"),
    ];
    for (method, params, reason) in cases {
        let got = server.post(&said(method, params), &[]).await;
        assert_eq!(got.status, 200, "{got:?}");
        assert_eq!(got.json()["error"]["data"]["reason"], reason, "{method}");
    }
    assert_eq!(server.origin.bytes_received(), 0);
    for method in ["balance", "transfer"] {
        let got = server.post(&said(method, json!({"account": "a-1"})), &[]).await;
        assert_eq!(got.json()["result"]["done"], true, "{got:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_says_of_its_tools_makes_them_graver_and_never_milder() {
    let folder = tempfile::tempdir().unwrap();
    let catalog = folder.path().join("things.yaml");
    let lines = "service: things
title: Things
kind: mcp
hosts: []
slots: [header authorization]
kinds: [thing]
envelopes: [mcp]
operations:
  tools/list: { effect: read }
  \"tools/call rename\": { effect: write, decides: { thing: thing } }
  \"tools/call retag\": { effect: write, decides: { thing: thing } }
  \"tools/call wipe\": { effect: destructive, reversibility: irreversible, decides: { thing: thing } }
";
    std::fs::write(&catalog, lines).unwrap();
    let resource = "service: things
hosts: [mcp.example]
environment: staging
credentials: none
ids: { thing: [t-1] }
allow: [read, write, tools/call named]
hold: [destructive, unknown]";
    let declared = format!("catalogs: [\"{}\"]", catalog.display());
    let server = Server::with(resource, |edit| edit.section(&declared)).await;
    let list = |page: &str| {
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"cursor": page}})
            .to_string()
    };
    // What each tool gets: nothing where it passes, else the reason for which it is held.
    let expect = async |when: &str, expected: [(&str, &str); 5]| {
        for (tool, reason) in expected {
            let before = server.bodies().len();
            // Another argument each time, so that no hold is found again.
            let body = call(&json!(7), tool, &json!({"thing": "t-1", "why": when}), &json!({}));
            let told = server.post(&body, &[]).await.json();
            let refusal = &told["result"]["_meta"]["holdgate/refusal"];
            let sent = server.bodies().len() > before;
            if reason.is_empty() {
                assert_eq!((&told["result"]["done"], sent), (&json!(true), true), "{when}: {told}");
            } else {
                let held = (&refusal["verdict"], &refusal["reason"], sent);
                assert_eq!(held, (&json!("hold"), &json!(reason), false), "{when}, {tool}: {told}");
            }
        }
    };
    let (wipe, mystery) = (("wipe", "destructive"), ("mystery", "unknown_operation"));
    expect("before", [("rename", ""), ("named", ""), ("retag", ""), wipe, mystery]).await;
    let got = server.post(&list("json"), &[]).await;
    assert_eq!(got.json()["result"]["tools"][0]["name"], "rename", "{got:?}");
    // Whoever allowed it by its name did not know.
    let named = ("named", "destructive");
    expect("after JSON", [("rename", "destructive"), named, ("retag", ""), wipe, mystery]).await;
    let got = server.post(&list("events"), &[]).await;
    assert_eq!(got.headers["content-type"], "text/event-stream");
    assert!(String::from_utf8_lossy(&got.body).contains("retag"), "{got:?}");
    let both = [("rename", "destructive"), named, ("retag", "destructive"), wipe, mystery];
    expect("after events", both).await;
    let got = server.post(&list("harmless"), &[]).await;
    assert_eq!(got.status, 200, "{got:?}");
    expect("after it says otherwise", both).await;
}

/// Whoever calls chooses the name of a tool and of a method, and both are recorded and shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_for_a_name_is_written_nowhere() {
    let server = Server::start().await;
    let bodies = [
        call(&json!(1), STAGING_TOKEN, &json!({}), &json!({})),
        json!({ "jsonrpc": "2.0", "id": 1, "method": format!("x/{STAGING_TOKEN}") }).to_string(),
    ];
    for body in &bodies {
        let got = server.post(body, &[]).await;
        assert!(!String::from_utf8_lossy(&got.body).contains(STAGING_TOKEN), "{got:?}");
    }
    assert_eq!(server.origin.bytes_received(), 0, "nothing was sent");
    let records = server.gate.records();
    let refused = records.iter().filter(|one| one["kind"] == "request");
    let named: Vec<String> = refused.map(|one| one["operations"].to_string()).collect();
    assert_eq!(named, [r#"["tools/call [secret]"]"#, r#"["[secret]"]"#]);
    let shown = server.gate.holdgate(&["sessions", "show", "staging-fixer"]).stdout;
    let mut written = vec![shown, format!("{records:?}").into_bytes()];
    for file in std::fs::read_dir(server.gate.folder.path().join("state")).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            written.push(std::fs::read(path).unwrap());
        }
    }
    assert!(written.len() > 3, "there is state");
    for text in written {
        let found = memchr::memmem::find(&text, STAGING_TOKEN.as_bytes());
        assert_eq!(found, None, "{}", String::from_utf8_lossy(&text));
    }
}
