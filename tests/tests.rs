//! Holdgate through real sockets: the built binary, real clients, and the project's own mock servers.
//! One module for each kind of behaviour; `support` is what they share.

mod support;

mod judge;
