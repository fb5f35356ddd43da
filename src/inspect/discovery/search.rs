//! Searches of files for credentials.
//!
//! Takes what a search looks for and where; says whether it looks for credentials. The word `token`
//! in the folders of a program's source is everyday: what counts is a name or a shape of a credential
//! where values are kept, or secret words by the handful, in any case, or outside the project.

use super::name;
use crate::inspect::command::Simple;

/// A search.
#[derive(Debug, Default)]
pub(super) struct Search {
    pub(super) patterns: Vec<String>,
    pub(super) paths: Vec<String>,
    /// Names of files that it is confined to.
    pub(super) globs: Vec<String>,
    /// Whether capitals and small letters are the same to it.
    pub(super) is_insensitive: bool,
    /// Whether it goes through folders.
    pub(super) is_recursive: bool,
    /// Whether it shows the names of files and how often, and not what it finds.
    pub(super) is_list: bool,
}

/// How far a search goes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scope {
    /// Source and documents of a program.
    Code,
    /// A whole project.
    Tree,
    /// Homes, systems, dotfiles, configurations.
    Beyond,
}

/// What values of secrets begin with.
const SHAPES: &[&str] = &[
    "sk-ant",
    "sk-proj",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat",
    "akia",
    "xoxb",
    "xoxp",
    "glpat-",
    "aiza",
    "private key",
    "private.key",
    "npm_",
    "pypi-",
    "hvs.",
    "dop_v1",
    "rk_live",
    "sk_live",
];
/// What names of a provider's variables begin with, where a pattern ends there.
const PROVIDERS: &[&str] = &[
    "RAILWAY_",
    "AWS_",
    "GITHUB_",
    "OPENAI_",
    "ANTHROPIC_",
    "STRIPE_",
    "VERCEL_",
    "HEROKU_",
    "FLY_",
];
/// Platforms that run what others make. Programs do not have their names as they have those of services
/// that they call: who looks for one in a whole tree, in any case or in capitals, finds its variables.
const PLATFORMS: &[&str] = &[
    "railway",
    "heroku",
    "vercel",
    "netlify",
    "flyio",
    "planetscale",
    "digitalocean",
    "cloudflare",
    "hetzner",
    "linode",
    "vultr",
    "scaleway",
    "doppler",
];
/// Secret words.
const WORDS: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "credential",
    "apikey",
    "api_key",
    "api-key",
    "bearer",
    "access_token",
    "auth_token",
    "access_key",
    "secret_key",
    "private_key",
    "client_secret",
];
/// Endings of source and documents.
const SOURCE: &[&str] = &[
    "rs", "py", "pyi", "js", "jsx", "mjs", "cjs", "ts", "tsx", "go", "rb", "java", "kt", "kts",
    "scala", "c", "h", "cc", "cpp", "hpp", "cs", "fs", "swift", "m", "php", "ex", "exs", "erl",
    "clj", "hs", "ml", "lua", "dart", "vue", "svelte", "css", "scss", "html", "md", "mdx", "rst",
    "txt", "sql", "proto", "graphql", "sh", "bash", "lock", "zig", "nim", "jl", "r", "pl", "adoc",
];
/// Types of ripgrep that are source.
const TYPES: &[&str] =
    &["rust", "python", "typescript", "markdown", "ruby", "javascript", "kotlin", "csharp"];
/// Folders of source and documents.
const FOLDERS: &[&str] = &[
    "src",
    "lib",
    "libs",
    "test",
    "tests",
    "spec",
    "specs",
    "__tests__",
    "app",
    "apps",
    "packages",
    "crates",
    "pkg",
    "cmd",
    "internal",
    "docs",
    "doc",
    "components",
    "pages",
    "examples",
    "benches",
    "benchmarks",
    "e2e",
    "node_modules",
    "vendor",
    "include",
    "server",
    "client",
    "frontend",
    "backend",
    "api",
    "core",
    "modules",
    "plugins",
    "target",
    "site-packages",
    "migrations",
];
/// Endings of files in which values are kept.
const SETTINGS: &[&str] =
    &["env", "yml", "yaml", "toml", "ini", "conf", "cfg", "properties", "tfvars", "tf"];

impl Search {
    /// The search that a command is, if it is one over files.
    pub(super) fn of(command: &Simple) -> Option<Self> {
        let (valued, skip, is_recursive) = match command.head() {
            "grep" | "egrep" | "fgrep" | "ggrep" | "zgrep" => (
                GREP,
                0,
                command.has_flag('r') || command.has_flag('R') || command.has("--recursive"),
            ),
            "rg" | "ag" | "ack" | "ugrep" => (RIPGREP, 0, true),
            "git" if command.argument(0) == "grep" => (GREP, 1, true),
            _ => return None,
        };
        let has = |names: &[&str]| names.iter().any(|name| command.has(name));
        let is_smart = command.head() == "ag" && !command.has_flag('s')
            || has(&["-S", "--smart-case"]) && command.head() != "grep";
        let is_list = has(&["--files-with-matches", "--files-without-match", "--count"])
            || command.has_flag('l')
            || command.has_flag('c')
            // To ripgrep it says that links are followed.
            || (command.has_flag('L') && command.head() != "rg");
        let mut search = Self {
            is_insensitive: command.has_flag('i') || command.has("--ignore-case"),
            is_recursive,
            is_list,
            ..Self::default()
        };
        let is_quiet = command.has_flag('q') || command.has("--quiet") || command.has("--files");
        if is_quiet {
            return None;
        }
        let mut words = command.arguments().iter().skip(skip).map(|word| word.text.as_str());
        let mut operands: Vec<String> = Vec::new();
        while let Some(word) = words.next() {
            match word.split_once('=') {
                _ if word == "--" => {
                    operands.extend(words.by_ref().map(ToOwned::to_owned));
                }
                Some(("--include" | "--glob" | "--type", glob)) => {
                    search.globs.push(glob.to_owned());
                }
                Some(("--regexp", pattern)) => search.patterns.push(pattern.to_owned()),
                _ if matches!(word, "-e" | "--regexp") => {
                    search.patterns.extend(words.next().map(ToOwned::to_owned));
                }
                _ if matches!(
                    word,
                    "-g" | "-t" | "--glob" | "--type" | "--include" | "--iglob"
                ) =>
                {
                    search.globs.extend(words.next().map(ToOwned::to_owned));
                }
                _ if valued.contains(&word) => {
                    words.next();
                }
                _ if word.starts_with('-') && word.len() > 1 => {}
                _ => operands.push(word.to_owned()),
            }
        }
        let mut operands = operands.into_iter();
        if search.patterns.is_empty() {
            search.patterns.extend(operands.next());
        }
        search.paths.extend(operands);
        let has_capitals = |pattern: &String| pattern.contains(|c: char| c.is_ascii_uppercase());
        search.is_insensitive |= is_smart && !search.patterns.iter().any(has_capitals);
        let is_fed = command.place.stage > 0 && search.paths.is_empty();
        (!is_fed && (is_recursive || !search.paths.is_empty())).then_some(search)
    }

    /// Whether it looks for credentials.
    pub(super) fn seeks(&self) -> bool {
        let scope = self.scope();
        if scope == Scope::Code {
            return false;
        }
        let mut words = 0;
        let mut is_insensitive = self.is_insensitive;
        for pattern in &self.patterns {
            is_insensitive |= pattern.contains("(?i)");
            if is_shape(pattern) || names(pattern) {
                return true;
            }
            words += secret_words(pattern);
            if self.is_recursive
                && !self.is_list
                && (self.shows_all(pattern) || self.names_platform(pattern))
            {
                return true;
            }
        }
        match scope {
            Scope::Code => false,
            Scope::Tree => words >= 2 || (words == 1 && is_insensitive),
            Scope::Beyond => words >= 1,
        }
    }

    /// Whether it shows every line of folders: `grep -r . infra`.
    fn shows_all(&self, pattern: &str) -> bool {
        let is_folder = |path: &String| {
            let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            !name.trim_start_matches('.').contains('.')
        };
        takes_all(pattern) && self.globs.is_empty() && self.paths.iter().all(is_folder)
    }

    /// Whether it looks through a tree for the name of a platform, so that it finds its variables.
    fn names_platform(&self, pattern: &str) -> bool {
        let plain = pattern.replace("(?i)", "");
        let is_platform = |part: &str| {
            let name = part.trim_matches(|c: char| !c.is_ascii_alphanumeric());
            let is_capital = !name.contains(|c: char| c.is_ascii_lowercase());
            PLATFORMS.iter().any(|one| one.eq_ignore_ascii_case(name))
                && (self.is_insensitive || is_capital || plain.len() < pattern.len())
        };
        self.globs.is_empty() && plain.split('|').any(is_platform)
    }

    fn scope(&self) -> Scope {
        let is_source = |glob: &String| {
            let end = glob.rsplit('.').next().unwrap_or(glob).trim_end_matches('}');
            let all = |one: &str| SOURCE.contains(&one) || TYPES.contains(&one);
            let ends = end.trim_start_matches('{').split(',').map(str::trim).all(all);
            ends && !glob.starts_with('!')
        };
        if !self.globs.is_empty() && self.globs.iter().all(is_source) {
            return Scope::Code;
        }
        if self.globs.iter().any(|glob| glob.starts_with('.') || ends_with(glob, SETTINGS)) {
            return Scope::Beyond;
        }
        self.paths.iter().map(|path| scope_of(path)).max().unwrap_or(Scope::Tree)
    }
}

const GREP: &[&str] = &[
    "-f",
    "-m",
    "-A",
    "-B",
    "-C",
    "-d",
    "-D",
    "--exclude",
    "--exclude-dir",
    "--color",
    "--max-count",
    "--context",
];
const RIPGREP: &[&str] = &[
    "-f",
    "-m",
    "-A",
    "-B",
    "-C",
    "-M",
    "-T",
    "-j",
    "-d",
    "-r",
    "--type-not",
    "--max-depth",
    "--max-count",
    "--context",
    "--sort",
    "--replace",
    "--color",
    "--ignore-file",
    "--max-columns",
];

fn scope_of(path: &str) -> Scope {
    let path = path.trim_end_matches('/');
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let name = parts.last().copied().unwrap_or_default();
    let is_hidden = |part: &&str| part.starts_with('.') && part.len() > 1 && *part != "..";
    if parts.iter().any(|part| is_hidden(part) && *part != ".github") || ends_with(name, SETTINGS) {
        return Scope::Beyond;
    }
    if parts.iter().any(|part| FOLDERS.contains(part)) || ends_with(name, SOURCE) {
        return Scope::Code;
    }
    let is_outside = path.starts_with(['~', '$'])
        || parts.first() == Some(&"..")
        || ["/etc", "/root", "/home", "/Users", "/opt", "/var", "/proc", "/mnt"]
            .iter()
            .any(|root| path.starts_with(root) && parts.len() <= 2)
        || (path.is_empty() && parts.is_empty());
    if is_outside { Scope::Beyond } else { Scope::Tree }
}

/// Whether a folder has source or documents of a program, by its name.
pub(super) fn is_of_code(folder: &str) -> bool {
    FOLDERS.contains(&folder)
}

fn ends_with(name: &str, ends: &[&str]) -> bool {
    name.rsplit_once('.').is_some_and(|(_, end)| ends.contains(&end.to_ascii_lowercase().as_str()))
}

/// Whether a pattern is in every line that says anything, or in every assignment.
fn takes_all(pattern: &str) -> bool {
    let mut left = String::new();
    let mut rest = pattern;
    while let Some((before, after)) = rest.split_once('[') {
        left.push_str(before);
        let Some((set, behind)) = after.split_once(']') else { return false };
        if !set.contains("A-Z") && !set.contains("a-z") && !set.starts_with('^') {
            return false;
        }
        rest = behind;
    }
    left.push_str(rest);
    let left = left.replace("\\w", "").replace("\\S", "");
    left.len() <= 16 && left.chars().all(|c| ".*+?^$=()|".contains(c))
}

/// Whether a pattern has what values of secrets begin with, or assigns something to a secret word.
pub(super) fn is_shape(pattern: &str) -> bool {
    let lower = pattern.to_ascii_lowercase();
    let plain: String = lower.chars().filter(|c| *c != '\\').collect();
    // The groups of a UUID.
    let is_uuid = plain.contains("{8}") && plain.contains("{4}") && plain.contains('-');
    SHAPES.iter().any(|shape| plain.contains(shape))
        || is_uuid
        || PROVIDERS.iter().any(|name| pattern.trim_end_matches(['.', '*', '+']).ends_with(name))
        || WORDS.iter().any(|word| {
            plain.split_once(word).is_some_and(|(_, rest)| {
                let rest = rest.trim_start_matches([')', '"', '\'', 's', '?', '*', ' ', '[']);
                rest.starts_with(['=', ':']) && !rest.starts_with("::")
            })
        })
}

/// Whether a pattern has the name of a variable that holds a secret, as `RAILWAY_TOKEN`.
pub(super) fn names(pattern: &str) -> bool {
    let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
    pattern.split(|c| !is_letter(c)).any(|word| {
        let is_name = word.contains('_')
            && word.len() >= 7
            && word.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        is_name && name::is_secret(word)
    })
}

/// How many different secret words stand in a pattern, as words.
pub(super) fn secret_words(pattern: &str) -> usize {
    let lower = pattern.to_ascii_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '_' | '-'))
        .map(|word| word.trim_matches(['-', '_']))
        .collect();
    let is_word = |word: &&&str| {
        words.iter().any(|one| one == *word || one.strip_suffix('s') == Some(**word))
    };
    WORDS.iter().filter(is_word).count()
}
