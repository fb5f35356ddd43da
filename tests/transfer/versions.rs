//! Versions side by side, and answers that may have no body.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_connections_run_side_by_side() {
    const MANY: usize = 32;
    let (barrier, versions) = (Arc::new(Barrier::new(MANY)), Arc::new(Mutex::new(Vec::new())));
    let noted = versions.clone();
    let origin = Origin::http(Identity::named(&[HOST]), move |request| {
        let (barrier, noted) = (barrier.clone(), noted.clone());
        async move {
            noted.lock().unwrap().push(request.version());
            if request.uri().path() != "/warm" {
                // Nobody is answered before all are here.
                barrier.wait().await;
            }
            text(request.uri().path().to_owned())
        }
    })
    .await;
    let gate = gate(&origin, "- allow: GET /**").await;
    let mut client = Client::http2(gate.running(), HOST).await;
    assert_eq!(client.get("/warm").await.status, 200);
    let mut streams = JoinSet::new();
    for number in 0..MANY {
        let mut stream = client.stream();
        streams.spawn(async move { stream.get(&format!("/h2/{number}")).await.status });
    }
    while let Some(status) = streams.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(origin.connections(), 1);
    assert!(versions.lock().unwrap().iter().all(|version| *version == hyper::Version::HTTP_2));
    let mut connections = JoinSet::new();
    for number in 0..MANY {
        let mut client = Client::http1(gate.running(), HOST).await;
        connections.spawn(async move { client.get(&format!("/h1/{number}")).await.status });
    }
    while let Some(status) = connections.join_next().await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!(origin.connections(), 1 + MANY);
}

#[tokio::test(flavor = "multi_thread")]
async fn each_side_speaks_the_version_it_knows() {
    let old = Origin::http(Identity::http1(&["old.example"]), |request| async move {
        text(format!("{:?}", request.version()))
    })
    .await;
    let new = Origin::http(Identity::named(&["new.example"]), |request| async move {
        text(format!("{:?}", request.version()))
    })
    .await;
    let gate = Gate::with(Options::default(), |policy| {
        let policy = old.declared(policy, "old.example", "- allow: GET /**");
        new.declared(policy, "new.example", "- allow: GET /**")
    })
    .await;
    for (host, http2, spoken) in [
        ("old.example", false, "HTTP/1.1"),
        ("old.example", true, "HTTP/1.1"),
        ("new.example", true, "HTTP/2.0"),
    ] {
        let mut client = Client::open(gate.running(), host, http2).await;
        for _ in 0..3 {
            assert_eq!(client.get("/").await.body, spoken, "{host} http2={http2}");
        }
    }
    assert_eq!((old.connections(), new.connections()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_without_a_body_have_none() {
    let answer = |accepted: Accepted| async move {
        let mut stream = BufReader::new(accepted.stream);
        while let Some(line) = request_line(&mut stream).await {
            let head = match &*line {
                "HEAD /page" => "200 OK\r\nContent-Length: 138",
                "HEAD /chunked" => "200 OK\r\nTransfer-Encoding: chunked",
                "GET /none" => "204 No Content",
                "GET /same" => "304 Not Modified\r\nETag: \"1\"\r\nContent-Length: 138",
                _ => "200 OK\r\nContent-Length: 0",
            };
            stream.write_all(format!("HTTP/1.1 {head}\r\n\r\n").as_bytes()).await.unwrap();
        }
    };
    let old = Origin::raw(Identity::http1(&[HOST]), answer).await;
    let gate = gate(&old, "- allow: GET /**").await;
    let mut answered = 0;
    for http2 in [false, true] {
        // One connection: what follows shows that nothing was left on it.
        let mut client = Client::open(gate.running(), HOST, http2).await;
        let mut docs = Client::open(gate.running(), "docs.railway.com", http2).await;
        for (method, path, status, length) in [
            ("HEAD", "/page", 200, Some("138")),
            ("HEAD", "/chunked", 200, None),
            ("GET", "/none", 204, None),
            // Over HTTP/1.1 hyper leaves out the length that a 304 may tell (RFC 9110 section 8.6).
            ("GET", "/same", 304, http2.then_some("138")),
            ("GET", "/empty", 200, Some("0")),
        ] {
            let request = client.request(method, path).body(empty()).unwrap();
            let got = client.exchange(request).await;
            let context = format!("{method} {path} http2={http2} {got:?}");
            assert_eq!((got.status.as_u16(), got.body.len()), (status, 0), "{context}");
            let told = got.headers.get("content-length").map(|value| value.to_str().unwrap());
            assert_eq!(told, length, "{context}");
            answered += 1;
        }
        let request = docs.request("HEAD", "/page").body(empty()).unwrap();
        let got = docs.exchange(request).await;
        assert_eq!((got.status.as_u16(), got.body.len()), (200, 0), "{got:?}");
        assert_eq!(docs.get("/page").await.status, 200);
        answered += 2;
    }
    assert_eq!(old.connections(), 2);
    until("outcomes", || (outcomes(&gate).len() == answered).then_some(()));
    assert!(outcomes(&gate).iter().all(|outcome| outcome["detail"] == Value::Null));
}

/// E-25.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_may_not_be_is_not_passed_on() {
    // hyper's HTTP/2 server sends what it is given, also where the method forbids it.
    let new = Origin::http(Identity::named(&[HOST]), |_request| async { text("body") }).await;
    let gate = gate(&new, "- allow: HEAD /**\n- allow: GET /**").await;
    for http2 in [true, false] {
        let mut client = Client::open(gate.running(), HOST, http2).await;
        for (method, body) in [("HEAD", ""), ("GET", "body"), ("HEAD", ""), ("GET", "body")] {
            let got = client.exchange(client.request(method, "/").body(empty()).unwrap()).await;
            let context = format!("{method} http2={http2} {got:?}");
            assert_eq!((got.status.as_u16(), &got.body[..]), (200, body.as_bytes()), "{context}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_breaks_off_does_not_look_complete() {
    let origin = Origin::raw(Identity::http1(&[HOST]), |accepted: Accepted| async move {
        let mut stream = BufReader::new(accepted.stream);
        let Some(line) = request_line(&mut stream).await else { return };
        let answer = match &*line {
            "GET /length" => "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
            "GET /chunked" => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
            "GET /garbage" => "SSH-2.0-OpenSSH_9.9\r\n",
            _ => "HTTP/1.1 200 OK\r\nContent-Le",
        };
        stream.write_all(answer.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await;
    let gate = gate(&origin, "- allow: GET /**").await;
    for http2 in [false, true] {
        for path in ["/length", "/chunked"] {
            let mut client = Client::open(gate.running(), HOST, http2).await;
            let request = client.request("GET", path).body(empty()).unwrap();
            // A reset may overtake the head.
            if let Ok(response) = client.send(request).await {
                assert_eq!(response.status(), 200);
                let body = within("the end", response.collect()).await;
                assert!(body.is_err(), "{path} http2={http2}");
            }
        }
        for path in ["/garbage", "/head"] {
            let mut client = Client::open(gate.running(), HOST, http2).await;
            let got = read(
                client.send(client.request("GET", path).body(empty()).unwrap()).await.unwrap(),
            )
            .await;
            assert_eq!((got.status.as_u16(), &*got.reason()), (502, "upstream_unreachable"));
        }
    }
    let outcomes = until("outcomes", || Some(outcomes(&gate)).filter(|all| all.len() == 8));
    for outcome in outcomes {
        assert_ne!(outcome["detail"], Value::Null, "{outcome}");
    }
}
