//! Holdgate through real sockets: the built binary, real clients, and the project's own mock servers.
//! One module for each kind of behaviour; `support` is what they share.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on fails"
)]

mod support;

mod addresses;
mod approvals;
mod audit;
mod aws;
mod baseline;
mod benign;
mod canary;
mod clients;
mod commands;
mod conversation;
mod corpus;
mod credentials;
mod derived;
mod differential;
mod errors;
mod evasions;
mod exhaustion;
mod git;
mod holds;
mod http2;
mod injection;
mod intercept;
mod inventory;
mod judge;
mod kubernetes;
mod leaks;
mod limits;
mod lookups;
mod mcp;
mod normalization;
mod provenance;
mod reload;
mod run;
mod sequences;
mod serialized;
mod tls;
mod tool_calls;
mod transfer;
mod websocket;
