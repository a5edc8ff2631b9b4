//! Sets up logs and metrics.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

use crate::settings;

/// Telemetry that could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The filter does not parse.
    #[error("log.filter: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// A logger is there already.
    #[error("log: {0}")]
    Logger(#[from] tracing_subscriber::util::TryInitError),
    /// A recorder is there already.
    #[error("metrics: {0}")]
    Metrics(#[from] metrics_exporter_prometheus::BuildError),
}

/// Starts logging to standard error.
pub fn start_logging(log: &settings::Log) -> Result<(), Error> {
    // rtc_dtls warns of each extension of a TLS 1.3 ClientHello that DTLS 1.2 does not know: one
    // line per handshake with every browser. A filter that names it still gets it.
    let filter = EnvFilter::builder().parse(format!("rtc_dtls=error,{}", log.filter))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    if log.format == "json" {
        subscriber.json().flatten_event(true).finish().try_init()?;
    } else {
        subscriber.finish().try_init()?;
    }
    Ok(())
}

/// Starts collecting metrics; the handle writes them in Prometheus's text form.
pub fn start_metrics() -> Result<PrometheusHandle, Error> {
    let seconds = [1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1_800.0, 3_600.0];
    let fractions = [0.0, 0.001, 0.01, 0.03, 0.05, 0.1, 0.2, 0.5];
    let handle = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full("trunkline_call_seconds".to_owned()), &seconds)?
        .set_buckets_for_metric(Matcher::Full("trunkline_call_loss".to_owned()), &fractions)?
        .install_recorder()?;
    metrics::describe_counter!(
        "trunkline_calls_total",
        "Ended calls by direction and reason"
    );
    metrics::describe_gauge!("trunkline_calls_open", "Calls open now");
    metrics::describe_gauge!("trunkline_sockets_open", "Page connections open now");
    metrics::describe_counter!(
        "trunkline_sockets_refused_total",
        "Page connections refused, by reason"
    );
    metrics::describe_counter!(
        "trunkline_messages_refused_total",
        "Messages of pages refused, by code"
    );
    metrics::describe_counter!(
        "trunkline_sign_in_refused_total",
        "Sign-ins with wrong credentials"
    );
    metrics::describe_counter!(
        "trunkline_ice_candidates_rejected_total",
        "ICE candidates of clients that are not used, by reason"
    );
    metrics::describe_counter!(
        "trunkline_ice_checks_suppressed_total",
        "ICE checks not sent to addresses that do not answer, by limit"
    );
    metrics::describe_gauge!(
        "trunkline_registrations",
        "SIP registrations by trunk and state"
    );
    metrics::describe_counter!(
        "trunkline_silence_total",
        "Times that audio stopped coming, by side"
    );
    metrics::describe_histogram!(
        "trunkline_call_seconds",
        "Seconds from answer to end of answered calls"
    );
    Ok(handle)
}
