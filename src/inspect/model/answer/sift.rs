//! Which events are worth reading.
//!
//! Takes an event and its dialect; says whether a word stands in it without which it neither calls a tool
//! nor answers a call. Nearly all events of a stream are words of prose, and pass here. What is escaped
//! may be any word.

use crate::inspect::model::Dialect;
use memchr::memmem::Finder;
use std::sync::LazyLock;

/// The words of each dialect, while no call is open.
const WORDS: &[(Dialect, &[&str])] = &[
    (Dialect::Anthropic, &["_start", "partial_json", "\\u"]),
    (Dialect::Chat, &["tool_calls", "function_call", "\"message\"", "\\u"]),
    (
        Dialect::Responses,
        &["output_item", "response.completed", "response.incomplete", "response.failed", "\\u"],
    ),
    (Dialect::Gemini, &["unction", "xecut", "tool", "\\u"]),
];

/// [`WORDS`], ready to be looked for: one after the other is faster than all at once.
static SIEVES: LazyLock<Vec<(Dialect, Vec<Finder<'static>>)>> = LazyLock::new(|| {
    let sieve =
        |words: &'static [&'static str]| words.iter().map(|word| Finder::new(*word)).collect();
    WORDS.iter().map(|(dialect, words)| (*dialect, sieve(words))).collect()
});

/// Whether an event may say anything of calls, where none is open.
pub(super) fn may_matter(dialect: Dialect, event: &[u8]) -> bool {
    let sieve = SIEVES.iter().find(|(known, _)| *known == dialect);
    sieve.is_none_or(|(_, words)| words.iter().any(|word| word.find(event).is_some()))
}
