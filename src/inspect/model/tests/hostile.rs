//! What is malformed, cut short, or made to be too much.

use super::*;
use proptest::prelude::*;

#[test]
fn a_request_that_cannot_be_read_says_so() {
    let bash = r#"{"type":"tool_use","id":"a","name":"bash","input":{}}"#;
    let long = "x".repeat(NAME + 1);
    let cases: &[(Dialect, String, &[&str])] = &[
        (Dialect::Anthropic, String::new(), &["unread Json"]),
        (Dialect::Anthropic, "{".into(), &["unread Json"]),
        (Dialect::Anthropic, "\u{feff}{}".into(), &["unread Json"]),
        (Dialect::Anthropic, r#"{"messages":[],"messages":[]}"#.into(), &["unread Json"]),
        // What stood before it was read, and is not told twice; such a call has no name.
        (
            Dialect::Anthropic,
            format!(r#"{{"messages":[{{"content":[{bash},{{"type":"tool_use","id":"b","id":"c"}}]}}]}}"#),
            &["call a bash {}", "unread Json", "unread Json"],
        ),
        // Of the other calls, each is read.
        (
            Dialect::Anthropic,
            format!(
                r#"{{"messages":[{{"content":[{{"type":"tool_use","id":"b","name":"x","input":{{"a":1,"a":2}}}},{bash}]}}]}}"#
            ),
            &["unread Input", r#"call b x {"a":1}"#, r#"call b x {"a":2}"#, "call a bash {}"],
        ),
        (
            Dialect::Anthropic,
            format!(
                r#"{{"messages":[{{"content":[{{"type":"tool_use","id":"{long}","name":"x","input":{{}}}},{bash}]}}]}}"#
            ),
            &[&format!("call {} x {{}}", &long[..NAME]), "call a bash {}"],
        ),
        (
            Dialect::Chat,
            r#"{"messages":[{"tool_calls":[{"id":"a","function":{"name":"x","arguments":"{\"a\":"}}]}]}"#.into(),
            &["unread Input", r#"call a x {"a":null}"#],
        ),
        (
            Dialect::Chat,
            r#"{"messages":[{"role":"tool","tool_call_id":"a","content":"\ud800"}]}"#.into(),
            &["result a: \u{fffd}"],
        ),
        (Dialect::Gemini, r#"{"contents":[{"parts":[{"functionCall":7}]}]}"#.into(), &["unread Json"]),
        (
            Dialect::Gemini,
            r#"{"contents":[{"parts":[{"functionCall":{"name":"a"},"function_call":{"name":"b"}}]}]}"#.into(),
            &["call a#1 a {}", "call b#2 b {}"],
        ),
        (
            Dialect::Mcp,
            r#"{"id":1,"method":"tools/call","params":{"name":{},"arguments":{}}}"#.into(),
            &["unread Json"],
        ),
        (Dialect::Mcp, r#"{"method":"tools/call","params":[1,2,3]}"#.into(), &["unread Json"]),
    ];
    for (dialect, body, expected) in cases {
        assert_eq!(request(*dialect, body), *expected, "{body}");
    }
    let long = "x".repeat(INPUT);
    let call = |input: &str| {
        let call = format!(r#"{{"type":"tool_use","id":"b","name":"x","input":{input}}}"#);
        request(Dialect::Anthropic, &format!(r#"{{"messages":[{{"content":[{call},{bash}]}}]}}"#))
    };
    // Of what is too long the beginning is read.
    for input in [format!(r#"{{"a":"{long}"}}"#), format!(r#""{{\"a\":\"{long}""#)] {
        let said = call(&input);
        assert_eq!(said.len(), 3);
        assert_eq!([&*said[0], &*said[2]], ["unread LongInput", "call a bash {}"]);
        assert!(said[1].starts_with(r#"call b x {"a":"xxx"#) && said[1].len() > INPUT - 10);
    }
    let mut said = Vec::new();
    read_request(Dialect::Chat, b"{\"messages\":[\"\xff\"]}", &mut |one| said.push(shown(&one)));
    assert_eq!(said, ["unread Json"]);
}

#[test]
fn deep_inputs_come_to_an_end() {
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    for dialect in Dialect::ALL {
        let inner = format!(
            r#"{{"id":1,"method":"tools/call","params":{{"name":"x","arguments":{deep}}},
            "messages":[{{"content":[{{"type":"tool_use","id":"a","name":"x","input":{deep}}},{{"toolUse":{{"name":"x","input":{deep}}}}}]}}],
            "requests":[{{"params":{{"messages":[{{"content":[{{"type":"tool_use","name":"x","input":{deep}}}]}}]}}}}],
            "tool_outputs":[{{"output":{{"a":1,"a":2}}}},{{"output":"","output":{deep}}}],
            "input":[{{"type":"x_call","arguments":{deep}}}],
            "contents":[{{"parts":[{{"functionCall":{{"name":"x","args":{deep}}}}}]}}]}}"#
        );
        let said = request(*dialect, &inner);
        assert!(!said.is_empty(), "{dialect:?}");
        // Results are texts.
        let is_fine = |said: &String| match dialect {
            Dialect::Threads => said.starts_with("result") || said == "unread Json",
            _ => said == "unread Input",
        };
        assert!(said.iter().all(is_fine), "{dialect:?}: {said:?}");
        // Only the depth is read of what is not asked for.
        assert_eq!(request(*dialect, &format!(r#"{{"x":{deep}}}"#)), [""; 0], "{dialect:?}");
        assert_eq!(whole(*dialect, JSON, deep.as_bytes()), [""; 0], "{dialect:?}");
    }
}

fn start(index: usize) -> String {
    format!(
        "data: {{\"type\":\"content_block_start\",\"index\":{index},\"content_block\":{{\"type\":\"tool_use\",\"id\":\"t{index}\",\"name\":\"x\",\"input\":{{}}}}}}\n\n"
    )
}

fn piece(index: u64, piece: &str) -> String {
    format!(
        "data: {{\"type\":\"content_block_delta\",\"index\":{index},\"delta\":{{\"type\":\"input_json_delta\",\"partial_json\":{}}}}}\n\n",
        Value::from(piece)
    )
}

fn stop(index: usize) -> String {
    format!("data: {{\"type\":\"content_block_stop\",\"index\":{index}}}\n\n")
}

#[test]
fn what_is_too_much_is_said_and_what_follows_is_read() {
    let read = |stream: String| whole(Dialect::Anthropic, EVENTS, stream.as_bytes());
    let after = || format!("{}{}", start(7), stop(7));
    let good = "call t7 x {}".to_owned();

    // One input that is too long.
    let kib = "x".repeat(1 << 10);
    let pieces: String = (0..1_100).map(|_| piece(0, &kib)).collect();
    let said = read(format!("{}{pieces}{}{}", start(0), stop(0), after()));
    assert_eq!(said, ["unread LongInput".to_owned(), good.clone()]);

    // Several that are too long together.
    let begun: String = (0..6).map(start).collect();
    let pieces: String =
        (0..250).flat_map(|_| (0..6).map(|index| piece(index, &kib)).collect::<Vec<_>>()).collect();
    let ends: String = (0..6).map(stop).collect();
    let said = read(format!("{begun}{pieces}{ends}{}", after()));
    assert_eq!(said.iter().filter(|said| *said == "unread LongInput").count(), 6 - 4, "{said:?}");
    assert_eq!(said.last(), Some(&good));

    // Thousands that are open at once: as many as are followed, then one word for the rest.
    let begun: String = (100..5_000).map(start).collect();
    let said = read(format!("{begun}{}{}", after(), stop(100)));
    assert_eq!(said.iter().filter(|said| *said == "unread Crowded").count(), 1);
    assert_eq!(said.iter().filter(|said| *said == "unread Truncated").count(), OPEN - 1);
    assert_eq!(said.iter().filter(|said| said.starts_with("call t100 ")).count(), 1);
    assert_eq!(said.len(), OPEN + 1);

    // Pieces of calls that never began, at the greatest place there is.
    let strays: String = (0..1_000).map(|_| piece(u64::MAX, "{}")).collect();
    assert_eq!(read(format!("{strays}{}", after())), ["unread Stray".to_owned(), good.clone()]);
    // Places that are no numbers, or are written otherwise.
    for place in ["-1", "0.0", "\"0\"", "null", "{}"] {
        let odd = format!("{}{}", start(0), stop(0))
            .replace("\"index\":0", &format!("\"index\":{place}"));
        let said = read(format!("{odd}{}", after()));
        assert_eq!(said, ["call t0 x {}".to_owned(), good.clone()], "{place}");
    }

    // An event that is too long, in one line and in many.
    let long = "x".repeat(EVENT);
    let line = format!("data: {{\"type\":\"x\",\"y\":\"{long}\"}}\n\n");
    let lines = "data: x\n".repeat(EVENT / 2 + 1);
    for long in [line, format!("{lines}\n"), format!("{lines}\r\n")] {
        let stream = format!("{long}{}", after());
        for length in [stream.len(), 10_000] {
            let pieces = stream.as_bytes().chunks(length);
            let said = answer(Dialect::Anthropic, EVENTS, pieces);
            assert_eq!(said, ["unread Long".to_owned(), good.clone()], "{length}");
        }
    }
    // A long line that says nothing is none.
    assert_eq!(read(format!(": {long}\nid: {long}\n{}", after())), [good]);
}

#[test]
fn no_spelling_of_an_event_hides_a_call() {
    let escaped =
        |word: &str| word.bytes().fold(String::new(), |all, byte| format!("{all}\\u{byte:04x}"));
    for word in ["content_block_start", "tool_use", "content_block"] {
        let stream = format!("{}{}", start(0).replacen(word, &escaped(word), 1), stop(0));
        assert!(stream.contains("\\u"), "{word}");
        assert_eq!(
            whole(Dialect::Anthropic, EVENTS, stream.as_bytes()),
            ["call t0 x {}"],
            "{word}"
        );
    }
    for (dialect, word, stream, expected) in [
        (
            Dialect::Chat,
            "tool_calls",
            r#"{"choices":[{"delta":{"tool_calls":[{"id":"a","function":{"name":"x"}}]},"finish_reason":"stop"}]}"#,
            "call a x {}",
        ),
        (
            Dialect::Responses,
            "response.output_item.done",
            r#"{"type":"response.output_item.done","item":{"type":"shell_call","call_id":"a","action":{}}}"#,
            "call a shell {}",
        ),
        (
            Dialect::Gemini,
            "functionCall",
            r#"{"candidates":[{"content":{"parts":[{"functionCall":{"id":"a","name":"x"}}]}}]}"#,
            "call a x {}",
        ),
    ] {
        for stream in [stream.to_owned(), stream.replace(word, &escaped(word))] {
            let stream = format!("data: {stream}\n\n");
            assert_eq!(whole(dialect, EVENTS, stream.as_bytes()), [expected], "{stream}");
        }
    }
}

#[test]
fn long_ends_of_responses_repeat_what_was_said() {
    let long = "x".repeat(EVENT);
    for (name, expected) in
        [("response.completed", &[][..]), ("response.output_item.done", &["unread Long"])]
    {
        let stream = format!("event: {name}\ndata: {{\"type\":\"{name}\",\"x\":\"{long}\"}}\n\n");
        assert_eq!(whole(Dialect::Responses, EVENTS, stream.as_bytes()), *expected);
    }
}

#[test]
fn an_answer_that_is_cut_short_says_so() {
    let cases: &[(Dialect, &str, String, &[&str])] = &[
        (Dialect::Anthropic, EVENTS, start(0), &["unread Truncated"]),
        (Dialect::Anthropic, EVENTS, format!("{}{}", start(0), piece(0, "{}")), &["unread Truncated"]),
        (Dialect::Anthropic, EVENTS, "data: {\"type\":\"content_blo".into(), &["unread Truncated"]),
        // Its end was not there, but it is whole.
        (Dialect::Anthropic, EVENTS, format!("{}{}", start(0), stop(0).trim_end()), &["call t0 x {}"]),
        (
            Dialect::Chat,
            EVENTS,
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"x\",\"arguments\":\"{}\"}}]}}]}\n\n".into(),
            &["unread Truncated"],
        ),
        // A call that nothing names.
        (
            Dialect::Chat,
            EVENTS,
            "data: {\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\"}]},\"finish_reason\":\"stop\"}]}\n\n".into(),
            &["unread Json"],
        ),
        (
            Dialect::Responses,
            EVENTS,
            "data: {\"type\":\"response.output_item.added\",\"output_index\":0,\"item\":{\"type\":\"shell_call\"}}\n\n".into(),
            &["unread Truncated"],
        ),
        (Dialect::Gemini, JSON, "[{\"candidates\":[".into(), &["unread Truncated"]),
        (Dialect::Chat, JSON, "{\"choices\":\"}".into(), &["unread Truncated"]),
        (Dialect::Chat, JSON, "<html>".into(), &["unread Json"]),
        (Dialect::Chat, JSON, "{\"choices\":]} x".into(), &["unread Json", "unread Json"]),
        // JSON by another name, and what is named so and is none.
        (Dialect::Gemini, EVENTS, " [{\"candidates\":7}, {\"candidates\":".into(), &["unread Truncated"]),
        (Dialect::Gemini, "", "\n \u{feff}{}".into(), &[]),
    ];
    for (dialect, media_type, bytes, expected) in cases {
        assert_eq!(whole(*dialect, media_type, bytes.as_bytes()), *expected, "{bytes}");
    }
}

#[test]
fn documents_that_are_too_long_are_passed_over() {
    let long = format!("{{\"x\":\"{}\"}}", "y".repeat(EVENT));
    let good = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"x"}}]}}]}"#;
    let stream = format!("[{long},{good}]");
    for pieces in [1 << 22, 1 << 16, 1_000] {
        let said = answer(Dialect::Gemini, JSON, stream.as_bytes().chunks(pieces));
        assert_eq!(said, ["unread Long", "call  x {}"], "{pieces}");
    }
}

#[test]
fn frames_that_are_broken_end_the_reading() {
    let start = event(
        "contentBlockStart",
        r#"{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"t","name":"x"}}}"#,
    );
    let stop = event("contentBlockStop", r#"{"contentBlockIndex":1}"#);
    let good = [start.clone(), stop.clone()].concat();
    let read = |bytes: &[u8]| whole(Dialect::Converse, FRAMES, bytes);
    assert_eq!(read(&good), ["call t x {}"]);
    // One bit, wherever it is: nothing is told of such a frame.
    for at in 0..start.len() * 8 {
        let mut bytes = good.clone();
        bytes[at / 8] ^= 1 << (at % 8);
        let said = read(&bytes);
        assert!(said.len() == 1 && said[0].starts_with("unread"), "{at}: {said:?}");
    }
    // A frame that is shorter than itself, one whose headers are longer, and one that never ends.
    let sound = |length: u32, headers: u32| {
        let mut prelude = length.to_be_bytes().to_vec();
        prelude.extend_from_slice(&headers.to_be_bytes());
        let mut sum = flate2::Crc::new();
        sum.update(&prelude);
        prelude.extend_from_slice(&sum.sum().to_be_bytes());
        prelude
    };
    assert_eq!(read(&sound(15, 0)), ["unread Frame"]);
    assert_eq!(read(&sound(16, 1)), ["unread Frame"]);
    assert_eq!(read(&sound(u32::MAX, 0)), ["unread Long", "unread Truncated"]);
    // One that is too long is passed over.
    let long = event("contentBlockDelta", &"x".repeat(EVENT));
    let said = however_cut_coarsely(&[long, good].concat());
    assert_eq!(said, ["unread Long", "call t x {}"]);
    assert_eq!(read(&stop[..stop.len() - 1]), ["unread Truncated"]);
}

fn however_cut_coarsely(bytes: &[u8]) -> Vec<String> {
    let all = whole(Dialect::Converse, FRAMES, bytes);
    for length in [13, 4_096, 70_000] {
        assert_eq!(answer(Dialect::Converse, FRAMES, bytes.chunks(length)), all, "{length}");
    }
    all
}

/// Bytes that are more often like a conversation than others.
fn streams() -> impl Strategy<Value = Vec<u8>> {
    let words = prop::sample::select(vec![
        "data: ", "event: chunk", "\n", "\r", "\n\n", "\u{feff}", "{", "}", "[", "]", ",", "\"", "\\",
        "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"a\",\"name\":\"x\",\"input\":{}}}",
        "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"partial_json\":\"{}\"}}",
        "{\"type\":\"content_block_stop\",\"index\":0}",
        "{\"choices\":[{\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"a\",\"function\":{\"name\":\"x\",\"arguments\":\"{}\"}}]},\"finish_reason\":\"stop\"}]}",
        "{\"type\":\"response.output_item.done\",\"item\":{\"type\":\"shell_call\",\"action\":{}}}",
        "{\"candidates\":[{\"content\":{\"parts\":[{\"functionCall\":{\"name\":\"x\"}}]}}]}",
        "{\"id\":1,\"result\":{\"content\":[{\"text\":\"x\"}]}}",
        "[DONE]", "\0\0\0", "é",
    ])
    .prop_map(|word| word.as_bytes().to_vec());
    let frames = prop::sample::select(vec![
        event("contentBlockStart", r#"{"start":{"toolUse":{"toolUseId":"t","name":"x"}}}"#),
        event("contentBlockStop", "{}"),
        event("chunk", r#"{"bytes":"e30="}"#),
    ]);
    let any = prop::collection::vec(any::<u8>(), 0..6);
    let parts = prop_oneof![8 => words, 2 => frames, 1 => any];
    prop::collection::vec(parts, 0..40).prop_map(|parts| parts.concat())
}

proptest! {
    /// What is said does not depend on how the bytes come.
    #[test]
    fn cuts_change_nothing(
        bytes in streams(),
        mut cuts in prop::collection::vec(0_usize..2_000, 0..8),
        dialect in prop::sample::select(Dialect::ALL.to_vec()),
        media_type in prop::sample::select(vec![EVENTS, FRAMES, JSON, ""]),
    ) {
        let mut pieces = Vec::new();
        let mut rest = &bytes[..];
        cuts.sort_unstable();
        for cut in cuts.into_iter().rev() {
            let (before, after) = rest.split_at(cut.min(rest.len()));
            pieces.push(after);
            rest = before;
        }
        pieces.push(rest);
        pieces.reverse();
        let all = whole(dialect, media_type, &bytes);
        prop_assert_eq!(answer(dialect, media_type, pieces), all);
    }
}
