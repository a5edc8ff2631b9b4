//! One packet of the source into the codec of the other side, with what was lost before it.

use super::Config;
use super::decoding::{Decoding, SAMPLE_RATE};
use super::output::Output;
use crate::audio;
use crate::codec::{AudioFormat, Codec};
use crate::rtp::scale;
use std::time::Instant;

/// The longest packet, 120 ms of Opus, and as much made up before it.
const SAMPLES: usize = 2 * 960;

/// A packet to transcode.
#[derive(Clone, Copy, Debug)]
pub(super) struct Incoming<'a> {
    pub(super) codec: Codec,
    pub(super) payload: &'a [u8],
    /// What it lasts, ticks of its codec.
    pub(super) ticks: u32,
    /// Time without audio before it, ticks of the output.
    pub(super) gap: i64,
    /// Packets lost in that time, and what one of them lasted, ticks of its codec.
    pub(super) lost: u64,
    pub(super) lost_ticks: u32,
}

/// What became of it, in packets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Repair {
    pub(super) concealed: u64,
    pub(super) recovered_by_fec: u64,
    pub(super) undecodable: u64,
}

/// Decoder and scratch space.
#[derive(Debug)]
pub(super) struct Transcode {
    decoding: Decoding,
    samples: Vec<i16>,
    /// Samples that are made up at most.
    limit: usize,
}

impl Transcode {
    pub(super) fn new(
        config: &Config,
        from: &AudioFormat,
        to: &AudioFormat,
    ) -> Result<Self, audio::Error> {
        let limit = config.concealment_limit.as_millis().min(1_000) as usize;
        let mut transcode = Transcode {
            decoding: Decoding::default(),
            samples: Vec::with_capacity(SAMPLES),
            limit: limit * SAMPLE_RATE as usize / 1_000,
        };
        transcode.prepare(from, to)?;
        Ok(transcode)
    }

    pub(super) fn prepare(
        &mut self,
        from: &AudioFormat,
        to: &AudioFormat,
    ) -> Result<(), audio::Error> {
        self.decoding.prepare(from, to)
    }

    /// Another source or codec.
    pub(super) fn reset(&mut self) {
        self.decoding.reset();
    }

    /// Decodes the packet and plays it to `output`. What was lost before it is made up from
    /// what was heard, its last part is rebuilt from the packet's FEC, and what is longer than
    /// that stays a gap between the two.
    pub(super) fn run(
        &mut self,
        packet: Incoming<'_>,
        output: &mut Output,
        now: Instant,
    ) -> Repair {
        let Incoming { codec, payload, .. } = packet;
        let clock_rate = codec.clock_rate();
        let samples_of = |ticks: i64, rate| scale(ticks, rate, SAMPLE_RATE).max(0) as usize;
        let output_rate = output.timeline().clock_rate();
        let frame = samples_of(i64::from(packet.ticks), clock_rate);
        let missing = samples_of(packet.gap, output_rate);
        let lost_frame = samples_of(i64::from(packet.lost_ticks), clock_rate).max(1);
        let lost = lost_frame.saturating_mul(packet.lost as usize);
        let repaired = missing.min(lost).min(self.limit);

        let fec = codec == Codec::Opus && repaired >= frame && audio::has_fec(payload);
        let rebuilt = if fec { frame } else { 0 };
        let samples = &mut self.samples;
        samples.clear();
        if repaired > rebuilt {
            self.decoding.conceal(codec, repaired - rebuilt, samples);
        }
        let made = samples.len();
        let silence = packet.gap - scale((made + rebuilt) as i64, SAMPLE_RATE, output_rate);
        if silence > 0 {
            output.play(samples, now);
            samples.clear();
            output.gap(silence, now);
            self.decoding.pause();
        }
        let mut repair = Repair {
            concealed: made.div_ceil(lost_frame) as u64,
            ..Repair::default()
        };
        if fec {
            if self.decoding.recover(payload, rebuilt, samples) {
                repair.recovered_by_fec = 1;
            } else {
                self.decoding.conceal(codec, rebuilt, samples);
                repair.concealed += 1;
            }
        }
        if !self.decoding.decode(codec, payload, samples) {
            self.decoding.conceal(codec, frame, samples);
            repair.undecodable = 1;
        }
        output.play(samples, now);
        repair
    }
}
