//! Audio coders and signals: samples are 16-bit, mono; no clocks, no sockets.

mod concealment;
mod decoder;
mod dtmf;
mod encoder;
mod error;
mod g711;
mod opus;
mod steady_tone;
mod tone;

pub use self::opus::{
    EncoderSettings, MAXIMUM_PACKET, OpusDecoder, OpusEncoder, has_fec, packet_samples,
};
pub use concealment::Concealment;
pub use decoder::{Decoder, has_redundancy, payload_ticks};
pub use dtmf::{DtmfDetector, DtmfTone, digit_frequencies, digit_of_frequencies};
pub use encoder::{Encoder, silent_payload};
pub use error::Error;
pub use g711::{Law, decode, encode};
pub use tone::{Cadence, Measured, Tone, level_at, measure};
