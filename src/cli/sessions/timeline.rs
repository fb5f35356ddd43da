//! Sessions as people read them.
//!
//! Takes what the approvers' listener says of agents; writes text: a list, the timeline of one agent, and how
//! far it has come in each sequence. Every text of an agent is escaped.

use super::super::approvals::text;
use crate::hold::escaped;
use crate::inventory::told;
use serde_json::Value;
use std::fmt::{Result, Write as _};
use std::time::Duration;

fn rows<'v>(value: &'v Value, key: &str) -> &'v [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn number(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

fn ago(stage: &Value) -> String {
    told(Duration::from_secs(number(stage, "seconds_ago")))
}

/// What restrains an agent, in a word.
fn restraint(session: &Value) -> String {
    match (session.get("quarantined").and_then(Value::as_str), session.get("hold_writes")) {
        (Some(why), _) => format!("in quarantine: {}", escaped(why)),
        (None, Some(Value::Bool(true))) => "its writes wait".to_owned(),
        _ => "at large".to_owned(),
    }
}

/// Every agent in a line.
pub(super) fn list(sessions: &Value, out: &mut String) -> Result {
    for session in sessions.as_array().into_iter().flatten() {
        let agent = escaped(text(session, "agent"));
        write!(out, "{agent}, {}, {} stages", restraint(session), number(session, "stages"))?;
        match session.get("last").filter(|last| last.is_object()) {
            Some(last) => writeln!(
                out,
                ", the last {} ago: {} by `{}`",
                ago(last),
                text(last, "stage"),
                escaped(text(last, "what"))
            )?,
            None => writeln!(out)?,
        }
    }
    Ok(())
}

/// The timeline of an agent: the seconds since its first stage, the stage, what showed it, and how far that
/// brought which sequences. Then what was not seen of a sequence of which later steps were, and what of the
/// agent's conversations could not be read.
pub(super) fn show(session: &Value, out: &mut String) -> Result {
    let agent = escaped(text(session, "agent"));
    writeln!(out, "{agent}, {}, session {}", restraint(session), text(session, "session"))?;
    let stages = rows(session, "stages");
    match stages.first() {
        Some(first) => writeln!(out, "  began {} ago", ago(first))?,
        None => writeln!(out, "  it went through no stage")?,
    }
    for stage in stages {
        let first = stages.first().unwrap_or(stage);
        let since = number(first, "seconds_ago").saturating_sub(number(stage, "seconds_ago"));
        let (word, what) = (text(stage, "stage"), escaped(text(stage, "what")));
        write!(out, "  {:>8}  {word:<24} {what}", format!("+{since} s"))?;
        for advanced in rows(stage, "advanced") {
            let name = escaped(text(advanced, "sequence"));
            write!(out, "  [{name} {}/{}]", number(advanced, "step"), number(advanced, "steps"))?;
        }
        writeln!(out)?;
    }
    for sequence in rows(session, "sequences") {
        for unseen in rows(sequence, "unseen") {
            let (name, step) = (escaped(text(sequence, "name")), words(unseen).join(" or "));
            writeln!(out, "  not seen: {step}, before what was seen of {name}")?;
        }
    }
    for part in rows(session, "unread") {
        let (why, times) = (escaped(text(part, "why")), number(part, "times"));
        let times = if times == 1 { "once".to_owned() } else { format!("{times} times") };
        writeln!(out, "  not read in its conversations, {times}: {why}")?;
    }
    match session.get("surprise") {
        Some(report) => super::super::baseline::told(report, out),
        None => Ok(()),
    }
}

/// How far an agent has come in each sequence, and which step would be next.
pub(super) fn explain(session: &Value, out: &mut String) -> Result {
    writeln!(out, "{}, {}", escaped(text(session, "agent")), restraint(session))?;
    for sequence in rows(session, "sequences") {
        let met = rows(sequence, "met");
        let built_in = sequence.get("built_in") == Some(&Value::Bool(true));
        writeln!(
            out,
            "  {}: {} of {} steps within {}, then: {}{}",
            escaped(text(sequence, "name")),
            met.len(),
            number(sequence, "steps"),
            told(Duration::from_secs(number(sequence, "within_seconds"))),
            text(sequence, "then"),
            if built_in { " (built in)" } else { "" },
        )?;
        for stage in met {
            let (word, what) = (text(stage, "stage"), escaped(text(stage, "what")));
            writeln!(out, "    met   {word} by `{what}`, {} ago", ago(stage))?;
        }
        let next = sequence.get("next").map(words).unwrap_or_default();
        if !next.is_empty() {
            let last = met.len() as u64 + 1 == number(sequence, "steps");
            let then = if last { ", which completes it" } else { "" };
            writeln!(out, "    next  {}{then}", next.join(" or "))?;
        }
        for unseen in rows(sequence, "unseen") {
            writeln!(out, "    not seen  {}", words(unseen).join(" or "))?;
        }
    }
    for requirement in rows(session, "requirements") {
        let met = requirement.get("met") == Some(&Value::Bool(true));
        let so = if met { "it was there" } else { "it is missing" };
        writeln!(out, "  {}: {so}", escaped(text(requirement, "told")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn stage(stage: &str, what: &str, ago: u64, advanced: &Value) -> Value {
        json!({ "stage": stage, "what": what, "seconds_ago": ago, "advanced": advanced })
    }

    fn session() -> Value {
        let advanced = json!([{ "sequence": "credential-theft", "step": 1, "steps": 3 }]);
        json!({
            "agent": "a", "session": "s_1", "quarantined": null, "hold_writes": true,
            "stages": [
                stage("authentication_failure", "GET /x", 90, &json!([])),
                stage("credential_discovery", "grep \u{1b}[31m", 84, &advanced),
            ],
            "sequences": [
                {
                    "name": "credential-theft", "within_seconds": 1800, "then": "quarantine",
                    "steps": 3, "met": [stage("credential_discovery", "grep", 84, &json!([]))],
                    "next": ["foreign_credential", "scope_violation"], "unseen": [],
                    "built_in": true,
                },
                {
                    "name": "mine", "within_seconds": 60, "then": "notify", "steps": 2,
                    "met": [stage("destructive", "x", 1, &json!([]))], "next": ["`mutation y`"],
                    "unseen": [["secret_leak", "out_of_scope"]], "built_in": false,
                },
            ],
            "requirements": [{ "told": "`look-first` requires backup_seen", "met": false }],
            "unread": [{ "why": "it\u{1b} ended", "times": 1 }, { "why": "it is long", "times": 3 }],
        })
    }

    #[test]
    fn a_timeline_tells_seconds_stages_and_sequences() {
        let mut out = String::new();
        show(&session(), &mut out).unwrap();
        let expected = "a, its writes wait, session s_1\n  began 90 s ago\n      \
            +0 s  authentication_failure   GET /x\n      \
            +6 s  credential_discovery     grep \\u{1b}[31m  [credential-theft 1/3]\n  \
            not seen: secret_leak or out_of_scope, before what was seen of mine\n  \
            not read in its conversations, once: it\\u{1b} ended\n  \
            not read in its conversations, 3 times: it is long\n";
        assert_eq!(out, expected);
        out.clear();
        show(&json!({ "agent": "a", "session": "s" }), &mut out).unwrap();
        assert_eq!(out, "a, at large, session s\n  it went through no stage\n");
    }

    #[test]
    fn an_explanation_tells_which_step_is_next() {
        let mut out = String::new();
        explain(&session(), &mut out).unwrap();
        let expected = "a, its writes wait\n  \
            credential-theft: 1 of 3 steps within 30 min, then: quarantine (built in)\n    \
            met   credential_discovery by `grep`, 84 s ago\n    \
            next  foreign_credential or scope_violation\n  \
            mine: 1 of 2 steps within 60 s, then: notify\n    \
            met   destructive by `x`, 1 s ago\n    \
            next  `mutation y`, which completes it\n    \
            not seen  secret_leak or out_of_scope\n  \
            `look-first` requires backup_seen: it is missing\n";
        assert_eq!(out, expected);
    }
}
