//! From the tree of a text to its simple commands.
//!
//! Takes nodes of the parser's tree; notes every simple command in them, however deep it stands, with
//! what the text itself assigned by then.

use super::bounds::{Bodies, DEEPEST, each_child};
use super::word::Variants;
use super::{Place, Reader, Simple, Unread, Word};
use rable::{Node, NodeKind as Kind};

/// Where in a script the walk is.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) bodies: &'a Bodies,
    /// The place that a command takes, if it stands within a pipeline.
    pub(super) place: Option<Place>,
    /// Scripts within scripts.
    pub(super) nested: usize,
    /// Nodes within nodes.
    pub(super) deep: usize,
}

impl<'a> At<'a> {
    pub(super) const fn start(bodies: &'a Bodies, nested: usize) -> Self {
        Self { bodies, place: None, nested, deep: 0 }
    }
    pub(super) const fn deeper(self) -> Self {
        Self { deep: self.deep + 1, ..self }
    }
    /// The same for what is no stage of a pipeline around it.
    pub(super) const fn apart(self) -> Self {
        Self { place: None, deep: self.deep + 1, ..self }
    }
}

impl Reader {
    /// Notes what a node runs.
    pub(super) fn walk(&mut self, node: &Node, at: At<'_>) {
        if at.deep > DEEPEST {
            self.unread(Unread::Unparsed);
            return;
        }
        let deeper = at.deeper();
        match &node.kind {
            Kind::Command { assignments, words, redirects } => {
                self.simple(assignments, words, redirects, at);
            }
            Kind::Pipeline { commands, .. } => {
                let first = at.place.unwrap_or_else(|| self.pipeline());
                for (stage, command) in commands.iter().enumerate() {
                    let place = Place { stage: first.stage + stage, ..first };
                    self.walk(command, At { place: Some(place), ..deeper });
                }
            }
            Kind::For { var, words, body, redirects }
            | Kind::Select { var, words, body, redirects } => {
                let of = |node| self.words(node, deeper);
                let values: Vec<Word> = words.iter().flatten().flat_map(of).collect();
                let values = values.into_iter().map(|word| word.text).take(Variants::MOST);
                let values = values.collect();
                self.variables.insert(var.clone(), values);
                self.walk(body, deeper);
                self.redirected(redirects, at);
            }
            Kind::If { redirects, .. }
            | Kind::While { redirects, .. }
            | Kind::Until { redirects, .. }
            | Kind::ForArith { redirects, .. }
            | Kind::Case { redirects, .. }
            | Kind::Subshell { redirects, .. }
            | Kind::BraceGroup { redirects, .. }
            | Kind::ConditionalExpr { redirects, .. } => {
                each_child(node, &mut |child| {
                    if !matches!(child.kind, Kind::Redirect { .. } | Kind::HereDoc { .. }) {
                        self.walk(child, deeper);
                    }
                });
                self.redirected(redirects, at);
            }
            Kind::Word { .. } => {
                self.words(node, deeper);
            }
            Kind::CondTerm { value, .. } => self.substitutions(value, at.nested),
            Kind::ArithmeticCommand { raw_content, .. } => {
                self.substitutions(raw_content, at.nested);
            }
            _ => each_child(node, &mut |child| self.walk(child, deeper)),
        }
    }

    /// What a compound command reads and writes, as a command without words.
    fn redirected(&mut self, redirects: &[Node], at: At<'_>) {
        if !redirects.is_empty() {
            self.simple(&[], &[], redirects, at);
        }
    }

    fn simple(&mut self, assignments: &[Node], words: &[Node], redirects: &[Node], at: At<'_>) {
        let inner = at.apart();
        let mut command = Simple::default();
        for node in assignments {
            let mut values: Vec<(String, Word)> = Vec::new();
            for word in self.words(node, inner) {
                let Some((name, value)) = word.text.split_once('=') else { continue };
                let name = name.trim_end_matches('+').to_owned();
                let value = Word { text: value.to_owned(), ..word.clone() };
                values.push((name, value));
            }
            if let Some((name, _)) = values.first().filter(|_| words.is_empty()) {
                let texts = values.iter().map(|(_, value)| value.text.clone()).collect();
                self.variables.insert(name.clone(), texts);
            }
            command.assignments.extend(values.into_iter().take(1));
        }
        for node in words {
            command.words.extend(self.words(node, inner));
        }
        for redirect in redirects {
            self.redirect(redirect, &mut command, inner);
        }
        command.place = at.place.unwrap_or_else(|| self.pipeline());
        self.run(command, at.nested);
    }

    fn redirect(&mut self, redirect: &Node, command: &mut Simple, at: At<'_>) {
        match &redirect.kind {
            Kind::Redirect { op, target, .. } => {
                let words = self.words(target, at);
                match op.as_str() {
                    "<" | "<>" => command.reads.extend(words),
                    "<<<" => command.input.extend(words.into_iter().map(|word| word.text)),
                    "<&" | ">&" => {}
                    _ => command.writes.extend(words),
                }
            }
            Kind::HereDoc { content, quoted, .. } => {
                let body = at.bodies.of(content);
                if !quoted {
                    self.substitutions(body, at.nested);
                }
                command.input.push(body.to_owned());
            }
            _ => {}
        }
    }

    /// Reads the commands that a text has in `$(…)` and in backticks, where the parser leaves them.
    pub(super) fn substitutions(&mut self, text: &str, nested: usize) {
        let mut rest = text;
        while let Some(at) = rest.find(['`', '$', '\\', '<', '>']) {
            let Some((_, from)) = rest.split_at_checked(at) else { return };
            let opened = from.strip_prefix("$(").or_else(|| from.strip_prefix("<("));
            if let Some(inner) = opened.or_else(|| from.strip_prefix(">(")) {
                let end = closing(inner);
                self.read(inner.get(..end).unwrap_or(inner), nested + 1);
                rest = inner.get(end..).unwrap_or_default();
            } else if let Some(inner) = from.strip_prefix('`') {
                let end = inner.find('`').unwrap_or(inner.len());
                self.read(inner.get(..end).unwrap_or(inner), nested + 1);
                rest = inner.get(end + 1..).unwrap_or_default();
            } else {
                let mut letters = from.chars();
                let is_escape = letters.next() == Some('\\');
                if is_escape {
                    letters.next();
                }
                rest = letters.as_str();
            }
        }
    }
}

/// Where the bracket closes that stands before a text.
fn closing(text: &str) -> usize {
    let mut open = 1_usize;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => open += 1,
            b')' => open -= 1,
            _ => {}
        }
        if open == 0 {
            return at;
        }
    }
    text.len()
}
