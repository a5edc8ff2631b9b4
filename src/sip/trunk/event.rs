//! The vocabulary between a call and its SIP leg: what is asked, what happened.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;

use super::identity::Diversion;
use super::instant_message::MessageOutcome;
use super::refer::Referral;
use crate::sip::stack::warning::Warning;

/// One INVITE dialog or attempt at one, unique in the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LegId(pub u64);

impl fmt::Display for LegId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// A call to place.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// Name of the trunk.
    pub trunk: String,
    /// User part of the request URI and of To.
    pub to_user: String,
    /// The whole request URI, where somebody else named it; it goes the trunk's way all the same.
    pub uri: Option<String>,
    /// User part of From.
    pub from_user: String,
    /// Display name of From.
    pub from_name: Option<String>,
    /// The caller withholds who they are (RFC 3323): the trunk is told only where it is trusted.
    pub anonymous: bool,
    /// SDP offer.
    pub body: Bytes,
    /// Further headers of the INVITE, name and value.
    pub headers: Vec<(String, String)>,
    /// Call-ID, where the owner wants to know it for its logs; drawn where absent.
    pub call_id: Option<String>,
    /// The user who calls: where the trunk has an account of that user, the call goes out under
    /// the account's name and credentials instead of `from_user` and the trunk's.
    pub account: Option<String>,
    /// Another trunk is asked where this one cannot: a silent one is given up after its try
    /// timeout, and one whose targets are all out is not tried at all.
    pub alternative: bool,
}

/// A call that arrived; 100 Trying has been sent.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The leg to command.
    pub leg: LegId,
    /// The trunk it came from; `None` when the source is nobody we know.
    pub trunk: Option<String>,
    /// The called number, by the trunk's policy ([`CalledNumber`](crate::sip::CalledNumber)): that of
    /// the request URI, without its parameters; for a call to a contact that we registered, the
    /// registered user or the number in To.
    pub request_user: String,
    /// The registered user, where `request_user` is the number in To: the call is for this one
    /// where that leads to no user.
    pub otherwise: Option<String>,
    /// The user to whose account's contact the call came.
    pub account: Option<String>,
    /// User part of To.
    pub to_user: String,
    /// The caller's number or user, by the trunk's policy; `anonymous` where withheld.
    pub from_user: String,
    /// The caller's display name.
    pub from_name: Option<String>,
    /// Whom the call was meant for before, where it was sent on.
    pub diverted: Option<Diversion>,
    /// The headers that the trunk's policy passes on, name and value.
    pub headers: Vec<(String, String)>,
    /// Call-ID, for logs.
    pub call_id: String,
    /// Where the INVITE came from.
    pub source: SocketAddr,
    /// SDP offer; `None` for an INVITE without one (our first reliable answer carries the offer
    /// then: the 2xx, or the first provisional one where `reliable`).
    pub body: Option<Bytes>,
    /// Every provisional answer of ours is sent reliably (RFC 3262).
    pub reliable: bool,
}

/// What the owner of a leg asks of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Sends a provisional answer to an incoming call (180, 183).
    Progress {
        /// 101..=199.
        status: u16,
        /// SDP of early media.
        body: Option<Bytes>,
    },
    /// Answers an incoming call with 200.
    Accept {
        /// SDP answer, or the offer when the INVITE had none; empty when a reliable provisional
        /// answer carried it.
        body: Bytes,
    },
    /// Answers the offer of a [`Event::Progress`] to our INVITE without SDP: goes out in the PRACK.
    AnswerProgress {
        /// The early dialog.
        fork: u32,
        /// SDP answer; empty when the offer cannot be used.
        body: Bytes,
    },
    /// Answers the offer of an [`Event::Accepted`] to our INVITE without SDP: goes out in the ACK.
    Confirm {
        /// SDP answer.
        body: Bytes,
    },
    /// Refuses an incoming call.
    Reject {
        /// 300..=699.
        status: u16,
        /// Reason phrase, the usual one when absent.
        reason: Option<String>,
        /// What exactly was not acceptable.
        warning: Option<Warning>,
    },
    /// Ends the leg: CANCEL, BYE or a final refusal, whichever its state calls for.
    Hangup {
        /// Q.850 cause, written as a Reason header (RFC 3326).
        cause: Option<u16>,
    },
    /// Offers new SDP inside the call.
    Reinvite {
        /// SDP offer.
        body: Bytes,
    },
    /// Answers [`Event::Reinvited`].
    AnswerReinvite {
        /// SDP answer, or the offer when the re-INVITE had none.
        body: Bytes,
    },
    /// Refuses [`Event::Reinvited`]; the call goes on as before.
    RefuseReinvite {
        /// 300..=699, 488 as a rule.
        status: u16,
        /// What exactly was not acceptable.
        warning: Option<Warning>,
    },
    /// Asks the peer to call somebody else instead (RFC 3515): a number, or the far end of
    /// another call of ours on the same trunk, which is then replaced.
    Refer {
        /// User part of Refer-To.
        to_user: String,
        /// The call to replace; `to_user` does not matter then.
        replaces: Option<LegId>,
    },
    /// Tells how the call of an [`Event::Referred`] goes.
    ReportReferral {
        /// 100..=699.
        status: u16,
        /// Nothing more will be told.
        last: bool,
    },
    /// Sends a text inside the answered call (RFC 3428).
    Message {
        /// Comes back with the outcome.
        reference: Option<String>,
        /// At most [`LONGEST_TEXT`](crate::sip::LONGEST_TEXT) bytes.
        text: String,
    },
    /// Sends an INFO request inside the call.
    Info {
        /// Content-Type.
        content_type: String,
        /// Body.
        body: Bytes,
    },
}

/// What happened to a leg, told to its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A provisional answer other than 100 to our call.
    Progress {
        /// 101..=199.
        status: u16,
        /// SDP of early media; the offer where our INVITE had none.
        body: Option<Bytes>,
        /// Which of the early dialogs that our INVITE has made, numbered as they appear from 0.
        fork: u32,
    },
    /// An early dialog of our call is over, others go on (RFC 6228).
    ForkEnded {
        /// Which.
        fork: u32,
    },
    /// Our call was answered.
    Accepted {
        /// SDP answer; the offer where our INVITE had none and no provisional answer carried it.
        body: Option<Bytes>,
        /// The early dialog that became the call's.
        fork: u32,
    },
    /// Our reliable provisional answer arrived (RFC 3262).
    ProgressConfirmed {
        /// SDP answer when it carried our offer.
        body: Option<Bytes>,
    },
    /// A 3xx to our call that is not followed; [`Event::Refused`] comes next.
    Redirected {
        /// URI of the Contact with the highest q.
        to: String,
    },
    /// The peer wants us to call somebody else in its place (RFC 3515); 202 has been sent. Say
    /// how that goes with [`Command::ReportReferral`].
    Referred(Box<Referral>),
    /// News of our [`Command::Refer`].
    TransferProgress {
        /// Status that the peer's own call has, or of its refusal; 408 when nothing was heard.
        status: u16,
        /// Nothing more comes.
        last: bool,
    },
    /// An incoming call that wants to take this one over (RFC 3891). Attach to it, accept it, and
    /// hang this leg up; or reject it.
    Replaced {
        /// The leg of the new call.
        by: LegId,
        /// Who it is from.
        from: String,
        /// Its Call-ID.
        call_id: String,
        /// SDP offer; `None` asks for an offer of ours.
        body: Option<Bytes>,
    },
    /// Our call was refused, or failed here. The leg is over.
    Refused {
        /// Status of the final answer; 408 when none came, 503 when it could not be sent.
        status: u16,
        /// Reason phrase.
        reason: String,
        /// Q.850 cause of a Reason header.
        cause: Option<u16>,
        /// True when no peer said so: time-out, transport failure.
        local: bool,
    },
    /// The peer offers new SDP; answer with `AnswerReinvite` or `RefuseReinvite`.
    Reinvited {
        /// SDP offer; `None` asks for an offer of ours.
        body: Option<Bytes>,
        /// The early dialog it came in, before our call is answered (RFC 3311).
        fork: Option<u32>,
    },
    /// Our re-INVITE was accepted.
    ReinviteAnswered {
        /// SDP answer.
        body: Bytes,
    },
    /// Our re-INVITE was refused; the call goes on as before.
    ReinviteRefused {
        /// Status of the answer; 491 also when an offer of the peer's was under way here.
        status: u16,
        /// When it may be tried again: after glare (RFC 3261 section 14.1) or as the peer said.
        retry_after: Option<Duration>,
    },
    /// The ACK of our 2xx arrived.
    Confirmed {
        /// SDP answer when our 2xx carried the offer.
        body: Option<Bytes>,
    },
    /// An INFO request arrived and was answered 200.
    Info {
        /// Content-Type.
        content_type: String,
        /// Body.
        body: Bytes,
    },
    /// A text arrived inside the call and was answered 200.
    Message {
        /// At most [`LONGEST_TEXT`](crate::sip::LONGEST_TEXT) bytes.
        text: String,
    },
    /// Our text has its outcome; texts still under way when the leg ends get none.
    MessageAnswered {
        /// As the command had it.
        reference: Option<String>,
        /// What.
        outcome: MessageOutcome,
    },
    /// The answers to our INVITE come from this IP address: told with the first of them, and
    /// again when it changes. A call of the peer has its own in [`Incoming::source`].
    PeerAddress {
        /// The address.
        ip: IpAddr,
    },
    /// The peer took its call back before the answer. The leg is over.
    Cancelled,
    /// The same because another phone has answered the call (RFC 3326 section 3.1).
    AnsweredElsewhere,
    /// The call ended. The leg is over.
    Ended {
        /// Q.850 cause of a Reason header.
        cause: Option<u16>,
        /// How.
        why: EndedBy,
    },
}

impl Event {
    /// True for the last event of a leg.
    pub const fn is_final(&self) -> bool {
        matches!(
            self,
            Event::Refused { .. }
                | Event::Cancelled
                | Event::AnsweredElsewhere
                | Event::Ended { .. }
        )
    }
}

/// How an answered call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// A BYE, theirs or ours.
    Bye,
    /// Their BYE because another phone has the call: both had answered (RFC 3326).
    AnsweredElsewhere,
    /// Their BYE once they had accepted a REFER of ours that sends them elsewhere, or gives their far
    /// end to another call, and had not told that it failed (RFC 5589 sections 6.1 and 7).
    GivenAway,
    /// Our 2xx was never acknowledged (RFC 3261 section 13.3.1.4), or our reliable provisional
    /// answer never (RFC 3262 section 3).
    AckMissing,
    /// The session timer ran out (RFC 4028).
    SessionTimeout,
    /// The peer cannot be reached or has forgotten the call.
    TransportLost,
}

/// What one registration is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistrationState {
    /// Not asked for, or taken back.
    Unregistered,
    /// The first REGISTER is under way.
    Registering,
    /// Accepted and kept fresh.
    Registered,
    /// Refused or unanswered; it is tried again.
    Failed {
        /// Status of the answer; 408 when none came, 503 when it could not be sent.
        status: u16,
    },
}

impl RegistrationState {
    /// Its name, for a label.
    pub const fn as_str(self) -> &'static str {
        match self {
            RegistrationState::Unregistered => "unregistered",
            RegistrationState::Registering => "registering",
            RegistrationState::Registered => "registered",
            RegistrationState::Failed { .. } => "failed",
        }
    }

    /// Why it failed, where the status is one that no operator can guess.
    pub const fn explanation(self) -> Option<&'static str> {
        match self {
            RegistrationState::Failed { status: 494 } => {
                Some("the registrar demands Security-Agreement (RFC 3329), which is out of scope")
            }
            _ => None,
        }
    }
}

/// One target of a trunk as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStatus {
    /// Name of the trunk.
    pub trunk: String,
    /// The target as a URI.
    pub target: String,
    /// False once all its addresses have failed probes or calls; it is tried after all others.
    pub is_up: bool,
}

/// One registration as the operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistrationStatus {
    /// Name of the trunk.
    pub trunk: String,
    /// The user whose account it is; `None` for the trunk's own.
    pub account: Option<String>,
    /// What it is doing.
    pub state: RegistrationState,
}
