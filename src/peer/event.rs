//! The words between a peer and its driver: what happened, where to send, why something was
//! dropped.

use std::net::SocketAddr;
use std::time::Duration;

use crate::srtp_keys::CryptoSuite;

/// The way of a datagram: from which of our sockets to which address of the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Route {
    /// The bound address of the socket.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
}

/// A datagram to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transmit {
    /// The way it goes.
    pub route: Route,
    /// What it holds.
    pub payload: Vec<u8>,
}

/// Why a peer gave up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No way through was found in time, or the way that was found fell silent for good.
    IceTimeout,
    /// The handshake was refused by either end, or broke.
    DtlsFailed,
    /// The handshake did not end in time.
    DtlsTimeout,
    /// The other end's certificate is not the one its description names.
    FingerprintMismatch,
}

/// What happened to a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// There is a way to the other end; DTLS can begin.
    IceConnected {
        /// The way.
        route: Route,
    },
    /// DTLS is up and its keys are in place: media can flow.
    Connected {
        /// The protection of media that DTLS agreed on (RFC 5764 section 4.1.2, RFC 7714
        /// section 14.2).
        suite: CryptoSuite,
        /// Round trip of the last connectivity check of ours, where we make any.
        round_trip: Option<Duration>,
    },
    /// A restart of ICE took effect: the old credentials are no longer valid.
    IceRestarted {
        /// The way of media from now on.
        route: Route,
    },
    /// Media goes another way from now on.
    RouteChanged {
        /// The new way.
        route: Route,
    },
    /// Nothing authentic has arrived for the time set in the configuration.
    Disconnected,
    /// Something authentic arrived after [`Event::Disconnected`].
    Reconnected,
    /// The peer gave up. Nothing follows.
    Failed(Failure),
    /// The other end said goodbye (`close_notify`). Nothing follows.
    Closed,
}

/// What became of a received datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// It was for ICE or DTLS.
    Handled,
    /// The plain RTP packet is in the driver's buffer.
    Rtp,
    /// The plain compound RTCP packet is in the driver's buffer.
    Rtcp,
    /// It was of no use.
    Dropped(Drop),
}

/// Why a datagram was dropped. Drivers count by [`Drop::name`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Drop {
    /// Neither STUN, DTLS, RTP nor RTCP (RFC 7983).
    Unknown,
    /// STUN that does not parse or has a wrong or no fingerprint.
    StunMalformed,
    /// A check for another ufrag.
    StunUsername,
    /// STUN whose message integrity is missing or wrong.
    StunIntegrity,
    /// A response to no check of ours, or from elsewhere than the check went.
    StunUnexpected,
    /// A check seen before, from another address.
    StunReplayed,
    /// DTLS, RTP or RTCP from an address that no authenticated check came from; of RTP and RTCP
    /// what does not go on with a known stream there, or is not authentic.
    Unvalidated,
    /// DTLS before the other end's description is known, beyond what is kept.
    DtlsEarly,
    /// DTLS whose records do not parse.
    DtlsMalformed,
    /// DTLS beyond what an honest handshake needs, or seen before.
    DtlsSurplus,
    /// RTP or RTCP before there are keys.
    NoKeys,
    /// RTP or RTCP that is a replay.
    SrtpReplayed,
    /// RTP or RTCP that is not authentic or does not parse.
    SrtpForged,
    /// The peer has failed or was closed.
    Closed,
}

impl Drop {
    /// The reason as a metric label.
    pub const fn name(self) -> &'static str {
        match self {
            Drop::Unknown => "unknown",
            Drop::StunMalformed => "stun_malformed",
            Drop::StunUsername => "stun_username",
            Drop::StunIntegrity => "stun_integrity",
            Drop::StunUnexpected => "stun_unexpected",
            Drop::StunReplayed => "stun_replayed",
            Drop::Unvalidated => "unvalidated",
            Drop::DtlsEarly => "dtls_early",
            Drop::DtlsMalformed => "dtls_malformed",
            Drop::DtlsSurplus => "dtls_surplus",
            Drop::NoKeys => "no_keys",
            Drop::SrtpReplayed => "srtp_replayed",
            Drop::SrtpForged => "srtp_forged",
            Drop::Closed => "closed",
        }
    }
}

/// Why a packet could not be protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReady {
    /// There is no way to the other end yet, or no longer.
    #[error("no route to the other end")]
    NoRoute,
    /// DTLS has not agreed on keys yet.
    #[error("no keys")]
    NoKeys,
    /// The packet is not RTP or RTCP, or the key is used up (RFC 3711 section 9.2).
    #[error("packet can not be protected")]
    Refused,
}
