//! A whole line of what a tool is given, as the person reads it who answers for it.
//!
//! Takes the line; returns it without secrets, and whether what was left out could be a command. Nothing
//! is cut: who says yes to a line says it to all of it.

use super::shown::{
    HIDDEN, SECRET, is_invisible, is_of_part, is_random_part, secret_from, short_options,
};
use crate::inspect::credential::looks_secret;

/// A line without secrets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its text.
    pub text: String,
    /// Whether something that could be a command is not in it.
    pub hides: bool,
}

/// Shows a line. `is_known` says whether a text has a secret in it that is known.
pub fn whole(line: &str, is_known: impl Fn(&str) -> bool) -> Line {
    let mut shown = Line { text: String::with_capacity(line.len()), hides: false };
    // The short options by which the command takes secrets, whether its next word is one, and in which
    // marks that stands where it is several words.
    let (mut short, mut is_value, mut quote) = (Vec::new(), false, None);
    for word in line.split_whitespace() {
        short.extend(short_options(program(word)));
        let option = secret_from(word, &short);
        let joined = option.is_some_and(|from| from < word.len());
        if joined || (is_value || quote.is_some()) && !is_variable(word) {
            shown.hide(word);
        } else {
            shown.word(word, &is_known);
        }
        shown.text.push(' ');
        quote = match quote {
            Some(mark) => (!is_odd(word, mark)).then_some(mark),
            None if is_value => ['"', '\''].into_iter().find(|mark| is_odd(word, *mark)),
            None => None,
        };
        is_value = quote.is_none() && (SECRET.contains(&word) || option == Some(word.len()));
        if word.ends_with([';', '&', '|']) {
            short.clear();
        }
    }
    shown.text.retain(|c| !c.is_control() && !is_invisible(c));
    shown.text.truncate(shown.text.trim_end().len());
    if is_known(&shown.text) {
        return Line { text: HIDDEN.to_owned(), hides: true };
    }
    shown
}

impl Line {
    fn hide(&mut self, part: &str) {
        self.text.push_str(HIDDEN);
        self.hides |= could_run(part);
    }

    /// A word, but for what of it is a secret.
    fn word(&mut self, word: &str, is_known: &impl Fn(&str) -> bool) {
        if let Some((name, value)) = word.split_once(['=', ':'])
            && !value.starts_with("//")
            && looks_secret(name.trim_start_matches(['-', '"', '\'']), value)
        {
            let (name, value) = word.split_at(name.len() + 1);
            self.text.push_str(name);
            return self.hide(value);
        }
        if looks_secret("", word) || word.contains("://") && word.contains('@') {
            return self.hide(word);
        }
        let before = self.text.len();
        let mut rest = String::with_capacity(word.len());
        // What an address says of its query is a name and a value each.
        for piece in word.split_inclusive(['?', '&']) {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            let value = value.trim_end_matches('&');
            if word.contains("://") && looks_secret(name, value) {
                self.text.push_str(name);
                self.text.push('=');
                self.hide(value);
                continue;
            }
            for part in piece.split_inclusive(|c: char| !is_of_part(c)) {
                let end = part.trim_end_matches(|c| !is_of_part(c)).len();
                let (part, mark) = part.split_at(end);
                if is_random_part(part) || is_known(part) {
                    self.text.push_str(HIDDEN);
                } else {
                    self.text.push_str(part);
                    rest.push_str(part);
                }
                self.text.push_str(mark);
                rest.push_str(mark);
            }
        }
        if is_known(&rest) {
            // It is in several parts of the word.
            self.text.truncate(before);
            self.hide(word);
        }
    }
}

fn program(word: &str) -> &str {
    word.rsplit(['/', ';', '|', '&', '(', '`']).next().unwrap_or(word)
}

/// Whether a word begins a quotation by this mark, or ends it, and not both.
fn is_odd(word: &str, mark: char) -> bool {
    word.matches(mark).count() % 2 == 1
}

/// Whether a value stands elsewhere.
fn is_variable(word: &str) -> bool {
    let bare = word.trim_matches(['"', '{', '}', '$']);
    word.trim_start_matches('"').starts_with('$')
        && bare.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Whether a shell could read more than a word in it.
fn could_run(word: &str) -> bool {
    let within = |mark: char| {
        let inner = word.strip_prefix(mark)?.strip_suffix(mark)?;
        (!inner.contains(mark)).then_some(inner)
    };
    match (within('\''), within('"')) {
        (Some(_), _) => false,
        (None, Some(inner)) => inner.contains('`') || inner.contains("$("),
        (None, None) => word.contains([';', '&', '|', '<', '>', '`', '(', ')']),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_shown_whole_but_for_its_secrets() {
        let token = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
        let long = format!("echo {}; rm -rf /", "x".repeat(400));
        let rows = [
            ("rm -rf /data # why", "rm -rf /data # why"),
            (&*long, &*long),
            (
                "mysql --password hunter2 -e 'DROP DATABASE x'",
                "mysql --password […] -e 'DROP DATABASE x'",
            ),
            ("mysql -phunter2 x", "mysql […] x"),
            ("/usr/bin/mysql -u root -phunter2 x", "/usr/bin/mysql -u root […] x"),
            (
                "curl -u admin:hunter2 -X DELETE https://a.example/x",
                "curl -u […] -X DELETE https://a.example/x",
            ),
            (
                "curl -sSu admin:hunter2 -XPUT https://a.example",
                "curl -sSu […] -XPUT https://a.example",
            ),
            ("curl -suadmin:hunter2 https://a.example", "curl […] https://a.example"),
            ("redis-cli -a \"hunter 2\" FLUSHALL", "redis-cli -a […] […] FLUSHALL"),
            (
                "curl -H 'X-Key: a b' -X DELETE https://a.example/x",
                "curl -H […] […] […] -X DELETE https://a.example/x",
            ),
            (
                "curl -X DELETE -H \"Authorization: Bearer $TOKEN\" 'https://a.example/x?token=k9s8d7f6g5&y=1'",
                "curl -X DELETE -H […] […] $TOKEN\" 'https://a.example/x?token=[…]y=1'",
            ),
            ("psql --password \"$PASSWORD\" -c x", "psql --password \"$PASSWORD\" -c x"),
            ("mkdir -p a/b", "mkdir -p a/b"),
            ("tar -a -c x", "tar -a -c x"),
            ("rm a\u{202e}b", "rm ab"),
        ];
        for (line, expected) in rows {
            let shown = whole(line, |_| false);
            assert_eq!((&*shown.text, shown.hides), (expected, false), "{line}");
        }
        let shown = whole(&format!("x {token};rm a --token={token} rm"), |_| false);
        assert_eq!((&*shown.text, shown.hides), ("x […];rm a --token=[…] rm", false));
        let known = |text: &str| text.contains("correct-horse");
        let shown = whole("rm -rf /data # correct-horse-battery;rm", known);
        assert_eq!((&*shown.text, shown.hides), ("rm -rf /data # […];rm", false));
    }

    #[test]
    fn no_command_hides_behind_a_secret() {
        let known = |text: &str| text.replace([' ', ';'], "").contains("correct-horse");
        for line in [
            "curl --token x;rm${IFS}-rf${IFS}/",
            "curl --token 'a'x;rm${IFS}-rf${IFS}/",
            "curl --token \"$(rm${IFS}-rf${IFS}/)\" https://a.example",
            "curl -H \"$(rm -rf /)\" https://a.example",
            // One in several parts of a word hides the word.
            "echo corr;ect-horse;rm${IFS}-rf${IFS}/",
            // A secret over several words hides its whole line.
            "rm -rf /data correct- horse",
        ] {
            let shown = whole(line, known);
            assert!(shown.hides, "{line}: {shown:?}");
        }
        // What follows is shown.
        let shown = whole("curl --token 'a' https://a.example; rm -rf /", known);
        assert_eq!(
            (&*shown.text, shown.hides),
            ("curl --token […] https://a.example; rm -rf /", false)
        );
    }
}
