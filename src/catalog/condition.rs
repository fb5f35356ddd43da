//! Conditions on the arguments of a call: what a catalog's `when` and a policy's `when` ask.
//!
//! Takes [`Arguments`] and a [`Condition`]; returns a [`Truth`]. What could not be established is
//! `Unknown`, which a reader takes for whatever is stricter. Where several values stand at a place,
//! one is enough to restrict, and it takes all of them to let something pass.

use super::arguments::{Arguments, At, Found};
use crate::message::json;
use serde::Deserialize;
use serde_json::Value;

/// Whether something is so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It is established.
    Yes,
    /// The contrary is established.
    No,
    /// It could not be established.
    Unknown,
}

/// What a condition is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// To restrict: one value is enough.
    Restrict,
    /// To let pass: every value has to fit.
    Permit,
}

/// One matcher at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Where it looks.
    pub at: At,
    /// What has to stand there.
    pub matcher: Matcher,
    /// Whether the contrary is meant.
    pub not: bool,
}

/// What has to stand at a place.
#[derive(Clone, Debug, PartialEq)]
pub enum Matcher {
    /// One of these.
    In(Vec<Scalar>),
    /// A text that fits a pattern.
    Like(Pattern),
    /// Anything but null.
    Present,
    /// Nothing, null, or an empty text, list or object.
    Empty,
    /// At least, at most this number.
    Between(f64, f64),
    /// At any depth below, a member of this name with this value.
    Anywhere {
        /// The member's name.
        key: Box<str>,
        /// Its value.
        is: Scalar,
    },
}

/// A value that is compared whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Number(i64),
    /// A text.
    Text(String),
    /// `null`.
    Null,
}

/// A text in which `*` stands for any characters, also none.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Pattern(Vec<Box<str>>);

/// The keys of a condition, as catalogs and policies write them: exactly one matcher.
#[derive(Clone, Debug, Default, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Written {
    /// The place of the argument.
    pub argument: String,
    /// In place of an argument, a key of the query; policies only.
    pub query: Option<String>,
    /// In place of an argument, a header; policies only.
    pub header: Option<String>,
    /// The environments of what the call acts on: this one, or one of these; policies only.
    pub environment: Option<Words>,
    /// Exactly this value.
    pub is: Option<Scalar>,
    /// One of these values.
    pub r#in: Option<Vec<Scalar>>,
    /// A text that fits this pattern; `*` stands for any characters.
    pub like: Option<String>,
    /// Whether anything but null stands there.
    pub present: Option<bool>,
    /// Whether nothing, null, or an empty text, list or object stands there.
    pub empty: Option<bool>,
    /// A number of at least this.
    pub at_least: Option<f64>,
    /// A number of at most this.
    pub at_most: Option<f64>,
    /// A member of this name with this value, at any depth below, also in JSON within a text.
    pub anywhere: Option<Member>,
    /// Whether the contrary is meant.
    pub not: bool,
}

/// One word, or several.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, schemars::JsonSchema)]
#[serde(untagged)]
pub enum Words {
    /// One.
    One(String),
    /// Several.
    Several(Vec<String>),
}

impl Words {
    /// All of them.
    pub fn all(&self) -> &[String] {
        match self {
            Self::One(word) => std::slice::from_ref(word),
            Self::Several(words) => words,
        }
    }
}

/// A member that is looked for at any depth.
#[derive(Clone, Debug, Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name.
    pub key: String,
    /// Its value.
    pub is: Scalar,
}

/// Why a written condition is none; the fault is its author's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not say where.
    #[error("`argument: {0}` is no place; write names with dots, as in `input.environmentId`")]
    Place(String),
    /// It says several.
    #[error("a condition has exactly one of `argument`, `query`, `header` and `environment`")]
    Places,
    /// It has none, or two.
    #[error(
        "a condition has exactly one of `is`, `in`, `like`, `present`, `empty`, `at_least`/`at_most` and `anywhere`"
    )]
    Matcher,
    /// A list that no value is in.
    #[error("`in: []` fits nothing; write its values")]
    Nothing,
}

/// More values than that below one place are not looked through.
const VALUES: usize = 100_000;
/// JSON within a text, within JSON within a text, and no further.
const NESTED_TEXTS: usize = 3;

impl Written {
    /// The place of its argument.
    pub fn place(&self) -> Result<At, Error> {
        At::parse(&self.argument).ok_or_else(|| Error::Place(self.argument.clone()))
    }

    /// What is asked of a place, if that is a condition.
    pub fn condition_at(&self, at: At) -> Result<Condition, Error> {
        let mut not = self.not;
        let mut matchers = Vec::new();
        if let Some(words) = &self.environment {
            let scalars: Vec<Scalar> = words.all().iter().cloned().map(Scalar::Text).collect();
            if scalars.is_empty() {
                return Err(Error::Nothing);
            }
            matchers.push(Matcher::In(scalars));
        }
        if let Some(value) = &self.is {
            matchers.push(Matcher::In(vec![value.clone()]));
        }
        if let Some(values) = &self.r#in {
            if values.is_empty() {
                return Err(Error::Nothing);
            }
            matchers.push(Matcher::In(values.clone()));
        }
        if let Some(pattern) = &self.like {
            matchers.push(Matcher::Like(Pattern::new(pattern)));
        }
        if let Some(present) = self.present {
            not ^= !present;
            matchers.push(Matcher::Present);
        }
        if let Some(empty) = self.empty {
            not ^= !empty;
            matchers.push(Matcher::Empty);
        }
        if self.at_least.is_some() || self.at_most.is_some() {
            let (least, most) = (self.at_least, self.at_most);
            matchers.push(Matcher::Between(
                least.unwrap_or(f64::NEG_INFINITY),
                most.unwrap_or(f64::INFINITY),
            ));
        }
        if let Some(member) = &self.anywhere {
            let key = Box::from(member.key.as_str());
            matchers.push(Matcher::Anywhere { key, is: member.is.clone() });
        }
        match (matchers.pop(), matchers.is_empty()) {
            (Some(matcher), true) => Ok(Condition { at, matcher, not }),
            _ => Err(Error::Matcher),
        }
    }
}

impl Condition {
    /// Whether the arguments fulfil it.
    pub fn holds(&self, arguments: &Arguments, side: Side) -> Truth {
        let mut found = arguments.at(&self.at);
        if matches!(self.matcher, Matcher::Present | Matcher::Empty | Matcher::Anywhere { .. }) {
            // These look at all that stands there.
            found.unknown |= found.unknown_below;
        }
        let each = |truth: Truth| if self.not { !truth } else { truth };
        let truths: Vec<Truth> = match &self.matcher {
            // A list is one value to these: whether anything stands there, and whether it is empty.
            Matcher::Present => vec![found.is_present()],
            Matcher::Empty => vec![found.is_empty()],
            matcher => {
                let nothing = (found.values.is_empty() && !found.unknown).then_some(&Value::Null);
                let values = found.values.iter().copied().chain(nothing);
                let unknown = found.unknown.then_some(Truth::Unknown);
                values.map(|value| matcher.of(value)).chain(unknown).collect()
            }
        };
        let truths = truths.into_iter().map(each);
        match side {
            Side::Restrict => truths.fold(Truth::No, Truth::or),
            Side::Permit => truths.fold(Truth::Yes, Truth::and),
        }
    }
}

impl Found<'_> {
    fn is_present(&self) -> Truth {
        let present = Truth::from(self.values.iter().any(|value| !value.is_null()));
        present.or(if self.unknown { Truth::Unknown } else { Truth::No })
    }

    fn is_empty(&self) -> Truth {
        let nothing = |value: &&Value| match value {
            Value::Null => true,
            Value::String(text) => text.is_empty(),
            Value::Array(members) => members.is_empty(),
            Value::Object(map) => map.is_empty(),
            _ => false,
        };
        let empty = Truth::from(self.values.iter().all(nothing));
        empty.and(if self.unknown { Truth::Unknown } else { Truth::Yes })
    }
}

impl std::fmt::Display for Condition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let not = if self.not { "not " } else { "" };
        write!(f, "{} {not}", self.at)?;
        match &self.matcher {
            Matcher::In(scalars) => {
                let scalars: Vec<String> = scalars.iter().map(ToString::to_string).collect();
                write!(f, "{}", scalars.join(" or "))
            }
            Matcher::Like(pattern) => write!(f, "like {pattern}"),
            Matcher::Present => f.write_str("present"),
            Matcher::Empty => f.write_str("empty"),
            Matcher::Between(least, most) => write!(f, "from {least} to {most}"),
            Matcher::Anywhere { key, is } => write!(f, "with {key} {is} somewhere in it"),
        }
    }
}

impl Matcher {
    fn of(&self, value: &Value) -> Truth {
        match self {
            Self::In(scalars) => {
                scalars.iter().map(|scalar| scalar.is(value)).fold(Truth::No, Truth::or)
            }
            Self::Like(pattern) => match value {
                Value::String(text) => Truth::from(pattern.fits(text)),
                Value::Number(number) => Truth::from(pattern.fits(&number.to_string())),
                Value::Null => Truth::No,
                _ => Truth::Unknown,
            },
            Self::Between(least, most) => {
                let number = match value {
                    Value::Number(number) => number.as_f64(),
                    Value::String(text) => text.parse().ok(),
                    Value::Null => return Truth::No,
                    _ => None,
                };
                let within = |number: f64| Truth::from(*least <= number && number <= *most);
                number.filter(|number| !number.is_nan()).map_or(Truth::Unknown, within)
            }
            Self::Anywhere { key, is } => anywhere(value, key, is),
            Self::Present | Self::Empty => Truth::Unknown,
        }
    }
}

/// Whether a member stands somewhere below. Without recursion, for the depth is the sender's.
fn anywhere(value: &Value, key: &str, is: &Scalar) -> Truth {
    let mut texts = Vec::new();
    let mut truth = below(value, key, is, &mut texts);
    for _ in 0..NESTED_TEXTS {
        let read: Vec<Value> = std::mem::take(&mut texts);
        for value in &read {
            truth = truth.or(below(value, key, is, &mut texts));
        }
    }
    if texts.is_empty() { truth } else { truth.or(Truth::Unknown) }
}

/// Looks through one document; what is JSON within its texts is read into `texts`.
fn below(value: &Value, key: &str, is: &Scalar, texts: &mut Vec<Value>) -> Truth {
    let mut truth = Truth::No;
    let mut open = vec![value];
    let mut seen = 0usize;
    while let Some(value) = open.pop() {
        seen += 1;
        if seen > VALUES {
            return truth.or(Truth::Unknown);
        }
        match value {
            Value::Object(map) => {
                for (name, member) in map {
                    if name.eq_ignore_ascii_case(key) {
                        truth = truth.or(is.is(member));
                    }
                    open.push(member);
                }
            }
            Value::Array(members) => {
                // What stands for something that could not be read.
                let unread = |member: &Value| member.as_array().is_some_and(Vec::is_empty);
                if members.iter().any(unread) {
                    truth = truth.or(Truth::Unknown);
                }
                open.extend(members);
            }
            Value::String(text) if json::may_hold(text) => {
                match json::parse(text.as_bytes()) {
                    Ok(inner) => texts.push(inner),
                    // Half of a document, or another notation, may say the same.
                    Err(_) => truth = truth.or(Truth::Unknown),
                }
            }
            _ => {}
        }
    }
    truth
}

impl Scalar {
    /// Whether a value is this one. Forms and queries have only texts, so a text that says the same
    /// is the same; a value of another kind is nothing that can be told for certain.
    pub fn is(&self, value: &Value) -> Truth {
        match (self, value) {
            (Self::Null, Value::Null) => Truth::Yes,
            (Self::Null, _) | (_, Value::Null) => Truth::No,
            (Self::Bool(wanted), Value::Bool(value)) => Truth::from(wanted == value),
            (Self::Bool(wanted), Value::String(text)) => match text.as_str() {
                "true" => Truth::from(*wanted),
                "false" => Truth::from(!*wanted),
                _ => Truth::Unknown,
            },
            (Self::Number(wanted), Value::Number(value)) => match value.as_i64() {
                Some(value) => Truth::from(value == *wanted),
                None => Truth::Unknown,
            },
            (Self::Number(wanted), Value::String(text)) => match text.parse::<i64>() {
                Ok(value) => Truth::from(value == *wanted),
                Err(_) => Truth::Unknown,
            },
            (Self::Text(wanted), Value::String(text)) => Truth::from(wanted == text),
            (Self::Text(wanted), Value::Number(number)) => {
                Truth::from(*wanted == number.to_string())
            }
            (Self::Text(wanted), Value::Bool(value)) => Truth::from(*wanted == value.to_string()),
            _ => Truth::Unknown,
        }
    }
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(value) => write!(f, "{value}"),
            Self::Number(value) => write!(f, "{value}"),
            Self::Text(value) => f.write_str(value),
            Self::Null => f.write_str("null"),
        }
    }
}

impl Truth {
    /// Either of two.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Yes, _) | (_, Self::Yes) => Self::Yes,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::No, Self::No) => Self::No,
        }
    }

    /// Both of two.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::No, _) | (_, Self::No) => Self::No,
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
            (Self::Yes, Self::Yes) => Self::Yes,
        }
    }
}

impl std::ops::Not for Truth {
    type Output = Self;
    fn not(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }
}

impl From<bool> for Truth {
    fn from(value: bool) -> Self {
        if value { Self::Yes } else { Self::No }
    }
}

impl Pattern {
    /// A pattern as it is written.
    pub fn new(text: &str) -> Self {
        Self(text.split('*').map(Box::from).collect())
    }

    /// Whether a text fits. Its cost is the product of both lengths at most.
    pub fn fits(&self, text: &str) -> bool {
        let Some((first, rest)) = self.0.split_first() else { return false };
        let Some(mut text) = text.strip_prefix(&**first) else { return false };
        let Some((last, middle)) = rest.split_last() else { return text.is_empty() };
        for piece in middle {
            match text.find(&**piece) {
                Some(at) => text = text.get(at + piece.len()..).unwrap_or_default(),
                None => return false,
            }
        }
        text.ends_with(&**last)
    }

    /// Whether it is one text and no pattern.
    pub fn is_exact(&self) -> bool {
        self.0.len() == 1
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("*"))
    }
}

#[cfg(test)]
mod tests;
