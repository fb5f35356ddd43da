//! Multipart forms (RFC 7578) in the one grammar that every parser reads alike.
//!
//! Takes the parameter of a `Content-Type` and a body, piece by piece; returns the names of its
//! fields as they come. Refuses whatever parsers disagree about: text around the parts, two names,
//! names in another charset, transfer codings, parts that have parts, line ends without a return.

use memchr::memmem;

/// The longest head that a part may have.
const LONGEST_HEAD: usize = 8 << 10;

const INSIDE: Broken = "its boundary stands inside a part";

/// Why a form cannot be read.
pub type Broken = &'static str;

/// A form as far as it has come.
#[derive(Debug)]
pub struct Multipart {
    /// A line end, two hyphens and the boundary.
    delimiter: Vec<u8>,
    pending: Vec<u8>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Start,
    /// Behind a boundary.
    Behind,
    Head,
    Data,
    End,
}

/// A field of a form that is here whole.
#[derive(Debug)]
pub struct Field<'b> {
    /// Its name.
    pub name: String,
    /// Its bytes.
    pub data: &'b [u8],
}

/// More fields than that are no everyday form.
const FIELDS: usize = 1_000;

/// The fields of a form that is here whole.
pub fn fields<'b>(content_type: &str, body: &'b [u8]) -> Result<Vec<Field<'b>>, Broken> {
    let mut form = Multipart::new(content_type)?;
    form.pending = body.to_vec();
    let mut fields: Vec<Field<'b>> = Vec::new();
    let (mut at, mut begun) = (0, None);
    loop {
        let (before, mut name) = (form.state, None);
        let Some(taken) = form.step(at, &mut |field| name = Some(field.to_owned()))? else { break };
        at += taken;
        match (before, form.state) {
            (State::Head, _) => begun = name.map(|name| (name, at)),
            (State::Data, State::Behind) => {
                let end = at.saturating_sub(form.delimiter.len());
                let Some((name, start)) = begun.take() else { continue };
                let data = body.get(start..end).ok_or(INSIDE)?;
                if fields.len() == FIELDS {
                    return Err("it has more than 1,000 fields");
                }
                fields.push(Field { name, data });
            }
            _ => {}
        }
    }
    form.pending.drain(..at.min(form.pending.len()));
    form.end()?;
    Ok(fields)
}

impl Multipart {
    /// A form with the boundary that its media type says (RFC 2046 section 5.1.1).
    pub fn new(content_type: &str) -> Result<Self, Broken> {
        let boundary = boundary(content_type)?;
        let delimiter = [b"\r\n--", boundary.as_bytes()].concat();
        Ok(Self { delimiter, pending: Vec::new(), state: State::Start })
    }

    /// Reads what comes next, and tells each field's name.
    pub fn read(&mut self, bytes: &[u8], mut field: impl FnMut(&str)) -> Result<(), Broken> {
        self.pending.extend_from_slice(bytes);
        let mut at = 0;
        while let Some(taken) = self.step(at, &mut field)? {
            at += taken;
        }
        self.pending.drain(..at.min(self.pending.len()));
        Ok(())
    }

    /// Whether the end that it has come to is its own.
    pub fn end(&self) -> Result<(), Broken> {
        let closed = self.state == State::End && matches!(&*self.pending, b"" | b"\r\n");
        if closed { Ok(()) } else { Err("it does not end with its last boundary") }
    }

    /// Two hyphens and the boundary.
    fn dashes(&self) -> &[u8] {
        self.delimiter.get(2..).unwrap_or_default()
    }

    /// Takes a first part of what stands from there on; nothing where more has to come.
    fn step(&mut self, at: usize, field: &mut impl FnMut(&str)) -> Result<Option<usize>, Broken> {
        let pending = self.pending.get(at..).unwrap_or_default();
        let (taken, next) = match self.state {
            State::Start => {
                let first = self.dashes();
                if !first.starts_with(pending.get(..first.len()).unwrap_or(pending)) {
                    return Err("text stands before its first part");
                }
                if pending.len() < first.len() {
                    return Ok(None);
                }
                (first.len(), State::Behind)
            }
            State::Behind => match pending.get(..2) {
                None => return Ok(None),
                Some(b"\r\n") => (2, State::Head),
                Some(b"--") => (2, State::End),
                Some(_) => return Err("a boundary is followed by something else than a line end"),
            },
            State::Head => {
                let within = pending.get(..LONGEST_HEAD).unwrap_or(pending);
                let Some(end) = memmem::find(within, b"\r\n\r\n") else {
                    if within.len() == LONGEST_HEAD {
                        return Err("the head of a part is too long");
                    }
                    return Ok(None);
                };
                let head = pending.get(..end).unwrap_or_default();
                if memmem::find(head, self.dashes()).is_some() {
                    return Err(INSIDE);
                }
                field(&name(head)?);
                (end + 4, State::Data)
            }
            State::Data => {
                let Some(dashes) = memmem::find(pending, self.dashes()) else {
                    // The rest may be the beginning of a boundary.
                    let kept = self.delimiter.len() - 1;
                    let taken = pending.len().saturating_sub(kept);
                    return Ok((taken > 0).then_some(taken));
                };
                // Some parsers take it for a boundary behind any line end, at the head's end or
                // anywhere in a line.
                let own = dashes.checked_sub(2).and_then(|at| pending.get(at..dashes));
                if own != Some(b"\r\n") {
                    return Err(INSIDE);
                }
                (dashes + self.dashes().len(), State::Behind)
            }
            State::End if pending.len() > 2 => return Err("text stands behind its last part"),
            State::End => return Ok(None),
        };
        self.state = next;
        Ok(Some(taken))
    }
}

/// The one boundary, in plain characters.
fn boundary(content_type: &str) -> Result<String, Broken> {
    let parameters = content_type.split_once(';').map_or("", |(_, parameters)| parameters);
    let mut found = None;
    for (name, value) in parameters_of(parameters)? {
        if name.eq_ignore_ascii_case("boundary") {
            if found.replace(value).is_some() {
                return Err("it has two boundaries");
            }
        } else if !name.eq_ignore_ascii_case("charset")
            || value.to_ascii_lowercase().contains("boundary")
        {
            // Some parsers look for the word wherever it stands.
            return Err("it has a parameter beside its boundary");
        }
    }
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=?".contains(&byte);
    found
        .filter(|boundary| (1..=70).contains(&boundary.len()) && boundary.bytes().all(plain))
        .ok_or("it has no boundary of plain characters")
}

/// The name of a part's field, from its head.
fn name(head: &[u8]) -> Result<String, Broken> {
    let head = std::str::from_utf8(head).map_err(|_utf8| "the head of a part is not UTF-8")?;
    let mut found = None;
    for line in head.split("\r\n") {
        if line.contains(['\r', '\n', '\0']) {
            return Err("a line of a part's head has a bare line end");
        }
        let (field, value) = line.split_once(':').ok_or("the head of a part is not of fields")?;
        let value = value.trim_matches([' ', '\t']);
        let field = field.to_ascii_lowercase();
        let token = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if field.is_empty() || !field.bytes().all(token) {
            return Err("a field of a part's head has a name that is not plain");
        }
        match &*field {
            "content-disposition" => {
                let (kind, parameters) =
                    value.split_once(';').ok_or("a part does not say its name")?;
                if !kind.trim().eq_ignore_ascii_case("form-data") {
                    return Err("a part is no field of a form");
                }
                if found.replace(disposition(parameters)?).is_some() {
                    return Err("a part has two names");
                }
            }
            "content-transfer-encoding"
                if !["7bit", "8bit", "binary"].iter().any(|o| value.eq_ignore_ascii_case(o)) =>
            {
                return Err("a part is in a transfer coding");
            }
            "content-type" if value.to_ascii_lowercase().starts_with("multipart/") => {
                return Err("a part has parts of its own");
            }
            _ => {}
        }
    }
    found.ok_or("a part does not say its name")
}

fn disposition(parameters: &str) -> Result<String, Broken> {
    let mut found = None;
    let mut files = 0;
    for (name, value) in parameters_of(parameters)? {
        if value.starts_with('\'') || value.ends_with('\'') {
            return Err("a part's parameter is in quotes that not all parsers know");
        }
        match &*name.to_ascii_lowercase() {
            "name" if found.is_some() => return Err("a part has two names"),
            "name" if value.contains('\\') => return Err("a part's name has an escape in it"),
            "name" => found = Some(value),
            "filename" => files += 1,
            "filename*" => {}
            _ => return Err("a part has a parameter that is not known"),
        }
    }
    if files > 1 {
        return Err("a part has two file names");
    }
    found.ok_or("a part does not say its name")
}

/// `; name=value; name="value"`, without a first semicolon.
fn parameters_of(text: &str) -> Result<Vec<(String, String)>, Broken> {
    const WRONG: Broken = "its parameters are not of the form `name=value`";
    let mut found = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let (name, value) = rest.split_once('=').ok_or(WRONG)?;
        let name = name.trim();
        if name.is_empty() || name.contains(['"', ';', ',', ' ', '\t']) {
            return Err(WRONG);
        }
        let (value, behind) = if let Some(quoted) = value.strip_prefix('"') {
            quoted_value(quoted).ok_or(WRONG)?
        } else {
            let end = value.find(';').unwrap_or(value.len());
            let (value, behind) = value.split_at(end);
            let value = value.trim_end();
            if value.is_empty() || value.contains(['"', ' ', '\t', ',']) {
                return Err(WRONG);
            }
            (value, behind)
        };
        found.push((name.to_owned(), value.to_owned()));
        rest = behind.trim();
        if !rest.is_empty() {
            rest = rest.strip_prefix(';').ok_or(WRONG)?.trim_start();
        }
    }
    Ok(found)
}

/// A quoted value as written, and what stands behind it.
fn quoted_value(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some((text.get(..at)?, text.get(at + 1..)?)),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(content_type: &str, body: &str, pieces: usize) -> Result<Vec<String>, Broken> {
        let mut form = Multipart::new(content_type)?;
        let mut names = Vec::new();
        for piece in body.as_bytes().chunks(pieces) {
            form.read(piece, |name| names.push(name.to_owned()))?;
        }
        form.end().map(|()| names)
    }

    const TYPE: &str = "multipart/form-data; boundary=b1";

    #[test]
    fn what_clients_send_is_read() {
        let cases = [
            ("--b1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n--b1--\r\n", "a"),
            ("--b1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n\r\n--b1--", "a"),
            (
                "--b1\r\nContent-Disposition: form-data; name=\"a b[]\"; filename=\"x\\\"y.txt\"\r\nContent-Type: text/plain\r\n\r\n--b\r\n\r\n--b1\r\ncontent-type: x/y\r\nContent-Transfer-Encoding: binary\r\ncontent-disposition: form-data; name=c; filename*=utf-8''z\r\n\r\n\0\r\n--b1--\r\n",
                "a b[],c",
            ),
            ("--b1--\r\n", ""),
        ];
        for (body, expected) in cases {
            for pieces in [1, 2, 3, 11, 4096] {
                assert_eq!(names(TYPE, body, pieces).unwrap().join(","), expected, "{body}");
            }
        }
        let quoted = "multipart/form-data; charset=utf-8; boundary=\"b1\"";
        assert_eq!(names(quoted, cases[0].0, 5).unwrap(), ["a"]);
    }

    #[test]
    fn what_parsers_disagree_about_is_refused() {
        let part = |head: &str| format!("--b1\r\n{head}\r\n\r\n1\r\n--b1--\r\n");
        const NAME: &str = "Content-Disposition: form-data; name=\"a\"";
        let bodies = [
            format!("preamble\r\n{}", part(NAME)),
            format!("\r\n{}", part(NAME)),
            format!("{}epilogue", part(NAME)),
            part(NAME).replace("\r\n", "\n"),
            part(NAME).replace("--b1--\r\n", "--b1\r\n"),
            part(NAME).replace("--b1--\r\n", ""),
            part(NAME).replacen("--b1\r\n", "--b1 \r\n", 1),
            part(&format!("{NAME}\r\n{NAME}")),
            part(&format!("{NAME}; name=\"_method\"")),
            part(&format!("{NAME}; name*=utf-8''_method")),
            part(&format!("{NAME}; filename=x; filename=y")),
            part(&format!("{NAME}\nX: y")),
            part(&format!("{NAME}\r\n folded")),
            part(&format!("{NAME}\r\nContent-Transfer-Encoding: base64")),
            part(&format!("{NAME}\r\nContent-Type: multipart/mixed; boundary=x")),
            part(NAME).replace("\n1\r\n", "\n"),
            part(NAME).replace("\n1\r\n", "\n1\n--b1\r\n"),
            part(NAME).replace("\n1\r\n", "\n1\r--b1\r\n"),
            part(NAME).replace("\n1\r\n", "\n1--b1\r\n"),
            part(&format!("{NAME}\r\n--b1: x")),
            part("Content-Disposition: form-data; name=\"a\\\"b\""),
            part("Content-Disposition: form-data; name='_method'"),
            part("Content-Disposition: form-data; name=\"'_method'\""),
            part("Content-Disposition: form-data"),
            part("Content-Disposition: attachment; name=\"a\""),
            part("Content-Type: text/plain"),
            part("Content-Disposition : form-data; name=\"a\""),
            part(&format!("{NAME}{}", " ".repeat(9000))),
            String::new(),
        ];
        for body in &bodies {
            assert!(names(TYPE, body, 4096).is_err(), "{body}");
            assert!(names(TYPE, body, 1).is_err(), "{body}");
        }
        for content_type in [
            "multipart/form-data",
            "multipart/form-data; boundary=",
            "multipart/form-data; boundary=b1; boundary=b1",
            "multipart/form-data; boundary=b1; xboundary=evil",
            "multipart/form-data; xboundary=evil; boundary=b1",
            "multipart/form-data; charset=boundary; boundary=b1",
            "multipart/form-data; boundary*=utf-8''b1",
            "multipart/form-data; boundary=\"b1 \"",
            "multipart/form-data; boundary=b 1",
            "multipart/form-data; boundary=\"b1",
            "multipart/form-data; boundary=b1, x",
        ] {
            assert!(names(content_type, &part(NAME), 4096).is_err(), "{content_type}");
        }
    }
}
