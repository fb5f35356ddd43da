//! Credentials in the slots of a request.
//!
//! Takes a head; returns one [`Presented`] for each secret in each slot, as fingerprints of every
//! reading a server could give that one secret (the whole value, the part behind the scheme, the
//! password of Basic alone and with its user). Two secrets in one slot are two, so that an issued one
//! never covers another. Values never leave this module.

mod body;
mod form;
pub mod handed;
mod json;
mod reading;
mod slot;
mod variable;

pub(super) use body::{Kind as BodyKind, of_arguments, of_body};
pub use form::{shown_path, shown_query};
pub(super) use json::within;
pub(crate) use reading::decoded;
pub use variable::{looks_secret, service_of};

use crate::fingerprint::{Fingerprint, FingerprintKey};
use crate::message::{Head, Query};
use form::{has_form, vendor};
use reading::{is_proof, one, read, says_so, users};
use slot::{is_common, is_parameter, is_slot, is_switch};
use smallvec::SmallVec;

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
        } else if value.is_empty() || is_common(name) {
            // Nothing stands there, or what most requests carry.
        } else if is_slot(name) || has_form(value) || says_so(value) {
            read(&format!("header {name}"), value, key, &mut found);
        } else if memchr::memmem::find(value, b"://").is_some() {
            users(&format!("header {name}"), value, key, &mut found);
        }
    }
    for segment in head.path().as_str().split('/') {
        // Words of a path may begin as some secrets do, but have no digits among their letters.
        let digits = segment.bytes().filter(u8::is_ascii_digit).count();
        if digits >= 3 && has_form(segment.as_bytes()) {
            found.push(one("path", segment.as_bytes(), segment.as_bytes(), key));
        }
    }
    query(head.query(), key, &mut found);
    found
}

/// Whether a slot that presents a credential is one by its name, and not by what stands in it.
pub fn is_named(slot: &str) -> bool {
    match slot.split_once(' ') {
        Some(("header", name)) => is_slot(name),
        Some(("query", name)) => is_parameter(name),
        _ => false,
    }
}

/// The signatures of signed addresses, and the parameter that says whose key made each.
const SIGNED_BY: &[(&str, &str)] = &[
    ("x-amz-signature", "x-amz-credential"),
    ("x-goog-signature", "x-goog-credential"),
    ("signature", "awsaccesskeyid"),
];

/// The credentials in a query, also behind a semicolon, which some servers take for the end of a pair.
fn query(query: &Query, key: &FingerprintKey, found: &mut Vec<Presented>) {
    let pairs = || query.pairs().iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let pieces = pairs().flat_map(|(name, value)| {
        let behind = |text: &'_ str| text.contains(';');
        let of_name = name.split(';').filter(move |_| behind(name));
        of_name.chain(value.split(';').skip(1))
    });
    let behind = pieces.map(|piece| piece.split_once('=').unwrap_or((piece, "")));
    // The key that a signed address names, where one is read from it.
    let signs = |name: &str| {
        let scoped = name != "awsaccesskeyid";
        let is_key = |value: &str| match value.split_once('/') {
            Some((key, _)) => scoped && !key.is_empty(),
            None => !scoped && !value.is_empty() && !is_switch(value),
        };
        pairs().any(|(other, value)| other.eq_ignore_ascii_case(name) && is_key(value))
    };
    for (name, value) in pairs().chain(behind) {
        if value.is_empty() {
            continue;
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        // A signature is made anew for each address; whose it is says the key beside it.
        let by = SIGNED_BY.iter().find(|(proof, _)| is(proof));
        if by.is_some_and(|(_, by)| signs(by)) && is_proof(value) {
            continue;
        }
        let slot = || format!("query {}", name.to_ascii_lowercase());
        let scope = value
            .split_once('/')
            .filter(|_| is("x-amz-credential") || is("x-goog-credential"))
            .filter(|(_, scope)| !has_form(scope.as_bytes()));
        if let Some((access_key, _)) = scope {
            found.push(one(&slot(), access_key.as_bytes(), access_key.as_bytes(), key));
        } else if (is_parameter(name) && !is_switch(value)) || has_form(value.as_bytes()) {
            read(&slot(), value.as_bytes(), key, found);
        } else if value.contains("://") {
            users(&slot(), value.as_bytes(), key, found);
        }
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::head;
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;

    #[test]
    fn lists_are_sorted() {
        assert!(slot::HEADERS.is_sorted());
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
        const SIGNED: &str = "fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024";
        let cases = [
            (
                format!(
                    "AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature={SIGNED}"
                ),
                true,
            ),
            (format!("aws4-ecdsa-p256-sha256 Signature={SIGNED},credential={scope}"), true),
            (format!("AWS4-HMAC-SHA256 Credential=x{scope}, Signature={SIGNED}"), false),
            (format!("AWS4-HMAC-SHA256 Credential={scope}, Credential=x/{scope}"), false),
            (format!("AWS4-HMAC-SHA256 Credential=/20260101, Signature={SIGNED}"), false),
            (format!("Bearer Credential={scope}"), false),
            (format!("AWS4-HMAC-SHA256 Credential={scope}, Signature=ghp_x"), false),
            (format!("AWS4-HMAC-SHA256 Credential={scope}, Signature={SIGNED}, Token=x"), false),
            (format!("AWS4-HMAC-SHA256 Credential={scope} x, Signature={SIGNED}"), false),
            (format!("AWS4-HMAC-SHA256 Credential={scope}, Bearer x"), false),
            ("AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=".to_owned(), true),
            ("AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=:b".to_owned(), false),
            ("AWS AKIAIOSFODNN7EXAMPLE: Bearer x".to_owned(), false),
            ("OSS AKIAIOSFODNN7EXAMPLE:ghp_0123456789abcdef0123456789abcdef0123".to_owned(), false),
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
