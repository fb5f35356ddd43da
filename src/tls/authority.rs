//! The interception authority: made at the first start, kept in a folder, signs leaves.
//!
//! Takes the folder and the hosts it is constrained to, if it is; returns an [`Authority`]. Refuses a
//! key that others can read, a certificate that does not belong to the key or does not fit the
//! hosts, and one that has expired. The key never leaves the process.

use super::constraint;
use crate::fingerprint::hex;
use crate::load;
use aws_lc_rs::digest;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls_pki_types::CertificateDer;
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};
use x509_parser::certificate::X509Certificate;

/// Why there is no authority.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The key's permissions let others read it.
    #[error(
        "{0} can be read by others than its owner; `chmod 600` it, and make a new authority if anybody may have read it (delete both files)"
    )]
    Readable(PathBuf),
    /// The files are not a certificate and its key.
    #[error(
        "{path} is not usable: {why}; delete `ca.pem` and `ca.key` to have a new authority made"
    )]
    Unusable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It may sign for more, or for less, than the policy wants it to.
    #[error("{path}: {why}")]
    Misfit {
        /// The certificate.
        path: PathBuf,
        /// How.
        why: constraint::Misfit,
    },
    /// Signing failed.
    #[error("the certificate could not be made: {0}")]
    Sign(#[from] rcgen::Error),
}

/// The authority that signs leaves.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
    path: PathBuf,
    permitted: Option<Vec<String>>,
}

const DAYS: i64 = 825;

impl Authority {
    /// Reads the authority of a folder, or makes one. Where the policy constrains it, these are the
    /// only hosts that it may sign for.
    pub fn open(folder: &Path, hosts: Option<&[String]>) -> Result<Self, Error> {
        let (certificate, key) = (folder.join("ca.pem"), folder.join("ca.key"));
        if !certificate.exists() || !key.exists() {
            // Two that start at once make one authority.
            let io = |source| Error::Io { path: folder.to_owned(), source };
            load::private_folder(folder).map_err(io)?;
            let locked = fs::File::open(folder).map_err(io)?;
            locked.lock().map_err(io)?;
            if !certificate.exists() && !key.exists() {
                make(&certificate, &key, hosts)?;
            }
        }
        check_private(&key)?;
        let pem = read(&certificate)?;
        let secret = zeroize::Zeroizing::new(read(&key)?);
        let unusable = |path: &Path, why: String| Error::Unusable { path: path.to_owned(), why };
        let pair = KeyPair::from_pem(&secret).map_err(|error| unusable(&key, error.to_string()))?;
        let der = <CertificateDer<'static> as rustls_pki_types::pem::PemObject>::from_pem_slice(
            pem.as_bytes(),
        )
        .map_err(|error| unusable(&certificate, error.to_string()))?;
        let permitted = check_pair(&der, &pair).map_err(|why| unusable(&certificate, why))?;
        let issuer = Issuer::from_ca_cert_der(&der, pair)
            .map_err(|error| unusable(&certificate, error.to_string()))?;
        let authority = Self { issuer, pem, der, path: certificate, permitted };
        authority.fits(hosts)?;
        Ok(authority)
    }

    /// Whether it is constrained as a policy wants it, and to all hosts that the policy declares.
    pub fn fits(&self, hosts: Option<&[String]>) -> Result<(), Error> {
        constraint::check(self.permitted.as_deref(), hosts)
            .map_err(|why| Error::Misfit { path: self.path.clone(), why })
    }

    /// The hosts that it is constrained to, with all below them; nothing where it is not.
    pub fn permitted(&self) -> Option<&[String]> {
        self.permitted.as_deref()
    }

    /// A host that it may sign for.
    pub(super) fn some_host(&self) -> &str {
        self.permitted.iter().flatten().next().map_or("warm-up.invalid", String::as_str)
    }

    /// The certificate as PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// Where the certificate stands.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The certificate's SHA-256 fingerprint.
    pub fn fingerprint(&self) -> String {
        hex(digest::digest(&digest::SHA256, &self.der).as_ref())
    }

    /// When the certificate becomes and ceases to be valid, for people.
    pub fn validity(&self) -> String {
        match x509(&self.der) {
            Ok(certificate) => {
                let validity = certificate.validity();
                let (from, to) = (validity.not_before, validity.not_after);
                format!("{} to {}", from.to_datetime(), to.to_datetime())
            }
            Err(why) => why,
        }
    }

    /// Signs a leaf for exactly one host, valid from an hour ago for thirty days.
    pub(super) fn leaf(&self, host: &str, key: &KeyPair) -> Result<CertificateDer<'static>, Error> {
        let mut params = CertificateParams::new(vec![host.to_owned()])?;
        params.distinguished_name = DistinguishedName::new();
        let now = OffsetDateTime::now_utc();
        params.not_before = now - Duration::hours(1);
        params.not_after = now + Duration::days(30);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.is_ca = IsCa::ExplicitNoCa;
        params.serial_number = Some(serial());
        Ok(params.signed_by(key, &self.issuer)?.der().clone())
    }
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authority").field("path", &self.path).finish_non_exhaustive()
    }
}

fn make(certificate: &Path, key: &Path, hosts: Option<&[String]>) -> Result<(), Error> {
    let mut params = CertificateParams::new(Vec::new())?;
    let mut name = DistinguishedName::new();
    let identity = hex(uuid::Uuid::new_v4().as_bytes().get(..4).unwrap_or_default());
    name.push(DnType::CommonName, format!("Holdgate interception authority {identity}"));
    params.distinguished_name = name;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.name_constraints = hosts.map(constraint::to);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::hours(1);
    params.not_after = now + Duration::days(DAYS);
    params.serial_number = Some(serial());
    let pair = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256)?;
    let pem = params.self_signed(&pair)?.pem();
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Io { path, source }
    };
    load::write_private(key, pair.serialize_pem().as_bytes()).map_err(io(key))?;
    load::write_new(certificate, pem.as_bytes(), 0o644).map_err(io(certificate))
}

fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| Error::Io { path: path.to_owned(), source })
}

fn check_private(key: &Path) -> Result<(), Error> {
    let meta = fs::metadata(key).map_err(|source| Error::Io { path: key.to_owned(), source })?;
    if meta.mode().trailing_zeros() >= 6 { Ok(()) } else { Err(Error::Readable(key.to_owned())) }
}

/// Checks that a certificate is valid and the key's; returns what it is constrained to.
fn check_pair(der: &CertificateDer<'_>, pair: &KeyPair) -> Result<Option<Vec<String>>, String> {
    let certificate = x509(der)?;
    let to = certificate.validity().not_after.to_datetime();
    if *certificate.public_key().subject_public_key.data != *pair.public_key_raw() {
        return Err("the certificate is not that of the key".to_owned());
    }
    if to < OffsetDateTime::now_utc() {
        return Err(format!("it expired on {to}"));
    }
    Ok(constraint::of(&certificate))
}

fn x509<'a>(der: &'a CertificateDer<'_>) -> Result<X509Certificate<'a>, String> {
    use x509_parser::prelude::FromDer as _;
    X509Certificate::from_der(der).map(|(_, read)| read).map_err(|error| error.to_string())
}

fn serial() -> SerialNumber {
    let mut bytes = *uuid::Uuid::new_v4().as_bytes();
    // A serial number is a positive integer of at most twenty octets (RFC 5280 section 4.1.2.2).
    if let Some(first) = bytes.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    SerialNumber::from_slice(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    /// P-01.
    #[test]
    fn made_once_and_refused_when_others_can_read_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let first = Authority::open(folder.path(), None).unwrap().fingerprint();
        assert_eq!(Authority::open(folder.path(), None).unwrap().fingerprint(), first);
        let key = folder.path().join("ca.key");
        assert_eq!(fs::metadata(&key).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(matches!(Authority::open(folder.path(), None), Err(Error::Readable(_))));
    }

    #[test]
    fn its_key_is_not_shown() {
        let folder = tempfile::tempdir().unwrap();
        let authority = Authority::open(folder.path(), None).unwrap();
        let shown = format!("{authority:?}");
        assert!(
            shown.starts_with("Authority { path: ") && shown.ends_with("ca.pem\", .. }"),
            "{shown}"
        );
    }

    #[test]
    fn what_it_was_made_for_is_what_it_is_read_for() {
        let hosts = ["docs.example".to_owned(), "example.com".to_owned()];
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for _ in 0..2 {
            let authority = Authority::open(one.path(), Some(&hosts)).unwrap();
            assert_eq!(authority.permitted(), Some(&hosts[..]));
            assert_eq!(Authority::open(two.path(), None).unwrap().permitted(), None);
        }
        assert!(matches!(Authority::open(one.path(), None), Err(Error::Misfit { .. })));
        let more = [hosts.as_slice(), &["other.example".to_owned()]].concat();
        assert!(matches!(Authority::open(one.path(), Some(&more)), Err(Error::Misfit { .. })));
        assert!(matches!(Authority::open(two.path(), Some(&hosts)), Err(Error::Misfit { .. })));
    }

    #[test]
    fn a_certificate_of_another_key_is_refused() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        Authority::open(one.path(), None).unwrap();
        Authority::open(two.path(), None).unwrap();
        fs::copy(two.path().join("ca.pem"), one.path().join("ca.pem")).unwrap();
        assert!(matches!(Authority::open(one.path(), None), Err(Error::Unusable { .. })));
        fs::write(one.path().join("ca.pem"), "nothing").unwrap();
        assert!(matches!(Authority::open(one.path(), None), Err(Error::Unusable { .. })));
    }
}
