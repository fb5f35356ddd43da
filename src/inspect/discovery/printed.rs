//! Commands that print credentials which they keep.
//!
//! Takes a simple command; says by which technique it finds credentials. A row is the words it begins
//! with, options left out, and what else has to stand in it.

use super::Technique::{self, Containers, Files, History, Unsecured};
use crate::inspect::command::Simple;

/// The words it begins with, of which the first is the program; one of these has to be there too,
/// where there are any.
struct Row(&'static [&'static str], &'static [&'static str], Technique);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    Row(&["aws", "configure", "get"], &[], Files),
    Row(&["aws", "configure", "export-credentials"], &[], Files),
    Row(&["aws", "sts", "get-session-token"], &[], Files),
    Row(&["aws", "ecr", "get-login-password"], &[], Files),
    Row(&["aws", "secretsmanager", "get-secret-value"], &[], Files),
    Row(&["aws", "secretsmanager", "batch-get-secret-value"], &[], Files),
    Row(&["aws", "ssm", "get-parameter"], &["--with-decryption"], Files),
    Row(&["aws", "ssm", "get-parameters"], &["--with-decryption"], Files),
    Row(&["aws", "ssm", "get-parameters-by-path"], &["--with-decryption"], Files),
    Row(&["gcloud", "auth", "print-access-token"], &[], Files),
    Row(&["gcloud", "auth", "print-identity-token"], &[], Files),
    Row(&["gcloud", "auth", "application-default", "print-access-token"], &[], Files),
    Row(&["gcloud", "secrets", "versions", "access"], &[], Files),
    Row(&["az", "account", "get-access-token"], &[], Files),
    Row(&["az", "keyvault", "secret", "show"], &[], Files),
    Row(&["gh", "auth", "token"], &[], Files),
    Row(&["gh", "auth", "status"], &["--show-token", "-t"], Files),
    Row(&["glab", "auth", "status"], &["--show-token", "-t"], Files),
    Row(&["git", "credential", "fill"], &[], Files),
    Row(&["git", "credential-store", "get"], &[], Files),
    Row(&["git", "config", "--get-all", "http.extraheader"], &[], Files),
    Row(&["npm", "token", "list"], &[], Files),
    Row(&["npm", "config", "get"], &["_authToken", "//registry.npmjs.org/:_authToken"], Files),
    Row(&["railway", "variables"], &[], Unsecured),
    Row(&["railway", "variable", "list"], &[], Unsecured),
    Row(&["railway", "vars"], &[], Unsecured),
    Row(&["heroku", "config"], &[], Unsecured),
    Row(&["heroku", "config:get"], &[], Unsecured),
    Row(&["heroku", "auth:token"], &[], Files),
    Row(&["vercel", "env", "pull"], &[], Unsecured),
    Row(&["netlify", "env:list"], &[], Unsecured),
    Row(&["netlify", "env:get"], &[], Unsecured),
    Row(&["fly", "auth", "token"], &[], Files),
    Row(&["flyctl", "auth", "token"], &[], Files),
    Row(&["fly", "tokens", "create"], &[], Files),
    Row(&["doppler", "secrets"], &[], Unsecured),
    Row(&["infisical", "secrets"], &[], Unsecured),
    Row(&["security", "find-generic-password"], &[], Files),
    Row(&["security", "find-internet-password"], &[], Files),
    Row(&["security", "dump-keychain"], &[], Files),
    Row(&["secret-tool", "lookup"], &[], Files),
    Row(&["secret-tool", "search"], &[], Files),
    Row(&["pass", "show"], &[], Files),
    Row(&["gopass", "show"], &[], Files),
    Row(&["op", "read"], &[], Files),
    Row(&["op", "item", "get"], &[], Files),
    Row(&["bw", "get"], &[], Files),
    Row(&["lpass", "show"], &[], Files),
    Row(&["vault", "kv", "get"], &[], Files),
    Row(&["vault", "read"], &[], Files),
    Row(&["vault", "print", "token"], &[], Files),
    Row(&["sops", "-d"], &[], Files),
    Row(&["sops", "--decrypt"], &[], Files),
    Row(&["sops", "decrypt"], &[], Files),
    Row(&["ansible-vault", "view"], &[], Files),
    Row(&["ansible-vault", "decrypt"], &[], Files),
    Row(&["terraform", "state", "pull"], &[], Files),
    Row(&["tofu", "state", "pull"], &[], Files),
    Row(&["gpg", "--export-secret-keys"], &[], Technique::PrivateKeys),
    Row(&["ssh-keygen", "-y"], &[], Technique::PrivateKeys),
    Row(&["ec2-metadata"], &[], Technique::Metadata),
    Row(&["ec2metadata"], &[], Technique::Metadata),
    Row(&["kubectl", "config", "view"], &["--raw"], Containers),
    Row(&["kubectl", "get", "secret"], &[], Containers),
    Row(&["kubectl", "get", "secrets"], &[], Containers),
    Row(&["oc", "get", "secret"], &[], Containers),
    Row(&["oc", "get", "secrets"], &[], Containers),
    Row(&["kubectl", "create", "token"], &[], Containers),
    Row(&["docker", "compose", "config"], &[], Unsecured),
    Row(&["docker-compose", "config"], &[], Unsecured),
    Row(&["docker", "inspect"], &[], Containers),
    Row(&["docker", "container", "inspect"], &[], Containers),
    Row(&["podman", "inspect"], &[], Containers),
    Row(&["crictl", "inspect"], &[], Containers),
    Row(&["history"], &[], History),
    Row(&["fc", "-l"], &[], History),
];

/// By which technique a command prints credentials.
pub(super) fn by(command: &Simple) -> Option<Technique> {
    let row =
        ROWS.iter().find(|row| row.0.first() == Some(&command.head()) && fits(row, command))?;
    // All that `inspect` says of a container is everyday; it is asked for the environment by a format.
    let asks =
        |one: &str| ["Env", "Config}", "json .", "json}}"].iter().any(|part| one.contains(part));
    let formats = command.arguments().windows(2).filter_map(|pair| match pair {
        [option, format] if matches!(&*option.text, "-f" | "--format") => Some(&format.text),
        _ => None,
    });
    let joined = command.arguments().iter().filter_map(|word| word.text.strip_prefix("--format="));
    let mut formats = formats.map(String::as_str).chain(joined);
    let is_inspect = row.0.last() == Some(&"inspect");
    let is_other = is_inspect && !formats.any(asks);
    let is_listed = row.0.get(1) == Some(&"get")
        && row.0.get(2).is_some_and(|what| what.starts_with("secret"))
        && lists_names(command);
    let is_checked = row.0.last() == Some(&"config")
        && row.0.first() != Some(&"heroku")
        && command.arguments().iter().any(|word| {
            matches!(
                &*word.text,
                "-q" | "--quiet"
                    | "--services"
                    | "--images"
                    | "--volumes"
                    | "--profiles"
                    | "--networks"
                    | "--hash"
            )
        });
    // `history -c` and `railway variables --set` print nothing.
    let is_silent = (command.head() == "history" && command.has("-c"))
        || command.has("set")
        || command.arguments().iter().any(|word| word.text.starts_with("--set"));
    (!is_other && !is_silent && !is_listed && !is_checked).then_some(row.2)
}

/// Whether `kubectl get` lists names: where no output is asked for that shows more.
fn lists_names(command: &Simple) -> bool {
    let mut words = command.arguments().iter().map(|word| word.text.as_str());
    while let Some(word) = words.next() {
        let joined = word.strip_prefix("--output").or_else(|| word.strip_prefix("-o"));
        let output = match joined {
            Some("") => words.next(),
            joined => joined.map(|value| value.trim_start_matches('=')),
        };
        let shows = output.is_some_and(|output| !matches!(output, "name" | "wide"));
        if shows || word.starts_with("--template") {
            return false;
        }
    }
    true
}

fn fits(row: &Row, command: &Simple) -> bool {
    let Row(words, others, _) = row;
    let mut given = command.arguments().iter().map(|word| word.text.as_str());
    // The words in their order; options with their values may stand between them.
    let mut skipped = 0;
    let all = words.iter().skip(1).all(|word| {
        given.by_ref().take(8).any(|one| {
            let is_word =
                one == *word || one.strip_prefix(word).is_some_and(|rest| rest.starts_with('/'));
            skipped += usize::from(!is_word && !one.starts_with('-'));
            is_word
        })
    });
    // Each option may have a value.
    let options = command.arguments().iter().filter(|word| word.text.starts_with('-')).count();
    all && skipped <= options
        && (others.is_empty() || others.iter().any(|other| command.has(other)))
}
