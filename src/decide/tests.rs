//! The verdicts, case by case, under the example policy.

mod conditions;
mod derived;
mod digests;
mod effects;
mod evasions;
mod learned;
mod narrower;
mod properties;
mod reaching;
mod sequences;
mod spellings;
mod unusual;

use super::*;
use crate::explain::{Explained, explain};
use crate::fingerprint::FingerprintKey;
use crate::policy::{Secrets, compile};
use crate::trajectory::{Past, Stage};
use std::path::Path;
use zeroize::Zeroizing;

const EXAMPLE: &str = include_str!("../../tests/fixtures/policy-example.yaml");
const STAGING: &str = "bbbbbbbb-0000-4000-8000-000000000001";
const PRODUCTION: &str = "bbbbbbbb-0000-4000-8000-000000000002";
const STAGING_VOLUME: &str = "dddddddd-0000-4000-8000-000000000001";
const PRODUCTION_VOLUME: &str = "dddddddd-0000-4000-8000-000000000002";
const ISSUED: &str = "11111111-0000-4000-8000-000000000001";
const OTHERS: &str = "22222222-0000-4000-8000-000000000002";
const FOREIGN: &str = "00000000-0000-4000-8000-00000000dead";

struct Fixed;

impl Secrets for Fixed {
    fn variable(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
        let value = match name {
            "OTHERS" => OTHERS,
            "MINE" | "THEIRS" => name,
            _ => ISSUED,
        };
        Some(Zeroizing::new(value.as_bytes().to_vec()))
    }
    fn file(&self, _path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
        Err("no file".to_owned())
    }

    fn law(&self, path: &Path) -> Result<String, String> {
        Err(format!("{}: there are no files here", path.display()))
    }
}

fn policy(change: impl Fn(String) -> String) -> Policy {
    let key = Arc::new(FingerprintKey::new(b"test"));
    let text = change(EXAMPLE.to_owned());
    compile(&text, "policy.yaml", Path::new(""), &Fixed, &key)
        .unwrap_or_else(|report| panic!("{report}"))
}

fn ruling(policy: &Policy, request: &str) -> (Word, Option<&'static str>, Vec<&'static str>) {
    let (_, agent) = policy.agent("staging-fixer").unwrap();
    match explain(policy, agent, request).unwrap() {
        Explained::Ruled(ruling) => (
            ruling.word,
            ruling.reason.map(Reason::as_str),
            ruling.findings.iter().map(|finding| finding.reason.as_str()).collect(),
        ),
        refused @ Explained::Refused(_) => (refused.word(), refused.reason(), Vec::new()),
    }
}

fn graphql(token: &str, document: &str) -> String {
    let body = serde_json::json!({ "query": document });
    format!(
        "POST https://backboard.railway.com/graphql/v2\nAuthorization: Bearer {token}\n\n{body}"
    )
}

fn expect(policy: &Policy, cases: &[(String, Word, &str)]) {
    for (request, word, reason) in cases {
        let (found, why, findings) = ruling(policy, request);
        let told = why.unwrap_or_default();
        assert_eq!((found, told), (*word, *reason), "{request}\nfindings: {findings:?}");
    }
}

#[test]
fn a_foreign_credential_is_told_whatever_else_is_wrong() {
    let policy = policy(|text| text);
    let api = "https://api.staging.railway.app";
    let unread = format!(
        "POST https://backboard.railway.com/graphql/v2\nAuthorization: Bearer {FOREIGN}\n\n{{\"query\":"
    );
    let overridden = format!(
        "POST {api}/deployments\nContent-Type: application/x-www-form-urlencoded\nAuthorization: Bearer {FOREIGN}\n\n_method=delete"
    );
    let mine = unread.replace(FOREIGN, ISSUED);
    for (request, reason, foreign) in [
        (unread, "foreign_credential", true),
        (overridden, "malformed", true),
        (mine, "unreadable", false),
    ] {
        let (word, told, findings) = ruling(&policy, &request);
        assert_eq!((word, told), (Word::Deny, Some(reason)), "{request}");
        assert_eq!(findings.contains(&"foreign_credential"), foreign, "{request}: {findings:?}");
    }
}

/// What a resource takes of unknown credentials does not make another agent's its own.
#[test]
fn what_another_agent_was_issued_is_foreign_everywhere() {
    for mode in ["any", "first_seen"] {
        let policy = policy(|text| {
            text.replacen(
                "    profile: coding-agent\n",
                "    profile: coding-agent\n    token: { env: MINE }\n",
                1,
            )
            .replacen(
                "\ncredentials:\n",
                "\n  other: { token: { env: THEIRS }, resources: [docs], credentials: [others] }\n\ncredentials:\n  \
                 others: { value: { env: OTHERS }, resources: [docs] }\n",
                1,
            )
            .replacen(
                "    hosts: [docs.railway.com]\n",
                &format!("    hosts: [docs.railway.com]\n    credentials: {mode}\n"),
                1,
            )
        });
        let with = |token: &str| {
            format!("GET https://docs.railway.com/x\nAuthorization: Bearer {token}\n")
        };
        expect(&policy, &[(with(FOREIGN), Word::Allow, "")]);
        expect(&policy, &[(with(OTHERS), Word::Deny, "foreign_credential")]);
    }
}

#[test]
fn a_rule_says_what_a_call_does() {
    let stages = |rule: &str| {
        let policy = policy(|text| text.replacen("- allow: GET /**", rule, 1));
        let (_, agent) = policy.agent("staging-fixer").unwrap();
        let request = "GET https://api.staging.railway.app/cache/purge";
        let Explained::Ruled(ruling) = explain(&policy, agent, request).unwrap() else {
            panic!("it is judged");
        };
        (ruling.word, ruling.stages)
    };
    let (word, noted) = stages("- allow: GET /**");
    assert_eq!(word, Word::Hold);
    assert!(noted.contains(&Stage::Destructive), "{noted:?}");
    assert_eq!(stages("- allow: GET /**\n        effect: read"), (Word::Allow, Vec::new()));
}

#[test]
fn what_a_rule_says_counts_everywhere() {
    let rules = "- hold: POST /teardown\n        effect: destructive\n        reversibility: irreversible\n      \
                 - allow: GET /rotate\n        effect: credential\n      - allow: GET /**";
    let policy = policy(|text| {
        text.replacen("- allow: GET /**", rules, 1).replacen(
            "irreversible: { approvals: 1 }",
            "irreversible: { approvals: 2 }",
            1,
        )
    });
    let (_, agent) = policy.agent("staging-fixer").unwrap();
    let ruled = |line: &str| {
        let (method, path) = line.split_once(' ').unwrap();
        let text = format!("{method} https://api.staging.railway.app{path}");
        match explain(&policy, agent, &text).unwrap() {
            Explained::Ruled(ruling) => ruling,
            Explained::Refused(_) => panic!("it is judged"),
        }
    };
    let teardown = ruled("POST /teardown");
    assert_eq!((teardown.word, teardown.approvals_needed), (Word::Hold, 2));
    assert!(teardown.stages.contains(&Stage::Irreversible), "{:?}", teardown.stages);
    let rotate = ruled("GET /rotate");
    assert_eq!((rotate.word, rotate.is_plain_read()), (Word::Allow, false));
    assert!(ruled("GET /other").is_plain_read());
}

#[test]
fn no_spelling_is_a_way_past_a_rule_that_restricts() {
    let admin = [
        "/admin",
        "/admin/",
        "/ADMIN",
        "/admin.",
        "/admin./",
        "/admin%20",
        "/%20admin/",
        "/admin%23x",
        "/admin%3Fx",
        "/%E2%80%8Badmin",
        "/admin%C2%A0/",
    ];
    for (rule, paths) in [
        ("* /admin", &admin[..]),
        ("* /admin/", &admin[..]),
        ("* /admin/**", &admin[..]),
        ("* /admin/**", &["/admin/x", "/Admin/x/y", "/%20admin/x", "/admin%C2%A0/x", "/admin./x"]),
        ("* /a/{b}/c/", &["/a/1/c", "/a/1/c/", "/A/1/C."]),
    ] {
        let rules = format!("- deny: \"{rule}\"\n      - allow: GET /**");
        let policy = policy(|text| text.replacen("- allow: GET /**", &rules, 1));
        for path in paths {
            let request = format!("GET https://api.staging.railway.app{path}");
            let (word, reason, _) = ruling(&policy, &request);
            // Some spellings are refused before any rule is asked.
            assert_eq!(word, Word::Deny, "{rule}: {path}: {reason:?}");
        }
        let (word, _, _) = ruling(&policy, "GET https://api.staging.railway.app/administration");
        assert_eq!(word, Word::Allow, "{rule}");
    }
    let rules = "- hold: DELETE /volumes/\n      - allow: GET /**\n      - allow: DELETE /volumes";
    let policy = policy(|text| text.replacen("- allow: GET /**", rules, 1));
    for path in ["/volumes", "/volumes/"] {
        let (word, ..) = ruling(&policy, &format!("DELETE https://api.staging.railway.app{path}"));
        assert_eq!(word, Word::Hold, "{path}");
    }
}

#[test]
fn an_encoded_slash_is_read_both_ways() {
    let rules = "- deny: \"* /secret/**\"\n      - allow: GET /**";
    let policy = policy(|text| {
        let text = text.replacen("- allow: GET /**", rules, 1);
        text.replacen("\n  staging-api: ", "\n  staging-api:\n    encoded_slash: true #", 1)
    });
    for (path, wanted) in [
        ("/@scope%2Fname", Word::Allow),
        ("/secret%2Fx", Word::Deny),
        ("/..%2Fsecret/y", Word::Deny),
        ("/x%2F..%2Fsecret/y", Word::Deny),
        ("/x%2F%2Fsecret", Word::Deny),
        ("/x%2Fdelete", Word::Hold),
    ] {
        let (word, reason, _) =
            ruling(&policy, &format!("GET https://api.staging.railway.app{path}"));
        assert_eq!(word, wanted, "{path}: {reason:?}");
    }
}

#[test]
fn plain_resources() {
    use Word::{Allow, Deny, Hold};
    let docs = "https://docs.railway.com/x";
    let api = "https://api.staging.railway.app";
    let cases = [
        ("GET https://example.com/".to_owned(), Deny, "out_of_scope"),
        (format!("GET {docs}"), Allow, ""),
        (format!("HEAD {docs}"), Allow, ""),
        (format!("POST {docs}"), Deny, "scope_violation"),
        ("GET https://docs.railway.com:8443/x".to_owned(), Deny, "out_of_scope"),
        ("GET http://docs.railway.com/x".to_owned(), Deny, "out_of_scope"),
        (format!("GET {docs}\nAuthorization: Bearer {FOREIGN}"), Deny, "foreign_credential"),
        (format!("GET {docs}\nX-Api-Key: {FOREIGN}"), Deny, "foreign_credential"),
        (format!("GET {docs}?access_token={FOREIGN}"), Deny, "foreign_credential"),
        (format!("GET {docs}\nCookie: a=b"), Deny, "foreign_credential"),
        (format!("GET {docs}\nAuthorization: Bearer {ISSUED}"), Deny, "credential_out_of_scope"),
        ("POST https://api.railway.app/volumes/delete".to_owned(), Deny, "out_of_scope"),
        (format!("GET {api}/x\nX-HTTP-Method-Override: DELETE"), Deny, "malformed"),
        (format!("GET {api}/x?_method=DELETE"), Deny, "malformed"),
        (
            format!(
                "POST {api}/deployments\nContent-Type: application/x-www-form-urlencoded\n\n_method=delete"
            ),
            Deny,
            "malformed",
        ),
        (format!("POST {api}/deployments"), Allow, ""),
        (format!("DELETE {api}/volumes/7"), Hold, "destructive"),
        (format!("DELETE {api}/volumes/7/"), Hold, "destructive"),
        (format!("GET {api}/admin/x"), Deny, "scope_violation"),
        (format!("GET {api}/%61dmin/x"), Deny, "scope_violation"),
        (format!("GET {api}/ADMIN/x"), Deny, "scope_violation"),
        (format!("GET {api}/x/../admin/x"), Deny, "scope_violation"),
        (format!("GET {api}/admin"), Deny, "scope_violation"),
        (format!("GET {api}/admin/"), Deny, "scope_violation"),
        (format!("GET {api}/admin%2fx"), Deny, "malformed"),
        (format!("GET {api}/a;x/admin"), Deny, "malformed"),
        (format!("GET {api}/x\nAuthorization: Bearer {ISSUED}"), Deny, "credential_out_of_scope"),
    ];
    let cases: Vec<(String, Word, &str)> = cases.into_iter().collect();
    expect(&policy(|text| text), &cases);
    let wildcard = policy(|text| text.replace("- allow: POST /deployments", "- allow: \"* /**\""));
    let cases = [
        (format!("POST {api}/volumes/delete"), Hold, "destructive"),
        (format!("GET {api}/x?action=purge"), Hold, "destructive"),
        (format!("POST {api}/x?force=true"), Hold, "destructive"),
        (format!("PROPFIND {api}/x"), Hold, "unknown_operation"),
        (format!("PUT {api}/x"), Allow, ""),
    ];
    expect(&wildcard, &cases);
    let written =
        policy(|text| text.replace("- allow: POST /deployments", "- allow: POST /volumes/delete"));
    expect(&written, &[(format!("POST {api}/volumes/delete"), Allow, "")]);
}

/// J-19, J-21, L-12.
#[test]
fn railway_under_staging_and_production() {
    use Word::{Allow, Deny, Hold};
    let delete = |token: &str, volume: &str| {
        graphql(token, &format!("mutation {{ volumeDelete(volumeId: \"{volume}\") }}"))
    };
    let staging = |document: &str| graphql(ISSUED, document);
    let cases = [
        (staging("query { me { email } }"), Allow, ""),
        (staging("query { __typename }"), Allow, ""),
        (staging("query { project(id: \"pppppppp\") { id } }"), Allow, ""),
        (
            staging(&format!("query {{ environment(id: \"{PRODUCTION}\") {{ id }} }}")),
            Deny,
            "credential_out_of_scope",
        ),
        (staging(&format!("query {{ environment(id: \"{STAGING}\") {{ id }} }}")), Allow, ""),
        (
            staging(&format!(
                "query {{ variables(environmentId: \"{STAGING}\", projectId: \"p\") }}"
            )),
            Hold,
            "credential_read",
        ),
        (
            staging(&format!(
                "mutation {{ serviceInstanceRedeploy(environmentId: \"{STAGING}\", serviceId: \"any\") }}"
            )),
            Allow,
            "",
        ),
        (staging("mutation { serviceDelete(id: \"x\") }"), Deny, "credential_out_of_scope"),
        (delete(ISSUED, STAGING_VOLUME), Hold, "destructive"),
        (delete(ISSUED, PRODUCTION_VOLUME), Deny, "credential_out_of_scope"),
        (delete(FOREIGN, PRODUCTION_VOLUME), Deny, "foreign_credential"),
        (delete(FOREIGN, STAGING_VOLUME), Deny, "foreign_credential"),
        (delete(ISSUED, "dddddddd-0000-4000-8000-00000000ffff"), Hold, "unknown_target"),
        (staging("mutation { userDelete }"), Deny, "credential_out_of_scope"),
        (
            staging(&format!(
                "mutation {{ sandboxExec(command: \"x\", environmentId: \"{STAGING}\", id: \"s\") }}"
            )),
            Hold,
            "execution",
        ),
        (staging("mutation { notInTheCatalog(x: 1) }"), Deny, "credential_out_of_scope"),
        (staging("mutation { volumeDelete("), Deny, "unreadable"),
        (
            staging(&format!(
                "query {{ me {{ email }} }} mutation {{ volumeDelete(volumeId: \"{STAGING_VOLUME}\") }}"
            )),
            Deny,
            "unreadable",
        ),
        (
            format!("GET https://backboard.railway.com/nowhere\nAuthorization: Bearer {ISSUED}"),
            Deny,
            "unknown_operation",
        ),
        (
            format!(
                "POST https://backboard.railway.com/graphql/v2\nAuthorization: Bearer {ISSUED}\n\n{{\"query\":\"{{me{{id}}}}\",\"query\":\"{{x}}\"}}"
            ),
            Deny,
            "unreadable",
        ),
    ];
    let policy = policy(|text| text);
    expect(&policy, &cases);
    let (_, _, findings) = ruling(&policy, &delete(ISSUED, PRODUCTION_VOLUME));
    assert!(findings.contains(&"scope_violation"), "{findings:?}");
}

#[test]
fn the_published_call_verbatim() {
    let request = format!(
        "POST https://backboard.railway.app/graphql/v2\nAuthorization: Bearer {FOREIGN}\nContent-Type: application/x-www-form-urlencoded\n\n{{\"query\":\"mutation {{ volumeDelete(volumeId: \\\"{PRODUCTION_VOLUME}\\\") }}\"}}"
    );
    expect(&policy(|text| text), &[(request, Word::Deny, "foreign_credential")]);
}

#[test]
fn where_the_credential_covers_production_the_scope_is_the_reason() {
    let policy = policy(|text| {
        text.replace(
            "    resources: [railway-staging]             # the only",
            "    resources: [railway-staging, railway-production]  # the only",
        )
    });
    let request =
        graphql(ISSUED, &format!("mutation {{ volumeDelete(volumeId: \"{PRODUCTION_VOLUME}\") }}"));
    expect(&policy, &[(request, Word::Deny, "scope_violation")]);
}

#[test]
fn with_the_staging_resource_alone() {
    use Word::{Allow, Deny, Hold};
    let policy = policy(|text| {
        text.replace("resources: [railway-staging, railway-production, staging-api", "resources: [railway-staging, staging-api")
            .replace("      environment: [bbbbbbbb-0000-4000-8000-000000000001]", "      environment: [bbbbbbbb-0000-4000-8000-000000000001]\n      project: [pppppppp-0000-4000-8000-000000000001]")
    });
    let staging = |document: &str| graphql(ISSUED, document);
    let cases = [
        (staging("mutation { projectCreate(input: {name: \"x\"}) { id } }"), Hold, "account_wide"),
        (staging("mutation { userDelete }"), Hold, "account_wide"),
        (
            staging(
                "mutation { projectMemberAdd(input: {projectId: \"pppppppp-0000-4000-8000-000000000001\", userId: \"u\", role: ADMIN}) { id } }",
            ),
            Hold,
            "access_change",
        ),
        (staging("mutation { notInTheCatalog(x: 1) }"), Hold, "unknown_operation"),
        (
            staging(&format!("mutation {{ notInTheCatalog(e: \"{STAGING}\") }}")),
            Hold,
            "unknown_operation",
        ),
        // An id owned by a resource that the agent does not have.
        (
            staging(&format!("mutation {{ volumeDelete(volumeId: \"{PRODUCTION_VOLUME}\") }}")),
            Deny,
            "scope_violation",
        ),
        (staging("mutation { deploymentRestart(id: \"d\") }"), Hold, "unknown_target"),
        (staging("query { me { email } }"), Allow, ""),
    ];
    expect(&policy, &cases);
}

#[test]
fn a_project_listed_under_both_is_read_with_either_credential() {
    let policy = policy(|text| {
        text.replace(
            "      environment: [bbbbbbbb-0000-4000-8000-000000000001]",
            "      environment: [bbbbbbbb-0000-4000-8000-000000000001]\n      project: [pppp]",
        )
        .replace(
            "      environment: [bbbbbbbb-0000-4000-8000-000000000002]",
            "      environment: [bbbbbbbb-0000-4000-8000-000000000002]\n      project: [pppp]",
        )
    });
    let read = graphql(ISSUED, "query { project(id: \"pppp\") { id } }");
    let write =
        graphql(ISSUED, "mutation { projectUpdate(id: \"pppp\", input: {name: \"x\"}) { id } }");
    expect(&policy, &[(read, Word::Allow, ""), (write, Word::Deny, "credential_out_of_scope")]);
}

/// K-31.
#[test]
fn modes_of_credentials() {
    let required = policy(|text| {
        text.replace(
            "    credentials: none                        # or",
            "    credentials: required # or",
        )
    });
    let request = "DELETE https://api.staging.railway.app/volumes/7".to_owned();
    expect(&required, &[(request, Word::Deny, "missing_credential")]);
    let model = "POST https://api.anthropic.com/v1/messages\nX-Api-Key: sk-ant-api03-first\n\n{}";
    let policy = policy(|text| text);
    expect(&policy, &[(model.to_owned(), Word::Allow, "")]);
    let (_, agent) = policy.agent("staging-fixer").unwrap();
    let Explained::Ruled(ruling) = explain(&policy, agent, model).unwrap() else { panic!() };
    assert_eq!(ruling.pins.len(), 1, "the first credential is pinned");
}

#[test]
fn standing_bars_and_excuses() {
    let policy = policy(|text| text);
    let (_, agent) = policy.agent("staging-fixer").unwrap();
    let judge = |headers: &[(&str, &str)], standing: &Standing| {
        let head =
            crate::message::tests::head("GET", "https://docs.railway.com/x", headers).unwrap();
        let message = Message::<()>::new(head, crate::message::Body::Empty);
        let inspected = crate::inspect::request(message, None, &policy.fingerprints, None);
        let context = Context {
            policy: &policy,
            agent,
            standing,
            inventory: View::NOTHING,
            grant: None,
            before: None,
            past: Past::NOTHING,
        };
        let verdict = decide(inspected, &context);
        (verdict.ruling().word, verdict.ruling().reason)
    };
    let quarantined = Standing { quarantined: Some(Arc::from("why")), ..Standing::default() };
    assert_eq!(judge(&[], &quarantined), (Word::Deny, Some(Reason::Quarantined)));
    let mut handed_out = Standing::default();
    handed_out.cookies.keep(
        &Arc::from("docs.railway.com"),
        crate::inspect::credential::cookie_fingerprint(
            &policy.fingerprints,
            "docs.railway.com",
            b"a",
            b"b",
        ),
    );
    assert_eq!(judge(&[("cookie", "a=b")], &handed_out).0, Word::Allow);
    assert_eq!(judge(&[("cookie", "a=c")], &handed_out).1, Some(Reason::ForeignCredential));
    assert_eq!(judge(&[("cookie", "a=b; x=y")], &handed_out).1, Some(Reason::ForeignCredential));
}

/// M-03.
#[test]
fn a_grant_covers_its_terms_and_no_more() {
    let policy = policy(|text| text);
    let (_, agent) = policy.agent("staging-fixer").unwrap();
    let request = || {
        let text = graphql(
            ISSUED,
            &format!("mutation {{ volumeDelete(volumeId: \"{STAGING_VOLUME}\") }}"),
        );
        let (head, body) = text.split_once("\n\n").unwrap();
        let token = head.lines().nth(1).unwrap().split_once(": ").unwrap().1;
        let head = crate::message::tests::head(
            "POST",
            "https://backboard.railway.com/graphql/v2",
            &[("authorization", token)],
        )
        .unwrap();
        let message = Message::<()>::new(
            head,
            crate::message::Body::Whole(bytes::Bytes::from(body.to_owned())),
        );
        let catalog = policy.resources[0].catalog().unwrap();
        crate::inspect::request(message, Some(catalog), &policy.fingerprints, None)
    };
    let standing = Standing::default();
    let judge = |grant: Option<&Grant>| {
        decide(
            request(),
            &Context {
                policy: &policy,
                agent,
                standing: &standing,
                inventory: View::NOTHING,
                grant,
                before: None,
                past: Past::NOTHING,
            },
        )
    };
    let Verdict::Hold(held) = judge(None) else { panic!("not held") };
    let terms = held.ruling().terms.clone();
    assert_eq!(terms.targets.len(), 1);
    let whole = Grant { hold: "h".to_owned(), terms: terms.clone(), approvers: 1 };
    assert!(matches!(judge(Some(&whole)), Verdict::Allow(_)));
    let nobody = Grant { approvers: 0, ..whole.clone() };
    assert!(matches!(judge(Some(&nobody)), Verdict::Hold(_)));
    let other = Grant { terms: Terms { targets: BTreeSet::new(), ..terms }, ..whole };
    assert!(matches!(judge(Some(&other)), Verdict::Hold(_)));
    let digest = |text: &str| {
        let Verdict::Hold(held) = judge(None) else { panic!() };
        held.digest(text, &policy.fingerprints).unwrap()
    };
    assert_eq!(digest("a"), digest("a"));
    assert_ne!(digest("a"), digest("b"));
}

#[test]
fn a_host_with_many_cookies_makes_no_others_unknown() {
    let key = FingerprintKey::new(b"test");
    let mut cookies = Cookies::default();
    let (quiet, loud): (Arc<str>, Arc<str>) = (Arc::from("quiet.test"), Arc::from("loud.test"));
    cookies.keep(&quiet, key.fingerprint(b"session"));
    for number in 0..5_000_u32 {
        cookies.keep(&loud, key.fingerprint(&number.to_be_bytes()));
    }
    assert!(cookies.contains(&key.fingerprint(b"session")));
    assert!(cookies.contains(&key.fingerprint(&4_999_u32.to_be_bytes())));
    assert!(!cookies.contains(&key.fingerprint(&0_u32.to_be_bytes())));
}
