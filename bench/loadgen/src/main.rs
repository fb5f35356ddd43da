//! One binary, four subcommands: certs, origin, load, crypto.
mod certs;
mod client;
mod crypto;
mod load;
mod origin;
mod procfs;

use std::collections::HashMap;

/// `--key value` arguments; a flag without a value reads as "true". The last one of a key counts,
/// but for those that are read with `all`.
pub struct Args(HashMap<String, Vec<String>>);

impl Args {
    fn parse(it: impl Iterator<Item = String>) -> Self {
        let mut map = HashMap::<String, Vec<String>>::new();
        let mut it = it.peekable();
        while let Some(a) = it.next() {
            let Some(k) = a.strip_prefix("--") else {
                eprintln!("unexpected argument: {a}");
                std::process::exit(2);
            };
            let v = match it.peek() {
                Some(n) if !n.starts_with("--") => it.next().unwrap(),
                _ => "true".into(),
            };
            map.entry(k.to_string()).or_default().push(v);
        }
        Args(map)
    }
    pub fn get(&self, k: &str) -> Option<&str> {
        self.all(k).last().filter(|s| !s.is_empty())
    }
    pub fn all(&self, k: &str) -> impl DoubleEndedIterator<Item = &str> {
        self.0.get(k).into_iter().flatten().map(String::as_str)
    }
    pub fn need(&self, k: &str) -> &str {
        self.get(k).unwrap_or_else(|| {
            eprintln!("missing --{k}");
            std::process::exit(2)
        })
    }
    pub fn num<T: std::str::FromStr>(&self, k: &str, default: T) -> T {
        match self.get(k) {
            None => default,
            Some(s) => s.parse().unwrap_or_else(|_| {
                eprintln!("bad number for --{k}: {s}");
                std::process::exit(2)
            }),
        }
    }
}

fn main() {
    let mut argv = std::env::args().skip(1);
    let cmd = argv.next().unwrap_or_default();
    let args = Args::parse(argv);
    rustls::crypto::aws_lc_rs::default_provider().install_default().expect("crypto provider");
    match cmd.as_str() {
        "certs" => certs::run(&args),
        "origin" => origin::run(&args),
        "load" => load::run(&args),
        "crypto" => crypto::run(&args),
        _ => {
            eprintln!(
                "usage:\n  mitmbench certs  --out DIR --hosts N\n  \
                 mitmbench origin --certs DIR --port P [--threads 2]\n  \
                 mitmbench load   --mode keepalive|newconn|fresh|bulk|stream|idle --ca FILE \
                 [--proxy 127.0.0.1:P] [--pid PID] [--host NAME] [--path PATH] \
                 [--method GET] [--header 'NAME: VALUE']... [--body-file FILE] ...\n  \
                 mitmbench crypto"
            );
            std::process::exit(2);
        }
    }
}
