//! Closed-loop load. One JSON object on stdout.
use crate::{
    client::{request, tls_config, Body, Conn, Err, Form, Target},
    procfs, Args,
};
use bytes::Bytes;
use hdrhistogram::Histogram;
use http_body_util::BodyExt;
use hyper::body::Frame;
use serde_json::{json, Map, Value};
use std::{
    cell::RefCell,
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

struct Run {
    t: Target,
    host: String,
    path: String,
    conns: usize,
    streams: usize,
    warm: Duration,
    ramp: Duration,
    dur: Duration,
    pid: Option<u32>,
    origin_pid: Option<u32>,
}

struct Tally {
    on: bool,
    /// workers that have completed a request
    ready: usize,
    hist: Histogram<u64>,
    ttfb: Histogram<u64>,
    n: u64,
    bytes: u64,
    errors: u64,
    opened: u64,
    last_error: String,
}
type Shared = Rc<RefCell<Tally>>;

fn hist() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 120_000_000, 3).unwrap()
}
fn tally() -> Shared {
    Rc::new(RefCell::new(Tally {
        on: false,
        ready: 0,
        hist: hist(),
        ttfb: hist(),
        n: 0,
        bytes: 0,
        errors: 0,
        opened: 0,
        last_error: String::new(),
    }))
}
fn us(d: Duration) -> u64 {
    d.as_micros() as u64
}
impl Tally {
    fn ok(&mut self, total: Duration, first: Duration, bytes: u64) {
        if self.on {
            self.n += 1;
            self.bytes += bytes;
            self.hist.saturating_record(us(total).max(1));
            self.ttfb.saturating_record(us(first).max(1));
        }
    }
    fn fail(&mut self, e: &Err) {
        self.errors += 1;
        if self.last_error.is_empty() {
            self.last_error = e.to_string();
        }
    }
}

/// A request body of `left` bytes, optionally with a pause after the first chunk.
struct Up {
    chunk: Bytes,
    left: usize,
    pause: Option<Duration>,
    sleep: Option<Pin<Box<tokio::time::Sleep>>>,
}
impl hyper::body::Body for Up {
    type Data = Bytes;
    type Error = Infallible;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(s) = self.sleep.as_mut() {
            if s.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.sleep = None;
        }
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let n = self.left.min(self.chunk.len());
        self.left -= n;
        if let Some(p) = self.pause.take() {
            self.sleep = Some(Box::pin(tokio::time::sleep(p)));
        }
        Poll::Ready(Some(Ok(Frame::data(self.chunk.slice(..n)))))
    }
    fn is_end_stream(&self) -> bool {
        self.left == 0
    }
    fn size_hint(&self) -> hyper::body::SizeHint {
        hyper::body::SizeHint::with_exact(self.left as u64)
    }
}
use std::future::Future;

thread_local!(static CHUNK: Bytes = Bytes::from(vec![b'u'; 64 << 10]));
fn upload(bytes: usize, pause: Option<Duration>) -> Body {
    Up { chunk: CHUNK.with(|c| c.clone()), left: bytes, pause, sleep: None }.boxed_sync()
}
trait BoxedSync {
    fn boxed_sync(self) -> Body;
}
impl BoxedSync for Up {
    fn boxed_sync(self) -> Body {
        http_body_util::combinators::BoxBody::new(self)
    }
}

struct Done {
    bytes: u64,
    /// request start to first body byte
    first: Duration,
    total: Duration,
    body: Option<Vec<u8>>,
}

async fn one(
    t: &Target,
    c: &mut Conn,
    host: &str,
    path: &str,
    up: usize,
    pause: Option<Duration>,
    keep: bool,
) -> Result<Done, Err> {
    let start = Instant::now();
    let body = (up > 0).then(|| upload(up, pause));
    let mut r = tokio::time::timeout(t.timeout, c.send(request(t, host, path, body)))
        .await
        .map_err(|_| "timeout waiting for a response")??;
    let (mut bytes, mut first) = (0u64, None);
    let mut kept = keep.then(Vec::new);
    while let Some(f) =
        tokio::time::timeout(t.timeout, r.frame()).await.map_err(|_| "timeout reading a body")?
    {
        if let Some(d) = f?.data_ref() {
            if !d.is_empty() {
                first.get_or_insert_with(|| start.elapsed());
            }
            bytes += d.len() as u64;
            if let Some(k) = kept.as_mut() {
                k.extend_from_slice(d);
            }
        }
    }
    if r.status() != 200 {
        return Err(format!("status {}", r.status()).into());
    }
    let total = start.elapsed();
    Ok(Done {
        bytes: bytes + if up > 0 { up } else { t.form.len() } as u64,
        first: first.unwrap_or(total),
        total,
        body: kept,
    })
}

fn q(h: &Histogram<u64>) -> Value {
    json!({"p50": h.value_at_quantile(0.5), "p90": h.value_at_quantile(0.9),
           "p99": h.value_at_quantile(0.99), "max": h.max(), "mean": h.mean().round()})
}

fn self_cpu() -> f64 {
    procfs::usage(std::process::id(), false).cpu_s
}

/// Opens the measured window once every worker has completed a request and the warm-up is over,
/// closes it, and reports. A peer too slow to serve every worker within `ramp` is measured as is.
async fn window(r: &Run, sh: &Shared, workers: usize, out: &mut Map<String, Value>) {
    let begin = Instant::now();
    while sh.borrow().ready < workers && begin.elapsed() < r.ramp {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    out.insert("ramp_secs".into(), json!(begin.elapsed().as_secs_f64()));
    out.insert("ready".into(), json!(sh.borrow().ready));
    tokio::time::sleep(r.warm).await;
    let cpu = |p: Option<u32>| p.map(|p| procfs::usage(p, false).cpu_s);
    let (a, oa, sa) = (cpu(r.pid), cpu(r.origin_pid), self_cpu());
    sh.borrow_mut().on = true;
    let start = Instant::now();
    tokio::time::sleep(r.dur).await;
    sh.borrow_mut().on = false;
    let secs = start.elapsed().as_secs_f64();
    let (b, ob, sb) = (cpu(r.pid), cpu(r.origin_pid), self_cpu());
    let s = sh.borrow();
    let n = s.n.max(1) as f64;
    out.insert("secs".into(), json!(secs));
    out.insert("requests".into(), json!(s.n));
    out.insert("rps".into(), json!(s.n as f64 / secs));
    out.insert("mib_s".into(), json!(s.bytes as f64 / secs / 1048576.0));
    out.insert("errors".into(), json!(s.errors));
    out.insert("opened".into(), json!(s.opened));
    if !s.last_error.is_empty() {
        out.insert("error".into(), json!(s.last_error));
    }
    out.insert("lat_us".into(), q(&s.hist));
    out.insert("ttfb_us".into(), q(&s.ttfb));
    let per = |x: Option<f64>, y: Option<f64>| match (x, y) {
        (Some(x), Some(y)) => json!(((y - x) * 1e6 / n * 10.0).round() / 10.0),
        _ => Value::Null,
    };
    out.insert("proxy_cpu_us_per_req".into(), per(a, b));
    out.insert("origin_cpu_us_per_req".into(), per(oa, ob));
    out.insert("client_cpu_us_per_req".into(), per(Some(sa), Some(sb)));
    if let (Some(x), Some(y)) = (a, b) {
        out.insert("proxy_cores".into(), json!((y - x) / secs));
    }
    if let Some(p) = r.pid {
        let m = procfs::usage(p, false);
        out.insert("proxy_rss_kib".into(), json!(m.rss_kib));
    }
}

async fn keepalive(r: Rc<Run>, up: usize, out: &mut Map<String, Value>) -> Result<(), Err> {
    let sh = tally();
    // One connection first, so that an unsupported protocol fails at once.
    let mut first = r.t.open(&r.host).await?;
    one(&r.t, &mut first, &r.host, &r.path, up, None, false).await?;
    drop(first);
    let mut tasks = vec![];
    let workers = r.conns * r.streams;
    for _ in 0..r.conns {
        let shared = Rc::new(RefCell::new(None::<Conn>));
        for _ in 0..r.streams {
            let (r, sh, shared) = (r.clone(), sh.clone(), shared.clone());
            tasks.push(tokio::task::spawn_local(async move {
                let mut conn: Option<Conn> = None;
                let mut ready = false;
                loop {
                    if conn.as_ref().is_none_or(|c| c.closed()) {
                        let other = shared
                            .borrow()
                            .as_ref()
                            .filter(|c: &&Conn| !c.closed())
                            .and_then(|c| c.share());
                        conn = match other {
                            Some(c) => Some(c),
                            None => match r.t.open(&r.host).await {
                                Ok(c) => {
                                    sh.borrow_mut().opened += 1;
                                    *shared.borrow_mut() = c.share();
                                    Some(c)
                                }
                                Err(e) => {
                                    sh.borrow_mut().fail(&e);
                                    tokio::time::sleep(Duration::from_millis(10)).await;
                                    continue;
                                }
                            },
                        };
                    }
                    let c = conn.as_mut().unwrap();
                    match one(&r.t, c, &r.host, &r.path, up, None, false).await {
                        Ok(d) => {
                            let mut s = sh.borrow_mut();
                            s.ready += usize::from(!std::mem::replace(&mut ready, true));
                            s.ok(d.total, d.first, d.bytes)
                        }
                        Err(e) => {
                            sh.borrow_mut().fail(&e);
                            conn = None;
                            *shared.borrow_mut() = None;
                            tokio::time::sleep(Duration::from_millis(5)).await;
                        }
                    }
                }
            }));
        }
    }
    window(&r, &sh, workers, out).await;
    for t in tasks {
        t.abort();
    }
    Ok(())
}

async fn newconn(r: Rc<Run>, out: &mut Map<String, Value>) -> Result<(), Err> {
    let sh = tally();
    let mut c = r.t.open(&r.host).await?;
    one(&r.t, &mut c, &r.host, &r.path, 0, None, false).await?;
    drop(c);
    let mut tasks = vec![];
    for _ in 0..r.conns {
        let (r, sh) = (r.clone(), sh.clone());
        tasks.push(tokio::task::spawn_local(async move {
            let mut ready = false;
            loop {
                let start = Instant::now();
                let res = async {
                    let mut c = r.t.open(&r.host).await?;
                    one(&r.t, &mut c, &r.host, &r.path, 0, None, false).await
                }
                .await;
                match res {
                    Ok(d) => {
                        let all = start.elapsed();
                        let mut s = sh.borrow_mut();
                        s.opened += 1;
                        s.ready += usize::from(!std::mem::replace(&mut ready, true));
                        s.ok(all, all - d.total + d.first, d.bytes)
                    }
                    Err(e) => {
                        sh.borrow_mut().fail(&e);
                        tokio::time::sleep(Duration::from_millis(5)).await;
                    }
                }
            }
        }));
    }
    window(&r, &sh, r.conns, out).await;
    for t in tasks {
        t.abort();
    }
    Ok(())
}

/// Each host once (cold), then each host again on a new connection (warm): the difference is
/// what a certificate for a new host costs.
async fn fresh(
    r: Rc<Run>,
    from: usize,
    to: usize,
    out: &mut Map<String, Value>,
) -> Result<(), Err> {
    // The first handshake of this process seeds the random generator, which takes tens of ms.
    drop(r.t.open(&r.host).await?);
    for pass in ["cold", "warm"] {
        let mut h = hist();
        let mut hs = hist();
        let mut errors = 0u64;
        let mut last = String::new();
        let a = r.pid.map(|p| procfs::usage(p, false).cpu_s);
        let begin = Instant::now();
        for n in from..=to {
            let host = format!("origin-{n}.test");
            let start = Instant::now();
            let res = async {
                let mut c = r.t.open(&host).await?;
                let shake = start.elapsed();
                one(&r.t, &mut c, &host, &r.path, 0, None, false).await?;
                Ok::<_, Err>(shake)
            }
            .await;
            match res {
                Ok(shake) => {
                    h.saturating_record(us(start.elapsed()).max(1));
                    hs.saturating_record(us(shake).max(1));
                }
                Err(e) => {
                    errors += 1;
                    last = e.to_string();
                }
            }
            if begin.elapsed() > Duration::from_secs(30) {
                last = format!("stopped after 30 s at host {n}");
                break;
            }
        }
        let b = r.pid.map(|p| procfs::usage(p, false).cpu_s);
        let cpu = match (a, b) {
            (Some(a), Some(b)) => json!(((b - a) * 1e6 / h.len().max(1) as f64).round()),
            _ => Value::Null,
        };
        out.insert(
            pass.into(),
            json!({"lat_us": q(&h), "handshake_us": q(&hs), "hosts": h.len(), "errors": errors,
                   "error": last, "proxy_cpu_us_per_host": cpu}),
        );
        if h.is_empty() {
            return Err(last.into());
        }
    }
    Ok(())
}

/// Does the proxy pass a body on as it arrives? Downward: 5 chunks 200 ms apart. Upward: one
/// chunk, 500 ms pause, the rest; the origin reports the time between first and last byte.
async fn stream(r: Rc<Run>, out: &mut Map<String, Value>) -> Result<(), Err> {
    let mut c = r.t.open(&r.host).await?;
    let d = one(&r.t, &mut c, &r.host, "/stream?n=5&ms=200", 0, None, false).await?;
    out.insert("down_first_ms".into(), json!(d.first.as_secs_f64() * 1e3));
    out.insert("down_total_ms".into(), json!(d.total.as_secs_f64() * 1e3));
    out.insert("down_streams".into(), json!(d.first < Duration::from_millis(150)));
    if c.closed() {
        c = r.t.open(&r.host).await?;
    }
    let pause = Some(Duration::from_millis(500));
    let up = match one(&r.t, &mut c, &r.host, "/upload", 1 << 20, pause, true).await {
        Ok(d) => d,
        Err(_) => {
            c = r.t.open(&r.host).await?;
            one(&r.t, &mut c, &r.host, "/upload", 1 << 20, pause, true).await?
        }
    };
    let v: Value = serde_json::from_slice(&up.body.unwrap_or_default()).unwrap_or(Value::Null);
    let span = v["span_ms"].as_f64().unwrap_or(0.0);
    out.insert("up_bytes".into(), v["bytes"].clone());
    out.insert("up_span_ms".into(), json!(span));
    out.insert("up_streams".into(), json!(span > 350.0));
    Ok(())
}

/// Memory with N idle connections, each of which has carried one request.
async fn idle(
    r: Rc<Run>,
    steps: &[usize],
    step: Duration,
    out: &mut Map<String, Value>,
) -> Result<(), Err> {
    let mem = || r.pid.map(|p| procfs::usage(p, true)).unwrap_or_default();
    let row = |n: usize, live: usize, m: procfs::Usage, base: procfs::Usage| {
        let per = if n > 0 {
            json!((m.pss_kib as f64 - base.pss_kib as f64) / live.max(1) as f64)
        } else {
            Value::Null
        };
        json!({"conns": n, "live": live, "rss_kib": m.rss_kib, "pss_kib": m.pss_kib,
               "pss_kib_per_conn": per, "procs": m.procs})
    };
    let base = mem();
    let mut rows = vec![row(0, 0, base, base)];
    let held: Rc<RefCell<Vec<Conn>>> = Rc::default();
    for &n in steps {
        let begin = Instant::now();
        let left = Rc::new(RefCell::new(n - held.borrow().len().min(n)));
        let errs = Rc::new(RefCell::new((0u64, String::new())));
        let mut ws = vec![];
        for _ in 0..r.conns {
            let (r, held, left, errs) = (r.clone(), held.clone(), left.clone(), errs.clone());
            ws.push(tokio::task::spawn_local(async move {
                loop {
                    if *left.borrow() == 0 || errs.borrow().0 > 200 || begin.elapsed() > step {
                        break;
                    }
                    *left.borrow_mut() -= 1;
                    let res = async {
                        let mut c = r.t.open(&r.host).await?;
                        one(&r.t, &mut c, &r.host, &r.path, 0, None, false).await?;
                        Ok::<_, Err>(c)
                    }
                    .await;
                    match res {
                        Ok(c) => held.borrow_mut().push(c),
                        Err(e) => {
                            let mut x = errs.borrow_mut();
                            x.0 += 1;
                            x.1 = e.to_string();
                            *left.borrow_mut() += 1;
                        }
                    }
                }
            }));
        }
        for w in ws {
            let _ = w.await;
        }
        let secs = begin.elapsed().as_secs_f64();
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let live = held.borrow().iter().filter(|c| !c.closed()).count();
        let mut v = row(n, live, mem(), base);
        v["open_secs"] = json!(secs);
        v["errors"] = json!(errs.borrow().0);
        v["error"] = json!(errs.borrow().1);
        rows.push(v);
        if live < n * 9 / 10 {
            break;
        }
    }
    held.borrow_mut().clear();
    tokio::time::sleep(Duration::from_millis(2000)).await;
    let m = mem();
    out.insert("after_close".into(), row(0, 0, m, base));
    out.insert("steps".into(), json!(rows));
    Ok(())
}

pub fn run(args: &Args) {
    let h2 = args.get("proto") == Some("h2");
    let port: u16 = args.num("origin-port", 8443);
    let proxy = args.get("proxy").map(|s| s.parse().expect("--proxy IP:PORT"));
    let r = Rc::new(Run {
        t: Target {
            dial: proxy.unwrap_or(([127, 0, 0, 1], port).into()),
            tunnel: proxy.is_some(),
            port,
            h2,
            tls: tls_config(args.need("ca"), h2, args.get("pq").is_some()),
            timeout: Duration::from_secs(args.num("timeout", 15)),
            form: Form::of(args),
        },
        host: args.get("host").unwrap_or("origin-1.test").to_string(),
        path: args.get("path").unwrap_or("/1k").to_string(),
        conns: args.num("conns", 1),
        streams: if h2 { args.num("streams", 1) } else { 1 },
        warm: Duration::from_secs_f64(args.num("warm", 0.5)),
        ramp: Duration::from_secs_f64(args.num("ramp", 10.0)),
        dur: Duration::from_secs_f64(args.num("secs", 2.0)),
        pid: args.get("pid").and_then(|s| s.parse().ok()),
        origin_pid: args.get("origin-pid").and_then(|s| s.parse().ok()),
    });
    let mode = args.need("mode").to_string();
    let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    let mut out = Map::new();
    let res = local.block_on(&rt, async {
        match mode.as_str() {
            "keepalive" | "bulk" => keepalive(r, args.num("upload", 0), &mut out).await,
            "newconn" => newconn(r, &mut out).await,
            "fresh" => fresh(r, args.num("from", 1), args.num("to", 100), &mut out).await,
            "stream" => stream(r, &mut out).await,
            "idle" => {
                let steps: Vec<usize> = args
                    .get("steps")
                    .unwrap_or("1000,5000")
                    .split(',')
                    .map(|x| x.parse().expect("--steps"))
                    .collect();
                let step = Duration::from_secs_f64(args.num("step-secs", 35.0));
                idle(r, &steps, step, &mut out).await
            }
            m => Err(format!("unknown mode {m}").into()),
        }
    });
    if let Err(e) = res {
        out.insert("failed".into(), json!(e.to_string()));
    }
    println!("{}", Value::Object(out));
}
