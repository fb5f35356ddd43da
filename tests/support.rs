//! What the tests share: the built binary as a process, the mock Railway API, and clients.

#![allow(dead_code, unreachable_pub, reason = "each module of tests uses a part of it")]

pub mod client;
pub mod dns;
pub mod frames;
#[path = "../examples/mock_railway/mock.rs"]
pub mod mock;
pub mod origin;
pub mod policy;
pub mod socket;

use mock::{Mock, Options, PolicyOptions};
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// The token of the approver `alice` in the mock's policies.
pub const APPROVER_TOKEN: &str = "alice-approves-with-this";
/// A token that was never issued to the agent.
pub const FOREIGN: &str = mock::DOMAINS_TOKEN;
/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A temporary folder with a policy, a mock behind it and the binary in front of it.
pub struct Gate {
    pub folder: tempfile::TempDir,
    pub mock: Mock,
    pub process: Option<Running>,
}

/// A `holdgate serve` that accepts.
pub struct Running {
    child: Child,
    pub proxy: SocketAddr,
    pub approvals: SocketAddr,
    pub ca: PathBuf,
    /// Where tool calls are asked about, where the policy says so.
    pub tool_calls: Option<String>,
    /// `NAME:TOKEN` of the agent whom clients are, where it needs one.
    pub user: Option<String>,
    pub stderr: Arc<Mutex<String>>,
}

impl Gate {
    /// The mock's own policy.
    pub async fn start() -> Self {
        Self::with(Options::default(), |policy| policy).await
    }

    /// The mock's policy, changed.
    pub async fn with(options: Options, change: impl FnOnce(String) -> String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mock = Mock::start(options).await.unwrap();
        let mut asked = PolicyOptions::new(folder.path());
        asked.token_hash = Some(format!("sha256:{}", sha256(APPROVER_TOKEN.as_bytes())));
        asked.wait = Duration::from_secs(20);
        let policy = change(mock.policy(&asked).unwrap());
        write_policy(folder.path(), &policy);
        let mut gate = Self { folder, mock, process: None };
        gate.serve();
        gate
    }

    /// Starts the binary, or starts it again.
    pub fn serve(&mut self) {
        self.process = Some(Running::start(self.folder.path(), &[]));
    }

    pub fn running(&self) -> &Running {
        self.process.as_ref().expect("the proxy runs")
    }

    /// Ends the process at once, as a crash would.
    pub fn kill(&mut self) {
        drop(self.process.take());
    }

    /// Ends the process as an operator does, and waits for it to drain.
    pub fn drain(&mut self) {
        let mut process = self.process.take().expect("the proxy runs");
        process.signal("TERM");
        assert!(process.ended().success());
    }

    /// Tells the process to reload its policy, and waits until the new one is in force.
    pub fn reload(&self) {
        let done = || self.running().log().matches("the policy was reloaded").count();
        let before = done();
        self.running().signal("HUP");
        until("a reload", || (done() > before).then_some(()));
    }

    pub fn policy_path(&self) -> PathBuf {
        self.folder.path().join("policy.yaml")
    }

    /// curl through the proxy, trusting its authority.
    pub fn curl(&self, arguments: &[&str]) -> Answer {
        Answer::of(&self.curl_command(arguments).output().unwrap())
    }

    /// The same as a process of its own.
    pub fn curl_command(&self, arguments: &[&str]) -> Command {
        let running = self.running();
        let mut command = Command::new("curl");
        command
            .args(["-sS", "--max-time", "60", "-i", "--suppress-connect-headers"])
            .args(["--proxy", &format!("http://{}", running.proxy)])
            .args(["--proxy-cacert", running.ca.to_str().unwrap()])
            .args(["--cacert", running.ca.to_str().unwrap()])
            .args(running.user.iter().flat_map(|user| ["--proxy-user", user]))
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// A GraphQL call with a token.
    pub fn graphql(&self, token: &str, body: &Value) -> Answer {
        let body = body.to_string();
        let authorization = format!("Authorization: Bearer {token}");
        self.curl(&[
            "https://backboard.railway.com/graphql/v2",
            "-H",
            "Content-Type: application/json",
            "-H",
            &authorization,
            "-d",
            &body,
        ])
    }

    /// The same with a body that is too long for an argument.
    pub fn graphql_file(&self, token: &str, body: &Value) -> Answer {
        let file = self.folder.path().join("body.json");
        std::fs::write(&file, body.to_string()).unwrap();
        let (data, authorization) =
            (format!("@{}", file.display()), format!("Authorization: Bearer {token}"));
        let kind = "Content-Type: application/json";
        let url = "https://backboard.railway.com/graphql/v2";
        self.curl(&[url, "-H", kind, "-H", &authorization, "--data-binary", &data])
    }

    /// The deletion of a volume, as the published call writes it.
    pub fn delete_volume(&self, token: &str, volume: &str) -> Answer {
        self.graphql(token, &delete_volume(volume))
    }

    /// A `holdgate` command on this policy.
    pub fn holdgate(&self, arguments: &[&str]) -> Output {
        holdgate(self.folder.path(), arguments)
    }

    /// The holds that wait, as the approver sees them.
    pub fn waiting(&self) -> Vec<Value> {
        let output = self.holdgate(&["approvals", "list", "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let value: Value = serde_json::from_slice(&output.stdout).unwrap();
        let holds =
            value.as_array().cloned().or_else(|| value["holds"].as_array().cloned()).unwrap();
        holds.into_iter().filter(|hold| hold["state"] == "waiting").collect()
    }

    /// Waits until a hold waits, and gives its id.
    pub fn wait_for_hold(&self) -> String {
        until("a hold", || {
            self.waiting().first().map(|hold| hold["id"].as_str().unwrap().to_owned())
        })
    }

    pub fn approve(&self, id: &str) {
        let output = self.holdgate(&["approvals", "approve", id, "--reason", "test"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The audit records so far.
    pub fn records(&self) -> Vec<Value> {
        let output = self.holdgate(&["audit", "tail", "-n", "10000", "--json"]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The JSON of a `volumeDelete`.
pub fn delete_volume(volume: &str) -> Value {
    serde_json::json!({ "query": format!("mutation {{ volumeDelete(volumeId: \"{volume}\") }}") })
}

pub fn write_policy(folder: &Path, policy: &str) {
    use std::os::unix::fs::PermissionsExt as _;
    let path = folder.join("policy.yaml");
    std::fs::write(&path, policy).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
}

/// A `holdgate` command in a folder with a policy.
pub fn holdgate(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_holdgate"))
        .current_dir(folder)
        .args(arguments)
        .env("HOLDGATE_APPROVER_TOKEN", APPROVER_TOKEN)
        .env_remove("HOLDGATE_POLICY")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

impl Running {
    /// Starts `holdgate serve` in a folder and waits for its ready line.
    pub fn start(folder: &Path, arguments: &[&str]) -> Self {
        Self::try_start(folder, arguments)
            .unwrap_or_else(|stderr| panic!("holdgate did not start:\n{stderr}"))
    }

    /// The same; what it wrote where it did not start.
    pub fn try_start(folder: &Path, arguments: &[&str]) -> Result<Self, String> {
        let mut command = Command::new(env!("CARGO_BIN_EXE_holdgate"));
        command.current_dir(folder).arg("serve").args(arguments);
        Self::of(command)
    }

    /// A command that is `holdgate serve` in the end.
    pub fn of(mut command: Command) -> Result<Self, String> {
        let mut child = command
            .env_remove("HOLDGATE_POLICY")
            .env_remove("HOLDGATE_APPROVER_TOKEN")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = Arc::new(Mutex::new(String::new()));
        let mut errors = child.stderr.take().unwrap();
        let sink = stderr.clone();
        let reader = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = errors.read(&mut buffer) {
                sink.lock().unwrap().push_str(&String::from_utf8_lossy(&buffer[..read]));
            }
        });
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let field = |name: &str| {
            line.split_whitespace().find_map(|word| word.strip_prefix(name)).map(str::to_owned)
        };
        let (Some(proxy), Some(approvals), Some(ca)) =
            (field("proxy="), field("approvals="), field("ca="))
        else {
            child.wait().unwrap();
            reader.join().unwrap();
            return Err(stderr.lock().unwrap().clone());
        };
        Ok(Self {
            child,
            proxy: proxy.parse().unwrap(),
            approvals: approvals.parse().unwrap(),
            ca: ca.into(),
            tool_calls: field("tool_calls="),
            user: None,
            stderr,
        })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        let done =
            Command::new("kill").args([&format!("-{name}"), &self.pid().to_string()]).status();
        assert!(done.unwrap().success());
    }

    /// Waits for the process to end by itself.
    pub fn ended(&mut self) -> std::process::ExitStatus {
        until("the process ends", || self.child.try_wait().unwrap())
    }

    pub fn log(&self) -> String {
        self.stderr.lock().unwrap().clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// What a client got.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
    pub stderr: String,
}

impl Answer {
    /// From curl's output with its headers.
    pub fn of(output: &Output) -> Self {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        let (mut head, mut body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        while head.starts_with("HTTP/1.1 1") {
            (head, body) = body.split_once("\r\n\r\n").unwrap_or((body, ""));
        }
        let status = head.split_whitespace().nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        Self { status, head: head.to_ascii_lowercase(), body: body.to_owned(), stderr }
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// The reason of a refusal, or nothing.
    pub fn reason(&self) -> String {
        self.json()["reason"].as_str().unwrap_or_default().to_owned()
    }

    pub fn verdict(&self) -> String {
        self.json()["verdict"].as_str().unwrap_or_default().to_owned()
    }
}

/// What the openssl command line says, on either stream, and whether it succeeded.
pub fn openssl(arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("openssl");
    let output = command.args(arguments).stdin(Stdio::null()).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Waits for something to be there; a deadline, not a delay.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    holdgate::fingerprint::hex(&holdgate::fingerprint::token_hash(bytes))
}
