//! Contents of Gemini's `generateContent`.
//!
//! Takes requests and answers; tells the calls and results in their parts. Ids may be left out: then the
//! calls of a request are numbered, and a result is that of the first call of its tool that has none yet.

use super::By;
use super::telling::{Form, Listener, Telling, name};
use super::walk::{Each, Of, Raw, Within, text, walk};
use serde::Deserialize;
use serde_json::Result;

/// A part of a turn. Servers take the names of members in either spelling.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "functionCall", alias = "function_call")]
    call: Option<Call<'a>>,
    #[serde(borrow, rename = "functionResponse", alias = "function_response")]
    response: Option<Answered<'a>>,
    #[serde(borrow, rename = "executableCode", alias = "executable_code")]
    code: Raw<'a>,
    #[serde(borrow, rename = "codeExecutionResult", alias = "code_execution_result")]
    executed: Raw<'a>,
    #[serde(borrow, rename = "toolCall", alias = "tool_call")]
    provider_call: Option<Call<'a>>,
    #[serde(borrow, rename = "toolResponse", alias = "tool_response")]
    provider_response: Option<Answered<'a>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow, alias = "toolType", alias = "tool_type")]
    name: Raw<'a>,
    #[serde(borrow)]
    args: Raw<'a>,
    #[serde(borrow, rename = "partialArgs", alias = "partial_args")]
    pieces: Raw<'a>,
    #[serde(default, rename = "willContinue", alias = "will_continue")]
    continues: Option<bool>,
}

#[derive(Deserialize)]
struct Answered<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow, alias = "toolType", alias = "tool_type")]
    name: Raw<'a>,
    #[serde(borrow)]
    response: Raw<'a>,
}

/// The most calls without an id that wait for their results.
const WAITING: usize = 256;

/// The calls of a request that have no id.
#[derive(Default)]
struct Numbered {
    count: usize,
    /// Their tools and the ids they are given, oldest first.
    waiting: Vec<(String, String)>,
}

impl Numbered {
    fn call(&mut self, tool: &str) -> String {
        self.count += 1;
        let id = format!("{tool}#{}", self.count);
        if self.waiting.len() == WAITING {
            self.waiting.remove(0);
        }
        self.waiting.push((tool.to_owned(), id.clone()));
        id
    }

    fn result(&mut self, tool: &str) -> String {
        let at = self.waiting.iter().position(|(waiting, _)| waiting == tool);
        at.map(|at| self.waiting.remove(at).1).unwrap_or_default()
    }
}

/// Reads the body of a request, also where it stands inside another.
pub(super) fn request<L: Listener>(body: &str, telling: &mut Telling<'_, L>) -> Result<()> {
    let mut numbered = Numbered::default();
    let mut contents = |raw: &str| {
        let parts = Each(Of::new(|one| {
            part(&one, Some(&mut numbered), telling);
            Ok(())
        }));
        walk(raw, &mut Within(&["contents"], Each(Within(&["parts"], parts))))
    };
    contents(body)?;
    let wrapped = Of::new(|raw: &serde_json::value::RawValue| contents(raw.get()));
    walk(body, &mut Within(&["request", "generateContentRequest"], wrapped))
}

/// Reads an answer, or an event of one.
pub(super) fn document<L: Listener>(body: &str, telling: &mut Telling<'_, L>) -> Result<()> {
    let mut candidates = |raw: &str| {
        let parts = Each(Of::new(|one| {
            part(&one, None, telling);
            Ok(())
        }));
        let content = Within(&["content"], Within(&["parts"], parts));
        walk(raw, &mut Within(&["candidates"], Each(content)))
    };
    candidates(body)?;
    let wrapped = Of::new(|raw: &serde_json::value::RawValue| candidates(raw.get()));
    walk(body, &mut Within(&["response"], wrapped))
}

fn part<L: Listener>(
    part: &Part<'_>,
    mut numbered: Option<&mut Numbered>,
    telling: &mut Telling<'_, L>,
) {
    if let Some(call) = &part.call {
        let tool = name(call.name);
        let id = match (text(call.id), numbered.as_deref_mut()) {
            (Some(id), _) => id.into_owned(),
            (None, Some(numbered)) => numbered.call(&tool),
            (None, None) => String::new(),
        };
        if call.pieces.is_some() || call.continues == Some(true) {
            telling.unread(super::Unread::Input);
        } else {
            telling.call_with(&id, &tool, call.args, Form::Json, By::Agent);
        }
    }
    if let Some(result) = &part.response {
        let id = match (text(result.id), numbered) {
            (Some(id), _) => id.into_owned(),
            (None, Some(numbered)) => numbered.result(&name(result.name)),
            (None, None) => String::new(),
        };
        telling.result_of(&id, result.name, result.response, By::Agent);
    }
    if let Some(code) = part.code {
        telling.call(None, "code_execution", Some(code), Form::Json, By::Provider);
    }
    if let Some(executed) = part.executed {
        telling.result(None, None, Some(executed), By::Provider);
    }
    if let Some(call) = &part.provider_call {
        telling.call(call.id, &name(call.name), call.args, Form::Json, By::Provider);
    }
    if let Some(result) = &part.provider_response {
        telling.result(result.id, result.name, result.response, By::Provider);
    }
}
