//! Holdgate through real sockets: the built binary, real clients, and the project's own mock servers.
//! One module for each kind of behaviour; `support` is what they share.

#![allow(unreachable_pub, reason = "modules of one test binary share what they need")]

mod support;

mod judge;
