//! What can go wrong when media is set up or changed. Packets never make errors: what cannot
//! be used is dropped and counted.

use std::io;
use std::net::{IpAddr, SocketAddr};

use crate::{audio, srtp};

/// A request that the media side cannot fulfil.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The audio library refused to make or set up a coder.
    #[error(transparent)]
    Coder(#[from] audio::Error),
    /// Keys of the PBX's side that cannot be used.
    #[error(transparent)]
    Srtp(#[from] srtp::Error),
    /// A character that is no key of a phone.
    #[error("digit {0:?} is none of 0-9, *, #, A-D, or a comma for a pause")]
    Digit(char),
    /// More digits than may wait.
    #[error("{requested} digits wait to be sent, at most {limit} may")]
    TooManyDigits {
        /// How many there would be.
        requested: usize,
        /// How many may wait.
        limit: usize,
    },
    /// The negotiated direction does not let us send.
    #[error("the stream's direction is {0}: nothing may be sent")]
    NotSending(&'static str),
    /// A range of ports that holds no even port with the odd one above it.
    #[error("port range {first}-{last} holds no pair of an even port and the odd one above")]
    PortRange {
        /// The first port.
        first: u16,
        /// The last port.
        last: u16,
    },
    /// Every pair is in use, rests, or is held by another process.
    #[error("no rtp port pair is free on {address} in {first}-{last}")]
    PortsExhausted {
        /// The pool's address.
        address: IpAddr,
        /// The first port.
        first: u16,
        /// The last port.
        last: u16,
    },
    /// A socket that cannot be made or bound.
    #[error("udp socket {address}: {source}")]
    Socket {
        /// What it was to be bound to.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// A worker without an address to listen on.
    #[error("a media worker needs at least one local address, none is given")]
    NoAddress,
    /// The event loop or its thread cannot be made.
    #[error("media worker {part}: {source}")]
    Start {
        /// Which part.
        part: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// The worker's thread has ended.
    #[error("the media worker has stopped")]
    Stopped,
    /// The worker does not keep up with its commands.
    #[error("the media worker's queue of {capacity} commands is full")]
    Busy {
        /// How many it holds.
        capacity: usize,
    },
    /// The channel for a call's events has no room, not even for its end.
    #[error("the channel for the call's events is full or closed")]
    EventChannel,
}
