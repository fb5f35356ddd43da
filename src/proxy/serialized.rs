//! Serialised objects in answers: noted as they pass, or dealt with before any byte does.
//!
//! Takes the head and the body of an answer. Where the policy says `strip` or `deny`, the answer is read
//! whole, within the inspection limit and the deadline of answers; an object in the shape of a secret is
//! replaced by `null`, or the answer is withheld. What cannot be read is withheld, never passed on.

use super::Caller;
use super::intake::{Read, collect, room};
use super::learn::single;
use crate::decide::{Finding, Reason, Ruling};
use crate::forward::{Clean, Source};
use crate::inspect::serialized::{Object, Shape, objects, stripped};
use crate::message::coding;
use crate::policy::{Policy, SerializedObjects};
use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};

/// Headers that are about the bytes of a body as they were.
const OF_BYTES: &[&str] = &[
    "accept-ranges",
    "content-digest",
    "content-encoding",
    "content-md5",
    "digest",
    "etag",
    "repr-digest",
];

/// Why nothing of an answer passes.
#[derive(Debug)]
pub(super) struct Withheld {
    /// What is told and recorded.
    pub(super) finding: Finding,
    /// Why, for the record.
    pub(super) why: &'static str,
}

impl Withheld {
    fn because(why: &'static str) -> Self {
        Self { finding: finding_of(why.to_owned()), why }
    }

    /// What the client is told.
    pub(super) fn ruling(&self) -> Ruling {
        Ruling::denial(
            Reason::SerializedObject,
            format!("The answer is withheld: {}; do not ask for it again, report it.", self.why),
        )
    }
}

/// The answer as it may pass, with what was found in it.
pub(super) async fn cleared(
    response: Response<Clean>,
    wanted: SerializedObjects,
    caller: &Caller,
    policy: &Policy,
) -> Result<(Response<Source>, Option<Finding>), Withheld> {
    if wanted == SerializedObjects::Note {
        return Ok((response.map(Source::Coming), None));
    }
    // What is rare is boxed, so that the common way stays small.
    Box::pin(read(response, wanted, caller, policy)).await
}

async fn read(
    response: Response<Clean>,
    wanted: SerializedObjects,
    caller: &Caller,
    policy: &Policy,
) -> Result<(Response<Source>, Option<Finding>), Withheld> {
    let limits = &policy.limits;
    let (mut head, mut body) = response.into_parts();
    let room = room(&body, limits, &caller.state.lessons).await.map_err(|_refusal| {
        Withheld::because("too many answers of this agent are read whole at a time")
    })?;
    let most = limits.inspect_kib as usize * 1024;
    let read = tokio::time::timeout(limits.answer, collect(&mut body, most)).await;
    let whole = match read {
        Ok(Ok(Read::All(whole))) => whole,
        Ok(Ok(Read::Part(_))) => {
            return Err(Withheld::because(
                "it is larger than the inspection limit, and may carry serialised objects",
            ));
        }
        Ok(Err(_)) | Err(_) => {
            return Err(Withheld::because("it broke off, or took too long to arrive"));
        }
    };
    let plain = match single(&head.headers, &header::CONTENT_ENCODING) {
        Ok(None) => Ok(whole.clone()),
        Ok(Some(codings)) => coding::decode(codings, &whole, most),
        Err(_) => Err(coding::Error::Unknown),
    };
    let unread = "its content cannot be read, and may carry serialised objects";
    let plain = plain.map_err(|_coding| Withheld::because(unread))?;
    let found = objects(&plain).map_err(|_too_much| Withheld::because(unread))?;
    let finding = finding(&found);
    let has_secret = found.iter().any(|object| object.shape == Shape::Secret);
    if !has_secret {
        let body = Source::Whole(Some(whole).filter(|body| !body.is_empty()), Some(room));
        return Ok((Response::from_parts(head, body), finding));
    }
    let withheld = |why| Withheld { why, ..Withheld::because(why) };
    if wanted == SerializedObjects::Deny {
        let why = "it carries a serialised object that would make its reader hand out a secret";
        return Err(Withheld { finding: finding.unwrap_or_else(|| withheld(why).finding), why });
    }
    if head.status == StatusCode::PARTIAL_CONTENT {
        return Err(withheld("it is a part of something with a serialised object"));
    }
    let left = stripped(&plain, &found, Shape::Secret).map_err(|_broken| withheld(unread))?;
    for name in OF_BYTES {
        head.headers.remove(*name);
    }
    head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(left.len()));
    let body = Source::Whole(Some(Bytes::from(left)), Some(room));
    Ok((Response::from_parts(head, body), finding))
}

/// What is recorded of objects; none if there are none.
pub(super) fn finding(found: &[Object]) -> Option<Finding> {
    let shapes = [Shape::Secret, Shape::Constructor, Shape::NotImplemented];
    let count = |shape: Shape| found.iter().filter(|object| object.shape == shape).count();
    let told: Vec<String> = shapes
        .into_iter()
        .filter(|shape| count(*shape) > 0)
        .map(|shape| format!("{} of type {}", count(shape), shape.as_str()))
        .collect();
    (!told.is_empty()).then(|| finding_of(told.join(", ")))
}

/// What is recorded of an answer that could not be read for them.
pub(super) fn finding_of(evidence: String) -> Finding {
    let slot = Some("answer".to_owned());
    Finding { reason: Reason::SerializedObject, slot, evidence: Some(evidence) }
}
