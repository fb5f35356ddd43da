//! Whether the catalog knows all that Kubernetes serves.

use crate::catalog::{Catalog, Effect, Reversibility};

/// The resources of Kubernetes 1.37 by group, those of a line with the same verbs.
const RESOURCES: &[(&str, &str)] = &[
    (
        "",
        "configmaps endpoints events limitranges nodes persistentvolumeclaims persistentvolumes pods \
         podtemplates replicationcontrollers resourcequotas secrets serviceaccounts services",
    ),
    (
        "admissionregistration.k8s.io",
        "mutatingadmissionpolicies mutatingadmissionpolicybindings mutatingwebhookconfigurations \
         validatingadmissionpolicies validatingadmissionpolicybindings validatingwebhookconfigurations",
    ),
    ("apiextensions.k8s.io", "customresourcedefinitions"),
    ("apiregistration.k8s.io", "apiservices"),
    ("apps", "controllerrevisions daemonsets deployments replicasets statefulsets"),
    ("autoscaling", "horizontalpodautoscalers"),
    ("batch", "cronjobs jobs"),
    (
        "certificates.k8s.io",
        "certificatesigningrequests clustertrustbundles podcertificaterequests",
    ),
    ("coordination.k8s.io", "leasecandidates leases"),
    ("discovery.k8s.io", "endpointslices"),
    ("events.k8s.io", "events"),
    ("flowcontrol.apiserver.k8s.io", "flowschemas prioritylevelconfigurations"),
    ("internal.apiserver.k8s.io", "storageversions"),
    ("lifecycle.k8s.io", "evictionrequests evictions"),
    ("networking.k8s.io", "ingressclasses ingresses ipaddresses networkpolicies servicecidrs"),
    ("node.k8s.io", "runtimeclasses"),
    ("policy", "poddisruptionbudgets"),
    ("rbac.authorization.k8s.io", "clusterrolebindings clusterroles rolebindings roles"),
    (
        "resource.k8s.io",
        "deviceclasses devicetaintrules resourceclaims resourceclaimtemplates resourcepoolstatusrequests \
         resourceslices",
    ),
    ("scheduling.k8s.io", "compositepodgroups podgroups priorityclasses workloads"),
    (
        "storage.k8s.io",
        "csidrivers csinodes csistoragecapacities storageclasses volumeattachments volumeattributesclasses",
    ),
    ("storagemigration.k8s.io", "storageversionmigrations"),
];

/// What has verbs of its own.
const FURTHER: &[&str] = &[
    "create apps/deployments",
    "get apps/deployments/scale",
    "patch apps/statefulsets/scale",
    "update apps/replicasets/status",
    "update replicationcontrollers/scale",
    "create authentication.k8s.io/selfsubjectreviews",
    "create authentication.k8s.io/tokenreviews",
    "create authorization.k8s.io/localsubjectaccessreviews",
    "create authorization.k8s.io/selfsubjectaccessreviews",
    "create authorization.k8s.io/selfsubjectrulesreviews",
    "create authorization.k8s.io/subjectaccessreviews",
    "create bindings",
    "update certificates.k8s.io/certificatesigningrequests/approval",
    "list componentstatuses",
    "create namespaces",
    "delete namespaces",
    "list namespaces",
    "patch namespaces",
    "update namespaces",
    "update namespaces/finalize",
    "patch namespaces/status",
    "proxy nodes",
    "patch nodes/status",
    "update persistentvolumeclaims/status",
    "update persistentvolumes/status",
    "create pods/attach",
    "create pods/binding",
    "patch pods/ephemeralcontainers",
    "create pods/eviction",
    "create pods/exec",
    "get pods/log",
    "create pods/portforward",
    "proxy pods",
    "patch pods/resize",
    "patch pods/status",
    "update resourcequotas/status",
    "create serviceaccounts/token",
    "proxy services",
    "update services/status",
    "impersonate users",
];

#[test]
fn the_catalog_knows_what_kubernetes_serves() {
    const VERBS: &[&str] =
        &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
    let catalog = Catalog::embedded("kubernetes").unwrap();
    for (group, resources) in RESOURCES {
        for (resource, verb) in
            resources.split_whitespace().flat_map(|one| VERBS.iter().map(move |verb| (one, *verb)))
        {
            let slash = if group.is_empty() { "" } else { "/" };
            let name = format!("{verb} {group}{slash}{resource}");
            let spec = catalog.operation(&name).unwrap_or_else(|| panic!("{name}"));
            let reads = matches!(verb, "get" | "list" | "watch");
            let expected = if resource == "secrets" { Effect::Credential } else { Effect::Read };
            assert_eq!(spec.effect == expected, reads || name == "patch secrets", "{name}");
            if verb.starts_with("delete") {
                assert_eq!(spec.reversibility, Reversibility::Irreversible, "{name}");
            }
        }
    }
    for name in FURTHER {
        assert!(catalog.operation(name).is_some(), "{name}");
    }
    // Whoever serves these says what they do.
    for name in [
        "create example.com/things",
        "update example.com/things",
        "patch example.com/things",
        "connect example.com/things/console",
        "OPTIONS pods",
    ] {
        assert!(catalog.operation(name).is_none(), "{name}");
    }
}
