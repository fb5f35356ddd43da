//! Conditions of a policy's rules and lists: what a call has to say for an entry to speak.
//!
//! Takes `when:` as written, and a call; says whether the entry applies to it. One that lets pass
//! applies only where all of it is established, one that holds or denies unless the contrary is:
//! what is not known is never an allow.

use super::Word;
use crate::catalog::condition::{Condition, Error, Side, Truth, Written};
use crate::catalog::{Arguments, At};
use crate::inspect::rest;
use crate::message::Head;
use serde_json::{Map, Value};

/// All that has to be so. Nothing to ask is always so.
#[derive(Clone, Debug, Default)]
pub struct When(Vec<Asked>);

#[derive(Clone, Debug)]
struct Asked {
    of: Of,
    condition: Condition,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Of {
    Argument,
    Query,
    Header,
    Environment,
}

/// The environments of what a call acts on.
#[derive(Clone, Debug, Default)]
pub struct Environments<'a> {
    /// Those of the resources that own it; none for one that says none.
    pub known: Vec<Option<&'a str>>,
    /// Whether it may act in others too.
    pub unknown: bool,
}

/// A call as conditions see it.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// Its head.
    pub head: &'a Head,
    /// What it is called with.
    pub arguments: &'a Arguments,
    /// Where it acts.
    pub environments: &'a Environments<'a>,
}

impl When {
    /// What is written, if all of it is conditions.
    pub fn compile(written: &[Written]) -> Result<Self, Error> {
        let asked = written.iter().map(|written| {
            let named = (&*written.argument, &written.query, &written.header, &written.environment);
            let (of, at) = match named {
                ("", Some(name), None, None) => (Of::Query, At::single(name)),
                ("", None, Some(name), None) => {
                    (Of::Header, At::single(&name.to_ascii_lowercase()))
                }
                ("", None, None, Some(_)) => (Of::Environment, At::single("environment")),
                (_, None, None, None) => (Of::Argument, written.place()?),
                _ => return Err(Error::Places),
            };
            Ok(Asked { of, condition: written.condition_at(at)? })
        });
        asked.collect::<Result<_, _>>().map(Self)
    }

    /// Whether there is nothing to ask.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether something in the body of a plain call bears on it.
    pub fn reads_body(&self) -> bool {
        self.0.iter().any(|asked| asked.of == Of::Argument && asked.condition.at.first() == "body")
    }

    /// The headers that it asks for, lower case.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        let headers = self.0.iter().filter(|asked| asked.of == Of::Header);
        headers.map(|asked| asked.condition.at.first())
    }

    /// Whether an entry that says this word applies to a call.
    pub fn applies(&self, word: Word, call: Call<'_>) -> bool {
        match word {
            Word::Allow => self.holds(call, Side::Permit) == Truth::Yes,
            Word::Hold | Word::Deny => self.holds(call, Side::Restrict) != Truth::No,
        }
    }

    /// Whether all of it is so.
    pub fn holds(&self, call: Call<'_>, side: Side) -> Truth {
        self.0.iter().map(|asked| asked.holds(call, side)).fold(Truth::Yes, Truth::and)
    }
}

impl Asked {
    fn holds(&self, call: Call<'_>, side: Side) -> Truth {
        let name = self.condition.at.first();
        let values = match self.of {
            Of::Argument => return self.condition.holds(call.arguments, side),
            Of::Query => rest::fields(call.head.query().pairs()),
            Of::Environment => {
                let known = call.environments.known.iter();
                let mut values: Vec<Value> = known.map(|known| Value::from(*known)).collect();
                if call.environments.unknown {
                    // A list of lists is what no place can be read from.
                    values.push(Value::Array(Vec::new()));
                }
                Map::from_iter([(name.to_owned(), Value::Array(values))])
            }
            Of::Header => {
                let values = rest::header(call.head, name);
                let values = if values.is_empty() { Value::Null } else { Value::Array(values) };
                Map::from_iter([(name.to_owned(), values)])
            }
        };
        let arguments = Arguments::new(values);
        self.condition.holds(&arguments, side)
    }
}

impl std::fmt::Display for When {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (position, asked) in self.0.iter().enumerate() {
            if position > 0 {
                f.write_str(", ")?;
            }
            match asked.of {
                Of::Argument | Of::Environment => {}
                Of::Query => f.write_str("query ")?,
                Of::Header => f.write_str("header ")?,
            }
            write!(f, "{}", asked.condition)?;
        }
        Ok(())
    }
}
