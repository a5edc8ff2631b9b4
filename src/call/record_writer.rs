//! What the log and the metrics say of a call: all of it comes from its record and its four enums,
//! and from nowhere else.

use std::time::Duration;

use super::EndReason;
use super::message::{Action, Event, Quality, Side};
use super::record::{CallDirection, CallRecord, Failover};
use super::transport_event::TransportEvent;
use crate::srtp_keys::CryptoSuite;

/// The line of the begin.
pub(super) fn write_start(record: &CallRecord) {
    let names = &record.names;
    tracing::info!(
        call = names.call,
        call_id = names.id.map(tracing::field::display),
        page_call = %names.page_call,
        sip_call_id = %names.sip_call_id,
        direction = record.direction.name(),
        user = %names.user,
        from = %record.from,
        to = %record.to,
        trunk = %names.trunk,
        page = record.client.map(tracing::field::display),
        source = record.source.map(tracing::field::display),
        "call started"
    );
}

/// The line of what happens while the call goes on, and its part of the metrics.
pub(super) fn write_event(record: &CallRecord, event: &Event, at: Duration) {
    let call = record.names.call;
    match event {
        Event::Transport(event) => write_transport(record, *event, at),
        Event::AudioBegan { from } => {
            tracing::info!(call, from = ?from, after_ms = at.as_millis(), "first audio");
        }
        Event::AudioMissing { from } => {
            tracing::warn!(call, from = ?from, "no audio arrives");
            let side = match from {
                Side::Browser => "browser",
                Side::Pbx => "pbx",
            };
            metrics::counter!("trunkline_media_inactivity_total", "from" => side).increment(1);
        }
        Event::DigitsRefused { message } => {
            tracing::warn!(call, error = %message, "digits not sent");
        }
        Event::Referred { attended, .. } => tracing::info!(call, attended, "referred"),
        _ => {}
    }
}

fn write_transport(record: &CallRecord, event: TransportEvent, at: Duration) {
    let call = record.names.call;
    let trunk = record.names.trunk.as_str();
    let user = &record.names.user;
    match event {
        TransportEvent::DtlsConnected { .. } => {
            metrics::histogram!("trunkline_webrtc_connect_seconds").record(at.as_secs_f64());
            tracing::debug!(call, ?event, "transport");
        }
        TransportEvent::DtlsFailed { cause } => {
            metrics::counter!("trunkline_dtls_failures_total", "reason" => cause.name())
                .increment(1);
            tracing::debug!(call, ?event, "transport");
        }
        TransportEvent::IceConnected { .. }
        | TransportEvent::PairChanged { .. }
        | TransportEvent::Disconnected
        | TransportEvent::Reconnected => tracing::debug!(call, ?event, "transport"),
        TransportEvent::CandidatesRejected { reason, count } => {
            tracing::warn!(call, %user, reason, count, "ICE candidates of the client rejected");
        }
        TransportEvent::ChecksSuppressed => {
            tracing::warn!(
                call,
                %user,
                "ICE checks suppressed: candidates of the client do not answer"
            );
        }
        TransportEvent::RtpLatched { rtp } => tracing::info!(call, %trunk, %rtp, "RTP latched"),
        TransportEvent::UnexpectedSource { rtp } => {
            tracing::warn!(
                call,
                trunk,
                %rtp,
                "RTP from an unexpected source is dropped (see rtp.sources of the trunk)"
            );
        }
        TransportEvent::UnexpectedSourceHeard { rtp, signalled } => {
            metrics::counter!("trunkline_unexpected_sources_heard_total").increment(1);
            tracing::warn!(
                call,
                trunk,
                %rtp,
                %signalled,
                "RTP from an unexpected source is played, since none comes from the address of the \
                 SDP; our RTP goes to the latter (rtp.sources = \"any\" of the trunk sends it to \
                 the source, \"peer\" drops such RTP)"
            );
        }
    }
}

/// The line of what the call has done.
pub(super) fn write_action(record: &CallRecord, action: &Action) {
    let call = record.names.call;
    match action {
        Action::SetRemoteRtp { srtp_keys, .. } => {
            let srtp = srtp_keys.map(|srtp_keys| srtp_keys.send.suite().name());
            tracing::debug!(call, srtp, "RTP pointed at the PBX");
        }
        Action::SetFormats { browser, pbx } => {
            tracing::info!(
                call,
                browser = %browser.send.codec,
                pbx = %pbx.send.codec,
                direction = pbx.direction.attribute(),
                "audio agreed"
            );
        }
        _ => {}
    }
}

/// The call goes on by another trunk.
pub(super) fn write_failover(record: &CallRecord, failover: &Failover) {
    tracing::info!(
        call = record.names.call,
        trunk = %failover.left,
        status = failover.status,
        next = record.names.trunk,
        "call goes to the next trunk"
    );
    metrics::counter!("trunkline_route_fallbacks_total", "trunk" => failover.left.clone())
        .increment(1);
}

/// Another leg to the PBX took the place of the first.
pub(super) fn write_replaced(record: &CallRecord) {
    tracing::info!(
        call = record.names.call,
        sip_call_id = %record.names.sip_call_id,
        "transferred"
    );
}

/// The line of a call that was refused before it began, and its part of the metrics. Clients that are
/// refused have a line of their own, so that of outgoing calls is for the search for faults.
pub(crate) fn write_refused(record: &CallRecord) {
    let Some(end) = record.end else {
        return;
    };
    count(record.direction, end.reason);
    let reason = end.reason.code();
    let sip_call_id = &record.names.sip_call_id;
    match record.direction {
        CallDirection::Incoming => tracing::info!(
            source = record.source.map(tracing::field::display),
            %sip_call_id,
            called = %record.to,
            reason,
            "incoming call refused"
        ),
        CallDirection::Outgoing => tracing::debug!(
            page = record.client.map(tracing::field::display),
            user = %record.names.user,
            to = %record.to,
            reason,
            "outgoing call refused"
        ),
    }
}

/// The line of the end, and the metrics.
pub(super) fn write_end(record: &CallRecord) {
    let Some(end) = record.end else {
        return;
    };
    count(record.direction, end.reason);
    if end.reason == EndReason::IceFailed {
        metrics::counter!("trunkline_ice_failures_total").increment(1);
    }
    let quality = record.quality.unwrap_or_default();
    let talked = record.talked();
    if let Some(talked) = talked {
        metrics::histogram!("trunkline_call_seconds").record(talked.as_secs_f64());
        measure(&quality);
    }
    let names = &record.names;
    let transports = &record.transports;
    let milliseconds = |time: Option<Duration>| time.map(|time| time.as_millis());
    tracing::info!(
        call = names.call,
        call_id = names.id.map(tracing::field::display),
        page_call = %names.page_call,
        sip_call_id = %names.sip_call_id,
        direction = record.direction.name(),
        user = %names.user,
        from = %record.from,
        to = %record.to,
        trunk = %names.trunk,
        reason = end.reason.code(),
        fault = record.fault(),
        sip_status = end.status,
        seconds = talked.map(|talked| talked.as_secs_f64()),
        page = record.client.map(tracing::field::display),
        source = record.source.map(tracing::field::display),
        ice_local = transports.pair.map(|pair| tracing::field::display(pair.local)),
        ice_remote = transports.pair.map(|pair| tracing::field::display(pair.remote)),
        dtls_srtp = transports.dtls_srtp.map(CryptoSuite::name),
        rtp_remote = transports.rtp.map(tracing::field::display),
        srtp = transports.srtp.map_or("off", CryptoSuite::name),
        browser_codec = quality.browser.codec,
        browser_packets_in = quality.browser.packets_in,
        browser_packets_out = quality.browser.packets_out,
        browser_lost_in = quality.browser.lost_in,
        browser_jitter_ms = quality.browser.jitter,
        browser_round_trip_ms = quality.browser.round_trip,
        pbx_codec = quality.pbx.codec,
        pbx_packets_in = quality.pbx.packets_in,
        pbx_packets_out = quality.pbx.packets_out,
        pbx_lost_in = quality.pbx.lost_in,
        pbx_jitter_ms = quality.pbx.jitter,
        pbx_round_trip_ms = quality.pbx.round_trip,
        ringing_ms = milliseconds(record.first.ringing),
        setup_ms = milliseconds(record.first.answered),
        ice_ms = milliseconds(record.first.ice_connected),
        dtls_ms = milliseconds(record.first.dtls_connected),
        browser_audio_ms = milliseconds(record.first.audio_of_browser),
        pbx_audio_ms = milliseconds(record.first.audio_of_pbx),
        "call ended"
    );
    tracing::debug!(
        call = names.call,
        call_id = names.id.map(tracing::field::display),
        trunk_failovers = record.counts.trunk_failovers,
        ice_pair_changes = record.counts.pair_changes,
        holds = record.counts.holds,
        transfers = record.counts.transfers,
        timeline = %record.timeline,
        "call timeline"
    );
}

/// Counts a call that has ended, or was refused before it began.
fn count(direction: CallDirection, reason: EndReason) {
    metrics::counter!(
        "trunkline_calls_total", "direction" => direction.name(), "reason" => reason.code()
    )
    .increment(1);
}

/// Adds the figures of an answered call to the metrics.
fn measure(quality: &Quality) {
    for (side, of_side) in [("browser", quality.browser), ("pbx", quality.pbx)] {
        let expected = of_side.packets_in + of_side.lost_in;
        if expected > 0 {
            metrics::histogram!("trunkline_call_loss", "from" => side)
                .record(of_side.lost_in as f64 / expected as f64);
            if let Some(jitter) = of_side.jitter {
                metrics::histogram!("trunkline_call_jitter_seconds", "from" => side)
                    .record(jitter / 1_000.0);
            }
        }
        if let Some(round_trip) = of_side.round_trip {
            metrics::histogram!("trunkline_call_round_trip_seconds", "from" => side)
                .record(round_trip / 1_000.0);
        }
    }
}
