//! Requests as clients of the Kubernetes API send them, and as somebody might who wants them read
//! in another way.

mod fields;
mod served;

use super::{Call, calls, names_a_resource};
use crate::inspect::Unreadable;
use crate::message::Head;
use crate::message::tests::head;
use proptest::prelude::*;
use serde_json::{Value, json};

const API: &str = "https://k8s.test";

fn request(line: &str, headers: &[(&str, &str)]) -> Head {
    let (method, path) = line.split_once(' ').unwrap();
    head(method, &format!("{API}{path}"), headers).unwrap()
}

fn carrying(line: &str, kind: &str, body: &str) -> Result<Vec<Call>, Unreadable> {
    let headers = [("content-type", kind)];
    let headers = if kind.is_empty() { &[][..] } else { &headers[..] };
    calls(&request(line, headers), body.as_bytes())
}

fn one(line: &str, kind: &str, body: &str) -> Call {
    let mut calls = carrying(line, kind, body).unwrap_or_else(|error| panic!("{line}: {error}"));
    assert_eq!(calls.len(), 1, "{line}");
    calls.remove(0)
}

fn argument(call: &Call, key: &str) -> Value {
    if call.unread.contains(&key) {
        return json!("unread");
    }
    call.arguments.get(key).cloned().unwrap_or(Value::Null)
}

#[test]
fn calls_have_the_names_of_kubernetes_authorization() {
    let cases = [
        ("GET /api/v1/namespaces/web/pods/p", "get pods", "web", "p"),
        ("HEAD /api/v1/namespaces/web/pods/p", "get pods", "web", "p"),
        ("GET /api/v1/namespaces/web/pods", "list pods", "web", ""),
        ("GET /api/v1/namespaces/web/pods/", "list pods", "web", ""),
        ("GET /api/v1/pods", "list pods", "", ""),
        ("GET /api/v1/namespaces/web/pods?watch", "watch pods", "web", ""),
        ("GET /api/v1/namespaces/web/pods?watch=true&limit=5", "watch pods", "web", ""),
        ("GET /api/v1/namespaces/web/pods?watch=0", "list pods", "web", ""),
        ("GET /api/v1/watch/namespaces/web/pods/p", "watch pods", "web", "p"),
        ("GET /api/v1/watch/nodes", "watch nodes", "", ""),
        ("POST /api/v1/namespaces/web/pods", "create pods", "web", ""),
        ("PUT /api/v1/namespaces/web/services/s", "update services", "web", "s"),
        ("PATCH /apis/apps/v1/namespaces/web/deployments/d", "patch apps/deployments", "web", "d"),
        (
            "DELETE /apis/apps/v1/namespaces/web/deployments/d",
            "delete apps/deployments",
            "web",
            "d",
        ),
        (
            "DELETE /apis/apps/v1/namespaces/web/deployments",
            "deletecollection apps/deployments",
            "web",
            "",
        ),
        ("DELETE /api/v1/namespaces/web", "delete namespaces", "web", "web"),
        ("GET /api/v1/namespaces", "list namespaces", "", ""),
        ("PUT /api/v1/namespaces/web/finalize", "update namespaces/finalize", "web", "web"),
        ("GET /api/v1/namespaces/web/status", "get namespaces/status", "web", "web"),
        ("GET /api/v1/namespaces/web/%70ods/p/log", "get pods/log", "web", "p"),
        ("POST /api/v1/namespaces/web/pods/p/eviction", "create pods/eviction", "web", "p"),
        ("POST /api/v1/namespaces/web/pods/p/exec?command=sh", "create pods/exec", "web", "p"),
        ("GET /api/v1/namespaces/web/pods/p/exec?command=sh", "create pods/exec", "web", "p"),
        ("GET /api/v1/namespaces/web/pods/p/attach", "create pods/attach", "web", "p"),
        ("GET /api/v1/namespaces/web/pods/p/portforward", "create pods/portforward", "web", "p"),
        (
            "PATCH /api/v1/namespaces/web/pods/p/ephemeralcontainers",
            "patch pods/ephemeralcontainers",
            "web",
            "p",
        ),
        (
            "GET /api/v1/namespaces/web/services/https:s:8443/proxy",
            "proxy services",
            "web",
            "https:s:8443",
        ),
        ("DELETE /api/v1/namespaces/web/services/s/proxy/a/b%2Fc", "proxy services", "web", "s"),
        ("GET /api/v1/nodes/n/proxy/run/web/p/c", "proxy nodes", "", "n"),
        ("GET /api/v1/proxy/namespaces/web/pods/p/status", "proxy pods", "web", "p"),
        (
            "POST /api/v1/namespaces/web/serviceaccounts/s/token",
            "create serviceaccounts/token",
            "web",
            "s",
        ),
        (
            "DELETE /apis/example.com/v2/namespaces/web/things/t",
            "delete example.com/things",
            "web",
            "t",
        ),
        // A group that poses as a resource of the core.
        ("DELETE /apis/pods/v1/log/x", "delete pods./log", "", "x"),
        // What only its own server knows.
        (
            "GET /apis/kubevirt.io/v1/namespaces/web/vms/v/console",
            "connect kubevirt.io/vms/console",
            "web",
            "v",
        ),
        (
            "GET /apis/kubevirt.io/v1/namespaces/web/vms/v/exec",
            "connect kubevirt.io/vms/exec",
            "web",
            "v",
        ),
        (
            "GET /apis/kubevirt.io/v1/namespaces/web/vms/v/status",
            "get kubevirt.io/vms/status",
            "web",
            "v",
        ),
        ("GET /api/v1/namespaces/web/pods/p/newer", "connect pods/newer", "web", "p"),
        ("OPTIONS /api/v1/namespaces/web/pods", "OPTIONS pods", "web", ""),
    ];
    for (line, name, namespace, object) in cases {
        let call = one(line, "", "");
        assert_eq!(call.name, name, "{line}");
        assert_eq!(argument(&call, "namespace").as_str().unwrap_or(""), namespace, "{line}");
        assert_eq!(argument(&call, "name").as_str().unwrap_or(""), object, "{line}");
        assert_eq!(argument(&call, "dry_run"), json!(false), "{line}");
    }
}

#[test]
fn only_paths_of_resources_are_read() {
    for (path, is) in [
        ("/api/v1/pods", true),
        ("/apis/apps/v1/deployments", true),
        ("/api", false),
        ("/api/v1", false),
        ("/api/v1/", false),
        ("/apis/apps/v1", false),
        ("/apis/apps/v1/", false),
        ("/api/v1%2Fsecrets", true),
        ("/apis/apps/v1%2Fdeployments", true),
        ("/API/v1/pods", false),
        ("/version", false),
        ("/openapi/v3/apis/apps/v1", false),
    ] {
        assert_eq!(names_a_resource(&request(&format!("GET {path}"), &[])), is, "{path}");
    }
}

#[test]
fn paths_that_servers_cut_elsewhere_are_refused() {
    for path in [
        "/api/v1/namespaces/web%2Fpods/p",
        "/api/v1/namespaces/web/pods%2Fp",
        "/api/v1/namespaces/web/pods/p%2Fexec",
        "/apis/apps%2Fv1/namespaces/web/deployments",
        "/api/v1/namespaces/web/pods/p/exec%2Fx",
        "/api/v1/namespaces/web/pods/p/log/deeper",
        "/api/v1/namespaces/web/Pods/p",
        "/api/v1/namespaces/web/po%20ds/p",
        "/apis/example.com/v1/namespaces/web/things.k8s.io/t",
        "/api/v1/watch",
        "/api/v1%2Fsecrets",
        "/api/v1/watch/nodes",
    ] {
        let read = calls(&request(&format!("DELETE {path}"), &[]), b"");
        assert!(matches!(read, Err(Unreadable::Path(_))), "{path}: {read:?}");
    }
}

#[test]
fn a_dry_run_counts_where_the_server_honours_it() {
    const JSON: &str = "application/json";
    const ALL: &str = r#"{"kind":"DeleteOptions","apiVersion":"v1","dryRun":["All"]}"#;
    let pod = "/api/v1/namespaces/web/pods/p";
    let cases = [
        ("POST", "/api/v1/namespaces/web/pods?dryRun=All", JSON, "{}", true),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/web/deployments/d?dryRun=All",
            "application/apply-patch+yaml",
            "a: 1",
            true,
        ),
        ("PUT", "/apis/apps/v1/namespaces/web/deployments/d/scale?dryRun=All", JSON, "{}", true),
        ("DELETE", "?dryRun=All", "", "", true),
        ("DELETE", "", JSON, ALL, true),
        ("DELETE", "", "", ALL, true),
        // The body's options take the place of those in the query.
        ("DELETE", "?dryRun=All", JSON, r#"{"kind":"DeleteOptions"}"#, false),
        ("DELETE", "?dryRun=All", JSON, "{}", false),
        ("DELETE", "?dryRun=All", "application/vnd.kubernetes.protobuf", "k8s\0x", false),
        ("DELETE", "?dryRun=All", "application/yaml", "dryRun: [All]", false),
        ("DELETE", "?dryRun=All", JSON, r#"{"dryRun":[]}"#, false),
        ("DELETE", "", JSON, r#"{"dryRun":"All"}"#, false),
        ("DELETE", "", JSON, r#"{"dryRun":["all"]}"#, false),
        ("DELETE", "", JSON, r#"{"dryrun":["All"]}"#, false),
        ("DELETE", "", JSON, r#"{"kind":"Pod","dryRun":["All"]}"#, false),
        // Anything but exactly All is none.
        ("DELETE", "?dryRun=all", "", "", false),
        ("DELETE", "?dryRun=true", "", "", false),
        ("DELETE", "?dryRun", "", "", false),
        ("DELETE", "?dryrun=All", "", "", false),
        ("DELETE", "?dryRun=All&dryRun=None", "", "", false),
        ("DELETE", "?dryRun=All&dryRun=All", "", "", false),
        ("DELETE", "?dryRun=All&x;y=z", "", "", false),
        // Older servers do not look for it there.
        ("DELETE", "/api/v1/namespaces/web/pods?dryRun=All", "", "", false),
        ("DELETE", "/api/v1/namespaces/web/pods", JSON, ALL, true),
        // What runs something else honours nothing.
        ("POST", "/api/v1/namespaces/web/pods/p/exec?dryRun=All", "", "", false),
        ("POST", "/api/v1/namespaces/web/services/s/proxy/x?dryRun=All", "", "", false),
        ("POST", "/api/v1/namespaces/web/serviceaccounts/s/token?dryRun=All", JSON, "{}", false),
        ("POST", "/api/v1/namespaces/web/pods/p/eviction?dryRun=All", JSON, "{}", true),
        ("DELETE", "/apis/example.com/v1/namespaces/web/things/t?dryRun=All", "", "", false),
        ("GET", "?dryRun=All", "", "", false),
        // The answer to a dry run shows what is in a secret.
        (
            "PATCH",
            "/api/v1/namespaces/web/secrets/s?dryRun=All",
            "application/merge-patch+json",
            "{}",
            false,
        ),
        ("DELETE", "/api/v1/namespaces/web/secrets", JSON, ALL, false),
        ("POST", "/api/v1/namespaces/web/secrets?dryRun=All", JSON, "{}", true),
    ];
    for (method, path, kind, body, expected) in cases {
        let path = if path.starts_with('/') { path.to_owned() } else { format!("{pod}{path}") };
        let call = one(&format!("{method} {path}"), kind, body);
        assert_eq!(argument(&call, "dry_run"), json!(expected), "{method} {path} {body}");
    }
}

#[test]
fn what_a_body_changes_stands_in_the_arguments() {
    const JSON: &str = "application/json";
    const MERGE: &str = "application/merge-patch+json";
    const PATCH: &str = "application/json-patch+json";
    const APPLY: &str = "application/apply-patch+yaml";
    let scale = "/apis/apps/v1/namespaces/web/deployments/d/scale";
    let workload = "/apis/apps/v1/namespaces/web/deployments/d";
    let none = Value::Null;
    let cases = [
        // Replicas, however they are written.
        ("PUT", scale, JSON, r#"{"spec":{"replicas":0}}"#, "replicas", json!(0)),
        ("PUT", scale, JSON, r#"{"spec":{"replicas":-0.0}}"#, "replicas", json!(0)),
        ("PUT", scale, JSON, r#"{"spec":{"replicas":3}}"#, "replicas", json!(3)),
        ("PUT", scale, JSON, r#"{"spec":{}}"#, "replicas", json!(0)),
        ("PUT", scale, JSON, "{}", "replicas", json!(0)),
        (
            "PUT",
            scale,
            "application/vnd.kubernetes.protobuf",
            "k8s\0x",
            "replicas",
            json!("unread"),
        ),
        ("PATCH", scale, MERGE, r#"{"spec":{"replicas":null}}"#, "replicas", json!(0)),
        ("PATCH", scale, MERGE, r#"{"spec":null}"#, "replicas", json!(0)),
        ("PATCH", scale, MERGE, r#"{"metadata":{}}"#, "replicas", none.clone()),
        ("PATCH", scale, MERGE, r#"{"spec":{"$patch":"replace"}}"#, "replicas", json!("unread")),
        ("PATCH", scale, APPLY, "spec: {replicas: 0}", "replicas", json!("unread")),
        ("PATCH", workload, MERGE, r#"{"spec":{"replicas":0}}"#, "replicas", json!(0)),
        ("PATCH", workload, MERGE, r#"{"spec":{"template":{}}}"#, "replicas", none.clone()),
        ("PATCH", workload, MERGE, r#"{"spec":{"replicas":null}}"#, "replicas", none.clone()),
        (
            "PATCH",
            workload,
            PATCH,
            r#"[{"op":"replace","path":"/spec/replicas","value":0}]"#,
            "replicas",
            json!(0),
        ),
        (
            "PATCH",
            workload,
            PATCH,
            r#"[{"op":"replace","path":"/spec/template/x","value":0}]"#,
            "replicas",
            none.clone(),
        ),
        (
            "PATCH",
            workload,
            PATCH,
            r#"[{"op":"replace","path":"/spec","value":{}}]"#,
            "replicas",
            json!("unread"),
        ),
        (
            "PATCH",
            workload,
            PATCH,
            r#"[{"op":"copy","from":"/a","path":"/spec/replicas"}]"#,
            "replicas",
            json!("unread"),
        ),
        (
            "PATCH",
            workload,
            PATCH,
            r#"[{"op":"move","from":"/spec/replicas","path":"/a"}]"#,
            "replicas",
            json!("unread"),
        ),
        (
            "PATCH",
            "/api/v1/namespaces/web/configmaps/c",
            MERGE,
            r#"{"spec":{"replicas":0}}"#,
            "replicas",
            none.clone(),
        ),
        // Finalizers, which keep a deletion from going through.
        (
            "PATCH",
            workload,
            MERGE,
            r#"{"metadata":{"finalizers":null}}"#,
            "finalizers",
            json!(true),
        ),
        (
            "PATCH",
            workload,
            MERGE,
            r#"{"metadata":{"$deleteFromPrimitiveList/finalizers":["a"]}}"#,
            "finalizers",
            json!(true),
        ),
        ("PATCH", workload, MERGE, r#"{"metadata":null}"#, "finalizers", json!(true)),
        ("PATCH", workload, MERGE, r#"{"metadata":{"labels":{}}}"#, "finalizers", none.clone()),
        ("PATCH", workload, MERGE, r#"{"$patch":"replace"}"#, "finalizers", json!(true)),
        (
            "PATCH",
            workload,
            PATCH,
            r#"[{"op":"remove","path":"/metadata/finalizers/0"}]"#,
            "finalizers",
            json!(true),
        ),
        // Servers take nothing of what stands before the first slash.
        (
            "PATCH",
            workload,
            PATCH,
            r#"[{"op":"remove","path":"x/metadata/finalizers/0"}]"#,
            "finalizers",
            json!(true),
        ),
        (
            "PATCH",
            workload,
            PATCH,
            r#"[{"op":"replace","path":"x/spec/replicas","value":0}]"#,
            "replicas",
            json!(0),
        ),
        (
            "PATCH",
            workload,
            PATCH,
            r#"[{"op":"test","path":"/metadata/finalizers/0"}]"#,
            "finalizers",
            none.clone(),
        ),
        ("PATCH", workload, APPLY, "metadata: {}", "finalizers", json!("unread")),
        (
            "PUT",
            workload,
            JSON,
            r#"{"metadata":{"deletionTimestamp":"x"}}"#,
            "finalizers",
            json!(true),
        ),
        ("PUT", workload, JSON, r#"{"metadata":{}}"#, "finalizers", none.clone()),
        // A dry run changes none of that.
        (
            "PUT",
            "/apis/apps/v1/namespaces/web/deployments/d/scale?dryRun=All",
            JSON,
            r#"{"spec":{"replicas":0}}"#,
            "replicas",
            none.clone(),
        ),
        // What is made, and what is applied.
        (
            "POST",
            "/api/v1/namespaces",
            JSON,
            r#"{"metadata":{"name":"web"}}"#,
            "namespace",
            json!("web"),
        ),
        (
            "POST",
            "/api/v1/namespaces",
            JSON,
            r#"{"metadata":{"generateName":"w"}}"#,
            "namespace",
            none.clone(),
        ),
        (
            "POST",
            "/api/v1/namespaces",
            "application/yaml",
            "metadata: {name: web}",
            "namespace",
            none.clone(),
        ),
        (
            "POST",
            "/api/v1/namespaces",
            "application/yaml",
            "metadata: {name: web}",
            "body",
            json!("unread"),
        ),
        (
            "POST",
            "/api/v1/namespaces/web/secrets",
            JSON,
            r#"{"type":"Opaque"}"#,
            "type",
            json!("Opaque"),
        ),
        ("POST", "/api/v1/namespaces/web/secrets", JSON, "{}", "type", none.clone()),
        (
            "POST",
            "/api/v1/namespaces/web/secrets",
            "application/yaml",
            "type: x",
            "type",
            json!("unread"),
        ),
        (
            "PATCH",
            "/api/v1/namespaces/web/pods/p",
            APPLY,
            r#"{"kind":"Pod"}"#,
            "apply",
            json!(true),
        ),
        ("PATCH", "/api/v1/namespaces/web/pods/p", MERGE, r#"{"kind":"Pod"}"#, "apply", none),
        (
            "PATCH",
            "/api/v1/namespaces/web/pods/p",
            MERGE,
            r#"{"kind":"Pod"}"#,
            "body",
            json!({"kind": "Pod"}),
        ),
    ];
    for (method, path, kind, body, key, expected) in cases {
        let call = one(&format!("{method} {path}"), kind, body);
        assert_eq!(argument(&call, key), expected, "{method} {path} {body}");
    }
}

#[test]
fn a_body_that_is_two_things_is_refused() {
    let pod = "DELETE /api/v1/namespaces/web/pods/p";
    let twice = r#"{"dryRun":["All"],"dryRun":[]}"#;
    assert_eq!(carrying(pod, "application/json", twice), Err(Unreadable::Json));
    assert_eq!(carrying(pod, "", "dryRun: [All]"), Err(Unreadable::Json));
    let charset = "application/json; charset=utf-16";
    assert_eq!(carrying(pod, charset, "{}"), Err(Unreadable::Charset));
}

#[test]
fn acting_as_somebody_else_is_a_call_of_its_own() {
    let headers = [("impersonate-user", "system:admin"), ("impersonate-group", "system:masters")];
    let calls = calls(&request("GET /api/v1/namespaces/web/pods", &headers), b"").unwrap();
    let names: Vec<&str> = calls.iter().map(|call| &*call.name).collect();
    assert_eq!(names, ["list pods", "impersonate users"]);
    assert_eq!(calls[1].arguments.get("namespace"), None);
    let whom = calls[1].arguments.get("as").and_then(Value::as_str);
    assert_eq!(whom, Some("user system:admin, group system:masters"));
    // As a proxy in front of the server says who calls.
    for header in ["x-remote-user", "x-remote-group", "x-remote-extra-scopes", "x_remote_user"] {
        let calls = super::calls(&request("GET /api/v1/pods", &[(header, "admin")]), b"").unwrap();
        assert_eq!(calls.len(), 2, "{header}");
        assert_eq!(calls[1].name, "impersonate users", "{header}");
    }
}

proptest! {
    /// However a path is written, a method that changes something is never read as one that does not.
    #[test]
    fn what_changes_something_is_no_read(
        path in "/(api/v1|apis/(apps|x[.]io)/v1)(/(watch|proxy|namespaces|web|pods|exec|status|scale|a%2Fb|)){0,7}",
        method in "(DELETE|POST|PUT|PATCH)",
        body in prop::sample::select(vec!["", r#"{"dryRun":["All"]}"#, r#"{"spec":null}"#, "[{}]"]),
    ) {
        let Ok(head) = head(&method, &format!("{API}{path}"), &[]) else { return Ok(()) };
        for call in calls(&head, body.as_bytes()).into_iter().flatten() {
            let verb = call.name.split(' ').next().unwrap();
            prop_assert!(!matches!(verb, "get" | "list" | "watch"), "{}", call.name);
        }
    }
}
