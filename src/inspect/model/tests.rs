//! Conversations in every dialect, and what is no conversation.

mod answers;
mod hostile;
mod odd;
mod requests;

use super::*;

/// What was said, in one line each.
fn shown(said: &Said) -> String {
    match said {
        Said::Call(call) => {
            let ToolCall { id, tool, input, by } = call;
            format!("call {id} {tool} {input}{}", of(*by))
        }
        Said::Result(ToolResult { call, tool, text, by }) => {
            let tool = tool.as_ref().map_or(String::new(), |tool| format!(" of {tool}"));
            format!("result {call}{tool}: {text}{}", of(*by))
        }
        Said::Unread { why } => format!("unread {why:?}"),
    }
}

fn of(by: By) -> String {
    if by == By::Agent { String::new() } else { format!(" by {by:?}") }
}

fn request(dialect: Dialect, body: &str) -> Vec<String> {
    let mut all = Vec::new();
    read_request(dialect, body.as_bytes(), &mut |said| all.push(shown(&said)));
    all
}

/// What an answer says that comes in these pieces.
fn answer<'a>(
    dialect: Dialect,
    media_type: &str,
    pieces: impl IntoIterator<Item = &'a [u8]>,
) -> Vec<String> {
    let mut all = Vec::new();
    let mut answer = Answer::new(dialect, media_type);
    let mut listener = |said| all.push(shown(&said));
    for piece in pieces {
        answer.feed(piece, &mut listener);
    }
    answer.end(&mut listener);
    all
}

fn whole(dialect: Dialect, media_type: &str, bytes: &[u8]) -> Vec<String> {
    answer(dialect, media_type, [bytes])
}

/// What an answer says, however it is cut.
fn however_cut(dialect: Dialect, media_type: &str, bytes: &[u8]) -> Vec<String> {
    let all = whole(dialect, media_type, bytes);
    for cut in 0..bytes.len() {
        let (before, after) = bytes.split_at(cut);
        assert_eq!(answer(dialect, media_type, [before, after]), all, "{dialect:?} cut at {cut}");
    }
    assert_eq!(answer(dialect, media_type, bytes.chunks(1)), all, "{dialect:?} byte by byte");
    all
}

const EVENTS: &str = "text/event-stream";
const FRAMES: &str = "application/vnd.amazon.eventstream";
const JSON: &str = "application/json";

/// A frame of an event stream.
fn frame(headers: &[(&str, &str)], payload: &[u8]) -> Vec<u8> {
    let mut all = Vec::new();
    for (name, value) in headers {
        all.push(u8::try_from(name.len()).unwrap());
        all.extend_from_slice(name.as_bytes());
        all.push(7);
        all.extend_from_slice(&u16::try_from(value.len()).unwrap().to_be_bytes());
        all.extend_from_slice(value.as_bytes());
    }
    let length = u32::try_from(all.len() + payload.len() + 16).unwrap();
    let mut frame = length.to_be_bytes().to_vec();
    frame.extend_from_slice(&u32::try_from(all.len()).unwrap().to_be_bytes());
    let sum = |bytes: &[u8]| {
        let mut sum = flate2::Crc::new();
        sum.update(bytes);
        sum.sum().to_be_bytes()
    };
    frame.extend_from_slice(&sum(&frame));
    frame.extend_from_slice(&all);
    frame.extend_from_slice(payload);
    frame.extend_from_slice(&sum(&frame));
    frame
}

fn event(kind: &str, payload: &str) -> Vec<u8> {
    let headers =
        [(":event-type", kind), (":content-type", "application/json"), (":message-type", "event")];
    frame(&headers, payload.as_bytes())
}

#[test]
fn nothing_that_was_said_is_shown() {
    let body = r#"{"messages":[{"content":[
        {"type":"tool_use","id":"a","name":"bash","input":{"command":"echo hunter2"}},
        {"type":"tool_result","tool_use_id":"a","content":"hunter2"}]}]}"#;
    let mut all = Vec::new();
    read_request(Dialect::Anthropic, body.as_bytes(), &mut |said| all.push(said));
    assert_eq!(all.len(), 2);
    let shown = format!("{all:?}");
    assert!(shown.contains("bash") && !shown.contains("hunter2"), "{shown}");
}
