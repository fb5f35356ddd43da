//! What a person reads of a command: short, on one line, and without secrets.

use super::HttpCall;
use crate::inspect::command::Simple;
use crate::inspect::credential::looks_secret;

/// Letters that are shown.
const LONGEST: usize = 120;
/// Letters of one word that are shown.
const WORD: usize = 80;
/// Stands for what is not shown.
pub(super) const HIDDEN: &str = "[…]";
/// Options whose values are secrets, whatever has them.
pub(super) const SECRET: &[&str] = &[
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
    "--proxy-user",
    "--auth-token",
    "-passin",
    "-passout",
];
/// Programs with their short options whose values are secrets. These may be joined: `-phunter2`.
const SHORT: &[(&str, &[&str])] = &[
    ("curl", &["-u", "-H", "-b", "-U"]),
    ("wget", &["-H"]),
    ("http", &["-a"]),
    ("https", &["-a"]),
    ("xh", &["-a"]),
    ("mysql", &["-p"]),
    ("mysqldump", &["-p"]),
    ("mysqladmin", &["-p"]),
    ("mariadb", &["-p"]),
    ("redis-cli", &["-a"]),
    ("sshpass", &["-p"]),
    ("mongosh", &["-p"]),
    ("mongo", &["-p"]),
    ("mongodump", &["-p"]),
    ("sqlcmd", &["-P"]),
    ("login", &["-p"]),
    ("ldapsearch", &["-w"]),
    ("smbclient", &["-U"]),
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
    let mut words = Words::default();
    for word in &command.words {
        line.push_str(&words.shown(&word.text, false).unwrap_or_default());
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

/// Words of a command, one after the other: which of them follows an option that takes a secret.
#[derive(Default)]
struct Words {
    /// The short options that take one here.
    short: Vec<&'static str>,
    is_secret: bool,
    /// The quote that the secret began with, until it ends.
    quote: Option<char>,
    before: String,
}

impl Words {
    /// What is shown of the next word, if anything. `is_raw` says that its quotes still stand there, and
    /// that white space in them has parted it.
    fn shown(&mut self, word: &str, is_raw: bool) -> Option<String> {
        if let Some(quote) = self.quote {
            self.quote = Some(quote).filter(|quote| !word.contains(*quote));
            return None;
        }
        let marks: &[char] = &['\'', '"', '`', '(', ')', ';', '|', '&', '$', '{', '}'];
        let plain = word.trim_matches(marks);
        let before = std::mem::replace(&mut self.before, plain.to_ascii_lowercase());
        if std::mem::take(&mut self.is_secret) {
            self.quote = open_quote(word).filter(|_| is_raw);
            return Some(HIDDEN.to_owned());
        }
        let program = plain.rsplit(['/', ';', '|', '&', '(']).next().unwrap_or(plain);
        if let options @ [_, ..] = short_options(program) {
            let known = |option: &&str| !self.short.contains(option);
            let new: Vec<&str> = options.iter().copied().filter(|option| known(option)).collect();
            self.short.extend(new);
        }
        // `Authorization: Basic …`, `IDENTIFIED BY …`
        let follows = match self.before.as_str() {
            "bearer" => true,
            "basic" | "token" => before.ends_with(':'),
            "by" => before == "identified",
            _ => false,
        };
        let is_option = secret_from(plain, &self.short) == Some(plain.len());
        self.is_secret = follows || SECRET.contains(&plain) || is_option;
        let joined = secret_from(word, &self.short).filter(|_| !self.is_secret);
        match joined.and_then(|from| word.split_at_checked(from)) {
            Some((option, value)) => {
                self.quote = open_quote(value).filter(|_| is_raw);
                Some(format!("{option}{HIDDEN}"))
            }
            // A text within: what a shell or a database is given.
            None if word.contains(char::is_whitespace) => Some(text_of(word, WORD)),
            None => Some(format_word(word)),
        }
    }
}

/// The short options of a program whose values are secrets.
pub(super) fn short_options(program: &str) -> &'static [&'static str] {
    SHORT.iter().find(|(name, _)| *name == program).map_or(&[], |(_, options)| options)
}

/// Where the value of a short option begins that takes a secret, in the word or behind it: `-u`, `-ua:b`,
/// and `-su` behind options that take none.
pub(super) fn secret_from(word: &str, short: &[&str]) -> Option<usize> {
    const WITHOUT_VALUE: &str = "#0123afgijklnpqsvGILNORSZ";
    let letters = word.strip_prefix('-')?;
    for (at, letter) in letters.char_indices() {
        let end = at + letter.len_utf8();
        if short.iter().any(|option| option.strip_prefix('-') == letters.get(at..end)) {
            return Some(end + 1);
        }
        if !WITHOUT_VALUE.contains(letter) {
            return None;
        }
    }
    None
}

/// The quote that a value begins with and that does not end in it.
fn open_quote(value: &str) -> Option<char> {
    let mut letters = value.chars();
    let quote = letters.next().filter(|quote| matches!(quote, '\'' | '"'))?;
    (!letters.as_str().contains(quote)).then_some(quote)
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
    let words = text.split_whitespace().take(longest);
    let mut state = Words::default();
    let shown: Vec<String> = words.filter_map(|word| state.shown(word, true)).collect();
    cut(&shown.join(" "), longest)
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

/// Whether a word has a part that nobody would type.
fn is_random(word: &str) -> bool {
    word.split(|c: char| !is_of_part(c)).any(is_random_part)
}

/// Whether a letter stands within a part of a word.
pub(super) const fn is_of_part(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+')
}

/// Whether nobody would type it: it is long, of letters and digits.
pub(super) fn is_random_part(part: &str) -> bool {
    let digits = part.chars().filter(char::is_ascii_digit).count();
    let letters = part.chars().filter(char::is_ascii_alphabetic).count();
    part.len() >= 20 && digits >= 3 && letters >= 3
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
pub(super) const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}
