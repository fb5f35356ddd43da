//! What ends at this hop: fields, trailers, upgrades.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn what_ends_at_this_hop_goes_no_further() {
    let seen = Arc::new(Mutex::new(Vec::<HeaderMap>::new()));
    let kept = seen.clone();
    let origin = Origin::http(Identity::named(&["origin.example"]), move |request| {
        let kept = kept.clone();
        async move {
            let http1 = request.version() < hyper::Version::HTTP_2;
            kept.lock().unwrap().push(request.headers().clone());
            let mut response = text("here");
            let headers = response.headers_mut();
            headers.insert("alt-svc", "h3=\":443\"; ma=86400".parse().unwrap());
            headers.insert("x-kept", "1".parse().unwrap());
            headers.insert("proxy-status", "origin; error=none".parse().unwrap());
            if http1 {
                headers.insert("connection", "x-gone".parse().unwrap());
                headers.insert("keep-alive", "timeout=5".parse().unwrap());
                headers.insert("x-gone", "1".parse().unwrap());
            }
            response
        }
    })
    .await;
    let gate = Gate::with(Options::default(), |policy| {
        origin.declared(policy, "origin.example", "- allow: GET /**")
    })
    .await;
    for http2 in [false, true] {
        let mut client = Client::open(gate.running(), "origin.example", http2).await;
        let mut request = client
            .request("GET", "/")
            .header("x-kept", "1")
            .header("x-forwarded-for", "203.0.113.9")
            .header("x-forwarded-host", "evil.example")
            .header("forwarded", "for=203.0.113.9")
            .header("x-original-url", "/admin");
        if !http2 {
            request = request.header("connection", "keep-alive, x-gone").header("x-gone", "1");
        }
        let got = client.exchange(request.body(empty()).unwrap()).await;
        assert_eq!((got.status.as_u16(), &got.body[..]), (200, &b"here"[..]), "{got:?}");
        assert_eq!(got.headers["x-kept"], "1", "{got:?}");
        for name in ["alt-svc", "proxy-status", "connection", "keep-alive", "x-gone"] {
            assert_eq!(got.headers.get(name), None, "{got:?}");
        }
    }
    for headers in seen.lock().unwrap().iter() {
        assert_eq!(headers["x-kept"], "1", "{headers:?}");
        for name in
            ["x-gone", "x-forwarded-for", "x-forwarded-host", "forwarded", "x-original-url", "via"]
        {
            assert_eq!(headers.get(name), None, "{headers:?}");
        }
    }
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_of_responses_pass() {
    // On HTTP/1.1 by hand, because hyper asks the client first.
    let plain = Origin::raw(Identity::http1(&["old.example"]), |accepted: Accepted| async move {
        let mut stream = BufReader::new(accepted.stream);
        while read_request(&mut stream).await.is_some() {
            let answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum, Set-Cookie\r\n\r\n\
                          4\r\nbody\r\n0\r\nX-Sum: 42\r\nSet-Cookie: a=b\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    })
    .await;
    let new = Origin::http(Identity::named(&["new.example"]), |_request| async move {
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", "42".parse().unwrap());
        trailers.insert("set-cookie", "a=b".parse().unwrap());
        let frames = [Ok(Frame::data(Bytes::from("body"))), Ok(Frame::trailers(trailers))];
        let mut response =
            Response::new(StreamBody::new(futures_util::stream::iter(frames)).boxed());
        response.headers_mut().insert("trailer", "X-Sum, Set-Cookie".parse().unwrap());
        response
    })
    .await;
    let gate = Gate::with(Options::default(), |policy| {
        let policy = plain.declared(policy, "old.example", "- allow: GET /**");
        new.declared(policy, "new.example", "- allow: GET /**")
    })
    .await;
    for host in ["old.example", "new.example"] {
        for http2 in [false, true] {
            let mut client = Client::open(gate.running(), host, http2).await;
            let mut request = client.request("GET", "/").header("te", "trailers");
            if !http2 {
                request = request.header("connection", "te");
            }
            let got = client.exchange(request.body(empty()).unwrap()).await;
            let context = format!("{host} http2={http2} {got:?}");
            assert_eq!(&got.body[..], b"body", "{context}");
            assert_eq!(
                got.trailers.get("x-sum").map(http::HeaderValue::as_bytes),
                Some(&b"42"[..]),
                "{context}"
            );
            assert_eq!(got.trailers.get("set-cookie"), None, "{context}");
        }
    }
}

/// Reads the head of a request; none at the end of the connection.
async fn read_request<S: tokio::io::AsyncRead + Unpin>(
    stream: &mut BufReader<S>,
) -> Option<String> {
    use tokio::io::AsyncBufReadExt as _;
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

#[tokio::test(flavor = "multi_thread")]
async fn trailers_of_requests_are_dropped() {
    let origin = Origin::http(Identity::named(&["origin.example"]), |request| async move {
        let names: Vec<String> = request.headers().keys().map(ToString::to_string).collect();
        let body = request.into_body().collect().await.unwrap();
        let trailers = body.trailers().cloned();
        let body = String::from_utf8(body.to_bytes().to_vec()).unwrap();
        text(format!("{body} {trailers:?} {}", names.contains(&"trailer".to_owned())))
    })
    .await;
    let gate = Gate::with(Options::default(), |policy| {
        origin.declared(policy, "origin.example", "- allow: POST /**")
    })
    .await;
    for http2 in [false, true] {
        let mut client = Client::open(gate.running(), "origin.example", http2).await;
        let (sender, body) = client::streamed();
        let request = client.request("POST", "/").header("trailer", "x-method, authorization");
        let request = request.body(body).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-method", "DELETE".parse().unwrap());
        trailers.insert("authorization", format!("Bearer {FOREIGN}").parse().unwrap());
        let (got, ()) = tokio::join!(client.exchange(request), async {
            sender.send(Frame::data(Bytes::from("body"))).await.unwrap();
            sender.send(Frame::trailers(trailers)).await.unwrap();
            drop(sender);
        });
        assert_eq!((got.status.as_u16(), &got.body[..]), (200, &b"body None false"[..]), "{got:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_a_websocket_is_switched_to() {
    let gate = Gate::start().await;
    let url = "https://docs.railway.com/";
    for upgrade in ["h2c", "connect-udp", "TLS/1.0", "websocket, h2c"] {
        let answer: Answer = gate.curl(&[
            "--http1.1",
            "-H",
            "Connection: Upgrade",
            "-H",
            &format!("Upgrade: {upgrade}"),
            url,
        ]);
        assert_eq!((answer.status, &*answer.reason()), (400, "malformed"), "{upgrade} {answer:?}");
    }
    assert_eq!(gate.mock.bytes_received(), 0);
}

// E-20, E-23
#[tokio::test(flavor = "multi_thread")]
async fn nothing_behind_a_refused_switch_is_read_as_a_request() {
    let (gate, _secrets) = two_agents().await;
    let fixer = base64::engine::general_purpose::STANDARD.encode("staging-fixer:fixers-own-token");
    let host = "Host: docs.railway.com";
    let next = format!(
        "GET http://docs.railway.com/ HTTP/1.1\r\n{host}\r\nProxy-Authorization: Basic {fixer}\r\n\r\n"
    );
    for (first, status) in
        [
            (format!("CONNECT docs.railway.com:443 HTTP/1.1\r\n{host}:443\r\n\r\n"), "407"),
            (
                format!(
                    "GET http://docs.railway.com/ HTTP/1.1\r\n{host}\r\nUpgrade: websocket\r\n\r\n"
                ),
                "407",
            ),
            (
                next.replacen("GET http://docs.railway.com/ ", "CONNECT evil.example:22 ", 1)
                    .replacen(host, "Host: other.example:22", 1),
                "421",
            ),
        ]
    {
        let answers = within("the answers", async {
            let mut stream = TcpStream::connect(gate.running().proxy).await.unwrap();
            stream.write_all(format!("{first}{next}").as_bytes()).await.unwrap();
            let mut answers = String::new();
            stream.read_to_string(&mut answers).await.unwrap();
            answers
        })
        .await;
        assert!(answers.starts_with(&format!("HTTP/1.1 {status} ")), "{first}: {answers}");
        assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{first}: {answers}");
    }
    assert_eq!(gate.mock.bytes_received(), 0);
}

/// L-03, L-05: where an answer leads is for the client to ask, and for the policy to judge.
#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_passed_and_not_followed() {
    let origin = Origin::http(Identity::named(&["origin.example"]), |request| async move {
        let mut answer = text("moved");
        let to = request.uri().query().unwrap_or_default().to_owned();
        *answer.status_mut() = hyper::StatusCode::FOUND;
        answer.headers_mut().insert("location", to.parse().unwrap());
        answer.headers_mut().insert("refresh", format!("0; url={to}").parse().unwrap());
        answer
    })
    .await;
    let gate = Gate::with(Options::default(), |policy| {
        origin.declared(policy, "origin.example", "- allow: GET /**")
    })
    .await;
    for to in
        ["http://169.254.169.254/latest", "https://evil.example/", "https://docs.railway.com/x"]
    {
        for http2 in [false, true] {
            let mut client = Client::open(gate.running(), "origin.example", http2).await;
            let got = client.get(&format!("/?{to}")).await;
            assert_eq!((got.status.as_u16(), &*got.body), (302, &b"moved"[..]));
            assert_eq!(got.headers["location"], to);
            assert_eq!(got.headers["refresh"], format!("0; url={to}"));
        }
    }
    assert_eq!(gate.mock.bytes_received(), 0);
}

// B-17, B-21, E-20
#[tokio::test(flavor = "multi_thread")]
async fn nothing_behind_a_connect_in_a_tunnel_is_read_as_a_request() {
    let gate = Gate::start().await;
    let host = "docs.railway.com";
    let answers = within("the answers", async {
        let config = trust(&gate.running().ca, &["http/1.1"]);
        let mut stream = tls(gate.running(), &format!("{host}:443"), host, config).await.unwrap();
        let bytes = ["CONNECT", "GET"].map(|m| format!("{m} / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        stream.write_all(bytes.concat().as_bytes()).await.unwrap();
        let mut answers = Vec::new();
        // Whether TLS is closed as it should be is not what this is about.
        drop(stream.read_to_end(&mut answers).await);
        String::from_utf8(answers).unwrap()
    })
    .await;
    assert!(answers.starts_with("HTTP/1.1 400 ") && answers.contains("\"malformed\""), "{answers}");
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1, "{answers}");
    assert_eq!(gate.mock.bytes_received(), 0);
}
