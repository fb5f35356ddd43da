//! One client that sends more than it may, while another one goes on working.

use super::{DOCS, RAILWAY, recorded, refusals, waiting};
use crate::support::client::{Client, within};
use crate::support::frames::*;
use crate::support::mock::{Options, STAGING_VOLUME};
use crate::support::origin::{Accepted, Identity, Origin};
use crate::support::{Gate, Running, delete_volume, until};
use crate::transfer::peak;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::task::JoinSet;

fn get() -> Vec<u8> {
    head("GET", DOCS, "/x", &[])
}

/// Streams one after the other, each with these frames.
fn streams(count: u32, frames: impl Fn(u32) -> Vec<Frame>) -> Vec<u8> {
    (0..count).flat_map(|number| bytes(&frames(2 * number + 1))).collect()
}

/// Whoever else is there has its answer.
async fn others(gate: &Gate) {
    for http2 in [true, false] {
        let mut client = Client::open(gate.running(), DOCS, http2).await;
        assert_eq!(client.get("/guides").await.status, 200, "http2={http2}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_much_ends_the_connection() {
    let gate = Gate::start().await;
    let field = |size: usize| literal(0, "x-large", vec![b'a'; size]);
    let bomb = |times| {
        // One entry that fills the table, and a byte for each time it is meant.
        let entry = literal(0x40, "x-bomb", vec![b'a'; 4000]);
        [get(), entry, indexed(62).repeat(times)].concat()
    };
    let in_pieces = |block: &[u8]| {
        let mut frames = vec![Frame::headers(1, END_STREAM, get())];
        frames.extend(block.chunks(16384).map(|piece| Frame::continuation(1, 0, piece)));
        frames.push(Frame::continuation(1, END_HEADERS, []));
        bytes(&frames)
    };
    let open = || Frame::headers(1, END_HEADERS, waiting(&[])).bytes();
    let calm: &[u32] = &[ENHANCE_YOUR_CALM];
    let rows: [(&str, &str, Vec<u8>, &[u32]); 8] = [
        (
            "G-12 rapid reset",
            DOCS,
            streams(10_000, |id| vec![Frame::headers(id, WHOLE, get()), Frame::reset(id, CANCEL)]),
            calm,
        ),
        (
            // The same through errors that the server is made to answer with resets.
            "G-12 resets that the client provokes",
            RAILWAY,
            streams(10_000, |id| {
                vec![
                    Frame::headers(id, END_HEADERS, waiting(&[])),
                    Frame::window_update(id, 0x7fff_ffff),
                ]
            }),
            calm,
        ),
        (
            "G-14 CONTINUATION without end",
            DOCS,
            [
                Frame::headers(1, END_STREAM, get()).bytes(),
                Frame::continuation(1, 0, []).bytes().repeat(100_000),
            ]
            .concat(),
            calm,
        ),
        (
            "G-14 CONTINUATION by the byte",
            DOCS,
            [
                Frame::headers(
                    1,
                    END_STREAM,
                    [get(), integer(0, 7, 0), integer(0, 7, 100_000)].concat(),
                )
                .bytes(),
                Frame::continuation(1, 0, *b"a").bytes().repeat(100_000),
            ]
            .concat(),
            &[ENHANCE_YOUR_CALM, COMPRESSION_ERROR, PROTOCOL_ERROR],
        ),
        (
            "G-14 64 MiB of fields",
            DOCS,
            in_pieces(&field(16_000).repeat(4096)),
            &[ENHANCE_YOUR_CALM, COMPRESSION_ERROR],
        ),
        (
            "G-14 40 MB of fields in 10 KB",
            DOCS,
            Frame::headers(1, WHOLE, bomb(10_000)).bytes(),
            calm,
        ),
        (
            "G-15 empty DATA",
            RAILWAY,
            [open(), Frame::data(1, 0, []).bytes().repeat(100_000)].concat(),
            calm,
        ),
        (
            "G-15 padded DATA without data",
            RAILWAY,
            [open(), Frame::data(1, PADDED, [0]).bytes().repeat(100_000)].concat(),
            calm,
        ),
    ];
    for (id, host, bytes, codes) in rows {
        println!("{id}");
        let known = refusals(&gate).len();
        let mut frames = Frames::open(gate.running(), host).await;
        frames.write(&bytes).await;
        let ended = frames.closed().await;
        assert!(
            matches!(ended, Ended::Connection(code) if codes.contains(&code)),
            "{id}: {ended:?}"
        );
        // Some of it may have become requests, whose bodies broke off.
        until(id, || {
            let told = |reason: &String| matches!(&**reason, "over_limit" | "malformed");
            refusals(&gate).iter().skip(known).any(told).then_some(())
        });
        others(&gate).await;
    }
    // A head that is not much too large is answered, and the connection goes on.
    for (id, block) in [
        ("G-14 80 KB of fields", in_pieces(&field(16_000).repeat(5))),
        ("G-14 80 KB of fields in 4 KB", Frame::headers(1, WHOLE, bomb(20)).bytes()),
    ] {
        let mut frames = Frames::open(gate.running(), DOCS).await;
        frames.write(&block).await;
        assert_eq!(frames.answer(1).await, Ended::Answer(431, Vec::new()), "{id}");
        frames.send(&[Frame::headers(3, WHOLE, get())]).await;
        assert!(matches!(frames.answer(3).await, Ended::Answer(200, _)), "{id}");
    }
    // Of twenty thousand that were reset at once, hardly any was sent.
    let sent = gate.mock.requests().len();
    assert!(sent < 100, "{sent}");
}

/// The frames of one stream, or for one.
type Pattern = fn(u32) -> Vec<Frame>;

/// Sends the same frames again and again, on new connections where one ends, and reads nothing.
async fn flood(running: &Running, host: &str, pattern: Pattern, sent: Arc<AtomicU64>) {
    loop {
        let mut stream = Frames::silent(running, host).await.into_inner();
        let greeting = [PREFACE, &Frame::settings(&[]).bytes()].concat();
        if stream.write_all(&greeting).await.is_err() {
            continue;
        }
        for number in 0.. {
            let some = streams_from(number * 100, 100, pattern);
            if stream.write_all(&some).await.is_err() {
                break;
            }
            sent.fetch_add(1, Ordering::SeqCst);
        }
    }
}

fn streams_from(first: u32, count: u32, frames: Pattern) -> Vec<u8> {
    (first..first + count).flat_map(|number| bytes(&frames(2 * number + 1))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn others_go_on_during_a_flood() {
    let gate = Arc::new(Gate::start().await);
    let rows: [(&str, Pattern); 8] = [
        ("O-01 PING whose answers nobody reads", |_| vec![Frame::ping(0, *b"anything")]),
        ("O-01 SETTINGS whose answers nobody reads", |_| vec![Frame::settings(&[(4, 65535)])]),
        ("O-01 PRIORITY", |id| vec![Frame::priority(id, 0)]),
        ("O-01 unknown frames", |_| vec![Frame::new(0x16, 0, 0, [0; 64])]),
        ("O-01 windows", |_| vec![Frame::window_update(0, 1)]),
        ("O-11 requests that are refused, whose answers nobody reads", |id| {
            vec![Frame::headers(id, WHOLE, head("POST", DOCS, "/x", &[]))]
        }),
        ("O-11 heads that are malformed", |id| {
            vec![Frame::headers(id, WHOLE, head("POST", DOCS, "/x", &[("te", "x")]))]
        }),
        ("G-12 rapid reset", |id| vec![Frame::headers(id, WHOLE, get()), Frame::reset(id, CANCEL)]),
    ];
    others(&gate).await;
    let before = peak(gate.running());
    for (id, pattern) in rows {
        println!("{id}");
        let sent = Arc::new(AtomicU64::new(0));
        let mut hostile = JoinSet::new();
        let (kept, counted) = (gate.clone(), sent.clone());
        hostile.spawn(async move { flood(kept.running(), DOCS, pattern, counted).await });
        within("a flood", async {
            while sent.load(Ordering::SeqCst) < 10 {
                tokio::task::yield_now().await;
            }
        })
        .await;
        for _ in 0..5 {
            others(&gate).await;
        }
        assert!(!hostile.is_empty());
        hostile.shutdown().await;
    }
    // Nothing of it piles up.
    let grown = peak(gate.running()) - before;
    println!("{grown} KiB more");
    assert!(grown < 128 << 10, "{grown} KiB more");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_window_that_is_overrun_ends_the_stream() {
    // RFC 9113 section 6.9.1, O-05: what the upstream does not take is not taken from the client.
    let origin =
        Origin::raw(Identity::http1(&["slow.example"]), |mut accepted: Accepted| async move {
            let mut first = [0; 1];
            accepted.stream.read_exact(&mut first).await.unwrap();
            std::future::pending::<()>().await;
        })
        .await;
    let gate = Gate::with(Options::default(), |policy| {
        origin.declared(policy, "slow.example", "- allow: POST /**")
    })
    .await;
    let mut frames = Frames::open(gate.running(), "slow.example").await;
    let head = head("POST", "slow.example", "/x", &[("content-type", "application/octet-stream")]);
    frames.send(&[Frame::headers(1, END_HEADERS, head)]).await;
    let mebibyte = Frame::data(1, 0, vec![7; 16384]).bytes().repeat(64);
    for _ in 0..64 {
        if !frames.write(&mebibyte).await {
            break;
        }
    }
    let ended = frames.refused().await;
    assert!(matches!(ended, Ended::Stream(3) | Ended::Connection(3) | Ended::Closed), "{ended:?}");
    assert_eq!(recorded(&gate, 0), "malformed");
    // Hardly more has come through than both sides' buffers hold.
    assert!(origin.bytes_received() < 32 << 20, "{}", origin.bytes_received());
    others(&gate).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_leaves_its_hold_as_it_is() {
    // G-12
    let gate = Gate::start().await;
    let body = delete_volume(STAGING_VOLUME).to_string();
    let deletion = |stream| {
        let head = Frame::headers(stream, END_HEADERS, waiting(&[]));
        [head, Frame::data(stream, END_STREAM, body.clone())]
    };
    let mut frames = Frames::open(gate.running(), RAILWAY).await;
    frames.send(&deletion(1)).await;
    let id = gate.wait_for_hold();
    frames.send(&[Frame::reset(1, CANCEL)]).await;
    assert!(frames.settle().await);
    assert_eq!(gate.waiting()[0]["id"], *id);
    gate.approve(&id);
    // Nobody waits for it, so nothing is sent, however often it was approved.
    frames.send(&[Frame::headers(3, WHOLE, head("GET", RAILWAY, "/unknown", &[]))]).await;
    assert_eq!(frames.answer(3).await.refusal().0, 403);
    assert_eq!((gate.mock.bytes_received(), gate.mock.deletions()), (0, Vec::new()));
    // The same call again is what was approved; once.
    frames.send(&deletion(5)).await;
    let answer = frames.answer(5).await;
    assert!(matches!(answer, Ended::Answer(200, _)), "{answer:?}");
    assert_eq!(gate.mock.deletions(), [STAGING_VOLUME]);
    assert_eq!(gate.mock.requests().len(), 1);
    let redeemed = until("records", || {
        let records = gate.records();
        let redeemed =
            records.iter().filter(|r| r["detail"] == "redeemed an approved hold").count();
        (redeemed > 0).then_some(redeemed)
    });
    assert_eq!(redeemed, 1);
}
