//! What a request is, in facts: which operations on which ids, which credentials in which slots.
//!
//! Takes a [`Message`] and the catalog of its host; returns [`Inspected`], the message with its
//! [`Facts`]. Pure. What cannot be read is [`Unreadable`], a fact like any other, never "fine".

pub mod annotations;
pub mod answer;
mod aws;
pub mod command;
pub mod credential;
pub mod discovery;
pub mod exchanged;
pub mod git;
pub mod graphql;
pub mod jsonrpc;
mod kubernetes;
mod leak;
mod mirrored;
pub mod model;
pub mod multipart;
pub mod operation;
pub mod overriding;
pub mod rest;
pub mod secret;
pub mod serialized;
mod sieve;
pub mod websocket;

pub use credential::{Presented, shown_path, shown_query};
pub use jsonrpc::Asked;
pub use leak::Leak;
pub use operation::{Identity, Operation};
pub use overriding::{Objection, Watch};

use crate::catalog::{Arguments, Catalog};
use crate::fingerprint::FingerprintKey;
use crate::message::{Body, Head, Message, coding};
use credential::BodyKind;
use http::Method;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::Arc;

/// Why a request could not be read; nobody can approve what was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// The body is larger than what is inspected.
    #[error("the body is larger than the inspection limit")]
    Oversize,
    /// The body did not arrive whole.
    #[error("the body did not arrive in time or was cut short")]
    Truncated,
    /// The body is in a content coding that is not read, or that may not be taken off.
    #[error("the body is in a content coding that is not read here; send it uncompressed")]
    Coded,
    /// The body is in a charset that is not read.
    #[error("the body is in a charset that is not read; send it as UTF-8")]
    Charset,
    /// The body is not one strict JSON document.
    #[error("the body is not one strict JSON document without duplicate keys")]
    Json,
    /// The document is not GraphQL, or is more than the limits allow.
    #[error("the GraphQL document does not parse: {0}")]
    Graphql(&'static str),
    /// The body is no JSON-RPC message, or more than the limits allow.
    #[error("the JSON-RPC message does not parse: {0}")]
    Jsonrpc(&'static str),
    /// The path is not in the one form that servers of its API share.
    #[error("the path cannot be read: {0}")]
    Path(&'static str),
    /// The form is not one that can be read.
    #[error("the form does not parse")]
    Form,
    /// The multipart form is not in the one grammar that all parsers share.
    #[error("the multipart form does not parse: {0}")]
    Multipart(&'static str),
    /// The push is none that servers read alike, or is more than the limits allow.
    #[error("the request is not git's protocol as it is read here: {0}")]
    Git(&'static str),
    /// It names more things than are looked up.
    #[error("it names more than 1,000 things; split it")]
    Crowded,
    /// The call of AWS has more than one reading.
    #[error("the call cannot be read: {0}")]
    Aws(&'static str),
    /// The message of a WebSocket is none of its protocol.
    #[error("the message cannot be read: {0}")]
    Message(&'static str),
}

/// The protocol in which a client expects a denial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// Plain HTTP.
    Http,
    /// A GraphQL response.
    Graphql,
    /// Git's smart HTTP.
    Git,
}

/// What was found in a request.
#[derive(Debug)]
pub struct Facts {
    operations: Arc<[Operation]>,
    credentials: Vec<Presented>,
    leaks: Vec<Leak>,
    unreadable: Option<Unreadable>,
    overridden: Option<&'static str>,
    of_another: bool,
    meaning: Meaning,
    expected: Option<Arc<graphql::Expected>>,
    asked: Option<Box<Asked>>,
}

/// The body by meaning where it has one, for the digest of a hold.
#[derive(Debug, Default)]
enum Meaning {
    /// It has none: its bytes say what it means.
    #[default]
    None,
    /// It is this.
    Text(String),
    /// It is that of a GraphQL request.
    Graphql(Value),
}

impl From<coding::Error> for Unreadable {
    fn from(error: coding::Error) -> Self {
        match error {
            coding::Error::TooLarge => Self::Oversize,
            _ => Self::Coded,
        }
    }
}

impl Facts {
    /// The operations, in the order they stand in the request.
    pub const fn operations(&self) -> &Arc<[Operation]> {
        &self.operations
    }
    /// The credentials, in the order of their slots.
    pub fn credentials(&self) -> &[Presented] {
        &self.credentials
    }
    /// The secrets that stand in it outside the slots of credentials.
    pub fn leaks(&self) -> &[Leak] {
        &self.leaks
    }
    /// Why it could not be read, if it could not.
    pub const fn unreadable(&self) -> Option<Unreadable> {
        self.unreadable
    }
    /// What overrides the method, if something in the body does.
    pub const fn overridden(&self) -> Option<&'static str> {
        self.overridden
    }
    /// Whether it may ask for a token of somebody else than its credentials are of: of whoever consented,
    /// or gave what is not known.
    pub const fn asks_of_another(&self) -> bool {
        self.of_another
    }
    /// The body by meaning, where spacing and order make no difference.
    pub fn meaning(&self) -> Option<Cow<'_, str>> {
        match &self.meaning {
            Meaning::None => None,
            Meaning::Text(text) => Some(Cow::Borrowed(text)),
            Meaning::Graphql(request) => graphql::meaning(request).map(Cow::Owned),
        }
    }
    /// What the answer is read along, where that may teach what belongs to what.
    pub const fn expected(&self) -> Option<&Arc<graphql::Expected>> {
        self.expected.as_ref()
    }
    /// What an answer needs, where JSON-RPC requests wait for one.
    pub fn asked(&self) -> Option<&Asked> {
        self.asked.as_deref()
    }
}

/// A message with its facts; the only way to a verdict.
#[derive(Debug)]
pub struct Inspected<B> {
    message: Message<B>,
    /// Boxed, as it is handed from stage to stage.
    facts: Box<Facts>,
}

impl<B> Inspected<B> {
    /// The message.
    pub const fn message(&self) -> &Message<B> {
        &self.message
    }
    /// Its facts.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }
    /// The same with calls of tools made graver by what their server says of them.
    #[must_use]
    pub fn raised(mut self, said: &annotations::OfServer) -> Self {
        let of = |one: &Operation| said.of(one.name.strip_prefix("tools/call ")?);
        if self.facts.operations.iter().any(|one| of(one).is_some()) {
            let raised = self.facts.operations.iter().map(|one| match of(one) {
                Some(hints) => hints.raised(one),
                None => one.clone(),
            });
            self.facts.operations = raised.collect();
        }
        self
    }
    /// Takes out a body that is still on the way, so that it can be received.
    ///
    /// Only a body that no rule needed streams, so no fact depends on it.
    pub fn take_stream(self) -> (Self, Option<B>) {
        let (head, body) = self.message.into_parts();
        let (body, stream) = match body {
            Body::Stream(stream) => (Body::Empty, Some(stream)),
            received => (received, None),
        };
        (Self { message: Message::new(head, body), facts: self.facts }, stream)
    }
    /// Puts the received body in the place of one that was taken out.
    #[must_use]
    pub fn with_body(self, body: Body<B>) -> Self {
        let (head, _taken) = self.message.into_parts();
        Self { message: Message::new(head, body), facts: self.facts }
    }
    pub(crate) fn into_parts(self) -> (Message<B>, Box<Facts>) {
        (self.message, self.facts)
    }
}

/// What of a body is needed before a verdict.
#[derive(Debug)]
pub enum Need {
    /// Nothing: it streams.
    Nothing,
    /// It is looked through: whole if it fits, else as it streams.
    Look(Box<Watch>),
    /// What it begins with, before anything leaves; the rest streams.
    Opening(git::Opening),
    /// All of it, before anything leaves.
    Whole,
}

/// What a rule needs of the body. `asked` says whether a condition of the policy asks for something in
/// it.
pub fn need(head: &Head, catalog: Option<&Catalog>, asked: bool) -> Result<Need, Unreadable> {
    let graphql = catalog.is_some_and(|catalog| catalog.is_graphql_path(head.path().as_str()));
    if graphql {
        let read = matches!(*head.method(), Method::GET | Method::HEAD);
        return Ok(if read { Need::Nothing } else { Need::Whole });
    }
    if catalog.is_some_and(|catalog| kubernetes::takes(head, catalog)) {
        return Ok(kubernetes::need(head));
    }
    if let Some(shape) = catalog.and_then(|catalog| jsonrpc::takes(head, catalog)) {
        return Ok(shape.need());
    }
    if catalog.is_some_and(|catalog| git::takes(head, catalog)) {
        return Ok(git::need(head));
    }
    if asked || catalog.is_some_and(|catalog| rest::reads_body(head, catalog)) {
        return Ok(Need::Whole);
    }
    if catalog.is_some_and(aws::takes)
        && let Some(need) = aws::need(head)
    {
        return Ok(need);
    }
    let watch = Watch::of(head, catalog.is_some())?;
    Ok(watch.map_or(Need::Nothing, |watch| Need::Look(Box::new(watch))))
}

/// The protocol in which a client expects a denial.
pub fn protocol(head: &Head, catalog: Option<&Catalog>) -> Protocol {
    let path = head.path().as_str();
    if catalog.is_some_and(|catalog| catalog.is_graphql_path(path)) {
        Protocol::Graphql
    } else if path.ends_with("/info/refs")
        || path.ends_with("/git-receive-pack")
        || path.ends_with("/git-upload-pack")
    {
        Protocol::Git
    } else {
        Protocol::Http
    }
}

/// Reads a request. `failed` is why the body that a rule needs could not be gathered.
pub fn request<B>(
    message: Message<B>,
    catalog: Option<&Catalog>,
    key: &FingerprintKey,
    failed: Option<Unreadable>,
) -> Inspected<B> {
    let head = message.head();
    let mut facts = Box::new(Facts {
        operations: Arc::default(),
        credentials: credential::presented(head, key),
        leaks: Vec::new(),
        unreadable: failed,
        overridden: None,
        of_another: false,
        meaning: Meaning::default(),
        expected: None,
        asked: None,
    });
    let jsonrpc = catalog.and_then(|catalog| jsonrpc::takes(head, catalog));
    if jsonrpc.is_some() {
        facts.credentials.retain(|presented| !jsonrpc::is_session(&presented.slot));
    }
    if facts.unreadable.is_none() {
        let read = match catalog {
            Some(catalog) if catalog.is_graphql_path(head.path().as_str()) => {
                graphql_operations(&message, catalog, &mut facts)
            }
            Some(catalog) if kubernetes::takes(head, catalog) => {
                kubernetes_operations(&message, catalog, &mut facts)
            }
            Some(catalog) if git::takes(head, catalog) => {
                git::read(head, message.opening(), catalog).map(|(operations, meaning)| {
                    facts.operations = operations;
                    facts.meaning = meaning.map_or(Meaning::None, Meaning::Text);
                })
            }
            Some(catalog) => match jsonrpc {
                Some(shape) => jsonrpc_operations(shape, &message, catalog, &mut facts),
                None => rest_operation(&message, catalog, &mut facts),
            },
            None => {
                facts.operations = Arc::from([rest::plain(head)]);
                Ok(())
            }
        };
        let read = read.and_then(|()| method(&message, catalog, &mut facts));
        let inside = presented_in_body(&message, catalog, key, &mut facts);
        facts.unreadable = read.and(inside).err();
    }
    Inspected { message, facts }
}

fn graphql_operations<B>(
    message: &Message<B>,
    catalog: &Catalog,
    facts: &mut Facts,
) -> Result<(), Unreadable> {
    let head = message.head();
    if head.headers().contains_key(http::header::CONTENT_TYPE) && head.media_type().is_none() {
        return Err(Unreadable::Form);
    }
    if head.is_upgrade() {
        return websocket::handshake(head, facts);
    }
    let request = if matches!(*head.method(), Method::GET | Method::HEAD) {
        if !matches!(message.body(), Body::Empty) {
            return Err(Unreadable::Graphql("a GET with a body may mean either"));
        }
        graphql::of_query(head.query())?
    } else {
        if head.is_coded() {
            return Err(Unreadable::Coded);
        }
        if graphql::has_parameters(head.query()) {
            return Err(Unreadable::Graphql("its parameters stand in the query as well"));
        }
        if !head.is_utf8() {
            return Err(Unreadable::Charset);
        }
        let bytes = message.whole().map_or(&b""[..], |bytes| bytes);
        let (request, is_all) = graphql::of_body(head, bytes)?;
        executed(&request, catalog, facts)?;
        if is_all {
            facts.meaning = Meaning::Graphql(request);
        }
        return Ok(());
    };
    executed(&request, catalog, facts)?;
    facts.meaning = Meaning::Graphql(request);
    Ok(())
}

fn kubernetes_operations<B>(
    message: &Message<B>,
    catalog: &Catalog,
    facts: &mut Facts,
) -> Result<(), Unreadable> {
    let head = message.head();
    let bytes = match message.body() {
        Body::Whole(bytes) => bytes,
        Body::Empty => &b""[..],
        // A server reads no body of a GET.
        Body::Stream(_) if matches!(kubernetes::need(head), Need::Nothing) => b"",
        Body::Stream(_) | Body::Opened(..) => return Err(Unreadable::Truncated),
    };
    facts.operations = Arc::from(kubernetes::read(head, bytes, catalog)?);
    too_many(&facts.operations)
}

fn rest_operation<B>(
    message: &Message<B>,
    catalog: &Catalog,
    facts: &mut Facts,
) -> Result<(), Unreadable> {
    let head = message.head();
    if aws::takes(catalog) {
        let body = message.whole().map_or(&b""[..], |bytes| bytes);
        facts.operations = aws::read(head, body, catalog)?.into();
        if !facts.operations.is_empty() {
            return too_many(&facts.operations);
        }
    }
    let body = match message.body() {
        Body::Empty => None,
        Body::Whole(_) if head.is_coded() => return Err(Unreadable::Coded),
        Body::Whole(bytes) => rest::body(head, bytes)?,
        // Nothing asks for it.
        Body::Stream(_) | Body::Opened(..) => Some(Value::Null),
    };
    facts.operations = Arc::from([rest::catalogued(head, body, catalog)]);
    too_many(&facts.operations)
}

fn jsonrpc_operations<B>(
    shape: jsonrpc::Shape,
    message: &Message<B>,
    catalog: &Catalog,
    facts: &mut Facts,
) -> Result<(), Unreadable> {
    let of = |name, arguments| Operation::named(name, Arguments::new(arguments), catalog);
    if let Some(name) = shape.name() {
        if !matches!(message.body(), Body::Empty) {
            return Err(Unreadable::Jsonrpc("a body stands where there is none"));
        }
        facts.operations = Arc::from([of(Arc::from(name), serde_json::Map::new())]);
        return Ok(());
    }
    let bytes = message.whole().map_or(&b""[..], |bytes| bytes);
    match jsonrpc::read(message.head(), bytes) {
        Ok(read) => {
            facts.meaning = read.meaning.map_or(Meaning::None, Meaning::Text);
            facts.asked = read.asked.map(Box::new);
            facts.operations =
                read.calls.into_iter().map(|call| of(call.name, call.arguments)).collect();
            too_many(&facts.operations)
        }
        Err(jsonrpc::Error::Unreadable(unreadable)) => Err(unreadable),
        Err(jsonrpc::Error::Contradiction(place)) => {
            facts.overridden = Some(place);
            Ok(())
        }
    }
}

/// Reads what a GraphQL server executes.
fn executed(request: &Value, catalog: &Catalog, facts: &mut Facts) -> Result<(), Unreadable> {
    let none = graphql::Documents::new();
    let known = catalog.graphql.as_ref().map_or(&none, |graphql| &graphql.documents);
    let learns = catalog.graphql.as_ref().and_then(|graphql| graphql.learns.as_ref());
    let document = graphql::read_to_learn(request, known, learns)?;
    facts.expected = document.expected.map(Arc::new);
    facts.operations =
        document.calls.into_iter().map(|call| operation::of_call(call, catalog)).collect();
    too_many(&facts.operations)
}

/// Whether a request names more things than are looked up.
fn too_many(operations: &[Operation]) -> Result<(), Unreadable> {
    let ids = operations.iter().map(|one| one.decides.len() + one.names.len());
    if ids.sum::<usize>() > IDENTITIES { Err(Unreadable::Crowded) } else { Ok(()) }
}

/// More ids than that in one request are no everyday work, and cost a judge too much.
const IDENTITIES: usize = 1_000;

/// What a body presents, where it is here whole.
fn presented_in_body<B>(
    message: &Message<B>,
    catalog: Option<&Catalog>,
    key: &FingerprintKey,
    facts: &mut Facts,
) -> Result<(), Unreadable> {
    let head = message.head();
    let mut kind = BodyKind::Plain;
    if let Some(catalog) = catalog {
        if catalog.is_graphql_path(head.path().as_str()) {
            let found = credential::of_arguments(&facts.operations, catalog, key)?;
            facts.credentials.extend(found);
            return Ok(());
        }
        // What these carry is data.
        let carries = kubernetes::takes(head, catalog) || git::takes(head, catalog);
        if carries || jsonrpc::takes(head, catalog).is_some() {
            return Ok(());
        }
        let host = head.target().host().as_str();
        let mut endpoints =
            facts.operations.iter().filter_map(|one| catalog.token_endpoint(&one.name, host));
        kind = endpoints.next().map_or(BodyKind::Catalogued, |one| BodyKind::Exchange(one));
    }
    let bytes = match message.body() {
        Body::Whole(bytes) if !head.is_coded() => &**bytes,
        // Of an exchange the query is read, whose body is not there or not known.
        body => {
            facts.of_another = !matches!(body, Body::Empty);
            b""
        }
    };
    let said = credential::of_body(head, bytes, kind, key)?;
    facts.credentials.extend(said.credentials);
    facts.of_another |= said.of_another;
    Ok(())
}

/// What a body says of the method, wherever a framework would read it.
fn method<B>(
    message: &Message<B>,
    catalog: Option<&Catalog>,
    facts: &mut Facts,
) -> Result<(), Unreadable> {
    let head = message.head();
    // The published call is JSON labelled as a form; it has been read as what it is.
    let read = |catalog: &Catalog| {
        catalog.is_graphql_path(head.path().as_str()) || jsonrpc::takes(head, catalog).is_some()
    };
    if catalog.is_some_and(read) {
        return Ok(());
    }
    let bytes = match message.body() {
        Body::Empty => return Ok(()),
        Body::Whole(bytes) => bytes,
        // It is looked through as it streams, or there is nothing to look for.
        Body::Stream(_) | Body::Opened(..) => {
            return Watch::of(head, catalog.is_some()).map(drop);
        }
    };
    let Some(mut watch) = Watch::of(head, catalog.is_some())? else { return Ok(()) };
    if head.is_coded() {
        return Err(Unreadable::Coded);
    }
    match watch.read(bytes).and_then(|()| watch.end()) {
        // Secrets are looked for by themselves.
        Ok(()) | Err(Objection::Leak(_) | Objection::Quarantined(_)) => Ok(()),
        Err(Objection::Unreadable(unreadable)) => Err(unreadable),
        Err(Objection::Override(place)) => {
            facts.overridden = Some(place);
            Ok(())
        }
    }
}
