//! Frames that a server must refuse, and those it must pass over (RFC 9113 sections 3 to 7).
//! Case G-17 of the evasion table.

use super::Expect::{Connection, Stream};
use super::{DOCS, QUERY, RAILWAY, Row, pass_over, refuse, row, waiting};
use crate::support::Gate;
use crate::support::frames::*;

const SIZE: &[u32] = &[FRAME_SIZE_ERROR, PROTOCOL_ERROR];
const CLOSED: &[u32] = &[STREAM_CLOSED, PROTOCOL_ERROR];
const PROTOCOL: &[u32] = &[PROTOCOL_ERROR];
const FLOW: &[u32] = &[FLOW_CONTROL_ERROR];

/// A read that would be sent on.
fn get() -> Vec<u8> {
    head("GET", DOCS, "/x", &[])
}

/// A whole request that is refused by its rule.
fn denied(stream: u32) -> Frame {
    Frame::headers(stream, WHOLE, head("POST", DOCS, "/x", &[]))
}

fn docs(id: &'static str, frames: &[Frame], expect: super::Expect) -> Row {
    row(id, DOCS, bytes(frames), expect)
}

/// After a request of stream 1 was answered, and so closed.
fn after(id: &'static str, frames: &[Frame], expect: super::Expect) -> Row {
    Row { before: denied(1).bytes(), ..docs(id, frames, expect) }
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_of_the_wrong_size_or_place_are_refused() {
    let half = || Frame::headers(1, END_STREAM, get());
    let wrong = |kind, stream, length| [Frame::new(kind, 0, stream, vec![0; length])];
    refuse(vec![
        row(
            "4.2 DATA beyond SETTINGS_MAX_FRAME_SIZE",
            RAILWAY,
            bytes(&[
                Frame::headers(1, END_HEADERS, waiting(&[])),
                Frame::data(1, END_STREAM, vec![b' '; 16385]),
            ]),
            Stream(&[FRAME_SIZE_ERROR]),
        ),
        docs(
            "4.2 HEADERS beyond SETTINGS_MAX_FRAME_SIZE",
            &[Frame::headers(1, WHOLE, [get(), block(&[("x-long", &"a".repeat(16384))])].concat())],
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        docs("4.2 SETTINGS beyond it", &[Frame::settings(&[(99, 1); 2731])], Connection(SIZE)),
        docs(
            "4.3 PRIORITY within a header block",
            &[half(), Frame::priority(1, 0), Frame::continuation(1, END_HEADERS, [])],
            Connection(PROTOCOL),
        ),
        docs(
            "4.3 another stream's HEADERS within a header block",
            &[half(), Frame::headers(3, WHOLE, get())],
            Connection(PROTOCOL),
        ),
        docs(
            "5.5 an unknown frame within a header block",
            &[half(), Frame::new(0x16, 0, 0, [0; 8]), Frame::continuation(1, END_HEADERS, [])],
            Connection(PROTOCOL),
        ),
        docs("6.1 DATA of stream 0", &[Frame::data(0, END_STREAM, *b"x")], Connection(PROTOCOL)),
        row(
            "6.1 DATA with more padding than payload",
            RAILWAY,
            bytes(&[
                Frame::headers(1, END_HEADERS, waiting(&[])),
                Frame::data(1, END_STREAM | PADDED, [5, b'{', b'}', 0, 0]),
            ]),
            Connection(PROTOCOL),
        ),
        row(
            "6.1 padded DATA without a length",
            RAILWAY,
            bytes(&[
                Frame::headers(1, END_HEADERS, waiting(&[])),
                Frame::data(1, END_STREAM | PADDED, []),
            ]),
            Connection(SIZE),
        ),
        docs("6.2 HEADERS of stream 0", &[Frame::headers(0, WHOLE, get())], Connection(PROTOCOL)),
        docs(
            "6.2 HEADERS with more padding than payload",
            &[Frame::headers(1, WHOLE | PADDED, [vec![255], get()].concat())],
            Connection(PROTOCOL),
        ),
        docs(
            "6.2 padded HEADERS without a length",
            &[Frame::headers(1, WHOLE | PADDED, [])],
            Connection(SIZE),
        ),
        docs(
            "6.2 HEADERS too short for its priority",
            &[Frame::headers(1, WHOLE | WITH_PRIORITY, [0; 4])],
            Connection(SIZE),
        ),
        docs("6.3 PRIORITY of stream 0", &[Frame::priority(0, 1)], Connection(PROTOCOL)),
        docs("6.3 PRIORITY of the wrong length", &wrong(PRIORITY, 1, 4), Stream(SIZE)),
        docs("6.4 RST_STREAM of stream 0", &[Frame::reset(0, CANCEL)], Connection(PROTOCOL)),
        docs("6.4 RST_STREAM of the wrong length", &wrong(RST_STREAM, 1, 3), Connection(SIZE)),
        docs("6.5 SETTINGS of a stream", &wrong(SETTINGS, 1, 0), Connection(PROTOCOL)),
        docs("6.5 SETTINGS of the wrong length", &wrong(SETTINGS, 0, 3), Connection(SIZE)),
        docs(
            "6.5 an acknowledgement with a payload",
            &[Frame::new(SETTINGS, ACK, 0, [0; 6])],
            Connection(SIZE),
        ),
        docs("6.7 PING of a stream", &wrong(PING, 1, 8), Connection(PROTOCOL)),
        docs("6.7 PING too short", &wrong(PING, 0, 7), Connection(SIZE)),
        docs("6.7 PING too long", &wrong(PING, 0, 9), Connection(SIZE)),
        docs("6.8 GOAWAY of a stream", &wrong(GOAWAY, 1, 8), Connection(PROTOCOL)),
        docs("6.8 GOAWAY too short", &wrong(GOAWAY, 0, 7), Connection(SIZE)),
        docs("6.9 WINDOW_UPDATE too short", &wrong(WINDOW_UPDATE, 0, 3), Connection(SIZE)),
        docs("6.9 WINDOW_UPDATE too long", &wrong(WINDOW_UPDATE, 0, 5), Connection(SIZE)),
        docs(
            "6.10 CONTINUATION of stream 0",
            &[half(), Frame::continuation(0, END_HEADERS, [])],
            Connection(PROTOCOL),
        ),
        docs(
            "6.10 CONTINUATION of another stream",
            &[half(), Frame::continuation(3, END_HEADERS, [])],
            Connection(PROTOCOL),
        ),
        docs(
            "6.10 CONTINUATION after the end of a header block",
            &[denied(1), Frame::continuation(1, END_HEADERS, [])],
            Connection(PROTOCOL),
        ),
        docs(
            "6.10 CONTINUATION after the last one",
            &[
                Frame::headers(1, END_STREAM, head("POST", DOCS, "/x", &[])),
                Frame::continuation(1, END_HEADERS, []),
                Frame::continuation(1, END_HEADERS, []),
            ],
            Connection(PROTOCOL),
        ),
        row(
            "6.10 CONTINUATION after DATA",
            RAILWAY,
            bytes(&[
                Frame::headers(1, END_HEADERS, waiting(&[])),
                Frame::data(1, 0, *b"{"),
                Frame::continuation(1, END_HEADERS, []),
            ]),
            Connection(PROTOCOL),
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_that_a_streams_state_forbids_are_refused() {
    let open = || Frame::headers(1, END_HEADERS, waiting(&[]));
    let railway = |id, frames: &[Frame], expect| row(id, RAILWAY, bytes(frames), expect);
    let many: Vec<Frame> =
        (0..257).map(|n| Frame::headers(2 * n + 1, END_HEADERS, waiting(&[]))).collect();
    let reset = |then: Frame| [open(), Frame::reset(1, CANCEL), then];
    refuse(vec![
        docs("5.1 DATA, idle", &[Frame::data(1, END_STREAM, *b"x")], Connection(PROTOCOL)),
        docs("5.1 RST_STREAM, idle", &[Frame::reset(1, CANCEL)], Connection(PROTOCOL)),
        docs("5.1 WINDOW_UPDATE, idle", &[Frame::window_update(1, 100)], Connection(PROTOCOL)),
        docs(
            "5.1 CONTINUATION, idle",
            &[Frame::continuation(1, END_HEADERS, get())],
            Connection(PROTOCOL),
        ),
        docs(
            "5.1 DATA, half-closed",
            &[denied(1), Frame::data(1, END_STREAM, *b"x")],
            Stream(CLOSED),
        ),
        docs("5.1 HEADERS, half-closed", &[denied(1), denied(1)], Stream(CLOSED)),
        railway(
            "5.1 DATA after RST_STREAM",
            &reset(Frame::data(1, END_STREAM, *b"x")),
            Stream(CLOSED),
        ),
        railway(
            "5.1 HEADERS after RST_STREAM",
            &reset(Frame::headers(1, WHOLE, waiting(&[]))),
            Stream(CLOSED),
        ),
        railway(
            "5.1 CONTINUATION after RST_STREAM",
            &reset(Frame::continuation(1, END_HEADERS, [])),
            Connection(CLOSED),
        ),
        after("5.1 DATA, closed", &[Frame::data(1, END_STREAM, *b"x")], Stream(CLOSED)),
        after("5.1 HEADERS, closed", &[denied(1)], Stream(CLOSED)),
        after(
            "5.1 CONTINUATION, closed",
            &[Frame::continuation(1, END_HEADERS, [])],
            Connection(CLOSED),
        ),
        docs("5.1.1 an even stream", &[Frame::headers(2, WHOLE, get())], Connection(PROTOCOL)),
        docs("5.1.1 a smaller stream", &[denied(5), denied(3)], Connection(CLOSED)),
        // O-01: what a connection may ask for at a time is bounded.
        railway("5.1.2 too many streams", &many, Stream(&[REFUSED_STREAM, PROTOCOL_ERROR])),
        docs(
            "5.3.1 HEADERS that depend on themselves",
            &[Frame::headers(1, WHOLE | WITH_PRIORITY, [dependency(1), get()].concat())],
            Stream(PROTOCOL),
        ),
        docs("5.3.1 PRIORITY that depends on itself", &[Frame::priority(1, 1)], Stream(PROTOCOL)),
        docs(
            "6.5.2 ENABLE_PUSH above one",
            &[Frame::settings(&[(ENABLE_PUSH, 2)])],
            Connection(PROTOCOL),
        ),
        docs(
            "6.5.2 INITIAL_WINDOW_SIZE above its most",
            &[Frame::settings(&[(INITIAL_WINDOW_SIZE, 1 << 31)])],
            Connection(&[FLOW_CONTROL_ERROR, PROTOCOL_ERROR]),
        ),
        docs(
            "6.5.2 MAX_FRAME_SIZE below its least",
            &[Frame::settings(&[(MAX_FRAME_SIZE, 16383)])],
            Connection(PROTOCOL),
        ),
        docs(
            "6.5.2 MAX_FRAME_SIZE above its most",
            &[Frame::settings(&[(MAX_FRAME_SIZE, 1 << 24)])],
            Connection(PROTOCOL),
        ),
        docs(
            "RFC 8441 3: ENABLE_CONNECT_PROTOCOL above one",
            &[Frame::settings(&[(ENABLE_CONNECT_PROTOCOL, 2)])],
            Connection(PROTOCOL),
        ),
        // One was due for the server's own.
        docs(
            "6.5.3 an acknowledgement too many",
            &[Frame::new(SETTINGS, ACK, 0, []), Frame::new(SETTINGS, ACK, 0, [])],
            Connection(PROTOCOL),
        ),
        docs(
            "6.6 PUSH_PROMISE from a client",
            &[denied(1), Frame::push_promise(1, 2, &get())],
            Connection(PROTOCOL),
        ),
        docs("6.9 an increment of zero", &[Frame::window_update(0, 0)], Connection(PROTOCOL)),
        railway(
            "6.9 an increment of zero on a stream",
            &[open(), Frame::window_update(1, 0)],
            Stream(PROTOCOL),
        ),
        docs(
            "6.9.1 the connection's window above its most",
            &[Frame::window_update(0, 0x7fff_ffff), Frame::window_update(0, 0x7fff_ffff)],
            Connection(FLOW),
        ),
        railway(
            "6.9.1 a stream's window above its most",
            &[open(), Frame::window_update(1, 0x7fff_ffff)],
            Stream(FLOW),
        ),
        railway(
            "6.9.2 a stream's window above its most by SETTINGS",
            &[
                open(),
                Frame::window_update(1, 0x7fff_ffff - 65535),
                Frame::settings(&[(INITIAL_WINDOW_SIZE, 0x7fff_ffff)]),
            ],
            Connection(FLOW),
        ),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn header_blocks_that_do_not_decode_end_the_connection() {
    let cases: [(&str, &[u8]); 10] = [
        ("RFC 7541 2.3.3 an index beyond the tables", &indexed(70)),
        ("RFC 7541 4.2 a table's size after a field", &[0x20]),
        ("RFC 7541 5.1 an integer without end", &[0xff; 12]),
        ("RFC 7541 5.2 a string beyond the block", b"\x00\x0ax-short\x01y"),
        // `x-test: test` in Huffman code, wrongly padded in three ways.
        ("RFC 7541 5.2 eight bits of padding", b"\x00\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff"),
        ("RFC 7541 5.2 zeros as padding", b"\x00\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90"),
        (
            "RFC 7541 5.2 the end of string in a string",
            b"\x00\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f",
        ),
        ("RFC 7541 6.1 index zero", &[0x80]),
        ("RFC 7541 6.3 a table above SETTINGS_HEADER_TABLE_SIZE", &integer(0x20, 5, 8192)),
        ("RFC 7541 6.2 a literal of an index beyond the tables", b"\x7f\x20\x01x"),
    ];
    let rows = cases.into_iter().map(|(id, wrong)| {
        // The size of a table comes first, where it is right to.
        let first = id.contains("6.3");
        let block = if first { [wrong, &get()].concat() } else { [&get(), wrong].concat() };
        let frame = Frame::headers(1, WHOLE, block);
        docs(id, &[frame], Connection(&[COMPRESSION_ERROR, PROTOCOL_ERROR]))
    });
    refuse(rows.collect()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_begins_with_its_preface() {
    let gate = Gate::start().await;
    let settings = Frame::settings(&[]).bytes();
    let read = Frame::headers(1, WHOLE, get()).bytes();
    for (id, wrong) in [
        ("3.4 HTTP/1.1", b"GET /x HTTP/1.1\r\nHost: docs.railway.com\r\n\r\n".to_vec()),
        ("3.4 another preface", b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_vec()),
        ("3.4 none", [&settings[..], &read].concat()),
        ("3.4 no SETTINGS", [PREFACE, &read].concat()),
        (
            "3.4 PING before SETTINGS",
            [PREFACE, &Frame::ping(0, [0; 8]).bytes(), &settings, &read].concat(),
        ),
        (
            "3.4 an acknowledgement before SETTINGS",
            [PREFACE, &Frame::new(SETTINGS, ACK, 0, []).bytes(), &read].concat(),
        ),
    ] {
        let known = super::refusals(&gate).len();
        let mut frames = Frames::silent(gate.running(), DOCS).await;
        frames.write(&wrong).await;
        let ended = frames.closed().await;
        assert!(
            matches!(ended, Ended::Closed | Ended::Connection(PROTOCOL_ERROR)),
            "{id} {ended:?}"
        );
        assert_eq!(super::recorded(&gate, known), "malformed", "{id}");
        assert_eq!(gate.mock.bytes_received(), 0, "{id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_must_be_passed_over_is() {
    let ping = |flags| Frame::ping(flags, *b"anything").bytes();
    let reserved = Frame { stream: 1 << 31, ..Frame::ping(0, *b"reserved") };
    pass_over(vec![
        ("4.1 an unknown frame", Frame::new(0x16, 0, 0, [7; 16]).bytes()),
        ("4.1 an unknown frame of a stream that is idle", Frame::new(0x16, 0xff, 9, []).bytes()),
        ("4.1 undefined flags", ping(0x16 & !ACK)),
        ("4.1 the reserved bit", reserved.bytes()),
        ("5.1 PRIORITY, idle", Frame::priority(3, 0).bytes()),
        ("6.5 no settings", Frame::settings(&[]).bytes()),
        ("6.5.2 an unknown setting", Frame::settings(&[(0x99, 1)]).bytes()),
        (
            "6.5.3 a setting twice, the last one counts",
            Frame::settings(&[(INITIAL_WINDOW_SIZE, 0), (INITIAL_WINDOW_SIZE, 65535)]).bytes(),
        ),
        ("6.7 an acknowledgement of no PING", ping(ACK)),
        ("6.9 a window", Frame::window_update(0, 1000).bytes()),
    ])
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_of_the_connection_is_answered() {
    let gate = Gate::start().await;
    let mut frames = Frames::open(gate.running(), RAILWAY).await;
    // 6.5.3, 6.7: acknowledged, and a padded head in pieces is a head.
    frames.send(&[Frame::settings(&[(0x99, 1)]), Frame::ping(0, *b"question")]).await;
    let (mut settings, mut ping) = (0, 0);
    while ping == 0 || settings < 2 {
        let frame = frames.next().await.unwrap();
        settings += u32::from(frame.kind == SETTINGS && frame.flags == ACK);
        ping += u32::from(frame == Frame::ping(ACK, *b"question"));
    }
    let (first, second) = {
        let mut block = waiting(&[("content-length", "16384")]);
        let rest = block.split_off(20);
        (block, rest)
    };
    let (second, third) = second.split_at(7);
    let padded = [&[3][..], &first, &[0; 3]].concat();
    // 4.2: a frame of 2^14 bytes is not too large.
    let body = format!("{QUERY:16384}");
    frames
        .send(&[
            Frame::headers(1, PADDED, padded),
            Frame::continuation(1, 0, second),
            Frame::continuation(1, END_HEADERS, third),
            Frame::data(1, END_STREAM, body.clone()),
        ])
        .await;
    let answer = frames.answer(1).await;
    assert!(matches!(answer, Ended::Answer(200, _)), "{answer:?}");
    let seen = gate.mock.requests();
    assert_eq!((seen.len(), seen[0].body.len()), (1, body.len()));
}
