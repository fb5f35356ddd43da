//! Chunked bodies, as they come after a head.

/// Reads the bytes as a chunked body and whatever follows it on the connection.
pub fn chunked_body(data: &[u8]) {
    const HEAD: &[u8] = b"POST /x HTTP/1.1\r\nHost: a.test\r\nTransfer-Encoding: chunked\r\n\r\n";
    super::head::connection(&[HEAD, data].concat());
}

/// A chunked body, and how many bytes it takes; none where more has to come or it is no such body.
pub(super) fn read(bytes: &[u8]) -> Option<(Vec<u8>, usize)> {
    let mut body = Vec::new();
    let mut at = 0;
    loop {
        let line = line(bytes, &mut at)?;
        let size = line.split(|byte| *byte == b';').next()?;
        let size = std::str::from_utf8(size).ok().filter(|size| !size.starts_with('+'))?;
        let size = usize::from_str_radix(size, 16).ok()?;
        if size == 0 {
            break;
        }
        let end = at.checked_add(size)?;
        body.extend_from_slice(bytes.get(at..end)?);
        at = end;
        if !self::line(bytes, &mut at)?.is_empty() {
            return None;
        }
    }
    // Trailers are read and left out.
    while !line(bytes, &mut at)?.is_empty() {}
    Some((body, at))
}

fn line<'a>(bytes: &'a [u8], at: &mut usize) -> Option<&'a [u8]> {
    let rest = bytes.get(*at..)?;
    let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
    *at += end + 2;
    rest.get(..end)
}
