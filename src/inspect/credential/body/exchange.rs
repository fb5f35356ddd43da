//! Whether a request for a token is made of nothing but what such a request is known to have.
//!
//! Takes its members, of the query and of the body; says whether each is known, stands there once, and is
//! a plain text. Anything else may be somebody's grant in a spelling that only its server reads, and what
//! comes back is then of whoever gave that.

use super::word;
use crate::catalog::TokenEndpoint;

/// What a request for a token has (RFC 6749, 7521, 7523 and 8693, and the token endpoint of registries),
/// besides what the catalog says of its endpoint.
const MEMBERS: &[&str] = &[
    "access_type",
    "account",
    "actor_token",
    "actor_token_type",
    "assertion",
    "audience",
    "client_assertion",
    "client_assertion_type",
    "client_id",
    "client_secret",
    "format",
    "grant_type",
    "offline_token",
    "password",
    "refresh_token",
    "requested_token_type",
    "resource",
    "scope",
    "service",
    "subject_token",
    "subject_token_type",
    "username",
];

/// Those of them that may stand there several times: they say what a token is for, not whose.
const SEVERAL: &[&str] = &["audience", "resource", "scope"];

/// The grants of OAuth whose token is of whom the request presents (RFC 6749, 7523, 8693).
const OWN_GRANTS: &[&str] = &[
    "client_credentials",
    "password",
    "refresh_token",
    "urn:ietf:params:oauth:grant-type:jwt-bearer",
    "urn:ietf:params:oauth:grant-type:saml2-bearer",
    "urn:ietf:params:oauth:grant-type:token-exchange",
];

/// The members of one request, as far as they were read.
#[derive(Debug)]
pub(super) struct Members<'c> {
    endpoint: &'c TokenEndpoint,
    seen: Vec<String>,
    /// Whether there is one that is not known.
    pub of_another: bool,
}

impl<'c> Members<'c> {
    pub(super) const fn of(endpoint: &'c TokenEndpoint) -> Self {
        Self { endpoint, seen: Vec::new(), of_another: false }
    }

    /// Notes a member; `text` is none where no plain text stands there.
    pub(super) fn note(&mut self, name: &str, text: Option<&str>) {
        if self.of_another {
            return;
        }
        self.of_another = if self.endpoint.mints {
            // It is judged as what it is, and signed by whom it is of; only consent makes it another's.
            text != Some("") && is_consent(name, text)
        } else {
            let known = MEMBERS.contains(&name) || self.endpoint.has_member(name);
            let plain = text.is_some_and(|text| !text.contains(char::is_control));
            let again = !SEVERAL.contains(&name) && self.seen.iter().any(|seen| seen == name);
            !known || !plain || again || is_consent(name, text)
        };
        self.seen.push(name.to_owned());
    }
}

/// Whether a member hands over somebody's consent (RFC 6749 section 4.1.3, RFC 8628, CIBA).
fn is_consent(name: &str, text: Option<&str>) -> bool {
    let bare = name.split_once('[').map_or(name, |(bare, _)| bare);
    match &*word(bare) {
        "code" | "devicecode" | "authreqid" => true,
        // Without dots, so that it is `grant.type` as well.
        "granttype" => !text.is_some_and(|text| OWN_GRANTS.contains(&text)),
        _ => false,
    }
}
