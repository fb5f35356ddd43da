//! The verdict on a request that is written down rather than sent.
//!
//! Takes a policy and a request as text (request line, headers, empty line, body); returns the same
//! verdict that the proxy would give, by the same functions. Sends nothing.

pub mod example;

use crate::catalog::Catalog;
use crate::decide::{Context, Ruling, Standing, Verdict, decide};
use crate::fingerprint::FingerprintKey;
use crate::inspect::{self, Inspected};
use crate::inventory::View;
use crate::message::{Body, Head, Message, Refused, Target};
use crate::policy::{Agent, Policy, Word};
use crate::provenance::Sightings;
use crate::trajectory::Past;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};

/// Why a text is no request; the fault is its author's.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The request line is wrong.
    #[error("begin with a line such as `POST https://host/path`")]
    Line,
    /// A header line is wrong.
    #[error("`{0}` is not a header line such as `Name: value`")]
    Header(String),
    /// It names a credential that the policy does not have.
    #[error("the policy has no credential `{0}`")]
    Credential(String),
    /// Its target is refused before anything is judged.
    #[error("{0}")]
    Target(#[from] crate::message::Malformed),
}

/// What would happen to a request.
#[derive(Debug)]
pub enum Explained {
    /// It is judged.
    Ruled(Box<Ruling>),
    /// It is refused for its form.
    Refused(Refused),
}

impl Explained {
    /// The verdict.
    pub fn word(&self) -> Word {
        match self {
            Self::Ruled(ruling) => ruling.word,
            Self::Refused(_) => Word::Deny,
        }
    }

    /// The reason that is told.
    pub fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Ruled(ruling) => ruling.reason.map(crate::decide::Reason::as_str),
            Self::Refused(Refused::HostMismatch(_)) => Some("host_mismatch"),
            Self::Refused(Refused::Malformed(_)) => Some("malformed"),
        }
    }
}

/// Explains a request. The policy must have its stand-ins (`Policy::with_stand_ins`).
pub fn explain(policy: &Policy, agent: &Agent, text: &str) -> Result<Explained, Error> {
    let (head, body) = match written(&stand_ins(policy, text)?)? {
        Ok(written) => written,
        Err(refused) => return Ok(Explained::Refused(refused)),
    };
    let inspected = facts(policy, agent, head, body, &Sightings::default());
    let standing = Standing::default();
    let context = Context {
        policy,
        agent,
        standing: &standing,
        inventory: View::NOTHING,
        grant: None,
        before: None,
        past: Past::NOTHING,
    };
    Ok(Explained::Ruled(match decide(inspected, &context) {
        Verdict::Allow(permit) => permit.into_message().1,
        Verdict::Hold(held) => held.into_request().1,
        Verdict::Deny(denied) => denied.ruling,
    }))
}

/// A call as far as a command says it: its method, its address and its body. None where that is no
/// request.
pub fn of_command(
    policy: &Policy,
    agent: &Agent,
    (method, uri, body): (&str, &Uri, Option<&str>),
    seen: &Sightings,
) -> Option<Inspected<()>> {
    let method = Method::from_bytes(method.as_bytes()).ok()?;
    let body = body.unwrap_or_default();
    let mut headers = HeaderMap::new();
    if !body.is_empty() {
        // What a client says of it is not known; what it is can be seen.
        let is_json = crate::message::json::parse(body.as_bytes()).is_ok();
        let media = if is_json { "application/json" } else { "application/x-www-form-urlencoded" };
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(media));
    }
    let head = head(method, uri, headers).ok()?.ok()?;
    Some(facts(policy, agent, head, Bytes::from(body.to_owned()), seen))
}

/// What the proxy finds in a request of an agent.
fn facts(
    policy: &Policy,
    agent: &Agent,
    head: Head,
    body: Bytes,
    seen: &Sightings,
) -> Inspected<()> {
    let candidates = policy.candidates(agent, head.target());
    let catalog =
        candidates.first().and_then(|(_, resource)| resource.catalog()).map(AsRef::as_ref);
    let limit = policy.limits.inspect_kib as usize * 1024;
    let asked = candidates.iter().any(|(_, resource)| {
        resource.reads_body || resource.leaks == crate::policy::file::Leaks::Deny
    });
    inspected(head, body, catalog, asked, &policy.fingerprints, limit)
        .searched(&policy.scanner, seen)
}

/// A request that is written down: its head, or why that is refused, and its body.
fn written(text: &str) -> Result<Result<(Head, Bytes), Refused>, Error> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let (method, url) =
        lines.next().and_then(|line| line.trim().split_once(' ')).ok_or(Error::Line)?;
    let method = Method::from_bytes(method.as_bytes()).map_err(|_invalid| Error::Line)?;
    let url = url.trim().split(' ').next().unwrap_or_default();
    let uri: Uri = url.parse().map_err(|_invalid| Error::Line)?;
    let body = body.strip_suffix('\n').unwrap_or(body).to_owned();
    let head = self::head(method, &uri, headers(lines)?)?;
    Ok(head.map(|head| (head, Bytes::from(body))))
}

/// The head of a request, or why it is refused.
fn head(method: Method, uri: &Uri, mut headers: HeaderMap) -> Result<Result<Head, Refused>, Error> {
    let target = target(uri)?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let origin: Uri = path.parse().map_err(|_invalid| Error::Line)?;
    if !headers.contains_key(http::header::HOST)
        && let Ok(host) = HeaderValue::from_str(&target.authority())
    {
        headers.insert(http::header::HOST, host);
    }
    Ok(Head::read(method, &origin, headers, target))
}

/// What the proxy finds in a request, as far as its body is needed and fits.
fn inspected(
    head: Head,
    body: Bytes,
    catalog: Option<&Catalog>,
    asked: bool,
    key: &FingerprintKey,
    limit: usize,
) -> Inspected<()> {
    let needed = matches!(inspect::need(&head, catalog, asked), Ok(inspect::Need::Whole));
    let (message, failed) = if body.is_empty() {
        (Message::new(head, Body::Empty), None)
    } else if needed && body.len() > limit {
        (Message::new(head, Body::Empty), Some(inspect::Unreadable::Oversize))
    } else {
        let (message, error) = Message::received(head, body, limit);
        (message, error.map(inspect::Unreadable::from))
    };
    inspect::request(message, catalog, key, failed)
}

fn target(uri: &Uri) -> Result<Target, Error> {
    if uri.scheme_str() == Some("http") {
        return Ok(Target::of_absolute(uri)?);
    }
    if uri.scheme_str() != Some("https") {
        return Err(Error::Line);
    }
    let authority = uri.authority().ok_or(Error::Line)?.as_str();
    let with_port =
        if uri.port().is_some() { authority.to_owned() } else { format!("{authority}:443") };
    let connect: Uri = with_port.parse().map_err(|_invalid| Error::Line)?;
    Target::of_connect(&connect, &HeaderMap::new()).map_err(|refused| match refused {
        Refused::Malformed(malformed) => Error::Target(malformed),
        Refused::HostMismatch(_) => Error::Line,
    })
}

fn headers<'a>(lines: impl Iterator<Item = &'a str>) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for line in lines.filter(|line| !line.trim().is_empty()) {
        let error = || Error::Header(line.split(':').next().unwrap_or_default().to_owned());
        let (name, value) = line.split_once(':').ok_or_else(error)?;
        let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_invalid| error())?;
        let value = HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|_invalid| error())?;
        headers.append(name, value);
    }
    Ok(headers)
}

/// Puts the stand-in for each `${credential:NAME}`.
fn stand_ins(policy: &Policy, text: &str) -> Result<String, Error> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${credential:") {
        let (name, after) = after.split_once('}').ok_or(Error::Line)?;
        if !policy.credentials.iter().any(|credential| *credential.name == *name) {
            return Err(Error::Credential(name.to_owned()));
        }
        out.push_str(before);
        out.push_str(&Policy::stand_in(name));
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}
