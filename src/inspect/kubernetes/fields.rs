//! Fields of Kubernetes' own resources by which a change deletes, stops or exposes.
//!
//! Takes a body and what its path names; returns an argument for each such field that is touched:
//! its value, or that it cannot be told. Fields that hand out the node stand together as `host`.
//! Where a field is taken out it is null, which is its default.

use super::body::{Carried, Part, has_directive, pointer};
use super::{Named, is_own};
use crate::message::json;
use serde_json::Value;

/// A field that a verdict depends on.
struct Field {
    /// What it is called in the catalog.
    argument: &'static str,
    /// In which verbs it counts.
    verbs: &'static [&'static str],
    /// In which resources; none are all, and their subresources but `scale`.
    of: &'static [&'static str],
    path: &'static [&'static str],
    /// Whether it counts that it is touched, whatever comes of it.
    touched: bool,
}

const CHANGES: &[&str] = &["update", "patch"];
const WRITES: &[&str] = &["create", "update", "patch"];

const fn field(
    argument: &'static str,
    verbs: &'static [&'static str],
    of: &'static [&'static str],
    path: &'static [&'static str],
) -> Field {
    Field { argument, verbs, of, path, touched: false }
}

const FIELDS: &[Field] = &[
    field("owners", CHANGES, &[], &["metadata", "ownerReferences"]),
    field(
        "claims_when_scaled",
        WRITES,
        &["statefulsets"],
        &["spec", "persistentVolumeClaimRetentionPolicy", "whenScaled"],
    ),
    field(
        "claims_when_deleted",
        WRITES,
        &["statefulsets"],
        &["spec", "persistentVolumeClaimRetentionPolicy", "whenDeleted"],
    ),
    field("reclaim", WRITES, &["persistentvolumes"], &["spec", "persistentVolumeReclaimPolicy"]),
    Field {
        touched: true,
        ..field("claim", CHANGES, &["persistentvolumes"], &["spec", "claimRef"])
    },
    field("ttl", CHANGES, &["jobs"], &["spec", "ttlSecondsAfterFinished"]),
    field("deadline", CHANGES, &["jobs", "pods"], &["spec", "activeDeadlineSeconds"]),
    field("retries", CHANGES, &["jobs"], &["spec", "backoffLimit"]),
    field("suspend", CHANGES, &["jobs"], &["spec", "suspend"]),
    field("parallelism", CHANGES, &["jobs"], &["spec", "parallelism"]),
    field("successful_kept", CHANGES, &["cronjobs"], &["spec", "successfulJobsHistoryLimit"]),
    field("failed_kept", CHANGES, &["cronjobs"], &["spec", "failedJobsHistoryLimit"]),
    field("concurrency", CHANGES, &["cronjobs"], &["spec", "concurrencyPolicy"]),
    field(
        "revisions",
        CHANGES,
        &["daemonsets", "deployments", "statefulsets"],
        &["spec", "revisionHistoryLimit"],
    ),
    field("node_selector", CHANGES, &["daemonsets"], &["spec", "template", "spec", "nodeSelector"]),
    field("affinity", CHANGES, &["daemonsets"], &["spec", "template", "spec", "affinity"]),
    field("node_name", CHANGES, &["daemonsets"], &["spec", "template", "spec", "nodeName"]),
    Field {
        touched: true,
        ..field(
            "tolerations",
            &["patch"],
            &["daemonsets"],
            &["spec", "template", "spec", "tolerations"],
        )
    },
    field("min_replicas", WRITES, &["horizontalpodautoscalers"], &["spec", "minReplicas"]),
    field("taints", CHANGES, &["nodes"], &["spec", "taints"]),
    field("taints", WRITES, &["devicetaintrules"], &["spec", "taint"]),
    field("service_type", WRITES, &["services"], &["spec", "type"]),
    field("external_ips", WRITES, &["services"], &["spec", "externalIPs"]),
    field("external_name", WRITES, &["services"], &["spec", "externalName"]),
    // One that is replaced whole has its type beside it.
    Field {
        touched: true,
        ..field("source_ranges", &["patch"], &["services"], &["spec", "loadBalancerSourceRanges"])
    },
];

/// What a body says of each field that counts.
pub(super) fn touched(named: &Named<'_>, carried: &Carried) -> Vec<(&'static str, Part)> {
    let counts = |field: &&Field| {
        let all = field.of.is_empty();
        field.verbs.contains(&&*named.verb)
            && (all || (field.of.contains(&named.resource) && is_own(named.group)))
            // What changes a scale takes nothing but its number.
            && if all { named.subresource != Some("scale") } else { named.subresource.is_none() }
    };
    let fields = FIELDS.iter().filter(counts);
    let mut found: Vec<_> = fields
        .filter_map(|field| Some((field.argument, field.found(&named.verb, carried)?)))
        .collect();
    found.extend(host(named, carried).map(|part| ("host", part)));
    found
}

impl Field {
    fn found(&self, verb: &str, carried: &Carried) -> Option<Part> {
        let part = match carried {
            Carried::Empty => return None,
            Carried::Unread => return Some(Part::Unread),
            Carried::Json(Value::Array(steps)) => self.patched(steps)?,
            // What is replaced loses what is left out.
            Carried::Json(_) if self.touched && verb == "update" => Part::Read(Value::from(true)),
            Carried::Json(body) => self.within(body, self.path)?,
        };
        match part {
            Part::Read(_) if self.touched => Some(Part::Read(Value::from(true))),
            // None, so that nothing has to be told of it.
            Part::Read(Value::Null) => None,
            // However zero is written.
            Part::Read(value) if value.as_f64() == Some(0.0) => Some(Part::Read(Value::from(0))),
            part => Some(part),
        }
    }

    /// What a merge patch or an object has at the end of a path; none where that stays as it is.
    fn within(&self, body: &Value, path: &[&str]) -> Option<Part> {
        let mut at = body;
        for name in path {
            let Value::Object(map) = at else {
                // Nothing below null is left.
                return Some(if at.is_null() { Part::Read(Value::Null) } else { Part::Unread });
            };
            let directs = |key: &String| {
                json::is_alike(key, name) && key != name
                    || (key.starts_with('$') && key.rsplit('/').next() == Some(*name))
            };
            if map.keys().any(directs) || (self.touched && has_directive(Some(at))) {
                return Some(Part::Unread);
            }
            at = map.get(*name)?;
        }
        Some(Part::Read(at.clone()))
    }

    /// What the steps of a JSON patch leave (RFC 6902): each of several, for one is enough.
    fn patched(&self, steps: &[Value]) -> Option<Part> {
        let mut left = Vec::new();
        for step in steps {
            let op = step.get("op").and_then(Value::as_str);
            if op == Some("test") {
                continue;
            }
            let from = step.get("from").and_then(Value::as_str);
            if op != Some("copy") && from.is_some_and(|from| self.meets(from).is_some()) {
                return Some(Part::Unread);
            }
            let Some(path) = step.get("path").and_then(Value::as_str) else {
                return Some(Part::Unread);
            };
            let below = match self.meets(path) {
                None => continue,
                Some(Meets::Alike) => return Some(Part::Unread),
                Some(Meets::Above(below)) => below,
            };
            let part = match (op, step.get("value")) {
                (Some("remove"), _) => Some(Part::Read(Value::Null)),
                (Some("add" | "replace"), Some(value)) => {
                    Some(self.within(value, below).unwrap_or(Part::Read(Value::Null)))
                }
                _ => None,
            };
            let Some(Part::Read(value)) = part else { return Some(Part::Unread) };
            left.push(value);
        }
        match left.len() {
            0 => None,
            1 => left.pop().map(Part::Read),
            _ => Some(Part::Read(Value::Array(left))),
        }
    }

    /// How a JSON patch's path meets this field.
    fn meets(&self, path: &str) -> Option<Meets> {
        let mut below = self.path;
        let mut alike = false;
        for name in pointer(path).split('/').skip(1) {
            let Some((next, rest)) = below.split_first() else {
                // A part of the value.
                return Some(Meets::Alike);
            };
            if *next != name && !json::is_alike(next, name) {
                return None;
            }
            alike |= *next != name;
            below = rest;
        }
        Some(if alike { Meets::Alike } else { Meets::Above(below) })
    }
}

/// How a path meets a field.
enum Meets {
    /// It is the field, or leads to it; what is left of the field's path.
    Above(&'static [&'static str]),
    /// It goes on behind the field, or is another spelling of it.
    Alike,
}

/// What containers may have beyond the others without reaching the node, by the baseline of the Pod
/// Security Standards.
const CAPABILITIES: &[&str] = &[
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Whether pods are given the node they run on, and so every namespace that has pods there.
fn host(named: &Named<'_>, carried: &Carried) -> Option<Part> {
    let runs = matches!(named.group, "apps" | "batch" | "extensions")
        || (named.group.is_empty()
            && matches!(named.resource, "pods" | "podtemplates" | "replicationcontrollers"));
    let counts = runs
        && WRITES.contains(&&*named.verb)
        && matches!(named.subresource, None | Some("ephemeralcontainers"));
    if !counts {
        return None;
    }
    let given = match carried {
        Carried::Empty => false,
        Carried::Unread => return Some(Part::Unread),
        Carried::Json(Value::Array(steps)) => steps.iter().any(|step| {
            let at = |key: &str| step.get(key).and_then(Value::as_str);
            let path: Vec<&str> = at("path").map(pointer).unwrap_or_default().split('/').collect();
            let (last, before) =
                path.split_last().map_or(("", &[][..]), |(last, all)| (*last, all));
            let is = |name: &str| before.iter().any(|part| part.eq_ignore_ascii_case(name));
            !matches!(at("op"), Some("test" | "remove"))
                && (is("hostPath")
                    || (is("capabilities")
                        && step.get("value").is_none_or(|value| !is_baseline(value)))
                    || step.get("value").map_or_else(
                        || gives(last, &Value::from(true)),
                        |value| gives(last, value) || gives_below(value),
                    ))
        }),
        Carried::Json(body) => gives_below(body),
    };
    given.then(|| Part::Read(Value::from(true)))
}

/// Whether some member, at any depth, hands out the node.
fn gives_below(body: &Value) -> bool {
    let mut waiting = vec![body];
    while let Some(value) = waiting.pop() {
        match value {
            Value::Array(members) => waiting.extend(members),
            Value::Object(map) => {
                if map.iter().any(|(key, value)| gives(key, value)) {
                    return true;
                }
                waiting.extend(map.values());
            }
            _ => {}
        }
    }
    false
}

/// Whether a member hands out the node.
fn gives(key: &str, value: &Value) -> bool {
    match &*key.to_ascii_lowercase() {
        "hostnetwork" | "hostpid" | "hostipc" | "hostprocess" | "privileged" => {
            !matches!(value, Value::Null | Value::Bool(false))
        }
        "hostpath" => !value.is_null(),
        "hostport" => !value.is_null() && value.as_u64() != Some(0),
        "procmount" => !value.is_null() && value != "Default",
        "capabilities" => value.as_object().is_some_and(|map| {
            let adds = |(key, value): (&String, &Value)| {
                key.eq_ignore_ascii_case("add") && !is_baseline(value)
            };
            map.iter().any(adds)
        }),
        _ => false,
    }
}

/// Whether capabilities are none that reach the node.
fn is_baseline(value: &Value) -> bool {
    let plain = |name: &Value| name.as_str().is_some_and(|name| CAPABILITIES.contains(&name));
    match value {
        Value::Null => true,
        Value::Array(names) => names.iter().all(plain),
        Value::Object(map) => {
            map.iter().all(|(key, value)| key.eq_ignore_ascii_case("drop") || is_baseline(value))
        }
        name => plain(name),
    }
}
