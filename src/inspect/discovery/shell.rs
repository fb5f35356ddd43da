//! Simple commands that look for credentials.
//!
//! Takes a command, the script around it and the folder it runs in; says by which technique it finds
//! credentials. What writes, lists, removes or uses a file does not read it to anybody.

use super::Technique;
use super::file::{self, joined};
use super::name;
use super::printed;
use super::search::{self, Search};
use crate::inspect::command::{self, Script, Simple, Word};

/// What shows the files that are its arguments.
const READERS: &[&str] = &[
    "cat",
    "tac",
    "less",
    "more",
    "most",
    "head",
    "tail",
    "bat",
    "batcat",
    "nl",
    "od",
    "xxd",
    "hexdump",
    "hd",
    "strings",
    "base64",
    "base32",
    "basenc",
    "grep",
    "egrep",
    "fgrep",
    "ggrep",
    "zgrep",
    "rg",
    "ag",
    "ack",
    "ugrep",
    "awk",
    "gawk",
    "mawk",
    "sed",
    "gsed",
    "cut",
    "sort",
    "uniq",
    "tr",
    "rev",
    "fold",
    "fmt",
    "pr",
    "column",
    "paste",
    "diff",
    "sdiff",
    "colordiff",
    "comm",
    "join",
    "jq",
    "yq",
    "tomlq",
    "dasel",
    "tee",
    "vim",
    "vi",
    "nvim",
    "nano",
    "emacs",
    "view",
    "ed",
    "ex",
    "pico",
    "code",
    "tar",
    "zip",
    "7z",
    "gzip",
    "zcat",
    "zstd",
    "xz",
    "bzip2",
    "cpio",
    "openssl",
    "gpg",
    "age",
    "dd",
    "iconv",
    "dotenv",
    "envsubst",
    "printf",
    "mapfile",
    "readarray",
    "read",
    "pbcopy",
    "xclip",
    "wl-copy",
    "get-content",
    "gc",
    "type",
    "findstr",
    "select-string",
    "mdcat",
    "glow",
    "look",
    "json_pp",
    "python",
    "python3",
    "node",
    "ruby",
    "perl",
    "php",
    "plutil",
    "nmap",
    "file_get",
];
/// What shows files as they are, whatever stands in them.
const WHOLE: &[&str] = &[
    "cat", "tac", "less", "more", "head", "tail", "bat", "batcat", "nl", "od", "xxd", "hexdump",
    "strings", "base64", "paste",
];
/// What sends or copies its arguments but the last.
const SENDERS: &[&str] =
    &["cp", "mv", "scp", "rsync", "install", "ln", "rclone", "s3cmd", "aws", "gsutil"];
/// Clients that call what their arguments name.
const CLIENTS: &[&str] =
    &["curl", "wget", "http", "https", "xh", "httpie", "aria2c", "nc", "ncat", "lynx", "fetch"];

/// By which technique a command finds credentials.
pub(super) fn discovers(command: &Simple, script: &Script, folder: &str) -> Option<Technique> {
    let read = |word: &Word| file::holds(&joined(folder, &word.text), word.is_wild, false);
    redirected(command, &read)
        .or_else(|| service(command))
        .or_else(|| printed::by(command))
        .or_else(|| environment(command, script))
        .or_else(|| shown(command, script))
        .or_else(|| files(command, &read))
        .or_else(|| whole(command, script, folder))
        .or_else(|| run(command, &read))
        .or_else(|| sent(command, &read))
        .or_else(|| history(command, &read))
        .or_else(|| sought(command))
        .or_else(|| Search::of(command).filter(Search::seeks).map(|_| Technique::Files))
}

fn redirected(command: &Simple, read: &dyn Fn(&Word) -> Option<Technique>) -> Option<Technique> {
    // `ssh-add`, `docker login` and the like take a secret in without showing it.
    let takes = matches!(
        command.head(),
        "docker" | "gh" | "ssh-add" | "kubectl" | "gpg" | "npm" | "podman"
    );
    command.reads.iter().find_map(read).filter(|_| !takes)
}

/// Calls of services that hand out credentials: of a cloud's metadata, and of containers.
fn service(command: &Simple) -> Option<Technique> {
    if !CLIENTS.contains(&command.head()) {
        return None;
    }
    let names = |word: &Word| {
        name::is_metadata(&word.text) || word.names.iter().any(|name| name::is_metadata(name))
    };
    if command.arguments().iter().any(names) {
        return Some(Technique::Metadata);
    }
    let is_daemon =
        |word: &Word| word.text.ends_with("docker.sock") || word.text.ends_with("containerd.sock");
    command.arguments().iter().any(is_daemon).then_some(Technique::Containers)
}

/// What lists the variables of the environment.
fn environment(command: &Simple, script: &Script) -> Option<Technique> {
    let head = command.head();
    let is_all = match head {
        "env" => command.operands().all(|word| word.text.contains('=')),
        "printenv" => {
            let mut names = command.operands().peekable();
            names.peek().is_none() || names.any(|word| name::is_secret(&word.text))
        }
        "set" => command.arguments().is_empty() && command.words.len() == 1,
        "export" | "declare" | "typeset" | "readonly" => {
            command.operands().next().is_none()
                && (command.arguments().is_empty()
                    || command.has_flag('p')
                    || command.has_flag('x'))
        }
        "compgen" => command.has_flag('e') || command.has_flag('v'),
        // BSD's options have no dash: `e` is the environment.
        "ps" => {
            let options = command.arguments().first().map_or("", |word| &word.text);
            !options.starts_with('-') && options.contains('e') || command.has("-E")
        }
        "get-childitem" | "gci" | "dir" | "Get-ChildItem" => command
            .arguments()
            .iter()
            .any(|word| word.text.to_ascii_lowercase().starts_with("env:")),
        _ => false,
    };
    // A process has all of its environment in one line.
    (is_all && (head == "ps" || !is_narrowed(command, script))).then_some(Technique::Unsecured)
}

/// Whether what a command prints is narrowed at once to what is no secret: counted, or searched for
/// something else.
fn is_narrowed(command: &Simple, script: &Script) -> bool {
    let Some(next) = script.after(command) else { return false };
    match next.head() {
        "wc" => true,
        "grep" | "egrep" | "rg" | "fgrep" => {
            let pattern = next.operands().next().map_or("", |word| &word.text);
            let upper = pattern.trim_start_matches('^').to_ascii_uppercase();
            let is_secret = search::secret_words(pattern) > 0
                || search::is_shape(pattern)
                || upper.split(['|', '=', '\\']).any(name::is_secret)
                || ["KEY", "PASS", "AUTH", "CRED"].iter().any(|word| upper.contains(word));
            let is_all = upper.chars().filter(char::is_ascii_alphanumeric).count() < 2;
            !next.has_flag('v') && !is_secret && !is_all
        }
        _ => false,
    }
}

/// `echo $RAILWAY_TOKEN`: not where a login takes it.
fn shown(command: &Simple, script: &Script) -> Option<Technique> {
    let shows =
        matches!(command.head(), "echo" | "printf" | "print" | "Write-Host" | "write-output");
    let has = |word: &Word| {
        word.names.iter().any(|name| name::is_secret(name))
            || word.text.strip_prefix("$env:").is_some_and(name::is_secret)
    };
    let into = script.after(command).is_some_and(|next| {
        let is_login =
            next.has("login") || next.has("--password-stdin") || next.has("--with-token");
        is_login || matches!(next.head(), "wc" | "sha256sum" | "md5sum" | "shasum")
    });
    let is_shown = shows && command.arguments().iter().any(has) && !into;
    is_shown.then_some(Technique::Unsecured)
}

/// What shows files.
fn files(command: &Simple, read: &dyn Fn(&Word) -> Option<Technique>) -> Option<Technique> {
    let head = command.head().to_ascii_lowercase();
    if !READERS.contains(&head.as_str()) && !command.words.is_empty() {
        return None;
    }
    let writes_only = match head.as_str() {
        "sed" | "gsed" => command.has_flag('i') || command.has("--in-place"),
        "tee" | "printf" | "read" | "mapfile" | "readarray" => true,
        // It makes keys and certificates, and says whether a file is there.
        "openssl" => matches!(
            command.argument(0),
            "req" | "x509" | "genrsa" | "genpkey" | "s_client" | "verify"
        ),
        "grep" | "egrep" | "fgrep" | "rg" => command.has_flag('q') || command.has("--quiet"),
        // What they are given is their own affair, but where they go through it line by line.
        "ruby" | "perl" if command.has_flag('n') || command.has_flag('p') => command.has_flag('i'),
        // Only the options name what they read.
        "python" | "python3" | "node" | "ruby" | "perl" | "php" => {
            command.operands().next().is_none_or(|word| {
                file::holds(&word.text, word.is_wild, false).is_none() && !command.has("-m")
            })
        }
        _ => false,
    };
    if writes_only {
        return None;
    }
    // The pattern of a search and the program of `sed` and `awk` are no files, but none looks like one
    // of these either unless that is what is searched for.
    let skip = match head.as_str() {
        "grep" | "egrep" | "fgrep" | "ggrep" | "rg" | "ag" | "ack" | "ugrep" | "findstr" => {
            let has_pattern = command.has("-e") || command.has("-f") || command.has("--files");
            usize::from(!has_pattern)
        }
        "jq" | "yq" | "awk" | "gawk" | "sed" | "gsed" => 1,
        _ => 0,
    };
    let is_excluded =
        |word: &Word| word.text.starts_with("--exclude") || word.text.starts_with("--ignore");
    let named = command.operands().skip(skip);
    let options =
        command.arguments().iter().filter(|word| word.text.starts_with('-') && !is_excluded(word));
    named.chain(options.filter(|word| word.text.contains('='))).find_map(|word| {
        let of = |text: &str| read(&Word { text: text.to_owned(), ..word.clone() });
        of(&word.text).or_else(|| word.text.split_once('=').and_then(|(_, value)| of(value)))
    })
}

/// What shows all files of a folder, or those of which hardly a letter is said.
fn whole(command: &Simple, script: &Script, folder: &str) -> Option<Technique> {
    let may_hold = |word: &Word| word.is_wild && file::may_hold(&joined(folder, &word.text));
    let is_whole = WHOLE.contains(&command.head()) && command.operands().any(may_hold);
    // `tar c infra | tar xO`
    let is_archive = command.head() == "tar" && {
        let mode = command.argument(0);
        let extracts = mode.contains('x') && !mode.starts_with("--");
        let prints =
            extracts && mode.contains('O') || command.has("-O") || command.has("--to-stdout");
        let packs = |one: &Simple| {
            let is_open =
                |word: &Word| file::may_hold(&format!("{}/*", joined(folder, &word.text)));
            one.head() == "tar"
                && one.operands().skip(usize::from(!one.argument(0).starts_with('-'))).any(is_open)
        };
        prints && script.before(command).is_some_and(packs)
    };
    (is_whole || is_archive).then_some(Technique::Files)
}

/// What runs a file as a script, and shows of it what fails: nobody runs these to use them.
fn run(command: &Simple, read: &dyn Fn(&Word) -> Option<Technique>) -> Option<Technique> {
    match command.head() {
        "sh" | "bash" | "zsh" | "dash" | "ksh" if !command.has_flag('c') => {
            command.operands().next().and_then(read)
        }
        "make" | "gmake" => {
            let mut pairs = command.arguments().windows(2);
            pairs.find_map(|pair| match pair {
                [option, file] if matches!(&*option.text, "-f" | "--file") => read(file),
                _ => None,
            })
        }
        _ => None,
    }
}

/// What copies or sends files.
fn sent(command: &Simple, read: &dyn Fn(&Word) -> Option<Technique>) -> Option<Technique> {
    let head = command.head();
    if CLIENTS.contains(&head) {
        return command
            .arguments()
            .iter()
            .find_map(|word| {
                let at = word.text.split_once('@').map(|(_, path)| path);
                let option = word.text.split_once("-file=").map(|(_, path)| path);
                let url = word.text.strip_prefix("file://");
                at.or(option).or(url).and_then(|path| read(&Word::plain(path)))
            })
            .or_else(|| {
                let mut pairs = command.arguments().windows(2);
                pairs.find_map(|pair| match pair {
                    [option, path]
                        if matches!(&*option.text, "-T" | "--upload-file" | "--post-file") =>
                    {
                        read(path)
                    }
                    _ => None,
                })
            });
    }
    let named: Vec<&Word> = command.operands().collect();
    let sources = match head {
        "docker" | "kubectl" | "podman" if named.first().is_some_and(|word| word.text == "cp") => {
            &named
        }
        _ if SENDERS.contains(&head) => &named,
        _ => return None,
    };
    let (target, sources) = sources.split_last()?;
    // A copy that is kept as such a file is shown to nobody.
    if matches!(head, "cp" | "mv" | "ln" | "install") && read(target).is_some() {
        return None;
    }
    sources.iter().find_map(|word| {
        let path = word.text.split_once(':').map_or(&*word.text, |(_, path)| path);
        read(&Word { text: path.to_owned(), ..(*word).clone() })
    })
}

/// Git, which has files of other times.
fn history(command: &Simple, read: &dyn Fn(&Word) -> Option<Technique>) -> Option<Technique> {
    if command.head() != "git" {
        return None;
    }
    let mut words = command.arguments().iter();
    let verb = words.find(|word| {
        matches!(
            &*word.text,
            "show"
                | "log"
                | "diff"
                | "cat-file"
                | "blame"
                | "grep"
                | "rev-list"
                | "archive"
                | "config"
        )
    })?;
    let rest: Vec<&Word> = words.collect();
    let found = rest.iter().find_map(|word| {
        let path = word.text.rsplit_once(':').map_or(&*word.text, |(_, path)| path);
        read(&Word { text: path.to_owned(), ..(*word).clone() })
    });
    let shows = match &*verb.text {
        // Without its patch it says only which commits there are.
        "log" => command.has("-p") || command.has("--patch") || command.has("-u"),
        "diff" => !command.has("--stat") && !command.has("--name-only"),
        "config" => false,
        _ => true,
    };
    if shows && found.is_some() {
        return found;
    }
    let pattern =
        rest.iter().zip(rest.iter().skip(1)).find_map(|(option, value)| match &*option.text {
            "-S" | "-G" => Some(value.text.clone()),
            option => option
                .strip_prefix("-S")
                .or_else(|| option.strip_prefix("-G"))
                .map(ToOwned::to_owned),
        });
    let last = rest
        .last()
        .and_then(|word| word.text.strip_prefix("-S").or_else(|| word.text.strip_prefix("-G")));
    let pattern = pattern.or_else(|| last.map(ToOwned::to_owned)).filter(|_| verb.text == "log")?;
    let paths =
        rest.iter().skip_while(|word| word.text != "--").skip(1).map(|word| word.text.clone());
    let search = Search { patterns: vec![pattern], paths: paths.collect(), ..Search::default() };
    search.seeks().then_some(Technique::Files)
}

/// Searches for the names of files that hold credentials.
fn sought(command: &Simple) -> Option<Technique> {
    let is_name = |word: &str| {
        matches!(
            word,
            "-name" | "-iname" | "-path" | "-ipath" | "-wholename" | "-regex" | "-iregex"
        )
    };
    let of = |word: &Word| file::holds(&word.text, true, true);
    match command.head() {
        "find" | "gfind" => {
            let all = command.words.windows(3);
            all.filter_map(|three| match three {
                [not, option, name]
                    if is_name(&option.text) && !matches!(&*not.text, "!" | "-not") =>
                {
                    Some(name)
                }
                _ => None,
            })
            .find_map(of)
            .filter(|_| !command.has("-delete"))
        }
        "fd" | "fdfind" => command::sought(command).iter().find_map(of),
        "locate" | "mlocate" | "plocate" => command.operands().next().and_then(of),
        _ => None,
    }
}
