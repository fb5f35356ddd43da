//! An authority that may sign for the policy's hosts only, and a policy that has to fit it.

use crate::support::client::{connect, say};
use crate::support::mock::Options;
use crate::support::policy::Edit;
use crate::support::{Gate, Running, openssl, until, write_policy};
use rcgen::{CertificateParams, Issuer, KeyPair};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn constrain(policy: String) -> String {
    Edit(policy).replace("ca:\n", "ca:\n  constrain: true\n").0
}

/// The same with a wildcard and with one more host.
fn with_more(policy: String) -> String {
    let lines = "hosts: [\"*.wild.example\", exact.example]\nrules:\n  - allow: GET /**";
    Edit(policy).resource("more", lines).0
}

async fn gate() -> Gate {
    Gate::with(Options::default(), |policy| with_more(constrain(policy))).await
}

/// What whoever had the key would sign.
fn signed(folder: &Path, name: &str) -> PathBuf {
    let read = |file: &str| std::fs::read_to_string(folder.join("certs").join(file)).unwrap();
    let key = KeyPair::from_pem(&read("ca.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), key).unwrap();
    let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap();
    let path = folder.join("signed.pem");
    std::fs::write(&path, leaf.pem()).unwrap();
    path
}

/// P-02.
#[tokio::test(flavor = "multi_thread")]
async fn it_is_believed_for_declared_hosts_only() {
    let gate = gate().await;
    let ca = gate.running().ca.clone();
    let ca = ca.to_str().unwrap();
    let (_, said) = openssl(&["x509", "-in", ca, "-noout", "-ext", "nameConstraints"]);
    let lines: Vec<&str> = said.lines().map(str::trim).collect();
    let wanted = [
        "X509v3 Name Constraints: critical",
        "Permitted:",
        "DNS:api.anthropic.com",
        "DNS:api.staging.railway.app",
        "DNS:backboard.railway.app",
        "DNS:backboard.railway.com",
        "DNS:docs.railway.com",
        "DNS:exact.example",
        "DNS:wild.example",
        "Excluded:",
        "IP:0.0.0.0/0.0.0.0",
        "IP:0:0:0:0:0:0:0:0/0:0:0:0:0:0:0:0",
    ];
    assert_eq!(lines, wanted);
    let cases = [
        ("docs.railway.com", "OK"),
        ("exact.example", "OK"),
        ("any.wild.example", "OK"),
        ("railway.com", "permitted subtree violation"),
        ("evil.example", "permitted subtree violation"),
        ("xdocs.railway.com", "permitted subtree violation"),
        ("docs.railway.com.evil.example", "permitted subtree violation"),
        ("127.0.0.1", "excluded subtree violation"),
        ("140.82.114.4", "excluded subtree violation"),
        ("2606:4700::1111", "excluded subtree violation"),
    ];
    for (name, wanted) in cases {
        let leaf = signed(gate.folder.path(), name);
        let (good, said) = openssl(&["verify", "-CAfile", ca, leaf.to_str().unwrap()]);
        assert!(said.contains(wanted) && good == (wanted == "OK"), "{name}: {said}");
    }
    let shown = gate.holdgate(&["ca", "show"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("hosts  api.anthropic.com "), "{shown}");
}

/// P-02, Q-06.
#[tokio::test(flavor = "multi_thread")]
async fn an_undeclared_host_is_refused_on_the_connect() {
    let gate = gate().await;
    let proxy = gate.running().proxy;
    for version in ["--http1.1", "--http2"] {
        let answer = gate.curl(&[version, "https://docs.railway.com/"]);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    // What is declared is answered inside TLS, whatever the answer.
    let answer = gate.curl(&["-X", "POST", "https://docs.railway.com/"]);
    assert_eq!((answer.status, &*answer.reason()), (403, "scope_violation"), "{answer:?}");
    let before = gate.mock.connections();
    let undeclared = [
        "evil.example:443",
        "railway.com:443",
        "sub.docs.railway.com:443",
        "wild.example:443",
        "a.b.wild.example:443",
    ];
    for authority in undeclared {
        let request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n\r\n");
        let answer = say(proxy, &request).await;
        assert_eq!((answer.status, &*answer.reason()), (403, "out_of_scope"), "{answer:?}");
        let body: Value = serde_json::from_str(&answer.body).unwrap();
        let id = body["request_id"].as_str().unwrap();
        let record = gate.holdgate(&["audit", "show", id, "--json"]);
        let record: Value = serde_json::from_slice(&record.stdout).unwrap();
        assert_eq!(record["reason"], "out_of_scope", "{record}");
        // what was refused stands in it.
        let asked = format!("{}:{}", record["host"].as_str().unwrap(), record["port"]);
        assert_eq!((record["method"].as_str(), &*asked), (Some("CONNECT"), authority), "{record}");
    }
    // In a tunnel for a declared host nothing changes.
    drop(connect(proxy, "any.wild.example:443").await);
    let answer = gate.curl(&["https://docs.railway.com:8443/"]);
    assert_eq!((answer.status, &*answer.reason()), (403, "out_of_scope"), "{answer:?}");
    assert_eq!(gate.mock.connections(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_authority_that_does_not_fit_the_policy_is_not_used() {
    let mut gate = Gate::start().await;
    let plain = std::fs::read_to_string(gate.policy_path()).unwrap();
    let (ca, key) =
        (gate.folder.path().join("certs/ca.pem"), gate.folder.path().join("certs/ca.key"));
    gate.kill();
    let refused = |policy: &str, wanted: &str| {
        write_policy(gate.folder.path(), policy);
        let said = Running::try_start(gate.folder.path(), &[]).err().expect("it does not start");
        for part in [wanted, ca.to_str().unwrap(), "remove `ca.pem` and `ca.key`"] {
            assert!(said.contains(part), "{part}: {said}");
        }
    };
    let constrained = constrain(plain.clone());
    refused(&constrained, "it may sign for any host");
    std::fs::remove_file(&ca).unwrap();
    std::fs::remove_file(&key).unwrap();
    write_policy(gate.folder.path(), &constrained);
    drop(Running::start(gate.folder.path(), &[]));
    refused(&plain, "it may sign for some hosts only");
    refused(&with_more(constrained.clone()), "it may not sign for `exact.example` and 1 more");
    // Fewer hosts are no reason to make another one.
    let fewer = Edit(constrained)
        .replace("    hosts: [docs.railway.com]\n", "    hosts: [x.docs.railway.com]\n");
    write_policy(gate.folder.path(), &fewer.0);
    drop(Running::start(gate.folder.path(), &[]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_the_authority_does_not_fit_is_not_reloaded() {
    let gate = Gate::with(Options::default(), constrain).await;
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let refused = || gate.running().log().matches("the policy was NOT reloaded").count();
    let unconstrained = Edit(policy.clone()).replace("  constrain: true\n", "").0;
    for (number, other) in [with_more(policy.clone()), unconstrained].into_iter().enumerate() {
        write_policy(gate.folder.path(), &other);
        gate.running().signal("HUP");
        until("a refusal", || (refused() > number).then_some(()));
        let answer = gate.curl(&["https://docs.railway.com/"]);
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    let said = gate.running().log();
    assert!(said.contains("may not sign for `exact.example` and 1 more"), "{said}");
    assert!(said.contains("does not say `ca.constrain: true`"), "{said}");
    let request = "CONNECT exact.example:443 HTTP/1.1\r\nHost: exact.example:443\r\n\r\n";
    assert_eq!(say(gate.running().proxy, request).await.reason(), "out_of_scope");
    write_policy(gate.folder.path(), &policy);
    gate.reload();
}
