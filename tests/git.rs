//! Git through the proxy, by git itself: clones pass, and a push is judged by the refs it changes.

mod backend;

use crate::clients::has;
use crate::support::client::{Client, full, streamed, within};
use crate::support::mock::Options;
use crate::support::policy::Edit;
use crate::support::{Gate, until};
use backend::Backend;
use flate2::Compression;
use flate2::write::GzEncoder;
use hyper::body::Frame;
use serde_json::Value;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tokio::task::JoinSet;

const HOST: &str = "github.com";
const RECEIVE: &str = "application/x-git-receive-pack-request";

/// What the agent may do: work on one repository, read the other.
const STAGING: &str = "service: github
environment: staging
ids: { repository: [acme/web] }
credentials: none
allow: [read, write]
hold: [destructive]
deny:
  - { operation: git *, when: [{ argument: ref, like: refs/heads/release/* }] }";
const PRODUCTION: &str = "service: github
environment: production
ids: { repository: [acme/live] }
credentials: none
allow: [read]
deny: [write, destructive, access, execute, credential]";

/// Whether there is what the tests run.
fn ready() -> bool {
    has("git", &["--version"]) && has("timeout", &["--version"])
}

/// Git with nothing of whom runs the tests in it. It waits for its network without end, and does so
/// where its libcurl leaves it waiting; nothing here takes that long.
pub(crate) fn git(folder: &Path) -> Command {
    let mut git = Command::new("timeout");
    git.args(["--kill-after=1", "120", "git"]);
    git.env_clear().current_dir(folder).stdin(Stdio::null());
    for name in ["PATH", "HOME", "LANG"] {
        if let Some(value) = std::env::var_os(name) {
            git.env(name, value);
        }
    }
    let settings = [
        ("GIT_CONFIG_GLOBAL", "/dev/null"),
        ("GIT_CONFIG_NOSYSTEM", "1"),
        ("GIT_TERMINAL_PROMPT", "0"),
        ("GIT_AUTHOR_NAME", "agent"),
        ("GIT_AUTHOR_EMAIL", "agent@example.com"),
        ("GIT_COMMITTER_NAME", "agent"),
        ("GIT_COMMITTER_EMAIL", "agent@example.com"),
    ];
    git.envs(settings);
    git
}

/// Standard output, of a run that succeeded.
pub(crate) fn out(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

fn said(output: &Output) -> String {
    assert!(!output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Two repositories, the proxy in front of them, and a clone of the agent's.
struct Scene {
    gate: Gate,
    backend: Backend,
    clone: PathBuf,
}

impl Scene {
    async fn new(change: impl FnOnce(Edit) -> Edit) -> Self {
        let backend = Backend::start(HOST, &["acme/web", "acme/live"]).await;
        let gate = Gate::with(Options::default(), |policy| {
            let policy = Edit(policy)
                .resolve("github.com:443", backend.origin.address)
                .root(&backend.origin.roots())
                .resource("web", STAGING)
                .resource("live", PRODUCTION);
            change(policy).0
        })
        .await;
        let clone = gate.folder.path().join("clone");
        let scene = Self { gate, backend, clone };
        scene.seed();
        scene
    }

    /// Puts a branch and another into each repository, past the proxy, and makes the clone.
    fn seed(&self) {
        let work = self.gate.folder.path().join("seed");
        std::fs::create_dir(&work).unwrap();
        out(git(&work).args(["init", "-q", "-b", "main"]));
        out(git(&work).args(["commit", "-q", "--allow-empty", "-m", "first"]));
        for branch in ["old", "release/0"] {
            out(git(&work).args(["branch", branch]));
        }
        for name in ["acme/web", "acme/live"] {
            let to = self.backend.repository(name);
            out(git(&work).args(["push", "-q", to.to_str().unwrap(), "--all"]));
        }
        let url = format!("https://{HOST}/acme/web.git");
        let clone = self.clone.to_str().unwrap();
        out(self.git(self.gate.folder.path()).args(["clone", "-q", &url, clone]));
    }

    /// Git whose way out is the proxy.
    fn git(&self, folder: &Path) -> Command {
        let mut git = git(folder);
        git.env("HTTPS_PROXY", format!("http://{}", self.gate.running().proxy))
            .env("GIT_SSL_CAINFO", &self.gate.running().ca);
        git
    }

    /// Pushes from the clone.
    fn push(&self, arguments: &[&str]) -> Command {
        let mut git = self.git(&self.clone);
        git.args(["push"]).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        git
    }

    /// A commit in the clone, with a file that no compression makes smaller.
    fn commit(&self, size: usize) -> String {
        let mut noise = vec![0; size];
        let before = std::fs::read(self.clone.join("noise")).unwrap_or_default();
        let mut state =
            0x2545_F491_4F6C_DD1D ^ before.iter().take(8).fold(0, |a, b| a << 8 | u64::from(*b));
        for byte in &mut noise {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            *byte = state.to_le_bytes()[3];
        }
        std::fs::write(self.clone.join("noise"), noise).unwrap();
        out(git(&self.clone).args(["add", "noise"]));
        out(git(&self.clone).args(["commit", "-q", "-m", "more"]));
        out(git(&self.clone).args(["rev-parse", "HEAD"]))
    }

    /// What is recorded of calls that change refs, in order: operation and verdict.
    fn judged(&self) -> Vec<(String, String)> {
        let records = self.gate.records();
        let changes = records.iter().filter(|record| {
            record["kind"] == "request"
                && record["path"].as_str().is_some_and(|path| path.ends_with("/git-receive-pack"))
        });
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        changes.map(|record| (record["operations"].to_string(), text(&record["verdict"]))).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_whose_commands_fit_passes_however_large_its_pack() {
    if !ready() {
        return;
    }
    let scene = Scene::new(|policy| policy.section("limits: { inspect_kib: 16 }")).await;
    // A length that is told, and pieces behind a question whether one may.
    for setting in ["http.postBuffer=8388608", "http.postBuffer=65536"] {
        let commit = scene.commit(3 << 20);
        out(scene.git(&scene.clone).args(["-c", setting, "push", "-q", "origin", "main"]));
        assert_eq!(scene.backend.commit("acme/web", "main"), Some(commit), "{setting}");
    }
    let sizes: Vec<usize> = scene.backend.pushes().iter().map(|seen| seen.body.len()).collect();
    let [whole, asked, streamed] = sizes[..] else { panic!("{sizes:?}") };
    assert!(whole > 3 << 20 && asked == 4 && streamed > 3 << 20, "{sizes:?}");
    let judged = scene.judged();
    let verdicts: Vec<&str> = judged.iter().map(|(_, verdict)| &**verdict).collect();
    assert_eq!(verdicts, ["allow"; 3], "{judged:?}");
    assert!(judged[0].0.contains("git push"), "{judged:?}");
    assert!(judged[1].0.contains("git advertise-push"), "{judged:?}");
    // Another clone fetches it all.
    let again = scene.gate.folder.path().join("again");
    let url = format!("https://{HOST}/acme/web");
    out(scene.git(scene.gate.folder.path()).args(["clone", "-q", &url, again.to_str().unwrap()]));
    out(scene.git(&again).args(["fetch", "-q", "origin"]));
    assert_eq!(std::fs::metadata(again.join("noise")).unwrap().len(), 3 << 20);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_to_what_the_policy_only_lets_read_is_denied() {
    if !ready() {
        return;
    }
    let scene = Scene::new(|policy| policy).await;
    let before = scene.backend.commit("acme/live", "main");
    let live = format!("https://{HOST}/acme/live.git");
    out(scene.git(&scene.clone).args(["fetch", "-q", &live]));
    // One that fits into the buffers on the way, and one that does not.
    for size in [1_000, 3 << 20] {
        scene.commit(size);
        let told = said(&scene.push(&[&live, "main"]).output().unwrap());
        // What git tells of an answer that comes while it still sends depends on its libcurl.
        assert!(told.contains("403") || size > 1 << 20, "{told}");
    }
    let pushes = scene.backend.pushes();
    assert!(pushes.iter().all(|seen| seen.body == b"0000"), "{pushes:?}");
    assert_eq!(scene.backend.commit("acme/live", "main"), before);
    let denied: Vec<_> =
        scene.judged().into_iter().filter(|(_, verdict)| verdict == "deny").collect();
    assert_eq!(denied.len(), 2, "{denied:?}");
    assert!(denied.iter().all(|(operations, _)| operations.contains("git push")), "{denied:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ref_that_the_policy_protects_is_not_touched() {
    if !ready() {
        return;
    }
    let scene = Scene::new(|policy| policy).await;
    let main = scene.backend.commit("acme/web", "main");
    scene.commit(1_000);
    // Alone, among others, and what takes it away.
    for refs in [&["main:release/1"][..], &["main", "main:release/1"], &[":release/0"]] {
        let told = said(&scene.push(&[&["origin"], refs].concat()).output().unwrap());
        assert!(told.contains("403"), "{refs:?}: {told}");
    }
    assert_eq!(scene.backend.pushes().len(), 0);
    assert_eq!(scene.backend.commit("acme/web", "main"), main);
    out(&mut scene.push(&["-q", "origin", "main:released"]));
    assert!(scene.backend.commit("acme/web", "released").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_waits_for_a_person_and_so_does_what_is_pushed_with_it() {
    if !ready() {
        return;
    }
    let scene = Scene::new(|policy| policy).await;
    let old = scene.backend.commit("acme/web", "old");
    let main = scene.backend.commit("acme/web", "main");
    let commit = scene.commit(3 << 20);
    // Some versions of libcurl stall when an upload over HTTP/2 is kept waiting; another test has that.
    out(git(&scene.clone).args(["config", "http.version", "HTTP/1.1"]));
    let push = scene.push(&["origin", "main", ":old"]).spawn().unwrap();
    let id = scene.gate.wait_for_hold();
    // Nothing of it has left, and the rest of it still waits where it came from.
    assert!(scene.backend.pushes().iter().all(|seen| seen.body == b"0000"));
    assert_eq!(scene.backend.commit("acme/web", "main"), main);
    assert_eq!(scene.backend.commit("acme/web", "old"), old);
    let held = scene.gate.waiting();
    let card = held[0].to_string();
    assert!(card.contains("git delete-ref") && card.contains("git push"), "{card}");
    assert!(card.contains("acme/web"), "{card}");
    assert_eq!(held[0]["card"]["reason"], "destructive", "{card}");
    scene.gate.approve(&id);
    let output = push.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(scene.backend.commit("acme/web", "main"), Some(commit));
    assert_eq!(scene.backend.commit("acme/web", "old"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_that_was_held_is_the_same_push_when_it_is_sent_again() {
    if !ready() {
        return;
    }
    let scene =
        Scene::new(|policy| policy.replace("\nholds:\n  wait: 20s", "\nholds:\n  wait: 1s")).await;
    let told = said(&scene.push(&["origin", "--delete", "old"]).output().unwrap());
    assert!(scene.backend.commit("acme/web", "old").is_some());
    assert_eq!(scene.backend.pushes().len(), 0);
    let id = scene.gate.wait_for_hold();
    assert!(told.contains("403"), "{told}");
    scene.gate.approve(&id);
    // Another ref is another push.
    let other = said(&scene.push(&["origin", "--delete", "main"]).output().unwrap());
    assert!(other.contains("403"), "{other}");
    assert!(scene.backend.commit("acme/web", "main").is_some());
    out(&mut scene.push(&["-q", "origin", "--delete", "old"]));
    assert_eq!(scene.backend.commit("acme/web", "old"), None);
    // It was approved once, and is held when it is asked again.
    out(git(&scene.backend.repository("acme/web")).args(["branch", "old", "main"]));
    let again = said(&scene.push(&["origin", "--delete", "old"]).output().unwrap());
    assert!(again.contains("403"), "{again}");
    assert!(scene.backend.commit("acme/web", "old").is_some());
}

/// The commands of a push that creates two refs, without what ends them.
fn commands() -> String {
    let line = |text: String| format!("{:04x}{text}", text.len() + 4);
    let (zeros, ones) = ("0".repeat(40), "1".repeat(40));
    line(format!("{zeros} {ones} refs/heads/x\0 report-status"))
        + &line(format!("{zeros} {ones} refs/heads/y"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_push_that_can_be_read_goes_nowhere() {
    if !ready() {
        return;
    }
    let scene = Scene::new(|policy| policy.section("limits: { inspect_kib: 16 }")).await;
    let push = format!("{}0000PACK", commands());
    let cases = [
        (403, RECEIVE, "nothing".to_owned()),
        (403, RECEIVE, format!("{}0001PACK", commands())),
        (403, RECEIVE, format!("{}00000000", commands())),
        (403, RECEIVE, push.replace("refs/heads/y", "heads/../../")),
        (403, "text/plain", push.clone()),
        (413, RECEIVE, commands().repeat(200)),
    ];
    for http2 in [false, true] {
        for (status, kind, body) in &cases {
            let mut client = Client::open(scene.gate.running(), HOST, http2).await;
            let request = client.request("POST", "/acme/web.git/git-receive-pack");
            let request = request.header("content-type", *kind).body(full(body.clone())).unwrap();
            let got = client.exchange(request).await;
            let told = String::from_utf8_lossy(&got.body).into_owned();
            assert_eq!(got.status, *status, "{told} for {body:?}");
            assert_eq!(got.headers["content-type"], "text/plain; charset=utf-8");
            assert!(told.starts_with("holdgate: ") && told.ends_with("(unreadable)\n"), "{told}");
        }
    }
    // A push that is cut off before its commands end is not one.
    let mut client = Client::open(scene.gate.running(), HOST, true).await;
    let (sender, body) = streamed();
    let request = client.request("POST", "/acme/web.git/git-receive-pack");
    let request = request.header("content-type", RECEIVE).body(body).unwrap();
    let (got, ()) = tokio::join!(client.exchange(request), async {
        sender.send(Frame::data(commands()[..90].to_owned().into())).await.unwrap();
        drop(sender);
    });
    assert_eq!(got.status, 403, "{got:?}");
    assert_eq!(scene.backend.pushes().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coded_push_is_judged_by_what_it_says() {
    if !ready() {
        return;
    }
    let scene = Scene::new(|policy| policy).await;
    for (repository, status) in [("acme/live", 403), ("acme/web", 200)] {
        let mut coded = GzEncoder::new(Vec::new(), Compression::default());
        coded.write_all(format!("{}0000PACK", commands()).as_bytes()).unwrap();
        let coded = coded.finish().unwrap();
        let mut client = Client::http1(scene.gate.running(), HOST).await;
        let request = client
            .request("POST", &format!("/{repository}.git/git-receive-pack"))
            .header("content-type", RECEIVE)
            .header("content-encoding", "gzip")
            .body(full(coded))
            .unwrap();
        let got = client.exchange(request).await;
        assert_eq!(got.status, status, "{repository}: {got:?}");
        if status == 403 {
            assert_eq!(got.headers["content-type"], "text/plain; charset=utf-8");
            let told = String::from_utf8_lossy(&got.body);
            assert!(told.starts_with("holdgate: ") && told.contains("(scope_violation)"), "{told}");
        }
    }
    let pushes = until("the push", || Some(scene.backend.pushes()).filter(|p| !p.is_empty()));
    let [push] = &pushes[..] else { panic!("{pushes:?}") };
    assert_eq!((&*push.path, &push.coding), ("/acme/web.git/git-receive-pack", &None));
    assert_eq!(push.body, format!("{}0000PACK", commands()).into_bytes());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rest_of_a_push_waits_and_follows_once_it_is_approved() {
    if !ready() {
        return;
    }
    const PIECE: usize = 64 << 10;
    const PIECES: usize = 256;
    let scene = Scene::new(|policy| policy.section("limits: { inspect_kib: 16 }")).await;
    let ones = "1".repeat(40);
    for (at, http2) in [false, true].into_iter().enumerate() {
        let line = format!("{ones} {} refs/heads/gone{at}\0 report-status", "0".repeat(40));
        let first = format!("{:04x}{line}0000PACK", line.len() + 4);
        let mut client = Client::open(scene.gate.running(), HOST, http2).await;
        let (sender, body) = streamed();
        let request = client
            .request("POST", "/acme/web.git/git-receive-pack")
            .header("content-type", RECEIVE)
            .body(body)
            .unwrap();
        let beginning = first.clone();
        let (mut sending, mut asking) = (JoinSet::new(), JoinSet::new());
        sending.spawn(async move {
            sender.send(Frame::data(beginning.into())).await.unwrap();
            for _ in 0..PIECES {
                sender.send(Frame::data(vec![7; PIECE].into())).await.unwrap();
            }
        });
        asking.spawn(async move { client.exchange(request).await });
        let held = scene.gate.wait_for_hold();
        // It is kept waiting before all of it has been taken from the client.
        assert!(sending.try_join_next().is_none());
        assert_eq!(scene.backend.pushes().len(), at);
        scene.gate.approve(&held);
        let got = within("the push", asking.join_next()).await.unwrap().unwrap();
        within("its sending", sending.join_next()).await.unwrap().unwrap();
        assert_eq!(got.status, 200, "{got:?}");
        let pushes = scene.backend.pushes();
        assert_eq!(pushes.len(), at + 1);
        assert_eq!(pushes[at].body.len(), first.len() + PIECE * PIECES, "HTTP/2: {http2}");
    }
}
