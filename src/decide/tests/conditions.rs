//! Conditions on rules and lists: what is not established is never an allow.

use super::*;

const API: &str = "https://api.staging.railway.app";

/// A plain resource whose rule for deployments asks for more.
fn plain(rules: &str) -> Policy {
    policy(|text| text.replacen("      - allow: POST /deployments\n", rules, 1))
}

fn json(body: &str) -> String {
    format!("POST {API}/deployments\nContent-Type: application/json\n\n{body}")
}

#[test]
fn an_allowing_rule_speaks_only_where_all_it_asks_is_so() {
    let rule = "      - allow: POST /deployments\n        when:\n          \
                - { argument: body.env, is: staging }\n          \
                - { query: force, present: false }\n          \
                - { header: X-Team, in: [web, api] }\n";
    let policy = plain(rule);
    let with = |query: &str, headers: &str, body: &str| {
        format!("POST {API}/deployments{query}\n{headers}\n{body}")
    };
    let team = "Content-Type: application/json\nX-Team: web\n";
    let cases = [
        (with("", team, "{\"env\": \"staging\"}"), Word::Allow, ""),
        (with("", team, "{\"env\": [\"staging\", \"production\"]}"), Word::Deny, "scope_violation"),
        (with("", team, "{\"env\": \"production\"}"), Word::Deny, "scope_violation"),
        (with("", team, "{\"env\": {}}"), Word::Deny, "scope_violation"),
        (with("", team, "{}"), Word::Deny, "scope_violation"),
        (with("", team, ""), Word::Deny, "scope_violation"),
        (with("", team, "{\"env\": "), Word::Deny, "scope_violation"),
        (with("?force=1", team, "{\"env\": \"staging\"}"), Word::Deny, "scope_violation"),
        (
            with("", "Content-Type: application/json\n", "{\"env\": \"staging\"}"),
            Word::Deny,
            "scope_violation",
        ),
        // A body in a form that is not read says nothing for certain.
        (
            with("", "Content-Type: application/x-other\nX-Team: web\n", "{\"env\": \"staging\"}"),
            Word::Deny,
            "scope_violation",
        ),
        (
            with(
                "",
                "Content-Type: application/x-www-form-urlencoded\nX-Team: api\n",
                "env=staging",
            ),
            Word::Allow,
            "",
        ),
    ];
    expect(&policy, &cases);
}

#[test]
fn a_restricting_rule_speaks_unless_the_contrary_is_established() {
    let rules = "      - allow: POST /deployments\n      - hold: POST /deployments\n        \
                 when: [{ argument: body.env, is: staging, not: true }]\n      \
                 - deny: POST /deployments\n        when: [{ argument: body.replicas, at_most: 0 }]\n";
    let policy = plain(rules);
    let other = format!("POST {API}/deployments\nContent-Type: application/x-other\n\nanything");
    let cases = [
        (json("{\"env\": \"staging\", \"replicas\": 2}"), Word::Allow, ""),
        (json("{\"env\": \"production\", \"replicas\": 2}"), Word::Hold, "approval_required"),
        (json("{\"replicas\": 2}"), Word::Hold, "approval_required"),
        (json("{\"env\": \"staging\", \"replicas\": 0}"), Word::Deny, "scope_violation"),
        (json("{\"env\": \"staging\", \"replicas\": \"none\"}"), Word::Deny, "scope_violation"),
        (json("{\"env\": \"staging\"}"), Word::Allow, ""),
        (other, Word::Deny, "scope_violation"),
    ];
    expect(&policy, &cases);
}

#[test]
fn lists_take_conditions_and_patterns() {
    let lists = "hold: [destructive, credential, access, execute, unknown, \
                 { operation: mutation variableUpsert, when: [{ argument: input.name, like: \"PROD_*\" }] }]\n    \
                 deny: [\"mutation plugin*\"]";
    let policy = policy(|text| {
        text.replacen("hold: [destructive, credential, access, execute, unknown]", lists, 1)
    });
    let upsert = |name: &str| {
        let document = "mutation($name: String!) { variableUpsert(input: {environmentId: \"bbbbbbbb-0000-4000-8000-000000000001\", projectId: \"x\", name: $name, value: \"1\"}) }";
        let body = serde_json::json!({"query": document, "variables": {"name": name}});
        format!(
            "POST https://backboard.railway.com/graphql/v2\nAuthorization: Bearer {ISSUED}\n\n{body}"
        )
    };
    let plugin = "mutation { pluginRestart(id: \"x\", input: {environmentId: \"bbbbbbbb-0000-4000-8000-000000000001\"}) { id } }";
    let cases = [
        (upsert("DEBUG"), Word::Allow, ""),
        (upsert("PROD_URL"), Word::Hold, "approval_required"),
        (graphql(ISSUED, plugin), Word::Deny, "scope_violation"),
    ];
    expect(&policy, &cases);
}

#[test]
fn an_explained_verdict_says_what_was_asked() {
    let policy = plain(
        "      - hold: POST /deployments\n        when: [{ argument: body.env, is: production }]\n",
    );
    let (_, agent) = policy.agent("staging-fixer").unwrap();
    let Explained::Ruled(ruling) = explain(&policy, agent, &json("{\"env\": [[]]}")).unwrap()
    else {
        panic!("it is judged");
    };
    let [condition] = &ruling.conditions[..] else { panic!("{:?}", ruling.conditions) };
    assert!(condition.ends_with(" body.env production: unknown"), "{condition}");
}

#[test]
fn a_condition_that_asks_nothing_is_a_load_error() {
    let key = Arc::new(FingerprintKey::new(b"test"));
    let cases = [
        ("[{ argument: a }]", "exactly one of `is`"),
        ("[{ is: 1 }]", "is no place"),
        ("[{ argument: a, query: b, is: 1 }]", "exactly one of `argument`"),
        ("[{ argument: a, in: [] }]", "fits nothing"),
        ("[{ argument: a, equals: 1 }]", "equals"),
        ("[{ environment: stagin }]", "no resource has the environment `stagin`"),
        ("[{ environment: staging, query: b }]", "exactly one of `argument`"),
        ("[{ environment: staging, is: b }]", "exactly one of `is`"),
        ("[{ environment: [] }]", "fits nothing"),
    ];
    for (when, why) in cases {
        let rule = format!("      - hold: POST /deployments\n        when: {when}\n");
        let text = EXAMPLE.replacen("      - allow: POST /deployments\n", &rule, 1);
        let report = compile(&text, "policy.yaml", Path::new(""), &Fixed, &key).unwrap_err();
        assert!(report.to_string().contains(why), "{when}: {report}");
    }
}

/// Servers that hand headers on as variables take several names for one.
#[test]
fn a_header_in_another_spelling_is_nothing_certain() {
    let rules = |word: &str| {
        format!(
            "      - allow: PUT /h\n      - {word}: POST /h\n        when: [{{ header: X-Env, is: staging }}]\n"
        )
    };
    let allowing = plain(&rules("allow"));
    let denying = plain(&rules("deny").replace("allow: PUT", "allow: POST"));
    let with = |headers: &str| format!("POST {API}/h\n{headers}\n");
    let table = [
        ("X-Env: staging\n", true, true),
        ("X-Env: production\n", false, false),
        ("X-Other: staging\nX-Env: production\n", false, false),
        ("X-Env: staging\nX-Environment: production\n", true, true),
        ("X-Env: staging\nX_Env: production\n", false, true),
        ("X-Env: staging\nX_Env: staging\n", false, true),
        ("X_Env: staging\n", false, true),
        ("X-Env: production\nX.Env: staging\n", false, true),
    ];
    for (headers, allowed, denied) in table {
        let word = if allowed { (Word::Allow, "") } else { (Word::Deny, "scope_violation") };
        expect(&allowing, &[(with(headers), word.0, word.1)]);
        let word = if denied { (Word::Deny, "scope_violation") } else { (Word::Allow, "") };
        expect(&denying, &[(with(headers), word.0, word.1)]);
    }
}

/// A member in other letters may be the one that counts.
#[test]
fn an_argument_of_a_tool_in_other_letters_evades_no_condition() {
    let tools = |lists: &str| {
        policy(|text| {
            text.replacen("resources: [", "resources: [tools, ", 1).replacen(
                "\nresources:\n",
                &format!("\nresources:\n  tools:\n    service: mcp\n    hosts: [mcp.example.com]\n    credentials: none\n    {lists}\n"),
                1,
            )
        })
    };
    let of = |arguments: &str| {
        format!(
            "POST https://mcp.example.com/mcp\nContent-Type: application/json\n\n{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"tools/call\",\"params\":{{\"name\":\"run\",\"arguments\":{arguments}}}}}"
        )
    };
    let allowing = tools(
        "allow: [{ operation: tools/call run, when: [{ argument: env, is: staging }] }]\n    hold: [unknown]",
    );
    let denying = tools(
        "allow: [tools/call run]\n    deny: [{ operation: tools/call run, when: [{ argument: env, is: production }] }]",
    );
    let anywhere = tools(
        "allow: [tools/call run]\n    deny: [{ operation: tools/call run, when: [{ argument: in, anywhere: { key: env, is: production } }] }]",
    );
    expect(
        &allowing,
        &[
            (of(r#"{"env":"staging"}"#), Word::Allow, ""),
            (of(r#"{"env":"staging","Env":"production"}"#), Word::Hold, "unknown_operation"),
            (of(r#"{"Env":"production","env":"staging"}"#), Word::Hold, "unknown_operation"),
            (of(r#"{"Env":"staging"}"#), Word::Hold, "unknown_operation"),
        ],
    );
    let denied = |arguments: &str| (of(arguments), Word::Deny, "unknown_operation");
    expect(
        &denying,
        &[
            (of(r#"{"env":"staging"}"#), Word::Allow, ""),
            denied(r#"{"env":"production"}"#),
            denied(r#"{"ENV":"production"}"#),
            denied(r#"{"env":"staging","Env":"production"}"#),
        ],
    );
    expect(
        &anywhere,
        &[
            (of(r#"{"in":[{"env":"staging"}]}"#), Word::Allow, ""),
            denied(r#"{"in":[{"Env":"production"}]}"#),
            denied(r#"{"In":[{"env":"production"}]}"#),
            denied(r#"{"in":[{"env":"staging","eNv":"production"}]}"#),
        ],
    );
}

#[test]
fn a_body_or_a_query_in_another_spelling_is_nothing_certain() {
    let deny = "      - allow: POST /d\n      - deny: POST /d\n        when: \
                [{ argument: body.deploy.env, is: production }]\n      - deny: POST /d\n        when: \
                [{ query: deploy_env, is: production }]\n";
    let allow = "      - allow: POST /d\n        when: [{ argument: body.env, is: staging }]\n";
    let (denying, allowing) = (plain(deny), plain(allow));
    let form = "application/x-www-form-urlencoded";
    let post = |query: &str, kind: &str, body: &str| {
        format!("POST {API}/d{query}\nContent-Type: {kind}\n\n{body}")
    };
    let of_json = |body: &str| post("", "application/json", body);
    let denied = [
        of_json(r#"{"deploy":{"env":"production"}}"#),
        of_json(r#"{"Deploy":{"env":"production"}}"#),
        of_json(r#"{"deploy":{"0":{"env":"production"}}}"#),
        of_json(r#"{"deploy":[{"a":1},[{"env":"production"}]]}"#),
        post("?deploy[env]=production", "application/json", "{}"),
        post("?deploy=x", "application/json", "{}"),
        post("?deploy.env=x", "application/json", "{}"),
        of_json(r#"{"deploy":{"0":{"env":"production"},"env":"staging"}}"#),
        post("", form, "deploy.env=production"),
        post("?a=1;deploy.env=production", form, "a=b"),
        post("?Deploy_Env=production", form, "a=b"),
        post("?deploy.env=production", form, "a=b"),
        post("?deploy%20env=production", form, "a=b"),
        post("?deploy%5Benv=production", form, "a=b"),
        post("?deploy_env%00x=production", form, "a=b"),
        post("?%01deploy_env=production", form, "a=b"),
        post("", form, "\u{feff}{\"deploy\":{\"env\":\"production\"}}"),
        post("", form, "%00%7B\"deploy\":{\"env\":\"production\"}}"),
        post("", form, "deploy%00x=production"),
    ];
    for request in denied {
        expect(&denying, &[(request, Word::Deny, "scope_violation")]);
    }
    for request in [of_json(r#"{"deploy":{"env":"qa"}}"#), post("?x=1", form, "a=b&c.d=e")] {
        expect(&denying, &[(request, Word::Allow, "")]);
    }
    let polyglot = "\u{feff}{\"env\":\"production\",\"x\":\"&env=staging&\"}";
    let not_certain = [
        post("", form, polyglot),
        post("?env=production", form, "env=staging"),
        post("?ENV[]=production", form, "env=staging"),
        post("", form, "env=staging&env%00=production"),
    ];
    for request in not_certain {
        expect(&allowing, &[(request, Word::Deny, "scope_violation")]);
    }
    expect(&allowing, &[(post("?tab=1", form, "env=staging"), Word::Allow, "")]);
}

#[test]
fn what_is_looked_for_anywhere_may_stand_in_what_is_merged() {
    let policy = plain(
        "      - allow: POST /d\n      - deny: POST /d\n        when: \
         [{ argument: body, anywhere: { key: env, is: production } }]\n",
    );
    let form = "application/x-www-form-urlencoded";
    let post = |query: &str, kind: &str, body: &str| {
        format!("POST {API}/d{query}\nContent-Type: {kind}\n\n{body}")
    };
    let denied = [
        post("", "application/json", r#"{"a":[{"env":"production"}]}"#),
        post("?env=production", "application/json", "{}"),
        post("?env=production", form, "a=b"),
        post("", form, "x[env]=production"),
        post("", form, "x.env=production"),
    ];
    for request in denied {
        expect(&policy, &[(request, Word::Deny, "scope_violation")]);
    }
    for request in [post("", form, "a=b+c&d=f"), post("", "application/json", "{\"a\":[[1]]}")] {
        expect(&policy, &[(request, Word::Allow, "")]);
    }
}

/// Where a call acts is as much of it as what it does.
#[test]
fn an_environment_is_asked_of_all_that_a_call_acts_on() {
    let own = "    allow: [read, write, mutation deploymentRestart]";
    let asking = |entry: &str| {
        policy(|text| {
            assert_eq!(text.matches(own).count(), 1);
            text.replacen(own, &format!("    allow: [{entry}, write]"), 1)
        })
    };
    let staging = asking("{ operation: read, when: [{ environment: staging }] }");
    let production = asking("{ operation: read, when: [{ environment: [production] }] }");
    let elsewhere = asking("{ operation: read, when: [{ environment: staging, not: true }] }");
    let here = graphql(ISSUED, &format!("{{ environment(id: \"{STAGING}\") {{ id }} }}"));
    let denied = (Word::Deny, "scope_violation");
    for (policy, (word, reason)) in
        [(&staging, (Word::Allow, "")), (&production, denied), (&elsewhere, denied)]
    {
        expect(policy, &[(here.clone(), word, reason)]);
    }
    // On a plain resource it is that of the resource.
    let rule = |environment: &str| {
        plain(&format!(
            "      - allow: POST /d\n        when: [{{ environment: {environment} }}]\n"
        ))
    };
    let call = format!("POST {API}/d\n\n");
    expect(&rule("staging"), &[(call.clone(), Word::Allow, "")]);
    expect(&rule("production"), &[(call, Word::Deny, "scope_violation")]);
}

/// What may be elsewhere too is in no environment for certain: it is never an allow.
#[test]
fn an_environment_that_is_not_known_lets_nothing_pass() {
    let own = "    allow: [read, write, mutation deploymentRestart]";
    let policy = policy(|text| {
        assert_eq!(text.matches(own).count(), 1);
        let entry = "{ operation: write, when: [{ environment: staging }] }";
        text.replacen(own, &format!("    allow: [read, {entry}]"), 1)
    });
    let update = |id: &str| {
        graphql(
            ISSUED,
            &format!(
                "mutation {{ volumeUpdate(volumeId: \"{id}\", input: {{ name: \"x\" }}) {{ id }} }}"
            ),
        )
    };
    let unknown = "dddddddd-0000-4000-8000-00000000ffff";
    expect(
        &policy,
        &[
            (update(STAGING_VOLUME), Word::Allow, ""),
            (update(unknown), Word::Hold, "unknown_target"),
        ],
    );
}
