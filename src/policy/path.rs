//! Path templates, and an index whose look-up does not grow with the number of rules.
//!
//! Takes templates such as `/volumes/{id}` or `/admin/**` and decoded path segments; returns every
//! entry that matches. `{name}` and `*` are exactly one segment, `**` any number, at the end only;
//! `{name}:verb` is one segment with what is done to the thing behind it. Refuses globs inside a
//! segment: what looks like a pattern must be one.

use std::collections::HashMap;

/// One segment of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Exactly this text.
    Literal(Box<str>),
    /// Any one segment, by name.
    Parameter(Box<str>),
    /// Any text by name, with a colon and this word behind it, as in `{model}:predict`.
    Verb(Box<str>, Box<str>),
    /// Any one segment.
    Any,
    /// Any number of segments, also none; only at the end.
    Rest,
}

/// A parsed path template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
    segments: Vec<Segment>,
}

/// Why a rule's text is not a method and a template; the fault is the policy author's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The form is not `METHOD /path`.
    #[error("write a rule as `METHOD /path`, as in `GET /**` or `DELETE /volumes/{{id}}`")]
    Form,
    /// The method is not a token in upper case, or `*`.
    #[error("`{0}` is not a method; write it in upper case, or `*` for any")]
    Method(String),
    /// The path does not start with a slash.
    #[error("a path starts with `/`")]
    Relative,
    /// A segment is part pattern and part text.
    #[error("`{0}` is neither a literal, `{{name}}`, `{{name}}:verb`, `*` nor a final `**`")]
    Segment(String),
    /// A segment that no canonical path can have.
    #[error("`{0}` never matches: paths are matched decoded and without dot segments")]
    Never(String),
}

/// Splits a rule such as `DELETE /volumes/{id}`; no method means any.
pub fn parse_rule(text: &str) -> Result<(Option<http::Method>, Template), Error> {
    let (method, path) = text.trim().split_once(' ').ok_or(Error::Form)?;
    let method = match method {
        "*" => None,
        name if name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') => Some(
            http::Method::from_bytes(name.as_bytes())
                .map_err(|error| Error::Method(format!("{name}: {error}")))?,
        ),
        name => return Err(Error::Method(name.to_owned())),
    };
    Ok((method, Template::parse(path.trim())?))
}

impl Template {
    /// Parses a template.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let path = text.strip_prefix('/').ok_or(Error::Relative)?;
        let mut segments = Vec::new();
        let parts: Vec<&str> = path.split('/').collect();
        for (position, part) in parts.iter().enumerate() {
            let last = position + 1 == parts.len();
            segments.push(match *part {
                "**" if last => Segment::Rest,
                "*" => Segment::Any,
                "." | ".." => return Err(Error::Never((*part).to_owned())),
                "" if !last => return Err(Error::Never("//".to_owned())),
                name if name.starts_with('{') && name.ends_with('}') && name.len() > 2 => {
                    let name = name.trim_start_matches('{').trim_end_matches('}');
                    if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
                        return Err(Error::Segment((*part).to_owned()));
                    }
                    Segment::Parameter(name.into())
                }
                literal if literal.contains(['*', '{', '}']) => {
                    let (name, word) =
                        verb(literal).ok_or_else(|| Error::Segment(literal.to_owned()))?;
                    Segment::Verb(name.into(), word.into())
                }
                literal if literal.contains(['%', '?', '#', '\\', ';']) => {
                    return Err(Error::Never(literal.to_owned()));
                }
                literal => Segment::Literal(literal.into()),
            });
        }
        Ok(Self { text: text.into(), segments })
    }

    /// The template as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its segments in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The names of its parameters in order.
    pub fn parameters(&self) -> impl Iterator<Item = &str> {
        self.segments.iter().filter_map(|segment| match segment {
            Segment::Parameter(name) | Segment::Verb(name, _) => Some(&**name),
            _ => None,
        })
    }

    /// Whether a part of the path is left open by `*` or `**`, so that nobody wrote it out.
    pub fn has_wildcard(&self) -> bool {
        self.segments.iter().any(|segment| matches!(segment, Segment::Any | Segment::Rest))
    }

    /// The text a parameter stands for in a path that matched.
    pub fn capture<'p>(&self, name: &str, path: &[&'p str]) -> Option<&'p str> {
        self.segments.iter().zip(path).find_map(|(segment, text)| match segment {
            Segment::Parameter(known) if **known == *name => Some(*text),
            Segment::Verb(known, word) if **known == *name => {
                Some(text.get(..text.len().checked_sub(word.len() + 1)?)?)
            }
            _ => None,
        })
    }
}

/// The parts of `{name}:verb`.
fn verb(segment: &str) -> Option<(&str, &str)> {
    let (name, word) = segment.strip_prefix('{')?.split_once("}:")?;
    let plain = |text: &str| {
        !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    (plain(name) && plain(word)).then_some((name, word))
}

/// A segment as many servers take it: without white space and invisible characters around it, a dot at
/// its end, and what follows a `#` or `?` that was encoded. No such spelling is a way past a rule
/// that restricts.
pub fn bare(segment: &str) -> &str {
    let unseen = |c: char| {
        c.is_whitespace()
            || c.is_control()
            || matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2064}' | '\u{feff}')
    };
    let cut = segment.split(['#', '?']).next().unwrap_or(segment);
    cut.trim_matches(unseen).trim_end_matches(|c: char| c == '.' || unseen(c))
}

/// The path of a request in the spelling that restricting rules are compared in.
pub fn bare_path<'p>(path: &[&'p str]) -> Vec<&'p str> {
    let mut path: Vec<&str> = path.iter().map(|segment| bare(segment)).collect();
    while path.len() > 1 && path.last().is_some_and(|last| last.is_empty()) {
        path.pop();
    }
    path
}

/// The same for a template: `/admin/` restricts what `/admin` does.
fn without_trailing_slash(segments: &[Segment]) -> &[Segment] {
    let mut segments = segments;
    while let [before @ .., Segment::Literal(last)] = segments {
        if before.is_empty() || !bare(last).is_empty() {
            break;
        }
        segments = before;
    }
    segments
}

/// Entries by path template. A look-up walks the path once and visits only the branches that fit.
#[derive(Debug)]
pub struct Index<T> {
    nodes: Vec<Node>,
    entries: Vec<(Template, T)>,
    fold_case: bool,
}

#[derive(Debug, Default)]
struct Node {
    literals: HashMap<Box<str>, usize>,
    /// By the word behind the last colon.
    verbs: HashMap<Box<str>, usize>,
    any: Option<usize>,
    ends: Vec<usize>,
    rests: Vec<usize>,
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self { nodes: vec![Node::default()], entries: Vec::new(), fold_case: false }
    }
}

impl<T> Index<T> {
    /// An index that compares ASCII letters without case: for rules that restrict.
    pub fn folding_case() -> Self {
        Self { fold_case: true, ..Self::default() }
    }

    /// Adds an entry.
    pub fn insert(&mut self, template: &Template, value: T) {
        let entry = self.entries.len();
        let mut at = 0;
        let mut rest = false;
        let segments = if self.fold_case {
            without_trailing_slash(template.segments())
        } else {
            template.segments()
        };
        for segment in segments {
            at = match segment {
                Segment::Literal(text) => {
                    let key: Box<str> = if self.fold_case {
                        bare(text).to_ascii_lowercase().into()
                    } else {
                        text.clone()
                    };
                    self.child(
                        at,
                        |node| node.literals.get(&key).copied(),
                        |node, new| {
                            node.literals.insert(key.clone(), new);
                        },
                    )
                }
                Segment::Verb(_, word) => {
                    let key: Box<str> = if self.fold_case {
                        word.to_ascii_lowercase().into()
                    } else {
                        word.clone()
                    };
                    self.child(
                        at,
                        |node| node.verbs.get(&key).copied(),
                        |node, new| {
                            node.verbs.insert(key.clone(), new);
                        },
                    )
                }
                Segment::Parameter(_) | Segment::Any => {
                    self.child(at, |node| node.any, |node, new| node.any = Some(new))
                }
                Segment::Rest => {
                    rest = true;
                    break;
                }
            };
        }
        if let Some(node) = self.nodes.get_mut(at) {
            if rest { node.rests.push(entry) } else { node.ends.push(entry) }
        }
        self.entries.push((template.clone(), value));
    }

    fn child(
        &mut self,
        at: usize,
        find: impl Fn(&Node) -> Option<usize>,
        link: impl Fn(&mut Node, usize),
    ) -> usize {
        if let Some(found) = self.nodes.get(at).and_then(find) {
            return found;
        }
        let new = self.nodes.len();
        self.nodes.push(Node::default());
        if let Some(node) = self.nodes.get_mut(at) {
            link(node, new);
        }
        new
    }

    /// Every entry whose template matches the decoded segments.
    pub fn matches<'a>(&'a self, path: &[&str]) -> Vec<&'a (Template, T)> {
        let mut found = Vec::new();
        if !self.entries.is_empty() {
            self.walk(0, path, &mut found);
        }
        found
    }

    fn walk<'a>(&'a self, at: usize, path: &[&str], found: &mut Vec<&'a (Template, T)>) {
        let Some(node) = self.nodes.get(at) else { return };
        found.extend(node.rests.iter().filter_map(|entry| self.entries.get(*entry)));
        let Some((segment, rest)) = path.split_first() else {
            found.extend(node.ends.iter().filter_map(|entry| self.entries.get(*entry)));
            return;
        };
        let literal = if self.fold_case {
            node.literals.get(segment.to_ascii_lowercase().as_str())
        } else {
            node.literals.get(*segment)
        };
        if let Some(next) = literal {
            self.walk(*next, rest, found);
        }
        let verb = segment.rsplit_once(':').filter(|(thing, _)| !thing.is_empty());
        let verb = verb.filter(|_| !node.verbs.is_empty()).and_then(|(_, word)| {
            if self.fold_case {
                node.verbs.get(bare(word).to_ascii_lowercase().as_str())
            } else {
                node.verbs.get(word)
            }
        });
        if let Some(next) = verb {
            self.walk(*next, rest, found);
        }
        if let Some(next) = node.any.filter(|_| !segment.is_empty()) {
            self.walk(next, rest, found);
        }
    }

    /// Every entry whose template matches some spelling of a path in [`bare_path`]'s form: literals are
    /// compared without case, whatever the index was made for.
    pub fn matches_loosely<'a>(&'a self, path: &[&str]) -> Vec<&'a (Template, T)> {
        let mut found = Vec::new();
        let mut open = vec![(0, path)];
        while let Some((at, path)) = open.pop() {
            let Some(node) = self.nodes.get(at) else { continue };
            found.extend(node.rests.iter().filter_map(|entry| self.entries.get(*entry)));
            let Some((segment, rest)) = path.split_first() else {
                found.extend(node.ends.iter().filter_map(|entry| self.entries.get(*entry)));
                continue;
            };
            let literals = node.literals.iter();
            let same = literals.filter(|(literal, _)| literal.eq_ignore_ascii_case(segment));
            open.extend(same.map(|(_, next)| (*next, rest)));
            if let Some((_, word)) = segment.rsplit_once(':').filter(|(thing, _)| !thing.is_empty())
            {
                let verbs = node.verbs.iter();
                let same = verbs.filter(|(verb, _)| verb.eq_ignore_ascii_case(bare(word)));
                open.extend(same.map(|(_, next)| (*next, rest)));
            }
            open.extend(node.any.filter(|_| !segment.is_empty()).map(|next| (next, rest)));
        }
        found
    }

    /// All entries in the order they were added.
    pub fn iter(&self) -> impl Iterator<Item = &(Template, T)> {
        self.entries.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matching(templates: &[&str], path: &str) -> Vec<String> {
        let mut index = Index::default();
        for template in templates {
            index.insert(&Template::parse(template).unwrap(), ());
        }
        let segments: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        index.matches(&segments).iter().map(|(t, ())| t.as_str().to_owned()).collect()
    }

    /// B-09, H-15.
    #[test]
    fn templates_match_whole_paths() {
        let cases: &[(&str, &str, bool)] = &[
            ("/**", "/", true),
            ("/**", "/a/b", true),
            ("/a/**", "/a", true),
            ("/a/**", "/ab", false),
            ("/volumes/{id}", "/volumes/7", true),
            ("/volumes/{id}", "/volumes/", false),
            ("/volumes/{id}", "/volumes/7/x", false),
            ("/repos/*/issues", "/repos/a/b/issues", false),
            ("/a", "/a/", false),
            ("/A", "/a", false),
            ("/models/{m}:predict", "/models/x:predict", true),
            ("/models/{m}:predict", "/models/ns:x:predict", true),
            ("/models/{m}:predict", "/models/x", false),
            ("/models/{m}:predict", "/models/:predict", false),
            ("/models/{m}:predict", "/models/x:Predict", false),
            ("/models/{m}:predict", "/models/x:predict:y", false),
            ("/models/{m}:predict/x", "/models/x:predict/x", true),
        ];
        for (template, path, expected) in cases {
            assert_eq!(!matching(&[template], path).is_empty(), *expected, "{template} {path}");
        }
    }

    #[test]
    fn a_word_behind_a_colon_is_no_part_of_the_name_before_it() {
        let template = Template::parse("/{v}/models/{m}:predict").unwrap();
        let path = ["v1", "models", "ns:x:predict"];
        assert_eq!(template.parameters().collect::<Vec<_>>(), ["v", "m"]);
        assert_eq!(template.capture("m", &path), Some("ns:x"));
        let mut restricting = Index::folding_case();
        restricting.insert(&template, ());
        assert_eq!(restricting.matches(&["v1", "models", "x:PREDICT"]).len(), 1);
    }

    #[test]
    fn all_matching_entries_are_found() {
        let found = matching(&["/**", "/a/{x}", "/a/b", "/c"], "/a/b");
        assert_eq!(found, ["/**", "/a/b", "/a/{x}"]);
    }

    #[test]
    fn other_spellings_match_loosely() {
        let mut index = Index::default();
        for template in ["/a/**", "/a/{x}/Secret", "/c"] {
            index.insert(&Template::parse(template).unwrap(), ());
        }
        for path in [["a", "7", "Secret"], ["A", "7", "secret"]] {
            let mut found: Vec<&str> = index
                .matches_loosely(&path)
                .iter()
                .map(|(template, ())| template.as_str())
                .collect();
            found.sort_unstable();
            assert_eq!(found, ["/a/**", "/a/{x}/Secret"], "{path:?}");
        }
        assert!(index.matches_loosely(&["b"]).is_empty());
    }

    /// What is done to a thing is no less done in other letters, or before a slash.
    #[test]
    fn other_spellings_of_a_word_behind_a_colon_match_loosely() {
        let mut index = Index::default();
        for template in ["/models/**", "/models/{m}:predict"] {
            index.insert(&Template::parse(template).unwrap(), ());
        }
        let restricting = {
            let mut index = Index::folding_case();
            index.insert(&Template::parse("/models/{m}:predict").unwrap(), ());
            index
        };
        for (segments, fits) in [
            (&["models", "x:predict"][..], true),
            (&["models", "x:predict", ""], true),
            (&["Models", "ns:x:Predict"], true),
            (&["models", "x:predict."], true),
            (&["models", "x: predict"], true),
            (&["models", "x:predicts"], false),
            (&["models", ":predict"], false),
            (&["models", "x", "predict"], false),
        ] {
            let bare = bare_path(segments);
            let loose = index.matches_loosely(&bare);
            let verbs =
                loose.iter().filter(|(template, ())| template.as_str().ends_with(":predict"));
            assert_eq!(verbs.count(), usize::from(fits), "{segments:?}");
            assert_eq!(restricting.matches(&bare).len(), usize::from(fits), "{segments:?}");
        }
    }

    /// B-08.
    #[test]
    fn half_patterns_are_refused() {
        for text in [
            "/a*", "/{x}y", "/a/**/b", "a", "/a/../b", "/a%2fb", "/a//b", "/{}", "/{x}:", "/{}:y",
            "/{x}:*", "/{x}:{y}", "/x:{y}", "/{x}:a:b",
        ] {
            assert!(Template::parse(text).is_err(), "{text}");
        }
    }
}
