//! Content codings (RFC 9110 section 8.4): what a coded body says.
//!
//! Takes the value of `Content-Encoding` and a body; returns the body that was coded, which is what is
//! judged and what is sent. Refuses codings it does not know, more of them than two, bytes behind
//! the end, and bodies that grow beyond a limit or out of proportion.

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use bytes::Bytes;
use flate2::bufread::{GzDecoder, ZlibDecoder};
use ruzstd::decoding::StreamingDecoder;
use std::io::Read;

/// Why a coded body cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A coding that is not read, or more than two.
    #[error("its content coding is not one that is read")]
    Unknown,
    /// It is not what its coding says, or not all of it is.
    #[error("it is not in the content coding that it says")]
    Broken,
    /// Something in the head is computed over the coded body, and would not fit the decoded one.
    #[error("a signature or a digest covers its coded form")]
    Covered,
    /// It grows beyond the limit, or out of proportion.
    #[error("it is too large once it is decoded")]
    TooLarge,
}

/// More codings on top of each other are no everyday work.
const MOST_CODINGS: usize = 2;
/// How many times its size a body may grow to, once it is larger than what every body may be.
const RATIO: usize = 200;
const ALWAYS: usize = 64 << 10;
/// The largest window of zstd (RFC 9659 section 3).
const WINDOW: u64 = 8 << 20;
/// The most members or frames one behind the other: each takes a decoder of its own.
const MOST_MEMBERS: usize = 1_000;

/// The body that was coded; `most` is the largest that is read.
pub fn decode(codings: &str, body: &Bytes, most: usize) -> Result<Bytes, Error> {
    let codings: Vec<&str> = codings.split(',').map(str::trim).collect();
    if codings.len() > MOST_CODINGS {
        return Err(Error::Unknown);
    }
    let most = most.min(body.len().saturating_mul(RATIO).max(ALWAYS));
    // They are named in the order they were applied.
    codings.iter().rev().try_fold(body.clone(), |body, coding| one(coding, body, most))
}

fn one(coding: &str, body: Bytes, most: usize) -> Result<Bytes, Error> {
    let is = |name: &str| coding.eq_ignore_ascii_case(name);
    if is("identity") {
        return Ok(body);
    }
    let mut read = Vec::new();
    if is("gzip") || is("x-gzip") {
        gzip(&body, &mut read, most)?;
    } else if is("deflate") {
        let mut decoder = ZlibDecoder::new(&*body);
        up_to(&mut decoder, &mut read, most)?;
        nothing_behind(decoder.into_inner())?;
    } else if is("br") {
        brotli(&body, &mut read, most)?;
    } else if is("zstd") {
        zstd(&body, &mut read, most)?;
    } else {
        return Err(Error::Unknown);
    }
    Ok(Bytes::from(read))
}

/// All members (RFC 1952 section 2.2): who stops at the first would read another body.
fn gzip(mut body: &[u8], read: &mut Vec<u8>, most: usize) -> Result<(), Error> {
    for _ in 0..MOST_MEMBERS {
        let mut decoder = GzDecoder::new(body);
        up_to(&mut decoder, read, most)?;
        body = decoder.into_inner();
        if body.is_empty() {
            return Ok(());
        }
    }
    Err(Error::TooLarge)
}

/// All frames (RFC 8878 section 3), with their checksums; one that is to be skipped is refused.
fn zstd(mut body: &[u8], read: &mut Vec<u8>, most: usize) -> Result<(), Error> {
    for _ in 0..MOST_MEMBERS {
        let mut decoder = StreamingDecoder::new_with_max_window_size(&mut body, WINDOW)
            .map_err(|_header| Error::Broken)?;
        up_to(&mut decoder, read, most)?;
        let frame = decoder.into_frame_decoder();
        let said = frame.get_checksum_from_data();
        if said.is_some() && said != frame.get_calculated_checksum() {
            return Err(Error::Broken);
        }
        if body.is_empty() {
            return Ok(());
        }
    }
    Err(Error::TooLarge)
}

/// One stream (RFC 7932); its variant with large windows is another coding.
fn brotli(body: &[u8], read: &mut Vec<u8>, most: usize) -> Result<(), Error> {
    let alloc = StandardAlloc::default;
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let (mut left, mut at, mut total) = (body.len(), 0, 0);
    let mut space = [0; 8 << 10];
    loop {
        let (mut room, mut written) = (space.len(), 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut at,
            body,
            &mut room,
            &mut written,
            &mut space,
            &mut total,
            &mut state,
        );
        read.extend_from_slice(space.get(..written).unwrap_or_default());
        if read.len() > most {
            return Err(Error::TooLarge);
        }
        match result {
            BrotliResult::ResultSuccess => {
                return nothing_behind(body.get(at..).unwrap_or_default());
            }
            BrotliResult::NeedsMoreOutput => {}
            BrotliResult::NeedsMoreInput | BrotliResult::ResultFailure => {
                return Err(Error::Broken);
            }
        }
    }
}

fn up_to(decoder: &mut impl Read, read: &mut Vec<u8>, most: usize) -> Result<(), Error> {
    let room = most.saturating_sub(read.len());
    // One byte more than may be tells that there is more.
    let mut limited = decoder.take(room as u64 + 1);
    let taken = limited.read_to_end(read).map_err(|_coding| Error::Broken)?;
    if taken > room { Err(Error::TooLarge) } else { Ok(()) }
}

const fn nothing_behind(rest: &[u8]) -> Result<(), Error> {
    if rest.is_empty() { Ok(()) } else { Err(Error::Broken) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use proptest::prelude::*;
    use std::io::Write as _;

    const TEXT: &[u8] = b"{\"query\":\"mutation { volumeDelete(volumeId: 1) }\"}";
    /// The text above, by the reference encoders of the two codings that no crate here writes.
    const BROTLI: &[u8] = b"\x8b\x18\x80{\"query\":\"mutation { volumeDelete(volumeId: 1) }\"}\x03";
    const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

    fn gzip(text: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(text: &[u8]) -> Vec<u8> {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    fn raw_deflate(text: &[u8]) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    }

    /// One raw block of a single segment without a checksum.
    fn zstd(text: &[u8]) -> Vec<u8> {
        let length = u8::try_from(text.len()).unwrap();
        let block = (u32::from(length) << 3) | 1;
        let mut frame = [ZSTD_MAGIC, &[0x20, length], &block.to_le_bytes()[..3]].concat();
        frame.extend_from_slice(text);
        frame
    }

    fn decoded(codings: &str, body: Vec<u8>) -> Result<Vec<u8>, Error> {
        decode(codings, &Bytes::from(body), 1 << 20).map(|bytes| bytes.to_vec())
    }

    #[test]
    fn each_coding_is_read_whole() {
        for (codings, body) in [
            ("identity", TEXT.to_vec()),
            ("gzip", gzip(TEXT)),
            ("X-GZIP", gzip(TEXT)),
            ("gzip", [gzip(&TEXT[..20]), gzip(&TEXT[20..])].concat()),
            ("deflate", zlib(TEXT)),
            ("br", BROTLI.to_vec()),
            ("zstd", zstd(TEXT)),
            ("zstd", [zstd(&TEXT[..20]), zstd(&TEXT[20..])].concat()),
            ("deflate, gzip", gzip(&zlib(TEXT))),
            ("identity, gzip", gzip(TEXT)),
        ] {
            assert_eq!(decoded(codings, body).as_deref(), Ok(TEXT), "{codings}");
        }
    }

    #[test]
    fn what_is_not_wholly_in_its_coding_is_refused() {
        let behind = |mut body: Vec<u8>| {
            body.push(b'x');
            body
        };
        let cut = |mut body: Vec<u8>| {
            body.truncate(body.len() - 2);
            body
        };
        for (codings, body, error) in [
            ("compress", TEXT.to_vec(), Error::Unknown),
            ("aws-chunked", TEXT.to_vec(), Error::Unknown),
            ("", TEXT.to_vec(), Error::Unknown),
            ("gzip, gzip, gzip", gzip(&gzip(&gzip(TEXT))), Error::Unknown),
            ("gzip", TEXT.to_vec(), Error::Broken),
            ("gzip", zlib(TEXT), Error::Broken),
            ("gzip", behind(gzip(TEXT)), Error::Broken),
            ("gzip", cut(gzip(TEXT)), Error::Broken),
            ("gzip", Vec::new(), Error::Broken),
            ("deflate", raw_deflate(TEXT), Error::Broken),
            ("deflate", behind(zlib(TEXT)), Error::Broken),
            ("deflate", cut(zlib(TEXT)), Error::Broken),
            ("br", behind(BROTLI.to_vec()), Error::Broken),
            ("br", cut(BROTLI.to_vec()), Error::Broken),
            ("zstd", behind(zstd(TEXT)), Error::Broken),
            ("zstd", cut(zstd(TEXT)), Error::Broken),
            // A frame to be skipped carries what only some decoders look at.
            ("zstd", [b"\x50\x2a\x4d\x18\x01\0\0\0x".to_vec(), zstd(TEXT)].concat(), Error::Broken),
            ("gzip", gzip(&vec![b' '; 2 << 20]), Error::TooLarge),
            ("gzip", gzip(b"").repeat(MOST_MEMBERS + 1), Error::TooLarge),
            ("zstd", zstd(b"").repeat(MOST_MEMBERS + 1), Error::TooLarge),
            // A window of 16 MiB.
            ("zstd", [ZSTD_MAGIC, &[0, 0x70, 1, 0, 0]].concat(), Error::Broken),
            ("deflate, gzip", gzip(&zlib(&vec![b' '; 8 << 20])), Error::TooLarge),
        ] {
            assert_eq!(decoded(codings, body), Err(error), "{codings}");
        }
    }

    #[test]
    fn a_body_grows_in_proportion_or_is_refused() {
        let small = gzip(&vec![b' '; ALWAYS]);
        assert_eq!(decode("gzip", &small.into(), 64 << 20).map(|read| read.len()), Ok(ALWAYS));
        let bomb = gzip(&vec![b' '; 16 << 20]);
        assert_eq!(decode("gzip", &bomb.into(), 64 << 20), Err(Error::TooLarge));
    }

    proptest! {
        #[test]
        fn whatever_is_coded_is_read_back(text in prop::collection::vec(any::<u8>(), 0..400)) {
            prop_assert_eq!(decoded("gzip", gzip(&text)), Ok(text.clone()));
            prop_assert_eq!(decoded("deflate", zlib(&text)), Ok(text));
        }

        #[test]
        fn no_bytes_make_a_decoder_fail_otherwise(
            coding in prop::sample::select(vec!["gzip", "deflate", "br", "zstd"]),
            body in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            if let Ok(read) = decoded(coding, body) {
                prop_assert!(read.len() <= 1 << 20);
            }
        }
    }
}
