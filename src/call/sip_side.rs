//! One SIP leg as its call's task sees it: how far it is, and how to command it.

use std::collections::VecDeque;
use std::net::IpAddr;

use tokio::sync::mpsc;

use super::EndReason;
use super::message::DialogId;
use crate::media::{Latching, RtpSockets};
use crate::{sdp, sip};

/// SIP events that may wait for a call's task.
pub(crate) const SIP_QUEUE: usize = 32;

/// Refuses an incoming call for that reason. Where the status says that something was not
/// acceptable, a warning says what (RFC 3261 section 21.4.26).
pub(crate) fn refusal(reason: EndReason, warning: Option<sdp::Warning>) -> sip::Command {
    let row = reason.ending();
    let of_table =
        || matches!(row.sip_status, 488 | 606).then(|| sip::Warning::miscellaneous(row.text));
    sip::Command::Reject {
        status: row.sip_status,
        reason: None,
        warning: warning.map(written).or_else(of_table),
    }
}

/// A warning as SIP writes it.
pub(super) fn written(warning: sdp::Warning) -> sip::Warning {
    sip::Warning {
        code: warning.code,
        text: warning.text,
    }
}

/// Whose name the calls of this task carry.
#[derive(Clone, Debug, Default)]
pub(crate) struct CallerNames {
    pub(crate) user: String,
    pub(crate) name: Option<String>,
    pub(crate) anonymous: bool,
}

/// The SIP leg and what is known of it.
pub(crate) struct SipSide {
    pub(super) sip: sip::Handle,
    /// What happens on the leg.
    pub(super) events: mpsc::Receiver<sip::Event>,
    pub(super) stage: Stage,
    pub(super) call_id: String,
    /// For further calls in its place.
    pub(super) names: CallerNames,
    /// The IP address that its SIP messages come from.
    pub(super) peer: Option<IpAddr>,
    /// The INVITEs to come: by the trunk that is asked first, and by those that are asked where it
    /// cannot.
    pub(super) invites: VecDeque<InviteParameters>,
}

/// What the INVITE of one trunk is made from.
pub(crate) struct InviteParameters {
    pub(crate) outgoing: sip::Outgoing,
    /// Whether digits are looked for in the trunk's audio.
    pub(crate) inband_digits: bool,
    /// Sockets of RTP towards it, where those of the trunk before it do not serve.
    pub(crate) rtp: Option<RtpSockets>,
    /// Whose RTP the trunk may send.
    pub(crate) latching: Latching,
}

pub(super) enum Stage {
    /// Not called yet.
    Ready,
    /// We called.
    Inviting(sip::LegId),
    /// We are called and have not answered.
    Invited(sip::LegId),
    /// Answered.
    Dialog(sip::LegId),
    /// Over.
    Gone,
}

impl SipSide {
    pub(crate) fn outgoing(sip: sip::Handle, invites: VecDeque<InviteParameters>) -> Self {
        // Each attempt brings its own.
        let (_, events) = mpsc::channel(1);
        SipSide {
            sip,
            events,
            stage: Stage::Ready,
            call_id: String::new(),
            names: CallerNames::default(),
            peer: None,
            invites,
        }
    }

    /// The next INVITE; the side goes by its names from now on.
    pub(super) fn next_invite(&mut self) -> Option<InviteParameters> {
        let invite = self.invites.pop_front()?;
        let outgoing = &invite.outgoing;
        self.call_id = outgoing.call_id.clone().unwrap_or_default();
        self.names = CallerNames {
            user: outgoing.from_user.clone(),
            name: outgoing.from_name.clone(),
            anonymous: outgoing.anonymous,
        };
        Some(invite)
    }

    pub(crate) fn incoming(
        sip: sip::Handle,
        leg: sip::LegId,
        call_id: String,
        names: CallerNames,
        events: mpsc::Receiver<sip::Event>,
    ) -> Self {
        SipSide {
            sip,
            events,
            stage: Stage::Invited(leg),
            call_id,
            names,
            peer: None,
            invites: VecDeque::new(),
        }
    }

    /// The same leg, with the address that its INVITE came from.
    pub(crate) fn at(mut self, address: IpAddr) -> Self {
        self.peer = Some(address);
        self
    }

    /// The IP address that its SIP messages come from, where known.
    pub(crate) fn peer_address(&self) -> Option<IpAddr> {
        self.peer
    }

    /// A second leg that calls.
    pub(super) fn inviting(
        sip: sip::Handle,
        leg: sip::LegId,
        call_id: String,
        names: CallerNames,
        events: mpsc::Receiver<sip::Event>,
    ) -> Self {
        SipSide {
            sip,
            events,
            stage: Stage::Inviting(leg),
            call_id,
            names,
            peer: None,
            invites: VecDeque::new(),
        }
    }

    /// The answered leg.
    pub(super) fn dialog(&self) -> Option<DialogId> {
        match self.stage {
            Stage::Dialog(leg) => Some(DialogId(leg.0)),
            _ => None,
        }
    }

    /// It is answered.
    pub(super) fn become_dialog(&mut self) {
        if let Some(leg) = self.leg() {
            self.stage = Stage::Dialog(leg);
        }
    }

    /// Keeps up with what happens.
    pub(super) fn follow(&mut self, event: &sip::Event) {
        match event {
            sip::Event::Accepted { .. } => self.become_dialog(),
            sip::Event::PeerAddress { ip } => self.peer = Some(*ip),
            event if event.is_final() => self.stage = Stage::Gone,
            _ => {}
        }
    }

    pub(super) fn leg(&self) -> Option<sip::LegId> {
        match self.stage {
            Stage::Inviting(leg) | Stage::Invited(leg) | Stage::Dialog(leg) => Some(leg),
            Stage::Ready | Stage::Gone => None,
        }
    }

    pub(super) async fn command(&self, command: sip::Command) {
        if let Err(error) = self.try_command(command).await {
            tracing::debug!(%error, "SIP leg does not take a command");
        }
    }

    /// The same for who must know whether it was begun; without a leg nothing is.
    pub(super) async fn try_command(&self, command: sip::Command) -> Result<(), sip::Error> {
        match self.leg() {
            Some(leg) => self.sip.command(leg, command).await,
            None => Ok(()),
        }
    }
}
