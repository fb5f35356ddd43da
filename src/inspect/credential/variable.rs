//! Environment variables that look like secrets.
//!
//! Takes a name and a value; says whether a secret stands there, by the parts of its name or by the
//! form of its value. A path to a secret is none, nor is what turns something on or counts.

use super::form::{has_form, vendor};
use super::slot::{is_parameter, is_switch};

/// Endings of names of secrets that say so only in environments.
const ENDINGS: &[&str] = &["_KEY", "_PASS", "_PAT", "_PWD", "_DSN", "_AUTH"];
/// Endings of names that say where something is, or how it is used.
const PLACES: &[&str] = &[
    "_FILE",
    "_PATH",
    "_DIR",
    "_HOME",
    "_SOCK",
    "_SOCKET",
    "_ENDPOINT",
    "_TTL",
    "_TYPE",
    "_NAME",
    "_ID_FILE",
    "_ASKPASS",
    "_HELPER",
];
/// Variables of shells and desktops whose names say the same.
const OWN: &[&str] = &["PWD", "OLDPWD", "AUTH", "SESSION", "SESSION_ID", "KEY"];

/// Whether a variable looks like a secret.
pub fn looks_secret(name: &str, value: &str) -> bool {
    let value = value.trim();
    if value.is_empty() || is_switch(value) || value.bytes().all(|byte| byte.is_ascii_digit()) {
        return false;
    }
    if has_form(value.as_bytes()) || has_user(value) || value.contains("PRIVATE KEY-----") {
        return true;
    }
    let upper = name.to_ascii_uppercase();
    if OWN.contains(&&*upper) || PLACES.iter().any(|place| upper.ends_with(place)) {
        return false;
    }
    let says_so = is_parameter(name) || ENDINGS.iter().any(|ending| upper.ends_with(ending));
    // The file of `GOOGLE_APPLICATION_CREDENTIALS` is one; its path is not.
    let is_path = value.starts_with('/') && upper.contains("CREDENTIAL");
    says_so && !is_path
}

/// The vendor whose form a value has, in small letters, as services are called.
pub fn service_of(value: &str) -> Option<String> {
    vendor(value.trim().as_bytes()).map(str::to_lowercase)
}

/// Whether an address has a password, as in `postgres://user:secret@host/`.
fn has_user(value: &str) -> bool {
    let mut authorities = value.split("://").skip(1).filter_map(|rest| {
        rest.split(['/', '?', '#']).next()?.rsplit_once('@').map(|(user, _)| user)
    });
    authorities.any(|user| user.split_once(':').is_some_and(|(_, password)| !password.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_from_everything_else_in_an_environment() {
        let github = format!("ghp_{}", "0123456789abcdef".repeat(3));
        for (name, value) in [
            ("GITHUB_TOKEN", "x"),
            ("WHATEVER", &github),
            ("AWS_SECRET_ACCESS_KEY", "/wJalrXUtnFEMI/K7MDENG+bPxRfiCYzzzzzzzzz"),
            ("DATABASE_URL", "postgres://app:hunter2@db.internal/app"),
            ("RAILS_MASTER_KEY", "0a1b2c3d4e5f60718293a4b5c6d7e8f9"),
            ("npm_config__authToken", "abc"),
            ("DB_PASS", "hunter2"),
            ("DEPLOY_KEY", "-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blb"),
            ("RAILWAY_TOKEN", "7c1e5a02-9b3d-4f60-8a17-2d4c6e8f0b13"),
        ] {
            assert!(looks_secret(name, value), "{name}");
        }
        for (name, value) in [
            ("PWD", "/home/dev/src"),
            ("OLDPWD", "/"),
            ("PATH", "/usr/bin:/bin"),
            ("HOME", "/home/dev"),
            ("SSH_AUTH_SOCK", "/run/user/1000/agent"),
            ("GOOGLE_APPLICATION_CREDENTIALS", "/home/dev/key.json"),
            ("AWS_WEB_IDENTITY_TOKEN_FILE", "/var/run/token"),
            ("TOKENIZERS_PARALLELISM", "false"),
            ("MAX_TOKENS", "4096"),
            ("GIT_ASKPASS", "/usr/bin/askpass"),
            ("XDG_SESSION_ID", "2"),
            ("TERM_SESSION_ID", "w0t0p0:7C1E5A02-9B3D-4F60-8A17-2D4C6E8F0B13"),
            ("LS_COLORS", "rs=0:di=01;34"),
            ("GPG_TTY", "/dev/pts/0"),
            ("HTTP_PROXY", "http://proxy.internal:3128"),
            ("GIT_COMMIT", "3f786850e387550fdab836ed7e6dc881de23001b"),
            ("BUILD_ID", "7c1e5a02-9b3d-4f60-8a17-2d4c6e8f0b13"),
            ("GITHUB_TOKEN", ""),
        ] {
            assert!(!looks_secret(name, value), "{name}");
        }
        assert_eq!(service_of(&github).as_deref(), Some("github"));
    }
}
