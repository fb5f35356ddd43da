//! Whose a credential in a body is: OAuth's members, forms, the top of JSON, multipart fields and GraphQL
//! arguments, through the proxy.

use super::{ELSEWHERE, FOREIGN, HERE, filled, origin};
use crate::support::Gate;
use crate::support::client::{Client, Got, full};
use crate::support::mock::{Options, STAGING_TOKEN};
use crate::support::origin::Origin;
use crate::support::policy::Edit;

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const PARTS: &str = "multipart/form-data; boundary=b";

/// The slot that is told, the type of the body, and the body with `TOKEN` for the secret.
const GRID: &[(&str, &str, &str)] = &[
    ("body token", FORM, "channel=C1&token=TOKEN"),
    ("body token", FORM, "token=PERCENT(TOKEN)"),
    ("body token", FORM, "t%6Fken=TOKEN"),
    ("body token", FORM, "a=1;token=TOKEN"),
    ("body token", FORM, "{\"token\":\"TOKEN\"}"),
    ("body authorization", FORM, "authorization=Bearer+TOKEN"),
    ("body authorization", FORM, "authorization=Basic+PADLESS(user:TOKEN)"),
    ("body auth token", FORM, "auth[token]=TOKEN"),
    ("body x-amz-credential", FORM, "X-Amz-Credential=TOKEN/1/r/s3/aws4_request"),
    ("body awsaccesskeyid", FORM, "AWSAccessKeyId=TOKEN&Signature=x"),
    ("body client_secret", FORM, "grant_type=client_credentials&client_secret=TOKEN"),
    ("body refresh_token", FORM, "grant_type=refresh_token&refresh_token=TOKEN"),
    ("body assertion", FORM, "grant_type=x&assertion=TOKEN"),
    ("body client_assertion", FORM, "client_assertion=TOKEN"),
    ("body subject_token", FORM, "subject_token=TOKEN"),
    ("body password", FORM, "username=u&password=TOKEN"),
    ("body token", JSON, "{\"token\":\"TOKEN\"}"),
    ("body token", JSON, "{\"tok\\u0065n\":\"Bearer TOKEN\"}"),
    ("body apikey", JSON, "{\"a\":[1],\"apiKey\":\"TOKEN\"}"),
    ("body credentials password", JSON, "{\"credentials\":{\"password\":\"TOKEN\"}}"),
    ("body secret_id", JSON, "{\"role_id\":\"r\",\"secret_id\":\"TOKEN\"}"),
    (
        "body api_key",
        PARTS,
        "--b\r\nContent-Disposition: form-data; name=\"api_key\"\r\n\r\nTOKEN\r\n--b--\r\n",
    ),
];

/// A proxy under which the agent's credential is issued for one host, and not for the other.
async fn gate(origin: &Origin) -> Gate {
    Gate::with(Options::default(), |policy| {
        let mut edit = Edit(policy)
            .replace(
                "    resources: [railway-staging]\n",
                "    resources: [railway-staging, here]\n",
            )
            .root(&origin.roots());
        for (name, host) in [("here", HERE), ("elsewhere", ELSEWHERE)] {
            let lines = format!("hosts: [{host}]\nrules: [ {{ allow: \"* /**\" }} ]");
            edit = edit.resolve(&format!("{host}:443"), origin.address).resource(name, &lines);
        }
        edit.0
    })
    .await
}

async fn post(gate: &Gate, host: &str, media: &str, body: String) -> Got {
    let mut client = Client::http1(gate.running(), host).await;
    let request = client.request("POST", "/x").header("content-type", media);
    client.exchange(request.body(full(body)).unwrap()).await
}

/// K-12, K-13, K-15.
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_known_in_every_slot_of_a_body() {
    let origin = origin().await;
    let gate = gate(&origin).await;
    for (slot, media, body) in GRID {
        let got = post(&gate, HERE, media, filled(body, STAGING_TOKEN)).await;
        assert_eq!((got.status.as_u16(), &got.body[..]), (200, &b"here"[..]), "{body}: {got:?}");
        let before = origin.bytes_received();
        let refused = [
            (HERE, FOREIGN, "foreign_credential"),
            (ELSEWHERE, FOREIGN, "foreign_credential"),
            (ELSEWHERE, STAGING_TOKEN, "credential_out_of_scope"),
        ];
        for (host, secret, reason) in refused {
            let got = post(&gate, host, media, filled(body, secret)).await;
            assert_eq!(got.status, 403, "{body} at {host}: {got:?}");
            assert_eq!(got.reason(), reason, "{body} at {host}: {got:?}");
            assert_eq!(got.json()["findings"][0]["slot"], *slot, "{body}: {got:?}");
            assert!(!String::from_utf8_lossy(&got.body).contains(secret), "{body}: {got:?}");
        }
        assert_eq!(origin.bytes_received(), before, "{body}: what is refused does not leave");
    }
    let log = gate.running().log() + &format!("{:?}", gate.records());
    for secret in [STAGING_TOKEN, FOREIGN] {
        assert!(!log.contains(secret), "no value is written");
    }
}

/// What such a body says beside what was issued.
#[tokio::test(flavor = "multi_thread")]
async fn everyday_bodies_pass_and_what_rides_along_does_not() {
    let origin = origin().await;
    let gate = gate(&origin).await;
    for (media, body) in [
        (FORM, "amount=5&card[token]=tok_visa&source=tok_visa"),
        (FORM, "page_token=abc&csrf_token=x&token_type=bearer&max_tokens=5"),
        (JSON, "{\"max_tokens\":5,\"messages\":[{\"content\":\"my token\",\"token\":\"x\"}]}"),
        (JSON, "{\"name\":\"web\",\"config\":{\"secret\":\"s\",\"url\":\"https://a.test\"}}"),
        (JSON, "{\"user\":{\"name\":\"u\",\"password\":\"data\"},\"token\":null}"),
        (JSON, "[1,2,3]"),
        (JSON, "{\"index\":{}}\n{\"name\":\"web\"}\n"),
    ] {
        let got = post(&gate, HERE, media, body.to_owned()).await;
        assert_eq!(got.status, 200, "{body}: {got:?}");
    }
    let before = origin.bytes_received();
    for body in [
        format!("client_secret={STAGING_TOKEN}&refresh_token={FOREIGN}"),
        format!("token={STAGING_TOKEN}&token={FOREIGN}"),
        format!("token={STAGING_TOKEN};token={FOREIGN}"),
    ] {
        let got = post(&gate, HERE, FORM, body).await;
        assert_eq!((got.status.as_u16(), &*got.reason()), (403, "foreign_credential"), "{got:?}");
    }
    // What servers read in two ways is no way around it.
    for body in [
        format!("{{\"a\":1}} {{\"token\":\"{FOREIGN}\"}}"),
        format!("{{\"token\":\"{STAGING_TOKEN}\",\"token\":\"{FOREIGN}\"}}"),
        format!("{{\"token\":\"{FOREIGN}\",}}"),
    ] {
        let got = post(&gate, HERE, JSON, body).await;
        assert_eq!((got.status.as_u16(), &*got.reason()), (403, "unreadable"), "{got:?}");
    }
    assert_eq!(origin.bytes_received(), before);
}

/// An argument that says it is a credential is one, and what an operation stores is not.
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_in_an_argument_is_known() {
    let gate = Gate::start().await;
    let asked = |query: &str, variables: &str| {
        let variables: serde_json::Value = serde_json::from_str(variables).unwrap();
        gate.graphql(STAGING_TOKEN, &serde_json::json!({ "query": query, "variables": variables }))
    };
    let before = gate.mock.requests().len();
    for (query, variables) in [
        ("mutation($t: String!) { x(apiKey: $t) }", format!("{{\"t\":\"{FOREIGN}\"}}")),
        (
            "mutation($i: I!) { x(input: $i) }",
            format!("{{\"i\":{{\"clientSecret\":\"{FOREIGN}\"}}}}"),
        ),
        (&*format!("mutation {{ x(input: {{ password: \"{FOREIGN}\" }}) }}"), "{}".to_owned()),
    ] {
        let answer = asked(query, &variables);
        assert_eq!(answer.reason(), "foreign_credential", "{query}: {answer:?}");
    }
    assert_eq!(gate.mock.requests().len(), before, "what is refused does not leave");
    let stored = "mutation { variableUpsert(input: { projectId: \"p\", environmentId: \"e\", name: \"TOKEN\", value: \"v\" }) }";
    let answer = asked(stored, "{}");
    assert!(!answer.body.contains("foreign_credential"), "{answer:?}");
}
