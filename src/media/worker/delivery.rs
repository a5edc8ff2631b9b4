//! What a worker carries away from a call: datagrams to the sockets, events to the owner, and
//! in the end the call itself.

use std::io;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::error::TrySendError;

use super::outgoing::Outgoing;
use super::task::{Buffers, Worker};
use crate::media::statistics::Drops;
use crate::media::{CloseReason, MediaEvent, Side};
use crate::peer;
use crate::stun::begins_like_stun;

/// A call whose deadline has passed although it was just told the time is told again then.
const DEADLINE_GRAIN: Duration = Duration::from_millis(1);

impl Worker {
    /// Carries away what a call has to send and to tell, and asks for its next deadline.
    pub(super) fn pump(&mut self, slot: usize, now: Instant) {
        self.send(slot);
        let Some(call) = self.calls.slots[slot].as_mut() else {
            return;
        };
        while let Some(event) = call.bridge.poll_event() {
            let is_statistics = matches!(event, MediaEvent::Statistics(_));
            if let MediaEvent::Peer(peer::Event::IceRestarted { .. }) = event {
                let ufrags = call.bridge.local_ufrags();
                // It only gives up a fragment, so that it cannot fail.
                self.calls.demultiplexer.set_ufrags(slot, ufrags);
            }
            let reason = match call.events.try_send(event) {
                Ok(()) => continue,
                Err(TrySendError::Full(_)) if is_statistics => {
                    self.counters.drops.count("statistics_event");
                    continue;
                }
                Err(TrySendError::Full(_)) => CloseReason::EventsLost,
                Err(TrySendError::Closed(_)) => CloseReason::Abandoned,
            };
            self.close(slot, reason, now);
            return;
        }
        let earliest = now + DEADLINE_GRAIN;
        let deadline = call
            .bridge
            .poll_timeout()
            .map(|deadline| deadline.max(earliest));
        self.calls.timers.set(&mut call.timer, &slot, deadline);
    }

    fn send(&mut self, slot: usize) {
        let Some(call) = self.calls.slots[slot].as_mut() else {
            return;
        };
        let Buffers { plain, out, .. } = &mut self.buffers;
        while let Some(outgoing) = call.bridge.poll_transmit(plain, out) {
            let sent = match outgoing {
                Outgoing::Browser(route) => {
                    if begins_like_stun(out) {
                        self.calls
                            .demultiplexer
                            .note_request(slot, route.remote, out);
                    }
                    let socket = self
                        .shared
                        .iter()
                        .find(|socket| socket.local == route.local);
                    socket.map(|found| found.socket.send_to(out, route.remote))
                }
                Outgoing::Pbx { stream, from, to } => {
                    let socket = call.socket(stream, from);
                    socket.map(|socket| socket.send_to(out, to))
                }
            };
            let unsent = match sent {
                Some(Ok(_)) => {
                    self.counters.sent += 1;
                    continue;
                }
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => "send_buffer_full",
                Some(Err(_)) => "send_error",
                None => "no_socket",
            };
            call.bridge.count_unsent(outgoing, unsent);
        }
    }

    /// Lets go of a call: says goodbye, gives its ports back, tells its owner.
    pub(super) fn close(&mut self, slot: usize, reason: CloseReason, now: Instant) {
        let Some(call) = self.calls.slots[slot].as_mut() else {
            return;
        };
        call.bridge.send_rtcp_bye(now);
        self.send(slot);
        if let Some(call) = self.calls.get(slot) {
            call.bridge.close(now);
        }
        self.send(slot);
        let Some(call) = self.calls.remove(slot) else {
            return;
        };
        self.load.fetch_sub(1, Ordering::Relaxed);
        let statistics = call.bridge.statistics();
        count_call(Side::Browser, &statistics.browser.dropped);
        count_call(Side::Pbx, &statistics.pbx.dropped);
        // The ports go back before the owner hears of it, so that it can count on that.
        drop(call.pbx);
        call.close_permit
            .send(MediaEvent::Closed { reason, statistics });
    }

    /// Adds what was counted to the metrics.
    pub(super) fn flush_counters(&mut self) {
        let counters = &mut self.counters;
        metrics::counter!("trunkline_media_datagrams_total", "direction" => "in")
            .increment(counters.received);
        metrics::counter!("trunkline_media_datagrams_total", "direction" => "out")
            .increment(counters.sent);
        for (reason, count) in counters.drops.iter() {
            metrics::counter!("trunkline_media_dropped_total", "side" => "worker", "reason" => reason)
                .increment(count);
        }
        counters.received = 0;
        counters.sent = 0;
        counters.drops.clear();
    }
}

/// Packets for which nothing was agreed at that moment. A page sends while it rings, a PBX while
/// it is held: that is no fault of anything.
const IGNORED: [&str; 4] = ["direction", "no_address", "not_connected", "not_negotiated"];

/// Adds what a call dropped to the metrics, at its end.
fn count_call(side: Side, drops: &Drops) {
    for (reason, count) in drops.iter() {
        if IGNORED.contains(&reason) {
            metrics::counter!("trunkline_media_ignored_total", "side" => side.name(), "reason" => reason)
                .increment(count);
            continue;
        }
        metrics::counter!("trunkline_media_dropped_total", "side" => side.name(), "reason" => reason)
            .increment(count);
    }
}
