//! A secret stands in no file of the state folder, no line of the service's log, no refusal.

use super::{DOCS, GRAPHQL, folder, stop, whole};
use crate::support::client::say;
use crate::support::mock::{
    Options, PRODUCTION_ENVIRONMENT, PROJECT, STAGING_ENVIRONMENT, STAGING_TOKEN,
};
use crate::support::{Gate, Running};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use serde_json::json;
use std::path::Path;
use std::process::Command;

/// Every spelling of a secret that decodes to it without a key.
fn spellings(secret: &str) -> Vec<Vec<u8>> {
    let mut all = vec![
        secret.as_bytes().to_vec(),
        secret.replace('+', " ").into_bytes(),
        secret.replace('+', "%2B").into_bytes(),
        secret.replace('+', "%2b").into_bytes(),
        secret.replace('+', "\\u002b").into_bytes(),
        secret.bytes().flat_map(|byte| format!("{byte:02x}").into_bytes()).collect(),
    ];
    for before in 0..3 {
        let padded = [&vec![0; before][..], secret.as_bytes()].concat();
        for engine in [STANDARD_NO_PAD, URL_SAFE_NO_PAD] {
            // The characters that do not depend on what stands before and after.
            let text = engine.encode(&padded).into_bytes();
            let first = (before * 8).div_ceil(6);
            all.push(text[first..padded.len() * 8 / 6].to_vec());
        }
    }
    all
}

fn shows(bytes: &[u8], secret: &str) -> bool {
    spellings(secret).iter().any(|it| bytes.windows(it.len()).any(|window| window == it))
}

fn every_file(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for item in std::fs::read_dir(folder).unwrap() {
        let path = item.unwrap().path();
        if path.is_dir() {
            every_file(&path, found);
        } else {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
}

/// What sets a variable to a secret.
fn upsert(environment: &str, secret: &str) -> serde_json::Value {
    json!({
        "query": "mutation V($input: VariableUpsertInput!) { variableUpsert(input: $input) }",
        "variables": { "input": {
            "environmentId": environment, "projectId": PROJECT, "name": "KEY", "value": secret,
        } },
    })
}

/// K-28, M-26.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_written_or_told() {
    let mut gate =
        Gate::with(Options::default(), |policy| policy.replace("wait: 20s", "wait: 1s")).await;
    gate.kill();
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdgate"));
    command.current_dir(gate.folder.path()).arg("serve");
    command.env("HOLDGATE_LOG", "info,holdgate=trace");
    gate.process = Some(Running::of(command).unwrap());

    // Each slot has a secret of its own, so that a leak names its slot.
    let mut told = Vec::new();
    let mut secrets = Vec::new();
    let mut next = |slot: &str| {
        let secret = format!("cAnArY+{slot}+q7Zx0Kd3");
        secrets.push(secret.clone());
        secret
    };
    let mut curl = |arguments: &[&str]| {
        let answer = gate.curl(arguments);
        told.push((arguments.join(" "), answer.status, answer.head + &answer.body));
    };
    let header = |name: &str, value: &str| format!("{name}: {value}");
    curl(&[DOCS, "-H", &header("Authorization", &format!("Bearer {}", next("bearer")))]);
    curl(&[DOCS, "-H", &header("X-Api-Key", &next("header"))]);
    curl(&[DOCS, "-H", &header("X-Acme-Secret", &next("unlisted"))]);
    curl(&[DOCS, "-H", &header("Cookie", &format!("session={}", next("cookie")))]);
    curl(&[DOCS, "-H", &header("Authorization", &format!("Digest u=\"{}\"", next("scheme")))]);
    curl(&[DOCS, "-u", &format!("user:{}", next("basic"))]);
    curl(&[DOCS, "-u", &format!("{}:", next("username"))]);
    curl(&[&format!("{DOCS}?access_token={}", next("query").replace('+', "%2B"))]);
    curl(&[&format!("{DOCS}?q=1&unlisted={}", next("parameter"))]);
    let userinfo = next("userinfo");
    curl(&[&format!("https://user:{userinfo}@docs.railway.com/")]);
    curl(&[&format!("https://user:{userinfo}@nowhere.example/")]);
    curl(&[DOCS, "--proxy-user", &format!("agent:{}", next("proxy"))]);
    // In a path only the form tells a secret; a foreign host, a refusal, a hold.
    let form = format!("ghp_{}", "cAnArY0pAtH1".repeat(3));
    secrets.push(form.clone());
    curl(&[&format!("{DOCS}files/{form}/raw")]);
    curl(&["-X", "POST", &format!("{DOCS}{form}")]);
    curl(&["-X", "DELETE", &format!("https://api.staging.railway.app/volumes/{form}")]);
    curl(&[&format!("https://nowhere.example/{form}")]);

    let graphql = |body: &serde_json::Value| {
        let answer = gate.graphql(STAGING_TOKEN, body);
        (body.to_string(), answer.status, answer.head + &answer.body)
    };
    let mut next = |slot: &str| {
        let secret = format!("cAnArY+{slot}+q7Zx0Kd3");
        secrets.push(secret.clone());
        secret
    };
    let passed = next("variable");
    told.push(graphql(&upsert(STAGING_ENVIRONMENT, &passed)));
    told.push(graphql(&upsert(PRODUCTION_ENVIRONMENT, &next("denied"))));
    told.push(graphql(&upsert("bbbbbbbb-0000-4000-8000-00000000ffff", &next("held"))));
    let literal = format!(
        "mutation {{ variableUpsert(input: {{ environmentId: \"{PRODUCTION_ENVIRONMENT}\", \
         projectId: \"{PROJECT}\", name: \"KEY\", value: \"{}\" }}) }}",
        next("literal")
    );
    told.push(graphql(&json!({ "query": literal })));
    told.push(graphql(&json!({ "query": format!("mutation {{ {} ", next("broken")) })));
    told.push(graphql(&json!([next("unreadable")])));
    let authorization = header("Authorization", &format!("Bearer {STAGING_TOKEN}"));
    let answer = gate.curl(&[GRAPHQL, "-H", &authorization, "-d", &next("body")]);
    told.push(("a body".to_owned(), answer.status, answer.head + &answer.body));

    // What no client library sends.
    let raw = next("raw").replace('+', "%2B");
    for head in [
        format!(
            "GET http://user:{raw}@docs.railway.com/ HTTP/1.1\r\nHost: docs.railway.com\r\n\r\n"
        ),
        format!("GET http://docs.railway.com/?token={raw} HTTP/1.1\r\nHost: other\r\n\r\n"),
        format!(
            "CONNECT user:{raw}@docs.railway.com:443 HTTP/1.1\r\nHost: docs.railway.com\r\n\r\n"
        ),
        format!("GET http://docs.railway.com/ HTTP/1.1\r\nHost: {raw}@docs.railway.com\r\n\r\n"),
    ] {
        let answer = say(gate.running().proxy, &head).await;
        assert!(answer.status >= 400, "{head}: {answer:?}");
        told.push((head, answer.status, answer.head + &answer.body));
    }

    // The held one waits with its card for the approver.
    let held = gate.holdgate(&["approvals", "list", "--json"]).stdout;
    assert!(String::from_utf8_lossy(&held).contains("variableUpsert"));
    let records = gate.holdgate(&["audit", "tail", "-n", "10000"]).stdout;
    let log = gate.running().stderr.clone();
    stop(&mut gate);
    let mut found = Vec::new();
    every_file(&gate.folder.path().join("state"), &mut found);
    assert!(found.len() >= 4, "the log, its keys, the store");
    assert!(found.iter().any(|(name, _)| name.starts_with(folder(&gate).to_str().unwrap())));
    found.push(("the service's log".to_owned(), log.lock().unwrap().clone().into_bytes()));
    found.push(("audit tail".to_owned(), records));
    found.push(("approvals list".to_owned(), held));
    // What the upstream itself says passes through.
    for (asked, status, answer) in told.into_iter().filter(|(_, status, _)| *status >= 300) {
        found.push((format!("the answer {status} to {asked}"), answer.into_bytes()));
    }
    secrets.push(STAGING_TOKEN.to_owned());
    let leaks: Vec<_> = found
        .iter()
        .flat_map(|(place, bytes)| {
            let shown = secrets.iter().filter(|secret| shows(bytes, secret));
            shown.map(move |secret| format!("{secret} in {place}"))
        })
        .collect();
    assert!(leaks.is_empty(), "{leaks:#?}");
    assert!(!log.lock().unwrap().is_empty());

    // The search finds what is there.
    let seen = gate.mock.requests();
    assert!(seen.iter().any(|request| shows(&request.body, &passed)), "it was sent on");
    for text in [format!("user:{passed}"), format!("x{passed}yz")] {
        assert!(shows(base64::engine::general_purpose::STANDARD.encode(text).as_bytes(), &passed));
    }
    whole(gate.folder.path());
}
