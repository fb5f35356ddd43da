//! Files that hold credentials.
//!
//! Takes a path as a command or a tool names it; says by which technique reading it finds credentials,
//! or nothing. Names decide, and nothing is looked up: `.env.example` and fixtures are no such files.

use super::Technique::{self, Containers, Files, History, PrivateKeys, Unsecured};

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
    (Is(".envrc"), Files),
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
    (Is(".railway/config.json"), Files), (Is(".fly/config.yml"), Files),
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
    (Is(".claude/.credentials.json"), Files), (Is(".codex/auth.json"), Files),
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

/// By which technique reading this finds credentials. `is_wild` says whether wildcards stand for
/// anything, `is_search` whether they stand for a leading dot as well, as those of `find` do.
pub(super) fn holds(path: &str, is_wild: bool, is_search: bool) -> Option<Technique> {
    let path = path.trim().replace('\\', "/").to_ascii_lowercase();
    let path = path.strip_prefix("file://").unwrap_or(&path);
    let parts = parts(path);
    let name = *parts.last()?;
    if name.is_empty() || path.len() > 4_096 || parts.iter().any(|part| FIXTURES.contains(part)) {
        return None;
    }
    if is_environment(name) {
        return Some(Files);
    }
    let glob = Glob { is_wild, is_search };
    if is_wild && Glob::literals(name) >= 1 && (is_search || name.starts_with('.')) {
        let kin = [".env", ".env.local", ".env.production"];
        let is_precise = name.starts_with('.') || Glob::literals(name) >= 3;
        if is_precise && kin.iter().any(|one| glob.matches(name, one)) {
            return Some(Files);
        }
    }
    let found = RULES.iter().find(|(rule, _)| match rule {
        Is(what) => is_there(&parts, what, path, glob),
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

/// How wildcards are taken.
#[derive(Clone, Copy)]
struct Glob {
    is_wild: bool,
    is_search: bool,
}

fn is_there(parts: &[&str], what: &str, path: &str, glob: Glob) -> bool {
    let wanted: Vec<&str> = what.split('/').filter(|part| !part.is_empty()).collect();
    let is_absolute = what.starts_with('/');
    if (is_absolute && (!path.starts_with('/') || parts.len() != wanted.len()))
        || parts.len() < wanted.len()
    {
        return false;
    }
    let last = parts.get(parts.len() - wanted.len()..).unwrap_or_default();
    if glob.is_wild {
        let literals: usize = last.iter().map(|part| Glob::literals(part)).sum();
        return literals >= 3
            && last.iter().zip(&wanted).all(|(part, one)| glob.matches(part, one));
    }
    // `/proc/*/environ` is of any process.
    last.iter().zip(&wanted).all(|(part, one)| part == one || *one == "*")
}

fn is_below(parts: &[&str], folder: &str, path: &str) -> bool {
    let wanted: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    if folder.starts_with('/') {
        let path = path.strip_prefix("/var").unwrap_or(path);
        return path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'));
    }
    parts.len() > wanted.len()
        && parts.windows(wanted.len()).any(|window| window == wanted.as_slice())
}

impl Glob {
    /// Letters of a pattern that stand for themselves.
    fn literals(pattern: &str) -> usize {
        pattern.chars().filter(|c| !matches!(c, '*' | '?' | '[' | ']' | '^' | '!')).count()
    }

    /// Whether a pattern matches a name. In time of the product of their lengths.
    fn matches(self, pattern: &str, name: &str) -> bool {
        if !self.is_wild {
            return pattern == name;
        }
        if !self.is_search && name.starts_with('.') && !pattern.starts_with(['.', '[']) {
            return false;
        }
        let name: Vec<char> = name.chars().collect();
        // Which lengths of the name the pattern so far may have matched.
        let mut reached = vec![false; name.len() + 1];
        if let Some(first) = reached.first_mut() {
            *first = true;
        }
        let mut letters = pattern.chars().take(256).peekable();
        while let Some(letter) = letters.next() {
            if letter == '*' {
                let mut seen = false;
                for one in &mut reached {
                    seen |= *one;
                    *one = seen;
                }
                continue;
            }
            let set: Option<Vec<char>> =
                (letter == '[').then(|| letters.by_ref().take_while(|c| *c != ']').collect());
            let takes = |c: char| match &set {
                Some(set) => in_set(set, c),
                None => letter == '?' || letter == c,
            };
            let mut next = vec![false; name.len() + 1];
            for (at, c) in name.iter().enumerate() {
                if reached.get(at) == Some(&true)
                    && takes(*c)
                    && let Some(one) = next.get_mut(at + 1)
                {
                    *one = true;
                }
            }
            reached = next;
        }
        reached.last() == Some(&true)
    }
}

fn in_set(set: &[char], c: char) -> bool {
    let (is_not, set) = match set {
        ['!' | '^', rest @ ..] => (true, rest),
        all => (false, all),
    };
    let in_range =
        set.windows(3).any(|w| matches!(w, [from, '-', to] if (*from..=*to).contains(&c)));
    (set.contains(&c) || in_range) != is_not
}
