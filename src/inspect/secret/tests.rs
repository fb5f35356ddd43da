//! What is found, however it is encoded and cut, and what is not a secret. No secret stands here: each
//! is put together when the tests run.

mod benign;

use super::*;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use proptest::prelude::*;
use std::fmt::Write as _;

/// Letters that look drawn at random and are the same each time.
pub(super) struct Draw(pub(super) u64);

impl Draw {
    pub(super) fn next(&mut self) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 ^ self.0 >> 29) >> 17
    }

    pub(super) fn letters(&mut self, alphabet: &str, length: usize) -> String {
        let alphabet = alphabet.as_bytes();
        let one = |_| char::from(alphabet[usize::try_from(self.next()).unwrap() % alphabet.len()]);
        (0..length).map(one).collect()
    }

    pub(super) fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}

pub(super) const ALNUM: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const HEX: &str = "0123456789abcdef";
const CAPITALS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

pub(super) fn scanner() -> Scanner {
    Scanner::new(Arc::new(FingerprintKey::new(b"test"))).unwrap()
}

fn knowing(secrets: &[&str]) -> Scanner {
    let scanner = scanner();
    let known = secrets.iter().enumerate().map(|(number, secret)| {
        (scanner.key.trace(secret.as_bytes()).unwrap(), Owner::Issued(number))
    });
    let known = Arc::new(Known::new(known));
    scanner.and(known)
}

fn checked(prefix: &str, draw: &mut Draw) -> String {
    let random = draw.letters(ALNUM, 30);
    let mut sum = crc(random.as_bytes());
    let mut digits = Vec::new();
    for _ in 0..6 {
        digits.push(ALNUM.as_bytes()[usize::try_from(sum % 62).unwrap()]);
        sum /= 62;
    }
    digits.reverse();
    format!("{prefix}{random}{}", String::from_utf8(digits).unwrap())
}

/// Another way to the same checksum: a table of remainders.
fn crc(bytes: &[u8]) -> u32 {
    let table: Vec<u32> = (0..256_u32)
        .map(|byte| {
            (0..8).fold(
                byte,
                |rest, _| if rest & 1 == 1 { rest >> 1 ^ 0xedb8_8320 } else { rest >> 1 },
            )
        })
        .collect();
    !bytes
        .iter()
        .fold(u32::MAX, |crc, byte| table[((crc ^ u32::from(*byte)) & 255) as usize] ^ crc >> 8)
}

fn token(claims: &str, draw: &mut Draw) -> String {
    let encode = |text: &str| URL_SAFE.encode(text).trim_end_matches('=').to_owned();
    format!(
        "{}.{}.{}",
        encode("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"),
        encode(claims),
        draw.letters(ALNUM, 43)
    )
}

/// Words and secrets of their shape.
pub(super) fn shaped() -> Vec<(&'static str, String)> {
    let mut draw = Draw(7);
    let mut all = vec![
        ("github-token", checked("ghp_", &mut draw)),
        ("github-token", checked("ghs_", &mut draw)),
        ("npm-token", checked("npm_", &mut draw)),
        (
            "kubernetes-token",
            token("{\"iss\":\"kubernetes/serviceaccount\",\"sub\":\"x\"}", &mut draw),
        ),
        (
            "kubernetes-token",
            token("{\"sub\":\"system:serviceaccount:a:b\",\"iss\":\"https://k\"}", &mut draw),
        ),
    ];
    let mut plain = |word, prefix: &str, alphabet, length, suffix: &str| {
        all.push((word, format!("{prefix}{}{suffix}", draw.letters(alphabet, length))));
    };
    plain("github-token", "github_pat_", ALNUM, 82, "");
    plain("gitlab-token", "glpat-", ALNUM, 20, "");
    plain("aws-access-key-id", "AKIA", CAPITALS, 16, "");
    plain("aws-session-token", "IQoJb3JpZ2luX2Vj", ALNUM, 400, "=");
    plain("google-api-key", "AIza", ALNUM, 35, "");
    plain("anthropic-key", "sk-ant-api03-", ALNUM, 93, "AA");
    plain("anthropic-key", "sk-ant-oat01-", ALNUM, 93, "AA");
    plain("openrouter-key", "sk-or-v1-", HEX, 64, "");
    plain("openai-key", "sk-proj-abcT3BlbkFJ", ALNUM, 40, "");
    plain("openai-key", "sk-proj-", ALNUM, 120, "");
    plain("api-key", "sk-", HEX, 32, "");
    plain("groq-key", "gsk_", ALNUM, 52, "");
    plain("slack-token", "xoxb-", "0123456789", 12, "-4711aBcDeFgHiJkLqWeR");
    plain("stripe-key", "sk_live_", ALNUM, 24, "");
    plain("crates-io-token", "cio", ALNUM, 32, "");
    plain("pypi-token", "pypi-AgEIcHlwaS5vcmc", ALNUM, 120, "");
    plain("docker-hub-token", "dckr_pat_", ALNUM, 27, "");
    plain("digitalocean-token", "dop_v1_", HEX, 64, "");
    plain("cloudflare-token", "cfut_", ALNUM, 48, "");
    plain("fly-token", "fm2_lJPECAAAAAAA", ALNUM, 180, "==");
    plain("heroku-key", "HRKU-AA", ALNUM, 58, "");
    plain("vault-token", "hvs.", ALNUM, 90, "");
    plain("terraform-token", "aB3dE5gH7jK9mN.atlasv1.", ALNUM, 67, "");
    plain("azure-client-secret", "aBc8Q~", ALNUM, 34, "");
    plain("sendgrid-key", "SG.", ALNUM, 22, ".aBcDeFgHiJkLmNoPqRsTuVwXyZ0918273645aBcDeFq");
    plain("age-key", "AGE-SECRET-KEY-1", "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L", 58, "");
    let pem = format!(
        "-----BEGIN {} KEY-----\n{}\n{}\n",
        "PRIVATE",
        draw.letters(ALNUM, 64),
        draw.letters(ALNUM, 64)
    );
    all.push(("private-key", pem));
    all
}

/// What a text says when each byte is written by itself.
fn each(secret: &str, write: impl Fn(u8) -> String) -> String {
    secret.bytes().map(write).collect::<Vec<_>>().concat()
}

fn hex(secret: &str) -> String {
    each(secret, |byte| format!("{byte:02x}"))
}

/// A secret behind other text in base64, in lines of 76 letters.
fn folded(secret: &str, fold: &str) -> String {
    let coded = STANDARD.encode(format!("so many words that stand before: {secret}"));
    let lines: Vec<&str> =
        coded.as_bytes().chunks(76).map(|line| std::str::from_utf8(line).unwrap()).collect();
    lines.join(fold)
}

/// A secret in every form that is undone, each named.
fn forms(secret: &str) -> Vec<(&'static str, String)> {
    let wide: Vec<u8> = secret.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let percent = |text: &str| each(text, |byte| format!("%{byte:02X}"));
    vec![
        ("", secret.to_owned()),
        ("base64", STANDARD.encode(secret)),
        ("base64", STANDARD_NO_PAD.encode(format!(":{secret}"))),
        ("base64", URL_SAFE.encode(format!("a {secret}>?~ \u{7f}"))),
        ("base64", format!("v1/{}", STANDARD.encode(secret))),
        ("base64", STANDARD.encode(wide)),
        ("base64", folded(secret, "\n")),
        ("base64", folded(secret, "\r\n")),
        ("base64", folded(secret, "\\n")),
        ("hex", hex(secret)),
        ("hex", hex(secret).to_uppercase()),
        ("hex", format!("a{}", hex(secret))),
        ("percent", percent(secret)),
        ("escapes", each(secret, |byte| format!("\\u{byte:04x}"))),
        ("escapes", each(secret, |byte| format!("\\x{byte:02x}"))),
        ("utf-16", each(secret, |byte| format!("{}\0", char::from(byte)))),
        ("utf-16", each(secret, |byte| format!("\0{}", char::from(byte)))),
        ("percent+base64", percent(&STANDARD.encode(secret))),
        ("base64+hex", STANDARD.encode(hex(secret))),
        ("base64+base64+base64", STANDARD.encode(STANDARD.encode(STANDARD.encode(secret)))),
        ("percent+percent", percent(&percent(secret))),
        ("escapes+base64", each(&STANDARD.encode(secret), |byte| format!("\\u{byte:04X}"))),
    ]
}

/// What the stream finds when the text comes in pieces of so many bytes.
fn streamed(scanner: &Scanner, text: &[u8], pieces: usize) -> Vec<Sighting> {
    let mut stream = Stream::new(scanner.clone());
    let mut found: Vec<_> = text.chunks(pieces).flat_map(|piece| stream.feed(piece)).collect();
    found.extend(stream.end());
    found
}

/// K-15.
#[test]
fn every_shape_is_found_by_its_word_in_every_text() {
    let scanner = scanner();
    for (word, secret) in shaped() {
        for (before, after) in [
            ("", ""),
            ("{\"a\":\"", "\"}"),
            ("x\\n", "\\n"),
            ("TOKEN=", "\n"),
            ("a=", "&b=c"),
            ("/v1/", "/x"),
        ] {
            let text = format!("{before}{secret}{after}");
            let found = scanner.sightings(text.as_bytes());
            let words: Vec<_> = found.iter().map(|one| one.what).collect();
            assert!(
                matches!(words[..], [What::Shape { word: found, .. }] if found == word),
                "{word}: {words:?}"
            );
            assert!(found[0].encodings.is_plain());
            for pieces in [1, 7, 40, 1024] {
                assert_eq!(
                    streamed(&scanner, text.as_bytes(), pieces),
                    found,
                    "{word} in {pieces}"
                );
            }
        }
    }
}

#[test]
fn a_private_key_is_the_same_however_its_lines_are_broken() {
    let scanner = scanner();
    let (_, pem) = shaped().pop().unwrap();
    let fingerprints: Vec<_> = [pem.clone(), pem.replace('\n', "\\n"), pem.replace('\n', "\r\n")]
        .iter()
        .map(|text| scanner.sightings(text.as_bytes())[0].trace.fingerprint)
        .collect();
    assert!(fingerprints.iter().all(|one| *one == fingerprints[0]));
    let public = pem.replace("PRIVATE", "PUBLIC");
    assert_eq!(scanner.sightings(public.as_bytes()), []);
}

/// K-16.
#[test]
fn every_encoding_is_undone() {
    for (word, secret) in shaped() {
        let shapes = scanner();
        for (encoding, text) in forms(&secret) {
            let found = shapes.sightings(text.as_bytes());
            let is_word = |one: &Sighting| matches!(one.what, What::Shape { word: found, .. } if found == word);
            assert!(found.iter().any(is_word), "{word} in {encoding}: {found:?}");
        }
    }
    let secret = "hunter2-and-more-%/\"of-it";
    let known = knowing(&[secret]);
    for (encoding, text) in forms(secret) {
        let found = known.sightings(text.as_bytes());
        assert_eq!(found.len(), 1, "{encoding}: {text}");
        assert_eq!(found[0].what, What::Known(Owner::Issued(0)));
        assert_eq!(found[0].encodings.to_string(), encoding, "{text}");
        assert_eq!(found[0].trace, known.key.trace(secret.as_bytes()).unwrap());
    }
    let json = serde_json::Value::from(serde_json::Value::from(secret).to_string()).to_string();
    assert_eq!(known.sightings(json.as_bytes()).len(), 1, "{json}");
}

#[test]
fn a_sighting_is_told_once_and_shows_nothing() {
    let (_, secret) = shaped().swap_remove(0);
    let text = format!("{secret} {} {secret}", STANDARD.encode(&secret));
    let known = knowing(&[&secret]);
    let found = known.sightings(text.as_bytes());
    assert_eq!(found.len(), 1);
    assert_eq!(
        found[0].what,
        What::Known(Owner::Issued(0)),
        "whose it is says more than its shape"
    );
    let shown = format!("{found:?} {known:?}");
    let parts = secret.as_bytes().array_windows::<6>().skip(4);
    assert!(parts.map(|part| std::str::from_utf8(part).unwrap()).all(|part| !shown.contains(part)));
}

/// K-27.
#[test]
fn hostile_texts_come_to_an_end() {
    // They end: the rounds are bounded, and so is what is told.
    let (_, secret) = shaped().swap_remove(0);
    let known = knowing(&[&secret]);
    for text in [
        "ICAgICAgICAg".repeat(5_000),
        "2020202020202020".repeat(5_000),
        "%25".repeat(20_000),
        "\\\\".repeat(30_000),
        "eyJ".repeat(20_000),
        "sk-T3BlbkFJ".repeat(5_000),
        "-----BEGIN PRIVATE KEY-----\\n".repeat(2_000),
        secret.repeat(1_000),
        "a\0".repeat(30_000),
    ] {
        assert!(known.sightings(text.as_bytes()).len() <= 64);
    }
}

proptest! {
    #[test]
    fn a_known_secret_is_found_in_every_form_at_every_cut(
        secret in "[!-~]{12,80}",
        before in "[ -~]{0,40}",
        after in "[ -~]{0,40}",
        fill in 0_usize..3_000,
        pieces in 1_usize..5_000,
    ) {
        let known = knowing(&[&secret]);
        for (encoding, form) in forms(&secret) {
            let mut text = String::new();
            for number in 0..fill / 10 {
                write!(text, "{{\"n\":{number}}}, ").unwrap();
            }
            // Something that is no letter of the encoding stands around it, or nothing.
            write!(text, "{before} {form} {after}").unwrap();
            let is_it = |one: &Sighting| one.what == What::Known(Owner::Issued(0));
            prop_assert!(known.sightings(text.as_bytes()).iter().any(is_it), "{encoding}");
            let found = streamed(&known, text.as_bytes(), pieces);
            prop_assert_eq!(found.iter().filter(|one| is_it(one)).count(), 1, "{}", encoding);
        }
    }

    #[test]
    fn nothing_known_is_found_where_it_is_not(text in "[ -~]{0,300}", secret in "[a-z]{12,20}") {
        prop_assume!(!text.contains(&secret));
        prop_assert_eq!(knowing(&[&secret]).sightings(text.as_bytes()), []);
    }
}

#[test]
fn more_than_are_looked_at_are_told_as_such() {
    let key = Arc::new(FingerprintKey::new(b"key"));
    let secret = |number: usize| format!("decoy-{number:04}-of-the-host");
    let traces = (0..100).filter_map(|n| Some((key.trace(secret(n).as_bytes())?, Owner::Seen(n))));
    let scanner = Scanner::new(key.clone()).unwrap().and(Arc::new(Known::new(traces)));
    let text = |count: usize| (0..count).map(secret).collect::<Vec<_>>().join(" ");
    let crowded = |count: usize| {
        scanner.sightings(text(count).as_bytes()).iter().any(|one| one.what == What::Crowded)
    };
    assert!(!crowded(63) && crowded(64) && crowded(100));
    let mut stream = Stream::new(scanner.clone());
    let mut found = stream.feed(text(100).as_bytes());
    found.extend(stream.end());
    assert!(found.iter().any(|one| one.what == What::Crowded));
}

/// K-27: what makes each check read a whole run is told, and not checked to its end.
#[test]
fn a_run_of_beginnings_is_told_as_such() {
    let key = Arc::new(FingerprintKey::new(b"key"));
    let scanner = Scanner::new(key).unwrap();
    for unit in ["eyJ-", "-ya29.", "eyJ.", "-sk-ant-api", "hvs.-"] {
        let found = scanner.sightings(unit.repeat(50_000).as_bytes());
        assert!(found.iter().any(|one| one.what == What::Crowded), "{unit}");
        assert!(scanner.sightings(unit.repeat(4).as_bytes()).is_empty(), "{unit}");
        let spaced = format!("{unit} ").repeat(50_000);
        assert!(scanner.sightings(spaced.as_bytes()).is_empty(), "{unit}");
    }
}
