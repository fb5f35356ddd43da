//! Credentials in bodies: OAuth's, those of forms and of the top of JSON, and in GraphQL arguments.
//!
//! Takes a body that is here whole; returns one [`Presented`] for each member that authenticates the
//! call by its name, and whose grant it asks for. What stands deeper is data: a password that is set, a
//! conversation, a manifest. Refuses a body that cannot be read where a token is handed out.

use super::Presented;
use super::form::has_form;
use super::reading::{one, read};
use super::slot::is_switch;
use crate::catalog::Catalog;
use crate::fingerprint::FingerprintKey;
use crate::inspect::{Operation, Unreadable, multipart};
use crate::message::{Head, json};
use percent_encoding::percent_decode;
use serde_json::{Map, Value};
use std::borrow::Cow;

/// What a body says of who calls.
#[derive(Debug, Default)]
pub(in crate::inspect) struct Said {
    /// Its credentials.
    pub credentials: Vec<Presented>,
    /// Whether it asks for a token of somebody else than these are of: whoever gave their consent.
    pub of_another: bool,
}

/// Whose body it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::inspect) enum Kind {
    /// Of a host that no catalog describes.
    Plain,
    /// Of a catalogued one, which takes credentials elsewhere.
    Catalogued,
    /// Of an operation that hands out tokens.
    Exchange,
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
    "xgoogcredential",
];

/// Names under which some services take a credential, and others a value.
const LIKELY: &[&str] = &[
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
];

/// Objects that hold what authenticates a call, and nothing else.
const WRAPPERS: &[&str] = &["auth", "authentication", "authorization", "credential", "credentials"];

/// The grants of OAuth whose token is of whom the request presents (RFC 6749, 7523, 8693).
const OWN_GRANTS: &[&str] = &[
    "client_credentials",
    "password",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:saml2-bearer",
    "urn:ietf:params:oauth:grant-type:token-exchange",
];

/// More than any client presents in one place.
const MOST: usize = 50;

struct Reading<'k> {
    kind: Kind,
    is_oauth: bool,
    key: &'k FingerprintKey,
    said: Said,
}

/// What a body says of who calls.
pub(in crate::inspect) fn of_body(
    head: &Head,
    bytes: &[u8],
    kind: Kind,
    key: &FingerprintKey,
) -> Result<Said, Unreadable> {
    let mut reading =
        Reading { kind, is_oauth: kind == Kind::Exchange, key, said: Said::default() };
    let media = head.media_type().unwrap_or_default();
    if media == "multipart/form-data" {
        let content_type = head.header("content-type").unwrap_or_default();
        let fields = multipart::fields(content_type, bytes).map_err(Unreadable::Multipart)?;
        let pairs = fields.into_iter().map(|field| (field.name, Cow::Borrowed(field.data)));
        reading.pairs(&pairs.collect::<Vec<_>>());
        return reading.end();
    }
    let is_form = media.is_empty() || media == crate::inspect::overriding::FORM;
    // curl labels JSON as a form, and many servers read it all the same, whatever it is in.
    let document = str::from_utf8(bytes).ok().filter(|text| json::may_hold(text));
    let document = document.map(|_| json::parse(bytes));
    match &document {
        Some(Ok(Value::Object(map))) => reading.object(map),
        Some(Err(_)) if kind == Kind::Exchange && !is_form => return Err(Unreadable::Json),
        None if kind == Kind::Exchange && !is_form => return Err(Unreadable::Form),
        _ => {}
    }
    if is_form {
        reading.pairs(&pairs(bytes));
    }
    reading.end()
}

/// What the query of a call to an endpoint that hands out tokens asks for.
pub(in crate::inspect) fn asks_of_another(head: &Head) -> bool {
    let pairs = head.query().pairs().iter();
    pairs.into_iter().any(|(name, value)| is_of_another(name, value.as_bytes()))
}

/// The credentials in the arguments of a GraphQL call: at their top, or in the one input object.
pub(in crate::inspect) fn of_arguments(
    operations: &[Operation],
    catalog: &Catalog,
    key: &FingerprintKey,
) -> Result<Vec<Presented>, Unreadable> {
    let mut reading = Reading { kind: Kind::Plain, is_oauth: false, key, said: Said::default() };
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

impl Reading<'_> {
    fn object(&mut self, map: &Map<String, Value>) {
        let texts = map.iter().filter_map(|(name, value)| Some((name, value.as_str()?)));
        let texts: Vec<(String, Cow<'_, [u8]>)> =
            texts.map(|(name, text)| (name.clone(), Cow::Borrowed(text.as_bytes()))).collect();
        self.pairs(&texts);
        let wraps = |name: &str| self.kind == Kind::Exchange || WRAPPERS.contains(&&*word(name));
        let inside: Vec<_> = map.iter().filter(|(name, _)| wraps(name)).collect();
        for (wrapper, value) in inside {
            for (name, value) in value.as_object().into_iter().flatten() {
                if let Value::String(value) = value {
                    self.said.of_another |= self.is_oauth && is_of_another(name, value.as_bytes());
                    self.wrapped(wrapper, name, value.as_bytes());
                }
            }
        }
    }

    fn pairs(&mut self, pairs: &[(String, Cow<'_, [u8]>)]) {
        self.is_oauth |= pairs.iter().any(|(name, _)| word(name) == "granttype");
        let has_role = pairs.iter().any(|(name, _)| word(name) == "roleid");
        for (name, value) in pairs {
            self.said.of_another |= self.is_oauth && is_of_another(name, value);
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
        if self.kind != Kind::Catalogued {
            self.member(&format!("body {}", shown(wrapper)), name, value);
        }
    }

    fn member(&mut self, place: &str, name: &str, value: &[u8]) {
        let word = word(name);
        let is = |known: &[&str]| known.contains(&&*word);
        let likely = self.kind != Kind::Catalogued && is(LIKELY);
        if is(CERTAIN) || likely || (self.is_oauth && is(&["assertion", "password"])) {
            self.present(&format!("{place} {}", shown(name)), value);
        }
    }

    fn present(&mut self, slot: &str, value: &[u8]) {
        let value = value.trim_ascii();
        let switch = str::from_utf8(value).is_ok_and(is_switch);
        if value.is_empty() || switch || is_placeholder(value) || self.said.credentials.len() > MOST
        {
            return;
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

    fn end(self) -> Result<Said, Unreadable> {
        if self.said.credentials.len() > MOST { Err(Unreadable::Crowded) } else { Ok(self.said) }
    }
}

/// Whether a parameter of a request for a token hands over somebody's consent: what comes back is of
/// whoever gave it (RFC 6749 section 4.1.3, RFC 8628, CIBA).
fn is_of_another(name: &str, value: &[u8]) -> bool {
    match &*word(name) {
        "code" | "devicecode" | "authreqid" => !value.is_empty(),
        "granttype" => !OWN_GRANTS.iter().any(|own| own.as_bytes() == value),
        _ => false,
    }
}

/// Whether a text stands where a secret would, and says that there is none.
fn is_placeholder(value: &[u8]) -> bool {
    let bracketed = |open: &[u8], close: &[u8]| value.starts_with(open) && value.ends_with(close);
    let word = value.eq_ignore_ascii_case(b"null") || value.eq_ignore_ascii_case(b"undefined");
    word || bracketed(b"${", b"}")
        || bracketed(b"{{", b"}}")
        || bracketed(b"<", b">")
        || value.iter().all(|byte| matches!(byte, b'*' | b'x' | b'X'))
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
