//! Addresses: which hosts are names at all, what a name may lead to, and what is dialled.
//!
//! Names are asked of a server of the test's own. Upstreams stand on loopback: what the policy lists
//! under `allow_private` plays the public address, all else is private.

mod names;

use crate::support::client::{Plain, say, within};
use crate::support::dns::{Answer, Dns};
use crate::support::mock::Options;
use crate::support::origin::{Identity, Origin, text};
use crate::support::policy::Edit;
use crate::support::{Gate, holdgate, until, write_policy};
use serde_json::Value;
use std::net::{SocketAddr, TcpListener};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The one address that may be dialled, as if it were public.
const PUBLIC: &str = "127.0.0.1";
/// One that may not.
const PRIVATE: &str = "127.0.0.2";

/// An upstream in clear text on the public address, and names that are to lead to it.
struct Names {
    gate: Gate,
    dns: Dns,
    origin: Origin,
    /// Listens on the private address and the origin's port.
    private: TcpListener,
}

impl Names {
    async fn start(names: &[(&str, Answer)]) -> Self {
        Self::with(names, |policy| policy).await
    }

    /// The names stand under `named.example`, which the policy declares as a whole.
    async fn with(names: &[(&str, Answer)], change: impl FnOnce(Edit) -> Edit) -> Self {
        let (origin, private) = neighbours().await;
        let full =
            |(name, answer): &(&str, Answer)| (format!("{name}.named.example"), answer.clone());
        let dns = Dns::start(names.iter().map(full)).await;
        let lines = format!(
            "hosts: [\"*.named.example\"]\nports: [{}/http]\nrules:\n  - allow: GET /**",
            origin.address.port()
        );
        let gate = Gate::with(Options::default(), |policy| {
            let edit =
                Edit(policy).dns(dns.address).proxy(&format!("allow_private: [{PUBLIC}/32]"));
            change(edit.resource("named", &lines)).0
        })
        .await;
        Self { gate, dns, origin, private }
    }

    async fn get(&self, name: &str) -> Plain {
        let (host, port) = (format!("{name}.named.example"), self.origin.address.port());
        let request = format!("GET http://{host}:{port}/ HTTP/1.1\r\nHost: {host}:{port}\r\n\r\n");
        say(self.gate.running().proxy, &request).await
    }

    /// Whether the private address was dialled since the last time.
    fn private_was_dialled(&self) -> bool {
        self.private.accept().is_ok()
    }
}

/// An origin, and a listener with its port on the private address.
async fn neighbours() -> (Origin, TcpListener) {
    loop {
        let origin = Origin::http(Identity::plain(), |_request| async { text("reached") }).await;
        if let Ok(private) = TcpListener::bind((PRIVATE, origin.address.port())) {
            private.set_nonblocking(true).unwrap();
            return (origin, private);
        }
    }
}

/// The outcome of the latest request, once it is recorded.
fn outcome(gate: &Gate, request_id: &str) -> Value {
    until("the outcome", || {
        gate.records()
            .into_iter()
            .find(|record| record["kind"] == "outcome" && record["request_id"] == request_id)
    })
}

fn request_id(answer: &Plain) -> String {
    let value: Value = serde_json::from_str(&answer.body).unwrap();
    value["request_id"].as_str().unwrap().to_owned()
}

/// Every spelling of loopback and of the metadata address by its case, and what is told. Without a
/// reason, the parser of heads refuses it before any layer of ours.
const SPELLINGS: &[(&str, &str, u16, &str)] = &[
    ("C-01", "127.1", 403, "out_of_scope"),
    ("C-01", "169.254.43518", 403, "out_of_scope"),
    ("C-02", "2130706433", 403, "out_of_scope"),
    ("C-02", "2852039166", 403, "out_of_scope"),
    ("C-03", "0x7f000001", 403, "out_of_scope"),
    ("C-03", "0xa9fea9fe", 403, "out_of_scope"),
    ("C-03", "0X7F000001", 403, "out_of_scope"),
    ("C-04", "0x7f.1", 403, "out_of_scope"),
    ("C-04", "0xa9.0xfea9fe", 403, "out_of_scope"),
    ("C-05", "0177.0.0.1", 403, "out_of_scope"),
    ("C-05", "0251.0376.0251.0376", 403, "out_of_scope"),
    ("C-05", "017700000001", 403, "out_of_scope"),
    ("C-06", "0", 403, "out_of_scope"),
    ("C-06", "0.0.0.0", 403, "out_of_scope"),
    ("C-06", "0x", 403, "out_of_scope"),
    ("C-07", "127.0.0.1.", 403, "out_of_scope"),
    ("C-07", "169.254.169.254.", 403, "out_of_scope"),
    ("C-07", "127.0.0.1..", 400, "malformed"),
    ("C-08", "\u{ff11}\u{ff12}\u{ff17}.0.0.1", 400, ""),
    ("C-09", "\u{2460}\u{2461}\u{2466}.0.0.1", 400, ""),
    ("C-10", "127.000.000.001", 403, "out_of_scope"),
    ("C-10", "169.254.169.0254", 403, "out_of_scope"),
    ("C-11", "0x7f.0.0.0x1", 403, "out_of_scope"),
    ("C-11", "0xa9.0376.43518", 403, "out_of_scope"),
    ("C-12", "127.0.0.1%2f", 400, ""),
    ("C-12", "127.0.0.1%2e", 400, ""),
    ("C-12", "%31%32%37.0.0.1", 400, ""),
    ("C-14", "127.0.0.1", 403, "out_of_scope"),
    ("C-14", "169.254.169.254", 403, "out_of_scope"),
    ("C-14", "[::1]", 403, "out_of_scope"),
    ("C-14", "[::]", 403, "out_of_scope"),
    ("C-14", "[0:0:0:0:0:0:0:1]", 403, "out_of_scope"),
    ("C-14", "[::ffff:127.0.0.1]", 403, "out_of_scope"),
    ("C-14", "[::ffff:7f00:1]", 403, "out_of_scope"),
    ("C-14", "[::ffff:a9fe:a9fe]", 403, "out_of_scope"),
    ("C-14", "[::127.0.0.1]", 403, "out_of_scope"),
    ("C-14", "[127.0.0.1]", 403, "out_of_scope"),
    ("C-15", "[64:ff9b::7f00:1]", 403, "out_of_scope"),
    ("C-15", "[64:ff9b:1::a9fe:a9fe]", 403, "out_of_scope"),
    ("C-15", "[2002:7f00:1::]", 403, "out_of_scope"),
    ("C-15", "[2001:0:4136:e378:8000:63bf:3fff:fdd2]", 403, "out_of_scope"),
    ("C-15", "[fe80::5efe:7f00:1]", 403, "out_of_scope"),
    ("C-15", "[::ffff:0:7f00:1]", 403, "out_of_scope"),
    ("C-17", "[fe80::1%25eth0]", 400, "malformed"),
    ("C-17", "[::1%x]", 400, "malformed"),
    ("C-17", "[fe80::1%eth0]", 400, "malformed"),
    ("C-17", "[fe80::1%2]", 400, "malformed"),
    ("C-17", "[vF.1]", 400, "malformed"),
    // B-12: an address is no host, be it ever so public.
    ("B-12", "140.82.114.4", 403, "out_of_scope"),
    ("B-12", "[2606:4700::1111]", 403, "out_of_scope"),
];

#[tokio::test(flavor = "multi_thread")]
async fn no_spelling_of_an_address_is_a_host() {
    let names = Names::start(&[]).await;
    let proxy = names.gate.running().proxy;
    for &(id, host, status, reason) in SPELLINGS {
        // Both ways in are one.
        for request in [
            format!("CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n"),
            format!("CONNECT {host}:80 HTTP/1.1\r\nHost: {host}:80\r\n\r\n"),
            format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n"),
            format!("GET http://{host}:80/ HTTP/1.1\r\nHost: {host}:80\r\n\r\n"),
        ] {
            let answer = to_the_end(proxy, &request).await;
            assert_eq!((answer.status, &*answer.reason()), (status, reason), "{id} {request}");
        }
    }
    assert_eq!(names.dns.asked(), [""; 0]);
    assert_eq!((names.origin.connections(), names.gate.mock.connections()), (0, 0));
    assert!(!names.private_was_dialled());
}

/// The answer on a connection that ends with it; without a reason where no layer of ours gives it.
async fn to_the_end(proxy: SocketAddr, request: &str) -> Plain {
    let mut stream = TcpStream::connect(proxy).await.unwrap();
    let closing = request.replacen("\r\n", "\r\nConnection: close\r\n", 1);
    stream.write_all(closing.as_bytes()).await.unwrap();
    let mut all = Vec::new();
    drop(within("the end", stream.read_to_end(&mut all)).await);
    let all = String::from_utf8(all).unwrap();
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Plain { status, head: head.to_ascii_lowercase(), body: body.to_owned() }
}

/// A policy whose `proxy:` has one more line, at line 4.
fn with_line(line: &str) -> String {
    format!(
        "version: 1\nproxy:\n  listen: 127.0.0.1:3128\n  {line}\napprovals: {{ listen: 127.0.0.1:3129 }}\n\
         agents: {{ a: {{ resources: [docs] }} }}\n\
         resources: {{ docs: {{ hosts: [docs.example], rules: [allow: GET /**] }} }}\n"
    )
}

#[test]
fn a_policy_that_lists_everybody_or_nobody_is_not_loaded() {
    let folder = tempfile::tempdir().unwrap();
    let refused = [
        // C-27
        ("allow_private: [0.0.0.0/0]", "4:19", "every address"),
        ("allow_private: [10.0.0.0/8, \"::/0\"]", "4:31", "every address"),
        ("allow_private: [1.2.3.4/0]", "4:19", "every address"),
        ("allow_private: [10.0.0.1]", "4:19", "not a network"),
        ("allow_private: [\"10.0.0.0/33\"]", "4:19", "not a network"),
        ("allow_private: [0x7f.0.0.0/8]", "4:19", "not a network"),
        ("allow_private: [010.0.0.0/8]", "4:19", "not a network"),
        // C-26
        ("dns: [127.0.0.1]", "4:9", "not an address and port"),
        ("dns: [\"::1\"]", "4:9", "not an address and port"),
        ("dns: [dns.example:53]", "4:9", "not an address and port"),
        ("dns: [\"127.0.0.1:53\", 127.1:53]", "4:25", "not an address and port"),
        ("dns: [\"[fe80::1%eth0]:53\"]", "4:9", "not an address and port"),
        ("dns: [\"[fe80::1%2]:53\"]", "4:9", "no server of names"),
        ("dns: [10.0.0.53:0]", "4:9", "no server of names"),
        ("dns: [0.0.0.0:53]", "4:9", "no server of names"),
        ("dns: [\"[::]:53\"]", "4:9", "no server of names"),
        ("dns: [\"[::ffff:0.0.0.0]:53\"]", "4:9", "no server of names"),
        ("dns: [224.0.0.251:5353]", "4:9", "no server of names"),
        ("dns: [255.255.255.255:53]", "4:9", "no server of names"),
        ("dns: [127.0.0.1:3128]", "4:9", "the proxy's own listener"),
        ("dns: [127.0.0.1:3129]", "4:9", "the proxy's own listener"),
        ("dns: 127.0.0.1:53", "4:8", ""),
    ];
    for (line, place, message) in refused {
        write_policy(folder.path(), &with_line(line));
        let output = holdgate(folder.path(), &["policy", "check"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{line}: {said}");
        assert!(said.contains(&format!("policy.yaml:{place}\n")), "{line}: {said}");
        assert!(said.contains(message), "{line}: {said}");
    }
    let taken = [
        ("allow_private: [10.0.0.0/8, fc00::/7]", ""),
        ("allow_private: [127.0.0.0/8]", "loopback may be dialled"),
        ("dns: []", ""),
        ("dns: [127.0.0.1:53, \"[fd00::53]:53\", 10.0.0.53:5353]", ""),
    ];
    for (line, lint) in taken {
        write_policy(folder.path(), &with_line(line));
        let output = holdgate(folder.path(), &["policy", "check"]);
        let said = format!("{output:?}");
        assert!(output.status.success() && said.contains(lint), "{line}: {said}");
    }
}
