//! One leg's states and timers.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::acknowledgements::Acknowledgement;
use super::incoming_request::IncomingRequest;
use super::intervals::{LIFETIME, T1};
use super::transfers::Transfers;
use super::waiting_requests::{DialogInfos, DialogMessages};
use crate::sip::stack::dialog::Dialog;
use crate::sip::stack::dialog_rules::DialogRules;
use crate::sip::stack::digest::Authorizer;
use crate::sip::stack::flow::Flow;
use crate::sip::stack::message::Request;
use crate::sip::stack::session_timer::SessionTimer;
use crate::sip::stack::transaction::key::{ClientKey, ServerKey};
use crate::sip::trunk::contact::ContactUser;
use crate::sip::trunk::event::LegId;
use crate::sip::trunk::network_headers::NetworkHeaders;
use crate::sip::trunk::redirection::Redirection;

/// Early dialogs of one INVITE; what more forks say is ignored.
pub const MOST_FORKS: usize = 32;

/// One INVITE dialog or attempt.
#[derive(Debug)]
pub struct Leg {
    pub id: LegId,
    /// Index of its trunk.
    pub trunk: Option<usize>,
    /// Its peer is the trunk, or whom the trunk sent us to: not only somebody who knows a Contact
    /// that we registered there.
    pub verified: bool,
    /// Credentials and challenges met, when its trunk has some.
    pub authorizer: Option<Authorizer>,
    pub redirection: Redirection,
    pub transfers: Transfers,
    /// Our Contact.
    pub contact_user: ContactUser,
    pub call_id: String,
    pub local_tag: String,
    /// What our requests in its dialog tell of networks.
    pub network: NetworkHeaders,
    /// How its trunk wants dialogs kept.
    pub rules: DialogRules,
    /// The log has heard that requests of its dialog go by the flow of the peer's last message,
    /// since its URIs name no destination.
    pub by_last_flow: bool,
    /// The call began with our INVITE: the Call-ID is ours.
    pub caller: bool,
    /// The IP address that the last answer to our INVITE came from.
    pub peer: Option<IpAddr>,
    pub state: State,
}

/// What a leg is doing.
#[derive(Debug)]
pub enum State {
    /// Our INVITE has no final answer.
    Calling(Box<Calling>),
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
    /// Our offer; empty where the peer is to make one.
    pub body: Bytes,
    /// The dialogs that provisional answers have made, at most [`MOST_FORKS`].
    pub early: Vec<Early>,
    /// How many there have been.
    pub forks: u32,
    /// The number of the early dialog and their UPDATE in it that waits for our owner.
    pub pending: Option<(u32, PendingRequest)>,
}

/// One early dialog of our INVITE (RFC 3261 section 12.1.2): each fork has its own route set,
/// numbers and descriptions.
#[derive(Debug)]
pub struct Early {
    /// Its number towards the owner.
    pub fork: u32,
    pub dialog: Dialog,
    /// RSeq of the last reliable provisional answer that was taken (RFC 3262 section 4).
    pub reliable: Option<u32>,
    /// RSeq of the one whose offer waits for our owner's answer.
    pub unanswered: Option<u32>,
    /// Offer and answer are complete in this dialog: another offer may come.
    pub agreed: bool,
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
    pub reliable: Reliable,
    /// Their UPDATE or PRACK with an offer that waits for our owner.
    pub pending: Option<PendingRequest>,
    /// When the INVITE is no longer valid (its Expires).
    pub expires_at: Option<Instant>,
}

/// Our reliable provisional answers to one INVITE (RFC 3262 section 3).
#[derive(Debug)]
pub struct Reliable {
    pub when: WhenReliable,
    /// RSeq of the last one.
    pub number: u32,
    /// The one that waits for its PRACK.
    pub waiting: Option<Unconfirmed>,
    /// What the owner wants to say next, once that has come.
    pub next: Option<(u16, Option<Bytes>)>,
    /// The owner has answered; the 200 waits too.
    pub accepting: Option<Bytes>,
    /// Offer and answer are complete.
    pub agreed: bool,
}

/// When a provisional answer is sent reliably.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenReliable {
    Never,
    WithDescription,
    Always,
}

/// A reliable provisional answer that waits for its PRACK.
#[derive(Debug)]
pub struct Unconfirmed {
    pub response: Bytes,
    pub described: bool,
    pub repeat_at: Instant,
    pub interval: Duration,
    pub give_up: Instant,
}

#[derive(Debug)]
pub struct Established {
    pub dialog: Dialog,
    /// Our last SDP, sent again when a refresh needs one.
    pub body: Bytes,
    /// Our 2xx that waits for its ACK.
    pub unacknowledged: Option<Unacknowledged>,
    /// Our last ACK, for a 2xx that comes again.
    pub acknowledgement: Option<Acknowledgement>,
    /// Our INVITE whose 2xx carried the offer: the ACK waits for our owner's answer.
    pub unconfirmed: Option<(u32, Request)>,
    /// Tags of the other early dialogs and the number of our last request in each, for a 2xx that
    /// comes late.
    pub forks: Vec<(String, u32)>,
    /// RSeq of our provisional answer whose PRACK the 200 overtook.
    pub overtaken: Option<u32>,
    /// Their re-INVITE or UPDATE that waits for our owner.
    pub pending: Option<PendingRequest>,
    /// Our re-INVITE under way.
    pub offering: Option<Offering>,
    pub timer: Option<SessionTimer>,
    /// True while a refresh of the session timer is under way.
    pub refreshing: bool,
    /// The peer lists UPDATE in Allow.
    pub update_allowed: bool,
    pub infos: DialogInfos,
    pub messages: DialogMessages,
    pub termination: Termination,
}

/// Whose re-INVITE of ours is under way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offering {
    /// The owner's.
    Owner,
    /// The session timer's.
    Refresh,
}

/// How far the end of an established leg is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Termination {
    /// It goes on.
    None,
    /// BYE waits for the ACK of our 2xx (section 15).
    AfterAcknowledgement(Option<u16>),
    /// BYE waits for the answer to our last NOTIFY.
    AfterNotify(Option<u16>),
    /// BYE is sent.
    ByeSent,
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
pub struct PendingRequest {
    pub server: ServerKey,
    pub request: Request,
    pub flow: Flow,
}

impl From<IncomingRequest> for PendingRequest {
    fn from(incoming: IncomingRequest) -> Self {
        PendingRequest {
            server: incoming.key,
            request: incoming.request,
            flow: incoming.flow,
        }
    }
}

impl Leg {
    /// A leg of no trunk, with our Contact.
    pub fn new(
        id: LegId,
        call_id: String,
        local_tag: String,
        contact_user: ContactUser,
        state: State,
    ) -> Self {
        Leg {
            id,
            trunk: None,
            verified: false,
            authorizer: None,
            redirection: Redirection::default(),
            transfers: Transfers::default(),
            contact_user,
            caller: matches!(state, State::Calling(_)),
            call_id,
            local_tag,
            network: NetworkHeaders::default(),
            rules: DialogRules::default(),
            by_last_flow: false,
            peer: None,
            state,
        }
    }

    /// Name of the state, for errors.
    pub fn state_name(&self) -> &'static str {
        match &self.state {
            State::Calling(_) => "calling",
            State::Ringing(_) => "ringing",
            State::Established(established) => match established.termination {
                Termination::None => "established",
                _ => "ending",
            },
        }
    }

    /// Their request that waits for our owner.
    pub fn take_pending(&mut self) -> Option<PendingRequest> {
        match &mut self.state {
            State::Calling(calling) => calling.pending.take().map(|(_, pending)| pending),
            State::Ringing(ringing) => ringing.pending.take(),
            State::Established(established) => established.pending.take(),
        }
    }

    /// The dialog with this number, or the only one there is.
    pub fn dialog_mut(&mut self, fork: u32) -> Option<&mut Dialog> {
        match &mut self.state {
            State::Calling(calling) => calling.fork_mut(fork).map(|early| &mut early.dialog),
            State::Ringing(ringing) => Some(&mut ringing.dialog),
            State::Established(established) => Some(&mut established.dialog),
        }
    }

    /// The dialog with this tag of the peer's.
    pub fn dialog_with(&mut self, remote_tag: &str) -> Option<&mut Dialog> {
        let dialog = match &mut self.state {
            State::Calling(calling) => &mut calling.tagged_mut(remote_tag)?.dialog,
            State::Ringing(ringing) => &mut ringing.dialog,
            State::Established(established) => &mut established.dialog,
        };
        (dialog.remote_tag() == remote_tag).then_some(dialog)
    }

    /// When the leg wants to be woken.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let transfers = self.transfers.poll_timeout();
        let state = match &self.state {
            State::Calling(calling) => match calling.cancel {
                Cancel::Sent(give_up) => Some(give_up),
                Cancel::No | Cancel::Wanted(_) => None,
            },
            State::Ringing(ringing) => {
                let repeat = ringing.progress.as_ref().map(|(_, _, at)| *at);
                let reliable = ringing.reliable.waiting.as_ref();
                let reliable = reliable.map(|waiting| waiting.repeat_at.min(waiting.give_up));
                let expiry = ringing.expires_at.filter(|_| !ringing.is_accepting());
                [repeat, reliable, expiry].into_iter().flatten().min()
            }
            State::Established(established) => established.poll_timeout(),
        };
        [state, transfers].into_iter().flatten().min()
    }
}

impl Ringing {
    /// The owner has answered, and only the PRACK is missing.
    pub fn is_accepting(&self) -> bool {
        self.reliable.accepting.is_some()
    }
}

impl Calling {
    /// An INVITE about to be sent, with our offer.
    pub fn new(body: Bytes) -> Self {
        Calling {
            invite: None,
            sequence: 1,
            cancel: Cancel::No,
            body,
            early: Vec::new(),
            forks: 0,
            pending: None,
        }
    }

    /// The early dialog with this number.
    pub fn fork_mut(&mut self, fork: u32) -> Option<&mut Early> {
        self.early.iter_mut().find(|early| early.fork == fork)
    }

    /// The early dialog with this tag of the peer's.
    pub fn tagged_mut(&mut self, tag: &str) -> Option<&mut Early> {
        self.early
            .iter_mut()
            .find(|early| early.dialog.remote_tag() == tag)
    }
}

impl Established {
    /// A dialog whose 2xx has just been sent or received.
    pub fn new(dialog: Dialog, body: Bytes) -> Self {
        Established {
            dialog,
            body,
            unacknowledged: None,
            acknowledgement: None,
            unconfirmed: None,
            forks: Vec::new(),
            overtaken: None,
            pending: None,
            offering: None,
            timer: None,
            refreshing: false,
            update_allowed: false,
            infos: DialogInfos::default(),
            messages: DialogMessages::default(),
            termination: Termination::None,
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let acknowledgement = self
            .unacknowledged
            .as_ref()
            .map(|waiting| waiting.repeat_at.min(waiting.give_up));
        let session = match (self.timer, self.termination) {
            (Some(timer), Termination::None) => {
                let refresh = timer.refresh_at().filter(|_| !self.refreshing);
                let lost = timer.lost_at(self.refreshing);
                [refresh, lost].into_iter().flatten().min()
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
