//! What in a body overrides the method of its request.
//!
//! Takes the head of a POST and its body, piece by piece, so that a body of any length can be looked
//! through; returns an [`Objection`] at the first field that frameworks take for the method that is
//! really meant: in a form, in a multipart form, at the top of a JSON document. Refuses a body in
//! which such a field could stand unseen.

use super::Unreadable;
use super::multipart::Multipart;
use crate::message::Head;
use crate::message::path::overrides_method;
use http::{Method, header};

/// What speaks against a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Objection {
    /// It overrides the method; where.
    #[error("the method is overridden ({0}); send the method that is meant")]
    Override(&'static str),
    /// A secret stands in it that does not belong where it goes; how much had been sent by then.
    #[error(
        "a secret that does not belong to this host stands in the body; {0} bytes of it had been sent when that was seen"
    )]
    Leak(u64),
    /// Its agent is in quarantine since it began; how much had been sent by then.
    #[error(
        "the agent was put in quarantine while the body was on its way; {0} bytes of it had been sent"
    )]
    Quarantined(u64),
    /// It cannot be told.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
}

/// A body that is looked through as it comes.
#[derive(Debug)]
pub struct Watch(Kind);

#[derive(Debug)]
enum Kind {
    Form(Form),
    Json(Json),
    Multipart(Box<Multipart>),
    Parts(Parts),
}

impl Watch {
    /// What to look through the body of a request with; nothing where no server would look for a
    /// method in it. Of a service that a catalog describes it is known that its JSON has none.
    pub fn of(head: &Head, catalogued: bool) -> Result<Option<Self>, Unreadable> {
        let post = *head.method() == Method::POST;
        let Some(kind) = head.media_type() else {
            if head.headers().contains_key(header::CONTENT_TYPE) {
                // Servers guess differently at a type that is no text, or there twice.
                return Err(Unreadable::Form);
            }
            // Some frameworks take a POST that does not say what it carries for a form.
            return Ok(post.then(|| Self(Kind::Form(Form::default()))));
        };
        let watch = match &*kind {
            "" if post => Kind::Form(Form::default()),
            FORM if matches!(*head.method(), Method::GET | Method::HEAD) => {
                // Some servers read the form of a GET all the same.
                return Err(Unreadable::Form);
            }
            FORM => Kind::Form(Form::default()),
            "multipart/form-data" if post => {
                let content_type = head.header("content-type").unwrap_or_default();
                Kind::Multipart(Box::new(
                    Multipart::new(content_type).map_err(Unreadable::Multipart)?,
                ))
            }
            "multipart/related" | "multipart/mixed" if post => Kind::Parts(Parts::default()),
            kind if post && !catalogued && is_json(kind) => Kind::Json(Json::default()),
            _ => return Ok(None),
        };
        if !head.is_utf8() {
            return Err(Unreadable::Charset);
        }
        Ok(Some(Self(watch)))
    }

    /// Looks through what comes next.
    pub fn read(&mut self, bytes: &[u8]) -> Result<(), Objection> {
        match &mut self.0 {
            Kind::Form(form) => form.read(bytes),
            Kind::Json(json) => json.read(bytes),
            Kind::Parts(parts) => parts.read(bytes),
            Kind::Multipart(form) => {
                let mut objection = Ok(());
                let read = form.read(bytes, |name| {
                    if objection.is_ok() {
                        objection = named(name, "a form field");
                    }
                });
                objection?;
                read.map_err(|why| Unreadable::Multipart(why).into())
            }
        }
    }

    /// Looks at the end that it has come to.
    pub fn end(&mut self) -> Result<(), Objection> {
        match &mut self.0 {
            Kind::Form(form) => form.read(b"&"),
            Kind::Json(_) => Ok(()),
            Kind::Parts(parts) => parts.read(b"\n"),
            Kind::Multipart(form) => form.end().map_err(|why| Unreadable::Multipart(why).into()),
        }
    }
}

/// The media type of forms.
pub(super) const FORM: &str = "application/x-www-form-urlencoded";

/// The lines that name a part, in multipart bodies that are no forms and that some frameworks take
/// for one all the same. Such bodies have many grammars, so a line counts wherever it stands.
#[derive(Debug, Default)]
struct Parts {
    line: Vec<u8>,
}

impl Parts {
    fn read(&mut self, bytes: &[u8]) -> Result<(), Objection> {
        const LONGEST: usize = 1 << 10;
        for byte in bytes {
            if matches!(byte, b'\r' | b'\n') {
                let line = std::mem::take(&mut self.line).to_ascii_lowercase();
                let names = [&b"content-disposition"[..], b"content-id"];
                let is_name = names.iter().any(|name| line.trim_ascii_start().starts_with(name));
                if is_name && memchr::memmem::find(&line, b"method").is_some() {
                    return Err(Objection::Override("the name of a part"));
                }
            } else if self.line.len() < LONGEST {
                self.line.push(*byte);
            }
        }
        Ok(())
    }
}

/// Whether a media type is JSON (RFC 6839 section 3.1).
fn is_json(kind: &str) -> bool {
    ["/json", "+json", "-json"].iter().any(|end| kind.ends_with(end))
}

fn named(name: &str, place: &'static str) -> Result<(), Objection> {
    let name = name.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    if name.eq_ignore_ascii_case("_charset_") {
        // The rest would be in the charset that its value names.
        return Err(Unreadable::Charset.into());
    }
    if overrides_method(name) { Err(Objection::Override(place)) } else { Ok(()) }
}

/// As much of a name as has to be known to tell an override.
const LONGEST_NAME: usize = 64;

/// The names in a form, whatever separates its pairs.
#[derive(Debug, Default)]
struct Form {
    name: Vec<u8>,
    escape: Percent,
    in_value: bool,
}

/// What is here of a percent escape.
#[derive(Clone, Copy, Debug, Default)]
enum Percent {
    #[default]
    None,
    Begun,
    High(u8),
}

impl Form {
    fn read(&mut self, bytes: &[u8]) -> Result<(), Objection> {
        for byte in bytes {
            match byte {
                b'&' | b';' => {
                    self.named()?;
                    self.in_value = false;
                }
                _ if self.in_value => {}
                b'=' => {
                    self.named()?;
                    self.in_value = true;
                }
                byte => self.decode(*byte),
            }
        }
        Ok(())
    }

    fn decode(&mut self, byte: u8) {
        let digit = || char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        match std::mem::take(&mut self.escape) {
            Percent::None if byte == b'%' => self.escape = Percent::Begun,
            Percent::None => self.push(if byte == b'+' { b' ' } else { byte }),
            Percent::Begun => match digit() {
                Some(high) => self.escape = Percent::High(high),
                None => self.push(byte),
            },
            Percent::High(high) => self.push(digit().map_or(byte, |low| high << 4 | low)),
        }
    }

    fn push(&mut self, byte: u8) {
        // Some frameworks trim a name, so what is trimmed may be of any length.
        let trimmed = byte.is_ascii_whitespace() || byte.is_ascii_control();
        if self.name.len() < LONGEST_NAME && !(self.name.is_empty() && trimmed) {
            self.name.push(byte);
        }
    }

    fn named(&mut self) -> Result<(), Objection> {
        self.escape = Percent::None;
        let name = std::mem::take(&mut self.name);
        named(&String::from_utf8_lossy(&name), "a form field")
    }
}

/// The keys at the top of a JSON document. What is no JSON outside its strings is refused, because
/// it could hide where a string begins.
#[derive(Debug, Default)]
struct Json {
    depth: usize,
    string: Option<Escape>,
    /// The last string at the top, which is a key if a colon follows.
    last: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Escape {
    None,
    Begun,
    /// The digits of a `\u` escape so far.
    Unicode(u32, u8),
}

impl Json {
    fn read(&mut self, bytes: &[u8]) -> Result<(), Objection> {
        for byte in bytes {
            match self.string {
                Some(escape) => self.inside(escape, *byte),
                None => self.outside(*byte)?,
            }
        }
        Ok(())
    }

    fn inside(&mut self, escape: Escape, byte: u8) {
        self.string = match (escape, byte) {
            (Escape::None, b'"') => None,
            (Escape::None, b'\\') => Some(Escape::Begun),
            (Escape::None, _) => {
                self.push(byte);
                Some(Escape::None)
            }
            (Escape::Begun, b'u') => Some(Escape::Unicode(0, 0)),
            (Escape::Begun, _) => {
                // What the short escapes mean, no name of an override has in it but to be trimmed.
                self.push(if byte == b'/' { byte } else { b' ' });
                Some(Escape::None)
            }
            (Escape::Unicode(value, digits), _) => {
                let digit = char::from(byte).to_digit(16).unwrap_or(0);
                let value = value << 4 | digit;
                if digits < 3 {
                    Some(Escape::Unicode(value, digits + 1))
                } else {
                    self.push(u8::try_from(value).unwrap_or(b'?'));
                    Some(Escape::None)
                }
            }
        };
    }

    fn outside(&mut self, byte: u8) -> Result<(), Objection> {
        match byte {
            b'"' => {
                self.last.clear();
                self.string = Some(Escape::None);
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => self.depth = self.depth.saturating_sub(1),
            b':' if self.depth <= 1 => {
                let name = String::from_utf8_lossy(&self.last);
                // A key that is marked; `method` and its like are words of many APIs.
                if name.trim_start().starts_with(['_', '$']) {
                    named(&name, "a JSON field")?;
                }
            }
            b':' | b',' | b' ' | b'\t' | b'\r' | b'\n' | b'+' | b'-' | b'.' => {}
            byte if byte.is_ascii_alphanumeric() => {}
            _ => return Err(Unreadable::Json.into()),
        }
        Ok(())
    }

    fn push(&mut self, byte: u8) {
        if self.depth <= 1 && self.last.len() < LONGEST_NAME {
            self.last.push(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::head;

    fn look(content_type: Option<&str>, body: &str, pieces: usize) -> Result<(), Objection> {
        let headers: Vec<(&str, &str)> =
            content_type.iter().map(|value| ("content-type", *value)).collect();
        let head = head("POST", "https://a.test/x", &headers).unwrap();
        let Some(mut watch) = Watch::of(&head, false)? else { return Ok(()) };
        for piece in body.as_bytes().chunks(pieces) {
            watch.read(piece)?;
        }
        watch.end()
    }

    const FORM: Option<&str> = Some(super::FORM);
    const JSON: Option<&str> = Some("application/json; charset=utf-8");
    const MULTIPART: Option<&str> = Some("multipart/form-data; boundary=b");

    #[test]
    fn overrides_are_seen_however_the_body_is_cut() {
        let part = "--b\r\nContent-Disposition: form-data; name=\"_method\"\r\n\r\nDELETE\r\n--b--";
        for (kind, body) in [
            (FORM, "_method=DELETE"),
            (FORM, "a=b&_method=DELETE"),
            (FORM, "a=b;_METHOD=DELETE"),
            (FORM, "a=b&%5fmeth%6Fd=DELETE"),
            (FORM, "a=b&%20+%00_method[]=DELETE"),
            (FORM, "a=b&x-http-method-override=DELETE"),
            (FORM, "a=b&_method"),
            (None, "a=b&_method=DELETE"),
            (JSON, "{\"a\":{\"b\":[1]},\"_method\":\"DELETE\"}"),
            (JSON, "{\"\\u005Fmethod\" : \"DELETE\"}"),
            (JSON, "{\"a\":\"\\\\\",\"_method\":\"DELETE\"}"),
            (Some("application/vnd.api+json"), "{\"_method\":\"DELETE\"}"),
            (MULTIPART, part),
            (Some("multipart/related; boundary=b"), part),
            (Some("multipart/mixed; boundary=b"), part),
            (Some("text/x-json"), "{\"_method\":\"DELETE\"}"),
        ] {
            for pieces in [1, 2, 3, 4096] {
                let found = look(kind, body, pieces);
                assert!(matches!(found, Err(Objection::Override(_))), "{body} {found:?}");
            }
        }
    }

    #[test]
    fn what_is_everyday_passes() {
        let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
        for (kind, body) in [
            (FORM, "method=card&a=_method&b=x_method"),
            (FORM, "{\"query\":\"{ a }\"}"),
            (FORM, ""),
            (None, "\0\u{1}binary \u{fffd} & more"),
            (JSON, "{\"method\":\"tools/call\",\"params\":{\"_method\":\"a\"},\"x\":\"_method\"}"),
            (JSON, "[{\"a\":1.5e-3}]"),
            (JSON, "\"a \\\" _method: \\u00e9 é\""),
            (JSON, &deep),
            (Some("text/plain"), "_method=DELETE"),
            (Some("application/octet-stream"), "_method=DELETE"),
        ] {
            assert_eq!(look(kind, body, 3), Ok(()), "{body:.60}");
        }
    }

    #[test]
    fn where_one_could_stand_unseen_is_unreadable() {
        for (kind, body, why) in [
            (FORM, "_charset_=utf-16", Unreadable::Charset),
            (Some("application/json; charset=utf-16"), "{}", Unreadable::Charset),
            (Some("application/x-www-form-urlencoded; charset=ibm037"), "", Unreadable::Charset),
            (JSON, "{/*\"*/\"_method\":1}", Unreadable::Json),
            (JSON, "{'_method':1}", Unreadable::Json),
            (JSON, "\u{feff}{}", Unreadable::Json),
            (
                MULTIPART,
                "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n",
                Unreadable::Multipart("it does not end with its last boundary"),
            ),
        ] {
            assert_eq!(look(kind, body, 4096), Err(why.into()), "{body}");
        }
    }
}
