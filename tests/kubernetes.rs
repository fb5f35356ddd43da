//! A cluster's API server, and the registries that packages and images come from, behind their
//! catalogs.

use crate::support::Gate;
use crate::support::client::{Client, Got, empty, full};
use crate::support::mock::Options;
use crate::support::origin::{Identity, Origin, text};
use crate::support::policy::Edit;
use crate::support::socket::{ask, handshake};
use std::sync::{Arc, Mutex};

const CLUSTER: &str = "k8s.example";

/// Two environments of one cluster, told apart by their namespaces.
const STAGING: &str = "\
service: kubernetes
hosts: [k8s.example]
environment: staging
credentials: none
ids: { namespace: [staging] }
allow: [read, write]
hold: [destructive, credential, access, execute, unknown]";
const PRODUCTION: &str = "\
service: kubernetes
hosts: [k8s.example]
environment: production
credentials: none
ids: { namespace: [production] }
allow: [read]
deny: [write, destructive, credential, access, execute, unknown]";

/// What an origin was asked, in order.
type Asked = Arc<Mutex<Vec<String>>>;

async fn origin(names: &[&str]) -> (Origin, Asked) {
    let asked = Asked::default();
    let kept = asked.clone();
    let origin = Origin::http(Identity::named(names), move |request| {
        let line = format!("{} {}", request.method(), request.uri());
        kept.lock().unwrap().push(line);
        async { text("{}") }
    });
    (origin.await, asked)
}

async fn gate(origin: &Origin, names: &[&str], resources: &[(&str, &str)]) -> Gate {
    Gate::with(Options::default(), |policy| {
        let mut edit =
            Edit(policy).replace("  wait: 20s\n", "  wait: 100ms\n").root(&origin.roots());
        for name in names {
            edit = edit.resolve(&format!("{name}:443"), origin.address);
        }
        for (name, lines) in resources {
            edit = edit.resource(name, lines);
        }
        edit.0
    })
    .await
}

async fn cluster() -> (Origin, Asked, Gate) {
    let (origin, asked) = origin(&[CLUSTER]).await;
    let resources = [("k8s-staging", STAGING), ("k8s-production", PRODUCTION)];
    let gate = gate(&origin, &[CLUSTER], &resources).await;
    (origin, asked, gate)
}

/// A call as curl writes it: its line, and a JSON body if there is one.
async fn call(client: &mut Client, line: &str, body: &str) -> Got {
    let (method, path) = line.split_once(' ').unwrap();
    let request = client.request(method, path);
    let request = if body.is_empty() {
        request.body(empty())
    } else {
        request.header("content-type", "application/json").body(full(body.to_owned()))
    };
    client.exchange(request.unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_to_a_cluster_is_judged_by_its_verb_resource_and_namespace() {
    let (origin, asked, gate) = cluster().await;
    const PODS: &str = "/api/v1/namespaces/staging/pods/web";
    const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/staging/deployments";
    let refused = [
        // What destroys waits in the namespace that is staging's, and goes nowhere in another one.
        (format!("DELETE {PODS}"), "", "hold", "destructive"),
        (format!("DELETE {DEPLOYMENTS}"), "", "hold", "destructive"),
        ("DELETE /api/v1/namespaces/staging".to_owned(), "", "hold", "destructive"),
        ("DELETE /api/v1/namespaces/other/pods/web".to_owned(), "", "hold", "unknown_target"),
        ("DELETE /api/v1/namespaces/production/pods/web".to_owned(), "", "deny", "scope_violation"),
        // The namespaces of a cluster are all of its environments.
        ("DELETE /api/v1/persistentvolumes/pv-1".to_owned(), "", "deny", "scope_violation"),
        (
            format!("PUT {DEPLOYMENTS}/web/scale"),
            r#"{"kind":"Scale","spec":{"replicas":0}}"#,
            "hold",
            "destructive",
        ),
        // What only looks like a dry run.
        (format!("DELETE {PODS}?dryRun=All"), r#"{"kind":"DeleteOptions"}"#, "hold", "destructive"),
        (format!("DELETE {PODS}?dryRun=true"), "", "hold", "destructive"),
        // Secrets, commands, permissions, and what nobody knows.
        ("GET /api/v1/namespaces/staging/secrets/db".to_owned(), "", "hold", "credential_read"),
        (format!("POST {PODS}/exec?command=sh"), "", "hold", "execution"),
        ("GET /api/v1/namespaces/staging/services/web/proxy/".to_owned(), "", "hold", "execution"),
        (
            "POST /apis/rbac.authorization.k8s.io/v1/namespaces/staging/rolebindings".to_owned(),
            "{}",
            "hold",
            "access_change",
        ),
        (
            "POST /apis/example.com/v1/namespaces/staging/restores".to_owned(),
            "{}",
            "hold",
            "unknown_operation",
        ),
        ("GET /debug/pprof/heap".to_owned(), "", "deny", "unknown_operation"),
        // One body, two readings.
        (format!("DELETE {PODS}"), r#"{"dryRun":["All"],"dryRun":[]}"#, "deny", "unreadable"),
    ];
    let mut client = Client::http1(gate.running(), CLUSTER).await;
    for (line, body, verdict, reason) in refused {
        let got = call(&mut client, &line, body).await;
        assert_eq!(got.json()["verdict"], verdict, "{line}: {got:?}");
        assert_eq!(got.reason(), reason, "{line}: {got:?}");
        if got.headers.get("connection").is_some_and(|value| value == "close") {
            client = Client::http1(gate.running(), CLUSTER).await;
        }
    }
    assert_eq!(origin.bytes_received(), 0, "refused calls reached the cluster");

    let mut client = Client::http1(gate.running(), CLUSTER).await;
    let allowed = [
        ("GET /version".to_owned(), ""),
        ("GET /apis/apps/v1?timeout=32s".to_owned(), ""),
        (format!("GET {PODS}"), ""),
        (format!("GET {PODS}/log?tailLines=10"), ""),
        ("GET /api/v1/namespaces/production/pods".to_owned(), ""),
        (
            format!("PATCH {DEPLOYMENTS}/web"),
            // The type says nothing of a merge, and the body is judged all the same.
            r#"{"spec":{"replicas":3}}"#,
        ),
        (format!("DELETE {PODS}?dryRun=All"), ""),
        (format!("DELETE {PODS}"), r#"{"kind":"DeleteOptions","dryRun":["All"]}"#),
    ];
    for (line, body) in &allowed {
        let got = call(&mut client, line, body).await;
        assert_eq!(got.status, 200, "{line}: {got:?}");
    }
    let lines: Vec<String> = allowed.into_iter().map(|(line, _)| line).collect();
    assert_eq!(*asked.lock().unwrap(), lines);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_upgrade_leads_into_a_container() {
    let (origin, _, gate) = cluster().await;
    const EXEC: &str = "/api/v1/namespaces/staging/pods/web/exec?command=sh&stdin=true";
    let channel = "Sec-WebSocket-Protocol: v5.channel.k8s.io";
    let websocket = handshake(CLUSTER, EXEC, &[channel]);
    let spdy = format!(
        "POST {EXEC} HTTP/1.1\r\nHost: {CLUSTER}\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
         X-Stream-Protocol-Version: v4.channel.k8s.io\r\nContent-Length: 0\r\n\r\n"
    );
    for (bytes, status, reason) in [(websocket, 403, "scope_violation"), (spdy, 400, "malformed")] {
        let (_, answer) = ask(gate.running(), CLUSTER, bytes.as_bytes()).await;
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(answer.reason(), reason, "{answer:?}");
    }
    assert_eq!(origin.bytes_received(), 0, "an upgrade reached the cluster");
}

#[tokio::test(flavor = "multi_thread")]
async fn acting_as_somebody_else_is_judged_beside_the_call_itself() {
    let (origin, _, gate) = cluster().await;
    let mut client = Client::http1(gate.running(), CLUSTER).await;
    let request = client
        .request("GET", "/api/v1/namespaces/staging/pods")
        .header("impersonate-user", "system:admin")
        .body(empty())
        .unwrap();
    let got = client.exchange(request).await;
    assert_eq!(got.reason(), "scope_violation", "{got:?}");
    assert_eq!(origin.bytes_received(), 0, "it reached the cluster");
}

/// What `npm install` with its audit, `pip install`, `cargo build` and an anonymous `docker pull` ask.
#[tokio::test(flavor = "multi_thread")]
async fn installing_is_reading_and_publishing_is_not() {
    const HOSTS: &[&str] = &[
        "registry.npmjs.org",
        "pypi.org",
        "files.pythonhosted.org",
        "upload.pypi.org",
        "index.crates.io",
        "static.crates.io",
        "crates.io",
        "registry-1.docker.io",
        "auth.docker.io",
    ];
    let (origin, asked) = origin(HOSTS).await;
    let lines = |service: &str| {
        format!(
            "service: {service}\ncredentials: none\nencoded_slash: true\nallow: [read]\nhold: [write]"
        )
    };
    let services = ["npm", "pypi", "crates-io", "docker-hub"];
    let resources: Vec<(&str, String)> =
        services.iter().map(|service| (*service, lines(service))).collect();
    let resources: Vec<(&str, &str)> =
        resources.iter().map(|(name, lines)| (*name, &**lines)).collect();
    let gate = gate(&origin, HOSTS, &resources).await;

    let refused = [
        ("registry.npmjs.org", "PUT /@acme%2Fweb", "{}", "unknown_target"),
        ("registry.npmjs.org", "DELETE /web/-rev/7-a", "", "unknown_target"),
        ("registry.npmjs.org", "POST /-/npm/v1/tokens", "{}", "scope_violation"),
        ("upload.pypi.org", "POST /legacy/", "{}", "account_wide"),
        ("crates.io", "DELETE /api/v1/crates/web", "", "unknown_target"),
        ("registry-1.docker.io", "DELETE /v2/acme/web/manifests/v1", "", "unknown_target"),
        ("auth.docker.io", "POST /token", "{}", "scope_violation"),
    ];
    for (host, line, body, reason) in refused {
        let mut client = Client::http1(gate.running(), host).await;
        let got = call(&mut client, line, body).await;
        assert_eq!(got.reason(), reason, "{host} {line}: {got:?}");
    }
    assert_eq!(origin.bytes_received(), 0, "refused calls reached a registry");

    let allowed = [
        ("registry.npmjs.org", "GET /lodash", ""),
        ("registry.npmjs.org", "GET /@types%2Fnode", ""),
        ("registry.npmjs.org", "GET /@types/node/-/node-22.0.0.tgz", ""),
        ("registry.npmjs.org", "POST /-/npm/v1/security/advisories/bulk", r#"{"lodash":["4"]}"#),
        ("pypi.org", "GET /simple/requests/", ""),
        ("files.pythonhosted.org", "GET /packages/f9/9b/33/requests.whl.metadata", ""),
        ("index.crates.io", "GET /se/rd/serde", ""),
        ("static.crates.io", "GET /crates/serde/1.0.228/download", ""),
        ("registry-1.docker.io", "GET /v2/", ""),
        ("auth.docker.io", "GET /token?scope=repository%3Alibrary%2Falpine%3Apull", ""),
        ("registry-1.docker.io", "HEAD /v2/library/alpine/manifests/3", ""),
    ];
    for (host, line, body) in allowed {
        let mut client = Client::http1(gate.running(), host).await;
        let got = call(&mut client, line, body).await;
        assert_eq!(got.status, 200, "{host} {line}: {got:?}");
    }
    let lines: Vec<&str> = allowed.iter().map(|(_, line, _)| *line).collect();
    assert_eq!(*asked.lock().unwrap(), lines);
}
