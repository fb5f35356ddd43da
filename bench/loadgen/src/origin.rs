//! HTTPS origin, HTTP/1.1 and HTTP/2, a distinct certificate per host name.
//!   GET  /1k /100k /10m      bodies of that size
//!   POST /upload             reads the body; answers {"bytes":..,"span_ms":..}: the time between
//!                            the first and the last body byte as the origin saw them
//!   GET  /stream?n=5&ms=200  n chunks, one each ms milliseconds
//!   POST /v1/messages, /v1/complete
//!                            reads the body; answers with 256 KiB of events as a model streams them:
//!                            words, and a call of a tool now and then
//!   POST /graphql/v2         reads the body, answers small JSON; 401 if no Authorization arrived
use crate::Args;
use bytes::Bytes;
use http_body_util::{combinators::BoxBody, BodyExt, Full, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
    Method, Request, Response, StatusCode,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
};
use rustls::{
    pki_types::{pem::PemObject, CertificateDer, PrivateKeyDer},
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    ServerConfig,
};
use std::{
    collections::HashMap,
    convert::Infallible,
    path::Path,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

type Body = BoxBody<Bytes, Infallible>;

#[derive(Debug)]
struct ByName(HashMap<String, Arc<CertifiedKey>>);
impl ResolvesServerCert for ByName {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.get(hello.server_name()?).cloned()
    }
}

struct Bodies {
    k1: Bytes,
    k100: Bytes,
    chunk: Bytes,
    talk: Bytes,
}

/// An answer of a model: words, and a call of a tool after every fifty pieces of them.
fn talk() -> Bytes {
    let event = |kind: &str, rest: &str| {
        format!("event: {kind}\ndata: {{\"type\":\"{kind}\",\"index\":0,{rest}}}\n\n")
    };
    let begin = |block: &str| event("content_block_start", &format!("\"content_block\":{block}"));
    let delta = |delta: &str| event("content_block_delta", &format!("\"delta\":{delta}"));
    let end = event("content_block_stop", "\"x\":0");
    let mut round = begin("{\"type\":\"text\",\"text\":\"\"}");
    for _ in 0..50 {
        round += &delta("{\"type\":\"text_delta\",\"text\":\" the worker of the queue\"}");
    }
    round += &end;
    round += &begin("{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"bash\",\"input\":{}}");
    for piece in ["{\\\"command\\\":", " \\\"cargo test", " --locked\\\"}"] {
        let piece = format!("{{\"type\":\"input_json_delta\",\"partial_json\":\"{piece}\"}}");
        round += &delta(&piece);
    }
    round += &end;
    round.repeat((256 << 10) / round.len()).into()
}

/// Sends a body in pieces as a model's words come, as fast as they are taken.
struct Pieces(Bytes);
impl hyper::body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let n = self.0.len().min(1_400);
        Poll::Ready(Some(Ok(Frame::data(self.0.split_to(n)))))
    }
}

/// Sends `left` bytes in 64 KiB pieces without copying.
struct Repeat {
    chunk: Bytes,
    left: usize,
}
impl hyper::body::Body for Repeat {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let n = self.left.min(self.chunk.len());
        self.left -= n;
        Poll::Ready(Some(Ok(Frame::data(self.chunk.slice(..n)))))
    }
    fn is_end_stream(&self) -> bool {
        self.left == 0
    }
    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.left as u64)
    }
}

fn query(req: &Request<Incoming>, key: &str, default: u64) -> u64 {
    req.uri()
        .query()
        .and_then(|q| {
            q.split('&')
                .filter_map(|p| p.split_once('='))
                .find(|(k, _)| *k == key)
                .and_then(|(_, v)| v.parse().ok())
        })
        .unwrap_or(default)
}

async fn serve(req: Request<Incoming>, b: Arc<Bodies>) -> Result<Response<Body>, hyper::Error> {
    let json = |body: Body| {
        Response::builder().header("content-type", "application/json").body(body).unwrap()
    };
    let full = |x: Bytes| Full::new(x).boxed();
    Ok(match (req.method(), req.uri().path()) {
        (&Method::GET, "/1k") => json(full(b.k1.clone())),
        (&Method::GET, "/100k") => json(full(b.k100.clone())),
        (&Method::GET, "/10m") => json(Repeat { chunk: b.chunk.clone(), left: 10 << 20 }.boxed()),
        (&Method::GET, "/stream") => {
            let (n, ms) = (query(&req, "n", 5), query(&req, "ms", 200));
            let (tx, mut rx) = tokio::sync::mpsc::channel::<Bytes>(1);
            tokio::spawn(async move {
                for i in 0..n {
                    if i > 0 {
                        tokio::time::sleep(Duration::from_millis(ms)).await;
                    }
                    let line = format!("data: {{\"chunk\":{i}}}\n\n");
                    if tx.send(Bytes::from(line)).await.is_err() {
                        return;
                    }
                }
            });
            let s =
                StreamBody::new(Recv(Box::pin(async move { rx.recv().await.map(|x| (x, rx)) })));
            Response::builder()
                .header("content-type", "text/event-stream")
                .header("cache-control", "no-cache")
                .body(s.boxed())
                .unwrap()
        }
        (&Method::POST, "/v1/messages" | "/v1/complete") => {
            let mut body = req.into_body();
            while let Some(f) = body.frame().await {
                f?;
            }
            Response::builder()
                .header("content-type", "text/event-stream")
                .body(Pieces(b.talk.clone()).boxed())
                .unwrap()
        }
        (&Method::POST, "/graphql/v2") if !req.headers().contains_key("authorization") => {
            Response::builder()
                .status(StatusCode::UNAUTHORIZED)
                .body(full(Bytes::from_static(b"no authorization\n")))
                .unwrap()
        }
        (&Method::POST, "/graphql/v2") => {
            let mut body = req.into_body();
            while let Some(f) = body.frame().await {
                f?;
            }
            json(full(Bytes::from_static(
                b"{\"data\":{\"variableUpsert\":true,\"serviceInstanceRedeploy\":true}}",
            )))
        }
        (&Method::POST, "/upload") => {
            let mut body = req.into_body();
            let (mut n, mut first, mut last) = (0u64, None, None);
            while let Some(f) = body.frame().await {
                if let Some(d) = f?.data_ref() {
                    n += d.len() as u64;
                    let now = Instant::now();
                    first.get_or_insert(now);
                    last = Some(now);
                }
            }
            let span = match (first, last) {
                (Some(a), Some(z)) => z.duration_since(a).as_secs_f64() * 1e3,
                _ => 0.0,
            };
            json(full(format!("{{\"bytes\":{n},\"span_ms\":{span:.1}}}").into()))
        }
        _ => Response::builder()
            .status(StatusCode::NOT_FOUND)
            .body(full(Bytes::from_static(b"no such path\n")))
            .unwrap(),
    })
}

/// A stream over an mpsc receiver, without pulling in a stream crate.
type RecvFut = Pin<
    Box<
        dyn std::future::Future<Output = Option<(Bytes, tokio::sync::mpsc::Receiver<Bytes>)>>
            + Send
            + Sync,
    >,
>;
struct Recv(RecvFut);
impl futures_core::Stream for Recv {
    type Item = Result<Frame<Bytes>, Infallible>;
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.as_mut().poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some((item, mut rx))) => {
                self.0 = Box::pin(async move { rx.recv().await.map(|x| (x, rx)) });
                Poll::Ready(Some(Ok(Frame::data(item))))
            }
        }
    }
}

pub fn run(args: &Args) {
    let dir = Path::new(args.need("certs"));
    let port: u16 = args.num("port", 8443);
    let key = PrivateKeyDer::from_pem_file(dir.join("leaf.key")).expect("leaf key");
    let key = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key).expect("key type");
    let names = std::fs::read_to_string(dir.join("hosts")).expect("hosts");
    let names = names.lines().filter_map(|l| l.split_whitespace().nth(1));
    let leaves = CertificateDer::pem_file_iter(dir.join("leaves.pem")).expect("leaves");
    let mut map = HashMap::new();
    for (name, c) in names.zip(leaves) {
        let ck = CertifiedKey::new(vec![c.expect("pem")], key.clone());
        map.insert(name.to_string(), Arc::new(ck));
    }
    let pq = args.get("pq").is_some();
    let mut tls = ServerConfig::builder_with_provider(Arc::new(crate::client::provider(pq)))
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(ByName(map)));
    tls.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let mut pad = String::from("{\"id\":\"bench\",\"data\":\"");
    while pad.len() < 1022 {
        pad.push('x');
    }
    pad.push_str("\"}");
    let bodies = Arc::new(Bodies {
        k1: pad.into(),
        k100: vec![b'x'; 100 << 10].into(),
        chunk: vec![b'x'; 64 << 10].into(),
        talk: talk(),
    });
    let rt = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(args.num("threads", 2))
        .enable_all()
        .build()
        .unwrap();
    rt.block_on(async move {
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls));
        let sock = tokio::net::TcpSocket::new_v4().unwrap();
        sock.set_reuseaddr(true).unwrap();
        sock.bind(([127, 0, 0, 1], port).into()).expect("bind");
        let l = sock.listen(4096).expect("listen");
        println!("origin on 127.0.0.1:{port}");
        loop {
            let Ok((s, _)) = l.accept().await else {
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            };
            let _ = s.set_nodelay(true);
            let (acceptor, bodies) = (acceptor.clone(), bodies.clone());
            tokio::spawn(async move {
                let Ok(s) = acceptor.accept(s).await else { return };
                let mut b = auto::Builder::new(TokioExecutor::new());
                b.http2()
                    .initial_stream_window_size(4 << 20)
                    .initial_connection_window_size(16 << 20)
                    .max_concurrent_streams(1024);
                let _ = b
                    .serve_connection(
                        TokioIo::new(s),
                        service_fn(move |r| serve(r, bodies.clone())),
                    )
                    .await;
            });
        }
    });
}
