//! Whoever can write the files of the log, but has not its key, cannot change it unseen.

use super::{DOCS, files, folder, mixed, stop, whole};
use crate::support::client::within;
use crate::support::{Gate, sha256, until};
use holdgate::audit::{self, Broken, Entry, Kind, Log, PublicKey, Summary};
use holdgate::store::Store;
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What `audit verify` knows, for many looks in a short time.
struct Known {
    folder: PathBuf,
    key: PublicKey,
    head: Option<(u64, [u8; 32])>,
}

impl Known {
    async fn of(gate: &Gate) -> Self {
        let state = gate.folder.path().join("state");
        let head = Store::read_only(&state).await.unwrap().audit_head().await.unwrap();
        let key = PublicKey::read(&state.join("audit.pub")).unwrap();
        Self { folder: folder(gate), key, head }
    }

    fn verify(&self) -> Result<Summary, Broken> {
        audit::verify(&self.folder, &self.key, self.head)
    }

    /// A gate that was stopped, with a log that holds every kind of record.
    async fn stopped() -> (Gate, Self) {
        let mut gate = Gate::start().await;
        mixed(&gate);
        stop(&mut gate);
        let known = Self::of(&gate).await;
        let last = known.verify().unwrap().last;
        assert_eq!(known.head.unwrap().0, last, "the store knows the last record");
        (gate, known)
    }
}

/// What the command says of a log that is not whole.
fn broken(gate: &Gate) -> String {
    let output = gate.holdgate(&["audit", "verify"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.starts_with("broken: "), "{said}");
    said
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

fn write(path: &Path, lines: &[String]) {
    std::fs::write(path, lines.iter().flat_map(|line| [line, "\n"]).collect::<String>()).unwrap();
}

/// The line that a byte stands in, from one.
fn line_of(bytes: &[u8], position: usize) -> u64 {
    bytes[..position].split(|byte| *byte == b'\n').count() as u64
}

/// Positions all over some bytes.
fn sample(length: usize, count: usize) -> impl Iterator<Item = usize> {
    // A step that is not near any length of a line.
    (0..count).map(move |number| number * 7_919 % length)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_byte_is_found_where_it_stands() {
    let (gate, known) = Known::stopped().await;
    let path = files(&known.folder).pop().unwrap();
    let good = std::fs::read(&path).unwrap();
    let last = good[..good.len() - 1].iter().rposition(|byte| *byte == b'\n').unwrap() + 1;
    let ends = [0, last - 1, good.len() - 1];
    let positions: BTreeSet<usize> =
        sample(good.len(), 150).chain(last..last + 100).chain(ends).collect();
    assert!(positions.len() > 200);
    for (number, position) in positions.into_iter().enumerate() {
        let mut bad = good.clone();
        bad[position] ^= if number % 2 == 0 { 0x01 } else { 0x20 };
        std::fs::write(&path, &bad).unwrap();
        let line = line_of(&good, position);
        let found = known.verify().expect_err(&format!("byte {position} may be changed"));
        assert_eq!((found.line, &found.file), (line, &path), "byte {position}: {found}");
        if number % 25 == 0 {
            let place = format!("{}:{line}: ", path.display());
            assert!(broken(&gate).contains(&place), "byte {position}");
        }
    }
    std::fs::write(&path, &good).unwrap();
    whole(gate.folder.path());
}

///
#[tokio::test(flavor = "multi_thread")]
async fn lines_cannot_go_come_or_move() {
    let (gate, known) = Known::stopped().await;
    let path = files(&known.folder).pop().unwrap();
    let good = lines(&path);
    let (end, text) = (good.len() - 1, good.join("\n"));
    let swapped = {
        let mut lines = good.clone();
        lines.swap(3, 4);
        lines
    };
    let doubled = [&good[..4], &good[3..]].concat();
    let doubled_last = [&good[..], &good[end..]].concat();
    let spaced = [&good[..2], &[good[2].replacen(':', ": ", 1)], &good[3..]].concat();
    let cases: [(&str, Vec<String>, String); 8] = [
        ("the first is cut", good[1..].to_vec(), ":1: record 2: ".to_owned()),
        ("one is cut", [&good[..3], &good[4..]].concat(), ":4: record 5: ".to_owned()),
        ("the last is cut", good[..end].to_vec(), format!("ends before record {}", end + 1)),
        ("two are swapped", swapped, ":4: record 5: ".to_owned()),
        ("one is doubled", doubled, ":5: record 4: ".to_owned()),
        ("the last is doubled", doubled_last, format!(":{}: record {}: ", end + 2, end + 1)),
        ("one is spelled otherwise", spaced, ":3: record 3: ".to_owned()),
        ("all are cut", Vec::new(), "has no records".to_owned()),
    ];
    for (name, lines, place) in cases {
        write(&path, &lines);
        let said = broken(&gate);
        assert!(said.contains(&place), "{name}: {said}");
    }
    std::fs::write(&path, &text[..text.len() - 40]).unwrap();
    assert!(broken(&gate).contains(&format!(":{}: ", end + 1)), "it is torn");
    std::fs::remove_file(&path).unwrap();
    assert!(broken(&gate).contains(&format!("ends before record {}", end + 1)));
    write(&path, &good);
    whole(gate.folder.path());
}

/// Hashes lines anew from one on, as a thief without the key can.
fn recompute(lines: &mut [String], from: usize) {
    let field = |line: &str| serde_json::from_str::<Map<String, Value>>(line).unwrap();
    let mut prev = field(&lines[from])["prev"].clone();
    for line in &mut lines[from..] {
        let mut record = field(line);
        record.insert("prev".to_owned(), prev);
        record.shift_remove("hash").unwrap();
        let bytes = serde_json_canonicalizer::to_vec(&record).unwrap();
        record.insert("hash".to_owned(), sha256(&bytes).into());
        prev = record["hash"].clone();
        *line = String::from_utf8(serde_json_canonicalizer::to_vec(&record).unwrap()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_is_hashed_anew_lacks_the_signature() {
    let (mut gate, known) = Known::stopped().await;
    let path = files(&known.folder).pop().unwrap();
    let good = lines(&path);
    let mut same = good.clone();
    recompute(&mut same, 1);
    assert_eq!(same, good, "the attack hashes as the log does");
    let at = good.iter().position(|line| line.contains("foreign_credential")).unwrap();
    let mut forged = good.clone();
    forged[at] = forged[at].replace("\"verdict\":\"deny\"", "\"verdict\":\"allow\"");
    assert_ne!(forged, good);
    recompute(&mut forged, at);
    write(&path, &forged);
    let said = broken(&gate);
    let checkpoint =
        (at..good.len()).find(|line| good[*line].contains("\"kind\":\"checkpoint\"")).unwrap();
    assert!(said.contains(&format!(":{}: ", checkpoint + 1)), "{said}");
    assert!(said.contains("signature"), "{said}");
    write(&path, &good);
    whole(gate.folder.path());

    // A crash leaves records after the last signature; the store's word on the last of them stands.
    gate.serve();
    assert_eq!(gate.curl(&[DOCS]).status, 200);
    let records = until("the outcome", || {
        Some(gate.records()).filter(|records| records.last().unwrap()["kind"] == "outcome")
    });
    within("the store knows the last record", async {
        while Known::of(&gate).await.head.unwrap().0 < records.len() as u64 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    gate.kill();
    assert!(whole(gate.folder.path())["unsigned"].as_u64().unwrap() >= 2);
    let good = lines(&path);
    let mut forged = good.clone();
    let at = good.len() - 2;
    forged[at] = forged[at].replace("docs.railway.com", "www.railway.com");
    recompute(&mut forged, at);
    assert_ne!(forged, good);
    write(&path, &forged);
    let said = broken(&gate);
    assert!(said.contains("is not the record that was synced"), "{said}");
    // The proxy itself sees at its start that the end is another one, and signs that it did.
    gate.serve();
    let notice = gate.records().iter().find_map(|record| {
        let detail = record["detail"].as_str().filter(|_| record["kind"] == "checkpoint");
        detail.filter(|detail| detail.contains("is not the one that was synced")).map(str::to_owned)
    });
    assert!(notice.is_some() && gate.running().log().contains(&notice.unwrap()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_log_under_another_key_is_not_this_log() {
    let (gate, known) = Known::stopped().await;
    let other = tempfile::tempdir().unwrap();
    let state = other.path();
    let log =
        Log::open(&state.join("audit"), audit::Options::new(state.join("audit.key"))).unwrap();
    for _ in 0..known.head.unwrap().0 + 5 {
        log.commit(Entry::new(Kind::Request, jiff::Timestamp::now())).await.unwrap();
    }
    log.close().await.unwrap();
    let path = files(&known.folder).pop().unwrap();
    std::fs::copy(files(&state.join("audit")).pop().unwrap(), &path).unwrap();
    assert!(broken(&gate).contains(":1: record 1: its signature"));
    std::fs::copy(state.join("audit.pub"), gate.folder.path().join("state/audit.pub")).unwrap();
    let said = broken(&gate);
    let place = format!(": record {}: is not the record that was synced", known.head.unwrap().0);
    assert!(said.contains(&place), "{said}");
}

/// A log of several files: bytes all over them, files that go, and lines that change the file.
pub(super) async fn between_files(gate: &Gate) {
    let known = Known::of(gate).await;
    known.verify().unwrap();
    let paths = files(&known.folder);
    for path in &paths {
        let good = std::fs::read(path).unwrap();
        for position in sample(good.len(), 12) {
            let mut bad = good.clone();
            bad[position] ^= 0x01;
            std::fs::write(path, &bad).unwrap();
            let line = line_of(&good, position);
            let found = known.verify().expect_err(&format!("{} byte {position}", path.display()));
            assert_eq!((found.line, &found.file), (line, path), "{position}: {found}");
        }
        std::fs::write(path, &good).unwrap();
    }
    let away = gate.folder.path().join("away");
    // The newest signed word on what was removed stands in the last file.
    let gone = "no signed checkpoint says so";
    for (path, said) in paths.iter().zip([gone, "expected record", gone]) {
        std::fs::rename(path, &away).unwrap();
        let found = broken(gate);
        assert!(found.contains(said), "{}: {found}", path.display());
        std::fs::rename(&away, path).unwrap();
    }
    let (one, two) = (lines(&paths[0]), lines(&paths[1]));
    write(&paths[0], &[&one[..], &two[..1]].concat());
    write(&paths[1], &two[1..]);
    assert!(broken(gate).contains("the file's name says"));
    write(&paths[0], &one);
    write(&paths[1], &two);
    whole(gate.folder.path());
}
