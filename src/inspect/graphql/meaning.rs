//! A GraphQL request by its meaning, for the digest of a hold.
//!
//! Takes a request that has been read; returns a text that is the same for another spacing of its
//! document and another order of its JSON, and for nothing else. Only held calls have need of it.

use super::{SYNTAX, TOKENS};
use crate::inspect::Unreadable;
use crate::message::json;
use apollo_parser::{Lexer, Token, TokenKind};
use serde_json::Value;

/// A request, or a batch of them, by meaning; none if a number in it is not exact, so that two
/// different requests can never have the same meaning.
pub fn meaning(request: &Value) -> Option<String> {
    if json::has_inexact_number(request) {
        return None;
    }
    let mut out = String::new();
    match request {
        Value::Array(batch) => {
            batch.iter().try_for_each(|one| single(one, &mut out).then_some(()))?;
        }
        one => single(one, &mut out).then_some(())?,
    }
    Some(out)
}

/// Adds one request; whether its document has tokens.
fn single(request: &Value, out: &mut String) -> bool {
    if let Some(text) = request.get("query").and_then(Value::as_str) {
        let (tokens, errors) = Lexer::new(text).with_limit(TOKENS).lex();
        if !errors.is_empty() {
            return false;
        }
        for token in tokens.iter().filter(|token| !is_spacing(token)) {
            // The length bounds each token, so that no two lists of tokens read alike.
            out.push_str(&token.data().len().to_string());
            out.push(':');
            out.push_str(token.data());
        }
    }
    for key in ["variables", "operationName", "extensions"] {
        out.push('\u{1f}');
        json::canonical(request.get(key).unwrap_or(&Value::Null), out);
    }
    out.push('\u{1e}');
    true
}

fn is_spacing(token: &Token<'_>) -> bool {
    matches!(
        token.kind(),
        TokenKind::Whitespace | TokenKind::Comment | TokenKind::Comma | TokenKind::Eof
    )
}

/// Refuses a document in which a string does not end in its line: the parser lets a line end pass behind
/// the opening quote, servers do not.
pub(super) fn check_strings(text: &str) -> Result<(), Unreadable> {
    if !text.contains('"') || !text.contains(['\n', '\r']) {
        return Ok(());
    }
    let (tokens, errors) = Lexer::new(text).with_limit(TOKENS).lex();
    let is_broken = |token: &Token<'_>| {
        token.kind() == TokenKind::StringValue
            && !token.data().starts_with("\"\"\"")
            && token.data().contains(['\n', '\r'])
    };
    if !errors.is_empty() || tokens.iter().any(is_broken) { Err(SYNTAX) } else { Ok(()) }
}
