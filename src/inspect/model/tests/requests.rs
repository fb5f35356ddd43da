//! Requests: the turns so far.

use super::*;

#[test]
fn the_turns_of_a_request_are_read_in_every_dialect() {
    let cases: &[(Dialect, &str, &[&str])] = &[
        (
            Dialect::Anthropic,
            r#"{"model":"m","max_tokens":1024,"stream":true,
              "tools":[{"name":"bash","input_schema":{"type":"object"}}],
              "messages":[
              {"role":"user","content":"fix staging"},
              {"role":"assistant","content":[{"type":"text","text":"Looking."},
                {"type":"tool_use","id":"toolu_01","name":"bash","input":{"command":"cat .env"}},
                {"type":"server_tool_use","id":"srv_1","name":"web_search","input":{"query":"x"}}]},
              {"role":"assistant","content":[{"type":"web_search_tool_result","tool_use_id":"srv_1","content":"found"}]},
              {"role":"user","content":[{"tool_use_id":"toolu_01","is_error":false,"content":"TOKEN=1","type":"tool_result"}]},
              {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_02","content":[
                {"type":"text","text":"a\nb"},
                {"type":"image","source":{"type":"base64","data":"aGk="}},
                {"type":"document","source":{"type":"text","data":"c"}}]}]}]}"#,
            &[
                r#"call toolu_01 bash {"command":"cat .env"}"#,
                r#"call srv_1 web_search {"query":"x"} by Provider"#,
                "result srv_1: found by Provider",
                "result toolu_01: TOKEN=1",
                "result toolu_02: a\nb\n{\"type\":\"document\",\"source\":{\"type\":\"text\",\"data\":\"c\"}}",
            ],
        ),
        (
            Dialect::Chat,
            r#"{"messages":[{"role":"system","content":"x"},
              {"role":"assistant","content":null,"tool_calls":[
                {"id":"call_1","type":"function","function":{"name":"shell","arguments":"{\"cmd\":\"ls\"}"}},
                {"id":"call_2","type":"custom","custom":{"name":"code","input":"print(1)"}}]},
              {"role":"tool","tool_call_id":"call_1","content":"a.txt"},
              {"tool_call_id":"call_2","content":[{"type":"text","text":"1"},{"type":"text","text":"2"}],"role":"tool"},
              {"role":"assistant","function_call":{"name":"old","arguments":""}},
              {"role":"function","name":"old","content":"done"}]}"#,
            &[
                r#"call call_1 shell {"cmd":"ls"}"#,
                r#"call call_2 code "print(1)""#,
                "result call_1: a.txt",
                "result call_2: 1\n2",
                "call old old {}",
                "result old of old: done",
            ],
        ),
        (
            Dialect::Responses,
            r#"{"input":[{"role":"user","content":"hi"},
              {"type":"message","role":"user","content":[{"type":"input_text","text":"hi"}]},
              {"type":"function_call","id":"fc_1","call_id":"c1","name":"shell","arguments":"{\"cmd\":\"ls\"}"},
              {"type":"function_call_output","call_id":"c1","output":"a.txt"},
              {"type":"custom_tool_call","call_id":"c2","name":"apply_patch","input":"*** Begin"},
              {"type":"custom_tool_call_output","call_id":"c2","output":[{"type":"input_text","text":"ok"}]},
              {"type":"local_shell_call","id":"l","call_id":"c3","action":{"type":"exec","command":["bash","-lc","x"],"env":{}}},
              {"type":"local_shell_call_output","id":"c3","output":"y"},
              {"type":"shell_call","call_id":"c4","action":{"commands":["env"]}},
              {"type":"shell_call_output","call_id":"c4","output":[{"stdout":"A=1","stderr":"","outcome":{"type":"exit","exit_code":0}}]},
              {"type":"shell_call","call_id":"c5","action":{"commands":["env"]},"environment":{"type":"container_reference","container_id":"k"}},
              {"type":"apply_patch_call","call_id":"c6","operation":{"type":"delete_file","path":"p"}},
              {"type":"mcp_call","id":"m","server_label":"s","name":"t","arguments":"{}","output":"z"},
              {"type":"code_interpreter_call","id":"i","code":"1+1","container_id":"k"},
              {"type":"web_search_call","id":"w","action":{"type":"search","query":"q"}}]}"#,
            &[
                r#"call c1 shell {"cmd":"ls"}"#,
                "result c1: a.txt",
                r#"call c2 apply_patch "*** Begin""#,
                "result c2: ok",
                r#"call c3 local_shell {"type":"exec","command":["bash","-lc","x"],"env":{}}"#,
                "result c3: y",
                r#"call c4 shell {"commands":["env"]}"#,
                r#"result c4: {"stdout":"A=1","stderr":"","outcome":{"type":"exit","exit_code":0}}"#,
                r#"call c5 shell {"commands":["env"]} by Provider"#,
                r#"call c6 apply_patch {"type":"delete_file","path":"p"}"#,
                "call m t {} by Provider",
                "result m of t: z by Provider",
                r#"call i code_interpreter "1+1" by Provider"#,
                r#"call w web_search {"type":"search","query":"q"} by Provider"#,
            ],
        ),
        (Dialect::Responses, r#"{"input":"just a text"}"#, &[]),
        (
            Dialect::Responses,
            r#"{"items":[{"type":"function_call_output","call_id":"c1","output":"x"}]}"#,
            &["result c1: x"],
        ),
        (
            Dialect::Gemini,
            r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]},
              {"role":"model","parts":[{"functionCall":{"id":"f1","name":"run","args":{"cmd":"ls"}},"thoughtSignature":"c2ln"}]},
              {"role":"user","parts":[{"functionResponse":{"id":"f1","name":"run","response":{"output":"a.txt"}}}]},
              {"parts":[{"function_call":{"name":"run","args":{"cmd":"1"}}},{"functionCall":{"name":"run","args":{"cmd":"2"}}}]},
              {"parts":[{"functionResponse":{"name":"run","response":{"output":"1"}}},{"function_response":{"name":"run","response":{"output":"2"}}}]},
              {"parts":[{"executableCode":{"language":"PYTHON","code":"1"}},{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"1"}}]}]}"#,
            &[
                r#"call f1 run {"cmd":"ls"}"#,
                r#"result f1 of run: {"output":"a.txt"}"#,
                r#"call run#1 run {"cmd":"1"}"#,
                r#"call run#2 run {"cmd":"2"}"#,
                r#"result run#1 of run: {"output":"1"}"#,
                r#"result run#2 of run: {"output":"2"}"#,
                r#"call  code_execution {"language":"PYTHON","code":"1"} by Provider"#,
                r#"result : {"outcome":"OUTCOME_OK","output":"1"} by Provider"#,
            ],
        ),
        (
            Dialect::Gemini,
            r#"{"model":"m","request":{"contents":[{"parts":[{"functionCall":{"name":"run"}}]}]}}"#,
            &["call run#1 run {}"],
        ),
        (
            Dialect::Interactions,
            r#"{"input":[{"type":"function_call","id":"f1","name":"run","arguments":{"cmd":"ls"}},
              {"type":"function_result","call_id":"f1","name":"run","result":"a.txt"},
              {"type":"code_execution_call","id":"x","arguments":{"code":"1"}}]}"#,
            &[
                r#"call f1 run {"cmd":"ls"}"#,
                "result f1 of run: a.txt",
                r#"call x code_execution {"code":"1"} by Provider"#,
            ],
        ),
        (
            Dialect::Converse,
            r#"{"messages":[
              {"role":"assistant","content":[{"toolUse":{"toolUseId":"tu1","name":"run","input":{"cmd":"ls"}}},
                {"toolUse":{"toolUseId":"tu2","name":"search","input":{},"type":"server_tool_use"}}]},
              {"role":"user","content":[{"toolResult":{"toolUseId":"tu1","content":[{"text":"a.txt"},{"json":{"b":1}},{"image":{}}],"status":"success"}}]}],
              "toolConfig":{"tools":[{"toolSpec":{"name":"run"}}]}}"#,
            &[
                r#"call tu1 run {"cmd":"ls"}"#,
                "call tu2 search {} by Provider",
                "result tu1: a.txt\n{\"json\":{\"b\":1}}",
            ],
        ),
        (
            Dialect::Invoke,
            r#"{"anthropic_version":"bedrock-2023-05-31","messages":[{"role":"assistant",
              "content":[{"type":"tool_use","id":"t","name":"bash","input":{}}]}]}"#,
            &["call t bash {}"],
        ),
        (
            Dialect::Mcp,
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"volume_delete","arguments":{"volumeId":"v"}}}"#,
            &[r#"call 7 volume_delete {"volumeId":"v"} by Server"#],
        ),
        (
            Dialect::Mcp,
            r#"[{"jsonrpc":"2.0","method":"notifications/initialized"},
              {"jsonrpc":"2.0","id":"a","method":"tools/call","params":{"name":"list"}},
              {"jsonrpc":"2.0","id":"b","method":"resources/read","params":{"uri":"file:///.env"}}]"#,
            &[
                "call a list {} by Server",
                r#"call b resources/read {"uri":"file:///.env"} by Server"#,
            ],
        ),
    ];
    for (dialect, body, expected) in cases {
        assert_eq!(request(*dialect, body), *expected, "{dialect:?}");
    }
}

/// Knows all that it has heard, by what stood there.
#[derive(Default)]
struct Remembering {
    known: Vec<(What, String, String)>,
    heard: Vec<String>,
}

impl Listener for Remembering {
    fn hear(&mut self, said: Said) {
        self.heard.push(shown(&said));
    }
    fn knows(&mut self, met: &Met<'_>) -> bool {
        let one = (met.what, met.id.to_owned(), met.raw.to_owned());
        let is_known = self.known.contains(&one);
        if !is_known {
            self.known.push(one);
        }
        is_known
    }
}

#[test]
fn what_is_known_is_not_said_again() {
    let turn = |id: u32| {
        format!(
            r#"{{"role":"assistant","content":[{{"type":"tool_use","id":"t{id}","name":"bash","input":{{"command":"{id}"}}}}]}},
            {{"role":"user","content":[{{"type":"tool_result","tool_use_id":"t{id}","content":"{id}"}}]}}"#
        )
    };
    let mut listener = Remembering::default();
    let mut turns = Vec::new();
    for id in 0..4 {
        turns.push(turn(id));
        let body = format!(r#"{{"messages":[{}]}}"#, turns.join(","));
        read_request(Dialect::Anthropic, body.as_bytes(), &mut listener);
        let expected =
            [format!(r#"call t{id} bash {{"command":"{id}"}}"#), format!("result t{id}: {id}")];
        assert_eq!(std::mem::take(&mut listener.heard), expected);
    }
    // An id that was there before does not hide another result.
    let body = r#"{"messages":[{"content":[{"type":"tool_result","tool_use_id":"t1","content":"other"}]}]}"#;
    read_request(Dialect::Anthropic, body.as_bytes(), &mut listener);
    assert_eq!(listener.heard, ["result t1: other"]);
}
