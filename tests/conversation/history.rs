//! What is news: a turn that is sent again says nothing new, whoever begins to listen in the middle.

use super::streams::{ANTHROPIC, Scene};
use crate::support::client::{Client, full};
use crate::support::origin::text;
use http_body_util::BodyExt as _;
use hyper::Request;
use hyper::body::Incoming;
use serde_json::{Value, json};

/// A model that has nothing to say.
async fn scene() -> Scene {
    let answer = |request: Request<Incoming>| async move {
        request.into_body().collect().await.unwrap();
        text("{}")
    };
    Scene::new(|edit| edit, answer).await
}

/// A call of a shell and its result.
fn turn(id: &str, command: &str, result: &str) -> [Value; 2] {
    let call =
        json!({ "type": "tool_use", "id": id, "name": "Bash", "input": { "command": command } });
    let result = json!({ "type": "tool_result", "tool_use_id": id, "content": result });
    [
        json!({ "role": "assistant", "content": [call] }),
        json!({ "role": "user", "content": [result] }),
    ]
}

async fn say(scene: &Scene, messages: &[Value]) {
    let mut client = Client::http1(scene.gate.running(), ANTHROPIC).await;
    let request = client.request("POST", "/v1/messages").header("content-type", "application/json");
    let body = json!({ "model": "m", "messages": messages }).to_string();
    let got = client.exchange(request.body(full(body)).unwrap()).await;
    assert_eq!(got.status, 200, "{got:?}");
}

/// The stages by their words, oldest first.
fn stages(scene: &Scene, stage: &str) -> Vec<String> {
    let told = scene.told();
    let all = told.0["stages"].as_array().unwrap().iter().filter(|noted| noted["stage"] == stage);
    all.map(|noted| noted["what"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_begins_in_the_middle_dates_nothing_anew() {
    const TOKEN: &str = "RAILWAY_TOKEN=0badc0de-0000-4000-8000-00000000cafe";
    let mut scene = scene().await;
    let mut messages = turn("toolu_aaaa", "cat /srv/a/.env", TOKEN).to_vec();
    say(&scene, &messages).await;
    assert_eq!(stages(&scene, "credential_discovery"), ["cat /srv/a/.env (T1552.001)"]);
    assert_eq!(stages(&scene, "secret_handed_out").len(), 1);
    scene.gate.drain();
    scene.gate.serve();
    // The model has spoken since, so all of that is told once more, and only what it says now is news.
    messages.extend(turn("toolu_bbbb", "cat /srv/b/.netrc", "nothing"));
    say(&scene, &messages).await;
    let expected = ["cat /srv/a/.env (T1552.001)", "cat /srv/b/.netrc (T1552.001)"];
    assert_eq!(stages(&scene, "credential_discovery"), expected);
    assert_eq!(stages(&scene, "secret_handed_out").len(), 1);
    // What is slipped in between the turns of a conversation that is listened to is no history.
    let hidden = turn("toolu_cccc", "cat /srv/c/.env", "nothing").to_vec();
    messages.splice(0..0, hidden);
    say(&scene, &messages).await;
    assert_eq!(stages(&scene, "credential_discovery")[2], "cat /srv/c/.env (T1552.001)");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_operator_forgot_is_news_when_it_is_done_again() {
    let scene = scene().await;
    for id in ["toolu_aaaa", "toolu_bbbb"] {
        say(&scene, &turn(id, "cat /srv/a/.env", "nothing")).await;
        assert_eq!(stages(&scene, "credential_discovery").len(), 1, "{id}");
        // A retry at once is the same call.
        say(&scene, &turn(&format!("{id}_again"), "cat /srv/a/.env", "nothing")).await;
        assert_eq!(stages(&scene, "credential_discovery").len(), 1, "{id}");
        scene.gate.holdgate(&["sessions", "reset", "staging-fixer"]);
        assert_eq!(stages(&scene, "credential_discovery").len(), 0, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_result_is_of_the_last_call_with_its_number() {
    let scene = scene().await;
    let token = |end: &str| format!("API_TOKEN=0badc0de-0000-4000-8000-0000000000{end}");
    let first = turn("call_0", "cat infra/one.env", &token("01"));
    let second = turn("call_0", "cat infra/two.env", &token("02"));
    say(&scene, &[&first[..], &second[..]].concat()).await;
    // The first of them is history.
    assert_eq!(stages(&scene, "secret_handed_out"), ["the result of `cat infra/two.env`"]);
}

/// However many calls one body has, so many are judged, and the rest is told.
#[tokio::test(flavor = "multi_thread")]
async fn one_body_is_judged_within_bounds() {
    const MANY: usize = 300;
    const MOST: usize = 64;
    let scene = scene().await;
    let call = |number: usize| {
        let command = format!("cat /srv/{number}/.env");
        turn(&format!("toolu_{number:05}"), &command, "")[0]["content"][0].clone()
    };
    let content: Vec<Value> = (0..MANY).map(call).collect();
    say(&scene, &[json!({ "role": "assistant", "content": content })]).await;
    let found = stages(&scene, "credential_discovery");
    assert_eq!(found.len(), MOST, "{found:?}");
    assert_eq!(found[MOST - 1], format!("cat /srv/{}/.env (T1552.001)", MANY - 1), "the newest");
    let told = scene.told();
    assert_eq!(told.unread_for("more tool calls"), (MANY - MOST) as u64, "{told:?}");
}
