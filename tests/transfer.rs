//! Bodies and connections: what streams, what is bounded, what is reused, and what is sent once.

mod versions;

mod upstream;

use crate::support::client::{self, Client, empty, full, read, streamed, tls, trust, within};
use crate::support::mock::{Options, STAGING_TOKEN as STAGING};
use crate::support::origin::{Accepted, Body, Identity, Origin, text};
use crate::support::policy::Edit;
use crate::support::{Gate, Running, until};
use bytes::Bytes;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::Response;
use hyper::body::Frame;
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::sync::{Barrier, mpsc};
use tokio::task::JoinSet;

const HOST: &str = "origin.example";
const CHUNK: usize = 64 << 10;
const CHUNKS: usize = 1600;

/// The most memory the process has had, in KiB.
pub(crate) fn peak(running: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", running.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

async fn gate(origin: &Origin, rules: &str) -> Gate {
    Gate::with(Options::default(), |policy| origin.declared(policy, HOST, rules)).await
}

/// The outcomes so far.
fn outcomes(gate: &Gate) -> Vec<Value> {
    gate.records().into_iter().filter(|record| record["kind"] == "outcome").collect()
}

/// An answer that is streamed by the test.
fn streaming(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
    response
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_pass_in_little_memory() {
    let origin = Origin::http(Identity::named(&[HOST]), |request| async move {
        if request.method() == "GET" {
            let chunk = Bytes::from(vec![7; CHUNK]);
            let frames = (0..CHUNKS).map(move |_| Ok(Frame::data(chunk.clone())));
            return Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed());
        }
        let (mut body, mut length) = (request.into_body(), 0);
        while let Some(frame) = body.frame().await {
            length += frame.unwrap().into_data().unwrap().len();
        }
        text(length.to_string())
    })
    .await;
    let gate = gate(&origin, "- allow: GET /**\n- allow: POST /**").await;
    let whole = CHUNK * CHUNKS;
    for http2 in [false, true] {
        let mut client = Client::open(gate.running(), HOST, http2).await;
        // What a connection and its buffers take is there before.
        assert_eq!(client.post("/", "short").await.body, "5");
        let before = peak(gate.running());
        let (sender, body) = streamed();
        let request = client.request("POST", "/").body(body).unwrap();
        let (got, ()) = tokio::join!(client.exchange(request), async {
            let chunk = Bytes::from(vec![7; CHUNK]);
            for _ in 0..CHUNKS {
                sender.send(Frame::data(chunk.clone())).await.unwrap();
            }
            drop(sender);
        });
        assert_eq!(got.body, whole.to_string(), "{got:?}");
        let request = client.request("GET", "/").body(empty()).unwrap();
        let mut body = client.send(request).await.unwrap().into_body();
        let mut length = 0;
        while let Some(frame) = within("a frame", body.frame()).await {
            length += frame.unwrap().into_data().unwrap().len();
        }
        assert_eq!(length, whole);
        let grown = peak(gate.running()).saturating_sub(before);
        assert!(grown < 64 << 10, "http2={http2}: {grown} KiB more for {whole} bytes each way");
    }
    let bytes = |outcome: &Value| outcome["bytes"].as_u64().unwrap() == whole as u64;
    until("outcomes", || (outcomes(&gate).into_iter().filter(bytes).count() == 2).then_some(()));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_byte_arrives_before_the_last_is_sent() {
    let (arrived, mut arrivals) = mpsc::channel(8);
    let origin = Origin::http(Identity::named(&[HOST]), move |request| {
        let arrived = arrived.clone();
        async move {
            let (mut body, mut all) = (request.into_body(), Vec::new());
            while let Some(frame) = body.frame().await {
                let data = frame.unwrap().into_data().unwrap();
                all.extend_from_slice(&data);
                arrived.send(data).await.unwrap();
            }
            text(all)
        }
    })
    .await;
    let gate = gate(&origin, "- allow: POST /**").await;
    for http2 in [false, true] {
        let mut client = Client::open(gate.running(), HOST, http2).await;
        let (sender, body) = streamed();
        let request = client.request("POST", "/").body(body).unwrap();
        let (got, ()) = tokio::join!(client.exchange(request), async {
            for part in ["one", "two", "three"] {
                sender.send(Frame::data(Bytes::from(part))).await.unwrap();
                // Only when this one is there is the next one sent.
                assert_eq!(within(part, arrivals.recv()).await.unwrap(), part);
            }
            drop(sender);
        });
        assert_eq!(got.body, "onetwothree");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_arrive_one_by_one() {
    let (ready, mut streams) = mpsc::channel(1);
    let origin = Origin::http(Identity::named(&[HOST]), move |_request| {
        let ready = ready.clone();
        async move {
            let (sender, body) = streamed();
            ready.send(sender).await.unwrap();
            streaming(body)
        }
    })
    .await;
    let gate = gate(&origin, "- allow: GET /events").await;
    for http2 in [false, true] {
        let mut client = Client::open(gate.running(), HOST, http2).await;
        let request = client.request("GET", "/events").body(empty()).unwrap();
        let response = client.send(request).await.unwrap();
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut body = response.into_body();
        let events = within("the stream", streams.recv()).await.unwrap();
        for number in 0..5 {
            let event = format!("event: tick\ndata: {number}\n\n");
            events.send(Frame::data(Bytes::from(event.clone()))).await.unwrap();
            let frame = within("an event", body.frame()).await.unwrap().unwrap();
            assert_eq!(frame.into_data().unwrap(), event);
        }
        drop(events);
        let rest = within("the end", body.collect()).await.unwrap().to_bytes();
        assert!(rest.is_empty(), "{rest:?}");
    }
}

/// I-17, O-05.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_rule_needs_to_read_may_not_be_too_long() {
    let gate = Gate::start().await;
    let file = gate.folder.path().join("long");
    std::fs::File::create(&file).unwrap().set_len(100 << 20).unwrap();
    let (file, authorization) =
        (file.to_str().unwrap(), format!("Authorization: Bearer {STAGING}"));
    let before = peak(gate.running());
    for version in ["--http1.1", "--http2"] {
        for (url, framing) in [
            ("https://backboard.railway.com/graphql/v2", "X-None: 1"),
            // Without a length there is nothing to refuse but what has come.
            ("https://backboard.railway.com/graphql/v2", "Transfer-Encoding: chunked"),
            ("https://backboard.railway.app/graphql/v2?x=1", "Expect:"),
        ] {
            let kind = "Content-Type: application/json";
            let answer = gate.curl(&[
                version,
                "-X",
                "POST",
                "-T",
                file,
                "-H",
                kind,
                "-H",
                framing,
                "-H",
                &authorization,
                url,
            ]);
            let context = format!("{version} {framing} {answer:?}");
            assert_eq!((answer.status, &*answer.reason()), (413, "unreadable"), "{context}");
            assert_eq!(answer.json()["errors"][0]["extensions"]["code"], "DENIED", "{context}");
            if version == "--http1.1" {
                assert!(answer.head.contains("connection: close"), "{context}");
            }
        }
    }
    // What is refused whatever its body says is told so too, and nobody waits for the body.
    for (url, reason) in [
        ("https://docs.railway.com/upload", "scope_violation"),
        ("https://nowhere.example/upload", "out_of_scope"),
        ("http://nowhere.example/upload", "out_of_scope"),
    ] {
        for version in ["--http1.1", "--http2"] {
            if url.starts_with("http:") && version != "--http1.1" {
                continue;
            }
            let answer = gate.curl(&[version, "-X", "POST", "-T", file, "-H", "Expect:", url]);
            assert_eq!(
                (answer.status, &*answer.reason()),
                (403, reason),
                "{version} {url} {answer:?}"
            );
        }
    }
    let grown = peak(gate.running()).saturating_sub(before);
    // Eleven bodies of 100 MiB have come by; not one of them was kept.
    assert!(grown < 96 << 10, "{grown} KiB more");
    assert_eq!(gate.mock.bytes_received(), 0);
    let records = gate.records();
    assert_eq!(records.iter().filter(|record| record["reason"] == "unreadable").count(), 6);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_client_is_waited_for_within_limits() {
    let gate = Gate::with(Options::default(), |policy| {
        Edit(policy).section("limits: { head: 2s, body: 2s }").0
    })
    .await;
    let running = gate.running();
    let open = async |host: &str| {
        let authority = format!("{host}:443");
        tls(running, &authority, host, trust(&running.ca, &["http/1.1"])).await.unwrap()
    };
    let (docs, railway) = ("docs.railway.com", "backboard.railway.com");
    // In pieces of one byte it is the same request.
    let mut stream = open(docs).await;
    for byte in format!("GET /slow HTTP/1.1\r\nHost: {docs}\r\n\r\n").bytes() {
        stream.write_all(&[byte]).await.unwrap();
        stream.flush().await.unwrap();
    }
    let answer = within("an answer", client::read_answer(&mut BufReader::new(stream))).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let before = gate.mock.bytes_received();
    // Half a head, half a body, and a proxy request that never ends.
    let mut half_head = open(docs).await;
    half_head.write_all(b"GET /half HTTP/1.1\r\nHost: docs").await.unwrap();
    let mut half_body = open(railway).await;
    let head = format!(
        "POST /graphql/v2 HTTP/1.1\r\nHost: {railway}\r\nAuthorization: Bearer {STAGING}\r\n\
         Content-Length: 50\r\n\r\n{{\"query\":"
    );
    half_body.write_all(head.as_bytes()).await.unwrap();
    let mut half_connect = tokio::net::TcpStream::connect(running.proxy).await.unwrap();
    half_connect.write_all(b"CONNECT docs.railway.com:443 HT").await.unwrap();
    // Nobody else waits for them.
    assert_eq!(gate.curl(&["https://api.staging.railway.app/deployments"]).status, 200);
    let after = gate.mock.bytes_received();
    assert!(after > before);
    let answer = within("an answer", client::read_answer(&mut BufReader::new(half_body))).await;
    assert_eq!((answer.status, &*answer.reason()), (403, "unreadable"), "{answer:?}");
    let mut rest = Vec::new();
    drop(within("the end", half_head.read_to_end(&mut rest)).await);
    drop(within("the end", half_connect.read_to_end(&mut rest)).await);
    let rest = String::from_utf8_lossy(&rest);
    assert!(!rest.contains(" 200 "), "{rest}");
    for seen in gate.mock.requests() {
        assert!(["/slow", "/deployments"].contains(&&*seen.path), "{seen:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_gets_everything() {
    let origin =
        Origin::http(Identity::named(&[HOST]), |_request| async { text(vec![7; 4 << 20]) }).await;
    let gate = gate(&origin, "- allow: GET /**").await;
    for http2 in [false, true] {
        let mut client = Client::open(gate.running(), HOST, http2).await;
        let request = client.request("GET", "/").body(empty()).unwrap();
        let mut body = client.send(request).await.unwrap().into_body();
        let mut length = 0;
        while let Some(frame) = within("a frame", body.frame()).await {
            length += frame.unwrap().into_data().unwrap().len();
            // Others are served between two frames.
            let others = Client::open(gate.running(), "docs.railway.com", false);
            if length < CHUNK * 3 {
                assert_eq!(others.await.get("/").await.status, 200);
            }
        }
        assert_eq!(length, 4 << 20);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_goes_away_leaves_an_outcome() {
    let (ready, mut streams) = mpsc::channel(1);
    let origin = Origin::http(Identity::named(&[HOST]), move |request| {
        let ready = ready.clone();
        async move {
            let (sender, body) = streamed();
            match request.uri().path() {
                // The head never comes.
                "/silent" => {
                    ready.send(sender).await.unwrap();
                    std::future::pending().await
                }
                "/upload" => {
                    let mut upload = request.into_body();
                    drop(upload.frame().await.unwrap());
                    ready.send(sender).await.unwrap();
                    drop(upload.frame().await);
                    text("it ended")
                }
                _ => {
                    sender.send(Frame::data(Bytes::from("first"))).await.unwrap();
                    ready.send(sender).await.unwrap();
                    streaming(body)
                }
            }
        }
    })
    .await;
    let gate = gate(&origin, "- allow: GET /**\n- allow: POST /**").await;
    for http2 in [false, true] {
        for path in ["/download", "/silent", "/upload"] {
            let before = outcomes(&gate).len();
            let client = Client::open(gate.running(), HOST, http2).await;
            let (upload, body) = streamed();
            let (method, body) = if path == "/upload" { ("POST", body) } else { ("GET", empty()) };
            let request = client.request(method, path).body(body).unwrap();
            let (begun, mut beginning) = mpsc::channel(1);
            let mut sending = if http2 { client.stream() } else { client };
            let mut pending = JoinSet::new();
            pending.spawn(async move {
                let mut answer = sending.send(request).await?.into_body();
                drop(answer.frame().await);
                begun.send(()).await.unwrap();
                std::future::pending::<hyper::Result<()>>().await
            });
            if path == "/upload" {
                upload.send(Frame::data(Bytes::from("first"))).await.unwrap();
            }
            let kept = within("the request", streams.recv()).await.unwrap();
            if path == "/download" {
                within("the first frame", beginning.recv()).await.unwrap();
            }
            // On HTTP/2 only the stream ends, its connection goes on.
            pending.shutdown().await;
            let outcome = until(&format!("an outcome of {path}, http2={http2}"), || {
                outcomes(&gate).get(before).cloned()
            });
            assert_ne!(outcome["detail"], Value::Null, "{path} http2={http2} {outcome}");
            drop(kept);
        }
    }
    // Nothing was left behind that would keep others waiting.
    assert_eq!(gate.curl(&["https://docs.railway.com/"]).status, 200);
}

/// C-21, L-08.
#[tokio::test(flavor = "multi_thread")]
async fn connections_to_an_upstream_are_used_again() {
    let gate = Gate::start().await;
    for (http2, most) in [(false, 1), (true, 2)] {
        for round in 0..5 {
            let mut client = Client::open(gate.running(), "docs.railway.com", http2).await;
            for number in 0..4 {
                assert_eq!(client.get(&format!("/{round}/{number}")).await.status, 200);
            }
        }
        assert_eq!(gate.mock.connections(), most, "http2={http2}");
    }
    assert_eq!(gate.mock.requests().len(), 40);
}

/// M-23.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_sent_twice_but_a_read_that_got_no_answer() {
    let seen = Arc::new(Mutex::new(Vec::<String>::new()));
    let (kept, (left, mut leaving)) = (seen.clone(), mpsc::channel(1));
    let origin = Origin::raw(Identity::http1(&[HOST]), move |accepted: Accepted| {
        let (kept, left) = (kept.clone(), left.clone());
        async move {
            let mut stream = BufReader::new(accepted.stream);
            let mut reused = false;
            while let Some(line) = request_line(&mut stream).await {
                kept.lock().unwrap().push(line.clone());
                if line.contains("/die") && reused || line.contains("/never") {
                    return;
                }
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
                if line.contains("/bye") {
                    stream.shutdown().await.unwrap();
                    // The proxy has seen the end once it closes its own side.
                    drop(stream.read_to_end(&mut Vec::new()).await);
                    left.send(()).await.unwrap();
                    return;
                }
                reused = true;
            }
        }
    })
    .await;
    let gate = gate(&origin, "- allow: GET /**\n- allow: POST /**").await;
    let mut client = Client::http1(gate.running(), HOST).await;
    let sent = |line: &str| seen.lock().unwrap().iter().filter(|known| *known == line).count();
    // A pooled connection that dies under a read: it is read again on another, once.
    assert_eq!(client.get("/first").await.status, 200);
    assert_eq!(client.get("/die").await.status, 200);
    assert_eq!((sent("GET /die"), origin.connections()), (2, 2));
    let outcome = outcomes(&gate).pop().unwrap();
    assert!(outcome["detail"].as_str().unwrap().contains("sent again once"), "{outcome}");
    // Under a write: nobody knows whether it was done, so it is not done again.
    let got = client.post("/die", "").await;
    assert_eq!((got.status.as_u16(), &*got.reason()), (502, "upstream_unreachable"), "{got:?}");
    let mut client = Client::http1(gate.running(), HOST).await;
    assert_eq!(client.get("/first").await.status, 200);
    let got = client.post("/die", "body").await;
    assert_eq!((got.status.as_u16(), &*got.reason()), (502, "upstream_unreachable"), "{got:?}");
    assert_eq!(sent("POST /die"), 2);
    // A read with a body counts as a write.
    let mut client = Client::http1(gate.running(), HOST).await;
    assert_eq!(client.get("/first").await.status, 200);
    let request = client.request("GET", "/die/body").body(full("body")).unwrap();
    assert_eq!(client.exchange(request).await.status, 502);
    assert_eq!(sent("GET /die/body"), 1);
    // On a fresh connection it was no stale one's fault.
    let mut client = Client::http1(gate.running(), HOST).await;
    let got = client.get("/never").await;
    assert_eq!((got.status.as_u16(), &*got.reason()), (502, "upstream_unreachable"), "{got:?}");
    assert_eq!(sent("GET /never"), 1);
    // A connection that was closed in peace is not used again, and nothing is lost.
    for method in ["GET", "POST"] {
        let mut client = Client::http1(gate.running(), HOST).await;
        assert_eq!(client.get("/bye").await.status, 200);
        within("the end of the connection", leaving.recv()).await.unwrap();
        let path = format!("/{method}/after");
        let request = client.request(method, &path).body(empty()).unwrap();
        assert_eq!(client.exchange(request).await.status, 200);
        assert_eq!(sent(&format!("{method} {path}")), 1);
        let outcome = outcomes(&gate).pop().unwrap();
        assert_eq!(outcome["detail"], Value::Null, "{outcome}");
    }
}

// E-19, E-31
#[tokio::test(flavor = "multi_thread")]
async fn a_body_of_unknown_length_goes_along_whatever_the_method() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let kept = seen.clone();
    let origin = Origin::http(Identity::http1(&[HOST]), move |request| {
        let kept = kept.clone();
        async move {
            let method = request.method().to_string();
            let body = request.into_body().collect().await.unwrap().to_bytes();
            kept.lock().unwrap().push((method, body));
            text("")
        }
    })
    .await;
    let gate = gate(&origin, "- allow: GET /**\n- allow: PUT /x").await;
    for http2 in [false, true] {
        for method in ["GET", "HEAD", "PUT"] {
            let mut client = Client::open(gate.running(), HOST, http2).await;
            let (sender, body) = streamed();
            let mut request = client.request(method, "/x");
            if !http2 {
                request = request.header("transfer-encoding", "chunked");
            }
            let (got, ()) = tokio::join!(client.exchange(request.body(body).unwrap()), async {
                sender.send(Frame::data(Bytes::from_static(b"body"))).await.unwrap();
                drop(sender);
            });
            assert_eq!(got.status, 200, "{method} http2={http2}: {got:?}");
            let (came, body) = seen.lock().unwrap().pop().unwrap();
            assert_eq!((&*came, &*body), (method, &b"body"[..]), "http2={http2}");
        }
    }
}

/// Method and path of a request, read to its end; none at the end of the connection.
async fn request_line<S: tokio::io::AsyncRead + Unpin>(
    stream: &mut BufReader<S>,
) -> Option<String> {
    use tokio::io::AsyncBufReadExt as _;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    let length = head.lines().find_map(|line| {
        line.to_ascii_lowercase().strip_prefix("content-length: ").map(|text| text.parse().unwrap())
    });
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await.ok()?;
    let mut words = head.split(' ');
    Some(format!("{} {}", words.next()?, words.next()?))
}
