//! Conversations with model providers and with MCP servers: which tools are called, and with what result.
//!
//! Takes bodies of requests and the pieces of answers as they pass; returns [`Said`], in order. Pure, in
//! memory that does not grow with what is read. What cannot be read is said as well, and what follows it
//! is read as far as that goes; nothing here changes or delays what passes.

mod answer;
mod dialect;
mod gemini;
mod items;
mod mcp;
mod messages;
mod telling;
#[cfg(test)]
mod tests;
mod walk;

pub use answer::Answer;
pub use dialect::{Dialect, dialect};
pub use telling::{Listener, Met, What};

use serde_json::Value;
use std::fmt;
use telling::Telling;

/// The longest input of one call that is read, in bytes.
const INPUT: usize = 256 << 10;
/// What the inputs of all calls that are open at once may come to.
const INPUTS: usize = 1 << 20;
/// The most calls that are open at once.
const OPEN: usize = 64;
/// The longest event, frame or document of an answer.
const EVENT: usize = 1 << 20;
/// The longest id or name.
const NAME: usize = 512;

/// What is said in a conversation about tools.
#[derive(Clone, Debug, PartialEq)]
pub enum Said {
    /// The model calls a tool, or the agent calls one of an MCP server.
    Call(ToolCall),
    /// A tool has answered.
    Result(ToolResult),
    /// Something was said that could not be read.
    Unread {
        /// Why.
        why: Unread,
    },
}

/// A call of a tool.
#[derive(Clone, PartialEq)]
pub struct ToolCall {
    /// What its result names; empty where the provider gives none.
    pub id: String,
    /// The tool's name.
    pub tool: String,
    /// What it is called with: an object, or a text where the tool takes free text.
    pub input: Value,
    /// Who runs it.
    pub by: By,
}

/// The result of a call.
#[derive(Clone, PartialEq, Eq)]
pub struct ToolResult {
    /// The call that it answers; empty where that is not said.
    pub call: String,
    /// The tool, where that is said as well.
    pub tool: Option<String>,
    /// Its text; what is no text in it is there as it stood in JSON, images are left out.
    pub text: String,
    /// Who ran it.
    pub by: By,
}

/// Who runs a tool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum By {
    /// The agent, on its machine.
    Agent,
    /// The provider of the model.
    Provider,
    /// An MCP server that the agent calls.
    Server,
}

/// Why something was not read. The fault is whoever wrote it; nothing was changed by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Unread {
    /// It is not strict JSON of the form that its dialect has.
    #[error("it is not strict JSON in the form of the API")]
    Json,
    /// The input of a call is not one strict JSON document.
    #[error("the input of a tool call is not strict JSON")]
    Input,
    /// The input of a call is too long.
    #[error("the input of a tool call is longer than is read")]
    LongInput,
    /// An id or a name is too long.
    #[error("the id or the name of a tool call is longer than is read")]
    LongName,
    /// An event or a document of an answer is too long.
    #[error("a part of the answer is longer than is read")]
    Long,
    /// Too many calls are open at once.
    #[error("more tool calls come at once than are followed")]
    Crowded,
    /// A piece of a call whose beginning was not there.
    #[error("a piece belongs to no tool call that has begun")]
    Stray,
    /// A frame of a binary stream is broken.
    #[error("the event stream is broken")]
    Frame,
    /// Its content coding cannot be undone, or not as it passes.
    #[error("its content coding is not one that is read as it passes")]
    Coded,
    /// It ended in the middle.
    #[error("it ended in the middle")]
    Truncated,
    /// The agent has more in memory, or under way, than it may.
    #[error("there is no room left to read it in")]
    NoRoom,
}

// What tools are given and what they answer may hold secrets.
impl fmt::Debug for ToolCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, tool, by, .. } = self;
        let mut shown = f.debug_struct("ToolCall");
        shown.field("id", id).field("tool", tool).field("by", by).finish_non_exhaustive()
    }
}

impl fmt::Debug for ToolResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, tool, by, .. } = self;
        let mut shown = f.debug_struct("ToolResult");
        shown.field("call", call).field("tool", tool).field("by", by).finish_non_exhaustive()
    }
}

/// Reads the body of a request, decoded: the turns of the conversation so far, or a call of an MCP
/// server. Conversations send all of it again with every turn: a [`Listener`] says what it knows.
pub fn read_request(dialect: Dialect, body: &[u8], listener: &mut impl Listener) {
    let mut telling = Telling::new(listener);
    let read = std::str::from_utf8(body).is_ok_and(|body| {
        let read = match dialect {
            Dialect::Anthropic | Dialect::Chat | Dialect::Converse | Dialect::Invoke => {
                messages::request(body, &mut telling)
            }
            Dialect::Responses | Dialect::Interactions => items::request(body, &mut telling),
            Dialect::Gemini => gemini::request(body, &mut telling),
            Dialect::Mcp => mcp::request(body, &mut telling),
        };
        read.is_ok()
    });
    if !read {
        telling.unread(Unread::Json);
    }
}
