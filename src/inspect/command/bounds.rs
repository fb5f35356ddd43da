//! The parser, within bounds: what it is given can neither exhaust the stack nor take long.
//!
//! Takes a text and the work that is left; returns its tree, or why there is none: it does not parse, has
//! more openings than the parser is given, or costs more than is left. The parser recurses for what
//! opens, reads what is in substitutions again for each around it, and looks for the end of each brace
//! through the rest of its word; so what could open is counted before, quoted or not: no reading of
//! quotes can be wrong about it. Bodies of here documents are mostly text of other languages: they are
//! taken out before, and the tree has to say of each that it stood in a here document's place, or the
//! text is parsed with them.

use rable::{Node, NodeKind};

/// Bytes for the parser.
const LONGEST: usize = 32 << 10;
/// Brackets that can open something.
const OPENINGS: usize = 40;
/// Words and marks that can open something, which take it less.
const WORDS: usize = 120;
/// Here documents that are taken out.
const BODIES: usize = 64;
/// Here documents without an end that are looked for.
const ENDLESS: usize = 4;
/// What the parser does for a brace in the time that a letter takes it.
const BRACES: usize = 256;
/// How deep a tree is looked into.
pub(super) const DEEPEST: usize = 128;

/// Why there is no tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is no text of a shell.
    Wrong,
    /// It is more than the parser is given.
    Costly,
}

/// A tree, and what was taken out of it.
pub(super) struct Parsed {
    pub(super) nodes: Vec<Node>,
    pub(super) bodies: Bodies,
}

/// Bodies of here documents, in the order of the text.
#[derive(Default)]
pub(super) struct Bodies(Vec<String>);

impl Bodies {
    /// What stood where a here document has this content.
    pub(super) fn of<'a>(&'a self, content: &'a str) -> &'a str {
        place_of(content).and_then(|place| self.0.get(place)).map_or(content, |body| body)
    }
}

/// The line that stands for a body.
fn line(place: usize) -> String {
    format!("body {place} of a here document\n")
}

/// The body that a line stands for.
fn place_of(content: &str) -> Option<usize> {
    let place = content.strip_prefix("body ")?.strip_suffix(" of a here document\n")?;
    place.parse().ok().filter(|number: &usize| number.to_string() == place)
}

/// The tree of a text.
pub(super) fn parse(text: &str, steps: &mut usize) -> Result<Parsed, Refused> {
    if text.contains("<<") {
        let (left, bodies) = without_bodies(text);
        if !bodies.0.is_empty()
            && let Ok(nodes) = within(&left, steps)
        {
            let mut left = bodies.0.len();
            let mut found = vec![false; left];
            for node in &nodes {
                documents(node, &mut found, &mut left, 0);
            }
            if left == 0 {
                return Ok(Parsed { nodes, bodies });
            }
        }
    }
    Ok(Parsed { nodes: within(text, steps)?, bodies: Bodies::default() })
}

fn within(text: &str, steps: &mut usize) -> Result<Vec<Node>, Refused> {
    // The parser ends a text at NUL in places; a shell's text has none.
    if text.contains('\0') {
        return Err(Refused::Wrong);
    }
    if text.len() > LONGEST || openings(text) > OPENINGS || words(text) > WORDS {
        return Err(Refused::Costly);
    }
    *steps = steps.checked_sub(cost(text)).ok_or(Refused::Costly)?;
    rable::parse(text, true).map_err(|_wrong| Refused::Wrong)
}

/// What the parser takes for a text at most, in steps.
fn cost(text: &str) -> usize {
    let many = |part: &str| text.matches(part).count();
    // What is in a substitution is read for itself, for each around it, and for each two around it.
    let around = many("$(") + many("<(") + many(">(");
    let commands = text.bytes().filter(|byte| b"\n;|&".contains(byte)).count();
    let once = text.len() + 8 * commands;
    let read = once.saturating_mul(1 + around + around * around.saturating_sub(1) / 2);
    // A backtick may be read as the beginning of one as well as the end: mostly it is neither, but text.
    let ticks = once.saturating_mul(many("`")) / 8;
    read.saturating_add(ticks).saturating_add(braces(text))
}

/// What it takes to look for the ends of braces: for each through the rest of its word, and at each
/// letter of that through all that is quoted or put in before.
fn braces(text: &str) -> usize {
    if !text.contains('{') {
        return 0;
    }
    // Where nothing but plain quotes stands, what is quoted is passed in one go.
    const OTHERS: &[&str] = &[
        "`", "$(", "${", "$[", "$'", "$\"", "<(", ">(", "@(", "?(", "+(", "!(", "*(", "=(", "<<",
        "[[", "#",
    ];
    let is_simple = !OTHERS.iter().any(|other| text.contains(other));
    let (mut open, mut quoted, mut letters, mut spans) = (0_usize, 0_usize, 0_usize, 0_usize);
    let mut quote = None;
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match (quote, byte) {
            (Some(ends), byte) if byte == ends => quote = None,
            (Some(b'"'), b'\\') => {
                bytes.next();
            }
            (Some(_), b'{') => quoted += 1,
            (Some(_), b'$') => spans += 1,
            (Some(_), _) => {}
            (None, b'\'' | b'"' | b'\\' | b'$' | b'`') => {
                spans += 1;
                if is_simple && byte == b'\\' {
                    bytes.next();
                } else if is_simple && matches!(byte, b'\'' | b'"') {
                    quote = Some(byte);
                }
            }
            (None, b'{') => open += 1,
            (None, _) => letters += 1,
        }
    }
    let through = (open + letters + spans).saturating_mul(spans + 1);
    let all = open.saturating_mul(through).saturating_add((open + quoted).saturating_mul(spans));
    all / BRACES
}

/// How many brackets could open something, were nothing quoted.
fn openings(text: &str) -> usize {
    let bytes = text.as_bytes();
    let opens = |(at, byte): (usize, &u8)| {
        let before = at.checked_sub(1).and_then(|before| bytes.get(before)).copied();
        let after = bytes.get(at + 1).copied();
        match byte {
            // `name(` opens nothing but a function.
            b'(' => {
                !before.is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'.'))
                    || after == Some(b')')
            }
            b'{' => {
                before == Some(b'$') || after.is_none_or(|c| c.is_ascii_whitespace() || c == b'(')
            }
            b'[' => before == Some(b'$'),
            b'\\' => after == Some(b'`'),
            _ => false,
        }
    };
    bytes.iter().enumerate().filter(|one| opens(*one)).count()
}

/// How many words could open something.
fn words(text: &str) -> usize {
    const OPEN: &[&str] = &[
        "if", "elif", "while", "until", "for", "case", "select", "function", "time", "coproc", "!",
    ];
    let is_letter = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '!');
    let words = text.split(|c| !is_letter(c)).filter(|word| OPEN.contains(word)).count();
    words + text.matches("! ").count() + text.matches('`').count() / 8
}

/// The text with a line for the body of each here document that ends.
fn without_bodies(text: &str) -> (String, Bodies) {
    let mut left = String::with_capacity(text.len().min(LONGEST));
    let mut bodies = Bodies::default();
    let mut lines = text.split_inclusive('\n');
    let mut endless = 0;
    while let Some(opening) = lines.next() {
        left.push_str(opening);
        for tag in tags(opening) {
            if endless == ENDLESS {
                break;
            }
            let mut rest = lines.clone();
            let mut body = String::new();
            let mut end = None;
            for one in rest.by_ref() {
                if tag.ends(one) {
                    end = Some(one);
                    break;
                }
                body.push_str(one);
            }
            let Some(end) = end else {
                endless += 1;
                break;
            };
            if bodies.0.len() == BODIES {
                left.extend(lines);
                return (left, bodies);
            }
            left.push_str(&line(bodies.0.len()));
            left.push_str(end);
            bodies.0.push(body);
            lines = rest;
        }
    }
    (left, bodies)
}

/// How many lines a command takes with the here documents that its first line opens.
pub(super) fn lines_of(lines: &[&str]) -> usize {
    let mut taken = 1;
    for tag in lines.first().map(|line| tags(line)).unwrap_or_default().iter().take(ENDLESS) {
        let rest = lines.get(taken..).unwrap_or_default();
        let Some(end) = rest.iter().position(|line| tag.ends(line)) else { break };
        taken += end + 1;
    }
    taken
}

/// Whether a line opens a here document that does not end, were nothing quoted.
pub(super) fn is_open(text: &str) -> bool {
    let lines: Vec<&str> = text.split_inclusive('\n').collect();
    let mut at = 0;
    while let Some(rest) = lines.get(at..).filter(|rest| !rest.is_empty()) {
        let tags = rest.first().map(|line| tags(line).len()).unwrap_or_default();
        let taken = lines_of(rest);
        if taken <= tags {
            return true;
        }
        at += taken;
    }
    false
}

/// What ends a here document.
struct Tag {
    text: String,
    is_indented: bool,
}

impl Tag {
    fn ends(&self, line: &str) -> bool {
        let line = line.strip_suffix('\n').unwrap_or(line);
        let line = if self.is_indented { line.trim_start_matches('\t') } else { line };
        line == self.text
    }
}

/// The ends of the here documents that a line opens, were nothing in it quoted.
fn tags(line: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = line;
    while let Some((_, after)) = rest.split_once("<<") {
        rest = after;
        if after.starts_with('<') {
            rest = after.trim_start_matches('<');
            continue;
        }
        let is_indented = after.starts_with('-');
        let word = after.strip_prefix('-').unwrap_or(after).trim_start_matches([' ', '\t']);
        let (text, left) = if let Some(quote) = word.chars().next().filter(|c| "'\"".contains(*c)) {
            let Some(parts) = word.get(1..).and_then(|word| word.split_once(quote)) else {
                continue;
            };
            parts
        } else {
            let is_end = |c: char| c.is_whitespace() || ";|&<>()".contains(c);
            let end = word.find(is_end).unwrap_or(word.len());
            word.split_at_checked(end).unwrap_or((word, ""))
        };
        rest = left;
        let text: String = text.chars().filter(|c| *c != '\\').collect();
        if !text.is_empty() {
            tags.push(Tag { text, is_indented });
        }
    }
    tags
}

/// Ticks off the here documents that consist of the line of a body.
fn documents(node: &Node, found: &mut [bool], left: &mut usize, depth: usize) {
    if depth > DEEPEST {
        return;
    }
    if let NodeKind::HereDoc { content, complete: true, .. } = &node.kind {
        let place = place_of(content);
        if let Some(found) = place.and_then(|place| found.get_mut(place)).filter(|found| !**found) {
            *found = true;
            *left -= 1;
        }
    }
    each_child(node, &mut |child| documents(child, found, left, depth + 1));
}

/// Tells of everything directly in a node, in the order of the text.
pub(super) fn each_child<'a>(node: &'a Node, tell: &mut dyn FnMut(&'a Node)) {
    use NodeKind as Kind;
    let mut all = |nodes: &'a [Node]| nodes.iter().for_each(&mut *tell);
    match &node.kind {
        Kind::Word { parts, .. } | Kind::ArithConcat { parts } => all(parts),
        Kind::Command { assignments, words, redirects } => {
            all(assignments);
            all(words);
            all(redirects);
        }
        Kind::Pipeline { commands, .. } => all(commands),
        Kind::List { items } => items.iter().for_each(|item| tell(&item.command)),
        Kind::If { condition, then_body, else_body, redirects } => {
            all(redirects);
            tell(condition);
            tell(then_body);
            if let Some(body) = else_body {
                tell(body);
            }
        }
        Kind::While { condition, body, redirects } | Kind::Until { condition, body, redirects } => {
            all(redirects);
            tell(condition);
            tell(body);
        }
        Kind::For { words, body, redirects, .. } | Kind::Select { words, body, redirects, .. } => {
            all(words.as_deref().unwrap_or_default());
            all(redirects);
            tell(body);
        }
        Kind::ForArith { body, redirects, .. }
        | Kind::Subshell { body, redirects }
        | Kind::BraceGroup { body, redirects }
        | Kind::ConditionalExpr { body, redirects } => {
            tell(body);
            redirects.iter().for_each(tell);
        }
        Kind::Case { word, patterns, redirects } => {
            tell(word);
            for pattern in patterns {
                pattern.patterns.iter().for_each(&mut *tell);
                pattern.body.iter().for_each(&mut *tell);
            }
            redirects.iter().for_each(tell);
        }
        Kind::Function { body, .. } => tell(body),
        Kind::Coproc { command, .. }
        | Kind::CommandSubstitution { command, .. }
        | Kind::ProcessSubstitution { command, .. } => tell(command),
        Kind::Redirect { target, .. } => tell(target),
        Kind::ArithmeticExpansion { expression: Some(expression) } => tell(expression),
        Kind::UnaryTest { operand, .. } | Kind::CondNot { operand } => tell(operand),
        Kind::BinaryTest { left, right, .. }
        | Kind::CondAnd { left, right }
        | Kind::CondOr { left, right } => {
            tell(left);
            tell(right);
        }
        Kind::CondParen { inner } => tell(inner),
        Kind::Negation { pipeline } | Kind::Time { pipeline, .. } => tell(pipeline),
        Kind::Array { elements } => all(elements),
        _ => {}
    }
}
