//! Holdgate through real sockets: the built binary, real clients, and the project's own mock servers.
//! One module for each kind of behaviour; `support` is what they share.

#![allow(unreachable_pub, reason = "modules of one test binary share what they need")]
#![allow(
    clippy::default_trait_access,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::needless_pass_by_value,
    clippy::panic,
    clippy::single_match_else,
    clippy::unwrap_used,
    reason = "a test fails by panicking, and its support with it"
)]

mod support;

mod judge;
