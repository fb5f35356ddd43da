//! What a baseline adds: an allow may become a hold, and nothing else changes.

use super::properties::{Asked, asked, grant_of};
use super::*;
use crate::baseline::{Baseline, Before, Learned, Model, Profile, Step};
use crate::catalog::Effect;
use crate::inspect::Inspected;
use crate::message::{Body, Head, Host, Message, Target as Destination};
use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use std::cell::RefCell;

const AGENT: &str = "staging-fixer";
const PLACE: &str = "    profile: coding-agent\n";

/// A profile that was learned from one session.
fn profile(steps: &[(Effect, &str, &str)]) -> Profile {
    let steps: Vec<Step> = steps.iter().map(|step| step_of(*step)).collect();
    let mut profile = Profile::new("coding-agent");
    let learned = Learned { agent: AGENT.to_owned(), requests: 1, records: (1, 9), verified: true };
    profile.learn("s_1", learned, &steps).unwrap();
    profile
}

fn step_of((effect, host, name): (Effect, &str, &str)) -> Step {
    Step::new(&Arc::from(host), [(effect, &Arc::from(name))]).unwrap()
}

fn with(profile: &Profile, raise_at: u32) -> Policy {
    let mut policy = policy(|text| text);
    let agent = policy.agents.iter_mut().find(|agent| *agent.name == *AGENT).unwrap();
    agent.baseline = Some(Baseline {
        profile: Arc::from("coding-agent"),
        model: Arc::new(Model::from(profile)),
        raise_at: Some((raise_at, crate::policy::Place { line: 34, column: 5 })),
    });
    policy
}

fn judged(
    request: Inspected<()>,
    policy: &Policy,
    before: Option<&Before>,
    grant: Option<&Grant>,
) -> Verdict<()> {
    let (_, agent) = policy.agent(AGENT).unwrap();
    let standing = Standing::default();
    let inventory = View::NOTHING;
    let past = Past::NOTHING;
    decide(request, &Context { policy, agent, standing: &standing, inventory, grant, past, before })
}

fn steps() -> impl Strategy<Value = Vec<(Effect, &'static str, &'static str)>> {
    let step = (
        select(Effect::ALL.to_vec()),
        select(vec!["backboard.railway.com", "docs.railway.com", "api.staging.railway.app"]),
        select(vec!["GET /x", "query me", "mutation volumeDelete", "POST /deployments"]),
    );
    vec(step, 0..60)
}

thread_local! {
    static PLAIN: RefCell<Option<Policy>> = const { RefCell::new(None) };
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    /// With any profile, whatever came before and whoever approved: never lower than without one.
    #[test]
    fn no_profile_lowers_a_verdict(
        asked in asked(),
        learned in steps(),
        raise_at in 1_000_u32..20_000,
        before in prop::option::of(select(Effect::ALL.to_vec())),
    ) {
        let raised = with(&profile(&learned), raise_at);
        let host: Arc<str> = Arc::from("docs.railway.com");
        let before = before.map(|effect| Before { effect, host });
        let read = |asked: &Asked, policy: &Policy| asked.inspected(policy, None);
        PLAIN.with_borrow_mut(|plain| {
            let plain = plain.get_or_insert_with(|| policy(|text| text));
            let (Some(one), Some(other)) = (read(&asked, plain), read(&asked, &raised)) else {
                return Ok(());
            };
            let (without, verdict) =
                (judged(one, plain, None, None), judged(other, &raised, before.as_ref(), None));
            let (a, b) = (without.ruling(), verdict.ruling());
            prop_assert!(b.word >= a.word, "{:?} {:?}", a, b);
            if a.word == Word::Deny {
                prop_assert_eq!((a.reason, &a.findings), (b.reason, &b.findings));
            }
            if a.word == Word::Hold {
                prop_assert_eq!(a.reason, b.reason);
                prop_assert!(a.terms.reasons.is_subset(&b.terms.reasons));
            }
            let unusual = b.surprise.as_ref().filter(|_| b.word != Word::Deny);
            let reached = unusual.is_some_and(|one| one.surprise.millibits() >= raise_at);
            prop_assert_eq!(b.word > a.word, reached && a.word == Word::Allow);
            // What was approved without the baseline does not pass it by, whatever comes before.
            if let Verdict::Hold(held) = &without {
                let grant = grant_of(held);
                let again = judged(read(&asked, &raised).unwrap(), &raised, before.as_ref(), Some(&grant));
                let reached = unusual.is_some_and(|one| one.surprise.millibits_whenever() >= raise_at);
                prop_assert_eq!(again.ruling().word == Word::Hold, reached);
            }
            // What a person approved with it does.
            if let Verdict::Hold(held) = &verdict {
                let grant = grant_of(held);
                let again = judged(read(&asked, &raised).unwrap(), &raised, before.as_ref(), Some(&grant));
                prop_assert_eq!(again.ruling().word, Word::Allow);
            }
            Ok(())
        })?;
    }
}

fn usual() -> Profile {
    profile(&[(Effect::Read, "docs.railway.com", "GET /x")].repeat(200))
}

#[test]
fn an_unusual_call_waits_and_says_why() {
    let policy = with(&usual(), 6_000);
    let (_, agent) = policy.agent(AGENT).unwrap();
    let asked = |request: &str| match explain(&policy, agent, request).unwrap() {
        Explained::Ruled(ruling) => ruling,
        Explained::Refused(refused) => panic!("{refused}"),
    };
    let read = asked("GET https://docs.railway.com/another");
    assert_eq!((read.word, read.surprise.unwrap().raised), (Word::Allow, false));
    let post = asked("POST https://api.staging.railway.app/deployments");
    assert_eq!((post.word, post.reason), (Word::Hold, Some(Reason::ApprovalRequired)));
    assert_eq!(post.rule.as_deref(), Some("policy.yaml:34"));
    assert!(post.detail.contains("`POST /deployments` is unusual"), "{}", post.detail);
    assert_eq!(post.approvals_needed, 1);
    let finding = post.findings.iter().find(|f| f.reason == Reason::ApprovalRequired).unwrap();
    let unusual = post.surprise.unwrap();
    let sum = format!("{} against the profile coding-agent", unusual.surprise);
    assert_eq!(finding.evidence.as_deref(), Some(&*sum));
    let told = unusual.surprise.told();
    assert_eq!(told.len(), 3, "{told:?}");
    for line in [
        "1 write call to api.staging.railway.app, never seen, ",
        "1 call to api.staging.railway.app, never seen, ",
    ] {
        assert!(told.iter().any(|one| one.starts_with(line)), "{line} {told:?}");
    }
}

/// The retry of a held call comes after something else, and is the same call with the same approval.
#[test]
fn an_approval_stands_whatever_came_before_the_retry() {
    const RAILWAY: &str = "backboard.railway.com";
    let (read, removal) = (
        (Effect::Read, "docs.railway.com", "GET /x"),
        (Effect::Destructive, RAILWAY, "mutation volumeDelete"),
    );
    let learned = profile(&[read, removal].repeat(50));
    let query = "mutation { volumeDelete(volumeId: \"dddddddd-0000-4000-8000-000000000001\") }";
    let body = Bytes::from(serde_json::json!({ "query": query }).to_string());
    let asked = |policy: &Policy, before, grant: Option<&Grant>| {
        let target = Destination::new(Host::parse(RAILWAY).unwrap(), 443, false);
        let mut headers = HeaderMap::new();
        headers.insert("host", RAILWAY.parse().unwrap());
        headers.insert("content-type", "application/json".parse().unwrap());
        let head = Head::read(Method::POST, &Uri::from_static("/graphql/v2"), headers, target);
        let message = Message::<()>::new(head.unwrap(), Body::Whole(body.clone()));
        let (_, agent) = policy.agent(AGENT).unwrap();
        let candidates = policy.candidates(agent, message.head().target());
        let catalog = candidates.first().and_then(|(_, resource)| resource.catalog());
        let catalog = catalog.map(AsRef::as_ref);
        let request = crate::inspect::request(message, catalog, &policy.fingerprints, None);
        judged(request, policy, before, grant)
    };
    let before = |effect, host: &str| Before { effect, host: Arc::from(host) };
    let (usually, strangely) =
        (before(Effect::Read, "docs.railway.com"), before(Effect::Destructive, RAILWAY));
    let bits = |before| {
        let verdict = asked(&with(&learned, 64_000), Some(before), None);
        verdict.ruling().surprise.as_ref().unwrap().surprise.millibits()
    };
    assert!(bits(&usually) < bits(&strangely));
    let policy = with(&learned, bits(&strangely));
    let held = |before, raised: bool| match asked(&policy, Some(before), None) {
        Verdict::Hold(held) => {
            assert_eq!(held.ruling().surprise.as_ref().unwrap().raised, raised);
            held
        }
        other => panic!("{:?}", other.ruling()),
    };
    let (first, retry) = (held(&usually, false), held(&strangely, true));
    let digest = |held: &Held<()>| held.digest(AGENT, &policy.fingerprints);
    assert!(digest(&first).is_some());
    assert_eq!(digest(&first), digest(&retry));
    for (grant, before) in [(grant_of(&first), &strangely), (grant_of(&retry), &usually)] {
        let again = asked(&policy, Some(before), Some(&grant));
        assert_eq!(again.ruling().word, Word::Allow, "{:?}", again.ruling());
    }
    // What is unusual whenever it comes is not covered by an approval that was not about it.
    let policy = with(&usual(), 1_000);
    let again = asked(&policy, Some(&usually), Some(&grant_of(&first)));
    assert_eq!(again.ruling().word, Word::Hold, "{:?}", again.ruling());
}

/// What the operator wrote about a profile, and what is said of it.
#[test]
fn a_profile_that_is_relied_on_has_to_be_there() {
    struct Kept(Result<Option<String>, String>);
    impl Secrets for Kept {
        fn variable(&self, name: &str) -> Option<Zeroizing<Vec<u8>>> {
            Fixed.variable(name)
        }
        fn file(&self, path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
            Fixed.file(path)
        }
        fn law(&self, path: &Path) -> Result<String, String> {
            Fixed.law(path)
        }
        fn profile(&self, path: &Path) -> Result<Option<String>, String> {
            assert_eq!(path, Path::new(".holdgate/baselines/coding-agent.json"));
            self.0.clone()
        }
    }
    let key = Arc::new(FingerprintKey::new(b"test"));
    let compiled = |lines: &str, kept: Result<Option<String>, String>| {
        assert_eq!(EXAMPLE.matches(PLACE).count(), 1);
        let text = EXAMPLE.replace(PLACE, lines);
        compile(&text, "policy.yaml", Path::new(""), &Kept(kept), &key)
    };
    let text = usual().text().unwrap();
    let raised = format!("{PLACE}    raise_at: 12.5\n");
    for (lines, kept, raise_at) in [
        (PLACE, None, None),
        (PLACE, Some(text.clone()), Some(None)),
        (&raised, Some(text.clone()), Some(Some(12_500))),
        (&format!("{PLACE}    raise_at: 9\n"), Some(text.clone()), Some(Some(9_000))),
    ] {
        let policy = compiled(lines, Ok(kept)).unwrap_or_else(|report| panic!("{report}"));
        let baseline = policy.agent(AGENT).unwrap().1.baseline.as_ref();
        assert_eq!(baseline.map(|one| one.raise_at.map(|(bits, _)| bits)), raise_at, "{lines}");
    }
    // What was learned is part of the law.
    let digest = |kept| compiled(PLACE, Ok(kept)).unwrap().digest;
    assert_ne!(digest(None), digest(Some(text.clone())));
    let other = text.replace("\"profile\": \"coding-agent\"", "\"profile\": \"other\"");
    let newer = text.replace("\"version\": 1", "\"version\": 2");
    let strange = text.replace("\"read docs.railway.com\"", "\"docs.railway.com\"");
    let more = text.replace("\"version\": 1", "\"version\": 1, \"vresion\": 1");
    type Case<'a> = (&'a str, Result<Option<String>, String>, &'a str);
    let cases: [Case<'_>; 11] = [
        ("    raise_at: 12\n", Ok(None), "`raise_at` needs a `profile`"),
        (&raised, Ok(None), "nothing was learned for the profile `coding-agent`"),
        (PLACE, Err("others may write it".to_owned()), "others may write it"),
        (PLACE, Ok(Some("{".to_owned())), "it is no profile"),
        (PLACE, Ok(Some(other)), "it is the profile `other` under another name"),
        (PLACE, Ok(Some(newer)), "it is of version 2"),
        (PLACE, Ok(Some(strange)), "`docs.railway.com` is no effect and host"),
        (PLACE, Ok(Some(more)), "unknown field `vresion`"),
        ("    profile: ../x\n", Ok(None), "a profile's name has"),
        (&format!("{PLACE}    raise_at: 0.5\n"), Ok(Some(text.clone())), "bits from 1 to 64"),
        (&format!("{PLACE}    raise_at: 65\n"), Ok(Some(text)), "bits from 1 to 64"),
    ];
    for (lines, kept, wanted) in cases {
        let report = compiled(lines, kept).unwrap_err().to_string();
        assert!(report.contains(wanted) && report.contains("policy.yaml:"), "{wanted}: {report}");
        assert_eq!(report.matches("error: ").count(), 1, "{report}");
    }
}
