//! Authorities and certificates of the tests' own, right and wrong.

use crate::support::origin::Identity;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, GeneralSubtree, IsCa, Issuer,
    KeyPair, NameConstraints, SanType,
};
use rustls::pki_types::CertificateDer;
use time::{Duration, OffsetDateTime};

/// An authority of the test's own.
pub(super) struct Authority {
    pub(super) issuer: Issuer<'static, KeyPair>,
    pub(super) der: CertificateDer<'static>,
    pub(super) pem: String,
}

impl Authority {
    pub(super) fn root(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (params, key) = Self::params(change);
        let certificate = params.self_signed(&key).unwrap();
        Self::of(params, key, &certificate)
    }

    pub(super) fn below(parent: &Self, change: impl FnOnce(&mut CertificateParams)) -> Self {
        let (params, key) = Self::params(change);
        let certificate = params.signed_by(&key, &parent.issuer).unwrap();
        Self::of(params, key, &certificate)
    }

    pub(super) fn params(
        change: impl FnOnce(&mut CertificateParams),
    ) -> (CertificateParams, KeyPair) {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name = DistinguishedName::new();
        let name = format!("An authority {}", uuid::Uuid::new_v4());
        params.distinguished_name.push(DnType::CommonName, name);
        change(&mut params);
        (params, KeyPair::generate().unwrap())
    }

    fn of(params: CertificateParams, key: KeyPair, certificate: &rcgen::Certificate) -> Self {
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        Self { issuer: Issuer::new(params, key), der, pem }
    }

    pub(super) fn leaf(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Leaf {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = DistinguishedName::new();
        valid(&mut params, -1, 1);
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let der = params.signed_by(&key, &self.issuer).unwrap().der().clone();
        Leaf { der, key, signers: Vec::new() }
    }
}

pub(super) struct Leaf {
    pub(super) der: CertificateDer<'static>,
    pub(super) key: KeyPair,
    pub(super) signers: Vec<CertificateDer<'static>>,
}

impl Leaf {
    pub(super) fn signed_by(mut self, signers: &[&Authority]) -> Self {
        self.signers = signers.iter().map(|signer| signer.der.clone()).collect();
        self
    }

    pub(super) fn under(self, root: &Authority) -> Identity {
        let chain = [vec![self.der], self.signers].concat();
        Identity::chain(chain, &self.key, root.pem.clone())
    }
}

pub(super) fn valid(params: &mut CertificateParams, from: i64, to: i64) {
    let now = OffsetDateTime::now_utc();
    params.not_before = now + Duration::days(from);
    params.not_after = now + Duration::days(to);
}

pub(super) fn san(name: &str) -> SanType {
    SanType::DnsName(name.try_into().unwrap())
}

pub(super) fn constrained(
    permitted: &[&str],
    excluded: &[&str],
) -> impl FnOnce(&mut CertificateParams) {
    let names = |names: &[&str]| -> Vec<GeneralSubtree> {
        names.iter().map(|name| GeneralSubtree::DnsName((*name).to_owned())).collect()
    };
    let (permitted_subtrees, excluded_subtrees) = (names(permitted), names(excluded));
    |params| {
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees });
    }
}
