//! TLS on both sides: who is believed, what is offered, and what the certificates say.

mod agent;
mod certificates;
mod constrained;
mod leaf;
mod pki;
mod upstream;
