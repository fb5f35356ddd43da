//! What a detector saw.
//!
//! Takes a reason and where it was seen; holds no character of any secret.

use super::Reason;

/// How grave a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth a line in the log.
    Low,
    /// Worth a look.
    Medium,
    /// Worth an answer.
    High,
    /// Worth waking somebody.
    Critical,
}

impl Severity {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
        }
    }
}

/// What a detector saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The reason it speaks for.
    pub reason: Reason,
    /// The slot of the credential it is about.
    pub slot: Option<String>,
    /// Redacted evidence.
    pub evidence: Option<String>,
}

impl Finding {
    /// A finding without a slot.
    pub const fn new(reason: Reason) -> Self {
        Self { reason, slot: None, evidence: None }
    }
}
