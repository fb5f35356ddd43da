//! Contents of Gemini's `generateContent`.
//!
//! Takes requests and answers; tells the calls and results in their parts. Ids may be left out: then the
//! calls of a request are numbered, and a result is that of the first call of its tool that has none yet.

use super::telling::{Form, Listener, Telling, name};
use super::walk::{Each, Of, Raw, Within, object, text, walk};
use super::{By, Unread};
use serde::Deserialize;
use serde_json::Result;

/// A part of a turn. Servers take the names of members in either spelling.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow, rename = "functionCall")]
    call: Raw<'a>,
    #[serde(borrow)]
    function_call: Raw<'a>,
    #[serde(borrow, rename = "functionResponse")]
    response: Raw<'a>,
    #[serde(borrow)]
    function_response: Raw<'a>,
    #[serde(borrow, rename = "executableCode")]
    code: Raw<'a>,
    #[serde(borrow)]
    executable_code: Raw<'a>,
    #[serde(borrow, rename = "codeExecutionResult")]
    executed: Raw<'a>,
    #[serde(borrow)]
    code_execution_result: Raw<'a>,
    #[serde(borrow, rename = "toolCall")]
    provider_call: Raw<'a>,
    #[serde(borrow)]
    tool_call: Raw<'a>,
    #[serde(borrow, rename = "toolResponse")]
    provider_response: Raw<'a>,
    #[serde(borrow)]
    tool_response: Raw<'a>,
}

/// What is called or has answered.
#[derive(Deserialize)]
struct Used<'a> {
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    name: Raw<'a>,
    #[serde(borrow, rename = "toolType")]
    kind: Raw<'a>,
    #[serde(borrow)]
    tool_type: Raw<'a>,
    #[serde(borrow)]
    args: Raw<'a>,
    #[serde(borrow, rename = "partialArgs")]
    pieces: Raw<'a>,
    #[serde(borrow)]
    partial_args: Raw<'a>,
    #[serde(borrow, rename = "willContinue")]
    continues: Raw<'a>,
    #[serde(borrow)]
    will_continue: Raw<'a>,
    #[serde(borrow)]
    response: Raw<'a>,
}

impl<'a> Used<'a> {
    fn called(&self) -> Raw<'a> {
        self.name.or(self.kind).or(self.tool_type)
    }

    /// Whether what it is called with comes in pieces.
    fn is_in_pieces(&self) -> bool {
        let goes_on = self.continues.or(self.will_continue).is_some_and(|one| one.get() == "true");
        goes_on || self.pieces.or(self.partial_args).is_some()
    }
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
        let parts = Each(Each(Of::new(|one| part(&one, Some(&mut numbered), telling))));
        walk(raw, &mut Within(&["contents"], Each(Within(&["parts"], parts))))
    };
    contents(body)?;
    let wrapped = Of::new(|raw: &serde_json::value::RawValue| contents(raw.get()));
    walk(body, &mut Within(&["request", "generateContentRequest"], wrapped))
}

/// Reads an answer, or an event of one.
pub(super) fn document<L: Listener>(body: &str, telling: &mut Telling<'_, L>) -> Result<()> {
    let mut candidates = |raw: &str| {
        let parts = Each(Each(Of::new(|one| part(&one, None, telling))));
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
) -> Result<()> {
    for raw in [part.call, part.function_call].into_iter().flatten() {
        let Some(call) = object::<Used<'_>>(Some(raw))? else {
            telling.unread(Unread::Json);
            continue;
        };
        let tool = name(call.called());
        let id = match (text(call.id), numbered.as_deref_mut()) {
            (Some(id), _) => id.into_owned(),
            (None, Some(numbered)) => numbered.call(&tool),
            (None, None) => String::new(),
        };
        if call.is_in_pieces() {
            telling.unread(Unread::Input);
        } else {
            telling.call_with(&id, &tool, call.args, Form::Json, By::Agent);
        }
    }
    for raw in [part.response, part.function_response].into_iter().flatten() {
        let Some(result) = object::<Used<'_>>(Some(raw))? else {
            telling.unread(Unread::Json);
            continue;
        };
        let id = match (text(result.id), numbered.as_deref_mut()) {
            (Some(id), _) => id.into_owned(),
            (None, Some(numbered)) => numbered.result(&name(result.called())),
            (None, None) => String::new(),
        };
        telling.result_of(&id, result.called(), result.response, By::Agent);
    }
    for code in [part.code, part.executable_code].into_iter().flatten() {
        telling.call(None, "code_execution", Some(code), Form::Json, By::Provider);
    }
    for executed in [part.executed, part.code_execution_result].into_iter().flatten() {
        telling.result(None, None, Some(executed), By::Provider);
    }
    for raw in [part.provider_call, part.tool_call] {
        if let Some(call) = object::<Used<'_>>(raw)? {
            telling.call(call.id, &name(call.called()), call.args, Form::Json, By::Provider);
        }
    }
    for raw in [part.provider_response, part.tool_response] {
        if let Some(result) = object::<Used<'_>>(raw)? {
            telling.result(result.id, result.called(), result.response, By::Provider);
        }
    }
    Ok(())
}
