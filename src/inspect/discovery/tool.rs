//! Tools by what they are asked to do.
//!
//! Takes a tool's name and its input; returns its [`Act`]s. Names of tools are as agents have them
//! (`Bash`, `run_command`, `mcp__server__read_file` …); of a tool that nobody knows, the members of its
//! input say it: `command`, `code`, `path`, `url`.

use super::call;
use super::search::Search;
use super::{HttpCall, Intent, Technique, file, name, shape, shown, sql};
use crate::catalog::Reversibility;
use crate::inspect::command::{Script, Unread};
use serde_json::{Map, Value};

/// Commands of one call that are read each by itself; the others are read as one script.
const COMMANDS: usize = 64;
/// Other elements that are looked at.
const MOST: usize = 1_024;

/// Something that a tool is asked to do.
pub(super) enum Act {
    /// Run the text of a shell, in a folder.
    Shell(String, String),
    /// Run words.
    Words(Vec<String>, String),
    /// Run code in a language.
    Code(String, String),
    /// Read a file.
    Read(String),
    /// Look for files by name.
    Find(String),
    /// Search files.
    Search(Search),
    /// Call an address.
    Call(HttpCall),
    /// Run statements of SQL.
    Sql(String),
    /// More than is looked at.
    More,
}

impl Act {
    /// Adds what it says to an intent; returns what people are shown of it.
    pub(super) fn judge(self, intent: &mut Intent) -> String {
        match self {
            Self::Shell(text, folder) => run(&Script::of_text(&text), &folder, intent),
            Self::Words(words, folder) => {
                run(&Script::of_words(words.iter().map(String::as_str)), &folder, intent)
            }
            Self::Code(program, text) => {
                intent.code(&program, &text, "", 0);
                shown::text(&format!("{program} code"))
            }
            Self::Read(path) => {
                let is_wild = path.contains(['*', '?']);
                let shown = shown::text(&format!("read {path}"));
                if let Some(technique) = file::holds(&path, is_wild, is_wild) {
                    intent.discovers(technique, || shown.clone());
                }
                shown
            }
            Self::Find(pattern) => {
                let shown = shown::text(&format!("find {pattern}"));
                if let Some(technique) = file::holds(&pattern, true, true) {
                    intent.discovers(technique, || shown.clone());
                }
                shown
            }
            Self::Search(search) => {
                let [patterns, paths] = [&search.patterns, &search.paths].map(|all| all.join(" "));
                let shown = shown::text(&format!("search {patterns} {paths}"));
                let named = search
                    .paths
                    .iter()
                    .chain(&search.globs)
                    .find_map(|path| file::holds(path, path.contains('*'), true));
                if let Some(technique) =
                    named.or_else(|| search.seeks().then_some(Technique::Files))
                {
                    intent.discovers(technique, || shown.clone());
                }
                shown
            }
            Self::Call(made) => {
                let shown = shown::call(&made);
                if name::is_metadata(&made.url) {
                    intent.discovers(Technique::Metadata, || shown.clone());
                } else if let Some(path) = made.url.strip_prefix("file://")
                    && let Some(technique) = file::holds(path, false, false)
                {
                    intent.discovers(technique, || shown::text(&format!("read {path}")));
                }
                if call::is_destructive(&made) {
                    intent.destroys(Reversibility::Irreversible, || shown.clone());
                }
                intent.calls(made);
                shown
            }
            Self::More => {
                intent.unread = intent.unread.max(Some(Unread::TooMuch));
                String::new()
            }
            Self::Sql(text) => {
                let shown = shown::text(&text);
                if let Some(reversibility) = sql::destroys(&text) {
                    intent.destroys(reversibility, || shown.clone());
                }
                shown
            }
        }
    }
}

/// Judges a script; what people are shown of it is its first command.
fn run(script: &Script, folder: &str, intent: &mut Intent) -> String {
    intent.script(script, folder, 0);
    script.commands.first().map(shown::command).unwrap_or_default()
}

/// What a tool is called, without the server it is of and in small letters.
fn plain(tool: &str) -> String {
    let name = tool.rsplit("__").next().unwrap_or(tool);
    let name = name.rsplit(['.', ':', '/']).next().unwrap_or(name);
    name.chars().take(64).filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect()
}

/// What a tool is asked to do.
pub(super) fn acts(tool: &str, input: &Value) -> Vec<Act> {
    let mut acts = Vec::new();
    let is_all = shape::each(tool, input, &mut |tool, input| acts.extend(of_one(tool, input)));
    if !is_all || acts.len() > MOST {
        acts.truncate(MOST);
        acts.push(Act::More);
    }
    acts
}

/// What one call asks for.
fn of_one(tool: &str, input: &Value) -> Vec<Act> {
    let tool = plain(tool);
    let is = |parts: &[&str]| parts.iter().any(|part| tool.contains(part));
    let is_shell = is(&[
        "bash",
        "shell",
        "terminal",
        "runcommand",
        "exec",
        "runterminal",
        "tmux",
        "sendkeys",
        "console",
    ]) && !is(&["sql", "query"]);
    let mut acts = Vec::new();
    match input {
        Value::Object(members) => {
            of_members(&tool, is_shell, members, &mut acts);
            // OpenAI's shells have theirs in `action`.
            if let Some(Value::Object(action)) = members.get("action") {
                of_members(&tool, is_shell, action, &mut acts);
            }
        }
        // A tool that takes text as it is.
        Value::String(text) if is_shell => acts.push(Act::Shell(text.clone(), String::new())),
        Value::String(text) if is(&["python", "code", "jupyter"]) => {
            acts.push(Act::Code("python".to_owned(), text.clone()));
        }
        Value::Array(words) if is_shell => acts
            .extend(command(input, "").or_else(|| words.first().and_then(|one| command(one, "")))),
        _ => {}
    }
    acts
}

fn of_members(tool: &str, is_shell: bool, members: &Map<String, Value>, acts: &mut Vec<Act>) {
    let is = |parts: &[&str]| parts.iter().any(|part| tool.contains(part));
    let first = |names: &[&str]| names.iter().find_map(|name| members.get(*name));
    let text = |names: &[&str]| first(names).and_then(Value::as_str);
    let folder =
        text(&["cwd", "workdir", "working_directory", "workingDirectory"]).unwrap_or_default();
    let path_names = [
        "path",
        "file_path",
        "filePath",
        "filename",
        "file",
        "uri",
        "target_file",
        "absolute_path",
        "relative_path",
        "notebook_path",
        "resource",
    ];
    let has_path = first(&path_names).is_some();
    // The verb of an editor.
    let verb = text(&["command"]).filter(|verb| {
        has_path
            && matches!(
                *verb,
                "view" | "create" | "str_replace" | "insert" | "undo_edit" | "delete" | "rename"
            )
    });
    if verb.is_none() {
        for name in [
            "command",
            "cmd",
            "script",
            "shell_command",
            "command_line",
            "commandLine",
            "bash_command",
            "CommandLine",
            "cmdline",
            "cmd_line",
            "shell_cmd",
        ] {
            acts.extend(members.get(name).and_then(|value| command(value, folder)));
        }
        let words = shape::program(members).map(|words| Act::Words(words, folder.to_owned()));
        acts.extend(words);
        for name in ["commands", "cmds", "scripts", "steps"] {
            if let Some(Value::Array(all)) = members.get(name) {
                acts.extend(all.iter().take(COMMANDS).filter_map(|one| command(one, folder)));
                acts.extend(rest(all, folder));
            }
        }
        if is_shell {
            acts.extend(
                text(&["input", "code", "text", "chars", "keys"])
                    .map(|text| Act::Shell(text.to_owned(), folder.to_owned())),
            );
            if acts.is_empty() {
                let texts = shape::texts(members);
                acts.extend(texts.map(|text| Act::Shell(text.to_owned(), folder.to_owned())));
            }
        } else if matches!(text(&["action"]), Some("type" | "key" | "run" | "execute")) {
            // What is typed where a screen is worked at.
            acts.extend(text(&["text"]).map(|text| Act::Shell(text.to_owned(), folder.to_owned())));
        }
    }
    if !is_shell {
        let program = if is(&["node", "javascript", "js"]) { "node" } else { "python" };
        acts.extend(
            text(&["code", "source_code", "python", "javascript"])
                .map(|text| Act::Code(program.to_owned(), text.to_owned())),
        );
        let statements = if is(&["sql", "query", "postgres", "mysql", "sqlite", "database", "db"]) {
            text(&["sql", "query", "statement"])
        } else {
            text(&["sql"])
        };
        acts.extend(statements.map(|text| Act::Sql(text.to_owned())));
    }
    let writes = verb.is_some_and(|verb| verb != "view")
        || is(&[
            "write", "edit", "create", "replace", "insert", "patch", "delete", "remove", "move",
            "mkdir", "rename", "append", "save", "upload",
        ]) && verb != Some("view")
            && !is(&["editoropen", "openeditor"]);
    let is_glob = is(&["glob", "filesearch", "findfile", "findbyname"]);
    let is_search = is(&["grep", "search", "ripgrep", "find"]) && !is(&["web"]);
    let pattern = text(&["pattern", "regex", "query", "search_term", "Query", "Pattern"]);
    let paths: Vec<String> = path_names
        .iter()
        .chain(&[
            "paths",
            "files",
            "file_paths",
            "filePaths",
            "filenames",
            "file_names",
            "include_paths",
            "directory",
            "dir",
        ])
        .filter_map(|name| members.get(*name))
        .flat_map(|value| match value {
            Value::Array(all) => all.iter().take(MOST).collect(),
            one => vec![one],
        })
        .filter_map(|one| {
            let named = || path_names.iter().chain(&["name"]).find_map(|name| one.get(*name));
            one.as_str().or_else(|| named().and_then(Value::as_str))
        })
        .filter(|path| !path.starts_with("http"))
        .map(|path| file::joined(folder, path))
        .collect();
    match pattern {
        Some(pattern) if is_glob => acts.push(Act::Find(pattern.to_owned())),
        Some(pattern) if is_search => {
            let globs =
                ["glob", "include", "type", "file_pattern", "include_pattern", "includePattern"];
            let globs = globs.iter().filter_map(|name| members.get(*name).and_then(Value::as_str));
            let is_set = |name: &str| members.get(name).and_then(Value::as_bool);
            let is_insensitive = is_set("-i")
                .or_else(|| is_set("ignore_case"))
                .or_else(|| is_set("case_sensitive").map(|is| !is));
            acts.push(Act::Search(Search {
                patterns: vec![pattern.to_owned()],
                paths,
                globs: globs.map(ToOwned::to_owned).collect(),
                is_insensitive: is_insensitive.unwrap_or(false),
                is_recursive: true,
                // Claude's lists the names of files where nothing else is asked for.
                is_list: text(&["output_mode"]).map_or(tool == "grep", |mode| mode != "content"),
            }));
        }
        _ if !writes => acts.extend(paths.into_iter().take(MOST).map(Act::Read)),
        _ => {}
    }
    let url = ["url", "uri", "endpoint", "Url"]
        .iter()
        .filter_map(|name| members.get(*name).and_then(Value::as_str));
    for url in url.filter(|url| url.contains("://")) {
        let body = first(&["body", "data", "json", "payload"]).map(|body| match body {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        let method = text(&["method", "http_method", "httpMethod"]).map_or_else(
            || if body.is_some() { "POST" } else { "GET" }.to_owned(),
            str::to_ascii_uppercase,
        );
        acts.push(Act::Call(HttpCall { method, url: url.to_owned(), body }));
    }
}

/// The commands behind those that are read each by itself, as one script.
fn rest(all: &[Value], folder: &str) -> Option<Act> {
    let lines = all.iter().skip(COMMANDS).filter_map(|one| match command(one, folder)? {
        Act::Shell(text, _) => Some(text),
        Act::Words(words, _) => Some(words.join(" ")),
        _ => None,
    });
    let script = lines.collect::<Vec<_>>().join("\n");
    (!script.is_empty()).then(|| Act::Shell(script, folder.to_owned()))
}

/// A command as it is given: a text for a shell, or words.
fn command(value: &Value, folder: &str) -> Option<Act> {
    match value {
        Value::String(text) => Some(Act::Shell(text.clone(), folder.to_owned())),
        Value::Array(words) => {
            let words = words.iter().filter_map(|word| word.as_str().map(ToOwned::to_owned));
            let words: Vec<String> = words.take(1_024).collect();
            // A list of one is a text, whatever it is called.
            match words.as_slice() {
                [] => None,
                [one] => Some(Act::Shell(one.clone(), folder.to_owned())),
                _ => Some(Act::Words(words, folder.to_owned())),
            }
        }
        Value::Object(inner) => {
            if let Some(words) = shape::program(inner) {
                return Some(Act::Words(words, folder.to_owned()));
            }
            let names = ["command", "cmd", "run", "script"];
            names.iter().find_map(|name| inner.get(*name)).and_then(|one| match one {
                Value::Object(_) => None,
                one => command(one, folder),
            })
        }
        _ => None,
    }
}
