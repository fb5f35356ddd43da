//! A grant is redeemed by the same call in other spacing and order, and by no call that means
//! something else.

use super::*;
use crate::inspect;
use crate::message::{Body, Head, Host, Message, Target as Destination};
use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

const RAILWAY: &str = "backboard.railway.com";
const API: &str = "api.staging.railway.app";
const STAGING_VOLUME: &str = "dddddddd-0000-4000-8000-000000000001";

/// The digest of a call that is held.
fn digest(method: &Method, host: &str, path: &str, body: &str) -> [u8; 32] {
    with_headers(method, host, path, &[], body)
}

fn with_headers(
    method: &Method,
    host: &str,
    path: &str,
    more: &[(&'static str, &'static str)],
    body: &str,
) -> [u8; 32] {
    static POLICY: std::sync::OnceLock<Policy> = std::sync::OnceLock::new();
    let rule = "      - hold: POST /h\n        when: [{ header: X-Env, in: [qa, production] }]\n";
    let tools = "  tools:\n    service: mcp\n    hosts: [mcp.example.com]\n    credentials: none\n    \
                 allow: [{ operation: tools/call other, when: [{ header: X-Tenant, is: web }] }]\n    \
                 hold: [unknown]\n";
    let policy = POLICY.get_or_init(|| {
        policy(|text| {
            text.replacen("      - allow: POST /deployments\n", rule, 1)
                .replacen("resources: [", "resources: [tools, ", 1)
                .replacen("\nresources:\n", &format!("\nresources:\n{tools}"), 1)
        })
    });
    let target = Destination::new(Host::parse(host).unwrap(), 443, false);
    let mut headers = HeaderMap::new();
    headers.insert("host", host.parse().unwrap());
    headers.insert("content-type", "application/json".parse().unwrap());
    for (name, value) in more {
        headers.append(*name, value.parse().unwrap());
    }
    let head = Head::read(method.clone(), &Uri::try_from(path).unwrap(), headers, target).unwrap();
    let (_, agent) = policy.agent("staging-fixer").unwrap();
    let candidates = policy.candidates(agent, head.target());
    let catalog = candidates.first().and_then(|(_, resource)| resource.catalog());
    let message = Message::<()>::new(head, Body::Whole(Bytes::from(body.to_owned())));
    let request = inspect::request(message, catalog.map(AsRef::as_ref), &policy.fingerprints, None);
    let standing = Standing::default();
    let context = Context {
        policy,
        agent,
        standing: &standing,
        inventory: View::NOTHING,
        grant: None,
        before: None,
        past: Past::NOTHING,
    };
    match decide(request, &context) {
        Verdict::Hold(held) => held.digest("staging-fixer", &policy.fingerprints).unwrap(),
        other => panic!("it is not held: {:?} {body}", other.ruling()),
    }
}

fn of_graphql(request: &Value) -> [u8; 32] {
    digest(&Method::POST, RAILWAY, "/graphql/v2", &request.to_string())
}

fn of_json(body: &str) -> [u8; 32] {
    digest(&Method::DELETE, API, "/volumes/7", body)
}

/// Any JSON whose numbers are exact.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[ -~é\\n\"\\\\]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-d \"]{1,3}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// The same value, spaced and ordered as a sequence of choices says.
fn spelled(value: &Value, choices: &mut impl Iterator<Item = u8>, out: &mut String) {
    let mut space = |out: &mut String| {
        let spaces = ["", " ", "\n", "\t ", "\r\n"];
        out.push_str(spaces[usize::from(choices.next().unwrap_or(0)) % spaces.len()]);
    };
    space(out);
    match value {
        Value::Array(members) => {
            out.push('[');
            for (position, member) in members.iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                spelled(member, choices, out);
            }
            out.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            let turn = usize::from(choices.next().unwrap_or(0)) % entries.len().max(1);
            entries.rotate_left(turn);
            out.push('{');
            for (position, (key, member)) in entries.into_iter().enumerate() {
                if position > 0 {
                    out.push(',');
                }
                out.push_str(&Value::from(key.as_str()).to_string());
                out.push(':');
                spelled(member, choices, out);
            }
            out.push('}');
        }
        leaf => out.push_str(&leaf.to_string()),
    }
    out.push_str(if choices.next().unwrap_or(0).is_multiple_of(2) { "" } else { " " });
}

fn spelling(value: &Value, choices: &[u8]) -> String {
    let mut out = String::new();
    spelled(value, &mut choices.iter().copied(), &mut out);
    out
}

/// The tokens of a deletion, with what stands between them as choices say.
fn document(tokens: &[&str], choices: &[u8]) -> String {
    let between = [" ", "\n", " # aside: mutation { other }\n", "\t", "\r\n", "\u{feff}"];
    let mut out = String::new();
    for (position, token) in tokens.iter().enumerate() {
        let choice = usize::from(choices.get(position).copied().unwrap_or(0));
        out.push_str(between[choice % between.len()]);
        out.push_str(token);
    }
    out
}

const DELETION: &[&str] = &[
    "mutation",
    "Delete",
    "(",
    "$id",
    ":",
    "String!",
    ")",
    "{",
    "gone",
    ":",
    "volumeDelete",
    "(",
    "volumeId",
    ":",
    "$id",
    ")",
    "}",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn json_in_another_spelling_is_the_same_call(value in value(), choices in prop::collection::vec(any::<u8>(), 0..64)) {
        prop_assert_eq!(of_json(&value.to_string()), of_json(&spelling(&value, &choices)));
    }

    #[test]
    fn json_of_another_meaning_is_another_call(one in value(), other in value()) {
        if one != other {
            prop_assert_ne!(of_json(&one.to_string()), of_json(&other.to_string()));
        }
    }

    #[test]
    fn graphql_in_another_format_is_the_same_call(
        choices in prop::collection::vec(any::<u8>(), 17),
        order in prop::collection::vec(any::<u8>(), 0..16),
        extra in value(),
    ) {
        let request = |choices: &[u8]| json!({
            "query": document(DELETION, choices),
            "variables": {"id": STAGING_VOLUME, "more": extra},
        });
        let plain = of_graphql(&request(&[]));
        prop_assert_eq!(plain, of_graphql(&request(&choices)));
        let respelled = spelling(&request(&choices), &order);
        prop_assert_eq!(plain, digest(&Method::POST, RAILWAY, "/graphql/v2", &respelled));
    }

    #[test]
    fn graphql_of_another_meaning_is_another_call(
        at in 0..DELETION.len(),
        instead in "[a-z]{1,6}",
        variable in value(),
    ) {
        let request = |tokens: &[&str], more: &Value| json!({
            "query": document(tokens, &[]),
            "variables": {"id": STAGING_VOLUME, "more": more},
        });
        let plain = of_graphql(&request(DELETION, &Value::Null));
        if !variable.is_null() {
            prop_assert_ne!(plain, of_graphql(&request(DELETION, &variable)));
        }
        // The names that a client gives are told apart as well: they stand in the answer.
        let mut tokens = DELETION.to_vec();
        if ["Delete", "gone"].contains(&tokens[at]) && tokens[at] != instead {
            tokens[at] = &instead;
            prop_assert_ne!(plain, of_graphql(&request(&tokens, &Value::Null)));
        }
    }
}

#[test]
fn the_same_words_cut_otherwise_are_another_call() {
    let of = |query: &str, variables: Value| {
        of_graphql(&json!({"query": query, "variables": variables}))
    };
    let plain =
        of(&format!("mutation {{ volumeDelete(volumeId: \"{STAGING_VOLUME}\") }}"), json!({}));
    let others = [
        format!("mutation {{ a: volumeDelete(volumeId: \"{STAGING_VOLUME}\") }}"),
        format!("mutation {{ volumeDelete(volumeId: \"\"\"{STAGING_VOLUME}\"\"\") }}"),
        format!("mutation {{ volumeDelete(volumeId: \"{STAGING_VOLUME}\") __typename }}"),
    ];
    for other in others {
        assert_ne!(plain, of(&other, json!({})), "{other}");
    }
    let mut nested = Map::new();
    nested.insert("x".to_owned(), json!("1"));
    assert_ne!(of_json("{\"x\": \"1\"}"), of_json("{\"x\": 1}"));
    assert_eq!(of_json("{\"x\": \"1\"}"), of_json(&Value::Object(nested).to_string()));
}

#[test]
fn headers_that_a_rule_or_a_server_heeds_belong_to_a_call() {
    type Headers = &'static [(&'static str, &'static str)];
    let rule = |headers: Headers| with_headers(&Method::POST, API, "/h", headers, "{}");
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"wipe"}}"#;
    let tool =
        |headers: Headers| with_headers(&Method::POST, "mcp.example.com", "/mcp", headers, call);
    let plain: Headers = &[("x-env", "qa")];
    let table: [(Headers, bool); 7] = [
        (&[("x-env", "qa"), ("user-agent", "x")], true),
        (&[("x-env", "qa"), ("baggage", "a=b")], true),
        (&[("x-env", "production")], false),
        (&[("x-env", "qa"), ("x_env", "production")], false),
        // As whom a call is made.
        (&[("x-env", "qa"), ("impersonate-user", "admin")], false),
        (&[("x-env", "qa"), ("x-remote-user", "admin")], false),
        (&[("x-env", "qa"), ("x_remote_group", "system:masters")], false),
    ];
    for (headers, same) in table {
        assert_eq!(rule(plain) == rule(headers), same, "{headers:?}");
    }
    // In another session the server may act for another environment.
    let session: Headers = &[("mcp-session-id", "staging")];
    let table: [(Headers, bool); 5] = [
        (&[("mcp-session-id", "staging"), ("mcp-protocol-version", "2025-11-25")], true),
        (&[("mcp-session-id", "staging"), ("last-event-id", "7")], true),
        (&[("mcp-session-id", "production")], false),
        // Named by a condition that this call is never asked for.
        (&[("mcp-session-id", "staging"), ("x-tenant", "web")], false),
        (&[], false),
    ];
    for (headers, same) in table {
        assert_eq!(tool(session) == tool(headers), same, "{headers:?}");
    }
}
