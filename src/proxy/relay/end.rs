//! One end of a WebSocket.
//!
//! Takes an upgraded connection; returns its messages, and writes those of several tasks one after the
//! other. Refuses frames and messages beyond the limit. Nothing is queued: who writes waits until it is
//! written, and once the socket is over not for long.

use futures_util::{Sink as _, Stream as _};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;

/// How long the other side may take for the closing of a socket.
const GRACE: Duration = Duration::from_secs(5);

const READ_BUFFER: usize = 16 << 10;

/// Room for one message, and for a control frame behind it.
const BESIDE: usize = 1 << 10;

/// One end.
pub(super) struct End<S> {
    role: Role,
    stream: Mutex<WebSocketStream<S>>,
    writing: tokio::sync::Mutex<()>,
    over: CancellationToken,
}

impl<S: AsyncRead + AsyncWrite + Unpin> End<S> {
    /// Over a connection that has switched protocols, in the role that we have on it.
    pub(super) async fn new(stream: S, role: Role, most: usize, over: CancellationToken) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_write_buffer_size(most.max(super::ANSWER).saturating_add(BESIDE))
            .max_message_size(Some(most))
            .max_frame_size(Some(most));
        let stream = WebSocketStream::from_raw_socket(stream, role, Some(config)).await;
        let (stream, writing) = (Mutex::new(stream), tokio::sync::Mutex::new(()));
        Self { role, stream, writing, over }
    }

    fn stream(&self) -> MutexGuard<'_, WebSocketStream<S>> {
        self.stream.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next message; none at the end. Only one task reads. Pings are answered on the way.
    pub(super) async fn next(&self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| Pin::new(&mut *self.stream()).poll_next(cx)).await
    }

    /// Writes a message to its last byte.
    pub(super) async fn send(&self, message: Message) -> Result<(), Error> {
        let late = async {
            self.over.cancelled().await;
            tokio::time::sleep(GRACE).await;
        };
        tokio::select! {
            sent = self.write(message) => sent,
            () = late => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
        }
    }

    async fn write(&self, message: Message) -> Result<(), Error> {
        let _writing = self.writing.lock().await;
        poll_fn(|cx| Pin::new(&mut *self.stream()).poll_ready(cx)).await?;
        Pin::new(&mut *self.stream()).start_send(message)?;
        poll_fn(|cx| Pin::new(&mut *self.stream()).poll_flush(cx)).await
    }

    /// Says that the socket is over, or answers that it is, and closes the connection.
    pub(super) async fn finish(&self, close: Option<CloseFrame>) {
        let finishing = async {
            let told = match close {
                Some(close) => self.write(Message::Close(Some(close))).await,
                None => poll_fn(|cx| Pin::new(&mut *self.stream()).poll_flush(cx)).await,
            };
            if let Err(error) = told {
                tracing::debug!(%error, "a WebSocket ended before it was told so");
            }
            // The server closes first (RFC 6455 section 7.1.1), and then hears the client out, so that
            // bytes on their way do not throw away what it was told.
            if self.role == Role::Server {
                self.shut().await;
            }
            self.hear_out().await;
            if self.role == Role::Client {
                self.shut().await;
            }
        };
        if timeout(GRACE, finishing).await.is_err() {
            tracing::debug!("a WebSocket was not closed in time by its other side");
        }
    }

    async fn shut(&self) {
        let shut = poll_fn(|cx| Pin::new(self.stream().get_mut()).poll_shutdown(cx)).await;
        if let Err(error) = shut {
            tracing::debug!(%error, "a connection of a WebSocket was not shut down");
        }
    }

    /// Reads to the end; nothing is kept.
    async fn hear_out(&self) {
        let mut space = [0; 4 << 10];
        loop {
            let mut buffer = ReadBuf::new(&mut space);
            let read =
                poll_fn(|cx| Pin::new(self.stream().get_mut()).poll_read(cx, &mut buffer)).await;
            if read.is_err() || buffer.filled().is_empty() {
                return;
            }
        }
    }
}
