//! Sets up logs and metrics.

mod log_format;
mod log_writer;
mod metrics;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::io::IsTerminal;
use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings;
use log_format::{Escaping, TextFields, is_permitted};
use log_writer::LogWriter;

/// Telemetry that could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter does not parse.
    #[error("log.filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A logger is there already.
    #[error("log: {0}")]
    Logger(#[from] tracing_subscriber::util::TryInitError),
    /// The writer's thread could not be started.
    #[error("log: {0}")]
    Thread(#[from] std::io::Error),
    /// A recorder is there already.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// The filter of the configuration.
fn configured(log: &settings::Log) -> Result<EnvFilter, Error> {
    // rtc_dtls warns of each extension of a TLS 1.3 ClientHello that DTLS 1.2 does not know: one
    // line per handshake with every browser. A filter that names it still gets it.
    Ok(EnvFilter::builder().parse(format!("rtc_dtls=error,{}", log.filter))?)
}

/// Whether [`start_logging`] could use the filter.
pub fn check_filter(log: &settings::Log) -> Result<(), Error> {
    configured(log).map(|_| ())
}

/// Logs that are being written.
#[derive(Debug)]
pub struct Logs(LogWriter);

impl Logs {
    /// Waits until all lines so far are written, at most for `limit`.
    pub fn flush(&self, limit: Duration) {
        self.0.flush(limit);
    }
}

/// Starts logging to standard error. No caller ever waits for it: what cannot be written is lost
/// and counted.
pub fn start_logging(log: &settings::Log) -> Result<Logs, Error> {
    let filter = configured(log)?;
    let permitted = filter_fn(|metadata| is_permitted(metadata.target(), *metadata.level()))
        .with_max_level_hint(LevelFilter::TRACE);
    let filter = filter.and(permitted);
    let is_json = log.format == settings::LogFormat::Json;
    let is_terminal = std::io::stderr().is_terminal() && !is_json;
    let escaping = match (is_json, is_terminal) {
        (true, _) => Escaping::Json,
        (false, true) => Escaping::Terminal,
        (false, false) => Escaping::Text,
    };
    let writer = LogWriter::start(std::io::stderr(), escaping)?;
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer.clone())
        .with_ansi(is_terminal)
        // It would write them by eprintln, which panics where standard error cannot be written.
        .log_internal_errors(false);
    let registry = tracing_subscriber::registry();
    if is_json {
        let lines = lines.json().flatten_event(true);
        registry.with(lines.with_filter(filter)).try_init()?;
    } else {
        let lines = lines.fmt_fields(TextFields);
        registry.with(lines.with_filter(filter)).try_init()?;
    }
    Ok(Logs(writer))
}

/// Writes panics to the log, in place of standard error, and counts them.
pub fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        ::metrics::counter!("trunkline_panics_total").increment(1);
        let backtrace = Backtrace::capture();
        let backtrace = (backtrace.status() == BacktraceStatus::Captured).then_some(backtrace);
        let place = panic.location().map(ToString::to_string);
        tracing::error!(
            thread = std::thread::current().name(),
            place,
            backtrace = backtrace.map(tracing::field::display),
            "panic: {}",
            panic.payload_as_str().unwrap_or("without a text")
        );
    }));
}

/// Starts collecting metrics; the handle writes them in Prometheus's text form.
pub fn start_metrics() -> Result<PrometheusHandle, Error> {
    Ok(metrics::start()?)
}
