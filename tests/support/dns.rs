//! A name server of the test's own, on loopback: it answers what the test says, over UDP and TCP,
//! and remembers what it was asked. The messages (RFC 1035 section 4) are written by hand, so that
//! they can be wrong.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
/// The name of the question, where it stands in every message: behind the twelve bytes of the head.
const OWNER: [u8; 2] = [0xc0, 12];
/// More is not answered over UDP (RFC 1035 section 4.2.1).
const DATAGRAM: usize = 512;

/// What a name answers.
#[derive(Clone, Debug)]
pub enum Answer {
    /// These addresses, each where its family is asked for.
    Addresses(Vec<IpAddr>),
    /// Such addresses the first time a family is asked for, and others from then on.
    Rebinding(Vec<IpAddr>, Vec<IpAddr>),
    /// These addresses, and nothing at all to the other family.
    OneFamily(Vec<IpAddr>),
    /// Nothing, ever.
    Silence,
    /// The name is another's alias.
    Alias(&'static str),
    /// An owner whose name is a pointer to itself.
    PointerLoop,
    /// No record, and no error.
    Empty,
    /// No such name.
    NoSuchName,
    /// The server failed.
    Failure,
    /// The first bytes of an answer.
    CutShort,
    /// Over UDP only that there is more; over TCP these addresses.
    Truncated(Vec<IpAddr>),
    /// First the second addresses, in ways that only an impostor answers; then the first.
    Forged(Vec<IpAddr>, Vec<IpAddr>),
}

/// Addresses from their texts.
pub fn addresses(texts: &[&str]) -> Answer {
    Answer::Addresses(parsed(texts))
}

/// The same without saying what they are for.
pub fn parsed(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// A running name server; it ends when it is dropped.
pub struct Dns {
    pub address: SocketAddr,
    zone: Arc<Zone>,
    _stop: DropGuard,
}

struct Zone {
    names: HashMap<String, Answer>,
    asked: Mutex<Vec<(String, u16)>>,
}

impl Dns {
    /// Serves these names; any other one is no such name.
    pub async fn start<N: Into<String>>(names: impl IntoIterator<Item = (N, Answer)>) -> Self {
        let names = names.into_iter().map(|(name, answer)| (name.into(), answer)).collect();
        let zone = Arc::new(Zone { names, asked: Mutex::default() });
        let (tcp, udp) = bind().await;
        let address = udp.local_addr().unwrap();
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let (over_udp, over_tcp) = (zone.clone(), zone.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
            let mut query = [0; 4096];
            while let Ok((length, from)) = udp.recv_from(&mut query).await {
                over_udp.answer_datagram(&udp, from, &query[..length]).await;
            }
        }));
        let (accepting, token) = (tasks.clone(), stop.clone());
        tasks.spawn(stop.clone().run_until_cancelled_owned(async move {
            while let Ok((stream, _)) = tcp.accept().await {
                let zone = over_tcp.clone();
                // A client that goes away is no news.
                accepting.spawn(token.clone().run_until_cancelled_owned(async move {
                    drop(zone.answer_stream(stream).await);
                }));
            }
        }));
        Self { address, zone, _stop: stop.drop_guard() }
    }

    /// The names it was asked for, one entry a question, oldest first.
    pub fn asked(&self) -> Vec<String> {
        self.zone.asked.lock().unwrap().iter().map(|(name, _)| name.clone()).collect()
    }

    /// How often it was asked for a name, in either family.
    pub fn asked_for(&self, name: &str) -> usize {
        self.asked().iter().filter(|asked| *asked == name).count()
    }
}

/// Both transports on one port.
async fn bind() -> (TcpListener, UdpSocket) {
    loop {
        let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
        // Somebody else may have the port for datagrams.
        if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
            return (tcp, udp);
        }
    }
}

impl Zone {
    async fn answer_datagram(&self, socket: &UdpSocket, from: SocketAddr, query: &[u8]) {
        let question = Question::read(query);
        let answer = self.answer_to(&question);
        if let Answer::Forged(_, wrong) = &answer {
            let elsewhere = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            let right_form = question.addresses(wrong);
            elsewhere.send_to(&right_form, from).await.unwrap();
            let mut another_id = right_form.clone();
            another_id[1] ^= 1;
            socket.send_to(&another_id, from).await.unwrap();
            let mut another_name = right_form;
            another_name[13] ^= 1;
            socket.send_to(&another_name, from).await.unwrap();
        }
        if let Some(mut message) = self.message(&question, &answer) {
            if matches!(answer, Answer::Truncated(_)) || message.len() > DATAGRAM {
                message = question.message(0, &[]);
                message[2] |= 0b10;
            }
            // Who asked may have gone.
            drop(socket.send_to(&message, from).await);
        }
    }

    async fn answer_stream(&self, mut stream: TcpStream) -> io::Result<()> {
        loop {
            let mut query = vec![0; stream.read_u16().await?.into()];
            stream.read_exact(&mut query).await?;
            let question = Question::read(&query);
            let answer = self.answer_to(&question);
            if let Some(message) = self.message(&question, &answer) {
                stream.write_u16(message.len().try_into().unwrap()).await?;
                stream.write_all(&message).await?;
            }
        }
    }

    /// What the name answers this time.
    fn answer_to(&self, question: &Question) -> Answer {
        let mut asked = self.asked.lock().unwrap();
        let again = asked.contains(&(question.name.clone(), question.kind));
        asked.push((question.name.clone(), question.kind));
        match self.names.get(&question.name).cloned() {
            Some(Answer::Rebinding(_, then)) if again => Answer::Addresses(then),
            Some(Answer::Rebinding(first, _)) => Answer::Addresses(first),
            Some(answer) => answer,
            None => Answer::NoSuchName,
        }
    }

    fn message(&self, question: &Question, answer: &Answer) -> Option<Vec<u8>> {
        const FAILURE: u8 = 2;
        const NO_SUCH_NAME: u8 = 3;
        Some(match answer {
            Answer::Silence => return None,
            Answer::OneFamily(all) => {
                let records = question.records(&OWNER, all);
                (!records.is_empty()).then(|| question.message(0, &records))?
            }
            Answer::Addresses(all) | Answer::Truncated(all) | Answer::Forged(all, _) => {
                question.addresses(all)
            }
            Answer::Rebinding(..) | Answer::Empty => question.message(0, &[]),
            Answer::NoSuchName => question.message(NO_SUCH_NAME, &[]),
            Answer::Failure => question.message(FAILURE, &[]),
            Answer::Alias(of) => {
                let mut records = vec![record(&OWNER, CNAME, &name(of))];
                // A server that knows the other name as well says so at once.
                if let Some(Answer::Addresses(all)) = self.names.get(*of) {
                    records.extend(question.records(&name(of), all));
                }
                question.message(0, &records)
            }
            Answer::PointerLoop => {
                let own = u16::try_from(question.end).unwrap() | 0xc000;
                question.message(0, &[record(&own.to_be_bytes(), question.kind, &[0; 16])])
            }
            Answer::CutShort => {
                let mut message = question.message(0, &[record(&OWNER, A, &[127, 0, 0, 1])]);
                message.truncate(message.len() - 3);
                message
            }
        })
    }
}

/// What a query asks; its bytes up to the end of the question.
struct Question {
    name: String,
    kind: u16,
    bytes: Vec<u8>,
    end: usize,
}

impl Question {
    fn read(query: &[u8]) -> Self {
        let mut labels = Vec::new();
        let mut at = 12;
        while query[at] != 0 {
            let end = at + 1 + usize::from(query[at]);
            labels.push(String::from_utf8(query[at + 1..end].to_vec()).unwrap());
            at = end;
        }
        let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
        let end = at + 5;
        Self { name: labels.join("."), kind, bytes: query[..end].to_vec(), end }
    }

    /// An answer to the question with these records.
    fn message(&self, code: u8, records: &[Vec<u8>]) -> Vec<u8> {
        let mut message = self.bytes.clone();
        // An answer, recursion available, one question; no authority and nothing additional.
        message[2] = 0x81;
        message[3] = 0x80 | code;
        let count = u16::try_from(records.len()).unwrap().to_be_bytes();
        message[6..12].copy_from_slice(&[count[0], count[1], 0, 0, 0, 0]);
        message.extend(records.concat());
        message
    }

    fn addresses(&self, all: &[IpAddr]) -> Vec<u8> {
        self.message(0, &self.records(&OWNER, all))
    }

    fn records(&self, owner: &[u8], all: &[IpAddr]) -> Vec<Vec<u8>> {
        let one = |address: &IpAddr| match address {
            IpAddr::V4(ip) if self.kind == A => Some(record(owner, A, &ip.octets())),
            IpAddr::V6(ip) if self.kind == AAAA => Some(record(owner, AAAA, &ip.octets())),
            _ => None,
        };
        all.iter().filter_map(one).collect()
    }
}

/// A record of the Internet class that lives for an hour.
fn record(owner: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let length = u16::try_from(data.len()).unwrap().to_be_bytes();
    [owner, &kind.to_be_bytes(), &[0, 1], &3600_u32.to_be_bytes(), &length, data].concat()
}

fn name(text: &str) -> Vec<u8> {
    let labels = text
        .split('.')
        .map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat());
    labels.chain([vec![0]]).flatten().collect()
}
