//! Credentials in the slots of a request.
//!
//! Takes a head; returns one [`Presented`] for each secret in each slot, as fingerprints of every
//! reading a server could give that one secret (the whole value, the part behind the scheme, the
//! password of Basic alone and with its user). Two secrets in one slot are two, so that an issued one
//! never covers another. Values never leave this module.

mod json;

pub(super) use json::within;

use crate::fingerprint::{Fingerprint, FingerprintKey};
use crate::message::{Head, Query};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use regex::bytes::{RegexSet, RegexSetBuilder};
use smallvec::SmallVec;
use std::borrow::Cow;
use std::sync::LazyLock;
use zeroize::Zeroizing;

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
    "auth",
    "authentication",
    "authorization",
    "cf-access-client-id",
    "cf-access-client-secret",
    "cf-access-token",
    "cookie2",
    "dd-api-key",
    "dd-application-key",
    "job-token",
    "neon-connection-string",
    "npm-otp",
    "ocp-apim-subscription-key",
    "private-token",
    "project-access-token",
    "session-id",
    "wolk-api-key",
    "x-amz-security-token",
    "x-api-key",
    "x-auth",
    "x-auth-email",
    "x-auth-key",
    "x-auth-user-service-key",
    "x-authentication",
    "x-clickhouse-key",
    "x-functions-key",
    "x-goog-api-key",
    "x-key",
    "x-ms-token-aad-access-token",
    "x-pat",
    "x-session",
    "x-session-id",
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
    "bearer",
    "jwt",
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

/// Query parameters that carry credentials, in small letters and without `-`, `_` and `.`.
const PARAMETERS: &[&str] = &[
    "appkey",
    "applicationkey",
    "auth",
    "awsaccesskeyid",
    "key",
    "pat",
    "pwd",
    "session",
    "sessionid",
    "sig",
    "signature",
    "subscriptionkey",
    "xamzcredential",
    "xamzsignature",
    "xgoogcredential",
    "xgoogsignature",
];

/// Parts of a parameter's name that make it a slot.
const PARAMETER_PARTS: &[&str] = &[
    "token",
    "secret",
    "password",
    "passwd",
    "authorization",
    "apikey",
    "accesskey",
    "credential",
    "bearer",
    "jwt",
];

/// Parts of names that have such a part and say where a list goes on.
const PLACES: &[&str] = &["page", "next", "prev", "cursor", "continu", "sync", "marker", "csrf"];

/// Whether a query parameter carries a credential: its name, and what stands in brackets in it.
fn is_parameter(name: &str) -> bool {
    let word = |part: &str| -> String {
        let kept = |c: &char| !matches!(c, '-' | '_' | '.' | ' ');
        part.chars().filter(kept).flat_map(char::to_lowercase).collect()
    };
    name.split(['[', ']']).map(word).any(|word| {
        PARAMETERS.contains(&word.as_str())
            || (PARAMETER_PARTS.iter().any(|part| word.contains(part))
                && !PLACES.iter().any(|place| word.contains(place)))
    })
}

/// Whether a value only turns something on or off, as in `show_secrets=true`: no credential is one.
fn is_switch(value: &str) -> bool {
    const SWITCHES: &[&str] = &["true", "false", "yes", "no", "on", "off", "1", "0"];
    SWITCHES.iter().any(|switch| switch.eq_ignore_ascii_case(value))
}

/// What most requests carry, so that they are told apart by a comparison or two.
fn is_common(name: &str) -> bool {
    matches!(
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
    )
}

fn is_slot(name: &str) -> bool {
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
            cookies(head, value, key, &mut found);
        } else if name == "sec-websocket-protocol" {
            subprotocols(value, key, &mut found);
        } else if !is_common(name) && (is_slot(name) || has_form(value)) && !value.is_empty() {
            read(&format!("header {name}"), value, key, &mut found);
        }
    }
    for (name, value) in head.query().pairs() {
        let carries = is_parameter(name) && !is_switch(value);
        if !value.is_empty() && (carries || has_form(value.as_bytes())) {
            let slot = format!("query {}", name.to_ascii_lowercase());
            read(&slot, value.as_bytes(), key, &mut found);
        }
    }
    found
}

/// Browsers cannot set headers on a WebSocket, so some vendors take a key as the name of a subprotocol,
/// behind words that say so: `openai-insecure-api-key.KEY`, `base64url.bearer.authorization.k8s.io.KEY`.
fn subprotocols(value: &[u8], key: &FingerprintKey, found: &mut Vec<Presented>) {
    for offered in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
        let tail = offered.rsplit(|byte| *byte == b'.').next().unwrap_or(offered);
        let said = String::from_utf8_lossy(offered).to_ascii_lowercase();
        if is_slot(&said) || has_form(offered) || has_form(tail) {
            found.push(one("header sec-websocket-protocol", tail, offered, key));
        }
    }
}

/// Whether a value has the form of some vendor's credential, wherever it stands. A UUID is not told
/// apart from an id by its form.
fn has_form(value: &[u8]) -> bool {
    let secret = behind_scheme(value);
    secret.len() >= SHORTEST && vendor(secret).is_some_and(|form| form != UUID)
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

fn cookies(head: &Head, value: &[u8], key: &FingerprintKey, found: &mut Vec<Presented>) {
    let host = head.target().host().as_str();
    for pair in value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii) {
        if pair.is_empty() {
            continue;
        }
        let split = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
        let (name, value) = pair.split_at(split);
        let value = value.strip_prefix(b"=").unwrap_or(value);
        let mut cookie = one("cookie", value, value, key);
        cookie.is_cookie = true;
        cookie.readings.push(cookie_fingerprint(key, host, name, value));
        found.push(cookie);
        if vendor(name).is_some() {
            found.push(one("cookie name", name, name, key));
        }
    }
}

/// The access key of a Signature Version 4: all that such a header says of a credential, for its
/// signature is made anew for every request.
fn access_key(value: &[u8]) -> Option<&[u8]> {
    let text = str::from_utf8(value).ok()?;
    text.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("AWS4-"))?;
    let mut keys = text.split_once(' ')?.1.split(',').filter_map(|field| {
        let (name, value) = field.trim().split_once('=')?;
        name.eq_ignore_ascii_case("credential").then_some(value)
    });
    let (key, _) = keys.next()?.split_once('/').filter(|(key, _)| !key.is_empty())?;
    keys.next().is_none().then_some(key.as_bytes())
}

/// The secrets of a slot.
fn read(slot: &str, value: &[u8], key: &FingerprintKey, found: &mut Vec<Presented>) {
    if let Some(access_key) = access_key(value) {
        return found.push(one(slot, access_key, access_key, key));
    }
    let secret = behind_scheme(value);
    let mut presented = one(slot, secret, value, key);
    if value.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "))
        && let Some(decoded) = decoded(secret)
    {
        let (user, password) = basic(&decoded);
        presented.readings.push(key.fingerprint(password));
        presented.readings.push(key.fingerprint(&decoded));
        if !user.is_empty() {
            // Many APIs take the key from the name and ignore the password.
            let mut named = one(slot, user, secret, key);
            named.readings.push(key.fingerprint(&decoded));
            found.push(named);
        }
    } else if let Some(token) = quoted_token(secret) {
        presented.readings.push(key.fingerprint(token));
    }
    found.push(presented);
}

/// One secret, and the whole that it is a part of.
fn one(slot: &str, secret: &[u8], whole: &[u8], key: &FingerprintKey) -> Presented {
    let mut readings: SmallVec<[Fingerprint; 4]> = SmallVec::new();
    readings.push(key.fingerprint(secret));
    if secret.len() != whole.len() {
        readings.push(key.fingerprint(whole));
    }
    let vendor = vendor(secret);
    Presented { slot: slot.to_owned(), length: secret.len(), vendor, is_cookie: false, readings }
}

/// Authentication schemes in use; any other word before a space may be a secret itself.
const SCHEMES: &[&str] = &[
    "apikey",
    "api-key",
    "basic",
    "bearer",
    "bot",
    "digest",
    "hawk",
    "key",
    "negotiate",
    "ntlm",
    "oauth",
    "privatekey",
    "sharedkey",
    "splunk",
    "sso-key",
    "token",
    "x-api-key",
];

/// What stands behind an authentication scheme (RFC 9110 section 11.4), or the whole value.
fn behind_scheme(value: &[u8]) -> &[u8] {
    let Some(space) = value.iter().position(|byte| matches!(byte, b' ' | b'\t')) else {
        return value;
    };
    let (scheme, rest) = value.split_at(space);
    let known = SCHEMES.iter().any(|known| scheme.eq_ignore_ascii_case(known.as_bytes()));
    if known { rest.trim_ascii() } else { value }
}

/// `Token token="…"`, as some vendors write it, with nothing beside it.
fn quoted_token(secret: &[u8]) -> Option<&[u8]> {
    let rest = secret.strip_prefix(b"token=")?;
    let token = match rest.strip_prefix(b"\"") {
        Some(quoted) => quoted.strip_suffix(b"\"")?,
        None => rest,
    };
    let plain = |byte: &u8| !matches!(byte, b'"' | b',' | b';' | b' ' | b'\t');
    token.iter().all(plain).then_some(token)
}

fn decoded(encoded: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let engines = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD];
    engines.iter().find_map(|engine| engine.decode(encoded).ok()).map(Zeroizing::new)
}

/// Users that stand beside a token and are none.
const USERS: &[&str] =
    &["00000000-0000-0000-0000-000000000000", "oauth2accesstoken", "x-bitbucket-api-token-auth"];

/// Passwords that stand beside a token and are none.
const PASSWORDS: &[&str] = &["", "x", "x-oauth-basic"];

/// The user of Basic credentials (RFC 7617) where it may be a secret of its own, and the password; a
/// token that stands as the user is in the password's place.
fn basic(decoded: &[u8]) -> (&[u8], &[u8]) {
    let split = decoded.iter().position(|byte| *byte == b':').unwrap_or(decoded.len());
    let (user, password) = decoded.split_at(split);
    let password = password.strip_prefix(b":").unwrap_or(password);
    let among = |known: &[&str], part: &[u8]| {
        known.iter().any(|word| part.eq_ignore_ascii_case(word.as_bytes()))
    };
    if among(PASSWORDS, password) {
        return (b"", user);
    }
    let is_name = user.len() < SHORTEST || user.contains(&b'@') || among(USERS, user);
    if is_name && vendor(user).is_none() { (b"", password) } else { (user, password) }
}

/// What is shorter is no secret by its form.
const SHORTEST: usize = 16;

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

static VENDORS: LazyLock<Option<RegexSet>> = LazyLock::new(|| {
    RegexSetBuilder::new(FORMS.iter().map(|(_, form)| form)).unicode(false).build().ok()
});

/// The vendor whose form a value has. A name for people; no verdict depends on it.
fn vendor(secret: &[u8]) -> Option<&'static str> {
    let first = VENDORS.as_ref()?.matches(secret).into_iter().next()?;
    FORMS.get(first).map(|(name, _)| *name)
}

/// A path as it may be shown and kept: a segment with the form of a vendor's credential is left
/// out. A UUID stays, which is far more often an id.
pub fn shown_path(path: &str) -> Cow<'_, str> {
    let secret = |segment: &&str| {
        segment.len() >= SHORTEST && vendor(segment.as_bytes()).is_some_and(|form| form != UUID)
    };
    if !path.split('/').any(|segment| secret(&segment)) {
        return Cow::Borrowed(path);
    }
    let shown = |segment| if secret(&segment) { "[credential]" } else { segment };
    Cow::Owned(path.split('/').map(shown).collect::<Vec<_>>().join("/"))
}

/// A query as it may be shown, with its mark in front; what stands in a credential's slot is left out.
pub fn shown_query(query: &Query) -> String {
    let mut shown = String::new();
    for (name, value) in query.pairs() {
        shown.push(if shown.is_empty() { '?' } else { '&' });
        shown.push_str(name);
        if value.is_empty() {
            continue;
        }
        shown.push('=');
        let secret = is_parameter(name) || has_form(value.as_bytes());
        shown.push_str(if secret { "[credential]" } else { value });
    }
    shown
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

    /// K-01, K-03, K-09.
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
        let stripe = format!("Basic {}", STANDARD.encode(format!("{token}:x-oauth-basic")));
        let head_of = |value: &str| head("GET", "https://a.test/", &[("authorization", value)]);
        let found = presented(&head_of(&stripe).unwrap(), &key);
        assert_eq!(found.len(), 1);
        assert!(found[0].readings().contains(&key.fingerprint(token.as_bytes())));
        let head =
            head("GET", "https://a.test/?access_token=abc&q=1", &[("cookie", "a=b; c=d")]).unwrap();
        let slots: Vec<String> = presented(&head, &key).into_iter().map(|p| p.slot).collect();
        assert_eq!(slots, ["cookie", "cookie", "query access_token"]);
    }

    /// K-13.
    #[test]
    fn a_signature_presents_its_access_key() {
        let key = FingerprintKey::new(b"key");
        let print = key.fingerprint(b"AKIAIOSFODNN7EXAMPLE");
        let scope = "AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/s3/aws4_request";
        let cases = [
            (format!("AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"), true),
            (format!("aws4-ecdsa-p256-sha256 Signature=0,credential={scope}"), true),
            (format!("AWS4-HMAC-SHA256 Credential=x{scope}, Signature=0"), false),
            (format!("AWS4-HMAC-SHA256 Credential={scope}, Credential=x/{scope}"), false),
            ("AWS4-HMAC-SHA256 Credential=/20260101, Signature=0".to_owned(), false),
            (format!("Bearer Credential={scope}"), false),
        ];
        for (value, presents) in cases {
            let head = head("GET", "https://a.test/", &[("authorization", &value)]).unwrap();
            let found = presented(&head, &key);
            assert_eq!(found.len(), 1, "{value}");
            assert_eq!(found[0].readings().contains(&print), presents, "{value}");
        }
    }

    /// K-04.
    #[test]
    fn an_issued_secret_covers_no_other() {
        let key = FingerprintKey::new(b"key");
        let issued = "11111111-0000-4000-8000-000000000001";
        let foreign = "00000000-0000-4000-8000-00000000dead";
        let covered = |name: &str, value: &str| {
            let head = head("GET", "https://a.test/", &[(name, value)]).unwrap();
            let print = key.fingerprint(issued.as_bytes());
            presented(&head, &key).iter().all(|one| one.readings().contains(&print))
        };
        let basic = |text: String| format!("Basic {}", STANDARD.encode(text));
        assert!(covered("authorization", &format!("Bearer {issued}")));
        assert!(covered("authorization", &basic(format!("alice:{issued}"))));
        assert!(covered("authorization", &basic(format!("oauth2accesstoken:{issued}"))));
        for (name, value) in [
            ("authorization", basic(format!("{foreign}:{issued}"))),
            ("authorization", basic(format!("{issued}:{foreign}"))),
            ("authorization", basic(format!("sk_live_0123456789abcdef0123:{issued}"))),
            ("authorization", format!("{foreign} {issued}")),
            ("x-api-key", format!("{foreign} {issued}")),
            ("authorization", format!("Token token=\"{issued}\", key=\"{foreign}\"")),
            ("authorization", format!("Token token={issued},{foreign}")),
            ("project-access-token", format!("token=\"{issued}\"{foreign}")),
            ("cookie", format!("{foreign}={issued}")),
        ] {
            assert!(!covered(name, &value), "{name}: {value}");
        }
    }

    /// K-07, K-09.
    #[test]
    fn slots_are_known_by_their_names_and_by_what_stands_in_them() {
        let key = FingerprintKey::new(b"key");
        let count = |path: &str, name: &str, value: &str| {
            let url = format!("https://a.test{path}");
            presented(&head("GET", &url, &[(name, value)]).unwrap(), &key).len()
        };
        for name in ["X-Auth", "Auth", "Authentication", "X-Railway-Auth-Token", "X-Jwt", "X-Pat"] {
            assert_eq!(count("/", name, "abc"), 1, "{name}");
        }
        let form = "ghp_0123456789abcdef0123456789abcdef0123";
        assert_eq!((count("/", "X-Thing", form), count("/", "X-Thing", "abc")), (1, 0));
        for query in [
            "accessToken",
            "access-token",
            "api_token",
            "railway_token",
            "x-api-key",
            "bearer",
            "personal_access_token",
            "token[]",
            "a[token]",
            "%20token",
            "sessionid",
            "PASSWD",
        ] {
            assert_eq!(count(&format!("/?{query}=abc"), "accept", "*/*"), 1, "{query}");
        }
        for query in ["show_secrets=true", "show_secrets=0", "token=False"] {
            assert_eq!(count(&format!("/?{query}"), "accept", "*/*"), 0, "{query}");
        }
        for query in ["pageToken", "next_token", "continuation-token", "q", "monkey", "keyword"] {
            assert_eq!(count(&format!("/?{query}=abc"), "accept", "*/*"), 0, "{query}");
        }
        assert_eq!(count(&format!("/?q={form}"), "accept", "*/*"), 1);
    }
}
