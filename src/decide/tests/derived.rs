//! Tokens that were handed out: for whom, for how long, and never where those they stand for are refused.

use super::*;
use crate::inspect::{self, exchanged as token_answer};
use crate::inventory::Inventory;
use crate::message::{Body, Message};
use bytes::Bytes;
use proptest::prelude::*;
use std::time::Duration;

const TOKEN: &str = "acme-access-00000000-aaaaaaaaaaaa";
const AT: Duration = Duration::from_hours(1_000);
const OAUTH: &str = "https://backboard.railway.com/oauth/token";
const RAILWAY: &str = "https://backboard.railway.com/graphql/v2";

fn deriving_policy() -> Policy {
    policy(|text| {
        let lines = "    resources: [railway-staging, docs]\n    derives: true\n";
        let only =
            "    resources: [railway-staging]             # the only ones it may be used on\n";
        assert_eq!(text.matches(only).count(), 1);
        text.replacen(only, lines, 1).replacen(
            "    hosts: [docs.railway.com]\n",
            "    hosts: [docs.railway.com]\n    credentials: any\n",
            1,
        )
    })
}

fn judged(
    policy: &Policy,
    standing: &Standing,
    now: Duration,
    (url, token, body): (&str, &str, &str),
) -> Verdict<()> {
    let authorization = format!("Bearer {token}");
    let kind = if url == OAUTH { "application/x-www-form-urlencoded" } else { "application/json" };
    let mut headers = vec![("content-type", kind)];
    if !token.is_empty() {
        headers.push(("authorization", &authorization));
    }
    let method = if body.is_empty() { "GET" } else { "POST" };
    let head = crate::message::tests::head(method, url, &headers).unwrap();
    let (_, agent) = policy.agent("staging-fixer").unwrap();
    let candidates = policy.candidates(agent, head.target());
    let catalog = candidates.first().and_then(|(_, resource)| resource.catalog()).cloned();
    let body = match body {
        "" => Body::Empty,
        body => Body::Whole(Bytes::from(body.to_owned())),
    };
    let request =
        inspect::request(Message::new(head, body), catalog.as_deref(), &policy.fingerprints, None);
    let inventory = Inventory::default();
    let inventory = inventory.at(i64::try_from(now.as_millis()).unwrap());
    decide(
        request,
        &Context {
            policy,
            agent,
            standing,
            inventory,
            grant: None,
            past: Past::NOTHING,
            before: None,
        },
    )
}

/// The reason of a plain read of the account.
fn read(policy: &Policy, standing: &Standing, now: Duration, token: &str) -> Option<&'static str> {
    let query = "{\"query\":\"{ me { id } }\"}";
    let verdict = judged(policy, standing, now, (RAILWAY, token, query));
    verdict.ruling().reason.map(Reason::as_str)
}

/// The standing after an exchange of what a body presents, and the answer to it.
fn exchanged(policy: &Policy, standing: &mut Standing, body: &str, answer: &str) -> bool {
    let verdict = judged(policy, standing, AT, (OAUTH, "", body));
    let Verdict::Allow(permit) = verdict else { panic!("{:?}", verdict.ruling()) };
    let Some(deriving) = permit.ruling().deriving.clone() else { return false };
    let answer = token_answer::read("application/json", answer.as_bytes(), &deriving.endpoint);
    for (print, token) in deriving.tokens(&answer.unwrap(), &policy.fingerprints, AT) {
        standing.derived.keep(print, token, AT);
    }
    true
}

fn refreshed(token: &str) -> String {
    format!("grant_type=refresh_token&refresh_token={token}")
}

fn answer(access: &str, refresh: &str, life: &str) -> String {
    format!("{{\"access_token\":\"{access}\",\"refresh_token\":\"{refresh}\"{life}}}")
}

const FOREIGN_CREDENTIAL: Option<&str> = Some("foreign_credential");

#[test]
fn a_token_ends_when_its_answer_says_and_no_later_than_what_it_is_of() {
    let policy = deriving_policy();
    let second = Duration::from_secs(1);
    for (life, lasts) in [
        (",\"expires_in\":60", 60),
        (",\"expires_in\":\"60\"", 60),
        ("", 3_600),
        (",\"expires_in\":86400", 86_400),
        (",\"expires_in\":18446744073709551615", 1 << 40),
    ] {
        let mut standing = Standing::default();
        assert!(exchanged(&policy, &mut standing, &refreshed(ISSUED), &answer(TOKEN, "r", life)));
        let ends = AT + Duration::from_secs(lasts);
        assert_eq!(read(&policy, &standing, ends.saturating_sub(second), TOKEN), None, "{life}");
        // What renews it lasts for as long as the credential itself.
        assert_eq!(read(&policy, &standing, ends + Duration::from_hours(9_999), "r"), None);
        if lasts < 1 << 40 {
            assert_eq!(read(&policy, &standing, ends, TOKEN), FOREIGN_CREDENTIAL, "{life}");
        }
    }
    // A token that is exchanged for another does not live on in it.
    let mut standing = Standing::default();
    let short = answer("short", "", ",\"expires_in\":60");
    assert!(exchanged(&policy, &mut standing, &refreshed(ISSUED), &short));
    let grant = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&subject_token=short";
    let long = answer(TOKEN, "also", ",\"expires_in\":6000");
    assert!(exchanged(&policy, &mut standing, grant, &long));
    for token in [TOKEN, "also"] {
        let end = AT + Duration::from_mins(1);
        assert_eq!(read(&policy, &standing, end.saturating_sub(second), token), None, "{token}");
        assert_eq!(read(&policy, &standing, end, token), FOREIGN_CREDENTIAL, "{token}");
    }
}

#[test]
fn what_changes_of_the_credential_ends_its_tokens() {
    let before = deriving_policy();
    let mut standing = Standing::default();
    assert!(exchanged(&before, &mut standing, &refreshed(ISSUED), &answer(TOKEN, "r", "")));
    let changed = |from: &str, to: &str| {
        policy(|text| {
            let text = text.replacen(
                "    resources: [railway-staging]   ",
                "    derives: true\n    resources: [railway-staging]   ",
                1,
            );
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        })
    };
    let same = changed("derives: true", "derives: true");
    assert_eq!(read(&same, &standing, AT, TOKEN), None);
    for (from, to) in [
        ("derives: true", "derives: false"),
        ("{ env: RAILWAY_STAGING_TOKEN }", "{ env: OTHERS }"),
        ("railway-staging-token", "another-name"),
    ] {
        let policy = changed(from, to);
        assert_eq!(read(&policy, &standing, AT, TOKEN), FOREIGN_CREDENTIAL, "{to}");
    }
}

#[test]
fn an_exchange_mints_nothing_and_minting_derives_nothing() {
    let policy = deriving_policy();
    let standing = Standing::default();
    let ruling = |body: &str| {
        let verdict = judged(&policy, &standing, AT, (OAUTH, "", body));
        let ruling = verdict.ruling();
        (ruling.word, ruling.deriving.is_some())
    };
    assert_eq!(ruling(&refreshed(ISSUED)), (Word::Allow, true));
    // Without anything that is presented, it is somebody's login.
    assert!(!ruling("grant_type=authorization_code&code=x").1);
    assert_ne!(ruling("grant_type=authorization_code&code=x").0, Word::Allow);
    assert_eq!(ruling(&refreshed(FOREIGN)).0, Word::Deny);
    let minting = "{\"query\":\"mutation { projectTokenCreate(input: { name: \\\"ci\\\", projectId: \\\"p\\\", environmentId: \\\"bbbbbbbb-0000-4000-8000-000000000001\\\" }) }\"}";
    let verdict = judged(&policy, &standing, AT, (RAILWAY, ISSUED, minting));
    assert!(verdict.ruling().deriving.is_none());
    assert_eq!(verdict.ruling().word, Word::Hold);
}

#[test]
fn the_newest_tokens_are_kept_and_those_of_somebody_before_those_of_nobody() {
    let key = FingerprintKey::new(b"key");
    let print = |number: u64| key.fingerprint(&number.to_be_bytes());
    let somebody = Parent::Issued { name: Arc::from("a"), value: print(0) };
    let nobody = Parent::Nobody { host: Arc::from("h") };
    let mut derived = Derived::default();
    let mut keep = |number: u64, parent: &Parent, until: Option<u64>| {
        let at = Duration::from_secs(number);
        let until = until.map(Duration::from_secs);
        derived.keep(print(number), Token { parents: Arc::from([parent.clone()]), until, at }, at)
    };
    assert_eq!(keep(1, &somebody, None), []);
    assert_eq!(keep(2, &somebody, Some(4)), []);
    assert_eq!(keep(3, &nobody, None), []);
    assert_eq!(keep(4, &somebody, None), [print(2)], "it is over");
    let most = Derived::MOST as u64;
    for number in 5..=most + 1 {
        assert_eq!(keep(number, &somebody, None), [], "{number}");
    }
    assert_eq!(keep(most + 2, &somebody, None), [print(3)], "nobody's goes first");
    assert_eq!(keep(most + 3, &somebody, None), [print(1)], "then the oldest");
}

proptest! {
    /// A token passes nowhere that what it is of does not.
    #[test]
    fn a_token_never_passes_where_its_parent_would_not(
        call in prop::sample::select(vec![
            (RAILWAY, "{\"query\":\"{ me { id } }\"}"),
            (RAILWAY, "{\"query\":\"{ environment(id: \\\"bbbbbbbb-0000-4000-8000-000000000001\\\") { id } }\"}"),
            (RAILWAY, "{\"query\":\"{ environment(id: \\\"bbbbbbbb-0000-4000-8000-000000000002\\\") { id } }\"}"),
            (RAILWAY, "{\"query\":\"mutation { volumeDelete(volumeId: \\\"dddddddd-0000-4000-8000-000000000002\\\") }\"}"),
            (RAILWAY, "{\"query\":\"mutation { userDelete }\"}"),
            ("https://docs.railway.com/x", ""),
            ("https://pypi.org/simple/", ""),
            ("https://api.staging.railway.app/x", ""),
            ("https://api.anthropic.com/v1/models", ""),
            ("https://elsewhere.test/", ""),
            ("http://docs.railway.com/x", ""),
        ]),
        mode in prop::sample::select(vec!["any", "first_seen", "required", "none"]),
        pinned in any::<bool>(),
        life in 0_u64..200,
        later in 0_u64..200,
    ) {
        let policy = policy(|text| {
            text.replacen("    resources: [railway-staging]   ", "    derives: true\n    resources: [railway-staging, docs]   ", 1)
                .replacen("    hosts: [docs.railway.com]\n", &format!("    hosts: [docs.railway.com]\n    credentials: {mode}\n"), 1)
        });
        let mut standing = Standing::default();
        let said = format!(",\"expires_in\":{life}");
        prop_assert!(exchanged(&policy, &mut standing, &refreshed(ISSUED), &answer(TOKEN, "", &said)));
        if pinned {
            for resource in ["docs", "model"] {
                standing.pins.insert(Arc::from(resource), vec![policy.fingerprints.fingerprint(b"x")]);
            }
        }
        let now = AT + Duration::from_secs(later);
        let (url, body) = call;
        let of = judged(&policy, &standing, now, (url, ISSUED, body)).ruling().word;
        let token = judged(&policy, &standing, now, (url, TOKEN, body)).ruling().word;
        if later < life {
            prop_assert_eq!(token, of);
        } else if mode != "any" && (pinned || !url.contains("docs") && !url.contains("anthropic")) {
            // What takes anything, or the first it sees, takes a token that is over as well.
            prop_assert_eq!(token, Word::Deny);
        }
    }
}

/// Two tokens are one credential to an approval where one renews the other, not where each was minted.
#[test]
fn a_token_stands_for_all_it_is_of_and_a_minted_one_for_itself() {
    let key = FingerprintKey::new(b"key");
    let print = |value: &[u8]| key.fingerprint(value);
    let of = |names: &[&str]| -> Arc<[Parent]> {
        let issued = |name: &&str| {
            let value = print(name.as_bytes());
            Parent::Issued { name: Arc::from(*name), value }
        };
        names.iter().map(issued).collect()
    };
    let handed = |operation: (&str, &str, &str), kind: &str, body: &str, names: &[&str]| {
        let catalog = crate::catalog::Catalog::embedded(operation.0).unwrap();
        let endpoint = catalog.token_endpoint(operation.1, operation.2).unwrap().clone();
        let answer = token_answer::read(kind, body.as_bytes(), &endpoint).unwrap();
        let deriving = Deriving { endpoint, parents: of(names), until: None };
        deriving.tokens(&answer, &key, AT).swap_remove(0).1
    };
    let railway = ("railway", "POST /oauth/token", "backboard.railway.com");
    let renewed = |value: &str, names: &[&str]| {
        handed(railway, "application/json", &answer(value, "", ""), names).stands_for()
    };
    assert_eq!(renewed("t", &["a"]), [print(b"a")]);
    assert_eq!(renewed("t", &["a", "b"]), renewed("u", &["b", "a"]));
    assert_ne!(renewed("t", &["a", "b"]), renewed("t", &["a"]));
    let sts = ("aws", "sts:AssumeRole", "sts.amazonaws.com");
    let role = |value: &str| {
        let body = format!("<AccessKeyId>{value}</AccessKeyId>");
        handed(sts, "text/xml", &body, &["a"])
    };
    assert_ne!(role("r1").stands_for(), role("r2").stands_for());
    assert!(role("r1").stands_for().contains(&print(b"r1")));
    assert!(role("r1").stands_for().contains(&print(b"a")));
}
