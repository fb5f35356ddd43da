//! What an agent was allowed to do against what it did.
//!
//! Takes the policy and the records of an agent or of one session; returns how often each thing that
//! is declared was used, what was refused or held, and lines of a narrower policy for a person to review.
//! Pure: it proposes, and applies nothing. What a record does not say is counted as such.

mod declared;
mod suggestion;

use crate::baseline::{name_is_good, operations};
use crate::catalog::Effect;
use crate::policy::{Policy, Word};
use declared::Declared;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashSet};

/// The most different hosts, reasons and names that are told apart in a report.
const MOST: usize = 1_000;
/// The most held requests that are told apart.
const MOST_HELD: usize = 1_000_000;

/// How often something that is declared was used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Used {
    /// As the policy has it.
    pub what: String,
    /// How often.
    pub times: u64,
}

/// One resource of the agent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ResourceUse {
    /// Its name.
    pub name: String,
    /// Its environment.
    pub environment: Option<String>,
    /// Requests that it let pass.
    pub allowed: u64,
    /// Requests of its that waited for a person.
    pub held: u64,
    /// Requests that it refused.
    pub denied: u64,
    /// Its hosts, with the requests that passed there.
    pub hosts: Vec<Used>,
    /// What its lists and rules name, as `allow read`, with what passed, waited or was refused by it.
    pub entries: Vec<Used>,
    /// The operations that passed, by effect and name.
    pub operations: BTreeMap<String, u64>,
}

/// Requests by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Requests {
    /// They passed.
    pub allowed: u64,
    /// Of these, the ones that a person approved.
    pub approved: u64,
    /// They waited for a person; identical calls that wait as one are one.
    pub held: u64,
    /// They were refused.
    pub denied: u64,
    /// Refusals beyond a rate, which have no record of their own.
    pub denied_unrecorded: u64,
    /// Their records do not say what they did.
    pub unread: u64,
    /// They were judged by another policy than this one, so that its rules are not counted by them.
    pub under_another_policy: u64,
}

/// Declared against used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The agent.
    pub agent: String,
    /// The sessions that were looked at.
    pub sessions: BTreeSet<String>,
    /// Its requests.
    pub requests: Requests,
    /// Its resources.
    pub resources: Vec<ResourceUse>,
    /// The credentials issued to it, with the requests that passed with each.
    pub credentials: Vec<Used>,
    /// Credentials that are not its own, with the requests that carried them.
    pub other_credentials: BTreeMap<String, u64>,
    /// Why requests waited or were refused.
    pub reasons: BTreeMap<String, u64>,
    /// Hosts of refused requests that none of its resources declares.
    pub undeclared_hosts: BTreeMap<String, u64>,
    /// Lines of a narrower policy, to be reviewed.
    pub suggestion: Vec<String>,
}

/// Counts records.
#[derive(Debug)]
pub struct Counting<'p> {
    policy: &'p Policy,
    declared: Declared<'p>,
    report: Report,
    held: HashSet<String>,
}

impl<'p> Counting<'p> {
    /// For an agent of a policy; none if the policy does not name it.
    pub fn new(policy: &'p Policy, agent: &str) -> Option<Self> {
        let (_, named) = policy.agent(agent)?;
        let declared = Declared::of(policy, named);
        let report = Report {
            agent: agent.to_owned(),
            sessions: BTreeSet::new(),
            requests: Requests::default(),
            resources: declared.resources(),
            credentials: declared.credentials(),
            other_credentials: BTreeMap::new(),
            reasons: BTreeMap::new(),
            undeclared_hosts: BTreeMap::new(),
            suggestion: Vec::new(),
        };
        Some(Self { policy, declared, report, held: HashSet::new() })
    }

    /// Takes the next record of the log; those of others do not count.
    pub fn take(&mut self, record: &Value) {
        let Some(asked) = Asked::of(record) else { return };
        if asked.agent != self.report.agent {
            return;
        }
        if let Some(session) = asked.session
            && self.report.sessions.len() < MOST
        {
            self.report.sessions.insert(session.to_owned());
        }
        let by_this = asked.digest == Some(&*self.policy.digest);
        let requests = &mut self.report.requests;
        requests.under_another_policy += u64::from(!by_this);
        requests.denied_unrecorded += asked.left_out;
        match asked.word {
            Word::Allow => {
                requests.allowed += 1;
                requests.approved += u64::from(asked.redeems);
                requests.unread += u64::from(asked.operations.is_none());
            }
            Word::Hold => {
                // One that is handed back and asked for again has several records.
                if self.held.len() >= MOST_HELD || !self.held.insert(asked.hold.to_owned()) {
                    return;
                }
                requests.held += 1;
            }
            Word::Deny => requests.denied += 1,
        }
        if let (Word::Hold | Word::Deny, Some(reason)) = (asked.word, asked.reason) {
            one_more(&mut self.report.reasons, reason);
        }
        if let (Word::Deny, Some("out_of_scope"), Some(host)) =
            (asked.word, asked.reason, asked.host)
        {
            one_more(&mut self.report.undeclared_hosts, host);
        }
        self.credentials(&asked);
        let rule = asked.rule.filter(|_| by_this);
        for resource in &mut self.report.resources {
            if asked.resources.contains(&&*resource.name) {
                self.declared.used(resource, &asked, rule);
            }
        }
    }

    fn credentials(&mut self, asked: &Asked<'_>) {
        for name in &asked.credentials {
            match self.report.credentials.iter_mut().find(|used| used.what == *name) {
                Some(used) => used.times += u64::from(asked.word == Word::Allow),
                None => one_more(&mut self.report.other_credentials, name),
            }
        }
    }

    /// The report, with what a narrower policy would say.
    pub fn report(mut self) -> Report {
        self.report.suggestion = suggestion::lines(self.policy, &self.declared, &self.report);
        self.report
    }
}

fn one_more(counts: &mut BTreeMap<String, u64>, key: &str) {
    if let Some(count) = counts.get_mut(key) {
        *count += 1;
    } else if counts.len() < MOST {
        counts.insert(key.to_owned(), 1);
    }
}

/// What a record says of a request.
struct Asked<'r> {
    /// What it waits as.
    hold: &'r str,
    agent: &'r str,
    session: Option<&'r str>,
    word: Word,
    reason: Option<&'r str>,
    rule: Option<&'r str>,
    digest: Option<&'r str>,
    host: Option<&'r str>,
    /// With their effects; none where the record does not say them.
    operations: Option<Vec<(Effect, &'r str)>>,
    resources: BTreeSet<&'r str>,
    credentials: BTreeSet<&'r str>,
    /// Whether a person approved it.
    redeems: bool,
    left_out: u64,
}

impl<'r> Asked<'r> {
    fn of(record: &'r Value) -> Option<Self> {
        let text = |key: &str| record.get(key).and_then(Value::as_str);
        if text("kind") != Some("request") {
            return None;
        }
        let list = |key: &str| record.get(key).and_then(Value::as_array);
        let inner = |key: &str, name: &str| {
            let name = name.to_owned();
            let items = list(key).into_iter().flatten();
            items.filter_map(move |item| item.get(&name).and_then(Value::as_str))
        };
        let word = match text("verdict")? {
            "allow" => Word::Allow,
            "hold" => Word::Hold,
            "deny" => Word::Deny,
            _ => return None,
        };
        let left_out = text("detail").and_then(crate::record::left_out).unwrap_or(0);
        Some(Self {
            hold: text("hold").or_else(|| text("request_id")).unwrap_or_default(),
            agent: text("agent")?,
            session: text("session"),
            word,
            reason: text("reason"),
            rule: text("rule"),
            digest: text("policy_digest"),
            host: text("host"),
            operations: operations(record),
            resources: text("resource").into_iter().chain(inner("targets", "resource")).collect(),
            credentials: inner("credentials", "name").collect(),
            redeems: word == Word::Allow && text("hold").is_some(),
            left_out,
        })
    }
}

/// A name as it stands in the lines of a policy.
fn scalar(text: &str) -> String {
    // A comma or a colon means something in a list.
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ' ');
    if name_is_good(text) || (!text.is_empty() && text.chars().all(plain)) {
        text.to_owned()
    } else {
        Value::from(text).to_string()
    }
}
