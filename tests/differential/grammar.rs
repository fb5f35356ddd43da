//! Requests that are valid, nearly valid, or ways to smuggle another: from a seed, the same each time.

use std::fmt::Write as _;

/// A generator of numbers (xorshift), so that a seed names a case for ever.
pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).unwrap()
    }

    fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    fn of<'a>(&mut self, choices: &[&'a str]) -> &'a str {
        choices[self.below(choices.len())]
    }
}

const METHODS: &[&str] = &["GET", "GET", "GET", "POST", "POST", "PUT", "HEAD", "OPTIONS", "PATCH"];
const ODD_METHODS: &[&str] =
    &["get", "TRACE", "G!T", "CONNECT", "POST ", "GE\tT", "\0GET", "SEARCH"];
const PATHS: &[&str] = &["/", "/a", "/a/b?x=1&y=2", "/a/b/", "/x%20y", "/%c3%a4?q=%20+"];
const ODD_PATHS: &[&str] = &[
    "/a/../b",
    "/a/./b/..",
    "/../x",
    "/%61dmin",
    "/a%2fb",
    "/a%5cb",
    "/a;b=c/d",
    "/%252e%252e/x",
    "/a//b",
    "//evil.example/x",
    "/a#b",
    "/a\\b",
    "/a b",
    "/a%00",
    "/\u{e4}",
    "*",
    "/a?b?c#d",
    "/a|b",
    "/http://evil.example/",
];
const ODD_HOSTS: &[&str] = &[
    "Host: evil.example",
    "Host: up.example:8080",
    "Host: UP.example.",
    "Host: x@up.example",
    "Host: up.example, evil.example",
    "Host:",
    "Host : up.example",
    "Host: up.example\r\nHost: up.example",
    "host: up.example\r\nHOST: evil.example",
    "Host: up.example\n",
];
const FIELDS: &[&str] = &[
    "Accept: */*",
    "X-A: 1",
    "Accept-Language: de\r\nAccept-Language: en",
    "TE: trailers",
    "Connection: keep-alive",
    "Connection: close",
    "X-Long: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "Content-Type: text/plain",
    "X-Empty:",
    "X-Spaced: \t a b \t",
];
const ODD_FIELDS: &[&str] = &[
    " folded: 1",
    "X-A: 1\r\n folded",
    "X-A: 1\n",
    "X-A: 1\nX-B: 2",
    "X-A: 1\rX-B: 2",
    "X-A: a\0b",
    "X-A: \u{b}1",
    "X-A : 1",
    "X A: 1",
    ": 1",
    "X-A",
    "X(A): 1",
    "X\"A: 1",
    "Transfer_Encoding: chunked",
    "Content_Length: 4",
    "Connection: x-a, content-length\r\nX-A: 1",
    "Connection: transfer-encoding",
    "Connection: host",
    "Proxy-Connection: keep-alive",
    "Keep-Alive: timeout=5",
    "Expect: 100-continue",
    "Expect: x 100-continue",
    "Upgrade: h2c\r\nConnection: upgrade\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
    "Upgrade: websocket\r\nConnection: upgrade",
    "Trailer: Content-Length",
    "X-Forwarded-Host: evil.example",
    "X-HTTP-Method-Override: PUT",
    "Content-Encoding: identity",
    "Cookie: a=1\r\nCookie: b=2",
    "X-A: \u{ff}",
];
const LENGTHS: &[&str] = &[
    "4",
    "4",
    "4",
    "04",
    "+4",
    "-4",
    "0x4",
    "4, 4",
    "4,5",
    "",
    "4 ",
    "3",
    "5",
    "4;",
    "99999999999999999999",
];
const CODINGS: &[&str] = &[
    "chunked",
    "chunked",
    "chunked",
    "Chunked",
    "chunked, chunked",
    "identity",
    "xchunked",
    ", chunked",
    "chunked;a=b",
    "\tchunked",
    "\u{b}chunked",
    "chunked\r\nTransfer-Encoding: identity",
    "\r\n chunked",
    "gzip, chunked",
    "chunked, identity",
    "cow",
];
const CHUNKED: &[&str] = &[
    "4\r\nbody\r\n0\r\n\r\n",
    "4\r\nbody\r\n0\r\n\r\n",
    "2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n",
    "04\r\nbody\r\n000\r\n\r\n",
    "4;a=b\r\nbody\r\n0;c=\"d e\"\r\nX-T: 1\r\n\r\n",
    "4\r\nbody\r\n0\r\nContent-Length: 9\r\nHost: evil.example\r\n\r\n",
    "4 \r\nbody\r\n0\r\n\r\n",
    " 4\r\nbody\r\n0\r\n\r\n",
    "+4\r\nbody\r\n0\r\n\r\n",
    "0x4\r\nbody\r\n0\r\n\r\n",
    "4_0\r\nbody\r\n0\r\n\r\n",
    "10000000000000004\r\nbody\r\n0\r\n\r\n",
    "4;\r\nbody\r\n0\r\n\r\n",
    "4;a\nb\r\nbody\r\n0\r\n\r\n",
    "4;a\rb\r\nbody\r\n0\r\n\r\n",
    "4;a=\"b\r\nc\"\r\nbody\r\n0\r\n\r\n",
    "4;a\0b\r\nbody\r\n0\r\n\r\n",
    "4\nbody\n0\n\n",
    "4\r\nbodyXX0\r\n\r\n",
    "4\r\nbody\n0\r\n\r\n",
    "4\r\nbody\r\n\r\n0\r\n\r\n",
    "4\r\nbody\r\n0\r\n",
    "4\r\nbody\r\n0\r\n\n",
    "\r\n4\r\nbody\r\n0\r\n\r\n",
    "-1\r\nbody\r\n0\r\n\r\n",
    "4\r\nbody\r\n0\r\n folded\r\n\r\n",
];

/// What a client sends on one connection, in clear text or in a tunnel to `up.example`.
pub(super) fn connection(random: &mut Random, tunnel: bool) -> Vec<u8> {
    let mut bytes = Vec::new();
    if random.one_in(20) {
        bytes.extend_from_slice(random.of(&["\r\n", "\n", "\r\n\r\n", " "]).as_bytes());
    }
    for _ in 0..1 + usize::from(random.one_in(4)) + usize::from(random.one_in(8)) {
        let odd = if random.one_in(2) { ODD[random.below(ODD.len())] } else { Odd::Nothing };
        bytes.extend_from_slice(&request(random, tunnel, odd));
    }
    if random.one_in(3) {
        for _ in 0..=random.below(3) {
            mutate(random, &mut bytes);
        }
    }
    bytes
}

/// One request that nothing is wrong with, after which the connection ends.
pub(super) fn regular(random: &mut Random, tunnel: bool) -> Vec<u8> {
    let mut bytes = request(random, tunnel, Odd::Nothing);
    let line = bytes.windows(2).position(|pair| pair == b"\r\n").unwrap() + 2;
    bytes.splice(line..line, *b"Connection: close\r\n");
    bytes
}

/// The part of a request that is out of the ordinary.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Odd {
    Nothing,
    Method,
    Path,
    Host,
    Field,
    Framing,
    /// The form of the target, the version, or a line's end.
    Form,
}

const ODD: &[Odd] = &[Odd::Method, Odd::Path, Odd::Host, Odd::Field, Odd::Framing, Odd::Form];

fn request(random: &mut Random, tunnel: bool, odd: Odd) -> Vec<u8> {
    let method = random.of(if odd == Odd::Method { ODD_METHODS } else { METHODS });
    let path = random.of(if odd == Odd::Path { ODD_PATHS } else { PATHS });
    let form = if odd == Odd::Form { random.below(14) } else { usize::MAX };
    let absolute = tunnel == (form == 0);
    let origin = match form {
        1 => "http://evil.example",
        2 => "https://up.example",
        3 => "http://x@up.example",
        4 => "HTTP://UP.example.:80",
        5 => "http://up.example:8080",
        _ => "http://up.example",
    };
    let version = match form {
        6 => "HTTP/1.0",
        7..=9 => random.of(&["HTTP/1.2", "HTTP/2.0", "http/1.1", "HTTP/1.1 ", "HTTP/1.1\t", ""]),
        _ => "HTTP/1.1",
    };
    let origin = if absolute { origin } else { "" };
    let mut head = format!("{method} {origin}{path} {version}\r\n");
    let host = if odd == Odd::Host { random.of(ODD_HOSTS) } else { "Host: up.example" };
    let mut fields = vec![host];
    for _ in 0..random.below(3) {
        fields.push(random.of(FIELDS));
    }
    for _ in 0..if odd == Odd::Field { 1 + random.below(2) } else { 0 } {
        let at = random.below(fields.len() + 1);
        fields.insert(at, random.of(ODD_FIELDS));
    }
    for field in fields {
        head.push_str(field);
        head.push_str("\r\n");
    }
    let body = framing(random, &mut head, odd);
    head.push_str(if form == 10 { "\n" } else { "\r\n" });
    // Latin-1, so that every byte can be written.
    let latin = head.chars().chain(body.chars()).map(|c| u8::try_from(u32::from(c)).unwrap());
    latin.collect()
}

/// Adds what says where the body ends; returns the body.
fn framing<'a>(random: &mut Random, head: &mut String, odd: Odd) -> &'a str {
    let (lengths, codings, chunked) =
        if odd == Odd::Framing { (LENGTHS.len(), CODINGS.len(), CHUNKED.len()) } else { (3, 3, 6) };
    let lengths = |head: &mut String, random: &mut Random| {
        write!(head, "Content-Length: {}\r\n", random.of(&LENGTHS[..lengths])).unwrap();
    };
    let codings = |head: &mut String, random: &mut Random| {
        write!(head, "Transfer-Encoding: {}\r\n", random.of(&CODINGS[..codings])).unwrap();
    };
    let chunked = random.of(&CHUNKED[..chunked]);
    match random.below(if odd == Odd::Framing { 8 } else { 5 }) {
        0 | 1 => "",
        2 => {
            lengths(head, random);
            "body"
        }
        3 | 4 => {
            codings(head, random);
            chunked
        }
        5 => {
            lengths(head, random);
            codings(head, random);
            chunked
        }
        6 => {
            codings(head, random);
            lengths(head, random);
            chunked
        }
        _ => {
            lengths(head, random);
            lengths(head, random);
            "body"
        }
    }
}

/// Changes a few bytes, wherever they are.
fn mutate(random: &mut Random, bytes: &mut Vec<u8>) {
    const ODD: &[u8] = b"\r\n\0\t :;,\"\\/%#@?\x0b\x0c\x7f\x80\xff0aA.-_";
    let at = random.below(bytes.len());
    let end = (at + 1 + random.below(8)).min(bytes.len());
    match random.below(6) {
        0 => bytes[at] = ODD[random.below(ODD.len())],
        1 => bytes.insert(at, ODD[random.below(ODD.len())]),
        2 => drop(bytes.remove(at)),
        3 => bytes[at] ^= 1 << random.below(8),
        4 => {
            let piece = bytes[at..end].to_vec();
            let to = random.below(bytes.len());
            bytes.splice(to..to, piece);
        }
        _ => drop(bytes.drain(at..end)),
    }
    if bytes.is_empty() {
        bytes.push(b'\n');
    }
}
