//! TLS on the agent's side and on the upstream's side.
//!
//! Takes hosts and byte streams; returns configurations and handshaken streams. One provider
//! (aws-lc-rs), TLS 1.2 and 1.3, no early data. The interception authority is never among the
//! roots that upstreams are verified against.

pub mod accept;
pub mod authority;
pub mod constraint;
pub mod leaf;
pub mod roots;

use crate::message::Host;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use rustls_pki_types::pem::PemObject as _;
use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

static PROVIDER: LazyLock<Arc<rustls::crypto::CryptoProvider>> =
    LazyLock::new(|| Arc::new(rustls::crypto::aws_lc_rs::default_provider()));

/// The one cryptography provider.
pub fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    PROVIDER.clone()
}

/// A handshake with ourselves: the first one of a process is slow, and no client should pay for it.
pub async fn warm_up(leaves: &leaf::Leaves) -> io::Result<()> {
    let name = leaves.authority().some_host();
    let host = Host::parse(name).map_err(io::Error::other)?;
    let pem = leaves.authority().pem().as_bytes();
    let mut roots = RootCertStore::empty();
    let certificate =
        rustls_pki_types::CertificateDer::from_pem_slice(pem).map_err(io::Error::other)?;
    roots.add(certificate).map_err(io::Error::other)?;
    let config = ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let (near, far) = tokio::io::duplex(16 << 10);
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let server = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    let accepting = accept::accept(far, &host, Duration::from_secs(5), || leaves.get(&host, false));
    let (accepted, connected) = tokio::join!(accepting, connector.connect(server, near));
    connected?;
    accepted.map(drop).map_err(io::Error::other)
}
