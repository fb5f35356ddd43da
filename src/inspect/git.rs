//! Git over smart HTTP: what is fetched, and which refs a push changes.
//!
//! Takes the head of a request and, of a push, all that comes before its pack; returns operations
//! named `git fetch`, `git advertise-push`, `git push` and `git delete-ref`, the latter two for each
//! ref. Refuses requests that another server could take for something else.

mod push;

pub use push::Opening;

use super::{Need, Operation, Unreadable};
use crate::catalog::{Arguments, Catalog, Envelope};
use crate::message::Head;
use http::Method;
use push::Push;
use serde_json::{Map, Value, json};
use std::sync::Arc;

/// What a request asks of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Service {
    /// The refs that there are, before a fetch or a push.
    Advertisement,
    /// Objects.
    UploadPack,
    /// Changes of refs.
    ReceivePack,
}

/// An operation's name and arguments.
type Call = (&'static str, Map<String, Value>);

/// Whether a request is in this envelope.
pub(super) fn takes(head: &Head, catalog: &Catalog) -> bool {
    let host = head.target().host().as_str();
    catalog.has(Envelope::Git)
        && (catalog.git_hosts.is_empty() || catalog.git_hosts.iter().any(|one| one.fits(host)))
        && service(head).is_some()
}

/// What of the body is needed: of a push all before its pack, which only whole can be decoded.
pub(super) fn need(head: &Head) -> Need {
    match service(head) {
        Some((Service::ReceivePack, _)) if head.is_coded() => Need::Whole,
        Some((Service::ReceivePack, _)) => Need::Opening(Opening::default()),
        _ => Need::Nothing,
    }
}

/// The calls and their meaning, or why they cannot be read. `body` is all of it, or all before the
/// pack.
pub(super) fn read(
    head: &Head,
    body: &[u8],
    catalog: &Catalog,
) -> Result<(Arc<[Operation]>, Option<String>), Unreadable> {
    let (calls, meaning) = calls(head, body)?;
    let operations = calls.into_iter().map(|(name, arguments)| {
        Operation::named(Arc::from(name), Arguments::new(arguments), catalog)
    });
    Ok((operations.collect(), meaning))
}

/// The service that a request asks for, and the path of its repository.
fn service(head: &Head) -> Option<(Service, Vec<String>)> {
    let segments = head.path().segments();
    let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let read = matches!(*head.method(), Method::GET | Method::HEAD);
    let (service, repository) = match segments.as_slice() {
        [repository @ .., "info", "refs"] if read => (Service::Advertisement, repository),
        [repository @ .., "git-upload-pack"] if *head.method() == Method::POST => {
            (Service::UploadPack, repository)
        }
        [repository @ .., "git-receive-pack"] if *head.method() == Method::POST => {
            (Service::ReceivePack, repository)
        }
        _ => return None,
    };
    Some((service, repository.iter().map(|part| (*part).to_owned()).collect()))
}

/// The name of a repository by its path: without the suffix that is left out as often as not.
fn repository(path: &[String]) -> Result<String, Unreadable> {
    let name = path.join("/");
    let name = name.strip_suffix(".git").unwrap_or(&name);
    let empty = path.iter().any(|part| part.is_empty() || part.contains('/'));
    if empty || name.is_empty() || name.ends_with('/') {
        return Err(Unreadable::Git("its path names no repository"));
    }
    Ok(name.to_owned())
}

/// The protocol's calls with their meaning, or why they cannot be read.
fn calls(head: &Head, body: &[u8]) -> Result<(Vec<Call>, Option<String>), Unreadable> {
    let Some((service, path)) = service(head) else {
        return Err(Unreadable::Git("it is no request of its protocol"));
    };
    let repository = repository(&path)?;
    let of_repository = || Map::from_iter([("repository".to_owned(), json!(repository))]);
    let simply = |name| Ok((vec![(name, of_repository())], None));
    let media = |kind: &str| head.media_type().is_some_and(|media| media == kind);
    match service {
        Service::Advertisement => match head.query().pairs() {
            [(key, value)] if key == "service" => match value.as_str() {
                "git-upload-pack" => simply("git fetch"),
                "git-receive-pack" => simply("git advertise-push"),
                _ => Err(Unreadable::Git("it asks for a service that is not known")),
            },
            _ => Err(Unreadable::Git("its query is not `service=NAME` alone")),
        },
        _ if !head.query().pairs().is_empty() => Err(Unreadable::Git("it has a query")),
        Service::UploadPack if media("application/x-git-upload-pack-request") => {
            simply("git fetch")
        }
        Service::ReceivePack if media("application/x-git-receive-pack-request") => {
            if head.is_coded() {
                return Err(Unreadable::Coded);
            }
            let push = push::read(body)?;
            if push.commands.is_empty() {
                return simply("git advertise-push");
            }
            Ok((calls_of(&push, &of_repository), Some(meaning(&push))))
        }
        Service::UploadPack | Service::ReceivePack => {
            Err(Unreadable::Git("its media type is not that of its service"))
        }
    }
}

/// A call for each ref of a push.
fn calls_of(push: &Push, of_repository: &impl Fn() -> Map<String, Value>) -> Vec<Call> {
    let call = |command: &push::Command| {
        let name = if command.deletes() { "git delete-ref" } else { "git push" };
        let mut arguments = of_repository();
        let mut put = |key: &str, value: Value| drop(arguments.insert(key.to_owned(), value));
        put("ref", json!(command.name));
        put("old", json!(command.old));
        put("new", json!(command.new));
        put("create", json!(command.creates()));
        put("atomic", json!(push.atomic));
        if !push.options.is_empty() {
            put("push_options", json!(push.options));
        }
        (name, arguments)
    };
    push.commands.iter().map(call).collect()
}

/// A push by meaning. The ids say what the pack has to hold, so that the same objects packed another
/// way, or by another version of git, are the same push.
fn meaning(push: &Push) -> String {
    let commands = push.commands.iter();
    let commands =
        commands.map(|command| format!("{} {} {}", command.old, command.new, command.name));
    let options = push.options.iter().map(|option| format!("option {option:?}"));
    let lines: Vec<String> = commands.chain(options).collect();
    format!("push atomic={}\n{}", push.atomic, lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::head;

    type Headers<'a> = &'a [(&'a str, &'a str)];

    const PUSH: &str = "0074\
        1111111111111111111111111111111111111111 2222222222222222222222222222222222222222 \
        refs/heads/main\0 report-status0064\
        3333333333333333333333333333333333333333 0000000000000000000000000000000000000000 \
        refs/heads/old0000PACK";
    const RECEIVE: (&str, &str) = ("content-type", "application/x-git-receive-pack-request");
    const UPLOAD: (&str, &str) = ("content-type", "application/x-git-upload-pack-request");

    fn called(
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Vec<(&'static str, String)>, Unreadable> {
        let head = head(method, &format!("https://github.com{path}"), headers).unwrap();
        assert!(service(&head).is_some(), "{path}");
        let (calls, _meaning) = calls(&head, body.as_bytes())?;
        let named = |(name, arguments): Call| {
            let id = arguments.get("repository").and_then(Value::as_str).unwrap().to_owned();
            (name, id)
        };
        Ok(calls.into_iter().map(named).collect())
    }

    #[test]
    fn each_request_is_a_call_on_its_repository() {
        let fetch = "?service=git-upload-pack";
        type Case<'a> = (&'a str, String, Headers<'a>, &'a str, &'a [&'a str], &'a str);
        let cases: &[Case<'_>] = &[
            ("GET", format!("/acme/web.git/info/refs{fetch}"), &[], "", &["git fetch"], "acme/web"),
            ("HEAD", format!("/acme/web/info/refs{fetch}"), &[], "", &["git fetch"], "acme/web"),
            ("GET", format!("/a/b/c.git/info/refs{fetch}"), &[], "", &["git fetch"], "a/b/c"),
            (
                "GET",
                format!("/acme/%77eb.git/info/refs{fetch}"),
                &[],
                "",
                &["git fetch"],
                "acme/web",
            ),
            (
                "GET",
                "/acme/web/info/refs?service=git-receive-pack".to_owned(),
                &[],
                "",
                &["git advertise-push"],
                "acme/web",
            ),
            (
                "POST",
                "/acme/web.git/git-upload-pack".to_owned(),
                &[UPLOAD, ("content-encoding", "gzip")],
                "",
                &["git fetch"],
                "acme/web",
            ),
            (
                "POST",
                "/acme/web.git/git-receive-pack".to_owned(),
                &[RECEIVE],
                "0000",
                &["git advertise-push"],
                "acme/web",
            ),
            (
                "POST",
                "/acme/web.git/git-receive-pack".to_owned(),
                &[RECEIVE],
                PUSH,
                &["git push", "git delete-ref"],
                "acme/web",
            ),
        ];
        for (method, path, headers, body, names, repository) in cases {
            let expected: Vec<_> =
                names.iter().map(|name| (*name, (*repository).to_owned())).collect();
            assert_eq!(called(method, path, headers, body), Ok(expected), "{method} {path}");
        }
    }

    #[test]
    fn what_another_server_could_take_for_something_else_is_refused() {
        let receive = "/acme/web.git/git-receive-pack";
        let cases: &[(&str, &str, Headers<'_>)] = &[
            ("GET", "/acme/web.git/info/refs", &[]),
            ("GET", "/acme/web.git/info/refs?service=git-upload-archive", &[]),
            (
                "GET",
                "/acme/web.git/info/refs?service=git-upload-pack&service=git-receive-pack",
                &[],
            ),
            ("GET", "/acme/web.git/info/refs?service=git-upload-pack&x=1", &[]),
            ("GET", "/info/refs?service=git-upload-pack", &[]),
            ("GET", "/.git/info/refs?service=git-upload-pack", &[]),
            ("GET", "/acme/.git/info/refs?service=git-upload-pack", &[]),
            ("POST", "/git-receive-pack", &[RECEIVE]),
            ("POST", receive, &[]),
            ("POST", receive, &[UPLOAD]),
            ("POST", receive, &[("content-type", "application/x-www-form-urlencoded")]),
            ("POST", receive, &[RECEIVE, ("content-encoding", "gzip")]),
            ("POST", "/acme/web.git/git-receive-pack?service=git-upload-pack", &[RECEIVE]),
            ("POST", "/acme/web.git/git-upload-pack", &[RECEIVE]),
        ];
        for (method, path, headers) in cases {
            let called = called(method, path, headers, PUSH);
            assert!(called.is_err(), "{method} {path} {headers:?}: {called:?}");
        }
    }

    #[test]
    fn a_ref_is_an_argument_and_the_same_push_has_one_meaning() {
        let head =
            head("POST", "https://github.com/acme/web/git-receive-pack", &[RECEIVE]).unwrap();
        let (read, meaning) = calls(&head, PUSH.as_bytes()).unwrap();
        assert_eq!(read[0].1["ref"], "refs/heads/main");
        assert_eq!(read[0].1["create"], false);
        assert_eq!(read[1].1["old"], "3".repeat(40));
        assert_eq!(read[1].1["new"], "0".repeat(40));
        let again = |body: &str| calls(&head, body.as_bytes()).unwrap().1;
        assert_eq!(again(&format!("{PUSH} packed another way")), meaning);
        assert_eq!(again(&PUSH.replace("report-status", "agent=git/2.4")), meaning);
        for other in [
            PUSH.replace("2222 ", "2223 "),
            PUSH.replace("heads/old", "heads/new"),
            PUSH.replace("report-status", "atomic ......"),
        ] {
            assert_ne!(again(&other), meaning, "{other}");
        }
    }
}
