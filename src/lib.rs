//! Holdgate: an egress forward proxy for AI agents.
//!
//! It opens the agent's TLS, judges each call against the scope an operator declared, refuses
//! credentials that were never issued to the agent, and holds what cannot be undone until a person
//! approves from outside.

pub mod catalog;
pub mod decide;
pub mod fingerprint;
pub mod inspect;
pub mod message;
pub mod policy;
pub mod trajectory;
