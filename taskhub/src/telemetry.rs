//! Logs, metrics and panics of a process.

use std::{io, panic, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::{Level, Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer,
    filter::Targets,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
};

use crate::settings::{Log, LogFormat};

/// Upper bounds in seconds for what a request may take, with most of them where most requests are.
const REQUEST_SECONDS: &[f64] = &[
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
];

/// Upper bounds in seconds for jobs, which may wait for hours.
const JOB_SECONDS: &[f64] = &[
    0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0,
];

/// Begins to log to standard output and turns panics into log lines.
///
/// # Panics
/// Where it is called twice in a process.
pub fn install(log: Log) {
    tracing::subscriber::set_global_default(subscriber(log, io::stdout))
        .expect("telemetry is installed once");
    panic::set_hook(Box::new(|panic| {
        tracing::error!(
            location = panic.location().map(ToString::to_string),
            reason = panic.payload_as_str(),
            "panicked"
        );
    }));
}

/// What [`install`] makes global. Every line carries the fields of the span around it, such as
/// `request_id`. Of libraries only warnings are logged: their finer words may hold what is secret.
pub fn subscriber<W>(log: Log, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = LevelFilter::from_level(log.level);
    let filter = Targets::new()
        .with_target("taskhub", level)
        .with_default(level.min(LevelFilter::from_level(Level::WARN)));
    let lines = match log.format {
        LogFormat::Json => fmt::layer()
            .json()
            .flatten_event(true)
            .with_span_list(false)
            .with_writer(writer)
            .boxed(),
        LogFormat::Text => fmt::layer().compact().with_writer(writer).boxed(),
    };
    Box::new(tracing_subscriber::registry().with(lines.with_filter(filter)))
}

/// Begins to collect metrics; `render()` of the answer is what Prometheus reads. Histograms whose
/// names end in `_seconds` have the buckets of requests, or of jobs where they begin with `job_`.
///
/// # Panics
/// Where it is called twice in a process, or outside of a Tokio runtime.
pub fn metrics() -> PrometheusHandle {
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), REQUEST_SECONDS)
        .and_then(|builder| {
            builder.set_buckets_for_metric(Matcher::Prefix("job_".to_owned()), JOB_SECONDS)
        })
        .and_then(PrometheusBuilder::install_recorder)
        .expect("metrics are installed once");
    let upkeep = metrics.clone();
    // Histograms gather their samples until somebody sums them up.
    tokio::spawn(async move {
        let mut turns = tokio::time::interval(Duration::from_secs(5));
        loop {
            turns.tick().await;
            upkeep.run_upkeep();
        }
    });
    metrics
}
