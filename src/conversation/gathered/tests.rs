//! What is news of a body, and what of it is judged.

use super::*;
use crate::fingerprint::FingerprintKey;
use serde_json::json;

/// A part of a conversation.
#[derive(Clone, Copy)]
enum Part<'a> {
    Call(&'a str, &'a str),
    /// A call that the provider runs.
    Provided(&'a str, &'a str),
    /// The result of a call; whether a secret stands in it.
    Result(&'a str, bool),
    Spoke,
}
use Part::{Call, Provided, Result, Spoke};

fn gathered(heard: &Heard, way: Way) -> Gathered {
    Gathered::new(heard.hasher(), "model.test", Dialect::Anthropic, way)
}

/// Hears a body as the readers tell it.
fn hears(heard: &mut Heard, body: &mut Gathered, parts: &[Part<'_>]) {
    let secret = Handed {
        print: FingerprintKey::new(b"key").fingerprint(b"secret"),
        length: 36,
        sure: true,
        trace: None,
    };
    for part in parts {
        let (what, id, raw) = match part {
            Call(id, command) | Provided(id, command) => (What::Call, *id, *command),
            Result(id, _) => (What::Result, *id, "result"),
            Spoke => {
                body.spoke();
                continue;
            }
        };
        let by = if matches!(part, Provided(..)) { By::Provider } else { By::Agent };
        let met = Met { what, id, tool: "Bash", by, raw };
        if let Some(key) = body.met(&met)
            && !heard.is_new(key)
        {
            body.met_before(&met, key);
            continue;
        }
        match part {
            Call(id, command) | Provided(id, command) => {
                let input = json!({ "command": command });
                let (id, tool) = ((*id).to_owned(), "Bash".to_owned());
                let call = ToolCall { id, tool, input, by };
                let weighed = body.weighed(call);
                body.call(weighed, heard);
            }
            Result(id, is_secret) => {
                let call = (*id).to_owned();
                let result = ToolResult { call, tool: None, text: String::new(), by: By::Agent };
                body.result(&result, is_secret.then_some(secret).into_iter().collect());
            }
            Spoke => {}
        }
    }
}

/// The commands that are judged, and whether each result with a secret is news.
fn taken(heard: &mut Heard, way: Way, parts: &[Part<'_>]) -> (Vec<String>, Vec<bool>) {
    let mut body = gathered(heard, way);
    hears(heard, &mut body, parts);
    let Taken { calls, found, left_out, .. } = body.taken();
    for hash in left_out {
        heard.forget(hash);
    }
    let judged = calls.into_iter().filter(|(_, is_judged)| *is_judged);
    let command =
        |(called, _): (Called, bool)| called.call.input["command"].as_str().unwrap().to_owned();
    (judged.map(command).collect(), found.iter().map(|found| found.is_news).collect())
}

#[test]
fn what_was_told_before_anybody_listened_is_history() {
    const OLD: &[Part<'_>] = &[
        Spoke,
        Call("toolu_aaaa", "cat .env"),
        Result("toolu_aaaa", true),
        Spoke,
        Call("toolu_bbbb", "ls"),
        Result("toolu_bbbb", true),
    ];
    // A process that begins in the middle: the last call is of now, what came before is not.
    let mut heard = Heard::default();
    let (judged, news) = taken(&mut heard, Way::Request, OLD);
    assert_eq!((judged, news), (vec!["ls".to_owned()], vec![false, true]));
    // From then on nothing is history, wherever it stands.
    let hidden = [
        Spoke,
        Call("toolu_aaaa", "cat .env"),
        Result("toolu_aaaa", true),
        Spoke,
        Call("toolu_cccc", "cat .netrc"),
        Result("toolu_cccc", true),
        Spoke,
    ];
    let (judged, news) = taken(&mut heard, Way::Request, &hidden);
    assert_eq!((judged, news), (vec!["cat .netrc".to_owned()], vec![true]));
    // A conversation whose answers are not heard is followed by its requests.
    let mut heard = Heard::default();
    for end in [3, 6] {
        let (judged, _) = taken(&mut heard, Way::Request, &OLD[..end]);
        assert_eq!(judged.len(), 1, "{end}");
    }
    // Nothing of an answer is history.
    let mut heard = Heard::default();
    assert_eq!(taken(&mut heard, Way::Answer, OLD).0.len(), 2);
    assert_eq!(taken(&mut heard, Way::Answer, OLD).0.len(), 0, "the same answer again");
    assert_eq!(taken(&mut heard, Way::Request, OLD).0.len(), 0, "and with the next request");
}

#[test]
fn a_number_that_is_used_again_is_another_call() {
    let mut heard = Heard::default();
    let call = || Call("call_0", "cat .env");
    assert_eq!(taken(&mut heard, Way::Answer, &[call()]).0.len(), 1);
    let turn = || [Spoke, call(), Result("call_0", true)];
    assert_eq!(taken(&mut heard, Way::Request, &turn()).0.len(), 0, "it was in the answer");
    assert_eq!(taken(&mut heard, Way::Answer, &[call()]).0.len(), 1, "again, later");
    let both: Vec<_> = turn().into_iter().chain(turn()).collect();
    assert_eq!(taken(&mut heard, Way::Request, &both).0.len(), 0);
    // Where answers are not heard, the second is met as a second.
    let mut heard = Heard::default();
    assert_eq!(taken(&mut heard, Way::Request, &turn()).0.len(), 1);
    assert_eq!(taken(&mut heard, Way::Request, &turn()).0.len(), 0);
    assert_eq!(taken(&mut heard, Way::Request, &both).0.len(), 1);
    // At another host it is another conversation.
    let mut other = Gathered::new(heard.hasher(), "b.test", Dialect::Chat, Way::Request);
    hears(&mut heard, &mut other, &turn());
    assert_eq!(other.taken().calls.len(), 1);
}

#[test]
fn what_the_provider_ran_hides_nothing_that_the_agent_runs() {
    let mut heard = Heard::default();
    let parts = [Provided("toolu_aaaa", "cat .env"), Call("toolu_aaaa", "cat .env")];
    assert_eq!(taken(&mut heard, Way::Request, &parts).0.len(), 1);
}

#[test]
fn a_server_of_tools_is_called_anew_each_time() {
    let mut heard = Heard::default();
    for _ in 0..2 {
        let mut body = Gathered::new(heard.hasher(), "mcp.test", Dialect::Mcp, Way::Request);
        hears(&mut heard, &mut body, &[Call("1", "cat .env")]);
        assert_eq!(body.taken().calls.len(), 1);
    }
}

#[test]
fn a_result_is_of_the_call_before_it() {
    let mut heard = Heard::default();
    let mut body = gathered(&heard, Way::Request);
    let parts = [
        Call("call_0", "ls"),
        Result("call_0", true),
        Call("call_0", "cat .env"),
        Result("call_0", true),
        Result("call_9", true),
    ];
    hears(&mut heard, &mut body, &parts);
    let Taken { calls, found, .. } = body.taken();
    let keys: Vec<_> = calls.iter().map(|(called, _)| Some(called.key)).collect();
    let of: Vec<_> = found.iter().map(|found| found.call).collect();
    assert_eq!(of, [keys[0], keys[1], None]);
    assert!(found.iter().all(|found| found.id.is_none()), "a number is no identity");
}

/// However many calls stand in a body, and however long they are, so much is judged: the newest.
#[test]
fn what_one_body_costs_is_bounded() {
    let ids: Vec<String> = (0..4_000).map(|n| format!("toolu_{n:08}")).collect();
    for length in [1, 1_000, 100_000] {
        let mut heard = Heard::default();
        let mut body = gathered(&heard, Way::Request);
        let command = "x".repeat(length);
        let many = ids.len().min((8 << 20) / length);
        for id in &ids[..many] {
            hears(&mut heard, &mut body, &[Call(id, &command)]);
        }
        let Taken { calls, unread, .. } = body.taken();
        assert!(calls.len() <= MOST_KEPT, "{length}: {}", calls.len());
        let judged: Vec<_> = calls.iter().filter(|(_, is_judged)| *is_judged).collect();
        let bytes: usize = judged.iter().map(|(called, _)| called.length).sum();
        assert!(judged.len() <= MOST_JUDGED && bytes <= LONGEST, "{length}: {bytes}");
        let last = judged.last().map(|(called, _)| &*called.call.id);
        assert_eq!(last, Some(&*ids[many - 1]), "{length}: the newest");
        assert_eq!(unread[&Unread::Crowded], (many - judged.len()) as u64, "{length}");
    }
    // One that is longer than all may be is judged where it is alone.
    let mut heard = Heard::default();
    let long = "x".repeat(LONGEST + 1);
    assert_eq!(taken(&mut heard, Way::Answer, &[Call("toolu_aaaa", &long)]).0.len(), 1);
}

#[test]
fn so_many_results_are_noted() {
    let ids: Vec<String> = (0..MOST_FOUND + 10).map(|n| format!("toolu_{n:08}")).collect();
    let parts: Vec<_> = ids.iter().map(|id| Result(id, true)).collect();
    let mut heard = Heard::default();
    let (_, news) = taken(&mut heard, Way::Request, &parts);
    assert_eq!(news.len(), MOST_FOUND);
    assert_eq!(news.iter().filter(|is_news| **is_news).count(), MOST_NOTED);
    assert!(news.ends_with(&[true]), "the newest");
}

#[test]
fn what_there_was_no_room_for_is_news_where_it_comes_again() {
    for (first, ids) in [(Way::Request, true), (Way::Answer, true), (Way::Answer, false)] {
        let commands: Vec<String> = (0..2 * MOST_JUDGED).map(|n| format!("cat {n}")).collect();
        let ids: Vec<String> = (0..commands.len())
            .map(|n| if ids { format!("toolu_{n:08}") } else { String::new() })
            .collect();
        let parts: Vec<Part<'_>> =
            ids.iter().zip(&commands).map(|(id, command)| Call(id, command)).collect();
        let mut heard = Heard::default();
        let newest = taken(&mut heard, first, &parts).0;
        assert_eq!(newest, commands[MOST_JUDGED..], "{first:?}");
        let rest = taken(&mut heard, Way::Request, &parts).0;
        assert_eq!(rest, commands[..MOST_JUDGED], "{first:?}");
        assert_eq!(taken(&mut heard, Way::Request, &parts).0, [""; 0], "{first:?}");
    }
}

#[test]
fn an_answer_says_again_what_it_says() {
    for id in ["", "call_0"] {
        let mut heard = Heard::default();
        for _ in 0..2 {
            let judged = taken(&mut heard, Way::Answer, &[Call(id, "cat .env")]).0;
            assert_eq!(judged, ["cat .env"], "{id}");
        }
    }
}
