//! Offer and answer values and the functions that bridge them.

mod transport;

pub use transport::*;
