//! Frames of a WebSocket client: the messages that another reader puts together, each judged and sent
//! on as one message with the same bytes (RFC 6455 section 5).

use bytes::Bytes;
use holdgate::catalog::{Catalog, Dialect};
use holdgate::fingerprint::FingerprintKey;
use holdgate::inspect::graphql;
use holdgate::inspect::websocket::{Conversation, Language};
use holdgate::message::{Head, Host, Target};
use http::{HeaderMap, Method, Uri};
use serde_json::Value;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::OnceLock;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocket, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

const MOST: usize = 64 << 10;

/// Reads the bytes as all that a client sends once its connection has switched.
pub fn websocket(data: &[u8]) {
    let mut expected = messages(data).0.into_iter();
    let mut socket = WebSocket::from_raw_socket(Peer::of(data), Role::Server, Some(config()));
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => {
                let is_text = message.is_text();
                let bytes = message.clone().into_data();
                assert!(bytes.len() <= MOST);
                assert_eq!(expected.next(), Some((is_text, bytes.to_vec())), "another message");
                judged(&bytes, is_text);
                sent(message, is_text, &bytes);
            }
            Ok(_control) => {}
            // All that is there is read, or a close has ended it.
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                assert_eq!(expected.next(), None, "a message is missing");
                return;
            }
            Err(_ended) => return,
        }
    }
}

fn config() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(MOST)).max_frame_size(Some(MOST))
}

/// The message in each language, as a request.
fn judged(bytes: &Bytes, is_text: bool) {
    static CATALOG: OnceLock<Catalog> = OnceLock::new();
    let catalog = CATALOG.get_or_init(|| Catalog::embedded("railway").expect("it is embedded"));
    let key = FingerprintKey::new(b"fuzz");
    for language in
        [Language::Plain, Language::Graphql(Dialect::Transport), Language::Graphql(Dialect::Legacy)]
    {
        let described = Some(catalog).filter(|_| language != Language::Plain);
        let (request, envelope) =
            Conversation::new(language).read::<()>(head(), bytes.clone(), is_text, described, &key);
        assert_eq!(request.message().whole(), Some(bytes), "other bytes than were received");
        let facts = request.facts();
        if facts.unreadable().is_some() {
            assert!(facts.operations().is_empty() || language != Language::Plain);
            continue;
        }
        assert!(!facts.operations().is_empty(), "a message that is read does something");
        if language == Language::Plain {
            continue;
        }
        assert!(is_text);
        let said: Value = serde_json::from_slice(bytes).expect("what is read is JSON");
        let kind = said["type"].as_str().expect("a message has a type");
        if kind == "subscribe" || kind == "start" {
            let document = graphql::read(&said["payload"], &graphql::Documents::new())
                .expect("it carries a document");
            assert_eq!(facts.operations().len(), document.calls.len());
            assert_eq!(envelope.id(), said["id"].as_str());
        }
        assert!(!envelope.is_bare() || said["payload"].is_null(), "it says something");
    }
}

fn head() -> Box<Head> {
    static HEAD: OnceLock<Head> = OnceLock::new();
    let head = HEAD.get_or_init(|| {
        let target =
            Target::new(Host::parse("backboard.railway.com").expect("it is a name"), 443, false);
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "backboard.railway.com"),
            ("connection", "upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("sec-websocket-protocol", "graphql-transport-ws"),
        ] {
            headers.insert(name, value.parse().expect("it is a value"));
        }
        let uri = Uri::from_static("/graphql/v2");
        Head::read(Method::GET, &uri, headers, target).expect("it is a handshake")
    });
    Box::new(head.clone())
}

/// What leaves is one message with these bytes.
fn sent(message: Message, is_text: bool, bytes: &[u8]) {
    let mut socket = WebSocket::from_raw_socket(Peer::of(b""), Role::Client, Some(config()));
    socket.send(message).expect("there is room for it");
    let (messages, violated) = messages(&socket.get_ref().received);
    assert_eq!((messages, violated), (vec![(is_text, bytes.to_vec())], false));
}

/// The messages of a client by the letter of the standard, and whether a fault or a close ended them.
fn messages(mut rest: &[u8]) -> (Vec<(bool, Vec<u8>)>, bool) {
    let mut messages = Vec::new();
    let mut open: Option<(bool, Vec<u8>)> = None;
    loop {
        let frame = match frame(&mut rest) {
            Ok(Some(frame)) => frame,
            Ok(None) => return (messages, false),
            Err(Fault) => return (messages, true),
        };
        match (frame.kind, &mut open) {
            (8, _) => return (messages, true),
            (9 | 10, _) => continue,
            (0, Some((_, begun))) => begun.extend_from_slice(&frame.payload),
            (1 | 2, None) => open = Some((frame.kind == 1, frame.payload)),
            _ => return (messages, true),
        }
        if frame.is_last
            && let Some((is_text, bytes)) = open.take()
        {
            if is_text && std::str::from_utf8(&bytes).is_err() {
                return (messages, true);
            }
            messages.push((is_text, bytes));
        }
    }
}

struct Frame {
    is_last: bool,
    kind: u8,
    payload: Vec<u8>,
}

/// What no reader may take for a frame.
struct Fault;

/// The next frame; none where more has to come.
fn frame(rest: &mut &[u8]) -> Result<Option<Frame>, Fault> {
    let [first, second, behind @ ..] = *rest else { return Ok(None) };
    let (is_last, kind) = (first & 0x80 != 0, first & 0x0f);
    let is_control = kind >= 8;
    let short = second & 0x7f;
    if first & 0x70 != 0
        || !matches!(kind, 0..=2 | 8..=10)
        || second & 0x80 == 0
        || (is_control && (!is_last || short > 125))
    {
        return Err(Fault);
    }
    let wide = match short {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let Some((length, behind)) = behind.split_at_checked(wide) else { return Ok(None) };
    let length = match wide {
        0 => u64::from(short),
        _ => length.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    };
    let Some((mask, behind)) = behind.split_at_checked(4) else { return Ok(None) };
    let length = usize::try_from(length).map_err(|_wide| Fault)?;
    let Some((payload, behind)) = behind.split_at_checked(length) else { return Ok(None) };
    let payload = payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect();
    *rest = behind;
    Ok(Some(Frame { is_last, kind, payload }))
}

/// A connection whose other side has sent all it will.
struct Peer {
    sent: Bytes,
    received: Vec<u8>,
}

impl Peer {
    fn of(bytes: &[u8]) -> Self {
        Self { sent: Bytes::copy_from_slice(bytes), received: Vec::new() }
    }
}

impl Read for Peer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = buffer.len().min(self.sent.len());
        if length == 0 {
            return Err(ErrorKind::WouldBlock.into());
        }
        buffer[..length].copy_from_slice(&self.sent.split_to(length));
        Ok(length)
    }
}

impl Write for Peer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.received.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
