//! Coded bodies where a catalog's operations are judged: the verdict is that of what they say.

use super::wire::{gzip, zlib};
use crate::support::mock::{PRODUCTION_VOLUME, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::{FOREIGN, Gate, delete_volume};

/// A GraphQL call with a coded body.
fn coded(gate: &Gate, token: &str, coding: &str, body: &[u8]) -> (u16, String) {
    let file = gate.folder.path().join("body");
    std::fs::write(&file, body).unwrap();
    let (data, authorization, coding) = (
        format!("@{}", file.display()),
        format!("Authorization: Bearer {token}"),
        format!("Content-Encoding: {coding}"),
    );
    let kind = "Content-Type: application/json";
    let url = "https://backboard.railway.com/graphql/v2";
    let arguments = [url, "-H", kind, "-H", &authorization, "-H", &coding, "--data-binary", &data];
    let answer = gate.curl(&arguments);
    let reason = serde_json::from_str(&answer.body)
        .map_or(String::new(), |value: serde_json::Value| {
            value["reason"].as_str().unwrap_or_default().to_owned()
        });
    (answer.status, reason)
}

/// I-03, I-05, I-06, I-17, I-18.
#[tokio::test(flavor = "multi_thread")]
async fn a_coding_hides_nothing() {
    let gate = Gate::with(crate::support::mock::Options::default(), |policy| {
        policy.replace("  wait: 20s", "  wait: 0s")
    })
    .await;
    let call = |volume: &str| delete_volume(volume).to_string().into_bytes();
    let (production, staging) = (call(PRODUCTION_VOLUME), call(STAGING_VOLUME));
    let bomb =
        gzip(&[b"{\"query\":\"{ me { id } }\",\"x\":\"".to_vec(), vec![b'a'; 8 << 20]].concat());
    let cases = [
        (STAGING_TOKEN, "gzip", gzip(&production), 403, "credential_out_of_scope"),
        (STAGING_TOKEN, "deflate", zlib(&production), 403, "credential_out_of_scope"),
        (STAGING_TOKEN, "deflate, gzip", gzip(&zlib(&production)), 403, "credential_out_of_scope"),
        (FOREIGN, "gzip", gzip(&staging), 403, "foreign_credential"),
        (STAGING_TOKEN, "gzip", gzip(&staging), 403, "destructive"),
        (STAGING_TOKEN, "gzip", production.clone(), 403, "unreadable"),
        (STAGING_TOKEN, "identity, aws-chunked", production.clone(), 403, "unreadable"),
        (STAGING_TOKEN, "gzip", bomb, 413, "unreadable"),
    ];
    for (token, coding, body, status, reason) in cases {
        assert_eq!(coded(&gate, token, coding, &body), (status, reason.to_owned()), "{coding}");
        assert_eq!(gate.mock.bytes_received(), 0, "{coding}");
    }
    let read = br#"{"query":"query { me { email } }"}"#;
    assert_eq!(coded(&gate, STAGING_TOKEN, "gzip", &gzip(read)).0, 200);
}
