//! Answers: what the model calls, and what MCP servers answer.

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const ANTHROPIC: &str = r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}

event: ping
data: {"type":"ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"I will \"type\":\"tool_use\" ä"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0}

event: content_block_start
data: {"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_02","name":"bash","input":{}}}

event: content_block_start
data: {"type":"content_block_start","index":2,"content_block":{"type":"tool_use","id":"toolu_03","name":"list","input":{}}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"command\":\"curl -X POST https://backb"}}

event: content_block_delta
data: {"type":"content_block_delta","index":2,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"oard.railway.app/graphql/v2\\u00"}}

event: content_block_delta
data: {"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"e4\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":2}

event: content_block_stop
data: {"type":"content_block_stop","index":1}

event: content_block_start
data: {"type":"content_block_start","index":3,"content_block":{"type":"server_tool_use","id":"srv","name":"code_execution","input":{"code":"1"}}}

event: content_block_stop
data: {"type":"content_block_stop","index":3}

event: content_block_start
data: {"type":"content_block_start","index":4,"content_block":{"type":"code_execution_tool_result","tool_use_id":"srv","content":{"type":"code_execution_result","stdout":"1"}}}

event: content_block_stop
data: {"type":"content_block_stop","index":4}

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null},"usage":{"output_tokens":42}}

event: message_stop
data: {"type":"message_stop"}

"#;

const OF_ANTHROPIC: &[&str] = &[
    "call toolu_03 list {}",
    r#"call toolu_02 bash {"command":"curl -X POST https://backboard.railway.app/graphql/v2ä"}"#,
    r#"call srv code_execution {"code":"1"} by Provider"#,
    r#"result srv: {"type":"code_execution_result","stdout":"1"} by Provider"#,
];

const CHAT: &str = r#": comment

data: {"id":"c1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"role":"assistant","content":null},"finish_reason":null}]}

data: {"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"call_2","type":"function","function":{"name":"shell","arguments":""}}]},"finish_reason":null}]}

data: {"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"cmd\":\"rm -"}},{"index":1,"id":"call_3","type":"function","function":{"name":"shell","arguments":"{\"cmd\""}}]},"finish_reason":null}]}

data: {"id":"c1","choices":[{"index":0,"delta":{"tool_calls":[{"index":1,"function":{"arguments":":\"ls\"}"}},{"index":0,"function":{"arguments":"rf x\"}"}}]},"finish_reason":null}]}

data: {"id":"c1","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}

data: {"id":"c1","choices":[],"usage":{"total_tokens":1}}

data: [DONE]

"#;

/// All calls by one number, and no word of a finish.
const CHAT_ALIKE: &str = r#"data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"one","arguments":"{\"x\":1}"}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"two","arguments":"{}"}},{"id":"c","function":{"name":"three","arguments":{"y":2}}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":2,"id":"d","function":{"arguments":"{}"}},{"index":3,"function":{"name":"five","arguments":"{}"}}]}}]}

data: {"choices":[{"delta":{"tool_calls":[{"index":2,"id":"d","function":{"name":"four"}},{"index":3,"function":{"name":"six","arguments":"{}"}}]}}]}

data: {"choices":[{"delta":{"function_call":{"name":"old","arguments":"{\"a\""}}}]}

data: {"choices":[{"delta":{"function_call":{"arguments":":1}"}}}]}

data: [DONE]

"#;

const RESPONSES: &str = r#"event: response.created
data: {"type":"response.created","response":{"id":"r","output":[]}}

event: response.output_item.added
data: {"type":"response.output_item.added","sequence_number":3,"output_index":0,"item":{"type":"function_call","id":"fc_1","call_id":"call_3","name":"shell","arguments":"","status":"in_progress"}}

event: response.function_call_arguments.delta
data: {"type":"response.function_call_arguments.delta","sequence_number":4,"item_id":"fc_1","output_index":0,"delta":"{\"cmd\":\"ls\"}"}

event: response.output_item.done
data: {"type":"response.output_item.done","sequence_number":6,"output_index":0,"item":{"type":"function_call","id":"fc_1","call_id":"call_3","name":"shell","arguments":"{\"cmd\":\"ls\"}","status":"completed"}}

event: response.output_item.done
data: {"type":"response.output_item.done","output_index":1,"item":{"type":"local_shell_call","id":"lsh_1","call_id":"call_9","status":"completed","action":{"type":"exec","command":["bash","-lc","railway volume delete --yes"],"env":{},"working_directory":"/w"}}}

event: response.completed
data: {"type":"response.completed","response":{"id":"r","output":[{"type":"function_call","call_id":"call_3","name":"shell","arguments":"{\"cmd\":\"ls\"}"}]}}

"#;

const INTERACTIONS: &str = r#"data: {"event_type":"step.start","index":1,"step":{"type":"function_call","id":"f1","name":"run","arguments":{}}}

data: {"event_type":"step.delta","index":1,"delta":{"type":"arguments_delta","arguments":"{\"cmd\":"}}

data: {"event_type":"step.delta","index":1,"delta":{"type":"arguments_delta","arguments":"\"ls\"}"}}

data: {"event_type":"step.stop","index":1}

data: {"event_type":"interaction.completed","interaction":{"steps":[{"type":"function_call","id":"f1","name":"run","arguments":{"cmd":"ls"}}]}}

"#;

const GEMINI: &str = r#"[{"candidates":[{"index":0,"content":{"role":"model","parts":[{"text":"a ] } \" ["}]}}]}
,
{"candidates":[{"content":{"parts":[{"functionCall":{"id":"f1","name":"run","args":{"cmd":"echo \"}\\"}}}]},"finishReason":"STOP"}],"usageMetadata":{}}
]"#;

#[test]
fn streams_are_read_however_they_are_cut() {
    let gemini = [r#"call f1 run {"cmd":"echo \"}\\"}"#];
    let event_of_gemini = GEMINI.lines().nth(2).map(|line| format!("data: {line}\r\n\r\n"));
    let cases: &[(Dialect, &str, &str, &[&str])] = &[
        (Dialect::Anthropic, EVENTS, ANTHROPIC, OF_ANTHROPIC),
        (
            Dialect::Chat,
            EVENTS,
            CHAT,
            &[r#"call call_2 shell {"cmd":"rm -rf x"}"#, r#"call call_3 shell {"cmd":"ls"}"#],
        ),
        (
            Dialect::Chat,
            "text/plain",
            CHAT_ALIKE,
            &[
                r#"call a one {"x":1}"#,
                "call  five {}",
                "call b two {}",
                r#"call c three {"y":2}"#,
                "call d four {}",
                "call  six {}",
                r#"call old old {"a":1}"#,
            ],
        ),
        (
            Dialect::Responses,
            EVENTS,
            RESPONSES,
            &[
                r#"call call_3 shell {"cmd":"ls"}"#,
                r#"call call_9 local_shell {"type":"exec","command":["bash","-lc","railway volume delete --yes"],"env":{},"working_directory":"/w"}"#,
            ],
        ),
        (Dialect::Interactions, EVENTS, INTERACTIONS, &[r#"call f1 run {"cmd":"ls"}"#]),
        (Dialect::Gemini, JSON, GEMINI, &gemini),
        (Dialect::Gemini, "", GEMINI, &gemini),
        (Dialect::Gemini, EVENTS, event_of_gemini.as_deref().unwrap(), &gemini),
        (
            Dialect::Mcp,
            EVENTS,
            "event: endpoint\ndata: /messages?sessionId=1\n\nid: e1\nevent: message\ndata: {\"jsonrpc\":\"2.0\",\"id\":7,\ndata: \"result\":{\"content\":[{\"type\":\"text\",\"text\":\"deleted\"}],\"isError\":false}}\n\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\",\"params\":{}}\n\n",
            &["result 7: deleted by Server"],
        ),
    ];
    for (dialect, media_type, stream, expected) in cases {
        assert_eq!(however_cut(*dialect, media_type, stream.as_bytes()), *expected, "{dialect:?}");
    }
}

#[test]
fn lines_of_events_end_as_they_like() {
    for end in ["\n", "\r", "\r\n"] {
        for mark in ["", "\u{feff}"] {
            let stream = format!("{mark}{}", ANTHROPIC.replace('\n', end));
            let said = however_cut(Dialect::Anthropic, EVENTS, stream.as_bytes());
            assert_eq!(said, OF_ANTHROPIC, "{end:?} {mark:?}");
            // The first line says something, and the data stands in two.
            let stream = format!(
                "{mark}data: {{\"id\":7,{end}data: \"result\":{{\"content\":\"x\"}}}}{end}{end}"
            );
            let said = however_cut(Dialect::Mcp, EVENTS, stream.as_bytes());
            assert_eq!(said, ["result 7: x by Server"], "{end:?} {mark:?}");
        }
    }
}

#[test]
fn documents_are_read_in_every_dialect() {
    let cases: &[(Dialect, &str, &[&str])] = &[
        (
            Dialect::Anthropic,
            r#" {"type":"message","role":"assistant","content":[{"type":"text","text":"x"},
              {"type":"tool_use","id":"t","name":"bash","input":{"command":"ls"}}],"stop_reason":"tool_use"} "#,
            &[r#"call t bash {"command":"ls"}"#],
        ),
        (
            Dialect::Chat,
            r#"{"choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[
              {"id":"c","type":"function","function":{"name":"shell","arguments":"{}"}}]},"finish_reason":"tool_calls"}]}"#,
            &["call c shell {}"],
        ),
        (
            Dialect::Responses,
            r#"{"id":"r","output":[{"type":"reasoning","id":"x"},{"type":"function_call","call_id":"c","name":"shell","arguments":"{}"}]}"#,
            &["call c shell {}"],
        ),
        (
            Dialect::Gemini,
            r#"{"response":{"candidates":[{"content":{"parts":[{"functionCall":{"name":"run","args":{}}}]}}]}}"#,
            &["call  run {}"],
        ),
        (
            Dialect::Interactions,
            r#"{"id":"i","steps":[{"type":"function_call","id":"f","name":"run","arguments":{}}]}"#,
            &["call f run {}"],
        ),
        (
            Dialect::Converse,
            r#"{"output":{"message":{"role":"assistant","content":[{"toolUse":{"toolUseId":"t","name":"run","input":{"a":1}}}]}},"stopReason":"tool_use"}"#,
            &[r#"call t run {"a":1}"#],
        ),
        (
            Dialect::Invoke,
            r#"{"content":[{"type":"tool_use","id":"t","name":"bash","input":{}}]}"#,
            &["call t bash {}"],
        ),
        (
            Dialect::Mcp,
            r#"[{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"x"}]}},
              {"jsonrpc":"2.0","id":2,"result":{"contents":[{"uri":"file:///.env","text":"A=1"}]}},
              {"jsonrpc":"2.0","id":3,"result":{"content":[],"structuredContent":{"b":2}}},
              {"jsonrpc":"2.0","id":"4","error":{"code":-1,"message":"no"}}]"#,
            &[
                "result 2: A=1 by Server",
                "result 3:  by Server",
                r#"result 3: {"b":2} by Server"#,
                r#"result 4: {"code":-1,"message":"no"} by Server"#,
            ],
        ),
        (Dialect::Anthropic, r#"{"type":"error","error":{"type":"overloaded_error"}}"#, &[]),
        (Dialect::Anthropic, "", &[]),
    ];
    for (dialect, body, expected) in cases {
        assert_eq!(however_cut(*dialect, JSON, body.as_bytes()), *expected, "{dialect:?}");
    }
}

#[test]
fn frames_are_read_however_they_are_cut() {
    let converse = [
        event("messageStart", r#"{"p":"ab","role":"assistant"}"#),
        event("contentBlockDelta", r#"{"contentBlockIndex":0,"delta":{"text":"x"}}"#),
        event("contentBlockStop", r#"{"contentBlockIndex":0}"#),
        event(
            "contentBlockStart",
            r#"{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"tu1","name":"run"}}}"#,
        ),
        event(
            "contentBlockDelta",
            r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{\"cmd\":\"l"}},"p":"abc"}"#,
        ),
        event(
            "contentBlockDelta",
            r#"{"contentBlockIndex":1,"delta":{"toolUse":{"input":"s\"}"}}}"#,
        ),
        event("contentBlockStop", r#"{"contentBlockIndex":1}"#),
        event("messageStop", r#"{"stopReason":"tool_use"}"#),
        frame(&[(":message-type", "exception"), (":exception-type", "throttlingException")], b"{}"),
    ];
    let said = however_cut(Dialect::Converse, FRAMES, &converse.concat());
    assert_eq!(said, [r#"call tu1 run {"cmd":"ls"}"#]);

    let chunk = |inner: &str| {
        let bytes = STANDARD.encode(inner);
        event("chunk", &format!(r#"{{"bytes":"{bytes}","p":"abcd"}}"#))
    };
    let data = |line: &&str| line.starts_with("data: ");
    let of_claude: Vec<_> =
        ANTHROPIC.lines().filter(data).flat_map(|line| chunk(&line[6..])).collect();
    assert_eq!(whole(Dialect::Invoke, FRAMES, &of_claude), OF_ANTHROPIC);
    let of_nova = [
        chunk(
            r#"{"contentBlockStart":{"contentBlockIndex":1,"start":{"toolUse":{"toolUseId":"n","name":"run"}}}}"#,
        ),
        chunk(
            r#"{"contentBlockDelta":{"contentBlockIndex":1,"delta":{"toolUse":{"input":"{}"}}}}"#,
        ),
        chunk(r#"{"contentBlockStop":{"contentBlockIndex":1}}"#),
    ];
    assert_eq!(however_cut(Dialect::Invoke, FRAMES, &of_nova.concat()), ["call n run {}"]);
}
