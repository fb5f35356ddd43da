//! What answers teach, and what they do not, along the selection of the request.

use super::*;
use crate::catalog::Catalog;
use crate::inspect::graphql;
use serde_json::json;
use std::collections::BTreeSet;

const STAGING: &str = "bbbbbbbb-0000-4000-8000-000000000001";
const PRODUCTION: &str = "bbbbbbbb-0000-4000-8000-000000000002";
const VOLUME: &str = "dddddddd-0000-4000-8000-000000000001";
const OTHER: &str = "dddddddd-0000-4000-8000-000000000002";
const INSTANCE: &str = "eeeeeeee-0000-4000-8000-000000000001";
const PROJECT: &str = "aaaaaaaa-0000-4000-8000-000000000001";

fn expected(request: &Value) -> Option<Expected> {
    let catalog = Catalog::embedded("railway").unwrap();
    let learns = catalog.graphql.unwrap().learns.unwrap();
    graphql::read_to_learn(request, &graphql::Documents::new(), Some(&learns)).unwrap().expected
}

/// What is learned, as `volume ID in environment ID`, `?` behind what may be shared.
fn of_request(request: &Value, answer: &str) -> BTreeSet<String> {
    let Some(expected) = expected(request) else { return BTreeSet::new() };
    let line = |it: Taught| {
        let shared = if it.shared { "?" } else { "" };
        format!("{} {} in {} {}{shared}", it.kind, it.id, it.owner_kind, it.owner)
    };
    taught(answer.as_bytes(), &expected).into_iter().map(line).collect()
}

fn of_document(document: &str, data: &Value) -> BTreeSet<String> {
    of_request(&json!({ "query": document }), &json!({ "data": data }).to_string())
}

fn lines<const N: usize>(lines: [String; N]) -> BTreeSet<String> {
    lines.into()
}

fn in_environment(volume: &str, environment: &str) -> String {
    format!("volume {volume} in environment {environment}?")
}

/// An answer with one volume that has one instance.
fn volume(id: &str, environment: &str) -> Value {
    let instance = json!({ "node": { "environmentId": environment } });
    json!({ "node": { "id": id, "volumeInstances": { "edges": [instance] } } })
}

#[test]
fn a_listing_says_what_belongs_to_what() {
    let data = json!({ "project": { "volumes": { "edges": [volume(VOLUME, STAGING), volume(OTHER, PRODUCTION)] } } });
    let below =
        "volumes { edges { node { id volumeInstances { edges { node { environmentId } } } } } }";
    let both = lines([in_environment(VOLUME, STAGING), in_environment(OTHER, PRODUCTION)]);
    for document in [
        format!("{{ project(id: \"p\") {{ ...F }} }} fragment F on Project {{ name {below} }}"),
        format!("{{ project(id: \"p\") {{ ... on Project {{ {below} }} }} }}"),
        format!("{{ project(id: \"p\") {{ ... on Node {{ id }} {below} }} }}"),
        format!("query A {{ project(id: \"p\") {{ ... @include(if: true) {{ {below} }} }} }}"),
        format!(
            "{{ project(id: \"p\") {{ {below} }} ...G }} fragment G on Query {{ me {{ id }} }}"
        ),
        format!(
            "{{ project: project(id: \"p\") {{ {below} volumes {{ pageInfo {{ endCursor }} }} }} }}"
        ),
    ] {
        let found = of_document(&document, &data);
        let volumes: BTreeSet<_> =
            found.into_iter().filter(|line| line.contains("environment")).collect();
        assert_eq!(volumes, both, "{document}");
    }
}

#[test]
fn each_way_down_is_known() {
    let id = |id: &str| json!({ "edges": [{ "node": { "id": id } }] });
    let instance = json!({ "edges": [{ "node": { "id": INSTANCE, "volume": { "id": VOLUME, "name": "x" } } }] });
    let shared = in_environment(VOLUME, STAGING);
    let own = format!("volume_instance {INSTANCE} in environment {STAGING}");
    let cases = [
        // The environment by the argument of the query, as nothing in the answer names it.
        (
            format!("{{ environment(id: \"{STAGING}\") {{ volumeInstances {{ edges {{ node {{ id volume {{ id name }} }} }} }} }} }}"),
            json!({ "environment": { "volumeInstances": instance } }),
            lines([shared.clone(), own.clone()]),
        ),
        (
            "{ project(id: \"p\") { environments { edges { node { id volumeInstances { edges { node { id volume { id } } } } } } } } }".to_owned(),
            json!({ "project": { "environments": { "edges": [{ "node": { "id": STAGING, "volumeInstances": instance } }] } } }),
            lines([shared, own.clone(), format!("environment {STAGING} in project p?")]),
        ),
        (
            format!("{{ volumeInstance(id: \"{INSTANCE}\") {{ environmentId }} }}"),
            json!({ "volumeInstance": { "environmentId": STAGING } }),
            lines([own]),
        ),
        (
            format!("{{ project(id: \"{PROJECT}\") {{ services {{ edges {{ node {{ id }} }} }} }} }}"),
            json!({ "project": { "services": id("s") } }),
            lines([format!("service s in project {PROJECT}?")]),
        ),
        // A service has instances in several environments: they do not own it.
        (
            "{ environment(id: \"e\") { serviceInstances { edges { node { serviceId service { id } environmentId } } } } }".to_owned(),
            json!({ "environment": { "serviceInstances": { "edges": [{ "node": { "serviceId": "s", "service": { "id": "s" }, "environmentId": "e" } }] } } }),
            BTreeSet::new(),
        ),
        // A mutation's answer, too.
        (
            "mutation { volumeCreate(input: { projectId: \"p\" }) { id projectId } }".to_owned(),
            json!({ "volumeCreate": { "id": VOLUME, "projectId": PROJECT } }),
            lines([format!("volume {VOLUME} in project {PROJECT}?")]),
        ),
    ];
    for (document, data, facts) in cases {
        assert_eq!(of_document(&document, &data), facts, "{document}");
    }
}

/// The agent chooses names, aliases and forms; what they touch teaches nothing.
#[test]
fn nothing_that_is_not_certain_teaches() {
    let edge = |node: &str| {
        format!("{{ project(id: \"p\") {{ volumes {{ edges {{ node {{ {node} }} }} }} }} }}")
    };
    let owner = "volumeInstances { edges { node { environmentId } } }";
    // A volume of staging that is named after one of production.
    let data = json!({ "project": { "volumes": { "edges": [volume(OTHER, STAGING)] } } });
    let root = |alias: &str| {
        format!(
            "{{ {alias}: project(id: \"p\") {{ volumes {{ edges {{ node {{ id {owner} }} }} }} }} }}"
        )
    };
    let documents = [
        edge(&format!("id: name {owner}")),
        edge(&format!("id: name id {owner}")),
        edge(&format!("id id: name {owner}")),
        edge(&format!("id: projectId {owner}")),
        edge(&format!("...on Volume {{ id: name }} {owner}")),
        edge(&format!("...F {owner}")) + " fragment F on Volume { id: name }",
        edge(&format!("id ...F {owner}")) + " fragment F on Volume { id: name }",
        edge(&format!("...on Project {{ id }} {owner}")),
        edge(&format!("id ...on Project {{ id }} {owner}")),
        edge(&format!("id @uppercase {owner}")),
        edge(&format!("... @mask {{ id }} {owner}")),
        edge(&format!("nothing id: nothing {owner}")),
        edge("id volumeInstances { edges { node { environmentId: name } } }"),
        edge("id volumeInstances { edges { node { environmentId: volumeId } } }"),
        edge("id volumeInstances { edges { node: cursor } }"),
        edge("id volumeInstances: project { edges { node { environmentId } } }"),
        edge(&format!("id {owner} volumeInstances(first: 1) {{ edges {{ node {{ id }} }} }}")),
        edge("name"),
        root("other").replace("other: ", "volumes: "),
        // Which fragment applies is not known from here.
        "{ domainStatus(id: \"d\", projectId: \"p\") { domain { ... on CustomDomain { id environmentId } } } }".to_owned(),
        "{ domainStatus(id: \"d\", projectId: \"p\") { domain { __typename id ... on ServiceDomain { environmentId } } } }".to_owned(),
        format!(
            "query @live {{ project(id: \"p\") {{ volumes {{ edges {{ node {{ id {owner} }} }} }} }} }}"
        ),
        format!(
            "subscription {{ project(id: \"p\") {{ volumes {{ edges {{ node {{ id {owner} }} }} }} }} }}"
        ),
    ];
    for document in documents {
        let mut data = data.clone();
        let domain = json!({ "__typename": "CustomDomain", "id": OTHER, "environmentId": STAGING });
        data["domainStatus"] = json!({ "domain": domain });
        data["volumes"] = data["project"].clone();
        let found = of_document(&document, &data);
        let named = found.iter().any(|line| line.contains("environment"));
        assert!(!named, "{document}\n{found:?}");
    }
}

#[test]
fn an_argument_names_an_environment_only_where_all_agree() {
    let below = "volumeInstances { edges { node { volume { id } } } }";
    let answer =
        json!({ "volumeInstances": { "edges": [{ "node": { "volume": { "id": OTHER } } }] } });
    let data = json!({ "environment": answer, "x": answer });
    let asked = |first: &str, second: &str| {
        format!(
            "{{ environment(id: \"{first}\") {{ {below} }} x: environment(id: \"{second}\") {{ {below} }} }}"
        )
    };
    assert_eq!(of_document(&asked(PRODUCTION, STAGING), &data), BTreeSet::new());
    let same = lines([in_environment(OTHER, PRODUCTION)]);
    assert_eq!(of_document(&asked(PRODUCTION, PRODUCTION), &data), same);
    // The answer is about another one than was asked for.
    let mut data = json!({ "environment": answer });
    data["environment"]["id"] = STAGING.into();
    let document = format!("{{ environment(id: \"{PRODUCTION}\") {{ id {below} }} }}");
    assert_eq!(of_document(&document, &data), BTreeSet::new());
    data["environment"]["id"] = PRODUCTION.to_ascii_uppercase().into();
    let upper = lines([in_environment(OTHER, &PRODUCTION.to_ascii_uppercase())]);
    assert_eq!(of_document(&document, &data), upper);
    // A variable is put in.
    let request = json!({
        "query": format!("query($e: String!) {{ environment(id: $e) {{ {below} }} }}"),
        "variables": { "e": PRODUCTION },
    });
    data["environment"].as_object_mut().unwrap().shift_remove("id");
    assert_eq!(of_request(&request, &json!({ "data": data }).to_string()), same);
}

#[test]
fn answers_that_are_not_what_was_asked_for_teach_nothing() {
    let document = "{ project(id: \"p\") { volumes { edges { node { id volumeInstances { edges { node { environmentId } } } } } } } }";
    let request = json!({ "query": document });
    let with = |node: &str| {
        format!("{{\"data\":{{\"project\":{{\"volumes\":{{\"edges\":[{{\"node\":{node}}}]}}}}}}}}")
    };
    let good = format!(
        "{{\"id\":\"{VOLUME}\",\"volumeInstances\":{{\"edges\":[{{\"node\":{{\"environmentId\":\"{STAGING}\"}}}}]}}}}"
    );
    let environment = in_environment(VOLUME, STAGING);
    assert!(of_request(&request, &with(&good)).contains(&environment));
    // Errors beside data are about what is null.
    let beside = with(&good).replacen('{', "{\"errors\":[{\"message\":\"x\"}],", 1);
    assert!(of_request(&request, &beside).contains(&environment));
    let deep = format!("{}{}", "[".repeat(200), "]".repeat(200));
    for answer in [
        with(&good.replace("\"id\":", "\"id\":\"other\",\"id\":")),
        with(&good.replace(&format!("\"{VOLUME}\""), "7")),
        with(&good.replace(&format!("\"{VOLUME}\""), &format!("[\"{VOLUME}\"]"))),
        with(&good.replace(&format!("\"{VOLUME}\""), "\"\"")),
        with(&good.replace(&format!("\"{VOLUME}\""), "\"a b\"")),
        with(&good.replace(&format!("\"{VOLUME}\""), "\"\u{202e}x\"")),
        with(&good.replace(VOLUME, &"x".repeat(LONGEST + 1))),
        with(&good.replace(&format!("\"{STAGING}\""), "null")),
        with(&good.replace(&format!("\"{STAGING}\""), "{\"id\":\"e\"}")),
        with(&good.replace("\"edges\"", "\"edge\"")),
        with("null"),
        with(&deep),
        format!("[{}]", with(&good)),
        format!("{} {{}}", with(&good)),
        with(&good).replace("\"data\"", "\"extensions\""),
        "{\"data\":null}".to_owned(),
        "{\"data\":[]}".to_owned(),
        String::new(),
    ] {
        let found = of_request(&request, &answer);
        assert!(!found.iter().any(|line| line.contains("environment")), "{answer}\n{found:?}");
    }
}

#[test]
fn a_batch_is_answered_in_order() {
    let ask = |name: &str| json!({ "query": format!("{{ environment(id: \"{name}\") {{ volumeInstances {{ edges {{ node {{ id }} }} }} }} }}") });
    let answer = |id: &str| json!({ "data": { "environment": { "volumeInstances": { "edges": [{ "node": { "id": id } }] } } } });
    let harmless = json!({ "query": "{ me { email } }" });
    let request = json!([ask("staging"), harmless, ask("production")]);
    let answers = json!([answer("one"), { "data": { "me": { "email": "x" } } }, answer("two")]);
    let fact = |id: &str, name: &str| format!("volume_instance {id} in environment {name}");
    let both = lines([fact("one", "staging"), fact("two", "production")]);
    assert_eq!(of_request(&request, &answers.to_string()), both);
    // One too few, or one answer for all: which is whose cannot be said.
    let short = json!([answer("one"), answer("two")]);
    assert_eq!(of_request(&request, &short.to_string()), BTreeSet::new());
    assert_eq!(of_request(&request, &answer("one").to_string()), BTreeSet::new());
    // Of several operations the named one is executed.
    let two = json!({
        "query": "query A { environment(id: \"a\") { volumeInstances { edges { node { id } } } } } query B { environment(id: \"b\") { volumeInstances { edges { node { id } } } } }",
        "operationName": "B",
    });
    assert_eq!(of_request(&two, &answer("one").to_string()), lines([fact("one", "b")]));
}

#[test]
fn what_can_teach_nothing_is_not_read_along() {
    for document in [
        "mutation { volumeDelete(volumeId: \"v\") }",
        "{ me { email } }",
        "{ project(id: \"p\") { name } }",
        "{ __schema { types { name } } }",
        "{ nobodyKnowsThis { id environmentId } }",
    ] {
        assert!(expected(&json!({ "query": document })).is_none(), "{document}");
    }
    // More than is traced, within what is judged.
    let many = "createdAt ".repeat(2_500);
    let document = format!(
        "{{ environment(id: \"e\") {{ {many} volumeInstances {{ edges {{ node {{ id }} }} }} }} }}"
    );
    assert!(expected(&json!({ "query": document })).is_none());
}

#[test]
fn one_answer_teaches_so_much() {
    let document = "{ environment(id: \"e\") { volumeInstances { edges { node { id } } } } }";
    let edges: Vec<_> =
        (0..MOST + 10).map(|at| json!({ "node": { "id": format!("i{at}") } })).collect();
    let data = json!({ "environment": { "volumeInstances": { "edges": edges } } });
    assert_eq!(of_document(document, &data).len(), MOST);
}
