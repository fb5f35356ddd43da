//! How a WebSocket ends: what each side is told, and what the record says.
//!
//! Takes closes and faults of either side; returns the close frames for both. A client's fault has the
//! code that RFC 6455 section 7.4.1 gives it; nothing that a client writes into a close is passed on.

use std::io::ErrorKind;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Utf8Bytes};

/// An end.
#[derive(Debug)]
pub(super) struct Ended {
    /// What the client is told; none if it has closed or gone.
    pub(super) client: Option<CloseFrame>,
    /// What the upstream is told; none if it has closed or gone.
    pub(super) upstream: Option<CloseFrame>,
    /// What the record says.
    pub(super) detail: String,
}

impl Ended {
    /// By the proxy.
    pub(super) fn ours(code: CloseCode, reason: &str, detail: impl Into<String>) -> Self {
        Self {
            client: Some(frame(code, reason)),
            upstream: Some(frame(CloseCode::Away, "")),
            detail: detail.into(),
        }
    }

    /// By the client, as it is used to.
    pub(super) fn by_client(close: Option<&CloseFrame>) -> Self {
        // A reason is the agent's text, which nobody has judged.
        let code = close.map_or(CloseCode::Normal, |close| close.code);
        Self {
            client: None,
            upstream: Some(frame(code, "")),
            detail: "the WebSocket ended".to_owned(),
        }
    }

    /// By the upstream, as it is used to.
    pub(super) fn by_upstream(close: Option<CloseFrame>) -> Self {
        let client = close.unwrap_or_else(|| frame(CloseCode::Normal, ""));
        Self { client: Some(client), upstream: None, detail: "the WebSocket ended".to_owned() }
    }

    /// By a fault of the client.
    pub(super) fn client_fault(error: &Error) -> Self {
        let (code, reason) = match error {
            Error::Protocol(_) => (CloseCode::Protocol, "malformed"),
            Error::Utf8(_) => (CloseCode::Invalid, "malformed"),
            Error::Capacity(_) => (CloseCode::Size, "over_limit"),
            Error::Io(io) if io.kind() == ErrorKind::FileTooLarge => {
                (CloseCode::Size, "over_limit")
            }
            Error::Io(io) if io.kind() == ErrorKind::QuotaExceeded => {
                (CloseCode::Again, "over_limit")
            }
            _ => (CloseCode::Away, ""),
        };
        Self::ours(code, reason, format!("the WebSocket broke: on the client's side: {error}"))
    }

    /// By a fault of the upstream.
    pub(super) fn upstream_fault(error: &Error) -> Self {
        Self {
            client: Some(frame(CloseCode::Error, "upstream_unreachable")),
            upstream: Some(frame(CloseCode::Protocol, "")),
            detail: format!("the WebSocket broke: on the upstream's side: {error}"),
        }
    }
}

/// A close frame; its reason is a word or two of ours.
fn frame(code: CloseCode, reason: &str) -> CloseFrame {
    CloseFrame { code, reason: Utf8Bytes::from(reason) }
}
