//! The part of a card that is about a tool call.
//!
//! Takes what the tool is given and where the agent has been; returns the rows that a person reads.

use super::card::escaped;
use serde::{Deserialize, Serialize};

/// A tool call on a card.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct CardTool {
    /// The tool.
    pub name: String,
    /// What it is given, line by line, without secrets.
    pub input: Vec<String>,
    /// The last stages that its agent went through, oldest first.
    pub so_far: Vec<String>,
}

impl CardTool {
    /// Its rows, each with its name.
    pub(super) fn rows(&self) -> Vec<(&'static str, String)> {
        let mut rows = vec![(
            "tool call",
            format!(
                "{}; an approval is for this call alone and lets no request pass",
                escaped(&self.name)
            ),
        )];
        rows.extend(self.input.iter().map(|line| ("", escaped(line))));
        rows.extend(self.so_far.iter().map(|stage| ("so far", escaped(stage))));
        rows
    }
}
