//! Statements of SQL that destroy: `DROP`, `TRUNCATE`, and `DELETE` or `UPDATE` of every row.

use crate::catalog::Reversibility::{self, Irreversible};

/// What is looked at.
const LONGEST: usize = 64 << 10;

/// Whether a text of SQL destroys.
pub(super) fn destroys(text: &str) -> Option<Reversibility> {
    text.get(..LONGEST).unwrap_or(text).split(';').any(is_destructive).then_some(Irreversible)
}

fn is_destructive(statement: &str) -> bool {
    let plain: String = statement
        .lines()
        .map(|line| line.split("--").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join(" ")
        .to_ascii_uppercase();
    let mut rest = plain.as_str();
    // Comments may stand between the words.
    let mut left = String::with_capacity(rest.len());
    while let Some((before, after)) = rest.split_once("/*") {
        left.push_str(before);
        left.push(' ');
        rest = after.split_once("*/").map_or("", |(_, after)| after);
    }
    left.push_str(rest);
    let words: Vec<&str> = left.split_whitespace().take(4_096).collect();
    let has = |word: &str| words.contains(&word);
    let objects = ["TABLE", "DATABASE", "SCHEMA", "OWNED", "TABLESPACE", "COLLECTION", "KEYSPACE"];
    match words.as_slice() {
        ["DROP", what, ..] => objects.contains(what),
        ["TRUNCATE", ..] => true,
        ["DELETE", "FROM", ..] => !has("WHERE"),
        ["UPDATE", ..] => has("SET") && !has("WHERE"),
        // A common table expression in front of it.
        ["WITH", ..] => has("DELETE") && !has("WHERE"),
        _ => false,
    }
}
