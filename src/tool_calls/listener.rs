//! The listener of questions: a socket of the file system, or loopback.
//!
//! Takes where the policy puts it; returns a bound listener, and its connections one by one. A socket is
//! its owner's alone before it has its name, and one that somebody serves is not taken from them.

use crate::policy::Listen;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener, UnixStream};

/// A connection of either kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// A bound listener.
#[derive(Debug)]
pub enum Listener {
    /// A socket of the file system; its path is absolute.
    Unix(UnixListener, PathBuf),
    /// An address of loopback.
    Loopback(TcpListener, SocketAddr),
}

impl fmt::Display for Listener {
    /// As clients are told of it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(_, path) => Listen::Unix(path.clone()).fmt(f),
            Self::Loopback(_, address) => Listen::Loopback(*address).fmt(f),
        }
    }
}

impl Listener {
    /// Begins to listen.
    pub async fn bind(listen: &Listen) -> io::Result<Self> {
        match listen {
            Listen::Loopback(address) => {
                let listener = TcpListener::bind(address).await?;
                let address = listener.local_addr()?;
                Ok(Self::Loopback(listener, address))
            }
            Listen::Unix(path) => {
                let path = std::path::absolute(path)?;
                Ok(Self::Unix(unix(&path).await?, path))
            }
        }
    }

    /// The address that the proxy must never dial.
    pub const fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Unix(..) => None,
            Self::Loopback(_, address) => Some(*address),
        }
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<Box<dyn Stream>> {
        match self {
            Self::Unix(listener, _) => Ok(Box::new(listener.accept().await?.0)),
            Self::Loopback(listener, _) => {
                let (stream, _peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok(Box::new(stream))
            }
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self
            && let Err(error) = std::fs::remove_file(&*path)
        {
            tracing::debug!(%error, "the socket of tool calls could not be removed");
        }
    }
}

async fn unix(path: &Path) -> io::Result<UnixListener> {
    match std::fs::symlink_metadata(path) {
        Ok(there) if !there.file_type().is_socket() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "there is a file that is no socket",
            ));
        }
        Ok(_) if UnixStream::connect(path).await.is_ok() => {
            return Err(io::Error::new(io::ErrorKind::AddrInUse, "another process serves it"));
        }
        Ok(_) | Err(_) => {}
    }
    // Nobody may connect between its making and the change of its mode, so it has another name till then.
    let fresh = path.with_extension("new");
    // One that is there was left by a process that was killed in between; a file of anybody's stays.
    if std::fs::symlink_metadata(&fresh).is_ok_and(|there| there.file_type().is_socket()) {
        std::fs::remove_file(&fresh)?;
    }
    let listener = UnixListener::bind(&fresh)?;
    std::fs::set_permissions(&fresh, std::fs::Permissions::from_mode(0o600))?;
    std::fs::rename(&fresh, path)?;
    Ok(listener)
}
