//! What a peer is told by its owner at the start.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{Certificate, CheckRate};
use crate::sdp::Setup;

/// An address on which the other end can reach us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalCandidate {
    /// The address that the socket is bound to.
    pub bound: SocketAddr,
    /// The address that goes into the description: another one behind 1:1 NAT.
    pub advertised: SocketAddr,
}

/// Who made the offer. Decides the ICE role (RFC 8445 section 6.1.1) and who chooses the DTLS
/// role (RFC 8842 section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// We offer, the browser answers.
    Offerer,
    /// The browser offers, we answer.
    Answerer,
}

/// What all peers of a media worker have in common.
#[derive(Clone)]
pub struct Config {
    /// Our certificate.
    pub certificate: Arc<Certificate>,
    /// Whether we are an ICE-lite agent (RFC 8445 section 2.5): answer checks, make none.
    pub lite: bool,
    /// Which DTLS role we take in answers to `actpass`: [`Setup::Active`] by default:
    /// the first hello is ours and leaves with the first path that works, and no browser's
    /// hello that spans several datagrams has to be put together.
    pub answer_setup: Setup,
    /// The addresses of our sockets.
    pub local_candidates: Vec<LocalCandidate>,
    /// How long nothing authentic may arrive before [`Event::Disconnected`](super::Event).
    pub disconnect_timeout: Duration,
    /// How long nothing authentic may arrive, or ICE and DTLS may take, before
    /// [`Event::Failed`](super::Event).
    pub failure_timeout: Duration,
    /// The rate of checks to addresses that have not answered: one for all peers of a gateway.
    pub check_rate: Arc<CheckRate>,
}

/// Checks a second, of all calls together, to addresses that have not answered. A call makes two
/// or three such before the browser's own checks show the way, and no call depends on them when
/// the gateway has a public address: beyond the rate they are postponed.
pub const CHECKS_PER_SECOND: u32 = 250;
/// The same at once.
pub const CHECK_BURST: u32 = 500;

impl Config {
    /// Full ICE with the usual times: disconnected after 5 s, failed after 30 s.
    pub fn new(
        certificate: Arc<Certificate>,
        local_candidates: Vec<LocalCandidate>,
        check_rate: Arc<CheckRate>,
    ) -> Self {
        Config {
            certificate,
            lite: false,
            answer_setup: Setup::Active,
            local_candidates,
            disconnect_timeout: Duration::from_secs(5),
            failure_timeout: Duration::from_secs(30),
            check_rate,
        }
    }
}
