//! Names of variables that hold secrets, and addresses of metadata services.

use crate::inspect::credential::looks_secret;

/// Variables whose values have a password in them.
const ADDRESSES: &[&str] =
    &["DATABASE_URL", "REDIS_URL", "MONGO_URL", "MONGODB_URI", "POSTGRES_URL"];

/// Whether a variable of this name holds a secret.
pub(super) fn is_secret(name: &str) -> bool {
    let name = name.trim_start_matches('$').trim_matches(['{', '}']);
    let upper = name.to_ascii_uppercase();
    // A value of which nothing is known.
    looks_secret(name, "?") && !upper.starts_with("MAX_") && !upper.starts_with("TOKENIZ")
        || ADDRESSES.contains(&&*upper)
        || upper.ends_with("_CONNECTION_STRING")
        || upper == "AWS_ACCESS_KEY_ID"
}

/// Addresses of metadata services, in the ways they are written.
const METADATA: &[&str] = &[
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "metadata.google.internal",
    "metadata.goog",
    "metadata.azure",
    "100.100.100.200",
    "fd00:ec2::254",
    "fd00:ec2::23",
    "::ffff:a9fe:a9fe",
    "2852039166",
    "0xa9fea9fe",
    "0xa9.0xfe.0xa9.0xfe",
    "0251.0376.0251.0376",
    "latest/meta-data",
    "computemetadata/v1",
    "metadata/identity/oauth2",
    "aws_container_credentials_relative_uri",
    "aws_container_credentials_full_uri",
];

/// Whether a text names a metadata service.
pub(super) fn is_metadata(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    METADATA.iter().any(|one| text.contains(one))
}
