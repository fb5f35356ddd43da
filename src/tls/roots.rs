//! What upstream certificates are verified against.
//!
//! Takes the policy's roots; returns a client configuration. Refuses to start with none. There is
//! no switch that turns verification off.

use crate::policy::Root;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::path::PathBuf;
use std::sync::Arc;

/// Why there are no roots; the fault is the operator's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A PEM file cannot be read.
    #[error("`proxy.upstream_roots`: {path}: {why}")]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// The system has none.
    #[error(
        "`proxy.upstream_roots: [system]` finds no certificates; install `ca-certificates` or write `bundled`"
    )]
    NoSystem,
    /// The provider refuses the configuration.
    #[error("TLS cannot be configured: {0}")]
    Config(#[from] rustls::Error),
}

/// A configuration that verifies upstreams and offers HTTP/2 and HTTP/1.1.
pub fn client_config(roots: &[Root]) -> Result<Arc<ClientConfig>, Error> {
    let mut store = RootCertStore::empty();
    for root in roots {
        match root {
            Root::System => {
                let found = rustls_native_certs::load_native_certs();
                let (added, _) = store.add_parsable_certificates(found.certs);
                if added == 0 {
                    return Err(Error::NoSystem);
                }
            }
            Root::Bundled => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Root::File(path) => {
                let error = |why: String| Error::File { path: path.clone(), why };
                let certificates = CertificateDer::pem_file_iter(path)
                    .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                    .map_err(|source| error(source.to_string()))?;
                if certificates.is_empty() {
                    return Err(error("it holds no certificate".to_owned()));
                }
                for certificate in certificates {
                    store.add(certificate).map_err(|source| error(source.to_string()))?;
                }
            }
        }
    }
    let mut config = ClientConfig::builder_with_provider(super::provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}
