//! Traces of a pipeline: packets in at virtual times, packets out looked at.

mod deviating_digits;
mod digits;
mod in_band_dtmf;
mod loss;
mod robustness;
mod separate_keys;
mod stream;
pub(super) mod support;
mod transcoding;
mod wideband;
