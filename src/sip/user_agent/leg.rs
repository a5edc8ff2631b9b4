//! One leg's states and timers.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::flow::Flow;
use super::transferring::Transfers;
use crate::sip::dialog::Dialog;
use crate::sip::digest::Authorizer;
use crate::sip::event::LegId;
use crate::sip::message::Request;
use crate::sip::redirection::Redirection;
use crate::sip::session_timer::SessionTimer;
use crate::sip::transaction::key::{ClientKey, ServerKey};

/// T1 of RFC 3261.
pub const T1: Duration = Duration::from_millis(500);
/// T2 of RFC 3261.
pub const T2: Duration = Duration::from_secs(4);
/// 64 * T1: how long a 2xx waits for its ACK and a CANCEL for its effect.
pub const LIFETIME: Duration = Duration::from_secs(32);
/// Repetition of a provisional answer, so that no proxy on the way gives up (RFC 3261 section
/// 13.3.1.1).
pub const PROGRESS_EVERY: Duration = Duration::from_secs(60);

/// One INVITE dialog or attempt.
#[derive(Debug)]
pub struct Leg {
    pub id: LegId,
    /// Index of its trunk.
    pub trunk: Option<usize>,
    /// Credentials and challenges met, when its trunk has some.
    pub authorizer: Option<Authorizer>,
    pub redirection: Redirection,
    pub transfers: Transfers,
    /// User part of our Contact.
    pub contact_user: String,
    pub call_id: String,
    pub local_tag: String,
    pub state: State,
}

/// What a leg is doing.
#[derive(Debug)]
pub enum State {
    /// Our INVITE has no final answer.
    Calling(Calling),
    /// Their INVITE has no final answer.
    Ringing(Box<Ringing>),
    /// A 2xx has been sent or received.
    Established(Box<Established>),
}

#[derive(Debug)]
pub struct Calling {
    /// The transaction under way; `None` while the name of the next hop is looked up.
    pub invite: Option<ClientKey>,
    /// CSeq number of the INVITE.
    pub sequence: u32,
    pub cancel: Cancel,
    /// Our offer.
    pub body: Bytes,
}

/// How far taking back our call is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    No,
    /// CANCEL waits for the first provisional answer (section 9.1).
    Wanted(Option<u16>),
    /// Sent; without a final answer by then the call counts as cancelled.
    Sent(Instant),
}

#[derive(Debug)]
pub struct Ringing {
    pub server: ServerKey,
    pub request: Request,
    pub dialog: Dialog,
    pub flow: Flow,
    /// The last provisional answer, to repeat, and when.
    pub progress: Option<(u16, Option<Bytes>, Instant)>,
}

#[derive(Debug)]
pub struct Established {
    pub dialog: Dialog,
    /// Our last SDP, sent again when a refresh needs one.
    pub body: Bytes,
    /// Our 2xx that waits for its ACK.
    pub unacknowledged: Option<Unacknowledged>,
    /// Our last ACK, for a 2xx that comes again.
    pub acknowledgement: Option<(u32, Bytes, Flow)>,
    /// Their re-INVITE or UPDATE that waits for our owner.
    pub asked: Option<Asked>,
    /// Our re-INVITE under way.
    pub offering: Option<Offering>,
    pub timer: Option<SessionTimer>,
    /// True while a refresh of the session timer is under way.
    pub refreshing: bool,
    /// The peer lists UPDATE in Allow.
    pub update_allowed: bool,
    pub goodbye: Goodbye,
}

/// Whose re-INVITE of ours is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offering {
    /// The owner's.
    Asked,
    /// The session timer's.
    Refresh,
}

/// How far the end of an established leg is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goodbye {
    No,
    /// BYE waits for the ACK of our 2xx (section 15).
    AfterAcknowledgement(Option<u16>),
    /// BYE is sent.
    Said,
}

#[derive(Debug)]
pub struct Unacknowledged {
    pub sequence: u32,
    pub response: Bytes,
    pub flow: Flow,
    pub repeat_at: Instant,
    pub interval: Duration,
    pub give_up: Instant,
}

/// A request of the peer that the owner answers.
#[derive(Debug)]
pub struct Asked {
    pub server: ServerKey,
    pub request: Request,
    pub flow: Flow,
}

impl Leg {
    /// Name of the state, for errors.
    pub fn state_name(&self) -> &'static str {
        match &self.state {
            State::Calling(_) => "calling",
            State::Ringing(_) => "ringing",
            State::Established(established) => match established.goodbye {
                Goodbye::No => "established",
                _ => "ending",
            },
        }
    }

    /// When the leg wants to be woken.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let transfers = self.transfers.poll_timeout();
        let state = match &self.state {
            State::Calling(calling) => match calling.cancel {
                Cancel::Sent(give_up) => Some(give_up),
                Cancel::No | Cancel::Wanted(_) => None,
            },
            State::Ringing(ringing) => ringing.progress.as_ref().map(|(_, _, at)| *at),
            State::Established(established) => established.poll_timeout(),
        };
        [state, transfers].into_iter().flatten().min()
    }
}

impl Established {
    fn poll_timeout(&self) -> Option<Instant> {
        let acknowledgement = self
            .unacknowledged
            .as_ref()
            .map(|waiting| waiting.repeat_at.min(waiting.give_up));
        let session = match (self.timer, self.goodbye) {
            (Some(timer), Goodbye::No) => {
                let refresh = timer.refresh_at().filter(|_| !self.refreshing);
                Some(refresh.map_or(timer.expires_at(), |at| at.min(timer.expires_at())))
            }
            _ => None,
        };
        [acknowledgement, session].into_iter().flatten().min()
    }
}

impl Unacknowledged {
    /// A 2xx just sent.
    pub fn new(sequence: u32, response: Bytes, flow: Flow, now: Instant) -> Self {
        Unacknowledged {
            sequence,
            response,
            flow,
            repeat_at: now + T1,
            interval: T1 * 2,
            give_up: now + LIFETIME,
        }
    }
}
