//! What a secret looks like, by the forms that vendors give theirs.
//!
//! Takes a value; returns the vendor whose form it has, and texts in which nothing of such a form is
//! left. A name for people and for what is shown; a form alone never makes a credential an issued one.

use super::reading::behind_scheme;
use super::slot::is_parameter;
use crate::message::Query;
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
    fn forms_compile() {
        assert!(VENDORS.is_some());
    }
}
