//! The inventory of a process beside its store: order, restarts, and answers that come late.

use super::*;
use crate::inventory::EXPIRES;

const VOLUME: &str = "dddddddd-0000-4000-8000-0000000000aa";

fn taught(id: &str, owner: &str) -> Taught {
    Taught {
        kind: Arc::from("volume"),
        id: id.to_owned(),
        owner_kind: Arc::from("environment"),
        owner: owner.to_owned(),
        shared: true,
    }
}

fn lesson(at: i64) -> Arc<Lesson> {
    Arc::new(Lesson {
        request_id: Arc::from("r_1"),
        operation: Arc::from("query project"),
        host: Arc::from("backboard.railway.com"),
        agent: Arc::from("a"),
        at,
    })
}

fn identity(kind: Option<&str>, id: &str) -> Identity {
    Identity { kind: kind.map(Arc::from), value: id.to_owned() }
}

fn ids(keeper: &Keeper) -> Vec<String> {
    keeper.current().all(now()).iter().map(|fact| fact.taught.id.clone()).collect()
}

async fn open(folder: &tempfile::TempDir) -> Keeper {
    Keeper::open(Store::open(folder.path()).await.unwrap()).await.unwrap()
}

fn railway() -> Arc<str> {
    Arc::from("railway")
}

#[tokio::test]
async fn what_was_learned_survives_a_restart_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = open(&folder).await;
    assert!(keeper.learn(
        &railway(),
        vec![taught(VOLUME, "e"), taught("gone", "e")],
        &lesson(now()),
        0
    ));
    let old = now() - i64::try_from(EXPIRES.as_millis()).unwrap() + 50_000;
    assert!(keeper.learn(&railway(), vec![taught("old", "e")], &lesson(old), 0));
    assert!(keeper.touch("railway", &[identity(Some("volume"), "gone")]));
    keeper.write().await.unwrap();
    let before = keeper.current().all(now());
    drop(keeper);
    let keeper = open(&folder).await;
    assert_eq!(keeper.current().all(now()), before);
    assert_eq!(ids(&keeper), [VOLUME, "old"]);
    assert_eq!(keeper.forget(VOLUME), 1);
    assert_eq!(keeper.forget(VOLUME), 0);
    keeper.write().await.unwrap();
    drop(keeper);
    assert_eq!(ids(&open(&folder).await), ["old"]);
}

#[tokio::test]
async fn what_expired_meanwhile_is_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).await.unwrap();
    let at = now() - i64::try_from(EXPIRES.as_millis()).unwrap();
    let fact =
        |id: &str, at| Fact { service: railway(), taught: taught(id, "e"), lesson: lesson(at) };
    store.set_facts(&[Arc::new(fact("expired", at)), Arc::new(fact("new", now()))]).await.unwrap();
    let keeper = Keeper::open(store.clone()).await.unwrap();
    assert_eq!(ids(&keeper), ["new"]);
    assert_eq!(store.facts().await.unwrap().len(), 1, "the store has dropped it as well");
}

#[tokio::test]
async fn an_answer_from_before_a_write_says_nothing_of_what_it_touched() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = open(&folder).await;
    let asked = keeper.moment();
    assert!(
        !keeper.touch("railway", &[identity(Some("volume"), VOLUME)]),
        "nothing was known of it"
    );
    let both = || vec![taught(VOLUME, "e"), taught("other", "e")];
    assert!(keeper.learn(&railway(), both(), &lesson(now()), asked));
    assert_eq!(ids(&keeper), ["other"]);
    assert!(!keeper.learn(&railway(), both(), &lesson(now()), asked), "nothing is new");
    assert!(keeper.learn(&railway(), both(), &lesson(now()), keeper.moment()));
    assert_eq!(ids(&keeper), [VOLUME, "other"]);
}

#[tokio::test]
async fn a_write_touches_ids_of_its_kinds() {
    let folder = tempfile::tempdir().unwrap();
    let keeper = open(&folder).await;
    for (kind, service, forgotten) in [
        (Some("service"), "railway", false),
        (Some("volume"), "github", false),
        (Some("volume"), "railway", true),
        (None, "railway", true),
    ] {
        keeper.learn(&railway(), vec![taught(VOLUME, "e")], &lesson(now()), keeper.moment());
        assert_eq!(
            keeper.touch(service, &[identity(kind, VOLUME)]),
            forgotten,
            "{kind:?} {service}"
        );
        assert_eq!(ids(&keeper).is_empty(), forgotten);
    }
}
