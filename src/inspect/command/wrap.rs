//! Commands that run other commands.
//!
//! Takes a simple command; notes what runs in the end: what `sudo`, `env`, `timeout`, `docker exec`
//! and the like are given, the text of `bash -c` and `eval` as the script that it is, the text of
//! `python -c` and its like as code.

use super::input::sought;
use super::{Code, Reader, Simple, Word, base};

/// Wrappers around wrappers.
const WRAPPED: usize = 8;

/// A command in front of another: the words it is known by, the options that take a value, and how
/// many words stand before the command.
struct Wrapper(&'static [&'static str], &'static [&'static str], usize);

const WRAPPERS: &[Wrapper] = &[
    Wrapper(
        &["sudo"],
        &["-u", "-g", "-h", "-p", "-C", "-D", "-R", "-T", "-U", "-r", "-t", "--user"],
        0,
    ),
    Wrapper(&["doas"], &["-u", "-C"], 0),
    Wrapper(&["env"], &["-u", "-C", "--unset", "--chdir"], 0),
    Wrapper(&["timeout"], &["-s", "-k", "--signal", "--kill-after"], 1),
    Wrapper(&["gtimeout"], &["-s", "-k"], 1),
    Wrapper(&["nice"], &["-n", "--adjustment"], 0),
    Wrapper(&["ionice"], &["-c", "-n"], 0),
    Wrapper(&["taskset"], &[], 1),
    Wrapper(&["chroot"], &[], 1),
    Wrapper(&["flock"], &["-w", "-E"], 1),
    Wrapper(&["nohup"], &[], 0),
    Wrapper(&["setsid"], &[], 0),
    Wrapper(&["stdbuf"], &["-i", "-o", "-e"], 0),
    Wrapper(&["unbuffer"], &[], 0),
    Wrapper(&["command"], &[], 0),
    Wrapper(&["builtin"], &[], 0),
    Wrapper(&["exec"], &["-a"], 0),
    Wrapper(&["time"], &["-f", "-o"], 0),
    Wrapper(&["gtime"], &["-f", "-o"], 0),
    Wrapper(&["strace"], &["-e", "-o", "-s", "-p"], 0),
    Wrapper(&["busybox"], &[], 0),
    Wrapper(&["xargs"], XARGS, 0),
    Wrapper(&["npx"], &["-p", "--package"], 0),
    Wrapper(&["uv", "run"], &["--with", "-p", "--python"], 0),
    Wrapper(&["poetry", "run"], &[], 0),
    Wrapper(&["pipenv", "run"], &[], 0),
    Wrapper(&["bundle", "exec"], &[], 0),
    Wrapper(&["mise", "exec"], &[], 0),
    Wrapper(&["direnv", "exec"], &[], 1),
    Wrapper(&["dotenv"], &["-e", "-f", "-c"], 0),
    Wrapper(&["railway", "run"], &["-s", "-e", "-p", "--service", "--environment"], 0),
    Wrapper(&["doppler", "run"], &["-p", "-c"], 0),
    Wrapper(&["op", "run"], &["--env-file"], 0),
    Wrapper(&["aws-vault", "exec"], &["-d"], 1),
    Wrapper(&["heroku", "run"], &["-a", "--app", "-s", "--size"], 0),
    Wrapper(
        &["docker", "exec"],
        &["-e", "-u", "-w", "--env", "--env-file", "--user", "--workdir"],
        1,
    ),
    Wrapper(&["podman", "exec"], &["-e", "-u", "-w", "--env", "--user", "--workdir"], 1),
    Wrapper(&["docker", "run"], DOCKER_RUN, 1),
    Wrapper(&["podman", "run"], DOCKER_RUN, 1),
    Wrapper(&["docker", "compose", "exec"], &["-e", "-u", "-w", "--env", "--user", "--index"], 1),
    Wrapper(&["docker", "compose", "run"], &["-e", "-u", "-w", "--env", "--user", "-v", "-p"], 1),
    Wrapper(&["docker-compose", "exec"], &["-e", "-u", "-w"], 1),
    Wrapper(&["docker-compose", "run"], &["-e", "-u", "-w", "-v", "-p"], 1),
];

const XARGS: &[&str] = &[
    "-I",
    "-n",
    "-P",
    "-L",
    "-d",
    "-E",
    "-s",
    "-a",
    "--arg-file",
    "--max-args",
    "--max-procs",
    "--delimiter",
    "--max-lines",
    "--max-chars",
];
const DOCKER_RUN: &[&str] = &[
    "-e",
    "-u",
    "-w",
    "-v",
    "-p",
    "-l",
    "-h",
    "-m",
    "--env",
    "--env-file",
    "--user",
    "--workdir",
    "--volume",
    "--publish",
    "--name",
    "--network",
    "--net",
    "--mount",
    "--entrypoint",
    "--label",
    "--platform",
    "--memory",
    "--cpus",
    "--hostname",
    "--add-host",
    "--device",
    "--shm-size",
];

const SHELLS: &[&str] = &["sh", "bash", "zsh", "dash", "ksh", "mksh", "ash", "fish", "rbash"];

/// Interpreters and the options that a program's text follows.
const INTERPRETERS: &[(&str, &[&str])] = &[
    ("python", &["-c"]),
    ("pypy", &["-c"]),
    ("node", &["-e", "-p", "-pe", "--eval", "--print"]),
    ("nodejs", &["-e", "-p", "--eval"]),
    ("bun", &["-e", "-p", "--eval"]),
    ("deno", &["eval"]),
    ("tsx", &["-e", "--eval"]),
    ("perl", &["-e", "-E", "-ne", "-pe", "-lne", "-lpe", "-nle", "-0ne"]),
    ("ruby", &["-e", "-ne", "-pe"]),
    ("php", &["-r"]),
    ("lua", &["-e"]),
    ("Rscript", &["-e"]),
    ("pwsh", &["-c", "-Command", "-command"]),
    ("powershell", &["-c", "-Command", "-command"]),
    ("osascript", &["-e"]),
];

impl Reader {
    /// Notes what a command runs in the end.
    pub(super) fn run(&mut self, mut command: Simple, nested: usize) {
        for _ in 0..WRAPPED {
            if command.head() == "xargs" {
                command.reads.extend(listed(&command));
            }
            match unwrapped(&command) {
                Some(inner) if !inner.words.is_empty() && self.spend(inner.words.len()) => {
                    let is_fed = command.head() == "xargs";
                    command.assignments.extend(inner.assignments);
                    command.words = inner.words;
                    if is_fed {
                        let fed = self.fed_words(command.place);
                        command.words.extend(fed);
                    }
                }
                _ => break,
            }
        }
        if command.input.is_empty() && !SHELLS.contains(&command.head()) {
            command.input.extend(self.fed(command.place));
        }
        let head = command.head().to_owned();
        match head.as_str() {
            "export" | "declare" | "local" | "readonly" | "typeset" => self.declared(&command),
            "eval" | "watch" | "parallel" => self.joined(command.arguments(), nested),
            "trap" => self.text(command.arguments().first(), nested),
            "alias" => {
                let texts = command.arguments().iter();
                let texts: Vec<_> = texts.filter_map(|word| word.text.split_once('=')).collect();
                for (_, text) in texts {
                    self.read(text, nested + 1);
                }
            }
            "su" | "runuser" | "script" => self.text(after(&command, &["-c", "--command"]), nested),
            "ssh" => self.joined(remote(&command), nested),
            "fly" | "flyctl" | "kubectl" | "oc" => self.within(&command, nested),
            "find" | "fd" | "fdfind" => self.found(&command, nested),
            _ if SHELLS.contains(&head.as_str()) => self.shell(&command, nested),
            _ => interpreted(&mut command),
        }
        self.note(command);
    }

    /// Reads a word as a script.
    fn text(&mut self, word: Option<&Word>, nested: usize) {
        let Some(word) = word else { return };
        if !word.is_known {
            // What it is made of was noted right before.
            self.made_by(self.commands.len().saturating_sub(WRAPPED));
        }
        self.read(&word.text, nested + 1);
    }

    /// Reads words as the script that they are together.
    fn joined(&mut self, words: &[Word], nested: usize) {
        let is_option = |word: &&Word| word.text.starts_with('-');
        let words: Vec<&Word> = words.iter().skip_while(is_option).collect();
        let text: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        let is_known = words.iter().all(|word| word.is_known);
        if !text.is_empty() {
            let whole = Word { is_known, ..Word::plain(text.join(" ")) };
            self.text(Some(&whole), nested);
        }
    }

    /// What a shell is given: a text, a here document, or what is piped into it.
    fn shell(&mut self, command: &Simple, nested: usize) {
        let takes_text = |word: &Word| {
            let letters = word.text.strip_prefix('-').filter(|rest| !rest.starts_with('-'));
            letters.is_some_and(|letters| letters.contains('c')) || word.text == "--command"
        };
        let mut words = command.arguments().iter();
        if words.by_ref().any(takes_text) {
            let script = words.find(|word| !word.text.starts_with('-'));
            self.text(script, nested);
            return;
        }
        let runs_file = command.operands().any(|word| !matches!(&*word.text, "-" | "/dev/stdin"));
        if runs_file && !command.has_flag('s') {
            // `bash <(curl …)`: the stage that writes it is noted.
            if command.operands().any(|word| word.text == "/dev/fd/63") {
                self.made_by(self.commands.len().saturating_sub(WRAPPED));
            }
            return;
        }
        for text in &command.input {
            self.read(text, nested + 1);
        }
        if command.input.is_empty() {
            self.fed_to_shell(command.place, nested);
        }
    }

    /// `export NAME=value` and its like.
    fn declared(&mut self, command: &Simple) {
        for word in command.arguments() {
            if let Some((name, value)) = word.text.split_once('=') {
                self.variables.insert(name.to_owned(), vec![value.to_owned()]);
            }
        }
    }

    /// `kubectl exec POD -- CMD`, and Fly's console.
    fn within(&mut self, command: &Simple, nested: usize) {
        let words = command.arguments();
        if matches!(command.head(), "fly" | "flyctl") {
            self.text(after(command, &["-C", "--command"]), nested);
        } else if let Some(at) = words.iter().position(|word| word.text == "--")
            && words.iter().take(at).any(|word| matches!(&*word.text, "exec" | "run" | "debug"))
        {
            self.inner(command, words.get(at + 1..).unwrap_or_default().to_vec(), nested);
        }
    }

    /// `find … -exec CMD {} ;`
    fn found(&mut self, command: &Simple, nested: usize) {
        let names = sought(command);
        let mut words = command.arguments().iter();
        while let Some(word) = words.next() {
            let is_each = matches!(
                word.text.as_str(),
                "-exec" | "-execdir" | "-ok" | "-okdir" | "-x" | "-X" | "--exec" | "--exec-batch"
            );
            if !is_each {
                continue;
            }
            let mut inner = Vec::new();
            for word in words.by_ref() {
                match word.text.as_str() {
                    ";" | "+" => break,
                    "{}" if !names.is_empty() => inner.extend(names.iter().cloned()),
                    _ => inner.push(word.clone()),
                }
            }
            self.inner(command, inner, nested);
        }
    }

    fn inner(&mut self, command: &Simple, words: Vec<Word>, nested: usize) {
        if nested < super::NESTED && !words.is_empty() {
            self.run(Simple { words, place: command.place, ..Simple::default() }, nested + 1);
        }
    }
}

/// The file that `xargs` has its words from. Options behind the command are the command's.
fn listed(command: &Simple) -> Option<Word> {
    let mut words = command.arguments().iter();
    while let Some(word) = words.next().filter(|word| word.text.starts_with('-')) {
        let text = word.text.as_str();
        if matches!(text, "-a" | "--arg-file") {
            return words.next().cloned();
        }
        let joined = text.strip_prefix("--arg-file=").or_else(|| text.strip_prefix("-a"));
        if let Some(file) = joined {
            return Some(Word { text: file.to_owned(), ..word.clone() });
        }
        if XARGS.contains(&text) {
            words.next();
        }
    }
    None
}

/// What a wrapper runs, with what it assigns.
struct Wrapped {
    assignments: Vec<(String, Word)>,
    words: Vec<Word>,
}

fn unwrapped(command: &Simple) -> Option<Wrapped> {
    let is_of = |wrapper: &&Wrapper| {
        let mut words = command.words.iter();
        wrapper.0.iter().all(|name| words.next().is_some_and(|word| base(&word.text) == *name))
    };
    let Wrapper(names, valued, before) = WRAPPERS.iter().find(is_of)?;
    if command.head() == "command" && (command.has("-v") || command.has("-V")) {
        return None;
    }
    let mut words = command.words.iter().skip(names.len()).peekable();
    let mut assigned = Vec::new();
    let mut left = *before;
    while let Some(word) = words.peek() {
        let text = word.text.as_str();
        if text == "--" {
            words.next();
            break;
        }
        if text.starts_with('-') && text.len() > 1 {
            words.next();
            if valued.contains(&text) {
                words.next();
            }
        } else if let Some((name, value)) = assignment(text) {
            assigned.push((name.to_owned(), Word { text: value.to_owned(), ..(*word).clone() }));
            words.next();
        } else if left > 0 {
            left -= 1;
            words.next();
            // What stands behind the thing that it runs in are the command's own options.
            if left == 0 {
                words.next_if(|word| word.text == "--");
                break;
            }
        } else {
            break;
        }
    }
    Some(Wrapped { assignments: assigned, words: words.cloned().collect() })
}

/// `NAME=value`.
pub(super) fn assignment(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let mut letters = name.chars();
    let is_name = letters.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && letters.all(|c| c.is_ascii_alphanumeric() || c == '_');
    is_name.then_some((name, value))
}

/// The word after one of these.
fn after<'a>(command: &'a Simple, options: &[&str]) -> Option<&'a Word> {
    let mut words = command.arguments().iter();
    words.by_ref().find(|word| options.contains(&&*word.text))?;
    words.next()
}

/// The command that `ssh` runs on the other side.
fn remote(command: &Simple) -> &[Word] {
    let words = command.arguments();
    let mut at = 0;
    while let Some(word) = words.get(at).filter(|word| word.text.starts_with('-')) {
        let takes = "BbcDEeFIiJLlmOopQRSWw";
        let is_valued = word.text.len() == 2 && word.text.ends_with(|c| takes.contains(c));
        at += 1 + usize::from(is_valued);
    }
    words.get(at + 1..).unwrap_or_default()
}

/// Notes the text that an interpreter runs.
fn interpreted(command: &mut Simple) {
    let head = command.head().trim_end_matches(|c: char| c.is_ascii_digit() || c == '.').to_owned();
    let Some((program, options)) = INTERPRETERS.iter().find(|(name, _)| *name == head) else {
        return;
    };
    let code = |text: &str| Code { program: (*program).to_owned(), text: text.to_owned() };
    let mut texts: Vec<Code> = Vec::new();
    let mut words = command.arguments().iter();
    while let Some(word) = words.next() {
        if options.contains(&&*word.text) {
            texts.extend(words.next().map(|word| code(&word.text)));
        }
    }
    let runs_file = command.operands().any(|word| word.text != "-");
    if texts.is_empty() && !runs_file {
        texts.extend(command.input.iter().map(|text| code(text)));
    }
    command.code.extend(texts);
}
