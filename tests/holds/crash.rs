//! A held call, and a crash or a cut at any moment of it: at most one deletion, only after approval.

use super::{answered, deleting, hold_of, shown};
use crate::support::mock::{Options, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::{Answer, Gate, delete_volume, until};
use std::time::Duration;

/// What has happened when the crash comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    Waiting,
    Approved,
    Sending,
    Executed,
    Answered,
}

const MOMENTS: [Moment; 5] =
    [Moment::Waiting, Moment::Approved, Moment::Sending, Moment::Executed, Moment::Answered];

/// A gate before a mock that executes at once and answers late.
async fn slow() -> Gate {
    let options = Options { delay: Some(Duration::from_millis(1500)), ..Options::default() };
    Gate::with(options, |policy| policy).await
}

/// Brings a deletion to a moment; the client that still waits.
fn reach(gate: &Gate, moment: Moment) -> (std::process::Child, String) {
    let mut call = deleting(gate);
    let id = gate.wait_for_hold();
    if moment != Moment::Waiting {
        gate.approve(&id);
    }
    match moment {
        Moment::Waiting | Moment::Approved => {}
        Moment::Sending => until("bytes", || (gate.mock.bytes_received() > 0).then_some(())),
        Moment::Executed => until("a deletion", || gate.mock.deletions().first().map(drop)),
        Moment::Answered => drop(until("an answer", || call.try_wait().unwrap())),
    }
    (call, id)
}

/// What an agent does that does not know: it tries again until it is told something final.
fn try_again(gate: &Gate) -> Answer {
    gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME)
}

///
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_it_deletes_at_most_once() {
    for moment in MOMENTS {
        let mut gate = slow().await;
        let (call, id) = reach(&gate, moment);
        gate.kill();
        drop(answered(call));
        let deleted = gate.mock.deletions().len();
        assert!(deleted <= 1, "{moment:?}");
        if moment == Moment::Waiting {
            assert_eq!(deleted, 0, "before its approval");
        }
        gate.serve();
        let state = shown(&gate, &id)["state"].as_str().unwrap().to_owned();
        let verified = gate.holdgate(&["audit", "verify"]);
        assert!(verified.status.success(), "{moment:?}: {verified:?}");
        match (&*state, moment) {
            ("waiting", Moment::Waiting) => gate.approve(&id),
            // The approval is on disk; whether it was redeemed is as well.
            ("approved", Moment::Approved | Moment::Sending) => {}
            ("redeemed", _) if moment != Moment::Waiting => {}
            other => panic!("{other:?}"),
        }
        if state == "redeemed" {
            // It may have left or not; it is not sent a second time on the old approval.
            let waiting = deleting(&gate);
            assert_ne!(gate.wait_for_hold(), id, "{moment:?}");
            assert_eq!(gate.mock.deletions().len(), deleted, "{moment:?}");
            gate.kill();
            drop(answered(waiting));
        } else {
            assert_eq!(deleted, 0, "{moment:?}: sent before it was redeemed");
            let done = try_again(&gate);
            assert_eq!(done.status, 200, "{moment:?}: {done:?}");
            assert_eq!(gate.mock.deletions(), [STAGING_VOLUME], "{moment:?}");
        }
    }
}

/// M-18.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_cut_at_any_moment_leaves_its_call_with_the_proxy() {
    for moment in MOMENTS {
        let gate = slow().await;
        let (mut call, id) = reach(&gate, moment);
        drop(call.kill());
        drop(answered(call));
        match moment {
            Moment::Waiting => {
                // Who hangs up leaves the hold standing, and nothing happens without a retry.
                assert_eq!(shown(&gate, &id)["state"], "waiting");
                gate.approve(&id);
                assert!(gate.mock.deletions().is_empty());
                assert_eq!(try_again(&gate).status, 200);
            }
            Moment::Approved => {
                // The proxy may have begun to send; if not, the retry redeems.
                let retry = try_again_or_wait(&gate, &id);
                assert!(retry, "{moment:?}");
            }
            Moment::Sending | Moment::Executed | Moment::Answered => {
                until("the deletion", || gate.mock.deletions().first().map(drop));
                assert_eq!(shown(&gate, &id)["state"], "redeemed");
            }
        }
        assert_eq!(gate.mock.deletions(), [STAGING_VOLUME], "{moment:?}");
        // The record is whole: what was sent has an end, whoever was still there to see it.
        until("an outcome", || {
            let records = gate.records();
            let sent = records
                .iter()
                .find(|r| r["kind"] == "request" && r["verdict"] == "allow" && r["hold"] == id)?;
            records
                .iter()
                .any(|r| r["kind"] == "outcome" && r["request_id"] == sent["request_id"])
                .then_some(())
        });
    }
}

/// After a cut at the approval: either the call goes on by itself, or its retry redeems it.
fn try_again_or_wait(gate: &Gate, id: &str) -> bool {
    let body = delete_volume(STAGING_VOLUME);
    let retry = std::thread::scope(|scope| {
        let retry = scope.spawn(|| gate.graphql(STAGING_TOKEN, &body));
        // A retry that comes after the redemption asks anew, and nobody answers.
        until("an end", || {
            if retry.is_finished() || shown(gate, id)["state"] == "redeemed" {
                return Some(());
            }
            None
        });
        until("the deletion", || gate.mock.deletions().first().map(drop));
        for hold in gate.waiting() {
            let id = hold["id"].as_str().unwrap();
            assert!(gate.holdgate(&["approvals", "deny", id]).status.success());
        }
        retry.join().unwrap()
    });
    retry.status == 200 || !hold_of(&retry).0.is_empty()
}
