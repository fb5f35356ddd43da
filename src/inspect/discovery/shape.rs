//! Shapes in which tools are called.
//!
//! Takes a tool's name and its input; hands out each call in it: the call itself, calls that it makes in
//! one (`multi_tool_use.parallel`, `Batch`), and what it is called with where that lies deeper. A program
//! whose arguments stand apart is put together. Bounded; whether that was enough is said.

use crate::message::json;
use serde_json::{Map, Value};

/// Calls in one.
const CALLS: usize = 256;
/// Calls in calls.
const DEPTH: usize = 4;
/// Members that hold what a tool is called with.
const INPUTS: &[&str] = &[
    "args",
    "arguments",
    "params",
    "parameters",
    "input",
    "tool_input",
    "toolInput",
    "kwargs",
    "payload",
];
/// Members that name the tool.
const NAMES: &[&str] =
    &["recipient_name", "tool_name", "toolName", "tool", "name", "function_name", "functionName"];

/// Hands out each call that a call makes; whether those are all.
pub(super) fn each(tool: &str, input: &Value, take: &mut impl FnMut(&str, &Value)) -> bool {
    let mut left = CALLS;
    of(tool, input, 0, &mut left, take)
}

fn of(
    tool: &str,
    input: &Value,
    depth: usize,
    left: &mut usize,
    take: &mut impl FnMut(&str, &Value),
) -> bool {
    let Some(less) = left.checked_sub(1).filter(|_| depth <= DEPTH) else { return false };
    *left = less;
    take(tool, input);
    let mut is_all = true;
    let mut inner = |value: &Value, is_input: bool| {
        let Value::Object(members) = value else { return };
        if let Some((tool, input)) = call(members) {
            is_all &= with(input, &mut |input| of(tool, input, depth + 1, left, take));
        } else if is_input {
            is_all &= of(tool, value, depth + 1, left, take);
        }
    };
    match input {
        Value::Array(all) => all.iter().for_each(|one| inner(one, false)),
        Value::Object(members) => {
            // A tool that calls another, as those do that stand for all of a server.
            if depth == 0 && call(members).is_some() {
                inner(input, false);
            }
            for (name, value) in members {
                let is_input = INPUTS.contains(&&**name);
                match value {
                    Value::Array(all) => all.iter().for_each(|one| inner(one, false)),
                    Value::String(_) if is_input => {
                        with(value, &mut |value| {
                            inner(value, true);
                            true
                        });
                    }
                    value => inner(value, is_input),
                }
            }
        }
        _ => {}
    }
    is_all
}

/// The tool and the input that stand in a call.
fn call(members: &Map<String, Value>) -> Option<(&str, &Value)> {
    if let Some(Value::Object(function)) = members.get("function") {
        return named(function);
    }
    named(members)
}

fn named(members: &Map<String, Value>) -> Option<(&str, &Value)> {
    let tool = NAMES.iter().find_map(|name| members.get(*name)?.as_str())?;
    let input = INPUTS.iter().find_map(|name| members.get(*name))?;
    // An array holds the arguments of a program.
    (!input.is_array()).then_some((tool, input))
}

/// Reads an input that is written as a text.
fn with(input: &Value, read: &mut impl FnMut(&Value) -> bool) -> bool {
    let inner = input.as_str().filter(|text| json::may_hold(text));
    match inner.and_then(|text| json::parse(text.as_bytes()).ok()) {
        Some(inner) => read(&inner),
        None => read(input),
    }
}

/// A program with its arguments, where they stand apart.
pub(super) fn program(members: &Map<String, Value>) -> Option<Vec<String>> {
    const PROGRAMS: &[&str] =
        &["command", "cmd", "program", "executable", "exe", "binary", "file", "path"];
    const ARGUMENTS: &[&str] = &["args", "arguments", "argv", "argument_list", "params"];
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let arguments = ARGUMENTS.iter().find_map(|name| members.get(*name))?.as_array()?;
    let program = PROGRAMS.iter().find_map(|name| members.get(*name).and_then(text));
    let words = program.into_iter().chain(arguments.iter().filter_map(text)).take(1_024);
    Some(words.collect()).filter(|words: &Vec<String>| words.len() > 1)
}

/// The texts that are neither a description nor how something is run: what a tool for commands is given
/// by a name that nobody knows.
pub(super) fn texts(members: &Map<String, Value>) -> impl Iterator<Item = &str> {
    const NONE: &[&str] = &[
        "cwd",
        "description",
        "explanation",
        "id",
        "intent",
        "justification",
        "language",
        "mode",
        "name",
        "path",
        "pid",
        "purpose",
        "reason",
        "shell",
        "summary",
        "thought",
        "title",
        "type",
        "workdir",
    ];
    let known = |name: &str| {
        let plain = name.to_ascii_lowercase();
        NONE.contains(&&*plain)
            || ["session", "directory", "timeout", "_id"].iter().any(|part| plain.contains(part))
    };
    let told = members.iter().filter(move |(name, _)| !known(name));
    told.filter_map(|(_, value)| value.as_str()).take(16)
}
