//! The ways in: what opens a tunnel, what is TLS, which host it is for, and what is stripped.

mod hop;
mod pipeline;

use crate::support::client::{self, Client, connect, empty, read_answer, say, tls, trust, within};
use crate::support::mock::{Options, STAGING_TOKEN};
use crate::support::origin::{Accepted, Identity, Origin, text};
use crate::support::policy::Edit;
use crate::support::{Answer, FOREIGN, Gate, until};
use base64::Engine as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use hyper::{HeaderMap, Response};
use rustls::HandshakeKind;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// The records of a reason.
fn recorded(gate: &Gate, reason: &str) -> Vec<Value> {
    gate.records().into_iter().filter(|record| record["reason"] == reason).collect()
}

/// B-05, B-14, B-15, B-26, N-03.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_tunnel_is_refused_on_the_spot() {
    let gate = Gate::start().await;
    let proxy = gate.running().proxy;
    let connect =
        |authority: &str| format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
    let with = |authority: &str, headers: &str| {
        format!("CONNECT {authority} HTTP/1.1\r\n{headers}\r\n\r\n")
    };
    let railway = "backboard.railway.com:443";
    let cases = [
        // Names of machines of their own; `addresses` has addresses in every spelling.
        (connect("localhost:443"), 403, "out_of_scope"),
        (connect("x.localhost:443"), 403, "out_of_scope"),
        (connect("printer:443"), 403, "out_of_scope"),
        (connect("printer.local:443"), 403, "out_of_scope"),
        (connect("metadata.google.internal:443"), 403, "out_of_scope"),
        (connect("nowhere.invalid:443"), 403, "out_of_scope"),
        // No host and port, or more than that.
        (connect("backboard.railway.com"), 400, "malformed"),
        (connect("backboard.railway.com:0"), 400, "malformed"),
        (connect("backboard.railway.com:99999"), 400, "malformed"),
        (connect("agent@backboard.railway.com:443"), 400, "malformed"),
        (connect("agent:token@backboard.railway.com:443"), 400, "malformed"),
        (connect("backboard..railway.com:443"), 400, "malformed"),
        (connect("-backboard.railway.com:443"), 400, "malformed"),
        // Two hosts, or a body.
        (with(railway, "Host: docs.railway.com:443"), 421, "host_mismatch"),
        (with(railway, "Host: backboard.railway.com:8443"), 421, "host_mismatch"),
        (
            with(railway, "Host: backboard.railway.com:443\r\nHost: backboard.railway.com:443"),
            400,
            "malformed",
        ),
        (with(railway, "Host: x@backboard.railway.com:443"), 400, "malformed"),
        (with(railway, "Host: backboard.railway.com:443\r\nContent-Length: 5"), 400, "malformed"),
        (
            with(railway, "Host: backboard.railway.com:443\r\nTransfer-Encoding: chunked"),
            400,
            "malformed",
        ),
        // The port serves nothing of its own.
        ("GET / HTTP/1.1\r\nHost: backboard.railway.com\r\n\r\n".to_owned(), 400, "malformed"),
        ("GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 400, "malformed"),
        ("OPTIONS * HTTP/1.1\r\nHost: docs.railway.com\r\n\r\n".to_owned(), 400, "malformed"),
        (
            "GET https://docs.railway.com/ HTTP/1.1\r\nHost: docs.railway.com\r\n\r\n".to_owned(),
            400,
            "malformed",
        ),
        (
            "GET ftp://docs.railway.com/ HTTP/1.1\r\nHost: docs.railway.com\r\n\r\n".to_owned(),
            400,
            "malformed",
        ),
    ];
    for (request, status, reason) in &cases {
        let answer = say(proxy, request).await;
        assert_eq!(
            (answer.status, answer.reason()),
            (*status, (*reason).to_owned()),
            "{request}\n{answer:?}"
        );
        assert!(answer.head.contains("\r\ncontent-type: application/problem+json"), "{answer:?}");
        assert!(answer.head.contains("\r\ncache-control: no-store"), "{answer:?}");
        let details =
            format!("\r\nproxy-status: holdgate; error=http_request_denied; details=\"{reason}\"");
        assert!(answer.head.contains(&details), "{answer:?}");
    }
    let refused = gate.records().iter().filter(|record| record["verdict"] == "deny").count();
    assert_eq!(refused, cases.len());
    assert_eq!(gate.mock.bytes_received(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_parser_takes_for_a_request_ends_without_a_tunnel() {
    let gate = Gate::start().await;
    for request in [
        "CONNECT exa%6dple.com:443 HTTP/1.1\r\nConnection: close\r\n\r\n",
        "CONNECT [backboard.railway.com]:443 HTTP/1.1\r\nConnection: close\r\n\r\n",
        "CONNECT back board.railway.com:443 HTTP/1.1\r\nConnection: close\r\n\r\n",
        "CONNECT /backboard.railway.com:443 HTTP/1.1\r\nConnection: close\r\n\r\n",
        "CONNECT b\u{e4}ckboard.railway.com:443 HTTP/1.1\r\nConnection: close\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "\u{16}\u{3}\u{1}\u{2}\u{0}\r\n\r\n",
        "nothing\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(gate.running().proxy).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        drop(within("the end", stream.read_to_string(&mut answer)).await);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 4"), "{request:?} {answer}");
    }
    assert_eq!(gate.mock.bytes_received(), 0);
}

/// The mock's policy for two agents with tokens; the second one may only read pages.
async fn two_agents() -> (Gate, tempfile::TempDir) {
    let secrets = tempfile::tempdir().unwrap();
    std::fs::write(secrets.path().join("fixer"), "fixers-own-token\n").unwrap();
    std::fs::write(secrets.path().join("reader"), "readers:own:token").unwrap();
    let path = |name: &str| secrets.path().join(name).to_str().unwrap().to_owned();
    let (fixer, reader) = (path("fixer"), path("reader"));
    let gate = Gate::with(Options::default(), |policy| {
        let first = format!("    token: {{ file: \"{fixer}\" }}\n    profile: coding-agent\n");
        let second = format!(
            "agents:\n  reader:\n    token: {{ file: \"{reader}\" }}\n    resources: [docs]\n"
        );
        Edit(policy).replace("    profile: coding-agent\n", &first).replace("agents:\n", &second).0
    })
    .await;
    (gate, secrets)
}

///
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_with_a_token_proves_itself() {
    let (gate, _secrets) = two_agents().await;
    let proxy = gate.running().proxy;
    let basic =
        |text: &str| format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(text));
    let right = basic("staging-fixer:fixers-own-token");
    let refused = [
        String::new(),
        format!("Proxy-Authorization: {}\r\n", basic("staging-fixer:wrong")),
        format!("Proxy-Authorization: {}\r\n", basic("staging-fixer:")),
        format!("Proxy-Authorization: {}\r\n", basic("staging-fixer")),
        format!("Proxy-Authorization: {}\r\n", basic("nobody:fixers-own-token")),
        // Each has its own.
        format!("Proxy-Authorization: {}\r\n", basic("reader:fixers-own-token")),
        format!("Proxy-Authorization: {}\r\n", basic("staging-fixer:readers:own:token")),
        "Proxy-Authorization: Bearer fixers-own-token\r\n".to_owned(),
        "Proxy-Authorization: Basic %%%\r\n".to_owned(),
        "Authorization: Basic c3RhZ2luZy1maXhlcjpmaXhlcnMtb3duLXRva2Vu\r\n".to_owned(),
        format!("Proxy-Authorization: {right}\r\nProxy-Authorization: {right}\r\n"),
    ];
    for header in &refused {
        let (host, http) = ("docs.railway.com:443", "http://docs.railway.com/");
        for request in [
            format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{header}\r\n"),
            format!("GET {http} HTTP/1.1\r\nHost: docs.railway.com\r\n{header}\r\n"),
        ] {
            let answer = say(proxy, &request).await;
            assert_eq!((answer.status, &*answer.reason()), (407, "not_identified"), "{request}");
            assert!(answer.head.contains("\r\nproxy-authenticate: basic realm="), "{answer:?}");
        }
    }
    assert_eq!(gate.mock.bytes_received(), 0);
    for record in recorded(&gate, "not_identified") {
        assert_eq!(record["agent"], Value::Null, "{record}");
    }
    assert!(!format!("{:?}{}", gate.records(), gate.running().log()).contains("own-token"));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_agents_have_their_own_scopes() {
    let (gate, _secrets) = two_agents().await;
    let proxy = gate.running().proxy;
    let through = |user: &str, url: &str| {
        let proxy = format!("http://{user}@{proxy}");
        // The last --proxy counts.
        gate.curl(&["--proxy", &proxy, url])
    };
    let (fixer, reader) = ("staging-fixer:fixers-own-token", "reader:readers%3Aown%3Atoken");
    for user in [fixer, reader] {
        let answer = through(user, "https://docs.railway.com/guides");
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    for seen in gate.mock.requests() {
        assert_eq!(seen.header("proxy-authorization"), None, "{seen:?}");
    }
    let answer = through(fixer, "https://api.staging.railway.app/deployments");
    assert_eq!(answer.status, 200, "{answer:?}");
    let before = gate.mock.requests().len();
    let answer = through(reader, "https://api.staging.railway.app/deployments");
    assert_eq!((answer.status, &*answer.reason()), (403, "out_of_scope"), "{answer:?}");
    assert_eq!(gate.mock.requests().len(), before);
    let agents: Vec<Value> = gate.records().iter().map(|record| record["agent"].clone()).collect();
    for agent in ["staging-fixer", "reader"] {
        assert!(agents.contains(&Value::from(agent)), "{agents:?}");
    }
}

/// A-07, D-02.
#[tokio::test(flavor = "multi_thread")]
async fn an_undeclared_host_is_refused_readably_inside_tls() {
    let gate = Gate::start().await;
    // A name that does not resolve: asking for its address would make a 502 of the 403.
    let urls = [
        "https://nowhere.example/x",
        "https://api.railway.app/volumes/delete",
        "https://docs.railway.com:8443/x",
        "https://railway.com/",
        "https://sub.docs.railway.com/",
    ];
    for url in urls {
        for version in ["--http1.1", "--http2"] {
            for method in ["GET", "POST", "DELETE"] {
                let answer = gate.curl(&[version, "-X", method, url]);
                let context = format!("{version} {method} {url} {answer:?}");
                assert_eq!((answer.status, &*answer.reason()), (403, "out_of_scope"), "{context}");
                let http2 = answer.head.starts_with("http/2 403");
                assert_eq!(http2, version == "--http2", "{context}");
                for field in [
                    "content-type: application/problem+json",
                    "cache-control: no-store",
                    "proxy-status: holdgate; error=http_request_denied; details=\"out_of_scope\"",
                ] {
                    assert!(answer.head.contains(field), "{field}: {context}");
                }
                let body = answer.json();
                assert_eq!(body["type"], "urn:holdgate:out_of_scope", "{context}");
                assert_eq!((&body["status"], &body["verdict"]), (&403.into(), &"deny".into()));
                assert!(!body["detail"].as_str().unwrap().is_empty(), "{context}");
                let id = body["request_id"].as_str().unwrap();
                let shown = gate.holdgate(&["audit", "show", id, "--json"]);
                let record: Value = serde_json::from_slice(&shown.stdout).unwrap();
                assert_eq!(record["reason"], "out_of_scope", "{record}");
                assert_eq!(record["address"], Value::Null, "{record}");
            }
        }
    }
    assert_eq!((gate.mock.bytes_received(), gate.mock.connections()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_call_to_an_undeclared_host_only_the_head_is_read() {
    let gate = Gate::start().await;
    for http2 in [false, true] {
        let mut client = Client::open(gate.running(), "nowhere.example", http2).await;
        // The body never ends, and nobody waits for it.
        let (_sender, body) = client::streamed();
        let request = client.request("POST", "/x").body(body).unwrap();
        let got = client.exchange(request).await;
        assert_eq!((got.status.as_u16(), &*got.reason()), (403, "out_of_scope"), "{got:?}");
        if !http2 {
            assert_eq!(got.headers["connection"], "close", "{got:?}");
        }
    }
    assert_eq!(gate.mock.bytes_received(), 0);
}

/// D-02, D-03.
#[tokio::test(flavor = "multi_thread")]
async fn the_name_in_tls_is_the_tunnels() {
    let gate = Gate::start().await;
    let running = gate.running();
    for (authority, name) in [
        ("docs.railway.com:443", "backboard.railway.com"),
        ("backboard.railway.com:443", "docs.railway.com"),
        ("nowhere.example:443", "docs.railway.com"),
        ("docs.railway.com:443", "nowhere.example"),
    ] {
        let error = tls(running, authority, name, trust(&running.ca, &[])).await;
        assert!(error.is_err(), "{authority} {name}");
    }
    until("records", || (recorded(&gate, "host_mismatch").len() == 4).then_some(()));
    // Without a name in it, the tunnel says which host is meant.
    let config = trust(&running.ca, &["http/1.1"]);
    let mut nameless = rustls::ClientConfig::clone(&config);
    nameless.enable_sni = false;
    let stream = tls(running, "docs.railway.com:443", "docs.railway.com", Arc::new(nameless)).await;
    let mut stream = BufReader::new(stream.unwrap());
    stream.write_all(b"GET / HTTP/1.1\r\nHost: docs.railway.com\r\n\r\n").await.unwrap();
    assert_eq!(within("an answer", read_answer(&mut stream)).await.status, 200);
}

/// A-12, B-17, D-02.
#[tokio::test(flavor = "multi_thread")]
async fn the_host_inside_is_the_tunnels() {
    let gate = Gate::start().await;
    let running = gate.running();
    let cases = [
        ("GET / HTTP/1.1\r\nHost: backboard.railway.com\r\n\r\n", 421, "host_mismatch"),
        ("GET / HTTP/1.1\r\nHost: nowhere.example\r\n\r\n", 421, "host_mismatch"),
        ("GET / HTTP/1.1\r\nHost: docs.railway.com:8443\r\n\r\n", 421, "host_mismatch"),
        (
            "GET https://backboard.railway.com/ HTTP/1.1\r\nHost: docs.railway.com\r\n\r\n",
            421,
            "host_mismatch",
        ),
        (
            "GET https://docs.railway.com/ HTTP/1.1\r\nHost: backboard.railway.com\r\n\r\n",
            421,
            "host_mismatch",
        ),
        (
            "GET http://docs.railway.com/ HTTP/1.1\r\nHost: docs.railway.com\r\n\r\n",
            400,
            "malformed",
        ),
        (
            "GET / HTTP/1.1\r\nHost: docs.railway.com\r\nHost: backboard.railway.com\r\n\r\n",
            400,
            "malformed",
        ),
        ("GET / HTTP/1.1\r\nHost: u@docs.railway.com\r\n\r\n", 400, "malformed"),
        ("GET / HTTP/1.1\r\n\r\n", 400, "malformed"),
        (
            "CONNECT docs.railway.com:443 HTTP/1.1\r\nHost: docs.railway.com:443\r\n\r\n",
            400,
            "malformed",
        ),
    ];
    for (request, status, reason) in cases {
        let config = trust(&running.ca, &["http/1.1"]);
        let stream = tls(running, "docs.railway.com:443", "docs.railway.com", config).await;
        let mut stream = BufReader::new(stream.unwrap());
        stream.write_all(request.as_bytes()).await.unwrap();
        let answer = within("an answer", read_answer(&mut stream)).await;
        assert_eq!((answer.status, &*answer.reason()), (status, reason), "{request}\n{answer:?}");
    }
    for (url, host, reason) in [
        ("https://backboard.railway.com/", None, "host_mismatch"),
        ("https://docs.railway.com:8443/", None, "host_mismatch"),
        ("https://docs.railway.com/", Some("backboard.railway.com"), "host_mismatch"),
        ("http://docs.railway.com/", None, "malformed"),
    ] {
        let mut client = Client::http2(running, "docs.railway.com").await;
        let mut request = hyper::Request::builder().uri(url);
        if let Some(host) = host {
            request = request.header("host", host);
        }
        let got = client.exchange(request.body(empty()).unwrap()).await;
        assert_eq!(got.reason(), reason, "{url} {host:?} {got:?}");
        // The connection is as good as before.
        assert_eq!(client.get("/").await.status, 200, "{url}");
    }
    for seen in gate.mock.requests() {
        assert_eq!((&*seen.host, &*seen.path), ("docs.railway.com", "/"), "{seen:?}");
    }
}

/// B-18, D-09.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_not_tls_end_the_tunnel() {
    let gate = Gate::start().await;
    let hello_cut_short = [22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3, 1, 2, 3];
    let cases: [(&[u8], bool); 8] = [
        (b"GET / HTTP/1.1\r\nHost: docs.railway.com\r\n\r\n", false),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", false),
        (b"SSH-2.0-OpenSSH_9.9\r\n", false),
        (b"\x00\x00\x00\x00\x00\x00\x00\x00", false),
        (b"\x80\x2e\x01\x00\x02\x00\x15\x00\x00\x00\x10", false),
        (b"\x17\x03\x03\x00\x10aaaaaaaaaaaaaaaa", false),
        // A client that gives up halfway.
        (&hello_cut_short, true),
        (b"", true),
    ];
    for (bytes, close) in cases {
        let mut stream = connect(gate.running().proxy, "docs.railway.com:443").await;
        stream.write_all(bytes).await.unwrap();
        if close {
            stream.shutdown().await.unwrap();
        }
        let mut answer = Vec::new();
        // A reset is an end as well.
        drop(within("the end", stream.read_to_end(&mut answer)).await);
        let shown = String::from_utf8_lossy(&answer);
        assert!(!shown.contains("HTTP") && !shown.contains("SSH"), "{bytes:?} {shown}");
        assert!(answer.len() <= 7, "more than an alert: {answer:?}");
    }
    until("records", || (recorded(&gate, "malformed").len() == cases.len()).then_some(()));
    assert_eq!(gate.mock.bytes_received(), 0);
    // It did no harm to others.
    assert_eq!(gate.curl(&["https://docs.railway.com/"]).status, 200);
}

/// D-11.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_hello_does_not_stand_in_the_way_of_others() {
    let gate = Gate::start().await;
    let mut silent = Vec::new();
    for _ in 0..20 {
        silent.push(connect(gate.running().proxy, "docs.railway.com:443").await);
    }
    assert_eq!(gate.curl(&["https://docs.railway.com/"]).status, 200);
    drop(silent);
}

/// A-12, F-08, R-07.
#[tokio::test(flavor = "multi_thread")]
async fn plain_http_comes_in_absolute_form_to_declared_ports_only() {
    let origin = Origin::http(Identity::plain(), |request| async move {
        let host = request.headers()["host"].to_str().unwrap().to_owned();
        text(format!("{} {} {host}", request.method(), request.uri()))
    })
    .await;
    let address = origin.address;
    let gate = Gate::with(Options::default(), |policy| {
        Edit(policy)
            .resolve("plain.example:80", address)
            .resolve("plain.example:8080", address)
            .resolve("docs.railway.com:80", address)
            .resolve("undeclared.example:80", address)
            .resource(
                "plain",
                "hosts: [plain.example]\nports: [80/http, 8080/http]\nrules:\n  - allow: GET /**\n  - allow: POST /**",
            )
            .0
    })
    .await;
    let curl = |arguments: &[&str]| gate.curl(arguments);
    let answer = curl(&["http://plain.example/a?b=c"]);
    assert_eq!((answer.status, &*answer.body), (200, "GET /a?b=c plain.example"), "{answer:?}");
    let answer = curl(&["http://PLAIN.example.:8080/a", "-d", "x=1"]);
    assert_eq!((answer.status, &*answer.body), (200, "POST /a plain.example:8080"), "{answer:?}");
    let before = origin.bytes_received();
    let staging = format!("Authorization: Bearer {STAGING_TOKEN}");
    let foreign = format!("Authorization: Bearer {FOREIGN}");
    let refused: [(&[&str], &str); 8] = [
        (&["http://undeclared.example/"], "out_of_scope"),
        // Declared, but not in clear text; and not on this port.
        (&["http://docs.railway.com/"], "out_of_scope"),
        (&["http://plain.example:81/"], "out_of_scope"),
        (&["https://plain.example:80/"], "out_of_scope"),
        (&["http://plain.example/", "-H", &staging], "credential_out_of_scope"),
        (&["http://plain.example/", "-H", &foreign], "foreign_credential"),
        (
            &["http://plain.example/?access_token=0123456789abcdef0123456789abcdef"],
            "foreign_credential",
        ),
        (&["-X", "PUT", "http://plain.example/"], "scope_violation"),
    ];
    for (arguments, reason) in refused {
        let answer = curl(arguments);
        assert_eq!((answer.status, &*answer.reason()), (403, reason), "{arguments:?} {answer:?}");
    }
    let answer = say(
        gate.running().proxy,
        "GET http://plain.example/ HTTP/1.1\r\nHost: docs.railway.com\r\n\r\n",
    );
    assert_eq!(answer.await.reason(), "host_mismatch");
    assert_eq!((origin.bytes_received(), gate.mock.bytes_received()), (before, 0));
}

/// D-06.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_connection_resumes_and_alpn_is_agreed_on() {
    let gate = Gate::start().await;
    let running = gate.running();
    let (authority, name) = ("docs.railway.com:443", "docs.railway.com");
    let get = b"GET / HTTP/1.1\r\nHost: docs.railway.com\r\n\r\n";
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let mut roots = rustls::RootCertStore::empty();
        let pem = std::fs::read(&running.ca).unwrap();
        let der = rustls::pki_types::pem::PemObject::from_pem_slice(&pem).unwrap();
        roots.add(der).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let config = Arc::new(config);
        let mut kinds = Vec::new();
        for _ in 0..2 {
            let stream = tls(running, authority, name, config.clone()).await.unwrap();
            kinds.push(stream.get_ref().1.handshake_kind().unwrap());
            let mut stream = BufReader::new(stream);
            stream.write_all(get).await.unwrap();
            assert_eq!(within("an answer", read_answer(&mut stream)).await.status, 200);
        }
        assert_ne!(kinds[0], HandshakeKind::Resumed, "{version:?}");
        assert_eq!(kinds[1], HandshakeKind::Resumed, "{version:?}");
    }
    let cases: [(&[&str], Option<&[u8]>); 4] = [
        (&["h2", "http/1.1"], Some(b"h2")),
        (&["http/1.1", "h2"], Some(b"h2")),
        (&["http/1.1"], Some(b"http/1.1")),
        (&[], None),
    ];
    for (offered, agreed) in cases {
        let config = trust(&running.ca, offered);
        let stream = tls(running, authority, name, config).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), agreed, "{offered:?}");
    }
    let config = trust(&running.ca, &["spdy/3"]);
    assert!(tls(running, authority, name, config).await.is_err());
}
