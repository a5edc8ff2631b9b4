//! What happens to the transports of a call's media, ICE and DTLS at the browser and RTP at the PBX,
//! and decides nothing about the call: its record keeps it.

use std::net::SocketAddr;

use crate::srtp_keys::CryptoSuite;

/// Where media to the browser goes: our socket and the browser's address (RFC 8445 section 4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CandidatePair {
    /// Our socket.
    pub local: SocketAddr,
    /// The browser's address.
    pub remote: SocketAddr,
}

/// Why DTLS with the browser failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DtlsFailure {
    /// The handshake failed.
    Handshake,
    /// It did not end in time.
    Timeout,
    /// The certificate is not that of the description (RFC 8122 section 5).
    FingerprintMismatch,
}

impl DtlsFailure {
    /// The word in metrics and logs.
    pub const fn name(self) -> &'static str {
        match self {
            DtlsFailure::Handshake => "handshake",
            DtlsFailure::Timeout => "timeout",
            DtlsFailure::FingerprintMismatch => "fingerprint_mismatch",
        }
    }
}

/// What happened to a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransportEvent {
    /// ICE has a pair that works; DTLS begins.
    IceConnected {
        /// Which.
        pair: CandidatePair,
    },
    /// Media to the browser uses another pair from now on.
    PairChanged {
        /// Which.
        pair: CandidatePair,
    },
    /// Nothing authentic came from the browser for the configured time.
    Disconnected,
    /// Something authentic came again.
    Reconnected,
    /// The handshake is over and its keys are in use.
    DtlsConnected {
        /// The protection profile that was agreed on (RFC 5764 section 4.1.2).
        suite: CryptoSuite,
    },
    /// There is no handshake; the end of the call comes next.
    DtlsFailed {
        /// Why.
        cause: DtlsFailure,
    },
    /// Candidates of the browser are not used, for the first time in this call for this reason.
    CandidatesRejected {
        /// The reason as a metric label.
        reason: &'static str,
        /// How many at once.
        count: u64,
    },
    /// For the first time in this call a check was not sent, to spare addresses that do not answer.
    ChecksSuppressed,
    /// RTP of the PBX comes from another address than its description says; ours goes there now.
    RtpLatched {
        /// The source.
        rtp: SocketAddr,
    },
    /// RTP from an address of neither SDP nor SIP is dropped. Once a call.
    UnexpectedSource {
        /// The source.
        rtp: SocketAddr,
    },
    /// Such RTP is played to the browser, since none comes from the address of the SDP.
    UnexpectedSourceHeard {
        /// The source.
        rtp: SocketAddr,
        /// The address of the SDP.
        signalled: SocketAddr,
    },
}
