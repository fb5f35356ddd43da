//! Ways around a verdict, by what they say rather than by how they are spelled.

use super::*;

const URL: &str = "https://backboard.railway.com/graphql/v2";

/// A call with a body of a type.
fn call(line: &str, kind: &str, body: &str) -> String {
    format!("{line}\nAuthorization: Bearer {ISSUED}\nContent-Type: {kind}\n\n{body}")
}

fn delete(volume: &str) -> String {
    format!("mutation {{ volumeDelete(volumeId: \"{volume}\") }}")
}

/// The rows: cases of the evasion table, the request, the verdict and its reason.
type Case = (&'static str, String, Word, &'static str);

fn expect_each(policy: &Policy, cases: &[Case]) {
    for (ids, request, word, reason) in cases {
        let (found, why, findings) = ruling(policy, request);
        let told = why.unwrap_or_default();
        assert_eq!(
            (found, told),
            (*word, *reason),
            "{ids}: {request:.400}\nfindings: {findings:?}"
        );
    }
}

#[test]
fn graphql_is_judged_by_what_is_executed() {
    use Word::{Allow, Deny, Hold};
    const OUT: &str = "credential_out_of_scope";
    let json = |value: serde_json::Value| {
        call(&format!("POST {URL}"), "application/json", &value.to_string())
    };
    let production = delete(PRODUCTION_VOLUME);
    let get = |query: &str| format!("GET {URL}?{query}\nAuthorization: Bearer {ISSUED}");
    let encoded =
        production.replace(' ', "%20").replace('"', "%22").replace('{', "%7B").replace('}', "%7D");
    let big: Vec<serde_json::Value> =
        (0..10_000).map(|_| serde_json::json!({"query": "{ a }"})).collect();
    let upload = |document: &str, map: &str| {
        let field = |name: &str, value: &str| {
            format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
        };
        let operations = serde_json::json!({"query": document, "variables": {"file": null}});
        let fields = [
            ("operations", operations.to_string()),
            ("map", map.to_owned()),
            ("0", "text".to_owned()),
        ];
        let fields: String = fields.iter().map(|(name, value)| field(name, value)).collect();
        format!("{fields}--b--")
    };
    let beside = |query: &str| {
        call(&format!("POST {URL}?{query}"), "application/json", "{\"query\":\"{ me { id } }\"}")
    };
    let cases: Vec<Case> = vec![
        ("J-01", json(serde_json::json!({"query": production, "operationName": null})), Deny, OUT),
        (
            "J-03",
            json(
                serde_json::json!({"query": format!("query Read {{ me {{ id }} }} {} ", production.replace("mutation", "mutation Write")), "operationName": "Read"}),
            ),
            Deny,
            OUT,
        ),
        (
            "J-03",
            json(
                serde_json::json!({"query": format!("query Read {{ me {{ id }} }} {}", production.replace("mutation", "mutation Write"))}),
            ),
            Deny,
            "unreadable",
        ),
        (
            "J-03",
            json(
                serde_json::json!({"query": "query Read { me { id } }", "operationName": "Other"}),
            ),
            Deny,
            "unreadable",
        ),
        (
            "J-04",
            call(
                &format!("POST {URL}?operationName=Write"),
                "application/json",
                "{\"query\":\"{ me { id } }\"}",
            ),
            Deny,
            "unreadable",
        ),
        (
            "J-04",
            call(
                &format!("POST {URL}?query={encoded}"),
                "application/json",
                "{\"query\":\"{ me { id } }\"}",
            ),
            Deny,
            "unreadable",
        ),
        (
            "J-04, J-12",
            call(
                &format!("POST {URL}?documentId=1"),
                "application/json",
                "{\"query\":\"{ me { id } }\"}",
            ),
            Deny,
            "unreadable",
        ),
        ("J-06", get(&format!("query={encoded}")), Deny, OUT),
        ("J-04", beside(&format!("query[]={encoded}")), Deny, "unreadable"),
        ("J-04", beside(&format!("%20query={encoded}")), Deny, "unreadable"),
        ("J-04", beside(&format!("a=1;query={encoded}")), Deny, "unreadable"),
        ("J-04", beside("q=me"), Allow, ""),
        ("J-06", get(&format!("query=%7Bme%7Bid%7D%7D&query={encoded}")), Deny, "unreadable"),
        ("J-06", get("query=%7Bme%7Bid%7D%7D"), Allow, ""),
        (
            "J-07",
            json(serde_json::json!([{"query": "{ me { id } }"}, {"query": production}])),
            Deny,
            OUT,
        ),
        ("J-07", json(serde_json::json!([[{"query": production}]])), Deny, "unreadable"),
        ("J-07", json(serde_json::Value::Array(big)), Deny, "unreadable"),
        (
            "J-12",
            json(
                serde_json::json!({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "ab"}}}),
            ),
            Deny,
            "unreadable",
        ),
        ("J-13", call(&format!("POST {URL}"), "application/graphql", &production), Deny, OUT),
        (
            "J-13",
            call(
                &format!("POST {URL}"),
                "application/graphql+json",
                &format!("{{\"query\":{}}}", serde_json::json!(production)),
            ),
            Deny,
            OUT,
        ),
        (
            "J-13",
            call(
                &format!("POST {URL}"),
                "text/plain",
                &format!("{{\"query\":{}}}", serde_json::json!(production)),
            ),
            Deny,
            OUT,
        ),
        (
            "J-13",
            call(
                &format!("POST {URL}"),
                "application/x-www-form-urlencoded",
                &format!("query={encoded}"),
            ),
            Deny,
            OUT,
        ),
        (
            "J-13",
            call(
                &format!("POST {URL}"),
                "multipart/form-data; boundary=b",
                &format!(
                    "--b\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{{\"query\":{}}}\r\n--b--",
                    serde_json::json!(production)
                ),
            ),
            Deny,
            "unreadable",
        ),
        (
            "J-13",
            call(
                &format!("POST {URL}"),
                "multipart/form-data; boundary=b",
                &upload(&production, "{\"0\":[\"variables.file\"]}"),
            ),
            Deny,
            OUT,
        ),
        (
            "J-13",
            call(
                &format!("POST {URL}"),
                "multipart/form-data; boundary=b",
                &upload(&production, "{\"0\":[\"query\"]}"),
            ),
            Deny,
            "unreadable",
        ),
        (
            "J-13",
            call(
                &format!("POST {URL}"),
                "multipart/form-data; boundary=b",
                &upload(&production, "{}"),
            ),
            Deny,
            "unreadable",
        ),
        (
            "J-12",
            json(
                serde_json::json!({"extensions": {"persistedQuery": {"version": 1, "sha256Hash": "0".repeat(64)}}}),
            ),
            Deny,
            "credential_out_of_scope",
        ),
        (
            "J-16",
            json(
                serde_json::json!({"query": format!("# {{ me }}\n,,mutation,,{{\r volumeDelete(volumeId:\"{PRODUCTION_VOLUME}\") #}}\n }}")}),
            ),
            Deny,
            OUT,
        ),
        ("J-16", json(serde_json::json!({"query": "\u{feff}{ me { id } }"})), Allow, ""),
        (
            "J-16",
            json(
                serde_json::json!({"query": format!("{}id{}", "{ me ".repeat(10_000), "}".repeat(10_000))}),
            ),
            Deny,
            "unreadable",
        ),
        (
            "J-18",
            json(
                serde_json::json!({"query": format!("{production} extend type Query {{ a: Int }}")}),
            ),
            Deny,
            "unreadable",
        ),
        ("J-19", json(serde_json::json!({"query": "{ __schema { types { name } } }"})), Allow, ""),
        ("J-21", graphql(ISSUED, "mutation { inventedHarmless }"), Deny, "credential_out_of_scope"),
        (
            "J-21",
            graphql(
                ISSUED,
                &format!(
                    "mutation {{ variableCollectionUpsert(input: {{ environmentId: \"{STAGING}\", projectId: \"p\", replace: true, variables: {{}} }}) }}"
                ),
            ),
            Hold,
            "destructive",
        ),
        ("J-22", json(serde_json::json!({"query": production})).replace("/v2", "/v2/"), Deny, OUT),
        (
            "J-22",
            call(
                "POST https://backboard.railway.com/Graphql/v2",
                "application/json",
                "{\"query\":\"{ me { id } }\"}",
            ),
            Deny,
            "unknown_operation",
        ),
        (
            "J-22",
            call(
                "POST https://backboard.railway.com/api/graphql",
                "application/json",
                "{\"query\":\"{ me { id } }\"}",
            ),
            Deny,
            "unknown_operation",
        ),
        (
            "J-25",
            graphql(ISSUED, "query { _entities(representations: []) { __typename } }"),
            Deny,
            "credential_out_of_scope",
        ),
        (
            "J-27",
            graphql(
                ISSUED,
                &format!(
                    "mutation {{ a: volumeDelete(volumeId: \"{STAGING_VOLUME}\") b: volumeDelete(volumeId: \"{PRODUCTION_VOLUME}\") }}"
                ),
            ),
            Deny,
            OUT,
        ),
        (
            "J-10",
            graphql(
                ISSUED,
                &format!(
                    "mutation {{ volumeDelete(volumeId: \"{PRODUCTION_VOLUME}\") @include(if: false) @defer }}"
                ),
            ),
            Deny,
            OUT,
        ),
        ("K-24", graphql(ISSUED, "mutation { apiTokenCreate(input: { name: \"x\" }) }"), Deny, OUT),
    ];
    expect_each(&policy(|text| text), &cases);
}

#[test]
fn what_carries_calls_or_destroys_by_its_name_is_not_meant_by_a_wildcard() {
    use Word::{Allow, Deny, Hold};
    let api = "https://api.staging.railway.app";
    let wildcard = policy(|text| text.replace("- allow: POST /deployments", "- allow: \"* /**\""));
    let part =
        "--b\r\nContent-Type: application/http\r\n\r\nDELETE /volumes/7 HTTP/1.1\r\n\r\n--b--";
    let post = |path: &str, kind: &str, body: &str| {
        format!("POST {api}{path}\nContent-Type: {kind}\n\n{body}")
    };
    let cases: Vec<Case> = vec![
        ("H-19", post("/batch", "application/json", "[]"), Hold, "destructive"),
        (
            "H-19",
            post("/v1.0/$batch", "application/json", "{\"requests\":[]}"),
            Hold,
            "destructive",
        ),
        ("H-19", post("/_bulk", "application/x-ndjson", "{}"), Hold, "destructive"),
        ("H-19", post("/x/v1:batch", "application/json", "{}"), Hold, "destructive"),
        ("H-19", post("/upload", "multipart/mixed; boundary=b", part), Hold, "destructive"),
        ("H-12", post("/volumes/7:delete", "application/json", "{}"), Hold, "destructive"),
        ("H-12", post("/bucket?delete", "application/xml", "<Delete/>"), Hold, "destructive"),
        ("H-12", format!("GET {api}/batch"), Allow, ""),
        ("H-19", post("/-/npm/v1/security/advisories/bulk", "application/json", "{}"), Allow, ""),
        ("H-19", post("/o/r.git/info/lfs/objects/batch", "application/json", "{}"), Allow, ""),
        ("H-21", format!("PROPFIND {api}/x"), Hold, "unknown_operation"),
        ("H-22", format!("TRACE {api}/x"), Deny, "malformed"),
        ("H-18", post("/x", "application/json", "{\"_method\":\"DELETE\"}"), Deny, "malformed"),
        ("R-07", "GET http://api.staging.railway.app/x".to_owned(), Deny, "out_of_scope"),
    ];
    expect_each(&wildcard, &cases);
}

#[test]
fn a_credential_is_foreign_in_whatever_form_it_comes() {
    use Word::{Allow, Deny};
    const REASON: &str = "foreign_credential";
    let docs = "https://docs.railway.com/x";
    let with = |line: &str| format!("GET {docs}\n{line}");
    let mut cases: Vec<Case> = vec![
        (
            "K-07",
            format!("GET {docs}?X-Amz-Signature=abc&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE/x"),
            Deny,
            REASON,
        ),
        ("K-07", format!("GET {docs}?sig=abc"), Deny, REASON),
        (
            "K-13",
            with(
                "Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20261121/us-east-1/s3/aws4_request, SignedHeaders=host, Signature=ab",
            ),
            Deny,
            REASON,
        ),
        ("K-31", with("Accept: */*"), Allow, ""),
    ];
    for value in [
        "bearer x1234",
        "BEARER x1234",
        "Bearer=x1234",
        "token x1234",
        "Token token=\"x1234\"",
        "x1234",
        "Negotiate YII",
        "Digest username=\"a\"",
        "Hawk id=\"a\"",
        "DPoP x1234",
        "ApiKey x1234",
        "SharedAccessSignature sr=a",
        "GoogleLogin auth=x1234",
        "MAC id=\"a\"",
    ] {
        cases.push(("K-03", with(&format!("Authorization: {value}")), Deny, REASON));
    }
    for name in [
        "X-Api-Key",
        "X-Auth-Token",
        "PRIVATE-TOKEN",
        "X-Vault-Token",
        "X-GitHub-Token",
        "Api-Key",
        "Ocp-Apim-Subscription-Key",
        "X-Goog-Api-Key",
        "X-Shopify-Access-Token",
        "Cf-Access-Client-Secret",
        "Project-Access-Token",
        "DD-API-KEY",
        "X-Authorization",
        "X-Original-Authorization",
        "X-Amz-Security-Token",
    ] {
        cases.push(("K-09, K-10", with(&format!("{name}: x1234")), Deny, REASON));
    }
    expect_each(&policy(|text| text), &cases);
}
