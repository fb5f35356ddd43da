//! One meaning for every spelling: what is rewritten and to what, and what is refused.
//!
//! The rows are the table of `docs/normalization.md`: a test compares the two, and writes the page
//! where `HOLDGATE_WRITE_DOCS` is set.

mod bodies;
mod rows;
mod wire;

use crate::support::client::{Plain, read_answer, tls, trust, within};
use crate::support::mock::Options;
use crate::support::origin::{Identity, Origin, text};
use crate::support::{Gate, Running};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response};
use rows::{Ask, Row, Then, areas};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

const HOST: &str = "up.example";

/// Answers with what it was asked.
async fn echo(request: Request<Incoming>) -> Response<crate::support::origin::Body> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let headers: Vec<(String, String)> = head
        .headers
        .iter()
        .map(|(name, value)| {
            (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    let seen = json!({
        "line": format!("{} {}", head.method, head.uri),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    });
    text(seen.to_string())
}

async fn gate() -> (Origin, Gate) {
    let origin = Origin::http(Identity::http1(&[HOST]), echo).await;
    let rules = "- allow: GET /**\n- allow: OPTIONS /**\n- allow: POST /**\n- allow: PUT /**\n- deny: \"* /admin/**\"";
    let gate = Gate::with(Options::default(), |policy| {
        let policy = origin.declared(policy, HOST, rules);
        // A host in clear text besides, for the other way in.
        policy.replace(
            &format!("    hosts: [{HOST}]\n"),
            &format!("    hosts: [{HOST}]\n    ports: [443]\n"),
        )
    })
    .await;
    (origin, gate)
}

/// A connection of the kind that a row asks for, with its bytes sent.
async fn send(running: &Running, ask: &Ask) -> BufReader<Box<dyn Stream>> {
    let (stream, bytes): (Box<dyn Stream>, &[u8]) = match ask {
        Ask::Front(bytes) => (Box::new(TcpStream::connect(running.proxy).await.unwrap()), bytes),
        Ask::Inside(bytes) => {
            let config = trust(&running.ca, &["http/1.1"]);
            (Box::new(tls(running, &format!("{HOST}:443"), HOST, config).await.unwrap()), bytes)
        }
    };
    let mut stream = BufReader::new(stream);
    // What is refused may be refused before all of it is sent.
    drop(stream.write_all(bytes).await);
    stream
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

const fn status_of(reason: &str) -> u16 {
    match reason.as_bytes() {
        b"malformed" => 400,
        b"host_mismatch" => 421,
        _ => 403,
    }
}

/// Whether an answer is what a row says, with nothing sent where it says so.
fn fits(then: &Then, answer: &Plain, sent: bool) -> Result<(), String> {
    let (line, has, body) = match then {
        Then::Ended => {
            let fits = matches!(answer.status, 0 | 400) && answer.body.is_empty() && !sent;
            return if fits { Ok(()) } else { Err(format!("sent={sent} {answer:?}")) };
        }
        Then::Refused(reason) => {
            // What the parser itself refuses has no body; its record says why.
            let told = if answer.body.is_empty() { "malformed".into() } else { answer.reason() };
            let status =
                matches!(answer.status, 413 | 414 | 431) || answer.status == status_of(reason);
            let fits = told == *reason && status && !sent;
            return if fits { Ok(()) } else { Err(format!("sent={sent} {answer:?}")) };
        }
        Then::Sent { line, has, body } => (line, has, body),
    };
    let seen: Value =
        serde_json::from_str(&answer.body).map_err(|error| format!("{error}: {answer:?}"))?;
    let is = |name: &str, value: Option<&str>| {
        let headers = seen["headers"].as_array().into_iter().flatten();
        let values: Vec<&Value> =
            headers.filter(|header| header[0] == name).map(|header| &header[1]).collect();
        values.iter().copied().eq(value.map(Value::from).iter())
    };
    let fits = seen["line"] == *line
        && body.is_none_or(|body| seen["body"] == body)
        && has.iter().all(|(name, value)| is(name, *value));
    if fits { Ok(()) } else { Err(format!("{answer:?}")) }
}

/// Q-06, and each row its own cases.
#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_is_refused_or_rewritten_as_the_table_says() {
    let (origin, gate) = gate().await;
    let mut expected = 0;
    let mut wrong = Vec::new();
    for row in areas().into_iter().flat_map(|area| area.rows) {
        let shown = format!("{}: {}", row.ids, row.spelling);
        expected += usize::from(matches!(row.then, Then::Refused("malformed") | Then::Ended));
        let before = origin.bytes_received();
        let mut stream = send(gate.running(), &row.ask).await;
        let mut first = [0];
        let begun = within(&shown, stream.read_exact(&mut first)).await.is_ok();
        let answer = if begun {
            within(&shown, read_answer(&mut BufReader::new((&first[..]).chain(stream)))).await
        } else {
            Plain { status: 0, head: String::new(), body: String::new() }
        };
        let sent = origin.bytes_received() != before;
        if let Err(why) = fits(&row.then, &answer, sent) {
            wrong.push(format!("{shown}: {why}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let malformed = gate.records().into_iter().filter(|record| record["reason"] == "malformed");
    assert_eq!(malformed.count(), expected, "each refusal has its record");
}

/// The page, from the rows.
fn page() -> String {
    let mut page = String::from(
        "# Normalization\n\nEach request becomes one canonical value before it is judged, and that value is what is sent. This is the table of\n\
         spellings: what is rewritten, and to what; what is refused, and with which reason. It is made from the rows that\n\
         `tests/normalization.rs` sends through the running proxy. The first column names the case of the evasion table in\n\
         [security](security.md).\n",
    );
    for area in areas() {
        write!(
            page,
            "\n## {}\n\n{}\n\n| case | spelling | what becomes of it |\n|---|---|---|\n",
            area.title, area.about
        )
        .unwrap();
        for Row { ids, spelling, then, .. } in &area.rows {
            let then = match then {
                Then::Ended => "the connection ends".to_owned(),
                Then::Refused(reason) => format!("refused: `{reason}`"),
                Then::Sent { line, has, body } => {
                    let mut sent = format!("sent as `{line}`");
                    for (name, value) in has {
                        match value {
                            Some(value) => write!(sent, ", with `{name}: {value}`").unwrap(),
                            None => write!(sent, ", without `{name}`").unwrap(),
                        }
                    }
                    if let Some(body) = body.filter(|body| !body.is_empty()) {
                        write!(sent, ", body `{}`", body.escape_debug()).unwrap();
                    }
                    sent
                }
            };
            let cell = |text: &str| text.replace('|', "\\|");
            writeln!(page, "| {ids} | {} | {} |", cell(spelling), cell(&then)).unwrap();
        }
    }
    page
}

#[test]
fn the_page_is_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/normalization.md");
    if std::env::var_os("HOLDGATE_WRITE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap();
    assert!(
        written == page(),
        "docs/normalization.md is not the table: run with HOLDGATE_WRITE_DOCS=1"
    );
}
