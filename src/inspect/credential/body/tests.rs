//! Which members of a body are credentials, and which of everyday bodies are none.

use super::*;
use crate::message::tests::head;

const SECRET: &str = "00000000-0000-4000-8000-00000000dead";
const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const MULTIPART: &str = "multipart/form-data; boundary=b";

/// What a request for a token of a service says.
fn asked(
    (service, operation, host): (&str, &str, &str),
    query: &str,
    media: &str,
    body: &str,
) -> Result<Said, Unreadable> {
    let catalog = Catalog::embedded(service).unwrap();
    let endpoint = catalog.token_endpoint(operation, host).unwrap();
    let url = format!("https://{host}/{query}");
    let head = head("POST", &url, &[("content-type", media)]).unwrap();
    of_body(&head, body.as_bytes(), Kind::Exchange(endpoint), &FingerprintKey::new(b"key"))
}

const RAILWAY: (&str, &str, &str) = ("railway", "POST /oauth/token", "backboard.railway.com");
const HEROKU: (&str, &str, &str) = ("heroku", "POST /oauth/tokens", "api.heroku.com");
const HUB: (&str, &str, &str) = ("docker-hub", "POST /v2/auth/token", "hub.docker.com");
const STS: (&str, &str, &str) = ("aws", "sts:AssumeRole", "sts.amazonaws.com");

fn said(media: &str, body: &str, kind: Kind<'_>) -> Result<Said, Unreadable> {
    let key = FingerprintKey::new(b"key");
    let head = head("POST", "https://a.test/", &[("content-type", media)]).unwrap();
    of_body(&head, body.as_bytes(), kind, &key)
}

fn slots(media: &str, body: &str, kind: Kind<'_>) -> Vec<String> {
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
        ("body token", JSON, "[{\"TOKEN\":\"SECRET\"}]"),
        ("body token", JSON, "{\"token\":[\"SECRET\"]}"),
        ("body token", JSON, "\u{feff}{\"token\":\"SECRET\"}"),
        ("body auth token", JSON, "{\"auth\":{\"token\":[\"SECRET\"]}}"),
        ("body x-api-key", JSON, "{\"X-Api-Key\":\"SECRET\"}"),
        ("body accesskey", JSON, "{\"accessKey\":\"SECRET\"}"),
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

/// What stands in brackets is no stand-in where it looks like a secret, and a number is a text to many.
#[test]
fn a_secret_is_one_in_brackets_and_as_a_number() {
    for body in [
        "{\"token\":\"<SECRET>\"}",
        "{\"token\":\"${SECRET}\"}",
        "{\"token\":\"{{SECRET}}\"}",
        "{\"password\":123456}",
        "{\"password\":[123456]}",
    ] {
        assert_eq!(slots(JSON, &body.replace("SECRET", SECRET), Kind::Plain).len(), 1, "{body}");
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
        ("grant_type=refresh_token&refresh_token=r", false),
        ("grant_type=client_credentials", false),
        (
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&subject_token=s",
            false,
        ),
        ("grant_type=authorization_code&code=x", true),
        ("grant_type=refresh_token&refresh_token=r&code=y", true),
        ("grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Adevice_code&device_code=x", true),
        ("grant_type=something&x=y", true),
        ("client_id=a&client_secret=b&code=c", true),
        ("username=u&password=p", false),
    ] {
        let said = asked(RAILWAY, "", FORM, body).unwrap();
        assert_eq!(said.of_another, of_another, "{body}");
    }
    let nested = r#"{"grant":{"type":"refresh_token"},"client":{"secret":"a"},"refresh_token":{"token":"b"}}"#;
    let nested = asked(HEROKU, "", JSON, nested).unwrap();
    assert!(!nested.of_another);
    let slots: Vec<&str> = nested.credentials.iter().map(|one| &*one.slot).collect();
    assert_eq!(slots, ["body client secret", "body refresh_token token"]);
    let consent = r#"{"grant":{"type":"authorization_code","code":"c"},"client":{"secret":"a"}}"#;
    assert!(asked(HEROKU, "", JSON, consent).unwrap().of_another);
}

/// Whose grant rides along in what is not known cannot be told.
#[test]
fn a_request_for_a_token_is_made_of_known_members_alone() {
    let of_another = |endpoint, query: &str, media: &str, body: &str| {
        asked(endpoint, query, media, body).unwrap().of_another
    };
    let own = "grant_type=refresh_token&refresh_token=r";
    for more in [
        "client_id=a&client_secret=b&scope=c",
        "client_id=a&client_secret=",
        "scope=a&scope=b&audience=c&audience=d&resource=e&resource=f",
        "client_assertion=a&client_assertion_type=urn:x",
        "subject_token=a&subject_token_type=b&actor_token=c&actor_token_type=d",
        "account=a&service=b&offline_token=true&access_type=offline",
    ] {
        assert!(!of_another(RAILWAY, "", FORM, &format!("{own}&{more}")), "{more}");
    }
    for more in [
        "refresh_token[a]=y",
        "refresh_token=y",
        "Refresh_Token=y",
        "refreshToken=y",
        "code[]=abc",
        "code%5B0%5D=abc",
        "code=",
        "grant_type[]=authorization_code",
        "grant_type=refresh_token",
        "client_secret=<hunter2>",
        "client_secret=${X}",
        "client_secret=null",
        "password=true",
        "otp=1",
        "saml_response=y",
        "auth_code=y",
        "requested_subject=admin",
        "scope=a;code=b",
        "scope=%00",
        "scope=%ff",
        "x",
    ] {
        assert!(of_another(RAILWAY, "", FORM, &format!("{own}&{more}")), "{more}");
    }
    for (query, expected) in [
        ("?scope=a", false),
        ("?client_assertion=a", false),
        ("?assertion=a", false),
        ("?assertion=%3Ca%3E", true),
        ("?refresh_token=true", true),
        ("?refresh_token=r", true),
        ("?scope=a;code=b", true),
        ("?id=x", true),
        ("?code=x", true),
    ] {
        assert_eq!(of_another(RAILWAY, query, FORM, own), expected, "{query}");
    }
    let presented = asked(RAILWAY, "?assertion=a", FORM, own).unwrap().credentials;
    assert_eq!(presented[0].slot, "query assertion");
    for (body, expected) in [
        ("{\"grant_type\":\"refresh_token\",\"refresh_token\":\"r\"}", false),
        ("{\"client_secret\":\"c\",\"refresh_token\":[\"y\"]}", true),
        ("{\"client_secret\":\"c\",\"code\":123456}", true),
        ("{\"client_secret\":\"c\",\"scope\":{}}", true),
        ("{\"client_secret\":\"c\",\"a\":{\"b\":{\"refresh_token\":\"y\"}}}", true),
        ("{\"client_secret\":\"c\",\"client\":{\"secret\":\"y\"}}", true),
        ("[{\"client_secret\":\"c\"}]", true),
        ("\"x\"", true),
    ] {
        assert_eq!(of_another(RAILWAY, "", JSON, body), expected, "{body}");
        assert!(of_another(RAILWAY, "", FORM, body), "{body}");
    }
    assert!(!of_another(HUB, "", JSON, "{\"identifier\":\"a\",\"secret\":\"b\"}"));
    // What mints is judged so, and signed.
    let role = "Action=AssumeRole&Version=1&RoleArn=a&Tags.member.1.Key=k";
    assert!(!of_another(STS, "", FORM, role));
    assert!(of_another(STS, "", FORM, &format!("{role}&code[]=1")));
}

#[test]
fn what_hands_out_tokens_has_to_be_read() {
    for (media, body) in [
        ("text/plain", "refresh_token=x"),
        (JSON, "{\"refresh_token\":\"a\",\"refresh_token\":\"b\"}"),
        (JSON, "refresh_token=x"),
    ] {
        assert!(asked(RAILWAY, "", media, body).is_err(), "{body}");
    }
    let many: Vec<String> = (0..=MOST).map(|number| format!("token=t{number}")).collect();
    let many = many.join("&");
    assert!(said(FORM, &many, Kind::Plain).is_err());
}
