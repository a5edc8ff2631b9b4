//! What a call's media has been like, side by side: for the page, the call record and metrics.

use std::time::Duration;

use super::pipeline::PipelineStatistics;
use crate::codec::Codec;

/// How many reasons for drops one counter holds. Reasons are words in the source, so there
/// are fewer; beyond it they are counted as `other`.
const REASONS: usize = 48;

/// Dropped packets by reason, in the order in which the reasons first came up.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Drops(Vec<(&'static str, u64)>);

impl Drops {
    /// Counts one packet.
    pub fn count(&mut self, reason: &'static str) {
        self.add(reason, 1);
    }

    /// Counts `packets`.
    pub fn add(&mut self, reason: &'static str, packets: u64) {
        if packets == 0 {
            return;
        }
        let full = self.0.len() >= REASONS;
        if let Some((_, count)) = self.0.iter_mut().find(|(known, _)| *known == reason) {
            *count += packets;
        } else if full {
            self.add_other(packets);
        } else {
            self.0.push((reason, packets));
        }
    }

    fn add_other(&mut self, packets: u64) {
        match self.0.iter_mut().find(|(known, _)| *known == "other") {
            Some((_, count)) => *count += packets,
            None => self.0.push(("other", packets)),
        }
    }

    /// Adds what `others` counted.
    pub fn extend(&mut self, others: &Drops) {
        for (reason, packets) in others.iter() {
            self.add(reason, packets);
        }
    }

    /// Each reason with its packets.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().copied()
    }

    /// How many packets `reason` has cost.
    pub fn of(&self, reason: &str) -> u64 {
        self.iter()
            .find(|(known, _)| *known == reason)
            .map_or(0, |(_, count)| count)
    }

    /// Packets dropped for any reason.
    pub fn total(&self) -> u64 {
        self.iter().map(|(_, count)| count).sum()
    }

    /// Forgets the counts and keeps the room.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// One side of a call. `in` is what it sends us, `out` what we send it. Counts run from the
/// beginning of the call; packets unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SideStatistics {
    /// The codec in which it last sent us audio.
    pub codec: Option<Codec>,
    /// Packets that came with a negotiated payload type.
    pub packets_in: u64,
    /// Payload octets of those.
    pub octets_in: u64,
    /// Packets sent to it.
    pub packets_out: u64,
    /// Payload octets of those.
    pub octets_out: u64,
    /// Expected by their sequence numbers and not come.
    pub lost_in: u64,
    /// The part of its packets that was lost in the last report interval, 0 to 1.
    pub loss_in: f32,
    /// The part of ours that it last reported as lost, 0 to 1.
    pub loss_out: f32,
    /// Interarrival jitter of what it sends, milliseconds (RFC 3550 section 6.4.1).
    pub jitter_ms: f32,
    /// The time to it and back by its receiver reports.
    pub round_trip: Option<Duration>,
    /// Lost packets of its that were replaced by made-up audio.
    pub concealed: u64,
    /// Lost packets of its that were rebuilt from in-band FEC.
    pub recovered_by_fec: u64,
    /// What came from it and was not used, and what was for it and could not be sent.
    pub dropped: Drops,
}

/// Both sides of a call.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CallStatistics {
    /// The browser.
    pub browser: SideStatistics,
    /// The PBX.
    pub pbx: SideStatistics,
}

impl SideStatistics {
    /// Takes the figures of the call's audio beside what was dropped elsewhere.
    pub(super) fn add_audio(&mut self, audio: Self) {
        let before = std::mem::replace(self, audio);
        for (reason, packets) in before.dropped.iter() {
            self.dropped.add(reason, packets);
        }
    }

    /// A side from the pipeline of what it sends, the pipeline of what is sent to it, and what the
    /// worker dropped for it.
    pub(super) fn of_paths(
        from_side: &PipelineStatistics,
        to_side: &PipelineStatistics,
        loss_in: f32,
        dropped: &Drops,
    ) -> Self {
        let mut dropped = dropped.clone();
        for (reason, packets) in from_side.dropped.by_reason() {
            dropped.add(reason, packets);
        }
        dropped.add("late", from_side.late);
        dropped.add("duplicate", from_side.duplicate);
        SideStatistics {
            codec: from_side.codec,
            packets_in: from_side.received,
            octets_in: from_side.received_octets,
            packets_out: to_side.sent_packets,
            octets_out: to_side.sent_octets,
            lost_in: from_side.lost,
            loss_in,
            loss_out: to_side.reported_loss,
            jitter_ms: from_side.jitter.as_secs_f32() * 1_000.0,
            round_trip: to_side.round_trip,
            concealed: from_side.concealed,
            recovered_by_fec: from_side.recovered_by_fec,
            dropped,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drops_are_counted_by_reason_and_reasons_are_bounded() {
        let mut drops = Drops::default();
        drops.count("unexpected_source");
        drops.add("unexpected_source", 2);
        assert_eq!((drops.of("unexpected_source"), drops.total()), (3, 3));
        for _ in 0..3 {
            for n in 0..100 {
                drops.count(Box::leak(format!("reason {n}").into_boxed_str()));
            }
        }
        assert_eq!(drops.total(), 303);
        assert!(drops.iter().count() <= REASONS + 1);
        assert!(drops.of("other") > 0);
    }
}
