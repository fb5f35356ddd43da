//! The agent's side of an intercepted connection.
//!
//! Takes the bytes of a tunnel and the one host it was opened for; returns a handshaken stream.
//! Refuses bytes that are no `ClientHello`, and a name in it (RFC 6066 SNI) that is not the host.

use crate::message::Host;
use rustls::ServerConfig;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::timeout;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::server::TlsStream;

/// Why a tunnel ended before its first request; the fault is the client's, but for the last.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What came is not TLS.
    #[error("the bytes in the tunnel are not TLS: {0}")]
    NotTls(io::Error),
    /// The `ClientHello` names another host.
    #[error("the TLS client asks for another host than its tunnel was opened for")]
    HostMismatch,
    /// The client did not finish in time.
    #[error("the TLS handshake took longer than {0:?}")]
    Slow(Duration),
    /// The handshake failed; most often the client does not trust the authority.
    #[error(
        "the TLS handshake failed, most often because the client does not trust Holdgate's authority (see `holdgate env`): {0}"
    )]
    Handshake(io::Error),
    /// The leaf could not be made.
    #[error(transparent)]
    Leaf(#[from] super::authority::Error),
}

/// Whether the client speaks HTTP/2 afterwards.
pub fn is_http2<S>(stream: &TlsStream<S>) -> bool {
    stream.get_ref().1.alpn_protocol() == Some(b"h2")
}

/// Handshakes with a client for one host.
pub async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    io: S,
    host: &Host,
    within: Duration,
    config: impl FnOnce() -> Result<Arc<ServerConfig>, super::authority::Error>,
) -> Result<TlsStream<S>, Error> {
    let handshake = async {
        let start = LazyConfigAcceptor::new(rustls::server::Acceptor::default(), io)
            .await
            .map_err(Error::NotTls)?;
        // A client without SNI has named its host in the CONNECT; a different name is a mismatch.
        if let Some(name) = start.client_hello().server_name()
            && Host::parse(name).as_ref() != Ok(host)
        {
            return Err(Error::HostMismatch);
        }
        let config = config()?;
        start.into_stream(config).await.map_err(Error::Handshake)
    };
    timeout(within, handshake).await.map_err(|_elapsed| Error::Slow(within))?
}
