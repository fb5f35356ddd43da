//! The secrets in the value of a slot, in every reading that a server could give them.
//!
//! Takes a value; returns one [`Presented`] for each secret in it, with the fingerprints of its
//! readings: the whole value, what stands behind the scheme, the password of Basic alone and with its
//! user. What has no reading that was issued is foreign.

use super::Presented;
use super::form::{SHORTEST, issuer, vendor};
use crate::fingerprint::{Fingerprint, FingerprintKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use percent_encoding::percent_decode;
use smallvec::SmallVec;
use zeroize::Zeroizing;

/// Schemes that name an access key as `Credential=KEY/…`.
const SIGNING: &[&str] = &[
    "acs3-hmac-sha256",
    "aws4-ecdsa-p256-sha256",
    "aws4-hmac-sha256",
    "goog4-hmac-sha256",
    "goog4-rsa-sha256",
    "tc3-hmac-sha256",
];
/// Schemes that name it before a colon, as `KEY:SIGNATURE`.
const SIGNING_KEY_FIRST: &[&str] = &["aws", "goog1", "oss", "sharedkey", "sharedkeylite"];

/// The access key of a signature: all that such a header says of a credential, for its signature is
/// made anew for every request. None where anything else stands there, which could be a secret that
/// rides along.
fn access_key(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = str::from_utf8(value).ok()?.split_once(' ')?;
    let scheme = scheme.to_ascii_lowercase();
    let key = if SIGNING.contains(&&*scheme) {
        let mut key = None;
        let mut seen = Vec::new();
        for field in rest.split(',') {
            let (name, value) = field.trim().split_once('=')?;
            let name = name.to_ascii_lowercase();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./;".contains(c);
            let fits = match &*name {
                "credential" => {
                    key = value.split_once('/').map(|(key, _)| key);
                    value.chars().all(plain)
                }
                "signedheaders" => value.chars().all(plain),
                "signature" => is_proof(value),
                _ => false,
            };
            if !fits || seen.contains(&name) {
                return None;
            }
            seen.push(name);
        }
        key?
    } else if SIGNING_KEY_FIRST.contains(&&*scheme) {
        let (key, proof) = rest.trim().split_once(':')?;
        Some(key).filter(|_| is_proof(proof))?
    } else {
        return None;
    };
    (!key.is_empty()).then_some(key.as_bytes())
}

/// Whether a text is a signature by its form: a digest or a signature of a usual length, in base64 or
/// hexadecimal digits.
pub(super) fn is_proof(text: &str) -> bool {
    const LENGTHS: &[usize] = &[20, 32, 48, 64, 128, 256, 384, 512];
    let of_hex = || text.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(text.len() / 2);
    let length = of_hex().or_else(|| decoded(text.as_bytes()).map(|bytes| bytes.len()));
    // DER writes the two numbers of an elliptic curve in a length of their own.
    length.is_some_and(|length| LENGTHS.contains(&length) || (68..=72).contains(&length))
        && vendor(text.as_bytes()).is_none()
}

/// Whether a value says itself that it is a credential, whatever header it stands in.
pub(super) fn says_so(value: &[u8]) -> bool {
    const LONG: usize = 20;
    let Some(space) = value.iter().position(|byte| matches!(byte, b' ' | b'\t')) else {
        return false;
    };
    let (scheme, rest) = value.split_at(space);
    let rest = rest.trim_ascii();
    let is = |known: &str| scheme.eq_ignore_ascii_case(known.as_bytes());
    if rest.iter().any(u8::is_ascii_whitespace) {
        return false;
    }
    if is("basic") {
        return decoded(rest).is_some_and(|user| user.contains(&b':'));
    }
    // Words follow such words in headings, too.
    let opaque = rest.len() >= LONG || (rest.len() >= 8 && rest.iter().any(u8::is_ascii_digit));
    opaque && (is("bearer") || is("dpop") || is("negotiate"))
}

/// The secrets of the users of addresses in a value, as in `https://user:secret@host/` (RFC 3986
/// section 3.2.1), read as Basic reads them. A user alone is one where it is long or has a vendor's form.
pub(super) fn users(slot: &str, value: &[u8], key: &FingerprintKey, found: &mut Vec<Presented>) {
    let Ok(text) = str::from_utf8(value) else { return };
    for rest in text.split("://").skip(1) {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        let Some((whole, _)) = authority.rsplit_once('@') else { continue };
        let (user, password) = basic(whole.as_bytes());
        let alone = !whole.contains(':');
        if alone && password.len() < SHORTEST && vendor(password).is_none() {
            continue;
        }
        for secret in [user, password].into_iter().filter(|secret| !secret.is_empty()) {
            found.push(one(slot, secret, secret, key));
        }
    }
}

/// The secrets of a slot.
pub(super) fn read(slot: &str, value: &[u8], key: &FingerprintKey, found: &mut Vec<Presented>) {
    // Nowhere else does a signature stand.
    let signed = || access_key(value).filter(|_| slot == "header authorization");
    if let Some(access_key) = signed() {
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
        deeper(password, key, &mut presented);
        if !user.is_empty() {
            // Many APIs take the key from the name and ignore the password.
            let mut named = one(slot, user, secret, key);
            named.readings.push(key.fingerprint(&decoded));
            found.push(named);
        }
    } else if let Some(token) = quoted_token(secret) {
        presented.readings.push(key.fingerprint(token));
    } else {
        deeper(secret, key, &mut presented);
    }
    found.push(presented);
}

/// One coding more that a client may have put around all of a secret: percent escapes, or base64 of what
/// says itself that it is a credential.
fn deeper(secret: &[u8], key: &FingerprintKey, presented: &mut Presented) {
    if secret.contains(&b'%') {
        let plain: Zeroizing<Vec<u8>> = Zeroizing::new(percent_decode(secret).collect());
        presented.readings.push(key.fingerprint(behind_scheme(&plain)));
    }
    if !behind_a_scheme(secret, key, presented)
        && let Some(inner) = decoded(secret)
        && !behind_a_scheme(&inner, key, presented)
    {
        beside_a_user(&inner, key, presented);
    }
}

/// What stands behind a scheme, if one stands there.
fn behind_a_scheme(text: &[u8], key: &FingerprintKey, presented: &mut Presented) -> bool {
    let behind = behind_scheme(text);
    if behind.len() == text.len() {
        return false;
    }
    presented.readings.push(key.fingerprint(behind));
    if text.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"basic "))
        && let Some(pair) = decoded(behind)
    {
        beside_a_user(&pair, key, presented);
    }
    true
}

/// The password of a pair in which the user is no secret of its own.
fn beside_a_user(pair: &[u8], key: &FingerprintKey, presented: &mut Presented) {
    if pair.contains(&b':')
        && let (b"", password) = basic(pair)
    {
        presented.readings.push(key.fingerprint(password));
    }
}

/// One secret, and the whole that it is a part of.
pub(super) fn one(slot: &str, secret: &[u8], whole: &[u8], key: &FingerprintKey) -> Presented {
    let mut readings: SmallVec<[Fingerprint; 4]> = SmallVec::new();
    readings.push(key.fingerprint(secret));
    if secret.len() != whole.len() {
        readings.push(key.fingerprint(whole));
    }
    let vendor = vendor(secret).or_else(|| issuer(secret));
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
    "dpop",
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
pub(super) fn behind_scheme(value: &[u8]) -> &[u8] {
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

/// What base64 of either alphabet says, with its padding or without.
pub(crate) fn decoded(encoded: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
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
