//! The stable words for why a request is denied or held, and their order.
//!
//! Takes nothing; what is told first, the status of its answer and its ATT&CK technique are facts
//! of the word. Words never change their meaning.

use super::Severity;

/// Why a request is denied or held. The order is that in which reasons are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The agent did not prove who it is.
    NotIdentified,
    /// The request has two readings.
    Malformed,
    /// It names another host than the connection was opened for.
    HostMismatch,
    /// The agent is refused until an operator releases it.
    Quarantined,
    /// No resource of the agent has this host and port.
    OutOfScope,
    /// A credential that was never issued to the agent.
    ForeignCredential,
    /// An issued credential where it is not issued for.
    CredentialOutOfScope,
    /// A secret on its way to a host it does not belong to.
    SecretLeak,
    /// What it asks for could not be read.
    Unreadable,
    /// A declared resource, used beyond what it allows.
    ScopeViolation,
    /// An operation that the catalog does not have.
    UnknownOperation,
    /// An id that nobody owns.
    UnknownTarget,
    /// A credential is required and there is none.
    MissingCredential,
    /// It acts on everything.
    AccountWide,
    /// It runs code elsewhere.
    Execution,
    /// It changes who may do what.
    AccessChange,
    /// It reveals or mints secrets.
    CredentialRead,
    /// It removes or overwrites something.
    Destructive,
    /// A hold rule that is none of these.
    ApprovalRequired,
    /// The host leads to an address that is not public.
    PrivateAddress,
    /// The upstream's certificate does not verify.
    UpstreamUnverified,
    /// The upstream cannot be reached, or broke off.
    UpstreamUnreachable,
    /// The record could not be written.
    NotRecorded,
    /// A limit is reached.
    OverLimit,
    /// The answer carries an object that its reader would revive, or may.
    SerializedObject,
}

impl Reason {
    /// The word.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotIdentified => "not_identified",
            Self::Malformed => "malformed",
            Self::HostMismatch => "host_mismatch",
            Self::Quarantined => "quarantined",
            Self::OutOfScope => "out_of_scope",
            Self::ForeignCredential => "foreign_credential",
            Self::CredentialOutOfScope => "credential_out_of_scope",
            Self::SecretLeak => "secret_leak",
            Self::Unreadable => "unreadable",
            Self::ScopeViolation => "scope_violation",
            Self::UnknownOperation => "unknown_operation",
            Self::UnknownTarget => "unknown_target",
            Self::MissingCredential => "missing_credential",
            Self::AccountWide => "account_wide",
            Self::Execution => "execution",
            Self::AccessChange => "access_change",
            Self::CredentialRead => "credential_read",
            Self::Destructive => "destructive",
            Self::ApprovalRequired => "approval_required",
            Self::PrivateAddress => "private_address",
            Self::UpstreamUnverified => "upstream_unverified",
            Self::UpstreamUnreachable => "upstream_unreachable",
            Self::NotRecorded => "not_recorded",
            Self::OverLimit => "over_limit",
            Self::SerializedObject => "serialized_object",
        }
    }

    /// The HTTP status of its answer.
    pub const fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::NotIdentified => 407,
            Self::HostMismatch => 421,
            Self::OverLimit => 429,
            Self::PrivateAddress
            | Self::UpstreamUnverified
            | Self::UpstreamUnreachable
            | Self::SerializedObject => 502,
            _ => 403,
        }
    }

    /// A title for people.
    pub const fn title(self) -> &'static str {
        match self {
            Self::NotIdentified => "The agent is not identified",
            Self::Malformed => "The request is malformed",
            Self::HostMismatch => "The request names another host",
            Self::Quarantined => "The agent is in quarantine",
            Self::OutOfScope => "The host is out of scope",
            Self::ForeignCredential => "The credential was not issued to this agent",
            Self::CredentialOutOfScope => "The credential is not issued for this",
            Self::SecretLeak => "A secret would leave",
            Self::Unreadable => "The request cannot be read",
            Self::ScopeViolation => "The call is beyond the declared scope",
            Self::UnknownOperation => "The operation is not known",
            Self::UnknownTarget => "The target is not declared",
            Self::MissingCredential => "A credential is missing",
            Self::AccountWide => "The call acts on the whole account",
            Self::Execution => "The call runs code",
            Self::AccessChange => "The call changes access",
            Self::CredentialRead => "The call reveals secrets",
            Self::Destructive => "The call destroys something",
            Self::ApprovalRequired => "The call needs approval",
            Self::PrivateAddress => "The host leads to a private address",
            Self::UpstreamUnverified => "The upstream cannot be verified",
            Self::UpstreamUnreachable => "The upstream cannot be reached",
            Self::NotRecorded => "The call could not be recorded",
            Self::OverLimit => "A limit is reached",
            Self::SerializedObject => "The answer carries a serialised object",
        }
    }

    /// The MITRE ATT&CK technique it is evidence of, if it is of one.
    pub const fn technique(self) -> Option<&'static str> {
        match self {
            Self::ForeignCredential => Some("T1552.001"),
            Self::CredentialOutOfScope => Some("T1078"),
            Self::SecretLeak => Some("T1567"),
            Self::Destructive => Some("T1485"),
            Self::CredentialRead => Some("T1552"),
            Self::AccessChange => Some("T1098"),
            Self::Execution => Some("T1651"),
            Self::OutOfScope => Some("T1071.001"),
            _ => None,
        }
    }

    /// How grave it is.
    pub const fn severity(self) -> Severity {
        match self {
            Self::ForeignCredential
            | Self::CredentialOutOfScope
            | Self::SecretLeak
            | Self::Quarantined => Severity::Critical,
            Self::ScopeViolation
            | Self::Destructive
            | Self::AccountWide
            | Self::UnknownTarget
            | Self::PrivateAddress
            | Self::UpstreamUnverified
            | Self::SerializedObject
            | Self::HostMismatch => Severity::High,
            Self::UpstreamUnreachable | Self::OverLimit | Self::ApprovalRequired => Severity::Low,
            _ => Severity::Medium,
        }
    }
}
