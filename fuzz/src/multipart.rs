//! Multipart forms: the same fields however they arrive, and those that a naive reader finds.

use holdgate::inspect::multipart::{Broken, Multipart};

/// The first line is the media type, the rest the body.
pub fn multipart(data: &[u8]) {
    let Some(end) = data.iter().position(|byte| *byte == b'\n') else { return };
    let (first, body) = (&data[..end], &data[end + 1..]);
    let Ok(content_type) = std::str::from_utf8(first) else { return };
    let whole = fields(content_type, body, body.len());
    for piece in [1, 3] {
        let pieces = fields(content_type, body, piece);
        assert_eq!(pieces.is_ok(), whole.is_ok(), "pieces make a difference");
        if let (Ok(whole), Ok(pieces)) = (&whole, pieces) {
            assert_eq!(*whole, pieces, "pieces make a difference");
        }
    }
    if let Ok(names) = whole
        && let Some(expected) = naive(content_type, body)
    {
        assert_eq!(names, expected);
    }
}

fn fields(content_type: &str, body: &[u8], piece: usize) -> Result<Vec<String>, Broken> {
    let mut names = Vec::new();
    let mut form = Multipart::new(content_type)?;
    for bytes in body.chunks(piece.max(1)) {
        form.read(bytes, |name| names.push(name.to_owned()))?;
    }
    form.end()?;
    Ok(names)
}

/// The names of an accepted form, by cutting it at its boundary; none where quotes need a parser.
fn naive(content_type: &str, body: &[u8]) -> Option<Vec<String>> {
    let delimiter = format!("\r\n--{}", parameter(content_type, "boundary")?);
    let body = [b"\r\n", body].concat();
    let mut parts = Vec::new();
    let mut from = 0;
    while let Some(at) = find(&body[from..], delimiter.as_bytes()) {
        parts.push(&body[from..from + at]);
        from += at + delimiter.len();
    }
    assert!(matches!(&body[from..], b"--" | b"--\r\n"), "it does not end with its boundary");
    assert_eq!(parts.first(), Some(&&b""[..]), "text stands before its first part");
    let mut names = Vec::new();
    for part in &parts[1..] {
        let head = part.strip_prefix(b"\r\n").expect("a boundary ends its line");
        let end = find(head, b"\r\n\r\n").expect("a part has a head");
        let head = std::str::from_utf8(&head[..end]).expect("it is text");
        let mut lines = head.split("\r\n").filter_map(|line| line.split_once(':'));
        let said = lines.find(|(name, _)| name.eq_ignore_ascii_case("content-disposition"));
        names.push(parameter(said.expect("a part says what it is").1, "name")?);
    }
    Some(names)
}

fn parameter(value: &str, wanted: &str) -> Option<String> {
    if value.matches('"').any(|_| value.contains('\\')) {
        return None;
    }
    // A semicolon in quotes makes an odd number of them in the piece before it.
    let pieces: Vec<&str> = value.split(';').collect();
    if pieces.iter().any(|piece| piece.matches('"').count() % 2 == 1) {
        return None;
    }
    let mut found = pieces.iter().skip(1).filter_map(|piece| piece.split_once('='));
    let (_, value) = found.find(|(name, _)| name.trim().eq_ignore_ascii_case(wanted))?;
    Some(value.trim().trim_matches('"').to_owned())
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len()).position(|window| window == wanted)
}
