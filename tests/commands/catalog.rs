//! `holdgate catalog`: what is known of services, and a catalog of one's own.

use super::{folder_with, given, json_of, printed, said};
use std::path::Path;

const OWN: &str = "service: notes
title: Notes
kind: api
hosts: [notes.test]
slots: [header authorization]
kinds: [notebook]
rest:
  - { operation: 'GET /notebooks/{notebook}', effect: read, decides: { notebook: notebook } }
  - operation: 'POST /notebooks/{notebook}/clear'
    effect: write
    decides: { notebook: notebook }
    when:
      - { argument: body.forever, is: true, effect: destructive, reversibility: irreversible, note: also from the bin }
examples:
  - request: \"POST https://notes.test/notebooks/n1/clear\\nContent-Type: application/json\\n\\n{\\\"forever\\\": true}\"
    operations: ['POST /notebooks/{notebook}/clear']
    effect: destructive
    reversibility: irreversible
    targets: { notebook: [n1] }
";

const POLICY: &str = "version: 1
catalogs: [notes.yaml]
agents:
  writer: { resources: [mine] }
resources:
  mine:
    service: notes
    environment: staging
    ids: { notebook: [n1] }
    allow: [read, write]
    hold: [destructive]
";

/// A folder with a policy and the catalog that it brings.
fn own(catalog: &str) -> tempfile::TempDir {
    let folder = folder_with(POLICY);
    std::fs::write(folder.path().join("notes.yaml"), catalog).unwrap();
    folder
}

fn lint(folder: &Path) -> (bool, String) {
    let output = given(folder, &["catalog", "lint", "notes.yaml"], b"");
    (output.status.success(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_policy_brings_a_catalog_of_its_own() {
    let folder = own(OWN);
    let (good, told) = lint(folder.path());
    assert!(good && told.contains("1 examples hold, 0 do not"), "{told}");
    let explain = |body: &str, notebook: &str| {
        let request = format!(
            "POST https://notes.test/notebooks/{notebook}/clear\nContent-Type: application/json\n\n{body}"
        );
        json_of(&given(folder.path(), &["policy", "explain", "-", "--json"], request.as_bytes()))
    };
    let cases = [
        ("{\"forever\": false}", "n1", "allow", "write", "reversible"),
        ("{\"forever\": true}", "n1", "hold", "destructive", "irreversible"),
        ("{\"forever\": \"maybe\"}", "n1", "hold", "destructive", "irreversible"),
        ("{}", "n2", "hold", "write", "reversible"),
    ];
    for (body, notebook, verdict, effect, reversibility) in cases {
        let told = explain(body, notebook);
        assert_eq!(told["verdict"], verdict, "{body}: {told}");
        let operation = &told["operations"][0];
        assert_eq!(operation["name"], "POST /notebooks/{notebook}/clear");
        assert_eq!(
            (&operation["effect"], &operation["reversibility"]),
            (&effect.into(), &reversibility.into()),
            "{body}"
        );
        assert_eq!(told["targets"][0]["id"], notebook, "{told}");
    }
    // The law has changed when the catalog has.
    let digest = |folder: &Path| {
        json_of(&given(folder, &["policy", "check", "--json"], b""))["digest"].clone()
    };
    assert_ne!(digest(folder.path()), digest(own(&OWN.replace("Notes", "Other notes")).path()));
}

#[test]
fn an_example_that_does_not_hold_is_told() {
    let folder = own(&OWN.replace(
        "effect: destructive\n    reversibility: irreversible\n    targets",
        "effect: write\n    targets",
    ));
    let (good, told) = lint(folder.path());
    assert!(!good && told.contains("does not hold") && told.contains("Destructive"), "{told}");
}

#[test]
fn a_catalog_that_cannot_be_read_is_a_problem_of_the_policy() {
    let cases = [
        (OWN.replace("kind: api", "kind: apis"), "unknown variant"),
        (
            OWN.replace("notebook: notebook }\n    when", "book: notebook }\n    when"),
            "no parameter `book`",
        ),
        (OWN.replace("is: true, effect", "effect"), "exactly one of `is`"),
        (OWN.replace("[notes.test]", "['*']"), "it is no host"),
    ];
    for (catalog, why) in cases {
        let output = given(own(&catalog).path(), &["policy", "check"], b"");
        assert_eq!(output.status.code(), Some(2), "{why}");
        let told = said(&output);
        assert!(told.contains(why) && told.contains("policy.yaml:2"), "{why}: {told}");
    }
    let others = own(OWN);
    let path = others.path().join("notes.yaml");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666)).unwrap();
    let told = said(&given(others.path(), &["policy", "check"], b""));
    assert!(told.contains("may be written by others"), "{told}");
}

#[test]
fn the_catalogs_are_listed_shown_and_hold() {
    let folder = tempfile::tempdir().unwrap();
    let list = json_of(&given(folder.path(), &["catalog", "list", "--json"], b""));
    let names: Vec<&str> =
        list.as_array().unwrap().iter().map(|one| one["service"].as_str().unwrap()).collect();
    assert!(names.contains(&"railway") && names.contains(&"anthropic"), "{names:?}");
    let shown = printed(given(
        folder.path(),
        &["catalog", "show", "railway", "mutation volumeDelete"],
        b"",
    ));
    for word in ["mutation volumeDelete (destructive, irreversible)", "volume at volumeId"] {
        assert!(shown.contains(word), "{shown}");
    }
    let lint = given(folder.path(), &["catalog", "lint"], b"");
    assert!(lint.status.success(), "{}", String::from_utf8_lossy(&lint.stdout));
    let coverage = printed(given(folder.path(), &["catalog", "coverage"], b""));
    for line in ["mutation      233 of 233 (100 percent)", "query         158 of 158 (100 percent)"]
    {
        assert!(coverage.contains(line), "{coverage}");
    }
    assert_eq!(given(folder.path(), &["catalog", "coverage", "npm"], b"").status.code(), Some(2));
    for arguments in [["catalog", "show", "nothing"], ["catalog", "lint", "nothing.yaml"]] {
        assert_eq!(given(folder.path(), &arguments, b"").status.code(), Some(2));
    }
}
