//! The same judgement before a tool runs.
//!
//! Takes questions of agents on a listener of its own: `POST /v1/tool-calls` with a tool and what it is
//! given; answers with a verdict. It can only add facts: an allow here is no permit, and what a person
//! approves here no request can redeem. Refuses who does not prove to be an agent, what a page in a
//! browser could send, and more than its limits allow.

mod answer;
mod ask;
mod call;
mod judge;
mod listener;
mod lobby;
mod reported;
mod served;

pub use answer::{Answer, HoldAnswer};
pub use ask::{Address, Error as AskError, ask};
pub use call::{Call, Malformed, told};
pub use judge::{Judgement, Objection, judge};
pub use listener::Listener;
pub use reported::{Reported, Teller, Told};
pub use served::Server;

/// The path that questions are asked on.
pub const PATH: &str = "/v1/tool-calls";
/// The largest question, in bytes.
pub const LARGEST: usize = 256 << 10;
