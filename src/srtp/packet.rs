//! The two protocols that keys protect.

/// Which of the two protocols a packet belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packet {
    /// RTP.
    Rtp,
    /// RTCP.
    Rtcp,
}
