//! Which members of a body are credentials, and which of everyday bodies are none.

use super::*;
use crate::message::tests::head;

const SECRET: &str = "00000000-0000-4000-8000-00000000dead";
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const MULTIPART: &str = "multipart/form-data; boundary=b";

fn said(media: &str, body: &str, kind: Kind) -> Result<Said, Unreadable> {
    let key = FingerprintKey::new(b"key");
    let head = head("POST", "https://a.test/", &[("content-type", media)]).unwrap();
    of_body(&head, body.as_bytes(), kind, &key)
}

fn slots(media: &str, body: &str, kind: Kind) -> Vec<String> {
    said(media, body, kind).unwrap().credentials.into_iter().map(|one| one.slot).collect()
}

/// K-12, K-13, K-15.
#[test]
fn each_slot_of_a_body_is_found() {
    let key = FingerprintKey::new(b"key");
    let rows: &[(&str, &str, &str)] = &[
        ("body token", FORM, "channel=C1&token=SECRET"),
        ("body token", FORM, "a=1;token=SECRET"),
        ("body token", FORM, "%74oken=SECRET"),
        ("body token", FORM, "+token+=SECRET"),
        ("body token", FORM, "token[]=SECRET"),
        ("body auth token", FORM, "auth[token]=SECRET"),
        ("body token", FORM, "{\"token\":\"SECRET\"}"),
        ("body api_key", FORM, "api_key=SECRET"),
        ("body private_token", FORM, "private_token=Bearer+SECRET"),
        ("body x-amz-credential", FORM, "x-amz-credential=SECRET/20260101/r/s3/aws4_request"),
        ("body x-amz-security-token", FORM, "x-amz-security-token=SECRET"),
        ("body awsaccesskeyid", FORM, "AWSAccessKeyId=SECRET&Signature=abc&Action=ListUsers"),
        ("body client_secret", FORM, "grant_type=client_credentials&client_secret=SECRET"),
        ("body refresh_token", FORM, "grant_type=refresh_token&refresh_token=SECRET"),
        ("body assertion", FORM, "grant_type=urn%3Aietf%3Ax&assertion=SECRET"),
        ("body client_assertion", FORM, "client_assertion=SECRET"),
        ("body subject_token", FORM, "subject_token=SECRET&subject_token_type=x"),
        ("body password", FORM, "grant_type=password&username=u&password=SECRET"),
        ("body token", JSON, "{\"token\":\"SECRET\"}"),
        ("body token", JSON, "{\"tok\\u0065n\":\"SECRET\"}"),
        ("body accesstoken", JSON, "{\"accessToken\":\"SECRET\"}"),
        ("body auth token", JSON, "{\"auth\":{\"token\":\"SECRET\"}}"),
        (
            "body credentials password",
            JSON,
            "{\"credentials\":{\"user\":1,\"password\":\"SECRET\"}}",
        ),
        ("body secret_id", JSON, "{\"role_id\":\"r\",\"secret_id\":\"SECRET\"}"),
        (
            "body refresh_token",
            JSON,
            "{\"grant_type\":\"refresh_token\",\"refresh_token\":\"SECRET\"}",
        ),
        (
            "body token",
            MULTIPART,
            "--b\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nSECRET\r\n--b--\r\n",
        ),
        (
            "body x-amz-credential",
            MULTIPART,
            "--b\r\nContent-Disposition: form-data; name=\"key\"\r\n\r\na.txt\r\n--b\r\nContent-Disposition: form-data; name=\"X-Amz-Credential\"\r\n\r\nSECRET/1/r/s3/aws4_request\r\n--b--\r\n",
        ),
    ];
    for (slot, media, body) in rows {
        let found = said(media, &body.replace("SECRET", SECRET), Kind::Plain).unwrap().credentials;
        assert_eq!(found.len(), 1, "{body}: {found:?}");
        assert_eq!(found[0].slot, *slot, "{body}");
        let print = key.fingerprint(SECRET.as_bytes());
        assert!(found[0].readings().contains(&print), "{body}");
        assert!(!format!("{found:?}").contains("dead"));
    }
}

/// What everyday clients send and no credential stands in.
#[test]
fn everyday_bodies_carry_no_credential() {
    let rows: &[(&str, &str)] = &[
        // Model providers count tokens, and conversations are about anything.
        (
            JSON,
            r#"{"model":"m","max_tokens":64,"messages":[{"role":"user","content":"my password is hunter2","token":"x"}]}"#,
        ),
        (
            JSON,
            r#"{"model":"m","max_completion_tokens":5,"metadata":{"user_id":"u","token":"x"},"stop_token":"\n"}"#,
        ),
        // npm publishes a manifest; PyPI a form of metadata with digests.
        (
            JSON,
            r#"{"_id":"a","name":"a","versions":{"1.0.0":{"name":"a","token":"x","config":{"password":"p"}}},"_attachments":{"a.tgz":{"data":"YQ=="}}}"#,
        ),
        (
            MULTIPART,
            "--b\r\nContent-Disposition: form-data; name=\":action\"\r\n\r\nfile_upload\r\n--b\r\nContent-Disposition: form-data; name=\"sha256_digest\"\r\n\r\n9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\r\n--b\r\nContent-Disposition: form-data; name=\"gpg_signature\"; filename=\"a.asc\"\r\n\r\n-----BEGIN PGP SIGNATURE-----\r\n--b--\r\n",
        ),
        // GitHub: a hook with its secret, an issue, a secret that is stored.
        (
            JSON,
            r#"{"name":"web","config":{"url":"https://a.test","secret":"s"},"events":["push"]}"#,
        ),
        (JSON, r#"{"title":"token expired","body":"password: x"}"#),
        (JSON, r#"{"encrypted_value":"c2VjcmV0","key_id":"012345678912345678"}"#),
        // AWS: idempotency and places in lists; a secret by its name.
        (
            JSON,
            r#"{"ClientRequestToken":"7c1e5a02-9b3d-4f60-8a17-2d4c6e8f0b13","SecretId":"db","NextToken":"AAAA"}"#,
        ),
        (FORM, "Action=DescribeInstances&NextToken=AAAA&ClientToken=abc&MaxResults=5"),
        (FORM, "Action=CreateDBInstance&MasterUserPassword=data"),
        // Stripe: a card's token is what is charged.
        (
            FORM,
            "amount=5&card[token]=tok_visa&source=tok_visa&payment_method_data[card][token]=tok_visa",
        ),
        // Lists, kinds, and forgeries that are kept off.
        (
            FORM,
            "page_token=abc&continuation_token=x&csrf_token=y&token_type=bearer&token_type_hint=access_token",
        ),
        (
            JSON,
            r#"{"pageToken":"a","nextToken":"b","sync_token":"c","tokens":12,"max_tokens":5,"tokenize":"x"}"#,
        ),
        // A user of a database, a container's registry, a package's manifest.
        (JSON, r#"{"database":{"name":"d","user":{"name":"u","password":"p"}}}"#),
        (JSON, r#"{"services":[{"image":"a","registry":{"password":"p"}}],"env":{"API_KEY":"x"}}"#),
        // No secret: nothing, a switch, a stand-in.
        (JSON, r#"{"token":"","secret":false,"password":null,"auth":true,"api_key":"<your key>"}"#),
        (FORM, "token=&secret=true&password=********&api_key=${API_KEY}&auth={{auth}}"),
        ("text/plain", "token=abc"),
        ("application/octet-stream", "token=abc"),
    ];
    for (media, body) in rows {
        assert_eq!(slots(media, body, Kind::Plain), [""; 0], "{body}");
    }
    // Of a catalogued service it is known where its credentials stand: what else has such a name is data.
    for (media, body) in [
        (JSON, r#"{"name":"u","password":"p","secret":"s","token":"t","auth":{"token":"x"}}"#),
        (FORM, "Action=CreateLoginProfile&UserName=u&Password=p"),
    ] {
        assert_eq!(slots(media, body, Kind::Catalogued), [""; 0], "{body}");
        assert_ne!(slots(media, body, Kind::Plain), [""; 0], "{body}");
    }
}

#[test]
fn whose_token_is_asked_for_is_told() {
    for (body, of_another) in [
        ("grant_type=refresh_token&refresh_token=x", false),
        ("grant_type=client_credentials", false),
        (
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=x",
            false,
        ),
        ("grant_type=authorization_code&code=x", true),
        ("grant_type=refresh_token&refresh_token=x&code=y", true),
        ("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=x", true),
        ("grant_type=something&x=y", true),
        ("client_id=a&client_secret=b&code=c", true),
        ("username=u&password=p", false),
    ] {
        let said = said(FORM, body, Kind::Exchange).unwrap();
        assert_eq!(said.of_another, of_another, "{body}");
    }
    let nested = r#"{"grant":{"type":"refresh_token"},"client":{"secret":"a"},"refresh_token":{"token":"b"}}"#;
    assert_eq!(
        slots(JSON, nested, Kind::Exchange),
        ["body client secret", "body refresh_token token"]
    );
    let consent = r#"{"grant":{"type":"authorization_code","code":"c"},"client":{"secret":"a"}}"#;
    assert!(said(JSON, consent, Kind::Exchange).unwrap().of_another);
}

#[test]
fn what_hands_out_tokens_has_to_be_read() {
    for (media, body) in [
        ("text/plain", "refresh_token=x"),
        (JSON, "{\"refresh_token\":\"a\",\"refresh_token\":\"b\"}"),
        (JSON, "refresh_token=x"),
    ] {
        assert!(said(media, body, Kind::Exchange).is_err(), "{body}");
    }
    let many: Vec<String> = (0..=MOST).map(|number| format!("token=t{number}")).collect();
    let many = many.join("&");
    assert!(said(FORM, &many, Kind::Plain).is_err());
}
