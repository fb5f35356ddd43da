//! TLS on the agent's side and on the upstream's side.
//!
//! Takes hosts and byte streams; returns configurations and handshaken streams. One provider
//! (aws-lc-rs), TLS 1.2 and 1.3, no early data. The interception authority is never among the
//! roots that upstreams are verified against.

pub mod accept;
pub mod authority;
pub mod leaf;
pub mod roots;

use std::sync::{Arc, LazyLock};

static PROVIDER: LazyLock<Arc<rustls::crypto::CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));

/// The one cryptography provider.
pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    PROVIDER.clone()
}
