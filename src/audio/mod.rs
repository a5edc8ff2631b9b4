//! Audio coders and signals: samples are 16-bit, mono; no clocks, no sockets.

mod error;

pub use error::Error;
