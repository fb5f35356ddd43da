//! Bad input gets a clear error and loses nothing: policies, keys, ports, folders, disks, upstreams.

mod ends;

use crate::support::client::{Client, empty, full};
use crate::support::mock::{Options, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::origin::{Accepted, Identity, Origin, text};
use crate::support::policy::Edit;
use crate::support::{Gate, PATIENCE, Running, holdgate, until, write_policy};
use rcgen::{CertificateParams, DnType, KeyPair};
use rustix::process::{Pid, Resource, Rlimit, prlimit};
use serde_json::Value;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Instant;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::{Notify, mpsc};

const HOST: &str = "origin.example";

/// Runs a command that has to end by itself; its exit code and what it said.
fn fails(folder: &Path, arguments: &[&str]) -> (i32, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_holdgate"))
        .current_dir(folder)
        .args(arguments)
        .env_remove("HOLDGATE_POLICY")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + PATIENCE;
    while child.try_wait().unwrap().is_none() {
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("{arguments:?} did not end: {:?}", child.wait_with_output());
        }
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    assert!(output.stdout.is_empty(), "{output:?}");
    (output.status.code().unwrap(), String::from_utf8(output.stderr).unwrap())
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

// ----- before it starts -----

///
#[test]
fn every_error_of_a_policy_is_told_at_once_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let policy = "\
version: 1
proxy:
  listen: 127.0.0.1:0
  listne: 127.0.0.1:1
agents:
  fixer:
    resources: [docs, nowhere]
resources:
  docs:
    hosts: [\"*docs.example\", 10.0.0.1]
    rules:
      - allow: FETCH
      - {}
  empty:
    hosts: []
    rules: []
holds: { wait: soon }
";
    write_policy(folder.path(), policy);
    let places = [
        ("4:3", "listne"),
        ("7:23", "there is no resource `nowhere`"),
        ("10:13", "`*docs.example`"),
        ("10:30", "`10.0.0.1`"),
        ("12:9", "METHOD /path"),
        ("13:9", "exactly one of"),
        ("14:3", "`empty` has no `hosts`"),
        ("14:3", "`empty` has no `rules`"),
        ("17:16", "`soon` is not a duration"),
    ];
    for arguments in [["serve"].as_slice(), &["policy", "check"], &["policy", "test"], &["env"]] {
        let (code, said) = fails(folder.path(), arguments);
        assert_eq!(code, 2, "{arguments:?} {said}");
        for (place, message) in places {
            let block = said.split("\n\n").find(|block| block.contains(message));
            let block = block.unwrap_or_else(|| panic!("{message}: {said}"));
            assert!(block.contains(&format!("--> policy.yaml:{place}\n")), "{place}: {said}");
            // The line as written, and a caret under the column.
            let (line, column) = place.split_once(':').unwrap();
            let (line, column): (usize, usize) = (line.parse().unwrap(), column.parse().unwrap());
            let written = policy.lines().nth(line - 1).unwrap();
            assert!(block.contains(&format!("{line} | {written}\n")), "{block}");
            let caret = block.lines().last().unwrap().split_once("| ").unwrap().1;
            assert_eq!(caret.find('^'), Some(column - 1), "{block}");
        }
        assert_eq!(said.matches("error: ").count(), places.len(), "each once: {said}");
    }
}

///
#[test]
fn what_is_no_policy_is_refused_with_its_place() {
    let cases = [
        ("version: 1\nagents: [\n", "policy.yaml:2:9"),
        ("version: 1\nversion: 1\n", "policy.yaml:2:1"),
        (
            "version: 1\nagents: { a: { resources: [x] }, a: { resources: [x] } }\n",
            "policy.yaml:2:",
        ),
        ("version: 2\n", "policy.yaml:1:10"),
        ("version: 1\nrules: []\n", "policy.yaml:2:1"),
        ("just text\n", "policy.yaml:1:1"),
        ("", "policy.yaml:1:1"),
        ("version: 1\n", "agents"),
        ("version: 1\nagents: { a: { resources: [x], inject: true } }\n", "policy.yaml:2:"),
    ];
    for (policy, wanted) in cases {
        let folder = tempfile::tempdir().unwrap();
        write_policy(folder.path(), policy);
        let (code, said) = fails(folder.path(), &["serve"]);
        assert_eq!(code, 2, "{policy}\n{said}");
        assert!(said.contains(wanted), "{policy}\n{said}");
        for inside in ["<input>", "DuplicateKeyPolicy", "panicked"] {
            assert!(!said.contains(inside), "{policy}\n{said}");
        }
    }
}

#[test]
fn arguments_that_cannot_be_used_end_with_two() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [(&[&str], &str); 5] = [
        (&["--policy", "none.yaml", "serve"], "none.yaml"),
        (&["--policy", ".", "serve"], "directory"),
        (&["serve", "--nonsense"], "--nonsense"),
        (&["served"], "served"),
        (&["serve", "--watch"], "--watch needs a policy file"),
    ];
    for (arguments, wanted) in cases {
        let (code, said) = fails(folder.path(), arguments);
        assert_eq!(code, 2, "{arguments:?} {said}");
        assert!(said.contains(wanted), "{arguments:?} {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_that_others_may_write_is_refused() {
    let mut gate = Gate::start().await;
    gate.kill();
    let path = gate.policy_path();
    for mode in [0o666, 0o664, 0o646] {
        set_mode(&path, mode);
        let (code, said) = fails(gate.folder.path(), &["serve"]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("policy.yaml may be written by others"), "{said}");
        assert!(said.contains("chmod go-w"), "{said}");
    }
    set_mode(&path, 0o644);
    if rustix::process::getuid().is_root() {
        std::os::unix::fs::chown(&path, Some(12345), None).unwrap();
        assert_eq!(fails(gate.folder.path(), &["serve"]).0, 2);
        std::os::unix::fs::chown(&path, Some(0), None).unwrap();
    }
    gate.serve();
    assert_eq!(gate.curl(&["https://docs.railway.com/"]).status, 200);
}

/// P-01.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_others_may_read_are_refused() {
    let mut gate = Gate::start().await;
    gate.kill();
    for (file, mode, code) in [
        ("certs/ca.key", 0o644, 1),
        ("certs/ca.key", 0o640, 1),
        ("state/fingerprint.key", 0o644, 1),
        ("state/audit.key", 0o644, 1),
    ] {
        let path = gate.folder.path().join(file);
        set_mode(&path, mode);
        let (ended, said) = fails(gate.folder.path(), &["serve"]);
        assert_eq!(ended, code, "{file} {said}");
        let name = Path::new(file).file_name().unwrap().to_str().unwrap();
        assert!(said.contains(name) && said.contains("chmod 600"), "{file} {said}");
        set_mode(&path, 0o600);
    }
    let key = gate.folder.path().join("certs/ca.key");
    let good = std::fs::read(&key).unwrap();
    std::fs::write(&key, "-----BEGIN PRIVATE KEY-----\nnothing\n-----END PRIVATE KEY-----\n")
        .unwrap();
    let (code, said) = fails(gate.folder.path(), &["serve"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("ca.key is not usable"), "{said}");
    std::fs::write(&key, good).unwrap();
    gate.serve();
    assert_eq!(gate.curl(&["https://docs.railway.com/"]).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_and_a_folder_in_use_are_told() {
    let mut gate = Gate::start().await;
    // A second process on the folder ends; the first one goes on.
    let (code, said) = fails(gate.folder.path(), &["serve"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("one process per folder"), "{said}");
    assert_eq!(gate.curl(&["https://docs.railway.com/"]).status, 200);
    gate.kill();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    for section in ["proxy", "approvals"] {
        let free = format!("{section}:\n  listen: 127.0.0.1:0\n");
        let used = format!("{section}:\n  listen: {address}\n");
        write_policy(gate.folder.path(), &Edit(policy.clone()).replace(&free, &used).0);
        let (code, said) = fails(gate.folder.path(), &["serve"]);
        assert_eq!(code, 1, "{said}");
        assert!(said.contains(&format!("cannot listen on {address}")), "{said}");
        assert!(said.contains("another Holdgate"), "{said}");
    }
    // Nothing was left half done.
    write_policy(gate.folder.path(), &policy);
    gate.serve();
    assert_eq!(gate.curl(&["https://docs.railway.com/"]).status, 200);
    assert!(gate.holdgate(&["audit", "verify"]).status.success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_written_is_told() {
    let mut gate = Gate::start().await;
    gate.kill();
    // A file in the folder's place stops root as well.
    for folder in ["state", "certs"] {
        let (path, aside) = (gate.folder.path().join(folder), gate.folder.path().join("aside"));
        std::fs::rename(&path, &aside).unwrap();
        std::fs::write(&path, "in the way").unwrap();
        let (code, said) = fails(gate.folder.path(), &["serve"]);
        assert!(code == 1 || code == 2, "{said}");
        assert!(said.contains(path.to_str().unwrap()), "{said}");
        assert_eq!(std::fs::read(&path).unwrap(), b"in the way");
        std::fs::remove_file(&path).unwrap();
        std::fs::rename(&aside, &path).unwrap();
    }
    gate.serve();
    assert_eq!(gate.curl(&["https://docs.railway.com/"]).status, 200);
}

/// C-23, C-27.
#[test]
fn a_name_is_not_led_to_the_proxy_itself() {
    let folder = tempfile::tempdir().unwrap();
    let policy = |to: &str| {
        format!(
            "version: 1\nproxy:\n  listen: 127.0.0.1:3128\n  resolve: {{ \"docs.example:443\": \"{to}\" }}\n\
             approvals: {{ listen: 127.0.0.1:3129 }}\nagents: {{ a: {{ resources: [docs] }} }}\n\
             resources: {{ docs: {{ hosts: [docs.example], rules: [allow: GET /**] }} }}\n"
        )
    };
    for own in ["127.0.0.1:3128", "127.0.0.1:3129"] {
        write_policy(folder.path(), &policy(own));
        let (code, said) = fails(folder.path(), &["serve"]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(&format!("`{own}` is the proxy's own listener")), "{said}");
    }
    write_policy(folder.path(), &policy("127.0.0.1:3130"));
    let output = holdgate(folder.path(), &["policy", "check"]);
    assert!(output.status.success(), "{output:?}");
    for network in ["0.0.0.0/0", "::/0"] {
        let private = format!("  listen: 127.0.0.1:3128\n  allow_private: [\"{network}\"]\n");
        let text = policy("127.0.0.1:3130").replace("  listen: 127.0.0.1:3128\n", &private);
        write_policy(folder.path(), &text);
        let (code, said) = fails(folder.path(), &["serve"]);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains("every address") && said.contains("policy.yaml:4:"), "{said}");
    }
}

// ----- upstreams -----

/// An upstream's failure as the client and the record see it.
fn failing(gate: &Gate, url: &str, reason: &str, proxy_error: &str) {
    for method in ["GET", "POST"] {
        let answer = gate.curl(&["-X", method, url]);
        let context = format!("{method} {url} {answer:?}");
        assert_eq!((answer.status, &*answer.reason()), (502, reason), "{context}");
        let wanted = format!("proxy-status: holdgate; error={proxy_error}; details=\"{reason}\"");
        assert!(answer.head.contains(&wanted), "{context}");
        // Nothing of the inside: no address, no words of libraries.
        for inside in ["127.0.0.1", "os error", "rustls", "::1"] {
            assert!(!answer.body.contains(inside), "{inside}: {context}");
        }
        let id = answer.json()["request_id"].as_str().unwrap().to_owned();
        let outcome = until("the outcome", || {
            gate.records()
                .into_iter()
                .find(|record| record["kind"] == "outcome" && record["request_id"] == *id)
        });
        assert_eq!(outcome["status"], 502, "{outcome}");
        assert!(outcome["detail"].is_string(), "{outcome}");
    }
}

const RULES: &str = "- allow: GET /**\n- allow: POST /**";

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_down_is_unreachable() {
    // Bound but not listening: nobody else gets the port, and nobody answers.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let down = socket.local_addr().unwrap();
    let silent = Origin::raw(Identity::plain(), |_accepted: Accepted| async {}).await;
    let gate = Gate::with(Options::default(), |policy| {
        Edit(policy)
            .resolve(&format!("{HOST}:443"), down)
            .resolve("silent.example:443", silent.address)
            .resource(
                "origin",
                &format!(
                    "hosts: [{HOST}, silent.example, nowhere.example]\nrules:\n  {}",
                    RULES.replace('\n', "\n  ")
                ),
            )
            .0
    })
    .await;
    failing(&gate, &format!("https://{HOST}/"), "upstream_unreachable", "destination_unavailable");
    // It hangs up during the handshake.
    failing(&gate, "https://silent.example/", "upstream_unreachable", "destination_unavailable");
    // Others are reached as before.
    assert_eq!(gate.curl(&["https://docs.railway.com/"]).status, 200);
    drop(socket);
}

/// A certificate for a host, and what it is verified by.
fn certificate(host: &str, days: (i32, i32), issuer: Option<&str>) -> Identity {
    let now = time::OffsetDateTime::now_utc();
    let validity = |params: &mut CertificateParams| {
        params.not_before = now + time::Duration::days(days.0.into());
        params.not_after = now + time::Duration::days(days.1.into());
    };
    let key = KeyPair::generate().unwrap();
    let mut leaf = CertificateParams::new(vec![host.to_owned()]).unwrap();
    validity(&mut leaf);
    let Some(name) = issuer else {
        let signed = leaf.self_signed(&key).unwrap();
        return Identity::of(&signed, &key, signed.pem());
    };
    let mut ca = CertificateParams::default();
    ca.distinguished_name.push(DnType::CommonName, name);
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().unwrap();
    let pem = ca.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let signed = leaf.signed_by(&key, &issuer).unwrap();
    Identity::of(&signed, &key, pem)
}

/// P-04, P-10.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_does_not_verify_gets_no_byte_of_the_request() {
    let trusted = Some("A trusted authority");
    let cases = [
        ("right", certificate(HOST, (-1, 1), trusted), true, true),
        ("another name", certificate("other.example", (-1, 1), trusted), true, false),
        ("a parent's name", certificate("example", (-1, 1), trusted), true, false),
        ("expired", certificate(HOST, (-9, -1), trusted), true, false),
        ("not yet valid", certificate(HOST, (1, 9), trusted), true, false),
        ("an unknown authority", certificate(HOST, (-1, 1), Some("Nobody")), false, false),
        ("signed by itself", certificate(HOST, (-1, 1), None), false, false),
        ("no TLS", Identity::plain(), false, false),
    ];
    for (what, identity, root, good) in cases {
        let is_plain = what == "no TLS";
        let origin = Origin::raw(identity, move |mut accepted: Accepted| async move {
            if is_plain {
                accepted.stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n").await.unwrap();
                let mut all = Vec::new();
                drop(tokio::io::AsyncReadExt::read_to_end(&mut accepted.stream, &mut all).await);
                return;
            }
            crate::support::origin::serve(accepted, |_request| async { text("reached") }).await;
        })
        .await;
        let gate = Gate::with(Options::default(), |policy| {
            let declared = origin.declared(policy, HOST, RULES);
            let listed = format!("\"{}\", ", origin.roots().to_str().unwrap());
            if root { declared } else { Edit(declared).replace(&listed, "").0 }
        })
        .await;
        let url = format!("https://{HOST}/");
        if good {
            let answer = gate.curl(&[&url]);
            assert_eq!((answer.status, &*answer.body), (200, "reached"), "{what} {answer:?}");
            continue;
        }
        failing(&gate, &url, "upstream_unverified", "tls_certificate_error");
        if !is_plain {
            assert_eq!(origin.handshaken(), 0, "{what}");
        }
        // One handshake for each try, and not one more.
        assert_eq!(origin.connections(), 2, "{what}");
    }
}

/// Names that this machine itself leads to addresses that are not public, without asking anybody.
fn local_names() -> Vec<(String, IpAddr)> {
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    let mut names = Vec::new();
    for line in hosts.lines() {
        let mut words = line.split('#').next().unwrap_or_default().split_whitespace();
        let Some(Ok(address)) = words.next().map(str::parse::<IpAddr>) else { continue };
        for name in words.filter(|name| !name.ends_with("localhost") && !name.contains("railway")) {
            if !holdgate::forward::is_public(address)
                && holdgate::message::Host::parse(name).is_ok()
            {
                names.push((name.to_ascii_lowercase(), address));
            }
        }
    }
    names
}

/// C-18, C-23.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_leads_to_a_private_address_is_not_dialled() {
    // The rules themselves are tested beside the code; this shows them through a real name.
    let Some((name, _)) = local_names().into_iter().find(|(_, address)| address.is_ipv4()) else {
        eprintln!("skipped: /etc/hosts names nothing but localhost");
        return;
    };
    let origin = Origin::http(Identity::plain(), |_request| async { text("reached") }).await;
    let port = origin.address.port();
    let declared = |policy: String, ports: &str| {
        let lines = format!("hosts: [{name}]\nports: [{ports}]\nrules:\n  - allow: GET /**");
        Edit(policy).resource("local", &lines).0
    };
    let mut gate =
        Gate::with(Options::default(), |policy| declared(policy, &format!("{port}/http"))).await;
    let url = format!("http://{name}:{port}/");
    let answer = gate.curl(&[&url]);
    assert_eq!((answer.status, &*answer.reason()), (502, "private_address"), "{answer:?}");
    assert!(answer.head.contains("error=destination_ip_prohibited"), "{answer:?}");
    assert_eq!(origin.connections(), 0);
    // Where the operator lists the network, it is.
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    gate.kill();
    let networks = "  resolve:\n";
    let private = "  allow_private: [127.0.0.0/8, 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16]\n";
    let policy = Edit(policy).replace(networks, &format!("{private}{networks}")).0;
    write_policy(gate.folder.path(), &policy);
    gate.serve();
    if local_names().iter().any(|(known, address)| *known == name && address.is_loopback()) {
        let answer = gate.curl(&[&url]);
        assert_eq!((answer.status, &*answer.body), (200, "reached"), "{answer:?}");
    }
    // But never the proxy's own listeners.
    let running = gate.running();
    let (proxy, approvals) = (running.proxy.port(), running.approvals.port());
    let ports = format!("{port}/http");
    let own = format!("{proxy}/http, {approvals}/http");
    write_policy(gate.folder.path(), &Edit(policy).replace(&ports, &own).0);
    running.signal("HUP");
    until("the reload", || running.log().contains("the policy was reloaded").then_some(()));
    for port in [proxy, approvals] {
        let answer = gate.curl(&[&format!("http://{name}:{port}/healthz")]);
        assert_eq!((answer.status, &*answer.reason()), (502, "private_address"), "{answer:?}");
    }
}

/// C-23.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_led_to_the_proxys_port_is_not_dialled() {
    let gate = Gate::start().await;
    let running = gate.running();
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let mut edit = Edit(policy);
    let listeners: [SocketAddr; 2] = [running.proxy, running.approvals];
    let mut hosts = Vec::new();
    for (number, own) in listeners.into_iter().enumerate() {
        for (spelling, ip) in ["127.0.0.1", "127.0.0.9", "0.0.0.0"].into_iter().enumerate() {
            let host = format!("own-{number}-{spelling}.example");
            edit = edit
                .resolve(&format!("{host}:443"), SocketAddr::new(ip.parse().unwrap(), own.port()));
            hosts.push(host);
        }
    }
    let lines = format!("hosts: [{}]\nrules:\n  - allow: GET /**", hosts.join(", "));
    write_policy(gate.folder.path(), &edit.resource("own", &lines).0);
    running.signal("HUP");
    until("the reload", || running.log().contains("the policy was reloaded").then_some(()));
    for host in hosts {
        let answer = gate.curl(&[&format!("https://{host}/")]);
        assert_eq!((answer.status, &*answer.reason()), (502, "private_address"), "{answer:?}");
    }
}

// ----- while it runs -----
