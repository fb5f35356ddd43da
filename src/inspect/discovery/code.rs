//! Programs in other languages than the shell's.
//!
//! Takes the text of one, as `python -c` and code tools have it; says what of credentials it finds by
//! the strings in it, and what it runs and calls. It is not parsed: its strings and a few names are
//! looked at, so that what it puts together at run time is not seen.

use super::file::{self, joined};
use super::{HttpCall, Technique, name, sql};
use crate::catalog::Reversibility;
use crate::inspect::command::{Script, base};

/// What of a text is looked at.
const LONGEST: usize = 64 << 10;
/// Strings that are looked at.
const STRINGS: usize = 256;

/// What opens a file for reading in some language.
const READS: &[&str] = &[
    "open(",
    "read",
    "load",
    "slurp",
    "File.",
    "file_get_contents",
    "fopen",
    "Path(",
    "cat ",
    "copy",
    "<",
    "dotenv",
    "Bun.file",
];
/// What lists the whole environment.
const ENVIRONMENT: &[&str] = &[
    "print(os.environ)",
    "dict(os.environ",
    "os.environ.items",
    "os.environ.copy",
    "str(os.environ",
    "json.dumps(os.environ",
    "in os.environ:",
    "pprint(os.environ",
    "**os.environ)",
    "console.log(process.env)",
    "stringify(process.env",
    "entries(process.env",
    "keys(process.env",
    "table(process.env",
    "dir(process.env",
    "in process.env)",
    "of process.env)",
    "%ENV",
    "ENV.to_h",
    "ENV.each",
    "ENV.inspect",
    "p ENV",
    "puts ENV",
    "print_r($_ENV",
    "var_dump($_ENV",
    "getenv()",
    "phpinfo(",
    "Deno.env.toObject",
    "Sys.getenv()",
    "/proc/self/environ",
    "Get-ChildItem Env:",
    "gci env:",
];
/// What shows a value.
const SHOWS: &[&str] = &["print", "console.", "puts", "echo", "write", "dump", "log("];
/// What runs a command.
const RUNS: &[&str] = &[
    "subprocess",
    "os.system",
    "os.popen",
    "exec(",
    "execSync",
    "spawn",
    "system(",
    "popen",
    "Popen",
    "shell_exec",
    "%x",
    "$`",
    "check_output",
    "Deno.Command",
    "$(",
];

/// What it finds of credentials, and by which string.
pub(super) fn discovers(text: &str, folder: &str) -> Option<(Technique, String)> {
    let text = head(text);
    let has = |parts: &[&str]| parts.iter().any(|part| text.contains(part));
    if name::is_metadata(text) && has(&["http", "request", "fetch", "urlopen", "socket"]) {
        return Some((Technique::Metadata, "the metadata service".to_owned()));
    }
    if has(READS) {
        for string in strings(text) {
            let path = joined(folder, string);
            if string.len() < 512
                && !string.contains(char::is_whitespace)
                && let Some(technique) =
                    file::holds(&path, string.contains('*'), string.contains('*'))
            {
                return Some((technique, format!("reads {string}")));
            }
        }
    }
    if has(ENVIRONMENT) {
        return Some((Technique::Unsecured, "lists the environment".to_owned()));
    }
    if has(SHOWS)
        && has(&["environ", "process.env", "getenv", "ENV[", "Deno.env", "$env:"])
        && let Some(name) = variable(text)
    {
        return Some((Technique::Unsecured, format!("shows {name}")));
    }
    None
}

/// The scripts that it runs, as far as they stand there as strings.
pub(super) fn scripts(text: &str) -> Vec<Script> {
    let text = head(text);
    if !RUNS.iter().any(|part| text.contains(part)) {
        return Vec::new();
    }
    let all: Vec<&str> = strings(text).take(32).collect();
    // A list of words: `["cat", ".env"]`.
    let words =
        Script::of_words(all.iter().copied().filter(|one| !one.contains(char::is_whitespace)));
    let texts = all.iter().filter(|one| one.contains(char::is_whitespace) || is_command(one));
    let mut scripts: Vec<Script> = texts.map(|one| Script::of_text(one)).collect();
    if text.contains('[') {
        scripts.push(words);
    }
    scripts
}

fn is_command(text: &str) -> bool {
    matches!(base(text), "env" | "printenv" | "set" | "history")
}

/// The calls over HTTP that it makes.
pub(super) fn calls(text: &str) -> Vec<HttpCall> {
    let text = head(text);
    let mut calls = Vec::new();
    if !["request", "fetch", "http", "axios", "urlopen", "curl"]
        .iter()
        .any(|part| text.contains(part))
    {
        return calls;
    }
    let lower = text.to_ascii_lowercase();
    let is = |method: &str| {
        lower.contains(&format!(".{method}("))
            || ["'", "\""].iter().any(|quote| {
                text.contains(&format!("{quote}{}{quote}", method.to_ascii_uppercase()))
            })
    };
    let method = ["delete", "put", "patch", "post"].into_iter().find(|method| is(method));
    let body = strings(text).find(|one| is_mutation(one)).map(ToOwned::to_owned);
    for url in strings(text)
        .filter(|one| one.starts_with("https://") || one.starts_with("http://"))
        .take(8)
    {
        calls.push(HttpCall {
            method: method.map_or_else(|| "GET".to_owned(), str::to_ascii_uppercase),
            url: url.to_owned(),
            body: body.clone(),
        });
    }
    calls
}

/// Whether it deletes by itself what is broad, or from a database.
pub(super) fn destroys(text: &str) -> Option<Reversibility> {
    let text = head(text);
    let removes = ["rmtree", "rmSync", "rm_rf", "removeSync", "remove_dir_all"]
        .iter()
        .any(|part| text.contains(part));
    let is_broad = |one: &str| {
        matches!(one, "/" | "~" | "." | ".." | "/home" | "/etc" | "/var" | "/usr" | ".git")
    };
    if removes && strings(text).any(is_broad) {
        return Some(Reversibility::Irreversible);
    }
    let queries =
        ["execute", "query", "cursor", ".run(", ".exec("].iter().any(|part| text.contains(part));
    queries.then(|| strings(text).find_map(sql::destroys)).flatten()
}

/// Whether a text is a mutation of GraphQL, as it stands or in JSON.
pub(super) fn is_mutation(text: &str) -> bool {
    text.split("mutation").skip(1).any(|after| {
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c.is_whitespace();
        after.starts_with([' ', '{', '(', '\n', '\\'])
            && after.trim_start_matches(is_name).starts_with(['{', '(', '\\', '@'])
    })
}

/// The variable of the environment with a secret that it asks for.
fn variable(text: &str) -> Option<&str> {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = text.split(|c| !is_letter(c)).filter(|word| word.len() > 4 && word.contains('_'));
    let is_upper = |word: &&str| word.chars().all(|c| !c.is_ascii_lowercase());
    words.filter(is_upper).find(|word| name::is_secret(word))
}

/// The strings of a program, in the order in which they stand there.
fn strings(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let start = rest.find(['"', '\'', '`'])?;
        let quote = rest.get(start..)?.chars().next()?;
        let inner = rest.get(start + 1..)?;
        let mut is_escaped = false;
        let end = inner.find(|c| {
            let ends = c == quote && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            ends
        });
        let end = end.unwrap_or(inner.len());
        rest = inner.get(end + 1..).unwrap_or_default();
        inner.get(..end)
    })
    .take(STRINGS)
}

fn head(text: &str) -> &str {
    let mut end = text.len().min(LONGEST);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}
