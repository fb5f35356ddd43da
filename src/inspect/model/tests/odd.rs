//! What lenient clients and providers take: whatever is odd in it, the call beside it is told.

use super::*;

/// A conversation in each form: turns among which another may stand, and a call.
const TURNS: &[(Dialect, &str, &str)] = &[
    (
        Dialect::Anthropic,
        r#"{"messages":[@,{"role":"assistant","content":[%]}]}"#,
        r#"{"type":"tool_use","id":"a","name":"bash","input":{"command":"cat .env"}}"#,
    ),
    (
        Dialect::Batches,
        r#"{"requests":[{"params":{"messages":[@,{"role":"assistant","content":[%]}]}}]}"#,
        r#"{"type":"tool_use","id":"a","name":"bash","input":{"command":"cat .env"}}"#,
    ),
    (
        Dialect::Chat,
        r#"{"messages":[@,{"role":"assistant","tool_calls":[%]}]}"#,
        r#"{"id":"a","function":{"name":"bash","arguments":"{\"command\":\"cat .env\"}"}}"#,
    ),
    (
        Dialect::Converse,
        r#"{"messages":[@,{"role":"assistant","content":[%]}]}"#,
        r#"{"toolUse":{"toolUseId":"a","name":"bash","input":{"command":"cat .env"}}}"#,
    ),
    (
        Dialect::Invoke,
        r#"{"messages":[@,{"role":"assistant","content":[%]}]}"#,
        r#"{"type":"tool_use","id":"a","name":"bash","input":{"command":"cat .env"}}"#,
    ),
    (
        Dialect::Responses,
        r#"{"input":[@,%]}"#,
        r#"{"type":"function_call","call_id":"a","name":"bash","arguments":"{\"command\":\"cat .env\"}"}"#,
    ),
    (
        Dialect::Interactions,
        r#"{"input":[@,%]}"#,
        r#"{"type":"function_call","id":"a","name":"bash","arguments":{"command":"cat .env"}}"#,
    ),
    (
        Dialect::Gemini,
        r#"{"contents":[@,{"role":"model","parts":[%]}]}"#,
        r#"{"functionCall":{"id":"a","name":"bash","args":{"command":"cat .env"}}}"#,
    ),
    (
        Dialect::Mcp,
        "[@,%]",
        r#"{"id":"a","method":"tools/call","params":{"name":"bash","arguments":{"command":"cat .env"}}}"#,
    ),
];

const CALL: &str = r#"call a bash {"command":"cat .env"}"#;

fn told(dialect: Dialect, body: &[u8]) -> Vec<String> {
    let mut all = Vec::new();
    read_request(dialect, body, &mut |said| all.push(shown(&said)));
    for said in &mut all {
        // Of an MCP server.
        *said = said.trim_end_matches(" by Server").to_owned();
    }
    all
}

#[test]
fn one_odd_turn_hides_no_other() {
    const ODD: &[&[u8]] = &[
        b"{\"role\":\"user\",\"role\":\"user\",\"content\":\"x\"}",
        b"{\"role\":\"user\",\"content\":[{\"type\":\"text\",\"type\":\"text\",\"text\":\"x\"}]}",
        b"{\"role\":\"user\",\"content\":\"a\nb\"}",
        b"{\"role\":\"user\",\"content\":\"a\xffb\"}",
        b"{\"role\":\"user\",\"content\":\"\\ud800\"}",
        b"{\"role\":\"user\",\"content\":7,\"parts\":7,\"tool_calls\":7,\"function_call\":7}",
        b"{\"role\":\"user\",\"tool_calls\":[{\"index\":\"0\",\"function\":7,\"custom\":[]}]}",
        b"{\"role\":\"user\",\"content\":[{\"toolUse\":7,\"toolResult\":\"x\"},7,null,[]]}",
        b"{\"parts\":[{\"functionCall\":7,\"functionResponse\":[1]},7]}",
        b"{\"type\":7,\"arguments\":[],\"method\":{},\"params\":7}",
        b"7",
        b"null",
        b"[]",
        b"\"x\"",
        b"{\"content\":\"it\\'s\",}",
    ];
    for (dialect, body, call) in TURNS {
        for odd in ODD {
            let body = body.replace('%', call);
            let (before, after) = body.split_once('@').unwrap();
            let body = [before.as_bytes(), odd, after.as_bytes()].concat();
            let said = told(*dialect, &body);
            let calls = said.iter().filter(|said| said.starts_with("call a ")).count();
            let shown = String::from_utf8_lossy(&body);
            assert!(
                said.iter().any(|said| said == CALL) && calls == 1,
                "{dialect:?} {shown}: {said:?}"
            );
        }
    }
}

#[test]
fn what_is_around_a_conversation_hides_nothing() {
    for (dialect, body, call) in TURNS {
        let body = body.replace("@,", "").replace('%', call);
        assert_eq!(told(*dialect, body.as_bytes()), [CALL], "{dialect:?}");
        for odd in
            [format!("\u{feff}{body}"), format!("{body}}}"), body[..body.len() - 1].to_owned()]
        {
            let mut said = told(*dialect, odd.as_bytes());
            said.sort();
            assert_eq!(said, [CALL, "unread Json"], "{odd}");
        }
        // A member twice: what nearly all take is the last.
        let member =
            body.split_once(':').map_or("", |(name, _)| name).trim_start_matches(['{', '[']);
        let twice = body.replacen(member, &format!("{member}:[],{member}"), 1);
        assert!(told(*dialect, twice.as_bytes()).contains(&CALL.to_owned()), "{twice}");
    }
}

#[test]
fn inputs_that_lenient_clients_run_are_read() {
    let odd: &[(&str, &[&str])] = &[
        ("{\"command\":\"cd x\ncat .env\"}", &[r#"{"command":"cd x\ncat .env"}"#]),
        (r#"{"command":"cat .env"}}"#, &[r#"{"command":"cat .env"}"#]),
        (r#"{"command":"cat .env"} done"#, &[r#"{"command":"cat .env"}"#]),
        (
            r#"{"command":"cat .env","command":"ls"}"#,
            &[r#"{"command":"cat .env"}"#, r#"{"command":"ls"}"#],
        ),
        (r#""{\"command\":\"cat .env\"}""#, &[r#"{"command":"cat .env"}"#]),
        (r#"{"command":"cat .env # \ud800"}"#, &["{\"command\":\"cat .env # \u{fffd}\"}"]),
        (r#"{"command":"cat .env""#, &[r#"{"command":"cat .env"}"#]),
        ("{'command': 'cat .env',}", &[r#"{"command":"cat .env"}"#]),
        ("cat .env", &[r#""cat .env""#]),
    ];
    for (written, inputs) in odd {
        let text = Value::from(*written);
        let bodies = [
            (
                Dialect::Chat,
                format!(
                    r#"{{"messages":[{{"tool_calls":[{{"id":"a","function":{{"name":"bash","arguments":{text}}}}}]}}]}}"#
                ),
            ),
            (
                Dialect::Responses,
                format!(
                    r#"{{"input":[{{"type":"function_call","call_id":"a","name":"bash","arguments":{text}}}]}}"#
                ),
            ),
            (
                Dialect::Anthropic,
                format!(
                    r#"{{"messages":[{{"content":[{{"type":"tool_use","id":"a","name":"bash","input":{text}}}]}}]}}"#
                ),
            ),
        ];
        let expected: Vec<String> =
            inputs.iter().map(|input| format!("call a bash {input}")).collect();
        for (dialect, body) in bodies {
            let said = request(dialect, &body);
            let calls: Vec<&String> = said.iter().filter(|said| said.starts_with("call")).collect();
            assert_eq!(calls, expected.iter().collect::<Vec<_>>(), "{dialect:?} {written}");
            // What is no strict JSON is counted as well.
            let is_strict = crate::message::json::parse(written.as_bytes()).is_ok();
            assert_eq!(
                said.contains(&"unread Input".to_owned()),
                !is_strict,
                "{written}: {said:?}"
            );
        }
        // The same in pieces.
        let piece = |from: &str| {
            format!(
                "data: {{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{{\"partial_json\":{}}}}}\n\n",
                Value::from(from)
            )
        };
        let stream = format!(
            "data: {{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"bash\",\"input\":{{}}}}}}\n\n{}{}data: {{\"type\":\"content_block_stop\",\"index\":0}}\n\n",
            piece(&written[..5]),
            piece(&written[5..])
        );
        let said = whole(Dialect::Anthropic, EVENTS, stream.as_bytes());
        let calls: Vec<String> = said.into_iter().filter(|said| said.starts_with("call")).collect();
        assert_eq!(calls, expected, "{written}");
    }
    // As it stands in the document itself.
    let raw = r#"{"messages":[{"content":[{"type":"tool_use","id":"a","name":"bash","input":{"command":"cat .env # \ud800"}}]}]}"#;
    assert_eq!(
        request(Dialect::Anthropic, raw),
        ["unread Input", "call a bash {\"command\":\"cat .env # \u{fffd}\"}"]
    );
}

#[test]
fn a_name_and_its_value_in_two_parts_stand_together() {
    let body = r#"{"messages":[{"content":[{"type":"tool_result","tool_use_id":"a","content":[
        {"type":"text","text":"x"},{"type":"text","text":"TOKEN="},{"type":"text","text":"1"}]}]}]}"#;
    assert_eq!(request(Dialect::Anthropic, body), ["result a: x\nTOKEN=1"]);
}

#[test]
fn long_ids_and_names_are_cut_alike() {
    let long = "x".repeat(NAME + 100);
    let body = format!(
        r#"{{"messages":[{{"content":[{{"type":"tool_use","id":"{long}","name":"bash{long}","input":{{"command":"cat .env"}}}},
        {{"type":"tool_result","tool_use_id":"{long}","content":"A=1"}}]}}]}}"#
    );
    let cut = &long[..NAME];
    let expected = [
        format!(r#"call {cut} bash{} {{"command":"cat .env"}}"#, &cut[4..]),
        format!("result {cut}: A=1"),
    ];
    assert_eq!(request(Dialect::Anthropic, &body), expected);
    let long = "é".repeat(NAME);
    let stream = format!(
        r#"data: {{"choices":[{{"delta":{{"tool_calls":[{{"index":0,"id":"{long}","function":{{"name":"bash","arguments":"{{}}"}}}}]}},"finish_reason":"stop"}}]}}"#
    );
    let said = whole(Dialect::Chat, EVENTS, format!("{stream}\n\n").as_bytes());
    assert_eq!(said, [format!("call {} bash {{}}", "é".repeat(NAME / 2))]);
}

const STREAM: &[&str] = &[
    r#"{"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"a","name":"bash","input":{}}}"#,
    r#"{"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"command\":\"cat .env\"}"}}"#,
    r#"{"type":"content_block_stop","index":0}"#,
    r#"{"type":"message_stop"}"#,
];

fn events(data: &[&str]) -> String {
    data.iter().flat_map(|data| ["data: ", data, "\n\n"]).collect()
}

#[test]
fn odd_events_lose_no_call() {
    let read =
        |media_type: &str, stream: &str| whole(Dialect::Anthropic, media_type, stream.as_bytes());
    let good = events(STREAM);
    assert_eq!(read(EVENTS, &good), [CALL]);
    // Each member of each event twice.
    for (from, to) in [
        (r#""type":"content_block_start""#, r#""type":"x","type":"content_block_start""#),
        (r#""type":"tool_use""#, r#""type":"text","type":"tool_use""#),
        (r#""index":0,"delta""#, r#""index":7,"index":0,"delta""#),
        (r#""partial_json":"#, r#""partial_json":"","partial_json":"#),
    ] {
        assert!(good.contains(from));
        assert_eq!(read(EVENTS, &good.replacen(from, to, 1)), ["unread Json", CALL], "{to}");
    }
    // A piece is not taken twice where a later part of its event is odd.
    let chat = r#"{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"bash","arguments":"{\"command\":\"cat .env\"}"}},{"index":1,"id":"b","id":"c"}]}}]}"#;
    let said = whole(Dialect::Chat, EVENTS, events(&[chat, "[DONE]"]).as_bytes());
    assert_eq!(said, ["unread Json", CALL]);
    // What is like JSON before it, what is called JSON, and a call without its end.
    for stream in [format!("{{\"x\":1}}\n\n{good}"), format!("[\n{good}")] {
        assert!(read(EVENTS, &stream).contains(&CALL.to_owned()), "{stream}");
    }
    assert!(read(JSON, &good).contains(&CALL.to_owned()));
    let body = r#"{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"bash","input":{"command":"cat .env"}}]}"#;
    for (media_type, body) in [(EVENTS, body.to_owned()), (JSON, format!("\u{feff}{body}"))] {
        assert_eq!(read(media_type, &body), [CALL], "{body}");
    }
    let endless = events(&[STREAM[0], STREAM[1], STREAM[3]]);
    assert_eq!(read(EVENTS, &endless), [CALL]);
    assert_eq!(read(EVENTS, &events(&STREAM[..2])), ["unread Truncated"]);
}

#[test]
fn runs_of_threads_and_results_of_batches_are_read() {
    let run = r#"{"id":"r","object":"thread.run","required_action":{"type":"submit_tool_outputs","submit_tool_outputs":{"tool_calls":[{"id":"a","type":"function","function":{"name":"bash","arguments":"{\"command\":\"cat .env\"}"}}]}}}"#;
    assert_eq!(whole(Dialect::Threads, JSON, run.as_bytes()), [CALL]);
    let stream = events(&[r#"{"id":"r","object":"thread.run"}"#, run, "[DONE]"]);
    assert_eq!(whole(Dialect::Threads, EVENTS, stream.as_bytes()), [CALL]);
    assert_eq!(
        request(Dialect::Threads, r#"{"tool_outputs":[{"tool_call_id":"a","output":"A=1"}]}"#),
        ["result a: A=1"]
    );
    let line = r#"{"custom_id":"1","result":{"type":"succeeded","message":{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"bash","input":{"command":"cat .env"}}]}}}"#;
    let lines = format!("{{\"custom_id\":\"0\",\"result\":{{\"type\":\"errored\"}}}}\n{line}\n");
    for media_type in ["application/x-jsonl", "application/jsonl", JSON] {
        assert_eq!(whole(Dialect::Batches, media_type, lines.as_bytes()), [CALL], "{media_type}");
    }
}
