//! HTTP/2 by hand: frames as bytes, for what real clients and servers do not send.

use super::Running;
use super::client::{tls, trust, within};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const PRIORITY: u8 = 2;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PUSH_PROMISE: u8 = 5;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 0x1;
pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const PADDED: u8 = 0x8;
pub const WITH_PRIORITY: u8 = 0x20;
/// A whole head without a body.
pub const WHOLE: u8 = END_STREAM | END_HEADERS;

pub const NO_ERROR: u32 = 0;
pub const PROTOCOL_ERROR: u32 = 1;
pub const INTERNAL_ERROR: u32 = 2;
pub const FLOW_CONTROL_ERROR: u32 = 3;
pub const STREAM_CLOSED: u32 = 5;
pub const FRAME_SIZE_ERROR: u32 = 6;
pub const REFUSED_STREAM: u32 = 7;
pub const CANCEL: u32 = 8;
pub const COMPRESSION_ERROR: u32 = 9;
pub const ENHANCE_YOUR_CALM: u32 = 11;

pub const HEADER_TABLE_SIZE: u16 = 1;
pub const ENABLE_PUSH: u16 = 2;
pub const INITIAL_WINDOW_SIZE: u16 = 4;
pub const MAX_FRAME_SIZE: u16 = 5;
pub const ENABLE_CONNECT_PROTOCOL: u16 = 8;

/// A frame, right or wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    pub fn data(stream: u32, flags: u8, payload: impl Into<Vec<u8>>) -> Self {
        Self::new(DATA, flags, stream, payload)
    }

    pub fn headers(stream: u32, flags: u8, block: impl Into<Vec<u8>>) -> Self {
        Self::new(HEADERS, flags, stream, block)
    }

    pub fn continuation(stream: u32, flags: u8, block: impl Into<Vec<u8>>) -> Self {
        Self::new(CONTINUATION, flags, stream, block)
    }

    /// `stream` depends on `parent`.
    pub fn priority(stream: u32, parent: u32) -> Self {
        Self::new(PRIORITY, 0, stream, dependency(parent))
    }

    pub fn reset(stream: u32, code: u32) -> Self {
        Self::new(RST_STREAM, 0, stream, code.to_be_bytes())
    }

    pub fn settings(settings: &[(u16, u32)]) -> Self {
        let pairs = settings.iter();
        let payload: Vec<u8> = pairs
            .flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat())
            .collect();
        Self::new(SETTINGS, 0, 0, payload)
    }

    pub fn ping(flags: u8, payload: [u8; 8]) -> Self {
        Self::new(PING, flags, 0, payload)
    }

    pub fn go_away(last: u32, code: u32) -> Self {
        Self::new(GOAWAY, 0, 0, [last.to_be_bytes(), code.to_be_bytes()].concat())
    }

    pub fn window_update(stream: u32, increment: u32) -> Self {
        Self::new(WINDOW_UPDATE, 0, stream, increment.to_be_bytes())
    }

    pub fn push_promise(stream: u32, promised: u32, block: &[u8]) -> Self {
        let payload = [&promised.to_be_bytes(), block].concat();
        Self::new(PUSH_PROMISE, END_HEADERS, stream, payload)
    }

    pub fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).unwrap().to_be_bytes();
        let head = [&length[1..], &[self.kind, self.flags], &self.stream.to_be_bytes()].concat();
        [head, self.payload.clone()].concat()
    }

    /// The error code of a `RST_STREAM` or a `GOAWAY`.
    pub fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}

/// A dependency of RFC 9113 section 6.3, with a weight.
pub fn dependency(parent: u32) -> Vec<u8> {
    [&parent.to_be_bytes()[..], &[15]].concat()
}

/// Frames one after the other.
pub fn bytes(frames: &[Frame]) -> Vec<u8> {
    frames.iter().flat_map(Frame::bytes).collect()
}

/// An integer of RFC 7541 section 5.1 behind a prefix of so many bits.
pub fn integer(first: u8, bits: u32, mut value: usize) -> Vec<u8> {
    let most = (1 << bits) - 1;
    if value < most {
        return vec![first | u8::try_from(value).unwrap()];
    }
    let mut bytes = vec![first | u8::try_from(most).unwrap()];
    value -= most;
    while value >= 128 {
        bytes.push(u8::try_from(value % 128 + 128).unwrap());
        value /= 128;
    }
    bytes.push(u8::try_from(value).unwrap());
    bytes
}

/// A field that stands in a table.
pub fn indexed(index: usize) -> Vec<u8> {
    integer(0x80, 7, index)
}

/// A literal field with a new name. `first` is `0x00`, or `0x40` to put it into the table.
pub fn literal(first: u8, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Vec<u8> {
    let text = |text: &[u8]| [integer(0, 7, text.len()), text.to_vec()].concat();
    [vec![first], text(name.as_ref()), text(value.as_ref())].concat()
}

/// A header block of literals.
pub fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| literal(0, name, value)).collect()
}

/// The pseudo-header fields of a request, and what follows them.
pub fn head(method: &str, authority: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo =
        [(":method", method), (":scheme", "https"), (":authority", authority), (":path", path)];
    [block(&pseudo), block(fields)].concat()
}

/// How a stream, or all of them, ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    /// GOAWAY with an error, and the connection is closed.
    Connection(u32),
    /// The connection is closed without a word.
    Closed,
    /// `RST_STREAM`.
    Stream(u32),
    /// An answer with its body.
    Answer(u16, Vec<u8>),
}

impl Ended {
    /// The status of an answer, and the reason where it is a refusal.
    pub fn refusal(&self) -> (u16, String) {
        let Self::Answer(status, body) = self else { panic!("no answer: {self:?}") };
        let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
        (*status, value["reason"].as_str().unwrap_or_default().to_owned())
    }
}

/// A connection of frames.
pub struct Frames<S> {
    stream: S,
    received: Vec<u8>,
    mute: bool,
}

impl Frames<TlsStream<TcpStream>> {
    /// A connection through the proxy, on which nothing has been sent.
    pub async fn silent(running: &Running, host: &str) -> Self {
        let config = trust(&running.ca, &["h2"]);
        Self::new(tls(running, &format!("{host}:443"), host, config).await.unwrap())
    }

    /// The same with its preface.
    pub async fn open(running: &Running, host: &str) -> Self {
        let mut frames = Self::silent(running, host).await;
        frames.greet(&[]).await;
        frames
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Frames<S> {
    pub fn new(stream: S) -> Self {
        Self { stream, received: Vec::new(), mute: false }
    }

    pub fn into_inner(self) -> S {
        self.stream
    }

    /// Acknowledges nothing from now on.
    pub fn mute(&mut self) {
        self.mute = true;
    }

    /// A client's preface. The header table is off, so that each answer can be read by itself.
    pub async fn greet(&mut self, settings: &[(u16, u32)]) {
        let settings = [&[(HEADER_TABLE_SIZE, 0)], settings].concat();
        self.write(&[PREFACE, &Frame::settings(&settings).bytes()].concat()).await;
    }

    /// The far end's preface is read, and answered as a server does.
    pub async fn welcome(&mut self, settings: &[(u16, u32)]) {
        within("a preface", async {
            while self.received.len() < PREFACE.len() {
                assert!(self.read().await, "no preface");
            }
        })
        .await;
        assert_eq!(self.received.drain(..PREFACE.len()).collect::<Vec<_>>(), PREFACE);
        self.send(&[Frame::settings(settings)]).await;
    }

    /// Sends frames in one piece; false once the far end takes no more.
    pub async fn send(&mut self, frames: &[Frame]) -> bool {
        self.write(&bytes(frames)).await
    }

    /// Sends bytes, and reads meanwhile, so that neither side waits for the other.
    pub async fn write(&mut self, bytes: &[u8]) -> bool {
        let (mut reader, mut writer) = tokio::io::split(&mut self.stream);
        let received = &mut self.received;
        let reading = async {
            let mut buffer = vec![0; 16 << 10];
            loop {
                match reader.read(&mut buffer).await {
                    Ok(read @ 1..) => received.extend_from_slice(&buffer[..read]),
                    Ok(0) | Err(_) => return,
                }
            }
        };
        let writing = async {
            writer.write_all(bytes).await?;
            writer.flush().await
        };
        within("a write", async {
            tokio::select! {
                biased;
                written = writing => written.is_ok(),
                () = reading => false,
            }
        })
        .await
    }

    async fn read(&mut self) -> bool {
        let mut buffer = vec![0; 16 << 10];
        // A connection that was reset is as closed as any.
        let read = self.stream.read(&mut buffer).await.unwrap_or_default();
        self.received.extend_from_slice(&buffer[..read]);
        read > 0
    }

    /// The next frame, or none at the end. SETTINGS and PING are acknowledged.
    pub async fn next(&mut self) -> Option<Frame> {
        let frame = within("a frame", async {
            loop {
                if let Some(frame) = self.parsed() {
                    return Some(frame);
                }
                if !self.read().await {
                    return None;
                }
            }
        })
        .await?;
        if !self.mute && matches!(frame.kind, SETTINGS | PING) && frame.flags & ACK == 0 {
            let payload = if frame.kind == PING { frame.payload.clone() } else { Vec::new() };
            self.send(&[Frame::new(frame.kind, ACK, 0, payload)]).await;
        }
        Some(frame)
    }

    fn parsed(&mut self) -> Option<Frame> {
        let (head, rest) = self.received.split_first_chunk::<9>()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let payload = rest.get(..length)?.to_vec();
        let stream = u32::from_be_bytes(head[5..].try_into().unwrap());
        let frame = Frame::new(head[3], head[4], stream, payload);
        self.received.drain(..9 + length);
        Some(frame)
    }

    /// Reads until the connection closes; the code of its GOAWAY, if there was one.
    pub async fn closed(&mut self) -> Ended {
        let mut code = None;
        while let Some(frame) = self.next().await {
            if frame.kind == GOAWAY {
                code = Some(frame.code());
            }
        }
        code.map_or(Ended::Closed, Ended::Connection)
    }

    /// Reads until the connection is refused, or a stream is.
    pub async fn refused(&mut self) -> Ended {
        while let Some(frame) = self.next().await {
            match frame.kind {
                RST_STREAM if frame.code() != NO_ERROR => return Ended::Stream(frame.code()),
                GOAWAY if frame.code() != NO_ERROR => {
                    let code = frame.code();
                    self.closed().await;
                    return Ended::Connection(code);
                }
                _ => {}
            }
        }
        Ended::Closed
    }

    /// Reads until a stream has its answer, or will have none.
    pub async fn answer(&mut self, stream: u32) -> Ended {
        let (mut status, mut body) = (0, Vec::new());
        while let Some(frame) = self.next().await {
            match frame.kind {
                GOAWAY if frame.code() != NO_ERROR => return Ended::Connection(frame.code()),
                _ if frame.stream != stream => continue,
                RST_STREAM => return Ended::Stream(frame.code()),
                HEADERS if status == 0 => status = read_status(&frame.payload),
                DATA => body.extend_from_slice(&frame.payload),
                _ => {}
            }
            if matches!(frame.kind, HEADERS | DATA) && frame.flags & END_STREAM != 0 {
                return Ended::Answer(status, body);
            }
        }
        Ended::Closed
    }

    /// Waits for the answer to a PING: what was sent before it has been read.
    pub async fn settle(&mut self) -> bool {
        const MARK: [u8; 8] = *b"settled?";
        self.send(&[Frame::ping(0, MARK)]).await;
        while let Some(frame) = self.next().await {
            if frame == Frame::ping(ACK, MARK) {
                return true;
            }
        }
        false
    }
}

/// Reads the `:status` at the head of a header block.
fn read_status(block: &[u8]) -> u16 {
    let mut rest = block;
    // The table's new size, which this client made zero.
    while rest[0] & 0xe0 == 0x20 {
        rest = &rest[1..];
    }
    let index = match rest[0] {
        byte if byte & 0x80 != 0 => byte & 0x7f,
        byte if byte & 0x40 != 0 => byte & 0x3f,
        byte => byte & 0x0f,
    };
    assert!((8..=14).contains(&index), "no status: {block:?}");
    if rest[0] & 0x80 != 0 {
        return [200, 204, 206, 304, 400, 404, 500][usize::from(index) - 8];
    }
    let (length, text) = (usize::from(rest[1] & 0x7f), &rest[2..]);
    if rest[1] & 0x80 == 0 {
        return std::str::from_utf8(&text[..length]).unwrap().parse().unwrap();
    }
    digits(&text[..length])
}

/// Three digits in the Huffman code of RFC 7541, appendix B.
fn digits(text: &[u8]) -> u16 {
    let bits: Vec<u8> =
        text.iter().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).collect();
    let read = |bits: &[u8]| bits.iter().fold(0, |value, bit| value << 1 | u16::from(*bit));
    let (mut status, mut at) = (0, 0);
    for _ in 0..3 {
        let short = read(&bits[at..at + 5]);
        let (digit, length) =
            if short < 3 { (short, 5) } else { (read(&bits[at..at + 6]) - 0x19 + 3, 6) };
        (status, at) = (status * 10 + digit, at + length);
    }
    status
}
