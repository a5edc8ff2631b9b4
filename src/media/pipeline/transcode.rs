//! The arrangement receiver -> decoder -> encoder -> sender.

use super::decoder_stage::{DecoderStage, Repair, Undecoded};
use super::egress::Egress;
use std::time::Instant;

/// Decodes a packet and plays it, with what was lost before it.
pub(super) fn forward(
    packet: Undecoded<'_>,
    decoder: &mut DecoderStage,
    egress: &mut Egress,
    now: Instant,
) -> Repair {
    let decoded = decoder.decode(packet);
    egress.play(decoded.before, now);
    egress.gap(decoded.gap, now);
    egress.play(decoded.samples, now);
    decoded.repair
}
