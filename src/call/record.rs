//! The record of one call: who, over what, when, and how it ended. Made of the call's four enums
//! alone; times are durations since its begin. What reads it writes log lines and metrics
//! (`record_writer`).

mod milestone;

use std::net::SocketAddr;
use std::time::Duration;

pub(super) use milestone::{Milestone, Timeline};

use super::EndReason;
use super::ids::CallId;
use super::message::{Action, Command, Event, Notice, Quality, Side};
pub(super) use super::snapshot::CallDirection;
use super::transport_event::{CandidatePair, TransportEvent};
use crate::srtp_keys::CryptoSuite;

/// How lines about a call name it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallNames {
    /// The gateway's number; 0: it was refused before it had one.
    pub(super) call: u64,
    /// Unique in all processes; none: it was refused before it had one.
    pub(crate) id: Option<CallId>,
    /// The client's name for it.
    pub(super) page_call: String,
    /// The Call-ID of the leg to the PBX, for the PBX's log.
    pub(super) sip_call_id: String,
    pub(crate) user: String,
    /// The trunk that was called last, or that calls.
    pub(super) trunk: String,
}

/// Where media goes and what protects it, as last known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct MediaTransports {
    pub(super) pair: Option<CandidatePair>,
    /// At the browser.
    pub(super) dtls_srtp: Option<CryptoSuite>,
    /// Where RTP to the PBX goes.
    pub(super) rtp: Option<SocketAddr>,
    /// What protects it; none: it is plain.
    pub(super) srtp: Option<CryptoSuite>,
}

/// When each step came first, since the begin of the call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct FirstTimes {
    pub(super) ringing: Option<Duration>,
    pub(super) answered: Option<Duration>,
    pub(super) ice_connected: Option<Duration>,
    pub(super) dtls_connected: Option<Duration>,
    pub(super) audio_of_browser: Option<Duration>,
    pub(super) audio_of_pbx: Option<Duration>,
}

/// How often.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Trunks left for the next one.
    pub(super) trunk_failovers: u32,
    pub(super) pair_changes: u32,
    /// By either side.
    pub(super) holds: u32,
    /// That connected the browser or the PBX with another party.
    pub(super) transfers: u32,
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    pub(super) reason: EndReason,
    /// The final SIP status of the PBX, where that was the reason.
    pub(super) status: Option<u16>,
    pub(super) at: Duration,
}

/// One call.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct CallRecord {
    pub(crate) names: CallNames,
    pub(super) direction: CallDirection,
    /// The caller's number or user.
    pub(crate) from: String,
    /// The called number as it was dialled.
    pub(crate) to: String,
    /// The client's signalling connection, of outgoing calls.
    pub(super) client: Option<SocketAddr>,
    /// Where the INVITE came from, of incoming calls.
    pub(super) source: Option<SocketAddr>,
    pub(super) transports: MediaTransports,
    pub(super) first: FirstTimes,
    pub(super) counts: Counts,
    pub(super) quality: Option<Quality>,
    pub(super) timeline: Timeline,
    pub(super) end: Option<End>,
    /// The status for which the trunk before was left, until the next one is known.
    left_for: Option<u16>,
}

/// A trunk was left for another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Failover {
    pub(super) left: String,
    pub(super) status: u16,
}

impl CallRecord {
    /// Of a call that a client makes; its signalling comes from `client`.
    pub(crate) fn outgoing(user: String, to: String, client: SocketAddr) -> Self {
        CallRecord {
            from: user.clone(),
            to,
            client: Some(client),
            names: CallNames {
                user,
                ..CallNames::default()
            },
            ..CallRecord::default()
        }
    }

    /// Of a call of a PBX; its INVITE came from `source`.
    pub(crate) fn incoming(
        from: String,
        to: String,
        source: SocketAddr,
        sip_call_id: String,
    ) -> Self {
        let mut record = CallRecord {
            direction: CallDirection::Incoming,
            from,
            to,
            source: Some(source),
            names: CallNames {
                sip_call_id,
                ..CallNames::default()
            },
            ..CallRecord::default()
        };
        record.reach(Milestone::Invited, Duration::ZERO);
        record
    }

    /// The call is refused before it has a machine: it ends at once.
    pub(crate) fn refuse(&mut self, reason: EndReason) {
        self.finish(reason, None, Duration::ZERO);
    }

    /// The leg to the PBX is this one from now on. Tells when it is one by another trunk, because
    /// the trunk before could not place the call.
    pub(super) fn take_leg(&mut self, trunk: &str, sip_call_id: &str) -> Option<Failover> {
        sip_call_id.clone_into(&mut self.names.sip_call_id);
        let failover = self.left_for.take().map(|status| Failover {
            left: std::mem::take(&mut self.names.trunk),
            status,
        });
        trunk.clone_into(&mut self.names.trunk);
        failover
    }

    /// Whose doing the end was.
    pub(super) fn fault(&self) -> Option<&'static str> {
        self.end.map(|end| end.reason.ending().fault.name())
    }

    /// From answer to end, of answered calls.
    pub(super) fn talked(&self) -> Option<Duration> {
        let (answered, end) = (self.first.answered?, self.end?);
        Some(end.at.saturating_sub(answered))
    }

    /// What a client asks.
    pub(super) fn take_command(&mut self, command: &Command, at: Duration) {
        match command {
            Command::Accept { .. } => self.reach(Milestone::Accepted, at),
            Command::Hold { on } if self.first.answered.is_some() => {
                self.hold(Side::Browser, *on, at);
            }
            Command::Transfer { .. } => {
                self.reach(Milestone::TransferRequested(Side::Browser), at);
            }
            _ => {}
        }
    }

    /// What happened.
    pub(super) fn take_event(&mut self, event: &Event, at: Duration) {
        match event {
            Event::Transport(event) => self.take_transport(event, at),
            Event::PeerClosed => self.reach(Milestone::DtlsClosed, at),
            Event::AudioBegan { from } => {
                let first = match from {
                    Side::Browser => &mut self.first.audio_of_browser,
                    Side::Pbx => &mut self.first.audio_of_pbx,
                };
                first.get_or_insert(at);
                self.reach(Milestone::AudioBegan(*from), at);
            }
            Event::AudioChanged { from, silent } => self.reach(
                match silent {
                    true => Milestone::AudioStopped(*from),
                    false => Milestone::AudioResumed(*from),
                },
                at,
            ),
            Event::Measured(quality) => self.quality = Some(**quality),
            Event::Referred { .. } => self.reach(Milestone::TransferRequested(Side::Pbx), at),
            Event::Replaced { .. } => self.reach(Milestone::Replaced, at),
            _ => {}
        }
    }

    fn take_transport(&mut self, event: &TransportEvent, at: Duration) {
        let milestone = match *event {
            TransportEvent::IceConnected { pair } => {
                self.transports.pair = Some(pair);
                self.first.ice_connected.get_or_insert(at);
                Milestone::IceConnected(pair)
            }
            TransportEvent::PairChanged { pair } => {
                self.transports.pair = Some(pair);
                self.counts.pair_changes += 1;
                Milestone::PairChanged(pair)
            }
            TransportEvent::Disconnected => Milestone::Disconnected,
            TransportEvent::Reconnected => Milestone::Reconnected,
            TransportEvent::DtlsConnected { suite } => {
                self.transports.dtls_srtp = Some(suite);
                self.first.dtls_connected.get_or_insert(at);
                Milestone::DtlsConnected(suite)
            }
            TransportEvent::DtlsFailed { cause } => Milestone::DtlsFailed(cause),
            TransportEvent::RtpLatched { rtp } => {
                self.transports.rtp = Some(rtp);
                Milestone::RtpLatched(rtp)
            }
            TransportEvent::UnexpectedSource { rtp } => Milestone::UnexpectedSource(rtp),
            TransportEvent::UnexpectedSourceHeard { rtp, .. } => {
                Milestone::UnexpectedSourceHeard(rtp)
            }
            TransportEvent::CandidatesRejected { .. } | TransportEvent::ChecksSuppressed => return,
        };
        self.reach(milestone, at);
    }

    /// What the call has its driver do.
    pub(super) fn take_action(&mut self, action: &Action, at: Duration) {
        match action {
            Action::Invite { .. } => self.reach(Milestone::Invited, at),
            Action::InviteNext { status, .. } => {
                self.left_for = Some(*status);
                self.counts.trunk_failovers += 1;
                self.reach(Milestone::InvitedByNextTrunk(*status), at);
            }
            Action::Progress { .. } => self.ring(at),
            Action::SetRemoteRtp { rtp, srtp_keys, .. } => {
                self.transports.rtp = Some(*rtp);
                self.transports.srtp = srtp_keys.map(|srtp_keys| srtp_keys.send.suite());
            }
            Action::Notify(notice) => self.take_notice(notice, at),
            Action::Finish { reason, status } => self.finish(*reason, *status, at),
            _ => {}
        }
    }

    /// What the client is told.
    fn take_notice(&mut self, notice: &Notice, at: Duration) {
        match notice {
            Notice::Ringing => self.ring(at),
            Notice::EarlyMedia => self.reach(Milestone::EarlyMedia, at),
            Notice::Answered => {
                self.first.answered.get_or_insert(at);
                self.reach(Milestone::Answered, at);
            }
            Notice::Held { on } => self.hold(Side::Pbx, *on, at),
            Notice::Transferred { .. } => {
                self.counts.transfers += 1;
                self.reach(Milestone::Transferred, at);
            }
            Notice::TransferFailed { status } => {
                self.reach(Milestone::TransferFailed(*status), at);
            }
            _ => {}
        }
    }

    fn ring(&mut self, at: Duration) {
        if self.first.ringing.is_none() {
            self.first.ringing = Some(at);
            self.reach(Milestone::Ringing, at);
        }
    }

    fn hold(&mut self, by: Side, on: bool, at: Duration) {
        if on {
            self.counts.holds += 1;
            self.reach(Milestone::Held(by), at);
        } else {
            self.reach(Milestone::Resumed(by), at);
        }
    }

    fn finish(&mut self, reason: EndReason, status: Option<u16>, at: Duration) {
        if reason == EndReason::Transferred {
            self.counts.transfers += 1;
        }
        self.end = Some(End { reason, status, at });
        self.reach(Milestone::Ended(reason), at);
    }

    fn reach(&mut self, milestone: Milestone, at: Duration) {
        self.timeline.push(at, milestone);
    }
}

#[cfg(test)]
mod tests;
