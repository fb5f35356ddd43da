//! One hostile client does not stop another: what it may take is bounded, and others are served.

mod streams;

use crate::support::client::{
    Client, connect, read, read_answer, say, streamed, tls, trust, within,
};
use crate::support::mock::{Options, STAGING_TOKEN};
use crate::support::origin::{Identity, Origin, text};
use crate::support::policy::Edit;
use crate::support::{Gate, Running, delete_volume, until, write_policy};
use bytes::Bytes;
use hyper::body::Frame;
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

const DOCS: &str = "docs.railway.com";

async fn limited(limits: &str) -> Gate {
    let section = format!("limits: {{ {limits} }}");
    Gate::with(Options::default(), |policy| Edit(policy).section(&section).0).await
}

/// Another client's calls, each on a connection of its own: all are answered.
async fn others_are_served(running: &Running, calls: usize) {
    // Each wait has the patience of the tests for its bound.
    for _ in 0..calls {
        let mut client = Client::open(running, DOCS, false).await;
        assert_eq!(client.get("/others").await.status, 200);
    }
}

/// The metric without labels.
async fn metric(running: &Running, name: &str) -> u64 {
    let host = running.approvals;
    let metrics = say(host, &format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    let line = metrics.body.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

/// Waits until so few connections are left; the one that asks is none of them.
async fn connections_left(running: &Running, most: u64) {
    within("the end of the connections", async {
        while metric(running, "holdgate_connections").await > most {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// O-01, D-11: heads, handshakes and CONNECTs that never end.
#[tokio::test(flavor = "multi_thread")]
async fn half_of_everything_ends_by_itself() {
    let gate = limited("head: 1s, body: 1s, stall: 1s").await;
    let running = gate.running();
    let mut open = Vec::new();
    for number in 0..60 {
        let mut stream = match number % 3 {
            0 => TcpStream::connect(running.proxy).await.unwrap(),
            _ => connect(running.proxy, "docs.railway.com:443").await,
        };
        let begun: &[u8] = match number % 3 {
            0 => b"CONNECT docs.railway.com:443 HT",
            1 => b"\x16\x03\x01\x02\0\x01",
            _ => b"",
        };
        stream.write_all(begun).await.unwrap();
        open.push(stream);
    }
    others_are_served(running, 20).await;
    for mut stream in open {
        drop(within("the end", stream.read_to_end(&mut Vec::new())).await);
    }
    connections_left(running, 0).await;
    assert!(gate.mock.requests().iter().all(|seen| seen.path == "/others"));
}

/// O-01: answers that nobody reads.
#[tokio::test(flavor = "multi_thread")]
async fn who_reads_nothing_loses_the_connection() {
    let big = Origin::http(Identity::named(&["big.example"]), |_request| async {
        text(vec![7; 64 << 20])
    })
    .await;
    let gate = Gate::with(Options::default(), |policy| {
        let policy = big.declared(policy, "big.example", "- allow: GET /**");
        Edit(policy).section("limits: { stall: 1s }").0
    })
    .await;
    let running = gate.running();
    let mut unread = Vec::new();
    for alpn in ["http/1.1", "http/1.1", "http/1.1"] {
        let config = trust(&running.ca, &[alpn]);
        let mut stream = tls(running, "big.example:443", "big.example", config).await.unwrap();
        stream.write_all(b"GET /big HTTP/1.1\r\nHost: big.example\r\n\r\n").await.unwrap();
        unread.push(stream);
    }
    others_are_served(running, 10).await;
    connections_left(running, 0).await;
    let cut = || {
        let records = gate.records();
        records
            .iter()
            .filter(|record| record["detail"].as_str().unwrap_or("").contains("cut short"))
            .count()
    };
    until("the records of their ends", || (cut() == unread.len()).then_some(()));
}

/// E-28, O-01: a body that stops coming. What is read whole is refused, what streams is broken off.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_stops_coming_is_not_waited_for() {
    let origin = Origin::http(Identity::named(&["up.example"]), |request| async move {
        use http_body_util::BodyExt as _;
        let whole = request.into_body().collect().await.is_ok();
        text(format!("whole={whole}"))
    })
    .await;
    let gate = Gate::with(Options::default(), |policy| {
        let policy = origin.declared(policy, "up.example", "- allow: POST /**\n- allow: PUT /**");
        Edit(policy).section("limits: { body: 1s, stall: 1s }").0
    })
    .await;
    let running = gate.running();
    for (method, kind, status, reason) in [
        ("POST", "application/json", 403, "unreadable"),
        ("PUT", "text/plain", 502, "upstream_unreachable"),
    ] {
        let config = trust(&running.ca, &["http/1.1"]);
        let mut stream = tls(running, "up.example:443", "up.example", config).await.unwrap();
        let head = format!(
            "{method} /x HTTP/1.1\r\nHost: up.example\r\nContent-Type: {kind}\r\nContent-Length: 90\r\n\r\n{{"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = within("an answer", read_answer(&mut BufReader::new(stream))).await;
        assert_eq!((answer.status, &*answer.reason()), (status, reason), "{method} {answer:?}");
    }
}

/// O-01, O-05: an upload may take longer than an upstream may take for its answer.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_gets_on_is_not_given_up() {
    use http_body_util::BodyExt as _;
    let origin = Origin::http(Identity::named(&["up.example"]), |request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        text(format!("{} bytes", body.len()))
    })
    .await;
    let gate = Gate::with(Options::default(), |policy| {
        let policy = origin.declared(policy, "up.example", "- allow: PUT /**");
        Edit(policy).section("limits: { answer: 3s }").0
    })
    .await;
    for http2 in [false, true] {
        let mut client = Client::open(gate.running(), "up.example", http2).await;
        let (sender, body) = streamed();
        let request = client.request("PUT", "/x").body(body).unwrap();
        let sending = async {
            for _ in 0..10 {
                sender.send(Frame::data(Bytes::from("piece"))).await.unwrap();
                // Less than the limit each, more than it in all.
                tokio::time::sleep(Duration::from_millis(400)).await;
            }
            drop(sender);
        };
        let (response, ()) = tokio::join!(client.send(request), sending);
        assert_eq!(read(response.unwrap()).await.body, "50 bytes", "http2={http2}");
    }
}

/// O-02, O-07: one agent's connections leave others theirs, and come back on every way.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_takes_no_more_connections_than_its_own() {
    let gate = limited("agent_connections: 5").await;
    let running = gate.running();
    for round in 0..3 {
        let mut open = Vec::new();
        for _ in 0..5 {
            open.push(connect(running.proxy, "docs.railway.com:443").await);
        }
        let more = "CONNECT docs.railway.com:443 HTTP/1.1\r\nHost: docs.railway.com:443\r\n\r\n";
        let answer = say(running.proxy, more).await;
        assert_eq!((answer.status, &*answer.reason()), (429, "over_limit"), "{round}: {answer:?}");
        // However they end: in silence, in the middle of a handshake, with garbage.
        for (number, stream) in open.iter_mut().enumerate() {
            stream.write_all([&b""[..], b"\x16\x03", b"SSH-2.0\r\n"][number % 3]).await.unwrap();
        }
        drop(open);
        connections_left(running, 0).await;
    }
    others_are_served(running, 5).await;
}

/// O-02: without descriptors nothing is accepted, and the loop lives on.
#[tokio::test(flavor = "multi_thread")]
async fn running_out_of_descriptors_is_survived() {
    let mut gate = Gate::start().await;
    gate.kill();
    let mut command = Command::new("sh");
    command.current_dir(gate.folder.path()).args([
        "-c",
        "ulimit -n 96 && exec \"$0\" serve",
        env!("CARGO_BIN_EXE_holdgate"),
    ]);
    let running = Running::of(command).unwrap();
    let mut open = Vec::new();
    for _ in 0..200 {
        open.push(TcpStream::connect(running.proxy).await.unwrap());
    }
    until("a refused accept", || {
        running.log().contains("a connection could not be accepted").then_some(())
    });
    drop(open);
    others_are_served(&running, 10).await;
}

/// O-04: names without end under a wildcard: certificates are bounded, others are served.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_names_stands_in_nobodys_way() {
    let gate = Gate::with(Options::default(), |policy| {
        Edit(policy).resource("many", "hosts: [\"*.many.example\"]\nrules:\n  - allow: GET /**\n").0
    })
    .await;
    let running = gate.running();
    let ca = running.ca.clone();
    let mut flood = JoinSet::new();
    let proxy = running.proxy;
    for number in 0..600 {
        let config = trust(&ca, &["http/1.1"]);
        flood.spawn(async move {
            let name = format!("n{number}.many.example");
            let stream = connect(proxy, &format!("{name}:443")).await;
            let server = rustls::pki_types::ServerName::try_from(name).unwrap();
            let connecting = tokio_rustls::TlsConnector::from(config).connect(server, stream);
            within("a handshake", connecting).await.is_ok()
        });
    }
    others_are_served(running, 10).await;
    let minted = flood.join_all().await.into_iter().filter(|done| *done).count();
    assert_eq!(minted, 600);
    // Names that nobody declares are slowed down, not minted without end.
    let mut slowed = 0;
    for number in 0..100 {
        let authority = format!("n{number}.undeclared.example:443");
        let head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        slowed += usize::from(connected(proxy, &head).await == 429);
    }
    assert!(slowed > 0, "a hundred undeclared names were taken at once");
}

/// O-11, E-20: a connection that pipelines refused requests without end.
#[tokio::test(flavor = "multi_thread")]
async fn endless_refusals_on_one_connection_leave_others_theirs() {
    let gate = Gate::start().await;
    let running = gate.running();
    let config = trust(&running.ca, &["http/1.1"]);
    let stream = tls(running, "docs.railway.com:443", DOCS, config).await.unwrap();
    let (mut reads, mut writes) = tokio::io::split(stream);
    let (mut flood, mut answers) = (JoinSet::new(), JoinSet::new());
    flood.spawn(async move {
        let batch = "DELETE /x HTTP/1.1\r\nHost: docs.railway.com\r\n\r\n".repeat(100);
        while writes.write_all(batch.as_bytes()).await.is_ok() {}
    });
    answers.spawn(async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(1..) = reads.read(&mut buffer).await {}
    });
    others_are_served(running, 40).await;
    assert!(flood.try_join_next().is_none(), "the flood ended before the others were served");
    assert!(gate.mock.requests().iter().all(|seen| seen.path == "/others"));
}

/// a flood of refusals is counted, and what was allowed keeps its records.
#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refusals_does_not_fill_the_log() {
    let gate = Gate::start().await;
    let running = gate.running();
    let mut client = Client::http1(running, DOCS).await;
    for _ in 0..3_000 {
        assert_eq!(client.post("/x", "").await.status, 403);
    }
    others_are_served(running, 5).await;
    // The next one that is recorded says how many are not.
    let counted = || {
        let records = gate.records();
        let refused = records.iter().filter(|record| record["verdict"] == "deny");
        let left_out = records.iter().filter_map(|record| {
            record["detail"]
                .as_str()?
                .split_once(" refusals before this one")?
                .0
                .parse::<usize>()
                .ok()
        });
        (refused.count(), left_out.sum::<usize>())
    };
    let (recorded, left_out) = counted();
    assert!(recorded < 2_500 && left_out > 0, "{recorded} recorded, {left_out} counted");
    assert!(recorded + left_out <= 3_000, "{recorded} recorded, {left_out} counted");
    let allowed = gate.records().into_iter().filter(|record| record["verdict"] == "allow");
    assert_eq!(allowed.count(), 5);
}

/// A thousand calls that wait take no client's connection, and others are served.
#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_holds_are_kept_and_no_more() {
    let gate = Gate::with(Options::default(), |policy| {
        policy
            .replace("\nholds:\n", "\nholds:\n  most_waiting: 1000\n")
            .replace("wait: 20s", "wait: 0s")
    })
    .await;
    let running = gate.running();
    let client = Client::http2(running, "backboard.railway.com").await;
    let hold = |number: usize| {
        let mut stream = client.stream();
        async move {
            let id = format!("00000000-0000-4000-8000-{number:012}");
            let request = stream
                .request("POST", "/graphql/v2")
                .header("authorization", format!("Bearer {STAGING_TOKEN}"))
                .header("content-type", "application/json")
                .body(crate::support::client::full(delete_volume(&id).to_string()))
                .unwrap();
            let got = stream.exchange(request).await;
            (got.status.as_u16(), got.reason())
        }
    };
    for hundred in 0..10 {
        let calls: JoinSet<_> = (0..100).map(|number| hold(hundred * 100 + number)).collect();
        for answer in calls.join_all().await {
            assert_eq!(answer, (403, "unknown_target".to_owned()));
        }
    }
    assert_eq!(hold(1_000).await, (429, "over_limit".to_owned()));
    assert_eq!(gate.waiting().len(), 1_000);
    others_are_served(running, 10).await;
    assert!(gate.mock.requests().iter().all(|seen| seen.path == "/others"));
}

/// R-05, G-26: an answer that streams ends with the scope that let it begin.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_the_policy_takes_its_host_away() {
    streams::ends_with_its_scope().await;
}

/// The status that a CONNECT gets.
async fn connected(proxy: std::net::SocketAddr, head: &str) -> u16 {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut line = [0; 12];
    within("an answer", stream.read_exact(&mut line)).await.unwrap();
    std::str::from_utf8(&line[9..]).unwrap().parse().unwrap()
}

/// Puts another policy in force.
fn replace_policy(gate: &Gate, change: impl FnOnce(String) -> String) {
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    write_policy(gate.folder.path(), &change(policy));
    gate.reload();
}
