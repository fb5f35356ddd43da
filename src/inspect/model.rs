//! Conversations with model providers and with MCP servers: which tools are called, and with what result.
//!
//! Takes bodies of requests and the pieces of answers as they pass; returns [`Said`], in order. Pure, in
//! memory that does not grow with what is read. What cannot be read is said as well, and what follows it
//! is read as far as that goes; nothing here changes or delays what passes.

mod answer;
mod dialect;
mod gathering;
mod gemini;
mod items;
mod lenient;
mod mcp;
mod messages;
mod telling;
#[cfg(test)]
mod tests;
mod walk;

pub use answer::Answer;
pub use dialect::{Dialect, dialect};
pub use gathering::Gathering;
pub use telling::{Listener, Met, What};

use serde_json::Value;
use std::fmt;
use telling::Telling;

/// The longest input of one call that is read, in bytes: of a longer one its beginning.
const INPUT: usize = 1 << 20;
/// What the inputs of all calls that are open at once may come to.
const INPUTS: usize = 1 << 20;
/// The most calls that are open at once.
const OPEN: usize = 64;
/// The longest event, frame or document of an answer.
const EVENT: usize = 1 << 20;
/// So much is kept of an id or a name.
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
    /// The input of a call is not one strict JSON document; what lenient parsers take it for is read.
    #[error("the input of a tool call is not strict JSON, of which parsers differ")]
    Input,
    /// The input of a call is too long.
    #[error("the input of a tool call is longer than is read")]
    LongInput,
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
    let strictly = std::str::from_utf8(body).is_ok_and(|body| turns(dialect, body, &mut telling));
    if !strictly {
        // Providers and their clients are lenient: one odd turn must not hide the others.
        telling.again(Unread::Json);
        if let Some(mended) = lenient::mended(&String::from_utf8_lossy(body)) {
            turns(dialect, &mended, &mut telling);
        }
    }
}

/// Reads the turns of a request; whether to the end.
fn turns<L: Listener>(dialect: Dialect, body: &str, telling: &mut Telling<'_, L>) -> bool {
    let read = match dialect {
        Dialect::Anthropic | Dialect::Chat | Dialect::Converse | Dialect::Invoke => {
            messages::request(body, telling)
        }
        Dialect::Batches => messages::batch(body, telling),
        Dialect::Threads => messages::outputs(body, telling),
        Dialect::Responses | Dialect::Interactions => items::request(body, telling),
        Dialect::Gemini => gemini::request(body, telling),
        Dialect::Mcp => mcp::request(body, telling),
    };
    read.is_ok()
}
