//! One audit entry and its canonical JSON.
//!
//! Takes what the caller knows of an exchange; the log adds `seq`, `prev` and `hash`. Every key is
//! written in sorted order and every string with the escapes of RFC 8785, so that the line is
//! canonical by construction. Strings and lists are capped; what was cut shows.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;

use super::chain::{push_hex, sha256};

/// The longest string written in full; the rest is its hash.
const TEXT_LIMIT: usize = 2048;

/// The longest list written in full; the rest is a count in `more`.
const LIST_LIMIT: usize = 64;

/// The largest integer that canonical JSON can carry exactly.
const NUMBER_LIMIT: u64 = (1 << 53) - 1;

/// A string that is cheap to put into an entry: static, shared or owned.
#[derive(Clone)]
pub struct Text(Repr);

#[derive(Clone)]
enum Repr {
    Static(&'static str),
    Shared(Arc<str>),
    Owned(Box<str>),
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Repr::Static(text) => text,
            Repr::Shared(text) => text,
            Repr::Owned(text) => text,
        }
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, formatter)
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Text {}

impl From<&'static str> for Text {
    fn from(text: &'static str) -> Self {
        Self(Repr::Static(text))
    }
}

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        Self(Repr::Shared(text))
    }
}

impl From<&Arc<str>> for Text {
    fn from(text: &Arc<str>) -> Self {
        Self(Repr::Shared(Arc::clone(text)))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self(Repr::Owned(text.into_boxed_str()))
    }
}

impl From<Cow<'static, str>> for Text {
    fn from(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

/// What an entry is about. Checkpoints are the log's own and cannot be handed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// What was asked, and the verdict.
    Request,
    /// What came back.
    Outcome,
    /// A hold changed its state.
    Hold,
    /// A person answered.
    Approval,
    /// A policy was loaded or refused.
    Policy,
    /// A session began or ended.
    Session,
}

impl Kind {
    /// The word in the record.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Outcome => "outcome",
            Self::Hold => "hold",
            Self::Approval => "approval",
            Self::Policy => "policy",
            Self::Session => "session",
        }
    }
}

/// One thing that an operation acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What it is: `volume`, `environment` …
    pub kind: Text,
    /// Its id; absent when the operation acts on the account.
    pub id: Option<Text>,
    /// Whose it is, if known.
    pub environment: Option<Text>,
    /// The declared resource, if known.
    pub resource: Option<Text>,
    /// The request whose answer said whose it is, where that is not declared.
    pub learned: Option<Text>,
}

/// One credential in a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CredentialUse {
    /// Where it stood: `header authorization` …
    pub slot: Text,
    /// Its issued name, or `foreign`.
    pub name: Text,
    /// Its keyed fingerprint.
    pub fingerprint: Option<Text>,
    /// The answer that handed it out first, where it is not issued to the agent and one did.
    pub first_seen: Option<FirstSeen>,
}

/// Where a credential was first seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstSeen {
    /// What the answer was to: method, host and path, and the operation where it has a name.
    pub answer_to: Option<Text>,
    /// What the tool was called with, where it was the result of one.
    pub result_of: Option<Text>,
    /// When it came.
    pub at: Timestamp,
    /// The request that it answered, or that carried the result.
    pub request_id: Text,
    /// How long that was before this record.
    pub seconds_ago: u64,
}

/// What a detector saw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The stable word.
    pub reason: Text,
    /// How bad.
    pub severity: Text,
    /// The MITRE ATT&CK technique.
    pub technique: Option<Text>,
    /// Where.
    pub slot: Option<Text>,
    /// Redacted.
    pub evidence: Option<Text>,
}

/// What a caller hands over. What is absent is left out of the record. No secret, ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What this is about.
    pub kind: Kind,
    /// When it happened.
    pub time: Timestamp,
    /// The address that was dialled.
    pub address: Option<Text>,
    /// Which agent.
    pub agent: Option<Text>,
    /// Which approver answered.
    pub approver: Option<Text>,
    /// Body bytes that came back.
    pub bytes: Option<u64>,
    /// Fingerprint of the certificate that the upstream showed.
    pub certificate: Option<Text>,
    /// Which connection, also for what was refused before it was a request.
    pub connection: Option<Text>,
    /// How many events this record stands for, when it folds many.
    pub count: Option<u64>,
    /// The credentials that were used.
    pub credentials: Vec<CredentialUse>,
    /// One sentence for a person.
    pub detail: Option<Text>,
    /// What each operation does, in the order of `operations`.
    pub effects: Vec<Text>,
    /// What the detectors saw.
    pub findings: Vec<Finding>,
    /// Which hold.
    pub hold: Option<Text>,
    /// The canonical host.
    pub host: Option<Text>,
    /// The method.
    pub method: Option<Text>,
    /// How long it took.
    pub milliseconds: Option<u64>,
    /// What the request does in the API's own terms.
    pub operations: Vec<Text>,
    /// The path.
    pub path: Option<Text>,
    /// The policy that decided, or that was loaded.
    pub policy_digest: Option<Text>,
    /// The policy that stood before a load.
    pub policy_digest_before: Option<Text>,
    /// The port.
    pub port: Option<u16>,
    /// The stable word for the verdict.
    pub reason: Option<Text>,
    /// Which request.
    pub request_id: Option<Text>,
    /// The declared resource that decided.
    pub resource: Option<Text>,
    /// The rule that decided.
    pub rule: Option<Text>,
    /// Which session.
    pub session: Option<Text>,
    /// The HTTP status that came back.
    pub status: Option<u16>,
    /// What the operations act on.
    pub targets: Vec<Target>,
    /// `allow`, `hold` or `deny`.
    pub verdict: Option<Text>,
}

impl Entry {
    /// An entry with nothing but kind and time.
    #[must_use]
    pub const fn new(kind: Kind, time: Timestamp) -> Self {
        Self {
            kind,
            time,
            address: None,
            agent: None,
            approver: None,
            bytes: None,
            certificate: None,
            connection: None,
            count: None,
            credentials: Vec::new(),
            detail: None,
            effects: Vec::new(),
            findings: Vec::new(),
            hold: None,
            host: None,
            method: None,
            milliseconds: None,
            operations: Vec::new(),
            path: None,
            policy_digest: None,
            policy_digest_before: None,
            port: None,
            reason: None,
            request_id: None,
            resource: None,
            rule: None,
            session: None,
            status: None,
            targets: Vec::new(),
            verdict: None,
        }
    }

    /// Writes the keys that stand before `hash`, then those after it. Keys are in sorted order.
    pub(super) fn write(&self, seq: u64, prev: &[u8; 32], parts: &mut Parts) {
        parts.clear();
        let mut object = Object::new(&mut parts.before);
        object.text("address", self.address.as_deref());
        object.text("agent", self.agent.as_deref());
        object.text("approver", self.approver.as_deref());
        object.number("bytes", self.bytes);
        object.text("certificate", self.certificate.as_deref());
        object.text("connection", self.connection.as_deref());
        object.number("count", self.count);
        object.list("credentials", &self.credentials, |out, credential| {
            let mut object = Object::new(out);
            object.text("fingerprint", credential.fingerprint.as_deref());
            if let Some(seen) = &credential.first_seen {
                object.key("first_seen");
                let mut inner = Object::new(object.out);
                // Readers rely on it, so it is there where it says nothing.
                inner.text_or_null("answer_to", seen.answer_to.as_deref());
                inner.time("at", seen.at);
                inner.text("request_id", Some(&seen.request_id));
                inner.text("result_of", seen.result_of.as_deref());
                inner.number("seconds_ago", Some(seen.seconds_ago));
                inner.end();
            }
            object.text("name", Some(&credential.name));
            object.text("slot", Some(&credential.slot));
            object.end();
        });
        object.text("detail", self.detail.as_deref());
        object.list("effects", &self.effects, |out, effect| push_text(out, effect));
        object.list("findings", &self.findings, |out, finding| {
            let mut object = Object::new(out);
            object.text("evidence", finding.evidence.as_deref());
            object.text("reason", Some(&finding.reason));
            object.text("severity", Some(&finding.severity));
            object.text("slot", finding.slot.as_deref());
            object.text("technique", finding.technique.as_deref());
            object.end();
        });

        let mut object = Object::after_hash(&mut parts.after);
        object.text("hold", self.hold.as_deref());
        object.text("host", self.host.as_deref());
        object.text("kind", Some(self.kind.as_str()));
        object.text("method", self.method.as_deref());
        object.number("milliseconds", self.milliseconds);
        self.write_more(&mut object);
        object.list("operations", &self.operations, |out, operation| push_text(out, operation));
        object.text("path", self.path.as_deref());
        object.text("policy_digest", self.policy_digest.as_deref());
        object.text("policy_digest_before", self.policy_digest_before.as_deref());
        object.number("port", self.port.map(u64::from));
        object.hash("prev", prev);
        object.text("reason", self.reason.as_deref());
        object.text("request_id", self.request_id.as_deref());
        object.text("resource", self.resource.as_deref());
        object.text("rule", self.rule.as_deref());
        object.number("seq", Some(seq));
        object.text("session", self.session.as_deref());
        object.number("status", self.status.map(u64::from));
        object.list("targets", &self.targets, |out, target| {
            let mut object = Object::new(out);
            object.text("environment", target.environment.as_deref());
            object.text("id", target.id.as_deref());
            object.text("kind", Some(&target.kind));
            object.text("learned", target.learned.as_deref());
            object.text("resource", target.resource.as_deref());
            object.end();
        });
        object.time("time", self.time);
        object.text("verdict", self.verdict.as_deref());
        object.end();
    }

    /// How many items of each list were left out.
    fn write_more(&self, object: &mut Object<'_>) {
        let more = [
            ("credentials", self.credentials.len()),
            ("findings", self.findings.len()),
            ("operations", self.operations.len()),
            ("targets", self.targets.len()),
        ]
        .map(|(key, length)| (key, length.saturating_sub(LIST_LIMIT)));
        if more.iter().all(|(_, left_out)| *left_out == 0) {
            return;
        }
        object.key("more");
        let mut inner = Object::new(object.out);
        for (key, left_out) in more {
            inner.number(key, u64::try_from(left_out).ok().filter(|count| *count > 0));
        }
        inner.end();
    }
}

/// What the log itself writes: a signed statement of where the chain stands.
pub(super) struct Checkpoint<'a> {
    pub(super) time: Timestamp,
    /// Something an operator should know, such as a torn line that was cut.
    pub(super) detail: Option<&'a str>,
    /// The first record that is kept, and the hash of the one before it.
    pub(super) first: u64,
    pub(super) first_prev: [u8; 32],
}

impl Checkpoint<'_> {
    /// Like [`Entry::write`]; the signature covers the same record without `hash` and `signature`.
    pub(super) fn write(
        &self,
        seq: u64,
        prev: &[u8; 32],
        signature: Option<&str>,
        parts: &mut Parts,
    ) {
        parts.clear();
        let mut object = Object::new(&mut parts.before);
        object.text("detail", self.detail);
        object.number("first", Some(self.first));
        object.hash("first_prev", &self.first_prev);

        let mut object = Object::after_hash(&mut parts.after);
        object.text("kind", Some("checkpoint"));
        object.hash("prev", prev);
        object.number("seq", Some(seq));
        object.text("signature", signature);
        object.time("time", self.time);
        object.end();
    }
}

/// A record in two halves, with the place for its `hash` between them.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) before: Vec<u8>,
    pub(super) after: Vec<u8>,
}

impl Parts {
    fn clear(&mut self) {
        self.before.clear();
        self.after.clear();
    }
}

/// Writes one JSON object; the caller gives the keys in sorted order.
struct Object<'a> {
    out: &'a mut Vec<u8>,
    comma: bool,
}

impl<'a> Object<'a> {
    fn new(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, comma: false }
    }

    /// The rest of an object: the comma before its first key belongs to the first half, or to
    /// `hash` where that stands first.
    const fn after_hash(out: &'a mut Vec<u8>) -> Self {
        Self { out, comma: false }
    }

    fn key(&mut self, key: &'static str) {
        if self.comma {
            self.out.push(b',');
        }
        self.comma = true;
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn text(&mut self, key: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.key(key);
            push_text(self.out, text);
        }
    }

    fn text_or_null(&mut self, key: &'static str, text: Option<&str>) {
        if text.is_none() {
            self.key(key);
            self.out.extend_from_slice(b"null");
        }
        self.text(key, text);
    }

    fn number(&mut self, key: &'static str, number: Option<u64>) {
        if let Some(number) = number {
            self.key(key);
            push_number(self.out, number.min(NUMBER_LIMIT));
        }
    }

    fn hash(&mut self, key: &'static str, hash: &[u8; 32]) {
        self.key(key);
        self.out.push(b'"');
        push_hex(self.out, hash);
        self.out.push(b'"');
    }

    fn time(&mut self, key: &'static str, time: Timestamp) {
        static PRINTER: DateTimePrinter = DateTimePrinter::new().precision(Some(6));
        self.key(key);
        self.out.push(b'"');
        let start = self.out.len();
        if PRINTER.print_timestamp(&time, &mut *self.out).is_err() {
            self.out.truncate(start);
        }
        self.out.push(b'"');
    }

    fn list<T>(&mut self, key: &'static str, items: &[T], write: impl Fn(&mut Vec<u8>, &T)) {
        if items.is_empty() {
            return;
        }
        self.key(key);
        self.out.push(b'[');
        for (index, item) in items.iter().take(LIST_LIMIT).enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            write(self.out, item);
        }
        self.out.push(b']');
    }

    fn end(self) {
        self.out.push(b'}');
    }
}

/// A JSON string; one over the limit is cut and carries the hash of the whole.
fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    if text.len() <= TEXT_LIMIT {
        push_escaped(out, text);
    } else {
        let kept = text.get(..text.floor_char_boundary(TEXT_LIMIT)).unwrap_or_default();
        push_escaped(out, kept);
        out.extend_from_slice("…sha256:".as_bytes());
        push_hex(out, &sha256([text.as_bytes()]));
    }
    out.push(b'"');
}

/// The escapes of RFC 8785, section 3.2.2.2: the short ones, `\u00xx` for other controls, no more.
fn push_escaped(out: &mut Vec<u8>, text: &str) {
    const fn is_special(byte: u8) -> bool {
        matches!(byte, 0..0x20 | b'"' | b'\\')
    }
    let mut rest = text.as_bytes();
    // Most texts have none, and many bytes are asked at once where none of them ends it.
    if !rest.iter().fold(false, |special, byte| special | is_special(*byte)) {
        out.extend_from_slice(rest);
        return;
    }
    while let Some(length) = rest.iter().position(|byte| is_special(*byte)) {
        let (plain, from) = rest.split_at(length);
        out.extend_from_slice(plain);
        let Some((special, after)) = from.split_first() else {
            break;
        };
        match special {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            0x08 => out.extend_from_slice(b"\\b"),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            0x0c => out.extend_from_slice(b"\\f"),
            b'\r' => out.extend_from_slice(b"\\r"),
            control => {
                out.extend_from_slice(b"\\u00");
                push_hex(out, &[*control]);
            }
        }
        rest = after;
    }
    out.extend_from_slice(rest);
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    if number >= 10 {
        push_number(out, number / 10);
    }
    out.push(b'0' + (number % 10) as u8);
}
