//! Answers of models and of servers of tools as they come: in each dialect and framing, with one call
//! that reads a file or one result with a token in it, and prose around it.

use super::{ANTHROPIC, BEDROCK, GOOGLE, OPENAI, TOOLS};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use serde_json::{Value, json};
use std::io::Write as _;

pub(super) const EVENTS: &str = "text/event-stream; charset=utf-8";
pub(super) const JSON: &str = "application/json";
const FRAMES: &str = "application/vnd.amazon.eventstream";

/// A form of an answer.
pub(super) struct Wire {
    pub(super) name: &'static str,
    pub(super) host: &'static str,
    pub(super) path: &'static str,
    pub(super) media: &'static str,
    /// Its bytes, with a call that reads this file.
    pub(super) body: fn(&str) -> Vec<u8>,
}

const CONVERSE: &str = "/model/anthropic.claude-x/converse-stream";
const INVOKE: &str = "/model/anthropic.claude-x/invoke-with-response-stream";
const STREAMED: &str = "/v1beta/models/gemini-x:streamGenerateContent";

const fn wire(
    name: &'static str,
    host: &'static str,
    path: &'static str,
    media: &'static str,
    body: fn(&str) -> Vec<u8>,
) -> Wire {
    Wire { name, host, path, media, body }
}

pub(super) const WIRES: &[Wire] = &[
    wire("Anthropic events", ANTHROPIC, "/v1/messages", EVENTS, anthropic),
    wire("Anthropic JSON", ANTHROPIC, "/v1/messages", JSON, anthropic_json),
    wire("Chat events", OPENAI, "/v1/chat/completions", EVENTS, chat),
    wire("Responses events", OPENAI, "/v1/responses", EVENTS, responses),
    wire("Gemini events", GOOGLE, STREAMED, EVENTS, gemini),
    wire("Gemini array", GOOGLE, STREAMED, JSON, gemini_array),
    wire("Converse frames", BEDROCK, CONVERSE, FRAMES, converse),
    wire("Invocation frames", BEDROCK, INVOKE, FRAMES, invocation),
];

/// Those of servers of tools: what is in them is a result.
pub(super) const RESULTS: &[Wire] = &[
    wire("MCP JSON", TOOLS, "/mcp", JSON, result),
    wire("MCP events", TOOLS, "/mcp", EVENTS, result_events),
];

fn command(file: &str) -> Value {
    json!({ "command": format!("cat {file}") })
}

/// The input of the call in two pieces, cut in the middle of a word.
fn pieces(file: &str) -> [String; 2] {
    let text = command(file).to_string();
    let (first, second) = text.split_at(text.len() / 2);
    [first.to_owned(), second.to_owned()]
}

fn events(events: &[Value]) -> Vec<u8> {
    let line = |event: &Value| {
        let name = event["type"].as_str().map_or(String::new(), |name| format!("event: {name}\n"));
        format!("{name}data: {event}\n\n")
    };
    events.iter().map(line).collect::<String>().into_bytes()
}

fn of_anthropic(file: &str) -> Vec<Value> {
    let mut all = vec![
        json!({"type": "message_start", "message": {"id": "m", "role": "assistant", "content": []}}),
        json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}}),
        json!({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "I löök at the worker."}}),
        json!({"type": "content_block_stop", "index": 0}),
        json!({"type": "content_block_start", "index": 1, "content_block": {"type": "tool_use", "id": file, "name": "bash", "input": {}}}),
    ];
    all.extend(pieces(file).map(|piece| {
        json!({"type": "content_block_delta", "index": 1, "delta": {"type": "input_json_delta", "partial_json": piece}})
    }));
    all.push(json!({"type": "content_block_stop", "index": 1}));
    all.push(json!({"type": "message_stop"}));
    all
}

pub(super) fn anthropic(file: &str) -> Vec<u8> {
    events(&of_anthropic(file))
}

fn anthropic_json(file: &str) -> Vec<u8> {
    let call = json!({"type": "tool_use", "id": file, "name": "bash", "input": command(file)});
    json!({"type": "message", "role": "assistant", "content": [call]}).to_string().into_bytes()
}

fn chat(file: &str) -> Vec<u8> {
    let delta = |call: Value| json!({"choices": [{"index": 0, "delta": {"tool_calls": [call]}}]});
    let [first, second] = pieces(file);
    let mut bytes = events(&[
        json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": "I look."}}]}),
        delta(
            json!({"index": 0, "id": file, "type": "function", "function": {"name": "bash", "arguments": first}}),
        ),
        delta(json!({"index": 0, "function": {"arguments": second}})),
        json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]}),
    ]);
    bytes.extend_from_slice(b": a comment\n\ndata: [DONE]\n\n");
    bytes
}

fn responses(file: &str) -> Vec<u8> {
    let call = |arguments: &str| json!({"type": "function_call", "id": "fc", "call_id": file, "name": "bash", "arguments": arguments});
    let all = command(file).to_string();
    let mut said = vec![
        json!({"type": "response.created", "response": {"id": "r", "output": []}}),
        json!({"type": "response.output_item.added", "output_index": 0, "item": call("")}),
    ];
    said.extend(pieces(file).map(|piece| {
        json!({"type": "response.function_call_arguments.delta", "item_id": "fc", "output_index": 0, "delta": piece})
    }));
    said.push(json!({"type": "response.output_item.done", "output_index": 0, "item": call(&all)}));
    said.push(
        json!({"type": "response.completed", "response": {"id": "r", "output": [call(&all)]}}),
    );
    events(&said)
}

fn of_gemini(file: &str) -> [Value; 2] {
    let part =
        |part: Value| json!({"candidates": [{"content": {"role": "model", "parts": [part]}}]});
    let call = json!({"functionCall": {"id": file, "name": "bash", "args": command(file)}});
    [part(json!({"text": "a ] } \" ["})), part(call)]
}

fn gemini(file: &str) -> Vec<u8> {
    events(&of_gemini(file))
}

fn gemini_array(file: &str) -> Vec<u8> {
    let [first, second] = of_gemini(file);
    format!("[{first}\n,\r\n{second}\n]").into_bytes()
}

fn sum(bytes: &[u8]) -> [u8; 4] {
    let mut sum = flate2::Crc::new();
    sum.update(bytes);
    sum.sum().to_be_bytes()
}

/// A frame of an event stream.
fn frame(kind: &str, payload: &str) -> Vec<u8> {
    let mut headers = Vec::new();
    for (name, value) in [(":event-type", kind), (":message-type", "event")] {
        headers.push(u8::try_from(name.len()).unwrap());
        headers.extend_from_slice(name.as_bytes());
        headers.push(7);
        headers.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        headers.extend_from_slice(value.as_bytes());
    }
    let length = u32::try_from(headers.len() + payload.len() + 16).unwrap();
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(&u32::try_from(headers.len()).unwrap().to_be_bytes());
    frame.extend_from_slice(&sum(&frame));
    frame.extend_from_slice(&headers);
    frame.extend_from_slice(payload.as_bytes());
    frame.extend_from_slice(&sum(&frame));
    frame
}

fn converse(file: &str) -> Vec<u8> {
    let start = json!({"toolUse": {"toolUseId": file, "name": "bash"}});
    let delta = |delta: Value| json!({"contentBlockIndex": 1, "delta": delta}).to_string();
    let mut bytes = frame("messageStart", r#"{"role":"assistant"}"#);
    bytes.extend(frame(
        "contentBlockStart",
        &json!({"contentBlockIndex": 1, "start": start}).to_string(),
    ));
    for piece in pieces(file) {
        let delta = delta(json!({"toolUse": {"input": piece}}));
        bytes.extend(frame("contentBlockDelta", &delta));
    }
    bytes.extend(frame("contentBlockStop", r#"{"contentBlockIndex":1}"#));
    bytes.extend(frame("messageStop", r#"{"stopReason":"tool_use"}"#));
    bytes
}

fn invocation(file: &str) -> Vec<u8> {
    let chunk = |event: &Value| {
        let bytes = STANDARD.encode(event.to_string());
        frame("chunk", &json!({"bytes": bytes, "p": "abcd"}).to_string())
    };
    of_anthropic(file).iter().flat_map(chunk).collect()
}

/// A token that is nobody's but of one file.
pub(super) fn token(file: &str) -> String {
    let number = file.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(131) + u64::from(byte));
    format!("0badc0de-0000-4000-8000-{:012x}", number & 0xffff_ffff_ffff)
}

fn of_server(file: &str) -> Value {
    let text = format!("# domains\nRAILWAY_TOKEN={}\n", token(file));
    let content = json!([{"type": "text", "text": text}]);
    json!({"jsonrpc": "2.0", "id": file, "result": {"content": content, "isError": false}})
}

fn result(file: &str) -> Vec<u8> {
    of_server(file).to_string().into_bytes()
}

fn result_events(file: &str) -> Vec<u8> {
    format!("id: e1\nevent: message\ndata: {}\n\n", of_server(file)).into_bytes()
}

/// The call to which that is the result.
pub(super) fn call(file: &str) -> String {
    let params = json!({"name": "read_file", "arguments": {"path": file}});
    json!({"jsonrpc": "2.0", "id": file, "method": "tools/call", "params": params}).to_string()
}

/// Codes a body as the name says.
pub(super) fn coded(coding: &str, body: &[u8]) -> Vec<u8> {
    match coding {
        "" => body.to_vec(),
        "gzip" => gzip(body),
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            encoder.write_all(body).unwrap();
            encoder.finish().unwrap()
        }
        "br" => brotli(body),
        "zstd" => compress_to_vec(body, CompressionLevel::Fastest),
        "gzip, gzip" => gzip(&gzip(body)),
        _ => panic!("{coding}"),
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// Brotli whose blocks are not compressed (RFC 7932, section 9).
fn brotli(body: &[u8]) -> Vec<u8> {
    let mut coded = Vec::new();
    // Only before the first block stands the bit of a window of 64 KiB.
    for (number, block) in body.chunks(1 << 16).enumerate() {
        // Not the last; a length of four nibbles; not compressed.
        let head = (u32::try_from(block.len()).unwrap() - 1) << 3 | 1 << 19;
        let head = if number == 0 { head << 1 } else { head };
        coded.extend_from_slice(&head.to_le_bytes()[..3]);
        coded.extend_from_slice(block);
    }
    // The last, and empty.
    coded.push(3);
    coded
}
