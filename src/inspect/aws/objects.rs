//! The list of objects that S3 is told to delete, in XML.
//!
//! Takes the body of `POST /BUCKET?delete`; returns keys and versions as JSON. One grammar only:
//! `Delete` with `Object`s of one `Key` each. Refuses document types, entities of its own, comments,
//! processing instructions, prefixes, and elements that nobody sends.

use crate::inspect::Unreadable;
use quick_xml::Reader;
use quick_xml::events::{BytesRef, BytesStart, Event};
use serde_json::{Map, Value};

/// More than the service takes at a time.
const MOST: usize = 1_000;

const XML: Unreadable = Unreadable::Aws("the list of objects to delete does not parse");

/// Reads the body.
pub(super) fn read(body: &[u8]) -> Result<Value, Unreadable> {
    let text = str::from_utf8(body).map_err(|_utf8| XML)?;
    let mut reader = Reader::from_str(text.strip_prefix('\u{feff}').unwrap_or(text));
    reader.config_mut().check_end_names = true;
    let mut list = List::default();
    loop {
        match reader.read_event().map_err(|_error| XML)? {
            Event::Start(element) => list.open(&element)?,
            Event::End(_) => list.close()?,
            Event::Empty(element) => {
                list.open(&element)?;
                list.close()?;
            }
            Event::Text(text) => list.text(&text.decode().map_err(|_error| XML)?)?,
            Event::GeneralRef(reference) => list.text(&character(&reference)?.to_string())?,
            Event::Decl(declaration) if list.path.is_empty() && !list.done => {
                let encoding = declaration.encoding().transpose().map_err(|_error| XML)?;
                if encoding.is_some_and(|name| !name.eq_ignore_ascii_case(b"utf-8")) {
                    return Err(Unreadable::Charset);
                }
            }
            Event::Eof => break,
            _ => return Err(XML),
        }
    }
    if list.done && list.path.is_empty() && !list.objects.is_empty() {
        Ok(Value::Array(list.objects))
    } else {
        Err(XML)
    }
}

/// The one character of a reference: by number, or one of the five that XML has itself.
fn character(reference: &BytesRef<'_>) -> Result<char, Unreadable> {
    if let Some(character) = reference.resolve_char_ref().map_err(|_error| XML)? {
        return Ok(character);
    }
    match &**reference {
        b"amp" => Ok('&'),
        b"apos" => Ok('\''),
        b"gt" => Ok('>'),
        b"lt" => Ok('<'),
        b"quot" => Ok('"'),
        _ => Err(XML),
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Delete,
    Object,
    Field(&'static str),
    Quiet,
}

#[derive(Debug, Default)]
struct List {
    path: Vec<Place>,
    object: Map<String, Value>,
    field: String,
    objects: Vec<Value>,
    done: bool,
}

impl List {
    fn open(&mut self, element: &BytesStart<'_>) -> Result<(), Unreadable> {
        for attribute in element.attributes() {
            if attribute.map_err(|_error| XML)?.key.as_ref() != b"xmlns" {
                return Err(XML);
            }
        }
        let place = match (self.path.last(), element.name().as_ref()) {
            (None, b"Delete") if !self.done => Place::Delete,
            (Some(Place::Delete), b"Object") if self.objects.len() < MOST => Place::Object,
            (Some(Place::Delete), b"Quiet") => Place::Quiet,
            (Some(Place::Object), b"Key") => Place::Field("Key"),
            (Some(Place::Object), b"VersionId") => Place::Field("VersionId"),
            (Some(Place::Object), b"ETag") => Place::Field("ETag"),
            (Some(Place::Object), b"LastModifiedTime") => Place::Field("LastModifiedTime"),
            (Some(Place::Object), b"Size") => Place::Field("Size"),
            _ => return Err(XML),
        };
        self.field.clear();
        self.path.push(place);
        Ok(())
    }

    fn text(&mut self, text: &str) -> Result<(), Unreadable> {
        match self.path.last() {
            Some(Place::Field(_) | Place::Quiet) => self.field.push_str(text),
            _ if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() => {}
            _ => return Err(XML),
        }
        Ok(())
    }

    fn close(&mut self) -> Result<(), Unreadable> {
        match self.path.pop() {
            Some(Place::Field(name)) => {
                let value = Value::String(std::mem::take(&mut self.field));
                if self.object.insert(name.to_owned(), value).is_some() {
                    return Err(XML);
                }
            }
            Some(Place::Object) => {
                let object = std::mem::take(&mut self.object);
                if object.get("Key").and_then(Value::as_str).is_none_or(str::is_empty) {
                    return Err(XML);
                }
                self.objects.push(Value::Object(object));
            }
            Some(Place::Delete) => self.done = true,
            Some(Place::Quiet) => {}
            None => return Err(XML),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn keys_and_versions() {
        let cases = [
            ("<Delete><Object><Key>a</Key></Object></Delete>", json!([{"Key": "a"}])),
            (
                "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Delete xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n <Object><Key> a&amp;&#x62; </Key><VersionId>1</VersionId></Object>\n <Object><Key>c</Key></Object><Quiet>true</Quiet></Delete>\n",
                json!([{"Key": " a&b ", "VersionId": "1"}, {"Key": "c"}]),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(read(text.as_bytes()), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_not_of_the_one_grammar_is_refused() {
        let object = "<Object><Key>a</Key></Object>";
        let cases = [
            String::new(),
            "{}".to_owned(),
            "<Delete/>".to_owned(),
            "<Delete></Delete>".to_owned(),
            object.to_owned(),
            format!("<Delete>{object}"),
            format!("<Delete>{object}</Remove>"),
            format!("<Delete>{object}</Delete><Delete>{object}</Delete>"),
            format!("<Delete>{object}</Delete>x"),
            format!("<Delete>x{object}</Delete>"),
            format!("<!DOCTYPE Delete [<!ENTITY x \"y\">]><Delete>{object}</Delete>"),
            format!("<?xml version=\"1.0\" encoding=\"UTF-16\"?><Delete>{object}</Delete>"),
            format!("<Delete><?x y?>{object}</Delete>"),
            format!("<Delete><!-- {object} -->{object}</Delete>"),
            format!("<s:Delete xmlns:s=\"x\">{object}</s:Delete>"),
            format!("<Delete x=\"y\">{object}</Delete>"),
            "<Delete><Object><Key>&x;</Key></Object></Delete>".to_owned(),
            "<Delete><Object><Key>a</Key><Key>b</Key></Object></Delete>".to_owned(),
            "<Delete><Object><Key/></Object></Delete>".to_owned(),
            "<Delete><Object><VersionId>1</VersionId></Object></Delete>".to_owned(),
            "<Delete><Object><Key>a<b/></Key></Object></Delete>".to_owned(),
            "<Delete><Key>a</Key></Delete>".to_owned(),
            "<Delete><Object><Key><![CDATA[a]]></Key></Object></Delete>".to_owned(),
            format!("<Delete>{}</Delete>", object.repeat(MOST + 1)),
            "<Delete>".repeat(100_000),
        ];
        for text in cases {
            assert!(read(text.as_bytes()).is_err(), "{text:.200}");
        }
        assert!(read(b"<Delete><Object><Key>\xff</Key></Object></Delete>").is_err());
    }
}
