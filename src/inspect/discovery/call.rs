//! Calls over HTTP that commands make.
//!
//! Takes a simple command; returns the calls of `curl`, `wget`, `httpie`, `xh` and `gh api` in it, with
//! method and body as far as they stand there.

use super::HttpCall;
use super::code::is_mutation;
use crate::inspect::command::{Simple, Word};

/// Options of curl that take a value, besides those that are read here.
const CURL: &[&str] = &[
    "-H",
    "--header",
    "-o",
    "--output",
    "-u",
    "--user",
    "-A",
    "--user-agent",
    "-b",
    "--cookie",
    "-c",
    "--cookie-jar",
    "-e",
    "--referer",
    "-x",
    "--proxy",
    "-m",
    "--max-time",
    "--connect-timeout",
    "-w",
    "--write-out",
    "--retry",
    "--retry-delay",
    "--cacert",
    "--cert",
    "--key",
    "-K",
    "--config",
    "-D",
    "--dump-header",
    "--resolve",
    "--unix-socket",
    "-r",
    "--range",
    "--limit-rate",
    "-C",
    "--interface",
    "-E",
    "--capath",
    "--ciphers",
    "-y",
    "-Y",
    "-z",
    "-P",
    "--oauth2-bearer",
    "--aws-sigv4",
];
/// Options whose value is the body, or a part of it.
const BODY: &[&str] = &[
    "-d",
    "--data",
    "--data-raw",
    "--data-binary",
    "--data-ascii",
    "--json",
    "--data-urlencode",
    "-F",
    "--form",
    "--form-string",
];

/// The calls that a command makes.
pub(super) fn of(command: &Simple) -> Vec<HttpCall> {
    match command.head() {
        "curl" => curl(command),
        "wget" => wget(command),
        "http" | "https" | "xh" | "xhs" | "httpie" => httpie(command),
        "gh" if command.argument(0) == "api" => github(command),
        _ => Vec::new(),
    }
}

/// Whether a call destroys by what it says itself: its method, or a mutation of GraphQL.
pub(super) fn is_destructive(call: &HttpCall) -> bool {
    let deletes = |body: &String| {
        let lower = body.to_ascii_lowercase();
        is_mutation(body)
            && ["delete", "destroy", "remove", "purge", "drop", "wipe", "terminate", "reset"]
                .iter()
                .any(|word| lower.contains(word))
    };
    call.method == "DELETE" || call.body.as_ref().is_some_and(deletes)
}

fn curl(command: &Simple) -> Vec<HttpCall> {
    let mut urls = Vec::new();
    let mut method = None;
    let mut body: Vec<String> = Vec::new();
    let mut is_query = false;
    let mut words = command.arguments().iter().map(|word| &*word.text);
    while let Some(word) = words.next() {
        let (option, joined) = match word.split_once('=') {
            Some((option, value)) if option.starts_with("--") => (option, Some(value)),
            _ => (word, None),
        };
        let mut value = |rest: Option<&str>| {
            rest.or(joined).or_else(|| words.next()).unwrap_or_default().to_owned()
        };
        // `-XDELETE` and `-d{}` have theirs in the same word.
        let short = |letter: &str| {
            option.strip_prefix(letter).filter(|rest| !rest.is_empty() && !option.starts_with("--"))
        };
        if matches!(option, "-X" | "--request") {
            method = Some(value(None));
        } else if let Some(rest) = short("-X") {
            method = Some(value(Some(rest)));
        } else if BODY.contains(&option) {
            body.push(value(None));
        } else if let Some(rest) = short("-d") {
            body.push(value(Some(rest)));
        } else if matches!(option, "-T" | "--upload-file") {
            value(None);
            method = method.or_else(|| Some("PUT".to_owned()));
        } else if option == "--url" {
            urls.push(value(None));
        } else if matches!(option, "-I" | "--head") {
            method = method.or_else(|| Some("HEAD".to_owned()));
        } else if matches!(option, "-G" | "--get") {
            is_query = true;
        } else if CURL.contains(&option) {
            value(None);
        } else if let Some(cluster) = option.strip_prefix('-') {
            // `-sSXDELETE` and `-sX DELETE`.
            if !cluster.starts_with('-')
                && let Some((_, rest)) = cluster.split_once('X')
            {
                method = Some(value(Some(rest).filter(|rest| !rest.is_empty())));
            } else if !cluster.starts_with('-')
                && let Some(last) =
                    cluster.chars().last().filter(|last| "dHouAbTmwFx".contains(*last))
            {
                let value = value(None);
                if matches!(last, 'd' | 'F') {
                    body.push(value);
                }
            }
        } else {
            urls.push(word.to_owned());
        }
    }
    body.iter_mut().filter(|part| *part == "@-").for_each(|part| *part = command.input.join("\n"));
    let body = (!body.is_empty()).then(|| body.join("&"));
    let method = method
        .unwrap_or_else(|| if body.is_some() && !is_query { "POST" } else { "GET" }.to_owned());
    made(urls, &method, body.as_ref())
}

fn wget(command: &Simple) -> Vec<HttpCall> {
    let option = |name: &str| {
        let mut words = command.arguments().iter();
        words.by_ref().find_map(|word| {
            let rest = word.text.strip_prefix(name)?;
            rest.strip_prefix('=').map(ToOwned::to_owned)
        })
    };
    let body = option("--post-data").or_else(|| option("--body-data"));
    let method = option("--method")
        .unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.to_owned());
    let urls = command
        .operands()
        .map(|word| word.text.clone())
        .filter(|word| word.contains('.') && word.contains('/'));
    made(urls.collect(), &method, body.as_ref())
}

fn httpie(command: &Simple) -> Vec<HttpCall> {
    let mut words: Vec<&Word> = command.operands().collect();
    let is_method = |word: &&Word| {
        word.text.len() >= 3
            && word.text.len() <= 8
            && word.text.chars().all(|c| c.is_ascii_alphabetic())
            && ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]
                .contains(&&*word.text.to_ascii_uppercase())
    };
    let method = words.first().filter(|word| is_method(word)).map(|word| word.text.clone());
    if method.is_some() {
        words.remove(0);
    }
    let Some((url, items)) = words.split_first() else { return Vec::new() };
    let data: Vec<&str> = items
        .iter()
        .map(|word| &*word.text)
        .filter(|item| item.contains('=') && !item.contains("=="))
        .collect();
    let body = match (data.is_empty(), command.input.is_empty()) {
        (true, true) => None,
        (false, _) => Some(data.join("&")),
        (true, false) => Some(command.input.join("\n")),
    };
    let method = method.unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.to_owned());
    made(vec![url.text.clone()], &method, body.as_ref())
}

fn github(command: &Simple) -> Vec<HttpCall> {
    let mut words = command.arguments().iter().skip(1).map(|word| &*word.text);
    let (mut method, mut path, mut fields) = (None, None, Vec::new());
    while let Some(word) = words.next() {
        match word {
            "-X" | "--method" => method = words.next(),
            "-f" | "-F" | "--raw-field" | "--field" => fields.extend(words.next()),
            "-H" | "--header" | "-q" | "--jq" | "-t" | "--template" | "--hostname" | "--input"
            | "--cache" | "-p" => {
                words.next();
            }
            _ if word.starts_with("-X") => method = word.get(2..),
            _ if word.starts_with("--method=") => method = word.get(9..),
            _ if word.starts_with('-') => {}
            _ => path = path.or(Some(word)),
        }
    }
    let Some(path) = path else { return Vec::new() };
    let body = (!fields.is_empty()).then(|| fields.join("&"));
    let method = method.unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" });
    let url = if path.contains("://") {
        path.to_owned()
    } else {
        format!("https://api.github.com/{}", path.trim_start_matches('/'))
    };
    made(vec![url], method, body.as_ref())
}

fn made(urls: Vec<String>, method: &str, body: Option<&String>) -> Vec<HttpCall> {
    let call = |url| HttpCall { method: method.to_ascii_uppercase(), url, body: body.cloned() };
    urls.into_iter().map(call).collect()
}
