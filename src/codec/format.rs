//! The table of formats: what the house knows of each codec, apart from its coder in
//! `crate::audio`.

use std::fmt;
use std::str::FromStr;

/// An audio codec that both sides of the gateway can speak. What it is like stands in its row of
/// [`FORMATS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Codec {
    /// Opus, RFC 6716, carried by RFC 7587.
    Opus,
    /// G.711 mu-law, RFC 3551 section 4.5.14.
    Pcmu,
    /// G.711 A-law, RFC 3551 section 4.5.14.
    Pcma,
    /// For tests: the clocks of G.722 (RFC 3551 section 4.5.2) around the coder of G.711.
    #[cfg(test)]
    G722,
}

/// A row of the table.
#[derive(Debug)]
pub struct Format {
    /// The codec.
    pub codec: Codec,
    /// The encoding name of `a=rtpmap`, as registered.
    pub encoding_name: &'static str,
    /// The clock of RTP timestamps, hertz.
    pub clock_rate: u32,
    /// The channels of `a=rtpmap`; one is not written.
    pub channels: u32,
    /// The highest rate of samples that the coder takes and gives, hertz. G.722 has 16000 at an
    /// RTP clock of 8000.
    pub audio_rate: u32,
    /// Lower rates at which the coder works too, so that no resampler is needed.
    pub lower_audio_rates: &'static [u32],
    /// Milliseconds of audio in a packet that we send, longest first.
    pub packet_times: &'static [u8],
    /// Bit/s, where that is constant and the length of a payload tells its time; else a payload
    /// tells it itself.
    pub constant_bitrate: Option<u32>,
    /// What `a=fmtp` has.
    pub parameters: FormatParameters,
    /// The payload type of RFC 3551 section 6.
    pub static_payload_type: Option<u8>,
    /// How a lost packet is replaced.
    pub loss_repair: LossRepair,
    /// Whether tones survive the coding, so that DTMF can be detected in the audio: codecs that
    /// model speech distort them.
    pub keeps_tones: bool,
}

/// The format parameters of a codec, `a=fmtp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FormatParameters {
    /// None are written, and those of the other end are not read.
    None,
    /// Those of RFC 7587 section 6.1.
    Opus,
}

/// How a lost packet is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossRepair {
    /// By the redundancy in the next packet; without it by the concealment of the decoder.
    InBandFec,
    /// By the concealment of the decoder.
    DecoderConcealment,
    /// By [`crate::audio::Concealment`], since the codec defines none.
    OwnConcealment,
    /// Not at all: silence.
    None,
}

const G711: Format = Format {
    codec: Codec::Pcmu,
    encoding_name: "PCMU",
    clock_rate: 8_000,
    channels: 1,
    audio_rate: 8_000,
    lower_audio_rates: &[],
    packet_times: &[60, 40, 30, 20, 10],
    constant_bitrate: Some(64_000),
    parameters: FormatParameters::None,
    static_payload_type: Some(0),
    loss_repair: LossRepair::OwnConcealment,
    keeps_tones: true,
};

/// The formats, in the order of [`Codec`].
pub static FORMATS: &[Format] = &[
    Format {
        codec: Codec::Opus,
        encoding_name: "opus",
        // 48000 at every audio rate (RFC 7587 section 4.1).
        clock_rate: 48_000,
        // Always 2 (RFC 7587 section 7).
        channels: 2,
        audio_rate: 48_000,
        lower_audio_rates: &[24_000, 16_000, 12_000, 8_000],
        // An Opus frame has 10, 20, 40 or 60 ms, never 30 (RFC 6716 section 2.1.4).
        packet_times: &[60, 40, 20, 10],
        constant_bitrate: None,
        parameters: FormatParameters::Opus,
        static_payload_type: None,
        loss_repair: LossRepair::InBandFec,
        keeps_tones: false,
    },
    G711,
    Format {
        codec: Codec::Pcma,
        encoding_name: "PCMA",
        static_payload_type: Some(8),
        ..G711
    },
    #[cfg(test)]
    Format {
        codec: Codec::G722,
        encoding_name: "G722",
        audio_rate: 16_000,
        // An octet a sample, as the coder of the tests has; G.722 itself has 64000.
        constant_bitrate: Some(128_000),
        static_payload_type: Some(9),
        ..G711
    },
];

impl Format {
    /// Whether its coder works at an audio rate.
    pub fn has_audio_rate(&self, rate: u32) -> bool {
        self.audio_rate == rate || self.lower_audio_rates.contains(&rate)
    }

    /// Whether its coder works at one audio rate only.
    pub fn has_one_audio_rate(&self) -> bool {
        self.lower_audio_rates.is_empty()
    }

    /// The milliseconds in a packet that we send: the longest possible up to `wanted`, else the
    /// shortest.
    pub fn packet_time(&self, wanted: u8) -> u8 {
        let times = self.packet_times;
        let fits = times.iter().find(|time| **time <= wanted);
        fits.or(times.last()).copied().unwrap_or(20)
    }

    /// Ticks of the RTP clock that a payload of `octets` lasts, where the bit rate is constant.
    pub fn ticks_of_octets(&self, octets: usize) -> Option<u32> {
        let bitrate = self.constant_bitrate?;
        let ticks = octets as u64 * 8 * u64::from(self.clock_rate) / u64::from(bitrate);
        u32::try_from(ticks).ok()
    }
}

impl Codec {
    /// Every codec, in the order of preference of the default configuration.
    pub const ALL: [Codec; 3] = [Codec::Opus, Codec::Pcmu, Codec::Pcma];

    /// Its row of the table.
    pub fn format(self) -> &'static Format {
        &FORMATS[self as usize]
    }

    /// The clock of RTP timestamps, hertz.
    pub fn clock_rate(self) -> u32 {
        self.format().clock_rate
    }

    /// The encoding name of `a=rtpmap`.
    pub fn name(self) -> &'static str {
        self.format().encoding_name
    }

    /// The payload type of RFC 3551 section 6, where there is one.
    pub fn static_payload_type(self) -> Option<u8> {
        self.format().static_payload_type
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A codec name that the gateway does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown codec {0:?}, expected one of opus, PCMU, PCMA")]
pub struct UnknownCodec(pub String);

impl FromStr for Codec {
    type Err = UnknownCodec;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        FORMATS
            .iter()
            .find(|format| format.encoding_name.eq_ignore_ascii_case(name))
            .map(|format| format.codec)
            .ok_or_else(|| UnknownCodec(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codec_names_are_matched_without_regard_to_case() {
        assert_eq!("OPUS".parse(), Ok(Codec::Opus));
        assert_eq!("pcmu".parse(), Ok(Codec::Pcmu));
        assert!("G729".parse::<Codec>().is_err());
    }

    #[test]
    fn formats_stand_in_the_order_of_the_codecs() {
        for (number, format) in FORMATS.iter().enumerate() {
            assert_eq!(format.codec as usize, number);
            assert_eq!(format.codec.format().codec, format.codec);
        }
        for codec in Codec::ALL {
            let expected = UnknownCodec(String::new()).to_string();
            assert!(expected.contains(codec.name()), "{codec}");
        }
    }

    #[test]
    fn every_packet_time_has_whole_samples_and_ticks() {
        for format in FORMATS {
            assert!(format.packet_times.is_sorted_by(|one, next| one > next));
            for time in format.packet_times {
                assert_eq!(format.packet_time(*time), *time);
                assert_eq!(u32::from(*time) * format.clock_rate % 1_000, 0);
                assert_eq!(u32::from(*time) * format.audio_rate % 1_000, 0);
            }
        }
        assert_eq!(Codec::Opus.format().packet_time(30), 20);
        assert_eq!(Codec::Pcmu.format().packet_time(30), 30);
        assert_eq!(Codec::Pcmu.format().packet_time(2), 10);
    }

    #[test]
    fn payload_lasts_by_its_bit_rate_and_the_rtp_clock() {
        assert_eq!(Codec::Pcma.format().ticks_of_octets(160), Some(160));
        assert_eq!(Codec::G722.format().ticks_of_octets(320), Some(160));
        assert_eq!(Codec::Opus.format().ticks_of_octets(60), None);
        let g722 = Format {
            constant_bitrate: Some(64_000),
            ..G711
        };
        assert_eq!(g722.ticks_of_octets(160), Some(160));
    }
}
