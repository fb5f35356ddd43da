//! The record of one exchange: what was asked and decided, and what came back.
//!
//! Takes rulings and responses; hands entries to the audit log. The intent is on disk before a
//! write leaves; a read's is written before its answer ends; the outcome follows, also when the
//! client goes away midway.

use crate::audit::{
    CredentialUse, Entry, Finding, FirstSeen, Kind, Log, NotRecorded, Target, Text, Ticket,
};
use crate::decide::{Reason, Ruling, Severity, Used};
use crate::forward::{Lease, Watch};
use crate::inspect::{Leak, shown_path};
use crate::message::{self, Head};
use crate::policy::{Policy, Word};
use bytes::Bytes;
use http::Method;
use jiff::Timestamp;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Instant;

/// Ids of one process share a random part and count on, so that making one asks nobody.
static PROCESS: LazyLock<String> = LazyLock::new(|| {
    let id = uuid::Uuid::now_v7().simple().to_string();
    // The time of the start, then randomness.
    id.chars().take(12).chain(id.chars().skip(16).take(10)).collect()
});
static COUNT: AtomicU64 = AtomicU64::new(0);

/// So many findings of one answer say enough.
const MOST_FINDINGS: usize = 16;

/// What follows the number of refusals that a record stands for besides its own.
const LEFT_OUT: &str = " refusals before this one have no record of their own";

const A_MESSAGE: &str = "a message of the WebSocket";

/// The status recorded where nobody was left to be answered; no client is told it.
const CLIENT_GONE: u16 = 499;

/// How many refusals a record says were left out before it, by its detail.
pub fn left_out(detail: &str) -> Option<u64> {
    let before = detail.get(..detail.find(LEFT_OUT)?)?;
    before.rsplit("; ").next()?.parse().ok()
}

fn next_id() -> Arc<str> {
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Arc::from(format!("r_{}{count:08x}", *PROCESS))
}

/// What every record of an exchange says.
#[derive(Clone, Debug)]
pub struct Exchange {
    log: Log,
    /// Its id, which the client is told.
    pub request_id: Arc<str>,
    /// Who asks.
    pub agent: Option<Arc<str>>,
    /// In which session.
    pub session: Option<Arc<str>>,
    /// The WebSocket that this is a message of, by the id of its handshake.
    socket: Option<Arc<str>>,
    started: Instant,
    policy_digest: Arc<str>,
    seen: Seen,
}

/// What is seen of a request after its record is written, for the record of its end.
#[derive(Clone, Debug, Default)]
pub struct Seen(Arc<Mutex<Vec<crate::decide::Finding>>>);

impl Seen {
    /// Adds one.
    pub fn note(&self, finding: crate::decide::Finding) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() < MOST_FINDINGS {
            all.push(finding);
        }
    }

    /// All so far.
    pub fn all(&self) -> Vec<crate::decide::Finding> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Exchange {
    /// Opens the record of a request.
    pub fn open(
        log: &Log,
        policy: &Policy,
        agent: Option<Arc<str>>,
        session: Option<Arc<str>>,
    ) -> Self {
        Self {
            log: log.clone(),
            request_id: next_id(),
            agent,
            session,
            socket: None,
            started: Instant::now(),
            policy_digest: policy.digest.clone(),
            seen: Seen::default(),
        }
    }

    /// What is seen of the request from now on.
    pub const fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Opens the record of a message of the WebSocket that this one opened.
    #[must_use]
    pub fn message(&self, policy: &Policy, session: Arc<str>) -> Self {
        let agent = self.agent.clone();
        let socket = Some(self.request_id.clone());
        Self { socket, ..Self::open(&self.log, policy, agent, Some(session)) }
    }

    fn entry(&self, kind: Kind) -> Entry {
        let mut entry = Entry::new(kind, Timestamp::now());
        entry.request_id = Some(Text::from(&self.request_id));
        entry.agent = self.agent.as_ref().map(Text::from);
        entry.session = self.session.as_ref().map(Text::from);
        entry
    }

    fn intent(&self, head: Option<&Head>, ruling: &Ruling, policy: &Policy) -> Entry {
        let mut entry = self.entry(Kind::Request);
        if let Some(head) = head {
            entry.method = Some(method(head.method()));
            entry.host = Some(Text::from(head.target().host().shared()));
            entry.port = Some(head.target().port());
            if !ruling.hides(Leak::PATH) {
                entry.path = Some(Text::from(shown_path(head.path().as_str()).into_owned()));
            }
        }
        entry.operations = ruling.operations.iter().map(|o| Text::from(&o.name)).collect();
        entry.effects = ruling.operations.iter().map(|o| Text::from(o.effect.as_str())).collect();
        entry.resource = ruling.resource.as_ref().map(Text::from);
        entry.targets = ruling.targets.iter().map(target).collect();
        entry.credentials =
            ruling.credentials.iter().map(|used| credential(used, policy)).collect();
        entry.findings = ruling.findings.iter().map(finding).collect();
        entry.verdict = Some(Text::from(ruling.word.as_str()));
        entry.reason = ruling.reason.map(|reason| Text::from(reason.as_str()));
        entry.rule = ruling.rule.clone().map(Text::from);
        entry.policy_digest = Some(Text::from(&self.policy_digest));
        let mut detail: Vec<String> =
            self.socket.iter().map(|id| format!("{A_MESSAGE} {id}")).collect();
        detail
            .extend(ruling.completed.iter().map(|name| format!("completed the sequence `{name}`")));
        entry.detail = (!detail.is_empty()).then(|| Text::from(detail.join("; ")));
        entry
    }

    /// Records what is about to be sent: on disk, unless it is a plain read. The record of a read is
    /// written before that of its outcome, for which the end of the answer waits.
    pub async fn permitted(
        &self,
        head: &Head,
        ruling: &Ruling,
        policy: &Policy,
        hold: Option<&str>,
    ) -> Result<Option<Ticket>, NotRecorded> {
        let mut entry = self.intent(Some(head), ruling, policy);
        if let Some(hold) = hold {
            entry.hold = Some(Text::from(hold.to_owned()));
            let redeemed = "redeemed an approved hold";
            entry.detail = Some(match &entry.detail {
                None => Text::from(redeemed),
                Some(detail) => Text::from(format!("{redeemed}; {}", &**detail)),
            });
        }
        if ruling.is_plain_read() && hold.is_none() {
            // A read's record follows it, so nothing but the log's health speaks against it now.
            if !self.log.healthy() {
                return Err(NotRecorded::Disk);
            }
            return self.log.note(entry).map(Some);
        }
        Box::pin(self.log.commit(entry)).await.map(|_seq| None)
    }

    /// Records a refusal, with the hold it belongs to. Nothing has left and nothing will, so the
    /// refusal stands whether or not it can be recorded; that it could not be is logged.
    pub async fn refused(
        &self,
        head: Option<&Head>,
        ruling: &Ruling,
        policy: &Policy,
        hold: Option<&str>,
    ) {
        let mut entry = self.intent(head, ruling, policy);
        entry.hold = hold.map(|hold| Text::from(hold.to_owned()));
        if ruling.word == Word::Deny && hold.is_none() {
            self.note_refusal(entry, ruling, None).await;
        } else {
            self.note(entry).await;
        }
    }

    /// A refusal where there is no request yet: of a CONNECT, or of what came through its tunnel.
    pub async fn turned_away(
        &self,
        tunnel: Option<&message::Target>,
        ruling: &Ruling,
        policy: &Policy,
    ) {
        let mut entry = self.intent(None, ruling, policy);
        if let Some(target) = tunnel {
            entry.method = Some(Text::from("CONNECT"));
            entry.host = Some(Text::from(target.host().shared()));
            entry.port = Some(target.port());
        }
        self.note_refusal(entry, ruling, Some(&ruling.detail)).await;
    }

    /// Records a refusal unless the agent's rate of them is exceeded; the next one tells how many
    /// were left out.
    async fn note_refusal(&self, mut entry: Entry, ruling: &Ruling, detail: Option<&str>) {
        let Some(left_out) = self.log.admits_refusal(self.agent.as_ref(), is_grave(ruling)) else {
            return;
        };
        let told = (left_out > 0).then(|| format!("{left_out}{LEFT_OUT}"));
        let told: Vec<String> = detail.map(str::to_owned).into_iter().chain(told).collect();
        entry.detail = (!told.is_empty()).then(|| Text::from(told.join("; ")));
        self.note(entry).await;
    }

    async fn note(&self, entry: Entry) {
        let written = match self.log.note(entry) {
            Ok(mut ticket) => ticket.written().await.map(drop),
            Err(error) => Err(error),
        };
        if let Err(error) = written {
            tracing::error!(request_id = %self.request_id, %error, "a refusal could not be recorded");
        }
    }

    /// Watches the answer until its end.
    pub fn answered(
        self: Arc<Self>,
        status: u16,
        address: SocketAddr,
        attempts: u8,
        intent: Option<Ticket>,
        lease: Lease,
    ) -> Outcome {
        Outcome {
            exchange: self,
            status,
            address: Some(address),
            attempts,
            intent,
            lease: Some(lease),
            bytes: 0,
            findings: Vec::new(),
            told: None,
        }
    }

    /// Records that no answer came.
    pub fn failed(&self, status: u16, detail: &str) {
        self.ended(self.outcome(status, 0), detail);
    }

    /// Records that the request was broken off for a reason, and how much of it was sent by then.
    pub fn broken_off(&self, status: u16, reason: Reason, sent: u64, detail: &str) {
        let mut entry = self.outcome(status, sent);
        entry.reason = Some(Text::from(reason.as_str()));
        self.ended(entry, detail);
    }

    fn ended(&self, mut entry: Entry, detail: &str) {
        entry.detail = Some(Text::from(detail.to_owned()));
        drop(self.hand_over(entry));
    }

    /// From here on an answer is awaited; who stops waiting leaves a record of that.
    pub const fn awaiting(&self) -> Awaiting<'_> {
        Awaiting(Some(self))
    }

    /// Records the end of a WebSocket.
    pub fn switched(&self, sent: u64, received: u64, detail: &str) {
        let mut entry = self.outcome(101, sent.saturating_add(received));
        entry.detail = Some(Text::from(detail.to_owned()));
        drop(self.hand_over(entry));
    }

    fn outcome(&self, status: u16, bytes: u64) -> Entry {
        let mut entry = self.entry(Kind::Outcome);
        entry.status = Some(status);
        entry.bytes = Some(bytes);
        entry.findings = self.seen.all().iter().map(finding).collect();
        let elapsed = self.started.elapsed().as_millis();
        entry.milliseconds = Some(u64::try_from(elapsed).unwrap_or(u64::MAX));
        entry
    }

    fn hand_over(&self, entry: Entry) -> Result<Ticket, NotRecorded> {
        // The log turns unhealthy by itself, which stops traffic.
        self.log.note(entry).inspect_err(|error| {
            tracing::error!(request_id = %self.request_id, %error, "an outcome could not be recorded");
        })
    }
}

/// Between the sending of a request and the head of its answer. Dropped before it is over, it records
/// that the client went away meanwhile.
#[derive(Debug)]
pub struct Awaiting<'a>(Option<&'a Exchange>);

impl Awaiting<'_> {
    /// The answer is there, or will not come.
    pub fn over(mut self) {
        self.0 = None;
    }
}

impl Drop for Awaiting<'_> {
    fn drop(&mut self) {
        if let Some(exchange) = self.0 {
            exchange.failed(
                CLIENT_GONE,
                "the client went away before an answer; whether the upstream acted is not known",
            );
        }
    }
}

/// Whether a refusal is one that an operator must not miss.
fn is_grave(ruling: &Ruling) -> bool {
    ruling.findings.iter().any(|finding| finding.reason.severity() == Severity::Critical)
}

fn method(method: &Method) -> Text {
    match *method {
        Method::GET => Text::from("GET"),
        Method::POST => Text::from("POST"),
        _ => Text::from(method.as_str().to_owned()),
    }
}

fn credential(used: &Used, policy: &Policy) -> CredentialUse {
    let print = used.presented.fingerprint();
    CredentialUse {
        slot: Text::from(used.presented.slot.clone()),
        name: used.name.as_ref().map_or_else(|| Text::from("foreign"), Text::from),
        fingerprint: print.map(|print| Text::from(policy.fingerprints.print(&print))),
        first_seen: used.seen.as_ref().map(|seen| FirstSeen {
            at: Timestamp::from_millisecond(seen.answer.at).unwrap_or_default(),
            answer_to: seen.answer.host.as_ref().map(|_| Text::from(&seen.answer.asked)),
            result_of: seen.answer.host.is_none().then(|| Text::from(&seen.answer.asked)),
            request_id: Text::from(&seen.answer.request_id),
            seconds_ago: seen.ago.as_secs(),
        }),
    }
}

fn target(target: &crate::decide::Target) -> Target {
    Target {
        kind: Text::from(target.kind.clone()),
        id: Some(Text::from(target.id.clone())),
        environment: target.environment.as_ref().map(Text::from),
        resource: target.resource.as_ref().map(Text::from),
        learned: target.learned.as_ref().map(|learned| Text::from(&learned.request_id)),
    }
}

fn finding(finding: &crate::decide::Finding) -> Finding {
    Finding {
        reason: Text::from(finding.reason.as_str()),
        severity: Text::from(finding.reason.severity().as_str()),
        technique: finding.reason.technique().map(Text::from),
        slot: finding.slot.clone().map(Text::from),
        evidence: finding.evidence.clone().map(Text::from),
    }
}

/// Watches an answer on its way to the client, and records how it ended.
#[derive(Debug)]
pub struct Outcome {
    exchange: Arc<Exchange>,
    status: u16,
    address: Option<SocketAddr>,
    attempts: u8,
    /// The record of a read, which may be unwritten yet.
    intent: Option<Ticket>,
    lease: Option<Lease>,
    bytes: u64,
    /// What was found in the answer.
    findings: Vec<crate::decide::Finding>,
    /// The record of the end, once there is one.
    told: Option<Result<Ticket, NotRecorded>>,
}

impl Outcome {
    /// Notes what was found in the answer, for the record of its end.
    pub fn found(&mut self, findings: impl IntoIterator<Item = crate::decide::Finding>) {
        for finding in findings {
            if self.findings.contains(&finding) || self.findings.len() == MOST_FINDINGS {
                continue;
            }
            tracing::warn!(
                request_id = %self.exchange.request_id,
                reason = finding.reason.as_str(),
                evidence = finding.evidence.as_deref().unwrap_or_default(),
                "an answer is noted"
            );
            self.findings.push(finding);
        }
    }

    /// Records the end, once.
    fn record(&mut self, detail: Option<&'static str>) {
        if self.told.is_some() {
            return;
        }
        let mut entry = self.exchange.outcome(self.status, self.bytes);
        entry.address = self.address.map(|address| Text::from(address.to_string()));
        entry.findings.extend(self.findings.iter().map(finding));
        entry.detail = match (detail, self.attempts) {
            (Some(detail), _) => Some(Text::from(detail)),
            (None, 1) => None,
            (None, _) => {
                Some(Text::from("sent again once: the first connection died before any answer"))
            }
        };
        self.told = Some(self.exchange.hand_over(entry));
    }

    /// Records that nothing of the answer passes, and waits until that is written. The refusal stands
    /// whether or not it can be.
    pub async fn withheld(mut self, finding: crate::decide::Finding, why: &'static str) {
        self.found([finding]);
        self.record(Some(why));
        if let Err(error) = self.recorded().await {
            tracing::error!(request_id = %self.exchange.request_id, %error, "a withheld answer could not be recorded");
        }
    }

    /// Records that an answer without a body is complete, and waits until that is written.
    pub async fn recorded(&mut self) -> Result<(), NotRecorded> {
        self.record(None);
        if let Some(intent) = &mut self.intent {
            intent.written().await?;
        }
        match &mut self.told {
            Some(Ok(ticket)) => ticket.written().await.map(drop),
            Some(Err(error)) => Err(*error),
            None => Err(NotRecorded::Closed),
        }
    }
}

impl Watch for Outcome {
    fn passed(&mut self, bytes: &Bytes, _are_last: bool) {
        self.bytes += bytes.len() as u64;
    }

    fn poll_may_end(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), NotRecorded>> {
        self.record(None);
        if let Some(intent) = &mut self.intent {
            ready!(intent.poll_written(cx))?;
        }
        match &mut self.told {
            Some(Ok(ticket)) => ticket.poll_written(cx).map_ok(drop),
            Some(Err(error)) => Poll::Ready(Err(*error)),
            None => Poll::Ready(Err(NotRecorded::Closed)),
        }
    }

    fn ended(&mut self) {
        self.record(None);
        if let Some(mut lease) = self.lease.take() {
            lease.give_back();
        }
    }

    fn cut(&mut self, why: &'static str) {
        self.record(Some(why));
    }
}

impl Drop for Outcome {
    fn drop(&mut self) {
        self.record(Some("the answer was cut short: the client or the upstream went away"));
    }
}
