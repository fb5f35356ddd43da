//! HTTP/2 frame by frame: what a client may not send is refused, recorded, and never sent on.

mod deadlines;
mod floods;
mod frames;
mod heads;
mod upstream;

use crate::support::Gate;
use crate::support::frames::{Ended, Frame, Frames};
use crate::support::mock::STAGING_TOKEN;
use crate::support::until;
use serde_json::Value;

const DOCS: &str = "docs.railway.com";
const RAILWAY: &str = "backboard.railway.com";
/// A call that is allowed as soon as its body is there.
const QUERY: &str = r#"{"query":"{ me { email } }"}"#;

/// What has to come of it.
#[derive(Clone, Copy, Debug)]
enum Expect {
    /// The connection ends, with one of these errors.
    Connection(&'static [u32]),
    /// The stream ends, with one of these errors; so may the connection (RFC 9113 section 5.4.2).
    Stream(&'static [u32]),
    /// The same, or a 400 of ours.
    Malformed(u32),
    /// An answer of ours.
    Refused(u16, &'static str),
}

struct Row {
    /// The section of RFC 9113, or of RFC 7541 where that is said.
    id: &'static str,
    host: &'static str,
    /// A request of stream 1 that has its answer before the bytes are sent.
    before: Vec<u8>,
    bytes: Vec<u8>,
    expect: Expect,
}

fn row(id: &'static str, host: &'static str, bytes: Vec<u8>, expect: Expect) -> Row {
    Row { id, host, before: Vec::new(), bytes, expect }
}

/// A request that waits for its body, which has to be read before anything is sent.
fn waiting(fields: &[(&str, &str)]) -> Vec<u8> {
    let authorization = format!("Bearer {STAGING_TOKEN}");
    let known = [("authorization", &*authorization), ("content-type", "application/json")];
    crate::support::frames::head("POST", RAILWAY, "/graphql/v2", &[&known, fields].concat())
}

/// The refusals in the log so far.
fn refusals(gate: &Gate) -> Vec<String> {
    let mut files: Vec<_> = std::fs::read_dir(gate.folder.path().join("state/audit"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    files.sort();
    let text: String = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    let entries = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    entries
        .filter(|entry| entry["verdict"] == "deny")
        .map(|entry| entry["reason"].as_str().unwrap().to_owned())
        .collect()
}

/// Waits for a refusal beyond so many; its reason.
fn recorded(gate: &Gate, before: usize) -> String {
    until("a record", || refusals(gate).get(before).cloned())
}

/// Each on a connection of its own, and nothing of any reaches an upstream.
async fn refuse(rows: Vec<Row>) {
    let gate = Gate::start().await;
    for Row { id, host, before, bytes, expect } in rows {
        eprintln!("{id}");
        let known = refusals(&gate).len();
        let mut frames = Frames::open(gate.running(), host).await;
        if !before.is_empty() {
            frames.write(&before).await;
            let answer = frames.answer(1).await;
            assert_eq!(answer.refusal(), (403, "scope_violation".to_owned()), "{id}");
        }
        let known = if before.is_empty() {
            known
        } else {
            recorded(&gate, known);
            known + 1
        };
        frames.write(&bytes).await;
        let ended = match expect {
            Expect::Connection(_) | Expect::Stream(_) => frames.refused().await,
            Expect::Malformed(stream) => frames.answer(stream).await,
            Expect::Refused(..) => frames.answer(1).await,
        };
        let right = match (&ended, expect) {
            (Ended::Connection(code), Expect::Connection(codes) | Expect::Stream(codes))
            | (Ended::Stream(code), Expect::Stream(codes)) => codes.contains(code),
            (Ended::Stream(code) | Ended::Connection(code), Expect::Malformed(_)) => {
                *code == crate::support::frames::PROTOCOL_ERROR
            }
            (Ended::Answer(..), Expect::Malformed(_)) => {
                ended.refusal() == (400, "malformed".to_owned())
            }
            (Ended::Answer(..), Expect::Refused(status, reason)) => {
                ended.refusal() == (status, reason.to_owned())
            }
            _ => false,
        };
        assert!(right, "{id}: {ended:?}");
        // A request that was whole before the fault may have its own.
        until(id, || {
            let refused = refusals(&gate);
            let told = match expect {
                Expect::Refused(_, reason) => reason,
                _ if matches!(ended, Ended::Stream(7) | Ended::Connection(11)) => "over_limit",
                _ => "malformed",
            };
            refused.iter().skip(known).any(|reason| reason == told).then_some(())
        });
        assert_eq!(gate.mock.bytes_received(), 0, "{id}");
    }
}

/// Each on a connection of its own: what is sent does no harm, and the request of stream 1 after it
/// has its usual answer.
async fn pass_over(rows: Vec<(&'static str, Vec<u8>)>) {
    let gate = Gate::start().await;
    for (count, (id, bytes)) in rows.into_iter().enumerate() {
        eprintln!("{id}");
        let mut frames = Frames::open(gate.running(), DOCS).await;
        frames.write(&bytes).await;
        let get = crate::support::frames::head("GET", DOCS, "/x", &[]);
        frames.send(&[Frame::headers(1, crate::support::frames::WHOLE, get)]).await;
        let answer = frames.answer(1).await;
        assert!(matches!(answer, Ended::Answer(200, _)), "{id}: {answer:?}");
        assert_eq!(gate.mock.requests().len(), count + 1, "{id}");
    }
    assert_eq!(refusals(&gate).len(), 0);
}
