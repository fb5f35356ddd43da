//! Conversations as providers' clients and servers write them: requests with all that was said before,
//! and answers, whole or as a stream of events.

use serde::Deserialize;
use serde_json::{Value, json};
use std::fmt::Write as _;

/// Whose form it is.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Model {
    #[default]
    Anthropic,
    Chat,
    Responses,
    Gemini,
}

/// A tool call of a model, and what the agent answers it with.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) tool: String,
    pub(super) input: Value,
    pub(super) result: String,
    /// A picture of so many bytes beside the text.
    #[serde(default)]
    pub(super) image: usize,
    #[serde(default)]
    pub(super) failed: bool,
}

/// What a model said in one turn.
#[derive(Clone, Debug)]
pub(super) struct Turn {
    pub(super) text: String,
    pub(super) calls: Vec<Call>,
}

const TASK: &str = "The staging deployment is flaky. Find out why and mend it. The token you may use is in \
    RAILWAY_STAGING_TOKEN; never touch production, and ask before anything is deleted.";
const SYSTEM: &str = "You are a coding agent. Do not print secrets, passwords or API keys. Read files before \
    you edit them. If a command fails with 401, tell the user; do not look for other credentials.";

/// The tools as they are declared, by name and by what a call takes.
const TOOLS: &[(&str, &str, &str)] = &[
    (
        "Bash",
        "command",
        "Runs a command. Never run `cat .env` or `rm -rf /`; tokens are in the environment.",
    ),
    ("Read", "file_path", "Reads a file."),
    ("Write", "file_path", "Writes a file."),
    ("Edit", "file_path", "Replaces a text in a file."),
    ("Grep", "pattern", "Searches files, e.g. `password|token`."),
    ("Glob", "pattern", "Finds files, e.g. `**/*.pem`."),
    ("WebFetch", "url", "Fetches a page."),
];

impl Model {
    pub(super) const fn host(self) -> &'static str {
        match self {
            Self::Anthropic => "api.anthropic.com",
            Self::Chat | Self::Responses => "api.openai.com",
            Self::Gemini => "generativelanguage.googleapis.com",
        }
    }

    pub(super) const fn path(self, streams: bool) -> &'static str {
        match (self, streams) {
            (Self::Anthropic, _) => "/v1/messages",
            (Self::Chat, _) => "/v1/chat/completions",
            (Self::Responses, _) => "/v1/responses",
            (Self::Gemini, false) => "/v1beta/models/gemini-3-pro:generateContent",
            (Self::Gemini, true) => "/v1beta/models/gemini-3-pro:streamGenerateContent?alt=sse",
        }
    }

    /// The headers of its client, with a key of the form that its keys have.
    pub(super) fn headers(self) -> Vec<(&'static str, String)> {
        let drawn = "R8dK2mV7xQ4nB9sT1wZ6yH3cJ5fL0gPaEuXoNiWk";
        match self {
            Self::Anthropic => vec![
                ("x-api-key", ["sk-ant-", "api03-", drawn].concat()),
                ("anthropic-version", "2023-06-01".to_owned()),
                ("user-agent", "claude-cli/2.0.14 (external, cli)".to_owned()),
            ],
            Self::Chat | Self::Responses => vec![
                ("authorization", ["Bearer sk-", "proj-", drawn].concat()),
                ("user-agent", "OpenAI/Python 2.8.1".to_owned()),
            ],
            Self::Gemini => vec![("x-goog-api-key", ["AI", "zaSy", &drawn[..33]].concat())],
        }
    }

    /// What the client sends: the task, all that was said so far, and the last results.
    pub(super) fn request(self, said: &[Turn], streams: bool) -> Value {
        let all = || said.iter().enumerate();
        match self {
            Self::Anthropic => {
                let mut messages = vec![json!({ "role": "user", "content": TASK })];
                for (number, turn) in all() {
                    messages
                        .push(json!({ "role": "assistant", "content": anthropic(number, turn) }));
                    let results = turn.calls.iter().enumerate().map(|(at, call)| {
                        json!({
                            "type": "tool_result", "tool_use_id": id("toolu_01", number, at),
                            "content": blocks(call), "is_error": call.failed,
                        })
                    });
                    messages
                        .push(json!({ "role": "user", "content": answered(results.collect()) }));
                }
                let tools = TOOLS.iter().map(|(name, member, told)| {
                    json!({
                        "name": name, "description": told, "input_schema": schema(member),
                    })
                });
                json!({
                    "model": "claude-sonnet-4-5", "max_tokens": 32000, "stream": streams,
                    "system": [{ "type": "text", "text": SYSTEM, "cache_control": { "type": "ephemeral" } }],
                    "tools": tools.collect::<Vec<_>>(), "messages": messages,
                })
            }
            Self::Chat => {
                let mut messages = vec![
                    json!({ "role": "system", "content": SYSTEM }),
                    json!({ "role": "user", "content": TASK }),
                ];
                for (number, turn) in all() {
                    messages.push(json!({
                        "role": "assistant", "content": turn.text, "tool_calls": chat(number, turn),
                    }));
                    messages.extend(turn.calls.iter().enumerate().map(|(at, call)| json!({
                        "role": "tool", "tool_call_id": id("call_", number, at), "content": call.result,
                    })));
                }
                let tools = TOOLS.iter().map(|(name, member, told)| {
                    json!({ "type": "function", "function": {
                        "name": name, "description": told, "parameters": schema(member),
                    }})
                });
                json!({
                    "model": "gpt-5.1", "stream": streams, "tools": tools.collect::<Vec<_>>(),
                    "messages": messages,
                })
            }
            // What was said before is stored, so that only what is new is sent.
            Self::Responses => {
                let mut input = vec![json!({ "role": "user", "content": TASK })];
                if let Some((number, turn)) = all().next_back() {
                    let outputs = turn.calls.iter().enumerate();
                    input = outputs
                        .map(|(at, call)| {
                            json!({
                                "type": "function_call_output", "call_id": id("call_", number, at),
                                "output": call.result,
                            })
                        })
                        .collect();
                }
                let before = said.len().checked_sub(1).map(|number| id("resp_", number, 0));
                let tools = TOOLS.iter().map(|(name, member, told)| json!({
                    "type": "function", "name": name, "description": told, "parameters": schema(member),
                }));
                json!({
                    "model": "gpt-5.1-codex", "stream": streams, "instructions": SYSTEM, "input": input,
                    "previous_response_id": before, "tools": tools.collect::<Vec<_>>(), "store": true,
                })
            }
            Self::Gemini => {
                let mut contents = vec![json!({ "role": "user", "parts": [{ "text": TASK }] })];
                for (number, turn) in all() {
                    contents.push(json!({ "role": "model", "parts": gemini(number, turn) }));
                    let results = turn.calls.iter().enumerate().map(|(at, call)| {
                        json!({ "functionResponse": {
                            "id": id("fc-", number, at), "name": call.tool,
                            "response": { "output": call.result },
                        }})
                    });
                    contents.push(json!({ "role": "user", "parts": results.collect::<Vec<_>>() }));
                }
                let tools = TOOLS.iter().map(|(name, member, told)| {
                    json!({
                        "name": name, "description": told, "parameters": schema(member),
                    })
                });
                json!({
                    "systemInstruction": { "parts": [{ "text": SYSTEM }] }, "contents": contents,
                    "tools": [{ "functionDeclarations": tools.collect::<Vec<_>>() }],
                    "generationConfig": { "temperature": 0.2, "maxOutputTokens": 8192 },
                })
            }
        }
    }

    /// What the provider answers with as a whole.
    pub(super) fn answer(self, number: usize, turn: &Turn) -> Value {
        match self {
            Self::Anthropic => json!({
                "id": id("msg_01", number, 0), "type": "message", "role": "assistant",
                "model": "claude-sonnet-4-5-20250929", "content": anthropic(number, turn),
                "stop_reason": if turn.calls.is_empty() { "end_turn" } else { "tool_use" },
                "stop_sequence": null,
                "usage": { "input_tokens": 4211, "cache_read_input_tokens": 18044, "output_tokens": 87 },
            }),
            Self::Chat => json!({
                "id": id("chatcmpl-", number, 0), "object": "chat.completion", "created": 1_763_770_000,
                "model": "gpt-5.1-2025-11-13", "system_fingerprint": "fp_44709d6fcb",
                "choices": [{ "index": 0, "finish_reason": "tool_calls", "logprobs": null, "message": {
                    "role": "assistant", "content": turn.text, "tool_calls": chat(number, turn),
                }}],
                "usage": { "prompt_tokens": 912, "completion_tokens": 44, "total_tokens": 956 },
            }),
            Self::Responses => json!({
                "id": id("resp_", number, 0), "object": "response", "status": "completed",
                "model": "gpt-5.1-codex", "output": responses(number, turn),
                "usage": { "input_tokens": 912, "output_tokens": 44, "total_tokens": 956 },
            }),
            Self::Gemini => json!({
                "candidates": [{ "index": 0, "finishReason": "STOP", "content": {
                    "role": "model", "parts": gemini(number, turn),
                }}],
                "usageMetadata": { "promptTokenCount": 912, "totalTokenCount": 956 },
                "modelVersion": "gemini-3-pro", "responseId": id("", number, 0),
            }),
        }
    }

    /// The same as a stream of events.
    pub(super) fn events(self, number: usize, turn: &Turn) -> String {
        let mut events: Vec<Value> = Vec::new();
        match self {
            Self::Anthropic => {
                let mut message = self.answer(number, turn);
                let blocks = std::mem::replace(&mut message["content"], json!([]));
                message["stop_reason"] = Value::Null;
                events.push(json!({ "type": "message_start", "message": message }));
                for (index, block) in blocks.as_array().unwrap().iter().enumerate() {
                    let mut start = block.clone();
                    let deltas: Vec<Value> = if block["type"] == "text" {
                        start["text"] = json!("");
                        let text = block["text"].as_str().unwrap();
                        pieces(text, 19)
                            .map(|text| json!({ "type": "text_delta", "text": text }))
                            .collect()
                    } else {
                        start["input"] = json!({});
                        let input = block["input"].to_string();
                        pieces(&input, 23)
                            .map(|text| json!({ "type": "input_json_delta", "partial_json": text }))
                            .collect()
                    };
                    events.push(json!({
                        "type": "content_block_start", "index": index, "content_block": start,
                    }));
                    events.push(json!({ "type": "ping" }));
                    let delta = |delta| {
                        json!({
                            "type": "content_block_delta", "index": index, "delta": delta,
                        })
                    };
                    events.extend(deltas.into_iter().map(delta));
                    events.push(json!({ "type": "content_block_stop", "index": index }));
                }
                events.push(json!({
                    "type": "message_delta", "delta": { "stop_reason": "tool_use", "stop_sequence": null },
                    "usage": { "output_tokens": 87 },
                }));
                events.push(json!({ "type": "message_stop" }));
            }
            Self::Responses => {
                for (index, item) in responses(number, turn).iter().enumerate() {
                    let mut begun = item.clone();
                    if begun["type"] == "function_call" {
                        begun["arguments"] = json!("");
                        begun["status"] = json!("in_progress");
                    }
                    events.push(json!({
                        "type": "response.output_item.added", "output_index": index, "item": begun,
                    }));
                    for piece in pieces(item["arguments"].as_str().unwrap_or_default(), 17) {
                        events.push(json!({
                            "type": "response.function_call_arguments.delta", "item_id": item["id"],
                            "output_index": index, "delta": piece,
                        }));
                    }
                    events.push(json!({
                        "type": "response.output_item.done", "output_index": index, "item": item,
                    }));
                }
                let whole = self.answer(number, turn);
                events.push(json!({ "type": "response.completed", "response": whole }));
            }
            Self::Chat => {
                let chunk = |delta: Value, end: Value| {
                    json!({
                        "id": id("chatcmpl-", number, 0), "object": "chat.completion.chunk",
                        "choices": [{ "index": 0, "delta": delta, "finish_reason": end }],
                    })
                };
                events
                    .push(chunk(json!({ "role": "assistant", "content": turn.text }), Value::Null));
                for (at, mut call) in chat(number, turn).into_iter().enumerate() {
                    call["index"] = json!(at);
                    let arguments = call["function"]["arguments"].as_str().unwrap().to_owned();
                    call["function"]["arguments"] = json!("");
                    events.push(chunk(json!({ "tool_calls": [call] }), Value::Null));
                    for piece in pieces(&arguments, 13) {
                        let piece = json!({ "index": at, "function": { "arguments": piece } });
                        events.push(chunk(json!({ "tool_calls": [piece] }), Value::Null));
                    }
                }
                events.push(chunk(json!({}), json!("tool_calls")));
            }
            Self::Gemini => {
                for part in gemini(number, turn) {
                    let content = json!({ "role": "model", "parts": [part] });
                    events.push(json!({ "candidates": [{ "index": 0, "content": content }] }));
                }
            }
        }
        let named = matches!(self, Self::Anthropic | Self::Responses);
        let mut text = String::new();
        for event in &events {
            if named {
                writeln!(text, "event: {}", event["type"].as_str().unwrap()).unwrap();
            }
            write!(text, "data: {event}\n\n").unwrap();
        }
        if self == Self::Chat {
            text += "data: [DONE]\n\n";
        }
        text
    }
}

fn id(prefix: &str, number: usize, at: usize) -> String {
    format!("{prefix}{:016x}{at:04x}", (number as u64 + 11).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

fn schema(member: &str) -> Value {
    json!({ "type": "object", "properties": { member: { "type": "string" } }, "required": [member] })
}

fn pieces(text: &str, length: usize) -> impl Iterator<Item = String> {
    let letters: Vec<char> = text.chars().collect();
    let pieces: Vec<String> = letters.chunks(length).map(|piece| piece.iter().collect()).collect();
    pieces.into_iter()
}

fn anthropic(number: usize, turn: &Turn) -> Vec<Value> {
    let calls = turn.calls.iter().enumerate().map(|(at, call)| json!({
        "type": "tool_use", "id": id("toolu_01", number, at), "name": call.tool, "input": call.input,
    }));
    [json!({ "type": "text", "text": turn.text })].into_iter().chain(calls).collect()
}

/// The results of a turn, or what the person says where there are none.
fn answered(results: Vec<Value>) -> Value {
    if results.is_empty() { json!("Go on.") } else { Value::from(results) }
}

/// A result in the form of a text, or of blocks with a picture among them.
fn blocks(call: &Call) -> Value {
    use base64::Engine as _;
    if call.image == 0 {
        return json!(call.result);
    }
    let length = u32::try_from(call.image).unwrap();
    let drawn = (0..length).map(|at| at.wrapping_mul(2_654_435_761).to_le_bytes()[2]);
    let data = base64::engine::general_purpose::STANDARD.encode(drawn.collect::<Vec<u8>>());
    let source = json!({ "type": "base64", "media_type": "image/png", "data": data });
    json!([{ "type": "text", "text": call.result }, { "type": "image", "source": source }])
}

fn chat(number: usize, turn: &Turn) -> Vec<Value> {
    let calls = turn.calls.iter().enumerate();
    calls
        .map(|(at, call)| {
            json!({ "id": id("call_", number, at), "type": "function", "function": {
                "name": call.tool, "arguments": call.input.to_string(),
            }})
        })
        .collect()
}

fn responses(number: usize, turn: &Turn) -> Vec<Value> {
    let said = json!({
        "type": "message", "id": id("msg_", number, 0), "role": "assistant", "status": "completed",
        "content": [{ "type": "output_text", "text": turn.text, "annotations": [] }],
    });
    let calls = turn.calls.iter().enumerate().map(|(at, call)| json!({
        "type": "function_call", "id": id("fc_", number, at), "call_id": id("call_", number, at),
        "name": call.tool, "arguments": call.input.to_string(), "status": "completed",
    }));
    [said].into_iter().chain(calls).collect()
}

fn gemini(number: usize, turn: &Turn) -> Vec<Value> {
    let calls = turn.calls.iter().enumerate().map(|(at, call)| {
        json!({ "functionCall": {
            "id": id("fc-", number, at), "name": call.tool, "args": call.input,
        }})
    });
    [json!({ "text": turn.text })].into_iter().chain(calls).collect()
}
