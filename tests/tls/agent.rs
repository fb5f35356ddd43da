//! What agents offer in their handshakes, and what is made of it: the tunnel's one host, HTTP as it
//! was agreed on, TLS of today, and nothing before the handshake is over.

use crate::support::client::{connect, read_answer, tls, trust, within};
use crate::support::{Gate, Running, openssl, until};
use rustls::client::{EchConfig, EchGreaseConfig, EchMode, ResolvesClientCert};
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_128 as SUITE;
use rustls::crypto::hpke::Hpke;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, EchConfigListBytes, ServerName};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, ClientConnection, HandshakeKind, RootCertStore, SignatureScheme};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

const HOST: &str = "docs.railway.com";
const TUNNEL: &str = "docs.railway.com:443";
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: docs.railway.com\r\n\r\n";
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";

/// The records of a reason.
fn recorded(gate: &Gate, reason: &str) -> Vec<Value> {
    let records = gate.records().into_iter();
    records.filter(|record| record["reason"] == reason).collect()
}

fn roots(running: &Running) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(&running.ca).unwrap()).unwrap();
    roots
}

/// What a connection answers to bytes until it ends.
async fn to_the_end(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    bytes: &[u8],
) -> Vec<u8> {
    let mut answer = Vec::new();
    // A reset is an end as well.
    drop(stream.write_all(bytes).await);
    drop(within("the end", stream.read_to_end(&mut answer)).await);
    answer
}

/// D-06: the names that are offered, and the one that is agreed on, if any can be.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_spoken_is_what_was_agreed_on() {
    let many: Vec<String> = (0..200).map(|number| format!("name-{number}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).chain(["http/1.1"]).collect();
    let cases: [(&[&str], Option<&[u8]>); 13] = [
        (&[], Some(b"")),
        (&["http/1.1"], Some(b"http/1.1")),
        (&["h2"], Some(b"h2")),
        (&["h3", "h2"], Some(b"h2")),
        (&["acme-tls/1", "http/1.1"], Some(b"http/1.1")),
        (&many, Some(b"http/1.1")),
        (&["h3"], None),
        (&["acme-tls/1"], None),
        (&["spdy/3.1"], None),
        (&["ssh"], None),
        (&["h2c"], None),
        (&["http/1.0", "http/0.9"], None),
        (&["H2", "HTTP/1.1", "h2 "], None),
    ];
    let gate = Gate::start().await;
    let running = gate.running();
    let mut answered = 0;
    for (offered, agreed) in cases {
        let handshake = || tls(running, TUNNEL, HOST, trust(&running.ca, offered));
        let Some(agreed) = agreed else {
            let error = handshake().await.unwrap_err().to_string();
            assert!(error.contains("NoApplicationProtocol"), "{offered:?} {error}");
            continue;
        };
        let stream = handshake().await.unwrap();
        let got = stream.get_ref().1.alpn_protocol().unwrap_or_default();
        assert_eq!(got, agreed, "{offered:?}");
        let http2 = agreed == b"h2";
        if !http2 {
            let mut stream = BufReader::new(stream);
            stream.write_all(GET).await.unwrap();
            assert_eq!(within("an answer", read_answer(&mut stream)).await.status, 200);
            answered += 1;
        }
        // The other protocol's first bytes are no request in this one.
        let other = if http2 { GET } else { PREFACE };
        let answer = to_the_end(handshake().await.unwrap(), other).await;
        let settings = answer.get(3) == Some(&4) && !http2;
        let spoken = answer.starts_with(b"HTTP/1.1 2") || settings;
        assert!(!spoken, "{offered:?} {}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(gate.mock.requests().len(), answered);
    let refused = until("records", || {
        Some(recorded(&gate, "malformed")).filter(|records| records.len() >= 7)
    });
    assert!(refused.iter().all(|record| record["verdict"] == "deny"), "{refused:?}");
}

/// A `ClientHello` for the host, with other bytes of the same length in place of its name.
fn hello(running: &Running, name: &[u8], kind: u8) -> Vec<u8> {
    let config = trust(&running.ca, &["http/1.1"]);
    let server = ServerName::try_from(HOST).unwrap();
    let mut client = ClientConnection::new(config, server).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    let at = bytes.windows(HOST.len()).position(|window| window == HOST.as_bytes()).unwrap();
    bytes[at..at + HOST.len()].copy_from_slice(name);
    bytes[at - 3] = kind;
    bytes
}

/// D-02, D-03: the name as bytes, its kind, and whether the handshake goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_the_hello_is_the_tunnels_or_none() {
    let cases: [(&[u8; 16], u8, bool); 9] = [
        (b"docs.railway.com", 0, true),
        (b"DOCS.Railway.COM", 0, true),
        (b"evil.railway.com", 0, false),
        (b"docs.railway.co.", 0, false),
        (b"*ocs.railway.com", 0, false),
        (b"docs.railway\0com", 0, false),
        (b"docs railway com", 0, false),
        (b"d\xc3\xb6s.railway.com", 0, false),
        // A kind of name that nobody knows (RFC 6066 section 3).
        (b"docs.railway.com", 7, false),
    ];
    let gate = Gate::start().await;
    let running = gate.running();
    for (name, kind, goes_on) in cases {
        let mut stream = connect(running.proxy, TUNNEL).await;
        stream.write_all(&hello(running, name, kind)).await.unwrap();
        let mut first = [0];
        let read = within("a record or the end", stream.read(&mut first)).await.unwrap_or(0);
        // A handshake record goes on; an alert, or nothing, does not.
        let went_on = read == 1 && first == [22];
        assert_eq!(went_on, goes_on, "{} {kind}", String::from_utf8_lossy(name));
    }
    until("records", || {
        let counted = |reason: &str| recorded(&gate, reason).len();
        // Two are names of other hosts, the others no names; the first two were not finished.
        (counted("host_mismatch") == 2 && counted("malformed") == 7).then_some(())
    });
    assert_eq!(gate.mock.bytes_received(), 0);
}

/// A client's ECH configuration, whose outer name is the given one (RFC 9849 section 4).
fn ech(public_name: &str) -> EchMode {
    let (key, _) = SUITE.generate_key_pair().unwrap();
    let mut contents = vec![7, 0, 0x20];
    contents.extend(u16::try_from(key.0.len()).unwrap().to_be_bytes());
    contents.extend(&key.0);
    // HKDF-SHA256 and AES-128-GCM; names of any length.
    contents.extend([0, 4, 0, 1, 0, 1, 64, u8::try_from(public_name.len()).unwrap()]);
    contents.extend(public_name.as_bytes());
    contents.extend([0, 0]);
    let length = |bytes: &[u8]| u16::try_from(bytes.len()).unwrap().to_be_bytes();
    let config = [&[0xfe, 0x0d], &length(&contents)[..], &contents].concat();
    let list = [&length(&config)[..], &config].concat();
    let suites: [&'static dyn Hpke; 1] = [SUITE];
    EchConfig::new(EchConfigListBytes::from(list), &suites).unwrap().into()
}

/// D-05.
#[tokio::test(flavor = "multi_thread")]
async fn a_hidden_name_hides_nothing() {
    let gate = Gate::start().await;
    let running = gate.running();
    let config = |mode: EchMode| {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider).with_ech(mode).unwrap();
        Arc::new(builder.with_root_certificates(roots(running)).with_no_client_auth())
    };
    // An extension that only looks like one changes nothing.
    let (key, _) = SUITE.generate_key_pair().unwrap();
    let grease = EchMode::Grease(EchGreaseConfig::new(SUITE, key));
    let stream = tls(running, TUNNEL, HOST, config(grease)).await.unwrap();
    let mut stream = BufReader::new(stream);
    stream.write_all(GET).await.unwrap();
    assert_eq!(within("an answer", read_answer(&mut stream)).await.status, 200);
    assert_eq!(gate.mock.requests().len(), 1);
    // A real one is not opened: the outer name has to be the tunnel's, and then the client, which
    // wanted the inner one, ends.
    let error = tls(running, TUNNEL, "evil.example", config(ech(HOST))).await.unwrap_err();
    assert!(error.to_string().contains("EncryptedClientHello"), "{error}");
    assert_eq!(recorded(&gate, "host_mismatch").len(), 0);
    for (tunnel, outer, inner) in [
        (TUNNEL, "evil.example", HOST),
        ("evil.example:443", HOST, "evil.example"),
        ("evil.example:443", HOST, HOST),
    ] {
        let before = recorded(&gate, "host_mismatch").len();
        assert!(tls(running, tunnel, inner, config(ech(outer))).await.is_err());
        until("a record", || (recorded(&gate, "host_mismatch").len() > before).then_some(()));
    }
    assert_eq!(gate.mock.requests().len(), 1);
}

/// D-09.
#[tokio::test(flavor = "multi_thread")]
async fn only_tls_of_today_is_spoken() {
    let gate = Gate::start().await;
    let running = gate.running();
    let (proxy, ca) = (running.proxy.to_string(), running.ca.to_str().unwrap());
    let client = |arguments: &[&str]| {
        let common = ["s_client", "-proxy", &proxy, "-connect", TUNNEL, "-servername", HOST];
        openssl(
            &[&common[..], &["-CAfile", ca, "-verify_return_error", "-brief"], arguments].concat(),
        )
    };
    // What is offered, and whether it is taken.
    let any = "ALL:COMPLEMENTOFALL:@SECLEVEL=0";
    let rsa = "AES128-SHA:AES128-GCM-SHA256:@SECLEVEL=0";
    let cases: [(&[&str], Option<&str>); 12] = [
        (&["-tls1_3"], Some("TLSv1.3")),
        (&["-tls1_2"], Some("TLSv1.2")),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-GCM-SHA256"], Some("TLSv1.2")),
        (&["-tls1", "-cipher", any], None),
        (&["-tls1_1", "-cipher", any], None),
        (&["-no_tls1_2", "-no_tls1_3", "-cipher", any], None),
        (&["-tls1_2", "-cipher", "eNULL:@SECLEVEL=0"], None),
        (&["-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"], None),
        (&["-tls1_2", "-cipher", rsa], None),
        (&["-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA:@SECLEVEL=0"], None),
        (&["-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256"], None),
        (&["-tls1_2", "-curves", "secp521r1"], None),
    ];
    for (arguments, version) in cases {
        let (done, said) = client(arguments);
        // An alert is the proxy's: the client did offer it.
        let wanted = version.map_or_else(
            || "SSL alert number ".to_owned(),
            |version| format!("Protocol version: {version}\n"),
        );
        assert!(done == version.is_some() && said.contains(&wanted), "{arguments:?} {said}");
    }
    assert_eq!(gate.mock.bytes_received(), 0);
}

/// D-09: on `R`, the openssl command line begins another handshake on the same connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_is_not_begun_again() {
    let gate = Gate::start().await;
    let running = gate.running();
    let mut child = Command::new("openssl")
        .args(["s_client", "-proxy", &running.proxy.to_string(), "-connect", TUNNEL, "-tls1_2"])
        .args(["-servername", HOST, "-CAfile", running.ca.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut typed = child.stdin.take().unwrap();
    typed.write_all(b"R\n").unwrap();
    // It ends by itself, although more could be typed.
    let ended = until("the end", || child.try_wait().unwrap());
    let mut said = String::new();
    child.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.contains("RENEGOTIATING"), "{said}");
    assert!(!ended.success(), "{said}");
    assert_eq!(gate.mock.bytes_received(), 0);
    drop(typed);
}

/// D-08: a second connection resumes, and may not send before it has.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_before_the_handshake_is_over() {
    let gate = Gate::start().await;
    let running = gate.running();
    let mut config = ClientConfig::clone(&trust(&running.ca, &["http/1.1"]));
    config.enable_early_data = true;
    let config = Arc::new(config);
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        let stream = tls(running, TUNNEL, HOST, config.clone()).await.unwrap();
        let (_, session) = stream.get_ref();
        assert_eq!(session.handshake_kind(), Some(kind));
        assert!(!session.is_early_data_accepted());
        let mut stream = BufReader::new(stream);
        stream.write_all(GET).await.unwrap();
        assert_eq!(within("an answer", read_answer(&mut stream)).await.status, 200);
    }
    // There is a ticket, and it lets nothing be sent early.
    let mut third = ClientConnection::new(config, ServerName::try_from(HOST).unwrap()).unwrap();
    assert!(third.early_data().is_none());
}

/// Counts how often a certificate is asked for.
#[derive(Debug, Default)]
struct Asked(AtomicUsize);

impl ResolvesClientCert for Asked {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.0.fetch_add(1, Ordering::SeqCst);
        None
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// D-12.
#[tokio::test(flavor = "multi_thread")]
async fn an_agent_is_never_asked_for_a_certificate() {
    let gate = Gate::start().await;
    let running = gate.running();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let asked = Arc::new(Asked::default());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots(running))
            .with_client_cert_resolver(asked.clone());
        let stream = tls(running, TUNNEL, HOST, Arc::new(config)).await.unwrap();
        let mut stream = BufReader::new(stream);
        stream.write_all(GET).await.unwrap();
        assert_eq!(within("an answer", read_answer(&mut stream)).await.status, 200);
        assert_eq!(asked.0.load(Ordering::SeqCst), 0, "{version:?}");
    }
}

/// D-11, O-01: each is cut at the deadline, and none is in anybody's way meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_does_not_end_is_ended() {
    let gate = Gate::start().await;
    let running = gate.running();
    let whole = hello(running, HOST.as_bytes(), 0);
    let tunnels = 8;
    let mut open: Vec<TcpStream> = Vec::new();
    for number in 0..tunnels {
        let mut stream = connect(running.proxy, TUNNEL).await;
        // Nothing, a part of a head, a part of a hello, and a hello after which nothing comes.
        let part = [0, 3, whole.len() / 2, whole.len()][number % 4];
        stream.write_all(&whole[..part]).await.unwrap();
        open.push(stream);
    }
    // One that goes on byte by byte gains nothing by it.
    let mut dripping = connect(running.proxy, TUNNEL).await;
    let dripped = async {
        for byte in whole.chunks(1) {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            if dripping.write_all(byte).await.is_err() {
                return;
            }
        }
    };
    let others = async {
        assert_eq!(gate.curl(&["https://docs.railway.com/"]).status, 200);
        for mut stream in open {
            drop(within("the end", stream.read_to_end(&mut Vec::new())).await);
        }
    };
    tokio::join!(within("the end of the drip", dripped), others);
    let slow = until("records", || {
        let records = recorded(&gate, "malformed");
        (records.len() == tunnels + 1).then_some(records)
    });
    for record in slow {
        //
        let detail = record["detail"].as_str().unwrap();
        assert!(detail.contains("took longer than 10s"), "{record}");
        assert_eq!((&record["host"], &record["port"]), (&HOST.into(), &443.into()), "{record}");
    }
    // An end of the other side's making is one at once.
    for alert in [[21, 3, 3, 0, 2, 1, 0], [21, 3, 3, 0, 2, 2, 40]] {
        let answer = to_the_end(connect(running.proxy, TUNNEL).await, &alert).await;
        assert!(answer.len() <= 7, "{answer:?}");
    }
    assert_eq!(gate.mock.requests().len(), 1);
}
