//! Problems as a person reads them: file, line, column, the line itself, and a caret.
//!
//! Takes the policy's text and its problems; returns one printable report. Refuses nothing.

use super::node::Problem;
use std::fmt;

/// Why a policy did not load: every problem, in the order of the file.
#[derive(Debug)]
pub struct Report {
    text: String,
    problems: Vec<Problem>,
}

impl std::error::Error for Report {}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Report {
    /// Renders problems against the text they were found in.
    pub fn new(file: &str, text: &str, word: &str, mut problems: Vec<Problem>) -> Self {
        problems.sort_by_key(|problem| problem.place);
        problems.dedup();
        let out: String =
            problems.iter().map(|problem| render(file, text, word, problem)).collect();
        Self { text: out.trim_end().to_owned(), problems }
    }

    /// A report of the YAML reader's own words, caret included.
    pub fn unreadable(file: &str, message: &str) -> Self {
        // The reader knows neither the file's name nor that there are no options here.
        let message = message
            .replace("--> <input>:", &format!("--> {file}:"))
            .replace(", set DuplicateKeyPolicy in Options if acceptable", "");
        let message = message.strip_prefix("error: ").unwrap_or(&message);
        Self {
            text: format!("error: {file} is not readable YAML: {message}"),
            problems: Vec::new(),
        }
    }

    /// The problems, where they have places.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}

fn render(file: &str, text: &str, word: &str, problem: &Problem) -> String {
    let place = problem.place;
    let head = format!("{word}: {}\n", problem.message);
    if place.line == 0 {
        return format!("{head}  --> {file}\n\n");
    }
    let number = place.line.to_string();
    let margin = " ".repeat(number.len());
    let line = text.lines().nth(place.line as usize - 1).unwrap_or_default();
    let indent = " ".repeat((place.column as usize).saturating_sub(1));
    let position = format!("{margin}--> {file}:{}:{}\n", place.line, place.column);
    format!("{head}{position}{margin} |\n{number} | {line}\n{margin} | {indent}^\n\n")
}
