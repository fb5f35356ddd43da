//! The typed facts that a trajectory is made of.
//!
//! Takes nothing; the words are those of the policy, of records and of what is kept, and never change
//! their meaning.

/// A typed step of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// A declared resource answered 401 or 403.
    AuthenticationFailure,
    /// A tool call of the model looked for credentials.
    CredentialDiscovery,
    /// A response handed out a secret.
    SecretHandedOut,
    /// A call that makes a credential was answered with success.
    CredentialMinted,
    /// A call that changes who may do what was answered with success.
    AccessChange,
    /// A credential that was never issued was used.
    ForeignCredential,
    /// One of those that was handed out elsewhere: in the result of a tool, or by another host.
    FoundCredential,
    /// An issued credential was used elsewhere.
    CredentialOutOfScope,
    /// A secret was on its way to where it does not belong; not to a model provider.
    SecretLeak,
    /// A host that no resource declares was called.
    OutOfScope,
    /// A declared resource was used beyond what it allows.
    ScopeViolation,
    /// Something destructive was asked for.
    Destructive,
    /// Something that cannot be undone was asked for.
    Irreversible,
    /// Something was to be destroyed for good that is no backup.
    Deletion,
    /// Code was to be run elsewhere.
    Execution,
    /// Backups were listed, with success.
    BackupSeen,
    /// A backup was made, with success.
    BackupMade,
    /// A backup was put back, with success.
    BackupRestored,
    /// A backup was removed, or making them was turned off, with success.
    BackupRemoved,
    /// An operation that a sequence names was asked for.
    Called,
    /// An operation that a sequence names was answered with success.
    Done,
}

const STAGES: &[(Stage, &str)] = &[
    (Stage::AuthenticationFailure, "authentication_failure"),
    (Stage::CredentialDiscovery, "credential_discovery"),
    (Stage::SecretHandedOut, "secret_handed_out"),
    (Stage::CredentialMinted, "credential_minted"),
    (Stage::AccessChange, "access_change"),
    (Stage::ForeignCredential, "foreign_credential"),
    (Stage::FoundCredential, "found_credential"),
    (Stage::CredentialOutOfScope, "credential_out_of_scope"),
    (Stage::SecretLeak, "secret_leak"),
    (Stage::OutOfScope, "out_of_scope"),
    (Stage::ScopeViolation, "scope_violation"),
    (Stage::Destructive, "destructive"),
    (Stage::Irreversible, "irreversible"),
    (Stage::Deletion, "deletion"),
    (Stage::Execution, "execution"),
    (Stage::BackupSeen, "backup_seen"),
    (Stage::BackupMade, "backup_made"),
    (Stage::BackupRestored, "backup_restored"),
    (Stage::BackupRemoved, "backup_removed"),
    (Stage::Called, "called"),
    (Stage::Done, "done"),
];

impl Stage {
    /// The word of the policy and of records.
    pub fn as_str(self) -> &'static str {
        STAGES.iter().find(|(stage, _)| *stage == self).map_or("", |(_, word)| word)
    }
    /// The stage a word names.
    pub fn parse(word: &str) -> Option<Self> {
        STAGES.iter().find(|(_, known)| *known == word).map(|(stage, _)| *stage)
    }
    /// Whether a policy names it by its word. The rest are operations, which it names themselves.
    pub const fn is_named(self) -> bool {
        !matches!(self, Self::Called | Self::Done)
    }
    /// Whether what is asked for shows it by itself, whatever becomes of it.
    pub const fn is_of_effect(self) -> bool {
        matches!(self, Self::Destructive | Self::Irreversible | Self::Deletion | Self::Execution)
    }
    /// Every word of a policy.
    pub fn words() -> Vec<&'static str> {
        STAGES.iter().filter(|(stage, _)| stage.is_named()).map(|(_, word)| *word).collect()
    }
}
