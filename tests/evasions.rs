//! The evasion table of `docs/security.md`: which test covers which case, and what no test covers.
//!
//! The tests are found by the ids that stand in their names, rows and comments. The part of the page
//! between its marks is made from that; `HOLDGATE_WRITE_DOCS` writes it. Every id needs a test, or an
//! argument why it has none.

mod cases;

use cases::CASES;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const BEGIN: &str = "<!-- evasions: made by tests/evasions.rs -->\n";
const END: &str = "<!-- end of evasions -->\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|kind| kind == "rs") {
            found.push(path);
        }
    }
}

/// The ids in a text, ranges such as `E-01 to E-13` among them by both ends.
fn ids(text: &str) -> BTreeSet<String> {
    let bytes = text.as_bytes();
    let is_id = |at: usize| {
        let window = &bytes[at..at + 4];
        let before = at.checked_sub(1).map_or(b' ', |before| bytes[before]);
        let behind = bytes.get(at + 4).copied().unwrap_or(b' ');
        window[0].is_ascii_uppercase()
            && window[1] == b'-'
            && window[2..].iter().all(u8::is_ascii_digit)
            && !before.is_ascii_alphanumeric()
            && !behind.is_ascii_alphanumeric()
    };
    (0..bytes.len().saturating_sub(3))
        .filter(|at| is_id(*at))
        .map(|at| text[at..at + 4].to_owned())
        .collect()
}

/// For each id the files of tests that name it.
fn named() -> BTreeMap<String, BTreeSet<String>> {
    let mut files = Vec::new();
    for folder in ["tests", "src"] {
        sources(&root().join(folder), &mut files);
    }
    let mut named: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for path in files {
        let shown = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
        if shown.starts_with("tests/evasions") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        for id in ids(&text) {
            named.entry(id).or_default().insert(shown.clone());
        }
    }
    named
}

fn table() -> String {
    let named = named();
    let mut table = String::from(
        "| case | an agent, or what it reaches, tries | covered by |\n|---|---|---|\n",
    );
    for (id, what, argument) in CASES {
        let tests = named.get(*id).into_iter().flatten().map(|file| format!("`{file}`"));
        let tests = tests.collect::<Vec<_>>().join(", ");
        let covered = argument.filter(|_| tests.is_empty()).map_or(tests, str::to_owned);
        writeln!(table, "| {id} | {what} | {covered} |").unwrap();
    }
    table
}

#[test]
fn every_case_has_a_test_or_an_argument() {
    let named = named();
    let mut unnamed = Vec::new();
    let mut argued = Vec::new();
    for (id, what, argument) in CASES {
        match (named.contains_key(*id), argument) {
            (true, _) => {}
            (false, Some(argument)) => argued.push(format!("{id} {what}: {argument}")),
            (false, None) => unnamed.push(format!("{id} {what}")),
        }
    }
    // What `.ci/evasions` shows.
    eprintln!("cases that no test names: {}", unnamed.len() + argued.len());
    for line in &argued {
        eprintln!("argued: {line}");
    }
    assert!(unnamed.is_empty(), "no test names these:\n{}", unnamed.join("\n"));
    // What is argued is no evasion that a proxy could see; a new one has to be thought about.
    assert!(argued.len() <= 45, "argued:\n{}", argued.join("\n"));
    let known: BTreeSet<&str> = CASES.iter().map(|(id, ..)| *id).collect();
    assert_eq!(known.len(), CASES.len(), "an id stands there twice");
}

#[test]
fn the_table_of_the_page_is_this_one() {
    let path = root().join("docs/security.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once(BEGIN).expect("the page has the mark of its table");
    let (written, behind) = rest.split_once(END).expect("the table has an end");
    let made = format!("\n{}\n", table());
    if std::env::var_os("HOLDGATE_WRITE_DOCS").is_some() {
        std::fs::write(&path, format!("{before}{BEGIN}{made}{END}{behind}")).unwrap();
        return;
    }
    assert!(written == made, "docs/security.md is not the table: run with HOLDGATE_WRITE_DOCS=1");
}
