//! Leaves: one certificate a host, minted when it is first asked for.
//!
//! Takes canonical hosts; returns server configurations from a bounded cache. All leaves share one
//! P-256 key, and one ticket key, so that a second connection resumes. Hosts that no resource
//! declares have a small cache of their own, so that they cannot crowd out the declared ones.

use super::authority::{Authority, Error};
use crate::message::Host;
use moka::sync::Cache;
use rcgen::KeyPair;
use rustls::ServerConfig;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::sync::Arc;
use std::time::Duration;

/// Server configurations by host.
pub struct Leaves {
    authority: Arc<Authority>,
    key: KeyPair,
    signing: Arc<dyn rustls::sign::SigningKey>,
    tickets: Arc<dyn rustls::server::ProducesTickets>,
    declared: Cache<Host, Arc<ServerConfig>>,
    undeclared: Cache<Host, Arc<ServerConfig>>,
}

const LIFE: Duration = Duration::from_hours(24);

impl Leaves {
    /// Leaves under an authority.
    pub fn new(authority: Arc<Authority>) -> Result<Self, Error> {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
        let der = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let unusable = |error: rustls::Error| Error::Unusable {
            path: authority.path().to_owned(),
            why: error.to_string(),
        };
        let signing = super::provider().key_provider.load_private_key(der).map_err(unusable)?;
        let tickets = rustls::crypto::aws_lc_rs::Ticketer::new().map_err(unusable)?;
        let cache = |most| Cache::builder().max_capacity(most).time_to_live(LIFE).build();
        let (declared, undeclared) = (cache(10_000), cache(256));
        Ok(Self { authority, key, signing, tickets, declared, undeclared })
    }

    /// The configuration for a host.
    pub fn get(&self, host: &Host, is_declared: bool) -> Result<Arc<ServerConfig>, Error> {
        let cache = if is_declared { &self.declared } else { &self.undeclared };
        if let Some(config) = cache.get(host) {
            return Ok(config);
        }
        let config = self.mint(host)?;
        cache.insert(host.clone(), config.clone());
        Ok(config)
    }

    /// The authority that signs.
    pub const fn authority(&self) -> &Arc<Authority> {
        &self.authority
    }

    fn mint(&self, host: &Host) -> Result<Arc<ServerConfig>, Error> {
        let leaf = self.authority.leaf(host.as_str(), &self.key)?;
        let certified = rustls::sign::CertifiedKey::new(vec![leaf], self.signing.clone());
        let resolver = rustls::sign::SingleCertAndKey::from(certified);
        let mut config = ServerConfig::builder_with_provider(super::provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Unusable {
                path: self.authority.path().to_owned(),
                why: error.to_string(),
            })?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        config.ticketer = self.tickets.clone();
        config.send_tls13_tickets = 1;
        config.max_early_data_size = 0;
        Ok(Arc::new(config))
    }
}

impl std::fmt::Debug for Leaves {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Leaves").field("authority", &self.authority).finish_non_exhaustive()
    }
}
