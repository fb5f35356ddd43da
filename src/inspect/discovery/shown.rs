//! What a person reads of a command: short, on one line, and without secrets.

use super::HttpCall;
use crate::inspect::command::Simple;
use crate::inspect::credential::looks_secret;

/// Letters that are shown.
const LONGEST: usize = 120;
/// Letters of one word that are shown.
const WORD: usize = 80;
/// Stands for what is not shown.
const HIDDEN: &str = "[…]";
/// Options whose values are secrets.
const SECRET: &[&str] = &[
    "-p",
    "-u",
    "-H",
    "-b",
    "--password",
    "--pass",
    "--passwd",
    "--token",
    "--user",
    "--header",
    "--cookie",
    "--secret",
    "--api-key",
    "--auth",
    "--oauth2-bearer",
    "-a",
    "--auth-token",
];

/// A command.
pub(super) fn command(command: &Simple) -> String {
    let mut line = String::new();
    for (name, _) in &command.assignments {
        line.push_str(&format_word(name));
        line.push('=');
        line.push_str(HIDDEN);
        line.push(' ');
    }
    let takes_secrets = matches!(
        command.head(),
        "curl"
            | "wget"
            | "http"
            | "https"
            | "xh"
            | "mysql"
            | "psql"
            | "docker"
            | "redis-cli"
            | "mysqldump"
    );
    let mut is_secret = false;
    for word in &command.words {
        let shown = if is_secret { HIDDEN.to_owned() } else { format_word(&word.text) };
        is_secret = SECRET.contains(&&*word.text) && (takes_secrets || word.text.len() > 2);
        line.push_str(&shown);
        line.push(' ');
        if line.len() > LONGEST * 4 {
            break;
        }
    }
    for read in &command.reads {
        line.push_str("< ");
        line.push_str(&format_word(&read.text));
        line.push(' ');
    }
    cut(line.trim_end(), LONGEST)
}

/// A call over HTTP: no query, which may hold a secret.
pub(super) fn call(call: &HttpCall) -> String {
    let address = call.url.split(['?', '#']).next().unwrap_or_default();
    let address = match (address.split_once("://"), address.split_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://{rest}"),
        _ => address.to_owned(),
    };
    let parts: Vec<String> = address.split('/').map(format_word).collect();
    let method: String = call.method.chars().take(10).filter(char::is_ascii_alphabetic).collect();
    cut(&format!("{method} {}", parts.join("/")), LONGEST)
}

/// A text, word by word.
pub(super) fn text(text: &str) -> String {
    text_of(text, LONGEST)
}

/// The same of so many letters.
pub(super) fn text_of(text: &str, longest: usize) -> String {
    let words: Vec<String> = text.split_whitespace().take(longest).map(format_word).collect();
    cut(&words.join(" "), longest)
}

fn format_word(word: &str) -> String {
    if let Some((name, value)) = word.split_once(['=', ':'])
        && !value.starts_with("//")
        && (looks_secret(name.trim_start_matches('-'), value) || is_random(value))
    {
        return format!("{}={HIDDEN}", cut(name, WORD));
    }
    if looks_secret("", word) || word.contains("://") && word.contains('@') || is_random(word) {
        return HIDDEN.to_owned();
    }
    cut(word, WORD)
}

/// Whether a word has a part that nobody would type: long, of letters and digits.
fn is_random(word: &str) -> bool {
    word.split(|c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '+')).any(|part| {
        let digits = part.chars().filter(char::is_ascii_digit).count();
        let letters = part.chars().filter(char::is_ascii_alphabetic).count();
        part.len() >= 20 && digits >= 3 && letters >= 3
    })
}

fn cut(text: &str, most: usize) -> String {
    let one_line = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c });
    let mut shown: String =
        one_line.filter(|c| !c.is_control() && !is_invisible(*c)).take(most + 1).collect();
    if shown.chars().count() > most {
        shown = shown.chars().take(most - 1).collect();
        shown.push('…');
    }
    shown
}

/// What changes how a line reads without being seen.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
