use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

const TOKEN: &str = "0badc0de-0000-4000-8000-00000000dead";
const FORM: &str = "ghp_0123456789abcdef0123456789abcdef0123";

fn key() -> FingerprintKey {
    FingerprintKey::new(b"key")
}

/// Whether a body hands out a secret, and whether surely.
fn handed(body: &str, reveals: bool, secret: &str) -> Option<bool> {
    let key = key();
    let print = key.fingerprint(secret.as_bytes());
    in_body(body.as_bytes(), reveals, &key)
        .iter()
        .find(|one| one.print == print)
        .map(|one| one.sure)
}

#[test]
fn secrets_are_found_in_every_notation() {
    let coded = STANDARD.encode(TOKEN);
    let file = STANDARD.encode(format!("# domains\nRAILWAY_TOKEN={TOKEN}\n"));
    let lines: Vec<&str> = file.as_bytes().chunks(60).map(|c| str::from_utf8(c).unwrap()).collect();
    let lines = lines.join("\\n");
    for body in [
        format!("RAILWAY_TOKEN={TOKEN}"),
        format!("# domains\r\nexport RAILWAY_TOKEN=\"{TOKEN}\"\r\nA=b"),
        format!("A=b RAILWAY_TOKEN={TOKEN} C=d"),
        format!("railway:\n  token: {TOKEN}\n"),
        format!("railway:\n  token: '{TOKEN}' # staging\n"),
        format!("[railway]\napi_token = \"{TOKEN}\"\n"),
        format!("machine backboard.railway.com login token password {TOKEN}\n"),
        format!("//registry.example/:_authToken={TOKEN}\n"),
        format!("git clone https://user:{TOKEN}@git.example/acme/web"),
        format!("<remote url=\"https://user:{TOKEN}@git.example/\"/>"),
        format!("const apiKey = '{TOKEN}';"),
        format!("config['token'] = \"{TOKEN}\";"),
        format!("{{ :token => \"{TOKEN}\" }}"),
        format!("curl -H 'Authorization: Bearer {TOKEN}' https://a.example/"),
        format!("fetch('https://a.example/?access_token={TOKEN}&a=b')"),
        format!("{{\"a\":[{{\"b\":{{\"apiKey\":\"{TOKEN}\"}}}}]}}"),
        format!("{{\"token\":{{\"value\":\"{TOKEN}\"}}}}"),
        format!("[{{\"name\":\"RAILWAY_TOKEN\",\"value\":\"{TOKEN}\"}}]"),
        format!("{{\"log\":\"{{\\\"token\\\":\\\"{TOKEN}\\\"}}\"}}"),
        format!("{{\"file\":\"A=b\\nRAILWAY_TOKEN={TOKEN}\\n\"}}"),
        format!("{{\"data\":{{\"password\":\"{coded}\"}}}}"),
        format!("{{\"encoding\":\"base64\",\"content\":\"{lines}\"}}"),
        // What is no document is read as text.
        format!("{{\"token\":\"{TOKEN}\",\"token\":\"{TOKEN}\"}}"),
        format!("{{\"token\":\"{TOKEN}\""),
    ] {
        assert!(handed(&body, false, TOKEN).is_some(), "{body}");
    }
}

#[test]
fn forms_and_keys_need_no_name() {
    assert_eq!(handed(&format!("see {FORM}, or ask"), false, FORM), Some(true));
    assert_eq!(handed(&format!("{{\"a\":\"{FORM}\"}}"), false, FORM), Some(true));
    let pem = format!("-----BEGIN PRIVATE KEY-----\n{FORM}\n-----END PRIVATE KEY-----");
    assert_eq!(handed(&format!("a\n{pem}\nb"), false, &pem), Some(true));
    let public = pem.replace("PRIVATE", "PUBLIC");
    assert_eq!(handed(&format!("{public}\n"), false, &public), None);
}

#[test]
fn a_call_that_hands_out_secrets_names_none() {
    let body = format!("{{\"data\":{{\"projectTokenCreate\":\"{TOKEN}\"}}}}");
    assert_eq!(handed(&body, true, TOKEN), Some(true));
    // The name has a word for it even where nobody says what the call does.
    assert_eq!(handed(&body, false, TOKEN), Some(true));
    let service = "0badc0de-0000-4000-8000-00000000beef";
    let variables = format!(
        "{{\"data\":{{\"variables\":{{\"GREETING\":\"{TOKEN}\",\"SERVICE_ID\":\"{service}\",\"AT\":\"2026-01-01T00:00:00Z\",\"NODE_ENV\":\"production\"}}}}}}"
    );
    assert_eq!(handed(&variables, true, TOKEN), Some(true));
    assert_eq!(handed(&variables, true, service), Some(false));
    assert_eq!(handed(&variables, true, "2026-01-01T00:00:00Z"), None);
    assert_eq!(handed(&variables, true, "production"), None);
    assert_eq!(handed(&variables, false, TOKEN), None);
}

#[test]
fn what_stands_for_a_secret_is_none() {
    for body in [
        "TOKEN=<your token here>",
        "TOKEN=your-token-goes-here-0123",
        "API_KEY=${SOME_OTHER_VARIABLE}",
        "token: {{ .Values.token_of_service }}",
        "password = os.environ['PASSWORD_12345678']",
        "SECRET=xxxxxxxxxxxxxxxxxxxxxx",
        "SECRET=0000000000000000000000",
        "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE",
        "token = tokens.next(source_0123456789)",
        "{\"token\":null,\"secret\":true,\"password\":12345678,\"apiKey\":\"\"}",
        "{\"max_tokens\":\"0123456789\",\"nextPageToken\":\"CAoQAA0123456789\"}",
        "{\"sha\":\"3f786850e387550fdab836ed7e6dc881de23001b\"}",
        "https://example.com/a?b=c#d",
    ] {
        assert_eq!(in_body(body.as_bytes(), false, &key()), [], "{body}");
    }
}

#[test]
fn heads_hand_out_secrets() {
    let key = key();
    let prints = |name: &'static str, value: String| {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        in_head(&headers, &key).into_iter().map(|one| one.print).collect::<Vec<_>>()
    };
    let print = key.fingerprint(TOKEN.as_bytes());
    for (name, value) in [
        ("x-subject-token", TOKEN.to_owned()),
        ("authorization", format!("Bearer {TOKEN}")),
        ("location", format!("https://a.example/cb?x=y&access_token={TOKEN}")),
        ("location", format!("/cb#id_token={TOKEN}")),
        ("location", format!("https://user:{TOKEN}@a.example/")),
    ] {
        assert!(prints(name, value.clone()).contains(&print), "{name}: {value}");
    }
    for name in ["etag", "x-request-id", "set-cookie", "www-authenticate", "x-csrf-token"] {
        assert_eq!(prints(name, TOKEN.to_owned()), [], "{name}");
    }
}

#[test]
fn there_is_an_end_to_it() {
    let many = (0..2_000).map(|n| format!("TOKEN={TOKEN}{n}")).collect::<Vec<_>>().join("\n");
    assert_eq!(in_body(many.as_bytes(), false, &key()).len(), MOST);
    let long = format!("TOKEN={}", "a1b2".repeat(2_000));
    assert_eq!(in_body(long.as_bytes(), false, &key()), []);
    let deep = format!("{}\"token\"{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(in_body(deep.as_bytes(), false, &key()), []);
    // A secret where two pieces of a line meet.
    for before in [65_500, 65_520, 65_530, 65_536] {
        let body = format!("{}TOKEN={TOKEN} b", "a ".repeat(before / 2));
        assert!(handed(&body, false, TOKEN).is_some(), "{before}");
    }
}

#[test]
fn a_line_of_signs_is_looked_at_a_few_times_only() {
    let key = key();
    // A word without an end, words that are as long as a secret may be, and one that stands for none.
    let long = format!("{}\n", "token=".repeat(680));
    for text in ["token=".repeat(175_000), long.repeat(256), "token=xxxx,".repeat(95_000)] {
        let mut found = Found::new(&key);
        let spare = text.len() * AGAIN;
        found.spare = spare;
        text::lines(text.as_bytes(), &mut found);
        // What lies within another value is told by what it takes; all others lie side by side.
        assert!(found.looked <= 2 * (text.len() + spare), "{} of {}", found.looked, text.len());
    }
    // The last value counts as well as the first.
    let body = format!("{}{TOKEN}", "token=".repeat(20));
    assert!(handed(&body, false, TOKEN).is_some());
}

#[test]
fn what_is_no_secret_under_a_name_with_its_word_is_not_sure() {
    let digest = "sha512-RdJMzQ5R0nvA0RZ2XN8F8wY6Yv2e1qfTn0Q9S7p1J5U3m4k6L8o2C1b7D9f0G==";
    for (name, value) in [
        ("token", "2026-11-21T08:00:00.000Z"),
        ("token", "2026-11-21T08:00:00+02:00"),
        ("js-tokens", digest),
        ("token", digest),
        ("secret", "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"),
        ("secret", "https://vault.test/v1/0123456789abcdef"),
        ("secret", "/run/secrets/app-0123456789ab"),
        ("secret", "./secrets/App-0123456789ab"),
        ("secret", "projects/123456/secrets/app-db/versions/7"),
        ("secret", "arn:aws:secretsmanager:us-east-1:123456789012:secret:app-AbC123"),
        ("token_id", TOKEN),
        ("tokenId", TOKEN),
        ("credential-id", TOKEN),
        ("TOKEN_ID", TOKEN),
        ("tokenid", TOKEN),
        ("secretName", "default-token-x7k2p9q4"),
        ("secret_name", "app-db-0123456789abcdef"),
        ("secret_arn", TOKEN),
        ("token_expires", "in-0123456789-seconds"),
        ("tokenExpiresAt", "in-0123456789-seconds"),
        ("token", "sk_test_4eC39HqLyjWDarjtT1zdp7dc"),
    ] {
        let text = format!("{name}: {value}");
        assert_ne!(handed(&text, false, value), Some(true), "{text}");
        let json = format!("{{\"{name}\":\"{value}\",\"token\":{{\"{name}\":\"{value}\"}}}}");
        assert_ne!(handed(&json, false, value), Some(true), "{json}");
    }
    // The name of a secret within a text is none; what follows it is.
    let arn = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:staging/session-a1B2c3";
    for text in [
        format!("aws_secretsmanager_secret.session: Refreshing state... [id={arn}]"),
        format!("{{\"log\":\"+ arn = \\\"{arn}\\\"\"}}"),
    ] {
        let all = in_body(text.as_bytes(), false, &key());
        assert!(all.iter().all(|one| !one.sure), "{text}: {all:?}");
    }
    assert_eq!(handed(&format!("{arn} secret: {TOKEN}"), false, TOKEN), Some(true));
    for id in ["id", "uuid_ref", "createdAt", "name"] {
        let json = format!("{{\"token\":{{\"{id}\":\"{TOKEN}\",\"token\":\"{FORM}\"}}}}");
        assert_eq!(handed(&json, false, TOKEN), Some(false), "{json}");
        assert_eq!(handed(&json, false, FORM), Some(true), "{json}");
    }
    // These are.
    for (name, value) in [
        ("token", TOKEN),
        ("railwayToken", TOKEN),
        ("AWS_SECRET_ACCESS_KEY", "wJalrXUtnFEMI/K7MDENG/bPxRfi0123CYzKEYab"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7QWERTYU"),
        ("token_id", FORM),
        ("client_secret", "a7f3~Q.x9k2m5p8r1t4w6z0"),
        ("password", "0123456789abcdef0123456789abcdef"),
    ] {
        let (text, json) = (format!("{name}={value}"), format!("{{\"{name}\":\"{value}\"}}"));
        assert_eq!(handed(&text, false, value), Some(true), "{text}");
        assert_eq!(handed(&json, false, value), Some(true), "{json}");
        let json = format!("{{\"secrets\":{{\"{name}\":{{\"value\":\"{value}\"}}}}}}");
        assert_eq!(handed(&json, false, value), Some(true), "{json}");
    }
}

/// What a piece ends in may go on in the next, and is looked for nowhere until it is whole.
#[test]
fn what_a_piece_ends_in_is_not_sure() {
    let key = FingerprintKey::new(b"key");
    let token = "0badc0de-0000-4000-8000-00000000dead";
    let text = format!("export RAILWAY_TOKEN={token}");
    let of_token = key.fingerprint(token.as_bytes());
    let sure = |text: &str| -> Vec<Fingerprint> {
        let all = in_piece(text.as_bytes(), &key).into_iter();
        all.filter(|one| one.sure || one.trace.is_some()).map(|one| one.print).collect()
    };
    for length in 0..=text.len() {
        assert_eq!(sure(&text[..length]), [], "{length}");
    }
    assert_eq!(sure(&format!("{text}\n")), [of_token]);
    // Known all the same, as the client may have all of it.
    assert!(in_piece(text.as_bytes(), &key).iter().any(|one| one.print == of_token));
}
