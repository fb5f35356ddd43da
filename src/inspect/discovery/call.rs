//! Calls over HTTP that commands make.
//!
//! Takes a simple command; returns the calls of `curl`, `wget`, `httpie`, `xh` and `gh api` in it, with
//! method and body as far as they stand there.

use super::HttpCall;
use super::code::is_mutation;
use crate::inspect::command::{Simple, Word};

/// Long options of curl that take a value, besides those that are read here.
const CURL: &[&str] = &[
    "--header",
    "--output",
    "--output-dir",
    "--user",
    "--user-agent",
    "--cookie",
    "--cookie-jar",
    "--referer",
    "--proxy",
    "--proxy-user",
    "--proxy-header",
    "--noproxy",
    "--max-time",
    "--max-redirs",
    "--connect-timeout",
    "--connect-to",
    "--write-out",
    "--retry",
    "--retry-delay",
    "--retry-max-time",
    "--cacert",
    "--cert",
    "--cert-type",
    "--key",
    "--pass",
    "--dump-header",
    "--resolve",
    "--unix-socket",
    "--range",
    "--limit-rate",
    "--continue-at",
    "--interface",
    "--capath",
    "--ciphers",
    "--speed-time",
    "--speed-limit",
    "--time-cond",
    "--oauth2-bearer",
    "--aws-sigv4",
    "--url-query",
    "--stderr",
    "--trace",
    "--trace-ascii",
    "--max-filesize",
    "--keepalive-time",
    "--dns-servers",
    "--hostpubsha256",
    "--tls-max",
    "--proto",
    "--proto-default",
    "--socks5",
    "--socks5-hostname",
    "--preproxy",
];
/// Its short ones.
const SHORT: &str = "AbcCDeEHhmoPQrtuUwxyYz";
/// Long options whose value is the body, or a part of it.
const BODY: &[&str] = &["--data", "--data-binary", "--data-ascii", "--json", "--data-urlencode"];

/// Calls, and whether a part of what is called stands elsewhere: in a file, or behind a pipe.
#[derive(Default)]
pub(super) struct Calls {
    pub(super) calls: Vec<HttpCall>,
    pub(super) is_elsewhere: bool,
}

/// The calls that a command makes.
pub(super) fn of(command: &Simple) -> Calls {
    match command.head() {
        "curl" => curl(command),
        "wget" => wget(command),
        "http" | "https" | "xh" | "xhs" | "httpie" => httpie(command),
        "gh" if command.argument(0) == "api" => github(command),
        _ => Calls::default(),
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

/// A request of curl, as far as its options were read.
#[derive(Default)]
struct Request {
    urls: Vec<String>,
    method: Option<String>,
    body: Vec<String>,
    is_query: bool,
}

impl Request {
    /// An option with a value, by its letter.
    fn take(&mut self, option: char, value: String, made: &mut Calls) {
        match option {
            'X' => self.method = Some(value),
            'd' => self.body.push(value),
            'F' => {
                made.is_elsewhere |= value.contains("=@") || value.contains("=<");
                self.body.push(value);
            }
            'T' => {
                made.is_elsewhere = true;
                self.method.get_or_insert_with(|| "PUT".to_owned());
            }
            'K' => made.is_elsewhere = true,
            _ => {}
        }
    }

    fn call(mut self, command: &Simple, made: &mut Calls) {
        for part in &mut self.body {
            if part == "@-" && !command.input.is_empty() {
                *part = command.input.join("\n");
            } else if part.starts_with('@') {
                made.is_elsewhere = true;
            }
        }
        let body = (!self.body.is_empty()).then(|| self.body.join("&"));
        let method = if body.is_some() && !self.is_query { "POST" } else { "GET" };
        let method = self.method.unwrap_or_else(|| method.to_owned());
        made.calls.extend(made_of(self.urls, &method, body.as_ref()));
    }
}

fn curl(command: &Simple) -> Calls {
    let mut made = Calls::default();
    let mut request = Request::default();
    let mut words = command.arguments().iter().map(|word| &*word.text);
    while let Some(word) = words.next() {
        if word == "--next" || word == "-:" {
            std::mem::take(&mut request).call(command, &mut made);
        } else if word.starts_with("--") {
            let (option, joined) =
                word.split_once('=').map_or((word, None), |(option, value)| (option, Some(value)));
            let mut value = || joined.or_else(|| words.next()).unwrap_or_default().to_owned();
            match option {
                "--request" => request.take('X', value(), &mut made),
                "--url" => request.urls.push(value()),
                "--upload-file" => request.take('T', value(), &mut made),
                "--config" => request.take('K', value(), &mut made),
                "--get" => request.is_query = true,
                "--head" => {
                    request.method.get_or_insert_with(|| "HEAD".to_owned());
                }
                // Here `@` names no file.
                "--data-raw" | "--form-string" => {
                    let value = value();
                    request.take('d', value.trim_start_matches('@').to_owned(), &mut made);
                }
                "--form" => request.take('F', value(), &mut made),
                _ if BODY.contains(&option) => request.take('d', value(), &mut made),
                _ if CURL.contains(&option) => drop(value()),
                _ => {}
            }
        } else if let Some(cluster) = word.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            // `-sSXDELETE`, `-sX DELETE`, `-ofile`: the first that takes a value takes the rest.
            for (at, letter) in cluster.char_indices() {
                match letter {
                    'G' => request.is_query = true,
                    'I' => {
                        request.method.get_or_insert_with(|| "HEAD".to_owned());
                    }
                    _ if "XdFTK".contains(letter) || SHORT.contains(letter) => {
                        let rest = cluster.get(at + letter.len_utf8()..).unwrap_or_default();
                        let rest = Some(rest).filter(|rest| !rest.is_empty());
                        let value = rest.or_else(|| words.next()).unwrap_or_default().to_owned();
                        request.take(letter, value, &mut made);
                        break;
                    }
                    _ => {}
                }
            }
        } else {
            request.urls.push(word.to_owned());
        }
    }
    request.call(command, &mut made);
    made
}

fn wget(command: &Simple) -> Calls {
    let option = |name: &str| {
        let mut words = command.arguments().iter();
        let found = words.by_ref().find_map(|word| {
            let rest = word.text.strip_prefix(name)?;
            rest.strip_prefix('=')
                .map(ToOwned::to_owned)
                .or_else(|| rest.is_empty().then(String::new))
        });
        let joined = command.arguments().windows(2).find_map(|two| match two {
            [option, value] if option.text == name => Some(value.text.clone()),
            _ => None,
        });
        joined.or(found)
    };
    let body = option("--post-data").or_else(|| option("--body-data"));
    let method = option("--method")
        .unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" }.to_owned());
    let urls = command
        .operands()
        .map(|word| word.text.clone())
        .filter(|word| word.contains('.') && word.contains('/'));
    let is_elsewhere = option("--post-file").or_else(|| option("--body-file")).is_some();
    let calls = made_of(urls.collect(), &method, body.as_ref());
    Calls { calls, is_elsewhere }
}

fn httpie(command: &Simple) -> Calls {
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
    let Some((url, items)) = words.split_first() else { return Calls::default() };
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
    let is_elsewhere = !command.reads.is_empty() || data.iter().any(|item| item.contains("=@"));
    let calls = made_of(vec![url.text.clone()], &method, body.as_ref());
    Calls { calls, is_elsewhere }
}

fn github(command: &Simple) -> Calls {
    let mut words = command.arguments().iter().skip(1).map(|word| &*word.text);
    let (mut method, mut path, mut fields) = (None, None, Vec::new());
    let mut is_elsewhere = false;
    while let Some(word) = words.next() {
        match word {
            "-X" | "--method" => method = words.next(),
            "-f" | "-F" | "--raw-field" | "--field" => fields.extend(words.next()),
            "--input" => {
                words.next();
                is_elsewhere = true;
            }
            "-H" | "--header" | "-q" | "--jq" | "-t" | "--template" | "--hostname" | "--cache"
            | "-p" => {
                words.next();
            }
            _ if word.starts_with("-X") => method = word.get(2..),
            _ if word.starts_with("--method=") => method = word.get(9..),
            _ if word.starts_with('-') => {}
            _ => path = path.or(Some(word)),
        }
    }
    let Some(path) = path else { return Calls::default() };
    let body = (!fields.is_empty()).then(|| fields.join("&"));
    let method = method.unwrap_or_else(|| if body.is_some() { "POST" } else { "GET" });
    let url = if path.contains("://") {
        path.to_owned()
    } else {
        format!("https://api.github.com/{}", path.trim_start_matches('/'))
    };
    let is_elsewhere = is_elsewhere || fields.iter().any(|field| field.contains("=@"));
    Calls { calls: made_of(vec![url], method, body.as_ref()), is_elsewhere }
}

fn made_of(urls: Vec<String>, method: &str, body: Option<&String>) -> Vec<HttpCall> {
    let call = |url| HttpCall { method: method.to_ascii_uppercase(), url, body: body.cloned() };
    urls.into_iter().map(call).collect()
}
