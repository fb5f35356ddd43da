//! A YAML document as a tree in which every value knows its line and column.
//!
//! Takes text; returns [`Node`]s, which serde reads like any other format, with every problem of a
//! document found in one pass rather than the first. Refuses what is not strict YAML: duplicate
//! keys, several documents, anchors that grow without bound.

use serde::de::{self, DeserializeOwned, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// A place in the policy file; lines and columns count from one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The line.
    pub line: u32,
    /// The column, in characters.
    pub column: u32,
}

/// A value with its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, schemars::JsonSchema)]
#[schemars(transparent)]
pub struct Spanned<T> {
    /// The value.
    pub value: T,
    /// Where it stands.
    #[schemars(skip)]
    pub place: Place,
}

impl<T> Spanned<T> {
    /// The same place with another value.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Spanned<U> {
        Spanned { value: change(self.value), place: self.place }
    }
}

/// One thing that is wrong with a policy, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where it stands.
    pub place: Place,
    /// One sentence.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.place.line, self.place.column, self.message)
    }
}

impl std::error::Error for Problem {}

impl de::Error for Problem {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { place: Place::default(), message: message.to_string() }
    }
}

impl Problem {
    pub(super) fn new(place: Place, message: impl Into<String>) -> Self {
        Self { place, message: message.into() }
    }

    fn at(mut self, place: Place) -> Self {
        if self.place == Place::default() {
            self.place = place;
        }
        self
    }
}

/// A value of the document.
#[derive(Clone, Debug)]
pub struct Node {
    content: Content,
    place: Place,
}

#[derive(Clone, Debug)]
enum Content {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Spanned<String>, Node)>),
}

impl Node {
    /// Reads a document; the error is the YAML reader's own text, caret included.
    pub fn parse(text: &str) -> Result<Self, String> {
        // The reader counts nodes so that a small file cannot unfold into a large tree.
        let options = serde_saphyr::options! {
            strict_booleans: true,
            budget: serde_saphyr::budget! { max_nodes: 200_000, max_depth: 64 },
        };
        serde_saphyr::from_str_with_options(text, options).map_err(|error| error.to_string())
    }

    /// Where the value stands.
    pub const fn place(&self) -> Place {
        self.place
    }

    /// The entries of a map, or a problem that says a map is wanted here.
    pub fn entries(&self, what: &str) -> Result<&[(Spanned<String>, Self)], Problem> {
        match &self.content {
            Content::Map(entries) => Ok(entries),
            _ => Err(Problem::new(self.place, format!("{what} is a map of names to values"))),
        }
    }

    /// The members of a list, or a problem that says a list is wanted here.
    pub fn members(&self, what: &str) -> Result<&[Self], Problem> {
        match &self.content {
            Content::List(members) => Ok(members),
            _ => Err(Problem::new(self.place, format!("{what} is a list"))),
        }
    }

    /// Reads the node as a value, noting every problem: after one, what caused it is left out and
    /// the reading starts again, so that a reader sees all of them at once.
    pub fn read<T: DeserializeOwned>(&self, problems: &mut Vec<Problem>) -> Option<T> {
        const MOST: usize = 20;
        let mut node = self.clone();
        let before = problems.len();
        for _ in 0..MOST {
            match T::deserialize(&node) {
                Ok(value) if problems.len() == before => return Some(value),
                Ok(_) => return None,
                Err(problem) => {
                    let problem = problem.at(self.place);
                    let removed = node.remove(problem.place);
                    // What is missing only because its bad value was left out is no news.
                    let echo =
                        problem.message.starts_with("missing field") && problems.len() > before;
                    if !echo {
                        problems.push(problem);
                    }
                    if !removed {
                        return None;
                    }
                }
            }
        }
        None
    }

    /// Leaves out the entry or member whose key or value stands at a place.
    fn remove(&mut self, place: Place) -> bool {
        match &mut self.content {
            Content::Map(entries) => {
                let before = entries.len();
                entries.retain(|(key, value)| key.place != place && value.place != place);
                before != entries.len() || entries.iter_mut().any(|(_, value)| value.remove(place))
            }
            Content::List(members) => {
                let before = members.len();
                members.retain(|member| member.place != place);
                before != members.len() || members.iter_mut().any(|member| member.remove(place))
            }
            _ => false,
        }
    }
}

impl<'de> serde::Deserialize<'de> for Node {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = serde_saphyr::Spanned::<Content>::deserialize(deserializer)?;
        Ok(Self { place: place(spanned.referenced), content: spanned.value })
    }
}

fn place(location: serde_saphyr::Location) -> Place {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Place { line: number(location.line()), column: number(location.column()) }
}

impl<'de> serde::Deserialize<'de> for Content {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ContentVisitor;
        impl<'de> Visitor<'de> for ContentVisitor {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a YAML value")
            }
            fn visit_unit<E>(self) -> Result<Content, E> {
                Ok(Content::Null)
            }
            fn visit_none<E>(self) -> Result<Content, E> {
                Ok(Content::Null)
            }
            fn visit_bool<E>(self, value: bool) -> Result<Content, E> {
                Ok(Content::Bool(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<Content, E> {
                Ok(Content::Integer(value))
            }
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Content, E> {
                i64::try_from(value).map(Content::Integer).map_err(E::custom)
            }
            fn visit_f64<E>(self, value: f64) -> Result<Content, E> {
                Ok(Content::Float(value))
            }
            fn visit_str<E>(self, value: &str) -> Result<Content, E> {
                Ok(Content::Text(value.to_owned()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = access.next_element()? {
                    members.push(member);
                }
                Ok(Content::List(members))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Content, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = access.next_key::<serde_saphyr::Spanned<String>>()? {
                    let key = Spanned { place: place(key.referenced), value: key.value };
                    entries.push((key, access.next_value()?));
                }
                Ok(Content::Map(entries))
            }
        }
        deserializer.deserialize_any(ContentVisitor)
    }
}

const SPANNED: &str = "holdgate::Spanned";

impl<'de, T: serde::Deserialize<'de>> serde::Deserialize<'de> for Spanned<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SpannedVisitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: serde::Deserialize<'de>> Visitor<'de> for SpannedVisitor<T> {
            type Value = Spanned<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value with its place")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Spanned<T>, A::Error> {
                let missing = || de::Error::custom("a value without a place");
                let line = access.next_element()?.ok_or_else(missing)?;
                let column = access.next_element()?.ok_or_else(missing)?;
                let value = access.next_element()?.ok_or_else(missing)?;
                Ok(Spanned { value, place: Place { line, column } })
            }
        }
        deserializer.deserialize_tuple_struct(SPANNED, 3, SpannedVisitor(std::marker::PhantomData))
    }
}

struct SpannedAccess<'a> {
    node: &'a Node,
    next: u8,
}

impl<'de> SeqAccess<'de> for SpannedAccess<'de> {
    type Error = Problem;

    fn next_element_seed<S: de::DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Problem> {
        self.next += 1;
        match self.next {
            1 => seed.deserialize(self.node.place.line.into_deserializer()).map(Some),
            2 => seed.deserialize(self.node.place.column.into_deserializer()).map(Some),
            3 => seed.deserialize(self.node).map(Some),
            _ => Ok(None),
        }
    }
}

struct Entries<'a> {
    rest: std::slice::Iter<'a, (Spanned<String>, Node)>,
    value: Option<&'a Node>,
}

impl<'de> MapAccess<'de> for Entries<'de> {
    type Error = Problem;

    fn next_key_seed<K: de::DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Problem> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some(value);
        let text: de::value::StrDeserializer<'_, Problem> = key.value.as_str().into_deserializer();
        seed.deserialize(text).map(Some).map_err(|problem| problem.at(key.place))
    }

    fn next_value_seed<V: de::DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Problem> {
        let value = self.value.take().ok_or_else(|| de::Error::custom("a key without a value"))?;
        seed.deserialize(value).map_err(|problem| problem.at(value.place))
    }
}

struct Members<'a>(std::slice::Iter<'a, Node>);

impl<'de> SeqAccess<'de> for Members<'de> {
    type Error = Problem;

    fn next_element_seed<S: de::DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Problem> {
        let Some(node) = self.0.next() else { return Ok(None) };
        seed.deserialize(node).map(Some).map_err(|problem| problem.at(node.place))
    }
}

impl<'de> serde::Deserializer<'de> for &'de Node {
    type Error = Problem;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        let result = match &self.content {
            Content::Null => visitor.visit_unit(),
            Content::Bool(value) => visitor.visit_bool(*value),
            Content::Integer(value) => visitor.visit_i64(*value),
            Content::Float(value) => visitor.visit_f64(*value),
            Content::Text(value) => visitor.visit_str(value),
            Content::List(members) => visitor.visit_seq(Members(members.iter())),
            Content::Map(entries) => {
                visitor.visit_map(Entries { rest: entries.iter(), value: None })
            }
        };
        result.map_err(|problem| problem.at(self.place))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Problem> {
        match self.content {
            Content::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _length: usize,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        if name == SPANNED {
            return visitor.visit_seq(SpannedAccess { node: self, next: 0 });
        }
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Problem> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Problem> {
        let result = match &self.content {
            Content::Text(word) => {
                let word: de::value::StrDeserializer<'_, Problem> =
                    word.as_str().into_deserializer();
                visitor.visit_enum(word)
            }
            Content::Map(entries) if entries.len() == 1 => {
                let access = Entries { rest: entries.iter(), value: None };
                visitor.visit_enum(de::value::MapAccessDeserializer::new(access))
            }
            _ => Err(de::Error::custom("write one word, or one key with its value")),
        };
        result.map_err(|problem| problem.at(self.place))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf
        unit unit_struct seq tuple map struct identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        name: Spanned<String>,
        #[serde(default)]
        #[expect(dead_code, reason = "only read by serde")]
        count: u8,
    }

    #[test]
    fn values_carry_their_place() {
        let node = Node::parse("# head\nname:   here\n").unwrap();
        let sample: Sample = node.read(&mut Vec::new()).unwrap();
        assert_eq!(sample.name.place, Place { line: 2, column: 9 });
    }

    #[test]
    fn every_problem_is_found_at_its_place() {
        let node = Node::parse("nmae: x\nname: y\ncount: many\nother: 1\n").unwrap();
        let mut problems = Vec::new();
        assert!(node.read::<Sample>(&mut problems).is_none());
        let lines: Vec<u32> = problems.iter().map(|problem| problem.place.line).collect();
        assert_eq!(lines, [1, 3, 4], "{problems:?}");
    }

    ///
    #[test]
    fn strictness() {
        for text in ["a: 1\na: 2\n", "a: [", "a: 1\n---\nb: 2\n"] {
            assert!(Node::parse(text).is_err(), "{text:?}");
        }
        let mut problems = Vec::new();
        #[derive(Debug, serde::Deserialize)]
        struct Flag {
            #[allow(dead_code)]
            on: bool,
        }
        assert!(Node::parse("on: yes").unwrap().read::<Flag>(&mut problems).is_none());
    }
}
