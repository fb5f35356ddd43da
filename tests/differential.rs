//! I10: whatever a client sends, what leaves is exactly the one request that was judged, in the eyes
//! of parsers that are not ours, or nothing at all.
//!
//! `HOLDGATE_DIFFERENTIAL` is how many connections are made up; the same number makes up the same.

mod grammar;
mod readers;

use crate::corpus::targets::{Cut, cut};
use crate::support::Gate;
use crate::support::client::{tls, trust, within};
use crate::support::mock::Options;
use crate::support::origin::{Accepted, Identity, Origin};
use crate::support::policy::Edit;
use futures_util::StreamExt as _;
use grammar::Random;
use holdgate::message::{Path, Query};
use http::Uri;
use readers::Meaning;
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

const HOST: &str = "up.example";
/// How many connections are made up, where the environment does not say.
const CASES: u64 = 2_000;
/// How many are open at a time.
const AT_ONCE: usize = 64;

/// The bytes of each connection to the upstream, by its number.
#[derive(Clone, Default)]
struct Record(Arc<Mutex<Vec<Heard>>>);

/// The bytes of a connection, and whether it has ended.
type Heard = (Vec<u8>, bool);

impl Record {
    /// Writes down a connection to its end; its first request is answered with the number.
    async fn keep(self, accepted: Accepted) {
        let number = {
            let mut all = self.0.lock().unwrap();
            all.push((Vec::new(), false));
            all.len() - 1
        };
        let mut stream = accepted.stream;
        let mut answered = false;
        let mut buffer = vec![0; 8 << 10];
        while let Ok(read @ 1..) = stream.read(&mut buffer).await {
            let here = {
                let mut all = self.0.lock().unwrap();
                all[number].0.extend_from_slice(&buffer[..read]);
                cut(&all[number].0).first().is_some_and(|one| one.body.is_some())
            };
            if here && !answered {
                answered = true;
                let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close";
                let answer = format!("{head}\r\nX-Connection: {number}\r\n\r\n");
                // Who asked may have gone.
                drop(stream.write_all(answer.as_bytes()).await);
            }
        }
        self.0.lock().unwrap()[number].1 = true;
    }

    /// All of them, once they have ended.
    async fn ended(&self) -> Vec<Vec<u8>> {
        within("the ends of the upstream's connections", async {
            while self.0.lock().unwrap().iter().any(|(_, ended)| !ended) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        self.0.lock().unwrap().iter().map(|(bytes, _)| bytes.clone()).collect()
    }
}

/// A proxy before both origins; `limits` bound what never becomes whole.
async fn gate(clear: &Origin, secure: &Origin, limits: &str) -> Gate {
    Gate::with(Options::default(), |policy| {
        Edit(policy)
            .resolve("up.example:80", clear.address)
            .resolve("up.example:443", secure.address)
            .root(&secure.roots())
            .resource(
                HOST,
                "hosts: [up.example]\n\
                 ports: [443, 80/http]\n\
                 rules:\n  \
                 - { allow: GET /**, effect: read }\n  \
                 - { allow: HEAD /**, effect: read }\n  \
                 - { allow: OPTIONS /**, effect: read }\n  \
                 - { allow: POST /**, effect: write }\n  \
                 - { allow: PUT /**, effect: write }\n  \
                 - { allow: PATCH /**, effect: write }",
            )
            .section(limits)
            .0
    })
    .await
}

/// Sends all bytes and reads until the proxy ends the connection.
async fn say(gate: &Gate, bytes: &[u8], tunnel: bool) -> Vec<u8> {
    async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin, bytes: &[u8]) -> Vec<u8> {
        let mut answers = Vec::new();
        // The proxy may refuse in the middle of it, and reset what it did not read.
        drop(stream.write_all(bytes).await);
        drop(stream.read_to_end(&mut answers).await);
        answers
    }
    within("the end of a connection", async {
        if tunnel {
            let config = trust(&gate.running().ca, &["http/1.1"]);
            let stream = tls(gate.running(), &format!("{HOST}:443"), HOST, config).await.unwrap();
            exchange(stream, bytes).await
        } else {
            exchange(TcpStream::connect(gate.running().proxy).await.unwrap(), bytes).await
        }
    })
    .await
}

/// The numbers of the upstream's connections that a client's answers came from, in order.
fn answered_by(answers: &[u8]) -> Vec<usize> {
    let text = String::from_utf8_lossy(answers).to_ascii_lowercase();
    let lines = text.lines().filter_map(|line| line.strip_prefix("x-connection: "));
    lines.map(|number| number.parse().unwrap()).collect()
}

/// What is judged of a request that was cut out of a client's bytes; none if it is refused.
fn judged(one: &Cut) -> Option<Meaning> {
    let uri: Uri = one.target.parse().ok()?;
    let (path, query) = (Path::read(uri.path()).ok()?, Query::read(uri.query()).ok()?);
    let target = match query.as_str() {
        "" => path.as_str().to_owned(),
        query => format!("{}?{query}", path.as_str()),
    };
    let body = one.body.clone()?;
    Some(Meaning { method: one.method.clone(), target, host: HOST.to_owned(), body })
}

/// How often the audit log says that a method and a path were let through to the host. Its files are
/// read, because the commands show no more than the last of many records.
fn let_through(gate: &Gate) -> HashMap<(String, String), usize> {
    let mut counts = HashMap::new();
    for file in gate.folder.path().join("state/audit").read_dir().unwrap() {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        for line in std::fs::read_to_string(&path).unwrap().lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
            if record["kind"] == "request" && record["verdict"] == "allow" {
                assert_eq!(text("host"), HOST, "{record}");
                *counts.entry((text("method"), text("path"))).or_default() += 1;
            }
        }
    }
    counts
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_is_the_one_judged_request_or_nothing() {
    let cases: u64 = std::env::var("HOLDGATE_DIFFERENTIAL")
        .map_or(CASES, |text| text.parse().expect("HOLDGATE_DIFFERENTIAL is a number"));
    let record = Record::default();
    let keep = |record: &Record| {
        let record = record.clone();
        move |accepted| record.clone().keep(accepted)
    };
    let clear = Origin::raw(Identity::plain(), keep(&record)).await;
    let secure = Origin::raw(Identity::http1(&[HOST]), keep(&record)).await;
    regular_ones_pass(gate(&clear, &secure, "").await, &record).await;
    let mut gate = gate(&clear, &secure, "limits: { head: 500ms, body: 500ms, answer: 2s }").await;

    let sent: Vec<(u64, Vec<u8>, Vec<usize>)> = futures_util::stream::iter(0..cases)
        .map(|case| {
            let gate = &gate;
            async move {
                let tunnel = case % 4 == 3;
                let bytes = grammar::connection(&mut Random::new(case), tunnel);
                let answers = say(gate, &bytes, tunnel).await;
                (case, bytes, answered_by(&answers))
            }
        })
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let mut allowed = let_through(&gate);
    assert!(!gate.running().log().contains("panicked"), "{}", gate.running().log());
    gate.kill();
    let mut all = record.ended().await;

    // Each answer came from a connection whose bytes are one of the requests of that client.
    let mut expected = BTreeMap::new();
    for (case, bytes, numbers) in &sent {
        let mut requests = cut(bytes).into_iter();
        for number in numbers {
            // Those in between were refused.
            let read = &all[*number];
            let left = cut(read).into_iter().next().and_then(|one| judged(&one));
            let meaning = requests.by_ref().filter_map(|one| judged(&one));
            let meaning = meaning.into_iter().find(|meaning| left.as_ref() == Some(meaning));
            let meaning = meaning.unwrap_or_else(|| {
                panic!("case {case}: {} left for {}", read.escape_ascii(), bytes.escape_ascii())
            });
            assert!(expected.insert(*number, (*case, meaning)).is_none(), "case {case}");
        }
    }

    let real = all.len();
    all.extend(CONTROLS.iter().map(|bytes| bytes.to_vec()));
    let readings = readers::read(&all).await;
    for (parser, readings) in &readings {
        let (real, controls) = readings.split_at(real);
        for (control, reading) in CONTROLS.iter().zip(controls) {
            assert_eq!(reading.one(), None, "{parser} would see nothing wrong with {control:?}");
        }
        for (number, reading) in real.iter().enumerate() {
            let bytes = all[number].escape_ascii();
            match expected.get(&number) {
                Some((case, meaning)) => {
                    assert_eq!(
                        reading.one().as_ref(),
                        Some(meaning),
                        "{parser}, case {case}: {bytes}"
                    );
                }
                // Nobody had an answer: it broke off on its way, or is one request all the same.
                None => {
                    assert!(
                        reading.is_broken_off() || reading.one().is_some(),
                        "{parser}: {bytes}"
                    );
                }
            }
        }
    }
    for (case, meaning) in expected.values() {
        // A record has no query, in which secrets may stand.
        let path = meaning.target.split('?').next().unwrap().to_owned();
        let count = allowed.get_mut(&(meaning.method.clone(), path));
        let count = count.filter(|count| **count > 0);
        *count.unwrap_or_else(|| panic!("case {case}: no record lets {meaning:?} through")) -= 1;
    }
    // That nothing passes, or everything, would be no news.
    let passed = sent.iter().filter(|(_, _, numbers)| !numbers.is_empty()).count();
    println!(
        "{passed} of {cases} connections had {} requests answered; {} readers",
        expected.len(),
        readings.len()
    );
    assert!(passed * 5 > sent.len() && passed * 5 < sent.len() * 4, "{passed} of {cases} pass");
}

/// Requests that nothing is wrong with are answered, each by a connection that is wholly its own.
async fn regular_ones_pass(gate: Gate, record: &Record) {
    for case in 0..100 {
        let bytes = grammar::regular(&mut Random::new(case), case % 4 == 3);
        let numbers = answered_by(&say(&gate, &bytes, case % 4 == 3).await);
        let [number] = *numbers else {
            panic!("case {case}: {numbers:?} {}", bytes.escape_ascii())
        };
        let read = record.0.lock().unwrap()[number].0.clone();
        let [sent, left] = [cut(&bytes), cut(&read)].map(|cuts| cuts.first().and_then(judged));
        assert_eq!(left, sent, "case {case}: {}", bytes.escape_ascii());
        assert!(sent.is_some(), "case {case}: {}", bytes.escape_ascii());
    }
}

/// What no parser may take for one request.
const CONTROLS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: up.example\r\n\r\nGET /2 HTTP/1.1\r\nHost: up.example\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: up.example\r\n\r\nx",
    b"POST / HTTP/1.1\r\nHost: up.example\r\nContent-Length: 4\r\n\r\nbod",
    b"POST / HTTP/1.1\r\nHost: up.example\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n",
    b"GET / HTTP/1.1\r\nHost: up.example\r\nX\r\n\r\n",
];
