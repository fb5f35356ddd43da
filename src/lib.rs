//! Holdgate: an egress forward proxy for AI agents.
//!
//! It opens the agent's TLS, judges each call against the scope an operator declared, refuses
//! credentials that were never issued to the agent, and holds what cannot be undone until a person
//! approves from outside.
//!
//! # The life of a request
//!
//! ```text
//! listen -> identify -> tunnel -> intercept -> message -> inspect -> decide -> (hold) -> record -> forward -> inspect response -> record
//! ```
//!
//! The modules stand in that order. The middle (`message`, `inspect`, `catalog`, `policy`,
//! `trajectory`, `baseline`, `provenance`, `decide`) is pure: no clock, no randomness, no input or output. [`proxy`] is the
//! line that all requests take, whatever way they came in.

pub mod admin;
pub mod audit;
pub mod baseline;
pub mod catalog;
pub mod cli;
pub mod conversation;
pub mod decide;
pub mod explain;
pub mod fingerprint;
pub mod forward;
pub mod hold;
pub mod identity;
pub mod inject;
pub mod inspect;
pub mod inventory;
pub mod kit;
pub mod listen;
pub mod load;
pub mod message;
pub mod notify;
pub mod policy;
pub mod provenance;
pub mod proxy;
pub mod record;
pub mod respond;
pub mod restraint;
pub mod session;
pub mod startup;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod tool_calls;
pub mod trajectory;
pub mod tunnel;
