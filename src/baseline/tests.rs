//! Profiles, sums and records, as far as they concern more than one of them.

use super::*;
use crate::catalog::Effect;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::sync::Arc;

fn step(effect: Effect, host: &str, name: &str) -> Step {
    Step::new(&Arc::from(host), [(effect, &Arc::from(name))]).unwrap()
}

fn learned() -> Learned {
    Learned { agent: "a".to_owned(), requests: 0, records: (1, 2), verified: true }
}

fn of(steps: &[Step]) -> Profile {
    let mut profile = Profile::new("p");
    assert_eq!(profile.learn("s_1", learned(), steps), Ok(Added::Learned));
    profile
}

fn tallied(model: &Model, steps: &[Step]) -> (Tally, Arc<str>) {
    let (id, mut tally) = (Arc::from("s"), Tally::default());
    for step in steps {
        let surprise = model.surprise(step, tally.before(&id));
        tally.note(&id, &surprise);
    }
    (tally, id)
}

#[test]
fn a_profile_is_what_was_written_of_it() {
    let steps = [
        step(Effect::Read, "docs", "GET /x"),
        step(Effect::Write, "api", "mutation deploy"),
        step(Effect::Read, "docs", "GET /y"),
    ];
    let mut profile = of(&steps);
    let text = profile.text().unwrap();
    assert_eq!(Profile::parse(&text, "p"), Ok(profile.clone()));
    let value: Value = serde_json::from_str(&text).unwrap();
    let hosts = json!({
        "api": { "write": { "mutation deploy": 1 } },
        "docs": { "read": { "GET /**": 2 } },
    });
    assert_eq!(value["hosts"], hosts);
    let order = json!({
        "read docs": { "write api": 1 },
        "start": { "read docs": 1 },
        "write api": { "read docs": 1 },
    });
    assert_eq!(value["order"], order);
    // The same session counts once, another one adds.
    let before = profile.clone();
    assert_eq!(profile.learn("s_1", learned(), &steps), Ok(Added::Known));
    assert_eq!(profile, before);
    assert_eq!(profile.learn("s_2", learned(), &steps), Ok(Added::Learned));
    assert_eq!(profile.hosts["docs"][&Effect::Read]["GET /**"], 4);
    assert_eq!(profile.order["start"]["read docs"], 2);
}

#[test]
fn a_profile_is_bounded_and_stays_as_it_was() {
    let mut profile = of(&[step(Effect::Read, "docs", "GET /x")]);
    let before = profile.clone();
    let hosts: Vec<Step> =
        (0..1_001).map(|n| step(Effect::Read, &format!("h{n}"), "query a")).collect();
    let kinds: Vec<Step> =
        (0..10_001).map(|n| step(Effect::Read, "h", &format!("query q{n}"))).collect();
    for (steps, what) in [(hosts, "hosts"), (kinds, "kinds of operations")] {
        let refused = profile.learn("s_2", learned(), &steps).unwrap_err();
        assert!(matches!(refused, Error::Bound { what: told, .. } if told == what), "{refused}");
        assert_eq!(profile, before, "{what}");
    }
    let long = format!("\"{}\"", "x".repeat(5 << 20));
    assert!(matches!(Profile::parse(&long, "p"), Err(Error::Bound { what: "bytes", .. })));
}

#[test]
fn names_of_profiles_are_names_of_files() {
    for good in ["p", "coding-agent", "a.b_c-9"] {
        assert!(name_is_good(good), "{good}");
    }
    let long = "a".repeat(65);
    for bad in ["", ".", "..", ".x", "a/b", "a b", "a\0", "é", long.as_str()] {
        assert!(!name_is_good(bad), "{bad}");
    }
}

/// What a profile calls usual is what the session cost that it was learned from.
#[test]
fn the_usual_is_what_was_learned() {
    let read = step(Effect::Read, "docs", "GET /x");
    let write = step(Effect::Write, "api", "mutation deploy");
    let look = step(Effect::Read, "api", "query project");
    let steps = [read.clone(), read, look.clone(), write, look.clone(), look];
    let model = Model::from(&of(&steps));
    let (tally, id) = tallied(&model, &steps);
    let report = tally.report(&id, "p", &model);
    assert_eq!(report["requests"], 6);
    assert_eq!(report["bits"]["mean"], report["bits"]["usual_mean"], "{report}");
}

#[test]
fn what_is_told_is_beyond_the_usual_and_adds_up() {
    let mut usual = vec![step(Effect::Read, "docs", "GET /x"); 100];
    usual.extend(vec![step(Effect::Read, "api", "query project"); 100]);
    let model = Model::from(&of(&usual));
    let odd = step(Effect::Destructive, "api.github.com", "DELETE /repos/{owner}/{repo}");
    let mut steps = usual.clone();
    steps.extend(vec![odd; 3]);
    let (tally, id) = tallied(&model, &steps);
    let told = tally.told();
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[0].starts_with("3 destructive calls to api.github.com, never seen, ")
            && told[0].ends_with(" bits each"),
        "{told:?}"
    );
    assert!(told[1].starts_with("3 calls to api.github.com, never seen, "), "{told:?}");
    let report = tally.report(&id, "p", &model);
    let features = report["features"].as_object().unwrap().values();
    let sum: f64 = features.map(|feature| feature["total"].as_f64().unwrap()).sum();
    assert!((sum - report["bits"]["total"].as_f64().unwrap()).abs() < 0.5, "{report}");
    // Another session begins with nothing.
    let other = Arc::from("s_other");
    assert_eq!(tally.before(&other), None);
    assert_eq!(tally.report(&other, "p", &model)["requests"], 0);
}

#[test]
fn a_session_takes_bounded_memory() {
    let model = Model::from(&of(&vec![step(Effect::Read, "docs", "GET /x"); 50]));
    let mut steps: Vec<Step> =
        (0..2_000).map(|n| step(Effect::Write, &format!("h{n}"), "mutation x")).collect();
    steps.extend(vec![step(Effect::Access, "docs", "POST /members"); 500]);
    let (tally, _) = tallied(&model, &steps);
    assert_eq!(tally.requests(), 2_500);
    assert!(format!("{tally:?}").len() < 64 << 10);
}

/// Records of whatever form say what they say, or that they do not.
#[test]
fn records_are_read_as_far_as_they_say_it() {
    let good = json!({
        "kind": "request", "verdict": "allow", "host": "h", "session": "s", "agent": "a", "seq": 7,
        "operations": ["query a", "mutation b"], "effects": ["read", "destructive"],
    });
    let Some(Asked::Passed(passed)) = Asked::of(&good) else { panic!("it passed") };
    assert_eq!((passed.acts().len(), passed.effect()), (2, Effect::Destructive));
    let changed = |key: &str, value: Value| {
        let mut record = good.clone();
        record[key] = value;
        record
    };
    let cases = [
        (changed("verdict", json!("hold")), Some(Asked::Held)),
        (changed("verdict", json!("deny")), Some(Asked::Denied)),
        (changed("verdict", json!("maybe")), Some(Asked::Unread)),
        (changed("verdict", json!(null)), Some(Asked::Unread)),
        (changed("effects", json!(["read"])), Some(Asked::Unread)),
        (changed("effects", json!(["read", "mild"])), Some(Asked::Unread)),
        (changed("effects", json!(null)), Some(Asked::Unread)),
        (changed("operations", json!([1, 2])), Some(Asked::Unread)),
        (changed("host", json!({})), Some(Asked::Unread)),
        (changed("kind", json!("outcome")), None),
        (json!("a line that is no record"), None),
        (json!([]), None),
    ];
    let mut reading = Reading::default();
    for (record, expected) in cases {
        assert_eq!(Asked::of(&record), expected, "{record}");
        reading.take(&record, "s");
    }
    reading.take(&changed("session", json!("other")), "s");
    assert_eq!((reading.steps.len(), reading.held, reading.denied, reading.unread), (0, 1, 1, 7));
    assert_eq!((reading.agent.as_deref(), reading.records), (Some("a"), Some((7, 7))));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever was learned, a part has a finite number of bits, and a step costs no less after another.
    #[test]
    fn bits_are_finite_and_order_only_adds(
        learned in proptest::collection::vec((0..7_usize, 0..4_u8, 0..4_u8), 0..80),
        (effect, host, kind) in (0..7_usize, 0..5_u8, 0..5_u8),
        before in proptest::option::of((0..7_usize, 0..5_u8)),
    ) {
        let made = |(effect, host, kind): (usize, u8, u8)| {
            step(Effect::ALL[effect], &format!("h{host}"), &format!("query q{kind}"))
        };
        let steps: Vec<Step> = learned.into_iter().map(made).collect();
        let model = Model::from(&of(&steps));
        let asked = made((effect, host, kind));
        let before = before.map(|(effect, host)| made((effect, host, 0)).as_before());
        let surprise = model.surprise(&asked, before.as_ref());
        prop_assert!(surprise.parts.iter().all(|part| part.millibits <= 64_000));
        let of = |surprise: &Surprise| -> Vec<(Feature, u32)> {
            let parts = surprise.parts.iter().map(|part| (part.subject.feature(), part.millibits));
            parts.filter(|(feature, _)| *feature != Feature::Order).collect()
        };
        prop_assert_eq!(of(&surprise), of(&model.surprise(&asked, None)));
        prop_assert!(surprise.told().len() <= 3);
    }
}
