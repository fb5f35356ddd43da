//! From HTTP/2 to an upstream: in its own version, as one request, and with what it answers.

use super::{DOCS, RAILWAY, refusals};
use crate::support::client::{Client, empty, read, read_message, streamed, tls, trust, within};
use crate::support::frames::*;
use crate::support::mock::Options;
use crate::support::origin::{Accepted, Body, Identity, Origin, text};
use crate::support::policy::Edit;
use crate::support::{Gate, until};
use bytes::Bytes;
use http_body_util::BodyExt as _;
use hyper::body::{Frame as BodyFrame, Incoming};
use hyper::{HeaderMap, Request, Response};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_util::task::TaskTracker;

const OLD: &str = "old.example";

/// An HTTP/1.1 upstream that keeps what it gets as text, and answers with a cookie of its own.
async fn old() -> (Origin, Arc<Mutex<Vec<String>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let origin = Origin::raw(Identity::http1(&[OLD]), move |accepted: Accepted| {
        let kept = kept.clone();
        async move {
            let mut stream = BufReader::new(accepted.stream);
            while !stream.fill_buf().await.unwrap_or_default().is_empty() {
                let (mut head, body) = read_message(&mut stream).await;
                head.push_str(&body);
                if head.contains("transfer-encoding: chunked") {
                    while !head.ends_with("0\r\n\r\n") {
                        stream.read_line(&mut head).await.unwrap();
                    }
                }
                kept.lock().unwrap().push(head);
                let answer = "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nContent-Length: 0\r\n\r\n";
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (origin, seen)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_stays_one_request_in_http1() {
    let (origin, seen) = old().await;
    let gate = Gate::with(Options::default(), |policy| {
        origin.declared(policy, OLD, "- allow: GET /**\n- allow: POST /**")
    })
    .await;
    let get = |path: &str, fields: &[(&str, &str)]| {
        vec![Frame::headers(1, WHOLE, head("GET", OLD, path, fields))]
    };
    let without = |fields: &[(&str, &str)]| {
        let pseudo = [(":method", "GET"), (":scheme", "https"), (":path", "/x")];
        vec![Frame::headers(1, WHOLE, block(&[&pseudo, fields].concat()))]
    };
    let named = |authority: &str| vec![Frame::headers(1, WHOLE, head("GET", authority, "/x", &[]))];
    let posted = |method: &str, fields: &[(&str, &str)], then: &[Frame]| {
        let mut frames = vec![Frame::headers(1, END_HEADERS, head(method, OLD, "/x", fields))];
        frames.extend_from_slice(then);
        frames
    };
    let body = |flags| Frame::data(1, flags, *b"hello");
    let trailers = |fields: &[(&str, &str)]| Frame::headers(1, WHOLE, block(fields));
    // What arrives, and what does not.
    type Row = (&'static str, Vec<Frame>, &'static [&'static str], &'static [&'static str]);
    let rows: Vec<Row> = vec![
        ("G-02 a host alone", without(&[("host", OLD)]), &["get /x http/1.1\r\n"], &[]),
        ("F-12 another case", named("OLD.Example."), &["\r\nhost: old.example\r\n"], &[]),
        ("F-06 the port of https", named("old.example:443"), &["\r\nhost: old.example\r\n"], &[]),
        // A fragment is cut off before anything is judged.
        ("G-05 a fragment", get("/x/a#b", &[]), &["get /x/a http/1.1\r\n"], &["#", "b http"]),
        ("H-13 another spelling", get("/x/../%78", &[]), &["get /x http/1.1\r\n"], &[]),
        // G-08: no value ends in a space that one program counts and another does not.
        (
            "G-08 spaces around a value",
            get("/x", &[("x-test", " \t a b ")]),
            &["\r\nx-test: a b\r\n"],
            &[],
        ),
        (
            "G-09 crumbs",
            get("/x", &[("cookie", "a=1"), ("cookie", "b=2")]),
            &["\r\ncookie: a=1; b=2\r\n"],
            &[],
        ),
        (
            "G-27 trailers are asked for",
            get("/x", &[("te", "trailers")]),
            &["\r\nte: trailers\r\n", "\r\nconnection: te\r\n"],
            &[],
        ),
        (
            "E-22 an expectation goes no further",
            posted(
                "POST",
                &[("expect", "100-continue"), ("content-length", "5")],
                &[body(END_STREAM)],
            ),
            &["\r\ncontent-length: 5\r\n", "\r\n\r\nhello"],
            &["expect"],
        ),
        // E-31, S-7: framing is made anew.
        (
            "E-31 a length of its own spelling",
            posted("POST", &[("content-length", "0005")], &[body(END_STREAM)]),
            &["\r\ncontent-length: 5\r\n", "\r\n\r\nhello"],
            &["0005", "transfer-encoding"],
        ),
        (
            "S-7 GET with a body",
            posted("GET", &[("content-length", "5")], &[body(END_STREAM)]),
            &["\r\ncontent-length: 5\r\n", "\r\n\r\nhello"],
            &["transfer-encoding"],
        ),
        (
            "E-31 a body without a length",
            posted("POST", &[], &[body(0), Frame::data(1, END_STREAM, [])]),
            &["\r\ntransfer-encoding: chunked\r\n", "hello", "\r\n0\r\n\r\n"],
            &["content-length"],
        ),
        // E-14, S-4: trailers of a request would be a second head.
        (
            "E-14 trailers",
            posted(
                "POST",
                &[("te", "trailers")],
                &[
                    body(0),
                    trailers(&[
                        ("authorization", "bearer smuggled"),
                        ("host", "evil.example"),
                        ("content-length", "0"),
                        ("x-http-method-override", "delete"),
                        ("x-more", "smuggled"),
                    ]),
                ],
            ),
            &["\r\ntransfer-encoding: chunked\r\n", "hello", "\r\n0\r\n\r\n"],
            &["smuggled", "evil", "override", "content-length"],
        ),
        (
            "S-4 a path in trailers",
            posted("POST", &[], &[body(0), trailers(&[(":path", "/evil"), (":method", "DELETE")])]),
            &["post /x http/1.1\r\n", "hello", "\r\n0\r\n\r\n"],
            &["evil", "delete"],
        ),
    ];
    let count = rows.len();
    // The cookies that this host has set are its own.
    let mut client = Client::http2(gate.running(), OLD).await;
    assert_eq!(client.get("/x").await.status, 200);
    for (number, (id, sent, there, gone)) in rows.into_iter().enumerate() {
        println!("{id}");
        let mut frames = Frames::open(gate.running(), OLD).await;
        frames.send(&sent).await;
        let answer = frames.answer(1).await;
        assert!(matches!(answer, Ended::Answer(200, _)), "{id}: {answer:?}");
        let got = seen.lock().unwrap().clone();
        assert_eq!(got.len(), number + 2, "{id}: {got:?}");
        let request = got.last().unwrap();
        assert_eq!(request.matches(" http/1.1\r\n").count(), 1, "{id}: {request}");
        assert_eq!(request.matches("\r\nhost: old.example\r\n").count(), 1, "{id}: {request}");
        for text in there {
            assert!(request.contains(text), "{id}: no {text:?} in {request:?}");
        }
        for text in gone {
            assert!(!request.contains(text), "{id}: {text:?} in {request:?}");
        }
    }
    // G-09: one crumb that is not the host's makes all of them foreign.
    let crumbs = [("cookie", "a=1"), ("cookie", "session=0123456789abcdef0123456789abcdef")];
    let mut frames = Frames::open(gate.running(), OLD).await;
    frames.send(&get("/x", &crumbs)).await;
    assert_eq!(frames.answer(1).await.refusal(), (403, "foreign_credential".to_owned()));
    assert_eq!(seen.lock().unwrap().len(), count + 1);
}

/// A gRPC message: uncompressed, with its length.
fn message(text: &str) -> Bytes {
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    [&[0], &length[..], text.as_bytes()].concat().into()
}

/// Answers each message as it comes, and then says how it went.
async fn grpc(request: Request<Incoming>) -> Response<Body> {
    let path = request.uri().path().to_owned();
    assert_eq!((request.headers()["te"].as_bytes(), path.len() > 1), (&b"trailers"[..], true));
    let (sender, body) = streamed();
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
    if path.ends_with("/None") {
        // Trailers alone are a head.
        response.headers_mut().insert("grpc-status", "5".parse().unwrap());
        *response.body_mut() = empty();
        return response;
    }
    TaskTracker::new().spawn(async move {
        let mut body = request.into_body();
        let mut trailers = HeaderMap::new();
        while let Some(frame) = body.frame().await {
            match frame.unwrap().into_data() {
                Ok(data) => sender.send(BodyFrame::data(data)).await.unwrap(),
                Err(_trailers) => drop(trailers.insert("x-saw-trailers", "1".parse().unwrap())),
            }
        }
        for (name, value) in [
            ("grpc-status", "0"),
            ("grpc-message", "all is well"),
            ("x-detail-bin", "AAEC"),
            // None of these may follow a body.
            ("authorization", "Bearer x"),
            ("set-cookie", "a=b"),
            ("content-length", "1"),
            ("location", "https://evil.example/"),
        ] {
            trailers.insert(name, value.parse().unwrap());
        }
        sender.send(BodyFrame::trailers(trailers)).await.unwrap();
    });
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn grpc_passes_under_path_rules() {
    // G-27
    let host = "grpc.example";
    let origin = Origin::http(Identity::named(&[host]), grpc).await;
    let gate = Gate::with(Options::default(), |policy| {
        let rules = "- allow: POST /pkg.Svc/Chat\n- allow: POST /pkg.Svc/None\n- allow: POST /other.Svc/**\n- deny: POST /other.Svc/Admin";
        origin.declared(policy, host, rules)
    })
    .await;
    let mut client = Client::http2(gate.running(), host).await;
    let request = |client: &Client, path: &str, body: Body| {
        let request = client.request("POST", path).header("te", "trailers");
        request.header("content-type", "application/grpc").body(body).unwrap()
    };
    // Refused by path, before anything leaves.
    for (path, reason) in [
        ("/pkg.Svc/Delete", "scope_violation"),
        ("/pkg.Svc/chat", "scope_violation"),
        ("/pkg.Svc/Chat/", "scope_violation"),
        ("/other.Svc/Admin", "scope_violation"),
    ] {
        let got = client
            .exchange(request(&client, path, crate::support::client::full(message("x"))))
            .await;
        assert_eq!((got.status.as_u16(), &*got.reason()), (403, reason), "{path} {got:?}");
    }
    assert_eq!(origin.bytes_received(), 0);
    // Both sides stream: the second message is written when the first one is back.
    let (sender, body) = streamed();
    let mut response = client.send(request(&client, "/pkg.Svc/Chat", body)).await.unwrap();
    for text in ["one", "two", "three"] {
        sender.send(BodyFrame::data(message(text))).await.unwrap();
        let back = within("a message", response.frame()).await.unwrap().unwrap();
        assert_eq!(back.into_data().unwrap(), message(text));
    }
    // E-14: what the client says after its body is not said upstream.
    let mut trailers = HeaderMap::new();
    trailers.insert("authorization", "Bearer smuggled".parse().unwrap());
    sender.send(BodyFrame::trailers(trailers)).await.unwrap();
    drop(sender);
    let got = read(response).await;
    let names: Vec<&str> = got.trailers.keys().map(http::HeaderName::as_str).collect();
    assert_eq!(names, ["grpc-status", "grpc-message", "x-detail-bin"], "{got:?}");
    assert_eq!(
        (&got.trailers["grpc-status"], &got.trailers["grpc-message"]),
        (&"0".parse().unwrap(), &"all is well".parse().unwrap())
    );
    for name in ["grpc-status", "grpc-message", "x-detail-bin", "location", "set-cookie"] {
        assert_eq!(got.headers.get(name), None, "{got:?}");
    }
    let got = client.exchange(request(&client, "/pkg.Svc/None", empty())).await;
    assert_eq!((got.status.as_u16(), got.headers["grpc-status"].as_bytes()), (200, &b"5"[..]));
    assert!(got.trailers.is_empty() && got.body.is_empty(), "{got:?}");
    // A name that destroys is held where only a wildcard allows it.
    let mut held = client.stream();
    let waits = request(&client, "/other.Svc/Delete", crate::support::client::full(message("x")));
    let mut waiting = JoinSet::new();
    waiting.spawn(async move { drop(held.send(waits).await) });
    gate.wait_for_hold();
    let held = gate.records().into_iter().find(|record| record["verdict"] == "hold").unwrap();
    assert_eq!(
        (&held["reason"], &held["path"]),
        (&"destructive".into(), &"/other.Svc/Delete".into())
    );
    waiting.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_pushes_nothing() {
    // G-18
    let host = "push.example";
    let pushed = Arc::new(Mutex::new(Vec::new()));
    let kept = pushed.clone();
    let origin = Origin::raw(Identity::named(&[host]), move |accepted: Accepted| {
        let kept = kept.clone();
        async move {
            assert!(accepted.http2);
            let mut frames = Frames::new(accepted.stream);
            frames.welcome(&[]).await;
            while let Some(frame) = frames.next().await {
                if frame.kind == SETTINGS && frame.flags & ACK == 0 {
                    kept.lock().unwrap().push(frame.payload);
                } else if frame.kind == HEADERS && accepted.number == 0 {
                    let promised = head("GET", host, "/pushed", &[]);
                    frames
                        .send(&[
                            Frame::push_promise(frame.stream, 2, &promised),
                            Frame::headers(2, END_HEADERS, indexed(8)),
                            Frame::data(2, END_STREAM, *b"pushed"),
                            Frame::headers(frame.stream, END_HEADERS, indexed(8)),
                            Frame::data(frame.stream, END_STREAM, *b"asked for"),
                        ])
                        .await;
                } else if frame.kind == HEADERS {
                    frames.send(&[Frame::headers(frame.stream, WHOLE, indexed(8))]).await;
                }
            }
        }
    })
    .await;
    let gate = Gate::with(Options::default(), |policy| {
        origin.declared(policy, host, "- allow: POST /**\n- allow: GET /**")
    })
    .await;
    let mut client = Client::http2(gate.running(), host).await;
    let got = client.post("/x", "").await;
    assert_eq!((got.status.as_u16(), &*got.reason()), (502, "upstream_unreachable"), "{got:?}");
    // The connection is gone with what was on it, and the next one is like any.
    assert_eq!(client.get("/x").await.status, 200);
    assert_eq!(origin.connections(), 2);
    for settings in pushed.lock().unwrap().iter() {
        let off = [&ENABLE_PUSH.to_be_bytes()[..], &0_u32.to_be_bytes()].concat();
        assert!(settings.chunks(6).any(|setting| setting == off), "{settings:?}");
    }
    assert_eq!(pushed.lock().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstreams_error_is_not_the_clients() {
    // what is recorded as the client's fault is the client's.
    let host = "resets.example";
    let origin = Origin::raw(Identity::named(&[host]), move |accepted: Accepted| async move {
        let mut frames = Frames::new(accepted.stream);
        frames.welcome(&[]).await;
        while let Some(frame) = frames.next().await {
            if frame.kind == HEADERS {
                let id = frame.stream;
                frames
                    .send(&[
                        Frame::headers(id, END_HEADERS, indexed(8)),
                        Frame::data(id, 0, *b"half"),
                        Frame::reset(id, ENHANCE_YOUR_CALM),
                    ])
                    .await;
            }
        }
    })
    .await;
    let gate =
        Gate::with(Options::default(), |policy| origin.declared(policy, host, "- allow: GET /**"))
            .await;
    let mut frames = Frames::open(gate.running(), host).await;
    for stream in [1, 3] {
        frames.send(&[Frame::headers(stream, WHOLE, head("GET", host, "/", &[]))]).await;
        assert_eq!(frames.answer(stream).await, Ended::Stream(INTERNAL_ERROR));
    }
    until("outcomes", || {
        let outcomes = gate.records().iter().filter(|r| r["kind"] == "outcome").count();
        (outcomes == 2).then_some(())
    });
    assert_eq!(refusals(&gate).len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn http2_is_spoken_only_where_tls_agreed_on_it() {
    // G-11, G-29, B-18, D-06
    let origin = Origin::http(Identity::plain(), |_request| async { text("reached") }).await;
    let gate = Gate::with(Options::default(), |policy| {
        Edit(policy)
            .resolve("plain.example:80", origin.address)
            .resource(
                "plain",
                "hosts: [plain.example]\nports: [80/http]\nrules:\n  - allow: GET /**",
            )
            .0
    })
    .await;
    let get = Frame::headers(1, WHOLE, head("GET", DOCS, "/x", &[])).bytes();
    let clear = block(&[
        (":method", "GET"),
        (":scheme", "http"),
        (":authority", "plain.example"),
        (":path", "/x"),
    ]);
    let clear = Frame::headers(1, WHOLE, clear).bytes();
    let connect = block(&[(":method", "CONNECT"), (":authority", "docs.railway.com:443")]);
    let connect = Frame::headers(1, END_HEADERS, connect).bytes();
    let greeting = [PREFACE, &Frame::settings(&[]).bytes()].concat();
    let proxy = gate.running().proxy;
    for (id, first) in [("G-29 absolute form", &clear), ("G-29 CONNECT", &connect)] {
        let known = refusals(&gate).len();
        let mut stream = TcpStream::connect(proxy).await.unwrap();
        stream.write_all(&[&greeting, &first[..]].concat()).await.unwrap();
        closes(id, &mut stream).await;
        assert_eq!(super::recorded(&gate, known), "malformed", "{id}");
    }
    let known = refusals(&gate).len();
    let mut tunnel = crate::support::client::connect(proxy, "docs.railway.com:443").await;
    tunnel.write_all(&[&greeting[..], &get].concat()).await.unwrap();
    closes("G-11 within a tunnel", &mut tunnel).await;
    assert_eq!(super::recorded(&gate, known), "malformed");
    for alpn in [&["http/1.1"][..], &[]] {
        let known = refusals(&gate).len();
        let config = trust(&gate.running().ca, alpn);
        let mut stream = tls(gate.running(), "docs.railway.com:443", DOCS, config).await.unwrap();
        stream.write_all(&[&greeting[..], &get].concat()).await.unwrap();
        closes("D-06 after another ALPN", &mut stream).await;
        assert_eq!(super::recorded(&gate, known), "malformed", "{alpn:?}");
    }
    // An upgrade to it, on either way in.
    let known = refusals(&gate).len();
    let upgrade = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
    let request =
        format!("GET http://plain.example/x HTTP/1.1\r\nHost: plain.example\r\n{upgrade}\r\n");
    let answer = crate::support::client::say(proxy, &request).await;
    assert_eq!((answer.status, &*answer.reason()), (400, "malformed"), "{answer:?}");
    assert_eq!(super::recorded(&gate, known), "malformed");
    let config = trust(&gate.running().ca, &["http/1.1"]);
    let stream = tls(gate.running(), "docs.railway.com:443", DOCS, config).await.unwrap();
    let mut stream = BufReader::new(stream);
    let request = format!("GET /x HTTP/1.1\r\nHost: {DOCS}\r\n{upgrade}\r\n");
    stream.write_all(&[request.as_bytes(), &greeting, &get].concat()).await.unwrap();
    let answer = crate::support::client::read_answer(&mut stream).await;
    assert_eq!((answer.status, &*answer.reason()), (400, "malformed"), "{answer:?}");
    until("the end of the refused ones", || (refusals(&gate).len() == known + 2).then_some(()));
    assert_eq!((gate.mock.bytes_received(), origin.bytes_received()), (0, 0));
}

/// No frame and no answer of an upstream comes back, and the end does.
async fn closes<S: tokio::io::AsyncRead + Unpin>(id: &str, stream: &mut S) {
    let mut received = Vec::new();
    // A reset is an end.
    drop(within(id, stream.read_to_end(&mut received)).await);
    let text = String::from_utf8_lossy(&received);
    // Nothing, a refusal, or an alert of TLS.
    let right =
        text.is_empty() || text.starts_with("HTTP/1.1 400 ") || text.starts_with("\x15\x03");
    assert!(right, "{id}: {text:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_of_an_inspected_request_are_dropped() {
    // E-14: the body is read whole, and what follows it is no part of it.
    let gate = Gate::start().await;
    let mut frames = Frames::open(gate.running(), RAILWAY).await;
    frames
        .send(&[
            Frame::headers(1, END_HEADERS, super::waiting(&[])),
            Frame::data(1, 0, super::QUERY),
            Frame::headers(1, WHOLE, block(&[("x-http-method", "DELETE"), ("x-more", "1")])),
        ])
        .await;
    let answer = frames.answer(1).await;
    assert!(matches!(answer, Ended::Answer(200, _)), "{answer:?}");
    let seen = gate.mock.requests();
    assert_eq!((seen.len(), seen[0].body.len()), (1, super::QUERY.len()));
    assert_eq!((seen[0].header("x-http-method"), seen[0].header("x-more")), (None, None));
}
