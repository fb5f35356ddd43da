//! The first bytes of a tunnel: nobody is served under a name that the tunnel was not opened for.

use holdgate::message::Host;
use holdgate::tls::accept::{Error, accept};
use rustls::ServerConfig;
use rustls_pki_types::PrivatePkcs8KeyDer;
use std::cell::Cell;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: Runtime =
        Builder::new_current_thread().enable_time().build().expect("a runtime is made");
}

/// Reads the bytes as all that a client sends into a tunnel to `a.test`.
pub fn tls_hello(data: &[u8]) {
    let host = Host::parse("a.test").expect("it is a name");
    let asked = Cell::new(false);
    let stream = tokio::io::join(data, tokio::io::sink());
    let accepted = accept(stream, &host, Duration::from_secs(60), || {
        asked.set(true);
        Ok(config().clone())
    });
    let error = match RUNTIME.with(|runtime| runtime.block_on(accepted)) {
        Ok(_) => panic!("a handshake ended without the server's share in it"),
        Err(error) => error,
    };
    assert!(!matches!(error, Error::Slow(_) | Error::Leaf(_)), "{error}");
    assert_eq!(asked.get(), matches!(error, Error::Handshake(_)), "{error}");
    let hello = hello(data);
    if asked.get() {
        assert_eq!(data.first(), Some(&22), "something else than a handshake is taken for TLS");
        let names = hello.as_deref().and_then(server_names).expect("it is a ClientHello");
        // An address is no name (RFC 6066); who sends one is served under that of the tunnel.
        let own = |name: &Vec<u8>| {
            let text = String::from_utf8_lossy(name);
            let text = text.strip_suffix('.').unwrap_or(&text);
            text.eq_ignore_ascii_case("a.test") || text.parse::<IpAddr>().is_ok()
        };
        assert!(names.iter().all(own), "it is served under another name: {names:?}");
    }
}

fn config() -> &'static Arc<ServerConfig> {
    static CONFIG: OnceLock<Arc<ServerConfig>> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let made = rcgen::generate_simple_self_signed(vec!["a.test".to_owned()])
            .expect("a certificate is made");
        let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has both")
            .with_no_client_auth()
            .with_single_cert(vec![made.cert.der().clone()], key.into());
        Arc::new(config.expect("the key is the certificate's"))
    })
}

/// The first handshake message of a stream of records (RFC 8446 section 5.1), without its head.
fn hello(data: &[u8]) -> Option<Vec<u8>> {
    let mut message = Vec::new();
    let mut rest = data;
    loop {
        let length = usize::from(u16::from_be_bytes([*rest.get(3)?, *rest.get(4)?]));
        message.extend_from_slice(rest.get(5..5 + length)?);
        rest = &rest[5 + length..];
        if let [_, high, middle, low, body @ ..] = &*message {
            let length = u32::from_be_bytes([0, *high, *middle, *low]) as usize;
            if let Some(body) = body.get(..length) {
                return Some(body.to_vec());
            }
        }
    }
}

/// The names of a `ClientHello` (RFC 6066 section 3); none where it is cut short.
fn server_names(hello: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut rest = hello.get(34..)?;
    for width in [1, 2, 1] {
        take(&mut rest, width)?;
    }
    let mut names = Vec::new();
    if rest.is_empty() {
        return Some(names);
    }
    let mut extensions = take(&mut rest, 2)?;
    while !extensions.is_empty() {
        let kind = extensions.get(..2)?;
        extensions = &extensions[2..];
        let mut inside = take(&mut extensions, 2)?;
        if kind == [0, 0] {
            let mut list = take(&mut inside, 2)?;
            // Of other types than host names nobody knows the length.
            while list.first() == Some(&0) {
                list = &list[1..];
                names.push(take(&mut list, 2)?.to_vec());
            }
        }
    }
    Some(names)
}

/// What stands behind a length of so many bytes.
fn take<'a>(rest: &mut &'a [u8], width: usize) -> Option<&'a [u8]> {
    let length = rest.get(..width)?.iter().fold(0, |sum, byte| sum << 8 | usize::from(*byte));
    let inside = rest.get(width..width.checked_add(length)?)?;
    *rest = rest.get(width + length..)?;
    Some(inside)
}
