//! Whose a credential is, whatever slot it stands in: slots by schemes by encodings, through the proxy.

mod bodies;

use crate::support::Gate;
use crate::support::client::{Client, Got, empty};
use crate::support::mock::{Options, STAGING_TOKEN};
use crate::support::origin::{Identity, Origin, text};
use crate::support::policy::Edit;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use std::fmt::Write as _;

/// One that nobody was issued.
const FOREIGN: &str = "0badc0de-0000-4000-8000-00000000dead";
/// Where the agent's credential is issued for, and where it is not.
const HERE: &str = "here.example";
const ELSEWHERE: &str = "elsewhere.example";

/// Where a secret stands: the slot that is told, and the request with `TOKEN` for the secret,
/// `BASIC(…)` for base64, `PADLESS(…)` and `URLSAFE(…)` for its other forms, `PERCENT(…)` for escapes.
const GRID: &[(&str, Slot)] = &[
    ("header authorization", Slot::Header("Authorization", "Bearer TOKEN")),
    ("header authorization", Slot::Header("Authorization", "bearer TOKEN")),
    ("header authorization", Slot::Header("Authorization", "BEARER   TOKEN")),
    ("header authorization", Slot::Header("Authorization", "Bearer\tTOKEN")),
    ("header authorization", Slot::Header("Authorization", "TOKEN")),
    ("header authorization", Slot::Header("Authorization", "token TOKEN")),
    ("header authorization", Slot::Header("Authorization", "Token token=\"TOKEN\"")),
    ("header authorization", Slot::Header("Authorization", "Token token=TOKEN")),
    ("header authorization", Slot::Header("Authorization", "ApiKey TOKEN")),
    ("header authorization", Slot::Header("Authorization", "Bot TOKEN")),
    ("header authorization", Slot::Header("Authorization", "DPoP TOKEN")),
    ("header authorization", Slot::Header("Authorization", "Basic BASIC(user:TOKEN)")),
    ("header authorization", Slot::Header("Authorization", "Basic BASIC(:TOKEN)")),
    ("header authorization", Slot::Header("Authorization", "Basic BASIC(TOKEN:)")),
    ("header authorization", Slot::Header("Authorization", "Basic BASIC(TOKEN:x-oauth-basic)")),
    ("header authorization", Slot::Header("Authorization", "basic PADLESS(user:TOKEN)")),
    ("header authorization", Slot::Header("Authorization", "Basic URLSAFE(us??er:TOKEN)")),
    (
        "header authorization",
        Slot::Header(
            "Authorization",
            "AWS4-HMAC-SHA256 Credential=TOKEN/1/r/s/aws4_request, Signature=fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024",
        ),
    ),
    (
        "header authorization",
        Slot::Header(
            "Authorization",
            "GOOG4-HMAC-SHA256 Credential=TOKEN/1/r/s/goog4_request, Signature=fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024",
        ),
    ),
    (
        "header authorization",
        Slot::Header("Authorization", "AWS TOKEN:frJIUN8DYpKDtOLCwo//yllqDzg="),
    ),
    (
        "header authorization",
        Slot::Header("Authorization", "SharedKey TOKEN:frJIUN8DYpKDtOLCwo//yllqDzg="),
    ),
    ("header authorization", Slot::Header("Authorization", "Basic BASIC(Basic BASIC(user:TOKEN))")),
    ("header authorization", Slot::Header("Authorization", "Basic BASIC(BASIC(user:TOKEN))")),
    ("header authorization", Slot::Header("Authorization", "Bearer PERCENT(TOKEN)")),
    ("header authorization", Slot::Header("Authorization", "BASIC(Bearer TOKEN)")),
    ("query token", Slot::Query("token=Bearer+TOKEN")),
    ("header x-api-key", Slot::Header("X-Api-Key", "TOKEN")),
    ("header api-key", Slot::Header("Api-Key", "TOKEN")),
    ("header private-token", Slot::Header("PRIVATE-TOKEN", "TOKEN")),
    ("header x-vault-token", Slot::Header("X-Vault-Token", "TOKEN")),
    ("header x-goog-api-key", Slot::Header("X-Goog-Api-Key", "TOKEN")),
    ("header project-access-token", Slot::Header("Project-Access-Token", "TOKEN")),
    ("header x-acme-secret", Slot::Header("X-Acme-Secret", "TOKEN")),
    ("header x-authorisation", Slot::Header("X-Authorisation", "TOKEN")),
    ("header x-original-authorization", Slot::Header("X-Original-Authorization", "Bearer TOKEN")),
    ("header x-thing", Slot::Header("X-Thing", "Bearer TOKEN")),
    ("header x-thing", Slot::Header("X-Thing", "Basic BASIC(user:TOKEN)")),
    ("header referer", Slot::Header("Referer", "https://user:TOKEN@git.example/x")),
    ("header referer", Slot::Header("Referer", "https://TOKEN@git.example/x")),
    ("cookie", Slot::Header("Cookie", "theme=TOKEN")),
    ("query access_token", Slot::Query("access_token=TOKEN")),
    ("query api_key", Slot::Query("a=b&api_key=TOKEN")),
    ("query token[]", Slot::Query("token[]=TOKEN")),
    ("query private_token", Slot::Query("Private_Token=TOKEN")),
    ("query key", Slot::Query("key=PERCENT(TOKEN)")),
    ("query auth", Slot::Query("a=1;auth=TOKEN")),
    ("query url", Slot::Query("url=https://user:TOKEN@git.example/")),
    (
        "query x-amz-credential",
        Slot::Query(
            "X-Amz-Credential=TOKEN/1/r/s/aws4_request&X-Amz-Signature=fe5f80f77d5fa3beca038a248ff027d0445342fe2855ddc963176630326f1024",
        ),
    ),
    (
        "query awsaccesskeyid",
        Slot::Query(
            "AWSAccessKeyId=TOKEN&Signature=PERCENT(frJIUN8DYpKDtOLCwo//yllqDzg=)&Expires=1",
        ),
    ),
];

#[derive(Clone, Copy, Debug)]
enum Slot {
    Header(&'static str, &'static str),
    Query(&'static str),
}

/// A template with a secret in it.
fn filled(template: &str, secret: &str) -> String {
    let mut out = template.replace("TOKEN", secret);
    let percent = |text: &str| {
        text.bytes().fold(String::new(), |mut out, byte| {
            write!(out, "%{byte:02x}").unwrap();
            out
        })
    };
    type Form<'a> = &'a dyn Fn(&str) -> String;
    let forms: [(&str, Form<'_>); 4] = [
        ("BASIC(", &|text| STANDARD.encode(text)),
        ("PADLESS(", &|text| STANDARD_NO_PAD.encode(text)),
        ("URLSAFE(", &|text| URL_SAFE.encode(text)),
        ("PERCENT(", &percent),
    ];
    // The innermost first.
    let last = |out: &str| {
        let found = forms.iter().filter_map(|(mark, form)| Some((out.rfind(mark)?, *mark, *form)));
        found.max_by_key(|(at, ..)| *at)
    };
    while let Some((at, mark, form)) = last(&out) {
        let (inside, behind) = out[at + mark.len()..].split_once(')').unwrap();
        out = format!("{}{}{behind}", &out[..at], form(inside));
    }
    out
}

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
            let lines = format!("hosts: [{host}]\nrules: [ {{ allow: GET /** }} ]");
            edit = edit.resolve(&format!("{host}:443"), origin.address).resource(name, &lines);
        }
        edit.0
    })
    .await
}

async fn origin() -> Origin {
    Origin::http(Identity::named(&[HERE, ELSEWHERE]), |_| async { text("here") }).await
}

async fn call(client: &mut Client, slot: Slot, secret: &str) -> Got {
    let request = match slot {
        Slot::Header(name, value) => client.request("GET", "/").header(name, filled(value, secret)),
        Slot::Query(query) => client.request("GET", &format!("/?{}", filled(query, secret))),
    };
    client.exchange(request.body(empty()).unwrap()).await
}

/// K-01, K-03, K-06, K-07, K-09, K-13.
#[tokio::test(flavor = "multi_thread")]
async fn a_credential_is_known_in_every_slot_scheme_and_encoding() {
    let origin = origin().await;
    let gate = gate(&origin).await;
    for (slot, at) in GRID {
        let mut here = Client::http1(gate.running(), HERE).await;
        let got = call(&mut here, *at, STAGING_TOKEN).await;
        assert_eq!((got.status.as_u16(), &got.body[..]), (200, &b"here"[..]), "{at:?}: {got:?}");
        let before = origin.bytes_received();
        let refused = [
            (HERE, FOREIGN, "foreign_credential"),
            (ELSEWHERE, FOREIGN, "foreign_credential"),
            (ELSEWHERE, STAGING_TOKEN, "credential_out_of_scope"),
        ];
        for (host, secret, reason) in refused {
            let mut client = Client::http1(gate.running(), host).await;
            let got = call(&mut client, *at, secret).await;
            assert_eq!(got.status, 403, "{at:?} at {host}: {got:?}");
            assert_eq!(got.reason(), reason, "{at:?} at {host}: {got:?}");
            let finding = &got.json()["findings"][0];
            assert_eq!(finding["slot"], *slot, "{at:?}: {finding}");
            let told = String::from_utf8_lossy(&got.body);
            assert!(!told.contains(secret), "{at:?}: {told}");
        }
        assert_eq!(origin.bytes_received(), before, "{at:?}: what is refused does not leave");
    }
    let log = gate.running().log() + &format!("{:?}", gate.records());
    for secret in [STAGING_TOKEN, FOREIGN] {
        assert!(!log.contains(secret), "no value is written");
        assert!(!log.contains(&STANDARD.encode(format!("user:{secret}"))), "no value is written");
    }
}

/// K-04: nothing rides along with what was issued, nor behind the name of a key that is not there.
#[tokio::test(flavor = "multi_thread")]
async fn an_issued_credential_covers_no_other() {
    const FORM: &str = "ghp_0123456789abcdef0123456789abcdef0123";
    let origin = origin().await;
    let gate = gate(&origin).await;
    let rows = [
        Slot::Header("Authorization", "AWS TOKEN:FORM"),
        Slot::Header("Authorization", "SharedKey TOKEN:frJIUN8DYpKDtOLCwo//yllqDzg=:b"),
        Slot::Header("Authorization", "OSS TOKEN: Bearer FORM"),
        Slot::Header("X-Api-Key", "AWS TOKEN:frJIUN8DYpKDtOLCwo//yllqDzg="),
        Slot::Header("Authorization", "AWS4-HMAC-SHA256 Credential=TOKEN/1/r/s, Signature=FORM"),
        Slot::Header("Authorization", "TC3-x Credential=TOKEN/x, Bearer FORM"),
        Slot::Header("Referer", "https://FORM:TOKEN@git.example/"),
        Slot::Header("Referer", "https://a/ https://user:FORM@git.example/"),
        Slot::Query("url=https://FORM:TOKEN@git.example/"),
        Slot::Query("urls=https://a/,https://user:FORM@git.example/"),
        Slot::Query("Expires=1&Signature=abc&Key-Pair-Id=K1&AWSAccessKeyId="),
        Slot::Query("Expires=1&Signature=abc&Key-Pair-Id=K1&AWSAccessKeyId=1"),
        Slot::Query("X-Amz-Signature=FORM&X-Amz-Credential=0"),
        Slot::Query("X-Amz-Credential=TOKEN/1/r/s&X-Amz-Signature=FORM"),
        Slot::Query("X-Amz-Credential=TOKEN/FORM"),
        Slot::Query("AWSAccessKeyId=TOKEN&Signature=FORM"),
    ];
    for row in rows {
        let row = match row {
            Slot::Header(name, value) => Slot::Header(name, value.replace("FORM", FORM).leak()),
            Slot::Query(query) => Slot::Query(query.replace("FORM", FORM).leak()),
        };
        let mut client = Client::http1(gate.running(), HERE).await;
        let got = call(&mut client, row, STAGING_TOKEN).await;
        assert_eq!(got.status, 403, "{row:?}: {got:?}");
        assert_eq!(got.reason(), "foreign_credential", "{row:?}: {got:?}");
    }
    assert_eq!(origin.bytes_received(), 0);
}

/// What looks like a slot and is none, and what stands where no credential does.
#[tokio::test(flavor = "multi_thread")]
async fn everyday_requests_carry_no_credential() {
    let origin = origin().await;
    let gate = gate(&origin).await;
    let rows = [
        // A number of words, the kind of a credential, a place in a list.
        Slot::Query("max_tokens=5&min_tokens=1&token_type=bearer&tokens=12"),
        Slot::Query("pageToken=CAoQAA&next_token=b2Zmc2V0&cursor=eyJpZCI6N30"),
        Slot::Query("show_secrets=true&session=0"),
        // Hashes, commits and ids.
        Slot::Query(
            "sha=3f786850e387550fdab836ed7e6dc881de23001b&id=7c1e5a02-9b3d-4f60-8a17-2d4c6e8f0b13",
        ),
        Slot::Query("url=https://example.com/a@b&email=dev@example.com"),
        Slot::Header("If-None-Match", "\"33a64df551425fcc55e4d42a148795d9f25f89d4\""),
        Slot::Header("X-Request-Id", "7c1e5a02-9b3d-4f60-8a17-2d4c6e8f0b13"),
        Slot::Header("Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        Slot::Header("X-Csrf-Token", "fetch"),
        Slot::Header("X-Plan", "Basic plan for two"),
        Slot::Header("X-Plan", "Basic annually"),
        Slot::Header("Title", "AWS backup: done"),
        Slot::Header("Title", "Bearer certificates"),
        Slot::Header("Signature", "sig1=:YWJj:"),
        Slot::Query("repository=ssh://git@git.example/acme/web"),
        Slot::Header("Referer", "https://example.com/?user=a@b.c"),
        Slot::Header("Range", "bytes=0-1023"),
    ];
    let mut client = Client::http1(gate.running(), HERE).await;
    for row in rows {
        let got = call(&mut client, row, "").await;
        assert_eq!(got.status, 200, "{row:?}: {got:?}");
    }
    let words = [
        "/blog/xoxo-gossip-girl-recap",
        "/sk_test_intro_to_stripe",
        "/wiki/ASIAPACIFICECONOMICCOOPERATION",
    ];
    for path in words {
        assert_eq!(client.get(path).await.status, 200, "{path}");
    }
}
