//! Words as the shell hands them over.
//!
//! Takes a word of the tree; returns the words it becomes: quotes removed, braces and what the text
//! itself assigned put in, wildcards and variables of the environment left as they stand.

use super::tree::At;
use super::{Reader, Word, output};
use rable::{Node, NodeKind as Kind};

/// What a word may become longer than is cut.
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
        for part in parts {
            match &part.kind {
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
                Kind::BraceExpansion { content } => word.braces(content),
                Kind::ArithmeticExpansion { .. } => {
                    // The parser leaves what it does not read of it.
                    self.substitutions(value.get(1..).unwrap_or_default(), at.nested);
                    word.unknown("$((…))");
                }
                _ => word.unknown("$…"),
            }
        }
        word.done()
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
        match self.variables.get(name) {
            Some(values) => {
                let mut values = values.clone();
                values.extend(other.map(ToOwned::to_owned));
                word.put(&values);
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

    fn push(&mut self, text: &str) {
        for one in &mut self.texts {
            if one.len() + text.len() > LONGEST {
                self.is_known = false;
            } else {
                one.push_str(text);
            }
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
            [one] => self.push(one),
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
