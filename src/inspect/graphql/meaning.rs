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
/// the opening quote, servers do not. Takes one that the parser has taken.
pub(super) fn check_strings(text: &str) -> Result<(), Unreadable> {
    let mut rest = text.as_bytes();
    while let Some(at) = memchr::memchr2(b'"', b'#', rest) {
        rest = match rest.split_at(at).1 {
            [b'#', comment @ ..] => {
                let end = memchr::memchr2(b'\n', b'\r', comment).unwrap_or(comment.len());
                comment.split_at(end).1
            }
            [b'"', b'"', b'"', block @ ..] => behind_block(block)?,
            [_, string @ ..] => behind_string(string)?,
            [] => return Ok(()),
        };
    }
    Ok(())
}

/// What follows a string, of what follows its first quote.
fn behind_string(string: &[u8]) -> Result<&[u8], Unreadable> {
    let mut bytes = string.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => return Ok(bytes.as_slice()),
            b'\n' | b'\r' => break,
            b'\\' if bytes.next().is_none_or(|escaped| matches!(escaped, b'\n' | b'\r')) => break,
            _ => {}
        }
    }
    Err(SYNTAX)
}

/// What follows a block string, of what follows its first three quotes.
fn behind_block(mut block: &[u8]) -> Result<&[u8], Unreadable> {
    while let Some(at) = memchr::memmem::find(block, b"\"\"\"") {
        let (inside, end) = block.split_at(at);
        block = end.get(3..).unwrap_or_default();
        if !inside.ends_with(b"\\") {
            return Ok(block);
        }
    }
    Err(SYNTAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use apollo_parser::Parser;
    use proptest::prelude::*;

    /// The same by the parser's own tokens.
    fn by_tokens(text: &str) -> Result<(), Unreadable> {
        let (tokens, errors) = Lexer::new(text).with_limit(TOKENS).lex();
        let is_broken = |token: &Token<'_>| {
            token.kind() == TokenKind::StringValue
                && !token.data().starts_with("\"\"\"")
                && token.data().contains(['\n', '\r'])
        };
        if !errors.is_empty() || tokens.iter().any(is_broken) { Err(SYNTAX) } else { Ok(()) }
    }

    #[test]
    fn a_string_ends_in_its_line() {
        let cases = [
            ("{ a(b: \"c\") }\n# \"\n{ d }", true),
            ("{ a(b: \"\nc\") }", false),
            ("{ a(b: \"\rc\") }", false),
            ("{ a(b: \"\\\"\") c }", true),
            ("{ a(b: \"\"\"x\ny \"\" \\\"\"\" \"z\n\"\"\") }", true),
            ("{ a(b: \"\") }\n# \"\r{ d(e: \"\nf\") }", false),
            ("{ a(b: \"", false),
            ("{ a(b: \"\"\"", false),
        ];
        for (text, is_good) in cases {
            assert_eq!(check_strings(text).is_ok(), is_good, "{text:?}");
            assert_eq!(by_tokens(text).is_ok(), is_good, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn strings_end_where_the_parser_ends_them(
            pieces in prop::collection::vec(
                prop::sample::select(vec!["\"", "\"\"\"", "\\", "\n", "\r", "#", "a", "é", " ", "\\u0041", ","]),
                0..14,
            ),
        ) {
            let text = format!("{{ a(b: {}) }}", pieces.concat());
            let parsed = Parser::new(&text).parse().errors().next().is_none();
            if parsed {
                prop_assert_eq!(check_strings(&text).is_ok(), by_tokens(&text).is_ok());
            }
        }
    }
}
