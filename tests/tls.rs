//! TLS on both sides: who is believed, what is offered, and what the certificates say.

mod constrained;
