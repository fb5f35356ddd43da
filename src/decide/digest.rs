//! What makes a retry the same call.
//!
//! Takes a held request; returns a keyed digest of all that it means: agent, resources, operations,
//! method, host, port, path, query, body by meaning (or by bytes where it has none), credentials,
//! targets, and the headers that change what a server does. User-Agent, Date, trace headers,
//! Accept-Encoding and idempotency keys make no difference.

use super::Held;
use super::unusual::TERM;
use crate::fingerprint::FingerprintKey;
use crate::message::Body;
use crate::message::headers::as_variable;
use crate::message::{Head, json};

/// Headers that change what a call does or to which version of a thing.
const MEANINGFUL: &[&str] = &[
    "content-encoding",
    "content-language",
    "content-range",
    "content-type",
    "depth",
    "destination",
    "if-match",
    "if-modified-since",
    "if-none-match",
    "if-unmodified-since",
    "mcp-session-id",
    "overwrite",
    "prefer",
    "range",
    "stripe-account",
    "x-dangerous",
    "x-goog-user-project",
    "x-http-content-length",
    "x-vault-namespace",
];

/// Headers of AWS that sign a request or say who sends it.
const ANEW: &[&str] =
    &["x-amz-content-sha256", "x-amz-date", "x-amz-security-token", "x-amz-user-agent"];

impl<B> Held<B> {
    /// The digest of the call; none while its body is still on the way.
    pub fn digest(&self, agent: &str, key: &FingerprintKey) -> Option<[u8; 32]> {
        let message = self.request.message();
        let head = message.head();
        let facts = self.request.facts();
        let meaning = facts.meaning();
        let mut parts: Vec<Vec<u8>> = Vec::new();
        let mut put = |name: &str, value: &[u8]| {
            parts.push(name.as_bytes().to_vec());
            parts.push(value.to_vec());
        };
        put("agent", agent.as_bytes());
        put("method", head.method().as_str().as_bytes());
        put("target", head.target().to_string().as_bytes());
        put("scheme", if head.target().is_cleartext() { b"http" } else { b"https" });
        put("path", head.path().as_str().as_bytes());
        put("query", head.query().as_str().as_bytes());
        put("resource", self.ruling.resource.as_deref().unwrap_or_default().as_bytes());
        for operation in facts.operations().iter() {
            put("operation", operation.name.as_bytes());
        }
        // Whether it is unusual depends on what came before it, which is not of the call.
        for reason in self.ruling.terms.reasons.iter().filter(|reason| **reason != TERM) {
            put("held", reason.as_bytes());
        }
        for target in &self.ruling.terms.targets {
            put("id", target.as_bytes());
        }
        for credential in facts.credentials() {
            put("slot", credential.slot.as_bytes());
            // A token that was renewed meanwhile is the same credential, one that was minted is not.
            let print = credential.fingerprint();
            let mut tokens = self.ruling.standing_for.iter();
            match tokens.find(|(token, _)| Some(*token) == print) {
                Some((_, of)) if of.is_empty() => put("credential", b"anonymous"),
                Some((_, of)) => of.iter().for_each(|one| put("credential", one.as_bytes())),
                None => put("credential", print.as_ref().map_or(&[], |one| one.as_bytes())),
            }
        }
        for name in MEANINGFUL {
            // The published call is JSON labelled as a form: with the body read by meaning, its
            // label says nothing more.
            if *name == "content-type" && meaning.is_some() {
                continue;
            }
            for value in head.headers().get_all(*name) {
                put(name, value.as_bytes());
            }
        }
        // Headers of AWS are arguments, but those that are made anew for every request; others say as
        // whom a call is made, or are asked for by a condition.
        for (name, value) in head.headers() {
            let name = name.as_str();
            // Another spelling may be the one that counts.
            let read = as_variable(name);
            let is_argument = read.starts_with("x-amz-") && !ANEW.contains(&name);
            let heeded = self.ruling.heeded.iter().any(|heeded| as_variable(heeded) == read);
            let other = read != name && MEANINGFUL.contains(&&*read);
            let as_whom = read.starts_with("impersonate-") || read.starts_with("x-remote-");
            if is_argument || heeded || other || as_whom {
                put(name, value.as_bytes());
            }
        }
        for operation in facts.operations().iter() {
            if let Some(headers) = operation.arguments.values().get("header") {
                let mut out = String::new();
                json::canonical(headers, &mut out);
                put("headers", out.as_bytes());
            }
        }
        match (meaning.as_deref(), message.body()) {
            (Some(meaning), _) => put("meaning", meaning.as_bytes()),
            (None, Body::Empty) => put("body", b""),
            (None, Body::Whole(bytes)) => match json_meaning(head, bytes) {
                Some(meaning) => put("json", meaning.as_bytes()),
                None => put("body", bytes),
            },
            (None, Body::Stream(_) | Body::Opened(..)) => return None,
        }
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        Some(*key.of_parts(&parts).as_bytes())
    }
}

/// A JSON body by meaning; none where it is something else, or where two bodies might mean the same
/// by this reading and not to the server.
fn json_meaning(head: &Head, bytes: &[u8]) -> Option<String> {
    let media = head.media_type()?;
    if head.is_coded() || !json::is_media(&media) {
        return None;
    }
    let value = json::parse(bytes).ok().filter(|value| !json::has_inexact_number(value))?;
    let mut out = String::with_capacity(bytes.len());
    json::canonical(&value, &mut out);
    Some(out)
}
