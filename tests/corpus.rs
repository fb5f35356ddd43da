//! What fuzzing made up, replayed: every target's properties hold for its committed corpus.

#[allow(clippy::pedantic, unreachable_pub, reason = "it is a crate of its own, with its own lints")]
#[path = "../fuzz/src/lib.rs"]
pub(crate) mod targets;

use std::collections::BTreeSet;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(folder);
    let entries = folder.read_dir().unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    entries.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn every_property_holds_for_its_corpus() {
    let mut broken = Vec::new();
    for (name, property) in targets::TARGETS {
        let seeds = files(&format!("corpus/{name}"));
        assert!(seeds.len() >= 10, "{name} has no corpus to speak of");
        for seed in seeds {
            let bytes = std::fs::read(&seed).unwrap();
            if catch_unwind(|| property(&bytes)).is_err() {
                broken.push(seed);
            }
        }
    }
    assert!(broken.is_empty(), "properties do not hold for {broken:?}");
}

#[test]
fn every_target_is_fuzzed_and_replayed() {
    let stem = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let names: BTreeSet<String> = targets::TARGETS.iter().map(|(name, _)| (*name).into()).collect();
    for folder in ["fuzz_targets", "corpus"] {
        assert_eq!(files(folder).into_iter().map(stem).collect::<BTreeSet<_>>(), names, "{folder}");
    }
}
