//! A header block of HTTP/2, as one request on a fresh connection.

use super::{memory, sent};
use holdgate::message::{Host, Target};

/// Reads the bytes as the compressed fields of a request without a body.
pub fn h2_head(data: &[u8]) {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const SETTINGS: u8 = 4;
    const HEADERS: u8 = 1;
    const CONTINUATION: u8 = 9;
    const END_STREAM: u8 = 1;
    const END_HEADERS: u8 = 4;
    const LARGEST: usize = 16 << 10;
    let mut bytes = [PREFACE, &frame(SETTINGS, 0, 0, b"")].concat();
    let last = data.len().div_ceil(LARGEST).saturating_sub(1);
    for (n, block) in data.chunks(LARGEST).enumerate() {
        let (kind, flag) = if n == 0 { (HEADERS, END_STREAM) } else { (CONTINUATION, 0) };
        let flags = if n == last { flag | END_HEADERS } else { flag };
        bytes.extend_from_slice(&frame(kind, flags, 1, block));
    }
    let target = Target::new(Host::parse("a.test").expect("it is a name"), 443, false);
    for served in memory::http2(&bytes) {
        sent::check(served, &target);
    }
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("it is short").to_be_bytes();
    let mut frame = vec![length[1], length[2], length[3], kind, flags];
    frame.extend_from_slice(&stream.to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}
