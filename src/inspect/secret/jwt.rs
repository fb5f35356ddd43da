//! Signed tokens whose claims say that they are a service's.
//!
//! Takes a text in the form of a JWT; returns whether it is a secret that lives long: a service role of
//! Supabase or a service account of Kubernetes. Other tokens are everyday traffic. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

/// A longer one is not read.
pub(super) const LONGEST: usize = 4096;

/// Whether its claims are those of a service.
pub(super) fn is_service(token: &[u8]) -> bool {
    let mut parts = token.split(|byte| *byte == b'.');
    let (Some(header), Some(claims), Some(signature)) = (parts.next(), parts.next(), parts.next())
    else {
        return false;
    };
    if signature.len() < 32 || header.len() < 16 || parts.next().is_some() {
        return false;
    }
    let Some(claims) = URL_SAFE_NO_PAD.decode(claims).ok() else { return false };
    let Ok(Value::Object(claims)) = serde_json::from_slice(&claims) else { return false };
    let says = |claim: &str| claims.get(claim).and_then(Value::as_str).unwrap_or_default();
    says("role") == "service_role"
        || says("iss") == "kubernetes/serviceaccount"
        || says("sub").starts_with("system:serviceaccount:")
}
