//! Answers as evidence: the secrets that they hand out, and the serialised objects that they carry.
//!
//! Takes permits and the answers to them; notes fingerprints of what may be a secret among the agent's
//! sightings, before the client has what says them: its next call finds them known. For secrets it
//! looks at all answers but those that surely are no text, whatever host they are of and however they
//! went, and not at the talk of a model; for objects at the same. Changes no byte, and keeps no value.

use super::Caller;
use super::learn::single;
use super::serialized::{finding, finding_of};
use crate::catalog::{Catalog, Effect, Kind};
use crate::decide::{Finding, Permit};
use crate::fingerprint::FingerprintKey;
use crate::forward::Coming;
use crate::inspect::credential::handed::{Handed, in_body, in_head, in_piece};
use crate::inspect::{Leak, serialized, shown_path};
use crate::inventory::keeper;
use crate::policy::Policy;
use crate::provenance::Answer;
use crate::record::Exchange;
use crate::trajectory::Stage;
use http::header::{self, HeaderMap};
use http::{Method, Response};
use std::sync::Arc;

/// Of data that does not say what it is, more than this is no file of settings.
const LONGEST_UNKNOWN: u64 = 256 << 10;
/// How much of a path is kept.
const LONGEST_PATH: usize = 300;

/// An answer that is looked at for what it hands out.
pub(super) struct Sought {
    key: Arc<FingerprintKey>,
    caller: Arc<Caller>,
    method: Method,
    path: Box<str>,
    operation: Arc<str>,
    request_id: Arc<str>,
    /// Whether the catalog says that it hands out secrets, which is noted as a stage by that alone.
    reveals: bool,
    /// Whether the stage is noted.
    told: bool,
    /// Whether it is looked at for secrets, and for objects.
    secrets: bool,
    objects: bool,
    /// What was found of objects.
    findings: Vec<Finding>,
    answer: Option<Arc<Answer>>,
}

impl Sought {
    /// What the answer to a permit is looked at for.
    pub(super) fn of(
        permit: &Permit<Coming>,
        caller: &Arc<Caller>,
        catalog: Option<&Catalog>,
        policy: &Policy,
        exchange: &Exchange,
        objects: bool,
    ) -> Option<Box<Self>> {
        let talks = catalog.is_some_and(|catalog| catalog.kind == Kind::Conversation);
        let ruling = permit.ruling();
        let reveals = ruling.operations.iter().any(|one| one.has(Effect::Credential));
        Some(Box::new(Self {
            key: policy.fingerprints.clone(),
            caller: caller.clone(),
            method: permit.head().method().clone(),
            path: if ruling.hides(Leak::PATH) {
                Box::from("/[secret]")
            } else {
                Box::from(permit.head().path().as_str())
            },
            operation: ruling.operation()?.clone(),
            request_id: exchange.request_id.clone(),
            reveals,
            // What is exchanged for what the agent was issued is no find.
            told: reveals || ruling.deriving.is_some(),
            secrets: !talks,
            objects,
            findings: Vec::new(),
            answer: None,
        }))
    }
    /// The answer has begun: notes what its head hands out; whether its body is to be looked at.
    pub(super) fn answered<B>(mut self: Box<Self>, response: &Response<B>) -> Option<Box<Self>> {
        if self.secrets {
            self.note(in_head(response.headers(), &self.key));
        }
        let may_hold = may_hold(response.headers());
        self.secrets &= may_hold;
        self.objects &= may_hold;
        Some(self).filter(|sought| sought.secrets || sought.objects)
    }

    /// Notes what a piece of a body says by itself, which more follows on.
    pub(super) fn pass(&mut self, piece: &[u8]) {
        if self.secrets {
            self.note(in_piece(piece, &self.key));
        }
    }

    /// Notes what is in the body, or in a part of one that is not kept whole.
    pub(super) fn read(&mut self, body: &[u8]) {
        if self.secrets {
            self.note(in_body(body, self.reveals, &self.key));
        }
        if self.objects {
            let found = match serialized::objects(body) {
                Ok(found) => finding(&found),
                Err(too_much) => Some(finding_of(too_much.to_string())),
            };
            self.findings.extend(found);
        }
    }

    /// What was found of objects.
    pub(super) fn into_findings(self) -> Vec<Finding> {
        self.findings
    }

    fn note(&mut self, mut handed: Vec<Handed>) {
        if handed.is_empty() {
            return;
        }
        // Not the policy it was asked under: an answer may outlast that, and must not keep it alive.
        let caller = self.caller.clone();
        let now = caller.proxy.current.load_full();
        let policy = &now.policy;
        let Some((_, agent)) = policy.agent(&caller.state.name) else { return };
        handed.retain(|handed| !policy.is_issued_to(agent, &handed.print));
        if handed.is_empty() {
            return;
        }
        let answer = self.answer();
        caller.state.saw(&handed, &answer);
        if self.told || !handed.iter().any(|handed| handed.sure) {
            return;
        }
        self.told = true;
        let stage = Stage::SecretHandedOut;
        let state = &caller.state;
        let changes = state.showed(stage, &self.operation, policy, caller.proxy.clock.now());
        caller.proxy.remember_later(state, changes, &self.request_id);
    }

    fn answer(&mut self) -> Arc<Answer> {
        let Self { method, caller, path, operation, .. } = self;
        let make = || {
            let host = caller.target.host();
            let path: String = shown_path(path).chars().take(LONGEST_PATH).collect();
            let call = format!("{method} {host}{path}");
            // A plain operation is its method and path.
            let asked = match operation.strip_prefix(method.as_str()) {
                Some(rest) if rest.starts_with(' ') => call,
                _ => format!("{operation} ({call})"),
            };
            Arc::new(Answer {
                host: Some(host.shared().clone()),
                asked: Arc::from(asked),
                request_id: self.request_id.clone(),
                at: keeper::now(),
            })
        };
        self.answer.get_or_insert_with(make).clone()
    }
}

/// Kinds of which nothing is text.
const BINARY: &[&str] = &[
    "application/gzip",
    "application/java-archive",
    "application/pdf",
    "application/vnd.android.package-archive",
    "application/vnd.rar",
    "application/wasm",
    "application/x-7z-compressed",
    "application/x-bzip2",
    "application/x-gtar",
    "application/x-gzip",
    "application/x-rar-compressed",
    "application/x-rpm",
    "application/x-tar",
    "application/x-xz",
    "application/x-zip-compressed",
    "application/zip",
    "application/zstd",
];
/// And what such kinds begin or end with.
const BINARY_FIRST: &[&str] =
    &["audio/", "font/", "image/", "video/", "application/vnd.openxmlformats-officedocument"];
const BINARY_LAST: &[&str] = &["+gzip", "+zip", "+zstd", ".tar.gzip"];

/// Whether there may be text in an answer.
fn may_hold(headers: &HeaderMap) -> bool {
    let Ok(kind) = single(headers, &header::CONTENT_TYPE) else { return true };
    let kind = kind.unwrap_or_default().split(';').next().unwrap_or_default().trim().as_bytes();
    if kind.is_empty() || kind.eq_ignore_ascii_case(b"application/octet-stream") {
        let length = single(headers, &header::CONTENT_LENGTH).ok().flatten();
        return length.is_none_or(|length| length.parse().is_ok_and(|n: u64| n <= LONGEST_UNKNOWN));
    }
    let is = |known: &str| kind.eq_ignore_ascii_case(known.as_bytes());
    let starts = |first: &str| {
        kind.get(..first.len()).is_some_and(|kind| kind.eq_ignore_ascii_case(first.as_bytes()))
    };
    let ends = |last: &str| {
        let from = kind.len().checked_sub(last.len()).and_then(|from| kind.get(from..));
        from.is_some_and(|kind| kind.eq_ignore_ascii_case(last.as_bytes()))
    };
    let binary = BINARY_FIRST.iter().any(|first| starts(first))
        || BINARY_LAST.iter().any(|last| ends(last))
        || BINARY.iter().any(|known| is(known));
    is("image/svg+xml") || !binary
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_surely_is_no_text_is_not_read() {
        for (kind, length, read) in [
            (Some("application/json"), None, true),
            (Some("text/plain; charset=utf-8"), Some("9999999"), true),
            (Some("Application/YAML"), None, true),
            (Some("text/html"), None, true),
            (None, Some("100"), true),
            (None, None, true),
            (Some("application/octet-stream"), Some("100"), true),
            (Some("application/octet-stream"), Some("9999999"), false),
            (Some("text/event-stream"), None, true),
            (Some("application/vnd.github.raw"), None, true),
            (Some("application/csv"), None, true),
            (Some("multipart/mixed; boundary=a"), None, true),
            (Some("image/svg+xml"), None, true),
            (Some("Application/ZIP"), None, false),
            (Some("application/vnd.oci.image.layer.v1.tar+gzip"), None, false),
            (Some("image/png"), Some("100"), false),
            (Some("application/gzip"), None, false),
            (Some("video/mp4"), None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(kind) = kind {
                headers.insert(header::CONTENT_TYPE, kind.parse().unwrap());
            }
            if let Some(length) = length {
                headers.insert(header::CONTENT_LENGTH, length.parse().unwrap());
            }
            assert_eq!(may_hold(&headers), read, "{kind:?} {length:?}");
        }
    }
}
