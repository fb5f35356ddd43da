//! Fields by which a change deletes, stops or exposes, in each form in which it is written.

use super::{argument, one};
use serde_json::{Value, json};

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const STRATEGIC: &str = "application/strategic-merge-patch+json";
const STEPS: &str = "application/json-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const OTHER: &str = "application/vnd.kubernetes.protobuf";

const SET: &str = "/apis/apps/v1/namespaces/web/statefulsets/s";
const PODS: &str = "/apis/apps/v1/namespaces/web/deployments/d";
const VOLUME: &str = "/api/v1/persistentvolumes/v";
const SERVICE: &str = "/api/v1/namespaces/web/services/s";

#[test]
fn a_field_is_found_in_each_form_of_a_change() {
    let none = Value::Null;
    let unread = json!("unread");
    let cases = [
        // Owners, of whatever kind it is.
        (
            "PATCH",
            SET,
            MERGE,
            r#"{"metadata":{"ownerReferences":[{"uid":"0"}]}}"#,
            json!([{"uid":"0"}]),
        ),
        (
            "PUT",
            SET,
            JSON,
            r#"{"metadata":{"ownerReferences":[{"uid":"0"}]}}"#,
            json!([{"uid":"0"}]),
        ),
        ("PUT", SET, OTHER, "k8s", unread.clone()),
        ("PATCH", SET, APPLY, "metadata: {}", unread.clone()),
        (
            "PATCH",
            SET,
            APPLY,
            r#"{"metadata":{"ownerReferences":[{"uid":"0"}]}}"#,
            json!([{"uid":"0"}]),
        ),
        ("POST", SET, JSON, r#"{"metadata":{"ownerReferences":[{"uid":"0"}]}}"#, none.clone()),
        ("PATCH", SET, MERGE, r#"{"metadata":{"ownerReferences":[]}}"#, json!([])),
        ("PATCH", SET, MERGE, r#"{"metadata":{"ownerReferences":null}}"#, none.clone()),
        ("PATCH", SET, MERGE, r#"{"metadata":null}"#, none.clone()),
        ("PATCH", SET, MERGE, r#"{"metadata":{"labels":{"ownerReferences":"x"}}}"#, none.clone()),
        ("PATCH", SET, MERGE, r#"{"metadata":{"OwnerReferences":[]}}"#, unread.clone()),
        ("PATCH", SET, MERGE, r#"{"metadata":7}"#, unread.clone()),
        (
            "PATCH",
            SET,
            STRATEGIC,
            r#"{"metadata":{"$setElementOrder/ownerReferences":[]}}"#,
            unread.clone(),
        ),
        (
            "PATCH",
            SET,
            STRATEGIC,
            r#"{"metadata":{"$setElementOrder/finalizers":[],"$retainKeys":["name"]}}"#,
            none.clone(),
        ),
        (
            "PATCH",
            SET,
            STEPS,
            r#"[{"op":"add","path":"/metadata/ownerReferences","value":[{"uid":"0"}]}]"#,
            json!([{"uid":"0"}]),
        ),
        // Servers take nothing of what stands before the first slash.
        (
            "PATCH",
            SET,
            STEPS,
            r#"[{"op":"add","path":"x/metadata/ownerReferences","value":[{"uid":"0"}]}]"#,
            json!([{"uid":"0"}]),
        ),
        (
            "PATCH",
            SET,
            STEPS,
            r#"[{"op":"add","path":"/metadata/ownerReferences/0/uid","value":"0"}]"#,
            unread.clone(),
        ),
        (
            "PATCH",
            SET,
            STEPS,
            r#"[{"op":"replace","path":"/metadata","value":{"ownerReferences":[{"uid":"0"}]}}]"#,
            json!([{"uid":"0"}]),
        ),
        (
            "PATCH",
            SET,
            STEPS,
            r#"[{"op":"replace","path":"","value":{"metadata":{"ownerReferences":[{"uid":"0"}]}}}]"#,
            json!([{"uid":"0"}]),
        ),
        (
            "PATCH",
            SET,
            STEPS,
            r#"[{"op":"add","path":"/metadata/labels/a","value":"b"}]"#,
            none.clone(),
        ),
        (
            "PATCH",
            SET,
            STEPS,
            r#"[{"op":"test","path":"/metadata/ownerReferences","value":[{}]}]"#,
            none.clone(),
        ),
        (
            "PATCH",
            SET,
            STEPS,
            r#"[{"op":"remove","path":"/metadata/ownerReferences"}]"#,
            none.clone(),
        ),
        (
            "PATCH",
            SET,
            STEPS,
            r#"[{"op":"copy","from":"/a","path":"/metadata/ownerReferences"}]"#,
            unread.clone(),
        ),
        (
            "PATCH",
            SET,
            STEPS,
            r#"[{"op":"move","from":"/metadata/ownerReferences/1","path":"/a"}]"#,
            unread.clone(),
        ),
        (
            "PATCH",
            SET,
            STEPS,
            r#"[{"op":"add","path":"/metadata/ownerReferences","value":[]},
                {"op":"add","path":"/metadata/ownerReferences","value":[{"uid":"0"}]}]"#,
            json!([[], [{"uid":"0"}]]),
        ),
        ("PATCH", SET, STEPS, r#"[{"op":"add","value":[]}]"#, unread),
        ("PUT", "/apis/apps/v1/namespaces/web/statefulsets/s/scale", OTHER, "k8s", none.clone()),
        (
            "PATCH",
            "/api/v1/namespaces/web/pods/p/status",
            MERGE,
            r#"{"metadata":{"ownerReferences":[{"uid":"0"}]}}"#,
            json!([{"uid":"0"}]),
        ),
        (
            "PATCH",
            "/apis/apps/v1/namespaces/web/statefulsets/s?dryRun=All",
            MERGE,
            r#"{"metadata":{"ownerReferences":[{"uid":"0"}]}}"#,
            none,
        ),
    ];
    for (method, path, kind, body, expected) in cases {
        let call = one(&format!("{method} {path}"), kind, body);
        assert_eq!(argument(&call, "owners"), expected, "{method} {path} {body}");
    }
}

#[test]
fn fields_are_those_of_their_resource() {
    let cases = [
        (
            SET,
            r#"{"spec":{"persistentVolumeClaimRetentionPolicy":{"whenScaled":"Delete"}}}"#,
            "claims_when_scaled",
            json!("Delete"),
        ),
        (
            PODS,
            r#"{"spec":{"persistentVolumeClaimRetentionPolicy":{"whenScaled":"Delete"}}}"#,
            "claims_when_scaled",
            Value::Null,
        ),
        (
            VOLUME,
            r#"{"spec":{"persistentVolumeReclaimPolicy":"Delete"}}"#,
            "reclaim",
            json!("Delete"),
        ),
        (
            "/apis/batch/v1/namespaces/web/jobs/j",
            r#"{"spec":{"parallelism":-0.0}}"#,
            "parallelism",
            json!(0),
        ),
        // That it is touched counts, whatever it becomes.
        (VOLUME, r#"{"spec":{"claimRef":null}}"#, "claim", json!(true)),
        (VOLUME, r#"{"spec":{"claimRef":{"uid":null}}}"#, "claim", json!(true)),
        (VOLUME, r#"{"spec":null}"#, "claim", json!(true)),
        (VOLUME, r#"{"spec":{"$patch":"replace"}}"#, "claim", json!("unread")),
        (VOLUME, r#"{"spec":{"capacity":{}}}"#, "claim", Value::Null),
        (SERVICE, r#"{"spec":{"loadBalancerSourceRanges":null}}"#, "source_ranges", json!(true)),
        (SERVICE, r#"{"spec":{"type":"NodePort"}}"#, "service_type", json!("NodePort")),
        (
            "/api/v1/namespaces/web/configmaps/c",
            r#"{"spec":{"type":"NodePort"}}"#,
            "service_type",
            Value::Null,
        ),
        (
            "/apis/x.example.com/v1/namespaces/web/services/s",
            r#"{"spec":{"type":"NodePort"}}"#,
            "service_type",
            Value::Null,
        ),
    ];
    for (path, body, key, expected) in cases {
        let call = one(&format!("PATCH {path}"), MERGE, body);
        assert_eq!(argument(&call, key), expected, "{path} {body}");
    }
    let put = one(&format!("PUT {VOLUME}"), JSON, r#"{"spec":{}}"#);
    assert_eq!(argument(&put, "claim"), json!(true), "what is left out is taken away");
}

#[test]
fn pods_that_are_given_their_node_are_told() {
    let spec = |spec: &str| format!(r#"{{"spec":{{"template":{{"spec":{spec}}}}}}}"#);
    let cases = [
        (MERGE, spec(r#"{"hostNetwork":true}"#), true),
        (MERGE, spec(r#"{"hostNetwork":false,"hostPID":null}"#), false),
        (MERGE, spec(r#"{"hostIPC":"yes"}"#), true),
        (STRATEGIC, spec(r#"{"volumes":[{"name":"v","hostPath":{"path":"/"}}]}"#), true),
        (STRATEGIC, spec(r#"{"volumes":[{"name":"v","emptyDir":{}}]}"#), false),
        (MERGE, spec(r#"{"containers":[{"securityContext":{"privileged":true}}]}"#), true),
        (MERGE, spec(r#"{"containers":[{"securityContext":{"procMount":"Unmasked"}}]}"#), true),
        (MERGE, spec(r#"{"containers":[{"ports":[{"hostPort":80}]}]}"#), true),
        (MERGE, spec(r#"{"containers":[{"ports":[{"hostPort":0,"containerPort":80}]}]}"#), false),
        (
            MERGE,
            spec(r#"{"containers":[{"securityContext":{"capabilities":{"add":["SYS_ADMIN"]}}}]}"#),
            true,
        ),
        (
            MERGE,
            spec(r#"{"containers":[{"securityContext":{"capabilities":{"add":["CHOWN"],"drop":["ALL"]}}}]}"#),
            false,
        ),
        (MERGE, spec(r#"{"containers":[{"readinessProbe":{"httpGet":{"path":"/hostPath"}}}]}"#), false),
        (
            STEPS,
            r#"[{"op":"add","path":"/spec/template/spec/hostPID","value":true}]"#.to_owned(),
            true,
        ),
        (
            STEPS,
            r#"[{"op":"add","path":"/spec/template/spec/hostPID","value":false}]"#.to_owned(),
            false,
        ),
        (
            STEPS,
            r#"[{"op":"copy","from":"/a","path":"/spec/template/spec/hostPID"}]"#.to_owned(),
            true,
        ),
        (
            STEPS,
            r#"[{"op":"replace","path":"/spec/template/spec/volumes/0/hostPath/path","value":"/"}]"#
                .to_owned(),
            true,
        ),
        (
            STEPS,
            r#"[{"op":"add","path":"/spec/template/spec/containers/0/securityContext/capabilities/add/-","value":"SYS_ADMIN"}]"#
                .to_owned(),
            true,
        ),
        (
            STEPS,
            r#"[{"op":"add","path":"/spec/template/spec/containers/0/securityContext/capabilities","value":{"drop":["ALL"]}}]"#
                .to_owned(),
            false,
        ),
        (STEPS, r#"[{"op":"remove","path":"/spec/template/spec/hostPID"}]"#.to_owned(), false),
        (
            STEPS,
            r#"[{"op":"add","path":"/spec/template/spec/containers/-","value":{"securityContext":{"privileged":true}}}]"#
                .to_owned(),
            true,
        ),
    ];
    for (kind, body, given) in cases {
        let call = one(&format!("PATCH {PODS}"), kind, &body);
        let expected = if given { json!(true) } else { Value::Null };
        assert_eq!(argument(&call, "host"), expected, "{body}");
    }
    let whole = spec(r#"{"hostNetwork":true}"#);
    for (line, expected) in [
        ("POST /apis/batch/v1/namespaces/web/jobs", json!(true)),
        ("PATCH /api/v1/namespaces/web/pods/p/ephemeralcontainers", json!(true)),
        ("POST /api/v1/namespaces/web/configmaps", Value::Null),
    ] {
        let kind = if line.starts_with("PATCH") { MERGE } else { JSON };
        assert_eq!(argument(&one(line, kind, &whole), "host"), expected, "{line}");
    }
    let unread = one(&format!("POST {PODS}"), OTHER, "k8s");
    assert_eq!(argument(&unread, "host"), json!("unread"));
}
