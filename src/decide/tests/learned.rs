//! Verdicts on ids that were learned: the tables, and that a learned owner never makes a verdict milder
//! than a declared one would.

use super::*;
use crate::catalog::Effect;
use crate::inspect::answer::Taught;
use crate::inventory::{Fact, Inventory, Lesson};
use crate::message::{Body, Message};
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::OnceLock;

const LEARNED: &str = "dddddddd-0000-4000-8000-0000000000aa";
const NEVER_SEEN: &str = "dddddddd-0000-4000-8000-00000000ffff";

/// The learned thing of a kind belongs to these environments.
fn inventory(kind: &str, owners: &[&str], shared: bool) -> Inventory {
    let lesson = Arc::new(Lesson {
        request_id: Arc::from("r_1"),
        operation: Arc::from("query project"),
        host: Arc::from("backboard.railway.com"),
        agent: Arc::from("staging-fixer"),
        at: 0,
    });
    let facts = owners.iter().map(|owner| Fact {
        service: Arc::from("railway"),
        taught: Taught {
            kind: Arc::from(kind),
            id: LEARNED.to_owned(),
            owner_kind: Arc::from("environment"),
            owner: (*owner).to_owned(),
            shared,
        },
        lesson: lesson.clone(),
    });
    let mut inventory = Inventory::default();
    inventory.learn(facts.collect(), 0);
    inventory
}

fn judged(policy: &Policy, inventory: &Inventory, document: &str) -> Ruling {
    let head = crate::message::tests::head(
        "POST",
        "https://backboard.railway.com/graphql/v2",
        &[("authorization", &format!("Bearer {ISSUED}"))],
    );
    let body = serde_json::json!({ "query": document }).to_string();
    let message = Message::<()>::new(head.unwrap(), Body::Whole(bytes::Bytes::from(body)));
    let (_, agent) = policy.agent("staging-fixer").unwrap();
    let catalog = policy.resources[0].catalog().unwrap();
    let request = crate::inspect::request(message, Some(catalog), &policy.fingerprints, None);
    let standing = Standing::default();
    let inventory = inventory.at(6_000);
    let verdict = decide(
        request,
        &Context {
            policy,
            agent,
            standing: &standing,
            inventory,
            grant: None,
            past: Past::NOTHING,
            before: None,
        },
    );
    match verdict {
        Verdict::Allow(permit) => *permit.into_message().1,
        Verdict::Hold(held) => *held.into_request().1,
        Verdict::Deny(denied) => *denied.ruling,
    }
}

const DELETE: &str = "mutation { volumeDelete(volumeId: \"ID\") }";
const UPDATE: &str = "mutation { volumeUpdate(volumeId: \"ID\", input: { name: \"x\" }) { id } }";
const READ: &str = "{ volumeInstance(id: \"ID\") { id } }";
const RESTART: &str = "mutation { deploymentRestart(id: \"ID\") }";
const STOP: &str = "mutation { deploymentStop(id: \"ID\") }";
const UNKNOWN: &str = "mutation { nobodyKnowsThis(id: \"ID\") }";

#[test]
fn a_learned_owner_judges_as_far_as_it_may() {
    use Word::{Allow, Deny, Hold};
    let policy = policy(|text| text);
    let (staging, production) = (&[STAGING][..], &[PRODUCTION][..]);
    let both = &[STAGING, PRODUCTION][..];
    let foreign = "credential_out_of_scope";
    for (document, kind, owners, shared, word, reason) in [
        // The incident's trap, and what an agent has to be able to do all day.
        (DELETE, "volume", production, true, Deny, foreign),
        (DELETE, "volume", staging, true, Hold, "destructive"),
        (DELETE, "volume", staging, false, Hold, "destructive"),
        (DELETE, "volume", both, true, Deny, foreign),
        (DELETE, "volume", &[], false, Hold, "unknown_target"),
        (DELETE, "service", staging, false, Hold, "unknown_target"),
        (RESTART, "deployment", staging, false, Allow, ""),
        (RESTART, "deployment", production, false, Deny, foreign),
        (RESTART, "deployment", &[], false, Hold, "unknown_target"),
        (UPDATE, "volume", staging, false, Allow, ""),
        // Seen in staging, it may be in production as well.
        (UPDATE, "volume", staging, true, Hold, "unknown_target"),
        (UPDATE, "volume", both, true, Deny, foreign),
        (READ, "volume_instance", staging, false, Allow, ""),
        (READ, "volume_instance", production, false, Deny, foreign),
        (READ, "volume_instance", &[], false, Allow, ""),
        // What nobody knows the effect of is of everybody, as if nothing had been learned.
        (UNKNOWN, "volume", staging, false, Deny, foreign),
        (UNKNOWN, "volume", &[], false, Deny, foreign),
    ] {
        let document = document.replace("ID", LEARNED);
        let ruling = judged(&policy, &inventory(kind, owners, shared), &document);
        let told = ruling.reason.map(Reason::as_str).unwrap_or_default();
        assert_eq!((ruling.word, told), (word, reason), "{document} {owners:?} {shared}");
    }
}

#[test]
fn what_is_stronger_than_a_write_waits_although_its_owner_allows_it() {
    let policy = example();
    let learned = inventory("deployment", &[STAGING], false);
    let spec = policy.resources[0].catalog().unwrap().graphql.as_ref().unwrap();
    let stop = &spec.operations["mutation deploymentStop"];
    assert!(stop.effect > Effect::Write, "{stop:?}");
    let ruling = judged(policy, &learned, &STOP.replace("ID", LEARNED));
    assert_eq!(ruling.word, Word::Hold);
    // The same, declared.
    let declared = super::policy(|text| {
        let ids = format!("      volume: [{STAGING_VOLUME}]\n");
        let more = format!("{ids}      deployment: [{LEARNED}]\n");
        stopping(&text).replacen(&ids, &more, 1)
    });
    let ruling = judged(&declared, &learned, &STOP.replace("ID", LEARNED));
    assert_eq!(ruling.word, Word::Allow, "{ruling:?}");
}

#[test]
fn a_target_says_where_it_was_learned() {
    let policy = policy(|text| text);
    let document = DELETE.replace("ID", LEARNED);
    let ruling = judged(&policy, &inventory("volume", &[STAGING], true), &document);
    let [target] = &ruling.targets[..] else { panic!("{ruling:?}") };
    let learned = target.learned.as_ref().unwrap();
    assert_eq!(target.environment.as_deref(), Some("staging"));
    assert_eq!(learned.ago, std::time::Duration::from_secs(6));
    assert_eq!((&*learned.operation, &*learned.request_id), ("query project", "r_1"));
    assert!(learned.shared);
    // A declared one was not learned, whatever answers said.
    let ruling = judged(
        &policy,
        &inventory("volume", &[PRODUCTION], true),
        &DELETE.replace("ID", STAGING_VOLUME),
    );
    assert_eq!((ruling.word, ruling.targets[0].learned.as_ref()), (Word::Hold, None));
}

/// The example in which staging lets a deployment be stopped without a person.
fn stopping(text: &str) -> String {
    let allow = "    allow: [read, write, mutation deploymentRestart]";
    assert_eq!(text.matches(allow).count(), 1);
    text.replacen(allow, "    allow: [read, write, mutation deploymentStop]", 1)
}

fn example() -> &'static Policy {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    POLICY.get_or_init(|| policy(|text| stopping(&text)))
}

const KINDS: [&str; 4] = ["volume", "volume_instance", "deployment", "service"];
const OWNERS: [&[&str]; 4] = [&[], &[STAGING], &[PRODUCTION], &[STAGING, PRODUCTION]];

/// The same in which the resources of these environments declare the learned id.
fn declaring(kind: &str, owners: &[&str]) -> &'static Policy {
    static POLICIES: OnceLock<Vec<Policy>> = OnceLock::new();
    let one = |kind: &str, owners: &[&str]| {
        policy(|text| {
            let mut text = stopping(&text);
            for (owner, volume) in [(STAGING, STAGING_VOLUME), (PRODUCTION, PRODUCTION_VOLUME)] {
                let ids = format!("      volume: [{volume}]\n");
                assert_eq!(text.matches(&ids).count(), 1);
                let more = match kind {
                    _ if !owners.contains(&owner) => continue,
                    "volume" => format!("      volume: [{volume}, {LEARNED}]\n"),
                    other => format!("{ids}      {other}: [{LEARNED}]\n"),
                };
                text = text.replacen(&ids, &more, 1);
            }
            text
        })
    };
    let all = POLICIES.get_or_init(|| {
        KINDS.iter().flat_map(|kind| OWNERS.iter().map(|owners| one(kind, owners))).collect()
    });
    let kind = KINDS.iter().position(|known| *known == kind).unwrap();
    &all[kind * OWNERS.len() + OWNERS.iter().position(|known| *known == owners).unwrap()]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// A learned id is judged no milder than if its owners had declared it, and no call that does more
    /// than write passes for what was learned.
    #[test]
    fn a_learned_owner_is_no_milder_than_a_declared_one(
        calls in prop::collection::vec(
            (select(vec![DELETE, UPDATE, READ, RESTART, STOP, STOP, UNKNOWN,
                "mutation { serviceDelete(id: \"ID\") }",
                "mutation { serviceUpdate(id: \"ID\", input: { name: \"x\" }) { id } }",
                "mutation { volumeInstanceUpdate(volumeId: \"ID\", input: { mountPath: \"/\" }) }",
                "query { me { email } }",
            ]), select(vec![LEARNED, LEARNED, STAGING_VOLUME, PRODUCTION_VOLUME, NEVER_SEEN])),
            1..3,
        ),
        // Those for which the lists would let the most pass come most often.
        kind in prop_oneof![Just("deployment"), select(KINDS.to_vec())],
        owners in prop_oneof![Just(OWNERS[1]), select(OWNERS.to_vec())],
        shared in any::<bool>(),
    ) {
        let operation = if calls.iter().all(|(call, _)| !call.starts_with("mutation")) { "query" } else { "mutation" };
        let calls: Vec<_> = calls
            .iter()
            .filter(|(call, _)| call.starts_with("mutation") == (operation == "mutation"))
            .enumerate()
            .map(|(at, (call, id))| {
                let (_, call) = call.split_once('{').unwrap();
                format!("a{at}: {}", call.trim_end_matches('}').trim().replace("ID", id))
            })
            .map(|call| {
                let open = call.matches('{').count() - call.matches('}').count();
                format!("{call}{}", "}".repeat(open))
            })
            .collect();
        let document = format!("{operation} {{ {} }}", calls.join(" "));
        let learned = judged(example(), &inventory(kind, owners, shared), &document);
        let declared = judged(declaring(kind, owners), &Inventory::default(), &document);
        let readable = |ruling: &Ruling| ruling.findings.iter().all(|it| it.reason != Reason::Unreadable);
        prop_assert!(readable(&learned), "{document}");
        prop_assert!(learned.word >= declared.word, "{document}: {learned:?}\n{declared:?}");
        let stronger = |operation: &Operation| operation.effect > Effect::Write
            && operation.decides.iter().any(|id| id.value == LEARNED);
        if learned.operations.iter().any(stronger) {
            prop_assert!(learned.word >= Word::Hold, "{document}: {learned:?}");
        }
    }
}
