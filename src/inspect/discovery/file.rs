//! Files that hold credentials.
//!
//! Takes a path as a command or a tool names it; says by which technique reading it finds credentials,
//! or nothing. Names decide, and nothing is looked up: `.env.example` and fixtures are no such files.

use super::Technique::{self, Containers, Files, History, PrivateKeys, Unsecured};
use super::glob::Glob;
use super::search;

/// How a path is compared, in small letters.
enum Rule {
    /// These are its last parts.
    Is(&'static str),
    /// Its name ends with this.
    Ends(&'static str),
    /// It stands below this folder.
    Below(&'static str),
    /// It is this in a home folder.
    Home(&'static str),
}
use Rule::{Below, Ends, Home, Is};

#[rustfmt::skip]
const RULES: &[(Rule, Technique)] = &[
    // The environment of applications. `.env` and its kin: see `is_environment`.
    (Is(".envrc"), Files), (Is(".flaskenv"), Files), (Is(".dev.vars"), Files),
    (Is("local.settings.json"), Files), (Is("config/database.yml"), Files),
    (Is("terraform.tfvars"), Files), (Ends(".auto.tfvars"), Files),
    (Is("secrets.yml"), Files), (Is("secrets.yaml"), Files), (Is("secrets.json"), Files),
    (Is("secrets.toml"), Files), (Is("credentials.json"), Files), (Is("credentials.yml"), Files),
    (Is("wp-config.php"), Files),
    // Clouds and platforms.
    (Is(".aws/credentials"), Files), (Below(".aws/sso/cache"), Files), (Below(".aws/cli/cache"), Files),
    (Is("application_default_credentials.json"), Files), (Is("gcloud/credentials.db"), Files),
    (Is("gcloud/access_tokens.db"), Files), (Below("gcloud/legacy_credentials"), Files),
    (Is(".azure/accesstokens.json"), Files), (Is(".azure/msal_token_cache.json"), Files),
    (Is("service-account.json"), Files), (Is("service_account.json"), Files),
    (Is("serviceaccount.json"), Files), (Is("serviceaccountkey.json"), Files),
    (Is(".railway/config.json"), Files), (Is("railway/config.json"), Files), (Is(".fly/config.yml"), Files),
    (Is("com.vercel.cli/auth.json"), Files), (Is("netlify/config.json"), Files),
    (Is(".wrangler/config/default.toml"), Files), (Is("configstore/firebase-tools.json"), Files),
    (Is("doctl/config.yaml"), Files), (Is("hcloud/cli.toml"), Files), (Is(".oci/config"), Files),
    (Is("rclone/rclone.conf"), Files), (Is(".s3cfg"), Files), (Is(".boto"), Files),
    (Ends(".tfstate"), Files), (Ends(".tfstate.backup"), Files), (Is(".terraformrc"), Files),
    (Is(".terraform.d/credentials.tfrc.json"), Files), (Is(".vault-token"), Files),
    (Is(".pulumi/credentials.json"), Files),
    // Tools.
    (Is(".netrc"), Files), (Is("_netrc"), Files), (Is(".pypirc"), Files), (Home(".npmrc"), Files),
    (Home(".yarnrc.yml"), Files), (Is(".git-credentials"), Files), (Is("git/credentials"), Files),
    (Is("gh/hosts.yml"), Files), (Is("glab-cli/config.yml"), Files), (Is(".docker/config.json"), Files),
    (Is(".dockercfg"), Files), (Is(".dockerconfigjson"), Files), (Is(".kube/config"), Files),
    (Ends(".kubeconfig"), Files), (Is("/etc/rancher/k3s/k3s.yaml"), Files),
    (Is("/etc/kubernetes/admin.conf"), Files), (Is(".cargo/credentials"), Files),
    (Is(".cargo/credentials.toml"), Files), (Is(".gem/credentials"), Files),
    (Is("composer/auth.json"), Files), (Is(".m2/settings.xml"), Files),
    (Is(".gradle/gradle.properties"), Files), (Is(".nuget/nuget.config"), Files),
    (Is("huggingface/token"), Files), (Is(".kaggle/kaggle.json"), Files),
    (Is(".claude/.credentials.json"), Files), (Home(".claude.json"), Files), (Is(".mcp.json"), Files),
    (Is(".codex/auth.json"), Files),
    (Is("github-copilot/hosts.json"), Files), (Is("github-copilot/apps.json"), Files),
    // Databases and systems.
    (Is(".pgpass"), Files), (Is(".my.cnf"), Files), (Is(".mylogin.cnf"), Files), (Is(".htpasswd"), Files),
    (Is("/etc/shadow"), Files), (Is("/etc/gshadow"), Files), (Is(".rclone.conf"), Files),
    // Histories.
    (Is(".bash_history"), History), (Is(".zsh_history"), History), (Is(".sh_history"), History),
    (Is(".ash_history"), History), (Is(".history"), History), (Is("fish/fish_history"), History),
    (Is(".python_history"), History), (Is(".node_repl_history"), History),
    (Is(".psql_history"), History), (Is(".mysql_history"), History), (Is(".sqlite_history"), History),
    (Is(".rediscli_history"), History), (Is("consolehost_history.txt"), History),
    // Private keys.
    (Is("id_rsa"), PrivateKeys), (Is("id_dsa"), PrivateKeys), (Is("id_ecdsa"), PrivateKeys),
    (Is("id_ed25519"), PrivateKeys), (Is("id_ecdsa_sk"), PrivateKeys), (Is("id_ed25519_sk"), PrivateKeys),
    (Ends(".pem"), PrivateKeys), (Ends(".key"), PrivateKeys), (Ends(".p12"), PrivateKeys),
    (Ends(".pfx"), PrivateKeys), (Ends(".ppk"), PrivateKeys), (Ends(".jks"), PrivateKeys),
    (Ends(".keystore"), PrivateKeys), (Below(".gnupg"), PrivateKeys), (Below(".ssh"), PrivateKeys),
    (Below("/etc/ssl/private"), PrivateKeys),
    // Containers and processes.
    (Below("/run/secrets/kubernetes.io"), Containers), (Is("/var/run/docker.sock"), Containers),
    (Is("/run/docker.sock"), Containers),
    (Below("/run/secrets"), Files), (Is("/proc/self/environ"), Unsecured),
    (Is("/proc/*/environ"), Unsecured), (Is("/proc/1/environ"), Unsecured),
];

/// Parts of a name that say that nothing real stands in a file.
const EXAMPLES: &[&str] = &[
    "example", "examples", "sample", "template", "tpl", "tmpl", "dist", "defaults", "schema",
    "test", "testing", "fixture", "d",
];
/// Folders of made-up files.
const FIXTURES: &[&str] = &[
    "fixtures",
    "fixture",
    "__fixtures__",
    "testdata",
    "test-data",
    "test_data",
    "node_modules",
    "site-packages",
];
/// Names of what ends like a private key and is public.
const PUBLIC: &[&str] =
    &["cert", "certs", "certificate", "chain", "fullchain", "bundle", "ca", "cacert"];
/// What is no secret in the folder of SSH.
const PUBLIC_SSH: &[&str] = &["config", "known_hosts", "known_hosts.old", "authorized_keys", ""];

/// Endings that a pattern may spell, as in `*.en[v]`.
const ENDINGS: &[&str] = &[".env", ".pem", ".key", ".p12", ".pfx"];
/// Endings of copies that people keep of a file, and programs for them.
const COPIES: &[&str] =
    &[".bak", ".old", ".orig", ".backup", ".save", ".saved", ".copy", ".swp", "~"];
/// What is longer is no path.
const LONGEST: usize = 4_096;

/// By which technique reading this finds credentials. `is_wild` says whether wildcards stand for
/// anything, `is_search` whether they stand for a leading dot as well, as those of `find` do.
pub(super) fn holds(path: &str, is_wild: bool, is_search: bool) -> Option<Technique> {
    if path.len() > LONGEST {
        return None;
    }
    let path = path.trim().replace('\\', "/").to_ascii_lowercase();
    let path = path.strip_prefix("file://").unwrap_or(&path);
    let mut parts = parts(path);
    let last = parts.last_mut()?;
    let name = COPIES.iter().find_map(|end| last.strip_suffix(end)).unwrap_or(last);
    *last = name;
    if name.is_empty() || parts.iter().any(|part| FIXTURES.contains(part)) {
        return None;
    }
    if is_environment(name) || is_settings(name) {
        return Some(Files);
    }
    // Where the name has wildcards: what it may stand for.
    let glob = Some(Glob::of(name)).filter(|glob| is_wild && glob.is_wild());
    if let Some(glob) = &glob {
        let precise = if name.starts_with('.') { 1 } else { 3 };
        let kin = [".env", ".env.local", ".env.production"];
        if glob.literals() >= precise && kin.iter().any(|one| glob.matches(one, is_search)) {
            return Some(Files);
        }
        let spelt = ENDINGS.iter().find(|end| glob.spells(end));
        if let Some(end) = spelt.filter(|_| !is_example(name)) {
            return Some(if *end == ".env" { Files } else { PrivateKeys });
        }
    }
    let found = RULES.iter().find(|(rule, _)| match rule {
        Is(what) => match &glob {
            Some(glob) => is_there_by(&parts, what, glob, is_search),
            // Most are told apart by their ends.
            None => what.ends_with(name) && is_there(&parts, what, path, is_wild),
        },
        Ends(end) => name.ends_with(end) && !is_example(name),
        Below(folder) => is_below(&parts, folder, path),
        Home(what) => is_home(path) && name == *what,
    });
    let technique = found.map(|(_, technique)| *technique)?;
    let is_none = match technique {
        PrivateKeys => {
            is_public(name)
                || (parts.contains(&".ssh") && PUBLIC_SSH.contains(&name))
                || parts.iter().any(|part| matches!(*part, "test" | "tests" | "spec"))
        }
        // A workflow has the names of secrets only.
        _ => parts.windows(2).any(|two| two == [".github", "workflows"]),
    };
    (!is_none).then_some(technique)
}

/// Whether what ends like a private key is public by its name: `id_rsa.pub`, `ca.pem`, not `ca.key`.
fn is_public(name: &str) -> bool {
    let parts = || name.split(['.', '-', '_']);
    let is_key = parts().any(|part| matches!(part, "key" | "privkey" | "private" | "priv"));
    parts().any(|part| matches!(part, "pub" | "public"))
        || (!is_key && parts().any(|part| PUBLIC.contains(&part)))
}

/// A path below a folder.
pub(super) fn joined(folder: &str, path: &str) -> String {
    let is_whole = path.starts_with(['/', '~', '$']) || path.contains("://");
    if is_whole || folder.is_empty() || folder.len() > 1_024 {
        path.to_owned()
    } else {
        format!("{folder}/{path}")
    }
}

/// `.env`, `.env.local`, `production.env`: not `.env.example`, nor `process.env`, which is code.
fn is_environment(name: &str) -> bool {
    let name = name.strip_suffix(['*', '?']).unwrap_or(name);
    let is_kin = name == ".env"
        || name.starts_with(".env.")
        || name.starts_with(".env-")
        || name.starts_with(".env_")
        || (name.strip_suffix(".env").is_some()
            && !matches!(name, "process.env" | "meta.env" | "import.meta.env"));
    is_kin && !is_example(name)
}

/// `appsettings.Production.json`, not `appsettings.json`.
fn is_settings(name: &str) -> bool {
    name.strip_prefix("appsettings.")
        .is_some_and(|rest| rest.strip_suffix(".json").is_some_and(|stage| !stage.is_empty()))
        && !is_example(name)
}

fn is_example(name: &str) -> bool {
    name.split(['.', '-', '_']).any(|part| EXAMPLES.contains(&part))
}

fn is_home(path: &str) -> bool {
    let below = |folder: &str| path.strip_prefix(folder).is_some_and(|rest| !rest.contains('/'));
    let user =
        |folder: &str| path.strip_prefix(folder).is_some_and(|rest| rest.matches('/').count() == 1);
    below("~/")
        || below("$home/")
        || below("${home}/")
        || below("/root/")
        || user("/home/")
        || user("/users/")
}

/// The parts of a path, with what leads nowhere left out.
fn parts(path: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts
}

/// Whether the last parts of a path are these.
fn is_there(parts: &[&str], what: &str, path: &str, is_wild: bool) -> bool {
    let mut given = parts.iter().rev();
    let mut wanted = what.rsplit('/').filter(|part| !part.is_empty());
    // `/proc/*/environ` is of any process. A wildcard in a folder may stand for it.
    let is_all = wanted.all(|one| {
        given.next().is_some_and(|part| {
            *part == one
                || one == "*"
                || (is_wild && part.contains(['*', '?', '[']) && Glob::of(part).matches(one, false))
        })
    });
    is_all && (!what.starts_with('/') || (path.starts_with('/') && given.next().is_none()))
}

/// The same of a path whose name has wildcards: it says three letters at least.
fn is_there_by(parts: &[&str], what: &str, name: &Glob, is_search: bool) -> bool {
    let (folders, one) = what.rsplit_once('/').unwrap_or(("", what));
    if !name.matches(one, is_search) {
        return false;
    }
    let wanted: Vec<&str> = folders.split('/').filter(|part| !part.is_empty()).collect();
    let Some(from) = parts.len().checked_sub(wanted.len() + 1) else { return false };
    let given: Vec<Glob> =
        parts.iter().skip(from).take(wanted.len()).map(|part| Glob::of(part)).collect();
    let literals: usize = given.iter().map(Glob::literals).sum();
    literals + name.literals() >= 3
        && (!what.starts_with('/') || from == 0)
        && given.iter().zip(&wanted).all(|(part, one)| part.matches(one, is_search))
}

/// Whether wildcards that hardly say anything may stand for a file that holds credentials: `infra/*`,
/// `deploy/d*`, but not where source, documents and logs are.
pub(super) fn may_hold(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let parts = parts(&path);
    let Some((name, folders)) = parts.split_last() else { return false };
    let glob = Glob::of(name);
    path.len() <= LONGEST
        && path.contains('/')
        && glob.is_open()
        && glob.literals() <= 3
        && !folders
            .iter()
            .any(|part| FIXTURES.contains(part) || PLAIN.contains(part) || search::is_of_code(part))
}

/// Folders of what programs put out, and of what is no setting.
const PLAIN: &[&str] = &[
    "log",
    "logs",
    "tmp",
    "scripts",
    "dist",
    "build",
    "out",
    "output",
    "coverage",
    "public",
    "assets",
    "static",
    "locales",
    "i18n",
    "templates",
    "views",
    ".github",
    "workflows",
    ".changeset",
    ".vscode",
    ".cursor",
    ".husky",
    "rules",
    "commands",
    "prompts",
    "notes",
    "reports",
    "results",
    "samples",
    "images",
    "styles",
    "fonts",
    "share",
    "schemas",
    "registry",
    "conf.d",
    "sites-enabled",
    "sites-available",
    "sources.list.d",
    "cron.d",
];

fn is_below(parts: &[&str], folder: &str, path: &str) -> bool {
    let wanted: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    if folder.starts_with('/') {
        let path = path.strip_prefix("/var").unwrap_or(path);
        return path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    }
    parts.len() > wanted.len()
        && parts.windows(wanted.len()).any(|window| window == wanted.as_slice())
}
