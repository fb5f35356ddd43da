//! The JSON Schema of the policy format, from the same types that read it.

use super::file;
use schemars::JsonSchema;
use std::collections::BTreeMap;

/// A Holdgate policy.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "Holdgate policy")]
#[expect(dead_code, reason = "only its schema is used")]
struct Document {
    /// The version of the format.
    #[schemars(range(min = 1, max = 1))]
    version: u8,
    proxy: Option<file::Proxy>,
    ca: Option<file::Ca>,
    /// The state folder.
    state: Option<String>,
    approvals: Option<file::Approvals>,
    holds: Option<file::Holds>,
    audit: Option<file::Audit>,
    limits: Option<file::Limits>,
    agents: BTreeMap<String, file::Agent>,
    credentials: Option<BTreeMap<String, file::Credential>>,
    resources: BTreeMap<String, file::Resource>,
    /// Catalogs of the policy's own, as paths of files.
    catalogs: Option<Vec<String>>,
    /// GraphQL documents that a service has registered, as paths of files by service.
    documents: Option<BTreeMap<String, Vec<String>>>,
    lookups: Option<BTreeMap<String, file::Lookup>>,
    sequences: Option<Vec<file::Sequence>>,
    quarantine: Option<file::Quarantine>,
    tests: Option<Vec<file::Case>>,
}

/// The JSON Schema of a policy.
pub fn schema() -> serde_json::Value {
    schemars::schema_for!(Document).to_value()
}
