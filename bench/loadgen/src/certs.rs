//! Makes two test authorities (origin side, proxy side), a leaf per origin host (the N test hosts and
//! those of `SERVICES`), and the /etc/hosts lines. All keys are ECDSA P-256.
use crate::Args;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::{fs, path::Path};

/// Names that the origin answers for as well, so that catalogued services can be measured: a real one,
/// and one of a model that only the bench's own catalog knows.
const SERVICES: [&str; 2] = ["backboard.railway.com", "model.bench"];

fn validity(p: &mut CertificateParams) {
    let now = time::OffsetDateTime::now_utc();
    p.not_before = now - time::Duration::days(1);
    p.not_after = now + time::Duration::days(90);
}

fn authority(cn: &str, dir: &Path, stem: &str) -> Issuer<'static, KeyPair> {
    let key = KeyPair::generate().expect("key");
    let mut p = CertificateParams::default();
    p.distinguished_name.push(DnType::CommonName, cn);
    p.distinguished_name.push(DnType::OrganizationName, "bench");
    p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    p.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    validity(&mut p);
    let cert = p.self_signed(&key).expect("self sign");
    let (c, k) = (cert.pem(), key.serialize_pem());
    fs::write(dir.join(format!("{stem}.pem")), &c).unwrap();
    fs::write(dir.join(format!("{stem}.key")), &k).unwrap();
    fs::write(dir.join(format!("{stem}-bundle.pem")), format!("{k}{c}")).unwrap();
    Issuer::new(p, key)
}

pub fn run(args: &Args) {
    let out = Path::new(args.need("out"));
    let hosts: usize = args.num("hosts", 500);
    fs::create_dir_all(out).expect("out dir");
    let origin_ca = authority("bench origin CA", out, "origin-ca");
    authority("bench proxy CA", out, "proxy-ca");

    // One key for every origin leaf: only the names differ.
    let key = KeyPair::generate().expect("key");
    fs::write(out.join("leaf.key"), key.serialize_pem()).unwrap();
    let mut chain = String::new();
    let mut lines = String::new();
    let tests = (1..=hosts).map(|n| format!("origin-{n}.test"));
    for name in tests.chain(SERVICES.map(String::from)) {
        let mut p = CertificateParams::new(vec![name.clone()]).expect("params");
        p.distinguished_name = rcgen::DistinguishedName::new();
        p.distinguished_name.push(DnType::CommonName, name.clone());
        p.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        p.use_authority_key_identifier_extension = true;
        validity(&mut p);
        let cert = p.signed_by(&key, &origin_ca).expect("sign");
        chain.push_str(&cert.pem());
        lines.push_str(&format!("127.0.0.1 {name}\n"));
    }
    // The n-th certificate of leaves.pem is for the name in the n-th line of hosts.
    fs::write(out.join("leaves.pem"), chain).unwrap();
    fs::write(out.join("hosts"), lines).unwrap();
    println!("{} hosts written to {}", hosts, out.display());
}
