//! Which API of a model provider a request is one of.
//!
//! Takes the kind of the service, the method and the canonical path; returns the dialect in which both
//! bodies are written, or none where no conversation goes on. Allocates nothing.

use crate::catalog::Kind;
use http::Method;

/// The form of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Anthropic's Messages, also at Vertex AI and at hosts that speak like it.
    Anthropic,
    /// Anthropic's Message Batches: many requests of its Messages in one.
    Batches,
    /// The runs of `OpenAI`'s threads.
    Threads,
    /// `OpenAI`'s Chat Completions, also at Azure and at the many hosts that speak like it.
    Chat,
    /// `OpenAI`'s Responses, with its stored conversations.
    Responses,
    /// Gemini's `generateContent`, also at Vertex AI.
    Gemini,
    /// Gemini's Interactions.
    Interactions,
    /// Bedrock's Converse.
    Converse,
    /// Bedrock's invocation of a model in that model's own form; the body says which.
    Invoke,
    /// The Model Context Protocol over HTTP.
    Mcp,
}

impl Dialect {
    /// All of them.
    pub const ALL: &[Self] = &[
        Self::Anthropic,
        Self::Batches,
        Self::Threads,
        Self::Chat,
        Self::Responses,
        Self::Gemini,
        Self::Interactions,
        Self::Converse,
        Self::Invoke,
        Self::Mcp,
    ];
}

/// The dialect of an exchange with a service of a kind, by its canonical path without the query.
pub fn dialect(kind: Kind, method: &Method, path: &str) -> Option<Dialect> {
    let is_post = *method == Method::POST;
    match kind {
        Kind::Mcp => (is_post || *method == Method::GET).then_some(Dialect::Mcp),
        Kind::Conversation if is_post => posted(path),
        // What was stored of an answer, or goes on in the background.
        Kind::Conversation if *method == Method::GET => stored(path),
        Kind::Api | Kind::Conversation => None,
    }
}

fn posted(path: &str) -> Option<Dialect> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let (before, last) = path.rsplit_once('/')?;
    let beside = before.rsplit_once('/').map_or("", |(_, beside)| beside);
    let dialect = match last {
        // The messages of a thread are others.
        "messages" if !before.contains("/threads/") => Dialect::Anthropic,
        "batches" if beside == "messages" => Dialect::Batches,
        "submit_tool_outputs" | "runs" if before.contains("/threads") => Dialect::Threads,
        "count_tokens" if beside == "messages" => Dialect::Anthropic,
        "completions" if beside == "chat" => Dialect::Chat,
        "responses" | "conversations" => Dialect::Responses,
        "compact" | "input_tokens" if beside == "responses" => Dialect::Responses,
        "items" if before.contains("/conversations/") => Dialect::Responses,
        "interactions" => Dialect::Interactions,
        "converse" | "converse-stream" if before.contains("/model/") => Dialect::Converse,
        "invoke" | "invoke-with-response-stream" if before.contains("/model/") => Dialect::Invoke,
        _ => return verb(before, last),
    };
    Some(dialect)
}

/// What is done to a model by the verb behind it, as in `models/x:generateContent`.
fn verb(before: &str, last: &str) -> Option<Dialect> {
    let is_raw = |verb| matches!(verb, "rawPredict" | "streamRawPredict");
    match last.rsplit_once(':')?.1 {
        "generateContent" | "streamGenerateContent" | "countTokens" => Some(Dialect::Gemini),
        verb if is_raw(verb) && before.contains("/publishers/anthropic/") => {
            Some(Dialect::Anthropic)
        }
        verb if is_raw(verb) => Some(Dialect::Chat),
        _ => None,
    }
}

fn stored(path: &str) -> Option<Dialect> {
    [
        ("/messages/batches/", Dialect::Batches),
        ("/runs/", Dialect::Threads),
        ("/responses/", Dialect::Responses),
        ("/conversations/", Dialect::Responses),
        ("/chat/completions/", Dialect::Chat),
        ("/interactions/", Dialect::Interactions),
    ]
    .into_iter()
    .find_map(|(part, dialect)| path.contains(part).then_some(dialect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_which_api_it_is() {
        let vertex = "/v1/projects/p/locations/l/publishers";
        let cases: &[(&str, Option<Dialect>)] = &[
            ("/v1/messages", Some(Dialect::Anthropic)),
            ("/api/v1/messages", Some(Dialect::Anthropic)),
            ("/v1/messages/", Some(Dialect::Anthropic)),
            ("/v1/messages/count_tokens", Some(Dialect::Anthropic)),
            ("/v1/messages/batches", Some(Dialect::Batches)),
            ("/v1/threads/t/runs/r/submit_tool_outputs", Some(Dialect::Threads)),
            ("/v1/threads/t/runs", Some(Dialect::Threads)),
            ("/v1/threads/runs", Some(Dialect::Threads)),
            ("/v1/files", None),
            ("/v1/threads/t/messages", None),
            ("/v1/chat/completions", Some(Dialect::Chat)),
            ("/chat/completions", Some(Dialect::Chat)),
            ("/openai/deployments/d/chat/completions", Some(Dialect::Chat)),
            ("/v1/completions", None),
            ("/v1/responses", Some(Dialect::Responses)),
            ("/backend-api/codex/responses", Some(Dialect::Responses)),
            ("/v1/responses/compact", Some(Dialect::Responses)),
            ("/v1/conversations/c/items", Some(Dialect::Responses)),
            ("/v1beta/models/g:generateContent", Some(Dialect::Gemini)),
            ("/v1beta/models/g:streamGenerateContent", Some(Dialect::Gemini)),
            ("/v1beta/models/g:embedContent", None),
            ("/v1beta/interactions", Some(Dialect::Interactions)),
            ("/model/anthropic.claude%3A0/converse", Some(Dialect::Converse)),
            ("/model/m/converse-stream", Some(Dialect::Converse)),
            ("/model/m/invoke", Some(Dialect::Invoke)),
            ("/model/m/invoke-with-response-stream", Some(Dialect::Invoke)),
            ("/guardrail-checks/invoke", None),
            ("/v1/embeddings", None),
            ("/", None),
            ("", None),
        ];
        for (path, expected) in cases {
            assert_eq!(dialect(Kind::Conversation, &Method::POST, path), *expected, "{path}");
            assert_eq!(dialect(Kind::Api, &Method::POST, path), None, "{path}");
            assert_eq!(dialect(Kind::Conversation, &Method::DELETE, path), None, "{path}");
        }
        for (model, expected) in [
            ("google/models/g:generateContent", Dialect::Gemini),
            ("anthropic/models/c:streamRawPredict", Dialect::Anthropic),
            ("mistralai/models/m:rawPredict", Dialect::Chat),
        ] {
            let path = format!("{vertex}/{model}");
            assert_eq!(dialect(Kind::Conversation, &Method::POST, &path), Some(expected), "{path}");
        }
        let read = |path| dialect(Kind::Conversation, &Method::GET, path);
        assert_eq!(read("/v1/responses/resp_1"), Some(Dialect::Responses));
        assert_eq!(read("/v1/messages/batches/b/results"), Some(Dialect::Batches));
        assert_eq!(read("/v1/threads/t/runs/r"), Some(Dialect::Threads));
        assert_eq!(read("/v1/models"), None);
        assert_eq!(dialect(Kind::Mcp, &Method::POST, "/mcp"), Some(Dialect::Mcp));
        assert_eq!(dialect(Kind::Mcp, &Method::GET, "/sse"), Some(Dialect::Mcp));
        assert_eq!(dialect(Kind::Mcp, &Method::DELETE, "/mcp"), None);
    }
}
