//! A WebSocket by hand: handshakes, messages, and frames that no client would send.

use super::client::{Plain, read_answer, tls, trust, within};
use super::origin::Accepted;
use super::{Gate, Running};
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

pub const RAILWAY: &str = "backboard.railway.com";

/// A connection through the proxy.
pub type Wire = BufReader<TlsStream<TcpStream>>;

/// The handshake of RFC 6455 section 1.3, with further header lines.
pub fn handshake(host: &str, path: &str, headers: &[&str]) -> String {
    let further: String = headers.iter().flat_map(|line| [line, "\r\n"]).collect();
    format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{further}\r\n"
    )
}

/// The lines with which an upstream answers that handshake.
pub const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

/// Sends bytes to a host inside TLS, and reads one answer.
pub async fn ask(running: &Running, host: &str, bytes: &[u8]) -> (Wire, Plain) {
    let config = trust(&running.ca, &["http/1.1"]);
    let stream = tls(running, &format!("{host}:443"), host, config).await.unwrap();
    let mut wire = BufReader::new(stream);
    wire.write_all(bytes).await.unwrap();
    let answer = within("an answer", read_answer(&mut wire)).await;
    (wire, answer)
}

/// A frame as it stands on the wire; the mask is one that changes every byte.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
    let mut bytes = vec![first];
    match payload.len() {
        short @ ..126 => bytes.push(0x80 | u8::try_from(short).unwrap()),
        long => {
            bytes.push(0x80 | 127);
            bytes.extend((long as u64).to_be_bytes());
        }
    }
    bytes.extend(MASK);
    bytes.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    bytes
}

/// A text message in one frame.
pub fn text(message: &Value) -> Vec<u8> {
    frame(0x81, message.to_string().as_bytes())
}

/// An open socket.
pub struct Socket(pub WebSocketStream<Wire>);

impl Socket {
    /// Opens one at Railway's, in a subprotocol and with a token, if any, in its handshake.
    pub async fn railway(gate: &Gate, protocol: &str, token: Option<&str>) -> Self {
        let protocol = format!("Sec-WebSocket-Protocol: {protocol}");
        let token = token.map(|token| format!("Authorization: Bearer {token}"));
        let headers: Vec<&str> =
            [Some(&protocol), token.as_ref()].into_iter().flatten().map(|line| &**line).collect();
        Self::open(gate, RAILWAY, "/graphql/v2", &headers).await
    }

    /// Opens one.
    pub async fn open(gate: &Gate, host: &str, path: &str, headers: &[&str]) -> Self {
        Self::with(gate, host, handshake(host, path, headers).as_bytes()).await
    }

    /// Opens one with these bytes, which may go on behind the handshake.
    pub async fn with(gate: &Gate, host: &str, bytes: &[u8]) -> Self {
        let (wire, answer) = ask(gate.running(), host, bytes).await;
        assert_eq!(answer.status, 101, "{answer:?}");
        assert!(!answer.head.contains("sec-websocket-extensions"), "{answer:?}");
        Self(WebSocketStream::from_raw_socket(wire, Role::Client, None).await)
    }

    /// Sends a text message.
    pub async fn say(&mut self, message: &Value) {
        self.send(Message::text(message.to_string())).await;
    }

    /// Sends a message.
    pub async fn send(&mut self, message: Message) {
        within("a message is sent", self.0.send(message)).await.unwrap();
    }

    /// Sends bytes as they are.
    pub async fn raw(&mut self, bytes: &[u8]) {
        within("bytes are sent", async {
            self.0.get_mut().write_all(bytes).await.unwrap();
            self.0.get_mut().flush().await.unwrap();
        })
        .await;
    }

    /// The next message that is no ping.
    pub async fn next(&mut self) -> Message {
        loop {
            let next = within("a message", self.0.next()).await;
            match next.expect("the socket ended").unwrap() {
                Message::Ping(_) => {}
                message => return message,
            }
        }
    }

    /// The next message, as JSON.
    pub async fn hear(&mut self) -> Value {
        match self.next().await {
            Message::Text(text) => serde_json::from_str(&text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    /// Begins the connection of a GraphQL subprotocol.
    pub async fn begin(&mut self, payload: &Value) {
        self.say(&json!({"type": "connection_init", "payload": payload})).await;
        assert_eq!(self.hear().await, json!({"type": "connection_ack"}));
    }

    /// The code and the reason with which the proxy closes.
    pub async fn closed(&mut self) -> (u16, String) {
        match self.next().await {
            Message::Close(Some(close)) => (close.code.into(), close.reason.to_string()),
            other => panic!("{other:?}"),
        }
    }
}

/// Reads the head of a request; none at the end of the connection.
pub async fn read_head<S: tokio::io::AsyncRead + Unpin>(
    stream: &mut BufReader<S>,
) -> Option<String> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if stream.read_line(&mut head).await.ok()? == 0 {
            return None;
        }
    }
    Some(head)
}

/// An upstream that takes any handshake and sends back what is said, until the other side closes.
pub async fn echo(accepted: Accepted) {
    let mut stream = BufReader::new(accepted.stream);
    let Some(_) = read_head(&mut stream).await else { return };
    stream.write_all(format!("{SWITCHED}\r\n").as_bytes()).await.unwrap();
    let mut socket = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    while let Some(Ok(message)) = socket.next().await {
        let said = matches!(message, Message::Text(_) | Message::Binary(_));
        if said && socket.send(message).await.is_err() {
            return;
        }
    }
}
