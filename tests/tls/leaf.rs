//! What stands in the certificates that agents see, read by the openssl command line.

use crate::support::client::{say, tls, trust};
use crate::support::mock::Options;
use crate::support::policy::Edit;
use crate::support::{Gate, Running, openssl};
use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use time::{Duration, OffsetDateTime};

/// The leaf that is shown for a host, as a file.
async fn leaf(running: &Running, host: &str, folder: &Path) -> PathBuf {
    let authority = format!("{host}:443");
    let stream = tls(running, &authority, host, trust(&running.ca, &[])).await.unwrap();
    let chain = stream.get_ref().1.peer_certificates().unwrap();
    assert_eq!(chain.len(), 1, "the leaf alone is shown");
    let (der, path) = (folder.join("leaf.der"), folder.join("leaf.pem"));
    std::fs::write(&der, &chain[0]).unwrap();
    let (der, pem) = (der.to_str().unwrap(), path.to_str().unwrap());
    let (done, said) = openssl(&["x509", "-inform", "der", "-in", der, "-out", pem]);
    assert!(done, "{said}");
    path
}

/// What follows a line that begins so, without what is around it.
fn under<'t>(text: &'t str, heading: &str) -> &'t str {
    let mut lines = text.lines().skip_while(|line| line.trim() != heading);
    assert!(lines.next().is_some(), "{heading}: {text}");
    lines.next().unwrap().trim()
}

/// `-startdate` or `-enddate`.
fn date(path: &str, which: &str) -> OffsetDateTime {
    let (_, said) = openssl(&["x509", "-in", path, "-noout", which, "-dateopt", "iso_8601"]);
    let text = said.trim().split_once('=').unwrap().1.replace(' ', "T");
    OffsetDateTime::parse(&text, &time::format_description::well_known::Rfc3339).unwrap()
}

/// P-08.
#[tokio::test(flavor = "multi_thread")]
async fn a_leaf_is_for_exactly_one_host_and_not_for_long() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}.long.example", "b".repeat(47));
    let gate = Gate::with(Options::default(), |policy| {
        let lines = format!("hosts: [\"*.wild.example\", {longest}]\nrules:\n  - allow: GET /**");
        Edit(policy).resource("more", &lines).0
    })
    .await;
    let (running, folder) = (gate.running(), gate.folder.path());
    let ca = running.ca.to_str().unwrap();
    let text_of = |path: &str| openssl(&["x509", "-in", path, "-noout", "-text"]).1;
    let authority = under(&text_of(ca), "X509v3 Subject Key Identifier:").to_owned();
    let mut serials = BTreeSet::new();
    // Declared, another one, by a wildcard, longer than a common name may be, declared by
    // nobody, and in other spellings.
    let underscore = "_under.wild.example";
    for host in [
        "docs.railway.com",
        "backboard.railway.com",
        "a.wild.example",
        underscore,
        &longest,
        "nowhere.example",
    ] {
        assert!(host.len() <= 253);
        let path = leaf(running, host, folder).await;
        let path = path.to_str().unwrap();
        let text = text_of(path);
        // The name is the host, and stands nowhere else.
        let names = under(&text, "X509v3 Subject Alternative Name: critical");
        assert_eq!(names, format!("DNS:{host}"));
        assert_eq!(text.matches(host).count(), 1, "{text}");
        assert!(text.contains("        Subject: \n"), "{text}");
        assert_eq!(under(&text, "X509v3 Basic Constraints: critical"), "CA:FALSE");
        assert_eq!(under(&text, "X509v3 Key Usage: critical"), "Digital Signature");
        let usage = under(&text, "X509v3 Extended Key Usage:");
        assert_eq!(usage, "TLS Web Server Authentication");
        assert_eq!(under(&text, "X509v3 Authority Key Identifier:"), authority);
        assert_ne!(under(&text, "X509v3 Subject Key Identifier:"), authority);
        assert!(text.contains("ASN1 OID: prime256v1"), "{text}");
        assert!(text.contains("Signature Algorithm: ecdsa-with-SHA256"), "{text}");
        let (_, serial) = openssl(&["x509", "-in", path, "-noout", "-serial"]);
        let serial = serial.trim().strip_prefix("serial=").unwrap().to_owned();
        assert_eq!(serial.len(), 32, "128 bits: {serial}");
        assert!(serials.insert(serial), "one of its own");
        let (now, from, to) =
            (OffsetDateTime::now_utc(), date(path, "-startdate"), date(path, "-enddate"));
        let skew = now - from;
        assert!(skew > Duration::minutes(30) && skew < Duration::hours(3), "{skew}");
        assert!(to > now + Duration::days(1) && to - from < Duration::days(90), "{to}");
        let verifies = |name: &str| {
            let how = ["verify", "-x509_strict", "-purpose", "sslserver", "-verify_hostname", name];
            openssl(&[&how[..], &["-CAfile", ca, path]].concat())
        };
        // openssl knows no underscore in a name.
        let (good, said) = verifies(host);
        assert!(good || host == underscore, "{host}: {said}");
        for other in ["railway.com", "x.docs.railway.com", "docs.railway.app", "b.wild.example"] {
            assert!(!verifies(other).0, "{host} {other}");
        }
    }
    assert_eq!(gate.mock.bytes_received(), 0);
}

/// P-08: what would be more than a name in a certificate is no host at all.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_but_a_name_gets_into_a_certificate() {
    let gate = Gate::start().await;
    // Without a reason, the parser of heads refuses it.
    let (long, longer) =
        (format!("{}.example", "a".repeat(64)), format!("{}example", "a.".repeat(124)));
    for (host, reason) in [
        ("docs.railway.com,O=evil", "malformed"),
        ("docs.railway.com+CN=evil", "malformed"),
        ("docs.railway.com/CN=evil", ""),
        ("docs.railway.com;DNS:evil.example", ""),
        ("docs.railway.com\0.evil.example", ""),
        ("docs.railway.com\\0.evil.example", ""),
        ("DNS:docs.railway.com", ""),
        ("*.railway.com", "malformed"),
        ("*", "malformed"),
        ("docs.railway.com..", "malformed"),
        (&long, "malformed"),
        (&longer, "malformed"),
    ] {
        let request = format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n");
        let answer = say(gate.running().proxy, &request).await;
        assert_eq!((answer.status, &*answer.reason()), (400, reason), "{host}");
    }
    assert_eq!(gate.mock.bytes_received(), 0);
}

/// P-02.
#[tokio::test(flavor = "multi_thread")]
async fn the_authority_signs_leaves_and_nothing_else() {
    let gate = Gate::start().await;
    let ca = gate.running().ca.to_str().unwrap();
    let (_, text) = openssl(&["x509", "-in", ca, "-noout", "-text"]);
    assert_eq!(under(&text, "X509v3 Basic Constraints: critical"), "CA:TRUE, pathlen:0");
    assert_eq!(under(&text, "X509v3 Key Usage: critical"), "Certificate Sign");
    assert!(!text.contains("Extended Key Usage"), "{text}");
    assert!(!text.contains("Subject Alternative Name"), "{text}");
    assert!(date(ca, "-enddate") - date(ca, "-startdate") < Duration::days(830));
    // One of its own for each installation.
    let other = Gate::start().await;
    let fingerprint = |gate: &Gate| gate.holdgate(&["ca", "show", "--json"]).stdout;
    assert_ne!(fingerprint(&gate), fingerprint(&other));
}

/// P-01; that a key which others can read is refused is in `errors`.
#[tokio::test(flavor = "multi_thread")]
async fn the_authoritys_key_stays_where_it_is() {
    let gate = Gate::start().await;
    let folder = gate.folder.path();
    let mode = |name: &str| std::fs::metadata(folder.join(name)).unwrap().mode() & 0o777;
    assert_eq!((mode("certs/ca.key"), mode("certs/ca.pem")), (0o600, 0o644));
    let key = std::fs::read_to_string(folder.join("certs/ca.key")).unwrap();
    let secret = key.lines().nth(1).unwrap();
    assert_eq!(gate.curl(&["https://docs.railway.com/"]).status, 200);
    let mut said = gate.running().log();
    for command in [&["ca", "export"][..], &["ca", "show"], &["ca", "show", "--json"]] {
        let output = gate.holdgate(command);
        assert!(output.status.success(), "{output:?}");
        said.push_str(&String::from_utf8_lossy(&[output.stdout, output.stderr].concat()));
    }
    assert!(said.contains("BEGIN CERTIFICATE"));
    let mut files = 0;
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("ca.key") {
                said.push_str(&String::from_utf8_lossy(&std::fs::read(path).unwrap()));
                files += 1;
            }
        }
    }
    assert!(files > 5);
    assert!(!said.contains(secret), "the key stands in what is told or kept");
}
