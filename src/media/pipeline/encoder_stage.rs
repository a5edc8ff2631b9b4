//! The encoder stage: samples cut into packets of the other side's packet time, and encoded.

use super::Config;
use super::decoder_stage::samples_of;
use crate::audio::{self, Encoder, EncoderSettings, Tone};
use crate::codec::{AudioFormat, Codec, SendFormat};
use std::time::Duration;

/// The longest packet time of the table of formats.
const LONGEST_PTIME: u8 = 60;

/// Encoder, and the packet that is not full yet.
#[derive(Debug)]
pub(super) struct EncoderStage {
    audio_rate: u32,
    format: SendFormat,
    /// None where both sides have the same codec: nothing is encoded.
    encoder: Option<Encoder>,
    /// Samples of the packet that is not full yet.
    pending: Vec<i16>,
    loss: f32,
    opus_complexity: u8,
}

impl EncoderStage {
    /// An encoder for what `to` receives, as far as `from` does not send it.
    pub(super) fn new(
        config: &Config,
        from: &AudioFormat,
        to: &AudioFormat,
        audio_rate: u32,
    ) -> Result<Self, audio::Error> {
        let mut stage = EncoderStage {
            audio_rate,
            format: to.send,
            encoder: None,
            pending: Vec::new(),
            loss: 0.0,
            opus_complexity: config.opus_complexity,
        };
        stage.reconfigure(from, to, audio_rate)?;
        Ok(stage)
    }

    /// Whether other formats cut packets in another way: the packet that is not full goes before.
    pub(super) fn differs(&self, to: &AudioFormat, audio_rate: u32) -> bool {
        to.send != self.format || audio_rate != self.audio_rate
    }

    /// Takes new formats. An encoder that is still of use stays, with its state.
    pub(super) fn reconfigure(
        &mut self,
        from: &AudioFormat,
        to: &AudioFormat,
        audio_rate: u32,
    ) -> Result<(), audio::Error> {
        let codec = to.send.codec;
        let settings = EncoderSettings {
            complexity: self.opus_complexity,
            maximum_bitrate: to.send.opus.max_average_bitrate,
            inband_fec: to.send.opus.inband_fec,
            constant_bitrate: to.send.opus.constant_bitrate,
        };
        if codec != self.format.codec || audio_rate != self.audio_rate {
            self.encoder = None;
        }
        if let Some(encoder) = &mut self.encoder {
            encoder.set_settings(settings)?;
        } else {
            let transcodes = from.receive.iter().any(|one| one.codec != codec);
            let cuts = codec.format().constant_bitrate.is_some();
            // DTMF is sent as tones where the other side knows no events.
            if transcodes || cuts || to.send_events.is_none() {
                let mut encoder = Encoder::new(codec, audio_rate, settings)?;
                encoder.set_loss(self.loss);
                self.encoder = Some(encoder);
            }
        }
        let samples = 2 * samples_of(LONGEST_PTIME.into(), audio_rate);
        self.pending
            .reserve(samples.saturating_sub(self.pending.len()));
        self.audio_rate = audio_rate;
        self.format = to.send;
        Ok(())
    }

    /// The rate of the samples that it takes.
    pub(super) fn audio_rate(&self) -> u32 {
        self.audio_rate
    }

    pub(super) fn codec(&self) -> Codec {
        self.format.codec
    }

    /// Samples in a full packet.
    pub(super) fn frame_samples(&self) -> usize {
        let ptime = match self.format.ptime {
            0 => 20,
            ptime => ptime,
        };
        let ptime = self.format.codec.format().packet_time(ptime);
        samples_of(ptime.into(), self.audio_rate)
    }

    /// What a full packet lasts.
    pub(super) fn packet_time(&self) -> Duration {
        Duration::from_millis(self.frame_samples() as u64 * 1_000 / u64::from(self.audio_rate))
    }

    /// Samples that wait in the packet that is not full yet.
    pub(super) fn pending(&self) -> usize {
        self.pending.len()
    }

    /// Takes samples up to the end of the packet, off the begin of `samples`; true when the packet
    /// is full: then it is to be encoded.
    pub(super) fn fill(&mut self, samples: &mut &[i16]) -> bool {
        let room = self.frame_samples().saturating_sub(self.pending.len());
        let (part, rest) = samples.split_at(room.min(samples.len()));
        self.pending.extend_from_slice(part);
        *samples = rest;
        part.len() == room
    }

    /// Appends silence, at most to the end of the packet.
    pub(super) fn fill_silence(&mut self, samples: usize) {
        let length = self.frame_samples().min(self.pending.len() + samples);
        self.pending.resize(length.max(self.pending.len()), 0);
    }

    /// Fills a packet with a tone. Nothing must wait.
    pub(super) fn fill_tone(&mut self, tone: &mut Tone) {
        self.pending.resize(self.frame_samples(), 0);
        tone.fill(&mut self.pending);
    }

    /// Appends the full packet's payload; false when it cannot be encoded.
    pub(super) fn encode(&mut self, packet: &mut Vec<u8>) -> bool {
        let encoded = match &mut self.encoder {
            Some(encoder) => encoder.encode(&self.pending, packet),
            None => false,
        };
        self.pending.clear();
        encoded
    }

    /// Loss that the encoder reckons with, 0 to 1.
    pub(super) fn loss(&self) -> f32 {
        self.loss
    }

    /// Loss that the encoder shall reckon with, 0 to 1.
    pub(super) fn set_loss(&mut self, fraction: f32) {
        self.loss = fraction;
        if let Some(encoder) = &mut self.encoder {
            encoder.set_loss(fraction);
        }
    }

    /// What was encoded so far has not reached the decoder: the next packet does not build on it.
    pub(super) fn reset(&mut self) {
        if let Some(encoder) = &mut self.encoder {
            encoder.reset();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::pipeline::tests::support::side;

    fn stage(from: Codec, to: Codec, ptime: u8, audio_rate: u32) -> EncoderStage {
        let mut to = side(to);
        to.send.ptime = ptime;
        EncoderStage::new(&Config::default(), &side(from), &to, audio_rate).expect("libopus")
    }

    #[test]
    fn samples_are_cut_into_full_packets() {
        let mut stage = stage(Codec::Opus, Codec::Pcmu, 30, 8_000);
        let samples = [0; 500];
        let mut rest = &samples[..];
        let mut payloads = Vec::new();
        while stage.fill(&mut rest) {
            let mut payload = Vec::new();
            assert!(stage.encode(&mut payload));
            payloads.push(payload.len());
        }
        assert_eq!(payloads, [240, 240]);
        assert_eq!(stage.pending(), 20);
        stage.fill_silence(1_000);
        assert_eq!(stage.pending(), 240);
    }

    #[test]
    fn packet_has_the_samples_of_its_audio_rate() {
        for (codec, rate, samples) in [
            (Codec::Pcma, 8_000, 160),
            (Codec::G722, 16_000, 320),
            (Codec::Opus, 8_000, 160),
            (Codec::Opus, 16_000, 320),
        ] {
            let stage = stage(Codec::Pcmu, codec, 20, rate);
            assert_eq!(stage.frame_samples(), samples, "{codec} {rate}");
            assert_eq!(stage.packet_time(), Duration::from_millis(20));
        }
    }

    #[test]
    fn nothing_is_encoded_where_both_sides_have_opus() {
        let mut stage = stage(Codec::Opus, Codec::Opus, 20, 8_000);
        stage.fill_tone(&mut Tone::new(&[], 8_000));
        assert!(!stage.encode(&mut Vec::new()));
        assert_eq!(stage.pending(), 0);
    }
}
