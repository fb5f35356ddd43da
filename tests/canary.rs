//! A secret in every slot, and nothing of it in anything that the process wrote, answered or printed.
//!
//! What was written is looked through by the scanner itself, which knows each canary and undoes every
//! encoding that it knows.

use crate::support::client::{Client, empty, full};
use crate::support::mock::{Options, STAGING_ENVIRONMENT, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::origin::{Identity, Origin, text};
use crate::support::policy::Edit;
use crate::support::socket::Socket;
use crate::support::{APPROVER_TOKEN, Gate, Running};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use holdgate::fingerprint::FingerprintKey;
use holdgate::inspect::secret::{Known, Owner, Scanner};
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tokio_tungstenite::tungstenite::Message;

const HERE: &str = "here.example";
const INJECTED: &str = "cAnArY-of-a-value-that-is-put-in-9f2c";
const AGENT_TOKEN: &str = "cAnArY-of-the-agents-own-token-77ad";

/// The canaries that were put in slots so far.
#[derive(Default)]
struct Canaries(Vec<(String, String)>);

impl Canaries {
    /// A new one, which its slot is known by.
    fn next(&mut self, slot: &str) -> String {
        let secret = format!("cAnArY7{:04}q7Zx0Kd3vB9mW2", self.0.len() + 1000);
        self.0.push((slot.to_owned(), secret.clone()));
        secret
    }

    /// Which of them stand in a text, in any encoding.
    fn in_text(&self, text: &[u8]) -> Vec<&str> {
        let key = Arc::new(FingerprintKey::new(b"the key of the test"));
        let traces = self.0.iter().enumerate().map(|(number, (_, secret))| {
            (key.trace(secret.as_bytes()).unwrap(), Owner::Seen(number))
        });
        let known = Arc::new(Known::new(traces));
        let scanner = Scanner::new(key).unwrap().and(known);
        let mut found = Vec::new();
        // So many sightings of one text are told and no more; a log of many pieces is many texts.
        for piece in text.chunks(32 << 10) {
            for sighting in scanner.sightings(piece) {
                if let holdgate::inspect::secret::What::Known(Owner::Seen(number)) = sighting.what {
                    found.push(&*self.0[number].0);
                }
            }
        }
        found
    }
}

/// Every file below a folder but those that hold secrets by design: the keys.
fn files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for item in std::fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

/// A proxy that traces all it can, with a value that is put in on one host, and an upstream that says
/// it, and what it was sent, back.
async fn gate(origin: &Origin) -> Gate {
    let folder = origin.roots().parent().unwrap().to_owned();
    let (value, token) = (folder.join("value"), folder.join("agent-token"));
    std::fs::write(&value, INJECTED).unwrap();
    std::fs::write(&token, AGENT_TOKEN).unwrap();
    let mut gate = Gate::with(Options::default(), |policy| {
        let issued = format!(
            "    credentials: [railway-staging-token, held]\n    token: {{ file: {} }}\n",
            token.display()
        );
        let held = format!(
            "\ncredentials:\n  held:\n    value: {{ file: {} }}\n    resources: [here]\n    inject: true\n",
            value.display()
        );
        Edit(policy)
            .replace("    credentials: [railway-staging-token]\n", &issued)
            .replace("\ncredentials:\n", &held)
            .replace("wait: 20s", "wait: 1s")
            .proxy("tool_calls: {}")
            .root(&origin.roots())
            .resolve(&format!("{HERE}:443"), origin.address)
            .resource("here", &format!("hosts: [{HERE}]\nrules: [ {{ allow: \"* /**\" }} ]"))
            .0
    })
    .await;
    gate.kill();
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdgate"));
    command.current_dir(gate.folder.path()).arg("serve").env("HOLDGATE_LOG", "trace");
    gate.process = Some(Running::of(command).unwrap());
    gate.process.as_mut().unwrap().user = Some(format!("staging-fixer:{AGENT_TOKEN}"));
    gate
}

/// A slot, a method, a path, headers and a body.
type Asked = (
    &'static str,
    &'static str,
    &'static str,
    &'static [(&'static str, &'static str)],
    &'static str,
);

/// What is asked of the plain host: the slot, and the request with `SECRET` for the secret.
const REQUESTS: &[Asked] = &[
    ("bearer", "GET", "/", &[("authorization", "Bearer SECRET")], ""),
    ("basic", "GET", "/", &[("authorization", "Basic BASE64(user:SECRET)")], ""),
    ("digest", "GET", "/", &[("authorization", "Digest username=\"SECRET\"")], ""),
    ("vendor header", "GET", "/", &[("x-api-key", "SECRET")], ""),
    ("unlisted header", "GET", "/", &[("x-note", "SECRET")], ""),
    ("header name", "GET", "/", &[("x-SECRET", "1")], ""),
    ("cookie", "GET", "/", &[("cookie", "a=SECRET")], ""),
    ("cookie name", "GET", "/", &[("cookie", "SECRET=a")], ""),
    ("user agent", "GET", "/", &[("user-agent", "curl/SECRET")], ""),
    ("etag", "GET", "/", &[("if-none-match", "\"SECRET\"")], ""),
    ("range", "GET", "/", &[("range", "bytes=SECRET")], ""),
    ("referer", "GET", "/", &[("referer", "https://user:SECRET@git.example/")], ""),
    ("content type", "POST", "/", &[("content-type", "text/plain; a=SECRET")], "x"),
    ("boundary", "POST", "/", &[("content-type", "multipart/form-data; boundary=SECRET")], "x"),
    ("query", "GET", "/?access_token=SECRET", &[], ""),
    ("query name", "GET", "/?SECRET=1", &[], ""),
    ("method", "SECRET", "/", &[], ""),
    (
        "json",
        "POST",
        "/oauth/token",
        &[("content-type", "application/json")],
        r#"{"grant_type":"refresh_token","refresh_token":"SECRET"}"#,
    ),
    ("json key", "POST", "/", &[("content-type", "application/json")], r#"{"SECRET":1}"#),
    (
        "form",
        "POST",
        "/oauth/token",
        &[("content-type", "application/x-www-form-urlencoded")],
        "grant_type=password&password=SECRET",
    ),
    (
        "multipart",
        "POST",
        "/",
        &[("content-type", "multipart/form-data; boundary=b")],
        "--b\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nSECRET\r\n--b--\r\n",
    ),
    (
        "filename",
        "POST",
        "/",
        &[("content-type", "multipart/form-data; boundary=b")],
        "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"SECRET\"\r\n\r\nx\r\n--b--\r\n",
    ),
    ("override", "GET", "/", &[("x-http-method-override", "SECRET")], ""),
    ("destroys", "DELETE", "/things?token=SECRET", &[], ""),
];

/// K-28, M-26, and that what is put in is in no answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_secret_in_any_slot_is_written_nowhere() {
    let said = Arc::new(std::sync::Mutex::new(String::new()));
    let saying = said.clone();
    let origin = Origin::http(Identity::named(&[HERE]), move |request| {
        let head = format!("{} {} {:?}", request.method(), request.uri(), request.headers());
        saying.lock().unwrap().push_str(&head);
        async move { text(format!("{{\"token\":\"{INJECTED}\",\"sent\":{head:?}}}")) }
    })
    .await;
    let mut gate = gate(&origin).await;
    let mut canaries = Canaries::default();
    let mut written: Vec<(String, Vec<u8>)> = Vec::new();
    for http2 in [false, true] {
        for (slot, method, path, headers, body) in REQUESTS {
            let secret = canaries.next(slot);
            let fill = |template: &str| {
                let filled = template.replace("SECRET", &secret);
                match filled.split_once("BASE64(") {
                    Some((before, inside)) => {
                        format!("{before}{}", STANDARD.encode(inside.strip_suffix(')').unwrap()))
                    }
                    None => filled,
                }
            };
            let mut client = Client::open(gate.running(), HERE, http2).await;
            let mut request = client.request(&fill(method), &fill(path));
            for (name, value) in *headers {
                request = request.header(fill(name), fill(value));
            }
            let body = if body.is_empty() { empty() } else { full(fill(body)) };
            let got = client.exchange(request.body(body).unwrap()).await;
            let answer = format!("{:?} {:?}", got.headers, got.body);
            // What the upstream itself says of the request passes; what the proxy answers says nothing.
            if got.status == 200 {
                assert!(!answer.contains(INJECTED), "{slot}: {answer}");
            } else {
                written.push((format!("the answer {} to {slot}", got.status), answer.into_bytes()));
            }
        }
    }
    // What an answer hands out, what is issued, and what is put in.
    let placeholder = gate.holdgate(&["credential", "placeholder", "held"]).stdout;
    let placeholder = String::from_utf8(placeholder).unwrap().trim().to_owned();
    let mut client = Client::http1(gate.running(), HERE).await;
    let request =
        client.request("GET", "/").header("authorization", format!("Bearer {placeholder}"));
    let got = client.exchange(request.body(empty()).unwrap()).await;
    assert_eq!(got.status, 200);
    assert!(said.lock().unwrap().contains(INJECTED), "it was put in");
    written.push(("an answer to what was put in".to_owned(), got.body.to_vec()));

    // GraphQL: its variables, its text, its errors, and a hold with its card.
    let mutation = "mutation V($input: VariableUpsertInput!) { variableUpsert(input: $input) }";
    let unknown = "bbbbbbbb-0000-4000-8000-00000000ffff";
    for (slot, body) in [
        (
            "variable",
            json!({ "query": mutation, "variables": { "input": { "environmentId": STAGING_ENVIRONMENT, "name": "A", "value": "SECRET" } } }),
        ),
        (
            "held variable",
            json!({ "query": mutation, "variables": { "input": { "environmentId": unknown, "name": "A", "value": "SECRET" } } }),
        ),
        (
            "literal",
            json!({ "query": format!("mutation {{ variableUpsert(input: {{ environmentId: \"{unknown}\", name: \"A\", value: \"SECRET\" }}) }}") }),
        ),
        ("name", json!({ "query": "mutation SECRET { userDelete }" })),
        ("alias", json!({ "query": "mutation { SECRET: volumeDelete(volumeId: \"v\") }" })),
        ("broken", json!({ "query": "mutation { SECRET " })),
    ] {
        let secret = canaries.next(slot);
        let body: serde_json::Value =
            serde_json::from_str(&body.to_string().replace("SECRET", &secret)).unwrap();
        let answer = gate.graphql(STAGING_TOKEN, &body);
        if answer.status != 200 {
            written.push((format!("the answer to {slot}"), answer.body.into_bytes()));
        }
    }
    // An issued one where it belongs: in a path, in a query, as an id, as what the agent says of itself.
    let id =
        json!({ "query": format!("mutation {{ volumeDelete(volumeId: \"{STAGING_TOKEN}\") }}") });
    let answer = gate.graphql(STAGING_TOKEN, &id);
    written.push(("the answer to an id".to_owned(), answer.body.into_bytes()));
    let url = format!("https://backboard.railway.com/{STAGING_TOKEN}/x?id={STAGING_TOKEN}");
    let own = format!("Authorization: Bearer {STAGING_TOKEN}");
    let answer = gate.curl(&["-X", "DELETE", "-A", STAGING_TOKEN, "-H", &own, &url]);
    written.push(("the answer to a path".to_owned(), answer.body.into_bytes()));
    let held =
        json!({ "query": format!("mutation {{ volumeDelete(volumeId: \"{STAGING_VOLUME}\") }}") });
    let graphql = "https://backboard.railway.com/graphql/v2";
    let json = "Content-Type: application/json";
    let body = held.to_string();
    let answer = gate.curl(&["-A", STAGING_TOKEN, "-H", &own, "-H", json, "-d", &body, graphql]);
    assert_eq!(answer.verdict(), "hold", "its card is written: {answer:?}");
    // What an agent and its model say to each other: calls of tools, their results, in the request and in
    // what the model answers.
    let mut client = Client::http1(gate.running(), "api.anthropic.com").await;
    for (slot, tool, input, result) in [
        ("a command", "Bash", json!({ "command": "cat SECRET.env; echo SECRET" }), "none"),
        (
            "a header of a command",
            "Bash",
            json!({ "command": "curl -H 'X-A: SECRET' file:///a/.env" }),
            "",
        ),
        ("an assignment", "Bash", json!({ "command": "TOKEN=SECRET cat .env" }), "none"),
        ("a path", "Read", json!({ "file_path": "/w/SECRET/.env" }), "none"),
        ("a pattern", "Grep", json!({ "pattern": "RAILWAY_TOKEN=SECRET", "path": "." }), "none"),
        ("a tool", "SECRET", json!({ "command": "env" }), "none"),
        (
            "a result",
            "Bash",
            json!({ "command": "cat .env" }),
            "RAILWAY_TOKEN=SECRET\nAPI_KEY: SECRET",
        ),
        ("a broken input", "Bash", json!("{SECRET"), "SECRET"),
    ] {
        let secret = canaries.next(slot);
        let message = json!({ "model": "m", "messages": [
            { "role": "assistant", "content": [{ "type": "tool_use", "id": "SECRET", "name": tool, "input": input }] },
            { "role": "user", "content": [{ "type": "tool_result", "tool_use_id": "SECRET", "content": result }] },
        ] });
        let request =
            client.request("POST", "/v1/messages").header("x-api-key", "a-key-of-the-model");
        let body = full(message.to_string().replace("SECRET", &secret));
        let request = request.header("content-type", "application/json").body(body).unwrap();
        assert_eq!(client.exchange(request).await.status, 200, "{slot}");
        // What was in a result is known from then on, and shown nowhere either.
        let used = format!("Bearer {secret}");
        let mut other = Client::http1(gate.running(), HERE).await;
        let request = other.request("GET", "/").header("authorization", used);
        let got = other.exchange(request.body(empty()).unwrap()).await;
        written.push((format!("the answer to {slot} used"), got.body.to_vec()));
    }
    let shown =
        String::from_utf8(gate.holdgate(&["sessions", "show", "staging-fixer"]).stdout).unwrap();
    assert!(shown.matches("credential_discovery").count() > 3, "it was heard: {shown}");
    let secret = canaries.next("a message");
    let mut socket = Socket::railway(&gate, "graphql-transport-ws", None).await;
    let init = json!({ "type": "connection_init", "payload": { "token": secret } });
    socket.send(Message::text(init.to_string())).await;
    written.push(("a close".to_owned(), socket.closed().await.1.into_bytes()));

    // What an agent asks about before it runs, with an issued secret in every part.
    let socket = gate.folder.path().join("state/tool-calls.sock");
    for call in [
        json!({ "tool": STAGING_TOKEN, "input": { "command": "cat b.env" } }),
        json!({ "tool": "Bash", "input": { "command": format!("rm -rf /srv # {STAGING_TOKEN}") } }),
        json!({ "tool": "Bash", "input": { "command": format!("cat {STAGING_TOKEN}.env") } }),
        json!({ "tool": "Read", "input": { "path": "/a/.env", "note": STAGING_TOKEN } }),
        json!({ "tool": "t", "input": { STAGING_TOKEN: "rm -rf /" }, "call": STAGING_TOKEN, "cwd": STAGING_TOKEN }),
    ] {
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "30", "-u", &format!("staging-fixer:{AGENT_TOKEN}")])
            .args(["--unix-socket", socket.to_str().unwrap(), "http://localhost/v1/tool-calls"])
            .args(["-H", "Content-Type: application/json", "-d", &call.to_string()])
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(told.contains("\"verdict\""), "{told} {output:?}");
        written.push(("the answer to a tool call".to_owned(), output.stdout));
    }

    // All that people and programs are shown.
    for arguments in [
        &["audit", "tail", "-n", "10000"][..],
        &["audit", "tail", "-n", "10000", "--json"],
        &["approvals", "list"],
        &["approvals", "list", "--json"],
        &["sessions", "list", "--json"],
        &["sessions", "show", "staging-fixer"],
        &["sessions", "explain", "staging-fixer"],
        &["inventory", "list"],
        &["policy", "check"],
        &["env"],
    ] {
        let output = gate.holdgate(arguments);
        written.push((arguments.join(" "), [output.stdout, output.stderr].concat()));
    }
    let metrics = Command::new("curl")
        .args(["-sS", "--max-time", "30", "-H", &format!("Authorization: Bearer {APPROVER_TOKEN}")])
        .arg(format!("http://{}/metrics", gate.running().approvals))
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&metrics.stdout).contains("holdgate_verdicts"), "{metrics:?}");
    written.push(("metrics".to_owned(), metrics.stdout));
    let log = gate.running().stderr.clone();
    gate.drain();
    written.push(("the log".to_owned(), log.lock().unwrap().clone().into_bytes()));
    files(&gate.folder.path().join("state"), &mut written);
    files(&gate.folder.path().join("certs"), &mut written);

    for (name, secret) in
        [("issued", STAGING_TOKEN), ("put in", INJECTED), ("the agent's token", AGENT_TOKEN)]
    {
        canaries.0.push((name.to_owned(), secret.to_owned()));
    }
    let shown: Vec<String> = written
        .iter()
        .flat_map(|(place, bytes)| {
            canaries.in_text(bytes).into_iter().map(move |slot| format!("{slot} in {place}"))
        })
        .collect();
    assert!(shown.is_empty(), "{shown:#?}");
    // The search finds what is there: the upstream was sent what passed.
    let seen = said.lock().unwrap().clone();
    let passed = canaries.in_text(seen.as_bytes());
    assert!(passed.contains(&"put in"), "{passed:?}");
    assert!(log.lock().unwrap().len() > 1_000);
}
