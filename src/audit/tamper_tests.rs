//! Each way to change a log that was written: `verify` names the first record that is wrong.

use std::fs;

use super::chain::{check, seal};
use super::record::Parts;
use super::tests::{Place, entry, lines, write_lines};
use super::*;

#[tokio::test]
async fn every_changed_byte_is_noticed() {
    let place = Place::rotated(2, Retain::Everything).await;
    assert!(place.files().len() > 1);
    place.verify().unwrap();
    for path in place.files() {
        let good = fs::read(&path).unwrap();
        for index in 0..good.len() {
            for flip in [0x01, 0x20] {
                let mut bad = good.clone();
                bad[index] ^= flip;
                // The final newline is not given the time that a log being written gets.
                fs::write(&path, &bad).unwrap();
                assert!(place.verify().is_err(), "{} byte {index}", path.display());
            }
        }
        fs::write(&path, &good).unwrap();
    }
    place.verify().unwrap();
}

///
#[tokio::test]
async fn each_way_to_edit_a_log_is_named() {
    let place = Place::filled(4).await;
    let path = place.files().remove(0);
    let good = lines(&path);
    let head = place.verify().unwrap();
    let swapped = {
        let mut lines = good.clone();
        lines.swap(1, 2);
        lines
    };
    let doubled = [&good[..2], &good[1..]].concat();
    let spaced = [&good[..1], &[good[1].replace(":2,", ": 2,")], &good[2..]].concat();
    let cases: [(&str, Vec<String>, u64, &str); 7] = [
        ("first deleted", good[1..].to_vec(), 1, "the file's name says"),
        ("middle deleted", [&good[..2], &good[3..]].concat(), 3, "expected record 3"),
        ("last deleted", good[..5].to_vec(), 0, "ends before record 6"),
        ("swapped", swapped, 2, "expected record 2"),
        ("doubled", doubled, 3, "expected record 3"),
        ("another spelling", spaced, 2, "not canonical"),
        ("all deleted", Vec::new(), 1, "no records"),
    ];
    for (name, lines, line, why) in cases {
        write_lines(&path, &lines);
        let broken =
            verify(&place.folder(), &place.key(), Some((head.last, head.hash))).unwrap_err();
        assert_eq!(broken.line, line, "{name}: {broken}");
        assert!(broken.to_string().contains(why), "{name}: {broken}");
    }
    fs::remove_file(&path).unwrap();
    let broken = verify(&place.folder(), &place.key(), Some((head.last, head.hash))).unwrap_err();
    assert!(matches!(broken.why, Why::Short { seq: 6 }));
}

#[tokio::test]
async fn a_chain_made_anew_without_the_key_is_noticed() {
    let place = Place::filled(3).await;
    let forged = Place::filled(3).await;
    let key = place.key();
    let broken = verify(&forged.folder(), &key, None).unwrap_err();
    assert!(matches!(broken.why, Why::Signature));

    // After the last checkpoint only the position outside proves anything.
    let path = place.files().remove(0);
    let mut tail = lines(&path);
    tail.pop();
    let honest = tail.pop().unwrap();
    let honest = check(honest.as_bytes(), &key).ok().unwrap();
    let (mut parts, mut line) = (Parts::default(), Vec::new());
    entry("another").write(honest.seq, &honest.prev, &mut parts);
    seal(&parts, &mut line);
    line.pop();
    tail.push(String::from_utf8(line).unwrap());
    write_lines(&path, &tail);
    assert_eq!(verify(&place.folder(), &key, None).unwrap().unsigned, 3);
    let broken = verify(&place.folder(), &key, Some((honest.seq, honest.hash))).unwrap_err();
    assert!(matches!(broken.why, Why::Head));
}

#[tokio::test]
async fn a_gap_between_files_is_noticed() {
    let place = Place::rotated(4, Retain::Everything).await;
    let files = place.files();
    assert_eq!(files.len(), 5);
    for (index, why) in [(0, "no signed checkpoint"), (2, "expected record"), (4, "ends before")] {
        let head = place.verify().unwrap();
        let away = place.root.path().join("away");
        fs::rename(&files[index], &away).unwrap();
        let broken =
            verify(&place.folder(), &place.key(), Some((head.last, head.hash))).unwrap_err();
        assert!(broken.to_string().contains(why), "{index}: {broken}");
        fs::rename(&away, &files[index]).unwrap();
    }
    fs::write(place.folder().join("audit-1.jsonl"), "").unwrap();
    assert!(matches!(place.verify().unwrap_err().why, Why::Strange));
}
