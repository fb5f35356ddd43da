//! Credentials in bodies: OAuth's, those of forms and of the top of JSON, and in GraphQL arguments.
//!
//! Takes a body that is here whole; returns one [`Presented`] for each member that authenticates the
//! call by its name, and whose grant it asks for. What stands deeper is data: a password that is set, a
//! conversation, a manifest. Refuses a body that cannot be read where a token is handed out.

mod exchange;

use super::Presented;
use super::form::has_form;
use super::handed::may_hold;
use super::reading::{one, read};
use super::slot::{is_parameter, is_switch};
use crate::catalog::{Catalog, TokenEndpoint};
use crate::fingerprint::FingerprintKey;
use crate::inspect::{Operation, Unreadable, multipart};
use crate::message::{Head, json};
use exchange::Members;
use percent_encoding::percent_decode;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// What a body says of who calls.
#[derive(Debug, Default)]
pub(in crate::inspect) struct Said {
    /// Its credentials.
    pub credentials: Vec<Presented>,
    /// Whether it may ask for a token of somebody else than these are of: it hands over somebody's
    /// consent, or what is not known.
    pub of_another: bool,
}

/// Whose body it is.
#[derive(Clone, Copy, Debug)]
pub(in crate::inspect) enum Kind<'c> {
    /// Of a host that no catalog describes.
    Plain,
    /// Of a catalogued one, which takes credentials elsewhere.
    Catalogued,
    /// Of an operation that hands out tokens.
    Exchange(&'c TokenEndpoint),
}

/// Names that say what stands there, in small letters and without `-`, `_` and `.`.
const CERTAIN: &[&str] = &[
    "accesstoken",
    "actortoken",
    "apikey",
    "apitoken",
    "authtoken",
    "awsaccesskeyid",
    "bearertoken",
    "clientassertion",
    "clientsecret",
    "oauthtoken",
    "personalaccesstoken",
    "privatetoken",
    "refreshtoken",
    "subjecttoken",
    "xamzcredential",
    "xamzsecuritytoken",
    "xapikey",
    "xauthtoken",
    "xgoogcredential",
];

/// Names under which some services take a credential, and others a value.
const LIKELY: &[&str] = &[
    "accesskey",
    "apisecret",
    "auth",
    "authentication",
    "authorization",
    "bearer",
    "credential",
    "idtoken",
    "jwt",
    "passwd",
    "password",
    "pwd",
    "secret",
    "secretkey",
    "sessiontoken",
    "token",
    "usertoken",
];

/// Objects that hold what authenticates a call, and nothing else.
const WRAPPERS: &[&str] = &["auth", "authentication", "authorization", "credential", "credentials"];

/// More than any client presents in one place.
const MOST: usize = 50;

/// The longest text in brackets that stands in for a secret.
const LONGEST_STAND_IN: usize = 64;

struct Reading<'k> {
    is_catalogued: bool,
    is_oauth: bool,
    /// The members of a request for a token.
    members: Option<Members<'k>>,
    key: &'k FingerprintKey,
    said: Said,
}

/// What a body says of who calls; of an exchange also what the query says in the names that bodies have.
pub(in crate::inspect) fn of_body(
    head: &Head,
    bytes: &[u8],
    kind: Kind<'_>,
    key: &FingerprintKey,
) -> Result<Said, Unreadable> {
    let mut reading = Reading::of(kind, key);
    let is_exchange = reading.members.is_some();
    reading.query(head);
    if bytes.is_empty() {
        return reading.end();
    }
    let media = head.media_type().unwrap_or_default();
    if media == "multipart/form-data" {
        let content_type = head.header("content-type").unwrap_or_default();
        let fields = multipart::fields(content_type, bytes).map_err(Unreadable::Multipart)?;
        let pairs = fields.into_iter().map(|field| (field.name, Cow::Borrowed(field.data)));
        reading.form(&pairs.collect::<Vec<_>>());
        return reading.end();
    }
    let is_form = media.is_empty() || media == crate::inspect::overriding::FORM;
    // curl labels JSON as a form, and many servers read it all the same, whatever it is in.
    let document = str::from_utf8(bytes).ok().filter(|text| json::may_hold(text));
    // Many servers skip a byte order mark; where tokens are handed out there is none.
    let unmarked =
        |text| if is_exchange { text } else { str::trim_start_matches(text, '\u{feff}') };
    let document = document.map(|text| json::parse(unmarked(text).as_bytes()));
    match &document {
        Some(Ok(Value::Object(map))) => reading.object(map),
        Some(Ok(Value::Array(list))) => match &**list {
            [Value::Object(map)] if !is_exchange => reading.object(map),
            _ => reading.unknown(),
        },
        Some(Ok(_)) => reading.unknown(),
        Some(Err(_)) if is_exchange && !is_form => return Err(Unreadable::Json),
        // Servers differ in what they read of it, and a credential may be what one of them reads.
        Some(Err(_)) if json::is_media(&media) && may_hold(bytes) => return Err(Unreadable::Json),
        None if is_exchange && !is_form => return Err(Unreadable::Form),
        _ => {}
    }
    if is_form {
        reading.form(&pairs(bytes));
    }
    reading.end()
}

/// The credentials in the arguments of a GraphQL call: at their top, or in the one input object.
pub(in crate::inspect) fn of_arguments(
    operations: &[Operation],
    catalog: &Catalog,
    key: &FingerprintKey,
) -> Result<Vec<Presented>, Unreadable> {
    let mut reading = Reading::of(Kind::Plain, key);
    let data = catalog.graphql.as_ref().map_or(&[][..], |graphql| &graphql.data);
    let is_data = |name: &str| data.iter().any(|known| known == name);
    for operation in operations {
        let arguments = operation.arguments.values();
        let below = arguments.get("input").and_then(Value::as_object);
        for map in [Some(arguments), below].into_iter().flatten() {
            for (name, value) in map.iter().filter(|(name, _)| !is_data(name)) {
                if let Value::String(value) = value {
                    reading.member("argument", name, value.as_bytes());
                }
            }
        }
    }
    reading.end().map(|said| said.credentials)
}

impl<'k> Reading<'k> {
    fn of(kind: Kind<'k>, key: &'k FingerprintKey) -> Self {
        let members = match kind {
            Kind::Exchange(endpoint) => Some(Members::of(endpoint)),
            Kind::Plain | Kind::Catalogued => None,
        };
        Self {
            is_catalogued: matches!(kind, Kind::Catalogued),
            is_oauth: members.is_some(),
            members,
            key,
            said: Said::default(),
        }
    }

    /// A member of a request for a token.
    fn note(&mut self, name: &str, text: Option<&str>) {
        if let Some(members) = &mut self.members {
            members.note(name, text);
        }
    }

    /// Something stands in a request for a token that is not known.
    const fn unknown(&mut self) {
        if let Some(members) = &mut self.members {
            members.of_another = true;
        }
    }

    /// The query of a request for a token. What is a slot by its name in any query is read there.
    fn query(&mut self, head: &Head) {
        if self.members.is_none() {
            return;
        }
        for (name, value) in head.query().pairs() {
            self.note(name, Some(value.as_str()).filter(|text| !text.contains(';')));
            if !is_parameter(name) {
                self.member("query", name, value.as_bytes());
            } else if self.is_slot(name) && is_switch(value) {
                self.unknown();
            }
        }
    }

    fn form(&mut self, pairs: &[(String, Cow<'_, [u8]>)]) {
        for (name, value) in
            pairs.iter().filter(|(name, value)| !(name.is_empty() && value.is_empty()))
        {
            self.note(name, str::from_utf8(value).ok());
        }
        self.pairs(pairs);
    }

    fn object(&mut self, map: &Map<String, Value>) {
        for (name, value) in map {
            match value {
                Value::Object(below) if !below.is_empty() => {
                    for (inside, value) in below {
                        self.note(&format!("{name}.{inside}"), value.as_str());
                    }
                }
                value => self.note(name, value.as_str()),
            }
        }
        let owned = |text: Cow<'_, str>| Cow::Owned(text.into_owned().into_bytes());
        let texts =
            map.iter().filter_map(|(name, value)| Some((name.clone(), owned(text(value)?))));
        self.pairs(&texts.collect::<Vec<_>>());
        let wraps = |name: &str| self.members.is_some() || WRAPPERS.contains(&&*word(name));
        let inside: Vec<_> = map.iter().filter(|(name, _)| wraps(name)).collect();
        for (wrapper, value) in inside {
            for (name, value) in value.as_object().into_iter().flatten() {
                if let Some(value) = text(value) {
                    self.wrapped(wrapper, name, value.as_bytes());
                }
            }
        }
    }

    fn pairs(&mut self, pairs: &[(String, Cow<'_, [u8]>)]) {
        self.is_oauth |= pairs.iter().any(|(name, _)| word(name) == "granttype");
        let has_role = pairs.iter().any(|(name, _)| word(name) == "roleid");
        for (name, value) in pairs {
            let (bare, inside) = name.split_once('[').unwrap_or((name, ""));
            let inside = inside.trim_end_matches(']');
            if WRAPPERS.contains(&&*word(bare)) && !inside.is_empty() {
                self.wrapped(bare, inside, value);
            } else if inside.is_empty() {
                if has_role && word(bare) == "secretid" {
                    self.present(&format!("body {}", shown(bare)), value);
                }
                self.member("body", bare, value);
            }
        }
    }

    fn wrapped(&mut self, wrapper: &str, name: &str, value: &[u8]) {
        if !self.is_catalogued {
            self.member(&format!("body {}", shown(wrapper)), name, value);
        }
    }

    fn member(&mut self, place: &str, name: &str, value: &[u8]) {
        if self.is_slot(name) {
            self.present(&format!("{place} {}", shown(name)), value);
        }
    }

    /// Whether a member is a credential by its name.
    fn is_slot(&self, name: &str) -> bool {
        let word = word(name);
        let is = |known: &[&str]| known.contains(&&*word);
        let likely = !self.is_catalogued && is(LIKELY);
        is(CERTAIN) || likely || (self.is_oauth && is(&["assertion", "password"]))
    }

    fn present(&mut self, slot: &str, value: &[u8]) {
        let value = value.trim_ascii();
        let switch = str::from_utf8(value).is_ok_and(is_switch);
        if value.is_empty() {
            return;
        }
        if switch || is_placeholder(value) || self.said.credentials.len() > MOST {
            // To the server it may be somebody's all the same.
            return self.unknown();
        }
        let scope = value.iter().position(|byte| *byte == b'/').filter(|at| {
            let signs = slot.ends_with("x-amz-credential") || slot.ends_with("x-goog-credential");
            signs && *at > 0 && !has_form(value.get(at + 1..).unwrap_or_default())
        });
        match scope.and_then(|at| value.get(..at)) {
            Some(access_key) => {
                self.said.credentials.push(one(slot, access_key, access_key, self.key));
            }
            None => read(slot, value, self.key, &mut self.said.credentials),
        }
    }

    fn end(mut self) -> Result<Said, Unreadable> {
        self.said.of_another = self.members.is_some_and(|members| members.of_another);
        if self.said.credentials.len() > MOST { Err(Unreadable::Crowded) } else { Ok(self.said) }
    }
}

/// Whether a text stands where a secret would, and says that there is none. What has the digits of a
/// secret inside its brackets says nothing of the kind.
fn is_placeholder(value: &[u8]) -> bool {
    let bracketed = |open: &[u8], close: &[u8]| {
        let inside = value.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
        inside.is_some_and(|inside| {
            let digits = inside.iter().filter(|byte| byte.is_ascii_digit()).count();
            inside.len() <= LONGEST_STAND_IN && digits < 3 && !has_form(inside)
        })
    };
    let word = value.eq_ignore_ascii_case(b"null") || value.eq_ignore_ascii_case(b"undefined");
    word || bracketed(b"${", b"}")
        || bracketed(b"{{", b"}}")
        || bracketed(b"<", b">")
        || value.iter().all(|byte| matches!(byte, b'*' | b'x' | b'X'))
}

/// The text of a member that is one, also where it is a number or alone in a list: servers that convert
/// what they are given take these for it.
fn text(value: &Value) -> Option<Cow<'_, str>> {
    let value = match value {
        Value::Array(list) => match &**list {
            [alone] => alone,
            _ => return None,
        },
        value => value,
    };
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

/// A name in small letters and without `-`, `_`, `.` and what stands around it.
fn word(name: &str) -> String {
    let kept = |c: &char| !matches!(c, '-' | '_' | '.' | ' ') && !c.is_control();
    name.chars().filter(kept).flat_map(char::to_lowercase).collect()
}

/// A name as it is told: it is one of those above, in the agent's spelling.
fn shown(name: &str) -> String {
    name.trim().chars().filter(|c| !c.is_control()).take(60).collect::<String>().to_lowercase()
}

/// The pairs of a form, also those behind a semicolon; what is no text stands there as it can be read.
fn pairs(bytes: &[u8]) -> Vec<(String, Cow<'_, [u8]>)> {
    let decode = |part: &[u8]| -> Vec<u8> {
        let spaced: Vec<u8> =
            part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_decode(&spaced).collect()
    };
    let pair = |pair: &[u8]| {
        let split = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(split);
        let value = value.strip_prefix(b"=").unwrap_or(value);
        let name = String::from_utf8_lossy(&decode(name)).into_owned();
        (name, Cow::Owned(decode(value)))
    };
    bytes
        .split(|byte| *byte == b'&')
        .flat_map(|whole| {
            let behind = whole.split(|byte| *byte == b';').skip(1);
            std::iter::once(whole).chain(behind).map(pair)
        })
        .collect()
}

#[cfg(test)]
mod tests;
