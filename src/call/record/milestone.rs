//! The steps of a call that its record keeps, and a list of them that does not grow without bound.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use crate::call::EndReason;
use crate::call::message::Side;
use crate::call::transport_event::{CandidatePair, DtlsFailure};
use crate::srtp_keys::CryptoSuite;

/// Entries of one timeline; what comes later is counted.
pub const MOST_ENTRIES: usize = 64;

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// INVITE came, or is sent by the first trunk.
    Invited,
    /// INVITE is sent by the next trunk, after this status of the one before.
    InvitedByNextTrunk(u16),
    /// The callee rings.
    Ringing,
    /// The PBX sends audio before the answer.
    EarlyMedia,
    /// A client took the incoming call.
    Accepted,
    /// Both sides have the answer.
    Answered,
    /// ICE has a pair.
    IceConnected(CandidatePair),
    /// Media to the browser uses another pair.
    PairChanged(CandidatePair),
    /// Nothing authentic comes from the browser.
    Disconnected,
    /// Something authentic came again.
    Reconnected,
    /// DTLS has keys.
    DtlsConnected(CryptoSuite),
    /// DTLS has none.
    DtlsFailed(DtlsFailure),
    /// The browser closed DTLS.
    DtlsClosed,
    /// RTP of the PBX comes from there.
    RtpLatched(SocketAddr),
    /// RTP from there is dropped.
    UnexpectedSource(SocketAddr),
    /// RTP from there is played, although the SDP does not name it.
    UnexpectedSourceHeard(SocketAddr),
    /// Audio of a side begins.
    AudioBegan(Side),
    /// Audio of a side has stopped.
    AudioStopped(Side),
    /// It goes on.
    AudioResumed(Side),
    /// A side puts the call on hold.
    Held(Side),
    /// A side takes it back.
    Resumed(Side),
    /// A side asks for a transfer (RFC 3515).
    TransferRequested(Side),
    /// Another leg takes the place of ours (RFC 3891).
    Replaced,
    /// The browser speaks with another party from now on.
    Transferred,
    /// The transfer failed with this status.
    TransferFailed(u16),
    /// The call ends.
    Ended(EndReason),
}

const fn side(side: Side) -> &'static str {
    match side {
        Side::Browser => "browser",
        Side::Pbx => "pbx",
    }
}

impl fmt::Display for Milestone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Milestone::Invited => f.write_str("invited"),
            Milestone::InvitedByNextTrunk(status) => write!(f, "invited by next trunk ({status})"),
            Milestone::Ringing => f.write_str("ringing"),
            Milestone::EarlyMedia => f.write_str("early media"),
            Milestone::Accepted => f.write_str("accepted"),
            Milestone::Answered => f.write_str("answered"),
            Milestone::IceConnected(pair) => write!(f, "ice connected ({})", pair.remote),
            Milestone::PairChanged(pair) => write!(f, "ice pair changed ({})", pair.remote),
            Milestone::Disconnected => f.write_str("ice disconnected"),
            Milestone::Reconnected => f.write_str("ice reconnected"),
            Milestone::DtlsConnected(suite) => write!(f, "dtls connected ({})", suite.name()),
            Milestone::DtlsFailed(cause) => write!(f, "dtls failed ({})", cause.name()),
            Milestone::DtlsClosed => f.write_str("dtls closed"),
            Milestone::RtpLatched(rtp) => write!(f, "rtp latched ({rtp})"),
            Milestone::UnexpectedSource(rtp) => write!(f, "unexpected source ({rtp})"),
            Milestone::UnexpectedSourceHeard(rtp) => write!(f, "unexpected source heard ({rtp})"),
            Milestone::AudioBegan(from) => write!(f, "audio from {}", side(*from)),
            Milestone::AudioStopped(from) => write!(f, "no audio from {}", side(*from)),
            Milestone::AudioResumed(from) => write!(f, "audio again from {}", side(*from)),
            Milestone::Held(by) => write!(f, "held by {}", side(*by)),
            Milestone::Resumed(by) => write!(f, "resumed by {}", side(*by)),
            Milestone::TransferRequested(by) => write!(f, "transfer requested by {}", side(*by)),
            Milestone::Replaced => f.write_str("replaced"),
            Milestone::Transferred => f.write_str("transferred"),
            Milestone::TransferFailed(status) => write!(f, "transfer failed ({status})"),
            Milestone::Ended(reason) => write!(f, "ended ({})", reason.code()),
        }
    }
}

/// The steps of a call in their order, with the time since its begin.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    entries: Vec<(Duration, Milestone)>,
    omitted: u32,
}

impl Timeline {
    /// Adds a step; beyond [`MOST_ENTRIES`] it is only counted.
    pub fn push(&mut self, at: Duration, milestone: Milestone) {
        if self.entries.len() < MOST_ENTRIES {
            self.entries.push((at, milestone));
        } else {
            self.omitted = self.omitted.saturating_add(1);
        }
    }

    #[cfg(test)]
    pub fn entries(&self) -> &[(Duration, Milestone)] {
        &self.entries
    }

    #[cfg(test)]
    pub fn omitted(&self) -> u32 {
        self.omitted
    }
}

/// `0 invited, 180 ringing, 2400 answered`: milliseconds since the begin.
impl fmt::Display for Timeline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (at, milestone)) in self.entries.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{} {milestone}", at.as_millis())?;
        }
        match self.omitted {
            0 => Ok(()),
            omitted => write!(f, ", {omitted} more"),
        }
    }
}
