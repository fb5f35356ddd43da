//! The log through its public face, on real folders: records, restarts, rotation, reading.

use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use super::chain::{seal, sha256};
use super::files::list;
use super::record::Parts;
use super::*;

fn time() -> Timestamp {
    "2026-11-21T06:07:08.123456789Z".parse().unwrap()
}

pub(super) fn entry(id: &str) -> Entry {
    Entry {
        agent: Some("staging-fixer".into()),
        request_id: Some(id.to_owned().into()),
        verdict: Some("allow".into()),
        ..Entry::new(Kind::Request, time())
    }
}

/// An entry that has everything.
fn full() -> Entry {
    let text = |text: &'static str| Some(Text::from(text));
    Entry {
        kind: Kind::Outcome,
        time: time(),
        address: text("192.0.2.7:443"),
        agent: text("a\r\n\u{1b}\0\u{2028}\u{7f}\"}\\{\"verdict\":\"allow\"}\u{8}\u{c}\t€𝄞"),
        approver: text("mia"),
        bytes: Some(u64::MAX),
        certificate: text("sha256:00"),
        connection: text("c1"),
        count: Some(3),
        credentials: vec![CredentialUse {
            slot: "header authorization".into(),
            name: "foreign".into(),
            fingerprint: text("hmac-sha256:k:00"),
            first_seen: Some(FirstSeen {
                answer_to: text("GET raw.example/\u{202e}\"a"),
                result_of: text("cat a.env"),
                at: time(),
                request_id: "r0".into(),
                seconds_ago: u64::MAX,
            }),
        }],
        detail: Some(Text::from("x".repeat(3000))),
        effects: vec!["destructive".into(); 70],
        findings: vec![
            Finding {
                reason: "foreign_credential".into(),
                severity: "critical".into(),
                technique: text("T1552.001"),
                slot: text("header authorization"),
                evidence: text("36 bytes, a1b2c3d4"),
            };
            2
        ],
        hold: text("h1"),
        host: text("backboard.railway.com"),
        method: text("POST"),
        milliseconds: Some(0),
        operations: vec!["mutation volumeDelete".into(); 70],
        path: text("/graphql/v2"),
        policy_digest: text("sha256:aa"),
        policy_digest_before: text("sha256:bb"),
        port: Some(443),
        reason: text("destructive"),
        request_id: text("r1"),
        resource: text("railway-staging"),
        rule: text("policy.yaml:61"),
        session: text("s1"),
        status: Some(200),
        targets: vec![Target {
            kind: "volume".into(),
            id: text("v1"),
            environment: text("production"),
            resource: None,
            learned: text("r0"),
        }],
        verdict: text("hold"),
    }
}

pub(super) struct Place {
    pub(super) root: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Self {
        Self { root: tempfile::tempdir().unwrap() }
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.root.path().join("audit")
    }

    pub(super) fn options(&self) -> Options {
        Options::new(self.root.path().join("audit.key"))
    }

    pub(super) fn open(&self) -> Log {
        Log::open(&self.folder(), self.options()).unwrap()
    }

    pub(super) fn key(&self) -> PublicKey {
        PublicKey::read(&self.root.path().join("audit.pub")).unwrap()
    }

    pub(super) fn verify(&self) -> Result<Summary, Broken> {
        verify(&self.folder(), &self.key(), None)
    }

    pub(super) fn files(&self) -> Vec<PathBuf> {
        list(&self.folder()).unwrap().0.into_iter().map(|file| file.path).collect()
    }

    /// A closed log with some records, in one file.
    pub(super) async fn filled(records: usize) -> Self {
        let place = Self::new();
        let log = place.open();
        for number in 0..records {
            log.commit(entry(&format!("r{number}"))).await.unwrap();
        }
        log.close().await.unwrap();
        place
    }

    /// A closed log of several files.
    pub(super) async fn rotated(commits: usize, retain: Retain) -> Self {
        let place = Self::new();
        let options = Options { rotate_bytes: 1, retain, ..place.options() };
        let log = Log::open(&place.folder(), options).unwrap();
        for number in 0..commits {
            log.commit(entry(&format!("r{number}"))).await.unwrap();
        }
        log.close().await.unwrap();
        place
    }
}

pub(super) fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap().lines().map(str::to_owned).collect()
}

pub(super) fn write_lines(path: &Path, lines: &[String]) {
    let text = lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect::<String>();
    fs::write(path, text).unwrap();
}

#[test]
fn a_line_is_canonical_json_and_its_hash_covers_the_rest() {
    for entry in [full(), entry("r1"), Entry::new(Kind::Session, time())] {
        let (mut parts, mut line) = (Parts::default(), Vec::new());
        entry.write(7, &[0xab; 32], &mut parts);
        let hash = seal(&parts, &mut line);
        assert_eq!(line.pop(), Some(b'\n'));
        assert!(!line.contains(&b'\n'));
        let mut value: Value = serde_json::from_slice(&line).unwrap();
        assert_eq!(serde_json_canonicalizer::to_vec(&value).unwrap(), line);
        let stated = value.as_object_mut().unwrap().shift_remove("hash").unwrap();
        let canonical = serde_json_canonicalizer::to_vec(&value).unwrap();
        assert_eq!(stated, hex(&sha256([canonical.as_slice()])));
        assert_eq!(stated, hex(&hash));
        assert_eq!(value["time"], "2026-11-21T06:07:08.123456Z");
        assert_eq!(value["seq"], 7);
    }
}

#[test]
fn strings_and_lists_are_capped_and_say_so() {
    let (mut parts, mut line) = (Parts::default(), Vec::new());
    let long = "é".repeat(1025);
    let entry = Entry { detail: Some(long.clone().into()), ..full() };
    entry.write(1, &GENESIS, &mut parts);
    seal(&parts, &mut line);
    let value: Value = serde_json::from_slice(&line).unwrap();
    let expected = format!("{}…sha256:{}", "é".repeat(1024), hex(&sha256([long.as_bytes()])));
    assert_eq!(value["detail"], expected);
    assert_eq!(value["operations"].as_array().unwrap().len(), 64);
    assert_eq!(value["more"], serde_json::json!({"operations": 6}));
    assert_eq!(value["bytes"], (1_u64 << 53) - 1);
    assert_eq!(value["agent"], &*full().agent.unwrap());
}

proptest::proptest! {
    /// Q-03.
    #[test]
    fn any_string_is_escaped_canonically(text in ".*|[\\x00-\\x7f]*") {
        let (mut parts, mut line) = (Parts::default(), Vec::new());
        Entry { path: Some(text.clone().into()), ..entry("r") }.write(1, &GENESIS, &mut parts);
        seal(&parts, &mut line);
        line.pop();
        let value: Value = serde_json::from_slice(&line).unwrap();
        proptest::prop_assert_eq!(serde_json_canonicalizer::to_vec(&value).unwrap(), line);
        proptest::prop_assert_eq!(value["path"].as_str(), Some(text.as_str()));
    }
}

#[tokio::test]
async fn the_chain_survives_a_restart() {
    let place = Place::new();
    let log = place.open();
    assert_eq!(log.commit(entry("a")).await, Ok(2));
    let mut ticket = log.note(entry("b")).unwrap();
    assert_eq!(ticket.written().await, Ok(3));
    assert_eq!(ticket.written().await, Ok(3));
    log.close().await.unwrap();
    assert!(!log.healthy());
    assert_eq!(log.commit(entry("c")).await, Err(NotRecorded::Closed));

    let log = place.open();
    assert!(log.healthy());
    assert_eq!(log.commit(full()).await, Ok(6));
    log.close().await.unwrap();
    let summary = place.verify().unwrap();
    assert_eq!((summary.first, summary.last, summary.files), (1, 7, 1));
    assert_eq!((summary.checkpoints, summary.unsigned), (4, 0));
    assert_eq!(summary.notices, []);
}

#[tokio::test]
async fn dropping_every_handle_still_writes_what_was_noted() {
    let place = Place::new();
    let log = place.open();
    let mut ended = log.shared.ended.clone();
    let mut ticket = log.note(entry("a")).unwrap();
    drop(log);
    assert!(ended.changed().await.is_err());
    assert_eq!(ticket.written().await, Ok(2));
    assert_eq!(place.verify().unwrap().last, 3);
}

#[tokio::test]
async fn a_torn_line_is_cut_and_recorded() {
    let place = Place::filled(2).await;
    let path = place.files().remove(0);
    OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"agent\":").unwrap();
    assert!(matches!(place.verify().unwrap_err().why, Why::Torn));
    place.open().close().await.unwrap();
    let notices = place.verify().unwrap().notices;
    let detail = "cut 9 bytes of a torn line from audit-000000000001.jsonl";
    assert_eq!(notices, [Notice { seq: 5, detail: detail.to_owned() }]);
}

#[tokio::test]
async fn a_file_that_was_only_begun_is_dropped() {
    let place = Place::filled(2).await;
    fs::write(place.folder().join("audit-000000000005.jsonl"), "{\"det").unwrap();
    place.open().close().await.unwrap();
    let summary = place.verify().unwrap();
    assert_eq!((summary.files, summary.last, summary.notices.len()), (1, 5, 1));
}

#[tokio::test]
async fn what_is_not_kept_is_deleted_and_signed_for() {
    let place = Place::rotated(6, Retain::Files(3)).await;
    assert_eq!(place.files().len(), 3);
    let summary = place.verify().unwrap();
    assert!(summary.first > 1);
    // One more than was declared is a gap.
    fs::remove_file(&place.files()[0]).unwrap();
    let broken = place.verify().unwrap_err();
    assert!(matches!(broken.why, Why::Start), "{broken}");
}

#[tokio::test]
async fn retention_by_age_keeps_what_is_young() {
    let kept = Place::rotated(4, Retain::For(Duration::from_hours(1))).await;
    assert_eq!((kept.files().len(), kept.verify().unwrap().first), (5, 1));
    let gone = Place::rotated(4, Retain::For(Duration::ZERO)).await;
    assert_eq!(gone.files().len(), 1);
    gone.verify().unwrap();
}

#[tokio::test]
async fn an_interrupted_deletion_is_whole_and_finished_at_the_next_start() {
    let place = Place::rotated(4, Retain::Everything).await;
    let old: Vec<_> = place.files().iter().map(|path| fs::read(path).unwrap()).collect();
    let names = place.files();
    let options = Options { rotate_bytes: 1, retain: Retain::Files(2), ..place.options() };
    let log = Log::open(&place.folder(), options).unwrap();
    log.commit(entry("more")).await.unwrap();
    log.close().await.unwrap();
    assert_eq!(place.files().len(), 2);
    for index in 2..4 {
        fs::write(&names[index], &old[index]).unwrap();
    }
    assert_eq!(place.verify().unwrap().files, 4);
    place.open().close().await.unwrap();
    assert_eq!(place.verify().unwrap().files, 2);
}

#[tokio::test]
async fn the_key_is_guarded() {
    let place = Place::filled(1).await;
    let path = place.options().key;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(place.folder()).unwrap().permissions().mode() & 0o777, 0o700);
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    let refused = Log::open(&place.folder(), place.options());
    assert!(matches!(refused, Err(Error::KeyExposed { mode: 0o640, .. })));
    fs::remove_file(&path).unwrap();
    let refused = Log::open(&place.folder(), place.options());
    assert!(matches!(refused, Err(Error::KeyMissing { .. })));
    Place::filled(1).await.open();
}

#[tokio::test]
async fn a_folder_has_one_log_at_a_time_and_a_broken_one_is_not_continued() {
    let place = Place::filled(1).await;
    let log = place.open();
    let refused = Log::open(&place.folder(), place.options());
    assert!(matches!(refused, Err(Error::Busy { .. })));
    log.close().await.unwrap();
    let path = place.files().remove(0);
    let changed = fs::read_to_string(&path).unwrap().replace("checkpoint", "checkpoinT");
    fs::write(&path, changed).unwrap();
    let refused = Log::open(&place.folder(), place.options());
    assert!(matches!(refused, Err(Error::Broken(_))));
}

#[tokio::test]
async fn every_ten_thousand_records_are_signed() {
    let place = Place::new();
    let log = place.open();
    let mut tickets = Vec::new();
    for number in 0..12_000_u32 {
        tickets.push(log.note(entry(&number.to_string())).unwrap());
    }
    log.close().await.unwrap();
    let summary = place.verify().unwrap();
    assert!(summary.checkpoints >= 3);
    assert_eq!(summary.last, 12_000 + summary.checkpoints);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn concurrent_commits_and_notes_keep_the_chain() {
    let place = Place::new();
    let options = Options { rotate_bytes: 20_000, ..place.options() };
    let log = Log::open(&place.folder(), options).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..32 {
        let log = log.clone();
        tasks.spawn(async move {
            let mut seqs = Vec::new();
            for number in 0..20 {
                let entry = entry(&format!("{task}-{number}"));
                seqs.push(if task % 2 == 0 {
                    log.commit(entry).await.unwrap()
                } else {
                    log.note(entry).unwrap().written().await.unwrap()
                });
            }
            seqs
        });
    }
    let mut seqs = Vec::new();
    while let Some(of_task) = tasks.join_next().await {
        let of_task = of_task.unwrap();
        assert!(of_task.is_sorted());
        seqs.extend(of_task);
    }
    log.close().await.unwrap();
    seqs.sort_unstable();
    seqs.dedup();
    assert_eq!(seqs.len(), 640);
    let summary = place.verify().unwrap();
    assert!(summary.files > 1);
    for seq in [seqs[0], seqs[639]] {
        let found = find(&place.folder(), &Query::Seq(seq)).unwrap();
        assert_eq!(found[0]["seq"], seq);
    }
}

#[tokio::test]
async fn the_synced_position_goes_outside_and_a_lost_tail_is_recorded() {
    let place = Place::new();
    let told = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&told);
    let head_sink: HeadSink = Box::new(move |seq, hash| sink.lock().unwrap().push((seq, hash)));
    let options = Options { head_sink: Some(head_sink), ..place.options() };
    let log = Log::open(&place.folder(), options).unwrap();
    log.commit(entry("a")).await.unwrap();
    log.close().await.unwrap();
    let told = told.lock().unwrap().clone();
    assert!(told.is_sorted_by(|one, other| one.0 <= other.0));
    let head = *told.last().unwrap();
    assert_eq!(head.0, 3);
    verify(&place.folder(), &place.key(), Some(head)).unwrap();

    let path = place.files().remove(0);
    write_lines(&path, &lines(&path)[..1]);
    let options = Options { head: Some(head), ..place.options() };
    Log::open(&place.folder(), options).unwrap().close().await.unwrap();
    let notices = place.verify().unwrap().notices;
    assert!(notices[0].detail.starts_with("records are missing: 3 was synced"));
}

#[tokio::test]
async fn records_are_read_back() {
    let place = Place::rotated(5, Retain::Everything).await;
    let folder = place.folder();
    let seqs = |records: &[Value]| -> Vec<u64> {
        records.iter().map(|record| record["seq"].as_u64().unwrap()).collect()
    };
    let last = place.verify().unwrap().last;
    assert_eq!(seqs(&tail(&folder, 3).unwrap()), [last - 2, last - 1, last]);
    assert_eq!(tail(&folder, 0).unwrap().len(), 0);
    assert_eq!(seqs(&tail(&folder, 1000).unwrap()), (1..=last).collect::<Vec<_>>());
    let found = find(&folder, &Query::Request("r3".to_owned())).unwrap();
    assert_eq!(found.len(), 1);
    let seq = found[0]["seq"].as_u64().unwrap();
    assert_eq!(find(&folder, &Query::Seq(seq)).unwrap(), found);
    assert_eq!(find(&folder, &Query::Seq(last + 1)).unwrap().len(), 0);

    let mut follow = Follow::after(&folder, 2);
    let mut followed = Vec::new();
    loop {
        let records = follow.poll().unwrap();
        if records.is_empty() {
            break;
        }
        followed.extend(seqs(&records));
    }
    assert_eq!(followed, (3..=last).collect::<Vec<_>>());
    let options = Options { rotate_bytes: 1, ..place.options() };
    let log = Log::open(&folder, options).unwrap();
    let seq = log.commit(entry("new")).await.unwrap();
    log.close().await.unwrap();
    while followed.last() < Some(&seq) {
        followed.extend(seqs(&follow.next().await.unwrap()));
    }
    assert!(followed.is_sorted() && followed.contains(&seq));
}

#[test]
fn the_end_of_a_long_file_is_found() {
    let place = Place::new();
    let path = place.root.path().join("lines");
    let long = "y".repeat(200_000);
    fs::write(&path, format!("first\n{long}\nlast\ntorn")).unwrap();
    let take = |count| {
        let (lines, torn) = files::last_lines(&path, count).unwrap();
        (lines.iter().map(Vec::len).collect::<Vec<_>>(), torn)
    };
    assert_eq!(take(1), (vec![4], 4));
    assert_eq!(take(2), (vec![200_000, 4], 4));
    assert_eq!(take(3), (vec![5, 200_000, 4], 4));
    assert_eq!(take(9), (vec![5, 200_000, 4], 4));
}
