//! `holdgate run`: one command behind a proxy of its own, its environment, its law, its terminal.

mod terminal;

use crate::support::mock::{Mock, Options, PROJECT, PolicyOptions, STAGING_TOKEN, STAGING_VOLUME};
use crate::support::policy::Edit;
use crate::support::{APPROVER_TOKEN, Answer, Gate, delete_volume, sha256, until, write_policy};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitStatus, Output, Stdio};
use std::time::Duration;

/// A policy and the mock behind it, without a proxy that runs.
async fn unserved(change: impl FnOnce(String) -> String) -> Gate {
    let folder = tempfile::Builder::new().prefix("it's a \"run\" ").tempdir().unwrap();
    let mock = Mock::start(Options::default()).await.unwrap();
    let mut asked = PolicyOptions::new(folder.path());
    asked.token_hash = Some(format!("sha256:{}", sha256(APPROVER_TOKEN.as_bytes())));
    asked.wait = Duration::from_secs(20);
    write_policy(folder.path(), &change(mock.policy(&asked).unwrap()));
    write_body(folder.path(), &delete_volume(STAGING_VOLUME));
    Gate { folder, mock, process: None }
}

/// What [`CALL`] sends.
fn write_body(folder: &Path, body: &Value) {
    std::fs::write(folder.join("body.json"), body.to_string()).unwrap();
}

/// Sends `body.json` to the API with the issued token, as a program of the agent would: it knows
/// nothing of the proxy but its environment.
const CALL: &str = "curl -sS -i --suppress-connect-headers --max-time 60 \
    -H 'Content-Type: application/json' -H \"Authorization: Bearer $(cat staging-token)\" \
    -d @body.json https://backboard.railway.com/graphql/v2";
/// Reads a page.
const READ: &str = "curl -sS -i --suppress-connect-headers --max-time 60 https://docs.railway.com/";

/// `holdgate` in a folder, with what an operator may have in the environment.
fn command(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_holdgate"));
    command.current_dir(folder).env_remove("HOLDGATE_POLICY");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// `holdgate run -- ARGUMENTS` to its end.
fn run(folder: &Path, arguments: &[&str]) -> Output {
    command(folder).args(["run", "--"]).args(arguments).output().unwrap()
}

/// A shell under `holdgate run` that does what the test says, until it is dropped.
struct Session {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Session {
    fn start(folder: &Path) -> Self {
        let mut child = command(folder)
            .args(["run", "--", "sh"])
            .env("HOLDGATE_APPROVER_TOKEN", APPROVER_TOKEN)
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().unwrap());
        Self { child, input, output }
    }

    /// Runs a line; what it printed.
    fn say(&mut self, line: &str) -> String {
        self.tell(line);
        self.hear()
    }

    fn tell(&mut self, line: &str) {
        let line = format!("{{ {line}\n}} </dev/null; printf '\\0'\n");
        self.input.as_mut().unwrap().write_all(line.as_bytes()).unwrap();
    }

    fn hear(&mut self) -> String {
        let mut bytes = Vec::new();
        self.output.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "the session ended: {bytes:?}");
        String::from_utf8(bytes).unwrap()
    }

    /// Runs a curl that prints head and body.
    fn curl(&mut self, line: &str) -> Answer {
        answer(self.say(line).into_bytes())
    }

    fn signal(&self, name: &str) {
        signal(&self.child, name);
    }

    /// Ends the shell, and waits for its proxy.
    fn end(&mut self) -> ExitStatus {
        drop(self.input.take());
        until("the run ends", || self.child.try_wait().unwrap())
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn signal(child: &Child, name: &str) {
    let done = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status();
    assert!(done.unwrap().success());
}

fn answer(stdout: Vec<u8>) -> Answer {
    let status = std::os::unix::process::ExitStatusExt::from_raw(0);
    Answer::of(&Output { status, stdout, stderr: Vec::new() })
}

/// The folders of the runs of a policy.
fn run_folders(gate: &Gate) -> Vec<PathBuf> {
    let folder = gate.folder.path().join("state/run");
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

fn certificates(path: &str) -> BTreeSet<Vec<u8>> {
    let read = CertificateDer::pem_file_iter(path).unwrap();
    read.map(|certificate| certificate.unwrap().to_vec()).collect()
}

// ----- the environment -----

const BUNDLES: [&str; 8] = [
    "SSL_CERT_FILE",
    "CURL_CA_BUNDLE",
    "REQUESTS_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "CARGO_HTTP_CAINFO",
    "PIP_CERT",
    "DENO_CERT",
    "AWS_CA_BUNDLE",
];
const APPROVERS: [&str; 4] = [
    "HOLDGATE_APPROVER_TOKEN",
    "HOLDGATE_WEBHOOK_SECRET",
    "HOLDGATE_DATABASE_URL",
    "HOLDGATE_POLICY",
];

#[tokio::test(flavor = "multi_thread")]
async fn the_child_gets_no_secret_that_the_policy_keeps_for_others() {
    let gate = unserved(|policy| {
        let production = "\ncredentials:\n  production-token:\n    service: railway\n    \
                          value: { env: OF_PRODUCTION }\n    resources: [railway-production]\n  \
                          own-token:\n    service: railway\n    value: { env: OF_ITS_OWN }\n    \
                          resources: [railway-staging]\n";
        policy
            .replace("\ncredentials:\n", production)
            .replace("[railway-staging-token]", "[railway-staging-token, own-token]")
    })
    .await;
    let output = command(gate.folder.path())
        .args(["run", "--", "sh", "-c", "env"])
        .env("OF_PRODUCTION", "production-secret")
        .env("OF_ITS_OWN", "own-secret")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(!text.contains("OF_PRODUCTION") && !text.contains("production-secret"), "{text}");
    assert!(text.contains("OF_ITS_OWN=own-secret"), "{text}");
}

/// The child has placeholders for what the proxy puts in, and no secret that it was not issued.
#[tokio::test(flavor = "multi_thread")]
async fn the_child_holds_placeholders_and_what_it_was_issued() {
    let gate = unserved(|policy| {
        let token = "    token: { env: HOLDGATE_AGENT_TOKEN }\n    profile: coding-agent\n";
        Edit(policy)
            .replace("    profile: coding-agent\n", token)
            .replace("[railway-staging-token]", "[railway-staging-token, own-token]")
            .replace(
                "\ncredentials:\n",
                "\ncredentials:\n  own-token:\n    value: { env: OWN_TOKEN }\n    resources: [docs]\n",
            )
            .replace("value: { file:", "inject: true\n    value: { env: RAILWAY_TOKEN }\n    # {")
            .0
    })
    .await;
    let model = format!("sk-ant-api03-{}", "0123456789abcdef".repeat(3));
    let github = format!("ghp_{}", "0123456789abcdef".repeat(3));
    let call = "env; curl -sS --max-time 60 -H 'Content-Type: application/json' \
        -H \"Authorization: Bearer $RAILWAY_TOKEN\" -d @body.json https://backboard.railway.com/graphql/v2";
    let query = format!("query {{ project(id: \"{PROJECT}\") {{ name }} }}");
    write_body(gate.folder.path(), &json!({ "query": query }));
    let run = |keep: &[&str]| {
        let keep = keep.iter().flat_map(|name| ["--keep", name]);
        let output = command(gate.folder.path())
            .arg("run")
            .args(keep)
            .args(["--", "sh", "-c", call])
            .env("RAILWAY_TOKEN", STAGING_TOKEN)
            .env("OWN_TOKEN", "issued-to-the-agent")
            .env("ANTHROPIC_API_KEY", &model)
            .env("GITHUB_TOKEN", &github)
            .env("WHATEVER", &github)
            .env("NOTE", format!("the token is {STAGING_TOKEN}"))
            .env("DATABASE_URL", "postgres://app:hunter2-of-production@db.internal/app")
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    let (out, told) = run(&[]);
    assert!(!out.contains(STAGING_TOKEN) && out.contains("\nRAILWAY_TOKEN="), "{out}");
    assert!(out.contains("\"name\":"), "the placeholder is as good as the value: {out}");
    assert!(out.contains("OWN_TOKEN=issued-to-the-agent") && out.contains(&model), "{out}");
    assert!(!out.contains(&github) && !out.contains("hunter2"), "{out}");
    for name in ["GITHUB_TOKEN", "WHATEVER", "DATABASE_URL", "NOTE"] {
        assert!(!out.contains(&format!("\n{name}=")) && told.contains(name), "{name}: {told}");
    }
    assert!(!told.contains("ANTHROPIC") && !told.contains("OWN_TOKEN"), "{told}");
    let (out, told) = run(&["GITHUB_TOKEN"]);
    assert!(out.contains(&format!("GITHUB_TOKEN={github}")) && !out.contains("WHATEVER="), "{out}");
    assert!(!told.contains("GITHUB_TOKEN"), "{told}");
}

/// M-05.
#[tokio::test(flavor = "multi_thread")]
async fn the_child_gets_the_kit_and_nothing_of_the_approvers() {
    let gate = unserved(|policy| policy).await;
    let mut command = command(gate.folder.path());
    command.args(["run", "--agent", "staging-fixer", "--", "sh", "-c", "env -0"]);
    // What stood there before must not win.
    command.env("https_proxy", "http://elsewhere.example:1").env("no_proxy", "*");
    command.env("CURL_CA_BUNDLE", "/nowhere").env("OF_THE_USER", "as it was");
    for name in APPROVERS {
        command.env(name, APPROVER_TOKEN);
    }
    let output = command.env("HOLDGATE_POLICY", gate.policy_path()).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let variables: BTreeMap<&str, &str> =
        text.split('\0').filter_map(|line| line.split_once('=')).collect();
    let proxy = variables["HTTPS_PROXY"];
    for name in ["https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
        assert_eq!(variables[name], proxy, "{name}");
    }
    let secret = proxy.strip_prefix("http://staging-fixer:").unwrap();
    let (secret, address) = secret.split_once("@127.0.0.1:").unwrap();
    assert!(secret.len() >= 32 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_ne!(address.parse::<u16>().unwrap(), 0);
    for name in ["NO_PROXY", "no_proxy"] {
        assert_eq!(variables[name], "localhost,127.0.0.1,::1");
    }
    assert_eq!((variables["NODE_USE_ENV_PROXY"], variables["OF_THE_USER"]), ("1", "as it was"));
    for name in APPROVERS {
        assert!(!variables.contains_key(name), "{name}");
    }
    assert!(!text.contains(APPROVER_TOKEN));
    // Node adds to its roots, all others replace theirs.
    let ca = certificates(variables["NODE_EXTRA_CA_CERTS"]);
    let own = certificates(gate.folder.path().join("certs/ca.pem").to_str().unwrap());
    assert!(ca == own && ca.len() == 1);
    let bundle = variables["SSL_CERT_FILE"];
    for name in BUNDLES {
        assert_eq!(variables[name], bundle, "{name}");
    }
    let mut wanted: BTreeSet<Vec<u8>> = own;
    let system = rustls_native_certs::load_native_certs().certs;
    wanted.extend(system.iter().map(|certificate| certificate.to_vec()));
    assert!(certificates(bundle) == wanted, "the bundle is the system's roots and ours");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("`staging-fixer` goes through 127.0.0.1:"), "{said}");
    assert!(said.contains("this is advisory"), "{said}");
    assert!(said.contains("there is no terminal to ask on"), "{said}");
    assert!(!said.contains(secret), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_systems_roots_stay_trusted_beside_ours() {
    let gate = unserved(|policy| policy).await;
    // Where an operator names other roots, those are the system's.
    let roots = gate.folder.path().join("mock-ca.pem");
    let mut command = command(gate.folder.path());
    command.args(["run", "--", "sh", "-c", "cat \"$SSL_CERT_FILE\""]);
    command.env("SSL_CERT_FILE", &roots).env_remove("SSL_CERT_DIR");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let found: BTreeSet<Vec<u8>> = CertificateDer::pem_slice_iter(&output.stdout)
        .map(|certificate| certificate.unwrap().to_vec())
        .collect();
    let mut wanted = certificates(roots.to_str().unwrap());
    wanted.extend(certificates(gate.folder.path().join("certs/ca.pem").to_str().unwrap()));
    assert_eq!(found.len(), 2);
    assert!(found == wanted);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_status_is_that_of_the_command() {
    let gate = unserved(|policy| policy).await;
    for (script, code) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("exit 255", 255),
        ("kill -TERM $$", 128 + 15),
        ("kill -KILL $$", 128 + 9),
    ] {
        let output = run(gate.folder.path(), &["sh", "-c", script]);
        assert_eq!(output.status.code(), Some(code), "{script} {output:?}");
    }
    // Output and input are the command's own.
    let output = run(gate.folder.path(), &["sh", "-c", "echo out; echo err >&2; cat"]);
    assert_eq!(output.stdout, b"out\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("\nerr\n"), "{output:?}");
    let unusable: [(&[&str], &str); 4] = [
        (&["run", "--", "/nowhere/at-all"], "/nowhere/at-all"),
        (&["run"], "COMMAND"),
        (&["run", "--agent", "nobody", "--", "true"], "`nobody`"),
        (&["--policy", "none.yaml", "run", "--", "true"], "none.yaml"),
    ];
    for (arguments, wanted) in unusable {
        let output = command(gate.folder.path()).args(arguments).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?} {said}");
        assert!(said.contains(wanted) && !said.contains("panicked"), "{arguments:?} {said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signals_reach_the_command_and_do_not_end_its_proxy() {
    let gate = unserved(|policy| policy).await;
    let mut session = Session::start(gate.folder.path());
    assert_eq!(session.curl(READ).status, 200);
    // A terminal sends both to the command as well, which decides what they mean.
    for name in ["HUP", "INT"] {
        session.signal(name);
        assert_eq!(session.curl(READ).status, 200, "{name}");
    }
    assert!(session.end().success());
    let mut command = command(gate.folder.path());
    command.args(["run", "--", "sh", "-c", "trap 'exit 9' TERM; echo ready; read line"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    let mut ready = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    signal(&child, "TERM");
    let status = until("the run ends", || child.try_wait().unwrap());
    assert_eq!(status.code(), Some(9));
}

// ----- who goes through, under which law -----

#[tokio::test(flavor = "multi_thread")]
async fn only_the_commands_own_secret_is_let_in() {
    let gate = unserved(|policy| policy).await;
    let (mut one, mut two) =
        (Session::start(gate.folder.path()), Session::start(gate.folder.path()));
    assert_eq!(one.curl(READ).status, 200);
    assert_eq!(two.curl(READ).status, 200, "two runs of a policy at once");
    assert_eq!(gate.mock.requests().len(), 2);
    let url = |session: &mut Session| session.say("printf %s \"$https_proxy\"");
    let (first, second) = (url(&mut one), url(&mut two));
    let (user, address) = first.split_once('@').unwrap();
    let (other, _) = second.split_once('@').unwrap();
    assert_ne!(user, other, "each run has its own");
    let before = gate.mock.requests().len();
    for proxy in [
        format!("http://{address}"),
        format!("{other}@{address}"),
        format!("http://staging-fixer:@{address}"),
        format!("http://staging-fixer:{STAGING_TOKEN}@{address}"),
        format!("http://staging-fixer:{APPROVER_TOKEN}@{address}"),
        format!("{}@{address}", user.replace("staging-fixer", "somebody")),
    ] {
        let head = one.say(&format!(
            "curl -sS -i --max-time 60 --proxy '{proxy}' https://docs.railway.com/ 2>/dev/null"
        ));
        assert!(head.starts_with("HTTP/1.1 407 "), "{proxy}: {head}");
    }
    assert_eq!(gate.mock.requests().len(), before);
    assert_eq!(one.curl(READ).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_policy_is_pinned_when_the_command_starts() {
    let gate = unserved(|policy| policy).await;
    let mut session = Session::start(gate.folder.path());
    let post = format!("{READ} -d x");
    let look = |session: &mut Session| {
        assert_eq!(session.curl(READ).status, 200);
        let refused = session.curl(&post);
        assert_eq!((refused.status, &*refused.reason()), (403, "scope_violation"), "{refused:?}");
    };
    look(&mut session);
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let rules = "    hosts: [docs.railway.com]\n    rules:\n      - allow: GET /**\n";
    let wider = rules.replace("GET /**", "POST /**");
    for changed in [Edit(policy).replace(rules, &wider).0, "nothing\n".to_owned()] {
        // The command itself may be able to write it.
        write_policy(gate.folder.path(), &changed);
        session.signal("HUP");
        look(&mut session);
    }
    std::fs::remove_file(gate.policy_path()).unwrap();
    look(&mut session);
    assert!(session.end().success());
    let records = records(&gate);
    let loaded = records.iter().filter(|record| record["kind"] == "policy").count();
    assert_eq!(loaded, 1, "{records:#?}");
}

/// The audit records of the only run.
fn records(gate: &Gate) -> Vec<Value> {
    let folders = run_folders(gate);
    assert_eq!(folders.len(), 1, "{folders:?}");
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(folders[0].join("audit")).unwrap().map(|e| e.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let text: String = files.iter().map(|path| std::fs::read_to_string(path).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_run_has_a_state_of_its_own() {
    let gate = unserved(|policy| policy).await;
    assert!(run(gate.folder.path(), &["sh", "-c", READ]).status.success());
    let [folder] = &*run_folders(&gate) else { panic!("one run, one folder") };
    let mode = std::fs::metadata(folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "only its owner enters");
    assert!(!folder.join("approvals.address").exists(), "it is over");
    let records = records(&gate);
    let request = records.iter().find(|record| record["kind"] == "request").unwrap();
    assert_eq!(
        (&request["agent"], &request["host"]),
        (&json!("staging-fixer"), &json!("docs.railway.com"))
    );
    // The log of a run is a whole one; another policy file leads the commands to it.
    let policy = std::fs::read_to_string(gate.policy_path()).unwrap();
    let (own, of_run) = (gate.folder.path().join("state"), folder.to_str().unwrap());
    let (own, of_run) = (json!(own.to_str().unwrap()), json!(of_run));
    let changed = Edit(policy).replace(&format!("\nstate: {own}"), &format!("\nstate: {of_run}")).0;
    std::fs::write(gate.folder.path().join("of-run.yaml"), changed).unwrap();
    let verified = gate.holdgate(&["--policy", "of-run.yaml", "audit", "verify"]);
    assert!(verified.status.success(), "{verified:?}");
    assert!(run(gate.folder.path(), &["true"]).status.success());
    assert_eq!(run_folders(&gate).len(), 2);
}

#[test]
fn without_a_policy_the_embedded_one_is_used() {
    let folder = tempfile::tempdir().unwrap();
    let refused = "curl -sS -i --suppress-connect-headers --max-time 60 https://nowhere.example/";
    let output = run(folder.path(), &["sh", "-c", refused]);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(answer(output.stdout).reason(), "out_of_scope");
}

// ----- held calls -----

#[tokio::test(flavor = "multi_thread")]
async fn approvers_find_the_holds_of_a_run() {
    let gate = unserved(|policy| policy).await;
    let nothing = gate.holdgate(&["approvals", "list", "--json"]);
    assert_eq!(nothing.status.code(), Some(2), "{nothing:?}");
    let mut session = Session::start(gate.folder.path());
    assert_eq!(session.say("echo here"), "here\n");
    let nobodys = delete_volume("dddddddd-0000-4000-8000-00000000ffff");
    for (decision, status, body) in
        [("deny", 403, nobodys), ("approve", 200, delete_volume(STAGING_VOLUME))]
    {
        assert!(gate.waiting().is_empty());
        write_body(gate.folder.path(), &body);
        session.tell(CALL);
        let id = gate.wait_for_hold();
        assert_eq!(gate.mock.bytes_received(), 0, "a held call reached the mock");
        let shown = gate.holdgate(&["approvals", "show", &id, "--json"]);
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        assert_eq!(shown["card"]["operations"][0]["name"], "mutation volumeDelete");
        let done = gate.holdgate(&["approvals", decision, &id]);
        assert!(done.status.success(), "{done:?}");
        let got = answer(session.hear().into_bytes());
        assert_eq!(got.status, status, "{got:?}");
        let deleted: &[String] =
            if decision == "deny" { &[] } else { &[STAGING_VOLUME.to_owned()] };
        assert_eq!(gate.mock.deletions(), deleted);
    }
    assert!(session.end().success());
    let over = gate.holdgate(&["approvals", "list"]);
    assert_eq!(over.status.code(), Some(2), "{over:?}");
    let said = String::from_utf8(over.stderr).unwrap();
    assert!(said.contains("no Holdgate of this policy is running"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_crashed_is_not_asked_for_its_holds() {
    let gate = unserved(|policy| policy).await;
    let (mut crashed, mut lives) =
        (Session::start(gate.folder.path()), Session::start(gate.folder.path()));
    assert_eq!((crashed.curl(READ).status, lives.curl(READ).status), (200, 200));
    assert!(gate.waiting().is_empty(), "both answer");
    crashed.child.kill().unwrap();
    crashed.child.wait().unwrap();
    let left: Vec<PathBuf> =
        run_folders(&gate).into_iter().map(|folder| folder.join("approvals.address")).collect();
    assert!(left.iter().all(|address| address.exists()), "a crash leaves its address");
    // Whoever has the port now must not be sent the approver's token.
    let old = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    old.set_nonblocking(true).unwrap();
    for address in &left {
        let folder = address.parent().unwrap();
        let locked = std::fs::File::open(folder.join("lock")).unwrap().try_lock().is_err();
        if !locked {
            std::fs::write(address, old.local_addr().unwrap().to_string()).unwrap();
        }
    }
    assert!(gate.waiting().is_empty(), "the one that lives answers");
    lives.tell(CALL);
    gate.approve(&gate.wait_for_hold());
    assert_eq!(answer(lives.hear().into_bytes()).status, 200);
    let asked = old.accept().map(drop).unwrap_err();
    assert_eq!(asked.kind(), std::io::ErrorKind::WouldBlock, "nobody asked there");
    assert!(lives.end().success());
    let over = gate.holdgate(&["approvals", "list"]);
    assert_eq!(over.status.code(), Some(2), "{over:?}");
}

// ----- the terminal -----

/// Runs a command on a terminal of its own, types an answer at each question, and shows all that
/// appeared. The files `started` and `asked` tell the command how far it is.
const TERMINAL: &str = r#"
import os, pty, select, sys, time
early, needle, answer = [os.fsencode(word) for word in sys.argv[1:4]]
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[4], sys.argv[4:])
deadline, seen, asked = time.monotonic() + 60, b"", 0
while True:
    ready, _, _ = select.select([terminal], [], [], max(0, deadline - time.monotonic()))
    if not ready:
        os.kill(pid, 9)
        sys.exit("it did not end: %r" % seen)
    try:
        read = os.read(terminal, 65536)
    except OSError:
        break
    if not read:
        break
    if not seen:
        os.write(terminal, early)
        open("started", "w").close()
    seen += read
    if seen.count(needle) > asked:
        asked += 1
        os.write(terminal, answer)
        open("asked", "w").close()
_, status = os.waitpid(pid, 0)
sys.stdout.buffer.write(seen)
sys.exit(os.waitstatus_to_exitcode(status))
"#;
const QUESTION: &str = "anything else to deny: ";

/// `holdgate run -- sh -c SCRIPT` on a terminal; its status and what appeared.
fn on_terminal(gate: &Gate, early: &str, typed: &str, script: &str) -> (i32, String) {
    let output = Command::new("python3")
        .current_dir(gate.folder.path())
        .args(["-c", TERMINAL, early, QUESTION, typed])
        .args([env!("CARGO_BIN_EXE_holdgate"), "run", "--", "sh", "-c", script])
        .env_remove("HOLDGATE_POLICY")
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let appeared = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8(output.stderr).unwrap();
    assert!(complaint.is_empty(), "{complaint}");
    (output.status.code().unwrap(), appeared)
}
