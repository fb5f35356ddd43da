//! A WebSocket between a client and an upstream, message by message, until it ends.
//!
//! Takes both upgraded connections, the handshake, and the terms it was judged under. Each message of the
//! client is judged, recorded and only then sent, one after the other; those of the upstream are passed.
//! It ends with a side, with a fault, with its terms, after long silence, and with a message that is
//! refused where nobody could be told so; the record says how, and how much passed.

mod end;
mod ended;
mod judge;
mod terms;
mod traffic;

pub(super) use terms::Terms;

use crate::inspect::websocket::{Conversation, Language};
use crate::message::Head;
use crate::record::Exchange;
use bytes::Bytes;
use end::End;
use ended::Ended;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_util::sync::CancellationToken;
use traffic::{Counted, Room, SILENCE, Traffic};

/// How long both sides may take to switch.
const SWITCHING: Duration = Duration::from_secs(30);

/// A handshake that was answered.
pub(super) struct Opened {
    /// What the client asked for.
    pub(super) head: Box<Head>,
    /// What is spoken.
    pub(super) language: Language,
    /// The record of the handshake.
    pub(super) exchange: Exchange,
    /// The client's connection.
    pub(super) client: OnUpgrade,
    /// The upstream's.
    pub(super) upstream: OnUpgrade,
}

/// The longest message of an upstream, which is not read but taken whole.
const ANSWER: usize = 16 << 20;

/// An open socket.
struct Socket {
    terms: Terms,
    head: Box<Head>,
    exchange: Exchange,
    conversation: Mutex<Conversation>,
    /// Held while a message is judged and sent.
    busy: Arc<tokio::sync::Mutex<()>>,
    room: Arc<Room>,
    client: End<Counted<TokioIo<Upgraded>, Room>>,
    upstream: End<Counted<TokioIo<Upgraded>, Traffic>>,
}

/// Relays until the end, records it, and tells both sides.
pub(super) async fn relay(opened: Opened, terms: Terms) {
    let (traffic, over) = (Arc::new(Traffic::new()), CancellationToken::new());
    let exchange = opened.exchange.clone();
    let opening = Socket::open(opened, terms, traffic.clone(), over.clone());
    let opened = match timeout(SWITCHING, opening).await {
        Ok(Ok(socket)) => Ok(Arc::new(socket)),
        Ok(Err(error)) => Err(format!("the WebSocket broke: {error}")),
        Err(_elapsed) => Err("the WebSocket broke: a side did not switch in time".to_owned()),
    };
    let record = |detail: &str| {
        let (sent, received) = (&traffic.sent, &traffic.received);
        exchange.switched(sent.load(Ordering::Relaxed), received.load(Ordering::Relaxed), detail);
    };
    match opened {
        Ok(socket) => {
            let ended = socket.relay(&traffic).await;
            over.cancel();
            // What was recorded or redeemed is sent first; its writes end soon now, so this does too.
            drop(socket.busy.lock().await);
            record(&ended.detail);
            tokio::join!(
                socket.client.finish(ended.client),
                socket.upstream.finish(ended.upstream)
            );
        }
        Err(detail) => record(&detail),
    }
}

impl Socket {
    async fn open(
        opened: Opened,
        terms: Terms,
        traffic: Arc<Traffic>,
        over: CancellationToken,
    ) -> hyper::Result<Self> {
        let (client, upstream) = tokio::try_join!(opened.client, opened.upstream)?;
        let most = terms.longest();
        let room = Arc::new(Room::new(terms.caller().state.bodies.clone(), most));
        let client = Counted { stream: TokioIo::new(client), meter: room.clone() };
        let upstream = Counted { stream: TokioIo::new(upstream), meter: traffic };
        Ok(Self {
            terms,
            head: opened.head,
            exchange: opened.exchange,
            conversation: Mutex::new(Conversation::new(opened.language)),
            busy: Arc::default(),
            room,
            client: End::new(client, Role::Server, most, over.clone()).await,
            upstream: End::new(upstream, Role::Client, ANSWER, over).await,
        })
    }

    /// Until the end.
    async fn relay(self: &Arc<Self>, traffic: &Traffic) -> Ended {
        tokio::select! {
            ended = self.up() => ended,
            ended = self.down() => ended,
            ended = self.terms.over() => ended,
            () = traffic.silence() => {
                let seconds = SILENCE.as_secs();
                let why = format!("the WebSocket was closed: nothing passed for {seconds} s");
                Ended::ours(CloseCode::Away, "nothing passed", why)
            }
        }
    }

    /// From the client to the upstream.
    async fn up(self: &Arc<Self>) -> Ended {
        loop {
            let ended = match self.client.next().await {
                Some(Ok(Message::Text(text))) => self.message(text.into(), true).await,
                Some(Ok(Message::Binary(bytes))) => self.message(bytes, false).await,
                Some(Ok(Message::Ping(payload))) => {
                    self.room.without(payload.len());
                    // It keeps both connections alive; what it carries was not judged and stays here.
                    let sent = self.upstream.send(Message::Ping(Bytes::new())).await;
                    sent.err().map(|error| Ended::upstream_fault(&error))
                }
                Some(Ok(Message::Pong(payload))) => {
                    self.room.without(payload.len());
                    None
                }
                Some(Ok(Message::Close(close))) => Some(Ended::by_client(close.as_ref())),
                // A frame is never read as one.
                Some(Ok(Message::Frame(_))) => None,
                Some(Err(error)) => Some(Ended::client_fault(&error)),
                None => Some(Ended::by_client(None)),
            };
            if let Some(ended) = ended {
                return ended;
            }
        }
    }

    /// From the upstream to the client.
    async fn down(&self) -> Ended {
        loop {
            let message = match self.upstream.next().await {
                Some(Ok(Message::Text(text))) => match self.terms.cleaned(text.as_bytes()) {
                    // What is put in is ASCII, so the rest is the text that it was.
                    Some(clean) => Message::text(String::from_utf8_lossy(&clean).into_owned()),
                    None => Message::Text(text),
                },
                Some(Ok(Message::Binary(bytes))) => {
                    Message::Binary(self.terms.cleaned(&bytes).map_or(bytes, Bytes::from))
                }
                Some(Ok(Message::Ping(_))) => Message::Ping(Bytes::new()),
                Some(Ok(Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Close(close))) => {
                    let close = close.map(|mut close| {
                        if let Some(clean) = self.terms.cleaned(close.reason.as_bytes()) {
                            close.reason = String::from_utf8_lossy(&clean).into_owned().into();
                        }
                        close
                    });
                    return Ended::by_upstream(close);
                }
                Some(Err(error)) => return Ended::upstream_fault(&error),
                None => return Ended::by_upstream(None),
            };
            if let Err(error) = self.client.send(message).await {
                return Ended::client_fault(&error);
            }
        }
    }

    /// Judges a message, and sends it or says why not, in a task of its own: what was begun for it is
    /// brought to its end, whatever becomes of the socket meanwhile.
    async fn message(self: &Arc<Self>, bytes: Bytes, is_text: bool) -> Option<Ended> {
        let (socket, room) = (self.clone(), self.room.take());
        let busy = self.busy.clone().lock_owned().await;
        let judging = self.terms.proxy().tasks.spawn(async move {
            let ended = socket.judge(bytes, is_text).await;
            drop((room, busy));
            ended
        });
        judging.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a message was lost in a failure of its task");
            let why = "the WebSocket was closed: a message failed inside the proxy";
            Some(Ended::ours(CloseCode::Error, "not_recorded", why))
        })
    }
}
