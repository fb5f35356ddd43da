//! The places of a request that carry credentials, by their names.
//!
//! Takes the name of a header, of a query parameter or of a member of JSON; says whether a credential
//! stands there. Vendors nobody has listed are known by parts of their names.

/// Header names that carry credentials with one vendor or another, in lower case.
pub(super) const HEADERS: &[&str] = &[
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
    "dpop",
    "job-token",
    "neon-connection-string",
    "npm-otp",
    "ocp-apim-subscription-key",
    "private-token",
    "project-access-token",
    "session-id",
    "wolk-api-key",
    "www-authenticate",
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
    "authorisation",
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

/// Parameters that have such a part and count or name tokens of language, or say what kind one is.
const COUNTS: &[&str] = &[
    "maxcompletiontokens",
    "maxnewtokens",
    "maxoutputtokens",
    "maxtokens",
    "mintokens",
    "numtokens",
    "tokencount",
    "tokenizer",
    "tokenlimit",
    "tokens",
    "tokentype",
    "tokentypehint",
    "totaltokens",
];

/// Parts of names that have such a part and say where a list goes on.
const PLACES: &[&str] = &["page", "next", "prev", "cursor", "continu", "sync", "marker", "csrf"];

/// Whether a query parameter carries a credential: its name, and what stands in brackets in it.
pub(super) fn is_parameter(name: &str) -> bool {
    let word = |part: &str| -> String {
        let kept = |c: &char| !matches!(c, '-' | '_' | '.' | ' ');
        part.chars().filter(kept).flat_map(char::to_lowercase).collect()
    };
    name.split(['[', ']']).map(word).any(|word| {
        PARAMETERS.contains(&word.as_str())
            || (PARAMETER_PARTS.iter().any(|part| word.contains(part))
                && !COUNTS.contains(&word.as_str())
                && !PLACES.iter().any(|place| word.contains(place)))
    })
}

/// Whether a name says a secret in so many words; hardly anything else has such a name.
pub(super) fn is_secret_name(name: &str) -> bool {
    is_parameter(name) && {
        let kept = |c: &char| !matches!(c, '-' | '_' | '.' | ' ');
        let word: String = name.chars().filter(kept).flat_map(char::to_lowercase).collect();
        PARAMETER_PARTS.iter().any(|part| word.contains(part))
    }
}

/// Whether a value only turns something on or off, as in `show_secrets=true`: no credential is one.
pub(super) fn is_switch(value: &str) -> bool {
    const SWITCHES: &[&str] = &["true", "false", "yes", "no", "on", "off", "1", "0"];
    SWITCHES.iter().any(|switch| switch.eq_ignore_ascii_case(value))
}

/// What most requests carry, so that they are told apart by a comparison or two.
pub(super) fn is_common(name: &str) -> bool {
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

/// Whether a header, by its name in lower case, carries a credential. Servers that put headers into
/// variables tell `-` and `_` apart no more.
pub(super) fn is_slot(name: &str) -> bool {
    if name.contains('_') {
        return is_slot(&name.replace('_', "-"));
    }
    if HEADERS.binary_search(&name).is_ok() {
        return true;
    }
    PARTS.iter().any(|part| name.contains(part)) && !HARMLESS.contains(&name)
}
