//! GraphQL: every field that a server would run is found, within the limits, beside a second reader
//! of the grammar (specification of October 2021, sections 2.1 and 2.2).

use holdgate::inspect::graphql::{Document, Documents, meaning, read};
use holdgate::message::json;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Reads the bytes as the JSON of a request, or else as a document.
pub fn graphql(data: &[u8]) {
    let request = if data.starts_with(b"{\"") || data.starts_with(b"[") {
        let Ok(request) = json::parse(data) else { return };
        request
    } else {
        let Ok(text) = std::str::from_utf8(data) else { return };
        json!({ "query": text })
    };
    let Ok(document) = read(&request, &Documents::new()) else { return };
    within_limits(&document);
    let requests = request.as_array().cloned().unwrap_or_else(|| vec![request.clone()]);
    let mut expected = Vec::new();
    for request in &requests {
        let text = request["query"].as_str().expect("it carries a document");
        Walk::of(text).roots(&mut expected);
    }
    let found: Vec<Root> = document
        .calls
        .iter()
        .map(|call| Root {
            kind: call.kind,
            field: call.field.clone(),
            below: call.nested.iter().map(|nested| nested.field.clone()).collect(),
        })
        .collect();
    assert_eq!(found, expected, "{request}");
    // Spacing makes no difference, neither to what is found nor to what a grant covers.
    let spaced: Value = requests
        .into_iter()
        .map(|mut request| {
            let text = request["query"].as_str().unwrap_or_default();
            request["query"] = format!("\u{feff},\t{text}\n# spaced\n").into();
            request
        })
        .collect();
    if let Ok(again) = read(&spaced, &Documents::new()) {
        assert_eq!(again.calls.len(), document.calls.len());
        assert_eq!(meaning(&spaced), meaning(&request));
    }
}

fn within_limits(document: &Document) {
    let below: usize = document.calls.iter().map(|call| call.nested.len()).sum();
    assert!(!document.calls.is_empty() && document.calls.len() <= 500);
    assert!(document.calls.len() + below <= 10_000);
    let deepest = document.calls.iter().flat_map(|call| &call.nested).map(|n| n.ancestors.len());
    assert!(deepest.max().unwrap_or_default() <= 101);
}

#[derive(Debug, PartialEq)]
struct Root {
    kind: &'static str,
    field: String,
    below: Vec<String>,
}

enum Selection<'a> {
    Field(&'a str, Vec<Self>),
    Spread(&'a str),
    Inline(Vec<Self>),
}

/// The definitions of an accepted document.
struct Walk<'a> {
    operations: Vec<(&'static str, Vec<Selection<'a>>)>,
    fragments: HashMap<&'a str, Vec<Selection<'a>>>,
}

impl<'a> Walk<'a> {
    fn of(text: &'a str) -> Self {
        let mut tokens = tokens(text);
        tokens.reverse();
        let mut walk = Self { operations: Vec::new(), fragments: HashMap::new() };
        while let Some(token) = tokens.pop() {
            match token {
                "{" => walk.operations.push(("query", selections(&mut tokens))),
                "fragment" => {
                    let name = tokens.pop().expect("a fragment has a name");
                    up_to_set(&mut tokens);
                    walk.fragments.insert(name, selections(&mut tokens));
                }
                kind => {
                    let kinds = ["query", "mutation", "subscription"];
                    let kind = kinds.into_iter().find(|one| *one == kind);
                    let kind = kind.unwrap_or_else(|| panic!("{token:?} begins a definition"));
                    up_to_set(&mut tokens);
                    walk.operations.push((kind, selections(&mut tokens)));
                }
            }
        }
        walk
    }

    fn roots(&self, roots: &mut Vec<Root>) {
        for (kind, set) in &self.operations {
            for (field, inner) in self.flat(set) {
                let mut below = Vec::new();
                self.below(inner, &mut below);
                roots.push(Root { kind, field: field.to_owned(), below });
            }
        }
    }

    fn below(&self, set: &[Selection<'a>], names: &mut Vec<String>) {
        for (field, inner) in self.flat(set) {
            names.push(field.to_owned());
            self.below(inner, names);
        }
    }

    fn flat<'s>(&'s self, set: &'s [Selection<'a>]) -> Vec<(&'a str, &'s [Selection<'a>])> {
        set.iter()
            .flat_map(|selection| match selection {
                Selection::Field(name, inner) => vec![(*name, &**inner)],
                Selection::Inline(inner) => self.flat(inner),
                Selection::Spread(name) => self.flat(&self.fragments[name]),
            })
            .collect()
    }
}

/// What stands in a selection set that is open, to its end.
fn selections<'a>(tokens: &mut Vec<&'a str>) -> Vec<Selection<'a>> {
    let mut set = Vec::new();
    loop {
        match tokens.pop().expect("a set has an end") {
            "}" => break,
            "..." => match tokens.last().copied() {
                Some("on" | "@" | "{") => {
                    up_to_set(tokens);
                    set.push(Selection::Inline(selections(tokens)));
                }
                _ => {
                    set.push(Selection::Spread(tokens.pop().expect("a spread has a name")));
                    directives(tokens);
                }
            },
            mut name => {
                if tokens.last() == Some(&":") {
                    tokens.pop();
                    name = tokens.pop().expect("an alias has a field");
                }
                assert!(name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_'), "{name}");
                arguments(tokens);
                directives(tokens);
                let open = tokens.last() == Some(&"{");
                let inner = if open { tokens.pop().map(|_| selections(tokens)) } else { None };
                set.push(Selection::Field(name, inner.unwrap_or_default()));
            }
        }
    }
    assert!(!set.is_empty(), "a selection set is empty");
    set
}

/// Skips names, variables and directives up to a selection set, and opens it.
fn up_to_set(tokens: &mut Vec<&str>) {
    loop {
        arguments(tokens);
        if tokens.pop().expect("a selection set follows") == "{" {
            return;
        }
    }
}

fn directives(tokens: &mut Vec<&str>) {
    while tokens.last() == Some(&"@") {
        tokens.truncate(tokens.len() - 2);
        arguments(tokens);
    }
}

/// Skips what stands in parentheses; values have braces of their own.
fn arguments(tokens: &mut Vec<&str>) {
    if tokens.last() != Some(&"(") {
        return;
    }
    let mut open = 0;
    loop {
        match tokens.pop().expect("parentheses close") {
            "(" => open += 1,
            ")" => open -= 1,
            _ => {}
        }
        if open == 0 {
            return;
        }
    }
}

fn tokens(text: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_start_matches(['\u{feff}', '\t', ' ', '\n', '\r', ',']);
        let Some(first) = rest.chars().next() else { return tokens };
        let while_in = |rest: &str, more: fn(char) -> bool| {
            rest.find(|c: char| !more(c)).unwrap_or(rest.len())
        };
        let length = match first {
            '#' => {
                rest = &rest[rest.find(['\n', '\r']).unwrap_or(rest.len())..];
                continue;
            }
            '"' => string(rest),
            '.' => 3,
            'a'..='z' | 'A'..='Z' | '_' => {
                while_in(rest, |c| c.is_ascii_alphanumeric() || c == '_')
            }
            '0'..='9' | '-' => while_in(rest, |c| c.is_ascii_alphanumeric() || "+-.".contains(c)),
            '!' | '$' | '&' | '(' | ')' | ':' | '=' | '@' | '[' | ']' | '{' | '|' | '}' => 1,
            other => panic!("{other:?} begins no token"),
        };
        let (token, behind) = rest.split_at(length);
        tokens.push(token);
        rest = behind;
    }
}

/// The length of a string or a block string.
fn string(text: &str) -> usize {
    let bytes = text.as_bytes();
    let block = bytes.starts_with(b"\"\"\"");
    let mut at = if block { 3 } else { 1 };
    loop {
        let rest = bytes.get(at..).filter(|rest| !rest.is_empty()).expect("a string ends");
        if block && rest.starts_with(b"\\\"\"\"") {
            at += 4;
        } else if block && rest.starts_with(b"\"\"\"") {
            return at + 3;
        } else if !block && rest[0] == b'"' {
            return at + 1;
        } else if !block && rest[0] == b'\\' {
            at += 2;
        } else {
            assert!(block || !b"\r\n".contains(&rest[0]), "a string has a line end");
            at += 1;
        }
    }
}
