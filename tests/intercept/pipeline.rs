//! Bytes behind a request: the next one, judged on its own and in its turn.

use crate::support::client::{connect, read_answer, tls, trust, within};
use crate::support::mock::{Options, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::origin::{Identity, Origin, text};
use crate::support::{Gate, delete_volume};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

/// E-20, I7: behind a bodiless request comes another one, which is judged too.
#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_request_is_the_next_one() {
    let gate = Gate::start().await;
    let running = gate.running();
    let config = trust(&running.ca, &["http/1.1"]);
    let stream = tls(running, "docs.railway.com:443", "docs.railway.com", config).await;
    let mut stream = BufReader::new(stream.unwrap());
    let request = |line: &str| format!("{line} HTTP/1.1\r\nHost: docs.railway.com\r\n\r\n");
    let all = [request("GET /first"), request("DELETE /second"), request("GET /third")].concat();
    stream.write_all(all.as_bytes()).await.unwrap();
    for (status, reason) in [(200, ""), (403, "scope_violation"), (200, "")] {
        let answer = within("an answer", read_answer(&mut stream)).await;
        assert_eq!((answer.status, &*answer.reason()), (status, reason), "{answer:?}");
    }
    let paths: Vec<String> = gate.mock.requests().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/first", "/third"]);
}

/// E-20: nothing overtakes a call that is held, and nothing behind it is lost.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_overtakes_a_call_that_is_held() {
    let gate = Gate::start().await;
    let running = gate.running();
    let host = "backboard.railway.com";
    let config = trust(&running.ca, &["http/1.1"]);
    let stream = tls(running, &format!("{host}:443"), host, config).await;
    let mut stream = BufReader::new(stream.unwrap());
    let call = |body: &str| {
        format!(
            "POST /graphql/v2 HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
             Authorization: Bearer {STAGING_TOKEN}\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let deletion = call(&delete_volume(STAGING_VOLUME).to_string());
    let read = call("{\"query\":\"{ me { email } }\"}");
    stream.write_all(format!("{deletion}{read}").as_bytes()).await.unwrap();
    let id = gate.wait_for_hold();
    assert_eq!(gate.mock.bytes_received(), 0);
    gate.approve(&id);
    for part in ["\"volumeDelete\"", "\"me\""] {
        let answer = within("an answer", read_answer(&mut stream)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(answer.body.contains(part), "{answer:?}");
    }
    let records = gate.records();
    let allowed = records.iter().filter(|record| record["verdict"] == "allow");
    let operations: Vec<String> = allowed.map(|record| record["operations"].to_string()).collect();
    assert_eq!(operations.len(), 2);
    assert!(
        operations[0].contains("volumeDelete") && operations[1].contains("me"),
        "{operations:?}"
    );
}

/// E-22: the proxy itself says to go on, and the upstream is not asked.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_expects_to_go_on_is_told_to_by_the_proxy() {
    let origin = Origin::http(Identity::http1(&["up.example"]), |request| async move {
        use http_body_util::BodyExt as _;
        let expects = request.headers().contains_key("expect");
        let body = request.into_body().collect().await.unwrap().to_bytes();
        text(format!("expects={expects} length={}", body.len()))
    })
    .await;
    let gate = Gate::with(Options::default(), |policy| {
        origin.declared(policy, "up.example", "- allow: POST /**")
    })
    .await;
    let running = gate.running();
    for kind in ["application/json", "application/octet-stream"] {
        let config = trust(&running.ca, &["http/1.1"]);
        let stream = tls(running, "up.example:443", "up.example", config).await;
        let mut stream = BufReader::new(stream.unwrap());
        let head = format!(
            "POST /x HTTP/1.1\r\nHost: up.example\r\nContent-Type: {kind}\r\nContent-Length: 2\r\n\
             Expect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        assert_eq!(within("a hint", read_answer(&mut stream)).await.status, 100);
        stream.write_all(b"[]").await.unwrap();
        let answer = within("an answer", read_answer(&mut stream)).await;
        assert_eq!((answer.status, &*answer.body), (200, "expects=false length=2"));
    }
}

/// B-14: what comes behind a CONNECT is the tunnel's once it is open, and nobody's where it is not.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_behind_a_connect_belong_to_its_tunnel() {
    let gate = Gate::start().await;
    let running = gate.running();
    let request = |host: &str| format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    let smuggled =
        "GET http://docs.railway.com/smuggled HTTP/1.1\r\nHost: docs.railway.com\r\n\r\n";
    for (host, status) in [("docs.railway.com:443", "200"), ("10.0.0.1:443", "403")] {
        let mut stream = TcpStream::connect(running.proxy).await.unwrap();
        let bytes = format!("{}{smuggled}", request(host));
        stream.write_all(bytes.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        // A tunnel ends at bytes that are no TLS, a refused CONNECT with its answer.
        drop(within("the end", stream.read_to_end(&mut answer)).await);
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
    }
    // The same with a tunnel that is asked for once more behind the first.
    drop(connect(running.proxy, "docs.railway.com:443").await);
    assert_eq!(gate.mock.bytes_received(), 0);
}
