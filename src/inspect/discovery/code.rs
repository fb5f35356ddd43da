//! Programs in other languages than the shell's.
//!
//! Takes the text of one, as `python -c` and code tools have it; says what of credentials it finds by
//! the strings in it, and what it runs and calls. It is not parsed: its strings and a few names are
//! looked at, so that what it puts together at run time is not seen.

use super::file::{self, joined};
use super::{HttpCall, Technique, name, sql};
use crate::catalog::Reversibility::{self, Irreversible};
use crate::inspect::command::{Script, base};

/// What of a text is looked at.
const LONGEST: usize = 64 << 10;
/// Strings that are looked at.
const STRINGS: usize = 256;

/// What opens a file for reading in some language.
const READS: &[&str] =
    &["open(", "read", "slurp", "File.", "file_get_contents", "Path(", "cat ", "copy", "Bun.file"];
/// What takes a file in without showing it, or writes it.
const TAKES: &[&str] = &[
    "dotenv",
    "'w'",
    "\"w\"",
    "'a'",
    "\"a\"",
    "write_text",
    "writeFile",
    "exists",
    "existsSync",
    "isfile",
];
/// What shows the whole environment.
const ENVIRONMENT: &[&str] = &[
    "stringify(process.env)",
    "stringify(process.env,",
    "table(process.env",
    "dir(process.env",
    "print_r($_ENV",
    "var_dump($_ENV",
    "phpinfo(",
    "/proc/self/environ",
    "Get-ChildItem Env:",
    "gci env:",
    "puts ENV",
    "p ENV",
    "ENV.inspect",
    "ENV.each",
    "Deno.env.toObject",
];
/// What stands for the whole environment, where it is shown or gone through.
const WHOLE: &[&str] = &[
    "os.environ)",
    "os.environ.items",
    "os.environ.copy",
    "os.environ,",
    "os.environ:",
    "process.env)",
    "process.env,",
    "%ENV",
    "ENV.to_h",
    "getenv()",
    "Sys.getenv()",
];
/// What shows a value.
const SHOWS: &[&str] = &["print", "console.", "puts", "echo", "write", "dump", "log("];
/// What asks for a variable of the environment.
const ASKS: &[&str] = &["environ", "process.env", "getenv", "ENV[", "Deno.env", "$env:"];
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
    if name::is_metadata(text) && has(text, &["http", "request", "fetch", "urlopen", "socket"]) {
        return Some((Technique::Metadata, "the metadata service".to_owned()));
    }
    if has(text, READS) {
        let taken = |statement: &&str| !has(statement, TAKES);
        for string in statements(text).filter(taken).flat_map(strings).take(STRINGS) {
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
    environment(text).map(|what| (Technique::Unsecured, what))
}

/// What it shows of the environment: all of it, or a variable that holds a secret. A variable that is
/// only used is not shown.
fn environment(text: &str) -> Option<String> {
    let mut kept = Vec::new();
    for statement in statements(text) {
        let shows = has(statement, SHOWS);
        let goes = statement.trim_start().starts_with("for ") || statement.contains(" for ");
        // `'NAME' in os.environ` asks for one.
        let is_asked = has(statement, &["' in ", "\" in "]);
        let is_whole = has(statement, WHOLE) && !is_asked && (shows || goes);
        if is_whole || has(statement, ENVIRONMENT) {
            return Some("lists the environment".to_owned());
        }
        if shows && kept.iter().any(|name: &&str| words(statement).any(|word| word == *name)) {
            return Some("shows a variable of the environment".to_owned());
        }
        let Some(name) = variable(statement).filter(|_| has(statement, ASKS)) else { continue };
        if shows {
            return Some(format!("shows {name}"));
        }
        let is_value = |value: &str| {
            let starts = ["os.", "process.", "ENV", "getenv", "Deno.", "environ", "$env:"];
            starts.iter().any(|start| value.trim_start().starts_with(start))
        };
        if let Some((assigned, value)) = statement.split_once('=')
            && is_value(value)
        {
            kept.extend(words(assigned).last().filter(|_| kept.len() < 32));
        }
    }
    None
}

fn has(text: &str, parts: &[&str]) -> bool {
    parts.iter().any(|part| text.contains(part))
}

/// The statements of a program, as lines and semicolons part them.
fn statements(text: &str) -> impl Iterator<Item = &str> {
    text.split(['\n', ';']).take(4_096)
}

/// The names and numbers in a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// The scripts that it runs, as far as they stand there as strings.
pub(super) fn scripts(text: &str) -> Vec<Script> {
    let text = head(text);
    if !has(text, RUNS) {
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
    if !has(text, &["request", "fetch", "http", "axios", "urlopen", "curl"]) {
        return calls;
    }
    let is = |method: &str| {
        let upper = method.to_ascii_uppercase();
        // Not of a map: of a client, or with an address.
        let clients = ["requests", "axios", "client", "session", "http", "httpx", "got", "ky"];
        clients.iter().any(|client| text.contains(&format!("{client}.{method}(")))
            || ["\"", "'", "`", "f\"", "f'"]
                .iter()
                .any(|quote| text.contains(&format!(".{method}({quote}http")))
            || ["'", "\""].iter().any(|quote| text.contains(&format!("{quote}{upper}{quote}")))
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
    let removes = |statement: &&str| {
        has(statement, &["rmtree", "rmSync", "rm_rf", "removeSync", "remove_dir_all"])
    };
    let is_broad = |one: &str| {
        matches!(one, "/" | "~" | "." | ".." | "/home" | "/etc" | "/var" | "/usr" | ".git")
    };
    if statements(text).filter(removes).flat_map(strings).any(is_broad) {
        return Some(Irreversible);
    }
    let queries = has(text, &["execute", "query", "cursor", ".run(", ".exec("]);
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
    let is_upper = |word: &&str| {
        word.len() > 4 && word.contains('_') && word.chars().all(|c| !c.is_ascii_lowercase())
    };
    words(text).filter(is_upper).find(|word| name::is_secret(word))
}

/// The strings of a program: those in quotes, then what Ruby and Perl have for quotes, as `%q(…)`.
fn strings(text: &str) -> impl Iterator<Item = &str> {
    quoted(text).chain(in_brackets(text))
}

fn in_brackets(text: &str) -> impl Iterator<Item = &str> {
    const MARKS: &[&str] = &["%q", "%Q", "%w", "%", "qq", "q"];
    text.match_indices(['(', '{', '[', '<', '|'])
        .take(4_096)
        .filter_map(|(at, opening)| {
            let before = text.get(..at)?;
            let mark = MARKS.iter().find_map(|mark| before.strip_suffix(mark))?;
            if mark.ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_') {
                return None;
            }
            let closing = match opening {
                "(" => ')',
                "{" => '}',
                "[" => ']',
                "<" => '>',
                _ => '|',
            };
            text.get(at + 1..)?.split(closing).next()
        })
        .take(STRINGS)
}

fn quoted(text: &str) -> impl Iterator<Item = &str> {
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
