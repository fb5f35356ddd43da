//! What requests show of where an agent is going, and what the policy says of sequences.

use super::*;
use crate::policy::{Sequences, Then};

/// The example with other sequences.
fn with(sequences: &str) -> String {
    let (before, after) = EXAMPLE.split_once("\nsequences:\n").unwrap();
    let (_, tests) = after.split_once("\n# Cases that").unwrap();
    format!("{before}\nsequences:\n{sequences}\n# Cases that{tests}")
}

fn refused(sequences: &str) -> String {
    let key = Arc::new(FingerprintKey::new(b"test"));
    let compiled = compile(&with(sequences), "policy.yaml", Path::new(""), &Fixed, &key);
    compiled.err().map_or_else(String::new, |report| report.to_string())
}

fn names(sequences: &Sequences) -> Vec<(&str, Then)> {
    sequences.orders.iter().map(|one| (&*one.name, one.then)).collect()
}

#[test]
fn built_in_sequences_are_there_unless_they_are_switched_off() {
    let example = policy(|text| text);
    let built_in = [
        ("credential-theft", Then::Quarantine),
        ("exfiltration", Then::Quarantine),
        ("leaked-secret", Then::HoldWrites),
        ("found-credential", Then::Quarantine),
        ("backup-removal", Then::HoldWrites),
        ("minted-credential", Then::HoldWrites),
        ("widened-access", Then::Notify),
    ];
    assert_eq!(names(&example.sequences)[0], ("pocketos", Then::Quarantine));
    assert_eq!(names(&example.sequences)[1..], built_in);
    let changed = policy(|_| {
        with(
            "  - { name: exfiltration, then: notify, within: 5m }\n  \
             - { name: credential-theft, then: nothing }\n  \
             - { name: widened-access, within: 1m, steps: [access_change, deletion], then: quarantine }\n",
        )
    });
    let exfiltration = &changed.sequences.orders[1];
    assert_eq!((&*exfiltration.name, exfiltration.then), ("exfiltration", Then::Notify));
    assert_eq!(exfiltration.within, std::time::Duration::from_mins(5));
    let widened = changed.sequences.orders.iter().filter(|one| &*one.name == "widened-access");
    assert_eq!(
        widened.map(|one| (one.steps.len(), one.built_in)).collect::<Vec<_>>(),
        [(2, false)]
    );
    assert_eq!(names(&changed.sequences).len(), 6);
    let lints: Vec<&str> = changed.lints.iter().map(|lint| lint.message.as_str()).collect();
    assert!(
        lints.iter().any(|lint| lint.contains("`credential-theft` is switched off")),
        "{lints:?}"
    );
}

#[test]
fn what_a_sequence_may_not_say() {
    for (sequences, told) in [
        ("  - { name: a, within: 1m, steps: [foreign_credentail], then: notify }", "no stage"),
        ("  - { name: a, within: 1m, steps: [called], then: notify }", "no stage"),
        ("  - { name: a, within: 1m, steps: [mutation nothing], then: notify }", "no operation"),
        ("  - { name: a, within: 1m, steps: [[]], then: notify }", "names one stage"),
        ("  - { name: a, steps: [irreversible], then: notify }", "within"),
        ("  - { name: a, within: 1m, then: notify }", "only the built-in ones"),
        ("  - { name: a, within: 1m, steps: [irreversible], then: deny }", "`then: deny`"),
        ("  - { name: a, within: 1m, steps: [irreversible], then: nothing }", "`then: nothing`"),
        ("  - { name: exfiltration, then: hold }", "`then: hold`"),
        (
            "  - { name: a, within: 1m, requires: backup_seen, before: deletion, then: notify }",
            "`then: notify`",
        ),
        ("  - { name: a, within: 1m, requires: backup_seen, then: deny }", "need each other"),
        (
            "  - { name: a, within: 1m, requires: backup_seen, before: secret_leak, then: deny }",
            "`before:` names",
        ),
        (
            "  - { name: a, within: 1m, steps: [destructive, destructive, destructive, destructive, destructive, destructive, destructive, destructive, destructive], then: notify }",
            "more than 8",
        ),
        (
            "  - { name: exfiltration, then: notify }\n  - { name: exfiltration, then: notify }",
            "two sequences",
        ),
    ] {
        assert!(refused(sequences).contains(told), "{sequences}: {}", refused(sequences));
    }
    for sequences in [
        "  - { name: a, within: 1m, steps: [mutation deploymentRestart, 'DELETE /volumes/{id}'], then: notify }",
        "  - { name: a, within: 1m, steps: [['mutation *Delete', irreversible]], then: notify }",
        "  - { name: a, within: 1m, requires: [backup_seen], before: [deletion], then: hold }",
    ] {
        assert_eq!(refused(sequences), "");
    }
}

#[test]
fn what_requests_show() {
    let policy = policy(|_| {
        with(
            "  - { name: a, within: 1m, steps: [mutation deploymentRestart, 'DELETE /volumes/{id}'], then: notify }",
        )
    });
    let (_, agent) = policy.agent("staging-fixer").unwrap();
    let volume = |id: &str| format!("mutation {{ volumeDelete(volumeId: \"{id}\") }}");
    let backup = "mutation { volumeInstanceBackupDelete(volumeInstanceId: \"x\", volumeInstanceBackupId: \"y\") }";
    let restart = "mutation { deploymentRestart(id: \"x\") }";
    let shell = format!(
        "mutation {{ sandboxExec(environmentId: \"{STAGING}\", input: {{ command: \"ls\" }}) }}"
    );
    let leak = format!("GET https://docs.railway.com/x?note={ISSUED}");
    let plain = "DELETE https://api.staging.railway.app/volumes/7".to_owned();
    let cases: &[(String, &[&str])] = &[
        (graphql(ISSUED, &volume(STAGING_VOLUME)), &["destructive", "irreversible", "deletion"]),
        (
            graphql(FOREIGN, &volume(PRODUCTION_VOLUME)),
            &["foreign_credential", "scope_violation", "destructive", "irreversible", "deletion"],
        ),
        // Removing a backup is no deletion of what it is of.
        (graphql(ISSUED, backup), &["destructive", "irreversible"]),
        (graphql(ISSUED, restart), &["called"]),
        (graphql(ISSUED, &shell), &["execution"]),
        (leak, &["secret_leak"]),
        (plain, &["destructive", "irreversible", "deletion", "called"]),
        ("GET https://example.com/".to_owned(), &["out_of_scope"]),
        ("GET https://docs.railway.com/x".to_owned(), &[]),
    ];
    for (request, expected) in cases {
        let Explained::Ruled(ruling) = explain(&policy, agent, request).unwrap() else {
            panic!("{request} is judged");
        };
        let stages: Vec<&str> = ruling.facts().iter().map(|fact| fact.stage.as_str()).collect();
        assert_eq!(stages, *expected, "{request}");
    }
}

/// What an agent read its model reads: that it stands in the conversation is no leak.
#[test]
fn a_secret_in_the_conversation_has_not_left() {
    let policy = policy(|text| text);
    let (_, agent) = policy.agent("staging-fixer").unwrap();
    let body = serde_json::json!({
        "model": "m", "max_tokens": 1, "messages": [{ "role": "user", "content": ISSUED }],
    });
    let request = format!("POST https://api.anthropic.com/v1/messages\n\n{body}");
    let Explained::Ruled(ruling) = explain(&policy, agent, &request).unwrap() else {
        panic!("it is judged");
    };
    assert!(ruling.findings.iter().any(|finding| finding.reason == Reason::SecretLeak));
    assert!(!ruling.stages.contains(&Stage::SecretLeak), "{ruling:?}");
}

#[test]
fn what_answers_show() {
    let policy = policy(|text| text);
    let (_, agent) = policy.agent("staging-fixer").unwrap();
    let catalog = policy.resources[0].catalog().unwrap();
    let post = http::Method::POST;
    let list = "volumeInstanceBackupList(volumeInstanceId: \"x\") { id }";
    let schedule = |kinds: &str| {
        format!(
            "mutation {{ volumeInstanceBackupScheduleUpdate(volumeInstanceId: \"x\", kinds: {kinds}) }}"
        )
    };
    let token = format!(
        "mutation {{ projectTokenCreate(input: {{ environmentId: \"{STAGING}\", name: \"x\", projectId: \"p\" }}) }}"
    );
    let cases: &[(String, &[&str])] = &[
        (format!("query {{ {list} }}"), &["backup_seen"]),
        ("mutation { volumeInstanceBackupCreate(volumeInstanceId: \"x\") { __typename } }".into(), &["backup_made"]),
        (
            "mutation { volumeInstanceBackupDelete(volumeInstanceId: \"x\", volumeInstanceBackupId: \"y\") }".into(),
            &["backup_removed"],
        ),
        // Another schedule is no end of backups; none is.
        (schedule("[DAILY]"), &[]),
        (schedule("[]"), &["backup_removed"]),
        (token, &["secret_handed_out", "credential_minted"]),
        (format!("query {{ variables(environmentId: \"{STAGING}\") }}"), &["secret_handed_out"]),
        ("mutation { projectMemberAdd(input: { projectId: \"x\" }) }".into(), &["access_change"]),
        ("query { me { email } }".into(), &[]),
    ];
    for (document, expected) in cases {
        let Explained::Ruled(ruling) = explain(&policy, agent, &graphql(ISSUED, document)).unwrap()
        else {
            panic!("{document} is judged");
        };
        let done = ruling.done(&post, Some(catalog));
        let stages: Vec<&str> = done.iter().map(|fact| fact.stage.as_str()).collect();
        assert_eq!(stages, *expected, "{document}");
    }
}
