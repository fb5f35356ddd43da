//! Holdgate
#![allow(missing_docs)]
pub mod catalog;
pub mod decide;
pub mod explain;
pub mod fingerprint;
pub mod inspect;
pub mod message;
pub mod policy;
pub mod trajectory;
