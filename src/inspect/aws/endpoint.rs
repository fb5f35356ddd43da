//! Which service of Amazon Web Services a host is, and whether the signature says the same.
//!
//! Takes a host name and the head of a request; returns an [`Endpoint`] and a [`Scope`]. A host that
//! is no known endpoint is none: somebody's own machine has a name under the same domain. A scope
//! that names another service or region than the host is `Unreadable`: one of them is not what is meant.

use super::table::{Service, service};
use crate::inspect::Unreadable;
use crate::message::Head;
use std::borrow::Cow;

/// What a host name says.
#[derive(Debug)]
pub(super) struct Endpoint<'h> {
    pub(super) service: &'static Service,
    pub(super) region: Option<&'h str>,
    /// The bucket, where it stands in the name.
    pub(super) bucket: Option<&'h str>,
}

/// The domains of the service's endpoints, those of dual-stack endpoints and other partitions among
/// them; the longer first, where one ends in another.
const DOMAINS: &[&str] = &[
    ".amazonaws.com.cn",
    ".amazonaws.com",
    ".amazonaws.eu",
    ".api.amazonwebservices.com.cn",
    ".api.amazonwebservices.eu",
    ".api.aws",
];

impl<'h> Endpoint<'h> {
    /// Reads a host name in lower case.
    pub(super) fn of(host: &'h str) -> Option<Self> {
        let name = DOMAINS.iter().find_map(|domain| host.strip_suffix(domain))?;
        let (name, region) = match name.rsplit_once('.') {
            Some((rest, last)) if is_region(last) => (rest, Some(last)),
            _ => (name, None),
        };
        let name = name.strip_suffix(".dualstack").unwrap_or(name);
        let (bucket, last) = match name.rsplit_once('.') {
            Some((bucket, last)) => (Some(bucket), last),
            None => (None, name),
        };
        if is_storage(last) {
            let service = service("s3")?;
            let inside = last.strip_prefix("s3-").filter(|region| is_region(region));
            return Some(Self { service, region: region.or(inside), bucket });
        }
        let labels: Vec<&str> =
            name.split('.').map(|label| label.strip_suffix("-fips").unwrap_or(label)).collect();
        let joined = labels.join(".");
        let found = service(&joined).or_else(|| {
            // An account or a graph of the caller's stands in front.
            let (_, rest) = joined.split_once('.')?;
            service(&format!("*.{rest}"))
        })?;
        // `s3` alone is read above, with every spelling it has.
        (found.name != "s3").then_some(Self { service: found, region, bucket: None })
    }
}

/// Whether a label is one of S3's, as in `s3`, `s3-eu-west-1` and `s3express-use1-az4`.
fn is_storage(label: &str) -> bool {
    const NAMES: &[&str] = &[
        "s3",
        "s3-fips",
        "s3-accelerate",
        "s3-external-1",
        "s3express-control",
        "s3express-control-fips",
    ];
    let number = |zone: &str| {
        let (_, number) = zone.rsplit_once("-az")?;
        (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(())
    };
    NAMES.contains(&label)
        || label.strip_prefix("s3-").is_some_and(is_region)
        || label.strip_prefix("s3express-").and_then(number).is_some()
}

/// Whether a label has the form of a region, as in `us-gov-west-1`.
fn is_region(label: &str) -> bool {
    let parts: Vec<&str> = label.split('-').collect();
    let [first, middle @ .., last] = &*parts else { return false };
    let word = |part: &&str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_lowercase());
    (2..=4).contains(&first.len())
        && word(first)
        && !middle.is_empty()
        && middle.iter().all(word)
        && !last.is_empty()
        && last.len() <= 2
        && last.bytes().all(|byte| byte.is_ascii_digit())
}

/// What a signature is scoped to.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Scope<'a> {
    region: Option<Cow<'a, str>>,
    service: Cow<'a, str>,
}

const CREDENTIAL: &str = "x-amz-credential";

impl<'a> Scope<'a> {
    /// The scope of a request's signature; none where it has none.
    pub(super) fn of(head: &'a Head) -> Result<Option<Self>, Unreadable> {
        const TWO: Unreadable = Unreadable::Aws("it has more than one signature");
        let mut scopes = Vec::new();
        for value in head.headers().get_all(http::header::AUTHORIZATION) {
            let text = value
                .to_str()
                .map_err(|_bytes| Unreadable::Aws("its Authorization header is not text"))?;
            if let Some(rest) = text.get(..5).filter(|start| start.eq_ignore_ascii_case("AWS4-")) {
                scopes.push(Self::of_header(text.get(rest.len()..).unwrap_or_default())?);
            }
        }
        let named = |name: &str| name.eq_ignore_ascii_case(CREDENTIAL);
        for (_, value) in head.query().pairs().iter().filter(|(name, _)| named(name)) {
            scopes.push(Self::of_credential(value)?);
        }
        if head.headers().get_all(http::header::AUTHORIZATION).iter().count() > 1 {
            return Err(TWO);
        }
        let scope = scopes.pop();
        if scopes.is_empty() { Ok(scope) } else { Err(TWO) }
    }

    /// What stands behind the algorithm: `Credential=…, SignedHeaders=…, Signature=…`.
    fn of_header(text: &'a str) -> Result<Self, Unreadable> {
        let broken = || Unreadable::Aws("its Authorization header is not of Signature Version 4");
        let (_, fields) = text.split_once(' ').ok_or_else(broken)?;
        let mut credentials = fields.split(',').filter_map(|field| {
            let (name, value) = field.trim().split_once('=')?;
            name.eq_ignore_ascii_case("credential").then_some(value)
        });
        let credential = credentials.next().ok_or_else(broken)?;
        if credentials.next().is_some() {
            return Err(broken());
        }
        Self::of_credential(credential)
    }

    /// `KEY/20260101/us-east-1/s3/aws4_request`; without the region where it is for several.
    fn of_credential(text: &'a str) -> Result<Self, Unreadable> {
        let parts: Vec<&str> = text.split('/').collect();
        match &*parts {
            [_, _, region, service, "aws4_request"] => {
                Ok(Self { region: Some(Cow::Borrowed(region)), service: Cow::Borrowed(service) })
            }
            [_, _, service, "aws4_request"] => {
                Ok(Self { region: None, service: Cow::Borrowed(service) })
            }
            _ => Err(Unreadable::Aws("the scope of its signature does not parse")),
        }
    }

    /// Whether it is for an endpoint; the services refuse what is not.
    pub(super) fn check(&self, endpoint: &Endpoint<'_>) -> Result<(), Unreadable> {
        if !endpoint.service.signing().any(|name| name == self.service) {
            return Err(Unreadable::Aws("it is signed for another service than its host"));
        }
        match (&self.region, endpoint.region) {
            (Some(signed), Some(region)) if signed != region => {
                Err(Unreadable::Aws("it is signed for another region than its host"))
            }
            _ => Ok(()),
        }
    }
}
