//! The one table of metrics: name, kind, help, and the labels that are known beforehand.
//!
//! Whoever counts something new adds a row here and to `docs/operations.md`; a test compares the
//! three. Every series whose labels are known stands at zero from the start, so that a rate can be
//! computed over its first event.

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::call::EndReason;
use crate::supervision::Task;

/// A row of the table.
struct Metric {
    name: &'static str,
    kind: Kind,
    help: &'static str,
    labels: &'static [(&'static str, Values)],
}

enum Kind {
    Counter,
    Gauge,
    /// Upper bounds of the buckets, in the unit of the name.
    Histogram(&'static [f64]),
}

/// The values of a label.
#[derive(Clone, Copy)]
enum Values {
    /// All of them.
    Known(&'static [&'static str]),
    /// Those of [`EndReason`].
    EndReasons,
    /// Those of [`Task`].
    Tasks,
    /// From the configuration: whoever reads it makes these series.
    Configured,
}

use Kind::{Counter, Gauge, Histogram};
use Values::{Configured, EndReasons, Known, Tasks};

const DURATIONS: Kind = Histogram(&[1.0, 5.0, 15.0, 60.0, 180.0, 600.0, 1_800.0, 3_600.0]);
const FRACTIONS: Kind = Histogram(&[0.0, 0.001, 0.01, 0.03, 0.05, 0.1, 0.2, 0.5]);
const DELAYS: Kind = Histogram(&[0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0]);
const SET_UP: Kind = Histogram(&[0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0]);

const SIDES: Values = Known(&["browser", "pbx"]);
const DIRECTIONS: Values = Known(&["incoming", "outgoing"]);

const METRICS: &[Metric] = &[
    Metric {
        name: "trunkline_calls_total",
        kind: Counter,
        help: "Ended calls by direction and reason",
        labels: &[("direction", DIRECTIONS), ("reason", EndReasons)],
    },
    Metric {
        name: "trunkline_ringing_limited_total",
        kind: Counter,
        help: "Incoming calls refused with 486 because each client of the user has as many calls as it may",
        labels: &[],
    },
    Metric {
        name: "trunkline_calls_open",
        kind: Gauge,
        help: "Calls open now",
        labels: &[],
    },
    Metric {
        name: "trunkline_call_seconds",
        kind: DURATIONS,
        help: "Seconds from answer to end of answered calls",
        labels: &[],
    },
    Metric {
        name: "trunkline_call_loss",
        kind: FRACTIONS,
        help: "Fraction of the packets of a side that never came, once for each answered call",
        labels: &[("from", SIDES)],
    },
    Metric {
        name: "trunkline_call_jitter_seconds",
        kind: DELAYS,
        help: "Last interarrival jitter of what a side sent, once for each answered call",
        labels: &[("from", SIDES)],
    },
    Metric {
        name: "trunkline_call_round_trip_seconds",
        kind: DELAYS,
        help: "Last round trip to a side by its receiver reports, once for each answered call",
        labels: &[("from", SIDES)],
    },
    Metric {
        name: "trunkline_webrtc_connect_seconds",
        kind: SET_UP,
        help: "Seconds from the begin of a call until ICE and DTLS were through",
        labels: &[],
    },
    Metric {
        name: "trunkline_ice_failures_total",
        kind: Counter,
        help: "Calls whose browser no candidate pair led to, or whose consent was lost for good",
        labels: &[],
    },
    Metric {
        name: "trunkline_dtls_failures_total",
        kind: Counter,
        help: "DTLS handshakes with browsers that failed, by reason",
        labels: &[(
            "reason",
            Known(&["handshake", "timeout", "fingerprint_mismatch"]),
        )],
    },
    Metric {
        name: "trunkline_ice_candidates_rejected_total",
        kind: Counter,
        help: "ICE candidates of clients that are not used, by reason",
        labels: &[(
            "reason",
            Known(&["address", "ignored", "malformed", "port", "surplus"]),
        )],
    },
    Metric {
        name: "trunkline_ice_checks_suppressed_total",
        kind: Counter,
        help: "ICE checks not sent to addresses that do not answer, by limit",
        labels: &[("reason", Known(&["call_budget", "gateway_rate"]))],
    },
    Metric {
        name: "trunkline_media_inactivity_total",
        kind: Counter,
        help: "Times that audio stopped coming, by side",
        labels: &[("from", SIDES)],
    },
    Metric {
        name: "trunkline_unexpected_sources_heard_total",
        kind: Counter,
        help: "Times that RTP from an address of neither SDP nor SIP was played for want of other",
        labels: &[],
    },
    Metric {
        name: "trunkline_media_datagrams_total",
        kind: Counter,
        help: "Datagrams that media workers received and sent",
        labels: &[("direction", Known(&["in", "out"]))],
    },
    Metric {
        name: "trunkline_media_dropped_total",
        kind: Counter,
        help: "Packets that were not used or could not be sent, by side and reason",
        labels: &[
            ("side", Known(&["browser", "pbx", "worker"])),
            (
                "reason",
                Known(&[
                    "closed",
                    "command_for_no_call",
                    "dtls_early",
                    "dtls_malformed",
                    "dtls_surplus",
                    "duplicate",
                    "late",
                    "malformed",
                    "no_keys",
                    "no_socket",
                    "other",
                    "overflow",
                    "oversize",
                    "receive_error",
                    "send_buffer_full",
                    "send_error",
                    "srtp_forged",
                    "srtp_refused",
                    "srtp_replayed",
                    "statistics_event",
                    "unexpected_source",
                    "stray",
                    "stun_integrity",
                    "stun_malformed",
                    "stun_replayed",
                    "stun_unexpected",
                    "stun_username",
                    "suppressed",
                    "undecodable",
                    "unencodable",
                    "unknown",
                    "unknown_address",
                    "unknown_event",
                    "unknown_payload_type",
                    "unknown_ufrag",
                    "unvalidated",
                ]),
            ),
        ],
    },
    Metric {
        name: "trunkline_media_ignored_total",
        kind: Counter,
        help: "Packets that nothing was agreed for at that moment: audio while it rings or is held",
        labels: &[
            ("side", SIDES),
            (
                "reason",
                Known(&["direction", "no_address", "not_connected", "not_negotiated"]),
            ),
        ],
    },
    Metric {
        name: "trunkline_sockets_open",
        kind: Gauge,
        help: "Client connections open now",
        labels: &[],
    },
    Metric {
        name: "trunkline_sockets_refused_total",
        kind: Counter,
        help: "HTTP and client connections refused, by reason",
        labels: &[(
            "reason",
            Known(&[
                "connections",
                "connections_per_address",
                "draining",
                "host",
                "limit",
                "not_reading",
                "origin",
                "silent",
            ]),
        )],
    },
    Metric {
        name: "trunkline_messages_refused_total",
        kind: Counter,
        help: "Messages of clients refused, by code",
        labels: &[(
            "code",
            Known(&[
                "bad-json",
                "bad-message",
                "bad-state",
                "duplicate-call",
                "invalid-text",
                "not-found",
                "not-signed-in",
                "protocol-error",
                "rate-limited",
                "text-too-long",
                "token-expired",
                "too-large",
                "too-many-attempts",
                "too-many-calls",
                "too-many-messages",
                "unauthorized",
                "unknown-call",
                "unsupported-version",
                "wrong-user",
            ]),
        )],
    },
    Metric {
        name: "trunkline_instant_messages_total",
        kind: Counter,
        help: "Texts outside calls, by direction and outcome",
        labels: &[
            ("direction", DIRECTIONS),
            (
                "code",
                Known(&["ok", "forbidden", "not-found", "overload", "unavailable"]),
            ),
        ],
    },
    Metric {
        name: "trunkline_sign_in_refused_total",
        kind: Counter,
        help: "Sign-ins and renewals refused, by reason",
        labels: &[(
            "reason",
            Known(&[
                "no_credentials",
                "token_expired",
                "too_many_attempts",
                "unauthorized",
                "wrong_user",
            ]),
        )],
    },
    Metric {
        name: "trunkline_route_fallbacks_total",
        kind: Counter,
        help: "Calls that this trunk could not place and that went on to the next trunk",
        labels: &[("trunk", Configured)],
    },
    Metric {
        name: "trunkline_registrations",
        kind: Gauge,
        help: "SIP registrations now, by trunk and state",
        labels: &[("trunk", Configured), ("state", Configured)],
    },
    Metric {
        name: "trunkline_trunk_target_up",
        kind: Gauge,
        help: "Whether a target of a trunk answers its probes",
        labels: &[("trunk", Configured), ("target", Configured)],
    },
    Metric {
        name: "trunkline_trunk_target_addresses",
        kind: Gauge,
        help: "Addresses of a target by what its probes say",
        labels: &[
            ("trunk", Configured),
            ("target", Configured),
            ("state", Configured),
        ],
    },
    Metric {
        name: "trunkline_sip_rejected_total",
        kind: Counter,
        help: "SIP messages and connections refused or dropped, by reason",
        labels: &[(
            "reason",
            Known(&[
                "bad_request",
                "branch_reused",
                "challenged",
                "connections",
                "connections_per_source",
                "credentials",
                "extension",
                "framing",
                "handshakes",
                "incomplete_message",
                "icmp_other",
                "icmp_parameter_problem",
                "icmp_prohibited",
                "icmp_source_quench",
                "icmp_time_exceeded",
                "icmp_too_big",
                "icmp_unmatched",
                "icmp_unproven",
                "icmp_unreachable_otherwise",
                "icmp_unreadable",
                "malformed_ack",
                "malformed_request",
                "malformed_response",
                "max_forwards",
                "media_type",
                "merged",
                "message_text",
                "method_not_allowed",
                "method_unknown",
                "new_calls",
                "new_calls_of_source",
                "no_dialog",
                "no_listener",
                "no_transaction",
                "no_via",
                "overload",
                "oversized",
                "owner_busy",
                "prack_unmatched",
                "reflection",
                "replaces",
                "response_vias",
                "rseq_order",
                "session_interval",
                "silent_connection",
                "unknown_source",
                "unknown_source_rate",
                "stray_ack",
                "stray_response",
                "stun_malformed",
                "stun_request",
                "stun_unmatched",
                "tls_handshake",
                "before_dns_ready",
                "too_many_forks",
                "unreadable",
                "unsent",
                "uri_scheme",
            ]),
        )],
    },
    Metric {
        name: "trunkline_sip_connections_ended_total",
        kind: Counter,
        help: "SIP connections that ended, by reason",
        labels: &[(
            "reason",
            Known(&[
                "closed_by_peer",
                "framing",
                "incomplete_message",
                "idle",
                "no_pong",
                "read_failed",
                "silent_connection",
                "write_failed",
            ]),
        )],
    },
    Metric {
        name: "trunkline_sip_handshake_failures_total",
        kind: Counter,
        help: "TLS handshakes of the gateway with SIP peers that failed",
        labels: &[],
    },
    Metric {
        name: "trunkline_sip_certificate_errors_total",
        kind: Counter,
        help: "Times that certificates of SIP could not be read again",
        labels: &[],
    },
    Metric {
        name: "trunkline_sip_flow_failures_total",
        kind: Counter,
        help: "Flows to registrars that STUN found failed, by reason",
        labels: &[(
            "reason",
            Known(&["moved", "refused", "silent", "unreachable"]),
        )],
    },
    Metric {
        name: "trunkline_sip_without_stun_total",
        kind: Counter,
        help: "Times that a registrar with Outbound was found to answer no STUN",
        labels: &[(
            "reason",
            Known(&["moved", "refused", "silent", "unreachable"]),
        )],
    },
    Metric {
        name: "trunkline_sip_unreachable_total",
        kind: Counter,
        help: "SIP datagrams that the network said reached no socket",
        labels: &[],
    },
    Metric {
        name: "trunkline_sip_look_ups_failed_total",
        kind: Counter,
        help: "DNS queries for SIP targets that failed",
        labels: &[],
    },
    Metric {
        name: "trunkline_sip_send_dropped_total",
        kind: Counter,
        help: "SIP messages that could not be sent",
        labels: &[],
    },
    Metric {
        name: "trunkline_sip_owner_lost_total",
        kind: Counter,
        help: "SIP dialogs ended because their call took no events",
        labels: &[],
    },
    Metric {
        name: "trunkline_task_ended_total",
        kind: Counter,
        help: "Tasks that ended although nothing asked them to",
        labels: &[("task", Tasks)],
    },
    Metric {
        name: "trunkline_panics_total",
        kind: Counter,
        help: "Panics, in whichever task",
        labels: &[],
    },
    Metric {
        name: "trunkline_log_lines_dropped_total",
        kind: Counter,
        help: "Log lines that could not be written, or not in time",
        labels: &[],
    },
];

impl Values {
    fn known(self) -> Vec<&'static str> {
        match self {
            Known(values) => values.to_vec(),
            EndReasons => EndReason::ALL.iter().map(|reason| reason.code()).collect(),
            Tasks => Task::ALL.iter().map(|task| task.name()).collect(),
            Configured => Vec::new(),
        }
    }
}

impl Metric {
    /// Every combination of the labels that are known; none where one comes from the
    /// configuration.
    fn series(&self) -> Vec<Vec<metrics::Label>> {
        let mut series = vec![Vec::new()];
        for (label, values) in self.labels {
            let values = values.known();
            series = series
                .into_iter()
                .flat_map(|one: Vec<metrics::Label>| {
                    values.iter().map(move |value| {
                        let mut longer = one.clone();
                        longer.push(metrics::Label::new(*label, *value));
                        longer
                    })
                })
                .collect();
        }
        series
    }

    fn register(&self) {
        match self.kind {
            Counter => metrics::describe_counter!(self.name, self.help),
            Gauge => metrics::describe_gauge!(self.name, self.help),
            Histogram(_) => metrics::describe_histogram!(self.name, self.help),
        }
        for labels in self.series() {
            match self.kind {
                Counter => metrics::counter!(self.name, labels).increment(0),
                Gauge => metrics::gauge!(self.name, labels).increment(0.0),
                // A histogram without values is written from its handle on.
                Histogram(_) => drop(metrics::histogram!(self.name, labels)),
            }
        }
    }
}

/// Starts collecting metrics; the handle writes them in Prometheus's text form.
pub(super) fn start() -> Result<PrometheusHandle, BuildError> {
    let mut builder = PrometheusBuilder::new();
    for metric in METRICS {
        if let Histogram(buckets) = metric.kind {
            builder =
                builder.set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), buckets)?;
        }
    }
    let handle = builder.install_recorder()?;
    for metric in METRICS {
        metric.register();
    }
    Ok(handle)
}

#[cfg(test)]
mod tests;
