//! What is no secret, and must pass everywhere: each with what it tests.

use super::*;

/// Everyday texts by name.
pub(super) fn benign() -> Vec<(&'static str, String)> {
    let mut draw = Draw(11);
    let hex = |draw: &mut Draw, length| draw.letters(HEX, length);
    let uuid = |draw: &mut Draw| {
        let mut part = |length| draw.letters(HEX, length);
        format!("{}-{}-4{}-a{}-{}", part(8), part(4), part(3), part(3), part(12))
    };
    let coded = |draw: &mut Draw, length| STANDARD.encode(draw.bytes(length));
    let mut all = Vec::new();
    let hashes = (0..200)
        .map(|_| format!("{} {} {}\n", hex(&mut draw, 64), hex(&mut draw, 40), hex(&mut draw, 32)));
    all.push(("hashes and git ids: long runs of hexadecimal digits", hashes.collect()));
    let tree = (0..200).map(|_| format!("100644 blob {}\tsrc/some-file.rs\n", hex(&mut draw, 40)));
    all.push(("a git tree: ids beside names", tree.collect()));
    let uuids = (0..300).map(|_| {
        format!("{{\"id\":\"{}\",\"projectId\":\"{}\"}},", uuid(&mut draw), uuid(&mut draw))
    });
    all.push(("UUIDs of an API's answer", uuids.collect()));
    let locks = (0..200).map(|number| format!(
        "\"node_modules/pkg-{number}\": {{ \"version\": \"1.{number}.0\", \"resolved\": \"https://registry.npmjs.org/pkg-{number}/-/pkg-{number}-1.{number}.0.tgz\", \"integrity\": \"sha512-{}\" }},\n",
        coded(&mut draw, 64)
    ));
    all.push(("a lock file of npm: subresource integrity", locks.collect()));
    let crates = (0..200).map(|number| {
        format!("[[package]]\nname = \"crate-{number}\"\nchecksum = \"{}\"\n", hex(&mut draw, 64))
    });
    all.push(("a lock file of cargo", crates.collect()));
    all.push((
        "an image in base64",
        format!("data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAA{}", coded(&mut draw, 60_000)),
    ));
    all.push((
        "another image, url-safe",
        URL_SAFE.encode([&[0xff, 0xd8, 0xff, 0xe0][..], &draw.bytes(60_000)].concat()),
    ));
    all.push(("an icon of one colour: base64 that repeats", STANDARD.encode([0x20; 3_000])));
    let svg = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 24 24\"><path d=\"M12 2L2 7l10 5 10-5-10-5z\"/></svg>";
    all.push((
        "an image of text in base64",
        format!("url(data:image/svg+xml;base64,{})", STANDARD.encode(svg)),
    ));
    all.push((
        "a font in a style sheet",
        format!(
            "@font-face{{src:url(data:font/woff2;base64,d09GMgABAAAAA{})}}",
            coded(&mut draw, 20_000)
        ),
    ));
    let certificate = |kind: &str, draw: &mut Draw| {
        let lines: String = (0..20).map(|_| draw.letters(ALNUM, 64) + "\n").collect();
        format!("-----BEGIN {kind}-----\n{lines}-----END {kind}-----\n")
    };
    all.push((
        "certificates and public keys",
        [
            "CERTIFICATE",
            "PUBLIC KEY",
            "RSA PUBLIC KEY",
            "PGP PUBLIC KEY BLOCK",
            "CERTIFICATE REQUEST",
        ]
        .map(|kind| certificate(kind, &mut draw))
        .concat(),
    ));
    let ssh = format!(
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI{} user@host\nssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAB{} user@host",
        draw.letters(ALNUM, 43),
        draw.letters(ALNUM, 340)
    );
    all.push(("public keys of SSH", ssh));
    let minified = (0..300).map(|number| format!(
        "!function(e,t){{var n=e.task{number}||\"disk-usage-{number}\",r=\"risk-free\";return t.exports={{hash:\"{}\",a:/^sk-[a-z]+$/,b:\"data-task-item-with-a-long-name-{number}\"}}}}(window,module);",
        hex(&mut draw, 20)
    ));
    all.push(("minified JavaScript", minified.collect()));
    all.push(("examples out of documentation", EXAMPLES.concat()));
    all.push((".env.example", ENVIRONMENT.to_owned()));
    let everyday = token(
        "{\"sub\":\"1234567890\",\"name\":\"John Doe\",\"iat\":1516239022,\"role\":\"anon\"}",
        &mut draw,
    );
    all.push(("a token of a session: everyday JWTs", format!("{{\"session\":\"{everyday}\"}}")));
    let wrong = (0..50)
        .map(|_| format!("ghp_{} npm_{}\n", draw.letters(ALNUM, 36), draw.letters(ALNUM, 36)))
        .collect::<Vec<_>>();
    all.push(("tokens whose checksum is wrong: fixtures of tests", wrong.concat()));
    let long = (0..400).map(|number| format!("/usr/local/lib/python3.{number}/site-packages/some_package/__init__.py\nhttps://example.com/a/b-c_d/{number}?utm_source=newsletter&utm_medium=email\n")).collect::<Vec<_>>();
    all.push(("paths and URLs: long runs of letters of base64", long.concat()));
    let camel = (0..200).map(|number| format!("someRatherLongIdentifierInCamelCase{number}WithDigits, SCREAMING_SNAKE_CASE_{number}, kebab-case-sk-class-name-{number}-that-goes-on\n")).collect::<Vec<_>>();
    all.push(("long identifiers", camel.concat()));
    let answers = (0..200).map(|number| format!(
        "{{\"node_id\":\"MDEwOlJlcG9zaXRvcnk{}\",\"etag\":\"W/\\\"{}\\\"\",\"cursor\":\"{}\",\"sha\":\"{}\",\"text\":\"a\\nb \\\"c\\\" \\u00e9 100%\"}},",
        draw.letters(ALNUM, 12), hex(&mut draw, 32), STANDARD.encode(format!("cursor:v2:{number}")), hex(&mut draw, 40)
    ));
    all.push(("an API's answer: node ids, etags, cursors", answers.collect()));
    all.push((
        "a tracing header and ids of requests",
        format!(
            "traceparent: 00-{}-{}-01\nx-request-id: req_{}\ntoolu_01{} msg_01{}",
            hex(&mut draw, 32),
            hex(&mut draw, 16),
            draw.letters(ALNUM, 24),
            draw.letters(ALNUM, 22),
            draw.letters(ALNUM, 22)
        ),
    ));
    all.push((
        "publishable keys",
        format!(
            "pk_live_{} sb_publishable_{} pk_test_{}",
            draw.letters(ALNUM, 24),
            draw.letters(ALNUM, 31),
            draw.letters(ALNUM, 24)
        ),
    ));
    all.push((
        "a signature of a model's reasoning",
        format!("{{\"type\":\"thinking\",\"signature\":\"{}\"}}", coded(&mut draw, 900)),
    ));
    all.push(("a signature of PGP", certificate("PGP SIGNATURE", &mut draw)));
    all.push(("bytes", String::from_utf8_lossy(&draw.bytes(60_000)).into_owned()));
    all
}

/// As documentation prints them.
const EXAMPLES: &[&str] = &[
    "AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE\n",
    "aws_secret_access_key = wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY\n",
    "Authorization: Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIiwibmFtZSI6IkpvaG4gRG9lIiwiaWF0IjoxNTE2MjM5MDIyfQ.SflKxwRJSMeKKF2QT4fwpMeJf36POk6yJV_adQssw5c\n",
    "export ANTHROPIC_API_KEY='sk-ant-api03-...'\n",
    "OPENAI_API_KEY=sk-xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
    "curl -H 'Authorization: token ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'\n",
    "GITHUB_TOKEN=ghp_abcdefghijklmnopqrstuvwxyz0123456789\n",
    "glpat-xxxxxxxxxxxxxxxxxxxx glpat-<your_access_token>\n",
    "xoxb-your-token-here-please-replace-it xoxb-XXXXXXXXXXXX-XXXXXXXXXXXX\n",
    "https://hooks.slack.com/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXXX\n",
    "AIzaSyXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXXX\n",
    "sk_live_****************************\n",
    "-----BEGIN RSA PRIVATE KEY-----\n...\n-----END RSA PRIVATE KEY-----\n",
    "-----BEGIN PRIVATE KEY-----\\nYOUR_PRIVATE_KEY\\n-----END PRIVATE KEY-----\\n",
    "-----BEGIN PRIVATE KEY-----\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n",
    "dapi1234567890ab1cde2f3ab456c7d89efa postgres://user:password@localhost:5432/db\n",
    "hvs.EXAMPLE_TOKEN_DO_NOT_USE_IN_PRODUCTION_AT_ALL_1a\n",
];

const ENVIRONMENT: &str = "# Copy to .env and fill in
DATABASE_URL=postgres://postgres:postgres@localhost:5432/app
OPENAI_API_KEY=sk-your-key-here
ANTHROPIC_API_KEY=sk-ant-...
GITHUB_TOKEN=ghp_your_personal_access_token_goes_here
AWS_ACCESS_KEY_ID=
AWS_SECRET_ACCESS_KEY=your-secret-access-key-here
STRIPE_SECRET_KEY=sk_test_replace_me
STRIPE_WEBHOOK_SECRET=whsec_replace_me_with_the_real_one_please
SLACK_BOT_TOKEN=xoxb-000000000000-0000000000000-xxxxxxxxxxxxxxxxxxxxxxxx
SESSION_SECRET=change-me-to-something-that-is-long-enough
NPM_TOKEN=${NPM_TOKEN}
";

#[test]
fn everyday_texts_pass() {
    let scanner = knowing(&["11111111-2222-4333-8444-555555555555"]);
    for (name, text) in benign() {
        assert_eq!(scanner.sightings(text.as_bytes()), [], "{name}");
        assert_eq!(streamed(&scanner, text.as_bytes(), 1_500), [], "{name}, in pieces");
        let json = serde_json::json!({ "content": text }).to_string();
        assert_eq!(scanner.sightings(json.as_bytes()), [], "{name}, in a JSON string");
        let coded = STANDARD.encode(&text);
        assert_eq!(scanner.sightings(coded.as_bytes()), [], "{name}, in base64");
    }
}

#[test]
fn the_same_texts_with_a_secret_in_them_do_not() {
    let scanner = scanner();
    let (_, secret) = shaped().swap_remove(0);
    for (name, text) in benign() {
        let half = (0..=text.len() / 2).rev().find(|at| text.is_char_boundary(*at)).unwrap();
        let (left, right) = text.split_at(half);
        let text = format!("{left}\n{secret}\n{right}");
        assert_eq!(scanner.sightings(text.as_bytes()).len(), 1, "{name}");
        assert_eq!(streamed(&scanner, text.as_bytes(), 1_500).len(), 1, "{name}, in pieces");
    }
}
