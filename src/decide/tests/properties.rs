//! The invariants as properties, as far as they are pure: whatever is asked, and whatever else the
//! policy says. What concerns bytes on a wire is asserted by the fuzz targets and the differential test.

use super::*;
use crate::inspect::{self, Inspected, Unreadable};
use crate::message::{
    Body, Head, Host, Message, Path as RequestPath, Query, Target as Destination,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Uri};
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::OnceLock;

const RAILWAY: &str = "backboard.railway.com";
const API: &str = "api.staging.railway.app";
const DOCS: &str = "docs.railway.com";

/// What somebody asks for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    method: &'static str,
    host: &'static str,
    path: &'static str,
    query: &'static str,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Asked {
    fn target(&self) -> Destination {
        Destination::new(Host::parse(self.host).unwrap(), 443, false)
    }

    fn head(&self) -> Option<Head> {
        let uri: Uri = format!("{}{}", self.path, self.query).parse().ok()?;
        let mut headers = HeaderMap::new();
        headers.insert("host", self.host.parse().unwrap());
        for (name, value) in &self.headers {
            headers.append(HeaderName::from_static(name), value.parse().unwrap());
        }
        Head::read(self.method.parse().ok()?, &uri, headers, self.target()).ok()
    }

    /// As it is inspected under a policy; none where its form is refused.
    pub(super) fn inspected(
        &self,
        policy: &Policy,
        failed: Option<Unreadable>,
    ) -> Option<Inspected<()>> {
        let (_, agent) = policy.agent("staging-fixer").unwrap();
        let candidates = policy.candidates(agent, &self.target());
        let catalog = candidates.first().and_then(|(_, resource)| resource.catalog());
        let (message, error) = match self.body.as_str() {
            "" => (Message::new(self.head()?, Body::Empty), None),
            body => Message::received(self.head()?, Bytes::from(body.to_owned()), 1 << 20),
        };
        let failed = failed.or_else(|| error.map(Unreadable::from));
        Some(inspect::request(message, catalog.map(AsRef::as_ref), &policy.fingerprints, failed))
    }

    fn judged(&self, policy: &Policy, grant: Option<&Grant>) -> Option<Verdict<()>> {
        Some(judge(self.inspected(policy, None)?, policy, grant))
    }

    pub(super) fn word(&self, policy: &Policy) -> Option<Word> {
        Some(self.judged(policy, None)?.ruling().word)
    }
}

fn judge(request: Inspected<()>, policy: &Policy, grant: Option<&Grant>) -> Verdict<()> {
    let (_, agent) = policy.agent("staging-fixer").unwrap();
    decide(
        request,
        &Context {
            policy,
            agent,
            standing: &Standing::default(),
            inventory: View::NOTHING,
            grant,
            before: None,
            past: Past::NOTHING,
        },
    )
}

fn example() -> &'static Policy {
    static POLICY: OnceLock<Policy> = OnceLock::new();
    POLICY.get_or_init(|| policy(|text| text))
}

/// The example with one more rule, or one more word in a list, that restricts.
fn stricter() -> &'static [Policy] {
    static POLICIES: OnceLock<Vec<Policy>> = OnceLock::new();
    POLICIES.get_or_init(|| {
        let rules = ["* /**", "GET /x", "GET /a/{b}", "POST /deployments", "* /a/**"];
        let ruled = rules.iter().flat_map(|rule| {
            ["deny", "hold"].map(|word| {
                let rules = format!("- {word}: \"{rule}\"\n      - allow: GET /**");
                policy(|text| text.replacen("- allow: GET /**", &rules, 1))
            })
        });
        let words = ["destructive", "credential", "access", "execute", "unknown"];
        let listed = words.iter().map(|denied| {
            policy(|text| {
                let kept: Vec<&str> =
                    words.iter().filter(|word| *word != denied).copied().collect();
                let held = "    hold: [destructive, credential, access, execute, unknown]\n";
                let lists = format!("    hold: [{}]\n    deny: [{denied}]\n", kept.join(", "));
                assert_eq!(text.matches(held).count(), 1);
                text.replacen(held, &lists, 1)
            })
        });
        ruled.chain(listed).collect()
    })
}

fn call() -> impl Strategy<Value = String> {
    let id =
        select(vec![STAGING_VOLUME, PRODUCTION_VOLUME, "dddddddd-0000-4000-8000-00000000ffff"]);
    let environment = select(vec![STAGING, PRODUCTION]);
    (0..8, id, environment).prop_map(|(kind, id, environment)| match kind {
        0 => "query { me { email } }".to_owned(),
        1 => format!("query {{ variables(environmentId: \"{environment}\") }}"),
        2 => format!("mutation {{ volumeDelete(volumeId: \"{id}\") }}"),
        3 => format!("mutation {{ a: volumeDelete(volumeId: \"{id}\") b: nobodyKnowsThis }}"),
        4 => "mutation { userDelete }".to_owned(),
        5 => format!(
            "mutation {{ serviceInstanceRedeploy(environmentId: \"{environment}\", serviceId: \"s\") }}"
        ),
        6 => "mutation { volumeDelete(".to_owned(),
        _ => format!("mutation D($id: String!) {{ volumeDelete(volumeId: $id) }} # {id}"),
    })
}

fn credential() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    prop_oneof![
        3 => Just(vec![("authorization", format!("Bearer {ISSUED}"))]),
        1 => Just(Vec::new()),
        1 => Just(vec![("authorization", format!("Bearer {FOREIGN}"))]),
        1 => Just(vec![("cookie", "a=1".to_owned())]),
    ]
}

/// Calls of a catalogued service, and of plain ones.
pub(super) fn asked() -> impl Strategy<Value = Asked> {
    let catalogued = (call(), credential()).prop_map(|(document, headers)| Asked {
        method: "POST",
        host: RAILWAY,
        path: "/graphql/v2",
        query: "",
        headers,
        body: serde_json::json!({ "query": document }).to_string(),
    });
    let paths =
        vec!["/x", "/a/b", "/a/../x", "/deployments", "/volumes/7", "/admin/x", "/cache/purge"];
    let plain = (
        select(vec!["GET", "GET", "POST", "DELETE", "PATCH", "SEARCH"]),
        select(vec![API, API, DOCS, "other.example"]),
        select(paths),
        select(vec!["", "", "?a=1", "?force=true", "?_method=DELETE"]),
        credential(),
        select(vec!["", "", "a=1", "_method=delete", "{}"]),
    );
    let plain = plain.prop_map(|(method, host, path, query, headers, body)| {
        let headers = if host == API || host == DOCS {
            headers.into_iter().skip(1).collect()
        } else {
            headers
        };
        Asked { method, host, path, query, headers, body: body.to_owned() }
    });
    prop_oneof![catalogued, plain]
}

fn unreadable() -> impl Strategy<Value = Unreadable> {
    select(vec![
        Unreadable::Oversize,
        Unreadable::Truncated,
        Unreadable::Coded,
        Unreadable::Charset,
        Unreadable::Json,
        Unreadable::Graphql("syntax"),
        Unreadable::Form,
        Unreadable::Multipart("it has two boundaries"),
        Unreadable::Message("it is binary"),
    ])
}

/// A grant of everything that a held request was about, by more people than are needed.
pub(super) fn grant_of(held: &Held<()>) -> Grant {
    Grant { hold: "h".to_owned(), terms: held.ruling().terms.clone(), approvers: 9 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// I1: the permit owns the value that was judged, and that value reads as itself.
    #[test]
    fn i1_what_is_allowed_is_what_was_judged(asked in asked()) {
        let Some(request) = asked.inspected(example(), None) else { return Ok(()) };
        let judged = request.message().head().clone();
        let body = request.message().whole().cloned();
        let Verdict::Allow(permit) = judge(request, example(), None) else { return Ok(()) };
        let (message, _) = permit.into_message();
        let head = message.head();
        prop_assert_eq!(message.whole(), body.as_ref());
        prop_assert_eq!(head.method(), judged.method());
        prop_assert_eq!(head.target(), judged.target());
        prop_assert_eq!(head.path_and_query(), judged.path_and_query());
        prop_assert_eq!(head.headers(), judged.headers());
        let uri: Uri = head.path_and_query().parse().unwrap();
        let again =
            Head::read(head.method().clone(), &uri, head.headers().clone(), head.target().clone());
        let again = again.unwrap();
        prop_assert_eq!(again.path_and_query(), head.path_and_query());
        prop_assert_eq!(again.headers(), head.headers());
    }

    /// I2: however a host is written, policy, `Host` and the target have one value, or it is refused.
    #[test]
    fn i2_a_host_has_one_value(
        upper in any::<u32>(),
        dot in select(vec!["", ".", ".."]),
        port in select(vec!["", ":443", ":0443", ":80", ":", ":x", ":44300"]),
        other in select(vec!["", "x@", "[", "%2e", " "]),
    ) {
        let spelled: String = API.char_indices()
            .map(|(at, c)| if upper >> (at % 32) & 1 == 1 { c.to_ascii_uppercase() } else { c })
            .collect();
        let written = format!("{other}{spelled}{dot}{port}");
        let target = Destination::new(Host::parse(API).unwrap(), 443, false);
        let mut headers = HeaderMap::new();
        headers.insert("host", written.parse().unwrap());
        let read = Head::read(Method::GET, &Uri::from_static("/x"), headers, target.clone());
        let same = matches!(dot, "" | ".") && matches!(port, "" | ":443" | ":0443") && other.is_empty();
        prop_assert_eq!(read.is_ok(), same, "{}", written);
        if let Ok(head) = read {
            prop_assert_eq!(head.header("host"), Some(API));
            prop_assert_eq!(head.target(), &target);
        }
        if let Ok(host) = Host::parse(&written) {
            let (_, agent) = example().agent("staging-fixer").unwrap();
            let named = Destination::new(host, 443, false);
            prop_assert_eq!(&named, &target);
            prop_assert_eq!(example().candidates(agent, &named).len(), 1);
        }
    }

    /// I3: what could not be read is refused, whatever it is and whoever approved it.
    #[test]
    fn i3_what_is_not_read_is_never_allowed(asked in asked(), why in unreadable()) {
        let Some(request) = asked.inspected(example(), Some(why)) else { return Ok(()) };
        let grant = match asked.judged(example(), None) {
            Some(Verdict::Hold(held)) => Some(grant_of(&held)),
            _ => None,
        };
        let verdict = judge(request, example(), grant.as_ref());
        let ruling = verdict.ruling();
        prop_assert_eq!(ruling.word, Word::Deny, "{:?}", ruling);
        // For that, and not because nothing was found in it.
        prop_assert!(ruling.findings.iter().any(|f| f.reason == Reason::Unreadable), "{:?}", ruling);
    }

    /// I3: an operation or an id that nobody knows is never allowed to do anything.
    #[test]
    fn i3_what_nobody_knows_is_never_allowed(name in "[a-z][A-Za-z]{0,12}", id in "[a-f0-9]{8}") {
        prop_assume!(name != "logout");
        for document in [
            format!("mutation {{ zz{name} }}"),
            format!("mutation {{ volumeDelete(volumeId: \"{id}-0000-4000-8000-0000000000ff\") }}"),
        ] {
            let asked = Asked {
                method: "POST",
                host: RAILWAY,
                path: "/graphql/v2",
                query: "",
                headers: vec![("authorization", format!("Bearer {ISSUED}"))],
                body: serde_json::json!({ "query": document }).to_string(),
            };
            prop_assert_ne!(asked.word(example()), Some(Word::Allow), "{}", document);
        }
    }

    /// I4: a host that no resource declares is out of scope, and a path that no rule allows is refused.
    #[test]
    fn i4_what_stands_nowhere_is_refused(mut asked in asked(), path in "/[a-z]{1,8}(/[a-z]{1,8}){0,2}") {
        asked.host = "nowhere.example";
        if let Some(verdict) = asked.judged(example(), None) {
            prop_assert_eq!(verdict.ruling().word, Word::Deny);
        }
        let path: &'static str = Box::leak(path.into_boxed_str());
        let asked = Asked {
            method: "PUT", host: DOCS, path, query: "", headers: Vec::new(), body: String::new(),
        };
        prop_assert_ne!(asked.word(example()), Some(Word::Allow), "{}", path);
    }

    /// I5: a credential that was not issued is refused in every slot of every host that is not to pin
    /// its first one.
    #[test]
    fn i5_a_foreign_credential_is_refused_in_every_slot(
        mut asked in asked(),
        slot in select(vec![
            "authorization", "cookie", "x-api-key", "private-token", "project-access-token",
            "x-vault-token", "x-amz-security-token", "x-anything-token", "api-key",
        ]),
        scheme in select(vec!["", "Bearer ", "token ", "bearer  "]),
    ) {
        asked.headers = vec![match slot {
            "cookie" => (slot, format!("session={FOREIGN}")),
            _ => (slot, format!("{scheme}{FOREIGN}")),
        }];
        let Some(verdict) = asked.judged(example(), None) else { return Ok(()) };
        let ruling = verdict.ruling();
        prop_assert_eq!(ruling.word, Word::Deny);
        let told = |finding: &Finding| finding.reason == Reason::ForeignCredential;
        prop_assert!(ruling.findings.iter().any(told), "{:?}", ruling);
    }

    /// I6: an approval covers the request it was given for, and no other.
    #[test]
    fn i6_a_grant_covers_what_stood_on_the_card(one in asked(), other in asked()) {
        let Some(Verdict::Hold(held)) = one.judged(example(), None) else { return Ok(()) };
        let grant = grant_of(&held);
        let redeemed = one.judged(example(), Some(&grant)).unwrap();
        prop_assert_eq!(redeemed.ruling().word, Word::Allow);
        let Some(before) = other.judged(example(), None) else { return Ok(()) };
        let after = other.judged(example(), Some(&grant)).unwrap();
        if after.ruling().word != before.ruling().word {
            let (terms, covered) = (&before.ruling().terms, &grant.terms);
            prop_assert_eq!((before.ruling().word, after.ruling().word), (Word::Hold, Word::Allow));
            prop_assert!(terms.targets.is_subset(&covered.targets));
            prop_assert!(terms.reasons.is_subset(&covered.reasons));
        }
        let digest = |held: &Held<()>| held.digest("staging-fixer", &example().fingerprints);
        if let Verdict::Hold(other_held) = before {
            let meaning = |held: &Held<()>| {
                let (head, facts) = (held.request().message().head(), held.request().facts());
                let operations: Vec<_> = facts.operations().iter().map(|o| o.name.clone()).collect();
                let line = (head.method().clone(), head.target().clone(), head.path_and_query());
                (line, operations, held.ruling().terms.clone())
            };
            if meaning(&held) != meaning(&other_held) {
                prop_assert_ne!(digest(&held), digest(&other_held));
            }
        }
    }

    /// I6: what says nothing of a call does not change its digest; what says something does.
    #[test]
    fn i6_the_digest_is_of_the_meaning(asked in asked(), agent in "[a-z]{1,8}") {
        let digest = |asked: &Asked, agent: &str| match asked.judged(example(), None)? {
            Verdict::Hold(held) => held.digest(agent, &example().fingerprints),
            _ => None,
        };
        let Some(first) = digest(&asked, "staging-fixer") else { return Ok(()) };
        let with = |name: &'static str, value: &str| {
            let mut changed = asked.clone();
            changed.headers.push((name, value.to_owned()));
            digest(&changed, "staging-fixer")
        };
        prop_assert_eq!(with("user-agent", "another"), Some(first));
        prop_assert_eq!(with("traceparent", "00-1-1-00"), Some(first));
        prop_assert_ne!(with("if-match", "\"1\""), Some(first));
        prop_assert_ne!(digest(&asked, &agent), Some(first));
        let queried = Asked { query: "?a=2", ..asked.clone() };
        prop_assert_ne!(digest(&queried, "staging-fixer"), Some(first));
    }

    /// I7: a request is judged by itself, whatever was judged before it, and by the policy of now.
    #[test]
    fn i7_each_request_is_judged_by_the_policy_of_now(
        all in prop::collection::vec((asked(), 0..15_usize), 1..8),
    ) {
        let mut before = Vec::new();
        for (asked, now) in &all {
            before.push((asked.word(example()), asked.word(&stricter()[*now])));
        }
        for ((asked, now), (under_example, under_stricter)) in all.iter().zip(before).rev() {
            prop_assert_eq!(asked.word(&stricter()[*now]), under_stricter);
            prop_assert_eq!(asked.word(example()), under_example);
        }
    }

    /// Deny beats hold beats allow: a rule that denies makes nothing less strict, and one that holds,
    /// which says what may be approved, makes nothing pass.
    #[test]
    fn a_rule_that_restricts_never_lifts(asked in asked(), which in 0..15_usize) {
        let policy = &stricter()[which];
        let (Some(before), Some(after)) = (asked.word(example()), asked.word(policy)) else {
            return Ok(());
        };
        let holds = which < 10 && which % 2 == 1;
        let least = if holds { before.min(Word::Hold) } else { before };
        prop_assert!(after >= least, "{:?} under the example, {:?} under policy {}", before, after, which);
    }

    /// I1, I4: a path and its canonical spelling have the same verdict.
    #[test]
    fn i1_the_spelling_of_a_path_is_no_way_around(
        path in "/(a|%61|b|\\.|\\.\\.|admin|%61dmin)(/(a|x|\\.|\\.\\.|admin|%2e|%2E%2e)){0,3}/?",
        method in select(vec!["GET", "POST", "DELETE"]),
    ) {
        let Ok(canonical) = RequestPath::read(&path) else { return Ok(()) };
        let judged = |path: &str| {
            let path: &'static str = Box::leak(path.to_owned().into_boxed_str());
            Asked { method, host: API, path, query: "", headers: Vec::new(), body: String::new() }
                .word(example())
        };
        prop_assert_eq!(judged(&path), judged(canonical.as_str()));
        if canonical.segments().first().is_some_and(|first| first == "admin") && canonical.segments().len() > 1 {
            prop_assert_eq!(judged(&path), Some(Word::Deny));
        }
        prop_assert!(Query::read(Some("a=1")).is_ok());
    }
}
