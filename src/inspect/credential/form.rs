//! What a secret looks like, by the forms that vendors give theirs.
//!
//! Takes a value; returns the vendor whose form it has, and texts in which nothing of such a form is
//! left. A name for people and for what is shown; a form alone never makes a credential an issued one.

use super::reading::{behind_scheme, decoded};
use super::slot::is_parameter;
use crate::message::{Query, json};
use regex::bytes::{RegexSet, RegexSetBuilder};
use std::borrow::Cow;
use std::sync::LazyLock;

/// What is shorter is no secret by its form.
pub(super) const SHORTEST: usize = 16;

/// The one form that identifiers share.
pub(super) const UUID: &str = "Railway or other UUID";

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
    ("Telegram", r"^bot[0-9]{8,10}:[\w-]{35}$"),
    (UUID, r"^[a-f0-9]{8}(-[a-f0-9]{4}){3}-[a-f0-9]{12}$"),
];

static VENDORS: LazyLock<Option<RegexSet>> = LazyLock::new(|| {
    RegexSetBuilder::new(FORMS.iter().map(|(_, form)| form)).unicode(false).build().ok()
});

/// The vendor whose form a value has. A name for people; no verdict depends on it.
pub(super) fn vendor(secret: &[u8]) -> Option<&'static str> {
    let first = VENDORS.as_ref()?.matches(secret).into_iter().next()?;
    FORMS.get(first).map(|(name, _)| *name)
}

/// Who issues tokens that say so themselves, by a part of the issuer's address.
const ISSUERS: &[(&str, &str)] = &[
    ("accounts.google.com", "Google"),
    ("auth.docker.io", "Docker"),
    ("gitlab.com", "GitLab"),
    ("kubernetes", "Kubernetes"),
    ("login.microsoftonline.com", "Microsoft"),
    ("oidc.fly.io", "Fly.io"),
    ("oidc.vercel.com", "Vercel"),
    ("securetoken.google.com", "Google"),
    ("sts.windows.net", "Microsoft"),
    ("supabase", "Supabase"),
    ("token.actions.githubusercontent.com", "GitHub"),
];

/// The vendor that a JSON Web Token (RFC 7519) names as its issuer, or that it is one. Nobody has checked
/// what it says of itself.
pub(super) fn issuer(secret: &[u8]) -> Option<&'static str> {
    let mut parts = secret.split(|byte| *byte == b'.');
    let (header, claims) = (parts.next()?, parts.next()?);
    let is_token = header.starts_with(b"eyJ") && claims.starts_with(b"eyJ") && parts.count() == 1;
    if !is_token {
        return None;
    }
    let claims = decoded(claims).and_then(|claims| json::parse(&claims).ok());
    let issuer = claims.as_ref().and_then(|claims| claims.get("iss")?.as_str()).unwrap_or_default();
    let known = ISSUERS.iter().find(|(part, _)| issuer.contains(part));
    Some(known.map_or("JSON Web Token", |(_, vendor)| vendor))
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

/// Whether a value has the form of some vendor's credential, wherever it stands. A UUID is not told
/// apart from an id by its form.
pub(super) fn has_form(value: &[u8]) -> bool {
    let secret = behind_scheme(value);
    secret.len() >= SHORTEST && vendor(secret).is_some_and(|form| form != UUID)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_says_who_issued_it_is_told_by_that() {
        use base64::Engine as _;
        let code = |text: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text);
        let token = |claims: &str| format!("{}.{}.c2ln", code("{\"alg\":\"RS256\"}"), code(claims));
        for (text, told) in [
            (token("{\"iss\":\"https://accounts.google.com\"}"), Some("Google")),
            (token("{\"iss\":\"https://login.example.com\"}"), Some("JSON Web Token")),
            (token("{\"sub\":1}"), Some("JSON Web Token")),
            (token("{\"iss\":[]}"), Some("JSON Web Token")),
            (format!("{}.x", token("{}")), None),
            ("a.b.c".to_owned(), None),
            (String::new(), None),
        ] {
            assert_eq!(issuer(text.as_bytes()), told, "{text}");
            assert!(!has_form(text.as_bytes()), "a name for people makes no slot");
        }
    }

    #[test]
    fn forms_compile() {
        assert!(VENDORS.is_some());
    }
}
