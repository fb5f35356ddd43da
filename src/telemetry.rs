//! Logs and counters for operators.
//!
//! Takes events; returns Prometheus text. Labels come from closed sets only, never from what an
//! agent wrote. Logs go to stderr, as text or JSON.

use crate::catalog::Effect;
use crate::decide::Ruling;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::io::IsTerminal as _;
use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer, Registry as Registered};

type Labels = Vec<(&'static str, &'static str)>;

/// Counters of one proxy.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    verdicts: Family<Labels, Counter>,
    allowed: Vec<(Effect, Counter)>,
    /// Connections from clients now.
    pub connections: Gauge,
    /// Policies that were refused at a reload.
    pub reloads_refused: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("holdgate");
        let verdicts = Family::<Labels, Counter>::default();
        let connections = Gauge::default();
        let reloads_refused = Counter::default();
        registry.register("verdicts", "Requests by verdict and reason", verdicts.clone());
        registry.register("connections", "Connections from clients", connections.clone());
        registry.register(
            "reloads_refused",
            "Policies refused at a reload",
            reloads_refused.clone(),
        );
        let counter = |effect: Effect| {
            let labels = vec![("verdict", "allow"), ("reason", ""), ("effect", effect.as_str())];
            (effect, verdicts.get_or_create(&labels).clone())
        };
        let allowed = Effect::ALL.iter().copied().map(counter).collect();
        Self { registry, verdicts, allowed, connections, reloads_refused }
    }
}

impl Metrics {
    /// Counts a request that was sent.
    pub fn allowed(&self, ruling: &Ruling) {
        let effect =
            ruling.operations.first().map_or(Effect::Unknown, |operation| operation.effect);
        // These are counted on the hot path, so their counters are found without a lock.
        if let Some((_, counter)) = self.allowed.iter().find(|(known, _)| *known == effect) {
            counter.inc();
        }
    }

    /// Counts a request that was not.
    pub fn refused(&self, ruling: &Ruling) {
        let verdict = match ruling.word {
            crate::policy::Word::Hold => "hold",
            _ => "deny",
        };
        let reason = ruling.reason.map_or("", crate::decide::Reason::as_str);
        let effect =
            ruling.operations.first().map_or("unknown", |operation| operation.effect.as_str());
        self.verdicts
            .get_or_create(&vec![("verdict", verdict), ("reason", reason), ("effect", effect)])
            .inc();
    }

    /// All counters as Prometheus text.
    pub fn render(&self) -> String {
        let mut text = String::new();
        if encode(&mut text, &self.registry).is_err() {
            text.clear();
        }
        text
    }
}

/// Sends logs to stderr, as JSON where that is asked for. `HOLDGATE_LOG` filters as in `info` or
/// `holdgate=debug`; of libraries nothing below `info` is logged.
pub fn log_to_stderr(json: bool) {
    log_to_stderr_from("info", json);
}

/// The same from another level on, where `HOLDGATE_LOG` says nothing.
pub fn log_to_stderr_from(level: &str, json: bool) {
    let filter =
        EnvFilter::try_from_env("HOLDGATE_LOG").unwrap_or_else(|_unset| EnvFilter::new(level));
    // Libraries trace the very bytes they handle, secrets among them; nobody has them said by a filter.
    let ours = filter_fn(|event| {
        *event.level() <= Level::INFO || event.target().split("::").next() == Some("holdgate")
    });
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    let lines: Box<dyn Layer<Registered> + Send + Sync> = if json {
        Box::new(lines.json().flatten_event(true))
    } else {
        Box::new(lines.with_target(false))
    };
    let lines = lines.with_filter(filter).with_filter(ours);
    let started = tracing_subscriber::registry().with(lines).try_init();
    if let Err(error) = started {
        eprintln!("holdgate: logs were set up already: {error}");
    }
}
