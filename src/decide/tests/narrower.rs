//! The narrower policy that a report of restraint suggests allows nothing that the policy does not.

use super::properties::{Asked, asked};
use super::*;
use crate::restraint::Counting;
use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::{Value, json};
use std::cell::RefCell;
use std::collections::BTreeMap;

const AGENT: &str = "staging-fixer";

/// Records of what passed, each a use of something else.
fn uses(policy: &Policy) -> Vec<Value> {
    let passed = |resource: &str, host: &str, operation: &str, effect: &str, credential: bool| {
        let mut record = json!({
            "kind": "request", "verdict": "allow", "agent": AGENT, "session": "s_1",
            "resource": resource, "host": host, "operations": [operation], "effects": [effect],
            "policy_digest": &*policy.digest,
        });
        if credential {
            record["credentials"] = json!([{ "name": "railway-staging-token", "slot": "x" }]);
        }
        record
    };
    let railway = "backboard.railway.com";
    vec![
        passed("railway-staging", railway, "query project", "read", true),
        passed("railway-staging", railway, "mutation variableUpsert", "write", true),
        passed("railway-staging", railway, "mutation deploymentRestart", "write", false),
        passed("railway-production", railway, "query project", "read", false),
        passed("staging-api", "api.staging.railway.app", "GET /x", "read", false),
        passed("docs", "docs.railway.com", "GET /x", "read", false),
        passed("packages", "pypi.org", "GET /x", "read", false),
        passed("model", "api.anthropic.com", "POST /v1/messages", "write", false),
    ]
}

/// The example with the suggested lines in the place of its own.
fn narrowed(suggestion: &[String]) -> String {
    let mut text = EXAMPLE.to_owned();
    let mut section = String::new();
    for line in suggestion {
        let bare = line.split("  # ").next().unwrap();
        if let Some(name) = bare.strip_prefix("  ").filter(|rest| !rest.starts_with(' ')) {
            section = format!("\n  {name}");
        } else if let Some((key, _)) = bare.split_once(": [") {
            let begin = text.find(&section).unwrap_or_else(|| panic!("{section}")) + 1;
            let at = begin + text[begin..].find(&format!("{key}: [")).unwrap();
            let end = at + text[at..].find('\n').unwrap();
            text.replace_range(at..end, bare);
        }
    }
    text
}

thread_local! {
    /// The example, and what its narrower policies compile to, by their texts.
    static POLICIES: RefCell<BTreeMap<String, Policy>> = const { RefCell::new(BTreeMap::new()) };
}

fn report(policy: &Policy, records: &[Value]) -> crate::restraint::Report {
    let mut counting = Counting::new(policy, AGENT).unwrap();
    for record in records {
        counting.take(record);
    }
    counting.report()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_suggestion_only_takes_away(used in subsequence((0..8).collect::<Vec<usize>>(), 1..8), asked in asked()) {
        POLICIES.with_borrow_mut(|policies| {
            let wide = EXAMPLE.to_owned();
            policies.entry(wide.clone()).or_insert_with(|| policy(|text| text));
            let suggestion = {
                let wide = &policies[&wide];
                let all = uses(wide);
                let records: Vec<Value> = used.iter().map(|at| all[*at].clone()).collect();
                report(wide, &records).suggestion
            };
            let text = narrowed(&suggestion);
            prop_assert_ne!(&text, &wide, "{:?}", suggestion);
            policies.entry(text.clone()).or_insert_with(|| policy(|_| text.clone()));
            let word = |asked: &Asked, text: &String| asked.word(&policies[text]);
            let (before, after) = (word(&asked, &wide), word(&asked, &text));
            prop_assert!(after >= before, "{:?} {:?}\n{}", before, after, suggestion.join("\n"));
            Ok(())
        })?;
    }
}

#[test]
fn what_is_counted_is_what_the_records_say() {
    let policy = policy(|text| text);
    let mut records = uses(&policy);
    let base = records[0].clone();
    let changed = |pairs: &[(&str, Value)]| {
        let mut record = base.clone();
        for (key, value) in pairs {
            record[*key] = value.clone();
        }
        record
    };
    let held =
        [("verdict", json!("hold")), ("hold", json!("h_1")), ("reason", json!("destructive"))];
    records.extend([
        // Another agent's, and what is no request.
        changed(&[("agent", json!("other"))]),
        changed(&[("kind", json!("outcome"))]),
        // One hold in two records, and its redemption.
        changed(&held),
        changed(&held),
        changed(&[("hold", json!("h_1"))]),
        // A refusal after many that have no record.
        changed(&[
            ("verdict", json!("deny")),
            ("reason", json!("out_of_scope")),
            ("resource", Value::Null),
            ("host", json!("example.com")),
            ("credentials", json!([{ "name": "foreign" }])),
            ("detail", json!("why; 41 refusals before this one have no record of their own")),
        ]),
        // From a version that did not say effects, under another policy.
        changed(&[("effects", Value::Null), ("policy_digest", json!("other"))]),
    ]);
    let report = report(&policy, &records);
    let requests = json!({
        "allowed": 10, "approved": 1, "held": 1, "denied": 1,
        "denied_unrecorded": 41, "unread": 1, "under_another_policy": 1,
    });
    assert_eq!(serde_json::to_value(report.requests).unwrap(), requests);
    let staging = report.resources.iter().find(|one| one.name == "railway-staging").unwrap();
    let times = |what: &str| {
        staging
            .entries
            .iter()
            .find(|used| used.what == what)
            .unwrap_or_else(|| panic!("{what}"))
            .times
    };
    // What names an operation outright goes before its class; what a person approved was counted when
    // it was held; what does not say its effect counts for no entry.
    assert_eq!((times("allow read"), times("allow write")), (1, 1));
    assert_eq!(times("allow mutation deploymentRestart"), 1);
    assert_eq!((staging.allowed, staging.held, staging.denied), (5, 1, 0));
    assert_eq!(report.credentials[0].times, 4);
    assert_eq!(report.other_credentials["foreign"], 1);
    assert_eq!(report.undeclared_hosts["example.com"], 1);
    assert_eq!(report.reasons["destructive"], 1);
    // Nothing used, nothing suggested; everything used, nothing but what others never called.
    assert!(self::report(&policy, &[]).suggestion.is_empty());
}
