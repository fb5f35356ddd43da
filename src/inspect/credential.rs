//! Credentials in the slots of a request.
//!
//! Takes a head; returns one [`Presented`] for each slot that holds something, as fingerprints of
//! every reading a server could give it (the whole value, the part behind the scheme, user and
//! password of Basic). Values never leave this module.

use crate::fingerprint::{Fingerprint, FingerprintKey};
use crate::message::Head;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use regex::bytes::RegexSet;
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::LazyLock;

/// A credential in some slot of a request.
#[derive(Clone, Debug)]
pub struct Presented {
    /// Where it stands, as in `header authorization`.
    pub slot: String,
    /// Its length in bytes.
    pub length: usize,
    /// The vendor whose form it has, if one is known.
    pub vendor: Option<&'static str>,
    /// A cookie, which is the host's own if the host set it for this agent.
    pub is_cookie: bool,
    readings: SmallVec<[Fingerprint; 4]>,
}

impl Presented {
    /// The fingerprint it is recorded by: the whole of what the slot carries as a secret.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.readings.first().copied()
    }
    /// The fingerprints of every reading of it.
    pub fn readings(&self) -> &[Fingerprint] {
        &self.readings
    }
    /// What a denial shows: length and short fingerprint, no character of the value.
    pub fn evidence(&self) -> String {
        let print = self.fingerprint().map_or_else(String::new, |print| print.short());
        match self.vendor {
            Some(vendor) => {
                format!("{} bytes, {print}, has the form of a {vendor} credential", self.length)
            }
            None => format!("{} bytes, {print}", self.length),
        }
    }
}

/// Header names that carry credentials with one vendor or another, in lower case.
const HEADERS: &[&str] = &[
    "api-key",
    "apikey",
    "authorization",
    "cf-access-client-id",
    "cf-access-client-secret",
    "cf-access-token",
    "dd-api-key",
    "dd-application-key",
    "job-token",
    "neon-connection-string",
    "npm-otp",
    "ocp-apim-subscription-key",
    "private-token",
    "project-access-token",
    "wolk-api-key",
    "x-amz-security-token",
    "x-api-key",
    "x-auth-email",
    "x-auth-key",
    "x-auth-user-service-key",
    "x-clickhouse-key",
    "x-functions-key",
    "x-goog-api-key",
    "x-ms-token-aad-access-token",
    "x-vault-token",
];

/// Parts of a name that make any header a slot: vendors nobody has listed yet.
const PARTS: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "authorization",
    "apikey",
    "api-key",
    "access-key",
    "credential",
];

/// Names that have such a part and carry no credential.
const HARMLESS: &[&str] = &[
    "access-control-request-headers",
    "x-csrf-token",
    "x-xsrf-token",
    "csrf-token",
    "xsrf-token",
    "x-amz-tokens",
    "anthropic-dangerous-direct-browser-access",
    "x-max-tokens",
];

/// Query parameters that carry credentials, in lower case.
const PARAMETERS: &[&str] = &[
    "access_token",
    "api-key",
    "api_key",
    "apikey",
    "app_key",
    "application_key",
    "auth",
    "auth_token",
    "awsaccesskeyid",
    "client_secret",
    "id_token",
    "jwt",
    "key",
    "password",
    "private_token",
    "refresh_token",
    "secret",
    "sig",
    "signature",
    "subscription-key",
    "token",
    "x-amz-credential",
    "x-amz-security-token",
    "x-amz-signature",
    "x-goog-credential",
    "x-goog-signature",
];

fn is_slot(name: &str) -> bool {
    // What most requests carry, so that they are told apart by a comparison or two.
    if matches!(
        name,
        "accept"
            | "accept-encoding"
            | "accept-language"
            | "cache-control"
            | "content-length"
            | "content-type"
            | "host"
            | "user-agent"
            | "connection"
            | "date"
            | "pragma"
    ) {
        return false;
    }
    if HEADERS.binary_search(&name).is_ok() {
        return true;
    }
    PARTS.iter().any(|part| name.contains(part)) && !HARMLESS.contains(&name)
}

/// Every credential of a head, slot by slot.
pub fn presented(head: &Head, key: &FingerprintKey) -> Vec<Presented> {
    let mut found = Vec::new();
    for (name, value) in head.headers() {
        let name = name.as_str();
        let value = value.as_bytes().trim_ascii();
        if name == "cookie" {
            found.extend(cookies(head, value, key));
        } else if is_slot(name) && !value.is_empty() {
            found.push(read(format!("header {name}"), value, key));
        }
    }
    for (name, value) in head.query().pairs() {
        let lower = name.to_ascii_lowercase();
        if PARAMETERS.contains(&lower.as_str()) && !value.is_empty() {
            found.push(read(format!("query {lower}"), value.as_bytes(), key));
        }
    }
    found
}

/// The fingerprint of a cookie as its host handed it out.
pub fn cookie_fingerprint(
    key: &FingerprintKey,
    host: &str,
    name: &[u8],
    value: &[u8],
) -> Fingerprint {
    key.of_parts(&[b"cookie", host.as_bytes(), name, value])
}

fn cookies<'a>(
    head: &'a Head,
    value: &'a [u8],
    key: &'a FingerprintKey,
) -> impl Iterator<Item = Presented> + 'a {
    value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii).filter(|pair| !pair.is_empty()).map(
        move |pair| {
            let split = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            let (name, value) = pair.split_at(split);
            let value = value.strip_prefix(b"=").unwrap_or(value);
            let host = head.target().host().as_str();
            let mut presented = read("cookie".to_owned(), value, key);
            presented.is_cookie = true;
            presented.readings.push(cookie_fingerprint(key, host, name, value));
            presented
        },
    )
}

fn read(slot: String, value: &[u8], key: &FingerprintKey) -> Presented {
    let secret = behind_scheme(value);
    let mut readings: SmallVec<[Fingerprint; 4]> = SmallVec::new();
    readings.push(key.fingerprint(secret));
    if secret.len() != value.len() {
        readings.push(key.fingerprint(value));
    }
    if value.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic ")) {
        for part in basic(secret) {
            readings.push(key.fingerprint(&part));
        }
    } else if let Some(token) = quoted_token(secret) {
        readings.push(key.fingerprint(token));
    }
    Presented { slot, length: secret.len(), vendor: vendor(secret), is_cookie: false, readings }
}

/// What stands behind an authentication scheme (RFC 9110 section 11.4), or the whole value.
fn behind_scheme(value: &[u8]) -> &[u8] {
    let Some(space) = value.iter().position(|byte| matches!(byte, b' ' | b'\t')) else {
        return value;
    };
    let (scheme, rest) = value.split_at(space);
    let token = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    if scheme.iter().all(token) { rest.trim_ascii() } else { value }
}

/// `Token token="…"`, as some vendors write it.
fn quoted_token(secret: &[u8]) -> Option<&[u8]> {
    let rest = secret.strip_prefix(b"token=")?;
    let rest = rest.strip_prefix(b"\"").unwrap_or(rest);
    Some(rest.split(|byte| matches!(byte, b'"' | b',')).next().unwrap_or(rest))
}

/// User, password and both of Basic credentials (RFC 7617).
fn basic(encoded: &[u8]) -> Vec<Vec<u8>> {
    let engines = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD];
    let Some(decoded) = engines.iter().find_map(|engine| engine.decode(encoded).ok()) else {
        return Vec::new();
    };
    let split = decoded.iter().position(|byte| *byte == b':').unwrap_or(decoded.len());
    let (user, password) = decoded.split_at(split);
    let password = password.strip_prefix(b":").unwrap_or(password);
    // A user name beside a password is no secret; alone it is the token.
    let alone = if password.is_empty() { user } else { password };
    vec![alone.to_vec(), decoded.clone()]
}

/// The one form that identifiers share.
const UUID: &str = "Railway or other UUID";

const FORMS: &[(&str, &str)] = &[
    ("GitHub", r"^(gh[pousr]_[A-Za-z0-9]{36,255}|github_pat_\w{82})$"),
    ("GitLab", r"^gl(pat|dt|rt|cbt|ptt|soat|oas)-[\w-]{20,}"),
    ("AWS", r"(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}"),
    ("Google", r"^(AIza[\w-]{35}|ya29\.)"),
    ("Anthropic", r"^sk-ant-"),
    ("OpenAI", r"^sk-[\w-]*T3BlbkFJ"),
    ("Slack", r"^xox[a-z]?[.-]|^xapp-"),
    ("Stripe", r"^(sk|rk)_(live|test|prod)_"),
    ("npm", r"^npm_[A-Za-z0-9]{36}$"),
    ("PyPI", r"^pypi-AgEIcHlwaS5vcmc"),
    ("DigitalOcean", r"^do[opr]_v1_[a-f0-9]{64}$"),
    ("Fly.io", r"^fm[12][ar]?_|^fo1_"),
    (UUID, r"^[a-f0-9]{8}(-[a-f0-9]{4}){3}-[a-f0-9]{12}$"),
];

static VENDORS: LazyLock<Option<RegexSet>> =
    LazyLock::new(|| RegexSet::new(FORMS.iter().map(|(_, form)| form)).ok());

/// The vendor whose form a value has. A name for people; no verdict depends on it.
fn vendor(secret: &[u8]) -> Option<&'static str> {
    let first = VENDORS.as_ref()?.matches(secret).into_iter().next()?;
    FORMS.get(first).map(|(name, _)| *name)
}

/// A path as it may be shown and kept: a segment with the form of a vendor's credential is left
/// out. A UUID stays, which is far more often an id.
pub fn shown_path(path: &str) -> Cow<'_, str> {
    const SHORTEST: usize = 16;
    let secret = |segment: &&str| {
        segment.len() >= SHORTEST && vendor(segment.as_bytes()).is_some_and(|form| form != UUID)
    };
    if !path.split('/').any(|segment| secret(&segment)) {
        return Cow::Borrowed(path);
    }
    let shown = |segment| if secret(&segment) { "[credential]" } else { segment };
    Cow::Owned(path.split('/').map(shown).collect::<Vec<_>>().join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::head;

    #[test]
    fn lists_are_sorted_and_forms_compile() {
        assert!(HEADERS.is_sorted());
        assert!(VENDORS.is_some());
    }

    #[test]
    fn each_reading_of_a_slot_is_fingerprinted() {
        let key = FingerprintKey::new(b"key");
        let token = "00000000-0000-4000-8000-00000000dead";
        let basic = format!("Basic {}", STANDARD.encode(format!("user:{token}")));
        let alone = format!("basic {}", STANDARD.encode(format!("{token}:")));
        let cases: &[(&str, &str, String)] = &[
            ("header authorization", "authorization", format!("Bearer {token}")),
            ("header authorization", "authorization", format!("bearer   {token}")),
            ("header authorization", "authorization", format!("Bearer\t{token}")),
            ("header authorization", "authorization", token.to_owned()),
            ("header authorization", "authorization", format!("Token token=\"{token}\"")),
            ("header authorization", "authorization", basic),
            ("header authorization", "authorization", alone),
            ("header project-access-token", "Project-Access-Token", token.to_owned()),
            ("header x-api-key", "X-Api-Key", token.to_owned()),
            ("header x-acme-secret", "X-Acme-Secret", token.to_owned()),
        ];
        for (slot, name, value) in cases {
            let head = head("GET", "https://a.test/", &[(name, value)]).unwrap();
            let presented = presented(&head, &key);
            assert_eq!(presented.len(), 1, "{name}: {value}");
            assert_eq!(presented[0].slot, *slot);
            assert!(
                presented[0].readings().contains(&key.fingerprint(token.as_bytes())),
                "{value}"
            );
            assert!(!format!("{presented:?}").contains("dead"));
        }
        let head =
            head("GET", "https://a.test/?access_token=abc&q=1", &[("cookie", "a=b; c=d")]).unwrap();
        let slots: Vec<String> = presented(&head, &key).into_iter().map(|p| p.slot).collect();
        assert_eq!(slots, ["cookie", "cookie", "query access_token"]);
    }
}
