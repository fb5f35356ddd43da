//! The commands beside `serve` and `run`: what they print, as text and as JSON, and how they end.

mod approvals;
mod catalog;
mod sessions;

use crate::support::mock::{PRODUCTION_VOLUME, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::policy::Edit;
use crate::support::{FOREIGN, Gate, delete_volume, holdgate, sha256, write_policy};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const POLICY: &str = r#"version: 1
proxy: { listen: 127.0.0.1:4128 }
approvals: { listen: 127.0.0.1:0 }
ca: { dir: certs }
state: state
agents:
  fixer:
    token: { env: HOLDGATE_AGENT_TOKEN }
    resources: [railway, docs]
    credentials: [token]
credentials:
  token: { service: railway, value: { env: NOT_SET_ANYWHERE }, resources: [railway] }
resources:
  railway:
    service: railway
    environment: staging
    ids: { volume: [v-1] }
    allow: [read, write]
    hold: [destructive, credential, access, execute, unknown]
  docs:
    hosts: [docs.example]
    rules:
      - allow: GET /**
      - deny: "* /admin/**"
"#;

fn folder_with(policy: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_policy(folder.path(), policy);
    folder
}

/// A command that reads what it is given.
fn given(folder: &Path, arguments: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_holdgate"))
        .current_dir(folder)
        .args(arguments)
        .env_remove("HOLDGATE_POLICY")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

/// What a command that has to succeed printed.
fn printed(output: Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

// ----- arguments -----

#[test]
fn what_is_no_command_ends_with_two() {
    let folder = tempfile::tempdir().unwrap();
    let cases: [&[&str]; 13] = [
        &[],
        &["nonsense"],
        &["policy"],
        &["policy", "nonsense"],
        &["policy", "explain"],
        &["approvals"],
        &["approvals", "nonsense"],
        &["approvals", "approve"],
        &["audit", "nonsense"],
        &["ca", "nonsense"],
        &["credential", "nonsense"],
        &["env", "--shell", "cmd"],
        &["run", "--"],
    ];
    for arguments in cases {
        let output = holdgate(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
        assert!(output.stdout.is_empty() && !said(&output).is_empty(), "{output:?}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing was made");
    assert!(printed(holdgate(folder.path(), &["--version"])).starts_with("holdgate "));
}

// ----- env -----

#[test]
fn a_shell_takes_the_environment_whatever_the_folder_is_called() {
    let name = "it's \"a\" $(id) `id` \\ ;&| é\u{202e}";
    let folder = tempfile::Builder::new().prefix(name).tempdir().unwrap();
    write_policy(folder.path(), POLICY);
    let text = printed(holdgate(folder.path(), &["env", "--shell", "json"]));
    let wanted: BTreeMap<String, String> = serde_json::from_str(&text).unwrap();
    // The token is the agent's own; only its place is known here.
    assert_eq!(wanted["https_proxy"], "http://fixer:${HOLDGATE_AGENT_TOKEN}@127.0.0.1:4128");
    for name in ["SSL_CERT_FILE", "CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO"] {
        let path = Path::new(&wanted[name]);
        assert!(path.starts_with(folder.path().join("certs")), "{path:?}");
        assert!(CertificateDer::pem_file_iter(path).unwrap().count() >= 1);
    }
    let script = "eval \"$(\"$0\" env --agent fixer --shell sh)\" && env -0";
    let output = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_holdgate")])
        .current_dir(folder.path())
        .env_remove("HOLDGATE_POLICY")
        .env("HOLDGATE_AGENT_TOKEN", "s'e\"c$r")
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{output:?}");
    let text = printed(output);
    let found: BTreeMap<&str, &str> =
        text.split('\0').filter_map(|line| line.split_once('=')).collect();
    for (name, value) in &wanted {
        let value = value.replace("${HOLDGATE_AGENT_TOKEN}", "s'e\"c$r");
        assert_eq!(found.get(&**name), Some(&&*value), "{name}");
    }
    // fish: only quote and backslash mean something between single quotes.
    let text = printed(holdgate(folder.path(), &["env", "--shell", "fish"]));
    for (name, value) in &wanted {
        let line = text.lines().find(|line| line.starts_with(&format!("set -gx {name} ")));
        let quoted = line.unwrap_or_else(|| panic!("{name}: {text}"));
        let quoted = quoted.strip_prefix(&format!("set -gx {name} ")).unwrap();
        assert_eq!(unquoted_by_fish(quoted), *value, "{quoted}");
    }
}

/// The value of a word as fish reads it, with the token's variable left as a name.
fn unquoted_by_fish(word: &str) -> String {
    let (mut out, mut inside, mut chars) = (String::new(), false, word.chars().peekable());
    let token = "\"$HOLDGATE_AGENT_TOKEN\"";
    let mut at = 0;
    while let Some(c) = chars.next() {
        match c {
            '\'' => inside = !inside,
            '\\' if inside && matches!(chars.peek(), Some('\\' | '\'')) => {
                out.extend(chars.next());
                at += 1;
            }
            '"' if !inside => {
                assert!(word[at..].starts_with(token), "{word}");
                chars.by_ref().take(token.len() - 1).for_each(drop);
                at += token.len() - 1;
                out.push_str("${HOLDGATE_AGENT_TOKEN}");
            }
            c => {
                assert!(inside, "`{c}` is not quoted: {word}");
                out.push(c);
            }
        }
        at += c.len_utf8();
    }
    assert!(!inside, "{word}");
    out
}

#[test]
fn an_environment_is_some_agents() {
    let two = POLICY.replace(
        "credentials:\n  token",
        "  other: { token: { env: OTHER }, resources: [docs] }\ncredentials:\n  token",
    );
    let folder = folder_with(&two);
    for arguments in [["env"].as_slice(), &["env", "--agent", "nobody"]] {
        let output = holdgate(folder.path(), arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(said(&output).contains("--agent"), "{output:?}");
    }
    let text = printed(holdgate(folder.path(), &["env", "--agent", "other"]));
    assert!(
        text.contains("export https_proxy='http://other:'\"$HOLDGATE_AGENT_TOKEN\"'@"),
        "{text}"
    );
    let only = POLICY.replace("    token: { env: HOLDGATE_AGENT_TOKEN }\n", "");
    let text = printed(holdgate(folder_with(&only).path(), &["env"]));
    assert!(text.contains("export https_proxy='http://127.0.0.1:4128'\n"), "{text}");
}

// ----- policy -----

#[test]
fn a_good_policy_is_said_to_be_good_and_nothing_is_made() {
    let folder = folder_with(POLICY);
    let text = printed(holdgate(folder.path(), &["policy", "check"]));
    assert!(text.contains("policy.yaml is good: 1 agents, 2 resources, 1 credentials"), "{text}");
    // A lint has its place as an error has.
    let lint = "`NOT_SET_ANYWHERE` is not set; it matches nothing\n  --> policy.yaml:12:37\n";
    assert!(text.contains(lint) && text.contains("lint: "), "{text}");
    let value = json_of(&holdgate(folder.path(), &["policy", "check", "--json"]));
    assert_eq!((&value["ok"], &value["digest"]), (&json!(true), &json!(sha256(POLICY.as_bytes()))));
    let lints = value["lints"].as_array().unwrap();
    let placed = |lint: &Value| lint["line"] == 12 && lint["column"] == 37;
    assert!(lints.iter().any(placed), "{lints:?}");
    for arguments in [["policy", "test"], ["policy", "schema"]] {
        printed(holdgate(folder.path(), &arguments));
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "only the policy");
}

#[test]
fn a_wrong_key_is_told_with_the_right_ones_and_without_echoes() {
    let cases = [
        ("proxy: { listne: 127.0.0.1:1 }", "proxy: { listen: 127.0.0.1:4128 }", "`listen`"),
        ("    resource: [docs]", "    credentials: [token]", "`resources`"),
        ("      - alow: GET /**", "      - allow: GET /**", "`allow`"),
        ("aproval: {}\nstate: state", "state: state", "`approvals`"),
        (
            "  token: { valeu: x, resources: [railway] }",
            "  token: { service: railway, value: { env: NOT_SET_ANYWHERE }, resources: [railway] }",
            "`value`",
        ),
        ("ca: { dir: certs, dir: other }", "ca: { dir: certs }", "duplicate"),
    ];
    for (wrong, right, wanted) in cases {
        let policy = Edit(POLICY.to_owned()).replace(right, wrong).0;
        let folder = folder_with(&policy);
        let output = holdgate(folder.path(), &["policy", "check"]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let text = said(&output);
        assert!(
            text.contains(wanted) && text.contains("expected") | text.contains("duplicate"),
            "{text}"
        );
        assert_eq!(text.matches("error: ").count(), 1, "one mistake, one error: {text}");
        let line = policy.lines().position(|line| wrong.starts_with(line)).unwrap() + 1;
        let written = policy.lines().nth(line - 1).unwrap();
        assert!(text.contains(&format!("--> policy.yaml:{line}:")), "{text}");
        assert!(text.contains(&format!("{line} | {written}")) && text.contains('^'), "{text}");
        let output = holdgate(folder.path(), &["policy", "check", "--json"]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        let value = json_of(&output);
        let errors = value["errors"].as_array().unwrap();
        assert_eq!((&value["ok"], errors.len()), (&json!(false), 1), "{value}");
        assert!(errors[0]["message"].as_str().unwrap().contains(wanted), "{value}");
        if wanted != "duplicate" {
            assert_eq!(errors[0]["line"], line, "{value}");
        }
    }
}

#[test]
fn all_errors_are_listed_for_programs_too() {
    let policy = POLICY
        .replace("environment: staging", "enviroment: staging")
        .replace("resources: [railway, docs]", "resources: [railway, docs, nowhere]")
        .replace("state: state", "state: state\nholds: { wait: soon }");
    let folder = folder_with(&policy);
    let value = json_of(&holdgate(folder.path(), &["policy", "check", "--json"]));
    let errors = value["errors"].as_array().unwrap();
    let lines: Vec<u64> = errors.iter().map(|error| error["line"].as_u64().unwrap()).collect();
    assert_eq!(lines, [6, 10, 17], "{value}");
}

/// K-21, K-22.
#[test]
fn a_value_is_not_put_in_for_whoever_asks() {
    let injected = Edit(POLICY.to_owned())
        .replace("resources: [railway] }", "resources: [railway], inject: true }")
        .0;
    let tokenless = injected.replace("    token: { env: HOLDGATE_AGENT_TOKEN }\n", "");
    let by_print = Edit(injected.clone())
        .replace("value: { env: NOT_SET_ANYWHERE }", "value: { fingerprint: \"hmac-sha256:0:0\" }")
        .0;
    for (policy, value, wanted) in [
        (&tokenless, "a-value-of-some-length", "which needs a `token`"),
        (&by_print, "a-value-of-some-length", "a value that is put in has to be known"),
        (&injected, "short", "has 12 to 4096 bytes"),
        (&injected, "a-value-and\r\nX-Another: header", "no line breaks"),
    ] {
        let folder = folder_with(policy);
        for arguments in [["policy", "check"].as_slice(), &["serve"], &["run", "--", "true"]] {
            let output = Command::new(env!("CARGO_BIN_EXE_holdgate"))
                .current_dir(folder.path())
                .args(arguments)
                .env("NOT_SET_ANYWHERE", value)
                .env_remove("HOLDGATE_POLICY")
                .output()
                .unwrap();
            assert_eq!(output.status.code(), Some(2), "{arguments:?} {output:?}");
            assert!(said(&output).contains(wanted), "{arguments:?} {output:?}");
            assert!(!said(&output).contains(value), "{output:?}");
        }
    }
}

#[test]
fn the_embedded_policy_passes_its_own_tests() {
    let folder = tempfile::tempdir().unwrap();
    let text = printed(holdgate(folder.path(), &["policy", "test"]));
    assert!(text.lines().last().unwrap().ends_with(" passed, 0 failed"), "{text}");
    let value = json_of(&holdgate(folder.path(), &["policy", "test", "--json"]));
    let passed = value["passed"].as_u64().unwrap();
    assert!(passed > 0 && text.contains(&format!("{passed} passed")), "{value}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn an_expectation_that_fails_is_named() {
    let case = |name: &str, request: &str, expect: &str| {
        format!("  - {{ name: {name}, agent: fixer, request: \"{request}\", expect: {expect} }}\n")
    };
    let tests = [
        case("right", "GET https://docs.example/x", "allow"),
        case("too kind", "GET https://docs.example/admin/x", "allow"),
        case("too strict", "GET https://docs.example/x", "hold"),
        case("other reason", "GET https://elsewhere.example/", "deny, reason: scope_violation"),
        case("no request", "nonsense", "deny"),
        case("no such agent", "GET https://docs.example/", "allow").replace("fixer", "nobody"),
    ]
    .concat();
    let folder = folder_with(&format!("{POLICY}tests:\n{tests}"));
    let output = holdgate(folder.path(), &["policy", "test"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let first = POLICY.lines().count() + 2;
    let lines = [
        "ok      right".to_owned(),
        format!("FAILED  too kind (policy.yaml:{}): expected allow , but it is deny", first + 1),
        format!("FAILED  too strict (policy.yaml:{}): expected hold , but it is allow", first + 2),
        format!(
            "FAILED  other reason (policy.yaml:{}): expected deny scope_violation, but it is deny out_of_scope",
            first + 3
        ),
        format!("FAILED  no request (policy.yaml:{}): ", first + 4),
        format!(
            "FAILED  no such agent (policy.yaml:{}): expected allow , but there is no agent `nobody`",
            first + 5
        ),
        "1 passed, 5 failed".to_owned(),
    ];
    assert_eq!(text.lines().count(), lines.len(), "{text}");
    for (line, wanted) in text.lines().zip(lines) {
        assert!(line.starts_with(&wanted), "{wanted}\n{line}");
    }
    let output = holdgate(folder.path(), &["policy", "test", "--json"]);
    let value = json_of(&output);
    assert_eq!((output.status.code(), &value["failed"]), (Some(1), &json!(5)));
    let failed = |test: &&Value| test["passed"] == false && test["why"].is_string();
    assert_eq!(value["tests"].as_array().unwrap().iter().filter(failed).count(), 5, "{value}");
}

#[test]
fn a_call_is_explained_without_being_sent() {
    let folder = folder_with(POLICY);
    let call = |volume: &str, token: &str| {
        let body = delete_volume(volume);
        format!(
            "POST https://backboard.railway.com/graphql/v2\nAuthorization: Bearer {token}\n\n{body}\n"
        )
    };
    let issued = "${credential:token}";
    let cases = [
        ("GET https://docs.example/x\n".to_owned(), 0, "allow", None, "policy.yaml:23"),
        (call("v-1", issued), 1, "hold", Some("destructive"), "mutation volumeDelete"),
        (call("v-2", issued), 1, "hold", Some("unknown_target"), "v-2"),
        (call("v-1", FOREIGN), 1, "deny", Some("foreign_credential"), "header authorization"),
        (
            "POST https://docs.example/admin/x\n".to_owned(),
            1,
            "deny",
            Some("scope_violation"),
            "policy.yaml:24",
        ),
        (
            "GET https://elsewhere.example/\n".to_owned(),
            1,
            "deny",
            Some("out_of_scope"),
            "elsewhere.example",
        ),
        (
            "GET https://docs.example/\nHost: other.example\n".to_owned(),
            1,
            "deny",
            Some("host_mismatch"),
            "host",
        ),
    ];
    for (request, code, verdict, reason, wanted) in &cases {
        std::fs::write(folder.path().join("request"), request).unwrap();
        let arguments = ["policy", "explain", "--agent", "fixer", "request"];
        let output = holdgate(folder.path(), &arguments);
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(*code), "{request} {text}");
        let first = format!("{verdict} {}", reason.unwrap_or_default());
        assert!(text.starts_with(&first) && text.contains(wanted), "{request} {text}");
        let output =
            given(folder.path(), &["policy", "explain", "-", "--json"], request.as_bytes());
        let value = json_of(&output);
        assert_eq!(output.status.code(), Some(*code), "{value}");
        assert_eq!((&value["verdict"], value["reason"].as_str()), (&json!(verdict), *reason));
        assert!(!value.to_string().contains(FOREIGN) && !text.contains(FOREIGN), "{value}");
    }
    let unusable: [(&[&str], &str, &str); 4] = [
        (&["policy", "explain", "-"], "nonsense", "begin with a line such as"),
        (
            &["policy", "explain", "-"],
            "GET https://docs.example/\nX: ${credential:none}\n",
            "`none`",
        ),
        (&["policy", "explain", "none.txt"], "", "none.txt"),
        (&["policy", "explain", "--agent", "nobody", "-"], "GET https://docs.example/", "--agent"),
    ];
    for (arguments, request, wanted) in unusable {
        let output = given(folder.path(), arguments, request.as_bytes());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(said(&output).contains(wanted), "{output:?}");
    }
}

#[test]
fn the_schema_names_every_section() {
    let folder = tempfile::tempdir().unwrap();
    let schema = json_of(&holdgate(folder.path(), &["policy", "schema"]));
    assert!(schema["$schema"].as_str().unwrap().contains("json-schema.org"), "{schema}");
    assert_eq!(
        (&schema["type"], &schema["additionalProperties"]),
        (&json!("object"), &json!(false))
    );
    let named: BTreeSet<&str> =
        schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    let sections = "agents approvals audit ca catalogs credentials documents holds limits lookups proxy quarantine resources sequences state tests version";
    assert_eq!(named, sections.split(' ').collect());
    let required = schema["required"].as_array().unwrap();
    assert!(["version", "agents", "resources"].iter().all(|name| required.contains(&json!(name))));
    // Every reference leads somewhere in the document.
    let mut open = vec![&schema];
    while let Some(value) = open.pop() {
        if let Some(reference) = value.get("$ref").and_then(Value::as_str) {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(schema.pointer(pointer).is_some(), "{reference}");
        }
        open.extend(value.as_object().into_iter().flat_map(|map| map.values()));
        open.extend(value.as_array().into_iter().flatten());
    }
}

// ----- ca, credential -----

#[tokio::test(flavor = "multi_thread")]
async fn the_authority_is_shown_and_its_key_is_not() {
    let gate = Gate::start().await;
    let exported = printed(gate.holdgate(&["ca", "export"]));
    assert_eq!(exported, std::fs::read_to_string(&gate.running().ca).unwrap());
    assert!(exported.starts_with("-----BEGIN CERTIFICATE-----") && !exported.contains("KEY"));
    let certificate = CertificateDer::from_pem_slice(exported.as_bytes()).unwrap();
    let fingerprint = sha256(&certificate);
    let text = printed(gate.holdgate(&["ca", "show"]));
    assert!(
        text.contains(&format!("sha256 {fingerprint}\n")) && text.contains("ca.pem\n"),
        "{text}"
    );
    let value = json_of(&gate.holdgate(&["ca", "show", "--json"]));
    assert_eq!(value["sha256"], fingerprint);
    assert!(value["valid"].as_str().unwrap().contains(" to "), "{value}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fingerprint_stands_for_the_secret() {
    let gate = Gate::start().await;
    let folder = gate.folder.path();
    let token = format!("{STAGING_TOKEN}\n");
    let arguments = ["credential", "fingerprint"];
    let text = printed(given(folder, &arguments, token.as_bytes()));
    let fingerprint = text.trim();
    assert!(fingerprint.starts_with("hmac-sha256:") && !text.contains(STAGING_TOKEN), "{text}");
    let value =
        json_of(&given(folder, &[&arguments[..], &["--json"]].concat(), STAGING_TOKEN.as_bytes()));
    assert_eq!(value, json!({ "fingerprint": fingerprint }));
    assert_eq!(given(folder, &arguments, b"\n").status.code(), Some(2));
    let path = folder.join("staging-token");
    std::fs::remove_file(&path).unwrap();
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let of_file = format!("{{ file: {} }}", json!(path));
    let changed = Edit(policy)
        .replace(&of_file, &format!("{{ fingerprint: \"{fingerprint}\" }}"))
        .replace("  wait: 20s\n", "  wait: 100ms\n")
        .0;
    write_policy(folder, &changed);
    gate.reload();
    let held = gate.delete_volume(STAGING_TOKEN, STAGING_VOLUME);
    assert_eq!((&*held.verdict(), &*held.reason()), ("hold", "destructive"), "{held:?}");
    assert_eq!(gate.delete_volume(FOREIGN, STAGING_VOLUME).reason(), "foreign_credential");
    assert_eq!(
        gate.delete_volume(STAGING_TOKEN, PRODUCTION_VOLUME).reason(),
        "credential_out_of_scope"
    );
    // It means nothing under another installation's key.
    let other = folder_with(&changed.replace("state: ", "state: other-state #"));
    printed(given(other.path(), &["--policy", "policy.yaml", "policy", "schema"], b""));
    let output = holdgate(other.path(), &["run", "--", "true"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(said(&output).contains("no fingerprint of this installation's key"), "{output:?}");
}
