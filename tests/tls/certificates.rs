//! Certificates of upstreams, and why they are not believed.

use super::pki::{Authority, Leaf, constrained, san, valid};
use super::upstream::{declared, refused};
use crate::support::client::Client;
use crate::support::mock::Options;
use crate::support::origin::{Identity, Origin, text};
use crate::support::{Gate, openssl};
use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, CustomExtension, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, KeyPair, NameConstraints, SanType,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// What an upstream shows for a host under a root that is trusted; what the record says of it, or
/// nothing where it is good.
type Shown = (&'static str, fn(&str, &Authority) -> Leaf, Option<&'static str>);

const SHOWN: &[Shown] = &[
    ("right", |host, root| root.leaf(&[host], |_| {}), None),
    ("right, in capitals", |host, root| root.leaf(&[&host.to_uppercase()], |_| {}), None),
    ("right, by a wildcard", |_, root| root.leaf(&["*.pki.example"], |_| {}), None),
    (
        "right, below two authorities",
        |host, root| {
            let one = Authority::below(root, |_| {});
            let two = Authority::below(&one, constrained(&["pki.example"], &["x.pki.example"]));
            two.leaf(&[host], |_| {}).signed_by(&[&two, &one])
        },
        None,
    ),
    ("P-04 expired", |host, root| root.leaf(&[host], |p| valid(p, -9, -1)), Some("expired")),
    (
        "P-04 not yet valid",
        |host, root| root.leaf(&[host], |p| valid(p, 1, 9)),
        Some("not valid yet"),
    ),
    (
        "P-04 another name",
        |_, root| root.leaf(&["other.example"], |_| {}),
        Some("not valid for name"),
    ),
    ("P-04 its parent", |_, root| root.leaf(&["pki.example"], |_| {}), Some("not valid for name")),
    (
        "P-04 a name below it",
        |host, root| root.leaf(&[&format!("x.{host}")], |_| {}),
        Some("not valid for name"),
    ),
    (
        "P-04 a name it begins with",
        |host, root| root.leaf(&[&format!("{host}.evil.example")], |_| {}),
        Some("not valid for name"),
    ),
    (
        "P-04 a name up to a NUL",
        |host, root| {
            let name = format!("{host}\0.evil.example");
            root.leaf(&[], |p| p.subject_alt_names = vec![san(&name)])
        },
        Some("not valid for name"),
    ),
    (
        "P-04 a common name and no other",
        |host, root| root.leaf(&[], |p| p.distinguished_name.push(DnType::CommonName, host)),
        Some("not valid for name"),
    ),
    (
        "P-04 a common name beside another's",
        |host, root| {
            root.leaf(&["other.example"], |p| p.distinguished_name.push(DnType::CommonName, host))
        },
        Some("not valid for name"),
    ),
    (
        "P-04 the address that is dialled",
        |_, root| root.leaf(&["127.0.0.1"], |_| {}),
        Some("not valid for name"),
    ),
    (
        "P-04 a mail address",
        |host, root| {
            let name = SanType::Rfc822Name(format!("root@{host}").as_str().try_into().unwrap());
            root.leaf(&[], |p| p.subject_alt_names = vec![name])
        },
        Some("not valid for name"),
    ),
    (
        "P-04 a wildcard over a top-level domain",
        |_, root| root.leaf(&["*.example"], |_| {}),
        Some("not valid for name"),
    ),
    ("P-04 a wildcard over all", |_, root| root.leaf(&["*"], |_| {}), Some("not valid for name")),
    (
        "P-04 a wildcard of two labels",
        |_, root| root.leaf(&["*.*.example"], |_| {}),
        Some("not valid for name"),
    ),
    (
        "P-04 a part of a label",
        |host, root| root.leaf(&[&format!("r*{}", &host[3..])], |_| {}),
        Some("not valid for name"),
    ),
    (
        "P-04 the first part of a label",
        |_, root| root.leaf(&["row*.pki.example"], |_| {}),
        Some("not valid for name"),
    ),
    (
        "P-04 a wildcard one label up",
        |host, root| root.leaf(&[&format!("*.{host}")], |_| {}),
        Some("not valid for name"),
    ),
    (
        "P-04 for clients only",
        |host, root| {
            root.leaf(&[host], |p| {
                p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            })
        },
        Some("extended key usage"),
    ),
    (
        "P-04 for mail and code",
        |host, root| {
            root.leaf(&[host], |p| {
                p.extended_key_usages = vec![
                    ExtendedKeyUsagePurpose::EmailProtection,
                    ExtendedKeyUsagePurpose::CodeSigning,
                ];
            })
        },
        Some("extended key usage"),
    ),
    (
        "P-04 an authority, not a server",
        |host, root| root.leaf(&[host], |p| p.is_ca = IsCa::Ca(BasicConstraints::Unconstrained)),
        Some("CaUsedAsEndEntity"),
    ),
    (
        "P-04 an extension that nobody knows",
        |host, root| {
            let mut unknown =
                CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
            unknown.set_criticality(true);
            root.leaf(&[host], |p| p.custom_extensions = vec![unknown])
        },
        Some("UnsupportedCriticalExtension"),
    ),
    (
        "P-04 another one's key",
        |host, root| Leaf { key: KeyPair::generate().unwrap(), ..root.leaf(&[host], |_| {}) },
        Some("BadSignature"),
    ),
    (
        "P-04 without those that signed it",
        |host, root| Authority::below(root, |_| {}).leaf(&[host], |_| {}),
        Some("UnknownIssuer"),
    ),
    (
        "P-04 below one that has expired",
        |host, root| {
            let one = Authority::below(root, |p| valid(p, -9, -1));
            one.leaf(&[host], |_| {}).signed_by(&[&one])
        },
        Some("expired"),
    ),
    (
        "P-04 below one that is for clients",
        |host, root| {
            let one = Authority::below(root, |p| {
                p.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            });
            one.leaf(&[host], |_| {}).signed_by(&[&one])
        },
        Some("extended key usage"),
    ),
    (
        "P-04 below one that is no authority",
        |host, root| {
            let one = Authority::below(root, |p| p.is_ca = IsCa::ExplicitNoCa);
            one.leaf(&[host], |_| {}).signed_by(&[&one])
        },
        Some("EndEntityUsedAsCa"),
    ),
    (
        "P-04 below one that may have none below",
        |host, root| {
            let one =
                Authority::below(root, |p| p.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
            let two = Authority::below(&one, |_| {});
            two.leaf(&[host], |_| {}).signed_by(&[&two, &one])
        },
        Some("PathLenConstraintViolated"),
    ),
    (
        "P-07 below one that may sign for others",
        |host, root| {
            let one = Authority::below(root, constrained(&["other.example"], &[]));
            one.leaf(&[host], |_| {}).signed_by(&[&one])
        },
        Some("NameConstraintViolation"),
    ),
    (
        "P-07 below one that may not sign for it",
        |host, root| {
            let one = Authority::below(root, constrained(&[], &["pki.example"]));
            one.leaf(&[host], |_| {}).signed_by(&[&one])
        },
        Some("NameConstraintViolation"),
    ),
    (
        "P-07 a wildcard that reaches what is excluded",
        |_, root| {
            let one = Authority::below(root, constrained(&[], &["x.pki.example"]));
            one.leaf(&["*.pki.example"], |_| {}).signed_by(&[&one])
        },
        Some("NameConstraintViolation"),
    ),
    (
        "P-07 a name beside an excluded address",
        |host, root| {
            let all = GeneralSubtree::IpAddress(CidrSubnet::V4([0; 4], [0; 4]));
            let one = Authority::below(root, |p| {
                let excluded_subtrees = vec![all];
                p.name_constraints =
                    Some(NameConstraints { permitted_subtrees: Vec::new(), excluded_subtrees });
            });
            one.leaf(&[host, "127.0.0.1"], |_| {}).signed_by(&[&one])
        },
        Some("NameConstraintViolation"),
    ),
];

/// P-04, P-07, P-10.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_is_not_right_in_every_way_gets_no_byte_of_the_request() {
    let mut origins = Vec::new();
    for (number, (what, make, _)) in SHOWN.iter().enumerate() {
        let zone = if what.contains("top-level") { "example" } else { "pki.example" };
        let host = format!("row{number}.{zone}");
        let root = Authority::root(|_| {});
        let identity = make(&host, &root).under(&root);
        origins.push((host, Origin::http(identity, |_request| async { text("reached") }).await));
    }
    let gate = Gate::with(Options::default(), |policy| {
        origins.iter().fold(policy, |policy, (host, origin)| declared(policy, host, origin, true))
    })
    .await;
    for ((what, _, wanted), (host, origin)) in SHOWN.iter().zip(&origins) {
        for http2 in [false, true] {
            let mut client = Client::open(gate.running(), host, http2).await;
            let got = client.post("/", "a body").await;
            let Some(wanted) = wanted else {
                assert_eq!((got.status.as_u16(), &*got.body), (200, &b"reached"[..]), "{what}");
                continue;
            };
            let said = refused(&gate, &got, "upstream_unverified", what);
            assert!(said.contains(wanted), "{what}: {said}");
        }
        if wanted.is_some() {
            assert_eq!((origin.handshaken(), origin.connections()), (0, 2), "{what}");
        }
    }
}

/// P-04.
#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_nobody_listed_is_not_believed() {
    let host = |number: usize| format!("row{number}.pki.example");
    // Untrusted, and signed by itself.
    let stranger = Authority::root(|_| {});
    let (params, key) = Authority::params(|p| {
        p.subject_alt_names = vec![san(&host(1))];
        p.is_ca = IsCa::ExplicitNoCa;
    });
    let itself = params.self_signed(&key).unwrap();
    // One that has the name of a trusted one, and another key.
    let named = |p: &mut CertificateParams| {
        p.distinguished_name = DistinguishedName::new();
        p.distinguished_name.push(DnType::CommonName, "A well-known authority");
    };
    let (known, namesake) = (Authority::root(named), Authority::root(named));
    let identities = [
        stranger.leaf(&[&host(0)], |_| {}).signed_by(&[&stranger]).under(&stranger),
        Identity::of(&itself, &key, itself.pem()),
        namesake.leaf(&[&host(2)], |_| {}).signed_by(&[&namesake]).under(&known),
    ];
    let mut origins = Vec::new();
    for identity in identities {
        origins.push(Origin::http(identity, |_request| async { text("reached") }).await);
    }
    let gate = Gate::with(Options::default(), |policy| {
        let all = origins.iter().enumerate();
        all.fold(policy, |policy, (number, origin)| {
            declared(policy, &host(number), origin, number == 2)
        })
    })
    .await;
    for (number, origin) in origins.iter().enumerate() {
        let mut client = Client::open(gate.running(), &host(number), false).await;
        let got = client.post("/", "a body").await;
        let said = refused(&gate, &got, "upstream_unverified", &host(number));
        assert!(
            said.contains("UnknownIssuer") || said.contains("BadSignature"),
            "{number}: {said}"
        );
        assert_eq!(origin.handshaken(), 0, "{number}");
    }
}

/// P-04: what only the openssl command line still signs.
#[tokio::test(flavor = "multi_thread")]
async fn a_weak_signature_is_none() {
    let host = "weak.pki.example";
    let curve = ["ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];
    let rsa = |bits: &'static str| vec![bits];
    let cases = [
        ("right", curve.to_vec(), "-sha256", true),
        ("SHA-1", curve.to_vec(), "-sha1", false),
        ("RSA of 1024 bits", rsa("rsa:1024"), "-sha256", false),
        ("RSA and MD5", rsa("rsa:2048"), "-md5", false),
    ];
    for (what, key, digest, good) in cases {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        std::fs::write(path("leaf.ext"), format!("subjectAltName=DNS:{host}\n")).unwrap();
        let run = |arguments: &[&str], more: &[&str]| {
            let (done, said) = openssl(&[arguments, more].concat());
            assert!(done, "{what}: {said}");
        };
        let new = ["req", "-new", "-nodes", "-subj", "/CN=An authority", "-keyout"];
        run(
            &new,
            &[&[&*path("ca.key"), "-x509", "-out", &path("ca.pem"), "-newkey"], &*key].concat(),
        );
        run(
            &new,
            &[&[&*path("leaf.key"), "-out", &path("leaf.csr"), "-newkey"], &curve[..]].concat(),
        );
        let (ca, ca_key, request) = (path("ca.pem"), path("ca.key"), path("leaf.csr"));
        let sign = ["x509", "-req", "-days", "1", "-in", &request, "-CA", &ca, "-CAkey", &ca_key];
        run(&sign, &[digest, "-extfile", &path("leaf.ext"), "-out", &path("leaf.pem")]);
        let read = |name: &str| std::fs::read_to_string(path(name)).unwrap();
        let leaf = CertificateDer::from_pem_slice(read("leaf.pem").as_bytes()).unwrap();
        let key = KeyPair::from_pem(&read("leaf.key")).unwrap();
        let identity = Identity::chain(vec![leaf], &key, read("ca.pem"));
        let origin = Origin::http(identity, |_| async { text("reached") }).await;
        let gate =
            Gate::with(Options::default(), |policy| declared(policy, host, &origin, true)).await;
        let got = Client::open(gate.running(), host, false).await.post("/", "a body").await;
        if good {
            assert_eq!(got.status, 200, "{what} {got:?}");
        } else {
            refused(&gate, &got, "upstream_unverified", what);
            assert_eq!(origin.handshaken(), 0, "{what}");
        }
    }
}
