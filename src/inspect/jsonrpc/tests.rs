//! What a body is read as, and what is refused rather than guessed.

use super::*;
use crate::message::tests::head;
use serde_json::json;

fn post(headers: &[(&str, &str)]) -> Head {
    let mut all = vec![("content-type", "application/json")];
    all.extend_from_slice(headers);
    head("POST", "https://mcp.example.com/mcp", &all).unwrap()
}

fn calls(body: &str) -> Result<Read, Error> {
    read(&post(&[]), body.as_bytes())
}

fn names(body: &str) -> Vec<String> {
    calls(body).unwrap().calls.iter().map(|call| call.name.to_string()).collect()
}

fn delete(id: &Value, volume: &str, meta: &Value) -> String {
    let params = json!({"name": "volume_delete", "arguments": {"volumeId": volume}, "_meta": meta});
    json!({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}).to_string()
}

#[test]
fn a_tool_is_named_and_its_arguments_are_those_of_the_call() {
    let read = calls(&delete(&json!(7), "v", &json!({"progressToken": "p1"}))).unwrap();
    let arguments = json!({"volumeId": "v"}).as_object().unwrap().clone();
    assert_eq!(read.calls, [Call { name: Arc::from("tools/call volume_delete"), arguments }]);
    let asked = Asked { requests: vec![(json!(7), true)], batch: false, typed: false };
    assert_eq!(read.asked, Some(asked));
    let stateless = json!({VERSION_KEY: "2026-07-28"});
    let read = calls(&delete(&json!("a"), "v", &stateless)).unwrap();
    let asked = Asked { requests: vec![(json!("a"), true)], batch: false, typed: true };
    assert_eq!(read.asked, Some(asked));
}

#[test]
fn every_kind_of_message_has_a_name_of_its_own() {
    let cases = [
        (r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{}}"#, "initialize", true),
        (
            r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
            "notifications/initialized",
            false,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"Tools/Call","params":{"name":"x"}}"#,
            "Tools/Call",
            true,
        ),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"eth_call","params":["0x1",{"to":"0x2"}]}"#,
            "eth_call",
            true,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"result":{"roots":[]}}"#, ANSWER, false),
        (r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}"#, ANSWER, false),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a b","arguments":null}}"#,
            "tools/call a b",
            true,
        ),
    ];
    for (body, name, waits) in cases {
        assert_eq!(names(body), [name], "{body}");
        assert_eq!(calls(body).unwrap().asked.is_some(), waits, "{body}");
    }
    let listed = calls(r#"{"jsonrpc":"2.0","id":1,"method":"m","params":["vol-1"]}"#).unwrap();
    assert_eq!(listed.calls[0].arguments["params"][0], "vol-1");
}

#[test]
fn a_batch_is_all_of_its_messages() {
    let body = r#"[
        {"jsonrpc":"2.0","id":1,"method":"tools/list"},
        {"jsonrpc":"2.0","method":"notifications/progress","params":{}},
        {"jsonrpc":"2.0","id":"1","method":"tools/call","params":{"name":"x"}},
        {"jsonrpc":"2.0","id":1,"result":{}}
    ]"#;
    let read = calls(body).unwrap();
    assert_eq!(names(body), ["tools/list", "notifications/progress", "tools/call x", ANSWER]);
    let requests = vec![(json!(1), false), (json!("1"), true)];
    assert_eq!(read.asked, Some(Asked { requests, batch: true, typed: false }));
    let many = |count: usize| {
        let one = |id| json!({"jsonrpc": "2.0", "id": id, "method": "ping"});
        Value::Array((0..count).map(one).collect()).to_string()
    };
    assert_eq!(names(&many(MESSAGES)).len(), MESSAGES);
    assert!(calls(&many(MESSAGES + 1)).is_err());
}

#[test]
fn what_has_two_readings_is_refused() {
    let long = "x".repeat(NAME + 1);
    let call = |name: &str| {
        json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": name}})
            .to_string()
    };
    let bodies = [
        "[]".to_owned(),
        "[[]]".to_owned(),
        "7".to_owned(),
        r#"[{"jsonrpc":"2.0","id":1,"method":"a"},{"jsonrpc":"2.0","id":1,"method":"b"}]"#
            .to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#.to_owned(),
        r#"{"id":1,"method":"a"}"#.to_owned(),
        r#"{"jsonrpc":"1.0","id":1,"method":"a"}"#.to_owned(),
        r#"{"jsonrpc":2.0,"id":1,"method":"a"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"a","extra":1}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"a","_method":"DELETE"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":null,"method":"a"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1.5,"method":"a"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1.0,"method":"a"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":{},"method":"a"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":99999999999999999999999,"method":"a"}"#.to_owned(),
        json!({"jsonrpc": "2.0", "id": "x".repeat(ID + 1), "method": "a"}).to_string(),
        r#"{"jsonrpc":"2.0","id":1,"method":7}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":""}"#.to_owned(),
        // Else a method could pass for a tool, or for what has no body.
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call list_volumes"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"client response"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"a","params":"x"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"a","result":{}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","result":{}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call"}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["x"]}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":7}}"#.to_owned(),
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":[1]}}"#
            .to_owned(),
        call(""),
        call(" x"),
        call("x\ny"),
        call("list\u{202e}eteled"),
        call("x\u{200b}"),
        call(&long),
    ];
    for body in bodies {
        assert!(matches!(calls(&body), Err(Error::Unreadable(_))), "{body}");
    }
    let good = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    let heads: &[&[(&str, &str)]] = &[
        &[("content-encoding", "compress")],
        &[("content-type", "application/json; charset=utf-16")],
        &[("content-type", "application/json, text/plain")],
    ];
    for headers in heads {
        let head = head("POST", "https://mcp.example.com/mcp", headers).unwrap();
        assert!(matches!(read(&head, good.as_bytes()), Err(Error::Unreadable(_))), "{headers:?}");
    }
}

/// Go reads a member in any case of its letters, and lets the last one count.
#[test]
fn a_member_in_other_letters_is_refused() {
    let refused = [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"NAME":"b","name":"a"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Arguments":{}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","argument\u017f":{}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","_Meta":{}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"prompts/get","params":{"name":"a","Name":"b"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"a","URI":"b"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"tasks/cancel","params":{"TaskID":"b"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"transfer","params":{"account":"a","Account":"b"}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"ping","Params":{}}"#,
        r#"{"jsonrpc":"2.0","id":1,"ID":2,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","JSONRPC":"2.0","id":1,"method":"ping"}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{},"Method":"ping"}"#,
        r#"[{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","nAme":"b"}}]"#,
    ];
    for body in refused {
        assert!(matches!(calls(body), Err(Error::Unreadable(_))), "{body}");
    }
    // What a tool is called with is the tool's own; so are the parameters of other methods.
    let read = [
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"env":1,"Env":2}}}"#,
        r#"{"jsonrpc":"2.0","id":1,"method":"transfer","params":{"Name":"a","Arguments":[]}}"#,
    ];
    for body in read {
        assert!(calls(body).is_ok(), "{body}");
    }
}

#[test]
fn a_header_that_says_another_call_is_told_apart_from_what_cannot_be_read() {
    let body = delete(&json!(1), "v", &json!({}));
    let mirrors = [("mcp-method", "tools/call"), ("mcp-name", "volume_delete")];
    assert!(read(&post(&mirrors), body.as_bytes()).is_ok());
    for wrong in [("mcp-method", "tools/list"), ("mcp-name", "list_volumes")] {
        let read = read(&post(&[wrong]), body.as_bytes());
        assert!(matches!(read, Err(Error::Contradiction(_))), "{wrong:?}");
    }
}

#[test]
fn a_try_has_the_meaning_of_another_whose_id_and_tokens_differ() {
    let meaning = |body: &str| calls(body).unwrap().meaning.unwrap();
    let first = meaning(&delete(&json!(1), "v", &json!({"progressToken": 1})));
    let again = json!({"progressToken": "two", "traceparent": "00-1", VERSION_KEY: "2026-07-28"});
    assert_eq!(first, meaning(&delete(&json!("b"), "v", &again)));
    assert_eq!(first, meaning(&delete(&json!(2), "v", &json!({}))));
    let spaced = delete(&json!(3), "v", &json!({})).replace(',', " ,\n");
    assert_eq!(first, meaning(&spaced));
    // Whether any of this changes what is done only the server knows, so it is taken to.
    let others = [
        delete(&json!(1), "w", &json!({"progressToken": 1})),
        delete(&json!(1), "v", &json!({"com.example/tenant": "production"})),
        delete(&json!(1), "v", &json!({"baggage": "env=production"})),
        delete(&json!(1), "v", &json!({})).replace("tools/call", "tools/Call"),
        delete(&json!(1), "v", &json!({})).replace(r#""id":1,"#, ""),
        format!(
            "[{0},{1}]",
            delete(&json!(1), "v", &json!({})),
            delete(&json!(2), "v", &json!({}))
        ),
    ];
    for other in others {
        assert_ne!(first, meaning(&other), "{other}");
    }
    assert_eq!(calls(&delete(&json!(1), "v", &json!({"x": 0.1}))).unwrap().meaning, None);
    let answer = |id: u8| meaning(&json!({"jsonrpc": "2.0", "id": id, "result": {}}).to_string());
    assert_ne!(answer(1), answer(2), "an answer belongs to the question with its id");
}

/// Method, path and what stands in the head.
struct Asking(&'static str, &'static str, &'static [(&'static str, &'static str)]);

#[test]
fn a_head_says_what_kind_of_request_it_is() {
    const EVENTS: (&str, &str) = ("accept", "application/json, text/event-stream");
    const SESSION: (&str, &str) = ("mcp-session-id", "s-1");
    const JSON: (&str, &str) = ("content-type", "application/json");
    const TEXT: (&str, &str) = ("content-type", "text/plain");
    const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");
    let cases = [
        (Asking("POST", "/mcp", &[JSON]), Some(Shape::Messages)),
        (Asking("POST", "/", &[JSON]), Some(Shape::Messages)),
        (Asking("POST", "/api/mcp/", &[JSON]), Some(Shape::Messages)),
        (Asking("POST", "/messages?sessionId=7", &[TEXT]), Some(Shape::Messages)),
        (Asking("POST", "/messages/?session_id=7", &[JSON]), Some(Shape::Messages)),
        (Asking("POST", "/sse/message?sessionId=7", &[JSON]), Some(Shape::Messages)),
        (Asking("POST", "/sse", &[JSON]), Some(Shape::Messages)),
        (Asking("POST", "/api/v1/mcp", &[JSON]), Some(Shape::Messages)),
        (Asking("POST", "/v1/sse/message?sessionId=7", &[JSON]), Some(Shape::Messages)),
        // Behind another word, it may be the name of a thing.
        (Asking("POST", "/projects/mcp", &[JSON]), None),
        (Asking("POST", "/api/projects/rpc", &[JSON]), None),
        (Asking("POST", "/api/v1/api/mcp", &[JSON]), None),
        (Asking("POST", "/v100/mcp", &[JSON]), None),
        (Asking("GET", "/projects/sse", &[EVENTS]), None),
        (Asking("DELETE", "/projects/mcp", &[SESSION]), None),
        (Asking("DELETE", "/v1/projects/jsonrpc", &[SESSION]), None),
        // The older transport is written to in a session only.
        (Asking("POST", "/messages", &[JSON]), None),
        (Asking("POST", "/messages?sessionId=", &[JSON]), None),
        (Asking("POST", "/v1/messages", &[JSON]), None),
        (Asking("POST", "/v1/messages?sessionId=7", &[JSON]), None),
        (Asking("POST", "/rooms/7/messages?sessionId=7", &[JSON]), None),
        // Only the last segment says so: whoever is behind more may do what the path says.
        (Asking("POST", "/mcp/x/issues/readonly", &[JSON]), None),
        (Asking("POST", "/api/volumes/7/remove", &[JSON]), None),
        (Asking("POST", "/v1/messages/7/archive", &[JSON]), None),
        (Asking("POST", "/?remove=7", &[JSON]), None),
        (Asking("POST", "/mcp?sessionId=7", &[JSON]), None),
        (Asking("POST", "/messages?sessionId=7&x=1", &[JSON]), None),
        (Asking("POST", "/messages?sessionId=delete", &[JSON]), None),
        (Asking("POST", "/messages?volume=7", &[JSON]), None),
        (Asking("POST", "/mcp", &[]), Some(Shape::Messages)),
        (Asking("POST", "/mcp", &[FORM]), None),
        // It has an entry, so it is what that says.
        (Asking("POST", "/token", &[JSON]), None),
        // Whoever is there may not look at the body.
        (Asking("POST", "/volumes/7/wipe-now", &[JSON]), None),
        (Asking("POST", "/mcp/volumes/7/delete", &[JSON]), None),
        (Asking("POST", "/mcp?action=delete", &[JSON]), None),
        (Asking("GET", "/mcp", &[EVENTS]), Some(Shape::Stream)),
        (Asking("GET", "/sse", &[EVENTS]), Some(Shape::Stream)),
        (Asking("GET", "/", &[EVENTS]), Some(Shape::Stream)),
        (Asking("GET", "/mcp", &[]), None),
        (Asking("GET", "/messages", &[EVENTS]), None),
        (Asking("GET", "/sse?sessionId=7", &[EVENTS]), None),
        (Asking("GET", "/api/tools/volume_delete/invoke?volume=7", &[EVENTS]), None),
        (Asking("GET", "/volumes", &[EVENTS]), None),
        (Asking("GET", "/mcp?method=volumeDelete", &[EVENTS]), None),
        (Asking("DELETE", "/mcp", &[SESSION]), Some(Shape::End)),
        (Asking("DELETE", "/mcp", &[]), None),
        (Asking("DELETE", "/volumes/7", &[SESSION]), None),
        (Asking("DELETE", "/mcp?volume=7", &[SESSION]), None),
        (Asking("DELETE", "/mcp/volumes/7", &[SESSION]), None),
        (Asking("DELETE", "/v1/rooms/7/messages", &[SESSION]), None),
        (Asking("DELETE", "/messages?sessionId=7", &[SESSION]), None),
        (Asking("DELETE", "/sse", &[SESSION]), None),
        (Asking("PUT", "/mcp", &[EVENTS]), None),
    ];
    let catalog = Catalog::embedded("mcp").unwrap();
    // The name of a host says nothing of its paths.
    for host in ["tools.example.com", "mcp.example.com"] {
        for (Asking(method, path, headers), expected) in &cases {
            let head = head(method, &format!("https://{host}{path}"), headers).unwrap();
            assert_eq!(takes(&head, &catalog), *expected, "{method} {host}{path} {headers:?}");
        }
    }
    let named = head("POST", "https://mcp.example.com/mcp", &[JSON]).unwrap();
    let railway = Catalog::embedded("railway").unwrap();
    assert_eq!(takes(&named, &railway), None);
}

#[test]
fn a_catalog_may_say_where_calls_are_taken() {
    let text = "{ service: x, title: X, kind: api, hosts: [], slots: [], kinds: [], envelopes: [mcp], endpoints: [/v1/*] }";
    let catalog = Catalog::parse(text).unwrap();
    for (method, path, taken) in [
        ("POST", "/v1/ledger", true),
        ("POST", "/v1/ledger?profile=a", true),
        ("POST", "/v1/ledger?Method=close", false),
        ("POST", "/v1/delete", true),
        ("POST", "/mcp", false),
        ("DELETE", "/v1/ledger", true),
        ("DELETE", "/v1/ledger?account=7", false),
        ("DELETE", "/mcp", false),
    ] {
        let headers = [("mcp-session-id", "s-1")];
        let head = head(method, &format!("https://mcp.example.com{path}"), &headers).unwrap();
        assert_eq!(takes(&head, &catalog).is_some(), taken, "{method} {path}");
    }
    assert!(Catalog::parse(&text.replace("/v1/*", "v1")).is_err());
}
