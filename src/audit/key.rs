//! The log's Ed25519 key: made at the first start, kept in a file that nobody else can read.
//!
//! Takes the key's path, returns the pair; refuses a key that others can read, and a new key where
//! there already is a log. Both halves are PEM (`PRIVATE KEY` and `PUBLIC KEY`, as openssl reads them).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};
use zeroize::Zeroizing;

use super::Error;

/// What stands before the 32 bytes of an Ed25519 key in a `SubjectPublicKeyInfo` (RFC 8410).
const PUBLIC_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0];

/// The half that verifies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// A key from its 32 bytes.
    #[must_use]
    pub const fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads the public half that a log left beside its signing key.
    ///
    /// # Errors
    /// When the file cannot be read or holds no Ed25519 key.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let unusable = |why: String| Error::KeyUnusable { path: path.to_owned(), why };
        let pem = fs::read(path).map_err(|error| unusable(error.to_string()))?;
        let der = SubjectPublicKeyInfoDer::from_pem_slice(&pem)
            .map_err(|error| unusable(error.to_string()))?;
        der.strip_prefix(&PUBLIC_PREFIX)
            .and_then(|bytes| bytes.try_into().ok())
            .map(Self)
            .ok_or_else(|| unusable("it is not an Ed25519 public key".to_owned()))
    }

    /// Its 32 bytes.
    #[must_use]
    pub const fn bytes(&self) -> [u8; 32] {
        self.0
    }

    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }

    fn pem(self) -> String {
        pem("PUBLIC KEY", &[PUBLIC_PREFIX.as_slice(), &self.0].concat())
    }
}

/// The half that signs. Has no `Debug`.
pub(super) struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl SigningKey {
    /// Reads the key, or makes it where `may_make`, and sees to the public half beside it.
    pub(super) fn open(path: &Path, may_make: bool) -> Result<Self, Error> {
        let unusable = |error: &dyn ToString| Error::KeyUnusable {
            path: path.to_owned(),
            why: error.to_string(),
        };
        let mode = match fs::metadata(path) {
            Ok(metadata) => metadata.permissions().mode() & 0o7777,
            Err(error) if error.kind() == io::ErrorKind::NotFound && may_make => {
                make(path).map_err(|error| unusable(&error))?;
                0o600
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Error::KeyMissing { path: path.to_owned() });
            }
            Err(error) => return Err(unusable(&error)),
        };
        if mode & 0o077 != 0 {
            return Err(Error::KeyExposed { path: path.to_owned(), mode });
        }
        let key = PrivatePkcs8KeyDer::from_pem_file(path).map_err(|error| unusable(&error))?;
        let pair =
            Ed25519KeyPair::from_pkcs8(key.secret_pkcs8_der()).map_err(|error| unusable(&error))?;
        let mut bytes = [0; 32];
        bytes.copy_from_slice(pair.public_key().as_ref());
        let public = PublicKey(bytes);
        let beside = public_path(path);
        if fs::read(&beside).ok().as_deref() != Some(public.pem().as_bytes()) {
            replace(&beside, public.pem().as_bytes(), 0o644).map_err(|error| unusable(&error))?;
        }
        Ok(Self { pair, public })
    }

    pub(super) const fn public(&self) -> &PublicKey {
        &self.public
    }

    pub(super) fn sign(&self, message: &[u8]) -> io::Result<[u8; 64]> {
        let signature = self.pair.try_sign(message).map_err(io::Error::other)?;
        let mut bytes = [0; 64];
        bytes.copy_from_slice(signature.as_ref());
        Ok(bytes)
    }
}

/// `STATE/audit.key` has its public half in `STATE/audit.pub`.
fn public_path(path: &Path) -> PathBuf {
    path.with_extension("pub")
}

fn make(path: &Path) -> io::Result<()> {
    let pair = Ed25519KeyPair::generate().map_err(io::Error::other)?;
    let der = pair.to_pkcs8v1().map_err(io::Error::other)?;
    let text = Zeroizing::new(pem("PRIVATE KEY", der.as_ref()));
    replace(path, text.as_bytes(), 0o600)
}

/// Puts a whole file in place, or none.
fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let new = path.with_extension("new");
    match fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(&new)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    path.parent().map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n")
}
