//! An origin that serves real repositories: git's own `http-backend`, behind TLS.

use crate::support::origin::{Body, Identity, Origin, text};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::{Request, Response};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use tokio::io::AsyncWriteExt as _;

/// A request as the origin got it.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) path: String,
    pub(crate) coding: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// A running origin with bare repositories below its folder.
pub(crate) struct Backend {
    pub(crate) origin: Origin,
    folder: tempfile::TempDir,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Backend {
    /// Serves bare repositories of these names under a host.
    pub(crate) async fn start(host: &str, repositories: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for name in repositories {
            let path = folder.path().join(format!("{name}.git"));
            let path = path.to_str().unwrap();
            super::out(
                super::git(folder.path()).args(["init", "-q", "--bare", "-b", "main", path]),
            );
            super::out(super::git(folder.path()).args([
                "-C",
                path,
                "config",
                "http.receivepack",
                "true",
            ]));
        }
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let (root, kept) = (folder.path().to_owned(), seen.clone());
        let origin = Origin::http(Identity::named(&[host]), move |request| {
            answer(request, root.clone(), kept.clone())
        })
        .await;
        Self { origin, folder, seen }
    }

    /// Where a repository stands.
    pub(crate) fn repository(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.git"))
    }

    /// The commit of a ref, if there is one.
    pub(crate) fn commit(&self, name: &str, reference: &str) -> Option<String> {
        let mut git = super::git(&self.repository(name));
        let output = git.args(["rev-parse", "--verify", "-q", reference]).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap().trim().to_owned())
    }

    /// The requests that changed, or might have changed, something.
    pub(crate) fn pushes(&self) -> Vec<Seen> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.path.ends_with("/git-receive-pack")).cloned().collect()
    }
}

/// Answers as the Common Gateway Interface (RFC 3875) has it.
async fn answer(
    request: Request<Incoming>,
    root: PathBuf,
    seen: Arc<Mutex<Vec<Seen>>>,
) -> Response<Body> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes().to_vec()).unwrap_or_default();
    let field = |name: &str| head.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    seen.lock().unwrap().push(Seen {
        path: head.uri.path().to_owned(),
        coding: field("content-encoding"),
        body: body.clone(),
    });
    let mut child = tokio::process::Command::from(super::git(Path::new("/")))
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", head.method.as_str())
        .env("PATH_INFO", head.uri.path())
        .env("QUERY_STRING", head.uri.query().unwrap_or_default())
        .env("CONTENT_TYPE", field("content-type").unwrap_or_default())
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", field("content-encoding").unwrap_or_default())
        .env("GIT_PROTOCOL", field("git-protocol").unwrap_or_default())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    let write = async move {
        // It reads no more than it needs.
        drop(input.write_all(&body).await);
    };
    let (output, ()) = tokio::join!(child.wait_with_output(), write);
    let output = output.unwrap().stdout;
    let end = output.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
    let mut response = text(output[end + 4..].to_vec());
    for line in std::str::from_utf8(&output[..end]).unwrap().lines() {
        let (name, value) = line.split_once(": ").unwrap();
        if name == "Status" {
            *response.status_mut() = value[..3].parse().unwrap();
        } else {
            let name = hyper::header::HeaderName::from_bytes(name.as_bytes()).unwrap();
            response.headers_mut().insert(name, value.parse().unwrap());
        }
    }
    response
}
