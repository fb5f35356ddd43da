//! How unusual a session is, against a profile of sessions that an operator marked as normal.
//!
//! Takes the steps of sessions (host, effects, kinds of operations); returns a [`Profile`] of counts
//! that a person can read, and for each further step a [`Surprise`] in bits with what made it. Pure:
//! reading the audit log and keeping the profile is the caller's. Refuses profiles beyond its bounds.
//! A surprise turns an allow into a hold where the policy says so; nothing here lowers a verdict.

mod model;
mod profile;
mod record;
mod step;
mod surprise;
mod tally;

pub use model::Model;
pub use profile::{Added, Error, Learned, Profile, name_is_good};
pub use record::{Asked, Reading, operations};
pub use step::{Act, Before, Step};
pub use surprise::{Feature, Part, Subject, Surprise, bits};
pub use tally::Tally;

#[cfg(test)]
mod tests;

/// The folder of profiles in the state folder.
pub const FOLDER: &str = "baselines";

/// The file of a profile, in [`FOLDER`].
pub fn file_name(profile: &str) -> String {
    format!("{profile}.json")
}

/// What a policy says of an agent's baseline.
#[derive(Clone, Debug)]
pub struct Baseline {
    /// The profile's name.
    pub profile: std::sync::Arc<str>,
    /// What was learned.
    pub model: std::sync::Arc<Model>,
    /// From how many thousandths of a bit on a request waits for a person, and where that is written.
    pub raise_at: Option<(u32, crate::policy::Place)>,
}
