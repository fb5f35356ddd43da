//! The sequences that every policy has, unless it switches them off by their names.
//!
//! Takes nothing; each is a dangerous order of stages that everyday work does not go through. What they
//! lead to grows with how sure the order is: docs/policy.md argues it.

use super::Stage;
use crate::policy::{Sequence, Sign, Then};
use std::sync::Arc;
use std::time::Duration;

struct BuiltIn {
    name: &'static str,
    minutes: u64,
    steps: &'static [&'static [Stage]],
    then: Then,
}

const BUILT_IN: &[BuiltIn] = &[
    BuiltIn {
        name: "credential-theft",
        minutes: 30,
        steps: &[
            &[Stage::CredentialDiscovery],
            &[Stage::ForeignCredential, Stage::CredentialOutOfScope, Stage::ScopeViolation],
            &[Stage::Irreversible],
        ],
        then: Then::Quarantine,
    },
    BuiltIn {
        name: "exfiltration",
        minutes: 30,
        steps: &[&[Stage::CredentialDiscovery], &[Stage::SecretLeak]],
        then: Then::Quarantine,
    },
    // What a test prints is taken for a secret now and then, and sent on.
    BuiltIn {
        name: "leaked-secret",
        minutes: 30,
        steps: &[&[Stage::SecretHandedOut], &[Stage::SecretLeak]],
        then: Then::HoldWrites,
    },
    // What was found by a search that nothing recognised.
    BuiltIn {
        name: "found-credential",
        minutes: 30,
        steps: &[&[Stage::FoundCredential], &[Stage::Irreversible]],
        then: Then::Quarantine,
    },
    BuiltIn {
        name: "backup-removal",
        minutes: 60,
        steps: &[&[Stage::BackupRemoved], &[Stage::Deletion]],
        then: Then::HoldWrites,
    },
    BuiltIn {
        name: "minted-credential",
        minutes: 30,
        steps: &[
            &[Stage::CredentialMinted],
            &[Stage::ForeignCredential, Stage::CredentialOutOfScope],
        ],
        then: Then::HoldWrites,
    },
    BuiltIn {
        name: "widened-access",
        minutes: 30,
        steps: &[
            &[Stage::AccessChange],
            &[
                Stage::ForeignCredential,
                Stage::CredentialOutOfScope,
                Stage::ScopeViolation,
                Stage::CredentialMinted,
                Stage::Execution,
                Stage::Deletion,
            ],
        ],
        then: Then::Notify,
    },
];

/// All of them.
pub fn built_in() -> Vec<Sequence> {
    let sequence = |one: &BuiltIn| Sequence {
        name: Arc::from(one.name),
        within: Duration::from_mins(one.minutes),
        steps: one
            .steps
            .iter()
            .map(|step| step.iter().copied().map(Sign::Stage).collect())
            .collect(),
        then: one.then,
        built_in: true,
    };
    BUILT_IN.iter().map(sequence).collect()
}
