//! What upstream certificates are verified against.
//!
//! Takes the policy's roots; returns a client configuration. Refuses to start with none. There is
//! no switch that turns verification off, and no variable of the environment that adds a root: only
//! the policy says who is trusted.

use crate::policy::Root;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::path::{Path, PathBuf};
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

/// The bundles of the Linux distributions; the first one that is there counts.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Arch, Gentoo, NixOS
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
    "/etc/pki/tls/certs/ca-bundle.crt",   // older ones
    "/etc/ssl/ca-bundle.pem",             // openSUSE
    "/etc/ssl/cert.pem",                  // Alpine
];

/// Where they keep certificates one by one.
const FOLDERS: &[&str] = &["/etc/ssl/certs", "/etc/pki/tls/certs"];

/// The system's roots, wherever `SSL_CERT_FILE` and `SSL_CERT_DIR` lead: those are set for clients,
/// whose bundle has the interception authority in it.
fn system() -> Vec<CertificateDer<'static>> {
    let there = |paths: &'static [&str]| paths.iter().map(Path::new).filter(|path| path.exists());
    let bundle = there(BUNDLES).next();
    let mut found = rustls_native_certs::load_certs_from_paths(bundle, None).certs;
    for folder in there(FOLDERS) {
        found.extend(rustls_native_certs::load_certs_from_paths(None, Some(folder)).certs);
    }
    found.sort_unstable_by(|left, right| left.as_ref().cmp(right.as_ref()));
    found.dedup();
    found
}

/// A configuration that verifies upstreams and offers HTTP/2 and HTTP/1.1.
pub fn client_config(roots: &[Root]) -> Result<Arc<ClientConfig>, Error> {
    let mut store = RootCertStore::empty();
    for root in roots {
        match root {
            Root::System => {
                let (added, _) = store.add_parsable_certificates(system());
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
