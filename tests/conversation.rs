//! What is said between an agent and its model: it is seen, and nothing of it is changed.

mod chain;
mod history;
mod streams;
