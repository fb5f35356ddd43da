//! Words as the shell hands them over.
//!
//! Takes a word of the tree; returns the words it becomes: quotes removed, braces and what the text
//! itself assigned put in, wildcards and variables of the environment left as they stand.

use super::tree::At;
use super::{Reader, Word, output};
use rable::{Node, NodeKind as Kind};

/// What a word may become by what is put in.
const LONGEST: usize = 16 << 10;

/// A word that is being put together, in each of the ways that it may come out.
pub(super) struct Variants {
    texts: Vec<String>,
    quote: Option<char>,
    is_known: bool,
    is_wild: bool,
    is_split: bool,
    names: Vec<String>,
}

impl Reader {
    /// The words that a word of the tree becomes.
    pub(super) fn words(&mut self, node: &Node, at: At<'_>) -> Vec<Word> {
        let Kind::Word { value, parts, .. } = &node.kind else { return Vec::new() };
        let mut word = Variants::new();
        if parts.is_empty() {
            word.literal(value);
        }
        let mut is_counted = false;
        for part in parts {
            match &part.kind {
                // The parser leaves what is in substitutions in substitutions.
                Kind::WordLiteral { value }
                    if word.quote != Some('\'') && is_substitution(value) =>
                {
                    self.substitutions(value, at.nested);
                    word.unknown("$(…)");
                }
                Kind::WordLiteral { value } => word.literal(value),
                Kind::ParamExpansion { param, op, arg } => {
                    self.expanded(&mut word, param, op.as_deref(), arg.as_deref(), at);
                }
                Kind::CommandSubstitution { command, .. } => {
                    let before = self.commands.len();
                    self.walk(command, at.apart());
                    let said = self.commands.get(before..).and_then(output::of);
                    match said {
                        Some(said) => word.put(&[said.trim_end_matches('\n').to_owned()]),
                        None => word.unknown("$(…)"),
                    }
                }
                Kind::ProcessSubstitution { command, .. } => {
                    self.walk(command, at.apart());
                    word.unknown("/dev/fd/63");
                }
                Kind::AnsiCQuote { decoded, .. } => word.push(decoded),
                Kind::LocaleString { inner, .. } => word.push(inner),
                Kind::BraceExpansion { content } => {
                    if self.spend((word.size() + content.len()) / 4) {
                        word.braces(content);
                    } else {
                        word.unknown(content);
                    }
                }
                Kind::ArithmeticExpansion { .. } => {
                    // The parser leaves what it does not read of it.
                    if !std::mem::replace(&mut is_counted, true) {
                        self.substitutions(value.get(1..).unwrap_or_default(), at.nested);
                    }
                    word.unknown("$((…))");
                }
                _ => word.unknown("$…"),
            }
        }
        let cost = word.size() / 16;
        let words = word.done();
        // What is handed over as several words is looked at as several.
        if words.len() > 1 && !self.spend(cost + words.len() * 4) {
            return Vec::new();
        }
        words
    }

    /// Puts a variable in.
    fn expanded(
        &mut self,
        word: &mut Variants,
        name: &str,
        op: Option<&str>,
        argument: Option<&str>,
        at: At<'_>,
    ) {
        if let Some(argument) = argument {
            self.substitutions(argument, at.nested);
        }
        let other = match op {
            Some(":-" | "-" | ":=" | "=" | ":+" | "+") => argument,
            _ => None,
        };
        let put = self.variables.get(name);
        let size = put.map_or(0, |values| values.iter().map(|one| word.size() + one.len()).sum());
        if !self.spend(size / 4) {
            word.unknown("$…");
            return;
        }
        match self.variables.get(name) {
            Some(values) => {
                let mut values = values.clone();
                values.extend(other.map(ToOwned::to_owned));
                word.put(&values);
            }
            // The last word of the command before.
            None if name == "_" && self.commands.last().is_some_and(|one| one.words.len() > 1) => {
                let last = self.commands.last().and_then(|one| one.words.last());
                word.put(&[last.map(|last| last.text.clone()).unwrap_or_default()]);
            }
            None if name == "HOME" => word.push("~"),
            None if name == "PWD" => word.push("."),
            None => {
                word.names.push(name.to_owned());
                word.is_known = false;
                let mut texts = vec![format!("${name}")];
                texts.extend(other.map(ToOwned::to_owned));
                word.put(&texts);
            }
        }
    }
}

fn is_substitution(text: &str) -> bool {
    ["$(", "<(", ">("].iter().any(|opening| text.starts_with(opening))
}

impl Variants {
    /// The ways a word may come out.
    pub(super) const MOST: usize = 16;

    fn new() -> Self {
        Self {
            texts: vec![String::new()],
            quote: None,
            is_known: true,
            is_wild: false,
            is_split: false,
            names: Vec::new(),
        }
    }

    /// How long it is, in all the ways that it may come out.
    fn size(&self) -> usize {
        self.texts.iter().map(String::len).sum()
    }

    /// Adds what stands there, which is no longer than the text is.
    fn push(&mut self, text: &str) {
        match self.texts.as_mut_slice() {
            [one] => one.push_str(text),
            _ => self.times(&[text.to_owned()]),
        }
    }

    fn unknown(&mut self, shown: &str) {
        self.is_known = false;
        self.push(shown);
    }

    /// Puts in what the shell would, in each way that is known.
    fn put(&mut self, values: &[String]) {
        self.is_split |= self.quote.is_none();
        self.times(values);
    }

    fn times(&mut self, values: &[String]) {
        match values {
            [] => {}
            [one] => {
                for text in &mut self.texts {
                    if text.len() + one.len() <= LONGEST {
                        text.push_str(one);
                    } else {
                        self.is_known = false;
                    }
                }
            }
            many => {
                let before = std::mem::take(&mut self.texts);
                let all = before.iter().flat_map(|text| many.iter().map(move |one| (text, one)));
                for (text, one) in all.take(Self::MOST) {
                    if text.len() + one.len() <= LONGEST {
                        self.texts.push(format!("{text}{one}"));
                    } else {
                        self.is_known = false;
                    }
                }
            }
        }
    }

    /// `{a,b}`: each of them. What is no list of plain words stays.
    fn braces(&mut self, content: &str) {
        let inner = content.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
        let Some(inner) = inner.filter(|inner| self.quote.is_none() && !inner.contains('{')) else {
            self.unknown(content);
            return;
        };
        let plain = |one: &str| one.chars().filter(|c| !matches!(c, '"' | '\'' | '\\')).collect();
        let all: Vec<String> = inner.split(',').map(plain).take(Self::MOST).collect();
        self.is_wild |= inner.contains(['*', '?']);
        self.times(&all);
    }

    /// A part that stands there as it is, quotes and all. A quote may reach over several parts.
    fn literal(&mut self, text: &str) {
        let mut left = String::with_capacity(text.len());
        let mut letters = text.chars().peekable();
        while let Some(letter) = letters.next() {
            match (self.quote, letter) {
                (Some(quote), letter) if letter == quote => self.quote = None,
                (Some('\''), letter) => left.push(letter),
                (Some(_), '\\') => match letters.next() {
                    Some('\n') | None => {}
                    Some(next @ ('$' | '`' | '"' | '\\')) => left.push(next),
                    Some(next) => {
                        left.push('\\');
                        left.push(next);
                    }
                },
                (Some(_), letter) => left.push(letter),
                (None, '\\') => left.extend(letters.next().filter(|next| *next != '\n')),
                (None, quote @ ('\'' | '"')) => self.quote = Some(quote),
                (None, letter) => {
                    self.is_wild |= matches!(letter, '*' | '?' | '[');
                    left.push(letter);
                }
            }
        }
        self.push(&left);
    }

    fn done(self) -> Vec<Word> {
        let Self { texts, is_known, is_wild, is_split, names, .. } = self;
        let word =
            |text: &str| Word { text: text.to_owned(), is_known, is_wild, names: names.clone() };
        if is_split {
            let pieces = texts.iter().flat_map(|text| text.split_whitespace());
            return pieces.map(word).take(Self::MOST * Self::MOST).collect();
        }
        texts.iter().map(|text| word(text)).collect()
    }
}
