//! Connections to upstreams: when one is used again, when it is not, and what ends a WebSocket.

use super::{HOST, gate, outcomes, request_line};
use crate::support::client::{Client, empty, read, read_answer, streamed, trust, within};
use crate::support::mock::{Options, PRODUCTION_VOLUME};
use crate::support::origin::{Accepted, Identity, Origin, text};
use crate::support::policy::Edit;
use crate::support::socket::{Wire, echo, handshake};
use crate::support::{FOREIGN, Gate, until, write_policy};
use base64::Engine as _;
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::BodyExt as _;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::ServerName;
use serde_json::Value;
use std::io;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::sync::{Notify, mpsc};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// Puts a policy that says the same in another text in force.
fn reload_changed(gate: &Gate) {
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    write_policy(gate.folder.path(), &format!("{policy}\n# changed\n"));
    gate.reload();
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_for_a_connection_that_is_still_sending() {
    let origin = Origin::raw(Identity::http1(&[HOST]), |accepted: Accepted| async move {
        let mut stream = BufReader::new(accepted.stream);
        while let Some(line) = request_line(&mut stream).await {
            stream.write_all(OK).await.unwrap();
            if line.starts_with("POST") {
                // It has answered before it has all of the request, and stays open.
                drop(stream.read_to_end(&mut Vec::new()).await);
                return;
            }
        }
    })
    .await;
    let gate = gate(&origin, "- allow: GET /**\n- allow: POST /**").await;
    for (http2, connections) in [(false, 2), (true, 4)] {
        let mut sending = Client::open(gate.running(), HOST, http2).await;
        let (sender, body) = streamed();
        let request = sending.request("POST", "/early").body(body).unwrap();
        sender.send(Frame::data(Bytes::from("first"))).await.unwrap();
        assert_eq!(read(sending.send(request).await.unwrap()).await.status, 200);
        let mut other = Client::open(gate.running(), HOST, http2).await;
        assert_eq!(other.get("/").await.status, 200, "http2={http2}");
        assert_eq!(origin.connections(), connections, "http2={http2}");
        drop(sender);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_busy_at_a_reload_is_not_kept() {
    let (begun, mut beginnings) = mpsc::channel(1);
    let (closed, mut closings) = mpsc::channel(1);
    let origin = Origin::raw(Identity::http1(&[HOST]), move |accepted: Accepted| {
        let (begun, closed) = (begun.clone(), closed.clone());
        async move {
            let mut stream = BufReader::new(accepted.stream);
            request_line(&mut stream).await.unwrap();
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no";
            stream.write_all(head).await.unwrap();
            let end = Arc::new(Notify::new());
            begun.send(end.clone()).await.unwrap();
            end.notified().await;
            stream.write_all(b"k").await.unwrap();
            drop(stream.read_to_end(&mut Vec::new()).await);
            closed.send(()).await.unwrap();
        }
    })
    .await;
    let gate = gate(&origin, "- allow: GET /**").await;
    for http2 in [false, true] {
        let mut client = Client::open(gate.running(), HOST, http2).await;
        let request = client.request("GET", "/").body(empty()).unwrap();
        let response = client.send(request).await.unwrap();
        let end = within("the request", beginnings.recv()).await.unwrap();
        reload_changed(&gate);
        end.notify_one();
        assert_eq!(read(response).await.body, "ok");
        within("the end of the connection", closings.recv()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_has_begun_is_not_asked_for_again() {
    let seen = Arc::new(Mutex::new(Vec::<String>::new()));
    let kept = seen.clone();
    let origin = Origin::raw(Identity::http1(&[HOST]), move |accepted: Accepted| {
        let kept = kept.clone();
        async move {
            let mut stream = BufReader::new(accepted.stream);
            while let Some(line) = request_line(&mut stream).await {
                kept.lock().unwrap().push(line.clone());
                let answer: &[u8] = match &*line {
                    "GET /garbage" => b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
                    "GET /half" => b"HTTP/1.1 200 OK\r\nContent-Le",
                    "GET /hint" => b"HTTP/1.1 103 Early Hints\r\n\r\n",
                    _ => OK,
                };
                stream.write_all(answer).await.unwrap();
                if answer != OK {
                    stream.shutdown().await.unwrap();
                    return;
                }
            }
        }
    })
    .await;
    let gate = gate(&origin, "- allow: GET /**").await;
    for path in ["/garbage", "/half", "/hint"] {
        let mut client = Client::http1(gate.running(), HOST).await;
        assert_eq!(client.get("/first").await.status, 200);
        let got = client.get(path).await;
        assert_eq!((got.status.as_u16(), &*got.reason()), (502, "upstream_unreachable"), "{path}");
        let line = format!("GET {path}");
        let sent = seen.lock().unwrap().iter().filter(|known| **known == line).count();
        assert_eq!(sent, 1, "{path}");
    }
    // Each was sent on the connection of the request before it.
    assert_eq!(origin.connections(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_was_reset_is_not_asked_for_again() {
    let seen = Arc::new(Mutex::new(Vec::<String>::new()));
    let kept = seen.clone();
    let origin = Origin::raw(Identity::named(&[HOST]), move |accepted: Accepted| {
        let kept = kept.clone();
        async move {
            let (dead, number) = (Arc::new(Notify::new()), accepted.number);
            let dying = dead.clone();
            let service = service_fn(move |request: Request<Incoming>| {
                let (kept, dying) = (kept.clone(), dying.clone());
                async move {
                    let path = request.uri().path().to_owned();
                    kept.lock().unwrap().push(path.clone());
                    match &*path {
                        // hyper answers an error with RST_STREAM; the connection goes on.
                        "/refused" => Err(io::Error::other("reset")),
                        "/die" if number == 0 => {
                            dying.notify_one();
                            std::future::pending().await
                        }
                        _ => Ok(text("ok")),
                    }
                }
            });
            let connection = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(accepted.stream), service);
            tokio::select! {
                ended = connection => drop(ended),
                () = dead.notified() => {}
            }
        }
    })
    .await;
    let gate = gate(&origin, "- allow: GET /**").await;
    let mut client = Client::http2(gate.running(), HOST).await;
    assert_eq!(client.get("/first").await.status, 200);
    let got = client.get("/refused").await;
    assert_eq!((got.status, &*got.reason()), (StatusCode::BAD_GATEWAY, "upstream_unreachable"));
    assert_eq!(client.get("/after").await.status, 200);
    assert_eq!(origin.connections(), 1);
    // A connection that died is another matter.
    assert_eq!(client.get("/die").await.status, 200);
    assert_eq!(origin.connections(), 2);
    assert_eq!(*seen.lock().unwrap(), ["/first", "/refused", "/after", "/die", "/die"]);
    let outcome = outcomes(&gate).pop().unwrap();
    assert!(outcome["detail"].as_str().unwrap().contains("sent again once"), "{outcome}");
}

/// A WebSocket through the proxy, by an agent that may have to prove itself.
struct Socket(WebSocketStream<Wire>);

impl Socket {
    async fn open(gate: &Gate, token: Option<&str>) -> Self {
        let running = gate.running();
        let proof = token.map_or_else(String::new, |token| {
            let text = format!("staging-fixer:{token}");
            let text = base64::engine::general_purpose::STANDARD.encode(text);
            format!("Proxy-Authorization: Basic {text}\r\n")
        });
        within("a WebSocket", async {
            let mut tunnel = TcpStream::connect(running.proxy).await.unwrap();
            let head = format!("CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n{proof}\r\n");
            tunnel.write_all(head.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            while !answer.ends_with(b"\r\n\r\n") {
                answer.push(tunnel.read_u8().await.unwrap());
            }
            assert!(answer.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&answer));
            let name = ServerName::try_from(HOST).unwrap();
            let connector = TlsConnector::from(trust(&running.ca, &["http/1.1"]));
            let mut stream = BufReader::new(connector.connect(name, tunnel).await.unwrap());
            stream.write_all(handshake(HOST, "/socket", &[]).as_bytes()).await.unwrap();
            assert_eq!(read_answer(&mut stream).await.status, 101);
            let mut socket =
                Self(WebSocketStream::from_raw_socket(stream, Role::Client, None).await);
            socket.echoes().await;
            socket
        })
        .await
    }

    async fn echoes(&mut self) {
        within("the echo", async {
            self.0.send(Message::text("ping")).await.unwrap();
            assert_eq!(self.0.next().await.unwrap().unwrap(), Message::text("ping"));
        })
        .await;
    }

    /// Waits for the proxy to end it; what the record says.
    async fn ended(mut self, gate: &Gate) -> String {
        let close = within("the end", self.0.next()).await.unwrap().unwrap();
        assert!(close.is_close(), "{close:?}");
        let outcome = until("the outcome", || {
            gate.records().into_iter().rfind(|record| record["status"] == 101)
        });
        outcome["detail"].as_str().unwrap().to_owned()
    }
}

const SOCKET: &str = "- allow: GET /**\n- { allow: GET /socket, websocket: true }";

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_ends_with_the_policy_it_was_opened_under() {
    let origin = Origin::raw(Identity::named(&[HOST]), echo).await;
    let gate = gate(&origin, SOCKET).await;
    let mut socket = Socket::open(&gate, None).await;
    // The same law is read again, and again: nothing has changed.
    for _ in 0..2 {
        gate.reload();
        socket.echoes().await;
    }
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let narrow =
        Edit(policy).replace("{ allow: GET /socket, websocket: true }", "deny: GET /socket");
    write_policy(gate.folder.path(), &narrow.0);
    gate.reload();
    let why = socket.ended(&gate).await;
    assert!(why.contains("the policy or the agent's token changed"), "{why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_ends_with_the_token_it_was_opened_by() {
    let origin = Origin::raw(Identity::named(&[HOST]), echo).await;
    let secrets = tempfile::tempdir().unwrap();
    let token = secrets.path().join("token");
    std::fs::write(&token, "the-first-token").unwrap();
    let gate = Gate::with(Options::default(), |policy| {
        let token = format!(
            "    token: {{ file: \"{}\" }}\n    profile: coding-agent\n",
            token.to_str().unwrap()
        );
        // The agent's resources follow its profile, so the origin comes first.
        let policy = origin.declared(policy, HOST, SOCKET);
        Edit(policy).replace("    profile: coding-agent\n", &token).0
    })
    .await;
    let mut socket = Socket::open(&gate, Some("the-first-token")).await;
    gate.reload();
    socket.echoes().await;
    // The policy's text is the same; what its file holds is not.
    std::fs::write(&token, "the-second-token").unwrap();
    gate.reload();
    let why = socket.ended(&gate).await;
    assert!(why.contains("the policy or the agent's token changed"), "{why}");
    Socket::open(&gate, Some("the-second-token")).await.echoes().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_websocket_ends_with_its_agents_freedom() {
    let origin = Origin::raw(Identity::named(&[HOST]), echo).await;
    let sequence = "  - name: foreign then irreversible\n    within: 30m\n    \
                    steps: [foreign_credential, irreversible]\n    then: quarantine\n";
    let gate = Gate::with(Options::default(), |policy| {
        let policy = origin.declared(policy, HOST, SOCKET);
        Edit(policy).replace("\nsequences:\n", &format!("\nsequences:\n{sequence}")).0
    })
    .await;
    let mut socket = Socket::open(&gate, None).await;
    // A denial alone is no quarantine.
    assert_eq!(gate.curl(&["https://nowhere.example/"]).reason(), "out_of_scope");
    socket.echoes().await;
    // This one call is both steps.
    assert_eq!(gate.delete_volume(FOREIGN, PRODUCTION_VOLUME).reason(), "foreign_credential");
    let why = socket.ended(&gate).await;
    assert!(why.contains("in quarantine"), "{why}");
    // Once released it may open another, which stays open.
    let agent: Value = gate.records().pop().unwrap()["agent"].clone();
    let released = gate.holdgate(&["approvals", "release", agent.as_str().unwrap()]);
    assert!(released.status.success(), "{released:?}");
    Socket::open(&gate, None).await.echoes().await;
}

/// Tells that a body is over, also where whoever reads it is.
struct Broken(mpsc::Sender<Option<Bytes>>);

impl Drop for Broken {
    fn drop(&mut self) {
        drop(self.0.try_send(None));
    }
}

/// What is still sent when the session stops does not get to its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_on_its_way_ends_with_its_agents_freedom() {
    for http2 in [false, true] {
        let (heard, mut hears) = mpsc::channel(16);
        let origin = Origin::http(Identity::named(&[HOST]), move |request: Request<Incoming>| {
            let heard = heard.clone();
            async move {
                let broken = Broken(heard.clone());
                let mut body = request.into_body();
                while let Some(frame) = body.frame().await {
                    let Ok(frame) = frame else { break };
                    heard.send(frame.into_data().ok()).await.unwrap();
                }
                if body.is_end_stream() {
                    heard.send(Some(Bytes::from("the end"))).await.unwrap();
                }
                drop(broken);
                text("ok")
            }
        })
        .await;
        let gate = gate(&origin, "- allow: POST /**").await;
        let mut client = Client::open(gate.running(), HOST, http2).await;
        let (sender, body) = streamed();
        let request = client.request("POST", "/upload").body(body).unwrap();
        sender.send(Frame::data(Bytes::from("hello"))).await.unwrap();
        let (sent, ()) = tokio::join!(client.send(request), async {
            assert_eq!(hears.recv().await.unwrap().unwrap(), "hello");
            let agent = gate.records().pop().unwrap()["agent"].as_str().unwrap().to_owned();
            let stopped = gate.holdgate(&["sessions", "quarantine", &agent]);
            assert!(stopped.status.success(), "{stopped:?}");
            // It may be broken off before all of this is taken.
            drop(sender.send(Frame::data(Bytes::from("after"))).await);
            drop(sender);
        });
        if let Ok(answer) = sent {
            let answer = read(answer).await;
            assert_eq!(
                (answer.status, &*answer.reason()),
                (StatusCode::FORBIDDEN, "quarantined"),
                "http2={http2}"
            );
        }
        assert_eq!(within("the end", hears.recv()).await.unwrap(), None, "http2={http2}");
    }
}
