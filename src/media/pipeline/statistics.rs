//! What a pipeline counts.

use crate::codec::Codec;
use std::time::Duration;

/// Packets that were not forwarded, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dropped {
    /// Not RTP, or cut.
    pub malformed: u64,
    /// Longer than any audio packet.
    pub oversize: u64,
    /// A payload type that was not negotiated.
    pub unknown_payload_type: u64,
    /// The negotiated direction does not carry audio this way.
    pub direction: u64,
    /// A sequence number far off, not confirmed by the next.
    pub stray: u64,
    /// The decoder refused it.
    pub undecodable: u64,
    /// Audio of a moment that an event or a digit of ours fills.
    pub suppressed: u64,
    /// A telephone event that is no key.
    pub unknown_event: u64,
    /// Our encoder refused its samples.
    pub unencodable: u64,
    /// The outgoing queue was full: the driver does not poll.
    pub overflow: u64,
}

impl Dropped {
    /// Each reason with its count, for metrics.
    pub const fn by_reason(&self) -> [(&'static str, u64); 10] {
        [
            ("malformed", self.malformed),
            ("oversize", self.oversize),
            ("unknown_payload_type", self.unknown_payload_type),
            ("direction", self.direction),
            ("stray", self.stray),
            ("undecodable", self.undecodable),
            ("suppressed", self.suppressed),
            ("unknown_event", self.unknown_event),
            ("unencodable", self.unencodable),
            ("overflow", self.overflow),
        ]
    }

    /// All of them.
    pub fn total(&self) -> u64 {
        self.by_reason().iter().map(|(_, count)| count).sum()
    }
}

/// Counters of a pipeline since its beginning. Counts are packets unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PipelineStatistics {
    /// The codec that the source last sent.
    pub codec: Option<Codec>,
    /// Packets that came with a negotiated payload type, duplicates not counted.
    pub received: u64,
    /// Payload octets of those.
    pub received_octets: u64,
    /// Expected by their sequence numbers and not come.
    pub lost: u64,
    /// Lost ones that were replaced by made-up audio.
    pub concealed: u64,
    /// Lost ones that were rebuilt from the in-band FEC of the next.
    pub recovered_by_fec: u64,
    /// Came after their turn was given up.
    pub late: u64,
    /// Came more than once.
    pub duplicate: u64,
    /// Came before their turn and waited.
    pub reordered: u64,
    /// Comfort noise (RFC 3389), taken as a gap.
    pub comfort_noise: u64,
    /// Times that the source changed its SSRC or began its sequence anew.
    pub source_changes: u64,
    /// Key presses that came.
    pub digits: u64,
    /// Not forwarded, by reason.
    pub dropped: Dropped,
    /// Sent.
    pub sent_packets: u64,
    /// Payload octets sent.
    pub sent_octets: u64,
    /// Interarrival jitter of the source.
    pub jitter: Duration,
    /// Loss that the receiver of our packets last reported, 0 to 1.
    pub reported_loss: f32,
    /// Jitter that the receiver of our packets last reported.
    pub reported_jitter: Duration,
    /// Time to the receiver of our packets and back, from its reports.
    pub round_trip: Option<Duration>,
}
