//! Parsers that are not ours, each in one process that reads all byte strings at once.

use crate::clients::has;
use crate::corpus::targets::cut;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use tokio::time::timeout;

/// What a parser found in the bytes of one connection.
#[derive(Debug, Deserialize)]
pub(super) struct Reading {
    /// Method, target, host and body of each request, in base64.
    requests: Vec<[String; 4]>,
    /// Whether there was nothing else.
    whole: bool,
}

/// What one request is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) method: String,
    pub(super) target: String,
    pub(super) host: String,
    pub(super) body: Vec<u8>,
}

impl Reading {
    /// The one request, if it found exactly one and nothing else.
    pub(super) fn one(&self) -> Option<Meaning> {
        let [parts] = &*self.requests else { return None };
        let [method, target, host, body] =
            parts.each_ref().map(|text| STANDARD.decode(text).unwrap());
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (method, target, host) = (text(method), text(target), text(host));
        self.whole.then_some(Meaning { method, target, host, body })
    }

    /// Whether it found the beginning of a request and no request.
    pub(super) fn is_broken_off(&self) -> bool {
        self.requests.is_empty() && !self.whole
    }
}

/// The readings of every parser that is here, in the order of the byte strings.
pub(super) async fn read(all: &[Vec<u8>]) -> Vec<(&'static str, Vec<Reading>)> {
    let mut readings = vec![("httparse", all.iter().map(|bytes| httparse(bytes)).collect())];
    for (name, program, probe, script) in [
        ("h11", "python3", &["-c", "import h11"][..], &["read.py"][..]),
        ("llhttp", "node", &["--version"], &["read.mjs"]),
        ("net/http", "go", &["version"], &["run", "read.go"]),
    ] {
        if has(program, probe) {
            readings.push((name, run(program, script, all).await));
        }
    }
    readings
}

async fn run(program: &str, arguments: &[&str], all: &[Vec<u8>]) -> Vec<Reading> {
    // A program that is compiled first takes its time.
    const PATIENCE: Duration = Duration::from_mins(10);
    let texts: Vec<String> = all.iter().map(|bytes| STANDARD.encode(bytes)).collect();
    let mut child = Command::new(program)
        .args(arguments)
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let output = timeout(PATIENCE, async {
        let text = serde_json::to_vec(&texts).unwrap();
        let (output, written) =
            tokio::join!(child.wait_with_output(), async move { input.write_all(&text).await });
        written.unwrap();
        output.unwrap()
    });
    let output = output.await.unwrap_or_else(|_| panic!("{program} took too long"));
    assert!(output.status.success(), "{program}: {output:?}");
    let readings: Vec<Reading> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(readings.len(), all.len(), "{program}");
    readings
}

/// hyper's parser, with a reader of bodies that is not hyper's.
fn httparse(bytes: &[u8]) -> Reading {
    let cuts = cut(bytes);
    let end = cuts.last().map_or(0, |last| last.end);
    let whole = end == bytes.len() && cuts.iter().all(|one| one.body.is_some());
    let requests = cuts.into_iter().filter_map(|one| {
        let (hosts, body) = (one.hosts.join(&b", "[..]), one.body?);
        let parts = [one.method.into_bytes(), one.target.into_bytes(), hosts, body];
        Some(parts.map(|part| STANDARD.encode(part)))
    });
    Reading { requests: requests.collect(), whole }
}
