//! Documents in every spelling, and what they leave of the state.

use super::graphql::execute;
use super::state::{
    ACCOUNT_TOKEN, Authority, DOMAINS_TOKEN, PRODUCTION_ENVIRONMENT, PRODUCTION_VOLUME, PROJECT,
    STAGING_ENVIRONMENT, STAGING_TOKEN, STAGING_VOLUME, State,
};
use serde_json::{Value, json};

fn run(state: &mut State, token: &str, query: &str, variables: &Value) -> (u16, Value) {
    let request = json!({"query": query, "variables": variables});
    execute(state, Authority::of(token), &request)
}

fn message(answer: &Value) -> &str {
    answer.pointer("/errors/0/message").and_then(Value::as_str).unwrap_or_default()
}

#[test]
fn every_spelling_of_a_deletion_deletes() {
    let by_variable = json!({"id": PRODUCTION_VOLUME});
    let inline = format!("mutation {{ volumeDelete(volumeId: \"{PRODUCTION_VOLUME}\") }}");
    let by_default = format!(
        "mutation($id: String! = \"{PRODUCTION_VOLUME}\") {{ ok: volumeDelete(volumeId: $id) }}"
    );
    for (query, variables) in [
        (inline.as_str(), json!({})),
        (by_default.as_str(), Value::Null),
        ("mutation V($id: String!) { volumeDelete(volumeId: $id) }", by_variable.clone()),
        (
            "mutation V($id: String!) { ...D } fragment D on Mutation { volumeDelete(volumeId: $id) }",
            by_variable.clone(),
        ),
        (
            "mutation V($id: String!) { ... on Mutation { ... { me: volumeDelete(volumeId: $id) } } }",
            by_variable.clone(),
        ),
        (
            "mutation V($id: String!) { volumeDelete(volumeId: $id) volumeDelete(volumeId: $id) }",
            by_variable,
        ),
    ] {
        let mut state = State::seeded();
        let (status, answer) = run(&mut state, DOMAINS_TOKEN, query, &variables);
        assert_eq!((status, answer.get("errors")), (200, None), "{query}");
        assert_eq!(state.deletions, [PRODUCTION_VOLUME], "{query}");
        assert!(state.volume(PRODUCTION_VOLUME).is_none(), "{query}");
        assert!(state.volume(STAGING_VOLUME).is_some(), "{query}");
    }
}

#[test]
fn what_is_refused_changes_nothing() {
    let delete = "volumeDelete(volumeId: $id)";
    for (token, query, status, expected) in [
        ("none", format!("mutation($id: String!) {{ {delete} }}"), 200, "Not Authorized"),
        (STAGING_TOKEN, format!("mutation($id: String!) {{ {delete} }}"), 200, "Not Authorized"),
        (ACCOUNT_TOKEN, format!("mutation($id: String!) {{ {delete} nope }}"), 400, "Cannot query"),
        (ACCOUNT_TOKEN, format!("mutation($id: String!) {{ {delete} {{ id }} }}"), 400, "must not"),
        (ACCOUNT_TOKEN, format!("mutation {{ {delete} }}"), 400, "is not defined"),
        (ACCOUNT_TOKEN, format!("query($id: String!) {{ {delete} }}"), 400, "Cannot query"),
        (ACCOUNT_TOKEN, format!("mutation($x: String!) {{ {delete} }}"), 400, "was not provided"),
        (ACCOUNT_TOKEN, "mutation { volumeDelete }".into(), 400, "is required"),
        (ACCOUNT_TOKEN, "mutation { volumeDelete(volumeId: 7) }".into(), 400, "cannot represent"),
        (ACCOUNT_TOKEN, format!("mutation($id: String!) {{ {delete} @skip(if: true) }}"), 200, ""),
        (ACCOUNT_TOKEN, format!("mutation($id: String!) {{ {delete} ...N }}"), 400, "Unknown"),
        (ACCOUNT_TOKEN, format!("mutation($id: String!) {{ {delete} "), 400, "Syntax Error"),
        (
            ACCOUNT_TOKEN,
            format!("mutation A($id: String!) {{ {delete} }} {{ me {{ id }} }}"),
            400,
            "Must",
        ),
    ] {
        let mut state = State::seeded();
        let answer = run(&mut state, token, &query, &json!({"id": PRODUCTION_VOLUME}));
        assert_eq!(answer.0, status, "{query}: {}", answer.1);
        assert!(message(&answer.1).starts_with(expected) || message(&answer.1).contains(expected));
        assert!(!expected.is_empty() || answer.1.get("errors").is_none(), "{}", answer.1);
        assert!(state.volume(PRODUCTION_VOLUME).is_some(), "{query}");
    }
}

#[test]
fn a_failed_mutation_ends_the_rest() {
    let mut state = State::seeded();
    let query = format!(
        "mutation {{ a: volumeDelete(volumeId: \"{STAGING_VOLUME}\") b: volumeDelete(volumeId: \"x\") \
         c: volumeDelete(volumeId: \"{PRODUCTION_VOLUME}\") }}"
    );
    let (status, answer) = run(&mut state, ACCOUNT_TOKEN, &query, &json!({}));
    assert_eq!((status, message(&answer)), (200, "Volume not found"));
    assert_eq!(answer.pointer("/errors/0/path"), Some(&json!(["b"])));
    assert_eq!(state.deletions, [STAGING_VOLUME]);
}

#[test]
fn the_project_is_read_through_fragments_and_pages() {
    let query = "query P($id: String!, $first: Int = 1) { project(id: $id) { ...All } }
        fragment All on Project { __typename environments(first: $first) { edges { node {
            ... on Environment { name } ... on Node { id } __typename @include(if: false) } }
            pageInfo { hasNextPage endCursor } } }";
    let mut state = State::seeded();
    let (_, answer) = run(&mut state, STAGING_TOKEN, query, &json!({"id": PROJECT}));
    let node = json!({"name": "staging", "id": STAGING_ENVIRONMENT});
    let page = json!({"hasNextPage": true, "endCursor": "0"});
    let environments = json!({"edges": [{"node": node}], "pageInfo": page});
    let project = json!({"__typename": "Project", "environments": environments});
    assert_eq!(answer, json!({"data": {"project": project}}));
}

#[test]
fn a_project_token_covers_its_environment_only() {
    let read = |field: &str, environment: &str| {
        let arguments = match field {
            "variables" => {
                format!("projectId: \"{PROJECT}\", environmentId: \"{environment}\"")
            }
            _ => format!("id: \"{environment}\""),
        };
        let asked = if field == "environment" { "{ name }" } else { "" };
        let query = format!("{{ {field}({arguments}) {asked} }}");
        let (_, answer) = run(&mut State::seeded(), STAGING_TOKEN, &query, &json!({}));
        message(&answer).to_owned()
    };
    for field in ["environment", "variables"] {
        assert_eq!(read(field, STAGING_ENVIRONMENT), "");
        assert_eq!(read(field, PRODUCTION_ENVIRONMENT), "Not Authorized");
    }
}

#[test]
fn a_fragment_that_reaches_itself_is_refused() {
    let query = "{ me { workspaces { ...W } } } fragment W on Workspace
        { projects { edges { node { workspace { ...W } } } } }";
    let (status, answer) = run(&mut State::seeded(), ACCOUNT_TOKEN, query, &json!({}));
    assert_eq!((status, message(&answer)), (400, "The document is too deep."));
}

#[test]
fn every_mutation_of_the_schema_has_an_effect() {
    let mut state = State::seeded();
    let instance = "eeeeeeee-0000-4000-8000-000000000001";
    for (call, left) in [
        (
            format!(
                "volumeInstanceBackupCreate(volumeInstanceId: \"{instance}\", name: \"x\") {{ workflowId }}"
            ),
            2,
        ),
        (
            format!(
                "volumeInstanceBackupDelete(volumeInstanceId: \"{instance}\", \
                 volumeInstanceBackupId: \"ffffffff-0000-4000-8000-000000000001\") {{ workflowId }}"
            ),
            1,
        ),
        (
            format!(
                "volumeUpdate(volumeId: \"{STAGING_VOLUME}\", input: {{name: \"new\"}}) {{ name }}"
            ),
            1,
        ),
        ("deploymentRestart(id: \"77777777-0000-4000-8000-000000000001\")".into(), 1),
        (
            format!(
                "serviceInstanceRedeploy(environmentId: \"{STAGING_ENVIRONMENT}\", \
                 serviceId: \"cccccccc-0000-4000-8000-000000000001\")"
            ),
            1,
        ),
        (
            format!(
                "variableUpsert(input: {{projectId: \"{PROJECT}\", environmentId: \
                 \"{STAGING_ENVIRONMENT}\", name: \"A\", value: \"1\"}})"
            ),
            1,
        ),
        (
            format!(
                "volumeCreate(input: {{projectId: \"{PROJECT}\", environmentId: \
                 \"{STAGING_ENVIRONMENT}\", mountPath: \"/data\"}}) {{ volumeInstances {{ edges {{ \
                 node {{ mountPath serviceId }} }} }} }}"
            ),
            1,
        ),
        (format!("environmentDelete(id: \"{STAGING_ENVIRONMENT}\")"), 0),
        (format!("projectDelete(id: \"{PROJECT}\")"), 0),
    ] {
        let query = format!("mutation {{ {call} }}");
        let (_, answer) = run(&mut state, ACCOUNT_TOKEN, &query, &json!({}));
        assert_eq!(answer.get("errors"), None, "{query}");
        let backups = state.volume(STAGING_VOLUME).map_or(0, |volume| volume.backups.len());
        assert_eq!(backups, left, "{query}");
    }
    assert!(!state.project && state.volumes.is_empty() && state.environments.is_empty());
}
