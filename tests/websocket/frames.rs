//! Frames: faults of either side, bytes that are none, and what control frames carry.

use super::{arrived, ended};
use crate::support::client::within;
use crate::support::mock::{Options, STAGING_TOKEN};
use crate::support::origin::{Accepted, Identity, Origin};
use crate::support::socket::{SWITCHED, Socket, echo, frame, read_head};
use crate::support::{Gate, until};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio_tungstenite::tungstenite::Message;

/// A frame of a length that it does not have.
fn of_length(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first, 0x80 | 127];
    bytes.extend(length.to_be_bytes());
    bytes.extend([1, 2, 3, 4]);
    bytes
}

// G-23
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_the_client_closes_with_its_code() {
    let gate =
        Gate::with(Options::default(), |policy| format!("{policy}\nlimits:\n  inspect_kib: 64\n"))
            .await;
    let half = vec![b'a'; 40_000];
    let cases: Vec<(&str, Vec<u8>, u16)> = vec![
        ("unmasked", vec![0x81, 0x02, b'h', b'i'], 1002),
        ("RSV1, as compression has it", frame(0xc1, b"hi"), 1002),
        ("RSV2", frame(0xa1, b"hi"), 1002),
        ("RSV3", frame(0x91, b"hi"), 1002),
        ("a continuation of nothing", frame(0x80, b"hi"), 1002),
        ("a message within a message", [frame(0x01, b"a"), frame(0x81, b"b")].concat(), 1002),
        ("a reserved opcode", frame(0x83, b"hi"), 1002),
        ("a reserved control opcode", frame(0x8b, b"hi"), 1002),
        ("a control frame in pieces", frame(0x09, b"hi"), 1002),
        ("a long control frame", frame(0x89, &[b'a'; 126]), 1002),
        ("a close of one byte", frame(0x88, b"a"), 1002),
        ("no UTF-8", frame(0x81, b"\xc0\xaf"), 1007),
        ("a lone surrogate", frame(0x81, b"\xed\xa0\x80"), 1007),
        ("half a character", [frame(0x01, b"\xe2\x82"), frame(0x80, b"")].concat(), 1007),
        ("too long", of_length(0x81, 64 * 1024 + 1), 1009),
        ("2^63", of_length(0x81, 1 << 63), 1009),
        ("2^64 - 1", of_length(0x82, u64::MAX), 1009),
        ("too long in pieces", [frame(0x01, &half), frame(0x80, &half)].concat(), 1009),
        (
            "endless pieces of nothing",
            [frame(0x01, b"{"), frame(0x00, b"").repeat(40_000)].concat(),
            1009,
        ),
    ];
    for (what, bytes, code) in cases {
        let mut socket = Socket::railway(&gate, "graphql-transport-ws", Some(STAGING_TOKEN)).await;
        socket.begin(&json!({})).await;
        socket.raw(&bytes).await;
        assert_eq!(socket.closed().await.0, code, "{what}");
    }
    ended(&gate, "on the client's side");
    assert!(arrived(&gate).is_empty(), "{:?}", arrived(&gate));
}

// G-20: whatever is sent after the handshake, as a tunnel over WebSockets or none would.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_frames_go_nowhere() {
    let gate = Gate::start().await;
    let cases: [&[u8]; 5] = [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"GET / HTTP/1.1\r\nHost: backboard.railway.com\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x05\x01\x00",
    ];
    for bytes in cases {
        let mut socket = Socket::railway(&gate, "graphql-transport-ws", Some(STAGING_TOKEN)).await;
        socket.begin(&json!({})).await;
        socket.raw(bytes).await;
        // What looks like the head of a frame may ask for more before it is seen to be none.
        socket.raw(&[0; 512]).await;
        let (code, _) = socket.closed().await;
        assert!(matches!(code, 1002 | 1009), "{bytes:?}: {code}");
    }
    // A tunnel in well-formed frames is no GraphQL.
    let mut socket = Socket::railway(&gate, "graphql-transport-ws", Some(STAGING_TOKEN)).await;
    socket.begin(&json!({})).await;
    socket.send(Message::binary(&b"SSH-2.0-OpenSSH_9.2\r\n"[..])).await;
    assert_eq!(socket.closed().await, (1008, "unreadable".to_owned()));
    assert!(arrived(&gate).is_empty(), "{:?}", arrived(&gate));
    let opened = gate.mock.requests();
    assert!(opened.iter().all(|request| request.path == "/graphql/v2"), "{opened:?}");
}

// G-20, L-11: what a ping or a close carries is the agent's, and nobody has judged it.
#[tokio::test(flavor = "multi_thread")]
async fn control_frames_pass_without_what_they_carry() {
    let gate = Gate::start().await;
    let mut socket = Socket::railway(&gate, "graphql-transport-ws", Some(STAGING_TOKEN)).await;
    socket.begin(&json!({})).await;
    socket.raw(&frame(0x89, b"a secret")).await;
    match socket.next().await {
        Message::Pong(payload) => assert_eq!(&payload[..], b"a secret", "answered at once"),
        other => panic!("{other:?}"),
    }
    socket.raw(&frame(0x8a, b"another secret")).await;
    let close = [&4001u16.to_be_bytes()[..], b"the last secret"].concat();
    socket.raw(&frame(0x88, &close)).await;
    let messages = until("the close arrives", || {
        let messages = gate.mock.messages();
        messages.last().is_some_and(|last| last.starts_with("a close")).then_some(messages)
    });
    let heard = messages.join("\n");
    assert!(heard.contains("a ping of 0 bytes"), "{heard}");
    assert!(heard.contains("4001") && !heard.contains("secret"), "{heard}");
    ended(&gate, "the WebSocket ended");
}

/// An upstream that answers the handshake with bytes of the test's, and then reads on.
async fn answering(bytes: Vec<u8>) -> Origin {
    Origin::raw(Identity::named(&["origin.example"]), move |accepted: Accepted| {
        let bytes = bytes.clone();
        async move {
            let mut stream = BufReader::new(accepted.stream);
            let Some(_) = read_head(&mut stream).await else { return };
            stream.write_all(&bytes).await.unwrap();
            // What TLS could not write at once it keeps until then.
            stream.flush().await.unwrap();
            let mut rest = Vec::new();
            drop(stream.read_to_end(&mut rest).await);
        }
    })
    .await
}

const SOCKET: &str = "- { allow: GET /socket, websocket: true }";

// G-23, E-25: a fault of the upstream ends both sides.
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_of_the_upstream_ends_both_sides() {
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("masked", frame(0x81, b"hi")),
        ("RSV1, as compression has it", vec![0xc1, 0x02, b'h', b'i']),
        ("a reserved opcode", vec![0x83, 0x00]),
        ("a continuation of nothing", vec![0x80, 0x00]),
        ("no UTF-8", vec![0x81, 0x02, 0xc0, 0xaf]),
        ("2^63", vec![0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]),
        (
            "plain HTTP",
            [b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n", &[b'a'; 100][..]].concat(),
        ),
    ];
    for (what, bytes) in cases {
        let answer = [format!("{SWITCHED}\r\n").as_bytes(), &bytes].concat();
        let origin = answering(answer).await;
        let gate = Gate::with(Options::default(), |policy| {
            origin.declared(policy, "origin.example", SOCKET)
        })
        .await;
        let mut socket = Socket::open(&gate, "origin.example", "/socket", &[]).await;
        assert_eq!(socket.closed().await, (1011, "upstream_unreachable".to_owned()), "{what}");
        ended(&gate, "on the upstream's side");
    }
}

// G-26: what the upstream says is passed, and its close with code and reason.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_says_is_passed() {
    let close = [&[0x88, 6][..], &4400u16.to_be_bytes(), b"gone"].concat();
    let bytes =
        [&[0x81, 2, b'h', b'i', 0x82, 1, 0xff, 0x01, 1, b'a', 0x80, 1, b'b'][..], &close].concat();
    let origin = answering([format!("{SWITCHED}\r\n").as_bytes(), &bytes].concat()).await;
    let gate =
        Gate::with(Options::default(), |policy| origin.declared(policy, "origin.example", SOCKET))
            .await;
    let mut socket = Socket::open(&gate, "origin.example", "/socket", &[]).await;
    assert_eq!(socket.next().await, Message::text("hi"));
    assert_eq!(socket.next().await, Message::binary(&b"\xff"[..]));
    assert_eq!(socket.next().await, Message::text("ab"));
    assert_eq!(socket.closed().await, (4400, "gone".to_owned()));
}

// O-05, O-07: unfinished messages of one agent take what they may, and no more.
#[tokio::test(flavor = "multi_thread")]
async fn unfinished_messages_have_their_room() {
    let origin = Origin::raw(Identity::named(&["origin.example"]), echo).await;
    let gate = Gate::with(Options::default(), |policy| {
        let policy = format!("{policy}\nlimits:\n  inspect_kib: 32768\n");
        origin.declared(policy, "origin.example", SOCKET)
    })
    .await;
    let begun = [of_length(0x82, 32 << 20), vec![0; 31 << 20]].concat();
    let mut unfinished = Vec::new();
    for _ in 0..2 {
        let mut socket = Socket::open(&gate, "origin.example", "/socket", &[]).await;
        socket.raw(&begun).await;
        unfinished.push(socket);
    }
    // The third asks for more than there is left.
    let mut socket = Socket::open(&gate, "origin.example", "/socket", &[]).await;
    let refused = async {
        tokio::io::AsyncWriteExt::write_all(socket.0.get_mut(), &begun).await.ok();
        socket.closed().await
    };
    assert_eq!(within("a refusal", refused).await, (1013, "over_limit".to_owned()));
    // Once another has gone there is room again.
    drop(unfinished.pop());
    until("room", || {
        let ends = gate.records().iter().filter(|record| record["status"] == 101).count();
        (ends == 2).then_some(())
    });
    let mut socket = Socket::open(&gate, "origin.example", "/socket", &[]).await;
    socket.send(Message::binary(vec![7; 10 << 20])).await;
    assert_eq!(socket.next().await, Message::binary(vec![7; 10 << 20]));
}

/// The most memory the process has had, in KiB.
fn peak(gate: &Gate) -> u64 {
    let path = format!("/proc/{}/status", gate.running().pid());
    let status = std::fs::read_to_string(path).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

// O-05
#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_megabytes_pass_in_little_memory() {
    const MESSAGES: usize = 200;
    const SIZE: usize = 512 << 10;
    let message = [&[0x82, 127][..], &(SIZE as u64).to_be_bytes(), &vec![7; SIZE]].concat();
    let bytes = [format!("{SWITCHED}\r\n").as_bytes(), &message.repeat(MESSAGES)].concat();
    let origin = answering(bytes).await;
    let gate =
        Gate::with(Options::default(), |policy| origin.declared(policy, "origin.example", SOCKET))
            .await;
    let mut socket = Socket::open(&gate, "origin.example", "/socket", &[]).await;
    let before = peak(&gate);
    for _ in 0..MESSAGES {
        assert_eq!(socket.next().await.len(), SIZE);
    }
    let grown = peak(&gate) - before;
    assert!(grown < 50 << 10, "{grown} KiB for 100 MiB that passed");
}
