//! What must hold for any bytes: one function for each fuzz target.
//!
//! Each takes bytes and panics where a property does not hold. The targets under `fuzz_targets` call
//! them with what the fuzzer makes up; the ordinary tests replay the committed corpus through them.
//! Where they compare, they compare with a second reading that shares no code with the first.

mod authority;
mod chunked;
mod coding;
mod command;
mod graphql;
mod head;
mod header_block;
mod json;
mod memory;
mod model;
mod multipart;
mod path;
mod policy;
mod secret;
mod sent;
mod serialized;
mod tls_hello;
mod websocket;

pub use authority::authority;
pub use chunked::chunked_body;
pub use coding::coding;
pub use command::command;
pub use graphql::graphql;
pub use head::{Cut, cut, head};
pub use header_block::h2_head;
pub use json::json;
pub use model::model;
pub use multipart::multipart;
pub use path::path;
pub use policy::policy;
pub use secret::secret;
pub use serialized::serialized;
pub use tls_hello::tls_hello;
pub use websocket::websocket;

/// A property over bytes.
pub type Property = fn(&[u8]);

/// Every target by its name.
pub const TARGETS: &[(&str, Property)] = &[
    ("authority", authority),
    ("chunked_body", chunked_body),
    ("coding", coding),
    ("command", command),
    ("graphql", graphql),
    ("h2_head", h2_head),
    ("head", head),
    ("json", json),
    ("model", model),
    ("multipart", multipart),
    ("path", path),
    ("policy", policy),
    ("secret", secret),
    ("serialized", serialized),
    ("tls_hello", tls_hello),
    ("websocket", websocket),
];
