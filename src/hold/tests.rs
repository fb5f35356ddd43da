//! Holds over a real store: restarts, races, expiry.

use super::*;
use crate::audit::Options;

async fn holds(folder: &std::path::Path) -> Holds {
    let store = Store::open(folder).await.unwrap();
    let log = Log::open(&folder.join("audit"), Options::new(folder.join("audit.key"))).unwrap();
    Holds::new(store, log)
}

fn ask(digest: u8) -> Ask {
    let card = Card {
        operations: Vec::new(),
        targets: Vec::new(),
        reason: "destructive".to_owned(),
        findings: Vec::new(),
        sequences: Vec::new(),
        rule: None,
        resource: None,
        environment: None,
        method: "POST".to_owned(),
        host: "a.test:443".to_owned(),
        path: "/".to_owned(),
        body_bytes: 0,
        credentials: Vec::new(),
        unusual: Vec::new(),
        said_by_agent: None,
        tool: None,
    };
    Ask {
        digest: [digest; 32],
        agent: Arc::from("agent"),
        session: "s".to_owned(),
        request_id: "r".to_owned(),
        card,
        terms: Terms::default(),
        needed: 1,
        expire: Duration::from_mins(10),
        redeem: Duration::from_mins(10),
        most_waiting: 3,
    }
}

#[tokio::test]
async fn the_same_call_has_one_hold_and_a_restart_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = holds(folder.path()).await;
    let opened = futures_util::future::join_all((0..20).map(|_| first.open(ask(1)))).await;
    let ids: std::collections::HashSet<String> =
        opened.into_iter().map(|view| view.unwrap().id).collect();
    assert_eq!(ids.len(), 1);
    first.log.close().await.unwrap();
    drop(first);
    let second = holds(folder.path()).await;
    assert_eq!(second.open(ask(1)).await.unwrap().id, *ids.iter().next().unwrap());
    for digest in 2..=3 {
        second.open(ask(digest)).await.unwrap();
    }
    assert!(matches!(second.open(ask(4)).await, Err(OpenError::OverLimit { .. })));
}

/// M-02.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_hundred_who_redeem_one_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let holds = holds(folder.path()).await;
    let id = holds.open(ask(1)).await.unwrap().id;
    assert!(!holds.redeem(&id).await.unwrap(), "nobody has approved");
    holds.answer(&id, "alice", Decision::Approve, None).await.unwrap();
    assert!(holds.grant(&id, |_| true).await.unwrap().is_some());
    let tries = futures_util::future::join_all((0..100).map(|_| holds.redeem(&id))).await;
    assert_eq!(tries.into_iter().filter(|won| *won.as_ref().unwrap()).count(), 1);
    assert!(holds.grant(&id, |_| true).await.unwrap().is_none());
    assert_ne!(holds.open(ask(1)).await.unwrap().id, id, "a second call needs a second approval");
}

/// M-17.
#[tokio::test]
async fn two_people_are_two_people_and_a_denial_stands() {
    let folder = tempfile::tempdir().unwrap();
    let holds = holds(folder.path()).await;
    let two = Ask { needed: 2, ..ask(1) };
    let id = holds.open(two).await.unwrap().id;
    let approve = |who: &'static str| holds.answer(&id, who, Decision::Approve, None);
    assert_eq!(approve("alice").await.unwrap().state, State::Waiting);
    assert!(matches!(approve("alice").await, Err(AnswerError::AlreadyAnswered)));
    assert_eq!(approve("bob").await.unwrap().state, State::Approved);
    let denied = holds.open(ask(2)).await.unwrap().id;
    holds.answer(&denied, "alice", Decision::Deny, Some("no".to_owned())).await.unwrap();
    assert!(matches!(
        holds.answer(&denied, "bob", Decision::Approve, None).await,
        Err(AnswerError::Over(State::Denied))
    ));
    assert_eq!(holds.open(ask(2)).await.unwrap().state, State::Denied, "a retry is told so");
}

#[tokio::test]
async fn waiting_ends_with_an_answer_with_time_or_with_a_drain() {
    let folder = tempfile::tempdir().unwrap();
    let holds = holds(folder.path()).await;
    let stop = CancellationToken::new();
    let id = holds.open(ask(1)).await.unwrap().id;
    let (waited, _) = tokio::join!(
        holds.wait(&id, Duration::from_mins(1), &stop),
        holds.answer(&id, "alice", Decision::Approve, None)
    );
    assert_eq!(waited.unwrap().unwrap().state, State::Approved);
    let id = holds.open(ask(2)).await.unwrap().id;
    let waited = holds.wait(&id, Duration::from_millis(1), &stop).await.unwrap().unwrap();
    assert_eq!(waited.state, State::Waiting);
    let short = Ask { expire: Duration::from_millis(1), ..ask(3) };
    let id = holds.open(short).await.unwrap().id;
    let waited = holds.wait(&id, Duration::from_mins(1), &stop).await.unwrap().unwrap();
    assert_eq!(waited.state, State::Expired);
    stop.cancel();
    let id = holds.open(ask(4)).await.unwrap().id;
    let waited = holds.wait(&id, Duration::from_mins(1), &stop).await.unwrap().unwrap();
    assert_eq!(waited.state, State::Waiting);
}
