//! The decoder stage: payloads of the source into samples, and what was lost before them.

use super::Config;
use crate::audio::{self, Concealment, Decoder};
use crate::codec::{AudioFormat, Codec, LossRepair};
use crate::rtp::scale;

/// The longest packet, 120 ms of Opus, and as much made up before it.
const LONGEST_MS: u32 = 2 * 120;

/// A packet to decode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Undecoded<'a> {
    pub(super) codec: Codec,
    pub(super) payload: &'a [u8],
    /// What it lasts, ticks of its codec.
    pub(super) ticks: u32,
    /// Time without audio before it, ticks of the clock that follows.
    pub(super) gap: i64,
    /// The clock that the gap counts by: the sender's.
    pub(super) gap_clock: u32,
    /// Packets lost in that time, and what one of them lasted, ticks of its codec.
    pub(super) lost: u64,
    pub(super) lost_ticks: u32,
}

/// What became of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoded<'a> {
    /// Samples in place of lost ones that come before the gap.
    pub(super) before: &'a [i16],
    /// The part of the gap that stays one, ticks of its clock.
    pub(super) gap: i64,
    /// Samples after it.
    pub(super) samples: &'a [i16],
    pub(super) repair: Repair,
}

/// How it was repaired, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Repair {
    pub(super) concealed: u64,
    pub(super) recovered_by_fec: u64,
    pub(super) undecodable: u64,
}

impl Repair {
    /// Adds what another packet needed.
    pub(super) fn add(&mut self, other: Repair) {
        self.concealed += other.concealed;
        self.recovered_by_fec += other.recovered_by_fec;
        self.undecodable += other.undecodable;
    }
}

/// Decoders of the codecs that may arrive, and scratch space.
#[derive(Debug)]
pub(super) struct DecoderStage {
    audio_rate: u32,
    decoders: Vec<(Codec, Decoder)>,
    concealment: Concealment,
    samples: Vec<i16>,
    /// Milliseconds that are made up at most.
    limit_ms: u32,
}

impl DecoderStage {
    /// Decoders for what `from` may send, as far as `to` does not take it as it is.
    pub(super) fn new(
        config: &Config,
        from: &AudioFormat,
        to: &AudioFormat,
        audio_rate: u32,
    ) -> Result<Self, audio::Error> {
        let mut stage = DecoderStage {
            audio_rate,
            decoders: Vec::new(),
            concealment: Concealment::new(audio_rate),
            samples: Vec::with_capacity(samples_of(LONGEST_MS, audio_rate)),
            limit_ms: config.concealment_limit.as_millis().min(1_000) as u32,
        };
        stage.add_decoders(from, to)?;
        Ok(stage)
    }

    /// Takes new formats. Decoders that are still of use stay, with their state.
    pub(super) fn reconfigure(
        &mut self,
        from: &AudioFormat,
        to: &AudioFormat,
        audio_rate: u32,
    ) -> Result<(), audio::Error> {
        if audio_rate != self.audio_rate {
            self.audio_rate = audio_rate;
            self.decoders.clear();
            self.concealment = Concealment::new(audio_rate);
            self.samples.reserve(samples_of(LONGEST_MS, audio_rate));
        }
        self.decoders
            .retain(|(codec, _)| is_decoded(*codec, to) && arrives(*codec, from));
        self.add_decoders(from, to)
    }

    fn add_decoders(&mut self, from: &AudioFormat, to: &AudioFormat) -> Result<(), audio::Error> {
        for codec in from.receive.iter().map(|format| format.codec) {
            let is_new = self.decoders.iter().all(|(known, _)| *known != codec);
            // Without a resampler a codec of another rate cannot be decoded: its packets are
            // counted as undecodable.
            let has_rate = codec.format().has_audio_rate(self.audio_rate);
            if is_new && has_rate && is_decoded(codec, to) {
                let decoder = Decoder::new(codec, self.audio_rate)?;
                self.decoders.push((codec, decoder));
            }
        }
        Ok(())
    }

    /// Another source or codec: what was decoded before does not go on.
    pub(super) fn reset(&mut self) {
        self.concealment.reset();
        for (_, decoder) in &mut self.decoders {
            decoder.reset();
        }
    }

    /// Decodes the packet. What was lost before it is made up from what was decoded before, its
    /// last part is rebuilt from the packet's redundancy, and what is longer than that stays a gap
    /// between the two.
    pub(super) fn decode(&mut self, packet: Undecoded<'_>) -> Decoded<'_> {
        let Undecoded { codec, payload, .. } = packet;
        let (clock_rate, audio_rate) = (codec.clock_rate(), self.audio_rate);
        let samples_at = |ticks: i64, rate| scale(ticks, rate, audio_rate).max(0) as usize;
        let frame = samples_at(i64::from(packet.ticks), clock_rate);
        let missing = samples_at(packet.gap, packet.gap_clock);
        let lost_frame = samples_at(i64::from(packet.lost_ticks), clock_rate).max(1);
        let lost = lost_frame.saturating_mul(packet.lost as usize);
        let limit = samples_of(self.limit_ms, audio_rate);
        let repaired = missing.min(lost).min(limit);

        let fec = repaired >= frame && audio::has_redundancy(codec, payload);
        let rebuilt = if fec { frame } else { 0 };
        self.samples.clear();
        if repaired > rebuilt {
            self.conceal(codec, repaired - rebuilt);
        }
        let made = self.samples.len();
        let gap = packet.gap - scale((made + rebuilt) as i64, audio_rate, packet.gap_clock);
        let gap = gap.max(0);
        if gap > 0 {
            self.concealment.reset();
        }
        let mut repair = Repair {
            concealed: made.div_ceil(lost_frame) as u64,
            ..Repair::default()
        };
        if fec {
            if self.recover(codec, payload, rebuilt) {
                repair.recovered_by_fec = 1;
            } else {
                self.conceal(codec, rebuilt);
                repair.concealed += 1;
            }
        }
        if !self.decode_payload(codec, payload) {
            self.conceal(codec, frame);
            repair.undecodable = 1;
        }
        let (before, samples) = self.samples.split_at(if gap > 0 { made } else { 0 });
        Decoded {
            before,
            gap,
            samples,
            repair,
        }
    }

    fn decode_payload(&mut self, codec: Codec, payload: &[u8]) -> bool {
        let start = self.samples.len();
        let Some(decoder) = decoder(&mut self.decoders, codec) else {
            return false;
        };
        if !decoder.decode(payload, &mut self.samples) {
            return false;
        }
        if codec.format().loss_repair == LossRepair::OwnConcealment {
            self.concealment.receive(&mut self.samples[start..]);
        }
        true
    }

    /// Appends up to `count` made-up samples.
    fn conceal(&mut self, codec: Codec, count: usize) {
        match codec.format().loss_repair {
            LossRepair::OwnConcealment => self.concealment.conceal(count, &mut self.samples),
            LossRepair::InBandFec | LossRepair::DecoderConcealment => {
                if let Some(decoder) = decoder(&mut self.decoders, codec) {
                    decoder.conceal(count, &mut self.samples);
                }
            }
            LossRepair::None => self.samples.resize(self.samples.len() + count, 0),
        }
    }

    fn recover(&mut self, codec: Codec, next: &[u8], count: usize) -> bool {
        decoder(&mut self.decoders, codec)
            .is_some_and(|decoder| decoder.recover(next, count, &mut self.samples))
    }
}

fn decoder(decoders: &mut [(Codec, Decoder)], codec: Codec) -> Option<&mut Decoder> {
    let mut all = decoders.iter_mut();
    all.find_map(|(known, decoder)| (*known == codec).then_some(decoder))
}

fn arrives(codec: Codec, from: &AudioFormat) -> bool {
    from.receive.iter().any(|format| format.codec == codec)
}

/// Whether packets of a codec are ever decoded: those of the other side's codec are relayed, where
/// a payload need not be cut to its packet time.
fn is_decoded(codec: Codec, to: &AudioFormat) -> bool {
    codec != to.send.codec || codec.format().constant_bitrate.is_some()
}

pub(super) const fn samples_of(milliseconds: u32, audio_rate: u32) -> usize {
    (milliseconds * (audio_rate / 100) / 10) as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::pipeline::tests::support::{any_codec, side};

    fn stage(from: Codec, to: Codec, audio_rate: u32) -> DecoderStage {
        DecoderStage::new(&Config::default(), &side(from), &side(to), audio_rate).expect("libopus")
    }

    /// 20 ms after `lost` packets of 20 ms; the gap counts by 8000.
    fn undecoded(codec: Codec, payload: &[u8], lost: u64) -> Undecoded<'_> {
        let ticks = codec.clock_rate() / 50;
        Undecoded {
            codec,
            payload,
            ticks,
            gap: 160 * lost as i64,
            gap_clock: 8_000,
            lost,
            lost_ticks: ticks,
        }
    }

    #[test]
    fn lost_packets_are_concealed_and_the_rest_is_a_gap() {
        let mut stage = stage(Codec::Pcmu, Codec::Opus, 8_000);
        let payload = [0x55; 160];
        let decoded = stage.decode(undecoded(Codec::Pcmu, &payload, 0));
        assert_eq!((decoded.samples.len(), decoded.gap), (160, 0));
        let decoded = stage.decode(undecoded(Codec::Pcmu, &payload, 2));
        assert_eq!((decoded.samples.len(), decoded.gap), (480, 0));
        assert_eq!(decoded.repair.concealed, 2);
        // 100 ms at most are made up.
        let decoded = stage.decode(undecoded(Codec::Pcmu, &payload, 7));
        assert_eq!((decoded.before.len(), decoded.gap), (800, 320));
        assert_eq!(decoded.samples.len(), 160);
        assert_eq!(decoded.repair.concealed, 5);
    }

    #[test]
    fn time_in_which_nothing_was_lost_is_a_gap() {
        let mut stage = stage(Codec::Pcma, Codec::Opus, 8_000);
        let payload = [0x55; 160];
        let decoded = stage.decode(Undecoded {
            gap: 800,
            ..undecoded(Codec::Pcma, &payload, 0)
        });
        assert_eq!((decoded.before.len(), decoded.gap), (0, 800));
        assert_eq!(decoded.repair, Repair::default());
    }

    #[test]
    fn undecodable_payload_is_concealed() {
        let mut stage = stage(Codec::Opus, Codec::Pcmu, 8_000);
        let decoded = stage.decode(undecoded(Codec::Opus, &[0x0b], 0));
        assert_eq!(decoded.samples.len(), 160);
        assert_eq!(decoded.repair.undecodable, 1);
    }

    #[test]
    fn codec_of_another_rate_is_undecodable() {
        let from = any_codec(Codec::Opus);
        let stage = DecoderStage::new(&Config::default(), &from, &side(Codec::G722), 16_000);
        let mut stage = stage.expect("libopus");
        let decoded = stage.decode(undecoded(Codec::Pcmu, &[0xff; 160], 0));
        assert_eq!(decoded.repair.undecodable, 1);
        assert_eq!(decoded.samples.len(), 320);
    }

    #[test]
    fn codec_that_is_relayed_has_no_decoder() {
        let stage = stage(Codec::Opus, Codec::Opus, 8_000);
        assert!(stage.decoders.is_empty());
    }
}
