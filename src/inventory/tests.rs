//! What counts of what was learned, for whom and for how long.

use super::*;
use crate::fingerprint::FingerprintKey;
use crate::policy::{Secrets, compile};
use std::path::Path;
use zeroize::Zeroizing;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const STAGING: &str = "bbbbbbbb-0000-4000-8000-000000000001";
const PRODUCTION: &str = "bbbbbbbb-0000-4000-8000-000000000002";
const DECLARED_VOLUME: &str = "dddddddd-0000-4000-8000-000000000001";
const VOLUME: &str = "dddddddd-0000-4000-8000-0000000000aa";

struct Nothing;

impl Secrets for Nothing {
    fn variable(&self, _name: &str) -> Option<Zeroizing<Vec<u8>>> {
        None
    }
    fn file(&self, _path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
        Err("no file".to_owned())
    }
    fn law(&self, _path: &Path) -> Result<String, String> {
        Err("no file".to_owned())
    }
}

/// The example policy: staging and production with an environment and a volume each.
fn policy() -> Policy {
    let text = include_str!("../../tests/fixtures/policy-example.yaml");
    let key = Arc::new(FingerprintKey::new(b"test"));
    compile(text, "policy.yaml", Path::new(""), &Nothing, &key).unwrap()
}

fn fact(thing: (&str, &str), owner: (&str, &str), shared: bool, agent: &str, at: i64) -> Fact {
    let lesson = Lesson {
        request_id: Arc::from("r_1"),
        operation: Arc::from("query project"),
        host: Arc::from("backboard.railway.com"),
        agent: Arc::from(agent),
        at,
    };
    Fact {
        service: Arc::from("railway"),
        taught: Taught {
            kind: Arc::from(thing.0),
            id: thing.1.to_owned(),
            owner_kind: Arc::from(owner.0),
            owner: owner.1.to_owned(),
            shared,
        },
        lesson: Arc::new(lesson),
    }
}

fn of(thing: (&str, &str), owner: (&str, &str)) -> Fact {
    fact(thing, owner, false, "a", 0)
}

fn learned(facts: Vec<Fact>) -> Inventory {
    let mut inventory = Inventory::default();
    assert!(inventory.learn(facts, 0).is_empty());
    inventory
}

/// The names of the owning resources, `?` behind those that may be some of several.
fn owners(inventory: &Inventory, now: i64, kind: Option<&str>, id: &str) -> Vec<String> {
    let policy = policy();
    let service = Arc::from("railway");
    let found = inventory.at(now).owners(&policy, &service, kind, id);
    let mut names: Vec<_> = found
        .iter()
        .map(|it| {
            let shared = if it.doubt.shared { "?" } else { "" };
            format!("{}{shared}", policy.resources[it.resource].name)
        })
        .collect();
    names.sort();
    names
}

fn of_volume(inventory: &Inventory) -> Vec<String> {
    owners(inventory, 1, Some("volume"), VOLUME)
}

#[test]
fn an_owner_counts_where_it_leads_to_a_declared_one() {
    let (volume, staging) = (("volume", VOLUME), ("environment", STAGING));
    let (service, project) = (("service", "s"), ("project", "p"));
    let chain = |links: usize| {
        let name = |at: usize| if at == 0 { VOLUME.to_owned() } else { format!("link{at}") };
        let kind = |at: usize| if at == 0 { "volume" } else { "project" };
        let mut facts: Vec<_> = (0..links - 1)
            .map(|at| of((kind(at), &name(at)), ("project", &name(at + 1))))
            .collect();
        facts.push(of((kind(links - 1), &name(links - 1)), staging));
        facts
    };
    let staging_only = &["railway-staging"][..];
    for (name, facts, expected) in [
        ("declared", vec![of(volume, staging)], staging_only),
        (
            "in capitals",
            vec![of(("volume", &VOLUME.to_uppercase()), ("environment", &STAGING.to_uppercase()))],
            staging_only,
        ),
        ("not declared", vec![of(volume, project)], &[]),
        ("of another kind", vec![of(("service", VOLUME), staging)], &[]),
        ("an owner of another kind", vec![of(volume, ("project", STAGING))], &[]),
        ("through another", vec![of(volume, service), of(service, staging)], staging_only),
        ("a chain that is not too long", chain(LONGEST_CHAIN), staging_only),
        ("a chain that is", chain(LONGEST_CHAIN + 1), &[]),
        ("a circle", vec![of(volume, service), of(service, volume)], &[]),
        ("of itself", vec![of(volume, volume)], &[]),
        // A declared volume is where it is declared, whatever was learned of it.
        (
            "through a declared one",
            vec![
                of(volume, ("volume", DECLARED_VOLUME)),
                of(("volume", DECLARED_VOLUME), ("environment", PRODUCTION)),
            ],
            staging_only,
        ),
        (
            "both own it",
            vec![of(volume, staging), of(volume, ("environment", PRODUCTION))],
            &["railway-production", "railway-staging"],
        ),
        ("some of several", vec![fact(volume, staging, true, "a", 0)], &["railway-staging?"]),
        (
            "shown whole as well",
            vec![fact(volume, staging, true, "a", 0), of(volume, service), of(service, staging)],
            staging_only,
        ),
        (
            "shared at the end",
            vec![of(volume, service), fact(service, staging, true, "a", 0)],
            &["railway-staging?"],
        ),
        (
            "shared on the way",
            vec![fact(volume, service, true, "a", 0), of(service, staging)],
            &["railway-staging?"],
        ),
    ] {
        assert_eq!(of_volume(&learned(facts)), expected, "{name}");
    }
}

#[test]
fn a_declared_id_is_never_contradicted() {
    let inventory = learned(vec![of(("volume", DECLARED_VOLUME), ("environment", PRODUCTION))]);
    for kind in [Some("volume"), None] {
        assert_eq!(owners(&inventory, 1, kind, DECLARED_VOLUME), [""; 0]);
    }
}

#[test]
fn an_id_without_a_kind_is_whatever_was_learned() {
    let inventory = learned(vec![of(("volume", VOLUME), ("environment", STAGING))]);
    assert_eq!(owners(&inventory, 1, None, VOLUME), ["railway-staging"]);
    assert_eq!(owners(&inventory, 1, Some("service"), VOLUME), [""; 0]);
}

#[test]
fn too_many_owners_are_no_certainty() {
    let owner = |at: usize| format!("e{at}");
    let facts = |count: usize| {
        let mut facts = vec![of(("volume", VOLUME), ("environment", STAGING))];
        facts.extend((0..count).map(|at| of(("volume", VOLUME), ("environment", &owner(at)))));
        facts
    };
    assert_eq!(of_volume(&learned(facts(MOST_LOOKED_AT - 1))), ["railway-staging"]);
    assert_eq!(of_volume(&learned(facts(MOST_LOOKED_AT))), [""; 0]);
}

#[test]
fn a_fact_counts_for_a_day() {
    let volume = ("volume", VOLUME);
    let mut inventory = learned(vec![fact(volume, ("environment", STAGING), false, "a", 0)]);
    for (now, counts) in [(0, true), (DAY - 1, true), (DAY, false), (5 - DAY, true), (-DAY, false)]
    {
        let found = owners(&inventory, now, Some("volume"), VOLUME);
        assert_eq!(!found.is_empty(), counts, "{now}");
        assert_eq!(!inventory.all(now).is_empty(), counts, "{now}");
        assert_eq!(!inventory.about(VOLUME, now).is_empty(), counts, "{now}");
    }
    // Seen again, it counts from then on.
    inventory.learn(vec![fact(volume, ("environment", STAGING), false, "b", DAY - 1)], DAY - 1);
    assert_eq!(owners(&inventory, DAY + 5, Some("volume"), VOLUME), ["railway-staging"]);
    assert_eq!(inventory.all(DAY).len(), 1, "it is one fact");
    // What has expired makes room.
    let other = fact(("volume", "other"), ("environment", STAGING), false, "b", 3 * DAY);
    let dropped = inventory.learn(vec![other], 3 * DAY);
    assert_eq!(dropped.len(), 1);
    assert_eq!(inventory.facts.len(), 1);
}

#[test]
fn what_is_fresh_is_not_learned_again() {
    let one = of(("volume", VOLUME), ("environment", STAGING));
    let inventory = learned(vec![one.clone()]);
    assert!(inventory.is_fresh(std::slice::from_ref(&one), HOUR - 1));
    assert!(!inventory.is_fresh(std::slice::from_ref(&one), HOUR));
    let other = of(("volume", VOLUME), ("environment", PRODUCTION));
    assert!(!inventory.is_fresh(&[one, other], 1));
}

#[test]
fn an_id_is_forgotten_by_kind_or_whole() {
    let staging = ("environment", STAGING);
    let facts = || vec![of(("volume", VOLUME), staging), of(("service", VOLUME), staging)];
    for (service, kind, gone) in [
        (Some("railway"), Some("volume"), 1),
        (Some("railway"), None, 2),
        (None, None, 2),
        (Some("github"), None, 0),
        (Some("railway"), Some("bucket"), 0),
    ] {
        let mut inventory = learned(facts());
        let forgotten = inventory.forget(service, kind, &VOLUME.to_uppercase());
        assert_eq!(forgotten.len(), gone, "{service:?} {kind:?}");
        assert_eq!(inventory.all(1).len(), 2 - gone);
    }
    // What belongs to it is another matter.
    let mut inventory = learned(facts());
    assert!(inventory.forget(None, None, STAGING).is_empty());
}

#[test]
fn the_oldest_of_the_loudest_goes() {
    let many = |agent: &'static str, count: usize, from: i64| {
        let at = move |at: usize| from + i64::try_from(at).unwrap();
        (0..count).map(move |n| {
            let id = format!("{agent}{n}");
            fact(("volume", &id), ("environment", STAGING), false, agent, at(n))
        })
    };
    // One agent may fill half of it, and makes nobody else's go.
    let mut inventory = Inventory::default();
    inventory.learn(many("quiet", 10, 0).collect(), 0);
    let dropped = inventory.learn(many("loud", MOST_OF_ONE + 5, 1_000).collect(), 0);
    let ids: HashSet<_> = dropped.iter().map(|fact| fact.taught.id.clone()).collect();
    assert_eq!(ids, (0..5).map(|n| format!("loud{n}")).collect());
    // Where all together have too many, the one with most gives way.
    inventory.learn(many("second", MOST_OF_ONE - 500, 50_000).collect(), 0);
    let dropped = inventory.learn(many("third", 495, 90_000).collect(), 0);
    assert_eq!(dropped.len(), 5);
    assert!(dropped.iter().all(|fact| &*fact.lesson.agent == "loud"), "{dropped:?}");
    assert_eq!(inventory.all(0).len(), MOST);
    assert!(inventory.all(0).iter().any(|fact| fact.taught.id == "quiet0"));
}

#[test]
fn a_span_is_told_as_people_read_it() {
    for (seconds, text) in [(0, "0 s"), (6, "6 s"), (119, "119 s"), (120, "2 min"), (7_200, "2 h")]
    {
        assert_eq!(told(Duration::from_secs(seconds)), text);
    }
}

#[test]
fn what_the_proxy_asked_itself_stays_doubtful_until_an_agent_lists_it() {
    let (volume, project, environment) =
        (("volume", VOLUME), ("project", "p"), ("environment", STAGING));
    let looked_up = |inventory: &Inventory| {
        let found = inventory.at(1).owners(&policy(), &Arc::from("railway"), None, VOLUME);
        found.iter().map(|owner| owner.doubt.looked_up).collect::<Vec<_>>()
    };
    // On whatever link of the way.
    for by in [[BUILT_IN, "a"], ["a", BUILT_IN]] {
        let chain =
            [fact(volume, project, false, by[0], 0), fact(project, environment, false, by[1], 0)];
        assert_eq!(looked_up(&learned(chain.to_vec())), [true], "{by:?}");
    }
    let mut inventory = learned(vec![fact(volume, environment, false, BUILT_IN, 0)]);
    assert_eq!(looked_up(&inventory), [true]);
    let listed = fact(volume, environment, false, "a", 0);
    assert!(
        !inventory.is_fresh(std::slice::from_ref(&listed), 0),
        "an agent's own listing is news"
    );
    inventory.learn(vec![listed], 0);
    assert_eq!(looked_up(&inventory), [false]);
    // Nor does another look-up take that back.
    inventory.learn(vec![fact(volume, environment, false, BUILT_IN, 1)], 1);
    assert_eq!(looked_up(&inventory), [false]);
}
