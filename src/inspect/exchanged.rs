//! What an answer hands out, where the catalog says which of its members are credentials.
//!
//! Takes an answer of an endpoint that hands out tokens, in JSON, as a form or in XML; returns the values
//! and how long they last. What cannot be read, or has two readings, hands out nothing that is known.

use crate::catalog::TokenEndpoint;
use crate::message::{json, path};
use memchr::memmem;
use serde_json::Value;
use std::time::Duration;
use zeroize::Zeroizing;

/// The media types that are read.
pub const KINDS: &[&str] =
    &["application/json", "application/x-www-form-urlencoded", "text/xml", "application/xml"];

/// How long what was handed out lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// The answer does not say.
    Unsaid,
    /// So many seconds.
    Seconds(u64),
    /// Until then, since 1970.
    Until(Duration),
}

/// What was handed out.
#[derive(Debug)]
pub struct HandedOut {
    /// The values, and whether each renews others and so outlives them.
    pub values: Vec<(bool, Zeroizing<String>)>,
    /// How long those last that do not.
    pub life: Life,
}

/// What an answer of an endpoint hands out.
pub fn read(kind: &str, body: &[u8], endpoint: &TokenEndpoint) -> Option<HandedOut> {
    let answer = Answer::read(kind, body)?;
    let life = match endpoint.life.as_deref().map(|place| answer.at(place)) {
        None | Some(Found::Nothing) => Life::Unsaid,
        Some(Found::One(text)) => life(text.trim())?,
        Some(Found::Unclear) => return None,
    };
    let mut values = Vec::new();
    for place in &endpoint.hands_out {
        match answer.at(place) {
            Found::One(value) if !value.is_empty() => {
                let last = place.rsplit('.').find(|part| *part != "token").unwrap_or(place);
                values.push((last.to_ascii_lowercase().contains("refresh"), value));
            }
            Found::One(_) | Found::Nothing => {}
            Found::Unclear => return None,
        }
    }
    Some(HandedOut { values, life }).filter(|handed_out| !handed_out.values.is_empty())
}

enum Answer<'b> {
    Json(Value),
    Form(Vec<(String, String)>),
    Xml(&'b str),
}

enum Found {
    Nothing,
    One(Zeroizing<String>),
    /// Something stands there that is no text, or twice.
    Unclear,
}

impl<'b> Answer<'b> {
    fn read(kind: &str, body: &'b [u8]) -> Option<Self> {
        let text = str::from_utf8(body).ok()?;
        Some(match kind {
            "application/json" => Self::Json(json::parse(body).ok()?),
            "application/x-www-form-urlencoded" => Self::Form(path::pairs(text).ok()?),
            _ => {
                // Where text may be no element, where an element begins cannot be told by its name.
                let plain = |mark: &str| memmem::find(body, mark.as_bytes()).is_none();
                let is_plain = plain("<!--") && plain("<![") && plain("<!DOCTYPE");
                is_plain.then_some(Self::Xml(text))?
            }
        })
    }

    fn at(&self, place: &str) -> Found {
        match self {
            Self::Json(value) => {
                let mut found = Some(value);
                for part in place.split('.') {
                    found = found.and_then(|value| value.get(part));
                }
                match found {
                    None | Some(Value::Null) => Found::Nothing,
                    Some(Value::String(text)) => Found::One(Zeroizing::new(text.clone())),
                    Some(Value::Number(number)) => Found::One(Zeroizing::new(number.to_string())),
                    Some(_) => Found::Unclear,
                }
            }
            Self::Form(pairs) => {
                let mut values = pairs.iter().filter(|(name, _)| name == place);
                match (values.next(), values.next()) {
                    (None, _) => Found::Nothing,
                    (Some((_, value)), None) => Found::One(Zeroizing::new(value.clone())),
                    (Some(_), Some(_)) => Found::Unclear,
                }
            }
            Self::Xml(text) => element(text, place.rsplit('.').next().unwrap_or(place)),
        }
    }
}

/// The text of the one element of a name that has no attributes and nothing but text in it.
fn element(text: &str, name: &str) -> Found {
    let (begin, end) = (format!("<{name}>"), format!("</{name}>"));
    let mut pieces = text.split(&begin);
    let (_before, Some(rest), None) = (pieces.next(), pieces.next(), pieces.next()) else {
        return if text.contains(&begin) { Found::Unclear } else { Found::Nothing };
    };
    match rest.split_once(&end) {
        Some((inside, _)) if !inside.contains(['<', '&']) => {
            Found::One(Zeroizing::new(inside.trim().to_owned()))
        }
        _ => Found::Unclear,
    }
}

/// Seconds, or a point in time; none where it is neither.
fn life(text: &str) -> Option<Life> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Life::Seconds(seconds));
    }
    let until: jiff::Timestamp = text.parse().ok()?;
    let since = u64::try_from(until.as_second()).ok()?;
    Some(Life::Until(Duration::from_secs(since)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::Catalog;

    const JSON: &str = "application/json";

    fn told(service: &str, operation: &str, host: &str, kind: &str, body: &str) -> Option<String> {
        let catalog = Catalog::embedded(service).unwrap();
        let endpoint = catalog.token_endpoint(operation, host).unwrap();
        let found = read(kind, body.as_bytes(), endpoint)?;
        let values = found.values.iter().map(|(lasts, value)| format!("{} {lasts}", **value));
        Some(format!("{}: {:?}", values.collect::<Vec<_>>().join(", "), found.life))
    }

    #[test]
    fn each_form_of_an_answer_is_read() {
        let railway =
            |body| told("railway", "POST /oauth/token", "backboard.railway.com", JSON, body);
        for (body, expected) in [
            (
                r#"{"access_token":"a","refresh_token":"r","expires_in":60}"#,
                Some("a false, r true: Seconds(60)"),
            ),
            (r#"{"access_token":"a","expires_in":"60"}"#, Some("a false: Seconds(60)")),
            (r#"{"access_token":"a"}"#, Some("a false: Unsaid")),
            (r#"{"access_token":"a","expires_in":null}"#, Some("a false: Unsaid")),
            (r#"{"access_token":"a","expires_in":-1}"#, None),
            (r#"{"access_token":"a","expires_in":"soon"}"#, None),
            (r#"{"access_token":"a","access_token":"b"}"#, None),
            (r#"{"access_token":["a"]}"#, None),
            (r#"{"access_token":""}"#, None),
            (r#"{"data":{"access_token":"a"}}"#, None),
            ("{", None),
        ] {
            assert_eq!(railway(body).as_deref(), expected, "{body}");
        }
        let heroku =
            r#"{"access_token":{"token":"a","expires_in":5},"refresh_token":{"token":"r"}}"#;
        assert_eq!(
            told("heroku", "POST /oauth/tokens", "api.heroku.com", JSON, heroku).unwrap(),
            "a false, r true: Seconds(5)"
        );
        let form = "application/x-www-form-urlencoded";
        let github =
            |body| told("github", "POST /login/oauth/access_token", "github.com", form, body);
        assert_eq!(github("access_token=a&expires_in=9").unwrap(), "a false: Seconds(9)");
        assert_eq!(github("access_token=a&access_token=b"), None);
    }

    #[test]
    fn elements_have_to_stand_there_once_and_plainly() {
        let sts = |inside: &str| {
            let body = format!(
                "<AssumeRoleResponse xmlns=\"x\"><AssumeRoleResult>{inside}</AssumeRoleResult></AssumeRoleResponse>"
            );
            told("aws", "sts:AssumeRole", "sts.amazonaws.com", "text/xml", &body)
        };
        let good = "<Credentials><AccessKeyId>ASIA1</AccessKeyId><SessionToken>t/+=</SessionToken><Expiration>1970-01-01T00:01:00Z</Expiration></Credentials>";
        assert_eq!(sts(good).unwrap(), "ASIA1 false, t/+= false: Until(60s)");
        for wrong in [
            "<AccessKeyId>a</AccessKeyId><AccessKeyId>b</AccessKeyId>",
            "<AccessKeyId>a<b/></AccessKeyId>",
            "<AccessKeyId>a&amp;b</AccessKeyId>",
            "<AccessKeyId>a</AccessKeyId><!-- <x> -->",
            "<AccessKeyId><![CDATA[a]]></AccessKeyId>",
            "<AccessKeyId>a",
        ] {
            assert_eq!(sts(wrong), None, "{wrong}");
        }
    }
}
