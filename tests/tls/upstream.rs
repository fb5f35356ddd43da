//! Upstreams that speak no TLS of today, or want what they do not get; and whatever the environment
//! of the proxy says of them. Nothing of a request is sent to them.

use super::pki::Authority;
use crate::support::client::{Client, Got};
use crate::support::mock::Options;
use crate::support::origin::{Accepted, Identity, Origin, text};
use crate::support::policy::Edit;
use crate::support::{Gate, Running, until, write_policy};
use rcgen::{CertificateParams, Issuer, KeyPair};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

const RULES: &str = "- allow: GET /**\n- allow: POST /**";

/// The outcome of an answer's request.
fn outcome(gate: &Gate, got: &Got) -> Value {
    let id = got.json()["request_id"].clone();
    until("the outcome", || {
        let of = |record: &Value| record["kind"] == "outcome" && record["request_id"] == id;
        gate.records().into_iter().find(of)
    })
}

/// A refusal for an upstream's sake, with nothing of the inside in it; what the record says.
pub(super) fn refused(gate: &Gate, got: &Got, reason: &str, what: &str) -> String {
    assert_eq!((got.status.as_u16(), &*got.reason()), (502, reason), "{what} {got:?}");
    let error = if reason == "upstream_unverified" {
        "tls_certificate_error"
    } else {
        "destination_unavailable"
    };
    let status = format!("holdgate; error={error}; details=\"{reason}\"");
    assert_eq!(got.headers["proxy-status"], status, "{what}");
    assert!(!String::from_utf8_lossy(&got.body).contains("127.0.0.1"), "{what} {got:?}");
    outcome(gate, got)["detail"].as_str().unwrap().to_owned()
}

pub(super) fn declared(policy: String, host: &str, origin: &Origin, trusted: bool) -> String {
    let policy = origin.declared(policy, host, RULES);
    let listed = format!("\"{}\", ", origin.roots().to_str().unwrap());
    if trusted { policy } else { Edit(policy).replace(&listed, "").0 }
}

/// P-11, P-04: what the upstream answers to a hello, the reason, and what the record says.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_tls_of_today_is_not_spoken() {
    let server_hello = |version: [u8; 2], cipher: [u8; 2]| {
        let mut hello =
            vec![22, version[0], version[1], 0, 42, 2, 0, 0, 38, version[0], version[1]];
        hello.extend([7; 32]);
        hello.extend([0, cipher[0], cipher[1], 0]);
        hello
    };
    let cases = [
        (
            "TLS 1.1",
            server_hello([3, 2], [0, 0x2f]),
            "upstream_unverified",
            "ServerDoesNotSupportTls12Or13",
        ),
        (
            "TLS 1.0",
            server_hello([3, 1], [0, 0x2f]),
            "upstream_unverified",
            "ServerDoesNotSupportTls12Or13",
        ),
        (
            "SSL 3",
            server_hello([3, 0], [0, 0x0a]),
            "upstream_unverified",
            "ServerDoesNotSupportTls12Or13",
        ),
        (
            "TLS 1.2, and a cipher that was not offered",
            server_hello([3, 3], [0, 0x2f]),
            "upstream_unverified",
            "SelectedUnofferedCipherSuite",
        ),
        ("a refusal", vec![21, 3, 3, 0, 2, 2, 70], "upstream_unverified", "ProtocolVersion"),
        ("an end", vec![21, 3, 3, 0, 2, 1, 0], "upstream_unreachable", "took too long"),
        (
            "noise",
            b"\x00\x01\x02\x03\x04\x05\x06\x07\x08".to_vec(),
            "upstream_unverified",
            "InvalidContentType",
        ),
        (
            "HTTP",
            b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec(),
            "upstream_unverified",
            "InvalidContentType",
        ),
        ("silence", Vec::new(), "upstream_unreachable", "took too long"),
    ];
    let host = |number: usize| format!("row{number}.pki.example");
    let mut origins = Vec::new();
    for (_, bytes, ..) in &cases {
        let bytes = bytes.clone();
        let origin = Origin::raw(Identity::plain(), move |mut accepted: Accepted| {
            let bytes = bytes.clone();
            async move {
                let mut hello = [0; 5];
                accepted.stream.read_exact(&mut hello).await.unwrap();
                drop(accepted.stream.write_all(&bytes).await);
                drop(accepted.stream.read_to_end(&mut Vec::new()).await);
            }
        })
        .await;
        origins.push(origin);
    }
    let gate = Gate::with(Options::default(), |policy| {
        let all = origins.iter().enumerate();
        let policy = all.fold(policy, |policy, (number, origin)| {
            declared(policy, &host(number), origin, false)
        });
        Edit(policy).section("limits: { connect: 2s }").0
    })
    .await;
    for (number, (what, _, reason, wanted)) in cases.iter().enumerate() {
        let mut client = Client::open(gate.running(), &host(number), false).await;
        let got = client.post("/", "a secret body").await;
        let said = refused(&gate, &got, reason, what);
        assert!(said.contains(wanted), "{what}: {said}");
        assert_eq!(origins[number].connections(), 1, "{what}");
    }
}

/// P-04.
#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_of_ours_is_no_upstreams() {
    // Whoever has the authority's key is not an upstream for it, whatever the environment lists.
    let host = "own.pki.example";
    let first = Gate::start().await;
    let folder = first.folder.path().join("certs");
    let read = |file: &str| std::fs::read_to_string(folder.join(file)).unwrap();
    let (pem, key) = (read("ca.pem"), KeyPair::from_pem(&read("ca.key")).unwrap());
    let issuer = Issuer::from_ca_cert_pem(&pem, key).unwrap();
    let leaf_key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec![host.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&leaf_key, &issuer).unwrap();
    let origin =
        Origin::http(Identity::of(&leaf, &leaf_key, pem), |_| async { text("reached") }).await;
    let mut gate = first;
    let policy =
        declared(std::fs::read_to_string(gate.policy_path()).unwrap(), host, &origin, false);
    write_policy(gate.folder.path(), &policy);
    gate.kill();
    gate.serve();
    let got = Client::open(gate.running(), host, false).await.get("/").await;
    refused(&gate, &got, "upstream_unverified", host);
    assert_eq!(origin.handshaken(), 0);
}

/// The binary with variables that other programs obey.
fn serve_with(folder: &Path, variables: &[(&str, &str)]) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdgate"));
    command.current_dir(folder).arg("serve").envs(variables.iter().copied());
    Running::of(command).unwrap()
}

/// P-05, A-15, R-14: each names what would be believed or gone through.
#[tokio::test(flavor = "multi_thread")]
async fn no_variable_of_the_environment_weakens_the_way_out() {
    let host = "env.pki.example";
    let root = Authority::root(|_| {});
    let identity = root.leaf(&[host], |_| {}).under(&root);
    let origin = Origin::http(identity, |_| async { text("reached") }).await;
    let relay = Origin::raw(Identity::plain(), |_accepted| async {}).await;
    let mut gate =
        Gate::with(Options::default(), |policy| declared(policy, host, &origin, false)).await;
    gate.kill();
    let folder = gate.folder.path().to_owned();
    let hashed = folder.join("hashed");
    std::fs::create_dir(&hashed).unwrap();
    std::fs::copy(origin.roots(), hashed.join("00000000.0")).unwrap();
    let (file, dir) = (origin.roots(), hashed.to_str().unwrap().to_owned());
    let (file, keys) = (file.to_str().unwrap(), folder.join("keys.log"));
    let relayed = format!("http://{}", relay.address);
    let mut variables = vec![("SSLKEYLOGFILE", keys.to_str().unwrap())];
    for name in [
        "SSL_CERT_FILE",
        "NIX_SSL_CERT_FILE",
        "CURL_CA_BUNDLE",
        "REQUESTS_CA_BUNDLE",
        "NODE_EXTRA_CA_CERTS",
    ] {
        variables.push((name, file));
    }
    variables.push(("SSL_CERT_DIR", &dir));
    variables.extend([
        ("NODE_TLS_REJECT_UNAUTHORIZED", "0"),
        ("PYTHONHTTPSVERIFY", "0"),
        ("GIT_SSL_NO_VERIFY", "1"),
        ("HOLDGATE_INSECURE", "1"),
    ]);
    for name in ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"]
    {
        variables.push((name, &relayed));
    }
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let line = policy.lines().find(|line| line.contains("upstream_roots")).unwrap();
    for (roots, reached) in
        [("system".to_owned(), false), ("bundled".to_owned(), false), (format!("\"{file}\""), true)]
    {
        let roots = format!("  upstream_roots: [{roots}]");
        write_policy(&folder, &Edit(policy.clone()).replace(line, &roots).0);
        gate.process = Some(serve_with(&folder, &variables));
        let got = Client::open(gate.running(), host, false).await.get("/").await;
        if reached {
            assert_eq!((got.status.as_u16(), &*got.body), (200, &b"reached"[..]), "{got:?}");
        } else {
            refused(&gate, &got, "upstream_unverified", &roots);
            assert_eq!(origin.handshaken(), 0, "{roots}");
        }
        gate.kill();
    }
    assert_eq!(relay.connections(), 0);
    assert!(!keys.exists());
}

/// D-12: nothing of it reaches the agent, and nothing of the request the upstream.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_wants_a_client_certificate_gets_none() {
    let host = "mutual.pki.example";
    let root = Authority::root(|_| {});
    let leaf = root.leaf(&[host], |_| {});
    let mut roots = rustls::RootCertStore::empty();
    roots.add(root.der.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let verifier = rustls::server::WebPkiClientVerifier::builder_with_provider(
            Arc::new(roots.clone()),
            provider.clone(),
        );
        let key = rustls::pki_types::PrivatePkcs8KeyDer::from(leaf.key.serialize_der());
        let config = rustls::ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(vec![leaf.der.clone()], key.into())
            .unwrap();
        let identity = Identity::configured(config, root.pem.clone());
        let origin = Origin::http(identity, |_request| async { text("reached") }).await;
        let gate =
            Gate::with(Options::default(), |policy| declared(policy, host, &origin, true)).await;
        let got = Client::open(gate.running(), host, false).await.post("/", "a body").await;
        // In TLS 1.3 a client is done before the server has looked for its certificate.
        let early = version.version == rustls::ProtocolVersion::TLSv1_3;
        let reason = if early { "upstream_unreachable" } else { "upstream_unverified" };
        refused(&gate, &got, reason, "a client certificate is wanted");
        assert_eq!((origin.handshaken(), origin.connections()), (0, 1));
    }
}
