//! Traces of a path: packets in at virtual times, packets out looked at.

mod digits;
mod inband;
mod loss;
mod robustness;
mod stream;
mod support;
mod transcoding;
