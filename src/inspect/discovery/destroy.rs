//! Commands that destroy.
//!
//! Takes a simple command; says whether what it destroys can be got back. A row is the words it begins
//! with, options left out; files, git, databases and disks have rules of their own.

use super::sql;
use crate::catalog::Reversibility::{self, Irreversible, Recoverable};
use crate::inspect::command::{Simple, Word};

/// The words it begins with, of which the first is the program.
struct Row(&'static [&'static str], Reversibility);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row(&["terraform", "destroy"], Irreversible), Row(&["tofu", "destroy"], Irreversible),
    Row(&["terragrunt", "destroy"], Irreversible), Row(&["pulumi", "destroy"], Irreversible),
    Row(&["terraform", "state", "rm"], Recoverable), Row(&["cdk", "destroy"], Irreversible),
    Row(&["sst", "remove"], Irreversible), Row(&["serverless", "remove"], Irreversible),
    Row(&["railway", "down"], Recoverable), Row(&["railway", "delete"], Irreversible),
    Row(&["railway", "volume", "delete"], Irreversible), Row(&["railway", "environment", "delete"], Irreversible),
    Row(&["railway", "service", "delete"], Irreversible),
    Row(&["heroku", "apps:destroy"], Irreversible), Row(&["heroku", "destroy"], Irreversible),
    Row(&["heroku", "addons:destroy"], Irreversible), Row(&["heroku", "pg:reset"], Irreversible),
    Row(&["fly", "apps", "destroy"], Irreversible), Row(&["flyctl", "apps", "destroy"], Irreversible),
    Row(&["fly", "volumes", "destroy"], Irreversible), Row(&["flyctl", "volumes", "destroy"], Irreversible),
    Row(&["fly", "volumes", "delete"], Irreversible), Row(&["flyctl", "volumes", "delete"], Irreversible),
    Row(&["fly", "machine", "destroy"], Irreversible), Row(&["fly", "postgres", "destroy"], Irreversible),
    Row(&["vercel", "remove"], Irreversible), Row(&["vercel", "rm"], Irreversible),
    Row(&["netlify", "sites:delete"], Irreversible), Row(&["wrangler", "delete"], Irreversible),
    Row(&["wrangler", "d1", "delete"], Irreversible), Row(&["supabase", "projects", "delete"], Irreversible),
    Row(&["supabase", "db", "reset"], Irreversible), Row(&["doctl", "compute", "droplet", "delete"], Irreversible),
    Row(&["gh", "repo", "delete"], Irreversible), Row(&["gh", "release", "delete"], Irreversible),
    Row(&["glab", "repo", "delete"], Irreversible),
    Row(&["kubectl", "drain"], Recoverable), Row(&["helm", "uninstall"], Irreversible),
    Row(&["helm", "delete"], Irreversible),
    Row(&["docker", "volume", "rm"], Irreversible), Row(&["docker", "volume", "prune"], Irreversible),
    Row(&["docker", "system", "prune"], Recoverable), Row(&["podman", "volume", "rm"], Irreversible),
    Row(&["podman", "system", "prune"], Recoverable),
    Row(&["dropdb"], Irreversible), Row(&["dropuser"], Irreversible),
    Row(&["mysqladmin", "drop"], Irreversible), Row(&["rails", "db:drop"], Irreversible),
    Row(&["rails", "db:reset"], Irreversible), Row(&["rake", "db:drop"], Irreversible),
    Row(&["prisma", "migrate", "reset"], Irreversible), Row(&["sequelize", "db:drop"], Irreversible),
    Row(&["artisan", "migrate:fresh"], Irreversible), Row(&["shred"], Irreversible),
    Row(&["wipefs"], Irreversible), Row(&["blkdiscard"], Irreversible), Row(&["npm", "unpublish"], Irreversible),
    Row(&["cargo", "yank"], Recoverable), Row(&["zfs", "destroy"], Irreversible),
    Row(&["lvremove"], Irreversible), Row(&["btrfs", "subvolume", "delete"], Irreversible),
    Row(&["crontab", "-r"], Irreversible),
    Row(&["restic", "forget"], Irreversible), Row(&["borg", "delete"], Irreversible),
    Row(&["vault", "kv", "destroy"], Irreversible), Row(&["vault", "kv", "delete"], Recoverable),
];

/// Whether a command destroys, and whether that can be undone.
pub(super) fn by(command: &Simple) -> Option<Reversibility> {
    let head = command.head();
    if command.has("--dry-run") || command.has("--help") || command.has("--dry-run=client") {
        return None;
    }
    match head {
        "rm" | "rmdir" | "trash" => removes(command),
        "find" | "gfind" => {
            let path = command.arguments().first().map_or("", |word| &word.text);
            let is_named = command.has("-name") || command.has("-iname") || command.has("-path");
            (command.has("-delete") && (is_broad(path) && !is_named)).then_some(Irreversible)
        }
        "git" => git(command),
        "kubectl" | "oc" => begins(&[head, "delete"], command).then(|| kubernetes(command)),
        "docker" | "podman" if command.has("prune") && takes_volumes(command) => Some(Irreversible),
        "truncate" => empties(command).then_some(Irreversible),
        "aws" => cloud(command, &["delete", "terminate", "purge", "deregister"]),
        "gcloud" | "az" | "doctl" | "hcloud" | "linode-cli" => {
            cloud(command, &["delete", "destroy", "purge"])
        }
        "gsutil" => command.has("rm").then_some(Irreversible),
        "psql" | "mysql" | "mariadb" | "sqlite3" | "clickhouse-client" | "cockroach" | "duckdb"
        | "mysqlsh" => {
            let words = command.arguments().iter().map(|word| &*word.text);
            words.chain(command.input.iter().map(String::as_str)).find_map(sql::destroys)
        }
        "mongo" | "mongosh" => {
            let text = command
                .arguments()
                .iter()
                .map(|word| &*word.text)
                .chain(command.input.iter().map(String::as_str));
            let drops = |text: &str| {
                ["dropDatabase(", ".drop(", "deleteMany({})", "remove({})"]
                    .iter()
                    .any(|part| text.contains(part))
            };
            text.into_iter().any(drops).then_some(Irreversible)
        }
        "redis-cli" => {
            let flushes = |word: &str| {
                word.eq_ignore_ascii_case("flushall") || word.eq_ignore_ascii_case("flushdb")
            };
            command.arguments().iter().any(|word| flushes(&word.text)).then_some(Irreversible)
        }
        "dd" => {
            let is_device = |text: &str| {
                text.strip_prefix("of=/dev/")
                    .is_some_and(|name| !matches!(name, "null" | "stdout" | "tty"))
            };
            command.arguments().iter().any(|word| is_device(&word.text)).then_some(Irreversible)
        }
        _ if head == "mkfs" || head.starts_with("mkfs.") => Some(Irreversible),
        "docker" | "docker-compose" if command.has("down") => {
            (command.has_flag('v') || takes_volumes(command)).then_some(Irreversible)
        }
        _ => ROWS
            .iter()
            .find(|row| row.0.first() == Some(&head) && begins(row.0, command))
            .map(|row| row.1),
    }
    .or_else(|| device(command))
}

/// Whether a command begins with these words; options may stand between them.
fn begins(words: &[&str], command: &Simple) -> bool {
    let options = command.arguments().iter().filter(|word| word.text.starts_with('-')).count();
    let mut given = command.arguments().iter().map(|word| &*word.text);
    let mut skipped = 0;
    let all = words.iter().skip(1).all(|word| {
        given.by_ref().any(|one| {
            skipped += usize::from(one != *word && !one.starts_with('-'));
            one == *word
        })
    });
    all && skipped <= options
}

/// What comes back by itself: whoever keeps a pod makes another.
fn kubernetes(command: &Simple) -> Reversibility {
    const REMADE: &[&str] = &[
        "pod",
        "pods",
        "po",
        "job",
        "jobs",
        "replicaset",
        "replicasets",
        "rs",
        "event",
        "events",
        "endpoints",
        "lease",
    ];
    const VALUES: &[&str] = &[
        "-n",
        "--namespace",
        "-l",
        "--selector",
        "--field-selector",
        "--context",
        "--cluster",
        "--user",
        "--kubeconfig",
        "--grace-period",
        "--timeout",
        "--wait",
        "-o",
        "--output",
    ];
    const FILES: &[&str] = &["-f", "--filename", "-k", "--kustomize", "--raw"];
    let (mut operands, mut is_value) = (Vec::new(), false);
    for word in command.arguments().iter().map(|word| &*word.text) {
        if std::mem::replace(&mut is_value, VALUES.contains(&word)) {
            continue;
        }
        // What stands elsewhere may be of any kind.
        if FILES.iter().any(|option| word.starts_with(option)) {
            return Irreversible;
        }
        if !word.starts_with('-') {
            operands.push(word);
        }
    }
    let mut operands = operands.into_iter().skip_while(|word| *word != "delete").skip(1).peekable();
    // `pod/a job/b`, or one list of kinds before the names.
    let is_each = operands.peek().is_some_and(|first| first.contains('/'));
    let mut all: Vec<&str> = Vec::new();
    for operand in operands.take(if is_each { usize::MAX } else { 1 }) {
        let kinds = operand.split_once('/').map_or(operand, |(kind, _)| kind);
        all.extend(kinds.split(','));
    }
    let is_remade = !all.is_empty() && all.iter().all(|kind| REMADE.contains(kind));
    if is_remade { Recoverable } else { Irreversible }
}

/// Whether volumes are to go as well.
fn takes_volumes(command: &Simple) -> bool {
    let mut options = command.arguments().iter().map(|word| &*word.text);
    options.any(|word| word.starts_with("--volumes") && word != "--volumes=false")
}

/// `truncate -s 0` of what is no log.
fn empties(command: &Simple) -> bool {
    let mut pairs = command.arguments().windows(2);
    let is_zero = |text: &str| text.trim_start_matches(['=', '<']) == "0";
    let empties = command.arguments().iter().any(|word| {
        let size = word.text.strip_prefix("--size").or_else(|| word.text.strip_prefix("-s"));
        size.is_some_and(is_zero)
    }) || pairs.any(|pair| match pair {
        [option, size] => matches!(&*option.text, "-s" | "--size") && is_zero(&size.text),
        _ => false,
    });
    let is_log = |word: &Word| {
        let path = word.text.to_ascii_lowercase();
        path == "0"
            || path.rsplit('.').next() == Some("log")
            || path.split('/').any(|part| matches!(part, "log" | "logs"))
            || path.starts_with("/tmp/")
    };
    empties && !command.operands().all(is_log)
}

/// `> /dev/sda`, and what writes to what it is given last.
fn device(command: &Simple) -> Option<Reversibility> {
    const DISKS: &[&str] =
        &["/dev/sd", "/dev/nvme", "/dev/vd", "/dev/xvd", "/dev/disk", "/dev/mapper"];
    let is_disk = |word: &Word| DISKS.iter().any(|disk| word.text.starts_with(disk));
    let given = match command.head() {
        "cp" | "mv" | "install" | "rsync" => command.operands().last().is_some_and(is_disk),
        "tee" | "truncate" => command.operands().any(is_disk),
        _ => false,
    };
    (given || command.writes.iter().any(is_disk)).then_some(Irreversible)
}

fn removes(command: &Simple) -> Option<Reversibility> {
    let is_recursive = command.has_flag('r') || command.has_flag('R') || command.has("--recursive");
    let is_broad = command.operands().any(|word| is_broad(&word.text));
    (is_recursive && is_broad).then_some(Irreversible)
}

/// What holds more than one thing that was made for a purpose: roots, homes, the project itself, and
/// folders whose beginning is not known.
fn is_broad(path: &str) -> bool {
    const ROOTS: &[&str] = &[
        "etc",
        "usr",
        "var",
        "home",
        "root",
        "opt",
        "bin",
        "sbin",
        "lib",
        "boot",
        "srv",
        "data",
        "mnt",
        "media",
        "workspace",
        "app",
        "users",
        "proc",
        "sys",
        "dev",
    ];
    let path = path.trim_end_matches("/*").trim_end_matches("/.");
    let path = path.trim_end_matches('/');
    let parts: Vec<&str> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    match parts.as_slice() {
        // `/`, `.` and `./`.
        [] | ["~" | ".." | "*" | ".*" | ".git" | ".[!.]*"] => true,
        // A folder of a home is somebody's work, but for what programs put there.
        ["~", one] => !is_cache(one),
        [home, _, one] if path.starts_with('/') && matches!(*home, "home" | "Users") => {
            !is_cache(one)
        }
        [first, ..] if first.starts_with('$') => parts.len() == 1 || parts.last() == Some(&"*"),
        ["..", rest @ ..] => rest.iter().all(|part| matches!(*part, ".." | "*")),
        [first] => path.starts_with('/') && *first != "tmp",
        [first, _] => {
            path.starts_with('/')
                && ROOTS.contains(&first.to_ascii_lowercase().as_str())
                && *first != "var"
        }
        [.., ".git"] => true,
        _ => false,
    }
}

/// What programs keep in a home, and make again.
fn is_cache(folder: &str) -> bool {
    const CACHES: &[&str] = &[
        ".cache",
        ".npm",
        ".yarn",
        ".pnpm-store",
        ".gradle",
        ".m2",
        ".nuget",
        ".cargo",
        ".rustup",
        ".ccache",
        ".venv",
        ".bun",
        ".deno",
        "tmp",
        "temp",
        "node_modules",
        "Downloads",
    ];
    CACHES.contains(&folder)
}

fn git(command: &Simple) -> Option<Reversibility> {
    let mut words = command.arguments().iter().map(|word| &*word.text).peekable();
    // `git -C folder -c key=value verb`.
    while let Some(option) = words.next_if(|word| word.starts_with('-')) {
        if matches!(option, "-C" | "-c") {
            words.next();
        }
    }
    let verb = words.next()?;
    let rest: Vec<&str> = words.collect();
    let has = |option: &str| rest.contains(&option);
    let flag = |letter: char| {
        rest.iter()
            .any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains(letter))
    };
    match verb {
        "push" => {
            let forces = has("--force")
                || flag('f')
                || has("--mirror")
                || has("--force-with-lease")
                || rest
                    .iter()
                    .any(|word| word.starts_with("--force-with-lease=") || word.starts_with('+'));
            let deletes = has("--delete")
                || flag('d')
                || rest.iter().skip(1).any(|word| word.starts_with(':'));
            (forces || deletes).then_some(Recoverable)
        }
        "reset" => has("--hard").then_some(Recoverable),
        // What is ignored is not only what was built: settings with secrets are.
        "clean" => {
            let cleans = flag('f') && !flag('n') || has("--force") && !has("--dry-run");
            let ignored = flag('x') || flag('X');
            cleans.then_some(if ignored { Irreversible } else { Recoverable })
        }
        "branch" => (flag('D')).then_some(Recoverable),
        "stash" => matches!(rest.first(), Some(&("drop" | "clear"))).then_some(Recoverable),
        "filter-branch" | "filter-repo" => Some(Recoverable),
        "reflog" => matches!(rest.first(), Some(&("expire" | "delete"))).then_some(Irreversible),
        "checkout" | "restore" => (has(".") && !has("--staged")).then_some(Recoverable),
        _ => None,
    }
}

/// `aws SERVICE delete-…`, `gcloud … delete`: what only takes a mark off is left out.
fn cloud(command: &Simple, verbs: &[&str]) -> Option<Reversibility> {
    let mut words = command.operands().map(|word| &*word.text);
    let is_verb = |word: &str| {
        let first = word.split(['-', '_']).next().unwrap_or_default();
        verbs.contains(&first) && !word.ends_with("-tags") && !word.contains("message")
    };
    let is_storage = command.argument(0) == "s3"
        && (command.has("rb") || (command.has("rm") && command.has("--recursive")));
    (is_storage || words.by_ref().take(6).any(is_verb)).then_some(Irreversible)
}
