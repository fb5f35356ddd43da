//! Items of `OpenAI`'s Responses and steps of Gemini's Interactions, which are alike.
//!
//! Takes requests, whole answers and events; tells the calls and results in them. In a stream, an item is
//! read when it is complete; the pieces of steps are put together.

use super::By;
use super::answer::assembly::{Assembly, Begun};
use super::telling::{Form, Listener, Telling, id_of, name, place_of};
use super::walk::{Each, Of, Raw, Within, is, text, walk};
use serde::Deserialize;
use serde_json::Result;
use serde_json::value::RawValue;

/// An item or a step.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow)]
    id: Raw<'a>,
    #[serde(borrow)]
    call_id: Raw<'a>,
    #[serde(borrow)]
    name: Raw<'a>,
    #[serde(borrow)]
    role: Raw<'a>,
    #[serde(borrow)]
    arguments: Raw<'a>,
    #[serde(borrow)]
    input: Raw<'a>,
    #[serde(borrow)]
    action: Raw<'a>,
    #[serde(borrow)]
    actions: Raw<'a>,
    #[serde(borrow)]
    operation: Raw<'a>,
    #[serde(borrow)]
    code: Raw<'a>,
    #[serde(borrow)]
    output: Raw<'a>,
    #[serde(borrow)]
    outputs: Raw<'a>,
    #[serde(borrow)]
    result: Raw<'a>,
    #[serde(borrow)]
    environment: Raw<'a>,
    #[serde(borrow)]
    execution: Raw<'a>,
}

/// Reads the body of a request.
pub(super) fn request<L: Listener>(body: &str, telling: &mut Telling<'_, L>) -> Result<()> {
    // An input may be a text, or hold some.
    let mut of = |names| {
        let read = Of::new(|one| {
            item(&one, telling);
            Ok(())
        });
        walk(body, &mut Within(names, Each(Each(read))))
    };
    of(&["input"])?;
    of(&["items"])
}

/// Reads an answer that is one document, or what is the same at the end of a stream.
pub(super) fn document<L: Listener>(body: &str, telling: &mut Telling<'_, L>) -> Result<()> {
    let mut of = |names| {
        let read = Of::new(|one| {
            item(&one, telling);
            Ok(())
        });
        walk(body, &mut Within(names, Each(Each(read))))
    };
    of(&["output"])?;
    of(&["steps"])?;
    of(&["data"])
}

impl<'a> Item<'a> {
    /// What it is called with, and how that is written.
    fn given(&self) -> (Raw<'a>, Form) {
        if let Some(free) = self.code.or(self.input) {
            return (Some(free), Form::Free);
        }
        let given = self.arguments.or(self.action).or(self.actions).or(self.operation);
        (given, Form::Json)
    }

    /// Who runs what is called by such a name. What is not known to run at the provider does not.
    fn by(&self, tool: &str) -> By {
        let at_provider = match tool {
            "mcp" | "code_interpreter" | "web_search" | "file_search" | "image_generation"
            | "code_execution" | "google_search" | "google_maps" | "url_context" | "retrieval"
            | "mcp_server_tool" | "processing" => true,
            "tool_search" => !is(self.execution, "client"),
            "shell" => {
                self.environment.is_some_and(|one| one.get().contains("container_reference"))
            }
            _ => false,
        };
        if at_provider { By::Provider } else { By::Agent }
    }
}

fn item<L: Listener>(item: &Item<'_>, telling: &mut Telling<'_, L>) {
    let kind = text(item.kind).unwrap_or_default();
    let id = item.call_id.or(item.id);
    if kind == "reasoning" || is(item.role, "assistant") {
        telling.spoke();
    }
    if let Some(tool) = kind.strip_suffix("_call_output").or_else(|| kind.strip_suffix("_result")) {
        let output = item.output.or(item.result);
        telling.result(id, item.name, output, item.by(tool));
    } else if let Some(tool) = kind.strip_suffix("_call") {
        let by = item.by(tool);
        let called = if item.name.is_some() { name(item.name) } else { tool.into() };
        let (given, form) = item.given();
        telling.call(id, &called, given, form, by);
        if let Some(output) = item.output.or(item.outputs) {
            telling.result(id, item.name, Some(output), by);
        }
    }
}

/// An event.
#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type")]
    kind: Raw<'a>,
    #[serde(borrow, rename = "event_type")]
    of_step: Raw<'a>,
    #[serde(borrow)]
    output_index: Raw<'a>,
    #[serde(borrow)]
    index: Raw<'a>,
    #[serde(borrow)]
    item: Raw<'a>,
    #[serde(borrow)]
    response: Raw<'a>,
    #[serde(borrow)]
    interaction: Raw<'a>,
    #[serde(borrow)]
    step: Raw<'a>,
    #[serde(borrow)]
    delta: Raw<'a>,
}

#[derive(Deserialize)]
struct Delta<'a> {
    #[serde(borrow)]
    arguments: Raw<'a>,
}

/// Whether such an event repeats what others have said.
pub(super) fn repeats(kind: &str) -> bool {
    const REPEATING: &[&str] = &[
        "response.created",
        "response.queued",
        "response.in_progress",
        "response.completed",
        "response.incomplete",
        "response.failed",
    ];
    REPEATING.contains(&kind)
}

/// Reads an event of a stream.
pub(super) fn event<L: Listener>(
    event: &str,
    open: &mut Assembly,
    telling: &mut Telling<'_, L>,
) -> Result<()> {
    if event == "[DONE]" {
        return Ok(());
    }
    let event: Event<'_> = serde_json::from_str(event)?;
    let item_at = (0, place_of(event.output_index).unwrap_or_default());
    let step_at = (1, place_of(event.index).unwrap_or_default());
    match &*text(event.kind.or(event.of_step)).unwrap_or_default() {
        "response.output_item.added" => {
            open.expect(item_at, event.item.is_some_and(is_call), telling);
        }
        "response.output_item.done" => {
            open.got(item_at);
            if let Some(one) = event.item {
                item(&serde_json::from_str(one.get())?, telling);
            }
        }
        kind @ ("response.completed" | "response.incomplete" | "response.failed") => {
            let Some(response) = event.response.filter(|_| !open.has_got()) else {
                open.cut(telling);
                return Ok(());
            };
            debug_assert!(repeats(kind));
            open.cut(telling);
            document(response.get(), telling)?;
        }
        "step.start" => {
            if let Some(step) = event.step {
                start(step_at, step, open, telling)?;
            }
        }
        "step.delta" => {
            if let Some(delta) = event.delta {
                let Delta { arguments } = serde_json::from_str(delta.get())?;
                open.piece(step_at, arguments, telling);
            }
        }
        "step.stop" => open.end(step_at, telling),
        "interaction.completed" => {
            open.cut(telling);
            if let Some(interaction) = event.interaction.filter(|_| !open.has_got()) {
                document(interaction.get(), telling)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Whether an item that has begun is a call.
fn is_call(item: &RawValue) -> bool {
    serde_json::from_str(item.get())
        .is_ok_and(|item: Item<'_>| text(item.kind).is_some_and(|kind| kind.ends_with("_call")))
}

/// A step begins: the input of a call comes in pieces; what else it says is there.
fn start<L: Listener>(
    at: (u64, u64),
    step: &RawValue,
    open: &mut Assembly,
    telling: &mut Telling<'_, L>,
) -> Result<()> {
    let step: Item<'_> = serde_json::from_str(step.get())?;
    let kind = text(step.kind).unwrap_or_default();
    open.got(at);
    let Some(tool) = kind.strip_suffix("_call") else {
        item(&step, telling);
        return Ok(());
    };
    let id = id_of(step.call_id.or(step.id));
    let called = if step.name.is_some() { name(step.name) } else { tool.into() };
    let by = step.by(tool);
    let first = step.arguments.map(RawValue::get).filter(|raw| *raw != "{}" && *raw != "\"\"");
    open.begin(at, &Begun { id: &id, tool: &called, by, form: Form::Json, first }, telling);
    Ok(())
}
