//! Reading the policy and the keys it depends on from disk.
//!
//! Takes paths; returns a compiled [`Policy`] and its fingerprint key. Refuses a policy file that
//! somebody else may write, because the agent must not be able to write its own law, and key files
//! that others may read.

use crate::fingerprint::{FingerprintKey, from_hex, hex};
use crate::policy::{self, Policy, Report, Secrets};
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The policy that is used where there is no file.
pub const EMBEDDED: &str = include_str!("../policy.yaml");

/// Why there is no policy; the fault is the operator's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file says what no policy may say.
    #[error("{0}")]
    Policy(#[from] Report),
    /// Somebody else may write it.
    #[error(
        "{0} may be written by others than its owner and root, so an agent could write its own law; `chmod go-w` it"
    )]
    Writable(PathBuf),
    /// A key file is open to others.
    #[error("{0} can be read by others than its owner; `chmod 600` it")]
    Readable(PathBuf),
    /// A key file holds no key.
    #[error(
        "{0} holds no key; restore it, or delete it to have a new one made (fingerprints in policies change with it)"
    )]
    Key(PathBuf),
}

/// Where a policy comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A file.
    File(PathBuf),
    /// The one compiled in; relative paths in it are relative to the current folder.
    Embedded,
}

impl Origin {
    /// The file that was asked for, or `policy.yaml` where there is one, or the embedded policy.
    pub fn find(asked: Option<PathBuf>) -> Self {
        match asked {
            Some(path) => Self::File(path),
            None if Path::new("policy.yaml").exists() => Self::File(PathBuf::from("policy.yaml")),
            None => Self::Embedded,
        }
    }

    /// The text and the name it is reported by.
    pub fn read(&self) -> Result<(String, String), Error> {
        match self {
            Self::Embedded => Ok((EMBEDDED.to_owned(), "policy.yaml".to_owned())),
            Self::File(path) => {
                let text = fs::read_to_string(path)
                    .map_err(|source| Error::Read { path: path.clone(), source })?;
                let name =
                    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
                Ok((text, name))
            }
        }
    }

    /// The folder that relative paths are relative to.
    pub fn base(&self) -> PathBuf {
        match self {
            Self::Embedded => PathBuf::new(),
            Self::File(path) => path.parent().map(Path::to_owned).unwrap_or_default(),
        }
    }

    /// Refuses a file that somebody else may write.
    pub fn check_writers(&self) -> Result<(), Error> {
        let Self::File(path) = self else { return Ok(()) };
        if writable_by_others(path)? {
            return Err(Error::Writable(path.clone()));
        }
        let folder = match path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        // Folders of checkouts are often open to a group; the file itself says who may write the law.
        if writable_by_others(folder)? {
            tracing::warn!(folder = %folder.display(), "others may replace files in the policy's folder, the policy among them");
        }
        Ok(())
    }
}

fn writable_by_others(path: &Path) -> Result<bool, Error> {
    let meta =
        fs::metadata(path).map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let owned = meta.uid() == rustix::process::getuid().as_raw() || meta.uid() == 0;
    let sticky = meta.is_dir() && meta.mode() & 0o1000 != 0;
    // A group of the user's own has the user's number; checkouts under umask 002 are open to it.
    let private = meta.uid() != 0 && meta.gid() == meta.uid();
    let open = if private { 0o002 } else { 0o022 };
    Ok(!owned || (meta.mode() & open != 0 && !sticky))
}

/// Secrets from the process's environment and from files.
#[derive(Debug)]
pub struct FromSystem;

impl Secrets for FromSystem {
    fn variable(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let value = std::env::var_os(name)?;
        let bytes = Zeroizing::new(std::os::unix::ffi::OsStringExt::into_vec(value));
        (!bytes.is_empty()).then_some(bytes)
    }

    fn file(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
        let mut bytes =
            Zeroizing::new(fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?);
        while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
            bytes.pop();
        }
        if bytes.is_empty() { Err(format!("{} is empty", path.display())) } else { Ok(bytes) }
    }

    fn law(&self, path: &Path) -> Result<String, String> {
        if writable_by_others(path).map_err(|error| error.to_string())? {
            return Err(Error::Writable(path.to_owned()).to_string());
        }
        fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
    }

    fn profile(&self, path: &Path) -> Result<Option<String>, String> {
        match fs::symlink_metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            _ => self.law(path).map(Some),
        }
    }
}

/// Loads a policy. Its fingerprint key is read from the state folder, and made there if `make`.
pub fn load(origin: &Origin, make: bool) -> Result<Policy, Error> {
    let (text, name) = origin.read()?;
    // The state folder stands in the policy, and the key that compiles it in the state folder.
    let probe = Arc::new(FingerprintKey::new(b"probe"));
    let base = origin.base();
    let state = policy::state_folder(&text, &base);
    let key = if make || state.join("fingerprint.key").exists() {
        Arc::new(fingerprint_key(&state)?)
    } else {
        probe
    };
    Ok(policy::compile(&text, &name, &base, &FromSystem, &key)?)
}

/// The fingerprint key of a state folder; made at the first start.
pub fn fingerprint_key(state: &Path) -> Result<FingerprintKey, Error> {
    let path = state.join("fingerprint.key");
    let io = |source| Error::Read { path: path.clone(), source };
    if !path.exists() {
        private_folder(state).map_err(io)?;
        // Two that start at once make one key.
        let folder = fs::File::open(state).map_err(io)?;
        folder.lock().map_err(io)?;
        if !path.exists() {
            let mut bytes = [0; 32];
            aws_lc_rs::rand::fill(&mut bytes).map_err(|_unspecified| Error::Key(path.clone()))?;
            write_private(&path, format!("{}\n", hex(&bytes)).as_bytes()).map_err(io)?;
        }
    }
    if fs::metadata(&path).map_err(io)?.mode() & 0o077 != 0 {
        return Err(Error::Readable(path));
    }
    let text = Zeroizing::new(fs::read_to_string(&path).map_err(io)?);
    let bytes = from_hex(text.trim()).ok_or_else(|| Error::Key(path.clone()))?;
    Ok(FingerprintKey::new(&bytes))
}

/// Makes a folder that only its owner enters.
pub fn private_folder(path: &Path) -> std::io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Writes a new file that only its owner reads; it is there with all its bytes or not at all.
pub fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    write_new(path, bytes, 0o600)
}

/// The same with other permissions.
pub fn write_new(path: &Path, bytes: &[u8], mode: u32) -> std::io::Result<()> {
    if path.exists() {
        return Err(std::io::ErrorKind::AlreadyExists.into());
    }
    let fresh = path.with_extension(uuid::Uuid::new_v4().simple().to_string());
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(&fresh)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&fresh, path)
}
