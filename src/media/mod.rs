//! A call's running media. [`path`] is one direction of it, pure; the workers that own sockets
//! and clocks carry packets to and from two of them.

mod error;
pub mod path;

pub use error::Error;
