//! HTTP/1.1 framing as it came over the wire, checked beside the parser that serves it.
//!
//! Takes the bytes of a client's connection in the order they come; returns how far they are one
//! request after another that every parser cuts at the same places. Refuses ([`Malformed::Framing`])
//! what parsers forgive each other for: two lengths, two codings, bare line feeds, chunk sizes and
//! extensions outside the grammar of RFC 9112 section 7. Nothing of it is forwarded: framing is made
//! anew.

use super::Malformed;

/// The longest head that is looked at; the parser refuses it earlier.
const LONGEST_HEAD: usize = 128 << 10;
/// The longest line of a chunk's size with its extensions.
const LONGEST_CHUNK_LINE: usize = 256;
/// The most that trailers may come to.
const LONGEST_TRAILERS: usize = 16 << 10;

/// What a connection's bytes have been so far.
#[derive(Debug, Default)]
pub struct Framing {
    heads: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// The part of a head that is here, and where its last line begins.
    Head(Vec<u8>, usize),
    /// So many bytes of a body are to come.
    Body(u64),
    /// The line of a chunk's size, as far as it is here.
    Size(Vec<u8>),
    /// So many bytes of a chunk are to come, then its line end.
    Chunk(u64),
    /// The line end behind a chunk, of which so many bytes are to come.
    Behind(u8),
    /// A line of the trailers as far as it is here, and what they came to before.
    Trailers(Vec<u8>, usize),
    /// The bytes are another protocol's, or no longer of a request that is served.
    Over,
}

impl Default for State {
    fn default() -> Self {
        Self::Head(Vec::new(), 0)
    }
}

/// Where a connection's bytes stop having one reading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Irregular {
    /// Which head of the connection it is, or whose body, from one.
    pub head: u64,
    /// How many of the bytes came before it: none of a body may be passed on beyond that.
    pub at: usize,
    /// Whether it stands in a head, which the parser still has to see to be answered.
    pub in_head: bool,
    /// What is wrong.
    pub why: Malformed,
}

/// How the body of a head is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    Exactly(u64),
    Chunked,
    /// The protocol is switched, or the connection ends.
    Switched,
}

impl Framing {
    /// How many heads have begun to be complete.
    pub const fn heads(&self) -> u64 {
        self.heads
    }

    /// Reads the bytes that come next. After an irregularity nothing is read any more.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), Irregular> {
        let mut at = 0;
        while let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) {
            if matches!(self.state, State::Over) {
                return Ok(());
            }
            let in_head = matches!(self.state, State::Head(..));
            match self.step(rest) {
                Ok(taken) => at += taken,
                Err(why) => {
                    self.state = State::Over;
                    let head = self.heads + u64::from(in_head);
                    return Err(Irregular { head, at, in_head, why: Malformed::Framing(why) });
                }
            }
        }
        Ok(())
    }

    /// Takes a first part of the bytes; how much.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, &'static str> {
        let left = |wanted: u64| usize::try_from(wanted).unwrap_or(usize::MAX).min(bytes.len());
        match &mut self.state {
            State::Head(begun, line) => {
                let Some((end, length)) = head(begun, line, bytes)? else {
                    return Ok(bytes.len());
                };
                self.heads += 1;
                self.state = match length {
                    Length::Exactly(0) => State::default(),
                    Length::Exactly(bytes) => State::Body(bytes),
                    Length::Chunked => State::Size(Vec::new()),
                    Length::Switched => State::Over,
                };
                Ok(end)
            }
            State::Body(wanted) => {
                let taken = left(*wanted);
                *wanted -= taken as u64;
                if *wanted == 0 {
                    self.state = State::default();
                }
                Ok(taken)
            }
            State::Size(begun) => {
                let (taken, line) = line(begun, bytes, LONGEST_CHUNK_LINE)?;
                if let Some(line) = line {
                    self.state = match chunk_size(&line)? {
                        0 => State::Trailers(Vec::new(), 0),
                        size => State::Chunk(size),
                    };
                }
                Ok(taken)
            }
            State::Chunk(wanted) => {
                let taken = left(*wanted);
                *wanted -= taken as u64;
                if *wanted == 0 {
                    self.state = State::Behind(2);
                }
                Ok(taken)
            }
            State::Behind(wanted) => {
                let expected = if *wanted == 2 { b'\r' } else { b'\n' };
                if bytes.first() != Some(&expected) {
                    return Err("a chunk does not end where its size says");
                }
                *wanted -= 1;
                if *wanted == 0 {
                    self.state = State::Size(Vec::new());
                }
                Ok(1)
            }
            State::Trailers(begun, before) => {
                let most = LONGEST_TRAILERS.saturating_sub(*before);
                let (taken, line) = line(begun, bytes, most)?;
                if let Some(line) = line {
                    *before += line.len() + 2;
                    if line.is_empty() {
                        self.state = State::default();
                    } else {
                        trailer(&line)?;
                    }
                }
                Ok(taken)
            }
            State::Over => Ok(bytes.len()),
        }
    }
}

/// Reads up to the end of a head, which may have begun earlier: how many bytes that takes and what
/// follows it, or nothing yet.
fn head(
    begun: &mut Vec<u8>,
    line: &mut usize,
    bytes: &[u8],
) -> Result<Option<(usize, Length)>, &'static str> {
    let before = begun.len();
    // Most heads come in one piece, which is then not copied.
    let whole = before == 0;
    if !whole {
        begun.extend_from_slice(bytes);
    }
    let all: &[u8] = if whole { bytes } else { begun };
    for at in memchr::memchr_iter(b'\n', bytes).map(|at| before + at) {
        if at.checked_sub(1).and_then(|at| all.get(at)) != Some(&b'\r') {
            return Err("a line ends with a bare line feed");
        }
        // An empty line before the request line is ignored (RFC 9112 section 2.2).
        if at == *line + 1 && at != 1 {
            let length = all.get(..=at).map_or(Err("it is empty"), body_of)?;
            return Ok(Some((at + 1 - before, length)));
        }
        *line = at + 1;
    }
    if all.len() > LONGEST_HEAD {
        return Err("a head is longer than any that is served");
    }
    if whole {
        begun.extend_from_slice(bytes);
    }
    Ok(None)
}

/// What a complete head says of its body (RFC 9112 section 6.3).
fn body_of(head: &[u8]) -> Result<Length, &'static str> {
    let head = head.strip_prefix(b"\r\n").unwrap_or(head);
    let end = memchr::memchr(b'\n', head).unwrap_or(head.len());
    let (request, mut fields) = head.split_at(end);
    let request = request.trim_ascii_end();
    if request.is_empty() {
        return Err("it begins with more than one empty line");
    }
    if request.contains(&b'#') {
        return Err("its target has a fragment, which is never sent");
    }
    let mut lengths = 0;
    let mut length = 0;
    let mut codings = 0;
    let mut switched = request.get(..8).is_some_and(|method| method == b"CONNECT ");
    while let Some(rest) = fields.get(1..).filter(|rest| !rest.is_empty()) {
        let end = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let (line, behind) = rest.split_at(end);
        fields = behind;
        // Of the few fields that say it, each begins with one of these.
        if !matches!(line.first(), Some(b'c' | b'C' | b't' | b'T' | b'u' | b'U')) {
            continue;
        }
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if name.eq_ignore_ascii_case(b"content-length") {
            lengths += 1;
            length = content_length(value)?;
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            codings += 1;
            if !value.eq_ignore_ascii_case(b"chunked") {
                return Err("its transfer coding is not just `chunked`");
            }
        } else if name.eq_ignore_ascii_case(b"upgrade") {
            switched = true;
        }
    }
    match (lengths, codings) {
        (0 | 1, 0) if switched && length == 0 => Ok(Length::Switched),
        (_, _) if switched => Err("a request that switches protocols has no body"),
        (0, 0) => Ok(Length::Exactly(0)),
        (1, 0) => Ok(Length::Exactly(length)),
        (0, 1) => Ok(Length::Chunked),
        (0, _) => Err("it has more than one Transfer-Encoding"),
        (_, 0) => Err("it has more than one Content-Length"),
        _ => Err("it has a Content-Length and a Transfer-Encoding"),
    }
}

fn content_length(value: &[u8]) -> Result<u64, &'static str> {
    const WRONG: &str = "its Content-Length is not one plain number";
    let plain = value.iter().all(u8::is_ascii_digit) && value.len() <= 18;
    let padded = value.len() > 1 && value.first() == Some(&b'0');
    if !plain || padded {
        return Err(WRONG);
    }
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(WRONG)
}

/// Takes a line, which may have begun earlier: how many bytes, and the line without its end.
fn line(
    begun: &mut Vec<u8>,
    bytes: &[u8],
    most: usize,
) -> Result<(usize, Option<Vec<u8>>), &'static str> {
    let end = bytes.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
    let taken = end.unwrap_or(bytes.len());
    begun.extend_from_slice(bytes.get(..taken).unwrap_or_default());
    if begun.len() > most + 2 {
        return Err("a line of its chunked body is too long");
    }
    if end.is_none() {
        return Ok((taken, None));
    }
    let mut line = std::mem::take(begun);
    if !line.ends_with(b"\r\n") {
        return Err("a line of its chunked body ends with a bare line feed");
    }
    line.truncate(line.len() - 2);
    Ok((taken, Some(line)))
}

/// The size of a chunk (RFC 9112 section 7.1); its extensions are read and left out.
fn chunk_size(line: &[u8]) -> Result<u64, &'static str> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, mut rest) = line.split_at(digits);
    if digits == 0 || digits > 15 {
        return Err("a chunk's size is not a hexadecimal number");
    }
    while let Some((b';', extension)) = rest.split_first() {
        rest = chunk_extension(extension).ok_or("a chunk's extension is not one")?;
    }
    if !rest.is_empty() {
        return Err("a chunk's size is not a hexadecimal number");
    }
    let text = std::str::from_utf8(size).unwrap_or_default();
    u64::from_str_radix(text, 16).map_err(|_digits| "a chunk's size is not a hexadecimal number")
}

/// What follows a chunk extension (RFC 9112 section 7.1.1), without white space in it.
fn chunk_extension(text: &[u8]) -> Option<&[u8]> {
    let name = token(text);
    if name == 0 {
        return None;
    }
    let rest = text.get(name..)?;
    let Some(value) = rest.strip_prefix(b"=") else { return Some(rest) };
    let Some(quoted) = value.strip_prefix(b"\"") else {
        return Some(token(value)).filter(|length| *length > 0).and_then(|l| value.get(l..));
    };
    let end = quoted.iter().position(|byte| *byte == b'"')?;
    let (inside, behind) = quoted.split_at(end);
    let plain = |byte: &u8| matches!(byte, b' '..=b'~') && *byte != b'\\';
    inside.iter().all(plain).then(|| behind.get(1..)).flatten()
}

fn token(text: &[u8]) -> usize {
    text.iter().take_while(|byte| is_token(**byte)).count()
}

/// A byte of a token (RFC 9110 section 5.6.2).
pub(super) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_'
        )
        || matches!(byte, b'`' | b'|' | b'~')
}

fn trailer(line: &[u8]) -> Result<(), &'static str> {
    let name = token(line);
    let value = line.get(name..).and_then(|rest| rest.strip_prefix(b":"));
    let control = |byte: &u8| (*byte < b' ' && *byte != b'\t') || *byte == 0x7f;
    match value {
        Some(value) if name > 0 && !value.iter().any(control) => Ok(()),
        _ => Err("a trailer is not a field"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How many heads there are, or what is wrong and at which head.
    fn read(bytes: &[u8], pieces: usize) -> Result<u64, (u64, bool)> {
        let mut framing = Framing::default();
        for piece in bytes.chunks(pieces.max(1)) {
            framing.read(piece).map_err(|irregular| (irregular.head, irregular.in_head))?;
        }
        Ok(framing.heads())
    }

    #[test]
    fn what_parsers_cut_alike_passes() {
        let passes: &[(&str, u64)] = &[
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", 1),
            ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 1),
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n", 2),
            ("POST / HTTP/1.1\r\nContent-Length: 4\r\n\r\nbodyGET / HTTP/1.1\r\n\r\n", 2),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\nGET / HTTP/1.1\r\n\r\n",
                2,
            ),
            (
                "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n4;a=b;c=\"d e\";f\r\nbody\r\n00\r\nX: y\r\n\r\n",
                1,
            ),
            ("GET / HTTP/1.1\r\nX: caf\u{e9}\r\n\r\n", 1),
            ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n\n\n\nanything", 1),
            ("GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n\n\nanything", 1),
        ];
        for (text, heads) in passes {
            for pieces in [1, 2, 3, 7, 4096] {
                assert_eq!(read(text.as_bytes(), pieces), Ok(*heads), "{text:?} in {pieces}");
            }
        }
    }

    /// E-01 to E-13, S-2, S-3, S-5.
    #[test]
    fn what_parsers_cut_differently_is_refused() {
        const CHUNKED: &str = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        let head = |lines: &str| (format!("POST / HTTP/1.1\r\n{lines}\r\n\r\nbody"), (1, true));
        let body = |body: &str| (format!("{CHUNKED}{body}"), (1, false));
        let refused = [
            head("Content-Length: 4\r\nTransfer-Encoding: chunked"),
            head("Transfer-Encoding: chunked\r\nContent-Length: 4"),
            head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
            head("Transfer-Encoding: chunked, chunked"),
            head("Transfer-Encoding: gzip, chunked"),
            head("Transfer-Encoding: , chunked"),
            head("Transfer-Encoding: identity"),
            head("Transfer-Encoding: \x0bchunked"),
            head("Transfer-Encoding: chunked;a=b"),
            head("Content-Length: 4\r\nContent-Length: 4"),
            head("Content-Length: 4\r\nContent-Length: 5"),
            head("Content-Length: 4, 4"),
            head("Content-Length: +4"),
            head("Content-Length: 0004"),
            head("Content-Length: 0x4"),
            head("Content-Length: 99999999999999999999"),
            head("X: y\nTransfer-Encoding: chunked"),
            head("Upgrade: h2c\r\nContent-Length: 4"),
            ("GET /a#b HTTP/1.1\r\n\r\n".to_owned(), (1, true)),
            ("\r\n\r\nGET / HTTP/1.1\r\n\r\n".to_owned(), (1, true)),
            ("\nGET / HTTP/1.1\r\n\r\n".to_owned(), (1, true)),
            ("GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\n\n".to_owned(), (2, true)),
            body("0x4\r\nbody\r\n0\r\n\r\n"),
            body("4 \r\nbody\r\n0\r\n\r\n"),
            body(" 4\r\nbody\r\n0\r\n\r\n"),
            body("+4\r\nbody\r\n0\r\n\r\n"),
            body("-4\r\nbody\r\n0\r\n\r\n"),
            body("4_0\r\nbody\r\n0\r\n\r\n"),
            body("\r\nbody\r\n0\r\n\r\n"),
            body("10000000000000005\r\nbody"),
            body("4;\r\nbody\r\n0\r\n\r\n"),
            body("4;a=\r\nbody\r\n0\r\n\r\n"),
            body("4;\0\r\nbody\r\n0\r\n\r\n"),
            body("4;a=\"b\r\nc\"\r\nbody\r\n0\r\n\r\n"),
            body("4;a=\"b\\\"\"\r\nbody\r\n0\r\n\r\n"),
            body("4;a\nb\r\nbody\r\n0\r\n\r\n"),
            body("4\nbody\r\n0\r\n\r\n"),
            body("4\r\nbodyXX0\r\n\r\n"),
            body("4\r\nbody\n0\r\n\r\n"),
            body("0\r\nX y\r\n\r\n"),
            body("0\r\n: y\r\n\r\n"),
            body("0\r\nX: \0\r\n\r\n"),
            body(&format!("4;{}\r\n", "a".repeat(300))),
        ];
        for (text, expected) in &refused {
            for pieces in [1, 2, 5, 4096] {
                assert_eq!(read(text.as_bytes(), pieces), Err(*expected), "{text:?} in {pieces}");
            }
        }
    }

    proptest! {
        /// How the bytes happened to be cut on their way makes no difference.
        #[test]
        fn pieces_make_no_difference(
            parts in prop::collection::vec(prop::sample::select(vec![
                "GET / HTTP/1.1\r\n", "POST /x HTTP/1.1\r\n", "\r\n", "\n", "Content-Length: 3\r\n",
                "Transfer-Encoding: chunked\r\n", "3\r\nabc\r\n", "0\r\n\r\n", "abc", ";", " ", "Upgrade: x\r\n",
            ]), 0..12),
            pieces in 1_usize..9,
        ) {
            let text = parts.concat();
            prop_assert_eq!(read(text.as_bytes(), pieces), read(text.as_bytes(), usize::MAX));
        }
    }
}
