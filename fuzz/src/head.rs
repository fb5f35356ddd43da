//! A client's connection in HTTP/1.1: where its requests begin and end, and what becomes of them.

use super::memory::{self, Arrived, Served};
use super::{chunked, sent};
use holdgate::message::framing::{Framing, Irregular};
use holdgate::message::{Host, Target};
use http::Uri;

/// Longer inputs show nothing that these do not.
const LONGEST: usize = 32 << 10;

/// Reads the bytes as all that a client sends.
pub fn head(data: &[u8]) {
    connection(data);
}

pub(super) fn connection(data: &[u8]) {
    if data.len() > LONGEST {
        return;
    }
    let (heads, irregular) = framing(data, data.len());
    for piece in [1, 7] {
        let (again, other) = framing(data, piece);
        let place = |irregular: &Option<Irregular>| {
            irregular.as_ref().map(|irregular| (irregular.head, irregular.in_head))
        };
        assert_eq!((heads, place(&irregular)), (again, place(&other)), "in pieces of {piece}");
    }
    // No byte of a body behind an irregularity reaches the parser; those of a head do.
    let passed = match &irregular {
        Some(irregular) if !irregular.in_head => &data[..irregular.at],
        _ => data,
    };
    let served = memory::http1(passed, usize::MAX);
    let pieces = memory::http1(passed, 7);
    assert_eq!(served.len(), pieces.len(), "pieces make a difference");
    let cut = cut(data);
    for (n, (served, piece)) in served.into_iter().zip(pieces).enumerate() {
        assert_eq!(shown(&served), shown(&piece), "pieces make a difference");
        if irregular.as_ref().is_some_and(|wrong| wrong.head <= n as u64 + 1) {
            let wrong = irregular.as_ref().is_some_and(|wrong| !wrong.in_head);
            assert!(!wrong || !matches!(served.body, Arrived::Whole(_)), "a broken body is whole");
            continue;
        }
        let one = cut.get(n).unwrap_or_else(|| panic!("{:?} is no request of its own", served));
        assert_eq!(served.parts.method.as_str(), one.method);
        assert_eq!(one.target.parse::<Uri>().ok().as_ref(), Some(&served.parts.uri));
        if let Arrived::Whole(body) = &served.body {
            assert_eq!(one.body.as_deref(), Some(&**body), "two bodies");
        }
        if let Some(target) = target(&served) {
            sent::check(served, &target);
        }
    }
}

fn framing(data: &[u8], piece: usize) -> (u64, Option<Irregular>) {
    let mut framing = Framing::default();
    let mut irregular = None;
    for bytes in data.chunks(piece.max(1)) {
        if let Err(found) = framing.read(bytes) {
            assert!(irregular.is_none(), "it reads on after an irregularity");
            irregular = Some(found);
        }
    }
    (framing.heads(), irregular)
}

fn shown(served: &Served) -> String {
    let parts = &served.parts;
    format!("{} {} {:?} {:?}", parts.method, parts.uri, parts.headers, served.body)
}

/// What the request came for: its absolute form, or a tunnel to `a.test`.
fn target(served: &Served) -> Option<Target> {
    if served.parts.uri.scheme().is_some() {
        return Target::of_absolute(&served.parts.uri).ok();
    }
    Some(Target::new(Host::parse("a.test").ok()?, 443, false))
}

/// One request of a connection.
#[derive(Debug)]
pub struct Cut {
    /// The method.
    pub method: String,
    /// The request target.
    pub target: String,
    /// The values of `Host`.
    pub hosts: Vec<Vec<u8>>,
    /// The body without its framing; none where it is not all here.
    pub body: Option<Vec<u8>>,
    /// Where it ends.
    pub end: usize,
}

/// The requests of a connection in the eyes of another reader, up to the first that is not whole.
pub fn cut(data: &[u8]) -> Vec<Cut> {
    let mut cuts = Vec::new();
    let mut at = 0;
    loop {
        let mut space = [httparse::EMPTY_HEADER; 100];
        let mut read = httparse::Request::new(&mut space);
        let Ok(httparse::Status::Complete(length)) = read.parse(&data[at..]) else { return cuts };
        at += length;
        let values = |name: &str| {
            let fields = read.headers.iter().filter(|field| field.name.eq_ignore_ascii_case(name));
            fields.map(|field| field.value).collect::<Vec<_>>()
        };
        let (lengths, codings) = (values("content-length"), values("transfer-encoding"));
        let body = if !codings.is_empty() {
            chunked::read(&data[at..])
        } else if let Some(length) = lengths.first() {
            let length = std::str::from_utf8(length).ok().and_then(|text| text.parse().ok());
            length
                .and_then(|length| Some((data.get(at..at.checked_add(length)?)?.to_vec(), length)))
        } else {
            Some((Vec::new(), 0))
        };
        let (method, target) = (read.method.unwrap_or_default(), read.path.unwrap_or_default());
        let hosts = values("host").into_iter().map(<[u8]>::to_vec).collect();
        let switched = method == "CONNECT" || !values("upgrade").is_empty();
        at += body.as_ref().map_or(0, |(_, length)| *length);
        let last = switched || body.is_none();
        let body = body.map(|(body, _)| body);
        cuts.push(Cut {
            method: method.to_owned(),
            target: target.to_owned(),
            hosts,
            body,
            end: at,
        });
        if last {
            return cuts;
        }
    }
}
